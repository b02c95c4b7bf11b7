"""Sample information under Langevin noise, exactly, from leverage and residual."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide_on_box, derived, enumerate_all
from memlib.theory.linearized import (
    Network,
    fraction,
    hessian,
    in_floats,
    minimum,
    own,
    rows,
    targets,
    without,
)

#: Linearized networks with regularization: one output, more weights than samples, two outputs.
NETWORKS = (
    Network(((1, 0), (1, 1), (2, -1)), (1, 3, 0), Fraction(1, 2)),
    Network(((1, 0, 1), (0, 1, 1)), (2, -1), Fraction(1)),
    Network(((1, 0), (0, 1), (1, 1), (1, -1)), (1, 0, 2, 1), Fraction(1, 3), 2),
)

Parts = tuple[Fraction, Fraction, Fraction]


def leverage(network: Network, i: int) -> tuple[Any, Any]:
    """H = J_i H^-1 J_i^T and the training residual e of sample i, `(k, k)` and `(k, 1)`."""
    part = rows(network)[own(network, i), :]
    residual = (targets(network) - rows(network) * minimum(network))[own(network, i), :]
    return part * hessian(network).inv() * part.T, residual


def by_covariances(network: Network, i: int) -> Parts:
    """Eq. (21) under Langevin noise, by training twice: the square, the trace, the determinant.

    With c = b / (eta sigma^2), SI is c * square + (trace - ln(determinant)) / 2.
    """
    rest = without(network, i)
    shift = minimum(network) - minimum(rest)
    ratio = hessian(rest) * hessian(network).inv()
    square = (shift.T * hessian(rest) * shift)[0]
    return fraction(square), fraction(ratio.trace() - ratio.rows), fraction(ratio.det())


def by_leverage(network: Network, i: int) -> Parts:
    """The same three numbers from h and e alone."""
    import sympy

    h, e = leverage(network, i)
    left = sympy.eye(h.rows) - h
    square = (e.T * h * left.inv() * e)[0]
    return fraction(square), fraction(-h.trace()), fraction(left.det())


def by_reverse(network: Network, i: int) -> Fraction:
    """What Eq. (15) has in place of the square: measured with the Hessian of all samples."""
    shift = minimum(network) - minimum(without(network, i))
    return fraction((shift.T * hessian(network) * shift)[0])


def _cases() -> Iterator[tuple[Network, int]]:
    for network in NETWORKS:
        yield from ((network, i) for i in range(network.samples))


def _same() -> Evidence:
    return enumerate_all(
        _cases(),
        lambda case: by_covariances(*case) == by_leverage(*case),
        r"Square, trace and determinant of Eq. (21), from two trainings and from $h$ and $e$: "
        "equal as rational numbers, for every sample of three small networks.",
        count=sum(network.samples for network in NETWORKS),
    )


def _computed() -> Evidence:
    import math

    from memlib.information import langevin_sample_information

    errors = []
    for network in NETWORKS:
        found = langevin_sample_information(
            in_floats(network), learning_rate=0.5, batch_size=3, decay=float(network.decay)
        )
        for i, value in enumerate(found):
            square, trace, determinant = map(float, by_covariances(network, i))
            wanted = 3 / 0.5 * square + (trace - math.log(determinant)) / 2
            errors.append(abs(float(value) / wanted - 1))
    summary = (
        "`memlib.information`, from one inverse of the kernel, against Eq. (21) by training twice: "
        rf"relative difference at most {max(errors):.0e} in {len(errors)} samples."
    )
    return Evidence(max(errors) < 1e-12, summary)


def _mean_loss() -> Evidence:
    import sympy

    def holds(case: tuple[Network, int]) -> bool:
        network, i = case
        rest, n = without(network, i), network.samples
        first, second = hessian(network) / n, hessian(rest) / (n - 1)
        shift = minimum(network) - minimum(rest)
        square, trace, determinant = by_leverage(network, i)
        ratio, rho, d = second * first.inv(), Fraction(n, n - 1), first.rows
        return (
            fraction((shift.T * second * shift)[0]) == square / (n - 1)
            and fraction(ratio.trace()) == rho * (d + trace)
            and fraction(sympy.det(ratio)) == rho**d * determinant
        )

    return enumerate_all(
        _cases(),
        holds,
        r"The mean loss: the square is divided by $n-1$, the trace is $\rho(d-\mathrm{tr}\,h)$, "
        r"the determinant $\rho^d\det(I-h)$, with $\rho=\frac n{n-1}$.",
        count=sum(network.samples for network in NETWORKS),
    )


def removal() -> Derivation:
    """One output, two weights, everything symbolic: from Eq. (21) to leverage and residual."""
    import sympy

    a, c = sympy.symbols("a c", positive=True)
    j = sympy.Matrix([sympy.symbols("j_1 j_2", real=True)])
    h_all = sympy.diag(a, c)  # in its eigenbasis
    h_rest = h_all - j.T * j
    h = (j * h_all.adjugate() * j.T)[0] / h_all.det()
    e = sympy.Symbol("e", real=True)
    shift = h_all.adjugate() * j.T * e / (1 - h) / h_all.det()  # from H_rest shift = J^T e
    ratio = h_rest * h_all.adjugate() / h_all.det()
    return Derivation(
        "Leaving one sample out",
        (
            Step("the shift: stationarity", (h_rest * shift)[0], (j.T * e)[0]),
            Step("in both weights", (h_rest * shift)[1], (j.T * e)[1]),
            Step("the square", (shift.T * h_rest * shift)[0], e**2 * h / (1 - h)),
            Step("as Eq. (15) has it", (shift.T * h_all * shift)[0], e**2 * h / (1 - h) ** 2),
            Step("the trace", ratio.trace(), 2 - h),
            Step("the determinant", ratio.det(), 1 - h),
        ),
    )


def _rest_positive() -> Evidence:
    return decide_on_box(
        lambda h: -1 / h - (1 - h).log() / h**2,
        ((Fraction(1, 32), Fraction(31, 32)),),
        r"$-h-\ln(1-h)>0$ for $h\in[\tfrac1{32},\tfrac{31}{32}]$ (and for all of $(0,1)$, as every "
        r"term of its series is positive): a sample with leverage has SI even where its residual "
        r"is 0.",
    )


def _ratio_has_no_bounds() -> Evidence:
    from flint import arb, fmpq

    def number(value: Fraction) -> Any:
        return arb(fmpq(value.numerator, value.denominator))

    def ratio(case: tuple[Fraction, Fraction, Fraction]) -> Any:
        h, e, c = map(number, case)
        exact = c * e**2 * h / (1 - h) + (-h - (1 - h).log()) / 2
        return c * e**2 * h / (1 - h) ** 2 / exact

    small, large = values = [ratio(case) for case in EXTREMES]
    pairs = zip(BRACKETS, values, strict=True)
    summary = (
        r"Eq. (15) over the exact value, for a sample fitted almost exactly ($h=\tfrac12$, $e="
        rf"\tfrac1{{100}}$): {float(small):.4f}; for one with leverage $\tfrac{{99}}{{100}}$ and "
        rf"$e=1$: {float(large):.1f}."
    )
    return Evidence(
        all(bool(number(low) < value < number(high)) for (low, high), value in pairs), summary
    )


#: Leverage, residual and b / (eta sigma^2) where Eq. (15) is far off, and how far.
EXTREMES = (
    (Fraction(1, 2), Fraction(1, 100), Fraction(1)),
    (Fraction(99, 100), Fraction(1), Fraction(1)),
)
BRACKETS = ((Fraction("0.0020688"), Fraction("0.0020689")), (Fraction("98.2"), Fraction("98.3")))


LANGEVIN_SI = Claim(
    id="book/langevin-si",
    title="Sample information under Langevin noise, exactly",
    paper="book",
    location="replaces Eq. (15) of `unique`",
    printed=r"""
