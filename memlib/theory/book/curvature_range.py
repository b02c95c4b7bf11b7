"""How much curvature a bounded loss can have at all (T0), and what privacy does to it (T2)."""

from fractions import Fraction
from typing import Any

from memlib.theory.book.privacy import TV_PURE, pure_bound
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.curvature_worlds import EULER, at, bounds, flipped, hessian_constant
from memlib.theory.evidence import Derivation, Step, decide, derived, linear_maximum, show
from memlib.theory.privacy_worlds import average, is_private, positive, private_pairs, size_response

CHAPTER = "part3/privacy-and-curvature"
FACTOR, STRICTER = Fraction(3), Fraction(299, 100)
#: Where Euler's spline is lowest and where it is highest.
PLACES = (Fraction(0), Fraction(1, 2))
DIMENSIONS = (1, 2, 3)
#: Where the curvature is largest, and the derivative that it is.
CREST = (0, 2)
SAMPLES = ((0, 1), (1, 1))
HALF_RANGE = Fraction(24)
#: Four hypotheses by their curvature, between the extremes that `EULER` has.
CURVATURES = (24, 8, -8, -24)


# T0 ----------------------------------------------------------------------------------------------


def room_needed(curvature: Any, rho: Any, dimension: Any) -> Any:
    """T0: what must be left between the loss and its bound, for that trace of the Hessian."""
    return 2 * curvature**3 / (3 * rho**2 * dimension**3)


def at_radius(room: Any, rho: Any, dimension: Any, radius: Any) -> Any:
    """T0 on a ball: the largest trace of the Hessian that one radius allows."""
    return dimension * (2 * room / radius**2 + rho * radius / 3)


def best_radius(curvature: Any, rho: Any, dimension: Any) -> Any:
    """The distance at which the Taylor bound says most."""
    return 2 * curvature / (rho * dimension)


def averaged_taylor(room: Any, curvature: Any, rho: Any, dimension: Any, radius: Any) -> Any:
    """What Taylor's theorem says on average over the ends of d axes of length `radius`."""
    return curvature * radius * radius / dimension / 2 <= room + rho * radius * radius * radius / 6


def _t0_decided() -> Evidence:
    import z3

    room, curvature, rho, dimension = z3.Reals("room T rho d")
    radius = best_radius(curvature, rho, dimension)
    return decide(
        [
            *positive(curvature, rho, dimension),
            averaged_taylor(room, curvature, rho, dimension, radius),
        ],
        room_needed(curvature, rho, dimension) <= room,
        r"Taylor's bound at the distance $2T/(\rho d)$ gives "
        r"$L-\ell\ge\frac{2T^3}{3\rho^2d^3}$, for all $T,\rho,d>0$.",
    )


def _t0_ball_decided() -> Evidence:
    import z3

    room, curvature, rho, dimension, radius = z3.Reals("room T rho d s")
    return decide(
        [
            *positive(dimension, radius),
            averaged_taylor(room, curvature, rho, dimension, radius),
        ],
        curvature <= at_radius(room, rho, dimension, radius),
        r"At any distance $s$ in the domain, $T\le d\,(2(L-\ell)/s^2+\rho s/3)$.",
    )


def radial() -> Derivation:
    """The third derivative of f(|x|) along a unit vector at angle arccos(c) to x."""
    import sympy

    r, c, t, n, rho = sympy.symbols("r c t n rho", positive=True)
    f, power = sympy.Function("f"), r**n
    along = power.subs(r, sympy.sqrt(r**2 + 2 * r * c * t + t**2)).diff(t, 3).subs(t, 0)
    mixed = r * power.diff(r, 2) - power.diff(r)
    fall = r * f(r).diff(r, 2) - f(r).diff(r)
    return Derivation(
        "A radial function has the Lipschitz constant of its profile",
        (
            Step(
                "third derivative along the unit vector (for all powers, so for all f)",
                along,
                power.diff(r, 3) * c**3 + 3 * c * (1 - c**2) * mixed / r**2,
            ),
            Step(
                "the mixed term grows at this rate", sympy.Derivative(fall, r), r * f(r).diff(r, 3)
            ),
            Step(
                "so it is at most rho r^2 / 2 if f'(0) = 0",
                sympy.Integral(rho * t, (t, 0, r)),
                rho * r**2 / 2,
            ),
            Step(
                "with both at their bounds, nothing exceeds rho",
                rho * c**3 + 3 * c * (1 - c**2) * rho / 2,
                rho,
                "<=",
                rho * (1 - c) ** 2 * (2 + c) / 2,
            ),
        ),
    )


