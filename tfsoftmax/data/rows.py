"""Rows: a dataset, or rows that this process doesn't hold."""

# ruff: noqa: D102, N802  (the members are those of Dataset)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.dtypes import precision_for


class RowsElsewhere(Protocol):
    """Rows that this process doesn't hold: :class:`tfsoftmax.distributed.parts.Parts`.

    The members are those of `Dataset`. But `X` and `y` have no rows: they only show the
    type of the remote ones.
    """

    @property
    def X(self) -> Any: ...
    @property
    def y(self) -> NDArray[Any]: ...
    @property
    def weights(self) -> None: ...
    @property
    def n_features(self) -> int: ...
    @property
    def n_values(self) -> int: ...
    @property
    def largest_integer(self) -> int: ...
    @property
    def n_weight_rows(self) -> int: ...
    @property
    def per_model_weights(self) -> bool: ...

    def __len__(self) -> int: ...
    def fold(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        combine: Callable[[Any, Any], Any],
    ) -> Any: ...
    def bind(self, make: Callable[..., Any], *arguments: Any) -> Any: ...
    def in_pieces(self, result_bytes: int = 1) -> RowsElsewhere: ...
    def sample(self, n: int) -> Dataset: ...
    def for_models(self, models: slice | list[int] | int) -> RowsElsewhere: ...
    def draw_order(self, rng: np.random.RandomState) -> Any: ...
    def close(self) -> None: ...


# Rows, wherever they are.
Rows = Dataset | RowsElsewhere


def precision_of(rows: Rows) -> np.dtype[Any]:
    """Return the dtype in which mini-batches of the rows are computed."""
    return precision_for(rows.X.dtype, lambda: rows.largest_integer)
