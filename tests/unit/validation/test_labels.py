"""Labels to numbers and weights to weights: classes, soft labels, class weights."""

from __future__ import annotations

import copy
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.utils import compute_class_weight

from tests import reference
from tests.problems import problem
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.datasets import load_mnist
from tfsoftmax.validation.labels import encode, find_classes, hard_labels, is_soft
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem()
ONE_HOT = np.eye(3)[Y]
# Labels that are sure of something, but not of all.
SOFT = 0.6 * ONE_HOT + 0.4 * np.random.default_rng(1).dirichlet(np.ones(3), len(X))


def estimator(**parameters):
    defaults = {
        "batch_size": 50,
        "learning_rate": 0.3,
        "epochs": 3,
        "random_state": 0,
    }
    return TFSoftmaxClassifier(**defaults | parameters)


def assert_same_model(one, other, rtol=1e-12):
    scale = abs(other.coef_).max()
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=0, atol=rtol * scale)
    np.testing.assert_allclose(
        one.intercept_, other.intercept_, rtol=0, atol=rtol * scale
    )
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol)


# Class weights


@pytest.mark.parametrize("class_weight", [{0: 0.5, 1: 2, 2: 7.0}, {2: 3}, {}])
@pytest.mark.parametrize("s", [None, S], ids=["unweighted", "weighted"])
def test_class_weights_multiply_sample_weights(class_weight, s):
    product = (1 if s is None else s) * np.array([class_weight.get(k, 1) for k in Y])
    assert_same_model(
        estimator(class_weight=class_weight).fit(X, Y, s),
        estimator().fit(X, Y, product),
    )


@pytest.mark.parametrize("s", [None, S], ids=["unweighted", "weighted"])
def test_balanced_weights_are_scikit_learns(s):
    given = np.ones(len(X)) if s is None else s
    by_class = compute_class_weight(
        "balanced", classes=np.arange(3), y=Y, sample_weight=given
    )
    balanced = estimator(class_weight="balanced").fit(X, Y, s)
    assert_same_model(balanced, estimator().fit(X, Y, given * by_class[Y]))
    plain = estimator().fit(X, Y, s)
    assert abs(balanced.intercept_ - plain.intercept_).max() > 0.01


def test_balanced_classes_have_the_same_total_weight():
    y = np.repeat([0, 1, 2, 3], [1, 5, 40, 2]).astype(np.int32)
    weights = row_weights(None, 48, class_weight="balanced", y=y, classes=np.arange(4))
    np.testing.assert_allclose(np.bincount(y, weights), 12, rtol=1e-12)


def test_class_weights_go_by_the_label_whatever_its_kind():
    expected = estimator(class_weight={0: 0.5, 2: 3}).fit(X, Y)
    names = np.array(["egg", "ham", "spam"])
    named = estimator(class_weight={"egg": 0.5, "spam": 3}).fit(X, names[Y])
    assert_same_model(named, expected)
    as_object = estimator(class_weight={"egg": 0.5, "spam": 3})
    assert_same_model(as_object.fit(X, names[Y].astype(object)), expected)


def test_soft_labels_have_the_mean_of_their_classes_weights():
    by_class = np.array([0.5, 1, 3])
    weighted = estimator(class_weight=dict(enumerate(by_class))).fit(X, SOFT, S)
    assert_same_model(weighted, estimator().fit(X, SOFT, S * (SOFT @ by_class)))
    counts = S @ SOFT
    balanced = estimator(class_weight="balanced").fit(X, SOFT, S)
    assert_same_model(balanced, estimator().fit(X, SOFT, S * (SOFT @ (1 / counts))))


@pytest.mark.parametrize("class_weight", [{1: 5}, "balanced"])
def test_partial_fit_weighs_classes_too(class_weight):
    clf = estimator(class_weight=class_weight)
    for _ in range(3):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    assert_same_model(clf, estimator(class_weight=class_weight).fit(X, Y))


