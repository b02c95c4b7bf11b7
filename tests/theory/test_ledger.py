"""The ledger: what a verdict needs, what is reported, and the pages that are made of it."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import memlib
from memlib.errors import UnknownName
from memlib.theory import CLAIMS, get, ledger
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
from memlib.theory.evidence import EFFORT
from memlib.theory.ledger_pages import bibtex, first_sentence, labeled, ledger_pages
from memlib.theory.orders import definitions as orders
from memlib.theory.theorem_map import FRAMES, arrows, clusters, layers, theorem_map

BY_ID = {claim.id: claim for claim in CLAIMS}


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return ledger.run()


def claim(verdict: Verdict, *checks: Check, **changes: Any) -> Claim:
    """A claim with the given checks; it says what was tried, as a gap must."""
    changes = {"tried": "A search.", **changes}
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


def test_a_gap_and_no_other_verdict_says_what_was_tried_to_refute_the_statement() -> None:
    gaps = {name for name, entry in BY_ID.items() if entry.verdict == Verdict.GAP}
    assert {name for name, entry in BY_ID.items() if entry.tried.strip()} == gaps


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


@pytest.mark.parametrize("tried", ["", " \n"])
def test_a_gap_that_does_not_say_what_was_tried_is_not_earned(tried: str) -> None:
    step = check(Kind.EXACT, Role.FAILING_STEP)
    assert try_claim(claim(Verdict.GAP, step)).earned
    (missing,) = try_claim(claim(Verdict.GAP, step, tried=tried)).missing
    assert "tried to refute" in missing
    support, sharp = (check(Kind.EXACT, role) for role in (Role.SUPPORTS, Role.SHARP))
    assert try_claim(claim(Verdict.HOLDS, support, sharp, tried=tried)).earned


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


@pytest.fixture(scope="module")
def pages(results: list[Result]) -> Mapping[str, str]:
    return ledger_pages(results)


def markdown(pages: Mapping[str, str]) -> str:
    """All pages of the ledger, one after the other."""
    return "\n".join(text for name, text in pages.items() if name.endswith(".md"))


def test_each_claim_has_one_label_on_its_papers_page_with_the_verdict_in_words(
    results: list[Result], pages: Mapping[str, str]
) -> None:
    for result in results:
        label = f"({ledger.anchor(result.claim.id)})="
        assert markdown(pages).count(label) == 1
        entry = pages[f"ledger/{result.claim.paper}.md"].split(label)[1].split("\n## ")[1]
        assert ledger.badge(result.claim.verdict) in entry.split("{admonition}")[0]


def test_the_pages_show_every_summary_that_was_computed(
    results: list[Result], pages: Mapping[str, str]
) -> None:
    for result in results:
        for outcome in result.outcomes:
            assert outcome.evidence.summary in pages[f"ledger/{result.claim.paper}.md"]


def test_the_pages_and_a_notebook_show_what_was_tried(
    results: list[Result], pages: Mapping[str, str]
) -> None:
    gaps = [result for result in results if result.claim.verdict == Verdict.GAP]
    assert markdown(pages).count("**How we tried to refute it.**") == len(gaps) > 0
    for result in gaps:
        told = labeled("How we tried to refute it", result.claim.tried)
        assert told in pages[f"ledger/{result.claim.paper}.md"]
        assert told in result._repr_markdown_()


def test_the_index_counts_the_claims_by_paper_and_verdict_and_has_a_row_for_each(
    results: list[Result], pages: Mapping[str, str]
) -> None:
    index = pages["ledger.md"]
    gaps = sum(r.claim.verdict == Verdict.GAP for r in results if r.claim.paper == "orders")
    row = next(line for line in index.split("\n") if "(#ledger-orders)" in line)
    assert [cell.strip() for cell in row.split("|")][5] == str(gaps)
    for result in results:
        (line,) = [
            text for text in index.split("\n") if f"(#{ledger.anchor(result.claim.id)})" in text
        ]
        assert len(re.findall(r"(?<!\\)\|", line)) == 5
        assert result.claim.gist.replace("|", r"\|") in line


def test_what_holds_fits_into_a_line_of_the_table() -> None:
    assert {entry.id: len(entry.gist) for entry in CLAIMS if not 0 < len(entry.gist) <= 140} == {}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One.\nTwo.", "One."),
        ("Eq. 4 of\n the draft. Then.", "Eq. 4 of the draft."),
        ("In words. $x$ is one.", "In words."),
        ("So\n$$\nx\n$$\nfollows.", "So"),
        ("", ""),
    ],
)
def test_the_first_sentence_of_a_text_is_one_line_without_a_display(text: str, first: str) -> None:
    assert first_sentence(text) == first


def test_every_question_to_the_solver_is_a_file_that_says_what_it_is_and_is_linked(
    results: list[Result], pages: Mapping[str, str]
) -> None:
    import z3

    files = {name: text for name, text in pages.items() if name.endswith(".smt2")}
    asked = [o for result in results for o in result.outcomes if "smt2" in o.evidence.data]
    assert len(files) == len(asked) > 0
    for name, text in files.items():
        assert f"<{name.removeprefix('ledger/')}>" in markdown(pages)
        claim_id, _, expected = (line.removeprefix("; ") for line in text.split("\n")[:3])
        assert BY_ID[claim_id]
        solver = z3.Solver()
        solver.from_string(text)
        assert expected == f"Expected answer: {solver.check()}"


def test_every_link_of_all_pages_leads_to_a_label(
    results: list[Result], pages: Mapping[str, str]
) -> None:
    picture = theorem_map(results)
    everything = markdown(pages) + picture
    labels = set(re.findall(r"^\((.+)\)=$", everything, flags=re.M))
    targets = re.findall(r"\]\(#([^)]+)\)", everything)
    assert targets
    assert set(targets) <= labels
    for page, label in re.findall(r'href="(ledger/[^"]+)\.html#([^"]+)"', picture):
        assert f"({label})=" in pages[f"{page}.md"]


def test_headings_go_down_one_level_at_a_time(
    results: list[Result], pages: Mapping[str, str]
) -> None:
    texts = [text for name, text in pages.items() if name.endswith(".md")]
    for page in (*texts, theorem_map(results)):
        levels = [len(marks) for marks in re.findall(r"^(#+) ", page, flags=re.M)]
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(levels))


def test_display_mathematics_stands_on_lines_of_its_own(pages: Mapping[str, str]) -> None:
    opened = False
    for line in markdown(pages).split("\n"):
        count = line.count("$$")
        if count and not opened:
            assert line.startswith("$$")
        if count % 2:
            opened = not opened
    assert not opened


def test_a_text_that_begins_with_a_formula_leaves_the_line_to_its_label() -> None:
    assert labeled("Effect", "None.\n") == "**Effect.** None."
    assert labeled("What holds", "\n$$x$$\nso.") == "**What holds.**\n\n$$x$$\nso."


def test_a_claim_links_to_its_chapter_only_where_the_page_is_there(
    results: list[Result], tmp_path: Path
) -> None:
    assert "Taught in" not in markdown(ledger_pages(results, tmp_path))
    assert "Taught in" not in theorem_map(results, tmp_path)
    chapter = tmp_path / f"{BY_ID['feldman/def-mem'].chapter}.md"
    chapter.parent.mkdir(parents=True)
    chapter.write_text("# A chapter\n")
    assert "Taught in [](../part1/" in ledger_pages(results, tmp_path)["ledger/feldman.md"]
    assert "Taught in [](./part1/" in theorem_map(results, tmp_path)


def test_the_pages_are_written_whole_and_also_when_a_verdict_is_not_earned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "zero_one", lambda a, b: Fraction(0))
    page, picture = tmp_path / "new" / "ledger.md", tmp_path / "new" / "map.md"
    code = ledger.main(["orders/eq-1"], page=page, map=picture, echo=lambda text: None)
    assert code == 1
    assert "not earned" in (page.parent / "ledger" / "orders.md").read_text()
    assert sorted(p.name for p in page.parent.iterdir()) == ["ledger", "ledger.md", "map.md"]
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_page_of_the_ledger_may_be_named_by_its_folder(tmp_path: Path) -> None:
    assert ledger.main(["orders/eq-1"], page=tmp_path, echo=lambda text: None) == 0
    assert "orders/eq-1" in (tmp_path / "ledger.md").read_text()


def test_a_citation_names_the_claim_its_verdict_and_the_version() -> None:
    entry = bibtex(BY_ID["orders/eq-2"])
    assert entry.startswith("@misc{mmc:orders/eq-2,")
    assert "verdict: false" in entry
    assert f"Version {memlib.__version__}" in entry
    assert entry.count("{") == entry.count("}")


# The map -------------------------------------------------------------------------------------


def test_the_map_draws_each_claim_once_below_what_it_uses(results: list[Result]) -> None:
    picture = theorem_map(results)
    levels = layers(CLAIMS)
    depth = {claim.id: level for level, row in enumerate(levels) for claim in row}
    assert all(depth[used] < depth[c.id] for c in CLAIMS for used in c.uses)
    for entry in CLAIMS:
        assert picture.count(f'class="verdict-{entry.verdict}" data-claim="{entry.id}"') == 1


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


def named(*uses: tuple[str, tuple[str, ...]]) -> list[Claim]:
    return [dataclasses.replace(BY_ID["book/r4"], id=name, uses=used) for name, used in uses]


def test_clusters_hang_together_and_what_stands_alone_comes_last() -> None:
    claims = named(("a", ()), ("b", ("a",)), ("c", ()), ("d", ("e",)), ("e", ()), ("f", ("d", "x")))
    found = [[entry.id for entry in cluster] for cluster in clusters(claims)]
    assert found == [["d", "e", "f"], ["a", "b"], ["c"]]


def test_the_list_below_the_map_names_what_each_claim_rests_on(results: list[Result]) -> None:
    picture = theorem_map(results)
    for entry in CLAIMS:
        (line,) = [x for x in picture.split("\n") if x.startswith(f"- [{entry.id}]")]
        assert all(f"[{used}]" in line for used in entry.uses)


def test_every_verdict_has_a_frame_of_its_own() -> None:
    assert set(FRAMES) == set(Verdict)
    assert len(set(FRAMES.values())) == len(FRAMES)


def test_the_pictures_are_well_formed_and_name_themselves(results: list[Result]) -> None:
    from xml.etree import ElementTree

    pictures = re.findall(r"<svg.*?</svg>", theorem_map(results), flags=re.S)
    assert len(pictures) == 1 + len(ledger.counts(results))
    ids: list[str] = []
    for text in pictures:
        root = ElementTree.fromstring(text)
        # an image has no parts for a screen reader; a picture with links is a group
        assert root.attrib["role"] == ("group" if "<a href" in text else "img")
        own = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
        assert set(root.attrib["aria-labelledby"].split()) <= set(own)
        ids += own
        assert "\n\n" not in text
    assert len(ids) == len(set(ids))


def test_every_entry_names_the_file_of_its_checks(results: list[Result]) -> None:
    text = "".join(ledger_pages(results).values())
    files = re.findall(r"Code: `([^`]+)`", text)
    assert len(files) == len(CLAIMS)
    assert all((Path(__file__).resolve().parents[2] / file).exists() for file in files)


# On the command line and in a notebook -------------------------------------------------------


def test_a_claim_shows_itself_in_a_notebook_with_formulas_and_else_as_text() -> None:
    shown = get("book/r4").show()
    assert repr(shown) == ledger.render_text([shown])
    text = shown._repr_markdown_()
    assert text.startswith("### R4")
    assert "{admonition}" not in text
    for outcome in shown.outcomes:
        assert outcome.evidence.summary in text
    derivation = get("orders/eq-3").show()
    for reason, formula in derivation.outcomes[0].evidence.data["steps"]:
        assert f"{reason}.*\n\n$$\n{formula}\n$$" in derivation._repr_markdown_()


def test_a_long_run_searches_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    efforts: list[int] = []

    def noted() -> Evidence:
        efforts.append(EFFORT.get())
        return Evidence(True, "")

    noting = claim(Verdict.GAP, Check(Kind.SEARCHED, Role.WITHSTANDS, "A search.", noted))
    ledger.run([noting])
    ledger.run([noting], long=True)
    assert efforts == [1, ledger.LONG]
    assert EFFORT.get() == 1


def test_a_paper_is_chosen_by_its_key() -> None:
    chosen = ledger.select(CLAIMS, ["book/r4"], "feldman")
    assert [entry.id for entry in chosen] == ["feldman/def-mem", "book/r4"]
    with pytest.raises(UnknownName, match="order"):
        ledger.select(CLAIMS, paper="order")


def test_the_summary_counts_by_paper_and_verdict(results: list[Result]) -> None:
    rows = [line.split() for line in ledger.render_text(results).split("\n")]
    assert ["", *Verdict, "all"][1:] in rows
    assert rows[-3][0] == "all"
    assert rows[-3][-1] == str(len(results))


def test_the_report_on_mutants_names_what_went_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    assert ledger.mutation_report(["orders/eq-4"], told.append) == 0
    count = len(BY_ID["orders/eq-4"].checks)
    assert re.fullmatch(rf"{count} checks of 1 claim: \d+ places changed, 0 went unseen", told[-1])
    idle = Check(Kind.EXACT, Role.FAILING_STEP, "Idle.", _idle)
    monkeypatch.setattr("memlib.theory.CLAIMS", (claim(Verdict.GAP, idle),))
    assert ledger.mutation_report((), told.append) == 1
    assert "SURVIVES  book/r4   Idle. _idle:" in told[1]


def _idle() -> Evidence:
    return Evidence(isinstance(1, int), "Nothing is decided.")
