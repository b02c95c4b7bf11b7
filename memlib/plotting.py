"""Every figure of the book in one style that reads on light and on dark pages.

Backgrounds are transparent and text is a mid gray with a contrast of about 4 : 1 against white
and against the dark theme. Colors are those of Okabe & Ito, told apart by color-blind readers;
series also differ in marker or line style, so that no figure depends on color.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

from memlib.errors import EmptySelection, UnknownName, WrongShape
from memlib.runtime import whole_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from memlib.data import Dataset
    from memlib.membership import Roc

COLORS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "orange": "#E69F00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
}
GRAY = "#7a7f87"
_MARKERS = "osD^vP"
_LINES = ("-", "--", "-.", ":")

_RC: dict[Any, Any] = {
    "axes.edgecolor": GRAY,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": GRAY,
    "axes.prop_cycle": plt.cycler(color=list(COLORS.values())),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GRAY,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "figure.facecolor": "none",
    "font.size": 11,
    "grid.alpha": 0.25,
    "grid.color": GRAY,
    "legend.frameon": False,
    "legend.labelcolor": GRAY,
    "savefig.transparent": True,
    "text.color": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the book's figure style inside a `with` block; every function here does so itself."""
    # Load the backend first: a notebook's sets options then that leaving the context would undo.
    plt.draw_if_interactive()
    with plt.rc_context(_RC):
        yield


def color(index: int) -> str:
    """Return the color of the series with this index."""
    return list(COLORS.values())[index % len(COLORS)]


def image_grid(
    dataset: Dataset, ids: Sequence[int], captions: Sequence[str], *, columns: int = 6
) -> Figure:
    """Draw samples as a grid of images, each with a short caption above.

    Args:
        dataset: Where the samples are.
        ids: Ids of the samples, in reading order.
        captions: One caption per sample.
        columns: Images per row.

    Returns:
        The figure.

    Raises:
        EmptySelection: No sample is named.
        WrongShape: The numbers of ids and captions differ.
        UnknownIds: An id is not in the data set.
    """
    if len(ids) == 0:
        raise EmptySelection("ids", ids, "Name at least one sample.")
    if len(captions) != len(ids):
        raise WrongShape("captions", len(captions), f"Pass one caption for each of {len(ids)} ids.")
    columns = min(whole_number("columns", columns), len(ids))
    rows = -(-len(ids) // columns)
    images = dataset.select(dataset.positions(ids)).pixels().permute(0, 2, 3, 1).cpu().numpy()
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(1.15 * columns, 1.4 * rows), squeeze=False
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, image, caption in zip(axes.flat, images, captions, strict=False):
            axis.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set_title(caption, fontsize=9)
    return figure


def histogram(
    values: Mapping[str, np.ndarray], *, xlabel: str, bins: np.ndarray | int = 40, log: bool = False
) -> Figure:
    """Draw histograms of one or more arrays as step lines over common bins.

    Args:
        values: Arrays by legend label; NaN is left out.
        xlabel: Axis label with unit.
        bins: Bin edges or their number.
        log: Logarithmic counts.

    Returns:
        The figure.

    Raises:
        EmptySelection: There is no array.
    """
    if not values:
        raise EmptySelection("values", values, "Pass at least one array.")
    finite = {name: array[np.isfinite(array)] for name, array in values.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(finite.values())), bins)
    with style():
        figure, axis = plt.subplots(figsize=(6, 3.2))
        for index, (name, array) in enumerate(finite.items()):
            axis.hist(
                array,
                bins=list(edges),
                histtype="step",
                linewidth=1.8,
                linestyle=_LINES[index % len(_LINES)],
                label=name,
            )
        axis.set(xlabel=xlabel, ylabel="number of samples", yscale="log" if log else "linear")
        if len(finite) > 1:
            axis.legend()
    return figure