def test_a_class_missing_from_a_call_does_not_disturb_the_balance():
    some = Y != 1
    clf = estimator(class_weight="balanced", batch_size=1000)
    clf.partial_fit(X[some], Y[some], classes=[0, 1, 2])
    by_hand = estimator(batch_size=1000)
    weights = 1 / np.bincount(Y[some])[Y[some]]
    by_hand.partial_fit(X[some], Y[some], classes=[0, 1, 2], sample_weight=weights)
    assert_same_model(clf, by_hand)


def test_a_class_can_weigh_nothing():
    without = Y != 1
    clf = estimator(class_weight={1: 0}, batch_size=1000).fit(X, Y)
    other = estimator(batch_size=1000).fit(X, Y, without)
    assert_same_model(clf, other)
    assert 1 not in clf.predict(X)


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ("even", ValueError, "class_weight must be a dict of class to weight, 'bal"),
        ([1, 2, 3], TypeError, r"class_weight must be .* got \[1, 2, 3\]"),
        ({0: -1.0}, ValueError, r"finite, non-negative weights; got \{0: -1\.0\}"),
        ({1: np.nan}, ValueError, "class_weight must hold finite"),
        ({1: np.inf}, ValueError, "class_weight must hold finite"),
        ({7: 2.0}, ValueError, r"not among the classes \[0, 1, 2\]: \[7\]"),
        ({"ham": 2.0}, ValueError, "class_weight has labels that are not among"),
        ({0: 0, 1: 0, 2: 0}, ValueError, "class_weight and .* every row with weight 0"),
    ],
)
def test_bad_class_weights_are_refused(class_weight, error, message):
    with pytest.raises(error, match=message):
        estimator(class_weight=class_weight).fit(X, Y)


def test_weights_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="leave every row with weight 0"):
        estimator(class_weight={1: 0}).fit(X, Y, Y == 1)


@settings(max_examples=50, deadline=None)
@given(
    weights=st.lists(
        st.just(0.0) | st.floats(1e-3, 1e3), min_size=1, max_size=20
    ).filter(any),
    factor=st.floats(1e-300, 1e300),
)
def test_weights_have_a_mean_of_one_whatever_their_scale(weights, factor):
    weights = np.array(weights)
    result = row_weights(weights * factor, len(weights))
    np.testing.assert_allclose(result, weights / weights.mean(), rtol=1e-12)


# Soft labels


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, bool])
def test_one_hot_rows_are_hard_labels(n_classes, dtype):
    y = Y % n_classes
    hard = estimator().fit(X, y, S, X_val=X[:50], y_val=y[:50])
    rows = np.eye(n_classes, dtype=dtype)[y]
    soft = estimator().fit(X, rows, S, X_val=X[:50], y_val=rows[:50])
    assert soft.classes_.tolist() == list(range(n_classes))
    assert soft.coef_.shape == hard.coef_.shape
    assert soft.coef_.dtype == np.float64
    assert_same_model(soft, hard)
    columns = ["accuracy", "val_loss", "val_accuracy"]
    np.testing.assert_allclose(soft.history_[columns], hard.history_[columns])
    np.testing.assert_array_equal(soft.predict(X), hard.predict(X))


@pytest.mark.parametrize(
    "wrap", [np.ndarray.tolist, pd.DataFrame, np.asfortranarray, lambda y: y * 1.00005]
)
def test_soft_labels_come_in_any_container(wrap):
    soft = estimator().fit(X, wrap(SOFT))
    assert soft.classes_.tolist() == [0, 1, 2]
    assert_same_model(soft, estimator().fit(X, SOFT))


@pytest.mark.parametrize(
    "columns", [["egg", "ham", "spam"], ["b", "c", "a"], [7, 3, 5]]
)
def test_columns_of_a_frame_are_the_classes_in_their_order(columns):
    clf = estimator().fit(X, pd.DataFrame(ONE_HOT, columns=columns))
    assert clf.classes_.tolist() == columns
    expected = estimator().fit(X, Y)
    assert_same_model(clf, expected)
    names = np.array(columns)
    np.testing.assert_array_equal(clf.predict(X), names[expected.predict(X)])
    score = expected.score(X, Y)
    assert clf.score(X, names[Y]) == score
    assert clf.score(X, ONE_HOT) == score
    assert clf.score(X, pd.DataFrame(ONE_HOT, columns=columns)) == score


