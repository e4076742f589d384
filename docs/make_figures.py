"""Make the pictures of the README and the site: ``python docs/make_figures.py``.

With names only those: ``python docs/make_figures.py optimum``, which takes a minute.
"""

import math
import re
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import loguniform
from sklearn.datasets import load_digits, load_wine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.discovery import all_estimators

from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxRandomizedSearchCV
from tfsoftmax.datasets import load_mnist
from tfsoftmax.displays import (
    HistoryDisplay,
    PredictionsDisplay,
    SearchDisplay,
    WeightsDisplay,
)

IMAGES = Path(__file__).parent / "images"
BENCHMARKS = Path(__file__).parent / "benchmarks.md"
CLASSIC = {
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "epochs": 10,
    "alpha": 0,
    "random_state": 0,
}
# M. Okabe and K. Ito's colours, as in the displays.
STYLES = {
    'TFSoftmaxClassifier, "lbfgs"': ("#D55E00", "o"),
    "newton-cholesky": ("#0072B2", "s"),
    "newton-cg": ("#009E73", "^"),
    "lbfgs": ("#CC79A7", "D"),
    "saga": ("#000000", "v"),
}
OURS, *THEIRS = STYLES
# What the chart of the benchmarks shows: a section's rows, and what to call them there.
COMPARED = {
    "The classic recipe": {
        "tfsoftmax, uint8": "tfsoftmax, bytes",
        "hand-written NumPy, W (10, 784)": "hand-written NumPy",
        "tfsoftmax, float32": "tfsoftmax, float32",
        "MLPClassifier(hidden_layer_sizes=())": "MLPClassifier",
        "TensorFlow 1 graph and Session": "TensorFlow 1",
        "keras.wrappers.SKLearnClassifier": "Keras' SKLearnClassifier",
        "SciKeras KerasClassifier": "SciKeras",
    },
    "To the optimum": {
        "tfsoftmax, adam, cosine, 7 epochs, uint8": 'tfsoftmax, "adam"',
        "tfsoftmax, lbfgs, 12 iterations, uint8": 'tfsoftmax, "lbfgs"',
        "MLPClassifier(hidden_layer_sizes=(), solver='adam'), cosine, 7 epochs": (
            "MLPClassifier, the same Adam"
        ),
        "LogisticRegression()": "LogisticRegression, lbfgs",
        "SGDClassifier(loss='log_loss')": "SGDClassifier",
        "LogisticRegression(solver='saga', max_iter=20)": "LogisticRegression, saga",
    },
    "Sparse rows": {
        "tfsoftmax, sgd, 130,107 columns, 3 epochs": "tfsoftmax, 130,107 columns",
        "SGDClassifier, 130,107 columns, 3 epochs": "SGDClassifier, 130,107 columns",
        "tfsoftmax, sgd, 2²⁰ columns, 3 epochs": "tfsoftmax, few rows, 2²⁰ columns",
        "SGDClassifier, 2²⁰ columns, 3 epochs": "SGDClassifier, few rows, 2²⁰ columns",
    },
    "A grid trained at once": {
        "TFSoftmaxGridSearchCV": "TFSoftmaxGridSearchCV",
        "GridSearchCV, n_jobs=2": "GridSearchCV over tfsoftmax, n_jobs=2",
        "GridSearchCV over MLPClassifier": "… over MLPClassifier, estimated",
        "GridSearchCV over LogisticRegression": "… over LogisticRegression, estimated",
    },
}
# Rows of the benchmarks by how they begin, and their names in the picture.
SAME_STEPS = {
    "tfsoftmax, uint8": "TFSoftmaxClassifier",
    "hand-written NumPy, W (784": "NumPy, written by hand",
    "MLPClassifier(": "MLPClassifier, no hidden layer",
    "TensorFlow 1": "TensorFlow 1 script",
    "keras.wrappers": "Keras' scikit-learn wrapper",
}
SAME_OBJECTIVE = {
    "tfsoftmax, adam": "TFSoftmaxClassifier, Adam",
    "tfsoftmax, lbfgs,": 'TFSoftmaxClassifier, "lbfgs"',
    "MLPClassifier(": "MLPClassifier, Adam",
    "LogisticRegression()": "LogisticRegression",
    "LogisticRegression(solver='saga'": 'LogisticRegression, "saga"',
}
ITERATIONS = [1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 1000]
ROUNDING = 1e-14  # of F, relative: nearer to the minimum nothing can be seen


