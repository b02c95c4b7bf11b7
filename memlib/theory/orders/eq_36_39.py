"""Equations (35) to (39) of the draft: from the PL condition to the input gradient."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.orders.lemma_d_1 import largest, smallest
from memlib.theory.orders.lemma_d_2 import ACROSS, CANCEL
from memlib.theory.orders.thm_4_3 import PL, RESULT_36, in_proof, right, transformation
from memlib.theory.worlds import Sample, total

RANK = r"$s_W$, the smallest singular value of $(W_1^T)^+W_1^T$, is positive"
OWN = "the sample is its own reference, so that (33) is an identity"


@dataclass(frozen=True)
class Fitted:
    """One weight, one sample (label 1), one step of gradient descent that fits it."""

    x: Fraction
    w: Fraction

    def sample(self) -> Sample:
        """The sample."""
        return (self.x,), Fraction(1)

    def run(self) -> tuple[runs.Vector, ...]:
        """The weights before and after the step."""
        return runs.descend((self.sample(),), (self.w,), 1 / self.x**2, 1)

    def gap(self) -> Fraction:
        """The loss before the step; the least loss is 0."""
        return runs.loss(self.run()[0], self.sample())

    def in_weight(self) -> Fraction:
        """The squared gradient in the weight before the step."""
        return (runs.residual(self.run()[0], self.sample()) * self.x) ** 2

    def in_input(self) -> Fraction:
        """The squared gradient in the input before the step."""
        return runs.squared_gradients(self.run(), self.sample())[0]

    def k_gw(self) -> Fraction:
        """The printed constant of (36) before the step."""
        return transformation(self.run()[0], (self.x,))

    def mu(self) -> Fraction:
        """The PL constant."""
        return self.x**2


#: For (37): a large input at a small weight. For (39): both small, so that all three M agree.
LARGE = Fitted(Fraction(2), Fraction(1))
SMALL = Fitted(Fraction(1, 2), Fraction(1, 2))
#: A network of two layers with one number each and x = 1, label 1, whose last layer is 0.
LAST_ZERO = (Fraction(1), Fraction(0))


# Eq. 36 ------------------------------------------------------------------------------------------


def _attained() -> Evidence:
    k_gw = LARGE.k_gw()
    left, tight = LARGE.in_weight(), k_gw**2 * LARGE.in_input()
    summary = (
        rf"One neuron, one input ($x=2$, $w=1$): $k_{{gw}}={show(k_gw)}$ and, squared, "
        rf"${show(left)}\le{show(tight)}$, equality."
    )
    return Evidence((k_gw, left) == (2, tight), summary)


def _wide() -> Evidence:
    slope = total(a * w for a, w in zip(CANCEL.last, CANCEL.w, strict=True))
    residual = slope * CANCEL.x - CANCEL.x  # label x
    inputs = (residual * slope) ** 2
    weights = total((residual * a * CANCEL.x) ** 2 for a in CANCEL.last)
    across = total(a * w for a, w in zip(ACROSS, CANCEL.w, strict=True))
    summary = (
        r"Two neurons that cancel, one input: $W_1^T$ maps $(1,-1)$ to "
        rf"{show(across)}, so $s_W=0$ and $k_{{gw}}=\infty$. No finite constant will do: "
        rf"$\|\nabla_X\|^2={show(inputs)}$ and $\|\nabla_{{W_1}}\|^2={show(weights)}$."
    )
    return Evidence((across, inputs, weights) == (0, 0, 32), summary)


EQ_36 = Claim(
    id="orders/eq-36",
    title="Weight gradient bounded by input gradient",
    paper="orders",
    location="Appendix E.4, Eq. (35) and (36)",
    printed=r"""
$$\|\nabla_{W_1}\ell\|_F\le k_{gw}\|\nabla_X\ell\|_F,\qquad
k_{gw}=\frac{\|(W_1^T)^+\|_F\,\|X^T\|_F}{s_W},$$

$s_W$ being the smallest singular value of $(W_1^T)^+W_1^T$.""",
    assumptions=("a fully connected first layer", RANK),
    verdict=Verdict.LOOSE,
    gist=r"True for a first layer of full row rank; the sharp constant is "
    r"$\sigma_{max}(X)/\sigma_{min}(W_1)$, and $\infty$ for $h>n$.",
    holds=r"""
For a fully connected first layer, $\sigma_{min}(W_1^T)\|\nabla_{W_1}\|_F\le\sigma_{max}(X)
\|\nabla_X\|_F$ with $\sigma_{min}(W_1^T)=\min_{|v|=1}|W_1^Tv|$. So
$k_{gw}=\sigma_{max}(X)/\sigma_{min}(W_1)$ if the rows of $W_1$ are independent. $s_W$ belongs to a
projector, and is 1 then, or 0: with more neurons than inputs $k_{gw}=\infty$, and no finite
constant exists.
""",
    proof=r"""
