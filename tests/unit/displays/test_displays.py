"""Displays: their arrays, limits, titles, labels and colours, never their pixels."""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys
from fractions import Fraction

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from scipy import sparse
from sklearn import decomposition, feature_selection, preprocessing, random_projection
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

from tests.problems import classic, problem
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV, displays
from tfsoftmax.displays import (
    HistoryDisplay,
    PredictionsDisplay,
    SearchDisplay,
    WeightsDisplay,
)

matplotlib.use("Agg")

GRID = {"C": [1.0, 0.1, 10.0], "tol": [0.5, 0.01]}


@pytest.fixture(autouse=True)
def every_figure_can_be_drawn_and_nothing_global_changes(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("plt.show was called"))
    before = dict(matplotlib.rcParams)
    yield
    try:
        for number in plt.get_fignums():
            plt.figure(number).draw_without_rendering()
        assert dict(matplotlib.rcParams) == before
    finally:
        plt.close("all")


@pytest.fixture(scope="module")
def clf(digits):
    return classic(learning_rate=0.5, epochs=3, random_state=0).fit(*digits)


@pytest.fixture(scope="module")
def watched(clf, digits):
    """Has held-out rows, and a learning rate that changes."""
    cosine = clone(clf).set_params(learning_rate_schedule="cosine", epochs=4)
    return cosine.set_params(early_stopping=True).fit(*digits)


@pytest.fixture(scope="module")
def zeros_and_ones(digits):
    X, y = digits
    return X[y < 2], np.array(["zero", "one"])[y[y < 2]]


@pytest.fixture(scope="module")
def scaled():
    """Twelve features of several scales, and three classes."""
    X, y, _ = problem(n_features=12)
    return X * np.linspace(0.5, 4, 12) + 1, y


@pytest.fixture(scope="module")
def search(scaled):
    last = classic(epochs=2, rescale=0.5, random_state=0)
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", last)])
    grid = {"clf__learning_rate": [0.5, 0.1], "clf__alpha": [0.1, 0.0]}
    return TFSoftmaxGridSearchCV(pipeline, grid, cv=2).fit(*scaled)


@pytest.fixture
def made(clf, search, digits):
    """For each display what from_estimator takes."""
    return {
        "WeightsDisplay": [copy.deepcopy(clf)],
        "HistoryDisplay": [clf],
        "PredictionsDisplay": [clf, digits[0][:6].copy(), digits[1][:6]],
        "SearchDisplay": [search],
    }


EACH = pytest.mark.parametrize("name", displays.__all__)


def legend(panel):
    shown = panel.get_legend()
    return [text.get_text() for text in shown.get_texts()] if shown else []


def gradient(estimator, X):
    """∂ decision_function / ∂ X, by differences: a row for each output."""
    steps = np.eye(X.shape[1])
    after, before = (estimator.decision_function(X[0] + s * steps) for s in (1, -1))
    return ((after - before) / 2).reshape(X.shape[1], -1).T


# Weights


def test_each_class_has_a_panel_with_its_weights(clf):
    display = WeightsDisplay.from_estimator(clf, image_shape=(4, 16), cmap="PuOr")
    largest = np.abs(clf.coef_).max()
    assert np.array_equal(display.weights, clf.coef_.reshape(10, 4, 16))
    for k, (panel, image) in enumerate(
        zip(display.axes_, display.images_, strict=True)
    ):
        assert (panel.get_title(), panel.figure) == (str(k), display.figure_)
        assert np.array_equal(image.get_array(), clf.coef_[k].reshape(4, 16))
        assert image.get_clim() == pytest.approx((-largest, largest))
        assert image.cmap.name == "PuOr"
    assert display.colorbar_.ax.get_ylabel() == "weight"


@pytest.mark.parametrize("model", [LogisticRegression(), RidgeClassifier()])
def test_two_classes_have_one_panel(model, zeros_and_ones):
    model = clone(model).fit(*zeros_and_ones)
    display = WeightsDisplay.from_estimator(model, colorbar=False)
    assert [panel.get_title() for panel in display.axes_] == ["zero against one"]
    assert np.array_equal(display.images_[0].get_array().ravel(), model.coef_.ravel())
    assert display.colorbar_ is None


