"""Appendix D of `unique`, the calculation: Fokker-Planck and the steady state (Eq. 23 to 26)."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived
from memlib.theory.linearized import fraction, lyapunov, rational

CHAPTER = "part4/sgd-steady-state"
PLANE = (0, 1)


def position(size: int) -> Any:
    """U = w - w*, a column of symbols."""
    import sympy

    return sympy.Matrix(sympy.symbols(f"u_1:{size + 1}", real=True))


def slope(factor: Any, i: int, precision: Any) -> Any:
    """The derivative of factor * exp(-u^T P u / 2) along coordinate i, over the exponential."""
    u = position(precision.rows)
    exponent = -(u.T * precision * u)[0] / 2
    return factor.diff(u[i]) + factor * exponent.diff(u[i])


def drift(h: Any, precision: Any, upto: tuple[int, ...] = PLANE) -> Any:
    """First sum of Eq. (23), over eta and the density: the gradient of the loss is H u."""
    gradient = h * position(h.rows)
    return sum(slope(gradient[i], i, precision) for i in upto)


def spread(cov: Any, precision: Any, upto: tuple[int, ...] = PLANE) -> Any:
    """Second sum of Eq. (23), over eta^2 / (2 b) and the density."""
    pairs = ((i, j) for i in upto for j in upto)
    return sum(slope(slope(cov[i, j], j, precision), i, precision) for i, j in pairs)


def symmetric(names: str) -> Any:
    """A symmetric 2 x 2 matrix of symbols."""
    import sympy

    a, b, c = sympy.symbols(names, real=True)
    return sympy.Matrix([[a, b], [b, c]])


def residual(h: Any, precision: Any, cov: Any, upto: tuple[int, ...] = PLANE) -> Any:
    """The right side of Eq. (23) over the density and eta, for eta = b."""
    return (drift(h, precision, upto) + spread(cov, precision, upto) / 2).expand()


# Eq. 23 ------------------------------------------------------------------------------------------

#: H and a noise covariance that do not commute, and the precision that Eq. (14) gives for eta = b.
HESSIAN, COVARIANCE = ((2, 1), (1, 2)), ((1, 0), (0, 2))
ONE_SAMPLE = (0,)


def plane() -> tuple[Any, Any]:
    """H and the noise covariance, as matrices of sympy."""
    import sympy

    return sympy.Matrix(HESSIAN), sympy.Matrix(COVARIANCE)


def lyapunov_precision() -> Any:
    """The inverse of the solution of H S + S H = Lambda."""
    return lyapunov(*plane()).inv()


def _steady() -> Evidence:
    h, cov = plane()
    value = residual(h, lyapunov_precision(), cov)
    return Evidence(
        value == 0,
        r"With sums over the $d=2$ weights, the solution of Eq. (14) satisfies Eq. (23) exactly, "
        r"for $H=\binom{2\ 1}{1\ 2}$ and $\Lambda=\mathrm{diag}(1,2)$.",
    )


def _sums_to_n() -> Evidence:
    import sympy

    h, cov = plane()
    value = residual(h, lyapunov_precision(), cov, ONE_SAMPLE)
    at_rest = value.subs(dict.fromkeys(value.free_symbols, sympy.Integer(0)))
    summary = (
        r"With sums over $n=1$ sample the same density leaves a residual: at $w=w^*$ it is "
        rf"${at_rest}$ times the density."
    )
    return Evidence(at_rest == sympy.Rational(2, 11), summary)


EQ_23 = Claim(
    id="unique/eq-23",
    title="The Fokker-Planck equation",
    paper="unique",
    location="Appendix D, first display, and Eq. (23)",
    printed=r"""
$$\frac{\partial p(w,t)}{\partial t}=\sum_{i=1}^n\frac\partial{\partial w_i}[\eta\nabla_{w_i}
\mathcal L(w)p(w,t)]+\frac{\eta^2}{2b}\sum_{i=1}^n\sum_{j=1}^n\frac{\partial^2}{\partial w_i
\partial w_j}[\Lambda(w)_{i,j}p(w,t)].$$""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
With sums to $d$, the number of weights, as Eq. (23) has it; $n$ is the number of samples. Both are
the equation of (12) with $\Lambda^{1/2}$.
""",
    proof="The drift and the diffusion have one component per weight.",
    rebuttal=r"""
