"""Shared by the displays: axes, legends, short names and picture shapes."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

# The colour-blind-safe palette of M. Okabe and K. Ito, "Color Universal Design", 2008,
# without yellow, which is too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
WRONG = "#D55E00"
BEST = "#D55E00"
_LEGEND = "tfsoftmax-legend"  # marks the legends of figures that the displays added


def check_matplotlib(display: type) -> None:
    """Raise an ImportError that explains what to do if matplotlib is missing."""
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{display.__name__} needs matplotlib, which could not be imported: "
            f"{error}. Install it with pip install matplotlib."
        ) from error


@dataclass(frozen=True)
class Panels:
    """Axes to draw on, and those with room for labels at the outer edges."""

    figure: Any
    axes: NDArray[Any]
    lowest: list[Any]
    leftmost: list[Any]


def panels(
    ax: Any,
    n_panels: int,
    n_cols: int | None,
    panel_size: tuple[float, float],
    beside: float = 0.0,
) -> Panels:
    """Create axes for some panels, row by row.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of Axes, or None
        None creates a figure. A single Axes is the panel; for several panels, it is
        hidden and its area is divided. Several Axes are used as they are.
    n_panels : int
    n_cols : int or None
        Number of panels per row; None means at most 5.
    panel_size : tuple of float
        Width and height of a panel in a new figure, in inches.
    beside : float, default=0.0
        Width of what is beside all panels of a new figure, in inches.

    Returns
    -------
    panels : Panels
        Axes that were passed are assumed to have room below.

    Raises
    ------
    ValueError
        If `ax` has the wrong number of Axes, or is a single Axes that can't be divided,
        or `n_cols` is not positive.
    """
    import matplotlib.pyplot as plt

    n_cols = (
        5 if n_cols is None else check_scalar(n_cols, "n_cols", Integral, min_val=1)
    )
    n_cols = min(n_cols, n_panels)
    n_rows = math.ceil(n_panels / n_cols)
    if ax is None:
        width, height = panel_size
        size = (n_cols * width + beside, n_rows * height)
        figure = plt.figure(figsize=size, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # inches
        grid = figure.add_gridspec(n_rows, n_cols)
    elif isinstance(ax, plt.Axes) and n_panels > 1:
        cell = ax.get_subplotspec()
        if cell is None:
            raise ValueError(
                "ax can't be divided into panels, since it isn't part of a grid. "
                "Create it with plt.subplots, or pass an array with one Axes per panel."
            )
        ax.set_axis_off()
        figure, grid = ax.figure, cell.subgridspec(n_rows, n_cols)
    else:
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != n_panels:
            raise ValueError(
                f"ax must be one Axes, or one for each of the {n_panels} panels; got "
                f"{len(axes)}."
            )
        cells = [(panel, panel.get_subplotspec()) for panel in axes]
        leftmost = [panel for panel, cell in cells if cell and cell.is_first_col()]
        return Panels(axes[0].figure, axes, list(axes), leftmost or list(axes))
    cells = [divmod(i, n_cols) for i in range(n_panels)]
    axes = np.array([figure.add_subplot(grid[i, j]) for i, j in cells])
    return Panels(figure, axes, list(axes[-n_cols:]), list(axes[::n_cols]))


def add_legend(
    panel: Any, handles: Sequence[Any], labels: list[str], *, outside: bool
) -> None:
    """Add a legend to a panel, or below all panels of a figure of ours.

    It replaces the legend of a display that was drawn on the same axes earlier.
    """
    figure = panel.figure
    ours = [legend for legend in figure.legends if legend.get_gid() == _LEGEND]
    for legend in ours:
        legend.remove()
    if outside:
        width = int(figure.get_figwidth() / 0.075)  # in characters
        lines = [textwrap.fill(label, width) for label in labels]
        n_cols = max(1, width // (max(map(len, labels)) + 6))
        legend = figure.legend(
            handles,
            lines,
            loc="outside lower center",
            ncols=min(n_cols, len(labels)),
            frameon=False,
        )
        legend.set_gid(_LEGEND)
        if not ours:  # the panels keep their height
            figure.draw_without_rendering()
            height = legend.get_window_extent().height / figure.dpi
            figure.set_figheight(figure.get_figheight() + height)
    else:
        lines = [textwrap.fill(label, 40, break_long_words=False) for label in labels]
        legend = panel.legend(handles, lines, fontsize="small", edgecolor="none")
        legend.set_in_layout(False)  # a wide one would squash the panels
    for text in legend.get_texts():
        text.set_parse_math(False)


def label_ticks(panel: Any, axis: str, places: Any, labels: Sequence[str]) -> None:
    """Label positions on an axis."""
    set_ticks = panel.set_xticks if axis == "x" else panel.set_yticks
    set_ticks(places, labels, parse_math=False)
    set_ticks([], minor=True)


def tilt_crowded_ticks(made: Panels, *, is_ours: bool) -> None:
    """Tilt the labels of `label_ticks` that touch on a horizontal axis.

    A figure of ours becomes higher by what they need, so that the panels keep their
    height.
    """
    from matplotlib.ticker import FixedLocator

    if is_ours:
        made.figure.draw_without_rendering()  # lays the panels out
    added = 0.0
    for panel in made.axes:
        texts = panel.get_xticklabels()
        boxes = [text.get_window_extent() for text in texts]
        gap = made.figure.dpi * 0.08
        is_crowded = any(left.x1 + gap > right.x0 for left, right in pairwise(boxes))
        if isinstance(panel.xaxis.get_major_locator(), FixedLocator) and is_crowded:
            for text in texts:
                text.set(rotation=30, ha="right", rotation_mode="anchor")
            heights = [text.get_window_extent().height for text in texts]
            added = max(added, max(heights) - max(box.height for box in boxes))
    if is_ours and added:
        n_rows = made.axes[0].get_subplotspec().get_gridspec().nrows
        height = made.figure.get_figheight() + n_rows * added / made.figure.dpi
        made.figure.set_figheight(height)


def upright_label(text: str, axes: Sequence[Any] | NDArray[Any]) -> str:
    """Return the label of a vertical axis, on several lines if longer than the axes."""
    boxes = [panel.get_window_extent() for panel in axes]
    height = max(box.y1 for box in boxes) - min(box.y0 for box in boxes)
    width = max(20, int(height / axes[0].figure.dpi / 0.085))  # in characters
    return textwrap.fill(text, width, break_on_hyphens=False)


def short_names(names: Iterable[str], longest: int) -> dict[str, str]:
    """Shorten names to `longest` characters, or to more where they would be equal."""
    short = {name: _shorten(name, longest) for name in names}
    counts = Counter(short.values())
    alike = [name for name, text in short.items() if counts[text] > 1]
    return short | short_names(alike, longest * 3 // 2) if alike else short


def _shorten(name: str, longest: int) -> str:
    """Replace a long name's middle by …, since names mostly differ at either end."""
    if len(name) <= longest:
        return name
    n_first = longest // 2
    return f"{name[:n_first]}…{name[len(name) - (longest - n_first - 1) :]}"


