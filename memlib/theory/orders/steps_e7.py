"""The steps of E.7 of the draft that carry weight."""

from fractions import Fraction

from memlib.theory import trajectories as runs
from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.linear_classifier import variance
from memlib.theory.orders.chebyshev import beyond, excess, spread
from memlib.theory.orders.instances import BOUNDED, CONFIDENCE, STABLE, UNBIASED, VARIANCE
from memlib.theory.orders.thm_4_4 import SLOW
from memlib.theory.worlds import Data, mean, total

CHAPTER = "part2/loss-and-memorization"

# The sum of the slacks ---------------------------------------------------------------------------

#: Training at its optimum: labels 1, -1, 0, 0 at one input, weight 0. Rate, steps, delta.
REST: Data = (((1,), 1), ((1,), -1), ((1,), 0), ((1,), 0))
STILL, RATE, STEPS, QUARTER = (Fraction(0),), (Fraction(1, 8),), (2,), (Fraction(1, 4),)


def _still() -> tuple[tuple[runs.Vector, ...], list[tuple[Fraction, ...]]]:
    (rate,), (steps,) = RATE, STEPS
    run = runs.descend(REST, STILL, rate, steps)
    return run, [runs.losses(run, z) for z in REST]


def _one_slack() -> Evidence:
    (delta,), (run, curves) = QUARTER, _still()
    over = [-excess(curves, i, len(run)) for i, _ in enumerate(REST)]
    limit = spread(curves)
    share = mean([Fraction(beyond(v, delta, limit)) for v in over])
    summary = (
        rf"Training at its optimum, four samples, three weights: $\sigma_l^2={show(limit)}$, "
        rf"$\delta={show(delta)}$. For {show(share)} of the samples CSL exceeds $\sum_t\ell_t$ by "
        rf"{show(max(over))}, more than $\sigma_l/\sqrt\delta=\frac12$."
    )
    assumptions = {
        VARIANCE: all(variance(step) <= limit for step in zip(*curves, strict=True)),
        UNBIASED: total(runs.residual(STILL, z) * z[0][0] for z in REST) == 0
        and set(run) == {STILL},
        BOUNDED: all(0 <= v <= 1 for c in curves for v in c),
        CONFIDENCE: share > delta,
    }
    pinned = (share, max(over), limit) == (Fraction(1, 2), Fraction(3, 4), Fraction(1, 16))
    return Evidence(pinned, summary, {}, assumptions, REST)


def _all_slacks() -> Evidence:
    (delta,), (run, curves) = QUARTER, _still()
    over = [-excess(curves, i, len(run)) for i, _ in enumerate(REST)]
    worst, right = max(over) * max(over), total(spread(curves) / delta for _ in run for _ in run)
    summary = (
        rf"With $N\sigma_l/\sqrt\delta$ none does there: squared, ${show(worst)}\le{show(right)}$."
    )
    pinned = (worst, right) == (Fraction(9, 16), Fraction(9, 4))
    return Evidence(pinned and worst <= right, summary, {}, {}, REST)


SLACKS = Claim(
    id="orders/e7-chebyshev",
    title="A sum of slacks becomes one slack",
    paper="orders",
    location="Appendix E.7, the two lines with $\\sigma_l/\\sqrt\\delta$",
    printed=r"""
$\sum_{t=0}^*\bigl(\mathbb E_\phi[\ell(\vec w_t,\vec z_a)]-\frac{\sigma_l}{\sqrt\delta}\bigr)$
becomes $\mathrm{CSL}(\vec z_a)-\frac{\sigma_l}{\sqrt\delta}$, as a lower bound on
$\sum_t\ell(\vec w_t)$ with confidence $1-\delta$.""",
    assumptions=(VARIANCE, UNBIASED, BOUNDED, CONFIDENCE),
    verdict=Verdict.FALSE,
    gist=r"The slack is $N\sigma_l/\sqrt\delta$ for $N$ terms.",
    holds=r"""
Outside a fraction $\delta$ of the samples,
$\sum_{t<N}\ell_t\ge\mathrm{CSL}(a)-N\sigma_l/\sqrt\delta$. The factor $N$ cannot be dropped: for
losses that do not change the sum of the gaps is $N$ times a gap.
""",
    proof="Minkowski and one Chebyshev, as in E.3; attained up to the constant by a run at rest.",
    rebuttal=r"""
*$\sigma_l$ may stand for the deviation of the sum.* Then it is not the "loss estimation variance"
of (20), and it grows with the number of steps. $C_7$ has no such factor.
""",
    effect=r"$C_7$ of Theorem 4.4 is short of a factor $N$ in its last term.",
    prior_art="Minkowski; Chebyshev.",
    chapter=CHAPTER,
    uses=("orders/e3-chebyshev",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A run at rest.", _one_slack),
        Check(Kind.EXACT, Role.REPAIRED, "The factor N, same run.", _all_slacks),
    ),
)


