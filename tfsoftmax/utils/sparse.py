"""Arrays that may be sparse."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from scipy import sparse


def to_dense(values: Any) -> NDArray[Any]:
    """Convert a sparse array or matrix to an ndarray; return an ndarray unchanged."""
    return values.toarray() if sparse.issparse(values) else values  # type: ignore[no-any-return]
