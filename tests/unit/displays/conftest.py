"""Fitted estimators that the displays show, and what every test of them checks."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import classic, problem
from tfsoftmax import TFSoftmaxGridSearchCV

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def every_figure_can_be_drawn_and_nothing_global_changes(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("plt.show was called"))
    before = dict(matplotlib.rcParams)
    yield
    try:
        for number in plt.get_fignums():
            plt.figure(number).draw_without_rendering()
        assert dict(matplotlib.rcParams) == before
    finally:
        plt.close("all")


@pytest.fixture(scope="module")
def clf(digits):
    return classic(learning_rate=0.5, epochs=3, random_state=0).fit(*digits)


@pytest.fixture(scope="module")
def watched(clf, digits):
    """Has held-out rows, and a learning rate that changes."""
    cosine = clone(clf).set_params(learning_rate_schedule="cosine", epochs=4)
    return cosine.set_params(early_stopping=True).fit(*digits)


@pytest.fixture(scope="module")
def zeros_and_ones(digits):
    X, y = digits
    return X[y < 2], np.array(["zero", "one"])[y[y < 2]]


@pytest.fixture(scope="module")
def scaled():
    """Twelve features of several scales, and three classes."""
    X, y, _ = problem(n_features=12)
    return X * np.linspace(0.5, 4, 12) + 1, y


@pytest.fixture(scope="module")
def search(scaled):
    last = classic(epochs=2, rescale=0.5, random_state=0)
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", last)])
    grid = {"clf__learning_rate": [0.5, 0.1], "clf__alpha": [0.1, 0.0]}
    return TFSoftmaxGridSearchCV(pipeline, grid, cv=2).fit(*scaled)