$\nabla_{W_1}=GX^T$ and $\nabla_X=W_1^TG$ (27): $\|GX^T\|_F\le\sigma_{max}(X)\|G\|_F$ and
$\|W_1^TG\|_F\ge\sigma_{min}(W_1^T)\|G\|_F$. Frobenius norms in place of $\sigma_{max}(X)$ and
$1/\sigma_{min}(W_1)$ only increase the constant. Equality: one neuron, one sample.
""",
    rebuttal=r"""
*The constant is only meant to exist.* It does, for layers that are not wider than their input. The
constant moves during training with $W_1$; (38) and (39) treat it as one number.
""",
    effect=r"""
$\mathcal M$ of Theorem 4.3 is made of it.
""",
    prior_art="Backpropagation and singular values.",
    chapter="part2/inputs-and-weights",
    uses=("orders/eq-27",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The factor of the weights, from below.", smallest),
        Check(Kind.DECIDED, Role.SUPPORTS, "The factor of the inputs, from above.", largest),
        Check(Kind.EXACT, Role.ATTAINED, "One neuron, one input.", _attained),
        Check(Kind.EXACT, Role.SHARP, "More neurons than inputs.", _wide),
    ),
)


# Eq. 37 ------------------------------------------------------------------------------------------


def _assumptions(case: Fitted) -> dict[str, bool]:
    return {
        PL: case.in_weight() / 2 >= case.mu() * case.gap(),
        RESULT_36: case.in_weight() <= case.k_gw() * case.k_gw() * case.in_input(),
    }


def _inverted() -> Evidence:
    left, m = LARGE.in_input() / 2, in_proof(LARGE.k_gw(), LARGE.mu())
    summary = (
        rf"One weight, one sample ($x=2$, $w=1$): $\mathcal M=k_{{gw}}^2\mu={show(m)}$, and (37) "
        rf"reads ${show(left)}\ge{show(m * LARGE.gap())}$."
    )
    passed = (left, m) == (Fraction(1, 2), 16) and left < m * LARGE.gap()
    return Evidence(passed, summary, {}, _assumptions(LARGE), LARGE)


def _upright() -> Evidence:
    left, m = LARGE.in_input() / 2, LARGE.mu() / LARGE.k_gw() ** 2
    summary = (
        rf"With $\mu/k_{{gw}}^2={show(m)}$ there: ${show(left)}\ge{show(m * LARGE.gap())}$, "
        rf"equality."
    )
    return Evidence(left == m * LARGE.gap(), summary, {}, {}, LARGE)


def chain() -> Derivation:
    """From (36) and PL to the input gradient; every slack is a non-negative symbol."""
    import sympy

    k, mu = sympy.symbols(r"k_{gw} \mu", positive=True)
    gap, a, b = sympy.symbols(r"\Delta a b", nonnegative=True)
    weights = 2 * mu * gap + a  # PL, with slack a
    inputs = weights / k**2 + b  # (36), with slack b
    return Derivation(
        "The right (37)",
        (
            Step(
                "half the squared input gradient",
                inputs / 2,
                mu / k**2 * gap,
                ">=",
                a / (2 * k**2) + b / 2,
            ),
        ),
    )


EQ_37 = Claim(
    id="orders/eq-37",
    title="The PL condition, moved to the input gradient",
    paper="orders",
    location="Appendix E.4, Eq. (37) and (38)",
    printed=r"""
From $\frac12\|\nabla_{W_1}\ell\|^2\ge\mu[\ell-\ell_*]$, multiplied by $k_{gw}^2$,

$$\tfrac12\|\nabla_X\ell(\vec w)\|_2^2\ge\mathcal M\,[\ell(\vec w)-\ell(\vec w_*)],$$

with $\mathcal M=k_{gw}^2\mu$; (38) is its sum over $t$.""",
    assumptions=(PL, RESULT_36),
    verdict=Verdict.FALSE,
    gist=r"$\frac12\|\nabla_X\|^2\ge\frac\mu{k_{gw}^2}(\ell-\ell^*)$: the factor is divided by "
    r"$k_{gw}^2$, not multiplied.",
    holds=r"""
$\frac12\|\nabla_X\ell\|^2\ge\frac\mu{k_{gw}^2}(\ell-\ell^*)$, and the same for sums over $t$ with
$k_{gw}$ the largest of the run. (37) as printed needs $k_{gw}\le1$ on top.
""",
    proof=r"""
