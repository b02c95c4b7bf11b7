"""Sections 6.4 and 6.5 and Appendix A.8 of `privacy`: privacy budgets and membership attacks."""

from fractions import Fraction

from memlib.theory.book.dp_sgd import NOISES, RATE, STEPS, dp_sgd_bound
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, search, show
from memlib.theory.privacy_worlds import probabilities
from memlib.theory.worlds import ONE, mean, total_variation

CHAPTER = "part3/privacy-and-memorization"


# Eq. (16): a loss bound for each budget ----------------------------------------------------------

#: Losses of four samples: their mean is no bound.
LOSSES = (Fraction(0), Fraction(0), Fraction(1), Fraction(3))


def _mean_is_no_bound() -> Evidence:
    average, top = mean(LOSSES), max(LOSSES)
    summary = rf"Losses 0, 0, 1, 3: average {show(average)}, least bound {show(top)}."
    return Evidence(average == 1 < top == 3, summary)


def _saturated() -> Evidence:
    from flint import arb, ctx

    before, ctx.prec = ctx.prec, 96
    try:
        least, most = 1 - (-arb(5)).exp(), 1 - (-arb(100)).exp()
        change = most / least - 1
        small = arb("0.00678") < change < arb("0.00679")
    finally:
        ctx.prec = before
    summary = (
        rf"From $\varepsilon=5$ to 100 the factor $1-e^{{-\varepsilon}}$ grows by "
        rf"{float(100 * change):.2f} %: what varies in the fitted curve is "
        rf"$a+be^{{-c\varepsilon}}$, the "
        "measured average loss."
    )
    return Evidence(small, summary)


EQ_16 = Claim(
    id="privacy/eq-16",
    title="A loss bound for each privacy budget",
    paper="privacy",
    location="Section 6.4, Eq. (16), Figures 4 and 5",
    printed=r"""
"We obtain a bound on the loss at convergence for each privacy budget", $L(\varepsilon)=a+be^{-c
\varepsilon}$, fitted to the average loss; then $\mathbb
E[\mathrm{Curv}]\le(a+be^{-c\varepsilon})(m+1) (1-e^{-\varepsilon})+c_2$ with constant $c_2$, for
$\varepsilon$ from 5 to 100. "A very strong match" that validates Theorem 5.3.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
An average loss is not a bound on the loss. Over the budgets used, the factor of the theorem,
$1-e^{-\varepsilon}$, is constant to within 0.7 %, so that the fit has no means of testing it; and
$c_2$, which has a part proportional to $L$ (by Lemma A.1 $\gamma\ge2L/m$), is held constant.
""",
    proof=r"""
Executed.
""",
    rebuttal=r"""
*The curve follows the data.* Curvature follows the average training loss, then; an interesting
observation, with at least four fitted constants.
""",
    tried=r"""
That an average is a bound is refuted by the first evidence. The fitted curve cannot be: over
budgets from 5 to 100 the factor that the theorem predicts is constant to within 0.7 %, so that
every outcome would have been a match.
""",
    effect=r"""
Budgets below 1 would be needed to see the factor.
""",
    prior_art=r"""
Elementary.
""",
    chapter="part3/privacy-and-curvature",
    uses=("privacy/thm-5.3", "privacy/eq-11"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "An average is no bound.", _mean_is_no_bound),
        Check(Kind.EXACT, Role.FAILING_STEP, "The factor is saturated.", _saturated),
    ),
    gist=r"$1-e^{-\varepsilon}$ is flat from $\varepsilon=5$ to 100; an average loss is no bound",
)


# Section 6.5: DP-SGD is conservative -------------------------------------------------------------


def _bound_above_possible() -> Evidence:
    from flint import arb, ctx

    def cdf(x: arb) -> arb:
        return (1 + (x / arb(2).sqrt()).erf()) / 2

    before, ctx.prec = ctx.prec, 128
    try:
        epsilon, mu = arb(1), arb("0.2682")
        delta = cdf(mu / 2 - epsilon / mu) - epsilon.exp() * cdf(-mu / 2 - epsilon / mu)
        distance, printed = (mu / arb(8).sqrt()).erf(), 1 - (-epsilon).exp()
        passed = delta > arb("1e-5") and delta < arb("1.01e-5")
        passed = passed and arb("0.1066") < distance < arb("0.1067") and printed > arb("0.632")
    finally:
        ctx.prec = before
    summary = (
        rf"A Gaussian mechanism that just misses $(1,10^{{-5}})$-privacy ($\mu={float(mu):.4f}$, "
        rf"$\delta={float(delta):.3e}$): no algorithm with this Gaussian guarantee can memorize "
        rf"more than {float(distance):.4f}, while the printed bound is {float(printed):.3f}."
    )
    return Evidence(passed, summary)