def test_the_title_for_two_classes_is_not_cut_off(zeros_and_ones):
    model = LogisticRegression().fit(*zeros_and_ones)
    display = WeightsDisplay.from_estimator(model)
    display.figure_.draw_without_rendering()
    title = display.axes_[0].title.get_window_extent()
    assert title.x0 >= 0
    assert title.x1 <= display.figure_.bbox.x1


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [MinMaxScaler((-2, 3))],
        [preprocessing.MaxAbsScaler()],
        [preprocessing.RobustScaler(unit_variance=True, quantile_range=(10, 80))],
        [preprocessing.RobustScaler(with_scaling=False)],
        [decomposition.PCA(4)],
        [decomposition.PCA(4, whiten=True)],
        [decomposition.IncrementalPCA(4, whiten=True)],
        [decomposition.TruncatedSVD(4, random_state=0)],
        [feature_selection.SelectKBest(k=5)],
        [feature_selection.VarianceThreshold(2.0)],
        [random_projection.GaussianRandomProjection(5, random_state=0)],
        [random_projection.SparseRandomProjection(5, random_state=0)],
        [FunctionTransformer()],
        ["passthrough", None, MinMaxScaler()],
        [StandardScaler(), feature_selection.SelectKBest(k=8), decomposition.PCA(5)],
        [make_pipeline(make_pipeline(MinMaxScaler()), decomposition.PCA(6))],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
def test_weights_are_mapped_back_through_linear_steps(steps, scaled):
    X, y = scaled
    for labels in (y, y == 0):
        pipeline = make_pipeline(*steps, LogisticRegression(C=0.01)).fit(X, labels)
        weights = WeightsDisplay.from_estimator(pipeline, image_shape=(3, 4)).weights
        expected = gradient(pipeline, X).reshape(-1, 3, 4)
        np.testing.assert_allclose(weights, expected, rtol=1e-7, atol=1e-9)


