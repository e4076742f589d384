"""The first step of a fit: turning its arguments into a problem for a solver.

    estimators, X, y, … → prepare → Problem → SOLVERS[optimizer].solve → Result → store

A fit of one estimator and a search's fit of many on the same rows take the same steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from tfsoftmax.data.columns import occurring_columns
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.hold_out import split
from tfsoftmax.data.ranges import MAX_SHARE_BEYOND, share_beyond
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.features import Rescale, Scaling
from tfsoftmax.reading import Passed, read, read_held_out
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.automatic import (
    TrainingRows,
    automatic_rescale,
    choose,
    is_auto,
)
from tfsoftmax.solvers.result import Problem, Result
from tfsoftmax.solvers.settings import Settings
from tfsoftmax.utils.warn import warn
from tfsoftmax.validation.labels import check_classes, find_classes, is_soft
from tfsoftmax.validation.parameters import RULES


def prepare(
    estimators: Sequence[Any],
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None = None,
    *,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: ArrayLike | None = None,
    classes: NDArray[Any] | None = None,
    previous: Result | None = None,
    n_epochs: int | None = None,
) -> Problem:
    """Turn the arguments of a fit of M ≥ 1 estimators into a problem.

    Parameters
    ----------
    estimators : sequence of TFSoftmaxClassifier
        Their parameters are valid, and differ only in those that
        :data:`~tfsoftmax.validation.parameters.RULES` allows per model. The first one
        validates X and stores scikit-learn's attributes, such as `n_features_in_`.
    X, y, sample_weight, X_val, y_val, sample_weight_val
        As passed to `fit`.
    classes : ndarray of shape (n_classes,), default=None
        The labels of the classes; by default those in y.
    previous : Result, default=None
        The result to continue from, with one estimator.
    n_epochs : int, default=None
        Number of epochs; by default `epochs` of each estimator.

    Returns
    -------
    problem : Problem
    """
    first = estimators[0]
    rows = read(estimators, X, y, sample_weight, classes, previous)
    with ExitStack() as closing:
        closing.callback(rows.dataset.close)
        held_out = read_held_out(first, rows.classes, X_val, y_val, sample_weight_val)
        if held_out is not None:
            closing.callback(held_out.close)
            _warn_of_another_scale(rows.dataset, held_out)
        problem = _problem(estimators, rows, held_out, previous, n_epochs)
        closing.pop_all()
    return problem


def _problem(
    estimators: Sequence[Any],
    passed: Passed,
    held_out: Rows | None,
    previous: Result | None,
    n_epochs: int | None,
) -> Problem:
    """Return the problem for the rows that were passed."""
    first = estimators[0]
    attributes = _attributes_of(first, passed.classes)
    rng = _rng_of(first, previous)
    dataset, by_sample = passed.dataset, passed.by_sample
    share: float | NDArray[np.float64] = 1.0
    if first.early_stopping and held_out is None:
        rng, seed = _hold_out_seed(first, rng, previous)
        attributes["_hold_out_seed"] = seed
        fraction = float(first.validation_fraction)
        dataset, by_sample, held_out, share = split(dataset, by_sample, fraction, seed)
    rescale, scaling = _scaling_of(first, by_sample, previous)
    rows = TrainingRows(
        dataset,
        by_sample,
        passed.totals * share,
        scaling,
        fit_intercept=bool(first.fit_intercept),
        is_stream=n_epochs is not None,
    )
    settings = tuple(
        settings_of(estimator, rescale, rows, model)
        for model, estimator in enumerate(estimators)
    )
    if previous is not None:
        settings[0].check_resumes(previous.settings)
    problem = Problem(
        dataset=dataset,
        held_out=held_out,
        classes=passed.classes,
        settings=settings,
        scaling=scaling,
        rng=rng,
        previous=previous,
        n_epochs=n_epochs,
        attributes=attributes,
    )
    return _in_occurring_columns(problem)


def settings_of(
    estimator: Any, rescale: Rescale, rows: TrainingRows, model: int = 0
) -> Settings:
    """Return an estimator's settings as plain Python numbers, which don't overflow.

    "auto" values are computed from the training rows.
    """
    parameters = {name: getattr(estimator, name) for name in RULES}
    parameters |= choose(parameters, rows, model)
    tol = parameters["tol"]
    return Settings(
        batch_size=int(parameters["batch_size"]),
        learning_rate=float(parameters["learning_rate"]),
        epochs=int(parameters["epochs"]),
        optimizer=str(parameters["optimizer"]),
        momentum=float(parameters["momentum"]),
        learning_rate_schedule=str(parameters["learning_rate_schedule"]),
        power_t=float(parameters["power_t"]),
        alpha=float(parameters["alpha"]),
        l1_ratio=float(parameters["l1_ratio"]),
        fit_intercept=bool(parameters["fit_intercept"]),
        rescale=rescale,
        shuffle=bool(parameters["shuffle"]),
        early_stopping=bool(parameters["early_stopping"]),
        scoring=str(parameters["scoring"]),
        tol=None if tol is None else float(tol),
        n_iter_no_change=int(parameters["n_iter_no_change"]),
    )


def spawn_rng(random_state: Any) -> np.random.RandomState:
    """Return a new RandomState, whose state can be saved and restored.

    An int is the seed; a RandomState, or NumPy's global one for None, draws a seed.
    """
    if isinstance(random_state, Integral):
        return np.random.RandomState(int(random_state))
    seed = check_random_state(random_state).randint(0, 2**32, 4, dtype=np.int64)
    return np.random.RandomState(seed)


def classes_to_expect(
    estimator: Any, classes: ArrayLike | None, y: Any, previous: Result | None
) -> NDArray[Any]:
    """Return the classes of a call of `partial_fit`."""
    if classes is not None:
        known = None if previous is None else estimator.classes_
        return check_classes(classes, y, known)
    if previous is not None:
        return estimator.classes_  # type: ignore[no-any-return]
    if is_soft(y):
        return find_classes(y)
    raise ValueError(
        "classes must be passed to the first call of partial_fit: all classes that "
        "will ever occur."
    )


def _scaling_of(
    estimator: Any, dataset: Rows, previous: Result | None
) -> tuple[Rescale, Scaling]:
    """Return the value of `rescale`, and the map from x to x̃ for the training rows."""
    rescale, n_features = estimator.rescale, dataset.n_features
    if is_auto(rescale):
        if previous is not None:
            return previous.settings.rescale, previous.scaling
        rescale = automatic_rescale(
            dataset,
            estimator.optimizer,
            fit_intercept=bool(estimator.fit_intercept),
        )
    if rescale is None:
        rescale = 1.0
    if not isinstance(rescale, str):
        factors = np.asarray(rescale, dtype=np.float64)
        rescale = float(factors) if factors.ndim == 0 else tuple(factors.tolist())
    if isinstance(rescale, tuple) and len(rescale) != n_features:
        raise ValueError(
            "rescale must be a number or an array with a number for each of the "
            f"{n_features} features; got {len(rescale)} numbers."
        )
    return rescale, Scaling.of(
        rescale, dataset
    ) if previous is None else previous.scaling


def _in_occurring_columns(problem: Problem) -> Problem:
    """Return the problem without columns of sparse X whose weights must stay 0."""
    dataset, held_out, previous = problem.dataset, problem.held_out, problem.previous
    # In a stream, the L1 penalty also accumulates for columns that are still empty.
    is_stream = problem.n_epochs is not None
    columns, known = None, None if previous is None else previous.columns
    has_all = previous is not None and known is None
    needs_all = has_all or (is_stream and any(s.l1 for s in problem.settings))
    # Rows on workers are trained in all columns.
    if isinstance(dataset, Dataset) and isinstance(held_out, Dataset | None):
        if not needs_all:
            columns = occurring_columns(dataset.X, known)
        if columns is not None:
            dataset = dataset.with_columns(columns)
            held_out = held_out and held_out.with_columns(columns)
    return dataclasses.replace(
        problem,
        dataset=dataset,
        held_out=held_out,
        previous=previous and previous.for_columns(columns, problem.n_features),
        columns=columns,
    )


def _warn_of_another_scale(dataset: Rows, held_out: Rows) -> None:
    """Warn of held-out rows that were not transformed like the training rows."""
    share = share_beyond(held_out, dataset)
    if share > MAX_SHARE_BEYOND:
        warn(
            f"X_val does not seem to be scaled like X: {share:.0%} of the values of "
            "one are outside the range of the other. Scale both in the same way. A "
            "pipeline transforms X_val only with transform_input=['X_val'] and "
            "metadata routing, not if it is passed as step__X_val."
        )


def _attributes_of(estimator: Any, classes: NDArray[Any]) -> dict[str, Any]:
    """Return the fitted attributes that validation has determined."""
    names = ("n_features_in_", "feature_names_in_")
    found = {
        name: getattr(estimator, name) for name in names if hasattr(estimator, name)
    }
    return found | {"classes_": classes}


def _rng_of(estimator: Any, previous: Result | None) -> np.random.RandomState | None:
    """Return the generator of the row orders, from a previous fit if there is one."""
    if previous is not None and previous.rng is not None:
        return previous.rng
    by_epochs = SOLVERS[estimator.optimizer].by_epochs
    return spawn_rng(estimator.random_state) if by_epochs else None


def _hold_out_seed(
    estimator: Any, rng: np.random.RandomState | None, previous: Result | None
) -> tuple[np.random.RandomState, int]:
    """Return the generator, and the seed for choosing the rows to hold out.

    The seed of a previous fit is kept. Otherwise it is drawn from a copy of the
    generator, and the copy is returned.
    """
    assert rng is not None
    if previous is not None and hasattr(estimator, "_hold_out_seed"):
        return rng, estimator._hold_out_seed
    after = np.random.RandomState(0)
    after.set_state(rng.get_state(legacy=False))
    return after, int(after.randint(2**31))
