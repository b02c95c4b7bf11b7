"""The book's own results on the three orders of loss: R3 and R5."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all, show
from memlib.theory.worlds import mean, total

# R3 ----------------------------------------------------------------------------------------------


ZERO = Fraction(0)


def three_orders(loss: Any, curvature: Any, rho: Any, radius: Any) -> Any:
    """R3: what the norm of the input gradient cannot exceed (numbers or solver terms)."""
    return loss / radius + radius / 2 * curvature + rho / 6 * radius * radius


def _r3_decided() -> Evidence:
    import z3

    loss, slope, along, curvature, rho, radius, after = z3.Reals(
        "loss slope along curvature rho radius after"
    )
    return decide(
        [
            radius > 0,
            after >= 0,
            along <= curvature,  # the second derivative in the direction of the gradient
            after <= loss - radius * slope + radius * radius / 2 * along + rho / 6 * radius**3,
        ],
        slope <= three_orders(loss, curvature, rho, radius),
        r"If the loss is non-negative after a step of length $r$ against the gradient, then "
        r"$\|\nabla\|\le\frac\ell r+\frac r2\lambda^++\frac\rho6r^2$.",
    )


#: A parabola at 1, `x**2 / 2`: its loss, gradient, curvature, rho, and the best radius.
PARABOLA = (Fraction(1, 2), Fraction(1), Fraction(1), Fraction(0), Fraction(1))
#: `(s - 1)**2 (s + 2)` for s >= 0 and `2 - 3s` for s < 0, at s = 0: the same five numbers.
CUBIC = (Fraction(2), Fraction(3), Fraction(0), Fraction(6), Fraction(1))


def _r3_sharp() -> Evidence:
    rows = []
    for loss, slope, curvature, rho, radius in (PARABOLA, CUBIC):
        rows.append((slope, three_orders(loss, curvature, rho, radius)))
    parts = [three_orders(ZERO, ZERO, rho, radius) for *_, rho, radius in (PARABOLA, CUBIC)]
    summary = (
        rf"Equality twice: for $x^2/2$ at 1 with $r=1$, {show(rows[0][0])} = {show(rows[0][1])}, "
        rf"from loss and curvature alone; for $(s-1)^2(s+2)$, continued by $2-3s$ for $s<0$, at "
        rf"$s=0$ with $r=1$, {show(rows[1][0])} = {show(rows[1][1])}, where the last term is "
        rf"{show(parts[1])}. So none of 1, $\tfrac12$, $\tfrac16$ can be smaller."
    )
    equal = all(slope == bound for slope, bound in rows)
    return Evidence(equal and parts == [0, 1], summary)


def cubic_instance() -> Derivation:
    """The two functions on which R3 is an equality, and their derivatives there."""
    import sympy

    s = sympy.Symbol("s", real=True)
    cubic, line = (s - 1) ** 2 * (s + 2), 2 - 3 * s
    loss, slope, _, rho, _ = (sympy.Rational(str(value)) for value in CUBIC)

    def at_zero(f: Any, order: int) -> Any:
        return sympy.Subs(sympy.Derivative(f, (s, order)), s, 0)

    steps = [
        Step("the two pieces meet", sympy.Subs(cubic, s, 0), sympy.Subs(line, s, 0)),
        Step("with their slopes", at_zero(cubic, 1), at_zero(line, 1)),
        Step("and curvatures", at_zero(cubic, 2), at_zero(line, 2)),
    ]
    steps.append(Step("the Hessian grows at the rate rho", sympy.Derivative(cubic, (s, 3)), rho))
    steps.append(Step("the loss at s = 0", sympy.Subs(cubic, s, 0), loss))
    steps.append(Step("the gradient there", -at_zero(cubic, 1), slope))
    return Derivation("A cubic that touches zero", tuple(steps))


R3 = Claim(
    id="book/r3",
    title="R3: gradient between loss and curvature, at every step",
    paper="book",
    location="replaces Theorem 4.6 of the draft",
    printed=r"""
Let $\ell(w_t,\cdot)\ge0$ on all of $\mathbb R^n$ with a $\rho$-Lipschitz input Hessian $H_t$. For
every sample, every step and every $r>0$,

$$\|\nabla_z\ell_t\|\le\frac{\ell_t}r+\frac r2\,\lambda_{max}^+(H_t)+\frac{\rho r^2}6,$$

