"""Sentences of the published version that assert something: readings, remarks, costs."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.icml.instances import (
    BOUNDED,
    GIBBS,
    LONG_SHORT,
    ONE,
    RANK,
    SMOOTH,
    STABLE,
    UNBIASED,
    VARIANCE,
    ZERO,
    Run,
    independent,
)
from memlib.theory.orders.small_runs import agreement, told
from memlib.theory.trajectories import Vector, dot
from memlib.theory.worlds import mean, total

TAU = Fraction(9, 10)
ASSUMED = (SMOOTH, UNBIASED, VARIANCE, BOUNDED, STABLE, RANK)


# Early, and less memorized ----------------------------------------------------------------------


def _early_and_memorized() -> Evidence:
    run = LONG_SHORT
    times = [run.time(i, TAU) for i in (0, 1)]
    mems, csls = ([f(i) for i in (0, 1)] for f in (run.memorization, run.csl))
    met = {**run.sgd(), STABLE: run.beta() == max(mems), RANK: independent(run.data)}
    summary = (
        rf"One run, two samples, Gibbs loss, $\tau={show(TAU)}$: $T={times[0]}$ and "
        rf"$T={times[1]}$, CSL "
        rf"{float(csls[0]):.3f} and {float(csls[1]):.3f}, memorization {float(mems[0]):.3f} and "
        rf"{float(mems[1]):.3f}. The sample that is learned first, with half the loss, is "
        rf"memorized "
        "more."
    )
    pinned = times == [2, 5] and [round(1000 * v) for v in (*mems, *csls)] == [500, 450, 500, 1028]
    return Evidence(pinned, summary, {}, met, run)


def _early_repaired() -> Evidence:
    run = LONG_SHORT
    rows = []
    for i in (0, 1):
        held_out, own = run.curve(i, i)[: run.steps], run.curve(i)[: run.steps]
        rows.append(
            (run.csl(i), total(held_out), total(held_out) - total(own), run.memorization(i))
        )
    summary = (
        "R2 on the same run, CSL = held-out losses minus memorization over time: "
        + ", ".join(rf"${float(a):.3f}={float(b):.3f}-{float(c):.3f}$" for a, b, c, _ in rows)
    )
    summary += r". And $\mathrm{mem}\le\beta/L$ for both."
    passed = all(a == b - c and m <= run.beta() for a, b, c, m in rows)
    pinned = [b for _, b, _, _ in rows] == [2, 2] and rows[0][2] > rows[1][2] > 0
    return Evidence(passed and pinned, summary, {}, {}, run)


EARLY = Claim(
    id="orders-icml/reading-order",
    title="Learned early, memorized less",
    paper="orders-icml",
    location="Section 5.4, 'Interpreting Theory' of Theorems 5.3 and 5.5",
    printed=r"""
"[...] if a group of samples is learned early in the training process [...], their expected
memorization will also be lower compared to samples that are learned much later"; "if one group of
samples has a lower CSL than another, it is expected to be less memorized and learned earlier".""",
    assumptions=ASSUMED,
    verdict=Verdict.FALSE,
    gist="Upper bounds do not order: a sample can be learned first, with less CSL, and be "
    "memorized "
    "more.",
    holds=r"""
Upper bounds that differ say nothing about the order of what they bound. On the instance all
assumptions of the theorems hold and both orders are reversed. R2 says how the quantities go
together: $\mathrm{CSL}=\sum_th_t-L\sum_t\mathrm{mem}_t$. Between samples of *equal* held-out loss,
as here, lower CSL means *more* memorization; across samples of different held-out loss it is that
loss which CSL follows.
""",
    proof=r"""
Two orthogonal inputs, one longer than the other. Neither sample helps the other, so that their
held-out losses stay at $\frac12$. The longer one is fitted in a step.
""",
    rebuttal=r"""
*It is a tendency of groups.* As a tendency it is an empirical statement, and Figures 3 to 8 support
it for image data. It does not follow from the theorems, and for groups it fails as it does here:
repeat both samples along new axes, and multiply the step size by as much.
""",
    effect="""
The figures stand on their own. What explains them is that held-out difficulty varies more between
images than anything else.
""",
    prior_art="R2 is elementary.",
    chapter="part2/loss-and-memorization",
    uses=("orders-icml/thm-5.3", "orders-icml/thm-5.5", "book/r2"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "First, cheapest, most memorized.", _early_and_memorized),
        Check(Kind.EXACT, Role.REPAIRED, "R2 on that run.", _early_repaired),
    ),
)