def test_a_search_shows_its_best_estimator(search, scaled):
    inside = make_pipeline(MinMaxScaler(), clone(search)).fit(*scaled)
    logistic = GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1]}).fit(*scaled)
    for estimator in (search, inside, logistic):
        weights = WeightsDisplay.from_estimator(estimator, image_shape=(3, 4)).weights
        expected = gradient(estimator, scaled[0]).reshape(3, 3, 4)
        np.testing.assert_allclose(weights, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "step",
    [
        preprocessing.Normalizer(),
        preprocessing.PolynomialFeatures(),
        MinMaxScaler(clip=True),
        FunctionTransformer(np.tanh),
        preprocessing.QuantileTransformer(n_quantiles=50),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_step_that_is_not_linear_is_named(step, scaled):
    pipeline = make_pipeline(StandardScaler(), step, RidgeClassifier()).fit(*scaled)
    with pytest.raises(ValueError, match=f"{type(step).__name__}.* not .*linear"):
        WeightsDisplay.from_estimator(pipeline, image_shape=(3, 4))


def test_a_limit_sets_the_scale():
    display = WeightsDisplay([[[0.0, 1.0]]], ["a"]).plot(limit=0.5)
    assert display.images_[0].get_clim() == (-0.5, 0.5)
    assert display.colorbar_.extend == "both"
    assert display.plot(limit=2).colorbar_.extend == "neither"
    zero = WeightsDisplay([[[0.0, 0.0]]], ["a"]).plot().images_[0].get_clim()
    assert zero[0] == -zero[1] < 0
    for limit in (0, -1.0):
        with pytest.raises(ValueError, match=f"limit == {limit}, must be > 0"):
            display.plot(limit=limit)


@pytest.mark.parametrize("n_classes", [3, 4])
def test_pairs_of_classes_are_not_taken_for_classes(n_classes, digits):
    X, y = digits[0][:200], digits[1][:200]
    pairs = SVC(kernel="linear").fit(X[y < n_classes], y[y < n_classes])
    with pytest.raises((TypeError, ValueError), match="SVC"):
        WeightsDisplay.from_estimator(pairs)


def test_sparse_weights_are_shown(scaled):
    model = LogisticRegression(C=0.01).fit(*scaled)
    expected = model.coef_.reshape(3, 3, 4).copy()
    display = WeightsDisplay.from_estimator(model.sparsify(), image_shape=(3, 4))
    assert np.array_equal(display.weights, expected)


# History


def test_curves_are_the_history(clf, watched, search, scaled):
    lbfgs = classic(optimizer="lbfgs", epochs=500, alpha=0.1).fit(*scaled)
    best = search.best_estimator_[-1]
    given = {"clf": clf, "watched": watched, "lbfgs": lbfgs, "search": search}
    display = HistoryDisplay.from_estimator(given)
    for name, classifier in (given | {"search": best}).items():
        lines, history = display.lines_[name], classifier.history_
        assert set(lines) == set(history) - {"seconds", "kept"}
        for column, line in lines.items():
            assert list(line.get_xdata()) == list(range(1, classifier.n_iter_ + 1))
            assert list(line.get_ydata()) == list(history[column])
            assert line.get_linestyle() == ("--" if column.startswith("val_") else "-")
        assert len({line.get_color() for line in lines.values()}) == 1
    losses = [lines["loss"] for lines in display.lines_.values()]
    assert len({line.get_color() for line in losses}) == 4
    labels = [panel.get_ylabel() for panel in display.axes_]
    assert labels == ["cross-entropy", "accuracy", "learning rate"]
    assert {panel.get_xlabel() for panel in display.axes_} == {"epoch"}
    assert legend(display.axes_[0]) == [*given, "training", "held out", "kept epoch"]


def test_a_dot_marks_the_kept_epoch_on_held_out_rows(watched, clf, digits):
    lines = HistoryDisplay.from_estimator(watched).lines_["TFSoftmaxClassifier"]
    kept = watched.history_.kept.to_numpy().nonzero()[0].tolist()
    for column in ("val_loss", "val_accuracy"):
        line = lines[column]
        assert (line.get_marker(), line.get_markevery()) == ("o", kept)
    measured = clone(clf).fit(*digits, X_val=digits[0], y_val=digits[1])
    display = HistoryDisplay.from_estimator(measured)
    assert legend(display.axes_[0]) == ["training", "held out"]


def test_what_is_alone_and_constant_needs_no_explanation(clf):
    display = HistoryDisplay.from_estimator(clf)
    assert len(display.axes_) == 2  # the learning rate doesn't change
    assert legend(display.axes_[0]) == []
    named = HistoryDisplay.from_estimator(clf, name="mine")
    assert legend(named.axes_[0]) == list(named.histories) == ["mine"]
    with pytest.raises(ValueError, match="needs an estimator; got none"):
        HistoryDisplay.from_estimator([])
    with pytest.raises(ValueError, match="name is for one estimator"):
        HistoryDisplay.from_estimator({"a": clf}, name="b")


def test_a_list_is_named_by_what_differs(clf, watched):
    pipeline = Pipeline([("clf", copy.deepcopy(clf).set_params(alpha=0.5))])
    names = list(HistoryDisplay.from_estimator([clf, pipeline]).histories)
    assert names == ["alpha=0.0", "alpha=0.5"]
    for n_equal in (2, 1):
        names = list(HistoryDisplay.from_estimator([clf] * n_equal).histories)
        assert len(names) == n_equal
        assert all(name[-1:].isalnum() for name in names), names


def test_a_display_adds_to_another(clf, watched):
    first = HistoryDisplay.from_estimator(clf, name="first")
    second = HistoryDisplay.from_estimator(watched, name="second", ax=first.axes_)
    assert list(second.axes_) == list(first.axes_)
    added = second.lines_["second"]["loss"]
    assert added.axes is first.axes_[0]
    assert added.get_color() != first.lines_["first"]["loss"].get_color()
    expected = ["first", "second", "training", "held out", "kept epoch"]
    assert legend(first.axes_[0]) == expected


# Predictions


@pytest.mark.parametrize(("kind", "sign"), [("worst", 1), ("best", -1)])
def test_pictures_are_chosen_by_the_true_class(kind, sign, clf, digits):
    X, y = digits
    proba = clf.predict_proba(X)
    order = np.argsort(sign * proba[np.arange(len(y)), y], kind="stable")[:7]
    display = PredictionsDisplay.from_estimator(clf, X, y, kind=kind, n_pictures=7)
    assert np.array_equal(display.index, order)
    assert np.array_equal(display.images, X[order].reshape(7, 8, 8))
    assert np.array_equal(display.y_true, y[order])
    assert np.array_equal(display.y_pred, clf.predict(X[order]))
    assert np.array_equal(display.probability, proba[order].max(axis=1))
    for row, panel in zip(order, display.axes_, strict=True):
        assert np.array_equal(panel.images[0].get_array(), X[row].reshape(8, 8))
        assert panel.images[0].get_clim() == (X[order].min(), X[order].max())
        read = f"{proba[row].argmax()} ({proba[row].max():.2f})"
        assert panel.get_title() == f"true {y[row]}\npredicted {read}"


def test_random_pictures_are_drawn_with_the_random_state(clf, digits):
    X, y = digits[0][:12], digits[1][:12]
    first, again, other = (
        PredictionsDisplay.from_estimator(clf, X, y, kind="random", random_state=seed)
        for seed in (3, np.random.RandomState(3), 4)
    )
    assert set(first.index) == set(range(12))
    assert np.array_equal(first.index, again.index)
    assert not np.array_equal(first.index, other.index)


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_wrong_predictions_stand_out(style):
    y, proba = ["a", "b", "b"], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
    with plt.style.context(style):
        display = PredictionsDisplay.from_predictions(np.eye(3, 4) + 5, y, proba)
        ground = display.figure_.get_facecolor()
    assert display.axes_[0].get_title() == "true b\npredicted a (0.60)"
    assert display.axes_[0].images[0].get_clim() == (5, 6)
    wrong, *right = (to_rgba(panel.title.get_color()) for panel in display.axes_)
    assert right[0] == right[1] != wrong
    assert ground not in (wrong, right[0])


CONVERSIONS = {
    "DataFrame": lambda X: pd.DataFrame(X, index=range(10, 16)),
    "nullable": lambda X: pd.DataFrame(X).astype("Float64"),
    "floats and bools": lambda X: pd.DataFrame(X.astype(float)).astype({3: bool}),
    "object": lambda X: X.astype(object),
    "list": lambda X: X.tolist(),
    "uint8": lambda X: X.astype(np.uint8),
    "bool": lambda X: X.astype(bool),
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_array,
    "coo": sparse.coo_array,
}


@pytest.mark.parametrize("name", CONVERSIONS)
def test_rows_of_every_kind_are_pictures(name):
    dense = np.random.default_rng(0).integers(0, 2, (6, 6))
    X = CONVERSIONS[name](dense)
    y = pd.Series(["no", "yes"] * 3, index=range(20, 26))
    model = LogisticRegression().fit(X, y)  # which takes them all, too
    display = PredictionsDisplay.from_estimator(model, X, y, image_shape=(2, 3))
    assert len(display.axes_) == 6  # fewer than n_pictures
    for row, panel in zip(display.index, display.axes_, strict=True):
        shown = np.asarray(panel.images[0].get_array(), dtype=float)
        assert np.array_equal(shown, dense[row].reshape(2, 3))


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(255, np.uint8), (255, float), (255, int), (1, float), (1, int), (1, bool)],
)
def test_coloured_pictures_share_one_scale(highest, dtype):
    X = np.zeros((3, 12))
    X[0, 0], X[1], X[2, ::3] = 1, highest, highest  # the first is dark
    display = PredictionsDisplay.from_predictions(
        X.astype(dtype), [0, 1, 0], np.full((3, 2), 0.5), image_shape=(2, 2, 3)
    )
    for row, panel in zip(display.index, display.axes_, strict=True):
        shown = np.asarray(panel.images[0].get_array())
        shown = shown / 255 if shown.dtype == np.uint8 else shown
        np.testing.assert_allclose(shown, X[row].reshape(2, 2, 3) / highest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "wurst"}, "kind must be 'worst', 'best' or 'random'; got 'wurst'"),
        ({"n_pictures": 0}, "n_pictures == 0, must be >= 1"),
        ({"n_cols": 0}, "n_cols == 0, must be >= 1"),
        ({"y_true": [0, 5]}, r"not among the classes \[0, 1\]: \['5'\]"),
        ({"y_true": [0]}, r"inconsistent numbers of samples: \[2, 1, 2\]"),
        ({"y_true": [[0, 1], [1, 0]]}, "y should be a 1d array"),
        ({"y_true": None}, "y should be a 1d array"),
        ({"y_proba": [0.5, 0.5]}, "Expected 2D array, got 1D array"),
        ({"y_proba": np.eye(2)[:1]}, r"inconsistent numbers of samples: \[2, 2, 1\]"),
        ({"y_proba": np.full((2, 2), np.nan)}, "y_proba contains NaN"),
        ({"y_proba": 3 * np.eye(2)}, "y_proba .* probabilities.*; got .* 0 to 3"),
        ({"y_proba": -np.eye(2)}, "y_proba .* probabilities.*; got .* -1 to"),
        ({"classes": [0, 1, 2]}, "y_proba .* each of the 3 classes; it has 2"),
        ({"X": np.ones((2, 3))}, "image_shape must be passed"),
        ({"X": np.ones((2, 4, 1))}, "array with dim 3"),
        ({"X": np.ones(2)}, "Expected 2D array, got 1D array"),
    ],
)
def test_predictions_say_what_is_wrong(changes, message):
    given = {"X": np.eye(2, 4), "y_true": [0, 1], "y_proba": np.eye(2)}
    with pytest.raises(ValueError, match=message):
        PredictionsDisplay.from_predictions(**given | {"classes": [0, 1]} | changes)


