"""Lemma A.3 of `privacy`: Taylor's theorem with a Lipschitz Hessian, Eq. (30), (31) and (34)."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.curvature_worlds import Spline, at, hessian_constant
from memlib.theory.evidence import Derivation, Step, derived, show

CHAPTER = "part3/curvature-and-memorization"
SMOOTH = r"the Hessian of $\ell(h,\cdot)$ is $\rho$-Lipschitz, Eq. (6)"
RHO = Fraction(1)
#: x^2 / 2, and the cubic that reaches the repaired bound: |x|^3 / 6.
PARABOLA = Spline((-1, 1), ((0, 0, Fraction(1, 2)),))
CUBIC = Spline((-1, 0, 1), ((0, 0, 0, -RHO / 6), (0, 0, 0, RHO / 6)))
POINTS = (Fraction(3, 4), Fraction(1, 4))


def gap(loss: Spline, weight: Fraction) -> Fraction:
    """The left side of (30) between the two points, with that weight on the second-order term."""
    first, second = POINTS
    step = first - second
    slope, bend = at(loss, second, 1), at(loss, second, 2)
    return abs(at(loss, first) - at(loss, second) - slope * step - weight * bend * step**2)


def bound(rho: Fraction) -> Fraction:
    """The right side of (30) between the two points."""
    first, second = POINTS
    return rho * abs(first - second) ** 3 / 6


def _dropped_half() -> Evidence:
    printed, allowed = gap(PARABOLA, Fraction(1)), bound(RHO)
    meets = {SMOOTH: hessian_constant(PARABOLA) <= RHO}
    summary = (
        rf"$\ell(x)=x^2/2$ from $\tfrac14$ to $\tfrac34$: its Hessian is constant, so that any "
        rf"$\rho>0$ will do; with "
        rf"$\rho={RHO}$ the left side is ${show(printed)}$, the right ${show(allowed)}$."
    )
    pinned = (printed, allowed) == (Fraction(1, 8), Fraction(1, 48))
    return Evidence(pinned and printed > allowed, summary, {}, meets, PARABOLA)


def _half_restored() -> Evidence:
    repaired = gap(PARABOLA, Fraction(1, 2))
    summary = (
        rf"With $\frac12$ the left side is ${show(repaired)}$: Taylor is exact for a parabola."
    )
    return Evidence(repaired == 0, summary, instance=PARABOLA)


def _sixth_reached() -> Evidence:
    cubic, rho = gap(CUBIC, Fraction(1, 2)), hessian_constant(CUBIC)
    summary = (
        rf"$\ell(x)=|x|^3/6$, $\rho={show(rho)}$: left and right side are both ${show(cubic)}$. "
        rf"The "
        r"$\frac16$ is best possible."
    )
    return Evidence(cubic == bound(rho) == Fraction(1, 48), summary)


def remainder_integral() -> Derivation:
    """Taylor's theorem with the integral form of the remainder."""
    import sympy

    t, rho, size = sympy.symbols("t rho s", nonnegative=True)
    f = sympy.Function("f")
    weight: Any = 1 - t
    by_parts = f(t) + weight * f(t).diff(t)
    return Derivation(
        "f(t) is the loss at distance t along the segment",
        (
            Step(
                "the integrand (1 - t) f''(t) has this antiderivative: f(1) - f(0) - f'(0)",
                sympy.Derivative(by_parts, t),
                weight * f(t).diff(t, 2),
            ),
            Step(
                "the same integral of the constant f''(0) = 1: where the half comes from",
                sympy.Integral(weight, (t, 0, 1)),
                sympy.Rational(1, 2),
            ),
            Step(
                "and of the Lipschitz bound rho s^3 t on f''(t) - f''(0)",
                sympy.Integral(weight * t * rho * size**3, (t, 0, 1)),
                rho * size**3 / 6,
            ),
        ),
    )


LEMMA_A_3 = Claim(
    id="privacy/lemma-a.3",
    title="Taylor's theorem with a Lipschitz Hessian",
    paper="privacy",
    location="Lemma A.3, Eq. (30); used in (31) and (34)",
    printed=r"""
$$|\ell(h,z_1)-\ell(h,z_2)-\langle\nabla\ell(h,z_2),z_1-z_2\rangle
-\langle\nabla^2\ell(h,z_2)(z_1-z_2),z_1-z_2\rangle|\le\frac\rho6|z_1-z_2|^3 .$$""",
    assumptions=(SMOOTH,),
    verdict=Verdict.FALSE,
    holds=r"""
With $\frac12$ before the second-order term, $\|\cdot\|$ for $|\cdot|$, derivatives in $x$, and the
segment from $z_2$ to $z_1$ in the domain. The constant $\frac16$ is the best.
""",
    proof=r"""
Let $f(t)=\ell(h,z_2+t(z_1-z_2))$ and $s=\|z_1-z_2\|$. Then
$f(1)-f(0)-f'(0)=\int_0^1(1-t)f''(t)\,dt$. Since $\int_0^1(1-t)\,dt=\frac12$, subtracting
$\frac12f''(0)$ leaves $\int_0^1(1-t)(f''(t)-f''(0))\,dt$, which is at most
$\int_0^1(1-t)\,\rho s^3t\,dt=\frac\rho6s^3$.
""",
    rebuttal=r"""
*The lemma is quoted from Nesterov and Polyak (2006), and a dropped $\frac12$ is a slip of the pen.*
Their lemma has it. Here it is missing in (30), (31), (34) and in all lines after them, and so the
curvature has the wrong weight in both theorems. Moments with $\mathbb E\alpha\alpha^\top=2I$ would
restore the trace, but the proof prints 1.
""",
    effect=r"""
With the $\frac12$ curvature has weight $\frac1{2L}$ in (8), and the whole right side of (10) is
doubled.
""",
    prior_art=r"""
Nesterov and Polyak (2006).
""",
    chapter=CHAPTER,
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A parabola.", _dropped_half),
        Check(Kind.EXACT, Role.REPAIRED, "The parabola, with the half.", _half_restored),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The remainder.",
            lambda: derived(remainder_integral()),
        ),
        Check(Kind.EXACT, Role.ATTAINED, "The third-order term is reached.", _sixth_reached),
    ),
    gist=r"Holds with $\frac12$ before the second-order term",
)

CLAIMS = (LEMMA_A_3,)
