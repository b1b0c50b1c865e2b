/* SPDX-License-Identifier: BSD-3-Clause */
"use strict";
(function () {
  var main = document.getElementById("main"), timer = 0;
  function later() {
    clearTimeout(timer);
    timer = setTimeout(load, 2000);
  }
  function load() {
    if (document.hidden) {
      later();
      return;
    }
    fetch("?part", { cache: "no-store" }).then(function (answer) {
      if (!answer.ok) throw new Error(answer.status);
      return answer.text();
    }).then(function (text) {
      main.innerHTML = text;
      main.className = "";
    }, function () {
      main.className = "stale";
    }).then(later);
  }
  document.addEventListener("visibilitychange", function () {
    if (!document.hidden) load();
  });
  later();
})();
