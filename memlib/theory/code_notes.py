"""What the papers' public code computes, beside what the papers say: numbered notes.

Each note states a formula in our own words and shows what it does on a small exact example. The
formulas are those of the public repositories; none of their code is used here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import isqrt

from memlib.theory.claims import Evidence
from memlib.theory.evidence import show
from memlib.theory.trajectories import learning_time
from memlib.theory.worlds import mean, total

ONE = Fraction(1)


@dataclass(frozen=True)
class Note:
    """One difference between a paper's text and its code, with an executed illustration.

    `says` and `formula` are Markdown with `$...$`; `matters` says where the difference counts and
    where it does not.
    """

    number: int
    title: str
    paper: str
    says: str
    formula: str
    matters: str
    illustration: Callable[[], Evidence]


# Curvature --------------------------------------------------------------------------------------

#: Two Hessians, by their eigenvalues: the first has the larger trace, the second the larger norm.
FLATTER, SHARPER = (Fraction(3), Fraction(4)), (Fraction(6), Fraction(0))
#: The step that the experiments use, and one ten times as long.
STEPS = (Fraction(1, 1000), Fraction(1, 100))
#: A data set of CIFAR's size in batches of 128.
SIZE, BATCH = 50_000, 128


def gradient_change(eigenvalues: Sequence[Fraction], step: Fraction) -> Fraction:
    """Mean over all sign vectors v of the norm of the change of the gradient from x to x + h v.

    The loss is quadratic with these eigenvalues, so that the change is h H v.
    """
    return mean(
        [
            _root(total((step * e * sign) ** 2 for e, sign in zip(eigenvalues, signs, strict=True)))
            for signs in product((-1, 1), repeat=len(eigenvalues))
        ]
    )


def _root(value: Fraction) -> Fraction:
    """The square root of a rational square."""
    return Fraction(isqrt(value.numerator), isqrt(value.denominator))


def _norm_and_trace() -> Evidence:
    (step, *_) = STEPS
    scores = [gradient_change(e, step) / step for e in (FLATTER, SHARPER)]
    traces, squares = ([total(e**k for e in h) for h in (FLATTER, SHARPER)] for k in (1, 2))
    opposed = gradient_change((Fraction(3), Fraction(-4)), step) / step
    summary = (
        rf"Quadratic losses with Hessians $\mathrm{{diag}}(3,4)$ and $\mathrm{{diag}}(6,0)$: the "
        rf"score "
        rf"over $h$ is {show(scores[0])} and {show(scores[1])}, $\mathrm{{tr}}(H)$ is "
        rf"{show(traces[0])} "
        rf"and {show(traces[1])}, $\mathrm{{tr}}(H^2)$ is {show(squares[0])} and "
        rf"{show(squares[1])}. With "
        rf"$\mathrm{{diag}}(3,-4)$, of trace $-1$, the score is {show(opposed)} as well."
    )
    passed = scores == [5, 6] and traces == [7, 6] and squares == [25, 36] and opposed == 5
    return Evidence(passed, summary)


def _step_left_in() -> Evidence:
    scores = [gradient_change(FLATTER, step) for step in STEPS]
    summary = (
        rf"The same Hessian with $h={show(STEPS[0])}$ and $h={show(STEPS[1])}$: "
        rf"{show(scores[0])} and "
        rf"{show(scores[1])}, ten times as much."
    )
    return Evidence(scores == [Fraction(1, 200), Fraction(1, 20)], summary)


def _batch_mean() -> Evidence:
    rest = SIZE % BATCH
    ratio = Fraction(BATCH, rest)
    summary = (
        rf"{SIZE} samples in batches of {BATCH} leave {rest} for the last one. The same sample "
        rf"gets "
        rf"$\frac1{{{BATCH}}}$ of its score in a full batch and $\frac1{{{rest}}}$ in the last: "
        rf"{show(ratio)} times as much."
    )
    return Evidence(ratio == Fraction(8, 5), summary)


# Learning time ----------------------------------------------------------------------------------

#: Norms of the input gradients of two samples at two epochs.
FIRST, SECOND = (Fraction(3), Fraction(0)), (Fraction(2), Fraction(2))
#: A threshold for the mean of the norms, and one for the mean of their squares.
NORM_TAU, SQUARE_TAU = Fraction(7, 4), Fraction(17, 4)
#: Whether a prediction was right, epoch by epoch: learned at once, late, and never.
CORRECT = ((1, 1, 1), (0, 0, 1), (0, 0, 0))
#: Which of these samples has a wrong label.
WRONG = (False, True, True)


def _norms() -> Evidence:
    by_norm = [learning_time(sample, NORM_TAU) for sample in (FIRST, SECOND)]
    by_square = [
        learning_time([value**2 for value in sample], SQUARE_TAU) for sample in (FIRST, SECOND)
    ]
    summary = (
        rf"Gradients of norm 3, 0 and 2, 2. By norms ($\tau={show(NORM_TAU)}$) the first is "
        rf"learned at "
        rf"{by_norm[0]} and the second not; by squares ($\tau={show(SQUARE_TAU)}$) the second at "
        rf"{by_square[1]} and the first not."
    )
    return Evidence((by_norm, by_square) == ([2, None], [None, 1]), summary)


def first_maximum(correct: Sequence[int]) -> int:
    """The first place of the largest entry: what an `argmax` over epochs returns."""
    return list(correct).index(max(correct))


def area(scores: Sequence[Fraction], wrong: Sequence[bool]) -> Fraction:
    """Area under the ROC curve: how often a wrong label scores above a right one; ties count "
    "half.
    """
    pairs = [
        (a, b)
        for a, bad in zip(scores, wrong, strict=True)
        if bad
        for b, other in zip(scores, wrong, strict=True)
        if not other
    ]
    return mean([Fraction(a > b) + Fraction(a == b) / 2 for a, b in pairs])


def _never_learned() -> Evidence:
    times = [first_maximum(sample) for sample in CORRECT]
    length = len(CORRECT[0])
    repaired = [first_maximum(sample) if any(sample) else length for sample in CORRECT]
    printed = area([1 - Fraction(t) for t in times], WRONG)
    turned = area([Fraction(t) for t in times], WRONG)
    right = area([Fraction(t) for t in repaired], WRONG)
    summary = (
        rf"Learned at once, late (wrong label) and never (wrong label): the first maximum is "
        rf"{times[0]}, "
        rf"{times[1]} and {times[2]}. The area under the ROC curve of $1-T$ is {show(printed)}, "
        rf"of $T$ "
        rf"{show(turned)}, and of $T$ with {length} for the sample that is never learned "
        rf"{show(right)}."
    )
    passed = times == [0, 2, 0] and (printed, turned, right) == (ONE / 4, ONE * 3 / 4, ONE)
    return Evidence(passed, summary)


#: Probabilities of three classes; the label given is the last, the image is of the first.
CONFIDENT, GIVEN = (Fraction(9, 10), Fraction(1, 20), Fraction(1, 20)), 2


def _confidence() -> Evidence:
    largest, own = 1 - max(CONFIDENT), 1 - CONFIDENT[GIVEN]
    summary = (
        rf"A wrong label to which the network gives {show(CONFIDENT[GIVEN])}, being sure of "
        rf"another: "
        rf"one minus the largest probability is {show(largest)}, one minus that of the label "
        rf"{show(own)}."
    )
    return Evidence((largest, own) == (Fraction(1, 10), Fraction(19, 20)), summary)


# Memorization and information -------------------------------------------------------------------

#: Correctness of ten runs on a sample that training ignores, and which runs have it.
RIGHT = (1, 0, 1, 0, 1, 0, 1, 0, 1, 0)
INSIDE = (1, 1, 1, 1, 1, 1, 0, 0, 0, 0)


def _masked_products() -> Evidence:
    whole = len(RIGHT)
    inside = total(Fraction(r * s) for r, s in zip(RIGHT, INSIDE, strict=True))
    outside = total(Fraction(r * (1 - s)) for r, s in zip(RIGHT, INSIDE, strict=True))
    products = inside / whole - outside / whole
    masked = inside / sum(INSIDE) - outside / (whole - sum(INSIDE))
    summary = (
        rf"Ten runs, six with the sample, right half of the time with it and without it: the "
        rf"difference "
        rf"of the masked products' means is {show(products)}, the difference of the masked means "
        rf"{show(masked)}."
    )
    return Evidence((products, masked) == (Fraction(1, 10), 0), summary)


#: Changes of two outputs at two validation points.
CHANGES = ((Fraction(3), Fraction(4)), (Fraction(0), Fraction(1)))


def _squared() -> Evidence:
    squares = [total(v**2 for v in change) for change in CHANGES]
    norm, square = mean([_root(s) for s in squares]), mean(squares)
    summary = (
        rf"Changes $(3,4)$ and $(0,1)$ at two points, $\sigma=1$: the mean of the norms, halved "
        rf"as (16) "
        rf"is printed, is {show(norm / 2)}; the mean of the squares is {show(square)}, and "
        rf"halved, as "
        rf"(8) has it, {show(square / 2)}."
    )
    return Evidence((norm / 2, square) == (Fraction(3, 2), 13), summary)


NOTES = (
    Note(
        1,
        "The curvature score is a norm",
        "privacy, orders",
        r"""`privacy` (14): curvature is proportional to
