"""Judges the claims of claims.yaml by the tables of a comparison. The unit is the seed: x_s is the quantity of seed s.

mean    p_for of "the mean lies inside the bound", p_against of "it lies outside", by t tests (statistics.py):
            above T       p_for: mean > T, p_against: mean < T; below T: the other way round
            within m      p_for: TOST, the larger p of mean > -m and mean < m
                          p_against: the smaller p of mean < -m and mean > m
            between x, y  the same with x and y
        A claimed sign must show at every seed: all x_s > 0 for above T >= 0, all x_s < 0 for below T <= 0.
every   for when every seed meets the bound, against when none does; no p value.
count   a member counts for when all of `each` hold for it, against when one of them is violated; each mean is tested at
        level / members on either side. For when at_least count for; against when so many count against that at_least
        is out of reach. No p value: it is corrected inside.

A claim       p_for = the largest of its mean criteria: all have to hold, so there is nothing to correct (Berger's
              intersection-union test). p_against = the smallest times their number. p = min(1, 2 min(p_for,
              p_against)), since either may be found. Holm at `level` over the claims that have a p.
              A claim with a second look (`again`) is judged by the fresh seeds alone, and its p counts twice, because
              it had two chances.
reproduced    every criterion is for, and the claim's p survives Holm.
refuted       the smallest p_against survives Holm, or an every or count criterion is against.
inconclusive  all else, with the smallest effect that this run would have found. So is a claim, without a p, of which a
              run is missing or diverged, or has fewer than 2 seeds in common with the others, or is not trained enough:
              a gate is closed when the mean over the seeds of loss(none) - loss(run) at the trained length is below
              `gate`.

The outcome of one criterion (for, against, open) is at level / 2 on either side, without Holm: a claim may be
inconclusive though its only criterion is "for". So are the outcomes of the blocks in `also`, which are no part of any
verdict.

sources   Berger 1982, Technometrics 24 (intersection-union); Holm 1979 and Schuirmann 1987: statistics.py
"""

import dataclasses
import hashlib
import itertools
import math
import pathlib

from reporting import quantities, statistics
from reporting.claims import elsewhere, read_claims
from reporting.results import ClaimResult, CriterionResult

FEWEST_SEEDS = 2
UNDECIDED = ("missing", "not trained enough")


# ---------------------------------------------------------------- one criterion

def p_values(values, bound):
    """(p_for, p_against) of a mean criterion; values: a list with one number for each seed."""
    tests_for, tests_against = [], []
    if bound.low > -math.inf:
        tests_for.append(statistics.t_test(values, bound.low, "greater"))
        tests_against.append(statistics.t_test(values, bound.low, "less"))
    if bound.high < math.inf:
        tests_for.append(statistics.t_test(values, bound.high, "less"))
        tests_against.append(statistics.t_test(values, bound.high, "greater"))
    return max(tests_for), min(tests_against)


def wrong_signs(values, bound):
    """How many seeds lie on the wrong side of zero, of a bound that claims a sign."""
    if bound.high == math.inf and bound.low >= 0:
        return sum(value <= 0 for value in values)
    if bound.low == -math.inf and bound.high <= 0:
        return sum(value >= 0 for value in values)
    return 0


def closed_gates(criterion, tables, file):
    """A sentence for each run of `gate` that is not far enough ahead of the run without positions."""
    sentences = []
    for gate in criterion.gate:
        block, _ = gate.split("/")
        trained = int(tables.column("runs", quantities.finished_run(tables, gate), "train_length").iloc[0])
        none = file.blocks[block]
        lead = quantities.evaluate(f"loss({block}/{none}, {trained}) - loss({gate}, {trained})", tables, file.scheme)
        mean = statistics.centre(lead.values())
        if not mean >= file.gate:
            sentences.append(f"{gate} is {mean:.3f} nats ahead of {none} at {trained} tokens, less than {file.gate:g}")
    return sentences


