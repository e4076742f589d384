"""PredictionsDisplay: pictures, what they are, and what they are read as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import (
    _safe_indexing,
    check_consistent_length,
    check_random_state,
    column_or_1d,
)

from tfsoftmax.displays._figures import (
    WRONG,
    check_image_shape,
    check_lengths,
    check_matplotlib,
    finite_range,
    is_positive_integer,
    panels,
    without_ticks,
)
from tfsoftmax.displays._parts import take_apart
from tfsoftmax.inputs import check_numbers, check_real, naming


class PredictionsDisplay:
    """Pictures with their true class, the predicted one and its probability.

    The worst predictions are those that give the true class the lowest probability
    (the largest cross-entropy), and the best give it the highest. A wrong prediction's
    title is coloured.

    It is made by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    images : ndarray of shape (n_pictures, height, width) or (..., 3)
        The pictures.
    y_true : ndarray of shape (n_pictures,)
        Their classes.
    y_pred : ndarray of shape (n_pictures,)
        The most probable classes.
    probability : ndarray of shape (n_pictures,)
        The probability of each predicted class.
    index : ndarray of shape (n_pictures,)
        The pictures' rows in the X that was passed.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (n_pictures,) of matplotlib Axes
        The panels.

    See Also
    --------
    WeightsDisplay : What a classifier has learnt.
    sklearn.metrics.ConfusionMatrixDisplay : How often which class is read as which.

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
        self.images = np.array(images)
        self.y_true = np.array(y_true)
        self.y_pred = np.array(y_pred)
        self.probability = np.array(probability)
        self.index = np.array(index)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        image_shape: Sequence[int] | None = None,
        kind: str = "worst",
        n_pictures: int = 20,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str = "gray_r",
    ) -> PredictionsDisplay:
        """Show what a fitted classifier reads in some rows.

        Parameters
        ----------
        estimator : fitted classifier
            Any with `predict_proba`, pipelines and searches among them.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, each a picture.
        y : array-like of shape (n_samples,)
            Their classes.
        image_shape : tuple (height, width) or (height, width, 3), default=None
            The shape of a picture; None is a square.
        kind : {"worst", "best", "random"}, default="worst"
            Which rows to show.
        n_pictures : int, default=20
            How many; all, where there are fewer.
        random_state : int, RandomState instance or None, default=None
            What the random rows are drawn with.
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
            If it has no `predict_proba`.
        ValueError
            If `image_shape` doesn't fit the number of features, `kind` is none of the
            three, or y has a class that the classifier doesn't know.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        take_apart(estimator)  # which checks that it is fitted, and keeps its model
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                "PredictionsDisplay needs a classifier with predict_proba; "
                f"{type(estimator).__name__} has none."
            )
        probabilities = estimator.predict_proba(X)
        if isinstance(probabilities, list):
            raise TypeError(
                "The estimator must predict one class a row; it predicts several."
            )
        return cls.from_predictions(
            X,
            y,
            probabilities,
            classes=estimator.classes_,
            image_shape=image_shape,
            kind=kind,
            n_pictures=n_pictures,
            random_state=random_state,
            ax=ax,
            n_cols=n_cols,
            cmap=cmap,
        )

    @classmethod
    def from_predictions(
        cls,
        X: Any,
        y_true: ArrayLike,
        y_proba: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        image_shape: Sequence[int] | None = None,
        kind: str = "worst",
        n_pictures: int = 20,
        random_state: int | np.random.RandomState | None = None,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str = "gray_r",
    ) -> PredictionsDisplay:
        """Show given predictions, of `cross_val_predict` for one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, each a picture.
        y_true : array-like of shape (n_samples,)
            Their classes.
        y_proba : array-like of shape (n_samples, n_classes)
            The predicted probability of each class.
        classes : array-like of shape (n_classes,), default=None
            The classes, in the order of y_proba's columns; None are those of y_true,
            sorted.
        image_shape, kind, n_pictures, random_state
            As in :meth:`from_estimator`.
        ax, n_cols, cmap
            As in :meth:`plot`.

        Returns
        -------
        display : PredictionsDisplay

        Raises
        ------
        ValueError
            As in :meth:`from_estimator`, and if the lengths differ.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        if sparse.issparse(X):
            X = X.tocsr()
        elif not hasattr(X, "shape"):
            with naming("X"):
                X = np.array(X)
        if len(X.shape) != 2 or 0 in X.shape:
            raise ValueError(
                "X must have a row for each picture, and at least one; its shape is "
                f"{X.shape}."
            )
        with naming("y"):
            y_true = np.asarray(y_true)
        y_proba = check_numbers(y_proba, "y_proba", ensure_2d=False)
        if y_true.ndim != 1:
            raise ValueError(
                f"y must have one class a row; its shape is {y_true.shape}."
            )
        check_consistent_length(X, y_true, y_proba)
        with naming("y" if classes is None else "classes"):
            classes = np.unique(y_true) if classes is None else column_or_1d(classes)
        if y_proba.shape != (len(y_true), len(classes)):
            raise ValueError(
                f"y_proba must be of shape {(len(y_true), len(classes))}, a column for "
                f"each class; got {y_proba.shape}."
            )
        shape = check_image_shape(image_shape, X.shape[1], may_have_colors=True)
        of_true = y_proba[np.arange(len(y_true)), _columns_of(y_true, classes)]
        index = _chosen(of_true, kind, n_pictures, random_state)
        pictures = _numbers(_safe_indexing(X, index))
        display = cls(
            images=pictures.reshape(-1, *shape),
            y_true=y_true[index],
            y_pred=classes[y_proba[index].argmax(axis=1)],
            probability=y_proba[index].max(axis=1),
            index=index,
        )
        return display.plot(ax=ax, n_cols=n_cols, cmap=cmap)

    def plot(
        self, *, ax: Any = None, n_cols: int | None = None, cmap: str = "gray_r"
    ) -> PredictionsDisplay:
        """Draw the pictures.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            One Axes, whose place is divided into panels, or one for each picture. None
            makes a figure.
        n_cols : int, default=None
            Pictures in a row; None is at most 5.
        cmap : str or Colormap, default="gray_r"
            Colours of pictures that have none of their own: by default ink is black.

        Returns
        -------
        display : PredictionsDisplay
            The display itself.
        """
        check_matplotlib(type(self))
        check_lengths(self, "images", "y_true", "y_pred", "probability")
        self.figure_, self.axes_ = panels(
            ax, len(self.images), n_cols, panel_size=(1.5, 1.9)
        )
        pictures = _drawable(self.images)
        low, high = finite_range(pictures)
        for i, panel in enumerate(self.axes_):
            panel.imshow(pictures[i], cmap=cmap, vmin=low, vmax=high)
            without_ticks(panel)
            title = panel.set_title(
                f"true {self.y_true[i]}\n"
                f"predicted {self.y_pred[i]} ({self.probability[i]:.2f})",
                fontsize="small",
                parse_math=False,
            )
            if self.y_true[i] != self.y_pred[i]:
                title.set_color(WRONG)
        return self


