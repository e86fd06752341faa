"""The sections of the report with curves, tables and pictures, as blocks of page.py. A section whose table is missing
is one line that says which file it needs and what makes it."""

import math

import numpy
import pandas

from reporting import choose, figures, measured, wording
from reporting.page import Figure, Heading, Paragraph, Table

INTERVALS = "Intervals are 95 % t intervals over the seeds."
MAKERS = {
    "curves.csv": "A report with the run folders of `locus compare` at hand makes it, from their `metrics.csv`.",
    "lengths.csv": "`locus compare` writes it for blocks of text, when `evaluate` names `lengths`.",
    "probes.csv": "`locus compare` writes it for blocks with `data.probe`.",
    "speed_by_length.csv": "`scripts/measure_lengths.py` makes it.",
    "projection.csv": "`scripts/projection_probe.py` makes it.",
}
PANELS = 12  # at most, in one picture of probes
FACTOR = 4   # times the trained length, in the picture of cost against worth


def left_out(file):
    return [Paragraph(f"Left out: it needs `{file}`, which is not there. {MAKERS[file]}")]


def as_csv(frame):
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def code(names):
    return ", ".join(f"`{name}`" for name in names)


def look(comparison):
    """Colours and markers of all runs."""
    return figures.styles(list(dict.fromkeys(comparison.runs["run"])), {"none", *comparison.baselines.values()})


def kind_of(comparison, block):
    probes, lengths = comparison.probes, comparison.lengths
    if probes is not None and block in set(probes["block"]):
        row = probes[probes["block"] == block].iloc[0]
        name = " ".join(f"`{part}`" for part in (row["probe"], row["variant"]) if part)
        return f"probe {name}" + ("" if row["boundary"] == "none" else f", `{row['boundary']}`")
    return "text" if lengths is not None and block in set(lengths["block"]) else wording.NONE


# ---- training --------------------------------------------------------------------------------------------------------


def curve_pictures(comparison):
    """{name: blocks}: one for each text block, one for all other texts, one for all else."""
    there = list(dict.fromkeys(comparison.curves["block"]))
    texts = set(comparison.lengths["block"]) if comparison.lengths is not None else set()
    main = [block for block in there if block in comparison.text_blocks]
    pictures = {f"loss_{block}": [block] for block in main}
    pictures["loss_other_texts"] = [block for block in there if block in texts and block not in main]
    pictures["loss_probes"] = [block for block in there if block not in texts]
    return {name: blocks for name, blocks in pictures.items() if blocks}


def loss_curves(comparison, look):
    heading = Heading(2, "Loss curves")
    if comparison.curves is None:
        return [heading, *left_out("curves.csv")]
    result = [heading, Paragraph(
        "Validation loss against the tokens trained on. Bold: mean over the seeds that are done; thin: each seed; a "
        "cross: the last finite loss of a run that diverged. The first fifth of training may lie above the picture. "
        "The figures: [curves.csv](curves.csv).")]
    for name, blocks in curve_pictures(comparison).items():
        caption = f"{'Block' if len(blocks) == 1 else 'Blocks'} {code(blocks)}."
        result.append(Figure(name, f"Validation losses: {wording.names(blocks)}", caption,
                             lambda blocks=blocks: figures.loss_curves(blocks, comparison.curves, look,
                                                                       comparison.runs)))
    return result


# ---- lengths ---------------------------------------------------------------------------------------------------------


def gate_text(comparison, block):
    failed = sorted(comparison.failed_in(block))
    return f"not trained enough (dashed): {code(failed)}." if failed else "all runs passed the gate."


def policy_text(rows):
    policies = rows[rows["beyond"] != ""].groupby("run", sort=False)["beyond"].first()
    named = wording.names(f"`{run}` {policy}" for run, policy in policies.items())
    return f" Past the end of a table: {named}." if named else ""


def lengths_frame(comparison):
    """lengths_by_run.csv: loss and delta of all text blocks, runs and policies."""
    rows = comparison.lengths[comparison.lengths["bucket"] == "all"]
    rows, keys = rows[rows["scheme"] == comparison.scheme], ["block", "run", "beyond", "train_length", "length"]
    loss, delta = (measured.over_seeds(rows, keys, value) for value in ("loss", "delta"))
    return loss.merge(delta.drop(columns="seeds"), on=keys, how="left", suffixes=("_loss", "_delta"))


