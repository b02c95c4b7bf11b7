"""The steps of the proof of Theorem 5.3: (58), (59), (65) and the loss at the start."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.icml.instances import (
    BOUNDED,
    GIBBS,
    HALF,
    LONG_SHORT,
    ONE,
    SHAKEN,
    SMOOTH,
    SQUARE,
    UNBIASED,
    VARIANCE,
    Run,
)
from memlib.theory.worlds import mean

CHAPTER = "part2/memorization-and-learning-time"
SGD = (SMOOTH, UNBIASED, VARIANCE, BOUNDED)
LEARNED = "both samples are learned within the run, by Eq. (7)"
TAU = Fraction(9, 10)


# (58) -----------------------------------------------------------------------------------------

#: Least squares, fitted at the first step; the second step only adds noise.
LATE_NOISE = Run(
    SQUARE,
    (((1,), 1),),
    (HALF,),
    ONE,
    2,
    (((0,), (Fraction(1, 4),)), ((0,), (Fraction(-1, 4),))),
)


def _optimal(run: Run) -> Fraction:
    """The least training loss at the end, over the seeds (Definition D.1)."""
    return min(mean([run.at(path[-1], z) for z in run.data]) for path in run.paths())


def _late_noise() -> Evidence:
    run, curve = LATE_NOISE, LATE_NOISE.mean_curve()
    left, right = curve[0] - curve[1], curve[0] - _optimal(run)
    summary = (
        rf"Least squares, fitted at step 1, noise at step 2: $\ell_0-\ell_1={show(left)}$ and "
        rf"$\ell_0-\ell(w^*)={show(right)}$, since every seed ends at the loss "
        rf"{show(_optimal(run))}."
    )
    pinned = (left, right) == (Fraction(1, 8), Fraction(3, 32))
    return Evidence(pinned and left > right, summary, {}, run.sgd(), run)


def _late_noise_repaired() -> Evidence:
    run = LATE_NOISE
    curve = run.mean_curve()
    lowest = min(run.at(w, run.data[0]) for path in run.paths() for w in path)
    at_end = curve[0] - curve[-1] <= curve[0] - _optimal(run)
    summary = (
        rf"With the least loss on any path, {show(lowest)}, in place of $\ell(w^*)$: "
        rf"${show(curve[0] - curve[1])}\le{show(curve[0] - lowest)}$. (58) itself holds at "
        rf"$T=T_{{max}}$."
    )
    passed = lowest == 0 and curve[0] - curve[1] <= curve[0] - lowest == Fraction(1, 8)
    return Evidence(passed and at_end, summary, {}, {}, run)


EQ_58 = Claim(
    id="orders-icml/eq-58",
    title="The optimal weight is at least as good as every iterate",
    paper="orders-icml",
    location="Appendix D.2, Eq. (57) to (58), Definition D.1",
    printed=r"""
$\mathbb E_t[\ell(\vec w_0)-\ell(\vec w_T)]\le\mathbb E_t[\ell(\vec w_0)-\ell(\vec w^*)]$, where
$\vec w^*$ attains the least loss over all seeds at iteration $T_{max}$; used at $T=T_{z_i}$.""",
    assumptions=SGD,
    verdict=Verdict.FALSE,
    gist=r"True at $T=T_{max}$; at an earlier $T$ the loss can be lower than at the end.",
    holds=r"""
True at $T=T_{max}$, and at every $T\le T_{max}$ with the least loss on any path in place of
$\ell(w^*)$; true as printed if the training loss does not rise (gradient descent with
$\eta_t\le2/\rho$).
""",
    proof=r"""
A mean over seeds is at least the minimum over seeds at the same time; at another time nothing is
known. *Counterexample:* one sample, fitted exactly by the first step, disturbed by the second.
""",
    rebuttal=r"""
*Take $w^*$ to be the best weight of all.* That repairs (58), and then the model in (62) to (65),
whose accuracy is memorization, is not the trained one.
""",
    effect="One of the steps to Theorem 5.3.",
    prior_art="That a minimum is at most a mean.",
    chapter=CHAPTER,
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Fitted, then disturbed.", _late_noise),
        Check(Kind.EXACT, Role.REPAIRED, "The least loss of any path.", _late_noise_repaired),
    ),
)


# The loss at the start --------------------------------------------------------------------------


def _only_worse() -> Evidence:
    run = SHAKEN
    first, best = run.mean_curve()[0], _optimal(run)
    summary = (
        rf"Least squares from its minimum, one step, noise $\pm1$: $\ell_0={show(first)}$, and "
        rf"every seed ends at {show(best)}, so that $\ell_0-\ell(w^*)={show(first - best)}$."
    )
    pinned = first - best == -Fraction(1, 32)
    return Evidence(pinned and first < best, summary, {}, run.sgd(), run)


def _never_worse() -> Evidence:
    run = SHAKEN
    first = run.mean_curve()[0]
    lowest = min(run.at(w, run.data[0]) for path in run.paths() for w in path)
    summary = (
        rf"With the least loss on any path, which includes the start: $\ell_0-{show(lowest)}="
        rf"{show(first - lowest)}\ge0$."
    )
    return Evidence(lowest == first == 0, summary, {}, {}, run)


START = Claim(
    id="orders-icml/d.2-start",
    title="Training does not end above its start",
    paper="orders-icml",
    location="Appendix D.2, after Eq. (65): twice in the proof, and in D.2.1",
    printed=r"""
