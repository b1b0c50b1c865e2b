# SPDX-License-Identifier: BSD-3-Clause
"""The scripts of tests/lint find what they look for."""

import importlib.util
import re

import pytest

from lib.build import ROOT


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "lint"))
    spec = importlib.util.spec_from_file_location(f"lint_{name}", ROOT / "tests" / "lint" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STATES = """
static const struct ops ops = { .state = 1 };

/* x->state = 1; */
static void set_state(struct x *x, enum state to)
{
    x->state = to;
}

struct x *x_new(void)
{
    struct x *x = make(&(struct x){ .state = X_NEW }, "->state = 1");
    if (x->state == X_OLD || x->turn.stage != 3)
        x->turn.stage = 4;
    return x;
}

void x_set_phase(struct x *x)
{
    x->phase = X_DONE;
}
"""


def test_states_are_found_where_they_are_assigned(monkeypatch):
    states = load("states", monkeypatch)
    found = [(function, what) for _, function, what in states.assignments(STATES)]
    assert found == [("set_state", "x->state"), ("x_new", "x->turn.stage"), ("x_set_phase", "x->phase")]
    assert [bool(states.SETTER.search(function)) for function, _ in found] == [True, False, True]


@pytest.fixture
def tree(tmp_path):
    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path
    return write


def test_a_state_assigned_outside_of_its_setter_fails(monkeypatch, tree, capsys):
    states = load("states", monkeypatch)
    monkeypatch.setattr(states, "ROOT", tree({"master/a.c": "void go(struct a *a)\n{\n    a->state = A_GONE;\n}\n"}))
    monkeypatch.setattr(states, "EXCUSED", {})
    monkeypatch.setattr("sys.argv", ["states.py"])
    assert states.main() == 1 and "master/a.c:3: go() assigns a->state" in capsys.readouterr().out
    monkeypatch.setattr(states, "EXCUSED", {"master/a.c": 1})
    assert states.main() == 0
    monkeypatch.setattr(states, "EXCUSED", {"master/a.c": 2, "master/gone.c": 1})
    assert states.main() == 1
    said = capsys.readouterr().out
    assert "master/a.c: EXCUSED has 2, and 1 would do" in said and "master/gone.c: EXCUSED has 1, and 0 would do" in said
    copy = states.ROOT / "states.py"
    copy.write_text('EXCUSED = {\n    "master/a.c": 2,\n    "master/gone.c": 1,\n}\nMORE = {\n}\n')
    monkeypatch.setattr(states, "__file__", str(copy))
    monkeypatch.setattr("sys.argv", ["states.py", "--shrink"])
    assert states.main() == 0 and copy.read_text() == 'EXCUSED = {\n    "master/a.c": 1,\n}\nMORE = {\n}\n'


def test_a_private_header_stays_in_its_room(monkeypatch, tree):
    arrows = load("arrows", monkeypatch)
    monkeypatch.setattr(arrows, "ROOT", tree({"worker/ws/a_priv.h": "", **dict.fromkeys(("worker/ws/a.c", "worker/b.c", "tests/unit/c.c"),
                                                                                      '#include "worker/ws/a_priv.h"\n')}))
    assert [name for name, _ in arrows.private_faults()] == ["worker/b.c", "tests/unit/c.c"]


@pytest.mark.parametrize("pattern, glob", [
    (r"worker/http2/h2_\w+\.[ch]", "worker/http2/h2_*.[ch]"), (r"master/(\w+/)?\w+\.[ch]", "master/{*/,}*.[ch]"),
    (r"worker/(worker\w*|mold)\.c", "worker/{worker*,mold}.c"), (r"event2/.*", "event2/*")])
def test_fences_are_shown_as_globs(monkeypatch, pattern, glob):
    assert load("house", monkeypatch).glob_of(pattern) == glob


def test_a_page_that_does_not_show_the_house_fails(monkeypatch, tmp_path):
    house = load("house", monkeypatch)
    page = tmp_path / "page.7"
    monkeypatch.setattr(house, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["house.py"])
    seams = [f".It Vt {name}" for name in house.seams()]
    page.write_text("\n".join([".Sh THE HOUSE", *house.made(), ".Sh SEAMS", *seams, ".Sh MORE", ""]))
    assert house.main() == 0
    page.write_text(re.sub(r"^(conf +)common$", r"\1common worker", page.read_text(), flags=re.M))
    assert house.main() == 1
    monkeypatch.setattr("sys.argv", ["house.py", "--write"])
    house.main()
    monkeypatch.setattr("sys.argv", ["house.py"])
    assert house.main() == 0 and page.read_text().endswith(".Sh MORE\n")
    page.write_text("no marks\n")
    assert house.main() == 1


def test_a_seam_or_a_file_that_the_page_has_wrong_fails(monkeypatch):
    house = load("house", monkeypatch)
    monkeypatch.setattr(house, "seams", lambda: ["some_ops", "some_events"])
    assert house.unnamed_seams(".Sh SEAMS\n.It Vt some_ops , other_ops\n.Sh MORE\n.It Vt some_events\n") == \
        ["SEAMS does not name struct some_events"]
    page = ".Pa worker/net\n.Pq Pa http/resp , http/no_such_file .\n.It Pa tests/unit\n.Pa http2/h2_*.c ,\n.Pa /proc/self/fdinfo\n"
    assert [*house.missing_files(page)] == ["names http/no_such_file, which is not there"]
