"""Closed forms that the book quotes and draws: bounds on memorization, errors of its estimate."""

import math

from memlib.errors import InvalidInput, NotPositive
from memlib.runtime import open_fraction, whole_number


def memorization_bound(epsilon: float) -> float:
    """Return the most that an epsilon-differentially private algorithm can memorize: tanh(eps/2).

    With accuracies p (trained on the sample) and q (trained without it), privacy demands both
    p <= e^eps q and 1 - q <= e^eps (1 - p). Together they give p - q <= (e^eps - 1)/(e^eps + 1).
    `randomized_response` attains it.

    Args:
        epsilon: The privacy parameter, at least 0 (infinity: no privacy).

    Returns:
        The bound on the signed memorization of every sample, in [0, 1].

    Raises:
        NotPositive: epsilon is negative or not a number.

    Example:
        >>> from memlib.bounds import memorization_bound
        >>> round(memorization_bound(1.0), 3)
        0.462
    """
    return math.tanh(_privacy(epsilon) / 2)


def printed_bound(epsilon: float) -> float:
    """Return the bound on memorization that `privacy` prints in Theorem 5.4: 1 - e^-eps.

    It follows from p <= e^eps q alone, and is at least `memorization_bound`.

    Args:
        epsilon: The privacy parameter, at least 0 (infinity: no privacy).

    Returns:
        The bound, in [0, 1].

    Raises:
        NotPositive: epsilon is negative or not a number.

    Example:
        >>> from memlib.bounds import printed_bound
        >>> round(printed_bound(1.0), 3)
        0.632
    """
    return -math.expm1(-_privacy(epsilon))


def randomized_response(epsilon: float) -> tuple[float, float]:
    """Return the accuracies of randomized response: truth with probability e^eps / (1 + e^eps).

    The truth is whether the sample is in the data set, and "yes" is its label: leaving the sample
    out changes the probability of each answer by a factor of e^eps, as far as privacy allows.

    Args:
        epsilon: The privacy parameter, at least 0 (infinity: no privacy).

    Returns:
        The probabilities of the sample's label, trained with the sample and without it.

    Raises:
        NotPositive: epsilon is negative or not a number.

    Example:
        >>> from memlib.bounds import randomized_response
        >>> [round(p, 3) for p in randomized_response(1.0)]
        [0.731, 0.269]
    """
    other = math.exp(-_privacy(epsilon))
    return 1 / (1 + other), other / (1 + other)


def standard_error(p: float, q: float, fraction: float, models: int) -> float:
    """Return the standard error of the subset estimate of a sample's memorization.

    That is sqrt(p(1-p)/(fM) + q(1-q)/((1-f)M)) for M independent networks of which a share f
    trained on the sample; it is largest, at any f and M, for p = q = 1/2.

    Args:
        p: Accuracy on the sample of the networks that trained on it, in [0, 1].
        q: Accuracy on the sample of the others, in [0, 1].
        fraction: f, the share of the networks that trained on the sample, in (0, 1).
        models: M, the number of networks.

    Returns:
        The standard error, in the units of memorization (probability).

    Raises:
        InvalidInput: p or q is not a probability.
        FractionOutOfRange: fraction is outside (0, 1).
        NotPositive: models is below 1.

    Example:
        >>> from memlib.bounds import standard_error
        >>> round(standard_error(0.5, 0.5, fraction=0.7, models=1000), 4)
        0.0345
    """
    for name, value in (("p", p), ("q", q)):
        if not 0 <= value <= 1:
            raise InvalidInput(name, value, "Pass a probability: 0, 1 or a number between.")
    inside = open_fraction("fraction", fraction) * whole_number("models", models)
    return math.sqrt(p * (1 - p) / inside + q * (1 - q) / (models - inside))


def _privacy(epsilon: float) -> float:
    """Return epsilon, or raise NotPositive."""
    if not epsilon >= 0:  # NaN, too
        raise NotPositive("epsilon", epsilon, "Pass 0 or a positive number.")
    return float(epsilon)
