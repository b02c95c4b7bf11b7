"""Theorem 5.4 of `privacy`: privacy bounds memorization; a step of its proof; its remark."""

from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.book.privacy import CHAPTER, approximate_bound, pure_bound
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.privacy_worlds import (
    chance,
    hockey_stick,
    is_private,
    membership_response,
    positive,
    private_event,
)

SAMPLES = ((0, 1), (0, 0), (1, 1))
MINE, OTHER = SAMPLES[0], SAMPLES[2]
FACTOR = Fraction(3)


def printed_bound(factor: Any) -> Any:
    """1 - e^-epsilon, from e^epsilon."""
    return 1 - 1 / factor


# Theorem 5.4 -------------------------------------------------------------------------------------


def _printed_decided() -> Evidence:
    import z3

    p, q, factor = z3.Reals("p q E")
    return decide(
        private_event(p, q, factor),
        p - q <= printed_bound(factor),
        r"$p-q\le1-1/E$ for every $E=e^\varepsilon\ge1$.",
    )


def _tight_attained() -> Evidence:
    respond = membership_response(MINE, FACTOR / (1 + FACTOR))
    mem = chance(respond((MINE, OTHER)), bool) - chance(respond((OTHER,)), bool)
    printed = printed_bound(FACTOR)
    summary = (
        rf"Randomized response at $e^\varepsilon={FACTOR}$ memorizes ${show(mem)}"
        rf"=\tanh(\varepsilon/2)$, which nothing exceeds (`book/tv-pure`); printed is "
        rf"${show(printed)}$."
    )
    private = is_private(respond, SAMPLES, FACTOR)
    return Evidence(private and mem == pure_bound(FACTOR) < printed == Fraction(2, 3), summary)


def _never_attained() -> Evidence:
    import z3

    p, q, factor = z3.Reals("p q E")
    return decide(
        [*private_event(p, q, factor), factor > 1],
        z3.And(
            p - q < printed_bound(factor),
            pure_bound(factor) * (1 + 1 / factor) == printed_bound(factor),
        ),
        r"For $\varepsilon>0$ the printed bound is never reached: it is $1+e^{-\varepsilon}$ times "
        r"the best one.",
    )


#: Output distributions with the sample and without: one answer is given only if it is absent.
ONE_WAY = ({1: Fraction(1)}, {1: 1 / FACTOR, 0: 1 - 1 / FACTOR})


def _one_direction() -> Evidence:
    inside, outside = ONE_WAY
    there, back = hockey_stick(inside, outside, FACTOR), hockey_stick(outside, inside, FACTOR)
    mem = chance(inside, bool) - chance(outside, bool)
    summary = (
        rf"Always right with the sample, with chance {show(chance(outside, bool))} without: at "
        rf"$e^\varepsilon={FACTOR}$ (1) holds from $S$ to $S^{{\setminus i}}$ ($\delta={there}$), "
        rf"not back ($\delta={show(back)}$), and the memorization is "
        rf"${show(mem)}=1-e^{{-\varepsilon}}$."
    )
    passed = mem == printed_bound(FACTOR) == back == Fraction(2, 3) and there == 0
    return Evidence(passed, summary)


THM_5_4 = Claim(
    id="privacy/thm-5.4",
    title="Privacy bounds memorization",
    paper="privacy",
    location="Theorem 5.4, Eq. (12)",
    printed=r"""
If $\mathcal A$ is $\varepsilon$-differentially private, then for all $i$

$$\mathrm{mem}(\mathcal A,S,i)\le1-e^{-\varepsilon}.$$""",
    assumptions=(
        r"$\mathcal A$ is $\varepsilon$-differentially private, Eq. (1), also between $S$ and "
        r"$S^{\setminus i}$",
    ),
    verdict=Verdict.LOOSE,
    holds=r"""
$|\mathrm{mem}(\mathcal A,S,i)|\le\tanh(\varepsilon/2)$, and this is the best constant
(`book/tv-pure`). The printed one is $1+e^{-\varepsilon}$ times as large. It is the best constant
only if privacy is asked in one direction, $\Pr[h_S\in R]\le e^\varepsilon\Pr[h_{S^{\setminus i}}\in
R]$, and not in the other.
""",
    proof=r"""
From $p\le Eq$: $p-q\le p-p/E\le1-1/E$. The proof in the appendix reaches the same line by a step
that does not follow (`privacy/a.1-step`); the conclusion stands. For the better constant see
`book/tv-pure`.
""",
    rebuttal=r"""
*The result is stated for completeness, and is called straightforward.* It is, and it is true. The
factor matters where it is compared with experiments at small $\varepsilon$: half of the bound is
then out of reach for every algorithm.
""",
    effect=r"""
The theorem survives: of the three links of the paper this one holds, and can be sharpened.
""",
    prior_art=r"""
Feldman (2020) notes that privacy limits memorization; the tight constant is in Kairouz, Oh and
Viswanath (2015).
""",
    chapter=CHAPTER,
    uses=("feldman/def-mem", "book/tv-pure", "privacy/eq-1", "privacy/a.1-step"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The printed bound holds.", _printed_decided),
        Check(Kind.EXACT, Role.ATTAINED, "The better constant is reached.", _tight_attained),
        Check(Kind.DECIDED, Role.SHARP, "The printed constant never is.", _never_attained),
        Check(Kind.EXACT, Role.ATTAINED, "Unless privacy is one-directional.", _one_direction),
    ),
    gist=r"$|\mathrm{mem}|\le\tanh(\varepsilon/2)$, half of the printed bound for small "
    r"$\varepsilon$",
)


