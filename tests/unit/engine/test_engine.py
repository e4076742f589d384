"""Passes: models in blocks on threads are the models in one block, and alone."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from tests.problems import problem
from tfsoftmax.data import loader
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine import engine, placement, program

X, Y, S = problem()
N_MODELS = 6
OWN = np.random.default_rng(1).uniform(0.1, 3, (N_MODELS, len(X)))
OWN *= len(X) / OWN.sum(axis=1, keepdims=True)


def rows_of(X=X, weights=None, y=Y):
    y = y.astype(np.int32) if y.ndim == 1 else y
    return Dataset(X, y, weights)


def hyper_of(n_models=N_MODELS):
    rate = np.geomspace(0.01, 1, n_models)
    return np.array([rate, rate * 0 + 0.9, rate / 50, rate / 30])


def orders(n_epochs=2):
    rng = np.random.RandomState(0)
    return [rng.permutation(len(X)).astype(np.int32) for _ in range(n_epochs)]


def run(rows, n_models=N_MODELS, hyper=None, *, optimizer="sgd", batch_size=50):
    """Train for two epochs: weights, slots, and each epoch's losses and accuracies."""
    options = {"fit_intercept": True, "rescale": 0.5, "n_models": n_models}
    training = engine.Engine(
        rows, 3, batch_size=batch_size, optimizer=optimizer, **options
    )
    measuring = engine.Engine(rows, 3, batch_size=64, **options)
    measured = []
    with training, measuring:
        states = training.start()
        for order in orders():
            states, *sums = training.train(
                states, order, hyper_of() if hyper is None else hyper
            )
            measured.append([*sums, *measuring.measure(states)])
        V, slots = training.finish(states)
        each = [training.model_weights(states, m) for m in range(n_models)]
    return V, slots, np.array(measured), each


@pytest.fixture
def cut(monkeypatch):
    """Give a function that sets how large blocks are and how many threads there are."""

    def set_to(smallest, largest, n_threads):
        monkeypatch.setattr(engine, "MIN_MODELS_PER_BLOCK", smallest)
        monkeypatch.setattr(engine, "MAX_MODELS_PER_BLOCK", largest)
        monkeypatch.setattr(program, "n_threads", lambda: n_threads)

    return set_to


CUTS = [(1, 1, 2), (4, 16, 2)]  # blocks of one model, and of three
WEIGHTS = {"none": None, "shared": S / S.mean(), "own": OWN}


