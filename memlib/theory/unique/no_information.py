"""The introduction of `unique`: no information used, so nothing memorized."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.divergences import Log, divergence, mixture
from memlib.theory.evidence import decide
from memlib.theory.worlds import Data, Predictor, memorization

BITS = (0, 1)
#: One sample, labeled 1.
SAMPLE: Data = ((0, 1),)


def counts(data: Data) -> Predictor:
    """Predicts the parity of the *number* of samples; never looks at one."""
    return lambda x: {len(data) % 2: Fraction(1)}


def _present_not_read() -> Evidence:
    ((x, label),) = SAMPLE
    laws = {y: counts(((x, y),))(x) for y in BITS}  # the weight is what is predicted
    r = mixture([(Fraction(1, len(laws)), law) for law in laws.values()])
    information = divergence(laws[label], r)
    mem = memorization(counts, SAMPLE, 0)
    summary = (
        r"A learner that stores only whether $n$ is odd, and predicts that bit: "
        rf"$I(W;z_i\mid S_{{-i}})={float(information):.0f}$ for every sample, and the memorization "
        rf"of a sample with the label 1 is ${mem}$."
    )
    return Evidence(information == Log(Fraction(1)) and mem == 1, summary)


def _no_sample_information() -> Evidence:
    import z3

    inside, outside, total, event = z3.Reals("inside outside total event")
    return decide(
        [total == 0, event >= -total, event <= total, event == inside - outside],
        inside == outside,
        r"$\mathrm{SI}=0$ means equal laws, total variation 0, and then every event, a right "
        r"prediction included, has the same probability with and without the sample.",
    )


NO_INFORMATION = Claim(
    id="unique/no-information",
    title="No information used, so nothing memorized",
    paper="unique",
    location="Section 1",
    printed=r"""
"(if no information is used, the network is not memorizing the sample)".""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
With $\mathrm{SI}(z_i,A)=0$ it is true: the weights have the same law without the sample, and mem is
0. With the information of Eq. (1) equal to 0 it is not, in Feldman's sense: then the weights do not
depend on the *value* of the sample, but they may depend on its *presence*. Memorization leaves a
sample out; Eq. (1) replaces it.
""",
    proof=r"""
$\mathrm{KL}=0$ only for equal laws. For Eq. (1): a learner that counts samples never reads one, and
can predict a label with the sample and miss it without.
""",
    rebuttal=r"""
*To use the count is not to memorize the sample.* In ordinary language, no. Feldman's definition
cannot tell the two, and neither can SI, which is infinite here.
""",
    tried=r"""
Under Eq. (1) it is refuted, by a learner that counts. Under SI it is decided true. The parenthesis
comes before either is defined, so that we take neither reading for the printed one.
""",
    effect=r"""
It explains why Eq. (3) can fail: leaving out and replacing ask different questions.
""",
    prior_art=r"""
Add/remove and replace-one neighbors in differential privacy are the same pair.
""",
    chapter="part4/sample-information",
    gist="True for SI; Eq. (1) can be 0 while mem is 1: it replaces a sample, mem leaves it out.",
    uses=("unique/eq-1", "unique/eq-3", "feldman/def-mem"),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "A learner that only counts.", _present_not_read),
        Check(Kind.DECIDED, Role.SUPPORTS, "With SI.", _no_sample_information),
    ),
)


CLAIMS = (NO_INFORMATION,)
