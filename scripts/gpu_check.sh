#!/usr/bin/env bash
# Everything that only a GPU can tell, in one command and one report, the most important first. A part goes on when something in it failed.
#
#   scripts/gpu_check.sh [--only PART,...] [--minutes N] [--device cuda|simt] [--build DIR|ARCHIVE] [--python FILE] [--output FILE] [--steps N] [--commit ID]
#
#   --only PART,...  some of the parts, in the order given here; they are added to the report, so that several commands make one:
#       tests          the tests of the kernels, of models and of training that run on a GPU: resuming, moving a checkpoint to the processor
#       losses         runs of every encoding beside the same runs on the processor; the same run twice, to the bit
#       memcheck       the tests of small shapes under compute-sanitizer; so racecheck, synccheck and initcheck
#       speed          steps of BERT-base beside PyTorch and transformers (compiled), and where their time goes
#       kernels        attention beside PyTorch's, kernels beside the rate of copying
#       deberta        steps of DeBERTa-base beside our BERT-base, transformers and flashdeberta
#       memory         activations by length, and a step of DeBERTa-base on one sequence of 16,384 tokens
#       small          steps of the small and the tiny model beside PyTorch
#       racecheck
#       synccheck
#       initcheck
#   --minutes N      begin nothing and stop everything when so many are over; what is missing is said (default: no limit)
#   --device simt    the host's stand-in instead of a GPU: checks this script and the logic of the kernels, not the GPU (no sanitizer, no speed)
#   --build DIR      a folder with the built program, tests and benchmarks (default: build/cuda, which is brought up to date), or an archive of
#                    scripts/pack_for_gpu.sh. What it was built from is said by a file `commit` in it, or by --commit; else it is the checkout's
#   --python FILE    one that has torch, and transformers, for the comparisons (default: python3); without them the report says so
#   --output FILE    the report, Markdown, which is printed at the end (default: gpu-report.md). All that the checks said is added to FILE.log
#   --steps N        steps of each run that is compared with the processor's (default: 50)
#
# For half an hour on a machine that is lent for 10 minutes at a time, three commands one after the other, with --build build/pack/locus-gpu.tar.xz and
# --output where files are kept:
#   --minutes 9 --only tests,losses,memcheck      --minutes 9 --only speed,kernels      --minutes 8 --only deberta,memory,small,racecheck,synccheck,initcheck

