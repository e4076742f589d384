"""Memory.

Peak resident memory during a fit minus the memory just before it. TensorFlow has been
loaded by a fit on 600 other rows of the same width. Each contender runs in a separate
process that holds the 60,000 digits as bytes or, where the row says so, as floats. If a
contender needs a float copy, the copy counts as part of the fit. For the memmap,
anonymous memory counts, not the file's pages; the ratio is its speed divided by that
for the same number of rows in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks import data, peers
from benchmarks.measure import MB, PeakMemory, in_child, interleaved
from benchmarks.records import Goal, Options, Row, at_least, at_most

MMAP, ARRAY = "memmap", "in memory"


@dataclass(frozen=True)
class Case:
    """Who fits X, held in which dtype; whether it first needs floats in [0, 1]."""

    make: Callable[[], Any]
    dtype: str = "uint8"
    needs_floats: bool = False
    goal: Goal | None = None


CASES = {
    "tfsoftmax, uint8": Case(partial(peers.this, 2), goal=at_most(64)),
    "tfsoftmax, float32": Case(partial(peers.this, 2, raw=False), "float32"),
    "tfsoftmax, float64": Case(partial(peers.this, 2, raw=False), "float64"),
    "LogisticRegression(max_iter=5), X / 255 in float32": Case(
        partial(LogisticRegression, max_iter=5), needs_floats=True
    ),
    "MLPClassifier, X / 255 in float32": Case(partial(peers.mlp, 2), needs_floats=True),
    "keras.wrappers.SKLearnClassifier, X / 255 in float32": Case(
        partial(peers.keras_wrapper, 2), needs_floats=True
    ),
}


def run(options: Options) -> list[Row]:
    """Measure each case in a process of its own, then the memmap."""
    n_samples = 6_000 if options.quick else 60_000
    rows = []
    for what, case in list(CASES.items())[: 1 if options.quick else None]:
        peak = in_child(peak_of_fit, what, n_samples)
        note = (
            f"X itself is {n_samples * 784 * np.dtype(case.dtype).itemsize / MB:.0f} MB"
        )
        rows.append(Row("memory", what, peak, "MB", goal=case.goal, note=note))
    return rows + memmap_rows(options)


def peak_of_fit(what: str, n_samples: int) -> float:
    """Give the peak of resident memory during the fit of a case, in MB."""
    case = CASES[what]
    X, y = data.digits(n_samples)
    if case.dtype != "uint8":
        X = data.scaled(X, case.dtype)

    def fit(X: NDArray[Any], y: NDArray[Any]) -> None:
        case.make().fit(data.scaled(X) if case.needs_floats else X, y)

    fit(X[-600:].copy(), y[-600:])
    with PeakMemory() as peak:
        fit(X, y)
    return peak.resident


def memmap_rows(options: Options) -> list[Row]:
    """Write the file if there is room for it, and train on it in a child."""
    n_samples = options.memmap_rows
    n_bytes = n_samples * data.N_FEATURES
    what = f"tfsoftmax, memmap of {n_samples:,} rows of uint8 ({n_bytes / 1e9:.2f} GB)"
    with tempfile.TemporaryDirectory() as folder:
        free = psutil.disk_usage(folder).free
        if free < 1.2 * n_bytes:
            note = f"not enough room on disk: {free / 1e9:.1f} GB free"
            return [Row("memory", what, None, "MB", goal=at_most(128), note=note)]
        path = Path(folder) / "digits"
        return in_child(measure_memmap, path, what, options)


def measure_memmap(path: Path, what: str, options: Options) -> list[Row]:
    """Measure anonymous memory on the whole file, and the speed beside an array's."""
    n_samples = options.memmap_rows
    X, y = data.write_digits(path, n_samples)
    clf = peers.this(1)
    clf.fit(*data.digits(600))
    with PeakMemory() as peak:
        clf.fit(X, y)
    # The array and the cached pages of the file have to fit in memory together.
    available = psutil.virtual_memory().available
    n_compared = min(n_samples, int(0.7 * available / data.N_FEATURES))
    sources = {MMAP: X[:n_compared], ARRAY: np.array(X[:n_compared])}
    fits = {name: partial(clf.fit, X, y[:n_compared]) for name, X in sources.items()}
    timings = interleaved(fits, options.rounds(3))
    rates = {name: n_compared / timings.median(name) / 1e6 for name in sources}
    per = f"{n_compared:,} rows, 1 epoch"
    return [
        Row(
            "memory",
            f"{what}, anonymous",
            peak.anonymous,
            "MB",
            goal=at_most(128),
            note=f"of which y's numbers and the order of rows: 4 + 4 bytes per row, "
            f"{8 * n_samples / MB:.0f} MB",
        ),
        Row("memory", "tfsoftmax, array in memory", rates[ARRAY], "M rows/s", note=per),
        Row(
            "memory",
            "tfsoftmax, memmap (cached pages)",
            rates[MMAP],
            "M rows/s",
            timings.ratio(ARRAY, MMAP),
            at_least(0.8),
            per,
        ),
    ]
