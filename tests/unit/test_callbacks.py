"""scikit-learn's callbacks: a fit or a search is a task, with subtasks."""

from __future__ import annotations

import importlib
import pickle
import re
import sys
import threading
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tfsoftmax
from tests.problems import estimator, mostly_slow
from tests.searches import S, X, Y
from tfsoftmax import (
    TFSoftmaxClassifier,
    TFSoftmaxGridSearchCV,
    callbacks,
    storing,
)
from tfsoftmax import classifier as classifier_module
from tfsoftmax.data import batches

callback = pytest.importorskip("sklearn.callback")
pytestmark = pytest.mark.skipif(
    not callbacks.SUPPORTED, reason="this scikit-learn has no callbacks"
)


def classifier(**parameters):
    return estimator(**{"epochs": 4} | parameters)


class Recorder:
    """Keeps what its hooks are called with."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name, {}))

    def on_fit_task_begin(
        self, estimator, context, *, X, y, metadata, fitted_estimator
    ):
        self._keep("begin", context, X, y, metadata, fitted_estimator)

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self._keep("end", context, X, y, metadata, fitted_estimator)

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name, {}))

    def _keep(self, hook, context, X, y, metadata, fitted):
        seen = {"context": context, "X": X, "y": y, "metadata": metadata}
        self.calls.append((hook, context.task_name, seen | {"fitted": fitted}))

    @property
    def names(self):
        return [call[:2] for call in self.calls]

    def of(self, hook, task):
        return [seen for *names, seen in self.calls if names == [hook, task]]


class Silent:
    """Asks for no arguments that have to be made for it; may stop or fail."""

    def __init__(self, *, stop_after=None, fail_at=None, error=ValueError):
        self.stop_after, self.fail_at, self.error = stop_after, fail_at, error
        self.calls = []

    def setup(self, estimator, context):
        self._call("setup", context)

    def on_fit_task_begin(self, estimator, context):
        self._call("begin", context)

    def on_fit_task_end(self, estimator, context):
        self._call("end", context)
        epochs = None if context.task_name == "fit" else context.task_id + 1
        return self.stop_after is not None and epochs == self.stop_after

    def teardown(self, estimator, context):
        self._call("teardown", context)

    def _call(self, hook, context):
        self.calls.append((hook, context.task_name, context.task_id))
        if self.calls[-1][: len(self.fail_at or ())] == self.fail_at:
            raise self.error(f"failing at {self.fail_at}")


def loaders():
    return [t for t in threading.enumerate() if t.name.startswith("tfsoftmax-loader")]


# The hooks and their arguments


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_the_hooks_are_called_in_order(optimizer):
    recorder = Recorder()
    clf = classifier(optimizer=optimizer, tol=None if optimizer == "sgd" else 1e-3)
    clf.set_params(epochs=4 if optimizer == "sgd" else 100)
    clf.set_callbacks(recorder).fit(X, Y)
    assert clf.n_iter_ > 1
    assert recorder.names == [
        ("setup", "fit"),
        ("begin", "fit"),
        *[("begin", "epoch"), ("end", "epoch")] * clf.n_iter_,
        ("end", "fit"),
        ("teardown", "fit"),
    ]


def test_contexts_are_those_of_a_fit_and_its_epochs():
    recorder = Recorder()
    classifier().set_callbacks(recorder).fit(X, Y)
    (fit,) = [seen["context"] for seen in recorder.of("begin", "fit")]
    assert (fit.estimator_name, fit.task_name) == ("TFSoftmaxClassifier", "fit")
    assert (fit.task_id, fit.max_subtasks) == (0, 4)
    assert fit.parent is None
    assert fit is recorder.of("end", "fit")[0]["context"]
    epochs = [seen["context"] for seen in recorder.of("begin", "epoch")]
    assert epochs == [seen["context"] for seen in recorder.of("end", "epoch")]
    assert [epoch.task_id for epoch in epochs] == [0, 1, 2, 3]
    assert all(epoch.parent is fit for epoch in epochs)
    assert all(epoch.max_subtasks == 0 for epoch in epochs)
    assert all(epoch.estimator_name == "TFSoftmaxClassifier" for epoch in epochs)


def test_the_data_passed_to_fit_reach_the_hooks():
    recorder = Recorder()
    classifier().set_callbacks(recorder).fit(X, Y, S)
    classifier().set_callbacks(recorder).fit(X, Y)
    seen = [call[2] for call in recorder.calls if call[2]]
    assert len(seen) == 2 * 10
    assert all(each["X"] is X for each in seen)
    assert all(each["y"] is Y for each in seen)
    assert all(each["metadata"]["sample_weight"] is S for each in seen[:10])
    assert all(each["metadata"] == {} for each in seen[10:])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_after_each_epoch_hooks_get_an_estimator_of_so_many_epochs(optimizer, dtype):
    recorder = Recorder()
    rows = X.astype(dtype)
    parameters = {"optimizer": optimizer, "rescale": 0.5}
    clf = classifier(**parameters).set_callbacks(recorder)
    clf.fit(rows, Y, S, X_val=rows[:50], y_val=Y[:50])
    fitted = [seen["fitted"] for seen in recorder.of("end", "epoch")]
    for epochs, one in enumerate(fitted, start=1):
        expected = classifier(epochs=epochs, **parameters)
        expected.fit(rows, Y, S, X_val=rows[:50], y_val=Y[:50])
        np.testing.assert_array_equal(one.coef_, expected.coef_)
        np.testing.assert_array_equal(
            one.predict_proba(rows), expected.predict_proba(rows)
        )
        columns = expected.history_.columns.drop("seconds")
        assert one.history_[columns].equals(expected.history_[columns])
        assert one.loss_curve_ == expected.loss_curve_
        assert one.n_iter_ == epochs
    (last,) = [seen["fitted"] for seen in recorder.of("end", "fit")]
    np.testing.assert_array_equal(last.coef_, clf.coef_)
    assert last is not clf


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_before_each_epoch_hooks_get_the_estimator_so_far(optimizer, n_classes):
    recorder, y = Recorder(), Y % n_classes
    clf = classifier(optimizer=optimizer, epochs=3, rescale="standard", tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.set_callbacks(recorder).fit(X.astype(np.float32), y)
    first, *others = (seen["fitted"] for seen in recorder.of("begin", "epoch"))
    ended = [seen["fitted"] for seen in recorder.of("end", "epoch")]
    assert len(others) == 2
    for before, after in zip(others, ended, strict=False):
        np.testing.assert_array_equal(before.coef_, after.coef_)
        assert before.n_iter_ == after.n_iter_
    assert (first.n_iter_, len(first.history_)) == (0, 0)
    assert first.coef_.shape == clf.coef_.shape
    assert first.coef_.dtype == clf.coef_.dtype
    np.testing.assert_allclose(first.predict_proba(X), 1 / n_classes)


def test_an_untrained_estimator_can_be_trained_on():
    recorder, clf = Recorder(), classifier(optimizer="adam", epochs=2)
    clf.set_callbacks(recorder).fit(X, Y)
    first = recorder.of("begin", "epoch")[0]["fitted"].set_callbacks()
    first.partial_fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(first.coef_, clf.coef_)


def test_before_a_warm_start_hooks_get_what_it_starts_from():
    clf = classifier(warm_start=True).fit(X, Y)
    coef, recorder = clf.coef_.copy(), Recorder()
    clf.set_callbacks(recorder).fit(X, Y)
    first = recorder.of("begin", "epoch")[0]["fitted"]
    np.testing.assert_array_equal(first.coef_, coef)
    assert first.n_iter_ == 0
    assert len(first.history_) == 4


def test_before_its_first_epoch_a_fused_candidate_has_its_parameters():
    recorder = Recorder()
    clf = classifier().set_callbacks(recorder)
    TFSoftmaxGridSearchCV(clf, {"alpha": [0, 0.1]}, cv=2, refit=False).fit(X, Y)
    first = [
        seen["fitted"]
        for seen in recorder.of("begin", "epoch")
        if seen["context"].task_id == 0
    ]
    assert [one._result.settings.alpha for one in first] == [0, 0.1] * 2
    assert [one.alpha for one in first] == [0, 0.1] * 2


def test_the_estimators_that_hooks_get_can_be_trained_on():
    recorder = Recorder()
    clf = classifier().set_callbacks(recorder).fit(X, Y)
    state = clf.coef_.copy()
    second = recorder.of("end", "epoch")[1]["fitted"].set_callbacks()
    second.coef_[:] = 0
    second.partial_fit(X, Y)
    np.testing.assert_array_equal(clf.coef_, state)
    assert clf.n_iter_ == 4


def test_with_early_stopping_hooks_get_the_best_epochs_estimator():
    recorder = Recorder()
    clf = classifier(early_stopping=True, epochs=10).set_callbacks(recorder).fit(X, Y)
    fitted = [seen["fitted"] for seen in recorder.of("end", "epoch")]
    losses = clf.history_.val_loss
    for epoch, one in enumerate(fitted, start=1):
        best = losses[:epoch].idxmin()
        np.testing.assert_array_equal(one.coef_, fitted[best - 1].coef_)
    np.testing.assert_array_equal(clf.coef_, fitted[-1].coef_)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_callbacks_do_not_change_the_fit(optimizer):
    def fit(*callbacks):
        clf = classifier(optimizer=optimizer, tol=1e-3, epochs=100)
        return clf.set_callbacks(*callbacks).fit(X, Y, S)

    alone, observed = fit(), fit(Recorder(), Silent())
    np.testing.assert_array_equal(observed.coef_, alone.coef_)
    assert observed.loss_curve_ == alone.loss_curve_


def test_nothing_is_made_for_a_callback_that_does_not_ask(monkeypatch):
    made = []
    original = storing.fitted_attributes

    def count(problem, result):
        made.append(result.n_epochs if result else 0)
        return original(problem, result)

    monkeypatch.setattr(storing, "fitted_attributes", count)
    monkeypatch.setattr(classifier_module, "fitted_attributes", count)
    classifier().set_callbacks(Silent()).fit(X, Y)
    assert made == [4]  # what fit itself stores
    made.clear()
    classifier().set_callbacks(Recorder(), Recorder()).fit(X, Y)
    assert made == [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]


def test_partial_fit_is_no_task():
    silent = Silent()
    classifier().set_callbacks(silent).partial_fit(X, Y, classes=[0, 1, 2])
    assert silent.calls == []


def test_a_warm_start_counts_its_epochs_from_zero():
    clf = classifier(warm_start=True).fit(X, Y)
    recorder = Recorder()
    clf.set_callbacks(recorder).fit(X, Y)
    ended = recorder.of("end", "epoch")
    assert [seen["context"].task_id for seen in ended] == [0, 1, 2, 3]
    assert [seen["fitted"].n_iter_ for seen in ended] == [1, 2, 3, 4]
    lengths = [len(seen["fitted"].loss_curve_) for seen in ended]
    assert lengths == [5, 6, 7, 8]


def test_only_callbacks_are_taken_and_none_removes_them():
    clf = classifier()
    for wrong in (None, object(), Recorder):
        with pytest.raises(TypeError, match="must be instances following"):
            clf.set_callbacks(wrong)
    recorder = Recorder()
    assert clf.set_callbacks(recorder) is clf
    clf.set_callbacks().fit(X, Y)
    assert recorder.calls == []


def test_a_fit_leaves_no_trace_of_its_callbacks_but_themselves():
    plain = set(vars(classifier().fit(X, Y)))
    observed = set(vars(classifier().set_callbacks(Silent()).fit(X, Y)))
    assert observed - plain == {"_skl_callbacks"}
    clf = classifier().set_callbacks(Silent())
    pickled = pickle.loads(pickle.dumps(clf.fit(X, Y)))
    np.testing.assert_array_equal(pickled.predict(X), clf.predict(X))
    np.testing.assert_array_equal(pickled.fit(X, Y).coef_, clf.coef_)


# Stopping


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "lbfgs"])
def test_a_stop_request_is_honoured_at_the_end_of_the_epoch(optimizer):
    silent = Silent(stop_after=3)
    clf = classifier(optimizer=optimizer, tol=1e-9, epochs=10)
    clf.set_callbacks(silent).fit(X, Y)  # and no warning that tol was not met
    assert clf.n_iter_ == 3
    assert silent.calls[-3:] == [
        ("end", "epoch", 2),
        ("end", "fit", 0),
        ("teardown", "fit", 0),
    ]
    if optimizer != "lbfgs":
        shorter = classifier(optimizer=optimizer, epochs=3).fit(X, Y)
        np.testing.assert_array_equal(clf.coef_, shorter.coef_)


def test_a_stopped_fit_can_be_resumed():
    clf = classifier(warm_start=True, epochs=10).set_callbacks(Silent(stop_after=4))
    clf.fit(X, Y).set_callbacks()
    clf.set_params(epochs=6).fit(X, Y)
    np.testing.assert_array_equal(clf.coef_, classifier(epochs=10).fit(X, Y).coef_)


@pytest.mark.parametrize("n_jobs", mostly_slow([1], (2,)))
def test_a_stop_request_is_honoured_inside_a_grid_search(n_jobs):
    clf = classifier(epochs=10).set_callbacks(Silent(stop_after=2))
    search = GridSearchCV(clf, {"learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs)
    search.fit(X, Y)
    assert search.best_estimator_.n_iter_ == 2
    for parameters, score in zip(
        search.cv_results_["params"],
        search.cv_results_["mean_test_score"],
        strict=True,
    ):
        shorter = classifier(epochs=2, **parameters)
        assert score == pytest.approx(cross_val_score(shorter, X, Y, cv=2).mean())


# The callbacks that scikit-learn has


def test_the_scoring_monitor_scores_each_epoch():
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    clf = classifier().set_callbacks(monitor).fit(X, Y, S)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log.task_name == "epoch"]
    assert epochs.task_id.tolist() == [0, 1, 2, 3]
    for epoch in range(4):
        shorter = classifier(epochs=epoch + 1).fit(X, Y, S)
        expected = shorter.score(X, Y, S)
        assert epochs.accuracy.iloc[epoch] == pytest.approx(expected)
    (whole,) = log[log.task_name == "fit"].accuracy
    assert whole == pytest.approx(clf.score(X, Y, S))
    assert epochs.neg_log_loss.is_monotonic_increasing


@pytest.mark.parametrize("n_jobs", mostly_slow([1], (2,)))
def test_the_scoring_monitor_scores_each_epoch_of_a_search(n_jobs):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = classifier(epochs=3).set_callbacks(monitor)
    search = GridSearchCV(clf, {"learning_rate": [0.01, 0.1]}, cv=2, n_jobs=n_jobs)
    search.fit(X, Y)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log.task_name == "epoch"]
    assert len(epochs) == (2 * 2 + 1) * 3  # the candidates' folds, and the refit
    assert epochs.groupby("parent_task_id_path").size().tolist() == [3] * 5
    assert (epochs.estimator_name == "TFSoftmaxClassifier").all()
    assert epochs.accuracy.between(0, 1).all()


def test_callbacks_work_inside_a_pipeline():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), classifier().set_callbacks(monitor))
    pipeline.fit(X, Y)
    log = monitor.get_logs().data_as_pandas
    (whole,) = log[log.task_name == "fit"].accuracy
    assert whole == pytest.approx(pipeline.score(X, Y))


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_the_progress_bar_shows_the_epochs(optimizer, capsys):
    pytest.importorskip("rich")
    clf = classifier(optimizer=optimizer, tol=1e-3, epochs=100)
    clf.set_params(**{"tol": None, "epochs": 4} if optimizer == "sgd" else {})
    clf.set_callbacks(callback.ProgressBar()).fit(X, Y)
    written = capsys.readouterr().out
    assert "TFSoftmaxClassifier - fit" in written
    assert "100%" in written


def test_the_progress_bar_reaches_into_a_search(capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(classifier(), {"learning_rate": [0.01, 0.1]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(X, Y)
    written = capsys.readouterr().out
    assert "GridSearchCV - fit" in written
    assert "TFSoftmaxClassifier - fit" in written
    assert not re.search(r"\b[0-9]{1,2}%", written.splitlines()[-1])


# Errors


@pytest.mark.parametrize("optimizer", mostly_slow(["sgd"], ("lbfgs",)))
@pytest.mark.parametrize(
    "fail_at",
    [
        ("setup",),
        ("begin", "fit"),
        ("begin", "epoch", 0),
        ("begin", "epoch", 2),
        ("end", "epoch", 0),
        ("end", "epoch", 2),
        ("end", "fit"),
        ("teardown",),
    ],
    ids=str,
)
def test_an_error_in_a_callback_keeps_the_previous_fit(optimizer, fail_at, monkeypatch):
    monkeypatch.setattr(batches, "MAX_CHUNK_ROWS", 100)  # so that a thread loads them
    failing, other = Silent(fail_at=fail_at), Silent()
    clf = classifier(optimizer=optimizer, alpha=0.01, epochs=100).fit(X, Y, S)
    clf.set_callbacks(failing, other)
    coef, state = clf.coef_.copy(), set(vars(clf))
    with pytest.raises(ValueError, match=re.escape(f"failing at {fail_at}")):
        clf.fit(X[:, :4], Y % 2)
    np.testing.assert_array_equal(clf.coef_, coef)
    assert set(vars(clf)) == state
    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.n_features_in_ == 5
    for one in (failing, other):
        hooks = [call[0] for call in one.calls]
        assert hooks.count("setup") == hooks.count("teardown") <= 1
    assert failing.calls[-1][0] == "teardown"
    assert not loaders()
    clf.set_callbacks().fit(X, Y, S)
    np.testing.assert_array_equal(clf.coef_, coef)


@pytest.mark.parametrize("fail_at", [("begin", "epoch", 1), ("end", "epoch", 1)])
def test_an_error_in_a_callback_does_not_disturb_a_warm_start(fail_at):
    clf = classifier(warm_start=True).fit(X, Y)
    clf.set_callbacks(Silent(fail_at=fail_at))
    with pytest.raises(ValueError, match="failing at"):
        clf.fit(X, Y)
    clf.set_callbacks().fit(X, Y)
    np.testing.assert_array_equal(clf.coef_, classifier(epochs=8).fit(X, Y).coef_)


def test_bad_input_is_refused_before_any_callback_is_called():
    silent = Silent()
    with pytest.raises(ValueError, match="NaN"):
        classifier().set_callbacks(silent).fit(X * np.nan, Y)
    assert silent.calls == []


def test_callbacks_are_torn_down_when_training_fails():
    silent = Silent()
    with pytest.raises(ValueError, match="non-finite in epoch 1"):
        classifier().set_callbacks(silent).fit(X * 1e300, Y)
    assert [call[0] for call in silent.calls] == ["setup", "begin", "begin", "teardown"]
    assert not loaders()


# A scikit-learn without callbacks, or with others


MODULES = [
    "tfsoftmax.callbacks",
    "tfsoftmax.classifier",
    *(
        f"tfsoftmax.model_selection.{name}"
        for name in (
            *("candidates", "fusion", "jobs", "scoring", "tasks", "printing"),
            *("evaluation", "run", "search"),
        )
    ),
]


@pytest.fixture
def reload_search(monkeypatch):
    """A function that imports the search's module anew; it is undone at the end."""

    def reload():
        for path in MODULES:
            folder, _, name = path.rpartition(".")
            monkeypatch.setattr(sys.modules[folder], name, sys.modules[path])
            monkeypatch.delitem(sys.modules, path)
        return importlib.import_module(MODULES[-1])

    return reload


