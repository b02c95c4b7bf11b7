"""What a privacy guarantee leaves of memorization, and what DP-SGD guarantees."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import erf, ndtr, ndtri

from memlib.bounds import memorization_bound
from memlib.errors import FractionOutOfRange, InvalidInput, NonFiniteNumber, NotPositive, WrongType
from memlib.runtime import open_fraction, whole_number

_FINEST, _FINE, _COARSE = 1e-6, 1e-4, 1e-3  # width of privacy losses that are counted as one
_LITTLE_NOISE = 0.7  # below it privacy losses are so large that the coarse width will do
_NEGLIGIBLE = 1e-8  # the profile is kept up to the epsilon with this delta
_POINTS = 100
_ERROR, _LEAST_ERROR = 0.01, 0.001  # relative and absolute error that is asked of epsilon
_LEAST_EPSILON, _MOST_EPSILON = 0.05, 500.0
_LEAST_NOISE = 0.2  # below it a single step costs an epsilon of tens


@dataclass(frozen=True)
class MemorizationBound:
    """The most that an algorithm with a known privacy guarantee can memorize of any sample.

    Every guarantee here is for adding or removing one sample, and is a list of points of the
    privacy profile: the algorithm is (epsilon, delta)-private for each of them. Memorization is
    the difference of the probabilities p and q of a sample's label, trained with the sample and
    without it. Both are probabilities of one event under neighboring data sets, so each point
    bounds their difference, surely and not only with probability 1 - delta.

    Attributes:
        value: The bound on the absolute memorization of every sample of every data set, in
            [0, 1]: the largest total variation distance between neighbors, which is the delta
            at epsilon = 0.
        assumption: What is assumed of the algorithm, in words.
        source: Id of the claim in `memlib.theory` that proves the bound.
        profile: Points (epsilon, delta) of the guarantee.
        mu: The parameter of Gaussian differential privacy, where that is the guarantee.

    Example:
        >>> from memlib.accounting import MemorizationBound
        >>> bound = MemorizationBound.pure(1.0)
        >>> round(bound.value, 3), round(float(bound.given_accuracy(0.99)), 3)
        (0.462, 0.017)
    """

    value: float
    assumption: str
    source: str
    profile: tuple[tuple[float, float], ...] = field(repr=False)
    mu: float | None = None

    @classmethod
    def pure(cls, epsilon: float) -> MemorizationBound:
        """Return the bound for epsilon-differential privacy: tanh(epsilon/2), which is attained.

        Args:
            epsilon: The privacy parameter, at least 0 (infinity: no privacy).

        Raises:
            NotPositive: epsilon is negative or not a number.
            WrongType: It is no number.
        """
        number = _number("epsilon", epsilon)
        value = memorization_bound(number)
        guarantee = f"{number:g}-differential privacy"
        return cls(value, guarantee, "book/tv-pure", ((number, 0.0), (0.0, value)))

    @classmethod
    def approximate(cls, epsilon: float, delta: float) -> MemorizationBound:
        """Return the bound for (epsilon, delta)-privacy: (e^eps - 1 + 2 delta)/(e^eps + 1).

        It is attained. Of an algorithm whose whole profile is known, such as DP-SGD, one point
        gives away much: `dp_sgd` is smaller.

        Args:
            epsilon: The privacy parameter, at least 0 (infinity: no privacy).
            delta: The additive part, from 0 up to, not including, 1.

        Raises:
            NotPositive: epsilon is negative or not a number.
            FractionOutOfRange: delta is not in [0, 1).
            WrongType: One of them is no number.
        """
        number, part = _number("epsilon", epsilon), checked_delta(delta)
        pure = memorization_bound(number)
        value = pure + part * (1 - pure)  # the same as the quotient above, without overflow
        guarantee = f"({number:g}, {part:g})-differential privacy"
        return cls(value, guarantee, "book/tv-approx", ((number, part), (0.0, value)))

    @classmethod
    def gaussian(cls, mu: float) -> MemorizationBound:
        """Return the bound for mu-Gaussian differential privacy: 2 Phi(mu/2) - 1, attained.

        A sum whose terms have norm at most C, with normal noise of deviation sigma C on each
        coordinate, has mu = 1/sigma (Dong, Roth and Su, 2022).

        Args:
            mu: The parameter, at least 0 (infinity: no privacy).

        Raises:
            NotPositive: mu is negative or not a number.
            WrongType: It is no number.
        """
        number = _number("mu", mu)
        value = float(erf(number / math.sqrt(8)))
        guarantee = f"{number:g}-Gaussian differential privacy"
        return cls(value, guarantee, "book/tv-gdp", ((0.0, value),), number)

    @classmethod
    def dp_sgd(cls, noise: float, sample_rate: float, steps: int) -> MemorizationBound:
        """Return the bound for a run of DP-SGD, from its own parameters.

        The privacy profile of the composed, Poisson-subsampled Gaussian mechanism, by the privacy
        loss distribution of dp-accounting (Koskela et al., 2020; Doroshenko et al., 2022), which
        rounds against us: up to floating point `value` is an upper bound on delta at epsilon = 0.
        It holds for the release of all steps, so for the last weights too, of which it need not
        be the exact value.

        Args:
            noise: Noise multiplier sigma: deviation of the noise over the norm that gradients are
                clipped to. 0 is no privacy, except that a sample may never be drawn.
            sample_rate: Probability q with which a step draws a sample, in (0, 1].
            steps: Number of steps T.

        Raises:
            NotPositive: noise is negative or not a number, or steps is below 1.
            FractionOutOfRange: sample_rate is not in (0, 1].
            WrongType: An argument is no number, or steps is not whole.
            NonFiniteNumber: noise is infinite.
            InvalidInput: The noise is positive and below 0.2.
            ModuleNotFoundError: dp-accounting is not installed.

        Cost: about 1 s, up to a minute for very little noise or a million steps; the last 64
        profiles are kept.
        """
        sigma, rate = checked_noise(noise), _rate(sample_rate)
        number = whole_number("steps", steps)
        profile = _dp_sgd_profile(sigma, rate, number)
        guarantee = f"DP-SGD: noise {sigma:g}, sampling rate {rate:g}, {number} steps"
        return cls(profile[0][1], guarantee, "book/tv-accountant", profile)

    def given_accuracy(self, accuracy: Any) -> np.ndarray:
        """Return the most a sample can be memorized, given its accuracy in training.

        Least over the profile of the three bounds p, (1 - 1/E) p + delta/E and (E - 1)(1 - p) +
        delta, with E = e^epsilon (claim `book/mem-given-accuracy`); for Gaussian privacy
        p - Phi(Phi^-1(p) - mu). Each is attained by an algorithm with that guarantee, for
        `dp_sgd` up to the 100 points of the profile. It is signed: memorization can be below.

        Args:
            accuracy: p, the probability of the sample's label when trained on it: a number or
                an array of any shape.

        Returns:
            The bounds, in [0, 1], in the shape of the argument.

        Raises:
            InvalidInput: A number is no probability.
        """
        p = _probability("accuracy", accuracy)
        if self.mu is not None:
            return p - _shifted(p, -self.mu)
        found = np.minimum(p, self.value)
        for epsilon, delta in self.profile:
            found = np.fmin(found, -np.expm1(-epsilon) * p + delta * np.exp(-epsilon))
            with np.errstate(over="ignore", invalid="ignore"):
                # infinity times zero says nothing, and fmin passes over it
                found = np.fmin(found, np.expm1(epsilon) * (1 - p) + delta)
        return found

    def given_held_out(self, accuracy: Any) -> np.ndarray:
        """Return the most a sample can be memorized, given its accuracy when it is left out.

        As `given_accuracy`: the bounds are 1 - q, (E - 1) q + delta and (1 - 1/E)(1 - q) +
        delta/E; for Gaussian privacy Phi(Phi^-1(q) + mu) - q.

        Args:
            accuracy: q, the probability of the sample's label when it is left out: a number or
                an array of any shape.

        Returns:
            The bounds, in [0, 1], in the shape of the argument.

        Raises:
            InvalidInput: A number is no probability.
        """
        # The wrong labels of one data set are the right ones of the other: 1 - q stands for p.
        q = _probability("accuracy", accuracy)
        return self.given_accuracy(1 - q)


def epsilon_spent(noise: float, sample_rate: float, steps: int, delta: float) -> float:
    """Return an epsilon for which a run of DP-SGD is (epsilon, delta)-private.

    An upper bound by Opacus' accountant for privacy random variables (PRV; Gopi, Lee and
    Wutschitz, 2021), about 0.5 % (and at least 0.0005) above what it estimates.

    Args:
        noise: Noise multiplier sigma; 0 is no privacy.
        sample_rate: Probability q with which a step draws a sample, in (0, 1].
        steps: Number of steps.
        delta: The additive part, in (0, 1).

    Returns:
        epsilon for adding or removing one sample; infinity without noise and above 500.

    Raises:
        NotPositive: noise is negative or not a number, or steps is below 1.
        FractionOutOfRange: sample_rate is not in (0, 1], or delta not in (0, 1).
        WrongType: An argument is no number, or steps is not whole.
        NonFiniteNumber: noise is infinite.
        InvalidInput: The noise is positive and below 0.2.
        ModuleNotFoundError: Opacus is not installed.

    Example:
        >>> from memlib.accounting import epsilon_spent
        >>> round(epsilon_spent(noise=1.0, sample_rate=0.05, steps=20, delta=1e-5), 1)
        2.0
    """
    sigma, rate, part = checked_noise(noise), _rate(sample_rate), open_fraction("delta", delta)
    number = whole_number("steps", steps)
    if sigma == 0:
        return math.inf
    coarse = _prv(sigma, rate, number, part, 0.1)
    if math.isinf(coarse):
        return math.inf
    # half of the error that `noise_for` asks for, so that what it found is never overspent
    error = max(_ERROR * coarse, _LEAST_ERROR) / 2
    # Where delta is above the delta at epsilon = 0, the accountant goes on below 0.
    return max(0.0, min(coarse, _prv(sigma, rate, number, part, error)))


def noise_for(epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """Return the least noise multiplier for which DP-SGD is (epsilon, delta)-private.

    By bisection on Opacus' PRV accountant, whose upper bound stays below epsilon; it gives away
    about 1 % of epsilon, and 2 % at the lowest budgets.

    Args:
        epsilon: The budget, from 0.05 to 500.
        delta: The additive part, in (0, 1).
        sample_rate: Probability q with which a step draws a sample, in (0, 1].
        steps: Number of steps.

    Returns:
        The noise multiplier sigma.

    Raises:
        NotPositive: epsilon is not positive, or steps is below 1.
        InvalidInput: epsilon is outside [0.05, 500], or would need a noise below 0.2.
        FractionOutOfRange: sample_rate is not in (0, 1], or delta not in (0, 1).
        WrongType: An argument is no number, or steps is not whole.
        ModuleNotFoundError: Opacus is not installed.

    Cost: 1 to 6 s; the last 256 are kept.
    """
    target = _number("epsilon", epsilon)
    if target == 0:
        raise NotPositive("epsilon", epsilon, "Pass a positive number.")
    if not _LEAST_EPSILON <= target <= _MOST_EPSILON:
        fix = f"Pass a number from {_LEAST_EPSILON} to {_MOST_EPSILON:g}, or the noise."
        raise InvalidInput("epsilon", epsilon, fix)
    rate, part = _rate(sample_rate), open_fraction("delta", delta)
    noise = _least_noise_for(target, part, rate, whole_number("steps", steps))
    if noise is None:
        fix = f"This budget takes less noise than {_LEAST_NOISE}; lower epsilon, or pass noise=0."
        raise InvalidInput("epsilon", epsilon, fix)
    return noise


@lru_cache(maxsize=256)
def _least_noise_for(target: float, part: float, rate: float, number: int) -> float | None:
    """Return the noise, or None if it would be below the least that is taken."""
    error = max(_ERROR * target, _LEAST_ERROR)
    low, high = _LEAST_NOISE, 1.0
    while _prv(high, rate, number, part, error) > target:
        low, high = high, 2 * high
    while high - low > 1e-3 * high:
        middle = math.sqrt(low * high)
        if _prv(middle, rate, number, part, error) > target:
            low = middle
        else:
            high = middle
    return None if low == _LEAST_NOISE else high


def optional(module: str) -> Any:
    """Import a module of Opacus or dp-accounting, which memlib does not install by itself.

    Args:
        module: Its full name.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: It is missing; the message names the fix.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        fix = "Privacy needs Opacus and dp-accounting: pip install 'memlib[privacy]'."
        raise ModuleNotFoundError(f"{error}. {fix}", name=error.name) from error


