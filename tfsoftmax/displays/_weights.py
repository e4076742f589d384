"""WeightsDisplay: the weights of a linear classifier, as pictures or as bars."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from tfsoftmax.displays._bars import draw_bars
from tfsoftmax.displays._features import (
    are_pixels,
    check_feature_names,
    default_names,
    deviations,
    deviations_of_input,
    names_of_features,
)
from tfsoftmax.displays._figures import (
    check_image_shape,
    check_matplotlib,
    finite_range,
    hide_ticks,
    panels,
    set_title,
)
from tfsoftmax.displays._parts import map_back, take_apart
from tfsoftmax.utils.sparse import to_dense

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class WeightsDisplay:
    r"""The weights of a linear classifier: pictures of pixels, bars of other features.

    A weight says what a feature does to the class's logit: with
    :math:`z_k = \sum_j w_{kj} x_j + b_k`, the logit changes by :math:`w_{kj}` when the
    feature grows by 1: red raises it, blue lowers it. All panels share one scale. Two
    classes have one panel, for the second against the first.

    Pixels are drawn as a picture for each class. All other features, such as the
    columns of a table or words, are drawn as bars: for each class those with the
    largest absolute weights.

    Weights depend on the features' units: a weight per millimetre is a thousandth of
    one per metre. So where the features' standard deviations are known, what is shown
    is the weight times the standard deviation, and the scale says so.

    It is made by :meth:`from_estimator`.

    Parameters
    ----------
    weights : array-like of shape (n_panels, height, width) or (n_panels, n_features)
        The weights; those of shape (n_panels, n_features) are drawn as bars.
    class_names : sequence of str of length n_panels
        The panels' titles.
    feature_names : sequence of str of length n_features, default=None
        What the bars are named; None is x0, x1 and so on.
    label : str, default="weight"
        What the weights are, for the scale.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels.
    images_ : ndarray of shape (n_panels,) of matplotlib AxesImage, or None
        The pictures; None of bars.
    bars_ : ndarray of shape (n_panels,) of matplotlib BarContainer, or None
        The bars; None of pictures.
    colorbar_ : matplotlib Colorbar or None
        The scale of pictures; None with ``colorbar=False`` and of bars.

    See Also
    --------
    PredictionsDisplay : Which rows a classifier reads wrongly.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> from tfsoftmax.displays import WeightsDisplay
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> clf = TFSoftmaxClassifier(random_state=0).fit(X, y)
    >>> display = WeightsDisplay.from_estimator(clf, n_bars=5)
    """

    def __init__(
        self,
        weights: ArrayLike,
        class_names: Sequence[str],
        *,
        feature_names: Sequence[str] | None = None,
        label: str = "weight",
    ) -> None:
        self.weights = weights
        self.class_names = class_names
        self.feature_names = feature_names
        self.label = label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: Sequence[int] | None = None,
        feature_names: Sequence[str] | NDArray[Any] | None = None,
        classes: Any = None,
        scale: ArrayLike | None = None,
        n_bars: int = 10,
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
            Any classifier with `coef_`. Of a search, the best estimator is shown.

            Bars show the features of a pipeline's last step, by the names that the
            steps before give them. For pictures, a pipeline's weights are mapped back
            through its scalers, feature selections, PCA and the like, to weights of
            the features that the pipeline was fitted on.
        image_shape : tuple (height, width), default=None
            Draws pictures of this shape. None draws square pictures if the features
            look like pixels: if their number is a square, from 64 = 8 x 8 to
            4096 = 64 x 64, and they have no names, or names such as pixel_0_0, pixel1
            or 12x7. Otherwise None draws bars.
        feature_names : array-like of shape (n_features,), default=None
            Draws bars by these names, for instance
            ``vectorizer.get_feature_names_out()``. None takes the pipeline's or the
            classifier's names, else x0, x1 and so on.
        classes : label or list of labels, default=None
            The classes to show, in this order; None is all. Of two classes None is the
            second against the first.
        scale : float or array-like of shape (n_features,), default=None
            What the weights are multiplied by: the change of a feature whose effect is
            shown, for instance ``X.std()``. None is the features' standard deviations
            where they are known: with ``rescale="standard"``, which is the default
            for most tables, or of a `StandardScaler` in the pipeline; otherwise 1.
        n_bars, ax, n_cols, cmap, limit, colorbar
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
            class, or `feature_names` is no list.
        ValueError
            If `image_shape`, `feature_names` or `scale` doesn't fit the number of
            features; both `image_shape` and `feature_names` are passed; `classes` has
            none, or one that the classifier doesn't know; a picture is asked of a
            pipeline with a step that is not known to be linear; a search has kept no
            estimator; or :meth:`plot` refuses an argument.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(cls)
        if image_shape is not None and feature_names is not None:
            raise ValueError(
                "Pass image_shape for pictures or feature_names for bars, not both."
            )
        steps, classifier = take_apart(estimator)
        W, class_names = _choose(*_weights_by_class(classifier), classes)
        is_picture = feature_names is None and are_pixels(steps, classifier)
        if image_shape is not None or is_picture:
            W = map_back(W, steps)
            shape = check_image_shape(image_shape, W.shape[1])
            W, label = _scaled(W, scale, deviations_of_input(steps, classifier))
            display = cls(W.reshape(-1, *shape), class_names, label=label)
        else:
            if feature_names is None:
                names = names_of_features(steps, classifier, W.shape[1])
            else:
                names = check_feature_names(feature_names, W.shape[1])
            W, label = _scaled(W, scale, deviations(steps, classifier))
            display = cls(W, class_names, feature_names=names, label=label)
        return display.plot(
            n_bars=n_bars,
            ax=ax,
            n_cols=n_cols,
            cmap=cmap,
            limit=limit,
            colorbar=colorbar,
        )

    def plot(
        self,
        *,
        n_bars: int = 10,
        ax: Any = None,
        n_cols: int | None = None,
        cmap: str | Colormap | None = "RdBu_r",
        limit: float | None = None,
        colorbar: bool = True,
    ) -> WeightsDisplay:
        """Draw the pictures or bars.

        Parameters
        ----------
        n_bars : int, default=10
            Bars in a panel: the features with the largest absolute weights, from the
            largest weight to the smallest. If there are no more features, all are
            drawn in their order.
        ax : matplotlib Axes or array-like of Axes, default=None
            One Axes, whose area is divided into panels, or one for each panel. None
            makes a figure.
        n_cols : int, default=None
            Panels in a row; None is at most 5 pictures, and 3 or 4 panels of bars.
        cmap : str or Colormap, default="RdBu_r"
            A diverging colour map for pictures; None is matplotlib's default.
        limit : float, default=None
            The scale goes from −`limit` to `limit`; pixels with weights beyond have
            the colour of its end, and bars are cut off. None is the largest absolute
            weight.
        colorbar : bool, default=True
            Whether to show the scale of pictures.

        Returns
        -------
        display : WeightsDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `limit` is not a number, or `n_bars` or `n_cols` not an integer.
        ValueError
            If `limit`, `n_bars` or `n_cols` is not positive, `ax` has another number
            of axes than there are panels, or is a single one that is not part of a
            grid, or no colour map is named `cmap`.
        ImportError
            If matplotlib is missing.
        """
        check_matplotlib(type(self))
        check_scalar(n_bars, "n_bars", Integral, min_val=1)
        if limit is not None:
            check_scalar(limit, "limit", Real, min_val=0, include_boundaries="neither")
        self.images_: NDArray[Any] | None = None
        self.bars_: NDArray[Any] | None = None
        self.colorbar_ = None
        weights = np.asarray(self.weights)
        if weights.ndim == 3:
            self._draw_pictures(weights, ax, n_cols, cmap, limit, colorbar)
            return self
        n_features, names = weights.shape[1], self.feature_names
        if names is None:
            names = default_names(n_features)
        self.figure_, self.axes_, self.bars_ = draw_bars(
            weights,
            self.class_names,
            check_feature_names(names, n_features),
            label=self.label,
            n_bars=n_bars,
            limit=limit,
            ax=ax,
            n_cols=n_cols,
        )
        return self

    def _draw_pictures(
        self,
        pictures: NDArray[Any],
        ax: Any,
        n_cols: int | None,
        cmap: Any,
        limit: float | None,
        colorbar: bool,
    ) -> None:
        """Draw a picture for each class, and the scale of their colours."""
        largest = max(map(abs, finite_range(pictures)))
        end = limit or largest or 1.0
        n_panels = len(pictures)
        size = (1.5, 1.7) if n_panels > 1 else (2.8, 2.5)
        made = panels(ax, n_panels, n_cols, panel_size=size)
        self.figure_, self.axes_ = made.figure, made.axes
        self.images_ = np.empty(n_panels, dtype=object)
        for i, (panel, picture, name) in enumerate(
            zip(self.axes_, pictures, self.class_names, strict=True)
        ):
            self.images_[i] = panel.imshow(picture, cmap=cmap, vmin=-end, vmax=end)
            set_title(panel, name, 1.4 if n_panels > 1 else 2.0)
            hide_ticks(panel)
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(
                self.images_[0],
                ax=list(self.axes_),
                label=self.label,
                extend="both" if largest > end else "neither",
            )


def _choose(
    W: NDArray[Any], labels: Sequence[Any], classes: Any
) -> tuple[NDArray[Any], list[str]]:
    """Return the weights and the names of the classes to show.

    With two classes, W has a row for the second against the first.
    """
    names = [str(label) for label in labels]
    by_default = list(range(len(names)))
    if len(W) == 1:
        first, second = names
        W = np.concatenate([-W, W])
        names, by_default = (
            [f"{first} against {second}", f"{second} against {first}"],
            [1],
        )
    if classes is None:
        chosen = by_default
    else:
        asked = (
            [classes] if isinstance(classes, str) else np.atleast_1d(classes).tolist()
        )
        rows = {label: row for row, label in enumerate(labels)}
        unknown = [label for label in asked if label not in rows]
        if unknown or not asked:
            raise ValueError(
                f"classes must be some of {list(rows)}; got {unknown or asked}."
            )
        chosen = [rows[label] for label in asked]
    return W[chosen], [names[i] for i in chosen]


def _scaled(
    W: NDArray[Any], scale: ArrayLike | None, known: ArrayLike | None
) -> tuple[NDArray[Any], str]:
    """Return a copy of the weights times a scale, and what they then are."""
    if scale is None:
        label = "weight" if known is None else "weight × standard deviation"
        # A copy, since some estimators go on training in the array of coef_.
        return W * (1.0 if known is None else np.asarray(known)), label
    factors = np.asarray(scale, dtype=float)
    if factors.shape not in ((), (W.shape[1],)):
        raise ValueError(
            f"scale must be a number, or a number for each of {W.shape[1]} features; "
            f"got an array of shape {factors.shape}."
        )
    is_one = factors.ndim == 0 and factors == 1
    return W * factors, "weight" if is_one else "weight × scale"


def _weights_by_class(classifier: Any) -> tuple[NDArray[Any], list[Any]]:
    """Return a linear classifier's weights, by class or in one row, and classes."""
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
    return W, np.asarray(classifier.classes_).tolist()
