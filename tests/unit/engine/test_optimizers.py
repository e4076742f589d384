"""The optimizers, against the textbook's formulas in NumPy and against Keras."""

from __future__ import annotations

import os

# Keras takes its backend when first imported.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np
import pytest
import tensorflow as tf

from tests import reference
from tests.problems import EACH_OPTIMIZER, classic, mostly_slow, problem
from tfsoftmax.engine.optimizers import (
    OPTIMIZERS,
    fitting_slots,
    initial_slots,
    take_step,
)
from tfsoftmax.engine.spec import Hyperparameters

NAMES = sorted(OPTIMIZERS)
RATES = np.array([0.1, 0.03])[:, None, None]
MOMENTA = np.array([0.9, 0.5])[:, None, None]


def run(name, V, gradient, rates, momentum=0.0, l1=0.0, l2=0.0):
    """The weights after each step; `gradient` is that of the cross-entropy at V."""
    dtype, has_l1 = V.dtype, bool(np.any(l1))
    slots = tuple(map(tf.constant, initial_slots(name, V, l1=has_l1)))
    V = tf.constant(V)
    trace = []
    for rate in rates:
        hyper = Hyperparameters(
            *(tf.constant(h, dtype) for h in (rate, momentum, l2, l1))
        )
        G = tf.constant(gradient(V))
        V, slots = take_step(name, V, G, slots, hyper, l1=has_l1)
        trace.append(V.numpy())
    return trace


def textbook(name, V, gradient, rates, mu, prox=lambda z, step: z):
    """The same with a velocity v, as the literature has it."""
    v, m, s, trace = 0.0, 0.0, 0.0, []
    descended = V
    for t, rate in enumerate(rates, start=1):
        g = gradient(V)
        if name == "sgd":
            V = prox(V - rate * g, rate)
        elif name == "momentum":  # Polyak, 1964
            new = prox(V + mu * v - rate * g, rate)
            v, V = new - V, new
        elif name == "nesterov":  # Sutskever et al., 2013, at the point looked ahead to
            new = prox(descended + mu * v - rate * g, rate)
            v, descended = new - descended, new
            V = descended + mu * v
        else:  # Kingma and Ba, 2015, epsilon as in the text after algorithm 1
            m = 0.9 * m + 0.1 * g
            s = 0.999 * s + 0.001 * g**2
            step = rate * np.sqrt(1 - 0.999**t) / (np.sqrt(s) + 1e-7)
            V = prox(V - step * m / (1 - 0.9**t), step)
        trace.append(V)
    return trace


def quadratic(shape, seed=0):
    """The gradient of Σ a/2 (V − c)² over the coordinates."""
    rng = np.random.default_rng(seed)
    a, c = rng.uniform(0.5, 4.0, shape), rng.normal(size=shape)
    return lambda V: a * (np.asarray(V) - c)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mu", [0.0, MOMENTA], ids=["plain", "with momentum"])
@pytest.mark.parametrize("n_steps", [1, 2, 25])
def test_steps_equal_the_textbook(name, mu, n_steps):
    V = np.random.default_rng(1).normal(size=(2, 3, 4))
    rates = [RATES / (1 + k / 10) for k in range(n_steps)]
    gradient = quadratic(V.shape)
    expected = textbook(name, V, gradient, rates, mu)
    actual = run(name, V, gradient, rates, mu)
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-13)
    assert abs(actual[-1] - V).max() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_without_momentum_all_but_adam_are_plain_descent(name):
    V, gradient = np.ones((2, 3, 4)), quadratic((2, 3, 4))
    rates = [RATES] * 10
    same = np.allclose(
        run(name, V, gradient, rates), run("sgd", V, gradient, rates), rtol=1e-12
    )
    assert same == (name != "adam")


