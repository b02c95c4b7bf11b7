"""Appendix F of `unique`: training with weight decay in closed form (Eq. 31 to 53)."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all
from memlib.theory.linearized import Network, hessian, kernel, minimum, rational, rows, targets

CHAPTER = "part4/linearized-networks"

#: Two samples in three weights (kernel eigenvalues 1 and 3), and three samples in two weights.
WIDE = Network(((1, 1, 0), (0, 1, 1)), (1, 3), Fraction(1))
TALL = Network(((1, 0), (0, 1), (1, 1)), (2, 0, 1), Fraction(2))
START = 0


def decayed(matrix: Any, time: Any) -> Any:
    """exp(-matrix * time) for a symmetric matrix with rational eigenvalues."""
    import sympy

    values, vectors = [], []
    for value, _, basis in matrix.eigenvects():
        values += [value] * len(basis)
        vectors += basis
    p = sympy.Matrix.hstack(*vectors)
    return p * sympy.diag(*(sympy.exp(-value * time) for value in values)) * p.inv()


def by_50(network: Network, time: Any) -> Any:
    """Eq. (50) with eta = 1, `(d, 1)`."""
    import sympy

    k = kernel(network)
    return rows(network).T * k.inv() * (sympy.eye(k.rows) - decayed(k, time)) * targets(network)


def by_38(network: Network, time: Any) -> Any:
    """Eq. (38) with eta = 1, `(d, 1)`."""
    import sympy

    h = hessian(network)
    return (sympy.eye(h.rows) - decayed(h, time)) * h.inv() * rows(network).T * targets(network)


# Eq. 31 to 40 ------------------------------------------------------------------------------------


def flow() -> Derivation:
    """Gradient flow of the loss of Section 1, on two samples in three weights."""
    import sympy

    t = sympy.Symbol("t", positive=True)
    w = by_38(WIDE, t).applyfunc(sympy.expand)
    j, y = rows(WIDE), targets(WIDE)
    v = sympy.Matrix(sympy.symbols("v_1 v_2 v_3", real=True))
    decay = rational(WIDE.decay)
    loss = sum(e**2 for e in j * v - y) / 2 + decay * (v.T * v)[0] / 2
    a, b = -hessian(WIDE), j.T * y
    rest = -a.inv() * b
    return Derivation(
        "Gradient flow with weight decay",
        (
            *(
                Step(f"(31) to (33), component {i + 1}", -sympy.Derivative(loss, x), (a * v + b)[i])
                for i, x in enumerate(v)
            ),
            *(
                Step(
                    f"(38) solves it, component {i + 1}",
                    sympy.Derivative(x, t),
                    (a * w + b)[i],
                )
                for i, x in enumerate(w)
            ),
            *(
                Step(f"from the start, component {i + 1}", sympy.Subs(x, t, START), 0)
                for i, x in enumerate(w)
            ),
            *(
                Step(f"to (35), component {i + 1}", sympy.Limit(x, t, sympy.oo), rest[i])
                for i, x in enumerate(w)
            ),
        ),
    )


def _eigenvalues() -> Evidence:
    plain = Network(WIDE.jacobian, WIDE.labels)
    without_decay = hessian(plain)
    smallest = min(hessian(WIDE).eigenvals())
    d, nk = without_decay.rows, len(plain.labels)
    zeros = without_decay.eigenvals()[0]
    summary = (
        rf"{nk} outputs, {d} weights. $\lambda=1$: the largest eigenvalue of $A$ is ${-smallest}$. "
        rf"$\lambda=0$: $A$ has {zeros} zero eigenvalue, no inverse, and (35) is not defined."
    )
    passed = smallest == 1 and zeros == d - nk == 1 and without_decay.det() == 0
    return Evidence(bool(passed), summary)


EQ_36 = Claim(
    id="unique/eq-36",
    title="Training with weight decay, and where it ends",
    paper="unique",
    location="Appendix F, Eq. (31) to (40)",
    printed=r"""
