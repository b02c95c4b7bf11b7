"""Equation (41) of the draft and the smoothness step of E.6."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.feldman import SINGLETON
from memlib.theory.worlds import accuracy, nearest_neighbor, without

CHAPTER = "part2/the-final-gradient"

# Eq. 41 ------------------------------------------------------------------------------------------


def four_risks() -> Derivation:
    """Two losses on single samples through four empirical risks; d_k are the gaps to the risk."""
    import sympy

    m, risk, other = sympy.symbols("m R R'")
    d = sympy.symbols("d_1:5")
    inside = m * (risk + d[0]) - (m - 1) * (risk + d[1])
    outside = (m - 1) * (other + d[2]) - (m - 2) * (other + d[3])
    errors = m * d[0] - (m - 1) * d[1] - (m - 1) * d[2] + (m - 2) * d[3]
    worst = sum(map(sympy.UnevaluatedExpr, (m, m - 1, m - 1, m - 2)))
    return Derivation(
        "Through four empirical risks",
        (
            Step("the difference of the two losses", inside - outside, risk - other + errors),
            Step("all gaps at the bound: the sum", worst, 4 * (m - 1)),
        ),
    )


def _tighter() -> Evidence:
    import z3

    m, beta, gamma, bias = z3.Reals("m beta gamma bias")
    return decide(
        [m >= 1, beta >= 0, gamma >= 0, bias >= 0],
        beta + 4 * (m - 1) * gamma <= m * beta + (4 * m - 1) * gamma + 2 * (m - 1) * bias,
        r"$\beta+4(m-1)\gamma\le m\beta+(4m-1)\gamma+2(m-1)\Delta$: the printed constants are "
        r"larger.",
    )


def _one_side() -> Evidence:
    dog = len(SINGLETON) - 1
    inside, outside = (
        1 - accuracy(nearest_neighbor, data, SINGLETON[dog])
        for data in (SINGLETON, without(SINGLETON, dog))
    )
    mem = outside - inside
    summary = (
        rf"The singleton under 1-nearest-neighbor: loss {show(inside)} with it, {show(outside)} "
        rf"without. The one-sided difference is ${show(inside - outside)}$, below every bound; "
        rf"memorization is {show(mem)}."
    )
    return Evidence((inside, outside, mem) == (0, 1, 1), summary)


EQ_41 = Claim(
    id="orders/eq-41",
    title="The loss difference through stability and generalization",
    paper="orders",
    location="Appendix E.6, Eq. (41)",
    printed=r"""
$$\mathbb E_\phi[\ell(g_S^\phi,\vec z_i)-\ell(g^\phi_{S^{\setminus i}},\vec z_j)]\le
m\beta+(4m-1)\gamma+2(m-1)\Delta,$$

whose left side is, in the end, replaced by $L\,\mathrm{mem}(S,\vec z_i)$.""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"Two-sided, $|\cdot|\le\beta+4(m-1)\gamma$; the printed half is the one that "
    r"memorization "
    r"does not need.",
    holds=r"""
$|\mathbb E_\phi[\ell(g_S,z_i)-\ell(g_{S^{\setminus i}},z_j)]|\le\beta+4(m-1)\gamma$, where $\gamma$
bounds the expected gaps of $(g_S,S)$, $(g_S,S^{\setminus i})$,
$(g_{S^{\setminus i}},S^{\setminus i})$, $(g_{S^{\setminus i}},S^{\setminus ij})$. The lemma that
E.6 cites has the absolute value. Memorization is minus the printed difference (E.2 says so): an
upper bound on it says nothing about memorization.
""",
    proof=r"""
$\ell(g,z_i)=mR_{emp}(g,S)-(m-1)R_{emp}(g,S^{\setminus i})$, and likewise for $z_j$ in
$S^{\setminus i}$. Replace each empirical risk by the risk; the risks leave
$R(g_S)-R(g_{S^{\setminus i}})$, at most $\beta$ in absolute value, and the gaps come with
coefficients $m,m-1,m-1,m-2$.
""",
    rebuttal=r"""
*A bar was lost in copying.* So it seems; hence a misprint. The constants $m\beta$ and
$2(m-1)\Delta$ are not needed either.
""",
    effect="See Theorem 4.5: what matters there is what $\\gamma$ stands for.",
    prior_art="Bousquet and Elisseeff (2002).",
    chapter=CHAPTER,
    uses=("orders/eq-1",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Four risks.", lambda: derived(four_risks())),
        Check(Kind.DECIDED, Role.SUPPORTS, "Smaller than printed.", _tighter),
        Check(Kind.EXACT, Role.SEPARATES, "One side of it.", _one_side),
    ),
)


