"""Memorization as a difference of losses (E.2 of the draft, A.3 of `privacy`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from memlib.theory import trajectories as runs
from memlib.theory.book.cumulative_loss import WORLD, Trial, gibbs_trials
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, enumerate_all, show
from memlib.theory.worlds import Data, Distribution, total_variation, without

ONE, ZERO, HALF = Fraction(1), Fraction(0), Fraction(1, 2)

BOUNDED = r"$0\le\ell\le L$"
SMOOTH = r"the gradient of the loss in $w$ is Lipschitz"
UNBIASED = "the gradient estimator is unbiased"
MOMENT = "the gradients are bounded"


@dataclass(frozen=True)
class OneStep:
    """One step of gradient descent on a linear model, with each sample and without it.

    The loss of a sample is `weight * (w.x - y)**2 / 2`, bounded by `bound` on every weight reached.
    """

    data: Data
    start: tuple[Fraction, ...]
    rate: Fraction
    weight: Fraction
    bound: Fraction

    def end(self, data: Data) -> runs.Vector:
        """The weights after the step."""
        return runs.descend(data, self.start, self.rate, 1, self.weight)[-1]

    def outputs(self, i: int) -> tuple[Fraction, Fraction]:
        """The output w.x on sample i, trained with it and without it."""
        x = self.data[i][0]
        return runs.dot(self.end(self.data), x), runs.dot(self.end(without(self.data, i)), x)

    def drop(self, i: int) -> Fraction:
        """Loss on sample i when left out, minus its loss when trained on."""
        inside, outside = (self.end(d) for d in (self.data, without(self.data, i)))
        sample = self.data[i]
        return self.weight * (runs.loss(outside, sample) - runs.loss(inside, sample))

    def assumptions(self) -> Mapping[str, bool]:
        """The draft's assumptions on loss and optimizer, each computed on all runs."""
        trained = [self.data, *(without(self.data, i) for i in range(len(self.data)))]
        weights = [self.start, *(self.end(d) for d in trained)]
        lipschitz = self.weight * max(runs.dot(x, x) for x, _ in self.data)
        losses = [self.weight * runs.loss(w, z) for w in weights for z in self.data]
        gradients = {(w, z): self._gradient(w, z) for w, z in product(weights, self.data)}
        smooth = all(
            _square(_minus(gradients[v, z], gradients[w, z]))
            <= lipschitz**2 * _square(_minus(v, w))
            for v, w, z in product(weights, weights, self.data)
        )
        unbiased = all(
            _minus(self.start, self.end(d))
            == tuple(
                self.rate * sum((gradients[self.start, z][k] for z in d), ZERO)
                for k in range(len(self.start))
            )
            for d in trained
        )
        moment = max(_square(g) for g in gradients.values()) <= 2 * lipschitz * self.bound
        return {
            BOUNDED: all(0 <= value <= self.bound for value in losses),
            SMOOTH: smooth,
            UNBIASED: unbiased,
            MOMENT: moment,
        }

    def _gradient(self, w: runs.Vector, z: tuple[tuple[Fraction, ...], Fraction]) -> runs.Vector:
        return tuple(self.weight * runs.residual(w, z) * v for v in z[0])


def _minus(a: runs.Vector, b: runs.Vector) -> runs.Vector:
    return tuple(s - t for s, t in zip(a, b, strict=True))


def _square(a: runs.Vector) -> Fraction:
    return runs.dot(a, a)


#: Regression: one step fits the first sample exactly and the second one nearly.
FITTED = OneStep(
    (((1, 0), Fraction(1, 10)), ((0, Fraction(9, 10)), ONE)), (ZERO, ZERO), ONE, ONE, HALF
)
#: Classification: w.x is the probability of label 1, the loss is (1 - p)**2 (Brier).
BRIER = OneStep(
    (((1, 0), ONE), ((0, 2), ONE)), (ZERO, Fraction(3, 8)), Fraction(1, 10), Fraction(2), ONE
)


def _fitted() -> Evidence:
    rows = []
    for i, (_, y) in enumerate(FITTED.data):
        inside, outside = FITTED.outputs(i)
        rows.append((Fraction(inside == y) - Fraction(outside == y), FITTED.drop(i)))
    (mem_a, drop_a), (mem_b, drop_b) = rows
    summary = (
        rf"Least squares, one step, $L=\tfrac12$. First sample: memorization ${show(mem_a)}$ "
        rf"(fitted exactly, not so without it), loss difference {show(drop_a)}, not $L=\tfrac12$. "
        rf"Second: memorization ${show(mem_b)}$ (never exact), loss difference "
        rf"{float(drop_b):.3f}, nearly all of $L$."
    )
    passed = drop_a * 50 < FITTED.bound * mem_a and mem_b == 0 and drop_b > FITTED.bound * 9 / 10
    return Evidence(passed, summary, {}, FITTED.assumptions(), FITTED)


