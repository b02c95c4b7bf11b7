"""The mutants of every claim, paper by paper, so that workers can share them."""

from typing import Any

import pytest

from memlib.theory import CLAIMS


def claims_of(*papers: str) -> Any:
    """Parametrizes a test by the claims of some papers."""
    chosen = [claim for claim in CLAIMS if claim.paper in papers]
    return pytest.mark.parametrize("claim", chosen, ids=[claim.id for claim in chosen])
