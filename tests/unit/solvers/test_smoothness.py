"""L and L_max, against NumPy's eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tests.problems import classic, mostly_slow, problem
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import Scaling
from tfsoftmax.solvers.smoothness import Smoothness, smoothness

N, N_FEATURES = 60, 7
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, N_FEATURES)) * (RNG.random((N, N_FEATURES)) < 0.5) + 0.25
S = RNG.uniform(0.1, 3, N)
S /= S.mean()
Y = np.zeros(N, np.int32)
FACTOR, MEAN = RNG.uniform(0.5, 2, N_FEATURES), RNG.normal(size=N_FEATURES)
SCALINGS = {
    "plain": Scaling(),
    "a number": Scaling(0.7),
    "standard": Scaling(FACTOR, MEAN),
}


def expected(X, weights, scaling, intercept):
    x = (X - (0 if scaling.mean is None else scaling.mean)) * scaling.factor
    x = np.column_stack([x, np.ones(len(x))]) if intercept else x
    weights = np.ones(len(x)) if weights is None else weights
    L = np.linalg.eigvalsh(x.T @ (weights[:, None] * x) / len(x))[-1] / 2
    return L, (weights * (x**2).sum(axis=1)).max() / 2


@pytest.mark.parametrize(
    ("kind", "scaling", "intercept", "weights"),
    mostly_slow(
        [
            (np.asarray, "plain", True, None),
            (np.asarray, "standard", False, S),
            (sparse.csr_array, "standard", True, S),
        ],
        (np.asarray, "a number", True, S),
        (np.asarray, "standard", True, None),
        (sparse.csr_array, "plain", False, None),
        (sparse.csr_array, "a number", True, None),
    ),
)
def test_they_are_those_of_the_features_that_the_model_sees(
    kind, scaling, intercept, weights
):
    scaling = SCALINGS[scaling]
    found = smoothness(
        Dataset(kind(X), Y, weights), scaling=scaling, fit_intercept=intercept
    )
    L, L_max = expected(X, weights, scaling, intercept)
    assert found.all_rows == pytest.approx([L], rel=5e-3)
    assert found.one_row == pytest.approx([L_max], rel=1e-12)


def test_each_model_has_that_of_its_weights():
    weights = np.stack([np.ones(N), S])
    found = smoothness(Dataset(X, Y, weights), scaling=Scaling(), fit_intercept=True)
    for model in range(2):
        L, L_max = expected(X, weights[model], Scaling(), True)
        assert found.all_rows[model] == pytest.approx(L, rel=5e-3)
        assert found.one_row[model] == pytest.approx(L_max, rel=1e-12)


def test_the_expected_smoothness_lies_between_that_of_all_rows_and_of_one():
    found = Smoothness(np.array([2.0]), np.array([10.0]), 50)
    assert found.expected(50, 0) == 2.0
    assert found.expected(1, 0) == 10.0
    b, n = 5, 50
    by_formula = n * (b - 1) / (b * (n - 1)) * 2 + (n - b) / (b * (n - 1)) * 10
    assert found.expected(b, 3) == pytest.approx(by_formula)
    assert Smoothness(np.zeros(1), np.zeros(1), 9).expected(3, 0) == 1.0


@pytest.mark.parametrize(
    ("seed", "parameters"),
    mostly_slow(
        [(0, {}), (1, {"alpha": 0.5, "class_weight": "balanced"})],
        (2, {"rescale": "standard"}),
        (3, {"fit_intercept": False, "alpha": 0.1}),
        (4, {"alpha": 0.01, "l1_ratio": 0.5}),
        (5, {"rescale": "standard", "alpha": 10.0}),
    ),
)
def test_with_all_rows_in_one_batch_each_step_lowers_the_objective(seed, parameters):
    X, y, s = problem(seed=seed)
    X = X * np.array([1, 10, 0.1, 3, 1])
    values = []
    for epochs in range(1, 25, 4):
        clf = classic(len(X), "auto", epochs, **parameters).fit(X, y, s)
        values += clf.loss_curve_[-1:]
    if not parameters.get("alpha"):
        assert (np.diff(clf.loss_curve_) < 0).all()
    assert values[-1] < values[0]
    assert clf.learning_rate_ > 0


@pytest.mark.slow
def test_momentum_takes_the_part_of_the_rate_that_it_adds():
    X, y, _ = problem()
    plain = classic(20, "auto", 1).fit(X, y)
    for optimizer in ("momentum", "nesterov"):
        clf = classic(20, "auto", 1, optimizer=optimizer, momentum=0.75).fit(X, y)
        assert clf.learning_rate_ == pytest.approx(plain.learning_rate_ / 4)
