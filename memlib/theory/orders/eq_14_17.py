"""The definitions and assumptions of the draft's Appendix A, Eq. (14) to (17)."""

from fractions import Fraction
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all, show
from memlib.theory.worlds import Sample, mean

INPUTS = "part2/inputs-and-weights"


# Eq. 14 ------------------------------------------------------------------------------------------

#: gamma', L, and chances of a small gap, as tuples (an instance).
RATE, TOP, CHANCES = (Fraction(1, 10),), (Fraction(1),), (Fraction(9, 10), Fraction(1, 2))
#: Losses on a training set of four, all at the mean, and without its first or its last.
GAPLESS = (Fraction(0), Fraction(1), Fraction(0), Fraction(1))


def _in_expectation() -> Evidence:
    import z3

    chance, small, large, rate, top = z3.Reals("chance small large rate top")
    return decide(
        [chance <= 1, small <= rate, large <= top],
        z3.Implies(
            chance >= 0, chance * small + (1 - chance) * large <= chance * rate + (1 - chance) * top
        ),
        r"With chance $\delta$ a gap of at most $\gamma'$, else at most $L$: in expectation at "
        r"most "
        r"$\delta\gamma'+(1-\delta)L$.",
    )


def _other_sets() -> Evidence:
    risk = mean(GAPLESS)
    on = [
        abs(mean([v for k, v in enumerate(GAPLESS) if k != j]) - risk)
        for j, _ in enumerate(GAPLESS)
    ]
    summary = (
        rf"A model with the losses 0, 1, 0, 1 on its training set and the population risk "
        rf"{show(risk)}: the gap on $S$ is 0, and on $S$ without a sample {show(max(on))}."
    )
    return Evidence(risk == Fraction(1, 2) and set(on) == {Fraction(1, 6)}, summary)


EQ_14 = Claim(
    id="orders/eq-14",
    title="Generalization with a confidence and a rate",
    paper="orders",
    location="Appendix A, Eq. (14)",
    printed=r"""
"generalizes with confidence $\delta$ and rate $\gamma'(m)$ if"
$\Pr[|R_{emp}(g,S)-R(g)|\le\gamma'(m)]\ge\delta$.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"A statement about $g_S$ on its own $S$; in expectation the gap is at most "
    r"$\delta\gamma'+(1-\delta)L$.",
    holds=r"""
A definition, once $g=g_S$ and the probability are spelled out (over $S$ and $\phi$). Here $\delta$
is the chance of success; in the theorems it is that of failure. In expectation it gives
$\mathbb E|R_{emp}-R|\le\delta\gamma'+(1-\delta)L$, and no less. It is about the model on its *own*
training set: it says nothing about $R_{emp}(g_S,S^{\setminus i})$, which Theorem 4.5 needs.
""",
    proof=r"""
The gap is at most $\gamma'$ with chance $\delta$ and at most $L$ always; a gap of exactly $\gamma'$
or $L$ attains it. For the other sets: $R_{emp}(g,S^{\setminus i})$ moves by up to $L/(m-1)$ as $i$
varies.
""",
    rebuttal=r"""
*Two meanings of $\delta$ confuse nobody.* The one in the theorems that use (14), $1-\delta$, would
here be the chance of failure; we keep them apart.
""",
    effect="Theorem 4.5 uses a bound in expectation and for four pairs, which (14) does not give.",
    prior_art="Standard; Bousquet and Elisseeff (2002).",
    chapter="part2/the-final-gradient",
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "In expectation.", _in_expectation),
        Check(Kind.EXACT, Role.SHARP, "Other sets are not covered.", _other_sets),
    ),
)


# Eq. 15 ------------------------------------------------------------------------------------------

#: A label that is 1 with chance 1/4, and predictions of it.
QUARTER, GUESSES = (Fraction(1, 4),), (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(1))


def _stable() -> Evidence:
    import z3

    with_it, without_it, best, bias = z3.Reals("with without best bias")
    return decide(
        [
            with_it - best <= bias,
            best - with_it <= bias,
            without_it - best <= bias,
            best - without_it <= bias,
        ],
        z3.And(with_it - without_it <= 2 * bias, without_it - with_it <= 2 * bias),
        r"(15) for $S$ and for $S^{\setminus i}$ gives error stability (Eq. 1) with "
        r"$\beta=2\Delta$.",
    )


def _absolute_loss() -> Evidence:
    (q,) = QUARTER
    risks = {g: q * abs(1 - g) + (1 - q) * abs(g) for g in GUESSES}
    square = {g: q * (1 - g) ** 2 + (1 - q) * g**2 for g in GUESSES}
    best, excess = min(square, key=lambda g: square[g]), risks[q] - min(risks.values())
    summary = (
        rf"A label that is 1 with chance $\tfrac14$. $f=\mathbb E[y]={show(q)}$ is best for "
        rf"squared "
        rf"loss; for absolute loss its risk is {show(risks[q])}, and that of the constant 0 is "
        rf"{show(min(risks.values()))}: a learner can have a negative excess risk."
    )
    return Evidence(best == q and excess == Fraction(1, 8), summary)


EQ_15 = Claim(
    id="orders/eq-15",
    title="Uniform model bias",
    paper="orders",
    location="Appendix A, Eq. (15)",
    printed=r"""
For $f=\mathbb E[y|\vec x]$ and all $S\sim\mathbf Z^m$:
$\bigl|\mathbb E_\phi[R(g_S^\phi)-R(f)]\bigr|\le\Delta$.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"A bound on the excess risk over $f$ for every $S$; it implies error stability with "
    r"$\beta\le2\Delta$.",
    holds=r"""
A definition: a uniform bound on the excess risk over $f$ (bias and variance together, so not a
bias). Since it holds for *every* $S$, it contains error stability: for $m$ and $m-1$ it gives Eq.
(1) with $\beta=2\Delta$. $f=\mathbb E[y|x]$ is the best predictor for squared loss, not for every
cost; the absolute value is needed then.
""",
    proof=r"""
Triangle inequality through $R(f)$. For the sharpness: median against mean.
""",
    rebuttal=r"""
*For every $S$ is only a manner of speaking.* As printed it includes data sets that teach nothing,
so that $\Delta$ is at least the excess risk of the worst possible sample of size $m$, and does not
fall with $m$.
""",
    effect=r"""
In Theorem 4.5 the term $2(m-1)\Delta$ is not needed (see there).
""",
    prior_art="Excess risk: textbook.",
    chapter="part2/the-final-gradient",
    uses=("orders/eq-1",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "It contains error stability.", _stable),
        Check(Kind.EXACT, Role.SHARP, "The mean is not best for every loss.", _absolute_loss),
    ),
)


