#!/usr/bin/env python3
"""Compares tokenizers on one thread: `locus tokenizer` and Hugging Face's Rust library (peer_tokenizers.py), in turns; writes a Markdown table.

    scripts/compare_tokenizer_speed.py --python VENV/bin/python                      the synthetic corpus, English and Chinese, 8 MB each
    scripts/compare_tokenizer_speed.py --python VENV/bin/python my.txt --types wordpiece --rounds 5

Of each text (UTF-8, not packed) both learn a vocabulary, and both encode it with the vocabulary that Locus learnt, once in a process of its own:
no word was seen before. The ids of all lines are compared, and the script fails when one differs. Bytes need no training.

Each program tells the seconds of its own work, without its start. Reading the file counts for Locus when it trains, never for the peer. "user s" is the
processor's time, for Locus that of the whole process. Figures are medians over the rounds, with the lowest and the highest.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from peer_pytorch import cpu_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
TYPES = ["wordpiece", "characters", "bytes"]
# The shortest training there is: only its text is wanted.
CONFIGURATION = """run: {{name: {language}, directory: {directory}, threads: 1}}
data: {{synthetic: {{megabytes: {megabytes}, language: {language}}}, tokenizer: {{type: bytes}}, sequence_length: 16}}
model: {{layers: 1, hidden: 16, heads: 1, feed_forward: 16, max_length: 16, position: absolute}}
train: {{steps: 1, batch_size: 1, evaluate_samples: 1}}
"""


class CompareError(Exception):
    """A program that could not be run or failed, or ids that differ."""


# ---------------------------------------------------------------- programs

def run(command, text=None):
    """(what the program printed, its user time in seconds); `text`: the file that it reads from standard input."""
    command = [str(part) for part in command]
    try:
        with open(text or os.devnull, "rb") as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaint:
            process = subprocess.Popen(command, stdin=given, stdout=out, stderr=complaint)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            complaint.seek(0)
            printed, reasons = out.read().decode(), complaint.read().decode().strip().splitlines() or ["no message"]
    except OSError as error:
        raise CompareError(f"cannot run {' '.join(command)}: {error.strerror}") from None
    if process.returncode != 0:
        raise CompareError(f"{' '.join(command)} ended with code {process.returncode}: {reasons[-1]}")
    return printed, usage.ru_utime


def run_locus(command, text=None):
    """{"seconds", "user_seconds"} of a command that prints the line "time"."""
    printed, user = run(command, text)
    time = re.search(r"^time +([0-9.]+) s", printed, re.MULTILINE)
    if not time:
        raise CompareError(f"{' '.join(map(str, command))} printed no time")
    return {"seconds": float(time[1]), "user_seconds": user}


def run_peer(command):
    printed, _ = run(command)
    try:
        return json.loads(printed)
    except ValueError:
        raise CompareError(f"{' '.join(map(str, command))} wrote no JSON") from None


# ---------------------------------------------------------------- what is compared

class Comparison:
    """One text and one type of tokenizer."""

    def __init__(self, text, kind, options, folder):
        self.text, self.kind, self.options, self.folder = text, kind, options, folder
        self.peer = [options.python, ROOT / "scripts" / "peer_tokenizers.py"]
        self.vocabulary = folder / "0"  # of the first round; encodes
        self.ours, self.theirs = {"training": [], "encoding": []}, {"training": [], "encoding": []}

    def train(self, number):
        output = self.folder / str(number)
        result = run_locus([self.options.locus, "tokenizer", "train", self.text, "--type", self.kind, "--vocab-size", self.options.vocab_size,
                            "--character-coverage", "1", "--threads", "1", "--output", output])
        if self.kind == "bytes":
            return
        self.ours["training"].append(result)
        self.theirs["training"].append(run_peer(self.peer + ["train", self.kind, "--vocab-size", self.options.vocab_size, "--text", self.text,
                                                             "--output", self.folder / "peer.txt"]))

    def encode(self):
        self.ours["encoding"].append(run_locus([self.options.locus, "tokenizer", "encode", self.vocabulary, "--summary"], self.text))
        self.theirs["encoding"].append(run_peer(self.peer + ["encode", self.vocabulary, "--text", self.text]))

    def compare_ids(self):
        """How many lines were compared. Raises CompareError when one differs."""
        printed, _ = run([self.options.locus, "tokenizer", "encode", self.vocabulary, "--ids"], self.text)
        output = self.folder / "ids.txt"
        run_peer(self.peer + ["encode", self.vocabulary, "--text", self.text, "--output", output])
        ours = [line for line in printed.split("\n") if line]
        theirs = [line for line in output.read_text(encoding="utf-8").split("\n") if line]
        for number, (one, other) in enumerate(zip(ours, theirs), 1):
            if one != other:
                raise CompareError(f"{self.text}, {self.kind}: the ids of line {number} (blank ones not counted) differ:\n{one}\n{other}")
        if len(ours) != len(theirs) or not ours:
            raise CompareError(f"{self.text}, {self.kind}: {len(ours)} lines with ids, and {len(theirs)} of the peer")
        return len(ours)

    def vocabularies(self):
        """"8,187 of 8,192": tokens that both learnt."""
        ours, theirs = ((set(file.read_text(encoding="utf-8").split("\n")) - {""}) for file in
                        (self.vocabulary / "vocab.txt", self.folder / "peer.txt"))
        return f"{len(ours & theirs):,} of {len(ours):,}"


def write_synthetic(options, folder):
    """The training texts of the synthetic corpora: [(name, file)]."""
    texts = []
    for language in ("english", "chinese"):
        cache = folder / "cache" / language
        config = folder / f"{language}.yaml"
        config.write_text(CONFIGURATION.format(language=language, directory=json.dumps(str(folder / "runs")), megabytes=options.megabytes))
        run(["env", f"LOCUS_CACHE={cache}", options.locus, "train", config])
        found = sorted(cache.glob("synthetic/*/train.txt"))
        if len(found) != 1:
            raise CompareError(f"{cache}: expected the one corpus that locus train writes, found {len(found)}")
        texts.append((f"synthetic {language}", found[0]))
    return texts


def measure(options, folder):
    """Comparisons, one after the other for each text and type."""
    texts = [(file.name, file) for file in options.text] or write_synthetic(options, folder)
    results = []
    for name, file in texts:
        for kind in options.types:
            place = folder / "vocabularies" / str(len(results))
            place.mkdir(parents=True)
            comparison = Comparison(file, kind, options, place)
            for done in range(options.rounds):
                print(f"{name}, {kind}: round {done + 1} of {options.rounds}", file=sys.stderr)
                comparison.train(done)
                comparison.encode()
            results.append((name, comparison))
    return results


# ---------------------------------------------------------------- the table

def row(program, results, megabytes):
    speeds = [megabytes / max(result["seconds"], 1e-3) for result in results]
    user = statistics.median(result["user_seconds"] for result in results)
    return f"{program} | {statistics.median(speeds):,.1f} ({min(speeds):,.1f} to {max(speeds):,.1f}) | {user:.2f}"


def table(results):
    lines = ["| text | tokenizer | work | program | MB/s: median (range) | user s | ratio |", "|---|---|---|---|---:|---:|---:|"]
    for name, comparison in results:
        megabytes = comparison.text.stat().st_size / 1e6
        for work, ours in comparison.ours.items():
            theirs = comparison.theirs[work]
            if not ours:
                continue
            ratio = statistics.median(result["seconds"] for result in theirs) / max(1e-3, statistics.median(result["seconds"] for result in ours))
            lines.append(f"| {name}, {megabytes:.1f} MB | {comparison.kind} | {work} | {row('Locus', ours, megabytes)} | **{ratio:.1f}** |")
            lines.append(f"| | | | {row('tokenizers', theirs, megabytes)} | 1 |")
    return "\n".join(lines)


def notes(results, options):
    """What stands below the table. Raises CompareError when ids differ."""
    compared = sum(comparison.compare_ids() for _, comparison in results)
    first = results[0][1]
    lines = [f"{cpu_name()}, one thread each; {run([options.locus, '--version'])[0].strip()}, tokenizers {first.theirs['encoding'][0]['version']}; "
             f"{options.rounds} rounds in turns, medians. The ids of {compared:,} lines are the same in both."]
    learnt = [f"{name}, {comparison.kind}: {comparison.vocabularies()}" for name, comparison in results if comparison.kind != "bytes"]
    if learnt:
        lines.append(f"Tokens that both learnt: {'; '.join(learnt)}.")
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", nargs="*", type=pathlib.Path, help="files (default: the synthetic corpora)")
    parser.add_argument("--python", default=sys.executable, help="a python that has tokenizers (default: the one that runs this script)")
    parser.add_argument("--locus", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    parser.add_argument("--types", nargs="+", choices=TYPES, default=TYPES)
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--megabytes", type=int, default=8, help="of each synthetic corpus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, help="also write the table into this file")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="locus-tokenizer-speed-") as folder:
            results = measure(options, pathlib.Path(folder))
            text = f"{table(results)}\n\n{notes(results, options)}"
        print(text)
        if options.output:
            options.output.write_text(text + "\n", encoding="utf-8")
    except (CompareError, OSError) as error:
        print(f"compare_tokenizer_speed.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
