"""Theorem 5.4 of the published version, its reading for subsets, and its offset."""

from dataclasses import replace
from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.icml.instances import (
    AT_OPTIMUM,
    BOUNDED,
    CONFLICT,
    FROM_ZERO,
    HALF,
    LONG_SHORT,
    LONG_SHORTER,
    RANK,
    SMOOTH,
    UNBIASED,
    VARIANCE,
    Run,
    independent,
)
from memlib.theory.worlds import mean, total

CHAPTER = "part2/loss-gradient-and-learning-time"
SGD = (SMOOTH, UNBIASED, VARIANCE, BOUNDED)
DECREASES = r"$\mathbb E\ell(\vec w_0)\ge\mathbb E\ell(\vec w_{T_{max}})$"
TAU = Fraction(1, 10)


def fall(run: Run) -> Fraction:
    """The right side of (12), with L = 1: the mean CSL minus its offset."""
    return mean([run.csl(i) for i in range(len(run.data))]) - run.xi()


def _no_constant() -> Evidence:
    run = AT_OPTIMUM
    right, time = fall(run), run.time(0, TAU)
    summary = (
        rf"Two orthogonal samples, Gibbs loss, fitted from the start, one noisy step: "
        rf"$\mathbb E\,\mathrm{{CSL}}-\xi={show(right)}$ and $T={time}$. No $\kappa_T>0$ makes "
        rf"$\kappa_T\cdot{time}\le{show(right)}$."
    )
    met = {**run.sgd(), RANK: independent(run.data)}
    return Evidence(right == -Fraction(1, 64) and time == 1, summary, {}, met, run)


def _no_constant_repaired() -> Evidence:
    run = AT_OPTIMUM
    noise = run.steps * run.rho() * run.rate**2 * run.variance() / 2
    right = fall(run) + noise
    times = [time for i in range(len(run.data)) if (time := run.time(i, TAU)) is not None]
    left = max(times) - 1
    summary = (
        rf"On the same run, with $T-1$ and the noise of all steps, {show(noise)}: "
        rf"$\kappa\cdot{left}\le{show(right)}$."
    )
    return Evidence(left == 0 and right == Fraction(1, 64), summary, {}, {}, run)


def _nothing_left() -> Evidence:
    run = CONFLICT
    times = [run.time(i, TAU / 2) for i in (0, 1)]
    csl = mean([run.csl(i) for i in (0, 1)])
    summary = (
        rf"One input with the labels 0 and 1, {run.steps} steps: CSL is {show(csl)} and so is "
        rf"$\xi$; "
        r"neither sample is ever learned. A large CSL, a difference of 0, and a learning time "
        r"without "
        "bound."
    )
    return Evidence(times == [None, None] and csl == run.xi() == 2, summary, {}, {}, run)


def _nothing_left_refuted() -> Evidence:
    found = _nothing_left()
    return replace(found, assumptions=CONFLICT.sgd())


def _nothing_left_repaired() -> Evidence:
    run, csg = CONFLICT, total(CONFLICT.squares(0))
    bound = 1 + csg / (TAU / 2)
    summary = (
        rf"R1 on the same run: never learned in {len(run.squares(0))} weights counts as "
        rf"{len(run.squares(0)) + 1}, and $1+\mathrm{{CSG}}/\tau={show(bound)}$."
    )
    passed = len(run.squares(0)) + 1 == 18 and 18 <= bound == Fraction(89, 4)
    return Evidence(passed, summary, {}, {}, run)


def _repaired_decided() -> Evidence:
    import z3

    late, tau, eta, kappa, before, whole, first, last = z3.Reals(
        "late tau eta kappa before whole first last"
    )
    return decide(
        [
            eta > 0,
            late * tau < before,  # not learned at T - 1 = late
            before <= whole,
            eta * whole <= kappa * (first - last),  # (45), summed
        ],
        tau * eta * late < kappa * (first - last),
        r"Gradient descent: $\frac{\tau\eta}{\kappa}(T-1)<\ell_0-\ell_{T_{max}}$ for $T\ge2$, "
        "in a run of any length.",
    )


