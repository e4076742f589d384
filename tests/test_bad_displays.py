"""Thousands of bad calls of the displays: a figure that can be drawn, or a clear error.

`CALLS` are good calls. Each bad one is a good one with an argument or two replaced: by
one of the values that `WRONG` has for this argument, or by `ANYTHING`.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
import re
from collections.abc import Callable
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC

from tests.generated import N_CALLS, run
from tests.problems import problem
from tests.robustness.oracle import fingerprint
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV, displays
from tfsoftmax.displays import (
    HistoryDisplay,
    PredictionsDisplay,
    SearchDisplay,
    WeightsDisplay,
)

X, Y, _ = problem(n_samples=30, n_features=4)
PROBA = np.random.default_rng(0).dirichlet(np.ones(3), len(X))
NAN = np.where(np.arange(4) == 1, np.nan, X)


@functools.cache
def models():
    """Fitted and not, of every kind; a TFSoftmaxClassifier comes first."""
    grid = {"learning_rate": [0.1, 0.5], "alpha": [0.0, 0.1]}
    clf = TFSoftmaxClassifier(epochs=2, learning_rate=0.5, random_state=0)
    fitted = [
        clf,
        TFSoftmaxGridSearchCV(clone(clf), grid, cv=2),
        GridSearchCV(LogisticRegression(), {"C": [1.0, 0.1]}, cv=2),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2, refit=False),
        *(LinearRegression(), KMeans(2, n_init=1), DummyClassifier(), GaussianNB()),
        *(SVC(kernel="linear"), PCA(2), make_pipeline(Normalizer(), clone(clf))),
        make_pipeline(StandardScaler(), "passthrough"),
        make_pipeline(StandardScaler(), KMeans(2, n_init=1)),
        make_pipeline(clone(clf)),
    ]
    fitted = [model.fit(X, Y) for model in fitted]
    several = np.eye(3, dtype=int)[Y]
    # A tree counts its calls, and would so be changed by them.
    neighbors = KNeighborsClassifier(algorithm="brute")
    fitted.append(neighbors.fit(X, several))
    fitted.append(OneVsRestClassifier(LogisticRegression()).fit(X, several))
    fitted.append(LogisticRegression().fit(X[:, :2], Y))
    unfitted = [clone(model) for model in fitted[:4]] + [TFSoftmaxClassifier, 5, "clf"]
    return fitted + unfitted


# Calls that are right, on which the wrong ones are made


def methods():
    return {method.__qualname__: (method, good) for method, good in calls().items()}


@functools.cache
def calls():
    """For each method the method itself, and the arguments of a good call."""
    clf, search, *_ = models()
    weights = WeightsDisplay(np.ones((3, 2, 2)), ["a", "b", "c"])
    pictures = PredictionsDisplay(np.eye(4).reshape(4, 2, 2), Y[:4], Y[:4], X[:4, 0], Y)
    history = HistoryDisplay({"a": clf.history_})
    scores = SearchDisplay(np.eye(2), [1, 2], [3, 4], x="a", y="b")
    probabilities = {"y_true": Y, "y_proba": PROBA, "classes": [0, 1, 2]}
    panels = {"ax": None, "n_cols": None, "cmap": "gray"}
    scale = {"limit": None, "colorbar": True}
    cells = {"ax": None, "cmap": "gray", "colorbar": True, "annotate": None}
    parameters = {"x": "learning_rate", "y": "alpha", "metric": None}
    shape = {"image_shape": (2, 2)}
    chosen = shape | {"kind": "random", "n_pictures": 2, "random_state": 0}
    good = {
        WeightsDisplay.from_estimator: {"estimator": clf} | shape | panels | scale,
        weights.plot: panels | scale,
        HistoryDisplay.from_estimator: {"estimator": clf, "name": None, "ax": None},
        history.plot: {"ax": None},
        PredictionsDisplay.from_estimator: {"estimator": clf, "X": X, "y": Y}
        | chosen
        | panels,
        PredictionsDisplay.from_predictions: {"X": X} | probabilities | chosen | panels,
        pictures.plot: panels,
        SearchDisplay.from_estimator: {"search": search} | parameters | cells,
        scores.plot: cells,
    }
    return {method.__qualname__: (method, good) for method, good in good.items()}


METHODS = [
    *(f"{name}.from_estimator" for name in displays.__all__),
    *(f"{name}.plot" for name in displays.__all__),
    "PredictionsDisplay.from_predictions",
]


# What goes wrong


class Unequal:
    """Has no truth, and is equal to nothing that could be told."""

    def __eq__(self, other):
        return np.array([True, False])

    __hash__ = None


ANYTHING = [
    *(None, True, False, 0, 1, -1, 2, 1.5, np.nan, np.inf, 10**400, 1j, pd.NA, ...),
    *("", "x", "abc", "$", b"x", (), [], {}, {"a"}, [None], {"a": 1}, object(), print),
    *(np.ones(2), np.ones((2, 2)), np.array([]), np.array("a"), np.float32(2)),
    *(pd.Series([1, 2]), pd.DataFrame({"a": [1]}), pd.DataFrame(), Unequal()),
    *(sparse.csr_array(np.eye(3)), np.datetime64("2020-01-01"), int, range(3)),
]
ROWS = [
    *(X[:, :3], X[:5], X[0], X[None], X[:0], X[:, :0], NAN, X + np.inf, X * 1j, X.T),
    *(X.astype(str), X.astype(object) * 10**30, [*X.tolist()[:-1], [1]], X > 0),
    *(np.where(X > 0, X, None), np.full(X.shape, "a", object), pd.DataFrame(NAN)),
    *(sparse.csr_array(X[:, :3]), sparse.coo_array(X[0]), sparse.csr_array(NAN)),
    *(pd.DataFrame(X).astype(str), X.astype("M8[s]"), X.astype("m8[s]")),
    X[:, [0] * 12],
]
LABELS = [
    *(Y[:5], Y + 1, Y + 0.5, Y * np.nan, Y.astype(str), Y[:, None], np.eye(3)[Y]),
    *(np.where(Y > 0, Y, None), [*Y[:-1], "a"], [[0]] * 30, [*Y[:-1].tolist(), [1]]),
    *([{0}] * 30, pd.Series(Y).replace(2, np.nan), Y * 1j, np.array(Y, "M8[s]")),
]
PROBABILITIES = [
    *(PROBA[:, :2], PROBA[:5], PROBA[0], PROBA[None], PROBA.T, PROBA * np.nan),
    *(np.where(PROBA > 0.5, np.nan, PROBA), PROBA + np.inf, PROBA.astype(str)),
    *(PROBA * 1j, [PROBA] * 3, PROBA * 9, PROBA - 1),
    *(np.where(PROBA > 0.5, None, PROBA), sparse.csr_array(PROBA), PROBA.tolist()[:-1]),
    *([PROBA[0]] * 29 + [[1.0]], pd.DataFrame(PROBA).astype(str)),
]
NO_CLASSES = [
    *([0, 1], [0, 1, 2, 3], [3, 4, 5], ["0", "1", "2"], [0, 0, 1], [0, 1, np.nan]),
    *([[0], [1], [2]], np.eye(3), [0, 1, None], [{0}, {1}, {2}], [0, [1], 2], "012"),
]
SHAPES = [
    *((4, 4), (4,), 4, (2, 2, 1), (2, 2, 3), (1, 1, 3), (-2, -2), (2, 2.0), (4, 0)),
    *((2, None), (2, "2"), (True, 4), (2**40, 2**40), (np.nan, 2), [[2, 2]], {2: 2}),
    "22",
]


class Drawn(NamedTuple):
    """A value that drawing changes: made of a new figure for each call."""

    on: Callable[[Figure], object]


AXES = [
    *(Drawn(lambda figure: figure), Drawn(lambda figure: figure.subplots(1, 2))),
    Drawn(lambda figure: figure.subplots()),
    Drawn(lambda figure: figure.add_axes((0, 0, 1, 1))),
    *(Drawn(lambda figure, n=n: [figure.subplots()] * n) for n in (1, 2, 7)),
    Drawn(lambda figure: [figure.subplots(), 1, "c"]),
    Drawn(lambda figure: [[figure.subplots()], [figure.add_axes((0, 0, 1, 1)), 1]]),
    Drawn(lambda figure: dict.fromkeys("abc", figure.subplots())),
    *(Drawn(lambda figure: figure.canvas), Drawn(lambda figure: [figure] * 2)),
    *([None] * 2, [None] * 3, ["a"] * 3, plt.subplots),
]


@functools.cache
def estimators():
    clf, *_ = several = models()
    without_numbers = clone(clf).fit(X, Y)
    without_numbers.coef_ = np.full((3, 4), np.nan)
    together = [[], {}, [clf, None], {"a": 5}, [several[-1]], [clf, LinearRegression()]]
    together += [{1: clf}, {None: clf}, (clf, clf), {clf}]
    return [*several, *together, without_numbers]


def wrong(argument):
    """The special values for an argument."""
    return {
        "estimator": estimators,
        "search": estimators,
        "X": lambda: ROWS,
        "y": lambda: [*LABELS, "learning_rate", "C", ("alpha",)],
        "y_true": lambda: LABELS,
        "y_proba": lambda: PROBABILITIES,
        "classes": lambda: NO_CLASSES,
        "image_shape": lambda: SHAPES,
        "ax": lambda: AXES,
        "n_cols": lambda: [0, -5, 2.0, "2", 7, np.int8(1)],
        "n_pictures": lambda: [0, -5, 2.0, "2", 1000, np.int8(1), 10**30],
        "limit": lambda: [-1.0, -np.inf, "1", np.ones(1), 1e-9, 1e9],
        "random_state": lambda: [-5, 2**32, "0", 0.5, np.random.default_rng(0)],
        "kind": lambda: ["Worst", ["worst"], np.array(["worst", "best"]), b"best"],
        "x": lambda: ["alpha", "C", ["alpha"], "a__learning_rate"],
        "metric": lambda: ["test", "accuracy", "score", ["score"]],
    }.get(argument, list)()


# What a message must have to tell of an argument: its name, or for some what it is
# about. Of rows that are no pictures of a shape, the number of features tells.
LACKING = r"|has none|has kept no estimator|rows of \w+'s coef_|known to be linear"
TELLS = {
    "estimator": r"\b(estimators?|features)\b" + LACKING,
    "search": r"\b(search|searched|estimator)\b|has none",
    "X": r"\bX\b|features",
}


@pytest.fixture(autouse=True)
def every_figure_is_closed():
    yield
    plt.close("all")


def assert_clear(error, arguments):
    """It is of the right type, and its message tells of one of the arguments."""
    assert isinstance(error, ValueError | TypeError), repr(error)
    told = "|".join(TELLS.get(name, rf"\b{name}\b") for name in arguments)
    assert re.search(told, str(error)), f"{error!r} tells nothing of {arguments}"


def assert_right(display, drawn):
    """It can be drawn, and what is shown has a scale and probabilities are numbers."""
    assert np.isfinite(getattr(display, "probability", 0)).all()
    for panel in display.figure_.axes:
        for image in panel.images:
            assert np.isfinite(image.get_clim()).all()
    # Most calls that are not refused make a figure that one before has made. To draw
    # takes ten times as long as to pickle, and nearly all of the time of these tests.
    sketch = without_places(pickle.dumps(display.figure_))
    if sketch not in drawn:
        display.figure_.draw_without_rendering()
        drawn.add(sketch)


def without_places(pickled):
    """Leave out the integers of 6 bytes: objects' places in memory, by id()."""
    return hashlib.sha256(re.sub(rb"\x8a\x06.{6}", b"", pickled, flags=re.S)).digest()


