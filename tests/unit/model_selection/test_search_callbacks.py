"""Searches and scikit-learn's callbacks: what they see is what GridSearchCV shows."""

from __future__ import annotations

import warnings
from collections import Counter

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator
from tests.searches import OURS_AND_THEIRS, RATES, S, X, Y, pipeline
from tfsoftmax import TFSoftmaxGridSearchCV, callbacks

pytestmark = pytest.mark.skipif(
    not callbacks.SUPPORTED, reason="this scikit-learn's callbacks are not known"
)


class Recorder:
    """Keeps the tasks that begin and end, with their parents."""

    def __init__(self):
        self.events = []
        self.seen = []

    def setup(self, estimator, context):
        self.events.append(("setup", path_of(context)))

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.events.append(("begin", path_of(context)))
        self.seen.append((context.task_name, estimator, X, y, metadata))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata):
        self.events.append(("end", path_of(context)))

    def teardown(self, estimator, context):
        self.events.append(("teardown", path_of(context)))


class PropagatedRecorder(Recorder):
    max_propagation_depth = None


def path_of(context):
    """Name a task and those that it is part of; both kinds of search alike."""
    path = []
    while context is not None:
        name = context.estimator_name.replace("TFSoftmaxGrid", "Grid")
        path.append((name, context.task_name, context.task_id, context.max_subtasks))
        context = context.parent
    return tuple(path)


CALLBACK_CASES = {
    "plain": (estimator(), {"alpha": [0, 0.1, 0.2]}, {}),
    "no refit": (estimator(), {"alpha": [0, 0.1]}, {"refit": False}),
    "several groups": (estimator(), {"batch_size": [20, 50], "alpha": [0, 0.1]}, {}),
    "a pipeline": (
        pipeline(StandardScaler()),
        {"step0__with_mean": [True, False], "clf__alpha": [0, 0.1]},
        {},
    ),
    "failing candidates": (estimator(), {"alpha": [0, -1]}, {}),
    "failing steps": (
        pipeline(PCA()),
        {"step0__n_components": [2, 99], "clf__alpha": [0, 0.1]},
        {},
    ),
    "lbfgs": (
        estimator(optimizer="lbfgs", epochs=5, tol=10.0, alpha=0.1),
        {"alpha": [0.1, 0.2]},
        {},
    ),
}


def search_with(kind, estimator, grid, options, recorder, **fit_params):
    search = kind(clone(estimator), grid, cv=2, **options).set_callbacks(recorder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, Y, **fit_params)
    return search


def events_of_both(case, make_recorder):
    """Search with ours and theirs; return the events that the recorders have seen."""
    recorders = make_recorder(), make_recorder()
    for kind, recorder in zip(OURS_AND_THEIRS[0], recorders, strict=True):
        search_with(kind, *CALLBACK_CASES[case], recorder)
    return [recorder.events for recorder in recorders]


@pytest.mark.parametrize("case", CALLBACK_CASES)
def test_callbacks_see_the_tasks_of_grid_search(case):
    ours, theirs = events_of_both(case, Recorder)
    assert Counter(ours) == Counter(theirs)
    assert ours[0] == theirs[0]
    assert ours[-1] == theirs[-1]


PIPELINES = ["a pipeline", "failing steps"]


@pytest.mark.parametrize("case", sorted(CALLBACK_CASES.keys() - PIPELINES))
def test_callbacks_that_propagate_see_the_epochs_of_grid_search(case):
    ours, theirs = events_of_both(case, PropagatedRecorder)
    assert Counter(ours) == Counter(theirs)


@pytest.mark.parametrize("case", PIPELINES)
def test_callbacks_that_propagate_miss_only_the_fits_of_candidates_pipelines(case):
    """Candidates share one fit of the steps, so there is no task of their pipelines."""
    ours, theirs = map(Counter, events_of_both(case, PropagatedRecorder))
    assert not ours - theirs
    missed = theirs - ours
    assert missed
    for _, path in missed:
        names = [(name, task) for name, task, *_ in path]
        assert ("Pipeline", "fit") in names
        assert ("GridSearchCV", "refit-with-best-params") not in names


