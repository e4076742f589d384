"""The epoch loop: order → chunks → program → record → stop? NumPy in, NumPy out.

It minimises, over V = (W, b),

    F(V) = (1/Σs) Σ_i s_i · CE(y_i, softmax(V x̃_i))

by mini-batches: an epoch takes the rows in one random permutation, batch by batch,
and a batch B of the n rows contributes the gradient

    n / (|B| · Σs) · Σ_{i in B} s_i ∇CE_i

whose expectation is ∇F; a batch that holds every row gives exactly ∇F.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax import backend
from tfsoftmax.chunks import MIN_TILE, Chunks, Layout, Rows, dtypes_for

Entry = dict[str, float]
History = dict[str, list[float]]


@dataclass(frozen=True)
class Settings:
    """How to train; each as the estimator's parameter of the same name."""

    batch_size: int
    learning_rate: float
    epochs: int
    optimizer: str
    fit_intercept: bool
    rescale: float
    shuffle: bool


@dataclass(frozen=True)
class Record:
    """What training leaves behind, and all that going on from there needs.

    Attributes
    ----------
    V : ndarray of shape (1, n_rows, n_columns)
        The weights W of the rescaled features and, with an intercept, b in the
        last column. There is a row for each class, or one with two classes.
    slots : tuple of ndarray, each shaped like V
        What the update rule remembers.
    history : dict of list
        For each quantity its value in every epoch.
    settings : Settings
        The settings of the last epochs.
    """

    V: NDArray[Any]
    slots: tuple[NDArray[Any], ...]
    history: History
    settings: Settings

    @property
    def n_epochs(self) -> int:
        """Epochs trained, all told."""
        return len(self.history["loss"])


def train(
    rows: Rows,
    n_classes: int,
    settings: Settings,
    random_state: np.random.RandomState,
    *,
    former: Record | None = None,
    held_out: Rows | None = None,
    report: Callable[[int, Entry], None] | None = None,
) -> Record:
    """Train for `settings.epochs` epochs, from zeros or from where a record ends.

    Parameters
    ----------
    rows : Rows
        The training rows.
    n_classes : int
        The number of classes, at least 2.
    settings : Settings
    random_state : RandomState
        Where the order of rows comes from, one permutation an epoch.
    former : Record, default=None
        Where to go on from.
    held_out : Rows, default=None
        Rows on which to measure `val_loss` and `val_accuracy` after each epoch.
    report : callable, default=None
        Called after each epoch with its number, from 1, and its entry.

    Raises
    ------
    ValueError
        If the loss or a weight ceases to be finite, or the settings don't fit the
        former record.
    """
    if former is not None:
        _check_goes_on(former.settings, settings)
    precision = None if former is None else former.V.dtype
    training = _Pass(rows, n_classes, settings, settings.batch_size, precision)
    measuring = held_out and _Pass(
        held_out, n_classes, settings, MIN_TILE, training.precision
    )
    state = training.start(former)
    history = {} if former is None else {k: list(v) for k, v in former.history.items()}
    done = len(history.get("loss", ()))
    with training.chunks, measuring.chunks if measuring else nullcontext():
        for epoch in range(done + 1, done + settings.epochs + 1):
            try:
                began = time.perf_counter()
                order = _order(len(rows), random_state) if settings.shuffle else None
                new, loss, accuracy = training.epoch(state, order)
                _check_finite(epoch, loss, new.V, settings.learning_rate)
                entry = {"loss": loss, "accuracy": accuracy}
                if measuring:
                    val_loss, val_accuracy = measuring.measure(new)
                    entry |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
                entry["learning_rate"] = settings.learning_rate
                entry["seconds"] = time.perf_counter() - began
            except KeyboardInterrupt:
                if epoch == done + 1:
                    raise  # nothing to keep
                warnings.warn(
                    f"Training was interrupted in epoch {epoch}; the weights are "
                    f"those after epoch {epoch - 1}.",
                    stacklevel=2,
                )
                break
            state = new
            _append(history, epoch, entry)
            if report is not None:
                report(epoch, entry)
    return training.finish(state, history)


