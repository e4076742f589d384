"""Gradient descent on sparse rows, in time proportional to their values.

A step of plain descent with an L2 penalty is

    W ← (W − η (E x̂ᵀ − e μᵀ)) / (1 + η λ₂)

for rows x̃ = x̂ − μ with the errors E, whose sum is e. E x̂ᵀ involves only the columns
with values in the rows, but the other terms change every weight. So W is stored as

    W = a (U − q μᵀ)        a ← a / (1 + η λ₂)    U ← U − η/a · E x̂ᵀ    q ← q − η/a · e

with a number a and, for each class, a number q, and its product with a row is

    W x̃ = a (U x̂ − q (μ·x̂) − p + q (μ·μ))        p = U μ ← p − η/a · E (μ·x̂)

Shapes are those of :class:`tfsoftmax.engine.products.Sparse`: U (D, M, R), a (M, 1),
q and p (M, R). The intercept is not penalised and kept apart, b (M, R). The factor a is
that of L. Bottou, "Stochastic Gradient Descent Tricks", 2012, section 5.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfsoftmax.engine.products import Sparse, SparseRows
from tfsoftmax.engine.spec import Hyperparameters

Tensor = Any


class Factored(NamedTuple):
    """The weights, factored; q and p are empty where μ is 0."""

    U: Tensor
    a: Tensor
    b: Tensor
    q: tuple[Tensor, ...]
    p: tuple[Tensor, ...]


def factor(features: Sparse, V: Tensor, a: Tensor) -> Factored:
    """Return the factors of V; all weights but the intercepts are multiplied by a."""
    n_features = features.spec.n_features
    b = V[-1] if features.spec.fit_intercept else tf.zeros_like(V[0])
    U = V * tf.where(features.penalized() > 0, a, tf.ones_like(a))
    q: tuple[Tensor, ...] = ()
    p: tuple[Tensor, ...] = ()
    if features.centre is not None:
        q = (tf.zeros_like(b),)
        p = (tf.tensordot(features.centre, U[:n_features], axes=1),)
    return Factored(U, tf.ones_like(a), b, q, p)


def join(features: Sparse, weights: Factored) -> tuple[Tensor, Tensor]:
    """Return V and its pending factor a."""
    U, a, b, q, _ = weights
    if features.centre is not None:
        U -= features.padded_centre()[:, None, None] * q[0]
    if features.spec.fit_intercept:
        U = tf.tensor_scatter_nd_update(U, [[features.spec.n_features]], b[None])
    return U, a


def matmul(features: Sparse, weights: Factored, x: SparseRows) -> Tensor:
    """Compute V x̃ (M, R, n)."""
    z = features.sums(weights.U, x)
    if features.centre is not None:
        (q,), (p,) = weights.q, weights.p
        squares = tf.reduce_sum(features.centre**2)
        z += q * (squares - features.along_centre(x)) - p
    return tf.transpose(weights.a * z + weights.b, (1, 2, 0))


def descend(
    features: Sparse,
    weights: Factored,
    errors: Tensor,
    x: SparseRows,
    numbers: Hyperparameters,
) -> Factored:
    """Take a step from the errors (M, R, n) of the rows; numbers are (M, 1)."""
    U, a, b, q, p = weights
    e = tf.transpose(errors, (2, 0, 1))
    total = tf.reduce_sum(e, axis=0)
    step = numbers.rate / a
    U = features.add(U, x, -step * e)
    if features.centre is not None:
        q = (q[0] - step * total,)
        p = (p[0] - step * tf.reduce_sum(features.along_centre(x) * e, axis=0),)
    if features.spec.fit_intercept:
        b -= numbers.rate * total
    return Factored(U, a / (1 + numbers.rate * numbers.l2), b, q, p)
