"""The steps of Appendix A.3 to A.7 of `privacy` that carry weight, one by one."""

from fractions import Fraction
from typing import Any

from memlib.theory import curvature_worlds as worlds
from memlib.theory.book.privacy import pure_bound
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.curvature_worlds import EULER, Spline, at, twins
from memlib.theory.evidence import Derivation, Step, decide, derived, linear_maximum, show
from memlib.theory.privacy.thm_5_1 import FRESH, LOSS, MAJORITY, VOTE, ZEROS
from memlib.theory.privacy_worlds import private_pairs
from memlib.theory.worlds import Data, mean, without

CHAPTER = "part3/curvature-and-memorization"


# The trace ---------------------------------------------------------------------------------------

#: Eigenvalues of a Hessian, and three shifts with E|alpha|^2 = 1: isotropic, along one axis, the
#: other.
EIGENVALUES = (Fraction(2), Fraction(0))
ISOTROPIC = ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1)))
AXES = (((Fraction(1), Fraction(0)),), ((Fraction(0), Fraction(1)),))


def second_order(shifts: Any) -> Fraction:
    """E[alpha^T H alpha] for equally likely shifts (each with its negative) and diagonal H."""
    return mean(
        [sum((h * a * a for h, a in zip(EIGENVALUES, v, strict=True)), Fraction(0)) for v in shifts]
    )


def moment() -> Derivation:
    """E[alpha^T H alpha] = tr(H E[alpha alpha^T]), in two dimensions with general entries."""
    import sympy

    a, b, h11, h12, h22 = sympy.symbols("a b h_11 h_12 h_22", real=True)
    alpha, hessian = sympy.Matrix([a, b]), sympy.Matrix([[h11, h12], [h12, h22]])
    return Derivation(
        "A quadratic form as a trace",
        (
            Step(
                "for each alpha; then average",
                (alpha.T * hessian * alpha)[0],
                (hessian * (alpha * alpha.T)).trace(),
            ),
        ),
    )


def _trace_differs() -> Evidence:
    trace, size = sum(EIGENVALUES), {sum(a * a for a in v) for v in ISOTROPIC}
    values = [second_order(shifts) for shifts in (ISOTROPIC, *AXES)]
    doubled = 2 * values[0]
    summary = (
        rf"$H=\mathrm{{diag}}({EIGENVALUES[0]},{EIGENVALUES[1]})$, $\mathbb E\alpha^\top\alpha=1$: "
        rf"$\mathbb E\alpha^\top H\alpha$ is ${show(values[0])}$ for isotropic shifts, "
        rf"${show(values[1])}$ and ${show(values[2])}$ along the axes; $\mathrm{{tr}}H="
        rf"{show(trace)}$ needs $\mathbb E\alpha\alpha^\top=I$, so $\mathbb E\|\alpha\|^2=d$."
    )
    passed = size == {1} and values == [1, 2, 0] and doubled == trace
    return Evidence(passed, summary)


