"""Theorem 5.3 of the published version, its constant, and its form without stability (Eq. 11)."""

from fractions import Fraction

from memlib.theory.claims import Check, Claim, Evidence, Kind, Role, Verdict
from memlib.theory.evidence import Derivation, Step, decide, derived, show
from memlib.theory.icml.instances import (
    BOUNDED,
    FINISHING,
    FROM_ZERO,
    GENERALIZES,
    RANK,
    SMOOTH,
    STABLE,
    UNBIASED,
    VARIANCE,
    independent,
)
from memlib.theory.worlds import mean

CHAPTER = "part2/memorization-and-learning-time"
SGD = (SMOOTH, UNBIASED, VARIANCE, BOUNDED)
#: A threshold that the three samples meet at once, and one that is as small as one likes.
TAU, SMALL_TAU = Fraction(13, 2), Fraction(1, 100)
#: What the authors report for CIFAR-100: epochs of training.
EPOCHS = 200


def with_constant(kappa: Fraction, times: list[int | None], beta: Fraction) -> Fraction:
    """The right side of (10), with L = 1."""
    return kappa * mean([Fraction(t) for t in times if t is not None]) + beta


# The theorem --------------------------------------------------------------------------------------


def _some_constant() -> Evidence:
    import z3

    inside, outside, time, beta, bound = z3.Reals("inside outside time beta bound")
    kappa = 1
    return decide(
        [inside <= 1, outside >= 0, time >= 1, beta > 0, bound > 0],
        inside - outside <= kappa * time + beta / bound,
        r"$\mathrm{mem}\le1\le T$: the theorem holds with $\kappa_T=1$, whatever learning time is.",
    )


def _stability_alone() -> Evidence:
    import z3

    inside, outside, beta, bound = z3.Reals("inside outside beta bound")
    loss, held_out = bound * (1 - inside), bound * (1 - outside)
    return decide(
        [bound > 0, held_out - loss <= beta],
        inside - outside <= beta / bound,
        r"For Gibbs loss Eq. (4) at the sample itself is $L\,\mathrm{mem}\le\beta$: no learning "
        "time is needed.",
    )


def _equal_to_stability() -> Evidence:
    mem, beta = FROM_ZERO.mean_memorization(), FROM_ZERO.beta()
    times = [FROM_ZERO.time(i, SMALL_TAU) for i in range(len(FROM_ZERO.data))]
    scale = EPOCHS * with_constant(Fraction(1), [1], Fraction(0))
    summary = (
        rf"Two samples, Gibbs loss, one step from 0: $\mathbb E\,\mathrm{{mem}}={show(mem)}="
        rf"\beta/L$ and $T={times[0]}$. With $\kappa_T=1$ the term $\kappa_T\mathbb E[T]$ is at "
        rf"least 1, and up to {show(scale)} in {EPOCHS} epochs; memorization is at most 1."
    )
    return Evidence(mem == beta == Fraction(3, 8) and times == [1, 1] and scale == 200, summary)


