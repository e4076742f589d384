"""Raw tables.

Time to within 1e-6 of the optimum on raw features of different scales, in float64, with
alpha = 1/(C n). The rows show the number of evaluations of F and its gradient, and the
time of a whole fit, with the fewest iterations that suffice for each contender. The
ratio is the time of the fastest of `LogisticRegression`'s solvers lbfgs, newton-cg and
newton-cholesky divided by ours; for evaluations it is their number divided by that of
an earlier prototype. Further rows show the distance to the minimum in float32, and how
many compilations and how much memory recursive feature elimination takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn import datasets
from sklearn.feature_selection import RFE
from sklearn.linear_model import LogisticRegression

from benchmarks.measure import interleaved, resident_memory
from benchmarks.records import Options, Row, at_least, at_most
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.solvers.objective import Objective

Table = tuple[NDArray[Any], NDArray[np.int64]]
GAP = 1e-6
SOLVERS = ("lbfgs", "newton-cg", "newton-cholesky")
# Evaluations to 1e-6 that a prototype took, where it was tried: by name and C.
PROTOTYPE = {
    ("iris", 1): 17,
    ("wine", 1): 26,
    ("wine", 100): 58,
    ("breast cancer", 1): 24,
    ("breast cancer", 100): 25,
    ("digits", 1): 100,
    ("digits", 100): 172,
}
MOST = 3_000  # iterations


def run(options: Options) -> list[Row]:
    """Measure the tables one by one, then float32 and the elimination."""
    tables = all_tables(600 if options.quick else 15_000)
    if options.quick:
        tables = {name: tables[name] for name in ("iris", "mixed")}
    rows = []
    for name, table in tables.items():
        for C in (1,) if options.quick else (1, 100):
            rows += to_the_optimum(name, table, C, options)
    rows += [in_float32(name, *table) for name, table in tables.items()]
    return [*rows, *elimination(options)]


def all_tables(n_mixed: int) -> dict[str, Table]:
    """Load scikit-learn's tables, and make one of very different columns."""
    loaders = {
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
    }
    tables = {name: load(return_X_y=True) for name, load in loaders.items()}
    return tables | {"mixed": mixed_table(n_mixed)}


def mixed_table(n: int) -> Table:
    """Make integers of different size beside dummies, and labels that follow them."""
    rng = np.random.default_rng(0)
    age, hours = rng.integers(18, 90, n), rng.integers(1, 99, n)
    weight = np.exp(rng.uniform(np.log(1e4), np.log(1e6), n)).astype(np.int64)
    gain = np.where(rng.random(n) < 0.1, rng.integers(0, 100_000, n), 0)
    member = rng.integers(0, 2, n)
    z = 0.04 * (age - 45) + np.log1p(gain) / 4 - 1 + 0.03 * (hours - 40) + 0.8 * member
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(np.int64)
    X = np.column_stack([age, weight, gain, hours, member, 1 - member])
    return X.astype(np.float64), y


def ours(C: float, n: int, iterations: int = MOST) -> TFSoftmaxClassifier:
    """Make the classifier with the penalty of LogisticRegression(C)."""
    return TFSoftmaxClassifier(
        optimizer="lbfgs", alpha=1 / (C * n), epochs=max(1, iterations), rescale=None
    )


