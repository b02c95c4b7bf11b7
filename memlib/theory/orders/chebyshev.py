"""The Chebyshev steps of E.2, E.3 and E.7 of the draft: from the mean loss to a sample's loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.linear_classifier import variance
from memlib.theory.orders.instances import CONFIDENCE, UNBIASED, VARIANCE
from memlib.theory.worlds import Data, mean, total

CHAPTER = "part2/loss-gradient-and-learning-time"
TIME = r"$T_a$ is the learning time of the sample (Eq. 4)"

Curves = Sequence[Sequence[Fraction]]


def spread(curves: Curves) -> Fraction:
    """The largest variance, over the steps, of the loss of a random sample: sigma_l squared."""
    return max(variance(step) for step in zip(*curves, strict=True))


def excess(curves: Curves, i: int, steps: int) -> Fraction:
    """The mean loss minus the loss of sample i, summed over the first steps."""
    means = [mean(step) for step in zip(*curves, strict=True)]
    return total(m - own for m, own in zip(means[:steps], curves[i][:steps], strict=True))


def beyond(value: Fraction, delta: Fraction, limit: Fraction) -> bool:
    """Whether a deviation is positive and exceeds sqrt(limit / delta); no root is taken."""
    return value > 0 and value**2 * delta > limit


# One step, and a fixed number of steps -----------------------------------------------------------

#: A loss that is far below the mean for one sample in five, and above it for the others; delta.
LOW, ONE_IN_FIVE = tuple(Fraction(v) for v in (0, 5, 5, 5, 5)), (Fraction(1, 5),)
REPEATS = (3,)


def _cantelli() -> Evidence:
    import z3

    share, low, high, limit, spread = z3.Reals("share low high limit spread")
    return decide(
        [
            share >= 0,
            share < 1,
            share * low + (1 - share) * high == 0,  # deviations have mean 0
            low <= -limit,
            limit > 0,
            spread >= share * low * low + (1 - share) * high * high,
        ],
        share * (spread + limit * limit) <= spread,
        r"If a share $p$ of the samples lies $t$ or more below the mean, "
        r"$p\le\sigma^2/(\sigma^2+t^2)$: with $t=\sigma\sqrt{(1-\delta)/\delta}$, $p\le\delta$.",
    )


def _fixed() -> Evidence:
    import z3

    first, second, third = z3.Reals("first second third")
    whole = first + second + third
    return decide(
        [],
        whole * whole <= 3 * (first * first + second * second + third * third),
        r"$(\sum_tu_t)^2\le T\sum_tu_t^2$ (here $T=3$), so that the variance of the sum over $T$ "
        r"steps "
        r"is at most $T^2\sigma_l^2$: one Chebyshev for the sum.",
    )


def _attained() -> Evidence:
    (delta,), (steps,) = ONE_IN_FIVE, REPEATS
    curves = [[v] * steps for v in LOW]
    gaps = [excess(curves, i, steps) for i, _ in enumerate(LOW)]
    limit = steps**2 * spread(curves) * (1 - delta) / delta
    reached = [g for g in gaps if g * g == limit]
    summary = (
        rf"Losses 0 for one sample in five and 5 for the others, for three steps: the summed gap "
        rf"of "
        rf"that one is {show(max(gaps))}, exactly $T\sigma_l\sqrt{{(1-\delta)/\delta}}$ at "
        rf"$\delta={show(delta)}$."
    )
    return Evidence(reached == [12] and Fraction(len(reached), len(LOW)) == delta, summary)


FIXED_TIME = Claim(
    id="orders/e3-chebyshev",
    title="Chebyshev's inequality at a fixed time",
    paper="orders",
    location="Appendix E.3, the line with $\\ell(\\vec w_t)\\le\\ell(\\vec w_t,\\vec z_i)+\\dots$",
    printed=r"""
"By Chebyshev's inequality, for any $\delta>0$, with probability at least $1-\delta$":
$\ell(\vec w_t)\le\ell(\vec w_t,\vec z_i)+\frac{\sigma_l}{\sqrt\delta}$.""",
    assumptions=(VARIANCE,),
    verdict=Verdict.LOOSE,
    gist=r"True for each $t$, and for the sum over a *fixed* number of steps; one-sided, "
    r"$\sigma_l\sqrt{(1-\delta)/\delta}$ is sharp.",
    holds=r"""