def hide_callbacks(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)


def test_with_an_older_scikit_learn_all_but_callbacks_works(monkeypatch, reload_search):
    expected = classifier().fit(X, Y)
    with monkeypatch.context() as patched:
        hide_callbacks(patched)
        reload_search()
    Plain = sys.modules["tfsoftmax.classifier"].TFSoftmaxClassifier
    assert Plain is not TFSoftmaxClassifier
    assert not hasattr(Plain, "set_callbacks")
    assert not sys.modules["tfsoftmax.callbacks"].SUPPORTED
    clf = clone(Plain(**expected.get_params())).fit(X, Y)
    np.testing.assert_array_equal(clf.coef_, expected.coef_)
    clf.partial_fit(X, Y)
    assert len(clf.history_) == 5
    lbfgs = Plain(optimizer="lbfgs", alpha=0.1, epochs=1000).fit(X, Y)
    assert lbfgs.score(X, Y) > 0.5
    scores = cross_val_score(clf, X, Y, cv=2)
    np.testing.assert_array_equal(scores, cross_val_score(expected, X, Y, cv=2))


def test_a_search_works_with_a_scikit_learn_that_has_no_callbacks(
    monkeypatch, reload_search
):
    def run_search(self, evaluate):  # as it was before scikit-learn 1.9
        evaluate(ParameterGrid(self.param_grid))

    grid = {"alpha": [0.0, 0.1]}
    expected = TFSoftmaxGridSearchCV(estimator(), grid, cv=2).fit(X, Y)
    with monkeypatch.context() as patched:
        hide_callbacks(patched)
        Search = reload_search().TFSoftmaxGridSearchCV
    Plain = sys.modules["tfsoftmax.classifier"].TFSoftmaxClassifier
    monkeypatch.setattr(GridSearchCV, "_run_search", run_search)
    search = Search(Plain(**estimator().get_params()), grid, cv=2).fit(X, Y)
    assert type(search.best_estimator_) is Plain
    assert search.best_params_ == expected.best_params_
    assert search.best_score_ == expected.best_score_
    np.testing.assert_array_equal(
        search.best_estimator_.coef_, expected.best_estimator_.coef_
    )


def test_the_reloaded_modules_are_gone_after_the_tests_that_need_them():
    assert callbacks.SUPPORTED
    assert sys.modules["tfsoftmax.callbacks"] is tfsoftmax.callbacks is callbacks
    assert sys.modules[MODULES[-1]].TFSoftmaxGridSearchCV is TFSoftmaxGridSearchCV
    assert hasattr(TFSoftmaxClassifier, "set_callbacks")
