"""Mini-batch training: the epoch loop, for one model or many on the same batches.

It minimises, over V = (W, b),

    F(V) = (1/Σs) Σ_i s_i · CE(y_i, softmax(V x̃_i))
           + alpha · [ (1 − l1_ratio)/2 · ‖W‖² + l1_ratio · ‖W‖₁ ]

An epoch visits the rows in one random permutation, batch by batch, and a batch B of the
n rows contributes the gradient of the data term

    n / (|B| · Σs) · Σ_{i in B} s_i ∇CE_i

whose expectation is the gradient of all rows; a batch of all rows yields it exactly.

M ≥ 1 models share the rows, their order and the batches, and therefore each chunk and
each matrix product; they may differ in the parameters that `RULES` allows per model.
Each has a separate schedule, progress and end: its outcome is fixed at its last epoch,
and later results of the shared product are ignored. When half of the models have ended,
the others continue in a product half as wide.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tfsoftmax.data.loader import Chunk, Order
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.engine import Weights
from tfsoftmax.engine.optimizers import OPTIMIZERS, fitting_slots
from tfsoftmax.engine.spec import Hyperparameters
from tfsoftmax.solvers.engines import Evaluator, TrainingEngine, make_engines
from tfsoftmax.solvers.result import (
    Callback,
    Ending,
    EpochMetrics,
    Outcome,
    Problem,
    Result,
    append_epochs,
    check_epoch,
)
from tfsoftmax.solvers.schedules import SCHEDULES, Progress, watches
from tfsoftmax.solvers.settings import Settings
from tfsoftmax.utils.grouping import group_by_key

RngState = dict[str, Any]


def solve(problem: Problem, callbacks: Sequence[Callback]) -> list[Outcome]:
    """Train each of the problem's models for its epochs, or until it stops early.

    Ctrl-C ends the training of all models; each keeps the weights of its last complete
    epoch. KeyboardInterrupt is raised again if a model has none.

    Returns
    -------
    outcomes : list of Result or ValueError
        A ValueError for a model whose loss or weights became non-finite.
    """
    runs = [_Run(problem, i, callback) for i, callback in enumerate(callbacks)]
    groups = _group_duplicates(runs, problem.dataset)
    previous, weights = problem.previous, None
    if previous is not None:
        weights = _with_fitting_slots((previous.V, previous.slots), *problem.settings)
    rng = copy.deepcopy(problem.rng)
    assert rng is not None
    while groups:
        weights = _train(problem, groups, weights, rng)
        groups = [group for group in groups if _active(group)]
    return [run.outcome for run in runs if run.outcome is not None]


def _train(
    problem: Problem,
    groups: Sequence[Sequence[_Run]],
    weights: Weights | None,
    rng: np.random.RandomState,
) -> Weights | None:
    """Train until at most half of the groups are active; return their weights."""
    settings = groups[0][0].settings  # only settings that all models share are read
    training, held_out = make_engines(
        problem,
        [group[0].model for group in groups],
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        l1=any(each.l1 > 0 for each in problem.settings),
        # Weights keep their initial precision.
        precision=None if weights is None else weights[0].dtype,
    )
    states = training.to_device() if weights is None else training.to_device(*weights)
    orders = _Orders(problem.dataset, rng, shuffle=settings.shuffle)
    epochs_left = [max(run.epochs_left for run in _active(g)) for g in groups]
    # After this many epochs, half of the groups have ended.
    n_epochs = sorted(epochs_left, reverse=True)[len(groups) // 2]
    with training, held_out or nullcontext():
        try:
            for chunks in training.epochs(orders.draw, n_epochs):
                for run in itertools.chain.from_iterable(map(_active, groups)):
                    run.callback.on_epoch_begin()
                states, metrics = _train_epoch(
                    training, held_out, states, chunks, groups
                )
                rng_state = orders.finish_epoch()
                for i, group in enumerate(groups):
                    for run in _active(group):
                        run.finish_epoch(
                            metrics[i], _WeightsOf(training, states, i), rng_state
                        )
                if sum(bool(_active(group)) for group in groups) * 2 <= len(groups):
                    break
        except KeyboardInterrupt:
            for run in itertools.chain.from_iterable(groups):
                run.interrupt()
    orders.forget_next()
    active = [i for i, group in enumerate(groups) if _active(group)]
    if not active:
        return None
    V, slots = training.to_numpy(states)
    return V[active], tuple(slot[active] for slot in slots)


class _Orders:
    """The row orders of the epochs, which the loader's thread draws an epoch ahead."""

    def __init__(
        self, dataset: Rows, rng: np.random.RandomState, *, shuffle: bool
    ) -> None:
        self._dataset, self._rng, self._shuffle = dataset, rng, shuffle
        self._state = rng.get_state(legacy=False)
        self._next: deque[RngState] = deque()

    def draw(self) -> Order:
        """Draw the order of an epoch."""
        order = self._dataset.draw_order(self._rng) if self._shuffle else None
        self._next.append(self._rng.get_state(legacy=False))
        return order

    def finish_epoch(self) -> RngState:
        """Return the state of the generator after drawing this epoch's order."""
        self._state = self._next.popleft()
        return self._state

    def forget_next(self) -> None:
        """Set the generator back to its state after the last finished epoch."""
        self._rng.set_state(self._state)


