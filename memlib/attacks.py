"""Attacks on a trained network: who was in the training set, and how little fools it.

The likelihood-ratio attack is in `memlib.membership` and can be called from here.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from memlib.errors import (
    LabelOutOfRange,
    NonFiniteNumber,
    NotPositive,
    TooLarge,
)
from memlib.losses import check_samples, evaluation, input_gradients
from memlib.membership import lira, roc
from memlib.piecewise import check_logits
from memlib.runtime import open_fraction, placed, positive, rng, whole_number
from memlib.runtime import progress as progress_bar
from memlib.training import predict

if TYPE_CHECKING:
    from memlib.data import Dataset

__all__ = [
    "adversarial_copies",
    "adversarial_distance",
    "fgsm",
    "lira",
    "roc",
]

_REFINEMENTS = 4  # linearizations before the search for the nearest boundary starts anew


def adversarial_distance(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 12,
    halvings: int = 16,
    batch_size: int = 512,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Tensor:
    """Find how far each image is from the nearest one that is not given its label.

    The smallest Euclidean norm of a change after which another class has at least the label's
    logit, a proxy of memorization in Stock & Cissé (2018) and Carlini et al. (2019): *smaller* =
    more memorized. Projected search: the differences of logits are linearized where the search
    stands, the image is projected on the nearest of the k - 1 linearized boundaries (as in
    DeepFool), and bisection along that line finds the true boundary, where the next step starts.
    After every four steps the search starts anew at the image, towards the next nearest rival.
    Each result is the length of a change that was seen to work: an upper bound on the smallest
    one, and exact for a linear model.

    Args:
        model: Network from images to logits (b, k); evaluated in eval mode, its mode and gradients
            are left as they were. Logits must not depend on the rest of the batch.
        images: Inputs (n, ...), floating point.
        labels: Labels (n,), each from 0 to k - 1.
        steps: Linearizations.
        halvings: Bisections in each; the relative error of a step's length is 2^-halvings.
        batch_size: Images treated at once. Results do not depend on it, up to rounding.
        device: Where to compute, on a copy of the model if it is elsewhere; None: where it is.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        `(n,)` distances in units of the input, on the device of the images: 0 where the label is
        not predicted already (a tie counts so), infinity where no change was found. In pixels in
        [0, 1], multiply by the data set's `std` (if it has one channel).

    Raises:
        WrongShape: There is not one label per image, the logits are not (b, k), or the model does
            not take such images.
        WrongType: The images are not floating point, or the labels not whole numbers.
        EmptySelection: There are no images.
        LabelOutOfRange: A label is not in 0 .. k-1.
        NonFiniteImages, NonFiniteNumber: An image, or a logit, is not finite.
        NotDifferentiable: The logits have no gradient in the images.
        NotPositive: `steps`, `halvings` or `batch_size` is below 1.
        UnknownName: There is no such device.

    Cost: per image and step, k backward passes and `halvings + 8` forward passes.
    """
    check_samples(images, labels)
    steps, halvings = whole_number("steps", steps), whole_number("halvings", halvings)
    model, place = placed(model, device, images.device)
    parts = []
    with (
        evaluation(model),
        progress_bar(total=len(images), desc="adversarial distance", enabled=progress) as bar,
    ):
        _check_labels(model, images[:1].to(place), labels)
        for x, y in zip(
            images.detach().split(whole_number("batch_size", batch_size)),
            labels.split(batch_size),
            strict=True,
        ):
            found = _nearest(model, x.to(place), y.long().to(place), steps, halvings)
            parts.append(found.to(images.device))
            bar.update(len(x))
    return torch.cat(parts)


def _check_labels(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    classes = check_logits(model, images, slope=True)
    bad = labels[(labels < 0) | (labels >= classes)]
    if len(bad):
        fix = f"Pass labels from 0 to {classes - 1}."
        raise LabelOutOfRange("labels", bad.unique().tolist(), fix)


def _nearest(model: nn.Module, images: Tensor, labels: Tensor, steps: int, halvings: int) -> Tensor:
    """Return the distances (b,) of one batch, the model being in eval mode."""
    count, shape = len(images), images.shape

    def fooled(points: Tensor) -> Tensor:
        with torch.no_grad():
            return (_rivals(model(points.view(shape).clone()), labels) >= 0).any(1)

    origin = images.flatten(1)
    with torch.no_grad():
        logits = model(images.clone())
    if not bool(torch.isfinite(logits).all()):
        raise NonFiniteNumber("model", "a logit", "Look at the weights and at the images.")
    wrong = (_rivals(logits, labels) >= 0).any(1)
    best = torch.full((count,), math.inf, dtype=origin.dtype, device=origin.device)
    best[wrong] = 0
    point, every = origin, torch.arange(count, device=origin.device)
    for turn in range(steps):
        start, refinement = divmod(turn, _REFINEMENTS)
        if refinement == 0:  # anew from the image, towards its nearest rival, the second, ...
            point, reached = origin, torch.zeros_like(wrong)
        ahead, slopes = _linearized(model, point.view(shape), labels)
        # From the image itself, once a boundary is known; before that, on from where it stands.
        base = torch.where(reached[:, None], origin, point)
        gap = -(ahead + (slopes @ (base - point)[:, :, None])[:, :, 0]).clamp(max=0)
        squares = slopes.square().sum(2)
        nearest = torch.where(squares > 0, gap / squares.sqrt(), torch.inf).argsort(1)
        rival = nearest[:, start % max(nearest.shape[1] - 1, 1) if refinement == 0 else 0]
        step = (gap / squares)[every, rival, None] * slopes[every, rival]
        aim = base + torch.where(squares[every, rival, None] > 0, step, 0) - origin
        low, high = torch.zeros_like(best), torch.ones_like(best)
        found = torch.zeros_like(wrong)
        for _ in range(8):  # the linear model may promise too much: go further, at most 2^7-fold
            found |= fooled(origin + high[:, None] * aim)
            low, high = torch.where(found, low, high), torch.where(found, high, 2 * high)
        for _ in range(halvings):
            middle = (low + high) / 2
            works = fooled(origin + middle[:, None] * aim)
            high, low = torch.where(works, middle, high), torch.where(works, low, middle)
        length = high * aim.norm(dim=1)
        best = torch.where(found & (length < best), length, best)
        point = origin + torch.where(found, high, 1)[:, None] * aim
        reached = reached | found
    return best


def _rivals(logits: Tensor, labels: Tensor) -> Tensor:
    """Return how far each other class is ahead of the label, (b, k); minus infinity for itself."""
    ahead = logits - logits.gather(1, labels[:, None])
    return ahead.scatter(1, labels[:, None], -torch.inf)


def _linearized(model: nn.Module, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return `_rivals` at the points, and its gradients (b, k, d); zero for the label itself."""
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        logits = model(points.clone())  # which a first layer may change in place
        ahead = _rivals(logits.detach(), labels)
        slopes = torch.stack(
            [
                torch.autograd.grad(column.sum(), points, retain_graph=True)[0].flatten(1)
                for column in logits.unbind(1)
            ],
            dim=1,
        )
    own = slopes[torch.arange(len(points), device=points.device), labels]
    return ahead.masked_fill(torch.isinf(ahead), 0), slopes - own[:, None]


