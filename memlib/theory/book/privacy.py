"""What privacy leaves of memorization: the tight constants (pure, approximate, conditional)."""

import math
from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, linear_maximum, show
from memlib.theory.privacy_worlds import (
    agrees,
    chance,
    is_private,
    membership_response,
    private_event,
    private_pairs,
)

CHAPTER = "part3/privacy-and-memorization"
SAMPLES = ((0, 1), (0, 0), (1, 1))
MINE = SAMPLES[0]
#: P(R) - Q(R) for the event R of the first two of four outcomes.
DIFFERENCE = (1, 1, 0, 0, -1, -1, 0, 0)
OUTCOMES = (0, 1, 2, 3)
#: Privacy at which the exact mechanisms are tried: e^epsilon, delta, and one a little stricter.
FACTOR, DELTA, STRICTER = Fraction(3), Fraction(1, 10), Fraction(299, 100)


def pure_bound(factor: Any) -> Any:
    """tanh(epsilon/2), from e^epsilon (a number or a solver term)."""
    return (factor - 1) / (factor + 1)


def approximate_bound(factor: Any, delta: Any) -> Any:
    """The same for (epsilon, delta)-privacy."""
    return (factor - 1 + 2 * delta) / (factor + 1)


# Pure privacy ------------------------------------------------------------------------------------


def hyperbolic() -> Derivation:
    """(E - 1) / (E + 1) at E = e^epsilon."""
    import sympy

    epsilon = sympy.Symbol("epsilon", nonnegative=True)
    return Derivation(
        "The constant as a function of epsilon",
        (
            Step(
                "multiply numerator and denominator by exp(-epsilon/2)",
                pure_bound(sympy.exp(epsilon)),
                sympy.tanh(epsilon / 2).rewrite(sympy.exp),
            ),
        ),
    )


def _pure_decided() -> Evidence:
    import z3

    p, q, factor = z3.Reals("p q E")
    return decide(
        private_event(p, q, factor),
        p - q <= pure_bound(factor),
        r"Pure privacy of an event and its complement gives $p-q\le\frac{E-1}{E+1}$, for every "
        r"$E=e^\varepsilon\ge1$.",
    )


def _pure_maximum() -> Evidence:
    return linear_maximum(
        DIFFERENCE,
        *private_pairs(len(OUTCOMES), FACTOR),
        pure_bound(FACTOR),
        rf"Over all pairs of distributions on four outcomes with $e^\varepsilon={FACTOR}$, the "
        r"largest $P(R)-Q(R)$.",
    )


def _pure_attained() -> Evidence:
    from memlib.accounting import MemorizationBound

    respond = membership_response(MINE, FACTOR / (1 + FACTOR))
    private = is_private(respond, SAMPLES, FACTOR)
    not_more = not is_private(respond, SAMPLES, STRICTER)
    mem = chance(respond((MINE, SAMPLES[2])), bool) - chance(respond((SAMPLES[2],)), bool)
    computed = agrees(MemorizationBound.pure(math.log(FACTOR)).value, mem)
    summary = (
        rf"Randomized response on *is the sample in the data?*, with probability "
        rf"$\frac E{{1+E}}={show(FACTOR / (FACTOR + 1))}$ of the truth: private at $E={FACTOR}$ on "
        rf"all data sets of up to two of {len(SAMPLES)} samples, not at $E={STRICTER}$; it "
        rf"memorizes ${show(mem)}$, which `MemorizationBound.pure` returns."
    )
    reached = mem == pure_bound(FACTOR)
    return Evidence(private and not_more and reached and computed, summary)


