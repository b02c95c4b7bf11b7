"""No mutant of a claim's checks may go unnoticed: unique, book."""

from memlib.theory.claims import Claim
from memlib.theory.mutants import survivors
from tests.theory.survivors import claims_of


@claims_of("unique", "book")
def test_no_mutant_survives(claim: Claim) -> None:
    assert survivors(claim).survivors == ()
