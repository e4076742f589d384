"""Train on a Dask cluster, on more rows than this process may hold.

Starts two worker processes on this machine, which generate and hold the rows, and
limits this process to less memory than the rows take. The workers send only sums:

    python examples/dask_cluster.py
    python examples/dask_cluster.py --rows 4000000 --memory 4GB
    python examples/dask_cluster.py --scheduler tcp://10.0.0.5:8786

The labels are drawn from a softmax model, so the best possible accuracy is known.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster

from tfsoftmax import TFSoftmaxClassifier

MIN_ROWS = 500_000  # a quarter of the bytes of fewer would be too little to train with
BLOCK = 25_000  # rows of a block
N_FEATURES, N_CLASSES = 200, 5


def main() -> None:
    """Start the cluster, train on it, and predict."""
    options = parse_options()
    if options.rows < MIN_ROWS:
        raise ValueError(f"rows must be at least {MIN_ROWS:,}; got {options.rows:,}.")
    true_coef = np.random.default_rng(0).normal(size=(N_CLASSES, N_FEATURES)) / 4
    X, y = describe_rows(options.rows, true_coef, seed=1)
    X_test, y_test = describe_rows(options.rows // 10, true_coef, seed=2)
    clf = TFSoftmaxClassifier(optimizer="lbfgs", rescale="standard")
    # Imports TensorFlow and compiles: what these take depends on the machine.
    clf.fit(X[:BLOCK], y[:BLOCK])

    with connect(options) as client:
        limit_memory(X.nbytes)
        train(clf, X, y)
        received = sum(client.run(bytes_sent_here).values())
        print(f"All that the workers sent to this process: {received / 1e6:.0f} MB.")
        predicted = clf.predict(X_test)  # described, not computed
        best = da.argmax(X_test @ true_coef.T, axis=1)
        accuracies = [da.mean(found == y_test) for found in (predicted, best)]
        of_ours, of_truth = da.compute(*accuracies)
    print(f"Test accuracy of the weights that the labels were drawn by: {of_truth:.3f}")
    print(f"Test accuracy: {of_ours:.3f}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=MIN_ROWS, help="rows to train on")
    parser.add_argument("--memory", default="3GB", help="memory of each worker")
    parser.add_argument("--scheduler", help="the address of a cluster to use instead")
    return parser.parse_args()


def describe_rows(n: int, coef: np.ndarray, seed: int) -> tuple[da.Array, da.Array]:
    """Return n lazy rows and their labels; the workers compute each block."""
    rng = da.random.default_rng(seed)
    X = rng.standard_normal((n, N_FEATURES), dtype=np.float32, chunks=(BLOCK, -1))
    # The largest of logits with Gumbel noise is drawn with the softmax's probability.
    noise = rng.gumbel(size=(n, N_CLASSES), chunks=(BLOCK, -1))
    return X, da.argmax(X @ coef.T + noise, axis=1)


@contextmanager
def connect(options: argparse.Namespace) -> Iterator[Client]:
    """Connect to a cluster; without an address, start one and close it afterwards."""
    if options.scheduler:
        with Client(options.scheduler) as client:
            yield client
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=options.memory,
            local_directory=folder,
            dashboard_address=":0",
            # With TensorFlow they take their time to end, which would be a warning.
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def limit_memory(n_bytes: int) -> None:
    """Limit this process to less memory than X takes, if the system can."""
    held = own_memory("VmData")
    if not held:
        print("This system doesn't limit a process's memory.")
        return
    from resource import RLIMIT_DATA, getrlimit, setrlimit

    limit = held + n_bytes // 4
    setrlimit(RLIMIT_DATA, (limit, getrlimit(RLIMIT_DATA)[1]))
    print(
        f"X takes {n_bytes / 1e6:.0f} MB. This process may use {n_bytes / 4e6:.0f} MB."
    )
    try:
        np.ones(n_bytes, np.uint8)
        print("X would fit all the same: this system ignores the limit.")
    except MemoryError as error:
        print(f"X would not fit into it: {error}.")


def train(clf: TFSoftmaxClassifier, X: da.Array, y: da.Array) -> None:
    """Fit, and print the time and the memory that this process needed."""
    before, start = own_memory("RssAnon"), time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - start
    print(f"Trained in {seconds:.0f} s, {clf.n_iter_} iterations, on {len(X):,} rows.")
    if before:
        print(f"This process grew by {(own_memory('RssAnon') - before) / 1e6:.0f} MB.")


def bytes_sent_here(dask_worker: Any) -> int:
    """Return how many bytes a worker has sent to the client and the scheduler."""
    log = dask_worker.transfer_outgoing_log
    return sum(entry["total"] for entry in log if entry["who"] is None)


def own_memory(name: str) -> int:
    """Return an entry of Linux's memory statistics, in bytes; 0 on other systems."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    figures = dict(line.partition(":")[::2] for line in lines)
    return int(figures.get(name, "0").split()[0]) * 1024


if __name__ == "__main__":  # the workers import this file
    try:
        main()
    except (ValueError, OSError, MemoryError) as error:
        sys.exit(f"dask_cluster.py: {error}")
