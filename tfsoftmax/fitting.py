"""The way into a fit and out of it: prepare, solve, store.

    estimators, X, y, … → prepare → Problem → SOLVERS[optimizer].solve → Result → store

A fit of one estimator and a search's fit of many on the same rows take the same steps.
"""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from tfsoftmax.callbacks import EpochLogger
from tfsoftmax.data.dataset import Dataset, dtypes_for
from tfsoftmax.data.gather import copy_by_rows, lies_by_columns
from tfsoftmax.data.hold_out import hold_out
from tfsoftmax.data.ranges import MAX_SHARE_BEYOND, share_beyond
from tfsoftmax.engine.features import Rescale, Scaling
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.duality import duality_gap
from tfsoftmax.solvers.result import Outcome, Problem, Result
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
from tfsoftmax.validation.weights import row_weights


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
    settings = [settings_of(estimator) for estimator in estimators]
    if previous is not None:
        settings[0].check_resumes(previous.settings)
    X = check_rows(first, X, reset=previous is None)
    y = check_labels(y, X.shape[0])
    classes = _known_classes(first, y, classes, previous)
    codes = encode(y, classes)
    weights = _weights_of(estimators, sample_weight, codes, classes)
    dataset = Dataset(_by_rows(X, first.optimizer), codes, weights)
    held_out = _validate_held_out(first, classes, X_val, y_val, sample_weight_val)
    if held_out is not None:
        _warn_of_another_scale(dataset, held_out)
    attributes = {
        name: getattr(first, name)
        for name in ("n_features_in_", "feature_names_in_")
        if hasattr(first, name)
    }
    attributes["classes_"] = classes
    rng = previous.rng if previous else None
    if rng is None and SOLVERS[first.optimizer].by_epochs:
        rng = spawn_rng(first.random_state)
    if settings[0].early_stopping and held_out is None:
        assert rng is not None
        seed = getattr(first, "_hold_out_seed", None) if previous else None
        if seed is None:
            rng, seed = _draw_seed(rng)
        attributes["_hold_out_seed"] = seed
        dataset, held_out = _hold_out(first, dataset, sample_weight, seed)
    if previous is None:
        scaling = _scaling_of(settings[0].rescale, dataset, sample_weight)
    else:
        scaling = previous.scaling
    return Problem(
        dataset,
        held_out,
        classes,
        tuple(settings),
        scaling,
        rng,
        previous,
        n_epochs,
        attributes,
    )


def store(
    estimator: Any, problem: Problem, outcome: Outcome, logger: EpochLogger
) -> None:
    """Set the fitted attributes, or raise the error that ended the training.

    It warns of a training that was interrupted, did not converge or hardly began.
    """
    if isinstance(outcome, ValueError):
        raise outcome
    if outcome.ended == "interrupted":
        warn_of_interruption(outcome)
    vars(estimator).pop("dual_gap_", None)  # of a former fit by another solver
    vars(estimator).update(fitted_attributes(problem, outcome))
    if not SOLVERS[outcome.settings.optimizer].by_epochs:
        estimator.dual_gap_ = _dual_gap(
            problem, outcome.settings, estimator.coef_, estimator.intercept_
        )
    try:
        logger.on_fit_end(outcome)
    except KeyboardInterrupt:
        estimator._result = dataclasses.replace(outcome, ended="interrupted")
        warn_of_interruption(outcome)
    if problem.n_epochs is None:
        _warn_of_poor_ends(problem, outcome)


def fitted_attributes(problem: Problem, result: Result) -> dict[str, Any]:
    """Return the fitted attributes; `coef_` is in the units of the X passed."""
    scaling, previous = result.scaling, problem.previous
    coef, intercept = scaling.coef_and_intercept(
        result.V[0], fit_intercept=result.settings.fit_intercept
    )
    with np.errstate(over="ignore"):
        scale = 1 / scaling.factor
    return {
        **problem.attributes,
        "_result": result,
        "coef_": coef,
        "intercept_": intercept,
        "mean_": scaling.mean,
        "scale_": scale,
        "n_iter_": result.n_epochs - (previous.n_epochs if previous else 0),
        "loss_curve_": list(result.history["loss"]),
    }


def _dual_gap(
    problem: Problem,
    settings: Settings,
    coef: NDArray[Any],
    intercept: NDArray[Any],
) -> float:
    """Return an upper bound of F − min F; infinite without a penalty."""
    return duality_gap(
        problem.dataset.for_models(0),
        coef,
        intercept,
        n_classes=problem.n_classes,
        fit_intercept=settings.fit_intercept,
        scaling=problem.scaling,
        alpha=settings.alpha,
        l1_ratio=settings.l1_ratio,
    )


def settings_of(estimator: Any) -> Settings:
    """Return an estimator's settings as plain Python numbers, which don't overflow."""
    tol = estimator.tol
    return Settings(
        batch_size=int(estimator.batch_size),
        learning_rate=float(estimator.learning_rate),
        epochs=int(estimator.epochs),
        optimizer=str(estimator.optimizer),
        momentum=float(estimator.momentum),
        learning_rate_schedule=str(estimator.learning_rate_schedule),
        power_t=float(estimator.power_t),
        alpha=float(estimator.alpha),
        l1_ratio=float(estimator.l1_ratio),
        fit_intercept=bool(estimator.fit_intercept),
        rescale=_rescale_of(estimator.rescale),
        shuffle=bool(estimator.shuffle),
        early_stopping=bool(estimator.early_stopping),
        scoring=str(estimator.scoring),
        tol=None if tol is None else float(tol),
        n_iter_no_change=int(estimator.n_iter_no_change),
    )


