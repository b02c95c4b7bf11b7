"""The definitions of `privacy` that curvature needs: Eq. (5), (6), (7) and upsilon-adjacency."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.curvature_worlds import Spline, at, is_smooth
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.worlds import mean, total

CHAPTER = "part3/curvature-and-memorization"

# Eq. (5): uniform model bias ---------------------------------------------------------------------

#: Numbers of two classes; of three, the first class twice as frequent; the same, renumbered.
TWO, THREE, RENUMBERED = (0, 1), (0, 0, 1, 2), (1, 1, 0, 2)


def _not_a_label() -> Evidence:
    center = mean([Fraction(y) for y in TWO])
    summary = (
        rf"Classes 0 and 1, a fair coin: $\mathbb E[y|x]={show(center)}\notin\mathcal Y$, where "
        r"$c:\mathcal Y\times\mathcal Y\to\mathbb R_+$ has no value."
    )
    return Evidence(center == Fraction(1, 2) and center not in TWO, summary)


def _depends_on_numbers() -> Evidence:
    labels = [tuple(Fraction(y) for y in ys) for ys in (THREE, RENUMBERED)]
    risks = []
    for ys in labels:
        center = mean(ys)
        wrong = mean([Fraction(round(center) != y) for y in ys])
        risks.append(wrong)
    summary = (
        rf"One class with probability $\tfrac12$ and two with $\tfrac14$. Numbered 0, 1, 2 the "
        rf"mean "
        rf"rounds to a rare class (error {show(risks[0])}), with the frequent class numbered 1 to "
        rf"the frequent one ({show(risks[1])})."
    )
    return Evidence(risks == [Fraction(3, 4), Fraction(1, 2)], summary)


def _implies_stability() -> Evidence:
    import z3

    with_it, left, best, bias = z3.Reals("with left best Delta")
    errors = (with_it - best, left - best)
    return decide(
        [*(e <= bias for e in errors), *(-e <= bias for e in errors)],
        with_it - left <= 2 * bias,
        r"(5) for $S$ and for $S^{\setminus i}$ gives (3) with $\beta=2\Delta$.",
    )


EQ_5 = Claim(
    id="privacy/eq-5",
    title="Uniform model bias",
    paper="privacy",
    location="Section 3, Eq. (5)",
    printed=r"""
$h^*=\mathbb E[y|x]$ is "the true conditional", and $\bigl|\mathbb
E_\phi[R(h_S^\phi)-R(h^*)]\bigr|\le\Delta$ for all $S\sim D^m$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
A definition for regression. For classes $\mathbb E[y|x]$ is not a label, so that its cost is not
defined, and depends on how the classes are numbered; any fixed reference risk will do instead. For
$S$ and $S^{\setminus i}$ together (5) implies (3) with $\beta=2\Delta$, so that the theorems assume
stability twice.
""",
    proof=r"""
Triangle inequality for the second part; the first is executed.
""",
    rebuttal=r"""
*For classification read: the Bayes classifier.* A good repair; only $|R(h_S)-R(h_{S^{\setminus
i}})|$ is ever used, so that it makes no difference.
""",
    tried=r"""
For regression it is a definition and asserts nothing. For classes two instances show that it
defines nothing. We tried to find a use of $h^*$ that would then fail: there is none, only
differences of risks are used.
""",
    effect=r"""
None beyond the assumption list, from which $\Delta$ can be dropped in favor of $\beta$.
""",
    prior_art=r"""