(36) bounds $\|\nabla_{W_1}\|$ by $k_{gw}\|\nabla_X\|$, so
$\|\nabla_X\|^2\ge\|\nabla_{W_1}\|^2/k_{gw}^2 \ge2\mu(\ell-\ell^*)/k_{gw}^2$. E.4 uses (36) the
other way round: from $k_{gw}^2\|\nabla_{W_1}\|^2\ge\dots$ it passes to $\|\nabla_X\|^2\ge\dots$, as
if $\|\nabla_X\|\ge k_{gw}\|\nabla_{W_1}\|$.
""",
    rebuttal=r"""
*A matter of naming: call $1/k_{gw}$ what (36) calls $k_{gw}$.* Then (36), (37) and the statement of
Theorem 4.3 (which has $k_{gw}\mu$) still disagree with one another, and (39) needs another change.
""",
    effect="It enters the constant of Theorems 4.3 and 4.6.",
    prior_art="Polyak (1963); Karimi, Nutini and Schmidt (2016).",
    chapter="part2/loss-gradient-and-learning-time",
    uses=("orders/eq-36", "orders/eq-19"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A large input at a small weight.", _inverted),
        Check(Kind.EXACT, Role.REPAIRED, "The right factor there.", _upright),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The right (37).", lambda: derived(chain())),
    ),
)


# Eq. 39 ------------------------------------------------------------------------------------------


def _upstairs() -> Evidence:
    m, inputs, gap = in_proof(SMALL.k_gw(), SMALL.mu()), SMALL.in_input(), SMALL.gap()
    bound, run = m / 2 * inputs, SMALL.run()
    losses = runs.losses(run, SMALL.sample())
    left = total(a - b for a, b in pairwise(losses))  # T_a = T_b = 1
    summary = (
        rf"One weight, one sample, one step ($x=w=\tfrac12$): $k_{{gw}}={show(SMALL.k_gw())}$, so "
        rf"that "
        rf"all three readings of $\mathcal M$ give {show(m)}, and (38) is an equality. (39) reads "
        rf"${show(left)}\le{show(bound)}$."
    )
    assumptions = {**_assumptions(SMALL), OWN: left == gap}
    passed = (gap, bound) == (Fraction(9, 32), Fraction(9, 512)) and left > bound
    return Evidence(passed and inputs / 2 == m * gap, summary, {}, assumptions, SMALL)


def _downstairs() -> Evidence:
    bound = right(SMALL.k_gw(), SMALL.mu()) / 2 * SMALL.in_input()
    summary = rf"With $k_{{gw}}^2/\mu$ there: ${show(SMALL.gap())}\le{show(bound)}$, equality."
    return Evidence(bound == SMALL.gap(), summary, {}, {}, SMALL)


def turned() -> Derivation:
    """(38) solved for the loss gaps, and the terms that telescoping gives away."""
    import sympy

    m = sympy.symbols("M", positive=True)
    gaps, a, later = sympy.symbols("D a r", nonnegative=True)
    squares = 2 * m * gaps + a  # (38), with slack a
    return Derivation(
        "From (38) to the right (39)",
        (
            Step("the sum of the loss gaps", gaps, squares / (2 * m), "<=", a / (2 * m)),
            Step("the decreases: one gap less, at the end", gaps - later, gaps, "<=", later),
        ),
    )


EQ_39 = Claim(
    id="orders/eq-39",
    title="From the input gradient back to the loss",
    paper="orders",
    location="Appendix E.4, Eq. (38) to (39)",
    printed=r"""
From $\frac12\sum_t\|\nabla_X\ell(w_t)\|^2\ge\mathcal M\sum_t[\ell(w_t)-\ell(w_*)]$,

$$T_a\,\mathbb E_t[\ell(\vec w_0)-\ell(\vec w_{T_b})]\le T_b\sum_{t=0}^{T_a-1}
[\ell(\vec w_t)-\ell(\vec w_*)]\le\frac{\mathcal MT_b}2\sum_{t=0}^{T_a-1}
\|\nabla_X\ell(\vec w_t)\|_2^2.$$""",
    assumptions=(PL, RESULT_36, OWN),
    verdict=Verdict.FALSE,
    gist=r"$\sum_t(\ell_t-\ell^*)\le\frac1{2\mathcal M}\sum_t\|\nabla_X\ell_t\|^2$: the constant "
    r"of "
    r"(38) goes downstairs.",
    holds=r"""
The first inequality is right, given (33). From (38) with any $\mathcal M>0$ follows
$\sum_t(\ell_t-\ell^*)\le\frac1{2\mathcal M}\sum_t\|\nabla_X\ell_t\|^2$; with the right
$\mathcal M=\mu/k_{gw}^2$ the factor is $\frac{k_{gw}^2}{2\mu}$. As printed, it needs
$\mathcal M\ge1$.
""",
    proof=r"""