def _columns_of(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """Find the column of each row's class."""
    with naming("classes"):
        columns = {label: column for column, label in enumerate(classes.tolist())}
    with naming("y"):
        unknown = sorted({str(label) for label in y.tolist() if label not in columns})
    if unknown:
        raise ValueError(
            f"y has classes that the predictions don't have: {unknown}; they have "
            f"{list(columns)}."
        )
    return np.array([columns[label] for label in y.tolist()], dtype=np.intp)


def _chosen(
    of_true: NDArray[Any], kind: str, n_pictures: Any, random_state: Any
) -> NDArray[Any]:
    """Choose rows by the probability of their true class."""
    if not is_positive_integer(n_pictures):
        raise ValueError(f"n_pictures must be a positive integer; got {n_pictures!r}.")
    if not isinstance(kind, str) or kind not in ("worst", "best", "random"):
        raise ValueError(f"kind must be 'worst', 'best' or 'random'; got {kind!r}.")
    if kind == "worst":
        order = np.argsort(of_true, kind="stable")
    elif kind == "best":
        order = np.argsort(-of_true, kind="stable")
    else:
        with naming("random_state"):
            order = check_random_state(random_state).permutation(len(of_true))
    return order[:n_pictures]


def _numbers(rows: Any) -> NDArray[Any]:
    """Make an array of numbers of rows, whatever they came in."""
    values: NDArray[Any] = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    with naming("X"):
        values = values.astype(float) if values.dtype == object else values
        check_real(values)
    return values


def _drawable(images: NDArray[Any]) -> NDArray[Any]:
    """Bring coloured pictures to what matplotlib draws: bytes, or floats in [0, 1]."""
    if images.ndim == 3 or images.dtype == np.uint8:
        return images
    # A little over 1 comes of resizing. What is not a number is white.
    of_bytes = finite_range(images)[1] > 2
    return np.nan_to_num(np.clip(images / (255 if of_bytes else 1), 0, 1), nan=1.0)
