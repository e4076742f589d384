"""The engines with which a solver processes the rows of a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import singledispatch
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.batches import MIN_MICRO_BATCH
from tfsoftmax.engine.engine import Engine, LossAndAccuracy, Weights
from tfsoftmax.engine.full_batch import AllRows, FullBatch
from tfsoftmax.engine.sparse_batch import SparseFullBatch
from tfsoftmax.engine.spec import Hyperparameters
from tfsoftmax.solvers.result import Problem


class TrainingEngine(Protocol):
    """Trains models on rows in mini-batches; their weights and slots are *states*."""

    precision: np.dtype[Any]

    def __enter__(self) -> Any: ...
    def __exit__(self, *exception: object) -> None: ...

    def to_device(
        self, V: NDArray[Any] | None = None, slots: tuple[NDArray[Any], ...] = ()
    ) -> list[Any]:
        """Return weights and slots as states; by default the initial ones."""

    def to_numpy(self, states: list[Any]) -> Weights:
        """Return the weights and slots of all models."""

    def model_weights(self, states: list[Any], model: int) -> Weights:
        """Return the weights and slots of one model."""

    def largest_weight(self, states: list[Any], model: int) -> float:
        """Return the largest absolute value of a model's weights."""

    def whole(self, states: list[Any]) -> list[Any]:
        """Return the states with all pending factors multiplied into their weights."""

    def epochs(self, draw_order: Callable[[], Any], n_epochs: int) -> Iterator[Any]:
        """Yield the rows of each epoch, in the order drawn, for `train_epoch`."""

    def train_epoch(
        self, states: list[Any], chunks: Any, hyper: Hyperparameters
    ) -> tuple[list[Any], LossAndAccuracy]:
        """Take the steps of an epoch; return the states, losses and accuracies."""


class Evaluator(Protocol):
    """Evaluates models on rows."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *exception: object) -> None: ...

    def to_device(self, V: NDArray[Any]) -> Any:
        """Return weights as states."""

    def states_of(self, other: TrainingEngine, states: list[Any]) -> Any:
        """Convert the states of an engine with the same models."""

    def evaluate(self, states: Any) -> LossAndAccuracy:
        """Compute the loss and the accuracy of each model, of shape (n_models,)."""


def make_engines(
    problem: Problem,
    models: Sequence[int],
    *,
    batch_size: int,
    optimizer: str | None,
    l1: bool,
    precision: np.dtype[Any] | None,
) -> tuple[TrainingEngine, Evaluator | None]:
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
    training = training_engine(
        dataset,
        problem.n_classes,
        batch_size=batch_size,
        optimizer=optimizer,
        l1=l1,
        precision=precision,
        **shared,
    )
    return training, _held_out(problem, precision=training.precision, **shared)


def make_full_batch(problem: Problem) -> tuple[AllRows, Evaluator | None]:
    """Return the training rows of one model, and the engine over the held-out rows."""
    (settings,) = problem.settings
    previous = problem.previous
    shared: dict[str, Any] = {
        "fit_intercept": settings.fit_intercept,
        "scaling": problem.column_scaling,
    }
    dataset = problem.dataset.for_models(0)
    rows = all_rows(
        dataset,
        problem.n_classes,
        precision=None if previous is None else previous.V.dtype,
        **shared,
    )
    return rows, _held_out(problem, precision=rows.precision, **shared)


def _held_out(problem: Problem, **parameters: Any) -> Evaluator | None:
    if problem.held_out is None:
        return None
    return evaluator(
        problem.held_out, problem.n_classes, batch_size=MIN_MICRO_BATCH, **parameters
    )


# By the type of the rows; tfsoftmax.distributed registers others for rows in parts.


@singledispatch
def training_engine(rows: Any, n_classes: int, **parameters: Any) -> TrainingEngine:
    """Return the engine that trains on the rows in mini-batches."""
    return Engine(rows, n_classes, **parameters)


@singledispatch
def evaluator(rows: Any, n_classes: int, **parameters: Any) -> Evaluator:
    """Return the engine that evaluates models on the rows."""
    return Engine(rows, n_classes, **parameters)


@singledispatch
def all_rows(rows: Any, n_classes: int, **parameters: Any) -> AllRows:
    """Return the rows of a full batch."""
    kind = SparseFullBatch if sparse.issparse(rows.X) else FullBatch
    return kind(rows, n_classes, **parameters)
