"""Workers of joblib, and their share of the cores; tests of Dask have its workers."""

from __future__ import annotations

import multiprocessing

import pytest

from tfsoftmax.utils.workers import threads_of_worker


@pytest.mark.parametrize(
    ("process", "threads", "expected"),
    [
        ("LokyProcess-1", "3", 3),
        ("LokyProcess-1", "0", None),
        ("LokyProcess-1", "3,1", None),
        ("LokyProcess-1", "", None),
        ("MainProcess", "3", None),
    ],
)
def test_the_share_of_a_joblib_worker_is_that_of_openmp(
    process, threads, expected, monkeypatch
):
    monkeypatch.setattr(multiprocessing.current_process(), "name", process)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert threads_of_worker() == expected