def test_columns_without_a_class_in_y_true_ask_for_classes():
    X, y, proba = np.eye(2, 4), [0, 2], np.full((2, 3), 1 / 3)
    words = "column for each of the 2 classes; it has 3. Pass classes"
    with pytest.raises(ValueError, match=words):
        PredictionsDisplay.from_predictions(X, y, proba)
    display = PredictionsDisplay.from_predictions(X, y, proba, classes=range(3))
    assert display.y_true.tolist() == y


# Searches


@pytest.fixture
def searched(zeros_and_ones):
    """Make a search whose scores are a function of the parameters."""

    def search(grid, score, kind=GridSearchCV, estimator=None, **options):
        model = estimator or LogisticRegression()
        search = kind(model, grid, scoring=score, cv=2, **options)
        return search.fit(*zeros_and_ones)

    return search


def score(C, tol, extra=1.0):
    return -((C - 1) ** 2) + 3 * tol - abs(extra - C)


def of_model(model, X, y):
    return score(model.C, model.tol, model.intercept_scaling)


def cells(display):
    """The scores that are there, by the values of x and y as text."""
    places = itertools.product(map(str, display.y_values), map(str, display.x_values))
    scores = zip(places, display.scores.ravel(), strict=True)
    return {(x, y): value for (y, x), value in scores if not np.isnan(value)}


