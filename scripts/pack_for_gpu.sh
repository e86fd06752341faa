#!/usr/bin/env bash
# Packs a build with CUDA for a machine that has a GPU, but neither our packages nor a way to get them: one archive for `scripts/gpu_check.sh --build`, with
# programs, tests and benchmarks without their symbols, and the libraries that they need. The C and C++ runtime and NVIDIA's libraries are taken from there.
#
#   scripts/pack_for_gpu.sh [--build DIR] [--output FILE] [--most MIB]
#
#   --build DIR      a build with LOCUS_CUDA and LOCUS_BENCHMARKS (default: build/cuda)
#   --output FILE    the archive (default: build/pack/locus-gpu.tar.xz)
#   --most MIB       what can be carried; a larger archive is an error (default: 48)

build=build/cuda output=build/pack/locus-gpu.tar.xz most=48
programs=(locus tests/kernels_tests tests/model_tests tests/train_tests tests/benchmarks/gpu_benchmark)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:-} ;;
    --output) output=${2:-} ;;
    --most) most=${2:-} ;;
    -h | --help)
        sed -n '2,9s/^# \{0,1\}//p' scripts/pack_for_gpu.sh
        exit 0
        ;;
    *) fail "unknown argument '$1'; --help shows the options" ;;
    esac
    [ $# -ge 2 ] || fail "$1 needs a value"
    shift 2
done

# The libraries of a program that the other machine cannot be trusted to have.
libraries_of() {
    ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
        grep -Ev '/lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|cublasLt|cuda)\.so' || true
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/locus-pack.XXXXXX")
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/lib" "$folder/tests/benchmarks" "$(dirname "$output")"
for program in "${programs[@]}"; do
    [ -x "$build/$program" ] || fail "$build/$program is not there: cmake --preset cuda -DLOCUS_BENCHMARKS=ON && cmake --build --preset cuda"
    strip -o "$folder/$program" "$build/$program"
    for library in $(libraries_of "$build/$program"); do cp -L "$library" "$folder/lib/"; done
done
git describe --always --dirty >"$folder/commit"
tar -C "$folder" -cf - . | xz -T0 --lzma2=preset=3,dict=64MiB >"$output"
bytes=$(stat -c %s "$output")
say "$output: $((bytes >> 20)) MiB, commit $(cat "$folder/commit")"
[ $((bytes >> 20)) -lt "$most" ] || fail "more than $most MiB: build for one architecture (-DLOCUS_CUDA_ARCHITECTURES=90a-real)"
