"""Appendix C of `unique`: the covariance of SGD's gradients."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import enumerate_all
from memlib.theory.linearized import Network, gradients, minimum, noise, rational

Vector = tuple[Fraction, ...]

#: Per-sample gradients in the plane.
GRADIENTS = ((1, 0), (0, 2), (3, -1))
OTHERS = ((2, 2), (-1, 0), (0, 1), (1, -1))
#: Batch sizes with and without replacement.
SIZES, DRAWN = (1, 2, 3), (2, 3)
#: Entries of gradients, and how many there are at most.
ENTRIES, UP_TO = ((0, 1), (0, 1), (0, 1)), (1, 2, 3)


def covariance(draws: list[tuple[tuple[int, int], ...]]) -> list[list[Fraction]]:
    """Covariance of the batch mean, each batch as likely as the others."""
    means = [
        [Fraction(sum(column), len(batch)) for column in zip(*batch, strict=True)]
        for batch in draws
    ]
    center = [sum(column) / len(means) for column in zip(*means, strict=True)]
    return [
        [sum((m[a] - center[a]) * (m[b] - center[b]) for m in means) / len(means) for b in (0, 1)]
        for a in (0, 1)
    ]


def per_sample(gradients: tuple[tuple[int, int], ...]) -> list[list[Fraction]]:
    """Lambda as printed: G G^T / n - g g^T."""
    n = len(gradients)
    g = [Fraction(sum(column), n) for column in zip(*gradients, strict=True)]
    return [
        [Fraction(sum(v[a] * v[b] for v in gradients), n) - g[a] * g[b] for b in (0, 1)]
        for a in (0, 1)
    ]


def scaled(matrix: list[list[Fraction]], factor: Fraction) -> list[list[Fraction]]:
    """The matrix times a number."""
    return [[factor * entry for entry in row] for row in matrix]


# The covariance ----------------------------------------------------------------------------------


def _batches() -> Iterator[tuple[tuple[tuple[int, int], ...], int]]:
    yield from product((GRADIENTS, OTHERS), SIZES)


def _with_replacement() -> Evidence:
    return enumerate_all(
        _batches(),
        lambda case: (
            covariance(list(product(case[0], repeat=case[1])))
            == scaled(per_sample(case[0]), Fraction(1, case[1]))
        ),
        r"All batches of 1, 2, 3 of three and of four gradients, drawn with replacement: "
        r"$\mathrm{Cov}[\tilde g]=\frac1b\Lambda$.",
        count=2 * 3,
    )


def _without_replacement() -> Evidence:
    n = len(OTHERS)
    right = True
    for b in DRAWN:
        factor = Fraction(n - b, n - 1)
        same = covariance(list(combinations(OTHERS, b))) == scaled(per_sample(OTHERS), factor / b)
        right = right and same and factor < 1
    summary = (
        r"Drawn without replacement, as in an epoch, the covariance is $\frac{n-b}{n-1}\cdot"
        r"\frac1b\Lambda$: all batches of 2 and 3 of four gradients."
    )
    return Evidence(right, summary)


COVARIANCE = Claim(
    id="unique/sec-c-covariance",
    title="Covariance of a mini-batch gradient",
    paper="unique",
    location="Appendix C",
    printed=r"""
With $k_i$ drawn independently and uniformly, $\mathrm{Cov}[\tilde g,\tilde g]=\frac1b\Lambda(w)$,
$\Lambda(w)=\frac1n\sum_ig_ig_i^T-gg^T=\frac1nGG^T-gg^T$.""",
    assumptions=("batches are drawn independently, with replacement",),
    verdict=Verdict.HOLDS,
    holds=r"""
As printed. Without replacement, as SGD is mostly run, there is the factor $\frac{n-b}{n-1}$.
""",
    proof=r"""
Independent draws: covariances add up, $\frac1{b^2}\cdot b\,\Lambda$. Without replacement two draws
have covariance $-\frac1{n-1}\Lambda$, which gives $\frac1b(1-\frac{b-1}{n-1})\Lambda$.
""",
    rebuttal="",
    effect="A full batch has no noise, which the formula with replacement does not show.",
    prior_art="Textbook (finite population correction).",
    chapter="part4/sgd-steady-state",
    gist=r"As printed; without replacement times $\frac{n-b}{n-1}$.",
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "All batches with replacement.", _with_replacement),
        Check(Kind.EXACT, Role.SHARP, "Without replacement.", _without_replacement),
    ),
)


# Its rank ----------------------------------------------------------------------------------------

#: As many samples as weights, two outputs each: nk is twice d. And one sample more.
SQUARE = Network(((1, 0), (0, 1), (1, 1), (1, -1)), (1, 0, 2, 1), Fraction(0), 2)
MORE = Network((*SQUARE.jacobian, (2, 1), (0, 1)), (*SQUARE.labels, 1, 5), Fraction(0), 2)
AT = (1, 2)


def _rank_bound() -> Evidence:
    def holds(chosen: tuple[tuple[int, int, int], ...]) -> bool:
        import sympy

        g = sympy.Matrix(chosen).T
        n = len(chosen)
        mean = g * sympy.ones(n, 1) / n
        return (g * g.T / n - mean * mean.T).rank() <= n - 1

    bits = tuple(product(*ENTRIES))
    cases = [c for n in UP_TO for c in combinations(bits, n)]
    return enumerate_all(
        cases,
        holds,
        r"$\mathrm{rank}\,\Lambda\le n-1$: all sets of up to three gradients with entries 0, 1.",
        count=8 + 28 + 56,
    )


def _rank_attained() -> Evidence:
    import sympy

    w = sympy.Matrix(AT)
    deficient, full = noise(SQUARE, w), noise(MORE, w)
    d, outputs = len(AT), len(SQUARE.labels)
    summary = (
        rf"$d={d}$ weights. {SQUARE.samples} samples with 2 outputs, so $nk={outputs}\ge d$: rank "
        rf"{deficient.rank()}, deficient all the same. {MORE.samples} samples: rank {full.rank()}."
    )
    passed = (deficient.rank(), full.rank()) == (1, 2) and outputs > d == SQUARE.samples
    return Evidence(passed, summary)


RANK = Claim(
    id="unique/sec-c-rank",
    title="When the covariance of gradients is deficient",
    paper="unique",
    location="Appendix C, after the definition of the covariance",
    printed=r"""
