"""Tests of scripts/reporting/verdicts.py and claims.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import hashlib
import math
import pathlib
import sys
import tempfile
import unittest

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from reporting import quantities, statistics, verdicts
from tiny_comparison import TinyComparison

BOTH = {"en": "so", "zh": "如此"}
# The difference none - absolute at 32 tokens is d by seed; noise small against it.
CLEAR = {1: 0.50, 2: 0.51, 3: 0.49, 4: 0.505}
QUANTITY = "loss(english/none, 32) - loss(english/absolute, 32)"


def t_share_above(t):
    """P(T > t) of Student's t with 2 degrees of freedom."""
    return (1 - t / math.sqrt(t * t + 2)) / 2


def mean(quantity=QUANTITY, **more):
    return {"name": "c", "test": "mean", "quantity": quantity, **(more or {"above": 0.2})}


def claim(*criteria, id="R1", **more):
    return {"id": id, "claim": BOTH, "criteria": list(criteria), **more}


def with_differences(*runs, block="english", none=3.0, tiny=None):
    """(name, {seed: none - run}), ...: losses at 32 and 64 tokens, where a run loses nothing."""
    tiny = tiny or TinyComparison()
    seeds = sorted({seed for _, differences in runs for seed in differences})
    tiny.add_losses(block, "none", {seed: {32: none, 64: none} for seed in seeds})
    for name, differences in runs:
        tiny.add_losses(block, name, {seed: {32: none - d, 64: none - d} for seed, d in differences.items()})
    return tiny


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="verdicts test 图 ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, *claims, **changes):
        path = self.folder / "claims.yaml"
        root = {"level": 0.05, "gate": 0.1, "scheme": "centred", "blocks": {"english": "none", "chinese": "none"},
                "claims": list(claims), **changes}
        path.write_text(yaml.safe_dump(root, allow_unicode=True, sort_keys=False), encoding="utf-8")
        return path

    def judge(self, tiny, *claims, **changes):
        return verdicts.judge(self.write(*claims, **changes), quantities.read_tables(tiny.write(self.folder)))

    def one(self, tiny, *criteria, **more):
        return self.judge(tiny, claim(*criteria, **more))[0]

    def verdict(self, differences, *criteria):
        return self.one(with_differences(("absolute", differences)), *criteria).verdict


