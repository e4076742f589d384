"""The way into a fit and out of it: what is validated, drawn, stored and warned of."""

from __future__ import annotations

import pickle
import re
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

from tests.problems import StopAfter, estimator, problem, settings_of
from tfsoftmax.callbacks import EpochLogger
from tfsoftmax.fitting import classes_to_expect, prepare, spawn_rng
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.settings import Settings
from tfsoftmax.storing import store, warn_of_interruption

X, Y, S = problem()


def solved(problem):
    """The first model's outcome."""
    solver = SOLVERS[problem.settings[0].optimizer]
    return solver.solve(problem, [StopAfter()] * len(problem.settings))[0]


def same_state(rng, seed):
    return pickle.dumps(rng) == pickle.dumps(np.random.RandomState(seed))


# Settings


def test_settings_are_plain_python_whatever_the_parameters_are():
    settings = settings_of(
        estimator(
            batch_size=np.uint8(7),
            learning_rate=np.float32(0.5),
            epochs=np.int8(9),
            optimizer=np.str_("momentum"),
            momentum=np.float16(0.5),
            learning_rate_schedule=np.str_("cosine"),
            power_t=1,
            alpha=np.int64(2),
            l1_ratio=True,
            fit_intercept=np.bool_(False),
            rescale=np.float32(0.25),
            shuffle=np.bool_(False),
            early_stopping=np.bool_(True),
            scoring=np.str_("accuracy"),
            tol=np.float32(0.125),
            n_iter_no_change=np.int16(3),
        )
    )
    expected = Settings(
        batch_size=7,
        learning_rate=0.5,
        epochs=9,
        optimizer="momentum",
        momentum=0.5,
        learning_rate_schedule="cosine",
        power_t=1.0,
        alpha=2.0,
        l1_ratio=1.0,
        fit_intercept=False,
        rescale=0.25,
        shuffle=False,
        early_stopping=True,
        scoring="accuracy",
        tol=0.125,
        n_iter_no_change=3,
    )
    assert settings == expected
    for field in fields(Settings):
        plain = type(getattr(expected, field.name))
        assert type(getattr(settings, field.name)) is plain, field.name


def test_without_rescale_the_factor_is_one_and_tol_may_be_none():
    settings = settings_of(estimator(rescale=None, tol=None))
    assert settings.rescale == 1.0
    assert settings.tol is None


# The generator


@pytest.mark.parametrize("random_state", [5, np.int64(5), np.uint8(5)])
def test_an_int_is_the_seed_of_the_generator(random_state):
    assert same_state(spawn_rng(random_state), 5)


def test_a_generator_draws_the_seed_of_another():
    random_state = np.random.RandomState(5)
    first, second = spawn_rng(random_state), spawn_rng(random_state)
    assert pickle.dumps(first) != pickle.dumps(second)
    again = np.random.RandomState(5)
    assert pickle.dumps(spawn_rng(again)) == pickle.dumps(first)
    assert pickle.dumps(spawn_rng(again)) == pickle.dumps(second)
    before = pickle.dumps(random_state)
    first.permutation(10)
    assert pickle.dumps(random_state) == before


def test_none_draws_the_seed_from_numpys_global_generator():
    np.random.seed(5)
    spawned = spawn_rng(None)
    after = np.random.rand()
    generator = np.random.RandomState(5)
    assert pickle.dumps(spawned) == pickle.dumps(spawn_rng(generator))
    assert after == generator.rand()


def test_a_random_state_instance_gives_a_new_seed_to_each_fit(digits):
    X, y = digits

    def two_fits():
        clf = estimator(random_state=np.random.RandomState(3))
        return clf.fit(X, y).coef_, clf.fit(X, y).coef_

    first, second = two_fits()
    assert (first != second).any()
    np.testing.assert_array_equal(two_fits(), (first, second))


def test_numpys_global_generator_gives_the_seed_and_is_not_taken_back(digits):
    X, y = digits
    clf = estimator(epochs=1, random_state=None)
    np.random.seed(5)
    coef = clf.fit(X, y).coef_
    after = np.random.rand()
    np.random.seed(5)
    np.testing.assert_array_equal(clf.fit(X, y).coef_, coef)
    assert np.random.rand() == after
    np.random.seed(5)
    with pytest.raises(ValueError, match="non-finite"):
        clf.fit(X * 1e300, y)
    assert np.random.rand() == after


# The problem of one estimator


