"""What a claim on trial is made of: its statement, its verdict, and the checks that must earn it.

A verdict is not an opinion. `REQUIRED` says which evidence each verdict cannot do without, and
`judge` compares that table with what the checks found when they were run.

Example:
    >>> from memlib.theory.claims import REQUIRED, Verdict
    >>> [role.value for role, kinds in REQUIRED[Verdict.FALSE]]
    ['refutes', 'repaired']
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any


class Verdict(StrEnum):
    """What the evidence says about a claim as printed."""

    HOLDS = "holds"
    LOOSE = "loose"
    MISPRINT = "misprint"
    GAP = "gap"
    VACUOUS = "vacuous"
    FALSE = "false"


class Kind(StrEnum):
    """How a check knows what it says.

    `SYMBOLIC`: a derivation, each step verified by sympy. `DECIDED`: an inequality over all reals
    whose negation a solver refutes (or for which it returns a witness). `EXACT`: a finite world in
    rational arithmetic, enumerated. `SEARCHED`: hypothesis looked for an instance.
    """

    SYMBOLIC = "symbolic"
    DECIDED = "decided"
    EXACT = "exact"
    SEARCHED = "searched"


class Role(StrEnum):
    """What a check says about its claim when it passes."""

    SUPPORTS = "supports"  # the statement holds
    SHARP = "sharp"  # with a constant or a hypothesis weakened, it fails
    ATTAINED = "attained"  # an instance reaches equality
    REFUTES = "refutes"  # an instance meets every assumption and breaks the conclusion
    REPAIRED = "repaired"  # the repaired statement holds on that same instance
    SEPARATES = "separates"  # an instance tells the printed formula from the right one
    FAILING_STEP = "failing-step"  # the step that the proof does not give
    MAGNITUDE = "magnitude"  # the numbers at the paper's own scale
    BREAKS = "breaks"  # the search found an instance against the printed statement
    # A search or a count found none: against the repaired statement; in a gap, the printed one.
    WITHSTANDS = "withstands"


_EVERY_INSTANCE = frozenset({Kind.SYMBOLIC, Kind.DECIDED, Kind.EXACT})
_ONE_INSTANCE = frozenset({Kind.DECIDED, Kind.EXACT})

#: For each verdict, the roles it needs, each with the kinds of check that can fill it. A search is
#: in none of them: failing to find a counterexample proves nothing.
REQUIRED: Mapping[Verdict, tuple[tuple[Role, frozenset[Kind]], ...]] = {
    Verdict.HOLDS: ((Role.SUPPORTS, _EVERY_INSTANCE), (Role.SHARP, _EVERY_INSTANCE)),
    Verdict.LOOSE: ((Role.SUPPORTS, _EVERY_INSTANCE), (Role.ATTAINED, _EVERY_INSTANCE)),
    Verdict.MISPRINT: ((Role.SUPPORTS, _EVERY_INSTANCE), (Role.SEPARATES, _ONE_INSTANCE)),
    Verdict.GAP: ((Role.FAILING_STEP, _ONE_INSTANCE),),
    Verdict.VACUOUS: ((Role.SUPPORTS, _EVERY_INSTANCE), (Role.MAGNITUDE, _ONE_INSTANCE)),
    Verdict.FALSE: ((Role.REFUTES, _ONE_INSTANCE), (Role.REPAIRED, _ONE_INSTANCE)),
}

#: The papers, in the order of the ledger: key to title.
PAPERS: Mapping[str, str] = {
    "feldman": "Feldman, Does learning require memorization? (STOC 2020)",
    "fz": "Feldman and Zhang, What neural networks memorize and why (NeurIPS 2020)",
    "orders": "Memorization and the orders of loss (anonymous draft)",
    "orders-icml": "Ravikumar et al., Towards memorization estimation: fast, formal and free "
    "(ICML 2025, the published version of the draft)",
    "privacy": "Ravikumar et al., Unveiling privacy, memorization, and input curvature links "
    "(ICML 2024)",
    "unique": "Harutyunyan et al., Estimating informativeness of samples with smooth unique "
    "information (ICLR 2021)",
    "book": "This book: repaired and replacement results",
}


@dataclass(frozen=True)
class Evidence:
    """What one check found.

    Args:
        passed: Whether the check's statement came out true.
        summary: One or two sentences with the numbers that were computed (Markdown).
        data: The numbers themselves, and what is needed to compute them again elsewhere (the
            SMT-LIB text of a decision, the LaTeX of a derivation).
        assumptions: For an instance: each printed assumption, and whether the instance meets it.
        instance: The instance itself; a repair must be shown on the one that refutes.
    """

    passed: bool
    summary: str
    data: Mapping[str, Any] = field(default_factory=dict)
    assumptions: Mapping[str, bool] = field(default_factory=dict)
    instance: object = None


@dataclass(frozen=True)
class Check:
    """One piece of evidence, computed when `run` is called and never before."""

    kind: Kind
    role: Role
    statement: str
    run: Callable[[], Evidence]


@dataclass(frozen=True)
class Claim:
    """One statement of a paper (or of the book), and everything needed to judge it.

    Texts are Markdown with `$...$` mathematics; a text that stands in its own box may use
    `$$...$$`. `chapter` is the page that teaches the claim, as a path below `book/` without its
    suffix. `uses` names the claims that this one rests on. `gist` is what holds, in one line of a
    table. `tried` is for a gap, and no gap is earned without it: what was done to refute the
    statement, and why that does not settle it.
    """

    id: str
    title: str
    paper: str
    location: str
    printed: str
    assumptions: tuple[str, ...]
    verdict: Verdict
    holds: str
    proof: str
    rebuttal: str
    effect: str
    prior_art: str
    chapter: str
    checks: tuple[Check, ...]
    uses: tuple[str, ...] = ()
    gist: str = ""
    tried: str = ""

    def show(self) -> "Result":
        """Run the checks. A notebook shows what comes back as the claim's entry in the ledger.

        Example:
            >>> from memlib.theory import get
            >>> get("book/r4").show().earned
            True
        """
        return try_claim(self)


@dataclass(frozen=True)
class Outcome:
    """A check that was run: its evidence, or the error that kept it from giving any."""

    check: Check
    evidence: Evidence
    seconds: float
    error: str = ""


@dataclass(frozen=True, repr=False)
class Result:
    """A claim that was tried. `missing` says why its verdict is not earned; empty if it is.

    It shows itself as the claim's entry in the ledger: with formulas in a notebook, else as text.
    """

    claim: Claim
    outcomes: tuple[Outcome, ...]
    missing: tuple[str, ...]

    @property
    def earned(self) -> bool:
        """Whether every check passed and the verdict has all the evidence that it needs."""
        return not self.missing

    def __repr__(self) -> str:
        from memlib.theory.ledger import render_text

        return render_text([self])

    def _repr_markdown_(self) -> str:
        from memlib.theory.ledger_pages import notebook_entry

        return notebook_entry(self)


def registry(*groups: Iterable[Claim]) -> tuple[Claim, ...]:
    """Join the claims of several modules and refuse what would make the ledger unreadable.

    Args:
        groups: The `CLAIMS` of each module.

    Returns:
        All claims, in the order given.

    Raises:
        ValueError: Two claims share an id, an id does not start with its paper's key, a paper is
            unknown, `uses` names a claim that is not there, or claims rest on each other in a
            circle.
    """
    claims = tuple(claim for group in groups for claim in group)
    by_id: dict[str, Claim] = {}
    for claim in claims:
        if claim.id in by_id:
            raise ValueError(f"two claims have the id {claim.id!r}: give one of them another")
        if claim.paper not in PAPERS or not claim.id.startswith(f"{claim.paper}/"):
            raise ValueError(f"{claim.id!r} must start with the key of its paper and a slash")
        by_id[claim.id] = claim
    for claim in claims:
        for used in claim.uses:
            if used not in by_id:
                raise ValueError(f"{claim.id!r} uses {used!r}, which is not a claim")
    try:
        TopologicalSorter({claim.id: claim.uses for claim in claims}).prepare()
    except CycleError as error:
        raise ValueError(f"claims rest on each other in a circle: {error.args[1]}") from error
    return claims


def perform(check: Check) -> Outcome:
    """Run one check. An exception becomes an outcome that did not pass and says what happened."""
    start = time.perf_counter()
    try:
        evidence, error = check.run(), ""
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
        evidence = Evidence(False, f"The check raised {error}")
    return Outcome(check, evidence, time.perf_counter() - start, error)


def judge(claim: Claim, outcomes: tuple[Outcome, ...]) -> tuple[str, ...]:
    """Say what keeps a claim's verdict from being earned.

    Args:
        claim: The claim.
        outcomes: One outcome per check of the claim.

    Returns:
        One sentence per defect; empty if the verdict is earned: every check passed, the verdict's
        row of `REQUIRED` is filled, a gap says what was tried to refute the statement, an instance
        that refutes meets each printed assumption, and each such instance is one on which the
        repaired statement was shown.
    """
    missing = []
    for outcome in outcomes:
        if not outcome.evidence.passed:
            missing.append(f"failed: {outcome.check.statement} {outcome.evidence.summary}")
    for role, kinds in REQUIRED[claim.verdict]:
        if not any(o.check.role == role and o.check.kind in kinds for o in outcomes):
            wanted = ", ".join(sorted(kinds))
            missing.append(f"the verdict {claim.verdict} needs a check that {role} ({wanted})")
    if claim.verdict == Verdict.GAP and not claim.tried.strip():
        missing.append("a gap has to say what was tried to refute the statement")
    refuting = [o.evidence for o in outcomes if o.check.role == Role.REFUTES]
    repaired = [o.evidence.instance for o in outcomes if o.check.role == Role.REPAIRED]
    for evidence in refuting:
        for assumption in claim.assumptions:
            if not evidence.assumptions.get(assumption, False):
                missing.append(f"the instance is not shown to meet the assumption: {assumption}")
        if evidence.instance is None or evidence.instance not in repaired:
            missing.append("the repaired statement is not shown on the instance that refutes")
    return tuple(missing)


def try_claim(claim: Claim) -> Result:
    """Run every check of a claim and judge it."""
    outcomes = tuple(perform(check) for check in claim.checks)
    return Result(claim, outcomes, judge(claim, outcomes))
