#!/usr/bin/env python3
"""Models of Locus in plain PyTorch: for every checkpoint, also those that transformers cannot represent (model_type "locus").

    from locus_model import load
    logits, hidden_states = load("runs/quickstart")(input_ids, attention_mask, token_type_ids)

    python scripts/locus_model.py MODEL --input IN.safetensors --output OUT.safetensors        as `locus forward`

Written to be read, not to be fast: scores are whole [S, S] matrices. The formulas are on top of the files in model/; the position encodings
are in locus_encodings.py. Needs torch and safetensors.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import re

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from locus_encodings import ENCODINGS


@dataclasses.dataclass
class Batch:
    """Where the tokens of a batch stand."""
    positions: torch.Tensor  # [B, S], 0 where padding is
    mask: torch.Tensor       # [B, S], False where padding is
    longest: int             # 1 + the last position that is no padding

    @property
    def apart(self):
        """Distances [B, 1, S, S]: query minus key."""
        return self.positions[:, None, :, None] - self.positions[:, None, None, :]


@dataclasses.dataclass
class Score:
    """scale * ((q + u) . k + products + (q + v) . K[r] + k . Q[r]) + bias, and V[r] beside the values: kernels/attention.h.

    A table is (vectors [1 or heads, n, head_dim], row of each distance [B, 1, S, S])."""
    scale: float
    keys: tuple | None = None     # K
    queries: tuple | None = None  # Q
    values: tuple | None = None   # V
    content_bias: torch.Tensor | float = 0.0   # u [heads, 1, head_dim]
    position_bias: torch.Tensor | float = 0.0  # v
    products: torch.Tensor | float = 0.0       # [B, heads, S, S]
    bias: torch.Tensor | float = 0.0           # [B, heads, S, S]


class Model:
    """A model whose config.json and tensors (under their simple names) are at hand."""

    def __init__(self, config, weights):
        own = config["locus"]
        self.config, self.weights = config, weights
        self.positions = own["position"]
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.hidden, self.max_length = config["hidden_size"], config["max_position_embeddings"]
        self.head_dim = self.hidden // self.heads
        self.attention_settings = own.get("attention", {"window": 0, "logn": False})  # older checkpoints have none
        self.train_length = own.get("train_length", 0)
        self.decoder_passes = own["decoder_passes"] if own.get("mask_decoder") == "enhanced" else 0
        unknown = sorted({option["encoding"] for option in self.positions} - set(ENCODINGS))
        if unknown:
            raise ValueError(f"there is no encoding {unknown[0]} in locus_encodings.py; there are: {', '.join(ENCODINGS)}")

    @property
    def dtype(self):
        return self["embeddings.word_embeddings.weight"].dtype

    def __getitem__(self, name):
        return self.weights[name]

    def linear(self, name, x):
        return F.linear(x, self[name + ".weight"], self.weights.get(name + ".bias"))

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self[name + ".weight"], self[name + ".bias"], self.config["layer_norm_eps"])

    def split_heads(self, x):
        """[..., rows, hidden] -> [..., heads, rows, head_dim]"""
        return x.unflatten(-1, (self.heads, self.head_dim)).transpose(-2, -3)

    def hooks(self, place):
        """The functions of this model's encodings for one place, each with the encoding's options."""
        for option in self.positions:
            if place in ENCODINGS[option["encoding"]]:
                yield ENCODINGS[option["encoding"]][place], option

    def __call__(self, input_ids, attention_mask=None, token_type_ids=None):
        """Integers [B, S] -> logits [B, S, vocabulary] and the hidden states, [B, S, hidden] each; rows of padding mean nothing."""
        mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        positions = torch.arange(input_ids.shape[1]) * mask
        batch = Batch(positions, mask, 1 + int(positions.max()))
        for renumber, option in self.hooks("renumber"):
            batch = renumber(self, option, batch)
        x = self.embeddings(input_ids, token_type_ids, batch)
        hidden_states = [x]
        for layer in range(self.layers):
            x = self.block(layer, x, x, batch)
            if layer == 0 and "conv_kernel_size" in self.config:
                x = self.convolution(hidden_states[0], x, batch)
            hidden_states.append(x)
        z = self.decode(hidden_states, batch)
        t = self.norm("cls.predictions.transform.LayerNorm", F.gelu(self.linear("cls.predictions.transform.dense", z)))
        return F.linear(t, self["embeddings.word_embeddings.weight"], self["cls.predictions.bias"]), hidden_states

    def embeddings(self, input_ids, token_type_ids, batch):
        x = self["embeddings.word_embeddings.weight"][input_ids]
        if self.config["type_vocab_size"] > 0:
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            x = x + self["embeddings.token_type_embeddings.weight"][types]
        for embed, option in self.hooks("embed"):
            x = embed(self, option, x, batch)
        if "embedding_size" in self.config:
            x = self.linear("embeddings.embed_proj", x)
        return self.norm("embeddings.LayerNorm", x)

    def block(self, layer, query, source, batch):
        """Rows of `query` attend to `source`: themselves, or in the enhanced decoder the last layer but one."""
        name = f"encoder.layer.{layer}."
        a = self.norm(name + "attention.output.LayerNorm",
                      self.linear(name + "attention.output.dense", self.attention(layer, query, source, batch)) + query)
        wide = F.gelu(self.linear(name + "intermediate.dense", a))
        return self.norm(name + "output.LayerNorm", self.linear(name + "output.dense", wide) + a)

    def attention(self, layer, query, source, batch):
        name = f"encoder.layer.{layer}.attention.self."
        q, k, v = (self.split_heads(self.linear(name + part, x)) for part, x in (("query", query), ("key", source), ("value", source)))
        for rotate, option in self.hooks("rotate"):
            q, k = rotate(self, option, q, batch), rotate(self, option, k, batch)
        score = Score(scale=1 / math.sqrt(self.head_dim))
        for relate, option in self.hooks("relate"):
            relate(self, option, score, layer, batch)
        products = (q + score.content_bias) @ k.mT + score.products
        if score.keys:
            products = products + ask(q + score.position_bias, *score.keys)
        if score.queries:
            vectors, rows = score.queries
            products = products + ask(k, vectors, rows.mT).mT
        scores, seen = score.scale * products + score.bias, batch.mask[:, None, None, :]
        if self.attention_settings["logn"]:
            length = batch.mask.sum(-1).clamp(min=2)[:, None, None, None]
            scores = scores * length.to(scores.dtype).log() / math.log(self.train_length)
        if self.attention_settings["window"] > 0:
            near = batch.apart.abs() <= self.attention_settings["window"]
            seen = seen & (near | ~batch.mask[:, None, :, None])  # a row of padding sees all, so that it is a number
        p = scores.masked_fill(~seen, -math.inf).softmax(-1)
        context = p @ v
        if score.values:
            vectors, rows = score.values
            context = context + torch.einsum("bhij,bijd->bhid", p, vectors[0][rows[:, 0]])
        return context.transpose(1, 2).flatten(2)

    def convolution(self, embedded, x, batch):
        """DeBERTa v2's: taps of the embeddings at the neighbouring positions, added to the first block's output."""
        taps = self["encoder.conv.conv.weight"]  # [hidden, hidden, kernel]
        y = self["encoder.conv.conv.bias"]
        for tap in range(taps.shape[2]):
            step = tap - taps.shape[2] // 2
            neighbour = ((batch.apart[:, 0] == -step) & batch.mask[:, None, :]).to(embedded.dtype)
            y = y + neighbour @ embedded @ taps[:, :, tap].T
        act = torch.tanh if self.config["conv_act"] == "tanh" else F.gelu
        return self.norm("encoder.conv.LayerNorm", act(y) + x)

    def decode(self, hidden_states, batch):
        z = source = hidden_states[-2 if self.decoder_passes else -1]
        for decode, option in self.hooks("decode"):
            z = decode(self, option, z, batch)
        for _ in range(self.decoder_passes):
            z = self.block(self.layers - 1, z, source, batch)
        return z


def ask(x, vectors, rows):
    """x_i . vectors[rows(i, j)] for all i, j: x [B, heads, S, head_dim], vectors [1 or heads, n, head_dim], rows [B, 1, S, S]."""
    products = x @ vectors.mT
    return products.gather(-1, rows.expand(-1, products.shape[1], -1, -1))


# ---- files -------------------------------------------------------------------------------------------------------------------------------

def simple_names(tensors, heads):
    """Names without the architecture: no "bert.", and query, key and value wherever an architecture calls or packs them otherwise."""
    simple = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^(bert|deberta)\.", "", name)
        name = re.sub(r"\.self\.(query|key|value)_proj\.", r".self.\1.", name)
        name = name.replace("pos_proj.", "pos_key_proj.").replace("pos_q_proj.", "pos_query_proj.")
        name = name.replace("self.q_bias", "self.query.bias").replace("self.v_bias", "self.value.bias")
        if "in_proj" not in name:
            simple[name] = tensor
            continue
        by_head = tensor.unflatten(0, (heads, 3, -1))  # DeBERTa v1: the three projections of a head lie side by side
        for part, word in enumerate(("query", "key", "value")):
            simple[name.replace("in_proj", word)] = by_head[:, part].flatten(0, 1)
    return simple


def load(folder):
    """The model of a run or checkpoint folder."""
    folder = pathlib.Path(folder)
    folder = next((place for place in (folder / "best", folder / "latest") if place.exists()), folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "locus" not in config:
        raise ValueError(f"{folder}: no checkpoint of Locus; transformers may load it")
    return Model(config, simple_names(load_file(folder / "model.safetensors"), config["num_attention_heads"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="run or checkpoint folder")
    parser.add_argument("--input", type=pathlib.Path, required=True, help="input_ids, optional attention_mask and token_type_ids [B, S]")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="logits [B, S, V], hidden_states.0 .. [B, S, H]")
    options = parser.parse_args()
    batch = {name: tensor.long() for name, tensor in load_file(options.input).items()}
    logits, hidden_states = load(options.model)(**batch)
    padding = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))[..., None] == 0
    found = {"logits": logits, **{f"hidden_states.{layer}": x for layer, x in enumerate(hidden_states)}}
    save_file({name: tensor.masked_fill(padding, 0).contiguous() for name, tensor in found.items()}, options.output)


if __name__ == "__main__":
    main()