def expected(grid, score=score):
    pairs = itertools.product(*grid.values())
    return pytest.approx({tuple(map(str, pair)): score(*pair) for pair in pairs})


def framed(display):
    """The cells that have a frame."""
    corners = np.array([patch.get_xy() for patch in display.ax_.patches]) + 0.5
    return [(display.x_values[int(i)], display.y_values[int(j)]) for i, j in corners]


def test_a_search_is_a_heat_map_of_its_mean_scores(searched):
    search = searched(GRID, of_model)
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    assert cells(display) == expected(GRID)
    assert np.array_equal(display.image_.get_array(), display.scores)
    assert display.image_.origin == "lower"
    ax = display.ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("C", "tol")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.1", "1", "10"]  # sorted
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0.01", "0.5"]
    for (row, column), text in np.ndenumerate(display.text_):
        assert text.get_text() == f"{display.scores[row, column]:.3f}"
        assert text.get_position() == (column, row)
    assert framed(display) == [tuple(search.best_params_[name] for name in GRID)]
    assert display.colorbar_.ax.get_ylabel() == "mean score, cross-validated"
    bare = display.plot(colorbar=False, annotate=False, cmap="magma")
    assert bare.colorbar_ is bare.text_ is None
    assert bare.image_.cmap.name == "magma"


def test_a_pipelines_parameters_may_be_named_by_their_end(search, searched):
    means = iter(search.cv_results_["mean_test_score"])  # the rate changes fastest
    display = SearchDisplay.from_estimator(search)
    assert cells(display) == {
        (rate, alpha): next(means)
        for alpha in ("0.1", "0.0")
        for rate in ("0.5", "0.1")
    }
    whole = SearchDisplay.from_estimator(search, x="clf__alpha", y="learning_rate")
    assert np.array_equal(whole.scores, display.scores.T)
    for wrong in ("C", "pha", None):
        with pytest.raises(ValueError, match=r"x must be one of .*'clf__alpha'.*got "):
            SearchDisplay.from_estimator(search, x=wrong)
    with pytest.raises(ValueError, match="x and y must differ; both are 'clf__alpha'"):
        SearchDisplay.from_estimator(search, x="clf__alpha")
    two = make_pipeline(StandardScaler(), MinMaxScaler(), LogisticRegression())
    grid = {f"{name}__copy": [True] for name in ("standardscaler", "minmaxscaler")}
    with pytest.raises(ValueError, match=r"'copy', which is the end of .*scaler"):
        SearchDisplay.from_estimator(searched(grid, None, estimator=two), x="copy")


