"""Models trained on the same batches, against a separate fit of each."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from tests import reference
from tests.problems import estimator, problem
from tfsoftmax.data import batches
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine import device, program
from tfsoftmax.engine.optimizers import OPTIMIZERS
from tfsoftmax.fitting import settings_of
from tfsoftmax.solvers.result import Problem
from tfsoftmax.solvers.schedules import SCHEDULES
from tfsoftmax.solvers.sgd import solve
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem()
X_VAL, Y_VAL, _ = problem(90, seed=1)
WEIGHTS = row_weights(S, len(X))


def classifier(**parameters):
    return estimator(**{"epochs": 4, "random_state": 3} | parameters)


class Silent:
    """A callback that never asks to stop."""

    def on_epoch_begin(self):
        pass

    def on_epoch_end(self, epoch, metrics, result):
        return False


def together(parameters, X=X, y=Y, weights=WEIGHTS, held_out=None):
    """Train a model for each set of parameters."""
    problem = Problem(
        dataset=Dataset(X, y.astype(np.int32), weights),
        held_out=held_out and Dataset(held_out[0], held_out[1].astype(np.int32)),
        classes=np.unique(y),
        settings=tuple(settings_of(classifier(**each)) for each in parameters),
        rng=np.random.RandomState(3),
        previous=None,
        n_epochs=None,
        attributes={},
    )
    return solve(problem, [Silent()] * len(parameters))


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
    states = [r.rng.get_state(legacy=False)["state"] for r in (result, expected)]
    np.testing.assert_array_equal(states[0]["key"], states[1]["key"])
    assert states[0]["pos"] == states[1]["pos"]


def check(parameters, X=X, y=Y, *, rtol=1e-11, held_out=None):
    results = together(parameters, X, y, held_out=held_out)
    assert len(results) == len(parameters)
    val = {} if held_out is None else {"X_val": held_out[0], "y_val": held_out[1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for one, result in zip(parameters, results, strict=True):
            assert_same(result, classifier(**one).fit(X, y, S, **val), rtol)
    return results


def test_models_share_the_seconds_of_their_epochs():
    began = time.perf_counter()
    results = together(
        [{"epochs": 3, "learning_rate": r} for r in (0.1, 0.2, 0.3, 0.4)]
    )
    passed = time.perf_counter() - began
    assert 0 < sum(sum(one.history["seconds"]) for one in results) < passed


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
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
    ("dtype", "rtol"), [(np.float64, 1e-11), (np.float32, 1e-5), (np.uint8, 1e-5)]
)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_each_model_is_a_separate_fit_for_all_kinds_of_numbers(dtype, rtol, n_classes):
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
    results = together([{"learning_rate": rate} for rate in rates])
    for rate, result in zip(rates, results, strict=True):
        coef, intercept, history = reference.fit(
            X, Y, 3, orders, batch_size=50, learning_rate=rate, sample_weight=S
        )
        np.testing.assert_allclose(result.V[0, :, :-1], coef, rtol=1e-10)
        np.testing.assert_allclose(result.V[0, :, -1], intercept, rtol=1e-10)
        np.testing.assert_allclose(result.history["loss"], [h[0] for h in history])
        np.testing.assert_allclose(result.history["accuracy"], [h[1] for h in history])


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_models_end_each_at_their_own_epoch(optimizer):
    epochs = [7, 1, 3, 1, 7, 2, 5]
    results = check(
        [
            {"epochs": n, "optimizer": optimizer, "learning_rate": 0.02 * (m + 1)}
            for m, n in enumerate(epochs)
        ]
    )
    assert [result.n_epochs for result in results] == epochs


def test_each_cosine_has_its_own_length():
    parameters = [
        {"epochs": n, "learning_rate_schedule": "cosine"} for n in (6, 2, 3, 6)
    ]
    results = check(parameters)
    assert results[1].history["learning_rate"] == pytest.approx([0.1, 0.05])
    assert results[2].history["learning_rate"] == pytest.approx([0.1, 0.075, 0.025])


def test_models_converge_each_by_its_own_tol():
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


def test_adaptive_rates_fall_for_each_model_on_its_own():
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
        }
        for tol, patience, rate in [
            (None, 2, 0.05),
            (None, 5, 1.0),
            (0.1, 1, 0.5),
            (0.0, 3, 10.0),
        ]
    ]
    results = check(parameters, held_out=(X_VAL, Y_VAL), rtol=1e-9)
    assert len({result.n_epochs for result in results}) > 1
    for one, result in zip(parameters, results, strict=True):
        best = int(np.argmax(result.history["val_accuracy"])) + 1
        shorter = classifier(**one | {"early_stopping": False, "epochs": best})
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
    sound = together([{"learning_rate": rate} for rate in rates[::2]], large)
    mixed = together([{"learning_rate": rate} for rate in rates], large)
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
    outcomes = together([{"learning_rate": 1e300}] * 3, X * 1e10)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3


def test_one_model_is_that_model_to_the_bit():
    (result,) = together([{"optimizer": "adam", "epochs": 3}])
    alone = classifier(optimizer="adam", epochs=3).fit(X, Y, S)
    np.testing.assert_array_equal(result.V, alone._result.V)
    assert result.history["loss"] == alone.loss_curve_


def test_equal_models_are_equal():
    results = together([{}] * 3)
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
    forwards, backwards = together(parameters), together(parameters[::-1])
    for one, other in zip(forwards, backwards[::-1], strict=True):
        assert one.n_epochs == other.n_epochs
        np.testing.assert_allclose(one.V, other.V, rtol=1e-11)


def test_each_model_may_have_row_weights_of_its_own():
    rng = np.random.default_rng(0)
    own = rng.uniform(0.1, 3, (3, len(X)))
    own[1, ::2] = 0
    own *= len(X) / own.sum(axis=1, keepdims=True)
    epochs = [5, 2, 4]
    results = together([{"epochs": n} for n in epochs], weights=own)
    for n, weights, result in zip(epochs, own, results, strict=True):
        alone = classifier(epochs=n).fit(X, Y, weights)
        assert_same(result, alone, 1e-11)


def test_results_are_arrays_of_their_own():
    results = together([{}, {"alpha": 0.1}])
    expected = results[1].V.copy()
    results[0].V[:] = 0
    np.testing.assert_array_equal(results[1].V, expected)


def test_rows_and_weights_are_left_as_they_are():
    own = np.stack([WEIGHTS, WEIGHTS])
    before = X.copy(), own.copy()
    together([{"epochs": 1}, {"epochs": 3}], weights=own)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(own, before[1])


def test_results_depend_neither_on_chunks_nor_on_threads(monkeypatch):
    parameters = [{"learning_rate": 0.1 * m, "epochs": m} for m in range(1, 7)]
    expected = together(parameters)
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    for n_threads in (1, 4):
        monkeypatch.setattr(device, "n_threads", lambda n=n_threads: n)
        for one, result in zip(together(parameters), expected, strict=True):
            np.testing.assert_allclose(one.V, result.V, rtol=1e-11)


def test_as_models_end_the_product_becomes_narrower(monkeypatch):
    widths = []
    train = program.Program.train

    def counting(self, *arguments):
        widths.append(self.spec.n_models)
        return train(self, *arguments)

    monkeypatch.setattr(program.Program, "train", counting)
    monkeypatch.setattr(device, "n_threads", lambda: 1)
    ends = (1, 1, 1, 1, 6, 6, 6, 2)
    together([{"epochs": n, "alpha": i / 100} for i, n in enumerate(ends)])
    assert len(widths) == 6  # one call an epoch
    assert widths == sorted(widths, reverse=True)
    assert (widths[0], widths[-1]) == (8, 4)
