"""Lemma 5.1 of the published version: input gradients against weight gradients."""

from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.icml.instances import CONFLICT, FINISHING, Run, independent
from memlib.theory.trajectories import dot
from memlib.theory.worlds import total

ANY_NETWORK = "any neural network"
BATCH = "any mini-batch"
CHAPTER = "part2/inputs-and-weights"


@dataclass(frozen=True)
class Convolution:
    """A kernel of one weight slides over two pixels; a second layer weighs what comes out.

    The output is `a . (k x)`, the loss half its squared distance to the label. The first layer,
    written as a matrix, is k times the identity.
    """

    kernel: Fraction
    second: tuple[Fraction, Fraction]
    pixels: tuple[Fraction, Fraction]
    label: Fraction

    def residual(self) -> Fraction:
        """Output minus label."""
        return self.kernel * dot(self.second, self.pixels) - self.label

    def input_gradient(self) -> Fraction:
        """Squared norm of the gradient in the pixels."""
        return self.residual() ** 2 * self.kernel**2 * dot(self.second, self.second)

    def weight_gradient(self) -> Fraction:
        """Squared norm of the gradient in the kernel and the second layer."""
        shared = dot(self.second, self.pixels)
        return self.residual() ** 2 * (shared**2 + self.kernel**2 * dot(self.pixels, self.pixels))

    def untied_gradient(self) -> Fraction:
        """Squared norm of the gradient in the first layer's matrix, its entries not shared."""
        return self.residual() ** 2 * dot(self.second, self.second) * dot(self.pixels, self.pixels)

    def squared_k_g(self) -> Fraction:
        """The lemma's constant, squared, with the Frobenius norm of the matrix."""
        return total([self.kernel**2] * len(self.pixels)) / dot(self.pixels, self.pixels)


#: The second layer reads the contrast of two equal pixels.
CONTRAST = Convolution(
    Fraction(1, 2), (Fraction(2), Fraction(-2)), (Fraction(1), Fraction(1)), Fraction(1)
)


def _convolution() -> Evidence:
    net = CONTRAST
    left, right = net.input_gradient(), net.squared_k_g() * net.weight_gradient()
    summary = (
        rf"A convolution with one weight on two equal pixels: $\|\nabla_X\ell\|^2={show(left)}$, "
        rf"$k_g^2\|\nabla_w\ell\|^2={show(right)}$. What the kernel gathers from the two pixels "
        "cancels; what the input receives does not."
    )
    met = {ANY_NETWORK: net.residual() != 0, BATCH: dot(net.pixels, net.pixels) > 0}
    return Evidence(left > right and (left, right) == (2, Fraction(1, 8)), summary, {}, met, net)


def _convolution_repaired() -> Evidence:
    net = CONTRAST
    sharp = net.kernel**2 / dot(net.pixels, net.pixels)  # largest singular value over |x|, squared
    left, right = net.input_gradient(), sharp * net.untied_gradient()
    summary = (
        rf"With the gradient in the unshared matrix, and singular values for Frobenius norms: "
        rf"${show(left)}\le{show(right)}$, an equality."
    )
    return Evidence(left == right == 2, summary, {}, {}, net)


def _twins() -> Evidence:
    run = CONFLICT
    ((w, *_),) = run.paths()
    batch = total(max(run.squares(i)) for i in range(len(run.data))) / len(run.data) ** 2
    gradient = run.gradient(w, run.data)
    summary = (
        rf"One input with the labels 0 and 1: $\|\nabla_X\ell\|^2={show(batch)}$ and "
        rf"$\nabla_w\ell={show(gradient[0])}$. No finite constant will do; the printed one divides "
        r"by $s_P=0$."
    )
    met = {ANY_NETWORK: len(w) == 1, BATCH: not independent(run.data)}
    return Evidence(
        batch == Fraction(1, 32) and dot(gradient, gradient) == 0, summary, {}, met, run
    )


def _twins_repaired() -> Evidence:
    run = CONFLICT
    ((w, *_),) = run.paths()
    rows = []
    for i, (x, _) in enumerate(run.data):
        own = run.gradient(w, (run.data[i],))
        rows.append((max(run.squares(i)), dot(w, w) / dot(x, x) * dot(own, own)))
    summary = (
        r"Sample by sample, each against its own weight gradient: "
        + ", ".join(rf"${show(a)}\le{show(b)}$" for a, b in rows)
        + ", equalities."
    )
    return Evidence(rows == [(Fraction(1, 16), Fraction(1, 16))] * 2, summary, {}, {}, run)


def full_rank() -> Derivation:
    """Two independent inputs, in the basis of the eigenvectors of their Gram matrix."""
    import sympy

    first, second = sympy.symbols("lambda_1 lambda_2", positive=True)
    r, s = sympy.symbols("r s", real=True)
    layer = sympy.Symbol("W", positive=True)  # squared Frobenius norm
    constant = layer * (1 / first + 1 / second)
    batch, gradient = layer * (r**2 + s**2), first * r**2 + second * s**2
    slack = layer * (first / second * r**2 + second / first * s**2)
    return Derivation(
        "Lemma 5.1 for two independent inputs",
        (
            Step(
                "squared constant: the trace of the inverse Gram matrix",
                constant * first * second,
                layer * (first + second),
            ),
            Step(
                "squared input gradient of the batch, against the weight gradient",
                batch,
                constant * gradient,
                "<=",
                slack,
            ),
        ),
    )


