"""The epoch loop: order → chunks → program → record → stop? NumPy in, NumPy out.

It minimises, over V = (W, b),

    F(V) = (1/Σs) Σ_i s_i · CE(y_i, softmax(V x̃_i))
           + alpha · [ (1 − l1_ratio)/2 · ‖W‖² + l1_ratio · ‖W‖₁ ]

by mini-batches: an epoch takes the rows in one random permutation, batch by batch,
and a batch B of the n rows contributes the data term's gradient

    n / (|B| · Σs) · Σ_{i in B} s_i ∇CE_i

whose expectation is that of all rows; a batch that holds every row gives it exactly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.chunks import MIN_TILE, Order, Rows
from tfsoftmax.passes import Pass, States
from tfsoftmax.schedules import SCHEDULES, Progress
from tfsoftmax.warn import warn

# The optimizers that heed `momentum`.
WITH_MOMENTUM = ("momentum", "nesterov")

Ending = Literal["epochs", "converged", "stopped", "interrupted"]
Entry = dict[str, float]
History = dict[str, list[float]]


@dataclass(frozen=True)
class Settings:
    """How to train; each as the estimator's parameter of the same name."""

    batch_size: int
    learning_rate: float
    epochs: int
    optimizer: str
    momentum: float
    learning_rate_schedule: str
    power_t: float
    alpha: float
    l1_ratio: float
    fit_intercept: bool
    rescale: float
    shuffle: bool
    early_stopping: bool
    tol: float | None
    n_iter_no_change: int

    def effective(self) -> Settings:
        """Give settings that are equal where they train the same model."""
        schedule = self.learning_rate_schedule
        watches = self.early_stopping or self.tol is not None or schedule == "adaptive"
        return replace(
            self,
            momentum=self.momentum if self.optimizer in WITH_MOMENTUM else 0.0,
            power_t=self.power_t if schedule == "invscaling" else 0.0,
            l1_ratio=self.l1_ratio if self.alpha else 0.0,
            n_iter_no_change=self.n_iter_no_change if watches else 0,
        )


@dataclass(frozen=True)
class Record:
    """What training leaves behind, and all that going on from there needs.

    Attributes
    ----------
    V : ndarray of shape (1, n_rows, n_columns)
        The weights W of the rescaled features and, with an intercept, b in the
        last column. There is a row for each class, or one with two classes.
    slots : tuple of ndarray
        What the update rule remembers.
    history : dict of list
        For each quantity its value in every epoch.
    progress : Progress
        Where the schedule and the watch over progress stand.
    settings : Settings
        The settings of the last epochs.
    ended : {"epochs", "converged", "stopped", "interrupted"}
        Why the last epoch was the last: there were no more to do, `tol` was met,
        a callback asked for it, or the user did.
    """

    V: NDArray[Any]
    slots: tuple[NDArray[Any], ...]
    history: History
    progress: Progress
    settings: Settings
    ended: Ending

    @property
    def n_epochs(self) -> int:
        """Epochs trained, all told."""
        return len(self.history["loss"])

    def with_new_schedule(self) -> Record:
        """Give the same record with a cosine schedule that starts over."""
        return replace(self, progress=replace(self.progress, epochs=0))


class Watch(Protocol):
    """What looks on while training goes on."""

    def before_epoch(self) -> None:
        """Be told that an epoch begins."""

    def after_epoch(
        self, epoch: int, entry: Entry, record: Callable[[], Record]
    ) -> bool:
        """Be told of an epoch that has ended, and answer whether to stop here.

        `record` gives what training would leave behind if it did.
        """


