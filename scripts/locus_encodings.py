"""The position encodings of Locus in plain PyTorch, for locus_model.py. model/position/NAME.cpp has the formula of each.

ENCODINGS, at the end, says which function of an encoding acts where (model/position/position_encoding.h):

    renumber(model, option, batch)               -> the batch, its tokens at other positions
    embed(model, option, x, batch)               -> x [B, S, columns] with something added to it, or run over it
    rotate(model, option, x, batch)              -> x [B, heads, S, head_dim], queries or keys, turned
    relate(model, option, score, layer, batch)      sets terms of the score
    decode(model, option, z, batch)              -> z [B, S, hidden], what the mask decoder starts from

`option` holds the encoding's options, model[name] is a tensor; locus_model.py describes `batch` and `score`. Rows of tables are found with
Python's numbers, one distance after the other: which row it is must not depend on how a vectorised logarithm is rounded.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F


def of_distance(function, batch):
    """function(r) for the distances r of a batch, query minus key: [B, 1, S, S]."""
    reach = int(batch.apart.max())
    values = torch.tensor([function(r) for r in range(-reach, reach + 1)])
    return values[batch.apart + reach]


def refuse_longer(limit, longest):
    if longest > limit:
        raise ValueError(f"a sequence of {longest} tokens is longer than the position table ({limit} rows)")


def waves(place, channels, base=10000.0):
    """sin(place * base^(-2 c / channels)), cos(the same), in turns for c = 0, 1, ...: [..., channels] in float64."""
    channel = torch.arange(channels)
    angle = place[..., None] * base ** (-2.0 * (channel // 2).double() / channels)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos())


def philox(seed, stream, counter):
    """kernels/random.h: four words of 32 bits for each counter, which are four numbers or int64 tensors."""
    word = 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(p1 >> 32) & word ^ counter[1] ^ seed, p1 & word, (p0 >> 32) & word ^ counter[3] ^ stream, p0 & word]
        seed, stream = (seed + 0x9E3779B9) & word, (stream + 0xBB67AE85) & word
    return counter


# ---- vectors by position -----------------------------------------------------------------------------------------------------------------

def learned_rows(model, option, batch, name="position_embeddings"):
    """A row of the learned table for each token, and `beyond` past its end: [B, S, columns]."""
    table, i = model[f"embeddings.{name}.weight"], torch.arange(batch.longest)
    n, a = len(table), option["hier_alpha"]
    if batch.longest > n:
        match option["beyond"]:
            case "error":
                refuse_longer(n, batch.longest)
            case "clip":
                table = table[i.clamp(max=n - 1)]
            case "tile":
                table = table[i % n]
            case "zero":
                table = F.pad(table, (0, 0, 0, batch.longest - n))
            case "random":
                fresh = model.config["initializer_range"] * random_rows(batch.longest - n, table.shape[1])
                table = torch.cat([table, fresh.to(table.dtype)])
            case "interp":
                table = F.interpolate(table.T[None], size=batch.longest, mode="linear", align_corners=True)[0].T
            case "hier":
                refuse_longer(n * n, batch.longest)
                u = (table - a * table[0]) / (1 - a)
                table = a * u[i // n] + (1 - a) * u[i % n]
    return table[batch.positions]


def absolute_input(model, option, x, batch):
    return x + learned_rows(model, option, batch) if option["site"] == "input" else x


def absolute_output(model, option, z, batch):
    is_at_decoder = option["site"] == "output" or model.decoder_passes > 0
    return z + learned_rows(model, option, batch) if is_at_decoder else z


def random_rows(rows, columns):
    """Standard normals [rows, columns], the same in every call."""
    row, pair = torch.arange(rows)[:, None], torch.arange((columns + 1) // 2)
    bits = philox(0, 5, [pair, row, 0, 0])
    u, turn = (words.double() / 2 ** 32 for words in bits[:2])
    radius, angle = (-2 * (1 - u).log()).sqrt(), 2 * math.pi * turn
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1).flatten(1)[:, :columns]


def sinusoidal(model, option, x, batch):
    return x + (option["scale"] * waves(batch.positions, x.shape[-1], option["base"])).to(x.dtype)


def hybrid(model, option, x, batch):
    fixed = option["scale"] * waves(batch.positions, x.shape[-1] // 2, option["base"])
    return x + torch.cat([fixed.to(x.dtype), learned_rows(model, option, batch, "position_embeddings.learned")], dim=-1)


def scalar(model, option, x, batch):
    one = F.one_hot(torch.tensor(option["channel"]), x.shape[-1])
    return x + (option["scale"] * batch.positions[..., None] * one).to(x.dtype)


def flow(model, option, longest):
    """Points of a curve that a small network goes along: mlp by Euler's method, ode by Runge and Kutta's."""
    name, p = "embeddings.position_embeddings.", model["embeddings.position_embeddings.start"]
    is_ode = option["function"] == "ode"
    steps, h = (option["steps"], option["interval"] / option["steps"]) if is_ode else (1, 1.0)

    def g(p, t):
        by_time = t * model[name + "time.weight"] if is_ode else 0
        return model.linear(name + "out", torch.tanh(model.linear(name + "in", p) + by_time))

    points = [p]
    for step in range((longest - 1) * steps):
        t = step * h
        k1 = g(p, t)
        if is_ode:
            k2 = g(p + h * k1 / 2, t + h / 2)
            k3 = g(p + h * k2 / 2, t + h / 2)
            k4 = g(p + h * k3, t + h)
            p = p + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
        else:
            p = p + h * k1
        points.append(p)
    return torch.stack(points[::steps])


def gru_orbit(model, option, longest):
    """A GRU cell that is told nothing, again and again."""
    p, points = model["embeddings.position_embeddings.start"], []
    for _ in range(longest):
        r, z, n = model.linear("embeddings.position_embeddings.gru", p).chunk(3)
        z = z.sigmoid()
        p = (1 - z) * torch.tanh(r.sigmoid() * n) + z * p
        points.append(p)
    return torch.stack(points)


def rotation(model, option, longest):
    start = torch.complex(*model["embeddings.position_embeddings.start"][0].chunk(2))
    angle = torch.arange(longest)[:, None] * model["embeddings.position_embeddings.rotation.log_angle"].exp()
    turned = start * torch.exp(1j * angle)
    return torch.cat([turned.real, turned.imag], dim=-1)


def recursive(model, option, x, batch):
    points = {"mlp": flow, "ode": flow, "gru": gru_orbit, "rotation": rotation}[option["function"]]
    return x + points(model, option, batch.longest)[batch.positions]


# ---- over the embeddings -----------------------------------------------------------------------------------------------------------------

def along_sequences(function, x, batch):
    """function(rows of one sequence, without its padding) -> as many rows; for each sequence of x [B, S, columns]."""
    y = torch.zeros_like(x)
    for sequence, seen in enumerate(batch.mask):
        if seen.any():
            y[sequence, seen] = function(x[sequence, seen])
    return y


def rnn(model, option, x, batch):
    both = option["directions"] == "both"
    cell = {"tanh": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[option["cell"]]
    net = cell(x.shape[-1], x.shape[-1] // (1 + both), bidirectional=both)
    net.load_state_dict({name: model[f"embeddings.position_embeddings.rnn.{name}"] for name in net.state_dict()})
    states = along_sequences(lambda rows: net(rows)[0].detach(), x, batch)
    return states if option["states"] == "replace" else x + states


def scan(factor, addend):
    """h_t = factor_t h_{t-1} + addend_t along [rows, columns], from h = 0."""
    h, states = torch.zeros_like(addend[0]), []
    for a, b in zip(factor, addend):
        h = a * h + b
        states.append(h)
    return torch.stack(states)


def min_gru(model, rows, backwards, directions):
    name = "embeddings.position_embeddings.min_gru.weight"
    k, v = F.linear(rows, model[name].chunk(directions)[backwards]).chunk(2, dim=-1)
    z, g = k.sigmoid(), torch.where(v >= 0, v + 0.5, v.sigmoid())
    return scan(1 - z, z * g)


def lru(model, rows, backwards, directions):
    name = "embeddings.position_embeddings.lru."
    nu, phi, log_c = (model[name + part].chunk(directions)[backwards] for part in ("nu", "phi", "log_c"))
    real, imaginary = F.linear(rows, model[name + "input.weight"].chunk(directions)[backwards]).chunk(2, dim=-1)
    factor = torch.exp(torch.complex(-nu.exp(), phi.exp()))
    states = scan(factor.expand(len(rows), -1), log_c.exp() * torch.complex(real, imaginary))
    return torch.cat([states.real, states.imag], dim=-1)


def linear_recurrence(model, option, x, batch):
    directions = 2 if option["directions"] == "both" else 1
    net = min_gru if option["variant"] == "mingru" else lru

    def run(rows):
        states = net(model, rows, 0, directions)
        if directions == 2:
            states = torch.cat([states, net(model, rows.flip(0), 1, directions).flip(0)], dim=-1)
        if net is min_gru:
            return states
        name = "embeddings.position_embeddings.lru."
        return F.linear(states, model[name + "output.weight"]) + rows * model[name + "skip.weight"][:, 0]

    y = along_sequences(run, x, batch)
    return y if option["states"] == "replace" else x + y


def convolutional(model, option, x, batch):
    weight, bias = (model[f"embeddings.position_embeddings.convolution.{part}"] for part in ("weight", "bias"))
    side, mode = weight.shape[1] // 2, "constant" if option["padding"] == "zeros" else "replicate"

    def convolve(rows):
        return F.conv1d(F.pad(rows.T[None], (side, side), mode=mode), weight[:, None], bias, groups=len(bias))[0].T

    return x + along_sequences(convolve, x, batch)


def additive_relative(model, option, x, batch):
    table, window = model["embeddings.position_embeddings.distance.weight"], option["window"]

    def neighbours(rows):
        offsets = torch.tensor([*range(-window, 0), *range(1, window + 1)])
        at = torch.arange(len(rows))[:, None] + offsets
        return ((at >= 0) & (at < len(rows))).to(table.dtype) @ table

    return x + along_sequences(neighbours, x, batch)


# ---- queries and keys --------------------------------------------------------------------------------------------------------------------

def rope_turning(model, option, longest):
    """The frequency of each pair and the amplitude of all, in a batch whose longest sequence has this many tokens."""
    base, channels, n = option["base"], int(option["fraction"] * model.head_dim) // 2 * 2, model.max_length
    pair = torch.arange(channels // 2).double()
    plain = base ** (-2 * pair / channels)
    if option["scaling"] == "none" or longest <= n:
        return plain, 1.0
    s = option["factor"] or longest / n
    if option["scaling"] == "linear":
        return plain / s, 1.0
    if option["scaling"] == "ntk":
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


# ---- tables of vectors by distance -------------------------------------------------------------------------------------------------------

def of_layer(layer):
    """Where the tensors of a layer's attention are."""
    return f"encoder.layer.{layer}.attention.self."


