"""Continuous-time SGD (`unique` Eq. 12), its steady state (Eq. 14), and SGD itself."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.linearized import (
    Network,
    hessian,
    lyapunov,
    minimum,
    noise,
    rows,
    targets,
)

# Eq. 12 ------------------------------------------------------------------------------------------

#: Curvature, noise covariance, step size and batch size of a one-weight example.
CURVATURE, NOISE, STEP, BATCH = Fraction(2), Fraction(9), Fraction(1, 4), 3


def stationary(curvature: Any, step: Any, diffusion: Any) -> Any:
    """Stationary variance of dw = -step * curvature * w dt + diffusion dn (Ito's isometry)."""
    return diffusion**2 / (2 * step * curvature)


def times(a: Any, b: Any) -> Any:
    """A product that the derivation is to evaluate."""
    import sympy

    return sympy.Mul(a, b, evaluate=False)


def root() -> Derivation:
    """Which power of the covariance belongs into the equation."""
    import sympy

    h, eta, b, cov, v, r = sympy.symbols("h eta b Lambda v r", positive=True)

    def printed(power: Any) -> Any:
        return stationary(h, eta, eta / sympy.sqrt(b) * cov**power)

    growth = -2 * eta * h * v + r**2  # the derivative of the variance v in time
    return Derivation(
        "Stationary variance",
        (
            Step("the variance stands still", sympy.Subs(growth, v, stationary(h, eta, r)), 0),
            Step(
                "with the root of the covariance: Eq. (14)",
                times(2 * h, printed(sympy.Rational(1, 2))),
                eta / b * cov,
            ),
            Step("with the covariance, as printed", times(2 * h, printed(1)), eta / b * cov**2),
        ),
    )


def _two_variances() -> Evidence:
    by_14 = STEP * NOISE / BATCH / (2 * CURVATURE)
    as_printed, with_root = (
        STEP**2 / BATCH * square / (2 * STEP * CURVATURE) for square in (NOISE**2, NOISE)
    )
    summary = (
        rf"One weight, $H=2$, $\Lambda=9$, $\eta=\tfrac14$, $b=3$: Eq. (14) gives the variance "
        rf"{show(by_14)}; (12) as printed gives {show(as_printed)}, with $\Lambda^{{1/2}}$ "
        rf"{show(with_root)}."
    )
    return Evidence(
        with_root == by_14 == Fraction(3, 16) and as_printed == Fraction(27, 16), summary
    )


EQ_12 = Claim(
    id="unique/eq-12",
    title="Continuous-time SGD",
    paper="unique",
    location="Section 5, Eq. (12)",
    printed=r"""
$$dw_t=-\eta\nabla_w\mathcal L_w(w_t)\,dt+\eta\sqrt{\tfrac1b}\,\Lambda(w_t)\,dn(t),$$

"where $\Lambda(w_t)$ is the covariance matrix of the per-sample gradients".""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
$\Lambda(w_t)^{1/2}$ in place of $\Lambda(w_t)$. Eq. (14) and the Fokker-Planck equation of Appendix
D are those of the corrected equation.
""",
    proof=r"""
$dw=\dots+\eta b^{-1/2}B\,dn$ spreads with covariance $\frac{\eta^2}bBB^T$ per unit of time; this is
$\frac{\eta^2}b\Lambda$ for $B=\Lambda^{1/2}$, and $\frac{\eta^2}b\Lambda^2$ as printed.
""",
    rebuttal=r"""
*A slip of notation; the papers cited for the equation have the root.* So it is, and the rest of the
paper is consistent with the root. Code is written from formulas, so it is listed.
""",
    effect="None: nothing is computed from the printed form.",
    prior_art="Li et al. (2017) and Mandt et al. (2017), which the paper cites, have the root.",
    chapter="part4/sgd-steady-state",
    gist=r"With $\Lambda^{1/2}$ in place of $\Lambda$; Eq. (14) and Appendix D are right.",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The root fits Eq. (14).", lambda: derived(root())),
        Check(Kind.EXACT, Role.SEPARATES, "One weight.", _two_variances),
    ),
)


# Eq. 14 ------------------------------------------------------------------------------------------

#: A Hessian and a noise covariance that do not commute, and a flat direction.
HESSIAN = ((2, 1), (1, 2))
COVARIANCE = ((1, 0), (0, 2))
SADDLE = ((1, 0), (0, -1))
RING = ((0, 1), (1, 0))
ENTRIES, DIAGONAL = ((0, 0), (0, 1), (1, 1)), (0, 1)


