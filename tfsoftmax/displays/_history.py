"""HistoryDisplay: the course of training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfsoftmax.displays._figures import COLORS, check_matplotlib, panels
from tfsoftmax.displays._parts import take_apart
from tfsoftmax.inputs import naming
from tfsoftmax.utils.sklearn_compat import check_pandas_support

if TYPE_CHECKING:
    import pandas as pd

# The name of a single estimator that got none; alone, it explains nothing.
_UNNAMED = "TFSoftmaxClassifier"

_LABELS = {
    "loss": "cross-entropy",
    "accuracy": "accuracy",
    "learning_rate": "learning rate",
}


class HistoryDisplay:
    """Loss and accuracy by epoch, of one estimator or of several to compare.

    Training is drawn solid, held-out rows dashed. Where the learning rate changes from
    epoch to epoch, it has a panel of its own.

    It is made by :meth:`from_estimator`.

    Parameters
    ----------
    histories : dict of str -> DataFrame
        For each name `history_` of a :class:`~tfsoftmax.TFSoftmaxClassifier`: a row
        for each epoch, with the columns `loss` and `accuracy`; `learning_rate` but for
        L-BFGS; and `val_loss` and `val_accuracy` where rows were held out.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (2,) or (3,) of matplotlib Axes
        Loss, accuracy and, where it changes, learning rate.
    lines_ : dict of str -> dict of str -> matplotlib Line2D
        For each name the lines by column, of those columns that were drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> from tfsoftmax.displays import HistoryDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> sgd = TFSoftmaxClassifier(rescale=1 / 16).fit(X, y)
    >>> adam = TFSoftmaxClassifier(rescale=1 / 16, optimizer="adam").fit(X, y)
    >>> display = HistoryDisplay.from_estimator({"SGD": sgd, "Adam": adam})
    """

    def __init__(self, histories: Mapping[str, pd.DataFrame]) -> None:
        with naming("histories", AttributeError):
            self.histories = {name: one.copy() for name, one in histories.items()}

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Any = None
    ) -> HistoryDisplay:
        """Show the course of one fit, or of several.

        Parameters
        ----------
        estimator : fitted estimator, dict of str -> estimator, or list of estimators
            A :class:`~tfsoftmax.TFSoftmaxClassifier`, a `Pipeline` that ends in one, or
            a search, which stands for its best estimator. Several are named by the
            keys of a dict; those in a list by the parameters in which they differ.
        name : str, default=None
            The name of a single estimator; None is that of its class.
        ax : matplotlib Axes or array-like of Axes, default=None
            As in :meth:`plot`.

        Returns
        -------
        display : HistoryDisplay

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        TypeError
            If an estimator is none or has no `history_`, `name` is not a str, or `ax`
            holds something else than Axes.
        ValueError
            If there is none to show, a search has kept no estimator, `name` is given
            for several, or `ax` is as :meth:`plot` refuses it.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a str or None; got {name!r}.")
        if isinstance(estimator, Mapping | list | tuple):
            if name is not None:
                raise ValueError("name is for one estimator; pass several as a dict.")
            if not estimator:
                raise ValueError(
                    "HistoryDisplay needs at least one estimator; got none."
                )
        if isinstance(estimator, Mapping):
            classifiers = {str(n): _trained(e) for n, e in estimator.items()}
            if len(classifiers) < len(estimator):
                raise ValueError(
                    "estimator must not name two estimators alike; got "
                    f"{list(map(str, estimator))}."
                )
        elif isinstance(estimator, list | tuple):
            several = [_trained(e) for e in estimator]
            classifiers = dict(zip(_names(several), several, strict=True))
        else:
            single = _trained(estimator)
            classifiers = {name or type(single).__name__: single}
        return cls({n: c.history_ for n, c in classifiers.items()}).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> HistoryDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Two axes, for loss and accuracy, or three, for the learning rate, too; those
            of another display (`axes_`) add to its curves. One Axes has its place
            divided into panels. None makes a figure.

        Returns
        -------
        display : HistoryDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `histories` holds something else than DataFrames, or `ax` something else
            than Axes.
        ValueError
            If there is no history, one has no column `loss` or `accuracy`, or `ax` has
            another number of axes than there are panels, or one that is not part of a
            grid.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        _check_histories(self.histories)
        columns = list(_LABELS)
        given = 1 if ax is None else np.size(np.asarray(ax, dtype=object))
        if given == 2 or (given == 1 and not self._rate_changes()):
            columns.remove("learning_rate")
        self.figure_, self.axes_ = panels(
            ax, len(columns), len(columns), panel_size=(3.6, 3.0)
        )
        self.lines_: dict[str, dict[str, Any]] = {name: {} for name in self.histories}
        for panel, column in zip(self.axes_, columns, strict=True):
            self._draw(panel, column)
        _explain(self.axes_[0])
        return self

    def _rate_changes(self) -> bool:
        return any(
            "learning_rate" in history and history["learning_rate"].nunique() > 1
            for history in self.histories.values()
        )

    def _draw(self, panel: Any, column: str) -> None:
        from matplotlib.ticker import MaxNLocator

        longest = max(len(history) for history in self.histories.values())
        marker = "." if longest <= 20 else ""
        if not panel.lines:
            panel.set_prop_cycle(color=COLORS)
        for name, history in self.histories.items():
            if column not in history:
                panel.plot([], [])  # which takes this one's colour
                continue
            epochs, values = history.index, history[column]
            (line,) = panel.plot(epochs, values, marker=marker, label=str(name))
            self.lines_[name][column] = line
            held_out = f"val_{column}"
            if held_out in history:
                (self.lines_[name][held_out],) = panel.plot(
                    epochs,
                    history[held_out],
                    linestyle="--",
                    color=line.get_color(),
                    label=f"_{held_out}",
                )
        panel.set(xlabel="epoch", ylabel=_LABELS[column])
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        panel.grid(visible=True, color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        if column == "learning_rate":
            panel.set_yscale("log")


def _check_histories(histories: Mapping[str, Any]) -> None:
    pd = check_pandas_support("HistoryDisplay")
    if not histories:
        raise ValueError("histories must hold something to show; got none.")
    for name, history in histories.items():
        if not isinstance(history, pd.DataFrame):
            raise TypeError(
                f"histories must hold DataFrames; that of {name!r} is a "
                f"{type(history).__name__}."
            )
        missing = [column for column in ("loss", "accuracy") if column not in history]
        if missing:
            raise ValueError(
                "histories must have the columns loss and accuracy; that of "
                f"{name!r} has no {' and no '.join(missing)}."
            )
        drawn = {*_LABELS, *(f"val_{column}" for column in _LABELS)}
        for column in drawn.intersection(history.columns):
            with naming("histories"):
                values = np.asarray(history[column], dtype=float)
            if values.ndim != 1:
                raise ValueError(
                    f"histories must have each column once; that of {name!r} has "
                    f"several named {column}."
                )
        with naming("histories"):
            np.asarray(history.index, dtype=float)


def _trained(estimator: Any) -> Any:
    _, classifier = take_apart(estimator)
    check_pandas_support("HistoryDisplay")
    if not hasattr(classifier, "history_"):
        raise TypeError(
            "HistoryDisplay shows the history_ of a TFSoftmaxClassifier; "
            f"{type(classifier).__name__} has none."
        )
    return classifier


def _names(classifiers: Sequence[Any]) -> list[str]:
    """Name classifiers by the parameters in which they differ, and by their place."""
    params = [classifier.get_params(deep=False) for classifier in classifiers]
    differing = [
        name for name in params[0] if len({repr(p.get(name)) for p in params}) > 1
    ]
    names = [", ".join(f"{n}={p.get(n)!r}" for n in differing) for p in params]
    if not differing:
        names = [type(classifier).__name__ for classifier in classifiers]
    unique = len(set(names)) == len(names)
    return names if unique else [f"{i}: {n}" for i, n in enumerate(names, 1)]


def _explain(panel: Any) -> None:
    """Add the legend: names by colour, and what solid and dashed mean."""
    from matplotlib.lines import Line2D

    handles, labels = panel.get_legend_handles_labels()
    has_held_out = any(line.get_linestyle() == "--" for line in panel.lines)
    if labels == [_UNNAMED]:
        handles, labels = [], []
    if has_held_out:
        for style, label in (("-", "training"), ("--", "held out")):
            handles.append(Line2D([], [], color="0.35", linestyle=style))
            labels.append(label)
    if handles:
        for text in panel.legend(handles, labels, frameon=False).get_texts():
            text.set_parse_math(False)
