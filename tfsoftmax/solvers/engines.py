"""The engines that a solver takes the rows of a problem through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfsoftmax.data.batches import MIN_MICRO_BATCH
from tfsoftmax.engine.engine import Engine
from tfsoftmax.solvers.result import Problem


def make_engines(
    problem: Problem,
    models: Sequence[int],
    *,
    batch_size: int,
    optimizer: str | None,
    precision: np.dtype[Any] | None,
) -> tuple[Engine, Engine | None]:
    """Return the engines over the training rows and over the held-out rows, if any.

    Parameters
    ----------
    problem : Problem
    models : sequence of int
        Which of the problem's models.
    batch_size, optimizer, precision
        As for :class:`~tfsoftmax.engine.engine.Engine`.
    """
    settings = problem.settings[models[0]]
    shared: dict[str, Any] = {
        "fit_intercept": settings.fit_intercept,
        "rescale": settings.rescale,
        "n_models": len(models),
    }
    training = Engine(
        problem.dataset.for_models(list(models)),
        problem.n_classes,
        batch_size=batch_size,
        optimizer=optimizer,
        precision=precision,
        **shared,
    )
    if problem.held_out is None:
        return training, None
    return training, Engine(
        problem.held_out,
        problem.n_classes,
        batch_size=MIN_MICRO_BATCH,
        precision=training.precision,
        **shared,
    )