def relative_key(model, option, score, layer, batch):
    n = model.max_length
    if option["beyond"] == "error":
        refuse_longer(n, batch.longest)
    score.keys = model[of_layer(layer) + "distance_embedding.weight"][None], (batch.apart + n - 1).clamp(0, 2 * n - 2)


def relative_key_query(model, option, score, layer, batch):
    relative_key(model, option, score, layer, batch)
    score.queries = score.keys


def shaw(model, option, score, layer, batch):
    k = option["max_distance"]
    rows = k - batch.apart.clamp(-k, k)
    if option["vectors"] == "learned":
        keys, values = (of_layer(layer) + name for name in ("relative_keys.weight", "relative_values.weight"))
        score.keys = model[keys][None], rows
        score.values = (model[values][None], rows) if option["values"] else None
    else:
        score.keys = waves(torch.arange(-k, k + 1), model.head_dim)[None].to(model.dtype), rows
        score.values = score.keys if option["values"] else None


def transformer_xl(model, option, score, layer, batch):
    reach = min(int(batch.apart.max()), option["max_distance"] or math.inf)
    wave = waves(torch.arange(-reach, reach + 1), model.hidden).to(model.dtype)
    score.keys = model.split_heads(model.linear(of_layer(layer) + "position_key", wave)), batch.apart.clamp(-reach, reach) + reach
    place = of_layer(layer) if option["untied"] else "encoder."
    score.content_bias, score.position_bias = model[place + "content_bias"][:, None], model[place + "position_bias"][:, None]


