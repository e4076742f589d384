"""Elastic-net penalties in mini-batches: their zeros, their optimum, and resuming."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import sklearn
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from tests import reference
from tests.assertions import assert_same_bits
from tests.problems import (
    EACH_OPTIMIZER,
    classic,
    estimator,
    mostly_slow,
    problem,
)
from tfsoftmax.model_selection import fusion

X, Y, S = problem()
RATES = {"sgd": 0.1, "momentum": 0.01, "nesterov": 0.01, "adam": 0.01}
ALPHA = 0.01
# From 1.8 on, l1_ratio alone says which penalty.
OLD_API = parse_version(sklearn.__version__) < parse_version("1.8")
ELASTIC_NET = {"solver": "saga"} | ({"penalty": "elasticnet"} if OLD_API else {})


@cache
def mostly_noise(n_classes):
    """5,000 rows of 100 features, of which 10 inform, and the optimum with L1."""
    X, y = make_classification(
        5000, 100, n_informative=10, n_classes=n_classes, random_state=0
    )
    X = StandardScaler().fit_transform(X)
    saga = LogisticRegression(
        C=1 / (ALPHA * len(X)), l1_ratio=1, tol=1e-8, max_iter=10_000, **ELASTIC_NET
    )
    return X, y, saga.fit(X, y)


def objective(clf, X, y, alpha, l1_ratio, s=None):
    W, n_classes = clf.coef_, len(clf.classes_)
    losses = reference.cross_entropy(X, y, W, clf.intercept_, n_classes)
    penalty = (1 - l1_ratio) / 2 * (W * W).sum() + l1_ratio * abs(W).sum()
    return np.average(losses, weights=s) + alpha * penalty


@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
@pytest.mark.parametrize(
    ("n_classes", "schedule", "epochs", "excess"),
    [
        (2, "constant", 10, 2e-3),
        (2, "cosine", 30, 1e-4),
        pytest.param(2, "constant", 50, 1e-3, marks=pytest.mark.slow),
        pytest.param(3, "constant", 30, 2e-3, marks=pytest.mark.slow),
        pytest.param(3, "cosine", 100, 2e-4, marks=pytest.mark.slow),
    ],
)
def test_batches_leave_the_zeros_of_the_optimum(
    optimizer, n_classes, schedule, epochs, excess
):
    X, y, best = mostly_noise(n_classes)
    clf = classic(
        100,
        RATES[optimizer],
        epochs,
        optimizer=optimizer,
        learning_rate_schedule=schedule,
        alpha=ALPHA,
        l1_ratio=1,
        random_state=0,
    ).fit(X, y)
    n_zeros, n_expected = ((model.coef_ == 0).sum() for model in (clf, best))
    assert n_expected > 0.7 * clf.coef_.size
    assert abs(n_zeros - n_expected) <= 0.1 * n_expected
    F, least = (objective(model, X, y, ALPHA, 1) for model in (clf, best))
    assert least - 1e-9 <= F <= least + excess
    assert (clf.intercept_ != 0).all()


@pytest.mark.parametrize(
    "optimizer", mostly_slow(["adam"], ("sgd",), ("momentum",), ("nesterov",))
)
@pytest.mark.parametrize(
    "l1_ratio",
    [0.5, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.0, 1.0))],
)
def test_full_batches_end_at_the_optimum(optimizer, l1_ratio):
    alpha = 0.03
    saga = LogisticRegression(
        C=1 / (alpha * S.sum()),
        l1_ratio=l1_ratio,
        tol=1e-10,
        max_iter=100_000,
        **ELASTIC_NET,
    ).fit(X, Y, S)
    clf = classic(
        len(X),
        0.1 if optimizer == "adam" else 0.5,
        1200,
        optimizer=optimizer,
        momentum=0.5,
        learning_rate_schedule="cosine",
        alpha=alpha,
        l1_ratio=l1_ratio,
    ).fit(X, Y, S)
    np.testing.assert_allclose(clf.coef_, saga.coef_, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(clf.coef_ == 0, saga.coef_ == 0)
    # The mean of the intercepts is arbitrary.
    clf_b, saga_b = (m.intercept_ - m.intercept_.mean() for m in (clf, saga))
    np.testing.assert_allclose(clf_b, saga_b, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
@pytest.mark.parametrize(
    ("l1_ratio", "dtype"),
    mostly_slow(
        [(0.0, np.float32), (0.5, np.float64)],
        (0.5, np.float32),
        *((1.0, dtype) for dtype in (np.float32, np.float64)),
    ),
)
def test_no_penalty_is_too_strong(optimizer, l1_ratio, dtype):
    """A step along the gradient of alpha/2 ‖W‖² diverges where alpha·η > 2."""
    shares = np.bincount(Y) / len(Y)
    for alpha in (30.0, 1e6, 1e300):
        clf = estimator(
            learning_rate=0.1,
            epochs=60,
            optimizer=optimizer,
            alpha=alpha,
            l1_ratio=l1_ratio,
            learning_rate_schedule="cosine",
        ).fit(X.astype(dtype), Y)
        assert abs(clf.coef_).max() < 0.03
        p = clf.predict_proba(X[:1])[0]
        np.testing.assert_allclose(p, shares, rtol=0, atol=0.05)


# Resuming


def classifier(optimizer, **parameters):
    defaults = {"optimizer": optimizer, "alpha": 0.05, "l1_ratio": 0.5}
    return estimator(learning_rate=0.05, **defaults | parameters)


@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
def test_what_is_owed_is_resumed(optimizer):
    once = classifier(optimizer, epochs=6).fit(X, Y)
    begun = classifier(optimizer, epochs=3, warm_start=True).fit(X, Y)
    result = begun._result
    assert np.any(result.slots[-1])
    assert_same_bits(begun.fit(X, Y), once)
    # Without it the weights go elsewhere, as from a model that was saved without it.
    begun._result = replace(result, slots=result.slots[:-2])
    begun.fit(X, Y)
    assert len(begun._result.slots) == len(result.slots)
    assert abs(begun.coef_ - once.coef_).max() > 1e-6


@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
def test_an_l1_penalty_can_come_and_go_when_training_resumes(optimizer):
    clf = classifier(optimizer, alpha=0.0, warm_start=True)
    n_slots = len(clf.fit(X, Y)._result.slots)
    assert not (clf.set_params(alpha=0.3).fit(X, Y).coef_ == 0).all()
    assert (clf.set_params(epochs=30).fit(X, Y).coef_ == 0).any()
    assert len(clf._result.slots) == n_slots + 2
    clf.set_params(l1_ratio=0.0).fit(X, Y)
    assert (clf.coef_ != 0).all()
    assert len(clf._result.slots) == n_slots
    clf.set_params(l1_ratio=1.0).fit(X, Y)
    assert (clf.coef_ == 0).any()


def test_a_model_trained_beside_one_with_an_l1_penalty_has_nothing_of_it():
    group = [estimator(alpha=0.1, l1_ratio=l1_ratio) for l1_ratio in (0.0, 0.5)]
    assert fusion.fit_group(group, X, Y, {}) == [None, None]
    alone = estimator(alpha=0.1).fit(X, Y)
    assert [len(clf._result.slots) for clf in group] == [0, 2]
    np.testing.assert_allclose(group[0].coef_, alone.coef_, rtol=1e-12)
