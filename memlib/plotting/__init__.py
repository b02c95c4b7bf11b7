"""Every figure of the book in one style that reads on light and on dark pages."""

from memlib.plotting.curves import dots, histogram, lines, roc_curves
from memlib.plotting.images import image_grid, image_pairs
from memlib.plotting.look import COLORS, GRAY, color, style
from memlib.plotting.scatter import against_bound, binned_scatter, by_value

__all__ = [
    "COLORS",
    "GRAY",
    "against_bound",
    "binned_scatter",
    "by_value",
    "color",
    "dots",
    "histogram",
    "image_grid",
    "image_pairs",
    "lines",
    "roc_curves",
    "style",
]
