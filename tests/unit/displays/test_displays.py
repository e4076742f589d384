"""What holds for each of the displays."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import (
    GridSearchCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from tests.problems import classic
from tfsoftmax import TFSoftmaxClassifier, displays
from tfsoftmax.displays import (
    HistoryDisplay,
    PredictionsDisplay,
    SearchDisplay,
    WeightsDisplay,
)

EACH = pytest.mark.parametrize("name", displays.__all__)


@pytest.fixture
def made(clf, search, digits):
    """For each display what from_estimator takes."""
    return {
        "WeightsDisplay": [copy.deepcopy(clf)],
        "HistoryDisplay": [clf],
        "PredictionsDisplay": [clf, digits[0][:6].copy(), digits[1][:6]],
        "SearchDisplay": [search],
    }


@pytest.mark.slow
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
    if len(display.axes_) == 1:
        assert display.axes_[0] is right
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
        ((28, 28), r"\(28, 28\) needs 28 x 28 = 784 features; there are 64"),
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
        (WeightsDisplay, "kernel", TypeError, "coef_ .*; SVC is not one"),
        (WeightsDisplay, "refit=False", ValueError, "refit=True"),
        (HistoryDisplay, "ridge", TypeError, "history_; RidgeClassifier has no"),
        (HistoryDisplay, "refit=False", ValueError, "refit=True"),
        (PredictionsDisplay, "linear", TypeError, "predict_proba; LinearSVC has no"),
        (PredictionsDisplay, "refit=False", (TypeError, ValueError), "refit=True"),
        (SearchDisplay, "ridge", TypeError, "cv_results_; RidgeClassifier has no"),
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
        WeightsDisplay(np.ones((3, 2)), ["a", "b"]),
        WeightsDisplay(np.ones((2, 2)), ["a", "b"], feature_names=["x"]),
        SearchDisplay([{"a": 1}, {"a": 2}], [0.9]),
    ],
    ids=lambda display: type(display).__name__,
)
def test_parts_that_differ_in_length_are_refused(display):
    with pytest.raises(
        ValueError, match=r"shorter than|does not match|inconsistent|got 1 name"
    ):
        display.plot()


def test_more_columns_than_panels_make_no_wider_figure():
    display = WeightsDisplay(np.ones((3, 2, 2)), ["a", "b", "c"])
    widths = [display.plot(n_cols=n).figure_.get_figwidth() for n in (3, 1_000_000)]
    assert widths[0] == widths[1]
