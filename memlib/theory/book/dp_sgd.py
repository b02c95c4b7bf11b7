"""What DP-SGD can memorize at most, in elementary terms: noise, sampling rate, steps."""

from fractions import Fraction
from typing import Any

from memlib.theory.book.privacy import CHAPTER
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show

#: The private training of `privacy`, Section 6.1: 20 epochs of 391 batches (of 128, of 50,000
#: images), each sample drawn with probability 1/391 per step, as Opacus does.
RATE, STEPS = Fraction(1, 391), 20 * 391
#: Budgets at delta = 1e-5 and noise multipliers that keep them, by `memlib.accounting.noise_for`.
NOISES = ((1, "1.098"), (10, "0.501"))


def step_loss(noise: Any, rate: Any) -> Any:
    """How far one step's Bhattacharyya coefficient can fall below 1, in balls."""
    from flint import arb

    return rate**2 * ((1 / noise**2).exp() - 1) / (8 * (1 - rate) ** (arb(3) / 2))


def dp_sgd_bound(noise: Any, rate: Any, steps: int) -> Any:
    """The most that DP-SGD can memorize, in balls; for a step loss of at most 1."""
    return (1 - (1 - step_loss(noise, rate)) ** (2 * steps)).sqrt()


def _root_decided() -> Evidence:
    import z3

    s, r = z3.Reals("s r")
    return decide(
        [r > 0, r <= 1, s >= r],
        s >= 1 + (s * s - 1) / 2 - (s * s - 1) ** 2 / (8 * r**3),
        r"With $s=\sqrt{1+u}$ and $r=\sqrt{1-q}$: $\sqrt{1+u}\ge1+\frac u2-"
        r"\frac{u^2}{8(1-q)^{3/2}}$ for every $u\ge-q$.",
    )


def root_gap(s: Fraction, r: Fraction, constant: int) -> Fraction:
    """The inequality under the mean: left side minus right side."""
    square = s * s - 1
    return s - (1 + square / 2 - square**2 / (constant * r**3))


def _root_sharp() -> Evidence:
    s, r = Fraction(21, 20), Fraction(99, 100)
    holds, breaks = (root_gap(s, r, constant) for constant in (8, 9))
    summary = (
        rf"With 9 in place of 8 the inequality breaks: at $s={show(s)}$, $r={show(r)}$ the left "
        rf"side exceeds the right one by {float(holds):.2g} with 8, and by {float(breaks):.2g} "
        "with 9."
    )
    exact = (Fraction(40163, 388119600), Fraction(-327691, 6986152800))
    return Evidence((holds, breaks) == exact and breaks < 0 < holds, summary)


def one_step() -> Derivation:
    """The second moment of the density ratio of a step, and the last inequality."""
    import sympy

    x, shift, a, b = sympy.symbols("x v p q", positive=True)
    ratio = sympy.exp(shift * x - shift**2 / 2)

    def density(y: Any) -> Any:
        return sympy.exp(-(y**2) / 2)

    apart = (sympy.sqrt(a) - sympy.sqrt(b)) * (sympy.sqrt(a) + sympy.sqrt(b))
    return Derivation(
        "One step, and the distance at the end",
        (
            Step("times L: the density moved by v", density(x) * ratio, density(x - shift)),
            Step(
                "times L squared: moved by 2 v, with mass exp(v^2)",
                density(x) * ratio**2,
                sympy.exp(shift**2) * density(x - 2 * shift),
            ),
            Step("a difference of densities is a product of roots", apart, a - b),
            Step(
                "of which one has the integral 2 - 2 rho, the other 2 + 2 rho",
                (sympy.sqrt(a) - sympy.sqrt(b)) ** 2 + 2 * sympy.sqrt(a * b),
                a + b,
            ),
        ),
    )


