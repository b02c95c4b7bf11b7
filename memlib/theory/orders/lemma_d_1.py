"""Lemma D.1 of the draft, and the identity (27) that it rests on: input and weight gradients."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.worlds import Data, total

NETWORK = "any neural network with input $X$"
FAT = r"$X$ has at least as many features as samples, and $s_X>0$"


@dataclass(frozen=True)
class Convolution:
    """A convolution with one weight and stride 1, then a linear layer: `f = sum(v_k w x_k)`.

    `free` gives every position its own weight, as a fully connected first layer has it.
    """

    x: tuple[Fraction, ...]
    weight: Fraction
    last: tuple[Fraction, ...]
    label: Fraction

    def residual(self) -> Fraction:
        """Prediction minus label."""
        return runs.dot(self.last, [self.weight * v for v in self.x]) - self.label

    def slope(self, step: "Convolution", back: "Convolution") -> Fraction:
        """Half the difference of the losses on both sides: exact, the loss is quadratic."""
        return (step.residual() ** 2 - back.residual() ** 2) / 4

    def differences(self) -> tuple[tuple[Fraction, ...], Fraction]:
        """The gradients in x and in the weight, by differences of half the squared residual."""

        def moved(k: int, by: int) -> "Convolution":
            return replace(self, x=tuple(v + by * (j == k) for j, v in enumerate(self.x)))

        in_x = tuple(self.slope(moved(k, 1), moved(k, -1)) for k, _ in enumerate(self.x))
        heavier, lighter = (replace(self, weight=self.weight + by) for by in (1, -1))
        return in_x, self.slope(heavier, lighter)

    def in_inputs(self) -> tuple[Fraction, ...]:
        """The gradient of half the squared residual in x."""
        return tuple(self.residual() * v * self.weight for v in self.last)

    def in_weight(self) -> Fraction:
        """The gradient in the one weight."""
        return self.residual() * runs.dot(self.last, self.x)

    def in_free(self) -> tuple[tuple[Fraction, ...], ...]:
        """The gradient in the full matrix from x to the hidden positions."""
        return tuple(tuple(self.residual() * v * x for x in self.x) for v in self.last)


SHARED = Convolution(
    (Fraction(1), Fraction(1)), Fraction(2), (Fraction(1), Fraction(-1)), Fraction(1)
)
#: Two copies of an input with different labels, and weights that fit their mean.
COPIES: Data = (((Fraction(1),), Fraction(0)), ((Fraction(1),), Fraction(2)))
MIDDLE = (Fraction(1),)


def _refuted() -> Evidence:
    inputs = runs.dot(SHARED.in_inputs(), SHARED.in_inputs())
    weights, length = SHARED.in_weight() ** 2, runs.dot(SHARED.x, SHARED.x)
    k_g = SHARED.weight**2 / length  # squared; s_X = 1
    summary = (
        rf"A convolution with one weight ($w=2$) over two positions, $x=(1,1)$, then $v=(1,-1)$; "
        rf"label 1. $k_g^2={show(k_g)}$, and (24) squared says ${show(inputs)}\le{show(k_g)}\cdot"
        rf"{show(weights)}$."
    )
    assumptions = {
        NETWORK: SHARED.differences() == (SHARED.in_inputs(), SHARED.in_weight()),
        FAT: length > 0,  # one sample that is not 0: P = 1
    }
    passed = (inputs, k_g, weights) == (8, 2, 0) and inputs > k_g * weights
    return Evidence(passed, summary, {}, assumptions, SHARED)


def _repaired() -> Evidence:
    inputs = runs.dot(SHARED.in_inputs(), SHARED.in_inputs())
    free = total(runs.dot(row, row) for row in SHARED.in_free())
    largest, smallest = SHARED.weight**2, runs.dot(SHARED.x, SHARED.x)
    summary = (
        r"With a weight of its own for each pair of an input and a position, "
        r"$\sigma_{min}(X)^2\|\nabla_X\|^2\le\sigma_{max}(W_1)^2\|\nabla_{W_1}\|^2$: "
        rf"${show(smallest * inputs)}\le{show(largest * free)}$, equality."
    )
    return Evidence(smallest * inputs == largest * free == 16, summary, {}, {}, SHARED)


def _copies() -> Evidence:
    m = len(COPIES)
    residuals = [runs.residual(MIDDLE, z) for z in COPIES]
    in_weight = total(r * z[0][0] for r, z in zip(residuals, COPIES, strict=True))
    inputs = total(g * g for z in COPIES for g in runs.input_gradient(MIDDLE, z))
    # P = X^T (X^T)^+ for X = (1 1): all entries 1/2.
    projector = [[u[0][0] * v[0][0] / Fraction(m) for v in COPIES] for u in COPIES]
    squared = [
        [total(a * b for a, b in zip(row, column, strict=True)) for column in projector]
        for row in projector
    ]
    singular = projector[0][0] * projector[1][1] == projector[0][1] * projector[1][0]
    summary = (
        rf"Two copies of an input with the labels 0 and 2, fitted in the mean: "
        rf"$\|\nabla_{{W_1}}\|={show(in_weight)}$ and $\|\nabla_X\|^2={show(inputs)}$. $P$ is a "
        r"projector of rank 1, so $s_X=0$ and no finite $k_g$ exists."
    )
    return Evidence(squared == projector and singular and (in_weight, inputs) == (0, 2), summary)


def smallest() -> Evidence:
    """A full-column-rank X does not shrink the rows of G by more than its least singular value."""
    import z3

    p, q, r, low, a, b = z3.Reals("p q r low a b")
    return decide(
        [p >= low, r >= low, (p - low) * (r - low) >= q * q],
        p * a * a + 2 * q * a * b + r * b * b >= low * (a * a + b * b),
        r"Two samples with Gram matrix $X^TX=\bigl(\begin{smallmatrix}p&q\\q&r\end{smallmatrix}"
        r"\bigr)\succeq\sigma^2I$: $\|GX^T\|^2\ge\sigma^2\|G\|^2$ for each row $(a,b)$ of $G$.",
    )


def largest() -> Evidence:
    """W_1 does not stretch the columns of G by more than its largest singular value."""
    import z3

    p, q, r, high, a, b = z3.Reals("p q r high a b")
    return decide(
        [p <= high, r <= high, (high - p) * (high - r) >= q * q],
        p * a * a + 2 * q * a * b + r * b * b <= high * (a * a + b * b),
        r"Two neurons with $W_1W_1^T=\bigl(\begin{smallmatrix}p&q\\q&r\end{smallmatrix}\bigr)"
        r"\preceq\sigma^2I$: $\|W_1^TG\|^2\le\sigma^2\|G\|^2$ for each column $(a,b)$ of $G$.",
    )


LEMMA_D_1 = Claim(
    id="orders/lemma-d.1",
    title="Input gradient bounded by weight gradient",
    paper="orders",
    location="Lemma D.1, Eq. (24) to (27)",
    printed=r"""
