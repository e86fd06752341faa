#!/usr/bin/env python3
"""Prints a Markdown table of finished runs, for docs/results/.

    scripts/results_table.py runs/english runs/chinese
    scripts/results_table.py --at 500,1000,2000 runs/english runs/other       validation losses at these steps

From each run folder: metrics.csv (losses, tokens, time), log.txt (unigram entropy of the training text) and latest/config.json
(vocabulary). "below unigram" is what the context is worth to the model: the unigram entropy less its lowest validation loss.
"""

import csv
import json
import math
import pathlib
import re
import statistics
import sys

COLUMNS = ["run", "steps", "tokens", "passes", "first loss", "ln V", "last loss", "lowest loss", "masked accuracy", "unigram entropy",
           "below unigram", "tokens/s", "hours"]


def last_match(pattern, text, what):
    found = re.findall(pattern, text, re.MULTILINE)
    if not found:
        sys.exit(f"results_table.py: {what} is not in the run's log.txt; was it made by another version?")
    return float(found[-1])


def row_of(folder):
    folder = pathlib.Path(folder)
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    valid = [row for row in rows if row["split"] == "valid"]
    speeds = [float(row["tokens_per_second"]) for row in rows if row["split"] == "train"]
    if not valid or not speeds:
        sys.exit(f"results_table.py: {folder}: no training step or no validation yet")
    losses = [float(row["loss"]) for row in valid]
    lowest = min(range(len(losses)), key=losses.__getitem__)
    log = (folder / "log.txt").read_text(encoding="utf-8")
    entropy = last_match(r"unigram entropy: ([0-9.]+) nats", log, "the unigram entropy")
    vocabulary = json.loads((folder / "latest" / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    last = valid[-1]
    return [folder.name, last["step"], f"{int(last['tokens']) / 1e6:.1f}M", f"{float(last['epoch']):.1f}", f"{losses[0]:.3f}",
            f"{math.log(vocabulary):.3f}", f"{losses[-1]:.3f}", f"{losses[lowest]:.3f}",
            f"{100 * float(valid[lowest]['masked_accuracy']):.1f} %", f"{entropy:.3f}", f"{entropy - losses[lowest]:.3f}",
            f"{statistics.median(speeds) / 1000:.1f}k", f"{float(last['elapsed_seconds']) / 3600:.2f}"]


def losses_at(folder, steps):
    folder = pathlib.Path(folder)
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        losses = {row["step"]: float(row["loss"]) for row in csv.DictReader(file) if row["split"] == "valid"}
    return [folder.name] + [f"{losses[step]:.3f}" if step in losses else "" for step in steps]


def print_table(columns, rows):
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def main(arguments):
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit(__doc__)
    if arguments[0] == "--at" and len(arguments) > 2:
        steps = arguments[1].split(",")
        print_table(["run"] + [f"step {step}" for step in steps], [losses_at(folder, steps) for folder in arguments[2:]])
    else:
        print_table(COLUMNS, [row_of(folder) for folder in arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
