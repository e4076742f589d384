"""The engines with which a solver processes the rows of a problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from tfsoftmax.data.batches import MIN_MICRO_BATCH
from tfsoftmax.data.dataset import Dataset, Rows
from tfsoftmax.engine.engine import Engine
from tfsoftmax.engine.full_batch import AllRows, FullBatch
from tfsoftmax.engine.sparse_batch import SparseFullBatch
from tfsoftmax.solvers.result import Problem


def make_engines(
    problem: Problem,
    models: Sequence[int],
    *,
    batch_size: int,
    optimizer: str | None,
    l1: bool,
    precision: np.dtype[Any] | None,
) -> tuple[Engine, Engine | None]:
    """Return the engines over the training rows and over the held-out rows, if any.

    Parameters
    ----------
    problem : Problem
    models : sequence of int
        Which of the problem's models.
    batch_size, optimizer, l1, precision
        As for :class:`~tfsoftmax.engine.engine.Engine`.
    """
    settings = problem.settings[models[0]]
    shared: dict[str, Any] = {
        "fit_intercept": settings.fit_intercept,
        "scaling": problem.column_scaling,
        "n_models": len(models),
    }
    dataset = problem.dataset.for_models(list(models))
    training = _engine_for(dataset)(
        dataset,
        problem.n_classes,
        batch_size=batch_size,
        optimizer=optimizer,
        l1=l1,
        precision=precision,
        **shared,
    )
    return training, _held_out(problem, precision=training.precision, **shared)


def make_full_batch(
    problem: Problem,
) -> tuple[AllRows, Engine | None]:
    """Return the training rows of one model, and the engine over the held-out rows."""
    (settings,) = problem.settings
    previous = problem.previous
    shared: dict[str, Any] = {
        "fit_intercept": settings.fit_intercept,
        "scaling": problem.column_scaling,
    }
    dataset = problem.dataset.for_models(0)
    rows = _full_batch_for(dataset)(
        dataset,
        problem.n_classes,
        precision=None if previous is None else previous.V.dtype,
        **shared,
    )
    return rows, _held_out(problem, precision=rows.precision, **shared)


def _held_out(problem: Problem, **parameters: Any) -> Engine | None:
    held_out = problem.held_out
    if held_out is None:
        return None
    return _evaluator_for(held_out)(
        held_out,
        problem.n_classes,
        batch_size=MIN_MICRO_BATCH,
        **parameters,
    )


def _engine_for(rows: Rows) -> Callable[..., Engine]:
    return Engine if isinstance(rows, Dataset) else rows.engine


def _full_batch_for(rows: Rows) -> Callable[..., AllRows]:
    if not isinstance(rows, Dataset):
        return rows.full_batch
    return SparseFullBatch if sparse.issparse(rows.X) else FullBatch


def _evaluator_for(rows: Rows) -> Callable[..., Engine]:
    return Engine if isinstance(rows, Dataset) else rows.evaluator
