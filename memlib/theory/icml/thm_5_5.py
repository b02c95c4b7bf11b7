"""Theorem 5.5 of the published version, and the claim that its bound is not trivial (Eq. 71)."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import decide, show
from memlib.theory.icml.instances import (
    AT_OPTIMUM,
    BOUNDED,
    BRIER,
    FINISHING,
    GENERALIZES,
    RANK,
    SMOOTH,
    STABLE,
    UNBIASED,
    VARIANCE,
    Run,
    independent,
)
from memlib.theory.trajectories import dot
from memlib.theory.worlds import mean

CHAPTER = "part2/loss-and-memorization"
SGD = (SMOOTH, UNBIASED, VARIANCE, BOUNDED)


def _difference(run: Run) -> Fraction:
    """E CSL minus the offset."""
    return mean([run.csl(i) for i in range(len(run.data))]) - run.xi()


def _sure() -> Evidence:
    run = FINISHING
    mem, difference, beta = run.mean_memorization(), _difference(run), run.beta()
    met = {**run.sgd(), STABLE: beta < 1}
    summary = (
        rf"Brier loss, three samples, $L=1$ (attained): $\mathbb E\,\mathrm{{mem}}={show(mem)}$, "
        rf"$\mathbb E\,\mathrm{{CSL}}-\xi={show(difference)}$, $\beta={show(beta)}$. Printed: "
        rf"${float(mem):.4f}\le{float(difference + beta):.4f}$."
    )
    pinned = (mem, difference + beta) == (Fraction(7, 150), Fraction(133, 5625))
    return Evidence(pinned and mem > difference + beta, summary, {}, met, run)


def _sure_repaired() -> Evidence:
    """With Gibbs loss on the same predictions."""
    run, passed, mems = FINISHING, True, []
    for i, (x, _) in enumerate(run.data):
        inside, outside = (dot(run.paths(k)[0][-1], x) for k in (None, i))
        gibbs = (1 - outside) - (1 - inside)
        passed &= gibbs == run.memorization(i) and run.loss is BRIER
        mems.append(gibbs)
    gibbs_beta = max(mems)
    summary = (
        rf"Gibbs loss of the same predictions changes by {show(mems[0])}, {show(mems[1])} and "
        rf"{show(mems[-1])}, so that $\beta={show(gibbs_beta)}$ and $\mathrm{{mem}}\le\beta/L$ "
        rf"holds."
    )
    passed &= mean(mems) <= gibbs_beta == Fraction(1, 15)
    return Evidence(passed, summary, {}, {}, run)


#: A constant of uniform stability for a learner that no removal changes.
SLACK = Fraction(1, 100)


def _at_optimum() -> Evidence:
    run = AT_OPTIMUM
    mem, difference, beta = run.mean_memorization(), _difference(run), run.beta()
    met = {**run.sgd(), STABLE: beta < SLACK, RANK: independent(run.data)}
    summary = (
        rf"Two orthogonal samples, Gibbs loss, fitted from the start, one noisy step: removing one "
        rf"changes nothing, $\mathrm{{mem}}={show(mem)}$ and any $\beta>0$ will do, say "
        rf"{show(SLACK)}; "
        rf"$\mathbb E\,\mathrm{{CSL}}-\xi={show(difference)}$. Printed: "
        rf"${show(mem)}\le{show(difference + SLACK)}$."
    )
    pinned = (mem, beta, difference) == (0, 0, -Fraction(1, 64))
    return Evidence(pinned and mem > difference + SLACK, summary, {}, met, run)


def _at_optimum_repaired() -> Evidence:
    run = AT_OPTIMUM
    mems = [run.memorization(i) for i in (0, 1)]
    summary = rf"$\mathrm{{mem}}={show(mems[0])}\le\beta/L={show(run.beta())}$ on the same run."
    return Evidence(mems == [run.beta()] * 2 == [0, 0], summary, {}, {}, run)


def _stability_first() -> Evidence:
    import z3

    mem, beta, first, last, bound = z3.Reals("mem beta first last bound")
    return decide(
        [bound * mem <= beta, first >= last, last >= 0, first <= bound],
        z3.And(
            bound * mem <= first - last + beta,
            first - last + beta <= bound + beta,
        ),
        r"Gibbs loss and a training loss that does not rise: (13) follows from "
        r"$L\,\mathrm{mem}\le\beta$, since $\mathbb "
        r"E\,\mathrm{CSL}-\xi=\ell_0-\ell_{T_{max}}\ge0$.",
    )


THM_5_5 = Claim(
    id="orders-icml/thm-5.5",
    title="Cumulative sample loss bounds memorization",
    paper="orders-icml",
    location="Theorem 5.5, Eq. (13); proof in D.4",
    printed=r"""
$$\mathbb E_{z_i}[\mathrm{mem}(\vec z_i)]\le\frac{\mathbb E_{z_i,p}[\mathrm{CSL}(\vec z_i)]+\beta-
\xi}L\le1+\frac\beta L,$$

with the $\xi$ of D.3.""",
    assumptions=(*SGD, STABLE),
    verdict=Verdict.FALSE,
    gist=r"For Gibbs loss $\mathrm{mem}\le\beta/L$ alone; CSL cancels against $\xi$; false for "
    r"Brier loss.",
    holds=r"""
