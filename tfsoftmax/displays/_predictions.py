"""PredictionsDisplay: pictures with their true and predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import (
    check_array,
    check_consistent_length,
    check_random_state,
    check_scalar,
    column_or_1d,
)

from tfsoftmax.displays._figures import (
    WRONG,
    check_image_shape,
    check_matplotlib,
    finite_range,
    hide_ticks,
    panels,
    short_names,
)
from tfsoftmax.displays._parts import take_apart
from tfsoftmax.utils.sklearn_compat import _safe_indexing
from tfsoftmax.validation.arrays import check_structure

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


# Longer names are put on separate lines.
_LONGEST_BESIDE = 8
_LONGEST_NAME = 28


class PredictionsDisplay:
    """Pictures with the true class, the predicted class and its probability.

    The worst predictions are those with the lowest probability of the true class (the
    largest cross-entropy), the best those with the highest. The titles of wrong
    predictions are coloured.

    Use :meth:`from_estimator` or :meth:`from_predictions` to create a display.

    Parameters
    ----------
    images : array-like of shape (n_pictures, height, width) or (..., 3)
        The pictures.
    y_true : array-like of shape (n_pictures,)
        The true classes of the pictures.
    y_pred : array-like of shape (n_pictures,)
        The most probable class of each picture.
    probability : array-like of shape (n_pictures,)
        The probability of the predicted class of each picture.
    index : array-like of shape (n_pictures,)
        Row indices of the pictures in X.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (n_pictures,) of matplotlib Axes
        The panels.

    See Also
    --------
    WeightsDisplay : The weights of a linear classifier.
    sklearn.metrics.ConfusionMatrixDisplay : Counts of true and predicted classes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> from tfsoftmax.displays import PredictionsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16).fit(X, y)
    >>> display = PredictionsDisplay.from_estimator(clf, X, y, n_pictures=10)
    """

    def __init__(
        self,
        images: ArrayLike,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        probability: ArrayLike,
        index: ArrayLike,
    ) -> None:
        self.images = images
        self.y_true = y_true
        self.y_pred = y_pred
        self.probability = probability
        self.index = index

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        image_shape: Sequence[int] | None = None,
        kind: Literal["worst", "best", "random"] = "worst",
        n_pictures: int = 20,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str | Colormap | None = "gray_r",
    ) -> PredictionsDisplay:
        """Show some predictions of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier
            Any classifier with `predict_proba`, including a pipeline or a search.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows; each row is a picture.
        y : array-like of shape (n_samples,)
            The true class of each row.
        image_shape : tuple (height, width) or (height, width, 3), default=None
            Shape of the pictures; None means square.
        kind : {"worst", "best", "random"}, default="worst"
            Which rows to show.
        n_pictures : int, default=20
            Number of rows to show; all if there are fewer.
        random_state : int, RandomState instance or None, default=None
            Controls the choice of rows with ``kind="random"``.
        ax, n_cols, cmap
            As in :meth:`plot`.

        Returns
        -------
        display : PredictionsDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If `estimator` is not an estimator or has no `predict_proba`, or
            `n_pictures` is not an integer.
        ValueError
            If `X` and `y` differ in length, or `y` contains an unknown class; if
            `image_shape` does not match the number of features, `kind` is not one of
            the three values, or `n_pictures` is not positive; if a search has no best
            estimator; or if an argument of :meth:`plot` is invalid.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        take_apart(estimator)  # checks that it is fitted and has kept a classifier
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                "PredictionsDisplay needs a classifier with predict_proba; "
                f"{type(estimator).__name__} has no predict_proba."
            )
        X = check_structure(X)
        selected = _select(
            X,
            y,
            estimator.predict_proba(X),
            estimator.classes_,
            image_shape=image_shape,
            kind=kind,
            n_pictures=n_pictures,
            random_state=random_state,
        )
        return cls(**selected).plot(ax=ax, n_cols=n_cols, cmap=cmap)

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        y_true: ArrayLike,
        y_proba: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        image_shape: Sequence[int] | None = None,
        kind: Literal["worst", "best", "random"] = "worst",
        n_pictures: int = 20,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str | Colormap | None = "gray_r",
    ) -> PredictionsDisplay:
        """Show predictions that are already computed, such as by `cross_val_predict`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows; each row is a picture.
        y_true : array-like of shape (n_samples,)
            The true class of each row.
        y_proba : array-like of shape (n_samples, n_classes)
            The predicted probability of each class.
        classes : array-like of shape (n_classes,), default=None
            The classes, in the order of the columns of y_proba; None means the sorted
            classes of y_true.
        image_shape, kind, n_pictures, random_state
            As in :meth:`from_estimator`.
        ax, n_cols, cmap
            As in :meth:`plot`.

        Returns
        -------
        display : PredictionsDisplay

        Raises
        ------
        TypeError
            If `n_pictures` is not an integer.
        ValueError
            As in :meth:`from_estimator`; also if `y_proba` does not have one row for
            each row of `X` and one column for each of `classes`, or contains values
            that are not probabilities.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        selected = _select(
            check_structure(X),
            y_true,
            y_proba,
            classes,
            image_shape=image_shape,
            kind=kind,
            n_pictures=n_pictures,
            random_state=random_state,
        )
        return cls(**selected).plot(ax=ax, n_cols=n_cols, cmap=cmap)

    def plot(
        self,
        *,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str | Colormap | None = "gray_r",
    ) -> PredictionsDisplay:
        """Draw the pictures.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            One Axes, whose area is divided into panels, or one Axes per picture. None
            creates a figure.
        n_cols : int, default=None
            Number of pictures per row; None means at most 5.
        cmap : str or Colormap, default="gray_r"
            The colour map of greyscale pictures; by default, large values are black.
            None means matplotlib's default.

        Returns
        -------
        display : PredictionsDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `n_cols` is not an integer.
        ValueError
            If `n_cols` is not positive; if `ax` has the wrong number of axes, or is a
            single Axes that is not part of a grid; or if there is no colour map named
            `cmap`.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        pictures = _drawable(np.asarray(self.images))
        low, high = finite_range(pictures)
        predictions = map(np.asarray, (self.y_true, self.y_pred, self.probability))
        y_true, y_pred, probability = predictions
        titles = _titles(y_true, y_pred, probability)
        lines = "\n".join(titles).splitlines()
        size = (
            max(1.5, 0.07 * max(map(len, lines))),
            1.6 + 0.15 * len(lines) / len(titles),
        )
        made = panels(ax, len(pictures), n_cols, panel_size=size)
        self.figure_, self.axes_ = made.figure, made.axes
        for panel, picture, title, is_right in zip(
            self.axes_, pictures, titles, y_true == y_pred, strict=True
        ):
            panel.imshow(picture, cmap=cmap, vmin=low, vmax=high)
            hide_ticks(panel)
            text = panel.set_title(title, fontsize="small", parse_math=False)
            if not is_right:
                text.set_color(WRONG)
        return self


