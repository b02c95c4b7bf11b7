"""What the draft reads out of Theorems 4.1, 4.2 and 4.3 ("Interpreting Theory")."""

from fractions import Fraction

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.linear_classifier import BOUND, Training
from memlib.theory.orders.instances import (
    BOUNDED,
    MOMENT,
    ONE_RATE,
    ONE_SAMPLE,
    ONE_START,
    RANK,
    SMOOTH,
    STABLE,
    TWINS,
    TWINS_TAU,
    UNBIASED,
    bounded,
    gram_determinant,
    sgd,
)
from memlib.theory.orders.small_runs import agreement, told
from memlib.theory.orders.thm_4_3 import bound, right, stated
from memlib.theory.worlds import mean, total

# Theorem 4.1 -------------------------------------------------------------------------------------

#: Two orthogonal samples, the first with the longer input, and a threshold.
AXES = Training(
    (((Fraction(3, 2), 0), 1), ((0, 1), 1)), (Fraction(1, 4), Fraction(1, 2)), Fraction(1, 2), 6
)
AXES_TAU = (Fraction(1, 15),)


def _reversed() -> Evidence:
    (tau,) = AXES_TAU
    times = [AXES.time(i, tau) for i, _ in enumerate(AXES.data)]
    mem = [AXES.memorization(i) for i, _ in enumerate(AXES.data)]
    summary = (
        rf"Two orthogonal samples in one run, $\tau={show(tau)}$: learned at $T={times[0]}$ and "
        rf"$T={times[1]}$, with memorization {float(mem[0]):.3f} and {float(mem[1]):.3f}. The one "
        r"that is memorized more takes less time."
    )
    pinned = [round(1000 * value) for value in mem] == [195, 121]
    return Evidence(times == [3, 5] and pinned and mem[0] > mem[1], summary)


ALIKE = r"$\sigma_l\approx0$: all samples have the same loss at every step"
HIGH = r"$\mathbb E\ell(w_0)\approx L$: within an eighth of $L$"
#: Two nearly parallel inputs, and one at right angles to both that is as much longer as it takes
#: for all three scores to move alike.
LEVEL = Training(
    (
        ((1, Fraction(1, 2), 0, 0), 1),
        ((1, Fraction(-1, 2), 0, 0), 1),
        ((0, 0, 1, 1), 1),
    ),
    (Fraction(-1, 2), 0, Fraction(-1, 4), Fraction(-1, 4)),
    Fraction(1),
    8,
)


def _no_order() -> Evidence:
    (a, _), (b, _), (c, _) = LEVEL.data
    samples = [i for i, _ in enumerate(LEVEL.data)]
    mem = [LEVEL.memorization(i) for i in samples]
    squares, curves = ({f(i) for i in samples} for f in (LEVEL.squares, LEVEL.curve))
    first = max(curves)[0]
    assumptions = {
        **sgd(LEVEL),
        RANK: gram_determinant(a, b) > 0 and runs.dot(a, c) == runs.dot(b, c) == 0,
        BOUNDED: bounded(LEVEL),
        STABLE: LEVEL.stability() > 0,
        ALIKE: len(curves) == 1,
        HIGH: first >= BOUND * Fraction(7, 8),
    }
    summary = (
        rf"Three samples of one run with the same loss at every step, {show(first)} at the start: "
        rf"memorization {float(mem[0]):.3f}, {float(mem[1]):.3f} and {float(mem[-1]):.3f}. Their "
        r"squared gradients agree at every step, too, so that they have the same learning time "
        r"for every $\tau$."
    )
    pinned = [round(1000 * value) for value in mem] == [181, 181, 875]
    return Evidence(pinned and len(squares) == 1, summary, {}, assumptions, LEVEL)


