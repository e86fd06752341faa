#!/usr/bin/env python3
"""Draws the loss curve of one or more runs, or their loss by sequence length.

    scripts/plot.py runs/quickstart                                    writes runs/quickstart/loss.png
    scripts/plot.py runs/a runs/b --label "absolute" "no position" --output both.png --log-x
    scripts/plot.py runs/a --reference "unigram=6.1" --panel masked_accuracy
    scripts/plot.py extrapolation runs/a runs/b -o lengths.png         what `locus evaluate --lengths` wrote; --help tells more

RUN is a run folder or a metrics.csv. Training loss is drawn light as it was logged and bold smoothed; validation as points on a dashed
line. Needs matplotlib; no display.
"""

import argparse
import csv
import math
import os
import pathlib
import re
import sys
import warnings

try:
    import matplotlib
except ImportError:
    system = "/usr/bin/python3"  # the distribution's matplotlib belongs to it; another python3 may come first in the path
    if __name__ == "__main__" and os.path.exists(system) and os.path.realpath(sys.executable) != os.path.realpath(system):
        os.execv(system, [system, *sys.argv])
    sys.exit("plot.py: matplotlib is missing; scripts/setup.sh installs it (apt-get install python3-matplotlib)")
matplotlib.use("Agg")
import matplotlib.font_manager
import matplotlib.pyplot as plt

PANELS = {  # columns of metrics.csv that the second panel can show, with the axis label
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm",
    "masked_accuracy": "accuracy (%)",
    "tokens_per_second": "tokens/s",
}
COLOURS = ["#1f5fa8", "#d1552b", "#2a8c55", "#8452a5", "#b8860b", "#c2407f", "#2b8f9e", "#6b6b6b"]
CHINESE_FONT_FILES = re.compile(r"notos(ans|erif)cjk|notos(ans|erif)sc|sourcehan|wqy|simhei|simsun|msyh|pingfang|droidsansfallback", re.IGNORECASE)


class PlotError(Exception):
    """What is wrong with an input, in one line."""


class Run:
    """The rows of one metrics.csv: for each split ("train", "valid") and column a list of (step, value) pairs."""

    def __init__(self, path, label):
        self.path, self.label = path, label
        self.series = {}

    def add(self, split, column, step, value):
        self.series.setdefault((split, column), []).append((step, value))

    def get(self, split, column):
        return self.series.get((split, column), [])


def metrics_file(path):
    if path.is_dir():
        path = path / "metrics.csv"
        if not path.exists():
            raise PlotError(f"{path}: there is no such file; is {path.parent} a run folder?")
    elif not path.exists():
        raise PlotError(f"{path}: no such file or folder")
    return path


def number(text, path, line, column):
    try:
        return float(text)
    except ValueError:
        raise PlotError(f"{path}: line {line}: column {column} should be a number, it is '{text}'") from None


def read_run(path, label=None):
    """Reads a metrics.csv. A value that is not finite (a run that diverged) is kept: it shows as a gap."""
    path = metrics_file(pathlib.Path(path))
    run = Run(path, label or path.resolve().parent.name)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            header = next(rows, None)
            if header is None:
                raise PlotError(f"{path}: the file is empty; a run writes its first row at step 0")
            for column in ("step", "split", "loss"):
                if column not in header:
                    raise PlotError(f"{path}: line 1: there is no column '{column}'; is this a metrics.csv of locus?")
            for row in rows:
                read_row(run, header, row, rows.line_num)
    except UnicodeDecodeError:
        raise PlotError(f"{path}: not UTF-8 text; is this a metrics.csv of locus?") from None
    if not run.get("train", "loss") and not run.get("valid", "loss"):
        raise PlotError(f"{path}: there are no losses in it yet")
    return run


def read_row(run, header, row, line):
    if len(row) != len(header):
        raise PlotError(f"{run.path}: line {line}: {len(row)} cells, the header has {len(header)}")
    cells = dict(zip(header, row))
    step = number(cells["step"], run.path, line, "step")
    for column in ("loss", *PANELS):
        if cells.get(column):
            value = number(cells[column], run.path, line, column)
            run.add(cells["split"], column, step, 100 * value if column == "masked_accuracy" else value)


def smooth(values):
    """A centred average over about a twentieth of the curve, so that the smooth line does not lag behind; gaps stay gaps."""
    reach = len(values) // 40
    smoothed = []
    for i, value in enumerate(values):
        window = [v for v in values[i - min(reach, i):i + min(reach, i) + 1] if math.isfinite(v)]
        smoothed.append(sum(window) / len(window) if math.isfinite(value) else math.nan)
    return smoothed


