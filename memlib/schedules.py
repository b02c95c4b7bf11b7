"""The learning rate of every step of a run."""

from collections.abc import Sequence

import torch
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from memlib.errors import InvalidInput, UnknownName
from memlib.runtime import positive, whole_number


def learning_rates(
    schedule: str,
    lr: float,
    epochs: int,
    steps: int,
    *,
    milestones: Sequence[int] = (),
    gamma: float = 0.1,
) -> list[float]:
    """Return the learning rate of every step of a run, as PyTorch's schedulers give it.

    Args:
        schedule: `"constant"`, `"step"` (`MultiStepLR`, changed between epochs) or `"one-cycle"`
            (`OneCycleLR`, changed at every step).
        lr: Learning rate; the peak for one-cycle.
        epochs: Number of epochs.
        steps: Steps in an epoch.
        milestones: Epochs at which `"step"` multiplies the rate by `gamma`, increasing.
        gamma: Factor of `"step"`.

    Returns:
        `epochs * steps` rates. One-cycle with a single step is its peak: PyTorch's would be the
        very end of the cycle, a rate near 0.

    Raises:
        NotPositive: epochs, steps, lr or gamma is not positive and finite.
        WrongType: One of them is no number.
        UnknownName: There is no such schedule.
        InvalidInput: Milestones without `"step"`, none with it, or out of order or range.
    """
    if schedule not in ("constant", "step", "one-cycle"):
        raise UnknownName("schedule", schedule, "Pass constant, step or one-cycle.")
    total = whole_number("epochs", epochs) * whole_number("steps", steps)
    for name, value in (("lr", lr), ("gamma", gamma)):
        positive(name, value)
    places = [whole_number("milestones", milestone) for milestone in milestones]
    if places != sorted({*places}) or (places and places[-1] >= epochs):
        fix = f"Pass increasing epochs from 1 to {epochs - 1}."
        raise InvalidInput("milestones", milestones, fix)
    if bool(places) != (schedule == "step"):
        fix = 'Pass milestones with schedule="step", and only with it.'
        raise InvalidInput("milestones", milestones, fix)
    if schedule == "constant" or (schedule == "one-cycle" and total == 1):
        return [float(lr)] * total
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler: LRScheduler
    if schedule == "step":
        scheduler, per_change, changes = MultiStepLR(optimizer, places, gamma), steps, epochs
    else:
        scheduler = OneCycleLR(optimizer, max_lr=lr, total_steps=total, cycle_momentum=False)
        per_change, changes = 1, total
    optimizer.step()  # nothing moves; PyTorch warns of a schedule that steps without it
    rates: list[float] = []
    for _ in range(changes):
        rates += [float(optimizer.param_groups[0]["lr"])] * per_change
        scheduler.step()
    return rates
