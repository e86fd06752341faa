#!/usr/bin/env bash
# Everything that has to hold before a change lands: builds with warnings as errors, runs all tests, the kernel and model tests again on
# older instruction sets, and the checks of format and scripts. The last lines are the summary of ctest.
#
#   scripts/test.sh [--quick] [--sanitize] [--tidy] [--prefix DIR]
#
#   --quick        only build and ctest
#   --sanitize     also builds with AddressSanitizer and UndefinedBehaviorSanitizer and runs the tests of all rooms there
#   --tidy         also runs clang-tidy over all sources (needs clang and clang-tidy, version 14)
#   --prefix DIR   for machines without root: packages are unpacked into DIR (see scripts/setup.sh)

prefix=
quick=
sanitize=
tidy=
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=yes ;;
    --sanitize) sanitize=yes ;;
    --tidy) tidy=yes ;;
    --prefix)
        [ -n "${2:-}" ] || fail "--prefix needs a folder"
        prefix=$(cd "$OLDPWD" && absolute_path "$2")
        shift
        ;;
    -h | --help)
        sed -n '2,10s/^# \{0,1\}//p' scripts/test.sh
        exit 0
        ;;
    *) fail "unknown argument '$1'; --help shows the options" ;;
    esac
    shift
done

# A test's threads wait asleep, not spinning, so that tests beside each other do not steal the cores from one another.
export OMP_WAIT_POLICY=passive
# Nothing of the user's: caches go to a folder that is thrown away.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/locus-test.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export LOCUS_CACHE=$scratch/cache PYTHONDONTWRITEBYTECODE=1

check_scripts() {
    local script
    for script in scripts/*.sh .ci/run; do
        bash -n "$script" || fail "$script has a syntax error"
    done
    python3 - scripts/*.py scripts/reporting/*.py tests/scripts/*.py <<'PYTHON' || fail "a Python script has a syntax error"
import sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
PYTHON
    python3 scripts/make_encodings_page.py --check || fail "docs/encodings.md is out of date"
    local python
    python=$(python_with_packages) || fail "no python3 here has matplotlib, pandas, scipy and yaml; scripts/setup.sh installs them"
    quietly "tests/scripts" "$python" -m unittest discover -s tests/scripts -p '*_test.py'
}

check_format() {
    local tool
    for tool in clang-format-14 clang-format; do
        if command -v "$tool" >/dev/null && "$tool" --version | grep -q 'version 14\.'; then
            find kernels data model train tests \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print0 | xargs -0 "$tool" --dry-run -Werror ||
                fail "the format differs from .clang-format; clang-format -i mends it"
            return 0
        fi
    done
    echo "clang-format 14 is not here; the format was not checked"
}

# The kernels choose the instruction set at run time; every choice has to give the same numbers. What a GPU computes does not depend on it.
# In as many parts as there are cores, since most tests keep only one of them busy.
test_on_isa() {
    local room part parts cores
    cores=$(nproc)
    for room in kernels model; do
        parts=()
        for ((part = 0; part < cores; ++part)); do
            quietly "$room tests with LOCUS_ISA=$1" env LOCUS_ISA="$1" GTEST_TOTAL_SHARDS="$cores" GTEST_SHARD_INDEX="$part" \
                "build/release/tests/${room}_tests" --gtest_brief=1 --gtest_filter='-*Gpu*:*Simt*:*Fused*' &
            parts+=($!)
        done
        for part in "${parts[@]}"; do wait "$part" || exit 1; done
    done
}

run_sanitized() {
    local room
    configure sanitize
    quietly "the build with sanitizers" cmake --build --preset sanitize
    export ASAN_OPTIONS=detect_leaks=1:halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    for room in kernels data model train; do
        echo "$room"
        quietly "$room tests with sanitizers" "build/sanitize/tests/${room}_tests" --gtest_brief=1
    done
    unset ASAN_OPTIONS UBSAN_OPTIONS
}

# clang reads the sources itself, so precompiled headers, which are another compiler's, are off.
run_tidy() {
    command -v clang-tidy-14 >/dev/null && command -v clang++-14 >/dev/null || fail "--tidy needs clang-14 and clang-tidy-14"
    quietly "configuring for clang" cmake -S . -B build/tidy -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON
    find kernels data model train tests docs -name '*.cpp' -not -path 'tests/benchmarks/*' -print0 |
        xargs -0 -P "$(nproc)" -n 4 clang-tidy-14 -p build/tidy --quiet >"$scratch/tidy" 2>/dev/null || {
        grep -E 'error:|warning:' "$scratch/tidy" | sort -u
        fail "clang-tidy has objections"
    }
}

say "packages"
set_up ${prefix:+--prefix "$prefix"}

# Where there is nvcc the kernels for GPUs are compiled and linked as well; a GPU is needed to run them (scripts/gpu_check.sh).
with_cuda=OFF
if command -v nvcc >/dev/null; then with_cuda=ON; fi
say "building, warnings are errors; CUDA: $with_cuda"
configure ci -DLOCUS_CUDA="$with_cuda"
quietly "the build" cmake --build --preset ci

if [ -z "$quick" ]; then
    say "scripts and format"
    check_scripts
    check_format
    lower=(baseline avx2)
    if grep -qw amx_tile /proc/cpuinfo; then lower+=(avx512); fi
    for isa in "${lower[@]}"; do
        say "kernels and model with LOCUS_ISA=$isa"
        test_on_isa "$isa"
    done
fi
if [ -n "$sanitize" ]; then
    say "with sanitizers"
    run_sanitized
fi

if [ -n "$tidy" ]; then
    say "clang-tidy"
    run_tidy
fi

say "all tests"
ctest --test-dir build/release --parallel "$(nproc)" --output-on-failure --no-tests=error --progress >"$scratch/ctest" 2>&1 </dev/null || {
    grep -vE '^ *([0-9]+/[0-9]+ Test|Start )' "$scratch/ctest" | tail -n 100
    fail "tests failed"
}
grep -E 'tests passed|Total Test time' "$scratch/ctest"
