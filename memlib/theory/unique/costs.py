"""Complexity claims of Section 5 of `unique`: multiplications of the procedure, counted."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.unique.section_e import update_cost

CHAPTER = "part4/leave-one-out"

#: n and d_0 at the paper's scale.
PAPER_N, PAPER_D0 = 1000, 10**4
#: Samples and numbers of outputs for the count of one update.
SAMPLES, OUTPUTS = 100, (1, 10)


def symbols() -> Any:
    """n, k, m, d, d_0, C."""
    import sympy

    return sympy.symbols("n k m d d_0 C", positive=True)


def leading(count: Any, size: Any, power: int) -> Any:
    """The limit of a count over a power of one size, to be evaluated by the derivation."""
    import sympy

    return sympy.Limit(count / size**power, size, sympy.oo)


def at(count: Any, **sizes: int) -> Any:
    """A count at some sizes, to be evaluated by the derivation."""
    import sympy

    names = [symbol for symbol in count.free_symbols if str(symbol) in sizes]
    names.sort(key=str)
    return sympy.Subs(count, names, [sizes[str(symbol)] for symbol in names])


# The kernel --------------------------------------------------------------------------------------


def inner_products(n: Any, k: Any, d0: Any) -> Any:
    """All inner products of n k vectors of length d_0: the matrix is symmetric."""
    return n * k * (n * k + 1) / 2 * d0


def kernel_cost() -> Derivation:
    """One backward pass per output and sample; inner products on d_0 coordinates."""
    n, k, _, d, d0, _ = symbols()
    passes = n * k * d
    products = inner_products(n, k, d0)
    return Derivation(
        "Multiplications for the kernel",
        (
            Step("leading order in n", leading(passes + products, n, 2), k**2 * d0 / 2),
            Step("two vectors have three inner products", at(products, n=2, k=1), 3 * d0),
            Step("leading order in d", leading(passes + products, d, 1), n * k),
        ),
    )


def _kernel_tight() -> Evidence:
    products = PAPER_N * (PAPER_N + 1) // 2
    share = Fraction(products, PAPER_N**2)
    layers = PAPER_D0 // 2000
    summary = (
        rf"$n=1000$, $k=1$: the inner products number {show(share)} of $n^2k^2$; no power can be "
        rf"lower. ($d_0\approx10^4$ is {layers} layers at 2000 coordinates each; ResNet-18 has "
        "21.)"
    )
    return Evidence(share == Fraction(1001, 2000) and layers == 5, summary)


KERNEL = Claim(
    id="unique/cost-ntk",
    title="Cost of the kernel",
    paper="unique",
    location="Section 5, Efficient Implementation",
    printed=r"""
"[...] computing the NTK matrix takes $O(nkd+n^2k^2d_0)$ time", with $d_0$ sub-sampled weight
coordinates.""",
    assumptions=("a backward pass costs a multiple of $d$",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed: one backward pass per output of each sample, and $\frac12nk(nk+1)$ inner products of
length $d_0$.
""",
    proof="Count.",
    rebuttal="",
    effect=r"""
None. With 21 layers (ResNet-18), two thousand coordinates per layer are $d_0\approx4\cdot10^4$.
""",
    prior_art="Zancato et al. (2020).",
    chapter=CHAPTER,
    gist="As printed (multiplications counted).",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Counted.", lambda: derived(kernel_cost())),
        Check(Kind.EXACT, Role.SHARP, "At 1000 samples.", _kernel_tight),
    ),
)


# Weights -----------------------------------------------------------------------------------------


def procedure(n: Any, k: Any, d0: Any, c: Any) -> Any:
    """All w - w_-i: the kernel, an update by Eq. (30) and a pass over the data per sample."""
    return inner_products(n, k, d0) + n * (update_cost(n, k) + c)


def update_counted() -> Derivation:
    """What the procedure of Section 5 with Appendix E's update costs, in n and in k."""
    n, k, _, _, d0, c = symbols()
    whole = procedure(n, k, d0, c)
    return Derivation(
        "All samples, by Eq. (30)",
        (
            Step(
                "in k the update is cubic", leading(update_cost(n, k), k, 3), 2 * n**2 - 2 * n + 1
            ),
            Step("the kernel of one sample with one output", at(whole, n=1, k=1), d0 + c + 1),
            Step("all of them: cubic in n, times k^3", leading(whole, n, 3), 2 * k**3),
        ),
    )


