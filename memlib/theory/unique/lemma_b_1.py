"""Lemma B.1 of `unique`: the compensation identity, and what it takes."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.divergences import covers, divergence, mixture, point
from memlib.theory.evidence import Derivation, Step, derived
from memlib.theory.unique.eq_2 import SAMPLE, SEEN, all_coins, world

TWO = (0, 1)


def compensation() -> Derivation:
    """The identity, outcome by outcome, for two values of y."""
    import sympy

    p, a, r, q = sympy.symbols("p a r q", positive=True)
    chance = sympy.symbols("p_0 p_1", positive=True)
    law = sympy.symbols("a_0 a_1", positive=True)
    far = sympy.log(r) - sympy.log(q)
    return Derivation(
        "The compensation identity",
        (
            Step(
                "at one outcome and one y: the logarithms of q cancel",
                p * a * sympy.log(a / q) - p * a * sympy.log(r / q),
                p * a * sympy.log(a / r),
            ),
            Step(
                "steps (a) and (b): the second term, summed over y, is that of the marginal",
                sum(p * a * far for p, a in zip(chance, law, strict=True)),
                sum(p * a for p, a in zip(chance, law, strict=True)) * far,
            ),
        ),
    )


def _not_negative() -> Evidence:
    import sympy

    t = sympy.Symbol("t", positive=True)
    gap = t - 1 - sympy.log(t)  # with t = q / p: the mean of -ln t is at least that of 1 - t, 0
    stationary = sympy.solve(gap.diff(t), t)
    curved = gap.diff(t, 2)
    passed = stationary == [1] and gap.subs(t, 1) == 0 and bool(curved.is_positive)
    return Evidence(
        passed,
        r"$\ln t\le t-1$: the difference is convex, stationary at $t=1$ only, and 0 there. "
        r"Averaged over $p$ at $t=q/p$ this is $\mathrm{KL}\ge0$.",
    )


def _needs_finite() -> Evidence:
    half = Fraction(1, 2)
    laws = {z: point(z) for z in TWO}
    r, q = mixture([(half, laws[z]) for z in TWO]), point(0)
    left = divergence(laws[1], r)
    infinite = not covers(q, laws[1]) and not covers(q, r)
    one, mean, base = world(SEEN)
    broken = divergence(one[SAMPLE], mean) > divergence(one[SAMPLE], base)
    summary = (
        r"A fair bit and $q$ = always 0: both divergences on the right are infinite, their "
        rf"difference has no value, and the left side is {float(left):.4f}. And for one value of "
        r"$y$ instead of the mean over $y$ even the inequality fails (Eq. 2)."
    )
    return Evidence(infinite and broken, summary)


LEMMA_B1 = Claim(
    id="unique/lemma-b.1",
    title="The compensation identity",
    paper="unique",
    location="Appendix B, Lemma B.1",
    printed=r"""
For any distribution $q(x)$,

$$\mathrm{KL}(p(x|y)\|p(x))=\mathrm{KL}(p(x|y)\|q(x))-\mathrm{KL}(p(x)\|q(x))\le
\mathrm{KL}(p(x|y)\|q(x)),$$

where the first and third divergence are means over $y$.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
The inequality for every $q$. The identity wherever its right side has a value, that is if
$\mathrm{KL}(p(x)\|q(x))<\infty$ ("any $q$" is meant so); else both terms are infinite.
""",
    proof=r"""
$\ln\frac{p(x|y)}{q(x)}=\ln\frac{p(x|y)}{p(x)}+\ln\frac{p(x)}{q(x)}$; take the mean over $x$ and
$y$. The last term does not depend on $y$, so its mean is over the marginal $p(x)$. Divergences are
not negative since $\ln t\le t-1$.
""",
    rebuttal="",
    effect=r"""
The lemma is right. It is its use for a single $y$ in Eq. (2), (3), (6) that fails.
""",
    prior_art=r"""
Topsøe (1967), the compensation identity; Cover and Thomas (2006) on redundancy and capacity.
""",
    chapter="part4/sample-information",
    gist=r"Right, as a mean over $y$; the identity needs $\mathrm{KL}(p(x)\Vert q(x))<\infty$.",
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The identity, outcome by outcome.",
            lambda: derived(compensation()),
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "Every world of two coins.", lambda: all_coins()),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "A divergence is not negative.", _not_negative),
        Check(Kind.EXACT, Role.SHARP, "An infinite term; a single value.", _needs_finite),
    ),
)

CLAIMS = (LEMMA_B1,)
