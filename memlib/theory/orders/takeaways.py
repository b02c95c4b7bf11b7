"""The draft's takeaways, and what it reads out of Theorems 4.4, 4.5 and 4.6."""

from fractions import Fraction
from itertools import combinations, product

from memlib.theory import trajectories as runs
from memlib.theory.book.cumulative_loss import FREE, TIED, WORLD, gibbs_trial
from memlib.theory.book.learning_time import time_bound, window_decided
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.linear_classifier import Training
from memlib.theory.orders.small_runs import agreement, told
from memlib.theory.worlds import total

# The takeaway: a linear relationship -------------------------------------------------------------

#: Two samples in one run: the one with more CSG is learned earlier.
PAIR = runs.Descent(
    (((1, 0), -1), ((0, 2), 1)), (Fraction(1, 4), Fraction(-1, 4)), Fraction(1, 8), 12
)
#: Two samples in a run from 0.
FLAT = runs.Descent((((1, 0), 1), ((0, 1), 3)), (0, 0), Fraction(1, 4), 12)


def _reversed() -> Evidence:
    run = PAIR.run()
    squares = [runs.squared_gradients(run, z) for z in PAIR.data]
    times = [runs.learning_time(s, Fraction(1, 8)) for s in squares]
    csg = [sum(s) for s in squares]
    summary = (
        rf"One run, two samples, $\tau=\tfrac18$: $T={times[0]}$ with CSG {float(csg[0]):.3f}, and "
        rf"$T={times[1]}$ with CSG {float(csg[1]):.3f}. Four times the CSG, learned earlier."
    )
    return Evidence(times == [2, 3] and csg[0] > 4 * csg[1], summary)


def _flat() -> Evidence:
    run = FLAT.run()
    squares = [runs.squared_gradients(run, z) for z in FLAT.data]
    times = [runs.learning_time(s, Fraction(1, 8)) for s in squares]
    ratio = total(squares[1]) / total(squares[0])
    summary = (
        rf"One run from $w_0=0$: both samples have $T=1$, and the CSG of one is {show(ratio)} "
        "times that of the other."
    )
    return Evidence(times == [1, 1] and ratio == 9, summary)


def _bounds_allow_anything() -> Evidence:
    import z3

    first, second, ratio, tau = z3.Reals("first second ratio tau")
    low = (second - 1) * tau  # the CSG of the sample that is learned later
    high = ratio * low
    return decide(
        [tau > 0, first >= 1, second >= first, ratio >= 1],
        z3.And(
            low >= 0, high >= low, first <= time_bound(high, tau), second <= time_bound(low, tau)
        ),
        r"For any two learning times $1\le T\le T'$ and any factor $k\ge1$ there are CSGs that "
        r"meet both bounds $T\le1+\mathrm{CSG}/\tau$, and the sample that is learned *earlier* "
        r"has $k$ times the CSG.",
    )


def _gradients_counted() -> Evidence:
    return Evidence(agreement("time", "csg") == (45, 0, 51), told(("time", "csg")))