def lines(
    x: np.ndarray,
    series: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    band: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    dashed: Sequence[str] = (),
    log: str = "",
) -> Figure:
    """Draw one or more curves over a common axis, with bands where they are uncertain.

    Args:
        x: `(p,)` positions.
        series: `(p,)` values by legend label.
        xlabel: Axis label with unit.
        ylabel: Axis label with unit.
        band: Lower and upper ends `(p,)` of a shaded band, by the label of its series.
        dashed: Labels drawn dashed and without markers (theory, averages, thresholds).
        log: The logarithmic axes: "", "x", "y" or "xy".

    Returns:
        The figure.

    Raises:
        UnknownName: `band` or `dashed` names no series.
    """
    for name in [*(band or {}), *dashed]:
        if name not in series:
            raise UnknownName("band or dashed", name, f"The series are {', '.join(series)}.")
    with style():
        figure, axis = plt.subplots(figsize=(6, 3.4))
        for index, (name, y) in enumerate(series.items()):
            marker = "" if name in dashed else _MARKERS[index % len(_MARKERS)]
            axis.plot(
                x,
                y,
                label=name,
                color=color(index),
                marker=marker,
                markersize=4,
                linestyle="--" if name in dashed else "-",
            )
            if band and name in band:
                axis.fill_between(x, *band[name], color=color(index), alpha=0.2, linewidth=0)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        if "x" in log:
            axis.set_xscale("log")
            axis.set_xticks(x, [f"{value:g}" for value in x])
        if "y" in log:
            axis.set_yscale("log")
            low, high = axis.get_ylim()
            if high < 1e5 * low:  # else powers of ten
                axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        if len(series) > 1:
            _place_legend(axis)
    return figure


def _place_legend(axis: Axes) -> None:
    """Put the legend where it has most room, and above the axes if it covers a curve there too."""
    legend = axis.legend()
    figure = axis.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    lines = [line.get_transform().transform_path(line.get_path()) for line in axis.lines]
    bands = [c.get_transform().transform_path(p) for c in axis.collections for p in c.get_paths()]
    covered = any(line.intersects_bbox(box, filled=False) for line in lines)
    if covered or any(band.intersects_bbox(box) for band in bands):
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def binned_scatter(
    x: np.ndarray,
    y: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    bins: int = 12,
    diagonal: bool = False,
) -> Figure:
    """Draw the mean of `y` in equally filled bins of `x`, with bars of one standard deviation.

    The bars show the spread over samples, not the uncertainty of the mean; the cloud of samples
    lies faintly behind, since a binned line alone hides how weak a relation may be.

    Args:
        x: `(n,)` values.
        y: `(n,)` values by legend label, one panel each; samples whose `x` or `y` is not finite
            are left out of it.
        xlabel: Axis label with unit.
        ylabel: Axis label with unit.
        bins: Number of bins; equal neighbors merge.
        diagonal: Draw the line `y = x`.

    Returns:
        The figure.

    Raises:
        EmptySelection: There is no panel, or one without a finite pair.
        NotPositive: `bins` is below 1.
    """
    if not y:
        raise EmptySelection("y", y, "Pass at least one array.")
    quantiles = np.linspace(0, 1, whole_number("bins", bins) + 1)
    finite = {name: np.isfinite(x) & np.isfinite(values) for name, values in y.items()}
    for name, kept in finite.items():
        if not kept.any():
            raise EmptySelection("y", name, "Pass values that are finite where x is.")
    with style():
        figure, axes = plt.subplots(
            1, len(y), figsize=(3.6 * len(y) + 0.6, 3.3), squeeze=False, sharex=True
        )
        for index, (axis, (name, kept)) in enumerate(zip(axes.flat, finite.items(), strict=True)):
            across, up = x[kept], y[name][kept]
            edges = np.unique(np.quantile(across, quantiles))
            place = np.searchsorted(edges, across, side="right") - 1
            place = np.clip(place, 0, max(len(edges) - 2, 0))
            filled = np.unique(place)
            axis.scatter(across, up, s=4, alpha=0.12, color=GRAY, linewidths=0, rasterized=True)
            axis.errorbar(
                [across[place == b].mean() for b in filled],
                [up[place == b].mean() for b in filled],
                [up[place == b].std() for b in filled],
                color=color(index),
                marker=_MARKERS[index % len(_MARKERS)],
                markersize=5,
                capsize=2,
            )
            if diagonal:
                axis.axline((0, 0), slope=1, color=GRAY, linestyle="--", linewidth=1)
            axis.set(xlabel=xlabel, ylabel=ylabel if index == 0 else "", title=name)
    return figure


