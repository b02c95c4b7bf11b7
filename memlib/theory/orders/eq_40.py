"""Equation (40) of the draft and the steps of E.5: from a Hessian to the sum of input gradients."""

from fractions import Fraction
from itertools import product
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, enumerate_all, show
from memlib.theory.orders.eq_36_39 import Fitted
from memlib.theory.orders.instances import MOMENT, UNBIASED
from memlib.theory.orders.thm_4_6 import NOISE
from memlib.theory.worlds import mean, total

CURVATURE = "part2/curvature-and-gradient"

# Eq. 40 ------------------------------------------------------------------------------------------

#: Coefficients a of l = a w**2 / 2 (any rho > 0 is admissible), and the two weights.
PARABOLAS, ENDS = (Fraction(1), Fraction(-1)), (Fraction(0), Fraction(2))


def _half() -> Evidence:
    start, end = ENDS
    rows = []
    for a in PARABOLAS:
        first, second = (a * w**2 / 2 for w in ENDS)
        quadratic = a * (end - start) ** 2
        rest = second - first - a * start * (end - start)
        rows.append((rest - quadratic, rest - quadratic / 2))
    summary = (
        r"$\ell=\frac12w^2$ and $\ell=-\frac12w^2$, from 0 to 2, any $\rho>0$: the left side of "
        r"(40) without the norm is "
        + " and ".join(show(printed) for printed, _ in rows)
        + r" as printed, and "
        + " and ".join(show(right) for _, right in rows)
        + r" with $\frac12$; the right side is $\frac{4\rho}3$."
    )
    return Evidence(rows == [(-2, 0), (2, 0)], summary)


def taylor() -> Derivation:
    """A cubic loss: the third-order remainder, with rho its third derivative."""
    import sympy

    w, d, a, b, rho = sympy.symbols(r"w d a b \rho")

    def loss(u: Any) -> Any:
        return a * u + b * u * u + rho * u**3 / 6

    slope, curvature = loss(w).diff(w), loss(w).diff(w, w)
    rest = loss(w + d) - loss(w) - slope * d - curvature * d**2 / 2
    return Derivation(
        "A cubic loss attains (40) with the factor 1/2",
        (Step("the remainder", rest, rho * d**3 / 6),),
    )


