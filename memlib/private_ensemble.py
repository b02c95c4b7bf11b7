"""Train many small fully connected networks at once by DP-SGD, without gradients of samples.

In a fully connected layer with input `a` and error `e`, a sample's gradient is the outer product
of the two, so its squared norm is `|e|^2 (|a|^2 + 1)`, the 1 for the bias. Clipping only scales
the errors, and the sum of the clipped gradients is one matrix product: no sample's gradient is
ever written (Goodfellow, 2015; Li et al., 2022, "ghost clipping"). Steps of different networks
draw different numbers of samples; the shorter ones are filled up with samples of weight 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from memlib.ensemble import Ensemble, initial_ensemble
from memlib.errors import UnknownIds, WrongShape, WrongType
from memlib.private_training import PrivateRecipe
from memlib.runtime import generator
from memlib.runtime import progress as progress_bar

if TYPE_CHECKING:
    from memlib.data import Dataset

_SMALL = 1e-6  # added to a norm before dividing by it, as Opacus does


def train_private_ensemble(
    model: Callable[[], nn.Module],
    dataset: Dataset,
    rows: Sequence[Tensor],
    recipe: PrivateRecipe,
    *,
    size: int,
    numbers: range,
    seeds: Sequence[int],
    seed: int,
    device: torch.device | str | None = None,
    progress: bool | None = False,
) -> Ensemble:
    """Train one private network per row of positions, all at once.

    Network `j` draws the same samples and the same noise as `train_private` with `seed=seeds[j]`
    does, and ends with the same weights up to rounding.

    Args:
        model: Builds one fully connected ReLU network (see `memlib.ensemble.linear_layers`).
        dataset: The samples that the rows index.
        rows: Positions of each network's training samples; their numbers may differ.
        recipe: How each network is trained.
        size: Public number of samples, the same for all networks.
        numbers: The networks' numbers, which choose their initial weights under `seed`.
        seeds: Seed of each network's draws and noise.
        seed: Seed of the initial weights.
        device: Where to train; None: where the images are.
        progress: Show a bar, a step at a time; None: only where standard error is a terminal.

    Returns:
        The trained networks.

    Raises:
        WrongShape: There is not one row and one seed per network, or the network does not take
            the images, or its outputs are not the classes.
        WrongType, UnknownIds: A row holds something else than positions of the data set.
        InvalidInput: The network is not fully connected.
        TooLarge: The expected batch is larger than the size.

    Cost: about 6 P operations per network and drawn sample with P weights, and P normal numbers
    per network and step; O(M (P + batch_size * inputs)) memory.
    """
    if not len(rows) == len(seeds) == len(numbers):
        fix = f"Pass one row and one seed for each of the {len(numbers)} networks."
        raise WrongShape("rows", (len(rows), len(seeds)), fix)
    for row in rows:
        if row.ndim != 1 or row.dtype != torch.int64:
            raise WrongType("rows", (row.dtype, tuple(row.shape)), "Pass int64 positions, (m,).")
        if len(row) and not 0 <= int(row.min()) <= int(row.max()) < len(dataset):
            raise UnknownIds("rows", row, f"Pass positions from 0 to {len(dataset) - 1}.")
    dataset = dataset if device is None else dataset.to(device)
    place = dataset.images.device
    rate, noise = recipe.sample_rate(size), recipe.noise_multiplier(size)
    start = initial_ensemble(model, numbers, seed)
    inner = dataset.images[0].numel(), dataset.num_classes
    if (start.weights[0].shape[1], start.weights[-1].shape[2]) != inner:
        sizes = (start.weights[0].shape[1], start.weights[-1].shape[2])
        fix = f"Pass one that takes {inner[0]} numbers and returns {inner[1]} logits."
        raise WrongShape("model", sizes, fix)
    # (M, out, in), as Opacus has them: noise is added in the order that it is drawn in.
    weights = [weight.to(place).mT.contiguous() for weight in start.weights]
    biases = [bias.to(place) for bias in start.biases]
    parameters = [p for pair in zip(weights, biases, strict=True) for p in pair]
    momenta = [torch.zeros_like(parameter) for parameter in parameters]
    images, labels = dataset.images.flatten(1), dataset.labels
    lengths = images.square().sum(1)
    draws = [generator(own, "draws") for own in seeds]
    noises = [generator(own, "noise", device=place) for own in seeds]
    rates = recipe.rates(size)
    for learning_rate in progress_bar(rates, desc="private networks", enabled=progress):
        drawn = [
            row[torch.rand(len(row), generator=stream, device="cpu") < rate]
            for row, stream in zip(rows, draws, strict=True)
        ]
        places = nn.utils.rnn.pad_sequence(drawn, batch_first=True, padding_value=-1).to(place)
        real = places >= 0
        gradients = _clipped_sums(
            images, lengths, labels, places.clamp(min=0), real, weights, biases, recipe.clip
        )
        for number, stream in enumerate(noises):
            for gradient in gradients:
                _add_noise(gradient[number], noise * recipe.clip, stream)
        for parameter, momentum, gradient in zip(parameters, momenta, gradients, strict=True):
            if recipe.momentum:
                step = momentum.mul_(recipe.momentum).add_(gradient, alpha=1 / recipe.batch_size)
            else:  # the same, without a pass over the momenta
                step = gradient.mul_(1 / recipe.batch_size)
            parameter.add_(step, alpha=-learning_rate)
    return Ensemble(tuple(weight.mT.contiguous() for weight in weights), tuple(biases))


def _clipped_sums(
    images: Tensor,
    lengths: Tensor,
    labels: Tensor,
    places: Tensor,
    real: Tensor,
    weights: list[Tensor],
    biases: list[Tensor],
    clip: float,
) -> list[Tensor]:
    """Return the sums of the clipped gradients: weight, bias, weight, bias, as the layers go.

    Args:
        lengths: The squared lengths of the images, (n,).
        places: Positions (M, b), and with `real` (M, b) which of them were drawn.
        weights: (M, out, in), as are the gradients.
    """
    below = [images[places]]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        below.append(torch.baddbmm(bias, below[-1], weight.mT).relu_())
    error = torch.baddbmm(biases[-1], below[-1], weights[-1].mT).softmax(-1)
    error -= nn.functional.one_hot(labels[places], error.shape[-1])
    errors = [error]
    for layer in range(len(weights) - 1, 0, -1):
        error = torch.bmm(error, weights[layer]).mul_(below[layer] > 0)
        errors.insert(0, error)
    inner = [lengths[places], *(hidden.square().sum(2) for hidden in below[1:])]
    squares = [e.square().sum(2) * (a + 1) for a, e in zip(inner, errors, strict=True)]
    norms = torch.stack(squares).sum(0).sqrt_()
    factors = (clip / (norms + _SMALL)).clamp_(max=1.0) * real
    gradients = []
    for inputs, error in zip(below, errors, strict=True):
        error *= factors[:, :, None]
        gradients += [torch.bmm(error.mT, inputs), error.sum(1, keepdim=True)]
    return gradients


def _add_noise(gradient: Tensor, deviation: float, stream: torch.Generator) -> None:
    """Add normal noise to one network's gradient, (out, in) or (1, out)."""
    if deviation:
        gradient += torch.empty_like(gradient).normal_(0.0, deviation, generator=stream)
