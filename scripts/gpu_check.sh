#!/usr/bin/env bash
# Everything that only a GPU can tell, in one command and one report: the tests of the kernels and of whole models on it, compute-sanitizer, runs of
# every encoding beside the same runs on the processor, and the speed of training steps. Later steps run even when an earlier one failed.
#
#   scripts/gpu_check.sh [--device cuda|simt] [--build DIR] [--output FILE] [--steps N]
#
#   --device simt    the host's stand-in instead of a GPU: checks this script and the logic of the kernels, not the GPU (sanitizer and speed are left out)
#   --build DIR      a folder with the built program and tests (default: build/cuda, built when it is not there; carried binaries will do)
#   --output FILE    the report, Markdown (default: gpu-report.md)
#   --steps N        steps of each run that is compared (default: 50)

device=cuda
build=
output=gpu-report.md
steps=50
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --device) device=${2:-} ;;
    --build) build=${2:-} ;;
    --output) output=${2:-} ;;
    --steps) steps=${2:-} ;;
    -h | --help)
        sed -n '2,10s/^# \{0,1\}//p' scripts/gpu_check.sh
        exit 0
        ;;
    *) fail "unknown argument '$1'; --help shows the options" ;;
    esac
    [ $# -ge 2 ] || fail "$1 needs a value"
    shift 2
done
[ "$device" = cuda ] || [ "$device" = simt ] || fail "--device is cuda or simt"
[ -n "$output" ] || fail "--output needs a file"

if [ -z "$build" ]; then
    build=build/cuda
    if [ ! -x "$build/locus" ] || [ ! -x "$build/tests/kernels_tests" ]; then
        say "building $build"
        quietly "configuring" cmake --preset cuda
        quietly "the build" cmake --build --preset cuda
    fi
fi
locus=$build/locus
[ -x "$locus" ] || fail "$locus is not there"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/locus-gpu.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export LOCUS_CACHE=$scratch/cache OMP_WAIT_POLICY=passive
failures=0
: >"$output"

tell() { printf '%s\n' "$*" >>"$output"; }
# A step of the check: its name, then the command; what it prints is kept for the report when it fails.
check() {
    local name=$1 begin=$SECONDS
    shift
    say "$name"
    if "$@" >"$scratch/log" 2>&1 </dev/null; then
        tell "| $name | passed | $((SECONDS - begin)) s |"
    else
        failures=$((failures + 1))
        tell "| $name | **failed** | $((SECONDS - begin)) s |"
        { printf '\n%s\n\n' "$name" && tail -n 40 "$scratch/log" | sed 's/^/    /'; } >>"$scratch/failed"
    fi
}

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
tell "# GPU check"
tell ""
tell "Commit $commit, device $device, $(date -u +%F)."
if [ "$device" = cuda ]; then
    tell "$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>&1 | head -n 1)."
fi
tell ""
tell "| check | result | time |"
tell "|---|---|---:|"

# ---- tests ----

tests='*Gpu*:Device*:*Simt*'
[ "$device" = cuda ] && tests='*Gpu*:Device*'
for room in kernels model train; do
    check "$room tests" "$build/tests/${room}_tests" --gtest_brief=1 --gtest_filter="$tests"
done

if [ "$device" = cuda ] && command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
        check "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
            "$build/tests/kernels_tests" --gtest_brief=1 --gtest_filter='*Gpu*'
    done
fi

# ---- every encoding: the same run on both ----

cat >"$scratch/run.yaml" <<'YAML'
data: {synthetic: {megabytes: 1}, tokenizer: {type: bytes}, sequence_length: 64}
model: {layers: 2, hidden: 64, heads: 2, feed_forward: 128, max_length: 64}
train: {batch_size: 4, evaluate_every: 0, evaluate_samples: 8, checkpoint_every: 0, log_every: 1}
YAML
same_losses() { # encoding
    local on place=$1
    [ "$1" = randomized ] || [ "$1" = shape ] && place="[absolute, $1]"
    for on in cpu "$device"; do
        "$locus" train "$scratch/run.yaml" --set run.name="$1-$on" run.directory="$scratch/runs" run.device="$on" \
            train.steps="$steps" "model.position=$place" || return 1
    done
    python3 - "$scratch/runs/$1-cpu/metrics.csv" "$scratch/runs/$1-$device/metrics.csv" <<'PYTHON'
import csv
import sys


def losses(path):
    with open(path, encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["split"] == "train"]


expected, got = map(losses, sys.argv[1:])
assert len(expected) == len(got) > 0, "the runs have no or not as many steps"
worst = max(abs(a - b) for a, b in zip(expected, got))
print(f"largest difference of the losses: {worst:.2e}")
sys.exit(worst > 1e-4)
PYTHON
}
for path in configs/position/*.yaml; do
    encoding=$(basename "$path" .yaml)
    check "$steps steps of $encoding" same_losses "$encoding"
done

# ---- speed ----

if [ "$device" = cuda ]; then
    for precision in float32 bfloat16; do
        for config in bert-tiny deberta-tiny; do
            check "speed of $config, $precision" "$locus" bench "configs/$config.yaml" --set run.device=cuda run.precision="$precision"
            { printf '\n%s, %s\n\n' "$config" "$precision" && sed 's/^/    /' "$scratch/log"; } >>"$scratch/speed"
        done
    done
fi

for part in failed speed; do
    if [ -f "$scratch/$part" ]; then
        { printf '\n## %s\n' "$part" && cat "$scratch/$part"; } >>"$output"
    fi
done
say "$failures failed; the report is $output"
[ "$failures" -eq 0 ]