def _training_below() -> Evidence:
    from flint import arb, ctx, fmpq

    before, ctx.prec = ctx.prec, 128
    try:
        rate = arb(fmpq(RATE.numerator, RATE.denominator))
        ((epsilon, noise), *_) = NOISES
        possible = dp_sgd_bound(arb(noise), rate, STEPS)
        printed = 1 - (-arb(epsilon)).exp()
        passed = arb("4.928") < printed / possible < arb("4.929")
    finally:
        ctx.prec = before
    summary = (
        rf"The training of the paper at $\varepsilon={epsilon}$ (noise {noise}, sampling rate "
        rf"$1/{RATE.denominator}$, {STEPS} steps) cannot memorize more than "
        rf"{float(possible) + 5e-5:.4f} (`book/tv-dp-sgd`): the printed bound is "
        rf"{float(printed / possible):.2f} times that."
    )
    return Evidence(bool(passed), summary)


#: Memorization of five samples under one algorithm; only one of them is near the bound.
FIVE = (Fraction(2, 5), Fraction(0), Fraction(0), Fraction(0), Fraction(0))


def _average_below() -> Evidence:
    average, worst = mean(FIVE), max(FIVE)
    summary = (
        rf"Memorization {show(worst)} for one sample and 0 for four: the average, "
        rf"{show(average)}, is far below a bound that the worst sample reaches."
    )
    return Evidence((average, worst) == (Fraction(2, 25), Fraction(2, 5)), summary)


CONSERVATIVE = Claim(
    id="privacy/6.5-conservative",
    title="Scores below the bound support that DP-SGD is overly conservative",
    paper="privacy",
    location="Section 6.5, Figure 6",
    printed=r"""
"The memorization scores are significantly lower than the bound from Theorem 5.4 supporting Nasr et
al. (2021)'s observation that DP-SGD may be overly conservative." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
The scores are lower. To say something about DP-SGD, compare with what its noise allows at all:
$\delta(0)$ of its accountant (`book/tv-accountant`), the elementary bound of `book/tv-dp-sgd`, or
$2\Phi(\mu/2)-1$. At $\varepsilon=1$ most of the distance to the printed bound is there already; at
large budgets less of it is. And the bound is about the worst sample, Figure 6 about an average of
500.
""",
    proof=r"""
Executed: at $(1,10^{-5})$ the printed bound is almost six times what any mechanism with the same
Gaussian guarantee can memorize.
""",
    rebuttal=r"""
*"May be" is a careful word, and other audits agree.* They do (Nasr et al., 2021); this figure is
weak evidence for it at small budgets, and better evidence at large ones.
""",
    tried=r"""
That the scores are lower than the bound cannot be refuted. We tried the inference: at
$\varepsilon=1$ the bound is nearly six times what any mechanism with that Gaussian guarantee can
memorize, so that scores below it say nothing of DP-SGD there. "May be" leaves the conclusion
possible.
""",
    effect=r"""
The measured rise of memorization with $\varepsilon$ stands.
""",
    prior_art=r"""
Nasr et al. (2021) on auditing; Dong, Roth and Su (2022).
""",
    chapter=CHAPTER,
    uses=("privacy/thm-5.4", "book/tv-gdp", "book/tv-accountant", "book/tv-dp-sgd"),
    checks=(
        Check(
            Kind.EXACT, Role.FAILING_STEP, "The bound exceeds the possible.", _bound_above_possible
        ),
        Check(
            Kind.EXACT,
            Role.FAILING_STEP,
            "It exceeds what that training can do.",
            _training_below,
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "An average is not the worst.", _average_below),
    ),
    gist=r"Compare with $\delta(0)$ of the accountant, not with $1-e^{-\varepsilon}$",
)


# A.8: membership inference -----------------------------------------------------------------------


