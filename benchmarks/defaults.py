"""Defaults.

Classifiers with default parameters on sixteen data sets: raw and scaled, dense and
sparse. The rows show the cross-validated accuracy in five folds (two for more than
3,000 rows), the log-loss, the seconds per fit, and the number of folds with a warning.
`MLPClassifier` has `hidden_layer_sizes=()`, which makes it the same model, and
`SGDClassifier` has `loss="log_loss"`. The ratio is this package's accuracy minus the
best of the others; the goal is a difference of at least -0.01. The texts have 20
classes and rows of norm 1, as from TF-IDF.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from benchmarks.data import digits
from benchmarks.records import Options, Row, at_least
from benchmarks.tables import mixed_table
from benchmarks.text import made_up_text
from tfsoftmax import TFSoftmaxClassifier

OURS = "tfsoftmax"
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    OURS: lambda: TFSoftmaxClassifier(random_state=0),
    "LogisticRegression": LogisticRegression,
    "SGDClassifier": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "MLPClassifier": lambda: MLPClassifier((), random_state=0),
}


class Score(NamedTuple):
    """The means over the folds, and in how many there was a warning."""

    accuracy: float
    log_loss: float
    seconds: float
    n_warned: int


def run(options: Options) -> list[Row]:
    """Measure each classifier on each data set."""
    rows = []
    for name, X, y in data_sets(options.quick):
        folds = folds_of(y)
        scores = {
            which: cross_validate(make, X, y, folds)
            for which, make in CLASSIFIERS.items()
        }
        best = max(s.accuracy for which, s in scores.items() if which != OURS)
        for which, score in scores.items():
            note = (
                f"log-loss {score.log_loss:.3f}, {score.seconds:.2f} s per fit, "
                f"warned in {score.n_warned} of {len(folds)} folds"
            )
            ahead = score.accuracy - best if which == OURS else None
            goal = at_least(-0.01) if which == OURS else None
            what = f"{name}, {which}"
            rows.append(Row("defaults", what, score.accuracy, "", ahead, goal, note))
    return rows


def data_sets(quick: bool) -> Iterator[tuple[str, Any, NDArray[Any]]]:
    """Yield names, X and y."""
    loaders = {"iris": datasets.load_iris, "wine": datasets.load_wine}
    if not quick:
        loaders["breast cancer"] = datasets.load_breast_cancer
        loaders["digits"] = datasets.load_digits
    for name, load in loaders.items():
        X, y = load(return_X_y=True)
        yield name, X, y
        yield f"{name}, scaled", StandardScaler().fit_transform(X), y
    if quick:
        return
    X, y = digits()
    some = np.random.default_rng(0).permutation(len(y))[:12_000]
    X, y = X[some], y[some]
    yield "12,000 digits, bytes", X, y
    yield "12,000 digits, int64 in a DataFrame", pd.DataFrame(X.astype(np.int64)), y
    yield "12,000 digits, over 255", X / 255, y
    yield "mixed table", *mixed_table(15_000)
    yield "text, 4,000 rows of 20,000 words", *made_up_text(4_000, 20_000, 20)
    yield "hashed text, 1,500 rows of 2¹⁷", *made_up_text(1_500, 1 << 17, 20)
    classification = datasets.make_classification
    many = classification(5_000, 100, n_informative=10, n_classes=5, random_state=0)
    yield "synthetic, 5,000 × 100", *many
    rare = classification(3_000, 20, n_informative=6, weights=[0.98], random_state=1)
    yield "synthetic, 2 % positive", *rare


def folds_of(y: NDArray[Any]) -> list[Any]:
    """Return the folds' indices."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(np.zeros(len(y)), y)
    return list(folds)[: 2 if len(y) > 3_000 else 5]


def cross_validate(
    make: Callable[[], Any], X: Any, y: NDArray[Any], folds: list[Any]
) -> Score:
    """Fit on each fold, and score on the rows left out."""
    accuracies, losses, seconds, n_warned = [], [], [], 0
    take = X.iloc.__getitem__ if isinstance(X, pd.DataFrame) else X.__getitem__
    for fitted_to, left_out in folds:
        rows, labels = take(fitted_to), y[fitted_to]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            began = time.perf_counter()
            clf = make().fit(rows, labels)
            seconds.append(time.perf_counter() - began)
        p = clf.predict_proba(take(left_out))
        accuracies.append(float((clf.classes_[p.argmax(axis=1)] == y[left_out]).mean()))
        losses.append(log_loss(y[left_out], p, labels=clf.classes_))
        n_warned += bool(caught)
    means = (float(np.mean(values)) for values in (accuracies, losses))
    return Score(*means, float(np.median(seconds)), n_warned)
