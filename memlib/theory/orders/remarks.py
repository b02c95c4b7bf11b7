"""The draft's remark on its assumptions: uniform stability, and Lipschitz constants of networks."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.feldman import SINGLETON
from memlib.theory.orders.definitions import zero_one
from memlib.theory.worlds import expected_loss, memorization, nearest_neighbor, stability, without

#: The singleton's place, and a population in which it is rare.
RARE = 2
CHANCES = (Fraction(499, 1000), Fraction(1, 2), Fraction(1, 1000))


def _singleton() -> Evidence:
    population = list(zip(SINGLETON, CHANCES, strict=True))
    error = stability(nearest_neighbor, SINGLETON, population, zero_one)
    uniform = max(
        abs(
            expected_loss(nearest_neighbor, SINGLETON, z, zero_one)
            - expected_loss(nearest_neighbor, without(SINGLETON, i), z, zero_one)
        )
        for i, _ in enumerate(SINGLETON)
        for z in SINGLETON
    )
    mem = memorization(nearest_neighbor, SINGLETON, RARE)
    summary = (
        rf"1-nearest-neighbor and a sample of probability {show(min(CHANCES))}: error stability "
        rf"$\beta={show(error)}$, memorization {show(mem)}, uniform stability {show(uniform)}. The "
        r"small constant is the one that allows memorization."
    )
    return Evidence((error, uniform, mem) == (min(CHANCES), 1, 1), summary)


def _uniform_excludes() -> Evidence:
    import z3

    inside, outside, beta, scale = z3.Reals("inside outside beta scale")
    return decide(
        [scale > 0, scale * ((1 - outside) - (1 - inside)) <= beta],
        inside - outside <= beta / scale,
        r"Gibbs loss: uniform stability $\beta_u$, at the sample itself, says "
        r"$\mathrm{mem}\le\beta_u/L$.",
    )


#: Distances around the kink of a ReLU.
STEPS = (Fraction(1, 10), Fraction(1, 1000), Fraction(1, 10**6))


def relu_slope(x: Fraction) -> Fraction:
    """The derivative of max(x, 0), off 0."""
    return Fraction(x > 0)


def _relu() -> Evidence:
    quotients = [(relu_slope(h) - relu_slope(-h)) / (h + h) for h in STEPS]
    summary = (
        r"One ReLU has Lipschitz constant 1; the difference quotients of its *derivative* across 0 "
        rf"are {', '.join(show(q) for q in quotients)}, without bound."
    )
    return Evidence(quotients == [5, 500, 500_000], summary)


REMARK = Claim(
    id="orders/remark-assumptions",
    title="The assumptions are plausible",
    paper="orders",
    location="Section 4.2.3, Remark on Assumptions",
    printed=r"""
SGD methods "are uniformly stable (Hardt et al., 2016), supporting the plausibility of our
assumptions on stability (Equation 1)"; Virmaux and Scaman (2018) "have provided a general upper
bound for the Lipschitz constant of any differentiable deep learning model, validating the Lipschitz
continuity assumption". """,
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r""" Error
stability (Eq. 1) is plausible, and needs no support by uniform stability: it is compatible with
memorization. Uniform stability with a small $\beta_u$ is not: with Gibbs loss it says
$\mathrm{mem}\le\beta_u/L$ for every sample, and no network that memorizes has it. The Lipschitz
assumption of the draft is one on *gradients* (Eq. 16), and on Hessians (Eq. 17); a Lipschitz
constant of the network does not give it, and the ReLU networks of the experiments do not have it.
""",
    proof=r"""
Uniform stability bounds the change of the loss at every point, the left-out sample included; for
Gibbs loss that change is $L\,\mathrm{mem}$. A ReLU is 1-Lipschitz and its derivative jumps.
""",
    rebuttal=r"""
*Bounds of Hardt et al. apply to the trained networks.* They are small for few passes over the data,
with step sizes of order $1/t$ in the non-convex case; training until singletons are fitted is
outside of that regime, as their memorization shows.
""",
    tried=r"""
Each cited result is true, and uniform stability does give error stability. That a Lipschitz
constant of the network gives the assumption on gradients is refuted, by one ReLU; that error
stability is to be expected only with uniform stability is refuted by nearest neighbors.
"Plausible" is not a statement that an instance can meet or break.
""",
    effect=r"""
The theorems that use smoothness speak of networks with smooth activations (and of their constants);
those of the experiments have ReLU. The remark concerns plausibility, and refutes no theorem.
The published version assumes uniform stability itself (its Eq. 4).
""",
    prior_art=r"""
Memorization against stability: Feldman (2020), Section 1. Bousquet and Elisseeff (2002).
""",
    chapter="part2/the-final-gradient",
    uses=("orders/eq-1", "feldman/def-mem"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Stable in error, not uniformly.", _singleton),
        Check(
            Kind.DECIDED,
            Role.SUPPORTS,
            "Uniform stability excludes memorization.",
            _uniform_excludes,
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "Lipschitz, but not its derivative.", _relu),
    ),
    gist=r"Uniform stability gives $\mathrm{mem}\le\beta_u/L$ (Gibbs loss): if small, nothing is "
    r"memorized. ReLU gradients are not Lipschitz.",
)


CLAIMS = (REMARK,)
