"""The three papers side by side: one word, several meanings, and how to convert them.

Every conversion is a check: the page cannot be written if one does not come out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from memlib.theory import trajectories
from memlib.theory.claims import Evidence
from memlib.theory.evidence import decide, enumerate_all, show
from memlib.theory.icml.instances import AT_OPTIMUM, FINISHING, FROM_ZERO, LONG_SHORT
from memlib.theory.worlds import all_functions, gibbs, mean, memorization, total

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Entry:
    """One notion: what each text means by it (with equation numbers), and how to convert.

    A text that does not use the notion has a dash. All of this is Markdown.
    """

    notion: str
    draft: str
    published: str
    privacy: str
    unique: str
    convert: str
    check: Callable[[], Evidence]


# mem --------------------------------------------------------------------------------------------

#: Data sets of two bits at two places, and the weight of an error in the Gibbs learner.
SETS = tuple(tuple(zip((0, 1), labels, strict=True)) for labels in product((0, 1), repeat=2))
FACTORS = (Fraction(0), HALF, Fraction(2))


def memorization_conversion() -> Evidence:
    """Signed and absolute memorization, over all data sets and learners of a small world."""
    functions = all_functions((0, 1), (0, 1))

    def holds(case: tuple[Fraction, tuple[tuple[int, int], ...], int]) -> bool:
        factor, data, i = case
        signed = memorization(gibbs(functions, factor), data, i)
        return abs(signed) == (signed if factor < 1 else -signed)

    return enumerate_all(
        product(FACTORS, SETS, (0, 1)),
        holds,
        r"Gibbs learners over all functions: the draft's score is the signed one where errors cost "
        r"weight, and its negative where errors are rewarded.",
        count=24,
    )


# beta -------------------------------------------------------------------------------------------


def stability_conversion() -> Evidence:
    """Error stability never exceeds uniform stability; mem <= beta / L needs the uniform one."""
    rows = []
    for run in (FINISHING, FROM_ZERO, AT_OPTIMUM, LONG_SHORT):
        size = range(len(run.data))
        risks = [
            mean([mean([run.at(p[-1], z) for z in run.data]) for p in run.paths(left_out)])
            for left_out in (None, *size)
        ]
        rows.append((max(abs(risk - risks[0]) for risk in risks[1:]), run.beta()))
    summary = "On four exact runs, error stability and uniform stability: " + ", ".join(
        f"{float(error):.4f} ≤ {float(uniform):.4f}" for error, uniform in rows
    )
    pinned = rows[1] == (Fraction(1, 8), Fraction(3, 8))
    return Evidence(pinned and all(a <= b for a, b in rows), summary + ".")


# L ----------------------------------------------------------------------------------------------


def scale_conversion() -> Evidence:
    """Multiply the loss by c: L, beta and CSL follow, mem and beta / L stay."""
    import z3

    p, q, scale, c = z3.Reals("p q scale c")
    change = scale * (1 - q) - scale * (1 - p)
    larger = c * scale * (1 - q) - c * scale * (1 - p)
    return decide(
        [scale > 0, c > 0],
        z3.And(larger == c * change, larger / (c * scale) == p - q),
        r"Gibbs loss times $c$: $\beta$ and $L$ are multiplied by $c$, $\beta/L$ and mem are not.",
    )


# Curvature --------------------------------------------------------------------------------------

#: Symmetric two by two Hessians ((a, b), (b, d)).
HESSIANS = tuple(product((-2, 0, 1), (-1, 0, 3), (-1, 2, 4)))


def curvature_conversion() -> Evidence:
    """Trace, Frobenius norm and the two averages over sign vectors."""

    def holds(hessian: tuple[int, int, int]) -> bool:
        a, b, d = hessian
        signs = list(product((-1, 1), repeat=2))
        forms = [Fraction(a * s * s + 2 * b * s * t + d * t * t) for s, t in signs]
        norms = [Fraction((a * s + b * t) ** 2 + (b * s + d * t) ** 2) for s, t in signs]
        frobenius = a * a + 2 * b * b + d * d
        return mean(forms) == a + d and mean(norms) == frobenius and (a + d) ** 2 <= 2 * frobenius

    return enumerate_all(
        HESSIANS,
        holds,
        r"$\mathbb E_v[v^\top Hv]=\mathrm{tr}H$, $\mathbb E_v\|Hv\|^2=\mathrm{tr}H^2=\|H\|_F^2$ "
        r"over all "
        r"sign vectors, and $|\mathrm{tr}H|\le\sqrt d\,\|H\|_F$.",
        count=27,
    )


# delta ------------------------------------------------------------------------------------------

#: Generalization gaps of a random model, each as likely; and a rate.
GAPS = (Fraction(1, 10), Fraction(1, 5), Fraction(1, 5), Fraction(9, 10))
RATE = Fraction(1, 4)


def confidence_conversion() -> Evidence:
    """Confidence and failure probability add to one."""
    within = Fraction(sum(gap <= RATE for gap in GAPS), len(GAPS))
    failing = Fraction(sum(gap > RATE for gap in GAPS), len(GAPS))
    summary = (
        rf"Four gaps, rate {show(RATE)}: the confidence $\delta$ of Eq. (4) or (14) can be "
        rf"{show(within)}, the failure probability $\delta$ of a statement "
        rf"'with probability $1-\delta$' {show(failing)}."
    )
    passed = (within, failing) == (Fraction(3, 4), Fraction(1, 4))
    return Evidence(passed and within == 1 - failing, summary)


# sigma ------------------------------------------------------------------------------------------

#: The change of two outputs when a sample leaves, and two smoothing widths.
OUTPUTS, WIDTHS = (Fraction(3), Fraction(4)), (Fraction(1), Fraction(1, 10))


def smoothing_conversion() -> Evidence:
    """Functional sample information at two widths (Eq. 8 of `unique`)."""
    square = total(v**2 for v in OUTPUTS)
    values = [square / (2 * width**2) for width in WIDTHS]
    summary = (
        rf"Outputs that change by $(3,4)$: {show(values[0])} nats at $\sigma={WIDTHS[0]}$ and "
        rf"{show(values[1])} at $\sigma={show(WIDTHS[1])}$; $\sigma^2$ times either is the same."
    )
    same = {value * width**2 for value, width in zip(values, WIDTHS, strict=True)}
    return Evidence(values == [Fraction(25, 2), 1250] and len(same) == 1, summary)


# Gamma ------------------------------------------------------------------------------------------


def moment_conversion() -> Evidence:
    """Second moment = variance + squared mean, for two opposite seeds."""
    import z3

    g, n = z3.Reals("g n")
    second = ((g + n) * (g + n) + (g - n) * (g - n)) / 2
    return decide(
        [],
        z3.And(second == g * g + n * n, n * n <= second),
        r"Second moment $=$ variance $+$ squared mean gradient: (3) of the published text implies "
        r"(16), with $\Gamma_v^2=K\Gamma^2$ for $K$ layers, not the other way round.",
    )


# CSL and learning time --------------------------------------------------------------------------


def csl_conversion() -> Evidence:
    """The draft's sum has one term more."""
    rows = []
    for i in range(len(LONG_SHORT.data)):
        curve = LONG_SHORT.curve(i)
        rows.append((total(curve), LONG_SHORT.csl(i), curve[-1]))
    summary = (
        f"Two samples, {LONG_SHORT.steps} steps: "
        + ", ".join(f"{float(a):.4f} = {float(b):.4f} + {float(c):.4f}" for a, b, c in rows)
        + "."
    )
    pinned = [round(10**4 * a) for a, *_ in rows] == [5000, 10785]
    return Evidence(pinned and all(a == b + c for a, b, c in rows), summary)


