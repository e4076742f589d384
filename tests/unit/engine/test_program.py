"""The compiled program: what it computes, and how often it is compiled."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.fixes import parse_version

from tests import reference
from tests.assertions import assert_same_model
from tests.problems import classic, estimator, mostly_slow, problem
from tfsoftmax.data.batches import Layout
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.loader import ChunkLoader
from tfsoftmax.engine import compilation, device, program, spec
from tfsoftmax.engine.optimizers import OPTIMIZERS, initial_slots


@pytest.fixture
def compilations(no_programs):
    """A function that returns the number of compilations since the test began."""
    return lambda: compilation._compile.cache_info().misses


def rows_of_four_classes(n_samples):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n_samples, 6)), rng.integers(0, 4, n_samples)


def chunks_in(layout, X, y):
    """All chunks of an epoch, of which each stays valid."""
    dataset, dtypes = Dataset(X, y.astype(np.int32)), (X.dtype, X.dtype)
    with ChunkLoader(dataset, layout, dtypes, n_in_use=len(X)) as loader:
        return list(loader.epoch())


def first_chunk(X, y, batch_size=None):
    layout = Layout.choose(batch_size or len(X), len(X), X.shape[1] * X.itemsize)
    return layout, chunks_in(layout, X, y)[0]


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
        "is_sparse": False,
        "centred": False,
        "per_model_weights": False,
        "storage": "float64",
        "precision": "float64",
        "optimizer": "sgd",
        "l1": False,
    }
    return spec.ProgramSpec(**fields | changes)


def scaled_by(factor):
    return (tf.constant(factor, tf.float64),)


def at_rates(*rates, l2=0.0, l1=0.0):
    rate = np.array(rates, dtype=float)
    return tf.constant([rate, rate * 0, rate * 0 + l2, rate * 0 + l1])


@pytest.mark.parametrize(
    ("n_classes", "fit_intercept"),
    mostly_slow([(2, True), (3, False)], (3, True), (5, True), (2, False), (5, False)),
)
def test_the_gradient_equals_finite_differences(n_classes, fit_intercept):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.integers(0, n_classes, 20)
    layout, chunk = first_chunk(X, y)
    program_spec = spec_for(layout, 4, n_classes, fit_intercept=fit_intercept)
    compiled = program.Program(program_spec)
    V = rng.normal(size=program_spec.weights)

    def loss(V):
        return compiled.evaluate(compiled.to_device(V).V, chunk, scaled_by(0.7))[
            0, 0, 0
        ]

    stepped, _ = compiled.train(
        compiled.to_device(V), chunk, at_rates(1), scaled_by(0.7)
    )
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
    weights = compiled.to_device(V).V
    loss, correct = compiled.evaluate(weights, chunk, scaled_by(1.0))[0, :, 0]
    assert loss == 0
    assert correct == 1


def test_a_tie_counts_for_the_first_class_as_in_predict():
    X, y = np.zeros((4, 1)), np.array([0, 1, 2, 0])
    layout, chunk = first_chunk(X, y)
    compiled = program.Program(spec_for(layout, 1, 3))
    _, correct = compiled.evaluate(compiled.to_device().V, chunk, scaled_by(1.0))[
        0, :, 0
    ]
    assert correct == pytest.approx(0.5)


@pytest.mark.slow
def test_stacked_models_are_the_models_alone():
    X, y = rows_of_four_classes(90)
    layout, chunk = first_chunk(X, y, batch_size=25)
    stacked = program.Program(spec_for(layout, 6, 4, n_models=3))
    alone = program.Program(spec_for(layout, 6, 4))
    rates = (0.01, 0.3, 2.0)
    state, sums = stacked.train(
        stacked.to_device(), chunk, at_rates(*rates), scaled_by(1.0)
    )
    for m in range(3):
        expected, expected_sums = alone.train(
            alone.to_device(), chunk, at_rates(rates[m]), scaled_by(1.0)
        )
        np.testing.assert_allclose(state.V[m], expected.V[0], rtol=1e-12)
        np.testing.assert_allclose(sums[:, :, m], expected_sums[:, :, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "l1"),
    mostly_slow([("sgd", 0.0)], ("adam", 0.1), ("sgd", 0.1), ("adam", 0.0)),
)
def test_a_batch_of_several_micro_batches_is_one_step(optimizer, l1):
    options, hyper = {"optimizer": optimizer, "l1": l1 > 0}, at_rates(0.5, l1=l1)
    X, y = rows_of_four_classes(50)
    layout = Layout(batch_size=30, micro_batch_size=30, micro_batches_per_chunk=2)
    whole = program.Program(spec_for(layout, 6, 4, **options))
    [chunk] = chunks_in(layout, X, y)
    expected, batch_sums = whole.train(whole.to_device(), chunk, hyper, scaled_by(1.0))

    layout = Layout(batch_size=30, micro_batch_size=10, micro_batches_per_chunk=2)
    in_parts = program.Program(spec_for(layout, 6, 4, accumulates=True, **options))
    states, sums = [in_parts.to_device()], []
    for chunk in chunks_in(layout, X, y):
        state, chunk_sums = in_parts.train(states[-1], chunk, hyper, scaled_by(1.0))
        states.append(state)
        sums.append(chunk_sums)
    _, unfinished, _, last = states
    assert np.any(unfinished.gradient[0])
    # The first batch ends in the second chunk.
    assert not np.any(unfinished.V)
    assert not any(np.any(slot) for slot in unfinished.slots)
    assert not np.any(last.gradient[0])
    for actual, array in zip(
        (last.V, *last.slots), (expected.V, *expected.slots), strict=True
    ):
        np.testing.assert_allclose(actual, array, rtol=1e-10, atol=1e-13)
    assert [len(chunk_sums) for chunk_sums in sums] == [2, 2, 1]
    sums = np.concatenate(sums)
    by_batch = [sums[:3].sum(axis=0), sums[3:].sum(axis=0)]
    np.testing.assert_allclose(by_batch, batch_sums, rtol=1e-10)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_penalties_apply_to_all_weights_but_the_intercept(fit_intercept):
    X, y = rows_of_four_classes(30)
    layout, chunk = first_chunk(X, y)
    program_spec = spec_for(layout, 6, 4, fit_intercept=fit_intercept, l1=True)
    compiled = program.Program(program_spec)
    V = np.random.default_rng(1).normal(size=program_spec.weights)

    def step(**penalty):
        hyper = at_rates(0.1, **penalty)
        slots = initial_slots("sgd", V, l1=True)
        start = compiled.to_device(V, slots)
        state, _ = compiled.train(start, chunk, hyper, scaled_by(1.0))
        return np.array(state.V)

    moved = step()
    shrunk = moved / (1 + 0.1 * 0.5)
    thresholded = np.sign(moved) * np.maximum(abs(moved) - 0.1 * 0.5, 0)
    if fit_intercept:
        shrunk[..., -1] = moved[..., -1]
        thresholded[..., -1] = moved[..., -1]
    np.testing.assert_allclose(step(l2=0.5), shrunk, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(step(l1=0.5), thresholded, rtol=1e-10, atol=1e-13)
    assert (thresholded == 0).any()


@pytest.mark.parametrize("optimizer", [None, *OPTIMIZERS])
@pytest.mark.parametrize("accumulates", [False, True])
@pytest.mark.parametrize("l1", [False, True])
def test_without_weights_a_state_is_the_initial_one(optimizer, accumulates, l1):
    program_spec = spec_for(
        Layout(30, 10, 2), 6, 4, optimizer=optimizer, accumulates=accumulates, l1=l1
    )
    zeros = np.zeros((1, 4, 7))
    slots = () if optimizer is None else initial_slots(optimizer, zeros, l1=l1)
    state = program.Program(program_spec).to_device()
    np.testing.assert_array_equal(state.V, zeros)
    assert len(state.gradient) == accumulates
    for actual, expected in zip(
        (*state.slots, *state.gradient), (*slots, *[zeros] * accumulates), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
        assert actual.dtype == tf.float64


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_numbers_become_tensors_of_the_precision(precision):
    compiled = program.Program(spec_for(Layout(30, 10, 2), 6, 4, precision=precision))
    tensor = compiled.to_tensor([[1, 2], [3, 4]])
    assert tensor.dtype == tf.as_dtype(precision)
    np.testing.assert_array_equal(tensor, [[1, 2], [3, 4]])


def test_training_leaves_its_arguments_as_they_are():
    X, y = rows_of_four_classes(30)
    layout, chunk = first_chunk(X, y)
    compiled = program.Program(spec_for(layout, 6, 4))
    start = compiled.to_device()
    compiled.train(start, chunk, at_rates(1), scaled_by(1.0))
    assert not np.array(start.V).any()
    np.testing.assert_array_equal(chunk.X[:30], X)


def test_chunks_are_handed_over_without_a_copy():
    X, y = np.ones((30, 6)), np.zeros(30, dtype=int)
    _, chunk = first_chunk(X, y)
    shared = program.share_all((chunk.X, chunk.y, chunk.weights, chunk.actions))
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
        classic(**parameters).fit(X, y, X_val=X, y_val=y)

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
        classic(1000, learning_rate=1).fit(X, np.arange(n_samples) > 400)
    assert compilations() == 1


@pytest.mark.slow
def test_without_xla_the_same_function_runs(digits, monkeypatch, compilations):
    X, y = digits

    def fit(batch_size):
        return classic(batch_size, 0.1, 2, random_state=0).fit(
            X, y, X_val=X[:100], y_val=y[:100]
        )

    compiled = [fit(b) for b in (100, 1500)]
    compilation._compile.cache_clear()
    monkeypatch.setattr(device, "xla_works", lambda: False)
    for batch_size, expected in zip((100, 1500), compiled, strict=True):
        actual = fit(batch_size)
        assert_same_model(actual, expected, rtol=1e-9)
        columns = ["val_loss", "val_accuracy"]
        np.testing.assert_allclose(
            actual.history_[columns], expected.history_[columns], rtol=1e-9
        )


FIT_ASYNCHRONOUSLY = """
import tensorflow as tf
from tests.problems import classic, estimator, problem