"For any neural network with input $X$",

$$\|\nabla_X\ell\|_F\le k_g\|\nabla_{W_1}\ell\|_F,\qquad
k_g=\frac{\|W_1^T\|_F\,\|(X^T)^+\|_F}{s_X},$$

$s_X$ being the smallest singular value of $X^T(X^T)^+$, and $X$ "a fat matrix".""",
    assumptions=(NETWORK, FAT),
    verdict=Verdict.FALSE,
    gist=r"True for a fully connected first layer and independent inputs, with "
    r"$\sigma_{max}(W_1)/\sigma_{min}(X)$ for $k_g$; not for convolutions.",
    holds=r"""
If the first layer is fully connected, $H=W_1X$ (with or without bias), and the loss depends on $X$
only through $H$,

$$\sigma_{min}(X)\,\|\nabla_X\ell\|_F\le\sigma_{max}(W_1)\,\|\nabla_{W_1}\ell\|_F,$$

where $\sigma_{min}(X)=\min_{|v|=1}|Xv|$; so $k_g=\sigma_{max}(W_1)/\sigma_{min}(X)$ when the inputs
are independent, and no constant does it when they are not. $X^T(X^T)^+$ is a projector: $s_X$ is 1
or 0, and the printed $k_g$ is either $\|W_1\|_F\|X^+\|_F$ (right, loose) or infinite. Per sample,
$\|x_i\|\,\|\nabla_{x_i}\ell_i\|\le\sigma_{max}(W_1)\|\nabla_{W_1}\ell_i\|_F$ always holds.
""",
    proof=r"""
With $G=\nabla_H\ell$: $\nabla_X=W_1^TG$ and $\nabla_{W_1}=GX^T$. So $\|\nabla_X\|_F\le
\sigma_{max}(W_1)\|G\|_F$, and $\|GX^T\|_F\ge\sigma_{min}(X)\|G\|_F$ row by row. Equality: one
neuron, one sample. If $Xv=0$, a $G$ with rows along $v$ has $\nabla_{W_1}=0$ and $\nabla_X\ne0$.

*Counterexample.* A convolution adds up the gradients of its positions in one weight; here they
cancel. The draft's networks begin with a convolution.
""",
    rebuttal=r"""
*The proof is for a fully connected layer, and a mini-batch of 128 images of 3072 numbers is fat.*
For that layer and such a batch the lemma is right, as long as no two inputs of the batch are equal
(the inputs of one batch seldom are; those of the duplicate experiment are when both copies meet). A
convolution is a linear map with *shared* weights. On the patches in place of inputs, (24) bounds
the gradient in the patches; there are far more patches than numbers in a patch, so that $s_X=0$.
""",
    effect=r"""