def to_the_optimum(name: str, table: Table, C: float, options: Options) -> list[Row]:
    """Count evaluations and time fits, for one table and one penalty."""
    X, y = table
    n = len(X)
    bound = objective(ours(C, n).fit(X, y), X, y, C) * (1 + GAP)
    evaluations = count_evaluations(C, X, y, bound)
    makers: dict[str, Callable[[int], Any]] = {"ours": partial(ours, C, n)}
    for solver in SOLVERS:
        if solver == "newton-cholesky" and name == "digits":
            continue  # 650 × 650 numbers an iteration: seconds
        makers[solver] = lambda iterations, solver=solver: LogisticRegression(
            C=C, solver=solver, tol=1e-12, max_iter=iterations
        )
    fits, never = {}, []
    for who, make in makers.items():
        most = 200 if who == "newton-cg" else 2_000
        iterations = fewest(
            lambda i, make=make: objective(make(i).fit(X, y), X, y, C) <= bound, most
        )
        if iterations is None:
            never.append(who)
        else:
            fits[who] = partial(make(iterations).fit, X, y)
    timings = interleaved(fits, options.repeats)
    medians = {who: timings.median(who) for who in fits}
    fastest = min((who for who in fits if who != "ours"), key=medians.__getitem__)
    note = ", ".join(f"{who} {medians[who] * 1e3:.3g} ms" for who in medians)
    if never:
        note += f"; never: {', '.join(never)}"
    what = f"{name}, C={C:g}"
    goal = at_least(1.0 if n >= 500 else 1 / 1.5)
    table_ratio = evaluations / PROTOTYPE[name, C] if (name, C) in PROTOTYPE else None
    return [
        Row(
            "tables",
            f"{what}: evaluations",
            evaluations,
            "",
            table_ratio,
            None if table_ratio is None else at_most(1.2),
        ),
        Row(
            "tables",
            f"{what}: a fit",
            medians["ours"] * 1e3,
            "ms",
            timings.ratio(fastest, "ours"),
            goal,
            note,
        ),
    ]


def count_evaluations(C: float, X: Any, y: Any, bound: float) -> int:
    """Count the evaluations until F is at most the bound."""
    values: list[float] = []
    original = Objective.__call__

    def recorded(self: Objective, U: NDArray[np.float64]) -> Any:
        evaluation = original(self, U)
        values.append(evaluation.F)
        return evaluation

    with mock.patch.object(Objective, "__call__", recorded):
        ours(C, len(X)).fit(X, y)
    return int(np.argmax(np.array(values) <= bound)) + 1


def fewest(suffices: Callable[[int], bool], most: int) -> int | None:
    """Find the smallest budget that suffices, to 5 %; None if `most` does not."""
    low, guess = 0, 4
    while not suffices(guess):
        low, guess = guess, min(2 * guess, most)
        if low == most:
            return None
    high = guess
    while high - low > max(1, low // 20):
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def objective(clf: Any, X: NDArray[Any], y: NDArray[Any], C: float) -> float:
    """Compute F in float64."""
    W = clf.coef_.astype(np.float64)
    z = X @ W.T + clf.intercept_.astype(np.float64)
    if len(W) == 1:
        z = np.column_stack([np.zeros_like(z), z])
    losses = logsumexp(z, axis=1) - z[np.arange(len(z)), y]
    return float(losses.mean() + (W * W).sum() / (2 * C * len(X)))


def in_float32(name: str, X: NDArray[Any], y: NDArray[Any]) -> Row:
    """Compare F where float32 ends with that of float64 on the same numbers."""
    single = X.astype(np.float32)
    double = single.astype(np.float64)
    n = len(X)
    best, reached = (
        objective(ours(1, n).fit(Z, y), double, y, 1) for Z in (double, single)
    )
    what = f"{name}, float32: F above its minimum, relative"
    return Row("tables", what, reached / best - 1, "", None, at_most(1e-6))


def elimination(options: Options) -> list[Row]:
    """Eliminate the digits' pixels one by one; count and weigh the programs."""
    from tfsoftmax.engine import compilation

    X, y = datasets.load_digits(return_X_y=True)
    clf = TFSoftmaxClassifier(
        optimizer="lbfgs", alpha=1 / len(X), epochs=1000, rescale=None, tol=1e-4
    )
    clf.fit(X[:300], y[:300])
    compiled, resident = compilation._compile.cache_info().misses, resident_memory()
    RFE(clf, n_features_to_select=1, step=16 if options.quick else 1).fit(X, y)
    compiled = compilation._compile.cache_info().misses - compiled
    resident = resident_memory() - resident
    what = "RFE(step=1) on digits"
    return [
        Row("tables", f"{what}: compilations", compiled, "", None, at_most(12)),
        Row("tables", f"{what}: memory kept", resident, "MB", None, at_most(40)),
    ]
