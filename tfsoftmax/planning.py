"""What a search is to evaluate: candidates, on folds of rows, as passed, or an error.

scikit-learn finds much of what is wrong only within a fold, in words that name no
argument; here it is found before the first one is trained.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.model_selection import (
    GridSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
    check_cv,
)
from sklearn.utils import _safe_indexing, check_consistent_length, indexable
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples

from tfsoftmax.folds import Fold
from tfsoftmax.inputs import check_length, check_structure, naming, refuse_masked
from tfsoftmax.teams import classifier_of, preprocessing_key

# What has a value for each row, whoever asks for it; None or a number is for all.
_PER_ROW = ("sample_weight", "groups")


def check_data(X: Any, y: Any) -> tuple[Any, Any]:
    """Check what all folds need of rows, whatever the steps before take."""
    X = check_structure(X)
    with naming("X"):
        n_samples = _num_samples(X)
        X = _rows_of(X)
    check_length(y, n_samples)
    with naming("y"):
        type_of_target(y)
        y = _rows_of(y)
    return X, y


def _rows_of(values: Any) -> Any:
    """Make something of which rows can be taken."""
    (values,) = indexable(values)
    _safe_indexing(values, np.arange(_num_samples(values))[:1])
    return values


def check_fit_params(X: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check what goes to `fit` beside X and y, and make it ready to be indexed."""
    checked: dict[str, Any] = {}
    for name, value in params.items():
        with naming(name):
            if name in _PER_ROW and np.ndim(value) > 0:
                check_consistent_length(X, value)
                refuse_masked(value, name)
                value = _rows_of(value)
            checked |= _check_method_params(X, params={name: value})
    return checked


def space_of(search: Any) -> str:
    """Give the name of the parameter that says what is searched."""
    spaces = ("param_grid", "param_distributions")
    return next((name for name in spaces if hasattr(search, name)), "The search")


def check_space(search: Any) -> None:
    """Check what the candidates are drawn from, as their drawing will."""
    name = space_of(search)
    own = (GridSearchCV._run_search, RandomizedSearchCV._run_search)
    if type(search)._run_search not in own:
        return  # which may draw them in its own way
    with naming(name):
        if name == "param_grid":
            ParameterGrid(search.param_grid)
        elif name == "param_distributions":
            len(ParameterSampler(search.param_distributions, search.n_iter))


def check_dispatch(search: Any) -> None:
    """Check `pre_dispatch` as joblib will, which tells only when there is work."""
    if search.n_jobs not in (None, 1):
        of_threads = Parallel(2, backend="threading", pre_dispatch=search.pre_dispatch)
        with naming("pre_dispatch"):
            if not of_threads([delayed(bool)()]):
                raise ValueError("It dispatches nothing.")


def named_candidates(search: Any, candidates: Iterable[Any]) -> list[dict[str, Any]]:
    """List the candidates, whose parameters the estimator must have."""
    with naming(space_of(search), AttributeError):
        named = list(candidates)
        # Which parameters there are depends on the steps, whatever the other values.
        kinds = {(*params, *_steps_among(params)): params for params in named}
        for params in kinds.values():
            model = clone(search.estimator).set_params(**clone(params, safe=False))
            classifier_of(model)
    return named


def _steps_among(params: Mapping[str, Any]) -> list[int]:
    """Tell apart the steps that a candidate puts into a pipeline."""
    return [
        id(value)
        for value in params.values()
        if value is None or isinstance(value, str) or hasattr(value, "get_params")
    ]


def splits_of(search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> list[Any]:
    """List the folds: the rows to train on, and those to test on."""
    with naming("cv", IndexError):
        cv = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
        n_splits = cv.get_n_splits(X, y, **params)
        splits = [
            (_places(train), _places(test)) for train, test in cv.split(X, y, **params)
        ]
        rows = np.arange(_num_samples(X))
        if splits and not any(train.size for train, _ in splits):
            raise ValueError("No fold has rows to train on.")
        for places in itertools.chain.from_iterable(splits):
            if np.ndim(rows[places]) != 1:
                raise ValueError(f"A fold must be an array of rows; got {places!r}.")
        if len(splits) != n_splits:
            raise ValueError(
                f"The splitter's get_n_splits promises {n_splits} folds, and its split "
                f"gives {len(splits)}."
            )
    return splits


def _places(rows: Any) -> NDArray[Any]:
    """Make an array of the rows of a fold: their numbers, or a mask."""
    places = np.asarray(rows)
    return places if places.size else places.astype(np.intp)


def jobs_of(
    fold: Fold,
    candidates: Sequence[Mapping[str, Any]],
    splits: Sequence[tuple[Any, Any]],
    contexts: Sequence[Any],
) -> Iterator[tuple[Fold, list[int]]]:
    """Make a job of each fold and preprocessing, and say where its results belong."""
    together: dict[Hashable, list[int]] = {}
    for number, params in enumerate(candidates):
        together.setdefault(preprocessing_key(fold.estimator, params), []).append(
            number
        )
    for split, (train, test) in enumerate(splits):
        for numbers in together.values():
            places = [number * len(splits) + split for number in numbers]
            job = replace(
                fold,
                name=f"fold {split + 1}/{len(splits)}",
                train=train,
                test=test,
                candidates=[candidates[number] for number in numbers],
                contexts=[contexts[place] for place in places],
            )
            yield job, places
