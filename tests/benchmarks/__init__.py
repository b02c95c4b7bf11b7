"""The performance claims: each module measures one thing and returns what became of its targets."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """One target, what was measured, and whether it was met."""

    name: str
    value: float
    target: float
    met: bool
