"""The interactive figures: sliders, axes, and the functions of memlib that they draw.

A curve names the formula in `assets/figures.js` that the browser evaluates, and has the function
of memlib that says the same; a test compares the two wherever a slider can stand.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

from memlib import bounds, decomposition, results
from memlib.theory import trajectories
from memlib.theory.orders import instances, thm_4_1

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """An axis with its label, ends and ticks; `names` replaces single values by a word."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    decimals: int
    log: bool = False
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slider:
    """A slider that steps through `values`."""

    key: str
    symbol: str
    label: str
    values: tuple[float, ...]
    start: float
    decimals: int
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """One line: `value` of the sliders and of x, by `formula` in the browser.

    `data` names the series that the formula reads. A dot marks the slider's place on the line, or
    the place that the curve with the key `mark` gives.
    """

    key: str
    label: str
    formula: str
    value: Callable[[Values], float]
    data: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Panel:
    """One plot over the variable `key`, drawn at `values`, tabulated at `rows`.

    `uses` names the sliders on which the curves depend; `description` is for those who do not see.
    """

    key: str
    title: str
    description: str
    values: tuple[float, ...]
    rows: tuple[float, ...]
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    uses: tuple[str, ...]
    steps: bool = False


@dataclass(frozen=True)
class Figure:
    """Sliders, plots, and a sentence with the values, in which `{key}` is a slider or a curve."""

    sliders: tuple[Slider, ...]
    panels: tuple[Panel, ...]
    readout: str
    data: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def start(self) -> dict[str, Any]:
        """Returns the values at which the sliders start."""
        return {slider.key: slider.start for slider in self.sliders}


def show(axis: Axis | Slider, value: float) -> str:
    """Returns the value as the figure shows it."""
    return axis.names.get(f"{value:g}") or f"{value:.{axis.decimals}f}"


def as_data(name: str) -> dict[str, Any]:
    """Returns what the browser needs, as plain data."""
    plain = {"name": name, **asdict(FIGURES[name])}
    for panel in plain["panels"]:
        for curve in panel["curves"]:
            del curve["value"]
    return plain


def steps(low: int, high: int, divisor: int) -> tuple[float, ...]:
    """Returns low/divisor, ..., high/divisor."""
    return tuple(k / divisor for k in range(low, high + 1))


PRIVACY = Figure(
    sliders=(Slider("epsilon", "ε", "Privacy parameter ε (nats)", steps(0, 60, 10), 1.0, 1),),
    panels=(
        Panel(
            key="epsilon",
            title="Most memorization that ε-differential privacy allows",
            description="Two curves rise from 0 at ε = 0 towards 1. The tight bound, tanh(ε/2), "
            "stays below the printed one, 1 − exp(−ε), and starts half as steep.",
            values=steps(0, 60, 10),
            rows=(0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0),
            x=Axis("privacy parameter ε (nats)", 0, 6, (0, 1, 2, 3, 4, 5, 6), 1),
            y=Axis("memorization at most (probability)", 0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1), 3),
            curves=(
                Curve(
                    "tight",
                    "tight: tanh(ε/2)",
                    "memorization_bound",
                    lambda v: bounds.memorization_bound(v["epsilon"]),
                ),
                Curve(
                    "printed",
                    "as printed: 1 − exp(−ε)",
                    "printed_bound",
                    lambda v: bounds.printed_bound(v["epsilon"]),
                ),
            ),
            uses=("epsilon",),
        ),
    ),
    readout="At ε = {epsilon} memorization is at most {tight}; the printed bound is {printed}.",
)

MODELS: tuple[float, ...] = (
    20,
    25,
    32,
    40,
    50,
    63,
    80,
    100,
    125,
    160,
    200,
    250,
    320,
    400,
    500,
    630,
    800,
)
MODELS += (1000, 1250, 1600, 2000, 2500, 3200, 4000)
SHARES = steps(1, 19, 20)
ERROR = Axis("standard error (probability)", 0.003, 1, (0.003, 0.01, 0.03, 0.1, 0.3, 1), 4, True)
ERRORS = (
    Curve(
        "chosen",
        "p and q as set",
        "standard_error",
        lambda v: bounds.standard_error(v["p"], v["q"], v["fraction"], v["models"]),
    ),
    Curve(
        "worst",
        "worst case: p = q = 1/2",
        "worst_error",
        lambda v: bounds.standard_error(0.5, 0.5, v["fraction"], v["models"]),
    ),
)
NETWORKS = Figure(
    sliders=(
        Slider("p", "p", "Accuracy p with the sample", steps(0, 20, 20), 1.0, 2),
        Slider("q", "q", "Accuracy q without it", SHARES, 0.6, 2),
        Slider("fraction", "f", "Share f of the samples in a subset", SHARES, 0.7, 2),
        Slider("models", "M", "Number M of networks", MODELS, 1000, 0),
    ),
    panels=(
        Panel(
            key="models",
            title="Standard error by the number of networks",
            description="On logarithmic axes both curves fall along straight lines: four times "
            "the networks halve the error. The worst case lies above.",
            values=MODELS,
            rows=(20, 50, 100, 250, 500, 1000, 2000, 4000),
            x=Axis("number M of networks", 20, 4000, (20, 100, 500, 2000), 0, True),
            y=ERROR,
            curves=ERRORS,
            uses=("p", "q", "fraction", "models"),
        ),
        Panel(
            key="fraction",
            title="Standard error by the share of samples in a subset",
            description="The worst case is lowest at one half and rises towards both ends. With "
            "p = 1 the other curve is lowest at the left end.",
            values=SHARES,
            rows=(0.1, 0.25, 0.5, 0.7, 0.9),
            x=Axis("share f of the samples in a subset", 0, 1, (0, 0.25, 0.5, 0.75, 1), 2),
            y=ERROR,
            curves=ERRORS,
            uses=("p", "q", "fraction", "models"),
        ),
    ),
    readout="A memorization score of {p} − {q} from {models} networks has a standard error of "
    "{chosen}; in the worst case it is {worst}.",
)


