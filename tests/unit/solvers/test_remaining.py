"""What a step along one weight would gain is no more than F is above its minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tests.problems import classic, problem
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import Scaling
from tfsoftmax.solvers.remaining import remaining

X, Y, S = problem()
X = X * np.array([1, 100, 0.1, 3, 1]) + np.array([5, 0, 0, -9, 1])
WEIGHTS = S / S.mean()


def objective(clf, alpha, l1_ratio=0.0):
    p = clf.predict_proba(X)[np.arange(len(X)), Y]
    W = clf.coef_
    penalty = (1 - l1_ratio) / 2 * (W**2).sum() + l1_ratio * abs(W).sum()
    return -(WEIGHTS * np.log(p)).mean() + alpha * penalty


def gain(clf, alpha=0.0, l1_ratio=0.0, rows=X):
    return remaining(
        Dataset(rows, Y.astype(np.int32), WEIGHTS),
        clf._result.V[0],
        n_classes=3,
        scaling=Scaling(),
        fit_intercept=clf.fit_intercept,
        l2=alpha * (1 - l1_ratio),
        l1=alpha * l1_ratio,
    )


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.01, 1.0])
@pytest.mark.parametrize("rate", [1e-6, 1e-4])
def test_it_is_a_lower_bound(rate, alpha, intercept):
    parameters = {"alpha": alpha, "fit_intercept": intercept}
    clf = classic(50, rate, 3, random_state=0, **parameters)
    clf.fit(X, Y, S)
    best = classic(optimizer="lbfgs", epochs=1000, **parameters).fit(X, Y, S)
    found = gain(clf, alpha)
    assert 0 < found.gain <= objective(clf, alpha) - objective(best, alpha) + 1e-12


def test_there_is_nothing_to_gain_at_the_optimum():
    clf = classic(optimizer="lbfgs", alpha=0.1, epochs=1000).fit(X, Y, S)
    assert gain(clf, 0.1).gain < 1e-10


def test_a_penalty_that_keeps_weights_at_zero_leaves_nothing_to_gain():
    clf = classic(50, 1e-4, 1, alpha=100.0, l1_ratio=1.0).fit(X, Y, S)
    assert not clf.coef_.any()
    assert gain(clf, 100.0, 1.0).gain == 0
    assert gain(clf).gain > 0


def test_it_names_the_feature_and_its_scale():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=len(X)) * 50, Y + 0.1, np.ones(len(X))])
    clf = classic(50, 1e-9, 1).fit(rows, Y, S)
    found = gain(clf, rows=rows)
    assert found.feature == 1
    assert found.relative_scale == pytest.approx(rows[:, 1].std() / 50, rel=0.3)


def test_sparse_rows_have_the_same_gain():
    rows = X * (X > 0)
    clf = classic(50, 1e-4, 1).fit(rows, Y, S)
    dense, found = gain(clf, rows=rows), gain(clf, rows=sparse.csr_array(rows))
    assert found.gain == pytest.approx(dense.gain, rel=1e-9)
    assert found[1:] == pytest.approx(dense[1:])


def test_of_many_rows_some_are_taken(monkeypatch):
    from tfsoftmax.solvers import remaining as module

    clf = classic(50, 1e-4, 1).fit(X, Y, S)
    all_rows = gain(clf)
    monkeypatch.setattr(module, "MAX_ROWS", 150)
    assert gain(clf).gain == pytest.approx(all_rows.gain, rel=0.5)
    assert gain(clf).gain != all_rows.gain


@pytest.mark.parametrize("value", [29.0, 1e5, 1e-5])
def test_a_constant_column_has_nothing_to_gain(value):
    rows = np.column_stack([np.full((len(X), 2), value), np.zeros(len(X))])
    clf = classic(50, 1e-4, 1).fit(rows, Y, S)
    assert gain(clf, rows=rows).gain == 0
