"""Theorem 4.2 of the draft: CSL as an upper bound on learning time."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.orders.instances import (
    CONFIDENCE,
    DELTA,
    MOMENT,
    PLATEAU,
    PLATEAU_RATE,
    PLATEAU_START,
    PROXIMAL,
    RANK,
    ROOT_DELTA,
    SMOOTH,
    TWINS,
    TWINS_TAU,
    UNBIASED,
    VARIANCE,
    independent,
    least_squares_sgd,
    plateau,
    sgd,
    time_of,
)
from memlib.theory.worlds import mean, total

#: A smaller delta, at which the printed denominator turns negative, and its square root.
SMALL_ROOT = Fraction(1, 100)


ZERO = Fraction(0)
#: T_a, T_ref, the losses l_0, l(T_ref), l(T_a), l*, and a CSL: a reference whose loss has risen.
RISEN = (1, 2, Fraction(1), Fraction(3, 2), Fraction(6, 5), Fraction(0), Fraction(11, 5))


def printed(early: Any, csl: Any, lam: Any, first: Any, best: Any, noise: Any) -> Any:
    """The right side of (6), `noise` being sigma_l over the square root of delta."""
    return early * csl / (lam * first + best * early - noise * early)


def _proximal(curve: Sequence[Fraction], early: int) -> Fraction:
    """The lambda of the reference that is learned at step `early`."""
    return 1 - curve[early] / curve[0]


def _within(curves: Sequence[Sequence[Fraction]], mean_curve: Any, sigma: Fraction) -> bool:
    """Whether the loss of a random sample deviates by at most sigma, at every step."""
    steps = zip(mean_curve, zip(*curves, strict=True), strict=True)
    return all(mean([(value - m) ** 2 for value in step]) <= sigma**2 for m, step in steps)


def _refuted_twins() -> Evidence:
    late, early = TWINS.time(0, TWINS_TAU), TWINS.time(1, TWINS_TAU)
    curve, sigma = TWINS.mean_curve(), TWINS.deviation()
    lam, csl = _proximal(curve, early), sum(TWINS.curve(0))
    right = printed(early, csl, lam, curve[0], min(curve), sigma / ROOT_DELTA)
    smaller = printed(early, csl, lam, curve[0], min(curve), sigma / SMALL_ROOT)
    assumptions = {
        **sgd(TWINS),
        RANK: independent(TWINS.data),
        PROXIMAL: lam > 0 and curve[early] == (1 - lam) * curve[0],
        VARIANCE: _within([TWINS.curve(0), TWINS.curve(1)], curve, sigma),
        CONFIDENCE: Fraction(1, len(TWINS.data)) > DELTA and ROOT_DELTA**2 == DELTA,
    }
    summary = (
        rf"Two samples fitted in one step: $T_a={late}$, $T_{{ref}}={early}$, $\lambda={lam}$, "
        rf"$\ell(w^*)=0$, CSL {show(csl)}. Printed with $\delta=1\%$: ${late}\le{float(right):.3f}$"
        rf". With $\delta=10^{{-4}}$ the denominator is negative: ${late}\le{float(smaller):.0f}$."
    )
    pinned = (late, early, round(1000 * right)) == (2, 1, 1123) and round(smaller) == -202
    return Evidence(pinned and late > right, summary, {}, assumptions, TWINS)


def _repaired_twins() -> Evidence:
    smooth = max(runs.dot(w, w) for w in TWINS.weights())
    rows = []
    for i in (0, 1):
        csg, csl = sum(TWINS.squares(i)), sum(TWINS.curve(i))
        time = TWINS.time(i, TWINS_TAU)
        rows.append((time, 1 + csg / TWINS_TAU, 1 + 2 * smooth * csl / TWINS_TAU))
    summary = (
        r"R1 on the same run, $T\le1+\mathrm{CSG}/\tau\le1+2\mathcal L_z\mathrm{CSL}/\tau$: "
        + ", ".join(f"${t}\\le{float(a):.3f}\\le{float(b):.3f}$" for t, a, b in rows)
        + "."
    )
    passed = all(time <= by_csg <= by_csl for time, by_csg, by_csl in rows)
    pinned = [round(100 * by_csl) for _, _, by_csl in rows] == [264, 261]
    return Evidence(passed and pinned, summary, {}, {}, TWINS)


def _plateau_rows() -> tuple[Fraction, list[tuple[int, Fraction, Fraction]]]:
    """The threshold, and per sample its learning time, CSG and CSL."""
    run = plateau()
    squares = [runs.squared_gradients(run, z) for z in PLATEAU]
    tau = squares[1][0]
    return tau, [
        (time_of(s, tau), total(s), total(runs.losses(run, z)))
        for s, z in zip(squares, PLATEAU, strict=True)
    ]


def _refuted_plateau() -> Evidence:
    run = plateau()
    curves = [runs.losses(run, z) for z in PLATEAU]
    curve = [mean(step) for step in zip(*curves, strict=True)]
    sigma = max(abs(a - b) / 2 for a, b in zip(*curves, strict=True))
    _, ((late, _, csl), (early, _, _)) = _plateau_rows()
    lam, best = _proximal(curve, early), ZERO
    right = printed(early, csl, lam, curve[0], best, sigma / ROOT_DELTA)
    assumptions = {
        **least_squares_sgd(run, PLATEAU, PLATEAU_RATE, Fraction(1)),
        RANK: independent(PLATEAU),
        PROXIMAL: lam > 0 and curve[early] == (1 - lam) * curve[0],
        VARIANCE: _within(curves, curve, sigma),
        CONFIDENCE: Fraction(1, len(PLATEAU)) > DELTA,
    }
    summary = (
        r"Least squares, two inputs that nearly agree and labels that differ by 2 %: one step "
        rf"takes {float(lam):.2%} of the loss away, the rest goes slowly. $T_a={late}$, "
        rf"$T_{{ref}}={early}$; printed: ${late}\le{float(right):.2f}$."
    )
    pinned = (late, early, round(100 * right)) == (12, 1, 128)
    instance = (PLATEAU, PLATEAU_START)
    return Evidence(pinned and late > right, summary, {}, assumptions, instance)


def _with_the_label() -> Evidence:
    run = plateau()
    squares = [
        [
            runs.residual(w, z) ** 2 + in_x
            for w, in_x in zip(run, runs.squared_gradients(run, z), strict=True)
        ]
        for z in PLATEAU
    ]
    late, early = (time_of(each, min(first for first, *_ in squares)) for each in squares)
    summary = (
        r"The plateau with the gradient in $(x,y)$, and $\tau$ at the first gradient of the "
        rf"reference: $T_a={late}$, $T_{{ref}}={early}$; the bound is still 1.28."
    )
    return Evidence((late, early) == (2, 1), summary)


def _repaired_plateau() -> Evidence:
    tau, rows = _plateau_rows()
    bounds = [1 + csg / tau for _, csg, _ in rows]
    summary = (
        r"R1 on the same run, $T\le1+\mathrm{CSG}/\tau$: "
        + ", ".join(f"${t}\\le{float(b):.2f}$" for (t, _, _), b in zip(rows, bounds, strict=True))
        + "."
    )
    passed = all(time <= bound for (time, _, _), bound in zip(rows, bounds, strict=True))
    pinned = [round(100 * bound) for bound in bounds] == [2195, 2190]
    return Evidence(passed and pinned, summary, {}, {}, (PLATEAU, PLATEAU_START))


def _conditional() -> Evidence:
    import z3

    late, early, first, at_ref, at_late, best, run_sum, csl, slack = z3.Reals(
        "Ta Tref first at_ref at_late best runsum csl slack"
    )
    scale = first - at_ref + early * best  # lambda l_0 + T_ref l*
    return decide(
        [
            early > 0,
            late * (first - at_ref) <= early * (first - at_late),  # H33
            first - at_late <= run_sum - late * best,  # telescoped, each later loss at least best
            run_sum <= csl + slack,  # the mean losses before T_a, by those of the sample
            scale > 0,
        ],
        late <= early * (csl + slack) / scale,
        r"Given H33 and $\lambda\ell_0+T_{ref}\ell^*>0$: $T_a\le T_{ref}(\mathrm{CSL}+"
        r"N\sigma_l/\sqrt\delta)/(\lambda\ell_0+T_{ref}\ell^*)$.",
    )


def _needs_the_sign() -> Evidence:
    late, early, first, at_ref, at_late, best, csl = RISEN
    given = late * (first - at_ref) <= early * (first - at_late)
    lam = 1 - at_ref / first
    right = printed(early, csl, lam, first, best, ZERO)
    summary = (
        rf"Losses {show(first)}, {show(at_late)} at $T_a={late}$, {show(at_ref)} at "
        rf"$T_{{ref}}={early}$, $\ell^*=0$: H33 holds, $\lambda={show(lam)}$, and the bound is "
        rf"{show(right)}."
    )
    return Evidence(given and right == Fraction(-44, 5) and late > right, summary)


THM_4_2 = Claim(
    id="orders/thm-4.2",
    title="Cumulative loss bounds learning time",
    paper="orders",
    location="Theorem 4.2, Eq. (6); proof in E.3",
    printed=r"""
