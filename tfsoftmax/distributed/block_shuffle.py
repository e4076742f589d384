"""Mini-batches over rows in parts: the weights travel, the rows stay.

Each epoch draws a new order of the parts, of the blocks in each part and of the rows in
each block. A batch has rows of a single block, and no batch is small. This is the
training of one machine, but on a restricted permutation of the rows. It works as well
if each part is a random sample of all rows, but not if each part has different classes;
then there is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import add
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.rows import precision_of
from tfsoftmax.distributed.allocation import reuses_freed_memory
from tfsoftmax.distributed.part import Part
from tfsoftmax.distributed.parts import PartOrder, Parts
from tfsoftmax.engine.engine import Engine, LossAndAccuracy, Weights
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.optimizers import initial_slots
from tfsoftmax.engine.runtime import import_tensorflow
from tfsoftmax.engine.spec import Hyperparameters, weight_rows
from tfsoftmax.solvers.engines import evaluator, training_engine
from tfsoftmax.utils.warn import warn

# How much the class shares of parts may differ from those of all rows: 0 if they are
# the same, 1 if each part has a single class.
MAX_SORTED = 0.5


@dataclass(frozen=True)
class Training:
    """The arguments that a worker needs to train on any block."""

    n_classes: int
    parameters: dict[str, Any]
    hyper: Hyperparameters


@training_engine.register(Parts)
class BlockShuffle:
    """Trains by sending the weights from part to part, in the place of an `Engine`.

    The parameters are those of :class:`~tfsoftmax.engine.engine.Engine`.
    """

    def __init__(
        self,
        dataset: Parts,
        n_classes: int,
        *,
        optimizer: str,
        fit_intercept: bool,
        scaling: Scaling,
        batch_size: int,
        precision: np.dtype[Any] | None = None,
        l1: bool = False,
        n_models: int = 1,
    ) -> None:
        import_tensorflow()
        self.precision = precision or precision_of(dataset)
        self._dataset, self._n_classes, self._l1 = dataset, n_classes, l1
        self._optimizer = optimizer
        self._parameters = {
            "optimizer": optimizer,
            "fit_intercept": fit_intercept,
            "scaling": scaling,
            "batch_size": batch_size,
            "precision": self.precision,
            "l1": l1,
            "n_models": n_models,
            "even_batches": True,
        }
        n_columns = dataset.n_features + fit_intercept
        self._shape = n_models, weight_rows(n_classes), n_columns
        _warn_of_sorted_rows(dataset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing: it has no threads."""

    def to_device(
        self, V: NDArray[Any] | None = None, slots: tuple[NDArray[Any], ...] = ()
    ) -> list[Weights]:
        """Return weights and slots; by default the initial ones."""
        if V is None:
            V = np.zeros(self._shape, self.precision)
            slots = initial_slots(self._optimizer, V, l1=self._l1)
        return [(V, slots)]

    def to_numpy(self, states: list[Weights]) -> Weights:
        """Return the weights and slots."""
        return states[0]

    def model_weights(self, states: list[Weights], model: int) -> Weights:
        """Return the weights and slots of one model."""
        V, slots = states[0]
        its = slice(model, model + 1)
        return V[its], tuple(slot[its] for slot in slots)

    def largest_weight(self, states: list[Weights], model: int) -> float:
        """Return the largest absolute value of the weights."""
        return float(abs(states[0][0][model]).max())

    def whole(self, states: list[Weights]) -> list[Weights]:
        """Return the states unchanged: their weights have no pending factor."""
        return states

    def epochs(
        self, draw_order: Callable[[], PartOrder], n_epochs: int
    ) -> Iterator[PartOrder]:
        """Yield the order of each epoch, for `train_epoch`."""
        for _ in range(n_epochs):
            yield draw_order()

    def train_epoch(
        self, states: list[Weights], order: PartOrder, hyper: Hyperparameters
    ) -> tuple[list[Weights], LossAndAccuracy]:
        """Take the steps of an epoch; return the states, the loss and the accuracy."""
        items, seeds = self._dataset.items, [None] * len(self._dataset.items)
        if order is not None:
            items, seeds = [items[i] for i in order[0]], order[1].tolist()
        training = Training(self._n_classes, self._parameters, hyper)
        state = states[0], np.zeros((2, self._shape[0]))
        weights, sums = self._dataset.cluster.chain(
            train_part, items, state, [(training, seed) for seed in seeds]
        )
        loss, accuracy = sums / len(self._dataset)
        return [weights], (loss, accuracy)