# The bracket -------------------------------------------------------------------------------------

#: T_b, l_0, beta, l(w*): numbers that a bounded loss can have.
BRACKET = (Fraction(2), Fraction(1), Fraction(1, 4), Fraction(1, 8))


def _bracket() -> Evidence:
    time, first, beta, best = BRACKET
    left = -time * (first - beta + best)
    printed = -time * first - time * beta + time * best
    summary = (
        rf"At $\hat T=2$, $\ell_0=1$, $\beta=\frac14$, $\ell^*=\frac18$: the left side is "
        rf"{show(left)}, "
        rf"the right side {show(printed)}."
    )
    assumptions = {BOUNDED: 0 <= best <= first <= 1, STABLE: 0 < beta <= 1}
    passed = (left, printed) == (Fraction(-7, 4), Fraction(-9, 4)) and left != printed
    return Evidence(passed, summary, {}, assumptions, BRACKET)


def _bracket_right() -> Evidence:
    time, first, beta, best = BRACKET
    left, right = -time * (first - beta + best), -time * first + time * beta - time * best
    summary = rf"With $+\hat T\beta-\hat T\ell^*$: {show(right)}, as on the left."
    return Evidence(left == right == Fraction(-7, 4), summary, {}, {}, BRACKET)


def repaired_e7() -> Derivation:
    """E.7 from the right signs on, up to the line before the loss bound."""
    import sympy

    t_a, t_b, first, at_a, at_b, out_a, out_b = sympy.symbols("T_a T_b l_0 l_a l_b A B")
    mem_a, mem_b = out_a - at_a, out_b - at_b  # L times memorization, as E.7 has it
    given = t_b * (first - at_a) - t_a * (first - at_b)  # 0 by (33)
    return Derivation(
        "E.7 with the right signs",
        (
            Step(
                "the term with memorization of a",
                t_b * mem_a - given,
                t_a * (first - at_b) - t_b * (first - out_a),
            ),
            Step("the term with memorization of b", out_b - sympy.UnevaluatedExpr(mem_b), at_b),
        ),
    )


def _once() -> Evidence:
    import z3

    time, first, at_b, top = z3.Reals("time first at_b top")
    return decide(
        [time >= 0, first <= top, at_b >= 0],
        time * (first - at_b) <= time * top,
        r"$\hat T_a(\ell_0-\ell_{T_b})\le\hat T_aL$: one $L$, where E.7 has $3\hat T_aL$.",
    )


SIGNS = Claim(
    id="orders/e7-signs",
    title="A bracket is multiplied out",
    paper="orders",
    location="Appendix E.7, from $-\\hat T_{z_b}(\\mathbb E\\ell(w_0)-\\beta+\\mathbb "
    "E\\ell(w_S^*))$ on",
    printed=r"""
$-\hat T_{z_b}(\mathbb E\ell(\vec w_0)-\beta+\mathbb E\ell(\vec w_S^*))$ becomes
$-\hat T_{z_b}\mathbb E\ell(\vec w_0)-\hat T_{z_b}\beta+\hat T_{z_b}\mathbb E\ell(\vec w_S^*)$; the
rest is bounded by $3\hat T_{z_a}L$.""",
    assumptions=(BOUNDED, STABLE),
    verdict=Verdict.FALSE,
    gist=r"$+\hat T\beta-\hat T\ell^*$; with E.2's signs repaired too, $+\hat T\beta$ and "
    r"$1\cdot\hat T_aL$ remain, so $C_7$ has $-\beta$.",
    holds=r"""
The bracket gives $+\hat T_b\beta-\hat T_b\ell^*$. E.7 also inherits the sign of
$\ell^{\setminus a}_*$ from E.2; with both repaired, (33) gives
$T_bL\,\mathrm{mem}(a)=T_a(\ell_0-\ell_{T_b})- T_b(\ell_0-\ell^{\setminus a}_*)\le
T_aL-T_b(\ell_0-\ell^*-\beta)$: the sign of $\ell^*$ comes out as printed, that of $\beta$ does not
($C_7$ should have $-\beta$), and $3\hat T_aL$ is $\hat T_aL$.
""",
    proof=r"""
Multiply out; the identity is executed below. $\ell_0-\ell_{T_b}\le L$ since losses are in $[0,L]$.
""",
    rebuttal=r"""
*Two signs that cancel are no harm.* For $\ell^*$ they do cancel. For $\beta$ they do not, and its
sign is in the statement.
""",
    effect=r"$C_7$ of Theorem 4.4: $+\beta$ helps where it should hurt.",
    prior_art="Arithmetic.",
    chapter=CHAPTER,
    uses=("orders/e2-add-subtract",),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Four numbers.", _bracket),
        Check(Kind.EXACT, Role.REPAIRED, "The same, multiplied out.", _bracket_right),
        Check(Kind.SYMBOLIC, Role.SUPPORTS, "E.7 repaired.", lambda: derived(repaired_e7())),
        Check(Kind.DECIDED, Role.SUPPORTS, "One L, not three.", _once),
    ),
)


