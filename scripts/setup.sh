#!/usr/bin/env bash
# Installs what Locus needs to be built, from the packages of the distribution (Debian 12, Ubuntu 24.04), and nothing else.
# Only what is missing is installed; when nothing is, nothing is done and no network is needed.
#
#   scripts/setup.sh                 as root, or through sudo; with neither, prints the command for an administrator
#   scripts/setup.sh --prefix DIR    without root: unpacks the missing packages into DIR and writes DIR/environment.sh, which sets what
#                                    the build needs; quickstart.sh and test.sh take the same --prefix DIR and read it themselves

set -euo pipefail

# ocl-icd-opencl-dev: only because the CMake file of libdnnl-dev asks for OpenCL.
packages=(build-essential cmake ninja-build pkg-config
    libdnnl-dev ocl-icd-opencl-dev libboost-context-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev nlohmann-json3-dev libutf8proc-dev libzstd-dev
    libgtest-dev libgmock-dev libbenchmark-dev
    python3 python3-matplotlib python3-pandas python3-scipy python3-yaml zstd)

usage='usage: scripts/setup.sh [--prefix DIR]'
say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

prefix=
case "${1:-}" in
'') ;;
--prefix)
    [ -n "${2:-}" ] || fail "$usage"
    prefix=$2
    shift 2
    ;;
-h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*) fail "unknown argument '$1'; $usage" ;;
esac
[ $# -eq 0 ] || fail "too many arguments; $usage"
case $prefix in *[\'\"\\\|\$:]*) fail "choose a folder without quotes, colons and the like in its path: $prefix" ;; esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this system has no apt. Locus needs a C++20 compiler, CMake, Ninja, pkg-config and the libraries that CMakeLists.txt names"
fi

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
# With a prefix: unpacked before; or the compiler, which cannot be used from a folder and may be any.
provided() {
    [ -n "$prefix" ] || return 1
    if [ "$1" = build-essential ] && command -v c++ >/dev/null; then return 0; fi
    grep -qxF "$1" "$prefix/packages.txt" 2>/dev/null
}

missing=()
for package in "${packages[@]}"; do
    installed "$package" || provided "$package" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    say "everything is there"
    exit 0
fi
say "missing: ${missing[*]}"
log=$(mktemp "${TMPDIR:-/tmp}/locus-setup.XXXXXX")
trap 'rm -f "$log"' EXIT

# Runs a command with its output in the log; the first error line of it is the reason that is shown.
attempt() {
    "$@" >"$log" 2>&1 </dev/null && return 0
    reason=$(grep -m 1 '^E:' "$log" || tail -n 1 "$log")
    return 1
}

install_as_root() {
    local as_root=("$@")
    say "installing them with apt-get"
    attempt "${as_root[@]}" apt-get update || say "the package lists could not be renewed (${reason#E: }); going on with the old ones"
    attempt "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
        fail "apt-get install failed: ${reason#E: }"
    say "done"
}

# Every package that has to be added for the missing ones, as name=version; apt works that out without root.
packages_to_add() {
    LC_ALL=C apt-get install -s --no-install-recommends "${missing[@]}" |
        sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)\{0,1\}(\([^ ]*\) .*/\1=\3/p'
}

# Files that name /usr although they lie elsewhere now: pkg-config's (a space needs a backslash there) and matplotlib's.
correct_paths() {
    local place=${1//&/\\&}
    find "$1/usr" -path '*/pkgconfig/*.pc' -exec sed -i "s|=/usr|=${place// /\\\\ }/usr|" {} +
    find "$1/usr" -path '*/matplotlib/__init__.py' \
        -exec sed -i "s|'/usr/share/matplotlib|'$place/usr/share/matplotlib|; s|'/etc/matplotlibrc'|'$place/etc/matplotlibrc'|" {} +
}

write_environment() {
    {
        printf '# Source this file to build and run Locus with the packages unpacked beside it.\nhere=%q\n' "$1"
        cat <<'ENVIRONMENT'
libraries=
for folder in "$here"/usr/lib/*-linux-gnu "$here"/lib/*-linux-gnu "$here"/usr/lib/*-linux-gnu/blas "$here"/usr/lib/*-linux-gnu/lapack; do
    [ ! -d "$folder" ] || libraries=$libraries:$folder
done
libraries=${libraries#:}
export PATH="$here/usr/bin:$PATH"
export CMAKE_PREFIX_PATH="$here/usr${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
export PKG_CONFIG_PATH="${libraries%%:*}/pkgconfig:$here/usr/lib/pkgconfig:$here/usr/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export CPATH="$here/usr/include${CPATH:+:$CPATH}"
export LIBRARY_PATH="$libraries${LIBRARY_PATH:+:$LIBRARY_PATH}"
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export PYTHONPATH="$here/usr/lib/python3/dist-packages${PYTHONPATH:+:$PYTHONPATH}"
unset here libraries folder
ENVIRONMENT
    } >"$1/environment.sh"
}

unpack_into_prefix() {
    command -v c++ >/dev/null || fail "there is no C++ compiler, and one cannot be used from a folder; ask an administrator to run: apt-get install -y build-essential"
    mkdir -p "$prefix/archives" || fail "cannot write to $prefix"
    prefix=$(cd "$prefix" && pwd)
    local add=() package
    mapfile -t add < <(packages_to_add)
    [ ${#add[@]} -gt 0 ] || fail "apt does not know these packages; its lists have to be renewed by an administrator: apt-get update"
    say "downloading ${#add[@]} packages into $prefix/archives"
    (cd "$prefix/archives" && attempt apt-get download "${add[@]}") || fail "apt-get download failed: $(grep -m 1 '^E:' "$log")"
    say "unpacking them into $prefix"
    for package in "$prefix"/archives/*.deb; do
        attempt dpkg-deb -x "$package" "$prefix" || fail "cannot unpack $package: $reason"
    done
    rm -r "$prefix/archives"
    correct_paths "$prefix"
    write_environment "$prefix"
    printf '%s\n' "${missing[@]}" >>"$prefix/packages.txt" # last: it says that all the rest is done
    say "done. For other commands than quickstart.sh and test.sh: source \"$prefix/environment.sh\""
}

if [ -n "$prefix" ]; then
    unpack_into_prefix
elif [ "$(id -u)" -eq 0 ]; then
    install_as_root
elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    install_as_root sudo
else
    say "this needs root. Ask an administrator to run:"
    printf '\n    apt-get install -y --no-install-recommends %s\n\n' "${missing[*]}"
    say "or unpack them without root: scripts/setup.sh --prefix \"\$HOME/locus-packages\""
    exit 1
fi