def test_columns_of_a_polars_frame_are_the_classes():
    frame = pl.DataFrame(ONE_HOT, schema=["spam", "egg", "ham"])
    clf = estimator().fit(X, frame)
    assert clf.classes_.tolist() == ["spam", "egg", "ham"]
    assert clf.score(X, frame) == estimator().fit(X, Y).score(X, Y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_step_on_soft_labels_is_that_of_the_mathematics(n_classes):
    soft = SOFT[:, :n_classes] / SOFT[:, :n_classes].sum(axis=1, keepdims=True)
    soft[:10] = 1 / n_classes
    first, last = (
        estimator(batch_size=1000, learning_rate=1.0, epochs=epochs).fit(X, soft, S)
        for epochs in (1, 2)
    )
    logits = reference.logits(X, first.coef_, first.intercept_, n_classes)
    p = reference.softmax(logits)
    errors = (S / S.sum())[:, None] * (p - soft)
    if n_classes == 2:
        errors = errors[:, 1:]
    np.testing.assert_allclose(last.coef_, first.coef_ - errors.T @ X, rtol=1e-10)
    np.testing.assert_allclose(
        last.intercept_, first.intercept_ - errors.sum(axis=0), rtol=1e-10
    )
    loss = S @ -(soft * np.log(p)).sum(axis=1) / S.sum()
    assert last.loss_curve_[1] == pytest.approx(loss, rel=1e-12)
    right = soft.argmax(axis=1) == p.argmax(axis=1)
    sure = np.arange(len(X)) >= 10  # of a tie either class is the most probable
    accuracy = last.history_.accuracy[2]
    lowest, highest = S @ (right & sure) / S.sum(), S @ (right | ~sure) / S.sum()
    assert lowest - 1e-12 <= accuracy <= highest + 1e-12


def test_lbfgs_finds_the_optimum_of_soft_labels():
    clf = estimator(optimizer="lbfgs", alpha=0.01, epochs=1000).fit(X, SOFT, S)
    errors = (S / S.sum())[:, None] * (clf.predict_proba(X) - SOFT)
    np.testing.assert_allclose(errors.T @ X, -0.01 * clf.coef_, atol=1e-8)
    np.testing.assert_allclose(errors.sum(axis=0), 0, atol=1e-8)


def test_distillation_brings_back_the_teacher():
    teacher = estimator().fit(X, Y)
    student = TFSoftmaxClassifier(optimizer="lbfgs", epochs=1000)
    student.fit(X, teacher.predict_proba(X))
    np.testing.assert_allclose(
        student.predict_proba(X), teacher.predict_proba(X), atol=1e-6
    )


def test_score_takes_both_forms_and_weights():
    clf = estimator().fit(X, Y)
    expected = np.average(clf.predict(X) == Y, weights=S)
    assert clf.score(X, Y, S) == pytest.approx(expected)
    for soft in (ONE_HOT, SOFT.round(), ONE_HOT * 0.5 + 0.5 / 3, ONE_HOT.tolist()):
        expected = np.average(clf.predict(X) == np.argmax(soft, axis=1), weights=S)
        assert clf.score(X, soft, S) == pytest.approx(expected)


def changed(row, values):
    soft = SOFT.copy()
    soft[row] = values
    return soft


@pytest.mark.parametrize(
    ("soft", "message"),
    [
        (changed(17, [0.5, 0.5, 0.5]), r"sum of 1; row 17 is \[0\.5, 0\.5, 0\.5\]"),
        (changed(2, [0, 0, 0]), r"row 2 is \[0\.0, 0\.0, 0\.0\]"),
        (changed(3, [1.5, -0.5, 0]), r"none negative, .* row 3 is \[1\.5, -0\.5"),
        (changed(4, [0.5, 0.499, 0]), "row 4"),
        (changed(5, np.nan), "{name} contains NaN"),
        (changed(6, [np.inf, 0, 0]), "{name} contains infinity"),
        (ONE_HOT + ONE_HOT[::-1], "must hold the classes' probabilities"),
    ],
)
@pytest.mark.parametrize("name", ["y", "y_val"])
def test_rows_that_are_no_probabilities_are_refused_by_name(name, soft, message):
    arguments = {"y": Y, "X_val": X, "y_val": Y} | {name: soft}
    with pytest.raises(ValueError, match=message.format(name=name)) as refusal:
        estimator().fit(X, **arguments)
    assert re.search(rf"\b{name}\b", str(refusal.value))


def test_soft_labels_must_have_a_column_for_each_class():
    four = np.eye(4)[Y]
    message = "has 4 columns of probabilities, but there are 3 classes"
    with pytest.raises(ValueError, match=f"y_val {message}"):
        estimator().fit(X, Y, X_val=X, y_val=four)
    with pytest.raises(ValueError, match=f"y {message}"):
        estimator().partial_fit(X, four, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="y must have a label for each of the 203"):
        estimator().fit(X, SOFT[:-1])
    with pytest.raises(TypeError, match=r"[Ss]parse data was passed for y"):
        estimator().fit(X, sparse.csr_array(SOFT))


def test_the_classic_scripts_labels_fit_as_they_are():
    data = load_mnist("test", one_hot=True)
    pixels, labels = (data.data, data.target) if hasattr(data, "data") else data
    clf = TFSoftmaxClassifier(rescale=1 / 255, learning_rate=0.1, random_state=0)
    clf.fit(pixels, labels)
    assert clf.classes_.tolist() == list(range(10))
    assert clf.score(pixels, labels) == clf.score(pixels, labels.argmax(axis=1)) > 0.9


# Held-out rows


@pytest.mark.parametrize("y", [Y, ONE_HOT, SOFT], ids=["hard", "one-hot", "soft"])
@pytest.mark.parametrize("y_val", [Y, ONE_HOT, SOFT], ids=["hard", "one-hot", "soft"])
def test_either_form_of_labels_can_be_held_out(y, y_val):
    clf = estimator().fit(X, y, X_val=X[:60], y_val=y_val[:60])
    p = clf.predict_proba(X[:60])
    soft = (np.eye(3)[y_val] if y_val.ndim == 1 else y_val)[:60]
    losses = -(soft * np.log(p)).sum(axis=1)
    assert clf.history_.val_loss[3] == pytest.approx(losses.mean(), rel=1e-12)
    expected = (p.argmax(axis=1) == soft.argmax(axis=1)).mean()
    assert clf.history_.val_accuracy[3] == pytest.approx(expected)


def test_held_out_weights_make_a_weighted_mean():
    X_val, y_val, s = X[:60], Y[:60], S[:60]
    clf = estimator().fit(X, Y, X_val=X_val, y_val=y_val, sample_weight_val=s)
    losses = reference.cross_entropy(X_val, y_val, clf.coef_, clf.intercept_, 3)
    history = clf.history_
    assert history.val_loss[3] == pytest.approx(np.average(losses, weights=s))
    right = clf.predict(X_val) == y_val
    assert history.val_accuracy[3] == pytest.approx(np.average(right, weights=s))
    assert history.val_loss[3] != pytest.approx(losses.mean(), rel=1e-3)
    plain = estimator().fit(X, Y)
    np.testing.assert_array_equal(clf.coef_, plain.coef_)


def test_class_weights_do_not_weigh_held_out_rows():
    clf = estimator(class_weight={0: 9}).fit(X, Y, X_val=X, y_val=Y)
    losses = reference.cross_entropy(X, Y, clf.coef_, clf.intercept_, 3)
    assert clf.history_.val_loss[3] == pytest.approx(losses.mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(60), "sample_weight_val must not be zero for all rows"),
        (-S[:60], "sample_weight_val must not be negative; got -"),
        (S[:59], r"sample_weight_val must have a weight .* 60 rows.* shape \(59,\)"),
        (np.where(S[:60] > 2, np.nan, 1), "sample_weight_val contains NaN"),
        (np.where(S[:60] > 2, np.inf, 1), "sample_weight_val contains infinity"),
    ],
)
def test_bad_held_out_weights_are_refused_by_name(weights, message):
    with pytest.raises(ValueError, match=message):
        estimator().fit(X, Y, X_val=X[:60], y_val=Y[:60], sample_weight_val=weights)


