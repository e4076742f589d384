"""The mathematics of softmax regression, for M models on the same rows.

For one row x̃ with the target probabilities t (usually one-hot)

    z = V x̃        CE = logsumexp(z) − t·z        ∂CE/∂V = (softmax(z) − t) x̃ᵀ

Shapes: M models, K classes, R weight rows (K, or 1 with two classes, where the
first is the reference and its logit is 0), D columns (the features and, with an
intercept, the constant one), n rows in a micro-batch.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import tensorflow as tf

Tensor = Any


class LabelSpec(Protocol):
    """The properties of a spec that concern labels."""

    @property
    def n_classes(self) -> int:
        """Number of classes."""

    @property
    def soft_labels(self) -> bool:
        """Whether they are probabilities."""

    @property
    def precision(self) -> str:
        """The dtype of the computation."""


class MicroBatch(NamedTuple):
    """The rows of one matrix product.

    Attributes
    ----------
    target : tensor of shape (K, n)
        The probabilities t.
    labels : tensor of shape (n,)
        The first of the most probable classes.
    weights : tensor of shape (M, n) or (1, n)
    """

    target: Tensor
    labels: Tensor
    weights: Tensor


def errors_and_sums(z: Tensor, rows: MicroBatch) -> tuple[Tensor, Tensor]:
    """Compute the errors w ∂CE/∂z (M, K, n), and the sums of :func:`row_sums`."""
    log_normalizer = logsumexp(z)
    errors = (tf.exp(z - log_normalizer) - rows.target) * rows.weights[:, None]
    return errors, row_sums(z, log_normalizer, rows)


def precise_errors_and_sums(z: Tensor, rows: MicroBatch) -> tuple[Tensor, Tensor]:
    """Compute the same as :func:`errors_and_sums` for one model and one-hot targets.

    If a class is almost certain, 1 − p and CE are almost 0; their relative error is
    then that of the sum over the other classes, not that of 1. With d_k = z_k − z_y, m
    = max d and q = Σ_{k≠y} exp(d_k − m):

        CE = m + log1p(q + expm1(−m))        1 − p_y = q / (q + exp(−m))
    """
    is_label = rows.target > 0
    d = z[0] - tf.reduce_sum(rows.target * z[0], axis=0)
    m = tf.reduce_max(d, axis=0)
    odds = tf.where(is_label, tf.zeros_like(d), tf.exp(d - m))
    q = tf.reduce_sum(odds, axis=0)
    errors = tf.where(is_label, -q, odds) / (q + tf.exp(-m)) * rows.weights
    cross_entropy = m + tf.math.log1p(q + tf.math.expm1(-m))
    correct = tf.cast(tf.equal(first_argmax(z), rows.labels), z.dtype)
    return errors[None], tf.stack(
        [rows.weights * cross_entropy, rows.weights * correct]
    )


def sums(z: Tensor, rows: MicroBatch) -> Tensor:
    """Compute the sums of :func:`row_sums` from the logits."""
    return row_sums(z, logsumexp(z), rows)


def logits(products: Tensor, n_classes: int) -> Tensor:
    """Return z (M, K, n), rows along the contiguous axis, from V x̃ (M, R, n)."""
    if products.shape[1] == n_classes:
        return products
    return tf.concat([tf.zeros_like(products), products], axis=1)


def logsumexp(z: Tensor) -> Tensor:
    """Compute log Σ_k exp(z_k), of shape (M, 1, n)."""
    largest = tf.reduce_max(z, axis=1, keepdims=True)
    total = tf.reduce_sum(tf.exp(z - largest), axis=1, keepdims=True)
    return largest + tf.math.log(total)


def row_sums(z: Tensor, log_normalizer: Tensor, rows: MicroBatch) -> Tensor:
    """Compute w·CE and w·[predicted = y] of each row, of shape (2, M, n)."""
    cross_entropy = log_normalizer[:, 0] - tf.reduce_sum(rows.target * z, axis=1)
    correct = tf.cast(tf.equal(first_argmax(z), rows.labels), rows.weights.dtype)
    return tf.stack([rows.weights * cross_entropy, rows.weights * correct])


def first_argmax(z: Tensor) -> Tensor:
    """Return the first argmax along axis 1, in a form that XLA vectorizes."""
    n_classes = z.shape[1]
    is_largest = z >= tf.reduce_max(z, axis=1, keepdims=True)
    classes = tf.range(n_classes)[:, None]
    return tf.reduce_min(tf.where(is_largest, classes, n_classes), axis=1)


def targets(spec: LabelSpec, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probabilities (K, n) and the first of the most probable classes."""
    if spec.soft_labels:
        target = tf.cast(tf.transpose(y), spec.precision)
        return target, first_argmax(target[None])[0]
    is_class = tf.equal(tf.range(spec.n_classes)[:, None], y)
    return tf.cast(is_class, spec.precision), y