*Eq. (23), the one that is used, has $d$.* It has; only the display before it is affected.
""",
    effect="None.",
    prior_art="Textbook.",
    chapter=CHAPTER,
    gist=r"With sums over the $d$ weights, as Eq. (23) has them.",
    uses=("unique/eq-12",),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "Sums to d.", _steady),
        Check(Kind.EXACT, Role.SEPARATES, "Sums to n.", _sums_to_n),
    ),
)


# The gradient and the Hessian --------------------------------------------------------------------

#: One weight, one sample with f = 2 w, label 3, lambda = 4, and where training starts.
SLOPE, LABEL, DECAY, START = Fraction(2), Fraction(3), Fraction(4), Fraction(1)


def _regularizer() -> Evidence:
    import sympy

    w = sympy.Symbol("w", real=True)
    f, y, decay, start = map(rational, (SLOPE, LABEL, DECAY, START))
    loss = (f * w - y) ** 2 / 2 + decay * (w - start) ** 2 / 2
    (best,) = sympy.solve(loss.diff(w), w)
    printed = f * (f * w - y) + decay * w
    (other,) = sympy.solve(printed, w)
    right = (f * (f * w - y) + decay * (w - start) - loss.diff(w)).expand() == 0
    curvature = loss.diff(w, w) == f**2 + decay == printed.diff(w)
    values = [fraction(best), fraction(other)]
    summary = (
        rf"One weight, $w_0=1$: the loss of Section 1 has its minimum at {best}, the gradient "
        rf"printed in Appendix D vanishes at {other}. The Hessian is the same for both, "
        rf"{loss.diff(w, w)}."
    )
    passed = right and curvature and values == [Fraction(5, 4), Fraction(3, 4)]
    return Evidence(bool(passed), summary)


def hessian_display() -> Derivation:
    """The second derivatives of the loss, two weights and one sample."""
    import sympy

    w = sympy.Matrix(sympy.symbols("w_1 w_2", real=True))
    j = sympy.Matrix([sympy.symbols("j_1 j_2", real=True)])
    y, decay = sympy.symbols("y lambda", real=True)
    start = sympy.Matrix(sympy.symbols("v_1 v_2", real=True))
    away = w - start
    loss = ((j * w)[0] - y) ** 2 / 2 + decay * (away.T * away)[0] / 2
    gradient = j.T * ((j * w)[0] - y) + decay * away
    full = j.T * j + decay * sympy.eye(2)
    return Derivation(
        "Gradient and Hessian",
        (
            *(Step(f"gradient {i + 1}", loss.diff(w[i]), gradient[i]) for i in PLANE),
            *(
                Step(f"Hessian {i + 1}{k + 1}", sympy.Derivative(loss, w[i], w[k]), full[i, k])
                for i in PLANE
                for k in PLANE
            ),
        ),
    )


GRADIENT = Claim(
    id="unique/sec-d-gradient",
    title="Gradient and Hessian of the regularized loss",
    paper="unique",
    location="Appendix D, the two displays after Eq. (23)",
    printed=r"""
$$\nabla_w\mathcal L(w)=\nabla f_0(X)(f(X)-Y)+\lambda w,\qquad\nabla_w^2\mathcal L(w)=
\sum_k\nabla f_0(x_k)+\lambda I_d\nabla f_0(x_k)^T=\dots$$""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
$\nabla_w\mathcal L=\nabla f_0(X)(f(X)-Y)+\lambda(w-w_0)$ for the loss of Section 1, and
$\nabla_w^2\mathcal L=\sum_k\nabla f_0(x_k)\nabla f_0(x_k)^T+\lambda I_d$ (the last form in the
display is right).
""",
    proof=r"""
Differentiate. With $\lambda w$, $w^*$ would be the minimum of another loss, with $\|w\|^2$.
""",
    rebuttal=r"""
