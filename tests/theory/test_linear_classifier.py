"""The exact linear classifier: its sigmoid, its gradients, and its runs."""

from fractions import Fraction
from itertools import pairwise

import pytest

from memlib.theory import trajectories
from memlib.theory.linear_classifier import (
    Training,
    chance,
    input_gradient,
    loss,
    slope,
    square_root,
    weight_gradient,
)
from memlib.theory.orders.instances import TWINS, TWINS_TAU, plateau, squared_k_g, twins

GRID = [Fraction(k, 8) for k in range(-12, 13)]
STEP = Fraction(1, 10**6)


def test_the_sigmoid_is_a_chance_that_grows_and_is_symmetric() -> None:
    assert all(0 <= chance(a) <= chance(b) <= 1 for a, b in pairwise(GRID))
    assert all(chance(u) + chance(-u) == 1 for u in GRID)
    assert (chance(Fraction(-1)), chance(Fraction(0)), chance(Fraction(1))) == (
        0,
        Fraction(1, 2),
        1,
    )


def test_the_slope_is_the_derivative_and_is_1_lipschitz() -> None:
    for u in GRID:
        assert abs((chance(u + STEP) - chance(u)) / STEP - slope(u)) <= STEP
    assert all(abs(slope(b) - slope(a)) <= b - a for a, b in pairwise(GRID))


@pytest.mark.parametrize("label", [-1, 1])
def test_both_gradients_are_those_of_the_loss(label: int) -> None:
    w, x = (Fraction(1, 3), Fraction(-1, 5)), (Fraction(1, 2), Fraction(2))
    for k in range(2):
        nudge = tuple(STEP if j == k else Fraction(0) for j in range(2))
        moved_w = tuple(a + b for a, b in zip(w, nudge, strict=True))
        moved_x = tuple(a + b for a, b in zip(x, nudge, strict=True))
        here = loss(w, (x, label))
        assert abs(
            (loss(moved_w, (x, label)) - here) / STEP - weight_gradient(w, (x, label))[k]
        ) < (5 * STEP)
        assert abs((loss(w, (moved_x, label)) - here) / STEP - input_gradient(w, (x, label))[k]) < (
            5 * STEP
        )


def test_where_all_scores_are_right_it_is_least_squares() -> None:
    data = (((1, 0), 1), ((1, 1), 1))
    run = Training(data, (Fraction(1, 4), 0), Fraction(1, 8), 5)
    other = trajectories.descend(data, (Fraction(1, 4), 0), Fraction(1, 8), 5, Fraction(1, 2))
    assert run.weights() == other
    assert run.curve(1) == trajectories.losses(other, data[1])
    assert run.squares(0) == trajectories.squared_gradients(other, data[0])


def test_memorization_is_a_difference_of_losses() -> None:
    run = Training((((1, 0), 1), ((0, 1), -1)), (0, 0), Fraction(1, 2), 4)
    for i in range(2):
        for step in range(5):
            held_out, own = run.curve(i, left_out=i)[step], run.curve(i)[step]
            assert run.memorization(i, step) == held_out - own


def test_the_batch_gradient_is_that_of_the_mean_loss() -> None:
    squares = [sum(pair) / 4 for pair in zip(TWINS.squares(0), TWINS.squares(1), strict=True)]
    assert list(TWINS.batch_squares()) == squares


def test_a_sample_that_is_never_learned_gets_one_more_than_there_are_weights() -> None:
    assert TWINS.time(0, Fraction(0)) == len(TWINS.weights()) + 1
    assert TWINS.time(1, TWINS_TAU) == 1


def test_one_step_fits_the_twins_exactly() -> None:
    for ratio in (Fraction(1, 2), Fraction(9, 10), Fraction(99, 100)):
        run = twins(ratio)
        first, second = (run.curve(i)[0] for i in range(2))
        assert second == ratio**2 * first
        assert run.mean_curve()[1:] == (0, 0)


def test_k_g_bounds_the_input_gradient_by_the_weight_gradient() -> None:
    for w in TWINS.weights():
        in_x = [trajectories.dot(g, g) for g in (input_gradient(w, z) for z in TWINS.data)]
        mean = [sum(c) / 2 for c in zip(*(weight_gradient(w, z) for z in TWINS.data), strict=True)]
        assert sum(in_x) / 4 <= squared_k_g(w, TWINS.data) * trajectories.dot(mean, mean)


def test_the_plateau_loses_nearly_all_of_its_loss_in_one_step() -> None:
    start, after, *_ = plateau()
    assert trajectories.dot(after, after) > 1000 * trajectories.dot(start, start)


def test_an_irrational_root_is_refused() -> None:
    assert square_root(Fraction(9, 4)) == Fraction(3, 2)
    with pytest.raises(ValueError, match="is not the square"):
        square_root(Fraction(2))
