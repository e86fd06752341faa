#!/usr/bin/env python3
"""Checks that locus_model.py computes what `locus forward` does, and prints a table; exit code 1 when a check fails.

    python scripts/check_locus_model.py                               every encoding and combination below
    python scripts/check_locus_model.py --locus PROGRAM rope alibi    only those with one of these words in their name

Each configuration is made small and trained for a few steps with a high learning rate, so that no bias is left at 0 and every term of the
score weighs something. Then logits and hidden states are compared on sequences with padding on the right and on the left, up to max_length
and beyond it; where `locus forward` refuses the longer ones, the loader has to refuse them too. Every tensor of the file has to be read.
Needs torch, safetensors and PyYAML.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

from locus_model import load

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-4
SMALL = {"run.threads": 1, "data.synthetic.megabytes": 1, "data.tokenizer.vocab_size": 400, "data.sequence_length": 32,
         "model.layers": 2, "model.hidden": 32, "model.feed_forward": 48, "model.initializer_range": 0.2, "train.steps": 8,
         "train.batch_size": 4, "train.evaluate_samples": 4, "train.optimizer.learning_rate": 0.02, "train.schedule.warmup": 0}
V1, V2 = {"model.architecture": "deberta"}, {"model.architecture": "deberta-v2"}
PLAIN, ENHANCED = {"model.mask_decoder": "plain"}, {"model.mask_decoder": "enhanced"}
CONVOLUTION = {"model.convolution.kernel": 3}


def position(encoding, **options):
    return all_of(dict(encoding=encoding, **options))


def all_of(*encodings):
    return {"model.position": [{"encoding": each} if isinstance(each, str) else each for each in encodings]}


def cases():
    """Name -> (configuration file, keys to replace); only encodings that have a file in configs/position."""
    folder = ROOT / "configs" / "position"
    found = {f"configs/position/{file.name}": (file, {}) for file in sorted(folder.glob("*.yaml"))}
    combined = {f"absolute, beyond: {what}": position("absolute", beyond=what)
                for what in ("clip", "tile", "zero", "random", "interp", "hier")}
    combined |= {f"alibi, sides: {what}": position("alibi", sides=what) for what in ("symmetric", "offset", "one_sided", "two_slopes")}
    combined |= {f"rope, scaling: {what}": position("rope", scaling=what) for what in ("linear", "ntk", "yarn")}
    combined |= {f"disentangled, {what}": position("disentangled", terms=what)
                 for what in ("none", "c2p", "p2c", "p2p", "c2p|p2c|p2p", "c2p|p2p", "p2c|p2p")}
    combined |= {
        "absolute at the output": position("absolute", site="output"),
        "relative_key, beyond: error": position("relative_key", beyond="error"),
        "relative_key_query, beyond: error": position("relative_key_query", beyond="error"),
        "sinusoidal, embedding_size": position("sinusoidal", scale=1.0) | {"model.embedding_size": 19},
        "alibi, 6 heads": position("alibi", sides="two_slopes") | {"model.heads": 6, "model.hidden": 36},
        "rope, interleaved half, yarn": position("rope", layout="interleaved", fraction=0.5, scaling="yarn", factor=4.0, base=100),
        "rope, long, yarn": position("rope", scaling="yarn", base=3) | {"model.max_length": 400},
        "t5_bias, near": position("t5_bias", buckets=8, max_distance=12),
        "disentangled, buckets": position("disentangled", buckets=8, max_distance=20),
        "disentangled, shared, norm, paper": position("disentangled", share_projections=True, table_norm=True, p2c_index="paper"),
        "disentangled, shared p2p, buckets": position("disentangled", terms="c2p|p2c|p2p", buckets=6, max_distance=16,
                                                      share_projections=True),
        "no token types": position("none") | {"model.token_types": 0},
        "deberta": V1,
        "deberta, plain": V1 | PLAIN,
        "deberta, plain, shared": V1 | PLAIN | position("disentangled", share_projections=True),
        "deberta, absolute as well": V1 | all_of("absolute", "disentangled"),
        "deberta, 3 passes of rope": V1 | position("rope") | {"model.decoder_passes": 3},
        "deberta-v2": V2,
        "deberta-v2, plain": V2 | PLAIN,
        "deberta-v2, own projections": V2 | position("disentangled", share_projections=False, buckets=0, table_norm=False),
        "deberta-v2, own, c2p, embedding_size": V2 | PLAIN | position("disentangled", share_projections=False, terms="c2p")
        | {"model.embedding_size": 20, "model.token_types": 2},
        "deberta-v2, convolution": V2 | CONVOLUTION,
        "deberta-v2, convolution of 5, gelu": V2 | PLAIN | {"model.convolution.kernel": 5, "model.convolution.activation": "gelu"},
        "bert, enhanced decoder": ENHANCED | all_of({"encoding": "absolute", "beyond": "clip"}),
        "bert, enhanced decoder on rope": ENHANCED | {"model.layers": 3} | position("rope"),
        "bert, convolution": CONVOLUTION | position("alibi"),
        "sinusoidal, windowed": position("sinusoidal") | {"model.attention.window": 4},
        "[t5_bias, rope], log n": all_of("t5_bias", "rope") | {"model.attention.logn": True},
        "deberta-v2, windowed, log n": V2 | {"model.attention.window": 9, "model.attention.logn": True},
        "[absolute, alibi]": all_of({"encoding": "absolute", "beyond": "hier"}, "alibi"),
        "[rope, t5_bias, relative_key]": all_of("rope", "t5_bias", "relative_key"),
        "[disentangled with p2p, alibi, sinusoidal]": all_of({"encoding": "disentangled", "terms": "c2p|p2p"}, "alibi", "sinusoidal"),
        "hybrid, hier": position("hybrid", scale=1.0, beyond="hier"),
        "hybrid, error": position("hybrid", beyond="error"),
        "scalar, channel 3": position("scalar", scale=0.1, channel=3),
        "rnn, tanh, forward, replace": position("rnn", cell="tanh", directions="forward", states="replace"),
        "rnn, lstm": position("rnn", cell="lstm"),
        "linear_recurrence, forward, replace": position("linear_recurrence", directions="forward", states="replace"),
        "linear_recurrence, lru": position("linear_recurrence", variant="lru"),
        "linear_recurrence, lru, forward": position("linear_recurrence", variant="lru", directions="forward", state=6),
        "recursive, gru": position("recursive", function="gru"),
        "recursive, rotation": position("recursive", function="rotation"),
        "recursive, ode": position("recursive", function="ode", width=7, interval=0.3, steps=2),
        "convolutional, nearest": position("convolutional", width=5, padding="nearest"),
        "additive_relative, window 3": position("additive_relative", window=3),
        "shaw, keys alone": position("shaw", max_distance=5, values=False),
        "shaw, sinusoidal": position("shaw", max_distance=100, vectors="sinusoidal"),
        "transformer_xl, untied": position("transformer_xl", max_distance=9, untied=True),
        "kerple, power": position("kerple", kernel="power"),
        "kerple, unsigned, per layer": position("kerple", signed=False, per_layer=True),
        "fire, unsigned, per layer": position("fire", signed=False, per_layer=True, threshold=20),
        "log_cpb, linear, per layer": position("log_cpb", distance="linear", per_layer=True, hidden_units=16),
        "tupe, every token alike": position("tupe", untie_cls=False),
        "tupe, relative bias": position("tupe", relative_bias=True, buckets=8, max_distance=12),
        "tupe, relative bias alone for all": position("tupe", untie_cls=False, relative_bias=True),
        "[rope, randomized in_order]": all_of("rope", {"encoding": "randomized", "range": 70}),
        "[absolute, randomized, drawn]": all_of("absolute", {"encoding": "randomized", "evaluation": "drawn"}),
        "[alibi, disentangled, randomized, drawn]": all_of("alibi", "disentangled",
                                                           {"encoding": "randomized", "range": 70, "evaluation": "drawn"}),
        "[disentangled, shape], convolution": all_of("disentangled", "shape") | CONVOLUTION,
        "[sinusoidal, randomized, drawn], convolution": all_of("sinusoidal", {"encoding": "randomized", "evaluation": "drawn"})
        | {"model.convolution.kernel": 9},
        "enhanced decoder on tupe": ENHANCED | position("tupe", relative_bias=True),
        "enhanced decoder on [transformer_xl, rnn]": ENHANCED | all_of("transformer_xl", "rnn"),
        "enhanced decoder on [shaw, randomized, drawn]": ENHANCED | all_of("shaw", {"encoding": "randomized", "evaluation": "drawn"}),
        "deberta-v2 on recursive, embedding_size": V2 | position("recursive", function="ode") | {"model.embedding_size": 20},
    }
    known = {file.stem for file in folder.glob("*.yaml")}
    basis = {"model.max_length": 40} | position("none")
    return found | {name: (folder / "none.yaml", basis | keys) for name, keys in combined.items()
                    if known.issuperset(each["encoding"] for each in keys.get("model.position", []))}


def locus(program, *arguments):
    """Runs a command of locus; returns what it complained of."""
    done = subprocess.run([program, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stderr.strip() or "no reason given" if done.returncode else ""


def train(program, folder, file, keys):
    """A small model as the file and the keys say; returns its checkpoint."""
    keys = SMALL | keys | {"run.directory": str(folder), "run.name": "run"}
    complaint = locus(program, "train", file, "--set", *(f"{key}={json.dumps(value)}" for key, value in keys.items()))
    if complaint:
        raise RuntimeError(f"locus train: {complaint}")
    return folder / "run" / "latest"


def sample_input(config, length):
    """Four sequences of random tokens: full if beyond max_length, padded on the right, on the left, on both sides and in the middle."""
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(5, config["vocab_size"], (4, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, :2] = length > config["max_position_embeddings"]
    mask[1, length - 9:] = 0
    mask[2, :5] = 0
    mask[3, :3] = mask[3, 14:16] = mask[3, 30:] = 0
    types = torch.randint(0, max(1, config["type_vocab_size"]), ids.shape, generator=generator)
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types}


class Reading(dict):
    """Tensors that remember who was asked for."""

    def __init__(self, tensors):
        super().__init__(tensors)
        self.unread = set(tensors)

    def __getitem__(self, name):
        self.unread.discard(name)
        return super().__getitem__(name)

    def get(self, name):
        return self[name] if name in self else None


def largest_difference(ours, theirs, mask):
    """Over logits and hidden states, where the input is no padding. NaN stays NaN."""
    logits, hidden_states = theirs
    named = {"logits": logits} | {f"hidden_states.{layer}": x for layer, x in enumerate(hidden_states)}
    if set(named) != set(ours):
        raise RuntimeError(f"locus forward writes {sorted(ours)}, the loader has {sorted(named)}")
    return torch.stack([(ours[name] - named[name])[mask.bool()].abs().max() for name in named]).max().item()


def compare(program, checkpoint, model, length, scratch):
    """(passed, what to print) for sequences of this length."""
    batch = sample_input(model.config, length)
    save_file(batch, scratch / "in.safetensors")
    refusal = locus(program, "forward", checkpoint, "--input", scratch / "in.safetensors", "--output", scratch / "out.safetensors")
    try:
        theirs = model(**batch)
    except ValueError as error:
        return "longer than" in str(error) and "tokens at most" in refusal, "both refuse" if refusal else f"the loader refuses: {error}"
    if refusal:
        return False, f"locus forward refuses: {refusal}"
    difference = largest_difference(load_file(scratch / "out.safetensors"), theirs, batch["attention_mask"])
    return difference <= TOLERANCE, f"{difference:.1e}"


def check(program, file, keys, scratch):
    """(passed, what to print) for one configuration."""
    checkpoint = train(program, scratch, file, keys)
    model = load(checkpoint)
    model.weights = Reading(model.weights)
    lengths = {"within": model.max_length, "beyond": model.max_length * 7 // 5}
    results = {what: compare(program, checkpoint, model, length, scratch) for what, length in lengths.items()}
    text = "   ".join(f"{what} max_length: {detail:<11}" for what, (_, detail) in results.items())
    if model.weights.unread:
        return False, f"{text} never read: {', '.join(sorted(model.weights.unread)[:3])}"
    return all(passed for passed, _ in results.values()), text.rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="parts of names (default: all)")
    parser.add_argument("--locus", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="locus-model-") as cache:
        os.environ["LOCUS_CACHE"] = cache  # the tokenizer is trained once
        for name, (file, keys) in cases().items():
            if options.words and not any(word in name for word in options.words):
                continue
            with tempfile.TemporaryDirectory(prefix="locus-model-") as scratch:
                try:
                    passed, text = check(options.locus, file, keys, pathlib.Path(scratch))
                except (RuntimeError, OSError, KeyError, ValueError) as error:
                    passed, text = False, f"{type(error).__name__}: {error}"
            failed += not passed
            print(f"{'ok    ' if passed else 'FAILED'}  {name:<46} {text}", flush=True)
    print("all checks passed" if failed == 0 else f"{failed} checks failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
