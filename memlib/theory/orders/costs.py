"""The cost tables of the draft's C.3 and the definitions of its C.5."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, enumerate_all, show
from memlib.theory.worlds import total

CHAPTER = "part2/loss-and-memorization"

# Table 5 -----------------------------------------------------------------------------------------

#: Numbers of models (Feldman and Zhang), and of Hutchinson probes, as C.3 has them.
MODELS, PROBES = (2000, 10_000), (2, 10)
#: The right column of Table 5, as printed.
PRINTED = (2000, 30_000)


def training(models: Any = 1) -> Any:
    """Cost of training, in F T m: one forward pass F and a backward pass 2 F."""
    return models * (1 + 2)


def curvature(probes: Any) -> Any:
    """Cost of training and of C.3's curvature: two forward passes and one backward per probe."""
    return training() + (2 + 2) * probes


def _table() -> Evidence:
    stability = [Fraction(training(k), training()) for k in MODELS]
    curve = [Fraction(curvature(n), training()) for n in PROBES]
    summary = (
        rf"In units of one training: {MODELS[0]} and {MODELS[-1]} models cost "
        rf"{show(stability[0])} and {show(stability[-1])} (printed: {PRINTED[0]} and "
        rf"{PRINTED[-1]}); "
        rf"curvature with 2 and 10 probes costs {show(curve[0])} and {show(curve[-1])}."
    )
    right = stability == list(MODELS) and curve == [Fraction(11, 3), Fraction(43, 3)]
    return Evidence(right and stability[0] == PRINTED[0] and stability[-1] != PRINTED[-1], summary)


def _absolute() -> Evidence:
    costs = [training(k) for k in MODELS] + [curvature(n) for n in PROBES]
    summary = rf"Absolute costs in $FTm$: {', '.join(str(c) for c in costs)}, as printed."
    return Evidence(costs == [6000, 30_000, 11, 43], summary)