A_3_TRACE = Claim(
    id="privacy/a.3-trace",
    title="From a quadratic form to the trace",
    paper="privacy",
    location="Appendix A.3 and A.6: the choice of alpha, and the lines with the trace",
    printed=r"""
"$\mathbb E[\alpha]=0$ and $\mathbb E[\alpha^\top\alpha]=1$"; then $\mathbb E_\alpha[\alpha^\top
H\alpha]=\mathrm{tr}(H^\top\mathbb E[\alpha^\top\alpha])=\mathrm{tr}(H)$.""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
$\mathbb E[\alpha^\top H\alpha]=\mathrm{tr}(H\,\mathbb E[\alpha\alpha^\top])$, which is
$\mathrm{tr}H$ for all $H$ exactly if $\mathbb E\alpha\alpha^\top=I$. Then $\mathbb
E\|\alpha\|^2=d$ and $\mathbb E\|\alpha\|^3\ge d^{3/2}$: about 170,268 for CIFAR images ($d=3072$).
""",
    proof=r"""
$\alpha^\top H\alpha=\mathrm{tr}(\alpha^\top H\alpha)=\mathrm{tr}(H\alpha\alpha^\top)$; average.
With $\mathbb E\|\alpha\|^2=1$ isotropic, the result is $\mathrm{tr}(H)/d$.
""",
    rebuttal=r"""
*$\alpha\alpha^\top$ and the identity matrix are meant.* Read so here. The consequence has to be
read along with it: the twins are then at distance about $\sqrt d$, and the third-order term of
$c_1$ grows like $d^{3/2}$.
""",
    effect=r"""
The twins are further apart than images are: in $[0,1]^{3072}$ the distance $\sqrt d\approx55$ is
that of opposite corners, not of "two samples from the same class that are 'similar'".
""",
    prior_art=r"""
The identity behind Hutchinson's estimator.
""",
    chapter=CHAPTER,
    uses=("privacy/eq-7",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The right formula.", lambda: derived(moment())),
        Check(Kind.EXACT, Role.SEPARATES, "A Hessian that tells them apart.", _trace_differs),
    ),
    gist=r"$\mathbb E[\alpha^\top H\alpha]=\mathrm{tr}(H\,\mathbb E\alpha\alpha^\top)$; the trace "
    r"needs $\mathbb E\|\alpha\|^2=d$",
)


# The first-order term ----------------------------------------------------------------------------

CENTERED = r"$\mathbb E[\alpha]=0$ and $\mathbb E[\alpha^\top\alpha]=1$"
INSIDE = r"$z_j=z_i+\alpha\in S$ with $j\ne i$, so that $z_j\in S^{\setminus i}$"
SHIFTS = (Fraction(1), Fraction(-1))
#: The sample itself, and the place of its twin in the data.
SELF = (Fraction(0), 0)


def slope_at(point: Fraction, inputs: tuple[Fraction, ...]) -> Fraction:
    """The gradient at a point of half the squared distance to the mean of the training inputs."""
    return point - mean(inputs)


def _first_order_stays() -> Evidence:
    point, _ = SELF
    left = [(point + shift,) for shift in SHIFTS]  # the data without z_i: the twin alone
    term = mean([slope_at(point, d) * s for d, s in zip(left, SHIFTS, strict=True)])
    moments = twins(SHIFTS)
    meets = {
        CENTERED: (moments["mean"], moments["second"]) == (0, 1),
        INSIDE: all(d == (point + s,) for d, s in zip(left, SHIFTS, strict=True)),
    }
    summary = (
        rf"Loss: half the squared distance of the input from the mean training input; "
        rf"$S=\{{z_i,z_i+\alpha\}}$, $\alpha=\pm1$. $\mathbb "
        rf"E_\alpha\langle\nabla\ell(h_{{S^{{\setminus i}}}},z_i),\alpha\rangle={show(term)}$, "
        rf"not 0: the model has been trained on $z_i+\alpha$."
    )
    return Evidence(term == -1, summary, {}, meets, SELF)


def _first_order_fresh() -> Evidence:
    point, _ = SELF
    fixed = (point + SHIFTS[0] / 2,)  # data that do not depend on alpha
    slopes = {slope_at(point, fixed) for _ in SHIFTS}
    term = mean([slope_at(point, fixed) * s for s in SHIFTS])
    summary = (
        rf"Trained on data that do not depend on $\alpha$ (slope ${show(min(slopes))}$ at $z_i$) "
        rf"the term is ${show(term)}$."
    )
    return Evidence(term == 0 and slopes == {Fraction(-1, 2)}, summary, instance=SELF)


#: e^epsilon, the largest slope, and hypotheses by their slope at the sample (in units of it).
FACTOR, STEEP = Fraction(3), Fraction(5)
SLOPES = (Fraction(1), Fraction(1, 3), Fraction(-1))