*Nothing after it depends on it.* Right: Eq. (25) only uses $\nabla\mathcal L=H(w-w^*)$.
""",
    effect="None.",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist=r"$\lambda(w-w_0)$ in place of $\lambda w$; $\sum\nabla f\nabla f^T+\lambda I$.",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Two weights.", lambda: derived(hessian_display())),
        Check(Kind.EXACT, Role.SEPARATES, "Where each gradient vanishes.", _regularizer),
    ),
)


# Eq. 24 and 25 -----------------------------------------------------------------------------------


def first_term() -> Derivation:
    """Eq. (25), from (24): for every H and every precision in the plane."""
    h, precision = symmetric("a b c"), symmetric("p q r")
    u = position(h.rows)
    printed = h.trace() - (u.T * h * precision * u)[0]
    return Derivation(
        "The first term",
        (Step("Eq. (25) over the density", drift(h, precision), printed),),
    )


def _eq24() -> Evidence:
    import sympy

    h = sympy.Matrix(HESSIAN)  # J^T J = H - lambda I with lambda = 1
    decay = sympy.Integer(1)
    data = h - decay * sympy.eye(h.rows)
    w = sympy.Matrix(WEIGHTS)
    right = sum(data[i, i] + decay for i in PLANE)
    printed = sum(data[i, i] + decay * w[i] for i in PLANE)
    summary = (
        rf"$\lambda=1$, $w=(2,5)$: the first line of (24) has $\sum_i(\dots+\lambda w_i)="
        rf"{printed}$ where its last line has $\mathrm{{tr}}\,H={h.trace()}$."
    )
    return Evidence(bool(right == h.trace() == 4 and printed == 9), summary)


WEIGHTS = (2, 5)

EQ_24 = Claim(
    id="unique/eq-24",
    title="The divergence of the drift",
    paper="unique",
    location="Appendix D, Eq. (24)",
    printed=r"""
$$\sum_i\frac\partial{\partial w_i}[\nabla_{w_i}\mathcal L\,p]=\sum_i\bigl[p\,(\nabla f_0(X)_i
\nabla f_0(X)_i^T+\lambda w_i)-\dots\bigr]=p\,\mathrm{tr}(\dots+\lambda I)-\dots$$""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
$\lambda$ in place of the first $\lambda w_i$: it is the derivative of $\lambda w_i$. The second
line has it right.
""",
    proof="The product rule.",
    rebuttal=r"""
*The next line of the same equation is right.* It is.
""",
    effect="None: (25) is right.",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist=r"$\lambda$ in place of $\lambda w_i$ in the first line; the second line is right.",
    uses=("unique/sec-d-gradient",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The last line.", lambda: derived(first_term())),
        Check(Kind.EXACT, Role.SEPARATES, "The first line.", _eq24),
    ),
)


def _away_from_minimum() -> Evidence:
    import sympy

    h = sympy.Matrix(HESSIAN)
    one, u = sympy.eye(h.rows), position(h.rows)
    moved = h * u + sympy.Matrix(WEIGHTS)  # the gradient if w* is no critical point
    total = sum(slope(moved[i], i, one) for i in PLANE).expand()
    lost = (total - drift(h, one)).expand()
    expected = -(sympy.Matrix(WEIGHTS).T * u)[0]
    return Evidence(
        lost == expected.expand(),
        r"If the density is centered where the gradient does not vanish, a linear term is left: "
        rf"${sympy.latex(lost)}$.",
    )


EQ_25 = Claim(
    id="unique/eq-25",
    title="The first term of the Fokker-Planck equation",
    paper="unique",
    location="Appendix D, Eq. (25)",
    printed=r"""
$$\sum_i\frac\partial{\partial w_i}[\nabla_{w_i}\mathcal L(w)p(w)]=p(w)\,\mathrm{tr}(H)-p(w)
(w-w^*)^TH\Sigma^{-1}(w-w^*).$$""",
    assumptions=(r"$w^*$ is a critical point of $\mathcal L$",),
    verdict=Verdict.HOLDS,
    holds="As printed, for a symmetric $\\Sigma$.",
    proof=r"""
