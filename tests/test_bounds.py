"""The closed forms that the book draws."""

import math

import numpy as np
import pytest

from memlib import bounds, errors

EPSILONS = [0.0, 1e-9, 0.1, 0.5, 1.0, 2.0, 5.0, 20.0, math.inf]


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_randomized_response_is_private_and_attains_the_tight_bound(epsilon: float) -> None:
    p, q = bounds.randomized_response(epsilon)
    for one, other in ((p, q), (1 - p, 1 - q)):
        if math.isfinite(epsilon):
            assert one <= math.exp(epsilon) * other * (1 + 1e-12) + 1e-12
            assert other <= math.exp(epsilon) * one * (1 + 1e-12) + 1e-12
    assert p - q == pytest.approx(bounds.memorization_bound(epsilon), abs=1e-15)


@pytest.mark.parametrize("epsilon", EPSILONS[1:-1])
def test_no_private_pair_of_accuracies_exceeds_the_tight_bound(epsilon: float) -> None:
    p, q = np.meshgrid(*[np.linspace(0, 1, 201)] * 2)
    e = math.exp(epsilon)
    private = (p <= e * q) & (q <= e * p) & (1 - p <= e * (1 - q)) & (1 - q <= e * (1 - p))
    assert (p - q)[private].max() <= bounds.memorization_bound(epsilon) + 1e-12


def test_the_printed_bound_lies_above_the_tight_one_and_is_twice_as_steep_at_zero() -> None:
    for epsilon in EPSILONS[1:-2]:
        assert bounds.memorization_bound(epsilon) < bounds.printed_bound(epsilon)
    assert bounds.printed_bound(1e-9) / bounds.memorization_bound(1e-9) == pytest.approx(2)


def test_the_standard_error_is_the_spread_of_simulated_estimates() -> None:
    inside, outside, draws = 70, 30, 40_000
    rng = np.random.default_rng(0)
    p, q = rng.binomial(inside, 0.9, draws) / inside, rng.binomial(outside, 0.6, draws) / outside
    predicted = bounds.standard_error(0.9, 0.6, fraction=0.7, models=100)
    assert (p - q).std() == pytest.approx(predicted, rel=0.02)  # sampling error: 0.4 %


def test_the_worst_case_is_the_one_that_the_chapter_quotes() -> None:
    for models in (1, 50, 4000):
        worst = bounds.standard_error(0.5, 0.5, fraction=0.7, models=models)
        assert worst == pytest.approx(5 / math.sqrt(21 * models))
        others = [bounds.standard_error(p, q, 0.7, models) for p in (0, 0.4, 1) for q in (0.2, 1)]
        assert max(others) < worst


@pytest.mark.parametrize("epsilon", [-0.1, math.nan])
def test_a_privacy_parameter_that_is_none_is_refused(epsilon: float) -> None:
    for bound in (bounds.memorization_bound, bounds.printed_bound, bounds.randomized_response):
        with pytest.raises(errors.NotPositive, match="epsilon"):
            bound(epsilon)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((1.5, 0.5, 0.7, 10), errors.InvalidInput),
        ((0.5, math.nan, 0.7, 10), errors.InvalidInput),
        ((0.5, 0.5, 1.0, 10), errors.FractionOutOfRange),
        ((0.5, 0.5, 0.7, 0), errors.NotPositive),
    ],
)
def test_a_standard_error_of_nothing_is_refused(arguments: tuple, error: type) -> None:
    with pytest.raises(error):
        bounds.standard_error(*arguments)