TABLE_5 = Claim(
    id="orders/c3-costs",
    title="Relative compute costs",
    paper="orders",
    location="Appendix C.3, Table 5; Sections 1 and 5.2",
    printed=r"""
Stability-based: $6000FTm$ to $30{,}000FTm$, relative $2{,}000\times$ to $30{,}000\times$.
Curvature: $11FTm$ to $43FTm$, "$3.6\times$ to $14.33\times$". "We use $n=2$ to provide the
computational advantage in their favor"; "the $14\times$ estimate is conservative".""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"$2{,}000\times$ to $10{,}000\times$; curvature $3.7\times$ with the $n=2$ that the text "
    r"says it uses, $14.3\times$ with $n=10$.",
    holds=r"""
$30{,}000FTm$ over $3FTm$ is $10{,}000$: four orders of magnitude, as the text says; the printed
$30{,}000\times$ is the absolute cost. The $14\times$ is the value at $n=10$. At $n=2$, which C.3
says it uses in favor of the other method, it is $\frac{11}3\approx3.7$. So 14 is the larger of two
values in the same table, not a conservative one. C.3 counts one backward pass per probe; if it goes
back through both forward passes it costs $4F$, and the ratios are 5 and 21.
""",
    proof="Division.",
    rebuttal=r"""
*Table 2 and 3 use $n=10$.* Then $14\times$ is the right comparison for them, and the remark about
$n=2$ is left over.
""",
    effect="None on the ranking: CSL is the cheapest of the three.",
    prior_art="Arithmetic.",
    chapter=CHAPTER,
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "The absolute column.", _absolute),
        Check(Kind.EXACT, Role.SEPARATES, "The relative column.", _table),
    ),
)


# What is free ------------------------------------------------------------------------------------

#: CIFAR: images, batch.
CIFAR = (50_000, 128)
#: Per-sample losses at the weights of two steps, and the step at which each sample is in the batch.
MET = (((Fraction(4), Fraction(1)), 0), ((Fraction(3), Fraction(2)), 1))


def exact(samples: Any, batch: Any) -> Any:
    """Cost of Eq. (3) as printed, in trainings: a forward pass over all samples at every step."""
    steps = samples / batch  # per epoch, which costs `training` times the samples
    return steps * samples / (training() * samples)


def _every_step() -> Evidence:
    size, batch = (Fraction(v) for v in CIFAR)
    ratio = exact(size, batch)
    summary = (
        rf"CIFAR, 50,000 images in batches of 128: all losses at every step cost {show(ratio)} "
        "times the training, on top of it."
    )
    return Evidence(ratio == Fraction(15625, 120), summary)


def _different() -> Evidence:
    full = [total(losses) for losses, _ in MET]
    free = [losses[step] for losses, step in MET]
    summary = (
        rf"Two samples, two steps, each in the batch of one: Eq. (3) gives {show(full[0])} and "
        rf"{show(full[-1])}, equal; the losses met in training are {show(free[0])} and "
        rf"{show(free[-1])}."
    )
    return Evidence((full, free) == ([5, 5], [4, 2]), summary)


FREE = Claim(
    id="orders/c3-free",
    title="CSL and CSG without additional cost",
    paper="orders",
    location="Appendix C.3; Sections 1, 5.2, 5.3; against Eq. (3)",
    printed=r"""
"Both CSL and CSG can be obtained without additional computational cost during training. Therefore,
the only cost is that of the training process, which is $3F\cdot T\cdot m$." """,
    assumptions=(),
    verdict=Verdict.GAP,
    gist=r"Free is one loss per sample and *epoch*, at the weights of its batch; Eq. (3) sums all "
    r"iterations.",
    holds=r"""
What training gives for free is each sample's loss once per epoch, at the moment its batch is
processed, on its augmented image, in training mode. Eq. (3) sums over all iterations $t$ at the
same weights for all samples; that costs a forward pass over the data per iteration, $\frac m{3B}$
trainings: 130 for CIFAR with $B=128$. The two need not order samples alike. The input gradient
costs the backward pass of the first layer, which training skips; so CSG is nearly free, not free.
""",
    proof="Counting.",
    rebuttal=r"""
*Loss changes slowly within an epoch, so one value per epoch is a fair sample.* Quite likely, and
the free quantity is the one that the experiments support. The theorems are about (3).
""",
    tried=r"""
For batches of all samples nothing refutes it: training computes every term of (3). For smaller
batches the count above refutes it for (3), and not for the sum of one loss per epoch. Two samples
show that the sums differ; that is an illustration, not a statement about CIFAR.
""",
    effect="The experiments validate the free quantity; that is the useful one.",
    prior_art="AUM (Pleiss et al., 2020) collects per-epoch training statistics in the same way.",
    chapter=CHAPTER,
    uses=("orders/eq-3",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The cost of Eq. (3).", _every_step),
        Check(Kind.EXACT, Role.FAILING_STEP, "Two different sums.", _different),
    ),
)


# CSLT --------------------------------------------------------------------------------------------

#: The example of C.5: correct (1) or not (0) over 12 epochs.
EXAMPLE = (0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1)
#: The least number of epochs whose histories show the two orders.
EPOCHS, BITS = (3,), (0, 1)


def wrong(history: tuple[int, ...]) -> int:
    """CSLT as C.5 computes it: the cumulative 0/1 loss."""
    return len(history) - sum(history)


def _example() -> Evidence:
    first = EXAMPLE.index(1)
    summary = (
        rf"C.5's example: {wrong(EXAMPLE)} wrong and {sum(EXAMPLE)} right predictions; the first "
        rf"right "
        rf"one is in epoch {first}, counted from 0."
    )
    return Evidence((wrong(EXAMPLE), sum(EXAMPLE), first) == (5, 7, 3), summary)


