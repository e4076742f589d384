"""Training many models on the same batches, each as if it were alone.

The models share the rows, their order and the batches, and so each chunk and each
matrix product; they may differ in whatever `parameters.RULES` calls their own. Each
has its own schedule, progress and end: it is recorded at its last epoch, and what the
shared product computes for it afterwards is not looked at. When half of them have
ended, the others go on in a product half as wide.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.chunks import Rows
from tfsoftmax.schedules import Progress
from tfsoftmax.training import (
    Ending,
    Entry,
    Orders,
    Record,
    Settings,
    Watch,
    advance,
    check_finite,
    extended,
    is_to_keep,
    passes,
    train_epoch,
)

Weights = tuple[NDArray[Any], tuple[NDArray[Any], ...]]  # V and the rule's slots


def train_side_by_side(
    rows: Rows,
    n_classes: int,
    settings: Sequence[Settings],
    random_states: Sequence[np.random.RandomState],
    *,
    watches: Sequence[Watch],
    held_out: Rows | None = None,
) -> list[Record | ValueError]:
    """Train a model for each of the settings, all of them from zeros.

    Parameters
    ----------
    rows : Rows
        The training rows; their weights may be each model's own.
    n_classes : int
        The number of classes, at least 2.
    settings : sequence of Settings
        They agree in all that the models share.
    random_states : sequence of RandomState
        Where the order of rows comes from, one permutation an epoch: all in the same
        state, and each left where the model's own training would leave it.
    watches : sequence of Watch
        What looks on at each model, and may end its training early.
    held_out : Rows, default=None
        Rows on which to measure `val_loss` and `val_accuracy` after each epoch.

    Returns
    -------
    outcomes : list of Record or ValueError
        What each model leaves behind, or why it failed.
    """
    models = [
        _Model(*own) for own in zip(settings, random_states, watches, strict=True)
    ]
    shared = copy.deepcopy(random_states[0])
    orders = Orders(len(rows), shared, settings[0].shuffle)
    places, members = _distinct(models, rows)
    start: Weights | tuple[None, tuple[()]] = (None, ())
    while places:
        training, measuring = passes(
            rows.of_models(places),
            held_out,
            n_classes,
            settings[0],
            None,
            n_models=len(places),
        )
        states = training.start(*start)
        with training, measuring or nullcontext():
            while sum(bool(_going(same)) for same in members) * 2 > len(members):
                for model in _going(models):
                    model.watch.before_epoch()
                leaders = [(_going(same) or same)[0] for same in members]
                states, entries = train_epoch(
                    training,
                    measuring,
                    states,
                    orders.begin_epoch(),
                    [model.settings for model in leaders],
                    [model.progress for model in leaders],
                )
                for column, entry in enumerate(entries):
                    for model in _going(members[column]):
                        weights = training.weights_of(states, column)
                        model.finish_epoch(entry, len(rows), weights, shared)
        on = [column for column, same in enumerate(members) if _going(same)]
        V, slots = training.finish(states)
        start = V[on], tuple(slot[on] for slot in slots)
        places = [places[column] for column in on]
        members = [members[column] for column in on]
    return [model.outcome for model in models if model.outcome is not None]


def _distinct(
    models: Sequence[_Model], rows: Rows
) -> tuple[list[int], list[list[_Model]]]:
    """Bring together models that can't but be the same: (the first's place, models).

    Trained twice they would differ by rounding, and equal candidates not tie.
    """
    first: dict[Hashable, int] = {}
    members: dict[Hashable, list[_Model]] = {}
    for place, model in enumerate(models):
        own = rows.of_models([place]).weights
        weighting = b"" if own is None or own.ndim == 1 else own.tobytes()
        key = model.settings.effective(), weighting
        first.setdefault(key, place)
        members.setdefault(key, []).append(model)
    return list(first.values()), list(members.values())


def _going(models: Sequence[_Model]) -> list[_Model]:
    return [model for model in models if model.outcome is None]


@dataclass
class _Model:
    """Where one of the models stands, until there is an outcome."""

    settings: Settings
    random_state: np.random.RandomState
    watch: Watch
    progress: Progress = field(default_factory=Progress)
    entries: list[Entry] = field(default_factory=list)
    kept: Weights | None = None
    outcome: Record | ValueError | None = None

    def __post_init__(self) -> None:
        watched = "val_accuracy" if self.settings.early_stopping else "loss"
        self.progress = self.progress.watching(watched)

    def finish_epoch(
        self,
        entry: Entry,
        n_rows: int,
        weights: Weights,
        shared: np.random.RandomState,
    ) -> None:
        """Count an epoch, and settle the outcome if it was the last."""
        epoch = len(self.entries) + 1
        try:
            check_finite(epoch, weights[0], entry, self.settings)
        except ValueError as error:
            self.outcome = error
            return
        self.entries.append(entry)
        self.random_state.set_state(shared.get_state())
        if is_to_keep(self.progress, entry, self.settings):
            self.kept = weights
        self.progress = advance(self.progress, entry, n_rows, self.settings)
        if self.watch.after_epoch(epoch, entry, lambda: self._record("epochs")):
            self.outcome = self._record("stopped")
        elif self.progress.has_stalled(self.settings):
            self.outcome = self._record("converged")
        elif epoch == self.settings.epochs:
            self.outcome = self._record("epochs")

    def _record(self, ended: Ending) -> Record:
        assert self.kept is not None
        V, slots = self.kept
        history = extended({}, self.entries)
        return Record(V, slots, history, self.progress, self.settings, ended)
