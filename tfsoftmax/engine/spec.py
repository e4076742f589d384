"""Records shared by the engine and the solvers, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


def weight_rows(n_classes: int) -> int:
    """Return the number of rows of weights: one per class, or a single one for two."""
    return 1 if n_classes == 2 else n_classes


class Hyperparameters(NamedTuple):
    """Parameters that may differ between models trained on the same batches.

    Attributes
    ----------
    rate : array of shape (n_models,)
        The learning rate η of the epoch.
    momentum : array of shape (n_models,)
        The momentum coefficient μ.
    l2, l1 : array of shape (n_models,)
        The strengths of the penalties, alpha·(1 − l1_ratio) and alpha·l1_ratio.
    """

    rate: Any
    momentum: Any
    l2: Any
    l1: Any


@dataclass(frozen=True)
class TileSpec:
    """All that determines the compiled program of a tile."""

    n_classes: int
    n_columns: int  # of the tile's X
    n_tile_rows: int
    soft_labels: bool
    storage: str  # dtype of the rows of X
    centring: str  # dtype in which they are scaled and centred
    precision: str  # dtype of the computation


@dataclass(frozen=True)
class SparseTileSpec:
    """All that determines the compiled program of a sparse tile."""

    n_classes: int
    n_features: int
    n_tile_rows: int
    soft_labels: bool
    precision: str


@dataclass(frozen=True)
class ProgramSpec:
    """All that determines a compiled program; everything else is an argument."""

    n_models: int
    n_classes: int
    n_features: int
    fit_intercept: bool
    micro_batch_size: int
    n_micro_batches: int
    accumulates: bool  # a batch may have several micro-batches
    soft_labels: bool
    is_sparse: bool  # rows come as a PaddedCSR
    centred: bool  # sparse rows, from which a mean is subtracted
    per_model_weights: bool  # row weights differ between models
    storage: str  # dtype of the rows of X
    precision: str  # dtype of the computation
    optimizer: str | None  # None without training
    l1: bool  # some model may have an L1 penalty

    @property
    def lazy(self) -> bool:
        """Whether the time of a step can depend only on the values of sparse rows.

        This is possible for plain descent with an L2 penalty and batches of one
        micro-batch.
        """
        is_plain = self.optimizer == "sgd" and not (self.l1 or self.accumulates)
        return self.is_sparse and is_plain

    @property
    def n_rows(self) -> int:
        """Weight rows R of one model."""
        return weight_rows(self.n_classes)

    @property
    def n_columns(self) -> int:
        """Weight columns D of one model."""
        return self.n_features + self.fit_intercept

    @property
    def n_weight_rows(self) -> int:
        """Number of weights of a row of X."""
        return self.n_models if self.per_model_weights else 1

    @property
    def weights(self) -> tuple[int, int, int]:
        """Shape of V."""
        return self.n_models, self.n_rows, self.n_columns