# Eq. 16 and 17 -----------------------------------------------------------------------------------

#: A large input at a small weight: smooth in x with 1/100, in w with 100. One step of size 1/50.
STEEP: Sample = ((Fraction(10),), Fraction(0))
LIGHT, SPEED = (Fraction(1, 10),), (Fraction(1, 50),)


def descent(rate: Any, smooth: Any, gradient: Any) -> Any:
    """What the descent lemma says that one step changes the loss by, at most."""
    return -rate * gradient * gradient + smooth / 2 * rate * rate * gradient * gradient


def _wrong_space() -> Evidence:
    ((x,), _), (rate,) = STEEP, SPEED
    run = runs.descend((STEEP,), LIGHT, rate, 1)
    before, after = runs.losses(run, STEEP)
    gradient = runs.residual(run[0], STEEP) * x
    (w,) = LIGHT
    in_z, in_w = (descent(rate, k, gradient) for k in (w * w, x * x))
    summary = (
        rf"Least squares, $x=10$, $w=\tfrac1{{10}}$: the gradient in $x$ is "
        rf"{show(w * w)}-Lipschitz, that in $w$ {show(x * x)}-Lipschitz. One step with "
        rf"$\eta=\tfrac1{{50}}$ changes the loss by {show(after - before)}. The descent lemma "
        rf"allows "
        rf"at most {float(in_z)} with the constant in $z$, and {show(in_w)} with that in $w$."
    )
    pinned = (after - before, in_z, in_w) == (0, Fraction(-19998, 10_000), 0)
    return Evidence(pinned and after - before > in_z, summary)


def _descent_lemma() -> Evidence:
    import z3

    slope, change, rate, smooth, moved = z3.Reals("slope change rate smooth moved")
    return decide(
        [
            moved == -rate * slope,
            change <= slope * moved + smooth / 2 * moved * moved,
        ],
        change <= descent(rate, smooth, slope),
        r"Smoothness in $w$ gives the descent lemma: "
        r"$\ell(w-\eta\nabla)\le\ell(w)-\eta\|\nabla\|^2+\frac{\mathcal L\eta^2}2\|\nabla\|^2$.",
    )


def _quantifiers() -> Evidence:
    import z3

    one, two, first, second, smooth = z3.Reals("one two first second smooth")
    distance = z3.If(one >= two, one - two, two - one)
    rise = z3.If(first >= second, first - second, second - first)
    return decide(
        [one != two, smooth == 1 + rise / distance],
        z3.And(smooth > 0, rise <= smooth * distance),
        r"For any two different points and any two slopes there is a constant: in the printed "
        r"order "
        r"of the quantifiers (16) and (17) hold for every function.",
    )


