"""Tests of scripts/compare_speed.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import argparse
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import compare_speed
import measured_program

MEBIBYTE = 2**20
OPTIONS = argparse.Namespace(compile=False, precision="float32", rounds=3, device="cpu", library="pytorch", position="absolute", threads=0)


def ours(speed, memory):
    return {"tokens_per_second": speed, "gflops": speed / 10, "peak_gflops": 400, "peak_memory_bytes": memory * MEBIBYTE}


def theirs(speed, memory):
    return {**ours(speed, memory), "cpu": "a processor", "threads": 2, "torch": "2", "allocator": "tuned", "optimizer": "fused",
            "instruction_set": "AVX512"}


class CompareSpeedTest(unittest.TestCase):
    def test_memory_and_its_ratio_stand_beside_the_speeds(self):
        measured = {("tiny", 128): ([ours(3000, 500), ours(2000, 520), ours(2500, 510)], [theirs(1000, 1000), theirs(1250, 1020), theirs(1300, 1040)])}
        text = compare_speed.table(measured, OPTIONS).splitlines()
        self.assertEqual(text[0].count("|"), text[2].count("|"))
        self.assertEqual(text[2], "| tiny | 128 | Locus | 2,500 (2,000 to 3,000) | 62 | 510 | **2.00** | **0.50** |")
        self.assertEqual(text[3], "| | | PyTorch | 1,250 (1,000 to 1,300) | 31 | 1,020 | 1 | 1 |")

    def test_on_a_gpu_its_memory_and_its_products_count(self):
        on_gpu = {"device": "cuda", "device_memory_bytes": 300 * MEBIBYTE}
        peer = {**theirs(1000, 9), **on_gpu, "library": "transformers 5", "gpu": "a GPU", "cuda": "13.0", "device_memory_bytes": 600 * MEBIBYTE}
        options = argparse.Namespace(**{**vars(OPTIONS), "device": "cuda", "library": "transformers", "compile": True})
        text = compare_speed.table({("base", 512): ([{**ours(3000, 7), **on_gpu}], [peer])}, options).splitlines()
        self.assertIn("% of product peak | GPU memory, MiB", text[0])
        self.assertEqual(text[2], "| base | 512 | Locus | 3,000 (3,000 to 3,000) | 75 | 300 | **3.00** | **0.50** |")
        self.assertEqual(text[3], "| | | transformers 5, compiled | 1,000 (1,000 to 1,000) | 25 | 600 | 1 | 1 |")
        self.assertIn("a GPU, absolute positions", text[5])

    def test_a_peer_that_is_not_there_leaves_our_figures_and_the_reason(self):
        error = measured_program.ProgramError("peer ended with code 69", compare_speed.peer_pytorch.NOT_HERE, "this python has no torch")
        text = compare_speed.table({("tiny", 128): ([ours(3000, 500)], error)}, OPTIONS).splitlines()
        self.assertEqual(text[2], "| tiny | 128 | Locus | 3,000 (3,000 to 3,000) | 75 | 500 | | |")
        self.assertEqual(text[3], "| | | pytorch | not measured: this python has no torch | | | | |")
        self.assertEqual({line.count("|") for line in text}, {9})

    def test_a_library_is_compared_with_the_model_that_it_has(self):
        library = argparse.Namespace(**{**vars(OPTIONS), "library": "transformers", "device": "cuda"})
        deberta = compare_speed.configuration("base", 512, library, "disentangled")
        for part in ("device: cuda", "vocab_size: 30522", "batch_size: 64", "max_distance: 512, buckets: 256", "architecture: deberta-v2"):
            self.assertIn(part, deberta)
        self.assertNotIn("architecture", compare_speed.configuration("base", 512, library, "absolute"))
        self.assertIn("position: disentangled\n", compare_speed.configuration("tiny", 128, OPTIONS, "disentangled"))

    def test_encodings_have_the_ratio_of_steps_in_turns_and_its_quartiles(self):
        results = [{**ours(speed, 1), "beside": {"ratio": ratio, "lower_quartile": ratio - 0.1, "upper_quartile": ratio + 0.1}}
                   for speed, ratio in ((900, 0.9), (1100, 1.0), (1000, 0.8))]
        text = compare_speed.encodings_table({("tiny", 128): {"rope": results}}, argparse.Namespace(encodings=["absolute", "rope"])).splitlines()
        self.assertEqual(text[2], "| tiny | 128 | rope | 1,000 (900 to 1,100) | **0.90** | 0.70 to 1.10 |")
        self.assertEqual(text[0].count("|"), text[2].count("|"))


class StoppedTest(unittest.TestCase):
    """The program is a stand-in that answers twice and then takes its time, and cannot be told to end."""

    def test_what_was_measured_is_told_and_nothing_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            calls, program = pathlib.Path(folder, "calls"), pathlib.Path(folder, "locus")
            answer = json.dumps({**ours(1000, 1), "beside": {"ratio": 0.9, "lower_quartile": 0.8, "upper_quartile": 1.0}})
            program.write_text(f"""#!/bin/sh
