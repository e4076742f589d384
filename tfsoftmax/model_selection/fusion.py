"""Groups of candidates that share their batches, and the fit of such a group."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone

from tfsoftmax.callbacks import EpochLogger, FitTask, with_callbacks_of
from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.engine.optimizers import OPTIMIZERS, initial_slots
from tfsoftmax.fitting import prepare
from tfsoftmax.model_selection.candidates import params_key
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.result import Outcome, Problem, Result
from tfsoftmax.storing import fitted_attributes, store
from tfsoftmax.utils.grouping import group_by_key
from tfsoftmax.utils.slices import split_at_most
from tfsoftmax.validation.collections import is_dask
from tfsoftmax.validation.parameters import RULES

# Maximum memory for weights, gradients and slots of models trained together; larger
# groups are trained in parts.
MAX_GROUP_BYTES = 256 << 20

Errors = list[Exception | None]

_FIT = inspect.signature(TFSoftmaxClassifier.fit)


def fusion_groups(
    classifiers: Sequence[TFSoftmaxClassifier], *, full_batches: bool = False
) -> list[list[int]]:
    """Group the indices of classifiers that can be trained on the same batches.

    With `full_batches`, those trained on full batches are grouped, too: they are
    trained one after the other, but their rows are read only once.
    """
    return group_by_key(
        i
        if _must_be_alone(clf, full_batches)
        else (type(clf), params_key(_shared(clf)))
        for i, clf in enumerate(classifiers)
    )


def fit_group(
    group: Sequence[TFSoftmaxClassifier], X: Any, y: Any, params: Mapping[str, Any]
) -> Errors:
    """Fit the classifiers of a group on the same batches.

    Parameters
    ----------
    group : sequence of TFSoftmaxClassifier
        One of the groups of :func:`fusion_groups`.
    X, y
        The rows and their labels.
    params : mapping
        The other arguments of `fit`.

    Returns
    -------
    errors : list of Exception or None
        The error raised by the fit of each classifier, if any.
    """
    if is_dask(X) and len(apart := _by_class_weight(group)) > 1:
        errors: Errors = [None] * len(group)
        for some in apart:
            fitted = fit_group([group[i] for i in some], X, y, params)
            for i, error in zip(some, fitted, strict=True):
                errors[i] = error
        return errors
    problem = error_of(partial(_checked_problem, group, X, y, params))
    if isinstance(problem, Problem):
        with problem:
            return _fit(group, problem, X, y, params)
    if len(group) == 1:
        return [problem]
    # The error may be one candidate's: the others go on without it.
    errors = [_error_alone(clf, X, y, params) for clf in group]
    valid = [i for i, error in enumerate(errors) if error is None]
    if valid:
        fitted = fit_group([group[i] for i in valid], X, y, params)
        for i, error in zip(valid, fitted, strict=True):
            errors[i] = error
    return errors


def _error_alone(
    clf: TFSoftmaxClassifier, X: Any, y: Any, params: Mapping[str, Any]
) -> Exception | None:
    """Return the error that a classifier's fit raises before it trains, if any."""
    found = error_of(partial(_checked_problem, [clone(clf)], X, y, params))
    if isinstance(found, Exception):
        return found
    with found:  # frees its rows
        return None


def _by_class_weight(group: Sequence[TFSoftmaxClassifier]) -> list[list[int]]:
    """Group the indices of classifiers with the same class weights.

    The parts of a Dask collection have the same weights for all models.
    """
    return group_by_key(params_key({"class_weight": c.class_weight}) for c in group)


def error_of(call: Callable[[], Any]) -> Any:
    """Return the result of the call, or the exception that it raised."""
    try:
        return call()
    except ImportError:  # it says what to install; no other candidate can succeed
        raise
    except Exception as error:
        return error


def _checked_problem(
    group: Sequence[TFSoftmaxClassifier], X: Any, y: Any, params: Mapping[str, Any]
) -> Problem:
    for clf in group:
        clf._check_parameters()
    labels = () if y is None else (y,)
    # `prepare` accepts arguments that `fit` refuses with Python's error.
    if isinstance(
        error_of(partial(_FIT.bind, group[0], X, *labels, **params)), TypeError
    ):
        group[0].fit(X, *labels, **params)
    return prepare(group, X, y, **params)


def _fit(
    group: Sequence[TFSoftmaxClassifier],
    problem: Problem,
    X: Any,
    y: Any,
    params: Mapping[str, Any],
) -> Errors:
    weights = params.get("sample_weight")
    with with_callbacks_of(group):
        loggers = []
        problems = [problem.for_models(slice(i, i + 1)) for i in range(len(group))]
        for clf, its_problem in zip(group, problems, strict=True):
            attributes = partial(fitted_attributes, its_problem)
            n_epochs = its_problem.settings[0].epochs
            task = FitTask(clf, n_epochs, X, y, weights, attributes)
            loggers.append(EpochLogger(clf, n_epochs, task))
        outcomes = _solve_in_parts(problem, loggers)
        errors = [
            error_of(partial(store, *fitted))
            for fitted in zip(group, problems, outcomes, loggers, strict=True)
        ]
        for clf, error in zip(group, errors, strict=True):
            if error is None:
                _raise_interruption(clf._result)
        return errors


def _solve_in_parts(problem: Problem, loggers: Sequence[EpochLogger]) -> list[Outcome]:
    """Train as many models at once as memory allows, on full batches only one.

    An error is the outcome of all models that were trained at once.
    """
    solver = SOLVERS[problem.settings[0].optimizer]
    n_models = len(problem.settings)
    at_once = MAX_GROUP_BYTES // _model_bytes(problem) if solver.by_epochs else 1
    outcomes: list[Outcome] = []
    for part in split_at_most(n_models, at_once):
        solve = partial(solver.solve, problem.for_models(part), loggers[part])
        found = error_of(solve)
        if isinstance(found, Exception):
            found = [found] * len(loggers[part])
        for outcome in found:
            _raise_interruption(outcome)
        outcomes += found
    return outcomes


def _raise_interruption(outcome: Outcome) -> None:
    """Raise KeyboardInterrupt again: unfinished models can't be compared."""
    if isinstance(outcome, Result) and outcome.ended == "interrupted":
        raise KeyboardInterrupt


def _model_bytes(problem: Problem) -> int:
    """Return the bytes of one model: weights and slots, twice, and a gradient."""
    V = np.zeros((1, problem.n_classes, problem.dataset.n_features + 1))
    optimizer, l1 = problem.settings[0].optimizer, any(s.l1 for s in problem.settings)
    slots = initial_slots(optimizer, V, l1=l1) if optimizer in OPTIMIZERS else ()
    n_bytes = 2 * (V.nbytes + sum(slot.nbytes for slot in slots)) + V.nbytes
    if problem.dataset.n_weight_rows > 1:
        n_bytes += V.itemsize * len(problem.dataset)
    return int(n_bytes)


def _must_be_alone(clf: TFSoftmaxClassifier, full_batches: bool) -> bool:
    """Whether a candidate is verbose, invalid, or of a solver that is not grouped."""
    if isinstance(error_of(clf._check_parameters), Exception):
        return True
    return bool(clf.verbose) or not (full_batches or SOLVERS[clf.optimizer].by_epochs)


def _shared(clf: TFSoftmaxClassifier) -> dict[str, Any]:
    """Return the parameters that classifiers trained together must share.

    A subclass may have other parameters that determine these.
    """
    return {name: getattr(clf, name) for name in RULES if not RULES[name].per_model}
