"""The book's own result on CSL and memorization (R2)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all, show
from memlib.theory.trajectories import Hedge
from memlib.theory.worlds import all_functions, total, without

Hypotheses = tuple[Mapping[Any, Any], ...]
Trial = dict[str, list[Fraction]]

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)


@dataclass(frozen=True)
class World:
    """Settings of the exact runs: the bound L of the Gibbs loss, and the number of steps."""

    scale: Fraction
    steps: int


WORLD = World(Fraction(5), 4)
#: Every labelling of three inputs as a hypothesis, and those that do not have exactly one 1.
FREE = tuple(all_functions(range(3), (0, 1)))
TIED = tuple(h for h in FREE if sum(h.values()) != 1)
#: Every labelling of three inputs, every sample of it, and both hypothesis classes.
TRIALS = tuple(product(product((0, 1), repeat=3), range(3), (FREE, TIED)))
ONES = (1, 1, 1)


def expected_loss(held_out: Any, mem: Any, scale: Any) -> Any:
    """R2: the expected loss of a sample, from its held-out loss and its memorization."""
    return held_out - scale * mem


def gibbs_trial(
    labels: tuple[int, ...], i: int, hypotheses: Hypotheses, factor: Fraction = HALF
) -> Trial:
    """One sample of a finite world, trained by multiplicative weights with and without it.

    Args:
        labels: Labels of the inputs 0, 1, ...
        i: The sample.
        hypotheses: The class. If it is `FREE`, the other samples say nothing about this one.
        factor: What a wrong hypothesis keeps of its weight at each step.

    Returns:
        Per step: `loss` (expected Gibbs loss, from the chance of each *wrong* label), `held_out`
        (the same, trained without i), and `mem` (from the chance of the *right* label).
    """
    data = tuple(enumerate(labels))
    learner = Hedge(hypotheses, factor)
    x, y = data[i]
    inside, outside = (
        learner.predictions(training, WORLD.steps, x) for training in (data, without(data, i))
    )
    loss, held_out = (
        [WORLD.scale * total(p for label, p in step.items() if label != y) for step in steps]
        for steps in (inside, outside)
    )
    mem = [a[y] - b[y] for a, b in zip(inside, outside, strict=True)]
    return {"loss": loss, "held_out": held_out, "mem": mem}


def gibbs_trials() -> Iterator[Trial]:
    """Every labelling of three inputs and every sample of it, in both hypothesis classes."""
    return (gibbs_trial(*case) for case in TRIALS)


def floor(held_out: list[Fraction], mem: list[Fraction]) -> Fraction:
    """R2, second half: what the expected CSL cannot fall below."""
    least = min(held_out) / WORLD.scale
    return WORLD.scale * total(max(least - value, Fraction(0)) for value in mem)


def gibbs_identity() -> Derivation:
    """Gibbs loss: one minus the chance of the right label, times L."""
    import sympy

    scale, p_in, p_out = sympy.symbols(r"L p_{\mathrm{in}} p_{\mathrm{out}}", nonnegative=True)
    return Derivation(
        "CSL as held-out loss minus memorization, one step",
        (
            Step(
                "held-out Gibbs loss minus L times memorization is the loss in training",
                expected_loss(scale * (1 - p_out), p_in - p_out, scale),
                scale * (1 - p_in),
            ),
        ),
    )


def _r2_identity() -> Evidence:
    def holds(trial: Trial) -> bool:
        steps = zip(trial["held_out"], trial["mem"], strict=True)
        return sum(trial["loss"]) == sum(expected_loss(h, mem, WORLD.scale) for h, mem in steps)

    return enumerate_all(
        gibbs_trials(),
        holds,
        r"$\mathbb E\,\mathrm{CSL}=\sum_th_t-L\sum_t\mathrm{mem}_t$ with $L=5$: every labelling "
        rf"of three inputs, every sample, {WORLD.steps} steps of multiplicative weights in all "
        r"orders.",
        count=48,
    )


def _r2_floor() -> Evidence:
    def holds(case: tuple[tuple[int, ...], int, Hypotheses]) -> bool:
        trial = gibbs_trial(*case)
        slack = total(trial["loss"]) - floor(trial["held_out"], trial["mem"])
        return slack == 0 if case[-1] is FREE else slack > 0

    return enumerate_all(
        TRIALS,
        holds,
        r"$\mathbb E\,\mathrm{CSL}\ge L\sum_t(m^*-\mathrm{mem}_t)_+$, with equality exactly where "
        r"every labelling is a hypothesis.",
        count=48,
    )


def _r2_floor_decided() -> Evidence:
    import z3

    loss, held_out, mem, scale, least = z3.Reals("loss heldout mem scale least")
    positive = z3.If(least > mem, least - mem, 0)
    return decide(
        [
            loss >= 0,
            loss == expected_loss(held_out, mem, scale),
            scale * least <= held_out,
        ],
        z3.And(loss >= scale * positive, positive >= 0, positive >= least - mem),
        r"At every step, $\ell_t=h_t-L\,\mathrm{mem}_t\ge0$ and $Lm^*\le h_t$ give "
        r"$\ell_t\ge L(m^*-\mathrm{mem}_t)_+$.",
    )


def _r2_sharp() -> Evidence:
    trial = gibbs_trial(ONES, 0, FREE)
    mem, csl = sum(trial["mem"]), sum(trial["loss"])
    reached = csl == floor(trial["held_out"], trial["mem"]) == Fraction(88, 9)
    weaker = sum(trial["held_out"]) - Fraction(999, 1000) * WORLD.scale * mem
    squares_in, squares_out = (
        sum((value / WORLD.scale) ** 2 for value in trial[key]) for key in ("loss", "held_out")
    )
    other = squares_out - mem
    summary = (
        rf"One sample, every labelling a hypothesis: $\sum_th_t={show(sum(trial['held_out']))}$, "
        rf"$\sum_t\mathrm{{mem}}_t={show(mem)}$, $\mathbb E\,\mathrm{{CSL}}={show(csl)}$, equal to "
        rf"the lower bound. With $0.999L$ for $L$ the right side is {float(weaker):.4f}, not "
        rf"{float(csl):.4f}. With the squared loss $(1-p)^2$ for Gibbs loss it is "
        rf"{float(other):.4f}, not {float(squares_in):.4f}."
    )
    return Evidence(reached and weaker != csl and other != squares_in, summary)


def _r2_reading() -> Evidence:
    little, much = (gibbs_trial(ONES, 0, FREE, factor) for factor in (HALF, QUARTER))
    passed = (
        little["held_out"] == much["held_out"]
        and sum(little["mem"]) < sum(much["mem"])
        and sum(little["loss"]) > sum(much["loss"])
    )
    summary = (
        rf"Two learners with the same held-out loss at every step: memorization summed over "
        rf"training {show(sum(little['mem']))} against {show(sum(much['mem']))}, CSL "
        rf"{show(sum(little['loss']))} against {show(sum(much['loss']))}."
    )
    return Evidence(passed, summary)


R2 = Claim(
    id="book/r2",
    title="R2: CSL is held-out difficulty minus memorization",
    paper="book",
    location="replaces Theorem 4.4 of the draft",
    printed=r"""