#: A least-squares run on two samples with labels -1, and a threshold.
RUN = trajectories.Descent((((1, -1), -1), ((0, 2), -1)), (HALF, HALF), Fraction(1, 8), 12)
TAU = Fraction(1, 4)


def learning_time_conversion() -> Evidence:
    """Eq. (7) against the first correct step; what bounds each."""
    run = RUN.run()
    rows = []
    for sample in RUN.data:
        squares = trajectories.squared_gradients(run, sample)
        time, first = (
            trajectories.learning_time(squares, TAU),
            trajectories.first_correct(run, sample),
        )
        if time is None or first is None:
            return Evidence(False, f"{sample} is not learned in this run: take a longer one.")
        csl = total(trajectories.losses(run, sample))
        rows.append((time, 1 + total(squares) / TAU, first, 2 * csl))
    summary = r"One run, $\tau=\frac14$: " + "; ".join(
        rf"$T={t}\le1+\mathrm{{CSG}}/\tau={float(bound):.2f}$, first correct at "
        rf"${f}\le2\,\mathrm{{CSL}}={float(csl):.2f}$"
        for t, bound, f, csl in rows
    )
    passed = all(t <= bound and f <= csl for t, bound, f, csl in rows)
    pinned = [(t, f) for t, _, f, _ in rows] == [(4, 5), (11, 2)]
    return Evidence(passed and pinned, summary + ".")