def other_texts(comparison):
    frame = lengths_frame(comparison)
    rows = [[f"`{row.block}/{row.run}`", row.beyond, f"{row.train_length:g}", f"{row.length:g}",
             wording.interval(row.mean_loss, row.low_loss, row.high_loss),
             wording.interval(row.mean_delta, row.low_delta, row.high_delta)]
            for row in frame[~frame["block"].isin(comparison.text_blocks)].itertuples()]
    if not rows:
        return []
    return [Heading(3, "Lengths: other blocks"), Paragraph("Blocks in which no run is without positions:"),
            Table(["run", "beyond", "trained length", "length", "loss", "delta"], rows, "llrrrr")]


def extrapolation_of(comparison, block, look):
    rows, failed = comparison.curve_rows(block), comparison.failed_in(block)
    caption = f"Block `{block}`: {gate_text(comparison, block)}{policy_text(rows)}"
    return [Heading(3, f"Lengths: {block}"),
            Figure(f"lengths_{block}", f"Loss and delta against the sequence length, block {block}", caption,
                   lambda: figures.extrapolation(rows, look, failed, f"{block}, {comparison.scheme}")),
            Figure(f"delta_{block}", f"Delta of each run of the block {block}, by seed",
                   f"Block `{block}`: delta of each run, thin for each seed, before those of the others.",
                   lambda: figures.delta_panels(rows, look, failed))]


def extrapolation(comparison, look):
    heading = Heading(2, "Beyond the trained length")
    if comparison.lengths is None:
        return [heading, *left_out("lengths.csv")]
    intro = (
        f"Delta is the loss at a length minus the loss at the trained one, on the same targets ({comparison.scheme} "
        f"scoring). The grey line is the trained length; dotted: {choose.USABLE:g} nats, up to which the table for "
        "choosing calls a length usable. The gate: delta counts only for a run that is at least "
        f"{comparison.gate:g} nats better at the trained length than the run without positions. {INTERVALS} The runs "
        "stand a little beside one another, so that their intervals can be seen. "
        "All figures: [lengths_by_run.csv](lengths_by_run.csv).")
    blocks = [block for block in comparison.text_blocks if comparison.curve_rows(block)["length"].nunique() > 1]
    parts = [part for block in blocks for part in extrapolation_of(comparison, block, look)]
    return [heading, Paragraph(intro), *parts, *other_texts(comparison)]


def position_rows(comparison, block):
    """Of the longest length, in chunks side by side: centred scoring leaves out what is near an edge."""
    rows = comparison.lengths[(comparison.lengths["block"] == block) & (comparison.lengths["scheme"] == "chunked")]
    rows = rows[(rows["length"] == rows["length"].max()) & rows["bucket"].isin(["index", "edge"])]
    return measured.main_policy(rows)


def by_position(comparison, look):
    heading = Heading(2, "By position in the sequence")
    if comparison.lengths is None:
        return [heading, *left_out("lengths.csv")]
    result = [heading, Paragraph(
        "Loss at the longest length, by the position inside the sequence and by the distance to the nearer edge. A "
        "table that ends shows a jump at the trained length (grey); dilution raises all positions alike; a loss that "
        "is high near the edges only is the edge effect.")]
    without = []
    for block in comparison.text_blocks:
        rows, failed = position_rows(comparison, block), comparison.failed_in(block)
        if rows.empty:
            without.append(block)
            continue
        title = f"{block}, chunked, {rows['length'].iloc[0]:g} tokens"
        result.append(Figure(
            f"position_{block}", f"Loss by position, block {block}", f"Block `{block}`.{policy_text(rows)}",
            lambda rows=rows, title=title, failed=failed: figures.by_position(rows, look, failed, title)))
    if without:
        result.append(Paragraph(f"Without chunked scoring, the only one that has all positions: {code(without)}."))
    return result


