"""The way into a fit: what is passed becomes a problem for a solver.

    estimators, X, y, … → prepare → Problem → SOLVERS[optimizer].solve → Result → store

A fit of one estimator and a search's fit of many on the same rows take the same steps.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from tfsoftmax.data.columns import occurring_columns
from tfsoftmax.data.dataset import Dataset, dtypes_for
from tfsoftmax.data.gather import copy_by_rows, lies_by_columns
from tfsoftmax.data.hold_out import hold_out
from tfsoftmax.data.ranges import MAX_SHARE_BEYOND, share_beyond
from tfsoftmax.engine.features import Rescale, Scaling
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
from tfsoftmax.validation.arrays import check_rows
from tfsoftmax.validation.labels import (
    check_classes,
    check_labels,
    encode,
    find_classes,
    is_soft,
    same_classes,
)
from tfsoftmax.validation.parameters import RULES
from tfsoftmax.validation.weights import row_weights, total_weight


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
    """Validate what is passed to `fit` or `partial_fit`, for M ≥ 1 estimators.

    Parameters
    ----------
    estimators : sequence of TFSoftmaxClassifier
        Their parameters are valid, and differ only in those that
        :data:`~tfsoftmax.validation.parameters.RULES` allows per model. The first one
        validates X, and gets scikit-learn's attributes for that, such as
        `n_features_in_`.
    X, y, sample_weight, X_val, y_val, sample_weight_val
        As passed to `fit`.
    classes : ndarray of shape (n_classes,), default=None
        The labels of the classes; by default those in y.
    previous : Result, default=None
        Where to resume, with one estimator.
    n_epochs : int, default=None
        Number of epochs; by default `epochs` of each estimator.

    Returns
    -------
    problem : Problem
    """
    first = estimators[0]
    X = check_rows(first, X, reset=previous is None)
    y = check_labels(y, X.shape[0])
    classes = _known_classes(first, y, classes, previous)
    codes = encode(y, classes)
    weights = _weights_of(estimators, sample_weight, codes, classes)
    dataset = Dataset(_by_rows(X, first.optimizer), codes, weights)
    held_out = _validate_held_out(first, classes, X_val, y_val, sample_weight_val)
    if held_out is not None:
        _warn_of_another_scale(dataset, held_out)
    attributes = _attributes_of(first, classes)
    rng = _rng_of(first, previous)
    if first.early_stopping and held_out is None:
        rng, seed = _hold_out_seed(first, rng, previous)
        attributes["_hold_out_seed"] = seed
        dataset, held_out = _hold_out(first, dataset, sample_weight, seed)
    by_sample = _weighted_by_sample(dataset, sample_weight)
    rescale, scaling = _scaling_of(first, by_sample, previous)
    totals = _total_weights(estimators, sample_weight, codes, classes)
    rows = TrainingRows(
        dataset,
        by_sample,
        totals * _share(weights, dataset),
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
        dataset,
        held_out,
        classes,
        settings,
        scaling,
        rng,
        previous,
        n_epochs,
        attributes,
    )
    return _in_occurring_columns(problem)


def settings_of(
    estimator: Any, rescale: Rescale, rows: TrainingRows, model: int = 0
) -> Settings:
    """Return an estimator's settings as plain Python numbers, which don't overflow.

    Where they are "auto", they are chosen by the training rows.
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

    An int is its seed; a RandomState, or NumPy's global one for None, draws the seed.
    """
    if isinstance(random_state, Integral):
        return np.random.RandomState(int(random_state))
    seed = check_random_state(random_state).randint(0, 2**32, 4, dtype=np.int64)
    return np.random.RandomState(seed)


def classes_to_expect(
    estimator: Any, classes: ArrayLike | None, y: Any, previous: Result | None
) -> NDArray[Any]:
    """Return the classes that `partial_fit` is called for."""
    if classes is not None:
        known = None if previous is None else estimator.classes_
        return check_classes(classes, y, known)
    if previous is not None:
        return estimator.classes_  # type: ignore[no-any-return]
    if is_soft(y):
        return find_classes(y)
    raise ValueError(
        "classes must be passed in the first call of partial_fit: all the classes "
        "that will ever occur."
    )


def _weighted_by_sample(dataset: Dataset, sample_weight: ArrayLike | None) -> Dataset:
    """Return the rows without class weights, so that they are the same for all models.

    What is found out about the features goes by them.
    """
    weights = row_weights(sample_weight, dataset.X.shape[0])
    if weights is not None and dataset.index is not None:
        weights = weights[dataset.index]
    return dataclasses.replace(dataset, weights=weights)


def _scaling_of(
    estimator: Any, dataset: Dataset, previous: Result | None
) -> tuple[Rescale, Scaling]:
    """Return what `rescale` is, and how x̃ comes from x by the training rows."""
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
            "rescale must be a number, or one for each feature, shape "
            f"({n_features},); got shape ({len(rescale)},)."
        )
    return rescale, Scaling.of(
        rescale, dataset
    ) if previous is None else previous.scaling


def _total_weights(
    estimators: Sequence[Any],
    sample_weight: ArrayLike | None,
    codes: NDArray[Any],
    classes: NDArray[Any],
) -> NDArray[np.float64]:
    """Return Σs of each estimator, over all rows that were passed."""
    return np.array(
        [
            total_weight(
                sample_weight,
                len(codes),
                class_weight=estimator.class_weight,
                y=codes,
                classes=classes,
            )
            for estimator in estimators
        ]
    )


def _share(weights: NDArray[np.float64] | None, dataset: Dataset) -> Any:
    """Return which part of the weight of all rows those of a dataset have."""
    n_all, index = dataset.X.shape[0], dataset.index
    if index is None or weights is None:
        return len(dataset) / n_all
    return weights[..., index].sum(axis=-1) / n_all


def _in_occurring_columns(problem: Problem) -> Problem:
    """Return the problem without columns of sparse X whose weights are to stay 0."""
    dataset, held_out, previous = problem.dataset, problem.held_out, problem.previous
    # What an L1 penalty is owed in a stream, it is owed for columns yet to come, too.
    is_stream = problem.n_epochs is not None
    columns, known = None, None if previous is None else previous.columns
    has_all = previous is not None and known is None
    if not has_all and not (is_stream and any(s.l1 for s in problem.settings)):
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


def _by_rows(X: Any, optimizer: str) -> Any:
    """Return X, or a copy by rows where it lies by columns.

    The copy is of the dtype of X, but wide integers that mini-batches compute in
    float32 are copied in that, which holds them exactly.
    """
    if not lies_by_columns(X):
        return X
    dtype = X.dtype
    if dtype.kind in "iu" and SOLVERS[optimizer].by_epochs:
        dtype = min(dtype, dtypes_for(X)[0], key=lambda dtype: dtype.itemsize)
    return copy_by_rows(X, dtype)


def _known_classes(
    estimator: Any, y: Any, classes: NDArray[Any] | None, previous: Result | None
) -> NDArray[Any]:
    """Return the classes, in the order of those of a previous fit."""
    found = find_classes(y) if classes is None else classes
    if previous is None:
        return found
    known: NDArray[Any] = estimator.classes_
    if not same_classes(found, known, y):
        name = "y" if classes is None else "classes"
        raise ValueError(
            f"{name} has other classes than the fit that training resumes: they were "
            f"{reprlib.repr(known.tolist())} and are now "
            f"{reprlib.repr(found.tolist())}."
        )
    return known


def _weights_of(
    estimators: Sequence[Any],
    sample_weight: ArrayLike | None,
    codes: NDArray[Any],
    classes: NDArray[Any],
) -> NDArray[np.float64] | None:
    """Return the rows' weights: one array for all estimators, or a row for each."""
    n_samples = len(codes)
    weights = [
        row_weights(
            sample_weight,
            n_samples,
            class_weight=estimator.class_weight,
            y=codes,
            classes=classes,
        )
        for estimator in estimators
    ]
    if len(weights) == 1 or all(e.class_weight is None for e in estimators):
        return weights[0]
    return np.stack([np.ones(n_samples) if w is None else w for w in weights])


