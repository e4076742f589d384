"""dual_gap: what it takes and refuses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import classic, estimator, problem
from tfsoftmax import dual_gap

X, Y, S = problem()


def test_a_fit_by_lbfgs_keeps_its_gap():
    clf = classic(optimizer="lbfgs", alpha=0.01, epochs=100).fit(X, Y, S)
    assert clf.dual_gap_ == pytest.approx(dual_gap(clf, X, Y, S), rel=1e-6)
    assert 0 <= clf.dual_gap_ < 1e-10
    assert dual_gap(clf, X, Y) > clf.dual_gap_  # with other weights it is another F


def test_a_fit_by_epochs_has_a_gap_only_where_it_is_asked_for():
    clf = classic(optimizer="lbfgs", alpha=0.01, epochs=100).fit(X, Y)
    clf.set_params(optimizer="sgd").fit(X, Y)
    assert not hasattr(clf, "dual_gap_")
    assert 0 < dual_gap(clf, X, Y) < np.inf


def test_labels_may_have_names():
    names = np.array(["a", "b", "c"])[Y]
    one, other = estimator(alpha=0.1).fit(X, Y), estimator(alpha=0.1).fit(X, names)
    assert dual_gap(other, X, names) == dual_gap(one, X, Y)


def test_new_parameters_change_nothing_before_the_next_fit():
    clf = estimator(alpha=0.1).fit(X, Y)
    gap = dual_gap(clf, X, Y)
    assert dual_gap(clf.set_params(alpha=0.2, rescale=3.0), X, Y) == gap


def test_what_is_not_as_described_is_refused():
    with pytest.raises(NotFittedError):
        dual_gap(estimator(), X, Y)
    clf = estimator(alpha=0.1).fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        dual_gap(clf, X[:, :2], Y)
    with pytest.raises(ValueError, match="y"):
        dual_gap(clf, X, Y[:-1])
    with pytest.raises(ValueError, match="sample_weight"):
        dual_gap(clf, X, Y, S[:-1])


def test_other_classifiers_and_pipelines_are_refused():
    other = LogisticRegression().fit(X, Y)
    for clf in (other, make_pipeline(StandardScaler(), estimator()).fit(X, Y)):
        with pytest.raises(TypeError, match="classifier must be a fitted TFSoftmax"):
            dual_gap(clf, X, Y)