def _attack() -> Evidence:
    import z3

    p, q, inside, outside = z3.Reals("p q inside outside")
    return decide(
        [*probabilities(p, q), inside == p, outside == 1 - q],
        (inside + outside) / 2 == (1 + (p - q)) / 2,
        r"*Member if the label is right* is correct with probability $p$ on members and $1-q$ on "
        r"others: on balanced cases $(1+\mathrm{mem})/2$.",
    )


#: Chances of (sure and right, barely right) with and without the sample.
OUTPUTS = ({"sure": ONE, "barely": ONE - ONE}, {"sure": ONE - ONE, "barely": ONE})


def _detected_not_memorized() -> Evidence:
    inside, outside = OUTPUTS
    distance = total_variation(inside, outside)
    mem = sum(inside.values()) - sum(outside.values())
    summary = (
        rf"A sample that is always right, surely with it in training and barely without: "
        rf"memorization "
        rf"{show(mem)}, and an attack on the confidence is always correct (total variation "
        rf"{show(distance)})."
    )
    return Evidence(mem == 0 and distance == 1, summary)


NETWORKS, SAMPLES = 16, 12  # half of the networks are trained on each sample


def _attacked() -> Evidence:
    import numpy as np
    from hypothesis import strategies as st

    from memlib.membership import lira, roc
    from memlib.runs import Runs, draw_subsets
    from memlib.stability import memorization_scores

    def breaks(case: tuple[int, int, int]) -> bool:
        seed, barely, gap = case
        members = draw_subsets(SAMPLES, NETWORKS, 1 / 2, seed)
        noise = np.random.default_rng(seed).uniform(size=members.shape)
        odds = barely + noise + (1 + gap) * members
        nobody = np.empty(0, dtype=np.int64)
        right = np.ones_like(members)  # the log odds are positive
        runs = Runs(np.arange(SAMPLES), members, right, None, nobody, nobody, log_odds=odds)
        memorized = memorization_scores(runs)["memorization"].abs().max()
        return bool(memorized != 0) or roc(lira(runs), resamples=1).auc != 1

    cases = st.tuples(st.integers(0, 99), st.integers(0, 9), st.integers(1, 9))
    found = search(cases, breaks, examples=40)
    return Evidence(
        found is None,
        f"{NETWORKS} networks that are right on every sample, more confident on those they were "
        "trained on. `memlib.stability` finds memorization 0 for all, and the likelihood-ratio "
        "attack of `memlib.membership` is always correct (area under the ROC curve 1). An "
        f"instance where one is not so: `{found}`.",
    )


A_8 = Claim(
    id="privacy/a.8",
    title="More memorized samples are easier to detect, in line with Theorem 5.4",
    paper="privacy",
    location="Appendix A.8, Takeaways",
    printed=r"""
"More memorized samples are easier to detect using MIA attacks. This is in line with our theoretical
analysis (Theorem 5.4)." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
One direction is a theorem, though not 5.4: the attack *member if the label is right* has balanced
accuracy $(1+\mathrm{mem})/2$, so that memorization is a lower bound on what the best attack
achieves. The other is not: a sample with $\mathrm{mem}=0$ can be detected with certainty from its
confidence. Theorem 5.4 compares no two samples.
""",
    proof=r"""
The attack is right with probability $p$ on members and $1-q$ on others; average. The second part is
executed.
""",
    rebuttal=r"""
*The experiment shows the trend, and the text discusses its exceptions.* It does; the finding is
empirical.
""",
    tried=r"""
The first direction cannot be refuted: it is decided. The converse is refuted by a sample that is
detected and not memorized. "In line with" compares a trend with a theorem that compares no
samples; no instance can break that.
""",
    effect=r"""
LiRA uses confidences, and so can find samples that memorization by labels does not.
""",
    prior_art=r"""
Yeom et al. (2018) for the attack and its advantage; Carlini et al. (2022).
""",
    chapter=CHAPTER,
    uses=("privacy/thm-5.4", "privacy/eq-2"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "A simple attack.", _attack),
        Check(Kind.EXACT, Role.FAILING_STEP, "Detected, not memorized.", _detected_not_memorized),
        Check(Kind.SEARCHED, Role.WITHSTANDS, "The attack itself, on confidences.", _attacked),
    ),
    gist=r"Balanced attack accuracy is at least $(1+\mathrm{mem})/2$; the converse fails",
)

CLAIMS = (EQ_16, CONSERVATIVE, A_8)
