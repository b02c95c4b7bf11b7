"""The assumptions on gradients and losses of the draft's Appendix A, Eq. (18) to (21)."""

from fractions import Fraction
from itertools import combinations, product

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.linear_classifier import loss, square_root, weight_gradient
from memlib.theory.worlds import Data, mean, total

INPUTS = "part2/inputs-and-weights"


# Eq. 18 ------------------------------------------------------------------------------------------

#: A gradient that is 0 or 2, each half of the time; two layers with the gradients 1 and 1.
TWO_POINT, LAYERS = (Fraction(0), Fraction(2)), (Fraction(1), Fraction(1))


def _moments() -> Evidence:
    import z3

    size, gamma = z3.Reals("size gamma")
    cube, bound = size * size * size, gamma * gamma * gamma
    return decide(
        [size >= 0, gamma >= 0],
        z3.And(
            3 * gamma * size * size <= 2 * cube + bound,
            3 * gamma * gamma * size <= cube + 2 * bound,
        ),
        r"For all sizes $t\ge0$: $3\Gamma t^2\le2t^3+\Gamma^3$ and $3\Gamma^2t\le t^3+2\Gamma^3$. "
        r"In "
        r"expectation, with $\mathbb Et^3\le\Gamma^3$: $\mathbb Et^2\le\Gamma^2$, "
        r"$\mathbb Et\le\Gamma$.",
    )


def _not_conversely() -> Evidence:
    second, third = (mean([v**k for v in TWO_POINT]) for k in (2, 3))
    whole = total(v * v for v in LAYERS)
    summary = (
        rf"A gradient of 0 or 2 with equal chances: $\mathbb Et^2={show(second)}$ and "
        rf"$\mathbb Et^3={show(third)}$, so that $(\mathbb Et^3)^2={show(third**2)}>"
        rf"(\mathbb Et^2)^3={show(second**3)}$. Two layers with gradients of size 1: together "
        rf"{show(whole)}, squared."
    )
    return Evidence((second, third, whole) == (2, 4, len(LAYERS)), summary)


