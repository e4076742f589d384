"""The learning rate of each epoch, and the progress of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from tfsoftmax.solvers.settings import Settings

# The values of scikit-learn's MLPClassifier.
DEFAULT_TOL = 1e-4
ADAPTIVE_DIVISOR = 5.0
SMALLEST_RATE = 1e-6


@dataclass(frozen=True)
class Progress:
    """The progress of training.

    Attributes
    ----------
    epochs : int
        Epochs since the start of the schedule.
    n_seen : int
        Rows processed in all epochs.
    cuts : int
        Number of times that a stall has lowered the rate.
    watched : {"loss", "val_loss", "val_accuracy"}
        The quantity that measures progress.
    best : float
        The lowest score so far: a loss, or minus the held-out accuracy.
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
        """Return the progress, measured by this quantity from now on."""
        if name == self.watched:
            return self
        return replace(self, watched=name, best=math.inf, stale=0)

    def after_epoch(self, n_rows: int, score: float, settings: Settings) -> Progress:
        """Return the progress after an epoch of `n_rows` rows with this score.

        If the score has stalled, a schedule that reacts lowers its rate.
        """
        tol = DEFAULT_TOL if settings.tol is None else settings.tol
        after = replace(
            self,
            epochs=self.epochs + 1,
            n_seen=self.n_seen + n_rows,
            best=min(self.best, score),
            stale=self.stale + 1 if score > self.best - tol else 0,
        )
        schedule = SCHEDULES[settings.learning_rate_schedule]
        if (
            schedule.reacts
            and after.stale > settings.n_iter_no_change
            and schedule.rate(settings, after) > SMALLEST_RATE
        ):
            return replace(after, cuts=after.cuts + 1, stale=0)
        return after

    def has_stalled(self, settings: Settings) -> bool:
        """Whether to stop: progress has stalled, and the settings check for that."""
        return watches(settings) and self.stale > settings.n_iter_no_change


def watches(settings: Settings) -> bool:
    """Whether training stops when progress has stalled."""
    schedule = SCHEDULES[settings.learning_rate_schedule]
    return settings.tol is not None or settings.early_stopping or schedule.reacts


def constant(settings: Settings, progress: Progress) -> float:
    """Keep the rate."""
    return settings.learning_rate


def cosine(settings: Settings, progress: Progress) -> float:
    """Follow half a cosine from the rate to almost 0 in `epochs` epochs.

    I. Loshchilov and F. Hutter, "SGDR", ICLR 2017, equation 5. Later epochs keep the
    last rate.
    """
    done = min(progress.epochs, settings.epochs - 1) / settings.epochs
    return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2


def invscaling(settings: Settings, progress: Progress) -> float:
    """Divide the rate by (t + 1)^power_t, where t is the number of rows processed."""
    return settings.learning_rate / math.pow(progress.n_seen + 1, settings.power_t)


def adaptive(settings: Settings, progress: Progress) -> float:
    """Keep the rate while the score improves; divide it by 5 when it stalls."""
    return settings.learning_rate / ADAPTIVE_DIVISOR**progress.cuts


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule.

    Attributes
    ----------
    rate : callable
        Maps (settings, progress) to the learning rate of the next epoch.
    uses : tuple of str
        The schedule-specific parameters of the estimator that it uses.
    reacts : bool
        Whether a stall lowers the rate (see `Progress.cuts`) before training stops.
    """

    rate: Callable[[Settings, Progress], float]
    uses: tuple[str, ...] = ()
    reacts: bool = False


SCHEDULES = {
    "constant": Schedule(constant),
    "cosine": Schedule(cosine),
    "invscaling": Schedule(invscaling, uses=("power_t",)),
    "adaptive": Schedule(adaptive, reacts=True),
}
