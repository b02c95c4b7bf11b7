"""Smooth sample information (`unique` Definition 3.1): what it is, and its limit of no noise."""

from fractions import Fraction
from typing import Any

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.divergences import Log, coin, divergence
from memlib.theory.evidence import Derivation, Step, decide, derived

#: Covariances and the shift of the weights, for the exact checks.
TILTED = ((2, 1), (1, 2))
FLAT = ((1, 1), (1, 1))
ALONG, ACROSS = (1, 1), (1, -1)
BIASED = (Fraction(1, 2), Fraction(1, 4))


def information(shift: Any, covariance: Any) -> Any:
    """SI of a deterministic algorithm (Eq. 5), for matrices of sympy."""
    return (shift.T * covariance.adjugate() * shift)[0] / covariance.det() / 2


# Definition 3.1 ----------------------------------------------------------------------------------


def coordinates() -> Derivation:
    """Other coordinates for the weights, with the covariance that goes with them."""
    import sympy

    t = sympy.Matrix(2, 2, sympy.symbols("t_1:5"))
    a, b, c = sympy.symbols("a b c", positive=True)
    covariance = sympy.Matrix([[a, b], [b, c]])
    shift = sympy.Matrix(sympy.symbols("u v"))
    return Derivation(
        "Coordinates",
        (
            Step(
                "weights T w, smoothed with T Sigma T^T",
                sympy.cancel(information(t * shift, t * covariance * t.T)),
                information(shift, covariance),
            ),
            Step(
                "noise of one size",
                information(shift, c * sympy.eye(2)),
                (shift[0] ** 2 + shift[1] ** 2) / (2 * c),
            ),
        ),
    )


def _more_noise() -> Evidence:
    import z3

    u, v, a, b, more = z3.Reals("u v a b more")
    x, y = z3.Reals("x y")  # Sigma^-1 times the shift, with and without more noise
    narrow = u * u / a + v * v / b
    return decide(
        [a > 0, b > 0, more >= 0, x * (a + more) == u, y * (b + more) == v],
        x * u + y * v <= narrow,
        r"More noise, less information: $\Delta^T(\Sigma+\sigma^2I)^{-1}\Delta\le\Delta^T"
        r"\Sigma^{-1}\Delta$ (in the eigenbasis of $\Sigma$).",
    )


def _singular() -> Evidence:
    import sympy

    flat, along, across = (sympy.Matrix(m) for m in (FLAT, ALONG, ACROSS))
    reached = flat.row_join(along).rank() == flat.rank()
    missed = flat.row_join(across).rank() > flat.rank()
    a, b = (coin(p) for p in BIASED)
    there, back = divergence(a, b), divergence(b, a)
    summary = (
        r"$\Sigma=\binom{1\ 1}{1\ 1}$ has no inverse: a shift along $(1,1)$ has a finite "
        r"divergence, one along $(1,-1)$ an infinite one. And the order matters: coins of chance "
        rf"$\tfrac12$ and $\tfrac14$ diverge by {float(there):.4f} and {float(back):.4f}."
    )
    ordered = there == Log(Fraction(4, 3), 2) and there > back
    return Evidence(reached and missed and ordered, summary)


DEF_31 = Claim(
    id="unique/def-3.1",
    title="Smooth sample information",
    paper="unique",
    location="Section 3, Definition 3.1, Eq. (4)",
    printed=r"""
$$\mathrm{SI}_\Sigma(z_i,A)=\mathrm{KL}(p_{A_\Sigma}(w\mid S)\,\|\,p_{A_\Sigma}(w\mid S_{-i})),
\qquad A_\Sigma(S)\triangleq A(S)+\xi,\quad\xi\sim\mathcal N(0,\Sigma).$$""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
For $\Sigma\succ0$, the same for $S$ and $S_{-i}$, it is well defined; it does not depend on
coordinates if $\Sigma$ is carried along ($w\to Tw$, $\Sigma\to T\Sigma T^T$), and falls when
noise is added. It is finite whenever the weights of $A$ have a finite second moment. With a
singular $\Sigma$ it is infinite for almost every shift of the weights. It has a direction: trained
with the sample, measured from without.
""",
    proof=r"""
A linear change of variables multiplies both densities by the same factor. More noise is a further
random map of both laws, and divergence never grows under one. Finite: divergence is convex in
the pair, so that $\mathrm{SI}_\Sigma\le\tfrac12\mathbb E\|W-W'\|^2_{\Sigma^{-1}}$ for independent
draws.
""",
    rebuttal="",
    effect=r"""
A score in nats needs $\Sigma$ to be said with it: twice the noise, half the information.
""",
    prior_art=r"""
Feldman and Steinke (2018) bound such divergences for adaptive data analysis; Gaussian smoothing of
weights is classical (Hinton and van Camp, 1993).
""",
    chapter="part4/sample-information",
    gist=r"Well defined for $\Sigma\succ0$; falls with more noise; no coordinates needed if "
    r"$\Sigma$ is carried along.",
    uses=("unique/eq-3",),
    checks=(
        Check(
            Kind.SYMBOLIC, Role.SUPPORTS, "Coordinates drop out.", lambda: derived(coordinates())
        ),
        Check(Kind.DECIDED, Role.SUPPORTS, "More noise, less information.", _more_noise),
        Check(
            Kind.EXACT, Role.SHARP, "A singular covariance; the order of the two laws.", _singular
        ),
    ),
)


