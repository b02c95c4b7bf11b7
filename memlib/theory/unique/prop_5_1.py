"""Proposition 5.1 of `unique`: SGD's sample information as smooth sample information."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.linearized import (
    Network,
    fraction,
    hessian,
    lyapunov,
    minimum,
    noise,
    rational,
    without,
)

# Eq. 21 ------------------------------------------------------------------------------------------


def gaussian_divergence() -> Derivation:
    """KL of two Gaussians in the plane, in coordinates where the second has covariance 1."""
    import sympy

    a, c = sympy.symbols("a c", positive=True)  # the first covariance in its eigenbasis
    m1, m2 = sympy.symbols("m_1 m_2", real=True)
    x, y = sympy.symbols("x y", real=True)  # a standard Gaussian: odd moments 0, squares 1
    w = sympy.Matrix([m1 + sympy.sqrt(a) * x, m2 + sympy.sqrt(c) * y])
    log_ratio = (
        -(x**2 + y**2) / 2
        - sympy.log(sympy.sqrt(a * c))
        + (w.T * w)[0] / 2  # minus the log density of the second, both without 2 pi
    ).expand()
    mean = sum(
        coefficient * MOMENTS[power]
        for power, coefficient in sympy.Poly(log_ratio, x, y).as_dict().items()
    )
    sigma = sympy.diag(a, c)
    shift = sympy.Matrix([m1, m2])
    printed = ((shift.T * shift)[0] + sigma.trace() - sympy.log(sigma.det()) - shift.rows) / 2
    return Derivation(
        "Two Gaussians",
        (Step("the mean log ratio", mean, printed),),
    )


#: Mean of x^i y^j for two standard Gaussians.
MOMENTS = {(0, 0): 1, (1, 0): 0, (0, 1): 0, (2, 0): 1, (0, 2): 1}


def _direction() -> Evidence:
    import sympy

    first, second = rational(FIRST), rational(SECOND)

    def divergence(a: Any, b: Any) -> Any:
        return (a / b + sympy.log(b / a) - 1) / 2

    there, back = divergence(first, second), divergence(second, first)
    gap = sympy.simplify(there - back)
    summary = (
        rf"Variances 1 and 2, equal means: {float(there):.4f} one way, {float(back):.4f} the other."
        " Which covariance is inverted matters."
    )
    expected = sympy.log(2) - sympy.Rational(3, 4)
    half = sympy.log(2) / 2 - sympy.Rational(1, 4)
    passed = sympy.simplify(gap - expected) == 0 and sympy.simplify(there - half) == 0
    return Evidence(bool(passed), summary)


FIRST, SECOND = Fraction(1), Fraction(2)

EQ_21 = Claim(
    id="unique/eq-21",
    title="Divergence of two steady states",
    paper="unique",
    location="Appendix B, Eq. (21) and (22)",
    printed=r"""
$$\mathrm{SI}(z_i,A_{SGD})=\tfrac12\Bigl((w^*-w_{-i}^*)^T\Sigma_{-i}^{-1}(w^*-w_{-i}^*)+
\mathrm{tr}(\Sigma_{-i}^{-1}\Sigma)+\log|\Sigma_{-i}\Sigma^{-1}|-d\Bigr).$$""",
    assumptions=(r"both steady states are Gaussian",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed for $\Sigma,\Sigma_{-i}\succ0$; (22) follows where they are equal. If the ranges of
$\Sigma$ and $\Sigma_{-i}$ differ, or the shift is not in them, the divergence is infinite.
""",
    proof=r"""
In coordinates where $\Sigma_{-i}=I$ and $\Sigma$ is diagonal, the mean of the log ratio of the
densities under the first is the sum printed.
""",
    rebuttal="",
    effect="None.",
    prior_art="Textbook.",
    chapter="part4/sgd-steady-state",
    gist=r"As printed, for $\Sigma,\Sigma_{-i}\succ0$.",
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Two Gaussians in the plane.",
            lambda: derived(gaussian_divergence()),
        ),
        Check(Kind.SYMBOLIC, Role.SHARP, "The direction matters.", _direction),
    ),
)


# Proposition 5.1 ---------------------------------------------------------------------------------

#: Three samples with gradients in independent directions, four weights (nk < d).
WIDE = Network(((2, 0, 0, 1), (0, 1, 0, 2), (1, 0, 1, 0)), (1, 2, -1), Fraction(1))


#: One weight, three samples with one input: the covariance is the same without the last.
FITTED, LAST = Network(((1,), (1,), (1,)), (-2, 2, 3), Fraction(4)), 2


