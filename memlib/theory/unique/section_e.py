"""Appendix E of `unique`: the inverse of the kernel without one sample (Eq. 27 to 30)."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from memlib.theory.book.loo_one_inverse import at_once, by_training
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all
from memlib.theory.linearized import Network, kernel

CHAPTER = "part4/leave-one-out"

#: Networks whose last sample is removed, with one output and with two.
NETWORKS = (
    Network(((1, 0, 1), (0, 1, 1), (1, 1, 0)), (2, -1, 1)),
    Network(((1, 0), (1, 1), (2, -1)), (1, 3, 0), Fraction(1)),
    Network(((1, 0, 0, 1), (0, 1, 1, 0), (1, 1, 0, 0), (0, 0, 2, 1)), (1, 0, 2, 1), Fraction(0), 2),
    Network(((1, 0), (0, 1), (1, 1), (1, -1)), (1, 0, 2, 1), Fraction(1, 3), 2),
)


def blocks(matrix: Any, size: int) -> tuple[Any, Any, Any, Any]:
    """A matrix cut so that its last block has this size: 11, 12, 21, 22."""
    cut = matrix.rows - size
    return matrix[:cut, :cut], matrix[:cut, cut:], matrix[cut:, :cut], matrix[cut:, cut:]


def by_30(theta: Any, size: int) -> Any:
    """Eq. (30): the inverse of the first block, from the inverse of all."""
    _, a12, a21, a22 = blocks(theta, size)
    f11, _, _, _ = blocks(theta.inv(), size)
    return f11 - f11 * a12 * (a22 + a21 * f11 * a12).inv() * a21 * f11


def by_schur(theta: Any, size: int) -> Any:
    """The same from the inverse alone."""
    b11, b12, b21, b22 = blocks(theta.inv(), size)
    return b11 - b12 * b22.inv() * b21


def _all() -> Evidence:
    def holds(network: Network) -> bool:
        theta, size = kernel(network), network.outputs
        a11, a12, a21, a22 = blocks(theta, size)
        f11 = a11 - a12 * a22.inv() * a21
        f22 = a22 - a21 * a11.inv() * a12
        b11, b12, b21, b22 = blocks(theta.inv(), size)
        right = (f11.inv(), -f11.inv() * a12 * a22.inv(), f22.inv()) == (b11, b12, b22)
        left = -a22.inv() * a21 * f11.inv() == b21
        return right and left and by_30(theta, size) == a11.inv() == by_schur(theta, size)

    return enumerate_all(
        NETWORKS,
        holds,
        r"Eq. (27), (28), (29), (30), and $A_{11}^{-1}=B_{11}-B_{12}B_{22}^{-1}B_{21}$ with "
        r"$B=\Theta_0^{-1}$: equal as rational matrices, for blocks of one and of two rows.",
        count=len(NETWORKS),
    )


def one_and_one() -> Derivation:
    """Eq. (27) and (30) for two samples with one output."""
    import sympy

    a, u, d = sympy.symbols("a u d", positive=True)
    f = a - u * u / d
    inverse = sympy.Matrix([[a, u], [u, d]]).inv()
    return Derivation(
        "Eq. (27) and (30)",
        (
            Step("the first entry of the inverse is 1 / F", inverse[0, 0], 1 / f),
            Step("the off-diagonal entry", inverse[0, 1], -1 / f * u / d),
            Step("Eq. (30)", 1 / f - 1 / f * u / (d + u / f * u) * u / f, 1 / a),
        ),
    )


#: A kernel with an inverse whose last diagonal entry has none: not positive definite.
INDEFINITE = ((0, 1), (1, 0))


def _indefinite() -> Evidence:
    import sympy

    theta = sympy.Matrix(INDEFINITE)
    first, *_, last = blocks(theta, 1)
    invertible = theta.det() == -1
    summary = (
        r"$\binom{0\ 1}{1\ 0}$ has an inverse, but neither of its diagonal blocks has: (27) to "
        r"(30) need $\Theta_0\succ0$, which a kernel with an inverse is."
    )
    return Evidence(bool(invertible and first.det() == last.det() == 0), summary)


EQ_30 = Claim(
    id="unique/eq-30",
    title="The inverse without one sample",
    paper="unique",
    location="Appendix E, Eq. (27) to (30)",
    printed=r"""
$$A_{11}^{-1}=F_{11}^{-1}-F_{11}^{-1}A_{12}(A_{22}+A_{21}F_{11}^{-1}A_{12})^{-1}A_{21}F_{11}^{-1},$$

