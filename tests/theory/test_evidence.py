"""The ways of knowing: each must be able to say no."""

import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import strategies as st

from memlib.theory import feldman
from memlib.theory.book import cumulative_loss as book_csl
from memlib.theory.book import learning_time as book_time
from memlib.theory.evidence import (
    Derivation,
    Step,
    decide,
    derived,
    enumerate_all,
    search,
    show,
    witness,
)
from memlib.theory.orders import learning_time as orders_time


def test_a_wrong_step_of_a_derivation_is_named() -> None:
    import sympy

    x = sympy.Symbol("x", real=True)
    right = Step("binomial", (x + 1) ** 2, x**2 + 2 * x + 1)
    wrong = Step("a lost term", (x + 1) ** 2, x**2 + 1)
    assert derived(Derivation("Squares", (right,))).passed
    evidence = derived(Derivation("Squares", (right, wrong)))
    assert not evidence.passed
    assert "a lost term" in evidence.summary
    assert "binomial" not in evidence.summary


def test_an_inequality_step_needs_a_slack_that_is_never_negative() -> None:
    import sympy

    x = sympy.Symbol("x", real=True)
    assert derived(Derivation("D", (Step("s", x, x + x**2, "<=", x**2),))).passed
    assert derived(Derivation("D", (Step("s", x + x**2, x, ">=", x**2),))).passed
    assert not derived(Derivation("D", (Step("s", x, x + x**3, "<=", x**3),))).passed
    assert not derived(Derivation("D", (Step("s", x, x + x**2, "<=", 0),))).passed


@pytest.mark.parametrize(
    "derivation",
    [
        book_time.self_bounding,
        book_csl.gibbs_identity,
        feldman.gibbs_gain,
        orders_time.input_gradients,
    ],
)
def test_a_derivation_shows_itself_in_latex(derivation: object) -> None:
    shown = derivation()  # type: ignore[operator]
    assert shown.failures() == []
    assert shown._repr_latex_().startswith("$$\n\\begin{aligned}")
    for step in shown.steps:
        assert not set("$_^#%&") & set(step.reason)


def test_a_true_inequality_is_decided_and_a_false_one_comes_with_a_counterexample() -> None:
    import z3

    x = z3.Real("x")
    true = decide([x >= 1], x * x >= x, "Squares grow.")
    assert true.passed
    false = decide([x >= 0], x * x >= x, "Squares grow.")
    assert not false.passed
    assert "x = " in false.summary


def test_nothing_follows_from_hypotheses_that_cannot_be_met() -> None:
    import z3

    x = z3.Real("x")
    assert not decide([x > 1, x < 0], x == 7, "Anything.").passed


def test_the_stored_question_gives_the_stored_answer_when_it_is_asked_again() -> None:
    import z3

    x, y = z3.Reals("x y")
    evidence = decide([x > 0, y > 0], x * x + y * y >= 2 * x * y, "Means.")
    again = z3.Solver()
    again.from_string(evidence.data["smt2"])
    assert str(again.check()) == evidence.data["answer"] == "unsat"


def test_a_witness_is_found_or_denied() -> None:
    import z3

    x = z3.Real("x")
    assert "x = 3" in witness([2 * x == 6], "A number.").summary
    assert not witness([x * x < 0], "A number.").passed


def test_one_case_against_it_or_no_case_at_all_does_not_pass() -> None:
    assert enumerate_all(range(5), lambda n: n < 5, "Small.").data["cases"] == 5
    broken = enumerate_all(range(5), lambda n: n < 3, "Small.")
    assert not broken.passed
    assert "3" in broken.summary
    assert not enumerate_all([], lambda n: True, "Small.").passed


def test_a_search_reports_the_smallest_instance_and_the_same_one_each_time() -> None:
    numbers = st.integers(0, 1000)
    assert search(numbers, lambda n: n >= 17) == search(numbers, lambda n: n >= 17) == 17
    assert search(numbers, lambda n: n > 1000) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(Fraction(3, 4), "3/4"), (2, "2"), (Fraction(3999, 4000), "3999/4000 (0.9998)")],
)
def test_a_fraction_is_shown_exactly_while_it_is_readable(value: Fraction, text: str) -> None:
    assert show(value) == text


def test_importing_the_claims_runs_no_check_and_loads_no_solver() -> None:
    code = (
        "import sys, memlib.theory; "
        "print(sorted({'sympy', 'z3', 'hypothesis', 'networkx', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
