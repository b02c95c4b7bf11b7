"""Definitions of the published version: Eq. 1, 4, 5, 6 and 7."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.icml.instances import CONFLICT, FROM_ZERO, GIBBS, HALF, LONG_SHORT, ONE, Run
from memlib.theory.trajectories import learning_time
from memlib.theory.worlds import mean, memorization, parity

ODD = ((0, 1), (1, 1))
#: One input with both labels leaves the weight where it starts.
RESTING = tuple(Run(GIBBS, (((1,), 1), ((1,), -1)), (start,), ONE, 8) for start in (HALF, ONE))


# Eq. 1 -------------------------------------------------------------------------------------------


def _eq_1_range() -> Evidence:
    import z3

    inside, outside = z3.Reals("inside outside")
    return decide(
        [inside >= 0, inside <= 1, outside >= 0, outside <= 1],
        z3.And(inside - outside <= 1, inside - outside >= -1),
        r"$-1\le\mathrm{mem}\le1$.",
    )


def _eq_1_sign() -> Evidence:
    signed = memorization(parity, ODD, 0)
    positive = memorization(lambda data: parity(data[1:]), ODD, 0)
    summary = (
        rf"Both ends occur: the parity learner memorizes a bit by ${show(signed)}$, and the parity "
        rf"of all but the first bit by ${show(positive)}$. With an absolute value they would be "
        rf"one."
    )
    return Evidence((signed, positive) == (-1, 1), summary)


EQ_1 = Claim(
    id="orders-icml/eq-1",
    title="Memorization, signed",
    paper="orders-icml",
    location="Section 3, Eq. (1)",
    printed=r"""
$$\mathrm{mem}(S,\vec z_i)=\Pr_p[g_S^p(\vec x_i)=y_i]-
\Pr_p[g_{S^{\setminus i}}^p(\vec x_i)=y_i]$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"Feldman's definition, without the draft's absolute value; it takes every value "
    r"in $[-1,1]$.",
    holds=r"""
Feldman's definition. It lies in $[-1,1]$, and both ends occur. The draft's absolute value
(`orders/eq-2`) is gone, and with it the claim that scores are positive.
""",
    proof="A difference of two probabilities. The examples are executed.",
    rebuttal="",
    effect="""
Theory and the scores of Feldman and Zhang, which the experiments use, now have the same sign.
""",
    prior_art="Feldman (2020).",
    chapter="part1/what-memorization-is",
    uses=("feldman/def-mem",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Its range.", _eq_1_range),
        Check(Kind.EXACT, Role.SHARP, "Both ends occur, and the sign matters.", _eq_1_sign),
    ),
)


# Eq. 4 -------------------------------------------------------------------------------------------


def _eq_4_gibbs() -> Evidence:
    import z3

    p, q, beta, bound = z3.Reals("p q beta bound")
    change = bound * (1 - q) - bound * (1 - p)
    return decide(
        [bound > 0, change <= beta, -change <= beta],
        z3.And(p - q <= beta / bound, q - p <= beta / bound),
        r"Gibbs loss, one seed: $|p-q|\le\beta/L$; the mean over seeds gives "
        r"$|\mathrm{mem}(z_i)|\le\beta/L$ for every sample.",
    )


def _eq_4_sharp() -> Evidence:
    run = FROM_ZERO
    mem, beta = run.memorization(0), run.beta()
    (full,), (alone,) = run.paths(), run.paths(0)
    error = mean([run.at(alone[-1], z) - run.at(full[-1], z) for z in run.data])
    summary = (
        rf"Two samples, one step from 0: $\mathrm{{mem}}={show(mem)}=\beta/L$ for each. The error "
        rf"stability of the draft (`orders/eq-1`) is {show(error)} there, below memorization."
    )
    return Evidence(mem == beta == Fraction(3, 8) and error == Fraction(1, 8), summary)


