"""The ledger: what a verdict needs, what is reported, and the pages that are made of it."""

import dataclasses
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from memlib.errors import UnknownName
from memlib.theory import CLAIMS, ledger
from memlib.theory.claims import (
    REQUIRED,
    Check,
    Claim,
    Evidence,
    Kind,
    Result,
    Role,
    Verdict,
    registry,
    try_claim,
)
from memlib.theory.orders import definitions as orders
from memlib.theory.theorem_map import arrows, layers, theorem_map

BY_ID = {claim.id: claim for claim in CLAIMS}


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return ledger.run()


def claim(verdict: Verdict, *checks: Check, **changes: Any) -> Claim:
    """A claim with the given checks."""
    return dataclasses.replace(BY_ID["book/r4"], verdict=verdict, checks=checks, **changes)


def check(kind: Kind, role: Role, evidence: Evidence | None = None) -> Check:
    return Check(kind, role, "A statement.", lambda: evidence or Evidence(True, "Found."))


# The real claims -----------------------------------------------------------------------------


def test_every_verdict_is_earned(results: list[Result]) -> None:
    assert {result.claim.id: result.missing for result in results if not result.earned} == {}


def test_every_claim_says_what_holds_and_names_prior_art() -> None:
    for name, entry in BY_ID.items():
        for text in (entry.title, entry.location, entry.printed, entry.holds, entry.proof):
            assert text.strip(), name
        assert entry.prior_art.strip(), name
        assert entry.chapter.strip(), name


def test_a_verdict_against_a_paper_prints_a_rebuttal_and_its_answer() -> None:
    for name, entry in BY_ID.items():
        if entry.verdict not in (Verdict.HOLDS, Verdict.LOOSE):
            assert entry.rebuttal.strip().startswith("*"), name


def test_the_ledger_is_the_same_twice() -> None:
    def told(name: str) -> list[str]:
        return [outcome.evidence.summary for outcome in try_claim(BY_ID[name]).outcomes]

    for name in ("orders/learning-time-two-definitions", "book/r1"):
        assert told(name) == told(name)


def test_the_unchanged_ledger_exits_zero() -> None:
    assert ledger.main(["orders/eq-1"], echo=lambda text: None) == 0


# What a verdict needs ------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_verdict_without_a_required_role_is_not_earned(verdict: Verdict) -> None:
    instance = Evidence(True, "Found.", instance="a")
    needed = [check(min(kinds), role, instance) for role, kinds in REQUIRED[verdict]]
    assert try_claim(claim(verdict, *needed, assumptions=())).earned
    for left_out in range(len(needed)):
        rest = needed[:left_out] + needed[left_out + 1 :]
        assert not try_claim(claim(verdict, *rest, assumptions=())).earned


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_search_never_earns_a_verdict(verdict: Verdict) -> None:
    evidence = Evidence(True, "Found.", instance="a")
    searched = [check(Kind.SEARCHED, role, evidence) for role in Role]
    assert not try_claim(claim(verdict, *searched, assumptions=())).earned


def test_one_failed_check_costs_the_verdict() -> None:
    good = [check(Kind.EXACT, Role.SUPPORTS), check(Kind.EXACT, Role.SHARP)]
    bad = check(Kind.SEARCHED, Role.WITHSTANDS, Evidence(False, "Broken by 7."))
    assert try_claim(claim(Verdict.HOLDS, *good)).earned
    result = try_claim(claim(Verdict.HOLDS, *good, bad))
    assert not result.earned
    assert "Broken by 7." in result.missing[0]


def test_an_exception_in_a_check_is_reported_with_its_claim_and_the_others_still_run() -> None:
    def explode() -> Evidence:
        raise ZeroDivisionError("by nothing")

    broken = Check(Kind.EXACT, Role.SUPPORTS, "It divides.", explode)
    result = try_claim(claim(Verdict.HOLDS, broken, check(Kind.EXACT, Role.SHARP)))
    assert not result.earned
    assert [outcome.evidence.passed for outcome in result.outcomes] == [False, True]
    text = ledger.render_text([result])
    assert "book/r4" in text
    assert "ZeroDivisionError: by nothing" in text


def refuted(assumptions: dict[str, bool], repaired_on: str) -> Claim:
    return claim(
        Verdict.FALSE,
        check(Kind.EXACT, Role.REFUTES, Evidence(True, "", {}, assumptions, "world")),
        check(Kind.EXACT, Role.REPAIRED, Evidence(True, "", instance=repaired_on)),
        assumptions=("bounded", "smooth"),
    )


@pytest.mark.parametrize("assumptions", [{}, {"bounded": True}, {"bounded": True, "smooth": False}])
def test_false_needs_every_printed_assumption_shown_on_the_instance(
    assumptions: dict[str, bool],
) -> None:
    assert try_claim(refuted({"bounded": True, "smooth": True}, "world")).earned
    assert not try_claim(refuted(assumptions, "world")).earned