class _Pass:
    """Passes over some rows: their chunks, and the program for chunks of that shape."""

    def __init__(
        self,
        rows: Rows,
        n_classes: int,
        settings: Settings,
        batch_size: int,
        precision: np.dtype[Any] | None,
    ) -> None:
        program = backend.load_program()
        storage, self.precision = dtypes_for(rows.X, precision)
        row_bytes = rows.n_features * storage.itemsize
        layout = Layout.of(batch_size, len(rows), row_bytes)
        self.settings = settings
        self.chunks = Chunks(rows, layout, (storage, self.precision))
        self.program = program.Program(
            program.Shape(
                n_models=1,
                n_classes=n_classes,
                n_features=rows.n_features,
                fit_intercept=settings.fit_intercept,
                tile=layout.tile,
                n_tiles=layout.tiles_per_chunk,
                batch_spans_tiles=layout.tiles_per_batch > 1,
                storage=storage.name,
                precision=self.precision.name,
                optimizer=settings.optimizer,
            )
        )

    def start(self, former: Record | None) -> Any:
        """Give the program's state at zero, or where the former record ends."""
        if former is None:
            return self.program.start()
        return self.program.start(former.V, former.slots)

    def finish(self, state: Any, history: History) -> Record:
        """Give the record of a state."""
        V, slots = self.program.finish(state)
        return Record(V, slots, history, self.settings)

    def epoch(self, state: Any, order: NDArray[Any] | None) -> tuple[Any, float, float]:
        """Train on all rows once: (new state, loss, accuracy before the updates)."""
        rates = np.array([self.settings.learning_rate])
        sums = []
        for chunk in self.chunks.epoch(order):
            state, of_tiles = self.program.train(
                state, chunk, rates, self.settings.rescale
            )
            sums.append(of_tiles)
        return state, *self._means(sums)

    def measure(self, state: Any) -> tuple[float, float]:
        """Compute the loss and the accuracy of a state."""
        return self._means(
            [
                self.program.evaluate(state, chunk, self.settings.rescale)
                for chunk in self.chunks.epoch(order=None)
            ]
        )

    def _means(self, sums: list[NDArray[Any]]) -> tuple[float, float]:
        # A chunk's weights are divided by the rows in their batch. All tiles are
        # added up at once, so that the result does not depend on the chunks.
        rows_of_batch = self.chunks.tiles.rows_of_batch[:, None]
        by_tile = np.concatenate(sums, dtype=np.float64)[:, :, 0] * rows_of_batch
        loss, accuracy = by_tile.sum(axis=0) / len(self.chunks.rows)
        return float(loss), float(accuracy)


def _check_goes_on(former: Settings, settings: Settings) -> None:
    """Check what the weights and slots of a former record depend on."""
    for name in ("optimizer", "fit_intercept", "rescale"):
        was, now = getattr(former, name), getattr(settings, name)
        if was != now:
            raise ValueError(
                f"{name} can't change between calls that go on from each other: it was "
                f"{was!r} and is now {now!r}. Call fit to start anew."
            )


def _order(n_samples: int, random_state: np.random.RandomState) -> NDArray[Any]:
    """Draw a permutation: random_state.permutation(n_samples), in half its memory."""
    order = np.arange(n_samples, dtype=np.int32 if n_samples < 2**31 else np.int64)
    random_state.shuffle(order)
    return order


def _check_finite(epoch: int, loss: float, V: Any, learning_rate: float) -> None:
    if math.isfinite(loss) and np.isfinite(V).all():
        return
    what = "weights" if math.isfinite(loss) else "loss"
    raise ValueError(
        f"The {what} became non-finite in epoch {epoch}. Lower learning_rate (now "
        f"{learning_rate}) or scale the features, for instance with rescale=1/255."
    )


def _append(history: History, epoch: int, entry: Entry) -> None:
    """Add an epoch to the history; what was not measured in some epoch is NaN there."""
    for name in {**history, **entry}:
        column = history.setdefault(name, [math.nan] * (epoch - 1))
        column.append(entry.get(name, math.nan))
