"""The exact worlds, against numbers worked out by hand and against brute force."""

import random
from fractions import Fraction as F
from itertools import combinations, permutations, product

import pytest

from memlib.theory import trajectories as runs
from memlib.theory import worlds
from memlib.theory.worlds import (
    all_functions,
    balanced_designs,
    binomial,
    estimates,
    gibbs,
    masked_means,
    memorization,
    nearest_neighbor,
    parity,
    randomized_response,
    stability,
    subset_accuracy,
    subset_influence,
    subset_memorization,
    total_variation,
    without,
)

LEARNERS = [
    nearest_neighbor,
    parity,
    randomized_response((0, 1), F(3, 4)),
    gibbs(all_functions(range(3), (0, 1)), F(1, 3)),
    gibbs(all_functions(range(3), (0, 1)), F(0)),
]
BITS = tuple(zip(range(3), (1, 0, 1), strict=True))


# Learners ------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_predictor_returns_a_distribution(learner: worlds.Learner) -> None:
    for data in (BITS, BITS[:2]):
        for x in range(3):
            chances = learner(data)(x)
            assert sum(chances.values()) == 1
            assert min(chances.values()) >= 0


def test_nearest_neighbor_breaks_ties_evenly() -> None:
    data = ((0, "a"), (2, "b"), (2, "c"), (9, "d"))
    assert nearest_neighbor(data)(1) == {"a": F(1, 3), "b": F(1, 3), "c": F(1, 3)}
    assert nearest_neighbor(data)(5) == {"b": F(1, 2), "c": F(1, 2)}
    assert nearest_neighbor(((0, "a"), (2, "a"), (1, "b")))(1) == {"b": 1}


def test_gibbs_weighs_by_training_errors() -> None:
    # h(0)h(1) in 00, 01, 10, 11 makes 2, 1, 1, 0 errors on labels 1, 1
    learner = gibbs(all_functions((0, 1), (0, 1)), F(1, 2))
    assert learner(((0, 1), (1, 1)))(0) == {0: F(1, 3), 1: F(2, 3)}


def test_randomized_response_keeps_its_label_with_the_given_probability() -> None:
    learner = randomized_response("abc", F(1, 2))
    assert learner(((7, "b"),))(7) == {"a": F(1, 4), "b": F(1, 2), "c": F(1, 4)}
    assert learner(((7, "b"),))(8) == {"a": F(1, 3), "b": F(1, 3), "c": F(1, 3)}


# Memorization and stability ------------------------------------------------------------------


def test_memorization_is_one_for_a_singleton_and_zero_for_a_twin() -> None:
    data = ((0, "cat"), (1, "cat"), (8, "dog"), (9, "dog"), (20, "owl"))
    assert [memorization(nearest_neighbor, data, i) for i in range(5)] == [0, 0, 0, 0, 1]


def test_memorization_of_randomized_response_is_keep_minus_chance() -> None:
    learner = randomized_response((0, 1, 2), F(4, 5))
    assert memorization(learner, ((0, 2), (1, 0)), 0) == F(4, 5) - F(1, 3)


def test_memorization_is_negative_where_a_sample_turns_the_answer_against_itself() -> None:
    assert memorization(parity, ((0, 1), (1, 1)), 0) == -1


def test_a_gibbs_posterior_with_averaged_errors_never_has_negative_memorization() -> None:
    # weights b**(errors / n): with base b = c**(n (n - 1)) the exponents are whole
    functions = all_functions((0, 1), (0, 1))
    n, base = 3, F(9, 10)
    for data in product(product((0, 1), (0, 1)), repeat=n):
        x, y = data[0]

        def chance(training: tuple, power: int, x: int = x, y: int = y) -> F:
            weights = [base ** (power * sum(h[a] != b for a, b in training)) for h in functions]
            right = [w for w, h in zip(weights, functions, strict=True) if h[x] == y]
            return F(sum(right), sum(weights))

        assert chance(data, n - 1) >= chance(data[1:], n)


