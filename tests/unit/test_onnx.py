"""Models that skl2onnx converts, without a word of the user's, and onnxruntime runs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import skl2onnx
from scipy import sparse
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import classic, problem
from tfsoftmax import (
    TFSoftmaxClassifier,
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
)

RAW = {"zipmap": False}
X, Y, _ = problem()
GRID = {"alpha": [0.0, 0.1]}


class Mine(TFSoftmaxClassifier):
    """A subclass, which skl2onnx knows as little as the class itself."""


@pytest.fixture(autouse=True)
def _skl2onnx_knows_none_of_our_classes():
    """Forget what the conversions of other tests have registered."""
    names = skl2onnx._supported_operators.sklearn_operator_name_map
    parsers = skl2onnx._parse.sklearn_parsers_map
    for known in (names, parsers):
        for kind in [k for k in known if k.__module__.startswith(("tfs", "tests"))]:
            del known[kind]


def run(onnx, rows):
    """What a converted model returns: labels, and probabilities or the like."""
    session = onnxruntime.InferenceSession(onnx.SerializeToString())
    return session.run(None, {"X": rows})


def assert_predicts_the_same(model, rows, atol=1e-6, **params):
    onnx = to_onnx(model, rows[:1], **({"options": RAW} | params))
    labels, probabilities = run(onnx, rows)
    expected = model.predict_proba(rows)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=atol)
    np.testing.assert_array_equal(labels, model.predict(rows))


LABELS = {
    "integers": Y,
    "strings": np.array(["a", "beta", "c"])[Y],
    "two integers": np.where(Y > 0, 7, -1),
    "bools": Y > 0,
    "two strings": np.where(Y > 0, "yes", "no"),
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_classifier_is_converted(y, dtype):
    clf = classic(learning_rate=0.1).fit(X.astype(dtype), y)
    assert_predicts_the_same(clf, X.astype(dtype))
    assert_predicts_the_same(clf, X.astype(dtype))  # when it is known


def test_rows_of_float64_are_computed_in_float64():
    assert_predicts_the_same(classic(learning_rate=0.1).fit(X, Y), X, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, bool])
def test_integers_and_bytes_are_taken_as_they_come(dtype):
    rows = (5 * np.abs(X)).astype(dtype)
    assert_predicts_the_same(classic(learning_rate=0.1).fit(rows, Y), rows)


SETTINGS = {
    "standardised": {"rescale": "standard"},
    "without an intercept": {"fit_intercept": False},
    "by L-BFGS": {"optimizer": "lbfgs", "alpha": 0.1, "epochs": 100},
}


@pytest.mark.parametrize("params", SETTINGS.values(), ids=SETTINGS)
def test_whatever_trained_it(params):
    clf = TFSoftmaxClassifier(**({"epochs": 2, "random_state": 0} | params))
    assert_predicts_the_same(clf.fit(X + 1, Y), X + 1)


def test_trained_on_sparse_rows_it_takes_dense_ones():
    rows = np.where(X > 0, X, 0)
    clf = classic(learning_rate=0.1, alpha=0.05, l1_ratio=1)
    clf.fit(sparse.csr_array(rows), Y)
    assert_predicts_the_same(clf, rows)
    before = clf.sparsify().coef_
    assert_predicts_the_same(clf, rows)
    assert clf.coef_ is before


MODELS = {
    "a pipeline": make_pipeline(StandardScaler(), classic()),
    "a subclass": Mine(epochs=2, random_state=0),
    "a subclass in a pipeline": make_pipeline(StandardScaler(), Mine(epochs=2)),
    "scikit-learn's search": GridSearchCV(classic(), GRID, cv=2),
    "a search": TFSoftmaxGridSearchCV(classic(), GRID, cv=2),
    "a randomized search": TFSoftmaxRandomizedSearchCV(classic(), GRID, n_iter=2, cv=2),
    "a search in a pipeline": make_pipeline(
        StandardScaler(), TFSoftmaxGridSearchCV(classic(), GRID, cv=2)
    ),
    "a search of pipelines": TFSoftmaxGridSearchCV(
        make_pipeline(StandardScaler(), Mine(epochs=2, random_state=0)),
        {"mine__alpha": [0.0, 0.1]},
        cv=2,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_what_contains_the_classifier_is_converted(model):
    rows = X.astype(np.float32)
    model.fit(rows, Y)
    assert_predicts_the_same(model, rows)
    labels, probabilities = run(to_onnx(model, rows[:1]), rows)  # a dict for each row
    by_class = [[row[label] for label in model.classes_] for row in probabilities]
    np.testing.assert_allclose(by_class, model.predict_proba(rows), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(labels, model.predict(rows))


@pytest.mark.parametrize("kind", [TFSoftmaxClassifier, Mine])
def test_options_go_by_class_and_by_object(kind):
    clf = kind(epochs=2, random_state=0).fit(X, Y)
    for key in (kind, id(clf)):
        assert_predicts_the_same(clf, X, options={key: RAW})


def test_the_options_are_those_of_logistic_regression():
    rows = X.astype(np.float32)
    clf = classic(learning_rate=0.1).fit(rows, LABELS["strings"])
    search = TFSoftmaxGridSearchCV(clf, GRID, cv=2).fit(rows, LABELS["strings"])
    for model in (clf, search):
        expected = model.predict_proba(rows)
        for option in ({"zipmap": "columns"}, RAW | {"output_class_labels": True}):
            theirs = getattr(model, "best_estimator_", model).to_sklearn()
            ours, of_theirs = (
                run(to_onnx(each, rows[:1], options=option), rows)
                for each in (model, theirs)
            )
            assert len(ours) == len(of_theirs) > 2
            for result, other in zip(ours, of_theirs, strict=True):
                np.testing.assert_array_equal(result, other)
        onnx = to_onnx(model, rows[:1], options=RAW | {"raw_scores": True})
        logits = model.decision_function(rows)
        np.testing.assert_allclose(run(onnx, rows)[1], logits, rtol=0, atol=1e-5)
        onnx = to_onnx(model, rows[:1], options={"nocl": True, "zipmap": False})
        np.testing.assert_array_equal(run(onnx, rows)[0], expected.argmax(axis=1))
    with pytest.raises(NameError, match="zapmip"):
        to_onnx(clf, rows[:1], options={id(clf): {"zapmip": False}})


def test_inside_a_calibration_it_is_known_after_its_own_conversion():
    model = CalibratedClassifierCV(classic(learning_rate=0.1), cv=2).fit(X, Y)
    to_onnx(classic().fit(X, Y), X[:1])
    assert_predicts_the_same(model, X)


@pytest.mark.slow
def test_skl2onnx_is_imported_by_the_user_only():
    code = (
        "import sys, tfsoftmax\n"
        "tfsoftmax.TFSoftmaxGridSearchCV(tfsoftmax.TFSoftmaxClassifier(), {})\n"
        "print([name for name in sys.modules if 'onnx' in name])"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert fresh.stdout == "['tfsoftmax.utils.skl2onnx_compat']\n"