def test_a_cell_shows_the_best_of_its_candidates(searched):
    extras = [0.3, 5.0, 0.9]
    search = searched(GRID | {"intercept_scaling": extras}, of_model)
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    assert cells(display) == expected(
        GRID, lambda x, y: max(score(x, y, extra) for extra in extras)
    )


def test_candidates_that_fail_or_lack_a_parameter_leave_blanks(searched):
    grids = [
        {"C": [0.1], "tol": [0.1, 2.0]},
        {"C": [1.0], "tol": [0.1], "max_iter": [-1, 100]},  # −1 is refused
        {"C": [3.0], "tol": [0.1], "max_iter": [-1]},
        {"C": [7.0]},
    ]
    with pytest.warns(FitFailedWarning), pytest.warns(UserWarning, match="non-finite"):
        search = searched(grids, of_model)
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    there = [(0.1, 0.1), (0.1, 2.0), (1.0, 0.1)]
    assert cells(display) == {(str(x), str(y)): score(x, y) for x, y in there}
    assert np.array_equal(display.text_ == None, np.isnan(display.scores))  # noqa: E711
    blank = SearchDisplay(np.full((2, 1), np.nan), ["a"], [1, 2], x="x", y="y").plot()
    assert list(blank.ax_.patches) == []


def test_values_that_are_no_numbers_stay_in_their_order(searched):
    weights = [{"one": 2.0}, None, "balanced"]
    grid = {"fit_intercept": [True, False], "class_weight": weights}
    search = searched(grid, lambda m, X, y: len(f"{m.fit_intercept}{m.class_weight}"))
    display = SearchDisplay.from_estimator(search, x="fit_intercept", y="class_weight")
    assert cells(display) == expected(grid, lambda x, y: len(f"{x}{y}"))
    assert [display.x_values, display.y_values] == list(grid.values())
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["{'one': 2.0}", "None", "balanced"]


def test_numbers_are_written_short_and_other_values_as_text():
    values = [0.5, np.float32(0.25), Fraction(1, 8), np.uint8(7), 20_000_000]
    others = [True, "sgd", (1, 2), None]
    scores = np.zeros((len(others), len(values)))
    ax = SearchDisplay(scores, values, others, x="x", y="y").plot().ax_
    shown = [text.get_text() for text in ax.get_xticklabels()]
    assert shown == ["0.5", "0.25", "0.125", "7", "2e+07"]
    shown = [text.get_text() for text in ax.get_yticklabels()]
    assert shown == ["True", "sgd", "(1, 2)", "None"]


def test_fractions_are_sorted_among_the_numbers(searched):
    values = [0.5, Fraction(1, 8), 2]
    search = searched({"C": [1.0], "tol": [0.1]}, of_model)
    params = [{"C": 1.0, "tol": value} for value in values]
    results = {"mean_test_score": [1, 2, 3], "params": params}
    search.cv_results_ = results | dict.fromkeys(("param_C", "param_tol"))
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    assert display.y_values == sorted(values)


def test_equal_scores_do_not_hide_the_best_candidate(searched):
    search = searched({"C": [2.0, 0.1], "tol": [0.1]}, lambda *_: 1.0)
    assert search.best_params_ == {"C": 2.0, "tol": 0.1}
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    assert (2.0, 0.1) in framed(display)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (RandomizedSearchCV, {"n_iter": 3}),
        (HalvingGridSearchCV, {"factor": 2, "min_resources": 40}),
        (
            HalvingGridSearchCV,
            {"factor": 2, "resource": "intercept_scaling", "max_resources": 4},
        ),
    ],
)
def test_the_last_score_of_each_candidate_is_shown(kind, options, searched):
    def worse_with_more(model, X, y):
        return of_model(model, X, y) - len(y) - 99 * model.intercept_scaling

    search = searched(GRID, worse_with_more, kind, random_state=0, **options)
    results = search.cv_results_
    tried = [(str(p["C"]), str(p["tol"])) for p in results["params"]]
    last = dict(zip(tried, results["mean_test_score"], strict=True))
    assert cells(SearchDisplay.from_estimator(search, x="C", y="tol")) == last