def _t0_attained() -> Evidence:
    rho, (low, high) = hessian_constant(EULER), bounds(EULER)
    up, down = (at(EULER, x, 2) for x in PLACES)
    bottom, top = (at(EULER, x) for x in PLACES)
    rooms = high - bottom, top - low
    needed = [
        (room_needed(d * up, rho, d), room_needed(d * -down, rho, d)) == rooms for d in DIMENSIONS
    ]
    radius = best_radius(up, rho, 1)
    passed = all(needed) and rooms == (1, 1) and up == at_radius(1, rho, 1, radius) == 24
    summary = (
        rf"Euler's spline, between {show(low)} and {show(high)} on the whole line with "
        rf"$\rho={show(rho)}$: curvature ${show(up)}$ where it is {show(bottom)} and "
        rf"${show(down)}$ "
        rf"where it is {show(top)}. T0 asks for room {show(rooms[0])} for either, which is all "
        rf"there is; so it does for the radial spline in $d={', '.join(map(str, DIMENSIONS))}$ "
        rf"dimensions, with trace $\pm{show(up)}d$."
    )
    return Evidence(passed, summary)


T0 = Claim(
    id="book/t0",
    title="T0: a bounded loss has bounded curvature, with no algorithm in sight",
    paper="book",
    location="what remains of Theorem 5.3 of `privacy` without privacy",
    printed=r"""
Let $0\le\ell(h,\cdot)\le L$ have a $\rho$-Lipschitz Hessian in $x\in\mathbb R^d$. Then everywhere

$$-d\,\Bigl(\tfrac32\rho^2\,\ell\Bigr)^{1/3}\;\le\;\mathrm{tr}\,\nabla_x^2\ell\;\le\;
d\,\Bigl(\tfrac32\rho^2\,(L-\ell)\Bigr)^{1/3},$$

and for every $d$ there is a loss on all of $\mathbb R^d$ that reaches both ends.""",
    assumptions=(
        r"$0\le\ell(h,\cdot)\le L$, and the Hessian in $x$ is $\rho$-Lipschitz in the operator "
        r"norm",
        r"the domain contains the ball of radius $(12L/\rho)^{1/3}$ about $x$",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated. Where only a ball of radius $r$ is in the domain (images in $[0,1]^d$ near the boundary),
$\mathrm{tr}\,\nabla^2_x\ell\le d\,\min_{s\le r}\bigl(2(L-\ell)/s^2+\rho s/3\bigr)$.
""",
    proof=r"""
Let $\alpha$ be one of $\pm s\,e_1,\dots,\pm s\,e_d$ with equal chances: $\mathbb E\alpha=0$,
$\mathbb E\alpha\alpha^\top=\frac{s^2}dI$, $\|\alpha\|=s$. Taylor's theorem with a $\rho$-Lipschitz
Hessian gives $\frac{s^2}{2d}\mathrm{tr}\,\nabla^2\ell(x)\le\mathbb E\,\ell(x+\alpha)-\ell(x)+
\frac\rho6s^3\le L-\ell(x)+\frac\rho6s^3$. With $T=\mathrm{tr}\,\nabla^2\ell(x)>0$ take $s=2T/(\rho
d)$: $\frac{2T^3}{3\rho^2d^3}\le L-\ell(x)$, the upper end. The lower end is the upper end of
$L-\ell$. (The distance $s=(12(L-\ell)/\rho)^{1/3}$, which does not mention $T$, gives the same
bound, $\rho sd/2$: hence the condition on the domain.)

*Reached.* For $d=1$: Euler's spline, $12x^2-16x^3$ on $[0,\frac12]$, continued as an even function
of period 1 ($L=1$, $\rho=96$, curvature 24 at 0). For every $d$: the same function $f$ of $\|x\|$.
Its third derivative along a unit vector at angle $\arccos c$ is $f'''c^3+3c(1-c^2)(rf''-f')/r^2$;
since $(rf''-f')'=rf'''$ and $f'(0)=0$, the last fraction is at most $\rho/2$ in size, and the sum
at most $\rho(3|c|-|c|^3)/2\le\rho$. The third derivative of a smooth function is a symmetric form,
so it is largest along a single vector: the Hessian is $\rho$-Lipschitz. At the origin it is
$24\,I$.
""",
    rebuttal="",
    effect=r"""
Curvature is bounded by the loss being bounded and smooth, whatever the training algorithm: a bound
that claims to follow from privacy has to be compared with this one.
""",
    prior_art=r"""
The inequality of Landau and Kolmogorov for three derivatives, with its extremal spline (1913,
1939). The radial extension is elementary.
""",
    chapter=CHAPTER,
    uses=("privacy/lemma-a.3",),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "The bound, for all reals.", _t0_decided),
        Check(Kind.DECIDED, Role.SUPPORTS, "The bound on a ball.", _t0_ball_decided),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "Every dimension.", lambda: derived(radial())),
        Check(Kind.EXACT, Role.SHARP, "Euler's spline reaches both ends.", _t0_attained),
    ),
    gist=r"$\mathrm{tr}\,\nabla^2\ell\le d(\frac32\rho^2(L-\ell))^{1/3}$, reached in every "
    r"dimension",
)


# T2 ----------------------------------------------------------------------------------------------


def sensitivity(largest: Any, distance: Any) -> Any:
    """T2: what two mean curvatures can differ by, at that total variation distance."""
    return 2 * largest * distance


def _t2_layers_decided() -> Evidence:
    import z3

    gaps, gains = z3.Reals("g1 g2 g3"), z3.Reals("t1 t2 t3")
    largest, distance = z3.Reals("K t")
    return decide(
        [
            *(gap >= 0 for gap in gaps),
            *(gain <= distance for gain in gains),
            z3.Sum(gaps) == largest + largest,
        ],
        z3.Sum([g * t for g, t in zip(gaps, gains, strict=True)]) <= sensitivity(largest, distance),
        r"Values in $[-K,K]$, sorted: the difference of their means is $\sum_kg_kt_k$, with the "
        r"gaps "
        r"$g_k\ge0$ between them ($\sum_kg_k\le2K$) and $t_k=P(R_k)-Q(R_k)\le t$. It is at most "
        r"$2Kt$ (three gaps).",
    )


def _t2_maximum() -> Evidence:
    largest = at(EULER, *CREST)
    return linear_maximum(
        [*CURVATURES, *(-value for value in CURVATURES)],
        *private_pairs(len(CURVATURES), FACTOR),
        sensitivity(largest, pure_bound(FACTOR)),
        rf"Hypotheses with curvatures {', '.join(map(str, CURVATURES))} and all pairs of "
        rf"distributions that are private at $e^\varepsilon={FACTOR}$: the largest difference of "
        "mean curvature.",
    )


def _t2_attained() -> Evidence:
    respond = size_response(FACTOR / (1 + FACTOR), (EULER, flipped(EULER)))
    full, left = (
        average(respond(data), lambda h: at(h, *CREST)) for data in (SAMPLES, SAMPLES[:-1])
    )
    private = is_private(respond, SAMPLES, FACTOR) and not is_private(respond, SAMPLES, STRICTER)
    bound = sensitivity(at(EULER, *CREST), pure_bound(FACTOR))
    summary = (
        rf"Randomized response between the losses $f$ (Euler's spline) and $1-f$, private at "
        rf"$e^\varepsilon={FACTOR}$ and at no less: mean curvature at 0 is ${show(full)}$ with the "
        rf"sample and ${show(left)}$ without; T2 allows a difference of ${show(bound)}$."
    )
    return Evidence(private and full - left == bound == HALF_RANGE, summary)


T2 = Claim(
    id="book/t2",
    title="T2: privacy makes curvature insensitive, not low",
    paper="book",
    location="replaces Theorem 5.3 of `privacy`",
    printed=r"""
Let $\mathcal A$ be $\varepsilon$-private (adding or removing one sample), $0\le\ell\le L$ with a
$\rho$-Lipschitz Hessian in $x$. Then for every point $z$, every $S$ and $i$,

$$\bigl|\mathbb E_\phi\mathrm{Curv}(z,S)-\mathbb E_\phi\mathrm{Curv}(z,S^{\setminus i})\bigr|
\le2d\,\Bigl(\tfrac32\rho^2L\Bigr)^{1/3}\tanh\frac\varepsilon2 .$$

The constant is reached at every $\varepsilon$.""",
    assumptions=(
        r"$\mathcal A$ is $\varepsilon$-differentially private for adding and removing one sample",
        r"$0\le\ell\le L$, the Hessian in $x$ is $\rho$-Lipschitz, and the domain contains the "
        r"ball of radius $(12L/\rho)^{1/3}$ about the point",
    ),
    verdict=Verdict.HOLDS,
    holds=r"""
As stated, with any bound on the total variation distance in place of $\tanh(\varepsilon/2)$
(`book/tv-approx`, `book/tv-gdp`, `book/tv-accountant`).
""",
    proof=r"""
By T0 the curvature at $z$ of every hypothesis is in $[-K,K]$, $K=d(\frac32\rho^2L)^{1/3}$. For a
function $f$ with values in an interval of length $2K$, $\mathbb E_Pf-\mathbb E_Qf=\int
(P(f>u)-Q(f>u))\,du\le2K\,\mathrm{TV}(P,Q)$, and $\mathrm{TV}\le\tanh(\varepsilon/2)$ by
`book/tv-pure`.

*Reached.* Let two hypotheses have the losses $f$ and $L-f$, with $f$ extremal for T0 at $z$: their
curvatures there are $K$ and $-K$. Randomized response between them has the largest total variation
distance that $\varepsilon$ allows.
""",
    rebuttal="",
    effect=r"""
What privacy promises about a training sample's curvature is that the sample itself has hardly
influenced it. Whether it is high or low is the loss's own affair.
""",
    prior_art=r"""
Post-processing: any bounded statistic of a private model is insensitive. Not in the paper.
""",
    chapter=CHAPTER,
    uses=("book/t0", TV_PURE.id),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Means of a bounded function.", _t2_layers_decided),
        Check(Kind.EXACT, Role.SUPPORTS, "All mechanisms on four hypotheses.", _t2_maximum),
        Check(Kind.EXACT, Role.SHARP, "Randomized response reaches it.", _t2_attained),
    ),
    gist=r"One sample moves mean curvature by at most "
    r"$2d(\frac32\rho^2L)^{1/3}\tanh(\varepsilon/2)$",
)

CLAIMS = (T0, T2)
