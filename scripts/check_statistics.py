#!/usr/bin/env python3
"""Can the verdicts of a comparison be believed? Simulates comparisons whose truth is known, and counts the verdicts.

    scripts/check_statistics.py runs/notes                     with the spread over seeds that this comparison measured
    scripts/check_statistics.py --spread 0.015 --seeds 5       with a spread in nats, the paired sd of a difference

1. One encoding under two names: the difference at each seed has mean 0. As many claims "A is above B" as claims.yaml
   has claims with a t test are judged as one family, and the families with any verdict at all, reproduced or refuted,
   are counted. Holm promises at most `level` of them.
2. A planted difference in one claim of such a family: how often it is found.
3. Equivalence: a true difference exactly at the margin, and how often it is called equivalent.
4. The intervals inside the tables: the bootstrap of train/bootstrap.h, on windows whose targets are alike.

Markdown on standard output. Exit code 1 when a share of wrong verdicts is above its promise by more than chance (its
whole 95 % Clopper-Pearson interval is), 2 when an input is wrong.
"""

import argparse
import itertools
import math
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
try:
    import numpy
    import scipy.stats

    from reporting import claims, quantities, results, statistics, verdicts
except ImportError as missing:
    system = "/usr/bin/python3"  # the distribution's scipy belongs to it; another python3 may come first in the path
    is_other = os.path.exists(system) and os.path.realpath(sys.executable) != os.path.realpath(system)
    if __name__ == "__main__" and is_other:
        os.execv(system, [system, *sys.argv])
    sys.exit(f"check_statistics.py: {missing.name} is missing; scripts/setup.sh installs it "
             "(apt-get install python3-scipy python3-pandas python3-yaml)")

CLAIMS = pathlib.Path(__file__).resolve().parents[1] / "configs" / "compare" / "claims.yaml"
PLANTED = 0.05     # nats
MARGIN = 0.02      # nats, of the equivalence
JUDGED_TWICE = 50  # families that the functions behind report.py judge as well, one by one
REPLICATES = 2000  # of the bootstrap, as in train/bootstrap.h
TEXTS = 600        # evaluated texts for each number of windows
TEXTS_AT_ONCE = 100


# ---------------------------------------------------------------- the measured spread

def paired_spreads(tables):
    """block of text -> [(paired sd of the validation losses, run, run, common seeds)], smallest first."""
    runs = tables.table("runs")
    probes = set(tables.table("probes")["block"]) if tables.has("probes") else set()  # learnt or not: no such spread
    spreads = {}
    for block, rows in runs[(runs["status"] == "done") & ~runs["block"].isin(probes)].groupby("block", sort=False):
        losses = {run: group.set_index("seed")["validation_loss"] for run, group in rows.groupby("run", sort=False)}
        for one, other in itertools.combinations(losses, 2):
            differences = (losses[one] - losses[other]).dropna()
            if len(differences) >= 2 and not statistics.has_no_spread(differences):
                spreads.setdefault(block, []).append((statistics.spread(differences), one, other, len(differences)))
    if not spreads:
        raise ValueError(f"{tables.folder}: no block of text has two finished runs with two common seeds; "
                         "give --spread and --seeds instead")
    return {block: sorted(pairs) for block, pairs in spreads.items()}


def print_spreads(spreads):
    print("## Measured spread\n\nPaired sd over the seeds of the difference of two runs' validation losses, in nats, "
          "over all pairs of a block.\n")
    print("| block | seeds | pairs | smallest | median | largest |\n|---|---|---|---|---|---|")
    for block, pairs in spreads.items():
        sds = [pair[0] for pair in pairs]
        seeds = " or ".join(map(str, sorted({pair[3] for pair in pairs})))
        print(f"| {block} | {seeds} | {len(sds)} | {sds[0]:.4f} | {numpy.median(sds):.4f} | {sds[-1]:.4f} |")
    print()


# ---------------------------------------------------------------- families of claims