def test_held_out_weights_need_held_out_rows():
    with pytest.raises(ValueError, match="X_val and y_val go together; got no X_val"):
        estimator().fit(X, Y, sample_weight_val=S)


def test_held_out_rows_and_labels_must_be_as_many():
    for y_val in (Y[:59], ONE_HOT[:59]):
        with pytest.raises(
            ValueError, match="y_val must have a label for each of the 60"
        ):
            estimator().fit(X, Y, X_val=X[:60], y_val=y_val)


# Classes and their numbers


@pytest.mark.parametrize(
    "y",
    [
        np.array(["a", 1, "b"], object),
        pd.Series(["a", 1.5, "b"]),
        np.array([b"a", "b", "c"], object),
    ],
)
def test_labels_of_mixed_kinds_are_refused(y):
    with pytest.raises(TypeError, match=r"^y must hold labels of one kind\. "):
        find_classes(y)


def test_labels_of_another_kind_than_the_classes_are_refused():
    clf = estimator().fit(X, Y)
    names = np.array(["a", "b", "c"], object)
    message = r"y_val has labels that are not among the classes \[0, 1, 2\]: \['a'"
    with pytest.raises(ValueError, match=message):
        clf.fit(X, Y, X_val=X[:3], y_val=names)
    for y in (names, names.astype(str)):
        with pytest.raises(ValueError, match=r"y has labels .*: \['a', 'b', 'c'\]"):
            encode(y, np.arange(3))