def reference(text):
    name, equals, value = text.rpartition("=")
    try:
        if equals and name and math.isfinite(float(value)):
            return name, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"'{text}' should look like unigram=6.1")


def font_for(text):
    """A font with Chinese characters when the text needs one and the machine has one. The files are looked at, not matplotlib's list of
    fonts: that is made once and misses a font installed later."""
    if all(ord(character) < 0x2E80 for character in text):
        return []
    for path in sorted(matplotlib.font_manager.findSystemFonts()):
        if CHINESE_FONT_FILES.search(os.path.basename(path)):
            matplotlib.font_manager.fontManager.addfont(path)
            return [matplotlib.font_manager.get_font(path).family_name]
    print("plot.py: no font with Chinese characters here, boxes stand for them (apt-get install fonts-wqy-zenhei)", file=sys.stderr)
    warnings.filterwarnings("ignore", message="Glyph .* missing from")
    return []


def set_style(text):
    plt.rcParams.update({
        "font.family": ["DejaVu Sans"] + font_for(text),
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e6e6e6", "axes.axisbelow": True,
        "axes.edgecolor": "#9a9a9a", "axes.labelcolor": "#303030", "xtick.color": "#505050", "ytick.color": "#505050",
        "axes.titleweight": "bold", "axes.titlesize": 13, "axes.titlelocation": "left", "legend.frameon": False, "font.size": 10.5,
    })


def draw_loss(axes, runs):
    for run, colour in zip(runs, colours(runs)):
        train, valid = run.get("train", "loss"), run.get("valid", "loss")
        if train:
            steps, values = zip(*train)
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.9)
            axes.plot(steps, smooth(values), color=colour, linewidth=2.1, label=f"{run.label}: training, smoothed")
        if valid:
            steps, values = zip(*valid)
            axes.plot(steps, values, color=colour, linestyle="--", linewidth=1.0, marker="o", markersize=5.5, markerfacecolor="white",
                      markeredgewidth=1.5, label=f"{run.label}: validation (last {values[-1]:.3f})")
    axes.set_ylabel("loss (nats per masked token)")


def draw_panel(axes, runs, column):
    for run, colour in zip(runs, colours(runs)):
        for split, style in (("train", dict(linewidth=1.4)), ("valid", dict(linewidth=1.0, linestyle="--", marker="o", markersize=4))):
            points = run.get(split, column)
            if points:
                axes.plot(*zip(*points), color=colour, **style)
    axes.set_ylabel(PANELS[column], fontsize=9)
    if column == "learning_rate":
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0)


def draw_references(axes, references):
    for name, value in references:
        axes.axhline(value, color="#707070", linewidth=1.1, linestyle=(0, (1, 2)))
        axes.annotate(f"{name} {value:g}", (0.995, value), xycoords=("axes fraction", "data"), xytext=(0, 2),
                      textcoords="offset points", ha="right", va="bottom", fontsize=9, color="#505050")


def colours(runs):
    """One colour each; past the palette, evenly spaced ones."""
    if len(runs) <= len(COLOURS):
        return COLOURS[:len(runs)]
    return [plt.get_cmap("turbo")(0.05 + 0.9 * i / (len(runs) - 1)) for i in range(len(runs))]


def set_steps_axis(axes, runs, log_x):
    steps = [step for run in runs for points in run.series.values() for step, _ in points]
    axes.set_xlabel("training step" + (" (logarithmic; step 0 is not shown)" if log_x else ""))
    if log_x:
        axes.set_xscale("log", nonpositive="mask")
        axes.set_xlim(min([step for step in steps if step > 0], default=1) * 0.9, max(max(steps), 10) * 1.05)
    else:
        axes.set_xlim(0, max(max(steps), 1) * 1.02)


def draw(runs, title=None, references=(), panel="learning_rate", log_x=False):
    title = title or "Masked-LM loss: " + ", ".join(run.label for run in runs[:4]) + (", …" if len(runs) > 4 else "")
    set_style(title + "".join(run.label for run in runs) + "".join(name for name, _ in references))
    has_panel = panel != "none" and any(run.get(split, panel) for run in runs for split in ("train", "valid"))
    figure, axes = plt.subplots(2 if has_panel else 1, 1, sharex=True, figsize=(9, 6.4 if has_panel else 5), squeeze=False,
                                gridspec_kw={"height_ratios": [3.4, 1] if has_panel else [1], "hspace": 0.09})
    axes = [row[0] for row in axes]
    set_steps_axis(axes[-1], runs, log_x)
    draw_loss(axes[0], runs)
    draw_references(axes[0], references)
    if has_panel:
        draw_panel(axes[1], runs, panel)
    axes[0].set_title(title)
    axes[0].legend(loc="upper right", fontsize=9)
    figure.align_ylabels(axes)
    return figure


