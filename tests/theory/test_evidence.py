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
    EFFORT,
    SOLVER_WORK,
    Derivation,
    Step,
    decide,
    decide_on_box,
    derived,
    enumerate_all,
    linear_maximum,
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


def test_a_solver_that_gives_up_proves_nothing() -> None:
    import z3

    a, b, c, d, e = z3.Reals("a b c d e")
    hard = [v > 0 for v in (a, b, c, d, e)]
    hard += [a**3 + b**3 + c**2 * e == d + 1, d**4 == b * c * a**2 + 2, a**2 * e**3 + d**3 * c == 7]
    limit = SOLVER_WORK.set(100_000)
    try:
        evidence = decide(hard, a * b * c < d * e + a, "Hard.")
    finally:
        SOLVER_WORK.reset(limit)
    assert not evidence.passed
    assert "unknown" in (evidence.data["answer"], evidence.data["hypotheses"])


def test_an_analytic_inequality_is_decided_on_the_whole_box() -> None:
    growth = decide_on_box(lambda x, y: x.exp() - x - y, [(0, 2), (0, Fraction(1, 2))], "Growth.")
    assert growth.passed
    assert growth.data["pieces"] > 1  # one ball over the whole box is too coarse


def test_a_function_that_is_negative_inside_the_box_is_refused_with_the_piece() -> None:
    # positive at both ends and at the middle of the box
    dip = decide_on_box(lambda x: (4000 * x - 1000) ** 2 - 1, [(0, 1)], "Dip.")
    assert not dip.passed
    assert "Not so in [" in dip.summary


def test_a_box_on_which_the_sides_meet_is_not_decided() -> None:
    touching = decide_on_box(lambda x: (3 * x - 1) ** 2, [(0, 1)], "Touches.", pieces=200)
    assert not touching.passed
    assert "Not decided in [" in touching.summary
    assert touching.data["pieces"] == 200


def test_the_precision_of_balls_is_as_before() -> None:
    from flint import ctx

    before = ctx.prec
    decide_on_box(lambda x: x, [(1, 2)], "Positive.", precision=200)
    assert ctx.prec == before


#: max x + y over x + 2y <= 4, 3x + y <= 6 is 14/5, at (8/5, 6/5).
TWO_ROWS = [((1, 2), 4), ((3, 1), 6)]


def test_the_maximum_of_a_linear_program_is_certified_from_both_sides() -> None:
    evidence = linear_maximum([1, 1], TWO_ROWS, [], Fraction(14, 5), "Corner.")
    assert evidence.passed
    assert evidence.data == {"solution": ["8/5", "6/5"], "dual": ["2/5", "1/5"]}


@pytest.mark.parametrize("value", [Fraction(13, 5), 3, Fraction(14000001, 5000000)])
def test_a_wrong_maximum_is_refused_however_close(value: Fraction) -> None:
    assert not linear_maximum([1, 1], TWO_ROWS, [], value, "Corner.").passed


def test_equations_of_a_linear_program_count_and_an_unsolvable_one_does_not_pass() -> None:
    assert linear_maximum([1, 0], [], [((1, 1), 1)], 1, "Simplex.").passed
    assert not linear_maximum([1, 0], [], [], 1, "Unbounded.").passed
    assert not linear_maximum([1], [((1,), 1)], [((1,), 2)], 1, "Empty.").passed


def test_one_case_against_it_or_no_case_at_all_does_not_pass() -> None:
    assert enumerate_all(range(5), lambda n: n < 5, "Small.").data["cases"] == 5
    broken = enumerate_all(range(5), lambda n: n < 3, "Small.")
    assert not broken.passed
    assert "3" in broken.summary
    assert not enumerate_all([], lambda n: True, "Small.").passed


@pytest.mark.parametrize(("count", "passes"), [(None, True), (5, True), (4, False), (6, False)])
def test_an_enumeration_with_a_case_too_few_or_too_many_does_not_pass(
    count: int | None, passes: bool
) -> None:
    assert enumerate_all(range(5), lambda n: n < 5, "Small.", count=count).passed is passes


def test_a_search_reports_the_smallest_instance_and_the_same_one_each_time() -> None:
    numbers = st.integers(0, 1000)
    assert search(numbers, lambda n: n >= 17) == search(numbers, lambda n: n >= 17) == 17
    assert search(numbers, lambda n: n > 1000) is None


def test_a_long_search_tries_more() -> None:
    tried: list[int] = []

    def count(n: int) -> bool:
        tried.append(n)
        return False

    numbers = st.integers(0, 10**6)
    search(numbers, count, examples=20)
    short = len(tried)
    effort = EFFORT.set(5)
    try:
        search(numbers, count, examples=20)
    finally:
        EFFORT.reset(effort)
    assert len(tried) - short == 5 * short


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
