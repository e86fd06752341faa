#!/usr/bin/env python3
"""Speed and memory of a training step against the length: scripts/measure_lengths.py runs/notes

Every run of a block, with as many sequences as make 4,096 tokens a step, so that only the length changes: what grows is what an encoding and
attention cost per token. One thread. `locus bench` measures each a few times in turns, so that a busy minute of the machine meets all of them; read medians.

Writes speed_by_length.csv beside runs.csv, a row for each measurement; a second call adds what is missing."""

import argparse
import csv
import pathlib
import sys

from measured_program import ProgramError, run_json

COLUMNS = ["run", "length", "repeat", "forward_seconds", "step_seconds", "tokens", "peak_memory_bytes"]
TOKENS = 4096


def bench(program, configuration, length):
    """(forward seconds, step seconds, peak memory) of one training step."""
    overrides = [f"data.sequence_length={length}", f"train.batch_size={TOKENS // length}", "run.threads=1"]
    if "encoding: absolute" in configuration.read_text():
        overrides.append(f"model.max_length={length}")  # the only table here that a longer sequence does not fit into
    command = [program, "bench", str(configuration), "--json", "--steps", "3", "--warmup", "1", "--set", *overrides]
    result = run_json(command, {"OMP_NUM_THREADS": "1"})
    return result["forward_seconds"], result["seconds_per_step"], result["peak_memory_bytes"]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("comparison", type=pathlib.Path, help="folder that `locus compare` wrote")
    parser.add_argument("--block", default="english")
    parser.add_argument("--program", default="build/release/locus")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    if any(length < 8 or TOKENS % length for length in options.lengths):
        parser.error(f"--lengths: each must divide {TOKENS}")
    found = sorted((options.comparison / options.block).glob("*/seed-*/config.yaml"), reverse=True)
    configurations = {path.parent.parent.name: path for path in found}  # of the first seed
    runs = sorted(configurations)
    if not runs:
        print(f"error: {options.comparison}/{options.block}: no runs; `locus compare` makes them", file=sys.stderr)
        return 2
    target = options.comparison / "speed_by_length.csv"
    done = set()
    if target.exists():
        with target.open() as file:
            done = {(row["run"], int(row["length"]), int(row["repeat"])) for row in csv.DictReader(file)}
    else:
        target.write_text(",".join(COLUMNS) + "\n")
    work = [(run, length, repeat) for repeat in range(options.repeats) for length in options.lengths for run in runs]
    work = [item for item in work if item not in done]
    for number, (run, length, repeat) in enumerate(work, 1):
        try:
            measured = bench(options.program, configurations[run], length)
        except (OSError, ProgramError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        with target.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([run, length, repeat, *measured[:2], TOKENS, measured[2]])
        print(f"\r{number} of {len(work)}: {run} at {length}        ", end="", file=sys.stderr, flush=True)
    print(f"\n{target}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