# Sigma -> 0 --------------------------------------------------------------------------------------


def smoothed() -> tuple[Any, Any, Any]:
    """Divergence of two Gaussians on a line after both are smoothed: `(value, noise, symbols)`."""
    import sympy

    a, b, noise = sympy.symbols("a b s", positive=True)
    m = sympy.Symbol("m", real=True)
    first, second = a + noise, b + noise
    value = (sympy.log(second / first) + (first + m**2) / second - 1) / 2
    return value, noise, (a, b, m)


def vanishing_noise() -> Derivation:
    """The limit, and that it is approached from below."""
    import sympy

    value, noise, (a, b, m) = smoothed()
    slope = sympy.simplify(value.diff(noise))
    fall = ((a - b) ** 2 + m**2 * (a + noise)) / (a + noise) / (b + noise) ** 2
    return Derivation(
        "Two Gaussians, smoothed",
        (
            Step("noise only takes away", slope, 0, "<=", fall / 2),
            Step(
                "no noise in the limit",
                sympy.limit(value, noise, 0),
                (sympy.log(b / a) + (a + m**2) / b - 1) / 2,
            ),
        ),
    )


def _one_direction() -> Evidence:
    import sympy

    noise = sympy.Symbol("s", positive=True)
    shift, own = sympy.Matrix(ALONG), sympy.Matrix(TILTED)
    everywhere = own + noise * sympy.eye(own.rows)
    partly = own + sympy.diag(noise, 1)
    whole = information(shift, own)
    limits = [sympy.limit(information(shift, c), noise, 0) for c in (everywhere, partly)]
    summary = (
        rf"Two Gaussians with covariance $\binom{{2\ 1}}{{1\ 2}}$, shifted by $(1,1)$: "
        rf"$\mathrm{{SI}}={whole}$; noise that vanishes in both directions gives {limits[0]} in "
        rf"the limit, noise that vanishes in one only {limits[1]}."
    )
    expected = [sympy.Rational(1, 3), sympy.Rational(3, 10)]
    return Evidence(limits == expected and whole == limits[0], summary)


LIMIT = Claim(
    id="unique/si-limit",
    title="Without noise, smooth sample information becomes sample information",
    paper="unique",
    location="Section 3, the sentence after Definition 3.1",
    printed=r"""
"[...] if the algorithm $A$ is continuous, we can pick $\Sigma\to0$, which will make
$\mathrm{SI}_\Sigma(z_i,A)\to\mathrm{SI}(z_i,A)$." """,
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
For every algorithm, continuous or not, and from below; also where $\mathrm{SI}$ is infinite. All
eigenvalues of $\Sigma$ must go to 0.
""",
    proof=r"""
Smoothing is a random map, so $\mathrm{SI}_\Sigma\le\mathrm{SI}$. As $\Sigma\to0$ the smoothed laws
converge weakly to $p_A(\cdot\mid S)$ and $p_A(\cdot\mid S_{-i})$, and divergence is lower
semicontinuous under weak convergence: $\liminf\mathrm{SI}_\Sigma\ge\mathrm{SI}$.
""",
    rebuttal="",
    effect=r"""
It justifies the definition: nothing is lost but what the noise hides.
""",
    prior_art=r"""
Data processing and lower semicontinuity (Posner, 1975).
""",
    chapter="part4/sample-information",
    gist="For every algorithm, from below, also when the limit is infinite.",
    uses=("unique/def-3.1",),
    checks=(
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "Any two Gaussians on a line.",
            lambda: derived(vanishing_noise()),
        ),
        Check(Kind.EXACT, Role.SHARP, "Noise that stays in one direction.", _one_direction),
    ),
)


CLAIMS = (DEF_31, LIMIT)
