"""Training runs in rational arithmetic: every weight, loss and gradient is an exact number.

Two learners that train step by step: gradient descent on least squares, and the multiplicative
weights of a finite hypothesis class (whose prediction is random, as Gibbs loss needs).

Example:
    >>> from fractions import Fraction
    >>> from memlib.theory.trajectories import descend, losses
    >>> data = (((1,), 1),)
    >>> run = descend(data, start=(0,), rate=Fraction(1, 2), steps=2)
    >>> [str(loss) for loss in losses(run, data[0])]
    ['1/2', '1/8', '1/32']
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from typing import Any

from memlib.theory.worlds import Data, Distribution, Sample, mean, total, without

Vector = tuple[Fraction, ...]


# Least squares: loss (w.x - y)**2 / 2 -----------------------------------------------------------


def dot(a: Sequence[Any], b: Sequence[Any]) -> Fraction:
    """Inner product of two vectors of the same length."""
    return total(Fraction(s) * t for s, t in zip(a, b, strict=True))


def residual(w: Vector, sample: Sample) -> Fraction:
    """Prediction minus label, `w.x - y`."""
    return dot(w, sample[0]) - sample[1]


def loss(w: Vector, sample: Sample) -> Fraction:
    """Half the squared residual."""
    return residual(w, sample) ** 2 / 2


def input_gradient(w: Vector, sample: Sample) -> Vector:
    """Gradient of the loss in the input x: the residual times w."""
    r = residual(w, sample)
    return tuple(r * value for value in w)


def descend(
    data: Data, start: Sequence[Any], rate: Fraction, steps: int, weight: Fraction = Fraction(1)
) -> tuple[Vector, ...]:
    """Full-batch gradient descent on `weight` times the sum of the losses.

    Args:
        data: Samples `(x, y)` with x a tuple of numbers.
        start: Weights w_0.
        rate: Step size.
        steps: Number of steps.
        weight: 1 for the sum of the losses, 1/len(data) for their mean.

    Returns:
        The weights w_0, ..., w_steps.
    """
    w = tuple(Fraction(value) for value in start)
    run = [w]
    for _ in range(steps):
        residuals = [residual(w, sample) for sample in data]
        gradient = [
            weight * total(r * x[k] for r, (x, _) in zip(residuals, data, strict=True))
            for k in range(len(w))
        ]
        w = tuple(value - rate * g for value, g in zip(w, gradient, strict=True))
        run.append(w)
    return tuple(run)


@dataclass(frozen=True)
class Descent:
    """What `descend` needs: one training run, for a table of instances."""

    data: Data
    start: tuple[Any, ...]
    rate: Fraction
    steps: int

    def run(self) -> tuple[Vector, ...]:
        """The weights w_0, ..., w_steps."""
        return descend(self.data, self.start, self.rate, self.steps)


def losses(run: Sequence[Vector], sample: Sample) -> tuple[Fraction, ...]:
    """The loss of one sample at each weight of the run."""
    return tuple(loss(w, sample) for w in run)


def squared_gradients(run: Sequence[Vector], sample: Sample) -> tuple[Fraction, ...]:
    """The squared norm of the input gradient at each weight of the run."""
    return tuple(dot(gradient, gradient) for gradient in (input_gradient(w, sample) for w in run))


def smoothness(run: Sequence[Vector]) -> Fraction:
    """The least L_z for the whole run: the input Hessian is w w^T, whose norm is `|w|**2`."""
    return max(dot(w, w) for w in run)


# Learning time ---------------------------------------------------------------------------------


def learning_time(squared: Sequence[Fraction], tau: Fraction) -> int | None:
    """Least T >= 1 at which the mean of the first T squared gradients is at most tau.

    That is `orders` Eq. 4 with the minimum made explicit; None if there is no such T.
    """
    collected = Fraction(0)
    for count, value in enumerate(squared, start=1):
        collected += value
        if collected <= tau * count:
            return count
    return None


def first_correct(run: Sequence[Vector], sample: Sample) -> int | None:
    """First step at which the sign of w.x is the label (-1 or 1); None if there is none."""
    for step, w in enumerate(run):
        if dot(w, sample[0]) * sample[1] > 0:
            return step
    return None


# Multiplicative weights ------------------------------------------------------------------------


@dataclass(frozen=True)
class Hedge:
    """Multiplicative weights over all hypotheses: each step shows one sample, in a random order.

    A hypothesis that errs on the sample loses the fraction 1 - `factor` of its weight; a prediction
    draws a hypothesis by weight. `hypotheses` are dicts from x to label.
    """

    hypotheses: tuple[Mapping[Any, Any], ...]
    factor: Fraction

    def predictions(self, data: Data, steps: int, x: Any) -> tuple[Distribution, ...]:
        """The distribution of the prediction at x after 0, 1, ..., `steps` steps.

        The randomness is the order of the samples (all orders, each as likely, repeated in cycles)
        and the draw of the hypothesis.
        """
        orders = list(permutations(range(len(data))))
        curves = [self._curve([data[j] for j in order], steps, x) for order in orders]
        labels = {h[x] for h in self.hypotheses}
        return tuple(
            {
                label: mean([curve[t].get(label, Fraction(0)) for curve in curves])
                for label in labels
            }
            for t in range(steps + 1)
        )

    def _curve(self, samples: Sequence[Sample], steps: int, x: Any) -> list[dict[Any, Fraction]]:
        weights = [Fraction(1)] * len(self.hypotheses)
        curve = []
        for t in range(steps + 1):
            whole = sum(weights)
            votes: dict[Any, Fraction] = {}
            for h, weight in zip(self.hypotheses, weights, strict=True):
                votes[h[x]] = votes.get(h[x], Fraction(0)) + weight / whole
            curve.append(votes)
            shown, label = samples[t % len(samples)]
            weights = [
                weight * (1 if h[shown] == label else self.factor)
                for h, weight in zip(self.hypotheses, weights, strict=True)
            ]
        return curve

    def accuracies(self, data: Data, i: int, steps: int) -> tuple[list[Fraction], list[Fraction]]:
        """Probability of predicting the label of sample i after each number of steps, trained with
        it and without it.
        """
        x, y = data[i]
        inside, outside = (
            [p.get(y, Fraction(0)) for p in self.predictions(training, steps, x)]
            for training in (data, without(data, i))
        )
        return inside, outside