def fgsm(
    model: nn.Module,
    dataset: Dataset,
    epsilon: float,
    *,
    batch_size: int = 1024,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Tensor:
    """Move every pixel by epsilon in the direction that raises the loss, within black and white.

    The fast gradient sign method (Goodfellow et al. 2015), one step, in eval mode.

    Args:
        model: Network from images to logits (b, k).
        dataset: The images and the labels whose loss is raised.
        epsilon: Largest change of a pixel, in pixels in [0, 1].
        batch_size: Images treated at once.
        device: Where to compute, on a copy of the model if it is elsewhere; None: where it is.
        progress: Show a progress bar; None shows it only on a terminal.

    Returns:
        float32 (n, c, h, w), normalized as the data set is, on its device; pixels stay in [0, 1].

    Raises:
        NotPositive: epsilon is not positive and finite, or the batch size below 1.
        WrongType: epsilon is no number.
        WrongShape: The model does not take the images, or its logits are not (b, k).
        UnknownName: There is no such device.
        NotDifferentiable, NonFiniteNumber: The gradient of an image is missing, or not finite.
    """
    epsilon = positive("epsilon", epsilon)
    model, place = placed(model, device, dataset.images.device)
    check_logits(model, dataset.images[:1].to(place), dataset.num_classes, slope=True)
    mean, std = (
        torch.tensor(numbers, device=dataset.images.device)[:, None, None]
        for numbers in (dataset.mean, dataset.std)
    )
    size = whole_number("batch_size", batch_size)
    moved = []
    with progress_bar(total=len(dataset), desc="sign method", enabled=progress) as bar:
        for images, labels in zip(
            dataset.images.split(size), dataset.labels.split(size), strict=True
        ):
            slope = input_gradients(model, images.to(place), labels.to(place)).to(images.device)
            if not bool(torch.isfinite(slope).all()):
                raise NonFiniteNumber("model", "the gradient of an image", "Look at the weights.")
            moved.append(images + epsilon / std * slope.sign())
            bar.update(len(images))
    return torch.cat(moved).clamp(min=-mean / std, max=(1 - mean) / std)


def adversarial_copies(
    dataset: Dataset,
    model: nn.Module,
    fraction: float,
    *,
    epsilon: float = 0.01,
    seed: int,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> tuple[Dataset, np.ndarray]:
    """Replace a share of the images by adversarial ones that fool a trained network.

    The data set of section 6 of `unique`, "detecting adversarial examples": the network predicts
    the label of the image and no longer that of its copy by `fgsm`. Labels and ids stay.

    Args:
        dataset: What to change.
        model: A network trained on it.
        fraction: Share of the samples to replace, inside (0, 1).
        epsilon: Largest change of a pixel, in pixels in [0, 1]; `unique` takes 0.01.
        seed: Seed of the draw among the images that can be replaced so.
        device: As in `fgsm`, as is `progress`.

    Returns:
        The data set with the copies, and the truth: bool (n,), true where the image is adversarial.

    Raises:
        FractionOutOfRange: The fraction is not inside (0, 1).
        NotPositive: No image would change, or epsilon is not positive.
        TooLarge: Fewer images than wanted can be replaced.
        InvalidInput: As `fgsm`.
    """
    count = round(open_fraction("fraction", fraction) * len(dataset))
    if count == 0:
        fix = f"Of {len(dataset)} samples take at least {1 / len(dataset):.2g}."
        raise NotPositive("fraction", fraction, fix)
    model, _ = placed(model, device, dataset.images.device)
    attacked = replace(dataset, images=fgsm(model, dataset, epsilon, progress=progress))
    right = predict(model, dataset).argmax(1) == dataset.labels
    fooled = predict(model, attacked).argmax(1) != dataset.labels
    able = np.flatnonzero((right & fooled).cpu().numpy())
    if len(able) < count:
        fix = f"At epsilon {epsilon:g} only {len(able)} of {len(dataset)} images fool the model."
        raise TooLarge("fraction", fraction, fix)
    changed = np.zeros(len(dataset), dtype=bool)
    changed[rng(seed, "adversarial_copies").choice(able, size=count, replace=False)] = True
    where = torch.from_numpy(changed).to(dataset.images.device)
    images = torch.where(where[:, None, None, None], attacked.images, dataset.images)
    return replace(dataset, images=images, name=f"{dataset.name}, some adversarial"), changed
