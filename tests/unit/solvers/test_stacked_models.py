"""The epoch loop for many models on the same batches, against a fit of each alone."""

from __future__ import annotations

import pickle
import time
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from tests import reference
from tests.interruptions import interrupt_in_epoch
from tests.problems import (
    StopAfter,
    estimator,
    mostly_slow,
    problem,
    solver_problem,
)
from tfsoftmax.data import batches
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine import device, program
from tfsoftmax.solvers import sgd
from tfsoftmax.solvers.schedules import SCHEDULES
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem()
X_VAL, Y_VAL, _ = problem(90, seed=1)
WEIGHTS = row_weights(S, len(X))


def with_defaults(parameters):
    return {"epochs": 4, "random_state": 3} | parameters


def classifier(**parameters):
    return estimator(**with_defaults(parameters))


def stacked(parameters, X=X, y=Y, weights=WEIGHTS, held_out=None, callbacks=None):
    """Train a model for each set of parameters, on the same batches."""
    problem = solver_problem(
        [with_defaults(each) for each in parameters],
        *(X, y, weights),
        held_out=held_out,
        seed=3,
    )
    return sgd.solve(problem, callbacks or [StopAfter()] * len(parameters))


def assert_same(result, clf, rtol):
    """Compare a result with a fitted classifier."""
    expected = clf._result
    assert result.ended == expected.ended
    assert result.n_epochs == clf.n_iter_
    assert result.V.shape == expected.V.shape
    assert result.V.dtype == expected.V.dtype
    scale = abs(expected.V).max()
    np.testing.assert_allclose(result.V, expected.V, rtol=0, atol=rtol * scale)
    assert len(result.slots) == len(expected.slots)
    for actual, slot in zip(result.slots, expected.slots, strict=True):
        atol = rtol * max(abs(slot).max(), 1e-30)
        np.testing.assert_allclose(actual, slot, rtol=0, atol=atol)
    assert list(result.history) == list(expected.history)
    for name, values in expected.history.items():
        if name != "seconds":
            np.testing.assert_allclose(
                result.history[name], values, rtol=10 * rtol, atol=rtol, err_msg=name
            )
    assert result.progress.epochs == expected.progress.epochs
    assert result.settings == expected.settings
    assert pickle.dumps(result.rng) == pickle.dumps(expected.rng)


