"""Theorem 4.6 of the draft: learning time, input gradient and input curvature."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, enumerate_all, show
from memlib.theory.linear_classifier import variance
from memlib.theory.orders.instances import (
    MOMENT,
    ONE_RATE,
    ONE_SAMPLE,
    ONE_WEIGHT,
    PL,
    PROXIMAL,
    SMOOTH,
    UNBIASED,
    least_squares_sgd,
    one_weight,
)
from memlib.theory.worlds import Sample, total

HESSIAN = r"the Hessian of the loss is $\rho$-Lipschitz (Eq. 17)"
NOISE = r"the variance of the gradient is at most $\sigma^2$"
LEMMAS = (
    r"$\|\nabla_X\ell\|_F\le k_g\|\nabla_{W_1}\ell\|_F$ and $\|\nabla^2_{W_1}\ell\|_F\le "
    r"k_h\|\nabla^2_X\ell\|_F$ with the printed constants (Lemmas D.1, D.2)"
)
#: rho and sigma squared: any positive number is admissible on a quadratic loss without noise.
SMALL = (Fraction(1, 1000), Fraction(1, 1000))
#: Runs of one weight that the repaired bound is tried on: inputs, starts, rates times x squared.
DIFFERENCES = (Fraction(0), Fraction(1), Fraction(-1))
INPUTS, STARTS = (Fraction(1, 10), Fraction(1), Fraction(3)), (Fraction(-2), Fraction(5))
SPEEDS = (Fraction(1, 4), Fraction(1), Fraction(3, 2))


def second_derivative(w: runs.Vector, sample: Sample) -> Fraction:
    """The second derivative of the loss in the weight, by differences: exact on a parabola."""
    at, above, below = (runs.loss((w[0] + step,), sample) for step in DIFFERENCES)
    return above + below - at - at


def right_side(
    k_g: Any, k_h: Any, rate: Any, first: Any, gamma: Any, moment: Any, rho: Any, steps: Any
) -> tuple[Any, Any]:
    """What (12) says that the sum of squared input gradients is at most, over the factor
    M T_max / (2 lambda l_0): the constant, and the coefficient of the summed curvature.

    `moment` is sigma^2 + Gamma^2 in (13).
    """
    constant = k_g * (rate**2 * gamma**3 * rho * steps / 6 + first / rate)
    return constant, rate * k_g * k_h * moment


def repaired(k_g: Any, k_h: Any, rate: Any, drop: Any, gamma: Any) -> tuple[Any, Any]:
    """The same two numbers as the proof gives them when its constants are followed through, on a
    quadratic loss (rho = 0).
    """
    return k_g**2 * drop / rate, rate * k_g**2 * k_h * gamma**2 / 2


def _measures(run: tuple[runs.Vector, ...], x: Fraction, y: Fraction) -> dict[str, Fraction]:
    """Of all steps of a run of one weight on one sample: what the two sides are made of."""
    sample, used = ((x,), y), run[:-1]
    losses = runs.losses(run, sample)
    return {
        "steps": Fraction(len(used)),
        "gradients": total(runs.squared_gradients(used, sample)),
        "curvature": total(w * w for (w,) in used),
        "gamma": max(abs(runs.residual(w, sample) * x) for w in used),
        "k_g": max(abs(w / x) for (w,) in used),
        "k_h": max((x / w) ** 2 for (w,) in used),
        "drop": losses[0] - losses[-1],
    }


def _one() -> dict[str, Fraction]:
    (((x,), y),) = ONE_SAMPLE
    return _measures(one_weight(), x, y)


def _assumptions() -> dict[str, bool]:
    run, (sample,), one = one_weight(), ONE_SAMPLE, _one()
    losses, x = runs.losses(run, sample), sample[0]
    in_w = [(runs.residual(w, sample) * x[0]) ** 2 for w in run]
    hessians = [second_derivative(w, sample) for w in run]
    moved = max(abs(v[0] - w[0]) for v in run for w in run)
    rho, noise = SMALL
    return {
        **least_squares_sgd(run, ONE_SAMPLE, ONE_RATE, one["gamma"] ** 2),
        PL: all(g >= runs.dot(x, x) * (loss + loss) for g, loss in zip(in_w, losses, strict=True)),
        HESSIAN: max(hessians) - min(hessians) <= rho * moved,
        NOISE: all(
            variance([runs.residual(w, z) * z[0][0] for z in ONE_SAMPLE]) <= noise for w in run
        ),
        LEMMAS: all(
            in_x <= one["k_g"] ** 2 * g and second <= one["k_h"] * w * w
            for (w,), in_x, g, second in zip(
                run[:-1],
                runs.squared_gradients(run[:-1], sample),
                in_w[:-1],
                hessians[:-1],
                strict=True,
            )
        ),
        PROXIMAL: one["drop"] == max(losses),
    }


def _refuted() -> Evidence:
    one, (rho, noise), (sample,) = _one(), SMALL, ONE_SAMPLE
    constant, slope = right_side(
        one["k_g"],
        one["k_h"],
        ONE_RATE,
        max(runs.losses(one_weight(), sample)),
        one["gamma"],
        noise + one["gamma"] ** 2,
        rho,
        one["steps"],
    )
    right = constant + slope * one["curvature"]
    summary = (
        rf"One weight, one sample, one step ($x=\tfrac1{{10}}$, $w_0=5$, $\eta=100$, "
        rf"$k_g=50$): the "
        rf"sum of squared input gradients is {show(one['gradients'])}, the printed bound on it "
        rf"{float(right):.4f} (both over $\mathcal MT_{{max}}/2\lambda\ell_0$, with $\rho$ and "
        rf"$\sigma^2$ of $10^{{-3}}$)."
    )
    pinned = one["gradients"] == Fraction(25, 4) and round(10**9 * right) == 247916667
    return Evidence(pinned and one["gradients"] > right, summary, {}, _assumptions(), ONE_WEIGHT)


def _repaired() -> Evidence:
    one = _one()
    constant, slope = repaired(one["k_g"], one["k_h"], ONE_RATE, one["drop"], one["gamma"])
    right = constant + slope * one["curvature"]
    summary = (
        rf"With $k_g^2$ and the missing $\tfrac12$, on the same run: {show(one['gradients'])} ≤ "
        rf"{show(right)}, equality; {show(constant)} of it is the first term."
    )
    pinned = (one["gradients"], constant) == (right, Fraction(25, 8))
    return Evidence(pinned, summary, {}, {}, ONE_WEIGHT)


def _repaired_runs() -> Evidence:
    sides = []

    def holds(case: tuple[Fraction, Fraction, Fraction]) -> bool:
        x, start, speed = case
        rate, label = speed / x**2, ONE_SAMPLE[0][1]
        run = runs.descend((((x,), label),), (start,), rate, len(SPEEDS))
        m = _measures(run, x, label)
        constant, slope = repaired(m["k_g"], m["k_h"], rate, m["drop"], m["gamma"])
        sides.append((m["gradients"], constant + slope * m["curvature"]))
        return m["gradients"] <= constant + slope * m["curvature"]

    found = enumerate_all(
        product(INPUTS, STARTS, SPEEDS), holds, "The repaired bound over three steps.", count=18
    )
    pinned = [round(100 * total(column)) for column in zip(*sides, strict=True)]
    return replace(found, passed=found.passed and pinned == [1946789, 69053066])


def _one_step() -> Evidence:
    import z3

    grad, second, rate, gamma, cube, curvature, rho, before, after = z3.Reals(
        "grad second rate gamma cube curvature rho before after"
    )
    return decide(
        [
            rate > 0,
            curvature >= 0,
            rho >= 0,
            second <= gamma * gamma,  # E|g|^2, by Jensen from (18)
            cube <= gamma * gamma * gamma,
            after
            <= before
            - rate * grad * grad
            + rate * rate / 2 * curvature * second
            + rho / 6 * rate * rate * rate * cube,
        ],
        grad * grad
        <= (before - after) / rate
        + rate / 2 * curvature * gamma * gamma
        + rho / 6 * rate * rate * gamma * gamma * gamma,
        r"One step: $\|\nabla\|^2\le\frac{\ell_t-\mathbb E\ell_{t+1}}\eta+\frac\eta2\|\nabla^2\|"
        r"\Gamma^2+\frac{\rho\eta^2}6\Gamma^3$.",
    )


THM_4_6 = Claim(
    id="orders/thm-4.6",
    title="Input curvature bounds input gradient, which bounds learning time",
    paper="orders",
    location="Theorem 4.6, Eq. (12) and (13); proof in E.5",
    printed=r"""
