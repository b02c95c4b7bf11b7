"""Eq. (15) of `unique`: Langevin noise, and Cook's distance."""

from fractions import Fraction

from memlib.theory.book.langevin_si import by_covariances, by_reverse
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.linearized import Network

#: Two samples, two weights, regularized: the first is fitted almost exactly, yet has leverage.
PAIR = Network(((10, 0), (0, 1)), (1, 2), Fraction(1))


def erm_half() -> Derivation:
    """The second equality of (15): Eq. (5) with the covariance of Langevin noise."""
    import sympy

    h, eta, b, s, gap = sympy.symbols("h eta b sigma Delta", positive=True)
    covariance = eta / (2 * b) * s**2 / h
    return Derivation(
        "Eq. (5) with Langevin's covariance",
        (
            Step(
                "Eq. (14), Lambda = sigma^2",
                sympy.Mul(2 * h, covariance, evaluate=False),
                eta / b * s**2,
            ),
            Step(
                "half the square over it",
                sympy.Mul(gap**2 / 2, 1 / covariance, evaluate=False),
                b / (eta * s**2) * gap**2 * h,
            ),
        ),
    )


def _both_zero() -> Evidence:
    import z3

    j, shift, h, e = z3.Reals("j shift h e")
    return decide(
        [j * j == 0, (h - j * j) * shift == j * e],
        shift * h * shift == 0,
        r"If $\Sigma_{-i}=\Sigma$, then $\nabla f_i=0$, $w^*=w_{-i}^*$, and all of (15) is 0.",
    )


def _magnitude() -> Evidence:
    lines, ratios = [], []
    for i in range(PAIR.samples):
        square, trace, determinant = by_covariances(PAIR, i)
        printed = by_reverse(PAIR, i)
        ratios.append(printed / square)
        lines.append((printed, square, trace, determinant))
    (p0, s0, t0, d0), (p1, s1, t1, d1) = lines
    summary = (
        r"Two samples, $\lambda=1$, $b/(\eta\sigma^2)=1$. Printed and exact: "
        rf"{show(p0)} and ${show(s0)}+\tfrac12({show(t0)}-\ln{show(d0)})$; "
        rf"{show(p1)} and ${show(s1)}+\tfrac12({show(t1)}-\ln{show(d1)})$. The squares alone are "
        rf"off by $\frac1{{1-h}}$: {show(ratios[0])} and {show(ratios[1])}."
    )
    leverages = [-t0, -t1]
    return Evidence(
        ratios == [1 / d0, 1 / d1] and leverages == [1 - d0, 1 - d1] and min(ratios) > 1, summary
    )


def _reversed_order() -> Evidence:
    from flint import arb, fmpq

    def number(value: Fraction) -> arb:
        return arb(fmpq(value.numerator, value.denominator))

    exact, printed = [], []
    for i in range(PAIR.samples):
        square, trace, determinant = by_covariances(PAIR, i)
        exact.append(number(square) + (number(trace) - number(determinant).log()) / 2)
        printed.append(by_reverse(PAIR, i))
    summary = (
        rf"The order turns over: Eq. (15) gives {float(printed[0]):.4f} < {float(printed[1]):.4f}, "
        rf"the exact SI {float(exact[0]):.4f} > {float(exact[1]):.4f}."
    )
    return Evidence(bool(printed[0] < printed[1] and exact[0] > exact[1]), summary)


EQ_15 = Claim(
    id="unique/eq-15",
    title="Sample information of Langevin dynamics",
    paper="unique",
    location="Section 5, Eq. (15)",
    printed=r"""
"[...] for Langevin dynamics, for which $\Lambda(w)=\sigma^2I$ in equation (12) [...] we have

$$\mathrm{SI}(z_i,A_{SGD})=\mathrm{SI}_\Sigma(z_i,A_{ERM})=\frac b{\eta\sigma^2}(w^*-w_{-i}^*)^TH
(w^*-w_{-i}^*),$$

which was already suggested by Cook (1977)." """,
    assumptions=(
        "the assumptions of Proposition 5.1",
        r"$\Lambda(w)=\sigma^2I$",
    ),
    verdict=Verdict.VACUOUS,
    holds=r"""
The second equality always. The first, under the assumptions of Proposition 5.1, says $0=0$: with
$\Lambda=\sigma^2I$, $\Sigma_{-i}=\Sigma$ holds only for a sample without effect. Without that
assumption it is false, and the exact value is (`book/langevin-si`), for one output,
$\frac b{\eta\sigma^2}\frac{e^2h}{1-h}+\frac12[-h-\ln(1-h)]$; Eq. (15) is
$\frac b{\eta\sigma^2}\frac{e^2h}{(1-h)^2}$, the quadratic part of the *reverse* divergence.
""",
    proof=r"""
$\Sigma=\frac{\eta\sigma^2}{2b}H^{-1}$ in Eq. (5) gives the second equality. $\Sigma_{-i}=\Sigma$
gives $\nabla f_i=0$ (Proposition 5.1), then $w_{-i}^*=w^*$. In Eq. (21) the square carries
$\Sigma_{-i}^{-1}\propto H_{-i}$, not $H$, and the trace and the determinant do not cancel.
""",
    rebuttal=r"""
*One sample among many hardly changes $H$.* If its leverage $h$ is small, yes, and then (15) is
close. The paper's networks have more weights than samples, so that leverages tend to 1 as
$\lambda\to0$; what they are at its $\lambda=10^3$ depends on the kernel.
""",
    effect=r"""
The link to Cook's distance is right up to constants ($\lambda=0$, and a division by the number of
weights and the residual variance). The link to the information of Langevin dynamics is not.
""",
    prior_art="Cook (1977); leverage formulas are classical.",
    chapter="part4/sgd-steady-state",
    gist=r"Says $0=0$ under its assumption; else off by $\frac1{1-h}$ and a log term (see "
    "book/langevin-si).",
    uses=("unique/prop-5.1", "unique/eq-21", "book/langevin-si"),
    checks=(
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "The second equality.", lambda: derived(erm_half())),
        Check(Kind.DECIDED, Role.SUPPORTS, "Under the assumption.", _both_zero),
        Check(Kind.EXACT, Role.MAGNITUDE, "Two samples.", _magnitude),
        Check(Kind.DECIDED, Role.MAGNITUDE, "The order of two samples.", _reversed_order),
    ),
)


CLAIMS = (EQ_15,)