def _brier() -> Evidence:
    rows = []
    for i in range(2):
        inside, outside = BRIER.outputs(i)
        rows.append((inside - outside, BRIER.drop(i), inside, outside))
    (mem_a, drop_a, *_), (mem_b, drop_b, *_) = rows
    summary = (
        rf"Brier loss of a linear probability model, one step, $L=1$, predictions drawn from $p$. "
        rf"Both samples have memorization ${show(mem_a)}$ "
        rf"($p$ from {rows[0][3]} to {rows[0][2]}, and from {rows[1][3]} to {rows[1][2]}); their "
        rf"loss differences are {show(drop_a)} and {show(drop_b)}, above and below."
    )
    proper = all(0 <= p <= 1 for _, _, *chances in rows for p in chances)
    passed = proper and mem_a == mem_b and drop_b < BRIER.bound * mem_a < drop_a
    return Evidence(passed, summary, {}, BRIER.assumptions(), BRIER)


def _fitted_repaired() -> Evidence:
    cases = []
    for i, (_, y) in enumerate(FITTED.data):
        inside, outside = FITTED.outputs(i)
        here: Distribution = {inside: ONE}
        there: Distribution = {outside: ONE}
        mem = here.get(y, ZERO) - there.get(y, ZERO)
        distance = total_variation(here, there)
        counted = FITTED.bound * ((outside != y) - (inside != y))
        cases.append(
            counted == FITTED.bound * mem
            and max(abs(mem) * FITTED.bound, abs(FITTED.drop(i))) <= FITTED.bound * distance
        )
    summary = (
        r"With the loss $L\cdot\mathbf 1[g\ne y]$ on the same predictions the identity holds, and "
        r"both $L|\mathrm{mem}|$ and the loss difference are at most $L$ times the total variation "
        r"of $g(x_i)$, which is 1 here."
    )
    return Evidence(all(cases), summary, instance=FITTED)


def _brier_repaired() -> Evidence:
    passed, slopes = True, []
    for i in range(2):
        inside, outside = BRIER.outputs(i)
        mem = inside - outside
        gibbs = BRIER.bound * (1 - outside) - BRIER.bound * (1 - inside)
        slope = 2 - inside - outside  # minus the derivative of (1-p)^2 at the midpoint
        slopes.append(slope)
        passed &= gibbs == BRIER.bound * mem and BRIER.drop(i) == slope * mem
    summary = (
        r"With Gibbs loss $L(1-p)$ on the same predictions the difference is $L\,\mathrm{mem}$ for "
        rf"both. The Brier difference is the slope of the loss times mem, {show(slopes[0])} and "
        rf"{show(slopes[1])} times."
    )
    return Evidence(passed, summary, instance=BRIER)


def _only_gibbs() -> Evidence:
    import z3

    scale, chance, at, at_zero, at_one = z3.Reals("scale chance at atzero atone")
    values = (at, at_zero, at_one)
    return decide(
        [
            *(v >= 0 for v in values),
            *(v <= scale for v in values),
            at_zero - at_one == scale * (1 - 0),
            at_zero - at == scale * (chance - 0),
        ],
        at == scale * (1 - chance),
        r"If a loss $f(p_y)\in[0,L]$ gives $L\,\mathrm{mem}$ for every pair of predictions, then "
        r"$f(p)=L(1-p)$: Gibbs loss is the only one.",
    )


def _variation_bound() -> Evidence:
    import z3

    scale, count = z3.Real("scale"), 3
    p, q, loss = (z3.Reals([f"{name}{k}" for k in range(count)]) for name in "pql")
    gaps = [z3.If(a >= b, a - b, b - a) for a, b in zip(p, q, strict=True)]
    distance = z3.Sum(gaps) / 2
    change = z3.Sum([(a - b) * c for a, b, c in zip(p, q, loss, strict=True)])
    return decide(
        [
            *(v >= 0 for v in p + q + loss),
            *(v <= scale for v in loss),
            z3.Sum(p) == 1,
            z3.Sum(q) == 1,
        ],
        z3.And(change <= scale * distance, gaps[0] <= distance),
        r"A loss in $[0,L]$ of the prediction $g(x_i)$ changes in mean by at most $L\cdot"
        r"\mathrm{TV}$, and so does $L\,\mathrm{mem}$ (all pairs of laws on three predictions).",
    )