Let $f$ be linear in $w$, $H=\sum_j\nabla f_j\nabla f_j^T+\lambda I$ and $H_{-i}=H-J_i^TJ_i\succ0$,
and let $A_{SGD}$ draw from the steady state of $dw=-\eta\nabla\mathcal L\,dt+\eta b^{-1/2}\sigma\,
dn$, with the same $\eta,b,\sigma$ with and without $z_i$. With $h=J_iH^{-1}J_i^T$ and
$e=y_i-f_{w^*}(x_i)$,

$$\mathrm{SI}(z_i,A_{SGD})=\frac b{\eta\sigma^2}\,e^Th(I-h)^{-1}e
-\tfrac12\bigl[\mathrm{tr}\,h+\ln\det(I-h)\bigr].$$""",
    assumptions=(
        r"$H_{-i}\succ0$ (true for $\lambda>0$)",
        r"$\eta,b,\sigma$ are the same with and without the sample; the loss is a sum",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated; for one output $\mathrm{SI}=\frac b{\eta\sigma^2}\frac{e^2h}{1-h}+\tfrac12[-h-
\ln(1-h)]$. $h=[\Theta_0K^{-1}]_{ii}$ with $K=\Theta_0+\lambda I$, so no $d\times d$ matrix is
needed. If the loss is a mean, $H_{-i}$ is multiplied by $\frac n{n-1}$ and terms in $d$ appear:
see the proof.
""",
    proof=r"""
The steady state is $\mathcal N(w^*,\frac{\eta\sigma^2}{2b}H^{-1})$, and without $z_i$ the same with
$H_{-i}$, $w_{-i}^*$. Put this into Eq. (21). *Shift:* the gradient without $z_i$ vanishes at
$w_{-i}^*$, and at $w^*$ it is $J_i^Te$ (what $z_i$ balanced), so $H_{-i}(w^*-w_{-i}^*)=J_i^Te$. By
the Woodbury identity $H_{-i}^{-1}J_i^T=H^{-1}J_i^T(I-h)^{-1}$, so that the square is
$e^TJ_iH_{-i}^{-1}J_i^Te=e^Th(I-h)^{-1}e$. *Trace:* $\mathrm{tr}(H_{-i}H^{-1})=d-\mathrm{tr}\,h$.
*Determinant:* $\det(H_{-i}H^{-1})=\det(I-h)$.

*Mean loss.* Then the precisions are $c\,H/n$ and $c\,H_{-i}/(n-1)$ with $c=\frac{2b}{\eta
\sigma^2}$ (both $\lambda$ scaled alike). With $\rho=\frac n{n-1}$,
$\mathrm{SI}=\frac12\bigl[\frac c{n-1}e^Th(I-h)^{-1}e+\rho(d-\mathrm{tr}\,h)-d-d\ln\rho-
\ln\det(I-h)\bigr]$.
""",
    rebuttal=r"""
*For large $n$ leverages are small and Eq. (15) is close.* As $h\to0$ at a fixed residual it is. In
an overparametrized network leverages are near 1 unless $\lambda$ is large, and there Eq. (15) is
off by $\frac1{1-h}$.
""",
    effect=r"""
Ranking by Eq. (15) and by the exact value can differ: $\frac{e^2h}{(1-h)^2}$ against
$\frac{e^2h}{1-h}$ and a term that does not depend on the label at all.
""",
    prior_art=r"""
Leverage and leave-one-out in least squares are classical (Cook, 1977; Sherman and Morrison, 1950);
the steady state is that of an Ornstein-Uhlenbeck process. The formula is not in the paper.
""",
    chapter="part4/sgd-steady-state",
    gist=r"SI $=\frac b{\eta\sigma^2}e^Th(I-h)^{-1}e-\frac12[\mathrm{tr}\,h+\ln\det(I-h)]$.",
    uses=("unique/eq-21", "unique/eq-14"),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "From Eq. (21) to leverage and residual.",
            lambda: derived(removal()),
        ),
        Check(Kind.EXACT, Role.SUPPORTS, "Against training twice, k = 1 and 2.", _same),
        Check(Kind.EXACT, Role.SUPPORTS, "With the mean loss.", _mean_loss),
        Check(Kind.EXACT, Role.SUPPORTS, "What memlib computes.", _computed),
        Check(Kind.DECIDED, Role.SUPPORTS, "The part without the label.", _rest_positive),
        Check(
            Kind.DECIDED,
            Role.SHARP,
            "The power of 1 - h and the second term both matter.",
            _ratio_has_no_bounds,
        ),
    ),
)


CLAIMS = (LANGEVIN_SI,)
