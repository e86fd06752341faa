"""Tests of scripts/reporting/statistics.py: python3 -m unittest discover -s tests/scripts -p '*_test.py'"""

import math
import pathlib
import sys
import unittest

import numpy
import scipy.stats

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from reporting import statistics


def t_share_above(t):
    """P(T > t) of Student's t with 2 degrees of freedom, which has a closed form."""
    return (1 - t / math.sqrt(t * t + 2)) / 2


class TTest(unittest.TestCase):
    def test_by_hand_with_three_seeds(self):
        t = 2 / (1 / math.sqrt(3))  # mean 2, sd 1
        self.assertAlmostEqual(statistics.t_test([1, 2, 3], 0, "greater"), t_share_above(t))
        self.assertAlmostEqual(statistics.t_test([1, 2, 3], 0, "less"), 1 - t_share_above(t))
        self.assertAlmostEqual(statistics.t_test([1, 2, 3], 0), 2 * t_share_above(t))
        self.assertAlmostEqual(statistics.t_test([1, 2, 3], 2.5, "less"), t_share_above(0.5 * math.sqrt(3)))

    def test_is_the_paired_test_of_scipy(self):
        one, other = [2.31, 2.35, 2.29, 2.40, 2.33], [2.28, 2.36, 2.20, 2.31, 2.30]
        differences = [a - b for a, b in zip(one, other)]
        for alternative in statistics.ALTERNATIVES:
            expected = scipy.stats.ttest_rel(one, other, alternative=alternative).pvalue
            self.assertAlmostEqual(statistics.t_test(differences, 0, alternative), expected)

    def test_equal_values_are_judged_by_themselves(self):
        equal = [0.1, 0.1, 0.1]  # their mean, computed, is not 0.1
        self.assertEqual(statistics.spread(equal), 0)
        self.assertEqual(statistics.centre(equal), 0.1)
        self.assertEqual([statistics.t_test(equal, 0.05, side) for side in statistics.ALTERNATIVES], [0, 1, 0])
        self.assertEqual([statistics.t_test(equal, 0.1, side) for side in statistics.ALTERNATIVES], [1, 1, 1])

    def test_interval_has_the_known_width(self):
        for seeds, width in ((3, 2.484), (5, 1.2417), (10, 0.7154)):  # t_0.975 / sqrt(n)
            values = list(range(seeds))
            low, high = statistics.t_interval(values)
            self.assertAlmostEqual((high - low) / 2 / statistics.spread(values), width, places=3)
            self.assertAlmostEqual((high + low) / 2, (seeds - 1) / 2)

    def test_refuses_what_it_cannot_test(self):
        for values in ([1.0], [], [1.0, math.nan], [1.0, math.inf]):
            with self.assertRaises(ValueError):
                statistics.t_test(values)
        with self.assertRaisesRegex(ValueError, 'alternative "above"; there are: greater'):
            statistics.t_test([1, 2], 0, "above")


class SignTest(unittest.TestCase):
    def test_all_of_one_sign(self):
        self.assertEqual(statistics.sign_test([1, 2, 3, 4, 5]), 0.0625)
        self.assertEqual(statistics.sign_test([-1] * 6), 0.03125)
        self.assertEqual(statistics.sign_test([1, 2, 3], alternative="greater"), 0.125)

    def test_a_value_on_the_bound_is_left_out(self):
        self.assertEqual(statistics.sign_test([1, 2, 3, 0]), statistics.sign_test([1, 2, 3]))
        self.assertEqual(statistics.sign_test([0, 0]), 1)


class Equivalence(unittest.TestCase):
    def test_is_the_worse_of_both_sides(self):
        p = statistics.equivalence_test([0, 1, 2], -2, 5)  # mean 1, sd 1: 3 above the lower end, 4 below the upper one
        self.assertAlmostEqual(p, t_share_above(3 * math.sqrt(3)))
        self.assertAlmostEqual(statistics.equivalence_test([0, 1, 2], -5, 4), t_share_above(3 * math.sqrt(3)))

    def test_a_mean_outside_is_not_equivalent(self):
        self.assertGreater(statistics.equivalence_test([0.03, 0.031, 0.029], -0.02, 0.02), 0.99)

    def test_no_difference_found_is_no_equivalence(self):
        wide = [-0.3, 0.2, 0.1]
        self.assertGreater(statistics.t_test(wide), 0.9)
        self.assertGreater(statistics.equivalence_test(wide, -0.02, 0.02), 0.4)

    def test_ends_must_be_in_order(self):
        with self.assertRaises(ValueError):
            statistics.equivalence_test([1, 2], 1, 0)


