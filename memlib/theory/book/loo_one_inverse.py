"""Leaving out each sample in turn, from one inverse of the kernel."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all
from memlib.theory.linearized import (
    Network,
    kernel,
    minimum,
    own,
    rows,
    targets,
    without,
)

#: Linearized networks: interpolating and regularized, with one output and with two.
NETWORKS = (
    Network(((1, 0, 1), (0, 1, 1)), (2, -1)),
    Network(((1, 0, 1), (0, 1, 1), (1, 1, 0)), (2, -1, 1), Fraction(1, 2)),
    Network(((1, 0), (1, 1), (2, -1)), (1, 3, 0), Fraction(1)),
    Network(((1, 0, 0, 1), (0, 1, 1, 0), (1, 1, 0, 0), (0, 0, 2, 1)), (1, 0, 2, 1), Fraction(0), 2),
    Network(((1, 0), (0, 1), (1, 1), (1, -1)), (1, 0, 2, 1), Fraction(1, 3), 2),
)
#: Twins with different labels: the kernel of the unregularized network is singular.
TWINS = Network(((1,), (1,)), (0, 2))
#: One step of training of rate 1/2 from the start, where the formula of the end does not hold.
RATE = Fraction(1, 2)


def at_once(network: Network, i: int) -> tuple[Any, Any]:
    """Held-out residual of sample i and the shift of the weights, from one inverse.

    Returns:
        `e_{-i}`, `(k, 1)`, and `w - w_{-i}`, `(d, 1)`.
    """
    inverse = kernel(network).inv()
    block = inverse[own(network, i), own(network, i)]
    residual = block.inv() * (inverse * targets(network))[own(network, i), :]
    return residual, rows(network).T * inverse[:, own(network, i)] * residual


def by_training(network: Network, i: int) -> tuple[Any, Any]:
    """The same two, by training without sample i."""
    left_out = minimum(without(network, i))
    part = own(network, i)
    residual = targets(network)[part, :] - rows(network)[part, :] * left_out
    return residual, minimum(network) - left_out


def _cases() -> Iterator[tuple[Network, int]]:
    for network in NETWORKS:
        yield from ((network, i) for i in range(network.samples))


def _same() -> Evidence:
    def holds(case: tuple[Network, int]) -> bool:
        network, i = case
        residual, shift = at_once(network, i)
        same = (residual, shift) == by_training(network, i)
        alpha = (kernel(network).inv() * targets(network))[own(network, i), :]
        norm = (shift.T * shift)[0] == (residual.T * alpha)[0]
        return same and norm == (network.decay == 0)

    return enumerate_all(
        _cases(),
        holds,
        r"Held-out residuals and shifts of the weights, against training without the sample: equal "
        r"as rational numbers. $\|w-w_{-i}\|^2=e_{-i}^T\alpha_i$ exactly where $\lambda=0$.",
        count=sum(network.samples for network in NETWORKS),
    )


def bordered() -> Derivation:
    """The block inverse behind it: one sample kept, one left out (lambda included in a and d)."""
    import sympy

    a, c, d = sympy.symbols("a c d", positive=True)
    kept, held = sympy.symbols("y_1 y_2", real=True)
    inverse = sympy.Matrix([[a, c], [c, d]]).inv()
    alpha = inverse * sympy.Matrix([kept, held])
    error = held - c / a * kept  # what training on the first sample alone leaves at the second
    return Derivation(
        "From one inverse",
        (
            Step("the held-out residual", alpha[1] / inverse[1, 1], error),
            Step("the dual weight of the first", alpha[0] - kept / a, inverse[0, 1] * error),
            Step("and of the second, 0 without it", alpha[1], inverse[1, 1] * error),
        ),
    )


def _sharp() -> Evidence:
    singular = kernel(TWINS).det() == 0
    ends = minimum(TWINS)[0], minimum(without(TWINS, 1))[0]
    network = NETWORKS[0]
    first = RATE * rows(network).T * targets(network)
    rest = without(network, 1)
    early = first - RATE * rows(rest).T * targets(rest)
    final = at_once(network, 1)[1]
    summary = (
        r"Twins with the labels 0 and 2, $\lambda=0$: $K$ has no inverse, yet leaving one out is "
        rf"well defined (weight {ends[0]} becomes {ends[1]}). And after one step the weights "
        rf"differ by ${tuple(early)}$, not by ${tuple(final)}$: the formula is for the end of "
        "training."
    )
    right = final == by_training(network, 1)[1] and final != early
    expected = list(early * 2) == list(-rows(network)[1, :])
    return Evidence(bool(singular and ends == (1, 0) and right and expected), summary)


def operations(n: Any, k: Any) -> tuple[Any, Any]:
    """Multiplications for all n held-out residuals: `(one inverse, n inverses)`.

    An inverse of size N is counted as N^3.
    """
    size = n * k
    return size**3 + size**2 + n * (k**3 + k**2), n * ((n - 1) * k) ** 3


def cost() -> Derivation:
    """How the two counts compare for many samples."""
    import sympy

    n, k = sympy.symbols("n k", positive=True, integer=True)
    one, many = operations(n, k)
    return Derivation(
        "Counted multiplications",
        (
            Step("one inverse, to leading order", sympy.Limit(one / n**3, n, sympy.oo), k**3),
            Step("one sample leaves none", sympy.Subs(many, n, 1), 0),
            Step("an inverse per sample", sympy.Limit(many / n**4, n, sympy.oo), k**3),
            Step(
                "all but the inverse itself", one - (n * k) ** 3, n**2 * k**2 + n * k**2 + n * k**3
            ),
        ),
    )


LOO = Claim(
    id="book/loo-one-inverse",
    title="Leaving out every sample, from one inverse",
    paper="book",
    location="replaces Appendix E of `unique` at the end of training",
    printed=r"""
