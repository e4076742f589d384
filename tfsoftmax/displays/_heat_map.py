"""The scores of a grid of two parameters as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.displays._candidates import best, is_number, levels, texts_of
from tfsoftmax.displays._figures import BEST, label_ticks

MOST_TICKS = 16  # labels along an axis, before they overlap


def is_grid(candidates: Sequence[Mapping[str, Any]], x: str, y: str) -> bool:
    """Whether the values of both parameters were combined in a grid."""
    pairs = [params for params in candidates if x in params and y in params]
    return len(pairs) > max(len(levels(pairs, name)[0]) for name in (x, y))


def suits_heat_map(candidates: Sequence[Mapping[str, Any]], x: str, y: str) -> bool:
    """Whether cells show candidates better than points: in a grid, or of categories."""
    (x_values, columns), (y_values, rows) = (levels(candidates, n) for n in (x, y))
    cells = {cell for cell in zip(columns, rows, strict=True) if None not in cell}
    is_full = len(cells) == len(x_values) * len(y_values)
    has_scale = any(all(map(is_number, values)) for values in (x_values, y_values))
    return is_full or is_grid(candidates, x, y) or not has_scale


def grid_of(
    candidates: Sequence[Mapping[str, Any]], scores: NDArray[Any], x: str, y: str
) -> tuple[NDArray[Any], list[Any], list[Any]]:
    """Return the best score of each pair of values, NaN if there is none.

    Returns
    -------
    grid : ndarray of shape (n_y, n_x)
    x_values, y_values : list of length n_x and n_y
    """
    x_values, columns = levels(candidates, x)
    y_values, rows = levels(candidates, y)
    grid = np.full((len(y_values), len(x_values)), np.nan)
    for row, column, score in zip(rows, columns, scores, strict=True):
        if row is not None and column is not None:
            grid[row, column] = np.fmax(grid[row, column], score)
    return grid, x_values, y_values


def figure_size(
    x_values: Sequence[Any], y_values: Sequence[Any]
) -> tuple[float, float]:
    """Return the width and height of a figure for a heat map, in inches."""
    n_x, n_y = (min(len(values), MOST_TICKS) for values in (x_values, y_values))
    for_labels = 0.08 * max(map(len, texts_of(y_values)))
    # Below three inches there is no room for the label of the colour scale.
    return 1.8 + for_labels + 0.75 * n_x, max(3.0, 1.4 + 0.5 * n_y)


def draw_heat_map(
    ax: Any,
    grid: NDArray[Any],
    x_values: Sequence[Any],
    y_values: Sequence[Any],
    *,
    cmap: Any,
    annotate: bool | None,
) -> tuple[Any, NDArray[Any] | None]:
    """Draw a heat map, and a frame around the best cells.

    Returns
    -------
    image : matplotlib AxesImage
    texts : ndarray of Text of the grid's shape, or None
    """
    image = ax.imshow(grid, cmap=cmap, origin="lower", aspect="auto")
    for axis, values in (("x", x_values), ("y", y_values)):
        step = -(-len(values) // MOST_TICKS)
        labels = texts_of(values)[::step]
        label_ticks(ax, axis, range(0, len(values), step), labels)
    for row, column in np.argwhere(best(grid)):
        _add_frame(ax, row, column)
    annotate = grid.size <= 100 if annotate is None else annotate
    return image, _write_scores(ax, image, grid) if annotate else None


def _add_frame(ax: Any, row: int, column: int) -> None:
    """Draw a frame around a cell."""
    from matplotlib.patches import Rectangle

    corner = (column - 0.5, row - 0.5)
    frame = Rectangle(corner, 1, 1, fill=False, edgecolor=BEST, lw=2.5)
    ax.add_patch(frame).set_clip_on(False)


def _write_scores(ax: Any, image: Any, grid: NDArray[Any]) -> NDArray[Any]:
    """Write each score in its cell, black on light cells and white on dark ones."""
    texts = np.full(grid.shape, None, dtype=object)
    colors = image.cmap(image.norm(grid))
    luminance = colors[..., :3] @ (0.299, 0.587, 0.114)
    for (row, column), score in np.ndenumerate(grid):
        if np.isfinite(score):
            color = "black" if luminance[row, column] > 0.5 else "white"
            texts[row, column] = ax.text(
                column, row, f"{score:.3f}", ha="center", va="center", color=color
            )
    return texts