def set_title(panel: Any, title: Any, width: float) -> None:
    """Set a title, smaller and on several lines if longer than `width` inches."""
    text, style = str(title), {}
    if len(text) > width / 0.1:
        text, style = textwrap.fill(text, int(width / 0.075)), {"fontsize": "medium"}
    panel.set_title(text, parse_math=False, **style)


def check_image_shape(
    image_shape: Sequence[int] | None, n_features: int, *, allow_colors: bool = False
) -> tuple[int, ...]:
    """Validate the shape of pictures; by default, they are square."""
    allowed = "(height, width)" + (" or (height, width, 3)" if allow_colors else "")
    if image_shape is None:
        side = math.isqrt(n_features)
        if side**2 != n_features:
            raise ValueError(
                f"image_shape must be passed, as {allowed}: {n_features} features "
                "don't form a square picture."
            )
        return (side, side)
    shape = tuple(image_shape) if np.iterable(image_shape) else ()
    is_colored = allow_colors and len(shape) == 3 and shape[2] == 3
    is_positive = all(isinstance(size, int | np.integer) and size > 0 for size in shape)
    if not is_positive or not (len(shape) == 2 or is_colored):
        raise ValueError(
            f"image_shape must be {allowed}, positive integers; got {image_shape!r}."
        )
    if math.prod(shape) != n_features:
        product = " x ".join(map(str, shape))
        raise ValueError(
            f"image_shape={image_shape!r} needs {product} = {math.prod(shape)} "
            f"features; there are {n_features}."
        )
    return shape


def finite_range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the smallest and largest finite values, or (0, 1) if there are none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def hide_ticks(ax: Any) -> None:
    """Remove the ticks from axes, and make their frame pale."""
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_color("0.8")
