"""The definitions of `privacy`: Eq. (1) to (4)."""

from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory import worlds
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.curvature_worlds import RiskWorld, error_stability, evenly
from memlib.theory.evidence import decide, enumerate_all, show
from memlib.theory.privacy_worlds import chance, hockey_stick, neighbors, private_event
from memlib.theory.worlds import ONE, Data, Distribution, total

CHAPTER = "part3/privacy-and-memorization"
SAMPLES = ((0, 0), (0, 1), (1, 0), (1, 1))
PAIR: Data = ((0, 1), (1, 0))
YES = (1,)
ANSWERS = (1, 0)


# Eq. (1): differential privacy -------------------------------------------------------------------


def size_rule(data: Data) -> Distribution:
    """Answers 1 if the number of samples is even, else 0: no sample's content matters."""
    return {ANSWERS[len(data) % len(ANSWERS)]: ONE}


def _domain() -> Evidence:
    same_size = list(product(product(SAMPLES, repeat=2), repeat=2))
    private = all(hockey_stick(size_rule(a), size_rule(b), ONE) == 0 for a, b in same_size)
    left = PAIR[1:]
    mem = chance(size_rule(PAIR), YES.__contains__) - chance(size_rule(left), YES.__contains__)
    summary = (
        rf"An algorithm that looks only at the number of samples: for all {len(same_size)} pairs "
        rf"$S,S'\in\mathcal Z^2$ its output is the same, so that (1) holds with $\varepsilon=0$; "
        rf"and "
        rf"$\mathrm{{mem}}={show(mem)}$, because $S^{{\setminus i}}\in\mathcal Z^1$ is not in the "
        "domain that (1) speaks of."
    )
    return Evidence(private and len(same_size) == 256 and mem == 1, summary)


def _removal() -> Evidence:
    import z3

    p, q, factor = z3.Reals("p q E")
    return decide(
        private_event(p, q, factor),
        z3.And(p <= factor * q, q <= factor * p),
        r"With $S$ and $S^{\setminus i}$ as neighbors, in both orders, (1) speaks of the two "
        r"probabilities in memorization.",
    )


def _detected() -> Evidence:
    worst = max(
        max(hockey_stick(size_rule(a), size_rule(b), ONE + k) for k in range(9))
        for a, b in neighbors(SAMPLES, len(PAIR))
    )
    summary = (
        rf"For neighbors by removal the same algorithm has $\delta={show(worst)}$ at every "
        rf"$\varepsilon$: it is not private at all."
    )
    return Evidence(worst == 1, summary)


EQ_1 = Claim(
    id="privacy/eq-1",
    title="Differential privacy, and which data sets are neighbors",
    paper="privacy",
    location="Section 3, Eq. (1); used in Appendix A.1 and A.5 for S and S without i",
    printed=r"""
$\mathcal A$ "with domain $\mathcal Z^m$ is $\varepsilon$-differentially private if for all
$R\subset\mathrm{Range}(\mathcal A)$ and for all $S,S'\in\mathcal Z^m$ such that $\|S-S'\|_1\le1$",
$\Pr_\phi[h_S^\phi\in R]\le e^\varepsilon\Pr_\phi[h_{S'}^\phi\in R]$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
The domain must be all finite data sets, and neighbors are $S$ and $S^{\setminus i}$ (add or remove
one sample), in both orders. That is what the theorems use, and what DP-SGD with Poisson sampling
provides. With the printed domain, two data sets of the same size, removal is not covered and
Theorems 5.3 and 5.4 and Lemma 5.2 have no hypothesis to start from.
""",
    proof=r"""
Executed in the evidence: an algorithm that is 0-private on every $\mathcal Z^m$ and memorizes
fully.
""",
    rebuttal=r"""
*The paper defines adjacent data sets by removal, and writes $\|S-S^{\setminus i}\|=1$.* So it does,
one page earlier, and that is surely what is meant; this entry asks for one domain that contains
both. The two notions of neighbor are not interchangeable: replacing a sample is removing and
adding, so that removal-privacy at $\varepsilon$ gives replacement-privacy at $2\varepsilon$, and
nothing leads back.
""",
    tried=r"""
Read with the printed domain, Theorem 5.4 is refuted by the first instance, 0-private on every
$\mathcal Z^m$ with memorization 1. As a definition it asserts nothing, and with the neighbors of
the page before, which the proofs use, we found nothing to refute.
""",
    effect=r"""
All claims here are judged with neighbors by removal.
""",
    prior_art=r"""
Bounded and unbounded differential privacy (Kifer and Machanavajjhala, 2011).
""",
    chapter=CHAPTER,
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Private on every $\\mathcal Z^m$, mem = 1.", _domain),
        Check(Kind.EXACT, Role.SUPPORTS, "Removal would have caught it.", _detected),
        Check(Kind.DECIDED, Role.SUPPORTS, "What the proofs need.", _removal),
    ),
    gist="Neighbors must be by removal; data sets of one size do not bound memorization",
)


# Eq. (2): memorization ---------------------------------------------------------------------------

