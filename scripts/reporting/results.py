"""What judging the claims gives: plain data between the statistics (verdicts.py) and the pages (page.py)."""

import dataclasses

VERDICTS = ("reproduced", "refuted", "inconclusive", "definition", "not testable here")


@dataclasses.dataclass
class CriterionResult:
    """One criterion of a claim, measured."""

    name: str
    test: str                # mean | every | count
    quantity: str            # as it stands in claims.yaml; empty for count
    bound: str               # "> 0.2", "< 0.05", "|x| < 0.02", "0.1 .. 0.5", "at least 3 of 5"
    outcome: str             # for | against | open | not trained enough | missing
    note: str = ""           # a sentence: what is missing, "3 of 5 seeds", "no spread over the seeds", which members count
    values: dict = dataclasses.field(default_factory=dict)  # seed -> value; {None: value} for what has no seeds
    mean: float | None = None
    low: float | None = None   # 95 % t interval over the seeds
    high: float | None = None
    p_for: float | None = None
    p_against: float | None = None
    detectable: float | None = None  # smallest distance from the bound that would have been found with 80 % power
    members: list = dataclasses.field(default_factory=list)  # of count: (name, outcome, [CriterionResult])


@dataclasses.dataclass
class ClaimResult:
    """A claim with its verdict."""

    id: str
    of: list                 # numbered claims of the notes: "001-1"
    claim: dict              # {"en": ..., "zh": ...}
    verdict: str             # one of VERDICTS
    reason: str              # a sentence
    criteria: list           # CriterionResult
    also: dict               # block -> [CriterionResult]: the same criteria there, no part of the verdict
    proved_by: list          # names of unit tests
    first_look: str = ""     # the block whose seeds left it undecided, so that fresh ones decide; it is in `also` then
    p: float | None = None
    p_adjusted: float | None = None  # Holm
    definition: dict = dataclasses.field(default_factory=dict)  # {"en": ..., "zh": ...}: the reason of a definition
