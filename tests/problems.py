"""Small problems that several test modules share."""

from __future__ import annotations

import numpy as np
import pytest


def problem(n_samples=203, n_features=5, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    scores = X @ rng.normal(size=(n_features, n_classes))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return X, y, rng.uniform(0.1, 3.0, n_samples)


def mostly_slow(first, *others):
    """List cases, of which the plain suite runs the first few; each a tuple."""
    return [*first, *(pytest.param(*case, marks=pytest.mark.slow) for case in others)]
