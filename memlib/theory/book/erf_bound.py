"""What sample information says about memorization: the erf bound."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.divergences import Log, coin, divergence
from memlib.theory.evidence import Derivation, Step, decide_on_box, derived

#: Smoothed weights, half their distance in units of the noise: a range for the solver.
HALVES = ((Fraction(1, 64), Fraction(4)),)
#: A random algorithm: chances of the two modes with the sample (and without, exchanged).
MODES = (Fraction(3, 5), Fraction(2, 5))
#: Half the distance of the modes, in units of the noise.
APART = 6


def half_space() -> Derivation:
    """Total variation of two Gaussians with one covariance, by the best event."""
    import sympy

    w, a, b = sympy.symbols("w a b", real=True)
    gap, s = sympy.symbols("Delta sigma", positive=True)
    si = sympy.Symbol("SI", positive=True)

    def normal(x: Any) -> Any:
        return (1 + sympy.erf(x / sympy.sqrt(2))) / 2

    whole = sympy.UnevaluatedExpr
    ratio = ((w - b) ** 2 - (w - a) ** 2) / (2 * s**2)
    return Derivation(
        "The best event",
        (
            Step(
                "the density with the sample is larger beyond the midpoint, towards a",
                ratio,
                (a - b) * (w - (a + b) / 2) / s**2,
            ),
            Step(
                "each has half its mass on either side",
                sympy.Subs(normal(w), w, 0),
                sympy.Rational(1, 2),
            ),
            Step(
                "what that half-space gains, the weights being Delta apart",
                whole(normal(gap / (2 * s))) - whole(normal(-gap / (2 * s))),
                sympy.erf(gap / (2 * sympy.sqrt(2) * s)),
            ),
            Step(
                "with SI = Delta^2 / (2 sigma^2)",
                sympy.Subs(sympy.erf(gap / (2 * sympy.sqrt(2) * s)), gap, s * sympy.sqrt(2 * si)),
                sympy.erf(sympy.sqrt(si) / 2),
            ),
            Step("that is", sympy.Subs(gap**2 / (2 * s**2), gap, s * sympy.sqrt(2 * si)), si),
        ),
    )


def concave() -> Derivation:
    """The bound as a function of SI is concave: means may be taken inside."""
    import sympy

    u = sympy.Symbol("u", positive=True)
    bend = sympy.erf(sympy.sqrt(u) / 2).diff(u, 2)
    slack = sympy.exp(-u / 4) * (u + 2) / (8 * sympy.sqrt(sympy.pi) * u ** sympy.Rational(3, 2))
    return Derivation("Concavity", (Step("it bends down", bend, 0, "<=", slack),))


def _beats_pinsker() -> Evidence:
    return decide_on_box(
        lambda x: type(x)(2).sqrt() - x.erf() / x,
        HALVES,
        r"$\mathrm{erf}(x)<\sqrt2\,x$ with $x=\tfrac12\sqrt{\mathrm{SI}}\in[\tfrac1{64},4]$ (the "
        r"proof has all $x>0$): below Pinsker's $\sqrt{\mathrm{SI}/2}$.",
    )


def _half_space_predictor() -> Evidence:
    from flint import arb

    # smoothed weights N(w, 1); the predictor is right on one side of the midpoint
    inside = (1 + (arb(APART) / arb(2).sqrt()).erf()) / 2
    outside = (1 + (-arb(APART) / arb(2).sqrt()).erf()) / 2
    sample_information = arb(2 * APART) ** 2 / 2
    bound = (sample_information.sqrt() / 2).erf()
    less = ((sample_information * 9 / 10).sqrt() / 2).erf()
    gap = abs(inside - outside - bound)
    summary = (
        r"Weights 12 noise widths apart, a label that flips at the midpoint: $1-\mathrm{mem}="
        rf"{float(1 - (inside - outside)):.3g}$, the same as $1-\mathrm{{erf}}(\tfrac12\sqrt{{"
        r"\mathrm{SI}})$; with nine tenths of SI the bound fails."
    )
    attained = gap < arb(2) ** -40 and less < inside - outside < 1
    return Evidence(bool(attained), summary)


def _random_algorithm() -> Evidence:
    from flint import arb, fmpq

    with_it, without_it = coin(MODES[0]), coin(MODES[1])
    information = divergence(with_it, without_it)  # smoothing can only lower it
    exact = information == Log(Fraction(3, 2), 5)
    sure = (arb(APART) / arb(2).sqrt()).erf()  # that the noise does not cross the midpoint
    gap = MODES[0] - MODES[1]
    gained = arb(fmpq(gap.numerator, gap.denominator)) * sure
    value = (arb(fmpq(3, 2)).log() / 5).sqrt()
    moved = (
        arb(fmpq(gap.numerator, gap.denominator)).sqrt() * 2 * APART
    )  # W2: the chance that moves
    transport = (moved / arb(8).sqrt()).erf()
    bound, pinsker = (value / 2).erf(), value / arb(2).sqrt()
    summary = (
        r"A random $A$ with two modes far apart, chances .6/.4 with the sample and .4/.6 without: "
        rf"$\mathrm{{SI}}_\Sigma\le\tfrac15\ln\tfrac32={float(information):.4f}$, memorization "
        rf"{float(gained):.4f}. $\mathrm{{erf}}(\tfrac12\sqrt{{\mathrm{{SI}}}})={float(bound):.4f}"
        rf"$ is broken; $\sqrt{{\mathrm{{SI}}/2}}={float(pinsker):.4f}$ and, with $W_2^2=28.8$, "
        rf"$\mathrm{{erf}}(\frac1{{2\sqrt2}}W_2)={float(transport):.4f}$ are not."
    )
    return Evidence(bool(exact and bound < gained < pinsker and gained < transport < 1), summary)


ERF_BOUND = Claim(
    id="book/erf-bound",
    title="Memorization is bounded by sample information",
    paper="book",
    location="joins Feldman's memorization and Definition 3.1 of `unique`",
    printed=r"""