"Since $\mathbb E_{p,z_i}[\ell(\vec w_0,\vec z_i)-\ell(\vec w^*,\vec z_i)]\ge0$"; by the same
inequality $\frac{\tau\eta}{\kappa_m}-\frac{\eta\eta_s\rho\Gamma_v^2}2\ge0$.""",
    assumptions=SGD,
    verdict=Verdict.FALSE,
    gist=r"The best of all *final* weights can be worse than $w_0$; it has to be assumed, as D.3.2 "
    "does.",
    holds=r"""
An assumption, which D.3.2 calls empirically justified and the theorems do not list. It holds for
gradient descent with $\eta_t\le2/\rho$, and always with the least loss on any path in place of
$\ell(w^*)$ (`orders-icml/eq-58`). Without it $\kappa_T$ of (60) can be negative.
""",
    proof="*Counterexample:* training that starts at a minimum and is moved by noise.",
    rebuttal=r"""
*Nobody trains from a minimum.* Then $\ell(w_0)\ge\ell(w^*)$ is true of the runs that are meant, and
belongs among the assumptions.
""",
    effect="One of the steps to Theorem 5.3; harmless for networks that learn anything.",
    prior_art="Elementary.",
    chapter=CHAPTER,
    uses=("orders-icml/eq-58",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "From a minimum.", _only_worse),
        Check(Kind.EXACT, Role.REPAIRED, "The least loss of any path there.", _never_worse),
    ),
)


# (59) -----------------------------------------------------------------------------------------


def upper_bound(run: Run, time: Any) -> Any:
    """The right side of (59), for gradient descent: no sample occurs in it."""
    curve = run.mean_curve()
    return run.kappa_m() / (run.eta() * time) * (curve[0] - _optimal(run))


def _two_times() -> Evidence:
    run = LONG_SHORT
    times = [run.time(i, TAU) for i in (0, 1)]
    values = [upper_bound(run, t) for t in times]
    met = {**run.sgd(), LEARNED: None not in times}
    summary = (
        rf"Two samples of one run, $\tau={show(TAU)}$: by Eq. (7) $T={times[0]}$ and "
        rf"$T={times[1]}$. The right side of (59) is {float(values[0]):.2f} at the one and "
        rf"{float(values[1]):.2f} at the other; $\tau$ cannot be both, and is neither."
    )
    pinned = times == [2, 5] and [round(100 * v) for v in values] == [459, 184]
    return Evidence(pinned and TAU not in values, summary, {}, met, run)


def _two_times_repaired() -> Evidence:
    run = LONG_SHORT
    rows = [
        (time, sum(run.squares(i)) / TAU)
        for i in range(len(run.data))
        if (time := run.time(i, TAU)) is not None
    ]
    below = [min(upper_bound(run, t) for t, _ in rows) > TAU]
    summary = r"R1 on the same run, $T\le1+\mathrm{CSG}/\tau$: " + ", ".join(
        rf"${t}\le{float(1 + ratio):.3f}$" for t, ratio in rows
    )
    summary += rf". Both values of (59)'s right side are above $\tau={show(TAU)}$."
    passed = all(t <= 1 + ratio for t, ratio in rows) and all(below)
    return Evidence(passed and rows[0][1] == Fraction(10, 9), summary, {}, {}, run)


def _one_time() -> Evidence:
    import z3

    a, b, tau, scale, noise = z3.Reals("a b tau scale noise")
    return decide(
        [a >= 1, b >= 1, scale > 0, tau == scale / a + noise, tau == scale / b + noise],
        a == b,
        r"If (59) holds for two samples of one run, their learning times are equal: "
        r"$\kappa_m,\eta,\eta_s,\rho,\Gamma_v,\ell_0,\ell(w^*)$ have no index.",
    )


EQ_59 = Claim(
    id="orders-icml/eq-59",
    title="The threshold is set to an upper bound",
    paper="orders-icml",
    location="Appendix D.2, Eq. (59) to (60); D.3 quotes it with $w_{T_{z_i}}$ for $w^*$",
    printed=r"""
"We can set $\tau$ to this worst case upper bound":

$$\tau=\frac{\kappa_m}{\eta T_{z_i}}\mathbb E_t[\ell(\vec w_0)-\ell(\vec w^*)]+
\frac{\kappa_m\eta_s\rho\Gamma_v^2}2,$$

with $T_{z_i}$ the learning time of Eq. (7).""",
    assumptions=(*SGD, LEARNED),
    verdict=Verdict.FALSE,
    gist="An equation without a sample in it: it forces all learning times of a run to be equal.",
    holds=r"""