def judge_mean(result, bound, side_level):
    """Fills p values and outcome. side_level: the largest p that is taken for an effect, on either side."""
    values = list(result.values.values())
    result.p_for, result.p_against = p_values(values, bound)
    wrong = wrong_signs(values, bound)
    if statistics.has_no_spread(values):
        result.note = "no spread over the seeds: judged by the value itself"
    elif wrong:
        result.note = f"{wrong} of {len(values)} seeds have not the claimed sign"
    if result.p_against <= side_level:
        result.outcome = "against"
    else:
        result.outcome = "for" if result.p_for <= side_level and not wrong else "open"


def judge_every(result, bound):
    meets = [bound.holds(value) for value in result.values.values()]
    result.outcome = "for" if all(meets) else "open" if any(meets) else "against"
    result.note = f"{sum(meets)} of {len(meets)} seeds" if None not in result.values else "one value, no seeds"


def judge_measured(criterion, tables, file, side_level):
    """A criterion of the test mean or every."""
    result = CriterionResult(criterion.name, criterion.test, criterion.quantity, criterion.bound.text, "missing")
    try:
        result.values = quantities.evaluate(criterion.quantity, tables, file.scheme)
        closed = closed_gates(criterion, tables, file)
    except quantities.MissingError as error:
        result.values, result.note = {}, str(error)
        return result
    values, seedless = list(result.values.values()), None in result.values
    result.mean = statistics.centre(values)
    if seedless and criterion.test == "mean":
        result.note = f"{criterion.quantity} has no seeds, and a mean needs some"
        return result
    if not seedless and len(values) < FEWEST_SEEDS:
        result.note = f"only seed {next(iter(result.values))} is common, at least {FEWEST_SEEDS} are needed"
        return result
    if not seedless:
        result.low, result.high = statistics.t_interval(values)
    if closed:
        result.outcome, result.note = "not trained enough", "; ".join(closed)
    elif criterion.test == "every":
        judge_every(result, criterion.bound)
    else:
        judge_mean(result, criterion.bound, side_level)
    return result


def of_member(criterion, run):
    """A criterion of `each`, with the name of one member in place of {run}."""
    return dataclasses.replace(criterion, quantity=criterion.quantity.replace("{run}", run),
                               gate=[gate.replace("{run}", run) for gate in criterion.gate])


def judge_member(criterion, run, tables, file):
    """(run, outcome, [CriterionResult]) of one member of a count."""
    results = []
    for item in criterion.each:
        results.append(judge_measured(of_member(item, run), tables, file, file.level / len(criterion.of)))
    outcomes = [result.outcome for result in results]
    for outcome in ("against", "missing", "not trained enough", "open"):
        if outcome in outcomes:
            return run, outcome, results
    return run, "for", results


def judge_count(criterion, tables, file):
    bound = f"at least {criterion.at_least} of {len(criterion.of)}"
    result = CriterionResult(criterion.name, "count", "", bound, "open")
    result.members = [judge_member(criterion, run, tables, file) for run in criterion.of]
    by_outcome = {}
    for run, outcome, _ in result.members:
        by_outcome.setdefault(outcome, []).append(run)
    if len(by_outcome.get("for", [])) >= criterion.at_least:
        result.outcome = "for"
    elif len(criterion.of) - len(by_outcome.get("against", [])) < criterion.at_least:
        result.outcome = "against"
    result.note = "; ".join(f"{outcome}: {', '.join(runs)}" for outcome, runs in sorted(by_outcome.items()))
    return result


def judge_criterion(criterion, tables, file):
    if criterion.test == "count":
        return judge_count(criterion, tables, file)
    return judge_measured(criterion, tables, file, file.level / 2)


# ---------------------------------------------------------------- one claim

def claim_p(criteria):
    """(p, p_for, p_against) of the mean criteria; None where there is none, or where any criterion cannot be judged."""
    means = [result for result in criteria if result.test == "mean"]
    if not means or any(result.outcome in UNDECIDED for result in criteria):
        return None
    p_for = max(result.p_for for result in means)
    p_against = min(1.0, min(result.p_against for result in means) * len(means))
    return min(1.0, 2 * min(p_for, p_against)), p_for, p_against


