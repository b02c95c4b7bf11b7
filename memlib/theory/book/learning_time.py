"""The book's own results on learning time, CSG and CSL (R1, R4)."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all, search, show
from memlib.theory.worlds import ONE

#: Lengths of the real gradient sequences that the solver decides one by one.
LENGTHS = (1, 2, 3, 4, 5, 6)
#: The same with every step at which a sample may be learned; one more than the length is "never".
SHORT = tuple((length, time) for length in LENGTHS for time in range(1, length + 2))
#: Least-squares runs on two samples in the plane, each with a threshold.
DESCENTS = tuple(
    (
        runs.Descent(
            ((first, 1), (second, label)),
            (Fraction(1, 2), Fraction(1, 3)),
            Fraction(1, 10),
            4,
        ),
        tau,
    )
    for first, second in product([(1, 0), (0, 1), (1, 1), (2, -1)], repeat=2)
    for label in (-1, 1)
    for tau in (Fraction(1, 8), Fraction(1, 2), Fraction(2))
)
#: One input with the labels 0 and 2: gradient descent rests at w = 1 and learns neither.
CONFLICT = runs.Descent((((1,), 0), ((1,), 2)), (1,), Fraction(1, 4), 19)

#: `|grad|**2 <= SELF_BOUND * L_z * loss`.
SELF_BOUND = 2


def gradient_bound(smoothness: Any, loss: Any) -> Any:
    """R1, second half: what the squared input gradient cannot exceed (numbers, solver terms)."""
    return SELF_BOUND * smoothness * loss


def time_bound(csg: Any, tau: Any) -> Any:
    """R1, first half: what learning time cannot exceed (numbers or solver terms)."""
    return 1 + csg / tau


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
        [smooth > 0, below >= 0, descent],
        slope * slope <= gradient_bound(smooth, loss),
        r"If the loss is non-negative after the step, $\|\nabla\|^2\le 2\mathcal L_z\ell$.",
    )


def _time_bound_decided() -> Evidence:
    """All short gradient sequences, learned at any step or never."""
    import z3

    tau = z3.Real("tau")
    squares = z3.Reals([f"g{t}" for t in LENGTHS])
    cases = []
    for length, time in SHORT:
        late = [z3.Sum(squares[:k]) > tau * k for k in range(1, time)]
        cases.append(z3.Implies(z3.And(late), time <= time_bound(z3.Sum(squares[:length]), tau)))
    return decide(
        [tau > 0, *(g >= 0 for g in squares)],
        z3.And(cases),
        rf"$T\le1+\mathrm{{CSG}}/\tau$ for all real sequences of up to {LENGTHS[-1]} gradients, "
        r"every $\tau>0$ and every $T$ (never learned is $T=N+1$).",
    )


def _time_bound_any_length() -> Evidence:
    import z3

    time, tau, before, total = z3.Reals("time tau before total")
    return decide(
        [
            tau > 0,
            total >= before,
            before >= 0,
            z3.Or(time == 1, before > (time - 1) * tau),
        ],
        time <= time_bound(total, tau),
        r"For every length: not yet learned at $T-1$ means $(T-1)\tau<\mathrm{CSG}_{<T-1}$, and "
        r"$\mathrm{CSG}_{<T-1}\le\mathrm{CSG}$ gives the bound.",
    )


def descents() -> Iterator[tuple[tuple[runs.Vector, ...], Any, Fraction]]:
    """Both samples of each of the runs: `(run, sample, tau)`, all exact."""
    for world, tau in DESCENTS:
        run = world.run()
        yield from ((run, sample, tau) for sample in world.data)


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
        count=192,
    )


def _r1_sharp() -> Evidence:
    run, sample, less = CONFLICT.run(), CONFLICT.data[0], Fraction(1, 1000)
    length = len(run)
    squares, csl = runs.squared_gradients(run, sample), sum(runs.losses(run, sample))
    smooth = runs.smoothness(run)
    equal = sum(squares) == gradient_bound(smooth, csl)
    tau = ONE - less / 4  # just below the gradient, which stays at 1: never learned
    time = runs.learning_time(squares, tau) or length + 1
    weaker_factor = time > 1 + (2 - less) * smooth * csl / tau
    weaker_one = (1 - less) + Fraction(0) < 1  # T = 1 with no gradient at all
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

    squares = st.lists(st.integers(0, 32), min_size=1, max_size=8)

    def breaks(case: tuple[list[int], int]) -> bool:
        values, tau = [Fraction(value, 8) for value in case[0]], Fraction(case[1], 64)
        return (runs.learning_time(values, tau) or len(values) + 1) > time_bound(sum(values), tau)

    found = search(st.tuples(squares, st.integers(1, 256)), breaks)
    return Evidence(found is None, f"Sequences of up to 8 gradients; broken by: `{found}`.")


R1 = Claim(
    id="book/r1",
    title="R1: CSG and CSL bound learning time",
    paper="book",
    location="replaces Theorems 4.2 and 4.3 of the draft",
    printed=r"""
For every sample, every training algorithm and every run of $N$ recorded weights,

$$T_i\;\le\;1+\frac{\mathrm{CSG}(z_i)}{\tau}
\;\le\;1+\frac{2\mathcal L_z}{\tau}\,\mathrm{CSL}(z_i),$$

