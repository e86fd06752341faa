"""Tests of scripts/measure_lengths.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import csv
import io
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import measure_lengths

# Stands for `locus bench`: says what it was asked, in the seconds that it claims to have taken.
PROGRAM = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in *rope*=256*) echo "error: out of memory" >&2; exit 1;; esac
echo '{{"forward_seconds": 0.25, "seconds_per_step": 0.5}}'
"""


class MeasureLengthsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="measure lengths ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.log = self.folder / "log"
        self.program = self.folder / "program"
        self.program.write_text(PROGRAM.format(log=self.log))
        self.program.chmod(0o755)
        for run, encoding in (("absolute", "absolute"), ("rope", "rope")):
            for seed in (1, 2):
                path = self.folder / "english" / run / f"seed-{seed}" / "config.yaml"
                path.parent.mkdir(parents=True)
                path.write_text(f"model: {{position: [{{encoding: {encoding}}}]}}\n")

    def measure(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stderr(out):
            code = measure_lengths.main([str(self.folder), "--program", str(self.program), *arguments])
        return code, out.getvalue()

    def rows(self):
        with (self.folder / "speed_by_length.csv").open() as file:
            return [(row["run"], row["length"], row["repeat"]) for row in csv.DictReader(file)]

    def test_every_run_is_measured_at_every_length_in_turns(self):
        code, out = self.measure("--lengths", "64", "128", "--repeats", "2")
        self.assertEqual(code, 0, out)
        self.assertEqual(self.rows()[:4], [("absolute", "64", "0"), ("rope", "64", "0"), ("absolute", "128", "0"), ("rope", "128", "0")])
        self.assertEqual(len(self.rows()), 8)

    def test_the_tokens_of_a_step_stay_the_same_and_only_tables_that_end_are_made_longer(self):
        self.measure("--lengths", "64", "128", "--repeats", "1")
        asked = self.log.read_text().splitlines()
        self.assertIn("data.sequence_length=128 train.batch_size=32 run.threads=1 model.max_length=128", asked[2])
        self.assertTrue(asked[3].endswith("data.sequence_length=128 train.batch_size=32 run.threads=1"), asked[3])

    def test_a_second_call_adds_what_is_missing(self):
        self.measure("--lengths", "64", "--repeats", "1")
        self.measure("--lengths", "64", "128", "--repeats", "1")
        self.assertEqual(len(self.log.read_text().splitlines()), 4)
        self.assertEqual(len(set(self.rows())), 4)

    def test_a_measurement_that_fails_is_an_error_and_keeps_the_others(self):
        code, out = self.measure("--lengths", "64", "256", "--repeats", "1")
        self.assertEqual(code, 1)
        self.assertIn("out of memory", out)
        self.assertEqual(len(self.rows()), 3)

    def test_a_block_without_runs_is_an_error(self):
        code, out = self.measure("--block", "text")
        self.assertEqual(code, 2)
        self.assertIn("text: no runs", out)


if __name__ == "__main__":
    unittest.main()
