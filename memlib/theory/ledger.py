"""Run the claims and tell what came out: `memlib ledger`.

Everything that is told comes from the claims and from what their checks computed.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from memlib.errors import UnknownName
from memlib.files import atomic_path
from memlib.theory.claims import PAPERS, Claim, Result, Verdict, try_claim
from memlib.theory.evidence import EFFORT

#: Verdict to its symbol (the word always stands beside it) and what it means.
VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    Verdict.HOLDS: ("✓", "true as printed, and a weaker hypothesis or a smaller constant fails"),
    Verdict.LOOSE: ("≈", "true, and a better constant exists"),
    Verdict.MISPRINT: ("✎", "the proof gives another formula, and that one holds"),
    Verdict.GAP: ("…", "the argument does not give it; it is not refuted"),
    Verdict.VACUOUS: ("∅", "true, but it says nothing where it would matter"),
    Verdict.FALSE: ("✗", "an instance meets every printed assumption and breaks the conclusion"),
}

#: How many times longer a long run searches.
LONG = 50


def run(
    claims: Sequence[Claim] | None = None, long: bool = False, progress: bool | None = False
) -> list[Result]:
    """Run every check of the claims.

    Args:
        claims: What to try; None tries all of `memlib.theory.CLAIMS`.
        long: Let each search try `LONG` times as many instances.
        progress: Whether to show a bar; None shows one on a terminal.

    Returns:
        One result per claim, in order. Cost: about a second per claim, on one core; a long run
        takes minutes.
    """
    if claims is None:
        from memlib.theory import CLAIMS

        claims = CLAIMS
    effort = EFFORT.set(LONG if long else 1)
    try:
        return [try_claim(claim) for claim in _bar(claims, "claims", progress)]
    finally:
        EFFORT.reset(effort)


def _bar(items: Sequence[Any], unit: str, progress: bool | None) -> Iterator[Any]:
    from tqdm.std import tqdm

    # None: tqdm itself looks whether it writes to a terminal
    disable = None if progress is None else not progress
    yield from tqdm(items, unit=unit, disable=disable, dynamic_ncols=True, leave=False)


def find(claims: Sequence[Claim], claim_id: str) -> Claim:
    """The claim with an id such as `orders/thm-4.3`.

    Raises:
        UnknownName: No claim has this id; the error lists the ids that come closest.
    """
    by_id = {claim.id: claim for claim in claims}
    if claim_id in by_id:
        return by_id[claim_id]
    near = get_close_matches(claim_id, by_id, n=5, cutoff=0.4) or sorted(by_id)[:5]
    raise UnknownName("claim", claim_id, f"The nearest are {', '.join(near)}.")


def select(
    claims: Sequence[Claim], ids: Sequence[str] = (), paper: str | None = None
) -> list[Claim]:
    """The claims with the given ids or of a paper, in ledger order; all if neither is given.

    Raises:
        UnknownName: An id is no claim's, or the paper has none.
    """
    wanted = {find(claims, name).id for name in ids}
    if paper is not None and paper not in PAPERS:
        raise UnknownName("paper", paper, f"Known are {', '.join(PAPERS)}.")
    if not ids and paper is None:
        return list(claims)
    return [claim for claim in claims if claim.id in wanted or claim.paper == paper]


def main(
    claim_ids: Sequence[str] = (),
    page: Path | str | None = None,
    map: Path | str | None = None,  # named like the option of the command line
    echo: Callable[[str], object] = print,
    *,
    paper: str | None = None,
    long: bool = False,
    progress: bool | None = False,
) -> int:
    """Run the ledger, tell what came out, and write the pages that are asked for.

    Args:
        claim_ids: Ids of the claims to try; none means all.
        page: The folder to write the ledger's pages into, or its first page, `ledger.md`, there.
        map: Where to write the theorem map.
        echo: What to tell the text with.
        paper: Try the claims of this paper, too (alone, if no id is given).
        long: Let each search try `LONG` times as many instances.
        progress: Whether to show a bar; None shows one on a terminal.

    Returns:
        0 if every verdict is earned, else 1: the exit code of `memlib ledger`.

    Raises:
        UnknownName: An id is no claim's, or there is no such paper.
    """
    from memlib.theory import CLAIMS
    from memlib.theory.ledger_pages import ledger_pages
    from memlib.theory.theorem_map import theorem_map

    results = run(select(CLAIMS, claim_ids, paper), long, progress)
    echo(render_text(results))
    if page is not None:
        folder = Path(page).parent if Path(page).name == "ledger.md" else Path(page)
        for name, text in ledger_pages(results, folder).items():
            _write(folder / name, text)
    if map is not None:
        _write(Path(map), theorem_map(results, Path(map).parent))
    return 0 if all(result.earned for result in results) else 1


def mutation_report(
    claim_ids: Sequence[str] = (),
    echo: Callable[[str], object] = print,
    *,
    paper: str | None = None,
    progress: bool | None = False,
) -> int:
    """Change every constant and flip every comparison in the checks, and tell what went unseen.

    Args:
        claim_ids: Ids of the claims; none means all.
        echo: What to tell the text with, line by line.
        paper: Take the claims of this paper, too (alone, if no id is given).
        progress: Whether to show a bar; None shows one on a terminal.

    Returns:
        0 if every mutant was noticed, else 1.
    """
    from memlib.theory import CLAIMS
    from memlib.theory.mutants import survivors

    reports = []
    for claim in _bar(select(CLAIMS, claim_ids, paper), "claims", progress):
        reports.append(report := survivors(claim))
        for name in report.survivors:
            echo(f"SURVIVES  {claim.id}   {name}")
    checks, sites = sum(r.checks for r in reports), sum(r.sites for r in reports)
    unseen = sum(len(r.survivors) for r in reports)
    echo(
        f"{checks} checks of {len(reports)} claim{'' if len(reports) == 1 else 's'}: "
        f"{sites} places changed, {unseen} went unseen"
    )
    return 1 if unseen else 0


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def anchor(claim_id: str) -> str:
    """The label of a claim's entry in the ledger: `orders/thm-4.3` is at `orders-thm-4-3`."""
    return re.sub(r"[^a-z0-9]+", "-", claim_id.lower())


