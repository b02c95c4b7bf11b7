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


def _floor() -> Evidence:
    (rate,), rows = RATE, []
    for steps in LENGTHS:
        walks = [_walk(START, path) for path in product(NOISY, repeat=steps)]
        used = [w for walk in walks for w in walk[:-1]]
        squares = [mean([_gradient(w, z) for z in NOISY]) ** 2 for w in used]
        drop = _mean_loss(START, NOISY) - _mean_loss(BEST, NOISY)
        moments = [mean([_gradient(w, z) ** 2 for z in NOISY]) for w in used]
        (noise,) = {m - s for m, s in zip(moments, squares, strict=True)}
        spread = [noise, max(moments)]
        rows.append((mean(squares), *(bound(drop, rate, steps, 1, g) for g in spread)))
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
    location="Lemma A.1, Eq. (22), and the two paragraphs after it",
    printed=r"""
$$\frac1T\sum_{t=0}^{T-1}\mathbb E\|\nabla\ell(\vec w_t)\|^2\le\frac{\ell(\vec w_0)-\ell(\vec w^*)}
{T\eta}+\frac{L\eta\Gamma^2}2,$$

where "$\Gamma^2$ is the variance of the stochastic gradients". "[...] as $T$ increases, the
expected norm of the gradient diminishes".""",
    assumptions=(WHOLE, VARIANCE),
    verdict=Verdict.MISPRINT,
    gist=r"True with $\Gamma^2\ge\mathbb E\|\tilde\nabla\ell\|^2$; with the variance the "
    r"right side is divided by $1-L\eta/2$.",
    holds=r"""
(22) holds for unbiased gradients with $\mathbb E\|\tilde\nabla\ell\|^2\le\Gamma^2$, which (18)
supplies, for every step size, and with equality in the smallest case. With the variance $v$ in
place of $\Gamma^2$ the right side must be divided by $1-\frac{L\eta}2$, for $\eta<2/L$. The average
falls to the second term, $\frac{L\eta\Gamma^2}2$, and need not fall below it: at a constant step
size SGD does not converge to a stationary point.
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
        Check(Kind.EXACT, Role.SEPARATES, "A run with noise does not converge.", _floor),
    ),
)


CLAIMS = (LEMMA_A_1,)
