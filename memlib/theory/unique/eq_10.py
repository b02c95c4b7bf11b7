"""Training of a linearized network in closed form (`unique` Eq. 10, 11), and in steps."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide_on_box, derived, enumerate_all, show
from memlib.theory.linearized import Network, kernel, minimum, rows, targets

CHAPTER = "part4/linearized-networks"

# Eq. 10 and 11 -----------------------------------------------------------------------------------

#: Two samples in three weights, kernel (2 1; 1 2) with the eigenvalues 1 and 3.
PAIR = Network(((1, 1, 0), (0, 1, 1)), (1, 3))


def flow(network: Network, time: Any) -> Any:
    """exp(-Theta t) for an invertible kernel, `(n, n)`, as matrix of functions of t."""
    values, vectors = [], []
    for value, _, basis in kernel(network).eigenvects():
        values += [value] * len(basis)
        vectors += basis
    import sympy

    p = sympy.Matrix.hstack(*vectors)
    return p * sympy.diag(*(sympy.exp(-value * time) for value in values)) * p.inv()


def trained(network: Network, time: Any) -> Any:
    """w_t - w_0 by the corrected Eq. (10), for eta = 1, `(d, 1)`."""
    import sympy

    j, y = rows(network), targets(network)
    return j.T * kernel(network).inv() * (sympy.eye(j.rows) - flow(network, time)) * y


def training() -> Derivation:
    """The corrected Eq. (10) solves gradient flow; its outputs are Eq. (11)."""
    import sympy

    t = sympy.Symbol("t", positive=True)
    j, y = rows(PAIR), targets(PAIR)
    w = trained(PAIR, t)
    descent, kept = -j.T * (j * w - y), w.applyfunc(lambda v: sympy.UnevaluatedExpr(v.expand()))
    outputs = (sympy.eye(j.rows) - flow(PAIR, t)) * y
    return Derivation(
        "Gradient flow on two samples",
        (
            *(
                Step(f"weight {i + 1} follows the gradient", sympy.Derivative(w[i].expand(), t), d)
                for i, d in enumerate(descent)
            ),
            *(
                Step(f"weight {i + 1} starts at w_0", sympy.Subs(x.expand(), t, START), 0)
                for i, x in enumerate(w)
            ),
            *(
                Step(f"output {i + 1} is that of Eq. (11)", (j * kept)[i], o)
                for i, o in enumerate(outputs)
            ),
        ),
    )


START = 0


def one_mode() -> Derivation:
    """One direction of the kernel, of eigenvalue theta: the general case, mode by mode."""
    import sympy

    theta, eta, t = sympy.symbols("theta eta t", positive=True)
    y, f0 = sympy.symbols("y f_0", real=True)
    f = f0 + (1 - sympy.exp(-eta * theta * t)) * (y - f0)
    return Derivation(
        "One mode",
        (
            Step("Eq. (11) follows the gradient", f.diff(t), -eta * theta * (f - y)),
            Step("from f_0", sympy.Subs(f, t, START), f0),
            Step("to the label", sympy.Limit(f, t, sympy.oo), y),
        ),
    )


def _sign() -> Evidence:
    import sympy

    t = sympy.Symbol("t", positive=True)
    end = [sympy.limit(x, t, sympy.oo) for x in trained(PAIR, t)]
    printed = [-x for x in end]
    losses = [
        sum(e**2 for e in rows(PAIR) * sympy.Matrix(w) - targets(PAIR)) / 2 for w in (end, printed)
    ]
    before = sum(y**2 for y in targets(PAIR)) / 2
    summary = (
        rf"Two samples, $w_0=0$, $f_0=0$, labels 1 and 3, $t\to\infty$: the loss goes from "
        rf"{before} to {losses[0]} with $Y-f_0$, and to {losses[1]} with $f_0-Y$ as printed."
    )
    return Evidence(losses == [0, 20] and before == 5 and end == list(minimum(PAIR)), summary)


EQ_10 = Claim(
    id="unique/eq-10",
    title="Weights of a linearized network during training",
    paper="unique",
    location="Section 5, Eq. (10)",
    printed=r"""
