#!/usr/bin/env python3
"""Checks `locus evaluate --lengths` against transformers, target by target. Exit code 1 when a check fails, 2 when it
cannot be made.

    python scripts/check_length_losses.py
    python scripts/check_length_losses.py --program build/release/locus --folder runs/check     keeps models and files

Trains tiny models for some steps: BERT with absolute positions and with relative_key_query, DeBERTa version 1 and 2, on
samples with and without [CLS] and [SEP]. `locus evaluate --targets` writes the corrupted windows, the targets and their
losses at every length. Here the same windows are cut into the same chunks anew, by what data/paired_windows.h says, and
go through BertForMaskedLM, DebertaForMaskedLM and DebertaV2ForMaskedLM. Checked are

    every target, every length that transformers takes   |loss of locus - loss of transformers| <= 1e-4 nats
    chunked                                              scores every target at every length
    centred                                              scores the same targets at every length
    the table of --csv                                   holds the means of the targets' losses
    two runs of the command                              write the same bytes

transformers refuses sequences that are longer than a table of positions; what Locus does beyond it (--beyond) has no
counterpart there and is not compared. relative_key_query needs transformers 4: version 5 has no relative positions in
BERT, and the model is then left out. Needs torch and transformers 4.57 or newer.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-4
LENGTHS = [16, 32, 64, 128, 256]
WINDOWS = 8
MAX_LENGTH = 128  # rows of the tables of positions; the last length is beyond
# First weights this large make attention uneven, so that the length shows in the losses (check_lengths_matter).
CONFIGURATION = """run: {{name: {name}, directory: {directory}, seed: 3, threads: 1}}
data: {{synthetic: {{megabytes: 1}}, tokenizer: {{type: bytes}}, sequence_length: 32, boundary: {boundary}}}
model: {{layers: 2, hidden: 64, heads: 4, feed_forward: 128, max_length: {max_length}, initializer_range: 0.15,
        dropout: {{hidden: 0, attention: 0}}, {model}}}
train: {{steps: 40, batch_size: 16, evaluate_every: 0, evaluate_samples: 64, checkpoint_every: 0,
        optimizer: {{learning_rate: 3e-3}}}}
"""
MODELS = {  # name: keys of model, class in transformers
    "absolute": ("position: absolute", "BertForMaskedLM"),
    "relative_key_query": ("position: relative_key_query", "BertForMaskedLM"),
    "deberta": ("architecture: deberta, mask_decoder: plain, position: {encoding: disentangled, max_distance: 48}",
                "DebertaForMaskedLM"),
    "deberta-v2": ("architecture: deberta-v2, mask_decoder: plain, "
                   "position: {encoding: disentangled, buckets: 16, max_distance: 64}", "DebertaV2ForMaskedLM"),
}
BOUNDARIES = ["none", "cls_sep"]


# ---------------------------------------------------------------- windows and chunks, as data/paired_windows.h has them

def cut_window(window, size, scheme):
    """The chunks of `size` tokens of a window of `window` tokens: [(begin, end, scored_begin, scored_end)].

    chunked: side by side, each scoring all of itself. centred: every size / 2 tokens, each scoring its central half,
    over the window's central half. A chunk that would reach over the window's end is moved back; what it scores stays.
    """
    if not 2 <= size <= window:
        raise ValueError(f"chunks of {size} tokens in a window of {window}")
    if scheme == "chunked":
        step, first, last = size, 0, window
    elif scheme == "centred":
        step, first = size // 2, (window - window // 2) // 2
        last = first + window // 2
    else:
        raise ValueError(f"no scheme is called {scheme}; there are chunked and centred")
    margin = (size - step) // 2
    chunks = []
    for at in range(first, last, step):
        begin = min(at - margin, window - size)
        chunks.append((begin, begin + size, at, min(at + step, last)))
    return chunks


def chunk_sequence(ids, chunk, specials):
    """The ids that the model reads: the chunk's part of the window, between `specials`, ([CLS], [SEP]) or None."""
    text = ids[chunk[0]:chunk[1]]
    return [specials[0], *text, specials[1]] if specials else text


def places_of(positions, chunks, specials):
    """(chunk, row of its sequence) where each target is scored; None where no chunk does."""
    first_row = 1 if specials else 0
    places = []
    for position in positions:
        found = [(number, position - begin + first_row)
                 for number, (begin, _, scored_begin, scored_end) in enumerate(chunks)
                 if scored_begin <= position < scored_end]
        if len(found) > 1:
            raise ValueError(f"the target at {position} is scored by {len(found)} chunks")
        places.append(found[0] if found else None)
    return places


