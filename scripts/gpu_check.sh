#!/usr/bin/env bash
# Everything that only a GPU can tell, in one command and one report, the most important first. A part goes on when something in it failed.
#
#   scripts/gpu_check.sh [--only PART,...] [--device cuda|simt] [--build DIR] [--python FILE] [--output FILE] [--steps N] [--commit ID]
#
#   --only PART,...  some of the parts, in their order; they are added to the report, so that several commands make one:
#       tests          the tests of the kernels, of models and of training that run on a GPU: resuming, moving a checkpoint to the processor
#       losses         runs of every encoding beside the same runs on the processor; the same run twice, to the bit
#       speed          steps of BERT-base beside transformers (compiled) and PyTorch, and where their time goes
#       small          steps of the small and the tiny model beside PyTorch
#       deberta        steps of DeBERTa-base beside our BERT-base, transformers and flashdeberta
#       kernels        attention beside PyTorch's, kernels beside the rate of copying
#       memory         activations by length, and a step of DeBERTa-base on one sequence of 16,384 tokens
#       memcheck, racecheck, initcheck, synccheck      the tests of small shapes under compute-sanitizer
#   --device simt    the host's stand-in instead of a GPU: checks this script and the logic of the kernels, not the GPU (no sanitizer, no speed)
#   --build DIR      a folder with the built program, tests and benchmarks (default: build/cuda, built when it is not there). A carried one will do; what it was
#                    built from is then said by --commit, or by a file `commit` in it
#   --python FILE    one that has torch, and transformers, for the comparisons (default: python3); without them the report says so
#   --output FILE    the report, Markdown (default: gpu-report.md)
#   --steps N        steps of each run that is compared with the processor's (default: 50)

device=cuda build='' python=python3 output=gpu-report.md steps=50 commit='' only=''
parts=(tests losses speed small deberta kernels memory memcheck racecheck initcheck synccheck)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --device) device=${2:-} ;;
    --build) build=${2:-} ;;
    --python) python=${2:-} ;;
    --output) output=${2:-} ;;
    --steps) steps=${2:-} ;;
    --commit) commit=${2:-} ;;
    --only) only=${2:-} ;;
    -h | --help)
        sed -n '2,23s/^# \{0,1\}//p' scripts/gpu_check.sh
        exit 0
        ;;
    *) fail "unknown argument '$1'; --help shows the options" ;;
    esac
    [ $# -ge 2 ] || fail "$1 needs a value"
    shift 2
done
[ "$device" = cuda ] || [ "$device" = simt ] || fail "--device is cuda or simt"
[ -n "$output" ] || fail "--output needs a file"
for name in ${only//,/ }; do
    [[ " ${parts[*]} " = *" $name "* ]] || fail "--only $name: the parts are ${parts[*]}"
done

if [ -z "$build" ]; then
    build=build/cuda
    if [ ! -x "$build/locus" ] || [ ! -x "$build/tests/kernels_tests" ]; then
        say "building $build"
        quietly "configuring" cmake --preset cuda
        quietly "the build" cmake --build --preset cuda
        git rev-parse --short HEAD >"$build/commit"
    fi
fi
locus=$build/locus
[ -x "$locus" ] || fail "$locus is not there"
[ -n "$commit" ] || commit=$(cat "$build/commit" 2>/dev/null || git rev-parse --short HEAD 2>/dev/null || echo unknown)

scratch=$(mktemp -d "${TMPDIR:-/tmp}/locus-gpu.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export LOCUS_CACHE=$scratch/cache OMP_WAIT_POLICY=passive
[ "$device" = cuda ] && export LOCUS_TEST_DEVICE=cuda
failures=0
[ -n "$only" ] || : >"$output"

# ---- the report: a part has a table of its checks, then what they found, then the last lines of those that failed ----

tell() { printf '%s\n' "$*" >>"$output"; }

is_asked_for() { [ -z "$only" ] || [[ ",$only," = *",$1,"* ]]; }

# check NAME COMMAND...: the last line that the command prints stands beside its result, of tests how many passed.
check() {
    local name=$1 begin=$SECONDS code=0 result=passed line
    shift
    say "$name"
    "$@" >"$scratch/log" 2>"$scratch/errors" </dev/null || code=$?
    case $code in
    0) ;;
    69) result="passed, without the peer" ;; # scripts/compare_speed.py
    124 | 137) result="**not finished**" ;;
    *) result="**failed**" ;;
    esac
    line=$(grep -m 1 PASSED "$scratch/log" || tail -n 1 "$scratch/log") # tests that were skipped come after that line
    case $line in '|'*) line='' ;; esac                                 # of a table that is shown below
    tell "| $name | $result | $((SECONDS - begin)) s | ${line:0:200} |"
    [ $code = 0 ] || [ $code = 69 ] && return 0
    failures=$((failures + 1))
    { printf '\n%s\n\n' "$name" && tail -n 40 "$scratch/log" "$scratch/errors" | sed 's/^/    /'; } >>"$scratch/failed"
}

