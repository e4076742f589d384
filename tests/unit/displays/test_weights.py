"""WeightsDisplay: its pictures and its bars."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import decomposition, feature_selection, preprocessing, random_projection
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from tests.problems import classic
from tfsoftmax.displays import WeightsDisplay


def gradient(estimator, X):
    """∂ decision_function / ∂ X, by differences: a row for each output."""
    steps = np.eye(X.shape[1])
    after, before = (estimator.decision_function(X[0] + s * steps) for s in (1, -1))
    return ((after - before) / 2).reshape(X.shape[1], -1).T


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


def test_pictures_keep_their_size_beside_the_colour_scale(clf):
    widths = []
    for n_cols in (1, 2, 5):
        display = WeightsDisplay.from_estimator(clf, n_cols=n_cols)
        display.figure_.draw_without_rendering()
        panel = display.axes_[0]
        panel.apply_aspect()
        widths.append(panel.get_window_extent().width / display.figure_.dpi)
    assert min(widths) > 1


@pytest.mark.parametrize("classes", [[3], [3, 5], [3, 5, 8], None])
@pytest.mark.parametrize("label", ["weight", "weight × standard deviation"])
def test_the_label_of_the_colour_scale_is_not_cut_off(classes, label, clf):
    display = WeightsDisplay.from_estimator(clf, classes=classes)
    display.label = label
    figure = display.plot().figure_
    figure.draw_without_rendering()
    shown = display.colorbar_.ax.yaxis.label
    assert shown.get_text().split() == label.split()
    box = shown.get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= figure.bbox.y1
    assert box.x1 <= figure.bbox.x1


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


@pytest.mark.slow
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
        display = WeightsDisplay.from_estimator(pipeline, image_shape=(3, 4), scale=1)
        weights = display.weights
        expected = gradient(pipeline, X).reshape(-1, 3, 4)
        np.testing.assert_allclose(weights, expected, rtol=1e-7, atol=1e-9)


def test_a_search_shows_its_best_estimator(search, scaled):
    inside = make_pipeline(MinMaxScaler(), clone(search)).fit(*scaled)
    logistic = GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1]}).fit(*scaled)
    for estimator in (search, inside, logistic):
        display = WeightsDisplay.from_estimator(estimator, image_shape=(3, 4), scale=1)
        weights = display.weights
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


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [MinMaxScaler((-2, 3)), StandardScaler()],
        [feature_selection.SelectKBest(k=5), StandardScaler(), decomposition.PCA(3)],
        [preprocessing.RobustScaler(), feature_selection.SelectKBest(k=5)],
        [],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
def test_pictures_show_the_effect_of_a_standard_deviation_where_it_is_known(
    steps, scaled
):
    X, y = scaled
    clf = classic(rescale="standard", alpha=0.1)
    pipeline = make_pipeline(*steps, clf).fit(X, y)
    display = WeightsDisplay.from_estimator(pipeline, image_shape=(3, 4))
    effects = gradient(pipeline, X) * X.std(axis=0)
    np.testing.assert_allclose(
        display.weights.reshape(3, 12), effects, rtol=1e-6, atol=1e-9
    )
    label = display.colorbar_.ax.get_ylabel()  # may be on two lines
    assert label.split() == ["weight", "×", "standard", "deviation"]


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(decomposition.PCA(4), classic(rescale="standard")),
        make_pipeline(StandardScaler(with_std=False), LogisticRegression()),
        LogisticRegression(),
    ],
    ids=["PCA", "no std", "bare"],
)
def test_weights_are_shown_where_no_standard_deviation_is_known(pipeline, scaled):
    fitted = clone(pipeline).fit(*scaled)
    display = WeightsDisplay.from_estimator(fitted, image_shape=(3, 4))
    assert display.colorbar_.ax.get_ylabel() == "weight"


@pytest.mark.parametrize("inside", [True, False])
def test_bars_show_the_effect_of_a_standard_deviation(inside, scaled):
    X, y = scaled
    before = make_pipeline(StandardScaler(), classic())
    clf = (classic(rescale="standard") if inside else before).fit(X, y)
    display = WeightsDisplay.from_estimator(clf, n_bars=12)
    effects = gradient(clf, X) * X.std(axis=0)
    np.testing.assert_allclose(display.weights, effects, rtol=1e-6)
    assert display.label == "weight × standard deviation"
