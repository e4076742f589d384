"""The input and output of solvers, as frozen records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.columns import spread
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.features import Scaling
from tfsoftmax.solvers.schedules import Progress
from tfsoftmax.solvers.settings import Settings

Ending = Literal[
    "epochs",
    "converged",
    "stalled",
    "separated",
    "rounded",
    "stopped",
    "interrupted",
]
EpochMetrics = dict[str, float]
History = dict[str, list[float]]

# Maximum number of epochs in the history after `partial_fit`, which a stream may call
# indefinitely: a pickle grew by 45 bytes per call.
MAX_STREAM_HISTORY = 1000


@dataclass(frozen=True)
class Result:
    """The result of training, with all that is needed to continue it.

    Attributes
    ----------
    V : ndarray of shape (1, n_rows, n_columns)
        The weights W of the features x̃ and, with an intercept, b in the last column.
        There is one row per class; with two classes, a single row.
    slots : tuple of ndarray
        The state of the optimizer.
    history : dict of list
        The values of each quantity in all epochs, or in the last ones.
    n_epochs : int
        Number of epochs trained, including those of previous fits.
    kept_epoch : int or None
        The number of the epoch of V, if early stopping chose it; None if it is the
        last.
    progress : Progress
        The state of the schedule and of the measurement of progress.
    settings : Settings
        The settings of the last epochs.
    scaling : Scaling
        The map from x to x̃.
    rng : RandomState or None
        The generator of the row orders, after the last epoch; None if nothing is
        random.
    ended : str, an `Ending`
        Why the last epoch was the last: there were no more to do, `tol` was met,
        rounding let nothing improve, there is no optimum, the weights at the optimum
        can't be rounded to their dtype, a callback asked for it, or the user did.
    columns : ndarray of int64, or None
        The columns of X that V and the slots have weights for; those of the others
        are 0. None means all.
    """

    V: NDArray[Any]
    slots: tuple[NDArray[Any], ...]
    history: History
    n_epochs: int
    kept_epoch: int | None
    progress: Progress
    settings: Settings
    scaling: Scaling
    rng: np.random.RandomState | None
    ended: Ending
    columns: NDArray[np.int64] | None = None

    def with_new_schedule(self) -> Result:
        """Return the same result with a learning-rate schedule that starts over."""
        return replace(self, progress=replace(self.progress, epochs=0))

    def for_columns(self, columns: NDArray[np.int64] | None, n_features: int) -> Result:
        """Return the same result for more columns of X; None means all."""
        if self.columns is None or columns is self.columns:
            return self
        index, n = self.columns, n_features
        if columns is not None:
            index, n = np.searchsorted(columns, index), len(columns)
        width = self.V.shape[-1]
        V, *slots = (  # Adam counts its steps in a slot without columns
            spread(weights, index, n) if weights.shape[-1] == width else weights
            for weights in (self.V, *self.slots)
        )
        return replace(self, V=V, slots=tuple(slots), columns=columns)

    def with_room_for(self, n_epochs: int) -> Result:
        """Return the same result, with its history shortened for a stream."""
        n_kept = MAX_STREAM_HISTORY - n_epochs
        history = {name: values[-n_kept:] for name, values in self.history.items()}
        return replace(self, history=history)


Outcome = Result | Exception


@dataclass(frozen=True)
class Problem:
    """The training of M ≥ 1 models on the same rows.

    Use it as a context manager, which frees rows on the workers of a cluster.

    Attributes
    ----------
    dataset : Rows
        The training rows; their weights may differ between models.
    held_out : Rows or None
        Rows on which to measure `val_loss` and `val_accuracy` after each epoch.
    classes : ndarray of shape (n_classes,)
        The labels of the classes, at least 2.
    settings : tuple of Settings
        Those of each model. Models that a solver trains together agree in all that
        :data:`tfsoftmax.validation.parameters.RULES` does not allow per model.
    scaling : Scaling
        How x̃ comes from x, for training rows and held-out rows alike.
    columns : ndarray of int64, or None
        The columns of x that the datasets, and the previous result, are reduced to;
        None means all.
    rng : RandomState or None
        The generator of the row orders, one permutation per epoch. A solver copies it.
    previous : Result or None
        The result to continue, for one model; None starts from zero weights.
    n_epochs : int or None
        Number of epochs; None means `settings.epochs` of each model.
    attributes : mapping
        The fitted attributes set by validation, by name.
    """

    dataset: Rows
    held_out: Rows | None
    classes: NDArray[Any]
    settings: tuple[Settings, ...]
    scaling: Scaling
    rng: np.random.RandomState | None
    previous: Result | None
    n_epochs: int | None
    attributes: Mapping[str, Any]
    columns: NDArray[np.int64] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.dataset.close()
        if self.held_out is not None:
            self.held_out.close()

    @property
    def column_scaling(self) -> Scaling:
        """The map from x to x̃ in the columns of the datasets."""
        return self.scaling.take(self.columns)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def n_features(self) -> int:
        """Number of columns of X, including those that do not occur."""
        return int(self.attributes["n_features_in_"])

    def for_models(self, models: slice) -> Problem:
        """Return the same problem for some of its models."""
        return replace(
            self,
            dataset=self.dataset.for_models(models),
            settings=self.settings[models],
        )


class Callback(Protocol):
    """Receives a model's training events."""

    def on_epoch_begin(self) -> None:
        """Handle the start of an epoch."""

    def on_epoch_end(
        self, epoch: int, metrics: EpochMetrics, result: Callable[[], Result]
    ) -> bool:
        """Handle the end of an epoch, and return whether to stop.

        `result` returns the result of training if it stopped here.
        """


def append_epochs(history: History, epochs: list[EpochMetrics]) -> History:
    """Return the history with more epochs, and NaN for quantities not measured."""
    n_before = len(history.get("loss", ()))
    names = dict.fromkeys([*history, *(name for epoch in epochs for name in epoch)])
    return {
        name: [
            *history.get(name, [math.nan] * n_before),
            *(epoch.get(name, math.nan) for epoch in epochs),
        ]
        for name in names
    }


def check_epoch(
    epoch: int, largest_weight: float, dtype: np.dtype[Any], metrics: EpochMetrics
) -> None:
    """Refuse an epoch with a non-finite loss, or with weights that lead to one.

    Weights beyond the square root of the largest number of their dtype result from
    equally large features, and the product of the two overflows.
    """
    has_loss = math.isfinite(metrics["loss"])
    if not has_loss or not largest_weight < math.sqrt(np.finfo(dtype).max):
        what = "weights became too large" if has_loss else "loss became non-finite"
        raise ValueError(
            f"The {what} in epoch {epoch}. Lower learning_rate (now "
            f"{metrics['learning_rate']:.6g}) or scale the features of X, for instance "
            "with rescale=1/255."
        )
    check_held_out(metrics)


def check_held_out(metrics: EpochMetrics) -> None:
    """Refuse an epoch with a non-finite loss on the held-out rows."""
    if not math.isfinite(metrics.get("val_loss", 0)):
        raise ValueError(
            "The loss on the held-out rows is not finite. Scale X_val like X; if they "
            "were held out from X, scale X, for instance with rescale=1/255."
        )
