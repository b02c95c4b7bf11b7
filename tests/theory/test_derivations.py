"""No line of a derivation says that something equals itself."""

import pytest
import sympy

from memlib.theory import CLAIMS, evidence
from memlib.theory.claims import Kind

SHOWN_BY_A_LAB = {  # whose stored outputs hold these lines as sympy works them out
    "book/curvature-identity",
    "book/gradient-by-curvature",
    "book/r1",
    "orders/thm-4.5",
}
LONG = {"orders/eq-27", "privacy/eq-13"}  # polynomials of dozens of terms, which cancel or add up


def test_no_step_has_the_same_expression_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, claim_id = {}, ""

    def collect(derivation: evidence.Derivation) -> list[str]:
        same = [sympy.latex(step.left) == sympy.latex(step.right) for step in derivation.steps]
        seen[claim_id] = seen.get(claim_id, False) or any(same)
        return []

    monkeypatch.setattr(evidence.Derivation, "failures", collect)
    for claim in CLAIMS:
        claim_id = claim.id
        for check in claim.checks:
            if check.kind is Kind.SYMBOLIC:
                check.run()
    assert len(seen) > 80
    assert {claim_id for claim_id, same in seen.items() if same} == SHOWN_BY_A_LAB | LONG
