"""Information that one sample gives about the weights (`unique` Eq. 1), and how it is named."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.divergences import (
    Distribution,
    Log,
    average,
    covers,
    divergence,
    mixture,
    point,
)
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all
from memlib.theory.linearized import Network, minimum

#: Two values of the sample, equally likely.
BITS = (0, 1)
FAIR = Fraction(1, 2)


def marginal(laws: dict[Any, Distribution]) -> Distribution:
    """R of Eq. (1): the mean of the weights' distributions over a uniform draw of the sample."""
    return mixture([(Fraction(1, len(laws)), law) for law in laws.values()])


# Eq. 1 -------------------------------------------------------------------------------------------


def chain_rule() -> Derivation:
    """Eq. (1), averaged over the sample, against the mutual information of a bit and a bit."""
    import sympy

    cells = {(z, w): sympy.Symbol(f"q_{z}{w}", positive=True) for z, w in product(BITS, BITS)}
    chance = {z: sum(cells[z, w] for w in BITS) for z in BITS}
    r = {w: sum(cells[z, w] for z in BITS) for w in BITS}
    p, marginal = sympy.symbols("p r", positive=True)
    cell = sympy.Symbol("q", positive=True)

    def entropy(chances: list[Any]) -> Any:
        return -sum(c * sympy.log(c) for c in chances)

    pointwise = sum(
        q * (sympy.log(q) - sympy.log(chance[z]) - sympy.log(r[w])) for (z, w), q in cells.items()
    )
    mutual = entropy([*chance.values()]) + entropy([*r.values()]) - entropy([*cells.values()])
    return Derivation(
        "The mean of Eq. (1) over the sample",
        (
            Step(
                "one term of the mean, with p(w | z) = q / p for the joint chance q",
                p * (cell / p) * sympy.log(cell / p / marginal),
                cell * (sympy.log(cell) - sympy.log(p) - sympy.log(marginal)),
            ),
            Step("all terms: H(Z) + H(W) - H(Z, W)", pointwise, mutual),
        ),
    )


def _eq1_ceiling() -> Evidence:
    import z3

    chance, law, rest = z3.Reals("chance law rest")
    return decide(
        [chance <= 1, rest >= 0],
        law * chance <= chance * law + (1 - chance) * rest,
        r"$p_A(w\mid S)\,P(z_i)\le r(w\mid S_{-i})$ for every $w$, so that $I(W;z_i\mid S_{-i})"
        r"\le\ln\frac1{P(z_i)}$.",
    )


def _eq1_needs_independence() -> Evidence:
    laws = {z: point(z) for z in BITS}  # the weights are the sample itself
    printed = divergence(laws[0], marginal(laws))
    # the other sample is a copy of this one: given that it is 0, so is this one
    given = mixture([(Fraction(1 - z), laws[z]) for z in BITS])
    true = divergence(laws[0], given)
    summary = (
        r"Two samples that are copies of one fair bit, weights that store it: Eq. (1) gives "
        rf"${float(printed):.4f}=\ln2$, while $I(W;Z_i\mid S_{{-i}})={float(true):.0f}$."
    )
    return Evidence(printed == Log(1 / FAIR) and true == Log(Fraction(1)), summary)


EQ_1 = Claim(
    id="unique/eq-1",
    title="Point-wise information of a sample about the weights",
    paper="unique",
    location="Section 3, Eq. (1)",
    printed=r"""
$$I(W;Z_i=z_i\mid\mathbf S_{-i}=S_{-i})=\mathrm{KL}\bigl(p_A(w\mid S)\,\|\,r(w\mid S_{-i})\bigr),
\qquad r(w\mid S_{-i})=\mathbb E_{z_i'\sim p(z)}\,p_A(w\mid S_{-i},z_i').$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
If $Z_i$ is independent of $S_{-i}$ (as for i.i.d. samples), the mean of Eq. (1) over $z_i$ is
$I(W;Z_i\mid S_{-i}=s)$, so that Eq. (1) is the share of one value. It is at least 0, and at most
$\ln\frac1{P(z_i)}$ where $z_i$ has a probability. Without independence, $r$ must use
$P(z_i'\mid S_{-i})$.
""",
    proof=r"""
$\mathbb E_{z}\mathrm{KL}(p_z\|r)=\sum_{z,w}P(z)p_z(w)\ln\frac{P(z)p_z(w)}{P(z)r(w)}$, the mutual
information of $W$ and $Z_i$ given $S_{-i}=s$. The ceiling: $r\ge P(z_i)\,p_{z_i}$, so the logarithm
of $p_{z_i}/r$ never exceeds $\ln\frac1{P(z_i)}$.
""",
    rebuttal=r"""
*Data are i.i.d. throughout.* Then nothing is missing; the paper writes $p(z)$, which says it
implicitly.
""",
    effect=r"""
None. The ceiling is worth knowing: no sample has more information than its surprise.
""",
    prior_art=r"""
Fano (1961) on point-wise information; Raginsky et al. (2016) average it over the data.
""",
    chapter="part4/sample-information",
    gist=r"Its mean over $z_i$ is $I(W;Z_i\mid S_{-i})$ for independent samples; at most "
    r"$\ln 1/P(z_i)$.",
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The mean over the sample is the mutual information (all bits and learners of a bit).",
            lambda: derived(chain_rule()),
        ),
        Check(Kind.DECIDED, Role.SUPPORTS, "The ceiling.", _eq1_ceiling),
        Check(Kind.EXACT, Role.SHARP, "Samples that are copies.", _eq1_needs_independence),
    ),
)


