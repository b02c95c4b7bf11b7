"""The directives that make tables: of claims, and of the book's own errors."""

import sys

import pytest
import yaml

from memlib.theory import get

from .conftest import ROOT

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from ledger_links import FIELDS, errata_lines, scorecard_lines

ENTRY = {
    "date": "2026-12-31",
    "where": "orders/eq-2",
    "was": "that $|x|$ is $x$",
    "is": "that it is not",
    "found": "a reader",
}


def test_an_empty_file_says_that_no_error_is_known() -> None:
    assert errata_lines([]) == ["No error of ours in a published version is known so far."]


def test_an_error_is_a_row_that_links_to_its_claim() -> None:
    row = errata_lines([ENTRY])[2]
    assert "{claim}`orders/eq-2`" in row
    assert r"that $\|x\|$ is $x$" in row
    assert "{claim}" not in errata_lines([{**ENTRY, "where": "[](welcome.md)"}])[2]


@pytest.mark.parametrize("field", FIELDS)
def test_an_entry_without_one_of_its_fields_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        errata_lines([{key: value for key, value in ENTRY.items() if key != field}])


def test_the_file_of_errors_can_be_shown() -> None:
    assert errata_lines(yaml.safe_load((ROOT / "book" / "errata.yml").read_text("utf-8")))


def test_a_scorecard_has_a_row_for_each_claim_and_links_the_chapters_that_are_there() -> None:
    claims = [get("orders/thm-4.5"), get("orders/thm-4.6")]
    rows = scorecard_lines(claims, {claims[0].chapter: "[](chapter.md)"})[2:]
    for row, claim in zip(rows, claims, strict=True):
        assert f"{{claim}}`{claim.id}`" in row
        assert claim.gist.replace("|", r"\|") in row
        assert len(row.replace(r"\|", "").split("|")) == 6
    assert [row.endswith("[](chapter.md) |") for row in rows] == [True, False]