@lru_cache(maxsize=256)
def _prv(noise: float, rate: float, steps: int, delta: float, error: float) -> float:
    accountant = optional("opacus.accountants").PRVAccountant()
    accountant.history = [(noise, rate, steps)]
    with _expected_warnings():
        found = float(accountant.get_epsilon(delta, eps_error=error))
    return found if found <= _MOST_EPSILON else math.inf  # also if it is not a number


@contextmanager
def _expected_warnings() -> Iterator[None]:
    """Keep back warnings of Opacus that are about its mesh and say nothing of epsilon."""
    with warnings.catch_warnings():
        # The PRV accountant asks the Renyi accountant only for a width that is surely wide
        # enough; the order that is best for it may be the last one on its list.
        warnings.filterwarnings("ignore", "Optimal order is the (largest|smallest) alpha")
        # On a mesh that reaches privacy losses t with |t| > 709, e^|t| is infinite, and the cells
        # there hold infinity or NaN. The search for epsilon starts at t = 0 and goes right; there
        # it takes these cells for too large, which they are for every epsilon up to 500.
        # If every sample is drawn, log(1 - q) is minus infinity, as it should be.
        warnings.filterwarnings("ignore", "divide by zero", RuntimeWarning, r"opacus\.")
        warnings.filterwarnings(
            "ignore", "(overflow|invalid value) encountered", RuntimeWarning, r"opacus\."
        )
        yield


