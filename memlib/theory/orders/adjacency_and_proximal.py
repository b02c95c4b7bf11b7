"""Two definitions of the draft: alpha-adjacency and the lambda-proximal iteration."""

from fractions import Fraction
from itertools import combinations

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import show
from memlib.theory.feldman import SINGLETON
from memlib.theory.orders.instances import TWINS
from memlib.theory.worlds import Data, memorization, nearest_neighbor

# alpha-adjacency ---------------------------------------------------------------------------------

#: The rare sample of the three, by its place, and the same data with a twin of it.
RARE = 2
TWINNED: Data = (*SINGLETON, SINGLETON[RARE])


def _twin_changes_memorization() -> Evidence:
    before = memorization(nearest_neighbor, SINGLETON, RARE)
    after = memorization(nearest_neighbor, TWINNED, RARE)
    summary = (
        rf"1-nearest-neighbor, a rare sample: memorization {show(before)}. With a twin added, to "
        rf"make the data adjacent: {show(after)}."
    )
    return Evidence((before, after) == (1, 0), summary)


def _others_have_none() -> Evidence:
    distances = {
        (i, j): abs(a - b)
        for (i, (a, y)), (j, (b, z)) in combinations(enumerate(TWINNED), 2)
        if y == z
    }
    close = {
        i
        for pair, distance in distances.items()
        for i in pair
        if distance == min(distances.values())
    }
    summary = (
        rf"In the twinned data the samples {sorted(close)} are adjacent with $\alpha=0$; the "
        rf"nearest sample of the same label is {max(distances.values())} away for the other two."
    )
    return Evidence(close == {RARE, len(SINGLETON)} and max(distances.values()) == 1, summary)


ALPHA_ADJACENCY = Claim(
    id="orders/alpha-adjacency",
    title="Adjacent elements can be had by construction",
    paper="orders",
    location="Section 2, paragraph on alpha-adjacency",
    printed=r"""
$S$ contains $\alpha$-adjacent elements if $z_j=z_i+\epsilon$ for two of its elements and some
$\epsilon\in B_p(\alpha)$. "Note that this can be ensured through construction": add $z_i+\epsilon$
to a set $S'$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
The definition is about *one pair*. Theorem 4.5 uses it for every $z_i$, and then needs that every
$z_i$ has a neighbor in $S$ (with the same label, where labels are classes): say that $S$ is
$\alpha$-adjacent *at* $z_i$. Adding a twin makes it so, and changes what is measured: the
memorization of $z_i$ in $S'\cup\{z_i+\epsilon\}$ is another number than in $S'$.
""",
    proof=r"""
Executed below. (The construction prints $\epsilon\in B_p(\epsilon)$ where $B_p(\alpha)$ is meant.)
""",
    rebuttal=r"""
*Real data have near duplicates.* Some samples do; those with high memorization scores are the ones
without. For a sample whose nearest neighbor is far, $\alpha$ is large and so is the bound.
""",
    tried=r"""
The construction does what it says: the new set has an adjacent pair. What we broke is its use,
that memorization and adjacency are then about the same data set, and about every sample.
""",
    effect=r"""
Theorem 4.5 speaks about samples that have a close neighbor. Section 4.2.3 discusses the validity of
the assumption for real data; a data set can meet it at a few samples only.
""",
    prior_art=r"""
Duplicates are not memorized in Feldman's sense: Feldman (2020); Feldman and Zhang (2020).
""",
    chapter="part2/the-final-gradient",
    uses=("feldman/def-mem",),
    checks=(
        Check(
            Kind.EXACT, Role.FAILING_STEP, "A twin ends memorization.", _twin_changes_memorization
        ),
        Check(Kind.EXACT, Role.FAILING_STEP, "One pair is not every sample.", _others_have_none),
    ),
    gist=r"Adjacency is needed at the sample itself; adding a twin changes its memorization.",
)


# lambda-proximal ---------------------------------------------------------------------------------

#: One sample with one weight, and a step size that is too large.
UP: Data = (((1,), 1),)
UP_RATE, UP_STEPS = (Fraction(3),), (3,)


def proximity(first: Fraction, later: Fraction) -> Fraction:
    """The lambda at which an iteration is lambda-proximal."""
    return 1 - later / first


def _always_some() -> Evidence:
    (rate,), (steps,) = UP_RATE, UP_STEPS
    run = runs.descend(UP, (0,), rate, steps)
    curve = [loss for sample in UP for loss in runs.losses(run, sample)]
    found = [proximity(curve[0], loss) for loss in curve]
    summary = (
        rf"Gradient descent that diverges: losses {', '.join(show(v) for v in curve)}. Each "
        rf"iteration is $\lambda$-proximal, with $\lambda$ = {', '.join(show(v) for v in found)}; "
        r"the one at $t=0$ with $\lambda=0$."
    )
    return Evidence(found == [0, -3, -15, -63], summary)


def _not_every() -> Evidence:
    curve = TWINS.mean_curve()
    found = [proximity(curve[0], loss) for loss in curve]
    summary = (
        rf"Two samples that one step fits: $\lambda$ is {', '.join(show(v) for v in found)} at the "
        rf"iterations 0 to {TWINS.steps}. No iteration is $\lambda$-proximal for any $\lambda$ in "
        r"between."
    )
    return Evidence(found == [0, 1, 1], summary)


LAMBDA_PROXIMAL = Claim(
    id="orders/lambda-proximal",
    title="The proximal iteration",
    paper="orders",
    location="Section 2, paragraph on lambda-proximal",
    printed=r"""
"There exists a $\lambda$-Proximal iteration $T_p$ if $\ell(\vec w_{T_p})=(1-\lambda)\ell(\vec w_0)$
for some $\lambda$."
""",
    assumptions=(),
    verdict=Verdict.GAP,
    holds=r"""
With $\lambda$ free, every iteration is $\lambda$-proximal, for
$\lambda=1-\ell(w_{T_p})/\ell(w_0)$, and the condition says nothing. With $\lambda$ given, an
equation for a real number need not hold at an integer. What the theorems need is
$\lambda:=1-\ell(w_{T_{ref}})/\ell(w_0)>0$, at the learning time of the reference.
""",
    proof=r"""
Executed below. $\lambda\le1-\ell^*/\ell(w_0)$ always; $\lambda=0$ at $T=0$, so that a reference
"chosen so its learning time is nearly zero" (Theorem 4.1) pulls against a $\lambda$ near 1
(Theorems 4.2 to 4.6).
""",
    rebuttal=r"""
*A positive $\lambda$ is obviously meant.* Then it has to be said, because the bounds divide by it.
""",
    tried=r"""
Read with some $\lambda$ it cannot be refuted, as it holds for every iteration of every run; read
with a given $\lambda$ it is refuted by the run above. The text leaves open which is meant.
""",
    effect=r"""
Small: with $\lambda$ defined as $1-\ell(w_{T_{ref}})/\ell(w_0)$ and assumed positive, nothing else
changes. The published version has
no such condition in its main theorems.
""",
    prior_art="None needed.",
    chapter="part2/loss-gradient-and-learning-time",
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "Some lambda always exists.", _always_some),
        Check(Kind.EXACT, Role.FAILING_STEP, "A given lambda need not occur.", _not_every),
    ),
    gist=r"Define $\lambda:=1-\ell(w_{T_{ref}})/\ell(w_0)$ and assume that it is positive.",
)


CLAIMS = (ALPHA_ADJACENCY, LAMBDA_PROXIMAL)
