"""Curvature and the memorization of a fresh twin (T1), and what privacy adds to it (T3)."""

from fractions import Fraction
from typing import Any

from memlib.theory.book.curvature_range import averaged_taylor, best_radius, room_needed
from memlib.theory.book.privacy import TV_PURE, pure_bound
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.curvature_worlds import (
    EULER,
    Spline,
    at,
    bounds,
    flipped,
    hessian_constant,
    taylor,
    twins,
)
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.privacy_worlds import average, is_private, positive, size_response
from memlib.theory.worlds import Distribution, mean

CHAPTER = "part3/curvature-and-memorization"

#: The twin is at 0; the fresh sample is an eighth to its left or right.
SHIFTS = (Fraction(1, 8), Fraction(-1, 8))
#: Which derivative is meant: value, curvature.
VALUE, CURVATURE = (0, 0), (0, 2)
#: Mixtures of hypotheses: without the fresh sample, and with it (a fifth of its loss is left).
WITHOUT = ((EULER, Fraction(3, 4)), (flipped(EULER), Fraction(1, 4)))
#: Two losses that have seen the shift: straight lines, higher where the fresh sample will be.
LEANING = (
    Spline((-1, 1), ((Fraction(1, 2), Fraction(1, 2)),)),
    Spline((-1, 1), ((Fraction(1, 2), Fraction(-1, 2)),)),
)
FLAT = Spline((0, 1), ((Fraction(1, 5),),), periodic=True)


def expected(hypotheses: Distribution, x: Any, order: int = 0) -> Fraction:
    """The mean over hypotheses of the loss at x, or of a derivative of it."""
    return average(hypotheses, lambda h: at(h, x, order))


def twin_law(here: Any, trained: Any, curvature: Any, second: Any) -> Any:
    """T1: L times the mean memorization of a fresh twin, up to the third-order term.

    Args:
        here: Mean loss at the twin that is in the data, without the fresh sample.
        trained: Mean loss on the fresh sample, trained with it.
        curvature: Mean curvature at the twin, without the fresh sample.
        second: Second moment of the shift (one dimension).
    """
    return here - trained + curvature * second / 2


def remainder(rho: Any, third: Any) -> Any:
    """The third-order term of Taylor's theorem: rho E|alpha|^3 / 6."""
    return rho * third / 6


# T1 ----------------------------------------------------------------------------------------------


def _t1_decided() -> Evidence:
    import z3

    here, slope, curvature, rho, step, trained = z3.Reals("here slope curvature rho step trained")
    right, left = z3.Reals("right left")
    second, third = step * step, step * step * step

    def expansion(sign: int) -> Any:
        return here + sign * slope * step + curvature * second / 2

    memorized = (right + left) / 2 - trained
    gap = memorized - twin_law(here, trained, curvature, second)
    return decide(
        [*taylor(right, expansion(1), rho, step), *taylor(left, expansion(-1), rho, step)],
        z3.And(gap <= remainder(rho, third), -gap <= remainder(rho, third)),
        r"For the twins $\pm\alpha$, whatever the losses, the slope and the curvature.",
    )


def _t1_world() -> Evidence:
    without, trained = dict(WITHOUT), {FLAT: Fraction(1)}
    moments = twins(SHIFTS)
    fresh = mean([expected(without, x) for x in SHIFTS])
    after = mean([expected(trained, x) for x in SHIFTS])
    law = twin_law(
        expected(without, *VALUE), after, expected(without, *CURVATURE), moments["second"]
    )
    allowed = remainder(hessian_constant(EULER), moments["third"])
    memorized = fresh - after
    summary = (
        rf"Two random hypotheses without the fresh sample, a flat one with it, twins at "
        rf"$\pm\tfrac18$: memorization ${show(memorized)}$, twin law ${show(law)}$, difference "
        rf"${show(memorized - law)}$ of at most ${show(allowed)}$."
    )
    pinned = (memorized, law) == (Fraction(41, 320), Fraction(23, 160))
    return Evidence(pinned and abs(memorized - law) <= allowed, summary)