def steady(network: Network) -> Any:
    """Sigma of Eq. (14) for eta = b."""
    return lyapunov(hessian(network), noise(network, minimum(network)))


def equal_covariances() -> Derivation:
    """What is left of Eq. (21) beside the square, for Sigma_-i = rho Sigma, and at rho = 1."""
    import sympy

    rho, d = sympy.symbols("rho d", positive=True)
    rest = d / rho + d * sympy.log(rho) - d
    return Derivation(
        "Equal covariances",
        (
            Step("trace, logarithm and d cancel", sympy.Subs(rest, rho, 1), 0),
            Step(
                "and only there: the rest is least at rho = 1",
                sympy.Derivative(rest, rho),
                d * (rho - 1) / rho**2,
            ),
        ),
    )


def _fitted() -> Evidence:
    old, new = steady(FITTED)[0], steady(without(FITTED, LAST))[0]
    shift = (minimum(FITTED) - minimum(without(FITTED, LAST)))[0]
    value = fraction(shift**2 / (2 * old))
    summary = (
        rf"One weight, the labels $-2,2,3$ at the same input, $\lambda=4$, $\eta=b$: with the last "
        rf"sample and without it $\Sigma={old}$, and $\mathrm{{SI}}={show(value)}$."
    )
    return Evidence(old == new and value == Fraction(27, 98), summary)


def _wide() -> Evidence:
    sigma = steady(WIDE)
    lines, finite = [], []
    for i in range(WIDE.samples):
        rest = steady(without(WIDE, i))
        finite.append(rest.row_join(sigma).rank() == rest.rank())
        lines.append(rest.rank())
    d = sigma.rows
    summary = (
        rf"{WIDE.samples} samples, {d} weights, $\lambda=1$: $\Sigma$ has rank {sigma.rank()} (no "
        rf"inverse), and without one sample rank {lines}. The range of $\Sigma$ is in that of "
        rf"$\Sigma_{{-i}}$ for {sum(finite)} of {len(finite)} samples: every $\mathrm{{SI}}(z_i,"
        r"A_{SGD})$ is infinite, no $\Sigma_{-i}$ equals $\Sigma$."
    )
    return Evidence(sigma.rank() == 3 and lines == [2, 2, 2] and not any(finite), summary)


def _langevin_needs_nothing() -> Evidence:
    import z3

    old, new = z3.Reals("old new")
    u, v = z3.Reals("u v")  # the gradient of the output of z_i
    same = [u * u == 0, u * v == 0, v * v == 0]  # H - H_-i = grad grad^T
    return decide(
        [*same, old == u, new == v],
        z3.And(old == 0, new == 0),
        r"Langevin noise: $\Sigma_{-i}=\Sigma$ means $H_{-i}=H$, so $\nabla f_i\nabla f_i^T=0$ and "
        r"$\nabla f_i=0$: the sample has no effect on training at all.",
    )