Let the loss be Gibbs loss, $\ell=L(1-p(y\mid x))$ with predictions drawn from $p$; let $h_t(i)$ be
the expected loss on $z_i$ after $t$ steps of training without $z_i$, and $\mathrm{mem}_t(i)$ the
(signed) memorization then. Then

$$\mathbb E\,\mathrm{CSL}(z_i)\;=\;\sum_th_t(i)\;-\;L\sum_t\mathrm{mem}_t(i)
\qquad\text{and}\qquad
\mathbb E\,\mathrm{CSL}(z_i)\;\ge\;L\sum_t\bigl(m^*_i-\mathrm{mem}_t(i)\bigr)_+,
\qquad m^*_i=\min_t\frac{h_t(i)}L.$$""",
    assumptions=(
        r"Gibbs loss, and CSL is the sum of that loss (not of cross-entropy)",
        r"training with and without $z_i$ is compared after equally many steps",
    ),
    verdict=Verdict.HOLDS,
    gist=r"$\mathbb E\,\mathrm{CSL}=\sum_th_t-L\sum_t\mathrm{mem}_t$ for Gibbs loss: "
    r"the sign of memorization is negative.",
    holds=r"""
As stated. The first half is an identity: it holds by definition for the loss-based memorization
$(h_t-\mathbb E\ell_t)/L$, whatever the loss; Gibbs loss is what ties it to Feldman's. If moreover
$m^*_i>0$ and $\mathrm{mem}_t\le m^*_i/2$ for the first $T_{1/2}$ steps, then $m^*_i\le 2\,\mathbb
E\,\mathrm{CSL}(z_i)/(L\,T_{1/2})$.
""",
    proof=r"""
$\mathbb E\ell_t=L(1-p_t)$ in training and $h_t=L(1-p^{\setminus i}_t)$ without, so their
difference is $L\,\mathrm{mem}_t$; sum over $t$. For the second half, $\mathbb E\ell_t\ge0$ and
$\mathbb E\ell_t=h_t-L\,\mathrm{mem}_t\ge L(m^*-\mathrm{mem}_t)$.
""",
    rebuttal=r"""
*In experiments CSL and memorization go together.* They do, and the identity says how: samples that
are hard when held out are the ones that can be memorized, and their $h_t$ is large. The sign of
the memorization term is still negative.
""",
    effect=r"""
CSL (of Gibbs loss) flags samples that are hard when held out and memorized late. At a fixed
held-out loss, *more* memorization means *less* CSL.
""",
    prior_art=r"""
Elementary; it is the leave-one-out decomposition of training loss, summed over training.
""",
    chapter="part1/watching-a-network-learn",
    uses=("feldman/def-mem", "orders/eq-3", "orders/e2-mem-loss"),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The identity at one step.",
            lambda: derived(gibbs_identity()),
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "The identity over whole runs.", _r2_identity),
        Check(Kind.DECIDED, Role.SUPPORTS, "The lower bound, for all reals.", _r2_floor_decided),
        Check(Kind.EXACT, Role.SUPPORTS, "The lower bound over whole runs.", _r2_floor),
        Check(
            Kind.EXACT,
            Role.SUPPORTS,
            "More memorization, less CSL, at one held-out loss.",
            _r2_reading,
        ),
        Check(
            Kind.EXACT,
            Role.SHARP,
            "Neither the factor L nor Gibbs loss can be changed; the lower bound is reached.",
            _r2_sharp,
        ),
    ),
)


CLAIMS = (R2,)