EQ_18 = Claim(
    id="orders/eq-18",
    title="Bounded gradient, by the third moment",
    paper="orders",
    location="Appendix A, Eq. (18)",
    printed=r"""
For each iteration and with respect to the parameters $\vec w_t^k$ (of layer $k$),
$\mathbb E_t[\|\tilde\nabla_{w_t^k}\ell(\vec w_t^k)\|_2^3]\le\Gamma^3$.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"It gives $\mathbb E\|\tilde\nabla\|^2\le\Gamma^2$ and $\|\nabla\|\le\Gamma$, per layer; "
    r"$K$ layers together have $K\Gamma^2$.",
    holds=r"""
A bound on the third moment gives those on the second, $\mathbb E\|\tilde\nabla\|^2\le\Gamma^2$, and
on the gradient, $\|\nabla\|\le\Gamma$; not conversely. It is a bound per layer: for the gradient in
all weights of $K$ layers it gives $K\Gamma^2$, which is what Theorem B.1 needs.
""",
    proof=r"""
$3\Gamma t^2\le2t^3+\Gamma^3$ for $t,\Gamma\ge0$ (tangent at $t=\Gamma$); take expectations.
Likewise for the first moment, and $\|\nabla\|=\|\mathbb E\tilde\nabla\|\le\mathbb
E\|\tilde\nabla\|$.
""",
    rebuttal=r"""
*A bound for every layer is a bound for the network.* Up to the number of layers, yes.
""",
    effect="A factor of at most $K$ in B.1 and 4.6.",
    prior_art="Power means (Jensen, Lyapunov).",
    chapter=INPUTS,
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Lower moments, pointwise.", _moments),
        Check(Kind.EXACT, Role.SHARP, "Not conversely, and not together.", _not_conversely),
    ),
)


# Eq. 19 ------------------------------------------------------------------------------------------

#: A classifier at the flat top of its loss; a step of least squares, from weight 3 to label 0.
FLAT = ((((1,), 1),), ((Fraction(-1),),))
UNIT_STEP = ((((Fraction(1),), Fraction(0)),), (Fraction(3),), Fraction(1))


def _ascent() -> Evidence:
    import z3

    smooth, mu, gap, squared, above = z3.Reals("smooth mu gap squared above")
    return decide(
        [
            smooth > 0,
            squared >= 2 * mu * gap,
            above >= gap + squared / smooth - smooth / 2 * (squared / (smooth * smooth)),
        ],
        above >= (1 + mu / smooth) * gap,
        r"A step *up* the gradient, of size $1/\mathcal L$: the loss gap grows by the factor "
        r"$1+\mu/\mathcal L$ at least.",
    )


def _bounded() -> Evidence:
    import z3

    mu, gap, squared, gamma = z3.Reals("mu gap squared gamma")
    return decide(
        [mu > 0, squared >= 2 * mu * gap, squared <= gamma * gamma],
        gap <= gamma * gamma / (2 * mu),
        r"A gradient bounded by $\Gamma$ bounds the loss gap under PL: "
        r"$\ell-\ell^*\le\Gamma^2/(2\mu)$.",
    )


def _flat_top() -> Evidence:
    (sample,), (start,) = FLAT
    gap, slope = loss(start, sample), total(abs(g) for g in weight_gradient(start, sample))
    (fitted,) = (runs.descend(*UNIT_STEP, len(UNIT_STEP[0])),)
    squared = runs.residual(fitted[0], UNIT_STEP[0][0]) ** 2  # x = 1, so mu = 1
    quadratic = runs.loss(fitted[0], UNIT_STEP[0][0])
    summary = (
        rf"A bounded loss (the linear classifier with Gibbs loss, at $w=-1$): a gap of {show(gap)} "
        rf"at a gradient of {show(slope)}, which no $\mu>0$ allows. Least squares along a run: "
        rf"$\ell-\ell^*={show(quadratic)}=\Gamma^2/(2\mu)$, with "
        rf"$\Gamma^2={show(squared)}$ and $\mu=1$."
    )
    return Evidence((gap, slope, quadratic, squared) == (1, 0, Fraction(9, 2), 9), summary)


EQ_19 = Claim(
    id="orders/eq-19",
    title="The Polyak-Łojasiewicz condition",
    paper="orders",
    location="Appendix A, Eq. (19)",
    printed=r"""
There is $\mu>0$ with $\frac12\|\nabla_w\ell(\vec w)\|_2^2\ge\mu[\ell(\vec w)-\ell(\vec w^*)]$.""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist=r"Fine along a run; on *all* weights it excludes bounded losses and bounded gradients "
    r"(unless $\ell$ is constant).",
    holds=r"""
A standard condition. For all $w\in\mathbb R^d$, together with a Lipschitz gradient (16), it
excludes a bounded loss ($0\le\ell\le L$) and bounded gradients (18), unless the loss is constant.
Theorems 4.3 and 4.6 assume (18) and (19); they have to be read as conditions *along the run*.
""",
    proof=r"""
If the gap $\ell-\ell^*$ is positive at one $w$, step up: by smoothness
$\ell(w+\nabla/\mathcal L)\ge\ell(w)+\frac1{2\mathcal L}\|\nabla\|^2$, so the gap grows by the
factor $1+\mu/\mathcal L$, and after $k$ steps by its $k$-th power: the loss is unbounded. If
gradients are bounded by $\Gamma$, PL bounds the gap by $\Gamma^2/(2\mu)$, which was just excluded.
""",
    rebuttal=r"""
*All that is used is PL at the iterates.* Yes, and so it should be said: the condition on the whole
space and the boundedness assumptions describe only constant losses.
""",
    effect="Theorems 4.3 and 4.6 are not about anything if (18) and (19) are meant for all "
    "weights.",
    prior_art=r"""
Polyak (1963). That bounded gradients and strong convexity are incompatible on the whole space is
well known (Nguyen et al., 2018); the argument for PL is the same.
""",
    chapter="part2/loss-gradient-and-learning-time",
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Uphill, the gap grows geometrically.", _ascent),
        Check(Kind.DECIDED, Role.SUPPORTS, "Bounded gradients bound the gap.", _bounded),
        Check(Kind.EXACT, Role.SHARP, "A bounded loss, and a run.", _flat_top),
    ),
)


