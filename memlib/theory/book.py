"""The book's own results on learning time, CSL and CSG (R1, R2, R4), and their checks.

The constants of each statement stand in one small function or constant that every check uses, so
that a changed constant cannot go unnoticed.
"""

from collections.abc import Iterator
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
from memlib.theory.worlds import ONE, all_functions, without

LONGEST = 6  # the solver decides all real gradient sequences up to this length
STEPS = 4  # length of the exact runs

#: `|grad|**2 <= SELF_BOUND * L_z * loss`.
SELF_BOUND = 2


def gradient_bound(smoothness: Any, loss: Any) -> Any:
    """R1, second half: what the squared input gradient cannot exceed."""
    return SELF_BOUND * smoothness * loss


def time_bound(csg: Any, tau: Any) -> Any:
    """R1, first half: what learning time cannot exceed (rationals or solver terms)."""
    return 1 + csg / tau


def expected_loss(held_out: Any, mem: Any, scale: Any) -> Any:
    """R2: the expected loss of a sample, from its held-out loss and its memorization."""
    return held_out - scale * mem


# R1 ----------------------------------------------------------------------------------------------


def self_bounding() -> Derivation:
    """The descent inequality at its best step, and least squares, where it is an equality."""
    import sympy

    loss, slope, step, s = sympy.symbols(r"\ell g d s", nonnegative=True)
    smooth = sympy.Symbol("L_z", positive=True)
    w1, w2, x1, x2, y = sympy.symbols("w_1 w_2 x_1 x_2 y", real=True)
    upper = loss - slope * step + smooth * step**2 / 2
    best = slope / smooth
    square = (w1 * x1 + w2 * x2 - y) ** 2 / 2
    return Derivation(
        "Self-bounding",
        (
            Step(
                "a gradient with Lipschitz constant L overshoots by at most this on a step d",
                sympy.integrate(smooth * s * step**2, (s, 0, 1)),
                smooth * step**2 / 2,
            ),
            Step(
                "the upper bound is lowest at the step d = g / L",
                upper.diff(step).subs(step, best),
                0,
            ),
            Step(
                "its value there, which is at least 0 since the loss is",
                upper.subs(step, best),
                loss - slope**2 / (SELF_BOUND * smooth),
            ),
            Step(
                "least squares: the squared input gradient, against the bound",
                sum(square.diff(x) ** 2 for x in (x1, x2)),
                gradient_bound(w1**2 + w2**2, square),
            ),
        ),
    )


def _self_bounding_decided() -> Evidence:
    import z3

    loss, slope, smooth, below = z3.Reals("loss slope smooth below")
    descent = below <= loss - slope * (slope / smooth) + smooth / 2 * (slope / smooth) ** 2
    return decide(
        [smooth > 0, slope >= 0, below >= 0, descent],
        slope * slope <= gradient_bound(smooth, loss),
        r"If the loss is non-negative after the step, $\|\nabla\|^2\le 2\mathcal L_z\ell$.",
    )


def _time_bound_decided() -> Evidence:
    """All gradient sequences of length up to LONGEST, learned at any step or never."""
    import z3

    tau = z3.Real("tau")
    squares = z3.Reals([f"g{t}" for t in range(LONGEST)])
    cases = []
    for length in range(1, LONGEST + 1):
        for time in range(1, length + 2):  # time = length + 1: never learned
            late = [z3.Sum(squares[:k]) > tau * k for k in range(1, time)]
            cases.append(
                z3.Implies(z3.And(late), time <= time_bound(z3.Sum(squares[:length]), tau))
            )
    return decide(
        [tau > 0, *(g >= 0 for g in squares)],
        z3.And(cases),
        rf"$T\le1+\mathrm{{CSG}}/\tau$ for all real sequences of up to {LONGEST} gradients, every "
        r"$\tau>0$ and every $T$ (never learned is $T=N+1$).",
    )


def _time_bound_any_length() -> Evidence:
    import z3

    time, tau, before, total = z3.Reals("time tau before total")
    return decide(
        [tau > 0, time >= 1, total >= before, before >= 0]
        + [z3.Or(time == 1, before > (time - 1) * tau)],
        time <= time_bound(total, tau),
        r"For every length: not yet learned at $T-1$ means $(T-1)\tau<\mathrm{CSG}_{<T-1}$, and "
        r"$\mathrm{CSG}_{<T-1}\le\mathrm{CSG}$ gives the bound.",
    )


