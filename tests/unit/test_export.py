"""Fitted classifiers as files, and as models of scikit-learn and Keras."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import warnings
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import onnxruntime
import pytest
import skops.io
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression

from tests.data.save_model import NAMES
from tests.problems import classic, mostly_slow, problem
from tfsoftmax.datasets import load_mnist

DATA = Path(__file__).parents[1] / "data"
SAVED = sorted([*DATA.glob("*.pickle"), *DATA.glob("*.skops")])
OURS = ["tfsoftmax.classifier.TFSoftmaxClassifier"]
SETTINGS = {
    "MNIST": {"rescale": 1 / 255},
    "string labels": {"rescale": 1 / 255, "optimizer": "adam"},
    "two classes": {"rescale": 1 / 255, "optimizer": "momentum"},
    "two strings, float64": {"optimizer": "nesterov", "learning_rate": 1e-6},
    "no intercept": {"rescale": 1 / 255, "fit_intercept": False},
    "standard": {"rescale": "standard"},
    "standard, two classes": {"rescale": "standard", "fit_intercept": False},
    "factors": {"rescale": np.linspace(0.001, 0.004, 784)},
}


@pytest.fixture(
    scope="module",
    params=mostly_slow(
        ["two strings, float64", "standard"],
        *(("string labels",), ("MNIST",), ("two classes",), ("no intercept",)),
        *(("factors",), ("standard, two classes",)),
    ),
)
def exported(request):
    """A fitted classifier, its training rows and classes, and rows to predict."""
    X, y = load_mnist("train", return_X_y=True)
    X_test = load_mnist("test").data
    X, y, X_test = X[:3000], y[:3000], X_test[:2000]
    if "two" in request.param:
        X, y = X[y < 2], y[y < 2]
    if "string" in request.param:
        y = NAMES[y]
    if "float64" in request.param:
        X, X_test = X.astype(float), X_test.astype(float)
    clf = classic(epochs=2, random_state=0, **SETTINGS[request.param])
    return clf.fit(X, y), X, y, X_test


def skops_round_trip(clf):
    saved = skops.io.dumps(clf)
    assert skops.io.get_untrusted_types(data=saved) == OURS
    return skops.io.loads(saved, trusted=OURS)


def joblib_round_trip(clf):
    file = io.BytesIO()
    joblib.dump(clf, file)
    file.seek(0)
    return joblib.load(file)


ROUND_TRIPS = {
    "pickle": lambda clf: pickle.loads(pickle.dumps(clf)),
    "joblib": joblib_round_trip,
    "cloudpickle": lambda clf: cloudpickle.loads(cloudpickle.dumps(clf)),
    "skops": skops_round_trip,
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_a_saved_model_predicts_and_resumes_to_the_same_bits(name, exported):
    clf, X, y, X_test = exported
    loaded, original = ROUND_TRIPS[name](clf), pickle.loads(pickle.dumps(clf))
    assert np.array_equal(loaded.predict_proba(X_test), clf.predict_proba(X_test))
    assert np.array_equal(loaded.predict(X_test), clf.predict(X_test))
    assert loaded.history_.equals(clf.history_)
    loaded.partial_fit(X, y)
    assert np.array_equal(loaded.coef_, original.partial_fit(X, y).coef_)
    assert len(loaded.history_) == len(clf.history_) + 1


class ClassRecorder(pickle.Unpickler):
    """Loads a pickle, and keeps the paths of this package's classes that it names."""

    def __init__(self, file):
        super().__init__(file)
        self.paths = set()

    def find_class(self, module, name):
        if module.startswith("tfsoftmax"):
            self.paths.add(f"{module}.{name}")
        return super().find_class(module, name)


def classes_named_in(pickled):
    recorder = ClassRecorder(io.BytesIO(pickled))
    recorder.load()
    return recorder.paths


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_names_no_class_of_ours_but_the_classifier(protocol, exported):
    assert classes_named_in(pickle.dumps(exported[0], protocol)) == set(OURS)


PLAIN = (bool, int, float, str, np.ndarray, np.random.RandomState, type(None))


def assert_plain(value):
    if type(value) in (list, tuple):
        for item in value:
            assert_plain(item)
    elif type(value) is dict:
        assert_plain(list(value) + list(value.values()))
    else:
        assert type(value) in PLAIN