Divide (38) by $\mathcal M$. Telescoping:
$\sum_{t<T}(\ell_t-\ell_{t+1})\le\sum_{t<T}(\ell_t-\ell^*)$, since $\ell_{t+1}\ge\ell^*$.
""",
    rebuttal=r"""
*Let $\mathcal M$ denote the inverse from here on.* Then the theorem's definition of $\mathcal M$ is
that of (37), not that of (39).
""",
    effect="As for (37).",
    prior_art="Arithmetic.",
    chapter="part2/loss-gradient-and-learning-time",
    uses=("orders/eq-37", "orders/eq-33"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "One weight, one step; (38) holds.", _upstairs),
        Check(Kind.EXACT, Role.REPAIRED, "The right factor there.", _downstairs),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The right (39).", lambda: derived(turned())),
    ),
)


# The first layer ---------------------------------------------------------------------------------


def _first_layer() -> Evidence:
    w, v = LAST_ZERO
    residual = v * w - 1
    in_w, in_v, gap = (residual * v) ** 2, (residual * w) ** 2, residual**2 / 2
    mu = w * w + v * v
    summary = (
        rf"$f=vwx$ with $w=1$, $v=0$, $x=1$, label 1: PL in all weights holds with "
        rf"$\mu={show(mu)}$ "
        rf"(${show((in_w + in_v) / 2)}\ge{show(mu * gap)}$), while the first layer's gradient is "
        rf"{show(in_w)} at a loss of {show(gap)}."
    )
    return Evidence((in_w, (in_w + in_v) / 2, gap) == (0, mu * gap, Fraction(1, 2)), summary)


def whole() -> Derivation:
    """PL of a linear network of two layers with one number each, x = 1."""
    import sympy

    v, w, y = sympy.symbols("v w y", real=True)
    residual = v * w - y
    in_w, in_v = (sympy.Derivative(residual**2 / 2, weight) ** 2 for weight in (w, v))
    return Derivation(
        "PL in all weights of f = v w, and in the first",
        (
            Step("all weights", (in_w + in_v) / 2, (v**2 + w**2) * residual**2 / 2),
            Step("the first alone", in_w / 2, v**2 * residual**2 / 2),
        ),
    )


FIRST_LAYER = Claim(
    id="orders/e4-first-layer",
    title="The PL condition is used in the first layer",
    paper="orders",
    location="Appendix E.4, the first line of (37), against Eq. (19)",
    printed=r"""
(19): $\frac12\|\nabla_w\ell\|^2\ge\mu[\ell-\ell^*]$. E.4: "Let $\ell$ satisfy $\mu$-PL condition
then we have" $\frac12\|\nabla_{W_1}\ell\|^2\ge\mu[\ell-\ell_*]$.""",
    assumptions=(PL,),
    verdict=Verdict.GAP,
    gist="PL in all weights does not give PL in the first layer; it must be assumed, and is "
    "stronger.",
    holds=r"""
PL in $W_1$ alone implies PL in all weights, not conversely. For $f=vwx$ (two layers, one number
each, $|x|=1$) PL holds in all weights with $\mu=v^2+w^2$, in the first layer with $\mu=v^2$.
""",
    proof=r"""
$\|\nabla_w\|^2=\|\nabla_{W_1}\|^2+\dots\ge\|\nabla_{W_1}\|^2$. For $f=vwx$ the two squared
gradients are $r^2v^2$ and $r^2w^2$, and the loss is $r^2/2$.
""",
    rebuttal=r"""
*E.1 says that $w$ stands for the weights of the first layer throughout.* Under that reading (19)
is the stronger condition, for the first layer, and this step is no step. Wide networks near
initialization are argued to satisfy PL in all weights (Liu, Zhu and Belkin, 2022); that supports
the weaker one.
""",
    tried=r"""
The instance has a first layer without gradient, and so breaks the step as an implication between
the two conditions, and (37) with it, but at a single point. We did not look for a run that breaks
Theorem 4.3 by this step alone: with (19) read for the first layer there is none.
""",
    effect="One more hypothesis in Theorems 4.3 and 4.6.",
    prior_art="Karimi, Nutini and Schmidt (2016); Liu, Zhu and Belkin (2022).",
    chapter="part2/loss-gradient-and-learning-time",
    uses=("orders/eq-19",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "A last layer of 0.", _first_layer),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Both constants.", lambda: derived(whole())),
    ),
)


CLAIMS = (EQ_36, EQ_37, EQ_39, FIRST_LAYER)
