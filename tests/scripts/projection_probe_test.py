"""Tests of scripts/projection_probe.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import csv
import io
import json
import pathlib
import sys
import tempfile
import unittest

import numpy

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import projection_probe

LENGTH, HIDDEN = 32, 64


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        numbers = tensor.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(numbers)]}
        data += numbers
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


class SharesTest(unittest.TestCase):
    def setUp(self):
        self.positions = projection_probe.waves(LENGTH, HIDDEN)

    def test_without_projections_the_score_is_even_and_depends_on_the_distance_alone(self):
        toeplitz, antisymmetric = projection_probe.shares(self.positions, numpy.eye(HIDDEN), numpy.eye(HIDDEN))
        self.assertAlmostEqual(toeplitz, 1, places=12)
        self.assertAlmostEqual(antisymmetric, 0, places=12)

    def test_a_quarter_turn_of_each_wave_makes_the_score_odd(self):
        turn = numpy.kron(numpy.eye(HIDDEN // 2), [[0, 1], [-1, 0]])
        toeplitz, antisymmetric = projection_probe.shares(self.positions, turn, numpy.eye(HIDDEN))
        self.assertAlmostEqual(toeplitz, 1, places=12)
        self.assertAlmostEqual(antisymmetric, 1, places=12)

    def test_random_projections_scatter_both(self):
        generator = numpy.random.default_rng(0)
        shares = [projection_probe.shares(self.positions, *generator.normal(size=(2, HIDDEN, HIDDEN))) for _ in range(20)]
        self.assertLess(max(toeplitz for toeplitz, _ in shares), 0.9)
        self.assertGreater(min(antisymmetric for _, antisymmetric in shares), 0.01)

    def test_shares_do_not_depend_on_the_size_of_the_weights(self):
        generator = numpy.random.default_rng(1)
        query, key = generator.normal(size=(2, 16, HIDDEN))
        one, other = (projection_probe.shares(self.positions, query * size, key) for size in (1, 1e-3))
        numpy.testing.assert_allclose(one, other)


class MainTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.comparison = pathlib.Path(folder.name)

    def run_main(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            return projection_probe.main([str(self.comparison)]), out.getvalue()

    def test_every_checkpoint_layer_and_head_has_a_row(self):
        run = self.comparison / "projection" / "sinusoidal" / "seed-3"
        run.mkdir(parents=True)
        (run / "config.yaml").write_text("run: {seed: 3}\ndata: {sequence_length: 16}\n"
                                         "model: {hidden: 8, heads: 2, layers: 1, initializer_range: 0.05}\n")
        generator = numpy.random.default_rng(3)
        for step in (0, 10, 20):
            folder = run / "checkpoints" / f"step-{step:08}"
            folder.mkdir(parents=True)
            write_safetensors(folder / "model.safetensors", {
                f"bert.encoder.layer.0.attention.self.{name}.weight": generator.normal(size=(8, 8))
                for name in ("query", "key")})
        code, out = self.run_main()
        self.assertEqual(code, 0, out)
        with (self.comparison / "projection.csv").open() as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(row["step"], row["head"]) for row in rows if row["projection"] == "trained"],
                         [("0", "0"), ("0", "1"), ("10", "0"), ("10", "1"), ("20", "0"), ("20", "1")])
        self.assertEqual({row["step"] for row in rows if row["projection"] == "random"}, {"0", "20"})
        self.assertEqual({row["seed"] for row in rows}, {"3"})

    def test_a_comparison_without_such_runs_is_an_error_with_the_remedy(self):
        code, out = self.run_main()
        self.assertEqual(code, 2)
        self.assertIn("--only projection", out)


if __name__ == "__main__":
    unittest.main()
