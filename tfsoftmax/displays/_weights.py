"""WeightsDisplay: the weights of a linear classifier as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from tfsoftmax.displays._figures import (
    check_image_shape,
    check_matplotlib,
    finite_range,
    hide_ticks,
    panels,
)
from tfsoftmax.displays._parts import map_back, take_apart
from tfsoftmax.utils.sparse import to_dense

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class WeightsDisplay:
    r"""The weights of a linear classifier as pictures, one for each class.

    A pixel's colour says what it does to the class's logit when it gets brighter:
    with :math:`z_k = \sum_j w_{kj} x_j + b_k`, it is :math:`w_{kj}`. All pictures
    share one diverging colour scale, centred on zero.

    It is made by :meth:`from_estimator`.

    Parameters
    ----------
    weights : array-like of shape (n_panels, height, width)
        The weights. Two classes have one panel.
    class_names : sequence of str of length n_panels
        The panels' titles.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels.
    images_ : ndarray of shape (n_panels,) of matplotlib AxesImage
        The pictures.
    colorbar_ : matplotlib Colorbar or None
        The scale; None with ``colorbar=False``.

    See Also
    --------
    PredictionsDisplay : Which rows a classifier reads wrongly.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> from tfsoftmax.displays import WeightsDisplay
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16).fit(*load_digits(return_X_y=True))
    >>> display = WeightsDisplay.from_estimator(clf, image_shape=(8, 8))
    """

    def __init__(self, weights: ArrayLike, class_names: Sequence[str]) -> None:
        self.weights = weights
        self.class_names = class_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str | Colormap | None = "RdBu_r",
        limit: float | None = None,
        colorbar: bool = True,
    ) -> WeightsDisplay:
        """Show the weights of a fitted classifier.

        Parameters
        ----------
        estimator : fitted classifier, Pipeline or search
            Any classifier with `coef_`. A pipeline's weights are mapped back through
            its scalers, feature selections, PCA and the like, to weights of the
            features that the pipeline was fitted on. Of a search, the best estimator
            is shown.
        image_shape : tuple (height, width), default=None
            The shape of a picture; None is a square.
        ax, n_cols, cmap, limit, colorbar
            As in :meth:`plot`.

        Returns
        -------
        display : WeightsDisplay

        Raises
        ------
        NotFittedError
            If `estimator` is not fitted.
        TypeError
            If `estimator` is none, or the classifier has no `coef_` with a row for
            each class.
        ValueError
            If `image_shape` doesn't fit the number of features, a pipeline has a step
            that is not known to be linear, a search has kept no estimator, or
            :meth:`plot` refuses an argument.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        steps, classifier = take_apart(estimator)
        W = map_back(_weights_by_class(classifier), steps)
        shape = check_image_shape(image_shape, W.shape[1])
        names = [str(name) for name in classifier.classes_]
        if len(W) == 1:
            names = [f"{names[1]} against {names[0]}"]
        # A copy, since some estimators go on training in the array of coef_.
        display = cls(W.reshape(-1, *shape).copy(), names)
        return display.plot(
            ax=ax, n_cols=n_cols, cmap=cmap, limit=limit, colorbar=colorbar
        )

    def plot(
        self,
        *,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str | Colormap | None = "RdBu_r",
        limit: float | None = None,
        colorbar: bool = True,
    ) -> WeightsDisplay:
        """Draw the pictures.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            One Axes, whose area is divided into panels, or one for each panel. None
            makes a figure.
        n_cols : int, default=None
            Panels in a row; None is at most 5.
        cmap : str or Colormap, default="RdBu_r"
            A diverging colour map; None is matplotlib's default.
        limit : float, default=None
            The colour scale goes from −`limit` to `limit`; weights beyond have the
            colour of its end. None is the largest absolute weight.
        colorbar : bool, default=True
            Whether to show the scale.

        Returns
        -------
        display : WeightsDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `limit` is not a number, or `n_cols` not an integer.
        ValueError
            If `limit` or `n_cols` is not positive, `ax` has another number of axes than
            there are panels, or is a single one that is not part of a grid, or no
            colour map is named `cmap`.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        if limit is not None:
            check_scalar(limit, "limit", Real, min_val=0, include_boundaries="neither")
        pictures = np.asarray(self.weights)
        largest = max(map(abs, finite_range(pictures)))
        end = limit or largest or 1.0
        n_panels = len(pictures)
        self.figure_, self.axes_ = panels(
            ax,
            n_panels,
            n_cols,
            panel_size=(1.5, 1.7) if n_panels > 1 else (2.8, 2.5),
        )
        self.images_: NDArray[Any] = np.empty(n_panels, dtype=object)
        for i, (panel, picture, name) in enumerate(
            zip(self.axes_, pictures, self.class_names, strict=True)
        ):
            self.images_[i] = panel.imshow(picture, cmap=cmap, vmin=-end, vmax=end)
            panel.set_title(name, parse_math=False)
            hide_ticks(panel)
        self.colorbar_ = None
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(
                self.images_[0],
                ax=list(self.axes_),
                label="weight",
                extend="both" if largest > end else "neither",
            )
        return self


def _weights_by_class(classifier: Any) -> NDArray[Any]:
    """Return a linear classifier's weights: a row for each class, or a single row."""
    if not hasattr(classifier, "coef_") or not hasattr(classifier, "classes_"):
        raise TypeError(
            "WeightsDisplay shows a linear classifier's coef_, a row for each class; "
            f"{type(classifier).__name__} has none."
        )
    W = np.atleast_2d(to_dense(classifier.coef_))
    n_classes = len(classifier.classes_)
    # An SVC has a row for each pair of classes: three rows for three classes.
    has_rows_of_pairs = hasattr(classifier, "decision_function_shape") and n_classes > 2
    if has_rows_of_pairs or len(W) != (1 if n_classes == 2 else n_classes):
        raise TypeError(
            f"WeightsDisplay shows a row of weights for each class; the {len(W)} rows "
            f"of {type(classifier).__name__}'s coef_ are not those of its {n_classes} "
            "classes."
        )
    return W