def _held_out() -> Evidence:
    samples, left = [i for i, _ in enumerate(LEVEL.data)], LEVEL.mean_curve()[-1]
    mem = [LEVEL.memorization(i) for i in samples]
    held_out = [LEVEL.curve(i, left_out=i)[-1] for i in samples]
    summary = (
        r"R2 on the same run, at its last step: $L\,\mathrm{mem}$ is the loss of the sample when "
        "left out, "
        + ", ".join(f"{float(out):.3f}" for out in held_out)
        + f", minus its loss, {float(left):.1g} for each. Held-out difficulty alone tells the "
        "three apart."
    )
    differences = [out - left for out in held_out]
    return Evidence(mem == differences and 0 < left < min(held_out), summary, {}, {}, LEVEL)


def _times_counted() -> Evidence:
    return Evidence(agreement("time", "mem") == (10, 35, 51), told(("time", "mem")))


def _same_memorization() -> Evidence:
    times = [TWINS.time(i, TWINS_TAU) for i, _ in enumerate(TWINS.data)]
    mem = [abs(TWINS.memorization(i)) for i, _ in enumerate(TWINS.data)]
    summary = (
        rf"The twins of Theorem 4.1: $T={times[0]}$ and $T={times[1]}$, both with memorization "
        rf"below {float(max(mem)) * 2:.0e}."
    )
    return Evidence(times == [2, 1] and round(10**12 * max(mem)) == 2908, summary)


INTERPRETING_4_1 = Claim(
    id="orders/interpreting-4.1",
    title="Samples with higher memorization scores take longer to learn",
    paper="orders",
    location='Section 4.2.1, "Interpreting Theory" after Theorem 4.1; Key Theory Takeaways (3)',
    printed=r"""
$\hat T_{ref}$ "can be chosen so its learning time is nearly zero"; with $\mathbb E\ell(w_0)\approx
L$ and $\sigma_l\approx0$, "samples with higher memorization scores take longer to learn". Takeaway
(3): "learning time and memorization are linearly related".""",
    assumptions=(SMOOTH, MOMENT, UNBIASED, RANK, BOUNDED, STABLE, ALIKE, HIGH),
    verdict=Verdict.FALSE,
    holds=r"""
Neither orders the other, and not under these approximations either: with $\sigma_l=0$ samples that
are memorized to different degrees can have one learning time. In other runs a sample with more
memorization is learned earlier, and two samples without any at different times. Even if (5) were
true it would bound learning time from above only. For Gibbs loss $L\,\mathrm{mem}$ is the held-out
loss minus the loss (R2); where losses are equal, held-out difficulty is what memorization follows.
$\sigma_l\approx0$ makes CSL the same for nearly all samples, too (no-signal lemma): the
approximation assumes the phenomenon away.
""",
    proof=r"""
*Counterexample.* Two inputs help each other, the third is alone and longer: $\|x_1\|^2+x_1^\top
x_2=\|x_3\|^2$, so that all scores move alike. Left out, the first is still learned from the second,
and the third not at all. For a linear model equal losses mean equal slopes, and the input gradient
is the slope times $w$. *The other runs.* Along orthogonal inputs each sample is learned alone, at a
rate that grows with $\|x\|^2$; what a run of given length memorizes of it grows, too, while its
gradient falls below $\tau$ earlier.
""",
    rebuttal=r"""
*The statement is about typical data, where hard samples are the memorized ones.* There it is an
observation, and Figure 10 of the draft shows it. It is not a consequence of the theorem.
""",
    effect=r"""
The empirical relation stands; its explanation is open.
""",
    prior_art=r"""
That an upper bound orders nothing is common knowledge.
""",
    chapter="part2/memorization-and-learning-time",
    uses=("orders/thm-4.1", "book/no-signal", "book/r2"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Equal losses, unequal memorization.", _no_order),
        Check(Kind.EXACT, Role.REPAIRED, "Held-out losses there.", _held_out),
        Check(Kind.EXACT, Role.FAILING_STEP, "More memorized, learned earlier.", _reversed),
        Check(
            Kind.EXACT,
            Role.FAILING_STEP,
            "Not memorized, learned at different times.",
            _same_memorization,
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "Memorization against time, counted.", _times_counted),
    ),
    gist=r"With $\sigma_l=0$, samples memorized to different degrees can have one learning time; "
    "in other runs the order is reversed.",
)


