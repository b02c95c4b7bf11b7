"""Figures of one value per sample against another: in bins, by whole numbers, under a bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from memlib.errors import EmptySelection, UnknownName, WrongShape
from memlib.plotting.look import GRAY, MARKERS, color, style
from memlib.runtime import whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
                marker=MARKERS[index % len(MARKERS)],
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
                marker=MARKERS[index % len(MARKERS)],
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