def _factor_k() -> Evidence:
    one, ten = (Fraction(update_cost(SAMPLES, k), (SAMPLES * k) ** 2) for k in OUTPUTS)
    summary = (
        rf"Multiplications of one update over the printed $n^2k^2$, $n=100$: {float(one):.4f} for "
        rf"$k=1$ and {float(ten):.4f} for $k=10$. The ratio grows with $k$."
    )
    return Evidence(one == Fraction(19801, 10**4) and ten == 10 * one, summary)


COST_WEIGHTS = Claim(
    id="unique/cost-weights",
    title="Cost of all changes of weights",
    paper="unique",
    location="Section 5, Efficient Implementation",
    printed=r"""
"This can be done in quadratic time by using rank-one updates of the inverse (see Sec. E) [...]
Overall, the complexity of computing $w-w_{-i}$ for all training examples is
$O(n^2k^2d_0+n(n^2k^2+C))$".""",
    assumptions=("Appendix E's update; $C$ is one pass over the training data",),
    verdict=Verdict.MISPRINT,
    holds=r"""
$O(n^2k^2d_0+n(n^2k^3+C))$: a sample has $k$ rows, and Appendix E says $O(n^2k^3)$ itself. For
$k=1$ they agree. At $t=\infty$, with one inverse, $O(n^2k^2d_0+n^3k^3+nC)$ without any update.
""",
    proof=r"""
Eq. (30) costs $2n^2k^3$ multiplications to leading order (counted). $k$ rank-one updates, each
$O(n^2k^2)$, cost as much.
""",
    rebuttal=r"""
*$k$ is a constant.* Then so is $k^2$; the formula keeps track of $k$. The experiments of Table 1
have two classes and one output.
""",
    effect="None for one output; a factor of 10 for ten classes.",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist=r"$n(n^2k^3+C)$ in place of $n(n^2k^2+C)$, as Appendix E has it.",
    uses=("unique/sec-e-n-inversions", "unique/cost-ntk"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Counted.", lambda: derived(update_counted())),
        Check(Kind.EXACT, Role.SEPARATES, "One output and ten.", _factor_k),
    ),
)


# The exponential ---------------------------------------------------------------------------------


def secular() -> Derivation:
    """Removing the last row of a symmetric matrix: the new eigenvalues from the old ones."""
    import sympy

    a, b, c, u, v, d, x = sympy.symbols("a b c u v d x")
    theta = sympy.Matrix([[a, b, u], [b, c, v], [u, v, d]])
    one = sympy.eye(3)
    shifted = theta - x * one
    return Derivation(
        "The secular equation",
        (
            Step(
                "the characteristic polynomials of both, from one entry of the resolvent",
                shifted.adjugate()[-1, -1],
                sympy.Determinant(shifted[:-1, :-1]),
            ),
        ),
    )


def dense(size: int) -> int:
    """Multiplications of a product of two square matrices, counted one by one."""
    return sum(1 for _ in range(size) for _ in range(size) for _ in range(size))


def _dense() -> Evidence:
    sizes = (4, 8)
    counts = [dense(size) for size in sizes]
    per_entry = [count / size**2 for count, size in zip(counts, sizes, strict=True)]
    summary = (
        r"With eigenvectors in hand, the matrix $Ve^{-\eta tD}V^T$ takes a product of two "
        rf"$nk\times nk$ matrices: {counts[0]} and {counts[1]} multiplications for $nk=4,8$, "
        rf"{per_entry[0]:.0f} and {per_entry[1]:.0f} per entry, not a constant."
    )
    return Evidence(per_entry == list(sizes), summary)


COST_EXPONENTIAL = Claim(
    id="unique/cost-exponential",
    title="Cost of the exponential without one sample",
    paper="unique",
    location="Section 5, Efficient Implementation",
    printed=r"""
"Finally, when $t\ne\infty$ we need to recompute $e^{-\eta\Theta_0t}$ after removing an example.
This can be done in $O(n^2k^2)$ time by downdating the eigen-decomposition of $\Theta_0$ (Gu and
Eisenstat, 1995)." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
The new *eigenvalues* are the roots of a secular equation, $O(n^2k^2)$ for one removed row. The
exponential *times a vector*, which is what scores need, costs $O(n^2k^2)$ once eigenvectors are
there. The matrix itself is a dense product, $O(n^3k^3)$ by the usual count; and one sample is $k$
rows, so $k$ downdates. With $k$ counted, $O(n^2k^3)$ per sample is plausible for the vector.
""",
    proof=r"""
Removing the last row of $\Theta=VDV^T$: $\det(\Theta_{-i}-x)=\det(\Theta-x)\sum_jv_j^2/(d_j-x)$,
with $v$ the last row of $V$. The new eigenvectors are $V$ times a Cauchy-like matrix, which may be
applied to a vector in $O(n^2k^2)$ without being formed.
""",
    rebuttal=r"""
*Only the product with a vector is needed.* Then the order is right up to $k$.
""",
    tried=r"""
A count of operations is refuted only by a lower bound over all algorithms, which nobody has. We
checked what the cited downdate gives, eigenvalues and products with a vector, and that the matrix
itself takes a dense product the usual way; we did not run a downdate.
""",
    effect="None on scores.",
    prior_art="Golub (1973) for the secular equation; Gu and Eisenstat (1995).",
    chapter=CHAPTER,
    gist="Right for its product with a vector, per removed row; the matrix is a dense product.",
    uses=("unique/eq-11",),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The eigenvalues.", lambda: derived(secular())),
        Check(Kind.EXACT, Role.FAILING_STEP, "Forming the matrix.", _dense),
    ),
)