def by_fresh_seeds(criterion, first, fresh):
    """The criterion on the block of the second look. Gates stay: they are about the model, which is the same."""
    return dataclasses.replace(elsewhere(criterion, first, fresh), gate=criterion.gate)


def measure(claim, tables, file):
    """The claim's criteria; the verdict follows when all claims are measured."""
    result = ClaimResult(claim.id, claim.of, claim.claim, "inconclusive", "", [], {}, claim.proved_by)
    if claim.definition is not None:
        result.verdict, result.reason, result.definition = "definition", claim.definition["en"], claim.definition
    elif claim.needs:
        result.verdict, result.reason = "not testable here", f"needs {claim.needs}"
    else:
        result.criteria = [judge_criterion(criterion, tables, file) for criterion in claim.criteria]
        for first, fresh in claim.again.items():
            result.first_look, result.also[first] = first, result.criteria
            result.criteria = [judge_criterion(by_fresh_seeds(criterion, first, fresh), tables, file)
                               for criterion in claim.criteria]
        for block in claim.also:
            moved = [elsewhere(criterion, next(iter(file.blocks)), block) for criterion in claim.criteria]
            result.also[block] = [judge_criterion(criterion, tables, file) for criterion in moved if criterion]
    return result


def fill_detectable(results, level):
    """The smallest distance from the bound that each mean criterion would have found, two-sided at `level`."""
    for result in results:
        if result.test == "mean" and result.p_for is not None:
            values = list(result.values.values())
            result.detectable = statistics.detectable_distance(statistics.spread(values), len(values), level)


def parts_of(criterion):
    """(name, CriterionResult): a criterion is its own part, a count has one for each member and item of `each`."""
    if criterion.test != "count":
        return [(criterion.name, criterion)]
    return [(f"{run}, {part.name}", part) for run, _, parts in criterion.members for part in parts]


def p_text(p):
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def why_undecided(result):
    """What is missing or not trained enough, each thing once."""
    sentences = []
    for outcome in UNDECIDED:
        notes = "; ".join(criterion.note for criterion in result.criteria if criterion.outcome == outcome)
        if notes:
            sentences.append(f"{outcome}: {'; '.join(dict.fromkeys(notes.split('; ')))}.")
    return " ".join(sentences)


def why_open(result):
    """What stands in the way of a verdict, and what would have been found."""
    sentences = []
    in_the_way = [criterion for criterion in result.criteria if criterion.outcome != "for"]
    if not in_the_way:
        sentences.append(f"all criteria hold on their own, but {p_text(result.p_adjusted)} after Holm's correction.")
    for criterion in in_the_way:
        state = criterion.note or "neither it nor its opposite is significant"
        if criterion.outcome == "against":
            state = "its opposite holds on its own, but not after the correction"
        sentences.append(f"{criterion.name}: {state}.")
    for criterion in in_the_way or result.criteria:
        for name, part in parts_of(criterion):
            if part.detectable:
                sentences.append(f"{name}: an effect of {part.detectable:.3g} from the bound would have been found "
                                 "with a chance of 80 %.")
    return " ".join(sentences)


def decide(result, level):
    """The verdict of a measured claim."""
    outcomes = [criterion.outcome for criterion in result.criteria]
    found = claim_p(result.criteria)
    survives = result.p_adjusted is not None and result.p_adjusted <= level
    corrected = f"{p_text(result.p_adjusted)} after Holm's correction" if result.p_adjusted is not None else ""
    violated = [criterion for criterion in result.criteria if criterion.outcome == "against"]
    unmet = [criterion.name for criterion in violated if criterion.test != "mean"]
    if any(outcome in UNDECIDED for outcome in outcomes):
        result.verdict, result.reason = "inconclusive", why_undecided(result)
    elif unmet:
        result.verdict, result.reason = "refuted", f"violated: {', '.join(unmet)}."
    elif survives and found[2] < found[1]:
        names = ", ".join(criterion.name for criterion in violated)
        result.verdict, result.reason = "refuted", f"the opposite holds, {corrected}: {names}."
    elif all(outcome == "for" for outcome in outcomes) and (found is None or survives):
        result.verdict, result.reason = "reproduced", f"all criteria hold{', ' + corrected if corrected else ''}."
    else:
        result.verdict, result.reason = "inconclusive", why_open(result)


