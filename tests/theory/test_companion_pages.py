"""The pages beside the ledger: draft against published version, code notes, Rosetta."""

import re
from dataclasses import replace

import pytest

from memlib.theory import CLAIMS, code_notes, get, rosetta
from memlib.theory.claims import Evidence, Result
from memlib.theory.icml import CLAIMS as PUBLISHED
from memlib.theory.icml.versions import PAIRS, versions_page, versions_table
from memlib.theory.ledger import anchor, badge


def test_every_claim_of_the_published_version_is_in_the_table() -> None:
    shown = {pair.published for pair in PAIRS}
    assert {claim.id for claim in PUBLISHED} - shown == {"orders-icml/eq-18"}


def test_the_table_compares_the_draft_with_the_published_version_and_nothing_else() -> None:
    for pair in PAIRS:
        assert pair.draft or pair.published
        assert pair.draft is None or pair.draft.startswith("orders/")
        assert pair.published is None or pair.published.startswith("orders-icml/")


def test_a_verdict_stands_in_the_column_of_its_own_text() -> None:
    draft, published = get("orders/eq-2"), get("orders-icml/eq-1")
    results = [Result(claim, (), ()) for claim in (draft, published)]
    (row,) = [line for line in versions_table(results).splitlines() if "| Memorization |" in line]
    _, _, left, right, _, _ = row.split("|")
    assert badge(draft.verdict) in left
    assert badge(published.verdict) in right
    assert anchor(draft.id) in left
    assert anchor(published.id) in right


def test_a_claim_that_was_not_tried_is_shown_by_its_id() -> None:
    assert "| `orders/thm-4.1` | `orders-icml/thm-5.3` |" in versions_table([])


def test_the_page_counts_what_is_new_and_what_was_dropped() -> None:
    page = versions_page([])
    numbers = [int(n) for n in re.findall(r"Of (\d+) subjects, (\d+) .* (\d+) only", page)[0]]
    dropped = sum(pair.published is None for pair in PAIRS)
    assert numbers[0] == len(PAIRS) == numbers[1] + numbers[2] + dropped
    assert f"one, and {dropped} were dropped" in page


def test_no_verdict_on_the_published_version_rests_on_one_of_the_draft_alone() -> None:
    drafts = {claim.id for claim in CLAIMS if claim.paper == "orders"}
    for claim in PUBLISHED:
        assert not drafts.issuperset(claim.uses or ("none",)), claim.id


def test_code_notes_are_numbered_without_gaps() -> None:
    assert [note.number for note in code_notes.NOTES] == [*range(1, len(code_notes.NOTES) + 1)]


@pytest.mark.parametrize("note", code_notes.NOTES, ids=lambda note: note.title)
def test_the_illustration_of_a_note_comes_out(note: code_notes.Note) -> None:
    found = note.illustration()
    assert found.passed, found.summary
    assert found.summary in code_notes.code_notes_page()


def test_a_note_whose_illustration_fails_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(code_notes.NOTES[0], illustration=lambda: Evidence(False, "not so"))
    monkeypatch.setattr(code_notes, "NOTES", (wrong,))
    with pytest.raises(ValueError, match="not so"):
        code_notes.code_notes_page()


def test_the_score_of_a_quadratic_is_bounded_by_the_frobenius_norm() -> None:
    for eigenvalues in (code_notes.FLATTER, code_notes.SHARPER):
        for step in code_notes.STEPS:
            score = code_notes.gradient_change(eigenvalues, step)
            assert score**2 <= step**2 * sum(e**2 for e in eigenvalues)


@pytest.mark.parametrize("entry", rosetta.ENTRIES, ids=lambda entry: entry.notion)
def test_a_conversion_comes_out(entry: rosetta.Entry) -> None:
    found = entry.check()
    assert found.passed, found.summary
    assert found.summary in rosetta.rosetta_page()


def test_every_text_has_a_cell_for_every_notion() -> None:
    for entry in rosetta.ENTRIES:
        assert all((entry.draft, entry.published, entry.privacy, entry.unique, entry.convert))


def test_a_conversion_that_fails_stops_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(rosetta.ENTRIES[0], check=lambda: Evidence(False, "not so"))
    monkeypatch.setattr(rosetta, "ENTRIES", (wrong,))
    with pytest.raises(ValueError, match="not so"):
        rosetta.rosetta_page()
