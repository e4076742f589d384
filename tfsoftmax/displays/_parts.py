"""How a fitted search or pipeline is taken apart, and weights are mapped back.

Weights W of features x' = A x + c are weights W A of x: that is how the weights of a
pipeline's last step become weights of the pixels that the pipeline was given.
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

from tfsoftmax.inputs import naming
from tfsoftmax.utils.sklearn_compat import BaseSearchCV


def take_apart(estimator: Any) -> tuple[list[Any], Any]:
    """Give the fitted steps before the classifier, and the classifier itself.

    A search stands for its best estimator.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is no estimator.
    ValueError
        If a search has kept no best estimator.
    """
    with naming("estimator", IndexError, KeyError):
        check_is_fitted(estimator)
    if isinstance(estimator, BaseSearchCV):
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                f"{type(estimator).__name__}(refit=False) has kept no estimator to "
                "show. Search with refit=True."
            )
        return take_apart(estimator.best_estimator_)
    if not isinstance(estimator, Pipeline):
        return [], estimator
    with naming("estimator"):
        *before, last = [step for _, step in estimator.steps]
    inner, classifier = take_apart(last)
    return _flat(before) + inner, classifier


def _flat(steps: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for step in steps:
        if isinstance(step, Pipeline):
            flat += _flat([inner for _, inner in step.steps])
        elif step is not None and not isinstance(step, str):  # "passthrough"
            flat.append(step)
    return flat


def map_back(W: NDArray[Any], steps: list[Any]) -> NDArray[Any]:
    """Give the weights W A of the features that the first step was given.

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
        W = _rule_for(step)(step, W)
    return W


Rule = Callable[[Any, NDArray[Any]], NDArray[Any]]


def _rule_for(step: Any) -> Rule:
    bent = getattr(step, "clip", False) or getattr(step, "func", None) is not None
    for kind, rule in _RULES.items():
        if isinstance(step, kind) and not bent:
            return rule
    raise ValueError(
        f"The weights can't be mapped back through {step!r}, which is not known to be "
        "linear. What is known: scikit-learn's scalers, selectors, PCA, TruncatedSVD "
        "and random projections. Pass the pipeline's last step, pipeline[-1], for the "
        "weights of the transformed features."
    )


def _divided(scaler: Any, W: NDArray[Any]) -> NDArray[Any]:
    return W if scaler.scale_ is None else W / scaler.scale_


def _projected(step: Any, W: NDArray[Any]) -> NDArray[Any]:
    if getattr(step, "whiten", False):
        scale = np.sqrt(step.explained_variance_)
        W = W / np.maximum(scale, np.finfo(scale.dtype).eps)
    return np.asarray(W @ step.components_)


def _selected(selector: Any, W: NDArray[Any]) -> NDArray[Any]:
    support = selector.get_support()
    of_all = np.zeros((len(W), len(support)), W.dtype)
    of_all[:, support] = W
    return of_all


_RULES: dict[type, Rule] = {
    StandardScaler: _divided,
    RobustScaler: _divided,
    MaxAbsScaler: _divided,
    MinMaxScaler: lambda scaler, W: W * scaler.scale_,
    PCA: _projected,
    IncrementalPCA: _projected,
    TruncatedSVD: _projected,
    BaseRandomProjection: _projected,
    SelectorMixin: _selected,
    FunctionTransformer: lambda step, W: W,  # without a function, the identity
}