tf.config.experimental.set_synchronous_execution(False)
X, y, s = problem()
for optimizer in ("sgd", "lbfgs"):
    clf = estimator(optimizer=optimizer, alpha=0.1, epochs=100)
    clf.fit(X, y, s, X_val=X, y_val=y)
    print(clf.coef_.tobytes().hex())
"""


@pytest.mark.slow
@pytest.mark.skipif(
    parse_version(tf.__version__) < parse_version("2.21"),
    reason="TensorFlow 2.18 waits for itself, asked for the shape of what is pending",
)
def test_with_asynchronous_execution_fits_are_the_same():
    command = [sys.executable, "-c", FIT_ASYNCHRONOUSLY]
    printed = subprocess.check_output(
        command, text=True, stderr=subprocess.DEVNULL, timeout=300
    )
    X, y, s = problem()
    for optimizer, line in zip(("sgd", "lbfgs"), printed.split(), strict=True):
        clf = estimator(optimizer=optimizer, alpha=0.1, epochs=100)
        clf.fit(X, y, s, X_val=X, y_val=y)
        assert clf.coef_.tobytes().hex() == line


def test_memory_is_trimmed_once_after_each_compilation(compilations, monkeypatch):
    trimmed = []
    monkeypatch.setattr(device, "trim_memory", lambda: trimmed.append(1))
    X, y, s = problem()
    for optimizer in ("sgd", "lbfgs"):
        for _ in range(2):
            estimator(optimizer=optimizer, alpha=0.1, epochs=100).fit(X, y, s)
    assert len(trimmed) == compilations() == 2


def test_threads_fit_at_once(compilations):
    X, y, _ = problem()
    seeds = range(6)
    serial = [classic(random_state=s).fit(X, y).coef_ for s in seeds]
    compilation._compile.cache_clear()
    parallel = [classic(random_state=s) for s in seeds]
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
    clf = classic(2500, 0.5, 2, shuffle=False)
    with pytest.warns(match="is no better than"):
        clf.set_params(epochs=1, learning_rate=1e-9).fit(X, y)
    X += y[:, None]
    clf.set_params(epochs=2, learning_rate=0.5).fit(X, y)
    coef, _, _ = reference.fit(
        X, y, 3, [np.arange(3000)] * 2, batch_size=2500, learning_rate=0.5
    )
    assert clf.coef_.dtype == np.float32
    np.testing.assert_allclose(clf.coef_, coef, atol=1e-5)