def disentangled(model, option, score, layer, batch):
    terms = option["terms"].split("|")
    score.scale /= math.sqrt(1 + len(terms) - terms.count("none"))
    buckets, last = option["buckets"], (option["max_distance"] or model.max_length) - 1
    k, middle = buckets or last + 1, buckets // 2
    table = model["encoder.rel_embeddings.weight"]
    if option["table_norm"]:
        table = model.norm("encoder.LayerNorm", table)

    def row(r):
        if buckets and abs(r) > middle:
            far = math.ceil(math.log(abs(r) / middle) / math.log(last / middle) * (middle - 1)) + middle
            r = int(math.copysign(buckets - 1 if abs(r) == last else far, r))
        return min(max(r + k, 0), 2 * k - 1)

    def vectors(part):  # [heads, 2 k, head_dim]
        projection = part if option["share_projections"] else f"pos_{part}_proj"
        return model.split_heads(model.linear(of_layer(layer) + projection, table))

    rows, reversed_rows = of_distance(row, batch), of_distance(lambda r: row(-r), batch)
    if "c2p" in terms:
        score.keys = vectors("key"), rows
    if "p2c" in terms:
        score.queries = vectors("query"), reversed_rows if option["p2c_index"] == "paper" else rows
    if "p2p" in terms:
        products = vectors("query") @ vectors("key").mT
        score.bias = score.bias + score.scale * products[:, rows[:, 0], reversed_rows[:, 0]].transpose(0, 1)