# The step of A.1 ---------------------------------------------------------------------------------


#: Accuracies with and without the sample, and e^epsilon.
ACCURACIES = (Fraction(3, 10), Fraction(1, 2), Fraction(2))


def _step_fails() -> Evidence:
    p, q, factor = ACCURACIES
    allowed, least, concluded = (factor - 1) * q, p / factor, (factor - 1) / factor * p
    summary = (
        rf"With $p={show(p)}$, $q={show(q)}$ and $E={show(factor)}$ the upper bound is "
        rf"$(E-1)q={show(allowed)}$ and the lower bound on $q$ is ${show(least)}$, which $q$ "
        rf"exceeds; they allow more than the $(E-1)p/E={show(concluded)}$ that is concluded."
    )
    pinned = (allowed, least, concluded) == (Fraction(1, 2), Fraction(3, 20), Fraction(3, 20))
    return Evidence(pinned and q >= least and allowed > concluded, summary)


def _step_repaired() -> Evidence:
    import z3

    p, q, factor = z3.Reals("p q E")
    return decide(
        [*positive(factor), p <= factor * q],
        p - q <= (factor - 1) / factor * p,
        r"From $p\le Eq$ directly, $p-q\le(1-1/E)\,p$.",
    )


A_1_STEP = Claim(
    id="privacy/a.1-step",
    title="A lower bound used as an upper bound",
    paper="privacy",
    location="Appendix A.1, the line after Eq. (19)'s lower bound",
    printed=r"""
From $\mathrm{mem}\le(e^\varepsilon-1)\Pr[h_{S^{\setminus i}}(x_i)=y_i]$ and the lower bound
$\Pr[h_{S^{\setminus i}}(x_i)=y_i]\ge e^{-\varepsilon}\Pr[h_S(x_i)=y_i]$ "we have"
$\mathrm{mem}\le(e^\varepsilon-1)e^{-\varepsilon}\Pr[h_S(x_i)=y_i]$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
The conclusion is true, but not for that reason: a lower bound on $q$ cannot be put into an upper
bound that grows with $q$. Use $\mathrm{mem}=p-q$ and the lower bound once:
$\mathrm{mem}\le p-e^{-\varepsilon}p$.
""",
    proof=r"""
Numbers that meet both lines and not the third are below; so is the direct argument.
""",
    rebuttal=r"""
*The result is the same.* Yes; this entry is about the proof, and Theorem 5.4 keeps its verdict.
""",
    tried=r"""
The conclusion cannot be refuted: it is decided true, for all numbers that privacy allows. What is
broken is the inference, by numbers that meet its two premises; no algorithm need have them.
""",
    effect=r"""
None on the theorem.
""",
    prior_art=r"""
Elementary.
""",
    chapter=CHAPTER,
    uses=("privacy/eq-1",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The step on its own.", _step_fails),
        Check(Kind.DECIDED, Role.SUPPORTS, "The direct argument.", _step_repaired),
    ),
    gist=r"The inference fails, its conclusion $(1-e^{-\varepsilon})p$ holds",
)


# The remark on (epsilon, delta) ------------------------------------------------------------------

APPROXIMATE = r"$\mathcal A$ is $(\varepsilon,\delta_p)$-differentially private"
DELTA = Fraction(2, 5)
REVEALING = membership_response(MINE, FACTOR / (1 + FACTOR), reveal=DELTA)
#: The hypotheses that are right on the sample.
RIGHT = (1, ("certain", 1))
INSTANCE = ("reveal", FACTOR, DELTA)