echo $$ >>{calls}
trap '' TERM
if [ $(wc -l <{calls}) -le 2 ]; then echo '{answer}'; else echo slow >&2; while sleep 0.1; do :; done; fi
""")
            program.chmod(0o755)
            command = [sys.executable, pathlib.Path(compare_speed.__file__), "--locus", program, "--size", "tiny", "--encodings", "absolute", "rope", "--rounds", "3"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stopped:
                while stopped.poll() is None and (not calls.exists() or len(calls.read_text().splitlines()) < 3):
                    time.sleep(0.05)
                stopped.send_signal(signal.SIGTERM)
                out, errors = stopped.communicate()
            self.assertEqual(stopped.returncode, 1)
            self.assertIn("| tiny | 128 | rope | 1,000 (1,000 to 1,000) | **0.90** | 0.80 to 1.00 |", out)
            self.assertIn("compare_speed.py: stopped before it was done", errors)
            with self.assertRaises(ProcessLookupError):
                os.kill(int(calls.read_text().splitlines()[-1]), 0)

    def test_without_the_peer_our_figures_stand(self):
        measured = compare_speed.begun({("tiny", 128): ([ours(3000, 500)], []), ("tiny", 512): ([], [])}, argparse.Namespace(encodings=[]))
        self.assertEqual(list(measured), [("tiny", 128)])
        self.assertIn("| | | pytorch | not measured: stopped before it was done | | | | |", compare_speed.table(measured, OPTIONS))


class MeasuredProgramTest(unittest.TestCase):
    def run_python(self, text):
        return measured_program.run_json([sys.executable, "-c", text])

    def test_the_memory_is_that_of_the_program_and_not_of_one_before(self):
        large = self.run_python("x = b'1' * (200 << 20); print('{}')")
        small = self.run_python("print('progress'); print('{\"a\": 1}')")
        self.assertGreater(large["peak_memory_bytes"], 200 * MEBIBYTE)
        own = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # counted until the child is another program
        self.assertLess(small["peak_memory_bytes"], max(100 * MEBIBYTE, own + 10 * MEBIBYTE))
        self.assertEqual(small["a"], 1)
        self.assertEqual(self.run_python("print('{\"peak_memory_bytes\": 7}')")["peak_memory_bytes"], 7)

    def test_failures_say_what_the_program_said(self):
        with self.assertRaisesRegex(measured_program.ProgramError, "code 3: out of luck"):
            self.run_python("import sys; print('out of luck', file=sys.stderr); sys.exit(3)")
        with self.assertRaises(measured_program.ProgramError) as caught:
            self.run_python("import sys; print('not here', file=sys.stderr); sys.exit(69)")
        self.assertEqual((caught.exception.code, caught.exception.reason), (69, "not here"))
        with self.assertRaisesRegex(measured_program.ProgramError, "wrote no JSON"):
            self.run_python("print('nothing')")
        with self.assertRaisesRegex(measured_program.ProgramError, "cannot run"), tempfile.TemporaryDirectory() as folder:
            measured_program.run_json([pathlib.Path(folder, "missing")])


if __name__ == "__main__":
    unittest.main()
