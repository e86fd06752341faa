"""What the tables of a comparison say, as the pictures and tables of the report need it.

    over seeds   mean over the seeds, with the 95 % t interval where there are two seeds or more (statistics.py)
    lead         loss(baseline) - loss(run) at the trained length, mean over the seeds that both have; below `gate` the
                 run is "not trained enough", and what it does at other lengths says nothing about its encoding
                 (docs/extrapolation.md, the false pass)
    policy       of a learned table, whose figures past its end depend on `beyond`: clip if it was evaluated, else the
                 first one
    text block   a block of lengths.csv with a run without positions, the baseline: the one that claims.yaml names for
                 the block, else `none`
"""

import dataclasses
import math
import pathlib

import pandas

from reporting import quantities, statistics

CURVE_COLUMNS = ["block", "run", "seed", "tokens", "loss"]
NEEDED = {  # the columns that the report reads
    "runs": ["block", "run", "seed", "status", "steps", "tokens", "train_length", "parameters", "configuration",
             "reason"],
    "lengths": ["block", "run", "seed", "beyond", "train_length", "length", "scheme", "bucket", "bucket_begin",
                "bucket_end", "loss", "delta"],
    "probes": ["block", "run", "seed", "probe", "variant", "boundary", "condition", "train_length", "length",
               "accuracy", "floor_accuracy", "ceiling_accuracy"],
    "speed_by_length": ["run", "length", "forward_seconds", "step_seconds", "tokens", "peak_memory_bytes"],
    "projection": ["run", "seed", "step", "projection", "toeplitz_share", "antisymmetric_share"],
}


@dataclasses.dataclass
class Comparison:
    """A comparison folder; a table that is not there is None."""

    folder: pathlib.Path
    scheme: str
    gate: float
    runs: pandas.DataFrame
    lengths: pandas.DataFrame | None
    probes: pandas.DataFrame | None
    speed: pandas.DataFrame | None
    projection: pandas.DataFrame | None
    curves: pandas.DataFrame | None
    baselines: dict       # text block -> its run without positions
    leads: dict           # (block, run) -> nats
    failed: set           # (block, run) that did not pass the gate

    @property
    def text_blocks(self):
        return list(self.baselines)

    def all_rows(self, block):
        """lengths.csv: the rows `all` of one block in the scheme of claims.yaml."""
        rows = self.lengths[(self.lengths["block"] == block) & (self.lengths["bucket"] == "all")]
        return rows[rows["scheme"] == self.scheme]

    def curve_rows(self, block):
        """The same with one policy for each run."""
        return main_policy(self.all_rows(block))

    def failed_in(self, block):
        return {run for there, run in self.failed if there == block}


def table(tables, name):
    if not tables.has(name):
        return None
    frame = tables.table(name)
    for column in NEEDED[name]:
        if column not in frame:
            there = ", ".join(frame.columns)
            raise ValueError(f"{tables.folder / name}.csv: there is no column {column}; there are: {there}")
    return frame


def read(tables, claims, outputs):
    """tables: of quantities.read_tables(); claims: of read_claims(); outputs: folders in which an earlier report may
    have left curves.csv."""
    if not tables.has("runs"):
        raise ValueError(f"{tables.folder}: there is no runs.csv; `locus compare` writes it")
    frames = {name: table(tables, name) for name in NEEDED}
    runs, lengths = frames["runs"], frames["lengths"]
    baselines = baselines_of(lengths, claims) if lengths is not None else {}
    leads = leads_of(lengths, claims.scheme, baselines) if lengths is not None else {}
    return Comparison(tables.folder, claims.scheme, claims.gate, runs, lengths, frames["probes"],
                      frames["speed_by_length"], frames["projection"], read_curves(tables.folder, runs, outputs),
                      baselines, leads, {key for key, lead in leads.items() if lead < claims.gate})


def over_seeds(frame, keys, value):
    """Columns keys, mean, low, high, seeds; in the frame's order. low and high are NaN with one seed."""
    rows = []
    for key, group in frame.groupby(keys if len(keys) > 1 else keys[0], sort=False):
        values = group[value].dropna().tolist()
        if values:
            low, high = statistics.t_interval(values) if len(values) > 1 else (math.nan, math.nan)
            rows.append([*(key if len(keys) > 1 else (key,)), statistics.centre(values), low, high, len(values)])
    return pandas.DataFrame(rows, columns=[*keys, "mean", "low", "high", "seeds"])


def main_policy(lengths):
    """Rows of lengths.csv with one policy for each run of each block."""
    parts = []
    for _, group in lengths.groupby(["block", "run"], sort=False):
        policies = list(dict.fromkeys(group["beyond"]))
        parts.append(group[group["beyond"] == ("clip" if "clip" in policies else policies[0])])
    return pandas.concat(parts) if parts else lengths


def baselines_of(lengths, claims):
    present = set(zip(lengths["block"], lengths["run"]))
    named = {block: claims.blocks.get(block, "none") for block in dict.fromkeys(lengths["block"])}
    return {block: run for block, run in named.items() if (block, run) in present}


def leads_of(lengths, scheme, baselines):
    """(block, run) -> how much lower than the baseline's its loss at the trained length is."""
    rows = lengths[(lengths["scheme"] == scheme) & (lengths["bucket"] == "all")]
    by_run = main_policy(rows[rows["length"] == rows["train_length"]]).groupby(["block", "run"], sort=False)
    losses, leads = {key: group.set_index("seed")["loss"] for key, group in by_run}, {}
    for (block, run), loss in losses.items():
        baseline = losses.get((block, baselines.get(block)))
        if baseline is not None and run != baselines[block]:
            differences = (baseline - loss).dropna().tolist()  # seed by seed
            if differences:
                leads[block, run] = statistics.centre(differences)
    return leads


def validations(folder, block, run, seed):
    """Of one run folder; None: there is no metrics.csv."""
    path = pathlib.Path(folder, block, run, f"seed-{seed}", "metrics.csv")
    if not path.exists():
        return None
    metrics = quantities.read_table(path, quantities.METRICS)
    for column in ("split", "tokens", "loss"):
        if column not in metrics:
            raise ValueError(f"{path}: there is no column {column}; is it a metrics.csv of locus?")
    rows = metrics.loc[metrics["split"] == "valid", ["tokens", "loss"]]
    return rows.assign(block=block, run=run, seed=seed)[CURVE_COLUMNS]


def read_curves(folder, runs, outputs):
    """Validation losses of all runs: from the run folders; if there are none, from curves.csv of an earlier report."""
    keys = runs[["block", "run", "seed"]].itertuples(index=False, name=None)
    parts = [part for part in (validations(folder, *key) for key in keys) if part is not None]
    if parts:
        return pandas.concat(parts, ignore_index=True).astype({"tokens": int})
    for path in (pathlib.Path(output, "curves.csv") for output in outputs):
        if path.exists():
            curves = quantities.read_table(path, ("seed", "tokens", "loss"))
            if list(curves.columns) != CURVE_COLUMNS:
                raise ValueError(f"{path}: the columns should be {', '.join(CURVE_COLUMNS)}; remove the file, "
                                 "a report with the run folders makes it anew")
            return curves.astype({"tokens": int})
    return None
