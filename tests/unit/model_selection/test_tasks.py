"""The tasks of a search: those of GridSearchCV, and groups with their epochs."""

from __future__ import annotations

import importlib
import re
import warnings
from collections import Counter

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator, mostly_slow
from tests.searches import OURS_AND_THEIRS, RATES, S, X, Y, pipeline
from tfsoftmax import (
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
    callbacks,
)
from tfsoftmax.model_selection import tasks

callback = pytest.importorskip("sklearn.callback")
pytestmark = pytest.mark.skipif(
    not callbacks.SUPPORTED, reason="this scikit-learn has no callbacks"
)

# The tasks that GridSearchCV has not, or elsewhere.
OURS = ("group", "epoch")


class TaskRecorder:
    """Keeps the tasks that begin and end, with their parents, and what groups have."""

    def __init__(self):
        self.events = []
        self.sizes = []
        self.groups = {}
        self.seen = []

    def setup(self, estimator, context):
        self.events.append(("setup", path_of(context)))

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.events.append(("begin", path_of(context)))
        self.sizes.append((path_of(context), context.max_subtasks))
        if context.task_name == "group":
            self.groups[context.task_id] = Counter(size=context.max_subtasks)
        self.seen.append((context.task_name, estimator, X, y, metadata))

    def on_fit_task_end(self, estimator, context, *, X, y, metadata):
        self.events.append(("end", path_of(context)))
        if context.parent is not None and context.parent.task_name == "group":
            group = self.groups.setdefault(context.parent.task_id, Counter())
            group[context.task_name] += 1

    def teardown(self, estimator, context):
        self.events.append(("teardown", path_of(context)))


class PropagatedTaskRecorder(TaskRecorder):
    max_propagation_depth = None


def path_of(context):
    """Return a task and those it is part of, but groups; however the search is called.

    A task is what it is a task of, its name and its number.
    """
    path = []
    while context is not None:
        if context.task_name != "group" or not path:
            name = context.estimator_name.replace("TFSoftmaxGrid", "Grid")
            path.append((name, context.task_name, context.task_id))
        context = context.parent
    return tuple(path)


