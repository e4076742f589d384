"""Growth.

Time of an epoch (batches of 100, bytes; a fit divided by its epochs) as the number of
rows, features and classes grows. The ratio is the time per row, feature and class
divided by that for the 60,000 digits: 1 is linear growth.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks import data, peers
from benchmarks.measure import interleaved
from benchmarks.records import Options, Row

Size = tuple[int, int, int]  # rows, features, classes
REFERENCE = (60_000, data.N_FEATURES, data.N_CLASSES)
# Growth of the time for one row, feature and class that still counts as linear.
TOLERANCE = 0.25

SERIES: dict[str, list[Size]] = {
    "rows": [(n, 784, 10) for n in (6_000, 60_000, 600_000, 6_000_000)],
    "features": [(20_000, d, 10) for d in (784, 4_000, 20_000)],
    "classes": [(20_000, 784, k) for k in (2, 10, 100, 1000)],
}
QUICK: dict[str, list[Size]] = {
    "rows": [(600, 784, 10), (6_000, 784, 10)],
    "features": [(1_000, 784, 10), (1_000, 4_000, 10)],
    "classes": [(1_000, 784, 2), (1_000, 784, 100)],
}


def run(options: Options) -> list[Row]:
    """Measure the reference, then each series, size by size."""
    reference = unit_time(REFERENCE, epoch_time(REFERENCE, options.repeats))
    rows = []
    for what, sizes in (QUICK if options.quick else SERIES).items():
        units: list[float] = []
        for size in sizes:
            seconds = epoch_time(size, options.rounds(3))
            units.append(unit_time(size, seconds))
            n, d, k = size
            note = f"{units[-1] * 1e9:.3f} ns per row, feature and class"
            if len(units) > 1 and abs(change := units[-1] / units[-2] - 1) > TOLERANCE:
                note += f"; not linear, {change:+.0%} each"
            name = f"{what}: {n:,} rows, {d:,} features, {k:,} classes"
            ratio = units[-1] / reference
            rows.append(Row("growth", name, seconds * 1e3, "ms", ratio, note=note))
    return rows


def unit_time(size: Size, seconds: float) -> float:
    """Give the time for one row, feature and class."""
    n, d, k = size
    return seconds / (n * d * k)


def epoch_time(size: Size, repeats: int) -> float:
    """Time an epoch on data of that size, in seconds."""
    X, y = make(size)
    epochs = max(1, 200_000_000 // X.size)
    # Small steps, so that they stay finite for any number of features.
    clf = peers.this(epochs, learning_rate=1e-5)
    return interleaved({"fit": partial(clf.fit, X, y)}, repeats).median("fit") / epochs


def make(size: Size) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Make data of that size: digits where they have it, else random bytes."""
    n, d, k = size
    if (d, k) == REFERENCE[1:]:
        return data.digits(n)
    rng = np.random.default_rng(0)
    X = np.frombuffer(rng.bytes(n * d), np.uint8).reshape(n, d)
    return X, np.arange(n) % k
