"""Arrays that may be sparse."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from scipy import sparse


def to_dense(values: Any) -> NDArray[Any]:
    """Convert a sparse array or matrix to an ndarray; return an ndarray unchanged."""
    return values.toarray() if sparse.issparse(values) else values  # type: ignore[no-any-return]


def canonical(X: Any) -> Any:
    """Return a CSR array with sorted indices and no duplicates, copied if necessary."""
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X