$$T_{z_i}\le\frac{\mathcal MT_{max}}{2\lambda\ell(\vec w_0)}\sum_{t<T_{z_i}}\|\nabla_X\ell(w_t)\|^2
\le C_1+C_2\sum_{t<T_{z_i}}\|\nabla_X^2\ell(w_t)\|,$$

$$C_1=\frac{\eta^2k_g\Gamma^3\rho\mathcal MT_{max}^2}{12\lambda\ell(\vec w_0)}+
\frac{\mathcal MT_{max}k_g}{2\lambda\eta},\qquad
C_2=\frac{\eta k_gk_h(\sigma^2+\Gamma^2)\mathcal MT_{max}}{2\lambda\ell(\vec w_0)}.$$""",
    assumptions=(SMOOTH, MOMENT, UNBIASED, PL, HESSIAN, NOISE, LEMMAS, PROXIMAL),
    verdict=Verdict.FALSE,
    holds=r"""
If only $W_1$ is trained, $X$ has full column rank and $W_1$ full row rank, and $k_g$, $k_h$ are
(deterministic) bounds over the run,

$$\sum_{t<T}\|\nabla_X\ell_t\|_F^2\le k_g^2\Bigl[\frac{\ell_0-\mathbb E\ell_T}\eta+
\frac{\eta\Gamma^2k_h}2\sum_{t<T}\|\nabla^2_X\ell_t\|_F+\frac{\eta^2\rho\Gamma^3T}6\Bigr]$$

