"""The jobs of a search: on each fold, the candidates with the same preprocessing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from tfsoftmax.classifier import TFSoftmaxClassifier


@dataclass(frozen=True)
class EvaluationJob:
    """The rows of a fold, and the candidates to evaluate on it.

    All fields up to `caller` are the same in all jobs of a search.
    """

    estimator: Any
    X: Any
    y: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    scorer: Any
    error_score: Any
    return_train_score: bool
    verbose: int
    caller: Any
    name: str = ""
    train: Any = None
    test: Any = None
    candidates: Sequence[Mapping[str, Any]] = ()
    contexts: Sequence[Any] = ()


def make_jobs(
    template: EvaluationJob,
    candidates: Sequence[Mapping[str, Any]],
    splits: Sequence[tuple[Any, Any]],
    contexts: Sequence[Any],
) -> Iterator[tuple[EvaluationJob, list[int]]]:
    """Yield a job for each fold and preprocessing, and the positions of its results.

    Parameters
    ----------
    template : EvaluationJob
        What is the same for all jobs.
    candidates : sequence of dict
        The parameters of each candidate.
    splits : sequence of (train, test)
        The rows of each fold.
    contexts : sequence
        The callbacks' context of each result: by candidate, then by fold.
    """
    groups: dict[Hashable, list[int]] = {}
    for candidate, params in enumerate(candidates):
        key = _preprocessing_key(template.estimator, params)
        groups.setdefault(key, []).append(candidate)
    for split, (train, test) in enumerate(splits):
        for group in groups.values():
            positions = [candidate * len(splits) + split for candidate in group]
            job = replace(
                template,
                name=f"fold {split + 1}/{len(splits)}",
                train=train,
                test=test,
                candidates=[candidates[candidate] for candidate in group],
                contexts=[contexts[position] for position in positions],
            )
            yield job, positions


def classifier_of(model: Any) -> TFSoftmaxClassifier:
    """Return the classifier that a pipeline ends in, or the model itself."""
    final = model
    if isinstance(model, Pipeline):
        final = model.steps[-1][1] if model.steps else None
    if type(final) is not TFSoftmaxClassifier:  # a subclass may do anything
        raise TypeError(
            "The estimator of this search must be a TFSoftmaxClassifier, or a pipeline "
            f"that ends in one; got {model!r}. Use "
            "sklearn.model_selection.GridSearchCV or RandomizedSearchCV for it."
        )
    return final


def params_key(params: Mapping[str, Any]) -> Hashable:
    """Return a key that is equal for equal parameters, as far as can be known."""
    return tuple((name, _value_key(params[name])) for name in sorted(params))


def _preprocessing_key(estimator: Any, params: Mapping[str, Any]) -> Hashable:
    """Return a key of the parameters of the steps before the classifier."""
    if not isinstance(estimator, Pipeline):
        return ()
    last = estimator.steps[-1][0]
    return params_key(
        {
            name: value
            for name, value in params.items()
            if name != last and not name.startswith(f"{last}__")
        }
    )


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
