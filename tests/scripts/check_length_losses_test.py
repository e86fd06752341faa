"""Tests of scripts/check_length_losses.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import check_length_losses
from check_length_losses import chunk_sequence, cut_window, places_of

CLS, SEP = 2, 3


class CutWindowTest(unittest.TestCase):
    """The cases are cut by hand."""

    def test_chunked_chunks_stand_side_by_side(self):
        self.assertEqual(cut_window(12, 4, "chunked"), [(0, 4, 0, 4), (4, 8, 4, 8), (8, 12, 8, 12)])

    def test_last_chunk_is_moved_back_and_scores_only_what_was_not_scored(self):
        self.assertEqual(cut_window(14, 6, "chunked"), [(0, 6, 0, 6), (6, 12, 6, 12), (8, 14, 12, 14)])

    def test_centred_chunks_overlap_by_half_and_score_the_central_half_of_the_window(self):
        self.assertEqual(cut_window(16, 8, "centred"), [(2, 10, 4, 8), (6, 14, 8, 12)])
        self.assertEqual(cut_window(16, 4, "centred"), [(3, 7, 4, 6), (5, 9, 6, 8), (7, 11, 8, 10), (9, 13, 10, 12)])

    def test_centred_chunk_as_long_as_the_window_is_the_window(self):
        self.assertEqual(cut_window(16, 16, "centred"), [(0, 16, 4, 12)])
        self.assertEqual(cut_window(14, 14, "centred"), [(0, 14, 3, 10)])

    def test_centred_region_that_chunks_do_not_fill_ends_with_a_shorter_one(self):
        self.assertEqual(cut_window(14, 6, "centred"), [(2, 8, 3, 6), (5, 11, 6, 9), (8, 14, 9, 10)])

    def test_odd_window_has_its_longer_quarter_on_the_left(self):
        self.assertEqual(cut_window(15, 6, "centred"), [(3, 9, 4, 7), (6, 12, 7, 10), (9, 15, 10, 11)])

    def test_every_place_of_the_region_is_scored_once_inside_its_chunk(self):
        regions = {(62, "chunked"): (0, 62), (62, "centred"): (15, 46),
                   (256, "chunked"): (0, 256), (256, "centred"): (64, 192)}
        for (window, scheme), region in regions.items():
            for size in (6, 8, 14, 30, 62, 126, 256):
                if size > window:
                    continue
                chunks = cut_window(window, size, scheme)
                scored = [place for _, _, begin, end in chunks for place in range(begin, end)]
                self.assertEqual(scored, list(range(*region)), (window, size, scheme))
                for begin, end, scored_begin, scored_end in chunks:
                    self.assertTrue(0 <= begin <= scored_begin < scored_end <= end <= window, (window, size, scheme))
                    self.assertEqual(end - begin, size)

    def test_chunks_longer_than_the_window_and_unknown_schemes_are_refused(self):
        for window, size, scheme in (8, 9, "chunked"), (8, 1, "chunked"), (8, 4, "random"):
            with self.assertRaises(ValueError):
                cut_window(window, size, scheme)


class SequencesTest(unittest.TestCase):
    IDS = list(range(100, 114))

    def test_chunk_without_special_tokens_is_the_text(self):
        self.assertEqual(chunk_sequence(self.IDS, (4, 8, 5, 7), None), [104, 105, 106, 107])

    def test_chunk_with_special_tokens_is_put_between_them(self):
        self.assertEqual(chunk_sequence(self.IDS, (4, 8, 5, 7), (CLS, SEP)), [CLS, 104, 105, 106, 107, SEP])

    def test_target_stands_where_its_chunk_has_it(self):
        for specials in (None, (CLS, SEP)):
            for scheme in ("chunked", "centred"):
                chunks = cut_window(14, 6, scheme)
                positions = [0, 3, 5, 6, 9, 12, 13]
                for position, place in zip(positions, places_of(positions, chunks, specials)):
                    if place is not None:
                        self.assertEqual(chunk_sequence(self.IDS, chunks[place[0]], specials)[place[1]], 100 + position)

    def test_moved_chunk_does_not_score_again(self):
        self.assertEqual(places_of([11, 12], cut_window(14, 6, "chunked"), None), [(1, 5), (2, 4)])

    def test_target_outside_the_central_half_has_no_place(self):
        places = places_of([2, 3, 9, 10], cut_window(14, 6, "centred"), (CLS, SEP))
        self.assertEqual(places, [None, (0, 2), (2, 2), None])


class Collected:
    """Stands in for check_hugging_face.Checks, which needs torch."""

    def __init__(self):
        self.passed = {}

    def add(self, what, passed, detail=""):
        self.passed[what] = bool(passed)


def line(scheme="chunked", length=4, losses=(1.0, 2.0), window=0, beyond="", ids=(7, 4, 4, 7)):
    return {"window": window, "beyond": beyond, "scheme": scheme, "length": length, "ids": list(ids),
            "positions": [1, 2], "targets": [8, 9], "losses": list(losses)}


class ChecksTest(unittest.TestCase):
    def setUp(self):
        self.checks = Collected()

    def compare(self, ours, theirs):
        with mock.patch.object(check_length_losses, "target_losses", lambda model, line, specials: theirs):
            check_length_losses.check_length(self.checks, "x", None, [line(losses=ours)], None)
        return self.checks.passed["x"]

    def test_losses_within_the_tolerance_pass(self):
        self.assertTrue(self.compare([1.0, 2.0], [1.00005, 1.99995]))

    def test_a_single_loss_that_differs_fails(self):
        self.assertFalse(self.compare([1.0, 2.0], [1.0, 2.0002]))

    def test_nan_fails(self):
        self.assertFalse(self.compare([1.0, 2.0], [1.0, float("nan")]))

    def test_a_target_that_only_one_side_scores_fails(self):
        self.assertFalse(self.compare([1.0, None], [1.0, 2.0]))

    def test_nothing_to_compare_fails(self):
        self.assertFalse(self.compare([None, None], [None, None]))

    def test_length_that_transformers_refuses_is_compared_beyond_the_table_only(self):
        printed = io.StringIO()
        lines = [line(scheme, length) for scheme in ("chunked", "centred") for length in check_length_losses.LENGTHS]
        with contextlib.redirect_stdout(printed), \
                mock.patch.object(check_length_losses, "takes", lambda model, length: length < 128), \
                mock.patch.object(check_length_losses, "target_losses", lambda model, line, specials: line["losses"]):
            check_length_losses.check_losses(self.checks, "m", None, lines, None)
        self.assertFalse(self.checks.passed["m, chunked, 128"])  # a row of the table: transformers must take it
        self.assertTrue(self.checks.passed["m, chunked, 64"])
        self.assertNotIn("m, chunked, 256", self.checks.passed)
        self.assertIn("m, chunked, 256", printed.getvalue())

    def pairing(self, *lines):
        with mock.patch.object(check_length_losses, "WINDOWS", 1):
            check_length_losses.check_pairing(self.checks, "m", lines)
        return [passed for passed in self.checks.passed.values()]

    def test_paired_lines_pass(self):
        centred = line("centred", losses=(None, 1)), line("centred", 8, (None, 2))
        self.assertEqual(self.pairing(line(), line(length=8), *centred), [True] * 3)

    def test_other_text_at_another_length_fails(self):
        self.assertEqual(self.pairing(line(), line(length=8, ids=(7, 4, 4, 6))), [False, True, True])

    def test_target_without_a_loss_in_chunked_fails(self):
        self.assertEqual(self.pairing(line(), line(length=8, losses=(1, None))), [True, False, True])

    def test_other_targets_at_another_length_in_centred_fail(self):
        centred = line("centred", losses=(None, 1)), line("centred", 8, (1, None))
        self.assertEqual(self.pairing(*centred), [True, True, False])

    def table(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "t.csv")
            path.write_text("beyond,length,scheme,bucket,loss\n" + text)
            lines = [line(losses=(1, None)), line(losses=(3, 5), window=1)]
            check_length_losses.check_table(self.checks, "m", lines, path)
        return self.checks.passed["m: the table holds the means"]

    def test_table_of_the_means_passes(self):
        self.assertTrue(self.table(",4,chunked,all,3\n,4,chunked,edge,7\n"))

    def test_table_with_another_mean_fails(self):
        self.assertFalse(self.table(",4,chunked,all,3.001\n"))

    def test_table_without_a_row_or_with_one_too_many_fails(self):
        self.assertFalse(self.table(",4,chunked,edge,3\n"))
        self.assertFalse(self.table(",4,chunked,all,3\n,8,chunked,all,3\n"))

    def test_length_that_changes_nothing_is_found(self):
        lines = [line(length=length) for length in check_length_losses.LENGTHS]
        check_length_losses.check_lengths_matter(self.checks, "m", lines)
        self.assertEqual(list(self.checks.passed.values()), [False])
        lines = [line(length=length, losses=(0.01 * length, 2)) for length in check_length_losses.LENGTHS]
        check_length_losses.check_lengths_matter(self.checks, "m", lines)
        self.assertEqual(list(self.checks.passed.values()), [True])


if __name__ == "__main__":
    unittest.main()
