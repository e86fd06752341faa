#!/usr/bin/env python3
"""How long a training run takes from its start as a program to its first step, on data that was prepared before.

    scripts/measure_start.py configs/quickstart.yaml
    scripts/measure_start.py configs/bert-tiny.yaml --set data.train=[train.txt] data.valid=[valid.txt]

The first round prepares the data and does not count. Two times are told, medians with the lowest and the highest: until the plan is printed (weights
made, data open), and until the validation of step 0 is over, when the first step begins.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOMENTS = {"the plan": b"plan: ", "the first step": b"step 0: validation"}


class StartError(Exception):
    """A run that ended before its first step."""


def start_once(command):
    """{moment: seconds since the program was started}; the run is stopped when all have come."""
    seen, output = {}, b""
    begin = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
        while len(seen) < len(MOMENTS):
            part = program.stdout.read1()
            if not part:
                raise StartError("the run ended before its first step:\n" + output.decode(errors="replace"))
            output += part
            now = time.monotonic() - begin
            for moment, text in MOMENTS.items():
                if text in output:
                    seen.setdefault(moment, now)
        program.kill()
    return seen


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--locus", default=ROOT / "build" / "release" / "locus", help="the program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as for locus train")
    options = parser.parse_args(arguments)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds + 1):
            command = [options.locus, "train", options.config, "--set", f"run.name=start-{number}", f"run.directory={folder}", *options.set]
            try:
                rounds.append(start_once([str(part) for part in command]))
            except (OSError, StartError) as error:
                sys.exit(f"error: {error}")
    for moment in MOMENTS:
        seconds = [one[moment] for one in rounds[1:]]
        print(f"until {moment}: {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
