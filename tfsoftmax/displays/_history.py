"""HistoryDisplay: training metrics by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfsoftmax.displays._figures import COLORS, add_legend, check_matplotlib, panels
from tfsoftmax.displays._parts import take_apart
from tfsoftmax.utils.sklearn_compat import check_pandas_support

if TYPE_CHECKING:
    import pandas as pd

# The name of a single estimator if the user passes none; it needs no legend.
_UNNAMED = "TFSoftmaxClassifier"

# More letters per name, or more names, in a legend would hide the curves.
_LONGEST_NAME, _MOST_NAMES = 24, 5
_MOST_DOTS = 20  # a longer curve has no dots at its epochs

_LABELS = {
    "loss": "cross-entropy",
    "accuracy": "accuracy",
    "learning_rate": "learning rate",
}


class HistoryDisplay:
    """Loss and accuracy by epoch, of one or several estimators.

    Solid lines show the training rows, dashed lines the held-out rows; a dot marks the
    epoch that early stopping kept. A learning rate that changes between epochs is drawn
    in a third panel. For L-BFGS, the horizontal axis shows iterations instead of
    epochs.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    histories : dict of str -> DataFrame
        Names, and for each the `history_` of a :class:`~tfsoftmax.TFSoftmaxClassifier`:
        one row per epoch, with the columns `loss` and `accuracy`; `learning_rate`,
        except for L-BFGS; `val_loss` and `val_accuracy` if rows were held out; and
        `kept` after early stopping.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (2,) or (3,) of matplotlib Axes
        The panels: loss, accuracy and, if it changes, learning rate.
    lines_ : dict of str -> dict of str -> matplotlib Line2D
        For each name, the lines drawn, by column.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> from tfsoftmax.displays import HistoryDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> sgd = TFSoftmaxClassifier(optimizer="sgd").fit(X, y)
    >>> adam = TFSoftmaxClassifier().fit(X, y)
    >>> display = HistoryDisplay.from_estimator({"SGD": sgd, "Adam": adam})
    """

    def __init__(self, histories: Mapping[str, pd.DataFrame]) -> None:
        self.histories = histories

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, ax: Any = None
    ) -> HistoryDisplay:
        """Show the training history of one or several estimators.

        Parameters
        ----------
        estimator : fitted estimator, dict of str -> estimator, or list of estimators
            A :class:`~tfsoftmax.TFSoftmaxClassifier`, a `Pipeline` that ends in it, or
            a search, whose best estimator is shown. A dict names its estimators by its
            keys; estimators in a list are named by the parameters in which they differ.
        name : str, default=None
            The name of a single estimator; None means the name of its class.
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
            If an object is not an estimator or has no `history_`.
        ValueError
            If there is no estimator to show, a search has no best estimator, `name` is
            passed with several estimators, or `ax` is invalid.
        ImportError
            If matplotlib or pandas is missing.
        """
        check_matplotlib(cls)
        check_pandas_support("HistoryDisplay")
        if isinstance(estimator, Mapping | list | tuple):
            if name is not None:
                raise ValueError(
                    "name must be None for several estimators; to name them, pass a "
                    "dict whose keys are the names."
                )
            if not estimator:
                raise ValueError("HistoryDisplay needs an estimator; got none.")
        if isinstance(estimator, Mapping):
            classifiers = {str(key): _classifier(e) for key, e in estimator.items()}
        elif isinstance(estimator, list | tuple):
            several = [_classifier(e) for e in estimator]
            classifiers = dict(zip(_names(several), several, strict=True))
        else:
            single = _classifier(estimator)
            classifiers = {name or type(single).__name__: single}
        return cls({n: c.history_ for n, c in classifiers.items()}).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> HistoryDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Two axes, for loss and accuracy, or three, to include the learning rate. On
            the `axes_` of another display, its curves stay visible. The area of a
            single Axes is divided into panels. None creates a figure.

        Returns
        -------
        display : HistoryDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `ax` has the wrong number of axes, or is a single Axes that is not part
            of a grid.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        columns = list(_LABELS)
        n_axes = np.asarray(ax, dtype=object).size
        if n_axes == 2 or (n_axes == 1 and not self._rate_changes()):
            columns.remove("learning_rate")
        made = panels(ax, len(columns), len(columns), panel_size=(3.6, 3.0))
        self.figure_, self.axes_ = made.figure, made.axes
        self.lines_: dict[str, dict[str, Any]] = {name: {} for name in self.histories}
        for panel, column in zip(self.axes_, columns, strict=True):
            self._draw(panel, column)
        _add_legend(self.axes_[0], is_ours=ax is None)
        return self

    def _rate_changes(self) -> bool:
        """Whether any learning rate differs between epochs."""
        return any(
            "learning_rate" in history and history["learning_rate"].nunique() > 1
            for history in self.histories.values()
        )

    def _draw(self, panel: Any, column: str) -> None:
        """Draw a column of all histories, and the same column of held-out rows."""
        from matplotlib.ticker import MaxNLocator

        units = _units(panel, [h for h in self.histories.values() if column in h])
        if not panel.lines:
            panel.set_prop_cycle(color=_colors(len(self.histories)))
        for name, history in self.histories.items():
            if column not in history:
                panel.plot([], [])  # takes this history's colour from the cycle
                continue
            epochs, values = history.index, history[column]
            # A curve looks the same beside others, which may be added later.
            marker = "." if len(epochs) <= _MOST_DOTS else ""
            (line,) = panel.plot(epochs, values, marker=marker, label=str(name))
            self.lines_[name][column] = line
            held_out = f"val_{column}"
            if held_out in history:
                kept = np.flatnonzero(history.get("kept", [])).tolist()
                (self.lines_[name][held_out],) = panel.plot(
                    epochs,
                    history[held_out],
                    linestyle="--",
                    color=line.get_color(),
                    label=f"_{held_out}",
                    marker="o" if kept else "_" if len(epochs) == 1 else "",
                    markevery=kept or None,
                )
        panel.set(xlabel=units, ylabel=_LABELS[column])
        whole = MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)
        panel.xaxis.set_major_locator(whole)
        panel.grid(visible=True, color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        if column == "learning_rate":
            panel.set_yscale("log")


def _classifier(estimator: Any) -> Any:
    """Return the fitted classifier in a pipeline or search, which has `history_`."""
    _, classifier = take_apart(estimator)
    if not hasattr(classifier, "history_"):
        raise TypeError(
            "HistoryDisplay needs a TFSoftmaxClassifier with history_; "
            f"{type(classifier).__name__} has no history_."
        )
    return classifier


def _names(classifiers: Sequence[Any]) -> list[str]:
    """Name classifiers by the parameters in which they differ; number equal names."""
    params = [classifier.get_params(deep=False) for classifier in classifiers]
    differing = [
        name for name in params[0] if len({repr(p.get(name)) for p in params}) > 1
    ]
    names = [", ".join(f"{n}={p.get(n)!r}" for n in differing) for p in params]
    if not differing:
        names = [type(classifier).__name__ for classifier in classifiers]
    unique = len(set(names)) == len(names)
    return names if unique else [f"{i}: {n}" for i, n in enumerate(names, 1)]


def _units(panel: Any, histories: Sequence[pd.DataFrame]) -> str:
    """Return the unit of the horizontal axis, including histories drawn earlier."""
    units = {"epoch" if "learning_rate" in h else "iteration" for h in histories}
    if panel.lines:
        units |= set(panel.get_xlabel().split(" or "))
    return " or ".join(sorted(units))


def _colors(n: int) -> Any:
    """Return n colours: easy to distinguish or, for many, from dark to light."""
    from matplotlib import colormaps

    return COLORS if n <= len(COLORS) else colormaps["viridis"](np.linspace(0, 0.93, n))


def _add_legend(panel: Any, *, is_ours: bool) -> None:
    """Add a legend of names, line styles and dots.

    Long names go below the panels, if the figure is ours.
    """
    from matplotlib.lines import Line2D

    handles, labels = panel.get_legend_handles_labels()
    held_out = [line for line in panel.lines if line.get_linestyle() == "--"]
    if labels == [_UNNAMED]:
        handles, labels = [], []
    outside = len(labels) > _MOST_NAMES or any(len(n) > _LONGEST_NAME for n in labels)
    keys = [("-", "", "training"), ("--", "", "held out")] if held_out else []
    if any(line.get_marker() == "o" for line in held_out):
        keys.append(("", "o", "kept epoch"))
    for style, marker, label in keys:
        handles.append(Line2D([], [], color="0.35", linestyle=style, marker=marker))
        labels.append(label)
    if handles:
        add_legend(panel, handles, labels, outside=outside and is_ours)
