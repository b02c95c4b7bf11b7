"""The step that Theorems 4.1 to 4.4 of the draft rest on: two upper bounds are equated (Eq. 33)."""

from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.linear_classifier import Training
from memlib.theory.orders.instances import (
    MOMENT,
    RANK,
    SMOOTH,
    TWINS,
    TWINS_TAU,
    UNBIASED,
    independent,
    sgd,
    squared_k_g,
)

LEARNED = r"$a$ and $b$ are learned, at $T_a$ and $T_b$, with the same threshold $\tau$ (Eq. 4)"
#: The solver decides all loss curves through these points.
CURVE = ("l0", "l1", "l2", "l3", "l4", "l5")


def upper_bound(training: Training, length: int) -> Fraction:
    """The right side of Eq. (31) after `length` steps: what the draft sets tau equal to."""
    run, curve = training.weights(), training.mean_curve()
    kappa = max(squared_k_g(w, training.data) for w in run[:length])
    drop = kappa * (curve[0] - curve[length]) / (length * training.rate)
    noise = training.smoothness() * training.largest_gradient()
    return drop + kappa * training.rate * noise / 2


def _refuted() -> Evidence:
    curve = TWINS.mean_curve()
    late, early = TWINS.time(0, TWINS_TAU), TWINS.time(1, TWINS_TAU)
    left, right = (
        early * (curve[0] - curve[late]),
        late * (curve[0] - curve[early]),
    )
    first, second = TWINS.curve(0), TWINS.curve(1)
    own = (early * (first[0] - first[late]), late * (second[0] - second[early]))
    learned = all(sum(TWINS.squares(i)[:t]) <= TWINS_TAU * t for i, t in enumerate((late, early)))
    summary = (
        rf"Two samples, one step to loss 0: $T_a={late}$, $T_b={early}$, and "
        rf"$T_b(\ell_0-\ell_{{T_a}})={show(left)}$ against "
        rf"$T_a(\ell_0-\ell_{{T_b}})={show(right)}$. With each sample's own loss for $\ell$: "
        rf"{show(own[0])} against {show(own[1])}."
    )
    assumptions = {**sgd(TWINS), RANK: independent(TWINS.data), LEARNED: learned}
    passed = 2 * left == right == Fraction(19801, 80000)
    passed = passed and own == (Fraction(1, 8), Fraction(9801, 40000))
    return Evidence(passed, summary, {}, assumptions, TWINS)


def _repaired() -> Evidence:
    batch = TWINS.batch_squares()
    times = [TWINS.time(i, TWINS_TAU) for i in (1, 0)]
    rows = [(sum(batch[:t]) / t, upper_bound(TWINS, t)) for t in times]
    summary = (
        "What (31) gives on the same run is two inequalities, not an equation: the mean squared "
        r"gradient of the batch and its bound are "
        + " and ".join(
            f"{float(a):.4g} ≤ {float(b):.4g} at $T={t}$"
            for t, (a, b) in zip(times, rows, strict=True)
        )
        + "; the two bounds differ."
    )
    (first, first_bound), (second, second_bound) = rows
    passed = first <= first_bound and second <= second_bound and first == 2 * second
    pinned = [round(bound) for bound in (first_bound, second_bound)]
    return Evidence(passed and pinned == [1549, 1875], summary, {}, {}, TWINS)


def algebra() -> Derivation:
    """From the equation of the two bounds to the last line of (33); T is a count, not an index."""
    import sympy

    kappa, rate, noise, first, at_a, at_b = sympy.symbols(r"\kappa \eta c \ell_0 \ell_a \ell_b")
    t_a, t_b = sympy.symbols("T_a T_b", positive=True)
    bound_a = kappa * (first - at_a) / (t_a * rate) + kappa * noise
    bound_b = kappa * (first - at_b) / (t_b * rate) + kappa * noise
    equated = t_b * (first - at_a) - t_a * (first - at_b)
    return Derivation(
        "The lines of (33)",
        (
            Step(
                "the bounds, equated and multiplied out",
                (bound_a - bound_b) * t_a * t_b * rate / kappa,
                equated,
            ),
            Step(
                "the last line: right minus left",
                (t_a * at_b - t_b * at_a) - first * (t_a - t_b),
                equated,
            ),
        ),
    )


def _convex() -> Evidence:
    import z3

    curve = z3.Reals(CURVE)
    steps = [after - before for before, after in pairwise(curve)]
    convex = [after > before for before, after in pairwise(steps)]
    later = [
        b * (curve[0] - at_a) < a * (curve[0] - at_b)
        for (b, at_b), (a, at_a) in combinations(list(enumerate(curve))[1:], 2)
    ]
    return decide(
        convex,
        z3.And(later),
        r"On a strictly convex loss curve $T_b(\ell_0-\ell_{T_a})<T_a(\ell_0-\ell_{T_b})$ whenever "
        rf"$T_a>T_b$ (all real curves through {', '.join(CURVE)}). So (33) forces $T_a=T_b$.",
    )


def drop_per_step(curve: Any, length: Any) -> Any:
    """Mean decrease of the training loss over the first steps, which (33) equates."""
    return (curve[0] - curve[length]) / length