@settings(max_examples=100, deadline=None)
@given(
    classes=st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True),
    data=st.data(),
)
def test_codes_are_places_among_the_classes_in_any_order(classes, data):
    codes = data.draw(st.lists(st.integers(0, len(classes) - 1), max_size=20))
    for named in (np.array(classes), np.array([f"class {k}" for k in classes])):
        result = encode(named[np.array(codes, dtype=int)], named)
        assert result.dtype == np.int32
        assert result.tolist() == codes


@pytest.mark.parametrize("label", [-1, 3, 8, 100])
def test_labels_below_between_and_above_the_classes_are_refused(label):
    with pytest.raises(ValueError, match=rf"classes \[7, 2, 5\]: \[{label}\]\."):
        encode([5, label, 2, label], np.array([7, 2, 5]))


def test_many_unseen_labels_are_abridged():
    with pytest.raises(ValueError, match=r"\.\.\.") as refusal:
        encode(np.arange(10_000), np.array([0, 1]))
    assert len(str(refusal.value)) < 200


def test_labels_are_soft_from_two_columns_on():
    assert is_soft(ONE_HOT)
    assert is_soft(ONE_HOT.tolist())
    assert is_soft(pd.DataFrame(ONE_HOT))
    for y in (Y, Y[:, None], Y.tolist(), [[1], [2, 3]], pd.Series(Y), None, 5):
        assert not is_soft(y)


def test_hard_labels_are_the_most_probable_classes():
    classes = np.array(["b", "a", "c"])
    np.testing.assert_array_equal(hard_labels(ONE_HOT, classes), classes[Y])
    assert hard_labels(Y, classes) is Y


def test_huge_class_weights_do_not_overflow():
    X, y = np.arange(40.0).reshape(20, 2) / 40, np.arange(20) // 10
    clf = TFSoftmaxClassifier(30, 1.0, random_state=0)
    plain = clf.fit(X, y).coef_
    clf.set_params(class_weight={0: 1e308, 1: 1e308})
    np.testing.assert_allclose(clf.fit(X, y).coef_, plain, rtol=1e-12)