SEARCHES = {
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


def record_both(recorder, estimator, grid, options, **fit_params):
    """Search with ours and theirs; return a recorder of each."""
    recorders = [recorder(), recorder()]
    for kind, recorder in zip(OURS_AND_THEIRS[0], recorders, strict=True):
        recorder.search = kind(clone(estimator), grid, cv=2, **options)
        recorder.search.set_callbacks(recorder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recorder.search.fit(X, Y, **fit_params)
    return recorders


def shared(recorder, *, of_search=True):
    """Return the events of tasks that GridSearchCV has, too, of the search itself."""
    return Counter(
        (hook, path)
        for hook, path in recorder.events
        if path[0][1] not in OURS and (path[0][0] == "GridSearchCV") == of_search
    )


@pytest.mark.parametrize("max_lines", [tasks.MAX_GROUP_LINES, 0])
@pytest.mark.parametrize("case", SEARCHES)
def test_callbacks_see_the_tasks_of_grid_search(case, max_lines, monkeypatch):
    monkeypatch.setattr(tasks, "MAX_GROUP_LINES", max_lines)
    ours, theirs = record_both(TaskRecorder, *SEARCHES[case])
    assert shared(ours) == shared(theirs)
    assert ours.events[0] == theirs.events[0]
    assert ours.events[-1] == theirs.events[-1]


def test_callbacks_that_propagate_are_not_passed_on_to_models_of_a_group():
    (ours, _), (plain, _) = (
        record_both(recorder, *SEARCHES["plain"])
        for recorder in (PropagatedTaskRecorder, TaskRecorder)
    )
    assert ours.events == plain.events


def test_callbacks_that_propagate_follow_scikit_learns_fits_as_in_grid_search():
    case = (LogisticRegression(max_iter=3), {"C": [0.1, 1.0]}, {})
    ours, theirs = record_both(PropagatedTaskRecorder, *case)
    assert ours.events == theirs.events


def test_a_candidate_that_scikit_learn_fits_stands_beside_the_groups():
    grid = {"clf": [estimator(), LogisticRegression(max_iter=3), estimator(alpha=0.1)]}
    ours, _ = record_both(
        PropagatedTaskRecorder, pipeline(), grid, {"refit": False, "scoring": None}
    )
    (total,) = {n for path, n in ours.sizes if path[0][1] == "search"}
    assert total == 2 * (1 + 1)
    fitted = {path[0][0] for hook, path in ours.events if hook == "begin"}
    assert fitted == {"GridSearchCV", "Pipeline", "LogisticRegression"}


@pytest.mark.parametrize("case", ["plain", "a pipeline", "several groups"])
def test_a_group_has_its_epochs_and_its_candidates_as_subtasks(case):
    ours, _ = record_both(TaskRecorder, *SEARCHES[case])
    n_groups = {"plain": 1, "a pipeline": 2, "several groups": 2}[case] * 2
    n_members = 2 if n_groups > 2 else 3
    assert len(ours.groups) == n_groups
    for subtasks in ours.groups.values():
        assert subtasks["size"] == 3 + n_members
        assert subtasks["epoch"] == 3
        assert subtasks["candidate-split-evaluation"] == n_members
    refit_epochs = [
        path
        for hook, path in ours.events
        if hook == "end" and path[0][1] == "epoch" and path[1][1].startswith("refit")
    ]
    assert [path[0][2] for path in refit_epochs] == [0, 1, 2]


def test_a_group_has_as_many_epochs_as_its_longest_candidate():
    grid = {"epochs": [1, 5, 2], "learning_rate": RATES}
    ours, _ = record_both(TaskRecorder, estimator(), grid, {"refit": False})
    assert [each["epoch"] for each in ours.groups.values()] == [5, 5]
    assert [each["size"] for each in ours.groups.values()] == [5 + 9] * 2


def test_a_group_that_fails_begins_and_ends():
    ours, _ = record_both(TaskRecorder, *SEARCHES["failing candidates"])
    assert sorted(each["epoch"] for each in ours.groups.values()) == [0, 0, 3, 3]
    names = [(hook, path[0]) for hook, path in ours.events]
    assert Counter(hook for hook, _ in names)["begin"] == len(names) / 2 - 1


def test_where_there_are_too_many_groups_they_are_no_tasks(monkeypatch):
    monkeypatch.setattr(tasks, "MAX_GROUP_LINES", 3)
    ours, theirs = record_both(TaskRecorder, *SEARCHES["several groups"])
    assert not ours.groups
    of_search = [
        [(path, n) for path, n in recorder.sizes if path[0][1] == "search"]
        for recorder in (ours, theirs)
    ]
    assert of_search[0] == of_search[1]


def test_a_users_search_class_may_have_tasks_of_its_own():
    class Twice(TFSoftmaxGridSearchCV):
        def _run_search(self, evaluate, *, callback_ctx=None):
            half = callback_ctx.subcontext(
                task_name="half", max_subtasks=4, sequential_subtasks=False
            )
            evaluate([{"alpha": 0}, {"alpha": 0.1}], callback_ctx=half)
            evaluate([{"alpha": 0.2}])

    recorder = TaskRecorder()
    search = Twice(estimator(), {}, cv=2, refit=False).set_callbacks(recorder)
    search.fit(X, Y)
    assert len(search.cv_results_["params"]) == 3
    ended = [path for hook, path in recorder.events if hook == "end"]
    evaluated = [path for path in ended if path[0][1] == "candidate-split-evaluation"]
    assert sorted(path[0][2] for path in evaluated) == [0, 1, 2, 3]
    assert {path[1][1] for path in evaluated} == {"half"}


def test_callbacks_of_a_pipelines_classifier_see_the_fits_of_grid_search():
    """All but what these fits are part of, and their number in it."""
    grid = {"step0__with_mean": [True, False], "clf__alpha": [0, 0.1, 0.2]}
    counts = []
    for kind in OURS_AND_THEIRS[0]:
        recorder, pipe = TaskRecorder(), pipeline(StandardScaler())
        pipe[-1].set_callbacks(recorder)
        kind(pipe, grid, cv=2).fit(X, Y)
        events = [(hook, *path[0]) for hook, path in recorder.events]
        counts.append(
            Counter(
                (hook, name, task, number if task == "epoch" else None)
                for hook, name, task, number in events
            )
        )
    assert counts[0]["end", "TFSoftmaxClassifier", "fit", None] == 2 * 3 * 2 + 1
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
def test_hooks_get_the_arguments_that_grid_search_passes(estimator, grid, fit_params):
    recorders = record_both(TaskRecorder, estimator, grid, {}, **fit_params)
    for recorder in recorders:
        assert all(seen[1] is recorder.search for seen in recorder.seen)
        recorder.seen = [seen for seen in recorder.seen if seen[0] not in OURS]
    # Candidates by candidates or folds by folds: any order will do.
    ours, theirs = (sorted(map(digest, recorder.seen)) for recorder in recorders)
    assert ours == theirs


def digest(seen):
    name, _, X, y, metadata = seen
    sums = (None if rows is None else np.sum(rows) for rows in (X, y))
    weights = metadata and {k: np.sum(v) for k, v in metadata.items()}
    return name, *map(str, sums), str(weights)


def test_tasks_that_began_end_when_an_error_is_raised():
    recorders = TaskRecorder(), TaskRecorder()
    for kind, recorder in zip(OURS_AND_THEIRS[0], recorders, strict=True):
        search = kind(estimator(), {"alpha": [-1]}, error_score="raise", cv=2)
        with pytest.raises(ValueError, match="alpha"):
            search.set_callbacks(recorder).fit(X, Y)
    assert shared(recorders[0]) == shared(recorders[1])


# scikit-learn's progress bar


def drawn(search, capsys, monkeypatch, n_columns=80):
    """Return the last lines that a progress bar draws in a terminal of 80 columns."""
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", str(n_columns))
    search.set_callbacks(callback.ProgressBar())
    with joblib.parallel_config("threading"):
        search.fit(X, Y)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("kind", [TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV])
@pytest.mark.parametrize("n_jobs", mostly_slow([None], (2,)))
def test_the_progress_bar_has_a_line_for_each_group(kind, n_jobs, capsys, monkeypatch):
    grid = {"clf__learning_rate": RATES, "clf__alpha": [0, 0.1, 0.2]}
    options = {"cv": 2, "n_jobs": n_jobs}
    if kind is TFSoftmaxRandomizedSearchCV:
        options |= {"n_iter": 5, "random_state": 0}
    search = kind(pipeline(StandardScaler()), grid, **options)
    lines = drawn(search, capsys, monkeypatch)[-5:]
    name = kind.__name__
    labels = [re.split(r" +[━╸╺]", line)[0] for line in lines]
    assert labels[0] == f"{name} - fit"
    assert labels[1] == f"  {name} - search #0"
    assert sorted(labels[2:4]) == [f"    {name} - group #{fold}" for fold in (0, 1)]
    assert labels[4] == f"  {name} - refit-with-best-params #1"
    assert all(re.search("━ 100% 0:00:[0-9]{2}$", line) for line in lines), lines


def test_the_progress_bar_has_one_line_where_there_are_many_groups(capsys, monkeypatch):
    grid = {"random_state": list(range(11))}
    search = TFSoftmaxGridSearchCV(estimator(), grid, cv=2, refit=False)
    lines = drawn(search, capsys, monkeypatch)
    assert len(lines[-2:]) == 2
    assert not any("group" in line for line in lines)
    assert all("100%" in line for line in lines[-2:])


def test_the_progress_bar_moves_with_the_epochs(capsys, monkeypatch):
    """Each epoch and each candidate is an equal part of its group's bar."""
    progress = importlib.import_module("sklearn.callback._progressbar")
    seen = []
    on_task_end = progress.RichProgressMonitor._on_task_end

    def watched(self, info):
        on_task_end(self, info)
        seen.append(self.root_rich_task.children[0].progress)

    monkeypatch.setattr(progress.RichProgressMonitor, "_on_task_end", watched)
    search = TFSoftmaxGridSearchCV(estimator(), {"alpha": [0, 0.1]}, cv=2, refit=False)
    drawn(search, capsys, monkeypatch)
    parts = [i / 10 for i in (1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10)]
    np.testing.assert_allclose(seen[:-2], parts)
    assert seen[-2:] == [1.0, 1.0]


def test_callbacks_of_the_estimator_follow_each_of_its_fits():
    logs = []
    for kind in OURS_AND_THEIRS[0]:
        monitor = callback.ScoringMonitor(scoring="accuracy")
        clf = estimator().set_callbacks(monitor)
        kind(clf, {"learning_rate": RATES}, cv=2).fit(X, Y)
        log = monitor.get_logs().data_as_pandas
        logs.append(sorted(log[log.task_name == "epoch"].accuracy))
    assert len(logs[0]) == (3 * 2 + 1) * 3
    assert logs[0] == logs[1]


def test_the_classifiers_callbacks_are_its_own_after_a_search():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    pipe = make_pipeline(estimator().set_callbacks(monitor))
    search = TFSoftmaxGridSearchCV(pipe, {"tfsoftmaxclassifier__alpha": [0, 0.1]}, cv=2)
    search.set_callbacks(TaskRecorder()).fit(X, Y)
    assert search.best_estimator_[-1]._skl_callbacks == [monitor]
    search = TFSoftmaxGridSearchCV(estimator(), {"alpha": [0, 0.1]}, cv=2)
    search.set_callbacks(TaskRecorder()).fit(X, Y)
    assert not hasattr(search.best_estimator_, "_skl_callbacks")


def test_a_progress_bar_of_the_classifier_is_refused_as_by_grid_search():
    pytest.importorskip("rich")
    for kind in OURS_AND_THEIRS[0]:
        clf = estimator().set_callbacks(callback.ProgressBar())
        search = kind(clf, {"alpha": [0, 0.1]}, cv=2, error_score="raise")
        with pytest.raises(TypeError, match="can't have auto-propagated callbacks"):
            search.fit(X, Y)