PROP_51 = Claim(
    id="unique/prop-5.1",
    title="SGD's sample information equals smooth sample information",
    paper="unique",
    location="Section 5, Proposition 5.1, Eq. (13); Proposition B.2, Eq. (18) to (22)",
    printed=r"""
Regularized MSE, $\Lambda(w)$ approximately constant around $w^*$, and "SGD's steady-state
covariance remains constant after removing an example". Then

$$\mathrm{SI}(z_i,A_{SGD})=\mathrm{SI}_\Sigma(z_i,A_{ERM})=\tfrac12(w^*-w_{-i}^*)^T\Sigma^{-1}
(w^*-w_{-i}^*),$$

where $\Sigma$ solves Eq. (14).""",
    assumptions=(
        "regularized MSE of a linearized network",
        r"$\Lambda(w)$ is approximately constant around $w^*$",
        r"$\Sigma_{-i}=\Sigma$",
    ),
    verdict=Verdict.VACUOUS,
    holds=r"""
True where $\Sigma_{-i}=\Sigma\succ0$. Generically ($\lambda>0$, residuals not 0, $\nabla f_i$ not a
combination of the others) that does not happen where the paper needs it. For $nk<d$ the matrix
$\Sigma$ is singular, the printed inverse does not exist, $\Sigma_{-i}$ has smaller rank, and
$\mathrm{SI}(z_i,A_{SGD})$ is infinite. For Langevin noise the assumption says that the sample has
no effect. What holds without it is Eq. (21), exactly computable for Langevin noise.
""",
    proof=r"""
With equal covariances trace, logarithm and $d$ of Eq. (21) cancel. *Rank.* $H$ maps the span of all
gradients to itself, and $\Lambda$ has its range there, so $\mathrm{range}\,\Sigma$ lies in that
span, of dimension $\le nk<d$; that of $\Sigma_{-i}$ lies in the span without $z_i$. The range of
$\Sigma$ does not (for $n\ge2$): $\Sigma v=0$ gives $v^T\Lambda v=0$, so it contains that of
$\Lambda$, and with it $g_i-g$, whose part $(1-\frac1n)\nabla f_i\,(f_{w^*}(x_i)-y_i)$ is outside. A
Gaussian with mass outside the other's support has infinite divergence from it. *Langevin.*
$\Sigma\propto H^{-1}$, so $\Sigma_{-i}=\Sigma$ means $\nabla f_i\nabla f_i^T=H-H_{-i}=0$.
""",
    rebuttal=r"""
*It is stated as an assumption, the rank deficiency of $\Lambda$ is mentioned (Appendix C), and the
proposition only motivates a choice of $\Sigma$.* All true, and nothing in the proof is wrong. There
are instances that meet the assumption (one weight, labels chosen to fit; below). But in the regime
of the experiments ($n=1000$ samples, millions of weights) $\Sigma$ has no inverse, so that it
cannot be met approximately either.
""",
    effect=r"""
The equality of the two notions is not established for any network of the paper. The experiments
use F-SI and do not depend on it.
""",
    prior_art=r"""
Mandt et al. (2017) for the steady state. That noise of SGD is degenerate in overparametrized models
is well known.
""",
    chapter="part4/sgd-steady-state",
    gist=r"True if $\Sigma_{-i}=\Sigma\succ0$; for $nk<d$ generically $\Sigma$ is singular and SI "
    "infinite.",
    uses=(
        "unique/strictly-convex",
        "unique/eq-14",
        "unique/eq-21",
        "unique/prop-3.2",
        "unique/sec-c-rank",
    ),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Equal covariances.",
            lambda: derived(equal_covariances()),
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "Labels chosen to fit.", _fitted),
        Check(Kind.EXACT, Role.MAGNITUDE, "Fewer samples than weights.", _wide),
        Check(
            Kind.DECIDED,
            Role.MAGNITUDE,
            "What it means for Langevin noise.",
            _langevin_needs_nothing,
        ),
    ),
)


# Strict convexity --------------------------------------------------------------------------------


def _curved() -> Evidence:
    import z3

    a, b, c, d = z3.Reals("a b c d")  # two rows of a Jacobian in the plane
    u, v, decay = z3.Reals("u v decay")
    first, second = a * u + b * v, c * u + d * v
    return decide(
        [decay > 0, u * u + v * v > 0],
        first * first + second * second + decay * (u * u + v * v) > 0,
        r"$u^THu=\|Ju\|^2+\lambda\|u\|^2>0$ for every $u\ne0$ (two weights, any two rows).",
    )


def _flat() -> Evidence:
    plain = Network(WIDE.jacobian, WIDE.labels)
    h = hessian(plain)
    return Evidence(
        (h.det(), hessian(WIDE).det()) == (0, 72),
        rf"Without regularization, {plain.samples} samples in {h.rows} weights: $\det H={h.det()}$;"
        rf" with $\lambda=1$ it is {hessian(WIDE).det()}.",
    )


CONVEX = Claim(
    id="unique/strictly-convex",
    title="The regularized loss of a linearized network is strictly convex",
    paper="unique",
    location="Section 5, before Proposition 5.1, and the sentence after it",
    printed=r"""
"(for a regularized linearized network $\mathcal L(w)$ is strictly convex)"; "When $H$ is positive
definite, as in our case when using weight decay [...]".""",
    assumptions=(r"$\lambda>0$",),
    verdict=Verdict.HOLDS,
    holds="As printed; for $\\lambda=0$ and $nk<d$ it is not, and $w^*$ is not unique.",
    proof=r"""
$H=\nabla f_0(X)\nabla f_0(X)^T+\lambda I\succeq\lambda I$.
""",
    rebuttal="",
    effect=r"""
None. With $\lambda=0$ (half of Table 1) $A_{ERM}$ must be read as the limit of training.
""",
    prior_art="Textbook.",
    chapter="part4/sgd-steady-state",
    gist=r"As printed, for $\lambda>0$.",
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "A positive Hessian.", _curved),
        Check(Kind.EXACT, Role.SHARP, "Without regularization.", _flat),
    ),
)


CLAIMS = (CONVEX, EQ_21, PROP_51)