def beyond_table(rows):
    """rows: those of the runs with several policies."""
    means = measured.over_seeds(rows, ["run", "beyond", "length"], "delta")
    lengths = sorted(length for length in set(rows["length"]) if length > rows["train_length"].iloc[0])
    cells = []
    for (run, policy), part in means.groupby(["run", "beyond"], sort=False):
        at = {row.length: wording.interval(row.mean, row.low, row.high) for row in part.itertuples()}
        cells.append([f"`{run}`", policy] + [at.get(length, "") for length in lengths])
    header = ["run", "beyond"] + [f"delta at {length:g}" for length in lengths]
    return Table(header, cells, "ll" + "r" * len(lengths))


def beyond(comparison):
    result = [Heading(2, "Past the end of a learned table")]
    if comparison.lengths is None:
        return result + left_out("lengths.csv")
    for block in comparison.text_blocks:
        rows = comparison.all_rows(block)
        policies = rows.groupby("run")["beyond"].nunique()
        rows = rows[rows["run"].isin(policies[policies > 1].index)]
        if len(rows):
            caption = f"Block `{block}`: what stands for the rows that a table does not have (`model.position.beyond`)."
            result += [Figure(f"beyond_{block}", f"Delta by what stands for missing rows, block {block}", caption,
                              lambda rows=rows: figures.beyond_policies(rows)), beyond_table(rows)]
    if len(result) == 1:
        result.append(Paragraph("Left out: no run of `lengths.csv` was evaluated with several policies; "
                                "`evaluate: {beyond: [clip, tile]}` in the comparison's file asks for them."))
    return result


# ---- probes ----------------------------------------------------------------------------------------------------------


def probes(comparison, look):
    heading = Heading(2, "Probes")
    if comparison.probes is None:
        return [heading, *left_out("probes.csv")]
    result = [heading, Paragraph(
        "A dot for each seed: a probe is mostly learnt whole or not at all, and a mean would show what no model did. "
        "Dashed: the floor, which is all that can be known without positions; solid: the ceiling.")]
    for block, rows in comparison.probes.groupby("block", sort=False):
        parts = {"": rows}
        if len(rows.groupby(["length", "condition"])) > PANELS:
            parts = {f"_{length:g}": part for length, part in rows.groupby("length")}
        trained = f"trained at {rows['train_length'].iloc[0]:g} tokens"
        for suffix, part in parts.items():
            result.append(Figure(f"probe_{block}{suffix}", f"Accuracy of every seed, block {block}",
                                 f"Block `{block}`: {kind_of(comparison, block)}, {trained}.",
                                 lambda part=part, block=block: figures.probe(part, look, block)))
    return result


# ---- speed and projections -------------------------------------------------------------------------------------------

SPEED_COLUMNS = {"forward_us": "forward (µs)", "step_us": "step (µs)", "step_ratio": "step over `absolute`",
                 "slope_forward": "slope, forward", "slope_step": "slope, step", "memory_mib": "memory (MiB)",
                 "slope_memory": "slope, memory"}


def speed_medians(speed):
    """Medians over the repeats: microseconds per token, and MiB."""
    frame = speed[["run", "length"]].assign(forward=1e6 * speed["forward_seconds"] / speed["tokens"],
                                            step=1e6 * speed["step_seconds"] / speed["tokens"],
                                            memory=speed["peak_memory_bytes"] / 2**20)
    return frame.groupby(["run", "length"], sort=False).median().reset_index()


def slope(lengths, values):
    """Of the least-squares line through log value against log length."""
    if len(set(lengths)) < 2 or not (values > 0).all():
        return math.nan
    return float(numpy.polyfit(numpy.log(lengths.to_numpy()), numpy.log(values.to_numpy()), 1)[0])


def speed_frame(speed):
    """speed.csv: of each run the figures at the longest length, and the slopes."""
    ratios, _ = choose.step_ratios(speed)
    rows = []
    for run, part in speed_medians(speed).groupby("run", sort=False):
        longest = part.loc[part["length"].idxmax()]
        row = {"run": run, "length": int(longest["length"]), "forward_us": longest["forward"],
               "step_us": longest["step"], "memory_mib": longest["memory"], "step_ratio": ratios.get(run, math.nan)}
        slopes = {f"slope_{column}": slope(part["length"], part[column]) for column in ("forward", "step", "memory")}
        rows.append(row | slopes)
    return pandas.DataFrame(rows)


