"""Eq. (9) and (11) of `privacy`: the offsets c1 and c2, and what is said about them."""

from fractions import Fraction
from typing import Any

from memlib.theory import curvature_worlds as worlds
from memlib.theory.book.privacy_profile import normal_density
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.curvature_worlds import twins
from memlib.theory.evidence import decide, show
from memlib.theory.privacy.thm_5_1 import CONSTANT, MAJORITY, SMALLEST, ZEROS
from memlib.theory.privacy_worlds import positive, probabilities

CHAPTER = "part3/curvature-and-memorization"
SAMPLES = 50_000  # the size of the CIFAR training sets


def offset(m: Any, gamma: Any, rest: Any) -> Any:
    """c1, with L = 1: the part with gamma, and the rest (not negative)."""
    return (4 * m - 1) * gamma + rest


# Eq. (9) -----------------------------------------------------------------------------------------


def _above_seven() -> Evidence:
    import z3

    m, gamma, rest = z3.Reals("m gamma rest")
    return decide(
        [m >= 2, gamma * m >= 2, rest >= 0],
        offset(m, gamma, rest) >= 7,
        r"For every $m\ge2$: $\gamma\ge2L/m$ (Lemma A.1) gives $c_1\ge7$, so that (8) holds with "
        r"any curvature that is not negative, and says nothing. ($L=1$.)",
    )


def _needed() -> Evidence:
    m = Fraction(SAMPLES)
    beta, gamma, bias = 1 / m, 1 / (4 * m - 1), 1 / (2 * (m - 1))
    lemma, best = 2 / m, 1 / m
    values = offset(m, lemma, 0), offset(m, best, 0)
    summary = (
        rf"$m={SAMPLES}$, $L=1$: for $c_1<1$ it takes $\beta<{float(beta):.1e}$, "
        rf"$\gamma<{float(gamma):.1e}$ and $\Delta<{float(bias):.1e}$. Lemma A.1 has "
        rf"$\gamma\ge{float(lemma):.0e}$, so $c_1\ge{float(values[0]):.5f}$; its best constant has "
        rf"$\gamma\ge{float(best):.0e}$, so $c_1\ge{float(values[1]):.5f}$."
    )
    pinned = values == (8 - 2 / m, 4 - 1 / m) and (m * beta, (4 * m - 1) * gamma) == (1, 1)
    pinned &= bias == Fraction(1, 99_998)
    return Evidence(pinned and bias > gamma and lemma > gamma, summary)


EQ_9 = Claim(
    id="privacy/eq-9",
    title="The offset of Theorem 5.1",
    paper="privacy",
    location="Eq. (9) and 'Interpreting the theory', Section 5.1",
    printed=r"""
$c_1=\frac\rho{6L}\mathbb E\|\alpha\|^3+\frac{m\beta}L+\frac{(4m-1)\gamma}L+\frac{2(m-1)\Delta}L$,
"roughly Stability + Generalization + Model Bias"; the assumptions are "reasonable" in practice.""",
    assumptions=(r"$\gamma$ is the constant of Lemma A.1", r"the curvature is not negative"),
    verdict=Verdict.VACUOUS,
    holds=r"""
$c_1\ge8-2/m\ge7$, while $|\mathrm{mem}|\le1$: where curvature is not negative, (8) is true and says
nothing. With the best constant of `privacy/a.1-gamma` it would be $c_1\ge4-1/m$.
""",
    proof=r"""
$(4m-1)\gamma\ge(4m-1)\frac{2L}m=(8-\frac2m)L\ge7L$ for $m\ge2$; the other terms are not negative.
""",
    rebuttal=r"""
*Stability and generalization of SGD are small (Hardt et al., 2016).* They have to be small compared
with $1/m$, because the proof multiplies them by $m$. The rate $\gamma'(m)$ that Appendix A.2 takes
contains a term in $1/\sqrt m$.
""",
    effect=r"""
The fits of Section 6.3 leave $c_1$ free; a fitted offset below 1 is not the theorem's.
""",
    prior_art=r"""
Elementary.
""",
    chapter=CHAPTER,
    uses=("privacy/lemma-a.1", "privacy/a.1-gamma"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "At least 7, for every m.", _above_seven),
        Check(Kind.EXACT, Role.MAGNITUDE, "At the size of CIFAR.", _needed),
    ),
    gist=r"$c_1\ge8-2/m\ge7$ with the paper's own $\gamma$, against $|\mathrm{mem}|\le1$",
)


