"""Lemma A.1 of the draft: the convergence of SGD, with a variance where a second moment belongs."""

from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.worlds import Data, Sample, mean

WHOLE = r"the loss is $L$-smooth in the weights; the step size is constant"
VARIANCE = r"$\Gamma^2$ is the variance of the stochastic gradients"

#: Least squares with one weight: one sample, fitted in one step of size 1 from weight 2.
QUIET: Data = (((1,), 0),)
#: Two samples at the same input with opposite labels; each step draws one of them.
NOISY: Data = (((1,), 1), ((1,), -1))
START, RATE, BEST = (Fraction(1),), (Fraction(1),), (Fraction(0),)
QUIET_START = (Fraction(2),)
#: Lengths of the noisy run.
LENGTHS = (1, 2, 4)


def bound(drop: Any, rate: Any, steps: Any, smooth: Any, gamma_squared: Any) -> Any:
    """The right side of (22)."""
    return drop / (steps * rate) + smooth * rate * gamma_squared / 2


def _gradient(w: runs.Vector, sample: Sample) -> Fraction:
    return runs.residual(w, sample) * sample[0][0]


def _mean_loss(w: runs.Vector, data: Data) -> Fraction:
    return mean([runs.loss(w, z) for z in data])


def _walk(start: runs.Vector, path: Data) -> tuple[runs.Vector, ...]:
    """The weights of SGD that meets the samples of `path` one after the other."""
    (rate,), run = RATE, [start]
    for sample in path:
        run.append(tuple(v - rate * _gradient(run[-1], sample) for v in run[-1]))
    return tuple(run)


def _separated() -> Evidence:
    (rate,) = RATE
    run = _walk(QUIET_START, QUIET)
    squares = [_gradient(w, z) ** 2 for w in run[:-1] for z in QUIET]
    noise = [_gradient(w, z) - _gradient(w, QUIET[0]) for w in run for z in QUIET]
    drop = _mean_loss(run[0], QUIET) - _mean_loss(run[-1], QUIET)
    left = mean(squares)
    variance, moment = (bound(drop, rate, len(squares), 1, g) for g in (max(noise), max(squares)))
    summary = (
        rf"One weight, one sample, one step of gradient descent: the gradient has no variance. "
        rf"(22) with the variance says ${show(left)}\le{show(variance)}$; with the second moment "
        rf"${show(left)}\le{show(moment)}$, equality."
    )
    return Evidence((left, moment, variance) == (4, 4, 2), summary)


def _noisy(steps: int) -> tuple[Fraction, Fraction, Fraction]:
    """Of all noisy walks of that length: the average squared gradient of the mean loss, the
    variance of the stochastic gradient, and its largest second moment.
    """
    walks = [_walk(START, path) for path in product(NOISY, repeat=steps)]
    used = [w for walk in walks for w in walk[:-1]]
    squares = [mean([_gradient(w, z) for z in NOISY]) ** 2 for w in used]
    moments = [mean([_gradient(w, z) ** 2 for z in NOISY]) for w in used]
    (noise,) = {m - s for m, s in zip(moments, squares, strict=True)}
    return mean(squares), noise, max(moments)


def _floor() -> Evidence:
    (rate,), rows = RATE, []
    drop = _mean_loss(START, NOISY) - _mean_loss(BEST, NOISY)
    for steps in LENGTHS:
        average, *spread = _noisy(steps)
        rows.append((average, *(bound(drop, rate, steps, 1, g) for g in spread)))
    summary = (
        r"Two labels, $\pm1$, at one input, one drawn per step, $\eta=1$: the average of "
        r"$\mathbb E\|\nabla\ell\|^2$, its bound with the variance, and with the second moment are "
        + "; ".join(
            f"{', '.join(show(v) for v in row)} at $T={steps}$"
            for steps, row in zip(LENGTHS, rows, strict=True)
        )
        + "."
    )
    pinned = [row[1] for row in rows] == [1, Fraction(3, 4), Fraction(5, 8)]
    level = all(
        left == 1 and moment - variance == Fraction(1, 2) for left, variance, moment in rows
    )
    return Evidence(pinned and level, summary)


