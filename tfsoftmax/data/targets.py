"""Sums and values by class, for class indices and for soft labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def class_totals(
    y: NDArray[Any], weights: NDArray[np.float64], n_classes: int
) -> NDArray[Any]:
    """Return the weight of each class, shared among the classes of a soft label.

    Parameters
    ----------
    y : ndarray of shape (n,), of class indices; or (n, n_classes), of probabilities
    weights : ndarray of shape (n,)
    n_classes : int
    """
    if y.ndim == 2:
        return weights @ y  # type: ignore[no-any-return]
    return np.bincount(y, weights, n_classes)


def by_label(y: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the value of each row's class, or the mean over a soft label.

    Parameters
    ----------
    y : ndarray of shape (n,), of class indices; or (n, n_classes), of probabilities
    values : ndarray of shape (n_classes,)
    """
    return values[y] if y.ndim == 1 else y @ values
