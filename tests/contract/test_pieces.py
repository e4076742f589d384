"""Fits whose passes over the rows run in pieces, in threads, are those of one piece."""

from __future__ import annotations

from operator import add

import numpy as np
import pytest

from tests.problems import problem
from tfsoftmax import TFSoftmaxClassifier, dual_gap
from tfsoftmax.data import dataset as dataset_module
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.utils import parallel

MODELS = {
    "lbfgs": {"optimizer": "lbfgs", "tol": 1e-8},
    "lbfgs, standard": {"optimizer": "lbfgs", "tol": 1e-8, "rescale": "standard"},
    "lbfgs, weak": {"optimizer": "lbfgs", "tol": 1e-8, "alpha": 1e-6},
    "lbfgs, no intercept": {"optimizer": "lbfgs", "tol": 1e-8, "fit_intercept": False},
}


def in_pieces(monkeypatch):
    monkeypatch.setattr(parallel, "blas_threads", lambda: 3)
    monkeypatch.setattr(dataset_module, "MIN_PIECE_BYTES", 2000)
    monkeypatch.setattr(dataset_module, "MIN_BLOCK_ROWS", 1)
    monkeypatch.setattr(dataset_module, "MAX_BLOCK_BYTES", 500)


def n_pieces(X, y):
    rows = Dataset(X, y.astype(np.int32))
    return rows.in_pieces().fold(lambda piece: 1, combine=add)


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray], ids=["C", "F"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("model", MODELS)
def test_pieces_change_a_fit_only_by_rounding(model, n_classes, kind, monkeypatch):
    X, y, s = problem(300, n_classes=n_classes)
    X[:, 0] *= 100
    X[abs(X) < 0.3] = 0
    X = kind(X)

    def fit():
        return TFSoftmaxClassifier(**MODELS[model]).fit(X, y, s).coef_

    expected = fit()
    in_pieces(monkeypatch)
    assert n_pieces(X, y) > 1
    atol = 1e-7 * abs(expected).max()
    np.testing.assert_allclose(fit(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_pieces_change_the_dual_gap_only_by_rounding(l1_ratio, monkeypatch):
    X, y, s = problem(300)
    options = {"epochs": 3, "random_state": 0, "alpha": 0.01, "l1_ratio": l1_ratio}
    clf = TFSoftmaxClassifier(**options).fit(X, y, s)
    expected = dual_gap(clf, X, y, s)
    in_pieces(monkeypatch)
    assert n_pieces(X, y) > 1
    assert dual_gap(clf, X, y, s) == pytest.approx(expected, rel=1e-8, abs=1e-13)
