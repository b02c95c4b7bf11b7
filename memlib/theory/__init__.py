"""Every claim of the three papers on trial by code: `memlib ledger` runs it all.

A module of claims is a table: it ends in `CLAIMS`, and it is named here once.

Example:
    >>> from memlib.theory import CLAIMS
    >>> "feldman/def-mem" in {claim.id for claim in CLAIMS}
    True
"""

from memlib.theory import book, feldman, orders, orders_links
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict, registry

__all__ = ["CLAIMS", "Check", "Claim", "Evidence", "Kind", "Role", "Verdict"]

CLAIMS: tuple[Claim, ...] = registry(
    feldman.CLAIMS, orders.CLAIMS, orders_links.CLAIMS, book.CLAIMS
)