$$w_t=\nabla_wf_0(X)\Theta_0^{-1}\bigl(I-e^{-\eta\Theta_0t}\bigr)(f_0(X)-Y).$$""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
With $w_0$ and the other sign,

$$w_t=w_0+\nabla_wf_0(X)\Theta_0^{-1}\bigl(I-e^{-\eta\Theta_0t}\bigr)(Y-f_0(X))$$

for an invertible $\Theta_0$. So Eq. (50) and (11) have it.
""",
    proof=r"""
Differentiate: $\dot w=\eta\nabla f_0(X)e^{-\eta\Theta_0t}(Y-f_0)=-\eta\nabla f_0(X)(f_t-Y)$.
""",
    rebuttal=r"""
*Only differences of weights are used, and Eq. (11) and (50) are right.* Both true. Whoever plots
$w_t$ from the printed formula sees the loss rise.
""",
    effect=r"""
None: $w_0$ and the sign drop out of $\|w-w_{-i}\|$.
""",
    prior_art="Lee et al. (2019), with the right sign.",
    chapter=CHAPTER,
    gist=r"With $w_0+$ in front and $Y-f_0(X)$ in place of $f_0(X)-Y$.",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Two samples.", lambda: derived(training())),
        Check(Kind.EXACT, Role.SEPARATES, "Where each formula ends.", _sign),
    ),
)


def _singular() -> Evidence:
    twins = Network(((1,), (1,)), (0, 2))
    singular = kernel(twins).det() == 0
    summary = (
        rf"One input with the labels 0 and 2: $\Theta_0$ has no inverse, so (11) is not defined, "
        rf"while training ends at the output {minimum(twins)[0]}."
    )
    return Evidence(bool(singular and minimum(twins)[0] == 1), summary)


EQ_11 = Claim(
    id="unique/eq-11",
    title="Outputs of a linearized network during training",
    paper="unique",
    location="Section 5, Eq. (11)",
    printed=r"""
$$f_t^{lin}(x)=f_0(x)+\Theta_0(x,X)\Theta_0^{-1}\bigl(I-e^{-\eta\Theta_0t}\bigr)(Y-f_0(X)).$$""",
    assumptions=("continuous-time gradient descent on the sum of squared errors, $w_0$ the start",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed, for an invertible $\Theta_0$; otherwise read $\Theta_0^{-1}(I-e^{-\eta\Theta_0t})$ as
the power series $\eta t-\frac12\eta^2t^2\Theta_0+\dots$, which needs no inverse.
""",
    proof=r"""
On the training inputs $\dot f=-\eta\Theta_0(f-Y)$; in the eigenbasis of $\Theta_0$ each mode is a
scalar equation. At any $x$, $\dot f(x)=-\eta\Theta_0(x,X)(f_t(X)-Y)$; integrate.
""",
    rebuttal="",
    effect="None.",
    prior_art="Jacot et al. (2018), Lee et al. (2019).",
    chapter=CHAPTER,
    gist=r"As printed, for an invertible $\Theta_0$.",
    uses=("unique/eq-10",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Mode by mode.", lambda: derived(one_mode())),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Two samples.", lambda: derived(training())),
        Check(Kind.EXACT, Role.SHARP, "A singular kernel.", _singular),
    ),
)


# Discrete steps ----------------------------------------------------------------------------------

#: Numbers of steps and rates (eta times an eigenvalue) for the exhaustive check.
STEPS, RATES = (1, 2, 3, 8), tuple(Fraction(k, 8) for k in range(1, 9))
#: The box of the solver: step rates up to 1.
RATE_BOX = ((Fraction(1, 64), Fraction(1)),)


def left(rate: Fraction, steps: int) -> Fraction:
    """Share of the initial error left after discrete steps, run one by one."""
    error = Fraction(1)
    for _ in range(steps):
        error -= rate * error
    return error


def _steps() -> Iterator[tuple[Fraction, int]]:
    yield from product(RATES, STEPS)


