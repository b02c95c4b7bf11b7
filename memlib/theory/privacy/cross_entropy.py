"""Appendix A.4 of `privacy`: Theorem 5.1 for cross-entropy (the remark after the theorem)."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.worlds import mean

OPEN = r"$0<\Pr[h(x_k)=y_k]<1$ for all $h\in\mathrm{Range}(\mathcal A)$ and all $k$"
#: A model that fits its training samples; without z_i it is unsure there, but fits the twin.
FITTED, UNSURE = Fraction(99, 100), Fraction(1, 5)
INTERPOLATOR = ("interpolator", FITTED, UNSURE)
#: Two equally likely values of the chance with the sample; without it, their geometric mean.
PAIR, MIDDLE = (Fraction(9, 10), Fraction(5, 18)), Fraction(1, 2)


def _printed_fails() -> Evidence:
    mem = FITTED - UNSURE
    ratio = FITTED / FITTED  # of the two chances in the loss difference, at the twin
    own = UNSURE / FITTED  # the same at the sample itself
    summary = (
        rf"A model fits what it was trained on with chance {show(FITTED)}; without $z_i$ its "
        rf"chance "
        rf"there is {show(UNSURE)}, and {show(FITTED)} at the twin. $\mathrm{{mem}}={show(mem)}$; "
        rf"the right side is $\ln{show(ratio)}=0$ (and $\ln{show(own)}<0$ at the sample itself)."
    )
    chances = (FITTED, UNSURE)
    meets = {OPEN: all(p > 0 for p in chances) and max(chances) < 1}
    # ln r <= 0 < mem is the same as r <= 1 and mem > 0
    broken = mem > 0 and ratio == 1 and own < 1 and mem == Fraction(79, 100)
    return Evidence(broken, summary, {}, meets, INTERPOLATOR)


def _repaired() -> Evidence:
    mem, least, ratio = FITTED - UNSURE, (FITTED - UNSURE) / FITTED, UNSURE / FITTED
    summary = (
        rf"$\mathbb E\ell(h_{{S^{{\setminus i}}}},z_i)-\mathbb E\ell(h_S,z_i)="
        rf"-\ln({show(ratio)})\ge1-{show(ratio)}={show(least)}\ge\mathrm{{mem}}={show(mem)}$."
    )
    return Evidence(least == Fraction(79, 99) and least > mem, summary, instance=INTERPOLATOR)


def inequality() -> Derivation:
    """ln(p / q) against p - q."""
    import sympy

    p, q, t = sympy.symbols("p q t", positive=True)
    return Derivation(
        "Chances q <= p <= 1 of the right label, without and with the sample",
        (
            Step(
                "the loss difference is an integral of 1/t from q to p",
                sympy.Integral(1 / t, (t, q, p)),
                sympy.log(p) - sympy.log(q),
            ),
            Step(
                "which is at least that of 1, since t <= 1: and that is the memorization",
                sympy.Integral(1, (t, q, p)),
                p - q,
            ),
        ),
    )


def _means_cancel() -> Evidence:
    product = PAIR[0] * PAIR[1]
    mem = mean(PAIR) - MIDDLE
    summary = (
        rf"Chances {show(PAIR[0])} or {show(PAIR[1])} with the sample, {show(MIDDLE)} without: "
        rf"their "
        rf"product is ${show(product)}=({show(MIDDLE)})^2$, so that the mean cross-entropies are "
        rf"equal, and the memorization is ${show(mem)}$."
    )
    return Evidence(product == MIDDLE**2 and mem == Fraction(4, 45), summary)


A_4 = Claim(
    id="privacy/a.4",
    title="For cross-entropy the loss difference bounds memorization",
    paper="privacy",
    location="Section 5.1 (Remark and its takeaway), Appendix A.4",
    printed=r"""
Theorem 5.1 is stated for cross-entropy "replacing $L$ with 1". The proof is that, from
$a-b\le\frac{a-b}a\le\ln\frac ab$
with $a=\Pr[h_{S^{\setminus i}}(x_j)=y_j]$, $b=\Pr[h_S(x_i)=y_i]$,

$$\mathrm{mem}(\mathcal A,S,i)\le\mathbb E_\phi\ell(h_S,z_i)-\mathbb
E_\phi\ell(h_{S^{\setminus i}},z_j).$$""",
    assumptions=(OPEN,),
    verdict=Verdict.FALSE,
    holds=r"""
Let $p,q$ be the (random) chances of the right label at $z_i$, with and without it, labels drawn
from the model. (a) If $p$ is at least $q$ in distribution, $0\le\mathrm{mem}\le\mathbb
E\ell(h_{S^{\setminus i}},z_i)-\mathbb E\ell(h_S,z_i)$. (b) Always $|\mathrm{mem}|\le\mathbb E|\ln
p-\ln q|$ under any joint distribution of the two, in particular the Wasserstein distance of the two
losses; the constant 1 is best. (c) The difference of the *means* alone bounds nothing.
""",
    proof=r"""
$|\ln p-\ln q|=\bigl|\int_q^pdt/t\bigr|\ge|p-q|$ because $t\le1$; as $p,q\to1$ the ratio tends to 1.
Average for (b). If $p\ge q$ in distribution, couple them so that $p\ge q$ always: (a).

The printed chain needs $a\ge b$ in its first step, $a-b\le(a-b)/a$: that is the sample that is
*not* memorized. It gives $\mathbb Ea-\mathbb Eb$, which at $j=i$ is $-\mathrm{mem}$, and its last
line calls it $\mathrm{mem}$. And Lemma A.1 uses $L$ as a bound on the loss, which cross-entropy
does not have.
""",
    rebuttal=r"""
*With the sign exchanged a deterministic algorithm is covered.* Yes, by (a) and (b). With randomness
the logarithm and the mean cannot be exchanged, as the last check shows, and at $j\ne i$ nothing
relates the two samples.
""",
    effect=r"""
The experiments use cross-entropy; the proof of Theorem 5.1 does not carry over to them.
""",
    prior_art=r"""
$\ln$ is steeper than 1 on $(0,1)$; the coupling argument is standard.
""",
    chapter="part3/curvature-and-memorization",
    uses=("privacy/eq-2", "privacy/lemma-a.1"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A model that fits its training samples.", _printed_fails),
        Check(Kind.EXACT, Role.REPAIRED, "The sign exchanged, at the sample.", _repaired),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The inequality.", lambda: derived(inequality())),
        Check(Kind.EXACT, Role.SHARP, "Mean losses alone say nothing.", _means_cancel),
    ),
    gist=r"$|\mathrm{mem}|\le\mathbb E|\ln p-\ln q|$; the printed inequality has the wrong sign",
)

CLAIMS = (A_4,)
