"""Section 6 and Appendix A.10 of `privacy`: how curvature is estimated, Eq. (13) and (14)."""

from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, search, show
from memlib.theory.privacy_worlds import positive
from memlib.theory.worlds import total

CHAPTER = "part3/measuring-curvature"
SIGNS = (1, -1)
PSD = r"$H$ is positive semi-definite"


# Eq. (13): Hutchinson ----------------------------------------------------------------------------


def hutchinson() -> Derivation:
    """All sign vectors in three dimensions, for a general symmetric matrix."""
    import sympy

    entries = sympy.symbols("a b c d e f", real=True)
    a, b, c, d, e, f = entries
    hessian = sympy.Matrix([[a, b, c], [b, d, e], [c, e, f]])
    forms = [(sympy.Matrix([v]) * hessian * sympy.Matrix(v))[0] for v in product(SIGNS, repeat=3)]
    mean = sum(forms) / len(forms)
    spread = sum((form - mean) ** 2 for form in forms) / len(forms)
    return Derivation(
        "v is uniform on sign vectors; H is any symmetric matrix",
        (
            Step("the mean of the quadratic form is the trace", mean, hessian.trace()),
            Step(
                "its variance: twice the squared off-diagonal part",
                spread,
                2 * ((hessian * hessian).trace() - a**2 - d**2 - f**2),
            ),
        ),
    )


#: A Hessian with eigenvalues of both signs, and steps that are not signs.
MIXED, LONG = (Fraction(1), Fraction(-3)), (Fraction(2), Fraction(-2))


def quadratic_mean(values: tuple[Any, ...]) -> Fraction:
    """E[v^T H v] for H = diag(MIXED) and v uniform on vectors with these entries."""
    vectors = list(product(values, repeat=len(MIXED)))
    return total(
        Fraction(h) * v * v for vector in vectors for h, v in zip(MIXED, vector, strict=True)
    ) / len(vectors)


def _no_sign_needed() -> Evidence:
    found, scaled = quadratic_mean(SIGNS), quadratic_mean(LONG)
    summary = (
        rf"$H=\mathrm{{diag}}(1,-3)$ is not semi-definite, and $\mathbb E[v^\top Hv]={show(found)}="
        rf"\mathrm{{tr}}H$. Vectors of another length give ${show(scaled)}$."
    )
    return Evidence(found == sum(MIXED) and scaled == -8, summary)


EQ_13 = Claim(
    id="privacy/eq-13",
    title="Hutchinson's trace estimator",
    paper="privacy",
    location="Section 6.2, Eq. (13)",
    printed=r"""
Assuming $H$ positive semi-definite, $\mathrm{tr}(H)=\mathbb E_v[v^\top Hv]$ for Rademacher $v$.""",
    assumptions=(r"$v$ has independent entries $\pm1$ with equal chances",),
    verdict=Verdict.HOLDS,
    holds=r"""
For every square $H$; semi-definiteness is not needed. For symmetric $H$ the variance of one draw is
$2(\|H\|_F^2-\sum_iH_{ii}^2)$.
""",
    proof=r"""
$\mathbb Ev_iv_j$ is 1 for $i=j$ and 0 otherwise, so $\mathbb E\sum_{ij}H_{ij}v_iv_j=\sum_iH_{ii}$.
The variance is that of $\sum_{i<j}2H_{ij}v_iv_j$, whose terms are uncorrelated.
""",
    rebuttal=r"""
*Semi-definiteness is wanted for (14), not for (13).* There it does not help (`privacy/eq-14`).
""",
    effect=r"""
The signed trace can be estimated as cheaply as the squared one; the paper does so in A.10.
""",
    prior_art=r"""
Hutchinson (1989).
""",
    chapter=CHAPTER,
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Mean and variance.", lambda: derived(hutchinson())),
        Check(Kind.EXACT, Role.SHARP, "Any sign of H; unit variance of v.", _no_sign_needed),
    ),
    gist=r"Holds for every $H$; variance $2(\|H\|_F^2-\sum_iH_{ii}^2)$",
)


# Eq. (14): the squared trace ---------------------------------------------------------------------

#: Eigenvalues of two Hessians, both positive semi-definite.
FLAT, SHARP = (Fraction(1, 2),) * 4, (Fraction(3, 2),)
DRAWS = 10  # the number n of vectors in the paper
ROUNDING = 1e-9  # of both traces, in float64, with room


def power_sum(eigenvalues: tuple[Fraction, ...], power: int) -> Fraction:
    """tr(H^power)."""
    return total(value**power for value in eigenvalues)


