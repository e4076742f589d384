"""SearchDisplay: a grid's scores as a heat map."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.displays._figures import (
    WRONG,
    as_array,
    check_axes,
    check_flag,
    check_matplotlib,
    check_real_array,
    color_map,
    is_number,
)
from tfsoftmax.validation.errors import errors_name as naming

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class SearchDisplay:
    """The mean scores of a search over two parameters, as a heat map.

    Where other parameters were searched, too, a cell shows the best of its
    candidates; of a candidate that was scored several times, as in halving searches,
    the last score counts. A cell without a score is blank; the best ones are framed.

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
        The scale, where it was asked for.

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
        x_values: ArrayLike,
        y_values: ArrayLike,
        *,
        x: str,
        y: str,
        score_name: str = "score",
    ) -> None:
        self.scores = as_array(scores, "scores")
        with naming("x_values"):
            self.x_values = list(x_values)  # type: ignore[arg-type]
        with naming("y_values"):
            self.y_values = list(y_values)  # type: ignore[arg-type]
        self.x, self.y = x, y
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
            The parameter across. Of a pipeline's parameter the last part of the name is
            enough, where only one ends in it.
        y : str, default="alpha"
            The parameter upward, named likewise.
        metric : str, default=None
            Which score to show; None is the only one, or of several the one that
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
            If it is no estimator or has no `cv_results_`, `ax` is no Axes, or
            `colorbar` or `annotate` is neither True nor False.
        ValueError
            If `x` or `y` was not searched, both are the same, `metric` is none of the
            scores, or `cmap` is no colour map.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        with naming("search"):
            check_is_fitted(search)
        results = getattr(search, "cv_results_", None)
        if results is None:
            raise TypeError(
                "SearchDisplay shows the cv_results_ of a search; "
                f"{type(search).__name__} has none."
            )
        score_name = _metric(search, results, metric)
        means = np.asarray(results[f"mean_test_{score_name}"], dtype=float)
        across, upward = _parameter(results, x, "x"), _parameter(results, y, "y")
        if across == upward:
            raise ValueError(f"x and y must be two parameters; both are {across!r}.")
        x_values, columns = _levels(results, across)
        y_values, rows = _levels(results, upward)
        scores = np.full((len(y_values), len(x_values)), np.nan)
        # A halving search scores its candidates in rounds, which differ in a resource.
        rounds = {getattr(search, "resource", None)} - {across, upward}
        last = {
            repr([item for item in params.items() if item[0] not in rounds]): i
            for i, params in enumerate(results["params"])
        }
        for i in last.values():
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
            Whether to write the scores in the cells; None does up to 100 cells.

        Returns
        -------
        display : SearchDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `ax` is no Axes, `colorbar` or `annotate` is neither True nor False, or
            `cmap` is neither a name nor a Colormap.
        ValueError
            If `scores` is not an array of real numbers with a row for each of
            `y_values` and a column for each of `x_values`, or no colour map is named
            `cmap`.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        import matplotlib.pyplot as plt

        self._check()
        check_flag(colorbar, "colorbar")
        check_flag(annotate, "annotate", may_be_none=True)
        cmap = color_map(cmap)
        n_y, n_x = self.scores.shape
        if ax is None:
            size = (2.2 + 0.75 * min(n_x, 16), 1.4 + 0.5 * min(n_y, 16))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        check_axes(ax)
        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = ax.imshow(self.scores, cmap=cmap, origin="lower", aspect="auto")
        ax.set_xticks(
            range(n_x), [_text(value) for value in self.x_values], parse_math=False
        )
        ax.set_yticks(
            range(n_y), [_text(value) for value in self.y_values], parse_math=False
        )
        ax.set(xlabel=self.x, ylabel=self.y)
        annotate = self.scores.size <= 100 if annotate is None else annotate
        self.text_ = self._annotate() if annotate else None
        best = np.fmax.reduce(self.scores, axis=None)
        for row, column in np.argwhere(self.scores == best):
            corner = (column - 0.5, row - 0.5)
            frame = plt.Rectangle(corner, 1, 1, fill=False, edgecolor=WRONG, lw=2.5)
            ax.add_patch(frame).set_clip_on(False)
        self.colorbar_ = None
        if colorbar:
            label = f"mean {self.score_name}, cross-validated"
            self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax, label=label)
        return self

    def _check(self) -> None:
        check_real_array(self, "scores", "(n_y, n_x)", 2)
        n_y, n_x = self.scores.shape
        for name, n, of in (("y_values", n_y, "rows"), ("x_values", n_x, "columns")):
            if len(getattr(self, name)) != n:
                raise ValueError(
                    f"{name} must have an entry for each of the {n} {of} of scores; "
                    f"got {len(getattr(self, name))}."
                )

    def _annotate(self) -> NDArray[Any]:
        """Write each score in its cell, in a colour that stands out from the cell's."""
        texts = np.full(self.scores.shape, None, dtype=object)
        colors = self.image_.cmap(self.image_.norm(self.scores))
        luminance = colors[..., :3] @ (0.299, 0.587, 0.114)
        for (row, column), score in np.ndenumerate(self.scores):
            if np.isfinite(score):
                color = "black" if luminance[row, column] > 0.5 else "white"
                texts[row, column] = self.ax_.text(
                    column, row, f"{score:.3f}", ha="center", va="center", color=color
                )
        return texts


def _metric(search: Any, results: Any, metric: str | None) -> str:
    prefix = "mean_test_"
    names: list[str] = [key[len(prefix) :] for key in results if key.startswith(prefix)]
    if metric is None and len(names) == 1:
        return names[0]
    wanted = getattr(search, "refit", None) if metric is None else metric
    if not isinstance(wanted, str) or wanted not in names:
        raise ValueError(f"metric must be one of {names}; got {metric!r}.")
    return str(wanted)


def _parameter(results: Any, name: str, argument: str) -> str:
    """Find the column of a searched parameter, by its name or by its last part."""
    prefix = "param_"
    searched: list[str] = [
        key[len(prefix) :] for key in results if key.startswith(prefix)
    ]
    if isinstance(name, str) and name in searched:
        return name
    ending = [key for key in searched if key.endswith(f"__{name}")]
    if len(ending) != 1:
        raise ValueError(
            f"{argument} must be one of the parameters searched, {searched}; got "
            f"{name!r}" + (f", which is the end of {ending}." if ending else ".")
        )
    return ending[0]


def _levels(results: Any, name: str) -> tuple[list[Any], list[int | None]]:
    """Find the values of a parameter, and the place of each candidate's among them.

    Numbers are sorted, anything else stays in the order tried. A candidate without the
    parameter has no place.
    """
    own = [params.get(name, _ABSENT) for params in results["params"]]
    keys = [value if is_number(value) else repr(value) for value in own]
    values = {k: v for k, v in zip(keys, own, strict=True) if v is not _ABSENT}
    if all(is_number(value) for value in values.values()):
        values = dict(sorted(values.items()))
    places = {key: place for place, key in enumerate(values)}
    return list(values.values()), [places.get(key) for key in keys]


_ABSENT = object()


def _text(value: Any) -> str:
    if not is_number(value):
        return str(value)
    try:
        return f"{float(value):g}"
    except OverflowError:
        # A Decimal may be larger than any float.
        return f"{Decimal(int(value)).normalize():.6g}"