def normal(random, shape):
    return random.standard_normal(shape)


def one_reference(random, shape):
    """All claims of a family compare with the same run and share its noise: differences correlate by 1/2."""
    families, _, seeds = shape
    return (random.standard_normal(shape) - random.standard_normal((families, 1, seeds))) / math.sqrt(2)


def heavy_tailed(random, shape):
    return random.standard_t(3, shape)


def sometimes_stuck(random, shape):
    """The difference of two runs of which either lies 10 sds higher in one of ten cases."""
    return random.standard_normal(shape) + 10.0 * (random.random(shape) < 0.1) - 10.0 * (random.random(shape) < 0.1)


NOISES = {
    "normal": normal,
    "normal, all claims against one run": one_reference,
    "heavy tails (Student's t with 3 degrees of freedom)": heavy_tailed,
    "one run in ten gets stuck": sometimes_stuck,
}


def family_verdicts(values, level):
    """[families, claims, seeds] -> [families, claims]: claims "above 0": 1 reproduced, -1 refuted, 0 neither."""
    count, seeds = values.shape[1:]
    t = values.mean(axis=2) / (values.std(axis=2, ddof=1) / math.sqrt(seeds))
    p = 2 * scipy.stats.t.sf(abs(t), seeds - 1)
    order = numpy.argsort(p, axis=1)
    steps = numpy.minimum(numpy.take_along_axis(p, order, axis=1) * (count - numpy.arange(count)), 1)
    adjusted = numpy.empty_like(p)
    numpy.put_along_axis(adjusted, order, numpy.maximum.accumulate(steps, axis=1), axis=1)
    found = adjusted <= level
    return numpy.where(found & (values > 0).all(axis=2), 1, numpy.where(found & (t < 0), -1, 0))


def judged_by_report(family, level):
    """The same for one family, by the functions behind report.py."""
    bound = claims.Bound(0.0, math.inf, "> 0")
    judged = []
    for values in family:
        criterion = results.CriterionResult("", "mean", "", bound.text, "open", values=dict(enumerate(values)))
        verdicts.judge_mean(criterion, bound, level / 2)
        judged.append(results.ClaimResult("", [], {}, "", "", [criterion], {}, []))
    verdicts.correct(judged, level)
    return [{"reproduced": 1, "refuted": -1, "inconclusive": 0}[result.verdict] for result in judged]


def share_text(successes, trials):
    low, high = statistics.clopper_pearson(successes, trials)
    return f"{100 * successes / trials:.2f} % | {100 * low:.2f} to {100 * high:.2f} %"


def is_above(successes, trials, promise):
    return statistics.clopper_pearson(successes, trials)[0] > promise


def check_false_verdicts(random, setting):
    """Prints the table; the noises whose share of wrong families is too large."""
    print(f"## One encoding under two names\n\n{setting.simulations} families of {setting.count} claims, "
          f"{setting.seeds} seeds, sd {setting.sd:.4f} nats. The true difference is 0: every verdict is wrong.\n")
    print("| noise | families with a wrong verdict | 95 % interval |\n|---|---|---|")
    failures = []
    for name, noise in NOISES.items():
        values = setting.sd * noise(random, (setting.simulations, setting.count, setting.seeds))
        given = family_verdicts(values, setting.level)
        for family, expected in zip(values[:JUDGED_TWICE], given):
            if judged_by_report(family, setting.level) != list(expected):
                raise AssertionError("what is simulated here is not what reporting/verdicts.py does")
        wrong = int((given != 0).any(axis=1).sum())
        print(f"| {name} | {share_text(wrong, setting.simulations)} |")
        if is_above(wrong, setting.simulations, setting.level):
            failures.append(f"wrong verdicts, {name}")
    print(f"\nPromised: at most {100 * setting.level:g} %.\n")
    return failures


