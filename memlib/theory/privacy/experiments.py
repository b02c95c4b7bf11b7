"""The modelling steps of Section 6 and Appendix A.8 of `privacy`: what a plot can show."""

from fractions import Fraction
from itertools import product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import enumerate_all, show
from memlib.theory.worlds import ONE, mean

MEASURED = "part3/measuring-curvature"


# Section 6.3: which models the curvature is of ---------------------------------------------------

#: Share of the models that were trained with the sample.
SHARE = Fraction(7, 10)
#: Curvature of two samples: without the sample in training, and with it.
FIRST, SECOND = (Fraction(2), Fraction(1)), (Fraction(1), Fraction(3))


def mixture(sample: tuple[Fraction, Fraction]) -> Fraction:
    """The mean over all models."""
    without, with_it = sample
    return (ONE - SHARE) * without + SHARE * with_it


def _orders_reversed() -> Evidence:
    mixed = [mixture(sample) for sample in (FIRST, SECOND)]
    summary = (
        rf"Two samples with curvature {FIRST[0]} and {SECOND[0]} without them in training, "
        rf"{FIRST[1]} and {SECOND[1]} with them: averaged over all models, {show(SHARE)} of which "
        rf"have the sample, {show(mixed[0])} and {show(mixed[1])}."
    )
    reverse = FIRST[0] > SECOND[0] and mixed == [Fraction(13, 10), Fraction(12, 5)]
    return Evidence(reverse, summary)


def _masked() -> Evidence:
    runs = [(inside, FIRST[1] if inside else FIRST[0]) for inside in (True,) * 7 + (False,) * 3]
    out = mean([value for inside, value in runs if not inside])
    whole = mean([value for _, value in runs])
    summary = (
        rf"Ten runs, seven with the sample: the mean over the three without it is {show(out)}, as "
        rf"wanted; over all ten {show(whole)}."
    )
    return Evidence(out == FIRST[0] and whole == mixture(FIRST) != out, summary)


AVERAGE = Claim(
    id="privacy/6.3-average",
    title="The measured curvature is proportional to that of Theorem 5.1",
    paper="privacy",
    location="Section 6.3, Experiment",
    printed=r"""
Curvature averaged over 1000 models trained on subsets with ratio 0.7 "is proportional to the
expected curvature score, i.e. $\mathbb E_\phi[\mathrm{Curv}_\phi(z_i,S^{\setminus i})]$ in Theorem
5.1".""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
It is a mixture: seven models in ten were trained with $z_i$. The curvature of models *without*
$z_i$ is the mean over the other three, and needs no more training.
""",
    proof=r"""
Executed: two samples that the mixture puts in the opposite order.
""",
    rebuttal=r"""
*The subset indicators are published with the scores.* They are, which makes the masked mean easy;
the paper averages "across all models".
""",
    tried=r"""
As an identity between the two averages it is refuted by two samples whose order they reverse.
"Proportional" may mean no more than that the one rises with the other on the data of the
experiment, which we did not run again.
""",
    effect=r"""
The plots show curvature of networks most of which have seen the sample.
""",
    prior_art=r"""
The masked means of Feldman and Zhang (2020).
""",
    chapter=MEASURED,
    uses=("fz/masked-means", "privacy/thm-5.1"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "A mixture can reverse the order.", _orders_reversed),
        Check(Kind.EXACT, Role.SUPPORTS, "The masked mean.", _masked),
    ),
    gist="A mixture of models with and without the sample; use the masked mean",
)


# Section 6.3: the largest curvature per bin ------------------------------------------------------

#: Samples (memorization, curvature), and a bound mem <= curvature that one of them breaks.
SAMPLES = (
    (Fraction(1, 5), Fraction(1, 2)),
    (Fraction(1, 5), Fraction(1, 10)),
    (Fraction(7, 10), Fraction(9, 10)),
)


def _maximum_hides() -> Evidence:
    bins = {mem: max(c for other, c in SAMPLES if other == mem) for mem, _ in SAMPLES}
    shown = all(mem <= most for mem, most in bins.items())
    broken = [(mem, c) for mem, c in SAMPLES if mem > c]
    summary = (
        rf"Three samples against $\mathrm{{mem}}\le\mathrm{{Curv}}$: one of memorization "
        rf"{show(broken[0][0])} has curvature {show(broken[0][1])} and breaks it; the largest "
        rf"curvature "
        rf"of its bin is {show(bins[broken[0][0]])}, and the plot of maxima shows no violation."
    )
    return Evidence(shown and broken == [SAMPLES[1]], summary)


GRID = (Fraction(0), Fraction(1, 3), Fraction(2, 3), ONE)


def _minimum_shows() -> Evidence:
    cases = product(GRID, repeat=len(GRID))

    def holds(case: tuple[Fraction, ...]) -> bool:
        mem, *curvatures = case
        return all(mem <= c for c in curvatures) == (mem <= min(curvatures))

    return enumerate_all(
        cases,
        holds,
        "A bin keeps the bound exactly if its smallest curvature does.",
        count=len(GRID) ** len(GRID),
    )