EQ_40 = Claim(
    id="orders/eq-40",
    title="The second-order expansion",
    paper="orders",
    location="Appendix E.5, Eq. (40)",
    printed=r"""
$$\bigl\|\ell(\vec w_2)-\ell(\vec w_1)-\langle\nabla\ell(\vec w_1),\vec w_2-\vec w_1\rangle-
\langle\nabla^2\ell(\vec w_1)(\vec w_2-\vec w_1),\vec w_2-\vec w_1\rangle\bigr\|\le\frac\rho6
\|\vec w_2-\vec w_1\|^3.$$""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"$\frac12$ is missing before the Hessian term; the $\frac\rho6$ is right and sharp.",
    holds=r"""
With $\frac12\langle\nabla^2\ell\,d,d\rangle$ it is the inequality of Nesterov and Polyak, for a
Hessian in $w$ that is $\rho$-Lipschitz in $w$. As printed it fails for every quadratic. In the rest
of E.5 only the upper bound is used, and the Hessian is replaced by its norm; there a factor 1 for
$\frac12$ only loosens: $C_2$ is twice as large as it need be on this account.
""",
    proof=r"""
Integrate the Hessian's Lipschitz condition twice along the segment (Eq. 17). A cubic attains it.
For the loosening: $\frac12\langle\nabla^2\ell\,d,d\rangle\le\frac12\|\nabla^2\ell\|\|d\|^2\le
\|\nabla^2\ell\|\|d\|^2$.
""",
    rebuttal=r"""
*The source has the factor.* It does, and so have we taken it; the same slip is in the paper that
E.5 follows. It is carried to the end of the proof.
""",
    effect="A factor 2 in $C_2$ of Theorem 4.6.",
    prior_art="Nesterov and Polyak (2006), Lemma 1.",
    chapter=CURVATURE,
    uses=("orders/eq-17",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "A cubic attains it.", lambda: derived(taylor())),
        Check(Kind.EXACT, Role.SEPARATES, "Two parabolas.", _half),
    ),
)


# The quadratic form ------------------------------------------------------------------------------

#: Vectors in the plane that a random gradient takes with equal chances, and symmetric matrices.
VECTORS = tuple((Fraction(a), Fraction(b)) for a, b in product((-1, 0, 2), repeat=2))
MATRICES = tuple(
    ((Fraction(a), Fraction(b)), (Fraction(b), Fraction(c)))
    for a, b, c in product((-1, 0, 2), repeat=3)
)
#: Three of them, so that each gradient has three values.
GRADIENTS = (VECTORS[:3], VECTORS[2:5], (VECTORS[0], VECTORS[4], VECTORS[8]))


def _form(matrix: Any, u: Any, v: Any) -> Fraction:
    return total(matrix[i][j] * u[i] * v[j] for i, _ in enumerate(u) for j, _ in enumerate(v))


def _quadratic() -> Evidence:
    traces = []

    def holds(case: tuple[Any, Any]) -> bool:
        matrix, values = case
        center = tuple(mean(list(column)) for column in zip(*values, strict=True))
        noise = [tuple(a - b for a, b in zip(v, center, strict=True)) for v in values]
        trace = mean([_form(matrix, n, n) for n in noise])  # tr(A Sigma)
        traces.append(trace)
        moment = mean([_form(matrix, v, v) for v in values])
        return moment == trace + _form(matrix, center, center)

    found = enumerate_all(
        product(MATRICES, GRADIENTS),
        holds,
        r"$\mathbb E[J^\top AJ]=\mathrm{tr}(A\Sigma)+\mu^\top A\mu$: all symmetric matrices of "
        r"size 2 "
        r"with entries $-1,0,2$, three random vectors.",
        count=81,
    )
    return Evidence(found.passed and total(traces) == 76, found.summary, found.data)


def _norm() -> Evidence:
    import z3

    top, p, q, r, a, b = z3.Reals("top p q r a b")
    return decide(
        [p <= top, r <= top, (top - p) * (top - r) >= q * q],  # A below top times the identity
        p * a * a + 2 * q * a * b + r * b * b <= top * (a * a + b * b),
        r"$u^\top Au\le\|A\||u|^2$ in the plane, for the noise and for the mean: so "
        r"$\mathbb E[J^\top AJ]\le\|A\|(\mathrm{tr}\Sigma+|\mu|^2)$.",
    )


def _equality() -> Evidence:
    # A = identity, J = 0 or 4: mean 2, variance 4, second moment 8.
    values = JUMP
    center = mean(values)
    variance, moment = mean([(v - center) ** 2 for v in values]), mean([v * v for v in values])
    doubled = variance + max(moment, center**2)
    summary = (
        rf"One dimension, $A=1$, $J$ is 0 or 4: $\mathbb E[J^\top "
        rf"AJ]={show(moment)}=\|A\|(\sigma^2+"
        rf"|\mu|^2)$, equality; with $\Gamma^2\ge\mathbb E|J|^2$ in place of $|\mu|^2$, as in "
        rf"$C_2$, it is {show(doubled)}."
    )
    passed = moment == variance + center**2
    return Evidence(passed and (moment, doubled) == (8, 12), summary)


#: A gradient that is 0 or 4, each half of the time.
JUMP = (Fraction(0), Fraction(4))


QUADRATIC_FORM = Claim(
    id="orders/e5-quadratic-form",
    title="The expected quadratic form of a noisy gradient",
    paper="orders",
    location="Appendix E.5, third term",
    printed=r"""
$\mathbb E[\mathbf J^\top\mathbf A\mathbf J]=\mathrm{tr}(\mathbf A\Sigma)+\mu^\top\mathbf A\mu\le
\|\nabla^2\ell\|(\sigma^2+\|\nabla\ell\|^2)$; after the sum over $t$ with $\sigma^2+\Gamma^2$.""",
    assumptions=(UNBIASED, NOISE, MOMENT),
    verdict=Verdict.LOOSE,
    gist=r"True and sharp with $\sigma^2+\|\nabla\ell\|^2$; that is $\mathbb E\|\tilde\nabla\|^2\le"
    r"\Gamma^2$, so $\sigma^2+\Gamma^2$ is too much.",
    holds=r"""
The identity and the first bound hold, with equality for $A=\|A\|I$. Since
$\mathrm{tr}\Sigma+\|\mu\|^2= \mathbb E\|\tilde\nabla\|^2\le\Gamma^2$ by (18), $\Gamma^2$ alone
suffices; the variance assumption is not needed.
""",
    proof=r"""
$J=\mu+N$ with $\mathbb EN=0$: the mixed terms vanish, $\mathbb E[N^\top AN]=\mathrm{tr}(A\Sigma)$.
Then $u^\top Au\le\|A\||u|^2$ for both.
""",
    rebuttal="*It is an upper bound all the same.* Yes: loose, not wrong.",
    effect=r"$C_2$ of Theorem 4.6 may have $\Gamma^2$ for $\sigma^2+\Gamma^2$.",
    prior_art="Expectation of a quadratic form: textbook.",
    chapter=CURVATURE,
    uses=("orders/eq-18",),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "The identity.", _quadratic),
        Check(Kind.DECIDED, Role.SUPPORTS, "The norm.", _norm),
        Check(Kind.EXACT, Role.ATTAINED, "Equality, and what is counted twice.", _equality),
    ),
)


# k_g or its square -------------------------------------------------------------------------------

STRAIGHT = r"$\|\nabla_X\ell\|\le k_g\|\nabla_w\ell\|$ (Lemma D.1)"
#: A small input at a larger weight.
THIN = Fitted(Fraction(1, 10), Fraction(5))


def _linear() -> Evidence:
    k_g = THIN.w / THIN.x
    inputs, weights = THIN.in_input(), THIN.in_weight()
    summary = (
        rf"One weight ($x=\tfrac1{{10}}$, $w=5$, label 1): $k_g={show(k_g)}$, "
        rf"$\|\nabla_X\|^2={show(inputs)}$, and $k_g\|\nabla_w\|^2={show(k_g * weights)}$."
    )
    passed = (inputs, k_g * weights) == (Fraction(25, 4), Fraction(1, 8))
    assumptions = {STRAIGHT: inputs <= k_g * k_g * weights}
    return Evidence(passed and inputs > k_g * weights, summary, {}, assumptions, THIN)


def _squared() -> Evidence:
    right = THIN.in_weight() * (THIN.w / THIN.x) ** 2
    summary = rf"$k_g^2\|\nabla_w\|^2={show(right)}$ there, equality."
    return Evidence(right == THIN.in_input(), summary, {}, {}, THIN)


K_G = Claim(
    id="orders/e5-k-g",
    title="The constant of Lemma D.1 in E.5",
    paper="orders",
    location="Appendix E.5, between the lines with $k_g\\sum\\|\\nabla_w\\|^2$ and "
    "$\\|\\nabla_X\\|^2$",
    printed=r"""
$\frac{\mathcal MT_{max}k_g}{2\lambda\ell(\vec w_0)}\sum_t\|\nabla_{w_t}\ell\|^2\le\dots$ is
followed by $\frac{\mathcal MT_{max}}{2\lambda\ell(\vec w_0)}\sum_t\|\nabla_X\ell\|^2\le\dots$ with
the same right side; so $\|\nabla_X\ell\|^2\le k_g\|\nabla_w\ell\|^2$.""",
    assumptions=(STRAIGHT,),
    verdict=Verdict.FALSE,
    gist=r"$\|\nabla_X\|^2\le k_g^2\|\nabla_w\|^2$: squared norms have the squared constant, as "
    r"in B.1.",
    holds=r"""
$\|\nabla_X\ell\|^2\le k_g^2\|\nabla_w\ell\|^2$, with equality for one neuron and one sample. With
$k_g$ it is true only for $k_g\le1$.
""",
    proof="Square Lemma D.1.",
    rebuttal=r"""
*Theorem B.1 has the square, so this is a slip.* It is one, and it is carried into (13), where $k_g$
is printed three times.
""",
    effect="It is why Theorem 4.6 fails as printed.",
    prior_art="Arithmetic.",
    chapter=CURVATURE,
    uses=("orders/lemma-d.1",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "One weight.", _linear),
        Check(Kind.EXACT, Role.REPAIRED, "The square, same weight.", _squared),
    ),
)


# The layer ---------------------------------------------------------------------------------------

#: f = v w x with v = 0, w = x = 1, label 1; the step size of the one step, in which v overshoots.
DEAD, LEAP = (Fraction(1), Fraction(0), Fraction(1)), (Fraction(3),)


def _other_layer() -> Evidence:
    (w, v, label), (rate,) = DEAD, LEAP
    residual = v * w - label
    in_w, second = residual * v, v * v  # gradient and Hessian in the first layer
    after = (v - rate * residual * w) * (w - rate * in_w) - label
    change = (after * after - residual * residual) / 2
    summary = (
        rf"$f=vwx$, $v=0$: the first layer has gradient {show(in_w)} and Hessian {show(second)}, "
        rf"so "
        rf"E.5 allows no change (with $\rho=0$ in $w$). With $\eta=3$ the last layer overshoots, "
        rf"and the loss changes by {show(change)}."
    )
    return Evidence((in_w, second, change) == (0, 0, Fraction(3, 2)), summary)


def _whole_hessian() -> Evidence:
    (w, v, label), (rate,) = DEAD, LEAP
    residual = v * w - label
    slope, second = residual * w, w * w  # in v, the only weight that moves
    change = ((residual - rate * second * residual) ** 2 - residual**2) / 2
    bound = -rate * slope**2 + rate**2 * second * slope**2 / 2
    summary = (
        rf"With gradient and Hessian of the layer that moves, the same step: "
        rf"${show(change)}\le{show(bound)}$, equality."
    )
    return Evidence(change == bound == Fraction(3, 2), summary)


LAYER = Claim(
    id="orders/e5-layer",
    title="The Hessian of the first layer stands for all layers",
    paper="orders",
    location="Appendix E.1 (notation) and E.5",
    printed=r"""
"we slightly abuse the notation by using $\vec w_t=\vec w^1_t$": E.5 bounds the change of the loss
by gradient and Hessian in the weights of the first layer.""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist="The expansion holds in all weights that move; E.5 with the first layer's Hessian needs "
    "the others frozen.",
    holds=r"""
E.5 holds if only $W_1$ is trained, or with gradient and Hessian in all weights; but Lemma D.2
compares the input Hessian with that of the first layer only, so that with all layers trained its
chain breaks.
""",
    proof=r"""
The expansion (40) is in the vector that moves. The instance has a first layer without gradient and
Hessian, while the last layer overshoots.
""",
    rebuttal=r"""
*The notation is declared.* Then the theorem is about networks whose other layers do not learn,
which the experiments are not.
""",
    tried=r"""
One step, above, breaks it if all layers move; no long run was sought, since other constants of
Theorem 4.6 break it first. If only the first layer is trained nothing breaks it.
""",
    effect="Theorem 4.6 is about training the first layer.",
    prior_art="Elementary.",
    chapter=CURVATURE,
    uses=("orders/eq-40",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "A step of the last layer.", _other_layer),
        Check(Kind.EXACT, Role.SUPPORTS, "The layer that moves.", _whole_hessian),
    ),
)