def planted_share(random, setting, sd, effect):
    """How many families found a true difference in their first claim."""
    values = sd * normal(random, (setting.simulations, setting.count, setting.seeds))
    values[:, 0] += effect
    return int((family_verdicts(values, setting.level)[:, 0] == 1).sum())


def check_planted(random, setting, sds):
    print(f"## A planted difference of {PLANTED:g} nats\n\nIn one of {setting.count} claims, {setting.seeds} seeds. "
          "The smallest difference that is found with a chance of 80 % is computed (noncentral t at level / claims), "
          "then planted as well.\n")
    print(f"| sd, nats | {PLANTED:g} nats found | 95 % interval | 80 % find | found when planted | 95 % interval |")
    print("|---|---|---|---|---|---|")
    for sd in sds:
        smallest = statistics.detectable_distance(sd, setting.seeds, setting.level / setting.count)
        shares = [share_text(planted_share(random, setting, sd, effect), setting.simulations)
                  for effect in (PLANTED, smallest)]
        print(f"| {sd:.4f} | {shares[0]} | {smallest:.4f} nats | {shares[1]} |")
    print()


# ---------------------------------------------------------------- equivalence

def equivalent(values, level):
    """[simulations, seeds] -> is |mean| < MARGIN found by the two one-sided tests?"""
    seeds = values.shape[1]
    half = scipy.stats.t.isf(level, seeds - 1) * values.std(axis=1, ddof=1) / math.sqrt(seeds)
    return abs(values.mean(axis=1)) + half <= MARGIN


def check_equivalence(random, setting, sds):
    print(f"## Equivalence within {MARGIN:g} nats\n\n{setting.seeds} seeds, each one-sided test at "
          f"{100 * setting.level:g} %.\n")
    print(f"| sd, nats | called equivalent at a difference of {MARGIN:g} | 95 % interval | of 0 | 95 % interval |")
    print("|---|---|---|---|---|")
    failures = []
    for sd in sds:
        noise = sd * normal(random, (setting.simulations, setting.seeds))
        for values in noise[:JUDGED_TWICE] + MARGIN:
            p = statistics.equivalence_test(values, -MARGIN, MARGIN)
            if equivalent(values[None], setting.level)[0] != (p <= setting.level):
                raise AssertionError("what is simulated here is not what reporting/statistics.py does")
        wrong, right = (int(equivalent(noise + truth, setting.level).sum()) for truth in (MARGIN, 0.0))
        print(f"| {sd:.4f} | {share_text(wrong, setting.simulations)} | {share_text(right, setting.simulations)} |")
        if is_above(wrong, setting.simulations, setting.level):
            failures.append(f"wrong equivalences at sd {sd:.4f}")
    print()
    return failures


# ---------------------------------------------------------------- the bootstrap of train/bootstrap.h

def paired_differences(random, shape):
    """(sum over the targets, number of targets) of each window, and the true mean. A target's sd is 0.7; 0.2 of it is
    its window's."""
    targets = random.binomial(64, 0.15, shape).astype(float)  # 64 tokens, 15 % of them masked
    own = numpy.sqrt(targets) * random.normal(0, math.sqrt(0.7**2 - 0.2**2), shape)
    return targets * random.normal(0.01, 0.2, shape) + own, targets, 0.01


def losses(random, shape):
    """Positive and skew, with mean 2.5: exponential within a window, whose own mean has an sd of a quarter."""
    targets = random.binomial(64, 0.15, shape).astype(float)
    sums = random.standard_gamma(numpy.maximum(targets, 1e-12)) * (targets > 0)
    return 2.5 * random.gamma(16, 1 / 16, shape) * sums, targets, 2.5


def percentile_intervals(random, sums, targets):
    """[texts, windows] twice -> low and high of each text. Counts belong to windows, so a few texts may share them."""
    counts = random.poisson(1, (sums.shape[1], REPLICATES)).astype(numpy.float32)
    ratios = numpy.sort((sums.astype(numpy.float32) @ counts) / (targets.astype(numpy.float32) @ counts), axis=1)
    return ratios[:, round(0.025 * (REPLICATES - 1))], ratios[:, round(0.975 * (REPLICATES - 1))]


