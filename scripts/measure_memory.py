#!/usr/bin/env python3
"""Memory of a training step against the length of the sequence, for every position encoding: it must grow no faster than the length.

    scripts/measure_memory.py                                                      all encodings, one sequence of 128 to 16,384 tokens
    scripts/measure_memory.py --encodings absolute disentangled --lengths 1024 2048 4096
    scripts/measure_memory.py --set model.recompute=true

Two figures for each length: the activations, which are the most that a step holds in its arena (values, gradients, scratch; `activation_bytes` of
`locus bench`), and the largest resident set of the whole process, with weights, optimizer and libraries. Nothing is subtracted from
either. The slope is that of the least-squares line through (log length, log activations): 1 is linear, 2 would be a matrix of all pairs.
What does not grow with the length makes it smaller than it should be, so the last doubling is told, too: 2 is linear, 4 quadratic.

The model is tiny, 2 layers of 64, so that the attention over 16,384 tokens takes seconds; each encoding has its initial options and tables as long as
the sequence (max_length). Exit code 1 when a slope is above --limit, or the last doubling above 2 to the power of it.
"""

import argparse
import csv
import math
import pathlib
import sys
import tempfile

from measured_program import ProgramError, run_json

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIGURATION = """run: {{name: memory, threads: {threads}}}
data:
  synthetic: {{megabytes: 1}}
  tokenizer: {{type: bytes}}
  sequence_length: {length}
  masking: {{probability: 0.15}}
model: {{layers: 2, hidden: 64, heads: 2, feed_forward: 256, max_length: {rows}, position: {position}}}
train: {{batch_size: 1}}
"""
WRAPPERS = ("randomized", "shape")  # give out positions for another encoding, from a table that has room for more than the sequence
COLUMNS = ["encoding", "length", "activation_bytes", "peak_memory_bytes"]


def all_encodings():
    return sorted(path.stem for path in (ROOT / "configs" / "position").glob("*.yaml"))


def configuration(encoding, length, threads):
    is_wrapper = encoding in WRAPPERS
    return CONFIGURATION.format(length=length, rows=2 * length if is_wrapper else length, threads=threads,
                                position=f"[{encoding}, absolute]" if is_wrapper else encoding)


def measure(encoding, length, options, folder):
    """A row of COLUMNS."""
    path = pathlib.Path(folder, f"{encoding}-{length}.yaml")
    path.write_text(configuration(encoding, length, options.threads), encoding="utf-8")
    command = [options.program, "bench", path, "--json", "--steps", "1", "--warmup", "0"]
    result = run_json(command + (["--set", *options.set] if options.set else []))
    return dict(zip(COLUMNS, (encoding, length, result["activation_bytes"], result["peak_memory_bytes"])))


def slope(lengths, values):
    """Of the least-squares line through the logarithms."""
    x, y = [math.log(length) for length in lengths], [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


class Growth:
    """How the activations of an encoding grow."""

    def __init__(self, rows):
        self.rows = rows
        lengths, values = [row["length"] for row in rows], [row["activation_bytes"] for row in rows]
        self.slope = slope(lengths, values)
        self.last_slope = slope(lengths[-2:], values[-2:])

    def is_within(self, limit):
        return self.slope <= limit and self.last_slope <= limit


def table(growths):
    lengths = [row["length"] for row in next(iter(growths.values())).rows]
    heads = [f"{length:,}" for length in lengths]
    lines = [f"| encoding | {' | '.join(heads)} | slope | last doubling | resident at {heads[-1]} |", "|---|" + "---:|" * (len(heads) + 3)]
    for encoding, growth in growths.items():
        cells = [f"{row['activation_bytes'] / 2**20:,.1f}" for row in growth.rows]
        lines.append(f"| {encoding} | {' | '.join(cells)} | {growth.slope:.3f} | {2**growth.last_slope:.2f} | "
                     f"{growth.rows[-1]['peak_memory_bytes'] / 2**20:,.0f} |")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    parser.add_argument("--encodings", nargs="+", choices=all_encodings(), default=all_encodings(), metavar="NAME")
    parser.add_argument("--lengths", type=int, nargs="+", default=[2**power for power in range(7, 15)])
    parser.add_argument("--limit", type=float, default=1.05)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores that the process may use")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for every run, such as model.recompute=true")
    parser.add_argument("--csv", type=pathlib.Path, help="also write every figure into this file, in bytes")
    options = parser.parse_args(arguments)
    if len(options.lengths) < 2 or any(after != 2 * before for before, after in zip(options.lengths, options.lengths[1:])):
        parser.error("--lengths: at least two, each twice the one before")
    growths = {}
    try:
        with tempfile.TemporaryDirectory(prefix="locus-memory-") as folder:
            for encoding in options.encodings:
                print(f"\r{len(growths) + 1} of {len(options.encodings)}: {encoding}        ", end="", file=sys.stderr, flush=True)
                growths[encoding] = Growth([measure(encoding, length, options, folder) for length in options.lengths])
            print(file=sys.stderr)
        if options.csv:
            with options.csv.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(row for growth in growths.values() for row in growth.rows)
    except (ProgramError, OSError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    print("Activations of a training step in MiB, by tokens of the one sequence:\n")
    print(table(growths))
    beyond = [encoding for encoding, growth in growths.items() if not growth.is_within(options.limit)]
    if beyond:
        print(f"\nfaster than length^{options.limit}: {', '.join(beyond)}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
