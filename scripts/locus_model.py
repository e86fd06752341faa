#!/usr/bin/env python3
"""Models of Locus in plain PyTorch: for every checkpoint, also those that transformers cannot represent (model_type "locus").

    from locus_model import load
    logits, hidden_states = load("runs/quickstart")(input_ids, attention_mask, token_type_ids)

    python scripts/locus_model.py MODEL --input IN.safetensors --output OUT.safetensors        as `locus forward`

Written to be read, not to be fast: scores are whole [S, S] matrices. The formulas are on top of the files in model/. An encoding is a
function or two, named in ENCODINGS for the places where they act (model/position/position_encoding.h). Needs torch and safetensors.
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
    """scale * ((q + u) . k + (q + v) . K[r] + k . Q[r]) + bias, and V[r] with the values; a table is (vectors, row of each distance)."""
    scale: float
    keys: tuple | None = None     # K: vectors [1 or heads, rows, head_dim]
    queries: tuple | None = None  # Q
    values: tuple | None = None   # V
    content_bias: torch.Tensor | float = 0.0   # u [heads, 1, head_dim]
    position_bias: torch.Tensor | float = 0.0  # v
    bias: torch.Tensor | float = 0.0           # [heads, S, S]


class Model:
    """A model whose config.json and tensors (under their simple names) are at hand."""

    def __init__(self, config, weights):
        own = config["locus"]
        self.config, self.weights = config, weights
        self.architecture, self.positions = own["architecture"], own["position"]
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.hidden, self.max_length = config["hidden_size"], config["max_position_embeddings"]
        self.head_dim = self.hidden // self.heads
        self.decoder_passes = own["decoder_passes"] if own["mask_decoder"] == "enhanced" else 0
        unknown = sorted({option["encoding"] for option in self.positions} - set(ENCODINGS))
        if unknown:
            raise ValueError(f"there is no encoding {unknown[0]} in locus_model.py; there are: {', '.join(ENCODINGS)}")

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
        products = (q + score.content_bias) @ k.mT
        if score.keys:
            products = products + ask(q + score.position_bias, *score.keys)
        if score.queries:
            vectors, rows = score.queries
            products = products + ask(k, vectors, rows.mT).mT
        visible = (score.scale * products + score.bias).masked_fill(~batch.mask[:, None, None, :], -math.inf)
        p = visible.softmax(-1)
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


def of_distance(function, batch):
    """function(r) for the distances of a batch, [B, 1, S, S]; called once for each distance, on Python's exact numbers."""
    reach = int(batch.apart.max())
    values = torch.tensor([function(r) for r in range(-reach, reach + 1)])
    return values[batch.apart + reach]


def refuse_longer(limit, longest):
    if longest > limit:
        raise ValueError(f"a sequence of {longest} tokens is longer than the position table ({limit} rows)")


# ---- the encodings: model/position/NAME.cpp has the formula of each ----------------------------------------------------------------------

def absolute_table(model, option, longest):
    """The rows for positions 0 .. longest - 1."""
    table, i = model["embeddings.position_embeddings.weight"], torch.arange(longest)
    n, a = len(table), option["hier_alpha"]
    if longest <= n:
        return table
    match option["beyond"]:
        case "clip":
            return table[i.clamp(max=n - 1)]
        case "tile":
            return table[i % n]
        case "zero":
            return F.pad(table, (0, 0, 0, longest - n))
        case "random":
            return torch.cat([table, model.config["initializer_range"] * random_rows(longest - n, table.shape[1]).to(table)])
        case "interp":
            return F.interpolate(table.T[None], size=longest, mode="linear", align_corners=True)[0].T
        case "hier" if longest <= n * n:
            u = (table - a * table[0]) / (1 - a)
            return a * u[i // n] + (1 - a) * u[i % n]
    refuse_longer(n * n if option["beyond"] == "hier" else n, longest)


def absolute_input(model, option, x, batch):
    return x + absolute_table(model, option, batch.longest)[batch.positions] if option["site"] == "input" else x


def absolute_output(model, option, z, batch):
    return z + absolute_table(model, option, batch.longest)[batch.positions] if option["site"] == "output" or model.decoder_passes else z


def philox(seed, stream, counter):
    """kernels/random.h: four 32-bit words for every counter, int64 tensors."""
    word = 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(p1 >> 32) & word ^ counter[1] ^ seed, p1 & word, (p0 >> 32) & word ^ counter[3] ^ stream, p0 & word]
        seed, stream = (seed + 0x9E3779B9) & word, (stream + 0xBB67AE85) & word
    return counter


