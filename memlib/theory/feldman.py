"""Memorization by leave-one-out (Feldman, 2020) and its subset estimator (Feldman-Zhang, 2020)."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product
from math import log10
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all, show
from memlib.theory.worlds import (
    ONE,
    Data,
    Learner,
    all_functions,
    balanced_designs,
    gibbs,
    masked_means,
    mean,
    memorization,
    nearest_neighbor,
    parity,
    randomized_response,
    subset_accuracy,
    subset_influence,
    subset_memorization,
)

#: The range of memorization.
LEAST, MOST = -1, 1

#: Two cats, and one dog that is alone on its side: a singleton.
SINGLETON: Data = ((0, "cat"), (1, "cat"), (9, "dog"))
#: Two cats and two dogs: each dog's twin can stand in for it.
TWINS: Data = ((0, "cat"), (1, "cat"), (8, "dog"), (9, "dog"))
#: Two samples with label 1: their parity turns over when one is left out.
EVEN: Data = ((0, 1), (1, 1))
#: Inputs, and labels, of the world in which all data sets of three samples are tried.
BITS = (0, 1)


# The definition ----------------------------------------------------------------------------------


def _range_decided() -> Evidence:
    import z3

    inside, outside = z3.Reals("inside outside")
    return decide(
        [inside >= 0, inside <= 1, outside >= 0, outside <= 1],
        z3.And(inside - outside >= LEAST, inside - outside <= MOST),
        r"A difference of two probabilities is in $[-1,1]$.",
    )


def _range_sharp() -> Evidence:
    alone = memorization(nearest_neighbor, SINGLETON, 2)
    turned = memorization(parity, EVEN, 0)
    summary = (
        rf"1-nearest-neighbor on {len(SINGLETON)} points: the singleton has memorization "
        rf"${show(alone)}$. The parity learner on two samples with label 1: memorization "
        rf"${show(turned)}$."
    )
    return Evidence(alone == MOST and turned == LEAST, summary)


def gibbs_gain() -> Derivation:
    """The Gibbs posterior: memorization in terms of the weights of right and wrong hypotheses."""
    import sympy

    right, wrong, factor = sympy.symbols("A B a", positive=True)
    inside, outside = right / (right + factor * wrong), right / (right + wrong)
    gain = right * wrong * (1 - factor) / ((right + factor * wrong) * (right + wrong))
    return Derivation(
        "Gibbs posterior: right hypotheses weigh A without the sample, wrong ones B",
        (
            Step(
                "the sample multiplies the weight of wrong hypotheses by a", inside - outside, gain
            ),
        ),
    )


def _gibbs_decided() -> Evidence:
    import z3

    right, wrong, factor = z3.Reals("right wrong factor")
    inside, outside = right / (right + factor * wrong), right / (right + wrong)
    return decide(
        [right >= 0, wrong >= 0, right + wrong > 0, factor > 0, factor <= 1],
        z3.And(outside >= 0, inside >= outside, inside <= 1),
        r"$0\le A/(A+B)\le A/(A+aB)\le1$ for all weights and every $0<a\le1$.",
    )


def _gibbs_averaged_decided() -> Evidence:
    import z3

    count, more = z3.Reals("count more")
    return decide(
        [count >= 2, more <= count - 1],
        (more + 1) / count >= more / (count - 1),
        r"Also when the errors are averaged (over $n$ with, over $n-1$ without): a wrong "
        r"hypothesis with $d\le n-1$ more errors elsewhere than a right one loses at least as much "
        r"against it, $(d+1)/n\ge d/(n-1)$.",
    )


def gibbs_cases() -> Iterator[tuple[Data, int, tuple[dict[Any, Any], ...]]]:
    """Data sets of three samples on two inputs (inputs may repeat) and all hypothesis classes."""
    samples = list(product(BITS, BITS))
    functions = [dict(h) for h in all_functions(BITS, BITS)]
    classes = [c for size in range(1, 5) for c in combinations(functions, size)]
    for data in product(samples, repeat=3):
        for hypotheses in classes:
            yield data, 0, hypotheses


def _gibbs_exact() -> Evidence:
    return enumerate_all(
        gibbs_cases(),
        lambda case: memorization(gibbs(case[2], Fraction(1, 3)), case[0], case[1]) >= 0,
        r"Memorization by a Gibbs posterior ($a=\tfrac13$) is never negative: all data sets of "
        r"three samples on two inputs, all hypothesis classes.",
        count=960,
    )


def _gibbs_sharp() -> Evidence:
    hypotheses = all_functions(BITS, BITS)
    values = [memorization(gibbs(hypotheses, Fraction(a)), EVEN, 0) for a in (Fraction(1, 2), 2)]
    summary = (
        rf"With $a=\tfrac12$ the first of two samples has memorization ${show(values[0])}$; with "
        rf"$a=2$ (errors rewarded) it has ${show(values[1])}$."
    )
    return Evidence(values[0] > 0 > values[1], summary)


DEF_MEM = Claim(
    id="feldman/def-mem",
    title="The definition of memorization",
    paper="feldman",
    location="definition of label memorization; Eq. (2) of `privacy`, Eq. (1) of the published "
    "version of `orders`",
    printed=r"""
