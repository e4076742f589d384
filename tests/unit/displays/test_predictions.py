"""PredictionsDisplay: which rows it shows, and how."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from tfsoftmax.displays import PredictionsDisplay


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


def test_long_class_names_stay_apart():
    names = [f"a class name of 25, no. {k}" for k in range(2)]
    y, proba = [names[k] for k in (0, 1, 1, 0, 0)], [[0.75, 0.25]] * 5
    display = PredictionsDisplay.from_predictions(np.eye(5, 4), y, proba)
    assert (
        display.axes_[0].get_title()
        == f"true\n{names[1]}\npredicted\n{names[0]} (0.75)"
    )
    display.figure_.draw_without_rendering()
    boxes = [panel.title.get_window_extent() for panel in display.axes_]
    assert boxes[0].x0 >= 0
    for left, right in itertools.pairwise(boxes):
        assert left.x1 < right.x0
    longer = PredictionsDisplay([[[0]]], ["a" * 60], ["b" * 60], [0.5], [0]).plot()
    assert max(map(len, longer.axes_[0].get_title().splitlines())) < 40