def speed(comparison, look):
    heading = Heading(2, "Speed and memory by length")
    if comparison.speed is None:
        return [heading, *left_out("speed_by_length.csv")]
    medians, frame = speed_medians(comparison.speed), speed_frame(comparison.speed)
    rows = [[f"`{row['run']}`", *(wording.number(row[column]) for column in SPEED_COLUMNS)]
            for _, row in frame.iterrows()]
    intro = (
        f"Medians over the repeats, both axes logarithmic; the table is at {frame['length'].max():,} tokens. Time is "
        "per token, and the slope s of the fitted line says that it grows as the length to the power s: 0 when a token "
        "costs the same however long its sequence is, 1 when all time goes into attention over all pairs. "
        "The figures: [speed.csv](speed.csv).")
    picture = Figure("speed", "Time per token and peak memory against the length",
                     "Time per token and peak memory against the length.", lambda: figures.speed(medians, look))
    return [heading, Paragraph(intro), picture,
            Table(["run", *SPEED_COLUMNS.values()], rows, "l" + "r" * len(SPEED_COLUMNS))]


def projection(comparison, look):
    heading = Heading(2, "What the projections do to sinusoidal positions")
    if comparison.projection is None:
        return [heading, *left_out("projection.csv")]
    rows, cells, shares = comparison.projection, [], ["toeplitz_share", "antisymmetric_share"]
    for (run, kind), part in rows.groupby(["run", "projection"], sort=False):
        steps = (part["step"].min(), part["step"].max())
        first, last = (part[part["step"] == step].groupby("seed")[shares].mean() for step in steps)
        cells.append([f"`{run}`", kind, *(wording.span(end[share]) for share in shares for end in (first, last))])
    intro = (
        "Of the position part of a score, `p_i W_q W_k^T p_j`: the Toeplitz share depends on the distance i − j alone, "
        "the antisymmetric share tells left from right. Means over layers and heads; thin lines and ranges: the seeds.")
    picture = Figure("projection", "Toeplitz share and antisymmetric share over training",
                     "Solid: the trained projections; dashed: random ones; dotted: none (identity).",
                     lambda: figures.projection(rows, look))
    return [heading, Paragraph(intro), picture,
            Table(["run", "projection", "Toeplitz, first step", "Toeplitz, last step", "antisymmetric, first step",
                   "antisymmetric, last step"], cells, "llrrrr")]


# ---- choosing --------------------------------------------------------------------------------------------------------


def parameters_text(extra):
    if math.isnan(extra) or extra == 0:
        return wording.NONE if math.isnan(extra) else "0"
    return f"{extra:+,.0f}".replace("-", "−")


def choose_cells(row):
    def with_interval(name):
        return wording.interval(row[name], row[f"{name}_low"], row[f"{name}_high"])

    usable = f"{row['usable_length']:g}" if not math.isnan(row["usable_length"]) else wording.NONE
    return [f"`{row['run']}`", with_interval("loss"), wording.number(row["lead"]),
            *(with_interval(f"delta_{factor}L") for factor in choose.FACTORS), usable,
            *(row[letter] or wording.NONE for letter in choose.PROBES), wording.number(row["step_ratio"]),
            parameters_text(row["parameters"]), f"yes: {row['policy']}" if row["policy"] else "no",
            f"`{row['configuration']}`", row["seeds"]]


def choose_text(comparison):
    sources = dict.fromkeys(choose.PROBES)
    if comparison.probes is not None:
        sources = {letter: choose.worst_accuracies(comparison.probes, letter)[1] for letter in choose.PROBES}
    probes = wording.names(f"{letter} `{block}`" if block else f"{letter} not measured"
                           for letter, block in sources.items())
    speed = "not measured" if comparison.speed is None else f"at {choose.step_ratios(comparison.speed)[1]:,} tokens"
    return (
        "L is the trained length. Lead: how much better than the run without positions at L; below "
        f"{comparison.gate:g} nats a run is not trained enough, and its delta says nothing about its encoding. Usable: "
        f"the largest length up to which delta and its upper limit stay within {choose.USABLE:g} nats. C, E, H: "
        "accuracy of the worst seed at the trained length of the probes for a shifted phrase, for order and for the "
        f"index ({probes}). Step: time of a training step over that of `absolute`, {speed}. Parameters: more than the "
        f"run without positions has. Configuration and seeds say which runs a row is made of. {INTERVALS} "
        "All digits: [choose.csv](choose.csv).")