class Holm(unittest.TestCase):
    def test_by_hand(self):
        # in order: 4 x 0.005 = 0.02, 3 x 0.01 = 0.03, 2 x 0.03 = 0.06, 1 x 0.04 = 0.04 which must not fall below 0.06
        for adjusted, expected in zip(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]):
            self.assertAlmostEqual(adjusted, expected)

    def test_stays_within_one(self):
        self.assertEqual(statistics.holm([0.9, 0.5]), [1, 1])
        self.assertEqual(statistics.holm([]), [])

    def test_refuses_what_is_no_p(self):
        for p in (-0.1, 1.1, math.nan):
            with self.assertRaises(ValueError):
                statistics.holm([0.5, p])


class Power(unittest.TestCase):
    def test_is_the_noncentral_t(self):
        for distance, seeds, level in ((1, 5, 0.05), (2, 3, 0.05), (1, 10, 0.01)):
            critical = scipy.stats.t.isf(level / 2, seeds - 1)
            with numpy.errstate(invalid="ignore"):  # a word too many of scipy 1.10
                expected = scipy.stats.nct.sf(critical, seeds - 1, distance * math.sqrt(seeds))
            self.assertAlmostEqual(statistics.power(distance, 1, seeds, level), expected, places=6)

    def test_of_no_effect_is_half_the_level(self):
        self.assertAlmostEqual(statistics.power(0, 1, 5, 0.05), 0.025, places=6)

    def test_smallest_detectable_distance(self):
        for seeds, distance in ((3, 3.26), (5, 1.68), (6, 1.43), (10, 1.00)):  # in sds, at 5 % and with 80 %
            self.assertAlmostEqual(statistics.detectable_distance(1, seeds, 0.05), distance, places=2)
        for_one = statistics.detectable_distance(1, 5, 0.05)
        self.assertAlmostEqual(statistics.detectable_distance(0.015, 5, 0.05), 0.015 * for_one)
        self.assertEqual(statistics.detectable_distance(0, 3, 0.05), 0)
        self.assertGreater(statistics.detectable_distance(1, 2, 0.001), 500)

    def test_seeds_needed_are_the_known_ones(self):
        for distance, seeds in ((1.0, 10), (0.5, 34), (-0.5, 34), (0.2, 199)):
            self.assertEqual(statistics.seeds_needed(distance, 1, 0.05), seeds)

    def test_seeds_needed_have_the_power_and_one_less_has_not(self):
        for distance, level in ((0.7, 0.05), (1.3, 0.005), (3.0, 0.003)):
            seeds = statistics.seeds_needed(distance, 1, level)
            self.assertGreaterEqual(statistics.power(distance, 1, seeds, level), 0.8)
            self.assertLess(statistics.power(distance, 1, seeds - 1, level), 0.8)

    def test_an_effect_of_nothing_needs_more_seeds_than_there_are(self):
        self.assertIsNone(statistics.seeds_needed(0, 1, 0.05))
        self.assertIsNone(statistics.seeds_needed(0, 0, 0.05))
        self.assertIsNone(statistics.seeds_needed(1e-6, 1, 0.05))
        self.assertEqual(statistics.seeds_needed(0.1, 0, 0.05), 2)


class ClopperPearson(unittest.TestCase):
    def test_by_hand_at_the_ends(self):
        self.assertEqual(statistics.clopper_pearson(0, 10)[0], 0)
        self.assertAlmostEqual(statistics.clopper_pearson(0, 10)[1], 1 - 0.025**0.1)
        self.assertAlmostEqual(statistics.clopper_pearson(10, 10)[0], 0.025**0.1)
        self.assertEqual(statistics.clopper_pearson(10, 10)[1], 1)

    def test_each_end_has_its_tail(self):
        low, high = statistics.clopper_pearson(7, 20)
        self.assertAlmostEqual(scipy.stats.binom.sf(6, 20, low), 0.025)
        self.assertAlmostEqual(scipy.stats.binom.cdf(7, 20, high), 0.025)

    def test_refuses_what_is_no_share(self):
        for share in ((3, 2), (-1, 2), (0, 0)):
            with self.assertRaises(ValueError):
                statistics.clopper_pearson(*share)


if __name__ == "__main__":
    unittest.main()