@reuses_freed_memory()
def train_part(
    part: Part,
    state: tuple[Weights, NDArray[np.float64]],
    argument: tuple[Training, int | None],
) -> tuple[Weights, NDArray[np.float64]]:
    """Take the steps of an epoch on the rows of one part, on a worker."""
    (V, slots), sums = state
    training, seed = argument
    rng = None if seed is None else np.random.RandomState(seed)
    blocks = part.blocks
    if rng is not None:
        blocks = [blocks[i] for i in rng.permutation(len(blocks))]
    for block in blocks:
        order = None if rng is None else rng.permutation(len(block))
        engine = Engine(block, training.n_classes, **training.parameters)
        states = engine.to_device(V, slots)
        with engine:
            for chunks in engine.epochs(lambda order=order: order, 1):  # type: ignore[misc]
                states, means = engine.train_epoch(states, chunks, training.hyper)
        V, slots = engine.to_numpy(states)
        sums = sums + len(block) * np.array(means)
    return (V, slots), sums


@evaluator.register(Parts)
class HeldOutParts:
    """Evaluates weights on held-out rows in parts, in the place of an `Engine`.

    The parameters are those of :class:`~tfsoftmax.engine.engine.Engine`.
    """

    def __init__(self, dataset: Parts, n_classes: int, **parameters: Any) -> None:
        self._dataset, self._arguments = dataset, (n_classes, parameters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Do nothing: it has no threads."""

    def to_device(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return the weights."""
        return weights

    def states_of(self, other: Any, states: list[Any]) -> NDArray[Any]:
        """Return the weights of another engine."""
        weights: NDArray[Any] = other.to_numpy(states)[0]
        return weights

    def evaluate(self, weights: NDArray[Any]) -> LossAndAccuracy:
        """Compute the loss and the accuracy of each model."""
        sums = self._dataset.fold(
            evaluate_block, weights, *self._arguments, combine=add
        )
        loss, accuracy = sums / len(self._dataset)
        return loss, accuracy


def evaluate_block(
    dataset: Dataset, V: NDArray[Any], n_classes: int, parameters: dict[str, Any]
) -> NDArray[np.float64]:
    """Sum up the loss and the accuracy over one block, on a worker."""
    with Engine(dataset, n_classes, **parameters) as engine:
        return len(dataset) * np.array(engine.evaluate(engine.to_device(V)))


def _warn_of_sorted_rows(dataset: Parts) -> None:
    """Warn if the classes of the parts differ from those of all rows."""
    totals = dataset.class_totals
    shares = totals / np.maximum(totals.sum(axis=1, keepdims=True), 1e-300)
    overall = totals.sum(axis=0) / totals.sum()
    # Half of the sum of differences is 1 − p_k if a part has only the class k.
    differences = abs(shares - overall).sum(axis=1) / 2
    largest = 1 - (overall**2).sum()
    # The expected difference of a random sample is at most its standard deviation.
    n_rows = np.maximum(totals.sum(axis=1), 1)
    by_chance = np.sqrt(overall * (1 - overall)).sum() / np.sqrt(n_rows) / 2
    excess = totals.sum(axis=1) / totals.sum() @ (differences - by_chance)
    if len(totals) > 1 and excess > MAX_SORTED * largest:
        warn(
            "The rows of the Dask collection are sorted by class, or nearly so: each "
            "part contains only some of the classes. Mini-batch training visits one "
            "part after another and forgets the classes of the earlier parts. Shuffle "
            'the rows first, or use optimizer="lbfgs", which does not depend on their '
            "order."
        )
