"""Data summarization: remove the least informative samples, look again, and go on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from memlib.descent import GradientDescent
from memlib.errors import TooLarge
from memlib.leave_one_out import check_system, inverse, squared_changes
from memlib.linearized import LinearizedModel, cross_kernel
from memlib.runtime import progress as progress_bar
from memlib.runtime import whole_number

if TYPE_CHECKING:
    import pandas as pd


def summarize(
    linearized: LinearizedModel,
    descent: GradientDescent | None = None,
    *,
    keep: int,
    per_round: int | None = None,
    evaluation: Tensor | None = None,
    largest: bool = False,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Remove samples round by round, each time those with the least functional information.

    Information is unique: of two equal samples each has little until the other is gone. So scores
    are computed again after every round (`unique`, Section 6: "bottom iterative"). `keep` and
    `per_round` that leave one round give the scores of the whole set once ("bottom").

    Args:
        linearized: The linearized network with its training samples.
        descent: How it is trained; None for the minimum without decay.
        keep: Samples to end with.
        per_round: Samples to remove between two computations of the scores; None for 5 % of n.
        evaluation: Inputs to predict, `(m, ...)`; None for all training samples, removed or not.
        largest: Remove the most informative samples instead ("top").
        progress: Show a progress bar; None shows it where standard error is a terminal.

    Returns:
        One row per removed sample (index `sample`: its position), in the order of removal: `round`,
        from 0, and `score`, the F-SI with sigma = 1 that it had in that round, in nats, at least 0;
        higher = the predictions depended more on it.

    Raises:
        TooLarge: `keep` is not below the number of samples.
        NotPositive, WrongType: `keep` or `per_round` is not a positive whole number.
        SingularKernel: The time is infinite and the kernel plus decay has no inverse.
        InvalidInput: As `memlib.information.functional_sample_information`.

    Cost: at infinite time one inverse, and per round of g samples `2 (n + m) n g k^3` operations:
    the inverse and its product with the cross kernel are carried over to the samples that remain.
    At a finite time every round takes a new eigendecomposition, of the samples that remain: nothing
    exact is faster. With n = 600 and one core it takes 30 ms. The 18 resolvents of
    `memlib.descent.contour` can be carried over like the inverse, but are 36 tables of the kernel's
    size: 31 ms without one sample, 44 ms without 30, the default. Moving the eigenvectors along
    (rank-one updates) takes one product of the kernel's size, 5 ms, for every removed sample: less
    than a new eigendecomposition only up to six of them a round (`tests/benchmarks`).
    """
    import pandas as pd

    descent = descent or GradientDescent()
    n = len(linearized)
    if whole_number("keep", keep) >= n:
        raise TooLarge("keep", keep, f"There are {n} samples: keep fewer.")
    step = max(1, n // 20) if per_round is None else whole_number("per_round", per_round)
    kernel, residuals = check_system(linearized.kernel, linearized.residuals)
    cross = kernel if evaluation is None else cross_kernel(linearized, evaluation)
    count = n if evaluation is None else len(evaluation)
    infinite = math.isinf(descent.time)
    left = torch.arange(n, device=kernel.device)
    if infinite:
        state = _State.start(kernel, residuals, cross, descent.decay)
    parts: list[pd.DataFrame] = []
    with progress_bar(total=n - keep, desc="summarize", enabled=progress) as bar:
        while len(left) > keep:
            if infinite:
                scores = state.scores()
            else:
                k = residuals.shape[1]
                rows = (left[:, None] * k + torch.arange(k, device=left.device)).flatten()
                call = kernel[rows][:, rows], residuals[left], descent
                _, scores = squared_changes(*call, cross=cross[:, rows], progress=False)
            gone = scores.argsort(descending=largest, stable=True)[: min(step, len(left) - keep)]
            table = {"round": len(parts), "score": (scores[gone] / (2 * count)).cpu().numpy()}
            parts.append(
                pd.DataFrame(table, index=pd.Index(left[gone].cpu().numpy(), name="sample"))
            )
            stays = torch.ones(len(left), dtype=torch.bool, device=left.device)
            stays[gone] = False
            left = left[stays]
            if infinite:
                state = state.without(gone, stays)
            bar.update(len(gone))
    return pd.concat(parts)


@dataclass(frozen=True, eq=False)
class _State:
    """What is carried from round to round at infinite time, for the samples that are left.

    Attributes:
        whole: The inverse B of the kernel plus decay, `(n k, n k)`.
        pushed: The cross kernel times B, `(m k, n k)`.
        trained: B times the residuals, `(n, k)`.
    """

    whole: Tensor
    pushed: Tensor
    trained: Tensor

    @classmethod
    def start(cls, kernel: Tensor, residuals: Tensor, cross: Tensor, decay: float) -> _State:
        whole = inverse(kernel, decay)
        return cls(whole, cross @ whole, (whole @ residuals.flatten()).view_as(residuals))

    def scores(self) -> Tensor:
        """Squared changes of all predictions without each sample, `(n,)`."""
        n, k = self.trained.shape
        places = torch.arange(n * k, device=self.whole.device).view(n, k)
        own = self.whole[places[:, :, None], places[:, None, :]]
        force = torch.linalg.solve(own, self.trained)
        moved = torch.einsum("mna,na->mn", self.pushed.unflatten(1, (n, k)), force)
        return moved.square().sum(0)

    def without(self, gone: Tensor, stays: Tensor) -> _State:
        """The same after samples are removed: a block update (`unique`, Appendix E, shortened)."""
        k = self.trained.shape[1]
        out = (gone[:, None] * k + torch.arange(k, device=gone.device)).flatten()
        rest = stays.repeat_interleave(k)
        rows = self.whole[out]
        spread = torch.linalg.solve(rows[:, out], rows[:, rest])  # B_GG^{-1} B_GR
        return _State(
            self.whole[rest][:, rest] - rows[:, rest].T @ spread,
            self.pushed[:, rest] - self.pushed[:, out] @ spread,
            self.trained[stays] - (spread.T @ self.trained[gone].flatten()).view(-1, k),
        )
