"""Any layout of X.

The classic recipe on MNIST, whole fits of 10 epochs. If X is stored by columns, like a
DataFrame, the ratio is the time divided by that for the same X stored by rows. For
`rescale="standard"` it is the time divided by that of `rescale=1/255`; a
`StandardScaler` in a pipeline is measured for comparison. For float32 rows it is the
time of softmax regression written by hand in NumPy divided by ours.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import data, peers
from benchmarks.measure import interleaved
from benchmarks.records import Options, Row, at_least, at_most


def run(options: Options) -> list[Row]:
    """Measure columns against rows, standardised features, and rows of float32."""
    X, y = data.digits(1_000 if options.quick else 60_000)
    epochs = 1 if options.quick else 10
    rows = []
    for dtype in ("uint8", "int64"):
        by_rows = X.astype(dtype)
        names = (f"{dtype} by rows", f"{dtype} by columns, a DataFrame")
        fit = peers.this(epochs).fit
        timings = interleaved(
            {
                names[0]: partial(fit, by_rows, y),
                names[1]: partial(fit, pd.DataFrame(by_rows.copy(order="F")), y),
            },
            options.repeats,
        )
        rows.append(Row("columns", names[0], timings.median(names[0]), "s"))
        ratio = timings.ratio(names[1], names[0])
        value = timings.median(names[1])
        rows.append(Row("columns", names[1], value, "s", ratio, at_most(1.3)))
    return rows + standardised(X, y, epochs, options) + single(X, y, epochs, options)


def standardised(X, y, epochs: int, options: Options) -> list[Row]:
    """Time bytes rescaled, bytes standardised, and a scaler before the classifier."""
    scaler = make_pipeline(StandardScaler(), peers.this(epochs, raw=False))
    contenders = {
        "rescale=1/255": peers.this(epochs),
        'rescale="standard"': peers.this(epochs, rescale="standard"),
        "StandardScaler in a pipeline": scaler,
    }
    timings = interleaved(
        {name: partial(model.fit, X, y) for name, model in contenders.items()},
        options.repeats,
    )
    first, second, third = contenders
    goals = {first: None, second: at_most(1.15), third: None}
    return [
        Row(
            "columns",
            f"uint8, {name}",
            timings.median(name),
            "s",
            None if name == first else timings.ratio(name, first),
            goal,
        )
        for name, goal in goals.items()
    ]


def single(X, y, epochs: int, options: Options) -> list[Row]:
    """Time rows of float32, ours and by hand."""
    scaled = data.scaled(X)
    timings = interleaved(
        {
            "by hand": partial(peers.NumPySoftmax(epochs).fit, scaled, y),
            "ours": partial(peers.this(epochs, raw=False).fit, scaled, y),
        },
        options.repeats,
    )
    hand, ours = timings.median("by hand"), timings.median("ours")
    ratio = timings.ratio("by hand", "ours")
    return [
        Row("columns", "float32, NumPy by hand", hand, "s"),
        Row("columns", "float32, tfsoftmax", ours, "s", ratio, at_least(1.15)),
    ]