def _one_step() -> Evidence:
    import z3

    grad, second, rate, smooth, gamma, before, after = z3.Reals(
        "grad second rate smooth gamma before after"
    )
    return decide(
        [
            rate > 0,
            smooth >= 0,
            second <= gamma * gamma,
            after <= before - rate * grad * grad + smooth / 2 * rate * rate * second,
        ],
        grad * grad <= bound(before - after, rate, 1, smooth, gamma * gamma),
        r"With $\mathbb E\|\tilde\nabla\|^2\le\Gamma^2$: $\|\nabla\|^2\le\frac{\ell_t-"
        r"\mathbb E_t\ell_{t+1}}\eta+\frac{L\eta\Gamma^2}2$. Averaged over $t$, that is (22).",
    )


def _with_variance() -> Evidence:
    import z3

    grad, rate, smooth, noise, before, after = z3.Reals("grad rate smooth noise before after")
    second = grad * grad + noise
    return decide(
        [
            rate > 0,
            smooth * rate < 2,
            after <= before - rate * grad * grad + smooth / 2 * rate * rate * second,
        ],
        grad * grad <= bound(before - after, rate, 1, smooth, noise) / (1 - smooth * rate / 2),
        r"With the variance $v$, for $\eta<2/L$: $(1-\frac{L\eta}2)\|\nabla\|^2\le\frac{\ell_t-"
        r"\mathbb E_t\ell_{t+1}}\eta+\frac{L\eta v}2$, divided by $1-\frac{L\eta}2>0$.",
    )


LEMMA_A_1 = Claim(
    id="orders/lemma-a.1",
    title="Convergence of SGD for non-convex functions",
    paper="orders",
    location="Lemma A.1, Eq. (22), and the paragraph after it",
    printed=r"""
$$\frac1T\sum_{t=0}^{T-1}\mathbb E\|\nabla\ell(\vec w_t)\|^2\le\frac{\ell(\vec w_0)-\ell(\vec w^*)}
{T\eta}+\frac{L\eta\Gamma^2}2,$$

where "$\Gamma^2$ is the variance of the stochastic gradients".""",
    assumptions=(WHOLE, VARIANCE),
    verdict=Verdict.MISPRINT,
    gist=r"True with $\Gamma^2\ge\mathbb E\|\tilde\nabla\ell\|^2$; with the variance the "
    r"right side is divided by $1-L\eta/2$.",
    holds=r"""
(22) holds for unbiased gradients with $\mathbb E\|\tilde\nabla\ell\|^2\le\Gamma^2$, which (18)
supplies, for every step size, and with equality in the smallest case. With the variance $v$ in
place of $\Gamma^2$ the right side must be divided by $1-\frac{L\eta}2$, for $\eta<2/L$.
""",
    proof=r"""
Smoothness gives $\ell(w-\eta\tilde\nabla)\le\ell(w)-\eta\langle\nabla,\tilde\nabla\rangle+
\frac{L\eta^2}2\|\tilde\nabla\|^2$. In expectation the middle term is $-\eta\|\nabla\|^2$ and the
last one at most $\frac{L\eta^2\Gamma^2}2$. Divide by $\eta$, sum over $t<T$, telescope, use
$\mathbb E\ell(w_T)\ge\ell(w^*)$, divide by $T$. With $\mathbb E\|\tilde\nabla\|^2=v+\|\nabla\|^2$
instead, collect $\|\nabla\|^2$ on the left.
""",
    rebuttal=r"""
*It is a standard lemma, and $\Gamma$ is defined in (18).* Both are so, which is why this is a
misprint: the same letter is a bound on a moment one page earlier. The word matters for anyone who
takes $\Gamma$ from the lemma alone: without noise its right side would lose a term that is needed.
""",
    effect="None on the theorems: E.1 uses the second moment.",
    prior_art=r"""
Ghadimi and Lan (2013); Bottou, Curtis and Nocedal (2018), Section 4, for both forms and the floor.
""",
    chapter="part2/inputs-and-weights",
    uses=("orders/eq-16", "orders/eq-18", "orders/eq-21"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "One step, with the second moment.", _one_step),
        Check(Kind.DECIDED, Role.SUPPORTS, "One step, with the variance.", _with_variance),
        Check(Kind.EXACT, Role.SEPARATES, "A run without noise.", _separated),
        Check(Kind.EXACT, Role.SEPARATES, "A run with noise.", _floor),
    ),
)


