"""A network and its training set as functions of one flat vector of weights, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import grad, vjp, vmap

from memlib.descent import GradientDescent
from memlib.errors import InvalidInput, TrainingDiverged, UnknownName, WrongType
from memlib.linearized import check_images, prepare
from memlib.ntk import trainable
from memlib.piecewise import called, second_derivatives

Loss = Literal["squared", "cross-entropy"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, its samples and a loss, as functions of one flat vector of weights `(d,)`.

    Attributes:
        network: In float64, in eval mode.
        images: `(n, ...)`.
        targets: `(n, k)`.
        loss: The samples' losses, `(b,)`, from outputs and targets `(b, k)`.
        start: The network's own weights, `(d,)`.
    """

    network: nn.Module
    images: Tensor
    targets: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    start: Tensor

    @classmethod
    def of(
        cls,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        loss: str,
        device: torch.device | str | None,
    ) -> Problem:
        """Take the arguments of `memlib.influence.influence`, once they are known to be usable.

        Raises:
            UnknownName: There is no such loss.
            InvalidInput: As `memlib.linearized.linearize`.
        """
        losses = {"squared": _squared, "cross-entropy": _cross_entropy}
        if loss not in losses:
            raise UnknownName("loss", loss, "Pass 'squared' or 'cross-entropy'.")
        network, images, outputs, targets = prepare(model, images, labels, device)
        if loss == "cross-entropy" and outputs.shape[1] == 1:
            raise InvalidInput("loss", loss, "Pass 'squared' for a network with one output.")
        flat = torch.cat([weight.flatten() for weight in trainable(network).values()])
        return cls(network, images, targets, losses[loss], flat)

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Return a flat vector as weights by name."""
        shapes = {name: weight.shape for name, weight in trainable(self.network).items()}
        parts = flat.split([shape.numel() for shape in shapes.values()])
        return {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}

    def outputs(self, flat: Tensor, images: Tensor) -> Tensor:
        """Return the outputs at some weights, `(m, k)`."""
        return called(self.network, self.named(flat), images)

    def evaluation(self, images: Tensor | None) -> Tensor:
        """Return the inputs to predict: images that fit, or the training samples."""
        if images is None:
            return self.images
        check_images(images, self.images.shape[1:])
        return images.detach().to(self.images.device, torch.float64)

    def gradients(self, rows: Tensor) -> Tensor:
        """Return gradients of single samples' losses, `(s, d)`."""

        def single(flat: Tensor, image: Tensor, target: Tensor) -> Tensor:
            return self.loss(self.outputs(flat, image[None]), target[None])[0]

        per_sample = vmap(grad(single), in_dims=(None, 0, 0))
        result: Tensor = per_sample(self.start, self.images[rows], self.targets[rows])
        return result

    def curve(self, vectors: Tensor, rows: Tensor) -> Tensor:
        """Return the Hessian of the mean loss over some samples times vectors, `(s, d)`."""
        images, targets = self.images[rows], self.targets[rows]
        slope = grad(lambda flat: self.loss(self.outputs(flat, images), targets).mean())
        with second_derivatives():
            _, back, *_ = vjp(slope, self.start)
            result: Tensor = vmap(back)(vectors)[0]
        return result

    def push(self, vectors: Tensor, images: Tensor) -> Tensor:
        """Return what changes of the weights do to predictions, to first order, `(s, m, k)`."""

        def pull(weights: Tensor) -> Tensor:
            _, back, *_ = vjp(lambda flat: self.outputs(flat, images), self.start)
            result: Tensor = back(weights)[0]
            return result

        zero = torch.zeros_like(self.outputs(self.start, images))
        with second_derivatives():
            _, forth, *_ = vjp(pull, zero)
            result: Tensor = vmap(forth)(vectors)[0]
        return result

    def predict(self, weights: Tensor, images: Tensor) -> Tensor:
        """Return the outputs of networks with given weights `(s, d)`: `(s, m, k)`."""
        result: Tensor = vmap(self.outputs, in_dims=(0, None))(weights, images)
        return result

    def train(self, descent: GradientDescent, present: Tensor) -> Tensor:
        """Return weights `(s, d)` after gradient descent on the samples that `(s, n)` marks by 1.

        Raises:
            WrongType: The training is not a number of steps.
            TrainingDiverged: The weights became infinite.
        """
        if descent.continuous or math.isinf(descent.time):
            fix = "Pass a number of steps: a network that is not linear takes them one by one."
            raise WrongType("descent", descent, fix)

        def total(flat: Tensor, mask: Tensor) -> Tensor:
            return (mask * self.loss(self.outputs(flat, self.images), self.targets)).sum()

        slopes = vmap(grad(total))
        weights = self.start.repeat(len(present), 1)
        assert descent.learning_rate is not None  # a finite time has one
        for _ in range(int(descent.time)):
            pull = slopes(weights, present) + descent.decay * (weights - self.start)
            weights = weights - descent.learning_rate * pull
        if not bool(torch.isfinite(weights).all()):
            rate = descent.learning_rate
            raise TrainingDiverged(f"weights became infinite at learning_rate={rate:g}: lower it")
        return weights


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum(1) / 2


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return -(targets * outputs.log_softmax(1)).sum(1)