def random_rows(rows, columns):
    """Standard normals [rows, columns], the same in every call."""
    row, pair = torch.meshgrid(torch.arange(rows), torch.arange((columns + 1) // 2), indexing="ij")
    bits = philox(0, 5, [pair, row, torch.zeros_like(row), torch.zeros_like(row)])
    u, turn = (word.double() * 2.0 ** -32 for word in bits[:2])
    radius, angle = (-2 * (1 - u).log()).sqrt(), 2 * math.pi * turn
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1).flatten(1)[:, :columns]


def sinusoidal(model, option, x, batch):
    channel = torch.arange(x.shape[-1])
    angle = batch.positions[..., None] * option["base"] ** (-2.0 * (channel // 2).double() / len(channel))
    return x + (option["scale"] * torch.where(channel % 2 == 0, angle.sin(), angle.cos())).to(x.dtype)


def relative_key(model, option, score, layer, batch):
    vectors, n = model[f"encoder.layer.{layer}.attention.self.distance_embedding.weight"], model.max_length
    if option["beyond"] == "error":
        refuse_longer(n, batch.longest)
    score.keys = vectors[None], (batch.apart + n - 1).clamp(0, 2 * n - 2)


def relative_key_query(model, option, score, layer, batch):
    relative_key(model, option, score, layer, batch)
    score.queries = score.keys


def t5_bias(model, option, score, layer, batch):
    side, exact, reach = option["buckets"] // 2, option["buckets"] // 4, option["max_distance"]

    def bucket(r):  # query minus key
        first, distance = side if r < 0 else 0, abs(r)
        if distance < exact:
            return first + distance
        return first + min(side - 1, exact + int(math.log(distance / exact) / math.log(reach / exact) * (side - exact)))

    table = model["encoder.relative_attention_bias.weight"]
    score.bias = score.bias + table[of_distance(bucket, batch)[:, 0]].permute(0, 3, 1, 2)


def alibi_slopes(heads):
    """A power of two is evenly spread; other numbers of heads take every other slope of the power above for the rest."""
    below = 2 ** int(math.log2(heads))
    return [2 ** (-8 * (h + 1) / below) for h in range(below)] + [2 ** (-8 * (2 * h + 1) / (2 * below)) for h in range(heads - below)]


def alibi(model, option, score, layer, batch):
    slope, r = torch.tensor(alibi_slopes(model.heads), dtype=torch.float64)[:, None, None], batch.apart
    cost = slope * r.abs()
    match option["sides"]:
        case "offset":
            cost = cost - slope / 2 * (r > 0)
        case "one_sided":
            looks_left = torch.arange(model.heads)[:, None, None] < (model.heads + 1) // 2
            cost = torch.where((r == 0) | ((r > 0) == looks_left), cost, 1e9)
        case "two_slopes":
            cost = torch.where(r < 0, slope.flip(0) * r.abs(), cost)
    score.bias = score.bias - cost.to(model["cls.predictions.bias"].dtype)


def rope_turning(model, option, longest):
    """Frequency of each pair, and the amplitude of all, in a batch whose longest sequence is this long."""
    base, channels, n = option["base"], int(option["fraction"] * model.head_dim) // 2 * 2, model.max_length
    pair = torch.arange(channels // 2, dtype=torch.float64)
    plain = base ** (-2 * pair / channels)
    if option["scaling"] == "none" or longest <= n:
        return plain, 1.0
    s = option["factor"] or longest / n
    match option["scaling"]:
        case "linear":
            return plain / s, 1.0
        case "ntk":
            return (base * s ** (channels / (channels - 2))) ** (-2 * pair / channels), 1.0
    low, high = (channels * math.log(n / (turns * 2 * math.pi)) / (2 * math.log(base)) for turns in (32, 1))
    low = max(0, math.floor(low))
    high = min(channels - 1, max(low + 0.001, math.ceil(high)))
    slowed = ((pair - low) / (high - low)).clamp(0, 1)
    return plain * (1 - slowed) + plain / s * slowed, 0.1 * math.log(s) + 1


def rope(model, option, x, batch):
    frequency, amplitude = rope_turning(model, option, batch.longest)
    angle = batch.positions[:, None, :, None] * frequency
    cos, sin = ((amplitude * wave).to(x.dtype) for wave in (angle.cos(), angle.sin()))
    turned, rest = x[..., :2 * len(frequency)], x[..., 2 * len(frequency):]
    if option["layout"] == "interleaved":
        a, b = turned[..., 0::2], turned[..., 1::2]
        return torch.cat([torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2), rest], dim=-1)
    a, b = turned.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


def disentangled(model, option, score, layer, batch):
    terms = option["terms"].split("|")
    score.scale /= math.sqrt(1 + len(terms) - terms.count("none"))
    buckets, last = option["buckets"], (option["max_distance"] or model.max_length) - 1
    k, middle = buckets or last + 1, buckets // 2
    table = model["encoder.rel_embeddings.weight"]
    if option["table_norm"]:
        table = model.norm("encoder.LayerNorm", table)

    def row(r):
        g = r
        if buckets and abs(r) > middle:
            far = math.ceil(math.log(abs(r) / middle) / math.log(last / middle) * (middle - 1)) + middle
            g = math.copysign(buckets - 1 if abs(r) == last else far, r)
        return min(max(int(g) + k, 0), 2 * k - 1)

    def vectors(part):  # of each row [heads, 2 k, head_dim]
        projection = part if option["share_projections"] else f"pos_{part}_proj"
        return model.split_heads(model.linear(f"encoder.layer.{layer}.attention.self.{projection}", table))

    rows = of_distance(row, batch)
    reversed_rows = of_distance(lambda r: row(-r), batch)
    if "c2p" in terms:
        score.keys = vectors("key"), rows
    if "p2c" in terms:
        score.queries = vectors("query"), reversed_rows if option["p2c_index"] == "paper" else rows
    if "p2p" in terms:
        products = vectors("query") @ vectors("key").mT
        score.bias = score.bias + score.scale * products[:, rows[:, 0], reversed_rows[:, 0]].transpose(0, 1)


ENCODINGS = {
    "none": {},
    "absolute": {"embed": absolute_input, "decode": absolute_output},
    "sinusoidal": {"embed": sinusoidal},
    "relative_key": {"relate": relative_key},
    "relative_key_query": {"relate": relative_key_query},
    "t5_bias": {"relate": t5_bias},
    "alibi": {"relate": alibi},
    "rope": {"rotate": rope},
    "disentangled": {"relate": disentangled},
}


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
