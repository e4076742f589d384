"""Data on a cluster.

Rows as a Dask array in eight blocks, on workers that are processes of this machine. For
an evaluation of the loss and its gradient, the ratio is its time divided by that in
this process with two threads, measured in turn. A round trip is a task on each worker
that computes nothing. For two classes, the rows show the time until F, the mean
cross-entropy + ‖W‖² / 2n, is at most 1 + 1e-4 times its minimum, with the fewest
iterations for each, on rows that each fit sends to the workers, and on rows that they
hold already; the ratio is the time of dask-ml's fastest solver divided by this
package's. Other rows show the training accuracy, or the error. Memory is what this
process grows by in a fit of rows that the workers generate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.measure import PeakMemory, in_child, interleaved
from benchmarks.records import Options, Row, at_least, at_most
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.data.dataset import add_each
from tfsoftmax.fitting import prepare
from tfsoftmax.solvers.engines import make_full_batch

OURS = "tfsoftmax"
N_BLOCKS = 8
GAP = 1e-4
SINGLE = np.dtype(np.float32)
# The fastest of dask-ml's: on 20,000 × 20 its others took as long or, admm, 30 times.
THEIR_SOLVERS = ("newton", "lbfgs")


def run(options: Options) -> list[Row]:
    """Measure evaluations, then fits beside dask-ml's, then memory."""
    rows = []
    for n_rows, dtype, most in (
        (60_000, "float32", 1.5),
        (60_000, "uint8", None),
        (600_000, "uint8", 1.15),
    ):
        n = n_rows // 100 if options.quick else n_rows
        for n_workers, n_threads in ((2, 1), (1, 2))[: 1 if options.quick else 2]:
            goal = most if n_workers == 2 else None
            with cluster(n_workers, n_threads):
                rows += evaluations(
                    n, dtype, f"{n_workers} × {n_threads}", goal, options
                )
    with cluster(2, 1):
        rows += [*two_classes(options), *kinds_of_rows()]
    return [*rows, *in_child(memory, options)]  # a new one, without freed memory


@contextmanager
def cluster(n_workers: int, n_threads: int) -> Iterator[Any]:
    """Start worker processes."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=n_threads,
            processes=True,
            dashboard_address=":0",
            memory_limit=0,
        ) as workers,
        Client(workers) as client,
    ):
        yield client


def in_blocks(*arrays: NDArray[Any]) -> list[Any]:
    """Return Dask arrays of eight blocks of rows."""
    import dask.array as da

    n = -(-len(arrays[0]) // N_BLOCKS)
    return [da.from_array(a, chunks=(n, *a.shape[1:])) for a in arrays]


def evaluations(
    n: int, dtype: str, workers: str, goal: float | None, options: Options
) -> list[Row]:
    """Time an evaluation at random weights, and a task that does nothing."""
    X, y = data.digits(min(n, 60_000))
    X, y = np.resize(X, (n, X.shape[1])).astype(dtype), np.resize(y, n)
    clf = TFSoftmaxClassifier(optimizer="lbfgs", rescale=1 / 255)
    with prepare([clf], *in_blocks(X, y)) as there, prepare([clf], X, y) as here:
        (theirs, _), (ours, _) = map(make_full_batch, (there, here))
        U = 0.01 * np.random.default_rng(0).normal(size=ours.shape)
        fold = partial(there.dataset.fold, nothing, combine=add_each)
        with ours:
            timings = interleaved(
                {
                    "workers": partial(theirs, U, SINGLE),
                    "process": partial(ours, U, SINGLE),
                    "round trip": fold,
                },
                3 * options.repeats,
            )
    seconds = timings.median("workers")
    share = timings.ratio("round trip", "workers")
    name = f"{n:,} × {X.shape[1]}, {dtype}, {workers} threads"
    return [
        Row(
            "dask",
            f"an evaluation, {name}",
            seconds * 1e3,
            "ms",
            timings.ratio("workers", "process"),
            goal and at_most(goal),
            f"one process {timings.median('process') * 1e3:.0f} ms; a round trip is "
            f"{share:.0%} of it",
        )
    ]


def nothing(rows: Any) -> tuple[float]:
    """Compute nothing."""
    return (0.0,)


def two_classes(options: Options) -> list[Row]:
    """Time fits to the same objective beside dask-ml's, which has two classes alone."""
    try:
        from dask_ml.linear_model import LogisticRegression
    except ImportError:
        note = "dask-ml is not installed"
        return [Row("dask", "two classes", None, "s", None, at_least(5), note)]

    n, d = (2_000, 10) if options.quick else (1_000_000, 50)
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = (X @ w + rng.logistic(size=n) > 0).astype(np.int64)
    there = in_blocks(X, y)

    def theirs(iterations: int, solver: str) -> Any:
        return LogisticRegression(solver=solver, tol=1e-12, max_iter=iterations)

    def ours(iterations: int) -> Any:
        return TFSoftmaxClassifier(optimizer="lbfgs", tol=0.0, epochs=iterations)

    best = objective(TFSoftmaxClassifier(optimizer="lbfgs").fit(X, y), X, y)
    makers: dict[str, Callable[[int], Any]] = {OURS: ours}
    solvers = THEIR_SOLVERS[: 1 if options.quick else 2]
    makers |= {f"dask-ml, {s}": partial(theirs, solver=s) for s in solvers}
    found = {
        name: next(
            (
                iterations
                for iterations in (3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)
                if objective(make(iterations).fit(*there), X, y) <= best * (1 + GAP)
            ),
            None,
        )
        for name, make in makers.items()
    }
    never = [name for name, iterations in found.items() if not iterations]
    note = f"; not in 100 iterations: {never}" if never else ""
    ready = {name: makers[name](n) for name, n in found.items() if n}
    title = f"two classes, {n:,} × {d}, a fit to 1e-4"
    held = [rows.persist() for rows in there]
    return [
        compare(f"{title}, rows sent", ready, there, note, options),
        compare(f"{title}, rows held by the workers", ready, held, note, options),
    ]


