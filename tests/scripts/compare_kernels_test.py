"""Tests of scripts/compare_kernels.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import compare_kernels
from measured_program import ProgramError

RESULT = {
    "context": {"copy_gigabytes_per_second": "4000.0"},
    "benchmarks": [
        {"name": "attention_forward/plain/512/min_time:0.020/manual_time", "real_time": 2.0, "time_unit": "ms", "TFLOP/s": 300},
        {"name": "attention_backward/disentangled_dropout/512/manual_time", "real_time": 5000.0, "time_unit": "us", "TFLOP/s": 200},
        {"name": "layer_norm_forward/manual_time", "real_time": 100.0, "time_unit": "us", "GB/s": 3600, "percent_of_copy": 90},
    ],
}


class CompareKernelsTest(unittest.TestCase):
    def test_plain_attention_stands_beside_the_peers_of_the_same_kind(self):
        peer = {("forward", False, 512): 600, ("forward", True, 512): 500, ("backward", True, 512): 400}
        lines = compare_kernels.tables(RESULT, peer)
        self.assertIn("| forward, plain | 512 | 2,000 | 300 | 600.0 | **0.50** |", lines)
        self.assertIn("| backward, disentangled, dropout | 512 | 5,000 | 200 |  |  |", lines)  # PyTorch has no such attention
        self.assertIn("| layer norm forward | 100 | 3.6e+03 | 90 |", lines)
        self.assertIn("4,000 GB/s", "".join(lines))

    def test_a_peer_that_is_not_there_is_told_and_the_tables_stand(self):
        lines = compare_kernels.tables(RESULT, ProgramError("ended", 69, "No module named 'torch'"))
        self.assertIn("PyTorch's was not measured: No module named 'torch'", lines)
        self.assertIn("| forward, plain | 512 | 2,000 | 300 |  |  |", lines)

    def test_a_kernel_that_was_refused_is_told_and_the_others_stand(self):
        refused = {"name": "gelu_forward/manual_time", "error_occurred": True, "error_message": "the GPU refused"}
        lines = compare_kernels.tables({**RESULT, "benchmarks": [*RESULT["benchmarks"], refused]}, {})
        self.assertIn("gelu_forward manual_time was not measured: the GPU refused", lines)
        self.assertIn("| layer norm forward | 100 | 3.6e+03 | 90 |", lines)


if __name__ == "__main__":
    unittest.main()
