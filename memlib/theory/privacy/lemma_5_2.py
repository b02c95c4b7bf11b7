"""Lemma 5.2 of `privacy`: privacy implies stability; and the earlier bound that it improves."""

from fractions import Fraction
from typing import Any

from memlib.theory.book.privacy import CHAPTER, pure_bound
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, linear_maximum, show
from memlib.theory.privacy.thm_5_4 import printed_bound
from memlib.theory.privacy_worlds import (
    average,
    is_private,
    positive,
    private_event,
    private_pairs,
    probabilities,
    size_response,
)
from memlib.theory.worlds import ONE

SAMPLES = ((0, 1), (0, 0), (1, 1))
FACTOR = Fraction(3)
TOP = Fraction(5)
#: The loss of four hypotheses at a point, in units of L.
LOSSES = (Fraction(1), Fraction(2, 3), Fraction(1, 4), Fraction(0))


def stability_bound(top: Any, distance: Any) -> Any:
    """What two mean losses in [0, L] can differ by at that total variation distance."""
    return top * distance


def earlier_bound(factor: Any) -> Any:
    """e^epsilon - 1 (Wang et al., 2016), over L."""
    return factor - 1


def _printed_holds() -> Evidence:
    import z3

    p, q, factor, first, second, top = z3.Reals("p q E first second L")
    upper = stability_bound(top, pure_bound(factor))
    return decide(
        [
            *private_event(p, q, factor),
            *positive(top),
            *probabilities(first / top, second / top),
            first - second <= top * (p - q),
        ],
        z3.And(first - second <= upper, upper <= stability_bound(top, printed_bound(factor))),
        r"A mean loss differs by at most $L(p-q)$ for the event where $P$ exceeds $Q$, so by at "
        r"most $L\tanh(\varepsilon/2)\le L(1-e^{-\varepsilon})$.",
    )


def _all_mechanisms() -> Evidence:
    return linear_maximum(
        [TOP * loss for loss in LOSSES] + [-TOP * loss for loss in LOSSES],
        *private_pairs(len(LOSSES), FACTOR),
        stability_bound(TOP, pure_bound(FACTOR)),
        rf"Losses $L\cdot(1,\tfrac23,\tfrac14,0)$ with $L={TOP}$, all private pairs at "
        rf"$e^\varepsilon={FACTOR}$: the largest difference of mean loss.",
    )


def _attained() -> Evidence:
    respond = size_response(FACTOR / (1 + FACTOR), (TOP, ONE - ONE))
    full, left = (average(respond(data), lambda loss: loss) for data in (SAMPLES[1:], SAMPLES[2:]))
    bound = stability_bound(TOP, pure_bound(FACTOR))
    printed = stability_bound(TOP, printed_bound(FACTOR))
    summary = (
        rf"Randomized response between a hypothesis with loss $L={TOP}$ everywhere and one with "
        rf"loss 0, $e^\varepsilon={FACTOR}$: mean losses {show(full)} and {show(left)}, so that "
        rf"$\beta={show(full - left)}=L\tanh(\varepsilon/2)$; printed is {show(printed)}."
    )
    private = is_private(respond, SAMPLES, FACTOR)
    passed = full - left == bound == Fraction(5, 2) and printed == Fraction(10, 3)
    return Evidence(private and passed, summary)


