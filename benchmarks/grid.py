"""Grid search.

`GridSearchCV` with 3 learning rates × 2 batch sizes and 3 folds of 60,000 digits, 5
epochs per fit, no refit. This package receives bytes, the others float32 X in [0, 1],
prepared before. The ratio is a search's time divided by that of this package with
`n_jobs=1`.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

from joblib import parallel_config
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV

from benchmarks import data, peers
from benchmarks.measure import Timings, interleaved
from benchmarks.records import Options, Row, counted

RATES, BATCH_SIZES, FOLDS = (0.01, 0.03, 0.1), (100, 500), 3
N_FITS = len(RATES) * len(BATCH_SIZES) * FOLDS
OURS = "tfsoftmax, n_jobs=1"


def run(options: Options) -> list[Row]:
    """Measure our searches and MLPClassifier's, and estimate Keras' from a part."""
    n_samples, epochs = (1_000, 1) if options.quick else (60_000, 5)
    X, y = data.digits(n_samples)
    single = data.scaled(X)
    ours = partial(search, peers.this(epochs), ours_grid(), X, y)
    searches = {
        OURS: partial(ours, n_jobs=1),
        "tfsoftmax, n_jobs=2": partial(ours, n_jobs=2),
        "tfsoftmax, n_jobs=2, threading": partial(ours, n_jobs=2, backend="threading"),
        "MLPClassifier, n_jobs=1": partial(
            search, peers.mlp(epochs), mlp_grid(), single, y
        ),
    }
    one_rate = keras_grid(epochs, RATES[:1])
    keras = partial(search, peers.keras_wrapper(epochs), one_rate, single, y)
    # The first search starts the workers, and each of them imports TensorFlow.
    first = interleaved(
        {"tfsoftmax, n_jobs=2": searches["tfsoftmax, n_jobs=2"]}, 1, warm_up=False
    )
    timings = interleaved(
        searches | {"Keras": keras},
        options.rounds(3),
        rounds={"MLPClassifier, n_jobs=1": 1, "Keras": 1},
    )
    get_reusable_executor().shutdown()  # else the workers stay for minutes
    return [
        *rows_of(timings, searches),
        first_row(first, timings),
        keras_row(timings),
    ]


def search(
    estimator: Any,
    grid: dict[str, Any],
    X: NDArray[Any],
    y: NDArray[Any],
    n_jobs: int = 1,
    backend: str | None = None,
) -> GridSearchCV:
    """Search a grid, without the refit."""
    searching = GridSearchCV(estimator, grid, cv=FOLDS, refit=False, n_jobs=n_jobs)
    with parallel_config(backend) if backend else nullcontext():
        return searching.fit(X, y)


def ours_grid() -> dict[str, Any]:
    """Name our parameters."""
    return {"learning_rate": RATES, "batch_size": BATCH_SIZES}


def mlp_grid() -> dict[str, Any]:
    """Name those of MLPClassifier."""
    return {"learning_rate_init": RATES, "batch_size": BATCH_SIZES}


def keras_grid(epochs: int, rates: tuple[float, ...]) -> dict[str, Any]:
    """Name those of the Keras wrapper."""
    return {
        "model_kwargs": [{"learning_rate": rate} for rate in rates],
        "fit_kwargs": [
            {"epochs": epochs, "batch_size": size, "verbose": 0} for size in BATCH_SIZES
        ],
    }


def rows_of(timings: Timings, names: Any) -> list[Row]:
    """Make a row of each search."""
    return [
        Row(
            "grid",
            name,
            timings.median(name),
            "s",
            timings.ratio(name, OURS),
            note=f"best accuracy {timings.results[name].best_score_:.4f}; "
            f"{counted(len(timings.seconds[name]), 'round')}",
        )
        for name in names
    ]


def first_row(first: Timings, timings: Timings) -> Row:
    """Make the row of the search that starts its workers."""
    seconds = first.median("tfsoftmax, n_jobs=2")
    ratio = seconds / timings.median(OURS)
    note = "starts the workers, and TensorFlow in each"
    return Row(
        "grid", "tfsoftmax, n_jobs=2, the first search", seconds, "s", ratio, note=note
    )


def keras_row(timings: Timings) -> Row:
    """Make the row of the Keras wrapper, of which one learning rate was searched."""
    times, measured = len(RATES), N_FITS // len(RATES)
    return Row(
        "grid",
        "keras.wrappers.SKLearnClassifier, n_jobs=1",
        timings.median("Keras") * times,
        "s",
        timings.ratio("Keras", OURS) * times,
        note=f"estimated from {measured} of {N_FITS} fits",
    )
