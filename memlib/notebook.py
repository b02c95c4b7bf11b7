"""What the labs need besides the library: a way to hand a number to the book's pages."""

from typing import Any


def glue(name: str, value: Any, display: bool = False) -> None:
    """Store a value in the running cell's output, so that a page of the book can quote it.

    The page quotes it with the role `num` and gets this number, never one typed by hand. Outside
    the book's environment (on Colab, say) myst_nb is missing, and this does nothing.

    Args:
        name: The key, unique within the lab.
        value: A number, a string or a matplotlib figure. Numbers are stored as plain Python
            numbers, floats with six significant digits: more would differ between processors.
        display: Also show the value below the cell.

    Example:
        >>> from memlib.notebook import glue
        >>> glue("share_memorized", 0.125)  # doctest: +SKIP
    """
    try:
        from myst_nb import glue as store
    except ModuleNotFoundError:
        return
    plain = value.item() if hasattr(value, "item") else value  # not "np.float64(0.4)"
    store(name, float(f"{plain:.6g}") if isinstance(plain, float) else plain, display=display)
