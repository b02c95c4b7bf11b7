"""Differentially private training of one network: DP-SGD through Opacus, with exact resume."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from memlib import runtime
from memlib.accounting import (
    MemorizationBound,
    checked_noise,
    epsilon_spent,
    noise_for,
    optional,
)
from memlib.checkpoints import read_checkpoint, restore_random, write_checkpoint
from memlib.data import Dataset
from memlib.errors import (
    InvalidInput,
    TooLarge,
    TrainingDiverged,
)
from memlib.piecewise import check_logits, refuse_mixing
from memlib.private_models import check_gradients, refuse_dead, refuse_layers, refuse_memory
from memlib.schedules import learning_rates

_PARTS = ("model", "optimizer", "random", "history")  # of a checkpoint


@dataclass(frozen=True)
class PrivateRecipe:
    """How one network is trained privately; what the guarantee rests on is all in here.

    Either the noise is given or the budget, from which the noise is computed. The defaults suit
    `memlib.models.mlp` on `digits`.

    Attributes:
        epochs: Expected number of times that a sample is drawn.
        batch_size: Expected number of samples per step; the sum of their gradients is divided by
            it, whatever was drawn.
        lr: Learning rate; the peak for one-cycle.
        momentum: Heavy-ball momentum of SGD, in [0, 1). It acts on the noisy gradients, so it
            costs no privacy.
        clip: The norm C that each sample's gradient is clipped to.
        noise: Noise multiplier sigma: the noise on the sum of the clipped gradients has deviation
            sigma C in each coordinate; 0 trains without privacy, clipped all the same.
        epsilon: The budget, in place of the noise.
        delta: The additive part that the budget is stated at.
        schedule: `"constant"`, `"step"` or `"one-cycle"`, as in `memlib.training.fit`.
        milestones: Epochs at which `"step"` lowers the rate, increasing.
        gamma: Factor of `"step"`.

    Raises:
        NotPositive: A count, lr, clip or epsilon is not positive, or the noise negative.
        WrongType: One of them is no number.
        InvalidInput: momentum or milestones cannot be used, or not exactly one of noise and
            epsilon is given.
        UnknownName: There is no such schedule.
        FractionOutOfRange: delta is not in (0, 1).
    """

    epochs: int = 20
    batch_size: int = 100
    lr: float = 0.5
    momentum: float = 0.0
    clip: float = 1.0
    noise: float | None = None
    epsilon: float | None = None
    delta: float = 1e-5
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            runtime.whole_number(name, getattr(self, name))
        for name in ("lr", "clip"):
            object.__setattr__(self, name, runtime.positive(name, getattr(self, name)))
        if not (isinstance(self.momentum, int | float) and 0 <= self.momentum < 1):
            fix = "Pass a number from 0 up to, not including, 1."
            raise InvalidInput("momentum", self.momentum, fix)
        runtime.open_fraction("delta", self.delta)
        object.__setattr__(self, "milestones", tuple(self.milestones))
        self.rates(1)  # refuses a schedule that cannot be used
        if (self.noise is None) == (self.epsilon is None):
            fix = "Pass either noise or epsilon (with delta), and not both."
            raise InvalidInput("noise", self.noise, fix)
        if self.noise is not None:
            checked_noise(self.noise)
        else:
            object.__setattr__(self, "epsilon", runtime.positive("epsilon", self.epsilon))

    def steps(self, size: int) -> int:
        """Return the number of steps on a data set of that size."""
        return self.epochs * self.steps_of_an_epoch(size)

    def steps_of_an_epoch(self, size: int) -> int:
        """Return the number of steps that draw each sample once in expectation, at least 1."""
        return max(1, round(runtime.whole_number("size", size) / self.batch_size))

    def rates(self, size: int) -> list[float]:
        """Return the learning rate of every step on a data set of that size."""
        return learning_rates(
            self.schedule,
            self.lr,
            self.epochs,
            self.steps_of_an_epoch(size),
            milestones=self.milestones,
            gamma=self.gamma,
        )

    def sample_rate(self, size: int) -> float:
        """Return the probability q with which a step draws a sample: batch_size / size.

        Raises:
            TooLarge: batch_size is above the size.
        """
        if self.batch_size > runtime.whole_number("size", size):
            raise TooLarge("batch_size", self.batch_size, f"Pass at most {size}.")
        return self.batch_size / size

    def noise_multiplier(self, size: int) -> float:
        """Return the noise multiplier: the one given, or the one that the budget takes."""
        if self.noise is not None:
            return float(self.noise)
        assert self.epsilon is not None  # one of the two is given
        return noise_for(self.epsilon, self.delta, self.sample_rate(size), self.steps(size))

    def bound(self, size: int) -> MemorizationBound:
        """Return what a network trained by this recipe can memorize at most."""
        rate, steps = self.sample_rate(size), self.steps(size)
        return MemorizationBound.dp_sgd(self.noise_multiplier(size), rate, steps)


@dataclass(frozen=True)
class PrivateHistory:
    """What a private training run did, and the parameters that its guarantee follows from.

    The losses and counts come from the data without noise. They are for whoever may see the data,
    and are not covered by the guarantee, which is about the weights.

    Attributes:
        noise: Noise multiplier sigma.
        sample_rate: Probability q with which a step drew a sample.
        loss: Mean cross-entropy of each epoch over the samples drawn, in nats, at the weights
            that they were drawn at; NaN for an epoch that drew none.
        drawn: Number of samples drawn in each epoch.
        steps: Steps taken.
        seconds: Wall time of all epochs, interrupted ones not counted.
    """

    noise: float
    sample_rate: float
    loss: tuple[float, ...] = ()
    drawn: tuple[int, ...] = ()
    steps: int = 0
    seconds: float = 0.0

    def epsilon(self, delta: float = 1e-5) -> float:
        """Return the epsilon spent at a delta, by `memlib.accounting.epsilon_spent`."""
        return epsilon_spent(self.noise, self.sample_rate, self.steps, delta)

    def bound(self) -> MemorizationBound:
        """Return the most that the run can have memorized of any sample."""
        return MemorizationBound.dp_sgd(self.noise, self.sample_rate, self.steps)


Callback = Callable[[int, nn.Module, PrivateHistory], object]


def train_private(
    model: nn.Module,
    dataset: Dataset,
    recipe: PrivateRecipe,
    *,
    size: int | None = None,
    chunk: int = 256,
    callbacks: Sequence[Callback] = (),
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    device: torch.device | str | None = None,
) -> PrivateHistory:
    """Train a classifier in place by DP-SGD on the cross-entropy (Abadi et al., 2016).

    Each step draws every sample with probability q, independently (Poisson sampling), clips each
    drawn sample's gradient to norm C, adds normal noise of deviation sigma C to the sum, divides
    by the expected batch size, and takes one step of SGD. A step that draws nothing is a step with
    noise alone. Gradients, clipping and noise are Opacus'.

    The guarantee is for adding or removing one sample, so nothing in the mechanism may depend on
    how many there are. `size` is the number that the rate, the steps and the divisor come from.
    Left out, it is that of the data set, which then counts as public; to compare networks with and
    without a sample, give both the same.

    Randomness is PyTorch's, from `seed`: right for experiments, and no protection against
    somebody who knows or guesses the seed. To release a model, seed from the system's randomness.

    The same arguments and initial weights give the same weights, bit for bit on the CPU with the
    same number of threads. The model gets its mode back whatever ends the run.

    Args:
        model: Network from images (b, c, h, w) to logits (b, k); it is moved to the device. It
            must not mix samples: no batch norm (`memlib.models.with_group_norm`). Random numbers
            it must draw by PyTorch: others do not repeat, and it would seem to mix samples.
        dataset: Training samples.
        recipe: How.
        size: Public number of samples; None takes that of the data set.
        chunk: Samples whose gradients are held at once: O(chunk P) memory with P weights.
        callbacks: Each called as `callback(epoch, model, history)` after every epoch, before the
            checkpoint is written.
        seed: Seed of drawing, noise and dropout.
        checkpoint: File written atomically before the first epoch and after each. If it exists,
            training goes on where it was and ends with the uninterrupted result.
        progress: Show a bar; None: only where standard error is a terminal.
        device: Where to train; None takes `memlib.device()`.

    Returns:
        The history, with the parameters of the guarantee.

    Raises:
        InvalidInput: The model mixes samples, keeps statistics of them, changes a layer's output
            in place, has nothing to train, or has a weight whose gradients of single samples
            Opacus cannot see; or see `memlib.accounting.noise_for`.
        TooLarge: The expected batch is larger than the size.
        NotDifferentiable: The logits do not depend on a weight that is to be trained.
        WrongShape: The model does not take the images, or its output is not (b, k).
        NotPositive: chunk, size or seed is too small.
        TrainingDiverged: The loss became NaN or infinite.
        ForeignResult: The checkpoint is of another run.
        CorruptResult: The checkpoint was truncated or edited.

    Example:
        >>> from memlib import data, models
        >>> from memlib.private_training import PrivateRecipe, train_private
        >>> digits = data.load("digits")
        >>> recipe = PrivateRecipe(epochs=1, noise=1.0)
        >>> history = train_private(models.mlp((1, 8, 8), width=8), digits, recipe)
        >>> history.bound().value < 0.2
        True
    """
    chunk = runtime.whole_number("chunk", chunk)
    refuse_layers(model)
    public = len(dataset) if size is None else runtime.whole_number("size", size)
    rate, per_epoch = recipe.sample_rate(public), recipe.steps_of_an_epoch(public)
    noise = recipe.noise_multiplier(public)
    path = None if checkpoint is None else Path(checkpoint)
    rates = recipe.rates(public)
    settings = {
        **asdict(recipe),
        "size": public,
        "chunk": chunk,
        "seed": int(seed),
        "model": "\n".join(
            [str(model), *(f"{k} {tuple(v.shape)}" for k, v in model.state_dict().items())]
        ),
        "dataset": "" if path is None else dataset.fingerprint(),
    }
    place = runtime.device(device)
    model.to(place)
    dataset = dataset.to(place)
    check_logits(model, dataset.images[:1], dataset.num_classes)
    refuse_dead(model, dataset.images[:1])
    refuse_memory(model, dataset.images[:1])
    draws = runtime.generator(seed, "draws")
    noises = runtime.generator(seed, "noise", device=place)
    history = PrivateHistory(noise, rate)
    with (
        runtime.seeded(seed, "private training"),
        _private_optimizer(model, recipe, noise, noises) as optimizer,
        runtime.progress(
            total=recipe.epochs * per_epoch, desc="private training", enabled=progress
        ) as bar,
    ):
        refuse_mixing(model, dataset.images[:1])  # in train mode, as it is trained
        check_gradients(model, optimizer, dataset.images[:2], dataset.labels[:2])

        def state() -> dict[str, Any]:
            random = [draws.get_state(), noises.get_state()]
            parts = (model.state_dict(), optimizer.original_optimizer.state_dict(), random)
            return dict(zip(_PARTS, (*parts, _plain(history)), strict=True))

        if path is not None and path.exists():
            content, random = read_checkpoint(path, settings, _PARTS)
            model.load_state_dict(content["model"])
            optimizer.original_optimizer.load_state_dict(content["optimizer"])
            for generator, kept in zip((draws, noises), content["random"], strict=True):
                generator.set_state(kept)
            loss, drawn, steps, seconds = content["history"]
            history = PrivateHistory(noise, rate, tuple(loss), tuple(drawn), steps, seconds)
            restore_random(random)
            bar.update(history.steps)
        elif path is not None:
            write_checkpoint(path, settings, state())
        for epoch in range(len(history.loss), recipe.epochs):
            started = time.perf_counter()
            total, drawn = 0.0, 0
            for number in range(epoch * per_epoch, (epoch + 1) * per_epoch):
                optimizer.param_groups[0]["lr"] = rates[number]
                chances = torch.rand(len(dataset), generator=draws, device="cpu")
                batch = (chances < rate).nonzero()[:, 0]
                total += _step(model, optimizer, dataset, batch, chunk)
                drawn += len(batch)
                bar.update()
            mean = total / drawn if drawn else math.nan
            if drawn and not math.isfinite(mean):
                raise TrainingDiverged(
                    f"The loss became {mean} in epoch {epoch} at learning rate {recipe.lr:g} and "
                    f"noise {noise:g}. Lower lr."
                )
            bar.set_postfix(loss=f"{mean:.3f}")
            history = PrivateHistory(
                noise,
                rate,
                (*history.loss, mean),
                (*history.drawn, drawn),
                history.steps + per_epoch,
                history.seconds + time.perf_counter() - started,
            )
            for callback in callbacks:
                callback(epoch, model, history)
            if path is not None:
                write_checkpoint(path, settings, state())
    return history


@contextmanager
def _private_optimizer(
    model: nn.Module, recipe: PrivateRecipe, noise: float, generator: torch.Generator
) -> Iterator[Any]:
    """Hang Opacus' hooks into a model while the block runs, and leave no trace of them."""
    opacus = optional("opacus")
    was_training = model.training
    model.train()
    hooked = opacus.GradSampleModule(model, loss_reduction="sum")
    parameters = [p for p in model.parameters() if p.requires_grad]
    try:
        with _expected_warnings():
            yield opacus.optimizers.DPOptimizer(
                torch.optim.SGD(parameters, recipe.lr, recipe.momentum),
                noise_multiplier=noise,
                max_grad_norm=recipe.clip,
                expected_batch_size=recipe.batch_size,
                loss_reduction="mean",  # the division by the expected, not the actual, batch
                generator=generator,
            )
    finally:
        hooked.to_standard_module()
        for module in model.modules():
            for name in ("activations", "max_batch_len"):
                module.__dict__.pop(name, None)  # of a step that was interrupted
        for parameter in parameters:
            parameter.grad = None
            for name in ("grad_sample", "summed_grad", "_forward_counter", "_current_grad_sample"):
                parameter.__dict__.pop(name, None)
        model.train(was_training)


@contextmanager
def _expected_warnings() -> Iterator[None]:
    """Keep back what PyTorch says of Opacus' hooks; all other warnings pass."""
    with warnings.catch_warnings():
        # The images ask for no gradient, so the first layer's hook gets none in its input. Opacus
        # reads the gradient in the output, and the input itself from the forward pass.
        warnings.filterwarnings("ignore", "Full backward hook is firing when gradients are comput")
        yield


def _step(model: nn.Module, optimizer: Any, dataset: Dataset, batch: Tensor, chunk: int) -> float:
    """Take one step on the samples drawn, a chunk at a time; return the sum of their losses."""
    if len(batch) == 0:
        for parameter in optimizer.params:
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return 0.0
    total = 0.0
    places = batch.to(dataset.images.device).split(chunk)
    for number, part in enumerate(places, 1):
        losses = F.cross_entropy(
            model(dataset.images[part]), dataset.labels[part], reduction="none"
        )
        losses.sum().backward()
        optimizer.signal_skip_step(number < len(places))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total += float(losses.detach().sum(dtype=torch.float64))
    return total


def _plain(history: PrivateHistory) -> list[Any]:
    return [list(history.loss), list(history.drawn), history.steps, history.seconds]
