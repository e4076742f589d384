"""Settings: the training parameters of one model."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass

from tfsoftmax.engine.features import Rescale


@dataclass(frozen=True)
class Settings:
    """Training parameters, named like those of the estimator."""

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
    rescale: Rescale
    shuffle: bool
    early_stopping: bool
    scoring: str
    tol: float | None
    n_iter_no_change: int

    @property
    def l2(self) -> float:
        """The strength of the L2 penalty, λ₂."""
        return self.alpha * (1 - self.l1_ratio)

    @property
    def l1(self) -> float:
        """The strength of the L1 penalty, λ₁."""
        return self.alpha * self.l1_ratio

    @property
    def watched(self) -> str:
        """The quantity that measures progress."""
        return f"val_{self.scoring}" if self.early_stopping else "loss"

    def check_resumes(self, previous: Settings) -> None:
        """Check that training can continue from weights with the previous settings.

        Raises
        ------
        ValueError
            If a setting differs that determines the weights and slots.
        """
        for name in ("optimizer", "fit_intercept", "rescale"):
            before, now = getattr(previous, name), getattr(self, name)
            if before != now:
                raise ValueError(
                    f"{name} can't change when training continues: it was "
                    f"{reprlib.repr(before)} and is now {reprlib.repr(now)}. To start "
                    "over, call fit with warm_start=False."
                )