def _power() -> Evidence:
    return enumerate_all(
        _steps(),
        lambda case: left(*case) == (1 - case[0]) ** case[1] >= 0,
        r"Step by step, the share of a mode's error that is left after $t$ steps is "
        r"$(1-\eta\theta)^t$.",
        count=len(STEPS) * len(RATES),
    )


def closeness() -> Derivation:
    """How far discrete descent can be from the flow, in a mode of rate x <= 1."""
    import sympy

    x, t = sympy.symbols("x t", positive=True)
    gap = t * x**2 * sympy.exp(-t * x)
    peak = 2 / t
    return Derivation(
        "Discrete steps against the flow",
        (
            Step(
                "e^x >= 1 + x: the share left per step, against 1 - x^2 (divided by 1 - x)",
                (1 - x**2) / (1 - x),
                1 + x,
            ),
            Step("the bound t x^2 e^(-t x) is stationary", sympy.Subs(gap.diff(x), x, peak), 0),
            Step("and there only", sympy.factor(gap.diff(x) / gap), (2 - t * x) / x),
            Step("its value", sympy.Subs(gap, x, peak), 4 / (sympy.exp(2) * t)),
        ),
    )


def _close() -> Evidence:
    return decide_on_box(
        lambda x: x.exp() - 1 - x,
        RATE_BOX,
        r"$e^x>1+x$ for $x=\eta\theta\in[\tfrac1{64},1]$, so $(1-x)e^x\ge1-x^2$, and by Bernoulli "
        r"$0\le e^{-tx}-(1-x)^t\le tx^2e^{-tx}\le\frac4{e^2t}$.",
    )


def _far() -> Evidence:
    from flint import arb

    rate, steps = LARGE
    steps_left, flow_left = left(Fraction(rate), steps), arb(-rate * steps).exp()
    once = left(Fraction(1), 1)
    summary = (
        rf"$\eta\theta={rate}$, {steps} steps: descent has {show(steps_left)} times the initial "
        rf"error left, the flow {float(flow_left):.4f}. $\eta\theta=1$: descent is done after one "
        r"step, the flow has $e^{-1}$ left."
    )
    return Evidence(bool(steps_left == 4 and flow_left < 1 and once == 0), summary)


#: A step too large for discrete descent (eta times an eigenvalue), and how many of them.
LARGE = (3, 2)

DISCRETE = Claim(
    id="unique/discrete-descent",
    title="Eq. (10) and (11) as discrete gradient descent",
    paper="unique",
    location="Section 5, end of Functional Sample Information",
    printed=r"""
"We also focus on the case where the training algorithm $A$ is discrete gradient descent running for
$t$ epochs (equations 10 and 11)." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
Eq. (10) and (11) are continuous-time descent. For $t$ discrete steps replace $e^{-\eta\Theta_0t}$
by $(I-\eta\Theta_0)^t$. Where $\eta\theta_{max}\le1$ the two differ by at most $\frac4{e^2t}$ of
the initial error in each mode ($5\cdot10^{-4}$ at $t=1000$); where $\eta\theta_{max}>2$ discrete
descent diverges and the flow does not.
""",
    proof=r"""
$e_{t+1}=(1-\eta\theta)e_t$ in a mode. With $x=\eta\theta\in[0,1]$: $1-x\le e^{-x}$ gives
$(1-x)^t\le e^{-tx}$. And $(1-x)e^x\ge(1-x)(1+x)=1-x^2$, so $(1-x)^te^{tx}\ge(1-x^2)^t\ge1-tx^2$;
$tx^2e^{-tx}$ is largest at $tx=2$.
""",
    rebuttal=r"""
*The flow is meant as an approximation, and the step sizes are small (0.0001 to 0.01).* What is
missing is a word on $\eta\theta_{max}$, as the kernel of 1000 samples has large eigenvalues; but
the networks did train, so $\eta\theta_{max}<2$ in the units of their loss. (By Table 2, $t$ counts
steps: 500 epochs of two batches are $t=1000$.)
""",
    tried=r"""
We tried to refute it as an approximation: where $\eta\theta_{max}\le1$ the bound above rules that
out, and where $\eta\theta_{max}>2$ it fails, but there training diverges, and the networks did
train.
""",
    effect=r"""
Small where training is stable. The conclusion's "without requiring the limit of small learning
rate (continuous training time)" is true of the discrete formula, not of the one printed.
""",
    prior_art="Lee et al. (2019) give both formulas.",
    chapter=CHAPTER,
    gist=r"Discrete: $(I-\eta\Theta_0)^t$; within $\frac4{e^2t}$ of the printed flow if "
    r"$\eta\theta_{max}\le1$.",
    uses=("unique/eq-10", "unique/eq-11"),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "Steps, one by one.", _power),
        Check(Kind.DECIDED, Role.SUPPORTS, "How close the two are.", _close),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "At the worst rate.", lambda: derived(closeness())),
        Check(Kind.DECIDED, Role.FAILING_STEP, "Large steps.", _far),
    ),
)