device=cuda build='' python=python3 output=gpu-report.md steps=50 commit='' only='' minutes=0
parts=(tests losses memcheck speed kernels deberta memory small racecheck synccheck initcheck)
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
    --minutes) minutes=${2:-} ;;
    -h | --help)
        sed -n '2,/^$/s/^# \{0,1\}//p' scripts/gpu_check.sh
        exit 0
        ;;
    *) fail "unknown argument '$1'; --help shows the options" ;;
    esac
    [ $# -ge 2 ] || fail "$1 needs a value"
    shift 2
done
[ "$device" = cuda ] || [ "$device" = simt ] || fail "--device is cuda or simt"
[ -n "$output" ] || fail "--output needs a file"
case $minutes in '' | *[!0-9]*) fail "--minutes needs a whole number" ;; esac
for name in ${only//,/ }; do
    [[ " ${parts[*]} " = *" $name "* ]] || fail "--only $name: the parts are ${parts[*]}"
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/locus-gpu.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

if [ -z "$build" ]; then
    build=build/cuda
    say "building $build"
    quietly "configuring" cmake --preset cuda
    quietly "the build" cmake --build --preset cuda
elif [ -f "$build" ]; then
    mkdir "$scratch/build"
    quietly "unpacking $build" python3 -m tarfile -e "$build" "$scratch/build" # knows .xz where there is no xz
    build=$scratch/build
fi
locus=$(absolute_path "$build/locus")
[ -x "$locus" ] || fail "$locus is not there"
[ -n "$commit" ] || commit=$(cat "$build/commit" 2>/dev/null || git describe --always --dirty 2>/dev/null || echo unknown)

# A packed build brings its libraries. cuBLASLt is too large for that: it comes with CUDA or, beside PyTorch, as a package of Python.
if [ -d "$build/lib" ]; then export LD_LIBRARY_PATH=$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
for library in $(ldd "$locus" 2>/dev/null | awk '/not found/ { print $1 }'); do
    found=$(find /usr/local /usr/lib /opt -name "$library" -print -quit 2>/dev/null || true)
    [ -n "$found" ] || fail "$locus needs $library, which is not here"
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${found%/*}
done

export LOCUS_CACHE=$scratch/cache LOCUS_PROGRAM=$locus OMP_WAIT_POLICY=passive
[ "$device" = cuda ] && export LOCUS_TEST_DEVICE=cuda
failures=0
[ -n "$only" ] || : >"$output"
[ -s "$output" ] || : >"$output.log"

# ---- time ----

seconds_left() { echo $((minutes > 0 ? 60 * minutes - SECONDS : 86400)); }

# within SECONDS COMMAND...: a program, stopped when its time or that of all is over.
within() {
    local limit=$1 left
    left=$(seconds_left)
    shift
    timeout --kill-after=10 "$((limit < left ? limit : (left > 1 ? left : 1)))" "$@"
}

# ---- the report: a part has a table of its checks, then what they found, then the last lines of those that failed ----

tell() { printf '%s\n' "$*" >>"$output"; }

is_asked_for() { [ -z "$only" ] || [[ ",$only," = *",$1,"* ]]; }

# check NAME COMMAND...: the last line that the command prints stands beside its result, of tests how many passed.
check() {
    local name=$1 begin=$SECONDS code=0 result=passed line
    shift
    : >"$scratch/log"
    : >"$scratch/errors"
    if [ "$(seconds_left)" -lt 10 ]; then
        tell "| $name | **not begun**: no time left | | |"
        failures=$((failures + 1))
        return 0
    fi
    say "$name"
    "$@" >"$scratch/log" 2>"$scratch/errors" </dev/null || code=$?
    case $code in
    0) ;;
    69) result="passed, without the peer" ;; # scripts/compare_speed.py
    124 | 137) result="**not finished**" ;;
    *) result="**failed**" ;;
    esac
    { printf '\n==== %s: %s\n\n' "$name" "$result" && cat "$scratch/log" "$scratch/errors"; } >>"$output.log"
    line=$(tail -n 1 "$scratch/log")
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

# in_shards SECONDS PROGRAM FILTER: tests in as many parts as there are cores: those after one at which the GPU gave up are lost, but only in its part.
# Prints what failed, then its names, then how many passed.
in_shards() {
    local count shard code=0 processes=() failed=()
    count=$(nproc)
    for ((shard = 0; shard < count; ++shard)); do
        OMP_NUM_THREADS=2 GTEST_TOTAL_SHARDS=$count GTEST_SHARD_INDEX=$shard \
            within "$1" "$2" --gtest_filter="$3" >"$scratch/shard$shard" 2>&1 &
        processes+=($!)
    done
    for ((shard = 0; shard < count; ++shard)); do
        wait "${processes[shard]}" && continue
        code=$?
        cat "$scratch/shard$shard"
        failed+=("$scratch/shard$shard")
    done
    for shard in "${failed[@]}"; do
        sed -n 's/^\[  FAILED  \] \([^ ,]*\).* ms)$/failed: \1/p' "$shard"
        grep -q '^\[  PASSED  \]' "$shard" || grep '^\[ RUN' "$shard" | tail -n 1 | sed 's/^\[ RUN *\] /ended in: /'
    done
    cat "$scratch"/shard* | awk '/^\[  PASSED  \]/ { passed += $4 } END { print passed + 0, "tests passed" }'
    rm "$scratch"/shard*
    return $code
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
trap 'end_of_part; rm -rf "$scratch"' EXIT # also when somebody stops us

if [ ! -s "$output" ]; then
    tell "# GPU check"
    tell ""
    tell "Commit $commit, device $device, $(date -u +%F)."
    if [ "$device" = cuda ]; then
        tell "$(nvidia-smi --query-gpu=name,memory.total,driver_version,clocks.sm,clocks.max.sm,power.limit --format=csv,noheader 2>&1 | head -n 1)."
    fi
fi

if part tests; then
    # Of the kernels' tests those of the processor alone run as well: a minute, and nobody has to name those that run on both.
    tests='*Gpu*:*Device*:*Fused*:*Simt*' kernel_tests=$tests
    [ "$device" = cuda ] && tests='*Gpu*:*Device*-*simt*:*Simt*' kernel_tests='-*simt*:*Simt*'
    seconds=180
    [ "$device" = simt ] && seconds=1200
    check "kernels tests" in_shards "$seconds" "$build/tests/kernels_tests" "$kernel_tests"
    for room in model train; do check "$room tests" in_shards "$seconds" "$build/tests/${room}_tests" "$tests"; done
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
    within 60 "$locus" train "$scratch/run.yaml" --set run.name="$name" run.directory="$scratch/runs" train.steps="$steps" "$@"
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

# ---- compute-sanitizer: 10 to 100 times slower, so tests of small shapes, and limits ----
#
# Only our own kernels, which all have `locus` in their names: cuBLASLt's are not ours to mend. But initcheck has to see those write, too, or what they wrote would
# be new to it. Calls that CUDA refuses are no finding: tests ask for some, and the update of a graph may be refused.

sanitize() { # tool, of what, program, filter
    local seconds=60 command=(compute-sanitizer --tool "$1" --error-exitcode 1 --report-api-errors no --print-limit 20)
    [ "$1" = initcheck ] || command+=(--kernel-name kns=locus)
    [ "$1" = memcheck ] && seconds=120 command+=(--destroy-on-device-error kernel) # go on after a finding
    check "$1 of $2" within "$seconds" "${command[@]}" "$build/tests/$3" --gtest_filter="$4"
}

sanitizer_part() { # tool
    part "$1" || return 0
    if [ "$device" = cuda ] && command -v compute-sanitizer >/dev/null; then
        sanitize "$1" "attention on tensor cores" kernels_tests '*Fused*-*Length*:*Over*:*Long*:*simt*:*Simt*'
        sanitize "$1" "other kernels" kernels_tests '*Gpu*:*SumsTheColumns*-*Fused*:*Length*:*Over*:*Long*:*simt*:*Simt*'
        sanitize "$1" "whole models" model_tests \
            '*OnTensorCores*:*TrainsDeberta*:*AsOnTheProcessor/rnn:*AsOnTheProcessor/linear_recurrence:*AsOnTheProcessor/tupe-*Long*'
    else
        tell "| $1 | left out: no compute-sanitizer for $device | | |"
    fi
    end_of_part
}

sanitizer_part memcheck

# ---- speed: only a GPU has any ----

# A step of `locus bench` is seven of the model: one whose parts are timed, two and four that are queued behind each other.
compare() { # what compare_speed.py is asked for
    within 400 "$python" scripts/compare_speed.py --device cuda --locus "$locus" --python "$python" --precision bfloat16 --rounds 2 --steps 6 "$@"
}
bench() { within 120 "$locus" bench "$@" --steps 6 --warmup 2 --set run.device=cuda run.precision=bfloat16 train.gradient_accumulation=1; }
no_speed() { tell "| all of it | left out: $device has no speed | | |"; }

if part speed; then
    if [ "$device" = cuda ]; then
        listed "where the time of BERT-base goes" bench configs/bert-base.yaml
        shown "BERT-base, length 512, beside PyTorch eager" compare --size base --length 512
        shown "BERT-base, lengths 512 and 128, beside transformers with torch.compile" \
            compare --size base --length 512 128 --library transformers --compile --rounds 1
    else
        no_speed
    fi
    end_of_part
fi

if part kernels; then
    benchmark=$build/tests/benchmarks/gpu_benchmark
    if [ -x "$benchmark" ]; then
        shown "kernels and attention" within 300 "$python" scripts/compare_kernels.py \
            --benchmark "$benchmark" --python "$python" --device "$device"
    else
        tell "| kernels and attention | left out: $benchmark is not there (-DLOCUS_BENCHMARKS=ON builds it) | | |"
    fi
    end_of_part
fi

if part deberta; then
    if [ "$device" = cuda ]; then
        shown "DeBERTa-base beside our BERT-base, steps in turns" \
            compare --size base --length 512 128 --library transformers --encodings absolute disentangled --rounds 1
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

if part memory; then
    lengths=(2048 4096 8192 16384)
    [ "$device" = simt ] && lengths=(64 128)
    shown "activations by length" within 120 python3 scripts/measure_memory.py --program "$locus" --encodings absolute disentangled \
        --lengths "${lengths[@]}" --set run.device="$device" run.precision=bfloat16
    if [ "$device" = cuda ]; then
        listed "a step of DeBERTa-base, 1 x 16,384 tokens" within 120 "$locus" bench configs/deberta-base.yaml --steps 3 --warmup 1 \
            --set data.sequence_length=16384 model.max_length=16384 train.batch_size=1 train.gradient_accumulation=1 run.device=cuda run.precision=bfloat16
    fi
    end_of_part
fi

if part small; then
    if [ "$device" = cuda ]; then
        shown "BERT, small and tiny, beside PyTorch eager" compare --size small tiny --steps 12
        shown "the same in float32" compare --size small tiny --steps 12 --precision float32
    else
        no_speed
    fi
    end_of_part
fi

sanitizer_part racecheck
sanitizer_part synccheck
sanitizer_part initcheck

cat "$output"
say "$failures failed; the report is $output"
[ "$failures" -eq 0 ]