def _trace_above_square() -> Evidence:
    first, second = power_sum(FLAT, 1), power_sum(FLAT, 2)
    summary = (
        rf"$H=\frac12I$ in four dimensions: $\mathrm{{tr}}H={first}$, $\mathrm{{tr}}H^2={second}$."
    )
    meets = {PSD: min(FLAT) >= 0}
    return Evidence(first == 2 > second == 1, summary, {}, meets, FLAT)


def _square_root() -> Evidence:
    first, second, rank = power_sum(FLAT, 1), power_sum(FLAT, 2), len(FLAT)
    summary = (
        rf"$\mathrm{{tr}}H^2={second}\le(\mathrm{{tr}}H)^2={first**2}\le\mathrm{{rank}}\cdot"
        rf"\mathrm{{tr}}H^2={rank * second}$."
    )
    passed = second <= first * first == rank * second == 4
    return Evidence(passed, summary, instance=FLAT)


def _square_root_decided() -> Evidence:
    import z3

    values = z3.Reals("x y z")
    first, second = z3.Sum(values), z3.Sum([v * v for v in values])
    return decide(
        positive(*values),
        z3.And(second <= first * first, first * first <= len(values) * second),
        r"$\mathrm{tr}H^2\le(\mathrm{tr}H)^2\le3\,\mathrm{tr}H^2$ for all positive eigenvalues "
        r"(three of them).",
    )


def _one_term_more() -> Evidence:
    terms = len(range(DRAWS + 1))  # i = 0, ..., n
    ratio = Fraction(terms, DRAWS)
    summary = (
        rf"A sum from $i=0$ to $n$ has $n+1$ terms: with $n={DRAWS}$ the printed mean is "
        rf"${show(ratio)}$ of the mean over as many vectors. (A common factor; harmless.)"
    )
    return Evidence(ratio == Fraction(11, 10), summary)


def _measured() -> Evidence:
    import torch
    from hypothesis import strategies as st

    from memlib.curvature import input_curvature
    from memlib.models import mlp
    from memlib.runtime import seeded

    def breaks(case: tuple[int, int, int]) -> bool:
        seed, width, classes = case
        with seeded(seed, "curvature"):
            network = mlp((1, 3, 3), classes, width).double()
            images = torch.randn(DRAWS, 1, 3, 3, dtype=torch.float64)
        labels = torch.zeros(DRAWS, dtype=torch.int64)
        found = input_curvature(network, images, labels)
        above = found.root > (1 + ROUNDING) * found.trace
        below = found.trace > (1 + ROUNDING) * (classes - 1) ** 0.5 * found.root
        return bool((above | below).any())

    cases = st.tuples(st.integers(0, 99), st.integers(1, 8), st.integers(2, 6))
    found = search(cases, breaks, examples=40)
    return Evidence(
        found is None,
        rf"Random ReLU networks with up to six classes, {DRAWS} inputs each, both traces measured "
        rf"by `memlib.curvature`; outside of $[\sqrt{{\mathrm{{tr}}H^2}},\sqrt{{(C-1)\,"
        rf"\mathrm{{tr}}H^2}}]$: `{found}`.",
    )


EQ_14 = Claim(
    id="privacy/eq-14",
    title="The trace is at most the trace of the square",
    paper="privacy",
    location="Section 6.2, before Eq. (14); Appendix A.10",
    printed=r"""
$\mathrm{tr}(H)\le\mathrm{tr}(H^2)=\frac1n\sum_{i=0}^n\|Hv_i\|_2^2$ for positive semi-definite
$H$.""",
    assumptions=(PSD,),
    verdict=Verdict.FALSE,
    holds=r"""
$\sqrt{\mathrm{tr}H^2}\le\mathrm{tr}H\le\sqrt{\mathrm{rank}(H)\,\mathrm{tr}H^2}$ for semi-definite
$H$. A score $\mathrm{tr}H^2$ enters a bound in $\mathrm{tr}H$ through its *square root* and the
rank. The second sign is an equality in the mean over $v$, with as many terms as the divisor says.
""",
    proof=r"""
With eigenvalues $\lambda_k\ge0$: $\sum\lambda_k^2\le(\sum\lambda_k)^2$, since the mixed products
are not negative, and $(\sum\lambda_k)^2\le r\sum\lambda_k^2$ by Cauchy and Schwarz. Printed, the
left side has the unit of $H$ and the right side its square: in other units any order can be had.
""",
    rebuttal=r"""
*For large eigenvalues it is true.* If all are at least 1, or 0. The loss's unit decides what that
means.
""",
    effect=r"""
A straight line against $\mathrm{tr}H^2$ is evidence about $\mathrm{tr}H$ only through a square
root. A.10 repeats the plots with $\mathrm{tr}H$, and reports almost the same.
""",
    prior_art=r"""
Inequalities between Schatten norms.
""",
    chapter=CHAPTER,
    uses=("privacy/eq-13",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Half the identity.", _trace_above_square),
        Check(Kind.EXACT, Role.REPAIRED, "The square root.", _square_root),
        Check(Kind.DECIDED, Role.SUPPORTS, "Both sides, for all reals.", _square_root_decided),
        Check(Kind.EXACT, Role.FAILING_STEP, "How many vectors.", _one_term_more),
        Check(Kind.SEARCHED, Role.WITHSTANDS, "Both sides, measured on networks.", _measured),
    ),
    gist=r"$\sqrt{\mathrm{tr}H^2}\le\mathrm{tr}H\le\sqrt{\mathrm{rank}\cdot\mathrm{tr}H^2}$",
)