# Bounded in time ---------------------------------------------------------------------------------


def bounded() -> Derivation:
    """Weights of one mode: never longer than at the end."""
    import sympy

    s, eta, t = sympy.symbols("s eta t", positive=True)  # s: singular value of the Jacobian
    y = sympy.Symbol("y", positive=True)
    w = (1 - sympy.exp(-eta * s**2 * t)) * y / s
    return Derivation(
        "One mode of the weights",
        (
            Step("it follows the gradient", sympy.Derivative(w, t), -eta * s * (s * w - y)),
            Step("it grows", w.diff(t), 0, ">=", eta * s * y * sympy.exp(-eta * s**2 * t)),
            Step("to a finite end", sympy.Limit(w, t, sympy.oo), y / s),
        ),
    )


def _logistic() -> Evidence:
    import sympy

    w = sympy.Symbol("w", positive=True)
    speed = 1 / (1 + sympy.exp(w))  # gradient flow of ln(1 + e^-w), one sample
    clock = w + sympy.exp(w)
    rate = sympy.simplify(clock.diff(w) * speed)
    end = sympy.limit(clock, w, sympy.oo)
    summary = (
        r"One sample, cross-entropy: $w+e^w$ grows at the constant rate "
        rf"${rate}$, so $w_t\to\infty$, while without the sample $w=0$: SI is unbounded in $t$."
    )
    return Evidence(bool(rate == 1 and end == sympy.oo), summary)


BOUNDED = Claim(
    id="unique/bounded-in-time",
    title="Smoothed information remains bounded for any time",
    paper="unique",
    location="Section 2, on Shwartz-Ziv and Alemi",
    printed=r"""
"[...] we consider the unique information about a single example [...] by considering smoothed
information, which remains bounded for any time." """,
    assumptions=("a linearized network with MSE loss and $\\Sigma$ fixed",),
    verdict=Verdict.HOLDS,
    holds=r"""
For MSE, with $\Sigma\succ0$ fixed: $\|w_t-w_0\|\le\|w_\infty-w_0\|$, so that $\mathrm{SI}_\Sigma$
is bounded in $t$, with $\lambda=0$ too. For cross-entropy on separable data it is not.
""",
    proof=r"""
In the singular basis of $\nabla f_0(X)$ each mode of the weights moves monotonically to its end;
modes with singular value 0 do not move. Both trainings stay in a ball, and Eq. (5) is bounded
there.
""",
    rebuttal="",
    effect="It supports the choice of MSE.",
    prior_art="Soudry et al. (2018) for the divergence under cross-entropy.",
    chapter=CHAPTER,
    gist=r"For MSE and a fixed $\Sigma$; not for cross-entropy on separable data.",
    uses=("unique/prop-3.2", "unique/eq-10"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "One mode.", lambda: derived(bounded())),
        Check(Kind.SYMBOLIC, Role.SHARP, "Cross-entropy.", _logistic),
    ),
)


CLAIMS = (EQ_10, EQ_11, DISCRETE, BOUNDED)
