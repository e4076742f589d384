"""The features x̃ that the model sees, and its weights in the units of x.

    x̃ = (r·x, 1)        V = (W, b)        V x̃ = (r W) x + b

r is `rescale`; without an intercept, x̃ has no constant 1 and V no last column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = Any


def augment(x: Tensor, rescale: Tensor, fit_intercept: bool) -> Tensor:
    """Compute x̃, of shape (n, D), from rows x (n, n_features) of the same dtype."""
    import tensorflow as tf

    x = x * rescale
    if fit_intercept:
        x = tf.concat([x, tf.ones((x.shape[0], 1), x.dtype)], axis=1)
    return x


def coef_and_intercept(
    V: NDArray[Any], *, rescale: float, fit_intercept: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the weights r W and the intercept b of the features x.

    Parameters
    ----------
    V : ndarray of shape (n_rows, n_columns)
    rescale : float
        The factor r.
    fit_intercept : bool
        Whether b is the last column of V; otherwise it is zero.

    Returns
    -------
    coef : ndarray of shape (n_rows, n_features)
    intercept : ndarray of shape (n_rows,)

    Raises
    ------
    ValueError
        If a weight is too large for V's dtype.
    """
    W = V[:, :-1] if fit_intercept else V
    with np.errstate(over="ignore"):
        coef = W * V.dtype.type(rescale)
    if not np.isfinite(coef).all():
        raise ValueError(
            f"rescale={rescale:.6g} makes coef_ too large for {V.dtype}: X is too "
            "small. Scale its features before the fit."
        )
    intercept = V[:, -1].copy() if fit_intercept else np.zeros(len(V), V.dtype)
    return coef, intercept
