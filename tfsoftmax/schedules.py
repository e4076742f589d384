"""The learning rate of each epoch, and whether training still makes progress."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfsoftmax.training import Settings

# As scikit-learn's MLPClassifier has them.
DEFAULT_TOL = 1e-4
ADAPTIVE_DIVISOR = 5.0
SMALLEST_ADAPTIVE_RATE = 1e-6


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes
    ----------
    epochs : int
        Epochs since the schedule began.
    n_seen : int
        Rows trained on, each epoch counted.
    cuts : int
        How often the adaptive schedule has cut the rate.
    watched : {"loss", "val_accuracy"}
        What progress is judged by.
    best : float
        The lowest score so far: the training loss, or minus the held-out accuracy.
    stale : int
        Epochs in a row that did not improve on it by `tol`.
    """

    epochs: int = 0
    n_seen: int = 0
    cuts: int = 0
    watched: str = "loss"
    best: float = math.inf
    stale: int = 0

    def watching(self, name: str) -> Progress:
        """Judge progress by this from now on; one score says nothing of another."""
        if name == self.watched:
            return self
        return replace(self, watched=name, best=math.inf, stale=0)

    def after_epoch(self, n_rows: int, score: float, settings: Settings) -> Progress:
        """Count an epoch of so many rows that ended with this score.

        Where the score has stalled, the adaptive schedule cuts its rate.
        """
        tol = DEFAULT_TOL if settings.tol is None else settings.tol
        after = replace(
            self,
            epochs=self.epochs + 1,
            n_seen=self.n_seen + n_rows,
            best=min(self.best, score),
            stale=self.stale + 1 if score > self.best - tol else 0,
        )
        if (
            settings.learning_rate_schedule == "adaptive"
            and after.stale > settings.n_iter_no_change
            and adaptive(settings, after) > SMALLEST_ADAPTIVE_RATE
        ):
            return replace(after, cuts=after.cuts + 1, stale=0)
        return after

    def has_stalled(self, settings: Settings) -> bool:
        """Tell whether it is time to stop, for whoever asked for stopping at all."""
        watched = settings.tol is not None or settings.early_stopping
        watched |= settings.learning_rate_schedule == "adaptive"
        return watched and self.stale > settings.n_iter_no_change


def constant(settings: Settings, progress: Progress) -> float:
    """Keep the rate."""
    return settings.learning_rate


def cosine(settings: Settings, progress: Progress) -> float:
    """Follow half a cosine from the rate to almost 0, `epochs` being its length.

    I. Loshchilov and F. Hutter, "SGDR", ICLR 2017, equation 5. Epochs past the
    length keep the last rate.
    """
    done = min(progress.epochs, settings.epochs - 1) / settings.epochs
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


def invscaling(settings: Settings, progress: Progress) -> float:
    """Divide the rate by (t + 1)^power_t, t being the rows trained on so far."""
    return settings.learning_rate / math.pow(progress.n_seen + 1, settings.power_t)


def adaptive(settings: Settings, progress: Progress) -> float:
    """Keep the rate while the score improves, and divide it by 5 when it stalls."""
    return settings.learning_rate / ADAPTIVE_DIVISOR**progress.cuts


SCHEDULES: dict[str, Callable[[Settings, Progress], float]] = {
    "constant": constant,
    "cosine": cosine,
    "invscaling": invscaling,
    "adaptive": adaptive,
}