def _paper_scale() -> Evidence:
    from flint import arb, ctx, fmpq

    before, ctx.prec = ctx.prec, 96
    try:
        rate = arb(fmpq(RATE.numerator, RATE.denominator))
        low, high = (dp_sgd_bound(arb(noise), rate, STEPS) for _, noise in NOISES)
        passed = arb("0.12825") < low < arb("0.12826") and arb("0.70131") < high < arb("0.70132")
    finally:
        ctx.prec = before
    (small, less), (large, little) = NOISES
    summary = (
        rf"The private training of `privacy` (sampling rate $1/{RATE.denominator}$, {STEPS} "
        rf"steps): at $\varepsilon={small}$ the noise is {less}, and no sample is memorized more "
        rf"than {float(low) + 5e-5:.4f}; at $\varepsilon={large}$ it is {little}, and none more "
        rf"than {float(high) + 5e-5:.4f}."
    )
    return Evidence(bool(passed), summary)


TV_DP_SGD = Claim(
    id="book/tv-dp-sgd",
    title="Memorization under DP-SGD, in its own parameters",
    paper="book",
    location="replaces the bound that Figure 6 of `privacy` is compared with",
    printed=r"""
Let $\mathcal A$ be $T$ steps of DP-SGD: each draws every sample with probability $q<1$, clips the
gradients to norm $C$ and adds $N(0,\sigma^2C^2)$ to every coordinate of their sum. Then for all $S$
and $i$

$$|\mathrm{mem}(\mathcal A,S,i)|\le\sqrt{1-(1-c)^{2T}},\qquad
c=\frac{q^2\,(e^{1/\sigma^2}-1)}{8\,(1-q)^{3/2}},$$

if $c\le1$. It holds for the release of all iterates, and for every post-processing.""",
    assumptions=(
        r"rate, noise, clipping norm and number of steps do not depend on the data",
        r"samples are drawn independently (Poisson sampling)",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated. It is within 30 % of $\delta(0)$ (`book/tv-accountant`), which is smaller and which
`memlib.accounting` computes, as long as both are small; for noise below about 0.5 it says little.
""",
    proof=r"""
*One step.* Fix the weights so far and the other samples that are drawn. In units of the noise, the
noisy sum is $N(0,I)$ around the others' sum without the sample, and with it the mixture of this
(weight $1-q$) and of $N(v,I)$ (weight $q$), with $\|v\|\le1/\sigma$. Let $L$ be the density of
$N(v,I)$ over that of $N(0,I)$: under the latter it has mean 1 and second moment $e^{\|v\|^2}\le
e^{1/\sigma^2}$. The Bhattacharyya coefficient $\rho=\int\sqrt{pp'}$ of the step is the mean of
$\sqrt{1+u}$ with $u=q(L-1)\ge-q$. From $\sqrt{1+u}\ge1+\frac u2-\frac{u^2}{8(1-q)^{3/2}}$,
$\rho\ge1-c$. The others' draws only mix such pairs, and $\rho$ is jointly concave.

*All steps.* Integrate over the last step first: given the steps before, its factor is at least
$1-c$; repeat. So the sequences of all $T$ noisy sums have $\rho\ge(1-c)^T$.

*The distance.* $|p-p'|=|\sqrt p-\sqrt{p'}|\,(\sqrt p+\sqrt{p'})$ and Cauchy and Schwarz give a
total variation of at most $\frac12\sqrt{(2-2\rho)(2+2\rho)}=\sqrt{1-\rho^2}$. Memorization is the
difference of the probabilities of one event, so at most that.
""",
    rebuttal="",
    effect=r"""
At $\varepsilon=1$ no sample can be memorized more than 0.129 by the training of the paper; the
bound of Theorem 5.4 is 0.632.
""",
    prior_art=r"""
Hellinger and Bhattacharyya; the last step is Le Cam's. That a sampled step costs $q^2(e^{1/\sigma
^2}-1)$ is what the moments accountant rests on (Abadi et al., 2016). Not in the paper.
""",
    chapter=CHAPTER,
    uses=("feldman/def-mem", "book/tv-accountant"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The inequality under the mean.", _root_decided),
        Check(
            Kind.SYMBOLIC, Role.SUPPORTS, "The moments and the roots.", lambda: derived(one_step())
        ),
        Check(Kind.EXACT, Role.SHARP, "Its constant.", _root_sharp),
        Check(Kind.EXACT, Role.MAGNITUDE, "At the scale of the paper.", _paper_scale),
    ),
    gist=r"$|\mathrm{mem}|\le\sqrt{1-(1-c)^{2T}}$ after $T$ noisy, sampled steps",
)

CLAIMS = (TV_DP_SGD,)
