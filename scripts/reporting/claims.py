"""Reads claims.yaml: what the project's notes claim, each with criteria that were written down before anything was
measured.

    level: 0.05              Holm's procedure keeps the chance of any wrong verdict by a p value below this
    gate: 0.1                nats that a run must be ahead of the run without positions, at the trained length, before
                             a criterion with a `gate:` is judged
    scheme: centred          rows of lengths.csv that loss() and delta() read
    blocks: {english: none}  text blocks with their run without positions; the first one is what `also` replaces
    claims:
      - id: R1
        of: [001-1]                              numbered claims of the notes
        claim: {en: ..., zh: ...}
        criteria:                                test: mean | every | count
          - {name: ..., test: mean, quantity: "...", above: 0.2, gate: [english/absolute]}
          - {name: ..., test: count, at_least: 3, of: [rope, alibi], each: [{name: ..., quantity: "... {run} ..."}]}
        also: [synthetic]                        the same criteria there, reported beside
        again: {english: again}                  a second look, by fresh seeds in another block: they decide, the first
                                                 look is reported beside
        proved_by: [Suite.Test]                  unit tests
        needs: cuda                              what this machine lacks: not judged
        verdict: definition                      instead of criteria: true by its words,
        reason: {en: ..., zh: ...}               and why

A bound is one of above: x, below: x, within: m (|quantity| < m), between: [x, y]. Every quantity is parsed here, so
that a mistake shows before anything is measured; an unknown key is one.
"""

import dataclasses
import math
import pathlib
import re

import yaml

from reporting import quantities

CLAIM_KEYS = ("id", "of", "claim", "criteria", "also", "again", "proved_by", "needs", "verdict", "reason")
BOUND_KEYS = ("above", "below", "within", "between")
TESTS = ("mean", "every", "count")


@dataclasses.dataclass
class Bound:
    """The open interval that the quantity should lie in."""

    low: float   # -inf for `below`
    high: float  # inf for `above`
    text: str

    def holds(self, value):
        return self.low < value < self.high

    def distance(self, value):
        """To the nearer end."""
        return min(abs(value - self.low), abs(value - self.high))


@dataclasses.dataclass
class Criterion:
    name: str
    test: str
    quantity: str = ""
    bound: Bound | None = None                 # mean, every
    gate: list = dataclasses.field(default_factory=list)  # block/run
    at_least: int = 0                          # count
    of: list = dataclasses.field(default_factory=list)    # count: the runs
    each: list = dataclasses.field(default_factory=list)  # count: criteria with {run}


@dataclasses.dataclass
class Claim:
    id: str
    of: list
    claim: dict
    criteria: list
    also: list
    proved_by: list
    again: dict = dataclasses.field(default_factory=dict)  # {block: the block that is read instead}, or empty
    needs: str = ""
    definition: dict | None = None             # {"en": ..., "zh": ...}: the reason of `verdict: definition`


@dataclasses.dataclass
class Claims:
    """The whole file."""

    level: float
    gate: float
    scheme: str
    blocks: dict
    claims: list


# ---------------------------------------------------------------- YAML

class UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and says nothing."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise ValueError(f'line {key.start_mark.line + 1}: the key "{name}" stands here twice')
            seen.add(name)
        return super().construct_mapping(node, deep)


def check_keys(node, known, required=()):
    if not isinstance(node, dict):
        raise ValueError(f"expects keys ({', '.join(known)}), found {node!r}")
    for key in node:
        if key not in known:
            raise ValueError(f'there is no key "{key}"; there are: {", ".join(known)}')
    for key in required:
        if key not in node:
            raise ValueError(f"{key} is missing")


def number(node, key):
    try:
        value = float("" if isinstance(node, bool) else node)  # YAML takes 1e-3 for a text
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{key} should be a number, it is {node!r}")
    return value


def text(node, key):
    if not isinstance(node, str) or not node:
        raise ValueError(f"{key} should be a text, it is {node!r}")
    return node


