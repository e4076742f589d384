"""Small things.

Imports, predictions, a fit of iris and a pickle, compared with scikit-learn's. The
ratio is this package's time (or bytes) divided by scikit-learn's.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.linear_model import LogisticRegression

from benchmarks import data, peers
from benchmarks.measure import Timings, interleaved
from benchmarks.records import Goal, Options, Row, at_most, counted
from tfsoftmax import TFSoftmaxClassifier

OURS, THEIRS = "tfsoftmax", "LogisticRegression"
SHORT_ROUNDS = 4  # times as many rounds for what takes milliseconds


def run(options: Options) -> list[Row]:
    """Measure them all."""
    models = fitted_models(600 if options.quick else 10_000)
    return [
        *imports(options),
        *predictions(models, options),
        *iris(options),
        *warm_fits(options),
        *pickles(models),
    ]


def imports(options: Options) -> list[Row]:
    """Import each in new interpreters; their own start is not counted."""
    modules = {OURS: "tfsoftmax", THEIRS: "sklearn.linear_model"}
    code = (
        "from time import perf_counter as now; began = now(); import {}; "
        "print(now() - began)"
    )

    def seconds(module: str) -> float:
        command = [sys.executable, "-c", code.format(module)]
        return float(subprocess.check_output(command))

    timings = Timings({name: [] for name in modules})
    for _ in range(1 + options.repeats * 2):
        for name, module in modules.items():
            timings.seconds[name].append(seconds(module))
    timings.seconds = {name: s[1:] for name, s in timings.seconds.items()}
    return pair(
        timings, "import tfsoftmax", "import sklearn.linear_model", at_most(1.1)
    )


def fitted_models(n_samples: int) -> dict[str, Any]:
    """Fit both on the same digits, pixels as they are, to predict bytes, too."""
    X, y = data.digits(n_samples)
    return {
        OURS: peers.this(2).fit(X, y),
        THEIRS: LogisticRegression(max_iter=10).fit(X.astype(np.float32), y),
    }


def predictions(models: dict[str, Any], options: Options) -> list[Row]:
    """Predict some rows of bytes and of floats with both."""
    X_test, _ = data.test_digits()
    goals = {1: at_most(1.0), 10_000: at_most(1.0)}
    rows = []
    for n, calls in ((1, 300), (100, 200), (10_000, 3)):
        for X in (X_test[:n], X_test[:n].astype(np.float32)):
            timings = short(
                {name: partial(clf.predict, X) for name, clf in models.items()},
                options,
                calls,
            )
            what = f"predict {counted(n, 'row')} of {X.dtype}"
            rows += pair(timings, f"{OURS}, {what}", THEIRS, goals.get(n))
    return rows


def iris(options: Options) -> list[Row]:
    """Fit iris with the defaults of both."""
    X, y = load_iris(return_X_y=True)
    contenders = {
        OURS: TFSoftmaxClassifier(random_state=0),
        THEIRS: LogisticRegression(),
    }
    timings = short(
        {name: partial(clf.fit, X, y) for name, clf in contenders.items()}, options, 3
    )
    accuracy = {name: f"{clf.score(X, y):.3f}" for name, clf in contenders.items()}
    their_time = f"{timings.median(THEIRS) * 1e3:.3g} ms"
    note = f"training accuracy {accuracy[OURS]} beside {accuracy[THEIRS]}, {their_time}"
    value, ratio = timings.median(OURS) * 1e3, timings.ratio(OURS, THEIRS)
    what = f"{OURS}, warm fit of iris, defaults"
    return [Row("small", what, value, "ms", ratio, at_most(2.0), note)]


def warm_fits(options: Options) -> list[Row]:
    """Fit tables to the optimum, tol=1e-4, beside `LogisticRegression()`."""
    loaders = (load_iris, load_wine, load_breast_cancer, load_digits)
    rows = []
    for load in loaders[: 1 if options.quick else 4]:
        X, y = load(return_X_y=True)
        to_the_optimum = TFSoftmaxClassifier(
            optimizer="lbfgs", alpha=1 / len(X), epochs=1000, rescale=None, tol=1e-4
        )
        contenders = {OURS: to_the_optimum, THEIRS: LogisticRegression()}
        timings = short(
            {name: partial(clf.fit, X, y) for name, clf in contenders.items()},
            options,
            3,
        )
        name = load.__name__.removeprefix("load_").replace("_", " ")
        what = f"{OURS}, warm fit of {name}, lbfgs, tol=1e-4"
        rows += pair(timings, what, "LogisticRegression()", at_most(1.5))
    return rows


def pickles(models: dict[str, Any]) -> list[Row]:
    """Weigh the pickles of models of the digits."""
    n_bytes = {name: len(pickle.dumps(clf)) for name, clf in models.items()}
    ratio = n_bytes[OURS] / n_bytes[THEIRS]
    note = f"{THEIRS}: {n_bytes[THEIRS]:,} bytes"
    what = "pickle of a model of digits"
    return [Row("small", what, n_bytes[OURS], "bytes", ratio, None, note)]


def short(
    contenders: dict[str, Callable[[], Any]], options: Options, calls: int
) -> Timings:
    """Time what is short, in many rounds of many calls."""
    return interleaved(contenders, options.repeats * SHORT_ROUNDS, calls=calls)


def pair(timings: Timings, ours: str, theirs: str, goal: Goal | None) -> list[Row]:
    """Make one row of two contenders' times."""
    value, ratio = timings.median(OURS) * 1e3, timings.ratio(OURS, THEIRS)
    note = f"{theirs}: {timings.median(THEIRS) * 1e3:.3g} ms"
    return [Row("small", ours, value, "ms", ratio, goal, note)]