def badge(verdict: Verdict) -> str:
    """Symbol and word of a verdict, such as `✗ false`."""
    return f"{VERDICTS[verdict][0]} {verdict}"


def counts(results: Sequence[Result]) -> dict[str, Counter[Verdict]]:
    """How many claims of each paper have each verdict; papers without claims are left out."""
    found = {paper: Counter[Verdict]() for paper in PAPERS}
    for result in results:
        found[result.claim.paper][result.claim.verdict] += 1
    return {paper: count for paper, count in found.items() if count}


# Text ------------------------------------------------------------------------------------------


def render_text(results: Sequence[Result]) -> str:
    """Each claim with its verdict and evidence, for the terminal.

    Counts by paper and verdict come last, and before them what is not earned.
    """
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
    open_ones = [result for result in results if not result.earned]
    lines.append("")
    for result in open_ones:
        lines.append(f"NOT EARNED  {result.claim.id} ({badge(result.claim.verdict)})")
        lines += [f"    {reason}" for reason in result.missing]
    if len(results) > 1:
        lines += [*_count_table(results), ""]
    seconds = sum(outcome.seconds for result in results for outcome in result.outcomes)
    checks = sum(len(result.outcomes) for result in results)
    lines.append(
        f"{len(results)} claims, {checks} checks, {len(open_ones)} verdicts not earned "
        f"({seconds:.1f} s)"
    )
    return "\n".join(lines)


def _count_table(results: Sequence[Result]) -> list[str]:
    head = ["", *VERDICTS, "all"]
    rows = [
        [paper, *(str(count[v] or "·") for v in VERDICTS), str(count.total())]
        for paper, count in counts(results).items()
    ]
    whole = Counter(result.claim.verdict for result in results)
    rows.append(["all", *(str(whole[v] or "·") for v in VERDICTS), str(whole.total())])
    return [
        "".join(f"{cell:<13}" if k == 0 else f"{cell:>9}" for k, cell in enumerate(row))
        for row in (head, *rows)
    ]
