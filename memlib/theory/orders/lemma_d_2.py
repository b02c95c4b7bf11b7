"""Lemma D.2 of the draft: weight Hessian and input Hessian."""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.orders.lemma_d_1 import largest, smallest
from memlib.theory.worlds import total

HESSIAN = r"the Hessian of the loss is $\rho$-Lipschitz (Eq. 17)"
NETWORK = "any neural network with input $X$"
SINGULAR = (
    r"$s_{W_1}$, $s_{W_1^+}$ (not defined) are positive: the singular values of $W_1$ and $W_1^+$"
)


@dataclass(frozen=True)
class Pair:
    """A linear network with one input and two neurons, `f = last . (w x)`, and label 0."""

    x: Fraction
    w: tuple[Fraction, Fraction]
    last: tuple[Fraction, Fraction]

    def loss(self, x: Fraction, w: tuple[Fraction, ...]) -> Fraction:
        """Half the squared output: quadratic in x and in w."""
        return total(a * b * x for a, b in zip(self.last, w, strict=True)) ** 2 / 2

    def in_inputs(self) -> Fraction:
        """The second derivative in x, by differences (exact, and the same for every x)."""
        up, down = self.loss(self.x + 1, self.w), self.loss(self.x - 1, self.w)
        return up + down - 2 * self.loss(self.x, self.w)

    def in_weights(self) -> tuple[tuple[Fraction, ...], ...]:
        """The Hessian in w, by differences (exact)."""

        def moved(*places: int) -> Fraction:
            return self.loss(self.x, tuple(v + places.count(k) for k, v in enumerate(self.w)))

        pair = range(len(self.w))
        return tuple(tuple(moved(i, j) - moved(i) - moved(j) + moved() for j in pair) for i in pair)


#: Two neurons that cancel, and a unit vector (times the root of 2) that W_1^T maps to 0.
CANCEL = Pair(Fraction(2), (Fraction(1), Fraction(1)), (Fraction(1), Fraction(-1)))
ACROSS = (Fraction(1), Fraction(-1))
#: Other inputs, to see that the input Hessian of the instance is constant.
ELSEWHERE = tuple(Fraction(k) for k in (-3, 0, 5))


def _squared(matrix: tuple[tuple[Fraction, ...], ...]) -> Fraction:
    return total(v * v for row in matrix for v in row)


def _refuted() -> Evidence:
    inputs, weights = CANCEL.in_inputs(), _squared(CANCEL.in_weights())
    norm = total(w * w for w in CANCEL.w)  # the square of the one singular value of W_1
    k_h = CANCEL.x**2 / norm  # and the one of its pseudo-inverse is 1 over it
    summary = (
        rf"Two neurons of a linear network that cancel: $f(x)=w_1x-w_2x$, $w=(1,1)$, $x=2$. The "
        rf"loss is the same for all $x$: $\nabla_X^2={show(inputs)}$, while "
        rf"$\|\nabla_{{W_1}}^2\|_F^2={show(weights)}$. Printed, with $k_h={show(k_h)}$: "
        rf"$\sqrt{{{show(weights)}}}\le{show(k_h)}\cdot{show(inputs)}$."
    )
    assumptions = {
        HESSIAN: {replace(CANCEL, x=x).in_inputs() for x in ELSEWHERE} == {inputs},
        NETWORK: len(CANCEL.w) == len(CANCEL.last),
        SINGULAR: min(norm, k_h) > 0,
    }
    passed = (inputs, weights, k_h) == (0, 64, 2) and weights > (k_h * inputs) ** 2
    return Evidence(passed, summary, {}, assumptions, CANCEL)


def _repaired() -> Evidence:
    inputs, weights = CANCEL.in_inputs(), _squared(CANCEL.in_weights())
    least = total(a * w for a, w in zip(ACROSS, CANCEL.w, strict=True))
    left, right = least * weights, total(x * x for x in (CANCEL.x,)) * inputs
    summary = (
        r"$W_1^T$ maps $(1,-1)$ to 0, so $\min_{|v|=1}|W_1^Tv|=0$, and "
        r"$\sigma_{min}(W_1^T)^2\|\nabla^2_{W_1}\|\le\sigma_{max}(X)^2\|\nabla_X^2\|$ reads "
        rf"${show(left)}\le{show(right)}$ here."
    )
    return Evidence(left == right == 0 < weights, summary, {}, {}, CANCEL)


