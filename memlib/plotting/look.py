"""The one style of all figures: it reads on light and on dark pages.

Backgrounds are transparent and text is a mid gray with a contrast of about 4 : 1 against white
and against the dark theme. Colors are those of Okabe & Ito, told apart by color-blind readers;
series also differ in marker or line style, so that no figure depends on color.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt

COLORS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "orange": "#E69F00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
}
GRAY = "#7a7f87"
MARKERS = "osD^vP"
LINES = ("-", "--", "-.", ":")

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
    """Return the color of a series, as a hexadecimal code.

    Args:
        index: Its number from 0; the colors repeat after six.
    """
    return list(COLORS.values())[index % len(COLORS)]
