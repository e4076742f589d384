"""PredictionsDisplay: pictures, what they are, and what they are read as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfsoftmax.displays._choice import checked, chosen
from tfsoftmax.displays._figures import (
    WRONG,
    as_array,
    check_lengths,
    check_matplotlib,
    check_real_array,
    color_map,
    finite_range,
    panels,
    without_ticks,
)
from tfsoftmax.displays._parts import take_apart
from tfsoftmax.validation.arrays import check_structure
from tfsoftmax.validation.errors import errors_name as naming

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class PredictionsDisplay:
    """Pictures with their true class, the predicted one and its probability.

    The worst predictions are those that give the true class the lowest probability
    (the largest cross-entropy), and the best give it the highest. A wrong prediction's
    title is coloured.

    It is made by :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    images : array-like of shape (n_pictures, height, width) or (..., 3)
        The pictures.
    y_true : array-like of shape (n_pictures,)
        Their classes.
    y_pred : array-like of shape (n_pictures,)
        The most probable classes.
    probability : array-like of shape (n_pictures,)
        The probability of each predicted class.
    index : array-like of shape (n_pictures,)
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
        self.images = as_array(images, "images")
        self.y_true = as_array(y_true, "y_true")
        self.y_pred = as_array(y_pred, "y_pred")
        self.probability = as_array(probability, "probability")
        self.index = as_array(index, "index")

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
        cmap: str | Colormap | None = "gray_r",
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
            If `estimator` is none, has no `predict_proba` or predicts several classes a
            row, or another argument is of a kind that can't be used.
        ValueError
            If `X` or `y` can't be used, they have other numbers of rows, or `y` has a
            class that the classifier doesn't know; if `image_shape` doesn't fit the
            number of features, `kind` is none of the three, or `n_pictures` is not a
            positive integer; if a search has kept no estimator; and if `ax`, `n_cols`
            or `cmap` is as :meth:`plot` refuses it.
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
        X = check_structure(X)
        with naming("X"):
            y_proba = estimator.predict_proba(X)
        if isinstance(y_proba, list):
            raise TypeError(
                "The estimator must predict one class a row; it predicts several."
            )
        shown = chosen(
            *checked(X, y, y_proba, estimator.classes_, "y"),
            image_shape=image_shape,
            kind=kind,
            n_pictures=n_pictures,
            random_state=random_state,
        )
        return cls(**shown).plot(ax=ax, n_cols=n_cols, cmap=cmap)

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
        cmap: str | Colormap | None = "gray_r",
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
        TypeError
            If an argument is of a kind that can't be used.
        ValueError
            As in :meth:`from_estimator`, and if `y_proba` has not a row for each of
            `X` and a column for each of `classes`, or holds no probabilities, or
            `classes` has one twice.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        shown = chosen(
            *checked(check_structure(X), y_true, y_proba, classes, "y_true"),
            image_shape=image_shape,
            kind=kind,
            n_pictures=n_pictures,
            random_state=random_state,
        )
        return cls(**shown).plot(ax=ax, n_cols=n_cols, cmap=cmap)

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
            One Axes, whose place is divided into panels, or one for each picture. None
            makes a figure.
        n_cols : int, default=None
            Pictures in a row; None is at most 5.
        cmap : str or Colormap, default="gray_r"
            Colours of pictures that have none of their own: by default ink is black.
            None is matplotlib's default.

        Returns
        -------
        display : PredictionsDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `ax` holds something else than Axes, or `cmap` is neither a name nor a
            Colormap.
        ValueError
            If `n_cols` is not a positive integer, `ax` has another number of axes than
            there are pictures, or one that is not part of a grid, no colour map is
            named `cmap`, or the display's data don't fit each other.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        cmap = color_map(cmap)
        shape = "(n_pictures, height, width) or (..., 3)"
        check_real_array(self, "images", shape, 3, 4)
        if self.images.ndim == 4 and self.images.shape[3] != 3:
            raise ValueError(f"images must be {shape}; got {self.images.shape}.")
        check_real_array(self, "probability", "(n_pictures,)", 1)
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
            with naming("y_true"):
                is_wrong = bool(self.y_true[i] != self.y_pred[i])
            if is_wrong:
                title.set_color(WRONG)
        return self


def _drawable(images: NDArray[Any]) -> NDArray[Any]:
    """Bring coloured pictures to what matplotlib draws: bytes, or floats in [0, 1]."""
    if images.ndim == 3 or images.dtype == np.uint8:
        return images
    # A little over 1 comes of resizing. What is not a number is white.
    of_bytes = finite_range(images)[1] > 2
    return np.nan_to_num(np.clip(images / (255 if of_bytes else 1), 0, 1), nan=1.0)