def check(parameters, X=X, y=Y, *, rtol=1e-11, held_out=None):
    results = stacked(parameters, X, y, held_out=held_out)
    assert len(results) == len(parameters)
    val = {} if held_out is None else {"X_val": held_out[0], "y_val": held_out[1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for each, result in zip(parameters, results, strict=True):
            assert_same(result, classifier(**each).fit(X, y, S, **val), rtol)
    return results


def test_models_share_the_seconds_of_their_epochs():
    began = time.perf_counter()
    results = stacked([{"epochs": 3, "learning_rate": r} for r in (0.1, 0.2, 0.3, 0.4)])
    passed = time.perf_counter() - began
    assert 0 < sum(sum(result.history["seconds"]) for result in results) < passed


@pytest.mark.parametrize(
    "optimizer", mostly_slow(["adam"], ("sgd",), ("momentum",), ("nesterov",))
)
def test_each_model_is_a_separate_fit(optimizer):
    check(
        [
            {
                "optimizer": optimizer,
                "learning_rate": rate,
                "learning_rate_schedule": schedule,
                "momentum": momentum,
                "alpha": alpha,
                "l1_ratio": l1_ratio,
                "power_t": 0.3,
            }
            for rate, schedule, momentum, alpha, l1_ratio in zip(
                [0.001, 0.01, 0.1, 0.5],
                list(SCHEDULES)[:4],
                [0.0, 0.5, 0.9, 0.3],
                [0, 0.1, 0.02, 0.3],
                [0, 0, 1, 0.5],
                strict=True,
            )
        ]
    )


@pytest.mark.parametrize(
    ("dtype", "n_classes"),
    mostly_slow(
        [(np.float32, 3), (np.uint8, 2)],
        *((np.float64, 2), (np.float64, 3), (np.float32, 2), (np.uint8, 3)),
    ),
)
def test_each_model_is_a_separate_fit_for_all_kinds_of_numbers(dtype, n_classes):
    rtol = 1e-11 if dtype == np.float64 else 1e-5
    rows = np.clip(X * 20 + 100, 0, 255).astype(dtype)
    parameters = [
        {"learning_rate": rate, "rescale": 1 / 255, "alpha": rate / 10}
        for rate in (0.01, 0.1, 0.5)
    ]
    check(parameters, rows, Y % n_classes, rtol=rtol)


def test_each_model_is_gradient_descent_in_numpy():
    rng = np.random.RandomState(3)
    orders = [rng.permutation(len(X)) for _ in range(4)]
    rates = [0.01, 0.1, 0.5]
    results = stacked([{"learning_rate": rate} for rate in rates])
    for rate, result in zip(rates, results, strict=True):
        coef, intercept, history = reference.fit(
            X, Y, 3, orders, batch_size=50, learning_rate=rate, sample_weight=S
        )
        np.testing.assert_allclose(result.V[0, :, :-1], coef, rtol=1e-10)
        np.testing.assert_allclose(result.V[0, :, -1], intercept, rtol=1e-10)
        np.testing.assert_allclose(result.history["loss"], [h[0] for h in history])
        np.testing.assert_allclose(result.history["accuracy"], [h[1] for h in history])


@pytest.mark.parametrize("optimizer", mostly_slow(["adam"], ("momentum",)))
def test_each_model_ends_after_its_number_of_epochs(optimizer):
    epochs = [7, 1, 3, 1, 7, 2, 5]
    results = check(
        [
            {"epochs": n, "optimizer": optimizer, "learning_rate": 0.02 * (m + 1)}
            for m, n in enumerate(epochs)
        ]
    )
    assert [result.n_epochs for result in results] == epochs


def test_each_cosine_is_as_long_as_its_model_trains():
    parameters = [
        {"epochs": n, "learning_rate_schedule": "cosine"} for n in (6, 2, 3, 6)
    ]
    results = check(parameters)
    assert results[1].history["learning_rate"] == pytest.approx([0.1, 0.05])
    assert results[2].history["learning_rate"] == pytest.approx([0.1, 0.075, 0.025])


def test_each_model_converges_by_its_tol():
    parameters = [
        {"epochs": 30, "tol": tol, "n_iter_no_change": patience, "learning_rate": rate}
        for tol, patience, rate in [
            (None, 1, 0.1),
            (0.5, 1, 0.1),
            (0.01, 1, 0.5),
            (0.01, 4, 0.5),
            (0.0, 2, 1.0),
        ]
    ]
    results = check(parameters)
    lengths = [result.n_epochs for result in results]
    assert lengths[:2] == [30, 3]
    assert lengths[2] < lengths[3] < 30
    assert [result.ended for result in results[:3]] == ["epochs", *["converged"] * 2]


def test_adaptive_rates_fall_for_each_model_separately():
    shared = {"learning_rate_schedule": "adaptive", "n_iter_no_change": 1}
    parameters = [
        shared | {"epochs": 60, "tol": tol, "learning_rate": rate}
        for tol, rate in [(0.1, 0.1), (0.01, 0.5), (0.5, 0.3), (1e-12, 0.001)]
    ]
    results = check(parameters)
    assert len({result.n_epochs for result in results}) > 2
    falls = [len(set(result.history["learning_rate"])) for result in results]
    assert max(falls) > 4
    assert falls[3] == 1


def test_early_stopping_keeps_each_models_best_epoch():
    parameters = [
        {
            "early_stopping": True,
            "epochs": 20,
            "n_iter_no_change": patience,
            "tol": tol,
            "learning_rate": rate,
            "scoring": scoring,
        }
        for tol, patience, rate, scoring in [
            (None, 2, 0.05, "accuracy"),
            (None, 5, 1.0, "accuracy"),
            (None, 5, 1.0, "loss"),
            (0.1, 1, 0.5, "accuracy"),
            (0.1, 1, 0.5, "loss"),
            (0.0, 3, 10.0, "loss"),
        ]
    ]
    results = check(parameters, held_out=(X_VAL, Y_VAL), rtol=1e-9)
    assert len({result.n_epochs for result in results}) > 1
    for each, result in zip(parameters, results, strict=True):
        if each["scoring"] == "loss":
            best = int(np.argmin(result.history["val_loss"])) + 1
        else:
            best = int(np.argmax(result.history["val_accuracy"])) + 1
        assert result.kept_epoch == best
        shorter = classifier(**each | {"early_stopping": False, "epochs": best})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            shorter.fit(X, Y, S)
        np.testing.assert_allclose(result.V, shorter._result.V, rtol=1e-8)


def test_held_out_rows_are_measured_for_each_model():
    results = check([{"alpha": a} for a in (0, 0.1, 0.5)], held_out=(X_VAL, Y_VAL))
    for result in results:
        W, b = result.V[0, :, :-1], result.V[0, :, -1]
        loss = reference.cross_entropy(X_VAL, Y_VAL, W, b, 3).mean()
        assert result.history["val_loss"][-1] == pytest.approx(loss, rel=1e-10)


def test_a_diverging_model_is_an_error_and_the_others_go_on():
    rates = [1e-21, 1e300, 5e-21, 1e299, 1e-22]
    large = X * 1e10
    sound = stacked([{"learning_rate": rate} for rate in rates[::2]], large)
    mixed = stacked([{"learning_rate": rate} for rate in rates], large)
    for m, rate in enumerate(rates):
        if rate < 1:
            np.testing.assert_allclose(mixed[m].V, sound[m // 2].V, rtol=1e-10)
            assert mixed[m].n_epochs == 4
            continue
        with pytest.raises(ValueError, match="non-finite in epoch") as alone:
            classifier(learning_rate=rate).fit(large, Y, S)
        assert isinstance(mixed[m], ValueError)
        assert str(mixed[m]) == str(alone.value)


def test_when_all_diverge_all_are_errors():
    outcomes = stacked([{"learning_rate": 1e300}] * 3, X * 1e10)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3


def test_one_model_is_that_model_to_the_bit():
    (result,) = stacked([{"optimizer": "adam", "epochs": 3}])
    alone = classifier(optimizer="adam", epochs=3).fit(X, Y, S)
    np.testing.assert_array_equal(result.V, alone._result.V)
    assert result.history["loss"] == alone.loss_curve_


def test_equal_models_are_equal():
    results = stacked([{}] * 3)
    for result in results[1:]:
        np.testing.assert_allclose(result.V, results[0].V, rtol=1e-12)
        np.testing.assert_allclose(
            result.history["loss"], results[0].history["loss"], rtol=1e-12
        )


def test_the_order_of_models_does_not_matter():
    parameters = [
        {"learning_rate": rate, "epochs": n}
        for rate, n in [(0.01, 2), (0.1, 5), (0.5, 1), (0.3, 4), (0.2, 5), (0.7, 3)]
    ]
    forwards, backwards = stacked(parameters), stacked(parameters[::-1])
    for one, other in zip(forwards, backwards[::-1], strict=True):
        assert one.n_epochs == other.n_epochs
        np.testing.assert_allclose(one.V, other.V, rtol=1e-11)


def test_each_model_may_have_different_row_weights():
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 3, (3, len(X)))
    weights[1, ::2] = 0
    weights *= len(X) / weights.sum(axis=1, keepdims=True)
    epochs = [5, 2, 4]
    results = stacked([{"epochs": n} for n in epochs], weights=weights)
    for n, of_model, result in zip(epochs, weights, results, strict=True):
        alone = classifier(epochs=n).fit(X, Y, of_model)
        assert_same(result, alone, 1e-11)


def test_results_share_no_array():
    results = stacked([{}, {"alpha": 0.1}])
    expected = results[1].V.copy()
    results[0].V[:] = 0
    np.testing.assert_array_equal(results[1].V, expected)


def test_rows_and_weights_are_left_as_they_are():
    weights = np.stack([WEIGHTS, WEIGHTS])
    before = X.copy(), weights.copy()
    stacked([{"epochs": 1}, {"epochs": 3}], weights=weights)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(weights, before[1])


def test_results_depend_neither_on_chunks_nor_on_threads(monkeypatch):
    parameters = [{"learning_rate": 0.1 * m, "epochs": m} for m in range(1, 7)]
    expected = stacked(parameters)
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    for n_threads in (1, 4):
        monkeypatch.setattr(device, "n_threads", lambda n=n_threads: n)
        for one, result in zip(stacked(parameters), expected, strict=True):
            np.testing.assert_allclose(one.V, result.V, rtol=1e-11)


def test_as_models_end_the_product_becomes_narrower(monkeypatch):
    widths = []
    train = program.Program.train

    def counting(self, *arguments, **options):
        widths.append(self.spec.n_models)
        return train(self, *arguments, **options)

    monkeypatch.setattr(program.Program, "train", counting)
    monkeypatch.setattr(device, "n_threads", lambda: 1)
    ends = (1, 1, 1, 1, 6, 6, 6, 2)
    stacked([{"epochs": n, "alpha": i / 100} for i, n in enumerate(ends)])
    assert len(widths) == 6  # one call an epoch
    assert widths == sorted(widths, reverse=True)
    assert (widths[0], widths[-1]) == (8, 4)


# The order of an epoch is drawn while the epoch before it ends


@pytest.fixture
def drawn(monkeypatch):
    """The orders that were drawn, of rows that fill several chunks."""
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    orders, draw = [], Dataset.draw_order

    def draw_order(dataset, rng):
        order = draw(dataset, rng)
        orders.append(order)
        return order

    monkeypatch.setattr(Dataset, "draw_order", draw_order)
    return orders


def generator_after(n_epochs):
    rng = np.random.RandomState(3)
    for _ in range(n_epochs):
        rng.permutation(len(X))
    return pickle.dumps(rng)


class WaitsForNextOrder(StopAfter):
    """Delays the end of an epoch until the order of the next one is drawn."""

    def __init__(self, orders, n_epochs, stop_after=None):
        super().__init__(stop_after)
        self._orders, self._n_epochs = orders, n_epochs
        self.n_drawn = []

    def on_epoch_end(self, epoch, metrics, result):
        expected = min(epoch + 1, self._n_epochs)
        deadline = time.monotonic() + 10
        while len(self._orders) < expected and time.monotonic() < deadline:
            time.sleep(0.001)
        self.n_drawn.append(len(self._orders))
        return super().on_epoch_end(epoch, metrics, result)


def test_the_next_epochs_order_is_drawn_before_an_epoch_ends(drawn):
    waits = WaitsForNextOrder(drawn, 4)
    parameters = [{"learning_rate": rate} for rate in (0.01, 0.1, 0.5)]
    stacked(parameters, callbacks=[waits, StopAfter(), StopAfter()])
    assert waits.n_drawn == [2, 3, 4, 4]
    rng = np.random.RandomState(3)
    for order in drawn:
        np.testing.assert_array_equal(order, rng.permutation(len(X)))


def test_an_order_that_was_drawn_ahead_and_not_used_does_not_count(drawn):
    waits = WaitsForNextOrder(drawn, 9, stop_after=2)
    (result,) = stacked([{"epochs": 9}], callbacks=[waits])
    assert result.n_epochs == 2
    assert len(drawn) == 3
    assert pickle.dumps(result.rng) == generator_after(2)


def test_an_order_that_was_drawn_ahead_is_drawn_anew_in_a_narrower_product(drawn):
    callbacks = [WaitsForNextOrder(drawn, 9), StopAfter(2), StopAfter(2), StopAfter(3)]
    # Half of the models end at epoch 2. The others begin again in a narrower product,
    # with the order of epoch 3 drawn anew, and end at epoch 3 and 6.
    parameters = [{"epochs": n, "alpha": n / 100} for n in (6, 9, 10, 11)]
    results = stacked(parameters, callbacks=callbacks)
    assert [result.n_epochs for result in results] == [6, 2, 2, 3]
    for result in results:
        assert pickle.dumps(result.rng) == generator_after(result.n_epochs)
    assert len(drawn) > 6
    alone = classifier(**parameters[0]).fit(X, Y, S)
    assert_same(results[0], alone, 1e-11)


# Callbacks and interruptions


def test_each_model_stops_where_its_callback_asks_for_it():
    stops = [None, 1, 3, 2, None]
    results = stacked([{}] * 5, callbacks=[StopAfter(epoch) for epoch in stops])
    assert [result.n_epochs for result in results] == [4, 1, 3, 2, 4]
    assert [result.ended == "stopped" for result in results] == [
        stop is not None for stop in stops
    ]
    for result in results:
        alone = classifier(epochs=result.n_epochs).fit(X, Y, S)
        np.testing.assert_allclose(result.V, alone._result.V, rtol=1e-11)


def test_an_interruption_ends_all_models_at_their_last_whole_epoch(monkeypatch):
    alphas = [0.1, 0.0, 0.2]
    interrupt_in_epoch(3, monkeypatch)
    results = stacked([{"alpha": alpha} for alpha in alphas])
    assert [result.ended for result in results] == ["interrupted"] * 3
    monkeypatch.undo()
    for alpha, result in zip(alphas, results, strict=True):
        alone = classifier(alpha=alpha, epochs=2).fit(X, Y, S)
        np.testing.assert_allclose(result.V, alone._result.V, rtol=1e-11)


@pytest.mark.parametrize(
    "number", [1, 3], ids=["in the first epoch", "after a model has diverged"]
)
def test_an_interruption_is_raised_where_a_model_has_nothing_to_keep(
    number, monkeypatch
):
    def check_epoch(epoch, largest_weight, dtype, metrics):
        if epoch == 2 and metrics["learning_rate"] == 0.5:
            raise ValueError("The loss became non-finite in epoch 2.")

    monkeypatch.setattr(sgd, "check_epoch", check_epoch)
    interrupt_in_epoch(number, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        stacked([{}, {"learning_rate": 0.5}, {"alpha": 0.1}])