def check_bootstrap(random):
    print("## Intervals inside the tables\n\nHow often the 95 % interval of the window bootstrap contains the truth. "
          "Beside it an interval that takes all targets for independent. "
          f"{TEXTS} texts each; about 10 targets in a window.\n")
    print("| figure | windows | bootstrap | 95 % interval | targets taken for independent | 95 % interval |")
    print("|---|---|---|---|---|---|")
    figures = (("difference of two losses", paired_differences, 0.7), ("loss", losses, 2.5 * math.sqrt(1 + 2 / 16)))
    for name, draw, target_sd in figures:
        for windows in (64, 256, 1000):
            inside = naive = 0
            for _ in range(TEXTS // TEXTS_AT_ONCE):
                sums, targets, truth = draw(random, (TEXTS_AT_ONCE, windows))
                low, high = percentile_intervals(random, sums, targets)
                inside += int(((low <= truth) & (truth <= high)).sum())
                half = 1.96 * target_sd / numpy.sqrt(targets.sum(axis=1))
                naive += int((abs(sums.sum(axis=1) / targets.sum(axis=1) - truth) <= half).sum())
            print(f"| {name} | {windows} | {share_text(inside, TEXTS)} | {share_text(naive, TEXTS)} |")
    print()


# ---------------------------------------------------------------- command line

def read_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", nargs="?", help="of a comparison: its spread and its seeds are used")
    parser.add_argument("--spread", type=float, metavar="NATS", help="paired sd over the seeds, without a folder")
    parser.add_argument("--seeds", type=int, metavar="N", help="without a folder")
    parser.add_argument("--claims", default=CLAIMS, metavar="FILE",
                        help="for the level and the number of claims (configs/compare/claims.yaml)")
    parser.add_argument("--simulations", type=int, default=10_000, metavar="N", help="families of claims (10000)")
    options = parser.parse_args(arguments)
    if options.folder is None and (options.spread is None or options.seeds is None):
        parser.error("give the folder of a comparison, or --spread and --seeds")
    if options.folder is not None and (options.spread is not None or options.seeds is not None):
        parser.error("--spread and --seeds stand in place of a folder")
    if options.folder is None and not (0 < options.spread < math.inf and options.seeds >= 2):
        parser.error("--spread should be above 0 and --seeds at least 2")
    if options.simulations < 1:
        parser.error("--simulations should be at least 1")
    return options


def main(arguments=None):
    setting = read_arguments(arguments)
    try:
        file = claims.read_claims(setting.claims)
        setting.level, setting.count = file.level, verdicts.tested_claims(file)
        if setting.count == 0:
            raise ValueError("claims.yaml: no claim has a criterion with a t test")
        spreads = paired_spreads(quantities.read_tables(setting.folder)) if setting.folder else {}
    except ValueError as error:
        print(f"check_statistics.py: {error}", file=sys.stderr)
        return 2
    print("# Can the verdicts be believed?\n")
    sds = [setting.spread]
    if spreads:
        print_spreads(spreads)
        block, pairs = next(iter(spreads.items()))
        setting.seeds = max(pair[3] for pair in pairs)
        sds = sorted({pairs[0][0], float(numpy.median([pair[0] for pair in pairs])), pairs[-1][0]})
        print(f"Below: the block {block}, its smallest, median and largest sd.\n")
    setting.sd = float(numpy.median(sds))
    random = numpy.random.default_rng(1)
    failures = check_false_verdicts(random, setting)
    check_planted(random, setting, sds)
    failures += check_equivalence(random, setting, sds)
    check_bootstrap(random)
    good = "No share of wrong verdicts is above its promise by more than chance."
    print(f"Too many: {'; '.join(failures)}." if failures else good)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