and, summed over the run,
$\sum_t\|\nabla_z\ell_t\|\le\frac{\mathrm{CSL}}r+\frac r2\sum_t\lambda_{max}^+(H_t)+\frac{N\rho
r^2}6$.""",
    assumptions=(
        r"$\ell(w_t,\cdot)\ge0$ on all of $\mathbb R^n$, twice differentiable there",
        r"its Hessian in the input is $\rho$-Lipschitz, the same $\rho$ for all $t$",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated; $\lambda_{max}^+=\max(\lambda_{max},0)$, at most the trace if $H_t\succeq0$. No training
algorithm, no network, no rank condition. It bounds the sum of *norms*; CSG sums squares. Empty for
ReLU networks, whose Hessian jumps.
""",
    proof=r"""
Take the step $d=-r\nabla/\|\nabla\|$ in the input. By Nesterov and Polyak,
$0\le\ell(z+d)\le\ell-r\|\nabla\|+\frac{r^2}2u^\top Hu+\frac\rho6r^3$ with a unit vector $u$, and
$u^\top Hu\le\lambda_{max}^+$. Divide by $r$. (If $\nabla=0$ there is nothing to prove.)
""",
    rebuttal="",
    effect=r"""
Loss and curvature together control the gradient, at each step and for each sample. Neither does so
alone, and no learning time enters.
""",
    prior_art=r"""
Nesterov and Polyak (2006), Lemma 1; with $\rho=0$ and the best $r$ it is the self-bounding
inequality of smooth functions.
""",
    chapter="part2/curvature-and-gradient",
    uses=(
        "orders/eq-3",
        "orders/eq-40",
    ),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "From one step in the input.", _r3_decided),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The function on which the last term counts.",
            lambda: derived(cubic_instance()),
        ),
        Check(Kind.EXACT, Role.SHARP, "None of the three constants can be smaller.", _r3_sharp),
    ),
    gist=r"$\|\nabla_z\ell\|\le\ell/r+\frac r2\lambda^+_{max}(H)+\rho r^2/6$ for every $r>0$, at "
    r"every step.",
)


# R5 ----------------------------------------------------------------------------------------------


def at_least(gap: Any, mu: Any, m: Any, k_gw_squared: Any) -> Any:
    """R5: what mean CSG is at least, from mean CSL minus N times the optimum."""
    return 2 * mu * m / k_gw_squared * gap


def at_most(csl: Any, smooth: Any) -> Any:
    """R5: what the mean CSG of a data set is at most."""
    return 2 * smooth * csl


def _r5_decided() -> Evidence:
    import z3

    gap, first_layer, batch, each, mu, m, k_gw = z3.Reals("gap firstlayer batch each mu m k")
    return decide(
        [
            m > 0,
            k_gw > 0,
            first_layer >= 2 * mu * gap,  # PL, in the first layer
            first_layer <= k_gw * k_gw * batch,  # (36)
            batch == each / m,  # the batch gradient: 1/m of the sum, squared, is 1/m of the mean
        ],
        each >= at_least(gap, mu, m, k_gw * k_gw),
        r"PL in the first layer and (36) give the lower half for the mean squared input "
        r"gradient of "
        r"the samples, at every step.",
    )


#: Runs on orthogonal inputs: their length, the second label, the start of the second weight.
LENGTHS, SECOND, STARTS = (1, 2), (-1, 1, 3), (Fraction(1, 2), Fraction(-3))
RATES, STEPS, NO_STEP = (Fraction(1, 8), Fraction(1, 4)), (0, 1, 4), (0,)
AXES, LABEL, MEAN = ((1, 0), (0, 1)), 1, (Fraction(1, 2),)


def _orthogonal(counts: Sequence[int]) -> Iterator[tuple[int, tuple[runs.Vector, ...], Any]]:
    """Least squares on two orthogonal inputs of one length: `(length, run, data)`."""
    for length, label, start, rate, steps in product(LENGTHS, SECOND, STARTS, RATES, counts):
        data = tuple(
            (tuple(length * v for v in axis), y)
            for axis, y in zip(AXES, (LABEL, label), strict=True)
        )
        yield length, runs.descend(data, (LABEL, start), rate, steps, MEAN[0]), data


def _sides(length: int, run: tuple[runs.Vector, ...], data: Any) -> tuple[Fraction, ...]:
    """The lower bound, the mean CSG, and the upper bound of R5 for a run of `_orthogonal`."""
    m, norms = len(data), [runs.dot(w, w) for w in run]
    csg = mean([total(runs.squared_gradients(run, z)) for z in data])
    csl = mean([total(runs.losses(run, z)) for z in data])
    mu, k_gw_squared = Fraction(length * length, m), length * length / min(norms)
    return at_least(csl, mu, m, k_gw_squared), csg, at_most(csl, max(norms))


