"""The Chebyshev step of E.3 of the draft: one step, a fixed number of steps, all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.linear_classifier import variance
from memlib.theory.orders.instances import CONFIDENCE, UNBIASED, VARIANCE
from memlib.theory.worlds import mean, total

CHAPTER = "part2/loss-gradient-and-learning-time"

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
    """SGD that fits the sample it has drawn and forgets the others.

    All inputs are the same, so that the model is a constant vector w; the label of sample i is the
    unit vector e_i. The loss is half the squared distance; one sample per batch, step size 1.
    """

    m: int

    def label(self, i: int) -> tuple[Fraction, ...]:
        """The unit vector e_i."""
        return tuple(Fraction(j == i) for j in range(self.m))

    def weights(self, drawn: int) -> list[tuple[Fraction, ...]]:
        """From e_0, by one step on the sample that is drawn."""
        start, end = self.label(0), self.label(drawn)
        return [start, tuple(v - (v - y) for v, y in zip(start, end, strict=True))]

    def curves(self, drawn: int) -> list[list[Fraction]]:
        """The losses of all samples at both weights."""
        return [
            [total((a - b) ** 2 for a, b in zip(w, self.label(i), strict=True)) / 2 for w in run]
            for run in [self.weights(drawn)]
            for i in range(self.m)
        ]

    def unbiased(self) -> bool:
        """Whether the mean step, over all draws, is the step along the full gradient."""
        start, ends = self.label(0), [self.weights(i)[-1] for i in range(self.m)]
        full = [
            v - mean([v - self.label(i)[k] for i in range(self.m)]) for k, v in enumerate(start)
        ]
        return full == [mean([end[k] for end in ends]) for k in range(self.m)]


TEN, SIXTEEN_PERCENT = Forgetful(10), (Fraction(4, 25),)
DRAWS = tuple(range(TEN.m))


def _gaps(drawn: int) -> list[list[Fraction]]:
    """For each sample, the mean loss minus its own, at both weights."""
    curves = TEN.curves(drawn)
    means = [mean(step) for step in zip(*curves, strict=True)]
    return [[m - own for m, own in zip(means, curve, strict=True)] for curve in curves]


def _simultaneous() -> Evidence:
    (delta,), tables = SIXTEEN_PERCENT, [_gaps(drawn) for drawn in DRAWS]
    limits = {spread(TEN.curves(drawn)) for drawn in DRAWS}
    marks = [[beyond(g, delta, max(limits)) for g in gaps] for table in tables for gaps in table]
    per_step = [mean([Fraction(v) for v in column]) for column in zip(*marks, strict=True)]
    ever = mean([Fraction(any(row)) for row in marks])
    summary = (
        rf"One step of SGD on ten samples with the same input; it fits the sample drawn. "
        rf"$\sigma_l=\tfrac3{{10}}$, $\delta={show(delta)}$. Over all draws and samples, a sample "
        rf"is "
        rf"exceptional with chance {show(max(per_step))} at each of the two weights, and at one "
        rf"of them "
        rf"or both with chance {show(ever)}."
    )
    assumptions = {
        VARIANCE: limits == {Fraction(9, 100)},
        UNBIASED: TEN.unbiased(),
        CONFIDENCE: ever > delta,
    }
    pinned = (ever, set(per_step)) == (Fraction(19, 100), {Fraction(1, 10)})
    return Evidence(pinned, summary, {}, assumptions, TEN)


def _union() -> Evidence:
    (delta,), tables = SIXTEEN_PERCENT, [_gaps(drawn) for drawn in DRAWS]
    (steps,) = {len(gaps) for table in tables for gaps in table}
    limit = steps * max(spread(TEN.curves(drawn)) for drawn in DRAWS)
    largest = max(g for table in tables for gaps in table for g in gaps)
    sums = [total(gaps) for table in tables for gaps in table]
    share = mean([Fraction(beyond(v, delta, steps * limit)) for v in sums])
    summary = (
        rf"With $\sigma_l\sqrt{{T/\delta}}$ nothing is exceptional there: squared, "
        rf"${show(largest * largest)}\le{show(limit / delta)}$. And the sum over both weights "
        rf"exceeds "
        rf"$T\sigma_l/\sqrt\delta$ with chance {show(share)}."
    )
    pinned = (largest, limit / delta, share) == (
        Fraction(9, 10),
        Fraction(9, 8),
        Fraction(1, 100),
    )
    return Evidence(pinned and share <= delta, summary, {}, {}, TEN)


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
Chebyshev with $\delta/T$ at each step. *Counterexample.* At each weight another sample is fitted
and so exceptional: with ten samples a gap of $\frac9{10}=3\sigma_l$, above
$\sigma_l/\sqrt\delta=\frac52\sigma_l$. One step, that is two weights, is the least: at one weight
Chebyshev holds.
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
        Check(Kind.EXACT, Role.REFUTES, "A forgetful step.", _simultaneous),
        Check(Kind.EXACT, Role.REPAIRED, "Union bound and sum, same step.", _union),
    ),
)


CLAIMS = (FIXED_TIME, SIMULTANEOUS)
