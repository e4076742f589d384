"""What a user calls: labels, inputs, attributes, prediction, and bad input."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.base import clone

from tests.problems import classic, estimator
from tfsoftmax import TFSoftmaxClassifier, prediction


def fast(**parameters):
    """Return an estimator that learns the small digits in a moment."""
    return estimator(**{"batch_size": 100, "learning_rate": 0.5} | parameters)


@pytest.fixture(scope="module")
def fitted(digits):
    return fast().fit(*digits)


@pytest.mark.parametrize(
    "name",
    [
        lambda k: f"digit {k}",
        lambda k: k - 5,
        lambda k: np.uint8(k),
        lambda k: k / 1.0,
        lambda k: bytes([65 + k]).decode(),
    ],
)
def test_labels_of_any_kind_are_learnt_and_predicted(digits, fitted, name):
    X, y = digits
    labels = np.array([name(k) for k in y])
    clf = fast().fit(X, labels)
    assert clf.predict(X).dtype == labels.dtype
    expected = np.array([name(k) for k in fitted.predict(X)])
    assert (clf.predict(X) == expected).mean() > 0.999
    assert clf.score(X, labels) > 0.9


def test_object_labels_are_learnt(digits):
    X, y = digits
    labels = np.array([f"digit {k}" for k in y], dtype=object)
    clf = fast().fit(X, labels)
    assert clf.classes_.tolist() == sorted(set(labels))
    assert clf.score(X, labels) > 0.9


def test_two_classes_of_bool(digits):
    X, y = digits
    clf = fast().fit(X, y >= 5)
    assert clf.classes_.tolist() == [False, True]
    assert clf.coef_.shape == (1, 64)
    assert clf.intercept_.shape == (1,)
    assert clf.decision_function(X).shape == (len(X),)
    assert clf.predict_proba(X).shape == (len(X), 2)
    assert clf.predict(X).dtype == bool
    assert clf.score(X, y >= 5) > 0.85


def test_categories_of_pandas(digits, fitted):
    X, y = digits
    labels = pd.Series([f"digit {k}" for k in y], dtype="category")
    clf = fast().fit(X, labels)
    np.testing.assert_array_equal(clf.coef_, fitted.coef_)
    assert clf.classes_[0] == "digit 0"


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_give_feature_names(digits, fitted, frame):
    X, y = digits
    names = [f"pixel{i}" for i in range(64)]
    table = frame(dict(zip(names, X.T, strict=True)))
    clf = fast().fit(table, y)
    assert clf.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(clf.coef_, fitted.coef_)
    np.testing.assert_array_equal(clf.predict(table), fitted.predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        clf.predict(table[names[::-1]])


@pytest.mark.parametrize(
    ("dtype", "coef_dtype"),
    [
        (np.uint8, np.float32),
        (bool, np.float32),
        (np.int8, np.float32),
        (np.uint16, np.float32),
        (np.int64, np.float32),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (">f8", np.float64),
    ],
)
def test_every_real_dtype_trains(digits, dtype, coef_dtype):
    X, y = digits
    X = (X * 16).astype(dtype)
    clf = fast(rescale=1 / 16).fit(X, y)
    same = fast(rescale=1 / 16).fit(X.astype(np.float64), y)
    assert clf.coef_.dtype == coef_dtype
    np.testing.assert_allclose(clf.coef_, same.coef_, atol=1e-5)
    np.testing.assert_allclose(clf.predict_proba(X), same.predict_proba(X), atol=1e-5)


def test_integers_that_float32_would_lose_train_in_float64():
    X = 2**40 + np.arange(20)[:, None]
    y = np.arange(20) >= 10
    clf = classic(epochs=1, rescale=2.0**-40).fit(X, y)
    assert clf.coef_.dtype == np.float64


@pytest.mark.parametrize(
    "arrange",
    [
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: np.pad(X, ((0, 0), (3, 2)))[:, 3:-2],
        lambda X: X[::-1][::-1],
        lambda X: X.tolist(),
    ],
)
def test_layout_of_the_input_changes_nothing(digits, fitted, arrange):
    X, y = digits
    clf = fast().fit(arrange(X), y)
    np.testing.assert_array_equal(clf.coef_, fitted.coef_)


def test_a_memmap_trains_and_is_not_written_to(digits, fitted, tmp_path):
    X, y = digits
    on_disk = np.memmap(tmp_path / "X", X.dtype, "w+", shape=X.shape)
    on_disk[:] = X
    on_disk.flush()
    X = np.memmap(tmp_path / "X", X.dtype, "r", shape=X.shape)
    clf = fast().fit(X, y)
    np.testing.assert_array_equal(clf.coef_, fitted.coef_)


def test_fit_changes_neither_its_arguments_nor_the_parameters(digits):
    X, y = (array.copy() for array in digits)
    s = np.linspace(0.5, 2, len(X))
    clf = fast()
    parameters = clf.get_params()
    clf.fit(X, y, s, X_val=X, y_val=y)
    np.testing.assert_array_equal(X, digits[0])
    np.testing.assert_array_equal(y, digits[1])
    np.testing.assert_array_equal(s, np.linspace(0.5, 2, len(X)))
    assert clf.get_params() == parameters


def test_clone_keeps_every_parameter_and_forgets_the_fit():
    clf = classic(7, 0.5, 3, fit_intercept=False, rescale=0.1, verbose=0)
    copy = clone(clf)
    assert copy.get_params() == clf.get_params()
    assert not hasattr(copy, "coef_")


def test_decision_function_is_a_matrix_product_of_the_x_passed(digits):
    X, y = digits
    X = (X * 16).astype(np.uint8)
    clf = fast(rescale=1 / 16).fit(X, y)
    expected = X.astype(np.float64) @ clf.coef_.T + clf.intercept_
    assert clf.decision_function(X).dtype == np.float32
    np.testing.assert_allclose(clf.decision_function(X), expected, rtol=1e-5, atol=1e-5)


def test_bytes_are_predicted_block_by_block(digits, monkeypatch):
    X, y = digits
    X = (X * 16).astype(np.uint8)
    clf = fast(rescale=1 / 16).fit(X, y)
    whole = clf.decision_function(X)
    monkeypatch.setattr(prediction, "_ROWS_PER_BLOCK", 100)
    np.testing.assert_allclose(clf.decision_function(X), whole, rtol=1e-5, atol=1e-5)


@settings(max_examples=50)
@given(
    logits=hnp.arrays(
        np.float64, (5, 3), elements=st.floats(-1e6, 1e6, allow_nan=False)
    ),
    constant=st.floats(-1e3, 1e3),
)
def test_probabilities_are_a_stable_softmax(fitted, logits, constant):
    clf = clone(fitted)
    clf.classes_, clf.coef_, clf.intercept_ = np.arange(3), np.eye(3), np.zeros(3)
    clf.n_features_in_ = 3
    p = clf.predict_proba(logits)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    log_p = clf.predict_log_proba(logits)
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(clf.predict_proba(logits + constant), p, atol=1e-8)
    np.testing.assert_array_equal(clf.predict(logits), logits.argmax(axis=1))


def test_the_history_is_a_frame_of_epochs(digits):
    X, y = digits
    clf = fast().fit(X, y, X_val=X[:100], y_val=y[:100])
    history = clf.history_
    assert history.columns.tolist() == [
        "loss",
        "accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
    ]
    assert history.index.tolist() == [1, 2, 3]
    assert history.index.name == "epoch"
    assert (history.learning_rate == 0.5).all()
    assert (history.seconds > 0).all()
    assert clf.loss_curve_ == history.loss.tolist()
    assert clf.n_iter_ == 3
    history.loc[1, "loss"] = 0
    assert clf.history_.loss[1] > 0


def test_verbose_prints_a_line_an_epoch(digits, capsys):
    X, y = digits
    fast(verbose=1, epochs=10).fit(X, y, X_val=X, y_val=y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    value = r"\d\.\d{4}"
    assert re.fullmatch(
        rf"Epoch  1/10  loss {value}  accuracy {value}  "
        rf"val_loss {value}  val_accuracy {value}",
        lines[0],
    )
    assert lines[-1].startswith("Epoch 10/10  loss ")


def test_verbose_counts_iterations_of_lbfgs(digits, capsys):
    clf = fast(optimizer="lbfgs", alpha=1.0, epochs=100, tol=1e-2, verbose=1)
    clf.fit(*digits)
    lines = capsys.readouterr().out.splitlines()
    starts = [line.partition("  loss")[0] for line in lines]
    assert starts == [f"Iteration {i:3}/100" for i in range(1, clf.n_iter_ + 1)]


def test_silence_is_the_default(digits, capfd):
    fast().fit(*digits)
    assert capfd.readouterr() == ("", "")


def test_verbose_counts_on_in_a_warm_start(digits, capsys):
    X, y = digits
    clf = fast(verbose=1, epochs=2, warm_start=True).fit(X, y).fit(X, y)
    clf.partial_fit(X, y)
    starts = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert starts == ["Epoch 1/2", "Epoch 2/2", "Epoch 3/4", "Epoch 4/4", "Epoch 5"]


def test_numpy_numbers_are_parameters_like_any_other(digits, fitted):
    X, y = digits
    clf = fast(
        batch_size=np.int8(100), epochs=np.uint8(3), learning_rate=np.float32(0.5)
    )
    np.testing.assert_array_equal(clf.fit(X, y).coef_, fitted.coef_)


def test_partial_fit_learns_from_a_stream(digits):
    X, y = digits
    clf = fast()
    for start in range(0, 1500, 100):
        rows = slice(start, start + 100)
        clf.partial_fit(X[rows], y[rows], classes=range(10) if start == 0 else None)
    assert clf.score(X[1500:], y[1500:]) > 0.8


def test_fit_starts_anew(digits, fitted):
    X, y = digits
    clf = fast().fit(X[:, :10], y > 4).fit(X, y)
    np.testing.assert_array_equal(clf.coef_, fitted.coef_)


# Bad input: each a clear error, and the previous fit is kept.

X, Y = np.arange(40.0).reshape(20, 2) / 40, np.arange(20) % 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[1.0, np.nan]] * 20, Y), ValueError, "Input X contains NaN"),
        (([[1.0, np.inf]] * 20, Y), ValueError, "Input X contains infinity"),
        ((X + 1j, Y), ValueError, "Complex data not supported"),
        ((X[:0], Y[:0]), ValueError, r"Found array with 0 sample\(s\)"),
        ((X[:, :0], Y), ValueError, r"Found array with 0 feature\(s\)"),
        ((X[0], Y), ValueError, "Expected 2D array, got 1D array"),
        ((X.astype("M8[s]"), Y), ValueError, "X must contain real numbers; got dtype"),
        (
            ([["a", "b"]] * 20, Y),
            ValueError,
            "not compatible with arrays of bytes/strings",
        ),
        ((sparse.csr_array(X * np.nan), Y), ValueError, "Input X contains NaN"),
        ((X, Y[:-1]), ValueError, "y must have a label for each of the 20 rows of X"),
        ((X, None), ValueError, "requires y to be passed, but the target y is None"),
        ((X, X[:, 0] + 0.1), ValueError, "Unknown label type: continuous"),
        ((X, np.where(Y, 1.0, np.nan)), ValueError, "Input y contains NaN"),
        ((X, ["ham"] * 20), ValueError, "y has only one class: 'ham'"),
        (
            (X, np.array(["ham", 1] * 10, object)),
            TypeError,
            "y must contain labels of one type",
        ),
        ((X, Y, np.zeros(20)), ValueError, "sample_weight must not be zero for all"),
        ((X, Y, -np.ones(20)), ValueError, "sample_weight must not be negative"),
        ((X, Y, [np.nan] * 20), ValueError, "sample_weight contains NaN"),
        ((X, Y, [np.inf] * 20), ValueError, "sample_weight contains infinity"),
        (
            (X, Y, np.ones(19)),
            ValueError,
            "sample_weight must have one weight for each",
        ),
        ((X, Y, np.ones((20, 1))), ValueError, r"got an array of shape \(20, 1\)"),
        ((X, Y, ["heavy"] * 20), ValueError, "sample_weight can't be used: .*strings"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_rows_are_refused_and_the_previous_fit_kept(
    method, arguments, error, message
):
    clf = fast(learning_rate=1, epochs=20).fit(X, Y)
    probabilities, state = clf.predict_proba(X), pickle.dumps(clf)
    is_about_labels = "Unknown label" in message or message.startswith("y ")
    is_about_labels &= "for each of" not in message
    if method == "partial_fit" and is_about_labels:
        # Whatever the labels are, they are not the classes known.
        error, message = ValueError, "y has labels that are not among the classes"
    with pytest.raises(error, match=message):
        getattr(clf, method)(*arguments[:2], sample_weight=(*arguments, None)[2])
    assert pickle.dumps(clf) == state
    np.testing.assert_array_equal(clf.predict_proba(X), probabilities)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be a positive integer; got 0"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be a positive integer"),
        (
            {"epochs": 0},
            ValueError,
            "epochs must be a positive integer or 'auto'; got 0",
        ),
        ({"learning_rate": np.nan}, ValueError, "learning_rate must be a positive"),
        ({"learning_rate": "fast"}, ValueError, "got 'fast'"),
        ({"optimizer": "sdg"}, ValueError, "'lbfgs'; got 'sdg'"),
        (
            {"rescale": 0},
            ValueError,
            "rescale must be a positive finite number, an array of",
        ),
        ({"fit_intercept": 1}, TypeError, "fit_intercept must be True or False; got 1"),
        ({"random_state": -1}, ValueError, "random_state must be"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_bad_parameter_is_refused_by_name(method, parameters, error, message):
    clf = fast().fit(X, Y)
    clf.set_params(**parameters)
    state = pickle.dumps(clf)
    with pytest.raises(error, match=re.escape(message)):
        getattr(clf, method)(X, Y)
    assert pickle.dumps(clf) == state


def test_held_out_rows_are_validated_like_training_rows():
    clf = fast()
    with pytest.raises(
        ValueError, match="X_val and y_val must be passed together; got no y_val"
    ):
        clf.fit(X, Y, X_val=X)
    with pytest.raises(
        ValueError, match="X_val and y_val must be passed together; got no X_val"
    ):
        clf.fit(X, Y, y_val=Y)
    with pytest.raises(ValueError, match=r"X has 1 features, but .* expecting 2"):
        clf.fit(X, Y, X_val=X[:, :1], y_val=Y)
    with pytest.raises(ValueError, match=r"y_val has labels .* \[0, 1\]: \[2\]"):
        clf.fit(X, Y, X_val=X, y_val=Y + 1)
    assert not hasattr(clf, "classes_")
    assert not hasattr(clf, "n_features_in_")


def test_partial_fit_needs_to_know_all_classes():
    clf = fast()
    with pytest.raises(ValueError, match="classes must be passed to the first call"):
        clf.partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"not among the classes \[0, 7\]: \[1\]"):
        clf.partial_fit(X, Y, classes=[0, 7])
    with pytest.raises(ValueError, match="classes has only one class: 0"):
        clf.partial_fit(X, Y, classes=[0])
    clf.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"they were \[0, 1, 2\] and are now \[0, 1\]"):
        clf.partial_fit(X, Y, classes=[0, 1])
    assert clf.partial_fit(X, Y).classes_.tolist() == [0, 1, 2]


def test_predicting_validates_its_input(fitted, digits):
    X, _ = digits
    with pytest.raises(ValueError, match=r"X has 63 features, but .* expecting 64"):
        fitted.predict(X[:, :63])
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.predict_proba(X * np.nan)
    with pytest.raises(ValueError, match="not fitted yet"):
        classic().predict(X)
    with pytest.raises(AttributeError, match="not fitted yet"):
        classic().history_  # noqa: B018


def test_what_a_user_does_to_the_loss_curve_changes_no_history():
    clf = classic(epochs=3, random_state=0).fit(X, Y)
    before = clf.history_
    clf.loss_curve_.append(0.0)
    pd.testing.assert_frame_equal(clf.history_, before)
    assert clf.partial_fit(X, Y).history_.loss.tolist() == clf.loss_curve_


def test_without_an_intercept_it_is_a_positive_zero():
    clf = classic(fit_intercept=False, random_state=0).fit(-X, Y)
    assert (clf.coef_[:, 0] < 0).any()
    assert not np.signbit(clf.intercept_).any()


class Narrow(TFSoftmaxClassifier):
    """Takes fewer parameters than its base class has."""

    def __init__(self, random_state=0):
        super().__init__(**fast(random_state=random_state).get_params())


def test_a_subclass_may_take_fewer_parameters(digits, fitted):
    np.testing.assert_array_equal(Narrow().fit(*digits).coef_, fitted.coef_)
    clf = Narrow().partial_fit(*digits, classes=range(10))
    np.testing.assert_array_equal(
        clf.coef_, fast().partial_fit(*digits, classes=range(10)).coef_
    )


def test_epochs_of_a_small_integer_type_add_up():
    X, y = np.eye(4), [0, 1, 0, 1]
    clf = classic(learning_rate=1, epochs=np.int8(100), warm_start=True)
    assert clf.fit(X, y).fit(X, y).fit(X, y).history_.index[-1] == 300
    assert clf.n_iter_ == 100


def test_a_batch_size_too_long_to_write_is_all_rows(digits):
    whole = fast(batch_size=10**5000).fit(*digits)
    np.testing.assert_array_equal(whole.coef_, fast(batch_size=1797).fit(*digits).coef_)
    with pytest.raises(ValueError, match=r"\blearning_rate\b"):
        fast(learning_rate=10**5000).fit(*digits)


def test_weights_beyond_the_largest_float_are_refused():
    X, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 3
    X[np.arange(40), y] += 2
    clf = classic(rescale=1e308, learning_rate=10, epochs=50)
    with pytest.raises(ValueError, match=r"rescale=1e\+308 makes coef_ too large"):
        clf.fit(X * 1e-308, y)
    assert not hasattr(clf, "coef_")


def test_an_optimizer_of_many_names_is_refused_by_partial_fit(digits):
    clf = fast(optimizer=np.array(["sgd", "adam"]))
    with pytest.raises(TypeError, match="optimizer must be one of"):
        clf.partial_fit(*digits, classes=range(10))
