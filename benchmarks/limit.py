"""The limit.

The ratio is the time of an epoch divided by the time that its floating-point
operations, 4·n·d·K per model (two matrix products), would take at the speed of a large
NumPy sgemm in the same round. An epoch is a twentieth of a whole fit of 20 epochs, so
that one-time costs hardly count. In the rows with 32 models, these are trained at once
on the same batches, each at another learning rate.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import data, peers
from benchmarks.measure import MatrixProduct, Timings, interleaved
from benchmarks.records import Goal, Options, Row, at_most
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.engine import Engine
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.spec import Hyperparameters

SGEMM = "sgemm of large square matrices"
STACKED = 32


def run(options: Options) -> list[Row]:
    """Measure batches of 100 and of 1000, and 32 models, for bytes and for floats."""
    n_samples, epochs = (6_000, 2) if options.quick else (60_000, 20)
    X, y = data.digits(n_samples)
    product = MatrixProduct()
    fits: dict[str, Any] = {SGEMM: product}
    facts: dict[str, tuple[int, int, Goal]] = {}  # epochs, models, goal
    for rows in (X, data.scaled(X)):
        kind = rows.dtype.name
        for batch_size, bound in ((100, 3.5), (1000, 2.0)):
            clf = peers.this(epochs, raw=rows is X, batch_size=batch_size)
            name = f"{kind}, batch {batch_size}"
            fits[name] = partial(clf.fit, rows, y)
            facts[name] = epochs, 1, at_most(bound)
        name = f"{kind}, batch 100, {STACKED} models at once"
        few = max(1, epochs // 8)
        fits[name] = partial(train_stacked, rows, y, few)
        facts[name] = few, STACKED, at_most(1.2)
    timings = interleaved(fits, options.repeats)
    return [
        Row("limit", SGEMM, product.flops / timings.median(SGEMM) / 1e9, "GFLOP/s"),
        *(row_of(name, timings, X.size, product, *facts[name]) for name in facts),
    ]


def row_of(
    name: str,
    timings: Timings,
    size: int,
    product: MatrixProduct,
    n_epochs: int,
    n_models: int,
    goal: Goal,
) -> Row:
    """Compare the time of an epoch over X of that size with the matrix product's."""
    flops = 4 * size * data.N_CLASSES * n_models
    seconds = timings.median(name) / n_epochs
    ratio = timings.ratio(name, SGEMM) / n_epochs * product.flops / flops
    note = f"{flops / seconds / 1e9:.0f} GFLOP/s"
    if n_models > 1:
        note += f", {seconds / n_models * 1e3:.1f} ms per model"
    return Row("limit", name, seconds * 1e3, "ms per epoch", ratio, goal, note)


def train_stacked(X: NDArray[Any], y: NDArray[Any], epochs: int) -> NDArray[Any]:
    """Train 32 models at as many learning rates; return their weights."""
    zeros = np.zeros(STACKED)
    hyper = Hyperparameters(np.geomspace(0.001, 0.1, STACKED), zeros, zeros, zeros)
    training = Engine(
        Dataset(X, y.astype(np.int32)),
        data.N_CLASSES,
        batch_size=peers.BATCH_SIZE,
        fit_intercept=True,
        scaling=Scaling(data.RESCALE if X.dtype == np.uint8 else 1.0),
        optimizer="sgd",
        n_models=STACKED,
    )
    rng, states = np.random.default_rng(0), training.to_device()
    with training:
        for chunks in training.epochs(lambda: rng.permutation(len(X)), epochs):
            states, _ = training.train_epoch(states, chunks, hyper)
    return training.to_numpy(states)[0]
