"""No mutant of a claim's checks may go unnoticed: the published version of orders."""

from memlib.theory.claims import Claim
from memlib.theory.mutants import survivors
from tests.theory.survivors import claims_of


@claims_of("orders-icml")
def test_no_mutant_survives(claim: Claim) -> None:
    assert survivors(claim).survivors == ()