TAKEAWAY_LINEAR = Claim(
    id="orders/takeaway-linear",
    title="Learning time has a linear relationship with CSG",
    paper="orders",
    location="Section 4.2 (after Theorem 4.3, and Key Theory Takeaways), Section 5.1",
    printed=r"""
"Learning time exhibits a linear relationship with all three metrics (i.e., orders of loss)";
Theorem 4.3 "establishes a linear relationship between learning time and the proposed metric, CSG",
and the experiments "empirically confirm these linear relationships".""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist="Linear by definition in CSG until $T$; CSG of the whole run gives a bound on one side.",
    holds=r"""
Two different things are true. With CSG counted *until the sample is learned*,
$T=\mathrm{CSG}_{<T}/\tau$ to within one step: that is the definition (R4). With CSG over the whole
run, $T\le1+\mathrm{CSG}/\tau$ (R1): a bound on one side, which allows any order.
""",
    proof="An upper bound is not a relationship: executed, by the solver and in training runs.",
    rebuttal=r"""
*The plots are close to straight.* They are the evidence, and it is good evidence, for an empirical
regularity on CIFAR-100. Theory that predicts it would have to say why samples come near the bound.
""",
    tried=r"""
An exact linear relationship with CSG over the whole run is refuted by the runs above; with CSG
until $T$ it is true by definition. The weaker reading, that more CSG goes with a later learning
time, is refuted as a rule, and was not reversed in any of the runs that are counted. What is left,
that plots are close to linear on CIFAR-100, is a measurement, and no exact world can contradict
it.
""",
    effect=r"""
The proxies lose nothing; the explanation is open. The published version is careful here: it
expects linearity *if the bounds are tight*, and speaks of CSL only.
""",
    prior_art=r"""
None needed: an upper bound orders nothing.
""",
    chapter="part1/watching-a-network-learn",
    uses=("orders/eq-3", "orders/eq-4", "book/r1", "book/r4"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "More CSG, learned earlier.", _reversed),
        Check(Kind.EXACT, Role.FAILING_STEP, "The same learning time at any CSG.", _flat),
        Check(
            Kind.DECIDED,
            Role.FAILING_STEP,
            "From bounds to a relationship.",
            _bounds_allow_anything,
        ),
        Check(Kind.DECIDED, Role.SUPPORTS, "What is linear by definition.", window_decided),
        Check(Kind.EXACT, Role.WITHSTANDS, "CSG against time, counted.", _gradients_counted),
    ),
)


# Theorem 4.4 and the takeaways -------------------------------------------------------------------

#: What a wrong hypothesis keeps of its weight at each step: a slow learner and a fast one.
KEEPS = (Fraction(1, 2), Fraction(1, 4))
LABELS = (1, 1, 1)


def _more_memorization_less_csl() -> Evidence:
    trials = [gibbs_trial(LABELS, 0, FREE, keep) for keep in KEEPS]
    held_out = {tuple(trial["held_out"]) for trial in trials}
    mem = [max(trial["mem"]) for trial in trials]
    csl = [total(trial["loss"]) for trial in trials]
    summary = (
        rf"Two learners whose held-out loss is the same at every step ($L={WORLD.scale}$): final "
        rf"memorization {show(mem[0])} and {show(mem[1])}, CSL {float(csl[0]):.3f} and "
        rf"{float(csl[1]):.3f}."
    )
    pinned = [round(1000 * value) for value in (*mem, *csl)] == [211, 347, 9778, 7765]
    return Evidence(pinned and len(held_out) == 1 and mem[0] < mem[1] and csl[0] > csl[1], summary)


def _scores_counted() -> Evidence:
    return Evidence(agreement("csl", "mem") == (15, 67, 14), told(("csl", "mem")))


#: Three labels, and two samples: one data set in which CSL follows memorization, one in which not.
TOGETHER, APART = ((1, 0, 1), (0, 1)), ((1, 0, 0), (1, 0))


def _pair(labels: tuple[int, ...], samples: tuple[int, int]) -> list[tuple[Fraction, Fraction]]:
    """Final memorization and CSL of two samples of one data set."""
    trials = [gibbs_trial(labels, i, TIED) for i in samples]
    return [(trial["mem"][-1], total(trial["loss"])) for trial in trials]


def _within_one_data_set() -> Evidence:
    ((mem, csl), (more, more_csl)), ((low, high_csl), (high, low_csl)) = (
        _pair(*case) for case in (TOGETHER, APART)
    )
    summary = (
        rf"Labels {TOGETHER[0]}: two samples with memorization {float(mem):.3f} and "
        rf"{float(more):.3f} have CSL {float(csl):.2f} and {float(more_csl):.2f}. Labels "
        rf"{APART[0]}: "
        rf"memorization {float(low):.3f} and {float(high):.3f}, CSL {float(high_csl):.2f} and "
        rf"{float(low_csl):.2f}."
    )
    pinned = [round(1000 * v) for v in (mem, more, low, high)] == [100, 198, 290, 326]
    return Evidence(pinned and csl < more_csl and high_csl > low_csl, summary)


def slope_of_csl() -> Derivation:
    """R2 at one step, with the held-out loss fixed: how CSL changes with memorization."""
    import sympy

    held_out, mem, scale = sympy.symbols("h m L", positive=True)
    csl = held_out - scale * mem
    return Derivation(
        "The sign",
        (
            Step(
                "CSL falls with memorization, at fixed held-out loss",
                sympy.Derivative(csl, mem),
                -scale,
            ),
            Step(
                "and grows with held-out loss, at fixed memorization",
                sympy.Derivative(csl, held_out),
                1,
            ),
        ),
    )


DISCUSSION_4_4 = Claim(
    id="orders/takeaway-memorization",
    title="Memorization and CSL are linearly related",
    paper="orders",
    location="Section 4.2.2, Discussion after Theorem 4.4; Key Theory Takeaways (2); Section 5.1",
    printed=r"""
Theorem 4.4 "provides an upper bound on CSL by utilizing memorization, showing that CSL has a linear
relationship with memorization". Takeaway (2): "Stability-based memorization also follows this
linear relationship with the three metrics." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r""" For Gibbs loss there is an exact linear relation, with a *negative* sign and another
term: $\mathbb E\,\mathrm{CSL}=\sum_th_t-L\sum_t\mathrm{mem}_t$ (R2). CSL and memorization rise
together across samples as far as the held-out loss $h_t$ rises with memorization, which it often
does, since $L\,\mathrm{mem}_t\le h_t$: only what is hard when held out can be memorized.
""",
    proof=r"""
R2. Executed below: two learners with equal held-out loss, where more memorization means less CSL;
and two data sets, in one of which the sample memorized more has more CSL, in the other less.
""",
    rebuttal=r"""
*The binned plots of Figure 9 are close to linear.* They are. R2 would explain that by the held-out
loss, if that varies most across the samples of a data set; the draft does not measure it.
""",
    tried=r"""
Read as an exact relation with a positive slope it is refuted by both instances; and over the runs
that are counted the order is more often reversed than kept. The text says that Theorem 4.4 "shows"
it and that experiments confirm it: the first is tried as `orders/thm-4.4`, the second is a
measurement that we have no reason to doubt.
""",
    effect=r"""
CSL as a proxy is supported by the experiments. What it measures is held-out difficulty minus
memorization.
""",
    prior_art=r"""
R2 is elementary.
""",
    chapter="part2/loss-and-memorization",
    uses=("orders/thm-4.4", "book/r2"),
    checks=(
        Check(
            Kind.EXACT,
            Role.FAILING_STEP,
            "More memorization, less CSL.",
            _more_memorization_less_csl,
        ),
        Check(
            Kind.EXACT, Role.FAILING_STEP, "Both orders, within data sets.", _within_one_data_set
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "CSL against memorization, counted.", _scores_counted),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Both signs.", lambda: derived(slope_of_csl())),
    ),
    gist=r"Linear with a negative sign, and a second term: $\mathbb E\,\mathrm{CSL}="
    r"\sum_th_t-L\sum_t\mathrm{mem}_t$.",
)


# Theorem 4.5 -------------------------------------------------------------------------------------

#: Two orthogonal samples, one with a long input and one with a short one, after one step.
ONE_STEP = Training(
    (((2, 0), 1), ((0, Fraction(1, 2)), 1)), (0, Fraction(1, 10)), Fraction(1, 2), 1
)


def _gradient_reversed() -> Evidence:
    mem = [ONE_STEP.memorization(i) for i, _ in enumerate(ONE_STEP.data)]
    squares = [ONE_STEP.squares(i)[-1] for i, _ in enumerate(ONE_STEP.data)]
    summary = (
        rf"Two orthogonal samples after one step: memorization {show(mem[0])} and "
        rf"{float(mem[1]):.3f}, squared input gradient at the end {show(squares[0])} and "
        rf"{float(squares[1]):.3f}."
    )
    pinned = (mem[0], round(10**4 * mem[1]), squares[0]) == (Fraction(1, 2), 546, 0)
    return Evidence(pinned and round(10**4 * squares[1]) == 2363, summary)


#: Orthogonal samples of unequal length, step sizes and numbers of steps; a third weight of 1, of
#: which no score depends, makes input gradients visible.
LENGTHS = tuple(Fraction(k, 2) for k in (1, 2, 3, 4))
RATES, STEPS, VISIBLE = (Fraction(1, 2), Fraction(1)), (1, 2, 3, 4), (0, 0, 1)


def _gradient_counted() -> Evidence:
    """In how many of these runs the sample with the larger final gradient is memorized less."""
    orders = []
    for (one, other), rate, steps in product(combinations(LENGTHS, 2), RATES, STEPS):
        data = (((one, 0, 0), 1), ((0, other, 0), 1))
        run = Training(data, VISIBLE, rate, steps)
        m, n = (run.memorization(i) for i in (0, 1))
        g, h = (run.squares(i)[-1] for i in (0, 1))
        orders.append((m - n) * (g - h))
    more, less = sum(order > 0 for order in orders), sum(order < 0 for order in orders)
    summary = (
        rf"All {len(orders)} runs of two orthogonal samples with lengths $\frac12$ to 2, two step "
        rf"sizes, one to four steps: the sample with the larger final gradient is memorized less "
        rf"in {less} of them and more in {more}."
    )
    return Evidence((len(orders), less, more) == (48, 44, 0), summary)


INTERPRETING_4_5 = Claim(
    id="orders/interpreting-4.5",
    title="The larger the gradient at the end of training, the more likely the sample is memorized",
    paper="orders",
    location='Section 4.2.2, sketch of proof and "Interpreting Theory" after Theorem 4.5',
    printed=r"""
"Thus, the larger the gradient at the end of training for a sample, the more it is likely memorized
during training." The theorem "predicts a linear relationship between memorization and the sample
gradient". """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
The gradient in (10) is that of the model trained *without* the sample. At the end of training
*with* it, a sample that has been fitted has gradient 0, however much of it was memorized; a large
gradient can belong to a sample that was hardly learned.
""",
    proof=r"""
One step fits the long input ($\eta\|x\|^2/m=1$) and hardly moves along the short one. The first
sample is memorized by $\frac12$ and has no gradient left; the second is the other way around.
""",
    rebuttal=r"""
*A held-out gradient can be estimated with models of other folds.* Yes; then it should be called
that, and it costs what memorization scores cost.
""",
    tried=r"""
For every pair of samples it is refuted by the first run: the sample that is memorized more has the
smaller gradient. "More likely" names no distribution of samples; over the runs that are counted it
is the other way around wherever the two differ.
""",
    effect=r"""
The reading gives no reason to expect memorized samples among those with a large final gradient in
training.
""",
    prior_art=r"""
Vanishing gradients of fitted samples: textbook.
""",
    chapter="part2/the-final-gradient",
    uses=("orders/thm-4.5",),
    checks=(
        Check(
            Kind.EXACT, Role.FAILING_STEP, "Memorized, and no gradient left.", _gradient_reversed
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "Runs, counted.", _gradient_counted),
    ),
    gist=r"The gradient is that of the model *without* the sample; with it, a memorized sample can "
    r"have none.",
)


# Theorem 4.6 -------------------------------------------------------------------------------------

#: Learning times of two samples, a bound on each by gradients, and a larger one by curvature.
TIMES, BY_GRADIENT, BY_CURVATURE = (1, 2), (4, 3), (5, 6)


def _tighter_is_not_better() -> Evidence:
    nested = all(t <= a <= b for t, a, b in zip(TIMES, BY_GRADIENT, BY_CURVATURE, strict=True))
    (t, u), (a, b), (c, d) = TIMES, BY_GRADIENT, BY_CURVATURE
    summary = (
        rf"Learning times {TIMES}, bounds {BY_GRADIENT} by gradients and, larger for each sample, "
        rf"{BY_CURVATURE} by curvature: the looser bound orders the samples as the times do, the "
        r"tighter one does not."
    )
    return Evidence(nested and t < u and a > b and c < d, summary)


INTERPRETING_4_6 = Claim(
    id="orders/interpreting-4.6",
    title="CSG bounds learning time more tightly than curvature, as detection confirms",
    paper="orders",
    location='Section 4.2.3, "Interpreting Theory" after Theorem 4.6',
    printed=r"""
"The theorem implies that CSG provides a tighter bound on learning time than sample loss curvature.
This is supported by the mislabel detection performance of CSG compared to cumulative sample
curvature [...]" """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
In a chain $T\le A\le B$ the bound $A$ is the tighter one: that is all. With the right constants $A$
is at least $T_{max}$ (Theorem 4.3), hence so is $B$. Which of two bounds orders samples better does
not follow from which is tighter, and detection is a matter of order.
""",
    proof=r"""
Three pairs of numbers, executed below.
""",
    rebuttal=r"""
*It is offered as support, not as proof.* Fair. But detection compares orders. And Table 2 supports
it by half: on CIFAR-10 CSG is below curvature at all four noise levels (0.968 to 0.981 against
0.972 to 0.982), on CIFAR-100 above at all four; in Table 3 it is likewise. The curvature there is
the estimator of Garg et al. (2024), which stands for the norms that (12) adds up.
""",
    tried=r"""
That a tighter bound must order better is refuted by three pairs of numbers. That CSG is the
tighter one is true where (12) follows from (7), and is not at issue; "is supported by" asserts no
inequality.
""",
    effect=r"""
The detection results stand on their own.
""",
    prior_art="None needed.",
    chapter="part2/curvature-and-gradient",
    uses=("orders/thm-4.3", "orders/thm-4.6"),
    checks=(
        Check(
            Kind.EXACT, Role.FAILING_STEP, "The looser bound orders better.", _tighter_is_not_better
        ),
    ),
    gist=r"Tighter is not better at ordering; with right constants both bounds are at least "
    r"$T_{max}$.",
)


CLAIMS = (TAKEAWAY_LINEAR, DISCUSSION_4_4, INTERPRETING_4_5, INTERPRETING_4_6)
