"""The last division of E.3 of the draft."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, decide_on_box, show

#: T_ref, lambda l_0, l(w*), sigma_l over the root of delta, T_a, CSL.
NUMBERS = tuple(Fraction(v) for v in (2, 3, 0, 2, 4, 1))
#: Classes of CIFAR-100, sigma_l, delta; and the range of lambda.
CIFAR, SHARES = (100, 1, Fraction(1, 20)), ((Fraction(0), Fraction(1)),)


def sides(reference: Any, drop: Any, best: Any, noise: Any, time: Any, csl: Any) -> tuple[Any, Any]:
    """The line before the division: left side, and right side. The denominator is left over T."""
    return time * (drop + reference * (best - noise)), reference * csl


def _negative() -> Evidence:
    left, right = sides(*NUMBERS)
    *_, time, _ = NUMBERS
    quotient = right / (left / time)
    summary = (
        rf"$T_{{ref}}=2$, $\lambda\ell_0=3$, $\ell^*=0$, $\sigma_l/\sqrt\delta=2$, "
        rf"$\mathrm{{CSL}}=1$: "
        rf"before the division ${show(left)}\le{show(right)}$, after it ${show(time)}\le"
        rf"{show(quotient)}$."
    )
    return Evidence((left, right, quotient) == (-4, 2, -2) and time > quotient, summary)


def _divided() -> Evidence:
    import z3

    reference, drop, best, noise, time, csl = z3.Reals("reference drop best noise time csl")
    left, right = sides(reference, drop, best, noise, time, csl)
    scale = drop + reference * (best - noise)
    return decide(
        [left <= right, scale > 0],
        time <= right / scale,
        r"With a positive denominator the division is right.",
    )


def _cifar() -> Evidence:
    from flint import arb, fmpq

    classes, sigma, delta = CIFAR
    noise = sigma / arb(fmpq(delta.numerator, delta.denominator)).sqrt()
    return decide_on_box(
        lambda share: 2 * noise - share * arb(classes).log(),
        SHARES,
        r"$\ell_0=\ln100$, $\ell^*=0$, $\sigma_l=1$, $\delta=5\,\%$: the denominator is negative "
        r"for "
        r"$T_{ref}=2$ and every $\lambda\le1$, and so for every later reference.",
    )


def _first_step() -> Evidence:
    from flint import arb, fmpq

    classes, sigma, delta = CIFAR
    noise = sigma / arb(fmpq(delta.numerator, delta.denominator)).sqrt()
    margin = arb(classes).log() - noise
    summary = (
        r"For $T_{ref}=1$ and $\lambda=1$ it is positive, "
        rf"${float(margin.mid()):.4f}$: a reference that the first step fits completely."
    )
    return Evidence(bool(margin > 0) and round(1000 * float(margin.mid())) == 133, summary)


DIVISION = Claim(
    id="orders/e3-division",
    title="Division by what may be negative",
    paper="orders",
    location="Appendix E.3, the last step, and Eq. (6)",
    printed=r"""
From

$$T_{z_a}\Bigl(\lambda\mathbb E[\ell(\vec w_0)]+T_{ref}\ell(\vec w^*)-
T_{ref}\frac{\sigma_l}{\sqrt\delta}\Bigr)\le T_{ref}\,\mathrm{CSL}(\vec z_a)$$

to (6), by division.""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist=r"It needs $\lambda\ell_0+T_{ref}(\ell^*-\sigma_l/\sqrt\delta)>0$; at CIFAR-like values "
    r"that "
    r"means $T_{ref}\le1$.",
    holds=r"""
The division is right for a positive denominator. With $\ell^*=0$ that is
$T_{ref}<\lambda\ell_0\sqrt\delta/\sigma_l$: for $\ell_0=\ln100$, $\sigma_l=1$ and $\delta=5\,\%$ a
reference of at most one *iteration*. With the slack on the other side, as an addition to CSL, no
such condition on $\sigma_l$ is needed (Theorem 4.2, conditional version).
""",
    proof=r"""
Dividing an inequality by a negative number reverses it. Executed for numbers, and decided for all
$\lambda\in[0,1]$.
""",
    rebuttal=r"""
*A small $\sigma_l$ is assumed.* "$\sigma_l\approx0$" is said after Theorem 4.1. A small $\sigma_l$
means that all samples have nearly the same loss, and CSL tells nothing apart. The value
$\sigma_l=1$ is an illustration; we have not measured it.
""",
    tried=r"""
The numbers are no run; for runs see `orders/thm-4.2`. Where the denominator is positive the step
is decided true, so that nothing else can break it.
""",
    effect="A hypothesis that (6) lacks.",
    prior_art="Arithmetic.",
    chapter="part2/loss-gradient-and-learning-time",
    uses=("orders/e3-chebyshev-own-time",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "A negative denominator.", _negative),
        Check(Kind.DECIDED, Role.SUPPORTS, "A positive one.", _divided),
        Check(Kind.DECIDED, Role.MAGNITUDE, "Cross-entropy of 100 classes.", _cifar),
        Check(Kind.DECIDED, Role.MAGNITUDE, "The first step.", _first_step),
    ),
)


CLAIMS = (DIVISION,)