TV_PURE = Claim(
    id="book/tv-pure",
    title="An epsilon-private algorithm memorizes at most tanh(eps/2)",
    paper="book",
    location="replaces the constant of Theorem 5.4 and Lemma 5.2 of `privacy`",
    printed=r"""
If $\mathcal A$ is $\varepsilon$-differentially private (adding or removing one sample), then for
every data set, sample $i$ and event $R$

$$\bigl|\Pr[\mathcal A(S)\in R]-\Pr[\mathcal A(S^{\setminus i})\in R]\bigr|
\le\frac{e^\varepsilon-1}{e^\varepsilon+1}=\tanh\frac\varepsilon2,$$

so that $|\mathrm{mem}(\mathcal A,S,i)|\le\tanh(\varepsilon/2)$. No constant below this one serves
all algorithms.""",
    assumptions=(
        r"$\mathcal A$ is $\varepsilon$-differentially private for adding and removing one sample",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated, for every $\varepsilon\ge0$. It holds for every post-processing too: for the label that
is predicted at $x_i$, for a membership test, for any loss in $[0,L]$ (times $L$).
""",
    proof=r"""
Let $p=\Pr[\mathcal A(S)\in R]$, $q=\Pr[\mathcal A(S^{\setminus i})\in R]$ and $E=e^\varepsilon$.
Privacy of $R$ gives $p\le Eq$; privacy of its complement, the other way round, gives
$1-q\le E(1-p)$. Add them: $1+(p-q)\le E\,(1-(p-q))$, so $p-q\le\frac{E-1}{E+1}$. Exchange the two
data sets for the absolute value.

*Tight.* Answer *is $z_i$ in the data?* truthfully with probability $E/(1+E)$. The two answers have
probabilities $\frac E{1+E},\frac1{1+E}$ or the reverse, so their ratio is $E$ or $1/E$: private,
and the difference is $\frac{E-1}{E+1}$.
""",
    rebuttal="",
    effect=r"""
For small $\varepsilon$ the bound is half of the printed $1-e^{-\varepsilon}$: at $\varepsilon=1$ it
is 0.462 instead of 0.632.
""",
    prior_art=r"""
The total variation distance that differential privacy allows is known (Kairouz, Oh and Viswanath,
2015); randomized response is Warner's (1965). Not in the paper.
""",
    chapter=CHAPTER,
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The bound, for all reals.", _pure_decided),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The constant is a hyperbolic tangent.",
            lambda: derived(hyperbolic()),
        ),
        Check(Kind.EXACT, Role.SHARP, "The largest over all finite mechanisms.", _pure_maximum),
        Check(Kind.EXACT, Role.SHARP, "Randomized response reaches it.", _pure_attained),
    ),
    uses=("feldman/def-mem",),
    gist=r"$|\mathrm{mem}|\le\tanh(\varepsilon/2)$, reached by randomized response",
)


# Approximate privacy -----------------------------------------------------------------------------


def _approximate_decided() -> Evidence:
    import z3

    p, q, factor, delta = z3.Reals("p q E delta")
    return decide(
        private_event(p, q, factor, delta),
        p - q <= approximate_bound(factor, delta),
        r"$(\varepsilon,\delta)$-privacy of an event and its complement gives "
        r"$p-q\le\frac{E-1+2\delta}{E+1}$.",
    )


def _approximate_maximum() -> Evidence:
    return linear_maximum(
        DIFFERENCE,
        *private_pairs(len(OUTCOMES), FACTOR, DELTA),
        approximate_bound(FACTOR, DELTA),
        rf"Over all pairs on four outcomes that meet $E={FACTOR}$, $\delta={DELTA}$ for all 15 "
        r"events, the largest $P(R)-Q(R)$.",
    )


def _approximate_attained() -> Evidence:
    from memlib.accounting import MemorizationBound

    respond = membership_response(MINE, FACTOR / (1 + FACTOR), reveal=DELTA)
    private = is_private(respond, SAMPLES, FACTOR, DELTA)
    not_more = not is_private(respond, SAMPLES, FACTOR, DELTA * Fraction(99, 100))
    yes = (1, ("certain", 1))
    inside, outside = (
        chance(respond(data), yes.__contains__) for data in ((MINE, SAMPLES[2]), (SAMPLES[2],))
    )
    summary = (
        rf"With probability $\delta={DELTA}$ tell the truth and mark it as certain, else answer by "
        rf"randomized response: $(\varepsilon,\delta)$-private at $E={FACTOR}$, not with a smaller "
        rf"$\delta$; accuracies {show(inside)} and {show(outside)}, memorization "
        rf"${show(inside - outside)}$, which `MemorizationBound.approximate` returns."
    )
    reached = inside - outside == approximate_bound(FACTOR, DELTA)
    bound = MemorizationBound.approximate(math.log(FACTOR), float(DELTA))
    computed = agrees(bound.value, inside - outside)
    return Evidence(private and not_more and reached and computed, summary)


TV_APPROXIMATE = Claim(
    id="book/tv-approx",
    title="Memorization under (epsilon, delta)-privacy",
    paper="book",
    location="replaces the remark after Theorem 5.4 of `privacy`",
    printed=r"""
If $\mathcal A$ is $(\varepsilon,\delta)$-differentially private (adding or removing one sample),
then for all data sets, samples and events

$$\bigl|\Pr[\mathcal A(S)\in R]-\Pr[\mathcal A(S^{\setminus i})\in R]\bigr|
\le\frac{e^\varepsilon-1+2\delta}{e^\varepsilon+1},$$

and no smaller constant serves all algorithms.""",
    assumptions=(
        r"$\mathcal A$ is $(\varepsilon,\delta)$-differentially private for adding and removing "
        r"one sample",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated, for every $\varepsilon\ge0$ and $0\le\delta\le1$. The statement is about two
probabilities, so that it holds surely: there is no "with probability $1-\delta$" about it.
""",
    proof=r"""
As for $\delta=0$ (`book/tv-pure`): $p\le Eq+\delta$ and $1-q\le E(1-p)+\delta$ add up to
$1+(p-q)\le E(1-(p-q))+2\delta$.

*Tight.* With probability $\delta$ reveal the truth, marked as certain; else answer by randomized
response. An event holds at most $\delta$ of the revealed part, and on the rest the ratio is at most
$E$. The difference is $\delta+(1-\delta)\frac{E-1}{E+1}=\frac{E-1+2\delta}{E+1}$.
""",
    rebuttal="",
    effect=r"""
At $\varepsilon=0$ it reads $|\mathrm{mem}|\le\delta$; at the usual $\delta=10^{-5}$ the additive
part does not matter.
""",
    prior_art=r"""
Kairouz, Oh and Viswanath (2015); the extremal mechanism is theirs in substance. Not in the paper.
""",
    chapter=CHAPTER,
    uses=("book/tv-pure",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The bound, for all reals.", _approximate_decided),
        Check(
            Kind.EXACT, Role.SHARP, "The largest over all finite mechanisms.", _approximate_maximum
        ),
        Check(Kind.EXACT, Role.SHARP, "A mechanism that reaches it.", _approximate_attained),
    ),
    gist=r"$|\mathrm{mem}|\le(e^\varepsilon-1+2\delta)/(e^\varepsilon+1)$, reached",
)


# Given the accuracy ------------------------------------------------------------------------------


def given_accuracy(p: Any, factor: Any, delta: Any) -> tuple[Any, Any, Any]:
    """Three bounds on memorization, from the accuracy p in training."""
    return p, (1 - 1 / factor) * p + delta / factor, (factor - 1) * (1 - p) + delta


def given_held_out(q: Any, factor: Any, delta: Any) -> tuple[Any, Any, Any]:
    """Three bounds on memorization, from the accuracy q without the sample."""
    return 1 - q, (factor - 1) * q + delta, (1 - 1 / factor) * (1 - q) + delta / factor


def _conditional_decided() -> Evidence:
    import z3

    p, q, factor, delta = z3.Reals("p q E delta")
    bounds = (*given_accuracy(p, factor, delta), *given_held_out(q, factor, delta))
    return decide(
        private_event(p, q, factor, delta),
        z3.And([p - q <= bound for bound in bounds]),
        r"All six bounds hold for all $p,q,E,\delta$.",
    )


def _conditional_attained() -> Evidence:
    import z3

    p, factor, delta = z3.Reals("p E delta")

    def least(values: tuple[Any, Any, Any]) -> Any:
        one, two, three = values
        first = z3.If(one < two, one, two)
        return z3.If(first < three, first, three)

    without = p - least(given_accuracy(p, factor, delta))
    inside = p + least(given_held_out(p, factor, delta))
    return decide(
        private_event(p, p, factor, delta),
        z3.And(*private_event(p, without, factor, delta), *private_event(inside, p, factor, delta)),
        r"Whatever $p$ is, privacy allows the $q$ that makes the least of the first three bounds "
        r"an equality (and for any $q$, the $p$ that does so with the other three): two outcomes "
        r"with these probabilities are a private mechanism.",
    )


def _conditional_numbers() -> Evidence:
    from memlib.accounting import MemorizationBound

    accuracies = (Fraction(1, 10), Fraction(3, 4), Fraction(99, 100))
    found = [min(given_accuracy(p, FACTOR, Fraction(0))) for p in accuracies]
    summary = rf"At $e^\varepsilon={FACTOR}$: " + ", ".join(
        rf"accuracy {show(p)} in training leaves $\mathrm{{mem}}\le{show(value)}$"
        for p, value in zip(accuracies, found, strict=True)
    )
    summary += rf". The largest, at $p=E/(1+E)$, is $\tanh(\varepsilon/2)={show(max(found))}$. "
    summary += "`MemorizationBound.given_accuracy` returns these numbers."
    passed = found == [Fraction(1, 15), Fraction(1, 2), Fraction(1, 50)]
    bound = MemorizationBound.pure(math.log(FACTOR))
    computed = [
        agrees(bound.given_accuracy(float(p)), value)
        for p, value in zip(accuracies, found, strict=True)
    ]
    return Evidence(passed and max(found) == pure_bound(FACTOR) and all(computed), summary)


CONDITIONAL = Claim(
    id="book/mem-given-accuracy",
    title="Memorization under privacy, given the accuracy",
    paper="book",
    location="sharpens Theorem 5.4 of `privacy` where an accuracy is known",
    printed=r"""
Let $\mathcal A$ be $(\varepsilon,\delta)$-private, $E=e^\varepsilon$,
$p=\Pr[h_S(x_i)=y_i]$ and $q=\Pr[h_{S^{\setminus i}}(x_i)=y_i]$. Then

$$\mathrm{mem}\le\min\bigl\{p,\ (1-\tfrac1E)p+\tfrac\delta E,\ (E-1)(1-p)+\delta\bigr\},$$

$$\mathrm{mem}\le\min\bigl\{1-q,\ (E-1)q+\delta,\ (1-\tfrac1E)(1-q)+\tfrac\delta E\bigr\}.$$

Each minimum is reached, for every $p$, every $q$, every $E\ge1$ and $0\le\delta$.""",
    assumptions=(
        r"$\mathcal A$ is $(\varepsilon,\delta)$-differentially private for adding and removing "
        r"one sample",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated. A private model that fits a sample almost surely ($p\to1$) cannot have memorized it, and
neither can one that rarely gets it right.
""",
    proof=r"""
The first bound is $q\ge0$. $p\le Eq+\delta$ gives $q\ge(p-\delta)/E$, hence the second;
$1-q\le E(1-p)+\delta$ gives $q\ge1-E(1-p)-\delta$, hence the third. The second line solves the
same two inequalities for $p$.

*Reached.* Given $p$, let $q$ be the largest of $0$, $(p-\delta)/E$, $1-E(1-p)-\delta$; then
$q\le p$, and both inequalities hold. The reverse ones, $q\le Ep+\delta$ and
$1-p\le E(1-q)+\delta$, follow from $q\le p$. Two outcomes with probabilities $p,1-p$ against
$q,1-q$ are then $(\varepsilon,\delta)$-private: their only events are these.
""",
    rebuttal="",
    effect=r"""
The printed proof of Theorem 5.4 has $(1-e^{-\varepsilon})\Pr[h_S(x_i)=y_i]$ in its last line but
one, and drops the factor. Kept, and with its mirror image, it is the exact answer.
""",
    prior_art=r"""
The region of error probabilities that privacy allows (Wasserman and Zhou, 2010; Kairouz, Oh and
Viswanath, 2015), read off at one accuracy. Not in the paper.
""",
    chapter=CHAPTER,
    uses=("book/tv-approx",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "All six bounds, for all reals.", _conditional_decided),
        Check(Kind.DECIDED, Role.SHARP, "Each minimum is reached.", _conditional_attained),
        Check(Kind.EXACT, Role.SUPPORTS, "Three accuracies.", _conditional_numbers),
    ),
    gist="The exact bound on memorization at each accuracy, in training or held out",
)

CLAIMS = (TV_PURE, TV_APPROXIMATE, CONDITIONAL)