# The name ----------------------------------------------------------------------------------------


def _xor() -> Evidence:
    laws = {(a, b): point(a ^ b) for a, b in product(BITS, BITS)}
    given = average(
        [
            (FAIR**2, divergence(laws[a, b], mixture([(FAIR, laws[z, b]) for z in BITS])))
            for a, b in product(BITS, BITS)
        ]
    )
    alone = average(
        [
            (
                FAIR,
                divergence(mixture([(FAIR, laws[a, b]) for b in BITS]), marginal(laws)),
            )
            for a in BITS
        ]
    )
    summary = (
        r"Two fair bits, weights $W=Z_1\oplus Z_2$: $I(W;Z_1\mid Z_2)="
        rf"{float(given):.4f}=\ln2$ for each sample, and $I(W;Z_1)={float(alone):.0f}$. Neither "
        "sample alone says anything about the weights."
    )
    return Evidence(given == Log(1 / FAIR) and alone == Log(Fraction(1)), summary)


def _all_learners() -> Evidence:
    """Which functions of two fair bits are independent of the first, and change with it."""
    pairs = list(product(BITS, BITS))
    tables = [dict(zip(pairs, weights, strict=True)) for weights in product(BITS, repeat=4)]
    only_together = [
        tuple(table.values())
        for table in tables
        if sum(table[0, b] for b in BITS) == sum(table[1, b] for b in BITS)
        and any(table[0, b] != table[1, b] for b in BITS)
    ]
    summary = (
        rf"Of all {len(tables)} deterministic learners that make a bit of two fair bits, "
        rf"{len(only_together)} have $I(W;Z_1)=0<I(W;Z_1\mid Z_2)$: parity and its complement."
    )
    return Evidence(only_together == [(0, 1, 1, 0), (1, 0, 0, 1)] and len(tables) == 16, summary)


UNIQUE_OR_SYNERGISTIC = Claim(
    id="unique/unique-or-synergistic",
    title="Conditional information as unique information",
    paper="unique",
    location="Section 3, the sentence before Eq. (1)",
    printed=r"""
"[...] the amount of unique information a sample $z_i$ provides about the weights is given by the
conditional point-wise mutual information".""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
$I(W;Z_i\mid S_{-i})$ is what the sample adds *once the others are known*: in the decomposition of
Williams and Beer it is unique information plus synergy. The two cannot be told apart from it.
""",
    proof=r"""
With $W=Z_1\oplus Z_2$ each sample has $\ln2$ of it, the weights hold $\ln2$ in all, and $I(W;Z_i)
=0$: what a sample does not share with the other is here entirely synergy.
""",
    rebuttal=r"""
*"Unique" means no more than "not provided by the others".* In that sense the definition is exact,
and Section 7 says that the finer decomposition (Williams and Beer are cited) is open. A reader who
takes the word in the later, technical sense is misled.
""",
    tried=r"""
Read as the everyday word it is a definition. Read as the unique part of the decomposition it is
refuted by parity; we enumerated all learners of two bits, and parity and its complement are the
only ones in which a sample says nothing alone and something with the other.
""",
    effect=r"""
None on the experiments. Scores of samples need not add up to the information in the weights.
""",
    prior_art=r"""
Williams and Beer (2010); Bertschinger et al. (2014) on unique information.
""",
    chapter="part4/sample-information",
    gist="It is unique information plus synergy: what the sample adds given all the others.",
    uses=("unique/eq-1",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The parity of two samples.", _xor),
        Check(Kind.EXACT, Role.FAILING_STEP, "All learners of two bits.", _all_learners),
    ),
)


# Deterministic algorithms ------------------------------------------------------------------------

DETERMINISTIC = "the training algorithm is deterministic"
#: The smallest world: the model f = w x, trained from 0 to the end on one label, a fair bit, at
#: x = 1. The weight is the label; without a sample it stays 0.
STORE = {(): 0, (0,): 0, (1,): 1}
INPUT = (1,)


