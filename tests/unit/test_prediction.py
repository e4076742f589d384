"""Logits that can't be computed, and the accuracy of any kind of labels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.problems import estimator, problem

X, Y, S = problem()
ONE_HOT = np.eye(3)[Y]
# Labels that are sure of something, but not of all.
SOFT = 0.6 * ONE_HOT + 0.4 * np.random.default_rng(1).dirichlet(np.ones(3), len(X))


def test_a_logit_that_overflows_is_refused_and_one_of_minus_infinity_is_not():
    clf = estimator().fit(X, Y)
    clf.coef_ *= 100
    with pytest.raises(ValueError, match="X has values too large for this model"):
        clf.predict(np.sign(X) * 1e307)
    clf.intercept_[1] = -np.inf  # a class that is ruled out
    probabilities = clf.predict_proba(X)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("name", ["coef_", "intercept_"])
def test_weights_that_are_not_finite_are_told_from_large_rows(name):
    clf = estimator().fit(X, Y)
    getattr(clf, name)[0] = np.nan
    with pytest.raises(ValueError, match="logits of X can't be computed: coef_ or"):
        clf.predict(X)


def test_score_takes_both_forms_and_weights():
    clf = estimator().fit(X, Y)
    expected = np.average(clf.predict(X) == Y, weights=S)
    assert clf.score(X, Y, S) == pytest.approx(expected)
    for soft in (ONE_HOT, SOFT.round(), ONE_HOT * 0.5 + 0.5 / 3, ONE_HOT.tolist()):
        expected = np.average(clf.predict(X) == np.argmax(soft, axis=1), weights=S)
        assert clf.score(X, soft, S) == pytest.approx(expected)


def test_score_takes_weights_whose_sum_overflows():
    clf = estimator().fit(X, Y)
    assert clf.score(X, Y, S * 5e307) == pytest.approx(clf.score(X, Y, S))


@pytest.mark.parametrize("label", [np.nan, np.inf, 1e300, 0.5])
def test_score_refuses_labels_that_are_no_classes_without_a_warning(label):
    clf = estimator().fit(X, Y)
    with pytest.raises(ValueError, match=r"\by\b"):
        clf.score(X, np.where(Y == 0, label, Y))
