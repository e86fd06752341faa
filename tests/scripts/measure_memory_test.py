"""Tests of scripts/measure_memory.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import csv
import io
import pathlib
import re
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import measure_memory

# Stands for `locus bench`: memory by the length and the encoding that the configuration names.
PROGRAM = """#!{python}
import pathlib, re, sys
text = pathlib.Path(sys.argv[2]).read_text()
length = int(re.search(r"sequence_length: (\\d+)", text)[1])
open({log!r}, "a").write(" ".join(sys.argv[1:]) + "\\n" + text)
if "position: tupe" in text: sys.exit("error: out of memory")
bytes = length if "position: rope" in text else length**2 if "position: alibi" in text else 3 * length + 4000
print('progress\\n{{"activation_bytes": %d}}' % bytes)
"""


class MeasureMemoryTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="measure memory ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.log = self.folder / "log"
        self.program = self.folder / "program"
        self.program.write_text(PROGRAM.format(python=sys.executable, log=str(self.log)))
        self.program.chmod(0o755)

    def measure(self, *arguments):
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = measure_memory.main(["--program", str(self.program), *arguments])
        return code, out.getvalue(), errors.getvalue()

    def test_slope_is_the_power_of_the_length(self):
        lengths = [128, 256, 512, 1024]
        self.assertAlmostEqual(measure_memory.slope(lengths, [7 * n for n in lengths]), 1.0)
        self.assertAlmostEqual(measure_memory.slope(lengths, [7 * n**2 for n in lengths]), 2.0)

    def test_linear_memory_passes_and_quadratic_memory_is_named(self):
        code, out, _ = self.measure("--encodings", "rope", "--lengths", "128", "256", "512")
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"\| rope \| .* \| 1.000 \| 2.00 \| ")
        code, out, _ = self.measure("--encodings", "rope", "alibi", "--lengths", "128", "256", "512")
        self.assertEqual(code, 1)
        self.assertRegex(out, r"\| alibi \| .* \| 2.000 \| 4.00 \| ")
        self.assertIn("faster than length^1.05: alibi\n", out)

    def test_a_large_constant_does_not_hide_what_grows_at_the_end(self):
        rows = [{"length": n, "activation_bytes": 10**6 + n**2, "peak_memory_bytes": 1} for n in (128, 256, 512, 1024, 2048, 4096)]
        growth = measure_memory.Growth(rows)
        self.assertLess(growth.slope, 1.05)
        self.assertFalse(growth.is_within(1.05))

    def test_every_encoding_of_the_program_is_measured(self):
        registry = (ROOT / "model" / "position" / "registry.cpp").read_text()
        self.assertEqual(measure_memory.all_encodings(), sorted(re.findall(r"^        (\w+)_encoding\(\),$", registry, re.MULTILINE)))

    def test_tables_are_as_long_as_the_sequence_and_wrappers_have_something_to_wrap(self):
        self.measure("--encodings", "disentangled", "shape", "--lengths", "128", "256", "--set", "model.recompute=true")
        asked = self.log.read_text()
        self.assertIn("max_length: 128, position: disentangled}", asked)
        self.assertIn("max_length: 512, position: [shape, absolute]}", asked)
        self.assertEqual(asked.count("--json --steps 1 --warmup 0 --set model.recompute=true"), 4)

    def test_all_figures_are_written_in_bytes(self):
        path = self.folder / "memory.csv"
        self.measure("--encodings", "rope", "--lengths", "128", "256", "--csv", str(path))
        with path.open() as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(row["encoding"], row["length"], row["activation_bytes"]) for row in rows], [("rope", "128", "128"), ("rope", "256", "256")])
        self.assertGreater(int(rows[0]["peak_memory_bytes"]), 2**20)  # the stand-in is a Python of some megabytes

    def test_a_program_that_fails_is_an_error(self):
        code, _, errors = self.measure("--encodings", "tupe", "--lengths", "128", "256")
        self.assertEqual(code, 2)
        self.assertIn("error: out of memory", errors)

    def test_lengths_must_double(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            measure_memory.main(["--lengths", "128", "512"])


if __name__ == "__main__":
    unittest.main()