Let $f$ be linear in $w$, trained to the end on MSE with $\lambda\|w-w_0\|^2/2$, and
$K=\Theta_0+\lambda I\succ0$, $\alpha=K^{-1}(Y-f_0(X))$. With blocks of size $k$ for the sample $i$,

$$e_{-i}:=y_i-f_{w_{-i}}(x_i)=(K^{-1})_{ii}^{-1}\alpha_i,\qquad
w-w_{-i}=\nabla_wf_0(X)\,(K^{-1})_{\cdot i}\,e_{-i},$$

$$f_w(x)-f_{w_{-i}}(x)=\Theta_0(x,X)\,(K^{-1})_{\cdot i}\,e_{-i},$$

so that all $n$ scores SI and F-SI need one inverse. For $\lambda=0$,
$\|w-w_{-i}\|^2=e_{-i}^T\alpha_i$.""",
    assumptions=(
        r"$K\succ0$: $\lambda>0$, or $\Theta_0$ invertible",
        r"training runs to its end ($t=\infty$), with the same $\lambda$ without the sample",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated. It is an identity, at $t=\infty$ only; the paper's experiments stop at a finite $t$. With
a singular $K$ ($\lambda=0$ and samples that contradict or repeat each other) it does not apply.
""",
    proof=r"""
Let the sample be last, $K=\binom{K_-\ \ c}{c^T\ \ d}$, $B=K^{-1}$. By the block inverse $B_{ii}=
(d-c^TK_-^{-1}c)^{-1}$ and $B_{-i,i}=-K_-^{-1}cB_{ii}$. So $\alpha_i=B_{ii}(y_i-c^TK_-^{-1}y_-)=
B_{ii}\,e_{-i}$ ($c$ has no $\lambda$ in it, so $c^TK_-^{-1}y_-=f_{w_{-i}}(x_i)$). The first rows
of $\alpha=By$ are $K_-^{-1}y_--K_-^{-1}c\,\alpha_i$, hence $\alpha-\binom{\alpha_-}{0}=
B_{\cdot i}\,e_{-i}$, where $\alpha_-$ is what training without $z_i$ gives. Weights are
$\nabla f_0(X)\alpha$, outputs $\Theta_0(x,X)\alpha$. For $\lambda=0$,
$\|w-w_{-i}\|^2=e_{-i}^TB_{i\cdot}\Theta_0B_{\cdot i}e_{-i}=e_{-i}^TB_{ii}e_{-i}$.
""",
    rebuttal=r"""
*At finite $t$ the exponential of the smaller kernel is needed.* Right; that case is
`book/loo-any-time`.
""",
    effect=r"""
Where training runs to its end, $n$ inverses become one: from $n^4k^3$ multiplications to $n^3k^3$.
""",
    prior_art=r"""
Classical: PRESS (Allen, 1974), leave-one-out in kernel ridge regression and Gaussian processes
(Sundararajan and Keerthi, 2001). Not in the paper.
""",
    chapter="part4/leave-one-out",
    gist=r"At $t=\infty$ and $K\succ0$: $e_{-i}=(K^{-1})_{ii}^{-1}\alpha_i$, and all shifts from "
    r"the same inverse.",
    uses=("unique/eq-30", "unique/eq-53"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The block inverse.", lambda: derived(bordered())),
        Check(Kind.EXACT, Role.SUPPORTS, "Against training without, k = 1 and 2.", _same),
        Check(Kind.SYMBOLIC, Role.MAGNITUDE, "What it saves.", lambda: derived(cost())),
        Check(Kind.EXACT, Role.SHARP, "A singular kernel; the first step.", _sharp),
    ),
)


CLAIMS = (LOO,)