# Theorem 4.2 -------------------------------------------------------------------------------------


def _never_a_fraction() -> Evidence:
    import z3

    csl, later, first, at_ref, best, early, last = z3.Reals(
        "csl later first at_ref best early last"
    )
    return decide(
        [
            csl == first + later,  # of the training loss: the mean CSL over the samples
            later >= last * best,
            last >= early,
            at_ref >= 0,
            best >= 0,
            first - at_ref + early * best > 0,
        ],
        csl / (first - at_ref + early * best) >= 1,
        r"Mean CSL over the samples, divided by $\lambda\ell_0+\ell^*T_{ref}$, is at least 1.",
    )


def _not_in_a_run() -> Evidence:
    curve = TWINS.mean_curve()
    csl = mean([total(TWINS.curve(i)) for i, _ in enumerate(TWINS.data)])
    early = TWINS.time(1, TWINS_TAU)
    ratio = csl / (curve[0] - curve[early])
    summary = (
        rf"Two samples that one step fits: mean CSL {show(csl)}, $\lambda\ell_0=$ "
        rf"{show(curve[0] - curve[early])}, ratio {show(ratio)}."
    )
    return Evidence(ratio == 1 == early, summary)


#: Two orthogonal samples: the second starts where the loss is largest, and flat.
MISFIT = Training((((1, 0), 1), ((0, 1), 1)), (0, -1), Fraction(1), 4)
#: A threshold that the first sample does not meet at once.
MISFIT_TAU = (Fraction(3, 4),)


def _losses_counted() -> Evidence:
    return Evidence(agreement("time", "csl") == (45, 0, 51), told(("time", "csl")))


def _more_loss_earlier() -> Evidence:
    (tau,) = MISFIT_TAU
    samples = [i for i, _ in enumerate(MISFIT.data)]
    csl, times = [total(MISFIT.curve(i)) for i in samples], [MISFIT.time(i, tau) for i in samples]
    summary = (
        rf"Two samples of one run, $\tau={show(tau)}$: CSL {float(csl[0]):.3f} and "
        rf"{show(csl[1])}, learned at $T={times[0]}$ and $T={times[1]}$. The second has the "
        r"largest loss at every step, and no gradient."
    )
    pinned = times == [2, 1] and csl[1] == len(MISFIT.weights())
    return Evidence(pinned and csl[0] < csl[1], summary)


INTERPRETING_4_2 = Claim(
    id="orders/interpreting-4.2",
    title="The bound is a fraction of the reference's learning time",
    paper="orders",
    location='Section 4.2.1, "Interpreting Theory" after Theorem 4.2',
    printed=r"""
"The learning time is upper-bounded by a fraction of the reference sample learning time. [...]
harder samples, with higher cumulative losses, take longer to learn, while easier samples [...] are
learned faster." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
Averaged over the samples, the factor of $T_{ref}$ in (6) is never below 1 (it is at least
$(\ell_0+T_{max}\ell^*)/(\ell_0-\ell_{T_{ref}}+T_{ref}\ell^*)$): the bound lets the average sample
take at least as long as the reference. For easier samples it may be below 1.
""",
    proof=r"""
The mean CSL is $\sum_{t\le T_{max}}\ell_t\ge\ell_0+T_{max}\ell^*$, and
$\lambda\ell_0+\ell^*T_{ref}=\ell_0-\ell_{T_{ref}}+\ell^*T_{ref}$ is at most that when
$T_{ref}\le T_{max}$. (The term in $\sigma_l$ only makes the denominator smaller.)
""",
    rebuttal=r"""
*"A fraction" only means "a multiple".* Then the sentence says that the bound is proportional to
CSL, which is so; it orders the bounds of the samples, not their learning times.
""",
    tried=r"""
The first half, read as a fraction below 1, is refuted on average over the samples, for all
numbers; for single samples it is not, since the factor of an easy sample can be below 1. The
second half is refuted for every pair of samples by a run that starts where the loss is flat. In
runs that start undecided we found nothing against it: none of those counted has the two orders
reversed.
""",
    effect=r"""
None on the experiments.
""",
    prior_art="None needed.",
    chapter="part2/loss-gradient-and-learning-time",
    uses=("orders/thm-4.2",),
    checks=(
        Check(Kind.DECIDED, Role.FAILING_STEP, "On average it is no fraction.", _never_a_fraction),
        Check(Kind.EXACT, Role.FAILING_STEP, "In a run, exactly 1.", _not_in_a_run),
        Check(Kind.EXACT, Role.FAILING_STEP, "More loss, learned earlier.", _more_loss_earlier),
        Check(Kind.EXACT, Role.WITHSTANDS, "CSL against time, counted.", _losses_counted),
    ),
    gist=r"Averaged over the samples, the factor of $T_{ref}$ in (6) is at least 1.",
)


