"""Proposition 4.2 of `unique`: information in predictions, and the Fisher matrix (Eq. 8, 9)."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all

#: Validation inputs of a linear model in three weights: two of them, so F has rank 2.
VALIDATION = ((1, 0, 1), (0, 1, 1))
HIDDEN = (1, 1, -1)  # a change of weights that no prediction sees
SEEN = (1, 0, 0)


# Proposition 4.2 ---------------------------------------------------------------------------------


def two_outputs() -> Derivation:
    """Eq. (8) for a prediction with two outputs."""
    import sympy

    a, b, c, d = sympy.symbols("a b c d", real=True)
    s = sympy.Symbol("sigma", positive=True)
    shift = sympy.Matrix([a - c, b - d])
    return Derivation(
        "Eq. (8)",
        (
            Step(
                "Proposition 3.2 with Sigma = sigma^2 I",
                (shift.T * (s**2 * sympy.eye(2)).inv() * shift)[0] / 2,
                ((a - c) ** 2 + (b - d) ** 2) / (2 * s**2),
            ),
        ),
    )


def taylor() -> Derivation:
    """The error of Eq. (9), for every smooth f of one weight, and with F at the midpoint."""
    import sympy

    h = sympy.Symbol("Delta", real=True)
    first, second, third = sympy.symbols("f' f'' f'''", real=True)

    def change(end: Any) -> Any:  # f(w + end) - f(w), to the order that matters
        return first * end + second * end**2 / 2 + third * end**3 / 6

    lost = change(-h) ** 2 - first**2 * h**2
    middle = (change(h / 2) - change(-h / 2)) ** 2 - first**2 * h**2
    return Derivation(
        "The error of the quadratic form",
        (
            Step("F at w: cubic", sympy.Limit(lost / h**3, h, 0), -first * second),
            Step("F at the midpoint", sympy.Limit(middle / h**4, h, 0), first * third / 12),
        ),
    )


def fisher() -> Derivation:
    """F is the Fisher information of a Gaussian prediction with variance 1, about the weight."""
    import sympy

    y, w, n = sympy.symbols("y w n", real=True)
    slope = sympy.Symbol("f'", real=True)
    f = sympy.Function("f")(w)
    log_density = -((y - f) ** 2) / 2  # without the constant
    normal = sympy.exp(-(n**2) / 2) / sympy.sqrt(2 * sympy.pi)
    squares = sympy.Integral((slope * n) ** 2 * normal, (n, -sympy.oo, sympy.oo))
    return Derivation(
        "The Fisher information",
        (
            Step("the score", sympy.Derivative(log_density, w), (y - f) * f.diff(w)),
            Step("its mean square, with y = f + n", squares, slope**2),
        ),
    )


#: Where f(w) = w^2 is trained to, and how far leaving out moves the weight.
MOVES = tuple((Fraction(3), Fraction(1, k)) for k in (1, 10, 100))


def _attained() -> Evidence:
    def holds(case: tuple[Fraction, Fraction]) -> bool:
        w, step = case
        exact = (w**2 - (w - step) ** 2) ** 2
        printed = (2 * w * step) ** 2
        middle = (2 * (w - step / 2) * step) ** 2
        return printed - exact == step**3 * (4 * w - step) and middle == exact

    return enumerate_all(
        MOVES,
        holds,
        r"$f=w^2$ at $w=3$: Eq. (9) is off by $12\Delta^3-\Delta^4$, with $\Delta=1,\tfrac1{10},"
        r"\tfrac1{100}$, and exact with $F$ at the midpoint. The order 3 cannot be improved.",
        count=3,
    )


PROP_42 = Claim(
    id="unique/prop-4.2",
    title="Functional sample information of a deterministic algorithm",
    paper="unique",
    location="Section 4, Proposition 4.2, Eq. (8) and (9)",
    printed=r"""
$$\text{F-SI}_\sigma(z_i,A)=\frac1{2\sigma^2}\mathbb E_{x}\|f_w(x)-f_{w_{-i}}(x)\|_2^2
\approx\frac1{2\sigma^2}(w-w_{-i})^TF(w)(w-w_{-i}),$$

