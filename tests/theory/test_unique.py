"""The exact worlds behind the claims on sample information."""

from fractions import Fraction
from itertools import product
from math import log

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov

from memlib.theory.divergences import (
    Log,
    average,
    coin,
    covers,
    divergence,
    is_distribution,
    mixture,
    point,
)
from memlib.theory.linearized import (
    Network,
    gradients,
    hessian,
    kernel,
    lyapunov,
    minimum,
    noise,
    own,
    rows,
    targets,
    without,
)

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
NETWORK = Network(((1, 0, 2), (0, 1, 1), (1, 1, 0), (2, 0, 1)), (1, -1, 2, 0), HALF, 2)


# Divergences -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [*product((QUARTER, HALF, Fraction(2, 3)), repeat=2)])
def test_a_divergence_is_the_sum_of_its_terms(a: Fraction, b: Fraction) -> None:
    terms = (1 - a) * log((1 - a) / (1 - b)) + a * log(a / b)
    assert float(divergence(coin(a), coin(b))) == pytest.approx(terms, abs=1e-12)


def test_logarithms_are_compared_as_numbers_without_rounding() -> None:
    third = Log(Fraction(8), 3)
    assert third == Log(Fraction(2))
    assert hash(third) == hash(Log(Fraction(2)))
    assert Log(Fraction(2)) < Log(Fraction(2) + Fraction(1, 10**30))
    assert 3 * third == Log(Fraction(8))
    assert third - third == HALF * Log(Fraction(1))
    assert third + Log(Fraction(3), 2) == Log(Fraction(12), 2)
    assert third != 1


def test_a_divergence_from_what_does_not_cover_it_is_refused() -> None:
    assert not covers(point(0), coin(HALF))
    assert covers(coin(HALF), point(0))
    with pytest.raises(ValueError, match="infinite"):
        divergence(coin(HALF), point(0))


def test_a_mixture_averages_the_probabilities() -> None:
    mixed = mixture([(QUARTER, coin(HALF)), (1 - QUARTER, point(1))])
    assert mixed == {0: Fraction(1, 8), 1: Fraction(7, 8)}
    assert is_distribution(mixed)
    assert not is_distribution({0: Fraction(3, 2), 1: -HALF})
    assert not is_distribution({0: HALF})
    assert coin(1) == point(1)


def test_an_average_of_logarithms_weighs_them() -> None:
    found = average([(QUARTER, Log(Fraction(16))), (1 - QUARTER, Log(Fraction(1)))])
    assert found == Log(Fraction(2))


# Linearized networks -----------------------------------------------------------------------------


def floats(matrix: object) -> np.ndarray:
    return np.array(matrix.tolist(), dtype=float)  # type: ignore[attr-defined]


def test_training_ends_where_the_gradient_of_the_regularized_loss_vanishes() -> None:
    w = minimum(NETWORK)
    gradient = rows(NETWORK).T * (rows(NETWORK) * w - targets(NETWORK)) + w / 2
    assert gradient.is_zero_matrix
    total = gradients(NETWORK, w) * np.ones((2, 1)).astype(int) + w / 2
    assert total.is_zero_matrix


def test_weights_and_kernel_give_the_same_minimum() -> None:
    by_weights = hessian(NETWORK).inv() * rows(NETWORK).T * targets(NETWORK)
    assert minimum(NETWORK) == by_weights
    assert rows(NETWORK).T * kernel(NETWORK).inv() * targets(NETWORK) == by_weights


def test_without_regularization_training_ends_nearest_to_its_start() -> None:
    plain = Network(((1, 1), (2, 2)), (1, 2))
    assert kernel(plain).det() == 0
    with pytest.raises(ValueError, match="decay=0"):
        minimum(plain)
    wide = Network(((3, 4),), (5,))
    assert [str(x) for x in minimum(wide)] == ["3/5", "4/5"]


def test_leaving_out_a_sample_removes_all_its_rows() -> None:
    rest = without(NETWORK, 0)
    assert rest == Network(((1, 1, 0), (2, 0, 1)), (2, 0), HALF, 2)
    assert (NETWORK.samples, rest.samples) == (2, 1)
    assert own(NETWORK, 1) == slice(2, 4)


def test_the_noise_is_the_covariance_of_the_samples_gradients() -> None:
    w = minimum(NETWORK)
    expected = np.cov(floats(gradients(NETWORK, w)), bias=True)
    assert floats(noise(NETWORK, w)) == pytest.approx(expected)


def test_the_steady_state_is_that_of_scipy() -> None:
    h, q = hessian(NETWORK), noise(NETWORK, minimum(NETWORK))
    expected = solve_continuous_lyapunov(floats(h), floats(q))
    assert floats(lyapunov(h, q)) == pytest.approx(expected)