$\dot\omega=A\omega+b$ with $A=-\eta(\nabla_wf_0(X)\nabla_wf_0(X)^T+\lambda I)$. "Since all
eigenvalues of $A$ are negative, this ODE is stable and has steady-state"
$\omega^*=-A^{-1}b=(\nabla_wf_0(X)\nabla_wf_0(X)^T+\lambda I)^{-1}\nabla_wf_0(X)(Y-f_0(X))$, and
$\omega(t)=(I-e^{At})\omega^*$.""",
    assumptions=(r"$\lambda>0$ (weight decay)",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed, for $\lambda>0$. (Section 1 allows $\lambda=0$; then, for $nk<d$, $A$ has $d-nk$
eigenvalues 0, and Eq. (10), (11) take over.)
""",
    proof=r"""
The gradient of the loss is $\nabla f_0(X)(\nabla f_0(X)^T\omega+f_0-Y)+\lambda\omega$. A linear
equation with a stable matrix; $\omega(0)=0$.
""",
    rebuttal="",
    effect="None. The same reason makes the regularized loss strictly convex (Section 5).",
    prior_art="Textbook.",
    chapter=CHAPTER,
    gist=r"As printed, for $\lambda>0$; for $\lambda=0$ and $nk<d$, $A$ has zero eigenvalues.",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Two samples.", lambda: derived(flow())),
        Check(Kind.EXACT, Role.SHARP, "Without decay.", _eigenvalues),
    ),
)


# The SVD -----------------------------------------------------------------------------------------

#: Singular values 2 and 1, with the identity on both sides: nabla f = diag(2, 1).
DIAGONAL = Network(((2, 0), (0, 1)), (6, 4), Fraction(1))


def squared() -> Derivation:
    """With D squared, (40) and (50) agree and solve the equation, for every singular value."""
    import sympy

    s, decay, eta, t = sympy.symbols("s lambda eta t", positive=True)
    y = sympy.Symbol("y", real=True)
    rate = s**2 + decay
    omega = s / rate * (1 - sympy.exp(-eta * t * rate)) * y
    return Derivation(
        "One singular value",
        (
            Step("it starts at 0", sympy.Subs(omega, t, START), 0),
            Step(
                "it follows the gradient",
                omega.diff(t),
                -eta * (s * (s * omega - y) + decay * omega),
            ),
        ),
    )


def _svd_printed() -> Evidence:
    import sympy

    j = rows(DIAGONAL).T  # nabla f, `(d, nk)`
    one = sympy.eye(2)
    u, d, v = one, j, one
    theta = j.T * j
    decay = rational(DIAGONAL.decay)
    printed = ((d + decay * one).inv() * d * v.T) * targets(DIAGONAL)
    end = minimum(DIAGONAL)
    summary = (
        r"$\nabla f_0=\mathrm{diag}(2,1)=UDV^T$ with $U=V=I$: $\Theta_0=\mathrm{diag}(4,1)$, not "
        rf"$VDV^T=\mathrm{{diag}}(2,1)$. (46) as printed ends at ${tuple(printed)}$, training at "
        rf"${tuple(end)}$."
    )
    passed = theta == v * d**2 * v.T != v * d * v.T and u * d * v.T == j
    ends = list(printed) == [4, 2] and list(end) == [sympy.Rational(12, 5), 2]
    return Evidence(bool(passed and ends), summary)


