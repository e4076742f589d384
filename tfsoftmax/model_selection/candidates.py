"""The classifier of a candidate, and whether it can be trained with others.

The last step of a pipeline may be another pipeline: the classifier is the innermost
last step.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from tfsoftmax.classifier import TFSoftmaxClassifier


def candidate_model(estimator: Any, params: Mapping[str, Any]) -> Any:
    """Return an unfitted model with a candidate's parameters."""
    # The parameters are cloned, too: they may be estimators.
    return clone(estimator).set_params(**clone(params, safe=False))


def pipelines_of(model: Any) -> list[Pipeline]:
    """Return the pipelines that end in the classifier, from the outermost inwards."""
    pipelines = []
    while isinstance(model, Pipeline):
        pipelines.append(model)
        model = _last_step(model)[1]
    return pipelines


def classifier_of(model: Any) -> Any:
    """Return the last estimator of a pipeline, or the model itself."""
    pipelines = pipelines_of(model)
    return _last_step(pipelines[-1])[1] if pipelines else model


def can_be_fused(model: Any) -> bool:
    """Whether the model is a TFSoftmaxClassifier, possibly after other steps.

    Subclasses that override `fit` may do anything, so they are excluded.
    """
    final = classifier_of(model)
    return (
        isinstance(final, TFSoftmaxClassifier)
        and type(final).fit is TFSoftmaxClassifier.fit
        and all(type(each).fit is Pipeline.fit for each in pipelines_of(model))
    )


def preprocessing_key(model: Any, params: Mapping[str, Any]) -> Hashable:
    """Return a key of the parameters of the steps before the classifier."""
    path = "__".join(_last_step(each)[0] for each in pipelines_of(model))
    if not path:
        return ()
    before = {
        name: value
        for name, value in params.items()
        if name != path and not name.startswith(f"{path}__")
    }
    return path, params_key(before)


def params_key(params: Mapping[str, Any]) -> Hashable:
    """Return a key that is equal for parameters that are known to be equal."""
    return tuple((name, _value_key(params[name])) for name in sorted(params))


def _last_step(pipeline: Pipeline) -> tuple[str, Any]:
    """Return the name and estimator of the last step, or ("", None) if invalid."""
    match pipeline.steps:
        case [*_, (str(name), step)]:
            return name, step
        case _:
            return "", None


def _value_key(value: Any) -> Hashable:
    if isinstance(value, np.random.RandomState):
        return str(joblib.hash(value.get_state(legacy=False)))
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(_value_key, value))
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, value.tobytes()
    try:
        hash(value)
    except TypeError:
        return type(value), id(value)
    return type(value), value