def _sign() -> Evidence:
    def holds(trial: Trial) -> bool:
        pairs = zip(trial["loss"], trial["held_out"], strict=True)
        printed = [(inside - outside) / WORLD.scale for inside, outside in pairs]
        mem = trial["mem"]
        return printed == [-m for m in mem] and max(mem) > 0 and printed != mem

    return enumerate_all(
        gibbs_trials(),
        holds,
        r"For Gibbs loss, (32) of `privacy` as printed, "
        r"$\frac1L(\mathbb E\ell(g_S,z_i)-\mathbb E\ell(g_{S^{\setminus i}},z_i))$, is "
        r"$-\mathrm{mem}$, not mem.",
    )


E2_MEM_LOSS = Claim(
    id="orders/e2-mem-loss",
    title="Memorization expressed as a difference of losses",
    paper="orders",
    location="Appendix E.2, citing the proof in A.3, Eq. (32), of `privacy`",
    printed=r"""
E.2: $\mathbb E_\phi[\ell(\vec w_{T_b})-\ell^{\setminus b}(\vec w^*)]$ "corresponds to the
memorization metric as defined by Feldman (2020), expressed in terms of loss", and is replaced by
$-L\,\mathrm{mem}(b)$. The proof it cites says: if $0\le\ell\le L$, then

$$\frac1L\Bigl[\mathbb E_\phi[\ell(h^\phi_S,z_i)]
-\mathbb E_\phi[\ell(h^\phi_{S^{\setminus i}},z_i)]\Bigr]
=\mathrm{mem}(\mathcal A,S,i).$$

On trial is this identity, on the loss of the sample itself and up to its sign.""",
    assumptions=(BOUNDED, SMOOTH, UNBIASED, MOMENT),
    verdict=Verdict.FALSE,
    gist="Equality for Gibbs loss, and for no other bounded function of $p_y$; else "
    "both are at most TV.",
    holds=r"""
Equality holds for Gibbs loss, $\ell=L(1-p_y)$ with predictions drawn from $p$ (and for $L$ times
the 0/1 loss): $\mathbb E\ell(g_{S^{\setminus i}},z_i)-\mathbb E\ell(g_S,z_i)=L\,\mathrm{mem}$.
Gibbs loss is the only $L$-bounded function of $p_y$ with that property. In general, what survives
is $|\Delta\mathbb E\ell|\le L\cdot\mathrm{TV}$ and $|\mathrm{mem}|\le\mathrm{TV}$, where TV is the
total variation between the laws of what the loss sees: of the predicted label, if the loss is one
of labels; of $p$ itself, if it is a function of $p$. For a function $f(p_y)$ of a deterministic
network the difference is $-f'(\xi)\,\mathrm{mem}$ for some $\xi$ between the two probabilities.
""",
    proof=r"""
$\mathbb E\ell=L(1-\Pr[g(x_i)=y_i])$ on both sides. Conversely $f(0)-f(1)=L$ forces $f(0)=L$,
$f(1)=0$, and then $f(0)-f(p)=Lp$.
""",
    rebuttal=r"""
*It is meant up to a constant.* Then the constant is the slope $-f'(\xi)$, which differs from
sample to sample: in the classification instance two samples with equal memorization differ by a
factor of 6, and for a convex loss it is smallest where the model is already confident. *Squared
loss is not bounded.* It is on every weight reached, and it can be continued beyond without
changing any number. The proof in A.3 states the identity without an argument.
""",
    effect=r"""
Theorems 4.1, 4.4 and 4.5 of the draft need this step; with Gibbs loss it is available, with
cross-entropy it is not. (32) of `privacy` also has the sign reversed; E.2 of the draft notices and
adjusts it.
""",
    prior_art=r"""
Gibbs loss and its expectation as error probability: PAC-Bayes theory. Total variation as a sup
over bounded functions: textbook.
""",
    chapter="part1/what-memorization-is",
    uses=("feldman/def-mem",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Regression, in both directions.", _fitted),
        Check(Kind.EXACT, Role.REPAIRED, "The same run, 0/1 loss.", _fitted_repaired),
        Check(Kind.EXACT, Role.REFUTES, "Classification, in both directions.", _brier),
        Check(Kind.EXACT, Role.REPAIRED, "The same run, Gibbs loss.", _brier_repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "Only Gibbs loss does it.", _only_gibbs),
        Check(Kind.DECIDED, Role.SUPPORTS, "What survives for every loss.", _variation_bound),
        Check(Kind.EXACT, Role.SEPARATES, "The sign, with Gibbs loss.", _sign),
    ),
)


CLAIMS = (E2_MEM_LOSS,)
