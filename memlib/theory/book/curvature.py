"""The book's identity between input curvature and input gradients of piecewise-linear networks."""

from fractions import Fraction
from itertools import product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all, search
from memlib.theory.trajectories import dot
from memlib.theory.worlds import total


def one_coordinate() -> Derivation:
    """Three classes, logits affine in one input coordinate: second derivative of each loss."""
    import sympy

    x = sympy.Symbol("x", real=True)
    slopes, offsets = sympy.symbols("a_1:4", real=True), sympy.symbols("b_1:4", real=True)
    exps = sympy.symbols("e_1:4", positive=True)
    logits = [a * x + b for a, b in zip(slopes, offsets, strict=True)]
    norm = sum(sympy.exp(z) for z in logits)
    plain = {sympy.exp(z): e for z, e in zip(logits, exps, strict=True)}

    def at_point(expression: sympy.Expr) -> sympy.Expr:
        """The expression with a symbol for each exponential: a rational function."""
        return sympy.cancel(sympy.together(expression.subs(plain)))

    losses = [sympy.log(norm) - z for z in logits]
    chances = [at_point(sympy.exp(z) / norm) for z in logits]
    mean_square = sum(
        p * at_point(loss.diff(x)) ** 2 for p, loss in zip(chances, losses, strict=True)
    )
    return Derivation(
        "Softmax cross-entropy of affine logits, in one coordinate",
        tuple(
            Step(
                f"label {label}: second derivative, and mean squared derivative over drawn labels",
                at_point(loss.diff(x).diff(x)),
                mean_square,
            )
            for label, loss in enumerate(losses)
        ),
    )


#: Chances of four classes, and gradients of the logits in two inputs.
CHANCES = tuple(
    tuple(Fraction(v, sum(c)) for v in c) for c in ((1, 1, 1, 1), (6, 1, 2, 3), (90, 4, 5, 1))
)
GRADIENTS = tuple(product(((1, 0), (2, -1)), ((0, 3), (1, 1)), ((-1, 2),), ((0, 0), (4, 1))))


def _trace(chances: tuple[Fraction, ...], rows: tuple[tuple[int, int], ...]) -> Fraction:
    """Trace of `J^T (diag(p) - p p^T) J`, the input Hessian of cross-entropy of affine logits."""
    traced = Fraction(0)
    for j, k in product(range(len(chances)), repeat=2):
        middle = chances[j] * ((j == k) - chances[k])
        traced += middle * dot(rows[j], rows[k])
    return traced


def _mean_square(chances: tuple[Fraction, ...], rows: tuple[tuple[int, int], ...]) -> Fraction:
    """Mean squared norm of the input gradient `J^T (p - e_y)`, the label y drawn from p."""
    center = [
        total(p * v for p, v in zip(chances, column, strict=True))
        for column in zip(*rows, strict=True)
    ]
    gradients = [[c - v for c, v in zip(center, row, strict=True)] for row in rows]
    return total(p * dot(g, g) for p, g in zip(chances, gradients, strict=True))


def _more_classes() -> Evidence:
    return enumerate_all(
        product(CHANCES, GRADIENTS),
        lambda case: _trace(*case) == _mean_square(*case) > 0,
        r"$\mathrm{tr}\,J^\top(\mathrm{diag}\,p-pp^\top)J=\sum_{\hat y}p_{\hat y}"
        r"\|J^\top(p-e_{\hat y})\|^2$ for four classes and two inputs.",
        count=24,
    )


def smooth_and_kink() -> Derivation:
    """Two classes with logits f(x) and 0 and the right class the first: loss log(1 + exp(-f))."""
    import sympy

    x, h = sympy.Symbol("x", real=True), sympy.Symbol("h", positive=True)
    smooth = sympy.log(1 + sympy.exp(-(x**2)))
    wrong = smooth + x**2
    right_side, left_side = sympy.log(1 + sympy.exp(-h)), sympy.log(sympy.Integer(2))
    second = (right_side + left_side - 2 * left_side) / h**2
    return Derivation(
        "Where the identity fails",
        (
            Step("smooth f = x^2 at 0: gradient for label 1", smooth.diff(x).subs(x, 0), 0),
            Step("and for label 2, so the mean square is 0", wrong.diff(x).subs(x, 0), 0),
            Step("its curvature, label 1", smooth.diff(x, 2).subs(x, 0), -1),
            Step("its curvature, label 2", wrong.diff(x, 2).subs(x, 0), 1),
            Step(
                "kink f = max(x, 0) at 0: h times the second difference, as h goes to 0",
                sympy.limit(h * second, h, 0, "+"),
                -sympy.Rational(1, 2),
            ),
        ),
    )


