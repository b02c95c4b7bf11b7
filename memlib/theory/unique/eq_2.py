"""The bound of information by leaving out (`unique` Eq. 2, 3): right only on average."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.divergences import (
    Distribution,
    Log,
    average,
    coin,
    divergence,
    is_distribution,
    mixture,
    point,
)
from memlib.theory.evidence import decide_on_box, enumerate_all

BITS = (0, 1)
FAIR = Fraction(1, 2)

#: The instance: one sample seen, and the one whose information is asked for.
SEEN, SAMPLE = (1,), 1
INSTANCE = ("rule of succession", SEEN, SAMPLE)


def succession(data: tuple[int, ...]) -> Distribution:
    """Laplace's rule: the weight is a bit, 1 with probability (1 + ones) / (2 + n)."""
    return coin(Fraction(1 + sum(data), 2 + len(data)))


def world(seen: tuple[int, ...]) -> tuple[dict[int, Distribution], Distribution, Distribution]:
    """Laws of the weights for each value of the sample, their mean r, and the law without it."""
    laws = {z: succession((*seen, z)) for z in BITS}
    return laws, mixture([(FAIR, laws[z]) for z in BITS]), succession(seen)


def replace_one(laws: dict[int, Distribution], z: int) -> Log:
    """The mean divergence from the laws that come with a fresh sample in place of z."""
    return average([(FAIR, divergence(laws[z], laws[other])) for other in BITS])


MIXTURE = r"$r(w\mid S_{-i})=\mathbb E_{z'\sim P}\,p_A(w\mid S_{-i},z')$"
ANY_Q = r"$q(w\mid S_{-i})$ is a distribution of the weights"


def met() -> dict[str, bool]:
    """The printed assumptions, computed on the instance."""
    laws, r, q = world(SEEN)
    halves = {w: (laws[0][w] + laws[1][w]) / 2 for w in BITS}
    return {
        MIXTURE: r == halves and is_distribution(r),
        ANY_Q: is_distribution(q),
    }


def sides() -> tuple[Log, Log, Log]:
    """Information, its bound, and the middle of Eq. (2), on the instance."""
    laws, r, q = world(SEEN)
    bound = divergence(laws[SAMPLE], q)
    return divergence(laws[SAMPLE], r), bound, bound - divergence(r, q)


def _eq2_refuted() -> Evidence:
    information, bound, middle = sides()
    summary = (
        r"A bit drawn by Laplace's rule $\frac{1+\#1}{2+n}$, a fair coin as the population, one 1 "
        rf"seen before, the sample another 1: the left side is {float(information):.4f}, the "
        rf"middle {float(middle):.4f}, the bound {float(bound):.4f}."
    )
    exact = information == Log(Fraction(144, 125), 4) and bound == Log(Fraction(2187, 2048), 4)
    passed = exact and information > bound > middle
    return Evidence(passed, summary, {}, met(), INSTANCE)


def on_average(seen: tuple[int, ...]) -> tuple[Log, Log, Log]:
    """Means over the sample of information and of its bound, and KL(r || q)."""
    laws, r, q = world(seen)
    return (
        average([(FAIR, divergence(laws[z], r)) for z in BITS]),
        average([(FAIR, divergence(laws[z], q)) for z in BITS]),
        divergence(r, q),
    )


def _repaired_on_average() -> Evidence:
    information, bound, rest = on_average(SEEN)
    summary = (
        rf"On the same instance, averaged over the sample: {float(information):.5f} = "
        rf"{float(bound):.5f} - {float(rest):.5f}, exactly."
    )
    return Evidence(information == bound - rest < bound, summary, instance=INSTANCE)


def _repaired_pointwise() -> Evidence:
    laws, r, _ = world(SEEN)
    information, bound = divergence(laws[SAMPLE], r), replace_one(laws, SAMPLE)
    summary = (
        rf"On the same instance, for this very sample: {float(information):.4f} $\le$ "
        rf"{float(bound):.4f}, the mean divergence from training with a fresh sample in its place."
    )
    exact = bound == FAIR * Log(Fraction(27, 16), 4)
    return Evidence(exact and information < bound, summary, instance=INSTANCE)