# shown NAME COMMAND...: a check whose output, a table in Markdown, is shown; `listed` shows plain text.
shown() {
    check "$@"
    { printf '\n%s\n\n' "$1" && cat "$scratch/log"; } >>"$scratch/found"
}
listed() {
    check "$@"
    { printf '\n%s\n\n' "$1" && sed 's/^/    /' "$scratch/log"; } >>"$scratch/found"
}

# part NAME: begins it when it is asked for.
part() {
    is_asked_for "$1" || return 1
    tell ""
    tell "## $1"
    tell ""
    tell "| check | result | time | |"
    tell "|---|---|---:|---|"
}

end_of_part() {
    local file
    for file in found failed; do
        [ -f "$scratch/$file" ] || continue
        cat "$scratch/$file" >>"$output"
        rm "$scratch/$file"
    done
}

if [ ! -s "$output" ]; then
    tell "# GPU check"
    tell ""
    tell "Commit $commit, device $device, $(date -u +%F)."
    if [ "$device" = cuda ]; then
        tell "$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>&1 | head -n 1)."
    fi
fi

if part tests; then
    tests='*Gpu*:*Device*:*Fused*:*Simt*'
    [ "$device" = cuda ] && tests='*Gpu*:*Device*:*Fused*-*simt*:*Simt*'
    for room in kernels model train; do
        check "$room tests" "$build/tests/${room}_tests" --gtest_brief=1 --gtest_filter="$tests"
    done
    end_of_part
fi

# ---- losses ----

cat >"$scratch/run.yaml" <<'YAML'
data: {synthetic: {megabytes: 1}, tokenizer: {type: bytes}, sequence_length: 64}
model: {layers: 2, hidden: 64, heads: 2, feed_forward: 128, max_length: 64}
train: {batch_size: 4, evaluate_every: 0, evaluate_samples: 8, checkpoint_every: 0, log_every: 1}
YAML
run_small() { # name, then key=value ...
    local name=$1
    shift
    "$locus" train "$scratch/run.yaml" --set run.name="$name" run.directory="$scratch/runs" train.steps="$steps" "$@"
}