THM_5_3 = Claim(
    id="orders-icml/thm-5.3",
    title="Learning time bounds memorization",
    paper="orders-icml",
    location="Theorem 5.3, Eq. (10); restated as (53), without the term in $\\beta$",
    printed=r"""
There exists a $\kappa_T>0$ such that

$$\mathbb E_{z_i}[\mathrm{mem}(\vec z_i)]\le\kappa_T\,\mathbb E_{z_i,p}[T_{z_i}]+\beta/L.$$""",
    assumptions=(*SGD, STABLE),
    verdict=Verdict.VACUOUS,
    gist=r"True with $\kappa_T=1$, since $\mathrm{mem}\le1\le T$; for Gibbs loss "
    r"$\mathrm{mem}\le\beta/L$ alone.",
    holds=r"""
As stated it holds for every algorithm, with $\kappa_T=1$. For Gibbs loss, $\ell=L(1-p_y)$, the
assumption is stronger than the conclusion: Eq. (4) at $z=z_i$ reads $L\,\mathrm{mem}(z_i)\le\beta$,
for each sample and not only on average. With cross-entropy, see `orders-icml/d.2.1`. What the proof
aims at is the theorem with one particular $\kappa_T$, which is tried as `orders-icml/kappa-t`.
""",
    proof=r"""
Learning time counts from 1 (Eq. 7 divides by $T$), and a difference of probabilities is at most 1.
For the second statement, $\mathbb E_p\ell(g_S^p,z_i)=L(1-\Pr_p[g_S^p(x_i)=y_i])$ if predictions are
drawn from the model, so that $L\,\mathrm{mem}(z_i)=\mathbb E_p[\ell(g_{S^{\setminus i}}^p,z_i)-
\ell(g_S^p,z_i)]\le\beta$.
""",
    rebuttal=r"""
*The constant is named two lines below the theorem.* It is, and with that constant the statement is
no longer true for every bounded loss. *A sum of two bounds is still a bound.* Yes; but the second
summand is already one where the loss is Gibbs loss, so the theorem is no evidence that learning
time matters.
""",
    effect=r"""
Figures 3 and 6 show learning time and memorization rising together on CIFAR-100 and ImageNet. That
is a finding of the experiments; the theorem does not predict it.
""",
    prior_art=r"""
That uniform stability bounds the change of a sample's own loss is its definition (Bousquet and
Elisseeff, 2002).
""",
    chapter=CHAPTER,
    uses=("orders-icml/eq-4", "orders-icml/eq-7", "feldman/def-mem"),
    checks=(
        Check(Kind.DECIDED, Role.SUPPORTS, "Some constant always exists.", _some_constant),
        Check(Kind.DECIDED, Role.SUPPORTS, "Stability alone, for Gibbs loss.", _stability_alone),
        Check(Kind.EXACT, Role.MAGNITUDE, "What the two terms amount to.", _equal_to_stability),
    ),
)


# The constant -------------------------------------------------------------------------------------


def _constant_refuted() -> Evidence:
    run, size = FINISHING, len(FINISHING.data)
    times = [run.time(i, TAU) for i in range(size)]
    kappa, mem, beta = run.kappa_t(TAU), run.mean_memorization(), run.beta()
    right = with_constant(kappa, times, beta)
    assumptions = {**run.sgd(), STABLE: beta < 1, RANK: independent(run.data)}
    summary = (
        r"Brier loss, three samples, one step of gradient descent: $\mathbb E\,\mathrm{mem}="
        rf"{show(mem)}$, $\beta={show(beta)}$, $L=1$ (attained), $\kappa_T={float(kappa):.4f}>0$, "
        rf"$\mathbb E[T]=1$. Printed: ${float(mem):.4f}\le{float(right):.4f}$."
    )
    pinned = mem == Fraction(7, 150) and round(10**6 * right) == 35967 and times == [1, 1, 1]
    return Evidence(pinned and mem > right and kappa > 0, summary, {}, assumptions, run)


def _constant_repaired() -> Evidence:
    run = FINISHING
    drops, mems = [], []
    for i, (x, _) in enumerate(run.data):
        inside, outside = (
            sum(w * v for w, v in zip(run.paths(k)[0][-1], x, strict=True)) for k in (None, i)
        )
        drops.append(run.curve(i, i)[-1] - run.curve(i)[-1])
        mems.append((2 - inside - outside) * (inside - outside))
    summary = (
        r"On the same run, the loss that a sample loses by being trained on is its slope times "
        r"mem: "
        + ", ".join(f"${show(d)}$" for d in drops)
        + r", each at most $\beta$. With Gibbs loss the slope is $L$, and $\mathrm{mem}\le\beta/L$."
    )
    passed = (
        drops == mems
        and max(drops) <= run.beta()
        and drops[0] == Fraction(1, 100) - Fraction(1, 900)
    )
    return Evidence(passed, summary, {}, {}, run)


def constants() -> Derivation:
    """The constant of the text against the constant of the proof, for a constant step size."""
    import sympy

    step, eta, shrunk, rho, noise, tau, kappa, bound = sympy.symbols(
        r"\eta_t eta \eta_s rho Gamma_v tau kappa_m L", positive=True
    )
    proof = tau * eta / (kappa * bound) - eta * shrunk * rho * noise**2 / (2 * bound)
    text = tau * eta / (kappa * bound) - step**2 * rho * noise**2 / (2 * bound)
    return Derivation(
        "The two constants agree if the squared step size is that of (15)",
        (
            Step(
                "definition of eta_s (56) times eta (55)",
                sympy.Subs(eta * shrunk, shrunk, step**2 / eta),
                step**2,
            ),
            Step(
                "the constant of the proof is that of the text",
                sympy.Subs(proof, shrunk, step**2 / eta),
                text,
            ),
        ),
    )


