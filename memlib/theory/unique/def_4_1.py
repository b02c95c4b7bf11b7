"""Definition 4.1 of `unique`: smooth functional sample information, and which mean it takes."""

from fractions import Fraction
from itertools import product

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, derived, show
from memlib.theory.worlds import mean, without

#: Inputs of a line, and the learner: the slope is the mean label, the prediction slope times input.
INPUTS = (1, 2)
LABELS = (0, 1)
HERE = ((1, 1), (2, 0))


def slope(data: tuple[tuple[int, int], ...]) -> Fraction:
    """The mean label."""
    return mean([Fraction(y) for _, y in data])


def divergence(x: int, data: tuple[tuple[int, int], ...], i: int) -> Fraction:
    """KL of the smoothed predictions at x with and without sample i, for sigma = 1."""
    change = x * (slope(data) - slope(without(data, i)))
    return change**2 / 2


def both_means() -> tuple[dict[int, Fraction], list[Fraction]]:
    """The mean over data sets at each x, as printed, and the mean over x of each sample."""
    sets = [tuple(zip(INPUTS, labels, strict=True)) for labels in product(LABELS, repeat=2)]
    over_sets = {x: mean([divergence(x, data, 0) for data in sets]) for x in INPUTS}
    over_inputs = [mean([divergence(x, data, 0) for x in INPUTS]) for data in sets]
    return over_sets, over_inputs


def _separated() -> Evidence:
    over_sets, over_inputs = both_means()
    summary = (
        r"Two samples, slope = mean label, first sample left out. With $\mathbb E_S$ as printed: "
        + ", ".join(f"{show(v)} at $x={x}$" for x, v in over_sets.items())
        + r", the same for every $z_i$. With $\mathbb E_x$: "
        + ", ".join(show(v) for v in over_inputs)
        + " for the labels (0,0), (0,1), (1,0), (1,1)."
    )
    passed = list(over_sets.values()) == [Fraction(1, 16), Fraction(1, 4)] and over_inputs == [
        0,
        Fraction(5, 16),
        Fraction(5, 16),
        0,
    ]
    return Evidence(passed, summary)


def predictions() -> Derivation:
    """One data set, one sample, every x of two: Definition 4.1 with the mean over x is Eq. (8)."""
    import sympy

    w, v, sigma = sympy.symbols("w v sigma", positive=True)
    p = sympy.Symbol("p", positive=True)
    a, b = sympy.symbols("x_1 x_2", real=True)
    changes = [(p, (w * a - v * a) ** 2), (1 - p, (w * b - v * b) ** 2)]
    second_moment = p * a**2 + (1 - p) * b**2
    return Derivation(
        "The mean over inputs",
        (
            Step(
                "Proposition 3.2 at each input, with Sigma = sigma^2",
                sum(chance * change / (2 * sigma**2) for chance, change in changes),
                (w - v) ** 2 * second_moment / (2 * sigma**2),
            ),
        ),
    )


DEF_41 = Claim(
    id="unique/def-4.1",
    title="Smooth functional sample information",
    paper="unique",
    location="Section 4, Definition 4.1, Eq. (7)",
    printed=r"""
$$\text{F-SI}_\sigma(z_i,A)=\mathbb E_S[\mathrm{KL}(q_\sigma(\hat y_\sigma\mid x,S)\,\|\,
q_\sigma(\hat y_\sigma\mid x,S_{-i}))].$$""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    holds=r"""
$\mathbb E_{x\sim p(x)}$ in place of $\mathbb E_S$. So the proposition after it has it (Eq. 8, 16),
and so all scores are computed. As printed, the left side would depend on $x$ and not on $z_i$.
""",
    proof=r"""
With $\mathbb E_x$ the definition gives Eq. (8) by Proposition 3.2 at each $x$. A mean over $S$
averages the sample away.
""",
    rebuttal=r"""
*$\mathbb E_S$ is there so that Eq. (6) holds.* It would help there (on both sides), but then F-SI
is no score of one sample.
""",
    effect=r"""
None: Eq. (8) is what is used.
""",
    prior_art=r"""
None needed.
""",
    chapter="part4/information-in-predictions",
    gist=r"With $\mathbb E_x$ in place of $\mathbb E_S$, as Eq. (8) has it.",
    uses=("unique/eq-6", "unique/prop-3.2"),
    checks=(
        Check(
            Kind.SYMBOLIC, Role.SUPPORTS, "The mean over inputs.", lambda: derived(predictions())
        ),
        Check(Kind.EXACT, Role.SEPARATES, "Two samples, both means.", _separated),
    ),
)


CLAIMS = (DEF_41,)
