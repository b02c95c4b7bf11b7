"""Run the claims and show what came out, as text and as the ledger page.

Everything there is generated from the claims and from what their checks computed.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from memlib.errors import UnknownName
from memlib.theory.claims import PAPERS, Claim, Outcome, Result, Verdict, try_claim

#: Verdict to its symbol (the word always stands beside it) and what it means.
VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    Verdict.HOLDS: ("✓", "true as printed, and a weaker hypothesis or a smaller constant fails"),
    Verdict.LOOSE: ("≈", "true, and a better constant exists"),
    Verdict.MISPRINT: ("✎", "the proof gives another formula, and that one holds"),
    Verdict.GAP: ("…", "the argument does not give it; it is not refuted"),
    Verdict.VACUOUS: ("∅", "true, but it says nothing where it would matter"),
    Verdict.FALSE: ("✗", "an instance meets every printed assumption and breaks the conclusion"),
}


def run(claims: Sequence[Claim] | None = None) -> list[Result]:
    """Run every check of the claims.

    Args:
        claims: What to try; None tries all of `memlib.theory.CLAIMS`.

    Returns:
        One result per claim, in order. Cost: seconds for the whole ledger, on one core.
    """
    if claims is None:
        from memlib.theory import CLAIMS

        claims = CLAIMS
    return [try_claim(claim) for claim in claims]


def select(claims: Sequence[Claim], ids: Sequence[str]) -> list[Claim]:
    """The claims with the given ids, in ledger order; all of them if no id is given.

    Raises:
        UnknownName: An id is no claim's.
    """
    known = {claim.id for claim in claims}
    for name in ids:
        if name not in known:
            raise UnknownName("claim", name, f"Known are {', '.join(sorted(known))}.")
    return [claim for claim in claims if not ids or claim.id in ids]


def main(
    claim_ids: Sequence[str] = (),
    page: Path | str | None = None,
    map: Path | str | None = None,  # named like the option of the command line
    echo: Callable[[str], object] = print,
) -> int:
    """Run the ledger, tell what came out, and write the pages that are asked for.

    Args:
        claim_ids: Ids of the claims to try; none means all.
        page: Where to write the ledger page.
        map: Where to write the theorem map.
        echo: What to tell the text with.

    Returns:
        0 if every verdict is earned, else 1: the exit code of `memlib ledger`.

    Raises:
        UnknownName: An id is no claim's.
    """
    from memlib.theory import CLAIMS
    from memlib.theory.theorem_map import theorem_map

    results = run(select(CLAIMS, claim_ids))
    echo(render_text(results))
    for path, render in ((page, ledger_page), (map, theorem_map)):
        if path is not None:
            _write(Path(path), render(results, Path(path).parent))
    return 0 if all(result.earned for result in results) else 1


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def anchor(claim_id: str) -> str:
    """The label of a claim's entry in the ledger: `orders/thm-4.3` is at `orders-thm-4-3`."""
    return re.sub(r"[^a-z0-9]+", "-", claim_id.lower())


def badge(verdict: Verdict) -> str:
    """Symbol and word of a verdict, such as `✗ false`."""
    return f"{VERDICTS[verdict][0]} {verdict}"


# Text ------------------------------------------------------------------------------------------


def render_text(results: Sequence[Result]) -> str:
    """Each claim with its verdict and evidence, for the terminal; what is not earned comes last."""
    lines = []
    for result in results:
        state = "" if result.earned else "   NOT EARNED"
        lines.append(f"{result.claim.id}   {badge(result.claim.verdict)}{state}")
        lines.append(f"    {result.claim.title} ({result.claim.location})")
        for outcome in result.outcomes:
            mark = "ok  " if outcome.evidence.passed else "FAIL"
            check = outcome.check
            lines.append(f"    {mark} {check.role} · {check.kind} · {check.statement}")
            lines.append(f"         {outcome.evidence.summary}")
    seconds = sum(outcome.seconds for result in results for outcome in result.outcomes)
    checks = sum(len(result.outcomes) for result in results)
    open_ones = [result for result in results if not result.earned]
    lines.append("")
    for result in open_ones:
        lines.append(f"NOT EARNED  {result.claim.id} ({badge(result.claim.verdict)})")
        lines += [f"    {reason}" for reason in result.missing]
    lines.append(
        f"{len(results)} claims, {checks} checks, {len(open_ones)} verdicts not earned "
        f"({seconds:.1f} s)"
    )
    return "\n".join(lines)


# The ledger page ---------------------------------------------------------------------------------