Elementary.
""",
    chapter=CHAPTER,
    uses=("privacy/eq-3",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The mean label is no label.", _not_a_label),
        Check(Kind.EXACT, Role.FAILING_STEP, "It depends on the numbering.", _depends_on_numbers),
        Check(Kind.DECIDED, Role.SUPPORTS, "It implies stability.", _implies_stability),
    ),
    gist=r"For regression only; implies (3) with $\beta=2\Delta$",
)


# Eq. (6): Lipschitz Hessian ----------------------------------------------------------------------

#: A squared loss through a rectifier, (max(x, 0) - 1)^2 / 2: its curvature jumps at 0.
RECTIFIED = Spline((-2, 0, 2), ((Fraction(1, 2),), (Fraction(1, 2), -1, Fraction(1, 2))))
SIDES = (Fraction(-1, 1000), Fraction(1, 1000))


def _rectifier() -> Evidence:
    left, right = (at(RECTIFIED, x, 2) for x in SIDES)
    slope = (right - left) / (SIDES[1] - SIDES[0])
    summary = (
        rf"One rectified unit with squared loss: the curvature is {show(left)} to the left of 0 "
        rf"and {show(right)} to its right. Between $\pm\tfrac1{{1000}}$ this takes "
        rf"$\rho\ge{show(slope)}$, "
        "and there is no limit."
    )
    return Evidence(slope == 500 and not is_smooth(RECTIFIED), summary)


def label_as_input() -> Derivation:
    """The Hessian of a squared loss in (x, y) and in x alone."""
    import sympy

    x, y = sympy.symbols("x y", real=True)
    in_x, in_y = (sympy.Derivative((x - y) ** 2 / 2, (v, 2)) for v in (x, y))
    return Derivation(
        "Squared loss of the identity",
        (
            Step("trace of the Hessian in z = (x, y)", in_x + in_y, 2),
            Step("trace of the Hessian in x", in_x, 1),
        ),
    )


EQ_6 = Claim(
    id="privacy/eq-6",
    title="Lipschitz Hessian",
    paper="privacy",
    location="Section 3, Eq. (6); Section 7",
    printed=r"""
$\|\nabla^2_{z_1}\ell(h,z_1)-\nabla^2_{z_2}\ell(h,z_2)\|\le\rho\|z_1-z_2\|$ for all
$z_1,z_2\in\mathcal Z$, $h\in\mathrm{Range}(\mathcal A)$. The theory relies on "stability,
generalization, and Lipshitzness, and thus can be applied in non-convex settings such as DNNs".""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
Read with derivatives in $x$, $\|x_1-x_2\|$, a convex domain, and twins that share the label. Then
it is a strong assumption: networks with rectifiers do not meet it for any $\rho$, and by `book/t0`
it bounds the curvature of a bounded loss without any algorithm.
""",
    proof=r"""
Executed: a rectified unit has no $\rho$; with labels counted as inputs the trace has another value.
""",
    rebuttal=r"""
*The kinks of a network have measure zero.* The segment between two twins crosses them, and all the
curvature of a piecewise-linear function is there. Smooth activations meet the assumption.
""",
    tried=r"""
The remark that the theory applies to networks is refuted for rectifier networks, by one unit. For
smooth activations it is not: bounded weights and inputs give them some $\rho$.
""",
    effect=r"""
The networks of Section 6 are rectifier networks: the theorems are not about them as they stand.
""",
    prior_art=r"""
Nesterov and Polyak (2006) for the assumption.
""",
    chapter=CHAPTER,
    uses=("book/t0",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "A rectified unit.", _rectifier),
        Check(
            Kind.SYMBOLIC,
            Role.SEPARATES,
            "The label as an input.",
            lambda: derived(label_as_input()),
        ),
    ),
    gist=r"In $x$, not $z$; rectifier networks meet it for no $\rho$",
)


# Eq. (7): curvature ------------------------------------------------------------------------------

SADDLE = (Fraction(1), Fraction(-1))


def trace_and_eigenvalues() -> Derivation:
    """The trace of a general symmetric 2 x 2 matrix."""
    import sympy

    a, b, c = sympy.symbols("a b c", real=True)
    root = sympy.sqrt((a - c) ** 2 + 4 * b**2)
    first, second = map(sympy.UnevaluatedExpr, ((a + c + root) / 2, (a + c - root) / 2))
    return Derivation(
        "H = [[a, b], [b, c]]",
        (
            Step("product of the two eigenvalues: the determinant", first * second, a * c - b**2),
            Step("their sum is the trace", first + second, a + c),
        ),
    )


def _saddle() -> Evidence:
    sums = total(SADDLE), total(abs(v) for v in SADDLE), total(v * v for v in SADDLE)
    summary = (
        rf"Eigenvalues 1 and -1: trace {show(sums[0])}, sum of absolute values {show(sums[1])} "
        rf"(what "
        rf"A.10 says earlier work used), trace of the square {show(sums[2])} (what is measured)."
    )
    return Evidence(sums == (0, 2, 2), summary)


EQ_7 = Claim(
    id="privacy/eq-7",
    title="Input loss curvature",
    paper="privacy",
    location="Section 3, Eq. (7); Appendix A.10",
    printed=r"""