# Eq. 20 ------------------------------------------------------------------------------------------

#: Losses of two samples, and the square root of delta.
HALVES, ROOT = (Fraction(0), Fraction(1, 2)), (Fraction(1, 2),)


def _chebyshev() -> Evidence:
    import z3

    share, far, near, limit, delta, variance = z3.Reals("share far near limit delta variance")
    return decide(
        [
            share >= 0,
            share <= 1,
            far >= limit,
            near >= 0,
            limit > 0,
            variance == share * far + (1 - share) * near,  # of squared deviations
            variance == limit * delta,
        ],
        share <= delta,
        r"If a share of the samples deviates by $\sigma/\sqrt\delta$ or more, $\sigma$ being the "
        r"standard deviation, that share is at most $\delta$.",
    )


def _not_the_variance() -> Evidence:
    (root,), center = ROOT, mean(HALVES)
    variance = mean([(v - center) ** 2 for v in HALVES])
    deviation = square_root(variance)
    shares = [
        mean([Fraction(abs(v - center) > spread / root) for v in HALVES])
        for spread in (variance, deviation)
    ]
    averages = [mean(pair) for pair in product(HALVES, repeat=len(HALVES))]
    of_mean = mean([(v - center) ** 2 for v in averages])
    summary = (
        rf"Losses 0 and $\tfrac12$, $\delta=\tfrac14$: variance {show(variance)}, standard "
        rf"deviation "
        rf"{show(deviation)}. The share that is further than $\sigma_l/\sqrt\delta$ from the mean "
        rf"is "
        rf"{show(shares[0])} if $\sigma_l$ is the variance and {show(shares[1])} if it is the "
        rf"standard deviation. Averages of two losses have the variance {show(of_mean)}."
    )
    return Evidence(
        (*shares, of_mean, variance) == (1, 0, variance / len(HALVES), Fraction(1, 16)), summary
    )


EQ_20 = Claim(
    id="orders/eq-20",
    title="Loss estimation variance",
    paper="orders",
    location="Appendix A, Eq. (20), and its uses in E.2, E.3, E.7",
    printed=r"""
$\mathbb E_z[\ell(\vec w,z)]\approx\frac1M\sum_{i=1}^M\ell(\vec w,\vec z_i)$; "the variance of this
approximation [...] is referred to as the loss estimation variance, denoted by $\sigma_l$". Used as
$\ell(\vec w_t)\le\ell(\vec w_t,\vec z_i)+\sigma_l/\sqrt\delta$.""",
    assumptions=(),
    verdict=Verdict.MISPRINT,
    gist=r"$\sigma_l$ must be the standard deviation of *one* sample's loss ($M=1$), at every "
    r"step.",
    holds=r"""
With $\sigma_l$ the *standard deviation* over the samples of the loss of *one* of them, the step is
Chebyshev's inequality, for one step $t$. A variance has the units of a squared loss and is the
smaller of the two for losses below 1. (20) averages $M$ losses; the theorems use one, so $M=1$.
$\ell(\vec w)$ is the training loss in the proofs, and the population risk in (20).
""",
    proof=r"""
Markov's inequality for the squared deviation.
""",
    rebuttal=r"""
*The letter $\sigma$ says it.* It does; the word, and the theorems' "loss estimation variance", say
otherwise.
""",
    effect=r"""
None on the form of the theorems. With one sample $\sigma_l$ is large: it is the spread of the very
losses that are to be told apart.
""",
    prior_art="Chebyshev.",
    chapter=INPUTS,
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Chebyshev, with the deviation.", _chebyshev),
        Check(Kind.EXACT, Role.SEPARATES, "Variance against deviation.", _not_the_variance),
    ),
)


