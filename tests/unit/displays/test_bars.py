"""WeightsDisplay's bars: which features they show, their names, order and units."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.transforms import Bbox
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_iris, load_wine
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    MaxAbsScaler,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from tests.problems import classic, problem
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.displays import WeightsDisplay


def bar_texts(panel):
    return [text.get_text() for text in panel.get_yticklabels()]


def lengths(bars):
    return [bar.get_width() for bar in bars]


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def of_wine(wine):
    """Standardised inside, as most tables are by default."""
    return TFSoftmaxClassifier(random_state=0, epochs=2).fit(*wine)


def test_a_table_has_bars_of_the_strongest_weights_by_name(of_wine, wine):
    display = WeightsDisplay.from_estimator(of_wine, n_bars=4)
    assert display.images_ is display.colorbar_ is None
    effects = of_wine.coef_ * wine[0].std(ddof=0).to_numpy()
    for k, (panel, bars) in enumerate(zip(display.axes_, display.bars_, strict=True)):
        order = np.argsort(-np.abs(effects[k]))[:4]
        order = order[np.argsort(-effects[k][order])]
        assert panel.get_title() == str(k)
        assert bar_texts(panel) == list(wine[0].columns[order])
        np.testing.assert_allclose(lengths(bars), effects[k][order], rtol=1e-6)
        assert panel.get_xlim() == display.axes_[0].get_xlim()
        assert panel.get_xlabel() == "weight × standard deviation"
        first, last = (bar.get_y() for bar in (bars[0], bars[-1]))
        low, high = panel.get_ylim()
        assert low > last > first > high  # the first is at the top
    assert display.axes_[0].get_ylabel() == "strongest 4 of 13"


def test_bars_are_red_where_they_raise_the_logit_and_blue_where_they_lower_it():
    display = WeightsDisplay([[2.0, -1.0, 0.5]], ["a"]).plot()
    colors = [bar.get_facecolor() for bar in display.bars_[0]]
    blue, red = (colormaps["RdBu_r"](end) for end in (0.1, 0.9))
    assert colors == [pytest.approx(color, abs=0.01) for color in (red, blue, red)]
    assert bar_texts(display.axes_[0]) == ["x0", "x1", "x2"]
    assert display.axes_[0].get_xlabel() == "weight"


def test_few_features_keep_their_order_and_are_named_once(of_wine, wine):
    iris = load_iris(as_frame=True)
    clf = classic(epochs=2).fit(iris.data, iris.target_names[iris.target])
    display = WeightsDisplay.from_estimator(clf)
    assert [panel.get_title() for panel in display.axes_] == list(iris.target_names)
    shown = [panel.yaxis.get_tick_params()["labelleft"] for panel in display.axes_]
    assert shown == [True, False, False]
    assert bar_texts(display.axes_[0]) == iris.feature_names
    for panel, bars, row in zip(display.axes_, display.bars_, clf.coef_, strict=True):
        assert lengths(bars) == pytest.approx(list(row))
        assert panel.get_ylabel() == ""


def with_names(n_features, names):
    X, y, _ = problem(n_samples=60, n_features=n_features)
    return X if names is None else pd.DataFrame(X, columns=names), y


PIXELS = [f"pixel_{i}_{j}" for i in range(8) for j in range(8)]


@pytest.mark.parametrize(
    ("n_features", "names", "is_picture"),
    [
        (4, None, False),
        (49, None, False),
        (64, None, True),
        (65, None, False),
        (100, None, True),
        (784, [f"pixel{i}" for i in range(1, 785)], True),
        (64, PIXELS, True),
        (64, [f"{i}x{j}" for i in range(8) for j in range(8)], True),
        (64, [str(1950 + i) for i in range(64)], False),
        (64, [*PIXELS[:-1], "age"], False),
        (64, [f"word{i}" for i in range(64)], False),
        (60, PIXELS[:60], False),
        (65**2, None, False),
    ],
)
def test_a_square_of_pixels_is_a_picture_and_nothing_else(
    n_features, names, is_picture
):
    X, y = with_names(n_features, names)
    clf = LogisticRegression(max_iter=1, tol=1e6).fit(X, y)
    display = WeightsDisplay.from_estimator(clf)
    assert (display.images_ is not None) is is_picture
    assert (display.bars_ is None) is is_picture


def test_what_the_user_passes_decides(clf, of_wine):
    names = [f"pixel {i}" for i in range(64)]
    display = WeightsDisplay.from_estimator(clf, feature_names=np.array(names))
    assert set(bar_texts(display.axes_[0])) < set(names)
    display = WeightsDisplay.from_estimator(of_wine, image_shape=(13, 1))
    assert display.images_[0].get_array().shape == (13, 1)
    with pytest.raises(
        ValueError, match=r"image_shape .* or feature_names .*, not both"
    ):
        WeightsDisplay.from_estimator(clf, image_shape=(8, 8), feature_names=names)
    with pytest.raises(ValueError, match="each of the 64 features; got 63 names"):
        WeightsDisplay.from_estimator(clf, feature_names=names[1:])
    for wrong in ("words", 5):
        with pytest.raises(TypeError, match="must be a list of names; got"):
            WeightsDisplay.from_estimator(clf, feature_names=wrong)


TEXTS = ["sea wind sea", "wind wave sail", "cake butter", "butter flour cake cake"]
TOPICS = ["sea", "sea", "kitchen", "kitchen"]


def test_a_pipelines_words_name_the_bars():
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    pipeline.fit(TEXTS, TOPICS)
    display = WeightsDisplay.from_estimator(pipeline, n_bars=3)
    weights = dict(
        zip(pipeline[:-1].get_feature_names_out(), pipeline[-1].coef_[0], strict=True)
    )
    top = sorted(weights, key=lambda word: -abs(weights[word]))[:3]
    top.sort(key=lambda word: -weights[word])
    assert bar_texts(display.axes_[0]) == top
    assert lengths(display.bars_[0]) == [weights[word] for word in top]
    assert display.axes_[0].get_title() == "sea against kitchen"
    bare = WeightsDisplay.from_estimator(
        pipeline[-1], n_bars=3, feature_names=pipeline[0].get_feature_names_out()
    )
    assert bar_texts(bare.axes_[0]) == top


def test_steps_without_names_leave_the_bars_numbered():
    steps = [HashingVectorizer(n_features=32), MaxAbsScaler()]
    pipeline = make_pipeline(*steps, LogisticRegression()).fit(TEXTS, TOPICS)
    names = bar_texts(WeightsDisplay.from_estimator(pipeline).axes_[0])
    assert all(re.fullmatch(r"x\d+", name) for name in names)


def test_a_column_transformers_columns_name_the_bars():
    X = pd.DataFrame({"town": ["a", "b", "a", "b"], "age": [1.0, 2.0, 3.0, 5.0]})
    encode = make_column_transformer(
        (OneHotEncoder(), ["town"]), remainder="passthrough"
    )
    pipeline = make_pipeline(encode, StandardScaler(), LogisticRegression())
    display = WeightsDisplay.from_estimator(pipeline.fit(X, TOPICS))
    assert bar_texts(display.axes_[0]) == ["town_a", "town_b", "age"]
    assert display.axes_[0].get_xlabel() == "weight × standard deviation"
    np.testing.assert_array_equal(lengths(display.bars_[0]), pipeline[-1].coef_[0])


def names_after(*steps, columns):
    X = pd.DataFrame(np.random.default_rng(0).random((4, len(columns))))
    pipeline = make_pipeline(*steps, LogisticRegression())
    pipeline.fit(X.set_axis(columns, axis=1), TOPICS)
    return bar_texts(WeightsDisplay.from_estimator(pipeline, n_bars=20).axes_[0])


def test_a_prefix_stays_where_names_would_be_equal_without_it():
    twice = make_column_transformer(
        (StandardScaler(), ["a", "b"]), (MaxAbsScaler(), ["a"])
    )
    names = ["standardscaler__a", "b", "maxabsscaler__a"]
    assert names_after(twice, columns=["a", "b"]) == names
    union = make_union(StandardScaler(), MaxAbsScaler())
    names = ["standardscaler__a", "maxabsscaler__a"]
    assert names_after(union, StandardScaler(), columns=["a"]) == names


def test_only_what_a_step_has_put_before_a_name_is_dropped():
    columns = ["cost__sum", "age__max"]
    assert names_after(StandardScaler(), columns=columns) == columns
    encode = ColumnTransformer([("scaled", StandardScaler(), columns)])
    assert names_after(encode, columns=columns) == columns
    products = PolynomialFeatures(interaction_only=True, include_bias=False)
    names = [*columns, " ".join(f"scaled__{name}" for name in columns)]
    assert names_after(encode, products, columns=columns) == names


def test_a_scale_multiplies_the_weights(of_wine, wine):
    scale = wine[0].std()
    display = WeightsDisplay.from_estimator(of_wine, scale=scale)
    np.testing.assert_allclose(display.weights, of_wine.coef_ * scale.to_numpy())
    assert display.axes_[0].get_xlabel() == "weight × scale"
    plain = WeightsDisplay.from_estimator(of_wine, scale=1)
    assert np.array_equal(plain.weights, of_wine.coef_)
    assert plain.axes_[0].get_xlabel() == "weight"
    with pytest.raises(ValueError, match=r"each of 13 features; got .* \(2,\)"):
        WeightsDisplay.from_estimator(of_wine, scale=[1, 2])


@pytest.mark.slow
def test_classes_are_chosen_and_ordered(clf):
    display = WeightsDisplay.from_estimator(clf, classes=[7, 2])
    assert [panel.get_title() for panel in display.axes_] == ["7", "2"]
    assert np.array_equal(display.weights.reshape(2, 64), clf.coef_[[7, 2]])
    assert len(WeightsDisplay.from_estimator(clf, classes=3).axes_) == 1
    with pytest.raises(
        ValueError, match=r"classes must be some of \[0, .*; got \[11\]"
    ):
        WeightsDisplay.from_estimator(clf, classes=[7, 11])
    with pytest.raises(ValueError, match=r"classes must be some of .*; got \[\]"):
        WeightsDisplay.from_estimator(clf, classes=[])


def test_of_two_classes_either_may_be_shown_against_the_other():
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    pipeline.fit(TEXTS, TOPICS)
    display = WeightsDisplay.from_estimator(pipeline, classes=["kitchen", "sea"])
    titles = [panel.get_title() for panel in display.axes_]
    assert titles == ["kitchen against sea", "sea against kitchen"]
    assert np.array_equal(display.weights[0], -pipeline[-1].coef_[0])
    assert np.array_equal(display.weights[1], pipeline[-1].coef_[0])
    alone = WeightsDisplay.from_estimator(pipeline, classes="kitchen")
    assert np.array_equal(alone.weights[0], -pipeline[-1].coef_[0])


def test_sparse_weights_have_bars_and_zeros_have_none(scaled):
    X, y = scaled
    clf = classic(alpha=0.2, l1_ratio=1.0, learning_rate=0.1).fit(X, y)
    weights = clf.coef_.copy()
    display = WeightsDisplay.from_estimator(clf.sparsify(), n_bars=11)
    n_shown = [len(bars) for bars in display.bars_]
    assert n_shown == np.minimum((weights != 0).sum(axis=1), 11).tolist()
    assert min(n_shown) < 11


def test_many_classes_have_a_grid_of_panels_that_do_not_overlap():
    names = [f"talk.politics.topic{k}" for k in range(11)]
    words = [f"word{j}" for j in range(50)]
    weights = np.random.default_rng(0).normal(size=(11, 50))
    display = WeightsDisplay(weights, names, feature_names=words).plot(n_bars=3)
    display.figure_.draw_without_rendering()
    boxes = [panel.get_tightbbox() for panel in display.axes_]
    for one, other in itertools.combinations(boxes, 2):
        assert Bbox.intersection(one, other) is None
    labelled = [i for i, panel in enumerate(display.axes_) if panel.get_xlabel()]
    assert labelled == [7, 8, 9, 10]  # of three rows of four


def test_a_long_feature_name_loses_its_middle():
    name = "onehotencoder__occupation_of_the_head_farmer"
    display = WeightsDisplay([[1.0]], ["a"], feature_names=[name]).plot()
    (shown,) = bar_texts(display.axes_[0])
    assert len(shown) == 40
    assert shown.startswith("onehotencoder")
    assert shown.endswith("farmer")


def test_long_names_that_differ_in_the_middle_stay_different():
    names = [f"{'a' * 50}{middle}{'z' * 50}" for middle in ("left", "right")]
    names += [f"{'b' * 50}{'y' * 50}", "short"]
    display = WeightsDisplay([[4.0, 3.0, 2.0, 1.0]] * 2, "ab", feature_names=names)
    shown = bar_texts(display.plot().axes_[0])
    assert len(set(shown)) == 4
    assert (len(shown[2]), shown[3]) == (40, "short")


@pytest.mark.parametrize("weights", [[[0.0, 0.0]], [[0.0] * 20], [[-1.0, -2.0]]])
def test_zeros_and_negative_weights_have_axes_too(weights):
    (panel,) = WeightsDisplay(weights, ["a"]).plot().axes_
    low, high = panel.get_xlim()
    assert low < min(weights[0])
    assert high >= 0


def test_a_limit_ends_the_bars(of_wine):
    display = WeightsDisplay.from_estimator(of_wine, limit=0.1)
    assert {panel.get_xlim() for panel in display.axes_} == {(-0.1, 0.1)}


@pytest.mark.parametrize(("n_bars", "error"), [(0, ValueError), (2.5, TypeError)])
def test_a_number_of_bars_must_be_positive(n_bars, error, of_wine):
    with pytest.raises(error, match="n_bars"):
        WeightsDisplay.from_estimator(of_wine, n_bars=n_bars)


@pytest.mark.parametrize("shape", [(2, 2), (2,)])
def test_long_class_names_stay_apart(shape):
    names = [f"a class name of 25, no. {k}" for k in range(3)]
    display = WeightsDisplay(np.ones((3, *shape)), names).plot()
    display.figure_.draw_without_rendering()
    boxes = [panel.title.get_window_extent() for panel in display.axes_]
    for left, right in itertools.pairwise(boxes):
        assert left.x1 < right.x0
    titles = [" ".join(panel.get_title().split()) for panel in display.axes_]
    assert titles == names
