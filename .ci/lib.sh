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

# counted GOOD BAD: the line that .ci/run adds up.
counted() { echo "$1 passed, $2 failed"; }

# apt_install PACKAGE...: those that are missing.
apt_install() {
    local sudo=() package
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = 'install ok installed' ] && continue
        "${sudo[@]}" apt-get -q update
        "${sudo[@]}" apt-get -q install -y --no-install-recommends "$package"
    done
}
