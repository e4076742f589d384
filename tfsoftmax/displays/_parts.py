"""The steps of a fitted search or pipeline, and weights mapped back through them.

Weights W of the features x' = A x + c are weights W A of x. Thus the weights of a
pipeline's last step become weights of the pixels that the pipeline was fitted on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import BaseRandomProjection
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.utils.sklearn_compat import BaseSearchCV


def take_apart(estimator: Any) -> tuple[list[Any], Any]:
    """Return the fitted steps before the classifier, and the classifier.

    A search is represented by its best estimator.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is not an estimator.
    ValueError
        If a search has no best estimator.
    """
    check_is_fitted(estimator)
    if isinstance(estimator, BaseSearchCV):
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                f"{type(estimator).__name__}(refit=False) has no best estimator to "
                "show. Search with refit=True."
            )
        return take_apart(estimator.best_estimator_)
    if not isinstance(estimator, Pipeline):
        return [], estimator
    *transformers, last = [step for _, step in estimator.steps]
    inner, classifier = take_apart(last)
    return _flatten(transformers) + inner, classifier


def _flatten(steps: list[Any]) -> list[Any]:
    """Replace nested pipelines with their steps, and drop "passthrough"."""
    flat: list[Any] = []
    for step in steps:
        if isinstance(step, Pipeline):
            flat += _flatten([inner for _, inner in step.steps])
        elif step is not None and not isinstance(step, str):
            flat.append(step)
    return flat


def map_back(W: NDArray[Any], steps: list[Any]) -> NDArray[Any]:
    """Return the weights W A of the features that the first step was fitted on.

    Parameters
    ----------
    W : ndarray of shape (n_rows, n_transformed_features)
    steps : list of fitted transformers

    Returns
    -------
    W : ndarray of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If a step is not known to be linear.
    """
    for step in reversed(steps):
        W = _linear_map(step)(step, W)
    return W


# From a fitted step and W to W A.
LinearMap = Callable[[Any, NDArray[Any]], NDArray[Any]]


def _linear_map(step: Any) -> LinearMap:
    """Return the map for a step, or raise a ValueError if it may be nonlinear."""
    if is_linear(step):
        return next(m for kind, m in _RULES.items() if isinstance(step, kind))
    raise ValueError(
        f"The weights can't be mapped back through {step!r}, which is not known to be "
        "linear. scikit-learn's scalers, selectors, PCA, TruncatedSVD and random "
        "projections are. Pass the pipeline's last step, pipeline[-1], to show the "
        "weights of the transformed features."
    )


def is_linear(step: Any) -> bool:
    """Whether weights can be mapped back through a fitted step."""
    clips = getattr(step, "clip", False)
    applies_function = getattr(step, "func", None) is not None
    return isinstance(step, tuple(_RULES)) and not (clips or applies_function)


def is_elementwise(step: Any) -> bool:
    """Whether a fitted step scales, shifts and drops features, and mixes none."""
    mixers = (PCA, IncrementalPCA, TruncatedSVD, BaseRandomProjection)
    return is_linear(step) and not isinstance(step, mixers)


def _divide(scaler: Any, W: NDArray[Any]) -> NDArray[Any]:
    """Return W A for A = diag(1 / scale_)."""
    return W if scaler.scale_ is None else W / scaler.scale_


def _project(step: Any, W: NDArray[Any]) -> NDArray[Any]:
    """Return W A for A = components_, its rows divided by the scale of whitening."""
    if getattr(step, "whiten", False):
        scale = np.sqrt(step.explained_variance_)
        W = W / np.maximum(scale, np.finfo(scale.dtype).eps)
    return np.asarray(W @ step.components_)


def _scatter(selector: Any, W: NDArray[Any]) -> NDArray[Any]:
    """Return W A for A = the selected rows of the identity matrix."""
    support = selector.get_support()
    mapped = np.zeros((len(W), len(support)), W.dtype)
    mapped[:, support] = W
    return mapped


_RULES: dict[type, LinearMap] = {
    StandardScaler: _divide,
    RobustScaler: _divide,
    MaxAbsScaler: _divide,
    MinMaxScaler: lambda scaler, W: W * scaler.scale_,
    PCA: _project,
    IncrementalPCA: _project,
    TruncatedSVD: _project,
    BaseRandomProjection: _project,
    SelectorMixin: _scatter,
    FunctionTransformer: lambda step, W: W,  # without a function, the identity
}
