"""Tests of scripts/check_statistics.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import check_statistics
from reporting import quantities
from tiny_comparison import TinyComparison

CLAIMS = """level: 0.05
gate: 0.1
scheme: centred
blocks: {english: none}
claims:
  - {id: A, claim: {en: a, zh: a}, criteria: [{name: c, test: mean, quantity: "loss(english/none, 32)", above: 0}]}
  - {id: B, claim: {en: b, zh: b}, criteria: [{name: c, test: mean, quantity: "loss(english/none, 32)", above: 0}]}
  - {id: C, claim: {en: c, zh: c}, criteria: [{name: c, test: every, quantity: "loss(english/none, 32)", above: 0}]}
"""


class CheckStatistics(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="check statistics test 图 ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.claims = self.folder / "claims.yaml"
        self.claims.write_text(CLAIMS, encoding="utf-8")
        for name, value in (("TEXTS", 20), ("TEXTS_AT_ONCE", 20), ("REPLICATES", 100), ("JUDGED_TWICE", 5)):
            patch = unittest.mock.patch.object(check_statistics, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def run_it(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = check_statistics.main([*map(str, arguments), "--claims", str(self.claims), "--simulations", "2000"])
        return code, out.getvalue(), err.getvalue()

    def test_verdicts_of_this_project_keep_their_promise(self):
        code, out, _ = self.run_it("--spread", 0.015, "--seeds", 5)
        self.assertEqual(code, 0, out)
        self.assertIn("2000 families of 2 claims, 5 seeds, sd 0.0150 nats", out)
        self.assertIn("| 0.0150 | 9", out)  # 0.05 nats at sd 0.015 with two claims: found nearly always

    def test_verdicts_without_a_correction_are_caught(self):
        def uncorrected(values, level):
            return numpy.concatenate([verdicts(values[:, i:i + 1], level) for i in range(values.shape[1])], axis=1)

        verdicts = check_statistics.family_verdicts
        with unittest.mock.patch.object(check_statistics, "family_verdicts", uncorrected):
            with self.assertRaisesRegex(AssertionError, "not what reporting/verdicts.py does"):
                with unittest.mock.patch.object(check_statistics, "JUDGED_TWICE", 200):
                    self.run_it("--spread", 0.015, "--seeds", 5)
            with unittest.mock.patch.object(check_statistics, "JUDGED_TWICE", 0):
                code, out, _ = self.run_it("--spread", 0.015, "--seeds", 5)
        self.assertEqual(code, 1)
        self.assertIn("Too many: wrong verdicts, normal", out)

    def test_equivalence_without_its_second_test_is_caught(self):
        def one_sided(values, level):
            return values.mean(axis=1) < check_statistics.MARGIN

        with unittest.mock.patch.multiple(check_statistics, equivalent=one_sided, JUDGED_TWICE=0):
            code, out, _ = self.run_it("--spread", 0.015, "--seeds", 5)
        self.assertEqual(code, 1)
        self.assertIn("wrong equivalences at sd 0.0150", out)

    def test_spread_is_that_of_the_pairs_of_a_block_of_text(self):
        tiny = TinyComparison()
        for run, losses in (("a", (2.0, 2.1, 2.2)), ("b", (3.0, 3.2, 3.4)), ("c", (3.0, 3.1, 3.2))):
            for seed, loss in enumerate(losses):
                tiny.add_run("english", run, seed, validation_loss=loss)
        tiny.add_run("english", "d", 0, status="diverged", validation_loss="")
        tiny.add_accuracies("order", "a", {1: 1.0, 2: 0.5})
        tiny.add_accuracies("order", "b", {1: 1.0, 2: 0.7})
        spreads = check_statistics.paired_spreads(quantities.read_tables(tiny.write(self.folder)))
        self.assertEqual(list(spreads), ["english"])
        pairs = {pair[1:3]: (pair[0], pair[3]) for pair in spreads["english"]}
        self.assertAlmostEqual(pairs["a", "b"][0], 0.1)
        self.assertAlmostEqual(pairs["b", "c"][0], 0.1)
        self.assertEqual(pairs["a", "b"][1], 3)
        code, out, _ = self.run_it(self.folder)
        self.assertEqual(code, 0)
        self.assertIn("| english | 3 |", out)

    def test_bootstrap_is_the_one_of_the_project_on_one_text(self):
        """By hand with counts that are known: two windows, three replicates."""
        class Counts:
            def poisson(self, mean, shape):
                return numpy.array([[1, 2, 1], [1, 0, 3]])

        with unittest.mock.patch.object(check_statistics, "REPLICATES", 3):
            sums, targets = numpy.array([[4.0, 2.0]]), numpy.array([[2.0, 2.0]])
            low, high = check_statistics.percentile_intervals(Counts(), sums, targets)
        self.assertAlmostEqual(float(low[0]), 10 / 8)  # ratios 6 / 4, 8 / 4, 10 / 8
        self.assertAlmostEqual(float(high[0]), 2)

    def test_wrong_inputs(self):
        code, _, err = self.run_it(self.folder / "nowhere")
        self.assertEqual(code, 2)
        self.assertIn("no such folder", err)
        for arguments in ((), ("--spread", "0.01"), (str(self.folder), "--seeds", "3"),
                          ("--spread", "-1", "--seeds", "3"), ("--spread", "1", "--seeds", "1")):
            with self.assertRaises(SystemExit) as caught, contextlib.redirect_stderr(io.StringIO()):
                check_statistics.main(list(arguments))
            self.assertEqual(caught.exception.code, 2)


if __name__ == "__main__":
    unittest.main()