#: The chance of the right label that each of two equally likely networks gives, with the sample in
#: training and without: the labels drawn from them, and the most likely labels, tell apart.
SOFT = ((Fraction(9, 20), Fraction(9, 20)), (Fraction(3, 5), Fraction(1, 5)))


def top_label(chances: tuple[Fraction, ...]) -> Fraction:
    """How often the right one of two labels is the more likely one."""
    return worlds.mean([Fraction(p > 1 - p) for p in chances])


def _mem_range() -> Evidence:
    import z3

    p, q = z3.Reals("p q")
    return decide(
        [p >= 0, p <= 1, q >= 0, q <= 1],
        z3.And(p - q <= 1, q - p <= 1),
        r"$-1\le\mathrm{mem}\le1$.",
    )


def _mem_hard_soft() -> Evidence:
    inside, outside = SOFT
    hard = top_label(inside) - top_label(outside)
    soft = worlds.mean(inside) - worlds.mean(outside)
    summary = (
        rf"Two networks each, two labels; chance of the right label {show(inside[0])}, "
        rf"{show(inside[1])} with the sample and {show(outside[0])}, {show(outside[1])} without: "
        rf"memorization by the most likely label is ${show(hard)}$, by labels drawn from the "
        rf"network ${show(soft)}$."
    )
    return Evidence(hard == -Fraction(1, 2) and soft == Fraction(1, 20), summary)


EQ_2 = Claim(
    id="privacy/eq-2",
    title="Memorization of a sample",
    paper="privacy",
    location="Section 3, Eq. (2)",
    printed=r"""
$$\mathrm{mem}(\mathcal A,S,i)=\Pr_\phi[h_S^\phi(x_i)=y_i]
-\Pr_\phi[h_{S^{\setminus i}}^\phi(x_i)=y_i].$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
A definition: Feldman's, signed, in $[-1,1]$. It depends on what $h(x)$ is. If it is the most likely
label, $\phi$ is the randomness of training alone. Eq. (32) and Appendix A.4 use the *soft* version,
in which the label is drawn from the network's probabilities. The two can differ in sign.
""",
    proof=r"""
The range is that of a difference of probabilities; executed in the evidence.
""",
    rebuttal=r"""
*For confident networks the two agree.* Nearly, yes; the step from cross-entropy to memorization
(`privacy/a.4`) is only meaningful for the soft version.
""",
    effect=r"""
The published scores of Feldman and Zhang are by the most likely label.
""",
    prior_art=r"""
Feldman (2020).
""",
    chapter=CHAPTER,
    uses=("feldman/def-mem",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The range.", _mem_range),
        Check(Kind.EXACT, Role.SHARP, "Hard and soft labels differ in sign.", _mem_hard_soft),
    ),
    gist="Feldman's definition; hard and soft labels give different scores",
)


# Eq. (3): error stability ------------------------------------------------------------------------


def opposite(data: Data) -> Any:
    """Predicts the first label if the number of samples is even, else the opposite one."""
    flip = len(data) % 2
    label = abs(data[0][1] - flip)
    return lambda x: label


def zero_one(prediction: int, label: int) -> Fraction:
    """The 0-1 loss."""
    return Fraction(prediction != label)


COIN = RiskWorld(opposite, zero_one, evenly(SAMPLES), lambda x: Fraction(1, 2))


def _beta_bounded() -> Evidence:
    import z3

    with_it, left, top = z3.Reals("with left L")
    return decide(
        [with_it >= 0, left >= 0, with_it <= top, left <= top],
        z3.And(with_it - left <= top, left - with_it <= top),
        r"A loss in $[0,L]$ has some $\beta\le L$.",
    )


def _beta_says_nothing() -> Evidence:
    data: Data = (SAMPLES[1], SAMPLES[1])
    beta = error_stability(COIN, len(data))
    x, y = data[0]
    change = zero_one(opposite(data[1:])(x), y) - zero_one(opposite(data)(x), y)
    summary = (
        rf"Fair coins as labels and a learner that repeats or inverts the first label: every "
        rf"hypothesis has risk $\tfrac12$, so that $\beta={show(beta)}$, and the loss on a "
        rf"training sample changes by ${show(change)}$ when it is left out."
    )
    return Evidence(beta == 0 and change == 1, summary)


EQ_3 = Claim(
    id="privacy/eq-3",
    title="Error stability",
    paper="privacy",
    location="Section 3, Eq. (3)",
    printed=r"""
For some $\beta>0$ and all $i$, $\bigl|\mathbb E_{\phi,z}[\ell(h_S^\phi,z)]-
\mathbb E_{\phi,z}[\ell(h_{S^{\setminus i}}^\phi,z)]\bigr|\le\beta$, with $z\sim D$.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
A definition, about the *population* risk. Every loss in $[0,L]$ has $\beta\le L$, so that the
content is in the size of $\beta$. Even $\beta=0$ says nothing about the loss at $z_i$, at a twin of
it, or at any training sample.
""",
    proof=r"""
Executed in the evidence.
""",
    rebuttal=r"""
*Uniform stability is what SGD has (Hardt et al., 2016).* It would give what the proofs use, at
every point. It is not what the theorems assume, and its constant would have to be below $L/m$.
""",
    effect=r"""
Appendix A.7 applies (3) at a training sample (`privacy/a.7`).
""",
    prior_art=r"""
Kearns and Ron (1999); Bousquet and Elisseeff (2002) for the stronger notions.
""",
    chapter="part3/curvature-and-memorization",
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Every bounded loss has some beta.", _beta_bounded),
        Check(
            Kind.EXACT, Role.SHARP, "Beta 0, and a full change at the sample.", _beta_says_nothing
        ),
    ),
    gist="About population risk only: beta = 0 says nothing at a training sample",
)


