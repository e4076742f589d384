"""The scores of a search by the values of a parameter, one point per candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.displays._candidates import best, is_number, levels, texts_of
from tfsoftmax.displays._figures import BEST, COLORS, label_ticks

_MOST_TICKS = 6  # up to as many values are the tick labels
_RING = {"markersize": 12, "markeredgewidth": 2, "markerfacecolor": "none"}


def draw_by_parameter(
    panel: Any,
    candidates: Sequence[Mapping[str, Any]],
    scores: NDArray[Any],
    std: NDArray[Any] | None,
    name: str,
) -> tuple[Any, dict[str, Any]]:
    """Draw the scores of the candidates that have a parameter, by its value.

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
    points : Line2D
    artists : dict of str -> Artist
        By label, for the legend.
    """
    values, level_of = levels(candidates, name)
    has = np.array([level is not None for level in level_of])
    level = np.array([at for at in level_of if at is not None], dtype=np.intp)
    places = _set_axis(panel, "x", values)
    x, y = places[level], scores[has]
    artists: dict[str, Any] = {}
    if std is None:
        style = {"alpha": 0.6, "markeredgewidth": 0}
        (points,) = panel.plot(x, y, "o", color=COLORS[0], **style)
    else:
        bars = panel.errorbar(x, y, std[has], fmt="o", color=COLORS[0], capsize=3)
        points, *_ = bars
        artists["mean ± standard deviation"] = bars
    is_grid = len(values) < len(level)
    if all(map(is_number, values)) and (is_grid or std is not None):
        highest = np.full(len(values), np.nan)
        np.fmax.at(highest, level, y)
        (line,) = panel.plot(places, highest, color=COLORS[0], linewidth=1.2)
        if is_grid:
            artists["best with this value"] = line
    at = best(scores)[has]
    (artists["best candidate"],) = panel.plot(x[at], y[at], "o", color=BEST, **_RING)
    return points, artists


def draw_by_two_parameters(
    panel: Any,
    candidates: Sequence[Mapping[str, Any]],
    scores: NDArray[Any],
    names: Sequence[str],
    cmap: Any,
) -> Any:
    """Draw candidates by two parameters, coloured by score.

    Returns
    -------
    points : matplotlib PathCollection
    """
    places, has = [], np.isfinite(scores)
    for axis, name in zip("xy", names, strict=True):
        values, level_of = levels(candidates, name)
        at = _set_axis(panel, axis, values)
        has &= [level is not None for level in level_of]
        places.append(np.array([np.nan if i is None else at[i] for i in level_of]))
    x, y = (at[has] for at in places)
    points = panel.scatter(x, y, c=scores[has], cmap=cmap, s=70, edgecolors="0.4")
    at = best(scores)[has]
    panel.plot(x[at], y[at], "o", color=BEST, **_RING)
    return points


def _set_axis(panel: Any, axis: str, values: Sequence[Any]) -> NDArray[Any]:
    """Set the scale and the ticks of an axis; return the positions of the values."""
    labels = texts_of(values)
    if not all(map(is_number, values)):
        places = np.arange(len(values))
        label_ticks(panel, axis, places, labels)
        panel.set(**{f"{axis}lim": (-0.5, len(values) - 0.5)})
        return places
    places = np.array([float(value) for value in values])
    positive = places[places > 0]
    scaled = places
    if _is_logarithmic(positive) and (places >= 0).all():
        set_scale = panel.set_xscale if axis == "x" else panel.set_yscale
        if len(positive) == len(places):
            set_scale("log")
        else:
            set_scale("symlog", linthresh=positive.min())
        scaled = np.log(np.maximum(places, positive.min() / 10))
    are_exact = np.allclose([float(label) for label in labels], places, 1e-6, 0.0)
    if are_exact and _have_room(scaled):  # values drawn at random are not exact
        label_ticks(panel, axis, places, labels)
    return places


def _is_logarithmic(values: NDArray[Any]) -> bool:
    """Whether positive values are spread more evenly on a logarithmic axis."""
    if len(values) < 2 or values.max() < 10 * values.min():
        return False
    distances = []
    for scaled in (values, np.log(values)):
        middle = (np.median(scaled) - scaled.min()) / np.ptp(scaled)
        distances.append(abs(middle - 0.5))
    return bool(distances[1] <= distances[0])


def _have_room(places: NDArray[Any]) -> bool:
    """Whether there are few enough values, far enough apart, to label each of them."""
    if not 1 <= len(places) <= _MOST_TICKS:
        return False
    return len(places) == 1 or bool(np.diff(places).min() > 0.12 * np.ptp(places))