@lru_cache(maxsize=64)
def _dp_sgd_profile(noise: float, rate: float, steps: int) -> tuple[tuple[float, float], ...]:
    if noise == 0:  # all is told if the sample is ever drawn, and nothing if it never is
        return ((0.0, -math.expm1(steps * math.log1p(-rate)) if rate < 1 else 1.0),)
    distributions = optional("dp_accounting.pld.privacy_loss_distribution")
    width = _COARSE
    if noise >= _LITTLE_NOISE:
        # A fifth of the standard deviation of one step's loss, where that is little
        deviation = rate * math.sqrt(math.expm1(noise**-2))
        width = max(_FINEST, min(_FINE, deviation / 5))
    losses = distributions.from_gaussian_mechanism(
        noise, sampling_prob=rate, value_discretization_interval=width
    ).self_compose(steps)
    last = min(float(losses.get_epsilon_for_delta(_NEGLIGIBLE)), 50.0)
    points = np.linspace(0, last, _POINTS)
    deltas = np.minimum(losses.get_delta_for_epsilon(points), 1.0)
    return tuple(zip(points.tolist(), deltas.tolist(), strict=True))


def _shifted(p: np.ndarray, mu: float) -> np.ndarray:
    """Phi(Phi^-1(p) + mu); without privacy, the least or largest probability."""
    if math.isinf(mu):
        return np.where(mu < 0, 0.0, 1.0) * np.ones_like(p)
    return np.asarray(ndtr(ndtri(p) + mu))