class Mean(Case):
    def test_p_values_by_hand(self):
        result = self.one(with_differences(("absolute", {1: 0.4, 2: 0.5, 3: 0.6})), mean(above=0.2))
        criterion, t = result.criteria[0], 0.3 / (0.1 / math.sqrt(3))
        self.assertAlmostEqual(criterion.p_for, t_share_above(t))
        self.assertAlmostEqual(criterion.p_against, 1 - t_share_above(t))
        self.assertAlmostEqual(result.p, 2 * t_share_above(t))
        self.assertAlmostEqual(result.p_adjusted, result.p)
        self.assertAlmostEqual(criterion.mean, 0.5)
        self.assertAlmostEqual(criterion.high - criterion.mean, 4.30265 * 0.1 / math.sqrt(3), places=5)
        self.assertEqual((criterion.bound, criterion.quantity, list(criterion.values)), ("> 0.2", QUANTITY, [1, 2, 3]))
        self.assertEqual((result.verdict, criterion.outcome), ("reproduced", "for"))

    def test_above_and_below(self):
        self.assertEqual(self.verdict(CLEAR, mean(above=0.4)), "reproduced")
        self.assertEqual(self.verdict(CLEAR, mean(above=0.6)), "refuted")
        self.assertEqual(self.verdict(CLEAR, mean(above=0.5)), "inconclusive")
        self.assertEqual(self.verdict(CLEAR, mean(below=0.6)), "reproduced")
        self.assertEqual(self.verdict(CLEAR, mean(below=0.4)), "refuted")

    def test_outcome_of_a_criterion_is_at_half_the_level_on_either_side(self):
        t = 4.30265  # p = 0.025 on one side, with 3 seeds
        for factor, outcomes in ((1.01, ("for", "against")), (0.99, ("open", "open"))):
            differences = {seed: 1 + 0.1 * (seed - 2) + t * factor * 0.1 / math.sqrt(3) for seed in (1, 2, 3)}
            tiny = with_differences(("absolute", differences))
            seen = tuple(self.one(tiny, mean(**bound)).criteria[0].outcome for bound in ({"above": 1}, {"below": 1}))
            self.assertEqual(seen, outcomes)

    def test_within_and_between(self):
        near = {1: 0.001, 2: -0.002, 3: 0.002, 4: 0.0}
        self.assertEqual(self.verdict(near, mean(within=0.02)), "reproduced")
        self.assertEqual(self.verdict(CLEAR, mean(within=0.02)), "refuted")
        self.assertEqual(self.verdict({seed: -d for seed, d in CLEAR.items()}, mean(within=0.02)), "refuted")
        self.assertEqual(self.verdict({1: 0.05, 2: -0.05, 3: 0.02, 4: 0.0}, mean(within=0.02)), "inconclusive")
        self.assertEqual(self.verdict(CLEAR, mean(between=[0.4, 0.6])), "reproduced")
        self.assertEqual(self.verdict(CLEAR, mean(between=[0.6, 0.7])), "refuted")
        self.assertEqual(self.verdict(CLEAR, mean(between=[0.3, 0.4])), "refuted")
        self.assertEqual(self.verdict(CLEAR, mean(between=[0.4, 0.5])), "inconclusive")

    def test_within_by_hand(self):
        criterion = self.one(with_differences(("absolute", {1: -0.1, 2: 0.0, 3: 0.1})), mean(within=0.3)).criteria[0]
        self.assertAlmostEqual(criterion.p_for, t_share_above(0.3 / (0.1 / math.sqrt(3))))
        self.assertAlmostEqual(criterion.p_against, 1 - criterion.p_for)

    def test_a_claimed_sign_must_show_at_every_seed(self):
        ten = {seed: 0.3 for seed in range(1, 11)} | {1: -0.001, 2: 0.31, 3: 0.29}
        result = self.one(with_differences(("absolute", ten)), mean(above=0))
        self.assertLess(result.p_adjusted, 0.001)
        self.assertEqual(result.verdict, "inconclusive")
        self.assertEqual(result.criteria[0].note, "1 of 10 seeds have not the claimed sign")
        self.assertIn("claimed sign", result.reason)
        self.assertEqual(self.verdict({**ten, 1: 0.001}, mean(above=0)), "reproduced")
        self.assertEqual(self.verdict({seed: -d for seed, d in ten.items()}, mean(below=0)), "inconclusive")
        self.assertEqual(self.verdict(ten, mean(above=-0.1)), "reproduced")  # a bound below zero claims no sign

    def test_equal_seeds_are_judged_by_their_value(self):
        equal = {1: 0.5, 2: 0.5, 3: 0.5}
        for bound, verdict, p in ((0.25, "reproduced", (0, 1)), (0.75, "refuted", (1, 0)),
                                  (0.5, "inconclusive", (1, 1))):
            result = self.one(with_differences(("absolute", equal)), mean(above=bound))
            criterion = result.criteria[0]
            self.assertEqual((result.verdict, criterion.p_for, criterion.p_against), (verdict, *p))
            self.assertIn("no spread", criterion.note)
            self.assertEqual((criterion.low, criterion.high, criterion.detectable), (0.5, 0.5, 0))

    def test_inconclusive_says_what_would_have_been_found(self):
        differences = {1: 0.1, 2: 0.2, 3: 0.3}
        result = self.one(with_differences(("absolute", differences)), mean(above=0.15))
        expected = statistics.detectable_distance(statistics.spread(differences.values()), 3, 0.05)
        self.assertEqual(result.verdict, "inconclusive")
        self.assertAlmostEqual(result.criteria[0].detectable, expected)
        found = f"c: an effect of {expected:.3g} from the bound would have been found with a chance of 80 %."
        self.assertEqual(result.reason, f"c: neither it nor its opposite is significant. {found}")