def train(
    rows: Rows,
    n_classes: int,
    settings: Settings,
    random_state: np.random.RandomState,
    *,
    watch: Watch,
    former: Record | None = None,
    held_out: Rows | None = None,
    n_epochs: int | None = None,
) -> Record:
    """Train for some epochs, from zeros or from where a record ends.

    Parameters
    ----------
    rows : Rows
        The training rows.
    n_classes : int
        The number of classes, at least 2.
    settings : Settings
    random_state : RandomState
        Where the order of rows comes from, one permutation an epoch.
    watch : Watch
        What looks on, and may end training early.
    former : Record, default=None
        Where to go on from.
    held_out : Rows, default=None
        Rows on which to measure `val_loss` and `val_accuracy` after each epoch.
    n_epochs : int, default=None
        How many epochs; by default `settings.epochs`, which is also the length of
        the cosine schedule.

    Raises
    ------
    ValueError
        If the loss or a weight ceases to be finite, or the settings don't fit the
        former record.
    """
    training, measuring = passes(rows, held_out, n_classes, settings, former)
    start = training.start(*((former.V, former.slots) if former else ()))
    progress = former.progress if former else Progress()
    watched = "val_accuracy" if settings.early_stopping else "loss"
    run = _Run(start, start, progress.watching(watched))
    orders = Orders(len(rows), random_state, settings.shuffle)
    before = former.history if former else {}
    first = former.n_epochs + 1 if former else 1
    entries: list[Entry] = []
    ended: Ending = "epochs"

    def record() -> Record:
        V, slots = training.finish(run.kept)
        history = extended(before, entries[: run.n_epochs])
        return Record(V, slots, history, run.progress, settings, ended)

    with training, measuring or nullcontext():
        generator_state = random_state.get_state()
        last = first + (n_epochs or settings.epochs) - 1
        for epoch in range(first, last + 1):
            try:
                watch.before_epoch()
                states, (entry,) = train_epoch(
                    training,
                    measuring,
                    run.states,
                    orders.begin_epoch(),
                    [settings],
                    [run.progress],
                    following=orders.draw if epoch < last else None,
                )
                check_finite(epoch, states[0].V, entry, settings)
                entries.append(entry)
                # One assignment, so that an interruption finds all of it or nothing.
                run, generator_state = (
                    run.after(states, entry, len(rows), settings),
                    random_state.get_state(),
                )
                if watch.after_epoch(epoch, entry, record):
                    ended = "stopped"
                    break
            except KeyboardInterrupt:
                random_state.set_state(generator_state)
                if run.n_epochs == 0:
                    raise  # nothing to keep
                warn_of_interruption(first + run.n_epochs)
                ended = "interrupted"
                break
            if run.progress.has_stalled(settings):
                ended = "converged"
                break
    return record()


@dataclass(frozen=True)
class _Run:
    """Where a run of epochs stands: the last states, those to keep, the progress."""

    states: States
    kept: States
    progress: Progress
    n_epochs: int = 0

    def after(
        self, states: States, entry: Entry, n_rows: int, settings: Settings
    ) -> _Run:
        """Give where it stands after another epoch."""
        kept = states if is_to_keep(self.progress, entry, settings) else self.kept
        progress = advance(self.progress, entry, n_rows, settings)
        return _Run(states, kept, progress, self.n_epochs + 1)


def is_to_keep(progress: Progress, entry: Entry, settings: Settings) -> bool:
    """Tell whether an epoch's weights are the ones to keep, if it is the last."""
    return not settings.early_stopping or -entry["val_accuracy"] < progress.best


def advance(
    progress: Progress, entry: Entry, n_rows: int, settings: Settings
) -> Progress:
    """Count an epoch that ended with this entry."""
    score = -entry["val_accuracy"] if settings.early_stopping else entry["loss"]
    return progress.after_epoch(n_rows, score, settings)


def passes(
    rows: Rows,
    held_out: Rows | None,
    n_classes: int,
    settings: Settings,
    former: Record | None,
    n_models: int = 1,
) -> tuple[Pass, Pass | None]:
    """Prepare the passes over the training rows and over the held-out rows.

    Of the settings of several models, those that they share count.
    """
    if former is not None:
        _check_goes_on(former.settings, settings)
    shared: Any = {
        "fit_intercept": settings.fit_intercept,
        "rescale": settings.rescale,
        "n_models": n_models,
    }
    training = Pass(
        rows,
        n_classes,
        batch_size=settings.batch_size,
        # Weights keep the precision they began with.
        precision=None if former is None else former.V.dtype,
        optimizer=None if settings.optimizer == "lbfgs" else settings.optimizer,
        **shared,
    )
    if held_out is None:
        return training, None
    return training, Pass(
        held_out, n_classes, batch_size=MIN_TILE, precision=training.precision, **shared
    )