def main(names: list[str]) -> None:
    """Make the figures of these names; all, if there are none."""
    mpl.use("Agg")
    for name in names or FIGURES:
        FIGURES[name]()


def recipes() -> None:
    """Train the classic recipe and the defaults, and draw both."""
    X, y = load_mnist("train", return_X_y=True)
    classic = TFSoftmaxClassifier(**CLASSIC, rescale=1 / 255)
    default = TFSoftmaxClassifier(random_state=0)
    recipes = {"the classic recipe": classic, "the defaults": default}
    for clf in recipes.values():
        clf.fit(X[:50_000], y[:50_000], X_val=X[50_000:], y_val=y[50_000:])

    save(WeightsDisplay.from_estimator(classic).figure_, "weights.png")
    save(HistoryDisplay.from_estimator(recipes).figure_, "history.png")
    held_out = X[50_000:], y[50_000:]
    worst = PredictionsDisplay.from_estimator(default, *held_out, n_pictures=12)
    save(worst.figure_, "predictions.png", dpi=110)


def looking() -> None:
    """Draw the weights of a table and of words, and a random search."""
    wine = load_wine(as_frame=True)
    clf = TFSoftmaxClassifier(random_state=0)
    clf.fit(wine.data, wine.target_names[wine.target])
    save(
        WeightsDisplay.from_estimator(clf, n_bars=6, n_cols=2).figure_,
        "wine.png",
        dpi=110,
    )

    topics = ["cluster", "ensemble", "feature_selection"]
    topics += ["linear_model", "neighbors", "preprocessing"]
    kinds = [kind for _, kind in all_estimators()]
    docs = pd.Series([kind.__doc__ for kind in kinds])
    modules = pd.Series([kind.__module__.split(".")[1] for kind in kinds])
    chosen = modules.isin(topics)
    words = TfidfVectorizer(token_pattern="[a-z]{3,}", min_df=3)
    pipe = make_pipeline(words, TFSoftmaxClassifier(random_state=0))
    pipe.fit(docs[chosen], modules[chosen])
    save(WeightsDisplay.from_estimator(pipe, n_bars=6).figure_, "words.png", dpi=110)

    drawn = {"learning_rate": loguniform(1e-3, 1), "alpha": loguniform(1e-6, 0.1)}
    clf = TFSoftmaxClassifier(epochs=5, random_state=0)
    search = TFSoftmaxRandomizedSearchCV(clf, drawn, n_iter=30, cv=3, random_state=0)
    warnings.simplefilter("ignore")  # some rates are far too small
    search.fit(*load_digits(return_X_y=True))
    save(SearchDisplay.from_estimator(search).figure_, "search.png", dpi=110)


def speed() -> None:
    """Draw the seconds of fits on MNIST, as the benchmarks have them."""
    from matplotlib.figure import Figure

    page = BENCHMARKS.read_text("utf-8")
    panels = {
        "Ten epochs of gradient descent": measured(
            page, "The classic recipe", SAME_STEPS
        ),
        "To the objective at which LogisticRegression stops": measured(
            page, "To the optimum", SAME_OBJECTIVE
        ),
    }
    figure = Figure(figsize=(7.2, 4), layout="constrained")
    heights = [len(seconds) for seconds in panels.values()]
    axes = figure.subplots(2, sharex=True, height_ratios=heights)
    for ax, (title, seconds) in zip(axes, panels.items(), strict=True):
        is_ours = [name.startswith("TFSoftmax") for name in seconds]
        colors = ["#D55E00" if ours else "#0072B2" for ours in is_ours]
        bars = ax.barh(list(seconds), list(seconds.values()), color=colors, height=0.6)
        ax.bar_label(bars, [f"{value:.3g} s" for value in seconds.values()], padding=4)
        ax.invert_yaxis()
        ax.set_title(title, loc="left", fontsize="medium")
        ax.set_xscale("log")
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set(xlabel="fit time on MNIST (s), logarithmic scale", xlim=(0.1, 60))
    axes[-1].xaxis.set_major_formatter("{x:g}")
    save(figure, "speed.png")