class Families(Case):
    def tiny(self):
        """none - good has p_for 0.002 against 0, none - fair 0.012 or so."""
        return with_differences(("good", {1: 0.49, 2: 0.5, 3: 0.52, 4: 0.5}),
                                ("fair", {1: 0.3, 2: 0.2, 3: 0.4, 4: 0.15}))

    def difference(self, name, **bound):
        return mean(f"loss(english/none, 32) - loss(english/{name}, 32)", **(bound or {"above": 0}))

    def test_holm_runs_over_the_claims_with_a_p(self):
        alone = self.one(self.tiny(), self.difference("fair"))
        self.assertTrue(0.01 < alone.p < 0.05)
        self.assertEqual(alone.verdict, "reproduced")
        others = [claim(self.difference("fair", above=0.25), id=f"N{i}") for i in range(4)]
        fair, good = claim(self.difference("fair"), id="A"), claim(self.difference("good"), id="B")
        together = self.judge(self.tiny(), fair, good, *others)
        for result, adjusted in zip(together, statistics.holm([result.p for result in together])):
            self.assertEqual(result.p_adjusted, adjusted)
        self.assertEqual([result.verdict for result in together], ["inconclusive", "reproduced"] + 4 * ["inconclusive"])
        self.assertIn("all criteria hold on their own, but p = 0.", together[0].reason)
        self.assertEqual([result.id for result in together], ["A", "B", "N0", "N1", "N2", "N3"])

    def test_claims_without_a_p_do_not_count(self):
        without = [{"id": "D", "claim": BOTH, "verdict": "definition", "reason": BOTH},
                   claim(self.difference("fair"), id="N", needs="cuda"),
                   claim({**self.difference("fair"), "test": "every"}, id="E"),
                   claim(self.difference("nowhere"), id="M")]
        results = self.judge(self.tiny(), *without, claim(self.difference("fair"), id="A"))
        self.assertEqual([result.verdict for result in results],
                         ["definition", "not testable here", "reproduced", "inconclusive", "reproduced"])
        self.assertEqual([result.p for result in results[:4]], [None] * 4)
        self.assertEqual(results[4].p_adjusted, results[4].p)

    def test_smallest_effect_is_at_level_over_claims(self):
        results = self.judge(self.tiny(), *[claim(self.difference("fair", above=0.25), id=str(i)) for i in range(5)])
        criterion = results[0].criteria[0]
        sd = statistics.spread(criterion.values.values())
        self.assertAlmostEqual(criterion.detectable, statistics.detectable_distance(sd, 4, 0.01))

    def test_all_criteria_of_a_claim_must_hold(self):
        result = self.one(self.tiny(), self.difference("good"), self.difference("fair"))
        good, fair = result.criteria
        self.assertAlmostEqual(result.p, 2 * fair.p_for)  # the larger one, uncorrected
        self.assertLess(good.p_for, fair.p_for)
        self.assertEqual(result.verdict, "reproduced")
        result = self.one(self.tiny(), self.difference("good"), self.difference("fair", above=0.25))
        self.assertEqual(result.verdict, "inconclusive")

    def test_one_violated_criterion_refutes_corrected_for_their_number(self):
        violated = self.difference("good", above=0.6)
        result = self.one(self.tiny(), violated, self.difference("good"), self.difference("fair"))
        self.assertEqual(result.verdict, "refuted")
        self.assertAlmostEqual(result.p, 2 * 3 * result.criteria[0].p_against)
        self.assertIn("the opposite holds", result.reason)
        self.assertEqual(self.one(self.tiny(), self.difference("fair", below=0)).verdict, "refuted")
        weak = [self.difference("fair", below=0), self.difference("good"), self.difference("good")]
        self.assertEqual(self.one(self.tiny(), *weak).verdict, "inconclusive")