def test_held_out_rows_are_not_weighted_by_class():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = (X[:, 0] > 1).astype(int)
    clf = TFSoftmaxClassifier(
        learning_rate=0.5, class_weight="balanced", early_stopping=True, random_state=0
    ).fit(X, y)
    n_held_out = round(1 / np.diff(np.unique(clf.history_.val_accuracy)).min())
    accuracies = clf.history_.val_accuracy * n_held_out
    np.testing.assert_allclose(accuracies, accuracies.round(), atol=1e-6)


def test_a_number_is_a_weight_for_every_row():
    X, y = np.arange(20.0).reshape(10, 2) / 20, np.arange(10) % 2
    clf = TFSoftmaxClassifier(learning_rate=1, random_state=0)
    plain = clf.fit(X, y).coef_
    np.testing.assert_array_equal(clf.fit(X, y, sample_weight=2.0).coef_, plain)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_held_out_rows_of_another_scale_are_refused(optimizer):
    clf = TFSoftmaxClassifier(optimizer=optimizer, alpha=0.1, epochs=2)
    with pytest.raises(ValueError, match="Scale X_val as X is scaled"):
        clf.fit(X.astype(np.float32), Y, X_val=X * 1e200, y_val=Y)


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
    with pytest.raises(ValueError, match="X has no logits: coef_ or intercept_ of"):
        clf.predict(X)


def test_an_error_of_the_callers_own_kind_stays_what_it_is():
    class NoRowsError(ValueError):
        pass

    class Rows:
        def __array__(self, dtype=None, copy=None):
            raise NoRowsError("none today")

    with pytest.raises(NoRowsError, match=r"^none today$"):
        estimator().fit(Rows(), Y)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_sparse_rows_whose_indices_lie_outside_are_refused(kind):
    rows, clf = kind(X), estimator().fit(X, Y)
    before = rows.copy()
    places = rows.coords[1] if kind is sparse.coo_array else rows.indices
    places[0] = 10**6
    for method in (clf.predict, lambda rows: clf.fit(rows, Y)):
        with pytest.raises(ValueError, match=r"X can.t be used: .*ind(ex|ices)"):
            method(rows)
    places[0] = before.coords[1][0] if kind is sparse.coo_array else before.indices[0]
    assert (rows != before).nnz == 0
    clf.predict(rows)


@pytest.mark.parametrize("value", [-1, X.shape[1], 10**7])
def test_sparse_lists_whose_indices_lie_outside_are_refused(value):
    rows, clf = sparse.lil_array(X), estimator().fit(X, Y)
    rows.rows[0][-1] = value
    for method in (clf.predict, lambda rows: clf.fit(rows, Y)):
        with pytest.raises(ValueError, match=r"X can.t be used: .*ind(ex|ices)"):
            method(rows)


def test_sparse_lists_without_a_value_are_refused():
    rows = sparse.lil_array(X)
    rows.data[3] = rows.data[3][:-1]
    with pytest.raises(ValueError, match="X can't be used: A row has another number"):
        estimator().fit(rows, Y)


def test_masked_values_are_refused_by_name():
    rows, weights = np.ma.masked_greater(X, 1), np.ma.masked_greater(S, 1)
    clf = estimator()
    for masked in [(rows, Y), (X, np.ma.masked_equal(Y, 1)), (X, Y, weights)]:
        with pytest.raises(ValueError, match="must have all its values; some are mas"):
            clf.fit(*masked)
    unmasked = np.ma.masked_array(X), Y, np.ma.masked_array(S)
    assert_same_model(clf.fit(*unmasked), estimator().fit(X, Y, S))


@pytest.mark.parametrize("dtype", ["u8", "i8"])
def test_integers_of_two_kinds_are_the_same_labels(dtype):
    large = Y + 2**53
    clf = estimator().partial_fit(X, large.astype(dtype), classes=np.unique(large))
    assert_same_model(clf, estimator().partial_fit(X, Y, classes=[0, 1, 2]))
    assert clf.score(X, large.astype("u8")) == clf.score(X, large)


def test_a_weight_that_is_a_duration_is_refused():
    with pytest.raises(TypeError, match="class_weight must hold numbers"):
        estimator(class_weight={0: np.timedelta64(3)}).fit(X, Y)


# Class weights, and classes that are known before