@pytest.mark.parametrize(("weights", "optimizer"), [("shared", "adam"), ("own", "sgd")])
def test_results_do_not_depend_on_the_blocks(cut, weights, optimizer):
    rows = rows_of(weights=WEIGHTS[weights])
    cut(100, 100, 1)
    V, slots, measured, _ = run(rows, optimizer=optimizer)
    assert V.shape == (N_MODELS, 3, 6)
    for smallest, largest, n_threads in CUTS:
        cut(smallest, largest, n_threads)
        own_V, own_slots, own_measured, _ = run(rows, optimizer=optimizer)
        np.testing.assert_allclose(own_V, V, rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(own_measured, measured, rtol=1e-10)
        assert len(own_slots) == len(slots)
        for own, one in zip(own_slots, slots, strict=True):
            np.testing.assert_allclose(own, one, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("weights", ["shared", "own"])
def test_each_model_is_the_model_alone(cut, weights):
    cut(1, 3, 2)
    V, _, measured, each = run(rows_of(weights=WEIGHTS[weights]))
    for m in range(N_MODELS):
        own = OWN[m] if weights == "own" else WEIGHTS[weights]
        alone = run(rows_of(weights=own), 1, hyper_of()[:, m : m + 1])
        np.testing.assert_allclose(V[m], alone[0][0], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(measured[:, :, m], alone[2][:, :, 0], rtol=1e-10)
        np.testing.assert_array_equal(each[m][0][0], V[m])


BYTES = np.clip(X * 9 + 30, 0, 255).astype(np.uint8)
SOFT = np.random.default_rng(0).dirichlet(np.ones(3), len(X))


@pytest.mark.parametrize(
    ("rows", "y"),
    [(sparse.csr_array(X), Y), (BYTES, Y), (X, SOFT)],
    ids=["sparse", "uint8", "soft labels"],
)
def test_own_weights_reach_every_block_for_all_kinds_of_rows(cut, rows, y):
    cut(100, 100, 1)
    V, _, measured, _ = run(rows_of(rows, OWN, y), hyper=hyper_of() / 100)
    cut(1, 1, 2)
    own_V, _, own_measured, _ = run(rows_of(rows, OWN, y), hyper=hyper_of() / 100)
    np.testing.assert_allclose(own_V, V, rtol=0, atol=1e-5 * abs(V).max())
    np.testing.assert_allclose(own_measured, measured, rtol=1e-5)
    assert len(np.unique(measured[0, 0])) == N_MODELS


def test_own_weights_that_are_all_the_same_are_shared_weights():
    shared = S / S.mean()
    rate = np.full((4, 3), [[0.1], [0.9], [0.0], [0.0]])
    together = run(rows_of(weights=np.stack([shared] * 3)), 3, rate)
    alone = run(rows_of(weights=shared), 3, rate)
    np.testing.assert_allclose(together[0], alone[0], rtol=1e-12)
    np.testing.assert_allclose(together[2], alone[2], rtol=1e-12)


def test_results_depend_neither_on_chunks_nor_on_tiles(cut, monkeypatch):
    rows = rows_of(weights=OWN)
    cut(1, 3, 2)
    V, _, measured, _ = run(rows)
    monkeypatch.setattr(loader, "MAX_CHUNK_ROWS", 100)
    small_chunks = run(rows)
    np.testing.assert_allclose(small_chunks[0], V, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(small_chunks[2], measured, rtol=1e-10)
    monkeypatch.setattr(loader, "MAX_TILE", 16)
    small_tiles = run(rows)
    np.testing.assert_allclose(small_tiles[0], V, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(small_tiles[2], measured, rtol=1e-10)


def test_training_goes_on_from_the_weights_it_is_given(cut):
    cut(1, 3, 2)
    options = {"batch_size": 50, "fit_intercept": True, "rescale": 0.5}
    training = engine.Engine(
        rows_of(weights=OWN), 3, optimizer="adam", n_models=N_MODELS, **options
    )
    first, second = orders()
    with training:
        states, *_ = training.train(training.start(), first, hyper_of())
        V, slots = training.finish(states)
        states, *_ = training.train(training.start(V, slots), second, hyper_of())
        again = training.finish(states)[0]
    np.testing.assert_array_equal(again, run(rows_of(weights=OWN), optimizer="adam")[0])


def test_weights_of_one_model_are_arrays_of_their_own():
    _, _, _, each = run(rows_of())
    V, slots = each[0]
    assert V.shape == (1, 3, 6)
    V[:] = 0
    assert slots == ()
    training = engine.Engine(
        rows_of(), 3, batch_size=50, fit_intercept=True, rescale=1.0, optimizer="sgd"
    )
    with training, pytest.raises(IndexError):
        training.model_weights(training.start(), 1)


def test_threads_are_gone_after_a_pass(cut):
    cut(1, 1, 3)
    run(rows_of())
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("tfsoftmax-models")]


def test_threads_are_gone_after_an_error(cut):
    cut(1, 1, 3)
    training = engine.Engine(
        rows_of(),
        3,
        batch_size=50,
        fit_intercept=True,
        rescale=1.0,
        optimizer="sgd",
        n_models=3,
    )
    with pytest.raises(IndexError), training:
        training.train(training.start(), np.full(len(X), 10**6), hyper_of(3))
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("tfsoftmax-models")]


@given(st.integers(1, 300), st.integers(1, 64))
@settings(max_examples=200, deadline=None)
@example(1, 1)
@example(16, 1)
@example(17, 1)
@example(33, 2)
@example(5, 64)
def test_blocks_cover_the_models_evenly(n_models, n_threads):
    blocks = placement.model_blocks(n_models, n_threads)
    assert [m for b in blocks for m in range(b.start, b.stop)] == list(range(n_models))
    sizes = [block.stop - block.start for block in blocks]
    assert min(sizes) >= 1
    assert max(sizes) <= placement.MAX_MODELS_PER_BLOCK
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("n_models", "n_threads", "n_blocks"),
    [(1, 2, 1), (4, 2, 1), (5, 2, 2), (16, 1, 1), (17, 1, 2), (32, 2, 2), (40, 2, 4)],
)
def test_there_are_as_many_blocks_as_threads_where_there_are_several(
    n_models, n_threads, n_blocks
):
    assert len(placement.model_blocks(n_models, n_threads)) == n_blocks