def stored_gradients() -> tuple[dict[str, tuple[float, ...]], float]:
    """Returns the squared gradients of the easy and the hard sample of chapter 2, and its tau."""
    arrays, _ = results.load_arrays(results.stored("fmnist-mini-trajectories.npz"))
    easy, hard = arrays["gradient"]
    return {"easy": tuple(easy.tolist()), "hard": tuple(hard.tolist())}, float(arrays["tau"])


GRADIENTS, TAU = stored_gradients()
EPOCHS = len(GRADIENTS["easy"])
NEVER = EPOCHS + 1
TAUS = tuple(sorted({round(TAU, 4), *(round(0.005 * 20 ** (k / 60), 4) for k in range(61))}))


def learning_time(who: str) -> Callable[[Values], float]:
    """Returns the learning time of a sample by Eq. 4 as a function of tau."""
    squares = [Fraction(value) for value in GRADIENTS[who]]
    return lambda v: trajectories.learning_time(squares, Fraction(v["tau"])) or NEVER


def running_mean(who: str) -> Callable[[Values], float]:
    """Returns the mean of the first squared gradients of a sample as a function of their number."""
    return lambda v: sum(GRADIENTS[who][: v["epochs"]]) / v["epochs"]


THRESHOLD = Figure(
    sliders=(Slider("tau", "τ", "Threshold τ (nats²/sd²)", TAUS, round(TAU, 4), 4),),
    panels=(
        Panel(
            key="epochs",
            title="Mean of the first T squared input gradients",
            description="On a logarithmic axis the mean of the easy sample rises a little and then "
            "falls. That of the hard sample starts below it, rises more than tenfold and never "
            "comes back to where it started. The threshold is a level line.",
            values=tuple(range(1, NEVER)),
            rows=(1, 2, 4, 8, 12, 16, 20, 24),
            x=Axis("number T of epochs", 1, EPOCHS, (1, 6, 12, 18, 24), 0),
            y=Axis("mean squared gradient (nats²/sd²)", 0.004, 2, (0.01, 0.1, 1), 4, True),
            curves=(
                Curve("easy_mean", "easy", "running_mean", running_mean("easy"), "easy", "easy"),
                Curve("hard_mean", "hard", "running_mean", running_mean("hard"), "hard", "hard"),
                Curve("threshold", "threshold τ", "threshold", lambda v: v["tau"]),
            ),
            uses=("tau",),
        ),
        Panel(
            key="tau",
            title="Learning time by Eq. 4",
            description="The learning time of the easy sample falls in steps from never to 1 as "
            "the threshold rises. That of the hard sample falls from never to 1 in one step, at a "
            "threshold at which the easy sample is not yet learned at 1.",
            values=TAUS,
            rows=(0.005, 0.0102, 0.02, round(TAU, 4), 0.0368, 0.0407, 0.0549, 0.1),
            x=Axis("threshold τ (nats²/sd²)", 0.005, 0.1, (0.005, 0.01, 0.02, 0.05, 0.1), 4, True),
            y=Axis(
                "learning time T (epochs)",
                0,
                NEVER,
                (1, 6, 12, 18, NEVER),
                0,
                names={f"{NEVER}": "never"},
            ),
            curves=(
                Curve("easy", "easy", "learning_time", learning_time("easy"), "easy"),
                Curve("hard", "hard", "learning_time", learning_time("hard"), "hard"),
            ),
            uses=("tau",),
            steps=True,
        ),
    ),
    readout="At τ = {tau} the learning time is {easy} for the easy sample and {hard} for "
    "the hard one.",
    data=GRADIENTS,
)


@cache
def twins_of(difference: float) -> instances.Training:
    """Returns the twins whose first residuals are in the ratio 1 minus the difference."""
    return instances.twins(1 - Fraction(str(difference)))