#: Chances that the algorithms of the exhaustive check use.
GRID = tuple(Fraction(k, 5) for k in (1, 2, 3, 4))


def _pairs() -> Iterator[tuple[Fraction, dict[int, Distribution], Distribution]]:
    for chance, a, b, q in product(GRID, repeat=4):
        yield chance, {0: coin(a), 1: coin(b)}, coin(q)


def all_coins() -> Evidence:
    """Both bounds in every world of two coins; Lemma B.1 rests on it, too."""

    def holds(case: tuple[Fraction, dict[int, Distribution], Distribution]) -> bool:
        chance, laws, q = case
        weights = {0: 1 - chance, 1: chance}
        r = mixture([(weights[z], laws[z]) for z in BITS])
        gains = {z: divergence(laws[z], r) for z in BITS}
        mean = average([(weights[z], gains[z]) for z in BITS])
        bound = average([(weights[z], divergence(laws[z], q)) for z in BITS])
        fresh = [average([(weights[o], divergence(laws[z], laws[o])) for o in BITS]) for z in BITS]
        return mean == bound - divergence(r, q) <= bound and all(
            gains[z] <= min(fresh[z], Log(1 / weights[z])) for z in BITS
        )

    return enumerate_all(
        _pairs(),
        holds,
        r"Every sample and every weight a bit, all chances fifths: the mean over $z_i$ of Eq. (2), "
        r"and for each $z_i$ the bounds by a fresh sample and by $\ln\frac1{P(z_i)}$.",
        count=4**4,
    )


HOLDS = r"""
Averaged over $z_i\sim P$, with $S_{-i}$ fixed, (2) and (3) are right (Lemma B.1). For one sample,
$\mathrm{KL}(p_{z_i}\|r)=\mathrm{KL}(p_{z_i}\|q)-\mathbb E_{p_{z_i}}\ln\frac rq$, and the last term
has either sign. What bounds the information of *this* sample is

$$I(W;z_i\mid S_{-i})\;\le\;\min\Bigl\{\mathbb E_{z'\sim P}\,\mathrm{KL}\bigl(p_A(w\mid S)\,\|\,
p_A(w\mid S_{-i},z')\bigr),\;\ln\tfrac1{P(z_i)}\Bigr\}:$$

replace the sample instead of leaving it out.
"""

PROOF = r"""
On average: Lemma B.1. For one sample: $r$ is a mean, and $\mathrm{KL}(p\|\cdot)$ is convex, so that
$\mathrm{KL}(p_{z_i}\|\mathbb E_{z'}p_{z'})\le\mathbb E_{z'}\mathrm{KL}(p_{z_i}\|p_{z'})$; and
$r\ge P(z_i)p_{z_i}$. Nothing bounds it by leaving out: if $A$ without the sample happens to train
what $A$ trains with it, the right side of (3) is 0, and $I$ can still be $\ln\frac1{P(z_i)}$.
"""

