"""The four ways of knowing: derive it, decide it, enumerate it, search for an instance.

Each function returns an `Evidence`. sympy, z3 and hypothesis are imported when they are needed:
`import memlib.theory` stays light.
"""

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from memlib.theory.claims import Evidence


@dataclass(frozen=True)
class Step:
    """One line of a derivation: `left relation right`, and the reason in words.

    For an inequality, `slack` is what the larger side has over the smaller one: an expression that
    sympy must recognise as non-negative.
    """

    reason: str
    left: Any
    right: Any
    relation: str = "="
    slack: Any = 0


@dataclass(frozen=True)
class Derivation:
    """A calculation whose every step sympy has to confirm. Shows itself in LaTeX in a notebook."""

    title: str
    steps: tuple[Step, ...]

    def failures(self) -> list[str]:
        """The reasons of the steps that sympy does not confirm."""
        return [step.reason for step in self.steps if not _confirmed(step)]

    def latex(self) -> str:
        """The steps as one aligned display, each with its reason, for `$$...$$`."""
        import sympy

        lines = [
            rf"{sympy.latex(step.left)} &{_SIGNS[step.relation]} {sympy.latex(step.right)}"
            rf" && \text{{{step.reason}}}"
            for step in self.steps
        ]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"


_SIGNS = {"=": "=", "<=": r"\le", ">=": r"\ge"}


def _formula(step: Step) -> str:
    import sympy

    return f"{sympy.latex(step.left)} {_SIGNS[step.relation]} {sympy.latex(step.right)}"


def _confirmed(step: Step) -> bool:
    import sympy

    # What a step shows as a derivative, an integral or a sum by parts is worked out here.
    left, right = (sympy.sympify(side).doit() for side in (step.left, step.right))
    gap = left - right if step.relation == ">=" else right - left
    slack = sympy.sympify(step.slack)
    signed = slack == 0 if step.relation == "=" else bool(slack.is_nonnegative)
    return signed and not _differs(gap - slack) and sympy.simplify(gap - slack) == 0


def _differs(expression: Any) -> bool:
    """Whether a numeric value already shows that the expression is not zero: quicker than sympy."""
    import sympy

    values = {
        symbol: sympy.Integer(3 + k) if symbol.is_integer else sympy.Rational(3 + 2 * k, 7 + k)
        for k, symbol in enumerate(sorted(expression.free_symbols, key=str))
        if symbol.is_negative is not True
    }
    number = expression.subs(values).evalf(30)
    return bool(number.is_number and number.is_finite and abs(number) > 1e-12)


def derived(derivation: Derivation) -> Evidence:
    """Verify a derivation step by step.

    Args:
        derivation: What to verify.

    Returns:
        Evidence that passes if sympy confirms every step; `data["latex"]` holds the derivation,
        and `data["steps"]` each step's reason and formula.
    """
    failures = derivation.failures()
    count = len(derivation.steps)
    summary = f"{derivation.title}: sympy confirms {count - len(failures)} of {count} steps."
    if failures:
        summary += " Not confirmed: " + "; ".join(failures) + "."
    steps = [(step.reason, _formula(step)) for step in derivation.steps]
    return Evidence(not failures, summary, {"latex": derivation.latex(), "steps": steps})


#: Work that z3 may do for one question, in its own units (some six million a second); after that
#: its answer is `unknown`. No clock: a busy machine must not change what is decided.
SOLVER_WORK: ContextVar[int] = ContextVar("SOLVER_WORK", default=400_000_000)

_CAN = {"sat": "can be met", "unsat": "cannot be met", "unknown": "may or may not be met"}


def decide(hypotheses: Sequence[Any], conclusion: Any, statement: str) -> Evidence:
    """Prove `hypotheses => conclusion` over all reals, by refuting its negation with z3.

    Args:
        hypotheses: z3 formulas. That they can be met at all is checked, too: from a contradiction
            everything would follow.
        conclusion: A z3 formula.
        statement: What is decided, in words (Markdown).

    Returns:
        Evidence that passes if no real assignment meets the hypotheses and breaks the conclusion.
        `data["smt2"]` is the question in SMT-LIB, which any solver can answer (`unsat`).
    """
    import z3

    possible, _ = _ask(_question(hypotheses))
    question = _question([*hypotheses, z3.Not(conclusion)])
    answer, found = _ask(question)
    passed = possible == z3.sat and answer == z3.unsat
    summary = f"{statement} z3: the hypotheses {_CAN[str(possible)]}, with the negation they "
    summary += f"{_CAN[str(answer)]}."
    if answer == z3.sat:
        summary += f" Counterexample: `{found}`."
    data = {"smt2": question, "answer": str(answer), "hypotheses": str(possible)}
    return Evidence(passed, summary, data)