class EveryAndCount(Case):
    def every(self, differences, **bound):
        result = self.one(with_differences(("absolute", differences)), {**mean(**bound), "test": "every"})
        return result.verdict, result.criteria[0].outcome, result.criteria[0].note

    def test_every_seed_all_or_none(self):
        differences = {1: 0.1, 2: 0.3, 3: 0.5}
        self.assertEqual(self.every(differences, above=0.05), ("reproduced", "for", "3 of 3 seeds"))
        self.assertEqual(self.every(differences, above=0.2), ("inconclusive", "open", "2 of 3 seeds"))
        self.assertEqual(self.every(differences, above=0.6), ("refuted", "against", "0 of 3 seeds"))

    def test_every_needs_no_seeds_but_a_mean_does(self):
        tiny = TinyComparison()
        for run, seconds in (("rope", 1.1), ("absolute", 1.0)):
            tiny.add_step_time(run, 64, seconds)
        ratio = "step_time(rope, 64) / step_time(absolute, 64)"
        result = self.one(tiny, {**mean(ratio, below=1.3), "test": "every"})
        criterion = result.criteria[0]
        self.assertEqual((result.verdict, criterion.note, criterion.low), ("reproduced", "one value, no seeds", None))
        self.assertEqual(self.one(tiny, {**mean(ratio, below=1.0), "test": "every"}).verdict, "refuted")
        result = self.one(tiny, mean(ratio, below=1.3))
        self.assertEqual((result.verdict, result.criteria[0].outcome), ("inconclusive", "missing"))

    def test_every_and_mean_in_one_claim(self):
        tiny = with_differences(("absolute", CLEAR))
        for bound, verdict in ((0.4, "reproduced"), (0.5, "inconclusive"), (0.6, "refuted")):
            every = {**mean(above=bound), "name": "e", "test": "every"}
            self.assertEqual(self.one(tiny, mean(above=0.2), every).verdict, verdict)

    def count(self, at_least, *runs, threshold=0.2):
        each = [mean("loss(english/none, 32) - loss(english/{run}, 32)", above=threshold, gate=["english/{run}"])]
        tiny = with_differences(("good", CLEAR), ("fine", CLEAR), ("bad", {1: 0.15, 2: 0.14, 3: 0.15, 4: 0.14}),
                                ("open", {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.2}),
                                ("untrained", {1: 0.05, 2: 0.0, 3: 0.01, 4: 0.0}))
        return self.one(tiny, {"name": "n", "test": "count", "at_least": at_least, "of": list(runs), "each": each})

    def test_count(self):
        result = self.count(2, "good", "bad", "fine")
        criterion = result.criteria[0]
        self.assertEqual((result.verdict, criterion.bound, result.p), ("reproduced", "at least 2 of 3", None))
        self.assertEqual([(name, outcome) for name, outcome, _ in criterion.members],
                         [("good", "for"), ("bad", "against"), ("fine", "for")])
        self.assertEqual(criterion.members[1][2][0].quantity, "loss(english/none, 32) - loss(english/bad, 32)")
        self.assertEqual(criterion.note, "against: bad; for: good, fine")
        self.assertEqual(self.count(2, "good", "bad", "open").verdict, "inconclusive")
        self.assertEqual(self.count(3, "good", "bad", "open").verdict, "refuted")
        self.assertEqual(self.count(2, "good", "missing", "fine").verdict, "reproduced")

    def test_a_member_that_violates_one_of_each_counts_against_whatever_else_is_missing(self):
        each = [mean("loss(english/none, 32) - loss(english/{run}, 32)", above=0.6),
                {**mean("step_time({run}, 64)", below=1), "test": "every"}]
        tiny = with_differences(("good", CLEAR))
        result = self.one(tiny, {"name": "n", "test": "count", "at_least": 1, "of": ["good"], "each": each})
        self.assertEqual((result.verdict, result.criteria[0].members[0][1]), ("refuted", "against"))
        self.assertEqual([part.outcome for part in result.criteria[0].members[0][2]], ["against", "missing"])

    def test_count_of_what_cannot_be_judged_is_open(self):
        result = self.count(2, "good", "untrained", "missing")
        self.assertEqual((result.verdict, result.criteria[0].outcome), ("inconclusive", "open"))
        self.assertIn("missing: missing; not trained enough: untrained", result.reason)

    def test_count_is_corrected_for_the_number_of_members(self):
        # p of "open" against 0.1 is 0.0457 / 2 or so: enough alone, not among three
        self.assertEqual(self.count(1, "open", threshold=0.1).verdict, "reproduced")
        self.assertEqual(self.count(1, "open", "bad", "bad2", threshold=0.19).criteria[0].members[0][1], "open")
        self.assertEqual(self.count(3, "open", "good", "fine", threshold=0.1).criteria[0].members[0][1], "open")


