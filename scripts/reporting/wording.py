"""How figures and verdicts are said, in English and Chinese: the same in the report and in the pages of the notes."""

import math
import re

VERDICTS_IN_CHINESE = {"reproduced": "已复现", "refuted": "被否定", "inconclusive": "尚无定论",
                       "definition": "属于定义", "not testable here": "此处无法检验"}
OUTCOMES = {"for": "holds", "against": "violated", "open": "open", "not trained enough": "not trained enough",
            "missing": "missing"}
OUTCOMES_IN_CHINESE = {"for": "成立", "against": "不成立", "open": "未定", "not trained enough": "训练不足",
                       "missing": "数据不全"}
NONE = "–"


def number(value):
    """Three decimals, more for what is smaller and fewer for what is large; a true minus sign."""
    if value is None or math.isnan(value):
        return NONE
    size = abs(value)
    if size >= 1000:
        text = f"{value:,.0f}"
    elif size >= 100:
        text = f"{value:.1f}"
    elif size >= 0.001 or size == 0:
        text = f"{value:.3f}"
    else:
        text = f"{value:.4f}" if size >= 0.0001 else f"{value:.0e}"
    return text.replace("-", "−")


def interval(mean, low, high):
    return number(mean) + (f" [{number(low)}, {number(high)}]" if low is not None and not math.isnan(low) else "")


def span(values, to=" to "):
    """The smallest and the largest; one number where they read the same."""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low}{to}{high}"


def p_value(p):
    if p is None:
        return NONE
    return "0" if p == 0 else "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def names(values):
    return ", ".join(str(value) for value in values)


def by_seed(values):
    """{seed: value} in one line."""
    return " · ".join((f"{seed}: " if seed is not None else "") + number(values[seed]) for seed in values) or NONE


def decisive(claim):
    """The criterion on which the verdict rests: of a refuted claim the one most clearly violated, of a reproduced one
    the one that holds most narrowly, else the first that does not hold."""
    if not claim.criteria:
        return None
    if claim.verdict == "refuted":
        violated = [criterion for criterion in claim.criteria if criterion.outcome == "against"]
        return min(violated or claim.criteria, key=lambda each: 1 if each.p_against is None else each.p_against)
    if claim.verdict == "reproduced":
        return max(claim.criteria, key=lambda each: -1 if each.p_for is None else each.p_for)
    return next((criterion for criterion in claim.criteria if criterion.outcome != "for"), claim.criteria[0])


def value(criterion):
    """What was measured, without the bound: mean with interval, or the range of the seeds."""
    if criterion.mean is None:
        return NONE
    if criterion.test == "every":
        return span(criterion.values.values())
    return interval(criterion.mean, criterion.low, criterion.high)


def members_by_outcome(criterion, outcomes, colon, comma, semicolon):
    groups = {}
    for name, outcome, _ in criterion.members:
        groups.setdefault(outcome, []).append(f"`{name}`")
    return semicolon.join(outcomes[outcome] + colon + comma.join(groups[outcome])
                          for outcome in outcomes if outcome in groups)


def figure(criterion):
    """A criterion's figure with its seeds and its bound, in one line."""
    if criterion.test == "count":
        return f"{members_by_outcome(criterion, OUTCOMES, ': ', ', ', '; ')} ({criterion.bound} needed)"
    if criterion.mean is None:
        return criterion.note or OUTCOMES[criterion.outcome]
    count = len(criterion.values)
    seeds = "" if None in criterion.values else f", {count} seed" + ("s" if count != 1 else "")
    each = "each " if criterion.test == "every" and seeds else ""
    return f"{value(criterion)}{seeds}, {each}needed {criterion.bound}"


def figure_in_chinese(criterion):
    if criterion.test == "count":
        bound = re.sub(r"at least (\d+) of (\d+)", r"\2 个中至少 \1 个", criterion.bound)
        return f"{members_by_outcome(criterion, OUTCOMES_IN_CHINESE, '：', '、', '；')}（要求：{bound}）"
    if criterion.mean is None:
        return OUTCOMES_IN_CHINESE[criterion.outcome]
    measured = value(criterion).replace(" to ", " 至 ")
    seeds = "" if None in criterion.values else f"，{len(criterion.values)} 个种子"
    return f"{measured}{seeds}，{'每个都' if criterion.test == 'every' and seeds else ''}要求 {criterion.bound}"
