"""memlib.check: right answers pass, and every mistake that it knows is named."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from memlib import check, decomposition
from memlib.check import design, dynamics, estimates, evidence, exact, learning, terms
from memlib.check.comparison import Mistake, agree, compare, describe, outcome
from memlib.theory import worlds

Function = Callable[..., Any]


def message(checker: Function, *arguments: Any, **options: Any) -> str:
    with pytest.raises(Mistake) as caught:
        checker(*arguments, **options)
    return str(caught.value)


def times(first: Function, stable: Function) -> Function:
    return partial(dynamics._two_times, first=first, stable=stable)


#: checker, the right answer, and what it knows of wrong ones
CHECKS: dict[str, tuple[Function, Function, dict[str, Function]]] = {
    "masked_means": (check.masked_means, estimates._scores, estimates._MEANS),
    "missing": (check.masked_means_missing, estimates._scores, estimates._NEVER),
    "standard_errors": (check.standard_errors, estimates._errors, estimates._ERRORS),
    "networks_needed": (check.networks_needed, estimates._needed, estimates._NUMBERS),
    "best_fraction": (check.best_fraction, estimates._optimum, estimates._FRACTIONS),
    "exact": (check.exact_memorization, exact._memorization, exact._LEFT_OUT),
    "subset": (check.subset_memorization, exact._subset, exact._SUBSETS),
    "gibbs": (check.gibbs_memorization, exact._gibbs, exact._GIBBS),
    "worst_world": (check.worst_world, lambda s, t: exact._two_kinds(s, t), exact._EXTREMES),
    "csl": (check.cumulative_loss, dynamics._watch, dynamics._BOTH | dynamics._LOSS),
    "csg": (check.cumulative_gradient, dynamics._watch, dynamics._BOTH | dynamics._GRADIENT),
    "first": (
        check.first_learned,
        dynamics._times,
        {text: times(first, dynamics._stable) for text, first in dynamics._FIRST.items()},
    ),
    "stable": (
        check.stably_learned,
        dynamics._times,
        {text: times(dynamics._first, stable) for text, stable in dynamics._STABLE.items()},
    ),
    "statistic": (check.statistic, design._difference, design._STATISTICS),
    "gradient_times": (check.gradient_times, learning._time, learning._TIMES),
    "learning_bound": (check.learning_bound, learning._bound, learning._BOUNDS),
    "runs_needed": (check.runs_needed, learning._runs, learning._RUNS),
    "rescaled": (check.rescaled, learning._scaled, learning._UNITS),
    "csl_nats": (check.csl_nats, terms._watched("csl"), terms._NATS),
    "csl_gibbs": (check.csl_gibbs, terms._watched("csl_gibbs"), terms._GIBBS),
    "wrong_epochs": (check.wrong_epochs, terms._watched("cslt"), terms._COUNTS),
    "two_terms": (check.two_terms, terms._terms, terms._TERMS),
    "two_terms_missing": (check.two_terms_missing, terms._terms, terms._GAPS),
    "break_even": (check.break_even, lambda rho: rho, terms._EVEN),
    "proxy": (check.proxy_correlation, decomposition.proxy_correlation, terms._PROXIES),
}
KNOWN = [(name, text) for name, (_, _, mistakes) in CHECKS.items() for text in mistakes]


@pytest.mark.parametrize("name", CHECKS)
def test_the_right_answer_passes(name: str) -> None:
    checker, right, _ = CHECKS[name]
    checker(right)


@pytest.mark.parametrize(("name", "text"), KNOWN)
def test_every_known_mistake_is_named(name: str, text: str) -> None:
    checker, _, mistakes = CHECKS[name]
    assert message(checker, mistakes[text]).splitlines()[-1] == text


@pytest.mark.parametrize("name", CHECKS)
def test_an_empty_function_is_told_that_it_returns_nothing(name: str) -> None:
    assert "Nothing is returned" in message(CHECKS[name][0], lambda **_: None)


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_no_function_is_refused(name: str) -> None:
    assert "run its cell first" in message(CHECKS[name][0], ...)


# The counterexample ----------------------------------------------------------------------------


def test_the_counterexample_has_the_fewest_networks() -> None:
    def wrong_from_three_on(correct: np.ndarray, members: np.ndarray) -> np.ndarray:
        return estimates._scores(correct, members) + (len(correct) >= 3)

    shown = message(check.masked_means, wrong_from_three_on)
    # three networks, one sample: with fewer it is right
    assert "correct   [[0], [0], [0]]" in shown
    assert "members   [[0], [0], [1]]" in shown


@pytest.mark.parametrize(
    "cases",
    [
        lambda: [case["correct"].size for case in estimates.runs((1, 2, 3))],
        lambda: [len(case["data"]) for case in exact._worlds((1, 2, 3))],
        lambda: [case["correct"].size for case in dynamics.verdicts()][:30],
    ],
    ids=["runs", "worlds", "verdicts"],
)
def test_cases_are_tried_in_order_of_size(cases: Callable[[], list[int]]) -> None:
    sizes = cases()
    assert sizes == sorted(sizes)


def test_every_small_outcome_is_tried() -> None:
    seen = {(c["correct"].tobytes(), c["members"].tobytes()) for c in estimates.runs((3,))}
    assert len(seen) == 4**3


# What is said, and what is not -----------------------------------------------------------------

NUMBERS = [{"x": x} for x in range(5)]


def test_a_mistake_is_named_only_if_it_explains_every_case() -> None:
    once = {"x is squared": lambda x: x * x}
    assert "x is squared" in message(compare, lambda x: x * x, lambda x: 2 * x, NUMBERS, once)
    almost = message(compare, lambda x: x * x + (x == 4), lambda x: 2 * x, NUMBERS, once)
    assert "x is squared" not in almost
    assert "No single known mistake" in almost


def test_the_first_failing_case_is_shown_with_both_values() -> None:
    shown = message(compare, lambda x: x * x, lambda x: 2 * x, NUMBERS)
    assert shown.splitlines()[1:4] == ["    x         1", "    expected  2", "    returned  1"]
    assert "wrong in 3 of 5 cases" in shown


def test_an_exception_is_an_outcome_and_is_shown() -> None:
    assert "raised ZeroDivisionError: " in message(compare, lambda x: 1 / x, lambda x: x, NUMBERS)


def test_what_a_function_does_to_its_arguments_spoils_nothing() -> None:
    def greedy(members: np.ndarray, correct: np.ndarray) -> np.ndarray:
        score = estimates._scores(correct, members)
        members[:], correct[:] = True, True
        return score

    case = {"members": np.array([[True], [False]]), "correct": np.array([[False], [False]])}
    check.masked_means(greedy, [case])
    assert case["members"].tolist() == [[True], [False]]
    assert not case["correct"].any()


def test_a_hidden_answer_is_not_shown() -> None:
    said = message(evidence.number, 0.5, 0.123456, {"half": 0.5})
    assert "0.123" not in said
    assert said.endswith("half")


@pytest.mark.parametrize("blank", [None, ...])
def test_a_blank_is_told_apart_from_a_wrong_answer(blank: Any) -> None:
    assert "not given yet" in message(evidence.number, blank, 1.0)


def test_agreement_takes_nan_for_nan_and_no_float_for_a_fraction() -> None:
    from fractions import Fraction

    half = Fraction(1, 2)
    assert agree(np.array([np.nan, 1.0]), [math.nan, 1])
    assert not agree(np.array([1.0]), np.array([[1.0]]))
    assert not agree(half, 0.5)
    assert agree(Fraction(2), 2)
    assert not agree((1, 2), (1,))
    assert agree({"a": (1.0, "b")}, {"a": (1.0 + 1e-12, "b")})
    assert not agree([1, [2]], [1, 2])


def test_nothing_that_calls_itself_equal_agrees() -> None:
    from fractions import Fraction

    class Yes(Fraction):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = Fraction.__hash__

    assert not agree(Yes(1), Fraction(1, 2))
    assert not agree([Yes(1), Yes(1)], [3, 4])


def test_a_wrong_form_is_told_apart_from_wrong_numbers() -> None:
    def zeros(n: int) -> np.ndarray:
        return np.zeros(n)

    def said(function: Function) -> str:
        return message(compare, function, zeros, [{"n": 2}])

    assert said(lambda n: 0.0).endswith("The shape is (): (2,) is asked for.")
    assert said(lambda n: np.zeros((n, 1))).endswith("The shape is (2, 1): (2,) is asked for.")
    objects = said(lambda n: pd.Series([0.0] * n, dtype=object))
    assert objects.endswith("convert them to numbers, for example by astype(float).")
    assert "requires grad" in said(lambda n: torch.zeros(n, requires_grad=True))
    assert said(lambda n: np.ones(n)).endswith("work out this one by hand.")


def test_of_a_large_array_the_first_wrong_entry_is_shown() -> None:
    def off(n: int) -> np.ndarray:
        return np.where(np.arange(n) < 17, np.arange(n), np.nan)

    said = message(compare, off, lambda n: np.arange(n), [{"n": 30}], name="count")
    assert "    at [17]   expected 17, returned nan" in said.splitlines()


def test_numbers_are_shown_as_what_they_are() -> None:
    assert (describe(0.0), describe(0), describe(-2.0)) == ("0.0", "0", "-2.0")
    assert describe(1e-9) == "1e-09"
    assert describe(torch.tensor([0.1, 2.6754899])) == "[0.1, 2.67549]"


def test_descriptions_fit_a_line() -> None:
    values = [torch.zeros(3, 4, 5), np.arange(4), (1, [2.5] * 40), {"a": "b" * 500}, len]
    values += [outcome(lambda: [][0], {}), torch.nn.Linear(2, 2), np.float64(0.25)]
    assert all("\n" not in describe(value) and len(describe(value)) <= 120 for value in values)
    assert describe(torch.nn.Linear(2, 2)) == "a network with 6 parameters"


# Two values ------------------------------------------------------------------------------------


def test_two_rows_of_an_array_or_a_tensor_count_as_two_values() -> None:
    check.first_learned(lambda correct: np.stack(dynamics._times(correct)))
    check.stably_learned(lambda correct: torch.tensor(np.stack(dynamics._times(correct))))
    said = message(check.stably_learned, lambda correct: dynamics._times(correct)[0])
    assert "stable" in said


# Estimates -------------------------------------------------------------------------------------


def test_single_precision_is_precise_enough() -> None:
    def side(correct: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        runs, hits = mask.sum(0).astype(np.float32), correct.astype(np.float32)
        with np.errstate(all="ignore"):
            mean = (hits * mask).sum(0) / runs
            variance = ((hits - mean) ** 2 * mask).sum(0) / (runs - 1) / runs
        return mean, np.where(runs > 1, variance, np.float32(np.nan))

    def errors(correct: np.ndarray, members: np.ndarray) -> np.ndarray:
        return np.sqrt(side(correct, members)[1] + side(correct, ~members)[1])

    def scores(correct: np.ndarray, members: np.ndarray) -> np.ndarray:
        return side(correct, members)[0] - side(correct, ~members)[0]

    check.masked_means(scores)
    check.standard_errors(errors)
    random = np.random.default_rng(0)
    members = random.random((200, 50)) < 0.7
    check.standard_errors(errors, [{"correct": random.random((200, 50)) < 0.6, "members": members}])


def test_at_least_one_network_is_needed_even_where_nothing_varies() -> None:
    assert estimates._needed(1.0, 0.0, 0.5, 0.1) == 1


# Exact worlds ----------------------------------------------------------------------------------


def test_the_refutation_takes_what_refutes_and_says_why_else() -> None:
    from fractions import Fraction

    check.refutation((Fraction(1, 6), Fraction(1, 25)))
    assert "the statement holds" in message(check.refutation, (Fraction(1, 2), Fraction(1, 2)))
    assert "is asked for" in message(check.refutation, (Fraction(1, 2), Fraction(2)))
    assert "two fractions" in message(check.refutation, (0.1, 0.01))


def test_the_learners_with_a_coin_disagree_where_mistakes_show() -> None:
    twins = ((0, 1), (0, 1))
    scores = {
        train.__name__: worlds.memorization(exact._learner(train, 2), twins[:1], 0)
        for train in (exact.by_heart, exact.at_random, exact.contrary)
    }
    assert scores["by_heart"] > 0 > scores["contrary"]  # an absolute value would show
    assert worlds.memorization(exact._learner(exact.by_heart, 2), twins, 0) == 0


# Evidence --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def csl() -> pd.DataFrame:
    """Scores that go with memorization, in another order than the stored table."""
    memorization = evidence._table()["memorization"]
    random = np.random.default_rng(0)
    noisy = {seed: memorization + random.gamma(2, 0.2, len(memorization)) for seed in range(3)}
    return pd.DataFrame(noisy).sample(frac=1, random_state=1)


def test_ids_are_told_from_positions() -> None:
    gibbs = evidence._table()["memorization_gibbs"]
    check.most_memorized(gibbs.nlargest(10).index)
    positions = np.argsort(-gibbs.to_numpy())[:10]
    assert "positions" in message(check.most_memorized, positions)
    assert "least memorized" in message(check.most_memorized, gibbs.nsmallest(10).index)
    message(check.most_memorized, gibbs.nlargest(10).index + 1)


def test_the_share_is_told_from_the_mean() -> None:
    memorization = evidence._table()["memorization"]
    top = memorization.nlargest(500)
    check.share_of_top(top.sum() / memorization.sum())
    assert "mean score" in message(check.share_of_top, top.mean())


def test_the_correlation_is_paired_by_id(csl: pd.DataFrame) -> None:
    memorization = evidence._table()["memorization"]
    by_id = np.array([csl[seed].corr(memorization, method="spearman") for seed in csl])
    check.rank_correlation((by_id.mean(), by_id.std(ddof=1)), csl)
    said = message(check.rank_correlation, (by_id.mean(), by_id.std()), csl)
    assert "divide by one less" in said
    shuffled = memorization.set_axis(csl.index)
    wrong = np.array([csl[seed].corr(shuffled, method="spearman") for seed in csl])
    said = message(check.rank_correlation, (wrong.mean(), wrong.std(ddof=1)), csl)
    assert "paired by position" in said


def test_a_table_of_other_samples_is_refused(csl: pd.DataFrame) -> None:
    assert "run the cell" in message(check.rank_correlation, (0.5, 0.1), csl.iloc[:50])
    assert "run the cell" in message(check.cosines, (0.5, 0.1), ...)


def test_the_cosine_of_one_shuffle_is_near_enough_and_zero_is_not(csl: pd.DataFrame) -> None:
    scores = evidence._table()
    top = scores.memorization_gibbs.nlargest(500).index
    a, b = csl[0].loc[top].to_numpy(), scores.memorization.loc[top].to_numpy()

    def cosine(a: np.ndarray) -> float:
        return a @ b / np.sqrt((a @ a) * (b @ b))

    check.cosines((cosine(a), cosine(np.random.default_rng(0).permutation(a))), csl[0])
    assert "not centered" in message(check.cosines, (cosine(a), 0.0), csl[0])


def test_verdicts_are_asked_for_one_by_one() -> None:
    right, hints = {"A": True, "B": False}, {"A": "look at a", "B": "look at b"}
    check.verdicts({"A": True, "B": False, "C": True}, right, hints)
    assert "look at b" in message(check.verdicts, {"A": True, "B": True}, right, hints)
    assert "give one for each" in message(check.verdicts, {"A": True}, right, hints)
    assert "give one for each" in message(check.verdicts, ..., right, hints)
    for blank in (..., None, "no", 0):
        said = message(check.verdicts, {"A": True, "B": blank}, right, hints)
        assert said == f"Statement B: {describe(blank)} is neither True nor False."
    check.verdicts({"A": np.True_, "B": np.False_}, right, hints)


# Design ----------------------------------------------------------------------------------------

PLAN: dict[str, Any] = {
    "fraction": 0.5,
    "models": 500,
    "seeds": design.PER_NETWORK,
    "threshold": 0.135,
}


def test_a_good_plan_keeps_its_promises() -> None:
    check.cost(PLAN)
    check.false_alarms(PLAN, design._difference)
    check.power(PLAN, design._difference)


@pytest.mark.parametrize(
    ("checker", "change", "said"),
    [
        (check.false_alarms, {"threshold": 0.08}, "that of one sample"),
        (check.false_alarms, {"threshold": 0.02}, "The threshold is too low"),
        (check.false_alarms, {"seeds": design.PER_RECIPE}, "share one initialization"),
        (check.power, {"seeds": design.PER_RECIPE}, "share one initialization"),
        (check.power, {"fraction": 0.7, "models": 357}, "a smaller fraction leaves more out"),
        (check.power, {"threshold": 0.19}, "The threshold is too high"),
    ],
)
def test_a_plan_that_breaks_a_promise_is_told_what_would_cure_it(
    checker: Function, change: dict[str, Any], said: str
) -> None:
    assert said in message(checker, PLAN | change, design._difference)


def test_a_promise_that_is_just_broken_shows_enough_digits() -> None:
    said = message(check.false_alarms, PLAN | {"threshold": 0.115}, design._difference)
    family = float(said.split("some of 10 with probability ")[1].split(";")[0])
    assert family > 0.05


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (..., "give a dictionary"),
        ({"fraction": 0.5}, "give a dictionary"),
        (PLAN | {"fraction": 0.3}, "The plan's fraction"),
        (PLAN | {"models": 10.5}, "The plan's models"),
        (PLAN | {"seeds": 7}, "The plan's seeds"),
        (PLAN | {"threshold": "high"}, "The plan's threshold"),
        (PLAN | {"models": 501}, "the budget is 500"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(plan: Any, said: str) -> None:
    assert said in message(check.cost, plan)


def test_a_statistic_that_is_no_function_of_accuracies_is_refused() -> None:
    assert "one number per repetition" in message(check.power, PLAN, lambda *a, **k: None)
    assert "one number per repetition" in message(check.power, PLAN, ...)


def test_the_simulation_agrees_with_the_normal_approximation() -> None:
    # between two values of the statistic, which is a multiple of 1/250
    plan = design.Plan(0.5, 500, design.PER_NETWORK, 0.102)
    truth = design.Truth(1, 0.5, 1, 0.6)
    deviation = math.sqrt((0.25 + 0.24) / 250)
    expected = 0.5 * math.erfc((0.102 - 0.1) / deviation / math.sqrt(2))
    # the standard error of a rate from 40,000 repetitions is at most 0.0025
    assert design.alarm_rate(plan, design._difference, truth) == pytest.approx(expected, abs=0.01)


def test_the_luck_of_one_initialization_does_not_average_out() -> None:
    truth = design.Truth(1, 0.5, 1, 0.5)
    plans = [design.Plan(0.5, m, design.PER_RECIPE, 0.1) for m in (500, 5000)]
    rates = [design.alarm_rate(plan, design._difference, truth) for plan in plans]
    assert min(rates) > 0.2  # lucky here and unlucky there, in one case of four