def compare(
    name: str, contenders: dict[str, Any], rows: list[Any], note: str, options: Options
) -> Row:
    """Time whole fits of the same rows."""
    fits = {who: partial(clf.fit, *rows) for who, clf in contenders.items()}
    timings = interleaved(fits, options.rounds(3), warm_up=False)
    fastest = min(fits, key=lambda who: (who == OURS, timings.median(who)))
    words = ", ".join(f"{who} {timings.median(who):.2f} s" for who in fits)
    seconds, ratio = timings.median(OURS), timings.ratio(fastest, OURS)
    return Row("dask", name, seconds, "s", ratio, at_least(5), words + note)


def kinds_of_rows() -> list[Row]:
    """Fit what a cluster's rows may be besides two classes of dense arrays."""
    try:
        from dask_ml.linear_model import LogisticRegression
    except ImportError:
        return []
    import dask.dataframe as dd
    import pandas as pd
    from scipy import sparse

    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 10))
    y, y3 = (X[:, 0] > 0).astype(np.int64), np.digitize(X[:, 0], [-0.5, 0.5])
    dense, two, three = in_blocks(X, y, y3)
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=N_BLOCKS)
    column = dd.from_pandas(pd.Series(y), npartitions=N_BLOCKS)
    kinds = {
        "three classes": (dense, three),
        "sparse blocks": (dense.map_blocks(sparse.csr_array), two),
        "a DataFrame": (frame, column),
        "chunks of unknown size": (frame.to_dask_array(), column.to_dask_array()),
    }
    models = {
        OURS: TFSoftmaxClassifier(optimizer="lbfgs"),
        "dask-ml": LogisticRegression(),
    }
    return [
        Row(
            "dask",
            f"{kind}, training accuracy",
            None,
            "",
            None,
            None,
            "; ".join(f"{name}: {outcome(clf, *rows)}" for name, clf in models.items()),
        )
        for kind, rows in kinds.items()
    ]


def outcome(clf: Any, X: Any, y: Any) -> str:
    """Return the training accuracy of a fit, or its error."""
    try:
        return f"{float(clf.fit(X, y).score(X, y)):.3f}"
    except Exception as error:
        return f"`{type(error).__name__}: {str(error).splitlines()[0][:60].strip()}`"


def objective(clf: Any, X: NDArray[Any], y: NDArray[Any]) -> float:
    """Compute F of a fitted classifier of two classes."""
    z = X @ np.ravel(clf.coef_) + np.ravel(clf.intercept_)[0]
    losses = np.logaddexp(0, np.where(y == 1, -z, z))
    return float(losses.mean() + np.square(clf.coef_).sum() / (2 * len(X)))


def memory(options: Options) -> list[Row]:
    """Measure this process, a new one, in a fit of rows that the workers generate."""
    import dask.array as da

    n = 60_000 if options.quick else 6_000_000
    X = da.random.default_rng(0).normal(size=(n, 50), chunks=(n // 24, 50))
    y = (X.sum(axis=1) > 0).astype(np.int8)
    clf = TFSoftmaxClassifier(optimizer="lbfgs", epochs=10)
    with cluster(2, 1):
        began = time.perf_counter()
        with PeakMemory() as watch:
            clf.fit(X, y)
        seconds = time.perf_counter() - began
    return [
        Row(
            "dask",
            f"growth of this process, {n:,} × 50 generated by the workers",
            watch.resident,
            "MB",
            None,
            at_most(64),
            f"X has {n * 400 / 1e6:,.0f} MB; the fit took {seconds:.0f} s",
        )
    ]
