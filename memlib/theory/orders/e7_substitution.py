"""Theorem 4.1 of the draft as its E.7 quotes it."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.linear_classifier import BOUND, Training, variance
from memlib.theory.orders.instances import (
    BOUNDED,
    CONFIDENCE,
    DELTA,
    MOMENT,
    RANK,
    ROOT_DELTA,
    SIGN,
    SMOOTH,
    STABLE,
    UNBIASED,
    VARIANCE,
    bounded,
    independent,
    sgd,
)
from memlib.theory.worlds import total

CHAPTER = "part2/loss-and-memorization"


def quoted(reference: Any, last: Any, first: Any, mem: Any, beta: Any) -> tuple[Any, Any]:
    """Upper bounds on the learning time of a, without noise and with L = 1: as E.7 quotes Theorem
    4.1, and as Theorem 4.1 is printed.
    """
    as_quoted = reference / first * (mem + 1) + reference
    return as_quoted, last / first * (mem + 2 * beta) + reference


#: T_ref, T_max, l_0, mem, beta: an early reference in a long run.
LONG = (Fraction(1), Fraction(100), Fraction(1, 2), Fraction(1, 4), Fraction(1, 100))
#: The same with T_ref = T_max and beta = L = 1.
SAME = (Fraction(100), Fraction(100), Fraction(1, 2), Fraction(1, 4), Fraction(1))


def _substituted() -> Evidence:
    (small, large), (reference, full) = quoted(*LONG), quoted(*SAME)
    summary = (
        rf"$T_{{ref}}=1$, $T_{{max}}=100$, $\ell_0=\frac12$, $\mathrm{{mem}}=\frac14$, "
        rf"$\beta=\frac1{{100}}$: "
        rf"Theorem 4.1 as printed allows {show(large)}, E.7 quotes it as {show(small)}. Even with "
        rf"$T_{{ref}}=T_{{max}}$, for $\beta=L$: {show(full)} against {show(reference)}."
    )
    pinned = (small, large, reference, full) == (Fraction(7, 2), 55, 350, 550)
    return Evidence(pinned, summary)


#: Two orthogonal samples: the reference is fitted from the start, `a` by the first step. A
#: threshold far below the one squared gradient that `a` has.
SETTLED = Training((((1, 0), 1), ((0, 1), 1)), (0, 1), Fraction(2), 30)
SMALL = (Fraction(1, 30),)


def _late() -> Evidence:
    run, (tau,) = SETTLED, SMALL
    late, early = (run.time(i, tau) for i, _ in enumerate(run.data))
    first, mem, sigma = run.mean_curve()[0], run.memorization(0), run.deviation()
    right = early * BOUND / first * (mem + 1 + 2 * sigma / ROOT_DELTA / BOUND) + early
    left_out = min(run.curve(0, left_out=1))  # trained on this sample alone
    assumptions = {
        **sgd(run),
        RANK: independent(run.data),
        BOUNDED: bounded(run),
        STABLE: run.stability() > 0,
        VARIANCE: all(
            variance(step) <= sigma * sigma for step in zip(run.curve(0), run.curve(1), strict=True)
        ),
        SIGN: left_out >= run.mean_curve()[early] and late > early,
        CONFIDENCE: Fraction(1, len(run.data)) > DELTA and ROOT_DELTA**2 == DELTA,
    }
    summary = (
        rf"Two orthogonal samples, $\tau={show(tau)}$: the reference is fitted from the start, "
        rf"$T_{{ref}}={early}$, and `a` by the first step, $T_a={late}$. $\ell_0={show(first)}$, "
        rf"$\mathrm{{mem}}(a)={show(mem)}$, $\sigma_l={show(sigma)}$; quoted with $\delta=1\%$: "
        rf"${late}\le{show(right)}$."
    )
    pinned = (late, early, right, left_out) == (30, 1, 27, 0)
    return Evidence(pinned and late > right, summary, {}, assumptions, run)


def _late_repaired() -> Evidence:
    run, (tau,) = SETTLED, SMALL
    late, csg = run.time(0, tau), total(run.squares(0))
    summary = rf"R1 on the same run: ${late}\le1+\mathrm{{CSG}}/\tau={show(1 + csg / tau)}$."
    return Evidence(late <= 1 + csg / tau == 31, summary, {}, {}, run)


def _when() -> Evidence:
    import z3

    reference, first, mem, beta = z3.Reals("reference first mem beta")
    small, large = quoted(reference, reference, first, mem, beta)
    return decide(
        [reference > 0, first > 0, 2 * beta <= 1],
        large <= small,
        r"With $T_{ref}=T_{max}$ and $2\beta\le L$ the quoted form does follow.",
    )


SUBSTITUTION = Claim(
    id="orders/e7-substitution",
    title="Theorem 4.1 is quoted with another constant",
    paper="orders",
    location='Appendix E.7, "From Theorem 4.1"',
    printed=r"""
"From Theorem 4.1", $\hat T_{z_a}\le\frac{\hat T_{ref}L}{\mathbb E\ell(\vec
w_0)}\bigl(\mathrm{mem}(a)+1+ \frac{2\sigma_l}{L\sqrt\delta}\bigr)+\hat T_{ref}$.""",
    assumptions=(SMOOTH, MOMENT, UNBIASED, RANK, BOUNDED, STABLE, VARIANCE, SIGN, CONFIDENCE),
    verdict=Verdict.FALSE,
    gist=r"Theorem 4.1 has $T_{max}$ for $\hat T_{ref}$ and $2\beta/L$ for 1; $T_a$ can exceed any "
    r"multiple of $\hat T_{ref}=1$.",
    holds=r"""
Under the assumptions of Theorem 4.1 no multiple of $\hat T_{ref}$ bounds $T_a$: a reference that
is fitted from the start has $\hat T_{ref}=1$ for every $\tau$, and $T_a$ grows as $\tau$ falls. R1
bounds it: $T_a\le1+\mathrm{CSG}(a)/\tau$. Theorem 4.1 as printed gives
$\frac{T_{max}L}{\ell_0}(\mathrm{mem}+\frac{2\beta}L+\dots)+\hat
T_{ref}$. The quoted form follows if $T_{ref}=T_{max}$ and $2\beta\le
L$, and is smaller otherwise. ($\beta\le L$ alone gives 2, not 1.)
""",
    proof=r"""
*Counterexample.* `a` has one squared gradient that is not 0, that of the start, 1 here. So
$T_a=\lceil1/\tau\rceil$, in any run that is long enough, while the right side does not contain
$\tau$. The rest is a comparison of the two bounds.
""",
    rebuttal=r"""
*E.2 has $\hat T_bL\,\mathrm{mem}(a)$ before it is enlarged to $T_{max}$.* For the term in mem, yes;
the terms in $\beta$ and $\sigma_l$ have $T_a$ and $T_{max}$ there. *The
threshold is small.* The theorem has no condition on $\tau$.
""",
    effect=r"$C_5$ and $C_7$ are independent of $T_{max}$ only because of this step.",
    prior_art="None needed.",
    chapter=CHAPTER,
    uses=("orders/thm-4.1", "book/r1"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A reference that is fitted from the start.", _late),
        Check(Kind.EXACT, Role.REPAIRED, "R1 there.", _late_repaired),
        Check(Kind.EXACT, Role.FAILING_STEP, "The two bounds.", _substituted),
        Check(Kind.DECIDED, Role.SUPPORTS, "When it follows.", _when),
    ),
)


CLAIMS = (SUBSTITUTION,)