def tupe(model, option, score, layer, batch):
    refuse_longer(model.max_length, batch.longest)
    score.scale /= math.sqrt(2)
    p = model.norm("encoder.position_vectors.LayerNorm", model["encoder.position_vectors.weight"])[batch.positions]
    query, key = (model.split_heads(model.linear(f"encoder.position_{part}", p)) for part in ("query", "key"))
    products, bias = query @ key.mT, t5_numbers(model, option, batch) if option["relative_bias"] else torch.zeros(1)
    if option["untie_cls"]:
        is_first = (batch.mask.cumsum(1) == 1) & batch.mask
        query_is_first, key_is_first = is_first[:, None, :, None], is_first[:, None, None, :]
        t = model["encoder.position_of_first_key"][0, :, None, None] * (key_is_first & ~query_is_first)
        products, bias = products.masked_fill(query_is_first | key_is_first, 0) + t, bias * ~(query_is_first | key_is_first)
    score.products, score.bias = score.products + products, score.bias + bias


# ---- biases by distance ------------------------------------------------------------------------------------------------------------------

def t5_numbers(model, option, batch):
    """A number per head and bucket of distances: [B, heads, S, S]."""
    side, exact, reach = option["buckets"] // 2, option["buckets"] // 4, option["max_distance"]

    def bucket(r):
        first, distance = side if r < 0 else 0, abs(r)
        if distance < exact:
            return first + distance
        return first + min(side - 1, exact + int(math.log(distance / exact) / math.log(reach / exact) * (side - exact)))

    return model["encoder.relative_attention_bias.weight"][of_distance(bucket, batch)[:, 0]].permute(0, 3, 1, 2)


def t5_bias(model, option, score, layer, batch):
    score.bias = score.bias + t5_numbers(model, option, batch)


def alibi_slopes(heads):
    """For a power of two a geometric row; other numbers of heads take every other slope of the power above for the rest."""
    below = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 * (h + 1) / below) for h in range(below)] + [2 ** (-8 * (h + 0.5) / below) for h in range(heads - below)]
    return torch.tensor(slopes, dtype=torch.float64)[:, None, None]


def alibi(model, option, score, layer, batch):
    slope, r = alibi_slopes(model.heads), batch.apart
    cost = slope * r.abs()
    if option["sides"] == "offset":
        cost = cost - slope / 2 * (r > 0)
    if option["sides"] == "one_sided":
        looks_left = torch.arange(model.heads)[:, None, None] < (model.heads + 1) // 2
        cost = torch.where((r == 0) | ((r > 0) == looks_left), cost, 1e9)
    if option["sides"] == "two_slopes":
        cost = torch.where(r < 0, slope.flip(0) * r.abs(), cost)
    score.bias = score.bias - cost.to(model.dtype)


