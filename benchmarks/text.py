"""Sparse rows.

Generated text in scikit-learn's CSR format: as many rows, words and classes as the 20
newsgroups have (11,314 rows of 96 values, 20 classes) in 130,107 and 10,000 columns,
and 2,000 rows in 5 classes in the 2²⁰ columns of a `HashingVectorizer`. Words follow a
power law, values are float64. The ratio is the time of `SGDClassifier(loss="log_loss")`
for the same number of epochs divided by ours, for whole fits. For lbfgs it is the time
of `LogisticRegression()` divided by ours, with the fewest iterations whose F is no
larger than the one at which `LogisticRegression()` stops. For the search it is the time
of `GridSearchCV` divided by ours. Memory is the process's peak minus its memory before
the fit; the ratio divides it by 1.5 times the bytes of X plus 4 times those of the
weights.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV

from benchmarks.measure import MB, PeakMemory, interleaved
from benchmarks.optimum import fewest
from benchmarks.records import Goal, Options, Row, at_least, at_most
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV

EPOCHS = 3
# Rows, columns, classes and the ratio to reach, by name.
SHAPES = {
    "130,107 columns": (11_314, 130_107, 20, 1.0),
    "2²⁰ columns": (2_000, 1 << 20, 5, 1.0),
    "10,000 columns": (11_314, 10_000, 20, 2.0),
}


def run(options: Options) -> list[Row]:
    """Measure descent by shapes, then Adam, L-BFGS, memory and a search on one."""
    shapes = SHAPES
    if options.quick:
        shapes = {"1,000 columns": (300, 1_000, 4, 1.0)}
    rows = []
    for name, (n, n_features, n_classes, goal) in shapes.items():
        X, y = made_up_text(n, n_features, n_classes)
        rows += descent(name, X, y, at_least(goal), options)
    name, (n, n_features, n_classes, _) = next(iter(shapes.items()))
    X, y = made_up_text(n, n_features, n_classes)
    rows += [adam(name, X, y, options), memory(name, X, y)]
    return rows + to_its_objective(name, X, y, options) + search(name, X, y, options)


def made_up_text(
    n: int, n_features: int, n_classes: int, length: int = 96
) -> tuple[Any, NDArray[np.int64]]:
    """Make rows of words, each class with words that it prefers; rows have norm 1."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    lengths = rng.poisson(length, n) + 1
    rows = np.repeat(np.arange(n, dtype=np.int32), lengths)
    # The k-th word is drawn with a probability of about k^(-2/3).
    words = (n_features * rng.random(len(rows)) ** 3).astype(np.int32)
    topical = rng.random(len(rows)) < 0.3
    # A class prefers every n_classes-th word.
    preferred = words[topical] // n_classes * n_classes + y[rows[topical]]
    words[topical] = np.minimum(preferred, n_features - 1)
    shape = (n, n_features)
    X = sparse.csr_matrix((np.ones(len(rows)), (rows, words)), shape=shape)
    X.data = 1 + np.log(X.data)
    norms = np.sqrt(np.asarray(X.power(2).sum(axis=1)).ravel())
    X.data /= np.repeat(norms, np.diff(X.indptr))
    return X, y


def ours(optimizer: str, n: int, **parameters: Any) -> TFSoftmaxClassifier:
    """Make our classifier, with the penalty of `LogisticRegression()`."""
    rates = {"sgd": 1.0, "adam": 0.05}
    rate = {"learning_rate": rates[optimizer]} if optimizer in rates else {}
    own = {
        "optimizer": optimizer,
        "learning_rate_schedule": "constant",
        "alpha": 1 / n,
        "rescale": None,
        "random_state": 0,
        **rate,
    }
    return TFSoftmaxClassifier(**own | parameters)


def descent(
    name: str, X: Any, y: NDArray[np.int64], goal: Goal, options: Options
) -> list[Row]:
    """Time plain descent against `SGDClassifier`."""
    n = len(y)
    theirs = SGDClassifier(
        loss="log_loss", alpha=1 / n, max_iter=EPOCHS, tol=None, random_state=0
    )
    timings = interleaved(
        {
            "theirs": partial(theirs.fit, X, y),
            "ours": partial(ours("sgd", n, epochs=EPOCHS).fit, X, y),
        },
        options.repeats,
    )
    what = f"{name}, {EPOCHS} epochs"
    ratio = timings.ratio("theirs", "ours")
    their_time, our_time = timings.median("theirs"), timings.median("ours")
    return [
        Row("text", f"SGDClassifier, {what}", their_time, "s"),
        Row("text", f"tfsoftmax, sgd, {what}", our_time, "s", ratio, goal),
    ]


