"""Cross-entropy in the published version: D.2.1 with its (66)."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, decide_on_box, show
from memlib.theory.icml.instances import HALF, ONE
from memlib.theory.worlds import mean

#: Chances of the label, trained with a sample and without it: the sample does harm.
HARMED = (Fraction(1, 4), Fraction(1, 2))
#: The ratios of the chances of both labels there.
RATIOS = [Fraction(1, 2), Fraction(2, 3), Fraction(3, 2), Fraction(2)]
#: By which part p exceeds q.
GROWTH = (Fraction(1, 100), Fraction(100))
#: Chances of a label under two seeds, with the sample; and without it, whatever the seed.
TWO_SEEDS = ((ONE, Fraction(1, 10**6)), Fraction(1, 4))


def _ball(value: Fraction) -> Any:
    """A ball that contains a rational number."""
    from flint import arb, fmpq

    return arb(fmpq(value.numerator, value.denominator))


def _log(value: Fraction) -> Any:
    """A ball that contains the logarithm."""
    return _ball(value).log()


def _cross_entropy_refuted() -> Evidence:
    inside, outside = HARMED
    left, mem = _log(inside) - _log(outside), inside - outside
    summary = (
        rf"A sample that lowers the chance of its own label from {show(outside)} to "
        rf"{show(inside)}: "
        rf"the cross-entropy difference is {float(left.mid()):.3f}, and mem is {show(mem)}."
    )
    passed = bool(left < _ball(mem)) and mem == -Fraction(1, 4)
    return Evidence(passed, summary, {}, {}, HARMED)


def _cross_entropy_repaired() -> Evidence:
    inside, outside = HARMED
    ratios = {a / b for p, q in (HARMED, HARMED[::-1]) for a, b in ((p, q), (1 - p, 1 - q))}
    ratio = max(ratios)
    bound = (ratio - 1) / (ratio + 1)
    summary = (
        rf"There $e^\beta={show(ratio)}$, and ${show(abs(inside - outside))}\le\tanh(\beta/2)="
        rf"{show(bound)}$."
    )
    passed = sorted(ratios) == RATIOS and bound == Fraction(1, 3) and abs(inside - outside) <= bound
    return Evidence(passed, summary, {}, {}, HARMED)


def _random_refuted() -> Evidence:
    seeds, outside = TWO_SEEDS
    left = sum((_log(p) for p in seeds), start=_log(ONE)) / len(seeds) - _log(outside)
    mem = mean(list(seeds)) - outside
    summary = (
        rf"Two seeds, right with certainty and almost never, against {show(outside)} without the "
        rf"sample: mem is {float(mem):.4f}, the mean cross-entropy difference "
        rf"{float(left.mid()):.3f}."
    )
    passed = bool(left < _ball(mem)) and mem == Fraction(500001, 2 * 10**6)
    return Evidence(passed, summary, {}, {}, TWO_SEEDS)


def _random_repaired() -> Evidence:
    seeds, outside = TWO_SEEDS
    rows = [(_log(p) - _log(outside) - _ball(p - outside), p - outside) for p in seeds]
    kept = [bool(gap > 0) == (mem > 0) and bool(gap < 0) == (mem < 0) for gap, mem in rows]
    summary = (
        "Seed by seed there: the difference of the losses is above mem for the seed with mem "
        f"{show(rows[0][-1])}, and below it for the other one."
    )
    return Evidence(all(kept) and rows[0][-1] == Fraction(3, 4), summary, {}, {}, TWO_SEEDS)


def _slopes() -> Evidence:
    return decide_on_box(
        lambda r: (1 + r).log() - r / (1 + r),
        [GROWTH],
        r"$\log(1+r)>\frac r{1+r}$ for $\frac1{100}\le r\le100$: with $p=q(1+r)\le1$ this is "
        r"$\log p-\log q>p-q$, for one seed with $p>q$.",
    )


def _tanh() -> Evidence:
    """Two labels; e^beta is the number `ratio`, and tanh(beta/2) = (ratio - 1) / (ratio + 1)."""
    import z3

    p, q, ratio = z3.Reals("p q ratio")
    pairs = [(p, q), (q, p), (1 - p, 1 - q), (1 - q, 1 - p)]
    return decide(
        [p > 0, q > 0, p < 1, q < 1, *(a <= ratio * b for a, b in pairs)],
        z3.And((p - q) * (ratio + 1) <= ratio - 1, (q - p) * (ratio + 1) <= ratio - 1),
        r"Stability $\beta$ of cross-entropy at $x_i$ under both labels: $|p-q|\le\tanh(\beta/2)$.",
    )


def _tanh_attained() -> Evidence:
    ratio = Fraction(3)
    p, q = ratio / (ratio + 1), 1 / (ratio + 1)
    bound = (ratio - 1) / (ratio + 1)
    summary = (
        rf"$e^\beta={ratio}$: the chances {show(p)} and {show(q)} have both ratios {ratio}, and "
        rf"differ by "
        rf"$\tanh(\beta/2)={show(bound)}$."
    )
    return Evidence(p - q == bound == HALF and p / q == ratio == (1 - q) / (1 - p), summary)


D_2_1 = Claim(
    id="orders-icml/d.2.1",
    title="Cross-entropy",
    paper="orders-icml",
    location="Appendix D.2.1, Eq. (66), citing A.4 of `privacy`; D.4.1, Eq. (70)",
    printed=r"""