THM_5_4 = Claim(
    id="orders-icml/thm-5.4",
    title="Cumulative loss bounds learning time",
    paper="orders-icml",
    location="Theorem 5.4, Eq. (12); proof and $\\xi$ in D.3",
    printed=r"""
There exists a $\kappa_T>0$ such that

$$\kappa_T\,\mathbb E_{z_i}[T_{z_i}]\le\frac{\mathbb E_{z_i}[\mathrm{CSL}(\vec z_i)]-\xi}L,\qquad
\xi=\mathbb E_{t,z_i}\Bigl[\sum_{t=0}^{T_{max}-1}\ell(\vec w_{t+1},\vec z_i)\Bigr].$$""",
    assumptions=SGD,
    verdict=Verdict.FALSE,
    gist=r"$\mathbb E\,\mathrm{CSL}-\xi=\ell_0-\ell_{T_{max}}$: CSL cancels, and the difference "
    "can be 0 or negative.",
    holds=r"""
The right side telescopes to $(\mathbb E\ell(w_0)-\mathbb E\ell(w_{T_{max}}))/L$: all of CSL is
subtracted again. Where that is positive and all samples are learned, *any* small enough $\kappa_T$
will do; where it is not, none does. What the proof gives, for the full gradient and independent
inputs, with $\kappa_m$ a number that bounds $k_g^2$ and a constant step size $\eta_t<2/\rho$, of
which $\eta=\eta_t-\frac12\rho\eta_t^2>0$ is left by (45), is

$$\frac{\tau\eta}{m\kappa_m}\,\mathbb E[T_{z_i}-1]\le\mathbb E\,\mathrm{CSL}-\xi+
\frac{T_{max}\rho\eta_t^2\Gamma_v^2}2,$$

($T_{z_i}-1$ the number of steps at which a sample is not yet learned, at most $T_{max}$: one that
is never learned counts as $T_{max}+1$). In CSL itself there is R1.
""",
    proof=r"""
If a sample is not learned at $T-1$ then $(T_i-1)\tau<\mathrm{CSG}_{<T_i-1}\le\mathrm{CSG}_i$.
Average over $i$ and seeds, and sum the repaired (45): $\frac1m\sum_i\mathbb E\,\mathrm{CSG}_i\le
\frac{m\kappa_m}\eta(\mathbb E[\ell_0-\ell_{T_{max}}]+\frac12T_{max}\rho\eta_t^2\Gamma_v^2)$.
The $-1$ cannot be left out: a sample may be learned at $T=1$ in a run that gains nothing.
""",
    rebuttal=r"""
*Networks are not trained from an optimum.* The second instance does not need it: contradictory
duplicates keep the loss where it is, and their learning times have no bound. *$\xi$ is only an
offset.* If $\xi$ may be anything, so may the right side; with the $\xi$ of D.3 it is the total
decrease of the training loss, a single number for the whole data set. Section 5.4's version for
subsets $U(C)$ takes the least $\xi$ of all subsets and drops $\kappa_T$; with a different $\xi$ it
is no longer the difference that was bounded.
""",
    effect=r"""
Figures 4 and 7 (learning time against CSL, nearly a line) are an observation about sums of losses
and sums of gradients along the same runs; R1 gives one direction of it. The theorem, in which CSL
cancels, does not.
""",
    prior_art="A telescoping sum.",
    chapter=CHAPTER,
    uses=(
        "orders-icml/eq-5",
        "orders-icml/eq-7",
        "orders-icml/eq-45",
        "orders-icml/eq-59",
        "book/r1",
    ),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "No constant at all.", _no_constant),
        Check(Kind.EXACT, Role.REPAIRED, "One less, and the noise.", _no_constant_repaired),
        Check(Kind.EXACT, Role.REFUTES, "CSL cancels, learning never ends.", _nothing_left_refuted),
        Check(Kind.EXACT, Role.REPAIRED, "R1 there.", _nothing_left_repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "The repaired bound.", _repaired_decided),
    ),
)


# Subsets ------------------------------------------------------------------------------------------

#: A threshold at which both samples of `LONG_SHORT` are learned within the run.
LEARNED_TAU = Fraction(9, 10)


def _easy_subset() -> Evidence:
    run = LONG_SHORT
    easy, hard = (run.csl(i) for i in range(len(run.data)))
    offsets = [total(run.curve(i)[1:]) for i in range(len(run.data))]
    lowest, time = min(*offsets, run.xi()), run.time(0, LEARNED_TAU)
    right = easy - lowest
    summary = (
        rf"Two samples of one run, $L=1$, $\tau={show(LEARNED_TAU)}$, CSL {float(easy):.3f} and "
        rf"{float(hard):.3f}. With $C={show(easy)}$ the subset is the first sample, "
        rf"$\xi'={show(lowest)}$, "
        rf"and printed is $T={time}\le{show(right)}$."
    )
    pinned = (easy, lowest, time) == (HALF, 0, 2)
    late = time is not None and time > right
    return Evidence(pinned and easy < hard and late, summary, {}, run.sgd(), run)


def _easy_subset_repaired() -> Evidence:
    run = LONG_SHORT
    time, bound = run.time(0, LEARNED_TAU), 1 + total(run.squares(0)) / LEARNED_TAU
    summary = rf"R1 for that sample: ${time}\le1+\mathrm{{CSG}}/\tau={show(bound)}$."
    return Evidence(time == 2 and time <= bound == Fraction(19, 9), summary, {}, {}, run)


