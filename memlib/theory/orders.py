"""The definitions of the draft *Memorization and the orders of loss* (Eq. 1 to 4, C.5)."""

from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all, search, show
from memlib.theory.feldman import SINGLETON
from memlib.theory.worlds import (
    Data,
    accuracy,
    binomial,
    masked_means,
    mean_absolute_estimate,
    memorization,
    nearest_neighbor,
    parity,
    stability,
    subset_memorization,
    without,
)

HALF = Fraction(1, 2)


def zero_one(prediction: Any, label: Any) -> Fraction:
    """The 0/1 loss."""
    return Fraction(prediction != label)


# Eq. 1 -------------------------------------------------------------------------------------------


def _rare_dog(q: Fraction) -> tuple[Fraction, Fraction]:
    """Least beta and memorization of a singleton that has probability q in the population."""
    cat, other, dog = SINGLETON
    population = [(cat, (1 - q) / 2), (other, (1 - q) / 2), (dog, q)]
    beta = stability(nearest_neighbor, SINGLETON, population, zero_one)
    return beta, memorization(nearest_neighbor, SINGLETON, 2)


def _eq1_least() -> Evidence:
    chances = [Fraction(1, k) for k in (10, 100, 1000)]
    found = [_rare_dog(q) for q in chances]
    passed = all(beta == q and mem == 1 for q, (beta, mem) in zip(chances, found, strict=True))
    summary = (
        r"A singleton with probability $\tfrac1{10},\tfrac1{100},\tfrac1{1000}$ under "
        r"1-nearest-neighbor and 0/1 loss: the least $\beta$ is "
        + ", ".join(f"${show(beta)}$" for beta, _ in found)
        + "; its memorization is "
        + ", ".join(f"${show(mem)}$" for _, mem in found)
        + "."
    )
    return Evidence(passed, summary)


def _eq1_always() -> Evidence:
    import z3

    inside, outside, bound = z3.Reals("inside outside bound")
    change = z3.If(inside >= outside, inside - outside, outside - inside)
    return decide(
        [inside >= 0, outside >= 0, inside <= bound, outside <= bound],
        change <= bound,
        r"Two mean losses in $[0,L]$ differ by at most $L$: every algorithm has $\beta\le L$.",
    )


def _eq1_sharp() -> Evidence:
    data: Data = ((0, 1), (1, 0))
    beta = stability(parity, data, [((2, 1), Fraction(1))], zero_one)
    least = _rare_dog(Fraction(1, 10))[0]
    summary = (
        rf"The parity learner reaches $\beta={show(beta)}=L$. For 1-nearest-neighbor above, any "
        rf"$\beta<{show(least)}$ fails, at the singleton."
    )
    return Evidence(beta == 1 and least > 0, summary)