# Eq. (4): generalization -------------------------------------------------------------------------

#: An algorithm that, with this chance, returns a lookup table of its data.
LOOKUP = Fraction(1, 10)
SIZES = (9, 90)  # samples, and equally likely inputs


def _rate_of_expectation() -> Evidence:
    m, inputs = SIZES
    gap = 1 - Fraction(m, inputs)  # of the table: no error in training, errors everywhere else
    kept = 1 - LOOKUP
    average = LOOKUP * gap
    summary = (
        rf"With probability {show(LOOKUP)} a lookup table (0-1 loss, $m={m}$ distinct samples of "
        rf"{inputs}), else a perfect rule: (4) holds with $\gamma'=0$ with probability "
        rf"{show(kept)} "
        rf"over $(S,\phi)$, and $\mathbb E_\phi|R_{{emp}}-R|={show(average)}$ for *every* such "
        rf"$S$: with probability 0 it is at most $\gamma'$."
    )
    pinned = average == Fraction(9, 100) and kept == Fraction(9, 10)
    return Evidence(pinned and gap > 0, summary)


def _markov() -> Evidence:
    cases = [tuple(Fraction(n, 4) for n in counts) for counts in product(range(5), repeat=4)]

    def holds(failing: tuple[Fraction, ...]) -> bool:
        # failing[s]: probability over phi that the gap is above gamma' at the data set s
        square = total(failing) / len(failing)
        bad = Fraction(sum(f * f > square for f in failing), len(failing))
        return bad * bad <= square

    return enumerate_all(
        cases,
        holds,
        r"If the gap exceeds $\gamma'$ with probability $\delta$ over $(S,\phi)$, then for a "
        r"share of at least $1-\sqrt\delta$ of the data sets it does so with probability at most "
        r"$\sqrt\delta$ over $\phi$ (four data sets, chances in quarters).",
        count=625,
    )


EQ_4 = Claim(
    id="privacy/eq-4",
    title="Generalization with confidence delta",
    paper="privacy",
    location="Section 3, Eq. (4); used in Lemma A.1",
    printed=r"""
$\mathcal A$ is said "to generalize with confidence $\delta$ and a rate $\gamma'(m)$ if
$\Pr[|R_{emp}(h,S)-R(h)|\le\gamma'(m)]\ge\delta$." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
Two things are left open. *Which $\delta$*: the theorems hold "with probability at least
$1-\delta$", so the confidence in (4) must be $1-\delta$. *Probability over what*: if over $S$ and
$\phi$, what follows for the mean over $\phi$ is $\mathbb E_\phi|R_{emp}-R|\le\gamma'+L\sqrt\delta$
for a share $1-\sqrt\delta$ of the data sets, not $\gamma'$ for a share $1-\delta$.
""",
    proof=r"""
Let $f(S)$ be the probability over $\phi$ that the gap exceeds $\gamma'$. Its mean is at most
$\delta$, so by Markov $f(S)>\sqrt\delta$ with probability at most $\sqrt\delta$; elsewhere
$\mathbb E_\phi|R_{emp}-R|\le\gamma'+L f(S)$. Executed: an algorithm with $\gamma'=0$ whose mean gap
is positive for every $S$.
""",
    rebuttal=r"""
*(4) is meant for the mean over $\phi$.* Then it should say so; the cited bound of Feldman and
Vondrak is for deterministic algorithms, or for each fixed $\phi$. The lemma only needs $|\mathbb
E_\phi[R_{emp}-R]|$, for which such a reading is natural.
""",
    tried=r"""
What we tried is the use that the proofs make of it, a mean gap of at most $\gamma'$ for each data
set. With the probability over $(S,\phi)$ the instance refutes that for every $S$; with the
probability over $S$, of a mean over $\phi$, it is the definition itself. The text does not say
which.
""",
    effect=r"""
It changes the probabilities in Theorems 5.1 and 5.3, not the reasons for which they fail.
""",
    prior_art=r"""
Markov's inequality.
""",
    chapter="part3/curvature-and-memorization",
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The mean over phi.", _rate_of_expectation),
        Check(Kind.EXACT, Role.SUPPORTS, "What does follow.", _markov),
    ),
    gist=r"Confidence is $1-\delta$; over $(S,\phi)$ it gives $\gamma'+L\sqrt\delta$ for the mean "
    r"over $\phi$",
)

CLAIMS = (EQ_1, EQ_2, EQ_3, EQ_4)
