"""The objective of a full-batch solver, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tests import reference
from tests.problems import problem
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.full_batch import FullBatch
from tfsoftmax.solvers.objective import Objective, check_finite
from tfsoftmax.validation.weights import row_weights

X, Y, S = problem(57)
ALPHA = 0.3


@pytest.fixture(params=[2, 3])
def evaluated(request):
    """The objective's value at random weights, and the same by NumPy.

    The weights are those of centred features: (W, b + W m).
    """
    n_classes = request.param
    y = np.minimum(Y, n_classes - 1)
    dataset = Dataset(X, y.astype(np.int32), row_weights(S, len(X)))
    U = np.random.default_rng(1).normal(size=(n_classes - (n_classes == 2), 6))
    centred = X - np.average(X, axis=0, weights=S)

    def by_numpy(U):
        U = U.reshape(-1, 6)
        losses = reference.cross_entropy(centred, y, U[:, :-1], U[:, -1], n_classes)
        return S @ losses / S.sum() + ALPHA / 2 * (U[:, :-1] ** 2).sum()

    rows = FullBatch(dataset, n_classes, fit_intercept=True, scaling=Scaling())
    with rows:
        yield Objective(rows, ALPHA, np.dtype(np.float64))(U), U, by_numpy


def test_the_objective_is_the_loss_and_a_penalty_on_all_but_the_intercept(evaluated):
    evaluation, U, by_numpy = evaluated
    expected = by_numpy(U)
    assert pytest.approx(expected, rel=1e-12) == evaluation.F
    penalty = ALPHA / 2 * (U[..., :-1] ** 2).sum()
    assert evaluation.loss == pytest.approx(evaluation.F - penalty, rel=1e-12)
    assert 0 < evaluation.accuracy < 1
    assert evaluation.U is U


def test_the_gradient_is_that_of_finite_differences(evaluated):
    evaluation, U, by_numpy = evaluated
    numeric = approx_fprime(U.ravel(), by_numpy, 1e-7)
    assert evaluation.gradient.shape == U.shape
    np.testing.assert_allclose(evaluation.gradient.ravel(), numeric, atol=1e-6)


def test_numbers_that_are_not_finite_are_refused():
    check_finite(1.0, np.ones(3))
    for numbers in ((np.nan,), (1.0, np.array([0.0, np.inf]))):
        with pytest.raises(ValueError, match="became non-finite"):
            check_finite(*numbers)