For each fixed $t$, outside a fraction $\delta$ of the samples, $\ell_t\le\ell_t(i)+
\sigma_l\sqrt{(1-\delta)/\delta}$, which is sharp. For a $T$ that does not depend on the sample,
$\sum_{t<T}\ell_t\le\sum_{t<T}\ell_t(i)+T\sigma_l\sqrt{(1-\delta)/\delta}$ outside *one* fraction
$\delta$: no loss from summing. $\sigma_l$ is a standard deviation (Eq. 20).
""",
    proof=r"""
One side: if a share $p$ has mean deviation at most $-t$, the rest have at least $pt/(1-p)$, so the
variance is at least $pt^2/(1-p)$ (Cantelli). The sum: its standard deviation over samples is at
most $\sum_t\sigma_t\le T\sigma_l$ (Minkowski); apply the one-step inequality to it.
""",
    rebuttal="*Chebyshev is what the draft cites, and it is enough.* It is.",
    effect="The slack is of the order of the spread of the losses that CSL is meant to tell apart.",
    prior_art="Chebyshev; Cantelli (1928); Minkowski.",
    chapter=CHAPTER,
    uses=("orders/eq-20",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "One step, one side.", _cantelli),
        Check(Kind.DECIDED, Role.SUPPORTS, "The sum at a fixed time.", _fixed),
        Check(Kind.EXACT, Role.ATTAINED, "One sample in five.", _attained),
    ),
)


# All steps at once -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forgetful:
    """SGD that fits the last sample it met and forgets the others.

    All inputs are the same, so that the model is a constant vector w; the label of sample i is the
    unit vector e_i. The loss is half the squared distance; batches of one, step size 1.
    """

    m: int

    def weights(self) -> list[tuple[Fraction, ...]]:
        """From e_0, through the samples 1, 2, ..., m - 1."""
        labels = [tuple(Fraction(j == i) for j in range(self.m)) for i in range(self.m)]
        run = [labels[0]]
        for label in labels[1:]:
            run.append(tuple(v - (v - y) for v, y in zip(run[-1], label, strict=True)))
        return run

    def curves(self) -> list[list[Fraction]]:
        """The losses of all samples at all weights."""
        return [
            [total((v - (j == i)) ** 2 for j, v in enumerate(w)) / 2 for w in self.weights()]
            for i in range(self.m)
        ]


TEN, SIXTEEN_PERCENT = Forgetful(10), (Fraction(4, 25),)


def _forgetful_shares() -> tuple[list[Fraction], Fraction]:
    """The share of exceptional samples per step, and that of samples that are ever exceptional."""
    (delta,), curves = SIXTEEN_PERCENT, TEN.curves()
    limit = spread(curves)
    means = [mean(step) for step in zip(*curves, strict=True)]
    table = [
        [beyond(m - own, delta, limit) for m, own in zip(means, curve, strict=True)]
        for curve in curves
    ]
    per_step = [mean([Fraction(v) for v in step]) for step in zip(*table, strict=True)]
    return per_step, mean([Fraction(any(row)) for row in table])


def _simultaneous() -> Evidence:
    (delta,), run = SIXTEEN_PERCENT, TEN.weights()
    per_step, ever = _forgetful_shares()
    summary = (
        rf"SGD with batches of one on ten samples with the same input, each step fitting one "
        rf"sample: "
        rf"$\sigma_l=\tfrac3{{10}}$, $\delta={show(delta)}$. At each step {show(max(per_step))} "
        rf"of the "
        rf"samples is exceptional; at one step or another, {show(ever)}."
    )
    assumptions = {
        VARIANCE: spread(TEN.curves()) == Fraction(3, 10) ** 2,
        UNBIASED: len(set(run)) == TEN.m,  # each sample once: one epoch
        CONFIDENCE: ever > delta >= max(per_step),
    }
    return Evidence((ever, min(per_step)) == (1, Fraction(1, 10)), summary, {}, assumptions, TEN)


def _union() -> Evidence:
    (delta,), curves = SIXTEEN_PERCENT, TEN.curves()
    steps = len(curves)
    limit = steps * spread(curves) / delta
    means = [mean(step) for step in zip(*curves, strict=True)]
    largest = max(m - own for c in curves for m, own in zip(means, c, strict=True))
    sums = {excess(curves, i, steps) for i, _ in enumerate(curves)}
    summary = (
        rf"With $\sigma_l\sqrt{{T/\delta}}$ no sample is ever exceptional there: squared, "
        rf"${show(largest * largest)}\le{show(limit)}$. And the summed gaps over all "
        rf"{steps} steps are all {show(max(sums))}."
    )
    passed = sums == {0} and largest * largest <= limit
    pinned = (largest, limit) == (Fraction(9, 10), Fraction(45, 8))
    return Evidence(passed and pinned, summary, {}, {}, TEN)


SIMULTANEOUS = Claim(
    id="orders/e3-chebyshev-simultaneous",
    title="Chebyshev's inequality at all steps at once",
    paper="orders",
    location="Appendix E.3, the substitution in $\\sum_{t=0}^{T_{z_a}-1}$",
    printed=r"""