def _train_epoch(
    training: TrainingEngine,
    held_out: Evaluator | None,
    states: list[Any],
    chunks: Iterable[Chunk],
    groups: Sequence[Sequence[_Run]],
) -> tuple[list[Any], list[EpochMetrics]]:
    """Train all groups for one epoch; return their new states and metrics."""
    began = time.perf_counter()
    runs = [(_active(group) or group)[0] for group in groups]
    settings = [run.settings for run in runs]
    rates = [
        SCHEDULES[run.settings.learning_rate_schedule].rate(run.settings, run.progress)
        for run in runs
    ]
    hyper = Hyperparameters(
        rate=rates,
        momentum=[s.momentum for s in settings],
        l2=[s.l2 for s in settings],
        l1=[s.l1 for s in settings],
    )
    states, (loss, accuracy) = training.train_epoch(states, chunks, hyper)
    measured = {"loss": loss, "accuracy": accuracy}
    if held_out is not None:
        states = training.whole(states)
        weights = held_out.states_of(training, states)
        measured["val_loss"], measured["val_accuracy"] = held_out.evaluate(weights)
    measured["learning_rate"] = np.array(rates)
    seconds = (time.perf_counter() - began) / len(groups)
    return states, [
        {name: float(values[i]) for name, values in measured.items()}
        | {"seconds": seconds}
        for i in range(len(groups))
    ]


class _WeightsOf:
    """A model's weights and slots after an epoch, converted on demand."""

    def __init__(self, engine: TrainingEngine, states: list[Any], model: int) -> None:
        self._engine, self._states, self._model = engine, states, model
        self.dtype = engine.precision

    def __call__(self) -> Weights:
        return self._engine.model_weights(self._states, self._model)

    @property
    def largest(self) -> float:
        """The largest absolute value of the weights."""
        return self._engine.largest_weight(self._states, self._model)


class _Position(NamedTuple):
    """The state of a run: its progress, the weights to keep and the row generator."""

    progress: Progress
    kept: Callable[[], Weights]
    kept_epoch: int | None
    rng_state: RngState
    n_epochs: int