EQ_4 = Claim(
    id="orders-icml/eq-4",
    title="Uniform stability, seed by seed",
    paper="orders-icml",
    location="Section 3, Eq. (4)",
    printed=r"""
$$\bigl|\ell(g_S^p,\vec z)-\ell(g_{S^{\setminus i}}^p,\vec z)\bigr|\le\beta,\qquad
\forall i\in\{1,\dots,m\}$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"A strong notion: for Gibbs loss it says $|\mathrm{mem}|\le\beta/L$ for every sample.",
    holds=r"""
With "for all $\vec z$ and $p$" supplied (the proofs use it at $z=z_i$ and for each seed), a
definition. It is much stronger than the error stability of the draft: for Gibbs loss it bounds
$|\mathrm{mem}(z_i)|$ by $\beta/L$ for *every* sample, with equality possible. It is also stronger
than the stability that is known of SGD, see `orders-icml/stability-of-sgd`.
""",
    proof=r"""
At $z=z_i$ the difference of Gibbs losses is $L$ times the difference of the two chances of $y_i$.
""",
    rebuttal="",
    effect=r"""
Where memorization is large, $\beta$ is at least as large. In the setting of the experiments
(samples with scores near 1) the assumption allows nothing below $\beta=L$ for Gibbs loss.
""",
    prior_art="""
Bousquet and Elisseeff (2002); the paper cites Kearns and Ron (1997), whose notion is weaker.
""",
    chapter="part1/what-memorization-is",
    uses=("feldman/def-mem",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "What it says about memorization.", _eq_4_gibbs),
        Check(Kind.EXACT, Role.SHARP, "Equality.", _eq_4_sharp),
    ),
)


# Eq. 5 -------------------------------------------------------------------------------------------


def telescoped(count: int) -> Derivation:
    """CSL minus the offset of D.3 for a run of `count` steps."""
    import sympy

    losses = sympy.symbols(f"l_0:{count + 1}")
    csl, xi = map(sympy.UnevaluatedExpr, (sum(losses[:count]), sum(losses[1:])))
    return Derivation(
        f"CSL against its offset, {count} steps",
        (Step("all but two losses cancel", csl - xi, losses[0] - losses[count]),),
    )


def _eq_5_sharp() -> Evidence:
    run = LONG_SHORT
    whole = [run.csl(i) + run.curve(i)[-1] for i in (0, 1)]
    csl = [run.csl(i) for i in (0, 1)]
    summary = (
        rf"{run.steps} terms. Two samples of one run: CSL {float(csl[0]):.3f} and "
        rf"{float(csl[1]):.3f}; the draft's sum with one term more is {float(whole[0]):.3f} and "
        rf"{float(whole[1]):.3f}."
    )
    pinned = [round(1000 * value) for value in (*csl, *whole)]
    return Evidence(run.steps == 4 and pinned == [500, 1028, 500, 1078], summary)


EQ_5 = Claim(
    id="orders-icml/eq-5",
    title="Cumulative sample loss",
    paper="orders-icml",
    location="Section 5.1, Eq. (5)",
    printed=r"""
$$\mathrm{CSL}(\vec z_i)=\sum_{t=0}^{T_{max}-1}\ell(\vec w_t,\vec z_i)$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"$T_{max}$ terms, $w_0$ to $w_{T_{max}-1}$; the draft has one more.",
    holds=r"""
Well defined: $T_{max}$ terms, from $w_0$ to $w_{T_{max}-1}$. The draft's sum (`orders/eq-3`) has
one more, the loss at the end. With the sum as printed here, CSL minus the offset $\xi$ of D.3
telescopes on average: $\mathbb E\,\mathrm{CSL}-\xi=\mathbb E[\ell(w_0)-\ell(w_{T_{max}})]$.
""",
    proof="The telescoping sum is verified symbolically.",
    rebuttal="",
    effect=r"""
That CSL minus its offset contains no cumulated loss is what `orders-icml/thm-5.4` and
`orders-icml/thm-5.5` turn on. The ranking by CSL, which the experiments use, is unaffected.
""",
    prior_art="""
The mean loss of a sample over training finds wrong labels in O2U-Net (Huang et al., 2019).
""",
    chapter="part1/watching-a-network-learn",
    checks=(
        Check(
            Kind.SYMBOLIC, Role.SUPPORTS, "CSL minus its offset.", lambda: derived(telescoped(5))
        ),
        Check(Kind.EXACT, Role.SHARP, "The number of terms.", _eq_5_sharp),
    ),
)


# Eq. 6 and 7 -------------------------------------------------------------------------------------


def _eq_6_paths() -> Evidence:
    averages = []
    for run in RESTING:
        (squares,) = {tuple(run.squares(i)) for i in range(len(run.data))}
        averages.append(set(squares))
    expected = mean([next(iter(a)) for a in averages])
    summary = (
        r"One input with both labels, Gibbs loss: the mean gradient is 0 everywhere, so the weight "
        r"stays where it starts, at $\tfrac12$ or at 1. The average of Eq. (6) is "
        rf"{show(next(iter(averages[0])))} on the first path and {show(next(iter(averages[1])))} "
        rf"on "
        rf"the second for every $T$, never the expectation {show(expected)}."
    )
    return Evidence(averages == [{Fraction(1, 16)}, {Fraction(0)}], summary)


