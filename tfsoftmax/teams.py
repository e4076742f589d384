"""Which candidates of a search train together, and their training."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from tfsoftmax.callbacks import FitTask, with_callbacks_of
from tfsoftmax.chunks import Rows
from tfsoftmax.classifier import (
    EstimatorWatch,
    TFSoftmaxClassifier,
    own_generator,
)
from tfsoftmax.inputs import naming, row_weights
from tfsoftmax.parameters import RULES, check_parameters
from tfsoftmax.passes import evenly
from tfsoftmax.side_by_side import train_side_by_side
from tfsoftmax.training import Record

# What the weights, gradients and slots of models trained together may take: larger
# teams go in parts.
MAX_TEAM_BYTES = 256 << 20

Errors = list[Exception | None]


def classifier_of(model: Any) -> TFSoftmaxClassifier:
    """Give the classifier that a pipeline ends in, or that the model is."""
    final = model
    if isinstance(model, Pipeline):
        with naming("estimator", IndexError, KeyError):
            final = model.steps[-1][1]
    if type(final) is not TFSoftmaxClassifier:  # a subclass may do anything
        raise TypeError(
            "The estimator of this search must be a TFSoftmaxClassifier, or a pipeline "
            f"that ends in one; got {model!r}. Use "
            "sklearn.model_selection.GridSearchCV or RandomizedSearchCV for it."
        )
    return final


def preprocessing_key(estimator: Any, params: Mapping[str, Any]) -> Hashable:
    """Tell candidates apart by what comes before the classifier."""
    if not isinstance(estimator, Pipeline):
        return ()
    last = estimator.steps[-1][0]
    others = {name: value for name, value in params.items() if name != last}
    return _key({n: v for n, v in others.items() if not n.startswith(f"{last}__")})


def teams(classifiers: Sequence[TFSoftmaxClassifier]) -> list[list[int]]:
    """Group classifiers that can be trained on the same batches."""
    together: dict[Hashable, list[int]] = {}
    for place, clf in enumerate(classifiers):
        params = clf.get_params()
        shared = {name: v for name, v in params.items() if not RULES[name].per_model}
        key = place if _trains_alone(params) else _key(shared)
        together.setdefault(key, []).append(place)
    return list(together.values())


def _trains_alone(params: Mapping[str, Any]) -> bool:
    """Tell whether a fit shares nothing: it prints, has no epochs, or is refused."""
    is_refused = _error_of(lambda: check_parameters(params)) is not None
    return bool(is_refused or params["optimizer"] == "lbfgs" or params["verbose"])


def _key(params: Mapping[str, Any]) -> Hashable:
    return tuple((name, _identity(params[name])) for name in sorted(params))


def _identity(value: Any) -> Hashable:
    """Make a key of a value: equal for equal ones, where that can be told."""
    if isinstance(value, np.random.RandomState):
        return str(joblib.hash(value.get_state(legacy=False)))
    try:
        hash(value)
    except TypeError:
        return type(value), id(value)
    return type(value), value


def train_team(
    team: Sequence[TFSoftmaxClassifier], X: Any, y: Any, params: dict[str, Any]
) -> Errors:
    """Fit the classifiers of a team; those that fail are told by their errors."""
    if len(team) == 1:
        error = _error_of(lambda: team[0].fit(X, y, **params))
        if error is None and team[0]._record.ended == "interrupted":
            raise KeyboardInterrupt  # a model cut short is not to be compared
        return [error]
    try:
        return _fit_together(team, X, y, **params)
    except ImportError:
        raise
    except Exception as error:  # of what they share
        return [error] * len(team)


def _error_of(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except ImportError:  # no candidate has a chance, and it says what to install
        raise
    except Exception as error:
        return error
    return None


def _fit_together(
    team: Sequence[TFSoftmaxClassifier],
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
) -> Errors:
    """Do what `fit` does for each of the classifiers, the shared parts once."""
    leader = clone(team[0]).set_params(class_weight=None)
    rows = leader._validate_rows(X, y, sample_weight, former=None)
    held_out = leader._validate_held_out(X_val, y_val, sample_weight_val)
    weights: dict[int, NDArray[np.float64] | None] = {}
    errors: Errors = [None] * len(team)
    for place, clf in enumerate(team):
        try:
            weights[place] = row_weights(
                sample_weight,
                len(rows),
                class_weight=clf.class_weight,
                y=rows.y,
                classes=leader.classes_,
            )
        except (TypeError, ValueError) as error:
            errors[place] = error
    if not weights:
        return errors
    if any(team[place].class_weight is not None for place in weights):
        ones = np.ones(len(rows))
        own = [ones if weight is None else weight for weight in weights.values()]
        rows = replace(rows, weights=np.stack(own))
    leader._random_state = own_generator(leader.random_state)
    if leader.early_stopping and held_out is None:
        rows, held_out = leader._hold_out(rows, sample_weight, None)
    members = [team[place] for place in weights]
    learned = {name: v for name, v in vars(leader).items() if name not in RULES}
    with with_callbacks_of(members):
        watches = []
        for clf in members:
            clf.__dict__ |= learned
            clf._random_state = copy.deepcopy(leader._random_state)
            task = FitTask(clf, clf.epochs, X, y, sample_weight)
            watches.append(EstimatorWatch(clf, clf.epochs, task))
        outcomes = _train_in_parts(members, rows, held_out, watches)
        for place, outcome, watch in zip(weights, outcomes, watches, strict=True):
            if isinstance(outcome, ValueError):
                errors[place] = outcome
            else:
                conclude = functools.partial(team[place]._conclude, outcome, watch)
                errors[place] = _error_of(lambda conclude=conclude: conclude(len(rows)))  # type: ignore[misc]
    return errors


def _train_in_parts(
    team: Sequence[TFSoftmaxClassifier],
    rows: Rows,
    held_out: Rows | None,
    watches: Sequence[EstimatorWatch],
) -> list[Record | ValueError]:
    """Train as many at once as there is memory for, all of them in the same order."""
    n_classes = len(team[0].classes_)
    # Weights, gradient, and two slots at most, with a copy of what is kept.
    model_bytes = 6 * 8 * n_classes * (rows.n_features + 1)
    if rows.n_weightings > 1:
        model_bytes += 8 * len(rows)
    outcomes: list[Record | ValueError] = []
    for part in parts(len(team), MAX_TEAM_BYTES // model_bytes):
        outcomes += train_side_by_side(
            rows.of_models(part),
            n_classes,
            [clf._settings() for clf in team[part]],
            [clf._random_state for clf in team[part]],
            watches=watches[part],
            held_out=held_out,
        )
    return outcomes


def parts(n: int, at_once: int) -> list[slice]:
    """Cut n into slices of nearly the same length, each at most so long."""
    return evenly(n, math.ceil(n / max(1, at_once)))
