#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One would expect that dh_installsystemd --no-start makes a package that leaves the running service alone. Instead, in compatibility
# level 13, it adds a preinst that stops the service before each upgrade, while nothing starts it again; and it takes away the stop on
# removal, so that the server goes on without its files. The manual page tells only that the unit is not started. Whoever packages a
# server that its administrator is to start gets an outage with every security update. --no-stop-on-upgrade beside it leaves the service
# alone, --restart-after-upgrade beside it restarts what runs; neither brings the stop on removal back. Seen with debhelper 13.11.4 of
# Debian 12. The packages are built and read here, never installed.
set -euo pipefail

for tool in dh_installsystemd dpkg-buildpackage dpkg-deb; do
    if ! command -v $tool >/dev/null; then
        echo "skipped, all of it: no $tool (Debian's packages debhelper and dpkg-dev)"
        exit 77
    fi
done
dpkg-query -W debhelper dpkg-dev

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# build NAME OPTION...: builds a package with one service, dh_installsystemd called with these options, and unpacks its scripts to NAME.
build() {
    local name=$1
    shift
    mkdir -p "$tmp/$name/src/debian/source"
    cd "$tmp/$name/src"
    echo '3.0 (native)' >debian/source/format
    cat >debian/control <<'END'
Source: sample
Section: net
Priority: optional
Maintainer: Nobody <nobody@example.org>
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: sample
Architecture: all
Depends: ${misc:Depends}
Description: sample service
 It has one unit.
END
    cat >debian/changelog <<'END'
sample (1) unstable; urgency=low

  * Sample.

 -- Nobody <nobody@example.org>  Thu, 01 Jan 2026 00:00:00 +0000
END
    cat >debian/sample.service <<'END'
[Unit]
Description=Sample

[Service]
ExecStart=/bin/sleep infinity

[Install]
WantedBy=multi-user.target
END
    printf '#!/usr/bin/make -f\n%%:\n\tdh $@\noverride_dh_installsystemd:\n\tdh_installsystemd %s\n' "$*" >debian/rules
    chmod +x debian/rules
    if ! dpkg-buildpackage -d -b -us -uc >"$tmp/$name/log" 2>&1; then
        cat "$tmp/$name/log"
        echo "changed: the package does not build"
        exit 1
    fi
    dpkg-deb -e "$tmp/$name"/sample_1_all.deb "$tmp/$name/scripts"
}

# actions NAME: what the maintainer scripts of NAME do with the service, on one line.
actions() {
    local script found out=
    for script in preinst postinst prerm postrm; do
        [ -f "$tmp/$1/scripts/$script" ] || continue
        found=$(grep -oE 'deb-systemd-invoke (\$_dh_action|[a-z-]+)|_dh_action=[a-z-]+' "$tmp/$1/scripts/$script" |
            grep -oE '(start|stop|restart|try-restart)$' | sort -u | tr '\n' ' ' || true)
        [ -z "$found" ] || out+="$script:${found% } "
    done
    echo "${out:-nothing}"
}

# check NAME EXPECTED OPTION...
check() {
    local seen
    build "$1" "${@:3}"
    seen=$(actions "$1")
    echo "dh_installsystemd ${*:3} => ${seen% }"
    if [ "${seen% }" != "$2" ]; then
        echo "changed: expected $2"
        exit 1
    fi
}

check plain 'postinst:restart start prerm:stop'
check nostart 'preinst:stop' --no-start
sed 's/^/    /' "$tmp/nostart/scripts/preinst"
check alone 'nothing' --no-start --no-stop-on-upgrade
check again 'postinst:try-restart' --no-start --restart-after-upgrade
if ! grep -qF '"$1" = upgrade' "$tmp/nostart/scripts/preinst"; then
    echo "changed: the preinst does not stop the service on an upgrade"
    exit 1
fi
echo "as described"
