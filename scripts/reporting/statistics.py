"""Statistics of a comparison. The unit is the seed: x is a list with one value for each seed, usually a difference of
two runs with equal seeds.

    t test           t = (mean(x) - bound) / (sd(x) / sqrt(n)) with n - 1 degrees of freedom; sd divides by n - 1
    interval         mean(x) -+ t_(1 - alpha/2) sd(x) / sqrt(n)
    sign test        of the k values that are not 0, the number above 0 is Binomial(k, 1/2)
    equivalence      TOST: the larger p of "mean > low" and "mean < high"                            Schuirmann 1987
    Holm             adjusted p of the i-th smallest of m: max over j <= i of min(1, (m - j + 1) p_j)      Holm 1979
    power            at a true distance d from the bound, t is noncentral t around d sqrt(n) / sd         Cohen 1988
    Clopper-Pearson  from the alpha/2 quantile of Beta(k, n - k + 1) to the 1 - alpha/2 quantile of
                     Beta(k + 1, n - k)                                                    Clopper and Pearson 1934

Where all values are equal there is no spread to compare with, and t is not defined. The tests then answer by the value
itself: p is 0 where the alternative holds and 1 where it does not. Such a p is as good as the reason for which the
values are equal.

sources   Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15; Holm 1979, Scandinavian Journal of
          Statistics 6; Cohen 1988, Statistical Power Analysis for the Behavioral Sciences; Clopper and Pearson 1934,
          Biometrika 26
"""

import functools
import math

import numpy
import scipy.optimize
import scipy.special
import scipy.stats

ALTERNATIVES = ("greater", "less", "two-sided")
NORMAL_GRID = numpy.linspace(-9, 9, 4001)
NORMAL_WEIGHTS = scipy.stats.norm.pdf(NORMAL_GRID) * (NORMAL_GRID[1] - NORMAL_GRID[0])


def checked(values, fewest=2):
    values = numpy.asarray(list(values), dtype=float)
    if len(values) < fewest:
        raise ValueError(f"{len(values)} values; at least {fewest} are needed")
    if not numpy.isfinite(values).all():
        raise ValueError("a value is not finite")
    return values


def has_no_spread(values):
    return min(values) == max(values)


def spread(values):
    """The standard deviation; exactly 0 where all values are equal, whatever the rounding of their mean."""
    values = checked(values)
    return 0.0 if has_no_spread(values) else float(values.std(ddof=1))


def centre(values):
    """The mean; where all values are equal it is that value, to the bit."""
    values = checked(values, fewest=1)
    return float(values[0] if has_no_spread(values) else values.mean())


def t_test(values, bound=0.0, alternative="two-sided"):
    """p of "mean > bound" (greater), "mean < bound" (less) or "mean is not bound"."""
    if alternative not in ALTERNATIVES:
        raise ValueError(f'alternative "{alternative}"; there are: {", ".join(ALTERNATIVES)}')
    values = checked(values)
    distance, sd = centre(values) - bound, spread(values)
    if sd == 0:
        holds = {"greater": distance > 0, "less": distance < 0, "two-sided": distance != 0}[alternative]
        return 0.0 if holds else 1.0
    t, freedom = distance / (sd / math.sqrt(len(values))), len(values) - 1
    if alternative == "two-sided":
        return float(2 * scipy.stats.t.sf(abs(t), freedom))
    return float(scipy.stats.t.sf(t if alternative == "greater" else -t, freedom))


def t_interval(values, confidence=0.95):
    """(low, high) of the mean."""
    values = checked(values)
    half = scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1) * spread(values) / math.sqrt(len(values))
    return centre(values) - float(half), centre(values) + float(half)


def sign_test(values, bound=0.0, alternative="two-sided"):
    """Exact; values that lie on the bound say nothing and are left out."""
    if alternative not in ALTERNATIVES:
        raise ValueError(f'alternative "{alternative}"; there are: {", ".join(ALTERNATIVES)}')
    signs = [value > bound for value in checked(values, fewest=1) if value != bound]
    return float(scipy.stats.binomtest(sum(signs), len(signs), alternative=alternative).pvalue) if signs else 1.0


def equivalence_test(values, low, high):
    """TOST: p of "the mean lies between low and high"."""
    if not low < high:
        raise ValueError(f"an equivalence from {low} to {high}: the first must be below the second")
    return max(t_test(values, low, "greater"), t_test(values, high, "less"))


def holm(p_values):
    """Adjusted p values, in the order given. With all claims made whose adjusted p is at most alpha, the chance that
    any of them is wrong is at most alpha."""
    p_values = list(p_values)
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("a p value lies outside 0 .. 1")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def power(distance, sd, seeds, level):
    """The chance that a two-sided t test at `level` finds a true distance from the bound, on the right side of it."""
    freedom = seeds - 1
    critical = scipy.stats.t.isf(level / 2, freedom)
    # P((z + noncentrality) / s > critical), z normal and s^2 = chi^2 / freedom, as the mean over z of the chance that s
    # is small enough. scipy.stats.nct would be one call, but version 1.10 ends the whole process for some arguments.
    largest_s = numpy.maximum(NORMAL_GRID + distance * math.sqrt(seeds) / sd, 0) / critical
    return float(numpy.sum(NORMAL_WEIGHTS * scipy.special.chdtr(freedom, freedom * largest_s**2)))


@functools.lru_cache(maxsize=None)
def detectable_in_sds(seeds, level, share):
    high = 2.0
    while power(high, 1, seeds, level) < share:
        high *= 2
    return float(scipy.optimize.brentq(lambda distance: power(distance, 1, seeds, level) - share, 0, high))


def detectable_distance(sd, seeds, level, share=0.8):
    """The smallest true distance from the bound that is found with a chance of `share`. In proportion to sd."""
    if seeds < 2:
        raise ValueError(f"{seeds} seeds; at least 2 are needed")
    return sd * detectable_in_sds(seeds, level, share)


def seeds_needed(distance, sd, level, share=0.8, most=100_000):
    """The fewest seeds, at least 2, that find a true distance with a chance of `share`; None: `most` are not enough."""
    if sd == 0 and distance != 0:
        return 2
    distance = abs(distance)
    if distance == 0 or power(distance, sd, most, level) < share:
        return None
    few, enough = 1, 2
    while power(distance, sd, enough, level) < share:
        few, enough = enough, min(2 * enough, most)
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if power(distance, sd, middle, level) >= share else (middle, enough)
    return enough


def clopper_pearson(successes, trials, confidence=0.95):
    """(low, high) of the chance of success."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} is not a share")
    tail = (1 - confidence) / 2
    low = scipy.stats.beta.ppf(tail, successes, trials - successes + 1) if successes > 0 else 0.0
    high = scipy.stats.beta.isf(tail, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)