# The smoothness step -----------------------------------------------------------------------------

SMOOTH = r"the gradient of the loss in the sample is $\mathcal L$-Lipschitz (Eq. 16)"
#: Two points, and the second derivatives of two parabolas.
POINTS, CURVES = (Fraction(1), Fraction(4)), (Fraction(2), Fraction(-2))


def _both_ways() -> Evidence:
    import z3

    here, there, along, steep, alpha, slack = z3.Reals("here there along steep alpha slack")
    return decide(
        [
            there - here - along <= slack,  # the two-sided expansion at z_i
            here + along - there <= slack,
            along <= alpha * steep,
            -along <= alpha * steep,
        ],
        z3.And(there <= here + alpha * steep + slack, here <= there + alpha * steep + slack),
        r"From the expansion at $z_i$, both ways: "
        r"$|\ell(g,z_j)-\ell(g,z_i)|\le\alpha\|\nabla_{z_i}\ell"
        r"(g,z_i)\|+\frac{\mathcal L}2\alpha^2$.",
    )


def _parabolas() -> Evidence:
    here, there = POINTS
    alpha, rows = there - here, []
    for a in CURVES:
        change = a * there * there / 2 - a * here * here / 2
        rows.append((change, abs(a * here) * alpha + max(CURVES) / 2 * alpha * alpha))
    summary = (
        rf"$\ell=\pm z^2$ from 1 to 4, $\mathcal L=2$: the changes are {show(rows[0][0])} and "
        rf"{show(rows[-1][0])}, the bound is {show(rows[0][-1])}; without its last term it is 6."
    )
    return Evidence(rows == [(15, 15), (-15, 15)], summary)


E6_SMOOTH = Claim(
    id="orders/e6-smoothness",
    title="From one sample to its neighbor by smoothness",
    paper="orders",
    location="Appendix E.6, the four lines after (41)",
    printed=r"""
"Using $\mathcal L$-lipschitzness of the loss function":
$\ell(g,\vec z_j)\le\frac{\mathcal L}2\|\alpha\|^2+\|\alpha\|\|\nabla_{z_i}\ell(g,\vec z_i)\|+
\ell(g,\vec z_i)$.""",
    assumptions=(SMOOTH,),
    verdict=Verdict.HOLDS,
    gist=r"True, in both directions: so the step survives when the sign of (41) is put right.",
    holds=r"""
For a gradient in the sample that is $\mathcal L$-Lipschitz on the segment (not "a Lipschitz loss"),
and $\|z_i-z_j\|_2\le\alpha$. Expanding at $z_i$ gives the other direction, too,
$\ell(g,z_i)\le\ell(g,z_j)+\alpha\|\nabla_{z_i}\ell(g,z_i)\|+\frac{\mathcal L}2\alpha^2$, which is
the one that memorization needs. Samples must have the same label if the loss is not smooth in the
label. $\|\alpha\|$ is $\alpha$; for an $\alpha$-ball in another norm $p$, the two norms must be
compared.
""",
    proof="The two-sided quadratic bound, and Cauchy-Schwarz.",
    rebuttal="None needed.",
    effect="Theorem 4.5's last two terms are right, in the model without the sample.",
    prior_art="Textbook.",
    chapter=CHAPTER,
    uses=("orders/eq-16",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Both directions.", _both_ways),
        Check(Kind.EXACT, Role.SHARP, "Two parabolas attain it.", _parabolas),
    ),
)


CLAIMS = (EQ_41, E6_SMOOTH)
