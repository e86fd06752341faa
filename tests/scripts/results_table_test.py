"""Tests of scripts/results_table.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import results_table

METRICS = ("step,tokens,epoch,split,loss,masked_accuracy,learning_rate,gradient_norm,tokens_per_second,elapsed_seconds\n"
           "0,0,0,valid,9.0,0.001,,,,1\n10,1000000,0.5,train,6.9,,5e-4,2.5,9000,60\n20,2000000,1,train,6.5,,1e-3,2,11000,120\n"
           "10,1000000,0.5,valid,5.5,0.25,,,,1800\n20,2000000,1,valid,5.75,0.2,,,,3600\n")


class ResultsTableTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="results table ")
        self.addCleanup(self.folder.cleanup)

    def run_folder(self, log="unigram entropy: 7.250 nats; a model\n"):
        folder = pathlib.Path(self.folder.name, "english")
        (folder / "latest").mkdir(parents=True)
        (folder / "metrics.csv").write_text(METRICS)
        (folder / "log.txt").write_text(log)
        (folder / "latest" / "config.json").write_text('{"vocab_size": 8192}')
        return str(folder)

    def test_the_row_has_the_lowest_loss_and_what_it_is_below(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            results_table.main([self.run_folder()])
        self.assertEqual(out.getvalue().splitlines()[2],
                         "| english | 20 | 2.0M | 1.0 | 9.000 | 9.011 | 5.750 | 5.500 | 25.0 % | 7.250 | 1.750 | 10.0k | 1.00 |")

    def test_losses_at_steps_leave_out_what_was_not_validated(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            results_table.main(["--at", "10,15,20", self.run_folder()])
        self.assertEqual(out.getvalue().splitlines()[2], "| english | 5.500 |  | 5.750 |")

    def test_a_run_without_the_entropy_is_an_error(self):
        with self.assertRaisesRegex(SystemExit, "unigram entropy is not in the run's log.txt"):
            results_table.main([self.run_folder(log="")])


if __name__ == "__main__":
    unittest.main()