EQ_2 = Claim(
    id="unique/eq-2",
    title="Information of one sample, bounded through any distribution",
    paper="unique",
    location="Section 3, Eq. (2)",
    printed=r"""
$$\mathrm{KL}(p_A(w\mid S)\|r(w\mid S_{-i}))=\mathrm{KL}(p_A(w\mid S)\|q(w\mid S_{-i}))-
\mathrm{KL}(r(w\mid S_{-i})\|q(w\mid S_{-i}))\le\mathrm{KL}(p_A(w\mid S)\|q(w\mid S_{-i})),$$

"which is valid for any distribution $q(w\mid S_{-i})$".""",
    assumptions=(MIXTURE, ANY_Q),
    verdict=Verdict.FALSE,
    holds=HOLDS,
    proof=PROOF,
    rebuttal=r"""
*The proof is Lemma B.1, where $\mathrm{KL}(p(x|y)\|q(x))$ denotes the mean over $y=z_i$. Read
Eq. (2) in that notation, and it holds.* It does. But then its left side is no longer Eq. (1), which
is called point-wise and fixes $Z_i=z_i$, and its right side is no longer the score of one sample,
as which it is used from Eq. (3) on.
""",
    effect=r"""
The scores remain well-defined divergences, but a score need not bound the information of *that*
sample; averaged over the sample it does.
""",
    prior_art=r"""
The identity on average is the compensation identity (Topsøe, 1967); both pointwise bounds are
elementary. Not in the paper.
""",
    chapter="part4/sample-information",
    gist=r"True averaged over $z_i$. For one sample: at most $\mathbb E_{z'}\mathrm{KL}(p_S\Vert "
    r"p_{S^{i\to z'}})$.",
    uses=("unique/eq-1", "unique/lemma-b.1"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Laplace's rule after one 1.", _eq2_refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The same, averaged.", _repaired_on_average),
        Check(Kind.EXACT, Role.REPAIRED, "The same sample, replaced.", _repaired_pointwise),
        Check(Kind.EXACT, Role.SUPPORTS, "Every world of two coins.", all_coins),
    ),
)


# Eq. 3 -------------------------------------------------------------------------------------------

#: Weights that are the mean of n samples N(m, 1) plus Gaussian noise: tau = 1 / (n s)^2. The mean
#: of the other samples is m.
NOISY = ("noisy mean", "the sample equals the mean of the others")
#: A range of tau for the solver: from noise twice as wide as one sample's pull, to half.
TAUS = ((Fraction(1, 4), Fraction(4)),)


def excess(tau: Any) -> Any:
    """I of a sample that equals the mean of the others, whose sample information is 0."""
    return ((1 + tau).log() - tau / (1 + tau)) / 2


def _eq3_refuted() -> Evidence:
    information, bound, _ = sides()
    summary = (
        rf"Laplace's rule as in Eq. (2): $I={float(information):.4f}$, more than $\mathrm{{SI}}="
        rf"{float(bound):.4f}$."
    )
    passed = information > bound and bound == Log(Fraction(2187, 2048), 4)
    return Evidence(passed, summary, {}, {MIXTURE: met()[MIXTURE]}, INSTANCE)


def _eq3_gaussian() -> Evidence:
    found = decide_on_box(
        excess,
        TAUS,
        r"$W$ = mean of $n$ samples from $\mathcal N(m,1)$ plus noise $\mathcal N(0,s^2)$, "
        r"$\tau=(ns)^{-2}\in[\tfrac14,4]$, the mean of the others is $m$. A sample equal to it has "
        r"$\mathrm{SI}=0<I=\tfrac12[\ln(1+\tau)-\frac\tau{1+\tau}]$.",
    )
    return Evidence(found.passed, found.summary, found.data, {MIXTURE: _is_marginal()}, NOISY)


def _is_marginal() -> bool:
    """Whether the noisy mean's r, a Gaussian with variance s^2 + 1/n^2, is the mixture."""
    import sympy

    n, s, t = sympy.symbols("n s t", positive=True)

    def log_moments(variance: Any) -> Any:  # of a centered Gaussian; they add up in a sum
        return variance * t**2 / 2

    both = log_moments(s**2) + log_moments(1).subs(t, t / n)
    variance = log_moments(n).diff(t, t) == n
    return variance and sympy.simplify(both - log_moments(s**2 + 1 / n**2)) == 0


def _eq3_gaussian_average() -> Evidence:
    found = decide_on_box(
        lambda tau: tau / 2 - (1 + tau).log() / 2,
        TAUS,
        r"Averaged over $z_i$, for the same $\tau$: $\mathbb E I=\tfrac12\ln(1+\tau)<\mathbb E\,"
        r"\mathrm{SI}=\tau/2$.",
    )
    return Evidence(found.passed, found.summary, found.data, instance=NOISY)