$$\mathrm{mem}(\mathcal A,S,i)=\Pr_{g\leftarrow\mathcal A(S)}[g(x_i)=y_i]
-\Pr_{g\leftarrow\mathcal A(S^{\setminus i})}[g(x_i)=y_i].$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist="Signed, in $[-1,1]$, both ends reached; never negative for a Gibbs posterior.",
    holds=r"""
The score is defined for every learner, data set and sample. It is **signed**, lies in $[-1,1]$,
and both ends are reached. It is never negative for a Gibbs posterior (hypotheses weighted by
$e^{-\lambda\cdot\text{errors}}$, $\lambda\ge0$, errors summed or averaged), so in particular for
Bayesian learners with such a likelihood and for drawing an empirical risk minimizer at random.
""",
    proof=r"""
The sample multiplies the weight of the hypotheses that are wrong on it by $a=e^{-\lambda}$:
$\mathrm{mem}=\frac{A}{A+aB}-\frac A{A+B}=\frac{AB(1-a)}{(A+aB)(A+B)}$.
""",
    rebuttal="",
    effect=r"""
What all three papers measure against. Its sign carries information, and a score that cannot be
negative is another score.
""",
    prior_art=r"""
Leave-one-out comparison is as old as cross-validation; that a Bayesian update raises the
probability of what was observed is textbook knowledge.
""",
    chapter="part1/what-memorization-is",
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The range.", _range_decided),
        Check(Kind.EXACT, Role.SHARP, "Both ends of the range are reached.", _range_sharp),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Memorization of a Gibbs posterior.",
            lambda: derived(gibbs_gain()),
        ),
        Check(Kind.DECIDED, Role.SUPPORTS, "Its sign, for all weights.", _gibbs_decided),
        Check(
            Kind.DECIDED, Role.SUPPORTS, "Its sign, with averaged errors.", _gibbs_averaged_decided
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "Its sign, in a whole finite world.", _gibbs_exact),
        Check(Kind.EXACT, Role.SHARP, "Rewarding errors makes it negative.", _gibbs_sharp),
    ),
)


# The estimator -----------------------------------------------------------------------------------

Design = tuple[tuple[int, ...], ...]


def independent_designs(n: int, runs: int, m: int) -> Iterator[Design]:
    """Every sequence of `runs` subsets of size m: what independent draws can give."""
    yield from product(combinations(range(n), m), repeat=runs)


def mean_estimate(
    learner: Learner, data: Data, i: int, designs: list[Design], empty: Fraction | None = None
) -> Fraction:
    """The masked means, averaged over equally likely designs that give sample i a score."""
    scores = (masked_means(learner, data, i, design, empty) for design in designs)
    return mean([score for score in scores if score is not None])


def _balanced() -> Evidence:
    cases = [
        (learner, data, i, runs)
        for learner, data in ESTIMATED
        for runs in (2, 4)
        for i in range(len(data))
    ]
    return enumerate_all(
        cases,
        lambda c: (
            mean_estimate(c[0], c[1], c[2], list(balanced_designs(4, c[3], 2)))
            == subset_memorization(c[0], c[1], c[2], 2)
        ),
        r"The mean over *all* balanced designs ($n=4$, $m=2$, 2 and 4 runs) is the subset "
        r"memorization, for every sample and four learners.",
    )


def _independent() -> Evidence:
    designs = list(independent_designs(4, 2, 2))
    return enumerate_all(
        [(learner, data, i) for learner, data in ESTIMATED for i in range(len(data))],
        lambda c: (
            mean_estimate(c[0], c[1], c[2], designs) == subset_memorization(c[0], c[1], c[2], 2)
        ),
        rf"The same for independent draws ($n=4$, $m=2$, 2 runs, all {len(designs)} designs), "
        r"given that the sample is in at least one run and out of at least one.",
    )


def _definition_gap() -> Evidence:
    def holds(case: tuple[Learner, Data, int, int]) -> bool:
        learner, data, i, m = case
        step = subset_accuracy(learner, data, i, m, inside=False) - subset_accuracy(
            learner, data, i, m - 1, inside=False
        )
        return subset_memorization(*case) == subset_influence(*case) - step

    return enumerate_all(
        [(a, data, i, m) for a, data in ESTIMATED for i in range(len(data)) for m in (2, 3)],
        holds,
        r"Subset memorization is $\mathrm{infl}_m$ minus one step of the held-out learning curve, "
        r"$\bar a(m)-\bar a(m-1)$.",
    )


