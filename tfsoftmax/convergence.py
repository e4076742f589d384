"""Which fits need a ConvergenceWarning, and what it says.

A fit by epochs ended far from its optimum, or went wrong, if one of these holds:

- its loss is no better than that of the best constant prediction: the entropy of the
  classes or, without an intercept, log(n_classes);
- a step along a single weight would still lower F by 0.01 (see
  :mod:`~tfsoftmax.solvers.remaining`);
- the second half of the epochs lowered the loss by more than 0.05, and by more than a
  fifth of the total decrease from the loss of an untrained model.

A fit of full batches ended short of its optimum if the solver says so, or if the first
holds and, without the penalty, a step along all weights would lower the loss by 0.01.

A test checks that one of them holds for each of 20 bad fits, and none for 26 good ones.
"""

from __future__ import annotations

import math
from operator import add
from typing import Any

from numpy.typing import NDArray
from scipy.special import entr

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.targets import class_totals
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.remaining import Remaining, remaining
from tfsoftmax.solvers.result import Problem, Result
from tfsoftmax.solvers.settings import Settings

MAX_GAIN = 0.01
MAX_LATE_SHARE, MAX_LATE_FALL = 0.2, 0.05
# Features whose scale is smaller than this part of the largest train slowly.
SMALL_SCALE = 0.2
# A stream starts with the loss of zero weights; warn of a loss larger by this factor.
STREAM_EXCESS = 1.1


def reason_to_warn(problem: Problem, result: Result) -> str | None:
    """Return the text of a fit's ConvergenceWarning, or None if it needs none."""
    reasons = [_no_better_than_constant]
    if not SOLVERS[result.settings.optimizer].by_epochs:
        reasons = [_short_of_optimum, _no_better_than_constant]
    elif problem.n_epochs is None and result.ended in ("epochs", "converged"):
        reasons += [_short_of_tol, _one_weight_would_gain, _still_falling]
    return next((text for reason in reasons if (text := reason(problem, result))), None)


def _no_better_than_constant(problem: Problem, result: Result) -> str | None:
    settings, last = result.settings, result.history["loss"][-1]
    constant = math.log(problem.n_classes)
    if settings.fit_intercept:
        constant = _entropy_of_classes(problem)
    if problem.n_epochs is not None:
        constant = STREAM_EXCESS * math.log(problem.n_classes)
    # After an epoch of a single step, there is no loss of the updated weights.
    one_step = len(problem.dataset) <= settings.batch_size and result.n_epochs == 1
    if one_step or last < constant * (1 - 1e-6):
        return None
    by_epochs = SOLVERS[settings.optimizer].by_epochs
    if not by_epochs and _remaining(problem, result, l2=0, l1=0).joint_gain < MAX_GAIN:
        return None  # the features say little about the classes
    is_worse = last > constant * 1.05
    cause, remedy = _cause_and_remedy(settings, is_worse=is_worse)
    if settings.rescale != "standard" and is_worse:
        remedy += ', or scale the features, with rescale="standard"'
    return (
        f"The last epoch's loss, {last:.4g}, is no better than {constant:.4g}, the "
        f"loss of a constant prediction: {cause}. {remedy}."
    )


def _cause_and_remedy(settings: Settings, *, is_worse: bool) -> tuple[str, str]:
    """Return why a loss is no better than a constant's, or worse, and what to do."""
    if not SOLVERS[settings.optimizer].by_epochs:
        return "alpha or tol is too large", "Lower them"
    rate = f"learning_rate={settings.learning_rate:.6g}"
    if is_worse:
        return f"{rate} is too large for features on this scale", "Lower it"
    cause = f"{rate} is too small for features on this scale"
    if settings.alpha:
        cause += f", or alpha={settings.alpha:.6g} is too large"
    return cause, "Raise learning_rate or epochs"


def _entropy_of_classes(problem: Problem) -> float:
    """Return the loss of the best constant prediction."""
    totals = problem.dataset.fold(_class_totals, problem.n_classes, combine=add)
    return float(entr(totals / totals.sum()).sum())


def _class_totals(dataset: Dataset, n_classes: int) -> NDArray[Any]:
    weights = dataset.row_weights()
    if weights.ndim == 2:
        weights = weights[0]
    return class_totals(dataset.y, weights, n_classes)


