"""Theorem B.1 of the draft, and Eq. (31): the convergence of the input gradient."""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, enumerate_all, show
from memlib.theory.orders.instances import MOMENT, SMOOTH, UNBIASED
from memlib.theory.worlds import Sample, total

LAYERS = MOMENT[:-1] + ", for the weights of each layer $k$)"
FINITE = r"$k_g^t$ is the constant of Lemma D.1, and finite"


@dataclass(frozen=True)
class Net:
    """A linear network of two layers with one number each, `f = v w x`, and one sample.

    It takes one step of gradient descent on half the squared residual.
    """

    x: Fraction
    w: Fraction
    v: Fraction
    label: Fraction
    rate: Fraction

    def gradients(self, step: Any) -> tuple[Any, Any, Any]:
        """The gradients in w, v and x after a part of the step, from 0 to the whole step size."""
        w, v = self.at(step)
        r = self.residual(step)
        return r * v * self.x, r * w * self.x, r * v * w

    def at(self, step: Any) -> tuple[Any, Any]:
        """The weights after a part of the step."""
        r = self.v * self.w * self.x - self.label
        return self.w - step * r * self.v * self.x, self.v - step * r * self.w * self.x

    def turn(self, step: Any) -> tuple[Any, Any]:
        """The derivatives of the gradients in w and v with respect to the part of the step."""
        (w, v), r = self.at(step), self.residual(step)
        first = self.v * self.w * self.x - self.label
        dw, dv = -first * self.v * self.x, -first * self.w * self.x
        dr = (dv * w + v * dw) * self.x
        return (dr * v + r * dv) * self.x, (dr * w + r * dw) * self.x

    def residual(self, step: Any) -> Any:
        """Prediction minus label."""
        w, v = self.at(step)
        return v * w * self.x - self.label

    def loss(self, step: Any) -> Any:
        """Half the squared residual."""
        return self.residual(step) ** 2 / 2

    def kappa(self) -> Fraction:
        """The squared constant of Lemma D.1 before the step."""
        return (self.w / self.x) ** 2


NET = Net(Fraction(1), Fraction(1), Fraction(1), Fraction(11, 10), Fraction(3, 2))
#: A Lipschitz constant of the gradient, in the weights of the step and in x.
SMOOTHNESS = Fraction(3)
#: Runs of one weight: inputs, starts, rates times x squared, number of steps.
INPUTS, STARTS = (Fraction(1, 10), Fraction(1), Fraction(3)), (Fraction(-2), Fraction(5))
SPEEDS, TARGET, STEPS = (Fraction(1, 4), Fraction(1), Fraction(5, 2)), (Fraction(1),), (1, 3)


def right_side(kappas: Any, drops: Any, rate: Any, smooth: Any, gamma_squared: Any) -> Any:
    """The right side of (23): one kappa and one decrease of the loss per step."""
    first = sum(k * d for k, d in zip(kappas, drops, strict=True)) / rate
    return first + rate * smooth * gamma_squared * sum(kappas) / 2


def _smooth(net: Net) -> bool:
    """The gradient between all points of the step, over the distance; and in x, at both ends."""
    import z3

    step = z3.Real("step")
    *layers, _ = net.gradients(net.rate - net.rate)
    moved = total(g * g for g in layers)  # the squared length of the step, per unit
    steepest = decide(
        [step >= 0, step <= net.rate],
        sum(t * t for t in net.turn(step)) <= SMOOTHNESS**2 * moved,
        "",
    )
    ends = [net.at(net.rate), (net.w, net.v)]
    return steepest.passed and all((v * w) ** 2 <= SMOOTHNESS for w, v in ends)


