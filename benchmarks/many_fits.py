"""Many fits in one process.

200 fits on folds of digits with different numbers of rows and learning rates, as in a
search: how long they take, how many compilations they need, and how much memory stays
allocated.
"""

from __future__ import annotations

import numpy as np

from benchmarks import data, peers
from benchmarks.measure import in_child, resident_memory, timed
from benchmarks.records import Options, Row, at_most


def run(options: Options) -> list[Row]:
    """Fit many times in a process that has done nothing else."""
    n_fits, n_samples = (20, 2_000) if options.quick else (200, 20_000)
    return in_child(fit_many_times, n_fits, n_samples)


def fit_many_times(n_fits: int, n_samples: int) -> list[Row]:
    """Fit folds of half of the rows to all of them, for 3 epochs each."""
    X, y = data.digits(n_samples)
    rng = np.random.default_rng(0)
    seconds, resident, compiled = [], {}, {}
    for i in range(1, n_fits + 1):
        fold = rng.permutation(n_samples)[: rng.integers(n_samples // 2, n_samples) + 1]
        X_fold, y_fold = X[fold], y[fold]
        clf = peers.this(3, learning_rate=rng.uniform(0.001, 0.1))
        taken, _ = timed(lambda: clf.fit(X_fold, y_fold))  # noqa: B023 (called now)
        seconds.append(taken / len(fold) * n_samples)
        compiled[i] = compilations()
        if i in (10, n_fits):
            del X_fold, y_fold, clf
            resident[i] = resident_memory()
    times = {
        "fit 1 (with the import of TensorFlow)": seconds[0],
        "fit 2": seconds[1],
        f"fit {n_fits}": seconds[-1],
        f"median of fits 2 … {n_fits}": float(np.median(seconds[1:])),
    }
    per = f"for {n_samples:,} rows, 3 epochs"
    growth = resident[n_fits] - resident[10]
    return [
        *(Row("many_fits", what, s * 1e3, "ms", note=per) for what, s in times.items()),
        Row("many_fits", "compilations in fit 1", compiled[1], ""),
        Row(
            "many_fits",
            f"compilations in fits 2 … {n_fits}",
            compiled[n_fits] - compiled[1],
            "",
            goal=at_most(0),
        ),
        Row("many_fits", "resident memory after fit 10", resident[10], "MB"),
        Row(
            "many_fits",
            f"resident memory after fit {n_fits}, over that",
            growth,
            "MB",
            goal=at_most(10),
        ),
    ]


def compilations() -> int:
    """Count the programs compiled so far in this process."""
    from tfsoftmax.engine import compilation

    return compilation._compile.cache_info().misses
