"""What a search sends to Dask's workers when joblib runs it there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import ClassVar

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tests.problems import estimator
from tests.searches import S, X, Y
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.model_selection.dask_backend import call_with_rows, received
from tfsoftmax.model_selection.jobs import SearchRows

distributed = pytest.importorskip("distributed")

GRID = {"alpha": [0.0, 0.1]}
PARAMS = {"sample_weight": S}, {}


class Counted(np.ndarray):
    """An array that counts how often it, and no part of it, is pickled."""

    pickled: ClassVar[list[int]] = []

    def __reduce__(self):
        Counted.pickled.append(len(self))
        return np.asarray(self).__reduce__()


@contextmanager
def workers(n_workers, *, processes):
    """Start workers of one thread; yield their client."""
    with (
        distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=":0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def client():
    with workers(2, processes=True) as client:
        yield client


def arguments_of(*arguments):
    return arguments


def search(values, **params):
    search = TFSoftmaxGridSearchCV(estimator(epochs=1), GRID, cv=4)
    return search.fit(values, Y, **params)


def assert_same_scores(found, expected):
    name = "mean_test_score"
    np.testing.assert_array_equal(found.cv_results_[name], expected.cv_results_[name])


def test_other_backends_get_the_rows_themselves():
    rows = SearchRows(X, Y, *PARAMS)
    for name in ("sequential", "threading", "loky"):
        with joblib.parallel_config(name):
            arguments = call_with_rows(arguments_of, rows)
        assert arguments[0] is X
        assert received(*arguments) == rows


def test_a_cluster_with_a_single_core_is_sent_the_rows_and_this_process_gets_them():
    with workers(1, processes=False) as client:
        with joblib.parallel_config("dask"):
            found = search(X, sample_weight=S)
        assert not client.futures
    assert_same_scores(found, search(X, sample_weight=S))


@pytest.mark.slow
def test_rows_are_sent_once_for_all_jobs(client):
    Counted.pickled.clear()
    values, weights = X.view(Counted), S.view(Counted)
    with joblib.parallel_config("dask"):
        found = search(values, sample_weight=weights)
    assert Counted.pickled == [len(X)] * 2
    assert_same_scores(found, search(X, sample_weight=S))
    assert not client.futures


@pytest.mark.slow
def test_scattered_rows_are_not_sent_again(client):
    values = X.view(Counted)
    with joblib.parallel_config("dask", scatter=[values, Y]):
        Counted.pickled.clear()
        search(values)
    assert Counted.pickled == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.ndarray.tolist, pd.DataFrame, sparse.csr_array])
def test_rows_of_any_kind_are_sent(kind, client):
    with joblib.parallel_config("dask"):
        found = search(kind(X))
    assert_same_scores(found, search(kind(X)))