# ---- extrapolation -----------------------------------------------------------------------------------------------------------------------

EXTRAPOLATION = """Draws loss against sequence length, with 95% intervals, and against the position inside the longest sequences.

    scripts/plot.py extrapolation runs/a runs/b -o lengths.png
    scripts/plot.py extrapolation lengths.csv --scheme centred --value delta -o delta.png

CSV is a file of `locus evaluate --lengths`, or a run folder with a length_extrapolation.csv. One line for each encoding and each `beyond`; controls
(chunked+window64 and so on) are broken lines of the same colour. The grey line is the training length. docs/extrapolation.md tells how to read it."""

LENGTH_COLUMNS = ("encoding", "beyond", "train_length", "length", "scheme", "bucket", "bucket_begin", "bucket_end", "loss", "loss_ci_low",
                  "loss_ci_high", "delta", "delta_ci_low", "delta_ci_high")


LINE_STYLES = [dict(linestyle=line, marker=marker, linewidth=1.9 if line == "-" else 1.3)  # the plain model, then the controls
               for line, marker in (("-", "o"), (":", "s"), ("--", "^"), ("-.", "D"))]


class LengthCurve:
    """The rows of one encoding under one policy: by (scheme, bucket) a list of rows, each with its numbers (None: an empty cell)."""

    def __init__(self, path, encoding, beyond):
        self.path, self.encoding, self.beyond = path, encoding, beyond
        self.label = encoding
        self.rows = {}

    def get(self, scheme, bucket):
        return self.rows.get((scheme, bucket), [])

    def controls(self, scheme):
        return [name for name in dict.fromkeys(name for name, _ in self.rows) if name.startswith(scheme + "+")]


def read_length_row(path, header, row, line):
    if len(row) != len(header):
        raise PlotError(f"{path}: line {line}: {len(row)} cells, the header has {len(header)}")
    cells = dict(zip(header, row))
    texts = ("encoding", "beyond", "scheme", "bucket")
    numbers = {column: number(cells[column], path, line, column) if cells[column] else None for column in LENGTH_COLUMNS if column not in texts}
    return {column: cells[column] for column in texts} | numbers


def read_lengths(path):
    """The curves of one file, in its order."""
    path = pathlib.Path(path)
    path = path / "length_extrapolation.csv" if path.is_dir() else path
    if not path.exists():
        raise PlotError(f"{path}: no such file; `locus evaluate MODEL --text FILE --lengths ...` writes it")
    curves = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            for column in LENGTH_COLUMNS:
                if column not in header:
                    raise PlotError(f"{path}: line 1: there is no column '{column}'; is this a file of locus evaluate --lengths?")
            for cells in rows:
                row = read_length_row(path, header, cells, rows.line_num)
                key = row["encoding"], row["beyond"]
                curve = curves.setdefault(key, LengthCurve(path, *key))
                curve.rows.setdefault((row["scheme"], row["bucket"]), []).append(row)
    except UnicodeDecodeError:
        raise PlotError(f"{path}: not UTF-8 text; is this a file of locus evaluate --lengths?") from None
    if not curves:
        raise PlotError(f"{path}: there are no rows in it")
    return list(curves.values())


def name_curves(curves):
    """Labels that tell the curves apart: the encoding; its policy where it has several; the folder where encodings repeat."""
    for curve in curves:
        alike = [other for other in curves if other.encoding == curve.encoding]
        if len({other.beyond for other in alike}) > 1:
            curve.label += f", {curve.beyond}"
        if len({other.path for other in alike}) > 1:
            curve.label += f" ({curve.path.resolve().parent.name})"


def draw_line(axes, xs, rows, value, **style):
    points = [(x, row) for x, row in zip(xs, rows) if row[value] is not None]
    if not points:
        return
    axes.plot([x for x, _ in points], [row[value] for _, row in points], markersize=4.5, **style)
    known = [(x, row) for x, row in points if row[value + "_ci_low"] is not None]
    axes.fill_between([x for x, _ in known], [row[value + "_ci_low"] for _, row in known], [row[value + "_ci_high"] for _, row in known],
                      color=style["color"], alpha=0.13, linewidth=0)