# A.10 --------------------------------------------------------------------------------------------


def _orders_differ() -> Evidence:
    pairs = [(power_sum(h, 1), power_sum(h, 2)) for h in (FLAT, SHARP)]
    (flat, flat_square), (sharp, sharp_square) = pairs
    summary = (
        rf"Eigenvalues $\frac12,\frac12,\frac12,\frac12$ against $\frac32$: traces {show(flat)} "
        rf"and "
        rf"{show(sharp)}, traces of the square {show(flat_square)} and {show(sharp_square)}. The "
        rf"orders "
        "are opposite."
    )
    meets = {PSD: min(FLAT) >= 0 and min(SHARP) >= 0}
    passed = flat > sharp == Fraction(3, 2) and flat_square < sharp_square == Fraction(9, 4)
    return Evidence(passed, summary, {}, meets, (FLAT, SHARP))


def _orders_agree() -> Evidence:
    ranks = len(FLAT), len(SHARP)
    inside = [
        power_sum(h, 2) <= power_sum(h, 1) ** 2 <= r * power_sum(h, 2)
        for h, r in zip((FLAT, SHARP), ranks, strict=True)
    ]
    summary = (
        rf"Both are within the factor $\sqrt{{\mathrm{{rank}}}}$ (ranks {ranks[0]} and {ranks[1]})."
    )
    return Evidence(all(inside), summary, instance=(FLAT, SHARP))


A_10 = Claim(
    id="privacy/a.10",
    title="Curvature is proportional to the trace of the square",
    paper="privacy",
    location="Appendix A.10; Eq. (14)",
    printed=r"""
"Assuming PSD on $H$ [...] implies $\mathrm{tr}(H)\le\mathrm{tr}(H^2)$ thus, we can write
$\mathrm{Curv}\propto\mathrm{tr}(H^2)$." """,
    assumptions=(PSD,),
    verdict=Verdict.FALSE,
    holds=r"""
The two scores agree up to the square root and the factor $\sqrt{\mathrm{rank}H}$
(`privacy/eq-14`), and can order samples in opposite ways. For a piecewise-linear network with
softmax cross-entropy $H=J^\top(\mathrm{diag}(p)-pp^\top)J$ is positive semi-definite wherever it
exists, and of rank below the number of classes: no adversarial training is needed for that.
""",
    proof=r"""
Executed. For the last sentence, the logits are linear near $x$, so that $H$ is $J^\top MJ$ with the
covariance matrix $M$ of a one-hot label drawn from $p$, whose null space contains the vector of
ones.
""",
    rebuttal=r"""
*Figures 14 to 16 repeat the experiments with $\mathrm{tr}H$, with almost identical results.* They
do, and that is the right way to settle it: by measurement.
""",
    effect=r"""
A reader who implements the score has to say which of the two it is.
""",
    prior_art=r"""
The Gauss-Newton form of the Hessian.
""",
    chapter=CHAPTER,
    uses=("privacy/eq-14", "privacy/eq-7"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Two Hessians in opposite orders.", _orders_differ),
        Check(Kind.EXACT, Role.REPAIRED, "Their common bounds.", _orders_agree),
    ),
    gist=r"Not proportional: orders can reverse; equal up to square root and "
    r"$\sqrt{\mathrm{rank}}$",
)

CLAIMS = (EQ_13, EQ_14, A_10)