def descents() -> Iterator[tuple[tuple[runs.Vector, ...], Any, Fraction]]:
    """Least-squares runs on two samples in the plane: `(run, sample, tau)`, all exact."""
    points = [(1, 0), (0, 1), (1, 1), (2, -1)]
    taus = [Fraction(1, 8), Fraction(1, 2), Fraction(2)]
    for first, second in product(points, repeat=2):
        for label in (-1, 1):
            data = ((first, 1), (second, label))
            run = runs.descend(data, (Fraction(1, 2), Fraction(1, 3)), Fraction(1, 10), STEPS)
            yield from ((run, sample, tau) for sample in data for tau in taus)


def _r1_in_runs() -> Evidence:
    def holds(case: tuple[tuple[runs.Vector, ...], Any, Fraction]) -> bool:
        run, sample, tau = case
        squares = runs.squared_gradients(run, sample)
        time = runs.learning_time(squares, tau) or len(run) + 1
        csg, csl = sum(squares), sum(runs.losses(run, sample))
        chain = time_bound(gradient_bound(runs.smoothness(run), csl), tau)
        return time <= time_bound(csg, tau) <= chain

    return enumerate_all(
        descents(),
        holds,
        r"$T\le1+\mathrm{CSG}/\tau\le1+2\mathcal L_z\mathrm{CSL}/\tau$ in least-squares runs.",
    )


def conflicting_pair(length: int) -> tuple[tuple[runs.Vector, ...], Any]:
    """One input with the labels 0 and 2: gradient descent rests at w = 1 and learns neither."""
    data = (((1,), 0), ((1,), 2))
    return runs.descend(data, (1,), Fraction(1, 4), length - 1), data[0]


def _r1_sharp() -> Evidence:
    length, less = 20, Fraction(1, 1000)
    run, sample = conflicting_pair(length)
    squares, csl = runs.squared_gradients(run, sample), sum(runs.losses(run, sample))
    smooth = runs.smoothness(run)
    equal = sum(squares) == gradient_bound(smooth, csl)
    tau = ONE - less / 4  # just below the gradient, which stays at 1: never learned
    time = runs.learning_time(squares, tau) or length + 1
    weaker_factor = time > 1 + (2 - less) * smooth * csl / tau
    weaker_one = 1 > (1 - less) + Fraction(0)  # T = 1 with no gradient at all
    attained = runs.learning_time([Fraction(0)], tau) == time_bound(Fraction(0), tau) == 1
    summary = (
        rf"A mislabeled twin ({length} weights, $w=1$, $\mathcal L_z={smooth}$): "
        rf"$\mathrm{{CSG}}={sum(squares)}=2\mathcal L_z\mathrm{{CSL}}$, equality. With "
        rf"$\tau={show(tau)}$, $T={time}$, above $1+(2-\tfrac1{{1000}})\mathcal L_z"
        rf"\mathrm{{CSL}}/\tau={float(1 + (2 - less) * smooth * csl / tau):.4f}$. A sample without "
        r"any gradient has $T=1=1+0/\tau$."
    )
    return Evidence(equal and weaker_factor and weaker_one and attained, summary)


def _r1_searched() -> Evidence:
    from hypothesis import strategies as st

    squares = st.lists(st.fractions(0, 4, max_denominator=8), min_size=1, max_size=8)
    taus = st.fractions(Fraction(1, 64), 4, max_denominator=64)

    def breaks(case: tuple[list[Fraction], Fraction]) -> bool:
        values, tau = case
        return (runs.learning_time(values, tau) or len(values) + 1) > time_bound(sum(values), tau)

    found = search(st.tuples(squares, taus), breaks)
    return Evidence(found is None, f"500 gradient sequences tried, broken by: `{found}`.")


