"""WeightsDisplay: the weights of a linear classifier, as pictures or bars."""

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
    upright_label,
)
from tfsoftmax.displays._parts import map_back, take_apart
from tfsoftmax.engine.spec import weight_rows
from tfsoftmax.utils.sparse import to_dense

if TYPE_CHECKING:
    from matplotlib.colors import Colormap


class WeightsDisplay:
    r"""Weights of a linear classifier, as pictures (of pixels) or bars.

    The logit of class k is :math:`z_k = \sum_j w_{kj} x_j + b_k`: it changes by
    :math:`w_{kj}` when feature j increases by 1. Red weights raise it, blue weights
    lower it. All panels share one scale. With two classes there is one panel, for the
    second class against the first.

    The weights of pixels are drawn as one picture per class. The weights of other
    features, such as words or the columns of a table, are drawn as bars: for each
    class, the largest absolute weights.

    Weights depend on the units of the features: a weight per millimetre is a thousandth
    of a weight per metre. If the standard deviations of the features are known, the
    display shows each weight times the standard deviation, and the label says so.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    weights : array-like of shape (n_panels, height, width) or (n_panels, n_features)
        The weights: drawn as pictures if three-dimensional, as bars if two-dimensional.
    class_names : sequence of str of length n_panels
        Titles of the panels.
    feature_names : sequence of str of length n_features, default=None
        Labels of the bars; None means x0, x1 and so on.
    label : str, default="weight"
        Label of the scale.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure drawn on.
    axes_ : ndarray of shape (n_panels,) of matplotlib Axes
        The panels.
    images_ : ndarray of shape (n_panels,) of matplotlib AxesImage, or None
        The pictures; None if bars are drawn.
    bars_ : ndarray of shape (n_panels,) of matplotlib BarContainer, or None
        The bars; None if pictures are drawn.
    colorbar_ : matplotlib Colorbar or None
        The colour scale of pictures; None with ``colorbar=False`` and for bars.

    See Also
    --------
    PredictionsDisplay : Pictures with their true and predicted classes.

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
            Any classifier with one row of `coef_` per class. A search is represented by
            its best estimator.

            Bars show the input features of a pipeline's last step, with the names that
            the previous steps assign. The prefix that a column transformer adds to a
            name is left out if the name is unique without it. For pictures, the weights
            are mapped back through scalers, feature selectors, PCA and similar steps to
            the features that the pipeline was fitted on.
        image_shape : tuple (height, width), default=None
            Shape of the pictures. None draws square pictures if the features look like
            pixels: their number is a square from 64 (8 x 8) to 4096 (64 x 64), and they
            have no names, or names such as pixel_0_0, pixel1 or 12x7. Otherwise, None
            draws bars.
        feature_names : array-like of shape (n_features,), default=None
            Draws bars with these names, for instance
            ``vectorizer.get_feature_names_out()``. None uses the names known to the
            pipeline or the classifier, else x0, x1 and so on.
        classes : label or list of labels, default=None
            The classes to show, in this order; None shows all. With two classes, None
            shows the second against the first.
        scale : float or array-like of shape (n_features,), default=None
            Factors of the weights: the change in a feature whose effect is shown, for
            instance ``X.std()``. None means the standard deviations of the features if
            they are known, from ``rescale="standard"`` (the default for most tables) or
            a `StandardScaler` in the pipeline; otherwise 1.
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
            If `estimator` is not an estimator, its `coef_` is missing or does not have
            one row per class, or `feature_names` is not a list.
        ValueError
            If `image_shape`, `feature_names` or `scale` does not match the number of
            features; `image_shape` and `feature_names` are both passed; `classes` is
            empty or contains an unknown class; pictures are requested for a pipeline
            with a step that is not known to be linear; a search has no best estimator;
            or an argument of :meth:`plot` is invalid.
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
            Maximum number of bars per panel: the features with the largest absolute
            weights, sorted by weight. If there are no more features, all are drawn in
            their original order.
        ax : matplotlib Axes or array-like of Axes, default=None
            One Axes, whose area is divided into panels, or one Axes per panel. None
            creates a figure.
        n_cols : int, default=None
            Number of panels per row; None means at most 5 pictures, or 3 or 4 panels of
            bars.
        cmap : str or Colormap, default="RdBu_r"
            A diverging colour map for pictures; None means matplotlib's default.
        limit : float, default=None
            The scale ranges from −`limit` to `limit`. Larger weights are drawn in the
            colour at the end of the scale, or as bars that are cut off. None means the
            largest absolute weight.
        colorbar : bool, default=True
            Whether to show the colour scale of pictures.

        Returns
        -------
        display : WeightsDisplay
            The display itself.

        Raises
        ------
        TypeError
            If `limit` is not a number, or `n_bars` or `n_cols` is not an integer.
        ValueError
            If `limit`, `n_bars` or `n_cols` is not positive; if `ax` has the wrong
            number of axes, or is a single Axes that is not part of a grid; or if there
            is no colour map named `cmap`.
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
        """Draw one picture per class, and the colour scale."""
        largest = max(map(abs, finite_range(pictures)))
        end = limit or largest or 1.0
        n_panels = len(pictures)
        for_scale = 1.0 if colorbar and n_panels > 1 else 0.0
        size = (1.5 - for_scale / 5, 1.7) if n_panels > 1 else (2.8, 2.5)
        made = panels(ax, n_panels, n_cols, panel_size=size, beside=for_scale)
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
                label=upright_label(self.label, self.axes_),
                extend="both" if largest > end else "neither",
            )


def _choose(
    W: NDArray[Any], labels: Sequence[Any], classes: Any
) -> tuple[NDArray[Any], list[str]]:
    """Return the weights and the names of the classes to show.

    With two classes, W has one row, for the second against the first.
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
    """Return a copy of the weights times a scale, and their label."""
    if scale is None:
        label = "weight" if known is None else "weight × standard deviation"
        # A copy, since some estimators continue training in place, in coef_.
        return W * (1.0 if known is None else np.asarray(known)), label
    factors = np.asarray(scale, dtype=float)
    if factors.shape not in ((), (W.shape[1],)):
        raise ValueError(
            f"scale must be a number, or one number for each of {W.shape[1]} features; "
            f"got an array of shape {factors.shape}."
        )
    is_one = factors.ndim == 0 and factors == 1
    return W * factors, "weight" if is_one else "weight × scale"


def _weights_by_class(classifier: Any) -> tuple[NDArray[Any], list[Any]]:
    """Return the weights, one row per class (one for two classes), and the classes."""
    if not hasattr(classifier, "coef_") or not hasattr(classifier, "classes_"):
        raise TypeError(
            "WeightsDisplay needs a linear classifier with coef_ and classes_; "
            f"{type(classifier).__name__} is not one."
        )
    W = np.atleast_2d(to_dense(classifier.coef_))
    n_classes = len(classifier.classes_)
    # An SVC has one row for each pair of classes: three rows for three classes.
    has_rows_of_pairs = hasattr(classifier, "decision_function_shape") and n_classes > 2
    if has_rows_of_pairs or len(W) != weight_rows(n_classes):
        raise TypeError(
            f"WeightsDisplay needs one row of weights per class; the {len(W)} rows of "
            f"{type(classifier).__name__}'s coef_ do not correspond to its {n_classes} "
            "classes."
        )
    return W, np.asarray(classifier.classes_).tolist()