EQ_1 = Claim(
    id="orders/eq-1",
    title="Error stability",
    paper="orders",
    location="Section 2, Eq. (1)",
    printed=r"""
For some $\beta>0$ and all $i$,

$$\Bigl|\mathbb E_{\phi,z}[\ell(g_S^\phi,z)]-\mathbb E_{\phi,z}[\ell(g_{S^{\setminus i}}^\phi,z)]
\Bigr|\le\beta.$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"The least $\beta$ is the largest change of *population* risk when one sample is left out. "
    r"For an $L$-bounded loss $\beta\le L$ always, so that all content is in the size of $\beta$. A "
    r"small $\beta$ says nothing about one sample: it does not bound memorization, and it is not a "
    r"statement about training loss.",
    proof=r"A singleton of probability $q$ changes the risk by $q$ and its own accuracy by 1.",
    rebuttal=r"*SGD is uniformly stable (Hardt et al., 2016).* Uniform stability bounds the change "
    r"at every point, the sample itself included; it then bounds memorization by definition, and "
    r"nothing about learning time is needed. The published version of `orders` uses that stronger "
    r"notion.",
    effect=r"Where a proof applies Eq. 1 to training losses or to the sample itself, it uses more "
    r"than Eq. 1 gives.",
    prior_art=r"Kearns and Ron (1997); Bousquet and Elisseeff (2002) on the hierarchy of stability "
    r"notions.",
    chapter="part1/what-memorization-is",
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "The least beta, and memorization beside it.", _eq1_least),
        Check(Kind.DECIDED, Role.SUPPORTS, "Every bounded loss has some beta.", _eq1_always),
        Check(Kind.EXACT, Role.SHARP, "The least beta cannot be lowered.", _eq1_sharp),
    ),
)


# Eq. 2 -------------------------------------------------------------------------------------------

PRACTICE = "the practical method scores by the two masked means of Feldman and Zhang"
ANY_LEARNER = "the training algorithm may be random; its predictions are probabilities"
#: Runs with and without the sample (ten in all, 70 % with it) of a learner that ignores it.
RUNS = (7, 3)
TURNED: Data = ((0, 1), (1, 1), (2, 0))


def _eq2_coin() -> Evidence:
    bias = {
        runs_in: mean_absolute_estimate(HALF, HALF, runs_in, runs_out)
        for runs_in, runs_out in (RUNS, (35, 15), (70, 30))
    }
    negative = sum(chance for chance, score in _coin_scores(*RUNS) if score < 0)
    summary = (
        r"A sample that training ignores (right half of the time, with or without it): memorization "
        rf"0. The practical score is negative with probability {show(negative)} from 7 + 3 runs; its "
        "absolute value has mean "
        + ", ".join(f"{float(value):.3f} from {k * 10 // 7} runs" for k, value in bias.items())
        + ", never 0."
    )
    practical = _practice_is_masked_means()
    assumptions = {PRACTICE: practical, ANY_LEARNER: sum(c for c, _ in _coin_scores(*RUNS)) == 1}
    passed = negative > 0 and all(value > 0 for value in bias.values())
    return Evidence(passed, summary, {"bias": bias}, assumptions, ("coin", RUNS))


def _coin_scores(runs_in: int, runs_out: int) -> list[tuple[Fraction, Fraction]]:
    """Every practical score of a sample that is right by the flip of a coin, with its chance."""
    return [
        (
            binomial(a, runs_in, HALF) * binomial(b, runs_out, HALF),
            Fraction(a, runs_in) - Fraction(b, runs_out),
        )
        for a, b in product(range(runs_in + 1), range(runs_out + 1))
    ]


def _practice_is_masked_means() -> bool:
    """The estimator used here, on a design worked out by hand: the dog is in one run of two."""
    design = ((0, 2), (0, 1))
    inside, outside = (
        accuracy(nearest_neighbor, tuple(SINGLETON[j] for j in subset), SINGLETON[2])
        for subset in design
    )
    return masked_means(nearest_neighbor, SINGLETON, 2, design, None) == inside - outside == 1


def _eq2_parity() -> Evidence:
    score = subset_memorization(parity, TURNED, 0, 2)
    exact = memorization(parity, TURNED, 0)
    summary = (
        rf"The parity learner on three bits: the mean practical score of the first sample is "
        rf"${show(score)}$ and its memorization ${show(exact)}$; Eq. (2) gives ${show(abs(exact))}$."
    )
    assumptions = {
        PRACTICE: _practice_is_masked_means(),
        ANY_LEARNER: sum(parity(TURNED)(0).values()) == 1,
    }
    return Evidence(score < 0 and exact < 0, summary, {}, assumptions, ("parity", TURNED))


def _eq2_repaired_coin() -> Evidence:
    signed = sum(chance * score for chance, score in _coin_scores(*RUNS))
    summary = rf"The signed score of the same sample has mean ${show(signed)}$, its memorization."
    return Evidence(signed == 0, summary, instance=("coin", RUNS))


def _eq2_repaired_parity() -> Evidence:
    signed = memorization(parity, TURNED, 0)
    inside = accuracy(parity, TURNED, TURNED[0])
    outside = accuracy(parity, without(TURNED, 0), TURNED[0])
    same = [(abs(a - b) == a - b) == (a >= b) for a, b in product((0, HALF, 1), repeat=2)]
    summary = (
        rf"Signed, it is ${show(inside)}-{show(outside)}={show(signed)}$, what the practical score "
        r"estimates. The two definitions agree exactly when $\mathrm{mem}\ge0$."
    )
    return Evidence(
        signed == inside - outside < 0 and all(same), summary, instance=("parity", TURNED)
    )


EQ_2 = Claim(
    id="orders/eq-2",
    title="Memorization with an absolute value",
    paper="orders",
    location="Section 2, Eq. (2) and the sentence after it",
    printed=r"""
$$\mathrm{mem}(S,\vec z_i)=\Bigl|\Pr_\phi[g_S^\phi(\vec x_i)=y_i]-
\Pr_\phi[g_{S^{\setminus i}}^\phi(\vec x_i)=y_i]\Bigr|$$

"[...] to ensure that the score remains positive, aligning with the practical method used for score
calculation." """,
    assumptions=(PRACTICE, ANY_LEARNER),
    verdict=Verdict.FALSE,
    holds=r"The definition is sound, and equals Feldman's where his is not negative. What is false is "
    r"that it aligns with practice: the masked means are signed and do come out negative. With the "
    r"absolute value, a sample with no memorization gets a positive score on average.",
    proof=r"$\mathbb E|\hat m|>|\mathbb E\hat m|$ as soon as $\hat m$ takes both signs.",
    rebuttal=r"*Negative scores are noise around zero; the absolute value only tidies them.* That "
    r"is the objection: tidied noise no longer averages out, and it is largest for the samples with "
    r"the fewest runs. Where all scores of interest are far above zero, it does not matter.",
    effect=r"Small. The published version uses the signed definition. This book and memlib do, too.",
    prior_art=r"Jensen's inequality.",
    chapter="part1/what-memorization-is",
    uses=("feldman/def-mem", "fz/masked-means"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A sample that is not memorized.", _eq2_coin),
        Check(Kind.EXACT, Role.REPAIRED, "Its signed score.", _eq2_repaired_coin),
        Check(Kind.EXACT, Role.REFUTES, "A learner with negative memorization.", _eq2_parity),
        Check(Kind.EXACT, Role.REPAIRED, "Its signed score.", _eq2_repaired_parity),
    ),
)


