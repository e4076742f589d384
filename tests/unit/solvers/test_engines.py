"""The engines that a solver takes the rows of its problem through."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from tests import reference
from tests.problems import problem, solver_problem
from tfsoftmax.solvers.engines import make_engines
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem()
X_VAL, Y_VAL, _ = problem(90, seed=1)
RESCALE = 0.5


def engines(dtype=np.float64, held_out=True, models=(0, 2), precision=None):
    """The engines for some of three models, each with different weights of the rows."""
    weights = np.stack([row_weights(s, len(X)) for s in (S, 1 / S, S**2)])
    rows, X_val = X.astype(dtype), X_VAL.astype(dtype)
    return make_engines(
        solver_problem(
            [{"rescale": RESCALE, "alpha": alpha} for alpha in (0, 0.1, 0.2)],
            *(rows, Y, weights),
            held_out=(X_val, Y_VAL) if held_out else None,
        ),
        models,
        batch_size=50,
        optimizer=None,
        l1=False,
        precision=precision,
    ), weights


def losses(X, y, V):
    W, b = V[:, :-1], V[:, -1]
    return reference.cross_entropy(X * RESCALE, y, W, b, 3)


def test_each_model_is_measured_on_its_rows_and_on_the_held_out_ones():
    (training, held_out), weights = engines()
    V = np.random.default_rng(0).normal(size=(2, 3, 6))
    with training, held_out:
        loss, _ = training.evaluate(training.to_device(V))
        val_loss, _ = held_out.evaluate(held_out.to_device(V))
    for i, model in enumerate((0, 2)):
        expected = np.average(losses(X, Y, V[i]), weights=weights[model])
        assert loss[i] == pytest.approx(expected, rel=1e-12)
        expected = losses(X_VAL, Y_VAL, V[i]).mean()
        assert val_loss[i] == pytest.approx(expected, rel=1e-12)


def test_without_held_out_rows_there_is_one_engine():
    (training, held_out), _ = engines(held_out=False)
    assert held_out is None
    with training, held_out or nullcontext():
        assert training.precision == np.float64


@pytest.mark.parametrize("precision", [None, np.dtype(np.float64)])
def test_held_out_rows_are_measured_in_the_precision_of_training(precision):
    (training, held_out), _ = engines(np.float32, precision=precision)
    with training, held_out:
        expected = np.float32 if precision is None else precision
        assert training.precision == held_out.precision == expected