SUBSETS = Claim(
    id="orders-icml/subsets",
    title="Subsets of small CSL are learned early",
    paper="orders-icml",
    location="Section 5.4, 'Interpreting Theory' of Theorem 5.4",
    printed=r"""
For $U(C)=\{\vec z_i:\mathrm{CSL}(\vec z_i)\le C\}$,

$$\mathbb E_{z_i\in U(C)}[T_{z_i}]\le\frac{C-\xi'}L,$$

"$\xi'$ is the minimum $\xi$ across various subsets".""",
    assumptions=SGD,
    verdict=Verdict.FALSE,
    gist=r"$\kappa_T$ is missing; with it, it needs Theorem 5.4 for subsets. R1 holds for each "
    r"sample.",
    holds=r"""
R1: $T_{z_i}\le1+\mathrm{CSG}(z_i)/\tau$ for each sample, and $1+2\mathcal L_z\,\mathrm{CSL}/\tau$
for losses that are smooth in the input. So subsets of small CSL have small learning times, with a
constant that contains $\tau$. Theorem 5.4 "applies to any subset" only if a subset has its own
training loss: the descent of (40) is that of the mean over *all* samples.
""",
    proof=r"""
A sample with loss $\frac12$ at the start and 0 after one step has $\mathrm{CSL}=\frac12$ and
$\xi=0$; it is learned at $T=2$. Learning times are at least 1, so any subset with $C-\xi'<L$
refutes it.
""",
    rebuttal=r"""
*$\kappa_T$ was left out by mistake.* Probably. With $\kappa_T$ the instance is no counterexample;
the statement then rests on Theorem 5.4, and on its use for subsets.
""",
    effect="The direction is right, by R1.",
    prior_art="R1 is elementary.",
    chapter=CHAPTER,
    uses=("orders-icml/thm-5.4", "book/r1"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "One easy sample.", _easy_subset),
        Check(Kind.EXACT, Role.REPAIRED, "R1 for it.", _easy_subset_repaired),
    ),
)


# The offset -------------------------------------------------------------------------------------


def _below_the_offset() -> Evidence:
    run = LONG_SHORTER
    csl, xi, curve = [run.csl(i) for i in (0, 1)], run.xi(), run.mean_curve()
    fall = curve[0] - curve[-1]
    met = {DECREASES: fall >= 0}
    summary = (
        rf"Two samples of one run, {run.steps} steps: CSL {float(csl[0]):.3f} and "
        rf"{float(csl[1]):.3f}, "
        rf"$\xi={float(xi):.3f}$. The first is below the offset."
    )
    pinned = [round(1000 * v) for v in (*csl, xi)] == [500, 2020, 798] and round(
        10**4 * fall
    ) == 4620
    return Evidence(pinned and csl[0] < xi, summary, {}, met, run)


def _on_average() -> Evidence:
    run = LONG_SHORTER
    difference, curve = fall(run), run.mean_curve()
    summary = (
        rf"On the same run the mean CSL exceeds $\xi$ by {float(difference):.4f}, the decrease "
        rf"of the "
        "training loss, exactly."
    )
    passed = difference == curve[0] - curve[-1] and difference >= 0
    return Evidence(passed and round(10**4 * difference) == 4620, summary, {}, {}, run)


def _range() -> Evidence:
    run = FROM_ZERO
    summary = rf"Two samples from weights 0: the mean CSL exceeds $\xi$ by {show(fall(run))}."
    return Evidence(fall(run) == Fraction(3, 8), summary)


XI = Claim(
    id="orders-icml/xi",
    title="The offset is a lower bound on CSL",
    paper="orders-icml",
    location="Appendix D.3.2",
    printed=r"""
If $\mathbb E_{z_i}\ell(\vec w_0,\vec z_i)\ge\mathbb E_{z_i}\ell(\vec w_{T_{max}},\vec z_i)$ then
$\xi\le\mathbb E[\mathrm{CSL}(\vec z_i)]$; "since this holds for any $\vec z_i\sim\mathbf Z$, we
conclude that $\xi$ is a lower bound on CSL".""",
    assumptions=(DECREASES,),
    verdict=Verdict.FALSE,
    gist=r"A lower bound on the mean of CSL, by exactly $\ell_0-\ell_{T_{max}}$; not on a "
    r"sample's CSL.",
    holds=r"""
$\mathbb E\,\mathrm{CSL}-\xi=\mathbb E\ell(w_0)-\mathbb E\ell(w_{T_{max}})$, so that $\xi\le\mathbb
E\,\mathrm{CSL}$ if and only if the training loss does not rise. A sample's own CSL can be far below
$\xi$: the difference of the two means is at most $L$, while CSL differs between samples by as much
as $T_{max}L$.
""",
    proof=r"""
Telescoping. (The second line of D.3.2 counts $\ell(w_{T_{max}})$ twice and leaves out
$\ell(w_1)$; the conclusion on means is right.)
""",
    rebuttal=r"""
*The theorems are about means.* Then the offset is one number for all groups of samples, and a group
of easy samples lies below it: the bounds are negative there, which no learning time is.
""",
    effect=r"""
CSL minus $\xi$ is not "in the range $(0,1)$" for groups of samples.
""",
    prior_art="A telescoping sum.",
    chapter=CHAPTER,
    uses=("orders-icml/eq-5",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "An easy sample.", _below_the_offset),
        Check(Kind.EXACT, Role.REPAIRED, "The mean.", _on_average),
        Check(Kind.EXACT, Role.SUPPORTS, "The mean, on another run.", _range),
    ),
)


CLAIMS = (THM_5_4, SUBSETS, XI)
