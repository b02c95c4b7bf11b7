"""What the whole privacy profile says about memorization: Gaussian privacy, and delta at zero."""

from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.book.privacy import CHAPTER, TV_APPROXIMATE, approximate_bound, pure_bound
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all, show
from memlib.theory.privacy_worlds import agrees, hockey_stick
from memlib.theory.worlds import Distribution, total_variation

THREE = (0, 1, 2)
FACTORS = (Fraction(1), Fraction(5, 4), Fraction(2), Fraction(3))
#: Randomized response with e^epsilon = 3, used twice with independent noise.
RESPONSE = (Fraction(3, 4), Fraction(1, 4))
#: All distributions on three outcomes with denominator 4.
QUARTERS = tuple(
    {k: Fraction(n, 4) for k, n in enumerate(counts)}
    for counts in product(range(5), repeat=len(THREE))
    if sum(counts) == 4
)


# delta at epsilon = 0 ----------------------------------------------------------------------------


def profile(p: Distribution, q: Distribution, factor: Fraction) -> Fraction:
    """delta(epsilon) of a pair, in the worse direction."""
    return max(hockey_stick(p, q, factor), hockey_stick(q, p, factor))


def _profile_at_zero() -> Evidence:
    one = Fraction(1)

    def holds(case: tuple[Distribution, Distribution]) -> bool:
        p, q = case
        distance = total_variation(p, q)
        converted = [approximate_bound(factor, profile(p, q, factor)) for factor in FACTORS]
        return profile(p, q, one) == distance == converted[0] == min(converted)

    return enumerate_all(
        product(QUARTERS, repeat=2),
        holds,
        r"$\delta(0)$ is the total variation distance, and no point $(\varepsilon,\delta"
        r"(\varepsilon))$ of the profile gives a smaller bound: all pairs of distributions on "
        r"three outcomes with probabilities in quarters, "
        rf"$e^\varepsilon\in\{{{', '.join(map(str, FACTORS))}\}}$.",
        count=len(QUARTERS) ** 2,
    )


def twice(keep: Fraction, lie: Fraction) -> tuple[Distribution, Distribution]:
    """Two independent answers of randomized response, with the sample and without."""
    inside = {(a, b): (keep, lie)[a] * (keep, lie)[b] for a, b in product((0, 1), repeat=2)}
    return inside, {(a, b): inside[1 - a, 1 - b] for a, b in inside}


def _profile_composed() -> Evidence:
    p, q = twice(*RESPONSE)
    once = RESPONSE[0] / RESPONSE[1]
    at_zero, composed = profile(p, q, Fraction(1)), pure_bound(once * once)
    event = [k for k in p if p[k] > q[k]]
    reached = sum(p[k] - q[k] for k in event)
    summary = (
        rf"Two answers with $e^\varepsilon={once}$ each: together they are private at "
        rf"$e^\varepsilon={once * once}$ (and no less: $\delta=0$ there, "
        rf"{show(profile(p, q, once))} at ${once}$), which bounds memorization by "
        rf"${show(composed)}$. $\delta(0)={show(at_zero)}$, and a hypothesis that is right when "
        rf"both answers are *yes* has memorization ${show(reached)}$."
    )
    tight = profile(p, q, once * once) == 0 < profile(p, q, once)
    known = composed == Fraction(4, 5) and at_zero == Fraction(1, 2) and len(event) == 1
    return Evidence(tight and known and reached == at_zero, summary)