same_losses() { # encoding
    local on place=$1
    [ "$1" = randomized ] || [ "$1" = shape ] && place="[absolute, $1]"
    for on in cpu "$device"; do
        run_small "$1-$on" run.device="$on" "model.position=$place" || return 1
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

same_bits() { # precision
    local name file
    for name in first second; do
        run_small "$name-$1" run.device="$device" run.precision="$1" model.position=disentangled \
            "model.dropout={hidden: 0.1, attention: 0.1}" || return 1
    done
    for file in model.safetensors optimizer.safetensors; do
        cmp "$scratch/runs/first-$1/latest/$file" "$scratch/runs/second-$1/latest/$file" || return 1
    done
    echo "weights and moments are the same"
}

if part losses; then
    for precision in float32 bfloat16; do
        check "$steps steps of disentangled, $precision, twice" same_bits "$precision"
    done
    for path in configs/position/*.yaml; do
        encoding=$(basename "$path" .yaml)
        check "$steps steps of $encoding" same_losses "$encoding"
    done
    end_of_part
fi

# ---- speed: only a GPU has any ----

compare() { # what compare_speed.py is asked for
    timeout --kill-after=10 500 "$python" scripts/compare_speed.py --device cuda --locus "$locus" --python "$python" --precision bfloat16 --rounds 2 "$@"
}
bench() { "$locus" bench "$@" --set run.device=cuda run.precision=bfloat16 train.gradient_accumulation=1; }
no_speed() { tell "| all of it | left out: $device has no speed | | |"; }

if part speed; then
    if [ "$device" = cuda ]; then
        shown "BERT-base, lengths 512 and 128, beside transformers with torch.compile" \
            compare --size base --length 512 128 --library transformers --compile --rounds 1
        shown "BERT-base, length 512, beside PyTorch eager" compare --size base --length 512
        listed "where the time of BERT-base goes" bench configs/bert-base.yaml
    else
        no_speed
    fi
    end_of_part
fi

if part small; then
    if [ "$device" = cuda ]; then
        shown "BERT, small and tiny, beside PyTorch eager" compare --size small tiny
        shown "the same in float32" compare --size small tiny --precision float32
    else
        no_speed
    fi
    end_of_part
fi

if part deberta; then
    if [ "$device" = cuda ]; then
        shown "DeBERTa-base beside our BERT-base, steps in turns" \
            compare --size base --length 512 128 --library transformers --encodings absolute disentangled
        shown "DeBERTa-base beside transformers" compare --size base --length 512 --position disentangled --library transformers --rounds 1
        shown "DeBERTa-base beside flashdeberta" compare --size base --length 512 --position disentangled --library flashdeberta --rounds 1
        shown "DeBERTa-base beside transformers with torch.compile" \
            compare --size base --length 512 --position disentangled --library transformers --rounds 1 --compile
        listed "where the time of DeBERTa-base goes" bench configs/deberta-base.yaml
    else
        no_speed
    fi
    end_of_part
fi

if part kernels; then
    benchmark=$build/tests/benchmarks/gpu_benchmark
    if [ -x "$benchmark" ]; then
        shown "kernels and attention" timeout --kill-after=10 500 "$python" scripts/compare_kernels.py \
            --benchmark "$benchmark" --python "$python" --device "$device"
    else
        tell "| kernels and attention | left out: $benchmark is not there (-DLOCUS_BENCHMARKS=ON builds it) | | |"
    fi
    end_of_part
fi

# ---- memory ----

if part memory; then
    lengths=(2048 4096 8192 16384)
    [ "$device" = simt ] && lengths=(64 128)
    shown "activations by length" python3 scripts/measure_memory.py --program "$locus" --encodings absolute disentangled \
        --lengths "${lengths[@]}" --set run.device="$device" run.precision=bfloat16
    if [ "$device" = cuda ]; then
        listed "a step of DeBERTa-base, 1 x 16,384 tokens" "$locus" bench configs/deberta-base.yaml --steps 3 --warmup 1 \
            --set data.sequence_length=16384 model.max_length=16384 train.batch_size=1 train.gradient_accumulation=1 run.device=cuda run.precision=bfloat16
    fi
    end_of_part
fi

# ---- compute-sanitizer: a hundred times slower, so tests of small shapes, and a limit ----

for tool in memcheck racecheck initcheck synccheck; do
    part "$tool" || continue
    if [ "$device" = cuda ] && command -v compute-sanitizer >/dev/null; then
        sanitizer=(timeout --kill-after=10 280 compute-sanitizer --tool "$tool" --error-exitcode 1)
        check "$tool of the kernels" "${sanitizer[@]}" "$build/tests/kernels_tests" --gtest_brief=1 \
            --gtest_filter='*Gpu*:*Fused*-*Long*:*simt*:*Simt*'
        check "$tool of whole models" "${sanitizer[@]}" "$build/tests/model_tests" --gtest_brief=1 \
            --gtest_filter='*OnTensorCores*:*TrainsDeberta*:*OnAGpu*/rnn:*OnAGpu*/linear_recurrence:*OnAGpu*/tupe'
    else
        tell "| $tool | left out: no compute-sanitizer for $device | | |"
    fi
    end_of_part
done

say "$failures failed; the report is $output"
[ "$failures" -eq 0 ]
