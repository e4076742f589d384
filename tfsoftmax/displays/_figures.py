"""What the displays share: axes to draw on, and the shape of a picture."""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

# M. Okabe and K. Ito's colours, which colour-blind people can tell apart, less the
# yellow, which is too pale for a line, from "Color Universal Design", 2008.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
WRONG = "#D55E00"


def check_matplotlib(display: type) -> None:
    """Raise an ImportError that says what to do where matplotlib is missing."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{display.__name__} draws with matplotlib, which could not be imported: "
            f"{error}. Install it with pip install 'tfsoftmax[plots]'."
        ) from error


def panels(
    ax: Any, n_panels: int, n_cols: Any, panel_size: tuple[float, float]
) -> tuple[Any, NDArray[Any]]:
    """Make axes for some panels, row by row.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of Axes, or None
        None makes a figure. One Axes is hidden and its place divided into panels.
        Several are taken as they are.
    n_panels : int
    n_cols : int or None
        Panels in a row; None is at most 5.
    panel_size : tuple of float
        Width and height of a panel in a new figure, in inches.

    Returns
    -------
    figure : matplotlib Figure
    axes : ndarray of shape (n_panels,)
    """
    import matplotlib.pyplot as plt

    if n_cols is None:
        n_cols = min(n_panels, 5)
    if not is_positive_integer(n_cols):
        raise ValueError(f"n_cols must be a positive integer; got {n_cols!r}.")
    n_cols = int(min(n_cols, n_panels))
    n_rows = math.ceil(n_panels / n_cols)
    if ax is None:
        width, height = panel_size
        size = (n_cols * width, n_rows * height)
        figure = plt.figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # inches
        grid = figure.add_gridspec(n_rows, n_cols)
    elif isinstance(ax, plt.Axes):
        place = ax.get_subplotspec()
        if place is None:
            raise ValueError(
                "ax can't be divided into panels, for it isn't part of a grid. Make it "
                "with plt.subplots, or pass an array of axes, one for each panel."
            )
        ax.set_axis_off()
        figure, grid = ax.figure, place.subgridspec(n_rows, n_cols)
    else:
        given = np.asarray(ax, dtype=object).ravel()
        if len(given) != n_panels:
            raise ValueError(
                f"ax must be one Axes, or one for each of the {n_panels} panels; got "
                f"{len(given)}."
            )
        return given[0].figure, given
    cells = [divmod(i, n_cols) for i in range(n_panels)]
    return figure, np.array([figure.add_subplot(grid[i, j]) for i, j in cells])


def check_image_shape(
    image_shape: Any, n_features: int, *, may_have_colors: bool = False
) -> tuple[int, ...]:
    """Validate the shape of pictures of some features; by default it is a square."""
    allowed = "(height, width)" + (" or (height, width, 3)" if may_have_colors else "")
    if image_shape is None:
        side = math.isqrt(n_features)
        if side**2 != n_features:
            raise ValueError(
                f"image_shape must be passed, as {allowed}: {n_features} features "
                "don't make a square picture."
            )
        return (side, side)
    shape = tuple(image_shape) if np.iterable(image_shape) else ()
    is_shape = all(map(is_positive_integer, shape)) and (
        len(shape) == 2 or (may_have_colors and len(shape) == 3 and shape[2] == 3)
    )
    if not is_shape:
        raise ValueError(
            f"image_shape must be {allowed}, positive integers; got {image_shape!r}."
        )
    if math.prod(shape) != n_features:
        product = " x ".join(map(str, shape))
        raise ValueError(
            f"image_shape={image_shape!r} is for {product} = {math.prod(shape)} "
            f"features, and there are {n_features}."
        )
    return tuple(map(int, shape))


def is_positive_integer(value: Any) -> bool:
    """Tell whether a value can count something."""
    return _is_number(value) and isinstance(value, Integral) and int(value) > 0


def positive_number(value: Any) -> float | None:
    """Give the end of a scale as a float; None for what can't be one."""
    # Fractions, integers of 400 digits and NumPy's bytes and half floats are numbers,
    # too: compared and negated as they are they would overflow.
    try:
        number = float(value) if _is_number(value) else math.nan
    except OverflowError:
        return None
    # A scale that begins at the negative of it must have a length, too.
    return number if 0 < number <= sys.float_info.max / 4 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.timedelta64)


def check_lengths(display: Any, first: str, *others: str) -> None:
    """Check that what a display shows has a panel at least, and as many of each."""
    n_panels = np.shape(getattr(display, first))[:1]
    if n_panels in ((), (0,)):
        raise ValueError(f"{first} must hold something to show; got none.")
    for name in others:
        if np.shape(getattr(display, name))[:1] != n_panels:
            raise ValueError(
                f"{name} must have an entry for each of the {n_panels[0]} {first}."
            )


def finite_range(values: NDArray[Any]) -> tuple[float, float]:
    """Give the least and the greatest of the finite values; (0, 1) without any."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def without_ticks(ax: Any) -> None:
    """Have axes show a picture only."""
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_color("0.8")
