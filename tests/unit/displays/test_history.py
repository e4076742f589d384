"""HistoryDisplay: curves, names and units."""

from __future__ import annotations

import copy

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from tests.problems import classic
from tfsoftmax.displays import HistoryDisplay


def legend(panel):
    shown = panel.get_legend()
    return [text.get_text() for text in shown.get_texts()] if shown else []


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
    units = [panel.get_xlabel() for panel in display.axes_]
    assert units == ["epoch or iteration", "epoch or iteration", "epoch"]
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
    with pytest.raises(ValueError, match="name must be None for several"):
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


def shown_ticks(display):
    display.figure_.draw_without_rendering()
    axis = display.axes_[0].xaxis
    low, high = axis.get_view_interval()
    return [tick for tick in axis.get_ticklocs() if low <= tick <= high]


@pytest.mark.parametrize("n_epochs", [1, 2, 3])
def test_few_epochs_have_ticks_at_whole_numbers(n_epochs, clf):
    display = HistoryDisplay({"few": clf.history_[:n_epochs]}).plot()
    assert shown_ticks(display) == list(range(1, n_epochs + 1))


def test_a_single_epoch_is_visible_also_on_held_out_rows(clf, digits):
    X, y = digits
    once = clone(clf).set_params(epochs=1).fit(X, y, X_val=X, y_val=y)
    lines = HistoryDisplay.from_estimator(once).lines_["TFSoftmaxClassifier"]
    assert {line.get_marker() for line in lines.values()} == {".", "_"}


def test_a_curve_looks_the_same_whatever_is_beside_it(clf):
    short = pd.concat([clf.history_] * 6, ignore_index=True)  # 18 epochs
    long = pd.concat([clf.history_] * 9, ignore_index=True)  # 27 epochs
    both = HistoryDisplay({"short": short, "long": long}).plot()
    added = HistoryDisplay({"added": short}).plot(ax=both.axes_)
    markers = [
        (lines["loss"].get_marker(), lines["accuracy"].get_marker())
        for lines in [*both.lines_.values(), *added.lines_.values()]
    ]
    assert markers == [(".", "."), ("", ""), (".", ".")]


def test_lbfgs_counts_iterations_also_beside_epochs(clf, scaled):
    lbfgs = classic(optimizer="lbfgs", alpha=0.1, epochs=500).fit(*scaled)
    display = HistoryDisplay.from_estimator(lbfgs)
    assert [panel.get_xlabel() for panel in display.axes_] == ["iteration"] * 2
    added = HistoryDisplay.from_estimator(clf, ax=display.axes_)
    assert [panel.get_xlabel() for panel in added.axes_] == ["epoch or iteration"] * 2


def long_named(clf, n=3):
    return {f"learning_rate={i}, alpha={i}, batch_size={i}": clf for i in range(n)}


def test_long_names_take_no_room_from_the_panels(clf):
    widths = {}
    for names in ({"a": clf, "b": clf, "c": clf}, long_named(clf, 20)):
        for ax in (None, plt.subplots(1, 2, layout="constrained")[1]):
            display = HistoryDisplay.from_estimator(names, ax=ax)
            display.figure_.draw_without_rendering()
            box = display.axes_[0].get_window_extent()
            widths.setdefault(ax is None, []).append((box.width, box.height))
    for short, long in widths.values():
        assert long == pytest.approx(short, rel=0.1)


def test_a_long_legend_lies_below_the_panels_and_inside_the_figure(clf):
    display = HistoryDisplay.from_estimator(long_named(clf))
    assert legend(display.axes_[0]) == []
    (below,) = display.figure_.legends
    display.figure_.draw_without_rendering()
    box = below.get_window_extent()
    assert box.y1 < min(panel.get_tightbbox().y0 for panel in display.axes_)
    assert box.x0 >= 0
    assert box.x1 <= display.figure_.bbox.x1
    assert [text.get_text() for text in below.get_texts()] == list(long_named(clf))
    HistoryDisplay.from_estimator(clf, name="more", ax=display.axes_)
    assert display.figure_.legends == []
    assert len(legend(display.axes_[0])) == 4


def test_more_curves_than_colours_go_from_dark_to_light(clf):
    few, many = (
        [
            lines["loss"].get_color()
            for lines in HistoryDisplay.from_estimator([clf] * n).lines_.values()
        ]
        for n in (7, 9)
    )
    assert len(set(few)) == 7
    assert len(set(map(to_rgba, many))) == 9
    brightness = [sum(to_rgba(color)[:3]) for color in many]
    assert brightness == sorted(brightness)
