"""The compiled program: what it computes, and how often it is compiled."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.data.batches import Layout
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.loader import ChunkLoader
from tfsoftmax.engine import device, program, spec


@pytest.fixture
def compilations(monkeypatch):
    """A function that returns the number of compilations since the test began."""
    program._compile.cache_clear()
    yield lambda: program._compile.cache_info().misses
    program._compile.cache_clear()


def first_chunk(X, y, batch_size=None):
    dataset = Dataset(X, y.astype(np.int32), None)
    layout = Layout.choose(batch_size or len(X), len(X), X.shape[1] * X.itemsize)
    loader = ChunkLoader(dataset, layout, (X.dtype, X.dtype))
    return layout, next(loader.epoch())


def spec_for(layout, n_features, n_classes, **changes):
    fields = {
        "n_models": 1,
        "n_classes": n_classes,
        "n_features": n_features,
        "fit_intercept": True,
        "micro_batch_size": layout.micro_batch_size,
        "n_micro_batches": layout.micro_batches_per_chunk,
        "accumulates": False,
        "soft_labels": False,
        "per_model_weights": False,
        "storage": "float64",
        "precision": "float64",
        "optimizer": "sgd",
    }
    return spec.ProgramSpec(**fields | changes)


def number(value):
    return tf.constant(value, tf.float64)


def at_rates(*rates):
    rate = np.array(rates, dtype=float)
    return tf.constant([rate, rate * 0, rate * 0, rate * 0])


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_gradient_equals_finite_differences(n_classes, fit_intercept):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.integers(0, n_classes, 20)
    layout, chunk = first_chunk(X, y)
    program_spec = spec_for(layout, 4, n_classes, fit_intercept=fit_intercept)
    compiled = program.Program(program_spec)
    V = rng.normal(size=program_spec.weights)

    def loss(V):
        return compiled.evaluate(compiled.to_device(V).V, chunk, number(0.7))[0, 0, 0]

    stepped, _ = compiled.train(compiled.to_device(V), chunk, at_rates(1), number(0.7))
    gradient = V - np.array(stepped.V)
    for index in np.ndindex(V.shape):
        step = np.zeros_like(V)
        step[index] = 1e-6
        numeric = (loss(V + step) - loss(V - step)) / 2e-6
        assert gradient[index] == pytest.approx(numeric, abs=1e-8)


def test_the_loss_is_stable_for_huge_logits():
    X = np.array([[1.0], [-1.0]])
    layout, chunk = first_chunk(X, np.array([0, 1]))
    compiled = program.Program(spec_for(layout, 1, 3))
    V = np.array([[[1e6, 0], [-1e6, 0], [0, 0]]])
    loss, correct = compiled.evaluate(compiled.to_device(V).V, chunk, number(1.0))[
        0, :, 0
    ]
    assert loss == 0
    assert correct == 1


def test_a_tie_counts_for_the_first_class_as_in_predict():
    X, y = np.zeros((4, 1)), np.array([0, 1, 2, 0])
    layout, chunk = first_chunk(X, y)
    compiled = program.Program(spec_for(layout, 1, 3))
    _, correct = compiled.evaluate(compiled.to_device().V, chunk, number(1.0))[0, :, 0]
    assert correct == pytest.approx(0.5)


def test_stacked_models_are_the_models_alone():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(90, 6)), rng.integers(0, 4, 90)
    layout, chunk = first_chunk(X, y, batch_size=25)
    together = program.Program(spec_for(layout, 6, 4, n_models=3))
    alone = program.Program(spec_for(layout, 6, 4))
    rates = (0.01, 0.3, 2.0)
    state, sums = together.train(
        together.to_device(), chunk, at_rates(*rates), number(1.0)
    )
    V = np.array(state.V)
    for m in range(3):
        state, own_sums = alone.train(
            alone.to_device(), chunk, at_rates(rates[m]), number(1.0)
        )
        np.testing.assert_allclose(V[m], np.array(state.V)[0], rtol=1e-12)
        np.testing.assert_allclose(sums[:, :, m], own_sums[:, :, 0], rtol=1e-12)


def test_training_leaves_its_arguments_as_they_are():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 6)), rng.integers(0, 4, 30)
    layout, chunk = first_chunk(X, y)
    compiled = program.Program(spec_for(layout, 6, 4))
    start = compiled.to_device()
    compiled.train(start, chunk, at_rates(1), number(1.0))
    assert not np.array(start.V).any()
    np.testing.assert_array_equal(chunk.X[:30], X)


def test_chunks_are_handed_over_without_a_copy():
    X, y = np.ones((30, 6)), np.zeros(30, dtype=int)
    _, chunk = first_chunk(X, y)
    shared = program._share(chunk)
    for tensor, array in zip(
        shared, (chunk.X, chunk.y, chunk.weights, chunk.actions), strict=True
    ):
        address = np.asarray(memoryview(tensor)).ctypes.data
        assert address == array.ctypes.data


def test_a_second_fit_of_the_same_width_compiles_nothing(compilations):
    rng = np.random.default_rng(0)

    def fit(n_samples, **parameters):
        X, y = rng.normal(size=(n_samples, 11)), np.arange(n_samples) % 3
        X[:, 0] += y
        TFSoftmaxClassifier(**parameters).fit(X, y, X_val=X, y_val=y)

    fit(400)
    assert compilations() == 2  # training and evaluating
    fit(400, learning_rate=0.5)
    fit(399, rescale=0.5)
    fit(1001, epochs=3, shuffle=False, random_state=4)
    fit(20_000)
    assert compilations() == 2


def test_similar_sizes_share_a_program_where_one_batch_holds_all_rows(compilations):
    for n_samples in (600, 801, 999):
        X = np.linspace(0, 1, 2 * n_samples).reshape(n_samples, 2)
        TFSoftmaxClassifier(1000, learning_rate=1).fit(X, np.arange(n_samples) > 400)
    assert compilations() == 1


def test_without_xla_the_same_function_runs(digits, monkeypatch, compilations):
    X, y = digits

    def fit(batch_size):
        return TFSoftmaxClassifier(batch_size, 0.1, 2, random_state=0).fit(
            X, y, X_val=X[:100], y_val=y[:100]
        )

    compiled = [fit(b) for b in (100, 1500)]
    program._compile.cache_clear()
    monkeypatch.setattr(device, "xla_works", lambda: False)
    for one, other in zip(compiled, [fit(b) for b in (100, 1500)], strict=True):
        np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            other.history_.drop(columns="seconds"),
            one.history_.drop(columns="seconds"),
            rtol=1e-9,
        )


@pytest.mark.parametrize(
    "error",
    [NotImplementedError(), ValueError(), tf.errors.InternalError(None, None, "")],
    ids=lambda error: type(error).__name__,
)
def test_a_platform_without_xla_is_known_by_its_error(error, monkeypatch):
    def refuse(function, jit_compile=False):
        if jit_compile:
            raise error
        return function

    monkeypatch.setattr(tf, "function", refuse)
    assert device.xla_works.__wrapped__() is False


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms may lack XLA")
def test_xla_works_on_linux():
    assert device.xla_works() is True


def test_threads_fit_at_once(digits, compilations):
    X, y = digits
    seeds = range(6)
    serial = [TFSoftmaxClassifier(random_state=s).fit(X, y).coef_ for s in seeds]
    program._compile.cache_clear()
    parallel = [TFSoftmaxClassifier(random_state=s) for s in seeds]
    threads = [threading.Thread(target=clf.fit, args=(X, y)) for clf in parallel]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compilations() == 1
    for coef, clf in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(clf.coef_, coef)


def test_wide_batches_equal_the_reference_in_float32():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 8)).astype(np.float32), rng.integers(0, 3, 3000)
    clf = TFSoftmaxClassifier(2500, 0.5, 2, shuffle=False)
    with pytest.warns(match="no better than an untrained"):
        clf.set_params(epochs=1, learning_rate=1e-9).fit(X, y)
    clf.set_params(epochs=2, learning_rate=0.5).fit(X + y[:, None], y)
    coef, _, _ = reference.fit(
        X + y[:, None], y, 3, [np.arange(3000)] * 2, batch_size=2500, learning_rate=0.5
    )
    np.testing.assert_allclose(clf.coef_, coef, atol=1e-5)
