"""Small problems and estimators that the tests share."""

from __future__ import annotations

import numpy as np
import pytest

from tfsoftmax import TFSoftmaxClassifier


def problem(n_samples=203, n_features=5, n_classes=3, seed=0, dtype=np.float64):
    """X, labels and weights: labels drawn by a softmax of random weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    scores = X @ rng.normal(size=(n_features, n_classes))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return X.astype(dtype), y, rng.uniform(0.1, 3.0, n_samples)


def estimator(**parameters):
    """A classifier that is trained in no time, several batches an epoch."""
    defaults = {
        "batch_size": 50,
        "learning_rate": 0.1,
        "epochs": 3,
        "random_state": 0,
    }
    return TFSoftmaxClassifier(**defaults | parameters)


def mostly_slow(first, *others):
    """List cases, of which the plain suite runs the first few; each a tuple."""
    return [*first, *(pytest.param(*case, marks=pytest.mark.slow) for case in others)]