def ledger_page(results: Sequence[Result], root: Path | None = None) -> str:
    """The ledger as a MyST page: one entry per claim, by paper.

    Args:
        results: What `run` returned.
        root: Folder of the page (`book/`). A claim links to its chapter if the chapter is there.

    Returns:
        Markdown with one label per claim (`anchor`), to which every page of the book can link.
    """
    count = Counter(result.claim.verdict for result in results)
    lines = [
        "(ledger)=",
        "# The ledger",
        "",
        f"Each of these {len(results)} claims was put on trial by code when this page was built.",
        "The verdict is earned: had a check not come out as it is told here, the build would have "
        "failed.",
        "",
        "| Verdict | Claims | It means |",
        "| :-- | --: | :-- |",
        *(
            f"| [{badge(verdict)}]{{.verdict .verdict-{verdict}}} | {count[verdict]} | {meaning} |"
            for verdict, (_, meaning) in VERDICTS.items()
        ),
        "",
        "A check is *symbolic* (a derivation, each step verified by sympy), *decided* (an "
        "inequality over all reals, its negation refuted by the solver z3), *exact* (a finite "
        "world, enumerated in rational arithmetic) or *searched* (hypothesis tried to break it). "
        "A search never earns a verdict by itself.",
        "",
    ]
    for paper, title in PAPERS.items():
        entries = [result for result in results if result.claim.paper == paper]
        if entries:
            lines += [f"## {title}", ""]
        for result in entries:
            lines += _entry(result, results, root)
    return "\n".join(lines).rstrip() + "\n"


def _entry(result: Result, results: Sequence[Result], root: Path | None) -> list[str]:
    claim = result.claim
    earned = "" if result.earned else " **(not earned)**"
    lines = [f"({anchor(claim.id)})=", f"### {claim.title}", ""]
    lines += [
        f"`{claim.id}` · {claim.location} · "
        f"[{badge(claim.verdict)}]{{.verdict .verdict-{claim.verdict}}}{earned}",
        "",
    ]
    if not result.earned:
        lines += [f"- {reason}" for reason in result.missing] + [""]
    title = "The statement" if claim.paper == "book" else "As printed"
    lines += [f"::::{{admonition}} {title}", ":class: as-printed", "", claim.printed.strip()]
    if claim.assumptions:
        lines += ["", "Assumptions: " + "; ".join(claim.assumptions) + "."]
    lines += ["::::", "", "**What holds.** " + claim.holds.strip(), ""]
    lines += ["**Evidence.**", ""]
    for outcome in result.outcomes:
        lines.append(_evidence_line(outcome))
    lines.append("")
    lines += _attachments(result.outcomes)
    for label, text in (
        ("Proof", claim.proof),
        ("The authors' best answer, and ours", claim.rebuttal),
        ("Effect", claim.effect),
        ("Prior art", claim.prior_art),
    ):
        if text:
            lines += [f"**{label}.** {text.strip()}", ""]
    lines += _links(claim, results, root)
    return lines


def _evidence_line(outcome: Outcome) -> str:
    check, evidence = outcome.check, outcome.evidence
    line = f"- {_mark(evidence.passed)} **{check.role}** ({check.kind}): {check.statement}"
    line += f" {evidence.summary}"
    if evidence.assumptions:
        met = "; ".join(f"{_mark(ok)} {name}" for name, ok in evidence.assumptions.items())
        line += f" Checked on this instance: {met}."
    return line


def _mark(passed: bool) -> str:
    return "✓" if passed else "✗"


def _attachments(outcomes: Sequence[Outcome]) -> list[str]:
    """The derivations and the solver's questions of a claim, in one collapsed box."""
    lines: list[str] = []
    for outcome in outcomes:
        data = outcome.evidence.data
        if "latex" in data:
            lines += [f"{outcome.check.statement} Each line was verified by sympy:", ""]
            lines += ["$$", str(data["latex"]), "$$", ""]
        if "smt2" in data:
            lines += [
                f"{outcome.check.statement} Any SMT solver answers `{data['answer']}` to:",
                "",
            ]
            lines += ["```text", str(data["smt2"]).strip(), "```", ""]
    if not lines:
        return []
    title = "::::{admonition} To check it elsewhere: derivations and solver questions"
    return [title, ":class: dropdown", "", *lines, "::::", ""]


def _links(claim: Claim, results: Sequence[Result], root: Path | None) -> list[str]:
    present = {result.claim.id for result in results}
    used_by = [result.claim.id for result in results if claim.id in result.claim.uses]
    parts = []
    for label, ids in (("Uses", claim.uses), ("Used by", used_by)):
        if ids:
            parts.append(f"{label}: " + ", ".join(link(name, present) for name in ids))
    if root is not None and (root / f"{claim.chapter}.md").exists():
        parts.append(f"Taught in [](./{claim.chapter}.md)")
    return [" · ".join(parts) + ".", ""] if parts else []


def link(claim_id: str, present: set[str]) -> str:
    """A link to a claim's ledger entry, or its id alone if it is not among those `present`."""
    return f"[{claim_id}](#{anchor(claim_id)})" if claim_id in present else f"`{claim_id}`"