# Trace or norm -----------------------------------------------------------------------------------

#: A saddle in two inputs: the eigenvalues of its Hessian.
SADDLE = (Fraction(1), Fraction(-1))


def _saddle() -> Evidence:
    trace, squared = total(SADDLE), total(v * v for v in SADDLE)
    summary = (
        rf"$\ell=\frac12(x_1^2-x_2^2)$ near 0: $\mathrm{{tr}}H={show(trace)}$ and $\|H\|_F^2="
        rf"{show(squared)}$."
    )
    return Evidence((trace, squared) == (0, len(SADDLE)), summary)


def _positive() -> Evidence:
    import z3

    p, q, r = z3.Reals("p q r")
    return decide(
        [p >= 0, r >= 0, p * r >= q * q],
        z3.And(p + r >= 0, p * p + 2 * q * q + r * r <= (p + r) * (p + r)),
        r"If $H\succeq0$ (size 2): $\mathrm{tr}H\ge0$ and $\|H\|_F^2\le(\mathrm{tr}H)^2$.",
    )


TRACE = Claim(
    id="orders/curvature-trace-or-norm",
    title="Curvature is a trace in Section 2 and a norm in Theorem 4.6",
    paper="orders",
    location="Section 2 (input loss curvature) against Eq. (12) and E.5",
    printed=r"""
$\mathrm{Curv}_\phi(\vec z_i,S)=\mathrm{tr}(H)$; Theorem 4.6 bounds by
$\sum_t\|\nabla_X^2\ell(w_t)\|$ and speaks of "cumulative sample curvature".""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist=r"$\|H\|\le\mathrm{tr}H$ if $H\succeq0$; in general the trace may be 0 or negative "
    r"while the norm is not.",
    holds=r"""
If the input Hessian is positive semidefinite, $\|H\|_F\le\mathrm{tr}H$ and a bound by norms is one
by traces. Without that, none: positive and negative curvature cancel in the trace. For
piecewise-linear networks with softmax cross-entropy $H\succeq0$ almost everywhere, so that there
the two agree up to rank.
""",
    proof=r"""
Eigenvalues $\lambda_k\ge0$: $\sum\lambda_k^2\le(\sum\lambda_k)^2$. A saddle has trace 0.
""",
    rebuttal=r"""
*For ReLU networks the Hessian is positive semidefinite.* Almost everywhere, and then its Lipschitz
assumption (17) fails at the kinks.
""",
    tried=r"""
No run was sought, since the theorem is stated with norms. That norms are bounded by traces is
refuted by the saddle in general, and decided true for $H\succeq0$.
""",
    effect="What is bounded in Theorem 4.6 is not what is plotted as curvature.",
    prior_art="Linear algebra.",
    chapter=CURVATURE,
    uses=("orders/thm-4.6",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "A saddle.", _saddle),
        Check(Kind.DECIDED, Role.SUPPORTS, "Positive semidefinite.", _positive),
    ),
)


CLAIMS = (EQ_40, QUADRATIC_FORM, K_G, LAYER, TRACE)