Let $A$ be deterministic and $A_\Sigma(S)=A(S)+\xi$, $\xi\sim\mathcal N(0,\Sigma)$. Then for every
way to predict from the weights,

$$|\mathrm{mem}(A_\Sigma,S,i)|\;\le\;\mathrm{TV}\bigl(A_\Sigma(S),A_\Sigma(S_{-i})\bigr)\;=\;
\mathrm{erf}\bigl(\tfrac12\sqrt{\mathrm{SI}_\Sigma(z_i,A)}\bigr).$$

For every $A$, deterministic or not, $\mathrm{TV}\le\mathrm{erf}\bigl(\tfrac1{2\sqrt2}W_2\bigr)$,
with $W_2$ between $A(S)$ and $A(S_{-i})$ in the norm of $\Sigma^{-1}$, and
$\mathrm{TV}\le\sqrt{\mathrm{SI}_\Sigma/2}$ (Pinsker).""",
    assumptions=(
        r"$\Sigma\succ0$, the same with and without the sample",
        "for the equality: $A$ is deterministic",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated. The bound is attained, by a predictor that changes its answer on the hyperplane halfway
between $w$ and $w_{-i}$. For a random $A$ it is false in terms of SI, and Pinsker's bound or the
one by $W_2$ takes its place. In function space, averaged over inputs,
$\mathbb E_x\mathrm{TV}_x\le\mathrm{erf}(\tfrac12\sqrt{\text{F-SI}_\sigma})$.
""",
    proof=r"""
mem is the difference of the probabilities of one event (the right prediction, given the weights;
a random prediction averages over events), so at most TV. Between $\mathcal N(a,\Sigma)$ and
$\mathcal N(b,\Sigma)$ the best event is the half-space where the density ratio exceeds 1. Along
$\Sigma^{-1}(a-b)$ both are Gaussians on a line, $\delta=\|a-b\|_{\Sigma^{-1}}$ apart, and the event
gains $2\Phi(\delta/2)-1=\mathrm{erf}(\delta/(2\sqrt2))$, with $\delta^2=2\,\mathrm{SI}$. Below
Pinsker's bound: $\mathrm{erf}(x)\le\frac2{\sqrt\pi}x<\sqrt2\,x$ at $x=\frac12\sqrt{\mathrm{SI}}>0$.

For a random $A$ couple $A(S)$ and $A(S_{-i})$ in the best way: both smoothed laws are mixtures of
Gaussians over the coupling, TV is convex in the pair, and $u\mapsto\mathrm{erf}(\sqrt u/(2\sqrt2))$
is concave: Jensen. In function space the same concavity takes the mean over $x$ inside.
""",
    rebuttal=r"""
*This is memorization of the smoothed algorithm, not of the one that was run.* Yes. Without noise a
deterministic algorithm has memorization $0$ or $\pm1$ and infinite or zero SI; the noise level says
at which resolution the weights are read.
""",
    effect=r"""
The two notions meet: no SI, no memorization. The converse fails: weights may move without changing
any prediction.
""",
    prior_art=r"""
Total variation of Gaussians, and the trade-off of Gaussian differential privacy (Dong, Roth and Su,
2022), are classical. The statement for SI is not in the paper.
""",
    chapter="part4/sample-information",
    gist=r"Smoothed deterministic $A$: mem $\le\mathrm{erf}(\frac12\sqrt{\mathrm{SI}})$, attained; "
    r"else Pinsker or $W_2$.",
    uses=("feldman/def-mem", "unique/prop-3.2"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The best event.", lambda: derived(half_space())),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Concavity.", lambda: derived(concave())),
        Check(Kind.DECIDED, Role.SUPPORTS, "Better than Pinsker.", _beats_pinsker),
        Check(Kind.DECIDED, Role.ATTAINED, "A half-space predictor.", _half_space_predictor),
        Check(Kind.DECIDED, Role.SHARP, "A random algorithm breaks it.", _random_algorithm),
    ),
)


CLAIMS = (ERF_BOUND,)
