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


# Gradient, loss and curvature --------------------------------------------------------------------


def lagrange() -> Derivation:
    """What the bound leaves, in one coordinate, for one label and two or three others."""
    import sympy

    steps = []
    for others in (2, 3):
        chances = sympy.symbols(f"p_1:{others + 1}", positive=True)
        slopes = sympy.symbols(f"a_1:{others + 1}", real=True)  # of logits, less the label's
        gradient = sum(p * a for p, a in zip(chances, slopes, strict=True))
        trace = sum(p * a**2 for p, a in zip(chances, slopes, strict=True)) - gradient**2
        own = 1 - sum(chances)
        left = sum(
            chances[j] * chances[k] * (slopes[j] - slopes[k]) ** 2
            for k in range(others)
            for j in range(k)
        )
        steps.append(
            Step(
                f"{others + 1} classes: right side less left side, a sum of squares",
                sympy.expand((1 - own) * trace - own * gradient**2),
                left,
            )
        )
    return Derivation("(1 - p_y) times curvature, less p_y times squared gradient", tuple(steps))


def _every_label() -> Evidence:
    def holds(case: tuple[tuple[Fraction, ...], tuple[tuple[int, int], ...], int]) -> bool:
        chances, rows, label = case
        center = [
            total(p * v for p, v in zip(chances, column, strict=True))
            for column in zip(*rows, strict=True)
        ]
        gradient = [c - v for c, v in zip(center, rows[label], strict=True)]
        own = chances[label]
        return own * dot(gradient, gradient) < (1 - own) * _trace(chances, rows)

    return enumerate_all(
        product(CHANCES, GRADIENTS, range(len(CHANCES[0]))),
        holds,
        r"$p_y\|\nabla\ell\|^2<(1-p_y)\,\mathrm{tr}H$ for four classes, two inputs and every "
        "label.",
        count=96,
    )


def two_classes() -> Derivation:
    """Two classes: both sides, and what a constant below 1 would miss."""
    import sympy

    x, slope, offset = sympy.symbols("x a b", real=True)
    loss = sympy.log(1 + sympy.exp(-(slope * x + offset)))
    gradient, curvature = loss.diff(x), loss.diff(x, 2)
    bound = sympy.simplify((sympy.exp(loss) - 1) * curvature)
    return Derivation(
        "Two classes: the loss is log(1 + exp(-ax - b))",
        (
            Step("the squared gradient is the bound", gradient**2, bound),
            Step(
                "at a x + b = 0: each of them",
                bound.subs(x, -offset / slope),
                slope**2 / sympy.Integer(4),
            ),
        ),
    )


GRADIENT_BY_CURVATURE = Claim(
    id="book/gradient-by-curvature",
    title="Loss and curvature bound the gradient of a piecewise-linear network",
    paper="book",
    location="replaces Theorem 4.6 of the draft where R3 is empty",
    printed=r"""
Let the logits be piecewise affine in the input and $\ell$ be softmax cross-entropy, as in
`book/curvature-identity`. At every $x$ inside a piece, for every label,

$$\|\nabla_x\ell\|^2\;\le\;\bigl(e^{\ell}-1\bigr)\,\mathrm{tr}\,\nabla^2_x\ell .$$

Hence, for every run, every sample that is inside a piece at every step, and every $\tau>0$,

$$T\;\le\;1+\frac{\mathrm{CSG}}\tau\;\le\;1+\frac1\tau\sum_{t<N}
\bigl(e^{\ell_t}-1\bigr)\,\mathrm{tr}\,\nabla^2_x\ell_t .$$""",
    assumptions=(
        r"the loss is softmax cross-entropy at temperature 1",
        r"the logits are affine in a neighborhood of $x$",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated, with equality for two classes. The factor $e^\ell-1=(1-p_y)/p_y$ is the odds against the
label: below 1 where the label has more than half of the probability.
""",
    proof=r"""
Write $a_k$ for the input gradient of logit $k$ less that of logit $y$. Then
$\nabla_x\ell=\sum_{k\ne y}p_ka_k$, and, by `book/curvature-identity` with gradients
$\nabla_x\ell-a_k$, $\mathrm{tr}\,\nabla_x^2\ell=\sum_{k\ne y}p_k\|a_k\|^2-\|\nabla_x\ell\|^2$.
By Cauchy and Schwarz
$\|\nabla_x\ell\|^2\le(1-p_y)\sum_{k\ne y}p_k\|a_k\|^2=(1-p_y)(\mathrm{tr}\,\nabla_x^2\ell+
\|\nabla_x\ell\|^2)$. Solve for $\|\nabla_x\ell\|^2$. With two classes the sum has one term. The
second line is R1 and a sum over the run.
""",
    rebuttal="",
    effect=r"""
What Theorem 4.6 wants, learning time below gradients below curvature, is true of ReLU networks
without any assumption on training, and with the loss as a factor that cannot be dropped.
""",
    prior_art=r"""
The Cauchy-Schwarz inequality for the score of a softmax model, whose covariance is the Fisher
information (classical, in the parameters).
""",
    chapter="part2/curvature-and-gradient",
    uses=("book/curvature-identity", "book/r1"),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "One coordinate, three and four classes.",
            lambda: derived(lagrange()),
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "Four classes, two inputs, every label.", _every_label),
        Check(
            Kind.SYMBOLIC,
            Role.SHARP,
            "Equality for two classes: no constant below 1.",
            lambda: derived(two_classes()),
        ),
    ),
    gist=r"$\|\nabla_x\ell\|^2\le(e^\ell-1)\,\mathrm{tr}\,\nabla_x^2\ell$ for ReLU networks, with "
    r"equality for two classes.",
)


CLAIMS = (CURVATURE_IDENTITY, GRADIENT_BY_CURVATURE)
