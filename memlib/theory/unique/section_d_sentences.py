"""Appendix D of `unique`, what it concludes: uniqueness, curvature, another solution."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived
from memlib.theory.unique.section_d import (
    CHAPTER,
    COVARIANCE,
    HESSIAN,
    drift,
    lyapunov_precision,
    position,
    residual,
    spread,
    symmetric,
)

# The isotropic case ------------------------------------------------------------------------------


def isotropic() -> Derivation:
    """Langevin noise: the density with precision 2 H / sigma^2 (eta = b) solves Eq. (23)."""
    import sympy

    h, s = symmetric("a b c"), sympy.Symbol("sigma", positive=True)
    cov, precision = s**2 * sympy.eye(2), 2 / s**2 * h
    return Derivation(
        "Langevin noise",
        (
            Step(
                "the two terms of Eq. (23)",
                drift(h, precision),
                -spread(cov, precision) / 2,
            ),
        ),
    )


def forgets() -> Derivation:
    """One direction of curvature h: every start is forgotten."""
    import sympy

    k, t = sympy.symbols("k t", real=True)
    rate, spread = sympy.symbols("r q", positive=True)  # eta h, and eta^2 Lambda / b
    start = sympy.Function("g")  # the log characteristic function at t = 0
    past = start(k * sympy.exp(-rate * t))
    noise = -(spread * k**2) * (1 - sympy.exp(-2 * rate * t)) / (4 * rate)
    flow = -rate * k * (past + noise).diff(k) - spread * k**2 / 2
    return Derivation(
        "An Ornstein-Uhlenbeck process",
        (
            Step(
                "it solves the Fokker-Planck equation",
                sympy.Derivative(past + noise, t),
                flow,
            ),
            Step("at t = 0 it is the start", sympy.Subs(past + noise, t, 0), start(k)),
            Step(
                "the start is read ever nearer to 0, where g = 0",
                _end(k * sympy.exp(-rate * t), t),
                0,
            ),
            Step("the rest is a Gaussian's: Eq. (14)", _end(noise, t), -spread / rate * k**2 / 4),
        ),
    )


def _end(value: Any, t: Any) -> Any:
    """The limit of late times, to be evaluated by the derivation."""
    import sympy

    return sympy.Limit(value, t, sympy.oo)


def _flat_direction() -> Evidence:
    import sympy

    q, v, t = sympy.symbols("q v t", positive=True)
    growth = q * t  # the variance along a direction without curvature
    summary = (
        r"Without curvature ($\lambda=0$, $d>nk$) nothing is forgotten: with noise the variance "
        rf"grows like ${sympy.latex(growth)}$, without noise every start is a steady state."
    )
    unbounded = sympy.limit(v + growth, t, sympy.oo) == sympy.oo
    every = residual(sympy.diag(0, 1), sympy.diag(v, 2), sympy.diag(0, 1))
    return Evidence(bool(unbounded and every == 0), summary)


UNIQUE = Claim(
    id="unique/sec-d-unique",
    title="The steady state is unique",
    paper="unique",
    location="Appendix D, assumption (b), and the isotropic case",
    printed=r"""