def measured(page: str, section: str, names: dict[str, str]) -> dict[str, float]:
    """Find the seconds in a section's rows, by how a row begins, where there is one."""
    rows = seconds_of(page, section)
    first = {
        name: next((s for what, s in rows.items() if what.startswith(beginning)), None)
        for beginning, name in names.items()
    }
    seconds = {name: value for name, value in first.items() if value is not None}
    return dict(sorted(seconds.items(), key=lambda item: item[1]))


def optimum() -> None:
    """Draw how near to the minimum solvers come on a raw table, and in what time."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    warnings.simplefilter("ignore")  # all of them are made to end too early
    X, y = unscaled_table()
    makers = {OURS: partial(ours, alpha=1 / len(y))}
    makers |= {solver: partial(theirs, solver=solver) for solver in THEIRS}
    ours(2, alpha=1.0).fit(X, y)  # imports TensorFlow, and compiles
    rounds = [{name: course(makers[name], X, y) for name in makers} for _ in range(3)]
    curves = {name: np.median([r[name] for r in rounds], axis=0) for name in makers}
    lowest = min(curve[:, 1].min() for curve in curves.values())

    figure = Figure(figsize=(7.2, 5), layout="constrained")
    ax = figure.subplots()
    for name, (color, marker) in STYLES.items():
        seconds, F = curves[name].T
        excess = np.maximum(F / lowest - 1, ROUNDING)
        last = int(np.argmax(excess == ROUNDING)) + 1 if ROUNDING in excess else None
        label = name if name == OURS else f"LogisticRegression, {name}"
        style = {"color": color, "marker": marker, "markersize": 4, "label": label}
        ax.loglog(seconds[:last], excess[:last], **style)
    ax.set(
        xlabel="fit time (s)",
        ylabel="relative excess over the minimum",
        ylim=(ROUNDING / 3, 10),
    )
    ax.yaxis.set_major_locator(LogLocator(numticks=9))
    ax.grid(color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    save(figure, "optimum.png")


def tables() -> None:
    """Draw the seconds of a fit by the layout of X, and by who standardises."""
    from matplotlib.figure import Figure

    X, y = load_mnist("train", return_X_y=True)
    wide = X.astype(np.int64)
    recipe = partial(TFSoftmaxClassifier, **CLASSIC)
    pixels, standard = recipe(rescale=1 / 255), recipe(rescale="standard")
    scaler = make_pipeline(StandardScaler(), recipe(rescale=None))
    contenders = {
        "bytes, an array by rows": partial(pixels.fit, X, y),
        "bytes, a DataFrame": partial(pixels.fit, by_columns(X), y),
        "int64, an array by rows": partial(pixels.fit, wide, y),
        "int64, a DataFrame": partial(pixels.fit, by_columns(wide), y),
        'bytes, rescale="standard"': partial(standard.fit, X, y),
        "bytes, StandardScaler in a pipeline": partial(scaler.fit, X, y),
    }
    seconds = medians(contenders)
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    ax = figure.subplots()
    is_theirs = ["pipeline" in name for name in seconds]
    colors = ["#0072B2" if theirs else "#D55E00" for theirs in is_theirs]
    bars = ax.barh(list(seconds), list(seconds.values()), color=colors, height=0.6)
    ax.bar_label(bars, fmt="%.2f s", padding=4)
    ax.invert_yaxis()
    ax.set(xlabel="fit time (s)")
    ax.margins(x=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, "tables.png")


def text() -> None:
    """Draw the seconds of an epoch on sparse rows by the number of their columns."""
    from matplotlib.figure import Figure

    warnings.simplefilter("ignore")  # three epochs are too few for all
    widths, epochs = [1_000, 10_000, 100_000, 1_000_000], 3
    ours = partial(TFSoftmaxClassifier, epochs=epochs, alpha=1e-4, random_state=0)
    models = {
        'TFSoftmaxClassifier, "sgd"': ours(optimizer="sgd", learning_rate=1.0),
        'TFSoftmaxClassifier, "adam"': ours(optimizer="adam", learning_rate=0.01),
        "SGDClassifier": SGDClassifier(loss="log_loss", max_iter=epochs, tol=None),
    }
    styles = zip(models, ("#D55E00", "#CC79A7", "#0072B2"), "ov^", strict=True)
    by_width = []
    for n_features in widths:
        X, y = words(11_314, n_features, 20)
        fits = {name: partial(model.fit, X, y) for name, model in models.items()}
        by_width.append(medians(fits))
    figure = Figure(figsize=(7.2, 4), layout="constrained")
    ax = figure.subplots()
    for name, color, marker in styles:
        seconds = [measured[name] / epochs for measured in by_width]
        ax.loglog(widths, seconds, color=color, marker=marker, label=name)
    ax.set(xlabel="columns of X", ylabel="time per epoch (s)")
    ax.grid(color="0.9")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    save(figure, "text.png")


def benchmarks() -> None:
    """Draw the seconds of ours and of others, as the page of benchmarks has them."""
    from matplotlib.figure import Figure

    page = BENCHMARKS.read_text("utf-8")
    heights = [len(rows) for rows in COMPARED.values()]
    figure = Figure(figsize=(8, 6.4), layout="constrained")
    panels = figure.subplots(len(COMPARED), sharex=True, height_ratios=heights)
    for ax, (title, rows) in zip(panels, COMPARED.items(), strict=True):
        measured = seconds_of(page, title)
        seconds = [measured[row] for row in rows]
        is_ours = [row.startswith(("tfsoftmax", "TFSoftmax")) for row in rows]
        colors = ["#D55E00" if ours else "#0072B2" for ours in is_ours]
        names = list(rows.values())
        ax.scatter(seconds, names, c=colors, zorder=2)
        for at in zip(seconds, names, strict=True):
            label = f"{at[0]:,.3g} s" if at[0] < 1000 else f"{at[0]:,.0f} s"
            near = {"xytext": (8, 0), "textcoords": "offset points"}
            ax.annotate(label, at, va="center", **near)
        ax.set_title(title, loc="left", fontsize="medium", fontweight="bold")
        ax.set(xscale="log", xlim=(0.02, 9000), ylim=(len(rows) - 0.5, -0.5))
        ax.grid(color="0.9")
        ax.tick_params(which="both", length=0)
        ax.xaxis.set_major_formatter("{x:g}")
        ax.spines[:].set_visible(False)
    ax.set(xlabel="time (s), logarithmic scale: further left is faster")
    save(figure, "benchmarks.png")


def seconds_of(page: str, title: str) -> dict[str, float]:
    """Read what took how many seconds from a section of the page of benchmarks."""
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| ([\d,.]+) s \|", section, re.MULTILINE)
    return {what: float(seconds.replace(",", "")) for what, seconds in found}


def by_columns(X: NDArray[Any]) -> pd.DataFrame:
    """Return X as a DataFrame that lies by columns, as most do."""
    return pd.DataFrame(np.asfortranarray(X))


def words(n: int, n_features: int, n_classes: int) -> tuple[Any, NDArray[np.int64]]:
    """Make up rows of 96 words by Zipf's law, each row of length 1."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    drawn = np.minimum(rng.zipf(1.3, (n, 96)) * n_classes + y[:, None], 2**40)
    columns = (drawn * 7919 % n_features).astype(np.int32)
    rows = np.repeat(np.arange(n, dtype=np.int32), 96)
    values = np.ones(len(rows))
    X = sparse.csr_matrix((values, (rows, columns.ravel())), shape=(n, n_features))
    return normalize(X), y


