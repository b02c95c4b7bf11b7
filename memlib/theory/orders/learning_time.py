"""The draft's CSL, CSG and learning time: Eq. 3, Eq. 4 and C.5."""

from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import (
    Derivation,
    Step,
    decide,
    derived,
    enumerate_all,
    search,
    show,
)
from memlib.theory.worlds import total

HALF = Fraction(1, 2)


# Eq. 3 -------------------------------------------------------------------------------------------


def input_gradients() -> Derivation:
    """The input gradient of least squares, which the exact worlds use."""
    import sympy

    w1, w2, x1, x2, y = sympy.symbols("w_1 w_2 x_1 x_2 y", real=True)
    square, rest = (w1 * x1 + w2 * x2 - y) ** 2 / 2, w1 * x1 + w2 * x2 - y
    return Derivation(
        "Input gradient of least squares",
        (
            Step("first input", sympy.Derivative(square, x1), rest * w1),
            Step("second input", sympy.Derivative(square, x2), rest * w2),
            Step(
                "squared norm: what CSG adds up",
                square.diff(x1) ** 2 + square.diff(x2) ** 2,
                rest**2 * (w1**2 + w2**2),
            ),
        ),
    )


#: Runs on two samples, of which the second varies, and factors for the unit of their inputs.
UNITS = tuple(
    (
        scale,
        runs.Descent((((1, 0), 1), ((point, 1), label)), (HALF, Fraction(1, 3)), Fraction(1, 8), 4),
    )
    for scale, label, point in product((2, 3, 10), (-1, 1), (0, 1, 2))
)


def _eq3_units() -> Evidence:
    def holds(case: tuple[int, runs.Descent]) -> bool:
        scale, world = case
        rescaled = tuple((tuple(scale * v for v in x), y) for x, y in world.data)
        start = [v / scale for v in world.start]
        run = world.run()
        other = runs.descend(rescaled, start, world.rate / scale**2, world.steps)
        return all(
            runs.losses(run, a) == runs.losses(other, b)
            and sum(runs.squared_gradients(run, a))
            == scale**2 * sum(runs.squared_gradients(other, b))
            for a, b in zip(world.data, rescaled, strict=True)
        )

    return enumerate_all(
        UNITS,
        holds,
        r"Inputs times $c$, weights over $c$, step size over $c^2$: the same losses at every step, "
        r"the same CSL, and CSG divided by $c^2$.",
        count=18,
    )


def _eq3_sharp() -> Evidence:
    data = (((2,), -1), ((2,), 0))
    run = runs.descend(data, (1,), Fraction(1, 4), 2)
    squared = [sum(runs.squared_gradients(run, z)) for z in data]
    plain = [sum(abs(runs.input_gradient(w, z)[0]) for w in run) for z in data]
    pair = (((1,), -1), ((2,), 0))
    curves = [runs.losses(runs.descend(pair, (0,), HALF, 3), z) for z in pair]
    whole, cut = ([sum(c[:end]) for c in curves] for end in (4, 3))
    summary = (
        rf"Without the square the order of two samples turns over: {show(squared[0])} < "
        rf"{show(squared[1])}, but {show(plain[0])} > {show(plain[1])}. So it can without the last "
        rf"of the $T_{{max}}+1$ terms: {show(whole[0])} < {show(whole[1])}, but {show(cut[0])} > "
        rf"{show(cut[1])}."
    )
    passed = squared[0] < squared[1] and plain[0] > plain[1]
    return Evidence(passed and whole[0] < whole[1] and cut[0] > cut[1], summary)