def _rescale_of(rescale: Any) -> Rescale:
    if rescale is None or isinstance(rescale, str):
        return rescale or 1.0
    factors = np.asarray(rescale, dtype=np.float64)
    return float(factors) if factors.ndim == 0 else tuple(factors.tolist())


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


def warn_of_interruption(result: Result) -> None:
    """Warn that an interrupted fit keeps the weights of its last whole epoch."""
    n = result.n_epochs
    warn(
        f"Training was interrupted in epoch {n + 1}; the weights kept are those after "
        f"epoch {n}."
    )


def _scaling_of(
    rescale: Rescale, dataset: Dataset, sample_weight: ArrayLike | None
) -> Scaling:
    """Return how x̃ comes from x, by the training rows and their sample weights.

    Class weights have no part in it, so that it is the same for all models.
    """
    n_features = dataset.n_features
    if isinstance(rescale, tuple) and len(rescale) != n_features:
        raise ValueError(
            "rescale must be a number, or one for each feature, shape "
            f"({n_features},); got shape ({len(rescale)},)."
        )
    rows = dataclasses.replace(dataset, weights=None)
    if sample_weight is not None:
        weights = row_weights(sample_weight, dataset.X.shape[0])
        if weights is not None and dataset.index is not None:
            weights = weights[dataset.index]
        rows = dataclasses.replace(dataset, weights=weights)
    return Scaling.of(rescale, rows)


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


def _draw_seed(rng: np.random.RandomState) -> tuple[np.random.RandomState, int]:
    """Draw a seed from a copy of the generator; return the copy and the seed."""
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
    weights = row_weights(sample_weight, len(dataset))
    plain = dataclasses.replace(dataset, weights=weights)
    train, held_out = hold_out(
        plain, float(estimator.validation_fraction), np.random.RandomState(seed)
    )
    return dataset.take(train), plain.take(held_out)


def _warn_of_poor_ends(problem: Problem, result: Result) -> None:
    """Warn of a fit that has learnt nothing, or has not converged as was asked for."""
    settings, solver = result.settings, SOLVERS[result.settings.optimizer]
    untrained, last = math.log(problem.n_classes), result.history["loss"][-1]
    # An epoch of a single step has no loss after an update to go by.
    one_step = len(problem.dataset) <= settings.batch_size and result.n_epochs == 1
    if last >= untrained * (1 - 1e-6) and not one_step:
        if solver.by_epochs:
            cause = (
                f"learning_rate={settings.learning_rate} does not suit the scale of "
                "the features, or alpha is too large"
            )
            remedy = "change learning_rate"
        else:
            cause, remedy = "alpha or tol is too large", "lower them"
        advice = remedy
        if settings.rescale != "standard":
            advice = f'scale the features, with rescale="standard", or {remedy}'
        warn(
            f"The last epoch's loss, {last:.4g}, is no better than an untrained "
            f"model's, {untrained:.4g}: {cause}. {advice[0].upper()}{advice[1:]}.",
            ConvergenceWarning,
        )
    elif not solver.by_epochs and (reason := _short_of_optimum(problem, result)):
        warn(reason, ConvergenceWarning)
    elif solver.by_epochs and result.ended == "epochs" and settings.tol is not None:
        warn(
            f"Training has not converged to tol={settings.tol} in {settings.epochs} "
            "epochs. Raise epochs, or scale the features.",
            ConvergenceWarning,
        )


def _short_of_optimum(problem: Problem, result: Result) -> str | None:
    """Return why a solver has ended short of the optimum, and what to do about it."""
    settings = result.settings
    goal = "the optimum" if settings.tol is None else f"tol={settings.tol}"
    accuracy = result.history["accuracy"][-1]
    is_separated = settings.alpha == 0 and accuracy > 1 - 1e-9  # a sum of weights
    if result.ended == "separated" and settings.alpha > 0:
        return (
            "Training has not converged: all rows that have a weight are of one "
            "class, and larger intercepts always lower the loss."
        )
    if result.ended in ("separated", "epochs", "stalled") and is_separated:
        return (
            "Training has not converged: every row is classified correctly, and "
            "without a penalty the loss has no minimum then, since larger weights "
            "always lower it. Set alpha, to 1 / n_samples for instance."
        )
    if result.ended == "epochs":
        return (
            f"Training has not converged to {goal} in {settings.epochs} epochs, here "
            "iterations. Raise epochs."
        )
    if result.ended == "rounded":
        return (
            "Training has not converged: the weights of these features can't be "
            "rounded to float32 without a larger loss. Pass X as float64, or scale "
            "and centre the features."
        )
    if result.ended == "stalled":
        return (
            f"Training has not converged to {goal}: rounding lets the objective fall "
            "no further. Raise tol, or scale the features."
        )
    return None