LEMMA_5_2 = Claim(
    id="privacy/lemma-5.2",
    title="Privacy implies stability",
    paper="privacy",
    location="Lemma 5.2, Appendix A.5",
    printed=r"""
If $0\le\ell\le L$, any $\varepsilon$-differentially private algorithm satisfies
$L(1-e^{-\varepsilon})$-stability.""",
    assumptions=(
        r"$0\le\ell\le L$",
        r"$\mathcal A$ is $\varepsilon$-differentially private, Eq. (1), also between $S$ and "
        r"$S^{\setminus i}$",
    ),
    verdict=Verdict.LOOSE,
    holds=r"""
$|\mathbb E_\phi\ell(h_S,z)-\mathbb E_\phi\ell(h_{S^{\setminus i}},z)|\le L\tanh(\varepsilon/2)$,
for
*every* fixed $z$ and not only on average, with the best constant. Under
$(\varepsilon,\delta)$-privacy, Gaussian privacy or a privacy profile put the bound of
`book/tv-approx`, `book/tv-gdp` or `book/tv-accountant` for the hyperbolic tangent.
""",
    proof=r"""
$\mathbb E\ell(h_S,z)-\mathbb E\ell(h_{S^{\setminus i}},z)=\int_0^L\bigl(P(\ell>u)-Q(\ell>u)\bigr)du
\le L\,\sup_R(P(R)-Q(R))$, and the supremum is at most $\tanh(\varepsilon/2)$ by `book/tv-pure`. No
densities are needed. The printed proof bounds $\int_{p\ge p'}(p-p')$ by
$(1-e^{-\varepsilon})\,P(p\ge p')$ and then $P(p\ge p')$ by 1; the two are not close to equality
together, since $\int_{p\ge p'}(p-p')$ is also at most $(e^\varepsilon-1)(1-P(p\ge p'))$.
""",
    rebuttal=r"""
*It improves on the earlier $L(e^\varepsilon-1)$.* It does, for every $\varepsilon>0$
(`privacy/improves-wang`).
""",
    effect=r"""
The lemma survives, and in a stronger form: at every point, with a smaller constant.
""",
    prior_art=r"""
Wang, Lei and Fienberg (2016) for $L(e^\varepsilon-1)$; Kairouz, Oh and Viswanath (2015) for the
total variation distance.
""",
    chapter=CHAPTER,
    uses=("book/tv-pure", "privacy/eq-1", "privacy/eq-3"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Both bounds, for all reals.", _printed_holds),
        Check(Kind.EXACT, Role.SUPPORTS, "All mechanisms on four hypotheses.", _all_mechanisms),
        Check(Kind.EXACT, Role.ATTAINED, "The better constant is reached.", _attained),
    ),
    gist=r"$\beta\le L\tanh(\varepsilon/2)$, at every point, reached",
)


def _improves() -> Evidence:
    import z3

    factor = z3.Real("E")
    return decide(
        [factor >= 1],
        z3.And(
            printed_bound(factor) <= earlier_bound(factor),
            pure_bound(factor) <= printed_bound(factor),
            (factor + 1) * pure_bound(factor) == earlier_bound(factor),
        ),
        r"$\tanh(\varepsilon/2)\le1-e^{-\varepsilon}\le e^\varepsilon-1$ for all "
        r"$\varepsilon\ge0$, and the last is $e^\varepsilon+1$ times the first.",
    )


def _strictly() -> Evidence:
    values = [pure_bound(FACTOR), printed_bound(FACTOR), earlier_bound(FACTOR)]
    summary = (
        rf"At $e^\varepsilon={FACTOR}$: best {show(values[0])}, printed {show(values[1])}, earlier "
        rf"{show(values[2])}."
    )
    return Evidence(values == [Fraction(1, 2), Fraction(2, 3), 2], summary)


IMPROVES = Claim(
    id="privacy/improves-wang",
    title="An improvement on the earlier bound",
    paper="privacy",
    location="Section 1 (contributions) and Section 5.2",
    printed=r"""
"We obtain a tighter bound on private learnability": from $L(e^\varepsilon-1)$ (Wang et al., 2016)
to $L(1-e^{-\varepsilon})$.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
True: $1-e^{-\varepsilon}<e^\varepsilon-1$ for every $\varepsilon>0$. The end of the road is
$\tanh(\varepsilon/2)$, which cannot be improved. It is a bound on stability; what it implies for
learnability is not worked out.
""",
    proof=r"""
$e^\varepsilon-1=e^\varepsilon(1-e^{-\varepsilon})$, and
$1-e^{-\varepsilon}=(1+e^{-\varepsilon})\tanh(\varepsilon/2)$.
""",
    rebuttal=r"""
*An earlier bound is improved, as claimed.* Agreed.
""",
    effect=r"""
None beyond Lemma 5.2.
""",
    prior_art=r"""
As for Lemma 5.2.
""",
    chapter=CHAPTER,
    uses=("privacy/lemma-5.2",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Three bounds in order.", _improves),
        Check(Kind.EXACT, Role.SHARP, "Strictly, at one privacy level.", _strictly),
        Check(Kind.EXACT, Role.ATTAINED, "The best one is reached.", _attained),
    ),
    gist=r"True; the best constant is $\tanh(\varepsilon/2)$",
)

CLAIMS = (LEMMA_5_2, IMPROVES)
