# What every gate starts with; sourced, never run. Sets the working directory to the top of the tree, $top, $jobs, and
# $scratch (a folder that goes when the gate ends).

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$top"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
jobs=$(nproc)
export DEBIAN_FRONTEND=noninteractive
# A Python that comes first in PATH must not be taken for Debian's, which is the one that is built for and tested.
unset PKG_CONFIG_PATH PKG_CONFIG_LIBDIR PYTHONHOME PYTHONPATH VIRTUAL_ENV
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH

# judge WHAT COMMAND...: adds to $good or $bad whether the command succeeds, or what its own last "N passed, N failed" says; shows
# the end of what it said if it fails.
good=0 bad=0
judge() {
    local line rest failed status=0
    "${@:2}" >"$scratch/judged" 2>&1 </dev/null || status=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$scratch/judged" | tail -n 1 || true)
    line=${line:-$((status == 0)) passed, $((status != 0)) failed}
    rest=${line#*, } failed=${rest%% *}
    [ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
    good=$((good + ${line%% *})) bad=$((bad + failed))
    [ "$failed" = 0 ] || { echo "FAILED: $1" && tail -n 40 "$scratch/judged"; }
}

# pythons: the CPythons from 3.11 on of this machine, Debian's first, then pyenv's.
pythons() {
    local python
    for python in /usr/bin/python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3; do
        ! "$python" -c 'import sys; sys.exit(sys.implementation.name != "cpython" or sys.version_info < (3, 11) or "t" in sys.abiflags)' \
            2>/dev/null || echo "$python"
    done
}

# counted GOOD BAD: the line that .ci/run adds up.
counted() { echo "$1 passed, $2 failed"; }

# apt_install PACKAGE...: those that are missing. One gate at a time: apt-get does not wait for another's update.
apt_install() {
    local sudo=() package missing=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = 'install ok installed' ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    (
        flock 9
        "${sudo[@]}" apt-get -q update
        "${sudo[@]}" apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"
    ) 9<"$top/.ci/lib.sh"
}
