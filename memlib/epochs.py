"""What one epoch adds to the scores of training dynamics, and the columns they become.

The state is a dictionary of tensors, one value per sample: sums over epochs, and what learning
times and forgetting events need to know of the epochs before.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

# Rows of the per-sample sums, over presentations in an epoch and over epochs; the last two only
# with input gradients: squared norm and norm. The rival is minus the margin. With curvatures,
# their row comes after all others.
SEEN, LOSS, GIBBS, RIVAL, WRONG, GRADIENT, NORM = range(7)


def no_epochs(rows: int, n: int) -> dict[str, Tensor]:
    """Return the state before the first epoch.

    Args:
        rows: Rows of the sums.
        n: Number of samples.

    Returns:
        `totals` (rows, n), float64: sums over epochs of the epoch's means. Counts, (n,) int64:
        `forgotten`, forgetting events; `first`, epochs before the first correct one; `stable`, the
        epoch since which it is correct; `below`, epochs until Eq. 4 is met. Flags, (n,) bool:
        `ever` and `now` correct, and `learned` by Eq. 4.
    """
    state = {"totals": torch.zeros(rows, n, dtype=torch.float64)}
    counts, flags = ("forgotten", "first", "stable", "below"), ("ever", "now", "learned")
    state |= {name: torch.zeros(n, dtype=torch.int64) for name in counts}
    return state | {name: torch.zeros(n, dtype=torch.bool) for name in flags}


def close_epoch(
    state: dict[str, Tensor], sums: Tensor, epoch: int, tau: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Add an epoch to the state, in place.

    Args:
        state: The state.
        sums: Sums over the presentations of the epoch, (rows, n).
        epoch: Its number, 0-based.
        tau: Threshold of Eq. 4 of `orders`, or None.

    Returns:
        Means over the presentations, (rows, n), zero where there was none; whether there was one,
        (n,) bool; whether all of them were correct, (n,) bool.
    """
    seen, wrong = sums[SEEN] > 0, sums[WRONG] > 0
    correct = seen ^ wrong
    means = sums / sums[SEEN].clamp(min=1)
    means[WRONG] = wrong  # wrong once is wrong in the epoch
    state["totals"] += means
    state["forgotten"] += wrong & state["now"]
    state["ever"] |= correct
    state["first"] += ~state["ever"]  # epochs closed before the first correct one
    state["stable"].masked_fill_(correct & ~state["now"], epoch)
    state["now"] = correct | (state["now"] & ~wrong)
    if tau is not None:
        # Eq. 4: (1/T) sum_{t<T} ||g_t||^2 <= tau, with T the epochs this sample was seen.
        totals = state["totals"]
        state["below"] += seen & ~state["learned"]
        state["learned"] |= seen & (totals[GRADIENT] <= tau * totals[SEEN])
    return means, seen, correct


def score_columns(
    state: dict[str, Tensor], epochs: int, settings: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Return the columns of `memlib.dynamics.DynamicsTracker.scores`, where units and signs stand.

    Args:
        state: The state after some epochs.
        epochs: Their number: the learning time of what is never learned.
        settings: Those of the tracker.

    Returns:
        Arrays (n,) by name.
    """
    s = {name: value.cpu() for name, value in state.items()}
    totals = s["totals"]
    columns = {"csl": totals[LOSS], "csl_gibbs": totals[GIBBS]}
    if settings["input_grads"]:
        columns["csg"] = totals[GRADIENT if settings["squared"] else NORM]
    if settings["curvatures"]:
        columns["cumulative_curvature"] = totals[-1]
    columns["learning_time_first"] = s["first"]
    columns["learning_time_stable"] = torch.where(s["now"], s["stable"], epochs)
    if settings["tau"] is not None:
        columns["learning_time_gradient"] = torch.where(s["learned"], s["below"], epochs)
    columns |= {"cslt": totals[WRONG].long(), "forgetting_events": s["forgotten"]}
    columns["negative_aum"] = totals[RIVAL] / totals[SEEN].clamp(min=1)
    return {name: column.numpy() for name, column in columns.items()}
