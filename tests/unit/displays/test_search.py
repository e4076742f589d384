"""SearchDisplay: heat maps, points and panels."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import loguniform, uniform
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from tfsoftmax.displays import SearchDisplay

GRID = {"C": [1.0, 0.1, 10.0], "tol": [0.5, 0.01]}


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


def tick_labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def words(ax):
    """The vertical label, which may be on two lines."""
    return " ".join(ax.get_ylabel().split())


def text(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if is_number else str(value)


def cells(display):
    """The scores that are there, by the values of x and y as text."""
    (ax,) = display.axes_
    places = itertools.product(tick_labels(ax.yaxis), tick_labels(ax.xaxis))
    scores = np.asarray(display.image_.get_array().filled(np.nan)).ravel()
    pairs = zip(places, scores, strict=True)
    return {(x, y): value for (y, x), value in pairs if not np.isnan(value)}


def expected(grid, score=score):
    pairs = itertools.product(*grid.values())
    return pytest.approx({tuple(map(text, pair)): score(*pair) for pair in pairs})


def framed(display):
    """The cells that have a frame."""
    (ax,) = display.axes_
    corners = np.array([patch.get_xy() for patch in ax.patches]) + 0.5
    x, y = tick_labels(ax.xaxis), tick_labels(ax.yaxis)
    return [(x[int(i)], y[int(j)]) for i, j in corners]


def test_a_search_is_a_heat_map_of_its_mean_scores(searched):
    search = searched(GRID, of_model)
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    assert cells(display) == expected(GRID)
    assert display.image_.origin == "lower"
    (ax,) = display.axes_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("C", "tol")
    assert tick_labels(ax.xaxis) == ["0.1", "1", "10"]  # sorted
    assert tick_labels(ax.yaxis) == ["0.01", "0.5"]
    shown = display.image_.get_array()
    for (row, column), written in np.ndenumerate(display.text_):
        assert written.get_text() == f"{shown[row, column]:.3f}"
        assert written.get_position() == (column, row)
    assert framed(display) == [tuple(text(search.best_params_[name]) for name in GRID)]
    assert words(display.colorbar_.ax) == "mean cross-validated score"
    bare = display.plot(colorbar=False, annotate=False, cmap="magma")
    assert bare.colorbar_ is bare.text_ is None
    assert bare.image_.cmap.name == "magma"


def test_a_grid_of_two_parameters_needs_no_names(search, searched):
    for fitted in (search, searched(GRID, of_model)):
        display = SearchDisplay.from_estimator(fitted)
        assert display.image_.get_array().count() == len(fitted.cv_results_["params"])
    (ax,) = display.axes_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("C", "tol")


def test_a_pipelines_parameters_may_be_named_by_their_end(search, searched):
    means = iter(search.cv_results_["mean_test_score"])  # the rate changes fastest
    display = SearchDisplay.from_estimator(search, x="learning_rate", y="alpha")
    assert cells(display) == {
        (rate, alpha): next(means) for alpha in ("0.1", "0") for rate in ("0.5", "0.1")
    }
    whole = SearchDisplay.from_estimator(search, x="clf__alpha", y="learning_rate")
    assert np.array_equal(whole.image_.get_array(), display.image_.get_array().T)
    assert whole.axes_[0].get_xlabel() == "alpha"
    for wrong in ("C", "pha"):
        with pytest.raises(ValueError, match=r"x must be one of .*'clf__alpha'.*got "):
            SearchDisplay.from_estimator(search, x=wrong)
    with pytest.raises(ValueError, match="x and y must differ; both are 'clf__alpha'"):
        SearchDisplay.from_estimator(search, x="clf__alpha", y="alpha")
    with pytest.raises(ValueError, match="y='alpha' needs x"):
        SearchDisplay.from_estimator(search, y="alpha")
    two = make_pipeline(StandardScaler(), MinMaxScaler(), LogisticRegression())
    grid = {f"{name}__copy": [True] for name in ("standardscaler", "minmaxscaler")}
    with pytest.raises(ValueError, match=r"'copy', which is ambiguous: .*scaler"):
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
    assert cells(display) == {(text(x), text(y)): score(x, y) for x, y in there}
    shown = np.ma.getmaskarray(display.image_.get_array())
    assert np.array_equal(display.text_ == None, shown)  # noqa: E711
    tried = [{"x": "a", "y": 1}, {"x": "a", "y": 2}]
    blank = SearchDisplay(tried, [np.nan, np.nan], x="x", y="y").plot()
    assert list(blank.axes_[0].patches) == []


def test_values_that_are_no_numbers_stay_in_their_order(searched):
    weights = [{"one": 2.0}, None, "balanced"]
    grid = {"fit_intercept": [True, False], "class_weight": weights}
    search = searched(grid, lambda m, X, y: len(f"{m.fit_intercept}{m.class_weight}"))
    display = SearchDisplay.from_estimator(search, x="fit_intercept", y="class_weight")
    assert cells(display) == expected(grid, lambda x, y: len(f"{x}{y}"))
    (ax,) = display.axes_
    assert tick_labels(ax.xaxis) == ["True", "False"]
    assert tick_labels(ax.yaxis) == ["{'one': 2.0}", "None", "balanced"]


def test_numbers_are_written_short_and_other_values_as_text():
    numbers = [Fraction(1, 8), np.float32(0.25), 1 / 3, np.uint8(7), 20_000_000]
    others = [True, "sgd", (1, 2), None, "a name longer than a tick has room for"]
    tried = [{"x": x, "y": y} for x in numbers for y in others]
    (ax,) = SearchDisplay(tried, np.zeros(len(tried)), x="x", y="y").plot().axes_
    assert tick_labels(ax.xaxis) == ["0.125", "0.25", "0.3333", "7", "2e+07"]
    *short, long = tick_labels(ax.yaxis)
    assert short == ["True", "sgd", "(1, 2)", "None"]
    assert (long[:6], long[10], long[-3:], len(long)) == ("a name", "…", "for", 20)


def test_fractions_are_sorted_among_the_numbers(searched):
    values = [0.5, Fraction(1, 8), 2]
    search = searched({"C": [1.0], "tol": [0.1]}, of_model)
    params = [{"C": 1.0, "tol": value} for value in values]
    results = {"mean_test_score": [1, 2, 3], "std_test_score": [0] * 3}
    results["params"] = params
    search.cv_results_ = results | dict.fromkeys(("param_C", "param_tol"))
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    assert tick_labels(display.axes_[0].yaxis) == ["0.125", "0.5", "2"]


def test_equal_scores_do_not_hide_the_best_candidate(searched):
    search = searched({"C": [2.0, 0.1], "tol": [0.1]}, lambda *_: 1.0)
    assert search.best_params_ == {"C": 2.0, "tol": 0.1}
    display = SearchDisplay.from_estimator(search, x="C", y="tol")
    assert ("2", "0.1") in framed(display)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (RandomizedSearchCV, {"n_iter": 5}),
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
    tried = [(text(p["C"]), text(p["tol"])) for p in results["params"]]
    last = dict(zip(tried, results["mean_test_score"], strict=True))
    assert cells(SearchDisplay.from_estimator(search, x="C", y="tol")) == last


def test_one_of_several_metrics_is_shown(searched):
    scoring = {"a": lambda m, X, y: m.tol, "b": lambda m, X, y: -m.C}
    search, of = searched(GRID, scoring, refit="b"), {"x": "C", "y": "tol"}
    display = SearchDisplay.from_estimator(search, **of)
    assert cells(display) == expected(GRID, lambda x, y: -x)
    assert words(display.colorbar_.ax) == "mean cross-validated b"
    other = SearchDisplay.from_estimator(search, metric="a", **of)
    assert cells(other) == expected(GRID, lambda x, y: y)
    search.refit = False
    for metric in ("c", None):
        with pytest.raises(ValueError, match=r"metric must be one of \['a', 'b'\]"):
            SearchDisplay.from_estimator(search, metric=metric, **of)


@pytest.mark.parametrize(
    ("scoring", "name"),
    [
        (None, "accuracy"),
        ("neg_log_loss", "neg_log_loss"),
        (of_model, "score"),
        (["balanced_accuracy"], "balanced_accuracy"),
        ({"score": "neg_log_loss"}, "score"),
    ],
)
def test_the_label_names_what_was_scored(scoring, name, searched):
    search = searched(GRID, scoring, refit=False)
    display = SearchDisplay.from_estimator(search)
    assert display.score_name == name
    assert words(display.colorbar_.ax) == f"mean cross-validated {name}"


def test_only_a_score_known_to_be_the_accuracy_is_called_so(search, scaled):
    assert SearchDisplay.from_estimator(search).score_name == "accuracy"
    X = scaled[0]
    other = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(X, X[:, 0])
    assert SearchDisplay.from_estimator(other).score_name == "score"


def assert_nothing_is_cut_off(figure):
    figure.draw_without_rendering()
    whole = figure.bbox.padded(1)  # pixel
    for ax in figure.axes:
        for written in (ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels()):
            box = written.get_window_extent()
            if written.get_text():
                assert whole.contains(box.x0, box.y0), written
                assert whole.contains(box.x1, box.y1), written


METRICS = ["accuracy", "neg_log_loss", "my_own_metric_with_a_rather_long_name"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n_x", "n_y"), [(2, 1), (2, 2), (2, 3), (3, 2), (3, 5)])
def test_no_label_of_a_heat_map_is_cut_off(n_x, n_y, metric):
    x, y = ([f"value no. {i}" for i in range(n)] for n in (n_x, n_y))
    tried = [{"x": i, "y": j} for i in x for j in y]
    scores = -np.arange(len(tried))
    display = SearchDisplay(tried, scores, x="x", y="y", score_name=metric).plot()
    assert_nothing_is_cut_off(display.figure_)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_panels", [1, 4, 6])
def test_no_label_of_panels_is_cut_off(n_panels, metric):
    values = ["a long name", "a longer name", "the longest name"]
    names = [f"parameter_{i}" for i in range(n_panels)]
    tried = [dict.fromkeys(names, value) for value in values]
    display = SearchDisplay(tried, [1.0, 2.0, 3.0], score_name=metric).plot()
    assert_nothing_is_cut_off(display.figure_)


def rotations(ax):
    return {written.get_rotation() for written in ax.get_xticklabels()}


def test_labels_are_tilted_if_they_would_touch_and_take_no_room_from_the_cells():
    heights = []
    for values in (["a", "b", "c"], [f"rather long {i}" for i in range(3)]):
        tried = [{"x": i, "y": j} for i in values for j in range(4)]
        display = SearchDisplay(tried, np.arange(12.0)).plot()
        display.figure_.draw_without_rendering()
        (ax,) = display.axes_
        heights.append(ax.get_window_extent().height)
        assert rotations(ax) == ({0} if values[0] == "a" else {30})
    assert heights[1] == pytest.approx(heights[0], rel=0.1)


def test_an_array_is_written_as_its_size():
    values = [np.ones(64), np.ones((8, 8)), np.float64(0.5), None]
    tried = [{"x": x, "y": y} for x in values for y in (1, 2)]
    (ax,) = SearchDisplay(tried, np.arange(8), x="x", y="y").plot().axes_
    assert tick_labels(ax.xaxis) == ["array of 64", "array of 8 × 8", "0.5", "None"]


def test_values_that_differ_have_labels_that_differ():
    arrays = [np.zeros(5000), np.zeros(5000)]
    arrays[1][2500] = 1.0  # which its repr leaves out
    long = [f"{'a' * 20}{middle}{'z' * 20}" for middle in "xy"]
    near = [1.00001, 1.00002]
    tried = [{"x": x, "y": y} for x in arrays + long for y in near]
    (ax,) = SearchDisplay(tried, np.arange(8), x="x", y="y").plot().axes_
    first, second, *others = tick_labels(ax.xaxis)
    assert (first, second) == ("array of 5000 (1)", "array of 5000 (2)")
    assert len(set(others)) == 2
    assert tick_labels(ax.yaxis) == ["1.00001", "1.00002"]


@pytest.mark.parametrize("categories", [None, ["sgd", "adam"]])
def test_few_values_drawn_at_random_are_points_too(categories):
    rng = np.random.default_rng(0)
    y = rng.random(5) if categories is None else rng.choice(categories, 5)
    tried = [{"x": 10**-i, "y": j} for i, j in zip(4 * rng.random(5), y, strict=True)]
    display = SearchDisplay(tried, rng.random(5), x="x", y="y").plot()
    assert display.image_ is None
    x, shown = display.points_.get_offsets().T
    assert list(x) == [each["x"] for each in tried]
    (ax,) = display.axes_
    assert ax.get_xscale() == "log"
    assert tick_labels(ax.xaxis)
    assert all("10^" in label for label in tick_labels(ax.xaxis))
    if categories:
        assert [tick_labels(ax.yaxis)[int(i)] for i in shown] == list(y)


def test_ticks_are_at_round_numbers_unless_the_values_are_short():
    for values, labels in (
        ([0.002, 0.02, 0.2], ["0.002", "0.02", "0.2"]),
        ([0.00212345, 0.0212345, 0.212345], []),
    ):
        (ax,) = SearchDisplay([{"x": v} for v in values], [1, 2, 3]).plot().axes_
        shown = tick_labels(ax.xaxis)
        assert shown
        assert [label for label in shown if "10^" not in label] == labels


def test_a_full_grid_and_categories_are_cells():
    rows = [{"x": x, "y": 1} for x in (1, 2, 3)]
    diagonal = [{"x": x, "y": y} for x, y in zip("abc", "def", strict=True)]
    for tried in (rows, diagonal):
        display = SearchDisplay(tried, [1, 2, 3], x="x", y="y").plot()
        assert display.image_.get_array().count() == 3


# Panels by parameter


def points(display, i=0):
    """The points of a panel, sorted."""
    return sorted(zip(*display.points_[i].get_data(), strict=True))


def rings(ax):
    """Where the best candidates are marked."""
    (ring,) = (line for line in ax.lines if line.get_markerfacecolor() == "none")
    return sorted(zip(*ring.get_data(), strict=True))


def figure_legend(display):
    (shown,) = display.figure_.legends
    return [written.get_text() for written in shown.get_texts()]


def panels_of(display):
    return [ax.get_xlabel() for ax in display.axes_]


def test_one_parameter_is_a_curve_with_error_bars(searched):
    search = searched({"C": [1.0, 0.1, 10.0]}, lambda m, X, y: m.C * y.size)
    display = SearchDisplay.from_estimator(search)
    (ax,) = display.axes_
    results = search.cv_results_
    means = dict(zip([1.0, 0.1, 10.0], results["mean_test_score"], strict=True))
    assert points(display) == sorted(means.items())
    assert rings(ax) == [(10.0, means[10.0])]
    (curve,) = (
        line
        for line in ax.lines
        if line.get_linestyle() == "-" and len(line.get_xdata()) == 3
    )
    assert list(curve.get_xdata()) == [0.1, 1.0, 10.0]
    segments = ax.containers[0].lines[2][0].get_segments()
    reach = [segment[:, 1] for segment in segments]
    mean, std = (results[f"{of}_test_score"] for of in ("mean", "std"))
    expected = np.column_stack([mean - std, mean + std])
    np.testing.assert_allclose(reach, expected)
    assert (ax.get_xscale(), tick_labels(ax.xaxis)) == ("log", ["0.1", "1", "10"])
    assert (ax.get_xlabel(), words(ax)) == ("C", "mean cross-validated score")
    assert figure_legend(display) == ["mean ± standard deviation", "best candidate"]


def test_what_does_not_vary_has_no_panel(searched):
    search = searched({"C": [1.0, 0.1], "tol": [0.1]}, of_model)
    assert panels_of(SearchDisplay.from_estimator(search)) == ["C"]
    alone = searched({"C": [1.0], "tol": [0.1]}, of_model)
    assert panels_of(SearchDisplay.from_estimator(alone)) == ["C", "tol"]
    nothing = searched({}, of_model)
    with pytest.raises(ValueError, match="parameter; this search has none"):
        SearchDisplay.from_estimator(nothing)


def test_parameters_drawn_at_random_are_points_on_logarithmic_axes(searched):
    drawn = {"C": loguniform(1e-3, 1e3), "tol": uniform(0.1, 0.8)}
    search = searched(drawn, of_model, RandomizedSearchCV, n_iter=30, random_state=0)
    display = SearchDisplay.from_estimator(search)
    assert panels_of(display) == list(drawn)
    assert [ax.get_xscale() for ax in display.axes_] == ["log", "linear"]
    results = search.cv_results_
    for i, (ax, name) in enumerate(zip(display.axes_, drawn, strict=True)):
        values = [params[name] for params in results["params"]]
        pairs = zip(values, results["mean_test_score"], strict=True)
        assert points(display, i) == sorted(pairs)
        best = (search.best_params_[name], search.best_score_)
        assert rings(ax) == [best]
        assert len(tick_labels(ax.xaxis)) < 12
        assert ax.get_ylim() == display.axes_[0].get_ylim()
    assert figure_legend(display) == ["best candidate"]
    assert display.axes_[0].get_ylabel() != display.axes_[1].get_ylabel() == ""


def test_two_of_many_values_each_are_coloured_points(searched):
    drawn = {"C": loguniform(1e-3, 1e3), "tol": uniform(0.1, 0.8)}
    search = searched(drawn, of_model, RandomizedSearchCV, n_iter=30, random_state=0)
    display = SearchDisplay.from_estimator(search, x="tol", y="C", cmap="magma")
    tried = [(p["tol"], p["C"]) for p in search.cv_results_["params"]]
    assert np.array_equal(display.points_.get_offsets(), tried)
    means = search.cv_results_["mean_test_score"]
    assert np.array_equal(display.points_.get_array(), means)
    assert display.points_.cmap.name == "magma"
    (ax,) = display.axes_
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    best = search.best_params_
    assert rings(ax) == [(best["tol"], best["C"])]
    assert words(display.colorbar_.ax) == "mean cross-validated score"
    few = SearchDisplay.from_estimator(search, x="C")
    assert panels_of(few) == ["C"]


def test_three_parameters_have_a_panel_each_with_a_line_through_the_best(searched):
    extras = [0.3, 5.0, 0.9]
    search = searched(GRID | {"intercept_scaling": extras}, of_model)
    display = SearchDisplay.from_estimator(search)
    assert panels_of(display) == ["C", "intercept_scaling", "tol"]
    ax = display.axes_[0]
    (line,) = (line for line in ax.lines if line.get_linestyle() == "-")
    best = {
        C: max(score(C, tol, extra) for tol in GRID["tol"] for extra in extras)
        for C in sorted(GRID["C"])
    }
    assert dict(zip(*line.get_data(), strict=True)) == pytest.approx(best)
    assert len(points(display)) == 18
    assert figure_legend(display) == ["best with this value", "best candidate"]


def test_zero_has_a_place_on_a_logarithmic_axis(searched):
    search = searched({"tol": [0.0, 1e-4, 1e-2, 1.0]}, lambda m, X, y: m.tol)
    (ax,) = SearchDisplay.from_estimator(search).axes_
    assert tick_labels(ax.xaxis) == ["0", "0.0001", "0.01", "1"]
    x = ax.transData.transform([(v, 0) for v in (0.0, 1e-4, 1e-2, 1.0)])[:, 0]
    assert np.diff(x).min() > 0.1 * np.ptp(x)


@pytest.mark.parametrize(
    "values", [[1, 2, 3], [100, 200, 300], [0.5, 20, 40], [-1, 1, 100]]
)
def test_even_numbers_stay_on_an_even_axis(values):
    tried = [{"a": value} for value in values]
    (ax,) = SearchDisplay(tried, [1, 2, 3]).plot().axes_
    assert ax.get_xscale() == "linear"


def test_categories_are_apart_and_missing_parameters_leave_points_out(searched):
    grids = [
        {"class_weight": [None, "balanced", {"one": 2.0}]},
        {"C": [0.1, 1.0], "fit_intercept": [True, False]},
    ]
    search = searched(grids, of_model)
    display = SearchDisplay.from_estimator(search)
    assert panels_of(display) == ["class_weight", "C", "fit_intercept"]
    counts = [len(points(display, i)) for i in range(3)]
    assert counts == [3, 4, 4]
    ax = display.axes_[0]
    assert [x for x, _ in points(display)] == [0, 1, 2]
    assert tick_labels(ax.xaxis) == ["None", "balanced", "{'one': 2.0}"]
    assert not [line for line in ax.lines if line.get_linestyle() == "-"]


def test_numbers_beside_none_are_categories():
    tried = [{"tol": value} for value in (None, 0.1, 0.01)]
    display = SearchDisplay(tried, [1.0, 2.0, np.nan]).plot()
    assert tick_labels(display.axes_[0].xaxis) == ["None", "0.1", "0.01"]
    assert rings(display.axes_[0]) == [(1, 2.0)]


def test_many_panels_make_rows_of_four_on_one_scale():
    rng = np.random.default_rng(0)
    names = [f"parameter_{i}" for i in range(6)]
    tried = [dict(zip(names, rng.random(6), strict=True)) for _ in range(9)]
    display = SearchDisplay(tried, rng.random(9)).plot()
    tops = [round(ax.get_position().y1, 3) for ax in display.axes_]
    assert len(display.axes_) == 6
    assert (len(set(tops[:4])), len(set(tops[4:]))) == (1, 1)
    assert tops[0] > tops[4]
    labelled = [i for i, ax in enumerate(display.axes_) if ax.get_ylabel()]
    assert labelled == [0, 4]


def test_a_panel_has_the_last_part_of_a_name_where_it_is_unique():
    names = ["logistic__C", "standard__copy", "minmax__copy"]
    values = itertools.permutations([1, 2, 3])
    tried = [dict(zip(names, each, strict=True)) for each in values]
    display = SearchDisplay(tried, np.arange(6)).plot()
    assert panels_of(display) == ["C", "standard__copy", "minmax__copy"]


def test_a_halving_search_has_no_panel_for_its_resource(searched):
    options = {"factor": 2, "resource": "intercept_scaling", "max_resources": 4}
    search = searched(GRID, of_model, HalvingGridSearchCV, random_state=0, **options)
    display = SearchDisplay.from_estimator(search)
    assert display.image_ is not None
    assert (display.axes_[0].get_xlabel(), display.axes_[0].get_ylabel()) == (
        "C",
        "tol",
    )


@pytest.mark.slow
def test_panels_are_drawn_on_given_axes(searched):
    search = searched(GRID | {"intercept_scaling": [0.3, 5.0]}, of_model)
    figure = Figure()
    axes = figure.subplots(2, 3)
    display = SearchDisplay.from_estimator(search, ax=axes[1])
    assert list(display.axes_) == list(axes[1])
    assert figure.legends == []
    assert axes[1, 0].get_legend() is not None
    with pytest.raises(ValueError, match="one for each of the 3 panels; got 6"):
        display.plot(ax=axes)
    divided = display.plot(ax=axes[0, 0])
    assert len(divided.axes_) == 3
