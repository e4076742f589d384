"""A lower bound of F − min F: what a step along one weight would still gain.

Along a weight w of the feature x̂, which is centred where an intercept can make up for
that, F curves by no more than c = ½ σ² + λ₂, where σ² is the mean of s x̂² (Böhning's
bound, see :mod:`~tfsoftmax.solvers.smoothness`). So a step of −g/c lowers F by at least
g²/(2c), where g = ∂F/∂w; of a weight at 0, g is what an L1 penalty leaves of it.

The bound doesn't depend on the scale of a feature, so it also finds what descent has
left undone because another feature's scale is so much larger.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import CentredFeatures, Scaling, SparseRows
from tfsoftmax.solvers.duality import Targets

# The bound is taken of so many rows, evenly spaced, in some milliseconds.
MAX_ROWS = 1000
MAX_VALUES = 1 << 21  # of them, where rows are dense


class Remaining(NamedTuple):
    """What a step along one weight gains.

    Attributes
    ----------
    gain : float
        By how much the step lowers F, at least.
    feature : int
        The number of the weight's feature.
    relative_scale : float
        Its standard deviation in x̃ over the largest of all features.
    """

    gain: float
    feature: int
    relative_scale: float


def remaining(
    dataset: Dataset,
    V: NDArray[np.floating],
    *,
    n_classes: int,
    scaling: Scaling,
    fit_intercept: bool,
    l2: float,
    l1: float,
) -> Remaining:
    """Return the largest gain of a step along one weight of V, shape (n_rows, D)."""
    dataset = _some_rows(dataset)
    features = CentredFeatures.of(
        dataset,
        scaling=scaling,
        fit_intercept=fit_intercept,
        precision=np.dtype(np.float64),
    )
    n, n_rows = len(dataset), len(V)
    blocks = list(features.blocks(dataset))

    def weights(k: int) -> NDArray[np.float64]:
        # Of one class at a time: those of all may take more memory than training.
        U: NDArray[np.float64] = features.centre_weights(V[k : k + 1])[0]
        return U

    z = np.empty((n, n_rows))
    for k in range(n_rows):
        U = weights(k)
        z[:, k] = np.concatenate([x @ U[:-1] for _, x in blocks]) + U[-1]
    targets = Targets(dataset, n_classes, n_rows)
    E = (targets.evaluate(z).P - targets.T) * targets.s[:, None] / n
    squares = np.zeros(dataset.n_features)
    for rows, x in blocks:
        s = targets.s[rows] / n
        squares += x.squares(s) if isinstance(x, SparseRows) else s @ np.square(x)
    # A constant column has what centring rounds, and nothing to gain.
    varies = squares > (100 * features.rounding) ** 2
    curvature = squares / 2 + l2
    scale = np.sqrt(squares / (squares.max() or 1))
    best = Remaining(0.0, 0, 1.0)
    for k, errors in enumerate(E[:, -n_rows:].T):
        W, g = weights(k)[:-1], np.zeros(dataset.n_features)
        for rows, x in blocks:
            g += errors[rows] @ x
        g += l2 * W
        g = np.where(W == 0, np.maximum(abs(g) - l1, 0), g + l1 * np.sign(W))
        gains = np.divide(g**2, 2 * curvature, out=np.zeros(len(g)), where=varies)
        j = int(gains.argmax())
        if gains[j] > best.gain:
            best = Remaining(float(gains[j]), j, float(scale[j]))
    return best


def _some_rows(dataset: Dataset) -> Dataset:
    """Return the rows, or some of them in even steps where they are many."""
    n, most = len(dataset), MAX_ROWS
    if not sparse.issparse(dataset.X):
        most = min(most, max(1, MAX_VALUES // dataset.n_features))
    if n <= most:
        return dataset
    return dataset.take(np.linspace(0, n - 1, most).astype(np.int64))