def _cumulative_loss() -> Evidence:
    (epochs,) = EPOCHS
    histories = product(BITS, repeat=epochs)
    found = enumerate_all(
        product(histories, repeat=len(("one", "other"))),
        lambda pair: (wrong(pair[0]) < wrong(pair[1])) == (sum(pair[0]) > sum(pair[1])),
        r"All pairs of histories of three epochs: C.5's CSLT and the count of Section 5.3 order "
        r"them in "
        r"opposite ways.",
        count=64,
    )
    return replace(found, passed=found.passed and wrong((1, 0, 0)) == 2)


CSLT = Claim(
    id="orders/c5-cslt",
    title="CSLT counts right or wrong predictions",
    paper="orders",
    location="Section 5.3 against Appendix C.5",
    printed=r"""
Section 5.3: "the cumulative count of epochs during which the sample is correctly predicted". C.5:
"the cumulative sample loss, where the loss is a binary 0-1 loss", $12-7=5$, "the total number of
incorrect predictions".""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist="C.5 is meant: the number of epochs with a wrong prediction, CSL of the 0/1 loss.",
    holds=r"""
CSLT is CSL of the 0/1 loss: the number of epochs in which the sample is predicted wrongly, higher
for harder samples. Section 5.3 has the complement, which orders samples the other way round. The
learning time of C.5 counts epochs from 0, that of Eq. (4) is at least 1.
""",
    proof="Counting.",
    rebuttal="*C.5 gives the example.* It does, and decides the matter.",
    effect="None on Table 2, if it uses C.5's.",
    prior_art="Forgetting and learning counts: Toneva et al. (2019), Jiang et al. (2021).",
    chapter=CHAPTER,
    uses=("orders/eq-3", "orders/learning-time-two-definitions"),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "The example.", _example),
        Check(Kind.EXACT, Role.SEPARATES, "Opposite orders.", _cumulative_loss),
    ),
)


# In-confidence -----------------------------------------------------------------------------------


def _gibbs() -> Evidence:
    import z3

    right, rest = z3.Reals("right rest")
    expected = right * 0 + rest * 1  # the 0/1 loss of a label drawn from the model
    return decide(
        [right + rest == 1],
        expected == 1 - right,
        r"$1-p_y$ is the expected 0/1 loss of a label drawn from the model: Gibbs loss with $L=1$.",
    )


#: Three classes: two models with the same probability of the true class (the first).
MODEL_PAIR = (
    (Fraction(2, 5), Fraction(3, 5), Fraction(0)),
    (Fraction(2, 5), Fraction(3, 10), Fraction(3, 10)),
)


def _not_error() -> Evidence:
    scores = [1 - p[0] for p in MODEL_PAIR]
    errors = [p[0] < max(p) for p in MODEL_PAIR]
    summary = (
        rf"Two models with $p_y=\tfrac25$ of three classes have the same in-confidence, "
        rf"{show(scores[0])}; one is wrong, the other right."
    )
    passed = scores == [Fraction(3, 5), Fraction(3, 5)]
    return Evidence(passed and errors == [True, False], summary)


IN_CONFIDENCE = Claim(
    id="orders/c5-in-confidence",
    title="In-confidence",
    paper="orders",
    location="Appendix C.5",
    printed=r"""In-confidence is "$1-$ 'the predicted probability' of the true class".""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"It is Gibbs loss with $L=1$: the last summand of the CSL that R2 speaks of.",
    holds=r"""
A definition. $1-p_y$ is Gibbs loss with $L=1$. The CSL for which R2 is exact,
$\sum_t(1-p_y^{(t)})$, is cumulative in-confidence, not cumulative cross-entropy. It is not a 0/1
error of the most likely class: for three classes or more that is not a function of $p_y$.
""",
    proof="Expectation of the 0/1 loss.",
    rebuttal="None needed.",
    effect="It is the quantity in the experiments that is closest to what memorization compares.",
    prior_art="Carlini et al. (2019).",
    chapter=CHAPTER,
    uses=("book/r2",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Gibbs loss.", _gibbs),
        Check(Kind.EXACT, Role.SHARP, "Not an error.", _not_error),
    ),
)


CLAIMS = (TABLE_5, FREE, CSLT, IN_CONFIDENCE)
