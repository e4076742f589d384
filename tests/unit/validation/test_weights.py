"""Sample weights times class weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import compute_class_weight

from tests import reference
from tests.assertions import assert_same_model
from tests.problems import estimator, problem
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem()
# Labels that are sure of something, but not of all.
SOFT = 0.6 * np.eye(3)[Y] + 0.4 * np.random.default_rng(1).dirichlet(np.ones(3), len(X))


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


def test_class_weights_of_digits_in_strings_are_those_of_the_strings():
    names, weights = np.array(["0", "1", "2"]), {"0": 5.0, "1": 1.0, "2": 0.5}
    clf = estimator(class_weight=weights).fit(X, names[Y])
    expected = estimator().fit(X, Y, sample_weight=np.array([5.0, 1.0, 0.5])[Y])
    assert_same_model(clf, expected)
    with pytest.raises(ValueError, match=r"not among the classes .*: \[0\]"):
        estimator(class_weight={0: 5.0}).fit(X, names[Y])


def test_soft_labels_have_the_mean_of_their_classes_weights():
    by_class = np.array([0.5, 1, 3])
    weighted = estimator(class_weight=dict(enumerate(by_class))).fit(X, SOFT, S)
    assert_same_model(weighted, estimator().fit(X, SOFT, S * (SOFT @ by_class)))
    counts = S @ SOFT
    balanced = estimator(class_weight="balanced").fit(X, SOFT, S)
    assert_same_model(balanced, estimator().fit(X, SOFT, S * (SOFT @ (1 / counts))))


def test_partial_fit_weighs_classes_too():
    clf = estimator(class_weight={1: 5})
    for _ in range(3):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    assert_same_model(clf, estimator(class_weight={1: 5}).fit(X, Y))


def test_a_class_can_weigh_nothing():
    without = Y != 1
    clf = estimator(class_weight={1: 0}, batch_size=1000).fit(X, Y)
    other = estimator(batch_size=1000).fit(X, Y, without)
    assert_same_model(clf, other)
    assert 1 not in clf.predict(X)


def test_class_weights_of_absent_classes_do_no_harm():
    weights = {0: 1, 1: 2, 2: 3, 9: 5}
    expected = estimator(class_weight={1: 2, 2: 3}).fit(X, Y)
    assert_same_model(estimator(class_weight=weights).fit(X, Y), expected)


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ("even", ValueError, "class_weight must be a dict of class weights, 'bal"),
        ([1, 2, 3], TypeError, r"class_weight must be .* got \[1, 2, 3\]"),
        ({0: -1.0}, ValueError, r"finite, non-negative weights; got \{0: -1\.0\}"),
        ({1: np.nan}, ValueError, "class_weight must contain finite"),
        ({1: np.inf}, ValueError, "class_weight must contain finite"),
        ({7: 2.0}, ValueError, r"not among the classes \[0, 1, 2\]: \[7\]"),
        ({"ham": 2.0}, ValueError, "class_weight has labels that are not among"),
        ({0: np.timedelta64(3)}, TypeError, "class_weight must contain numbers"),
        ({0: 10**400}, ValueError, "class_weight can't be used: int too large"),
        ({0: 1, 9: 5}, ValueError, r"not among the classes \[0, 1, 2\]: \[9\]"),
        ({0: 0, 1: 0, 2: 0}, ValueError, "class_weight and .* all rows a weight of 0"),
    ],
)
def test_bad_class_weights_are_refused(class_weight, error, message):
    with pytest.raises(error, match=message):
        estimator(class_weight=class_weight).fit(X, Y)


def test_weights_that_exclude_each_other_are_refused():
    with pytest.raises(ValueError, match="must not give all rows a weight of 0"):
        estimator(class_weight={1: 0}).fit(X, Y, Y == 1)


@pytest.mark.parametrize("y", [Y, SOFT], ids=["hard", "soft"])
def test_sample_weights_too_small_to_balance_are_refused(y):
    weights = np.where(Y == 0, 1e-310, 1.0)
    with pytest.raises(ValueError, match="'balanced' overflows: sample_weight is too"):
        estimator(class_weight="balanced").fit(
            X, np.eye(3)[Y] if y is SOFT else y, weights
        )


# Their scale


@settings(max_examples=50)
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


def test_huge_class_weights_do_not_overflow():
    huge = estimator(class_weight=dict.fromkeys(range(3), 1e308))
    assert_same_model(huge.fit(X, Y), estimator().fit(X, Y))


# Weights of held-out rows


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


def test_held_out_weights_need_held_out_rows():
    with pytest.raises(
        ValueError, match="X_val and y_val must be passed together; got no X_val"
    ):
        estimator().fit(X, Y, sample_weight_val=S)