"[...] whenever the number of samples times number of outputs is less than number of parameters
($nk<d$), then $\Lambda(w)$ will be rank deficient." """,
    assumptions=(r"$nk<d$",),
    verdict=Verdict.LOOSE,
    holds=r"""
$\mathrm{rank}\,\Lambda(w)\le n-1$ whatever the number of outputs, so that $\Lambda$ is deficient
as soon as $n\le d$. With $n=d+1$ samples it can have full rank.
""",
    proof=r"""
$\Lambda=\frac1n\sum_i(g_i-g)(g_i-g)^T$, one vector per *sample*, and the $n$ vectors add up to 0.
""",
    rebuttal="",
    effect=r"""
It sharpens the authors' own remark: with 1000 samples every network with 1000 weights or more is
affected, however many classes there are.
""",
    prior_art="Textbook: the rank of a sample covariance.",
    chapter="part4/sgd-steady-state",
    gist=r"rank $\Lambda\le n-1$: deficient as soon as $n\le d$, whatever $k$ is.",
    uses=("unique/sec-c-covariance",),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "The rank is below n.", _rank_bound),
        Check(Kind.EXACT, Role.ATTAINED, "n = d and n = d + 1.", _rank_attained),
    ),
)


# Weight decay ------------------------------------------------------------------------------------

#: The same samples, without and with regularization.
PLAIN = Network(((1, 0), (1, 1), (0, 2)), (1, 3, 0), Fraction(0))
DECAYED = Network(PLAIN.jacobian, PLAIN.labels, Fraction(2))


def _shifted() -> Evidence:
    import sympy

    w = sympy.Matrix(AT)
    g = gradients(PLAIN, w)
    shift = rational(DECAYED.decay) * w / g.cols
    moved = sympy.Matrix.hstack(*(g[:, i] + shift for i in range(g.cols)))
    ones = sympy.ones(g.cols, 1) / g.cols

    def spread(columns: sympy.Matrix) -> sympy.Matrix:
        return columns * columns.T / columns.cols - (columns * ones) * (columns * ones).T

    same = spread(moved) == spread(g) == noise(DECAYED, w)
    return Evidence(
        bool(same and moved != g),
        r"Three samples, one $w$: every gradient moves by $\frac\lambda nw$, the same covariance.",
    )


def _moved_minimum() -> Evidence:
    traces = [noise(network, minimum(network)).trace() for network in (PLAIN, DECAYED)]
    summary = (
        r"At the minimum it does change, because the minimum moves: the trace of $\Lambda(w^*)$ "
        rf"is {traces[0]} for $\lambda=0$ and {traces[1]} for $\lambda=2$."
    )
    return Evidence(bool(0 < traces[0] < traces[1]), summary)


DECAY = Claim(
    id="unique/sec-c-weight-decay",
    title="Weight decay and the covariance of gradients",
    paper="unique",
    location="Appendix C, last sentence",
    printed=r"""
"[...] if we add weight decay to the total loss then covariance $\Lambda(w)$ will not change, as all
gradients will be shifted by the same vector." """,
    assumptions=(),
    verdict=Verdict.HOLDS,
    holds=r"""
At a fixed $w$. $\Lambda(w^*)$, which enters Eq. (14), does change with $\lambda$, because $w^*$
does.
""",
    proof="A covariance does not see a common shift.",
    rebuttal="",
    effect="None.",
    prior_art="Elementary.",
    chapter="part4/sgd-steady-state",
    gist=r"At a fixed $w$; at the minimum $\Lambda(w^*)$ depends on $\lambda$.",
    uses=("unique/sec-c-covariance",),
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "A common shift.", _shifted),
        Check(Kind.EXACT, Role.SHARP, "At the minimum.", _moved_minimum),
    ),
)


CLAIMS = (COVARIANCE, RANK, DECAY)