def _validate_held_out(
    estimator: Any,
    classes: NDArray[Any],
    X_val: Any,
    y_val: Any,
    sample_weight_val: ArrayLike | None,
) -> Dataset | None:
    if X_val is None and y_val is None and sample_weight_val is None:
        return None
    if X_val is None or y_val is None:
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"X_val and y_val go together; got no {missing}.")
    X_val = check_rows(estimator, X_val, "X_val", reset=False)
    y_val = check_labels(y_val, X_val.shape[0], "y_val", "X_val")
    codes = encode(y_val, classes, "y_val")
    weights = row_weights(sample_weight_val, X_val.shape[0], name="sample_weight_val")
    return Dataset(_by_rows(X_val, estimator.optimizer), codes, weights)


def _warn_of_another_scale(dataset: Dataset, held_out: Dataset) -> None:
    """Warn of held-out rows that were not transformed as the training rows were."""
    share = share_beyond(held_out, dataset)
    if share > MAX_SHARE_BEYOND:
        warn(
            f"X_val looks unlike X: {share:.0%} of the values of one lie beyond the "
            "range of the other. Scale both alike. A pipeline transforms X_val with "
            "transform_input=['X_val'] and metadata routing, not if it is passed as "
            "step__X_val."
        )


def _attributes_of(estimator: Any, classes: NDArray[Any]) -> dict[str, Any]:
    """Return the fitted attributes that validation has found out."""
    names = ("n_features_in_", "feature_names_in_")
    found = {
        name: getattr(estimator, name) for name in names if hasattr(estimator, name)
    }
    return found | {"classes_": classes}


def _rng_of(estimator: Any, previous: Result | None) -> np.random.RandomState | None:
    """Return the generator of the rows' orders, that of a previous fit if there is."""
    if previous is not None and previous.rng is not None:
        return previous.rng
    by_epochs = SOLVERS[estimator.optimizer].by_epochs
    return spawn_rng(estimator.random_state) if by_epochs else None


def _hold_out_seed(
    estimator: Any, rng: np.random.RandomState | None, previous: Result | None
) -> tuple[np.random.RandomState, int]:
    """Return the generator, and the seed of the rows to hold out.

    A previous fit's is kept; otherwise it is drawn from a copy of the generator, which
    is returned.
    """
    assert rng is not None
    if previous is not None and hasattr(estimator, "_hold_out_seed"):
        return rng, estimator._hold_out_seed
    after = np.random.RandomState(0)
    after.set_state(rng.get_state(legacy=False))
    return after, int(after.randint(2**31))


def _hold_out(
    estimator: Any, dataset: Dataset, sample_weight: ArrayLike | None, seed: int
) -> tuple[Dataset, Dataset]:
    """Split the rows for early stopping.

    Held-out rows are weighted as those of X_val, by sample weights and not by class
    weights.
    """
    plain = _weighted_by_sample(dataset, sample_weight)
    train, held_out = hold_out(
        plain, float(estimator.validation_fraction), np.random.RandomState(seed)
    )
    return dataset.take(train), plain.take(held_out)