class WhatCannotBeJudged(Case):
    def delta(self, **more):
        return mean("delta(english/absolute, 64)", below=0.05, gate=["english/absolute"], **more)

    def test_a_claim_with_an_undecided_criterion_has_no_p(self):
        missing = {**mean("delta(english/rope, 64)", below=1), "test": "every"}
        result = self.one(with_differences(("absolute", CLEAR)), mean(), missing)
        self.assertEqual((result.criteria[0].outcome, result.p, result.p_adjusted), ("for", None, None))

    def test_gate(self):
        near = {1: 0.05, 2: 0.11, 3: 0.06, 4: 0.1}
        result = self.one(with_differences(("absolute", near)), self.delta())
        criterion = result.criteria[0]
        self.assertEqual((result.verdict, criterion.outcome, result.p), ("inconclusive", "not trained enough", None))
        self.assertEqual(result.reason, "not trained enough: english/absolute is 0.080 nats ahead of none at 32 "
                                        "tokens, less than 0.1.")
        self.assertEqual((criterion.p_for, criterion.mean), (None, 0))
        self.assertEqual(self.one(with_differences(("absolute", CLEAR)), self.delta()).verdict, "reproduced")
        opened = self.judge(with_differences(("absolute", near)), claim(self.delta()), gate=0.07)
        self.assertEqual(opened[0].verdict, "reproduced")

    def test_diverged_run(self):
        tiny = with_differences(("absolute", CLEAR))
        tiny.add_run("english", "absolute", 5, status="diverged", reason="loss 9.3")
        result = self.one(tiny, mean(), {**mean(), "name": "e", "test": "every"})
        self.assertEqual(result.verdict, "inconclusive")
        self.assertEqual(result.reason, "missing: english/absolute, seed 5: diverged (loss 9.3).")
        self.assertEqual([criterion.outcome for criterion in result.criteria], ["missing", "missing"])

    def test_missing_run_file_and_gate(self):
        tiny = with_differences(("absolute", CLEAR))
        reason = self.one(tiny, mean("delta(english/rope, 64)", below=1)).reason
        self.assertIn("missing: english: runs.csv has no run rope", reason)
        self.assertIn("speed_by_length.csv is missing", self.one(tiny, mean("step_time(rope, 64)", below=1)).reason)
        self.assertIn("no run rope", self.one(tiny, mean(above=0.2, gate=["english/rope"])).reason)

    def test_a_missing_run_leaves_the_claim_open_whatever_else_holds(self):
        tiny = with_differences(("absolute", CLEAR))
        result = self.one(tiny, mean(above=0.6), mean("delta(english/rope, 64)", below=1))
        self.assertEqual(result.criteria[0].outcome, "against")
        self.assertEqual((result.verdict, result.p), ("inconclusive", None))

    def test_one_seed_is_not_enough(self):
        for test in ("mean", "every"):
            result = self.one(with_differences(("absolute", {7: 0.5})), {**mean(), "test": test})
            self.assertEqual(result.verdict, "inconclusive")
            self.assertEqual(result.reason, "missing: only seed 7 is common, at least 2 are needed.")
            self.assertEqual(result.criteria[0].mean, 0.5)

    def test_needs(self):
        result = self.one(with_differences(("absolute", CLEAR)), mean(), needs="cuda")
        self.assertEqual((result.verdict, result.reason, result.criteria), ("not testable here", "needs cuda", []))

    def test_definition(self):
        definition = {"id": "D", "claim": BOTH, "verdict": "definition", "reason": BOTH, "of": ["001-1"]}
        result = self.judge(with_differences(("absolute", CLEAR)), definition)[0]
        self.assertEqual((result.verdict, result.reason), ("definition", "so"))
        self.assertEqual((result.definition, result.of), (BOTH, ["001-1"]))


