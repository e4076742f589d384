"""Engines: means over all rows, and models in blocks as in one block and alone."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy import sparse

from tests import reference
from tests.problems import mostly_slow, problem
from tfsoftmax.data import batches
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine import device, engine, placement
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.spec import Hyperparameters

X, Y, S = problem()
N_MODELS = 6
PER_MODEL = np.random.default_rng(1).uniform(0.1, 3, (N_MODELS, len(X)))
PER_MODEL *= len(X) / PER_MODEL.sum(axis=1, keepdims=True)
WEIGHTS = {"none": None, "shared": S / S.mean(), "per model": PER_MODEL}
RANDOM_V = np.random.default_rng(2).normal(size=(N_MODELS, 3, 6))
OPTIONS = {"fit_intercept": True, "scaling": Scaling(0.5)}


def dataset_of(X=X, weights=None, y=Y):
    y = y.astype(np.int32) if y.ndim == 1 else y
    return Dataset(X, y, weights)


def hyper_of(n_models=N_MODELS):
    rate = np.geomspace(0.01, 1, n_models)
    return Hyperparameters(rate, rate * 0 + 0.9, rate / 50, rate / 30)


def orders(n_epochs=2):
    rng = np.random.RandomState(0)
    return [rng.permutation(len(X)).astype(np.int32) for _ in range(n_epochs)]


def run(rows, n_models=N_MODELS, hyper=None, *, optimizer="sgd", batch_size=50):
    """Train for two epochs: weights, slots, and each epoch's losses and accuracies."""
    options = OPTIONS | {"n_models": n_models}
    training = engine.Engine(
        rows, 3, batch_size=batch_size, optimizer=optimizer, l1=True, **options
    )
    evaluating = engine.Engine(rows, 3, batch_size=64, **options)
    measured = []
    with training, evaluating:
        states = training.to_device()
        drawn = iter(orders())
        for chunks in training.epochs(lambda: next(drawn), 2):
            states, means = training.train_epoch(states, chunks, hyper or hyper_of())
            measured.append([*means, *evaluating.evaluate(states)])
        V, slots = training.to_numpy(states)
        each = [training.model_weights(states, m) for m in range(n_models)]
    return V, slots, np.array(measured), each