def _t1_reached() -> Evidence:
    without, moments = {EULER: Fraction(1)}, twins(SHIFTS)
    memorized = mean([expected(without, x) for x in SHIFTS])
    law = twin_law(
        expected(without, *VALUE), Fraction(0), expected(without, *CURVATURE), moments["second"]
    )
    allowed = remainder(hessian_constant(EULER), moments["third"])
    summary = (
        rf"Euler's spline alone, fitted to 0 with the sample: memorization ${show(memorized)}$, "
        rf"twin law ${show(law)}$; the difference is the whole $\frac\rho6\mathbb E|\alpha|^3="
        rf"{show(allowed)}$."
    )
    return Evidence(law - memorized == allowed == Fraction(1, 32), summary)


def _t1_independence() -> Evidence:
    memorized = mean([at(line, shift) for line, shift in zip(LEANING, SHIFTS, strict=True)])
    (law,) = {at(line, *VALUE) for line in LEANING}
    straight = all(at(line, *CURVATURE) == hessian_constant(line) == 0 for line in LEANING)
    summary = (
        rf"If the hypothesis has seen the shift (a straight line that is higher on the side of the "
        rf"fresh sample: no curvature, $\rho=0$) and the loss after training is 0, memorization is "
        rf"${show(memorized)}$, the twin law ${show(law)}$ and the error allowed 0."
    )
    return Evidence(straight and memorized - law == Fraction(1, 16), summary)