class Also(Case):
    def test_other_blocks_stand_beside_the_verdict(self):
        tiny = with_differences(("absolute", CLEAR))
        with_differences(("absolute", {1: 0.1, 2: 0.11, 3: 0.09}), block="chinese", none=4.0, tiny=tiny)
        probe = {"name": "p", "test": "every", "quantity": "accuracy(order/rope, 32, all)", "above": 0.9}
        tiny.add_accuracies("order", "rope", {1: 1.0, 2: 1.0})
        result = self.one(tiny, mean(above=0.2), probe, also=["chinese"], proved_by=["Suite.Test"])
        self.assertEqual((result.verdict, result.proved_by), ("reproduced", ["Suite.Test"]))
        self.assertEqual([(criterion.quantity, criterion.outcome) for criterion in result.also["chinese"]],
                         [("loss(chinese/none, 32) - loss(chinese/absolute, 32)", "against")])
        self.assertAlmostEqual(result.also["chinese"][0].mean, 0.1)

    def test_gates_and_members_move_along(self):
        tiny = with_differences(("absolute", CLEAR))
        with_differences(("absolute", {1: 0.0, 2: 0.01, 3: 0.0}), block="chinese", tiny=tiny)
        gated = mean("delta(english/{run}, 64)", below=0.05, gate=["english/{run}"])
        count = {"name": "n", "test": "count", "at_least": 1, "of": ["absolute"], "each": [gated]}
        result = self.one(tiny, count, also=["chinese"])
        self.assertEqual(result.verdict, "reproduced")
        self.assertEqual(result.also["chinese"][0].members[0][1], "not trained enough")

    def test_a_missing_block_changes_no_verdict(self):
        result = self.one(with_differences(("absolute", CLEAR)), mean(), also=["chinese"])
        self.assertEqual((result.verdict, result.also["chinese"][0].outcome), ("reproduced", "missing"))


class SecondLook(Case):
    def test_fresh_seeds_alone_decide_and_p_counts_twice(self):
        fresh = {21: 0.45, 22: 0.5, 23: 0.55}
        tiny = with_differences(("absolute", {1: -0.1, 2: 0.9, 3: 0.3}))
        with_differences(("absolute", fresh), block="fresh", none=4.0, tiny=tiny)
        gated = mean(above=0.2, gate=["english/absolute"])
        result = self.one(tiny, gated, again={"english": "fresh"})
        self.assertEqual((result.verdict, result.first_look), ("reproduced", "english"))
        self.assertEqual(list(result.criteria[0].values), list(fresh))
        self.assertEqual(result.criteria[0].quantity, QUANTITY.replace("english", "fresh"))
        self.assertEqual([list(criterion.values) for criterion in result.also["english"]], [[1, 2, 3]])
        once = self.one(with_differences(("absolute", dict(zip((1, 2, 3), fresh.values())))), mean(above=0.2))
        self.assertAlmostEqual(result.p, 2 * once.p)

    def test_without_its_runs_the_claim_is_undecided_whatever_the_first_look_said(self):
        result = self.one(with_differences(("absolute", CLEAR)), mean(above=0.2), again={"english": "fresh"})
        self.assertEqual((result.verdict, result.criteria[0].outcome), ("inconclusive", "missing"))
        self.assertEqual(result.also["english"][0].outcome, "for")


