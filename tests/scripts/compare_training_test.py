"""Tests of scripts/compare_training.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'

What needs no PyTorch: the schedule, the windows, the interval, the verdict, and what ends the comparison."""

import contextlib
import io
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

import numpy as np

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import compare_training


def report_of(differences):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = compare_training.report(differences)
    return code, out.getvalue()


class ScheduleTest(unittest.TestCase):
    def test_rate_rises_to_the_peak_and_falls_to_zero_in_straight_lines(self):
        rates = [compare_training.learning_rate(step, 2050) for step in (1, 25, 50, 1050, 2050)]
        for rate, wanted in zip(rates, (8e-5, 2e-3, 4e-3, 2e-3, 0)):
            self.assertAlmostEqual(rate, wanted, places=15)

    def test_rates_of_the_metrics_that_differ_are_refused_with_their_step(self):
        row = {"split": "train", "step": "25", "learning_rate": "0.002"}
        compare_training.check_learning_rates([row, {"split": "valid", "step": "25", "learning_rate": ""}], 2050)
        with self.assertRaisesRegex(ValueError, "step 25"):
            compare_training.check_learning_rates([row | {"learning_rate": "0.0021"}], 2050)


class IntervalTest(unittest.TestCase):
    def test_quantiles_are_those_of_printed_tables(self):
        for degrees, quantile in (1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042):
            self.assertAlmostEqual(compare_training.t_quantile(degrees), quantile, places=3)

    def test_mean_inside_the_margin_agrees_and_outside_does_not(self):
        code, text = report_of([0.004, 0.006])
        self.assertEqual(code, 0)
        self.assertIn("mean difference +0.0050 nats, 95 % interval [-0.0077, +0.0177], seeds: 2, within 0.01", text)
        code, text = report_of([-0.015, -0.010])
        self.assertEqual(code, 1)
        self.assertIn("NOT within 0.01", text)


class WindowsTest(unittest.TestCase):
    def test_window_that_was_cut_otherwise_is_refused(self):
        windows = np.array([[10, 11, 12], [13, 14, 15]])
        first = {"window": 0, "ids": [10, 11, 12], "positions": [], "targets": []}
        second = {"window": 1, "ids": [13, 4, 15], "positions": [1], "targets": [14]}
        compare_training.check_windows([first, second], windows)
        with self.assertRaisesRegex(ValueError, "window 1 .* differs"):
            compare_training.check_windows([first, second | {"targets": [99]}], windows)


class FolderTest(unittest.TestCase):
    def test_results_of_other_settings_are_not_mixed_and_rows_are_kept(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            options = types.SimpleNamespace(output=folder / "out", train=None, valid=None, steps=100, length=8)
            with mock.patch.dict("os.environ"):
                compare_training.prepare(options)
                compare_training.prepare(options)
                options.steps = 200
                with self.assertRaisesRegex(ValueError, "other settings"):
                    compare_training.prepare(options)
            table = folder / "seeds.csv"
            for seed in 3, 1:
                compare_training.append_row(table, {column: seed for column in compare_training.COLUMNS})
            self.assertEqual({seed: row["difference"] for seed, row in compare_training.read_rows(table).items()},
                             {3: 3.0, 1: 1.0})

    def test_options_that_make_no_comparison_are_refused(self):
        for arguments in (["--train", "a.txt"], ["--seeds", "1", "1"], ["--steps", "50"], ["--length", "7"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                compare_training.main(arguments)


if __name__ == "__main__":
    unittest.main()