class _Run:
    """The training of one model, and finally its outcome."""

    def __init__(self, problem: Problem, model: int, callback: Callback) -> None:
        self.model, self.callback = model, callback
        self.settings = problem.settings[model]
        self.outcome: Outcome | None = None
        self._problem = problem
        self._metrics: list[EpochMetrics] = []
        previous = problem.previous
        progress = previous.progress if previous else Progress()

        def kept() -> Weights:
            assert previous is not None
            return previous.V, previous.slots

        self._position = _Position(
            progress.watching(self.settings.watched),
            kept,
            previous.kept_epoch if previous else None,
            {},
            0,
        )

    @property
    def progress(self) -> Progress:
        """The progress that determines the learning rate."""
        return self._position.progress

    @property
    def epochs_left(self) -> int:
        """Number of epochs left, unless training ends early."""
        n_epochs = self._problem.n_epochs or self.settings.epochs
        return n_epochs - self._position.n_epochs

    def finish_epoch(
        self, metrics: EpochMetrics, weights: _WeightsOf, rng_state: RngState
    ) -> None:
        """Record an epoch, and set the outcome if it is the last."""
        previous, settings = self._problem.previous, self.settings
        progress, kept, kept_epoch, _, n_epochs = self._position
        epoch = n_epochs + 1 + (previous.n_epochs if previous else 0)
        try:
            check_epoch(epoch, weights.largest, weights.dtype, metrics)
        except ValueError as error:
            self.outcome = error
            return
        self._metrics.append(metrics)
        score = metrics[settings.watched]
        if settings.watched == "val_accuracy":
            score = -score
        if not settings.early_stopping:
            kept, kept_epoch = weights, None
        elif score < progress.best:
            # Converted now, so that the weights of the other models can be freed.
            kept, kept_epoch = partial(_itself, weights()), epoch
        progress = progress.after_epoch(len(self._problem.dataset), score, settings)
        # One assignment, so that an interruption sees the whole epoch or nothing of it.
        self._position = _Position(progress, kept, kept_epoch, rng_state, n_epochs + 1)
        if self.callback.on_epoch_end(epoch, metrics, self._result):
            self.outcome = self._result("stopped")
        elif progress.has_stalled(settings):
            self.outcome = self._result("converged")
        elif self.epochs_left == 0:
            self.outcome = self._result("epochs")

    def interrupt(self) -> None:
        """Set the outcome now, keeping the last complete epoch."""
        if self._position.n_epochs == 0 or isinstance(self.outcome, ValueError):
            raise KeyboardInterrupt  # there is nothing to keep
        self.outcome = self._result("interrupted")

    def _result(self, ended: Ending = "epochs") -> Result:
        progress, kept, kept_epoch, rng_state, n_epochs = self._position
        previous = self._problem.previous
        rng = np.random.RandomState(0)
        rng.set_state(rng_state)
        history = append_epochs(
            previous.history if previous else {}, self._metrics[:n_epochs]
        )
        # Models without an L1 penalty have its slots, too, if other models have one.
        V, slots = _with_fitting_slots(kept(), self.settings)
        return Result(
            V=V,
            slots=slots,
            history=history,
            n_epochs=n_epochs + (previous.n_epochs if previous else 0),
            kept_epoch=kept_epoch,
            progress=progress,
            settings=self.settings,
            scaling=self._problem.scaling,
            rng=rng,
            ended=ended,
            columns=self._problem.columns,
        )


def _with_fitting_slots(weights: Weights, settings: Settings) -> Weights:
    V, slots = weights
    return V, fitting_slots(settings.optimizer, V, slots, l1=settings.l1 > 0)


def _itself(weights: Weights) -> Weights:
    return weights


def _active(group: Sequence[_Run]) -> list[_Run]:
    """Return the runs that have not ended."""
    return [run for run in group if run.outcome is None]


def _group_duplicates(runs: Sequence[_Run], dataset: Rows) -> list[list[_Run]]:
    """Group runs that train the same model, which is then trained once.

    If trained twice, equal candidates would differ by rounding and not tie.
    """
    weights = dataset.weights if dataset.per_model_weights else None
    same = group_by_key(
        (
            _effective(run.settings),
            None if weights is None else weights[run.model].tobytes(),
        )
        for run in runs
    )
    return [[runs[i] for i in some] for some in same]


def _effective(settings: Settings) -> Settings:
    """Return settings that are equal for runs that train the same model."""
    schedule = SCHEDULES[settings.learning_rate_schedule]
    used = {*schedule.uses, *OPTIMIZERS[settings.optimizer].uses}
    return replace(
        settings,
        momentum=settings.momentum if "momentum" in used else 0.0,
        power_t=settings.power_t if "power_t" in used else 0.0,
        l1_ratio=settings.l1_ratio if settings.alpha else 0.0,
        scoring=settings.scoring if settings.early_stopping else "loss",
        n_iter_no_change=settings.n_iter_no_change if watches(settings) else 0,
    )