def test_a_problem_has_the_rows_and_their_codes_and_the_estimators_settings():
    clf = estimator(random_state=5)
    names = np.array(["a", "b", "c"])
    table = pd.DataFrame(X, columns=list("uvwxy"))
    prepared = prepare([clf], table, names[Y])
    np.testing.assert_array_equal(prepared.dataset.X, X)
    np.testing.assert_array_equal(prepared.dataset.y, Y)
    assert prepared.dataset.weights is None
    assert prepared.held_out is prepared.previous is prepared.n_epochs is None
    assert prepared.classes.tolist() == ["a", "b", "c"]
    assert prepared.settings == (settings_of(clf),)
    assert same_state(prepared.rng, 5)
    attributes = {name: list(np.ravel(v)) for name, v in prepared.attributes.items()}
    assert attributes == {
        "n_features_in_": [5],
        "feature_names_in_": list("uvwxy"),
        "classes_": ["a", "b", "c"],
    }


def test_weights_are_those_of_the_rows_times_those_of_the_classes():
    prepared = prepare([estimator(class_weight={0: 3.0})], X, Y, S)
    expected = S * np.where(Y == 0, 3.0, 1.0)
    weights = prepared.dataset.weights
    np.testing.assert_allclose(weights, expected / expected.mean(), rtol=1e-12)


def test_held_out_rows_are_weighted_without_the_class_weights():
    clf = estimator(class_weight={0: 3.0})
    prepared = prepare(
        [clf], X, Y, X_val=X[:50], y_val=Y[:50], sample_weight_val=S[:50]
    )
    np.testing.assert_array_equal(prepared.held_out.X, X[:50])
    np.testing.assert_array_equal(prepared.held_out.y, Y[:50])
    expected = S[:50] / S[:50].mean()
    np.testing.assert_allclose(prepared.held_out.weights, expected, rtol=1e-12)


def test_a_full_batch_solver_needs_no_generator():
    random_state = np.random.RandomState(5)
    clf = estimator(optimizer="lbfgs", random_state=random_state)
    assert prepare([clf], X, Y).rng is None
    assert same_state(random_state, 5)


@pytest.mark.parametrize(
    ("dtype", "largest", "optimizer", "copied"),
    [
        ("u1", 9, "sgd", "u1"),
        ("?", 1, "sgd", "?"),
        ("i2", 9, "sgd", "i2"),
        ("i4", 9, "sgd", "i4"),
        ("i8", 2**24, "sgd", "f4"),
        ("i8", 2**24 + 1, "sgd", "i8"),
        ("i8", 9, "lbfgs", "i8"),
        ("f2", 9, "sgd", "f2"),
        ("f8", 9, "sgd", "f8"),
        ("g", 9, "sgd", "g"),
    ],
)
def test_rows_that_lie_by_columns_are_copied_exactly_and_small(
    dtype, largest, optimizer, copied
):
    rows = np.asfortranarray(np.minimum(abs(X) * largest, largest).astype(dtype))
    clf = estimator(optimizer=optimizer)
    prepared = prepare([clf], rows, Y, X_val=rows[:60], y_val=Y[:60])
    for dataset, values in [(prepared.dataset, rows), (prepared.held_out, rows[:60])]:
        assert dataset.X.flags.c_contiguous
        assert dataset.X.dtype == copied
        np.testing.assert_array_equal(dataset.X, values)


# The problem of several estimators


def test_several_estimators_share_rows_and_weights():
    group = [estimator(alpha=alpha) for alpha in (0.0, 0.1, 0.2)]
    prepared = prepare(group, X, Y, S)
    assert prepared.settings == tuple(settings_of(clf) for clf in group)
    np.testing.assert_allclose(prepared.dataset.weights, S / S.mean(), rtol=1e-12)
    assert [hasattr(clf, "n_features_in_") for clf in group] == [True, False, False]


def test_without_weights_several_estimators_have_none():
    assert prepare([estimator(), estimator()], X, Y).dataset.weights is None


@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_give_each_estimator_the_weights_it_has_alone(weighted):
    s = S if weighted else None
    group = [estimator(class_weight=w) for w in (None, {0: 3.0}, "balanced")]
    alone = [prepare([clf], X, Y, s).dataset.weights for clf in group]
    expected = [np.ones(len(X)) if weights is None else weights for weights in alone]
    np.testing.assert_array_equal(prepare(group, X, Y, s).dataset.weights, expected)


# Rows that are held out for early stopping


