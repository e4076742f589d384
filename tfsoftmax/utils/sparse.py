"""Arrays that may be sparse."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from scipy import sparse


def to_dense(values: Any) -> NDArray[Any]:
    """Return a sparse array or matrix as an ndarray, and an ndarray as it is."""
    return values.toarray() if sparse.issparse(values) else values  # type: ignore[no-any-return]
