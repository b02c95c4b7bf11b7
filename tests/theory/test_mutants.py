"""Mutants of checks: what is changed, and what counts as noticed."""

import dataclasses
import re
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from memlib.theory import get
from memlib.theory.claims import PAPERS, Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import show
from memlib.theory.mutants import functions, mutants, survivors

LIMIT = 10
TABLE = (10, 20)


def _good() -> Evidence:
    def holds(n: int) -> bool:
        return n * n <= 3 * n + LIMIT

    return Evidence(holds(5) and not holds(6), "The square overtakes the line after 5.")


def _weak() -> Evidence:
    return Evidence(LIMIT > 3, f"{LIMIT} is more than {3 + 4}.")


def _through_another() -> Evidence:
    return Evidence(_tripled(2) == 6, "Three times two.")


def _tripled(n: int) -> int:
    return 3 * n


def _from_a_table() -> Evidence:
    return Evidence(sum(TABLE) == LIMIT * len(TABLE) + LIMIT, "Instances are not changed.")


def _endless() -> Evidence:
    n = Fraction(0)
    while n * n != 9:
        n += 1
    return Evidence(n == 3, show(n))


def _counted() -> Evidence:
    return Evidence(all(n < 900 for n in range(7)), "No count pins the number of cases.")


def claim(run: Callable[[], Evidence], kind: Kind = Kind.EXACT) -> Claim:
    """A claim that rests on one check alone."""
    check = Check(kind, Role.FAILING_STEP, "A statement.", run)
    anchor = Check(Kind.EXACT, Role.FAILING_STEP, "Another.", lambda: Evidence(True, ""))
    return dataclasses.replace(
        get("book/r4"), verdict=Verdict.GAP, tried="Nothing.", checks=(check, anchor)
    )


def places(run: Callable[[], Evidence], kind: Kind = Kind.EXACT) -> list[str]:
    """What is changed, without the line number."""
    return sorted(re.sub(r":\d+", "", site.name) for site in mutants(claim(run, kind).checks[0]))


def test_a_good_check_has_no_survivor() -> None:
    report = survivors(claim(_good))
    assert report.survivors == ()
    assert (report.checks, report.sites) == (2, 5)


def test_comparisons_and_numbers_of_nested_functions_and_constants_are_changed() -> None:
    assert places(_good) == [
        "LIMIT = 10",
        "_good 3",
        "_good 5",
        "_good 6",
        "_good n * n <= 3 * n + LIMIT",
    ]


def test_a_weak_check_has_survivors() -> None:
    survived = survivors(claim(_counted)).survivors
    assert any(name.endswith(" 7") for name in survived)
    assert not any("n < 900" in name for name in survived)


def test_numbers_in_sentences_are_not_changed() -> None:
    assert places(_weak) == ["LIMIT = 10", "_weak 3", "_weak LIMIT > 3"]


def test_functions_that_a_check_runs_through_another_are_changed() -> None:
    assert set(functions(claim(_through_another).checks[0])) == {"_through_another", "_tripled"}
    assert "_tripled 3" in places(_through_another)
    assert survivors(claim(lambda: _through_another())).survivors == ()


def test_tables_of_instances_and_imported_functions_are_not_changed() -> None:
    assert places(_from_a_table) == [
        "LIMIT = 10",
        "_from_a_table sum(TABLE) == LIMIT * len(TABLE) + LIMIT",
    ]


def test_of_a_search_only_the_comparisons_are_changed() -> None:
    assert places(_good, Kind.SEARCHED) == ["_good n * n <= 3 * n + LIMIT"]


def test_a_change_that_is_given_up_counts_as_unseen() -> None:
    start = time.process_time()
    survived = survivors(claim(_endless), patience=0.2).survivors
    assert time.process_time() - start < 20
    assert "9" in [name.split()[-1] for name in survived]


def test_a_claim_that_is_not_earned_has_no_mutants() -> None:
    with pytest.raises(ValueError, match="not earned before any change"):
        survivors(claim(lambda: Evidence(False, "No.")))


def test_the_checks_are_as_before() -> None:
    before = get("book/r4")
    survivors(before)
    assert _good().passed
    assert get("book/r4") == before


def test_every_paper_is_in_one_of_the_files_that_try_all_mutants() -> None:
    files = Path(__file__).parent.glob("test_mutants_*.py")
    named = [key for file in files for key in re.findall(r'"([a-z-]+)"', file.read_text())]
    assert sorted(named) == sorted(PAPERS)