"We assume that [...] (b) the steady-state distribution is unique." In the isotropic case
$\Sigma^{-1}=\frac{2b}{\eta\sigma^2}H$ "satisfies the equation above. Hence, it is the unique
steady-state distribution".""",
    assumptions=("(b) the steady-state distribution is unique",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed; and for $\lambda>0$ and constant $\Lambda$, assumption (b) is a theorem: from every
start the law converges to $\mathcal N(w^*,\Sigma)$, also when $\Lambda$ is singular. Without
curvature in some direction it fails.
""",
    proof=r"""
In the eigenbasis of $H$, $w_t-w^*=e^{-\eta Ht}(w_0-w^*)+\text{Gaussian}$, with covariance
$\int_0^t\eta^2e^{-\eta Hs}\frac\Lambda be^{-\eta Hs}ds\to\Sigma$. As $H\succ0$ the first part goes
to 0, so that the characteristic function tends to that of $\mathcal N(w^*,\Sigma)$ for every law of
$w_0$, in particular for a steady one.
""",
    rebuttal="",
    effect="None: the assumption can be dropped.",
    prior_art="Textbook.",
    chapter=CHAPTER,
    gist=r"As printed; for $\lambda>0$ and constant $\Lambda$ uniqueness can be proved.",
    uses=("unique/eq-26",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Langevin noise.", lambda: derived(isotropic())),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Every start.", lambda: derived(forgets())),
        Check(Kind.EXACT, Role.SHARP, "A flat direction.", _flat_direction),
    ),
)


# Low curvature -----------------------------------------------------------------------------------

#: Curvatures of two directions.
STEEP, SHALLOW = Fraction(4), Fraction(1)


def variance() -> Derivation:
    """Variance along a direction of curvature h, for Langevin noise."""
    import sympy

    h, eta, s, b = sympy.symbols("h eta sigma b", positive=True)
    value = eta * s**2 / (2 * b * h)
    return Derivation(
        "Variance and curvature",
        (
            Step(
                "Eq. (14) in one direction",
                sympy.Mul(2 * h, value, evaluate=False),
                eta / b * s**2,
            ),
            Step("it falls with curvature", value.diff(h), 0, "<=", eta * s**2 / (2 * b * h**2)),
            Step("and with the batch size", value.diff(b), 0, "<=", eta * s**2 / (2 * b**2 * h)),
            Step("it grows with the step size", value.diff(eta), 0, ">=", s**2 / (2 * b * h)),
        ),
    )


def _two_directions() -> Evidence:
    import sympy

    from memlib.theory.linearized import lyapunov, rational

    h = sympy.diag(rational(STEEP), rational(SHALLOW))
    covariance = lyapunov(h, sympy.eye(2))
    steep, shallow = covariance[0, 0], covariance[1, 1]
    summary = (
        rf"Curvatures 4 and 1, isotropic noise: variances {steep} and {shallow}. It is the "
        "direction of *low* curvature that has the *high* variance."
    )
    half = sympy.Rational(1, 2)
    return Evidence(bool(shallow == half > steep == half / 4), summary)


LOW_CURVATURE = Claim(
    id="unique/sec-d-low-curvature",
    title="Variance along directions of low curvature",
    paper="unique",
    location="Appendix D, last sentence of the isotropic case",
    printed=r"""
"Additionally, the variance is low along directions of low curvature." """,
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
The variance is *high* along directions of low curvature: $\Sigma=\frac{\eta\sigma^2}{2b}H^{-1}$,
from the same paragraph. Section 5 has it right ("proportional to the flatness of the loss").
""",
    proof=r"""
Along an eigenvector of $H$ with eigenvalue $h$ the variance is $\frac{\eta\sigma^2}{2bh}$.
""",
    rebuttal=r"""
*"High" is meant, as the formula above the sentence shows.* We read it so, too; but readers may
quote the sentence.
""",
    effect=r"""
None on results. Read literally, it reverses what SI with this $\Sigma$ weighs: movement along flat
directions counts little, not much.
""",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist="High along directions of low curvature, as Section 5 says.",
    uses=("unique/eq-14",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "In one direction.", lambda: derived(variance())),
        Check(Kind.EXACT, Role.SEPARATES, "Two directions.", _two_directions),
    ),
)


# Another solution --------------------------------------------------------------------------------

POSITIVE = r"$H\succ0$ and $\Lambda\succ0$ is constant"
APART = r"$H$ and $\Lambda$ do not commute"
INSTANCE = (HESSIAN, COVARIANCE)


def proposed() -> Any:
    """The matrix 2 H Lambda^-1 (for eta = b) of the sentence."""
    import sympy

    return 2 * sympy.Matrix(HESSIAN) * sympy.Matrix(COVARIANCE).inv()


def _other_refuted() -> Evidence:
    import sympy

    h, cov, matrix = sympy.Matrix(HESSIAN), sympy.Matrix(COVARIANCE), proposed()
    value = residual(h, matrix, cov)
    u = sorted(value.free_symbols, key=str)
    at = value.subs({u[0]: 1, u[1]: 0})
    form = (matrix + matrix.T) / 2
    positive = form.is_positive_definite
    summary = (
        r"$H=\binom{2\ 1}{1\ 2}$, $\Lambda=\mathrm{diag}(1,2)$, $\eta=b$: $2H\Lambda^{-1}="
        rf"{sympy.latex(matrix)}$ is not symmetric; its quadratic form is positive definite "
        rf"(determinant {form.det()}). The density $e^{{-u^TPu/2}}$ with this $P$ leaves "
        rf"${at}$ times the density of Eq. (23) at $u=(1,0)$."
    )
    assumptions = {
        POSITIVE: bool(h.is_positive_definite and cov.is_positive_definite),
        APART: h * cov != cov * h,
    }
    pinned = matrix == sympy.Matrix([[4, 1], [2, 2]])
    passed = pinned and positive and at == sympy.Rational(3, 4)
    return Evidence(bool(passed), summary, {}, assumptions, INSTANCE)