def _refuted() -> Evidence:
    first, second, in_x = NET.gradients(0)
    gamma, kappa = max(first**2, second**2), NET.kappa()
    drop = NET.loss(0) - NET.loss(NET.rate)
    right = right_side([kappa], [drop], NET.rate, SMOOTHNESS, gamma)
    summary = (
        rf"A linear network of two layers with one number each ($x=w=v=1$, label "
        rf"$\tfrac{{11}}{{10}}$),"
        rf" one step with $\eta=\tfrac32$. Both layers have the squared gradient {show(gamma)}, so "
        rf"$\Gamma^2$ is that; $\mathcal L=3$, $k_g=1$. Printed: "
        rf"${float(in_x**2)}\le{float(right):.5f}$."
    )
    assumptions = {
        SMOOTH: _smooth(NET),
        LAYERS: first**2 <= gamma and second**2 <= gamma,
        UNBIASED: NET.at(NET.rate) == (NET.w - NET.rate * first, NET.v - NET.rate * second),
        FINITE: kappa * first**2 == in_x**2,
    }
    pinned = (in_x**2, right) == (Fraction(1, 100), Fraction(4479, 480_000))
    return Evidence(pinned and in_x**2 > right, summary, {}, assumptions, NET)


def _repaired() -> Evidence:
    *layers, in_x = NET.gradients(0)
    whole = total(g * g for g in layers)
    drop = NET.loss(0) - NET.loss(NET.rate)
    right = right_side([NET.kappa()], [drop], NET.rate, SMOOTHNESS, whole)
    summary = (
        rf"With $\Gamma^2={show(whole)}$ for the gradient in both layers, on the same step: "
        rf"${float(in_x**2)}\le{float(right):.5f}$."
    )
    passed = right == Fraction(15279, 480_000) and in_x**2 <= right
    return Evidence(passed, summary, {}, {}, NET)


def _one_step() -> Evidence:
    import z3

    first, whole, second, rate, smooth, gamma, kappa, before, after, inputs = z3.Reals(
        "first whole second rate smooth gamma kappa before after inputs"
    )
    return decide(
        [
            rate > 0,
            smooth >= 0,
            kappa >= 0,
            first <= whole,  # the first layer's part of the gradient
            second <= gamma * gamma,  # of all weights that move
            after <= before - rate * whole + smooth / 2 * rate * rate * second,
            inputs <= kappa * first,
        ],
        inputs <= right_side([kappa], [before - after], rate, smooth, gamma * gamma),
        r"One step: $\|\nabla_X\|^2\le\frac{\kappa_t}\eta\mathbb E_t[\ell_t-\ell_{t+1}]+"
        r"\frac{\eta\mathcal L\Gamma^2\kappa_t}2$, if $\Gamma^2$ bounds the second moment of the "
        r"gradient in all weights. The sum over $t<T$ is (23).",
    )


def _one_weight(case: tuple[Fraction, Fraction, Fraction, int]) -> dict[str, Any]:
    """What (23) and (31) are made of, on least squares with one weight."""
    x, start, speed, steps = case
    sample = ((x,), TARGET[0])
    run = runs.descend((sample,), (start,), speed / x**2, steps)
    losses = runs.losses(run, sample)
    return {
        "inputs": total(runs.squared_gradients(run[:-1], sample)),
        "kappas": [(w / x) ** 2 for (w,) in run],
        "drops": [a - b for a, b in pairwise(losses)],
        "rate": speed / x**2,
        "smooth": x**2,
        "gamma": max((runs.residual(w, sample) * x) ** 2 for w in run[:-1]),
    }


def _runs() -> Evidence:
    sides = []

    def holds(case: tuple[Fraction, Fraction, Fraction, int]) -> bool:
        m = _one_weight(case)
        right = right_side(m["kappas"][:-1], m["drops"], m["rate"], m["smooth"], m["gamma"])
        sides.append(right)
        return m["inputs"] == right if case[-1] == min(STEPS) else m["inputs"] <= right

    found = enumerate_all(
        product(INPUTS, STARTS, SPEEDS, STEPS),
        holds,
        r"(23) on least squares with one weight, one step (equality) and three, step sizes up to "
        r"$\frac5{2\mathcal L}$.",
        count=36,
    )
    return replace(found, passed=found.passed and round(total(sides)) == 263806)


