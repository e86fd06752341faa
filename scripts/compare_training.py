#!/usr/bin/env python3
"""Trains the same BERT with Locus and with PyTorch, several seeds each, and compares where they end. Exit code 1 when
the mean difference of the final losses is above 0.01 nats, 2 when the comparison cannot be made.

    python scripts/compare_training.py                                          synthetic text, five seeds, 2,000 steps
    python scripts/compare_training.py --train text.txt --valid held-out.txt    text of your own (.txt or .txt.zst)
    python scripts/compare_training.py --steps 100 --seeds 1 2 --output runs/try

The model: 2 layers of 64, 4 heads, feed-forward 256, learned absolute positions that start as waves, dropout 0.1,
8 bytes. The training: 2,048 tokens a step, 30 % of them masked, AdamW with warm-up and linear decay, clipping to
norm 1. Longer sequences (--length) take longer to leave the plateau of the bag of words, each seed at another step, and
single runs then end tenths of a nat apart: five seeds of such runs cannot show an agreement within 0.01.

In PyTorch a seed starts from the weights that Locus has before its first step with that seed, and draws its own order
of the text, masks and dropout; the model is transformers' BertForMaskedLM. Single runs therefore differ, and what is
compared is the mean over seeds:

    difference of a seed   loss of PyTorch - loss of Locus, after the last step, on the same masked held-out windows
    interval               mean +- t(0.975, seeds - 1) deviation / sqrt(seeds)

Three things are made sure of on the way, and end the comparison when they do not hold: both cut the text into the same
windows, the learning rates are those of Locus's metrics.csv, and transformers gives Locus's final weights the loss that
Locus gives them. A difference that is left: where PyTorch clips, it divides by the gradient's norm + 1e-6.

Results are kept seed by seed in OUTPUT/seeds.csv, with the seconds of training; the same command goes on after a stop.
One thread. Needs torch and transformers 4.57 or newer, and zstd for .zst.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARGIN = 1e-2     # nats, of the mean difference
TOLERANCE = 1e-4  # nats, of one model's loss in two programs
TOKENS, WINDOWS = 2048, 2048  # of a step; of the validation text
MASKED_SHARE, PEAK, WARMUP = 0.3, 4e-3, 50
BETAS, EPSILON, DECAY, CLIP = (0.9, 0.98), 1e-6, 0.01, 1.0
MASK, FIRST_BYTE, VOCABULARY = 4, 5, 261  # data/byte_tokenizer.h: five special tokens, then the bytes in order
COLUMNS = ["seed", "targets", "locus_loss", "pytorch_loss", "difference", "locus_seconds", "pytorch_seconds"]


def configuration(source, steps, length):
    """Of Locus, without the run; `source`: the keys of data that name the text."""
    return {
        "data": {**source, "tokenizer": {"type": "bytes"}, "sequence_length": length, "boundary": "none",
                 "masking": {"probability": MASKED_SHARE}},
        "model": {"layers": 2, "hidden": 64, "heads": 4, "feed_forward": 256, "max_length": length,
                  "dropout": {"hidden": 0.1, "attention": 0.1}, "initializer_range": 0.05,
                  "position": {"encoding": "absolute", "initial": "sinusoidal"}},
        "train": {"steps": steps, "batch_size": TOKENS // length,
                  "optimizer": {"learning_rate": PEAK, "betas": list(BETAS), "epsilon": EPSILON, "weight_decay": DECAY,
                                "clip": CLIP},
                  "schedule": {"type": "linear", "warmup": WARMUP},
                  "log_every": 10, "evaluate_every": 0, "evaluate_samples": 1024, "checkpoint_every": 500},
    }


def learning_rate(step, steps):
    """As train/schedule.h has it; the first step is 1, and the last one's rate is 0."""
    return PEAK * step / WARMUP if step <= WARMUP else PEAK * (steps - step) / (steps - WARMUP)


# ---------------------------------------------------------------- Locus

