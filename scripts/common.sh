# shellcheck shell=bash
# Shared by the scripts of this folder: source it; it stands in the repository's root afterwards.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*"; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Runs a command quietly; when it fails, shows its last lines and says what failed in one line.
quietly() {
    local what=$1 log
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/locus-log.XXXXXX")
    if "$@" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
        return 0
    fi
    tail -n 30 "$log" >&2
    fail "$what failed; the whole output is in $log"
}

# set_up [--prefix DIR]: the packages that the build needs; with a prefix, also the variables that make the build find them.
set_up() {
    bash scripts/setup.sh "$@"
    if [ "${1:-}" = --prefix ] && [ -f "$2/environment.sh" ]; then
        # shellcheck disable=SC1091
        . "$2/environment.sh"
    fi
}

# An absolute path for one given on the command line; to be called before the working directory changes.
absolute_path() {
    case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$PWD" "$1" ;;
    esac
}

# configure PRESET; a build folder that was made at another place (a copied checkout) is begun anew.
configure() {
    local folder=build/$1 cache
    [ "$1" = ci ] && folder=build/release
    cache=$folder/CMakeCache.txt
    if [ -f "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$cache"; then
        say "$folder was made in another folder; beginning it anew"
        rm -rf "$folder"
    fi
    quietly "configuring the build (cmake --preset $1)" cmake --preset "$@"
}

# The python3 that has what our scripts import: the first of the path, else the system's.
python_with_packages() {
    local candidate
    for candidate in python3 /usr/bin/python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import matplotlib, pandas, scipy, yaml' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}
