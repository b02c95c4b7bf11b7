"""Leaving out each sample in turn at any training time, from one eigendecomposition."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, enumerate_all
from memlib.theory.linearized import (
    Network,
    fraction,
    kernel,
    own,
    rational,
    rows,
    targets,
    without,
)

#: Linearized networks: more weights than samples, repeated samples (a singular kernel), two
#: outputs with decay.
NETWORKS = (
    Network(((1, 0, 1), (0, 1, 1), (1, 1, 0)), (2, -1, 1)),
    Network(((1,), (1,), (2,)), (0, 2, 1)),
    Network(((1, 0), (1, 1), (0, 1), (1, -1)), (1, 0, 2, 1), Fraction(1, 2), 2),
)
#: Steps of gradient descent and their rate.
STEPS, RATE = 3, Fraction(1, 8)


def path(network: Network) -> list[Any]:
    """The coefficients a after 0, 1, ... steps, `(n * k, 1)`: the weights are J^T a."""
    k, y = kernel(network), targets(network)
    steps = [y * 0]
    for _ in range(STEPS):
        steps.append(steps[-1] + rational(RATE) * (y - k * steps[-1]))
    return steps


def by_training(network: Network, i: int) -> Any:
    """What changes without sample i, `(n * k, 1)`."""
    change, last = path(network)[-1], path(without(network, i))[-1]
    part = own(network, i)
    others = [r for r in range(change.rows) if r not in range(*part.indices(change.rows))]
    for row, value in zip(others, last, strict=True):
        change[row] -= value
    return change


def held_out(network: Network, i: int) -> list[Any]:
    """The residual of sample i before each step of training without it, `(k, 1)`."""
    rest, part = without(network, i), own(network, i)
    predicted = rows(network)[part, :] * rows(rest).T
    return [targets(network)[part, :] - predicted * a for a in path(rest)[:-1]]


def by_force(network: Network, i: int) -> tuple[Any, list[Any]]:
    """Both, from powers of one matrix: a force keeps the sample's own coefficients at 0."""
    import sympy

    k, part, steps = kernel(network), own(network, i), path(network)
    powers = [(sympy.eye(k.rows) - rational(RATE) * k) ** s for s in range(STEPS)]
    forces: list[Any] = []
    for s in range(STEPS):
        force = steps[s + 1][part, :] / rational(RATE)
        for earlier, value in enumerate(forces):
            force -= powers[s - earlier][part, part] * value
        forces.append(force)
    pushed = [power[:, part] * f for power, f in zip(reversed(powers), forces, strict=True)]
    return rational(RATE) * sum(pushed[1:], pushed[0]), forces


def _cases() -> Iterator[tuple[Network, int]]:
    for network in NETWORKS:
        yield from ((network, i) for i in range(network.samples))


def _forced() -> Evidence:
    first = by_training(NETWORKS[0], 0)
    pinned = fraction((first.T * first)[0]) == Fraction(11611, 32768)
    found = enumerate_all(
        _cases(),
        lambda case: by_force(*case) == (by_training(*case), held_out(*case)),
        r"Three steps of rate $\frac18$, with one output and two, decay, and a singular kernel: "
        "the change of the coefficients from the powers of one matrix, and the forces, which are "
        "the held-out residuals, equal training without the sample, as rational numbers.",
        count=sum(network.samples for network in NETWORKS),
    )
    return Evidence(found.passed and pinned, found.summary)


def resolvents() -> Derivation:
    """One sample kept, one left out; and the curve around 0 and an eigenvalue, for three steps."""
    import sympy

    a, c, d, eta, s = sympy.symbols("a c d eta s", positive=True)
    z = sympy.Symbol("z")
    r = sympy.Matrix([[a - z, c], [c, d - z]]).inv()
    updated = r - r[:, 1] * r[1, :] / r[1, 1]
    integrand = (1 - eta * z) ** 3 / (z * (s - z))
    around = sympy.residue(integrand, z, 0) + sympy.residue(integrand, z, s)
    return Derivation(
        "Resolvents",
        (
            Step("the update leaves the smaller resolvent", updated[0, 0], 1 / (a - z)),
            Step(
                "the integral is the sum of three steps",
                around,
                eta * (3 - 3 * eta * s + (eta * s) ** 2),
            ),
        ),
    )


def library(network: Network, i: int) -> float:
    """How far `memlib.leave_one_out` is from the exact squared changes, relative to them."""
    import torch

    from memlib.descent import GradientDescent
    from memlib.leave_one_out import squared_changes

    j = torch.tensor(network.jacobian, dtype=torch.float64)
    residuals = torch.tensor(network.labels, dtype=torch.float64).view(-1, network.outputs)
    descent = GradientDescent(STEPS, float(RATE), float(network.decay))
    found = squared_changes(j @ j.T, residuals, descent)
    shift = rows(network).T * by_training(network, i)
    moved = rows(network) * shift
    wanted = float((shift.T * shift)[0]), float((moved.T * moved)[0])
    return max(abs(float(f[i]) / w - 1) for f, w in zip(found, wanted, strict=True))


