"""Softmax regression by plain NumPy in float64, written from the mathematics alone."""

from __future__ import annotations

import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def logits(X, W, b, n_classes):
    """With two classes there is one weight row; the first class's logit is 0."""
    z = X @ W.T + b
    return np.column_stack([np.zeros(len(X)), z]) if n_classes == 2 else z


def cross_entropy(X, y, W, b, n_classes):
    """-log p(y) of each row."""
    p = softmax(logits(X, W, b, n_classes))
    return -np.log(p[np.arange(len(y)), y])


def gradient(X, y, s, W, b, n_classes):
    """Sum over the rows of s times the gradient of the cross-entropy in (W, b)."""
    errors = softmax(logits(X, W, b, n_classes)) - np.eye(n_classes)[y]
    if n_classes == 2:
        errors = errors[:, 1:]
    errors *= s[:, None]
    return errors.T @ X, errors.sum(axis=0)


class ElasticNet:
    """The penalty's proximal step; a weight owes what it hasn't paid of the L1 part."""

    def __init__(self, l1, l2, max_steps_owed=300):
        self.l1, self.l2, self.max_steps_owed = l1, l2, max_steps_owed
        self.owed = {1: 0.0, -1: 0.0}  # on the positive and on the negative side

    def __call__(self, z, step):
        due, shrinkage = step * self.l1, 1 + step * self.l2
        most = self.max_steps_owed * due
        owed = {side: np.minimum(o + due, most) for side, o in self.owed.items()}
        asked = np.where(z > 0, owed[1], owed[-1])
        w = np.sign(z) * np.maximum(abs(z) - asked, 0)
        self.owed = {side: (o - side * (z - w)) / shrinkage for side, o in owed.items()}
        return w / shrinkage


def fit(
    X,
    y,
    n_classes,
    orders,
    *,
    batch_size=100,
    learning_rate=0.01,
    sample_weight=None,
    fit_intercept=True,
    rescale=1.0,
):
    """Gradient descent, an epoch for each order of rows: (coef, intercept, history)."""
    X = np.asarray(X, dtype=np.float64) * rescale
    n, n_features = X.shape
    s = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
    n_rows = 1 if n_classes == 2 else n_classes
    W, b = np.zeros((n_rows, n_features)), np.zeros(n_rows)
    history = []
    for order in orders:
        loss = accuracy = 0.0
        for start in range(0, n, batch_size):
            batch = order[start : start + batch_size]
            x, t, w = X[batch], y[batch], s[batch]
            loss += w @ cross_entropy(x, t, W, b, n_classes) / s.sum()
            predicted = logits(x, W, b, n_classes).argmax(axis=1)
            accuracy += w @ (predicted == t) / s.sum()
            dW, db = gradient(x, t, w, W, b, n_classes)
            factor = n / (len(batch) * s.sum())
            W -= learning_rate * factor * dW
            if fit_intercept:
                b -= learning_rate * factor * db
        history.append((loss, accuracy))
    return W * rescale, b, history
