"""`sparsify` and `densify`: all goes on with sparse coefficients as with dense ones."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

from tests import problems
from tests.assertions import assert_same_bits
from tests.problems import mostly_slow, problem
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV, dual_gap
from tfsoftmax.displays import WeightsDisplay
from tfsoftmax.model_selection import fusion
from tfsoftmax.utils.sparse import to_dense

views = pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_fitted_attr_html"),
    reason="the HTML view has fitted attributes since scikit-learn 1.9",
)

KINDS = ["decision_function", "predict", "predict_proba", "predict_log_proba"]
X, Y, S = problem(n_features=12)
# Full batches, whose weights have no noise to lift them off zero.
L1 = {"alpha": 0.05, "l1_ratio": 1.0, "batch_size": 1000, "epochs": 30}


def estimator(**parameters):
    return problems.estimator(**L1 | parameters)


def fitted(n_classes=3, dtype=np.float64, **parameters):
    """A classifier with zeros among its weights, and the same with sparse ones."""
    clf = estimator(**parameters).fit(X.astype(dtype), np.minimum(Y, n_classes - 1))
    assert 0 < np.count_nonzero(clf.coef_) < clf.coef_.size * 0.8
    return clf, copy.deepcopy(clf).sparsify()


def test_coefficients_are_in_the_container_of_scikit_learn():
    clf, packed = fitted()
    twin = LogisticRegression(max_iter=1000).fit(X, Y).sparsify()
    assert type(packed.coef_) is type(twin.coef_)
    assert packed.coef_.format == "csr"
    assert packed.coef_.dtype == clf.coef_.dtype
    assert packed.coef_.nnz == np.count_nonzero(clf.coef_)
    np.testing.assert_array_equal(packed.coef_.toarray(), clf.coef_)
    np.testing.assert_array_equal(packed.intercept_, clf.intercept_)


def test_there_and_back_is_the_same_classifier():
    clf, packed = fitted()
    assert packed.sparsify() is packed
    assert sparse.issparse(packed.coef_)
    assert packed.densify() is packed
    assert_same_bits(packed, clf)
    assert packed.densify() is packed
    assert_same_bits(packed, clf)


@pytest.mark.parametrize("method", ["sparsify", "densify"])
def test_a_classifier_that_is_not_fitted_has_nothing_to_convert(method):
    with pytest.raises(NotFittedError, match="TFSoftmaxClassifier, must be fitted"):
        getattr(estimator(), method)()


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("rows_dtype", ["f8", "f4", "u1", "i8", "?"])
@pytest.mark.parametrize(
    ("n_classes", "dtype"),
    mostly_slow([(2, np.float64), (3, np.float32)], (2, np.float32), (3, np.float64)),
)
def test_predictions_are_the_same(n_classes, dtype, rows_dtype, container):
    clf, packed = fitted(n_classes, dtype)
    rows = container(abs(20 * X).astype(rows_dtype))
    for kind in KINDS:
        actual, expected = getattr(packed, kind)(rows), getattr(clf, kind)(rows)
        assert type(actual) is np.ndarray
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    assert packed.score(rows, Y, S) == clf.score(rows, Y, S)


def test_matrices_of_older_versions_predict_too():
    clf, packed = fitted()
    packed.coef_ = sparse.csr_matrix(packed.coef_)
    for rows in (X, X.astype("f4"), sparse.csr_array(X), sparse.csr_matrix(X)):
        actual = packed.decision_function(rows)
        assert type(actual) is np.ndarray
        np.testing.assert_allclose(actual, clf.decision_function(rows), rtol=1e-5)


def test_logits_that_overflow_are_refused():
    clf, packed = fitted()
    for rows in (1e307 * X, sparse.csr_array(1e307 * X)):
        for model in (clf, packed):
            model.coef_ = 1000 * model.coef_
            with pytest.raises(ValueError, match="X has values too large"):
                model.predict(rows)
    packed.coef_.data[0] = np.nan
    with pytest.raises(ValueError, match="logits of X can't be computed: coef_ or"):
        packed.predict(X)


def by_skops(clf):
    file = io.BytesIO()
    skops.io.dump(clf, file)
    trusted = skops.io.get_untrusted_types(data=file.getvalue())
    assert set(trusted) <= {
        "scipy.sparse._csr.csr_array",
        "scipy.sparse._csr.csr_matrix",
        "tfsoftmax.classifier.TFSoftmaxClassifier",
    }
    return skops.io.load(io.BytesIO(file.getvalue()), trusted=trusted)


@pytest.mark.parametrize("through", [lambda c: pickle.loads(pickle.dumps(c)), by_skops])
def test_a_saved_classifier_keeps_its_sparse_coefficients(through):
    clf, packed = fitted()
    loaded = through(packed)
    assert type(loaded.coef_) is type(packed.coef_)
    np.testing.assert_array_equal(loaded.predict_proba(X), packed.predict_proba(X))
    assert_same_bits(loaded.densify(), clf)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_other_libraries_get_the_same_model(n_classes):
    clf, packed = fitted(n_classes)
    twin = packed.to_sklearn()
    assert sparse.issparse(twin.coef_)
    assert twin.coef_ is not packed.coef_
    np.testing.assert_array_equal(twin.predict(X), clf.predict(X))
    np.testing.assert_allclose(
        twin.decision_function(X), clf.decision_function(X), rtol=1e-12
    )
    for one, other in zip(
        packed.to_keras().get_weights(), clf.to_keras().get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_weights_and_gaps_are_shown():
    clf, packed = fitted()
    display = WeightsDisplay.from_estimator(packed, image_shape=(3, 4))
    np.testing.assert_array_equal(display.weights, clf.coef_.reshape(3, 3, 4))
    assert dual_gap(packed, X, Y, S) == dual_gap(clf, X, Y, S)


@views
def test_the_html_view_shows_sparse_weights():
    assert "coef_" in fitted()[1]._repr_html_()


@pytest.mark.parametrize("warm_start", [False, True])
def test_training_goes_on_as_if_coefficients_were_dense(warm_start):
    clf, packed = fitted(warm_start=warm_start)
    for model in (clf, packed):
        model.fit(X, Y, S)
    assert_same_bits(packed, clf)
    for model in (clf, packed.sparsify()):
        model.partial_fit(X, Y, sample_weight=S)
    assert_same_bits(packed, clf)


def test_the_best_classifier_of_a_search_can_be_sparse():
    search = TFSoftmaxGridSearchCV(estimator(), {"alpha": [0.05, 0.1]}, cv=3)
    expected = search.fit(X, Y).predict_proba(X)
    search.best_estimator_.sparsify()
    np.testing.assert_allclose(search.predict_proba(X), expected, rtol=1e-12)
    assert search.score(X, Y) > 0.5


class SparseClassifier(TFSoftmaxClassifier):
    """Has sparse coefficients after each fit, as a subclass may."""

    def fit(self, X, y, **arguments):
        return super().fit(X, y, **arguments).sparsify()


def test_scikit_learn_scores_a_subclass_whose_coefficients_are_always_sparse():
    parameters = estimator().get_params()
    grid = {"alpha": [0.05, 0.1]}
    scores = [
        cross_val_score(kind(**parameters), X, Y, error_score="raise")
        for kind in (TFSoftmaxClassifier, SparseClassifier)
    ]
    np.testing.assert_array_equal(*scores)
    search = GridSearchCV(SparseClassifier(**parameters), grid, cv=3).fit(X, Y)
    assert sparse.issparse(search.best_estimator_.coef_)


def test_a_search_scores_candidates_with_sparse_coefficients(monkeypatch):
    """As a callback can make them."""
    search = TFSoftmaxGridSearchCV(estimator(), {"alpha": [0.05, 0.1, 0.1]}, cv=3)
    expected = search.fit(X, Y).cv_results_["mean_test_score"]
    made_sparse = []

    def store(clf, *arguments):
        problems_store(clf, *arguments)
        made_sparse.append(clf.sparsify())

    problems_store = fusion.store
    monkeypatch.setattr(fusion, "store", store)
    actual = search.fit(X, Y).cv_results_["mean_test_score"]
    assert len(made_sparse) == 9
    np.testing.assert_array_equal(actual, expected)


def test_only_sparse_values_are_made_dense():
    values = np.eye(3)
    assert to_dense(values) is values
    for kind in (sparse.csr_array, sparse.csr_matrix, sparse.coo_array):
        np.testing.assert_array_equal(to_dense(kind(values)), values, strict=True)
