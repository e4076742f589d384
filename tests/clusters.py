"""Dask arrays and clusters of worker processes that the tests share.

Dask is imported only where it is used, so that a module can skip its tests without it.
"""

from __future__ import annotations

import gc
import time

import numpy as np


def blocks(values, sizes):
    """Cut an array into blocks of so many rows."""
    import dask.array as da

    return da.from_array(values, chunks=(sizes, *((n,) for n in values.shape[1:])))


def unknown(array):
    """Return the same array, but Dask doesn't know how many rows are in each block."""
    return array[blocks(np.ones(len(array), bool), array.chunks[0])]


def start(n_workers=2, n_threads=1, *, processes=True):
    """Start a cluster on this machine."""
    import distributed

    return distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=n_threads,
        processes=processes,
        dashboard_address=":0",
    )


def is_clean(client):
    """Whether nothing is kept or computed on the client's cluster."""
    return not (client.futures or client.who_has() or any(client.processing().values()))


def eventually(condition):
    """Wait up to a minute for a condition, and return its last value.

    Collect garbage meanwhile, which releases what reference cycles hold.
    """
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return condition()
