#!/usr/bin/env python3
"""Checks that models go both ways between Locus and transformers, and prints a table; exit code 1 when a check fails.

    python scripts/check_hugging_face.py                    trains tiny models in a temporary folder and checks those
    python scripts/check_hugging_face.py runs/quickstart    checks a run or checkpoint that is there

From Locus: the tokenizer loads with AutoTokenizer and gives the same ids; the model loads with AutoModelForMaskedLM with no tensor missing,
unexpected or of another shape; logits and hidden states are those of `locus forward`. A model that AutoModel cannot represent in every
version (relative_key, the enhanced mask decoder) is refused by it; BertForMaskedLM of version 4 reads relative_key. To Locus: folders that
transformers saved (BERT, DeBERTa and DeBERTa v2 with random weights, and their tokenizer) give the same logits in `locus forward`, run in
`locus fill`, and can be trained on. Needs torch and transformers 4.57 or newer.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is a name on the hub
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM, BertTokenizerFast, DebertaConfig,
                          DebertaForMaskedLM, DebertaV2Config, DebertaV2ForMaskedLM)

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-4
TEXTS = ["a new store opened beside the new mall .", "The DOG, that (we) saw: isn't here!", "naïve café Ångström Übung çedilla İstanbul",
         "一家新的商店在商场旁边开了。", "日本語のテキスト と 한국어 텍스트", "Привет, мир! й ё", "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم", "สวัสดีชาวโลก",
         "हिन्दी में लिखा हुआ", "👩‍👩‍👧 🇩🇪 😀 emoji", "tabs\tand\u00a0no-break\u2028spaces  zero\u200bwidth \ufeff", "a [MASK] store [SEP] and [UNK]",
         "x" * 120, "3.14159 1,000 10% $5 c++ a_b e-mail@example.org", "ﬁ ligature ① ２ ﾊﾝｶｸ", "", "   "]
CONFIGURATION = """run: {{name: {name}, directory: {directory}, seed: 3}}
data: {{synthetic: {{megabytes: 1, language: {language}}}, tokenizer: {tokenizer}, sequence_length: 32}}
model: {{layers: 2, hidden: 32, heads: {heads}, feed_forward: {feed_forward}, max_length: 40, initializer_range: 0.1, {model}}}
train: {{steps: 30, init_from: {init_from}, batch_size: 8, log_every: 5, evaluate_samples: 32, optimizer: {{learning_rate: 3e-3}}}}
"""
PLAIN = "mask_decoder: plain"
BOTH = "token_types: 2, position: [absolute, {{encoding: disentangled, {}}}]".format
RUNS = {  # trained by Locus; the keys of their model
    "English": "position: absolute",
    "Chinese": "position: absolute",
    "relative_key": "position: relative_key",
    "deberta": f"architecture: deberta, {PLAIN}",
    "deberta with all parts": f"architecture: deberta, {PLAIN}, {BOTH('max_distance: 9')}",
    "deberta-v2": f"architecture: deberta-v2, {PLAIN}",
    "deberta-v2 with all parts": f"architecture: deberta-v2, {PLAIN}, embedding_size: 24, convolution: {{kernel: 3}}, "
                                 + BOTH("terms: c2p, buckets: 8, max_distance: 20, share_projections: false"),
    "enhanced decoder": "architecture: deberta-v2",
}
RELATIVE = dict(relative_attention=True, pos_att_type=["c2p", "p2c"], position_biased_input=False, type_vocab_size=0, layer_norm_eps=1e-7)
FOREIGN = {  # saved by transformers
    "bert": (BertConfig, BertForMaskedLM, {}),
    "deberta": (DebertaConfig, DebertaForMaskedLM, RELATIVE | dict(max_relative_positions=12)),
    "deberta-v2": (DebertaV2Config, DebertaV2ForMaskedLM, RELATIVE | dict(max_relative_positions=24, position_buckets=8, share_att_key=True,
                                                                          norm_rel_ebd="layer_norm", conv_kernel_size=3, conv_act="gelu")),
}
VERSION_5 = int(transformers.__version__.split(".")[0]) >= 5  # it has no relative positions in BERT


class Checks:
    """The lines of the table."""

    def __init__(self):
        self.failed = 0

    def add(self, what, passed, detail=""):
        self.failed += not passed
        print(f"{'ok    ' if passed else 'FAILED'}  {what:<66} {detail}", flush=True)

    def close(self, what, ours, theirs, mask):
        """Compares [B, S, width] where the input is no padding. NaN fails."""
        if ours.shape != theirs.shape:
            return self.add(what, False, f"shapes {tuple(ours.shape)} and {tuple(theirs.shape)}")
        difference = (ours - theirs)[mask.bool()].abs().max().item()
        self.add(what, difference <= TOLERANCE, f"largest difference {difference:.1e}")


def locus(program, *arguments, text=None):
    """Runs a command of locus and returns what it printed."""
    done = subprocess.run([program, *map(str, arguments)], input=text if text is not None else "", capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"locus {' '.join(map(str, arguments))} ended with code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def train_tiny(program, folder, name, **options):
    """Trains a tiny model for a few steps and returns its run folder."""
    settings = dict(name=name, directory=json.dumps(str(folder)), language="english", tokenizer="{vocab_size: 800}", heads=4,
                    feed_forward=48, model="position: absolute", init_from='""')
    config = folder / f"{name}.yaml"
    config.write_text(CONFIGURATION.format(**{**settings, **options}), encoding="utf-8")
    locus(program, "train", config)
    return folder / name


def checkpoint_folder(path):
    """The folder with the weights that a run's name stands for."""
    for candidate in (path / "best", path / "latest", path):
        if (candidate / "model.safetensors").exists():
            return candidate.resolve()
    raise FileNotFoundError(f"{path}: neither a run nor a checkpoint; no model.safetensors in it")