def test_class_weights_of_digits_in_strings_are_those_of_the_strings():
    names, weights = np.array(["0", "1", "2"]), {"0": 5.0, "1": 1.0, "2": 0.5}
    clf = estimator(class_weight=weights).fit(X, names[Y])
    expected = estimator().fit(X, Y, sample_weight=np.array([5.0, 1.0, 0.5])[Y])
    assert_same_model(clf, expected)
    with pytest.raises(ValueError, match=r"not among the classes .*: \[0\]"):
        estimator(class_weight={0: 5.0}).fit(X, names[Y])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({0: 1, 9: 5}, r"not among the classes \[0, 1, 2\]: \[9\]"),
        ({0: 10**400}, "class_weight can't be used: int too large"),
        ({0: -1}, "class_weight must hold finite, non-negative weights"),
    ],
)
def test_class_weights_that_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        estimator(class_weight=weights).fit(X, Y)


def test_class_weights_of_absent_classes_do_no_harm():
    weights = {0: 1, 1: 2, 2: 3, 9: 5}
    expected = estimator(class_weight={1: 2, 2: 3}).fit(X, Y)
    assert_same_model(estimator(class_weight=weights).fit(X, Y), expected)


def test_many_classes_are_named_without_a_warning():
    clf = estimator().partial_fit(X, Y, classes=np.arange(26))
    assert len(clf.classes_) == 26


NAMES = ["b", "c", "a"]  # of columns, which stay in their order


def test_a_fit_on_named_columns_goes_on_with_labels_and_other_columns():
    frame = pd.DataFrame(ONE_HOT, columns=NAMES)
    labels = np.array(NAMES)[Y]
    first = estimator().fit(X, frame)
    goes_on = [
        lambda clf: clf.partial_fit(X, labels, classes=clf.classes_),
        lambda clf: clf.partial_fit(X, labels, classes=sorted(NAMES)),
        lambda clf: clf.partial_fit(X, frame[sorted(NAMES)]),
        lambda clf: clf.partial_fit(X, ONE_HOT, classes=clf.classes_),
        lambda clf: clf.set_params(warm_start=True, epochs=1).fit(X, labels),
    ]
    expected = copy.deepcopy(first).partial_fit(X, frame)
    for go_on in goes_on:
        clf = go_on(copy.deepcopy(first))
        assert clf.classes_.tolist() == NAMES
        assert_same_model(clf, expected)


def test_columns_without_names_need_classes_in_their_order():
    clf = estimator()
    with pytest.raises(ValueError, match="classes must be in the order of predict"):
        clf.partial_fit(X, ONE_HOT, classes=NAMES)
    clf.partial_fit(X, ONE_HOT, classes=sorted(NAMES))
    assert_same_model(clf, estimator().partial_fit(X, Y, classes=[0, 1, 2]))
    with pytest.raises(ValueError, match="y has other classes than the fit that"):
        clf.set_params(warm_start=True).fit(X, ONE_HOT)
    with pytest.raises(ValueError, match="classes has other classes than the fit"):
        clf.partial_fit(X, np.array(NAMES)[Y], classes=["a", "b", "d"])


@pytest.mark.parametrize(
    "columns",
    [[0, 1, "a"], pd.MultiIndex.from_product([["a"], [0, 1, 2]]), [0, 1, np.nan]],
)
def test_columns_of_several_kinds_are_refused(columns):
    frame = pd.DataFrame(ONE_HOT)
    frame.columns = columns
    with pytest.raises(TypeError, match="y must have columns named by labels of one"):
        estimator().fit(X, frame)


@pytest.mark.parametrize(
    "names", [[0.5, 1.5, 2.5], [0, 1, np.inf], [1j, 2j, 3j], [b"a", b"b", b"c"]]
)
def test_columns_whose_names_are_no_labels_are_refused(names):
    with pytest.raises((TypeError, ValueError), match=r"\by\b") as of_columns:
        estimator().fit(X, pd.DataFrame(SOFT, columns=names))
    with pytest.raises(type(of_columns.value)):
        estimator().fit(X, np.array(names)[Y])