def test_false_needs_the_repair_on_the_instance_that_refutes() -> None:
    assert not try_claim(refuted({"bounded": True, "smooth": True}, "another world")).earned


# The registry --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: [c, c], "two claims"),
        (lambda c: [dataclasses.replace(c, paper="none")], "key of its paper"),
        (lambda c: [dataclasses.replace(c, id="r4")], "key of its paper"),
        (lambda c: [dataclasses.replace(c, uses=("book/none",))], "not a claim"),
        (lambda c: [dataclasses.replace(c, uses=("book/r4",))], "circle"),
    ],
)
def test_the_registry_refuses(change: Callable[[Claim], list[Claim]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registry(change(dataclasses.replace(BY_ID["book/r4"], uses=())))


def test_an_unknown_claim_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="orders/eq-99"):
        ledger.main(["orders/eq-99"])


# The pages -----------------------------------------------------------------------------------


def test_the_page_has_one_label_per_claim_with_verdict_in_words(results: list[Result]) -> None:
    page = ledger.ledger_page(results)
    for result in results:
        assert page.count(f"({ledger.anchor(result.claim.id)})=") == 1
        entry = page.split(f"({ledger.anchor(result.claim.id)})=")[1].split("\n### ")[1]
        assert ledger.badge(result.claim.verdict) in entry.split("As printed")[0]


def test_the_page_shows_every_summary_that_was_computed(results: list[Result]) -> None:
    page = ledger.ledger_page(results)
    for result in results:
        for outcome in result.outcomes:
            assert outcome.evidence.summary in page


def test_every_link_of_both_pages_leads_to_a_label(results: list[Result]) -> None:
    page, picture = ledger.ledger_page(results), theorem_map(results)
    labels = set(re.findall(r"^\((.+)\)=$", page + picture, flags=re.M))
    targets = re.findall(r"\]\(#([^)]+)\)", page + picture)
    targets += re.findall(r'href="ledger\.html#([^"]+)"', picture)
    assert targets
    assert set(targets) <= labels


def test_headings_go_down_one_level_at_a_time(results: list[Result]) -> None:
    for page in (ledger.ledger_page(results), theorem_map(results)):
        levels = [len(marks) for marks in re.findall(r"^(#+) ", page, flags=re.M)]
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))


def test_display_mathematics_stands_on_lines_of_its_own(results: list[Result]) -> None:
    page = ledger.ledger_page(results)
    opened = False
    for line in page.split("\n"):
        count = line.count("$$")
        if count and not opened:
            assert line.startswith("$$")
        if count % 2:
            opened = not opened
    assert not opened


def test_a_claim_links_to_its_chapter_only_where_the_page_is_there(
    results: list[Result], tmp_path: Any
) -> None:
    assert "Taught in" not in ledger.ledger_page(results, tmp_path)
    chapter = tmp_path / f"{BY_ID['feldman/def-mem'].chapter}.md"
    chapter.parent.mkdir(parents=True)
    chapter.write_text("# A chapter\n")
    assert "Taught in [](./part1/" in ledger.ledger_page(results, tmp_path)


def test_the_pages_are_written_whole_and_also_when_a_verdict_is_not_earned(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "zero_one", lambda a, b: Fraction(0))
    page, picture = tmp_path / "new" / "ledger.md", tmp_path / "new" / "map.md"
    code = ledger.main(["orders/eq-1"], page=page, map=picture, echo=lambda text: None)
    assert code == 1
    assert "not earned" in page.read_text()
    assert sorted(p.name for p in page.parent.iterdir()) == ["ledger.md", "map.md"]


def test_the_map_draws_each_claim_once_below_what_it_uses(results: list[Result]) -> None:
    picture = theorem_map(results)
    levels = layers(CLAIMS)
    depth = {claim.id: level for level, row in enumerate(levels) for claim in row}
    assert all(depth[used] < depth[c.id] for c in CLAIMS for used in c.uses)
    for entry in CLAIMS:
        assert picture.count(f'class="verdict-{entry.verdict}" aria-label="{entry.id}:') == 1


def test_the_map_leaves_out_only_arrows_that_follow_from_others() -> None:
    drawn = arrows(CLAIMS)
    reached = {c.id: {c.id} for c in CLAIMS}
    for row in layers(CLAIMS):
        for entry in row:
            for used, user in drawn:
                if user == entry.id:
                    reached[user] |= reached[used]
    assert all(used in reached[c.id] for c in CLAIMS for used in c.uses)
    assert len(drawn) < sum(len(c.uses) for c in CLAIMS)


def test_the_map_is_well_formed_and_names_itself(results: list[Result]) -> None:
    from xml.etree import ElementTree

    text = theorem_map(results)
    svg = text[text.index("<svg") : text.index("</svg>") + len("</svg>")]
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert {child.tag.rsplit("}")[-1] for child in root} >= {"title", "desc", "a", "path"}
    assert "\n\n" not in svg
