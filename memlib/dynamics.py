"""Scores of training dynamics, one number per sample, streamed from any PyTorch loop.

Loss, input gradient, input curvature and correctness of every sample, epoch by epoch, summed into
CSL, CSG, cumulative curvature, learning times, CSLT, forgetting events and AUM.
"""

import hashlib
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor

from memlib.epochs import (
    GIBBS,
    GRADIENT,
    LOSS,
    RIVAL,
    SEEN,
    close_epoch,
    no_epochs,
    score_columns,
)
from memlib.errors import (
    EmptySelection,
    ForeignResult,
    InvalidInput,
    LabelOutOfRange,
    NonFiniteNumber,
    NotPositive,
    UnknownName,
    UnseenIds,
    WrongShape,
    WrongType,
)
from memlib.losses import input_gradients, sample_losses
from memlib.places import WHOLE, places
from memlib.runtime import whole_number

__all__ = ["DynamicsTracker", "input_gradients"]

_BUFFERED = 2**22  # logits held back before they are reduced: 16 MiB in float32


class DynamicsTracker:
    """Streams logits (and input gradients) of a training run into scores, O(n) memory.

    Call `update` after each forward pass and `end_epoch` after each epoch, then `scores`.
    The value of a sample in an epoch is the mean over its presentations in that epoch, and it
    is correct in the epoch if it was correct at every one of them. Correct means a positive
    margin, logit_y - max_{k != y} logit_k: a tie is wrong, since a model with constant logits
    has learned nothing. A sample that an epoch does not present keeps its state. Sums (CSL,
    CSG, CSLT) run over the epochs that presented the sample: where `epochs_seen` differs between
    samples they are comparable only after division by it.

    Cost. `update` keeps references and returns; the arithmetic, O(classes) per sample, is done
    in bulk at the end of the epoch, or earlier when 2**22 logits wait. The input gradient is
    reduced to its norm at once. It is not free to compute: for a fully connected network with
    widths d_0 (pixels), d_1, ..., d_L a batch of b costs 2b(3 sum_l d_{l-1} d_l - d_0 d_1)
    floating-point operations to train (forward, weight gradients, gradients of the hidden
    units); the gradient in the input is one more product, 2b d_0 d_1. For 784-128-10 that is
    49 % more, for a network of many layers about a third of the first layer.

    In several processes (`torch.distributed` initialized) give every process a tracker of
    *all* ids and call `end_epoch` in each: it adds up the epoch over the processes, whatever the
    partition was, padding duplicates included, and each process holds the same scores. Trackers
    of disjoint sets of samples that ran apart are joined by `merge`.

    Args:
        ids: Whole-number ids of the samples in any order, (n,); the order of the table's rows.
        classes: Number of logits k, at least 2.
        tau: Threshold of Eq. 4 of `orders` on the mean squared gradient norm; None leaves out
            `learning_time_gradient`. Needs `input_grads`.
        squared: CSG adds up squared norms as in Eq. 3 of `orders`; False adds up norms.
            Eq. 4 uses squares in either case.
        input_grads: Whether `update` will be given input gradients.
        curvatures: Whether `update` will be given input curvatures.
        trajectories: Keep every epoch, O(n epochs) memory on the CPU; see `trajectories`.
        device: Where the state lives; None takes the device of the first logits.

    Raises:
        DuplicateIds: An id occurs twice.
        EmptySelection: There are no ids.
        NotPositive: Fewer than two classes, or tau is not positive.
        WrongShape: The ids are not one-dimensional.
        WrongType: The ids are not whole numbers.
        InvalidInput: tau without input gradients.

    Example:
        >>> import torch
        >>> from memlib.dynamics import DynamicsTracker
        >>> tracker = DynamicsTracker(ids=[7, 3], classes=2)
        >>> for logits in ([[0.0, 1.0], [0.0, 1.0]], [[2.0, 1.0], [0.0, 1.0]]):
        ...     tracker.update(torch.tensor([7, 3]), torch.tensor(logits), torch.tensor([0, 1]))
        ...     tracker.end_epoch()  # how many were correct
        1
        2
        >>> tracker.scores()["learning_time_first"].to_dict()
        {7: 1, 3: 0}
    """

    def __init__(
        self,
        ids: Tensor | np.ndarray | Sequence[int],
        classes: int,
        *,
        tau: float | None = None,
        squared: bool = True,
        input_grads: bool = False,
        curvatures: bool = False,
        trajectories: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        self.classes = whole_number("classes", classes, least=2)
        if tau is not None and not 0.0 < tau < float("inf"):
            raise NotPositive("tau", tau, "Pass a positive squared gradient norm, or None.")
        if tau is not None and not input_grads:
            raise InvalidInput("tau", tau, "Pass input_grads=True with it: Eq. 4 needs gradients.")
        self._places = places(ids)
        self.ids = self._places.ids
        self.tau, self.squared, self.needs_input_grads = tau, bool(squared), bool(input_grads)
        self.needs_curvatures = bool(curvatures)
        self.keeps_trajectories = bool(trajectories)
        self.epochs = 0
        rows = (7 if self.needs_input_grads else 5) + self.needs_curvatures
        self._sums = torch.zeros(rows, len(self.ids), dtype=torch.float64)  # of the open epoch
        self._state = no_epochs(rows, len(self.ids))
        self._epochs_kept: list[Tensor] = []  # per epoch (values, n)
        self._pending: list[tuple[Tensor, ...]] = []
        self._versions: list[tuple[int, ...]] = []
        self._waiting = _BUFFERED  # so that the first batch is processed, and checked, at once
        self._device = None if device is None else torch.device(device)
        if self._device is not None:
            self._move(self._device)

    def update(
        self,
        ids: Tensor,
        logits: Tensor,
        targets: Tensor,
        input_grads: Tensor | None = None,
        curvatures: Tensor | None = None,
    ) -> None:
        """Take one batch. Returns at once: no copy, no synchronization with the device.

        The shapes are checked at once, the values when the batch is processed: with the first
        batch of the tracker, and then at the latest by `end_epoch`. An error at that moment
        leaves the state as it was and drops the batches that waited.

        Args:
            ids: Ids of the samples, (b,); a sample may come more than once an epoch.
            logits: Outputs before the softmax, (b, k). They are not copied: do not change them in
                place before `end_epoch`, or pass a clone (also under CUDA graphs).
            targets: Labels, (b,).
            input_grads: Gradient of each sample's own loss in its own input, (b, ...): with a
                loss averaged over the batch, b times what `backward` leaves in `images.grad`.
            curvatures: Curvature of each sample's own loss in its own input, (b,), such as the
                trace that `memlib.curvature.input_curvature` returns.

        Raises:
            WrongShape: The shapes do not fit one another or the number of classes.
            WrongType: Ids or targets are not whole numbers, or logits not floating point.
            InvalidInput: Input gradients or curvatures missing though promised, or given though
                not promised; or a waiting tensor was changed in place.
            UnknownIds: An id is not one of the tracker's.
            LabelOutOfRange: A target is not in 0 .. k-1.
        """
        # This runs between two training steps, with cold caches: as few calls as possible.
        shape: Sequence[int] = getattr(logits, "shape", ())
        if (
            len(shape) != 2
            or shape[1] != self.classes
            or getattr(ids, "shape", None) != shape[:1]
            or getattr(targets, "shape", None) != shape[:1]
            or (input_grads is None) == self.needs_input_grads
            or (curvatures is None) == self.needs_curvatures
        ):
            self._refuse(ids, logits, targets, input_grads, curvatures)
        held: tuple[Tensor, ...] = (ids, logits.detach(), targets)
        versions: tuple[int, ...] = ()
        try:
            versions = (ids._version, logits._version, targets._version)
        except RuntimeError:  # made in inference mode, where changes are not counted
            held = (ids.clone(), logits.clone(), targets.clone())
        if input_grads is not None:
            if input_grads.shape[:1] != shape[:1] or input_grads.ndim < 2:
                raise WrongShape("input_grads", tuple(input_grads.shape), "Pass (batch, ...).")
            flat = input_grads.detach().flatten(1)
            # One reduction, at least in float32; the gradient itself is not kept.
            precise = torch.promote_types(flat.dtype, torch.float32)
            held = (*held, torch.linalg.vector_norm(flat, dim=1, dtype=precise))
        if curvatures is not None:
            if getattr(curvatures, "shape", None) != shape[:1]:
                fix = f"Pass one per row of logits, ({shape[0]},)."
                raise WrongShape("curvatures", getattr(curvatures, "shape", curvatures), fix)
            held = (*held, curvatures.detach().clone())
        self._pending.append(held)
        self._versions.append(versions)
        self._waiting += shape[0] * shape[1]
        if self._waiting >= _BUFFERED:
            self._flush()

    def end_epoch(self, *, group: Any = None) -> int:
        """Close the epoch: reduce what waits, and over all processes where there are several.

        Args:
            group: Process group to add up over; None is all processes of `torch.distributed`, if
                it is initialized. Every process of the group must call it.

        Returns:
            How many samples were correct in the epoch.

        Raises:
            EmptySelection: No process gave any sample since the last call.
            NonFiniteNumber: A loss, margin, gradient or curvature of the epoch is NaN or infinite.
                The epoch is dropped, the scores stay those of the epochs before.
            ForeignResult: The trackers of the processes differ in ids or settings.
            UnknownIds, LabelOutOfRange, InvalidInput: As for `update`. Of several processes, the
                others raise InvalidInput then, and all drop the epoch.
        """
        several = dist.is_available() and dist.is_initialized()
        try:
            self._flush()
        except Exception:
            if several:  # the others would wait for this process forever
                self.drop_epoch()
                self._agree(group, failed=True)
            raise
        sums, self._sums = self._sums, torch.zeros_like(self._sums)
        if several:
            self._agree(group)
            dist.all_reduce(sums, group=group)
        in_all = sums.sum(1).tolist()
        if not in_all[SEEN]:
            raise EmptySelection("epoch", self.epochs, "Call update() before end_epoch().")
        if not math.isfinite(sum(in_all)):
            bad = self.ids[~torch.isfinite(sums).all(0).cpu()].tolist()
            fix = "Lower the learning rate or look at these samples; the epoch was dropped."
            what = f"the loss, margin, gradient or curvature of ids {bad}"
            raise NonFiniteNumber("logits", what, fix)
        means, seen, correct = close_epoch(self._state, sums, self.epochs, self.tau)
        if self.keeps_trajectories:
            rows = [means[LOSS], correct, -means[RIVAL], 1 - means[GIBBS]]
            rows += [means[row] for row in self._further()]
            kept = torch.stack([row.float() for row in rows])
            self._epochs_kept.append(kept.masked_fill_(~seen, torch.nan).cpu())
        self.epochs += 1
        return int(correct.sum())

    def drop_epoch(self) -> None:
        """Forget the batches given since the last `end_epoch`, as after an interruption."""
        self._pending, self._versions = [], []
        self._waiting = 0 if self.epochs else _BUFFERED
        self._sums = torch.zeros_like(self._sums)

    @property
    def epochs_seen(self) -> np.ndarray:
        """Number of epochs that presented each sample, (n,)."""
        return self._state["totals"][SEEN].long().cpu().numpy()

    @property
    def learned(self) -> np.ndarray:
        """Whether each sample has met Eq. 4 of `orders` in an epoch closed so far, (n,) bool.

        Raises:
            InvalidInput: The tracker was made without tau.
        """
        if self.tau is None:
            raise InvalidInput("tau", None, "Make the tracker with tau=, a squared gradient norm.")
        return self._state["learned"].cpu().numpy().copy()

    def scores(self, missing: str = "raise") -> pd.DataFrame:
        """Return the scores of the epochs closed so far; higher = learned later or worse.

        Args:
            missing: `"raise"` if a sample was never seen, or `"nan"` for NaN in its row.

        Returns:
            A table with index `sample` (the ids, in the order given) and the columns

            - `csl`: cumulative sample loss, the sum of cross-entropies in nats (Eq. 3 of
              `orders`);
            - `csl_gibbs`: the sum of 1 - p_y, the expected 0-1 loss of a sampled prediction;
            - `csg`, with input gradients: the sum of squared norms of the loss gradient in the
              input (Eq. 3 of `orders`), in (nats per unit of input)^2; norms if not `squared`;
            - `cumulative_curvature`, with curvatures: their sum, in their unit;
            - `learning_time_first`: 0-based epoch of the first correct prediction (`orders`,
              appendix C.5), never = number of epochs;
            - `learning_time_stable`: first epoch from which it is always correct, never = number
              of epochs;
            - `learning_time_gradient`, with tau: smallest number T >= 1 of epochs whose mean
              squared gradient norm is at most tau (Eq. 4 of `orders`), never = number of epochs;
              that is also the value of a sample learned at the last epoch, which `learned` tells
              apart;
            - `cslt`: number of epochs in which it was wrong (`orders`, appendix C.5);
            - `forgetting_events`: changes from correct to wrong between consecutive epochs seen
              (Toneva et al. 2019); 0 also for a sample that was never correct;
            - `negative_aum`: minus the mean margin (Pleiss et al. 2020), in logits.

            Counts and times are int64, or float64 with `missing="nan"`.

        Raises:
            UnseenIds: A sample was never seen and `missing` is `"raise"`.
            UnknownName: `missing` is neither.
        """
        if missing not in ("raise", "nan"):
            raise UnknownName("missing", missing, 'Pass "raise" or "nan".')
        unseen = self.epochs_seen == 0
        if missing == "raise" and unseen.any():
            raise UnseenIds(
                "ids",
                self.ids.numpy()[unseen].tolist(),
                'Call update() with every id and end_epoch() after it, or scores(missing="nan").',
            )
        columns = score_columns(self._state, self.epochs, self.settings)
        frame = pd.DataFrame(columns, index=pd.Index(self.ids.numpy().copy(), name="sample"))
        if missing == "nan":
            frame = frame.astype(float)
            frame.loc[unseen] = np.nan
        return frame

    def trajectories(self) -> dict[str, np.ndarray]:
        """Return each epoch's value of each sample, float32 arrays (epochs, n).

        Returns:
            `loss` (nats), `correct` (1 or 0), `margin` (logits), `probability` (of the label)
            and, with input gradients, `gradient` (squared norm), and, with curvatures,
            `curvature`; columns in the order of `ids`;
            NaN where an epoch did not present the sample.

        Raises:
            InvalidInput: The tracker was made without `trajectories=True`.
        """
        if not self.keeps_trajectories:
            raise InvalidInput("trajectories", False, "Make the tracker with trajectories=True.")
        names = ["loss", "correct", "margin", "probability", *self._further().values()]
        kept = self._kept().numpy()
        return {name: kept[:, row].copy() for row, name in enumerate(names)}

    @staticmethod
    def merge(trackers: "Sequence[DynamicsTracker]") -> "DynamicsTracker":
        """Join trackers of disjoint samples that ran for the same number of epochs.

        Args:
            trackers: Trackers with equal settings, each between two epochs.

        Returns:
            A new tracker of all samples, in the order of the trackers.

        Raises:
            EmptySelection: There is none.
            DuplicateIds: Two of them track the same sample.
            InvalidInput: They differ in a setting or in the number of epochs.
        """
        if not trackers:
            raise EmptySelection("trackers", [], "Pass at least one tracker.")
        parts = [tracker.state_dict() for tracker in trackers]
        for part in parts[1:]:
            for key in ("settings", "epochs"):
                if part[key] != parts[0][key]:
                    fix = f"Join trackers that agree: the first has {key} {parts[0][key]}."
                    raise InvalidInput("trackers", part[key], fix)
        settings = dict(parts[0]["settings"])
        classes = settings.pop("classes")
        joined = DynamicsTracker(torch.cat([part["ids"] for part in parts]), classes, **settings)
        joined.epochs = parts[0]["epochs"]
        joined._state = {
            name: torch.cat([part["state"][name] for part in parts], -1) for name in joined._state
        }
        joined._sums = torch.cat([part["sums"] for part in parts], -1)
        joined._epochs_kept = list(torch.cat([part["trajectories"] for part in parts], -1))
        return joined

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's settings, as plain values."""
        return {
            "classes": self.classes,
            "tau": self.tau,
            "squared": self.squared,
            "input_grads": self.needs_input_grads,
            "curvatures": self.needs_curvatures,
            "trajectories": self.keeps_trajectories,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything as CPU tensors and plain values, for `torch.save`.

        Returns:
            Copies, so that the tracker may go on; `torch.load(..., weights_only=True)` reads them
            back. Batches that wait are reduced first, with the errors of `end_epoch`.
        """
        self._flush()
        return {
            "settings": self.settings,
            "ids": self.ids.clone(),
            "epochs": self.epochs,
            "waiting": self._waiting,
            "state": {name: value.cpu().clone() for name, value in self._state.items()},
            "sums": self._sums.cpu().clone(),
            "trajectories": self._kept(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned.

        Args:
            state: The state of a tracker with the same ids and settings.

        Raises:
            ForeignResult: The ids or a setting differ; the message names which.
        """
        for key, ours in self.settings.items():
            theirs = state["settings"].get(key, False)  # no curvatures in files of earlier versions
            if theirs != ours:
                raise ForeignResult(f"tracker: {key} was {theirs!r} there and is {ours!r} here.")
        if not torch.equal(state["ids"], self.ids):
            raise ForeignResult("tracker: the stored ids are not this tracker's ids.")
        place = self._sums.device
        self._pending, self._versions = [], []
        # How batches are grouped decides the last bit: a tracker's very first one goes alone.
        self.epochs, self._waiting = state["epochs"], state["waiting"]
        self._state = {name: state["state"][name].to(place, copy=True) for name in self._state}
        self._sums = state["sums"].to(place, copy=True)
        self._epochs_kept = list(state["trajectories"].clone())

    def _flush(self) -> None:
        """Add the waiting batches to the sums of the open epoch, or raise and drop them."""
        pending, versions = self._pending, self._versions
        if not pending:
            return
        self._pending, self._versions, self._waiting = [], [], 0
        self._move(self._device or pending[0][1].device)
        for (ids, logits, targets, *_), before in zip(pending, versions, strict=True):
            now = (ids._version, logits._version, targets._version) if before else ()
            if now != before:
                name = ("ids", "logits", "targets")[[*map(operator.ne, now, before)].index(True)]
                value = f"{name} changed in place after update()"
                raise InvalidInput(name, value, f"Pass {name}.clone() to update().")
        ids, logits, targets, *further = (
            (column[0] if len(column) == 1 else torch.cat(column)).to(self._sums.device)
            for column in zip(*pending, strict=True)
        )
        _check_types(ids, logits, targets)
        if not len(ids):
            return
        positions, targets = self._places.of(ids.long()), targets.long()
        low, high = torch.aminmax(targets)
        if int(low) < 0 or int(high) >= self.classes:
            bad = targets[(targets < 0) | (targets >= self.classes)].unique().tolist()
            raise LabelOutOfRange("targets", bad, f"Pass labels from 0 to {self.classes - 1}.")
        loss, gibbs, rival = sample_losses(logits, targets)
        rows = [torch.ones_like(loss), loss, gibbs, rival, rival >= 0]
        if self.needs_input_grads:
            norm = further[0].double()
            rows += [norm * norm, norm]
        if self.needs_curvatures:
            rows.append(further[-1])
        self._sums.index_add_(1, positions, torch.stack(rows).double())

    def _refuse(
        self, ids: Any, logits: Any, targets: Any, input_grads: Any, curvatures: Any
    ) -> None:
        """Raise the error that says which argument of `update` does not fit, and how."""
        for name, value in (("ids", ids), ("logits", logits), ("targets", targets)):
            if not isinstance(value, Tensor):
                raise WrongType(name, type(value).__name__, "Pass a tensor.")
        _check_types(ids, logits, targets)
        if logits.ndim != 2 or logits.shape[1] != self.classes:
            raise WrongShape("logits", tuple(logits.shape), f"Pass (batch, {self.classes}).")
        for name, value in (("ids", ids), ("targets", targets)):
            if value.shape != logits.shape[:1]:
                fix = f"Pass one per row of logits, ({len(logits)},)."
                raise WrongShape(name, tuple(value.shape), fix)
        name, value = "input_grads", input_grads
        if (input_grads is None) != self.needs_input_grads:
            name, value = "curvatures", curvatures
        if value is None:
            fix = f"Pass one value per sample: the tracker was made with {name}=True."
        else:
            fix = f"Leave them out, or make the tracker with {name}=True."
        raise InvalidInput(name, value, fix)

    def _further(self) -> dict[int, str]:
        """Rows of the sums that a tracker may have, by the name of their trajectory."""
        found = {GRADIENT: "gradient"} if self.needs_input_grads else {}
        return found | ({len(self._sums) - 1: "curvature"} if self.needs_curvatures else {})

    def _kept(self) -> Tensor:
        """The trajectories as one tensor, (epochs, values, n)."""
        empty = torch.empty(0, 4 + len(self._further()), len(self.ids))
        return torch.stack(self._epochs_kept) if self._epochs_kept else empty

    def _move(self, device: torch.device) -> None:
        if device.type == "mps":  # which has no float64
            device = torch.device("cpu")
        if self._sums.device != device:
            self._sums = self._sums.to(device)
            self._places = self._places.to(device)
            self._state = {name: value.to(device) for name, value in self._state.items()}

    def _agree(self, group: Any, failed: bool = False) -> None:
        """Raise where another process failed or, if none did, everywhere where they differ."""
        text = repr((self.settings, self.epochs)).encode() + self.ids.numpy().tobytes()
        digest = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
        most = torch.tensor([digest, -digest, int(failed)], device=self._sums.device)
        dist.all_reduce(most, op=dist.ReduceOp.MAX, group=group)
        if failed:
            return
        if most[2]:
            fix = "Another process refused its batches: see the error there; the epoch was dropped."
            raise InvalidInput("epoch", self.epochs, fix)
        if most[:2].tolist() != [digest, -digest]:
            raise ForeignResult(
                "tracker: the processes track different ids, settings or epochs. "
                "Give each the ids of all samples; join trackers of parts with merge()."
            )


def _check_types(ids: Tensor, logits: Tensor, targets: Tensor) -> None:
    for name, value in (("ids", ids), ("targets", targets)):
        if value.dtype not in WHOLE:
            raise WrongType(name, value.dtype, "Pass whole numbers, int64.")
    if not logits.is_floating_point():
        raise WrongType("logits", logits.dtype, "Pass floating-point logits.")