# The third moment --------------------------------------------------------------------------------

GAUSSIAN = r"$\alpha$ is a centered Gaussian"


#: The powers whose means say that it is a distribution, and centered.
MOMENTS = (0, 1)


def known_third_moment() -> Any:
    """What `third_moment` comes to, 4 / sqrt(2 pi)."""
    import sympy

    return 4 / sympy.sqrt(2 * sympy.pi)


def third_moment() -> Any:
    """E|alpha|^3 of the standard normal distribution, in sympy."""
    import sympy

    x = sympy.Symbol("x", positive=True)
    return 2 * sympy.integrate(x**3 * normal_density(x), (x, 0, sympy.oo))


def _not_zero() -> Evidence:
    import sympy

    value = third_moment()
    summary = (
        rf"$\alpha\sim N(0,1)$: $\mathbb E|\alpha|^3={sympy.latex(value)}\approx"
        rf"{float(value):.3f}$, not 0."
    )
    known = sympy.simplify(value - known_third_moment()) == 0
    x = sympy.Symbol("x", real=True)
    whole, center = (
        sympy.integrate(x**power * normal_density(x), (x, -sympy.oo, sympy.oo)) for power in MOMENTS
    )
    meets = {GAUSSIAN: (whole, center) == (1, 0)}
    return Evidence(known and bool(value > 1), summary, {}, meets, "N(0,1)")


def _at_least() -> Evidence:
    import z3

    size = z3.Real("t")
    return decide(
        [size >= 0],
        2 * size * size * size + 1 >= 3 * size * size,
        r"$2t^3+1\ge3t^2$ for $t\ge0$: averaged at $\mathbb Et^2=1$, $\mathbb Et^3\ge1$.",
    )


def _signed() -> Evidence:
    import sympy

    x = sympy.Symbol("x", real=True)
    even = sympy.simplify(normal_density(-x) - normal_density(x)) == 0
    absolute, least = known_third_moment(), twins(SMALLEST.shifts)
    summary = (
        rf"$\alpha\sim N(0,1)$: $\mathbb E|\alpha|^3\approx{float(absolute):.3f}\ge1="
        rf"(\mathbb E\alpha^2)^{{3/2}}$. The density is even, so that what vanishes is the signed "
        rf"moment, $\mathbb E\alpha^3$. Shifts $\pm1$ reach the least value, "
        rf"${show(least['third'])}$."
    )
    passed = even and absolute > least["third"] and absolute**2 == 8 / sympy.pi
    return Evidence(
        bool(passed) and least["third"] == least["second"] == 1, summary, instance="N(0,1)"
    )