def witness(formulas: Sequence[Any], statement: str) -> Evidence:
    """Let z3 find real numbers that meet all the formulas: an instance of what `statement` says.

    Args:
        formulas: z3 formulas, those of the instance and the negation of what it breaks.
        statement: What the instance shows, in words (Markdown).

    Returns:
        Evidence that passes if there is such an instance; `data["instance"]` holds its numbers.
    """
    import z3

    question = _question(formulas)
    answer, found = _ask(question)
    summary = f"{statement} z3: this {_CAN[str(answer)]}" + (f", by `{found}`." if found else ".")
    data = {"smt2": question, "answer": str(answer), "instance": found}
    return Evidence(answer == z3.sat, summary, data)


def _question(formulas: Sequence[Any]) -> str:
    """The formulas in SMT-LIB."""
    import z3

    solver = z3.Solver()
    solver.add(*formulas)
    return str(solver.to_smt2())


def _ask(question: str) -> tuple[Any, str]:
    """z3's answer to a question in SMT-LIB, and the numbers that meet it, if there are any.

    In a context of its own: how z3 searches depends on all that its context was asked before.
    """
    import z3

    solver = z3.Solver(ctx=z3.Context())
    solver.set("rlimit", SOLVER_WORK.get())
    solver.from_string(question)
    answer = solver.check()
    return answer, _assignment(solver.model()) if answer == z3.sat else ""


def _assignment(model: Any) -> str:
    return ", ".join(sorted(f"{d} = {model[d]}" for d in model.decls() if d.arity() == 0))


def decide_on_box(
    margin: Callable[..., Any],
    box: Sequence[tuple[Fraction | int, Fraction | int]],
    statement: str,
    *,
    pieces: int = 20_000,
    precision: int = 96,
) -> Evidence:
    """Prove that an analytic function is positive on a box, by ball arithmetic (python-flint).

    The box is halved along its longest side until each piece is decided. A ball holds the value at
    every point of its piece, so that this is a proof for all reals of the box, not for a sample.

    Args:
        margin: Takes one `flint.arb` per side of the box and returns the `arb` that must be
            positive. It must be positive on the closed box: where both sides of an inequality
            meet, divide their difference by what vanishes.
        box: The sides, each a pair of rational ends.
        statement: What is decided, in words (Markdown).
        pieces: Give up after this many pieces.
        precision: Bits of the balls.

    Returns:
        Evidence that passes if the function is positive on all of the box. If it is not at some
        point, or cannot be decided, the summary names the piece. `data["pieces"]` counts them.
    """
    from flint import arb, ctx, fmpq

    def exact(value: Fraction | int) -> Any:
        value = Fraction(value)
        return arb(fmpq(value.numerator, value.denominator))

    def ball(low: Fraction | int, high: Fraction | int) -> Any:
        return exact(low).union(exact(high))

    before, ctx.prec = ctx.prec, precision
    try:
        stack, count = [tuple((Fraction(a), Fraction(b)) for a, b in box)], 0
        while stack:
            piece, count = stack.pop(), count + 1
            if margin(*(ball(*side) for side in piece)) > 0:
                continue
            middle = [(a + b) / 2 for a, b in piece]
            negative = margin(*(exact(value) for value in middle)) <= 0
            if negative or count >= pieces:
                where = ", ".join(f"[{float(a):.6g}, {float(b):.6g}]" for a, b in piece)
                verb = "Not so" if negative else "Not decided"
                return Evidence(False, f"{statement} {verb} in {where}.", {"pieces": count})
            side = max(range(len(piece)), key=lambda k: piece[k][1] - piece[k][0])
            for end in ((piece[side][0], middle[side]), (middle[side], piece[side][1])):
                stack.append((*piece[:side], end, *piece[side + 1 :]))
    finally:
        ctx.prec = before
    return Evidence(
        True, f"{statement} Ball arithmetic decides all {count} pieces.", {"pieces": count}
    )