# ---------------------------------------------------------------- all claims

def correct(results, level):
    """Fills p, Holm's p, the detectable effects and the verdicts of a whole family of measured claims."""
    for result in results:
        found = claim_p(result.criteria)
        looks = 2 if result.first_look else 1
        result.p = min(1.0, looks * found[0]) if found else None
    tested = [result for result in results if result.p is not None]
    for result, adjusted in zip(tested, statistics.holm([result.p for result in tested])):
        result.p_adjusted = adjusted
    for result in results:
        everything = result.criteria + [criterion for there in result.also.values() for criterion in there]
        fill_detectable(everything, level / max(1, len(tested)))
        for criterion in everything:  # of a count: one-sided at level / members, so two-sided at twice that
            for _, _, parts in criterion.members:
                fill_detectable(parts, min(1.0, 2 * level / len(criterion.members)))
        if result.criteria:
            decide(result, level)


def judge(claims_path, tables):
    """[ClaimResult], in the order of the file."""
    file = read_claims(claims_path)
    results = [measure(claim, tables, file) for claim in file.claims]
    correct(results, file.level)
    return results


def file_hash(path):
    """The first 16 hex digits of the file's SHA-256."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]


# ---------------------------------------------------------------- planning

@dataclasses.dataclass
class SeedPlan:
    """What a pilot says about one mean criterion."""

    id: str             # of the claim
    name: str           # of the criterion; of a count: "name: run"
    quantity: str
    seeds: int          # of the pilot
    mean: float | None
    sd: float | None    # paired, over the pilot's seeds
    effect: float | None  # the pilot's distance from the bound
    needed: int | None  # seeds that find this effect with 80 % power; None: see note
    note: str = ""


def tested_claims(file):
    """How many claims can get a p value."""
    judged = [claim for claim in file.claims if claim.definition is None and not claim.needs]
    return sum(any(criterion.test == "mean" for criterion in claim.criteria) for claim in judged)


def plan_criterion(claim, name, criterion, tables, file, level):
    plan = SeedPlan(claim.id, name, criterion.quantity, 0, None, None, None, None)
    try:
        values = list(quantities.evaluate(criterion.quantity, tables, file.scheme).values())
    except quantities.MissingError as error:
        plan.note = str(error)
        return plan
    plan.seeds, plan.mean = len(values), statistics.centre(values)
    plan.effect = criterion.bound.distance(plan.mean)
    if len(values) < FEWEST_SEEDS:
        plan.note = f"{len(values)} seed: a spread needs at least {FEWEST_SEEDS}"
        return plan
    plan.sd = statistics.spread(values)
    plan.needed = statistics.seeds_needed(plan.effect, plan.sd, level)
    if plan.needed is None:
        plan.note = "the pilot's mean lies on the bound: no number of seeds will do"
    elif not criterion.bound.holds(plan.mean):
        plan.note = "the pilot speaks against: so many seeds to refute"
    elif math.isfinite(criterion.bound.low) and math.isfinite(criterion.bound.high):
        plan.note = "for the nearer end of the bound; to show both takes a few more"
    return plan


def plan_seeds(file, tables):
    """[SeedPlan], one for each mean criterion of read_claims(). The level is that of Holm's first step: level / claims
    with a mean criterion.

    A spread from a pilot of few seeds is rough. With 3 of them, the true one is with a chance of 20 % more than 2.1
    times what was seen."""
    level = file.level / max(1, tested_claims(file))
    plans = []
    for claim in file.claims:
        for criterion in claim.criteria if not claim.needs else []:
            if criterion.test == "mean":
                plans.append(plan_criterion(claim, criterion.name, criterion, tables, file, level))
            for run, item in itertools.product(criterion.of, criterion.each):
                if item.test == "mean":
                    own_level = min(1.0, 2 * file.level / len(criterion.of))  # one-sided at level / members
                    name = f"{criterion.name}: {run}"
                    plans.append(plan_criterion(claim, name, of_member(item, run), tables, file, own_level))
    return plans
