"""Tests of scripts/gpu_check.sh: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import os
import pathlib
import signal
import subprocess
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARDS = len(os.sched_getaffinity(0))  # as nproc says


class GpuCheckTest(unittest.TestCase):
    """Its arguments and its report; the programs are stand-ins that print a few lines."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gpu check ")
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name, "build")
        self.report = pathlib.Path(folder.name, "report.md")
        (self.build / "tests").mkdir(parents=True)
        for name in ("locus", "tests/kernels_tests", "tests/model_tests", "tests/train_tests"):
            self.program(name, "echo '[  PASSED  ] 3 tests.'; echo '[  SKIPPED ] 1 test.'")

    def program(self, name, text):
        path = self.build / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def check(self, *arguments):
        command = ["bash", ROOT / "scripts" / "gpu_check.sh", "--device", "simt", "--build", self.build, "--output", self.report, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_parts_that_are_asked_for_are_added_to_the_report(self):
        (self.build / "commit").write_text("abc1234\n")
        self.assertEqual(self.check("--only", "tests").returncode, 0)
        self.assertEqual(self.check("--only", "speed,memcheck", "--commit", "not said again").returncode, 0)
        text = self.report.read_text()
        self.assertEqual([line for line in text.splitlines() if line.startswith("#")], ["# GPU check", "## tests", "## memcheck", "## speed"])
        self.assertIn("Commit abc1234, device simt", text)
        self.assertRegex(text, rf"\| train tests \| passed \| \d+ s \| {3 * SHARDS} tests passed \|")
        self.assertIn("left out: simt has no speed", text)

    def test_a_commit_can_be_given(self):
        self.check("--only", "speed", "--commit", "fedcba9")
        self.assertIn("Commit fedcba9,", self.report.read_text())

    def test_a_packed_build_is_unpacked_and_brings_its_libraries(self):
        (self.build / "commit").write_text("abc1234\n")
        (self.build / "lib").mkdir()
        self.program("tests/kernels_tests", 'test $(basename "${LD_LIBRARY_PATH%%:*}") = lib && test -x "$LOCUS_PROGRAM"')
        with tarfile.open(self.build.parent / "pack.tar.xz", "w:xz") as archive:
            archive.add(self.build, ".")
        self.build = self.build.parent / "pack.tar.xz"
        self.assertEqual(self.check("--only", "tests").returncode, 0)
        self.assertIn("Commit abc1234,", self.report.read_text())

    def test_what_does_not_fit_into_the_minutes_is_stopped_or_not_begun(self):
        self.program("tests/kernels_tests", "echo '[ RUN      ] A.B'; echo '[       OK ] A.B (1 ms)'; echo '[ RUN      ] A.C'; exec sleep 100")
        (self.build / "tests" / "benchmarks").mkdir()
        self.program("tests/benchmarks/gpu_benchmark", "")
        command = ["--only", "tests,kernels", "--minutes", "1"]
        script = (ROOT / "scripts" / "gpu_check.sh").read_text().replace("60 * minutes", "12 * minutes").replace("seconds=1200", "seconds=3")
        folder = self.report.parent / "scripts"
        folder.mkdir()
        (folder / "gpu_check.sh").write_text(script)
        (folder / "common.sh").write_text((ROOT / "scripts" / "common.sh").read_text())
        done = subprocess.run(["bash", folder / "gpu_check.sh", "--device", "simt", "--build", self.build, "--output", self.report, *command],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        text = self.report.read_text()
        self.assertIn("| kernels tests | **not finished** |", text)
        self.assertEqual(text.count("    ended in: A.C\n"), SHARDS)  # and not once more as what the next found
        self.assertIn("| kernels and attention | **not begun**: no time left |", text)
        self.assertIn("| train tests | **not begun**: no time left |", text)

    def test_what_failed_is_shown_and_the_others_still_run(self):
        line = "[  FAILED  ] All/A.C/x, where GetParam() = x"
        self.program("tests/kernels_tests", f"echo the reason >&2; echo '{line} (7 ms)'; echo '[  PASSED  ] 2 tests.'; echo '{line}'; exit 3")
        done = self.check("--only", "tests")
        self.assertEqual(done.returncode, 1)
        text = self.report.read_text()
        self.assertIn("| kernels tests | **failed** |", text)
        self.assertIn("    the reason", text)
        self.assertEqual(text.count("    failed: All/A.C/x\n"), SHARDS)
        self.assertIn(f"| {2 * SHARDS} tests passed |", text)
        self.assertIn("the reason", pathlib.Path(f"{self.report}.log").read_text())
        self.assertIn(text, done.stdout)
        self.assertIn("| train tests | passed |", text)

    def test_what_was_found_is_kept_when_somebody_stops_it(self):
        self.program("tests/kernels_tests", "echo the reason; exit 3")
        self.program("tests/model_tests", "exec sleep 5")
        command = ["bash", ROOT / "scripts" / "gpu_check.sh", "--device", "simt", "--build", self.build, "--output", self.report, "--only", "tests"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as check:
            for line in check.stdout:
                if "model tests" in line:
                    check.send_signal(signal.SIGTERM)
                    break
            check.communicate()
        self.assertIn("    the reason", self.report.read_text())

    def test_mistakes_are_named(self):
        for arguments, part in ((("--only", "tests,sped"), "--only sped: the parts are tests losses"), (("--steps",), "--steps needs a value"),
                                (("--minutes", "ten"), "--minutes needs a whole number"), (("--device", "tpu"), "--device is cuda or simt"), (("--what", "1"), "unknown argument '--what'")):
            done = self.check(*arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn(part, done.stderr)

    def test_help_names_every_part(self):
        text = self.check("--help").stdout
        for part in ("tests", "losses", "memcheck", "speed", "kernels", "racecheck", "deberta", "memory", "synccheck", "small", "initcheck", "--steps N", "half an hour"):
            self.assertIn(part, text)
        self.assertNotIn("device=cuda build", text)


if __name__ == "__main__":
    unittest.main()