def rows_of(dataset):
    return dataset.index.tolist()


def test_early_stopping_holds_out_a_fraction_of_each_classs_weight():
    clf = estimator(early_stopping=True, validation_fraction=0.25)
    prepared = prepare([clf], X, Y, S)
    train, held_out = rows_of(prepared.dataset), rows_of(prepared.held_out)
    assert sorted(train + held_out) == list(range(len(X)))
    in_all, in_held_out = np.bincount(Y, S), np.bincount(Y[held_out], S[held_out])
    assert (in_held_out >= 0.25 * in_all).all()
    assert (in_held_out < 0.25 * in_all + S.max()).all()
    for dataset in (prepared.dataset, prepared.held_out):
        expected = S[dataset.index] / S[dataset.index].mean()
        np.testing.assert_allclose(dataset.weights, expected, rtol=1e-12)


def test_class_weights_are_for_the_rows_that_are_trained_on():
    group = [estimator(early_stopping=True, class_weight=w) for w in (None, {0: 3.0})]
    prepared = prepare(group, X, Y)
    assert prepared.held_out.weights is None
    y = prepared.dataset.y
    expected = np.array([np.ones(len(y)), np.where(y == 0, 3.0, 1.0)])
    expected /= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(prepared.dataset.weights, expected, rtol=1e-12)


def test_rows_of_x_val_take_the_place_of_a_fraction():
    clf = estimator(early_stopping=True, random_state=5)
    prepared = prepare([clf], X, Y, X_val=X[:50], y_val=Y[:50])
    assert len(prepared.dataset) == len(X)
    assert len(prepared.held_out) == 50
    assert same_state(prepared.rng, 5)


def test_a_resumed_fit_holds_out_the_same_rows_and_leaves_the_generator_alone():
    clf = estimator(early_stopping=True, random_state=5)
    first = prepare([clf], X, Y)
    store(clf, first, solved(first), EpochLogger(clf, 3))
    previous = clf._result
    state = pickle.dumps(previous.rng)
    resumed = prepare([clf], X, Y, previous=previous)
    assert resumed.previous is previous
    assert rows_of(resumed.held_out) == rows_of(first.held_out)
    assert resumed.attributes["_hold_out_seed"] == clf._hold_out_seed
    assert pickle.dumps(previous.rng) == pickle.dumps(resumed.rng) == state


def test_a_resumed_fit_that_starts_to_hold_rows_out_draws_from_a_copy():
    clf = estimator(random_state=5).fit(X, Y)
    state = pickle.dumps(clf._result.rng)
    clf.set_params(early_stopping=True)
    resumed = prepare([clf], X, Y, previous=clf._result)
    assert len(resumed.held_out) > 0
    assert pickle.dumps(clf._result.rng) == state
    expected = pickle.loads(state)
    assert resumed.attributes["_hold_out_seed"] == expected.randint(2**31)
    assert pickle.dumps(resumed.rng) == pickle.dumps(expected)


# Classes


def test_classes_keep_the_order_of_the_previous_fit():
    soft = pd.DataFrame(np.eye(3)[Y], columns=["c", "a", "b"])
    clf = estimator().fit(X, soft)
    assert clf.classes_.tolist() == ["c", "a", "b"]
    resumed = prepare([clf], X, np.array(["c", "a", "b"])[Y], previous=clf._result)
    assert resumed.classes.tolist() == ["c", "a", "b"]
    np.testing.assert_array_equal(resumed.dataset.y, Y)


@pytest.mark.parametrize(("name", "classes"), [("y", None), ("classes", [0, 2])])
def test_other_classes_than_those_of_the_previous_fit_are_an_error(name, classes):
    clf = estimator().fit(X, Y)
    message = f"{name} can't change .* were [0, 1, 2] and are now [0, 2]"
    with pytest.raises(ValueError, match=re.escape(message).replace(r"\.\*", ".*")):
        prepare(
            [clf],
            X,
            np.where(Y == 1, 2, Y),
            classes=classes and np.array(classes),
            previous=clf._result,
        )


def test_partial_fit_expects_the_classes_passed_or_known_or_those_of_soft_labels():
    clf = estimator()
    assert classes_to_expect(clf, [2, 0, 1], Y, None).tolist() == [0, 1, 2]
    assert classes_to_expect(clf, None, np.eye(3)[Y], None).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="classes must be passed to the first call"):
        classes_to_expect(clf, None, Y, None)
    clf.fit(X, Y)
    assert classes_to_expect(clf, None, Y, clf._result) is clf.classes_
    assert classes_to_expect(clf, [2, 1, 0], Y, clf._result).tolist() == [0, 1, 2]


