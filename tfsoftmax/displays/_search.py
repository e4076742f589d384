"""SearchDisplay: the scores of a search by parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.displays._by_parameter import draw_by_parameter, draw_by_two_parameters
from tfsoftmax.displays._candidates import (
    full_name,
    last_rounds,
    metric_name,
    score_name,
    searched_parameters,
    short_name,
    varied_parameters,
)
from tfsoftmax.displays._figures import (
    add_legend,
    check_matplotlib,
    finite_range,
    panels,
    tilt_crowded_ticks,
    upright_label,
)
from tfsoftmax.displays._heat_map import (
    draw_heat_map,
    figure_size,
    grid_of,
    is_grid,
    suits_heat_map,
)

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class SearchDisplay:
    """Mean scores of a search, by the parameters searched.

    A grid of two parameters is drawn as a heat map. If more parameters were searched,
    each cell shows the best of its candidates. Cells without a score are blank, and the
    best cells are framed. Two parameters whose values were drawn at random are drawn as
    points, with their scores as colours.

    Any other search has one panel per parameter, with a point for each candidate that
    has the parameter and a ring around the best. If several candidates share numeric
    values, a line connects the best score at each value. A single parameter has error
    bars of one standard deviation over the splits.

    Numeric axes are logarithmic if that spreads the values more evenly.

    If a candidate was scored several times, as in halving searches, its last score
    counts.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    candidates : sequence of dict, of length n_candidates
        The parameters of each candidate.
    scores : array-like of shape (n_candidates,)
        The mean score of each candidate; NaN if there is none.
    x, y : str, default=None
        The full names of the parameters to show: `x` alone for a single panel, both for
        a heat map. None shows those that vary.
    std : array-like of shape (n_candidates,), default=None
        The standard deviations of the scores; None draws no error bars.
    score_name : str, default="score"
        The name of the scores, for instance ``"accuracy"``.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels; a heat map is one.
    image_ : matplotlib AxesImage or None
        The heat map.
    text_ : ndarray of shape (n_y, n_x) of matplotlib Text, or None
        The scores written in the cells of a heat map.
    colorbar_ : matplotlib Colorbar or None
        The colour scale; None with ``colorbar=False`` and in plots without colours.
    points_ : ndarray of shape (n_panels,) of Line2D, or PathCollection, or None
        The points of each panel; for two parameters, coloured by score; None for a heat
        map.

    See Also
    --------
    sklearn.model_selection.ValidationCurveDisplay : Training and test scores as a
        function of one parameter.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
    >>> from tfsoftmax.displays import SearchDisplay
    >>> grid = {"learning_rate": [0.01, 0.1, 1.0], "alpha": [0.0, 0.001]}
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16)
    >>> search = TFSoftmaxGridSearchCV(clf, grid).fit(X, y)
    >>> display = SearchDisplay.from_estimator(search)
    """

    def __init__(
        self,
        candidates: Sequence[Mapping[str, Any]],
        scores: ArrayLike,
        *,
        x: str | None = None,
        y: str | None = None,
        std: ArrayLike | None = None,
        score_name: str = "score",
    ) -> None:
        self.candidates = candidates
        self.scores = scores
        self.x = x
        self.y = y
        self.std = std
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        x: str | None = None,
        y: str | None = None,
        metric: str | None = None,
        ax: Any = None,
        cmap: str | Colormap | None = "viridis",
        colorbar: bool = True,
        annotate: bool | None = None,
    ) -> SearchDisplay:
        """Show the mean test scores of a fitted search.

        Parameters
        ----------
        search : fitted search, such as TFSoftmaxGridSearchCV or GridSearchCV
            Any search with `cv_results_`.
        x : str, default=None
            The parameter on the horizontal axis. For a parameter of a pipeline, the
            last part of its name is enough if it is unambiguous. None shows all
            parameters that vary.
        y : str, default=None
            The parameter on the vertical axis of a heat map, named in the same way.
        metric : str, default=None
            The name of the score to show; None means the only score or, with several
            scores, the one named by `refit`.
        ax, cmap, colorbar, annotate
            As in :meth:`plot`.

        Returns
        -------
        display : SearchDisplay

        Raises
        ------
        NotFittedError
            If `search` is not fitted.
        TypeError
            If `search` is not an estimator or has no `cv_results_`.
        ValueError
            If `x` or `y` was not searched, both are the same, `y` is passed without
            `x`, `metric` is not one of the scores, no parameter was searched, or an
            argument of :meth:`plot` is invalid.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        check_is_fitted(search)
        if not hasattr(search, "cv_results_"):
            raise TypeError(
                "SearchDisplay needs a search with cv_results_; "
                f"{type(search).__name__} has no cv_results_."
            )
        results = search.cv_results_
        column = metric_name(search, metric)
        x, y = _axes_of(searched_parameters(results), x, y)
        resource = {getattr(search, "resource", None)} - {x, y}
        candidates, rows = last_rounds(results["params"], resource)
        mean, std = (
            np.asarray(results[f"{of}_test_{column}"], dtype=float)[rows]
            for of in ("mean", "std")
        )
        name = score_name(search, column)
        display = cls(candidates, mean, x=x, y=y, std=std, score_name=name)
        return display.plot(ax=ax, cmap=cmap, colorbar=colorbar, annotate=annotate)

    def plot(
        self,
        *,
        ax: Any = None,
        cmap: str | Colormap | None = "viridis",
        colorbar: bool = True,
        annotate: bool | None = None,
    ) -> SearchDisplay:
        """Draw the heat map, or one panel per parameter.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            One Axes, whose area is divided if there are several panels, or one Axes per
            panel. None creates a figure.
        cmap : str or Colormap, default="viridis"
            The colour map of the scores; None means matplotlib's default.
        colorbar : bool, default=True
            Whether to show the colour scale.
        annotate : bool, default=None
            Whether to write the scores in the cells of a heat map; None does so for at
            most 100 cells.

        Returns
        -------
        display : SearchDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `ax` has the wrong number of axes, or is a single Axes that is not part
            of a grid; if no parameter was searched; or if there is no colour map named
            `cmap`.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        check_consistent_length(self.candidates, self.scores, self.std)
        self.image_: Any = None
        self.text_: NDArray[Any] | None = None
        self.points_: Any = None
        self.colorbar_: Any = None
        names = [name for name in (self.x, self.y) if name is not None]
        is_pair = len(names) == 2
        if not names:
            names = varied_parameters(self.candidates)
            is_pair = len(names) == 2 and is_grid(self.candidates, *names)
        if not names:
            raise ValueError(
                "SearchDisplay needs at least one searched parameter; this search has "
                "none."
            )
        if is_pair:
            x, y = names
            self._draw_pair(x, y, ax, cmap, colorbar, annotate)
        else:
            self._draw_panels(names, ax)
        return self

    def _draw_pair(
        self, x: str, y: str, ax: Any, cmap: Any, colorbar: bool, annotate: bool | None
    ) -> None:
        """Draw the scores as colours by both parameters, as a heat map or points."""
        candidates, scores = self.candidates, np.asarray(self.scores, dtype=float)
        grid, x_values, y_values = grid_of(candidates, scores, x, y)
        is_heat_map = suits_heat_map(candidates, x, y)
        size = figure_size(x_values, y_values) if is_heat_map else (5.4, 4.0)
        made = panels(ax, 1, None, panel_size=size)
        self.figure_, self.axes_ = made.figure, made.axes
        (panel,) = self.axes_
        if is_heat_map:
            self.image_, self.text_ = draw_heat_map(
                panel, grid, x_values, y_values, cmap=cmap, annotate=annotate
            )
        else:
            self.points_ = draw_by_two_parameters(
                panel, candidates, scores, (x, y), cmap
            )
        panel.set(xlabel=self._label(x), ylabel=self._label(y))
        if colorbar:
            colored = self.image_ if is_heat_map else self.points_
            self.colorbar_ = self.figure_.colorbar(
                colored, ax=panel, label=self._score_label(made.axes)
            )
        tilt_crowded_ticks(made, is_ours=ax is None)

    def _draw_panels(self, names: Sequence[str], ax: Any) -> None:
        """Draw the scores by each parameter, on the same scale in all panels."""
        scores = np.asarray(self.scores, dtype=float)
        is_alone = len(varied_parameters(self.candidates)) == 1
        std = np.asarray(self.std) if is_alone and self.std is not None else None
        size = (4.8, 3.4) if len(names) == 1 else (3.0, 2.8)
        made = panels(ax, len(names), min(len(names), 4), panel_size=size)
        self.figure_, self.axes_ = made.figure, made.axes
        self.points_ = np.empty(len(names), dtype=object)
        artists: dict[str, Any] = {}
        reach = np.array([scores, scores]) + (0 if std is None else [-std, std])
        low, high = finite_range(reach)
        room = 0.06 * (high - low) or 0.01
        for i, (panel, name) in enumerate(zip(self.axes_, names, strict=True)):
            self.points_[i], drawn = draw_by_parameter(
                panel, self.candidates, scores, std, name
            )
            artists |= drawn
            panel.set(xlabel=self._label(name), ylim=(low - room, high + room))
            panel.grid(visible=True, color="0.9", linewidth=0.8)
            panel.set_axisbelow(True)
            panel.spines[["top", "right"]].set_visible(False)
        for panel in set(self.axes_) - set(made.leftmost):
            panel.tick_params(labelleft=False)
        for panel in made.leftmost:
            panel.set_ylabel(self._score_label([panel]))
        tilt_crowded_ticks(made, is_ours=ax is None)
        labels = list(artists)
        add_legend(made.axes[0], list(artists.values()), labels, outside=ax is None)

    def _label(self, name: str) -> str:
        """Return the label of a parameter."""
        return short_name({n for params in self.candidates for n in params}, name)

    def _score_label(self, axes: Sequence[Any] | NDArray[Any]) -> str:
        """Return the label of the scores, beside some axes."""
        return upright_label(f"mean cross-validated {self.score_name}", axes)


def _axes_of(
    searched: Sequence[str], x: str | None, y: str | None
) -> tuple[str | None, str | None]:
    """Return the full names of the parameters to show."""
    if x is None:
        if y is not None:
            raise ValueError(f"y={y!r} needs x, the parameter on the horizontal axis.")
        return None, None
    x = full_name(searched, x, "x")
    if y is None:
        return x, None
    y = full_name(searched, y, "y")
    if x == y:
        raise ValueError(f"x and y must differ; both are {x!r}.")
    return x, y