def _one_value() -> Evidence:
    curve = TWINS.mean_curve()
    values = [drop_per_step(curve, t) for t in (1, 2)]
    summary = (
        r"If $T$ is *defined* by $\tau=$ bound, both samples have the same bound, a function of "
        rf"the training loss alone: $(\ell_0-\ell_T)/T$ is {show(values[0])} at $T=1$ and "
        rf"{show(values[1])} at $T=2$, so both get the same $T$ for every $\tau$."
    )
    return Evidence(values[0] == 2 * values[1] > 0, summary)


EQ_33 = Claim(
    id="orders/eq-33",
    title="Learning times are proportional to loss differences",
    paper="orders",
    location="Appendix E.2, Eq. (31) to (33), and the unnumbered (34) that E.2 refers to",
    printed=r"""
"The threshold for learning a sample from Equation 31 is given by"
$\tau=\frac{\kappa_m}{T\eta}\sum_{t<T}\mathbb E_t[\ell(w_t)-\ell(w_{t+1})]
+\frac{\kappa_m\eta L\Gamma^2}2$; "if both samples are learnt $\tau_a=\tau_b$", hence

$$T_b\,\mathbb E_t[\ell(\vec w_{T_a})-\ell(\vec w_0)]=T_a\,\mathbb E_t[\ell(\vec w_{T_b})-
\ell(\vec w_0)].$$""",
    assumptions=(SMOOTH, MOMENT, UNBIASED, RANK, LEARNED),
    verdict=Verdict.FALSE,
    holds=r"""
Two numbers below upper bounds need not have equal bounds. Learning says that the mean squared
gradient of $a$ up to $T_a$, and that of $b$ up to $T_b$, is at most $\tau$; (31) says that the mean
squared gradient of the batch up to $T$ is at most its right side, $U(T)$. Nothing follows about
$U(T_a)$ and $U(T_b)$. If the training loss
is strictly convex in $t$ (gradient descent on least squares with $\eta<1/\mathcal L$ that does not
start at an optimum), then $(\ell_0-\ell_T)/T$ is strictly decreasing, so (33) holds only when
$T_a=T_b$, and for $T_a>T_b$ the loss decrease $T_b(\ell_0-\ell_{T_a})$ is smaller than
$T_a(\ell_0-\ell_{T_b})$. Theorems 4.1 to 4.3 need the opposite inequality
$T_a(\ell_0-\ell_{T_b})\le T_b(\ell_0-\ell_{T_a})$, which the book calls H33.
""",
    proof=r"""
For $b<a$, strict convexity puts $\ell_b$ below the chord from $(0,\ell_0)$ to $(a,\ell_a)$:
$\ell_b<(1-\frac ba)\ell_0+\frac ba\ell_a$, that is $a(\ell_0-\ell_b)>b(\ell_0-\ell_a)$.
Gradient descent on least squares has $\ell_t-\ell^*=\sum_kc_k(1-\eta\lambda_k)^{2t}$ with
$c_k\ge0$, a sum of convex functions of $t$.

The counterexample has two samples whose residuals stay in the ratio 100 to 99 and vanish after one
step. With $\tau$ equal to the first gradient of the second sample, that one is learned at 1. The
first is above $\tau$ at 1 and, since all later gradients are 0, below it at 2. But
$\ell_1=\ell_2=0$, for the training loss and for each sample's own.
""",
    rebuttal=r"""
*$T$ is defined in E.2 as the time at which the bound equals $\tau$.* Then it is another learning
time, and not one of a sample: the bound is a function of the mean training loss, of $\eta$ and of
constants of the network, with no index $a$ or $b$ in it. Every sample has the same $T$, and the
theorems compare a number with itself. *$\ell$ is the loss of the one sample.* E.2 says that "the
losses are for all the samples", and SGD descends on their mean, so that (31) need not hold for one
of them; the instance breaks that reading, too. ($\kappa_m$ is a maximum over the first $T$ steps;
the proof cancels that of $T_a$ against that of $T_b$ as if they were one number, and starts it at
$t=1$ while the sum starts at $t=0$.)
""",
    effect=r"""
The proofs of Theorems 4.1, 4.2, 4.3 and 4.4 start from (33), and 4.6 uses 4.3. None of them is
proved. The published version still sets $\tau$ equal to an upper bound; whether its theorems stand
is judged there.
""",
    prior_art=r"""
That upper bounds cannot be subtracted or equated is common knowledge. Convexity of the loss curve
of gradient descent on a quadratic: textbook.
""",
    chapter="part2/memorization-and-learning-time",
    uses=(
        "orders/eq-4",
        "orders/eq-31",
    ),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Two samples, learned at 1 and at 2.", _refuted),
        Check(Kind.EXACT, Role.REPAIRED, "What (31) gives on that run.", _repaired),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The algebra from the equated bounds to the last line is right.",
            lambda: derived(algebra()),
        ),
        Check(Kind.DECIDED, Role.SEPARATES, "A convex loss curve excludes it.", _convex),
        Check(Kind.EXACT, Role.SEPARATES, "A threshold without a sample in it.", _one_value),
    ),
    gist=r"Being below two upper bounds does not make them equal; on convex loss curves (33) "
    r"forces $T_a=T_b$.",
)


CLAIMS = (EQ_33,)