$\frac1n\sum_i\|\nabla_x(\ell(x+hv_i)-\ell(x))\|^2$, which is said to bound $\mathrm{tr}(H)$.""",
        r"The mean over random signs $v$ of $\|\nabla_x\ell(x+hv)-\nabla_x\ell(x)\|$, not squared.",
        r"""On a quadratic loss the score is $h\,\mathbb E\|Hv\|$, at most
$h\sqrt{\mathrm{tr}(H^2)}$: a magnitude of the Hessian, blind to the signs of its eigenvalues.
Cosine similarity and binned means depend on whether it is squared; a rank correlation over samples
does so only through the mean over draws.""",
        _norm_and_trace,
    ),
    Note(
        2,
        r"The step stays in the score",
        "privacy, orders",
        r"`privacy` (14) is a proportionality, in which $h$ is constant.",
        r"The difference of gradients is not divided by $h$.",
        r"""Nothing changes for one $h$. Scores of different $h$ cannot be compared, and
"robust to $h$" can only be said of their ranking.""",
        _step_left_in,
    ),
    Note(
        3,
        "Some scores carry one over the batch size",
        "privacy, orders",
        "The loss in (14) is that of one sample.",
        r"""Where the loss is averaged over a batch before the gradient is taken, each sample's
score is divided by the size of its batch; where it is summed, it is not. Both occur.""",
        r"""A constant factor, except for the last batch if it is smaller, and between scores of