def uniform_iterate(count: int) -> Derivation:
    """The mean over a uniform random iterate, given the path."""
    import sympy

    squares = sympy.symbols(f"g_0:{count}")
    chance = sympy.Rational(1, count)
    return Derivation(
        "A uniform random iterate of a given path",
        (
            Step(
                "the expectation over R is the average over t: nothing is approximated",
                sum(chance * value for value in squares),
                sympy.UnevaluatedExpr(sum(squares)) / count,
            ),
        ),
    )


EQ_6 = Claim(
    id="orders-icml/eq-6",
    title="The sample learning condition and the law of large numbers",
    paper="orders-icml",
    location="Section 5.2, Eq. (6)",
    printed=r"""
$$\mathbb E_R\bigl[\|\nabla_{x_i}\ell(\vec w_R)\|_2^2\bigr]\approx\frac1T\sum_{t=0}^{T-1}
\|\nabla_{x_i}\ell(\vec w_t)\|_2^2\le\tau,$$

"the approximation is justified by the law of large numbers".""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist="An identity on one path; across training randomness the law of large numbers "
    "does not apply.",
    holds=r"""
If $R$ is uniform on $0,\dots,T-1$ and the path is given, the two sides are *equal*. If the left
side is also averaged over the randomness of training, as the convergence theorem has it, the
average along one path need not come near it, at any $T$: iterates of one run are neither
independent nor identically distributed.
""",
    proof="Both halves are executed.",
    rebuttal=r"""
*In practice runs resemble each other.* Perhaps; that is an assumption on the algorithm. The
theorems can be read with $\mathbb E$ on both sides, and then nothing is lost here.
""",
    tried=r"""
On one path it cannot be refuted: there it is an identity. As an approximation across seeds the two
paths above break it at every $T$; the text does not say over what the expectation is taken.
""",
    effect=r"""
Theorem 5.2 bounds an expectation, and Eq. (7) defines learning time by one path.
""",
    prior_art="Ghadimi and Lan (2013) state the convergence in expectation over $R$ and the noise.",
    chapter="part1/watching-a-network-learn",
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "On one path it is an identity.",
            lambda: derived(uniform_iterate(4)),
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "Two paths that never meet.", _eq_6_paths),
    ),
)


def _eq_7_empty() -> Evidence:
    squares = CONFLICT.squares(0)
    tau = max(squares) / 2
    summary = (
        rf"One input with the labels 0 and 1, at the least-squares solution: each gradient is "
        rf"{show(max(squares))} at every step. For $\tau={show(tau)}$ no $T$ meets the condition; "
        rf"the "
        r"set in Eq. (7) is empty and its minimum is not defined."
    )
    flat = set(squares) == {Fraction(1, 16)}
    return Evidence(flat and learning_time(squares, tau) is None, summary)


EQ_7 = Claim(
    id="orders-icml/eq-7",
    title="Learning time is the first time",
    paper="orders-icml",
    location="Section 5.2, Eq. (7); the threshold of the experiments, Eq. (17)",
    printed=r"""
$$T_{z_i}=\min_T\Bigl\{T:\frac1T\sum_{t=0}^{T-1}\|\nabla_{x_i}\ell(\vec w_t)\|_2^2
\le\tau\Bigr\}$$""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist="A definition where the condition is met at some time; it need never be met.",
    holds=r"""
The minimum, which the draft left out (`orders/eq-4`), makes learning time a well-defined integer
$T\ge1$ wherever the condition is met at some time. It need not be: for two copies of an input with
different labels the average never falls. The theorems take expectations of $T_{z_i}$, so a value
is needed there; `memlib` gives such a sample the number of recorded weights. ($T=0$ is excluded by
the division; Eq. (17), which averages over $T\in\{0,\dots,T_{max}\}$, means $T\ge1$.)
""",
    proof="Executed.",
    rebuttal=r"""
*Theorem 5.2 guarantees that the condition is met.* See `orders-icml/thm-5.2`: not for duplicates
with different labels, which are what the experiments of Section 7 look for.
""",
    tried=r"""
A definition asserts nothing. That it always defines a number is refuted by the run above; the text
says so of no sample in particular, and the statement that the condition *is* met is tried as
`orders-icml/thm-5.2`.
""",
    effect=r"""
Unlike the draft, the published experiments say that they use this definition, with the mean of the
running averages as threshold. Samples that never meet the condition are not mentioned.
""",
    prior_art="A first passage time.",
    chapter="part1/watching-a-network-learn",
    uses=("orders-icml/eq-6",),
    checks=(Check(Kind.EXACT, Role.FAILING_STEP, "A sample that is never learned.", _eq_7_empty),),
)


CLAIMS = (EQ_1, EQ_4, EQ_5, EQ_6, EQ_7)