def _guard() -> Evidence:
    data, designs = THREE_CATS, list(independent_designs(4, 3, 3))
    guarded = mean_estimate(nearest_neighbor, data, 0, designs, empty=Fraction(0))
    honest = mean_estimate(nearest_neighbor, data, 0, designs)
    target = subset_memorization(nearest_neighbor, data, 0, 3)
    never_in, never_out = Fraction(1, 4) ** 3, Fraction(3, 4) ** 3
    # the cat is always recognized: never out scores 1 - 0, never in scores 0 - 1
    bias = never_out - never_in
    summary = (
        rf"A cat among cats ($n=4$, $m=3$, 3 independent runs), always recognized, has "
        rf"memorization ${show(target)}$. It is never in or never out with probability "
        rf"{show(never_in + never_out)}. With no score for it then, the mean estimate is "
        rf"${show(honest)}$; if the mean of no runs counts as 0, it is ${show(guarded)}$. With the "
        rf"authors' 2,000 runs at 70 % this has a chance of about "
        rf"$10^{{{2000 * log10(0.7):.0f}}}$: their scores are not touched."
    )
    return Evidence(honest == target == 0 and guarded == target + bias > 0, summary)


def _not_leave_one_out() -> Evidence:
    alone = memorization(nearest_neighbor, TWINS, 3)
    subset = subset_memorization(nearest_neighbor, TWINS, 3, 2)
    summary = (
        rf"1-nearest-neighbor, two cats and two dogs that are twins: left out, a dog's twin "
        rf"answers for it and its memorization is ${show(alone)}$; over subsets of size 2 it is "
        rf"${show(subset)}$, because the twin is often out, too."
    )
    return Evidence(alone == 0 < subset, summary)


THREE_CATS: Data = ((0, "cat"), (1, "cat"), (2, "cat"), (9, "dog"))
_BITS: Data = ((0, 1), (1, 0), (2, 1), (3, 1))

#: Learners and data on which the estimator is tried.
ESTIMATED: tuple[tuple[Learner, Data], ...] = (
    (nearest_neighbor, TWINS),
    (parity, _BITS),
    (randomized_response((0, 1), Fraction(3, 4)), _BITS),
    (gibbs([h for h in all_functions(range(4), (0, 1)) if sum(h.values()) != 2], ONE / 3), _BITS),
)

MASKED_MEANS = Claim(
    id="fz/masked-means",
    title="The subset estimator is unbiased, for subset memorization",
    paper="fz",
    location="Section 2 (estimation); the authors' published code computes the same two means",
    printed=r"""
Train on subsets $I_1,\dots,I_t$ of size $m$ and score sample $i$ by two masked means,

$$\widetilde{\mathrm{mem}}_m(i)=\Pr_k[g_k(x_i)=y_i\mid i\in I_k]
-\Pr_k[g_k(x_i)=y_i\mid i\notin I_k].$$

It estimates the memorization of $i$ on random subsets of the data.""",
    assumptions=(
        r"the subsets are uniform among those of size $m$, drawn independently or as a uniformly "
        r"random balanced design",
        r"sample $i$ is in at least one run and out of at least one",
    ),
    verdict=Verdict.HOLDS,
    gist="Unbiased for memorization averaged over random subsets, which is not "
    "leave-one-out memorization.",
    holds=r"""
Its expectation is exactly $\mathbb E_{|I|=m,\,i\in I}[\mathrm{acc}]-\mathbb E_{|I|=m,\,i\notin
I}[\mathrm{acc}]$. That is neither of two neighbors: not leave-one-out memorization on all of $S$
(a sample with a twin tells them apart), and not quite the paper's $\mathrm{infl}_m$, whose sets
without $i$ have size $m-1$; the difference to the latter is one step of the held-out learning
curve, $\bar a(m)-\bar a(m-1)$.
""",
    proof=r"""
Given the numbers of runs with and without $i$, each run with $i$ is a uniform subset among those
with $i$, likewise without; in a balanced design the numbers are fixed and each run is uniform by
symmetry. Average.
""",
    rebuttal=r"""
*Feldman and Zhang never call it leave-one-out.* Right, they say *subsampled* memorization; it is
later users who compare proxies with it as if it were.
""",
    effect=r"""
All later numbers that are called memorization, here and in the three papers, are this quantity. A
sample that was never in or never out has no score: memlib says NaN.
""",
    prior_art=r"""
Difference of means in a randomized design; for $m=n/2$ it is close to a Shapley value, and with
independent inclusion to a Banzhaf value (both noted in the literature on data valuation).
""",
    chapter="part1/what-memorization-is",
    uses=("feldman/def-mem",),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "Unbiased over all balanced designs.", _balanced),
        Check(Kind.EXACT, Role.SUPPORTS, "Unbiased over independent draws.", _independent),
        Check(
            Kind.EXACT, Role.SUPPORTS, "How far it is from the paper's definition.", _definition_gap
        ),
        Check(Kind.EXACT, Role.SHARP, "Not unbiased for leave-one-out.", _not_leave_one_out),
        Check(
            Kind.EXACT, Role.SHARP, "A number for samples never in or never out: biased.", _guard
        ),
    ),
)

CLAIMS = (DEF_MEM, MASKED_MEANS)