where $F_{11}^{-1}$ is the first block of $\Theta_0^{-1}$ (27), $F_{11}=A_{11}-A_{12}A_{22}^{-1}
A_{21}$ (28), $F_{22}=A_{22}-A_{21}A_{11}^{-1}A_{12}$ (29).""",
    assumptions=(r"$\Theta_0\succ0$",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed. Shorter, from $B=\Theta_0^{-1}$ alone: $A_{11}^{-1}=B_{11}-B_{12}B_{22}^{-1}B_{21}$.
""",
    proof=r"""
(27) is the block inverse; (30) is the Woodbury identity for $A_{11}=F_{11}+A_{12}A_{22}^{-1}
A_{21}$. The short form is the block inverse of $B$: the Schur complement of $B_{22}$ is the inverse
of the first block of $B^{-1}=\Theta_0$.
""",
    rebuttal="",
    effect="None.",
    prior_art="Textbook.",
    chapter=CHAPTER,
    gist=r"As printed; shorter: $A_{11}^{-1}=B_{11}-B_{12}B_{22}^{-1}B_{21}$, $B=\Theta_0^{-1}$.",
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Two samples.", lambda: derived(one_and_one())),
        Check(Kind.EXACT, Role.SUPPORTS, "One and two outputs.", _all),
        Check(Kind.EXACT, Role.SHARP, "Without positivity.", _indefinite),
    ),
)


# n inversions ------------------------------------------------------------------------------------


def _recipe() -> Evidence:
    def holds(case: tuple[Network, int]) -> bool:
        network, i = case
        k = network.outputs
        order = [r for r in range(kernel(network).rows) if r // k != i]
        own = [i * k + r for r in range(k)]
        theta = kernel(network).extract(order + own, order + own)
        kept = kernel(network).extract(order, order)
        return by_30(theta, k) == kept.inv() and at_once(network, i) == by_training(network, i)

    return enumerate_all(
        _samples(),
        holds,
        r"The recipe gives each of the $n$ inverses, and one inverse gives each $w-w_{-i}$ at the "
        r"end of training: equal as rational numbers.",
        count=sum(network.samples for network in NETWORKS),
    )


def _samples() -> Iterator[tuple[Network, int]]:
    for network in NETWORKS:
        yield from ((network, i) for i in range(network.samples))


def update_cost(n: Any, k: Any) -> Any:
    """Multiplications of Eq. (30) for one sample: what is left over has (n - 1) k rows."""
    rest = (n - 1) * k
    thin = rest**2 * k  # F11^-1 A12, an (rest, rest) by (rest, k) product
    inner = rest * k**2 + k**3  # A21 times it, and the inverse of the k x k matrix
    return thin + inner + rest * k**2 + rest**2 * k  # the outer product


def all_at_once_cost(n: Any, k: Any) -> Any:
    """Multiplications for all held-out residuals, once the inverse is there."""
    return (n * k) ** 2 + n * (k**3 + k**2)


def saved() -> Derivation:
    """Appendix E's counts, and what one inverse for all saves on top."""
    import sympy

    n, k = sympy.symbols("n k", positive=True, integer=True)
    whole = n * update_cost(n, k)
    return Derivation(
        "Counted multiplications",
        (
            Step(
                "one sample by Eq. (30), leading order: n^2 k^3, as printed",
                sympy.Limit(update_cost(n, k) / n**2, n, sympy.oo),
                2 * k**3,
            ),
            Step(
                "and in k",
                sympy.Limit(update_cost(n, k) / k**3, k, sympy.oo),
                (2 * n**2 - 2 * n + 1),
            ),
            Step("all n of them: n^3 k^3", sympy.Limit(whole / n**3, n, sympy.oo), 2 * k**3),
            Step(
                "all at once: n^2",
                sympy.Limit(all_at_once_cost(n, k) / n**2, n, sympy.oo),
                k**2,
            ),
            Step("and the rest", all_at_once_cost(n, k) - (n * k) ** 2, n * k**3 + n * k**2),
        ),
    )


N_INVERSIONS = Claim(
    id="unique/sec-e-n-inversions",
    title="One inversion per sample",
    paper="unique",
    location="Appendix E, first paragraph and last sentence",
    printed=r"""
"To compute the informativeness scores, we need to do this inversion $n$ time, each time with one
data point excluded", each in $O(n^2k^3)$ instead of $O(n^3k^3)$.""",
    assumptions=(r"$\Theta_0\succ0$ (or $\lambda>0$)",),
    verdict=Verdict.LOOSE,
    holds=r"""
The recipe costs $O(n^2k^3)$ per sample, as printed. At the end of training no further inversion is
needed: one inverse gives all $n$ scores, with $O(n^2k^2+nk^3)$ more (`book/loo-one-inverse`). At a
finite $t$ one eigendecomposition does (`book/loo-any-time`).
""",
    proof=r"""
Eq. (30) multiplies an $(n-1)k$-square matrix by one with $k$ columns, and back: $2n^2k^3$ to
leading order. The shortcut is proved at `book/loo-one-inverse`.
""",
    rebuttal=r"""
*The experiments use a finite $t$.* They do, and there the recipe needs the exponential without each
sample on top. There, too, all scores come from one factorization.
""",
    effect="None on scores.",
    prior_art="PRESS (Allen, 1974); Sundararajan and Keerthi (2001).",
    chapter=CHAPTER,
    gist=r"$2n^2k^3$ multiplications for each sample; one inverse serves all at $t=\infty$.",
    uses=("unique/eq-30", "book/loo-one-inverse", "book/loo-any-time"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Operations, counted.", lambda: derived(saved())),
        Check(Kind.EXACT, Role.ATTAINED, "Both ways, every sample.", _recipe),
    ),
)


CLAIMS = (EQ_30, N_INVERSIONS)
