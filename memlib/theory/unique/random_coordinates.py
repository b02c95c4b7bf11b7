"""Random projections and random coordinates, in Section 5 of `unique`."""

from fractions import Fraction
from itertools import combinations, product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import enumerate_all, show
from memlib.theory.worlds import mean

Vector = tuple[int, ...]

#: A gradient that sits in one weight of four, and others; what is kept of the four.
SPARSE: Vector = (2, 0, 0, 0)
PAIRS: tuple[tuple[Vector, Vector], ...] = (
    (SPARSE, SPARSE),
    ((1, 2, 0, -1), (1, 1, 1, 1)),
    ((3, 0, 0, 1), (0, 2, 1, 0)),
)
KEPT = 2


def inner(u: Vector, v: Vector) -> int:
    """The inner product."""
    return sum(a * b for a, b in zip(u, v, strict=True))


def by_coordinates(u: Vector, v: Vector, kept: int) -> list[Fraction]:
    """The estimate from every set of that many coordinates, each as likely."""
    scale = Fraction(len(u), kept)
    return [
        scale * sum(u[c] * v[c] for c in chosen) for chosen in combinations(range(len(u)), kept)
    ]


def by_signs(u: Vector, v: Vector) -> list[Fraction]:
    """The estimate from every projection on one vector of random signs."""
    return [Fraction(inner(u, s) * inner(v, s)) for s in product((-1, 1), repeat=len(u))]


def spread(estimates: list[Fraction]) -> Fraction:
    """Variance."""
    return mean([e**2 for e in estimates]) - mean(estimates) ** 2


def relative(estimates: list[Fraction]) -> Fraction:
    """Variance over the square of the mean."""
    return spread(estimates) / mean(estimates) ** 2


def _unbiased() -> Evidence:
    def holds(pair: tuple[Vector, Vector]) -> bool:
        u, v = pair
        lengths = inner(u, u) * inner(v, v)
        diagonal = sum(a**2 * b**2 for a, b in zip(u, v, strict=True))
        right = mean(by_coordinates(u, v, KEPT)) == mean(by_signs(u, v)) == inner(u, v)
        variance = spread(by_signs(u, v))
        return right and variance == lengths + inner(u, v) ** 2 - 2 * diagonal <= 2 * lengths

    return enumerate_all(
        PAIRS,
        holds,
        r"All sets of two of four coordinates, and all projections on signs: both estimates are "
        r"right on average, and that of signs has variance $\|u\|^2\|v\|^2+\langle u,v\rangle^2-2"
        r"\sum u_j^2v_j^2$, at most $2\|u\|^2\|v\|^2$ over the number of projections.",
        count=len(PAIRS),
    )


def _sparse() -> Evidence:
    estimates = by_coordinates(SPARSE, SPARSE, KEPT)
    missed = Fraction(estimates.count(Fraction(0)), len(estimates))
    signs = relative(by_signs(SPARSE, SPARSE))
    one, two = relative(by_coordinates(SPARSE, SPARSE, 1)), relative(estimates)
    summary = (
        r"A gradient in one weight of four: two coordinates give 0 with probability "
        rf"{show(missed)}, relative variance {show(two)}; one coordinate {show(one)}, in general "
        rf"$\frac dc-1$. A projection on signs is exact (variance {show(signs)})."
    )
    values = (missed, two, one, signs) == (Fraction(1, 2), 1, 3, 0)
    return Evidence(values, summary)


RANDOM_COORDINATES = Claim(
    id="unique/random-coordinates",
    title="Inner products from some of the weights",
    paper="unique",
    location="Section 5, Efficient Implementation",
    printed=r"""
"[...] we use low-dimensional random projections of per-example Jacobians to obtain provably good
approximations of dot products (Achlioptas, 2003; Li et al., 2006). We found that just taking 2000
random weights coordinates per layer provides a good enough approximation of the NTK matrix." """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
Both are right on average (coordinates: after scaling each layer by its size over 2000, which is not
mentioned). The proof is for random signs, whose standard error with $c$ of them is at most
$\sqrt{2/c}\,\|u\|\|v\|$ for *all* vectors. For $c$ of $d$ coordinates there is no such bound: the
relative variance can be $\frac dc-1$. It is small where gradients are spread over many weights.
""",
    proof=r"""
Signs: expand $\mathbb E[\langle u,s\rangle^2\langle v,s\rangle^2]$; only paired indices stay.
Coordinates: a gradient that sits in one weight is missed with probability $1-\frac cd$.
""",
    rebuttal=r"""
*"We found" is what the sentence says.* For coordinates it is an observation, and we have no reason
to doubt it; the guarantee before it does not carry over.
""",
    tried=r"""
The guarantee for all vectors is refuted for coordinates by a sparse gradient; for random signs it
is proved above. The sentence claims it for signs and reports the other as found, on networks whose
gradients we have not measured.
""",
    effect=r"""
None that we know of. Gradients of last layers and of biases can be sparse (one class at a time), so
it is worth checking there.
""",
    prior_art=r"""
Johnson and Lindenstrauss (1984); Achlioptas (2003); leverage scores say which coordinates to take.
""",
    chapter="part4/leave-one-out",
    gist="The guarantee is for random signs; for random coordinates none holds for all vectors.",
    uses=("unique/cost-ntk",),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "Both are right on average.", _unbiased),
        Check(Kind.EXACT, Role.FAILING_STEP, "A sparse gradient.", _sparse),
    ),
)


CLAIMS = (RANDOM_COORDINATES,)
