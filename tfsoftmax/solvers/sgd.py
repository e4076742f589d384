"""Mini-batch training: the epoch loop, for one model or many on the same batches.

It minimises, over V = (W, b),

    F(V) = (1/Σs) Σ_i s_i · CE(y_i, softmax(V x̃_i))
           + alpha · [ (1 − l1_ratio)/2 · ‖W‖² + l1_ratio · ‖W‖₁ ]

An epoch takes the rows in one random permutation, batch by batch, and a batch B of the
n rows contributes the data term's gradient

    n / (|B| · Σs) · Σ_{i in B} s_i ∇CE_i

whose expectation is that of all rows; a batch that holds every row gives it exactly.

M ≥ 1 models share the rows, their order and the batches, and so each chunk and each
matrix product; they may differ in whatever `RULES` allows per model. Each has its own
schedule, progress and end: its outcome is settled at its last epoch, and what the
shared product computes for it afterwards is ignored. When half of the models have
ended, the others go on in a product half as wide.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.loader import Chunk, Order
from tfsoftmax.engine.engine import Engine, Weights, make_engines
from tfsoftmax.engine.optimizers import OPTIMIZERS
from tfsoftmax.engine.spec import Hyperparameters
from tfsoftmax.solvers.result import (
    Callback,
    Ending,
    EpochMetrics,
    Outcome,
    Problem,
    Result,
    append_epochs,
    check_finite,
)
from tfsoftmax.solvers.schedules import SCHEDULES, Progress, watches
from tfsoftmax.solvers.settings import Settings

RngState = dict[str, Any]


def solve(problem: Problem, callbacks: Sequence[Callback]) -> list[Outcome]:
    """Train each of the problem's models for its epochs, or until it stops early.

    Ctrl-C ends the training of all; each keeps the weights of its last whole epoch.
    It is raised again where a model has none.

    Returns
    -------
    outcomes : list of Result or ValueError
        A ValueError where the loss or a weight ceased to be finite.
    """
    runs = [
        _Run(problem, settings, callback)
        for settings, callback in zip(problem.settings, callbacks, strict=True)
    ]
    columns = _columns(runs, problem.dataset)
    previous = problem.previous
    weights = None if previous is None else (previous.V, previous.slots)
    rng = copy.deepcopy(problem.rng)
    assert rng is not None
    while columns:
        weights = _train(columns, problem, weights, rng)
        columns = [column for column in columns if column.is_active]
    return [run.outcome for run in runs if run.outcome is not None]


def _train(
    columns: Sequence[_Column],
    problem: Problem,
    weights: Weights | None,
    rng: np.random.RandomState,
) -> Weights | None:
    """Train until at most half of the columns are active; return their weights."""
    settings = columns[0].settings  # those that are the same for all models count here
    training, held_out = make_engines(
        problem.dataset.for_models([column.model for column in columns]),
        problem.held_out,
        problem.n_classes,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        # Weights keep the precision they began with.
        precision=None if weights is None else weights[0].dtype,
        fit_intercept=settings.fit_intercept,
        rescale=settings.rescale,
        n_models=len(columns),
    )
    states = training.to_device() if weights is None else training.to_device(*weights)
    rng_state = rng.get_state(legacy=False)
    rng_states: deque[RngState] = deque()

    def draw_order() -> Order:  # by the loader's thread, an epoch ahead
        order = _permutation(len(problem.dataset), rng) if settings.shuffle else None
        rng_states.append(rng.get_state(legacy=False))
        return order

    longest = sorted((column.n_epochs_left for column in columns), reverse=True)
    n_epochs = longest[len(columns) // 2]  # after these, half of the columns have ended
    with training, held_out or nullcontext():
        try:
            for chunks in training.epochs(draw_order, n_epochs):
                for column in columns:
                    column.begin_epoch()
                states, metrics = _train_epoch(
                    training, held_out, states, chunks, columns
                )
                rng_state = rng_states.popleft()
                for i, column in enumerate(columns):
                    own = training.model_weights(states, i)
                    column.finish_epoch(metrics[i], own, rng_state)
                if sum(column.is_active for column in columns) * 2 <= len(columns):
                    break
        except KeyboardInterrupt:
            for column in columns:
                column.interrupt()
    rng.set_state(rng_state)  # without the order that was drawn ahead
    active = [i for i, column in enumerate(columns) if column.is_active]
    if not active:
        return None
    V, slots = training.to_numpy(states)
    return V[active], tuple(slot[active] for slot in slots)


def _train_epoch(
    training: Engine,
    held_out: Engine | None,
    states: list[Any],
    chunks: Iterable[Chunk],
    columns: Sequence[_Column],
) -> tuple[list[Any], list[EpochMetrics]]:
    """Train all columns for one epoch; return the new states and each one's metrics."""
    began = time.perf_counter()
    settings = [column.settings for column in columns]
    rates = [
        SCHEDULES[s.learning_rate_schedule].rate(s, column.progress)
        for s, column in zip(settings, columns, strict=True)
    ]
    hyper = Hyperparameters(
        rate=rates,
        momentum=[s.momentum for s in settings],
        l2=[s.alpha * (1 - s.l1_ratio) for s in settings],
        l1=[s.alpha * s.l1_ratio for s in settings],
    )
    states, (loss, accuracy) = training.train_epoch(states, chunks, hyper)
    measured = {"loss": loss, "accuracy": accuracy}
    if held_out is not None:
        measured["val_loss"], measured["val_accuracy"] = held_out.evaluate(states)
    measured["learning_rate"] = np.array(rates)
    seconds = (time.perf_counter() - began) / len(columns)
    return states, [
        {name: float(values[i]) for name, values in measured.items()}
        | {"seconds": seconds}
        for i in range(len(columns))
    ]