def _first_order_private() -> Evidence:
    return linear_maximum(
        [STEEP * slope for slope in SLOPES] + [-STEEP * slope for slope in SLOPES],
        *private_pairs(len(SLOPES), FACTOR),
        2 * STEEP * pure_bound(FACTOR),
        rf"Three hypotheses with slopes between $\pm G$, $G={STEEP}$, all private pairs at "
        rf"$e^\varepsilon={FACTOR}$: mean slopes with and without the twin differ by at most "
        r"$2G\tanh(\varepsilon/2)$.",
    )


A_3_FIRST_ORDER = Claim(
    id="privacy/a.3-first-order",
    title="The first-order term vanishes",
    paper="privacy",
    location="Sketch of proof of Theorem 5.1; Appendix A.3 and A.6 (expectation over alpha)",
    printed=r"""
"By choosing $\alpha$ such that $\mathbb E[\alpha]=0$ we get rid of the first-order terms":
$\mathbb E_\alpha\langle\nabla\ell(h_{S^{\setminus i}},z_i),\alpha\rangle=0$, where
$z_i+\alpha=z_j\in S$.""",
    assumptions=(CENTERED, INSIDE),
    verdict=Verdict.FALSE,
    holds=r"""
It vanishes if $\alpha$ is independent of the model. Here the twin is a training sample of
$h_{S^{\setminus i}}$. Under $\varepsilon$-privacy, with $\|\nabla\ell\|\le G$, the term is at most
$2G\,\mathbb E\|\alpha\|\tanh(\varepsilon/2)$. The twin law `book/t1` keeps the old twin fixed and
adds the fresh one, and has no such term.
""",
    proof=r"""
Let $h'$ be trained on $S$ without $z_i$ and $z_j$. It does not depend on $\alpha$, so its term
vanishes. The mean of $\langle\nabla\ell(h,z_i),\alpha\rangle$, a number between $\pm G\|\alpha\|$,
differs between $h_{S^{\setminus i}}$ and $h'$ by at most $2G\|\alpha\|\,\mathrm{TV}$, and the two
data sets are neighbors.
""",
    rebuttal=r"""
*With many samples one twin hardly moves the model.* Often so: in the instance with $m$ samples the
term is $-1/(m-1)$. A memorizing model is the case in which it does move, at that very place.
""",
    effect=r"""
It adds a term to both theorems, which the twin law avoids.
""",
    prior_art=r"""
Independence, as in cross-validation.
""",
    chapter=CHAPTER,
    uses=("book/tv-pure", "book/t1"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A mean of two inputs.", _first_order_stays),
        Check(Kind.EXACT, Role.REPAIRED, "Data independent of the shift.", _first_order_fresh),
        Check(Kind.EXACT, Role.SUPPORTS, "Its size under privacy.", _first_order_private),
    ),
    gist=r"Only if $\alpha$ is independent of the model; here the twin is training data",
)


# Eq. (32): loss difference and memorization ------------------------------------------------------

BOUNDED = r"$0\le\ell\le L$"


def _not_memorization() -> Evidence:
    full, left = MAJORITY.learner(ZEROS), MAJORITY.learner(without(ZEROS, 0))
    change = worlds.loss(MAJORITY, full, FRESH) - worlds.loss(MAJORITY, left, FRESH)
    mem = worlds.memorized(MAJORITY, ZEROS, 0)
    ratio = change / VOTE.top
    costs = [MAJORITY.cost(u, y) for u in (0, 10) for y in (0, 10)]
    summary = (
        rf"Majority vote, squared loss, $L={show(VOTE.top)}$: $\frac1L[\ell(h_S,z_i)-"
        rf"\ell(h_{{S^{{\setminus i}}}},z_i)]={show(ratio)}$ and $\mathrm{{mem}}={mem}$: another "
        rf"size, "
        "and the opposite sign."
    )
    meets = {BOUNDED: min(costs) == 0 and max(costs) == VOTE.top}
    return Evidence(ratio == Fraction(-1, 100) and mem == 1, summary, {}, meets, VOTE)