@pytest.fixture
def cut(monkeypatch):
    """A function that sets how large blocks are and how many threads there are."""

    def set_to(smallest, largest, n_threads):
        monkeypatch.setattr(placement, "MIN_MODELS_PER_BLOCK", smallest)
        monkeypatch.setattr(placement, "MAX_MODELS_PER_BLOCK", largest)
        monkeypatch.setattr(device, "n_threads", lambda: n_threads)

    return set_to


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of at most 32 rows, in micro-batches of at most 16."""
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 32)
    monkeypatch.setattr(batches, "MIN_MICRO_BATCH", 1)
    monkeypatch.setattr(batches, "MAX_MICRO_BATCH", 16)


def reference_means(V, weights):
    """The loss and the accuracy of one model with rescale=0.5."""
    W, b = V[:, :-1], V[:, -1]
    losses = reference.cross_entropy(X / 2, Y, W, b, 3)
    correct = reference.logits(X / 2, W, b, 3).argmax(axis=1) == Y
    return np.average([losses, correct], axis=1, weights=weights)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("weights", ["shared", "per model"])
def test_loss_and_accuracy_equal_the_reference(cut, small_chunks, n_threads, weights):
    cut(1, 2, n_threads)
    dataset = dataset_of(weights=WEIGHTS[weights])
    options = OPTIONS | {"batch_size": 50, "n_models": N_MODELS}
    with engine.Engine(dataset, 3, **options) as evaluating:
        states = evaluating.to_device(RANDOM_V)
        for _ in range(2):
            means = np.array(evaluating.evaluate(states))
            for m, V in enumerate(RANDOM_V):
                row_weights = PER_MODEL[m] if weights == "per model" else S
                expected = reference_means(V, row_weights)
                np.testing.assert_allclose(means[:, m], expected, rtol=1e-12)


CUTS = [(1, 1, 2), (4, 16, 2)]  # blocks of one model, and of three


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "optimizer"), mostly_slow([("per model", "sgd")], ("shared", "adam"))
)
def test_results_do_not_depend_on_the_blocks(cut, weights, optimizer):
    rows = dataset_of(weights=WEIGHTS[weights])
    cut(100, 100, 1)
    V, slots, measured, _ = run(rows, optimizer=optimizer)
    assert V.shape == (N_MODELS, 3, 6)
    for smallest, largest, n_threads in CUTS:
        cut(smallest, largest, n_threads)
        cut_V, cut_slots, cut_measured, _ = run(rows, optimizer=optimizer)
        np.testing.assert_allclose(cut_V, V, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(cut_measured, measured, rtol=1e-10)
        for actual, expected in zip(cut_slots, slots, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("weights", mostly_slow(["per model"], ("shared",)))
def test_each_model_is_the_model_alone(cut, weights):
    cut(1, 3, 2)
    V, _, measured, each = run(dataset_of(weights=WEIGHTS[weights]))
    for m in range(N_MODELS):
        row_weights = PER_MODEL[m] if weights == "per model" else WEIGHTS[weights]
        hyper = Hyperparameters(*(h[m : m + 1] for h in hyper_of()))
        alone_V, _, alone, _ = run(dataset_of(weights=row_weights), 1, hyper)
        np.testing.assert_allclose(V[m], alone_V[0], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(measured[:, :, m], alone[:, :, 0], rtol=1e-10)
        np.testing.assert_array_equal(each[m][0][0], V[m])


BYTES = np.clip(X * 9 + 30, 0, 255).astype(np.uint8)
SOFT = np.random.default_rng(0).dirichlet(np.ones(3), len(X))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "y"),
    mostly_slow([(BYTES, Y)], (sparse.csr_array(X), Y), (X, SOFT)),
    ids=["uint8", "sparse", "soft labels"],
)
def test_weights_per_model_reach_every_block_for_all_kinds_of_rows(cut, rows, y):
    tiny = Hyperparameters(*(h / 100 for h in hyper_of()))
    cut(100, 100, 1)
    V, _, measured, _ = run(dataset_of(rows, PER_MODEL, y), hyper=tiny)
    cut(1, 1, 2)
    cut_V, _, cut_measured, _ = run(dataset_of(rows, PER_MODEL, y), hyper=tiny)
    np.testing.assert_allclose(cut_V, V, rtol=0, atol=1e-5 * abs(V).max())
    np.testing.assert_allclose(cut_measured, measured, rtol=1e-5)
    assert len(np.unique(measured[0, 0])) == N_MODELS


def test_weights_per_model_that_are_all_the_same_are_shared_weights():
    shared = S / S.mean()
    rate = Hyperparameters(*np.full((4, 3), [[0.1], [0.9], [0.0], [0.0]]))
    V, _, measured, _ = run(dataset_of(weights=np.stack([shared] * 3)), 3, rate)
    expected_V, _, expected, _ = run(dataset_of(weights=shared), 3, rate)
    np.testing.assert_allclose(V, expected_V, rtol=1e-12)
    np.testing.assert_allclose(measured, expected, rtol=1e-12)


@pytest.mark.parametrize("micro_batch", mostly_slow([16], (1024,)))
def test_results_depend_neither_on_chunks_nor_on_micro_batches(
    cut, micro_batch, monkeypatch
):
    rows = dataset_of(weights=PER_MODEL)
    cut(1, 3, 2)
    V, _, measured, _ = run(rows)
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)
    monkeypatch.setattr(batches, "MAX_MICRO_BATCH", micro_batch)
    small_V, _, small_measured, _ = run(rows)
    np.testing.assert_allclose(small_V, V, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(small_measured, measured, rtol=1e-10)


def test_training_resumes_from_weights_and_slots(cut):
    cut(1, 3, 2)
    training = engine.Engine(
        dataset_of(weights=PER_MODEL),
        3,
        batch_size=50,
        optimizer="adam",
        l1=True,
        n_models=N_MODELS,
        **OPTIONS,
    )
    drawn = iter(orders())
    with training:
        first, second = training.epochs(lambda: next(drawn), 2)
        states, _ = training.train_epoch(training.to_device(), first, hyper_of())
        states = training.to_device(*training.to_numpy(states))
        states, _ = training.train_epoch(states, second, hyper_of())
        again = training.to_numpy(states)[0]
    expected = run(dataset_of(weights=PER_MODEL), optimizer="adam")[0]
    np.testing.assert_array_equal(again, expected)


def test_weights_of_one_model_are_new_arrays_with_an_axis_for_the_model():
    V, _, _, each = run(dataset_of())
    weights, slots = each[2]
    np.testing.assert_array_equal(weights, V[2:3])
    assert all(array.flags.writeable for array in (weights, *slots))
    assert [slot.shape for slot in slots] == [weights.shape] * 2
    training = engine.Engine(dataset_of(), 3, batch_size=50, optimizer="sgd", **OPTIONS)
    with training, pytest.raises(IndexError):
        training.model_weights(training.to_device(), 1)


def test_threads_are_gone_after_an_epoch(cut):
    cut(1, 1, 3)
    run(dataset_of())
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("tfsoftmax")]


def test_threads_are_gone_after_an_error(cut):
    cut(1, 1, 3)
    training = engine.Engine(
        dataset_of(), 3, batch_size=50, optimizer="sgd", n_models=3, **OPTIONS
    )
    states = training.to_device()
    with training:
        (chunks,) = training.epochs(lambda: np.full(len(X), 10**6), 1)
        with pytest.raises(IndexError):
            training.train_epoch(states, chunks, hyper_of(3))
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("tfsoftmax")]


# Sparse rows

SPARSE = sparse.csr_array(X * (np.random.default_rng(3).random(X.shape) < 0.5))
STANDARD = Scaling(np.linspace(0.5, 2, 5), np.linspace(-1, 1, 5))


def descended(rows, hyper, *, scaling=STANDARD, n_epochs=2, dtype=np.float64):
    """Train without an L1 penalty: weights, measured, and the states of each epoch."""
    dataset = dataset_of(rows.astype(dtype), WEIGHTS["shared"])
    n_models = len(hyper.rate)
    options = OPTIONS | {"n_models": n_models, "scaling": scaling}
    training = engine.Engine(dataset, 3, batch_size=50, optimizer="sgd", **options)
    evaluating = engine.Engine(dataset, 3, batch_size=64, **options)
    measured, states_of_epochs = [], []
    drawn = iter(orders(n_epochs))
    with training, evaluating:
        states = training.to_device()
        for chunks in training.epochs(lambda: next(drawn), n_epochs):
            states, means = training.train_epoch(states, chunks, hyper)
            states_of_epochs.append(states)
            whole = evaluating.states_of(training, states)
            measured.append([*means, *evaluating.evaluate(whole)])
            largest = [training.largest_weight(states, m) for m in range(n_models)]
            V, slots = training.to_numpy(states)
            assert slots == ()
            np.testing.assert_allclose(largest, abs(V).max(axis=(1, 2)), rtol=1e-6)
    return V, np.array(measured), states_of_epochs


def hyper_with(l2, rate=0.1):
    l2 = np.array(l2, float)
    return Hyperparameters(l2 * 0 + rate, l2 * 0, l2, l2 * 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scaling", mostly_slow([STANDARD], (Scaling(0.5),)), ids=["standard", "r"]
)
def test_lazy_steps_on_sparse_rows_are_those_on_dense_rows(
    cut, small_chunks, monkeypatch, scaling
):
    """Over several chunks and epochs, between which a factor is carried."""
    monkeypatch.setattr(batches, "MAX_MICRO_BATCH", 64)
    cut(1, 2, 2)
    hyper = hyper_with([0.0, 0.01, 0.5, 3.0])
    V, measured, states = descended(SPARSE, hyper, scaling=scaling)
    factors = np.concatenate([state.factor for state in states[-1]])[:, 0]
    # Of the last chunk, that of one batch of 50 rows or less.
    np.testing.assert_allclose(factors, 1 / (1 + hyper.rate * hyper.l2))
    expected, expected_measured, _ = descended(SPARSE.toarray(), hyper, scaling=scaling)
    np.testing.assert_allclose(V, expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(measured, expected_measured, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", mostly_slow([np.float64], (np.float32,)))
def test_where_a_penalty_would_end_the_factor_steps_are_not_lazy(cut, dtype):
    """There are 128 batches in a chunk; models with a weak penalty are right, too."""
    cut(100, 100, 1)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    # exp(23) is what a chunk may shrink weights by.
    at_most, beyond = (np.expm1(23 / 128 * x) / 0.1 for x in (0.99, 1.01))
    for strengths, is_lazy in (
        ([0.1, at_most], True),
        ([0.1, beyond], False),
        ([0.1, 1e30], False),
    ):
        hyper = hyper_with(strengths)
        V, measured, states = descended(SPARSE, hyper, dtype=dtype)
        assert [s[0].factor is not None for s in states] == [is_lazy] * 2
        expected, expected_measured, _ = descended(SPARSE.toarray(), hyper, dtype=dtype)
        for m in range(2):
            atol = rtol * abs(expected[m]).max()
            np.testing.assert_allclose(V[m], expected[m], rtol=0, atol=atol)
        np.testing.assert_allclose(measured, expected_measured, rtol=rtol)


@pytest.mark.slow
def test_steps_may_be_lazy_in_some_epochs_alone(cut):
    """As where a rate falls; what is left of the factor is multiplied in before."""
    cut(100, 100, 1)
    dataset = dataset_of(SPARSE, WEIGHTS["shared"])
    options = OPTIONS | {"n_models": 2, "scaling": STANDARD}
    results = []
    for rows in (dataset, dataset_of(SPARSE.toarray(), WEIGHTS["shared"])):
        training = engine.Engine(rows, 3, batch_size=50, optimizer="sgd", **options)
        drawn = iter(orders(3))
        with training:
            states, factors = training.to_device(), []
            epochs = training.epochs(lambda it=drawn: next(it), 3)
            for chunks, l2 in zip(epochs, (0.1, 1e3, 0.1), strict=True):
                hyper = hyper_with([l2, l2 / 2])
                states, _ = training.train_epoch(states, chunks, hyper)
                factors.append(states[0].factor is not None)
            results.append(training.to_numpy(states)[0])
        assert factors == ([True, False, True] if rows is dataset else [False] * 3)
    np.testing.assert_allclose(*results, rtol=1e-12)


@pytest.mark.parametrize("rows", mostly_slow([SPARSE], (X,)), ids=["sparse", "dense"])
def test_a_penalty_that_overflows_leaves_the_intercept_without_a_warning(cut, rows):
    cut(100, 100, 1)
    hyper = hyper_with([1e300, 1e300], rate=1e10)
    V, _, _ = descended(rows, hyper, n_epochs=1)
    assert not V[..., :-1].any()
    assert np.isfinite(V).all()


@pytest.mark.parametrize("spoilt", [(0, 0, 2), (0, 0, 5)], ids=["weight", "intercept"])
@pytest.mark.parametrize("rows", [X, SPARSE], ids=["dense", "sparse"])
def test_the_largest_weight_is_nan_where_a_weight_is(rows, spoilt):
    dataset = dataset_of(rows)
    with engine.Engine(dataset, 3, batch_size=50, optimizer="sgd", **OPTIONS) as one:
        V = np.ones((1, 3, 6))
        V[0, 1, 3], V[0, 2, 5] = -4, 3
        assert one.largest_weight(one.to_device(V), 0) == 4
        V[0, 2, 5] = -5
        assert one.largest_weight(one.to_device(V), 0) == 5
        V[spoilt] = np.nan
        assert np.isnan(one.largest_weight(one.to_device(V), 0))


@pytest.mark.parametrize("of_training", [X, SPARSE], ids=["dense", "sparse"])
def test_rows_of_either_kind_measure_what_the_other_has_trained(cut, of_training):
    cut(1, 2, 2)
    options = OPTIONS | {"n_models": 4}
    held_out = SPARSE if of_training is X else X
    training, measuring, other = (
        engine.Engine(dataset_of(rows), 3, batch_size=50, **options)
        for rows in (of_training, held_out, held_out)
    )
    V = RANDOM_V[:4]
    with training, measuring, other:
        states = measuring.states_of(training, training.to_device(V))
        means = measuring.evaluate(states)
        expected = other.evaluate(other.to_device(V))
    np.testing.assert_array_equal(means, expected)