def half_of_all() -> Evidence:
    """How often (3) fails in the noisy mean, when the noise hides a single sample."""
    import sympy

    tau = sympy.Symbol("tau", positive=True)
    z = sympy.Symbol("z", real=True)
    information = (sympy.log(1 + tau) - tau / (1 + tau)) / 2 + z**2 * tau / (1 + tau) / 2
    sample_information = z**2 * tau / 2
    square = sympy.solve(information - sample_information, z**2)[0]
    edge = sympy.limit(square, tau, 0)
    share = sympy.erf(sympy.sqrt(edge) / sympy.sqrt(2))
    summary = (
        r"With the mean of the others at $m$, (3) fails exactly for "
        r"$(z_i-m)^2<\frac{(1+\tau)\ln(1+\tau)-\tau}{\tau^2}$. As "
        rf"$\tau\to0$ the right side tends to ${sympy.latex(edge)}$, and the share of samples for "
        rf"which (3) fails to $\mathrm{{erf}}(\tfrac12)={float(share):.4f}$."
    )
    printed = ((1 + tau) * sympy.log(1 + tau) - tau) / tau**2
    grows = sympy.simplify((sample_information - information).diff(z) / z).is_positive
    passed = (
        grows and sympy.simplify(square - printed) == 0 and share == sympy.erf(sympy.Rational(1, 2))
    )
    return Evidence(bool(passed), summary)


def _worst() -> Evidence:
    chance = Fraction(1, 1000)
    laws = {0: point(0), 1: point(1)}
    r = mixture([(1 - chance, laws[0]), (chance, laws[1])])
    information = divergence(laws[1], r)
    without = point(1)  # what A returns by default
    left_out = divergence(laws[1], without)
    summary = (
        r"A learner that stores the sample, and 1 without it; 1 has probability $\tfrac1{1000}$: "
        rf"$\mathrm{{SI}}={float(left_out):.0f}$ and $I={float(information):.4f}=\ln1000$."
    )
    passed = is_distribution(r) and information == Log(1 / chance)
    return Evidence(passed and left_out == Log(Fraction(1)), summary)


EQ_3 = Claim(
    id="unique/eq-3",
    title="Sample information bounds the information of the sample",
    paper="unique",
    location="Section 3, Eq. (3), and the definition of SI after it",
    printed=r"""
$$I(W;z_i\mid S_{-i})\le\mathrm{KL}(p_A(w\mid S)\|p_A(w\mid S_{-i}))\triangleq
\mathrm{SI}(z_i,A).$$""",
    assumptions=(MIXTURE,),
    verdict=Verdict.FALSE,
    holds=HOLDS,
    proof=PROOF,
    rebuttal=r"""
*In the toy example of A.1, $I\approx1.3$ and $\mathrm{SI}\approx3.0$.* That is one sample of one
data set. In the Gaussian model of the mean (the others with the population's mean, and noise that
hides a single sample), (3) fails for about half of all samples: for those that lie near the others,
which is where scores are small. *Read as in Lemma B.1, it is a mean over $z_i$.* Then it holds, but
SI, which is defined by its right side, no longer depends on $z_i$.
""",
    effect=r"""
A sample without SI may still have information in the sense of Eq. (1). On average over the sample
SI is a bound, for the smoothed algorithm, too, so that Section 2's "valid bound on Shannon mutual
information" stands.
""",
    prior_art=r"""
As for Eq. (2).
""",
    chapter="part4/sample-information",
    gist=r"True averaged over $z_i$; it can fail for one sample (noisy mean: for about half).",
    uses=("unique/eq-2",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Laplace's rule after one 1.", _eq3_refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The same, averaged.", _repaired_on_average),
        Check(Kind.EXACT, Role.REPAIRED, "The same sample, replaced.", _repaired_pointwise),
        Check(Kind.DECIDED, Role.REFUTES, "A mean with Gaussian noise.", _eq3_gaussian),
        Check(Kind.DECIDED, Role.REPAIRED, "The same, averaged.", _eq3_gaussian_average),
        Check(Kind.SYMBOLIC, Role.MAGNITUDE, "How often it fails.", half_of_all),
        Check(Kind.EXACT, Role.ATTAINED, "How far it can fail.", _worst),
    ),
)


CLAIMS = (EQ_2, EQ_3)