def test_the_state_is_plain_python_and_numpy(exported):
    clf = exported[0]
    state = clf.__getstate__()
    assert type(state["_result"]) is dict
    assert state["_result"].keys() == vars(clf._result).keys()
    for name in ("progress", "settings", "scaling"):
        assert type(state["_result"][name]) is dict
    assert_plain(state)


def test_restoring_a_state_gives_an_equal_result(exported):
    clf = exported[0]
    restored = classic()
    restored.__setstate__(clf.__getstate__())
    ours, theirs = vars(restored._result), vars(clf._result)
    np.testing.assert_array_equal(ours["V"], theirs["V"])
    assert type(ours["slots"]) is tuple
    for name in ("progress", "settings", "history", "ended"):
        assert ours[name] == theirs[name]
    for name in ("factor", "mean"):
        each = [
            getattr(scaling, name) for scaling in (ours["scaling"], theirs["scaling"])
        ]
        np.testing.assert_array_equal(*each, strict=True)


def test_an_unfitted_classifier_is_pickled_too():
    clf = classic(alpha=0.5)
    assert pickle.loads(pickle.dumps(clf)).get_params() == clf.get_params()


@pytest.mark.parametrize("file", SAVED, ids=lambda file: file.name)
def test_a_model_saved_by_an_earlier_version_loads(file):
    if file.suffix == ".pickle":
        model = pickle.loads(file.read_bytes())
    else:
        model = skops.io.load(file, trusted=OURS)
    X = load_digits().data
    expected = np.load(file.with_suffix(".npz"))
    assert np.allclose(model.predict_proba(X), expected["predict_proba"], atol=1e-12)
    clf = getattr(model, "best_estimator_", model)
    assert len(clf.history_) == clf.epochs
    clf.partial_fit(X, expected["labels"])
    assert np.allclose(clf.coef_, expected["resumed"], atol=1e-12)


@pytest.mark.parametrize("kind", ["", "-two-classes", "-standard", "-search"])
def test_saved_models_name_public_classes_only(kind):
    search = ["tfsoftmax.model_selection.search.TFSoftmaxGridSearchCV"]
    file = DATA / f"tfsoftmax-0.1.0{kind}.pickle"
    expected = {*OURS, *(search if kind == "-search" else [])}
    assert classes_named_in(file.read_bytes()) == expected


def test_there_are_models_of_this_line_of_versions():
    kinds = ["", "-search", "-standard", "-two-classes"]
    pickles = {file.stem for file in SAVED if file.suffix == ".pickle"}
    assert pickles >= {f"tfsoftmax-0.1.0{kind}" for kind in kinds}


def test_the_sklearn_model_predicts_the_same(exported):
    clf, X, y, X_test = exported
    model = clf.to_sklearn()
    assert type(model) is LogisticRegression
    assert np.array_equal(model.coef_, clf.coef_)
    assert np.array_equal(model.predict(X_test), clf.predict(X_test))
    proba = model.predict_proba(X_test)
    assert np.allclose(proba, clf.predict_proba(X_test), rtol=1e-6, atol=1e-7)
    assert model.score(X, y) == clf.score(X, y)