MAXIMUM = Claim(
    id="privacy/6.3-maximum",
    title="The largest curvature of a bin, 'since curvature is an upper bound'",
    paper="privacy",
    location="Section 6.3, Experiment; Figure 3",
    printed=r"""
"The average memorization score and maximum curvature score (since curvature is an upper bound) for
each bin were used to create a scatter plot".""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
If curvature bounds memorization from above, every sample must keep the bound; the sample of a bin
that comes closest to breaking it is the one with the *smallest* curvature. A plot of maxima can
show no violation.
""",
    proof=r"""
$\mathrm{mem}\le a\,\mathrm{Curv}+c$ ($a>0$) holds throughout a bin of equal memorization exactly if
it holds at its smallest curvature.
""",
    rebuttal=r"""
*The plot shows a trend and is not a test.* As a trend of maxima it stands; the text calls it a
validation of the theorem.
""",
    tried=r"""
The parenthesis gives a reason for a way of plotting; that a plot of maxima tests the bound is
refuted by the bin above. That the plot was made so is a fact, not a claim.
""",
    effect=r"""
The trend of binned maxima says little about single samples; a scatter plot with quantiles would.
""",
    prior_art=r"""
Elementary.
""",
    chapter=MEASURED,
    uses=("privacy/linear-relationship",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Maxima hide a violation.", _maximum_hides),
        Check(Kind.EXACT, Role.SUPPORTS, "Minima show it.", _minimum_shows),
    ),
    gist="The smallest curvature of a bin tests the bound; the largest cannot break it",
)


# Eq. (15): a bound that changes with the bin -----------------------------------------------------


def scaled_offset(numerator: Fraction, top: Fraction) -> Fraction:
    """c1 of Eq. (9): everything in it is divided by L."""
    return numerator / top


def _offset_moves() -> Evidence:
    tops = (Fraction(1), Fraction(1, 2))
    sizes = tuple(1 / top**2 for top in tops)  # L proportional to m_sub^(-1/2)
    offsets = [scaled_offset(ONE, top) for top in tops]
    summary = (
        rf"Bins with {show(sizes[0])} and {show(sizes[1])} samples have $L\propto "
        rf"m_{{sub}}^{{-1/2}}$ of "
        rf"{show(tops[0])} and {show(tops[1])}; by (9), the rest fixed, $c_1$ is "
        rf"then {show(offsets[0])} and "
        rf"{show(offsets[1])}. (15) changes $L$ in one term and keeps it in the other."
    )
    return Evidence(sizes == (1, 4) and offsets == [1, 2], summary)


#: Memorization scores; the first sample's bin depends on where the bins are cut.
SCORES = tuple(Fraction(k, 100) for k in (1, 3, 5, 7, 30))


def _bins_decide() -> Evidence:
    widths = (Fraction(1, 50), Fraction(1, 10))
    sizes = [sum(score // width == SCORES[0] // width for score in SCORES) for width in widths]
    summary = (
        rf"The first of {len(SCORES)} samples is in a bin of {sizes[0]} at width "
        rf"{show(widths[0])} and "
        rf"of {sizes[1]} at width {show(widths[1])}: the 'loss bound' of the same sample, and "
        rf"with it "
        "the prediction for it, depends on the width of the bins."
    )
    return Evidence(sizes == [1, 4], summary)


EQ_15 = Claim(
    id="privacy/eq-15",
    title="A loss bound for each bin",
    paper="privacy",
    location="Section 6.3, Eq. (15)",
    printed=r"""
"The loss bound $L$ [...] changes for each sub-population"; with $L\propto m_{sub}^{-0.5}$ (Bousquet
and Elisseeff, 2002), $|\mathrm{mem}|\le p_1\sqrt{m_{sub}}\,\mathbb E_\phi[\mathrm{Curv}]+c_1$,
where $m_{sub}$ is the size of the memorization bin and $c_1$ a constant. The results "strongly
agree with and validate Theorem 5.1".""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
A fit with a free scale and a free offset, whose regressor is made from the variable that is to be
explained. $L$ is a bound on the loss of *all* hypotheses at all points and does not shrink with the
number of samples in a bin; the cited result is about generalization gaps. And (9) divides $\rho$,
$\beta$, $\gamma$ and $\Delta$ by $L$, too: $c_1$ is constant only if they shrink along with it.
""",
    proof=r"""
Executed: the offset that (15) holds constant moves with $L$, at fixed $\rho$, $\beta$, $\gamma$ and
$\Delta$; the regressor moves with the cut of
the bins.
""",
    rebuttal=r"""
*Cross-entropy is unbounded, and some bound must be modelled.* A bound per bin could be *measured*:
the largest loss in it.
""",
    tried=r"""
As a consequence of Theorem 5.1 with constant $c_1$ it is refuted by the first evidence, in which
the offset moves. As a fit with free constants it cannot be refuted by any instance: the constants
are chosen after the data.
""",
    effect=r"""
The better fit in Figure 3 is a property of the fitted form.
""",
    prior_art=r"""
Elementary.
""",
    chapter=MEASURED,
    uses=("privacy/thm-5.1", "privacy/eq-9"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The offset moves with L.", _offset_moves),
        Check(Kind.EXACT, Role.FAILING_STEP, "The regressor depends on the bins.", _bins_decide),
    ),
    gist=r"A fit: $L$ does not shrink with a bin, and (9) would make $c_1$ move with it",
)

CLAIMS = (AVERAGE, MAXIMUM, EQ_15)