With confidence $1-\delta$, for any sample $\vec z_i\in S$,

$$T_{z_i}\le T_{ref}\,\frac{\mathrm{CSL}(\vec z_i)}{\lambda\ell(\vec w_0)+\ell(\vec w^*)T_{ref}-
\sigma_l\delta^{-0.5}T_{ref}}.$$""",
    assumptions=(SMOOTH, MOMENT, UNBIASED, RANK, PROXIMAL, VARIANCE, CONFIDENCE),
    verdict=Verdict.FALSE,
    holds=r"""
$T_i\le1+\mathrm{CSG}(z_i)/\tau\le1+\frac{2\mathcal L_z}\tau\mathrm{CSL}(z_i)$ for every sample of
every run (R1; the second half where the loss is non-negative and $\mathcal L_z$-smooth in the input
on all of $\mathbb R^n$). *Given* H33 (see Eq. 33) and
$\lambda\ell_0+T_{ref}\ell^*>0$, for all but a fraction $\delta$ of the samples,

$$T_a\le T_{ref}\,\frac{\mathrm{CSL}(z_a)+N\sigma_l/\sqrt\delta}{\lambda\ell_0+T_{ref}\ell^*}.$$
""",
    proof=r"""
*Counterexamples.* The twins of Theorem 4.1: one step fits both, and the threshold is between their
two first gradients. In the plateau, the large residual at a small weight and the small residual at
a large weight have the same input gradient $r^2\|w\|^2$, so that nothing happens to the gradient
while 99.99 % of the loss disappears: learning time and cumulative loss come apart.