def choosing(comparison, by_run):
    heading = Heading(2, "How to choose")
    if comparison.lengths is None:
        return [heading, *left_out("lengths.csv")]
    header = ["run", "loss at L", "lead", *(f"delta at {factor}L" for factor in choose.FACTORS), "usable",
              *choose.PROBES, "step", "parameters", "needs `beyond`?", "configuration", "seeds"]
    result = [heading, Paragraph(choose_text(comparison))]
    for block in comparison.text_blocks:
        rows = by_run[by_run["block"] == block]
        trained = wording.names(sorted(set(rows["trained_length"])))
        result += [Heading(3, f"Choosing: {block}"), Paragraph(f"Block `{block}`, L = {trained}."),
                   Table(header, [choose_cells(row) for _, row in rows.iterrows()], "lrrrrrrrrrrrlll")]
    return result


def pareto_points(rows, value, times):
    """run, time, mean, low, high of the runs whose step time was measured."""
    points = measured.over_seeds(rows, ["run"], value)
    return points.assign(time=points["run"].map(times)).dropna(subset=["time"])


def pareto_of(comparison, block, look, times, axis):
    """The picture of one block, or nothing. times: run -> step time."""
    rows = comparison.curve_rows(block)
    rows = rows[rows["length"] == FACTOR * rows["train_length"]]
    delta, loss = (pareto_points(rows, value, times) for value in ("delta", "loss"))
    if delta.empty:
        return []
    title, failed = f"{block}, {rows['length'].iloc[0]:g} tokens", comparison.failed_in(block)
    return [Figure(f"pareto_{block}", f"Step time against delta and loss, block {block}",
                   f"Block `{block}`.{policy_text(rows)}",
                   lambda: figures.pareto(delta, loss, look, failed, comparison.baselines[block], title, axis))]


def pareto(comparison, look):
    heading = Heading(2, "Cost against worth")
    for file, frame in (("lengths.csv", comparison.lengths), ("speed_by_length.csv", comparison.speed)):
        if frame is None:
            return [heading, *left_out(file)]
    medians = speed_medians(comparison.speed)
    longest = medians["length"].max()
    times = medians[medians["length"] == longest].set_index("run")["step"].to_dict()
    intro = (
        f"Time of a training step against what is lost at {FACTOR} times the trained length, and against the loss "
        "there. The line joins the runs that no other one beats in both; those that did not pass the gate (hollow) and "
        f"the run without positions take no part in it. {INTERVALS}")
    axis = f"training step at {longest:,.0f} tokens (µs per token)"
    pictures = [picture for block in comparison.text_blocks
                for picture in pareto_of(comparison, block, look, times, axis)]
    return [heading, Paragraph(intro), *pictures]


# ---- all of it -------------------------------------------------------------------------------------------------------


def sections(comparison, look, by_run):
    """by_run: choose.rows(), None without lengths.csv."""
    return [*loss_curves(comparison, look), *extrapolation(comparison, look), *by_position(comparison, look),
            *beyond(comparison), *probes(comparison, look), *speed(comparison, look), *projection(comparison, look),
            *choosing(comparison, by_run), *pareto(comparison, look)]


def files(comparison, by_run):
    """The small tables: {name: CSV}."""
    texts = {}
    if comparison.curves is not None:
        texts["curves.csv"] = comparison.curves.to_csv(index=False, na_rep="nan", lineterminator="\n")
    if comparison.speed is not None:
        texts["speed.csv"] = as_csv(speed_frame(comparison.speed))
    if by_run is not None:
        texts |= {"lengths_by_run.csv": as_csv(lengths_frame(comparison)), "choose.csv": as_csv(by_run)}
    return texts