THIRD_MOMENT = Claim(
    id="privacy/third-moment",
    title="The third moment can be made zero",
    paper="privacy",
    location="'Interpreting the theory', Section 5.1; again after Theorem 5.3",
    printed=r"""
"The third moment of the perturbation random variable $\alpha$, which is a measure of the skewness
of the distribution. By choosing the distribution of $\alpha$ carefully, e.g. a centralized
Gaussian, this can be made zero." It enters $c_1$ and $c_2$ as $\mathbb E\|\alpha\|^3$.""",
    assumptions=(GAUSSIAN,),
    verdict=Verdict.FALSE,
    holds=r"""
$\mathbb E\|\alpha\|^3\ge(\mathbb E\|\alpha\|^2)^{3/2}$, with equality exactly if $\|\alpha\|$ is
constant. With $\mathbb E\alpha\alpha^\top=I$ it is at least $d^{3/2}$. What a symmetric
distribution removes is the signed third-order term, and then only if the loss has third derivatives
with a bound on the fourth.
""",
    proof=r"""
Scale to $\mathbb E\|\alpha\|^2=1$ and average $2t^3+1\ge3t^2$, that is $(t-1)^2(2t+1)\ge0$, over
$t=\|\alpha\|$.
""",
    rebuttal=r"""
*Skewness is zero for a Gaussian.* It is, but Taylor's theorem with a Lipschitz Hessian bounds the
absolute value, and that is what (9) has.
""",
    effect=r"""
The first term of $c_1$ and the last of $c_2$ cannot be ignored: for the trace of a Hessian in the
dimension of CIFAR images they are at least $3072^{3/2}\frac\rho6\approx28{,}378\,\rho$ (over $L$ in
$c_1$).
""",
    prior_art=r"""
Lyapunov's inequality.
""",
    chapter=CHAPTER,
    uses=("privacy/a.3-trace",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A standard normal shift.", _not_zero),
        Check(Kind.EXACT, Role.REPAIRED, "What vanishes, and what does not.", _signed),
        Check(Kind.DECIDED, Role.SUPPORTS, "The least third moment.", _at_least),
    ),
    gist=r"$\mathbb E\|\alpha\|^3\ge(\mathbb E\|\alpha\|^2)^{3/2}>0$ for every distribution",
)


# A linear relationship ---------------------------------------------------------------------------


CREST = (0, 2)  # where Euler's spline is lowest, and the second derivative


def _same_mem_any_curvature() -> Evidence:
    curvatures = (24, -24)
    mems = {
        worlds.memorized(CONSTANT, data, i)
        for data in worlds.data_sets(CONSTANT, SMALLEST.m)
        for i in range(SMALLEST.m)
    }
    vote = worlds.memorized(MAJORITY, ZEROS, 0)
    summary = (
        rf"Constant algorithms with Euler's spline or its mirror image for a loss have curvature "
        rf"{curvatures[0]} or {curvatures[1]} and memorization {min(mems)}; majority vote has "
        rf"curvature 0 and memorization {vote}."
    )
    bends = [worlds.at(f, *CREST) for f in (worlds.EULER, worlds.flipped(worlds.EULER))]
    return Evidence(mems == {0} and vote == 1 and bends == list(curvatures), summary)


LINEAR = Claim(
    id="privacy/linear-relationship",
    title="Theorem 5.1 indicates a linear relationship",
    paper="privacy",
    location="'Interpreting the theory', Section 5.1; Results, Section 6.3",
    printed=r"""
"Theorem 5.1 (Equation 8) indicates a linear relationship between memorization and input loss
curvature", and the plots "strongly agree with and validate Theorem 5.1". $c_1$ "has no dependence
on $z_i$".""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
(8) is a bound on one side, and allows any order of samples. $c_1$ depends on $z_i$ through
$\alpha$, the displacement of its twin. A linear law does hold for fresh noise twins at a common
distance that are fitted equally well (`book/t1`).
""",
    proof=r"""
Executed: any curvature with no memorization, and full memorization with no curvature.
""",
    rebuttal=r"""
*The plots are straight.* That is a finding about networks on CIFAR-100 and ImageNet, and an
interesting one. An upper bound can be respected by data of any shape, so that a straight line is no
evidence for it.
""",
    tried=r"""
Neither quantity fixes the other in the two instances: read as a law for all learners, a linear
relationship is refuted. "Indicates" is weaker, and that plots are close to linear is a
measurement.
""",
    effect=r"""
The empirical regularity needs another explanation; T1 is a candidate for near-duplicates.
""",
    prior_art=r"""
Elementary.
""",
    chapter=CHAPTER,
    uses=("privacy/thm-5.1", "book/t1"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Neither fixes the other.", _same_mem_any_curvature),
    ),
    gist="A one-sided bound is no relationship; linear only for fresh twins (T1)",
)


# Eq. (11) ----------------------------------------------------------------------------------------


def privacy_term(m: Any, factor: Any) -> Any:
    """(m + 1)(1 - e^-epsilon), the first term of (10) over L."""
    return (m + 1) * (1 - 1 / factor)