different scripts. memlib sums.""",
        _batch_mean,
    ),
    Note(
        4,
        "The learning condition averages norms",
        "orders",
        r"""Eq. (4) of the draft and (6), (7) of the published text average *squared* norms of the
input gradient over iterations.""",
        r"The gradient score is the norm; its running mean is taken over epochs.",
        r"""Which sample is learned first can depend on it. The bounds by CSG (R1) are about
squares; for norms the same argument gives $T\le1+\sum_t\|\nabla\|/\tau$.""",
        _norms,
    ),
    Note(
        5,
        "Never learned counts as learned first",
        "orders",
        r"""The first epoch at which a sample is classified correctly, as a score for wrong labels
(C.5 of the draft; "Thr. LT" of the published text).""",
        r"""In the notebook for wrong labels $T$ is the first maximum over the epochs, and the
score is $1-T$. A row without a correct epoch has its first maximum at 0, and $1-T$ is largest for
the samples
that are learned first.""",
        r"""It concerns a baseline, not the proposed score. An area near $\frac12$ for this
baseline is not evidence that learning time is uninformative.""",
        _never_learned,
    ),
    Note(
        6,
        "In-confidence takes the largest probability",
        "orders",
        "One minus the predicted probability of the true class.",
        "In the notebook for wrong labels, one minus the largest of the predicted probabilities.",
        r"""They agree where the network predicts the label it was given, as it does for most
samples at the end of training; they differ on the wrong labels that it has not fitted. It concerns
a baseline.""",
        _confidence,
    ),
    Note(
        7,
        "Masked products are averaged over all runs",
        "privacy",
        r"""(2): the probability of the label when trained with the sample, minus the same
without it.""",
        r"""For the private models, the mean over *all* runs of the label's probability times the
mask, minus the mean over all runs of that probability times the mask's complement; then absolute
values are averaged.""",
        r"""With a share $q$ of the runs inside this estimates $q\,p_{in}-(1-q)\,p_{out}$, which is
mem/2 at $q=\frac12$ and not zero for a sample that is not memorized otherwise.""",
        _masked_products,
    ),
    Note(
        8,
        "Functional information is computed with squares",
        "unique",
        r"""(16) prints the norm of the change of the predictions; (8), from which it comes, the
squared norm.""",
        r"The mean over validation points of the *squared* norm, without the factor "
        r"$1/(2\sigma^2)$.",
        r"""The code follows (8), so (16) is a misprint. The factor does not change a ranking; it
matters when the number is used in a bound such as
$\mathrm{mem}\le\mathrm{erf}(\sqrt{\mathrm{SI}}/2)$.""",
        _squared,
    ),
)


def code_notes_page() -> str:
    """The page `ledger/code-notes.md`: every note with what its illustration found.

    Raises:
        ValueError: An illustration does not come out as its note says.
    """
    lines = [
        "(code-notes)=",
        "# What the public code computes",
        "",
        "The authors of all three papers have published their code; these notes would not exist",
        "otherwise.",
        "Where code and text differ, readers who build on either should know which they follow.",
        "",
        "The notes restate formulas in our own words; no code is reproduced.",
        "For `privacy` we read the repository that calls itself its official implementation, for",
        "`unique` the one that the paper names, and for `orders` a public copy of the one that the",
        "published paper names, in the versions that were public when this was written.",
        "They may have changed since.",
        "None of the differences is a verdict on a result: we did not run the experiments again.",
        "Each illustration was executed when this page was built.",
        "",
    ]
    for note in NOTES:
        found = note.illustration()
        if not found.passed:
            raise ValueError(
                f"note {note.number} is not what its illustration shows: {found.summary} "
                "Correct the note or its example."
            )
        lines += [
            f"(code-note-{note.number})=",
            f"## {note.number}. {note.title}",
            "",
            f"`{note.paper}`".replace(", ", "`, `"),
            "",
            f"**The text.** {note.says}",
            "",
            f"**The formula.** {note.formula}",
            "",
            f"**Executed.** {found.summary}",
            "",
            f"**Where it matters.** {note.matters}",
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"
