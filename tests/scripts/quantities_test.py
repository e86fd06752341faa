"""Tests of scripts/reporting/quantities.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from reporting import quantities
from reporting.quantities import MissingError
from tiny_comparison import TinyComparison


def comparison():
    """english: none and rope with seeds 1 to 3, absolute with two policies and 2 to 4; the probe order; speeds."""
    tiny = TinyComparison()
    tiny.add_losses("english", "none", {1: {32: 3.0, 64: 3.1}, 2: {32: 3.2, 64: 3.3}, 3: {32: 3.4, 64: 3.5}})
    tiny.add_losses("english", "rope", {1: {32: 2.0, 64: 2.5}, 2: {32: 2.1, 64: 2.2}, 3: {32: 2.2, 64: 2.3}})
    tiny.add_losses("english", "rope", {1: {32: 9.0}, 2: {32: 9.0}, 3: {32: 9.0}}, scheme="chunked", done=False)
    tiny.add_losses("english", "rope", {1: {32: 8.0}, 2: {32: 8.0}, 3: {32: 8.0}}, bucket="edge", done=False)
    absolute = {2: {32: 2.5, 64: 4.0}, 3: {32: 2.6, 64: 4.1}, 4: {32: 2.7, 64: 4.2}}
    tiny.add_losses("english", "absolute", absolute, beyond="clip")
    tile = {seed: {32: loss[32], 64: 7.0} for seed, loss in absolute.items()}
    tiny.add_losses("english", "absolute", tile, beyond="tile", done=False)
    tiny.add_accuracies("order", "rope", {1: 1.0, 2: 0.9})
    tiny.add_accuracies("order", "rope", {1: 0.7, 2: 0.6}, condition="unseen offset", done=False)
    for length, repeat, seconds in ((32, 1, 0.1), (32, 2, 0.9), (32, 3, 0.2), (64, 1, 0.4)):
        tiny.add_step_time("rope", length, seconds, repeat)
    for step, share in ((0, 0.1), (10, 0.5), (20, 0.9)):
        for head in (0, 1):
            tiny.add("projection", run="sinusoidal", seed=1, step=step, layer=0, head=head, projection="trained",
                     toeplitz_share=share + 0.02 * head, antisymmetric_share=0)
    return tiny


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="quantities test 图 ")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def tables(self, tiny=None):
        return quantities.read_tables((tiny or comparison()).write(self.folder))

    def check(self, text, expected, tables=None):
        values = quantities.evaluate(text, tables or self.tables(), "centred")
        self.assertEqual(list(values), list(expected))
        for seed, value in expected.items():
            self.assertAlmostEqual(values[seed], value, places=12)


class Values(Case):
    def test_a_figure_has_a_value_for_each_seed(self):
        self.check("loss(english/none, 32)", {1: 3.0, 2: 3.2, 3: 3.4})

    def test_scheme_and_bucket_choose_the_rows(self):
        self.check("loss(english/rope, 32)", {1: 2.0, 2: 2.1, 3: 2.2})
        chunked = quantities.evaluate("loss(english/rope, 32)", self.tables(), "chunked")
        self.assertEqual(chunked, {1: 9.0, 2: 9.0, 3: 9.0})

    def test_seeds_are_those_that_all_figures_have(self):
        self.check("loss(english/none, 32) - loss(english/absolute, 32)", {2: 0.7, 3: 0.8})

    def test_arithmetic_follows_the_usual_rules(self):
        self.check("2 * (loss(english/none, 32) - 1) / -4 + .5e1 - +1", {1: 3.0, 2: 2.9, 3: 2.8})
        self.check("loss(english/none,32) - loss(english/rope,32) - 1", {1: 0.0, 2: 0.1, 3: 0.2})
        self.check("loss( english/none , 32 )-(loss(english/rope,32)-1)", {1: 2.0, 2: 2.1, 3: 2.2})

    def test_delta_at_a_policy(self):
        self.check("delta(english/absolute, 64, clip)", {2: 1.5, 3: 1.5, 4: 1.5})
        self.check("loss(english/absolute, 64, tile)", {2: 7, 3: 7, 4: 7})
        self.check("delta(english/rope, 64)", {1: 0.5, 2: 0.1, 3: 0.1})

    def test_beyond_the_table_the_policy_must_be_named(self):
        with self.assertRaisesRegex(MissingError, "english/absolute: length 64 needs a policy .* clip, tile"):
            quantities.evaluate("delta(english/absolute, 64)", self.tables(), "centred")

    def test_a_condition_may_be_written_with_underscores(self):
        self.check("accuracy(order/rope, 32, all)", {1: 1.0, 2: 0.9})
        self.check("accuracy(order/rope, 32, unseen_offset)", {1: 0.7, 2: 0.6})
        self.check("accuracy(order/rope, 32, unseen offset)", {1: 0.7, 2: 0.6})
        self.check("probe_loss(order/rope, 32, all) - floor_loss(order/rope, 32, all)", {1: -0.5, 2: -0.4})
        self.check("floor_accuracy(order/rope, 32, all)", {1: 0.25, 2: 0.25})

    def test_conditions_with_signs_are_bare_text(self):
        tiny = TinyComparison()
        tiny.add_accuracies("lookup", "rope", {1: 0.8}, condition="shift=+1")
        tiny.add_accuracies("lookup", "rope", {1: 0.3}, condition="shift=-1", done=False)
        difference = "accuracy(lookup/rope, 32, shift=+1) - accuracy(lookup/rope, 32, shift=-1)"
        self.check(difference, {1: 0.5}, self.tables(tiny))

    def test_what_has_no_seeds_is_the_same_for_all(self):
        self.check("step_time(rope, 32)", {None: 0.2})
        self.check("step_time(rope, 64) / step_time(rope, 32)", {None: 2.0})
        self.check("loss(english/none, 32) * step_time(rope, 32)", {1: 0.6, 2: 0.64, 3: 0.68})

    def test_projection_is_the_mean_over_heads_at_the_first_or_last_step(self):
        self.check("toeplitz_share(sinusoidal, trained, first)", {1: 0.11})
        self.check("toeplitz_share(sinusoidal, trained, last)", {1: 0.91})
        self.check("antisymmetric_share(sinusoidal, trained, last)", {1: 0})

    def test_figures_of_runs_and_times(self):
        tiny = TinyComparison()
        tiny.add_run("english", "none", 1, parameters=120, validation_loss=2.25)
        tiny.add_time("english", "none", 1, tokens_per_second=100, seconds=12.5)
        tables = self.tables(tiny)
        self.check("parameters(english/none) + validation_loss(english/none)", {1: 122.25}, tables)
        self.check("seconds(english/none)", {1: 12.5}, tables)

    def test_a_run_called_none_or_nan_is_a_name(self):
        tiny = TinyComparison()
        for name in ("none", "nan", "null", "NA"):
            tiny.add_losses("english", name, {1: {32: 1.0}})
        tables = self.tables(tiny)
        for name in ("none", "nan", "null", "NA"):
            self.check(f"loss(english/{name}, 32)", {1: 1.0}, tables)


class LossAtTimeOf(Case):
    def tiny(self, validations):
        """slow has seeds at 400, 500 and 9,000 tokens a second, fast at 1,000; both train on 1,000 tokens."""
        tiny = TinyComparison()
        for seed, speed in ((1, 400), (2, 500), (3, 9000)):
            for run, at in (("slow", speed), ("fast", 1000)):
                tiny.add_run("english", run, seed, tokens=1000)
                tiny.add_time("english", run, seed, tokens_per_second=at)
                for tokens, loss in validations:
                    for split, value in (("train", 99), ("valid", loss + seed)):
                        table = f"english/{run}/seed-{seed}/metrics"
                        tiny.add(table, step=tokens // 10, tokens=tokens, split=split, loss=value)
        return tiny

    def test_is_interpolated_at_the_median_speed(self):
        tables = self.tables(self.tiny([(0, 9), (400, 5), (800, 3), (1000, 2)]))
        # fast ends after 1 s; slow had then seen 500 tokens, a quarter of the way from 400 to 800
        self.check("loss_at_time_of(english/slow, english/fast)", {1: 5.5, 2: 6.5, 3: 7.5}, tables)
        self.check("loss_at_time_of(english/slow, english/slow)", {1: 3, 2: 4, 3: 5}, tables)

    def test_a_run_that_had_ended_cannot_be_asked(self):
        tables = self.tables(self.tiny([(0, 9), (400, 5), (1000, 2)]))
        told = "english/fast seed 1 at the time of english/slow: it had ended before, after 1000 tokens instead of 2000"
        with self.assertRaisesRegex(MissingError, told):
            quantities.evaluate("loss_at_time_of(english/fast, english/slow)", tables, "centred")

    def test_no_line_is_drawn_from_the_untrained_model(self):
        tables = self.tables(self.tiny([(0, 9), (1000, 2)]))
        with self.assertRaisesRegex(MissingError, "no validation before token 500 .*evaluate_every"):
            quantities.evaluate("loss_at_time_of(english/slow, english/fast)", tables, "centred")

    def test_curves_stand_in_for_run_folders(self):
        tiny = self.tiny([(0, 9)])
        tiny.rows = {name: rows for name, rows in tiny.rows.items() if "metrics" not in name}
        for seed in (1, 2, 3):
            for tokens, loss in ((0, 9), (400, 5), (800, 3)):
                tiny.add("curves", block="english", run="slow", seed=seed, tokens=tokens, loss=loss)
        self.check("loss_at_time_of(english/slow, english/fast)", {1: 4.5, 2: 4.5, 3: 4.5}, self.tables(tiny))


class Text(unittest.TestCase):
    def refused(self, text, *words):
        with self.assertRaises(ValueError) as caught:
            quantities.parse(text)
        self.assertNotIsInstance(caught.exception, MissingError)
        for word in (f'quantity "{text}"', *words):
            self.assertIn(word, str(caught.exception))

    def test_unknown_function_names_the_known_ones(self):
        self.refused("los(english/none, 32)", 'no function "los"', "loss, delta, accuracy", "toeplitz_share")

    def test_number_and_form_of_arguments(self):
        self.refused("loss(english/none)", "loss(block/run, length[, beyond])")
        self.refused("loss(english/none, 32, clip, 3)", "loss(block/run, length[, beyond])")
        self.refused("loss(english/none, )", "loss(block/run, length[, beyond])")
        self.refused("accuracy(order/rope, 32)", "accuracy(block/run, length, condition)")
        self.refused("loss(none, 32)", '"none" should be block/run')
        self.refused("loss(english/none, four)", 'it is "four"')
        self.refused("toeplitz_share(a, trained, later)", 'first or last, not "later"')

    def test_only_arithmetic_joins_figures(self):
        for text in ("loss(a/b, 32) ** 2", "loss(a/b, 32) // 2"):
            self.refused(text, "only + - * /")
        for text in ("loss(a/b, 32) if 1 else 2", "loss(a/b, 32).real", "[loss(a/b, 32)]", "loss(a/b, 32) > 2",
                     "0x1F * loss(a/b, 32)", "figure_0 + loss(a/b, 32)", "__import__"):
            self.refused(text, "neither a number nor a function")
        for text in ("loss(a/b, 32) 2", "(loss(a/b, 32)", "loss(a/b, 32) -", "- / loss(a/b, 32)"):
            self.refused(text, "parenthesis missing")
        self.refused("1 + 2", "measures nothing")


class Missing(Case):
    def missing(self, text, *words, tables=None):
        with self.assertRaises(MissingError) as caught:
            quantities.evaluate(text, tables or self.tables(), "centred")
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertNotIn(str(self.folder), str(caught.exception))  # stands in a report that others read

    def test_names_what_there_is(self):
        self.missing("loss(german/none, 32)", "no block german", "english, order")
        self.missing("loss(english/nope, 32)", "no run nope", "absolute, none, rope")
        self.missing("loss(english/none, 128)", "english/none: lengths.csv has no length 128", "32, 64")
        self.missing("loss(english/none, 32, clip)", "no beyond clip", "(empty)")
        self.missing("accuracy(order/rope, 32, seen)", "no condition seen", "all, unseen offset")
        self.missing("step_time(alibi, 32)", "no run alibi", "rope")
        self.missing("toeplitz_share(sinusoidal, random, last)", "no projection random", "trained")

    def test_a_file_is_missed_only_when_it_is_needed(self):
        tiny = comparison()
        del tiny.rows["speed_by_length"], tiny.rows["projection"]
        tables = self.tables(tiny)
        self.check("loss(english/none, 32)", {1: 3.0, 2: 3.2, 3: 3.4}, tables)
        self.missing("step_time(rope, 32)", "speed_by_length.csv is missing", "measure_lengths.py", tables=tables)
        self.missing("toeplitz_share(a, trained, last)", "projection.csv is missing", tables=tables)
        self.missing("seconds(english/none)", "times.csv is missing", "locus compare", tables=tables)

    def test_a_run_with_an_unfinished_seed_is_not_measured(self):
        for status, reason, told in (("diverged", "loss 9.1", "english/none, seed 4: diverged (loss 9.1)"),
                                     ("left_out", "", "english/none, seed 4: left out"), ("failed", "", "failed"),
                                     ("unfinished", "", "unfinished")):
            tiny = comparison()
            tiny.add_run("english", "none", 4, status=status, reason=reason, validation_loss="")
            self.missing("loss(english/none, 32) - loss(english/rope, 32)", told, tables=self.tables(tiny))

    def test_all_missing_runs_are_named(self):
        tiny = comparison()
        tiny.add_run("english", "none", 4, status="diverged")
        tiny.add_run("english", "rope", 5, status="unfinished")
        self.missing("loss(english/none, 32) - loss(english/rope, 32)", "english/none, seed 4", "english/rope, seed 5",
                     tables=self.tables(tiny))

    def test_a_finished_seed_without_a_figure(self):
        tiny = comparison()
        tiny.add_run("english", "none", 4)
        told = "english/none at length 32: lengths.csv has no such row for seed 4"
        self.missing("loss(english/none, 32)", told, tables=self.tables(tiny))
        tiny.add_losses("english", "none", {4: {32: float("nan")}}, done=False)
        self.missing("loss(english/none, 32)", "seed 4 has no loss", tables=self.tables(tiny))

    def test_no_common_seed_and_division_by_zero(self):
        tiny = comparison()
        tiny.add_losses("english", "late", {9: {32: 0.0}})
        tables = self.tables(tiny)
        self.missing("loss(english/none, 32) - loss(english/late, 32)", "no seed has all", tables=tables)
        self.missing("1 / loss(english/late, 32)", "division by zero", tables=tables)


class BrokenTables(Case):
    def refused(self, pattern, text="loss(english/none, 32)"):
        with self.assertRaisesRegex(ValueError, pattern) as caught:
            quantities.evaluate(text, quantities.read_tables(self.folder), "centred")
        self.assertNotIsInstance(caught.exception, MissingError)

    def test_folder_is_not_a_comparison(self):
        with self.assertRaisesRegex(ValueError, "no such folder"):
            quantities.read_tables(self.folder / "nowhere")
        with self.assertRaisesRegex(ValueError, "is it the folder of a comparison"):
            quantities.read_tables(self.folder)

    def test_missing_column_is_named(self):
        comparison().write(self.folder)
        for name, column in (("lengths", "scheme"), ("lengths", "loss"), ("runs", "status"), ("lengths", "seed")):
            path = self.folder / f"{name}.csv"
            good = path.read_text()
            path.write_text(good.replace(column, "other", 1))
            self.refused(f"{name}.csv: there is no column {column}; there are: block")
            path.write_text(good)

    def test_cells_that_are_no_numbers_or_are_too_many(self):
        comparison().write(self.folder)
        path = self.folder / "lengths.csv"
        good = path.read_text()
        path.write_text(good.replace(",3.0,", ",three,", 1))
        self.refused('lengths.csv: line 2: column loss should be a number, it is "three"')
        path.write_text(good.replace(",3.0,", ",3.0,7,", 1))
        self.refused("lengths.csv: line 2: 20 cells, the header has 19")
        path.write_text("")
        self.refused("lengths.csv: the file is empty")
        path.write_bytes(b"\xff\xfe")
        self.refused("not UTF-8")

    def test_two_rows_for_one_figure(self):
        tiny = comparison()
        tiny.add_losses("english", "none", {1: {32: 3.0}}, done=False)
        tiny.write(self.folder)
        self.refused("english/none at length 32, seed 1: more than one row")


if __name__ == "__main__":
    unittest.main()