TV_ACCOUNTANT = Claim(
    id="book/tv-accountant",
    title="An accountant's delta at epsilon = 0 bounds memorization",
    paper="book",
    location="replaces the bound that Figure 6 of `privacy` is compared with",
    printed=r"""
Let $\delta(\varepsilon)$ be the privacy profile of $\mathcal A$ (adding or removing one sample):
the least $\delta$ for which it is $(\varepsilon,\delta)$-private. Then $|\mathrm{mem}(\mathcal
A,S,i)|\le\delta(0)$ for all $S$ and $i$, and

$$\delta(0)=\min_{\varepsilon\ge0}\frac{e^\varepsilon-1+2\,\delta(\varepsilon)}{e^\varepsilon+1}:$$

no single point of the profile says more.""",
    assumptions=(
        r"$\delta(\varepsilon)$ is the profile of $\mathcal A$, or an upper bound on it, for "
        r"adding and removing one sample",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated. With an accountant's upper bound the first part holds with its value at 0. The accountant
describes the release of all iterates against the worst gradients; for the final model alone it is a
valid bound, not the exact one.
""",
    proof=r"""
$\delta(0)=\sup_R\Pr[\mathcal A(S)\in R]-\Pr[\mathcal A(S')\in R]$ by definition, over all neighbors
in both orders: the largest total variation distance. Memorization is such a difference for the
event $R=\{h:h(x_i)=y_i\}$. Each pair $(\varepsilon,\delta(\varepsilon))$ bounds the same supremum
by `book/tv-approx`, so every value of the fraction is at least $\delta(0)$; at $\varepsilon=0$ it
is $\delta(0)$.

For a fixed pair of output distributions the bound is attained: let the hypothesis be right exactly
on the event where the first probability exceeds the second.
""",
    rebuttal="",
    effect=r"""
For composed and subsampled mechanisms, such as DP-SGD, $\delta(0)$ can be far below
$1-e^{-\varepsilon}$: a fair comparison of measured memorization with theory uses it.
""",
    prior_art=r"""
Hockey-stick divergences and privacy profiles (Balle, Barthe and Gaboardi, 2018); that the one at
$\varepsilon=0$ is total variation is immediate. Not in the paper.
""",
    chapter=CHAPTER,
    uses=(TV_APPROXIMATE.id,),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "The profile at zero.", _profile_at_zero),
        Check(
            Kind.EXACT,
            Role.SHARP,
            "Two answers: reached, and less than epsilon says.",
            _profile_composed,
        ),
    ),
    gist=r"$|\mathrm{mem}|\le\delta(0)$, the best that any $(\varepsilon,\delta)$ of the profile "
    r"gives",
)


# Gaussian privacy --------------------------------------------------------------------------------


def normal_cdf(x: Any) -> Any:
    """Phi, in sympy."""
    import sympy

    return (1 + sympy.erf(x / sympy.sqrt(2))) / 2


def normal_density(x: Any) -> Any:
    """The density of the standard normal distribution, in sympy."""
    import sympy

    return sympy.exp(-(x**2) / 2) / sympy.sqrt(2 * sympy.pi)


def gaussian_bound(mu: Any) -> Any:
    """2 Phi(mu / 2) - 1, in sympy."""
    return 2 * normal_cdf(mu / 2) - 1


def half_lines() -> Derivation:
    """N(mu, 1) against N(0, 1): the gain of a half-line, around the best one."""
    import sympy

    mu, s = sympy.symbols("mu s", real=True)
    gain = normal_cdf(mu / 2 - s) - normal_cdf(-mu / 2 - s)
    whole = sympy.UnevaluatedExpr
    return Derivation(
        "The chance of x > mu/2 + s under N(mu, 1) minus that under N(0, 1)",
        (
            Step("at s = 0 it is the constant", sympy.Subs(gain, s, 0), gaussian_bound(mu)),
            Step(
                "its slope in s has the sign of 1 - exp(mu s)",
                gain.diff(s),
                normal_density(s + mu / 2) * (1 - sympy.exp(mu * s)),
            ),
            Step(
                "the constant as an error function",
                whole(normal_cdf(mu / 2)) - whole(normal_cdf(-mu / 2)),
                sympy.erf(mu / sympy.sqrt(8)),
            ),
        ),
    )


def _gaussian_numbers() -> Evidence:
    from flint import arb, ctx

    from memlib.accounting import MemorizationBound

    before, ctx.prec = ctx.prec, 96
    try:
        half = arb(1) / 2
        distance = (half / arb(2).sqrt()).erf()
        enclosed = arb("0.38292492254802") < distance < arb("0.38292492254803")
    finally:
        ctx.prec = before
    summary = (
        r"The sum of the data with $N(0,1)$ noise, data sets $\{1\}$ and $\{\}$ ($\mu=1$), and a "
        r"hypothesis that is right when the result exceeds $\tfrac12$: memorization "
        rf"{float(distance):.6f}, enclosed to 14 digits; `MemorizationBound.gaussian` returns it."
    )
    return Evidence(enclosed and agrees(MemorizationBound.gaussian(1).value, distance), summary)


TV_GAUSSIAN = Claim(
    id="book/tv-gdp",
    title="Memorization under Gaussian differential privacy",
    paper="book",
    location="replaces the bound of Theorem 5.4 of `privacy` for Gaussian noise",
    printed=r"""
If $\mathcal A$ is $\mu$-Gaussian differentially private (adding or removing one sample), then
$|\mathrm{mem}(\mathcal A,S,i)|\le2\Phi(\mu/2)-1$, and the Gaussian mechanism reaches it.""",
    assumptions=(
        r"every test of $\mathcal A(S)$ against a neighbor is at least as hard as a test of "
        r"$N(0,1)$ against $N(\mu,1)$ (Dong, Roth and Su, 2022)",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated, for every $\mu\ge0$; $2\Phi(\mu/2)-1=\mathrm{erf}(\mu/\sqrt8)$.
""",
    proof=r"""
A test that rejects on $R$ has errors $\alpha=Q(R)$ and $\beta=1-P(R)$, so
$P(R)-Q(R)=1-\alpha-\beta$. By assumption $\beta$ is at least the type II error of the best test of
$N(0,1)$ against $N(\mu,1)$ at the same $\alpha$, which rejects on a half-line $x>\mu/2+s$. So
$P(R)-Q(R)$ is at most the gain of a half-line, $\Phi(\mu/2-s)-\Phi(-\mu/2-s)$. Its slope in $s$ is
$\varphi(s+\mu/2)(1-e^{\mu s})$, positive below $s=0$ and negative above: the largest gain is at
$s=0$, and equals $2\Phi(\mu/2)-1$.

*Reached.* Add $N(0,1)$ noise to a sum in which the sample counts $\mu$, and be right on $x>\mu/2$.
""",
    rebuttal="",
    effect=r"""
With $\mu\approx0.27$, which is $(1,10^{-5})$-privacy, no sample can be memorized more than 0.107;
the printed bound at $\varepsilon=1$ is 0.632.
""",
    prior_art=r"""
Dong, Roth and Su (2022); the distance between two normal distributions is textbook. Not in the
paper.
""",
    chapter=CHAPTER,
    uses=(TV_ACCOUNTANT.id,),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The best half-line.",
            lambda: derived(half_lines()),
        ),
        Check(
            Kind.EXACT, Role.SHARP, "The Gaussian mechanism reaches the bound.", _gaussian_numbers
        ),
    ),
    gist=r"$|\mathrm{mem}|\le2\Phi(\mu/2)-1$, reached by the Gaussian mechanism",
)

CLAIMS = (TV_ACCOUNTANT, TV_GAUSSIAN)