def _one_weight_would_gain(problem: Problem, result: Result) -> str | None:
    settings = result.settings
    found = _remaining(problem, result, l2=settings.l2, l1=settings.l1)
    if not found.gain > MAX_GAIN:
        return None
    return (
        f"Training ended far from the optimum after {settings.epochs} epochs: changing "
        "a single weight would still lower the loss, "
        f"{result.history['loss'][-1]:.4g}, by {found.gain:.2g}. "
        f"{_remedy(problem, result, found)}"
    )


def _remaining(problem: Problem, result: Result, *, l2: float, l1: float) -> Remaining:
    return remaining(
        problem.dataset.for_models(0),
        result.V[0],
        n_classes=problem.n_classes,
        scaling=problem.column_scaling,
        fit_intercept=result.settings.fit_intercept,
        l2=l2,
        l1=l1,
    )


def _remedy(problem: Problem, result: Result, found: Remaining) -> str:
    if found.relative_scale < SMALL_SCALE and result.settings.rescale != "standard":
        columns = problem.columns
        feature = found.feature if columns is None else int(columns[found.feature])
        names = problem.attributes.get("feature_names_in_")
        named = f"number {feature}" if names is None else repr(str(names[feature]))
        return (
            f"The scale of its feature, {named}, is {1 / found.relative_scale:.0f} "
            'times smaller than the largest; pass rescale="standard".'
        )
    rate = f"learning_rate (now {result.settings.learning_rate:.6g})"
    return f"Raise {rate} or epochs."


def _still_falling(problem: Problem, result: Result) -> str | None:
    before = problem.previous.n_epochs if problem.previous else 0
    n_epochs = result.n_epochs - before
    losses = result.history["loss"][-n_epochs:]
    middle, last = losses[(n_epochs - 1) // 2], losses[-1]
    gained = math.log(problem.n_classes) - last
    if middle - last <= max(MAX_LATE_FALL, MAX_LATE_SHARE * gained):
        return None
    return (
        f"Training ended too early: the second half of its {n_epochs} epochs still "
        f"lowered the loss from {middle:.4g} to {last:.4g}. Raise epochs or "
        f"learning_rate (now {result.settings.learning_rate:.6g})."
    )


def _short_of_tol(problem: Problem, result: Result) -> str | None:
    settings = result.settings
    if settings.tol is None or result.ended != "epochs":
        return None
    return (
        f"Training has not converged to tol={settings.tol} in {settings.epochs} "
        "epochs. Raise epochs, or scale the features."
    )


def _short_of_optimum(problem: Problem, result: Result) -> str | None:
    """Return why a solver ended short of the optimum, and what to do about it."""
    settings = result.settings
    goal = "the optimum" if settings.tol is None else f"tol={settings.tol}"
    accuracy = result.history["accuracy"][-1]
    is_separated = settings.alpha == 0 and accuracy > 1 - 1e-9  # a sum of weights
    if result.ended == "separated" and settings.alpha > 0:
        return (
            "Training has not converged: all rows with nonzero weight are of one "
            "class, so that larger intercepts always lower the loss. Add rows of "
            "another class, or weight them."
        )
    if result.ended in ("separated", "epochs", "stalled") and is_separated:
        return (
            "Training has not converged: every row is classified correctly, so that "
            "without a penalty the loss has no minimum: larger weights always lower "
            "it. Set alpha, for instance to 1 / n_samples."
        )
    if result.ended == "epochs":
        return (
            f"Training has not converged to {goal} in {settings.epochs} iterations. "
            "Raise epochs, the maximum number of iterations."
        )
    if result.ended == "rounded":
        dtype = result.V.dtype
        remedy = "Scale and centre the features."
        if dtype == "float32":
            remedy = "Pass X as float64, or scale and centre the features."
        return (
            f"Training has not converged: the weights can't be rounded to {dtype} "
            f"without increasing the loss. {remedy}"
        )
    if result.ended == "stalled":
        return (
            f"Training has not converged to {goal}: rounding errors prevent any "
            "further decrease of the objective. Raise tol, or scale the features."
        )
    return None
