"""Training many models on the same batches, each as if it were alone.

The models share the rows, their order and the batches, and so each chunk and each
matrix product; they may differ in whatever `parameters.RULES` calls their own. Each
has its own schedule, progress and end: it is recorded at its last epoch, and what the
shared product computes for it afterwards is not looked at. When half of them have
ended, the others go on in a product half as wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.chunks import Rows
from tfsoftmax.passes import Pass, States
from tfsoftmax.schedules import Progress
from tfsoftmax.training import (
    Ending,
    Entry,
    Orders,
    Record,
    Settings,
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
    random_state: np.random.RandomState,
    *,
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
    random_state : RandomState
        Where the order of rows comes from, one permutation an epoch.
    held_out : Rows, default=None
        Rows on which to measure `val_loss` and `val_accuracy` after each epoch.

    Returns
    -------
    records : list of Record or ValueError
        What each model leaves behind, or why it failed.
    """
    models = [_Model(one) for one in settings]
    orders = Orders(len(rows), random_state, settings[0].shuffle)
    going = list(range(len(models)))
    start: Weights | tuple[None, tuple[()]] = (None, ())
    while going:
        own = replace(rows, weights=_weights_of(rows, going))
        training, measuring = passes(
            own, held_out, n_classes, settings[0], None, n_models=len(going)
        )
        states = training.start(*start)
        with training, measuring or nullcontext():
            team = [models[m] for m in going]
            while sum(model.outcome is None for model in team) * 2 > len(team):
                states, entries = train_epoch(
                    training,
                    measuring,
                    states,
                    orders.begin_epoch(),
                    [model.settings for model in team],
                    [model.progress for model in team],
                )
                for place, (model, entry) in enumerate(zip(team, entries, strict=True)):
                    if model.outcome is None:
                        model.finish_epoch(entry, len(rows), training, states, place)
        on = [place for place, model in enumerate(team) if model.outcome is None]
        V, slots = training.finish(states)
        start = V[on], tuple(slot[on] for slot in slots)
        going = [going[place] for place in on]
    return [model.outcome for model in models if model.outcome is not None]


@dataclass
class _Model:
    """Where one of the models stands, until there is an outcome."""

    settings: Settings
    progress: Progress = field(default_factory=Progress)
    entries: list[Entry] = field(default_factory=list)
    kept: Weights | None = None
    outcome: Record | ValueError | None = None

    def __post_init__(self) -> None:
        watched = "val_accuracy" if self.settings.early_stopping else "loss"
        self.progress = self.progress.watching(watched)

    def finish_epoch(
        self, entry: Entry, n_rows: int, training: Pass, states: States, place: int
    ) -> None:
        """Count an epoch, and settle the outcome if it was the last."""
        weights = training.weights_of(states, place)
        try:
            check_finite(len(self.entries) + 1, weights[0], entry)
        except ValueError as error:
            self.outcome = error
            return
        self.entries.append(entry)
        if is_to_keep(self.progress, entry, self.settings):
            self.kept = weights
        self.progress = advance(self.progress, entry, n_rows, self.settings)
        if self.progress.has_stalled(self.settings):
            self.outcome = self._record("converged")
        elif len(self.entries) == self.settings.epochs:
            self.outcome = self._record("epochs")

    def _record(self, ended: Ending) -> Record:
        assert self.kept is not None
        V, slots = self.kept
        history = extended({}, self.entries)
        return Record(V, slots, history, self.progress, self.settings, ended)


def _weights_of(rows: Rows, models: list[int]) -> NDArray[np.float64] | None:
    shared = rows.weights is None or rows.weights.ndim == 1
    return rows.weights if shared else rows.weights[models]  # type: ignore[index]
