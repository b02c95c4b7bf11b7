"""The four ways of knowing: derive it, decide it, enumerate it, search for an instance.

Each function returns an `Evidence`. sympy, z3 and hypothesis are imported when they are needed:
`import memlib.theory` stays light.
"""

from collections.abc import Callable, Iterable, Sequence
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

        signs = {"=": "=", "<=": r"\le", ">=": r"\ge"}
        lines = [
            rf"{sympy.latex(step.left)} &{signs[step.relation]} {sympy.latex(step.right)}"
            rf" && \text{{{step.reason}}}"
            for step in self.steps
        ]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"


def _confirmed(step: Step) -> bool:
    import sympy

    gap = step.left - step.right if step.relation == ">=" else step.right - step.left
    slack = sympy.sympify(step.slack)
    signed = slack == 0 if step.relation == "=" else bool(slack.is_nonnegative)
    return signed and sympy.simplify(gap - slack) == 0


def derived(derivation: Derivation) -> Evidence:
    """Verify a derivation step by step.

    Args:
        derivation: What to verify.

    Returns:
        Evidence that passes if sympy confirms every step; `data["latex"]` holds the derivation.
    """
    failures = derivation.failures()
    count = len(derivation.steps)
    summary = f"{derivation.title}: sympy confirms {count - len(failures)} of {count} steps."
    if failures:
        summary += " Not confirmed: " + "; ".join(failures) + "."
    return Evidence(not failures, summary, {"latex": derivation.latex()})


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

    solver = z3.Solver()
    solver.add(*hypotheses)
    possible = solver.check()
    solver.add(z3.Not(conclusion))
    answer = solver.check()
    passed = possible == z3.sat and answer == z3.unsat
    summary = f"{statement} z3: the hypotheses {_CAN[str(possible)]}, with the negation they "
    summary += f"{_CAN[str(answer)]}."
    if answer == z3.sat:
        summary += f" Counterexample: `{_assignment(solver.model())}`."
    return Evidence(passed, summary, {"smt2": solver.to_smt2(), "answer": str(answer)})


def witness(formulas: Sequence[Any], statement: str) -> Evidence:
    """Let z3 find real numbers that meet all the formulas: an instance of what `statement` says.

    Args:
        formulas: z3 formulas, those of the instance and the negation of what it breaks.
        statement: What the instance shows, in words (Markdown).

    Returns:
        Evidence that passes if there is such an instance; `data["instance"]` holds its numbers.
    """
    import z3

    solver = z3.Solver()
    solver.add(*formulas)
    answer = solver.check()
    found = _assignment(solver.model()) if answer == z3.sat else ""
    summary = f"{statement} z3: this {_CAN[str(answer)]}" + (f", by `{found}`." if found else ".")
    data = {"smt2": solver.to_smt2(), "answer": str(answer), "instance": found}
    return Evidence(answer == z3.sat, summary, data)


def _assignment(model: Any) -> str:
    return ", ".join(sorted(f"{d} = {model[d]}" for d in model.decls() if d.arity() == 0))


def enumerate_all(cases: Iterable[Any], holds: Callable[[Any], bool], statement: str) -> Evidence:
    """Check a statement in every case of a finite world.

    Args:
        cases: All of them; none at all does not pass.
        holds: Whether the statement is true in a case (in exact arithmetic).
        statement: What holds, in words (Markdown).

    Returns:
        Evidence that passes if the statement is true in every case, with the number of cases and
        the first case in which it is not.
    """
    count = 0
    for case in cases:
        count += 1
        if not holds(case):
            return Evidence(False, f"{statement} Not so in case {count}: {case}.")
    return Evidence(count > 0, f"{statement} True in all {count} cases.", {"cases": count})


def search(strategy: Any, breaks: Callable[[Any], bool], *, examples: int = 200) -> Any:
    """Let hypothesis look for an instance that breaks a statement, and shrink the one it finds.

    The search is the same in each run (no clock, no database, no random seed).

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
        max_examples=examples,
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