with $F(w)=\mathbb E_x[\nabla_wf_w(x)\nabla_wf_w(x)^T]$, "the Fisher information matrix of
$q_{\sigma=1}(\hat y\mid x,S)$".""",
    assumptions=("$A$ is deterministic",),
    verdict=Verdict.HOLDS,
    holds=r"""
Eq. (8) exactly, with the mean over $x$ in Definition 4.1. Eq. (9) up to $O(\|w-w_{-i}\|^3)$, and
the order is exact, for an $f$ that is smooth in $w$; with $F$ at the midpoint $\frac{w+w_{-i}}2$
the error is of order 4 (but $F$ is then another matrix for each sample). For a network that is
linear in its weights (9) is exact.
""",
    proof=r"""
Eq. (8) is Proposition 3.2 at each $x$, with $\Sigma=\sigma^2I$. For (9), $f_w-f_{w-\Delta}=
\nabla f^T\Delta-\frac12\Delta^T\nabla^2f\Delta+O(\Delta^3)$; squared, the cubic term is
$-(\nabla f^T\Delta)(\Delta^T\nabla^2f\Delta)$. From the midpoint all even terms cancel.
""",
    rebuttal="",
    effect=r"""
None: the experiments use Eq. (8) with a linearized network.
""",
    prior_art=r"""
Divergence to second order is the Fisher metric: textbook.
""",
    chapter="part4/information-in-predictions",
    gist=r"(8) exactly; (9) to third order in $w-w_{-i}$, to fourth with $F$ at the midpoint.",
    uses=("unique/def-4.1", "unique/prop-3.2"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Eq. (8).", lambda: derived(two_outputs())),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Eq. (9) and its error.", lambda: derived(taylor())),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The Fisher matrix.", lambda: derived(fisher())),
        Check(Kind.EXACT, Role.SHARP, "The order of the error.", _attained),
    ),
)


# The Fisher matrix as smoothing ------------------------------------------------------------------


def _no_inverse() -> Evidence:
    import sympy

    j = sympy.Matrix(VALIDATION)
    f = j.T * j / len(VALIDATION)
    hidden, seen = sympy.Matrix(HIDDEN), sympy.Matrix(SEEN)
    values = [(v.T * f * v)[0] for v in (hidden, seen)]
    summary = (
        rf"A linear model with {f.rows} weights and {len(VALIDATION)} validation inputs: $F$ has "
        rf"rank {f.rank()}, so $F^{{-1}}$ does not exist. The change of weights $(1,1,-1)$ has "
        rf"F-SI {values[0]} and, with noise in all directions, positive SI."
    )
    lost = f.det() == 0 and f.rank() == len(VALIDATION)
    return Evidence(lost and values == [0, sympy.Rational(1, 2)], summary)


def with_sigma() -> Derivation:
    """Where F is invertible: which covariance turns SI into F-SI."""
    import sympy

    s = sympy.Symbol("sigma", positive=True)
    a, b, c = sympy.symbols("a b c", real=True)
    f = sympy.Matrix([[a, b], [b, c]])
    shift = sympy.Matrix(sympy.symbols("u v", real=True))
    covariance = s**2 * f.inv()
    return Derivation(
        "Fisher smoothing",
        (
            Step(
                "Sigma = sigma^2 F^-1",
                (shift.T * covariance.adjugate() * shift)[0] / covariance.det() / 2,
                (shift.T * f * shift)[0] / (2 * s**2),
            ),
        ),
    )


FISHER = Claim(
    id="unique/fisher-smoothing",
    title="Functional information as weight information smoothed by the inverse Fisher matrix",
    paper="unique",
    location="Section 4, after Proposition 4.2; Section 5, Functional Sample Information",
    printed=r"""
"[...] functional sample information can be seen as weight sample information with discretization
$\Sigma$ equal to $F^{-1}$."  ("The step from eq. (8) to eq. (9) becomes exact [for linearized
networks], and the Fisher information matrix becomes independent of $w$".)""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
If $F\succ0$, $\text{F-SI}_\sigma=\mathrm{SI}_\Sigma$ with $\Sigma=\sigma^2F^{-1}$ (the printed
$F^{-1}$ is for $\sigma=1$). With a validation set of $n_{val}k<d$ outputs $F$ is singular, and
there is no such $\Sigma$: F-SI is then the sample information of $F^{1/2}w$, smoothed by
$\sigma^2I$. It does not see weights that the predictions do not use.
""",
    proof=r"""
$\mathrm{rank}\,F\le n_{val}k$. For $u=F^{1/2}w$ the shift is $F^{1/2}\Delta$ and
$\frac1{2\sigma^2}\|F^{1/2}\Delta\|^2=\frac1{2\sigma^2}\Delta^TF\Delta$.
""",
    rebuttal=r"""
*$F$ is a mean over the population, where it may be invertible; and if it is not, $F^{-1}$ stands
for infinite noise in the directions that no prediction uses.* Read that way it is right, and it is
a good reading: infinite noise hides those directions.
""",
    tried=r"""
For $F\succ0$ it cannot be refuted: it is derived. With more weights than outputs the instance has
no $F^{-1}$; with infinite noise put for it the sentence is right again, so we do not call it
refuted.
""",
    effect=r"""
None on scores: Eq. (16) never forms $F^{-1}$. Before linearization there is one more step to take:
$F(w)$ depends on $w=A(S)$, while Definition 3.1 wants one $\Sigma$ with and without the sample.
""",
    prior_art=r"""
A singular Fisher matrix is the usual case in overparametrized models.
""",
    chapter="part4/information-in-predictions",
    gist=r"For $F\succ0$ and $\Sigma=\sigma^2F^{-1}$; with $n_{val}k<d$, $F$ has no inverse.",
    uses=("unique/prop-4.2", "unique/prop-3.2"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "More weights than outputs.", _no_inverse),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Where it exists.", lambda: derived(with_sigma())),
    ),
)


CLAIMS = (PROP_42, FISHER)