# Eq. 3 -------------------------------------------------------------------------------------------


def input_gradients() -> Derivation:
    """The input gradient of least squares, which the exact worlds use."""
    import sympy

    w1, w2, x1, x2, y = sympy.symbols("w_1 w_2 x_1 x_2 y", real=True)
    square, rest = (w1 * x1 + w2 * x2 - y) ** 2 / 2, w1 * x1 + w2 * x2 - y
    return Derivation(
        "Input gradient of least squares",
        (
            Step("first input", square.diff(x1), rest * w1),
            Step("second input", square.diff(x2), rest * w2),
            Step(
                "squared norm: what CSG adds up",
                square.diff(x1) ** 2 + square.diff(x2) ** 2,
                rest**2 * (w1**2 + w2**2),
            ),
        ),
    )


def _eq3_units() -> Evidence:
    def holds(case: tuple[int, int, int]) -> bool:
        scale, label, point = case
        data = (((1, 0), 1), ((point, 1), label))
        rescaled = tuple((tuple(scale * v for v in x), y) for x, y in data)
        rate, start = Fraction(1, 8), (HALF, Fraction(1, 3))
        run = runs.descend(data, start, rate, 4)
        other = runs.descend(rescaled, [v / scale for v in start], rate / scale**2, 4)
        return all(
            runs.losses(run, a) == runs.losses(other, b)
            and sum(runs.squared_gradients(run, a))
            == scale**2 * sum(runs.squared_gradients(other, b))
            for a, b in zip(data, rescaled, strict=True)
        )

    return enumerate_all(
        product((2, 3, 10), (-1, 1), (0, 1, 2)),
        holds,
        r"Inputs times $c$, weights over $c$, step size over $c^2$: the same losses at every step, "
        r"the same CSL, and CSG divided by $c^2$.",
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
    holds=r"Both are well defined: sums of $N=T_{max}+1$ terms, one per weight $w_0,\dots,w_{T_{max}}$. "
    r"CSL does not depend on the units of the input; CSG scales with their inverse square, so CSG "
    r"and $\tau$ of two data sets cannot be compared before the inputs are normalized alike.",
    proof=r"The chain rule, with $w\to w/c$ when $x\to cx$.",
    rebuttal="",
    effect=r"The published version keeps CSL only, sums to $T_{max}-1$, and takes gradients in the "
    r"input $x$; the gradient in $z$ has a meaning only where the label is a number. The square "
    r"matters: summing norms ranks samples differently.",
    prior_art=r"The mean loss of a sample over training finds wrong labels in O2U-Net (Huang et al., "
    r"2019), the mean margin in AUM (Pleiss et al., 2020).",
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
        rf"Least squares, one sample, $\tau=\tfrac1{{64}}$: the condition holds at $T=1$, fails from "
        rf"$T=2$ to $T={again - 1}$, and holds again from $T={again}$."
    )
    return Evidence(
        true_at[0] == 1 and 2 not in true_at and true_at == [1, *range(again, 42)], summary
    )


