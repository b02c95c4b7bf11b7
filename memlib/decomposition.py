"""Cumulative loss taken apart: held-out difficulty minus memorization, on real networks.

For the Gibbs loss 1 - p_y, the expected CSL of a sample in training is the sum over training of
its held-out loss minus the sum over training of its memorization (R2, `book/r2`). Networks on
random subsets (`memlib.cumulative_runs`) measure both terms: those that train on a sample give its
CSL, the others its held-out loss.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from memlib.cumulative_runs import (
    CumulativeRuns,
    audit,
    cumulative_runs,
    join,
    load,
    subset_sets,
)
from memlib.errors import InvalidInput, NotPositive
from memlib.stability import masked_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CumulativeRuns",
    "audit",
    "cumulative_runs",
    "decompose",
    "join",
    "load",
    "proxy_correlation",
    "subset_sets",
]


def decompose(runs: CumulativeRuns) -> "pd.DataFrame":
    """Take the CSL of every sample apart: `csl = held_out - memorized`.

    Args:
        runs: The sums of many networks.

    Returns:
        One row per sample (index `sample`), all columns higher = harder or more memorized.
        `csl`: the mean sum of 1 - p_y over the networks that trained on the sample, in [0, N].
        `held_out`: the same over the others. `memorized`: their difference, the signed Gibbs
        memorization summed over training. `csl_nats`, `held_out_nats`, `memorized_nats`: the
        same for cross-entropy, whose difference is no memorization in Feldman's sense.
        `memorization`: Gibbs memorization of the trained networks, in [-1, 1]. Each has a
        standard error in `..._se`, which takes the networks as independent. NaN where a sample
        was in all training sets or in none; a standard error also below two runs on either side.
    """
    import pandas as pd

    columns: dict[str, np.ndarray] = {}
    for values, suffix in ((runs.gibbs, ""), (runs.cross_entropy, "_nats")):
        (inside, one), (outside, other) = (
            masked_mean(values, mask) for mask in (runs.members, ~runs.members)
        )
        for name, mean, variance in (
            ("csl", inside, one),
            ("held_out", outside, other),
            ("memorized", outside - inside, one + other),
        ):
            columns |= {f"{name}{suffix}": mean, f"{name}{suffix}_se": np.sqrt(variance)}
    (inside, one), (outside, other) = (
        masked_mean(runs.probability, mask) for mask in (runs.members, ~runs.members)
    )
    columns |= {"memorization": inside - outside, "memorization_se": np.sqrt(one + other)}
    return pd.DataFrame(columns, index=pd.Index(runs.ids, name="sample"))


def proxy_correlation(rho: float, ratio: float) -> float:
    """Return the correlation of H - M with M: what CSL says about memorization, by R2.

    H is the held-out difficulty of a sample, M its memorization, both summed over training. The
    correlation is (rho - ratio) / sqrt(1 - 2 rho ratio + ratio^2): positive exactly where the
    slope of the regression of H on M, rho / ratio, is above 1.

    Args:
        rho: Correlation of H and M over the samples, in (-1, 1).
        ratio: Standard deviation of M over that of H, positive.

    Returns:
        The correlation, in [-1, 1]; that with H instead is `-proxy_correlation(rho, 1 / ratio)`.

    Raises:
        InvalidInput: rho is not in (-1, 1).
        NotPositive: ratio is not positive.

    Example:
        >>> from memlib.decomposition import proxy_correlation
        >>> round(proxy_correlation(0.9, 0.5), 3), proxy_correlation(0.5, 0.5)
        (0.676, 0.0)
    """
    if not -1 < rho < 1:
        raise InvalidInput("rho", rho, "Pass a correlation between -1 and 1.")
    if not 0 < ratio < math.inf:
        raise NotPositive("ratio", ratio, "Pass a positive number.")
    return (rho - ratio) / math.sqrt(1 - 2 * rho * ratio + ratio**2)