def _number(name: str, value: object) -> float:
    """Return a number from 0 to infinity."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise WrongType(name, value, "Pass a number.") from None
    if isinstance(value, str | bool):
        raise WrongType(name, value, "Pass a number.")
    if not number >= 0:  # NaN, too
        raise NotPositive(name, value, "Pass 0 or a positive number.")
    return number


def checked_noise(value: object) -> float:
    """Return a noise multiplier: 0, or 0.2 and more, and finite; else raise InvalidInput."""
    number = _number("noise", value)
    if math.isinf(number):
        raise NonFiniteNumber("noise", value, "Pass a finite number.")
    if 0 < number < _LEAST_NOISE:
        fix = f"Pass 0 for no privacy, or {_LEAST_NOISE} and more: less protects nobody."
        raise InvalidInput("noise", value, fix)
    return number


def _rate(value: object) -> float:
    number = _number("sample_rate", value)
    if not 0 < number <= 1:
        raise FractionOutOfRange("sample_rate", value, "Pass a number above 0 and at most 1.")
    return number


def checked_delta(value: object) -> float:
    """Return the additive part of a guarantee, in [0, 1); else raise InvalidInput."""
    number = _number("delta", value)
    if number >= 1:
        raise FractionOutOfRange("delta", value, "Pass 0 or a number below 1.")
    return number


def _probability(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise WrongType(name, values, "Pass probabilities.") from None
    if not ((array >= 0) & (array <= 1)).all():  # NaN, too
        raise InvalidInput(name, values, "Pass probabilities: 0, 1 or numbers between.")
    return array