def solution() -> Derivation:
    """The steady-state covariance in the eigenbasis of H; when H and Lambda commute."""
    import sympy

    h1, h2, eta, b = sympy.symbols("h_1 h_2 eta b", positive=True)
    p, q, r = sympy.symbols("p q r", real=True)
    h = (h1, h2)
    cov = sympy.Matrix([[p, q], [q, r]])
    sigma = sympy.Matrix(2, 2, lambda i, j: eta / b * cov[i, j] / (h[i] + h[j]))
    return Derivation(
        "The Lyapunov equation",
        (
            *(
                Step(
                    f"entry {i + 1}{j + 1} of the equation, in the eigenbasis of H",
                    times(h[i], sigma[i, j]) + times(sigma[i, j], h[j]),
                    eta / b * cov[i, j],
                )
                for i, j in ENTRIES
            ),
            *(
                Step(
                    f"where Lambda is diagonal, too: entry {i + 1}{i + 1}",
                    times(2 * b, sigma[i, i]),
                    eta * cov[i, i] / h[i],
                )
                for i in DIAGONAL
            ),
        ),
    )


def _lyapunov_sharp() -> Evidence:
    import sympy

    h, cov = sympy.Matrix(HESSIAN), sympy.Matrix(COVARIANCE)
    sigma = lyapunov(h, cov)
    product = cov * h.inv() / 2
    saddle, ring = sympy.Matrix(SADDLE), sympy.Matrix(RING)
    free = (saddle * ring + ring * saddle).is_zero_matrix
    summary = (
        rf"$H=\binom{{2\ 1}}{{1\ 2}}$, $\Lambda=\mathrm{{diag}}(1,2)$ do not commute: the solution "
        rf"is ${sympy.latex(sigma)}$, while $\tfrac12\Lambda H^{{-1}}={sympy.latex(product)}$ is "
        r"not even symmetric. For $H=\mathrm{diag}(1,-1)$ solutions are not unique."
    )
    expected = sympy.Matrix([[3, -2], [-2, 5]]) / 8
    other = sympy.Matrix([[2, -1], [-2, 4]]) / 6
    return Evidence(bool(sigma == expected and product == other != other.T and free), summary)


