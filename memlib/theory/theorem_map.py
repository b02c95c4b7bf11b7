"""The picture of which claim rests on which: for each paper an SVG whose boxes link to the ledger.

Two claims of a paper that rest on each other, also through others, stand in one cluster; arrows run
in the spaces between the boxes, each source in its own lane. What rests on another paper's claims
says so in its box, and in the list below the picture.
"""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from memlib.theory.claims import PAPERS, Claim, Result, Verdict
from memlib.theory.ledger import badge
from memlib.theory.ledger_pages import link, page_of, short

WIDE, HIGH = 222, 46  # a box
GAP_X, GAP_Y = 24, 36
COLUMNS = 3  # boxes side by side, so that text has its natural size on the page
LONGEST = 30  # characters of an id that fit into a box
LANE = 3  # between two lines that run side by side

#: How the frame of a box is drawn: the width and the dashes of its stroke.
FRAMES = {
    Verdict.HOLDS: (1.5, ""),
    Verdict.LOOSE: (1.5, "14 3"),
    Verdict.MISPRINT: (1.5, "9 3 2 3"),
    Verdict.GAP: (1.5, "2 3"),
    Verdict.VACUOUS: (1.5, "6 4"),
    Verdict.FALSE: (3.5, ""),
}

Place = tuple[int, int]


