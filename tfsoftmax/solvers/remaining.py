"""Lower bounds on F − min F: the gain of a step along one weight, or along all.

Along a weight w of the feature x̂ (centred given an intercept), the curvature of F
is at most c = ½ σ² + λ₂, where σ² is the mean of s x̂² (Böhning's bound, see
:mod:`~tfsoftmax.solvers.smoothness`). So a step of −g/c lowers F by at least g²/(2c),
where g = ∂F/∂w, reduced by the L1 penalty if the weight is 0.

The bound does not depend on the scale of a feature, so it also detects features that
descent has neglected because another feature's scale is much larger.

If many features say a little each, a step along all of them gains more. Along D = −G/σ²
the curvature of the loss is at most ½ mean s ‖D x̂‖².
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.columns import take_columns
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.features import CentredFeatures, CentredRows, Scaling, products
from tfsoftmax.solvers.duality import Targets

# The bound uses this many rows, evenly spaced, which takes some milliseconds.
MAX_ROWS, MAX_SPARSE_ROWS = 1000, 500
MAX_VALUES = 1 << 21  # of them, where rows are dense


class Remaining(NamedTuple):
    """The gain of a step along one weight, and along all.

    Attributes
    ----------
    gain, joint_gain : float
        Lower bounds on the decrease of F by a step along one weight, or along all.
    feature : int
        Index of the weight's feature.
    relative_scale : float
        Its standard deviation in x̃, divided by the largest of all features.
    """

    gain: float
    joint_gain: float
    feature: int
    relative_scale: float


def remaining(
    rows: Rows,
    V: NDArray[np.floating],
    *,
    n_classes: int,
    scaling: Scaling,
    fit_intercept: bool,
    l2: float,
    l1: float,
) -> Remaining:
    """Return the gains of steps along one weight, or all, of V, shape (n_rows, D)."""
    n_features, columns = rows.n_features, None
    dataset = _some_rows(rows)
    if sparse.issparse(dataset.X):
        dataset, columns = _in_their_columns(dataset)
        V = _of_columns(V, columns, n_features, scaling, fit_intercept=fit_intercept)
        scaling = scaling.take(columns)
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
    z = np.concatenate([products(W, x) for _, x in blocks], axis=1) + b[:, None]
    E = (targets.evaluate(z).P - targets.T)[-len(W) :] * targets.s
    G, squares = np.zeros(W.shape), np.zeros(dataset.n_features)
    for some, x in blocks:
        s = targets.s[some]
        G += E[:, some] @ x
        squares += x.squares(s) if isinstance(x, CentredRows) else s @ np.square(x)
    G, squares = G / n + l2 * W, squares / n
    G = np.where(W == 0, np.maximum(abs(G) - l1, 0), G + l1 * np.sign(W))
    # In a constant column, centring leaves only rounding errors: there is no gain.
    varies = squares > (100 * features.rounding) ** 2
    curvature = squares / 2 + l2
    gains = np.divide(G**2, 2 * curvature, out=np.zeros(G.shape), where=varies)
    D = np.divide(G, squares, out=np.zeros(G.shape), where=varies)
    changes = (np.square(products(D, x)).sum(axis=0) @ targets.s[i] for i, x in blocks)
    bend = sum(changes) / n / 2 + l2 * float(np.vdot(D, D))
    joint_gain = float(np.vdot(G, D)) ** 2 / (2 * bend) if bend else 0.0
    row, feature = np.unravel_index(gains.argmax(), gains.shape)
    scale = np.sqrt(squares[feature] / (squares.max() or 1))
    number = feature if columns is None else columns[feature]
    gain = float(gains[row, feature])
    return Remaining(gain, max(gain, joint_gain), int(number), float(scale))


def _some_rows(dataset: Rows) -> Dataset:
    """Return the rows or, if there are many, some of them, evenly spaced."""
    most = MAX_SPARSE_ROWS
    if not sparse.issparse(dataset.X):
        most = min(MAX_ROWS, max(1, MAX_VALUES // dataset.n_features))
    return dataset.sample(most)


def _in_their_columns(dataset: Dataset) -> tuple[Dataset, NDArray[np.int64]]:
    """Return sparse rows without their empty columns, and the remaining columns."""
    X = dataset.X if dataset.index is None else dataset.X[dataset.index]
    columns = np.unique(X.indices)
    if not columns.size:
        columns = np.zeros(1, np.int64)
    return replace(dataset, X=take_columns(X, columns), index=None), columns


def _of_columns(
    V: NDArray[np.floating],
    columns: NDArray[np.int64],
    n_features: int,
    scaling: Scaling,
    *,
    fit_intercept: bool,
) -> NDArray[np.floating]:
    """Return the weights of some columns; the others are 0 in x, and so −r m in x̃."""
    some = V[:, columns]
    if not fit_intercept:
        return some
    b = V[:, n_features].astype(np.float64)
    if scaling.mean is not None:
        m, r = scaling.rounded(V.dtype)
        others = np.delete(np.arange(n_features), columns)
        b = b - V[:, others] @ np.broadcast_to(m * r, n_features)[others]
    return np.column_stack([some, b])