def train_locus(options, folder, seed, *changes):
    """Trains, or goes on, and returns the last checkpoint."""
    from check_hugging_face import locus

    folder.mkdir(parents=True, exist_ok=True)
    locus(options.program, "train", options.output / "config.yaml", "--resume", "--set", f"run.name=seed-{seed}",
          f"run.directory={json.dumps(str(folder))}", f"run.seed={seed}", "run.threads=1", *changes)
    return folder / f"seed-{seed}" / "latest"


def first_weights(options, seed):
    """The weights before the first step: a run of one step, which as the last of a linear schedule has the rate 0."""
    return train_locus(options, options.output / "first", seed, "train.steps=1", "train.schedule.warmup=0")


def locus_losses(options, checkpoint, valid):
    """The windows of the validation text, with Locus's loss of each target: lines of --targets."""
    from check_hugging_face import locus
    from check_length_losses import read_targets

    targets = options.output / "targets.jsonl"
    locus(options.program, "evaluate", checkpoint, "--text", valid, "--lengths", options.length, "--schemes", "chunked",
          "--samples", WINDOWS, "--mask-probability", MASKED_SHARE, "--targets", targets, "--threads", 1)
    return read_targets(targets)


def mean_loss(lines):
    losses = [loss for line in lines for loss in line["losses"]]
    return sum(losses) / len(losses)


# ---------------------------------------------------------------- text and masks

def read_windows(path, length):
    """Ids [windows, length]: the lines' bytes one after the other, without line ends and lines of white space."""
    import torch

    if path.name.endswith(".txt.zst"):
        unpacked = subprocess.run(["zstd", "-dc"], input=path.read_bytes(), capture_output=True)
        if unpacked.returncode != 0:
            raise ValueError(f"{path}: {unpacked.stderr.decode(errors='replace').strip()}")
        data = unpacked.stdout
    elif path.name.endswith(".txt"):
        data = path.read_bytes()
    else:
        raise ValueError(f"{path}: is read as plain text; give a .txt or .txt.zst")
    stream = b"".join(line for line in data.splitlines() if line.strip())
    count = len(stream) // length
    if count * length < TOKENS:
        raise ValueError(f"{path}: {len(stream)} bytes are less than the {TOKENS} of a step; give it more text")
    numbers = torch.frombuffer(bytearray(stream[:count * length]), dtype=torch.uint8)
    return numbers.view(count, length).long() + FIRST_BYTE