None on the experiments. What the theory says about ResNet18 needs another constant, and there is
none in general.
""",
    prior_art=r"""
$\nabla_X=W^TG$ and $\nabla_W=GX^T$ are the rules of backpropagation.
""",
    chapter="part2/inputs-and-weights",
    uses=("orders/eq-27",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A convolution with one weight.", _refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The same layer without sharing.", _repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "The factor of the inputs.", smallest),
        Check(Kind.DECIDED, Role.SUPPORTS, "The factor of the weights.", largest),
        Check(Kind.EXACT, Role.SHARP, "Equal inputs have no constant.", _copies),
    ),
)


# Eq. 27 ------------------------------------------------------------------------------------------

#: Where the identity with a skip connection is evaluated.
AT = {
    **{f"{name}{k}": 0 for name in "wx" for k in range(4)},
    **{f"{name}{k}": 0 for name in "vy" for k in range(2)},
    "x0": 1,
    "y0": -1,
}
#: Rows and columns of W_1 (neurons, features) and of X (features, samples).
SIZES = (2, 2, 2)


def two_layers(skip: Any) -> Any:
    """A network of two layers with a quadratic activation, and its gradients by differentiation.

    Args:
        skip: Weight of a connection from the inputs to the outputs that passes the first layer by.

    Returns:
        The matrix that (27) says is zero: `W_1^T` times the gradient in W_1, minus the gradient in
        X times `X^T`.
    """
    import sympy

    h, n, m = SIZES
    w, x = sympy.Matrix(h, n, sympy.symbols("w:4")), sympy.Matrix(n, m, sympy.symbols("x:4"))
    last, labels = sympy.Matrix([sympy.symbols("v:2")]), sympy.Matrix([sympy.symbols("y:2")])
    hidden = (w * x).applyfunc(lambda u: u * u)
    residual = last * hidden + skip * sympy.ones(1, n) * x - labels
    (loss,) = residual * residual.T
    in_w = sympy.Matrix(h, n, [loss.diff(v) for v in w])
    in_x = sympy.Matrix(n, m, [loss.diff(v) for v in x])
    return (w.T * in_w - in_x * x.T).expand()


def _identity() -> Evidence:
    steps = tuple(Step(f"entry {k}", entry, 0) for k, entry in enumerate(two_layers(0)))
    return derived(
        Derivation("(27) on two layers with a quadratic activation, entry by entry", steps)
    )


def _skip() -> Evidence:
    gap = two_layers(1)
    (first, *_) = gap.subs(AT)
    summary = (
        rf"With a connection from the inputs to the outputs, one input of 1, one label of $-1$, "
        rf"and "
        rf"all else 0, the first entry of $W_1^T\nabla_{{W_1}}-\nabla_XX^T$ is ${first}$."
    )
    return Evidence(first == -4, summary)


EQ_27 = Claim(
    id="orders/eq-27",
    title="Weights times weight gradient equal input gradient times inputs",
    paper="orders",
    location="Appendix D.1, Eq. (25), (26) and (27)",
    printed=r"""
$$W_1^T\nabla_{W_1}\ell(X,Y)=\nabla_X\ell(X,Y)\,X^T.$$""",
    assumptions=("a fully connected first layer",),
    verdict=Verdict.HOLDS,
    gist=r"True for every loss that depends on $X$ through $W_1X$ only; both sides are "
    r"$W_1^TGX^T$.",
    holds=r"""
(27) holds for every loss of the form $F(W_1X)$: any depth, any activation, with bias. It fails if
the inputs reach the output by another way (a skip connection) or if weights are shared. (25) and
(26) want brackets: $\nabla_X=W_1^T\bigl(W_2^T\nabla_{\hat Y}\odot\sigma'(H)\bigr)$, since $\odot$
joins matrices of the size of $H$.
""",
    proof=r"""
With $H=W_1X$ and $G=\nabla_H\ell$ the chain rule gives $\nabla_X=W_1^TG$, $\nabla_{W_1}=GX^T$. Both
sides are $W_1^TGX^T$.
""",
    rebuttal="*The missing brackets are clear from the sizes.* They are.",
    effect="Lemmas D.1 and D.2 and (36) rest on it, and for that they rest on a true identity.",
    prior_art=r"""
Backpropagation. The scaling form $\langle W_1,\nabla_{W_1}\rangle=\langle X,\nabla_X\rangle$ is its
trace.
""",
    chapter="part2/inputs-and-weights",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Two layers, differentiated.", _identity),
        Check(Kind.EXACT, Role.SHARP, "A skip connection breaks it.", _skip),
    ),
)


CLAIMS = (LEMMA_D_1, EQ_27)