def layers(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Claims by depth: first those that use none, then those that use only the first, and so on."""
    by_id = {claim.id: claim for claim in claims}
    depth: dict[str, int] = {}

    def deep(name: str) -> int:
        if name not in depth:
            used = [deep(other) for other in by_id[name].uses if other in by_id]
            depth[name] = 1 + max(used, default=-1)
        return depth[name]

    height = 1 + max((deep(name) for name in by_id), default=-1)
    return [[claim for claim in claims if depth[claim.id] == level] for level in range(height)]


def arrows(claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Pairs (used, user), without those that follow from a chain of others."""
    uses = {claim.id: set(claim.uses) for claim in claims}

    def reach(name: str) -> set[str]:
        return {name}.union(*(reach(other) for other in uses.get(name, ())))

    return [
        (used, claim.id)
        for claim in claims
        for used in claim.uses
        if used in uses and not any(used in reach(other) for other in uses[claim.id] - {used})
    ]


def clusters(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Claims that hang together, largest cluster first; all that stand alone are the last one."""
    group = {claim.id: {claim.id} for claim in claims}
    for claim in claims:
        for used in claim.uses:
            if used in group and group[used] is not group[claim.id]:
                group[claim.id] |= group[used]
                for name in group[used]:
                    group[name] = group[claim.id]
    whole = {frozenset(names) for names in group.values()}
    found = [[claim for claim in claims if claim.id in names] for names in whole]
    position = {claim.id: k for k, claim in enumerate(claims)}
    together = [cluster for cluster in found if len(cluster) > 1]
    together.sort(key=lambda cluster: (-len(cluster), position[cluster[0].id]))
    alone = [claim for claim in claims if len(group[claim.id]) == 1]
    return [*together, alone] if alone else together


def theorem_map(results: Sequence[Result], root: Path | None = None) -> str:
    """The map as a MyST page: an overview, and for each paper an SVG and the same as a list.

    Args:
        results: What `memlib.theory.ledger.run` returned.
        root: Folder of the page (`book/`). A claim of the list links to its chapter if the chapter
            is there.

    Returns:
        Markdown. Each box of a picture links to the claim's ledger entry, says its verdict in
        words, and has the class `verdict-<word>`; strokes and text use `currentColor`.
    """
    claims = [result.claim for result in results]
    papers = [paper for paper in PAPERS if any(claim.paper == paper for claim in claims)]
    lines = [
        "(theorem-map)=",
        "# The theorem map",
        "",
        "An arrow leads from a claim to a claim of the same paper that rests on it (one that "
        "follows from a chain of arrows is left out). Each box says the verdict and leads to the "
        "entry in the [ledger](ledger.md); “+ 2” is two claims of other papers that it rests on, "
        "which the list names.",
        "",
        *_legend(),
        *_overview(claims, papers),
    ]
    for paper in papers:
        own = [claim for claim in claims if claim.paper == paper]
        lines += [f"(theorem-map-{paper})=", f"## {PAPERS[paper]}", "", "```{raw} html"]
        lines += [*_svg(own, paper), "```", ""]
        lines += ["::::{admonition} The same as a list", ":class: dropdown", ""]
        lines += [_item(claim, {c.id for c in claims}, root) for claim in own] + ["::::", ""]
    return "\n".join(lines).rstrip() + "\n"


def _item(claim: Claim, present: set[str], root: Path | None) -> str:
    line = f"- {link(claim.id, present)} ({badge(claim.verdict)}): {claim.title}."
    if claim.uses:
        line += " Rests on " + ", ".join(link(name, present) for name in claim.uses) + "."
    if root is not None and (root / f"{claim.chapter}.md").exists():
        line += f" Taught in [](./{claim.chapter}.md)."
    return line


def _overview(claims: Sequence[Claim], papers: Sequence[str]) -> list[str]:
    """How many claims of each paper rest on claims of each."""
    paper = {claim.id: claim.paper for claim in claims}
    pairs = Counter(
        (claim.paper, paper[used]) for claim in claims for used in claim.uses if used in paper
    )
    lines = [
        "How often a claim of one paper (row) rests on a claim of another (column):",
        "",
        "| | " + " | ".join(f"`{key}`" for key in papers) + " |",
        "| :-- |" + " --: |" * len(papers),
    ]
    for row in papers:
        numbers = [str(pairs[row, column] or "–") for column in papers]
        lines.append(f"| [{row}](#theorem-map-{row}) | " + " | ".join(numbers) + " |")
    return [*lines, ""]


def _legend() -> list[str]:
    step = 118
    boxes = []
    for k, (verdict, (width, dashes)) in enumerate(FRAMES.items()):
        boxes.append(
            f'<g class="verdict-{verdict}"><rect x="{2 + k * step}" y="3" width="{step - 10}"'
            f' height="26" rx="6" fill="none" stroke="currentColor" stroke-width="{width}"'
            f' stroke-dasharray="{dashes or "none"}"/><text x="{12 + k * step}" y="21"'
            f' font-size="13" fill="currentColor">{badge(verdict)}</text></g>'
        )
    return [
        "```{raw} html",
        f'<div class="theorem-map"><svg viewBox="0 0 {step * len(FRAMES)} 32" role="img"'
        ' xmlns="http://www.w3.org/2000/svg" aria-labelledby="map-legend">',
        '<title id="map-legend">The frame of a box says its verdict</title>',
        *boxes,
        "</svg></div>",
        "```",
        "",
    ]


def _places(claims: Sequence[Claim]) -> tuple[dict[str, Place], int]:
    """Upper left corners, and the number of rows. A claim stands near those that it uses."""
    places: dict[str, Place] = {}
    row = 0
    for cluster in clusters(claims):
        for layer in layers(cluster):

            def middle(claim: Claim) -> float:
                used = [places[name][0] for name in claim.uses if name in places]
                return sum(used) / len(used) if used else 0.0

            for number, claim in enumerate(sorted(layer, key=middle)):
                column, down = number % COLUMNS, row + number // COLUMNS
                places[claim.id] = (
                    GAP_X + column * (WIDE + GAP_X),
                    2 + down * (HIGH + GAP_Y),
                )
            row += -(-len(layer) // COLUMNS)
    return places, row


def _svg(claims: Sequence[Claim], paper: str) -> list[str]:
    places, rows = _places(claims)
    width = COLUMNS * (WIDE + GAP_X) + GAP_X
    height = rows * (HIGH + GAP_Y) - GAP_Y + 4
    drawn = arrows(claims)
    lanes = {used: k % 7 - 3 for k, used in enumerate(dict.fromkeys(used for used, _ in drawn))}
    inside = {claim.id for claim in claims}
    title, desc, head = f"map-{paper}-title", f"map-{paper}-desc", f"map-{paper}-arrow"
    return [
        '<div class="theorem-map">',
        f'<svg viewBox="0 0 {width} {height}" role="img" xmlns="http://www.w3.org/2000/svg"'
        f' aria-labelledby="{title} {desc}">',
        f'<title id="{title}">{escape(short(paper))}: which claim rests on which</title>',
        f'<desc id="{desc}">A graph of {len(places)} claims. An arrow leads from a claim to one '
        "that rests on it. The list below the picture says the same in words.</desc>",
        f'<defs><marker id="{head}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
        ' markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker>'
        "</defs>",
        *(_arrow(places[used], places[user], LANE * lanes[used], head) for used, user in drawn),
        *(_box(claim, *places[claim.id], len(set(claim.uses) - inside)) for claim in claims),
        "</svg>",
        "</div>",
    ]


def _arrow(start: Place, end: Place, lane: int, head: str) -> str:
    """A line through the spaces between the boxes, shifted by `lane` from their middle."""
    x0, y0 = start[0] + WIDE // 2 + lane, start[1] + HIGH
    x1, y1 = end[0] + WIDE // 2 + lane, end[1] - 2
    below, above = y0 + GAP_Y // 2 + lane, y1 + 2 - GAP_Y // 2 + lane
    if below == above:  # the next row
        route = f"V{below}H{x1}"
    else:
        route = f"V{below}H{end[0] - GAP_X // 2 + lane}V{above}H{x1}"
    return (
        f'<path d="M{x0} {y0}{route}V{y1}" fill="none" stroke="currentColor"'
        f' stroke-opacity="0.6" stroke-linejoin="round" marker-end="url(#{head})"/>'
    )


def _box(claim: Claim, x: int, y: int, elsewhere: int) -> str:
    width, dashes = FRAMES[claim.verdict]
    name = claim.id.removeprefix(f"{claim.paper}/")
    shown = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    more = f" + {elsewhere}" if elsewhere else ""
    return (
        f'<a href="{page_of(claim)}" class="verdict-{claim.verdict}"'
        f' aria-label="{claim.id}: {claim.verdict}">'
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="6" stroke="currentColor"'
        f' stroke-width="{width}" stroke-dasharray="{dashes or "none"}"/>'
        f'<text x="{x + 10}" y="{y + 19}" font-size="13" fill="currentColor">{shown}</text>'
        f'<text x="{x + 10}" y="{y + 37}" font-size="13" fill="currentColor">'
        f"{badge(claim.verdict)}</text>"
        f'<text x="{x + WIDE - 10}" y="{y + 37}" font-size="13" text-anchor="end"'
        f' fill="currentColor">{more.strip()}</text></a>'
    )