def by_value(x: Mapping[str, np.ndarray], y: np.ndarray, *, xlabel: str, ylabel: str) -> Figure:
    """Draw the mean of `y` at every value of a whole-number `x`, such as a learning time.

    The area of a point is proportional to the number of samples behind it, since means alone hide
    where the samples are; the bars show one standard deviation over these samples.

    Args:
        x: `(n,)` whole numbers by panel title.
        y: `(n,)` values, the same for all panels, or by panel title.
        xlabel: Axis label with unit.
        ylabel: Axis label with unit.

    Returns:
        The figure.

    Raises:
        EmptySelection: There is no panel.
        UnknownName: `y` has other titles than `x`.
        WrongShape: `x` and `y` differ in length.
    """
    if not x:
        raise EmptySelection("x", x, "Pass at least one array.")
    up = y if isinstance(y, Mapping) else dict.fromkeys(x, y)
    if set(up) != set(x):
        raise UnknownName("y", list(up), f"Pass the titles {', '.join(x)}.")
    for name, values in x.items():
        if len(values) != len(up[name]):
            fix = f"Pass one value for each of {len(up[name])}."
            raise WrongShape("x", f"{name}: {len(values)}", fix)
    with style():
        figure, axes = plt.subplots(
            1, len(x), figsize=(3.6 * len(x) + 0.6, 3.3), squeeze=False, sharey=up is not y
        )
        for index, (axis, (name, values)) in enumerate(zip(axes.flat, x.items(), strict=True)):
            places, counts = np.unique(values, return_counts=True)
            groups = [up[name][values == place] for place in places]
            means, spreads = [g.mean() for g in groups], [g.std() for g in groups]
            axis.errorbar(places, means, spreads, fmt="none", color=GRAY, alpha=0.6, capsize=2)
            axis.scatter(
                places, means, s=800 * counts / len(values) + 4, color=color(index), zorder=3
            )
            axis.margins(x=0.09)
            axis.set(xlabel=xlabel, ylabel=ylabel if index == 0 else "", title=name)
    return figure