def _permutation(n: int, rng: np.random.RandomState) -> Order:
    """Draw ``rng.permutation(n)``, in half of the memory."""
    fits = n <= np.iinfo(np.int32).max
    order: NDArray[Any] = np.arange(n, dtype=np.int32 if fits else np.int64)
    rng.shuffle(order)
    return order


class _Run:
    """The training of one model: how far it is, and at its end the outcome."""

    def __init__(
        self, problem: Problem, settings: Settings, callback: Callback
    ) -> None:
        self.settings, self.callback = settings, callback
        self.outcome: Outcome | None = None
        previous = problem.previous
        self._previous = previous
        self._n_samples = len(problem.dataset)
        self._n_epochs = problem.n_epochs or settings.epochs
        self._metrics: list[EpochMetrics] = []
        watched = "val_accuracy" if settings.early_stopping else "loss"
        progress = previous.progress if previous else Progress()
        self._position = _Position(
            progress.watching(watched),
            kept=(previous.V, previous.slots) if previous else None,
        )

    @property
    def progress(self) -> Progress:
        """What the schedule of the next epoch goes by."""
        return self._position.progress

    @property
    def n_epochs_left(self) -> int:
        """Number of epochs still to be trained, unless something ends them."""
        return self._n_epochs - self._position.n_epochs

    def finish_epoch(
        self, metrics: EpochMetrics, weights: Weights, rng_state: RngState
    ) -> None:
        """Record an epoch, and settle the outcome if it is the last."""
        n_before = self._previous.n_epochs if self._previous else 0
        epoch = n_before + self._position.n_epochs + 1
        try:
            check_finite(epoch, weights[0], metrics, self.settings)
        except ValueError as error:
            self.outcome = error
            return
        self._metrics.append(metrics)
        # One assignment, so that an interruption finds all of the epoch or nothing.
        self._position = self._position.after_epoch(
            metrics, weights, rng_state, self._n_samples, self.settings
        )
        if self.callback.on_epoch_end(epoch, metrics, self._result):
            self.outcome = self._result("stopped")
        elif self.progress.has_stalled(self.settings):
            self.outcome = self._result("converged")
        elif self.n_epochs_left == 0:
            self.outcome = self._result("epochs")

    def interrupt(self) -> None:
        """Settle the outcome now: the last whole epoch is kept."""
        if self._position.n_epochs == 0:
            raise KeyboardInterrupt  # there is nothing to keep
        if not isinstance(self.outcome, ValueError):
            self.outcome = self._result("interrupted")

    def _result(self, ended: Ending = "epochs") -> Result:
        position, previous = self._position, self._previous
        assert position.kept is not None
        assert position.rng_state is not None
        V, slots = position.kept
        rng = np.random.RandomState(0)
        rng.set_state(position.rng_state)
        return Result(
            np.array(V),
            tuple(np.array(slot) for slot in slots),
            append_epochs(
                previous.history if previous else {}, self._metrics[: position.n_epochs]
            ),
            position.progress,
            self.settings,
            rng,
            ended,
        )