def _is_memorization() -> Evidence:
    full, left = MAJORITY.learner(ZEROS), MAJORITY.learner(without(ZEROS, 0))
    change = int(left(FRESH[0]) != FRESH[1]) - int(full(FRESH[0]) != FRESH[1])
    mem = worlds.memorized(MAJORITY, ZEROS, 0)
    summary = (
        rf"With the 0-1 loss and the sign exchanged, "
        rf"$\ell(h_{{S^{{\setminus i}}}},z_i)-\ell(h_S,z_i)"
        rf"={change}$, the memorization."
    )
    return Evidence(change == mem == 1, summary, instance=VOTE)


def gibbs() -> Derivation:
    """The soft 0-1 loss."""
    import sympy

    top, p, q = sympy.symbols("L p q", positive=True)
    return Derivation(
        "Loss L (1 - p) with the sample, L (1 - q) without",
        (Step("the difference over L", (top * (1 - q) - top * (1 - p)) / top, p - q),),
    )


EQ_32 = Claim(
    id="privacy/eq-32",
    title="A loss difference is memorization",
    paper="privacy",
    location="Appendix A.3, Eq. (32); also 'a scaled version of memorization' in Section 5.1",
    printed=r"""
"If we have $0\le\ell\le L$ then $\frac1L\bigl[\mathbb E_\phi\ell(h_S,z_i)-\mathbb
E_\phi\ell(h_{S^{\setminus i}},z_i)\bigr]=\mathrm{mem}(\mathcal A,S,i)$." """,
    assumptions=(BOUNDED,),
    verdict=Verdict.FALSE,
    holds=r"""
For the soft 0-1 loss $\ell=L(1-p_h(y\mid x))$, labels drawn from $p_h$, and with the sign
exchanged: $\frac1L[\mathbb E\ell(h_{S^{\setminus i}},z_i)-\mathbb E\ell(h_S,z_i)]=\mathrm{mem}$.
For other bounded losses neither side bounds the other; both are bounded by total variation ($\cdot
L$ for the loss). The hard 0-1 loss of a classifier that is not constant has jumps, which (6)
excludes.
""",
    proof=r"""
$\mathbb E\ell=L(1-\Pr[\text{right}])$ for the soft 0-1 loss; subtract. For squared loss the two
labels 0 and 1 are 1 apart while $L$ is the square of the whole range: the instance has
$\mathrm{mem}=1$ at a loss difference of $L/100$.
""",
    rebuttal=r"""
*The sign does not matter for $|\mathrm{mem}|$.* Right, the sign is harmless there. The scale is
not: this line turns a bound on losses into one on memorization.
""",
    effect=r"""
Without it Theorem 5.1 is about loss differences.
""",
    prior_art=r"""
Elementary; the soft 0-1 loss is the Gibbs loss.
""",
    chapter=CHAPTER,
    uses=("privacy/eq-2",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Majority vote, squared loss.", _not_memorization),
        Check(Kind.EXACT, Role.REPAIRED, "Majority vote, 0-1 loss.", _is_memorization),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The soft 0-1 loss.", lambda: derived(gibbs())),
    ),
    gist="Only for the soft 0-1 loss, with the opposite sign",
)


# A.3: the exchange -------------------------------------------------------------------------------


CREST = (0, 2)  # where Euler's spline is lowest, and the second derivative


def _signs_of_curvature() -> Evidence:
    import z3

    mem, bend, gap, most, rest = z3.Reals("mem bend gap B rest")
    # gap: loss without z_i at the twin, minus loss with z_i at z_i; bend: half the curvature term
    return decide(
        [gap <= most, -gap <= most, mem <= gap - bend + rest, -mem <= bend - gap + rest],
        z3.And(mem <= most - bend + rest, -mem <= most + bend + rest),
        r"With the Hessian of $h_{S^{\setminus i}}$ at $z_i$, $L\,\mathrm{mem}\le "
        r"B-\frac12\mathrm{tr}+"
        r"\frac\rho6$ and $-L\,\mathrm{mem}\le B+\frac12\mathrm{tr}+\frac\rho6$.",
    )


#: Half the curvature term, the loss gap, and what Lemma A.2 would allow (rho = 0, L = 1).
SADDLED = (Fraction(-1, 2), Fraction(0), Fraction(0))