def _computed() -> Evidence:
    errors = [library(*case) for case in _cases()]
    summary = (
        r"`memlib.leave_one_out`, which sums resolvents at points of a curve, against the rational "
        rf"numbers: {len(errors)} samples, relative difference at most {max(errors):.0e}."
    )
    return Evidence(max(errors) < 1e-12, summary)


def _apart() -> Evidence:
    network = NETWORKS[2]
    i = 0
    whole, _ = by_force(network, i)
    flat = Network(network.jacobian, network.labels, network.decay)
    parts = [by_force(flat, row)[0] for row in range(network.outputs)]
    summary = (
        r"Two outputs: the sum of the changes without one output and without the other is not the "
        rf"change without the sample, ${tuple(parts[0] + parts[1])}$ against ${tuple(whole)}$. The "
        r"$k\times k$ block has to be inverted as one."
    )
    pinned = fraction((parts[0] + parts[1] - whole)[0]) == Fraction(12, 2048)
    return Evidence(pinned, summary)


ANY_TIME = Claim(
    id="book/loo-any-time",
    title="Leaving out every sample at any time, from one eigendecomposition",
    paper="book",
    location="replaces the updates of Section 5 and Appendix E of `unique` at a finite time",
    printed=r"""
Let $f$ be linear in $w$, trained by $t$ steps of gradient descent at rate $\eta$ or by gradient
flow on MSE with $\lambda\|w-w_0\|^2/2$, $K=\Theta_0+\lambda I$, $R(z)=(K-z)^{-1}$, and
$h(z)=(1-\eta z)^t$ or $e^{-\eta tz}$. Then $w=w_0+\nabla f_0(X)a$, $w_{-i}=w_0+\nabla f_0(X)a_{-i}$
with

$$a-a_{-i}=\frac1{2\pi i}\oint\frac{h(z)}z\,R(z)_{\cdot i}\,R(z)_{ii}^{-1}\,
\bigl(R(z)(Y-f_0(X))\bigr)_i\,dz$$

along any curve around 0 and the spectrum of $K$, with blocks of size $k$. One eigendecomposition of
$K$ gives the integrand for all $i$. For steps it is also

$$a-a_{-i}=\eta\sum_{u<t}(I-\eta K)^{t-1-u}_{\cdot i}\,e_u,\qquad
\eta\sum_{u\le s}(I-\eta K)^{s-u}_{ii}\,e_u=(a_{s+1})_i,$$

where $e_u=y_i-f_{w_{-i}}(x_i)$ after $u$ steps.""",
    assumptions=("the training without the sample has the same rate, time and decay",),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated, also where $K$ is singular or steps diverge. At $t=\infty$ only the residue at $z=0$ is
left, which is `book/loo-one-inverse`.
""",
    proof=r"""
*Curve.* $a=p_t(K)(Y-f_0)$ with $p_t(s)=(1-h(s))/s$, and $\frac1{2\pi i}\oint\frac{h(z)}{z(s-z)}dz=
\frac{h(0)-h(s)}s=p_t(s)$, $h(0)=1$. Without the sample, $a_{-i}=p_t(K_-)(Y-f_0)_-$; the spectrum of
$K_-$ interlaces that of $K$, so the same curve, and 0, will do. Padded by zeros, $(K_--z)^{-1}$ is
$R-R_{\cdot i}R_{ii}^{-1}R_{i\cdot}$ (block inverse); $R_{ii}$ is invertible off the spectrum of
$K_-$. Subtract. *Steps.* Training without the sample is training with all of them and a force that
keeps its own coefficients at 0: $b_{s+1}=(I-\eta K)b_s+\eta(Y-f_0)-\eta E_ie_s$. Its block $i$
vanishes exactly if $e_s$ is the held-out residual.
""",
    rebuttal=r"""
*An integral is not a closed form.* The second formula is, with $O(n^2t)$ operations and a
triangular Toeplitz system of size $t$ per sample. The first is summed to the accuracy of the
arithmetic at 18 points (`memlib.descent.contour`), whatever $t$ is.
""",
    effect=r"""
F-SI and SI of all samples at a finite time cost one eigendecomposition, as at $t=\infty$ they cost
one inverse: $O(n^3k^3)$ where $n$ updates of an exponential took $O(n^4)$ with $k=1$ by the usual
count.
""",
    prior_art=r"""
Each part is classical: resolvents and rank-one updates, interlacing; Trefethen, Weideman and
Schmelzer (2006) for the curve. We know of no place where they are put together for leaving out
samples, and did not search widely.
""",
    chapter="part4/leave-one-out",
    gist=r"At any $t$ all $a-a_{-i}$ are integrals of $R_{\cdot i}R_{ii}^{-1}(R(Y-f_0))_i$: one "
    "eigendecomposition.",
    uses=("unique/eq-53", "book/loo-one-inverse"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Resolvents.", lambda: derived(resolvents())),
        Check(Kind.EXACT, Role.SUPPORTS, "Against training without, step by step.", _forced),
        Check(Kind.EXACT, Role.SUPPORTS, "What memlib computes.", _computed),
        Check(Kind.EXACT, Role.SHARP, "Outputs one at a time.", _apart),
    ),
)


CLAIMS = (ANY_TIME,)
