"""The picture of which claim rests on which: an SVG whose boxes link to the ledger."""

from collections.abc import Sequence
from pathlib import Path

from memlib.theory.claims import Claim, Result, Verdict
from memlib.theory.ledger import anchor, badge, link

WIDE, HIGH = 250, 46  # a box
GAP_X, GAP_Y = 20, 40
COLUMNS = 3  # boxes side by side, so that text has its natural size on the page

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


def theorem_map(results: Sequence[Result], root: Path | None = None) -> str:
    """The map as a MyST page: an inline SVG, and the same as a list.

    Args:
        results: What `memlib.theory.ledger.run` returned.
        root: Not used; there so that both pages are made alike.

    Returns:
        Markdown. Each box of the picture links to the claim's ledger entry, says its verdict in
        words, and has the class `verdict-<word>`; strokes and text use `currentColor`.
    """
    claims = [result.claim for result in results]
    present = {claim.id for claim in claims}
    lines = [
        "(theorem-map)=",
        "# The theorem map",
        "",
        "An arrow leads from a claim to a claim that rests on it (one that follows from a chain of "
        "arrows is left out). Each box says the verdict and leads to the entry in the "
        "[ledger](ledger.md); a dashed frame is a claim that does not hold as printed.",
        "",
        "```{raw} html",
        *_svg(claims),
        "```",
        "",
        "## The same as a list",
        "",
    ]
    for claim in claims:
        uses = ", ".join(link(name, present) for name in claim.uses)
        rests = f" Rests on {uses}." if uses else ""
        lines.append(f"- {link(claim.id, present)} ({badge(claim.verdict)}): {claim.title}.{rests}")
    return "\n".join(lines) + "\n"


def _places(claims: Sequence[Claim]) -> dict[str, Place]:
    """Upper left corners. Within a layer, a claim stands near those that it uses."""
    places: dict[str, Place] = {}
    row = 0
    for layer in layers(claims):

        def middle(claim: Claim) -> float:
            used = [places[name][0] for name in claim.uses if name in places]
            return sum(used) / len(used) if used else 0.0

        ordered = sorted(layer, key=middle)
        for number, claim in enumerate(ordered):
            x, y = number % COLUMNS, row + number // COLUMNS
            places[claim.id] = (2 + x * (WIDE + GAP_X), 2 + y * (HIGH + GAP_Y))
        row += -(-len(layer) // COLUMNS)
    return places


def _svg(claims: Sequence[Claim]) -> list[str]:
    places = _places(claims)
    width = COLUMNS * (WIDE + GAP_X) - GAP_X + 4
    height = max((y for _, y in places.values()), default=0) + HIGH + 4
    return [
        '<div class="theorem-map" style="overflow-x:auto">',
        f'<svg viewBox="0 0 {width} {height}" role="group" xmlns="http://www.w3.org/2000/svg"'
        ' style="width:100%;min-width:36rem;height:auto" aria-labelledby="map-title map-desc">',
        '<title id="map-title">Which claim rests on which</title>',
        f'<desc id="map-desc">A graph of {len(places)} claims. An arrow leads from a claim to one '
        "that rests on it. The list below the picture says the same in words.</desc>",
        '<defs><marker id="map-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
        ' markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker>'
        "</defs>",
        *(_arrow(places[used], places[user]) for used, user in arrows(claims)),
        *(_box(claim, *places[claim.id]) for claim in claims),
        "</svg>",
        "</div>",
    ]


def _arrow(start: Place, end: Place) -> str:
    x0, y0 = start[0] + WIDE // 2, start[1] + HIGH
    x1, y1 = end[0] + WIDE // 2, end[1] - 2
    bend = GAP_Y
    return (
        f'<path d="M{x0} {y0}C{x0} {y0 + bend} {x1} {y1 - bend} {x1} {y1}" fill="none"'
        ' stroke="currentColor" stroke-opacity="0.6" marker-end="url(#map-arrow)"/>'
    )


def _box(claim: Claim, x: int, y: int) -> str:
    dashed = "" if claim.verdict in (Verdict.HOLDS, Verdict.LOOSE) else ' stroke-dasharray="6 3"'
    return (
        f'<a href="ledger.html#{anchor(claim.id)}" class="verdict-{claim.verdict}"'
        ' fill="currentColor"'  # of the underline, which is black otherwise
        f' aria-label="{claim.id}: {claim.verdict}">'
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="6" stroke="currentColor"'
        f' stroke-width="1.5"{dashed} style="fill:var(--pst-color-background, Canvas)"/>'
        f'<text x="{x + 10}" y="{y + 19}" font-size="13" fill="currentColor">{claim.id}</text>'
        f'<text x="{x + 10}" y="{y + 37}" font-size="13" fill="currentColor">'
        f"{badge(claim.verdict)}</text></a>"
    )