def medians(
    contenders: dict[str, Callable[[], Any]], rounds: int = 5
) -> dict[str, float]:
    """Return the median seconds of each, measured in turn, after a first call."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds + 1):
        for name, call in contenders.items():
            began = time.perf_counter()
            call()
            if i:
                seconds[name].append(time.perf_counter() - began)
    return {name: float(np.median(measured)) for name, measured in seconds.items()}


def unscaled_table() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Make up 15,000 people, by whole numbers of different size, in two classes."""
    rng, n = np.random.default_rng(0), 15_000
    gains = np.where(rng.random(n) < 0.1, rng.integers(1, 100_001, n), 0)
    columns = [
        rng.integers(18, 91, n),  # age
        np.exp(rng.uniform(np.log(1e4), np.log(1e6), n)).round(),  # weight
        gains,
        rng.integers(1, 100, n),  # hours
        np.eye(8)[rng.integers(8, size=n)],
        np.eye(6)[rng.choice(6, n, p=[0.5, 0.2, 0.1, 0.1, 0.06, 0.04])],
    ]
    X = np.column_stack(columns)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ rng.normal(size=X.shape[1]) - 1
    return X, rng.random(n) < 1 / (1 + np.exp(-z))


def ours(iterations: int, *, alpha: float) -> TFSoftmaxClassifier:
    """Make this package's classifier with so many iterations."""
    return TFSoftmaxClassifier(optimizer="lbfgs", alpha=alpha, epochs=iterations)


