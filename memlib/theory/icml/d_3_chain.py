"""The chain of the proof of Theorem 5.4 of the published version (D.3)."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import show
from memlib.theory.icml.instances import (
    BOUNDED,
    HALF,
    SMOOTH,
    SQUARE,
    UNBIASED,
    VARIANCE,
    Run,
)
from memlib.theory.icml.thm_5_4 import fall

SGD = (SMOOTH, UNBIASED, VARIANCE, BOUNDED)
#: Gradient descent on one sample, and a threshold that it meets at the second step.
LONG = Run(SQUARE, (((1,), 1),), (HALF,), HALF, 40)
TAU = Fraction(1, 20)


def _too_long() -> Evidence:
    run, curve = LONG, LONG.mean_curve()
    time = run.time(0, TAU)
    if time is None:
        return Evidence(False, "The sample is not learned in this run.")
    constant = run.kappa_t(TAU)  # of Theorem 5.3, with L = 1
    granted = (curve[0] - curve[time]) / time  # (59) as D.3 quotes it, solved for the bracket
    left, middle = run.steps * constant, run.steps * granted
    summary = (
        rf"Least squares, one sample, $T_{{max}}={run.steps}$, $\tau={show(TAU)}$, learned at "
        rf"$T={time}$: the second inequality says ${float(left):.3f}\le{float(fall(run)):.3f}$ "
        rf"with the $\kappa_T$ of Theorem 5.3, and ${float(middle):.3f}\le{float(fall(run)):.3f}$ "
        rf"with the $\tau$ of (59)."
    )
    pinned = [round(10**6 * v) for v in (left, middle, fall(run))] == [750000, 2343750, 125000]
    return Evidence(pinned and min(left, middle) > fall(run), summary, {}, run.sgd(), run)


def _not_so_long() -> Evidence:
    run, time = LONG, LONG.time(0, TAU)
    if time is None:
        return Evidence(False, "The sample is not learned in this run.")
    steps = time - 1
    left = run.kappa_t(TAU) * steps
    summary = (
        rf"The repaired Theorem 5.4 on the same run, with $T-1={steps}$ for $T_{{max}}$: "
        rf"${float(left):.5f}\le{float(fall(run)):.5f}$."
    )
    pinned = [round(10**5 * v) for v in (left, fall(run))] == [1875, 12500]
    return Evidence(pinned and left <= fall(run), summary, {}, {}, run)


CHAIN = Claim(
    id="orders-icml/d.3-chain",
    title="From learning time to the length of training",
    paper="orders-icml",
    location="Appendix D.3, second display",
    printed=r"""
$$T_{z_i}[\,\cdot\,]\le
T_{max}\Bigl[\frac{\tau\eta}{\kappa_m}-\frac{\eta\eta_s\rho\Gamma_v^2}2\Bigr]
\le\sum_{t=0}^{T_{max}-1}\mathbb E_t[\ell(\vec w_t)-\ell(\vec w_{t+1})]\le L$$""",
    assumptions=SGD,
    verdict=Verdict.FALSE,
    gist=r"Read backwards it bounds the length of training: $T_{max}\le1/\kappa_T$.",
    holds=r"""
The last inequality, and the first where $T_{z_i}\le T_{max}$. The middle one says
$L\kappa_TT_{max}\le\ell_0-\ell_{T_{max}}\le L$, that is $T_{max}\le1/\kappa_T$ for a constant
$\kappa_T>0$: no run may be longer. With $T_{z_i}-1$ in place of $T_{max}$ it is the repaired
`orders-icml/thm-5.4`, which does not pass through $T_{max}$.
""",
    proof=r"""
*Counterexample.* The left side grows with every step, the right side stays below the loss at the
start. Granting (59) as D.3 quotes it, $[\,\cdot\,]=(\ell_0-\ell_T)/T$ at $T=T_{z_i}$, the middle
inequality says that the loss falls on average at least as fast until $T_{max}$ as until $T$; in a
run that converges it falls ever more slowly.
""",
    rebuttal=r"""
*$\tau$ is set anew for each $T_{max}$.* Then $\kappa_T$ shrinks like $1/T_{max}$ and is not a
constant of the sample or the network; and learning times of two runs cannot be compared.
""",
    effect="The step on which the printed proof of Theorem 5.4 rests.",
    prior_art="A telescoping sum.",
    chapter="part2/loss-gradient-and-learning-time",
    uses=("orders-icml/eq-59", "orders-icml/thm-5.4"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "A long run.", _too_long),
        Check(Kind.EXACT, Role.REPAIRED, "One less than the learning time there.", _not_so_long),
    ),
)


CLAIMS = (CHAIN,)