@dataclass(frozen=True)
class _Position:
    """How far a run is: its progress, the weights to keep, and the rows' generator."""

    progress: Progress
    kept: Weights | None
    rng_state: RngState | None = None
    n_epochs: int = 0

    def after_epoch(
        self,
        metrics: EpochMetrics,
        weights: Weights,
        rng_state: RngState,
        n_samples: int,
        settings: Settings,
    ) -> _Position:
        kept: Weights | None = weights
        if settings.early_stopping:
            score = -metrics["val_accuracy"]
            # Copies, which do not hold on to the weights of the other models.
            V, slots = weights
            is_best = score < self.progress.best
            kept = (V.copy(), tuple(map(np.copy, slots))) if is_best else self.kept
        else:
            score = metrics["loss"]
        progress = self.progress.after_epoch(n_samples, score, settings)
        return _Position(progress, kept, rng_state, self.n_epochs + 1)


@dataclass(frozen=True)
class _Column:
    """Runs that can't but be the same, and so are trained as one model.

    Trained twice they would differ by rounding, and equal candidates not tie.
    """

    model: int  # the first one's number among the problem's models
    runs: tuple[_Run, ...]

    @property
    def is_active(self) -> bool:
        """Whether a run has not ended yet."""
        return any(run.outcome is None for run in self.runs)

    @property
    def _representative(self) -> _Run:
        return next((run for run in self.runs if run.outcome is None), self.runs[0])

    @property
    def settings(self) -> Settings:
        """What the next epoch is trained with."""
        return self._representative.settings

    @property
    def progress(self) -> Progress:
        """What the schedule of the next epoch goes by."""
        return self._representative.progress

    @property
    def n_epochs_left(self) -> int:
        """Number of epochs still to be trained, unless something ends them."""
        return max(run.n_epochs_left for run in self.runs if run.outcome is None)

    def begin_epoch(self) -> None:
        for run in self._active():
            run.callback.on_epoch_begin()

    def finish_epoch(
        self, metrics: EpochMetrics, weights: Weights, rng_state: RngState
    ) -> None:
        for run in self._active():
            run.finish_epoch(metrics, weights, rng_state)

    def interrupt(self) -> None:
        for run in self.runs:
            run.interrupt()

    def _active(self) -> list[_Run]:
        return [run for run in self.runs if run.outcome is None]


def _columns(runs: Sequence[_Run], dataset: Dataset) -> list[_Column]:
    """Group runs that train the same model."""
    groups: dict[Hashable, list[int]] = {}
    for model, run in enumerate(runs):
        weights = (
            dataset.for_models([model]).weights if dataset.per_model_weights else None
        )
        key = _effective(run.settings), None if weights is None else weights.tobytes()
        groups.setdefault(key, []).append(model)
    return [
        _Column(models[0], tuple(runs[model] for model in models))
        for models in groups.values()
    ]


def _effective(settings: Settings) -> Settings:
    """Return settings that are equal where they train the same model."""
    schedule = SCHEDULES[settings.learning_rate_schedule]
    optimizer = OPTIMIZERS[settings.optimizer]
    used = {*schedule.uses, *optimizer.uses}
    return replace(
        settings,
        momentum=settings.momentum if "momentum" in used else 0.0,
        power_t=settings.power_t if "power_t" in used else 0.0,
        l1_ratio=settings.l1_ratio if settings.alpha else 0.0,
        n_iter_no_change=settings.n_iter_no_change if watches(settings) else 0,
    )