def texts(node, key):
    if not isinstance(node, list) or not node or not all(isinstance(item, str) and item for item in node):
        raise ValueError(f"{key} should be a list of texts, it is {node!r}; a number there needs quotes")
    return node


def two_languages(node, key):
    if not isinstance(node, dict) or set(node) != {"en", "zh"}:
        raise ValueError(f"{key} should be {{en: ..., zh: ...}}")
    return {language: text(node[language], f"{key}.{language}") for language in ("en", "zh")}


# ---------------------------------------------------------------- criteria

def read_bound(node):
    keys = [key for key in BOUND_KEYS if key in node]
    if len(keys) != 1:
        there = "are " + " and ".join(keys) if keys else "is none"
        raise ValueError(f"one of {', '.join(BOUND_KEYS)} is needed, there {there}")
    key, value = keys[0], node[keys[0]]
    if key == "between":
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError(f"between should be [lowest, highest], it is {value!r}")
        low, high = number(value[0], key), number(value[1], key)
        if not low < high:
            raise ValueError("between: the first number should be below the second")
        return Bound(low, high, f"{low:g} .. {high:g}")
    limit = number(value, key)
    if key == "within" and limit <= 0:
        raise ValueError("within should be above 0")
    return {"above": Bound(limit, math.inf, f"> {limit:g}"), "below": Bound(-math.inf, limit, f"< {limit:g}"),
            "within": Bound(-limit, limit, f"|x| < {limit:g}")}[key]


def read_measured(node, blocks, run):
    """A criterion of the test mean or every. `run`: a name to try in place of {run}, or empty outside `each`."""
    check_keys(node, ("name", "test", "quantity", "gate", *BOUND_KEYS), required=("name", "quantity"))
    quantity, gates = text(node["quantity"], "quantity"), texts(node["gate"], "gate") if "gate" in node else []
    for written in (quantity, *gates):
        if "{" in written and not run:
            raise ValueError(f'"{written}": {{run}} is known inside `each` only')
    quantities.parse(quantity.replace("{run}", run))
    for gate in gates:
        block, slash, name = gate.partition("/")
        if not slash or not name or block not in blocks:
            raise ValueError(f'gate "{gate}" should be block/run, with a block of `blocks`: {", ".join(blocks)}')
    return Criterion(text(node["name"], "name"), node["test"], quantity, read_bound(node), gates)


def read_count(node, blocks):
    check_keys(node, ("name", "test", "at_least", "of", "each"), required=("name", "at_least", "of", "each"))
    members = texts(node["of"], "of")
    if len(set(members)) != len(members):
        raise ValueError("of names a run twice")
    least = node["at_least"]
    if isinstance(least, bool) or not isinstance(least, int) or not 1 <= least <= len(members):
        raise ValueError(f"at_least should be 1 to {len(members)}, the number of runs in `of`; it is {least!r}")
    if not isinstance(node["each"], list) or not node["each"]:
        raise ValueError("each should be a list of criteria")
    each = []
    for item in node["each"]:
        if not isinstance(item, dict) or item.get("test") not in ("mean", "every"):
            raise ValueError(f"each: test should be mean or every, in {item!r}")
        each.append(read_measured(item, blocks, members[0]))
        if "{run}" not in each[-1].quantity:
            raise ValueError(f'each: the quantity "{each[-1].quantity}" does not read {{run}}')
    return Criterion(text(node["name"], "name"), "count", at_least=least, of=members, each=each)


def read_criterion(node, blocks):
    test = node.get("test") if isinstance(node, dict) else None
    if test not in TESTS:
        raise ValueError(f"test should be one of {', '.join(TESTS)}; it is {test!r}")
    return read_count(node, blocks) if test == "count" else read_measured(node, blocks, run="")


def elsewhere(criterion, old, new):
    """The same criterion with the block `old` replaced by `new`; None when it does not read that block."""
    block = re.compile(rf"(?<![\w./-]){re.escape(old)}/")
    if not any(block.search(part.quantity) for part in [criterion, *criterion.each]):
        return None

    def moved(part):
        quantity, gate = block.sub(f"{new}/", part.quantity), [block.sub(f"{new}/", gate) for gate in part.gate]
        return dataclasses.replace(part, quantity=quantity, gate=gate, each=[moved(item) for item in part.each])

    return moved(criterion)