def test_stability_is_the_largest_change_of_risk() -> None:
    data = ((0, "cat"), (9, "dog"))
    population = [((0, "cat"), F(3, 4)), ((9, "dog"), F(1, 4))]
    beta = stability(nearest_neighbor, data, population, lambda a, b: F(a != b))
    assert beta == F(3, 4)  # without the cat, every cat is called a dog


def test_total_variation_of_disjoint_equal_and_overlapping_laws() -> None:
    assert total_variation({"a": F(1)}, {"b": F(1)}) == 1
    assert total_variation({"a": F(1)}, {"a": F(1)}) == 0
    assert total_variation({"a": F(3, 4), "b": F(1, 4)}, {"a": F(1, 4), "b": F(3, 4)}) == F(1, 2)


# The subset estimator ------------------------------------------------------------------------


def test_subset_accuracy_averages_over_all_subsets() -> None:
    data = ((0, "cat"), (1, "cat"), (8, "dog"), (9, "dog"))
    # of the three pairs without the dog at 9, two hold its twin at 8
    assert subset_accuracy(nearest_neighbor, data, 3, 2, inside=False) == F(2, 3)
    assert subset_accuracy(nearest_neighbor, data, 3, 2, inside=True) == 1
    assert subset_memorization(nearest_neighbor, data, 3, 2) == F(1, 3)


def test_subset_influence_is_the_mean_leave_one_out_memorization_of_the_subsets() -> None:
    data = ((0, "cat"), (1, "cat"), (8, "dog"), (9, "dog"))
    subsets = [tuple(data[j] for j in (*s, 3)) for s in combinations(range(3), 2)]
    direct = worlds.mean([memorization(nearest_neighbor, s, 2) for s in subsets])
    assert subset_influence(nearest_neighbor, data, 3, 3) == direct


def test_a_balanced_design_puts_each_sample_in_equally_many_runs() -> None:
    designs = list(balanced_designs(4, 2, 2))
    assert len(designs) == 6  # a pair and its complement, in either order
    for design in designs:
        assert sorted(j for subset in design for j in subset) == [0, 1, 2, 3]


def test_masked_means_gives_no_score_to_a_sample_that_is_never_in_or_never_out() -> None:
    assert masked_means(nearest_neighbor, BITS, 2, ((0, 1), (0, 1))) is None
    assert masked_means(nearest_neighbor, BITS, 0, ((0, 1), (0, 1))) is None
    assert masked_means(nearest_neighbor, BITS, 0, ((0, 1), (1, 2))) == 1


def test_masked_means_agree_with_counting_simulated_runs() -> None:
    learner, data = gibbs(all_functions(range(4), (0, 1)), F(1, 2)), tuple(enumerate((1, 1, 0, 1)))
    rng = random.Random(0)
    right: dict[bool, list[int]] = {True: [], False: []}
    for _ in range(4000):
        subset = rng.sample(range(4), 2)
        chance = worlds.accuracy(learner, worlds.select(data, subset), data[0])
        right[0 in subset].append(rng.random() < chance)
    simulated = sum(right[True]) / len(right[True]) - sum(right[False]) / len(right[False])
    assert abs(simulated - subset_memorization(learner, data, 0, 2)) < 4 * 0.5 / 1000**0.5


def test_the_distribution_of_the_estimate_has_the_mean_and_variance_of_theory() -> None:
    p, q, a, b = F(3, 4), F(1, 4), 7, 3
    scores = estimates(p, q, a, b)
    mean = sum(chance * score for chance, score in scores)
    variance = sum(chance * (score - mean) ** 2 for chance, score in scores)
    assert sum(chance for chance, _ in scores) == 1
    assert mean == p - q
    assert variance == p * (1 - p) / a + q * (1 - q) / b


def test_binomial_chances_of_a_fair_coin() -> None:
    assert [binomial(k, 3, F(1, 2)) for k in range(4)] == [F(1, 8), F(3, 8), F(3, 8), F(1, 8)]
    assert binomial(0, 0, F(0)) == 1