def _identity() -> Evidence:
    import sympy

    w = sympy.Matrix(*SIZES, sympy.symbols("w:4"))
    x = sympy.Matrix(sympy.symbols("x:2"))
    first, second = w * x
    loss = first * first * second  # any function of W_1 x will do
    places = range(len(x))
    steps = [
        Step(
            f"entry {i}{j}{k}{m}",
            sympy.expand(
                sum(w[a, i] * w[b, j] * loss.diff(w[a, k], w[b, m]) for a in places for b in places)
            ),
            loss.diff(x[i], x[j]) * x[k] * x[m],
        )
        for i, j, k, m in product(places, repeat=len(SIZES) + len(SIZES))
    ]
    return derived(Derivation("The identity of D.2, entry by entry", tuple(steps)))


#: Rows and columns of W_1 in the symbolic check.
SIZES = (2, 2)


LEMMA_D_2 = Claim(
    id="orders/lemma-d.2",
    title="Weight Hessian bounded by input Hessian",
    paper="orders",
    location="Lemma D.2, Eq. (28) to (30)",
    printed=r"""
If the Hessian is $\rho$-Lipschitz, "then for any neural network with input $X$",

$$\|\nabla^2_{W_1}\ell\|_F\le k_h\|\nabla^2_X\ell\|_F,\qquad
k_h=\frac{\|(W_1^T)^+\|_F^2\,\|X^T\|_F^2}{s_{W_1}s_{W_1^+}}.$$

The text before it says that the *input* Hessian is bounded by the weight Hessian.""",
    assumptions=(HESSIAN, NETWORK, SINGULAR),
    verdict=Verdict.FALSE,
    gist=r"True for $h\le n$ neurons of full rank, with "
    r"$k_h=(\sigma_{max}(X)/\sigma_{min}(W_1))^2$; "
    r"false with more neurons than inputs.",
    holds=r"""
If the first layer is fully connected and the loss depends on $X$ only through $W_1X$,

$$\sigma_{min}(W_1^T)^2\,\|\nabla^2_{W_1}\ell\|_F\le\sigma_{max}(X)^2\,\|\nabla_X^2\ell\|_F,$$

with $\sigma_{min}(W_1^T)=\min_{|v|=1}|W_1^Tv|$, without any Lipschitz condition. That gives
$k_h=(\sigma_{max}(X)/\sigma_{min}(W_1))^2$ when the $h$ rows of $W_1$ are independent, so for
$h\le n$, and nothing when $h>n$. If the printed $s$ belong to projectors, $k_h$ is right and loose
for independent rows, and infinite else; if they are singular values of $W_1$ and $W_1^+$, (28) is
false. The direction that the text announces is
$\sigma_{min}(X)^2\|\nabla^2_X\|\le\sigma_{max}(W_1)^2\|\nabla^2_{W_1}\|$, and holds likewise.
""",
    proof=r"""
Let $Q$ be the Hessian of the loss in $H=W_1X$, as a matrix on vectorized $H$. The chain rule gives
$\nabla^2_X=(I\otimes W_1^T)Q(I\otimes W_1)$ and $\nabla^2_{W_1}=(X\otimes I)Q(X^T\otimes I)$: no
other terms, since $H$ is linear in each. So $\|\nabla^2_{W_1}\|_F\le\sigma_{max}(X)^2\|Q\|_F$, and
$\|\nabla^2_X\|_F\ge\sigma_{min}(W_1^T)^2\|Q\|_F$, a side at a time as in Lemma D.1. Equality: one
neuron, one sample.

*Counterexample.* $W_1^TQW_1=0$ with $Q\ne0$ needs a direction that $W_1^T$ loses, so $h>n$: two
neurons and one input are the least.
""",
    rebuttal=r"""
*Take $s_{W_1}$ as in E.4, as the smallest singular value of a projector.* Then the lemma is true
and, for layers wider than their input, empty: $k_h=\infty$. *A wide first layer is not what
convolutions have.* Shared weights break the chain rule used here (see Lemma D.1).
""",
    effect=r"""
Theorem 4.6's constant $C_2$ is finite only for a first layer that is not wider than the input.
""",
    prior_art=r"""
Chain rule; Kronecker structure of layer Hessians.
""",
    chapter="part2/inputs-and-weights",
    uses=("orders/eq-27",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Two neurons that cancel.", _refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The division-free bound there.", _repaired),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The identity that (28) rests on.", _identity),
        Check(Kind.DECIDED, Role.SUPPORTS, "The factor of the weights, from below.", smallest),
        Check(Kind.DECIDED, Role.SUPPORTS, "The factor of the inputs, from above.", largest),
    ),
)


CLAIMS = (LEMMA_D_2,)