def test_the_sklearn_model_shares_no_array(exported):
    clf = exported[0]
    before = clf.coef_.copy()
    model = clf.to_sklearn()
    model.coef_ += 1
    model.intercept_ += 1
    assert np.array_equal(clf.coef_, before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # that its interpreter moves to another package
def test_litert_predicts_the_same(exported):
    import tensorflow as tf

    clf, _, _, X_test = exported
    rows = X_test[:500].astype(np.float32)
    model = tf.lite.TFLiteConverter.from_keras_model(clf.to_keras()).convert()
    interpreter = tf.lite.Interpreter(model_content=model)
    (argument,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(argument["index"], rows.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(argument["index"], rows)
    interpreter.invoke()
    (result,) = interpreter.get_output_details()
    proba = interpreter.get_tensor(result["index"])
    assert np.allclose(proba, clf.predict_proba(X_test[:500]), rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_onnx_predicts_the_same(exported):
    from skl2onnx import to_onnx

    clf, _, _, X_test = exported
    rows = X_test[:500].astype(np.float32)
    onnx = to_onnx(clf, rows[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(onnx.SerializeToString())
    labels, proba = session.run(None, {"X": rows})
    assert np.allclose(proba, clf.predict_proba(rows), atol=2e-6)
    assert np.array_equal(labels, clf.predict(rows))


def test_the_keras_model_predicts_the_same(exported):
    clf, _, _, X_test = exported
    model = clf.to_keras()
    assert model.built
    proba = model.predict(X_test, verbose=0)
    assert np.allclose(proba, clf.predict_proba(X_test), rtol=2e-5, atol=2e-6)
    assert np.array_equal(clf.classes_[proba.argmax(axis=1)], clf.predict(X_test))


def test_the_keras_model_has_a_layer_that_scales_only_where_the_fit_did(exported):
    clf = exported[0]
    layers = [type(layer).__name__ for layer in clf.to_keras().layers]
    kind = "Rescaling" if isinstance(clf.rescale, float) else "Normalization"
    assert layers == [kind, "Dense"][clf.rescale is None :]


@pytest.mark.parametrize("rescale", ["standard", [1e9, 1.0, 1e-9, 1e21, 1e-25]])
def test_the_keras_model_has_features_of_any_units(rescale):
    X, y, _ = problem()
    units = np.array([1e-9, 1, 1e9, 1e-21, 1e25])  # Keras divides by 1e-7 at least
    X, offset = X * units, np.zeros(5)
    if rescale == "standard":
        offset[1] = 1e6 / 3
    clf = classic(rescale=rescale, learning_rate=0.1, random_state=0)
    clf.fit(X + offset, y)
    rows = (X + offset).astype(np.float32)
    proba = clf.to_keras().predict(rows, verbose=0)
    expected = clf.predict_proba(rows.astype(np.float64))
    assert np.allclose(proba, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_the_keras_model_is_exported_and_served(exported, tmp_path):
    import tensorflow as tf

    clf, _, _, X_test = exported
    rows = X_test[:100].astype(np.float32)
    clf.to_keras().export(tmp_path / "model", verbose=False)
    model = tf.saved_model.load(tmp_path / "model")  # holds the weights
    served = model.serve(rows).numpy()
    assert np.allclose(served, clf.predict_proba(rows), rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_the_keras_model_can_be_tuned_further(exported):
    import keras

    clf, X, y, _ = exported
    model = clf.to_keras()
    codes = np.searchsorted(clf.classes_, y)
    # All rows in each step, and steps short enough for the features' scale: nothing is
    # random, and the loss can but fall.
    model.compile(
        optimizer=keras.optimizers.SGD(clf.learning_rate / 10),
        loss="sparse_categorical_crossentropy",
    )
    before = model.evaluate(X, codes, verbose=0)
    model.fit(X, codes, batch_size=len(X), shuffle=False, epochs=30, verbose=0)
    assert model.evaluate(X, codes, verbose=0) < before


@pytest.mark.parametrize("method", ["to_sklearn", "to_keras"])
def test_a_classifier_that_is_not_fitted_is_not_exported(method):
    with pytest.raises(NotFittedError):
        getattr(classic(), method)()


def test_a_missing_keras_is_an_error_that_says_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match=r"to_keras needs Keras.*pip install"):
        exported[0].to_keras()


def test_the_keras_model_rescales_as_the_fit_did(exported):
    clf, _, _, X_test = exported
    changed = copy.deepcopy(clf).set_params(rescale=float("nan"))
    model = changed.to_keras()
    expected = clf.to_keras().predict(X_test[:50], verbose=0)
    np.testing.assert_array_equal(model.predict(X_test[:50], verbose=0), expected)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_keras_model_is_of_float32_whatever_the_policy(policy, exported):
    import keras

    clf, _, _, X_test = exported
    previous = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        proba = clf.to_keras().predict(X_test[:50], verbose=0)
    finally:
        keras.mixed_precision.set_dtype_policy(previous)
    assert proba.dtype == np.float32
    assert np.allclose(proba, clf.predict_proba(X_test[:50]), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(("scale", "rate"), [(1e50, 1.0), (1e-50, 1.0), (None, 1e100)])
def test_what_float32_cannot_hold_makes_no_keras_model(scale, rate):
    X, y, _ = problem()
    clf = classic(rescale=scale, learning_rate=rate, epochs=2)
    factor = 1e50 if scale is None else scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf.fit(X / factor, y)
    with pytest.raises(ValueError, match="float32 can't represent a factor of"):
        clf.to_keras()


def test_a_keras_without_its_backend_says_which_that_is(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match="Install what KERAS_BACKEND='torch' needs"):
        exported[0].to_keras()