R1 = Claim(
    id="book/r1",
    title="R1: CSG and CSL bound learning time",
    paper="book",
    location="replaces Theorems 4.2 and 4.3 of the draft",
    printed=r"""
For every sample, every training algorithm and every run of $N$ recorded weights,

$$T_i\;\le\;1+\frac{\mathrm{CSG}(z_i)}{\tau}\;\le\;1+\frac{2\mathcal L_z}{\tau}\,\mathrm{CSL}(z_i),$$

where $T_i$ is the least $T\ge1$ with $\frac1T\sum_{t<T}\|\nabla_{z_i}\ell_t\|^2\le\tau$, and $N+1$
if there is none.""",
    assumptions=(
        r"$\tau>0$",
        r"for the second inequality: $\ell(w_t,\cdot)\ge0$ on all of $\mathbb R^n$, with an input "
        r"gradient that is $\mathcal L_z$-Lipschitz there, the same $\mathcal L_z$ for all $t$",
    ),
    verdict=Verdict.HOLDS,
    holds=r"As stated. The first inequality needs only $\tau>0$. The second is about smooth losses: "
    r"a ReLU network has $\mathcal L_z=\infty$, and then it says nothing.",
    proof=r"If $T_i\ge2$, the condition fails at $T_i-1$: "
    r"$(T_i-1)\tau<\mathrm{CSG}_{<T_i-1}\le\mathrm{CSG}$. For the second inequality take one step "
    r"$-\nabla\ell/\mathcal L_z$ in the input: "
    r"$0\le\ell(z-\nabla\ell/\mathcal L_z)\le\ell-\|\nabla\ell\|^2/(2\mathcal L_z)$; sum over $t$.",
    rebuttal=r"*This is too simple to replace a theorem with memorization in it.* It has no "
    r"reference sample, no PL condition, no rank condition and no exceptional samples because it "
    r"needs none; what it does not give is a bound by memorization, and no bound of that form "
    r"survives.",
    effect=r"The direction of the draft's Theorems 4.2 and 4.3 (little CSL or CSG means learned "
    r"early, in the sense of Eq. 4) is right, with explicit constants.",
    prior_art=r"The self-bounding property of smooth non-negative functions is classical: Srebro, "
    r"Sridharan and Tewari (2010, Lemma 2.1), Shalev-Shwartz and Ben-David (2014, Section 12.1.3). "
    r"The first inequality counts.",
    chapter="part1/watching-a-network-learn",
    uses=("orders/eq-3", "orders/eq-4"),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The self-bounding inequality, from one descent step.",
            lambda: derived(self_bounding()),
        ),
        Check(
            Kind.DECIDED,
            Role.SUPPORTS,
            "The self-bounding inequality, for all reals.",
            _self_bounding_decided,
        ),
        Check(
            Kind.DECIDED,
            Role.SUPPORTS,
            "The bound on learning time, for all short sequences.",
            _time_bound_decided,
        ),
        Check(
            Kind.DECIDED,
            Role.SUPPORTS,
            "The bound on learning time, for sequences of any length.",
            _time_bound_any_length,
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "The chain in real training runs.", _r1_in_runs),
        Check(Kind.EXACT, Role.SHARP, "Neither the 1 nor the 2 can be smaller.", _r1_sharp),
        Check(
            Kind.SEARCHED, Role.WITHSTANDS, "A search for a sequence that breaks it.", _r1_searched
        ),
    ),
)


# R4 ----------------------------------------------------------------------------------------------


def time_window(before: Any, upto: Any, tau: Any) -> tuple[Any, Any]:
    """R4: learning time T is at least the first number and below the second (if T >= 2).

    `upto` is the CSG of the first T steps, `before` that of the first T - 1.
    """
    return upto / tau, 1 + before / tau


def window_decided() -> Evidence:
    import z3

    tau = z3.Real("tau")
    squares = z3.Reals([f"g{t}" for t in range(LONGEST)])
    cases = []
    for time in range(1, LONGEST + 1):
        late = [z3.Sum(squares[:k]) > tau * k for k in range(1, time)]
        learned = z3.Sum(squares[:time]) <= tau * time
        low, high = time_window(z3.Sum(squares[: time - 1]), z3.Sum(squares[:time]), tau)
        inside = low <= time if time == 1 else z3.And(low <= time, time < high)
        cases.append(z3.Implies(z3.And(*late, learned), inside))
    return decide(
        [tau > 0, *(g >= 0 for g in squares)],
        z3.And(cases),
        r"$\mathrm{CSG}_{<T}/\tau\le T$, and for $T\ge2$ also $T<1+\mathrm{CSG}_{<T-1}/\tau$, for "
        rf"all real sequences of up to {LONGEST} gradients and every $\tau>0$.",
    )


def _r4_in_runs() -> Evidence:
    def holds(case: tuple[tuple[runs.Vector, ...], Any, Fraction]) -> bool:
        run, sample, tau = case
        squares = runs.squared_gradients(run, sample)
        time = runs.learning_time(squares, tau)
        if time is None:  # never learned: the whole run lies above the threshold
            return sum(squares) / tau > len(squares)
        low, high = time_window(sum(squares[: time - 1]), sum(squares[:time]), tau)
        return low <= time and (time == 1 or time < high)

    return enumerate_all(
        descents(), holds, r"The window, and $\mathrm{CSG}_{<N}>N\tau$ for what is never learned."
    )


