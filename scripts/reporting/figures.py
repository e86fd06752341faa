"""The pictures of the report, from tables as data frames (measured.py). Each function gives a matplotlib figure.

The look is that of scripts/plot.py. A run has the same colour and marker in all pictures; the runs without positions
are black. The colours are those of Okabe and Ito (2008, Color Universal Design) and a wine red, told apart by readers
who do not see red and green; markers and dotted lines tell apart the runs that share one. Dashed lines are those of
runs that did not pass the gate. Intervals are 95 % t intervals over the seeds.
"""

import io
import math

import matplotlib
import matplotlib.pyplot as plt
import numpy
import PIL.Image

import plot
from reporting import choose, measured

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#882255"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">"]
BLACK, GREY, LIGHT = "#111111", "#9a9a9a", "#d9d9d9"
VERDICT_COLOURS = {"reproduced": "#009e73", "refuted": "#d55e00", "inconclusive": "#b5b5b5", "definition": "#56b4e9",
                   "not testable here": "#ececec"}
NATS = "loss (nats per masked token)"
DELTA = "loss minus that at the trained length (nats)"


def set_style(text=""):
    """That of plot.py, with a font for Chinese where the text needs one. Ids inside an SVG depend on its content."""
    plot.set_style(text)
    plt.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "locus", "font.size": 10, "axes.titlesize": 11.5,
                         "legend.fontsize": 9})