def theirs(iterations: int, *, solver: str) -> LogisticRegression:
    """Make scikit-learn's classifier with so many iterations, whatever its tol."""
    return LogisticRegression(
        solver=solver, max_iter=iterations, tol=1e-15, random_state=0
    )


def course(
    make: Callable[[int], Any], X: NDArray[np.float64], y: NDArray[np.bool_]
) -> list[tuple[float, float]]:
    """Return the seconds and the objective of fits with ever more iterations.

    It ends with the first that has not made use of all of its iterations.
    """
    reached = []
    for iterations in ITERATIONS:
        began = time.perf_counter()
        clf = make(iterations).fit(X, y)
        seconds = time.perf_counter() - began
        reached.append((seconds, objective(clf, X, y)))
        print(f"{clf}: {seconds:.3f} s", flush=True)
        if np.max(clf.n_iter_) < iterations:
            break
    return reached


def objective(clf: Any, X: NDArray[np.float64], y: NDArray[np.bool_]) -> float:
    """Compute F of a fitted classifier, with C = 1: alpha is 1 / n."""
    z = X @ clf.coef_[0] + clf.intercept_[0]
    losses = np.logaddexp(0, np.where(y, -z, z))
    return (math.fsum(losses) + math.fsum(clf.coef_[0] ** 2) / 2) / len(y)


def save(figure: Any, name: str, dpi: int = 150) -> None:
    """Save a figure, sharp enough for a screen of double density."""
    IMAGES.mkdir(exist_ok=True)
    # Without the date and version that matplotlib notes, the same picture is the
    # same file.
    metadata = {"Software": None}
    figure.savefig(IMAGES / name, dpi=dpi, metadata=metadata)
    print(f"{IMAGES.name}/{name}")


FIGURES = {
    "speed": speed,
    "recipes": recipes,
    "looking": looking,
    "optimum": optimum,
    "tables": tables,
    "text": text,
    "benchmarks": benchmarks,
}

if __name__ == "__main__":
    main(sys.argv[1:])
