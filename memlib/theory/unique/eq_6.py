"""Information of a sample about a prediction (`unique` Eq. 6): right only on average."""

from itertools import product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.divergences import average, divergence
from memlib.theory.unique.eq_2 import (
    BITS,
    FAIR,
    INSTANCE,
    MIXTURE,
    PROOF,
    met,
    on_average,
    sides,
    world,
)

MIXTURE_Y = r"$r(\hat y\mid x,S_{-i})=\mathbb E_{z_i'}q(\hat y\mid x,S_{-i},z_i')$"


def _eq6_refuted() -> Evidence:
    information, bound, _ = sides()
    mean = average(
        [(FAIR**2, divergence(world((a,))[0][z], world((a,))[1])) for a, z in product(BITS, BITS)]
    )
    summary = (
        r"The prediction is a label drawn by Laplace's rule. Point by point: "
        rf"{float(information):.4f} > {float(bound):.4f}. With the printed $\mathbb E_S$ on the "
        rf"left only: {float(mean):.4f} > {float(bound):.4f}. The laws do not depend on $x$, so a "
        r"mean over $x$ changes nothing."
    )
    passed = mean > bound and information > bound
    return Evidence(passed, summary, {}, {MIXTURE_Y: met()[MIXTURE]}, INSTANCE)


def _eq6_repaired() -> Evidence:
    means = [on_average((a,)) for a in BITS]
    left = average([(FAIR, side[0]) for side in means])
    right = average([(FAIR, side[1]) for side in means])
    summary = rf"With $\mathbb E_S$ on both sides: {float(left):.4f} $\le$ {float(right):.4f}."
    inside = all(side[0] < side[1] for side in means)
    return Evidence(inside and left < right, summary, instance=INSTANCE)


EQ_6 = Claim(
    id="unique/eq-6",
    title="Information of a sample about a prediction",
    paper="unique",
    location="Section 4, the display before Eq. (6), and Eq. (6)",
    printed=r"""
$$I(z_i;\hat y\mid x,S_{-i})=\mathbb E_S\mathrm{KL}(q(\hat y\mid x,S)\|r(\hat y\mid x,S_{-i}))\le
\mathrm{KL}(q(\hat y\mid x,S)\|q(\hat y\mid x,S_{-i})).$$""",
    assumptions=(MIXTURE_Y,),
    verdict=Verdict.FALSE,
    holds=r"""
With the mean over $z_i$ (or over $S$) on both sides it is Lemma B.1. Without it on both sides, it
fails as Eq. (3) does; with it on the left only, as printed, a mean is compared with one value; and
it fails, too, if $\mathbb E_S$ stands for $\mathbb E_x$, as it does in Definition 4.1. For one
sample, replace it instead of leaving it out (Eq. 2).
""",
    proof=PROOF,
    rebuttal=r"""
*The missing mean is a slip: read $\mathbb E_S$ on both sides, and (6) holds.* It does, as a
statement about a mean over data sets. But $\mathbb E_S$ in Definition 4.1, which follows from (6),
must be $\mathbb E_x$ for Proposition 4.2 to be true, and all scores are for one $S$ and one $z_i$;
for these (6) fails.
""",
    effect=r"""
F-SI, like SI, is a divergence of its own, and a bound of information on average only.
""",
    prior_art=r"""
As for Eq. (2).
""",
    chapter="part4/information-in-predictions",
    gist=r"True with the mean over $z_i$ on both sides, not point by point and not as printed.",
    uses=("unique/eq-2", "unique/lemma-b.1"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A label drawn by Laplace's rule.", _eq6_refuted),
        Check(Kind.EXACT, Role.REPAIRED, "Means on both sides.", _eq6_repaired),
    ),
)


CLAIMS = (EQ_6,)