def _r4_sharp() -> Evidence:
    tau, less = ONE, Fraction(1, 1000)
    constant = [tau] * 3  # learned at once, with equality below
    low, _ = time_window(Fraction(0), constant[0], tau)
    equality = runs.learning_time(constant, tau) == low == 1
    late = [tau + less / 2, Fraction(0)]
    time = runs.learning_time(late, tau)
    _, high = time_window(late[0], late[0], tau)
    tight = time == 2 and time < high and time >= high - less
    _, first = time_window(Fraction(0), constant[0], tau)
    excluded = not 1 < first  # at T = 1 the upper half would read 1 < 1
    never = [3 * tau] * 4
    unlearned = runs.learning_time(never, tau) is None and sum(never) / tau > len(never) + 1
    summary = (
        rf"Lower end: $T=1=\mathrm{{CSG}}_{{<1}}/\tau$. Upper end: gradients "
        rf"$({show(late[0])},0)$, $\tau=1$: $T=2<{show(high)}$, and a step shorter by "
        r"$1/1000$ fails. The condition $T\ge2$ is needed (at $T=1$ it would read $1<1$), and so is "
        r"*learned*: four gradients of $3\tau$ give $\mathrm{CSG}/\tau=12$, not at most $N+1=5$."
    )
    return Evidence(equality and tight and excluded and unlearned, summary)


R4 = Claim(
    id="book/r4",
    title="R4: learning time is truncated CSG, to within one step",
    paper="book",
    location="about Eq. (4) of the draft, (7) of the published version",
    printed=r"""
For a sample that is learned at $T_i$ in the sense of Eq. 4 (least $T$),

$$\frac{\mathrm{CSG}_{<T_i}(z_i)}{\tau}\;\le\;T_i\qquad\text{and, if }T_i\ge2,\qquad
T_i\;<\;1+\frac{\mathrm{CSG}_{<T_i-1}(z_i)}{\tau},$$

where $\mathrm{CSG}_{<T}$ sums the first $T$ squared gradients. A sample that is never learned in $N$
steps has $\mathrm{CSG}_{<N}>N\tau$.""",
    assumptions=(r"$\tau>0$", r"$T_i$ exists; $T_i\ge2$ for the upper half"),
    verdict=Verdict.HOLDS,
    holds=r"As stated: under Eq. 4, learning time *is* the CSG collected until then, in units of "
    r"$\tau$.",
    proof=r"The lower half is the condition at $T_i$, the upper half its failure at $T_i-1$.",
    rebuttal=r"*CSG is summed over the whole run, not up to $T_i$.* Right: what comes after $T_i$ is "
    r"free, and that is why the whole CSG bounds learning time from one side only (R1).",
    effect=r"A linear relation between learning time (Eq. 4) and CSG is built into the definition, "
    r"as far as it is there; seeing it in an experiment confirms no theorem.",
    prior_art=r"None needed: it restates the definition.",
    chapter="part1/watching-a-network-learn",
    uses=("orders/eq-3", "orders/eq-4"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The window, for all short sequences.", window_decided),
        Check(Kind.EXACT, Role.SUPPORTS, "The window in real training runs.", _r4_in_runs),
        Check(
            Kind.EXACT, Role.SHARP, "Both ends are reached; both conditions are needed.", _r4_sharp
        ),
    ),
)


# R2 ----------------------------------------------------------------------------------------------

SCALE = Fraction(5)  # the bound L of the Gibbs loss
HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)


def gibbs_trial(
    labels: tuple[int, ...], i: int, factor: Fraction = HALF, free: bool = False
) -> dict[str, list[Fraction]]:
    """One sample of a finite world, trained by multiplicative weights with and without it.

    Args:
        labels: Labels of the inputs 0, 1, ...
        i: The sample.
        factor: What a wrong hypothesis keeps of its weight at each step.
        free: Whether every labelling is a hypothesis (then the other samples say nothing about
            this one); else those with exactly one 1 are left out.

    Returns:
        Per step: `loss` (expected Gibbs loss, from the chance of each *wrong* label), `held_out`
        (the same, trained without i), and `mem` (from the chance of the *right* label).
    """
    data = tuple(enumerate(labels))
    every = all_functions(range(len(labels)), (0, 1))
    learner = runs.Hedge(tuple(h for h in every if free or sum(h.values()) != 1), factor)
    x, y = data[i]
    loss, held_out = (
        [SCALE * sum((p for label, p in step.items() if label != y), Fraction(0)) for step in steps]
        for steps in (
            learner.predictions(data, STEPS, x),
            learner.predictions(without(data, i), STEPS, x),
        )
    )
    inside, outside = learner.accuracies(data, i, STEPS)
    mem = [a - b for a, b in zip(inside, outside, strict=True)]
    return {"loss": loss, "held_out": held_out, "mem": mem}