where $T_i$ is the least $T\ge1$ with $\frac1T\sum_{t<T}\|\nabla_{z_i}\ell_t\|^2\le\tau$, and $N+1$
if there is none.""",
    assumptions=(
        r"$\tau>0$",
        r"for the second inequality: $\ell(w_t,\cdot)\ge0$ on all of $\mathbb R^n$, with an input "
        r"gradient that is $\mathcal L_z$-Lipschitz there, the same $\mathcal L_z$ for all $t$",
    ),
    verdict=Verdict.HOLDS,
    gist=r"$T\le1+\mathrm{CSG}/\tau\le1+2\mathcal L_z\mathrm{CSL}/\tau$; neither "
    r"constant can be smaller.",
    holds=r"""
As stated. The first inequality needs only $\tau>0$ (memlib gives $N$ to a sample that is never
learned, for which it holds all the more). The second is about smooth losses: a ReLU
network has $\mathcal L_z=\infty$, and then it says nothing.
""",
    proof=r"""
If $T_i\ge2$, the condition fails at $T_i-1$: $(T_i-1)\tau<\mathrm{CSG}_{<T_i-1}\le\mathrm{CSG}$.
For the second inequality take one step $-\nabla\ell/\mathcal L_z$ in the input:
$0\le\ell(z-\nabla\ell/\mathcal L_z)\le\ell-\|\nabla\ell\|^2/(2\mathcal L_z)$; sum over $t$.
""",
    rebuttal=r"""
*This is too simple to replace a theorem with memorization in it.* It has no reference sample, no
PL condition, no rank condition and no exceptional samples because it needs none; what it does not
give is a bound by memorization, and no bound of that form survives.
""",
    effect=r"""
The direction of the draft's Theorems 4.2 and 4.3 (little CSL or CSG means learned early, in the
sense of Eq. 4) is right, with explicit constants.
""",
    prior_art=r"""
The self-bounding property of smooth non-negative functions is classical: Srebro, Sridharan and
Tewari (2010, Lemma 2.1, with the constant 4), Shalev-Shwartz and Ben-David (2014, Section 12.1.3,
with the constant 2). The first inequality counts.
""",
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
    """R4 for all real gradient sequences up to a length; the linear takeaway rests on it, too."""
    import z3

    tau = z3.Real("tau")
    squares = z3.Reals([f"g{t}" for t in LENGTHS])
    cases = []
    for time in LENGTHS:
        late = [z3.Sum(squares[:k]) > tau * k for k in range(1, time)]
        learned = z3.Sum(squares[:time]) <= tau * time
        low, high = time_window(z3.Sum(squares[: time - 1]), z3.Sum(squares[:time]), tau)
        inside = low <= time if time == 1 else z3.And(low <= time, time < high)
        cases.append(z3.Implies(z3.And(*late, learned), inside))
    return decide(
        [tau > 0],
        z3.And(cases),
        r"$\mathrm{CSG}_{<T}/\tau\le T$, and for $T\ge2$ also $T<1+\mathrm{CSG}_{<T-1}/\tau$, for "
        rf"all real sequences of up to {LENGTHS[-1]} gradients and every $\tau>0$.",
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
        descents(),
        holds,
        r"The window, and $\mathrm{CSG}_{<N}>N\tau$ for what is never learned.",
        count=192,
    )


def _r4_sharp() -> Evidence:
    tau, less = ONE, Fraction(1, 1000)
    constant = [tau] * 3  # learned at once, with equality below
    low, first = time_window(Fraction(0), constant[0], tau)
    equality = runs.learning_time(constant, tau) == low == 1
    late = [tau + less / 2, Fraction(0)]
    time = runs.learning_time(late, tau)
    _, high = time_window(late[0], late[0], tau)
    tight = time == 2 and time < high and time >= high - less
    excluded = first == 1  # at T = 1 the upper half would read 1 < 1
    never = [3 * tau] * 4
    unlearned = runs.learning_time(never, tau) is None and sum(never) / tau == 12
    summary = (
        rf"Lower end: $T=1=\mathrm{{CSG}}_{{<1}}/\tau$. Upper end: gradients "
        rf"$({show(late[0])},0)$, $\tau=1$: $T=2<{show(high)}$, and a step shorter by "
        r"$1/1000$ fails. The condition $T\ge2$ is needed (at $T=1$ it would read $1<1$), and so "
        r"is *learned*: four gradients of $3\tau$ give $\mathrm{CSG}/\tau=12$, not at most $N+1=5$."
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

where $\mathrm{CSG}_{<T}$ sums the first $T$ squared gradients. A sample that is never learned in
$N$ steps has $\mathrm{CSG}_{<N}>N\tau$.""",
    assumptions=(r"$\tau>0$", r"$T_i$ exists; $T_i\ge2$ for the upper half"),
    verdict=Verdict.HOLDS,
    gist=r"Learning time is the CSG collected until then, over $\tau$, to within one step.",
    holds=r"""
As stated: under Eq. 4, learning time *is* the CSG collected until then, in units of $\tau$.
""",
    proof=r"""
The lower half is the condition at $T_i$, the upper half its failure at $T_i-1$.
""",
    rebuttal=r"""
*CSG is summed over the whole run, not up to $T_i$.* Right: what comes after $T_i$ is free, and
that is why the whole CSG bounds learning time from one side only (R1).
""",
    effect=r"""
A linear relation between learning time (Eq. 4) and CSG is built into the definition, as far as it
is there; seeing it in an experiment confirms no theorem.
""",
    prior_art=r"""
None needed: it restates the definition.
""",
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


CLAIMS = (R1, R4)