SVD = Claim(
    id="unique/sec-f-svd",
    title="The singular value decomposition of the Jacobian",
    paper="unique",
    location="Appendix F, before Eq. (39), and Eq. (41) to (49)",
    printed=r"""
"If the SVD of $\nabla_wf_0(X)$ is $UDV^T$, then $\Theta_w=UDU^T$ and $\Theta_0=VDV^T$." So
$Z\triangleq(D+\lambda I)^{-1}D$.""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
$\Theta_w=UD^2U^T$, $\Theta_0=VD^2V^T$, and with them $D^2$ in place of $D$ in every $D+\lambda I$
(and $\tilde D^2$ in $\tilde D+\lambda I$): $Z=(D^2+\lambda I)^{-1}D$. The result (50) is right.
""",
    proof=r"""
$\nabla f\nabla f^T=UDV^TVDU^T=UD^2U^T$. For a singular value $s$, (40) gives
$(1-e^{-\eta t(s^2+\lambda)})\frac s{s^2+\lambda}$, as does (50). With the printed $D$, (46) would
end at $\frac s{s+\lambda}$.
""",
    rebuttal=r"""
*Read $D$ as the eigenvalues of the kernels.* Then the two products are right, but $UDV^T$ is not
the Jacobian, and (41) needs $D^{1/2}$ in its place. Either way one line changes.
""",
    effect="None: (50) is stated with $\\Theta_0$, and is right.",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist=r"$\Theta_0=VD^2V^T$ and $Z=(D^2+\lambda I)^{-1}D$; the result (50) is right.",
    uses=("unique/eq-36",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "With squares.", lambda: derived(squared())),
        Check(Kind.EXACT, Role.SEPARATES, "Singular values 2 and 1.", _svd_printed),
    ),
)


# Eq. 50 to 53 ------------------------------------------------------------------------------------


def push_through() -> Derivation:
    """The identity behind (50): any Jacobian of two outputs and two weights."""
    import sympy

    decay = sympy.Symbol("lambda", positive=True)
    j = sympy.Matrix(2, 2, sympy.symbols("j_1:5", real=True))  # nabla f, `(d, nk)`
    one = sympy.eye(2)
    left, right = j * j.T + decay * one, j.T * j + decay * one
    pairs = zip(left * j, j * right, strict=True)
    return Derivation(
        "Push-through: f(J J^T) J = J f(J^T J)",
        tuple(Step(f"entry {k + 1}", *pair) for k, pair in enumerate(pairs)),
    )


def _weights_and_kernel() -> Evidence:
    import sympy

    t = sympy.Symbol("t", positive=True)

    def holds(network: Network) -> bool:
        gap = (by_38(network, t) - by_50(network, t)).applyfunc(sympy.expand)
        end = by_50(network, t).applyfunc(lambda x: sympy.limit(x, t, sympy.oo))
        return bool(gap.is_zero_matrix and end == minimum(network))

    return enumerate_all(
        (WIDE, TALL),
        holds,
        r"(38) and (50) are the same functions of $t$, for $nk<d$ and for $nk>d$ (where the "
        r"derivation's $I_{d\times nk}$ does not fit, and the result holds).",
        count=2,
    )


def _degenerate() -> Evidence:
    import sympy

    plain = Network(TALL.jacobian, TALL.labels)
    singular = kernel(plain).det() == 0
    regular = kernel(TALL).det()
    summary = (
        r"Three samples in two weights: $\Theta_0$ is singular, so without decay (50) is not "
        rf"defined; with $\lambda=2$ the determinant of $\Theta_0+\lambda I$ is {regular}."
    )
    return Evidence(bool(singular and regular == sympy.Integer(30)), summary)