@pytest.mark.parametrize("name", NAMES)
def test_models_differ_in_their_rates_and_momenta(name):
    V, gradient = np.ones((2, 3, 4)), quadratic((1, 3, 4))
    stacked = run(name, V, gradient, [RATES] * 5, MOMENTA)
    for model in (0, 1):
        alone = run(
            name, V[:1], gradient, [RATES[model]] * 5, MOMENTA[model : model + 1]
        )
        np.testing.assert_array_equal(np.array(stacked)[:, [model]], alone)
    assert (stacked[-1][0] != stacked[-1][1]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_fifty_steps_equal_keras(name, mu):
    import keras

    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(200, 6)).astype(np.float32), rng.integers(0, 4, 200)

    def gradient(V):  # of a softmax problem; in NumPy, so the same for both
        W = np.asarray(V, np.float64)[0]
        dW, db = reference.gradient(X, y, np.ones(200), W[:, :-1], W[:, -1], 4)
        return (np.column_stack([dW, db])[None] / 200).astype(np.float32)

    V = rng.normal(size=(1, 4, 7)).astype(np.float32)
    variable = keras.Variable(V)
    optimizer = {
        "sgd": keras.optimizers.SGD(0.1),
        "momentum": keras.optimizers.SGD(0.1, momentum=mu),
        "nesterov": keras.optimizers.SGD(0.1, momentum=mu, nesterov=True),
        "adam": keras.optimizers.Adam(0.1),
    }[name]
    expected = []
    for _ in range(50):
        optimizer.apply([tf.constant(gradient(variable.numpy()))], [variable])
        expected.append(variable.numpy())
    actual = run(name, V, gradient, [0.1] * 50, mu)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=5e-6)
    assert abs(actual[-1] - V).max() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_without_l1_every_step_is_the_smooth_one_to_the_bit(name):
    V, gradient = np.ones((1, 2, 4)), quadratic((1, 2, 4))
    l1 = np.array([0.0, 0.0, 0.5, 0.0])  # on the third column alone
    with_l1 = run(name, V, gradient, [0.1] * 20, 0.9, l1)
    without = run(name, V, gradient, [0.1] * 20, 0.9)
    unpenalized = [0, 1, 3]
    np.testing.assert_array_equal(
        np.array(with_l1)[..., unpenalized], np.array(without)[..., unpenalized]
    )
    assert (with_l1[-1][..., 2] != without[-1][..., 2]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_optimizers_converge_to_the_closed_form_of_the_lasso(name, mu):
    # a/2 (w − c)² + λ|w| is least at c moved towards 0 by λ/a, and stopped there.
    a = np.array([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])
    c = np.array([2.0, -1.0, 0.9, -0.4, 0.1, 0.3])
    l1 = np.array([0.5] * 5 + [0.0])  # the last column is the intercept
    best = np.sign(c) * np.maximum(abs(c) - l1 / a, 0)
    assert (best == 0).sum() == 3
    # Adam's steps don't shrink by themselves.
    rates = 0.1 * 0.995 ** np.arange(3000) if name == "adam" else [0.1] * 800
    start = np.array([[[-1.0, 1.0, 3.0, 0.0, -2.0, 0.0]]])
    w = run(name, start, lambda V: a * (np.asarray(V) - c), rates, mu, l1)[-1][0, 0]
    np.testing.assert_allclose(w, best, rtol=1e-6)
    np.testing.assert_array_equal(w == 0, best == 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("l1", [False, True])
def test_a_step_returns_slots_like_the_initial_ones(name, l1):
    V = np.ones((2, 3, 4))
    slots = initial_slots(name, V, l1=l1)
    hyper = Hyperparameters(RATES, MOMENTA, *np.zeros((2, 2, 1, 4)))
    stepped, new_slots = take_step(name, V, V, slots, hyper, l1=l1)
    assert stepped.shape == V.shape
    assert [tuple(s.shape) for s in new_slots] == [s.shape for s in slots]
    assert all(slot.shape[0] == len(V) for slot in slots)  # an axis for the models
    assert not any(np.shares_memory(slot, V) for slot in slots)
    assert len(slots) == len(OPTIMIZERS[name].init(V)) + 2 * l1


@pytest.mark.parametrize("name", NAMES)
def test_slots_fit_a_penalty_that_comes_or_goes(name):
    V = np.ones((2, 3, 4))
    without, with_l1 = (initial_slots(name, V, l1=l1) for l1 in (False, True))
    used = tuple(slot + 1 for slot in with_l1)
    n_own = len(without)
    for l1, before, expected in (
        (True, used, used),
        (True, used[:n_own], used[:n_own] + with_l1[n_own:]),
        (False, used, used[:n_own]),
        (False, used[:n_own], used[:n_own]),
    ):
        after = fitting_slots(name, V, before, l1=l1)
        for actual, array in zip(after, expected, strict=True):
            np.testing.assert_array_equal(actual, array)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_initial_slots_know_of_no_step(name, dtype):
    V = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(dtype)
    slots = OPTIMIZERS[name].init(V)
    assert all(slot.dtype == dtype for slot in slots)
    zeros, count = np.zeros((2, 3, 4)), np.zeros((2, 1, 1))
    expected = {"sgd": (), "adam": (zeros, zeros, count)}.get(name, (V,))
    for actual, array in zip(slots, expected, strict=True):
        np.testing.assert_array_equal(actual, array)


@pytest.mark.parametrize("name", NAMES)
def test_the_momentum_matters_to_the_optimizers_that_use_it(name):
    V, gradient = np.ones((2, 3, 4)), quadratic((2, 3, 4))
    without, with_momentum = (
        run(name, V, gradient, [RATES] * 3, mu) for mu in (0, 0.9)
    )
    matters = not np.array_equal(without, with_momentum)
    assert matters == ("momentum" in OPTIMIZERS[name].uses)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.5), (0.5, 0.0), (0.4, 0.3)])