With probability at least $1-\delta$, $\ell(\vec w_t)\le\ell(\vec w_t,\vec
z_i)+\sigma_l/\sqrt\delta$ is substituted for every $t<T_{z_a}$.""",
    assumptions=(VARIANCE, UNBIASED, CONFIDENCE),
    verdict=Verdict.FALSE,
    gist=r"For all $t<T$ at once it takes $\sigma_l\sqrt{T/\delta}$; the *sum* over a fixed $T$ "
    r"keeps "
    r"$T\sigma_l/\sqrt\delta$.",
    holds=r"""
For each $t$ there is another exceptional set. For all $t<T$ at once, outside a fraction $\delta$,
the slack is $\sigma_l\sqrt{T/\delta}$ (union bound). The proof needs only the sum, and for a fixed
$T$ that is no problem (see the claim on a fixed time).
""",
    proof=r"""
Chebyshev with $\delta/T$ at each step. Counterexample: each step makes another sample exceptional.
Three samples and two steps suffice at $\delta=\frac9{16}$; at $m$ samples any $\delta>\frac1{m-1}$
will do.
""",
    rebuttal=r"""
*Only the sum is used.* Then it should be argued for the sum, and the number of terms must not
depend on the sample; in E.3 it is the sample's own learning time.
""",
    effect="Harmless for a fixed $T$; see the next claim for the sample's own.",
    prior_art="Union bound.",
    chapter=CHAPTER,
    uses=("orders/e3-chebyshev",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A forgetful run.", _simultaneous),
        Check(Kind.EXACT, Role.REPAIRED, "Union bound and sum, same run.", _union),
    ),
)


# The sample's own time ---------------------------------------------------------------------------

#: Three groups on axes of their own: how many, the length of the input, the first residual.
GROUPS = (
    (5, Fraction(12), Fraction(51, 5200)),  # fitted first, then thrown back
    (1, Fraction(1), Fraction(1)),  # fitted by the step
    (27, Fraction(31, 20), Fraction(1)),  # overshoots
)
EIGHTEEN_PERCENT = (Fraction(9, 50),)


def _grouped() -> tuple[Data, tuple[Fraction, ...]]:
    """The data, and weights of 1 on every axis."""
    lengths = [(s, r) for count, s, r in GROUPS for _ in range(count)]
    data = tuple(
        (tuple(s * (j == i) for j, _ in enumerate(lengths)), s - r)
        for i, (s, r) in enumerate(lengths)
    )
    return data, tuple(s / s for s, _ in lengths)


@dataclass(frozen=True)
class Stopped:
    """One step of gradient descent on the mean loss, and the learning times of its samples."""

    data: Data
    start: tuple[Fraction, ...]

    @cached_property
    def run(self) -> tuple[runs.Vector, ...]:
        """Both weights; the step size is the number of samples."""
        m = len(self.data)
        return runs.descend(self.data, self.start, Fraction(m), 1, Fraction(1, m))

    @cached_property
    def curves(self) -> list[tuple[Fraction, ...]]:
        """The losses of all samples."""
        return [runs.losses(self.run, z) for z in self.data]

    @cached_property
    def times(self) -> list[int]:
        """Learning times at half the first squared gradient of a residual of 1 (3 for never)."""
        run = self.run
        tau = runs.dot(self.start, self.start) / 2
        return [runs.learning_time(runs.squared_gradients(run, z), tau) or 3 for z in self.data]


STOPPED = Stopped(*_grouped())


def _stepped() -> tuple[Fraction, ...]:
    """The second weights: the first, minus the gradient of the summed loss (m times the mean)."""
    start, residuals = STOPPED.start, [runs.residual(STOPPED.start, z) for z in STOPPED.data]
    return tuple(
        w - total(r * x[k] for r, (x, _) in zip(residuals, STOPPED.data, strict=True))
        for k, w in enumerate(start)
    )


def _own_time() -> Evidence:
    (delta,), curves, times = EIGHTEEN_PERCENT, STOPPED.curves, STOPPED.times
    limit, run = spread(curves), STOPPED.run
    learned = [i for i, t in enumerate(times) if t <= len(run)]
    bad = [i for i in learned if beyond(excess(curves, i, times[i]), delta, times[i] ** 2 * limit)]
    share = Fraction(len(bad), len(times))
    summary = (
        rf"One step of gradient descent on {len(times)} samples: five are learned at $T=1$ and "
        rf"one at "
        rf"$T=2$. At $\delta=18\%$ each of them is exceptional at its own $T$: "
        rf"{len(bad)}/{len(times)}, more than $\delta$."
    )
    assumptions = {
        VARIANCE: all(variance(step) <= limit for step in zip(*curves, strict=True)),
        UNBIASED: run[-1] == _stepped(),
        TIME: sorted(set(times)) == [1, 2, 3],
        CONFIDENCE: share > delta,
    }
    pinned = len(bad) == len(learned) == 6 and round(10**6 * limit) == 32133
    return Evidence(pinned, summary, {}, assumptions, STOPPED)


def _whole_run() -> Evidence:
    (delta,), curves, times = EIGHTEEN_PERCENT, STOPPED.curves, STOPPED.times
    steps = len(STOPPED.run)
    bad = [
        i
        for i, _ in enumerate(times)
        if beyond(excess(curves, i, steps), delta, steps**2 * spread(curves))
    ]
    mean_sums = [total(mean(step) for step in list(zip(*curves, strict=True))[:t]) for t in times]
    early = all(
        own <= total(c) + excess(curves, i, steps)
        for i, (own, c) in enumerate(zip(mean_sums, curves, strict=True))
    )
    summary = (
        rf"Over the whole run ($N={steps}$), with $N\sigma_l/\sqrt\delta$: {len(bad)} of "
        rf"{len(times)} is exceptional, and $\sum_{{t<T_a}}\ell_t\le\sum_{{t<N}}\ell_t$ since "
        rf"losses "
        r"are not negative."
    )
    passed = len(bad) == 1 and Fraction(len(bad), len(times)) <= delta
    return Evidence(passed and early, summary, {}, {}, STOPPED)


OWN_TIME = Claim(
    id="orders/e3-chebyshev-own-time",
    title="Chebyshev's inequality at the sample's own learning time",
    paper="orders",
    location="Appendix E.3, the sum to $T_{z_a}-1$",
    printed=r"""