def _other_repaired() -> Evidence:
    import sympy

    h, cov = sympy.Matrix(HESSIAN), sympy.Matrix(COVARIANCE)
    precision = lyapunov_precision()
    symmetric_one = precision == precision.T
    return Evidence(
        bool(residual(h, precision, cov) == 0 and symmetric_one),
        rf"On the same instance Eq. (14) gives the precision ${sympy.latex(precision)}$, and "
        "nothing is left of Eq. (23).",
        instance=INSTANCE,
    )


def never() -> Derivation:
    """What the form of 2 H Lambda^-1 leaves of Eq. (23), in the eigenbasis of Lambda."""
    import sympy

    a, c, d = sympy.symbols("a c d", real=True)
    k, m = sympy.symbols("k m", positive=True)
    h, cov = sympy.Matrix([[a, c], [c, d]]), sympy.diag(k, m)
    matrix = 2 * h * sympy.diag(1 / k, 1 / m)
    left_over = sympy.Poly(residual(h, (matrix + matrix.T) / 2, cov), *position(h.rows))
    first, second = position(h.rows)
    return Derivation(
        "The form of the proposed matrix",
        (
            Step(
                "what is left at the square of the first weight",
                left_over.coeff_monomial(first**2),
                c**2 * (m**2 - k**2) / (2 * k**2 * m),
            ),
            Step(
                "and of the second",
                left_over.coeff_monomial(second**2),
                c**2 * (k**2 - m**2) / (2 * k * m**2),
            ),
            Step("they commute where that is 0", (h * cov - cov * h)[0, 1], c * (m - k)),
        ),
    )


OTHER = Claim(
    id="unique/sec-d-other-solution",
    title="Another solution of the Fokker-Planck equation",
    paper="unique",
    location="Appendix D, last sentence",
    printed=r"""
"Note that $\Sigma^{-1}=\frac{2b}\eta H\Lambda^{-1}$ also satisfies the Fokker-Planck, but will not
be positive definite unless $H$ and $\Lambda$ commute." """,
    assumptions=(POSITIVE, APART),
    verdict=Verdict.FALSE,
    holds=r"""
If $H$ and $\Lambda$ do not commute, $\frac{2b}\eta H\Lambda^{-1}$ is not symmetric, so it is no
inverse covariance, and the density that its quadratic form defines never satisfies the equation.
The form *can* be positive definite. If they commute, it is the solution of Eq. (14).
""",
    proof=r"""
$u^TMu$ sees only the symmetric part $P$ of $M=\frac{2b}\eta H\Lambda^{-1}$, and Eq. (25), (26) are
for symmetric matrices. The square terms of Eq. (23) cancel only if $PH+HP=\frac\eta bP\Lambda P$.
With $P=\frac b\eta(H\Lambda^{-1}+\Lambda^{-1}H)$ this becomes
$H\Lambda^{-1}H=\Lambda^{-1}H\Lambda H\Lambda^{-1}$. In the eigenbasis of $\Lambda$ the diagonal
entry $i$ of the difference is
$\sum_kH_{ik}^2\frac{\lambda_i^2-\lambda_k^2}{\lambda_i^2\lambda_k}$. For the largest $\lambda_i$
no term is negative, so $H_{ik}=0$ wherever $\lambda_k\ne\lambda_i$; then the same for the next
largest, and so on: $H$ and $\Lambda$ commute. The eigenvalues of $M$ are positive always: it is
similar to $\frac{2b}\eta\Lambda^{-1/2}H\Lambda^{-1/2}$.
""",
    rebuttal=r"""
*Put into (25) and (26) as they stand, it cancels them; and who takes "positive definite" to include
"symmetric" is right that it is not.* Both true. But those two formulas took
$\nabla p=-p\,\Sigma^{-1}u$, which needs a symmetric $\Sigma$: the cancellation is formal, and no
density satisfies the equation by it.
""",
    effect="None: the paper does not use it.",
    prior_art="Textbook.",
    chapter=CHAPTER,
    gist=r"Not symmetric, so no precision matrix, and its form gives no solution; Eq. (14) does.",
    uses=("unique/eq-26",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Two weights (one weight commutes).", _other_refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The solution of Eq. (14).", _other_repaired),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Two weights: no solution unless they commute.",
            lambda: derived(never()),
        ),
    ),
)


CLAIMS = (UNIQUE, LOW_CURVATURE, OTHER)
