"""Where samples stand: from ids to positions, in bulk and on any device."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from memlib.errors import DuplicateIds, EmptySelection, UnknownIds, WrongShape, WrongType

_SPARSE = 32  # ids per sample up to which a table of positions is kept
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


@dataclass(frozen=True, eq=False)
class Places:
    """The positions of n ids, for look-up.

    Attributes:
        ids: The ids in their order, (n,) int64.
        ordered: The ids, increasing, (n,).
        order: The position of each of `ordered`, (n,).
        table: The position of id `low + j` at place j, where ids lie close to one another: looked
            up many times faster than searched for. None where they do not.
        low: The smallest id.
        high: The largest.
    """

    ids: Tensor
    ordered: Tensor
    order: Tensor
    table: Tensor | None
    low: int
    high: int

    def of(self, ids: Tensor) -> Tensor:
        """Return the position of each id.

        Args:
            ids: int64 (b,), on the device of these tensors.

        Returns:
            int64 (b,).

        Raises:
            UnknownIds: An id is none of these.
        """
        near = ids.clamp(self.low, self.high)
        if self.table is not None:
            positions = self.table.index_select(0, near - self.low).long()
        else:
            positions = self.order[torch.searchsorted(self.ordered, near)]
        unknown = self.ids.index_select(0, positions) != ids
        if unknown.any():
            fix = "Make the tracker with the ids of all samples that are trained on."
            raise UnknownIds("ids", ids[unknown].unique().tolist(), fix)
        return positions

    def to(self, device: torch.device) -> "Places":
        """Return the same on a device.

        Args:
            device: Where the ids to look up will be.
        """
        table = None if self.table is None else self.table.to(device)
        ids, ordered, order = (part.to(device) for part in (self.ids, self.ordered, self.order))
        return replace(self, ids=ids, ordered=ordered, order=order, table=table)


def places(ids: Tensor | np.ndarray | Sequence[int]) -> Places:
    """Prepare the look-up of ids.

    Args:
        ids: Whole numbers in any order, (n,).

    Returns:
        Their places, on the CPU.

    Raises:
        DuplicateIds: An id occurs twice.
        EmptySelection: There are no ids.
        WrongShape: The ids are not one-dimensional.
        WrongType: The ids are not whole numbers.
    """
    try:
        given = ids if isinstance(ids, Tensor) else torch.tensor(np.asarray(ids))
    except (TypeError, ValueError):
        raise WrongType("ids", ids, "Pass whole numbers.") from None
    if given.numel() and given.dtype not in WHOLE:
        raise WrongType("ids", given.dtype, "Pass whole numbers.")
    own = given.detach().cpu().long().clone()
    if own.ndim != 1:
        raise WrongShape("ids", tuple(own.shape), "Pass one id per sample, (n,).")
    if not len(own):
        raise EmptySelection("ids", [], "Pass at least one id.")
    ordered, order = own.sort()
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise DuplicateIds("ids", twice.unique().tolist(), "Pass each id once.")
    low, high = int(ordered[0]), int(ordered[-1])
    table = None
    if high - low < _SPARSE * len(own):
        table = torch.zeros(high - low + 1, dtype=torch.int32)
        table[own - low] = torch.arange(len(own), dtype=torch.int32)
    return Places(own, ordered, order, table, low, high)