$\nabla\mathcal L=H(w-w^*)$ and $\nabla p=-p\,\Sigma^{-1}(w-w^*)$; the product rule.
""",
    rebuttal="",
    effect="None.",
    prior_art="Textbook.",
    chapter=CHAPTER,
    gist=r"As printed, for a symmetric $\Sigma$.",
    uses=("unique/eq-24",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Every H and Sigma.", lambda: derived(first_term())),
        Check(Kind.EXACT, Role.SHARP, "It needs a critical point.", _away_from_minimum),
    ),
)


# Eq. 26 ------------------------------------------------------------------------------------------


def second_term() -> Derivation:
    """Eq. (26), and that it cancels (25) where Eq. (14) holds."""
    precision, cov = symmetric("p q r"), symmetric("k l m")
    u = position(precision.rows)
    printed = -(precision * cov).trace() + (u.T * precision * cov * precision * u)[0]
    h = symmetric("a b c")
    # Eq. (14) for eta = b, times the precision from both sides: P H + H P = P Lambda P
    traces = (precision.adjugate() * (precision * h + h * precision)).trace() / precision.det()
    quadratic = (u.T * (precision * h + h * precision) * u)[0]
    first = h.trace() - (u.T * h * precision * u)[0]
    return Derivation(
        "The second term",
        (
            Step(
                "Eq. (26) over the density",
                spread(cov, precision),
                printed,
            ),
            Step(
                "where Eq. (14) holds, it is minus twice (25)",
                -traces + quadratic,
                -2 * first,
            ),
        ),
    )


def _only_lyapunov() -> Evidence:
    import sympy

    h, cov = plane()
    p, q, r = sympy.symbols("p q r", real=True)
    precision = sympy.Matrix([[p, q], [q, r]])
    value = residual(h, precision, cov)
    equations = sympy.Poly(value, *position(h.rows)).coeffs()
    solved = sympy.solve(equations, [p, q, r], dict=True)
    found = [precision.subs(values) for values in solved]
    summary = (
        rf"$H=\binom{{2\ 1}}{{1\ 2}}$, $\Lambda=\mathrm{{diag}}(1,2)$: of all symmetric precision "
        rf"matrices only that of Eq. (14) satisfies Eq. (23) ({len(found)} found)."
    )
    return Evidence(found == [lyapunov_precision()], summary)


EQ_26 = Claim(
    id="unique/eq-26",
    title="The second term, and that the two cancel",
    paper="unique",
    location="Appendix D, Eq. (26) and the sentence after it",
    printed=r"""
$$\sum_{i,j}\frac{\partial^2}{\partial w_i\partial w_j}[\Lambda_{i,j}p]=-p\,\mathrm{tr}(\Sigma^{-1}
\Lambda)+p\,(w-w^*)^T\Sigma^{-1}\Lambda\Sigma^{-1}(w-w^*);$$

if $\Sigma H+H\Sigma=\frac\eta b\Lambda$, then (25) and (26) are "negatives of each other up to a
constant $\frac\eta{2b}$".""",
    assumptions=(r"$\Lambda$ is constant",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed; and among Gaussians only that $\Sigma$ does it. "Constant around $w^*$" must be read as
constant everywhere: a Gaussian has mass everywhere, and $\Lambda(w)$ of the MSE loss is quadratic
in $w$.
""",
    proof=r"""
$\partial_i\partial_jp=p\,(-\Sigma^{-1}_{ij}+(\Sigma^{-1}u)_i(\Sigma^{-1}u)_j)$. With
$\Sigma^{-1}\Lambda\Sigma^{-1}=\frac b\eta(\Sigma^{-1}H+H\Sigma^{-1})$ the trace becomes
$\frac{2b}\eta\mathrm{tr}\,H$ and the square $\frac{2b}\eta u^TH\Sigma^{-1}u$.
""",
    rebuttal="",
    effect="None.",
    prior_art="Textbook; Mandt et al. (2017).",
    chapter=CHAPTER,
    gist=r"As printed, for a constant $\Lambda$; no other Gaussian does it.",
    uses=("unique/eq-25", "unique/eq-14", "unique/eq-23"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Every H and Sigma.", lambda: derived(second_term())),
        Check(Kind.EXACT, Role.SHARP, "No other Gaussian.", _only_lyapunov),
    ),
)


CLAIMS = (EQ_23, GRADIENT, EQ_24, EQ_25, EQ_26)
