"""WeightsDisplay: the weights of a linear classifier as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tfsoftmax.displays._figures import (
    as_array,
    check_flag,
    check_image_shape,
    check_lengths,
    check_matplotlib,
    check_real_array,
    color_map,
    finite_range,
    panels,
    positive_number,
    without_ticks,
)
from tfsoftmax.displays._parts import map_back, take_apart
from tfsoftmax.validation.errors import errors_name as naming

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
        The scale, where it was asked for.

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
        self.weights = as_array(weights, "weights")
        with naming("class_names"):
            self.class_names = list(class_names)

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
            Any classifier with `coef_`. Of a pipeline, the weights are mapped back
            through its scalers, feature selections, PCA and the like, and so are
            weights of what the pipeline is given. A search stands for its best
            estimator.
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
            If `estimator` is none, the classifier has no `coef_` with a row for each
            class, or `ax`, `cmap` or `colorbar` is as :meth:`plot` refuses it.
        ValueError
            If `image_shape` doesn't fit the number of features, a pipeline has a step
            that is not known to be linear, a search has kept no estimator, or another
            argument is as :meth:`plot` refuses it.
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
        display = cls(W.reshape(-1, *shape), names)
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
            One Axes, whose place is divided into panels, or one for each panel. None
            makes a figure.
        n_cols : int, default=None
            Panels in a row; None is at most 5.
        cmap : str or Colormap, default="RdBu_r"
            A diverging colour map; None is matplotlib's default.
        limit : float, default=None
            The colour scale goes from −`limit` to `limit`; weights beyond have its
            end's colour. None is the largest absolute weight.
        colorbar : bool, default=True
            Whether to show the scale.

        Returns
        -------
        display : WeightsDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `ax` holds something else than Axes, `cmap` is neither a name nor a
            Colormap, or `colorbar` is neither True nor False.
        ValueError
            If `limit` is not a positive number or `n_cols` not a positive integer, `ax`
            has another number of axes than there are panels, or one that is not part
            of a grid, no colour map is named `cmap`, or `weights` and `class_names`
            don't fit each other.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        end = None if limit is None else positive_number(limit)
        if limit is not None and end is None:
            raise ValueError(f"limit must be a positive number; got {limit!r}.")
        check_flag(colorbar, "colorbar")
        cmap = color_map(cmap)
        check_real_array(self, "weights", "(n_panels, height, width)", 3)
        check_lengths(self, "weights", "class_names")
        largest = max(map(abs, finite_range(self.weights)))
        end = end or largest or 1.0
        n_panels = len(self.weights)
        self.figure_, self.axes_ = panels(
            ax,
            n_panels,
            n_cols,
            panel_size=(1.5, 1.7) if n_panels > 1 else (2.8, 2.5),
        )
        self.images_: NDArray[Any] = np.empty(n_panels, dtype=object)
        for i, (panel, weights) in enumerate(
            zip(self.axes_, self.weights, strict=True)
        ):
            self.images_[i] = panel.imshow(weights, cmap=cmap, vmin=-end, vmax=end)
            panel.set_title(self.class_names[i], parse_math=False)
            without_ticks(panel)
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
    """Take a linear classifier's weights, one row a class, or one for two classes."""
    if not hasattr(classifier, "coef_") or not hasattr(classifier, "classes_"):
        raise TypeError(
            "WeightsDisplay shows a linear classifier's coef_, one row a class; "
            f"{type(classifier).__name__} has none."
        )
    coef = classifier.coef_
    W = np.atleast_2d(coef.toarray() if sparse.issparse(coef) else coef)
    n_classes = len(classifier.classes_)
    # An SVC has a row for each pair of classes: with three classes, as many.
    of_pairs = hasattr(classifier, "decision_function_shape") and n_classes > 2
    if of_pairs or len(W) != (1 if n_classes == 2 else n_classes):
        raise TypeError(
            f"WeightsDisplay shows a row of weights for each class; the {len(W)} rows "
            f"of {type(classifier).__name__}'s coef_ are not those of its {n_classes} "
            "classes."
        )
    return W
