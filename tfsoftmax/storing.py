"""The end of a fit: fitted attributes, and warnings about fits that ended badly."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from tfsoftmax.callbacks import EpochLogger
from tfsoftmax.convergence import reason_to_warn
from tfsoftmax.data.columns import spread
from tfsoftmax.data.dtypes import full_batch_dtypes_for
from tfsoftmax.data.rows import precision_of
from tfsoftmax.engine.optimizers import initial_slots
from tfsoftmax.engine.spec import weight_rows
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.duality import duality_gap
from tfsoftmax.solvers.result import Outcome, Problem, Result
from tfsoftmax.solvers.schedules import Progress
from tfsoftmax.solvers.settings import Settings
from tfsoftmax.utils.warn import warn


def store(
    estimator: Any, problem: Problem, outcome: Outcome, logger: EpochLogger
) -> None:
    """Set the fitted attributes, or raise the error that ended the training.

    Warn if training was interrupted, did not converge or ended far from the optimum.
    """
    if isinstance(outcome, Exception):
        raise outcome
    if outcome.ended == "interrupted":
        warn_of_interruption(outcome)
    for name in ("dual_gap_", "learning_rate_", "learning_rate_schedule_"):
        vars(estimator).pop(name, None)  # of a previous fit with another solver
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
    if reason := reason_to_warn(problem, outcome):
        warn(reason, ConvergenceWarning)


def fitted_attributes(problem: Problem, result: Result | None) -> dict[str, Any]:
    """Return the fitted attributes; None means those with which training starts.

    `coef_` is in the units of the X passed.
    """
    result = result or _start_of(problem)
    scaling, columns, previous = result.scaling, result.columns, problem.previous
    coef, intercept = scaling.take(columns).coef_and_intercept(
        result.V[0], fit_intercept=result.settings.fit_intercept
    )
    if columns is not None:
        coef = spread(coef, columns, problem.n_features)
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
        **_chosen_attributes(result.settings),
    }


def _chosen_attributes(settings: Settings) -> dict[str, Any]:
    """Return the values used for parameters that may be "auto"."""
    rescale: Any = settings.rescale
    if isinstance(rescale, tuple):
        rescale = np.array(rescale)
    elif rescale == 1:
        rescale = None
    used = {"epochs_": settings.epochs, "alpha_": settings.alpha, "rescale_": rescale}
    if SOLVERS[settings.optimizer].by_epochs:
        used["learning_rate_"] = settings.learning_rate
        used["learning_rate_schedule_"] = settings.learning_rate_schedule
    return used


def _start_of(problem: Problem) -> Result:
    """Return the result that training continues, or zero weights."""
    if problem.previous is not None:
        return problem.previous
    settings, dataset = problem.settings[0], problem.dataset
    by_epochs = SOLVERS[settings.optimizer].by_epochs
    precision = precision_of(dataset)
    if not by_epochs:
        _, precision = full_batch_dtypes_for(dataset.X)
    n_rows = weight_rows(problem.n_classes)
    V = np.zeros((1, n_rows, dataset.n_features + settings.fit_intercept), precision)
    slots: tuple[NDArray[Any], ...] = ()
    if by_epochs:
        slots = initial_slots(settings.optimizer, V, l1=settings.l1 > 0)
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    return Result(
        V=V,
        slots=slots,
        history=history,
        n_epochs=0,
        kept_epoch=None,
        progress=Progress(),
        settings=settings,
        scaling=problem.scaling,
        rng=problem.rng,
        ended="epochs",
        columns=problem.columns,
    )


def _dual_gap(
    problem: Problem,
    settings: Settings,
    coef: NDArray[Any],
    intercept: NDArray[Any],
) -> float:
    """Return an upper bound on F − min F; infinite without a penalty."""
    return duality_gap(
        problem.dataset.for_models(0),
        coef if problem.columns is None else coef[:, problem.columns],
        intercept,
        n_classes=problem.n_classes,
        fit_intercept=settings.fit_intercept,
        scaling=problem.column_scaling,
        alpha=settings.alpha,
        l1_ratio=settings.l1_ratio,
    )


def warn_of_interruption(result: Result) -> None:
    """Warn that an interrupted fit keeps the weights of its last complete epoch."""
    n = result.n_epochs
    warn(
        f"Training was interrupted in epoch {n + 1}; the weights after epoch {n} are "
        "kept."
    )
