"""The classic recipe.

MNIST, batches of 100, learning rate 0.01, 10 epochs of plain gradient descent. The
times are for whole fits; each contender has fitted once before. Most contenders need
float32 X in [0, 1], which is prepared before the clock starts. The ratio is a
contender's time divided by this package's time with bytes. In a row that names two
contenders, it is the first one's time divided by the second one's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy.typing import NDArray

from benchmarks import data, peers
from benchmarks.measure import Timings, in_child, interleaved
from benchmarks.records import Options, Row, at_least, counted

OURS = "tfsoftmax, uint8"
FLOAT32 = "tfsoftmax, float32"
NUMPY = "hand-written NumPy, W (784, 10)"
MLP = "MLPClassifier(hidden_layer_sizes=())"
KERAS = "keras.wrappers.SKLearnClassifier"
SCIKERAS = "SciKeras KerasClassifier"
SESSION = "TensorFlow 1 graph and Session"

GOALS = {NUMPY: 2.0, MLP: 6.0, KERAS: 18.0, SESSION: 8.0}
SLOW = {KERAS: 3, SCIKERAS: 3}
# How far apart test accuracies may be for a comparison of equals.
TOLERANCE = 0.004


def run(options: Options) -> list[Row]:
    """Measure all contenders; the TensorFlow 1 session in a process of its own."""
    n_samples, epochs = (6_000, 2) if options.quick else (60_000, 10)
    X, y = data.digits(n_samples)
    single, double = data.scaled(X), data.scaled(X, "float64")
    contenders = {
        OURS: (peers.this(epochs), X),
        FLOAT32: (peers.this(epochs, raw=False), single),
        "tfsoftmax, float64": (peers.this(epochs, raw=False), double),
        NUMPY: (peers.NumPySoftmax(epochs), single),
        "hand-written NumPy, W (10, 784)": (peers.NumPySoftmax(epochs, True), single),
        MLP: (peers.mlp(epochs), single),
        KERAS: (peers.keras_wrapper(epochs), single),
    }
    unusable = []
    try:
        candidate = peers.scikeras(epochs).fit(single[:500], y[:500])
        contenders[SCIKERAS] = candidate, single
    except Exception as error:  # whatever its age makes it trip over
        reason = f"can't be used here: {type(error).__name__}: {str(error)[:90]}"
        unusable = [Row("recipe", SCIKERAS, None, "s", note=reason)]
    timings = time_fits(contenders, y, options)
    return [
        *rows_of(timings, options),
        Row(
            "recipe",
            f"NumPy / {FLOAT32}",
            timings.median(FLOAT32),
            "s",
            timings.ratio(NUMPY, FLOAT32),
            at_least(1.7),
        ),
        *unusable,
        *in_child(run_session, n_samples, epochs, options),
    ]


def run_session(n_samples: int, epochs: int, options: Options) -> list[Row]:
    """Measure the TensorFlow 1 session beside ours."""
    X, y = data.digits(n_samples)
    contenders = {
        OURS: (peers.this(epochs), X),
        SESSION: (peers.TensorFlow1Softmax(epochs), data.scaled(X)),
    }
    return rows_of(time_fits(contenders, y, options), options)[1:]


def time_fits(
    contenders: dict[str, tuple[Any, NDArray[Any]]], y: NDArray[Any], options: Options
) -> Timings:
    """Time whole fits; the results are (the fitted estimator, the dtype of its X)."""

    def fit(estimator: Any, X: NDArray[Any]) -> tuple[Any, str]:
        return estimator.fit(X, y), X.dtype.name

    fits = {name: partial(fit, *contender) for name, contender in contenders.items()}
    return interleaved(fits, options.repeats, rounds=SLOW)


def rows_of(timings: Timings, options: Options) -> list[Row]:
    """Make a row of each contender, with its test accuracy."""
    X_test, y_test = data.test_digits()
    tests = {dtype: data.scaled(X_test, dtype) for dtype in ("float32", "float64")}
    tests["uint8"] = X_test
    accuracies = {
        name: float((estimator.predict(tests[dtype]).ravel() == y_test).mean())
        for name, (estimator, dtype) in timings.results.items()
    }
    rows = []
    for name, accuracy in accuracies.items():
        note = f"test accuracy {accuracy:.4f}"
        if abs(accuracy - accuracies[OURS]) > TOLERANCE:
            note += f", NOT within {TOLERANCE} of ours"
        if len(timings.seconds[name]) < options.repeats:
            note += f"; {counted(len(timings.seconds[name]), 'round')}"
        goal = at_least(GOALS[name]) if name in GOALS else None
        seconds, ratio = timings.median(name), timings.ratio(name, OURS)
        rows.append(Row("recipe", name, seconds, "s", ratio, goal, note))
    return rows
