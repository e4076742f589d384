"""Whether held-out rows look like the training rows, whatever those look like."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.preprocessing import (
    MinMaxScaler,
    Normalizer,
    QuantileTransformer,
    StandardScaler,
)

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.ranges import MAX_SHARE_BEYOND, share_beyond

RNG = np.random.default_rng(0)
CATEGORIES = np.minimum(RNG.geometric(0.05, (1000, 3)) - 1, 99)
TABLES = {
    "iris": load_iris().data,
    "wine": load_wine().data,
    "breast cancer": load_breast_cancer().data,
    "digits": load_digits().data,
    "bytes": (load_digits().data * 15.9).astype(np.uint8),
    "one-hot": np.eye(100)[CATEGORIES].reshape(1000, 300),
    "log-normal": np.exp(3 * RNG.normal(size=(1000, 10))),
    "Cauchy": RNG.standard_cauchy((1000, 10)),
    "constant": np.ones((100, 3)),
    "counts": RNG.poisson(4 / np.arange(1, 1001), (500, 1000)),
    "few": RNG.normal(size=(30, 2)),
}
SCALED = ["iris", "wine", "breast cancer", "digits", "bytes", "log-normal"]
SCALERS = [StandardScaler(), MinMaxScaler(), QuantileTransformer(n_quantiles=50)]


def share(X, X_val):
    rows, held_out = (Dataset(each, np.zeros(each.shape[0])) for each in (X, X_val))
    actual = share_beyond(held_out, rows)
    assert actual == share_beyond(rows, held_out)
    return actual


def halves(X):
    order = np.random.default_rng(1).permutation(len(X))
    return X[order[::2]], X[order[1::2]]


@pytest.mark.parametrize("n_held_out", [1, 3, 10, 50, 500])
@pytest.mark.parametrize("name", TABLES)
def test_rows_drawn_alike_look_alike(name, n_held_out):
    X, X_val = halves(TABLES[name])
    limit = 0.2 if len(X_val[:n_held_out]) < 20 else 0.1
    assert share(X, X_val[:n_held_out]) < limit < MAX_SHARE_BEYOND
    packed = sparse.csr_array(X), sparse.csr_array(X_val[:n_held_out])
    assert share(*packed) < limit
    assert share(X, packed[1]) == share(*packed) == share(X, X_val[:n_held_out])


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
@pytest.mark.parametrize("name", SCALED)
def test_rows_that_were_scaled_look_unlike_those_that_were_not(name, scaler):
    X, X_val = halves(TABLES[name])
    scaler.fit(X)
    for part in (slice(None), slice(20)):
        raw, scaled = X_val[part], scaler.transform(X_val[part])
        assert share(scaler.transform(X), raw) > 0.4 > MAX_SHARE_BEYOND
        assert share(X, scaled) > 0.4
        assert share(scaler.transform(X), scaled) < 0.2


def test_rare_features_of_sparse_rows_are_compared_by_their_values():
    X, X_val = halves(TABLES["counts"])
    weights = [Normalizer().transform(sparse.csr_array(each)) for each in (X, X_val)]
    assert share(*weights) < 0.1
    assert share(weights[0], sparse.csr_array(X_val)) > 0.9


def test_a_large_table_is_sampled_all_along_it():
    X = np.sort(np.random.default_rng(0).normal(size=(50_000, 2)), axis=0)
    assert share(X, X[::50]) < 0.05
    part = Dataset(X, np.zeros(len(X))).take(np.arange(40_000, 50_000))
    whole = Dataset(X, np.zeros(len(X)))
    assert share_beyond(part, whole) > 0.5
