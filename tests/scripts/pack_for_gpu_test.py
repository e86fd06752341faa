"""Tests of scripts/pack_for_gpu.sh: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("locus", "tests/kernels_tests", "tests/model_tests", "tests/train_tests", "tests/benchmarks/gpu_benchmark")


class PackForGpuTest(unittest.TestCase):
    """What it packs; a program of the system stands in for ours."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pack for gpu ")
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name, "build")
        self.archive = pathlib.Path(folder.name, "out", "pack.tar.xz")
        (self.build / "tests" / "benchmarks").mkdir(parents=True)
        for program in PROGRAMS:
            shutil.copy(shutil.which("bash"), self.build / program)

    def pack(self, *arguments):
        command = ["bash", ROOT / "scripts" / "pack_for_gpu.sh", "--build", self.build, "--output", self.archive, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_programs_their_libraries_and_the_commit_are_packed_but_not_the_system(self):
        done = self.pack()
        self.assertEqual(done.returncode, 0, done.stderr)
        with tarfile.open(self.archive) as archive:
            names = {pathlib.PurePath(name).as_posix() for name in archive.getnames()}
            self.assertEqual(archive.extractfile("./commit").read(), subprocess.run(
                ["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, check=True).stdout)
            self.assertTrue(archive.getmember("./locus").mode & 0o100)
        self.assertLessEqual({*PROGRAMS, "commit"}, names)
        libraries = [name for name in names if name.startswith("lib/")]
        self.assertTrue(any(name.startswith("lib/libtinfo") for name in libraries), libraries)
        self.assertFalse(any(name.startswith("lib/libc.") for name in libraries), libraries)

    def test_what_is_missing_or_too_large_is_named(self):
        done = self.pack("--most", "0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("more than 0 MiB", done.stderr)
        (self.build / "tests" / "train_tests").unlink()
        done = self.pack()
        self.assertEqual(done.returncode, 1)
        self.assertIn("tests/train_tests is not there", done.stderr)


if __name__ == "__main__":
    unittest.main()