def linear_maximum(
    objective: Sequence[Fraction | int],
    at_most: Sequence[tuple[Sequence[Fraction | int], Fraction | int]],
    equal: Sequence[tuple[Sequence[Fraction | int], Fraction | int]],
    value: Fraction | int,
    statement: str,
) -> Evidence:
    """Show that the maximum of a linear program over x >= 0 is exactly `value`.

    scipy proposes a solution and its dual; both are rounded to rationals and checked exactly, so
    that no floating-point number is trusted: the solution attains the value, and the dual proves
    that nothing exceeds it.

    Args:
        objective: Coefficients c, to maximize c.x over x >= 0.
        at_most: Rows (a, b) of a.x <= b.
        equal: Rows (a, b) of a.x = b.
        value: What the maximum is claimed to be.
        statement: What this shows, in words (Markdown).

    Returns:
        Evidence that passes if both certificates are right; `data` holds them as strings.
    """
    from scipy.optimize import linprog

    def floats(rows: Sequence[tuple[Sequence[Fraction | int], Fraction | int]]) -> tuple[Any, Any]:
        if not rows:
            return None, None
        return [[float(v) for v in a] for a, _ in rows], [float(b) for _, b in rows]

    (a_ub, b_ub), (a_eq, b_eq) = floats(at_most), floats(equal)
    found = linprog([-float(c) for c in objective], a_ub, b_ub, a_eq, b_eq, method="highs-ds")
    if found.status != 0:
        return Evidence(False, f"{statement} The linear program is not solved: {found.message}")

    def rational(values: Sequence[float]) -> list[Fraction]:
        return [Fraction(float(v)).limit_denominator(10**6) for v in values]

    x = rational(found.x)
    upper = [-v for v in rational(found.ineqlin.marginals)] if at_most else []
    either = [-v for v in rational(found.eqlin.marginals)] if equal else []
    rows = [*at_most, *equal]
    dual = [*upper, *either]

    def dot(a: Sequence[Fraction | int], b: Sequence[Fraction | int]) -> Fraction:
        return sum((Fraction(s) * t for s, t in zip(a, b, strict=True)), Fraction(0))

    attained = (
        min(x) >= 0
        and all(dot(a, x) <= b for a, b in at_most)
        and all(dot(a, x) == b for a, b in equal)
        and dot(objective, x) == value
    )
    bounded = (
        all(v >= 0 for v in upper)
        and all(
            sum((Fraction(a[k]) * v for (a, _), v in zip(rows, dual, strict=True)), Fraction(0))
            >= objective[k]
            for k in range(len(objective))
        )
        and dot([b for _, b in rows], dual) == value
    )
    summary = (
        f"{statement} Linear program with {len(objective)} variables and {len(rows)} rows: the "
        f"maximum {show(Fraction(value))} is {'' if attained else 'not '}attained, and the dual "
        f"{'proves' if bounded else 'does not prove'} that nothing exceeds it (both checked in "
        "rationals)."
    )
    data = {"solution": [str(v) for v in x], "dual": [str(v) for v in dual]}
    return Evidence(attained and bounded, summary, data)


def enumerate_all(
    cases: Iterable[Any],
    holds: Callable[[Any], bool],
    statement: str,
    *,
    count: int | None = None,
) -> Evidence:
    """Check a statement in every case of a finite world.

    Args:
        cases: All of them; none at all does not pass.
        holds: Whether the statement is true in a case (in exact arithmetic).
        statement: What holds, in words (Markdown).
        count: How many cases there are; fewer or more do not pass. None accepts any number.

    Returns:
        Evidence that passes if the statement is true in every case, with the number of cases and
        the first case in which it is not.
    """
    tried = 0
    for case in cases:
        tried += 1
        if not holds(case):
            return Evidence(False, f"{statement} Not so in case {tried}: {case}.")
    passed = tried > 0 and count in (None, tried)
    return Evidence(passed, f"{statement} True in all {tried} cases.", {"cases": tried})


#: How many times the examples of a search are multiplied: 1 in tests and builds, more by
#: `memlib ledger --long`.
EFFORT: ContextVar[int] = ContextVar("EFFORT", default=1)


def search(strategy: Any, breaks: Callable[[Any], bool], *, examples: int = 200) -> Any:
    """Let hypothesis look for an instance that breaks a statement, and shrink the one it finds.

    The search is the same in each run (no clock, no database, no random seed). `EFFORT` multiplies
    `examples`.

    Args:
        strategy: A hypothesis strategy.
        breaks: Whether the statement fails at an instance.
        examples: How many instances to try.

    Returns:
        The smallest instance found, or None.
    """
    from random import Random

    from hypothesis import HealthCheck, Phase, find, settings
    from hypothesis.errors import NoSuchExample

    setting = settings(
        max_examples=examples * EFFORT.get(),
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        return find(strategy, breaks, settings=setting, random=Random(0))
    except NoSuchExample:
        return None


def show(value: Fraction | int) -> str:
    """A rational number in a sentence: `3/4`, with its decimal value if that says more."""
    value = Fraction(value)
    if value.denominator <= 1000:
        return str(value)
    if len(str(value)) <= 13:
        return f"{value} ({float(value):.4g})"
    return f"{float(value):.6g}"
