"""Labels to numbers: classes, soft labels, and names of columns."""

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

from tests import reference
from tests.assertions import assert_same_model
from tests.problems import classic, estimator, mostly_slow, problem
from tfsoftmax.datasets import load_mnist
from tfsoftmax.validation.labels import (
    check_classes,
    encode,
    find_classes,
    hard_labels,
    is_soft,
)

X, Y, S = problem()
ONE_HOT = np.eye(3)[Y]
# Labels that are sure of something, but not of all.
SOFT = 0.6 * ONE_HOT + 0.4 * np.random.default_rng(1).dirichlet(np.ones(3), len(X))
NAMES = ["b", "c", "a"]  # of columns, which stay in their order


# Soft labels


def test_labels_are_soft_from_two_columns_on():
    assert is_soft(ONE_HOT)
    assert is_soft(ONE_HOT.tolist())
    assert is_soft(pd.DataFrame(ONE_HOT))
    for y in (Y, Y[:, None], Y.tolist(), [[1], [2, 3]], pd.Series(Y), None, 5):
        assert not is_soft(y)


@pytest.mark.parametrize("n_classes", mostly_slow([3], (2,)))
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


@pytest.mark.parametrize("n_classes", mostly_slow([2], (3,)))
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


def test_distillation_recovers_the_teacher():
    teacher = estimator().fit(X, Y)
    student = classic(optimizer="lbfgs", epochs=1000)
    student.fit(X, teacher.predict_proba(X))
    np.testing.assert_allclose(
        student.predict_proba(X), teacher.predict_proba(X), atol=1e-6
    )


def changed(row, values):
    soft = SOFT.copy()
    soft[row] = values
    return soft


@pytest.mark.parametrize(
    ("soft", "message"),
    [
        (
            changed(17, [0.5, 0.5, 0.5]),
            r"sum of 1 in each row; row 17 is \[0\.5, 0\.5, 0\.5\]",
        ),
        (changed(2, [0, 0, 0]), r"row 2 is \[0\.0, 0\.0, 0\.0\]"),
        (changed(3, [1.5, -0.5, 0]), r"non-negative .* row 3 is \[1\.5, -0\.5"),
        (changed(4, [0.5, 0.499, 0]), "row 4"),
        (changed(5, np.nan), "{name} contains NaN"),
        (changed(6, [np.inf, 0, 0]), "{name} contains infinity"),
        (ONE_HOT + ONE_HOT[::-1], "must contain class probabilities"),
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
    clf = classic(rescale=1 / 255, learning_rate=0.1, random_state=0)
    clf.fit(pixels, labels)
    assert clf.classes_.tolist() == list(range(10))
    assert clf.score(pixels, labels) == clf.score(pixels, labels.argmax(axis=1)) > 0.9


def test_hard_labels_are_the_most_probable_classes():
    classes = np.array(["b", "a", "c"])
    np.testing.assert_array_equal(hard_labels(ONE_HOT, classes), classes[Y])
    assert hard_labels(Y, classes) is Y


# Labels of held-out rows


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
    with pytest.raises(TypeError, match=r"^y must contain labels of one type\. "):
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


@pytest.mark.parametrize("label", [1e300, 2.0**63])
def test_labels_too_large_for_integers_are_refused_without_a_warning(label):
    with pytest.raises(ValueError, match=r"^y must contain classes; got"):
        find_classes(Y * label)
    with pytest.raises(ValueError, match=r"^classes can't be used: Unknown label type"):
        check_classes([0, label], Y)


@settings(max_examples=100)
@given(
    classes=st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True),
    data=st.data(),
)
def test_codes_are_positions_among_the_classes_in_any_order(classes, data):
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


@pytest.mark.parametrize("dtype", ["u8", "i8"])
def test_integers_of_two_kinds_are_the_same_labels(dtype):
    large = Y + 2**53
    clf = estimator().partial_fit(X, large.astype(dtype), classes=np.unique(large))
    assert_same_model(clf, estimator().partial_fit(X, Y, classes=[0, 1, 2]))
    assert clf.score(X, large.astype("u8")) == clf.score(X, large)


# Classes that are passed, or known from a previous fit


def test_many_classes_are_named_without_a_warning():
    clf = estimator().partial_fit(X, Y, classes=np.arange(26))
    assert len(clf.classes_) == 26


# That so many labels look like a regression's, and that an epoch taught little.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_three_thousand_classes_are_learnt():
    X, y = np.random.default_rng(0).normal(size=(3_000, 2)), np.arange(3_000) * 7
    clf = estimator(batch_size=1_000, epochs=1).fit(X, y)
    assert clf.classes_.tolist() == y.tolist()
    assert_same_model(estimator(batch_size=1_000).partial_fit(X, y, y), clf)
    with pytest.raises(
        ValueError, match=r"not among the classes .*\.\.\..*: \[20993\]"
    ):
        estimator().partial_fit(X, y, y[:-1])


def test_a_fit_on_named_columns_resumes_with_labels_and_other_columns():
    frame = pd.DataFrame(ONE_HOT, columns=NAMES)
    labels = np.array(NAMES)[Y]
    first = estimator().fit(X, frame)
    ways = [
        lambda clf: clf.partial_fit(X, labels, classes=clf.classes_),
        lambda clf: clf.partial_fit(X, labels, classes=sorted(NAMES)),
        lambda clf: clf.partial_fit(X, frame[sorted(NAMES)]),
        lambda clf: clf.partial_fit(X, ONE_HOT, classes=clf.classes_),
        lambda clf: clf.set_params(warm_start=True, epochs=1).fit(X, labels),
    ]
    expected = copy.deepcopy(first).partial_fit(X, frame)
    for resume in ways:
        clf = resume(copy.deepcopy(first))
        assert clf.classes_.tolist() == NAMES
        assert_same_model(clf, expected)


def test_columns_without_names_need_classes_in_their_order():
    clf = estimator()
    with pytest.raises(ValueError, match="classes must be in the order of predict"):
        clf.partial_fit(X, ONE_HOT, classes=NAMES)
    clf.partial_fit(X, ONE_HOT, classes=sorted(NAMES))
    assert_same_model(clf, estimator().partial_fit(X, Y, classes=[0, 1, 2]))
    with pytest.raises(ValueError, match="The classes in y can't change when"):
        clf.set_params(warm_start=True).fit(X, ONE_HOT)
    with pytest.raises(ValueError, match="classes can't change when"):
        clf.partial_fit(X, np.array(NAMES)[Y], classes=["a", "b", "d"])


@pytest.mark.parametrize(
    "columns",
    [[0, 1, "a"], pd.MultiIndex.from_product([["a"], [0, 1, 2]]), [0, 1, np.nan]],
)
def test_columns_of_several_kinds_are_refused(columns):
    frame = pd.DataFrame(ONE_HOT)
    frame.columns = columns
    with pytest.raises(TypeError, match="y must have column names that are labels of"):
        estimator().fit(X, frame)


@pytest.mark.parametrize(
    "names", [[0.5, 1.5, 2.5], [0, 1, np.inf], [1j, 2j, 3j], [b"a", b"b", b"c"]]
)
def test_columns_whose_names_are_no_labels_are_refused(names):
    with pytest.raises((TypeError, ValueError), match=r"\by\b") as of_columns:
        estimator().fit(X, pd.DataFrame(SOFT, columns=names))
    with pytest.raises(type(of_columns.value)):
        estimator().fit(X, np.array(names)[Y])
