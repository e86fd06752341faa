#!/usr/bin/env python3
"""What the projections of queries and keys do to sinusoidal positions: scripts/projection_probe.py runs/notes

The position part of a score is s(i, j) = p_i W_q W_k^T p_j^T, with p_i the sinusoid of position i and one head's rows of W_q and W_k. Two shares of its
variance say what is left of the distance i - j:

    Toeplitz share        of s, explained by the mean of each diagonal: 1 when s depends on i - j alone
    antisymmetric share   |(s - s^T) / 2|^2 / |s|^2: 0 when s(i, j) = s(j, i), so that left and right cannot be told apart, 1 when they are opposites

for W_q = W_k = identity (p_i . p_j = sum_c cos(w_c (i - j)): Toeplitz and even, exactly), for random matrices as training starts from, and for the trained ones
of every checkpoint that the run kept. Norms and biases are left out: they would mix the words in. The claim that the projections scatter the distance is
that of Yan et al. 2019, arXiv:1911.04474, for what a model starts from.

Reads every run called `sinusoidal` of the block `projection` and writes projection.csv beside runs.csv."""

import argparse
import csv
import json
import pathlib
import sys

import numpy
import yaml

COLUMNS = ["run", "seed", "step", "layer", "head", "projection", "toeplitz_share", "antisymmetric_share"]


def waves(length, hidden, base=10000.0):
    """[length, hidden]: p[i, 2 c] = sin(i w_c), p[i, 2 c + 1] = cos(i w_c), w_c = base^(-2 c / hidden)."""
    angles = numpy.arange(length)[:, None] * base ** (-numpy.arange(0, hidden, 2) / hidden)
    table = numpy.empty((length, hidden))
    table[:, 0::2], table[:, 1::2] = numpy.sin(angles), numpy.cos(angles)
    return table


def diagonal_means(score):
    """m(d), d = i - j from -(n - 1) to n - 1."""
    length = len(score)
    return numpy.array([numpy.diagonal(score, -d).mean() for d in range(-(length - 1), length)])


def toeplitz_share(score):
    length = len(score)
    distances = numpy.subtract.outer(numpy.arange(length), numpy.arange(length))
    explained = diagonal_means(score)[distances + length - 1]
    return 1.0 - ((score - explained) ** 2).sum() / ((score - score.mean()) ** 2).sum()


def antisymmetric_share(score):
    return (((score - score.T) / 2) ** 2).sum() / (score**2).sum()


def read_safetensors(path):
    """Tensors of float32 by name: a header of JSON with its length before it, then the numbers."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, tensor in header.items():
        if tensor["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {tensor['dtype']}, expected F32")
        begin, end = tensor["data_offsets"]
        tensors[name] = numpy.frombuffer(data[8 + size + begin:8 + size + end], "<f4").reshape(tensor["shape"])
    return tensors


def shares(positions, query, key):
    """Of one head: query, key [head_dim, hidden]."""
    score = (positions @ query.T) @ (positions @ key.T).T
    return toeplitz_share(score), antisymmetric_share(score)


def rows_of_heads(positions, projection, matrices, heads):
    """(layer, head, projection, shares) for matrices = [(W_q, W_k) of each layer]."""
    for layer, (query, key) in enumerate(matrices):
        head_dim = len(query) // heads
        for head in range(heads):
            part = slice(head * head_dim, (head + 1) * head_dim)
            yield layer, head, projection, *shares(positions, query[part], key[part])


def trained_matrices(tensors, layers):
    prefix = "bert.encoder.layer.{}.attention.self.{}.weight"
    return [(tensors[prefix.format(n, "query")].astype(float), tensors[prefix.format(n, "key")].astype(float))
            for n in range(layers)]


def rows_of_run(folder):
    """Every row of one run folder."""
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    model, seed = settings["model"], settings["run"]["seed"]
    hidden, heads, layers = model["hidden"], model["heads"], model["layers"]
    positions = waves(settings["data"]["sequence_length"], hidden)
    checkpoints = sorted((folder / "checkpoints").glob("step-*"))
    if not checkpoints:
        raise ValueError(f"{folder}: no checkpoints; train it with train.checkpoint_every and train.keep_last: 0")
    name = folder.parent.name
    identity = shares(positions, numpy.eye(hidden), numpy.eye(hidden))
    yield name, seed, 0, 0, 0, "identity", *identity
    generator = numpy.random.default_rng(seed)
    deviation = model["initializer_range"]
    random = [tuple(generator.normal(0, deviation, (2, hidden, hidden))) for _ in range(layers)]
    last = int(checkpoints[-1].name.split("-")[1])
    for step in (0, last):  # random matrices are the same at any step: a line to compare with
        for row in rows_of_heads(positions, "random", random, heads):
            yield name, seed, step, *row
    for checkpoint in checkpoints:
        matrices = trained_matrices(read_safetensors(checkpoint / "model.safetensors"), layers)
        for row in rows_of_heads(positions, "trained", matrices, heads):
            yield name, seed, int(checkpoint.name.split("-")[1]), *row


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("comparison", type=pathlib.Path, help="folder that `locus compare` wrote")
    options = parser.parse_args(arguments)
    runs = sorted((options.comparison / "projection" / "sinusoidal").glob("seed-*"))
    if not runs:
        print(f"error: {options.comparison}/projection/sinusoidal: no runs; locus compare configs/compare/notes.yaml "
              "--only projection makes them", file=sys.stderr)
        return 2
    try:
        rows = [row for run in runs for row in rows_of_run(run)]
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    target = options.comparison / "projection.csv"
    with target.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([f"{value:.9g}" if isinstance(value, float) else value for value in row])
    print(f"{target}: {len(rows)} rows of {len(runs)} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