def _eq4_at_zero() -> Evidence:
    data = (((1, 0), 1), ((1, 1), -1), ((0, 2), 1))
    run = runs.descend(data, (0, 0), Fraction(1, 8), 6)
    times = [runs.learning_time(runs.squared_gradients(run, z), Fraction(1, 10**9)) for z in data]
    starts = [runs.losses(run, z)[0] for z in data]
    summary = (
        r"Weights that start at 0 give every sample the input gradient 0: $T="
        rf"{times[0]}$ for all {len(data)} samples and every $\tau>0$ ($10^{{-9}}$ here), while each "
        rf"loss is {show(starts[0])}, that of knowing nothing."
    )
    return Evidence(times == [1, 1, 1] and starts == [HALF] * 3, summary)


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
    holds=r"The condition alone does not determine $T$. With the minimum written out, "
    r"$T_i=\min\{T\ge1:\dots\}$, it does; memlib's `learning_time_gradient` and all results here use "
    r"that. It stays a statement about gradients: a sample can meet it before the first step.",
    proof=r"Executed below. The set of $T$ that meet the condition need not be an interval.",
    rebuttal=r"*Obviously the first such $T$ is meant.* The published version says so, in its "
    r"Eq. (7). But the proofs put $\tau$ equal to an upper bound that depends on $T$, which is "
    r"another definition again.",
    effect=r"Choose $\tau$ below the input gradient at initialization, or every sample has $T=1$.",
    prior_art=r"The running mean of squared gradients is the usual criterion for the convergence of "
    r"SGD (Ghadimi and Lan, 2013), there in the weights.",
    chapter="part1/watching-a-network-learn",
    uses=("orders/eq-3",),
    checks=(
        Check(
            Kind.EXACT, Role.FAILING_STEP, "The condition comes, goes and comes.", _eq4_not_unique
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "Learned before the first step.", _eq4_at_zero),
    ),
)


# Two definitions ---------------------------------------------------------------------------------

#: Two samples with labels -1, and where their run starts.
TWO = (((1, -1), -1), ((0, 2), -1))
TWO_START = (HALF, HALF)
#: What a wrong prediction costs at least: least squares with labels -1 and 1.
WRONG_COST = HALF


