"""Figures of whole distributions and courses: histograms, lines, dots, ROC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator

from memlib.errors import EmptySelection, UnknownName
from memlib.plotting.look import GRAY, LINES, MARKERS, color, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from memlib.membership import Roc


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
                linestyle=LINES[index % len(LINES)],
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
            marker = "" if name in dashed else MARKERS[index % len(MARKERS)]
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
                marker=MARKERS[index % len(MARKERS)],
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
                linestyle=LINES[index % len(LINES)],
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