def _titles(
    y_true: NDArray[Any], y_pred: NDArray[Any], probability: NDArray[Any]
) -> list[str]:
    """Return the titles, with long class names shortened and on separate lines."""
    full = [list(map(str, y)) for y in (y_true, y_pred)]
    short = short_names(full[0] + full[1], _LONGEST_NAME)
    names = [[short[name] for name in y] for y in full]
    longest = max((len(name) for name in names[0] + names[1]), default=0)
    break_ = "\n" if longest > _LONGEST_BESIDE else " "
    return [
        f"true{break_}{true}\npredicted{break_}{predicted} ({p:.2f})"
        for true, predicted, p in zip(*names, probability, strict=True)
    ]


def _select(
    X: Any,
    y_true: Any,
    y_proba: Any,
    classes: Any,
    *,
    image_shape: Sequence[int] | None,
    kind: str,
    n_pictures: int,
    random_state: Any,
) -> dict[str, NDArray[Any]]:
    """Return the data of a display; `X` has passed `check_structure`."""
    y_true = column_or_1d(y_true)
    y_proba = check_array(y_proba, dtype=np.float64, input_name="y_proba")
    check_consistent_length(X, y_true, y_proba)
    classes = np.unique(y_true) if classes is None else column_or_1d(classes)
    _check_probabilities(y_proba, classes)
    p_true = y_proba[np.arange(len(y_true)), _columns(y_true, classes)]
    check_scalar(n_pictures, "n_pictures", Integral, min_val=1)
    index = _order(p_true, kind, random_state)[:n_pictures]
    pictures = _dense_rows(X, index)
    shape = check_image_shape(image_shape, pictures.shape[1], allow_colors=True)
    return {
        "images": pictures.reshape(-1, *shape),
        "y_true": y_true[index],
        "y_pred": classes[y_proba[index].argmax(axis=1)],
        "probability": y_proba[index].max(axis=1),
        "index": index,
    }


def _check_probabilities(y_proba: NDArray[Any], classes: NDArray[Any]) -> None:
    """Check that there is one column per class, with numbers from 0 to 1."""
    if y_proba.shape[1] != len(classes):
        raise ValueError(
            f"y_proba must have one column for each of the {len(classes)} classes; it "
            f"has {y_proba.shape[1]}. Pass classes, in the order of the columns."
        )
    # Rounding may slightly exceed the range.
    if y_proba.min() < -1e-6 or y_proba.max() > 1 + 1e-6:
        raise ValueError(
            "y_proba must contain probabilities from 0 to 1; got values from "
            f"{y_proba.min():g} to {y_proba.max():g}."
        )


def _columns(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return the column of y_proba for each row's class."""
    columns = {label: column for column, label in enumerate(classes.tolist())}
    unknown = set(y.tolist()) - columns.keys()
    if unknown:
        raise ValueError(
            f"Some labels are not among the classes {list(columns)}: "
            f"{sorted(map(str, unknown))}."
        )
    return np.array([columns[label] for label in y.tolist()], dtype=np.intp)


def _order(p_true: NDArray[Any], kind: str, random_state: Any) -> NDArray[np.intp]:
    """Return the indices of all rows, in the order in which to show them."""
    if kind == "worst":
        return np.argsort(p_true, kind="stable")
    if kind == "best":
        return np.argsort(-p_true, kind="stable")
    if kind == "random":
        return check_random_state(random_state).permutation(len(p_true))  # type: ignore[no-any-return]
    raise ValueError(f"kind must be 'worst', 'best' or 'random'; got {kind!r}.")


def _dense_rows(X: Any, index: NDArray[np.intp]) -> NDArray[Any]:
    """Return some rows of X as a dense array of numbers."""
    if sparse.issparse(X):
        return X.tocsr()[index].toarray()  # type: ignore[no-any-return]
    rows = _safe_indexing(X, index)
    return check_array(rows, ensure_all_finite=False, input_name="X")  # type: ignore[no-any-return]


def _drawable(images: NDArray[Any]) -> NDArray[Any]:
    """Convert colour pictures to bytes, or floats in [0, 1], as matplotlib requires.

    NaN becomes white.
    """
    if images.ndim == 3 or images.dtype == np.uint8:
        return images
    # Resizing may leave values slightly above 1 in pictures of floats.
    is_in_bytes = finite_range(images)[1] > 2
    return np.nan_to_num(np.clip(images / (255 if is_in_bytes else 1), 0, 1), nan=1.0)
