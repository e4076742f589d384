"""SearchDisplay: a grid's scores as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.displays._figures import WRONG, check_matplotlib

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class SearchDisplay:
    """The mean scores of a search over two parameters, as a heat map.

    Where other parameters were searched, too, a cell shows the best of its
    candidates; of a candidate that was scored several times, as in halving searches,
    the last score counts. A cell without a score is blank; the best cells are framed.

    It is made by :meth:`from_estimator`.

    Parameters
    ----------
    scores : array-like of shape (n_y, n_x)
        The mean score at each pair of values; NaN where there is none.
    x_values, y_values : array-like of shape (n_x,) and (n_y,)
        The parameters' values.
    x, y : str
        The parameters' names.
    score_name : str, default="score"
        What the scores are.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    ax_ : matplotlib Axes
        The axes drawn on.
    image_ : matplotlib AxesImage
        The heat map.
    text_ : ndarray of shape (n_y, n_x) of matplotlib Text, or None
        The scores as written in the cells.
    colorbar_ : matplotlib Colorbar or None
        The scale; None with ``colorbar=False``.

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
        scores: ArrayLike,
        x_values: Sequence[Any] | NDArray[Any],
        y_values: Sequence[Any] | NDArray[Any],
        *,
        x: str,
        y: str,
        score_name: str = "score",
    ) -> None:
        self.scores = scores
        self.x_values = x_values
        self.y_values = y_values
        self.x = x
        self.y = y
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        x: str = "learning_rate",
        y: str = "alpha",
        metric: str | None = None,
        ax: Any = None,
        cmap: str | Colormap | None = "viridis",
        colorbar: bool = True,
        annotate: bool | None = None,
    ) -> SearchDisplay:
        """Show the mean test scores of a fitted search.

        Parameters
        ----------
        search : fitted search, as TFSoftmaxGridSearchCV or GridSearchCV
            Anything with `cv_results_`.
        x : str, default="learning_rate"
            The parameter on the horizontal axis. Of a pipeline's parameter, the last
            part of the name is enough where no other parameter ends in it.
        y : str, default="alpha"
            The parameter on the vertical axis, named likewise.
        metric : str, default=None
            Which score to show; None is the only score, or of several the score that
            `refit` names.
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
            If it is no estimator or has no `cv_results_`.
        ValueError
            If `x` or `y` was not searched, both are the same, `metric` is none of the
            scores, or no colour map is named `cmap`.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        check_is_fitted(search)
        if not hasattr(search, "cv_results_"):
            raise TypeError(
                "SearchDisplay shows the cv_results_ of a search; "
                f"{type(search).__name__} has none."
            )
        results = search.cv_results_
        score_name = _metric(search, metric)
        means = np.asarray(results[f"mean_test_{score_name}"], dtype=float)
        x_parameter = _parameter(results, x, "x")
        y_parameter = _parameter(results, y, "y")
        if x_parameter == y_parameter:
            raise ValueError(f"x and y must differ; both are {x_parameter!r}.")
        x_values, columns = _levels(results, x_parameter)
        y_values, rows = _levels(results, y_parameter)
        scores = np.full((len(y_values), len(x_values)), np.nan)
        # A halving search scores its candidates in rounds, which differ in a resource.
        resource = {getattr(search, "resource", None)} - {x_parameter, y_parameter}
        last_round = {
            repr([item for item in params.items() if item[0] not in resource]): i
            for i, params in enumerate(results["params"])
        }
        for i in last_round.values():
            row, column = rows[i], columns[i]
            if row is not None and column is not None:
                scores[row, column] = np.fmax(scores[row, column], means[i])
        display = cls(scores, x_values, y_values, x=x, y=y, score_name=score_name)
        return display.plot(ax=ax, cmap=cmap, colorbar=colorbar, annotate=annotate)

    def plot(
        self,
        *,
        ax: Any = None,
        cmap: str | Colormap | None = "viridis",
        colorbar: bool = True,
        annotate: bool | None = None,
    ) -> SearchDisplay:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            The colour map; None is matplotlib's default.
        colorbar : bool, default=True
            Whether to show the scale.
        annotate : bool, default=None
            Whether to write the scores in the cells; None does so up to 100 cells.

        Returns
        -------
        display : SearchDisplay
            The display itself.

        Raises
        ------
        ValueError
            If no colour map is named `cmap`.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        import matplotlib.pyplot as plt

        scores = np.asarray(self.scores)
        n_y, n_x = scores.shape
        if ax is None:
            size = (2.2 + 0.75 * min(n_x, 16), 1.4 + 0.5 * min(n_y, 16))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = ax.imshow(scores, cmap=cmap, origin="lower", aspect="auto")
        ax.set_xticks(range(n_x), list(map(_text, self.x_values)), parse_math=False)
        ax.set_yticks(range(n_y), list(map(_text, self.y_values)), parse_math=False)
        ax.set(xlabel=self.x, ylabel=self.y)
        annotate = scores.size <= 100 if annotate is None else annotate
        self.text_ = self._annotate(scores) if annotate else None
        best = np.fmax.reduce(scores, axis=None)
        for row, column in np.argwhere(scores == best):
            corner = (column - 0.5, row - 0.5)
            frame = plt.Rectangle(corner, 1, 1, fill=False, edgecolor=WRONG, lw=2.5)
            ax.add_patch(frame).set_clip_on(False)
        self.colorbar_ = None
        if colorbar:
            label = f"mean {self.score_name}, cross-validated"
            self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax, label=label)
        return self

    def _annotate(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Write each score in its cell, black on light cells and white on dark ones."""
        texts = np.full(scores.shape, None, dtype=object)
        colors = self.image_.cmap(self.image_.norm(scores))
        luminance = colors[..., :3] @ (0.299, 0.587, 0.114)
        for (row, column), score in np.ndenumerate(scores):
            if np.isfinite(score):
                color = "black" if luminance[row, column] > 0.5 else "white"
                texts[row, column] = self.ax_.text(
                    column, row, f"{score:.3f}", ha="center", va="center", color=color
                )
        return texts