def read_targets(path):
    """The lines of --targets."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# ---------------------------------------------------------------- transformers

def target_losses(model, line, specials):
    """-log p by a model of transformers of each target of a line of --targets; None where no chunk scores it."""
    import torch

    room = line["length"] - (2 if specials else 0)
    chunks = cut_window(len(line["ids"]), room, line["scheme"])
    sequences = torch.tensor([chunk_sequence(line["ids"], chunk, specials) for chunk in chunks])
    with torch.no_grad():
        logits = model(input_ids=sequences, attention_mask=torch.ones_like(sequences)).logits
    log_probabilities = logits.double().log_softmax(-1)
    return [None if place is None else -log_probabilities[place[0], place[1], target].item()
            for place, target in zip(places_of(line["positions"], chunks, specials), line["targets"])]


def takes(model, length):
    """Whether transformers runs a sequence of this length."""
    import torch

    try:
        with torch.no_grad():
            model(input_ids=torch.full((1, length), 7))
        return True
    except (IndexError, RuntimeError):  # no such row of a table; a buffer of positions that does not fit
        return False


def load_model(folder, class_name):
    import transformers

    return getattr(transformers, class_name).from_pretrained(folder, attn_implementation="eager").eval()


def special_ids(folder, boundary):
    """([CLS], [SEP]), or None where samples have none."""
    from transformers import AutoTokenizer

    if boundary == "none":
        return None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer.cls_token_id, tokenizer.sep_token_id


# ---------------------------------------------------------------- Locus

def run_locus(program, *arguments):
    from check_hugging_face import locus

    return locus(program, *arguments)


def train(program, folder, name, boundary, model):
    """Trains one of the models and returns its checkpoint."""
    config = folder / f"{name}.yaml"
    config.write_text(CONFIGURATION.format(name=name, directory=json.dumps(str(folder)), boundary=boundary, model=model,
                                           max_length=MAX_LENGTH), encoding="utf-8")
    run_locus(program, "train", config)
    return folder / name / "latest"


def evaluate(program, checkpoint, text, prefix):
    """Runs the command; returns the files of the targets and of the table."""
    targets, table = pathlib.Path(f"{prefix}.targets.jsonl"), pathlib.Path(f"{prefix}.csv")
    run_locus(program, "evaluate", checkpoint, "--text", text, "--lengths", ",".join(map(str, LENGTHS)),
              "--samples", WINDOWS, "--targets", targets, "--csv", table, "--threads", 1)
    return targets, table


def validation_text():
    """The held-out part of the synthetic corpus that the training wrote into the cache."""
    folder = pathlib.Path(os.environ["LOCUS_CACHE"], "synthetic")
    found = sorted(folder.glob("*/valid.txt"))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder}: expected the one corpus that locus train writes, found {len(found)}")
    return found[0]


# ---------------------------------------------------------------- the checks

def check_losses(checks, what, model, lines, specials):
    """A line of output for each scheme and length."""
    for scheme in ("chunked", "centred"):
        for length in LENGTHS:
            label = f"{what}, {scheme}, {length}"
            chosen = [line for line in lines if (line["scheme"], line["length"]) == (scheme, length)]
            if not takes(model, length):
                if length <= MAX_LENGTH:
                    checks.add(label, False, "transformers refuses this length")
                else:
                    print(f"        {label:<66} beyond the table: refused by transformers, not compared")
                continue
            check_length(checks, label, model, chosen, specials)


def check_length(checks, label, model, lines, specials):
    """Windows of one length and scheme; a policy of --beyond must change nothing within the table."""
    targets, largest, same_places = set(), 0.0, True
    for line in lines:
        theirs = target_losses(model, line, specials)
        same_places = same_places and [loss is None for loss in theirs] == [loss is None for loss in line["losses"]]
        for position, one, other in zip(line["positions"], line["losses"], theirs):
            if None not in (one, other):
                targets.add((line["window"], position))
                largest = max(largest, math.inf if math.isnan(one - other) else abs(one - other))
    policies = len({line["beyond"] for line in lines})
    detail = f"{len(targets)} targets, largest difference {largest:.1e}"
    if policies > 1:
        detail += f", under {policies} policies"
    if not same_places:
        detail += "; not the same targets are scored"
    checks.add(label, len(targets) > 0 and same_places and largest <= TOLERANCE, detail)


def scored_sets(lines, scheme):
    """By window: the sets of scored targets that its lengths and policies have; one set when all agree."""
    found = {}
    for line in lines:
        if line["scheme"] == scheme:
            scored = frozenset(place for place, loss in zip(line["positions"], line["losses"]) if loss is not None)
            found.setdefault(line["window"], set()).add(scored)
    return found


def check_pairing(checks, what, lines):
    windows = {line["window"]: line for line in lines}
    keys = "ids", "positions", "targets"
    same_text = all(line[key] == windows[line["window"]][key] for line in lines for key in keys)
    checks.add(f"{what}: the same corrupted text at every length", same_text and len(windows) == WINDOWS)
    missing = sum(loss is None for line in lines if line["scheme"] == "chunked" for loss in line["losses"])
    checks.add(f"{what}: chunked scores every target at every length", missing == 0, f"{missing} without a loss")
    same_targets = all(len(sets) == 1 for sets in scored_sets(lines, "centred").values())
    checks.add(f"{what}: centred scores the same targets at every length", same_targets)


def check_table(checks, what, lines, table):
    """The rows of the bucket `all` are the means over the lines."""
    losses = {}
    for line in lines:
        key = line["beyond"], str(line["length"]), line["scheme"]
        losses.setdefault(key, []).extend(loss for loss in line["losses"] if loss is not None)
    means = {key: sum(found) / len(found) for key, found in losses.items()}
    with open(table, encoding="utf-8", newline="") as file:
        rows = {(row["beyond"], row["length"], row["scheme"]): float(row["loss"])
                for row in csv.DictReader(file) if row["bucket"] == "all"}
    largest = max((abs(rows[key] - means[key]) for key in rows.keys() & means.keys()), default=math.inf)
    checks.add(f"{what}: the table holds the means", rows.keys() == means.keys() and largest <= 1e-9,
               f"{len(rows)} rows, largest difference {largest:.1e}")


def check_lengths_matter(checks, what, lines):
    """Were losses all alike, at every length, then chunks cut wrongly would not show."""
    chunked = {length: [] for length in LENGTHS}
    for line in lines:
        if line["scheme"] == "chunked":
            chunked[line["length"]] += line["losses"]
    changes = [sum(abs(one - other) for one, other in zip(chunked[short], chunked[long])) / len(chunked[short])
               for short, long in zip(LENGTHS, LENGTHS[1:])]
    checks.add(f"{what}: the length matters to a target", min(changes) > 10 * TOLERANCE,
               f"mean change of a loss to the next length {min(changes):.1e} or more")


def check_model(checks, program, name, boundary, folder):
    what, (keys, class_name) = f"{name}, {boundary}", MODELS[name]
    checkpoint = train(program, folder, f"{name}-{boundary}", boundary, keys)
    text = validation_text()
    first, again = (evaluate(program, checkpoint, text, folder / f"{name}-{boundary}-{turn}") for turn in (1, 2))
    lines = read_targets(first[0])
    check_losses(checks, what, load_model(checkpoint, class_name), lines, special_ids(checkpoint, boundary))
    check_pairing(checks, what, lines)
    check_table(checks, what, lines, first[1])
    check_lengths_matter(checks, what, lines)
    same = all(one.read_bytes() == other.read_bytes() for one, other in zip(first, again))
    checks.add(f"{what}: a second run writes the same bytes", same)


def check_all(options, folder):
    import check_hugging_face

    os.environ["LOCUS_CACHE"] = str(folder / "cache")
    checks = check_hugging_face.Checks()
    for name in MODELS:
        if name == "relative_key_query" and check_hugging_face.VERSION_5:
            print(f"        {name}: left out, transformers 5 has no relative positions in BERT; version 4 has")
            continue
        for boundary in BOUNDARIES:
            check_model(checks, options.program, name, boundary, folder)
    print("all checks passed" if checks.failed == 0 else f"{checks.failed} checks failed")
    return int(checks.failed != 0)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    parser.add_argument("--folder", type=pathlib.Path, help="a new folder for models and files (default: temporary)")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
    try:
        import torch
        import transformers
    except ImportError as missing:
        print(f"error: this python has no {missing.name}; needed are torch and transformers 4.57", file=sys.stderr)
        return 2
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        if options.folder:
            options.folder.mkdir(parents=True)
            return check_all(options, options.folder)
        with tempfile.TemporaryDirectory(prefix="locus-length-losses-") as scratch:
            return check_all(options, pathlib.Path(scratch))
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
