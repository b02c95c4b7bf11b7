"""Proposition 3.2 of `unique`: smooth sample information of a deterministic algorithm."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show

#: Shift of the mean weights, the algorithm's own variance, and the variance that smooths.
SHIFT, OWN, SMOOTH = Fraction(2), Fraction(3), Fraction(1)


def on_a_line() -> Derivation:
    """The divergence of two Gaussians with one variance."""
    import sympy

    w, a, b = sympy.symbols("w a b", real=True)
    s = sympy.Symbol("sigma", positive=True)

    def density(center: Any) -> Any:  # up to a factor that both share
        return sympy.exp(-((w - center) ** 2) / (2 * s**2))

    ratio = ((w - b) ** 2 - (w - a) ** 2) / (2 * s**2)
    return Derivation(
        "Two Gaussians on a line",
        (
            Step("the log ratio", sympy.log(density(a) / density(b)), ratio),
            Step("it is linear in w", ratio, (a - b) * (w - (a + b) / 2) / s**2),
            Step(
                "its mean is its value at the mean, a",
                (a - b) * (a - (a + b) / 2) / s**2,
                (a - b) ** 2 / (2 * s**2),
            ),
        ),
    )


def in_the_plane() -> Derivation:
    """The same in two dimensions, for every covariance: the log ratio is linear in the weights."""
    import sympy

    p, q, r = sympy.symbols("p q r", real=True)
    precision = sympy.Matrix([[p, q], [q, r]])
    w, a, b = (sympy.Matrix(sympy.symbols(f"{name}_1 {name}_2", real=True)) for name in "wab")

    def form(x: Any) -> Any:
        return (x.T * precision * x)[0]

    ratio = (form(w - b) - form(w - a)) / 2
    linear = ((a - b).T * precision * (w - (a + b) / 2))[0]
    mean = linear.subs(dict(zip(w, a, strict=True)))
    return Derivation(
        "Two Gaussians with the same precision matrix",
        (
            Step("the log ratio of the densities is linear", ratio, linear),
            Step("its mean is its value at the mean", mean, form(a - b) / 2),
        ),
    )


def gaussians(shift: Fraction, first: Fraction, second: Fraction) -> tuple[Fraction, Fraction]:
    """Twice the divergence of N(shift, first) from N(0, second): `(rational part, ratio)`.

    The whole is `rational part + ln(ratio)`.
    """
    return (first + shift**2) / second - 1, second / first


def _sharp() -> Evidence:
    printed, one = gaussians(SHIFT, SMOOTH, SMOOTH)
    random, same = gaussians(SHIFT, SMOOTH + OWN, SMOOTH + OWN)
    other, unequal = gaussians(SHIFT, SMOOTH, SMOOTH + OWN)
    summary = (
        rf"Means 2 apart, smoothing with variance 1: $2\,\mathrm{{SI}}_\Sigma={show(printed)}$. If "
        rf"$A$ itself is random with variance 3, it is {show(random)}: only a bound remains. If "
        rf"$\Sigma$ is 1 with the sample and 4 without, $2\,\mathrm{{SI}}={show(other)}+\ln"
        rf"{show(unequal)}$."
    )
    values = (printed, random, other, one, same, unequal) == (4, 1, Fraction(1, 4), 1, 1, 4)
    return Evidence(values, summary)


PROP_32 = Claim(
    id="unique/prop-3.2",
    title="Sample information is a distance of weights",
    paper="unique",
    location="Section 3, Proposition 3.2, Eq. (5)",
    printed=r"""
Let $A$ be a deterministic training algorithm. Then

$$\mathrm{SI}_\Sigma(z_i,A)=\tfrac12(w-w_{-i})^T\Sigma^{-1}(w-w_{-i}),\qquad w=A(S),\;
w_{-i}=A(S_{-i}).$$""",
    assumptions=("$A$ is deterministic",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed, for $\Sigma\succ0$ that is the same for $S$ and $S_{-i}$. For a random $A$ it becomes a
bound: $\mathrm{SI}_\Sigma\le\tfrac12W_2^2$, the squared Wasserstein distance of the two laws of
weights in the norm of $\Sigma^{-1}$.
""",
    proof=r"""
$\ln\frac{\mathcal N(w;a,\Sigma)}{\mathcal N(w;b,\Sigma)}=(a-b)^T\Sigma^{-1}(w-\frac{a+b}2)$, with
mean $\tfrac12(a-b)^T\Sigma^{-1}(a-b)$ at $w\sim\mathcal N(a,\Sigma)$. For a random $A$ take the
best coupling of $A(S)$ and $A(S_{-i})$: both smoothed laws are mixtures of Gaussians over it, and
divergence is convex in the pair.
""",
    rebuttal="",
    effect=r"""
Every weight-space score of the paper is this distance.
""",
    prior_art=r"""
Divergence of Gaussians: textbook. The norm of $\Sigma^{-1}$ is Mahalanobis's.
""",
    chapter="part4/sample-information",
    gist=r"As printed, for $\Sigma\succ0$; for a random $A$, at most half the squared Wasserstein "
    "distance.",
    uses=("unique/def-3.1",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "On a line.", lambda: derived(on_a_line())),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "In the plane, every covariance.",
            lambda: derived(in_the_plane()),
        ),
        Check(Kind.EXACT, Role.SHARP, "A random algorithm; a covariance that changes.", _sharp),
    ),
)


CLAIMS = (PROP_32,)
