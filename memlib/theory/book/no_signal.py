"""The book's own result on what the loss variance leaves of CSL: the no-signal lemma."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all, show
from memlib.theory.linear_classifier import variance
from memlib.theory.worlds import mean, total

#: The losses in the tables of three samples and two steps.
GRID = (Fraction(0), Fraction(1, 2), Fraction(1))


def minkowski() -> Derivation:
    """Why the standard deviation of a sum is at most the sum of the standard deviations."""
    import sympy

    u = sympy.symbols("u_1:4", real=True)
    v = sympy.symbols("v_1:4", real=True)
    s, t, short = sympy.symbols(r"\sigma_s \sigma_t k", nonnegative=True)
    inner = sum(a * b for a, b in zip(u, v, strict=True))
    pairs = [(0, 1), (0, 2), (1, 2)]
    return Derivation(
        "Minkowski, from Cauchy and Schwarz",
        (
            Step(
                "the covariance is at most the product of the deviations (Lagrange's identity)",
                inner**2,
                sum(a**2 for a in u) * sum(b**2 for b in v),
                "<=",
                sum((u[j] * v[k] - u[k] * v[j]) ** 2 for j, k in pairs),
            ),
            Step(
                "so the variance of the sum, with a covariance k below that product",
                s**2 + t**2 + 2 * (s * t - short),
                (s + t) ** 2,
                "<=",
                2 * short,
            ),
        ),
    )


def _within(curves: Sequence[Sequence[Fraction]]) -> tuple[Fraction, Fraction]:
    """The variance of CSL over the samples, and `(N sigma)**2` with the largest deviation."""
    steps = list(zip(*curves, strict=True))
    largest = max(variance(step) for step in steps)
    return variance([total(curve) for curve in curves]), len(steps) ** 2 * largest


def _no_signal_enumerated() -> Evidence:
    sums = []

    def holds(curves: tuple[tuple[Fraction, ...], ...]) -> bool:
        left, right = _within(curves)
        sums.append((left, right))
        return left <= right

    found = enumerate_all(
        product(product(GRID, repeat=len(GRID) - 1), repeat=len(GRID)),
        holds,
        r"$\mathrm{Var}_i\,\mathrm{CSL}(z_i)\le(N\sigma_l)^2$ for three samples and two steps, all "
        r"losses in $\{0,\frac12,1\}$.",
        count=729,
    )
    pinned = [round(total(side)) for side in zip(*sums, strict=True)]
    return replace(found, passed=found.passed and pinned == [162, 448])


#: Loss curves of 99 samples that are learned at once and one that never is, over ten steps.
RARE = (*[(Fraction(0),) * 10] * 99, (Fraction(1),) * 10)
RARE_DELTA = Fraction(1, 20)


def _no_signal_sharp() -> Evidence:
    left, right = _within(RARE)
    csl = [total(curve) for curve in RARE]
    above = max(csl) - mean(csl)
    slack = right / RARE_DELTA
    summary = (
        rf"99 samples with loss 0 and one with loss 1 at each of ten steps: the variance of CSL is "
        rf"{show(left)} and $(N\sigma_l)^2={show(right)}$, equality. It is about the standard "
        rf"deviation, not the spread: the one sample is {show(above)} above the mean, more "
        rf"than the "
        rf"slack $N\sigma_l/\sqrt\delta={float(slack) ** 0.5:.2f}$ of $\delta=5\%$."
    )
    return Evidence(
        left == right == Fraction(99, 100) and above**2 > slack == Fraction(99, 5), summary
    )


NO_SIGNAL = Claim(
    id="book/no-signal",
    title="No signal: the loss variance bounds how much CSL can tell samples apart",
    paper="book",
    location="about the terms in sigma_l of Theorems 4.1, 4.2 and 4.4 of the draft",
    printed=r"""
If at each of the $N$ recorded weights the standard deviation over samples of $\ell_t(i)$ is at most
$\sigma_t\le\sigma_l$, then

$$\mathrm{std}_i\,\mathrm{CSL}(z_i)\;\le\;\sum_t\sigma_t\;\le\;N\sigma_l.$$""",
    assumptions=(r"$\sigma_l$ is the standard deviation over samples, at the same weights as CSL",),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated. So a Chebyshev term $N\sigma_l/\sqrt\delta$ exceeds the standard deviation of CSL by a
factor of at least $\delta^{-1/2}$, and $\sigma_l\approx0$ means that CSL is the same for nearly all
samples. It does not bound the largest deviation: a rare hard sample can be $\sqrt{m-1}$ standard
deviations away.
""",
    proof=r"""
Minkowski's inequality for the centered loss curves in $L^2$ over samples.
""",
    rebuttal="",
    effect=r"""
A bound whose Chebyshev term is $N\sigma_l/\sqrt\delta$, as a sum over $N$ weights needs, cannot
order typical samples by CSL: the term exceeds the differences between them. For a few outliers it
can still say something. (The draft prints $\sigma_l/\sqrt\delta$ once for the whole sum in $C_7$.)
""",
    prior_art=r"""
Minkowski's inequality.
""",
    chapter="part2/loss-and-memorization",
    uses=("orders/eq-3",),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "One more step of the sum, three samples.",
            lambda: derived(minkowski()),
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "All small tables of losses.", _no_signal_enumerated),
        Check(
            Kind.EXACT, Role.SHARP, "Equality; and it is not about the spread.", _no_signal_sharp
        ),
    ),
    gist=r"$\mathrm{std}_i\,\mathrm{CSL}(z_i)\le N\sigma_l$: the Chebyshev slack "
    r"$N\sigma_l/\sqrt\delta$ is at least $\delta^{-1/2}$ times as large.",
)


CLAIMS = (NO_SIGNAL,)
