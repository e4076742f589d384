"""The task tree of a search, for scikit-learn's callbacks.

    fit
      search
        group                         candidates that are trained together
          epoch
          candidate-split-evaluation
        candidate-split-evaluation    a candidate that scikit-learn fits
      refit-with-best-params
        epoch

A progress bar draws one line for each task with subtasks. So the callbacks of a search
are not passed on to the models of a group, each of which would add a line. Callbacks of
the classifier are notified of each model's fit.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tfsoftmax.callbacks import SUPPORTED
from tfsoftmax.model_selection.candidates import can_be_fused, classifier_of
from tfsoftmax.model_selection.jobs import EvaluationJob
from tfsoftmax.utils.sklearn_compat import (
    has_callbacks,
    link_callback_context,
    with_callback,
)

# Number of group lines that fit in a terminal of 24 lines, next to those of the search.
# If there would be more, groups are not tasks.
MAX_GROUP_LINES = 20


def _arguments_of(search: Any, X: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """Return the arguments of a search's hooks."""
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return {"estimator": search, "X": X, "y": y, "metadata": metadata}


class SearchTask:
    """The task of one search, including its evaluations and the refit.

    Parameters
    ----------
    search : BaseSearchCV
        The search being fitted.
    X, y, sample_weight
        The arguments of fit, which are passed to the callbacks.
    """

    def __init__(self, search: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self._arguments = _arguments_of(search, X, y, sample_weight)
        self._search = search
        self._context: Any = None
        if SUPPORTED:
            n_subtasks = 1 + (search.refit is not False)
            self._context = search._init_callback_context(max_subtasks=n_subtasks)
            self._context.call_on_fit_task_begin(**self._arguments)

    def run(self, evaluate: Callable[..., Any]) -> None:
        """Run the search, which passes its candidates to `evaluate`."""
        run = self._search._run_search
        if (
            self._context is None
            or "callback_ctx" not in inspect.signature(run).parameters
        ):  # an older scikit-learn, or a user's search class
            run(evaluate)
        else:
            run(evaluate, callback_ctx=self._context)

    @contextlib.contextmanager
    def evaluations(
        self, context: Any, jobs: Sequence[EvaluationJob]
    ) -> Iterator[list[EvaluationJob]]:
        """Yield the jobs with their tasks' contexts, for other processes too.

        `context` is the one passed on by `run`, or by a user's search class.
        """
        if context is not self._context or context is None:
            yield [_with_contexts(job, context, grouped=False) for job in jobs]
            return
        n_lines = sum(max(1, len(job.groups)) for job in jobs)
        grouped = n_lines <= MAX_GROUP_LINES
        n_evaluations = sum(len(job.candidates) for job in jobs)
        task = self._context.subcontext(
            task_name="search",
            max_subtasks=n_lines if grouped else n_evaluations,
            sequential_subtasks=False,
        )
        task.call_on_fit_task_begin(estimator=self._search)
        yield [_with_contexts(job, task, grouped=grouped) for job in jobs]
        task.call_on_fit_task_end(estimator=self._search)

    @contextlib.contextmanager
    def refit(self, model: Any) -> Iterator[None]:
        """Notify the callbacks of the refit and of its epochs, if any."""
        if self._context is None:
            yield
            return
        context = self._context.subcontext(
            task_name="refit-with-best-params", sequential_subtasks=False
        )
        if can_be_fused(model):
            with link_callback_context(context, model):
                task = _SharedTask(context, self._arguments, n_others=0, first_id=0)
                with task.of([classifier_of(model)]):
                    yield
            return
        with context.propagate_callback_context(model):
            context.call_on_fit_task_begin(**self._arguments)
            yield
        context.call_on_fit_task_end(**self._arguments)

    def end(self) -> None:
        """Notify the callbacks that the search has ended."""
        if self._context is not None:
            self._context.call_on_fit_task_end(**self._arguments)


class JobTasks:
    """The tasks of a job: its candidates and its groups.

    Parameters
    ----------
    job : EvaluationJob
    classifiers : sequence of TFSoftmaxClassifier
        The classifiers of the candidates.
    X, y, sample_weight
        The arguments of fit, which are passed to the callbacks.
    """

    def __init__(
        self,
        job: EvaluationJob,
        classifiers: Sequence[Any],
        X: Any,
        y: Any,
        sample_weight: Any,
    ) -> None:
        self._job, self._classifiers = job, classifiers
        self._arguments = _arguments_of(job.caller, X, y, sample_weight)
        self._unfinished = contextlib.ExitStack()

    def __enter__(self) -> JobTasks:
        self._tasks = []
        with self._unfinished as begun:
            for clf, context in zip(self._classifiers, self._job.contexts, strict=True):
                self._tasks.append(begun.enter_context(contextlib.ExitStack()))
                self._tasks[-1].enter_context(self._candidate(clf, context))
            self._unfinished = begun.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._unfinished.__exit__(*error)

    @contextlib.contextmanager
    def group(self, number: int) -> Iterator[None]:
        """Notify the callbacks of a group's epochs and the end of its candidates."""
        job = self._job
        context, group = job.group_contexts[number], job.groups[number]
        task = _SharedTask(
            context,
            self._arguments,
            n_others=len(group),
            first_id=job.n_candidates * job.n_splits,
        )
        with task.of([self._classifiers[i] for i in group]):
            yield
            for i in group:
                self._tasks[i].close()

    @contextlib.contextmanager
    def _candidate(self, clf: Any, context: Any) -> Iterator[None]:
        if context is None:
            yield
            return
        try:
            with link_callback_context(context, clf):
                context.call_on_fit_task_begin(**self._arguments)
                yield
        finally:
            context.call_on_fit_task_end(**self._arguments)


class _SharedTask:
    """A task for the epochs of models that are trained together.

    It is a callback of each model, and starts with their first epoch, when the number
    of epochs is known.

    Parameters
    ----------
    context : CallbackContext or None
        The context of the task.
    arguments : dict
        The arguments of its hooks.
    n_others : int
        Number of its subtasks other than epochs.
    first_id : int
        The identifier of its first epoch.
    """

    def __init__(
        self, context: Any, arguments: dict[str, Any], *, n_others: int, first_id: int
    ) -> None:
        self._context, self._arguments = context, arguments
        self._n_others, self._first_id = n_others, first_id
        self._n_epochs = self._n_ended = 0
        self._has_begun = False

    @contextlib.contextmanager
    def of(self, classifiers: Sequence[Any]) -> Iterator[None]:
        """Notify the callbacks of the task and of the classifiers' epochs."""
        if self._context is None or not has_callbacks(self._context):
            yield
            return
        with contextlib.ExitStack() as stack:
            for clf in classifiers:
                stack.enter_context(with_callback(clf, self))
            try:
                yield
            finally:
                self._begin()
                self._context.call_on_fit_task_end(**self._arguments)

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing: the task lasts for a single fit of each classifier."""

    teardown = setup

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Record the largest number of epochs; start with the first epoch."""
        if context.task_name == "epoch":
            self._begin()
        else:
            self._n_epochs = max(self._n_epochs, context.max_subtasks or 0)

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        """Count an epoch as soon as one model has completed it."""
        if context.task_name != "epoch" or context.task_id < self._n_ended:
            return
        epoch = self._context.subcontext(
            task_name="epoch", task_id=self._first_id + self._n_ended
        )
        self._n_ended += 1
        epoch.call_on_fit_task_begin(**self._arguments)
        epoch.call_on_fit_task_end(**self._arguments)

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._context.max_subtasks = self._n_epochs + self._n_others
            self._context.call_on_fit_task_begin(**self._arguments)


def _with_contexts(job: EvaluationJob, search: Any, *, grouped: bool) -> EvaluationJob:
    """Return the job with a context for each of its evaluations and groups."""
    if search is None:
        return replace(
            job,
            contexts=[None] * len(job.candidates),
            group_contexts=[None] * len(job.groups),
        )
    parents, groups = [search] * len(job.candidates), [None] * len(job.groups)
    if grouped:
        for number, group in enumerate(job.groups):
            groups[number] = search.subcontext(
                task_name="group",
                task_id=job.positions[group[0]],
                max_subtasks=None,  # until the number of epochs is known
                sequential_subtasks=False,
            )
            for i in group:
                parents[i] = groups[number]
    name = "candidate-split-evaluation"
    contexts = [
        parent.subcontext(task_name=name, task_id=position)
        for parent, position in zip(parents, job.positions, strict=True)
    ]
    return replace(job, contexts=contexts, group_contexts=groups)