EQ_3 = Claim(
    id="orders/eq-3",
    title="Cumulative sample loss and gradient",
    paper="orders",
    location="Section 4.1, Eq. (3)",
    printed=r"""
$$\mathrm{CSL}(\vec z_i)=\sum_{t=0}^{T_{max}}\ell(\vec w_t,\vec z_i),\qquad
\mathrm{CSG}(\vec z_i)=\sum_{t=0}^{T_{max}}\|\nabla_{\vec z_i}\ell(\vec w_t)\|_2^2,$$

where $T_{max}$ is the number of SGD iterations.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist="Well defined; CSG scales with the inverse square of the unit of the input, "
    "CSL not at all.",
    holds=r"""
Both are well defined: sums of $N=T_{max}+1$ terms, one per weight $w_0,\dots,w_{T_{max}}$. CSL
does not depend on the units of the input; CSG scales with their inverse square, so CSG and $\tau$
of two data sets cannot be compared before the inputs are normalized alike.
""",
    proof=r"""
The chain rule, with $w\to w/c$ when $x\to cx$.
""",
    rebuttal="",
    effect=r"""
The published version keeps CSL only, sums to $T_{max}-1$, and takes gradients in the input $x$;
the gradient in $z$ has a meaning only where the label is a number. The square matters: summing
norms ranks samples differently.
""",
    prior_art=r"""
The mean loss of a sample over training finds wrong labels in O2U-Net (Huang et al., 2019), the
mean margin in AUM (Pleiss et al., 2020).
""",
    chapter="part1/watching-a-network-learn",
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The gradient that the exact worlds add up.",
            lambda: derived(input_gradients()),
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "CSL and CSG under a change of units.", _eq3_units),
        Check(Kind.EXACT, Role.SHARP, "The square and the last term matter.", _eq3_sharp),
    ),
)


# Eq. 4 -------------------------------------------------------------------------------------------


def _eq4_not_unique() -> Evidence:
    sample, tau = ((1,), 1), Fraction(1, 64)
    squares = runs.squared_gradients(runs.descend((sample,), (0,), Fraction(1, 4), 40), sample)
    true_at = [t for t in range(1, len(squares) + 1) if sum(squares[:t]) <= tau * t]
    again = next(t for t in true_at if t > 2)
    summary = (
        rf"Least squares, one sample, $\tau=\tfrac1{{64}}$: the condition holds at $T=1$, fails "
        rf"from $T=2$ to $T={again - 1}$, and holds again from $T={again}$."
    )
    return Evidence(
        true_at[0] == 1 and 2 not in true_at and true_at == [1, *range(again, 42)], summary
    )


#: Three samples, and a run that starts at 0.
AT_ZERO = runs.Descent((((1, 0), 1), ((1, 1), -1), ((0, 2), 1)), (0, 0), Fraction(1, 8), 6)


def _eq4_at_zero() -> Evidence:
    data, run = AT_ZERO.data, AT_ZERO.run()
    times = [runs.learning_time(runs.squared_gradients(run, z), Fraction(1, 10**9)) for z in data]
    starts = [runs.losses(run, z)[0] for z in data]
    summary = (
        r"Weights that start at 0 give every sample the input gradient 0: $T="
        rf"{times[0]}$ for all {len(data)} samples and every $\tau>0$ ($10^{{-9}}$ here), while "
        rf"each loss is {show(starts[0])}, that of knowing nothing."
    )
    return Evidence(times == [1, 1, 1] and starts == [HALF] * 3, summary)


#: Squared gradients, and how many of them a run has.
LEVELS, LENGTH = (0, 1, 2), 5


def _eq4_counted() -> Evidence:
    """All runs with those squared gradients, at the threshold 1."""
    cases = list(product(LEVELS, repeat=LENGTH))
    met = [[t for t in range(1, LENGTH + 1) if sum(squares[:t]) <= t] for squares in cases]
    gone = sum(times != list(range(times[0], LENGTH + 1)) for times in met if times)
    summary = (
        rf"All {len(cases)} sequences of {LENGTH} squared gradients 0, 1 or 2, $\tau=1$: in "
        rf"{sum(not times for times in met)} of them no $T$ meets the condition, and in {gone} it "
        r"is met, and fails again later."
    )
    return Evidence((len(cases), gone, met.count([])) == (243, 86, 35), summary)


EQ_4 = Claim(
    id="orders/eq-4",
    title="The sample learning condition",
    paper="orders",
    location="Section 4.2, Eq. (4)",
    printed=r"""
$$\frac1T\sum_{t=0}^{T-1}\|\nabla_{z_i}\ell(\vec w_t)\|_2^2\le\tau;$$

a sample is considered learned if its average gradient falls below the threshold $\tau$, and $T$ is
its learning time.""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist="The condition fixes $T$ only once the minimum is written out, and can be "
    "met before the first step.",
    holds=r"""
The condition alone does not determine $T$. With the minimum written out,
$T_i=\min\{T\ge1:\dots\}$, it does; memlib's `learning_time_gradient` and all results here use
that. It stays a statement about gradients: a sample can meet it before the first step.
""",
    proof=r"""
Executed below. The set of $T$ that meet the condition need not be an interval.
""",
    rebuttal=r"""
*Obviously the first such $T$ is meant.* The published version says so, in its Eq. (7). But the
proofs put $\tau$ equal to an upper bound that depends on $T$, which is another definition again.
""",
    tried=r"""
A condition asserts nothing that could be refuted. We tried to save the reading in which it
determines $T$, by enumeration: the last evidence counts in how many short runs it does not.
""",
    effect=r"""
Choose $\tau$ below the squared input gradient at initialization, or every sample has $T=1$.
""",
    prior_art=r"""
The running mean of squared gradients is the usual criterion for the convergence of SGD (Ghadimi
and Lan, 2013), there in the weights.
""",
    chapter="part1/watching-a-network-learn",
    uses=("orders/eq-3",),
    checks=(
        Check(
            Kind.EXACT, Role.FAILING_STEP, "The condition comes, goes and comes.", _eq4_not_unique
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "Learned before the first step.", _eq4_at_zero),
        Check(Kind.EXACT, Role.FAILING_STEP, "All short runs, counted.", _eq4_counted),
    ),
)


# Two definitions ---------------------------------------------------------------------------------

#: Two samples with labels -1, and where their run starts.
TWO = runs.Descent((((1, -1), -1), ((0, 2), -1)), (HALF, HALF), Fraction(1, 8), 12)
#: What a wrong prediction costs at least: least squares with labels -1 and 1.
WRONG_COST = HALF