def train_epoch(
    training: Pass,
    measuring: Pass | None,
    states: States,
    order: Order,
    settings: Sequence[Settings],
    progress: Sequence[Progress],
    following: Callable[[], Order] | None = None,
) -> tuple[States, list[Entry]]:
    """Train for one epoch: new states, and each model's entry in its history."""
    began = time.perf_counter()
    rates = [
        SCHEDULES[one.learning_rate_schedule](one, stands)
        for one, stands in zip(settings, progress, strict=True)
    ]
    hyper = [
        rates,
        [one.momentum for one in settings],
        [one.alpha * (1 - one.l1_ratio) for one in settings],
        [one.alpha * one.l1_ratio for one in settings],
    ]
    states, loss, accuracy = training.train(states, order, np.array(hyper), following)
    measured = {"loss": loss, "accuracy": accuracy}
    if measuring is not None:
        measured["val_loss"], measured["val_accuracy"] = measuring.measure(states)
    measured["learning_rate"] = np.array(rates)
    seconds = (time.perf_counter() - began) / len(settings)
    return states, [
        {name: float(values[m]) for name, values in measured.items()}
        | {"seconds": seconds}
        for m in range(len(settings))
    ]


def _check_goes_on(former: Settings, settings: Settings) -> None:
    """Check what the weights and slots of a former record depend on."""
    for name in ("optimizer", "fit_intercept", "rescale"):
        was, now = getattr(former, name), getattr(settings, name)
        if was != now:
            raise ValueError(
                f"{name} can't change between calls that go on from each other: it was "
                f"{was!r} and is now {now!r}. Fit anew, with warm_start=False."
            )


class Orders:
    """The orders of rows, one an epoch: ``random_state.permutation(n_samples)``.

    The next one can be drawn ahead, by another thread. The generator moves on only
    when that epoch begins, so that an end before it leaves nothing to take back.
    """

    def __init__(
        self, n_samples: int, random_state: np.random.RandomState, shuffle: bool
    ) -> None:
        self._n_samples, self._shuffle = n_samples, shuffle
        self._random_state = random_state
        self._copy = np.random.RandomState(0)
        self._drawn: Order = None

    def draw(self) -> Order:
        """Draw the order of the next epoch, unless that is done."""
        if self._shuffle and self._drawn is None:
            self._copy.set_state(self._random_state.get_state())
            # Of half the memory that the permutation would take.
            fits = self._n_samples <= np.iinfo(np.int32).max
            self._drawn = np.arange(self._n_samples, dtype="i4" if fits else "i8")
            self._copy.shuffle(self._drawn)
        return self._drawn

    def begin_epoch(self) -> Order:
        """Give the order of the epoch that begins now."""
        order = self.draw()
        if self._shuffle:
            self._random_state.set_state(self._copy.get_state())
            self._drawn = None
        return order


def check_finite(epoch: int, V: Any, entry: Entry, settings: Settings) -> None:
    """Refuse an epoch with a loss that is not finite, or weights that lead there.

    Weights beyond the square root of the largest number have come from features as
    large, and the product of the two overflows.
    """
    V = np.asarray(V)
    has_loss = math.isfinite(entry["loss"])
    if not has_loss or not (abs(V) < math.sqrt(np.finfo(V.dtype).max)).all():
        what = "weights became too large" if has_loss else "loss became non-finite"
        alpha = f" or alpha (now {settings.alpha:.6g})" if settings.alpha else ""
        raise ValueError(
            f"The {what} in epoch {epoch}. Lower learning_rate (now "
            f"{entry['learning_rate']:.6g}){alpha} or scale the features of X, for "
            "instance with rescale=1/255."
        )
    check_held_out(entry)


def check_held_out(entry: Entry) -> None:
    """Refuse held-out rows whose loss is not finite, though that in training is."""
    if not math.isfinite(entry.get("val_loss", 0)):
        raise ValueError(
            "The loss on the held-out rows is not finite. Scale X_val as X is scaled; "
            "where they are rows of X, scale X, for instance with rescale=1/255."
        )


def warn_of_interruption(epoch: int) -> None:
    """Tell which weights an interrupted fit keeps."""
    warn(
        f"Training was interrupted in epoch {epoch}; the weights kept are those after "
        f"epoch {epoch - 1}."
    )


def extended(history: History, entries: list[Entry]) -> History:
    """Add epochs to a history; what was not measured in some epoch is NaN there."""
    n_before = len(history.get("loss", ()))
    names = dict.fromkeys([*history, *(name for entry in entries for name in entry)])
    return {
        name: [
            *history.get(name, [math.nan] * n_before),
            *(entry.get(name, math.nan) for entry in entries),
        ]
        for name in names
    }
