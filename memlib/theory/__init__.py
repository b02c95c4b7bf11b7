"""Every claim of the three papers on trial by code: `memlib ledger` runs it all.

A module of claims is a table: it ends in `CLAIMS`, and it is named here once.

Example:
    >>> from memlib.theory import CLAIMS
    >>> "feldman/def-mem" in {claim.id for claim in CLAIMS}
    True
"""

from memlib.theory import book_csl, book_time, feldman, orders, orders_loss, orders_time
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict, registry

__all__ = ["CLAIMS", "Check", "Claim", "Evidence", "Kind", "Role", "Verdict"]

CLAIMS: tuple[Claim, ...] = registry(
    feldman.CLAIMS,
    orders.CLAIMS,
    orders_loss.CLAIMS,
    orders_time.CLAIMS,
    book_time.CLAIMS,
    book_csl.CLAIMS,
)