def test_callbacks_of_a_pipelines_classifier_see_the_fits_of_grid_search():
    """All but what these fits are part of, and their number in it."""
    grid = {"step0__with_mean": [True, False], "clf__alpha": [0, 0.1, 0.2]}
    counts = []
    for kind in OURS_AND_THEIRS[0]:
        recorder, pipe = Recorder(), pipeline(StandardScaler())
        pipe[-1].set_callbacks(recorder)
        kind(pipe, grid, cv=2).fit(X, Y)
        events = [(hook, *path[0]) for hook, path in recorder.events]
        counts.append(
            Counter(
                (hook, name, task, n_subtasks, number if task == "epoch" else None)
                for hook, name, task, number, n_subtasks in events
            )
        )
    assert counts[0]["end", "TFSoftmaxClassifier", "fit", 3, None] == 2 * 3 * 2 + 1
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("estimator", "grid", "fit_params"),
    [
        (estimator(), {"alpha": [0, 0.1]}, {}),
        (estimator(), {"alpha": [0, 0.1]}, {"sample_weight": S}),
        (pipeline(StandardScaler()), {"clf__alpha": [0, 0.1]}, {}),
        (
            pipeline(StandardScaler()),
            {"clf__alpha": [0, 0.1]},
            {"clf__sample_weight": S},
        ),
    ],
    ids=["plain", "weighted", "pipeline", "weighted pipeline"],
)
def test_callbacks_get_the_arguments_that_grid_search_passes(
    estimator, grid, fit_params
):
    recorders = Recorder(), Recorder()
    for kind, recorder in zip(OURS_AND_THEIRS[0], recorders, strict=True):
        search = search_with(kind, estimator, grid, {}, recorder, **fit_params)
        assert all(seen[1] is search for seen in recorder.seen)
    # Candidates by candidates or folds by folds: any order will do.
    ours, theirs = (sorted(map(digest, recorder.seen)) for recorder in recorders)
    assert ours == theirs


def digest(seen):
    name, _, X, y, metadata = seen
    sums = (None if rows is None else np.sum(rows) for rows in (X, y))
    weights = metadata and {k: np.sum(v) for k, v in metadata.items()}
    return name, *map(str, sums), str(weights)


def test_tasks_that_began_end_when_an_error_is_raised():
    recorders = Recorder(), Recorder()
    for kind, recorder in zip(OURS_AND_THEIRS[0], recorders, strict=True):
        search = kind(estimator(), {"alpha": [-1]}, error_score="raise", cv=2)
        with pytest.raises(ValueError, match="alpha"):
            search.set_callbacks(recorder).fit(X, Y)
    ours, theirs = (Counter(recorder.events) for recorder in recorders)
    assert ours == theirs


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_the_progress_bar_shows_the_search(n_jobs, capsys, monkeypatch):
    pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    monkeypatch.setenv("COLUMNS", "150")
    search = TFSoftmaxGridSearchCV(
        estimator(), {"learning_rate": RATES}, cv=2, n_jobs=n_jobs
    ).set_callbacks(ProgressBar())
    with joblib.parallel_config("threading"):
        search.fit(X, Y)
    lines = capsys.readouterr().out.splitlines()[-9:]
    assert lines[0].startswith("TFSoftmaxGridSearchCV - fit")
    assert sum("candidate-split-evaluation" in line for line in lines) == 6
    assert all("100%" in line for line in lines), lines


def test_callbacks_of_the_estimator_see_its_every_fit():
    from sklearn.callback import ScoringMonitor

    logs = []
    for kind in OURS_AND_THEIRS[0]:
        monitor = ScoringMonitor(scoring="accuracy")
        clf = estimator().set_callbacks(monitor)
        kind(clf, {"learning_rate": RATES}, cv=2).fit(X, Y)
        log = monitor.get_logs().data_as_pandas
        logs.append(sorted(log[log.task_name == "epoch"].accuracy))
    assert len(logs[0]) == (3 * 2 + 1) * 3
    assert logs[0] == logs[1]