LEMMA_5_1 = Claim(
    id="orders-icml/lemma-5.1",
    title="Input gradients are bounded by weight gradients",
    paper="orders-icml",
    location="Lemma 5.1, Eq. (8); proof in C.1",
    printed=r"""
For any neural network and any mini-batch $Z_b=(X_b,Y_b)$,

$$\|\nabla_{X_b}\ell(\vec w_t,Z_b)\|_F\le k_g\|\nabla_{w_t}\ell(\vec w_t,Z_b)\|_F,\qquad
k_g=\frac{\|W_t^{(1)}\|_F\,\|(X_b^\top)^+\|_F}{s_P},$$

$s_P$ the smallest singular value of $P=X_b^\top(X_b^\top)^+$.""",
    assumptions=(ANY_NETWORK, BATCH),
    verdict=Verdict.FALSE,
    gist="True for a fully connected first layer and independent inputs; false with shared "
    "weights, and for duplicates.",
    holds=r"""
Let the first layer be fully connected, its weights not shared. If the inputs are linearly
independent, $\|\nabla_X\ell\|_F\le\frac{\sigma_{max}(W)}{\sigma_{min}(X)}\|\nabla_W\ell\|_F$; the
printed $k_g$ is never smaller ($P$ is a projector, so $s_P$ is 1 or 0). For one sample, whatever
the others are, $\|\nabla_{x_i}\ell_i\|\le\frac{\sigma_{max}(W)}{\|x_i\|}\|\nabla_W\ell_i\|_F$. For
a convolution both hold with the gradient in the unshared matrix of the layer.
""",
    proof=r"""
Let $D$ be the gradient in the layer's output $WX$. Then $\nabla_X\ell=W^\top D$, $\nabla_W\ell=
DX^\top$, and for full column rank $\|DX^\top\|_F\ge\sigma_{min}(X)\|D\|_F$. For one sample
$\|\delta x^\top\|_F=\|\delta\|\|x\|$. With shared weights the gradient in a weight is a sum over
the places where it is used, and sums cancel.
""",
    rebuttal=r"""
*The proof says that (25) and (26) hold for any deep network.* They do if the first layer is a
matrix that multiplies the input. All networks of the experiments begin with a convolution, where
$\nabla_W\ell$ is not $DX^\top$. *Mini-batches of images are linearly independent.* Usually, with
128 images of 3072 numbers; not if two of them are duplicates (Section 7.2), and not for the full
data, whose gradient Theorem 5.2 is about.
""",
    effect=r"""
$\kappa_m$ in Theorems 5.2 to 5.5 is a maximum of $k_g^2$. It is finite in the restricted setting
only.
""",
    prior_art="The chain rule.",
    chapter=CHAPTER,
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Shared weights.", _convolution),
        Check(Kind.EXACT, Role.REPAIRED, "Unshared weights.", _convolution_repaired),
        Check(Kind.EXACT, Role.REFUTES, "A duplicate with another label.", _twins),
        Check(Kind.EXACT, Role.REPAIRED, "One sample at a time.", _twins_repaired),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Independent inputs, fully connected.",
            lambda: derived(full_rank()),
        ),
    ),
)


def label_gradient() -> Derivation:
    """Least squares: the gradient in the input, and in the label."""
    import sympy

    w, x, y = sympy.symbols("w x y", real=True)
    slope = partial(sympy.Derivative, (w * x - y) ** 2 / 2)
    return Derivation(
        "Input and label",
        (
            Step("in the input: the weight times the residual", slope(x), w * (w * x - y)),
            Step("in the label: minus the residual", slope(y), -(w * x - y)),
            Step(
                "the lemma for one sample: k_g is |w| / |x|",
                slope(x) ** 2,
                (w / x) ** 2 * slope(w) ** 2,
            ),
        ),
    )


#: A sample whose weights are 0.
UNTRAINED = Run(FINISHING.loss, (((1,), 1),), (0,), Fraction(1, 2), 1)


def _label_counts() -> Evidence:
    run = UNTRAINED
    (w, *_) = run.paths()[0]
    ((x, y),) = run.data
    in_label = run.loss.slope(dot(w, x), Fraction(y)) ** 2
    bound = run.squared_k_g(w) * dot(run.gradient(w, run.data), run.gradient(w, run.data))
    summary = (
        rf"At $w=0$: $k_g=0$, $\nabla_x\ell=0$, and the square of the gradient in the label is "
        rf"{show(in_label)}. (8) says $0\le0$, (18) says ${show(in_label)}\le0$."
    )
    passed = in_label == 4 and bound == 0 and run.squares(0)[0] == 0
    return Evidence(passed, summary)


EQ_18 = Claim(
    id="orders-icml/eq-18",
    title="The gradient in the whole sample",
    paper="orders-icml",
    location="Appendix C.1, Eq. (18)",
    printed=r"$\|\nabla_{Z_b}\ell(\vec w_t,Z_b)\|_F\le k_g\|\nabla_{w_t}\ell(\vec w_t,Z_b)\|_F$",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"$\nabla_{X_b}$ is meant, as in (8) and in the proof: the gradient in the label is "
    "not bounded so.",
    holds=r"""
(8), which the proof treats: the gradient in $X_b$. With $Z_b=(X_b,Y_b)$ the gradient in the labels
would be included, and nothing bounds it.
""",
    proof="Executed.",
    rebuttal="*A slip of one letter.* So we take it; the main text has $X_b$.",
    effect="None.",
    prior_art="None needed.",
    chapter=CHAPTER,
    uses=("orders-icml/lemma-5.1",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "One sample.", lambda: derived(label_gradient())),
        Check(Kind.EXACT, Role.SEPARATES, "Weights at 0.", _label_counts),
    ),
)


CLAIMS = (LEMMA_5_1, EQ_18)