# Predictions -------------------------------------------------------------------------------------


def functional(n: Any, k: Any, m: Any, d0: Any) -> tuple[Any, Any]:
    """Printed formula, and the procedure: both kernels, then an update and m predictions each.

    Without the passes over the data, C.
    """
    printed = n * m * k**2 * d0 + n * (m * n * k**2 + n**2 * k**2)
    counted = (n**2 + n * m) * k**2 * d0 + n * (m * n * k**2 + n**2 * k**3)
    return printed, counted


def both_formulas() -> Derivation:
    """Where the two differ."""
    n, k, m, _, d0, _ = symbols()
    printed, counted = functional(n, k, m, d0)
    gap = n**2 * k**2 * d0 + n**3 * k**2 * (k - 1)
    return Derivation(
        "Two formulas",
        (
            Step("the training kernel, and a factor k", counted - printed, gap),
            Step("printed, at k = m = 1", printed.subs({k: 1, m: 1}), n * d0 + n**2 + n**3),
        ),
    )


def _one_test_sample() -> Evidence:
    (printed, counted), (many, same) = (functional(PAPER_N, 2, m, PAPER_D0) for m in TESTS)
    summary = (
        rf"$n=1000$, $d_0=10^4$, $k=2$: for one test sample {counted:.4g} against {printed:.4g} as "
        rf"printed, {counted / printed:.1f} times; for 1000 test samples {same:.4g} against "
        rf"{many:.4g}."
    )
    missing = 4 * 10**10 + 4 * 10**9
    pinned = printed == 4_044_000_000 and counted - printed == same - many == missing
    return Evidence(pinned and counted > 10 * printed, summary)


#: Numbers of test samples.
TESTS = (1, 1000)

COST_FUNCTIONAL = Claim(
    id="unique/cost-functional",
    title="Cost of functional sample information",
    paper="unique",
    location="Section 5, end of Efficient Implementation",
    printed=r"""
"The complexity of computing functional sample information for $m$ test samples is
$O(C+nmk^2d_0+n(mnk^2+n^2k^2))$." """,
    assumptions=("the procedure of Section 5",),
    verdict=Verdict.MISPRINT,
    holds=r"""
$O((1+\frac mn)kC+(n^2+nm)k^2d_0+n(mnk^2+n^2k^3))$. Missing are the training kernel itself,
$n^2k^2d_0$ (which the formula for weights has), a factor $k$ in the update, and the passes over the
test samples. For $k=1$ and $m$ of the order of $n$, as in Table 1, the printed order is right. At
$t=\infty$, with one inverse, the last term is $mn^2k^2+n^3k^3$ for all samples together.
""",
    proof=r"""
Count: the kernel of the training set is needed for $\Theta_0^{-1}$, at $n^2k^2d_0$; $k$ backward
passes per sample of the training and of the test set; Eq. (30) per sample.
""",
    rebuttal=r"""
*$m$ is of the order of $n$, and $k$ is small.* In Table 1 it is so ($m=n=1000$, $k=1$), and nothing
changes; with ten classes it is a factor of up to 10.
""",
    effect=r"""
None at the sizes of Table 1. For few test samples the training kernel dominates (11 or 12 times the
printed count at $m=1$, $k=1$ or 2).
""",
    prior_art="None needed.",
    chapter=CHAPTER,
    gist=r"$(n^2+nm)k^2d_0+n(mnk^2+n^2k^3)$: the training kernel and a factor $k$ are missing.",
    uses=("unique/cost-weights", "unique/cost-ntk"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Counted.", lambda: derived(both_formulas())),
        Check(Kind.EXACT, Role.SEPARATES, "One test sample.", _one_test_sample),
    ),
)


CLAIMS = (KERNEL, COST_WEIGHTS, COST_EXPONENTIAL, COST_FUNCTIONAL)