def dots(
    table: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    xlabel: str,
    reference: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Draw repeated measurements as dots: one row per quantity, one color and marker per series.

    Args:
        table: Values over seeds, by series and then by row.
        xlabel: Axis label with unit.
        reference: Published values by series and row, drawn as open circles.

    Returns:
        The figure.

    Raises:
        EmptySelection: The table is empty.
    """
    if not table:
        raise EmptySelection("table", table, "Pass at least one series.")
    rows = list(dict.fromkeys(row for series in table.values() for row in series))
    height = {row: len(rows) - position for position, row in enumerate(rows)}
    with style():
        figure, axis = plt.subplots(figsize=(6.4, 0.9 + 0.42 * len(rows)))
        for index, (name, series) in enumerate(table.items()):
            shift = 0.14 * (index - (len(table) - 1) / 2)
            points = [(v, height[row] - shift) for row, values in series.items() for v in values]
            across, up = zip(*points, strict=True)
            axis.scatter(
                across,
                up,
                s=26,
                color=color(index),
                marker=_MARKERS[index % len(_MARKERS)],
                label=name,
            )
            published = (reference or {}).get(name, {})
            for row, value in published.items():
                axis.scatter(
                    value, height[row] - shift, s=60, facecolors="none", edgecolors=color(index)
                )
        axis.set_yticks([height[row] for row in rows], rows)
        axis.set(xlabel=xlabel, ylim=(0.4, len(rows) + 0.6))
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def image_pairs(
    pairs: Sequence[tuple[Dataset, int, Dataset, int]], captions: Sequence[str]
) -> Figure:
    """Draw pairs of samples from two data sets, one above the other.

    Args:
        pairs: (data set, id, data set, id): the upper and the lower sample of each pair.
        captions: One caption per pair.

    Returns:
        The figure.

    Raises:
        EmptySelection: There is no pair.
        WrongShape: The numbers of pairs and captions differ.
        UnknownIds: An id is not in its data set.
    """
    if not pairs:
        raise EmptySelection("pairs", pairs, "Pass at least one pair.")
    if len(captions) != len(pairs):
        raise WrongShape("captions", len(captions), f"Pass one caption for each of {len(pairs)}.")
    with style():
        figure, axes = plt.subplots(2, len(pairs), figsize=(1.4 * len(pairs), 3), squeeze=False)
        for column, ((upper, sample, lower, target), caption) in enumerate(
            zip(pairs, captions, strict=True)
        ):
            for axis, dataset, name in zip(
                axes[:, column], (upper, lower), (sample, target), strict=True
            ):
                image = dataset.select(dataset.positions([name])).pixels()[0].permute(1, 2, 0)
                axis.imshow(image.squeeze().cpu().numpy(), cmap="gray", vmin=0, vmax=1)
                axis.set_axis_off()
            axes[0, column].set_title(caption, fontsize=9)
    return figure


def against_bound(
    bound: Mapping[str, np.ndarray],
    value: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
) -> Figure:
    """Draw one dot per sample: a quantity against its upper bound, which no dot may exceed.

    Args:
        bound: `(n,)` positive bounds by panel title.
        value: `(n,)` positive values, with the same titles.
        xlabel: Axis label with unit; both axes are logarithmic.
        ylabel: Axis label with unit.

    Returns:
        The figure: per panel the dots, the line `value = bound`, and the forbidden side shaded.

    Raises:
        EmptySelection: There is no panel.
        UnknownName: The two have different titles.
    """
    if not bound:
        raise EmptySelection("bound", bound, "Pass at least one array.")
    if set(bound) != set(value):
        raise UnknownName("value", list(value), f"Pass the titles {', '.join(bound)}.")
    low, high = min(v.min() for v in value.values()), max(v.max() for v in value.values())
    with style():
        figure, axes = plt.subplots(
            1, len(bound), figsize=(3.3 * len(bound) + 0.5, 3.4), squeeze=False, sharey=True
        )
        for index, (axis, (name, x)) in enumerate(zip(axes.flat, bound.items(), strict=True)):
            axis.scatter(
                x,
                value[name],
                s=7,
                alpha=0.3,
                color=color(index),
                marker=_MARKERS[index % len(_MARKERS)],
                linewidths=0,
                rasterized=True,
            )
            edge = np.array([min(x.min(), low), max(x.max(), high)])
            axis.plot(edge, edge, color=GRAY, linestyle="--", linewidth=1.2)
            axis.fill_between(edge, edge, edge[1], color=GRAY, alpha=0.15, linewidth=0)
            axis.set(title=name, xlabel=xlabel)
            if x.max() < 100 * x.min():  # powers of ten would be too few
                axis.set_xscale("log", base=2)
                axis.xaxis.set_major_formatter("{x:g}")
            else:
                axis.set_xscale("log")
            if high < 1000 * low:
                axis.set_yscale("log", base=2)
                axis.yaxis.set_major_formatter("{x:g}")
            else:
                axis.set_yscale("log")
            axis.set(ylabel=ylabel if index == 0 else "", ylim=(0.8 * low, 1.4 * high))
    return figure


def roc_curves(curves: Mapping[str, Roc], *, least: float = 1e-4) -> Figure:
    """Draw the true-positive rate of attacks against their false-positive rate, both logarithmic.

    What counts is the left end: an attack that finds few members without false alarms is a breach,
    one that does a little better than chance on average is not (Carlini et al. 2022).

    Args:
        curves: Curves of `memlib.membership.roc` by legend label, with their bands.
        least: Lower end of both axes.

    Returns:
        The figure; the dashed line is chance.

    Raises:
        EmptySelection: There is no curve.
    """
    if not curves:
        raise EmptySelection("curves", curves, "Pass at least one curve.")
    with style():
        figure, axis = plt.subplots(figsize=(4.6, 4.2 + 0.25 * len(curves)))
        for index, (name, curve) in enumerate(curves.items()):
            axis.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                color=color(index),
                linestyle=_LINES[index % len(_LINES)],
                label=f"{name}, AUC {curve.auc:.2f}",
            )
            axis.fill_between(
                curve.false_positive_rate,
                curve.lower,
                curve.upper,
                color=color(index),
                alpha=0.2,
                linewidth=0,
            )
        chance = np.array([least, 1.0])
        axis.plot(chance, chance, color=GRAY, linestyle="--", linewidth=1, label="chance")
        axis.set(
            xscale="log",
            yscale="log",
            xlim=(least, 1),
            ylim=(least, 1),
            xlabel="false-positive rate",
            ylabel="true-positive rate",
        )
        figure.legend(loc="outside lower center")  # every corner inside belongs to a curve
    return figure