def test_one_of_several_metrics_is_shown(searched):
    scoring = {"a": lambda m, X, y: m.tol, "b": lambda m, X, y: -m.C}
    search, of = searched(GRID, scoring, refit="b"), {"x": "C", "y": "tol"}
    display = SearchDisplay.from_estimator(search, **of)
    assert cells(display) == expected(GRID, lambda x, y: -x)
    assert display.colorbar_.ax.get_ylabel() == "mean b, cross-validated"
    other = SearchDisplay.from_estimator(search, metric="a", **of)
    assert cells(other) == expected(GRID, lambda x, y: y)
    search.refit = False
    for metric in ("c", None):
        with pytest.raises(ValueError, match=r"metric must be one of \['a', 'b'\]"):
            SearchDisplay.from_estimator(search, metric=metric, **of)


# All of them


def test_importing_the_displays_imports_neither_matplotlib_nor_tensorflow():
    heavy = "{'matplotlib', 'tensorflow'} & set(sys.modules)"
    code = f"import sys, tfsoftmax.displays; print({heavy})"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"set()\n"


@EACH
def test_without_matplotlib_the_error_says_what_to_install(name, made, monkeypatch):
    display = getattr(displays, name)
    fitted = display.from_estimator(*made[name])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (lambda: display.from_estimator(*made[name]), fitted.plot):
        with pytest.raises(ImportError, match=r"pip install matplotlib"):
            draw()


@EACH
def test_an_unfitted_estimator_is_refused(name, made):
    estimator, *rows = made[name]
    pipeline = make_pipeline(StandardScaler(), classic())
    for unfitted in (clone(estimator), pipeline, GridSearchCV(pipeline, {})):
        with pytest.raises(NotFittedError):
            getattr(displays, name).from_estimator(unfitted, *rows)


@EACH
def test_nothing_passed_is_changed_not_even_by_changing_the_display(name, made):
    before = [pickle.dumps(argument) for argument in made[name]]
    display = getattr(displays, name).from_estimator(*made[name])
    for data in ("weights", "images", "y_true", "scores"):
        getattr(display, data, np.empty(1))[...] = 0
    for history in getattr(display, "histories", {}).values():
        history.loc[:] = 0.0
    unchanged = [pickle.dumps(argument) for argument in made[name]] == before
    assert unchanged  # which pytest would else spell out


@EACH
def test_it_draws_on_given_axes(name, made):
    figure = Figure()  # which pyplot doesn't know
    left, right = figure.subplots(1, 2)
    display = getattr(displays, name).from_estimator(*made[name], ax=left)
    assert display.figure_ is figure
    assert display.plot(ax=right) is display
    assert plt.get_fignums() == []
    figure.draw_without_rendering()
    if name == "SearchDisplay":
        assert display.ax_ is right
        return
    several = Figure().subplots(2, len(display.axes_))
    assert list(display.plot(ax=several[1]).axes_) == list(several[1])
    with pytest.raises(ValueError, match=r"ax must be .* got "):
        display.plot(ax=several)
    with pytest.raises(ValueError, match="ax can't be divided"):
        display.plot(ax=figure.add_axes((0, 0, 1, 1)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((28, 28), r"\(28, 28\) is for 28 x 28 = 784 features, and there are 64"),
        ((64,), r"must be \(height, width\).*, positive integers; got \(64,\)"),
        (64, "positive integers; got 64"),
        ((8, -8), "positive integers"),
        ((8, 8.0), "positive integers"),
        ((8, 8, 1), "positive integers"),
    ],
)
@pytest.mark.parametrize("name", ["WeightsDisplay", "PredictionsDisplay"])
def test_a_shape_that_does_not_fit_is_refused(name, shape, message, made):
    with pytest.raises(ValueError, match=message):
        getattr(displays, name).from_estimator(*made[name], image_shape=shape)


MODELS = {
    "ridge": RidgeClassifier(),
    "kernel": SVC(),
    "linear": LinearSVC(),
    "refit=False": GridSearchCV(LogisticRegression(), {"C": [0.01]}, refit=False),
}