def owned(call):
    """The data of the display whose method is called."""
    display = getattr(call, "__self__", None)
    return {} if isinstance(display, type) else vars(display)


def prints(values):
    """Fingerprints of what no call may change: all but what it draws on."""
    return {
        name: fingerprint(value)
        for name, value in values.items()
        if name != "ax" and not name.endswith("_")
    }


@pytest.mark.filterwarnings("ignore:X has feature names")
@N_CALLS
@pytest.mark.parametrize("name", METHODS)
def test_a_bad_call_draws_or_is_refused_by_name(name, n_calls):
    call, good = calls()[name]
    drawn = set()

    def draw(data):
        changes = {}
        places = st.lists(st.sampled_from(list(good)), min_size=1, max_size=2)
        for argument in data.draw(places):
            special = data.draw(st.booleans()) and wrong(argument)
            # Two values may look the same to hypothesis: so their places are drawn.
            values = special or ANYTHING
            changes[argument] = values[data.draw(st.integers(0, len(values) - 1))]
        for argument, value in changes.items():
            if isinstance(value, Drawn):
                changes[argument] = value.on(Figure())
        arguments = good | changes
        before = prints(arguments | owned(call))
        try:
            display = call(**arguments)
        except Exception as error:
            assert_clear(error, set(changes))
        else:
            assert_right(display, drawn)
        finally:
            plt.close("all")
        unchanged = prints(arguments | owned(call)) == before
        assert unchanged  # which pytest would else spell out

    models_before = [fingerprint(model) for model in models()]
    run(st.data(), draw, n_calls)
    models_unchanged = [fingerprint(model) for model in models()] == models_before
    assert models_unchanged