class ReadingTheFile(Case):
    def refused(self, pattern, *claims, **changes):
        with self.assertRaisesRegex(ValueError, pattern):
            verdicts.read_claims(self.write(*claims, **changes))

    def test_unknown_keys_are_named_with_the_claim(self):
        misspelt = claim(mean(), id="R9", provedby=["A.B"])
        self.refused('claims.yaml: claim R9: there is no key "provedby"; there are: id, of', misspelt)
        self.refused('claim R9: criterion "c": there is no key "abov"', claim(mean(abov=1), id="R9"))
        self.refused('there is no key "levels"', claim(mean()), levels=1)

    def test_ids_are_there_once(self):
        self.refused("claim R1: a claim before has the same id", claim(mean()), claim(mean()))
        self.refused("claim 1 has no id", {"claim": BOTH, "criteria": [mean()]})

    def test_keys_are_there_once(self):
        path = self.write(claim(mean()))
        path.write_text(path.read_text().replace("level: 0.05", "level: 0.05\nlevel: 0.1"))
        with self.assertRaisesRegex(ValueError, 'claims.yaml: line [0-9]+: the key "level" stands here twice'):
            verdicts.read_claims(path)

    def test_bounds(self):
        without = {"name": "c", "test": "mean", "quantity": QUANTITY}
        self.refused("one of above, below, within, between is needed, there is none", claim(without))
        self.refused("there are above and below", claim(mean(above=1, below=2)))
        self.refused("above should be a number", claim(mean(above="much")))
        self.refused("within should be above 0", claim(mean(within=-1)))
        self.refused("between should be", claim(mean(between=[1])))
        self.refused("the first number should be below the second", claim(mean(between=[2, 1])))
        file = verdicts.read_claims(self.write(claim(mean(above="1e-3"))))  # a text to YAML
        self.assertEqual(file.claims[0].criteria[0].bound.low, 0.001)

    def test_quantities_are_read_before_anything_is_measured(self):
        self.refused('claim R1: criterion "c": quantity "los.*no function "los"', claim(mean("los(a/b, 32)")))
        self.refused("is known inside `each` only", claim(mean("loss(english/{run}, 32)")))

    def test_tests_and_counts(self):
        self.refused("test should be one of mean, every, count; it is 'median'", claim({**mean(), "test": "median"}))
        each = [mean("delta(english/{run}, 64)", below=1)]
        count = {"name": "n", "test": "count", "at_least": 1, "of": ["a"], "each": each}
        verdicts.read_claims(self.write(claim(count)))
        self.refused("at_least should be 1 to 1", claim({**count, "at_least": 2}))
        self.refused("of names a run twice", claim({**count, "of": ["a", "a"]}))
        self.refused("does not read {run}", claim({**count, "each": [mean()]}))
        self.refused("test should be mean or every", claim({**count, "each": [count]}))
        self.refused("each is missing", claim({key: value for key, value in count.items() if key != "each"}))

    def test_gates_and_blocks(self):
        self.refused('gate "rope" should be block/run', claim(mean(above=1, gate=["rope"])))
        self.refused("with a block of `blocks`: english, chinese", claim(mean(above=1, gate=["german/rope"])))
        self.refused('also: "german" should be one of the further blocks: chinese', claim(mean(), also=["german"]))
        self.refused('also: "english"', claim(mean(), also=["english"]))
        self.refused("no criterion reads english", claim(mean("loss(terms/a, 32)"), also=["chinese"]))

    def test_a_second_look_needs_a_block_that_all_criteria_read(self):
        for again in ({"terms": "fresh"}, {"english": "english"}):
            self.refused("every criterion should read", claim(mean(), again=again))
        for again in ({}, {"english": 1}, ["english"], {"a": "b", "c": "d"}):
            self.refused("again should be", claim(mean(), again=again))

    def test_texts_and_definitions(self):
        self.refused("claim should be {en: ..., zh: ...}", {**claim(mean()), "claim": "so"})
        self.refused("of should be a list of texts.*quotes", claim(mean(), of=[11]))
        self.refused("criteria should be a list of at least one", claim())
        self.refused("instead of criteria, also, again and needs", claim(mean(), verdict="definition", reason=BOTH))
        self.refused("the only verdict", {"id": "D", "claim": BOTH, "verdict": "reproduced", "reason": BOTH})
        self.refused("reason should be", {"id": "D", "claim": BOTH, "verdict": "definition"})
        self.refused("reason belongs to", claim(mean(), reason=BOTH))

    def test_the_file_itself(self):
        with self.assertRaisesRegex(ValueError, "no such file"):
            verdicts.read_claims(self.folder / "nowhere.yaml")
        self.refused("level should lie between 0 and 1", claim(mean()), level=5)
        self.refused("claims should be a list", claims={})
        path = self.folder / "broken.yaml"
        path.write_text("claims: [")
        with self.assertRaisesRegex(ValueError, "broken.yaml: not readable as YAML"):
            verdicts.read_claims(path)

    def test_hash_is_of_the_bytes(self):
        path = self.write(claim(mean()))
        self.assertEqual(verdicts.file_hash(path), hashlib.sha256(path.read_bytes()).hexdigest()[:16])

    def test_the_claims_of_the_notes_can_be_read(self):
        path = pathlib.Path(__file__).resolve().parents[2] / "configs" / "compare" / "claims.yaml"
        self.assertGreaterEqual(len(verdicts.read_claims(path).claims), 10)