def _r5_in_runs() -> Evidence:
    seen = []

    def holds(case: tuple[int, tuple[runs.Vector, ...], Any]) -> bool:
        lower, csg, upper = _sides(*case)
        seen.append((lower, csg, upper))
        return lower <= csg <= upper

    found = enumerate_all(
        _orthogonal(STEPS), holds, "Least squares on two orthogonal inputs: the sandwich.", count=72
    )
    pinned = [round(total(side)) for side in zip(*seen, strict=True)]
    return replace(found, passed=found.passed and pinned == [4660, 8292, 10288])


def _r5_sharp() -> Evidence:
    alone = [_sides(*case) for case in _orthogonal(NO_STEP)]
    equal = [lower == csg == upper > 0 for lower, csg, upper in alone]
    summary = (
        rf"With a single recorded weight both halves are equalities, in all {len(alone)} cases: "
        r"there $k_{gw}=c/\|w\|$, $\mu=c^2/m$ and $\mathcal L_z=\|w\|^2$ for inputs of length $c$. "
        r"So neither factor 2 can be changed."
    )
    return Evidence(all(equal) and len(equal) == 24, summary)


R5 = Claim(
    id="book/r5",
    title="R5: mean CSG between two multiples of mean CSL",
    paper="book",
    location="replaces Theorem 4.3 of the draft, for whole data sets",
    printed=r"""
For a run of $N$ recorded weights on $m$ samples, with bars for means over the samples,

$$\frac{2\mu m}{k_{gw}^2}\bigl(\overline{\mathrm{CSL}}-N\ell^*\bigr)\;\le\;\overline{\mathrm{CSG}}
\;\le\;2\mathcal L_z\,\overline{\mathrm{CSL}}.$$""",
    assumptions=(
        r"the loss is the mean over the samples, each of which depends on its own input only, and, "
        r"at every $w_t$, "
        r"$\frac12\|\nabla_{W_1}\ell\|_F^2\ge\mu(\ell-\ell^*)$: PL in the first layer",
        r"the first layer is fully connected with full row rank, and "
        r"$k_{gw}\ge\sigma_{max}(X)/\sigma_{min}(W_1)$ at every step",
        r"for the upper half: $\ell(w_t,\cdot)\ge0$ on all of $\mathbb R^n$ with an "
        r"$\mathcal L_z$-Lipschitz input gradient, the same $\mathcal L_z$ for all $t$",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated, for gradients in the input $x$. It is about the data set: for a single sample the proof
gives the upper half alone.
""",
    proof=r"""
The gradient of the mean loss in all inputs has
$\|\nabla_X\ell\|_F^2=\frac1{m^2}\sum_i\|\nabla_{x_i}\ell_i\|^2$. From $W_1^\top\nabla_{W_1}\ell=
\nabla_X\ell\,X^\top$:
$\sigma_{min}(W_1)\|\nabla_{W_1}\ell\|_F\le\sigma_{max}(X)\|\nabla_X\ell\|_F$, so
$2\mu(\ell-\ell^*)\le\|\nabla_{W_1}\ell\|_F^2\le\frac{k_{gw}^2}m\cdot\frac1m\sum_i\|\nabla_{x_i}
\ell_i\|^2$. Sum over $t$. The upper half is the self-bounding inequality (R1), averaged.
""",
    rebuttal="",
    effect=r"""
On average over the data, CSG is CSL up to a factor between the two constants (where $\ell^*=0$).
Which sample has much of either is not determined by it.
""",
    prior_art=r"""
Self-bounding and PL inequalities, put side by side.
""",
    chapter="part2/loss-gradient-and-learning-time",
    uses=(
        "orders/eq-3",
        "book/r1",
        "orders/eq-36",
    ),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The lower half, at one step.", _r5_decided),
        Check(Kind.EXACT, Role.SUPPORTS, "Both halves in training runs.", _r5_in_runs),
        Check(Kind.EXACT, Role.SHARP, "Both halves are reached.", _r5_sharp),
    ),
    gist=r"$\frac{2\mu m}{k_{gw}^2}(\overline{\mathrm{CSL}}-N\ell^*)\le\overline{\mathrm{CSG}}\le"
    r"2\mathcal L_z\overline{\mathrm{CSL}}$ over a data set.",
)


CLAIMS = (R3, R5)
