#!/usr/bin/env python3
"""Draws the terms of an attention score side by side, as `locus explain --csv` wrote them.

    locus explain runs/quickstart "a new [MASK] opened ." --csv terms.csv
    scripts/explain.py terms.csv -o terms.png

A row of a picture is a query, a column a key. All terms and the score share one scale, so that one can see which of them decides; the weights,
after the softmax, have one of their own. Needs matplotlib; no display.
"""

import argparse
import csv
import math
import os
import pathlib
import sys

try:
    import matplotlib
except ImportError:
    system = "/usr/bin/python3"  # the distribution's matplotlib belongs to it; another python3 may come first in the path
    if __name__ == "__main__" and os.path.exists(system) and os.path.realpath(sys.executable) != os.path.realpath(system):
        os.execv(system, [system, *sys.argv])
    sys.exit("explain.py: matplotlib is missing; scripts/setup.sh installs it (apt-get install python3-matplotlib)")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import plot
from plot import PlotError, plt

COLUMNS = ["layer", "head", "term", "query", "key", "query_token", "key_token", "value"]
LEFT_OUT = {"added"}  # a length, not a part of the score
MANY_TOKENS = 40      # from here on the axes have numbers instead of tokens
FORBIDDEN = 1e8       # a bias beyond this says "never"; it would take the colours from all others


class Terms:
    """A matrix of queries by keys for each term, in the file's order, and the tokens."""

    def __init__(self, layer, head):
        self.layer, self.head, self.tokens, self.values = layer, head, {}, {}

    def matrix(self, term):
        size = len(self.tokens)
        cells = self.values[term]
        return [[cells.get((query, key), math.nan) for key in range(size)] for query in range(size)]


def read_terms(path):
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise PlotError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise PlotError(f"{path}: not a CSV file: {error}") from None
    if not rows or list(rows[0]) != COLUMNS:
        raise PlotError(f"{path}: is no file of `locus explain --csv`; its columns are {','.join(COLUMNS)}")
    terms = Terms(rows[0]["layer"], rows[0]["head"])
    for line, row in enumerate(rows, start=2):
        try:
            query, key, value = int(row["query"]), int(row["key"]), float(row["value"])
        except (TypeError, ValueError):
            raise PlotError(f"{path}: line {line}: query and key should be whole numbers and value a number") from None
        terms.tokens[key] = row["key_token"]
        terms.values.setdefault(row["term"], {})[query, key] = value
    if sorted(terms.tokens) != list(range(len(terms.tokens))) or "weight" not in terms.values:
        raise PlotError(f"{path}: rows are missing; write the file again with `locus explain --csv`")
    return terms


def shown_terms(terms):
    """The terms to draw. The sum is left out where it is the score; so is the score where it is the content alone."""
    names = [name for name in terms.values if name not in LEFT_OUT]
    if terms.values["sum"] == terms.values["score"]:
        names.remove("sum")
    if terms.values["score"] == terms.values["content"]:
        names.remove("score")
    return names


def draw_panel(axes, matrix, title, tokens, limits, colours):
    picture = axes.imshow(matrix, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="equal")
    axes.set_title(title, fontsize=11)
    axes.set_facecolor("#c8c8c8")  # outside the window, or forbidden
    axes.grid(False)
    if len(tokens) < MANY_TOKENS:
        axes.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=8)
        axes.set_yticks(range(len(tokens)), tokens, fontsize=8)
    axes.set_xlabel("key")
    return picture


def draw(terms, title):
    names, tokens = shown_terms(terms), [terms.tokens[n] for n in range(len(terms.tokens))]
    plot.set_style("".join(tokens) + (title or ""))
    matrices = {name: [[value if abs(value) < FORBIDDEN else math.nan for value in row] for row in terms.matrix(name)] for name in names}
    parts = [name for name in names if name != "weight"]
    largest = max((abs(value) for name in parts for row in matrices[name] for value in row if not math.isnan(value)), default=1) or 1
    side = min(3.2, 1.4 + 0.14 * len(tokens))
    figure, all_axes = plt.subplots(1, len(names), figsize=(side * len(names) + 1.6, side + 1.4), squeeze=False, layout="constrained")
    for axes, name in zip(all_axes[0], names):
        if name == "weight":
            largest_weight = max(max(row) for row in matrices[name])
            picture = draw_panel(axes, matrices[name], "weight (softmax)", tokens, (0, largest_weight), "Blues")
            figure.colorbar(picture, ax=axes, shrink=0.7)
        else:
            picture = draw_panel(axes, matrices[name], name.replace("_", " "), tokens, (-largest, largest), "RdBu_r")
            if name == parts[-1]:
                figure.colorbar(picture, ax=axes, shrink=0.7)
    all_axes[0][0].set_ylabel("query")
    figure.suptitle(title or f"layer {terms.layer}, head {terms.head}: the terms of the score", x=0.01, ha="left", fontweight="bold")
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="explain.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", metavar="CSV", help="file of locus explain --csv")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="picture to write (default: the CSV's name with .png)")
    parser.add_argument("--title")
    options = parser.parse_args(arguments)
    output = options.output or pathlib.Path(options.csv).with_suffix(".png")
    try:
        plot.write(draw(read_terms(options.csv), options.title), output)
    except PlotError as error:
        print(f"explain.py: {error}", file=sys.stderr)
        return 1
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