THM_B_1 = Claim(
    id="orders/thm-b.1",
    title="Convergence in input gradient norm",
    paper="orders",
    location="Theorem B.1, Eq. (23); proof in E.1",
    printed=r"""
With $\kappa_t=(k_g^t)^2$ from Lemma D.1 and $\Sigma_T=\sum_{t<T}\kappa_t$,

$$\sum_{t=0}^{T-1}\|\nabla_X\ell(\vec w_t)\|_2^2\le\sum_{t=0}^{T-1}\frac{\kappa_t}\eta
\mathbb E_t[\ell(\vec w_t)-\ell(\vec w_{t+1})]+\frac{\eta\mathcal L\Gamma^2\Sigma_T}2.$$""",
    assumptions=(SMOOTH, LAYERS, UNBIASED, FINITE),
    verdict=Verdict.FALSE,
    gist=r"True if $\Gamma^2$ bounds the second moment of the gradient in *all* weights that "
    r"move, and $\mathcal L$ is meant in $w$.",
    holds=r"""
(23) as printed, for every step size, with equality in the smallest case, if: $\Gamma^2\ge
\mathbb E_t\|\tilde\nabla\ell\|^2$ for the gradient in *all* weights that are trained; $\mathcal
L$ is the smoothness in those weights along the run; $k_g^t$ is finite (a fully connected first
layer, $X$ of full column rank). With a bound $\Gamma$ for each of $K$ layers, as (18) has it,
$K\Gamma^2$ does it. The left side is the gradient of the *batch* loss in the whole batch. For one
sample, SGD on other samples does not decrease its loss, and the right side says nothing.
""",
    proof=r"""
Descent lemma: $\mathbb E_t\ell_{t+1}\le\ell_t-\eta\|\nabla\|^2+\frac{\mathcal L\eta^2}2
\mathbb E_t\|\tilde\nabla\|^2$, where gradients are in all weights that move. So
$\|\nabla_{W_1}\|^2\le \|\nabla\|^2\le\frac1\eta\mathbb E_t[\ell_t-\ell_{t+1}]+\frac{\eta\mathcal
L\Gamma^2}2$. Multiply by $\kappa_t\ge0$, use $\|\nabla_X\|^2\le\kappa_t\|\nabla_{W_1}\|^2$ (Lemma
D.1), and sum.

*Counterexample.* Two layers have the same gradient and the same $\Gamma$. Their common step
overshoots ($\eta\mathcal L>2$), with a curvature that is nearly $\mathcal L$, and the loss grows by
more than one layer's $\Gamma^2$ pays for. With one layer (23) holds, so this is the smallest
network.
""",
    rebuttal=r"""
*E.1 says that $w$ stands for the first layer.* Then the descent lemma is applied to the first layer
while the others move, too; it holds for the whole vector. *(18) is written for every $k$, so it
covers all layers.* Each, not their sum: the instance meets it for every layer. *A step size over
$2/\mathcal L$ is not what anyone uses.* B.1 has no condition on the step size, and with the right
$\Gamma$ needs none.
""",
    effect=r"""
A constant: at most the number of layers. Nothing in the experiments depends on it.
""",
    prior_art=r"""
The descent lemma for SGD: Ghadimi and Lan (2013), Bottou, Curtis and Nocedal (2018).
""",
    chapter="part2/inputs-and-weights",
    uses=("orders/lemma-d.1", "orders/eq-16", "orders/eq-18", "orders/eq-21"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A step in which two layers overshoot.", _refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The gradient in all weights, same step.", _repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "One step of the repaired proof.", _one_step),
        Check(Kind.EXACT, Role.ATTAINED, "Runs of one weight.", _runs),
    ),
)


# Eq. 31 ------------------------------------------------------------------------------------------

#: One weight, one sample (input 1, label 0). A step from 2 to 1, and two steps that overshoot.
UNIT: Sample = ((Fraction(1),), Fraction(0))
SHRINKING = runs.Descent((UNIT,), (Fraction(2),), Fraction(1, 2), 1)
RISING = runs.Descent((UNIT,), (Fraction(2),), Fraction(5, 2), 2)