EQ_14 = Claim(
    id="unique/eq-14",
    title="The steady-state covariance",
    paper="unique",
    location="Section 5, Eq. (14) and the sentences after it; Eq. (19), (20)",
    printed=r"""
$$H\Sigma+\Sigma H^T=\frac\eta b\Lambda(w^*).$$

"When $H$ is positive definite [...] the continuous Lyapunov equation (14) has a unique solution,
which can be found in $O(d^3)$ time"; where $\Lambda$ and $H$ commute,
$\Sigma=\frac\eta{2b}\Lambda H^{-1}$.""",
    assumptions=(r"$H\succ0$", r"$\Lambda$ is constant"),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed, for the equation (12) with $\Lambda^{1/2}$ and for $\lambda>0$. $\Sigma$ is positive
semidefinite, and singular when the noise spares some direction for good (Proposition 5.1).
""",
    proof=r"""
In the eigenbasis of $H$ the equation reads $(h_i+h_j)\Sigma_{ij}=\frac\eta b\Lambda_{ij}$, with
exactly one solution as $h_i+h_j>0$; $\Sigma=\frac\eta b\int_0^\infty e^{-Ht}\Lambda e^{-Ht}dt
\succeq0$. If they commute, both are diagonal in one basis. $O(d^3)$ is Bartels and Stewart (1972).
""",
    rebuttal="",
    effect=r"""
None. That $\Sigma$ is proportional to the learning rate and inversely to the batch size (Section 5)
is right always; to the flatness of the loss and the noise, where $H$ and $\Lambda$ commute.
""",
    prior_art="Ornstein-Uhlenbeck processes; Mandt et al. (2017).",
    chapter="part4/sgd-steady-state",
    gist=r"As printed, for $\lambda>0$ and the corrected Eq. (12).",
    uses=("unique/eq-12",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The solution.", lambda: derived(solution())),
        Check(
            Kind.EXACT,
            Role.SHARP,
            "Without commuting, without a positive Hessian.",
            _lyapunov_sharp,
        ),
    ),
)


# SGD itself --------------------------------------------------------------------------------------

#: One weight, least squares, n samples; SGD draws one of them with replacement.
SAMPLES = Network(((1,), (1,), (2,)), (0, 3, 1), Fraction(0))


def of_sgd(network: Network, sums: bool) -> tuple[Any, Any]:
    """Stationary variance of SGD over its step size as the step goes to 0, and that of Eq. (14).

    Args:
        network: With one weight and one output.
        sums: Whether a step follows n times the gradient drawn (the sum loss), or the gradient
            itself (the mean loss).
    """
    import sympy

    step, variance = sympy.symbols("step variance", positive=True)
    n, w = network.samples, minimum(network)
    scale = n if sums else 1
    a, error = rows(network), rows(network) * w - targets(network)
    draws = [(scale * a[i] ** 2, scale * a[i] * error[i]) for i in range(n)]
    # w - w* is multiplied by 1 - step * slope and shifted by step * error, for one drawn sample
    second = sum((1 - step * s) ** 2 * variance + (step * e) ** 2 for s, e in draws)
    (fixed,) = sympy.solve(second / n - variance, variance)
    printed = lyapunov(hessian(network), noise(network, w))[0]
    return sympy.limit(fixed / step, step, 0), printed


def _scales() -> Evidence:
    mean_loss, printed = of_sgd(SAMPLES, sums=False)
    sum_loss, _ = of_sgd(SAMPLES, sums=True)
    n = SAMPLES.samples
    summary = (
        rf"Least squares, one weight, $n={n}$, $b=1$, exact stationary variance of SGD over $\eta$ "
        rf"as $\eta\to0$: {mean_loss} with the mean loss, {sum_loss} with the sum loss; Eq. (14): "
        rf"{printed}. The ratios are $n$ and $n^2$."
    )
    passed = mean_loss == n * printed and sum_loss == n**2 * printed and printed > 0
    return Evidence(bool(passed), summary)


SGD_SCALE = Claim(
    id="unique/sgd-scale",
    title="Eq. (12) as a model of SGD",
    paper="unique",
    location="Section 5, Eq. (12) to (14), with Appendix C",
    printed=r"""
Eq. (12) is called continuous-time SGD; its drift is the gradient of the *sum* of losses, its noise
(Appendix C) the covariance of a *mean* of gradients over a batch.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
Two scales are mixed. For SGD on the mean loss the steady state has $H\Sigma+\Sigma H=
\frac{\eta n}b\Lambda$, for SGD on the sum loss $\frac{\eta n^2}b\Lambda$ (to first order in
$\eta$). As a definition of $A_{SGD}$, Eq. (12) is sound, and the gap is a choice of units: replace
$\eta$ by $n\eta$ or $n^2\eta$.
""",
    proof=r"""
SGD on the mean loss moves by $-\eta(\frac1nHu+\text{noise})$, $u=w-w^*$, with noise of covariance
$\frac1b\Lambda$: $\frac1n(H\Sigma+\Sigma H)=\frac\eta b\Lambda$. For the sum loss the gradient and
its noise are $n$ times as large, so $H\Sigma+\Sigma H=\frac{\eta n^2}b\Lambda$.
""",
    rebuttal=r"""
*$A_{SGD}$ is defined as the steady state of (12).* Then Eq. (14) is exact for it. It matters when
$\eta$ is taken from a real run: SI comes out $n$ (or $n^2$) times too large.
""",
    tried=r"""
As the definition of $A_{SGD}$, Eq. (12) asserts nothing, and what follows from it is exact. Read
as a statement about real SGD it is refuted by three samples up to the choice of units; the text
does not say in which units $\eta$ is taken.
""",
    effect=r"""
None on rankings by Eq. (13), and none on the experiments, which use F-SI with $\sigma=1$. Absolute
values in nats change.
""",
    prior_art="Mandt et al. (2017) keep one scale throughout.",
    chapter="part4/sgd-steady-state",
    gist=r"Right for the equation (12); real SGD has $\frac{\eta n}b$ (mean loss) or "
    r"$\frac{\eta n^2}b$ (sum loss).",
    uses=("unique/eq-12", "unique/eq-14"),
    checks=(Check(Kind.EXACT, Role.FAILING_STEP, "SGD on three samples, exactly.", _scales),),
)


CLAIMS = (EQ_12, EQ_14, SGD_SCALE)