# Theorem 4.3 -------------------------------------------------------------------------------------

#: Input lengths of one run told in other units: the same losses, the same learning time.
UNITS = (Fraction(1), Fraction(10), Fraction(100), Fraction(1000))


def _any_fraction() -> Evidence:
    (sample,), (start,), rows = ONE_SAMPLE, ONE_START, []
    for unit in UNITS:
        wide = (tuple(unit * v for v in sample[0]), sample[1])
        run = runs.descend((wide,), (start / unit,), ONE_RATE / unit**2, 1)
        rows.append((bound(run, wide, stated), bound(run, wide, right)))
    summary = (
        r"The run of Theorem 4.3 with its input in units of 1, 10, 100, 1000 ($T=T_{max}=1$): the "
        rf"printed bound is {', '.join(show(a) for a, _ in rows)}; with the right constant it is "
        rf"{', '.join(show(b) for _, b in rows)}."
    )
    first, *rest = (a for a, _ in rows)
    passed = first == Fraction(1, 200) and rest == [first * unit**2 for unit in UNITS[1:]]
    return Evidence(passed and {b for _, b in rows} == {1}, summary)


INTERPRETING_4_3 = Claim(
    id="orders/interpreting-4.3",
    title="The bound by CSG is a fraction of the total number of iterations",
    paper="orders",
    location='Section 4.2.1, "Interpreting Theory" after Theorem 4.3',
    printed=r"""
"The upper bound is a fraction of the total iterations, $T_{max}$, where the fraction is determined
by the ratio of CSG to the initial loss, scaled by the input-weight gradient transformation
constant, the PL constant $\mu$, and the loss bound parameter on a reference sample." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r""" With the right constant $\mathcal
M=k_{gw}^2/\mu$ (and the gradient of the batch) the "fraction" is never below 1. With the printed
constant it is any positive number, depending on the unit of length of the inputs.
""",
    proof=r"""
See Theorem 4.3: $\frac{\mathcal M}{2\lambda\ell_0}\sum_{t<T}\|\nabla_X\ell_t\|^2\ge1$ for every
$T\ge1$, since already the loss gap at $t=0$ is at least $\lambda\ell_0$. Units: $k_{gw}\mu$ times
CSG is multiplied by $c^2$ when inputs are multiplied by $c$.
""",
    rebuttal=r"""
*The sentence is meant as intuition.* The intuition that more CSG allows more learning time is
right, by R1, where the ratio is CSG over $\tau$.
""",
    tried=r"""
With the right constant "a fraction", read as less than 1, is refuted for every run; with the
printed constant the run above makes it any number. Read as "a multiple" the sentence repeats (7),
which is tried as `orders/thm-4.3`.
""",
    effect=r"""
None on the experiments.
""",
    prior_art="Checking units.",
    chapter="part2/loss-gradient-and-learning-time",
    uses=("orders/thm-4.3",),
    checks=(Check(Kind.EXACT, Role.FAILING_STEP, "One run, four units of length.", _any_fraction),),
    gist=r'With the right constant the "fraction" of $T_{max}$ is never below 1.',
)


CLAIMS = (INTERPRETING_4_1, INTERPRETING_4_2, INTERPRETING_4_3)