def _index() -> Evidence:
    run, ((x,), _) = SHRINKING.run(), UNIT
    losses, inputs = runs.losses(run, UNIT), total(runs.squared_gradients(run[:-1], UNIT))
    first, last = ((w / x) ** 2 for (w,) in run)
    drops = [a - b for a, b in pairwise(losses)]
    gamma = max((runs.residual(w, UNIT) * x) ** 2 for w in run)
    printed, right = (right_side([k], drops, SHRINKING.rate, x * x, gamma) for k in (last, first))
    summary = (
        rf"One weight, one step from {show(run[0][0])} to {show(run[1][0])}: "
        rf"$\kappa_0={show(first)}$, $\kappa_1={show(last)}$. With the maximum over "
        rf"$t\in\{{1,\dots,T\}}$: ${show(inputs)}\le{show(printed)}$; over "
        rf"$t\in\{{0,\dots,T-1\}}$: "
        rf"${show(inputs)}\le{show(right)}$."
    )
    return Evidence((inputs, printed, right) == (16, 4, 16), summary)


def _brackets() -> Evidence:
    import z3

    kappa, most, drop, slack, inputs = z3.Reals("kappa most drop slack inputs")
    return decide(
        [inputs >= 0, kappa > 0, most >= kappa, inputs <= kappa * (drop + slack)],
        inputs <= most * (drop + slack),
        r"Each bracket $\frac{d_t}\eta+\frac{\eta\mathcal L\Gamma^2}2$ is non-negative, so that "
        r"$\kappa_t$ may be replaced by a larger number.",
    )


def _separately() -> Evidence:
    run, ((x,), _) = RISING.run(), UNIT
    drops = [a - b for a, b in pairwise(runs.losses(run, UNIT))]
    kappas = [(w / x) ** 2 for (w,) in run[:-1]]
    own = total(k * d for k, d in zip(kappas, drops, strict=True))
    common = max(kappas) * total(drops)
    summary = (
        rf"Two steps that overshoot: $\sum_t\kappa_td_t={show(own)}$ and $\kappa_m\sum_td_t="
        rf"{show(common)}$, with $d_t=\ell_t-\ell_{{t+1}}<0$. The decreases alone may not be "
        rf"enlarged."
    )
    return Evidence((own, common) == (Fraction(-485, 8), Fraction(-585, 8)), summary)


EQ_31 = Claim(
    id="orders/eq-31",
    title="One constant for the whole run",
    paper="orders",
    location="Appendix E.2, the lines before Eq. (31)",
    printed=r"""
"setting $\kappa_m=\max_{t\in\{1,\dots,T\}}\kappa_t$. Then we have"

$$\sum_{t=0}^{T-1}\|\nabla_X\ell(\vec w_t)\|^2\le\frac{\kappa_m}\eta\sum_{t=0}^{T-1}
\mathbb E_t[\ell(\vec w_t)-\ell(\vec w_{t+1})]+\frac{\kappa_m\eta L\Gamma^2T}2.$$""",
    assumptions=("Theorem B.1",),
    verdict=Verdict.MISPRINT,
    gist=r"True with the maximum over $t\in\{0,\dots,T-1\}$, taken out of each whole bracket.",
    holds=r"""
(31) with $\kappa_m=\max_{0\le t<T}\kappa_t$ (and $\mathcal L$ for $L$), under the repaired
hypotheses of B.1. The printed maximum leaves out $\kappa_0$ and takes in $\kappa_T$, which is not
in the sum. $\kappa_m$ grows with $T$: it is not one number for two learning times.
""",
    proof=r"""
$\frac1\eta\mathbb E_t[\ell_t-\ell_{t+1}]+\frac{\eta\mathcal L\Gamma^2}2\ge\|\nabla_{W_1}\|^2\ge0$,
so replacing $\kappa_t$ by $\kappa_m$ increases each summand of (23). Replacing it in the sum of the
decreases alone is not allowed: a decrease may be negative.
""",
    rebuttal=r"""
*An index.* Yes; the replacement of $\kappa_t$, which the draft does not argue, is right.
""",
    effect="None by itself. (33) cancels the maximum over $T_a$ steps against that over $T_b$.",
    prior_art="Elementary.",
    chapter="part2/inputs-and-weights",
    uses=("orders/thm-b.1",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Bracket by bracket.", _brackets),
        Check(Kind.EXACT, Role.SEPARATES, "The first step counts.", _index),
        Check(Kind.EXACT, Role.FAILING_STEP, "Not term by term.", _separately),
    ),
)


CLAIMS = (THM_B_1, EQ_31)
