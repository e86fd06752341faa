"""The table for choosing an encoding: a row for each run of a text block, with what it costs and what it is worth.

    loss, delta     at the trained length L, and at 2 L, 4 L, 8 L less that at L: mean over the seeds, 95 % t interval
    lead            loss of the run without positions minus that of the run, at L: below the gate, delta says nothing
    usable length   the largest evaluated n up to which every length has a mean delta of at most 0.1 nats, and an upper
                    limit of at most 0.1; it needs two seeds and the gate
    C, E, H         accuracy of the worst seed at the trained length: a phrase where it never stood, which word comes
                    first, the index of a token; from the first block of probes.csv with that probe and no boundary
                    tokens, of the run with the same name, or, if there is none, of those whose names begin with it
    step            median time of a training step at the longest measured length, over that of `absolute`
    parameters      more than the run without positions has
"""

import math

import pandas

from reporting import measured

USABLE = 0.1  # nats
FACTORS = (2, 4, 8)
PROBES = {"C": ("phrase_shift", ("unseen offset",)), "E": ("order", ("all",)),
          "H": ("absolute_index", ("trained index", "all"))}


def usable_length(means, trained):
    """means: length, mean, high of one run's delta; at the trained length it is 0."""
    beyond = means[means["length"] > trained].sort_values("length")
    if beyond.empty or beyond["high"].isna().any():
        return math.nan
    usable = trained
    for row in beyond.itertuples():
        if max(row.mean, row.high) > USABLE:
            break
        usable = row.length
    return usable


def worst_accuracies(probes, letter):
    """run -> accuracy of its worst seed, of one of the probes C, E, H; and the block they are from, or None."""
    name, conditions = PROBES[letter]
    at_trained = probes["length"] == probes["train_length"]
    rows = probes[(probes["probe"] == name) & (probes["boundary"] == "none") & at_trained]
    if rows.empty:
        return {}, None
    block = rows["block"].iloc[0]
    rows = rows[rows["block"] == block]
    condition = next((condition for condition in conditions if condition in set(rows["condition"])), None)
    return rows[rows["condition"] == condition].groupby("run", sort=False)["accuracy"].min().to_dict(), block


def scores_of(scores, run):
    """A text: the score of that run, else those of the runs whose names begin with its name."""
    if run in scores:
        return f"{scores[run]:.3f}"
    return "; ".join(f"{name} {score:.3f}" for name, score in scores.items() if name.startswith(run + "_"))


def step_ratios(speed, reference="absolute"):
    """run -> step time over the reference's, and the length at which."""
    longest = speed["length"].max()
    medians = speed[speed["length"] == longest].groupby("run", sort=False)["step_seconds"].median()
    return (medians / medians[reference]).to_dict() if reference in medians else {}, int(longest)


def with_interval(name, means, length):
    """The three cells of a mean at one length."""
    at = means[means["length"] == length]
    return {name + suffix: at[key].iloc[0] if len(at) else math.nan
            for suffix, key in (("", "mean"), ("_low", "low"), ("_high", "high"))}


def row_of_run(comparison, block, run, lengths):
    """lengths: the rows of this run."""
    trained = int(lengths["train_length"].iloc[0])
    delta, loss = (measured.over_seeds(lengths, ["length"], value) for value in ("delta", "loss"))
    runs = comparison.runs[(comparison.runs["block"] == block) & (comparison.runs["run"] == run)]
    row = {"block": block, "run": run, "configuration": " ".join(dict.fromkeys(runs["configuration"])),
           "seeds": " ".join(map(str, sorted(set(lengths["seed"])))), "policy": lengths["beyond"].iloc[0],
           "trained_length": trained, "lead": comparison.leads.get((block, run), math.nan),
           **with_interval("loss", loss, trained)}
    for factor in FACTORS:
        row |= with_interval(f"delta_{factor}L", delta, factor * trained)
    counts = (block, run) in comparison.leads and (block, run) not in comparison.failed
    return row | {"usable_length": usable_length(delta, trained) if counts else math.nan}


def rows(comparison):
    """A frame with one row for each run of each text block."""
    probes, result = comparison.probes, []
    scores = {letter: worst_accuracies(probes, letter)[0] if probes is not None else {} for letter in PROBES}
    ratios = step_ratios(comparison.speed)[0] if comparison.speed is not None else {}
    known = comparison.runs.dropna(subset=["parameters"]).drop_duplicates(["block", "run"])
    parameters = known.set_index(["block", "run"])["parameters"].to_dict()
    for block in comparison.text_blocks:
        baseline = parameters.get((block, comparison.baselines[block]), math.nan)
        for run, lengths in comparison.curve_rows(block).groupby("run", sort=False):
            row = row_of_run(comparison, block, run, lengths)
            row |= {letter: scores_of(scores[letter], run) for letter in PROBES}
            row |= {"step_ratio": ratios.get(run, math.nan),
                    "parameters": parameters.get((block, run), math.nan) - baseline}
            result.append(row)
    return pandas.DataFrame(result)
