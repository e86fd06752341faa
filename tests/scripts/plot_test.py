"""Tests of scripts/plot.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import io
import math
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import plot

HEADER = "step,tokens,epoch,split,loss,masked_accuracy,learning_rate,gradient_norm,tokens_per_second,elapsed_seconds\n"
ROWS = ("0,0,0,valid,7.1,0.001,,,,1\n10,640,0.1,train,6.9,,5e-4,2.5,9000,2\n20,1280,0.2,train,6.5,,1e-3,2,9000,3\n"
        "20,1280,0.2,valid,6.4,0.05,,,,4\n")


class PlotTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="plot test 图 ")
        self.addCleanup(self.folder.cleanup)

    def run_folder(self, text, name="run"):
        folder = pathlib.Path(self.folder.name, name)
        folder.mkdir()
        (folder / "metrics.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(folder)

    def plot(self, *arguments):
        """Exit code and the two outputs."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = plot.main(list(arguments))
        return code, out.getvalue(), err.getvalue()

    def test_picture_stands_beside_the_run(self):
        run = self.run_folder(HEADER + ROWS)
        code, out, _ = self.plot(run)
        self.assertEqual((code, out.strip()), (0, run + "/loss.png"))
        self.assertEqual(pathlib.Path(run, "loss.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_several_runs_have_their_own_colours_and_names(self):
        runs = [plot.read_run(self.run_folder(HEADER + ROWS, f"r{i}")) for i in range(12)]
        self.assertEqual([run.label for run in runs[:3]], ["r0", "r1", "r2"])
        self.assertEqual(len({tuple(colour) if not isinstance(colour, str) else colour for colour in plot.colours(runs)}), 12)
        figure = plot.draw(runs, references=[("unigram", 6.0)], log_x=True, panel="masked_accuracy")
        self.assertEqual(len(figure.axes), 2)
        self.assertEqual(len(figure.axes[0].get_legend().get_texts()), 24)
        self.assertIn("nats", figure.axes[0].get_ylabel())
        self.assertEqual(figure.axes[1].get_xscale(), "log")
        plot.plt.close(figure)

    def test_values_go_to_their_split_and_column(self):
        run = plot.read_run(self.run_folder(HEADER + ROWS))
        self.assertEqual(run.get("train", "loss"), [(10, 6.9), (20, 6.5)])
        self.assertEqual(run.get("valid", "loss"), [(0, 7.1), (20, 6.4)])
        self.assertEqual(run.get("train", "learning_rate"), [(10, 5e-4), (20, 1e-3)])
        self.assertEqual(run.get("valid", "masked_accuracy"), [(0, 0.1), (20, 5.0)])

    def test_smoothing_does_not_lag_behind_a_straight_line(self):
        line = [float(i) for i in range(200)]
        for expected, got in zip(line[:195], plot.smooth(line)):  # the last window is cut off
            self.assertAlmostEqual(expected, got)

    def test_smoothing_removes_noise_and_keeps_gaps(self):
        noisy = [1.0 if i % 2 else -1.0 for i in range(200)]
        noisy[100] = math.nan
        smooth = plot.smooth(noisy)
        self.assertTrue(math.isnan(smooth[100]))
        self.assertLess(max(abs(value) for value in smooth[20:90]), 0.2)

    def test_a_run_that_diverged_is_still_drawn(self):
        self.assertEqual(self.plot(self.run_folder(HEADER + ROWS + "30,1920,0.3,train,nan,,1e-3,nan,9000,5\n"))[0], 0)

    def test_broken_files_are_named_with_the_line(self):
        self.assert_refused_each([
            (b"", "the file is empty"),
            (HEADER, "no losses in it yet"),
            ("a,b\n1,2\n", "line 1", "'step'"),
            (HEADER + ROWS + "30,1920,0.3,tra", "line 6", "4 cells, the header has 10"),
            (HEADER + "10,640,0.1,train,six,,,,,1\n", "line 2", "column loss", "'six'"),
            (b"\xff\xfe\x00\x01", "not UTF-8"),
        ])

    def assert_refused_each(self, cases):
        for i, (text, *expected) in enumerate(cases):
            with self.subTest(expected=expected):
                code, _, err = self.plot(self.run_folder(text, f"broken{i}"))
                self.assertEqual((code, err.count("\n")), (1, 1), err)
                for part in [f"broken{i}/metrics.csv", *expected]:
                    self.assertIn(part, err)

    def test_missing_runs_and_unwritable_pictures_are_errors(self):
        self.assertIn("no such file", self.plot(self.folder.name + "/nothing")[2])
        self.assertIn("is " + self.folder.name + " a run folder", self.plot(self.folder.name)[2])
        run = self.run_folder(HEADER + ROWS)
        self.assertEqual(self.plot(run, "--output", run + "/metrics.csv/loss.png")[0], 1)
        self.assertIn("cannot write", self.plot(run, "--output", run + "/loss.unknown")[2])

    def test_references_need_a_name_and_a_number(self):
        run = self.run_folder(HEADER + ROWS)
        self.assertEqual(self.plot(run, "--reference", "unigram=6.1", "--reference", "a=b=2")[0], 0)
        for wrong in ("6.1", "unigram", "unigram=", "=1", "unigram=nan"):
            with self.assertRaises(SystemExit):
                self.plot(run, "--reference", wrong)

    LENGTHS = ("encoding,beyond,train_length,length,scheme,bucket,bucket_begin,bucket_end,loss,masked_accuracy,masked_tokens,loss_ci_low,"
               "loss_ci_high,delta,delta_ci_low,delta_ci_high\n")

    def lengths_file(self, text, name="lengths"):
        folder = pathlib.Path(self.folder.name, name)
        folder.mkdir()
        (folder / "length_extrapolation.csv").write_text(text, encoding="utf-8")
        return str(folder)

    def lengths_of(self, encoding="absolute", beyond=("clip", "tile"), controls=("",)):
        text = self.LENGTHS
        for policy in beyond:
            for control in controls:
                for length in (64, 128, 256):
                    delta = "0.5,0.4,0.6" if length > 64 else "0,0,0"
                    text += f"{encoding},{policy},64,{length},chunked{control},all,0,{length},{2 + length / 100},0.3,90,2.1,5,{delta}\n"
                    for begin in range(0, length, 64):
                        text += f"{encoding},{policy},64,{length},chunked{control},index,{begin},{begin + 64},{2 + begin / 100},0.3,9,,,,,\n"
        return text

    def test_extrapolation_has_a_line_for_each_policy_and_control(self):
        file = self.lengths_file(self.lengths_of(controls=("", "+window32")))
        curves = plot.read_lengths(file)
        figure = plot.draw_extrapolation(curves)
        left, right = figure.axes
        labels = [text.get_text() for text in right.get_legend().get_texts()]
        self.assertEqual(labels, ["absolute, clip", "absolute, clip+window32", "absolute, tile", "absolute, tile+window32",
                                  "training length 64"])
        self.assertEqual(left.get_lines()[0].get_xydata().tolist(), [[length, 2 + length / 100] for length in (64, 128, 256)])
        self.assertEqual(right.get_lines()[0].get_xydata()[:, 0].tolist(), [32, 96, 160, 224])
        plot.plt.close(figure)
        code, out, _ = self.plot("extrapolation", file, "--value", "delta")
        self.assertEqual((code, out.strip()), (0, file + "/extrapolation.png"))

    def test_extrapolation_names_runs_of_one_encoding_by_their_folders(self):
        files = [self.lengths_file(self.lengths_of("rope", ("",)), name) for name in ("first", "second")]
        curves = [curve for file in files for curve in plot.read_lengths(file)]
        plot.name_curves(curves)
        self.assertEqual([curve.label for curve in curves], ["rope (first)", "rope (second)"])

    def test_extrapolation_refuses_what_it_cannot_draw(self):
        for i, (text, *expected) in enumerate([("", "no column 'encoding'"), (self.LENGTHS, "no rows in it"),
                                               (self.LENGTHS + "rope,,64", "line 2", "3 cells, the header has 16"),
                                               (self.lengths_of().replace("2.64", "two"), "column loss", "'two'")]):
            with self.subTest(expected=expected):
                code, _, err = self.plot("extrapolation", self.lengths_file(text, f"wrong{i}"))
                self.assertEqual((code, err.count("\n")), (1, 1), err)
                for part in [f"wrong{i}/length_extrapolation.csv", *expected]:
                    self.assertIn(part, err)
        self.assertIn("no such file", self.plot("extrapolation", self.folder.name + "/nothing.csv")[2])
        code, _, err = self.plot("extrapolation", self.lengths_file(self.lengths_of()), "--scheme", "centred")
        self.assertEqual((code, "no rows of the scheme centred" in err), (1, True))


if __name__ == "__main__":
    unittest.main()
