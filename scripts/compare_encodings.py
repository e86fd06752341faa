#!/usr/bin/env python3
"""Trains every position encoding on the same text with the same seed, and prints a Markdown table.

    scripts/compare_encodings.py --train english.train.txt.zst --valid english.valid.txt.zst
    scripts/compare_encodings.py --train t.txt --valid v.txt --only none absolute rope --steps 300

A small model (2 layers, 64 wide) reads bytes, 32 at a time, so that order matters from the first hundreds of steps on: a word can be guessed from its
neighbours as a bag, a letter cannot. Each run is a file of configs/position/ on this text, and differs from the others in the encoding alone: batches, masks
and all weights that two models have in common are the same. A run that has finished is not repeated, one that was interrupted goes on.
All runs come first, --jobs at a time with one thread each; then the speeds, one after the other with all threads. Columns:

    loss         of the validation text at the end, in nats per masked byte; "against absolute": the difference
    ratio        speed of training steps as `locus bench` measures it, in turns with `absolute`: medians of three rounds
    peak memory  largest resident set of the training process
"""

import argparse
import concurrent.futures
import csv
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLUMNS = ["encoding", "loss", "against absolute", "masked accuracy", "parameters", "tokens/s", "ratio", "peak memory"]


def command(options, verb, encoding, *more):
    """A run of locus with the encoding's YAML, and what all runs of the comparison have in common."""
    values = {"run.name": encoding, "run.directory": options.directory, "run.seed": 1, "data.synthetic": "null",
              "data.train": json.dumps(options.train), "data.valid": json.dumps(options.valid), "data.tokenizer": "{type: bytes}",
              "data.sequence_length": 32, "data.masking.probability": 0.15, "model.hidden": 64, "model.layers": 2, "model.feed_forward": 256,
              "train.batch_size": 128, "train.steps": options.steps, "train.evaluate_every": 100, "train.checkpoint_every": 200}
    settings = [f"{key}={value}" for key, value in values.items()]
    return [options.locus, verb, ROOT / "configs/position" / f"{encoding}.yaml", *more, "--set", *settings]


def train(options, encoding):
    """Returns the largest resident set in MiB."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command(options, "train", encoding, "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=alone)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"compare_encodings.py: training of {encoding} ended with code {os.waitstatus_to_exitcode(status)}; see {options.directory / encoding / 'log.txt'}")
    return usage.ru_maxrss / 1024


def bench(options, encoding):
    done = subprocess.run(command(options, "bench", encoding, "--steps", "10", "--json"), capture_output=True, text=True, check=True)
    return json.loads(done.stdout[done.stdout.index("{"):])["tokens_per_second"]


def speeds(options, encoding):
    """Medians over three rounds in turns: (this encoding, absolute beside it)."""
    pairs = [(bench(options, encoding), bench(options, "absolute")) for _ in range(3)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def kept(file, measure):
    """What the file holds; measured and written into it where there is none."""
    if not file.exists():
        file.write_text(json.dumps(measure()) + "\n")
    return json.loads(file.read_text())


def trained(options, encoding):
    """Trains, and reads the end of the run."""
    folder = options.directory / encoding
    print(f"training {encoding} in {folder}", file=sys.stderr)
    memory = train(options, encoding)
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        last = [row for row in csv.DictReader(file) if row["split"] == "valid"][-1]
    info = subprocess.run([options.locus, "info", folder], capture_output=True, text=True, check=True).stdout
    parameters = next(line.split()[1] for line in info.splitlines() if line.startswith("parameters"))
    return {"loss": float(last["loss"]), "accuracy": float(last["masked_accuracy"]), "parameters": parameters, "memory": memory}


def timed(options, encoding):
    print(f"measuring the speed of {encoding}", file=sys.stderr)
    ours, absolute = speeds(options, encoding)
    return {"tokens_per_second": ours, "ratio": ours / absolute}


def table(results):
    absolute = results.get("absolute", {}).get("loss")
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    for encoding, found in sorted(results.items(), key=lambda item: item[1]["loss"]):
        against = f"{found['loss'] - absolute:+.3f}" if absolute is not None else ""
        lines.append(f"| {encoding} | {found['loss']:.3f} | {against} | {100 * found['accuracy']:.1f} % | {found['parameters']} | "
                     f"{found['tokens_per_second'] / 1000:.1f}k | {found['ratio']:.2f} | {found['memory']:.0f} MiB |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True, type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--valid", nargs="+", required=True, type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--only", nargs="+", metavar="ENCODING", help="default: every file of configs/position/")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings side by side (default: one for each core)")
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("runs/encodings"))
    parser.add_argument("--locus", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    parser.add_argument("--output", type=pathlib.Path, help="also write the table into this file")
    options = parser.parse_args()
    options.directory = options.directory.resolve()
    encodings = options.only or sorted(path.stem for path in (ROOT / "configs/position").glob("*.yaml"))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as jobs:
        started = {encoding: jobs.submit(kept, options.directory / encoding / "trained.json", functools.partial(trained, options, encoding))
                   for encoding in encodings}
    runs = {encoding: run.result() for encoding, run in started.items()}
    speed = {encoding: kept(options.directory / encoding / "speed.json", lambda: timed(options, encoding)) for encoding in encodings}
    results = {encoding: runs[encoding] | speed[encoding] for encoding in encodings}
    text = table(results)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