EQ_16 = Claim(
    id="orders/eq-16",
    title="Lipschitz gradient, in the sample or in the weights",
    paper="orders",
    location="Appendix A, Eq. (16); used in E.1 to E.5",
    printed=r"""
"on $\mathbf Z$ if, for all $\vec z_1,\vec z_2\in\mathbf Z$, there exists a constant $\mathcal L>0$
such that" $\|\nabla_{z_1}\ell(\vec z_1)-\nabla_{z_2}\ell(\vec z_2)\|\le\mathcal L\|\vec z_1-\vec
z_2\|$. The proofs call it "the loss function $\ell$ is $\mathcal L$-Lipschitz".""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"B.1, A.1 and 4.1 to 4.4 need it in $w$, Theorem 4.5 in $z$; the constant comes before "
    r"the points.",
    holds=r"""
Two assumptions under one name. Lemma A.1, B.1 and what follows from it need the gradient in $w$ to
be Lipschitz in $w$ (E.1 says so in passing); Theorem 4.5 and R1 need it in $z$. The constants have
different units and neither bounds the other. The gradient is Lipschitz, not the loss. "There
exists" must stand before "for all": as printed, each pair of points may have a constant of its own,
and every function qualifies.
""",
    proof=r"""
For $\ell=\frac12(w^\top x-y)^2$ the constants are $\|x\|^2$ in $w$ and $\|w\|^2$ in $x$.
""",
    rebuttal=r"""
*E.1 makes clear what is meant.* It does, for B.1; so this is a misprint. It matters where constants
are computed.
""",
    effect="None on the statements, once each theorem says which of the two it uses.",
    prior_art="The descent lemma: textbook (Nesterov).",
    chapter=INPUTS,
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The lemma that needs it, in w.", _descent_lemma),
        Check(Kind.EXACT, Role.SEPARATES, "Smooth in x, steep in w.", _wrong_space),
        Check(Kind.DECIDED, Role.SEPARATES, "The order of the quantifiers.", _quantifiers),
    ),
)


#: A loss x w^3 / 6 per unit: third derivatives in w and in x, and a step in w.
CUBIC = (Fraction(6), Fraction(1), Fraction(1))
WIDTHS = tuple(Fraction(k) for k in (-1, 2, 3))


def cubic(w: Any, x: Any) -> Any:
    """A loss that is linear in the input and cubic in the weight."""
    return x * w**3 / 6


def _third_order() -> Evidence:
    x, w, _ = CUBIC

    def holds(step: Fraction) -> bool:
        second, first = x * w, x * w * w / 2  # Hessian and gradient in w
        rest = cubic(w + step, x) - cubic(w, x) - first * step - second * step * step / 2
        in_z = 0  # the loss is linear in x: its input Hessian is 0, everywhere
        return abs(rest) == x * abs(step) ** 3 / 6 > in_z

    return enumerate_all(
        WIDTHS,
        holds,
        r"$\ell=xw^3/6$: the input Hessian is 0, and so 0-Lipschitz; the second-order expansion in "
        r"$w$ misses the loss by exactly $\frac x6|d|^3$, the constant in $w$ being $x$.",
        count=3,
    )


def expansion() -> Derivation:
    """The third-order remainder of a Hessian that is rho-Lipschitz along a line."""
    import sympy

    s, rho, d = sympy.symbols(r"s \rho d", positive=True)
    once = sympy.integrate(rho * s, (s, 0, s))  # after a length s
    return Derivation(
        "Integrate twice",
        (
            Step(
                "the gradient's remainder after a length d",
                sympy.Integral(rho * s, (s, 0, d)),
                rho * d**2 / 2,
            ),
            Step(
                "the loss's remainder",
                sympy.Integral(once, (s, 0, d)),
                rho * d**3 / 6,
            ),
        ),
    )


EQ_17 = Claim(
    id="orders/eq-17",
    title="Lipschitz Hessian, in the sample or in the weights",
    paper="orders",
    location="Appendix A, Eq. (17); used in (40)",
    printed=r"""
"on $\mathbf Z$ if, for all $\vec z_1,\vec z_2\in\mathbf Z$ [...] there exists some $\rho>0$ such
that" $\|\nabla^2_{z_1}\ell(g,\vec z_1)-\nabla^2_{z_2}\ell(g,\vec z_2)\|\le
\rho\|\vec z_1-\vec z_2\|$.""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"(40) expands in $w$ and needs a Hessian in $w$ that is $\rho$-Lipschitz in $w$; (17) is "
    r"in $z$.",
    holds=r"""
(40) is an expansion in the weights. It needs $\|\nabla^2_w\ell(w_1)-\nabla^2_w\ell(w_2)\|\le
\rho\|w_1-w_2\|$, which (17) does not give. (17) is what Lemma D.2 names, without need, and what R3
needs.
""",
    proof=r"""
If the Hessian moves by at most $\rho s$ over a length $s$, the gradient's remainder is at most
$\rho d^2/2$ and the loss's at most $\rho d^3/6$: integrate twice.
""",
    rebuttal="*The letters $w$ in (40) say what is meant.* Agreed.",
    effect="None on Theorem 4.6, once it is stated in $w$.",
    prior_art="Nesterov and Polyak (2006).",
    chapter="part2/curvature-and-gradient",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The remainder.", lambda: derived(expansion())),
        Check(Kind.EXACT, Role.SEPARATES, "No curvature in x, some in w.", _third_order),
    ),
)


CLAIMS = (EQ_14, EQ_15, EQ_16, EQ_17)