# Sums and means ---------------------------------------------------------------------------------


def step_conversion() -> Evidence:
    """Descending the sum with eta / n is descending the mean with eta."""
    data, start, count = RUN.data, RUN.start, len(RUN.data)
    by_mean = trajectories.descend(data, start, HALF, RUN.steps, Fraction(1, count))
    by_sum = trajectories.descend(data, start, HALF / count, RUN.steps)
    summary = (
        f"The same {RUN.steps} steps on {count} samples: the mean with step {show(HALF)}, the "
        f"sum with "
        f"step {show(HALF / count)}, weight for weight."
    )
    return Evidence(by_mean == by_sum and by_mean[-1] != by_mean[0], summary)


ENTRIES = (
    Entry(
        "memorization, mem",
        r"Eq. 2, *absolute* value",
        r"Eq. 1, signed",
        r"Eq. 2, signed; the theorems bound $|\mathrm{mem}|$",
        "–",
        r"draft = |published| = |`privacy`|. memlib and this book: signed.",
        memorization_conversion,
    ),
    Entry(
        r"stability, $\beta$",
        "Eq. 1, error stability: mean loss on a fresh sample",
        "Eq. 4, uniform stability: every sample, every seed",
        "Eq. 3, error stability, as in the draft",
        r"– (stability of weights and outputs is what SI and F-SI measure)",
        r"$\beta_{error}\le\beta_{uniform}$; only the latter bounds memorization "
        r"($L|\mathrm{mem}|\le\beta$ for Gibbs loss).",
        stability_conversion,
    ),
    Entry(
        r"bound of the loss, $L$",
        r"$0\le\ell\le L$",
        r"$0\le\ell\le L$; $L=1$ put in for cross-entropy, which is not bounded",
        r"$0\le\ell\le L$; the same for cross-entropy",
        r"– (squared error with Gaussian weights is not bounded)",
        r"$L$, $\beta$, CSL scale with the loss; $\beta/L$ and mem do not.",
        scale_conversion,
    ),
    Entry(
        "curvature",
        r"$\mathrm{tr}\,\nabla^2_x\ell$ as a score; $\|\nabla^2_X\ell\|$ in Theorem 4.6",
        "–",
        r"Eq. 7, $\mathrm{tr}\,\nabla^2_x\ell$; estimated by a norm (Eq. 14)",
        r"Hessians in *weights* only ($H$ in Eq. 15)",
        r"$\mathbb E_v[v^\top Hv]=\mathrm{tr}H$ (signed), $\mathbb E_v\|Hv\|^2=\|H\|_F^2$; "
        r"$|\mathrm{tr}H|\le\sqrt d\,\|H\|_F$.",
        curvature_conversion,
    ),
    Entry(
        r"$\delta$",
        r"failure probability of the theorems; *confidence* in Eq. 14",
        "– (all statements are in expectation)",
        r"*confidence* in Eq. 4, failure probability of the theorems; "
        r"and the $\delta$ of $(\varepsilon,\delta)$-privacy",
        "–",
        r"confidence $=1-$ failure probability; the $\delta$ of privacy is a third thing.",
        confidence_conversion,
    ),
    Entry(
        r"$\sigma$",
        r"$\sigma_l$: called the variance of the loss, used as a standard deviation; "
        r"$\sigma(\cdot)$: activation",
        r"$\sigma(\cdot)$: activation only",
        "–",
        r"width of the smoothing (Eq. 7, 8); $\sigma^2$: level of SGD noise in Eq. 15",
        r"$\text{F-SI}_\sigma=\text{F-SI}_1/\sigma^2$; none of these is another's.",
        smoothing_conversion,
    ),
    Entry(
        r"gradient bounds, $\Gamma$, $\rho$",
        r"Eq. 18: *third* moment $\Gamma^3$, per layer; $\rho$: Hessian (Eq. 17)",
        r"Eq. 3: second moment $\Gamma^2$, per layer; Eq. 16: variance $\Gamma_v^2$; $\rho$: "
        r"gradient (Eq. 2)",
        r"$\rho$: Hessian (Eq. 6)",
        r"$\Lambda$: covariance of the gradient (Eq. 12)",
        r"second moment = variance + squared mean. $\rho$ of the published text is "
        r"$\mathcal L$ of the draft, taken in $w$.",
        moment_conversion,
    ),
    Entry(
        "cumulative sample loss, CSL",
        r"Eq. 3, $t=0,\dots,T_{max}$",
        r"Eq. 5, $t=0,\dots,T_{max}-1$",
        "–",
        "–",
        r"draft = published + loss at the end. memlib: one term per recorded epoch.",
        csl_conversion,
    ),
    Entry(
        "learning time",
        r"Eq. 4 without a minimum; first correct epoch in C.5",
        r"Eq. 7, the minimum; first correct epoch ('Thr. LT') as a baseline",
        "–",
        "–",
        r"No conversion: they can order samples oppositely. Eq. 7 is bounded by CSG (R1), the "
        r"first "
        r"correct epoch by CSL.",
        learning_time_conversion,
    ),
    Entry(
        "training loss, step size",
        r"mean over samples",
        r"mean; 'average or sum' for a batch",
        r"mean ($R_{emp}$)",
        r"*sum* over samples in the theory (Section D)",
        r"$\eta_{sum}=\eta_{mean}/n$, $\lambda_{sum}=n\lambda_{mean}$.",
        step_conversion,
    ),
)


def rosetta_page() -> str:
    """The page `ledger/rosetta.md`: one table, and every conversion with what its check found.

    Raises:
        ValueError: A conversion does not come out.
    """
    lines = [
        "(rosetta)=",
        "# Rosetta",
        "",
        "The papers use the same letters for different things, and different letters for the same.",
        "This page sets them side by side; [](../notation.md) has the symbols of this book.",
        "Numbers are those of the equations in each paper.",
        "",
        "| notion | `orders`, draft | `orders`, published | `privacy` | `unique` |",
        "| :-- | :-- | :-- | :-- | :-- |",
    ]
    for entry in ENTRIES:
        cells = [entry.notion, entry.draft, entry.published, entry.privacy, entry.unique]
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    lines += ["", "## Conversions", "", "Each was executed when this page was built.", ""]
    for entry in ENTRIES:
        found = entry.check()
        if not found.passed:
            raise ValueError(
                f"the conversion of {entry.notion} does not come out: {found.summary} "
                "Correct the conversion or its check."
            )
        lines += [f"**{entry.notion[0].upper()}{entry.notion[1:]}.** {entry.convert}"]
        lines += [f"{found.summary}", ""]
    return "\n".join(lines).rstrip() + "\n"