# If the bounds are tight ------------------------------------------------------------------------


def _one_number() -> Evidence:
    import z3

    csl_a, csl_b, xi_a, xi_b, gain, beta, bound = z3.Reals("csl_a csl_b xi_a xi_b gain beta bound")
    right = [(c - x + beta) / bound for c, x in ((csl_a, xi_a), (csl_b, xi_b))]
    return decide(
        [csl_a - xi_a == gain, csl_b - xi_b == gain],
        right[0] == right[1],
        r"Two groups with the same loss at the start and at the end have the same right side in "
        r"(13), "
        "whatever their CSL.",
    )


def _same_ends() -> Evidence:
    run = LONG_SHORT
    curves = [run.curve(i) for i in (0, 1)]
    ends = [c[0] - c[-1] for c in curves]
    csl = [run.csl(i) for i in (0, 1)]
    summary = (
        rf"The two samples of `orders-icml/reading-order`: their losses fall by "
        rf"{float(ends[0]):.3f} and "
        rf"{float(ends[1]):.3f}, a ratio of {float(ends[1] / ends[0]):.2f}; their CSL has the "
        rf"ratio "
        rf"{float(csl[1] / csl[0]):.2f}."
    )
    pinned = [round(1000 * v) for v in (*ends, csl[1] / csl[0])] == [500, 450, 2057]
    return Evidence(pinned, summary)


#: Learning time against CSL, CSL against memorization, learning time against memorization.
PAIRS = (("time", "published csl"), ("published csl", "mem"), ("time", "mem"))
COUNTS = [(45, 0, 51), (15, 67, 14), (10, 35, 51)]


def _relations_counted() -> Evidence:
    return Evidence([agreement(*pair) for pair in PAIRS] == COUNTS, told(*PAIRS))