# What the lemma is said to indicate --------------------------------------------------------------

UNBIASED = "the gradient estimator is unbiased"
SECOND = r"$\mathbb E_t\|\tilde\nabla\ell\|^2\le\Gamma^2$ for some $\Gamma$"


def _stays() -> Evidence:
    ((w,), (rate,)), rows = (START, RATE), [_noisy(steps) for steps in LENGTHS]
    averages, moments = [a for a, _, _ in rows], {m for _, _, m in rows}
    gradients = {mean([_gradient((v,), z) for z in NOISY]) - v for v in (*START, *BEST)}
    summary = (
        rf"Two labels, $\pm1$, at one input, one drawn per step, $\eta=1$: the average of "
        rf"$\mathbb E\|\nabla\ell\|^2$ is {', '.join(show(a) for a in averages)} at "
        rf"$T={', '.join(str(t) for t in LENGTHS)}$, over all draws."
    )
    assumptions = {
        WHOLE: gradients == {0},  # the gradient of the mean loss is w: L = 1
        UNBIASED: mean([v for z in NOISY for v in _walk(START, (z,))[-1]])
        == w - rate * mean([_gradient(START, z) for z in NOISY]),
        SECOND: moments == {2},
    }
    return Evidence(averages == [1, 1, 1], summary, {}, assumptions, NOISY)


def _to_the_floor() -> Evidence:
    (rate,), drop = RATE, _mean_loss(START, NOISY) - _mean_loss(BEST, NOISY)
    rows = [(steps, *_noisy(steps)) for steps in LENGTHS]
    floors = {rate * moment / 2 for _, _, _, moment in rows}
    bounds = [bound(drop, rate, steps, 1, moment) for steps, _, _, moment in rows]
    summary = (
        rf"(22) with the second moment there: {', '.join(show(b) for b in bounds)}, which falls to "
        rf"the floor $\frac{{L\eta\Gamma^2}}2={show(max(floors))}$, and the average is there."
    )
    passed = floors == {row[1] for row in rows} and min(bounds) > max(floors)
    return Evidence(passed and bounds[-1] == Fraction(9, 8), summary, {}, {}, NOISY)


LIMIT = Claim(
    id="orders/lemma-a.1-limit",
    title="SGD with a constant step size converges to a stationary point",
    paper="orders",
    location="Appendix A, the paragraph after Lemma A.1",
    printed=r"""
"This lemma indicates that as $T$ increases, the expected norm of the gradient diminishes, meaning
that the algorithm converges to a stationary point where the gradient is small." The learning rate
is constant.""",
    assumptions=(WHOLE, UNBIASED, SECOND),
    verdict=Verdict.FALSE,
    gist=r"The average falls to the floor $L\eta\Gamma^2/2$ at most; with noise and a constant "
    "step it can stay there.",
    holds=r"""
The right side of (22) falls to its second term, $\frac{L\eta\Gamma^2}2$, and the average need not
fall below it. It goes to 0 without noise, or with step sizes that go to 0 at the right rate, such
as $\eta=1/\sqrt T$.
""",
    proof=r"""
*Counterexample.* Every step with $\eta=1$ fits the label that is drawn, so the weight jumps between
$\pm1$ for ever, while the gradient of the mean loss is $w$.
""",
    rebuttal=r"""
*"Small" means small relative to $\eta\Gamma^2$.* Then it is (22), and nothing diminishes with $T$
beyond its first term. *A step size of 1 is large.* With a small one the weight still never rests: a
squared gradient of the order of $\eta$ is left.
""",
    effect="The published version takes $\\eta=1/\\sqrt T$, for which (22) does give it.",
    prior_art="Bottou, Curtis and Nocedal (2018), Section 4, for the floor.",
    chapter="part2/inputs-and-weights",
    uses=("orders/lemma-a.1",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Two labels at one input.", _stays),
        Check(Kind.EXACT, Role.REPAIRED, "The floor, attained.", _to_the_floor),
    ),
)


CLAIMS = (LEMMA_A_1, LIMIT)