KAPPA_T = Claim(
    id="orders-icml/kappa-t",
    title="The constant of Theorem 5.3",
    paper="orders-icml",
    location="Section 5.4, 'Interpreting Theory'; end of the proof in D.2",
    printed=r"""
Theorem 5.3 holds with

$$\kappa_T=\frac{\tau\eta}{\kappa_mL}-\frac{\eta\eta_s\rho\Gamma_v^2}{2L}\ge0,\qquad
\kappa_m=\max_t(\kappa_g^t)^2$$

(Section 5.4 prints $\eta^2\rho\Gamma^2/(2L)$ for the second term, and $t\in\{1,\dots,T\}$).""",
    assumptions=(*SGD, STABLE, RANK),
    verdict=Verdict.FALSE,
    gist=r"False for Brier loss, whose slope vanishes where the model is sure; for Gibbs "
    r"loss $\mathrm{mem}\le\beta/L$.",
    holds=r"""
For Gibbs loss it holds because $\mathrm{mem}\le\beta/L$. For a loss $f(p_y)$ of a deterministic
network $\ell^{\setminus i}(z_i)-\ell(z_i)=-f'(\xi)\,\mathrm{mem}(z_i)$ for some $\xi$ between the
two chances, so that $\mathrm{mem}(z_i)\le\beta/\min|f'|$ over that interval; no bound by $\beta/L$
follows. In learning time there is a bound from the other side only (`book/r1`): a *large* learning
time is what it limits.
""",
    proof=r"""
*Counterexample.* Brier loss $(1-p)^2$ of a linear model with orthogonal inputs. Two samples go from
$p=\frac9{10}$ to $\frac{29}{30}$; without themselves they stay at $\frac9{10}$. They are memorized
by $\frac1{15}$ and their loss changes by $\frac1{100}-\frac1{900}$: sure predictions change at
little cost. The third sample has a short input and starts at the loss $1=L$; it makes the bound
$L$ tight and changes nothing. The text's constant is the proof's if $\eta^2$ is read as
$\eta_t^2$; its maximum leaves out $t=0$, which is in the sum (compare `orders/eq-31`).
""",
    rebuttal=r"""
*Choose a larger threshold.* $\kappa_T$ grows with $\tau$, and with a large enough $\tau$ the right
side passes 1; then the statement says nothing. *Brier loss was not meant.* Boundedness is all that
is assumed; the step (65) that fails here is `orders/e2-mem-loss`, which holds for Gibbs loss only.
""",
    effect=r"""
The comparison of subsets $U(T)$ in Section 5.4 rests on this constant.
""",
    prior_art=r"""
That a proper loss is flat at sure predictions is elementary.
""",
    chapter=CHAPTER,
    uses=(
        "orders-icml/thm-5.3",
        "orders-icml/eq-59",
        "orders-icml/eq-65",
        "orders-icml/d.2-start",
        "orders/e2-mem-loss",
    ),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Sure predictions, Brier loss.", _constant_refuted),
        Check(Kind.EXACT, Role.REPAIRED, "The slope of the loss.", _constant_repaired),
        Check(
            Kind.SYMBOLIC,
            Role.SUPPORTS,
            "The two printed constants are one.",
            lambda: derived(constants()),
        ),
    ),
)


# Without stability --------------------------------------------------------------------------------


def _without_stability() -> Evidence:
    run = FROM_ZERO
    times = [run.time(i, SMALL_TAU) for i in range(len(run.data))]
    kappa, mem = run.kappa_t(SMALL_TAU), run.mean_memorization()
    right = with_constant(kappa, times, Fraction(0))
    held_out = mean([run.curve(i, i)[-1] for i in range(len(run.data))])
    assumptions = {
        **run.sgd(),
        RANK: independent(run.data),
        GENERALIZES: run.mean_curve()[0] - held_out >= 0,
    }
    summary = (
        rf"Gibbs loss, two orthogonal samples, one step from 0, $\tau={show(SMALL_TAU)}$: "
        rf"$\mathbb E\,\mathrm{{mem}}={show(mem)}$, $\kappa_T\mathbb E[T]={show(right)}$; "
        rf"$\mathbb E[\ell_0-\ell^{{\setminus i}}]={show(run.mean_curve()[0] - held_out)}$."
    )
    pinned = (mem, right) == (Fraction(3, 8), Fraction(3, 400))
    equal = run.mean_curve()[0] == held_out
    return Evidence(pinned and equal and mem > right > 0, summary, {}, assumptions, run)


