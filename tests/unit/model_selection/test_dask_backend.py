"""What a search sends to Dask's workers when joblib runs it there."""

from __future__ import annotations

from typing import ClassVar

import joblib
import numpy as np
import pytest

from tests.problems import estimator
from tests.searches import X, Y
from tfsoftmax import TFSoftmaxGridSearchCV
from tfsoftmax.model_selection.dask_backend import rows_to_send

distributed = pytest.importorskip("distributed")

GRID = {"alpha": [0.0, 0.1]}


class Counted(np.ndarray):
    """An array that counts how often it, and no part of it, is pickled."""

    pickled: ClassVar[list[int]] = []

    def __reduce__(self):
        Counted.pickled.append(len(self))
        return np.asarray(self).__reduce__()


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def search(values):
    return TFSoftmaxGridSearchCV(estimator(epochs=1), GRID, cv=4).fit(values, Y)


def test_other_backends_get_the_rows_themselves():
    assert rows_to_send(X, Y)[0] is X
    with joblib.parallel_config("threading"):
        assert rows_to_send(X, None)[0] is X


@pytest.mark.slow
def test_rows_are_sent_once_for_all_jobs(client):
    Counted.pickled.clear()
    values = X.view(Counted)
    expected = search(X)
    with joblib.parallel_config("dask"):
        found = search(values)
    assert Counted.pickled == [len(X)]
    name = "mean_test_score"
    np.testing.assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
    assert not client.futures


@pytest.mark.slow
def test_scattered_rows_are_not_sent_again(client):
    values = X.view(Counted)
    with joblib.parallel_config("dask", scatter=[values, Y]):
        Counted.pickled.clear()
        search(values)
    assert Counted.pickled == []