T1 = Claim(
    id="book/t1",
    title="T1: curvature is what a fresh twin would have to memorize",
    paper="book",
    location="replaces Theorem 5.1 of `privacy`",
    printed=r"""
Let $z_j=(x_j,y)\in S^{\setminus i}$ be fixed and $z_i=(x_j+\alpha,y)$ with $\mathbb E\alpha=0$,
$\mathbb E\alpha\alpha^\top=C$, and $\alpha$ independent of $h_{S^{\setminus i}}$. Let
$\ell=L(1-p_h(y\mid x))$, with predictions drawn from $p_h$, have a $\rho$-Lipschitz Hessian in $x$.
Then $L\,\mathbb E_\alpha\mathrm{mem}(\mathcal A,S,i)$ equals

$$\mathbb E\,\ell(h_{S^{\setminus i}},z_j)-\mathbb E\,\ell(h_S,z_i)
+\tfrac12\,\mathrm{tr}\bigl(\mathbb E_\phi[\nabla_x^2\ell(h_{S^{\setminus i}},z_j)]\,C\bigr)$$

to within $\frac\rho6\,\mathbb E\|\alpha\|^3$.""",
    assumptions=(
        r"$\ell=L(1-p_h(y\mid x))$, with predictions drawn from $p_h$, and the Hessian in $x$ is "
        r"$\rho$-Lipschitz",
        r"the twin shares the label, and the segments from $x_j$ to $x_j+\alpha$ are in the domain",
        r"$\alpha$ is independent of the model trained without $z_i$, $\mathbb E\alpha=0$, "
        r"$\mathbb E\alpha\alpha^\top=C$",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated; no stability, generalization or model bias is assumed. For any other loss the same holds
for its own loss-based memorization, $\mathbb E\ell(h_{S^{\setminus i}},z_i)-\mathbb
E\ell(h_S,z_i)$. If both models fit their samples equally well and $C=\sigma^2I$, memorization *is*
$\frac{\sigma^2}{2L}$ times the curvature, to within the third-order term.
""",
    proof=r"""
With predictions drawn from $p_h$, accuracy on $z_i$ is $1-\mathbb E\ell(\cdot,z_i)/L$, so
$L\,\mathrm{mem}=\mathbb E\ell(h_{S^{\setminus i}},z_i)-\mathbb E\ell(h_S,z_i)$. For each hypothesis
$h$ and each $\alpha$, Taylor's theorem (`privacy/lemma-a.3`, repaired) gives
$\ell(h,z_i)=\ell(h,z_j)+\langle\nabla\ell(h,z_j),\alpha\rangle+\frac12\alpha^\top\nabla^2
\ell(h,z_j)\alpha+e$ with $|e|\le\frac\rho6\|\alpha\|^3$. Average over $h=h_{S^{\setminus i}}$ and
$\alpha$: by independence the second term vanishes and the third becomes
$\frac12\mathrm{tr}(\mathbb E[\nabla^2\ell]\,C)$.
""",
    rebuttal="",
    effect=r"""
It says in which sense high curvature goes with memorization: where the model *without* the sample
has high curvature at a similar sample, the sample has more to memorize. It is a law for synthetic
noise twins. Natural samples have no guaranteed twin, so that it does not by itself explain the
papers' plots.
""",
    prior_art=r"""
Taylor's theorem and independence; the average of a loss over input noise is the classical link
between noise and curvature (Bishop, 1995). Not in the paper.
""",
    chapter=CHAPTER,
    uses=("feldman/def-mem", "privacy/lemma-a.3"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The law, for a pair of twins.", _t1_decided),
        Check(Kind.EXACT, Role.SUPPORTS, "The law in a random world.", _t1_world),
        Check(Kind.EXACT, Role.SHARP, "The third-order term is reached.", _t1_reached),
        Check(Kind.EXACT, Role.SHARP, "Independence is needed.", _t1_independence),
    ),
    gist=r"$L\,\mathrm{mem}$ of a fresh twin is a difference of fits plus $\frac12\mathrm{tr}(HC)$",
)


# T3 ----------------------------------------------------------------------------------------------

#: Two losses on [-1, 1] with third derivative at most 6: zero again at the ends, or one there.
GOOD = Spline((-1, 0, 1), ((0, 0, 1, 1), (0, 0, 1, -1)))
BAD = Spline((-1, 0, 1), ((0, 0, 2, 1), (0, 0, 2, -1)))
ENDS = (Fraction(1), Fraction(-1))
FACTORS = (Fraction(1), Fraction(3), Fraction(10))
SAMPLES = ((0, 1), (1, 1))


def half_curvature_bound(top: Any, distance: Any, misfit: Any, rest: Any) -> Any:
    """T3: what half the mean curvature times the second moment cannot exceed."""
    return top * distance + misfit + rest


def _t3_decided() -> Evidence:
    import z3

    here, fresh, after, half, rest, top, distance = z3.Reals("here fresh after half rest top t")
    return decide(
        [half <= fresh - here + rest, fresh <= after + top * distance],
        half <= half_curvature_bound(top, distance, after - here, rest),
        r"Taylor's theorem for the model without the sample, and "
        r"$\mathbb E\ell(h_{S^{\setminus i}},z_i)\le\mathbb E\ell(h_S,z_i)+L\,\mathrm{TV}$.",
    )


def _t3_scale_decided() -> Evidence:
    import z3

    room, curvature, rho, dimension = z3.Reals("room T rho d")
    radius = best_radius(curvature, rho, dimension)
    return decide(
        [
            *positive(curvature, rho, dimension),
            averaged_taylor(room, curvature, rho, dimension, radius),
        ],
        room_needed(curvature, rho, dimension) <= room,
        r"At the distance $2T/(\rho d)$, with $L\tanh(\varepsilon/2)+\tau$ for the room: "
        r"$\frac{2T^3}{3\rho^2d^3}\le L\tanh(\varepsilon/2)+\tau$.",
    )


def _t3_reached() -> Evidence:
    passed, told = True, []
    rho = max(hessian_constant(GOOD), hessian_constant(BAD))
    within = [bounds(h) for h in (GOOD, BAD)]
    rest = remainder(rho, twins(ENDS)["third"])
    for factor in FACTORS:
        respond = size_response(factor / (1 + factor), (GOOD, BAD))
        full, left = respond(SAMPLES), respond(SAMPLES[:-1])
        after = mean([expected(full, x) for x in ENDS])
        half = expected(left, *CURVATURE) * twins(ENDS)["second"] / 2
        bound = half_curvature_bound(1, pure_bound(factor), after - expected(left, *VALUE), rest)
        passed &= is_private(respond, SAMPLES, factor) and half == bound
        told.append(rf"${show(half)}$ at $e^\varepsilon={factor}$")
    passed &= min(low for low, _ in within) == 0 and max(high for _, high in within) == 1
    summary = (
        rf"Randomized response between two losses on $[-1,1]$ ($L=1$, $\rho={show(rho)}$, twins at "
        rf"the ends): half the curvature and its bound are both " + ", ".join(told) + "."
    )
    return Evidence(passed and rho == 6 and half == Fraction(21, 11), summary)


def inverse() -> Derivation:
    """What curvature says about epsilon."""
    import sympy

    epsilon = sympy.Symbol("epsilon", positive=True)
    u = pure_bound(sympy.exp(epsilon))
    return Derivation(
        "From u <= tanh(epsilon/2) to a lower bound on epsilon",
        (
            Step(
                "2 artanh u = log((1 + u) / (1 - u)) gives epsilon back",
                sympy.log((1 + u) / (1 - u)),
                epsilon,
            ),
        ),
    )


T3 = Claim(
    id="book/t3",
    title="T3: privacy and a good fit together mean low curvature",
    paper="book",
    location="replaces Theorem 5.3 of `privacy`",
    printed=r"""
In the setting of T1, for any loss $0\le\ell\le L$, let $\mathcal A$ be $\varepsilon$-private and
$\tau=\mathbb E_{\alpha,\phi}\ell(h_S,z_i)-\mathbb E_\phi\ell(h_{S^{\setminus i}},z_j)$. Then

$$\tfrac12\,\mathrm{tr}\bigl(\mathbb E_\phi[\nabla^2_x\ell(h_{S^{\setminus i}},z_j)]\,C\bigr)\;\le\;
L\tanh\frac\varepsilon2+\tau+\frac\rho6\,\mathbb E\|\alpha\|^3 .$$

With $T=\mathrm{tr}\,\mathbb E_\phi\nabla^2_x\ell(h_{S^{\setminus i}},z_j)>0$, and $\tau$ taken for
$\alpha$ on the axes at distance $2T/(\rho d)$,

$$\frac{2T^3}{3\rho^2d^3}\le L\tanh\frac\varepsilon2+\tau,\qquad\text{so}\qquad
\varepsilon\ge2\,\mathrm{artanh}\frac{2T^3/(3\rho^2d^3)-\tau}L .$$""",
    assumptions=(
        r"$0\le\ell\le L$, and the Hessian in $x$ is $\rho$-Lipschitz",
        r"the twin shares the label, and the segments from $x_j$ to $x_j+\alpha$ are in the domain",
        r"$\alpha$ is independent of the model trained without $z_i$, $\mathbb E\alpha=0$, "
        r"$\mathbb E\alpha\alpha^\top=C$",
        r"$\mathcal A$ is $\varepsilon$-differentially private for adding and removing one sample",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated; the first inequality is reached at every $\varepsilon$. $\tau$ is what the model loses on
the fresh sample, after training on it, beyond what the other model loses on its twin: it is small
when training samples are fitted equally well. Any bound on total variation can stand for the
hyperbolic tangent.
""",
    proof=r"""
Taylor's theorem at $z_j$ for $h_{S^{\setminus i}}$, averaged as in T1:
$\frac12\mathrm{tr}(\mathbb E[\nabla^2\ell]C)\le\mathbb E\ell(h_{S^{\setminus i}},z_i)-
\mathbb E\ell(h_{S^{\setminus i}},z_j)+\frac\rho6\mathbb E\|\alpha\|^3$. For each $\alpha$ privacy
gives $\mathbb E\ell(h_{S^{\setminus i}},z_i)\le\mathbb E\ell(h_S,z_i)+L\tanh(\varepsilon/2)$
(`book/tv-pure`). Together this is the first inequality. For the second let $\alpha$ be
$\pm se_1,\dots,\pm se_d$ with equal chances and $s=2T/(\rho d)$, as in T0; solve it for
$\varepsilon$.

*Reached.* On $[-1,1]$ let two hypotheses have the losses $x^2-|x|^3$ and $2x^2-|x|^3$ ($\rho=6$,
$L=1$, twins at $\pm1$). Randomized response between them, on whether the number of samples is even,
gives equality at every $\varepsilon$.
""",
    rebuttal="",
    effect=r"""
"Privacy implies low curvature" becomes true when *fits fresh twins as well as old ones* is added,
at the distance that matters. For a constant algorithm $\tau$ is the curvature term itself, to
within the third-order term, and the bound says nothing, as it should.
""",
    prior_art=r"""
T1 and the tight total variation distance. Not in the paper.
""",
    chapter="part3/privacy-and-curvature",
    uses=("book/t0", "book/t1", TV_PURE.id),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The first inequality.", _t3_decided),
        Check(Kind.DECIDED, Role.SUPPORTS, "The best distance.", _t3_scale_decided),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Solved for epsilon.", lambda: derived(inverse())),
        Check(Kind.EXACT, Role.SHARP, "Reached at three privacy levels.", _t3_reached),
    ),
    gist=r"$\frac12\mathrm{tr}(HC)\le L\tanh(\varepsilon/2)+\tau+\frac\rho6\mathbb "
    r"E\|\alpha\|^3$, reached",
)

CLAIMS = (T1, T3)