def test_the_penalty_is_the_reference_s_proximal_step(name, l1, l2):
    V, gradient = np.ones((2, 3, 4)), quadratic((2, 3, 4))
    l1, l2 = np.array([l1] * 3 + [0.0]), np.array([l2] * 3 + [0.0])  # no intercept
    rates = [RATES / (1 + k / 10) for k in range(30)]
    prox = reference.ElasticNet(l1, l2)
    expected = textbook(name, V, gradient, rates, 0.9, prox)
    actual = run(name, V, gradient, rates, 0.9, l1, l2)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)
    assert (actual[-1] == 0).any() == l1.any()


# Whether there is an L1 penalty is what a program is compiled for.
STEPS = mostly_slow(
    [("momentum", 0.0), ("nesterov", 0.5), ("adam", 1.0)],
    *((name, 0.0) for name in NAMES if name != "momentum"),
    *((name, 0.5) for name in NAMES if name != "nesterov"),
    *((name, 1.0) for name in NAMES if name != "adam"),
)


@pytest.mark.parametrize(("name", "l1_ratio"), STEPS)
def test_the_estimator_takes_these_steps(name, l1_ratio):
    X, y, s = problem(150)

    def gradient(V):
        dW, db = reference.gradient(X, y, s, V[:, :-1], V[:, -1], 3)
        return np.column_stack([dW, db]) / s.sum()

    penalized = np.array([0.2] * 5 + [0.0])
    prox = reference.ElasticNet(penalized * l1_ratio, penalized * (1 - l1_ratio))
    V = textbook(name, np.zeros((3, 6)), gradient, [0.1] * 12, 0.8, prox)[-1]
    clf = classic(150, 0.1, 12, optimizer=name, momentum=0.8, alpha=0.2)
    clf.set_params(l1_ratio=l1_ratio).fit(X, y, s)
    np.testing.assert_allclose(clf.coef_, V[:, :-1], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(clf.intercept_, V[:, -1], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", EACH_OPTIMIZER)
def test_an_l1_penalty_that_erases_all_weights_leaves_the_intercept(name):
    X, y, s = problem(150)
    clf = classic(
        150,
        0.2 if name == "adam" else 1.0,
        400,
        optimizer=name,
        momentum=0.5,
        alpha=10.0,
        l1_ratio=1.0,
        learning_rate_schedule="cosine",
    ).fit(X, y, s)
    np.testing.assert_array_equal(clf.coef_, np.zeros((3, 5)))
    shares = np.bincount(y, s) / s.sum()
    np.testing.assert_allclose(clf.predict_proba(X[:1])[0], shares, rtol=1e-6)
