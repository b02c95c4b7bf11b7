"""A linear classifier with Gibbs loss, trained by gradient descent in rational arithmetic.

The score `u = w.x` becomes the chance of a label through a sigmoid made of two parabolas: it is 0
up to -1, 1 from 1 on, and differentiable in between with a slope that is 1-Lipschitz. A prediction
is drawn with that chance, and the loss is the chance of the wrong label. So the loss is bounded
by 1 everywhere, its gradients in w and in x are Lipschitz everywhere, `L * mem` is a difference of
losses, and nothing rounds.

Example:
    >>> from fractions import Fraction
    >>> from memlib.theory.linear_classifier import Training
    >>> twins = (((1, 0), 1), ((1, 1), 1))
    >>> run = Training(twins, (0, 0), Fraction(1, 2), 2)
    >>> [str(loss) for loss in run.curve(0)]
    ['1/2', '1/8', '25/512']
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from math import isqrt

from memlib.theory.trajectories import Vector, dot, learning_time
from memlib.theory.worlds import Data, Sample, mean, total, without

ONE, ZERO = Fraction(1), Fraction(0)

#: Everything here is between 0 and this, the `L` of an L-bounded loss.
BOUND = ONE


def chance(score: Fraction) -> Fraction:
    """The sigmoid: two parabolas between -1 and 1, constant outside."""
    if abs(score) >= 1:
        return ONE if score > 0 else ZERO
    tail = (1 - abs(score)) ** 2 / 2
    return 1 - tail if score > 0 else tail


def slope(score: Fraction) -> Fraction:
    """The derivative of the sigmoid: a tent of height 1."""
    return max(1 - abs(score), ZERO)


def accuracy(w: Vector, sample: Sample) -> Fraction:
    """Chance that the prediction drawn at the sample is its label (-1 or 1)."""
    x, y = sample
    return chance(y * dot(w, x))


def loss(w: Vector, sample: Sample) -> Fraction:
    """Gibbs loss: the chance of the wrong label."""
    return BOUND - accuracy(w, sample)


def weight_gradient(w: Vector, sample: Sample) -> Vector:
    """Gradient of the loss in w."""
    x, y = sample
    steepness = slope(y * dot(w, x))
    return tuple(-y * steepness * Fraction(value) for value in x)


def input_gradient(w: Vector, sample: Sample) -> Vector:
    """Gradient of the loss in x."""
    x, y = sample
    steepness = slope(y * dot(w, x))
    return tuple(-y * steepness * value for value in w)


def mean_gradient(w: Vector, data: Data) -> Vector:
    """Gradient in w of the mean loss."""
    gradients = [weight_gradient(w, z) for z in data]
    return tuple(mean([g[k] for g in gradients]) for k in range(len(w)))


@cache
def descend(data: Data, start: Vector, rate: Fraction, steps: int) -> tuple[Vector, ...]:
    """Full-batch gradient descent on the mean loss: the weights w_0, ..., w_steps."""
    run = [tuple(Fraction(value) for value in start)]
    for _ in range(steps):
        gradient = mean_gradient(run[-1], data)
        run.append(tuple(v - rate * g for v, g in zip(run[-1], gradient, strict=True)))
    return tuple(run)


def square_root(value: Fraction) -> Fraction:
    """The square root of the square of a rational number.

    Raises:
        ValueError: The root is irrational.
    """
    top, bottom = isqrt(value.numerator), isqrt(value.denominator)
    if top * top != value.numerator or bottom * bottom != value.denominator:
        raise ValueError(f"{value} is not the square of a rational number: choose another instance")
    return Fraction(top, bottom)


@dataclass(frozen=True)
class Training:
    """Gradient descent on a data set, and on the same data set with one sample left out.

    The population is the uniform distribution on the data.
    """

    data: Data
    start: tuple[Fraction | int, ...]
    rate: Fraction
    steps: int

    def weights(self, left_out: int | None = None) -> tuple[Vector, ...]:
        """The weights w_0, ..., w_steps, trained on all data or without one sample."""
        data = self.data if left_out is None else without(self.data, left_out)
        return descend(data, tuple(Fraction(v) for v in self.start), self.rate, self.steps)

    def curve(self, i: int, left_out: int | None = None) -> tuple[Fraction, ...]:
        """The loss of sample i at each weight."""
        return tuple(loss(w, self.data[i]) for w in self.weights(left_out))

    def mean_curve(self) -> tuple[Fraction, ...]:
        """The training loss at each weight."""
        return tuple(mean([loss(w, z) for z in self.data]) for w in self.weights())

    def squares(self, i: int) -> tuple[Fraction, ...]:
        """The squared norm of the input gradient of sample i at each weight."""
        gradients = (input_gradient(w, self.data[i]) for w in self.weights())
        return tuple(dot(g, g) for g in gradients)

    def batch_squares(self) -> tuple[Fraction, ...]:
        """The squared norm of the gradient of the training loss in all inputs, at each weight."""
        m = len(self.data)
        per_sample = [self.squares(i) for i in range(m)]
        return tuple(total(step) / m**2 for step in zip(*per_sample, strict=True))

    def time(self, i: int, tau: Fraction) -> int:
        """Learning time of sample i (least T); steps + 2 if it is never learned."""
        return learning_time(self.squares(i), tau) or self.steps + 2

    def memorization(self, i: int, step: int = -1) -> Fraction:
        """Accuracy on sample i when trained with it, minus when trained without it."""
        inside, outside = self.weights()[step], self.weights(i)[step]
        return accuracy(inside, self.data[i]) - accuracy(outside, self.data[i])

    def stability(self) -> Fraction:
        """The least beta of error stability at the end of training."""

        def risk(left_out: int | None) -> Fraction:
            return mean([loss(self.weights(left_out)[-1], z) for z in self.data])

        return max(abs(risk(None) - risk(i)) for i in range(len(self.data)))

    def deviation(self) -> Fraction:
        """The largest standard deviation, over the steps, of the loss of a random sample."""
        curves = [self.curve(i) for i in range(len(self.data))]
        return square_root(max(variance(step) for step in zip(*curves, strict=True)))

    def smoothness(self) -> Fraction:
        """A Lipschitz constant of the gradient in w of every loss: the slope is 1-Lipschitz."""
        return max(dot(x, x) for x, _ in self.data)

    def largest_gradient(self) -> Fraction:
        """The largest squared norm of a gradient in w that a step used, in all runs."""
        choices = [None, *range(len(self.data))]
        return max(
            dot(g, g)
            for i in choices
            for w in self.weights(i)
            for g in [mean_gradient(w, self.data if i is None else without(self.data, i))]
        )


def stochastic_runs(training: Training) -> list[tuple[Vector, ...]]:
    """Every run of SGD with batches of one sample, all orders with replacement equally likely.

    Cost: the number of samples to the power of the number of steps.
    """
    runs = []
    for choices in product(training.data, repeat=training.steps):
        run = [training.weights()[0]]
        for sample in choices:
            gradient = weight_gradient(run[-1], sample)
            moves = zip(run[-1], gradient, strict=True)
            run.append(tuple(v - training.rate * g for v, g in moves))
        runs.append(tuple(run))
    return runs


def variance(values: Sequence[Fraction]) -> Fraction:
    """Mean squared distance from the mean."""
    center = mean(values)
    return mean([(value - center) ** 2 for value in values])
