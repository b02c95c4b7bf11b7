"""Every claim of the three papers on trial by code: `memlib ledger` runs it all.

A module of claims is a table: it ends in `CLAIMS`, and its package names it once.

Example:
    >>> from memlib.theory import get
    >>> get("feldman/def-mem").verdict
    <Verdict.HOLDS: 'holds'>
"""

from memlib.theory import book, feldman, icml, orders, privacy, unique
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict, registry
from memlib.theory.ledger import find

__all__ = ["CLAIMS", "Check", "Claim", "Evidence", "Kind", "Role", "Verdict", "get"]

CLAIMS: tuple[Claim, ...] = registry(
    feldman.CLAIMS,
    orders.CLAIMS,
    icml.CLAIMS,
    privacy.CLAIMS,
    unique.CLAIMS,
    book.CLAIMS,
)


def get(claim_id: str) -> Claim:
    """Returns the claim with an id such as `orders/thm-4.3`.

    Raises:
        UnknownName: No claim has this id; the error lists the ids that come closest.
    """
    return find(CLAIMS, claim_id)
