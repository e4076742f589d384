"""The rate of each epoch, and stopping, against scikit-learn's MLPClassifier."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from tests.problems import classic, mostly_slow, problem, settings_of
from tfsoftmax.solvers.schedules import SCHEDULES, Progress

X, Y, _ = problem(250)
HELD_OUT = {"X_val": X[200:], "y_val": Y[200:]}
X, Y = X[:200], Y[:200]


def settings(**changes):
    """The settings of an estimator with these parameters."""
    return settings_of(classic(**changes))


def rates_of(**changes):
    clf = classic(50, 0.1, random_state=0, **changes).fit(X, Y)
    return clf.history_.learning_rate.to_numpy()


def mlp_run(scores, settings):
    """Rates and number of epochs of an MLPClassifier whose epochs end so."""
    early, schedule = settings.early_stopping, settings.learning_rate_schedule
    mlp = MLPClassifier(
        tol=1e-4 if settings.tol is None else settings.tol, early_stopping=early
    )
    optimizer = SGDOptimizer([], settings.learning_rate, schedule)
    mlp._no_improvement_count, mlp.loss_curve_ = 0, []
    mlp.best_loss_, mlp.best_validation_score_ = math.inf, -math.inf
    mlp.validation_scores_, mlp.coefs_, mlp.intercepts_ = [], [], []
    rates = []
    for score in scores:
        rates.append(optimizer.learning_rate)
        mlp.loss_curve_.append(score)
        mlp._score = lambda *_, score=score, **__: -score  # the held-out accuracy
        mlp._update_no_improvement_count(early, None, None, None)
        if mlp._no_improvement_count > settings.n_iter_no_change:
            if optimizer.trigger_stopping("", False):
                break
            mlp._no_improvement_count = 0
    return rates


def progress_run(scores, settings):
    progress, rates = Progress(), []
    for score in scores:
        rates.append(
            SCHEDULES[settings.learning_rate_schedule].rate(settings, progress)
        )
        progress = progress.after_epoch(10, score, settings)
        if progress.has_stalled(settings):
            break
    return rates


def test_a_constant_rate_stays():
    np.testing.assert_array_equal(rates_of(), 0.1)


def test_cosine_is_half_a_cosine_of_length_epochs():
    rates = rates_of(epochs=8, learning_rate_schedule="cosine")
    expected = 0.1 * np.cos(np.arange(8) * np.pi / 16) ** 2
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_cosine_keeps_its_last_rate_past_its_length():
    clf = classic(epochs=4, learning_rate_schedule="cosine")
    for _ in range(7):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    rates = clf.history_.learning_rate.tolist()
    assert rates[:4] == clf.fit(X, Y).history_.learning_rate.tolist()
    assert rates[4:] == [rates[3]] * 3
    assert rates[3] > 0


@pytest.mark.parametrize("power_t", [0.0, 0.25, 0.5, 1.0])
def test_invscaling_is_scikit_learns(power_t):
    optimizer = SGDOptimizer([], 0.1, "invscaling", power_t=power_t)
    expected = []
    for epoch in range(1, 11):
        expected.append(optimizer.learning_rate)
        optimizer.iteration_ends(epoch * 200)
    rates = rates_of(learning_rate_schedule="invscaling", power_t=power_t)
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert rates[3] == pytest.approx(0.1 / 601**power_t)


@pytest.mark.parametrize("patience", [1, 3])
def test_adaptive_divides_by_five_where_progress_stalls_and_ends_at_1e_6(patience):
    # No epoch improves by 10, so that each but the first is stale.
    rates = rates_of(
        epochs=200,
        learning_rate_schedule="adaptive",
        tol=10.0,
        n_iter_no_change=patience,
    )
    # 0.1 / 5**8 is the first rate that is at most 1e-6.
    expected = 0.1 / 5.0 ** np.arange(9).repeat(patience + 1)
    np.testing.assert_allclose(rates, [0.1, *expected], rtol=1e-12)


def test_adaptive_keeps_the_rate_while_there_is_progress():
    clf = classic(
        50, 0.1, 300, learning_rate_schedule="adaptive", n_iter_no_change=2
    ).fit(X, Y)
    assert clf.n_iter_ < 300
    expected = mlp_run(clf.loss_curve_, settings(**clf.get_params()))
    np.testing.assert_allclose(clf.history_.learning_rate, expected, rtol=1e-12)
    assert expected[4] == 0.1


@given(
    # Eighths, so that a tol of 1/8 is met exactly, too.
    scores=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    schedule=st.sampled_from(["constant", "adaptive"]),
    early_stopping=st.booleans(),
    tol=st.sampled_from([None, 0.0, 0.125, 0.25]),
    patience=st.integers(1, 4),
)
@example([8, 7, 6, 6, 5, 5, 5, 5, 5, 5], "constant", False, 0.125, 2)
@example([8, 7, 6, 6, 5, 5, 5, 5, 5, 5], "constant", True, 0.125, 2)
@example([3] * 60, "adaptive", False, None, 2)
def test_training_stops_where_mlp_classifier_would(
    scores, schedule, early_stopping, tol, patience
):
    chosen = settings(
        learning_rate_schedule=schedule,
        early_stopping=early_stopping,
        tol=tol,
        n_iter_no_change=patience,
    )
    scores = [score / 8 * (-1 if early_stopping else 1) for score in scores]
    actual = progress_run(scores, chosen)
    if tol is None and not early_stopping and schedule == "constant":
        assert len(actual) == len(scores)  # unlike MLPClassifier, never
    else:
        np.testing.assert_allclose(actual, mlp_run(scores, chosen), rtol=1e-12)


def test_training_stops_after_one_more_stale_epoch_than_n_iter_no_change():
    clf = classic(50, tol=10.0, n_iter_no_change=4, epochs=50).fit(X, Y)
    assert clf.n_iter_ == 1 + 4 + 1


@pytest.mark.parametrize("tol", [1e-2, 1e-3])
def test_a_fit_stops_where_mlp_classifier_would(tol):
    shared = {"epochs": 300, "n_iter_no_change": 3, "random_state": 0}
    whole = classic(50, 0.1, **shared).fit(X, Y)
    assert whole.n_iter_ == 300
    clf = classic(50, 0.1, tol=tol, **shared).fit(X, Y)
    expected = mlp_run(whole.loss_curve_, settings(tol=tol, **shared))
    assert clf.loss_curve_ == whole.loss_curve_[: len(expected)]


def test_tol_that_is_not_met_warns():
    with pytest.warns(
        ConvergenceWarning, match=r"not converged to tol=1e-09 in 12 epochs\. Raise"
    ):
        classic(epochs=12, tol=1e-9).fit(X, Y)


def test_by_default_nothing_stops_early_and_nothing_warns():
    clf = classic(200, 1.0, 300).fit(X, Y, **HELD_OUT)
    assert clf.n_iter_ == 300  # though the loss stood still long before
    assert clf.loss_curve_[100] - clf.loss_curve_[-1] < 1e-5


@pytest.mark.parametrize(
    ("optimizer", "fraction", "scoring"),
    mostly_slow(
        [("adam", False, "loss"), ("adam", True, "accuracy")],
        ("momentum", True, "loss"),
        ("nesterov", False, "accuracy"),
    ),
)
def test_early_stopping_keeps_the_best_epochs_weights(
    digits, optimizer, fraction, scoring
):
    X, y = digits[0][:200], digits[1][:200]
    held_out = {"X_val": digits[0][200:300], "y_val": digits[1][200:300]}
    held_out = {} if fraction else held_out
    shared = {"optimizer": optimizer, "random_state": 0, "early_stopping": True}
    shared |= {"validation_fraction": 0.3, "scoring": scoring}
    clf = classic(20, 0.05, 300, n_iter_no_change=5, **shared)
    clf.fit(X, y, **held_out)
    scores = clf.history_[f"val_{scoring}"] * (-1 if scoring == "accuracy" else 1)
    best = int(scores.idxmin())  # the first of the best
    assert 1 < best < clf.n_iter_ < 300
    assert clf.history_.kept.to_numpy().nonzero()[0].tolist() == [best - 1]
    expected = clf.__class__(**clf.get_params() | {"epochs": best})
    expected.fit(X, y, **held_out)
    assert expected.n_iter_ == best
    np.testing.assert_array_equal(clf.coef_, expected.coef_)
    np.testing.assert_array_equal(clf.intercept_, expected.intercept_)
    # It ends where MLPClassifier would, with its tol of 1e-4.
    would_end = mlp_run(scores.tolist(), settings(**clf.get_params()))
    assert len(would_end) == clf.n_iter_
    if not fraction:
        score = clf.score(held_out["X_val"], held_out["y_val"])
        assert score == pytest.approx(clf.history_.val_accuracy[best], rel=1e-12)
        plain = classic(
            **clf.get_params() | {"epochs": best, "early_stopping": False}
        ).fit(X, y)
        np.testing.assert_array_equal(clf.coef_, plain.coef_)


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_early_stopping_goes_by_the_weighted_score(scoring):
    weights = np.random.default_rng(0).integers(0, 4, 50)
    clf = classic(
        20, 0.05, 60, random_state=0, early_stopping=True, tol=1e-9, scoring=scoring
    ).fit(X, Y, **HELD_OUT, sample_weight_val=weights)
    measured = clf.history_[f"val_{scoring}"]
    if scoring == "accuracy":
        score = clf.score(HELD_OUT["X_val"], HELD_OUT["y_val"], weights)
        assert score == pytest.approx(measured.max(), rel=1e-12)
    else:
        probabilities = clf.predict_proba(HELD_OUT["X_val"])
        loss = log_loss(HELD_OUT["y_val"], probabilities, sample_weight=weights)
        assert loss == pytest.approx(measured.min(), rel=1e-12)


@pytest.mark.slow
def test_rare_positives_are_learnt_though_every_epoch_has_the_same_accuracy():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2))
    y = X[:, 0] + rng.normal(scale=0.3, size=4000) > 2.8
    assert 0.002 < y.mean() < 0.01
    losses = {}
    for scoring in ("loss", "accuracy"):
        clf = classic(
            100, 0.05, 30, optimizer="adam", early_stopping=True, scoring=scoring
        ).set_params(random_state=0)
        losses[scoring] = log_loss(y, clf.fit(X, y).predict_proba(X))
    constant = log_loss(y, np.full(4000, y.mean()))
    assert losses["loss"] < 0.6 * constant < constant < losses["accuracy"]


def test_a_warm_start_that_improves_nothing_keeps_the_former_epoch():
    clf = classic(50, 0.1, 8, early_stopping=True, warm_start=True, random_state=0).fit(
        X, Y, **HELD_OUT
    )
    coef, kept = clf.coef_, clf.history_.kept.idxmax()
    clf.set_params(epochs=2).fit(X, Y, X_val=HELD_OUT["X_val"], y_val=[0] * 50)
    np.testing.assert_array_equal(clf.coef_, coef)
    assert clf.history_.kept.tolist() == [i == kept for i in range(1, 11)]


def test_a_history_says_which_epoch_was_kept_only_where_one_was_chosen():
    clf = classic(epochs=2, warm_start=True).fit(X, Y, **HELD_OUT)
    assert "kept" not in clf.history_
    assert "kept" in clf.set_params(early_stopping=True).fit(X, Y).history_
    assert "kept" not in clf.set_params(early_stopping=False).fit(X, Y).history_


def test_random_state_says_which_fraction_is_held_out():
    clf = classic(1000, early_stopping=True, validation_fraction=0.25, random_state=0)
    loss = clf.fit(X, Y).history_
    assert loss.val_loss.notna().all()
    other = clf.set_params(random_state=1).fit(X, Y).history_
    assert (loss.val_loss != other.val_loss).all()


def test_progress_starts_over_when_something_else_is_watched():
    """A loss is not comparable with the negated accuracies of a previous fit."""
    clf = classic(
        early_stopping=True, warm_start=True, learning_rate=0.5, random_state=0
    ).fit(X, Y)
    clf.set_params(early_stopping=False, tol=1e-9, n_iter_no_change=3, epochs=8)
    with pytest.warns(ConvergenceWarning, match="not converged to tol=1e-09"):
        clf.fit(X, Y)
    assert (clf.n_iter_, len(clf.history_)) == (8, 18)