class Planning(Case):
    def plan(self, tiny, *claims):
        tables = quantities.read_tables(tiny.write(self.folder))
        return verdicts.plan_seeds(verdicts.read_claims(self.write(*claims)), tables)

    def test_seeds_for_the_effect_of_the_pilot(self):
        tiny = with_differences(("absolute", {1: 0.1, 2: 0.2, 3: 0.3}))
        every = {**mean(), "test": "every"}
        plans = self.plan(tiny, claim(mean(above=0.05)), claim(mean(above=0.3), every, id="R2"), claim(every, id="R3"),
                          claim(mean(), id="R4", needs="cuda"))
        self.assertEqual([plan.id for plan in plans], ["R1", "R2"])
        first, second = plans
        self.assertAlmostEqual(first.sd, 0.1)
        self.assertAlmostEqual(first.effect, 0.15)
        self.assertEqual((first.seeds, first.note), (3, ""))
        self.assertEqual(first.needed, statistics.seeds_needed(first.effect, first.sd, 0.05 / 2))
        self.assertIn("speaks against", second.note)

    def test_effect_is_the_distance_from_the_nearer_end(self):
        tiny = with_differences(("absolute", {1: 0.1, 2: 0.2, 3: 0.3}))
        plans = self.plan(tiny, claim(mean(within=0.25)), claim(mean(between=[0, 0.7]), id="R2"))
        self.assertIn("nearer end", plans[0].note)
        self.assertAlmostEqual(plans[0].effect, 0.05)
        self.assertAlmostEqual(plans[1].effect, 0.2)

    def test_what_the_pilot_does_not_say(self):
        tiny = with_differences(("absolute", {1: 0.1}))
        plans = self.plan(tiny, claim(mean()), claim(mean("delta(english/rope, 64)", below=1), id="R2"))
        self.assertEqual([plan.needed for plan in plans], [None, None])
        self.assertIn("1 seed", plans[0].note)
        self.assertIn("no run rope", plans[1].note)

    def test_members_of_a_count_are_planned_one_by_one(self):
        each = mean("loss(english/none, 32) - loss(english/{run}, 32)", above=0.05)
        tiny = with_differences(("a", {1: 0.1, 2: 0.2, 3: 0.3}), ("b", {1: 0.5, 2: 0.6, 3: 0.8}))
        plans = self.plan(tiny, claim({"name": "n", "test": "count", "at_least": 1, "of": ["a", "b"], "each": [each]}))
        self.assertEqual([plan.name for plan in plans], ["n: a", "n: b"])
        self.assertEqual(plans[0].needed, statistics.seeds_needed(plans[0].effect, plans[0].sd, 2 * 0.05 / 2))


if __name__ == "__main__":
    unittest.main()
