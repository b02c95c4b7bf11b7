"""Every claim of the three papers on trial by code: `memlib ledger` runs it all.

A module of claims is a table: it ends in `CLAIMS`, and its package names it once.

Example:
    >>> from memlib.theory import get
    >>> get("feldman/def-mem").verdict
    <Verdict.HOLDS: 'holds'>
"""

from memlib.errors import UnknownName
from memlib.theory import book, feldman, orders, privacy
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict, registry

__all__ = ["CLAIMS", "Check", "Claim", "Evidence", "Kind", "Role", "Verdict", "get"]

CLAIMS: tuple[Claim, ...] = registry(feldman.CLAIMS, orders.CLAIMS, privacy.CLAIMS, book.CLAIMS)


def get(claim_id: str) -> Claim:
    """Returns the claim with an id such as `orders/thm-4.3`.

    Raises:
        UnknownName: No claim has this id; the error lists the ids that come closest.
    """
    from difflib import get_close_matches

    by_id = {claim.id: claim for claim in CLAIMS}
    if claim_id in by_id:
        return by_id[claim_id]
    near = get_close_matches(claim_id, by_id, n=5, cutoff=0.4) or sorted(by_id)[:5]
    raise UnknownName("claim", claim_id, f"The nearest are {', '.join(near)}.")