def _metric(search: Any, metric: str | None) -> str:
    """Return the name of the score to show."""
    names = _names_after("mean_test_", search.cv_results_)
    if metric is None and len(names) == 1:
        return names[0]
    name = getattr(search, "refit", None) if metric is None else metric
    if name not in names:
        raise ValueError(f"metric must be one of {names}; got {metric!r}.")
    return str(name)


def _parameter(results: dict[str, Any], name: str, argument: str) -> str:
    """Return the full name of a searched parameter."""
    searched = _names_after("param_", results)
    if name in searched:
        return name
    matches = [full for full in searched if full.endswith(f"__{name}")]
    if len(matches) != 1:
        raise ValueError(
            f"{argument} must be one of the parameters searched, {searched}; got "
            f"{name!r}" + (f", which is the end of {matches}." if matches else ".")
        )
    return matches[0]


def _names_after(prefix: str, results: dict[str, Any]) -> list[str]:
    """Return what follows a prefix in those columns of the results that have it."""
    return [key.removeprefix(prefix) for key in results if key.startswith(prefix)]


def _levels(results: dict[str, Any], name: str) -> tuple[list[Any], list[int | None]]:
    """Return the values of a parameter, and the position of each candidate's value.

    Numbers are sorted, other values stay in the order tried. The position is None for
    a candidate without the parameter.
    """
    tried = [params[name] for params in results["params"] if name in params]
    values = {_key(value): value for value in tried}
    if all(map(_is_number, tried)):
        values = dict(sorted(values.items()))
    positions = {key: position for position, key in enumerate(values)}
    return list(values.values()), [
        positions[_key(params[name])] if name in params else None
        for params in results["params"]
    ]


def _key(value: Any) -> Any:
    """Return the number, or the text of a value that may not be hashable."""
    return value if _is_number(value) else repr(value)


def _is_number(value: Any) -> bool:
    """Whether a value is a real number, which a bool is not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """Return the label of a tick."""
    return f"{float(value):g}" if _is_number(value) else str(value)