EQ_53 = Claim(
    id="unique/eq-53",
    title="Weights and outputs during training with weight decay",
    paper="unique",
    location="Appendix F, Eq. (50) to (53)",
    printed=r"""
$$\omega(t)=\nabla_wf_0(X)(\Theta_0+\lambda I)^{-1}\bigl(I-e^{-\eta t(\Theta_0+\lambda I)}\bigr)
(Y-f_0(X)),$$

$$f_t(x)=f_0(x)+\Theta_0(x,X)(\Theta_0+\lambda I)^{-1}\bigl(I-e^{-\eta t(\Theta_0+\lambda I)}\bigr)
(Y-f_0(X)).$$""",
    assumptions=(r"$\lambda>0$, or $\Theta_0$ invertible",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed, for every $n$, $k$, $d$. The derivation extends $U$ to a basis and writes
$I_{d\times nk}$, which needs $nk\le d$; the result does not.
""",
    proof=r"""
$(JJ^T+\lambda I)J=J(J^TJ+\lambda I)$ with $J=\nabla f_0(X)$, hence $g(JJ^T+\lambda I)J=
Jg(J^TJ+\lambda I)$ for every power series, and so for $g(x)=(1-e^{-\eta tx})/x$. Put it into (40).
""",
    rebuttal="",
    effect=r"""
"Essentially the same" as (10), (11), as Section 5 says: $\Theta_0+\lambda I$ in place of
$\Theta_0$, but not in $\Theta_0(x,X)$.
""",
    prior_art="Kernel ridge regression; Lee et al. (2019) for $\\lambda=0$.",
    chapter=CHAPTER,
    gist=r"As printed, for every $n,k,d$ (the derivation needs $nk\le d$, the result does not).",
    uses=("unique/eq-36", "unique/sec-f-svd"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Push-through.", lambda: derived(push_through())),
        Check(
            Kind.EXACT, Role.SUPPORTS, "Fewer and more samples than weights.", _weights_and_kernel
        ),
        Check(Kind.EXACT, Role.SHARP, "Neither decay nor an inverse.", _degenerate),
    ),
)


# The regularizer ---------------------------------------------------------------------------------


def plain_decay() -> Derivation:
    """One weight, regularized toward 0 and started elsewhere: still in closed form."""
    import sympy

    s, decay, eta, t = sympy.symbols("s lambda eta t", positive=True)
    w0, y = sympy.symbols("w_0 y", real=True)  # y: the label minus the output at the start
    rate = s**2 + decay
    omega = (1 - sympy.exp(-eta * rate * t)) / rate * (s * y - decay * w0)
    w = w0 + omega
    return Derivation(
        "Weight decay toward 0",
        (
            Step(
                "it follows the gradient",
                omega.diff(t),
                -eta * (s * (s * omega - y) + decay * w),
            ),
            Step("from w_0", sympy.Subs(w, t, START), w0),
        ),
    )


def _toward_start() -> Evidence:
    import sympy

    j = rows(WIDE)
    start = sympy.Matrix(AWAY)
    h = hessian(WIDE)
    decay = rational(WIDE.decay)
    toward_zero = h.inv() * (j.T * targets(WIDE) - decay * start)
    in_span = j.T.row_join(toward_zero).rank() == j.rows
    ours = j.T.row_join(minimum(WIDE)).rank() == j.rows
    summary = (
        r"What the regularizer around $w_0$ does buy: $w-w_0$ stays in the span of the gradients, "
        r"so that everything can be computed in the kernel. With $\|w\|^2$ and $w_0=(1,0,0)$ it "
        "leaves it."
    )
    return Evidence(bool(ours and not in_span), summary)


AWAY = (1, 0, 0)

REGULARIZER = Claim(
    id="unique/regularizer",
    title="Why weights decay toward their start",
    paper="unique",
    location="Section 1, Prerequisites and Notation",
    printed=r"""
"[...] the regularization term differs from standard weight decay $\|w\|_2^2$ and is more
appropriate for linearized neural networks, as it allows us to derive the dynamics
analytically".""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
It allows it, and so does standard weight decay: $\omega=(I-e^{At})(\Theta_w+\lambda I)^{-1}
[\nabla f_0(X)(Y-f_0)-\lambda w_0]$. What sets the printed term apart is that $w-w_0$ stays in the
span of the gradients, so that the kernel suffices.
""",
    proof=r"""
Both are linear equations. With $\lambda\|w\|^2/2$ the constant part has $-\lambda w_0$ in it, which
is in the span of the gradients only by chance.
""",
    rebuttal="",
    effect="None.",
    prior_art="Textbook.",
    chapter=CHAPTER,
    gist=r"Right, and $\Vert w\Vert^2$ allows it, too; around $w_0$ the kernel suffices.",
    uses=("unique/eq-36",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Toward 0, too.", lambda: derived(plain_decay())),
        Check(Kind.EXACT, Role.SHARP, "Only around the start: the span.", _toward_start),
    ),
)


CLAIMS = (EQ_36, SVD, EQ_53, REGULARIZER)
