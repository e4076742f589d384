"""The penalty's proximal step, against its definition and the literature."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar

from tfsoftmax.engine.penalty import MAX_STEPS_OWED, ProximalStep, nothing_owed
from tfsoftmax.engine.spec import Hyperparameters


def penalty(l1=0.0, l2=0.0, dtype=np.float64):
    return Hyperparameters(None, None, *(tf.constant(h, dtype) for h in (l2, l1)))


def steps(zs, step, owed, **strengths):
    """Weights and what they owe after each proximal step; z is relative to w."""
    w, trace = np.zeros_like(zs[0]), []
    for z in zs:
        prox = ProximalStep(penalty(**strengths), owed)
        w = prox(tf.constant(w + z), tf.constant(step, w.dtype)).numpy()
        owed = tuple(o.numpy() for o in prox.owed)
        trace.append((w, *owed))
    return trace


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 2.0), (0.7, 0.0), (0.7, 2.0)])
@pytest.mark.parametrize("step", [0.01, 0.5, 20.0])
def test_it_is_the_minimiser_of_its_objective(l1, l2, step):
    z = np.array([-3.0, -0.5, -0.2, 0.0, 0.1, 0.5, 0.7])
    owed = nothing_owed(z) if l1 else ()
    [(w, *_)] = steps([z], step, owed, l1=l1, l2=l2)

    def best(z):
        def objective(w):
            return step * (l1 * abs(w) + l2 / 2 * w**2) + (w - z) ** 2 / 2

        return minimize_scalar(objective, (-4, 4), tol=1e-10).x

    np.testing.assert_allclose(w, [best(each) for each in z], rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("l1", [False, True])
def test_without_a_penalty_no_bit_changes(dtype, compiled, l1):
    z = np.random.default_rng(0).normal(size=1000).astype(dtype)
    z = z * dtype(10.0) ** np.arange(-20, 20).repeat(25).astype(dtype)
    step = tf.constant(0.1, dtype)

    @tf.function(jit_compile=True)
    def by_xla(z, owed):
        prox = ProximalStep(penalty(dtype=dtype), owed)
        return prox(z, step), prox.owed

    function = by_xla if compiled else by_xla.python_function
    w, owed = function(tf.constant(z), nothing_owed(z) if l1 else ())
    assert w.numpy().tobytes() == z.tobytes()
    assert len(owed) == 2 * l1
    assert not any(np.any(o) for o in owed)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_it_is_the_cumulative_penalty_in_the_units_of_a_carried_scalar(l2):
    """That of Tsuruoka et al., for U with W = a U, and a shrunk by the L2 part."""
    rng, step, l1 = np.random.default_rng(0), 0.1, 0.5
    moves = [rng.normal(scale=0.2, size=50) for _ in range(100)]
    U, q, u, a = np.zeros(50), np.zeros(50), 0.0, 1.0
    actual = steps(moves, step, nothing_owed(U), l1=l1, l2=l2)
    n_zeros = 0
    for move, (w, positive, negative) in zip(moves, actual, strict=True):
        z = U + move / a
        u += step * l1 / a
        U = np.where(z > 0, np.maximum(0, z - (u + q)), np.minimum(0, z + (u - q)))
        q += U - z
        a /= 1 + step * l2
        np.testing.assert_allclose(w, a * U, rtol=0, atol=1e-12)
        np.testing.assert_allclose((positive + negative) / 2, a * u, rtol=1e-12)
        np.testing.assert_allclose((positive - negative) / 2, a * q, rtol=0, atol=1e-12)
        n_zeros += (w == 0).sum()
    assert 1000 < n_zeros < 4900


def test_a_weight_is_lifted_off_zero_by_the_mean_of_its_gradients_alone():
    rng, step, l1 = np.random.default_rng(0), 0.1, 0.5
    means = np.array([0.0, 0.3, -0.3, 0.7, -0.7])
    moves = step * (means + rng.normal(size=(800, 5)))
    trace = np.array([w for w, *_ in steps(moves, step, nothing_owed(means), l1=l1)])
    at_zero = (trace[200:] == 0).mean(axis=0)
    assert (at_zero[:3] > 0.99).all()
    np.testing.assert_array_equal(at_zero[3:], 0)
    np.testing.assert_array_equal(np.sign(trace[-1, 3:]), [1, -1])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_weight_owes_no_more_than_so_many_steps(dtype):
    step, l1 = 0.1, 0.5
    up, still, down = np.array([[0.1], [0.0], [-0.1]], dtype)
    moves = [up] * 400 + [still] * 400 + [down] * 700
    trace = steps(moves, step, nothing_owed(up), l1=l1, dtype=dtype)
    w, positive, negative = (np.squeeze(a) for a in zip(*trace, strict=True))
    most = MAX_STEPS_OWED * step * l1
    # A side is paid to after it is owed.
    assert max(positive.max(), negative.max()) <= most + 0.11
    np.testing.assert_allclose(w[:400], 0.05 * np.arange(1, 401), rtol=1e-4)
    assert w[799] < 1
    # On the way down it stops at 0 until the other side's debt is paid.
    stopped = 800 + np.flatnonzero(w[800:] == 0)
    assert len(stopped) <= 2 * MAX_STEPS_OWED
    assert w[-1] < -1


def test_shrinkage_and_threshold_take_any_strength():
    z = np.array([-1.0, 1e-3, 5.0])
    for strengths in ({"l2": 1e150}, {"l1": 1e150}, {"l1": 1e150, "l2": 1e150}):
        trace = steps([z] * 3, 1.0, nothing_owed(z), **strengths)
        assert np.isfinite(trace).all()
        assert abs(trace[-1][0]).max() < 1e-100