def both_times(world: runs.Descent) -> tuple[list[int | None], list[int | None]]:
    """Learning time by Eq. (4) with tau = 1/4, and the first correct step, of each sample."""
    run, tau = world.run(), Fraction(1, 4)
    return (
        [runs.learning_time(runs.squared_gradients(run, z), tau) for z in world.data],
        [runs.first_correct(run, z) for z in world.data],
    )


def _two_orders() -> Evidence:
    times, firsts = both_times(TWO)
    summary = (
        rf"One run, two samples: by Eq. (4) ($\tau=\tfrac14$) they are learned at $T={times[0]}$ "
        rf"and $T={times[1]}$; their first correct predictions are at steps {firsts[0]} and "
        f"{firsts[1]}."
    )
    return Evidence((times, firsts) == ([4, 11], [5, 2]), summary)


def _wrong_costs() -> Evidence:
    import z3

    score, label = z3.Reals("score label")
    return decide(
        [z3.Or(label == 1, label == -1), score * label <= 0],
        (score - label) * (score - label) / 2 >= WRONG_COST,
        r"A wrong sign costs at least $\tfrac12$ in squared loss, so that "
        r"$T_{\mathrm{first}}\le2\,\mathrm{CSL}$.",
    )


def _first_bounded() -> Evidence:
    run = TWO.run()
    first = [runs.first_correct(run, z) for z in TWO.data]
    csl = [total(runs.losses(run, z)) for z in TWO.data]
    passed = all(t is not None and t * WRONG_COST <= c for t, c in zip(first, csl, strict=True))
    summary = (
        f"On the same run: first correct at {first[0]} and {first[1]}, at most "
        rf"$2\,\mathrm{{CSL}}={float(2 * csl[0]):.2f}$ and ${float(2 * csl[1]):.2f}$."
    )
    return Evidence(passed, summary)


def _two_searched() -> Evidence:
    from hypothesis import strategies as st

    inputs = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
    labels = st.sampled_from((-1, 1))

    def breaks(case: tuple[Any, Any, int, int]) -> bool:
        times, firsts = both_times(replace(TWO, data=tuple(zip(case[:2], case[2:], strict=True))))
        if None in times or None in firsts:
            return False
        return (times[0] or 0) < (times[1] or 0) and (firsts[0] or 0) > (firsts[1] or 0)

    (a, b), known = zip(*TWO.data, strict=True)
    if not breaks((a, b, *known)) or breaks((b, a, *known)):
        return Evidence(False, "The search does not recognise the pair above.")
    found = search(st.tuples(inputs, inputs, labels, labels), breaks)
    return Evidence(found is not None, f"Smallest pair found (inputs, labels): `{found}`.")


TWO_DEFINITIONS = Claim(
    id="orders/learning-time-two-definitions",
    title="Learning time has two definitions",
    paper="orders",
    location="Section 4.2 (Eq. 4) against Section 5.3 and Appendix C.5",
    printed=r"""
Theory: learning time is the $T$ of Eq. (4). Experiments: "the first epoch at which the sample was
correctly learned", so that correct predictions $[0,0,0,1,1,0,\dots]$ give 3. Section 5.1 then reads
the experiments as confirming what the theorems predict of learning time.""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist="The two can order samples in opposite ways; CSL bounds both.",
    holds=r"""
The two can order samples in opposite ways. What CSL does bound is both: learning time by Eq. (4)
through R1, and the first correct prediction by $T_{\mathrm{first}}\le\mathrm{CSL}/c$, where $c$ is
the least loss of a wrong prediction ($\ln2$ for cross-entropy with two classes or more, since a
wrong class leaves $p_y\le\tfrac12$; $L/2$ for Gibbs loss).
""",
    proof=r"""
Before the first correct prediction every loss is at least $c$; add them up. (The same argument
bounds CSLT, the number of wrong epochs, by $\mathrm{CSL}/c$.)
""",
    rebuttal=r"""
*Any sensible notion of learning time would show the trend.* Quite possibly, and then the trend is
an empirical finding; what it cannot be is a confirmation of theorems about Eq. (4). Whether
Section 5.1 used C.5's definition is not said; no other is described.
""",
    tried=r"""
That the two agree on the order of samples is refuted, by a run and by the search. The printed
sentence is weaker, that experiments with the one *confirm* theorems about the other; no run can
refute what a figure is taken to mean.
""",
    effect=r"""
The experiments stand for themselves. Every table here says which learning time it uses.
""",
    prior_art=r"""
That a surrogate loss bounds the number of mistakes is the perceptron-era argument.
""",
    chapter="part1/watching-a-network-learn",
    uses=("orders/eq-4",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Opposite orders in one run.", _two_orders),
        Check(Kind.DECIDED, Role.SUPPORTS, "What a wrong prediction costs.", _wrong_costs),
        Check(Kind.EXACT, Role.REPAIRED, "CSL bounds the first correct step.", _first_bounded),
        Check(Kind.SEARCHED, Role.BREAKS, "A search for opposite orders.", _two_searched),
    ),
)


CLAIMS = (EQ_3, EQ_4, TWO_DEFINITIONS)