def two_times() -> tuple[list[int | None], list[int | None], list[Fraction]]:
    """Both learning times and the CSL of the two samples in one run of 13 weights."""
    run = runs.descend(TWO, TWO_START, Fraction(1, 8), 12)
    by_gradient = [runs.learning_time(runs.squared_gradients(run, z), Fraction(1, 4)) for z in TWO]
    return (
        by_gradient,
        [runs.first_correct(run, z) for z in TWO],
        [sum(runs.losses(run, z)) for z in TWO],
    )


def _two_orders() -> Evidence:
    (a, b), (first_a, first_b), _ = two_times()
    known = None not in (a, b, first_a, first_b)
    passed = known and (a or 0) < (b or 0) and (first_a or 0) > (first_b or 0)
    summary = (
        rf"One run, two samples: by Eq. (4) ($\tau=\tfrac14$) they are learned at $T={a}$ and "
        rf"$T={b}$; their first correct predictions are at steps {first_a} and {first_b}."
    )
    return Evidence(passed, summary)


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
    _, first, csl = two_times()
    passed = all(t is not None and t * WRONG_COST <= c for t, c in zip(first, csl, strict=True))
    summary = (
        f"On the same run: first correct at {first[0]} and {first[1]}, at most "
        rf"$2\,\mathrm{{CSL}}={float(2 * csl[0]):.2f}$ and ${float(2 * csl[1]):.2f}$."
    )
    return Evidence(passed, summary)


def _two_searched() -> Evidence:
    from hypothesis import strategies as st

    inputs = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
    pairs = st.tuples(inputs, inputs, st.sampled_from((-1, 1)), st.sampled_from((-1, 1)))

    def breaks(case: tuple[Any, Any, int, int]) -> bool:
        data = ((case[0], case[2]), (case[1], case[3]))
        run = runs.descend(data, TWO_START, Fraction(1, 8), 12)
        times = [runs.learning_time(runs.squared_gradients(run, z), Fraction(1, 4)) for z in data]
        firsts = [runs.first_correct(run, z) for z in data]
        if None in times or None in firsts:
            return False
        return (times[0] or 0) < (times[1] or 0) and (firsts[0] or 0) > (firsts[1] or 0)

    found = search(pairs, breaks)
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
    holds=r"The two can order samples in opposite ways. What CSL does bound is both: learning time by "
    r"Eq. (4) through R1, and the first correct prediction by $T_{\mathrm{first}}\le\mathrm{CSL}/c$, "
    r"where $c$ is the least loss of a wrong prediction ($\ln2$ for cross-entropy with two classes or "
    r"more, since a wrong class leaves $p_y\le\tfrac12$; $L/2$ for Gibbs loss).",
    proof=r"Before the first correct prediction every loss is at least $c$; add them up. (The same "
    r"argument bounds CSLT, the number of wrong epochs, by $\mathrm{CSL}/c$.)",
    rebuttal=r"*Any sensible notion of learning time would show the trend.* Quite possibly, and then "
    r"the trend is an empirical finding; what it cannot be is a confirmation of theorems about "
    r"Eq. (4). Whether Section 5.1 used C.5's definition is not said; no other is described.",
    effect=r"The experiments stand for themselves. Every table here says which learning time it uses.",
    prior_art=r"That a surrogate loss bounds the number of mistakes is the perceptron-era argument.",
    chapter="part1/watching-a-network-learn",
    uses=("orders/eq-4",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Opposite orders in one run.", _two_orders),
        Check(Kind.DECIDED, Role.SUPPORTS, "What a wrong prediction costs.", _wrong_costs),
        Check(Kind.EXACT, Role.REPAIRED, "CSL bounds the first correct step.", _first_bounded),
        Check(Kind.SEARCHED, Role.BREAKS, "A search for opposite orders.", _two_searched),
    ),
)

CLAIMS = (EQ_1, EQ_2, EQ_3, EQ_4, TWO_DEFINITIONS)