def check_tokenizer(checks, what, program, folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    wrong = []
    for text in TEXTS:
        ours = [int(word) for word in locus(program, "tokenizer", "encode", folder, text, "--ids").split()]
        theirs = tokenizer(text, add_special_tokens=False)["input_ids"]
        if ours != theirs:
            wrong.append(f"{text[:40]!r}: {ours[:8]} and {theirs[:8]}")
    checks.add(f"{what}: ids of {len(TEXTS)} texts", not wrong, "; ".join(wrong[:2]))
    ids = tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    # Spaces aside: whether one stands before a full stop depends on the version of transformers.
    ours, theirs = ("".join(text.split()) for text in (locus(program, "tokenizer", "decode", folder, *ids), tokenizer.decode(ids)))
    checks.add(f"{what}: decoded text", ours == theirs, "" if ours == theirs else f"{ours!r} and {theirs!r}")
    return tokenizer


def sample_input(config):
    """Three sequences of random tokens: full, padded on the right, padded on the left; the longest is as long as the model takes."""
    generator = torch.Generator().manual_seed(5)
    length = min(config.max_position_embeddings, 48)
    ids = torch.randint(5, config.vocab_size, (3, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, length - 7:] = 0
    mask[2, :4] = 0
    return {"input_ids": ids * mask, "attention_mask": mask,
            "token_type_ids": torch.randint(0, max(1, config.type_vocab_size), (3, length), generator=generator)}


def check_forward(checks, what, program, folder, model, scratch):
    batch = sample_input(model.config)
    save_file(batch, scratch / "in.safetensors")
    locus(program, "forward", folder, "--input", scratch / "in.safetensors", "--output", scratch / "out.safetensors")
    ours = load_file(scratch / "out.safetensors")
    with torch.no_grad():
        theirs = model.eval()(**batch, output_hidden_states=True)
    checks.close(f"{what}: logits", ours["logits"], theirs.logits, batch["attention_mask"])
    for layer, hidden in enumerate(theirs.hidden_states):
        checks.close(f"{what}: hidden_states.{layer}", ours[f"hidden_states.{layer}"], hidden, batch["attention_mask"])


def check_from_locus(checks, what, program, run, scratch):
    folder = checkpoint_folder(run)
    tokenizer = check_tokenizer(checks, what, program, folder)
    loader, unread = AutoModelForMaskedLM, set()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config["model_type"] == "locus":
        check_refused(checks, what, folder)
        if VERSION_5 or "position_embedding_type" not in config:
            return
        loader, unread = BertForMaskedLM, {"bert.embeddings.position_embeddings.weight"}  # version 4 has it also where it never reads it
    model, report = loader.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    found = {kind: sorted(set(map(str, report[kind])) - unread) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    problems = {kind: names for kind, names in found.items() if names}
    checks.add(f"{what}: every tensor has its place", not problems, json.dumps(problems) if problems else "")
    checks.add(f"{what}: vocabulary sizes", len(tokenizer) == model.config.vocab_size, f"{len(tokenizer)} and {model.config.vocab_size}")
    check_forward(checks, what, program, folder, model, scratch)
    saved = scratch / f"{what}, saved again"
    model.save_pretrained(saved)
    difference = (set(load_file(folder / "model.safetensors")) | unread) ^ set(load_file(saved / "model.safetensors"))
    checks.add(f"{what}: transformers saves the same tensors", not difference, ", ".join(sorted(difference)[:4]))


def check_refused(checks, what, folder):
    """A model that some version of transformers would load as another one must not load by itself."""
    try:
        AutoModelForMaskedLM.from_pretrained(folder)
        checks.add(f"{what}: AutoModel refuses it", False, "it was loaded")
    except (ValueError, KeyError) as error:
        checks.add(f"{what}: AutoModel refuses it", "locus" in str(error))


def save_foreign_model(folder, words, config_class, model_class, options):
    """A random model and its tokenizer, saved by transformers; biases and norms away from 0 and 1. Returns the model."""
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    vocabulary_file = folder / "vocab.txt"
    vocabulary_file.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    # A word-piece model is set by its file in version 4 and by a mapping in version 5.
    source = {word: i for i, word in enumerate(vocabulary)} if VERSION_5 else str(vocabulary_file)
    tokenizer = BertTokenizerFast(**{"vocab_file" if isinstance(source, str) else "vocab": source})
    tokenizer.save_pretrained(folder)
    config = config_class(vocab_size=len(vocabulary), hidden_size=32, num_attention_heads=2, num_hidden_layers=2, intermediate_size=64,
                          max_position_embeddings=40, attn_implementation="eager", **options)
    torch.manual_seed(9)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def check_to_locus(checks, program, run, name, scratch):
    what = f"transformers to locus, {name}"
    words = [word for word in AutoTokenizer.from_pretrained(checkpoint_folder(run)).get_vocab() if not word.startswith("[")]
    folder = scratch / f"foreign-{name}"
    model = save_foreign_model(folder, sorted(words), *FOREIGN[name])
    tokenizer = check_tokenizer(checks, what, program, folder)
    check_forward(checks, what, program, folder, model, scratch)
    filled = locus(program, "fill", folder, "a new [MASK] opened beside the mall .", "--top", 3)
    batch = tokenizer("a new [MASK] opened beside the mall .", return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits[0, batch["input_ids"][0].tolist().index(tokenizer.mask_token_id)]
    best = tokenizer.convert_ids_to_tokens(logits.topk(3).indices.tolist())
    ours = [line.split()[1] for line in filled.splitlines() if line.startswith("  ")]
    checks.add(f"{what}: fill has the same best three", ours == best, f"{' '.join(best)}")

    path = json.dumps(str(folder))
    keys = dict(tokenizer=f"{{path: {path}}}", heads=2, feed_forward=64, model=f"architecture: {name}", init_from=path)
    continued = train_tiny(program, scratch, f"continued-{name}", **keys)
    losses = validation_losses(continued / "metrics.csv")
    checks.add(f"{what}: goes on training from it", losses[-1] < losses[0], f"validation loss {losses[0]:.3f} -> {losses[-1]:.3f}")


def validation_losses(metrics):
    header, *rows = [line.split(",") for line in metrics.read_text().splitlines()]
    return [float(row[header.index("loss")]) for row in rows if row[header.index("split")] == "valid"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=pathlib.Path, help="run or checkpoint folder (default: tiny runs are trained)")
    parser.add_argument("--locus", type=pathlib.Path, default=ROOT / "build" / "release" / "locus")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="locus-hugging-face-") as scratch:
        scratch = pathlib.Path(scratch)
        os.environ["LOCUS_CACHE"] = str(scratch / "cache")
        try:
            runs = {"locus": options.run} if options.run else tiny_runs(options.locus, scratch)
            for what, run in runs.items():
                check_from_locus(checks, what, options.locus, run, scratch)
            for name in FOREIGN:
                check_to_locus(checks, options.locus, next(iter(runs.values())), name, scratch)
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            checks.add("the checks ran to their end", False, str(error))
    print("all checks passed" if checks.failed == 0 else f"{checks.failed} checks failed")
    return checks.failed != 0


def tiny_runs(program, scratch):
    languages = {"Chinese": "chinese"}
    return {f"locus, {name}": train_tiny(program, scratch, f"run {number}", model=model, language=languages.get(name, "english"))
            for number, (name, model) in enumerate(RUNS.items())}


if __name__ == "__main__":
    sys.exit(main())