def memorized(data: tuple[tuple[int, int], ...]) -> Fraction:
    """Memorization of the first sample of the data by the revealing mechanism."""
    inside, outside = (chance(REVEALING(d), RIGHT.__contains__) for d in (data, data[1:]))
    return inside - outside


def _remark_refuted() -> Evidence:
    sets = [(MINE, *rest) for size in range(3) for rest in product(SAMPLES[1:], repeat=size)]
    ((mem),) = {memorized(data) for data in sets}
    bound = printed_bound(FACTOR)
    private = is_private(REVEALING, SAMPLES, FACTOR, DELTA)
    summary = (
        rf"Reveal with probability $\delta_p={DELTA}$ whether the sample is there, else randomized "
        rf"response ($e^\varepsilon={FACTOR}$): memorization is ${show(mem)}$ for every data set "
        rf"that has the sample once, above ${show(bound)}=1-e^{{-\varepsilon}}$. It is a number, "
        rf"not a random variable: the bound holds with probability 0, not ${show(1 - DELTA)}$."
    )
    exceeds = mem > bound == Fraction(2, 3) and mem == Fraction(7, 10) and len(sets) == 7
    return Evidence(exceeds, summary, {}, {APPROXIMATE: private}, INSTANCE)


def _remark_repaired() -> Evidence:
    mem, bound = memorized((MINE, OTHER)), approximate_bound(FACTOR, DELTA)
    summary = rf"$(E-1+2\delta)/(E+1)={show(bound)}$, reached by the same mechanism."
    return Evidence(mem == bound, summary, instance=INSTANCE)


def _remark_when() -> Evidence:
    import z3

    factor, delta = z3.Reals("E delta")
    return decide(
        [factor >= 1],
        (approximate_bound(factor, delta) <= printed_bound(factor))
        == (2 * delta <= printed_bound(factor)),
        r"The best constant is at most $1-e^{-\varepsilon}$ exactly if "
        r"$\delta_p\le\frac12(1-e^{-\varepsilon})$.",
    )


REMARK = Claim(
    id="privacy/thm-5.4-remark",
    title="The bound 'holds with probability 1 - delta' under (epsilon, delta)-privacy",
    paper="privacy",
    location="Section 5.3, after Theorem 5.4",
    printed=r"""
"This result can also be readily extended to $(\varepsilon,\delta_p)$-differential privacy, i.e.
Theorem 5.4 holds for an $(\varepsilon,\delta_p)$-differential private algorithm with a probability
$1-\delta_p$." """,
    assumptions=(APPROXIMATE,),
    verdict=Verdict.FALSE,
    holds=r"""
$|\mathrm{mem}|\le\frac{e^\varepsilon-1+2\delta_p}{e^\varepsilon+1}$, always, and no smaller
constant serves (`book/tv-approx`). So the bound of Theorem 5.4 holds, surely, exactly if
$\delta_p\le\frac12(1-e^{-\varepsilon})$, as it is for every $\varepsilon$ and $\delta$ of the
experiments.
""",
    proof=r"""
Memorization is a difference of two probabilities over the algorithm's randomness; once $\mathcal
A$, $S$ and $i$ are given, nothing is left to be random. An algorithm that exceeds the bound exceeds
it surely. The instance does so for every data set that contains the sample once. The condition on
$\delta_p$ is the comparison of the two constants.
""",
    rebuttal=r"""
*Probability $1-\delta_p$ is the usual reading of $(\varepsilon,\delta)$-privacy.* It is a reading
of the privacy loss, which is random, and even there it is not an equivalent of the definition. *In
practice $\delta_p$ is tiny.* Then the bound holds, without the probability: the better constant
leaves room for it.
""",
    effect=r"""
None on Figure 6, where $\delta=10^{-5}$.
""",
    prior_art=r"""
Kairouz, Oh and Viswanath (2015).
""",
    chapter=CHAPTER,
    uses=("privacy/thm-5.4", "book/tv-approx"),
    checks=(
        Check(
            Kind.EXACT, Role.REFUTES, "A mechanism that exceeds the bound surely.", _remark_refuted
        ),
        Check(Kind.EXACT, Role.REPAIRED, "The right constant, reached.", _remark_repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "When the printed bound holds.", _remark_when),
    ),
    gist=r"Surely $\le(e^\varepsilon-1+2\delta)/(e^\varepsilon+1)$; nothing in it is random",
)

CLAIMS = (THM_5_4, A_1_STEP, REMARK)