For cross-entropy loss
$\mathbb E_p[\ell^{\setminus z_i}(\vec w^*,\vec z_i)-\ell(\vec w^*,\vec z_i)]\ge
\mathrm{mem}(\vec z_i)$, so that Theorem 5.3 holds with $L=1$.""",
    assumptions=(),
    verdict=Verdict.FALSE,
    gist=r"True for one seed and $\mathrm{mem}\ge0$; uniform stability alone gives "
    r"$|\mathrm{mem}|\le\tanh(\beta/2)$.",
    holds=r"""
For one seed (a deterministic $p$ with and $q$ without the sample) and $p\ge q$,
$\log p-\log q\ge p-q$. For $p<q$ the inequality is reversed, and averaged over seeds it can fail
with $\mathrm{mem}>0$. The conclusion $\mathrm{mem}\le\beta$ needs no learning time: if
cross-entropy is $\beta$-stable at $x_i$ under every label, then for each seed $p\le e^\beta q$ and
$1-q\le e^\beta(1-p)$, hence

$$|\mathrm{mem}(z_i)|\le\tanh(\beta/2),$$

attained. (Under the label of $z_i$ alone: $\mathrm{mem}\le1-e^{-\beta}$.)
""",
    proof=r"""
The derivative of $\log$ is at least 1 on $(0,1]$. For the last statement write $E=e^\beta$: add
$p-Eq\le0$ and $Ep-q\le E-1$ (which is $1-q\le E(1-p)$), and divide by $E+1$.
It is the two-point form of differential privacy with $\varepsilon=\beta$.
""",
    rebuttal=r"""
*Memorization is positive in practice.* Its average is. (66) is stated for each sample, and an
average over seeds of logarithms is governed by the seeds that fail.
""",
    effect=r"""
For cross-entropy, too, stability is the whole bound, and it is the bound of differential privacy.
""",
    prior_art=r"""
The constant is that of pure differential privacy (Kairouz, Oh and Viswanath, 2015).
""",
    chapter="part2/memorization-and-learning-time",
    uses=("orders-icml/eq-4", "orders-icml/thm-5.3"),
    checks=(
        Check(Kind.DECIDED, Role.REFUTES, "A sample that does harm.", _cross_entropy_refuted),
        Check(Kind.DECIDED, Role.REPAIRED, "The bound there.", _cross_entropy_repaired),
        Check(Kind.DECIDED, Role.REFUTES, "A seed that fails.", _random_refuted),
        Check(Kind.DECIDED, Role.REPAIRED, "Seed by seed there.", _random_repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "One seed, mem at least 0.", _slopes),
        Check(Kind.DECIDED, Role.SUPPORTS, "Stability alone.", _tanh),
        Check(Kind.EXACT, Role.ATTAINED, "Equality.", _tanh_attained),
    ),
)


CLAIMS = (D_2_1,)
