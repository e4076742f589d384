"""What the displays share: axes to draw on, checks, and the shape of a picture."""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.validation.errors import errors_name as naming

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

    Raises
    ------
    TypeError
        If `ax` holds something else than Axes.
    ValueError
        If `ax` has another number of Axes, one twice, or one that can't be divided,
        or `n_cols` is not a positive integer.
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
        check_axes(ax)
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
        for one in given:
            check_axes(one)
        if len(given) != n_panels:
            raise ValueError(
                f"ax must be one Axes, or one for each of the {n_panels} panels; got "
                f"{len(given)}."
            )
        if len(set(given)) < n_panels:
            raise ValueError("ax must hold other Axes for each panel; one is repeated.")
        return given[0].figure, given
    cells = [divmod(i, n_cols) for i in range(n_panels)]
    return figure, np.array([figure.add_subplot(grid[i, j]) for i, j in cells])


def check_axes(ax: Any) -> None:
    """Check that something is to be drawn on."""
    import matplotlib.pyplot as plt

    if not isinstance(ax, plt.Axes) or hasattr(ax, "get_zlim"):
        raise TypeError(f"ax must be matplotlib Axes of two dimensions; got {ax!r}.")


def color_map(cmap: Any) -> Any:
    """Find a colour map by its name; None is matplotlib's default."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import Colormap

    if not (cmap is None or isinstance(cmap, str | Colormap)):
        raise TypeError(f"cmap must be a str, a Colormap or None; got {cmap!r}.")
    with naming("cmap"):
        return plt.get_cmap(cmap)


def check_flag(value: Any, name: str, *, may_be_none: bool = False) -> None:
    """Check that an argument is a bool, and not only taken for one."""
    if not (isinstance(value, bool | np.bool_) or (may_be_none and value is None)):
        allowed = "True, False or None" if may_be_none else "True or False"
        raise TypeError(f"{name} must be {allowed}; got {value!r}.")


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
    with naming("image_shape"):
        shape = tuple(image_shape) if np.iterable(image_shape) else ()
        got = repr(image_shape)  # which an integer may be too long for
    is_shape = all(map(is_positive_integer, shape)) and (
        len(shape) == 2 or (may_have_colors and len(shape) == 3 and shape[2] == 3)
    )
    if not is_shape:
        raise ValueError(
            f"image_shape must be {allowed}, positive integers; got {got}."
        )
    if math.prod(shape) != n_features:
        product = " x ".join(map(str, shape))
        raise ValueError(
            f"image_shape={got} is for {product} = {math.prod(shape)} "
            f"features, and there are {n_features}."
        )
    return tuple(map(int, shape))


def is_positive_integer(value: Any) -> bool:
    """Tell whether a value can count something."""
    return is_number(value) and isinstance(value, Integral) and int(value) > 0


def positive_number(value: Any) -> float | None:
    """Give the end of a scale as a float; None for what can't be one."""
    # Fractions, integers of 400 digits and NumPy's bytes and half floats are numbers,
    # too: compared and negated as they are they would overflow.
    try:
        number = float(value) if is_number(value) else math.nan
    except OverflowError:
        return None
    # A scale that begins at the negative of it must have a length, too.
    return number if 0 < number <= sys.float_info.max / 4 else None


def is_number(value: Any) -> bool:
    """Tell whether a value is a real number, which neither bools nor durations are."""
    return isinstance(value, Real) and not isinstance(value, bool | np.timedelta64)


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Make an array of what a display is to show: a copy."""
    with naming(name):
        return np.array(values)


def check_real_array(display: Any, name: str, shape: str, *n_dimensions: int) -> None:
    """Check that what a display shows is an array of real numbers, of such a shape."""
    values = getattr(display, name)
    if values.ndim not in n_dimensions or values.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be real numbers of shape {shape}; got dtype {values.dtype}, "
            f"shape {values.shape}."
        )
    if 0 in values.shape:
        raise ValueError(f"{name} must hold something to show; got none.")


def check_lengths(display: Any, first: str, *others: str) -> None:
    """Check that what a display shows has as many of each."""
    n_panels = len(getattr(display, first))
    for name in others:
        values = getattr(display, name)
        # What a list holds, np.shape might fail to make an array of.
        is_row = isinstance(values, list) or values.ndim == 1
        if not is_row or len(values) != n_panels:
            raise ValueError(
                f"{name} must have an entry for each of the {n_panels} {first}."
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