(in expectation over SGD), with equality in the smallest case. So $k_g^2$ for $k_g$ in $C_1$ and
$C_2$, and $\Gamma^2/2$ suffices for $\sigma^2+\Gamma^2$. The left half is Theorem 4.3: with the
right $\mathcal M$ it is true and never below $T_{max}$. For one sample without any network, see R3.
""",
    proof=r"""
Nesterov and Polyak: $\ell(w+d)\le\ell+\langle\nabla,d\rangle+\frac12\langle\nabla^2d,d\rangle+
\frac\rho6\|d\|^3$. With $d=-\eta\tilde\nabla$ and expectations, $\mathbb E\|\tilde\nabla\|^3\le
\Gamma^3$ and, by Jensen, $\mathbb E\|\tilde\nabla\|^2\le\Gamma^2$:
$\mathbb E_t\ell_{t+1}\le\ell_t-\eta\|\nabla\|^2+\frac{\eta^2}2\|\nabla^2\|\Gamma^2+
\frac{\rho\eta^3}6\Gamma^3$. Divide by $\eta$, multiply by $k_g^2$ with $\|\nabla_X\|_F^2\le
k_g^2\|\nabla_W\|_F^2$ (Lemma D.1) and $\|\nabla_W^2\|_2\le\|\nabla_W^2\|_F\le k_h\|\nabla_X^2\|_F$
(Lemma D.2), and sum. Each bracket is at least $\|\nabla\|^2\ge0$, so a common $k_g$ may be taken
out.

*Counterexample.* $\nabla_X=rw$, $\nabla_w=rx$, so $k_g=w/x=50$ with equality in D.1, and the
printed bound is short of a factor near $k_g$.
""",
    rebuttal=r"""
*The theorem is right up to constants.* Up to a constant that changes with the units of the input:
$k_g$ is a ratio of weights to inputs, and $k_g$ for $k_g^2$ is not a matter of a factor 2. The
draft's own Theorem B.1 has $k_g^2$. The missing $\frac12$ of (40) and the sum
$\sigma^2+\Gamma^2$ (which counts the variance twice) only loosen the bound.
""",
    effect=r"""
The order of the three quantities in (12) says nothing about which proxy is better in practice. The
published version drops this theorem.
""",
    prior_art=r"""
Nesterov and Polyak (2006); the descent inequality for SGD: Ghadimi and Lan (2013).
""",
    chapter="part2/curvature-and-gradient",
    uses=(
        "orders/thm-4.3",
        "orders/eq-4",
        "orders/lemma-d.1",
        "orders/lemma-d.2",
        "orders/eq-40",
        "orders/e5-quadratic-form",
        "orders/e5-k-g",
        "orders/e5-layer",
    ),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "One weight, one sample, one step.", _refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The repaired bound there: equality.", _repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "One step of the repaired proof.", _one_step),
        Check(Kind.EXACT, Role.SUPPORTS, "The repaired bound in other runs.", _repaired_runs),
    ),
    gist=r"If only $W_1$ is trained, the right half is true with $k_g^2$ for $k_g$; the left half, "
    r"repaired, is never below $T_{max}$.",
)


CLAIMS = (THM_4_6,)