def both_sides(learner: dict[Any, int], z: int) -> tuple[Log, Log | None]:
    """Eq. (1) and the bound of Eq. (3), None if infinite, of a sample z on its own."""
    laws = {bit: point(learner[(bit,)]) for bit in BITS}
    left_out = point(learner[()])
    bound = divergence(laws[z], left_out) if covers(left_out, laws[z]) else None
    return divergence(laws[z], marginal(laws)), bound


def _degenerate_refuted() -> Evidence:
    first, second = (both_sides(STORE, z) for z in BITS)
    summary = (
        r"The model $f=wx$, trained from 0 to the end on one label, a fair bit, at $x=1$: the "
        r"weight is the label, and 0 without it. Eq. (1) is "
        rf"${float(first[0]):.4f}$ for both values, finite; Eq. (3) is "
        rf"{'infinite' if first[1] is None else f'${float(first[1]):.0f}$'} for $z=0$ and "
        rf"{'infinite' if second[1] is None else f'${float(second[1]):.0f}$'} for $z=1$."
    )
    passed = (
        first == (Log(1 / FAIR), Log(Fraction(1)))
        and second[0] == Log(1 / FAIR)
        and second[1] is None
    )
    deterministic = all(minimum(Network((INPUT,), (y,)))[0] == STORE[(y,)] for y in BITS)
    return Evidence(passed, summary, {}, {DETERMINISTIC: deterministic}, ("store", FAIR))


def _learners() -> Iterator[tuple[dict[Any, int], int]]:
    sets = ((), (0,), (1,))
    for weights in product(BITS, repeat=len(sets)):
        for z in BITS:
            yield dict(zip(sets, weights, strict=True)), z


def _degenerate_repaired() -> Evidence:
    def holds(case: tuple[dict[Any, int], int]) -> bool:
        learner, z = case
        information, bound = both_sides(learner, z)
        same = [bit for bit in BITS if learner[(bit,)] == learner[(z,)]]
        surprise = Log(Fraction(len(BITS), len(same)))
        zero = bound == Log(Fraction(1)) if learner[()] == learner[(z,)] else bound is None
        return information == surprise and information <= Log(1 / FAIR) and zero

    found = enumerate_all(
        _learners(),
        holds,
        r"All deterministic learners of one bit, each with both samples: Eq. (1) is "
        r"$-\ln\Pr_{z'}[A(S_{-i},z')=A(S)]\le\ln\frac1{P(z_i)}$, and Eq. (3) is 0 if leaving out "
        "changes nothing, else infinite.",
        count=2 * 2**3,
    )
    return Evidence(found.passed, found.summary, found.data, instance=("store", FAIR))


DEGENERATE = Claim(
    id="unique/deterministic-degenerate",
    title="For a fixed seed all divergences are infinite",
    paper="unique",
    location="Section 3, Smoothed Sample Information",
    printed=r"""
"[...] even SGD is used in a deterministic fashion by fixing the random seed [...] Under these
circumstances, all the above KL divergences are degenerate, as they evaluate to infinity." """,
    assumptions=(DETERMINISTIC,),
    verdict=Verdict.FALSE,
    holds=r"""
For deterministic $A$, Eq. (3) is $0$ if $A(S)=A(S_{-i})$ and infinite if not: two values, so
degenerate indeed. Eq. (1) is $-\ln\Pr_{z'}[A(S_{-i},z')=A(S)]$: finite wherever the weights are
reached by more than a null set of samples, and at most $\ln\frac1{P(z_i)}$. It is infinite where
the data are continuous and no weights are reached by a set of samples of positive probability.
""",
    proof=r"""
$p_A(\cdot\mid S)$ is the point mass at $A(S)$, and $r(A(S))=\Pr_{z'}[A(S_{-i},z')=A(S)]\ge
P(z_i)$. Between two point masses KL is 0 or infinite.
""",
    rebuttal=r"""
*Weights and images are real-valued, and Section 2 says "generally".* For Eq. (3), and for
continuous data in Eq. (1), generally so; there the conclusion (smooth something) is right. But $r$
is a mean over samples, not a single set of weights, even if $A$ is deterministic: for data that
take finitely many values, as labels and stored images do, Eq. (1) is finite.
""",
    effect=r"""
None: Eq. (3) still has to be smoothed. For finite data the infinite value is the bound's, not the
information's.
""",
    prior_art=r"""
Elementary.
""",
    chapter="part4/sample-information",
    gist=r"Eq. (3) is 0 or infinite; Eq. (1) is $-\ln\Pr[A(S_{-i},z')=A(S)]\le\ln 1/P(z_i)$.",
    uses=("unique/eq-1",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "One stored bit.", _degenerate_refuted),
        Check(Kind.EXACT, Role.REPAIRED, "Every learner of a bit.", _degenerate_repaired),
    ),
)


CLAIMS = (EQ_1, UNIQUE_OR_SYNERGISTIC, DEGENERATE)