LINEAR = Claim(
    id="orders-icml/takeaways",
    title="If the bounds are tight, the relations are linear",
    paper="orders-icml",
    location="Section 5.4, 'Key Theory Takeaways'; Section 6.1, 'Takeaways'",
    printed=r"""
"If the theory bounds are tight, we expect [...] (1) learning time to exhibit a linear relationship
with CSL, (2) stability-based memorization to also follow a linear relationship with CSL, and (3) a
linear relationship between learning time and memorization." The nearly linear figures suggest "that
the bounds from the theorems are likely tight".""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist=r"Tight, (13) would relate memorization to $\ell_0-\ell_T$, the same for all groups "
    r"that end "
    "alike, not to CSL.",
    holds=r"""
$\mathbb E\,\mathrm{CSL}-\xi$ is the decrease of the loss from the first to the last step, group by
group. If the bounds were equalities, memorization would be linear in that decrease, and groups that
start and end at the same loss would have one value of it, however different their CSL. A line
through the figures is therefore no sign that the bounds are tight.
""",
    proof="Decided, and executed on two samples.",
    rebuttal=r"""
*With one $\xi'$ for all groups, CSL does vary.* Then $\mathbb E_U\mathrm{CSL}-\xi'$ exceeds the
bound of the proof by $\xi_U-\xi'$, which is as large as the differences of CSL; it is not tight
but for one group.
""",
    tried=r"""
We tried to derive the lines from R1 and R2: R1 bounds learning time by CSL from above, and no
bound from below can hold, since learning time jumps at $\tau$. In the runs that are counted the
first relation is never reversed, and the other two more often than not. The sentence itself is
conditional on bounds that are tight, which the runs here are not, so that no run can refute it.
""",
    effect="""
The near-linear figures are an observation that these theorems neither predict nor explain.
""",
    prior_art="R1 and R2 are elementary.",
    chapter="part2/loss-and-memorization",
    uses=("orders-icml/thm-5.4", "orders-icml/thm-5.5"),
    checks=(
        Check(Kind.DECIDED, Role.FAILING_STEP, "One number for both groups.", _one_number),
        Check(Kind.EXACT, Role.FAILING_STEP, "Alike at both ends, unlike in CSL.", _same_ends),
        Check(Kind.EXACT, Role.FAILING_STEP, "The three relations, counted.", _relations_counted),
    ),
)


# Stability of SGD ---------------------------------------------------------------------------------

#: Ten orthogonal samples, of which SGD sees one.
TEN = tuple((tuple(int(k == j) for k in range(10)), 1) for j in range(10))


def _one_pass() -> Evidence:
    """One step on one sample drawn at random: on the sample itself, per seed and on average."""
    start = (0,) * len(TEN)
    losses = [path[-1] for z in TEN for path in Run(GIBBS, (z,), start, ONE, 1).paths()]
    seen = [GIBBS.value(w[0], ONE) for w in losses]
    without = [GIBBS.value(w[0], ONE) for w in losses[1:]]
    pathwise = max(abs(a - b) for a in seen[:1] for b in without)
    average = mean(without) - mean(seen)
    summary = (
        rf"{len(TEN)} orthogonal samples, one step on one of them, drawn at random. On the first "
        rf"of them, left out or not, the mean loss differs by {show(average)}; the seed that draws "
        rf"it differs by {show(pathwise)}, however the seeds are paired."
    )
    pinned = (average, pathwise) == (Fraction(1, 20), Fraction(1, 2))
    return Evidence(pinned and set(without) == {Fraction(1, 2)}, summary)


STABILITY = Claim(
    id="orders-icml/stability-of-sgd",
    title="SGD is uniformly stable",
    paper="orders-icml",
    location="Section 5.4, 'Remark on Assumptions'",
    printed=r"""
"It has been established that SGD methods are uniformly stable (Hardt et al., 2016), supporting the
plausibility of our assumptions on stability (Eq. 4)." """,
    assumptions=(),
    verdict=Verdict.GAP,
    gist="Hardt et al. bound the change of the *mean* loss over seeds; Eq. (4) bounds it seed by "
    "seed.",
    holds=r"""
The cited result bounds $|\mathbb E_p\ell(g_S^p,z)-\mathbb E_p\ell(g_{S'}^p,z)|$, for convex losses
or step sizes that decrease like $1/t$. Eq. (4) has no expectation. One step of SGD shows the
difference: $m$ samples, stable in the mean with $\beta$ of order $1/m$, and seed by seed with a
constant. The bounds $\mathrm{mem}\le\beta/L$ (Gibbs loss) need the mean only, so nothing is lost
by assuming less.
""",
    proof="""
The seed that draws the sample moves its loss by a constant, and no seed without the sample does.
""",
    rebuttal=r"""
*The weaker assumption would do.* It would, in (63) to (65) for Gibbs loss. For networks trained
with a step size of 0.1 over 120 epochs the cited theorem gives no useful $\beta$ in either sense.
""",
    tried=r"""
We tried to derive Eq. (4) from the cited stability; the instance shows that it cannot be derived.
The cited result is true, and "supporting the plausibility" asserts no more than that.
""",
    effect="The assumption is not supported by what is cited; memorization of 1 contradicts it.",
    prior_art="Hardt, Recht and Singer (2016), Definition 2.1; Elisseeff, Evgeniou and Pontil "
    "(2005).",
    chapter="part1/what-memorization-is",
    uses=("orders-icml/eq-4",),
    checks=(Check(Kind.EXACT, Role.FAILING_STEP, "One step on one sample.", _one_pass),),
)


# Costs --------------------------------------------------------------------------------------------

#: Forward passes per sample and epoch: training one model, and the models that were trained.
TRAINING, MODELS = 3, (2000, 10_000)
#: What Table 5 prints for the ensemble, relative to CSL.
PRINTED_RATIOS = (2000, 30_000)


def _ratios() -> list[Fraction]:
    """Cost of the ensemble over the cost of CSL."""
    return [Fraction(models * TRAINING, TRAINING) for models in MODELS]


def _table() -> Evidence:
    import z3

    cost, models = z3.Reals("cost models")
    found = decide(
        [cost > 0],
        models * (TRAINING * cost) / (TRAINING * cost) == models,
        "The ratio is the number of models, whatever a forward pass costs.",
    )
    absolute = [models * TRAINING for models in MODELS]
    passed = found.passed and absolute == [6000, 30_000] and _ratios() == list(MODELS)
    return Evidence(passed, found.summary, found.data)


def _table_separates() -> Evidence:
    first, second = _ratios()
    summary = (
        rf"$30000FTm/3FTm={second}$, which is the four orders of magnitude of the abstract; "
        rf"Table 5 "
        rf"prints {PRINTED_RATIOS[-1]}$\times$. The lower end, {first}$\times$, is right."
    )
    largest = MODELS[-1] * TRAINING == 30_000
    return Evidence(
        largest and [first, second] == [2000, 10_000] and second != PRINTED_RATIOS[-1], summary
    )


