"""A grid trained at once.

`TFSoftmaxGridSearchCV` and `GridSearchCV`: 8 learning rates × 4 alphas, 5 folds of
60,000 digits as bytes, 10 epochs per fit, no refit. The ratio is a search's time
divided by that of `TFSoftmaxGridSearchCV`. The times of MLPClassifier and
LogisticRegression, on float32 rows in [0, 1] prepared before, are estimated from whole
fits on one fold.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from benchmarks import data, peers
from benchmarks.measure import PeakMemory, Timings, in_child, interleaved
from benchmarks.records import Goal, Options, Row, at_least, counted
from tfsoftmax import TFSoftmaxGridSearchCV

GRID = {
    "learning_rate": np.geomspace(0.001, 1, 8).tolist(),
    "alpha": [0.0, 0.00001, 0.0001, 0.001],
}
N_CANDIDATES, FOLDS = 32, 5
OURS = "TFSoftmaxGridSearchCV"
SERIAL, PARALLEL = "GridSearchCV, n_jobs=1", "GridSearchCV, n_jobs=2"
GOALS: dict[str, Goal] = {SERIAL: at_least(3), PARALLEL: at_least(2.5)}


def run(options: Options) -> list[Row]:
    """Measure our search and scikit-learn's, and estimate those of the peers."""
    n_samples, epochs = (1_000, 1) if options.quick else (60_000, 10)
    X, y = data.digits(n_samples)
    single = data.scaled(X)
    n_fold = n_samples - n_samples // FOLDS
    theirs = partial(search, GridSearchCV, epochs, X, y)
    searches = {
        OURS: partial(search, TFSoftmaxGridSearchCV, epochs, X, y),
        SERIAL: partial(theirs, n_jobs=1),
        PARALLEL: partial(theirs, n_jobs=2),
    }
    fits = {
        "MLPClassifier": peers.mlp(epochs),
        "LogisticRegression": LogisticRegression(),
    }
    for clf in searches.values():  # compiles, and starts the workers
        clf(epochs=1)
    timings = interleaved(
        searches
        | {
            name: partial(clf.fit, single[:n_fold], y[:n_fold])
            for name, clf in fits.items()
        },
        options.rounds(3),
        warm_up=False,
    )
    get_reusable_executor().shutdown()  # else the workers stay for minutes
    return [
        *(row_of(name, timings) for name in searches),
        *(estimated_row(name, timings) for name in fits),
        *(in_child(memory_row, kind, n_samples) for kind in ("ours", "theirs")),
    ]


def search(
    kind: Any,
    own_epochs: int,
    X: NDArray[Any],
    y: NDArray[Any],
    n_jobs: int = 1,
    epochs: int | None = None,
) -> Any:
    """Search the grid, without the refit."""
    clf = peers.this(epochs or own_epochs)
    return kind(clf, GRID, cv=FOLDS, refit=False, n_jobs=n_jobs).fit(X, y)


def row_of(name: str, timings: Timings) -> Row:
    """Make the row of a search."""
    return Row(
        "search",
        name,
        timings.median(name),
        "s",
        timings.ratio(name, OURS),
        GOALS.get(name),
        f"best accuracy {timings.results[name].best_score_:.4f}; "
        f"{counted(len(timings.seconds[name]), 'round')}",
    )


def estimated_row(name: str, timings: Timings) -> Row:
    """Make the row of a peer, of which one fit a round was measured."""
    n_fits = N_CANDIDATES * FOLDS
    return Row(
        "search",
        f"GridSearchCV over {name}",
        timings.median(name) * n_fits,
        "s",
        timings.ratio(name, OURS) * n_fits,
        note=f"ESTIMATED from {len(timings.seconds[name])} of {n_fits} fits",
    )


def memory_row(kind: str, n_samples: int) -> Row:
    """Measure the peak of resident memory during a search of 2 epochs a fit."""
    searching = {"ours": TFSoftmaxGridSearchCV, "theirs": GridSearchCV}[kind]
    X, y = data.digits(n_samples)
    search(searching, 1, X[:600], y[:600])
    with PeakMemory() as peak:
        search(searching, 2, X, y)
    what = f"{searching.__name__}, memory over that before"
    return Row("search", what, peak.resident, "MB", note="X itself takes 47 MB")