def _printed_sign_fails() -> Evidence:
    bend, gap, most = SADDLED
    mem = gap - bend
    printed, right = most + bend, most + abs(bend)
    summary = (
        rf"Half the curvature ${show(bend)}$, no gap of fits, $B=0$: memorization is "
        rf"${show(mem)}$; with "
        rf"the printed sign it would be at most ${show(printed)}$, with the absolute value "
        rf"${show(right)}$."
    )
    return Evidence(mem == right == Fraction(1, 2) and printed == -mem, summary)


def by_size(data: Data) -> Spline:
    """An algorithm that returns one of two losses, according to the number of samples."""
    return (EULER, LOSS)[len(data) % 2]


def _curvature_of_other() -> Evidence:
    with_it, left = (at(by_size(data), *CREST) for data in (ZEROS[1:], ZEROS[2:]))
    summary = (
        rf"Exchanging the data sets exchanges the models. An algorithm that returns Euler's spline "
        rf"for an even number of samples and its mirror image for an odd one: curvature "
        rf"${with_it}$ with the sample and ${left}$ without."
    )
    return Evidence(with_it == -left == 24, summary)


A_3_EXCHANGE = Claim(
    id="privacy/a.3-exchange",
    title="Exchanging S and S without i",
    paper="privacy",
    location="Appendix A.3, last lines",
    printed=r"""
"Since we can exchange $S$ and $S^{\setminus i}$" the one-sided bound becomes one on
$|\mathrm{mem}(\mathcal A,S,i)|$, with the curvature of $h_{S^{\setminus i}}$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
The exchange turns the curvature of $h_{S^{\setminus i}}$ into that of $h_S$. With the two-sided
Lemma A.2 and the Hessian of $h_{S^{\setminus i}}$ at $z_i$ (and no first-order term),
$L\,\mathrm{mem}\le B-\frac12\mathrm{tr}(\mathbb E[H]C)+\dots$ and $-L\,\mathrm{mem}\le
B+\frac12\mathrm{tr}(\mathbb E[H]C)+\dots$: in the direction of memorization curvature enters with a
*minus* sign, and $|\mathrm{mem}|$ is bounded with $|\mathrm{tr}|$.
""",
    proof=r"""
$L\,\mathrm{mem}=\mathbb E\ell(h_{S^{\setminus i}},z_i)-\mathbb E\ell(h_S,z_i)$, and Taylor's
theorem at $z_i$ gives $\mathbb E\ell(h_{S^{\setminus i}},z_i)=\mathbb E\ell(h_{S^{\setminus
i}},z_j)-\frac12 \mathrm{tr}(\mathbb E[H]C)\pm\frac\rho6\mathbb E\|\alpha\|^3$. In `book/t1` the
expansion is at the old twin $z_j$, and the sign is plus.
""",
    rebuttal=r"""
*For non-negative curvature the printed bound follows.* It does, from the second line, with $B$ as
repaired; it is then the direction of *negative* memorization that curvature limits.
""",
    tried=r"""
Exchanging two names cannot be refuted where the assumptions are symmetric in them, as (3) is. The
printed *result*, with the curvature of $h_{S^{\setminus i}}$ and a plus sign, is Theorem 5.1, and
is refuted there (`privacy/thm-5.1`).
""",
    effect=r"""
At which of two twins the curvature is measured decides its sign in the law.
""",
    prior_art=r"""
Elementary.
""",
    chapter=CHAPTER,
    uses=("privacy/lemma-a.2", "book/t1"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The printed sign.", _printed_sign_fails),
        Check(Kind.EXACT, Role.FAILING_STEP, "Whose curvature.", _curvature_of_other),
        Check(Kind.DECIDED, Role.SUPPORTS, "Both signs.", _signs_of_curvature),
    ),
    gist=r"In the direction of memorization the curvature term has a minus sign",
)

CLAIMS = (A_3_TRACE, A_3_FIRST_ORDER, EQ_32, A_3_EXCHANGE)