def styles(runs, baselines=()):
    """run -> colour, marker and line; black for the runs without positions."""
    coloured = [run for run in runs if run not in baselines]
    result = dict.fromkeys(runs, dict(color=BLACK, marker=".", linestyle="-"))
    for i, run in enumerate(coloured):
        result[run] = dict(color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
                           linestyle="-" if i // len(COLOURS) % 2 == 0 else (0, (1.5, 1)))
    return result


def render(figure):
    """The picture twice: PNG as bytes, SVG as a text. 256 colours are all that these pictures need, in a quarter of the
    bytes."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox(figure.canvas.get_renderer()).padded(0.1)
    raster, vector, small = io.BytesIO(), io.BytesIO(), io.BytesIO()
    figure.savefig(raster, format="png", dpi=110, bbox_inches=box, facecolor="white")
    figure.savefig(vector, format="svg", bbox_inches=box, facecolor="white", metadata={"Date": None})
    plt.close(figure)
    picture = PIL.Image.open(raster).convert("RGB")
    picture = picture.quantize(256, PIL.Image.Quantize.FASTOCTREE, dither=PIL.Image.Dither.NONE)
    picture.save(small, "png", optimize=True)
    return small.getvalue(), vector.getvalue().decode("utf-8")


# ---- parts that several pictures share -------------------------------------------------------------------------------


def legend_beside(figure, axes, handles=None):
    """Right of the rightmost panel, in as many columns as its height needs. handles: (handles, labels)."""
    handles, labels = handles or axes.get_legend_handles_labels()
    rows = max(int(figure.get_figheight() * 4.2), 8)
    axes.legend(handles, labels, loc="upper left", bbox_to_anchor=(1.02, 1.02), ncol=math.ceil(len(labels) / rows),
                borderaxespad=0, handlelength=2.6, columnspacing=1.2)


def as_they_end(axes, ends):
    """Handles and labels in the order in which the lines end at the right, highest first; ends: {label: last value}."""
    handles = dict(zip(*reversed(axes.get_legend_handles_labels())))
    order = sorted(handles, key=ends.get, reverse=True)
    return [handles[label] for label in order], order


def legend_below(figure, named):
    """Below all panels, for what they share; named: {label: handle}."""
    width = 0.55 + 0.07 * max(map(len, named))  # inches that the longest one takes
    columns = max(2, min(len(named), int(figure.get_figwidth() / width)))
    figure.legend(named.values(), named.keys(), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncol=columns,
                  handlelength=2.4)


def lengths_axis(axes, lengths, trained=()):
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(lengths), [f"{length:g}" for length in sorted(lengths)])
    axes.minorticks_off()
    for length in trained:
        axes.axvline(length, color=GREY, linewidth=1.1, zorder=0.5)


def delta_axis(axes, values):
    """Linear around zero, where the good ones are, and logarithmic above, so that the bad ones fit too."""
    values = [value for value in values if math.isfinite(value)]
    low, high = min(0, *values) * 1.2 - 0.02, 1.4 * max(choose.USABLE, *values)
    if high > 5 * choose.USABLE:
        axes.set_yscale("symlog", linthresh=choose.USABLE, linscale=1)
        ticks = [tick for tick in (-3, -1, -0.3, -0.1, -0.05, 0, 0.05, 0.1, 0.3, 1, 3, 10) if low <= tick <= high]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.yaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.set_ylim(low, high)
    axes.axhline(0, color=GREY, linewidth=0.9, zorder=0.6)
    axes.axhline(choose.USABLE, color="#707070", linewidth=1.1, linestyle=(0, (1, 2)), zorder=0.6)


def draw_means(axes, x, means, style, **more):
    """A line through the means, with a bar for each interval."""
    axes.plot(x, means["mean"], **{"linewidth": 1.6, "markersize": 5.5, **style, **more})
    known = means["low"].notna()
    axes.vlines(numpy.asarray(x)[known], means["low"][known], means["high"][known], color=style["color"], linewidth=1.2,
                alpha=0.75)


def grid(cells, columns, width, height, **options):
    """A figure with a panel for each cell, in rows; a cell that is None stays empty. Gives the figure and panels."""
    columns = min(columns, len(cells))
    rows = math.ceil(len(cells) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False,
                                layout="constrained", **options)
    used = [index for index, cell in enumerate(cells) if cell is not None]
    for index, panel in enumerate(axes.flat):
        panel.set_visible(index in used)
        if index + columns not in used:  # nothing stands below it
            panel.xaxis.set_tick_params(which="both", labelbottom=True)
    return figure, [axes.flat[index] for index in used]


def side_by_side(lengths, index, count):
    """Lengths a little to the left or right, or the intervals of different runs would lie on one another."""
    return lengths * 2 ** (0.2 * (index / max(count - 1, 1) - 0.5))


def name_of(run, failed):
    return f"{run} (not trained enough)" if run in failed else run


def style_of(run, look, failed):
    return look[run] | ({"linestyle": "--"} if run in failed else {})


# ---- verdicts --------------------------------------------------------------------------------------------------------


def verdict_bars(bars):
    """bars: [(name, {verdict: count})], each drawn as a bar in which every verdict has a part as long as its count."""
    set_style("".join(name for name, _ in bars))
    figure, axes = plt.subplots(figsize=(9, 0.55 + 0.62 * len(bars)))
    for row, (_, counts) in enumerate(bars):
        draw_bar(axes, row, counts)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(False)
    axes.tick_params(length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncol=len(VERDICT_COLOURS), handlelength=1)
    return figure


def draw_bar(axes, row, counts):
    left = 0
    for verdict, colour in VERDICT_COLOURS.items():
        share = counts.get(verdict, 0) / max(sum(counts.values()), 1)
        axes.barh(row, share, left=left, height=0.72, color=colour, edgecolor="white", linewidth=1.5,
                  label=verdict if row == 0 else None)
        if share:
            ink = "white" if verdict in ("reproduced", "refuted") else "#303030"
            axes.text(left + share / 2, row, str(counts[verdict]), ha="center", va="center", weight="bold", color=ink)
        left += share


# ---- training --------------------------------------------------------------------------------------------------------


def draw_run_curves(axes, run, rows, style, statuses):
    """statuses: {seed: status}. The mean is that of the seeds that are done. Gives its end."""
    by_seed = rows.pivot_table(index="tokens", columns="seed", values="loss", dropna=False)
    for seed in by_seed:
        line = by_seed[seed].dropna()
        axes.plot(line.index / 1e6, line, color=style["color"], linewidth=0.7, alpha=0.35)
        if statuses[seed] == "diverged" and len(line):
            axes.plot(line.index[-1] / 1e6, line.iloc[-1], marker="x", color=style["color"], markersize=9,
                      markeredgewidth=2.2)
    mean = by_seed[[seed for seed in by_seed if statuses[seed] == "done"]].dropna().mean(axis=1)
    axes.plot(mean.index / 1e6, mean, linewidth=1.7, markersize=4.5, label=run, **style)
    return mean.iloc[-1] if len(mean) else math.inf


def draw_block_curves(axes, curves, look, statuses):
    """statuses: {(run, seed): status}. Gives {run: last mean}."""
    ends = {}
    for run, rows in curves.groupby("run", sort=False):
        of_run = {seed: status for (name, seed), status in statuses.items() if name == run}
        ends[run] = draw_run_curves(axes, run, rows, look[run], of_run)
    axes.set_xlabel("tokens (millions)")
    return ends


def show_the_end(axes, curves):
    """Cuts off what the first fifth of training has above the rest: the differences at its end should be seen."""
    later = curves.loc[curves["tokens"] > 0.2 * curves["tokens"].max(), "loss"].dropna()
    if later.nunique() > 1:
        reach = later.max() - later.min()
        axes.set_ylim(later.min() - 0.05 * reach, later.max() + 0.05 * reach)


def loss_curves(blocks, curves, look, runs):
    """A panel for each block. runs: runs.csv."""
    one = len(blocks) == 1
    set_style("".join(look) + "".join(blocks))
    figure, axes = grid(blocks, 2 if len(blocks) == 4 else 3, 8 if one else 4.4, 4.8 if one else 3.5)
    for panel, block in zip(axes, blocks):
        rows = curves[curves["block"] == block]
        statuses = runs[runs["block"] == block].set_index(["run", "seed"])["status"].to_dict()
        ends = draw_block_curves(panel, rows, look, statuses)
        show_the_end(panel, rows)
        panel.set_title(block)
    figure.supylabel("validation " + NATS, fontsize=10)
    if one:
        legend_beside(figure, axes[0], as_they_end(axes[0], ends))
    else:
        named = {label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels())}
        legend_below(figure, {run: named[run] for run in look if run in named})
    return figure


# ---- lengths ---------------------------------------------------------------------------------------------------------


def extrapolation(lengths, look, failed, title):
    """lengths: the rows `all` of one block and scheme, one policy each. failed: runs that did not pass the gate."""
    set_style(title + "".join(look))
    figure, axes = plt.subplots(1, 2, figsize=(10.6, 5.2), gridspec_kw={"wspace": 0.2})
    ends = {}
    for panel, value in zip(axes, ("loss", "delta")):
        means = measured.over_seeds(lengths, ["run", "length"], value).sort_values("length")
        runs = list(dict.fromkeys(lengths["run"]))
        for index, run in enumerate(runs):
            rows, name = means[means["run"] == run], name_of(run, failed)
            x = side_by_side(rows["length"], index, len(runs))
            draw_means(panel, x, rows, style_of(run, look, failed), label=name)
            ends[name] = rows["mean"].iloc[-1]
        lengths_axis(panel, set(lengths["length"]), set(lengths["train_length"]))
        panel.set_xlabel("sequence length (tokens)")
    delta_axis(axes[1], means[["mean", "low", "high"]].to_numpy().ravel())
    axes[0].set_ylabel(NATS)
    axes[1].set_ylabel(DELTA)
    axes[0].set_title(title)
    legend_beside(figure, axes[1], as_they_end(axes[1], ends))
    return figure


def delta_panels(lengths, look, failed):
    """A panel for each run: its delta by seed and in the mean, before those of all others."""
    means = measured.over_seeds(lengths, ["run", "length"], "delta").sort_values("length")
    runs, shown = list(dict.fromkeys(lengths["run"])), means[["mean", "low", "high"]].to_numpy().ravel()
    set_style("".join(runs))
    figure, axes = grid(runs, 4, 2.75, 2.3, sharex=True, sharey=True)
    for panel, run in zip(axes, runs):
        for _, rows in means.groupby("run", sort=False):
            panel.plot(rows["length"], rows["mean"], color=LIGHT, linewidth=0.9, zorder=1)
        for _, rows in lengths[lengths["run"] == run].sort_values("length").groupby("seed"):
            panel.plot(rows["length"], rows["delta"], color=look[run]["color"], linewidth=0.7, alpha=0.5)
        rows = means[means["run"] == run]
        draw_means(panel, rows["length"], rows, style_of(run, look, failed))
        panel.set_title(run, fontsize=10)
        if run in failed:
            panel.text(0.04, 0.96, "not trained enough", transform=panel.transAxes, va="top", fontsize=8.5)
        lengths_axis(panel, set(lengths["length"]), set(lengths["train_length"]))
        delta_axis(panel, shown)
    figure.supylabel(DELTA, fontsize=10)
    figure.supxlabel("sequence length (tokens)", fontsize=10)
    return figure


def draw_buckets(axes, rows, look, failed, longest):
    """rows: those of one kind of bucket. Gives {label: last value}."""
    ends = {}
    means = measured.over_seeds(rows, ["run", "bucket_begin", "bucket_end"], "loss").sort_values("bucket_begin")
    for run in dict.fromkeys(rows["run"]):
        line, name = means[means["run"] == run], name_of(run, failed)
        centres = (line["bucket_begin"] + line["bucket_end"].clip(upper=longest)) / 2
        draw_means(axes, centres, line, style_of(run, look, failed), label=name)
        ends[name] = line["mean"].iloc[-1]
    return ends


def by_position(lengths, look, failed, title):
    """lengths: the rows `index` and `edge` of one block, scheme and length, one policy each."""
    set_style(title + "".join(look))
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(10.6, 5.2), gridspec_kw={"wspace": 0.06})
    edge, longest = lengths[lengths["bucket"] == "edge"], lengths["length"].max()
    draw_buckets(axes[0], lengths[lengths["bucket"] == "index"], look, failed, longest)
    ends = draw_buckets(axes[1], edge, look, failed, longest)
    lengths_axis(axes[1], set(edge["bucket_begin"]) - {0})
    axes[0].set_xlim(left=0)
    axes[0].axvline(lengths["train_length"].iloc[0], color=GREY, linewidth=1.1, zorder=0.5)
    axes[0].set_xlabel("position in the sequence (tokens)")
    axes[1].set_xlabel("distance to the nearer edge (tokens)")
    axes[0].set_ylabel(NATS)
    axes[0].set_title(title)
    legend_beside(figure, axes[1], as_they_end(axes[1], ends))
    return figure


def beyond_policies(lengths):
    """lengths: the rows `all` of one block and scheme, of the runs with several policies. A panel for each run."""
    runs, look = list(dict.fromkeys(lengths["run"])), styles(list(dict.fromkeys(lengths["beyond"])))
    set_style("".join(runs))
    figure, axes = grid(runs, 3, 3.6 if len(runs) > 1 else 6, 3.8, sharey=True)
    means = measured.over_seeds(lengths, ["run", "beyond", "length"], "delta").sort_values("length")
    for panel, run in zip(axes, runs):
        for index, policy in enumerate(look):
            rows = means[(means["run"] == run) & (means["beyond"] == policy)]
            draw_means(panel, side_by_side(rows["length"], index, len(look)), rows, look[policy], label=policy)
        lengths_axis(panel, set(lengths["length"]), set(lengths["train_length"]))
        delta_axis(panel, means[["mean", "low", "high"]].to_numpy().ravel())
        panel.set_title(run)
        panel.set_xlabel("sequence length (tokens)")
    figure.supylabel(DELTA, fontsize=10)
    named = {label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels())}
    legend_below(figure, named)
    return figure


# ---- probes ----------------------------------------------------------------------------------------------------------


def probe_cells(rows):
    """(length, condition) for each panel; each length begins a row of four, where lengths have several conditions."""
    cells = []
    for length, part in rows.groupby("length"):
        if len(set(rows["condition"])) > 1:
            cells += [None] * (-len(cells) % 4)
        cells += [(length, condition) for condition in dict.fromkeys(part["condition"])]
    return cells


def probe(rows, look, title):
    """rows: of one block of probes.csv. A panel for each length and condition, a row for each run, a dot for each
    seed."""
    set_style(title + "".join(look))
    runs = [run for run in look if run in set(rows["run"])][::-1]
    cells = probe_cells(rows)
    figure, axes = grid(cells, 4, max(2.9, 5.6 / len(cells)), 0.75 + 0.21 * len(runs), sharex=True, sharey=True)
    for panel, (length, condition) in zip(axes, filter(None, cells)):
        draw_probe(panel, rows[(rows["length"] == length) & (rows["condition"] == condition)], runs, look)
        panel.set_title(f"{length:g} tokens" + ("" if condition == "all" else f", {condition}"), fontsize=10)
    axes[0].set_xlim(-0.04, 1.04)
    axes[0].set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    axes[0].set_yticks(range(len(runs)), runs)
    axes[0].set_ylim(-0.6, len(runs) - 0.4)
    figure.supxlabel("accuracy", fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, fontweight="bold")
    return figure


def draw_probe(axes, part, runs, look):
    axes.axvline(part["floor_accuracy"].mean(), color="#303030", linewidth=1.1, linestyle=(0, (4, 2)), zorder=1.5)
    axes.axvline(part["ceiling_accuracy"].mean(), color="#303030", linewidth=1.1, zorder=1.5)
    for run, dots in part.groupby("run", sort=False):
        dots = dots.sort_values("seed")
        apart = numpy.linspace(0.22, -0.22, len(dots)) if len(dots) > 1 else numpy.zeros(1)  # or equal ones would hide
        axes.scatter(dots["accuracy"], runs.index(run) + apart, s=20, color=look[run]["color"], edgecolor="white",
                     linewidth=0.4, zorder=2)


# ---- speed and projections -------------------------------------------------------------------------------------------

SPEED_PANELS = {"forward": "forward pass (µs per token)", "step": "training step (µs per token)",
                "memory": "peak memory (MiB)"}


def speed(medians, look):
    """medians: run, length, forward and step (microseconds per token), memory (MiB)."""
    set_style("".join(look))
    figure, axes = plt.subplots(1, 3, figsize=(12.4, 4.6), gridspec_kw={"wspace": 0.27})
    for panel, (column, title) in zip(axes, SPEED_PANELS.items()):
        for run, rows in medians.groupby("run", sort=False):
            rows = rows.sort_values("length")
            panel.plot(rows["length"], rows[column], label=run, linewidth=1.6, markersize=5, **look[run])
        lengths_axis(panel, set(medians["length"]))
        panel.set_yscale("log")
        for set_formatter in (panel.yaxis.set_major_formatter, panel.yaxis.set_minor_formatter):
            set_formatter(matplotlib.ticker.LogFormatter(labelOnlyBase=False, minor_thresholds=(1.2, 0.4)))
        panel.set_xlabel("sequence length (tokens)")
        panel.set_title(title, fontsize=10.5)
    ends = medians[medians["length"] == medians["length"].max()].set_index("run")["step"]
    legend_beside(figure, axes[2], as_they_end(axes[1], {run: ends.get(run, 0) for run in look}))
    return figure


def projection(rows, look):
    """rows: projection.csv. Trained shares over the steps, by seed and in the mean over layers and heads; the others as
    levels."""
    set_style("".join(look))
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), gridspec_kw={"wspace": 0.22})
    for panel, name in zip(axes, ("Toeplitz share", "antisymmetric share")):
        for (run, kind), part in rows.groupby(["run", "projection"], sort=False):
            by_seed = part.pivot_table(index="step", columns="seed", values=name.lower().replace(" ", "_"))
            draw_projection(panel, by_seed, kind, f"{run}, {kind}", look[run])
        panel.set_xlabel("training step")
        panel.set_title(name)
        panel.set_ylim(-0.03, 1.03)
    legend_beside(figure, axes[1])
    return figure


def draw_projection(axes, by_seed, kind, label, style):
    """by_seed: a row for each step, a column for each seed."""
    mean = by_seed.mean(axis=1)
    if kind == "trained":
        axes.plot(by_seed.index, by_seed, color=style["color"], linewidth=0.7, alpha=0.4)
        axes.plot(mean.index, mean, label=label, linewidth=1.9, markersize=5, **style)
    else:
        line = {"random": "--", "identity": ":"}.get(kind, "-.")
        axes.axhline(mean.mean(), color=style["color"], linewidth=1.3, linestyle=line, label=label)


# ---- cost against worth ----------------------------------------------------------------------------------------------


def front(points):
    """The names that no other point beats in one of two numbers without losing in the other; the smaller the better.
    points: {name: (x, y)}"""
    return [name for name, (x, y) in points.items()
            if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())]


def draw_pareto(axes, points, look, failed, apart):
    """points: run, time, mean, low, high. The line joins the runs that no other one beats; failed (hollow) and apart
    take no part in it."""
    known = {row.run: (row.time, row.mean) for row in points.itertuples() if row.run not in {*failed, *apart}}
    best = sorted(known[name] for name in front(known))
    if best:
        axes.step(*zip(*best), where="post", color=GREY, linewidth=1.2, zorder=1)
    for row in points.itertuples():
        style = look[row.run] | {"linestyle": ""} | ({"markerfacecolor": "white"} if row.run in failed else {})
        axes.plot(row.time, row.mean, markersize=8, label=name_of(row.run, failed), **style)
        axes.vlines(row.time, row.low, row.high, color=style["color"], linewidth=1.2, alpha=0.75)


def pareto(delta, loss, look, failed, baseline, title, x_label):
    """Step time against delta and against the loss itself, at the same length. Both: run, time, mean, low, high."""
    set_style(title + "".join(look))
    figure, axes = plt.subplots(1, 2, figsize=(10.6, 4.8), gridspec_kw={"wspace": 0.24})
    for panel, points, label in zip(axes, (delta, loss), (DELTA, NATS)):
        draw_pareto(panel, points, look, failed, {baseline})
        panel.set_xlabel(x_label)
        panel.set_ylabel(label)
    delta_axis(axes[0], delta[["mean", "low", "high"]].to_numpy().ravel())
    axes[0].set_title(title)
    legend_beside(figure, axes[1])
    return figure