def _true_for_all() -> Evidence:
    import z3

    m, gamma, rest, here, fresh, half = z3.Reals("m gamma rest here fresh half")
    return decide(
        [m >= 2, gamma * m >= 2, *probabilities(here, fresh), half <= fresh - here + rest],
        half + 6 <= offset(m, gamma, rest),
        r"Taylor's theorem alone, for any algorithm: $\frac12\mathrm{tr}(HC)\le "
        r"L+\frac\rho6\mathbb E\|\alpha\|^3\le c_2-6L$. ($L=1$.)",
    )


def _privacy_term_size() -> Evidence:
    import z3

    m, factor = z3.Reals("m E")
    return decide(
        [*positive(m), factor * m > m + 1],
        privacy_term(m, factor) > 1,
        r"$L(m+1)(1-e^{-\varepsilon})>L$ as soon as $\varepsilon>\ln(1+1/m)$.",
    )


def _at_five() -> Evidence:
    from flint import arb, ctx

    before, ctx.prec = ctx.prec, 96
    try:
        value = (SAMPLES + 1) * (1 - (-arb(5)).exp())
        near = arb("49664.09") < value < arb("49664.10")
    finally:
        ctx.prec = before
    summary = (
        rf"$m={SAMPLES}$, $\varepsilon=5$ (the smallest budget of Figure 5): the first term of "
        rf"(10) is {float(value):,.1f} times $L$."
    )
    return Evidence(near, summary)


EQ_11 = Claim(
    id="privacy/eq-11",
    title="The offset of Theorem 5.3",
    paper="privacy",
    location="Eq. (10), (11) and 'Interpreting Theorem 5.3', Section 5.2",
    printed=r"""
$c_2=(4m-1)\gamma+2(m-1)\Delta+\frac\rho6\mathbb E\|\alpha\|^3$, thought of as
"Generalization + Model Bias"; by (10) "a stronger privacy guarantee ensures reduced average input
loss curvature".""",
    assumptions=(
        r"the $\frac12$ of Taylor's theorem is restored in (10), which is false as printed",
        r"$\gamma$ is the constant of Lemma A.1",
        r"curvature is meant at points that have their twins in the domain",
    ),
    verdict=Verdict.VACUOUS,
    holds=r"""
With the $\frac12$ of Taylor's theorem and the $\gamma$ of Lemma A.1 the bound is true for every
algorithm, private or not, and every loss in $[0,L]$: $c_2\ge7L+\frac\rho6\mathbb E\|\alpha\|^3$
exceeds what Taylor's theorem gives. The privacy term passes the trivial $L$ at
$\varepsilon=\ln(1+1/m)$.
""",
    proof=r"""
$\frac12\mathrm{tr}(\nabla^2\ell\,C)\le\mathbb E\ell(x+\alpha)-\ell(x)+\frac\rho6\mathbb
E\|\alpha\|^3\le L+\frac\rho6\mathbb E\|\alpha\|^3$, and $(4m-1)\gamma\ge7L$.
""",
    rebuttal=r"""
*The bound still grows with $\varepsilon$ as the experiment does.* Any term that grows with
$\varepsilon$ could be added to a bound that holds without it.
""",
    effect=r"""
Figure 5 cannot confirm the bound as read here: no bounded smooth loss can break it.
""",
    prior_art=r"""
Elementary.
""",
    chapter="part3/privacy-and-curvature",
    uses=("privacy/thm-5.3", "privacy/lemma-a.1"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "True without privacy.", _true_for_all),
        Check(Kind.DECIDED, Role.SUPPORTS, "When the privacy term is trivial.", _privacy_term_size),
        Check(Kind.EXACT, Role.MAGNITUDE, "At the smallest budget of Figure 5.", _at_five),
    ),
    gist=r"With $\frac12$ and the paper's $\gamma$: true for every algorithm, private or not",
)

CLAIMS = (EQ_9, THIRD_MOMENT, LINEAR, EQ_11)