With probability at least $1-\delta$,
$\sum_{t=0}^{T_{z_a}-1}\ell(\vec w_t)\le\sum_{t=0}^{T_{z_a}-1}\bigl[\ell(\vec w_t,\vec z_a)+
\frac{\sigma_l}{\sqrt\delta}\bigr]$.""",
    assumptions=(VARIANCE, UNBIASED, TIME, CONFIDENCE),
    verdict=Verdict.FALSE,
    gist=r"At a time that depends on the sample it fails; over the whole run, "
    r"$\sum_{t<T_a}\ell_t\le\mathrm{CSL}(a)+N\sigma_l/\sqrt\delta$.",
    holds=r"""
For the whole run: outside a fraction $\delta$ of the samples,
$\sum_{t<T_a}\ell_t\le\sum_{t<N}\ell_t\le \mathrm{CSL}(a)+N\sigma_l/\sqrt\delta$ with $N=T_{max}+1$.
That is the slack that Theorem 4.2 can have.
""",
    proof=r"""
Losses are not negative, so the first sum may be extended; then Chebyshev once, at the fixed time
$N$.

*Counterexample.* Five samples are fitted from the start and learned at $T=1$; one is fitted by the
first step and learned at $T=2$. At each fixed $T$ only few are exceptional. At their own, both
kinds are, and their shares add up: a share $\delta/T^2$ may be exceptional at each $T$.
""",
    rebuttal=r"""
*The excess over $\delta$ is small.* Here it is; in principle it is a factor of up to
$\sum_T1/T^2\approx1.64$ for sets as in the instance. Probability statements do not survive a choice
of the time by the sample, however small the violation.
""",
    effect=r"Theorem 4.2's denominator has $T_{ref}\sigma_l/\sqrt\delta$, which this step does "
    r"not give.",
    prior_art="Optional stopping; Chebyshev.",
    chapter=CHAPTER,
    uses=("orders/e3-chebyshev", "orders/eq-4"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Two learning times in one run.", _own_time),
        Check(Kind.EXACT, Role.REPAIRED, "The whole run.", _whole_run),
    ),
)


CLAIMS = (FIXED_TIME, SIMULTANEOUS, OWN_TIME)