@pytest.mark.parametrize(
    ("display", "model", "error", "message"),
    [
        (
            WeightsDisplay,
            "ridge",
            ValueError,
            "image_shape must be passed.*12 features",
        ),
        (WeightsDisplay, "kernel", TypeError, "coef_, .*; SVC has none"),
        (WeightsDisplay, "refit=False", ValueError, "refit=True"),
        (HistoryDisplay, "ridge", TypeError, "history_ .*; RidgeClassifier has none"),
        (HistoryDisplay, "refit=False", ValueError, "refit=True"),
        (PredictionsDisplay, "linear", TypeError, "predict_proba; LinearSVC has none"),
        (PredictionsDisplay, "refit=False", (TypeError, ValueError), "refit=True"),
        (SearchDisplay, "ridge", TypeError, "cv_results_ .*; RidgeClassifier has none"),
    ],
)
def test_a_display_says_what_the_estimator_lacks(
    display, model, error, message, scaled
):
    rows = scaled if display is PredictionsDisplay else ()
    with pytest.raises(error, match=message):
        display.from_estimator(clone(MODELS[model]).fit(*scaled), *rows)


def test_a_dollar_in_a_name_starts_no_mathematics(zeros_and_ones, clf):
    X, y = zeros_and_ones[0], np.where(zeros_and_ones[1] == "one", "<$10", "$10 and up")
    model = LogisticRegression().fit(X, y)
    weights = WeightsDisplay.from_estimator(model)
    predictions = PredictionsDisplay.from_estimator(model, X, y, n_pictures=2)
    history = HistoryDisplay.from_estimator({"$1 to $2": clf, "rest": clf})
    texts = [panel.title for panel in (*weights.axes_, *predictions.axes_)]
    for text in texts + history.axes_[0].get_legend().get_texts():
        assert not (text.get_parse_math() and is_math_text(text.get_text()))


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.coo_array])
def test_sparse_pictures_whose_indices_lie_outside_are_refused(kind, scaled):
    X, y = kind(scaled[0]), scaled[1]
    clf = LogisticRegression().fit(X, y)
    places = X.coords[1] if kind is sparse.coo_array else X.indices
    places[0] = X.shape[1]
    proba = np.full((len(y), len(clf.classes_)), 1 / len(clf.classes_))
    with pytest.raises(ValueError, match=r"^X can.t be used: .*ind(ex|ices)"):
        PredictionsDisplay.from_predictions(X, y, proba)
    with pytest.raises(ValueError, match=r"^X can.t be used: .*ind(ex|ices)"):
        PredictionsDisplay.from_estimator(clf, X, y)


def test_a_history_may_have_any_name(clf):
    display = HistoryDisplay({("a", 1): clf.history_}).plot()
    (text,) = display.axes_[0].get_legend().get_texts()
    assert text.get_text() == "('a', 1)"


@EACH
@pytest.mark.parametrize("value", [5, "clf", TFSoftmaxClassifier])
def test_what_is_no_estimator_is_refused(name, value, made):
    with pytest.raises(TypeError, match=r"is (not an estimator|a class)"):
        getattr(displays, name).from_estimator(value, *made[name][1:])


@pytest.mark.parametrize("name", sorted(set(displays.__all__) - {"HistoryDisplay"}))
def test_an_unknown_colour_map_is_refused(name, made):
    with pytest.raises(ValueError, match=r"'no such map' .* cmap"):
        getattr(displays, name).from_estimator(*made[name], cmap="no such map")


@pytest.mark.parametrize(
    "display",
    [
        WeightsDisplay(np.ones((3, 2, 2)), ["a", "b"]),
        PredictionsDisplay(np.ones((2, 2, 2)), [0, 1], [0, 1], [0.5], [0, 1]),
        SearchDisplay([[0.9, 0.8]], [1], [2], x="a", y="b"),
    ],
    ids=lambda display: type(display).__name__,
)
def test_parts_that_differ_in_length_are_refused(display):
    with pytest.raises(ValueError, match=r"shorter than|does not match"):
        display.plot()


def test_more_columns_than_panels_make_no_wider_figure():
    display = WeightsDisplay(np.ones((3, 2, 2)), ["a", "b", "c"])
    widths = [display.plot(n_cols=n).figure_.get_figwidth() for n in (3, 1_000_000)]
    assert widths[0] == widths[1]