TABLE_5 = Claim(
    id="orders-icml/table-5",
    title="Relative cost",
    paper="orders-icml",
    location="Appendix B.3, Table 5",
    printed=r"""
Stability-based memorization: absolute cost $6000FTm$ to $30{,}000FTm$, relative cost
$2{,}000\times$ to $30{,}000\times$ that of CSL, $3FTm$.""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"$10{,}000\times$, not $30{,}000\times$; the abstract's four orders of magnitude are "
    r"right.",
    holds=r"""
The relative cost is the number of models, 2000 to 10000. The abstract's "four orders of magnitude"
is the upper end; 2000 models are enough for Feldman and Zhang's ImageNet scores.
""",
    proof="Arithmetic.",
    rebuttal="""
*30000 is the absolute cost, copied one column too far.* So it seems; the abstract has it right.
""",
    effect="None.",
    prior_art="Arithmetic.",
    chapter="part1/watching-a-network-learn",
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The ratio.", _table),
        Check(Kind.EXACT, Role.SEPARATES, "The upper end.", _table_separates),
    ),
)


#: Two samples, each visited once in an epoch of two steps, in this order.
VISITS = (0, 1)
VISITED = (((1, 0), 1), ((Fraction(3, 4), Fraction(1, 4)), 1))
#: The losses at the visits, and the sums over both steps.
SUMS = [Fraction(1, 2), Fraction(1, 32), Fraction(1, 2), Fraction(17, 32)]


def _visits() -> Evidence:
    """SGD on one sample at a time: the losses that training computes, and those Eq. (5) sums."""
    weights: list[Vector] = [(ZERO, ZERO)]
    for visited in VISITS:
        step = Run(GIBBS, (VISITED[visited],), weights[-1], ONE, 1)
        weights.append(step.paths()[0][-1])
    losses = [[GIBBS.value(dot(w, x), ONE) for x, _ in VISITED] for w in weights]
    free = [losses[t][i] for t, i in sorted(enumerate(VISITS), key=lambda pair: pair[1])]
    whole = [total(row[i] for row in losses[: len(VISITS)]) for i in VISITS]
    needed = len(VISITS) * len(VISITED)
    summary = (
        rf"Two samples, two steps of one sample each: Eq. (5) sums {needed} losses, training "
        rf"computes "
        rf"{len(VISITS)}. The losses at the visits are {show(free[0])} and {show(free[1])}, so the "
        rf"second sample seems easier; CSL is {show(whole[0])} and {show(whole[1])}."
    )
    pinned = needed == 4 and [*free, *whole] == SUMS
    return Evidence(pinned, summary)


FREE = Claim(
    id="orders-icml/csl-is-free",
    title="CSL costs nothing",
    paper="orders-icml",
    location="Abstract; Section 7.1 'Compute Cost'; Appendix B.3",
    printed=r"""
CSL "can be obtained with zero additional overhead during training"; its cost is that of training,
$3FTm$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist="Free is the sum of the losses at each sample's visits; Eq. (5) sums every iteration.",
    holds=r"""
Training computes the loss of a sample when the sample is in the batch, once per epoch: the sum of
these is free. Eq. (5) sums over all *iterations*, $m/b$ times as many losses at weights that
training never evaluates the sample on; evaluating all samples after each epoch costs $FTm$, a
third of training. The free sum is taken at different weights for different samples, and (with
augmentation) on changed inputs, and can order two samples differently.
""",
    proof="Executed.",
    rebuttal=r"""
*In an epoch the weights hardly move.* Late in training; early in training, where CSL differs most,
they do. On trained networks the two sums may well rank samples nearly alike; the definition is
another.
""",
    tried=r"""
For batches of all samples nothing refutes it. For smaller ones the count refutes it for Eq. (5),
$m/b$ losses per sample and epoch where training computes one, and not for the sum of what training
computes; the sentence does not say which of the two is meant.
""",
    effect="""
Small in practice. The theorems are about Eq. (5), the claim of cost about another sum.
""",
    prior_art="Losses recorded at the visits: O2U-Net (Huang et al., 2019).",
    chapter="part1/watching-a-network-learn",
    uses=("orders-icml/eq-5",),
    checks=(Check(Kind.EXACT, Role.FAILING_STEP, "Visits against iterations.", _visits),),
)


CLAIMS = (EARLY, LINEAR, STABILITY, TABLE_5, FREE)