# Eq. 21 ------------------------------------------------------------------------------------------

#: Three samples of least squares in the plane, and weights.
THREE: Data = (((1, 0), 1), ((0, 2), 0), ((1, 1), 3))
PLACE = (Fraction(1), Fraction(1, 2))
BATCH = (2,)


def _gradients(indices: tuple[int, ...]) -> tuple[Fraction, ...]:
    """The mean gradient in w over some samples."""
    return tuple(
        mean([runs.residual(PLACE, THREE[i]) * THREE[i][0][k] for i in indices])
        for k, _ in enumerate(PLACE)
    )


def _average(batches: list[tuple[int, ...]]) -> tuple[Fraction, ...]:
    return tuple(mean(list(column)) for column in zip(*map(_gradients, batches), strict=True))


def _unbiased() -> Evidence:
    (size,), everyone = BATCH, tuple(range(len(THREE)))
    single = _average([(i,) for i in everyone])
    pairs = _average(list(combinations(everyone, size)))
    summary = (
        rf"Three samples: the mean over single samples and over pairs is the full gradient, "
        rf"$({show(single[0])},{show(single[-1])})$."
    )
    pinned = single == (Fraction(-1, 2), Fraction(1, 6))
    return Evidence(pinned and single == pairs == _gradients(everyone), summary)


def _without_replacement() -> Evidence:
    everyone = tuple(range(len(THREE)))
    left = [_average([(i,) for i in everyone if i != used]) for used in everyone]
    summary = (
        r"The same weights, in the second step of an epoch without replacement: the mean over the "
        r"samples that are left is $"
        + ", ".join(f"({show(g[0])},{show(g[-1])})" for g in left)
        + r"$, depending on the first; the full gradient is none of them."
    )
    pinned = left[-1] == (0, 1) and len(set(left)) == len(left)
    return Evidence(pinned and _gradients(everyone) not in left, summary)


EQ_21 = Claim(
    id="orders/eq-21",
    title="Stochastic gradient descent",
    paper="orders",
    location="Appendix A, Eq. (21); Appendix C.1",
    printed=r"""
$\vec w_{t+1}=\vec w_t-\eta_t\tilde\nabla_{\vec w}\ell(\vec w_t,\vec z_i)$ with an "unbiased
stochastic gradient estimator of the loss function".""",
    assumptions=(),
    verdict=Verdict.HOLDS,
    gist="Unbiased if each batch is drawn afresh; not within an epoch without replacement, with "
    "momentum or weight decay.",
    holds=r"""
A definition. A batch drawn uniformly and afresh at each step has an unbiased gradient. The training
of Appendix C.1 is another algorithm: epochs without replacement, momentum 0.9, weight decay
$10^{-4}$, a step size that changes twice. There, given the past, the step is not an unbiased
gradient step.
""",
    proof=r"""
The mean over all batches of the mean over a batch is the mean over all samples. After some samples
of an epoch are used up, only the others can come.
""",
    rebuttal=r"""
*Every analysis of SGD makes this idealization.* Most do, and for many conclusions it is harmless.
We record it, since the theorems are compared with those experiments.
""",
    effect="The theorems describe the experiments by analogy.",
    prior_art="Bottou, Curtis and Nocedal (2018); sampling without replacement: Gürbüzbalaban et "
    "al.",
    chapter=INPUTS,
    checks=(
        Check(Kind.EXACT, Role.SUPPORTS, "Fresh batches.", _unbiased),
        Check(Kind.EXACT, Role.SHARP, "An epoch without replacement.", _without_replacement),
    ),
)


CLAIMS = (EQ_18, EQ_19, EQ_20, EQ_21)