def _networks() -> Evidence:
    import torch
    from hypothesis import strategies as st

    from memlib.curvature import input_curvature
    from memlib.models import mlp
    from memlib.runtime import seeded

    def breaks(case: tuple[int, int, int, int]) -> bool:
        seed, width, depth, classes = case
        with seeded(seed, "curvature"):
            network = mlp((1, 2, 2), classes, width, depth).double()
            image = torch.randn(1, 1, 2, 2, dtype=torch.float64)
        label = torch.tensor([seed % classes])

        def loss(x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(network(x), label)

        hessian = torch.autograd.functional.hessian(loss, image).reshape(image.numel(), -1)
        away = input_curvature(network, image, label).trace - hessian.trace()
        return bool(away.abs() > 1e-8 * hessian.abs().max())

    sizes = st.tuples(st.integers(0, 99), st.integers(1, 8), st.integers(0, 3), st.integers(2, 5))
    found = search(sizes, breaks, examples=40)
    return Evidence(
        found is None,
        "Random ReLU networks of up to four layers, five classes and four inputs, in float64: "
        "`memlib.curvature` computes the right side, `torch.autograd.functional.hessian` the left "
        f"one. Apart by more than a part in $10^8$: `{found}`.",
    )


CURVATURE_IDENTITY = Claim(
    id="book/curvature-identity",
    title="Curvature of a piecewise-linear network is a mean squared gradient",
    paper="book",
    location="about input loss curvature in the draft and in `privacy`",
    printed=r"""
Let the logits $z(x)$ be piecewise affine in the input (a network of affine layers, convolutions,
ReLU, max- and average pooling, batch normalization in evaluation mode), $p=\mathrm{softmax}(z)$,
$\ell(x,y)=-\log p_y$. At every $x$ inside a piece and for every label $y$,

$$\mathrm{tr}\,\nabla_x^2\ell(x,y)\;=\;\mathbb E_{\hat y\sim p(x)}\,\|\nabla_x\ell(x,\hat
y)\|^2.$$""",
    assumptions=(
        r"the loss is softmax cross-entropy at temperature 1",
        r"$z$ is affine in a neighborhood of $x$",
    ),
    verdict=Verdict.HOLDS,
    holds=r""" As
stated. So curvature is non-negative, does not depend on the label, and costs one gradient per
class; a label enters it only through what training did to $p$ and $J$. At a temperature $T$, $z/T$
takes the place of $z$. For smooth activations the right side is the Gauss-Newton part, and
$\sum_k(p-e_y)_k\,\mathrm{tr}\,\nabla^2z_k$ has to be added, which depends on the label and can have
either sign. At a kink the Hessian does not exist, and second differences with step $h$ that cross
one are of order $1/h$.
""",
    proof=r"""
Write $z(x)=Jx+b$ near $x$. Then $\nabla_x\ell(x,y)=J^\top(p-e_y)$ and, since
$\nabla_xp=(\mathrm{diag}\,p-pp^\top)J$, the Hessian is $J^\top(\mathrm{diag}\,p-pp^\top)J$ for
every $y$. The middle matrix is the covariance of the random vector $e_{\hat y}$, $\hat y\sim p$:
$\mathrm{diag}\,p-pp^\top=\mathbb E(e_{\hat y}-p)(e_{\hat y}-p)^\top$. Take the trace:
$\mathbb E\|J^\top(e_{\hat y}-p)\|^2$. With smooth $z$ the chain rule adds
$\sum_k\partial_{z_k}\ell\,\nabla^2z_k$.
""",
    rebuttal="",
    effect=r"""
For the ReLU networks of the papers, measured curvature is the squared input gradient averaged over
*drawn* labels where the network is affine, plus contributions of the kinks that a finite step
crosses. A sample fitted with confidence has $p$ near $e_y$ and hence little of either.
""",
    prior_art=r"""
Fisher information equals the Gauss-Newton matrix for softmax cross-entropy: classical (Schraudolph,
2002; Martens, 2020), there in the weights. The same computation in the input is not in the papers.
""",
    chapter="part2/curvature-and-gradient",
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Each coordinate, three classes, every label.",
            lambda: derived(one_coordinate()),
        ),
        Check(
            Kind.EXACT, Role.SUPPORTS, "The matrix form, four classes, two inputs.", _more_classes
        ),
        Check(
            Kind.SYMBOLIC,
            Role.SHARP,
            "It fails for smooth logits and at a kink.",
            lambda: derived(smooth_and_kink()),
        ),
        Check(Kind.SEARCHED, Role.WITHSTANDS, "The estimator, on networks.", _networks),
    ),
    gist=r"$\mathrm{tr}\,\nabla_x^2\ell=\mathbb E_{\hat y\sim p}\|\nabla_x\ell(x,\hat y)\|^2$ off "
    r"the kinks, for every label.",
)


CLAIMS = (CURVATURE_IDENTITY,)