$\mathrm{Curv}_\phi(z_i,S)=\mathrm{tr}(H)=\mathrm{tr}(\nabla^2_{z_i}\ell(h_S^\phi,z_i))$, "the sum
of the eigenvalues of the Hessian".""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
A definition, signed. It is not the sum of absolute eigenvalues, and not $\mathrm{tr}H^2$, which the
experiments measure; on a saddle they are 0, 2 and 2. They agree in kind only for semi-definite $H$.
""",
    proof=r"""
The trace is the sum of the eigenvalues; the saddle tells the three apart.
""",
    rebuttal=r"""
*A.10 discusses the difference.* It does, and repeats the experiments with the trace.
""",
    effect=r"""
memlib says of each score which of them it is.
""",
    prior_art=r"""
Moosavi-Dezfooli et al. (2019); Garg et al. (2024).
""",
    chapter="part3/measuring-curvature",
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Trace and eigenvalues.",
            lambda: derived(trace_and_eigenvalues()),
        ),
        Check(Kind.EXACT, Role.SHARP, "A saddle tells three scores apart.", _saddle),
    ),
    gist=r"The signed trace; not $\sum|\lambda|$ and not $\mathrm{tr}H^2$",
)


# upsilon-adjacency -------------------------------------------------------------------------------

#: A loss that is 0 on the population {0, 2, 4} and 1 between.
INPUTS, PLANTED = (0, 2, 4), 1


def _planted() -> Evidence:
    def loss(x: int) -> Fraction:
        return Fraction(x not in INPUTS)

    drawn = {abs(mean([loss(a), loss(b)])) for a in INPUTS for b in INPUTS}
    with_twin = mean([loss(INPUTS[0]), loss(INPUTS[0] + PLANTED)])
    summary = (
        rf"A fixed model without errors on the population, wrong between its points: every set "
        rf"drawn from $D^2$ has $|R_{{emp}}-R|={show(max(drawn))}$; with a twin planted, "
        rf"${show(with_twin)}$."
    )
    return Evidence(drawn == {0} and with_twin == Fraction(1, 2), summary)


ADJACENCY = Claim(
    id="privacy/upsilon-adjacency",
    title="Adjacency can be ensured by construction",
    paper="privacy",
    location="Section 3 (upsilon-adjacency); Section 5.1",
    printed=r"""
$S$ contains two elements with $z_j=z_i+\alpha$, $\alpha\in B_p(\upsilon)$; "this can be ensured
through construction" by adding $z_i+\alpha$ to $S'$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
A planted twin is not drawn from $D$, so that (4), about $S\sim D^m$, says nothing about the
constructed set. The theorems need more than two elements somewhere in $S$: a twin for the sample
$i$ at hand, with random $\alpha$ of mean 0. `book/t1` has both: it keeps $S^{\setminus i}$ as it is
and lets the fresh sample be the planted one.
""",
    proof=r"""
Executed: a model with no generalization gap on all data sets that can be drawn, and a gap of
$\frac12$ on a constructed one.
""",
    rebuttal=r"""
*One sample among $m$ changes the empirical risk by at most $L/m$.* Yes; the proofs multiply the gap
by $4m-1$.
""",
    tried=r"""
The construction gives $S$ an adjacent pair, as it says. On the constructed set the gap of
$\frac12$ breaks (4) as the proofs use it; (4) itself speaks of sets that are drawn, and of those
none was broken.
""",
    effect=r"""
Where the size of the ball "is unconstrained", so is the third-order term of $c_1$ and $c_2$.
""",
    prior_art=r"""
Elementary.
""",
    chapter=CHAPTER,
    uses=("privacy/eq-4", "book/t1"),
    checks=(Check(Kind.EXACT, Role.FAILING_STEP, "A planted twin.", _planted),),
    gist="A planted twin is not a draw from D; T1 plants the fresh sample instead",
)

CLAIMS = (EQ_5, EQ_6, EQ_7, ADJACENCY)
