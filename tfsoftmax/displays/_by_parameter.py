"""The scores of a search by the values of a parameter, one point for each candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.displays._candidates import best, is_number, levels, text_of
from tfsoftmax.displays._figures import BEST, COLORS

_MOST_TICKS = 6  # the values themselves label an axis if they are no more


def draw_by_parameter(
    panel: Any,
    candidates: Sequence[Mapping[str, Any]],
    scores: NDArray[Any],
    std: NDArray[Any] | None,
    name: str,
) -> dict[str, Any]:
    """Draw the scores of those candidates that have a parameter, by its value.

    Parameters
    ----------
    panel : matplotlib Axes
    candidates : sequence of dict, of length n_candidates
    scores : ndarray of shape (n_candidates,)
    std : ndarray of shape (n_candidates,) or None
        Drawn as error bars.
    name : str

    Returns
    -------
    artists : dict of str -> Artist
        By what they mean, for the legend. The points are always among them.
    """
    values, level_of = levels(candidates, name)
    has = np.array([level is not None for level in level_of])
    level = np.array([at for at in level_of if at is not None], dtype=np.intp)
    places = _set_axis(panel, values)
    x, y = places[level], scores[has]
    artists: dict[str, Any] = {}
    (artists["candidate"],) = panel.plot(
        x, y, "o", color=COLORS[0], alpha=0.6, markeredgewidth=0
    )
    if std is not None:
        bars = panel.errorbar(x, y, std[has], fmt="none", color=COLORS[0], capsize=3)
        artists["± standard deviation of the splits"] = bars
    is_grid = len(values) < len(level)
    if all(map(is_number, values)) and (is_grid or std is not None):
        highest = np.full(len(values), np.nan)
        np.fmax.at(highest, level, y)
        (line,) = panel.plot(places, highest, color=COLORS[0], linewidth=1.2)
        if is_grid:
            artists["best with this value"] = line
    at = best(scores)[has]
    ring = {"markersize": 11, "markeredgewidth": 2, "markerfacecolor": "none"}
    (artists["best candidate"],) = panel.plot(x[at], y[at], "o", color=BEST, **ring)
    return artists


def _set_axis(panel: Any, values: Sequence[Any]) -> NDArray[Any]:
    """Set the scale and the ticks of the horizontal axis; return where values lie."""
    if not all(map(is_number, values)):
        labels = list(map(text_of, values))
        is_tilted = sum(map(len, labels)) + 2 * len(labels) > 26
        tilt = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        panel.set_xticks(
            range(len(values)), labels, parse_math=False, **(tilt if is_tilted else {})
        )
        panel.set_xlim(-0.5, len(values) - 0.5)
        return np.arange(len(values))
    places = np.array([float(value) for value in values])
    positive = places[places > 0]
    if _is_logarithmic(positive) and (places >= 0).all():
        if len(positive) == len(places):
            panel.set_xscale("log")
        else:
            panel.set_xscale("symlog", linthresh=positive.min())
    if _have_room(panel.transData, places):
        panel.set_xticks(places, list(map(text_of, values)))
        panel.set_xticks([], minor=True)
    return places


def _is_logarithmic(values: NDArray[Any]) -> bool:
    """Whether positive values spread more evenly over a logarithmic axis."""
    if len(values) < 2 or values.max() < 10 * values.min():
        return False
    distances = []
    for scaled in (values, np.log(values)):
        middle = (np.median(scaled) - scaled.min()) / np.ptp(scaled)
        distances.append(abs(middle - 0.5))
    return distances[1] < distances[0]


def _have_room(transform: Any, places: NDArray[Any]) -> bool:
    """Whether a few values lie far enough apart to label each of them."""
    if not 1 <= len(places) <= _MOST_TICKS:
        return False
    if len(places) == 1:
        return True
    x = transform.transform(np.column_stack([places, places]))[:, 0]
    return bool(np.diff(x).min() > 0.12 * np.ptp(x))
