"""scripts/measure_start.py with programs that stand in for a run."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

import measure_start  # noqa: E402


def program(text):
    return [sys.executable, "-u", "-c", text]


class MeasureStart(unittest.TestCase):
    def test_each_moment_has_its_own_time_and_the_run_is_stopped(self):
        times = measure_start.start_once(program(
            "import time; time.sleep(0.2); print('plan: 10 steps'); time.sleep(0.3); print('step 0: validation loss 9'); time.sleep(600)"))
        self.assertGreaterEqual(times["the plan"], 0.2)
        self.assertGreaterEqual(times["the first step"], times["the plan"] + 0.25)
        self.assertLess(times["the first step"], 60)

    def test_a_run_that_fails_is_told_with_what_it_printed(self):
        with self.assertRaisesRegex(measure_start.StartError, "no such file"):
            measure_start.start_once(program("print('plan: 1 step'); print('no such file')"))


if __name__ == "__main__":
    unittest.main()