def check_windows(lines, windows):
    """Locus spreads windows evenly over the text (data/paired_windows.cpp); with the targets put back they are ours."""
    for line in lines:
        ids = list(line["ids"])
        for position, target in zip(line["positions"], line["targets"]):
            ids[position] = target
        if ids != windows[line["window"] * len(windows) // len(lines)].tolist():
            raise ValueError(f"window {line['window']} of the validation text differs: Locus reads the text otherwise")


def batches(windows, generator):
    """Endless; every epoch is a permutation of all windows, as in data/samples.h, and batches go on over its end."""
    import torch

    places, batch = torch.empty(0, dtype=torch.long), TOKENS // windows.shape[1]
    while True:
        while len(places) < batch:
            places = torch.cat([places, torch.randperm(len(windows), generator=generator)])
        yield windows[places[:batch]]
        places = places[batch:]


def corrupt(ids, generator):
    """(corrupted, labels) by the rules of data/masking.h; a label is -100 where nothing is to be predicted.

    Of n tokens floor(share n + u) are chosen, u uniform in [0, 1); 80 % of them become [MASK], 10 % any byte.
    """
    import torch

    sequences, length = ids.shape
    wanted = (MASKED_SHARE * length + torch.rand(sequences, 1, generator=generator)).long().clamp(min=1)
    rank = torch.rand(sequences, length, generator=generator).argsort(dim=1).argsort(dim=1)
    chosen = rank < wanted
    share = torch.rand(sequences, length, generator=generator)
    byte = torch.randint(FIRST_BYTE, VOCABULARY, (sequences, length), generator=generator)
    corrupted = torch.where(chosen & (share < 0.8), MASK, torch.where(chosen & (share < 0.9), byte, ids))
    return corrupted, torch.where(chosen, ids, -100)


# ---------------------------------------------------------------- PyTorch

def load_bert(folder):
    from transformers import BertForMaskedLM

    return BertForMaskedLM.from_pretrained(folder, attn_implementation="eager")


def make_optimizer(model):
    """AdamW; no decay on biases and norms, the parameters of one dimension."""
    import torch

    parameters = list(model.parameters())
    groups = [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": DECAY},
              {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK, betas=BETAS, eps=EPSILON)


def train_pytorch(folder, windows, steps, seed):
    """From the weights in `folder`, with batches, masks and dropout of this seed."""
    import torch

    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = load_bert(folder).train()
    optimizer = make_optimizer(model)
    source = batches(windows, generator)
    for step in range(1, steps + 1):
        ids, labels = corrupt(next(source), generator)
        loss = model(input_ids=ids, labels=labels).loss  # the mean over the batch's targets
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        optimizer.step()
    return model


def pytorch_loss(model, lines):
    """The mean loss of the targets of `lines`, whose windows are one chunk each."""
    import torch

    total, targets = 0.0, 0
    model.eval()
    for first in range(0, len(lines), 256):
        group = lines[first:first + 256]
        rows = torch.tensor([row for row, line in enumerate(group) for _ in line["positions"]])
        positions = torch.tensor([position for line in group for position in line["positions"]])
        ids = torch.tensor([target for line in group for target in line["targets"]])
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([line["ids"] for line in group])).logits
        total -= logits[rows, positions].double().log_softmax(-1)[torch.arange(len(ids)), ids].sum().item()
        targets += len(ids)
    return total / targets


# ---------------------------------------------------------------- one seed

def read_metrics(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_learning_rates(metrics, steps):
    for row in metrics:
        if row["split"] == "train":
            ours, theirs = float(row["learning_rate"]), learning_rate(int(row["step"]), steps)
            if abs(ours - theirs) > 1e-12:
                raise ValueError(f"step {row['step']} has the learning rate {ours} in Locus and {theirs} in PyTorch")


def compare_seed(options, seed):
    """A row of seeds.csv."""
    first = first_weights(options, seed)
    trained = train_locus(options, options.output / "locus", seed)
    metrics = read_metrics(options.output / "locus" / f"seed-{seed}" / "metrics.csv")
    check_learning_rates(metrics, options.steps)
    train_text, valid_text = text_files(options)
    lines = locus_losses(options, trained, valid_text)
    check_windows(lines, read_windows(valid_text, options.length))
    locus_loss = mean_loss(lines)
    in_transformers = pytorch_loss(load_bert(trained), lines)
    if not abs(in_transformers - locus_loss) <= TOLERANCE:
        raise ValueError(f"{trained}: the loss is {locus_loss} in Locus and {in_transformers} in transformers; "
                         "scripts/check_length_losses.py tells where they part")

    windows = read_windows(train_text, options.length)
    started = time.monotonic()
    model = train_pytorch(first, windows, options.steps, seed)
    pytorch_seconds = time.monotonic() - started
    loss = pytorch_loss(model, lines)
    targets = sum(len(line["targets"]) for line in lines)
    return {"seed": seed, "targets": targets, "locus_loss": locus_loss, "pytorch_loss": loss,
            "difference": loss - locus_loss, "locus_seconds": round(float(metrics[-1]["elapsed_seconds"]), 1),
            "pytorch_seconds": round(pytorch_seconds, 1)}


# ---------------------------------------------------------------- all seeds

def share_within(t, degrees):
    """P(|T| <= t) for a whole number of degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4)."""
    angle, odd = math.atan(t / math.sqrt(degrees)), degrees % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for k in range(2 + odd, degrees + 1, 2):
        total += term
        term *= (k - 1) / k * math.cos(angle) ** 2
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total


def t_quantile(degrees, confidence=0.95):
    """t with P(|T| <= t) = confidence, by bisection."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share_within(middle, degrees) < confidence else (low, middle)
    return (low + high) / 2


def text_files(options):
    """(training text, validation text)."""
    if options.train:
        return options.train, options.valid
    folder = options.output / "cache" / "synthetic"
    found = sorted(folder.glob("*/train.txt"))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder}: expected the one corpus that locus train writes, found {len(found)}")
    return found[0], found[0].with_name("valid.txt")


def prepare(options):
    """The output folder with its configuration; rows of other settings must not be mixed with these."""
    source = {"synthetic": {"language": "english", "megabytes": 8}}
    if options.train:
        source = {"train": [str(options.train)], "valid": [str(options.valid)]}
        for path in (options.train, options.valid):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: there is no such file")
    text = json.dumps(configuration(source, options.steps, options.length), indent=2) + "\n"  # JSON is YAML
    config = options.output / "config.yaml"
    if config.exists() and config.read_text(encoding="utf-8") != text:
        raise ValueError(f"{config}: this folder has results of other settings; choose another --output, or delete it")
    options.output.mkdir(parents=True, exist_ok=True)
    config.write_text(text, encoding="utf-8")
    os.environ["LOCUS_CACHE"] = str(options.output / "cache")


def read_rows(table):
    if not table.exists():
        return {}
    with open(table, encoding="utf-8", newline="") as file:
        return {int(row["seed"]): {key: float(value) for key, value in row.items()} for row in csv.DictReader(file)}


def append_row(table, row):
    is_new = not table.exists()
    with open(table, "a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def compare_all(options):
    prepare(options)
    table = options.output / "seeds.csv"
    for seed in options.seeds:
        if seed not in read_rows(table):
            append_row(table, compare_seed(options, seed))
        row = read_rows(table)[seed]
        print(f"seed {seed}: Locus {row['locus_loss']:.4f}, PyTorch {row['pytorch_loss']:.4f}, difference "
              f"{row['difference']:+.4f} nats ({row['targets']:.0f} targets; trained in "
              f"{row['locus_seconds']:.0f} s and {row['pytorch_seconds']:.0f} s)", flush=True)
    return [read_rows(table)[seed]["difference"] for seed in options.seeds]


def report(differences):
    """Prints the mean, its interval and the verdict; returns the exit code."""
    mean, interval = statistics.mean(differences), ""
    if len(differences) > 1:
        half = t_quantile(len(differences) - 1) * statistics.stdev(differences) / math.sqrt(len(differences))
        interval = f", 95 % interval [{mean - half:+.4f}, {mean + half:+.4f}]"
    agrees = abs(mean) <= MARGIN
    verdict = f"{'within' if agrees else 'NOT within'} {MARGIN}"
    print(f"mean difference {mean:+.4f} nats{interval}, seeds: {len(differences)}, {verdict}")
    return 0 if agrees else 1


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    parser.add_argument("--train", type=pathlib.Path, help="training text (default: the synthetic English corpus)")
    parser.add_argument("--valid", type=pathlib.Path, help="validation text")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--length", type=int, default=8, help="bytes of a sequence (default: 8)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/compare-training"),
                        help="folder of runs and results (default: runs/compare-training)")
    options = parser.parse_args(arguments)
    if (options.train is None) != (options.valid is None):
        parser.error("--train and --valid go together")
    if options.length < 2 or TOKENS % options.length:
        parser.error(f"--length must divide the {TOKENS} tokens of a step")
    if options.steps <= WARMUP or len(set(options.seeds)) < len(options.seeds):
        parser.error(f"--steps must be above the warm-up's {WARMUP}, and each of --seeds another one")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded
    try:
        import torch
        import transformers
    except ImportError as missing:
        print(f"error: this python has no {missing.name}; needed are torch and transformers 4.57", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        return report(compare_all(options))
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