def own_or_shared(option, layer):
    return (of_layer(layer) if option["per_layer"] else "encoder.") + "position_bias."


def kerple(model, option, score, layer, batch):
    raw_a, raw_p = (model[own_or_shared(option, layer) + name] for name in "ap")
    is_power, r = option["kernel"] == "power", batch.apart
    a, p = F.softplus(raw_a), 2 * raw_p.sigmoid() if is_power else F.softplus(raw_p)
    for side, (a, p) in enumerate(zip(a[:, :, None, None], p[:, :, None, None])):
        cost = a * r.abs() ** p if is_power else p * torch.log1p(a * r.abs())
        is_side = r != 0 if not option["signed"] else r > 0 if side == 0 else r < 0
        score.bias = score.bias - cost * is_side


def bias_network(model, name, x):
    """A number per head from a number per distance: [B, 1, S, S] -> [B, heads, S, S]."""
    hidden = F.relu(model.linear(name + "hidden", x[:, 0, :, :, None].to(model.dtype)))
    return model.linear(name + "output", hidden).permute(0, 3, 1, 2)


def fire(model, option, score, layer, batch):
    name = own_or_shared(option, layer)
    c = (option["slope"] * model[name + "slope"].double()).abs()
    t = ((option["threshold"] or model.max_length) * model[name + "threshold"].double()).abs()
    farthest = batch.apart[:, 0][batch.mask[:, :, None] & batch.mask[:, None, :]].max()
    x = torch.log1p(c * batch.apart.abs()) / (torch.log1p(c * t.clamp(min=farthest)) + 1e-6)
    score.bias = score.bias + bias_network(model, name, torch.where((batch.apart > 0) & option["signed"], -x, x))


def log_cpb(model, option, score, layer, batch):
    x = -batch.apart.double() / (model.max_length - 1)
    if option["distance"] == "log":
        x = x.sign() * torch.log2(1 + 8 * x.abs()) / 3
    score.bias = score.bias + 16 * bias_network(model, own_or_shared(option, layer), x).sigmoid()


# ---- other positions ---------------------------------------------------------------------------------------------------------------------

def shape(model, option, batch):
    return batch  # shifts in training only


def drawn_places(extent, count, sequence):
    """`count` places below `extent`, in order: the same in every call."""
    words = torch.stack(philox(0, 5, [torch.arange(extent // 4 + 1), sequence, 0, 1]), dim=1).flatten().tolist()
    places = []
    for place in range(extent):
        if words[place] * (extent - place) >> 32 < count - len(places):
            places.append(place)
    return torch.tensor(places)


def randomized(model, option, batch):
    if option["evaluation"] == "in_order":
        return batch
    extent, positions = option["range"] or model.max_length, torch.zeros_like(batch.positions)
    refuse_longer(extent, batch.longest)
    for sequence, seen in enumerate(batch.mask):
        positions[sequence, seen] = drawn_places(extent, int(seen.sum()), sequence)
    return dataclasses.replace(batch, positions=positions, longest=1 + int(positions.max()))


ENCODINGS = {
    "none": {},
    "absolute": {"embed": absolute_input, "decode": absolute_output},
    "sinusoidal": {"embed": sinusoidal},
    "hybrid": {"embed": hybrid},
    "scalar": {"embed": scalar},
    "recursive": {"embed": recursive},
    "rnn": {"embed": rnn},
    "linear_recurrence": {"embed": linear_recurrence},
    "convolutional": {"embed": convolutional},
    "additive_relative": {"embed": additive_relative},
    "rope": {"rotate": rope},
    "relative_key": {"relate": relative_key},
    "relative_key_query": {"relate": relative_key_query},
    "shaw": {"relate": shaw},
    "transformer_xl": {"relate": transformer_xl},
    "disentangled": {"relate": disentangled},
    "tupe": {"relate": tupe},
    "t5_bias": {"relate": t5_bias},
    "alibi": {"relate": alibi},
    "kerple": {"relate": kerple},
    "fire": {"relate": fire},
    "log_cpb": {"relate": log_cpb},
    "shape": {"renumber": shape},
    "randomized": {"renumber": randomized},
}
