"""Train many small fully connected networks at once, each on its own subset of one data set.

A network of a hundred thousand weights is too small to keep a processor busy: an ordinary loop
spends its time on starting operations. Here `M` networks share every operation. Layer `l` of all
of them is one tensor `(M, in, out)`, a step is a handful of batched matrix products, and the
momentum buffer is the accumulator of the product that computes the gradient, so that the gradient
itself is never written to memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from memlib.errors import InvalidInput, UnknownName, WrongShape
from memlib.runtime import generator, seeded, whole_number
from memlib.schedules import learning_rates

if TYPE_CHECKING:
    from memlib.data import Dataset


@dataclass(frozen=True)
class Recipe:
    """How one network is trained: SGD on the mean cross-entropy of mini-batches.

    The defaults fit 3,500 images of `fmnist-mini` with `memlib.models.mlp` almost perfectly.

    Attributes:
        epochs: Passes over the network's own training samples.
        batch_size: Samples per step; what is left at the end of an epoch is a smaller step.
        lr: Learning rate (the peak of `"one-cycle"`).
        momentum: Heavy-ball momentum, as in `torch.optim.SGD`.
        weight_decay: Coupled L2 penalty, as in `torch.optim.SGD`.
        schedule: `"constant"` or `"one-cycle"`, as in `memlib.training.fit`.

    Raises:
        NotPositive: epochs, batch_size or lr is not positive.
        UnknownName: There is no such schedule.
        InvalidInput: momentum or weight_decay cannot be used.
    """

    epochs: int = 40
    batch_size: int = 100
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "one-cycle"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            whole_number(name, getattr(self, name))
        if not 0 <= self.momentum < 1:
            fix = "Pass a number from 0 up to, not including, 1."
            raise InvalidInput("momentum", self.momentum, fix)
        if not 0 <= self.weight_decay < math.inf:
            raise InvalidInput("weight_decay", self.weight_decay, "Pass 0 or a positive number.")
        if self.schedule not in ("constant", "one-cycle"):
            raise UnknownName("schedule", self.schedule, "Pass 'constant' or 'one-cycle'.")
        learning_rates(self.schedule, self.lr, 1, 1)  # refuses a bad rate


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The weights of `M` fully connected ReLU networks of one shape.

    Attributes:
        weights: One tensor `(M, in, out)` per layer.
        biases: One tensor `(M, 1, out)` per layer.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.weights[0])

    def predict(self, place: int, dataset: Dataset) -> Tensor:
        """Return the logits of one network on all samples of a data set.

        Args:
            place: Its place in the ensemble, from 0.
            dataset: The n samples, on the device of the weights.

        Returns:
            `(n, k)`.
        """
        x = dataset.images.flatten(1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.addmm(bias[place], x, weight[place]).relu_()
        return torch.addmm(self.biases[-1][place], x, self.weights[-1][place])

    def network(self, place: int) -> nn.Sequential:
        """Return one of the networks by itself, with weights of its own.

        Args:
            place: Its place in the ensemble, from 0.
        """
        layers: list[nn.Module] = [nn.Flatten()]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            inputs, outputs = weight.shape[1:]
            linear = nn.utils.skip_init(nn.Linear, inputs, outputs, device=weight.device)
            linear.weight.data.copy_(weight[place].T)
            linear.bias.data.copy_(bias[place, 0])
            layers += [linear, nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def linear_layers(model: nn.Module) -> list[nn.Linear] | None:
    """Return the linear layers of a network that can be trained in an ensemble.

    Args:
        model: Any network.

    Returns:
        The layers of Flatten, Linear, (ReLU, Linear)...; None for any other network.
    """
    if not isinstance(model, nn.Sequential) or len(model) < 2:
        return None
    flatten, *rest = model
    linear, between = rest[::2], rest[1::2]
    regular = (
        isinstance(flatten, nn.Flatten)
        and len(linear) == len(between) + 1
        and all(isinstance(layer, nn.Linear) and layer.bias is not None for layer in linear)
        and all(isinstance(layer, nn.ReLU) for layer in between)
    )
    return cast(list[nn.Linear], linear) if regular else None


def initial_ensemble(model: Callable[[], nn.Module], numbers: range, seed: int) -> Ensemble:
    """Draw the initial weights of the numbered networks, each from its own random stream.

    Args:
        model: Builds one fully connected ReLU network (see `linear_layers`).
        numbers: The networks' numbers; number 17 is the same in whatever range it stands.
        seed: The seed.

    Returns:
        The initial weights, on the CPU.

    Raises:
        InvalidInput: The network is not fully connected.
    """
    networks = []
    for number in numbers:
        with seeded(seed, "init", number):
            layers = linear_layers(network := model())
        if layers is None:
            fix = "Batched training takes Flatten, Linear, ReLU, ..., Linear; use 'sequential'."
            raise InvalidInput("model", type(network).__name__, fix)
        networks.append(layers)
    by_layer = list(zip(*networks, strict=True))
    return Ensemble(
        tuple(torch.stack([layer.weight.detach().T for layer in same]) for same in by_layer),
        tuple(torch.stack([layer.bias.detach()[None] for layer in same]) for same in by_layer),
    )


def train_ensemble(
    model: Callable[[], nn.Module],
    dataset: Dataset,
    members: Tensor,
    recipe: Recipe,
    *,
    numbers: range,
    seed: int,
    each_epoch: Callable[[int, Ensemble], None] | None = None,
) -> Ensemble:
    """Train one network per row of `members`, all at once.

    Args:
        model: Builds one fully connected ReLU network (see `linear_layers`).
        dataset: The samples that the rows index; training runs on the device of its images.
        members: Positions `(M, m)`; row `j` is the training set of network `numbers[j]`.
        recipe: How each network is trained.
        numbers: The networks' numbers, which choose their random streams. A number, a seed and a
            training set give the same network whatever is trained beside it, up to the rounding
            of matrix products.
        seed: Seed of the initial weights and of the order of the samples.
        each_epoch: Called as `each_epoch(epoch, ensemble)` before each epoch, so that epoch 0
            sees the initial weights.

    Returns:
        The trained networks.

    Raises:
        WrongShape: `members` does not have one row per network.
        InvalidInput: The network is not fully connected.

    Cost: about 6 P m operations per network and epoch with P weights (the input gradient of the
    first layer is never computed); O(M (P + batch_size * inputs)) memory.
    """
    if members.ndim != 2 or len(members) != len(numbers):
        fix = f"Pass one row of positions for each of the {len(numbers)} networks."
        raise WrongShape("members", tuple(members.shape), fix)
    device, (count, size) = dataset.images.device, members.shape
    start = initial_ensemble(model, numbers, seed)
    weights = [weight.to(device) for weight in start.weights]
    biases = [bias.to(device) for bias in start.biases]
    weight_momenta = [torch.zeros_like(weight) for weight in weights]
    bias_momenta = [torch.zeros_like(bias) for bias in biases]
    ensemble = Ensemble(tuple(weights), tuple(biases))

    images, batch = dataset.images.flatten(1), min(recipe.batch_size, size)
    steps = -(-size // batch)
    buffer = images.new_empty(count * batch, images.shape[1])
    rates = learning_rates(recipe.schedule, recipe.lr, recipe.epochs, steps)
    streams = [generator(seed, "order", number) for number in numbers]
    for epoch in range(recipe.epochs):
        if each_epoch is not None:
            each_epoch(epoch, ensemble)
        shuffles = torch.stack([torch.randperm(size, generator=stream) for stream in streams])
        order = members.gather(1, shuffles).to(device)
        for step, rows in enumerate(order.split(batch, dim=1)):
            flat = rows.flatten()
            inputs = buffer[: len(flat)]
            torch.index_select(images, 0, flat, out=inputs)
            inputs = inputs.view(count, rows.shape[1], -1)
            below, error = _forward(inputs, dataset.labels[flat], weights, biases)
            for layer in reversed(range(len(weights))):
                weight, momentum = weights[layer], weight_momenta[layer]
                bias, bias_momentum = biases[layer], bias_momenta[layer]
                if layer:
                    error_below = torch.bmm(error, weight.transpose(1, 2)).mul_(below[layer] > 0)
                momentum.baddbmm_(below[layer].transpose(1, 2), error, beta=recipe.momentum)
                bias_momentum.mul_(recipe.momentum).add_(error.sum(1, keepdim=True))
                if recipe.weight_decay:
                    momentum.add_(weight, alpha=recipe.weight_decay)
                    bias_momentum.add_(bias, alpha=recipe.weight_decay)
                rate = rates[epoch * steps + step]
                weight.add_(momentum, alpha=-rate)
                bias.add_(bias_momentum, alpha=-rate)
                if layer:
                    error = error_below
    return ensemble


def _forward(
    inputs: Tensor, labels: Tensor, weights: list[Tensor], biases: list[Tensor]
) -> tuple[list[Tensor], Tensor]:
    """Return each layer's input, and each mean loss's gradient in the logits, `(M, b, k)`."""
    below = [inputs]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        below.append(torch.baddbmm(bias, below[-1], weight).relu_())
    error = torch.baddbmm(biases[-1], below[-1], weights[-1]).softmax(-1)
    # The gradient of cross-entropy is p - e_y, and the batch mean divides by b.
    error.view(-1, error.shape[-1]).scatter_add_(
        1, labels[:, None], error.new_full((len(labels), 1), -1.0)
    )
    return below, error.div_(inputs.shape[1])