# The lower bound on each step --------------------------------------------------------------------


def _direction() -> Evidence:
    curve, times = SLOW.mean_curve(), REFERENCE
    kept, replaced = total(curve[1:]), [time * min(TAIL) for time in times]
    csl = total(SLOW.curve(0))
    summary = (
        rf"The run of Theorem 4.4, $\ell^*=0$: $\sum_t\ell_{{t+1}}={float(kept):.3f}$ becomes "
        rf"$\hat T_{{ref}}\ell^*={show(max(replaced))}$. $\mathrm{{CSL}}-\sum_t\ell_{{t+1}}="
        rf"{float(csl - kept):.3f}$ becomes {float(csl - max(replaced)):.3f}."
    )
    pinned = [round(1000 * v) for v in (kept, csl - kept, csl - max(replaced))]
    return Evidence(pinned == [16231, 663, 16894] and kept > max(replaced), summary)


#: Reference times, and the least loss of a linear classifier that fits its two samples.
REFERENCE, TAIL = (1, 10, 41), (Fraction(0),)


def _right_way() -> Evidence:
    import z3

    csl, kept, upper, right = z3.Reals("csl kept upper right")
    return decide(
        [csl - kept <= right, kept <= upper],
        csl - upper <= right,
        r"From $A-B\le C$ and an *upper* bound $B\le b$, $A-b\le C$.",
    )


LOWER_BOUND = Claim(
    id="orders/e7-lower-bound",
    title="The later losses are replaced by a lower bound",
    paper="orders",
    location='Appendix E.7, "This result comes from the lower bound established on the loss at '
    "each "
    'iteration"',
    printed=r"""
On the left of $\le$, $-\hat T_{z_b}\sum_{t=0}^*\mathbb E_\phi[\ell(\vec w_{t+1})]$ becomes
$-\hat T_{ref}^2\,\ell(\vec w^*)$.""",
    assumptions=(),
    verdict=Verdict.GAP,
    gist=r"Wrong direction and wrong count; keep $\sum_t\mathbb E\ell_{t+1}$, and nothing about "
    r"memorization is left.",
    holds=r"""
A term that is subtracted on the smaller side may be replaced by something larger, and $\ell^*$ is
smaller; and the sum has as many terms as CSL, not $\hat T_{ref}$. $C_6=\sum_t\mathbb E\ell_{t+1}$
is right, and then (8) is empty (Theorem 4.4).
""",
    proof="Elementary; executed on a run with $\\ell^*=0$, where no count of steps helps.",
    rebuttal=r"""
*$C_6$ is called a lower bound on the loss at each step, and is meant so.* Then the inequality that
is proved does not contain it.
""",
    tried=r"""
Theorem 4.4 itself is refuted on this run (`orders/thm-4.4`), and the step is what makes its left
side grow with CSL. As an inequality the step has no right side of its own that we could have
broken apart from the theorem.
""",
    effect="It is what turns an empty inequality into Theorem 4.4.",
    prior_art="Elementary.",
    chapter=CHAPTER,
    uses=("orders/e7-signs",),
    checks=(
        Check(Kind.EXACT, Role.FAILING_STEP, "The two sums on a run.", _direction),
        Check(Kind.DECIDED, Role.SUPPORTS, "The right way.", _right_way),
    ),
)


CLAIMS = (SLACKS, SIGNS, LOWER_BOUND)