def adam(name: str, X: Any, y: NDArray[np.int64], options: Options) -> Row:
    """Time an epoch of Adam."""
    clf = ours("adam", len(y), epochs=2)
    timings = interleaved({"fit": partial(clf.fit, X, y)}, options.rounds(3))
    seconds = timings.median("fit") / 2
    return Row(
        "text", f"tfsoftmax, adam, {name}, an epoch", seconds, "s", None, at_most(1.5)
    )


def memory(name: str, X: Any, y: NDArray[np.int64]) -> Row:
    """Measure the peak of a fit, its program compiled before."""
    clf = ours("sgd", len(y), epochs=EPOCHS)
    clf.fit(X, y)
    W = clf.coef_
    allowed = 1.5 * (X.data.nbytes + X.indices.nbytes) + 4 * W.nbytes
    vars(clf).pop("coef_"), vars(clf).pop("_result")
    del W
    with PeakMemory() as peak:
        clf.fit(X, y)
    ratio = peak.resident * MB / allowed
    what = f"tfsoftmax, sgd, {name}: peak memory over that before"
    return Row("text", what, peak.resident, "MB", ratio, at_most(1))


def objective(clf: Any, X: Any, y: NDArray[np.int64]) -> float:
    """Compute F in float64, with alpha = 1/n."""
    W = clf.coef_.astype(np.float64)
    z = X @ W.T + clf.intercept_
    loss = (logsumexp(z, axis=1) - z[np.arange(len(y)), y]).sum()
    return float((loss + (W * W).sum() / 2) / len(y))


def to_its_objective(
    name: str, X: Any, y: NDArray[np.int64], options: Options
) -> list[Row]:
    """Time L-BFGS until F is where `LogisticRegression()` stops."""
    theirs = LogisticRegression()
    bound = objective(theirs.fit(X, y), X, y)

    def suffices(iterations: int) -> bool:
        fitted = ours("lbfgs", len(y), epochs=iterations).fit(X, y)
        return objective(fitted, X, y) <= bound

    iterations = fewest(suffices, 8)
    timings = interleaved(
        {
            "theirs": partial(theirs.fit, X, y),
            "ours": partial(ours("lbfgs", len(y), epochs=iterations).fit, X, y),
        },
        options.rounds(3),
    )
    ratio = timings.ratio("theirs", "ours")
    their_time, our_time = timings.median("theirs"), timings.median("ours")
    what = f"tfsoftmax, lbfgs, {name}, {iterations} iterations"
    about = f"{theirs.n_iter_[0]} iterations, F {bound:.6f}"
    return [
        Row("text", f"LogisticRegression(), {name}", their_time, "s", note=about),
        Row("text", what, our_time, "s", ratio, at_least(1.5)),
    ]


def search(name: str, X: Any, y: NDArray[np.int64], options: Options) -> list[Row]:
    """Time a search of 8 candidates in 3 folds."""
    grid = {"learning_rate": [0.1, 0.3, 1.0, 3.0], "alpha": [1e-5, 1e-4]}
    clf = ours("sgd", len(y), epochs=EPOCHS)
    searches = {
        "GridSearchCV": GridSearchCV(clf, grid, cv=3, refit=False),
        "TFSoftmaxGridSearchCV": TFSoftmaxGridSearchCV(clf, grid, cv=3, refit=False),
    }
    timings = interleaved(
        {which: partial(search.fit, X, y) for which, search in searches.items()},
        options.rounds(3),
    )
    theirs, this = searches
    ratio = timings.ratio(theirs, this)
    what = f"{name}, 8 candidates, 3 folds"
    return [
        Row("text", f"{theirs}, {what}", timings.median(theirs), "s"),
        Row("text", f"{this}, {what}", timings.median(this), "s", ratio, at_least(2)),
    ]