def gibbs_trials() -> Iterator[dict[str, list[Fraction]]]:
    """Every labelling of three inputs and every sample of it, in both hypothesis classes."""
    for labels in product((0, 1), repeat=3):
        for i, free in product(range(3), (False, True)):
            yield gibbs_trial(labels, i, free=free)


def floor(held_out: list[Fraction], mem: list[Fraction]) -> Fraction:
    """R2, second half: what the expected CSL cannot fall below."""
    least = min(held_out) / SCALE
    return SCALE * sum((max(least - value, Fraction(0)) for value in mem), Fraction(0))


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
    def holds(trial: dict[str, list[Fraction]]) -> bool:
        steps = zip(trial["held_out"], trial["mem"], strict=True)
        return sum(trial["loss"]) == sum(expected_loss(h, mem, SCALE) for h, mem in steps)

    return enumerate_all(
        gibbs_trials(),
        holds,
        r"$\mathbb E\,\mathrm{CSL}=\sum_th_t-L\sum_t\mathrm{mem}_t$ with $L=5$: every labelling "
        rf"of three inputs, every sample, {STEPS} steps of multiplicative weights in all orders.",
    )


def _r2_floor() -> Evidence:
    return enumerate_all(
        gibbs_trials(),
        lambda trial: sum(trial["loss"]) >= floor(trial["held_out"], trial["mem"]),
        r"$\mathbb E\,\mathrm{CSL}\ge L\sum_t(m^*-\mathrm{mem}_t)_+$.",
    )


def _r2_floor_decided() -> Evidence:
    import z3

    loss, held_out, mem, scale, least = z3.Reals("loss heldout mem scale least")
    positive = z3.If(least > mem, least - mem, 0)
    return decide(
        [
            scale > 0,
            loss >= 0,
            loss == expected_loss(held_out, mem, scale),
            scale * least <= held_out,
        ],
        loss >= scale * positive,
        r"At every step, $\ell_t=h_t-L\,\mathrm{mem}_t\ge0$ and $Lm^*\le h_t$ give "
        r"$\ell_t\ge L(m^*-\mathrm{mem}_t)_+$.",
    )


def _r2_sharp() -> Evidence:
    trial = gibbs_trial((1, 1, 1), 0, free=True)
    mem, csl = sum(trial["mem"]), sum(trial["loss"])
    reached = csl == floor(trial["held_out"], trial["mem"]) > 0
    weaker = sum(trial["held_out"]) - Fraction(999, 1000) * SCALE * mem
    squares_in, squares_out = (
        sum((value / SCALE) ** 2 for value in trial[key]) for key in ("loss", "held_out")
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
    little, much = (gibbs_trial((1, 1, 1), 0, factor, free=True) for factor in (HALF, QUARTER))
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
    holds=r"As stated. The first half is an identity: it holds by definition for the loss-based "
    r"memorization $(h_t-\mathbb E\ell_t)/L$, whatever the loss; Gibbs loss is what ties it to "
    r"Feldman's. If moreover $m^*_i>0$ and $\mathrm{mem}_t\le m^*_i/2$ for the first $T_{1/2}$ steps, "
    r"then $m^*_i\le 2\,\mathbb E\,\mathrm{CSL}(z_i)/(L\,T_{1/2})$.",
    proof=r"$\mathbb E\ell_t=L(1-p_t)$ in training and $h_t=L(1-p^{\setminus i}_t)$ without, so their "
    r"difference is $L\,\mathrm{mem}_t$; sum over $t$. For the second half, $\mathbb E\ell_t\ge0$ "
    r"and $\mathbb E\ell_t=h_t-L\,\mathrm{mem}_t\ge L(m^*-\mathrm{mem}_t)$.",
    rebuttal=r"*In experiments CSL and memorization go together.* They do, and the identity says how: "
    r"samples that are hard when held out are the ones that can be memorized, and their $h_t$ is "
    r"large. The sign of the memorization term is still negative.",
    effect=r"CSL flags samples that are hard without themselves and memorized late. At a fixed "
    r"held-out loss, *more* memorization means *less* CSL.",
    prior_art=r"Elementary; it is the leave-one-out decomposition of training loss, summed over "
    r"training.",
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

CLAIMS = (R1, R2, R4)