def draw_by_length(axes, curves, scheme, value):
    for curve, colour in zip(curves, colours(curves)):
        for name, style in zip((scheme, *curve.controls(scheme)), LINE_STYLES):
            rows = sorted(curve.get(name, "all"), key=lambda row: row["length"])
            draw_line(axes, [row["length"] for row in rows], rows, value, color=colour, **style, label=curve.label + name[len(scheme):])
    lengths = sorted({row["length"] for curve in curves for row in curve.get(scheme, "all")})
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [f"{length:g}" for length in lengths])
    axes.minorticks_off()
    axes.set_xlabel("sequence length (tokens)")


def draw_by_position(axes, curves, scheme, value):
    for curve, colour in zip(curves, colours(curves)):
        rows = curve.get(scheme, "index")
        longest = max((row["length"] for row in rows), default=0)
        rows = [row for row in rows if row["length"] == longest]
        centres = [(row["bucket_begin"] + min(row["bucket_end"], longest)) / 2 for row in rows]
        draw_line(axes, centres, rows, value, color=colour, marker="o", linewidth=1.9)
    axes.set_xlim(left=0)
    axes.set_xlabel("position in sequences of the longest length")


def draw_extrapolation(curves, scheme="chunked", value="loss", title=None):
    if not any(curve.get(scheme, "all") for curve in curves):
        raise PlotError(f"{curves[0].path}: there are no rows of the scheme {scheme}")
    name_curves(curves)
    title = title or f"Length extrapolation, {scheme} sequences"
    set_style(title + "".join(curve.label for curve in curves))
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(11.5, 5), gridspec_kw={"width_ratios": [1.35, 1], "wspace": 0.06})
    draw_by_length(axes[0], curves, scheme, value)
    draw_by_position(axes[1], curves, scheme, value)
    axes[0].set_ylabel("loss (nats per masked token)" if value == "loss" else "loss minus that at the training length (nats)")
    for length in sorted({row["train_length"] for curve in curves for rows in curve.rows.values() for row in rows} - {None}):
        for panel in axes:
            panel.axvline(length, color="#9a9a9a", linewidth=1.1, zorder=0.5, label=f"training length {length:g}")
    axes[0].set_title(title)
    axes[1].legend(*axes[0].get_legend_handles_labels(), loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9)
    return figure


def main_extrapolation(arguments):
    parser = argparse.ArgumentParser(prog="plot.py extrapolation", description=EXTRAPOLATION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="CSV", help="file of locus evaluate --lengths, or run folder")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="picture to write (default: extrapolation.png beside the first file)")
    parser.add_argument("--scheme", choices=["chunked", "centred"], default="chunked", help="default: %(default)s")
    parser.add_argument("--value", choices=["loss", "delta"], default="loss", help="default: %(default)s")
    parser.add_argument("--title")
    options = parser.parse_args(arguments)
    curves = [curve for path in options.files for curve in read_lengths(path)]
    output = options.output or curves[0].path.parent / "extrapolation.png"
    write(draw_extrapolation(curves, options.scheme, options.value, options.title), output)
    return output


def write(figure, output):
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(output, dpi=150, bbox_inches="tight", facecolor="white")
    except (OSError, ValueError) as error:  # ValueError: a file type that matplotlib does not write
        raise PlotError(f"{output}: cannot write the picture: {error}") from None
    finally:
        plt.close(figure)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="plot.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder or metrics.csv")
    parser.add_argument("--output", type=pathlib.Path, help="picture to write, .png, .svg or .pdf (default: loss.png beside the first metrics.csv)")
    parser.add_argument("--label", nargs="+", metavar="NAME", help="one name for each run (default: the folders' names)")
    parser.add_argument("--title")
    parser.add_argument("--reference", type=reference, action="append", default=[], metavar="NAME=LOSS", help="a horizontal line; may be repeated")
    parser.add_argument("--panel", choices=[*PANELS, "none"], default="learning_rate", help="what the lower panel shows (default: %(default)s)")
    parser.add_argument("--log-x", action="store_true", help="logarithmic steps")
    parsed = parser.parse_args(arguments)
    if parsed.label and len(parsed.label) != len(parsed.runs):
        parser.error(f"{len(parsed.label)} labels for {len(parsed.runs)} runs")
    return parsed


def main_loss(arguments):
    options = parse_arguments(arguments)
    labels = options.label or [None] * len(options.runs)
    runs = [read_run(path, label) for path, label in zip(options.runs, labels)]
    output = options.output or runs[0].path.parent / "loss.png"
    write(draw(runs, options.title, options.reference, options.panel, options.log_x), output)
    return output


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        output = main_extrapolation(arguments[1:]) if arguments[:1] == ["extrapolation"] else main_loss(arguments)
    except (PlotError, OSError) as error:
        print(f"plot.py: {error}", file=sys.stderr)
        return 1
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
