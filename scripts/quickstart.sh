#!/usr/bin/env bash
# From a fresh clone to a trained model in a few minutes, without a download of data: installs what is missing, builds, trains a small BERT on
# a corpus that the program makes itself, draws the loss curve, fills masks, and compares position encodings with each other. Run it again and
# it goes on where it stopped.
#
#   scripts/quickstart.sh [--prefix DIR] [--no-compare] [--set key=value ...]
#
#   --prefix DIR       for machines without root: packages are unpacked into DIR (see scripts/setup.sh)
#   --no-compare       leaves out the comparison of encodings, about six minutes on two cores
#   --set key=value    another value in configs/quickstart.yaml, such as --set train.steps=1000; may be repeated

prefix=
compares=yes
settings=()
name=quickstart
directory=runs
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

while [ $# -gt 0 ]; do
    case $1 in
    --prefix)
        [ -n "${2:-}" ] || fail "--prefix needs a folder"
        prefix=$(cd "$OLDPWD" && absolute_path "$2")
        shift 2
        ;;
    --set)
        [[ "${2:-}" == *=* ]] || fail "--set needs key=value"
        settings+=(--set "$2")
        case $2 in
        run.name=*) name=${2#*=} ;;
        run.directory=*) directory=${2#*=} ;;
        esac
        shift 2
        ;;
    --no-compare)
        compares=
        shift
        ;;
    -h | --help)
        sed -n '2,11s/^# \{0,1\}//p' scripts/quickstart.sh
        exit 0
        ;;
    *) fail "unknown argument '$1'; --help shows the options" ;;
    esac
done

sentences=("The keys near the old cabinet [MASK] missing." "A new store opened [MASK] the new mall."
    "Mara asked [MASK] whether the lamps were safe.")

say "1 of 5: packages"
set_up ${prefix:+--prefix "$prefix"}

say "2 of 5: building (the first time takes a minute or two)"
configure release
quietly "building" cmake --build --preset release --target locus
locus=$PWD/build/release/locus

say "3 of 5: training configs/quickstart.yaml"
run=$directory/$name
"$locus" train configs/quickstart.yaml --resume "${settings[@]}"

say "4 of 5: picture and masks"
if python=$(python_with_packages); then
    "$python" scripts/plot.py "$run" >/dev/null
    picture=$(absolute_path "$run/loss.png")
else
    picture="none: no python3 here has matplotlib"
fi
for sentence in "${sentences[@]}"; do
    printf '\n%s\n' "$sentence"
    "$locus" fill "$run" "$sentence" --top 3 | sed -n '2,$s/^/    /p'
done

printf '\nLoss curve:  %s\nCheckpoint:  %s\nIts numbers: %s\n' "$picture" "$(cd "$run/best" && pwd -P)" "$(absolute_path "$run/metrics.csv")"

[ -n "$compares" ] || exit 0
say "5 of 5: what position encodings do, and do beyond their length: configs/compare/quick.yaml"
"$locus" compare configs/compare/quick.yaml --set "compare.directory=$directory"
if [ -n "${python:-}" ]; then
    "$python" scripts/report.py "$directory/quick" --claims configs/compare/quick_claims.yaml >/dev/null
    printf '\nReport:      %s\n' "$(absolute_path "$directory/quick/report/report.html")"
fi