def twin_bound(v: Values) -> float:
    """Returns what Theorem 4.1 of `orders` prints for the twins."""
    run = twins_of(v["difference"])
    mem, beta = (float(number) for number in (run.memorization(0), run.stability()))
    noise = float(run.deviation()) / math.sqrt(v["delta"])
    return float(thm_4_1.printed(run.steps, 1.0, float(run.mean_curve()[0]), mem, beta, noise))


def twin_gap(v: Values) -> float:
    """Returns the difference of the twins' learning times."""
    run = twins_of(v["difference"])
    tau = run.squares(1)[0]
    return run.time(0, tau) - run.time(1, tau)


DIFFERENCES = tuple(
    thousandths / 1000
    for thousandths in (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 250)
)
SHARES_EXEMPT = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.49)
TWINS = Figure(
    sliders=(
        Slider(
            "difference",
            "1 − r",
            "How unlike the twins are, 1\u00a0−\u00a0r",
            DIFFERENCES,
            0.01,
            4,
            names={f"{value:g}": f"{value:g}" for value in DIFFERENCES},
        ),
        Slider(
            "delta",
            "δ",
            "Share δ of the samples that may be exempt",
            SHARES_EXEMPT,
            0.01,
            3,
            names={f"{value:g}": f"{value:g}" for value in SHARES_EXEMPT},
        ),
    ),
    panels=(
        Panel(
            key="difference",
            title="Two learning times and the bound on their difference",
            description="On logarithmic axes the bound falls along a nearly straight line as the "
            "twins become alike. The difference of their learning times is a level line at 1. "
            "Left of where the two cross, the printed theorem is false.",
            values=DIFFERENCES,
            rows=(0.001, 0.003, 0.01, 0.03, 0.1, 0.25),
            x=Axis("1 − r", 0.001, 0.25, (0.001, 0.003, 0.01, 0.03, 0.1, 0.25), 3, True),
            y=Axis("steps", 0.003, 20, (0.01, 0.1, 1, 10), 3, True, names={"1": "1"}),
            curves=(
                Curve("bound", "right side of Theorem 4.1", "twin_bound", twin_bound),
                Curve("gap", "learning time of a minus that of b", "twin_gap", twin_gap),
            ),
            uses=("difference", "delta"),
        ),
    ),
    readout="At 1 − r = {difference} and δ = {delta} the learning times differ by {gap}, and the "
    "printed bound on the difference is {bound}.",
)

RHOS, RATIOS = steps(-9, 19, 20), steps(1, 30, 20)
CORRELATION = Axis("correlation with CSL", -1, 1, (-1, -0.5, 0, 0.5, 1), 2)
CORRELATIONS = (
    Curve(
        "memorization",
        "with memorization M",
        "with_memorization",
        lambda v: decomposition.proxy_correlation(v["rho"], v["ratio"]),
    ),
    Curve(
        "difficulty",
        "with held-out difficulty H",
        "with_difficulty",
        lambda v: -decomposition.proxy_correlation(v["rho"], 1 / v["ratio"]),
    ),
)
PROXY = Figure(
    sliders=(
        Slider("rho", "ρ", "Correlation ρ of H and M", RHOS, 0.95, 2),
        Slider("ratio", "v", "Spread v of M, over that\u00a0of\u00a0H", RATIOS, 0.65, 2),
    ),
    panels=(
        Panel(
            key="ratio",
            title="Correlations of CSL by the spread of memorization",
            description="The correlation with memorization starts near ρ, crosses zero where v "
            "equals ρ and ends negative. That with difficulty starts at 1 and lies above it "
            "everywhere.",
            values=RATIOS,
            rows=(0.1, 0.3, 0.5, 0.65, 0.8, 1.0, 1.2, 1.5),
            x=Axis("spread v of M, over that of H", 0, 1.5, (0, 0.5, 1, 1.5), 2),
            y=CORRELATION,
            curves=CORRELATIONS,
            uses=("rho", "ratio"),
        ),
        Panel(
            key="rho",
            title="Correlations of CSL by the correlation of its two terms",
            description="The correlation with memorization is negative left of ρ = v. That with "
            "difficulty is least at ρ = v. Towards ρ = 1 both go to 1 if v is "
            "below 1, to −1 if it is above.",
            values=RHOS,
            rows=(-0.45, 0.0, 0.3, 0.5, 0.7, 0.9, 0.95),
            x=Axis("correlation ρ of H and M", -0.5, 1, (-0.5, 0, 0.5, 1), 2),
            y=CORRELATION,
            curves=CORRELATIONS,
            uses=("rho", "ratio"),
        ),
    ),
    readout="With ρ = {rho} and v = {ratio}, CSL has the correlation {memorization} with "
    "memorization and {difficulty} with held-out difficulty.",
)

FIGURES = {
    "privacy-bound": PRIVACY,
    "standard-error": NETWORKS,
    "learning-time": THRESHOLD,
    "twins": TWINS,
    "proxy-correlation": PROXY,
}
