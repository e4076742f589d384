"""Bars of the strongest weights of a class, labelled by feature name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.displays._figures import finite_range, panels, set_title, short_names

# Near the ends of RdBu_r, the colour map of the pictures: red raises a logit.
_RAISES, _LOWERS = "#B2182B", "#2166AC"
_WIDTH = 2.1  # of a panel without names, in inches
_LONGEST_NAME = 40


def strongest(weights: NDArray[Any], n: int) -> NDArray[np.intp]:
    """Return the indices of the n largest weights by absolute value, descending.

    If there are no more than n weights, all are kept in their order.
    """
    if len(weights) <= n:
        return np.arange(len(weights))
    first: NDArray[np.intp] = np.argsort(-np.abs(weights), kind="stable")[:n]
    first = first[weights[first] != 0]
    return first[np.argsort(-weights[first], kind="stable")]


def draw_bars(
    weights: NDArray[Any],
    class_names: Sequence[str],
    feature_names: Sequence[str],
    *,
    label: str,
    n_bars: int,
    limit: float | None,
    ax: Any,
    n_cols: int | None,
) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    """Draw one panel of bars per class, on the same scale.

    Parameters
    ----------
    weights : ndarray of shape (n_panels, n_features)
    class_names : sequence of str of length n_panels
    feature_names : sequence of str of length n_features
    label : str
        The label of the horizontal axes.
    n_bars : int
        The maximum number of bars per panel.
    limit : float or None
        The scale ranges from −limit to limit; None fits it to the bars.
    ax, n_cols
        As in `panels`.

    Returns
    -------
    figure : matplotlib Figure
    axes : ndarray of shape (n_panels,) of Axes
    bars : ndarray of shape (n_panels,) of BarContainer
    """
    n_panels, n_features = weights.shape
    shown = [strongest(row, n_bars) for row in weights]
    drawn = (feature_names[j] for indices in shown for j in indices)
    short = short_names(drawn, _LONGEST_NAME)
    names = [[short[feature_names[j]] for j in indices] for indices in shown]
    for_names = 0.07 * max(map(len, short.values()), default=0)
    are_shared = n_features <= n_bars  # the names are at the left only
    width = _WIDTH + 0.2 + (0 if are_shared else for_names)
    made = panels(
        ax,
        n_panels,
        (3 if n_panels < 10 else 4) if n_cols is None else n_cols,
        panel_size=(width, 0.7 + 0.21 * min(n_bars, n_features)),
        beside=for_names if are_shared else 0.0,
    )
    heights = [row[indices] for row, indices in zip(weights, shown, strict=True)]
    ends = (-limit, limit) if limit else _ends(np.concatenate(heights))
    bars = np.empty(n_panels, dtype=object)
    for i, (panel, title) in enumerate(zip(made.axes, class_names, strict=True)):
        colors = np.where(heights[i] > 0, _RAISES, _LOWERS)
        places = range(len(shown[i]))
        bars[i] = panel.barh(places, heights[i], color=colors, height=0.7)
        panel.axvline(0, color="0.3", linewidth=0.8)
        panel.set_yticks(places, names[i], parse_math=False, fontsize="small")
        set_title(panel, title, _WIDTH)
        panel.set(xlim=ends, ylim=(min(n_bars, n_features) - 0.4, -0.6))
        _style(panel)
    for panel in made.lowest:
        panel.set_xlabel(label, fontsize="small")
    if are_shared:
        for panel in set(made.axes) - set(made.leftmost):
            panel.tick_params(labelleft=False)
    else:
        most = max(map(len, shown))
        made.axes[0].set_ylabel(f"strongest {most} of {n_features:,}", color="0.4")
    return made.figure, made.axes, bars


def _ends(heights: NDArray[Any]) -> tuple[float, float]:
    """Return the ends of a scale with room for all bars and for zero."""
    low, high = finite_range(np.append(heights, 0.0))
    room = 0.05 * (high - low) or 1.0
    return low - room * (low < 0 or high == low), high + room * (high >= 0)


def _style(panel: Any) -> None:
    """Style a panel of bars: a pale grid and no frame."""
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize="small")
    panel.grid(visible=True, axis="x", color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.locator_params(axis="x", nbins=5)
    panel.spines[["top", "right", "left"]].set_visible(False)
