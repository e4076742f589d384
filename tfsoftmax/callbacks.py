"""scikit-learn's callbacks, experimental since 1.9: the one module that knows them.

A fit is a task, and each of its epochs a subtask. Where scikit-learn has no callbacks,
or they have changed, `set_callbacks` is missing and all else goes on working.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

__all__ = [
    "SUPPORTED",
    "CallbackSupportMixin",
    "FitTask",
    "SearchTask",
    "candidate_task",
    "with_callbacks",
    "with_callbacks_of",
]

Method = TypeVar("Method", bound=Callable[..., Any])


def _is_known(mixin: type, context: type) -> bool:
    """Tell whether the API is the one that this module was written for."""
    known = {
        (mixin, "_init_callback_context"): {"task_name", "max_subtasks"},
        (context, "subcontext"): {"task_name"},
        (context, "call_on_fit_task_begin"): {"estimator", "X", "y", "metadata"},
        (context, "call_on_fit_task_end"): {
            *("estimator", "X", "y", "metadata", "reconstruction_attributes")
        },
    }
    return all(
        hasattr(owner, name)
        and parameters <= set(inspect.signature(getattr(owner, name)).parameters)
        for (owner, name), parameters in known.items()
    )


try:
    from sklearn.callback import (
        CallbackContext,
        CallbackSupportMixin,
        with_callbacks,
    )
    from sklearn.callback._callback_support import callback_management_context

    SUPPORTED = _is_known(CallbackSupportMixin, CallbackContext)
except ImportError:
    SUPPORTED = False

if not SUPPORTED:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand in for that of a scikit-learn without callbacks."""

    def with_callbacks(method: Method) -> Method:
        """Leave the method as it is."""
        return method

    def callback_management_context(estimator: Any) -> Any:
        """Do nothing."""
        return contextlib.nullcontext()


@contextlib.contextmanager
def with_callbacks_of(estimators: Iterable[Any]) -> Iterator[None]:
    """Do for several estimators at once what `with_callbacks` does for one's `fit`."""
    with contextlib.ExitStack() as stack:
        for estimator in estimators:
            stack.enter_context(callback_management_context(estimator))
        yield


def _arguments_of(search: Any, X: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """Give what a search's hooks are called with."""
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    return {"estimator": search, "X": X, "y": y, "metadata": metadata}


@contextlib.contextmanager
def candidate_task(
    context: Any, search: Any, model: Any, X: Any, y: Any, sample_weight: Any
) -> Iterator[None]:
    """Tell a search's callbacks of the work on a candidate, and have them follow it."""
    if context is None:
        yield
        return
    arguments = _arguments_of(search, X, y, sample_weight)
    try:
        with context.propagate_callback_context(model):
            context.call_on_fit_task_begin(**arguments)
            yield
    finally:
        context.call_on_fit_task_end(**arguments)


class FitTask:
    """The task of one fit of an estimator.

    Parameters
    ----------
    estimator : CallbackSupportMixin
        The estimator being fitted.
    n_epochs : int
        How many epochs there will be at most.
    X, y, sample_weight
        The arguments of fit, for the callbacks that want them.
    """

    def __init__(
        self, estimator: Any, n_epochs: int, X: Any, y: Any, sample_weight: Any
    ) -> None:
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._context: Any = None
        if SUPPORTED:
            self._context = estimator._init_callback_context(max_subtasks=n_epochs)
            self._context.call_on_fit_task_begin(**self._arguments)

    def begin_epoch(self) -> None:
        """Tell the callbacks that an epoch begins."""
        if self._context is not None:
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(**self._arguments)

    def end_epoch(self, fitted_attributes: Callable[[], dict[str, Any]]) -> bool:
        """Tell the callbacks that the epoch has ended; True if one asks to stop."""
        return self._end(self._epoch if self._context else None, fitted_attributes)

    def end(self, fitted_attributes: Callable[[], dict[str, Any]]) -> None:
        """Tell the callbacks that the fit has ended."""
        self._end(self._context, fitted_attributes)

    def _end(self, context: Any, attributes: Callable[[], dict[str, Any]]) -> bool:
        if context is None:
            return False
        return bool(
            context.call_on_fit_task_end(
                **self._arguments, reconstruction_attributes=attributes
            )
        )


class SearchTask:
    """The task of one search: subtasks for the candidates in the folds, and the refit.

    Parameters
    ----------
    search : BaseSearchCV
        The search being fitted.
    X, y, sample_weight
        The arguments of fit, for the callbacks that want them.
    """

    def __init__(self, search: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self._arguments = _arguments_of(search, X, y, sample_weight)
        self._search = search
        self._context: Any = None
        if SUPPORTED:
            n_subtasks = 1 + (search.refit is not False)
            self._context = search._init_callback_context(max_subtasks=n_subtasks)
            self._context.call_on_fit_task_begin(**self._arguments)

    def run(self, evaluate: Callable[..., None]) -> None:
        """Have the search name its candidates, for `evaluate` to evaluate."""
        run = self._search._run_search
        if (
            self._context is None
            or "callback_ctx" not in inspect.signature(run).parameters
        ):  # an older scikit-learn, or a search class of one's own
            run(evaluate)
        else:
            run(evaluate, callback_ctx=self._context)

    @staticmethod
    def contexts(context: Any, n: int) -> list[Any]:
        """Make the contexts of n evaluations ahead, as they travel to workers."""
        if context is None:
            return [None] * n
        name = "candidate-split-evaluation"
        return [context.subcontext(task_name=name, task_id=i) for i in range(n)]

    @contextlib.contextmanager
    def refit(self, estimator: Any) -> Iterator[None]:
        """Have the callbacks follow the fit of the best candidate."""
        if self._context is None:
            yield
            return
        context = self._context.subcontext(task_name="refit-with-best-params")
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(**self._arguments)
            yield
        context.call_on_fit_task_end(**self._arguments)

    def end(self) -> None:
        """Tell the callbacks that the search has ended."""
        if self._context is not None:
            self._context.call_on_fit_task_end(**self._arguments)