Eq. (7) gives $\mathrm{avg}_i(T_i)\le\tau<\mathrm{avg}_i(T_i-1)$, and the analysis of SGD bounds
these averages from *above*. So $\tau<\mathrm{avg}_i(T_i-1)\le U(T_i-1)$, $U$ being the bound: an
upper bound on learning time, $T_i-1\le m^2\kappa_m(\ell_0-\ell_{T_i-1})/(\eta\tau)$ for gradient
descent (with R1: $T_i\le1+\mathrm{CSG}/\tau$). The equation (59) does not follow, and the lower
bound on $T_i$ that Theorem 5.3 needs is not there.
""",
    proof=r"""
The right side of (59) is a decreasing function of $T$ without any sample in it, and $\tau$ is one
number; so at most one $T$ solves it. In the run two samples have learning times 2 and 5.
""",
    rebuttal=r"""
*$\tau$ is ours to choose.* Then it may be chosen so for one sample; the theorems average over
samples and compare groups of them, with one $\tau$. *Let $T_{z_i}$ be defined by (59).* Then every
sample has the same learning time, and Eq. (7), which the experiments use, is another quantity.
""",
    effect=r"""
Theorems 5.3, 5.4 and 5.5 start from (59). The draft's (33), which subtracted two such equations, is
gone; the equation is not.
""",
    prior_art="That an upper bound cannot be set equal to what it bounds is common knowledge.",
    chapter=CHAPTER,
    uses=("orders-icml/eq-7", "orders-icml/eq-45", "orders-icml/eq-58", "book/r1"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Two learning times in one run.", _two_times),
        Check(Kind.EXACT, Role.REPAIRED, "What Eq. (7) does give.", _two_times_repaired),
        Check(Kind.DECIDED, Role.SEPARATES, "One threshold, one time.", _one_time),
    ),
)


# (65) -----------------------------------------------------------------------------------------

#: Gibbs loss, two orthogonal samples; the one noisy step helps both or harms both.
LUCK = Run(GIBBS, (((1, 0), 1), ((0, 1), 1)), (0, 0), ONE, 1, (((HALF, HALF),), ((-HALF, -HALF),)))


def _best_seed() -> Evidence:
    run = LUCK

    def best(left_out: int | None) -> tuple[Fraction, ...]:
        rest = [z for k, z in enumerate(run.data) if k != left_out]
        return min(
            (path[-1] for path in run.paths(left_out)),
            key=lambda w: mean([run.at(w, z) for z in rest]),
        )

    sample = run.data[0]
    printed = run.at(best(0), sample) - run.at(best(None), sample)
    mem = run.memorization(0)
    summary = (
        rf"Gibbs loss, two seeds, $L=1$: the best seed's losses differ by {show(printed)}, and "
        rf"$\mathrm{{mem}}={show(mem)}$."
    )
    pinned = (printed, mem) == (Fraction(1, 8), Fraction(1, 4))
    return Evidence(pinned and printed < mem, summary, {}, run.sgd(), run)


def _every_seed() -> Evidence:
    run = LUCK
    gap = run.curve(0, 0)[-1] - run.curve(0)[-1]
    summary = (
        rf"On the same run the loss averaged over the seeds differs by {show(gap)}: exactly "
        r"$L\,\mathrm{mem}$."
    )
    return Evidence(gap == run.memorization(0) == Fraction(1, 4), summary, {}, {}, run)


EQ_65 = Claim(
    id="orders-icml/eq-65",
    title="Memorization as a difference of losses of the best seed",
    paper="orders-icml",
    location="Appendix D.2, Eq. (64) to (65)",
    printed=r"""
$$\mathbb E_{t,p,z_i}\bigl[\ell^{\setminus z_i}(\vec w^*,\vec z_i)-\ell(\vec w^*,\vec z_i)\bigr]=
\mathbb E_{t,z_i}[L\,\mathrm{mem}(\vec z_i)]$$""",
    assumptions=SGD,
    verdict=Verdict.FALSE,
    gist=r"True for Gibbs loss and the trained model, averaged over seeds; not for the best seed.",
    holds=r"""
For Gibbs loss $\mathbb E_p[\ell^{\setminus z_i}(w_{T_{max}},z_i)-\ell(w_{T_{max}},z_i)]=
L\,\mathrm{mem}(z_i)$, with the weights of each seed. $w^*$ belongs to one seed, so that there is
nothing left to average over; and for other losses the identity fails as in `orders/e2-mem-loss`.
""",
    proof=r"""
Memorization averages over the seeds. In the run the lucky seed is right with certainty in training
and with chance $\frac78$ without the sample; the unlucky one falls from $\frac12$ to $\frac18$.
""",
    rebuttal=r"""
*$w^*$ stands for the trained weights.* Definition D.1 says otherwise, and (58) needs it.
""",
    effect="One of the steps to Theorem 5.3.",
    prior_art="That a minimum is at most a mean.",
    chapter=CHAPTER,
    uses=("orders-icml/eq-58", "orders/e2-mem-loss"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A lucky seed and an unlucky one.", _best_seed),
        Check(Kind.EXACT, Role.REPAIRED, "The mean over the seeds.", _every_seed),
    ),
)


CLAIMS = (EQ_58, START, EQ_59, EQ_65)