# Trajectories --------------------------------------------------------------------------------


def test_descent_on_one_sample_follows_the_closed_form() -> None:
    run = runs.descend((((1,), 1),), (0,), F(1, 4), 5)
    assert [w[0] for w in run] == [1 - F(3, 4) ** t for t in range(6)]
    assert runs.losses(run, ((1,), 1)) == tuple(F(9, 16) ** t / 2 for t in range(6))


def test_descent_on_the_mean_loss_is_descent_on_the_sum_with_a_smaller_step() -> None:
    data = (((1, 2), 1), ((0, 1), -1))
    mean = runs.descend(data, (1, 1), F(1, 4), 3, weight=F(1, 2))
    assert mean == runs.descend(data, (1, 1), F(1, 8), 3)


def test_input_gradients_are_the_slope_of_the_loss() -> None:
    w, (x, y), step = (F(1, 2), F(-1, 3)), ((F(1), F(2)), 1), F(1, 10**6)
    gradient = runs.input_gradient(w, (x, y))
    for k in range(2):
        moved = tuple(v + step * (j == k) for j, v in enumerate(x))
        slope = (runs.loss(w, (moved, y)) - runs.loss(w, (x, y))) / step
        assert abs(slope - gradient[k]) < step


def test_smoothness_is_the_largest_squared_weight_norm_and_bounds_the_gradient() -> None:
    run = runs.descend((((1, 0), 1), ((1, 1), -1)), (F(1, 2), F(1, 2)), F(1, 8), 6)
    assert runs.smoothness(run) == max(a * a + b * b for a, b in run)
    for sample in (((1, 0), 1), ((2, 3), -1)):
        for square, loss in zip(
            runs.squared_gradients(run, sample), runs.losses(run, sample), strict=True
        ):
            assert square <= 2 * runs.smoothness(run) * loss


@pytest.mark.parametrize(
    ("squares", "tau", "time"),
    [
        ([1, 1, 1], 1, 1),
        ([2, 0, 0], 1, 2),
        ([0, 9, 9], 1, 1),
        ([3, 2, 1], 2, 3),
        ([3, 3, 3], 2, None),
        ([], 1, None),
    ],
)
def test_learning_time_is_the_first_time_the_running_mean_is_low(
    squares: list[int], tau: int, time: int | None
) -> None:
    assert runs.learning_time([F(s) for s in squares], F(tau)) == time


def test_first_correct_needs_the_right_sign() -> None:
    run = ((F(0),), (F(-1),), (F(1),))
    assert runs.first_correct(run, ((1,), 1)) == 2
    assert runs.first_correct(run, ((1,), -1)) == 1
    assert runs.first_correct(run[:1], ((1,), 1)) is None


def test_hedge_after_every_sample_was_shown_once_is_the_gibbs_posterior() -> None:
    functions = tuple(all_functions((0, 1), (0, 1)))[:3]
    data = ((0, 1), (1, 0))
    hedge = runs.Hedge(functions, F(1, 3)).predictions(data, 2, 0)
    assert hedge[2] == gibbs(functions, F(1, 3))(data)(0)
    assert hedge[0] == {0: F(2, 3), 1: F(1, 3)}


def test_hedge_averages_over_all_orders() -> None:
    functions, data = tuple(all_functions(range(3), (0, 1))), tuple(enumerate((1, 0, 1)))
    kept = tuple(h for h in functions if sum(h.values()) != 1)
    first_step = [gibbs(kept, F(1, 2))((data[order[0]],))(0)[1] for order in permutations(range(3))]
    assert runs.Hedge(kept, F(1, 2)).predictions(data, 1, 0)[1][1] == worlds.mean(first_step)


def test_leaving_a_sample_out_keeps_the_order_of_the_others() -> None:
    assert without(BITS, 1) == (BITS[0], BITS[2])