$\mathbb E\,\mathrm{CSL}-\xi=\ell_0-\ell_{T_{max}}$, so (13) says $L\,\mathbb E\,\mathrm{mem}\le
\ell_0-\ell_{T_{max}}+\beta$. For Gibbs loss and a training loss that does not rise it is true,
because $L\,\mathrm{mem}\le\beta$ by Eq. (4); the remaining term only loosens it. The second
inequality of (13) is true. What CSL says about memorization is R2: $\mathbb
E\,\mathrm{CSL}(z_i)=\sum_th_t(z_i)-L\sum_t \mathrm{mem}_t(z_i)$, in which memorization *lowers*
CSL.
""",
    proof=r"""
*Brier loss:* the instance of `orders-icml/kappa-t`; sure predictions change at little cost. *Gibbs
loss:* two samples whose removal has no effect, in a run that starts at an optimum and is moved by
noise; its loss rises, and the right side is negative.
""",
    rebuttal=r"""
*Training lowers the loss.* With that assumption, and Gibbs loss, the theorem is true, by stability.
*Bounded by 1, so not trivial.* See `orders-icml/eq-71`.
""",
    effect=r"""
The experiments show that CSL is a good proxy for memorization scores (cosine similarity 0.87 on
CIFAR-100, Pearson correlation 0.79) and finds wrong labels. These stand on their own. The theorem
does not explain them, since CSL cancels in it.
""",
    prior_art="Bousquet and Elisseeff (2002) for the part that holds; R2 is elementary.",
    chapter=CHAPTER,
    uses=("orders-icml/thm-5.3", "orders-icml/thm-5.4", "orders-icml/eq-4", "book/r2"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Sure predictions.", _sure),
        Check(Kind.EXACT, Role.REPAIRED, "Gibbs loss of the same predictions.", _sure_repaired),
        Check(Kind.EXACT, Role.REFUTES, "Noise at an optimum.", _at_optimum),
        Check(Kind.EXACT, Role.REPAIRED, "Stability there.", _at_optimum_repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "Where it holds, and why.", _stability_first),
    ),
)


def _not_between() -> Evidence:
    run = FINISHING
    held_out = mean([run.curve(i, i)[-1] for i in range(len(run.data))])
    met = {**run.sgd(), GENERALIZES: run.mean_curve()[0] >= held_out}
    mem, difference = run.mean_memorization(), _difference(run)
    summary = (
        rf"The run of Theorem 5.5: $\mathbb E\,\mathrm{{mem}}={show(mem)}$ and "
        rf"$\mathbb E\,\mathrm{{CSL}}-\xi={show(difference)}$."
    )
    pinned = (mem, difference) == (Fraction(7, 150), Fraction(233, 22500))
    equal = run.mean_curve()[0] == held_out
    return Evidence(pinned and equal and mem > difference, summary, {}, met, run)


def _gibbs_decrease() -> Evidence:
    """What Gibbs loss of the same predictions loses in training."""
    run = FINISHING
    ((first, *_, last),) = run.paths()
    fall = mean([dot(last, x) - dot(first, x) for x, _ in run.data])
    mem = run.mean_memorization()
    summary = (
        rf"Gibbs loss of the same predictions: $L\,\mathbb E\,\mathrm{{mem}}={show(mem)}\le\ell_0-"
        rf"\ell_{{T_{{max}}}}={show(fall)}$, an equality."
    )
    return Evidence(mem == fall == Fraction(7, 150) and run.loss is BRIER, summary, {}, {}, run)


EQ_71 = Claim(
    id="orders-icml/eq-71",
    title="The bound by CSL is not trivial",
    paper="orders-icml",
    location="Appendix D.4.1, Eq. (71); Section 5.4",
    printed=r"""
If $\mathbb E[\ell(\vec w_0,\vec z_i)-\ell^{\setminus z_i}(\vec w^*,\vec z_i)]\ge0$ then
$\mathbb E[\mathrm{mem}(\vec z_i)]\le\frac{\mathbb E[\mathrm{CSL}(\vec z_i)]-\xi}L\le1$: "CSL is
effectively bounded between the memorization score and the trivial upper bound".""",
    assumptions=(*SGD, GENERALIZES),
    verdict=Verdict.FALSE,
    gist=r"False for Brier loss; for Gibbs loss true, as $L\,\mathbb "
    r"E\,\mathrm{mem}\le\ell_0-\ell_T$.",
    holds=r"""
For Gibbs loss it is true (`orders-icml/eq-11`), in the form $L\,\mathbb E\,\mathrm{mem}\le\ell_0-
\ell_{T_{max}}$. It is then a statement about the decrease of the training loss and not about CSL,
which has cancelled: a network that trains from chance level to a small loss has a right side near
1, whatever its samples' CSL.
""",
    proof=r"""
$L\,\mathbb E\,\mathrm{mem}=\mathbb E\ell^{\setminus i}-\mathbb E\ell_T\le\ell_0-\ell_T$. Brier
loss: the held-out loss equals the loss at the start, and training lowers it by less than
memorization.
""",
    rebuttal=r"""
*The right side is at most 1 and the left side at least memorization.* With Gibbs loss. In every run
that ends well the right side is close to $\ell_0/L$, so it separates no data set from another.
""",
    effect="The bound is not trivial in form; it does not depend on CSL.",
    prior_art="Elementary.",
    chapter=CHAPTER,
    uses=("orders-icml/thm-5.5", "orders-icml/eq-11"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Memorization above the difference.", _not_between),
        Check(Kind.EXACT, Role.REPAIRED, "Gibbs loss there.", _gibbs_decrease),
    ),
)


CLAIMS = (THM_5_5, EQ_71)