*Conditional version.* H33 with $\ell_{T_{ref}}=(1-\lambda)\ell_0$ reads
$T_a\lambda\ell_0\le T_{ref}(\ell_0-\ell_{T_a})$; telescoping and $\ell_{t+1}\ge\ell^*$ give
$\ell_0-\ell_{T_a}\le\sum_{t<T_a}\ell_t-T_a\ell^*$, and losses are not negative, so the sum is at
most $\sum_{t<N}\ell_t$. The standard deviation over samples of
$\sum_{t<N}(\ell_t-\ell_t(i))$ is at most $N\sigma_l$ (Minkowski); Chebyshev, once, bounds it by
$N\sigma_l/\sqrt\delta$ outside a fraction $\delta$. The whole run is needed: $T_a$ depends on the
sample, and Chebyshev at a sample-dependent time does not hold. Divide by the denominator, which
must be positive.
""",
    rebuttal=r"""
*The theorem lets us choose the reference, and $a$ may be an exceptional sample.* With the sample as
its own reference $T_a$ cancels and a statement about $\mathrm{CSL}\ge\lambda\ell_0$ remains. And
"confidence $1-\delta$" for "any sample" is a statement about all but a fraction $\delta$ of them;
here half of the samples break it at $\delta=1\,\%$. *The gradient in $z$ includes the label.* Then
the plateau has $T_a=2$, still above the bound.
""",
    effect=r"""
That little CSL means learned early is right, with the constant of R1 and for smooth losses. A
quantitative relation through one reference sample is not.
""",
    prior_art=r"""
Minkowski's and Chebyshev's inequalities; see R1 for the self-bounding property.
""",
    chapter="part2/loss-gradient-and-learning-time",
    uses=(
        "orders/eq-33",
        "orders/eq-3",
        "orders/eq-4",
        "book/r1",
        "orders/e3-chebyshev",
        "orders/e3-chebyshev-own-time",
        "orders/e3-division",
    ),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Twins on two sides of a threshold.", _refuted_twins),
        Check(Kind.EXACT, Role.REPAIRED, "R1 on the twins.", _repaired_twins),
        Check(Kind.EXACT, Role.REFUTES, "A plateau of the gradient.", _refuted_plateau),
        Check(Kind.EXACT, Role.REPAIRED, "R1 on the plateau.", _repaired_plateau),
        Check(Kind.EXACT, Role.MAGNITUDE, "With the gradient in the label, too.", _with_the_label),
        Check(Kind.DECIDED, Role.SUPPORTS, "The conditional version.", _conditional),
        Check(Kind.EXACT, Role.SHARP, "Its positive denominator.", _needs_the_sign),
    ),
    gist=r"$T_i\le1+\mathrm{CSG}/\tau$ for every sample of every run, and "
    r"$\le1+2\mathcal L_z\mathrm{CSL}/\tau$ for smooth losses.",
)


CLAIMS = (THM_4_2,)