# ---------------------------------------------------------------- claims

def check_also(claim, blocks):
    for block in claim.also:
        if block not in blocks[1:]:
            further = ", ".join(blocks[1:]) or "there are none"
            raise ValueError(f'also: "{block}" should be one of the further blocks: {further}')
    if claim.also and not any(elsewhere(criterion, blocks[0], claim.also[0]) for criterion in claim.criteria):
        raise ValueError(f"also: no criterion reads {blocks[0]}")


def read_again(node, criteria):
    """{block: the block of fresh seeds}"""
    if not isinstance(node, dict) or len(node) != 1 or not all(isinstance(name, str) for name in sum(node.items(), ())):
        raise ValueError(f"again should be {{block: the block of fresh seeds}}, it is {node!r}")
    (first, fresh), = node.items()
    if first == fresh or not all(elsewhere(criterion, first, fresh) for criterion in criteria):
        raise ValueError(f"again: every criterion should read {first}, and {fresh} should be another block")
    return node


def read_claim(node, blocks):
    check_keys(node, CLAIM_KEYS, required=("claim",))
    of, also, proved_by = (texts(node[key], key) if key in node else [] for key in ("of", "also", "proved_by"))
    claim = Claim(node["id"], of, two_languages(node["claim"], "claim"), [], also, proved_by)
    if "needs" in node:
        claim.needs = text(node["needs"], "needs")
    if "verdict" in node:
        if node["verdict"] != "definition" or {"criteria", "needs", "again"} & set(node) or also:
            raise ValueError("the only verdict to write down is definition, instead of criteria, also, again and needs")
        claim.definition = two_languages(node.get("reason"), "reason")
        return claim
    if "reason" in node:
        raise ValueError("reason belongs to `verdict: definition`")
    criteria = node.get("criteria", [] if claim.needs else None)
    if not isinstance(criteria, list) or not criteria and not claim.needs:
        raise ValueError("criteria should be a list of at least one; or `verdict: definition` with its reason")
    for index, item in enumerate(criteria, start=1):
        label = f'criterion "{item["name"]}"' if isinstance(item, dict) and "name" in item else f"criterion {index}"
        try:
            claim.criteria.append(read_criterion(item, blocks))
        except ValueError as error:
            raise ValueError(f"{label}: {error}") from None
    check_also(claim, list(blocks))
    if "again" in node:
        claim.again = read_again(node["again"], claim.criteria)
    return claim


def read_file(root):
    keys = ("level", "gate", "scheme", "blocks", "claims")
    check_keys(root, keys, required=keys)
    level, blocks = number(root["level"], "level"), root["blocks"]
    if not 0 < level < 1:
        raise ValueError(f"level should lie between 0 and 1, it is {level:g}")
    if not isinstance(blocks, dict) or not all(isinstance(item, str) for pair in blocks.items() for item in pair):
        raise ValueError("blocks should be {block: its run without positions, ...}")
    if not isinstance(root["claims"], list) or not root["claims"]:
        raise ValueError("claims should be a list of at least one")
    claims = []
    for index, node in enumerate(root["claims"], start=1):
        if not isinstance(node, dict) or not isinstance(node.get("id"), str):
            raise ValueError(f"claim {index} has no id")
        if node["id"] in [claim.id for claim in claims]:
            raise ValueError(f"claim {node['id']}: a claim before has the same id")
        try:
            claims.append(read_claim(node, blocks))
        except ValueError as error:
            raise ValueError(f"claim {node['id']}: {error}") from None
    return Claims(level, number(root["gate"], "gate"), text(root["scheme"], "scheme"), blocks, claims)


def read_claims(path):
    """claims.yaml; whatever is wrong with it is a ValueError with the claim's id."""
    try:
        return read_file(yaml.load(pathlib.Path(path).read_text(encoding="utf-8"), Loader=UniqueKeys))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as YAML: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
