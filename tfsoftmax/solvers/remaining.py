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

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import CentredFeatures, Scaling, SparseRows
from tfsoftmax.solvers.duality import Targets

# The bound is taken of so many rows, evenly spaced, in some milliseconds.
MAX_ROWS = 1000


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
    if len(dataset) > MAX_ROWS:
        dataset = dataset.take(np.linspace(0, len(dataset) - 1, MAX_ROWS).astype(int))
    features = CentredFeatures.of(
        dataset,
        scaling=scaling,
        fit_intercept=fit_intercept,
        precision=np.dtype(np.float64),
    )
    U, n = features.centre_weights(V), len(dataset)
    W, b = U[:, :-1], U[:, -1]
    blocks = list(features.blocks(dataset))
    targets = Targets(dataset, n_classes, len(W))
    P = targets.evaluate(np.concatenate([x @ W.T for _, x in blocks]) + b).P
    E = ((P - targets.T) * targets.s[:, None])[:, -len(W) :]
    G, squares = np.zeros(W.shape), np.zeros(dataset.n_features)
    for rows, x in blocks:
        s = targets.s[rows]
        G += E[rows].T @ x
        squares += x.squares(s) if isinstance(x, SparseRows) else s @ np.square(x)
    G, squares = G / n, squares / n
    G += l2 * W
    G = np.where(W == 0, np.maximum(abs(G) - l1, 0), G + l1 * np.sign(W))
    # A constant column has what centring rounds, and nothing to gain.
    varies = squares > (100 * features.rounding) ** 2
    curvature = squares / 2 + l2
    gains = np.divide(G**2, 2 * curvature, out=np.zeros(G.shape), where=varies)
    row, feature = np.unravel_index(gains.argmax(), gains.shape)
    largest = float(squares.max()) or 1.0
    scale = float(np.sqrt(squares[feature] / largest))
    return Remaining(float(gains[row, feature]), int(feature), scale)