def _without_stability_repaired() -> Evidence:
    run = FROM_ZERO
    drop = run.mean_curve()[0] - run.mean_curve()[-1]
    gap = mean([run.curve(i, i)[-1] for i in range(len(run.data))]) - run.mean_curve()[0]
    summary = (
        rf"On the same run $\mathbb E\,\mathrm{{mem}}={show(run.mean_memorization())}=(\ell_0-"
        rf"\ell_T)+\mathbb E[\ell^{{\setminus i}}-\ell_0]={show(drop)}+{show(gap)}$, with $L=1$."
    )
    return Evidence(
        run.mean_memorization() == drop + gap and (drop, gap) == (Fraction(3, 8), 0),
        summary,
        {},
        {},
        run,
    )


def _drop_decided() -> Evidence:
    import z3

    first, last, out, bound, mem = z3.Reals("first last out bound mem")
    return decide(
        [bound > 0, bound * mem == out - last, first - out >= 0],
        mem <= (first - last) / bound,
        r"For Gibbs loss, $\mathbb E\ell^{\setminus i}\le\mathbb E\ell_0$ gives $L\,\mathbb E\,"
        r"\mathrm{mem}\le\ell_0-\ell_T$: memorization is bounded by what training gains.",
    )


EQ_11 = Claim(
    id="orders-icml/eq-11",
    title="Learning time bounds memorization without stability",
    paper="orders-icml",
    location="Section 5.4, Eq. (11); D.2.2",
    printed=r"""
$\mathbb E_{z_i}[\mathrm{mem}(\vec z_i)]\le\kappa_T\,\mathbb E_{z_i,p}[T_{z_i}]$, with the
$\kappa_T$ of Section 5.4, if $\mathbb E[\ell(\vec w_0,\vec z_i)-\ell^{\setminus z_i}(\vec w^*,\vec
z_i)]\ge0$.
""",
    assumptions=(*SGD, RANK, GENERALIZES),
    verdict=Verdict.FALSE,
    gist=r"False even for Gibbs loss; true is $L\,\mathbb E\,\mathrm{mem}\le\ell_0-\ell_T$ "
    "under the same assumption.",
    holds=r"""
For Gibbs loss and $\mathbb E\ell^{\setminus i}(z_i)\le\mathbb E\ell_0$,

$$L\,\mathbb E_{z_i}[\mathrm{mem}(z_i)]\le\mathbb E[\ell(w_0)-\ell(w_{T_{max}})],$$

with equality if the held-out loss is the loss at the start. The right side has no learning time in
it: to replace it by $L\kappa_T\mathbb E[T]$ one needs a *lower* bound on learning time, and the
analysis of SGD gives none.
""",
    proof=r"""
$L\,\mathbb E\,\mathrm{mem}=\mathbb E\ell^{\setminus i}-\mathbb E\ell_T\le\mathbb E\ell_0-\mathbb
E\ell_T$. *Counterexample to (11).* Weights that start at 0 give every sample the input gradient 0,
so that $T=1$ for every $\tau>0$, and $\kappa_T$ is proportional to $\tau$. One step then raises
both chances from $\frac12$ to $\frac78$; without itself a sample stays at $\frac12$.
""",
    rebuttal=r"""
*No one starts at zero, or with such a threshold.* The theorem takes any start and any $\tau>0$. The
mechanism is general: learning time is about input gradients, and Lemma 5.1 bounds them from above
only, so that a sample may be learned early in the sense of Eq. (7) and still gain much.
""",
    effect=r"""
The remark that the requirement of stability can be dropped, and with it the claim that the bound
by CSL is not trivial (`orders-icml/eq-71`), lose their base.
""",
    prior_art="Elementary.",
    chapter=CHAPTER,
    uses=("orders-icml/kappa-t", "orders-icml/eq-59", "book/r2"),
    checks=(
        Check(Kind.EXACT, Role.REFUTES, "Learned at once, memorized after.", _without_stability),
        Check(Kind.EXACT, Role.REPAIRED, "What training gains.", _without_stability_repaired),
        Check(Kind.DECIDED, Role.SUPPORTS, "The repaired bound.", _drop_decided),
    ),
)


CLAIMS = (THM_5_3, KAPPA_T, EQ_11)