@pytest.mark.parametrize("name", ["WeightsDisplay.plot", "PredictionsDisplay.plot"])
def test_more_columns_than_panels_make_no_giant_figure(name, monkeypatch):
    def figure(figsize, **options):
        # In pixels, matplotlib's own limit for a picture.
        assert max(figsize) * plt.rcParams["figure.dpi"] < 2**16, figsize
        return Figure(figsize, **options)

    monkeypatch.setattr(plt, "figure", figure)
    try:
        calls()[name][0](n_cols=10**6)
    except ValueError as error:
        assert_clear(error, ["n_cols"])


W, PICTURES, TWO = np.ones((3, 2, 2)), np.ones((2, 2, 2)), [0, 1]
EPOCHS = pd.DataFrame({"loss": [1.0], "accuracy": [0.5]})


@pytest.mark.parametrize(
    ("display", "data", "argument"),
    [
        (WeightsDisplay, (W, ["a"]), "class_names"),
        (WeightsDisplay, (W, list("abcd")), "class_names"),
        (WeightsDisplay, (W, 5), "class_names"),
        (WeightsDisplay, (W[:0], []), "weights"),
        (WeightsDisplay, (W[0], TWO), "weights"),
        (WeightsDisplay, (W.astype(str), list("abc")), "weights"),
        (HistoryDisplay, ({},), "histories"),
        (HistoryDisplay, ([EPOCHS],), "histories"),
        (HistoryDisplay, ({"a": {"loss": [1], "accuracy": [1, 2]}},), "histories"),
        (HistoryDisplay, ({"a": EPOCHS, "b": EPOCHS[["loss"]]},), "accuracy"),
        (HistoryDisplay, ({"a": EPOCHS, "b": EPOCHS[["loss"]]},), "histories"),
        (PredictionsDisplay, (PICTURES, [1], TWO, TWO, TWO), "y_true"),
        (PredictionsDisplay, (PICTURES, 1, TWO, TWO, TWO), "y_true"),
        (PredictionsDisplay, (PICTURES, TWO, [1], TWO, TWO), "y_pred"),
        (PredictionsDisplay, (PICTURES, TWO, TWO, [1], TWO), "probability"),
        (PredictionsDisplay, (PICTURES, TWO, TWO, ["1", "1"], TWO), "probability"),
        (PredictionsDisplay, (PICTURES[:0], [], [], [], []), "images"),
        (PredictionsDisplay, (PICTURES[0], TWO, TWO, TWO, TWO), "images"),
        (PredictionsDisplay, (np.ones((2,) * 4), TWO, TWO, TWO, TWO), "images"),
        (PredictionsDisplay, (PICTURES.astype(str), TWO, TWO, TWO, TWO), "images"),
        (SearchDisplay, ([[0.9, 0.8]], [1], [2]), "x_values"),
        (SearchDisplay, ([[0.9, 0.8]], [1, 2], [2, 3]), "y_values"),
        (SearchDisplay, ([[0.9, 0.8]], 1, [2]), "x_values"),
        (SearchDisplay, ([[0.9, 0.8]], [1, 2], 2), "y_values"),
        (SearchDisplay, ([0.9, 0.8], [1, 2], [2]), "scores"),
        (SearchDisplay, ([[]], [], [2]), "scores"),
        (SearchDisplay, ([["a"]], [1], [2]), "scores"),
    ],
)
def test_a_display_made_by_hand_says_what_does_not_fit(display, data, argument):
    names = {"x": "a", "y": "b"} if display is SearchDisplay else {}
    with pytest.raises((ValueError, TypeError), match=rf"\b{argument}\b"):
        display(*data, **names).plot()
