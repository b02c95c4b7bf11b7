"""Finite private algorithms and losses with exact curvature, against values worked out by hand."""

from fractions import Fraction

import pytest

from memlib.theory import curvature_worlds as curvature
from memlib.theory.privacy_worlds import (
    average,
    chance,
    constant,
    hockey_stick,
    is_private,
    membership_response,
    neighbors,
    private_pairs,
    size_response,
)
from memlib.theory.worlds import total_variation

F = Fraction
SAMPLES = ((0, 0), (0, 1))


def test_a_constant_algorithm_is_perfectly_private() -> None:
    assert is_private(constant("h"), SAMPLES, F(1))


def test_randomized_response_is_private_at_the_odds_of_its_answers_and_not_below() -> None:
    for respond in (membership_response((0, 1), F(4, 5)), size_response(F(4, 5), (1, 0))):
        assert is_private(respond, SAMPLES, F(4))
        assert not is_private(respond, SAMPLES, F(399, 100))


def test_revealing_costs_its_probability_in_delta() -> None:
    respond = membership_response((0, 1), F(4, 5), reveal=F(1, 10))
    assert is_private(respond, SAMPLES, F(4), F(1, 10))
    assert not is_private(respond, SAMPLES, F(4), F(9, 100))


def test_the_hockey_stick_at_factor_one_is_total_variation() -> None:
    p, q = {0: F(1, 2), 1: F(1, 2)}, {0: F(1, 4), 1: F(1, 4), 2: F(1, 2)}
    assert hockey_stick(p, q, F(1)) == total_variation(p, q) == F(1, 2)
    assert hockey_stick(q, p, F(2)) == F(1, 2)


def test_neighbors_are_by_removal() -> None:
    pairs = list(neighbors(SAMPLES, 2))
    assert len(pairs) == 2 * 1 + 4 * 2
    assert all(len(a) == len(b) + 1 for a, b in pairs)


def test_chance_and_average_sum_over_hypotheses() -> None:
    mixed = {1: F(1, 3), 5: F(2, 3)}
    assert (chance(mixed, lambda h: h > 1), average(mixed, F)) == (F(2, 3), F(11, 3))


def test_private_pairs_has_one_row_per_event_and_direction() -> None:
    at_most, equal = private_pairs(3, F(2), F(1, 5))
    assert (len(at_most), len(equal)) == (14, 2)
    assert at_most[0] == ([1, 0, 0, -2, 0, 0], F(1, 5))


def test_eulers_spline_has_the_values_slopes_and_curvatures_of_its_formula() -> None:
    spline = curvature.EULER
    assert [curvature.at(spline, F(1, 4), k) for k in range(4)] == [F(1, 2), 3, 0, -96]
    assert curvature.at(spline, F(-7, 4)) == curvature.at(spline, F(1, 4))
    assert (curvature.bounds(spline), curvature.hessian_constant(spline)) == ((0, 1), 96)
    assert curvature.at(curvature.flipped(spline), 0, 2) == -24


def test_a_spline_is_not_evaluated_outside_its_knots() -> None:
    line = curvature.Spline((0, 1), ((0, 1),))
    with pytest.raises(ValueError, match="outside"):
        curvature.at(line, 2)


def test_a_jump_of_the_curvature_is_refused() -> None:
    kink = curvature.Spline((-1, 0, 1), ((0,), (0, 0, 1)))
    assert not curvature.is_smooth(kink)
    with pytest.raises(ValueError, match="curvature"):
        curvature.hessian_constant(kink)


def test_bernstein_coefficients_enclose_a_polynomial() -> None:
    assert curvature.bernstein((0, 0, 1), -1, 1) == [1, -1, 1]
    assert curvature.bernstein((2, 3), 0, 2) == [2, 8]


def test_the_constants_of_a_learner_that_ignores_its_data() -> None:
    world = curvature.constant_world(curvature.EULER, (0, F(1, 2)))  # type: ignore[arg-type]
    assert curvature.error_stability(world, 2) == 0
    assert curvature.generalization(world, 2) == F(1, 2)
    assert curvature.empirical_gap(world, 2) == F(1, 2)
    assert curvature.model_bias(world, 2) == F(1, 2)
    assert curvature.memorized(world, ((F(1, 2), 1), (0, 0)), 0) == 0


def test_the_loss_of_a_learner_that_ignores_its_data_is_the_profile_of_the_residual() -> None:
    coins = curvature.constant_world(curvature.EULER, (0, 1))
    assert {curvature.loss(coins, coins.learner(()), z) for z, _ in coins.population} == {0}
    assert coins.cost(F(1, 3), F(1, 3)) == 1
    single = curvature.constant_world(curvature.EULER, (0, 1), (0,))
    assert [z for z, _ in single.population] == [(0, 0), (1, 0)]
    assert single.learner(())(F(1, 3)) == F(1, 3)
    assert single.cost(F(1, 3), F(1, 3)) == 0


def test_twins_have_these_moments_and_are_found() -> None:
    assert curvature.twins((2, -1)) == {"mean": F(1, 2), "second": F(5, 2), "third": F(9, 2)}
    data = ((0, 1), (1, 1), (2, 0))
    assert curvature.has_twins(data, 0, (1, -1))
    assert not curvature.has_twins(data, 2, (1, -1))