# What is stored


def test_an_error_is_raised_and_nothing_stored():
    clf = estimator()
    prepared = prepare([clf], X, Y)
    state = set(vars(clf))
    with pytest.raises(ValueError, match="what ended it"):
        store(clf, prepared, ValueError("what ended it"), EpochLogger(clf, 3))
    assert set(vars(clf)) == state


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_fitted_attributes_are_in_the_units_of_x(n_classes):
    clf = estimator(rescale=0.25)
    prepared = prepare([clf], X, np.minimum(Y, n_classes - 1))
    result = solved(prepared)
    store(clf, prepared, result, EpochLogger(clf, 3))
    assert clf._result is result
    np.testing.assert_array_equal(clf.coef_, result.V[0, :, :-1] * 0.25)
    np.testing.assert_array_equal(clf.intercept_, result.V[0, :, -1])
    assert clf.classes_.tolist() == list(range(n_classes))
    assert clf.n_features_in_ == 5
    assert clf.n_iter_ == 3
    assert clf.loss_curve_ == result.history["loss"]
    assert clf.loss_curve_ is not result.history["loss"]


def test_an_estimator_that_did_not_validate_gets_the_attributes_too():
    first, second = estimator(), estimator(alpha=0.1)
    prepared = prepare([first, second], pd.DataFrame(X, columns=list("uvwxy")), Y)
    outcomes = SOLVERS["sgd"].solve(prepared, [StopAfter()] * 2)
    store(second, prepared, outcomes[1], EpochLogger(second, 3))
    assert second.n_features_in_ == 5
    assert second.feature_names_in_.tolist() == list("uvwxy")
    assert second._result is outcomes[1]


# What is warned of


def test_an_interruption_says_which_epochs_are_kept():
    prepared = prepare([estimator()], X, Y)
    with pytest.warns(UserWarning, match=r"in epoch 4; .* after epoch 3 are kept\."):
        warn_of_interruption(solved(prepared))


def test_an_interrupted_training_is_stored_and_warned_of():
    clf = estimator()
    prepared = prepare([clf], X, Y)
    result = replace(solved(prepared), ended="interrupted")
    with pytest.warns(UserWarning, match="interrupted in epoch 4"):
        store(clf, prepared, result, EpochLogger(clf, 3))
    assert clf._result is result


def test_an_interruption_of_the_last_callback_keeps_the_fit(monkeypatch):
    def interrupted(self, result):
        raise KeyboardInterrupt

    monkeypatch.setattr(EpochLogger, "on_fit_end", interrupted)
    with pytest.warns(UserWarning, match="interrupted in epoch 4; .* after epoch 3"):
        clf = estimator().fit(X, Y)
    assert clf.n_iter_ == 3
    assert clf._result.ended == "interrupted"


def test_a_fit_no_better_than_a_constant_prediction_warns():
    with pytest.warns(ConvergenceWarning, match="=10 is too large for features"):
        estimator(learning_rate=10.0).fit(X * 255, np.roll(Y, 7))
    with pytest.warns(ConvergenceWarning, match="=1e-12 is too small for features"):
        estimator(learning_rate=1e-12).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="alpha or tol is too large"):
        estimator(optimizer="lbfgs", alpha=1e9, fit_intercept=False).fit(X, Y)


def test_one_full_batch_step_does_not_warn():
    estimator(batch_size=len(X), epochs=1).fit(X, Y)


def test_a_single_epoch_of_partial_fit_does_not_warn():
    clf = estimator(learning_rate=1e-12)
    clf.partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tol": 1e-9}, r"not converged to tol=1e-09 in 3 epochs\. Raise epochs"),
        ({"optimizer": "lbfgs"}, "not converged to the optimum in 3 iterations"),
        ({"optimizer": "lbfgs", "tol": 1e-9}, "converged to tol=1e-09 in 3 iterations"),
    ],
)
def test_a_goal_that_was_not_reached_warns(parameters, message):
    with pytest.warns(ConvergenceWarning, match=message):
        estimator(**parameters).fit(X, Y)


def test_without_a_goal_nothing_warns():
    estimator().fit(X, Y)
    estimator(early_stopping=True).fit(X, Y)
    estimator(tol=10.0, n_iter_no_change=1).fit(X, Y)
