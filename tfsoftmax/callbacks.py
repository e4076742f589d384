"""Receivers of training events: the printed log, and scikit-learn's callbacks.

scikit-learn's callbacks are experimental since 1.9. A fit is a task, and each of its
epochs is a subtask. With an older scikit-learn, only `set_callbacks` is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.result import EpochMetrics, Result
from tfsoftmax.utils.sklearn_compat import callback_management_context, has_callbacks

__all__ = [
    "SUPPORTED",
    "CallbackSupportMixin",
    "EpochLogger",
    "FitTask",
    "with_callbacks",
    "with_callbacks_of",
]

Method = TypeVar("Method", bound=Callable[..., Any])


try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks

    SUPPORTED = True
except ImportError:
    SUPPORTED = False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in for scikit-learn's mixin, and does nothing."""


def with_callbacks(method: Method) -> Method:
    """Decorate a `fit` so that scikit-learn's callbacks are torn down after it."""
    return _with_callbacks(method) if SUPPORTED else method


@contextlib.contextmanager
def with_callbacks_of(estimators: Iterable[Any]) -> Iterator[None]:
    """Do the same as `with_callbacks`, for several estimators at once."""
    with contextlib.ExitStack() as stack:
        if SUPPORTED:
            for estimator in estimators:
                stack.enter_context(callback_management_context(estimator))
        yield


class FitTask:
    """The task of one fit of an estimator.

    Parameters
    ----------
    estimator : CallbackSupportMixin
        The estimator being fitted.
    n_epochs : int
        Maximum number of epochs.
    X, y, sample_weight
        The arguments of fit, which are passed to the callbacks.
    attributes : callable
        Maps a result to the estimator's fitted attributes, and None to those with which
        training starts.
    """

    def __init__(
        self,
        estimator: Any,
        n_epochs: int,
        X: Any,
        y: Any,
        sample_weight: Any,
        attributes: Callable[[Result | None], dict[str, Any]],
    ) -> None:
        self._attributes = attributes
        self._latest: Callable[[], Result | None] = lambda: None
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._context: Any = None
        if SUPPORTED:
            self._context = estimator._init_callback_context(max_subtasks=n_epochs)
            self._context.call_on_fit_task_begin(**self._arguments)

    def begin_epoch(self) -> None:
        """Notify the callbacks that an epoch begins."""
        if self._context is not None:
            self._epoch = self._context.subcontext(task_name="epoch")
            self._epoch.call_on_fit_task_begin(
                **self._arguments,
                reconstruction_attributes=lambda: self._attributes(self._latest()),
            )

    def end_epoch(self, result: Callable[[], Result]) -> bool:
        """Notify the callbacks that the epoch has ended; return whether to stop."""
        if self._context is not None and has_callbacks(self._context):
            self._latest = result
        return self._end(self._epoch if self._context else None, result)

    def end(self, result: Result) -> None:
        """Notify the callbacks that the fit has ended."""
        self._latest = lambda: None  # breaks the reference cycle with the solver
        self._end(self._context, lambda: result)

    def _end(self, context: Any, result: Callable[[], Result]) -> bool:
        if context is None:
            return False
        return bool(
            context.call_on_fit_task_end(
                **self._arguments,
                reconstruction_attributes=lambda: self._attributes(result()),
            )
        )


class EpochLogger:
    """Prints the epochs of a fit, and notifies scikit-learn's callbacks.

    Parameters
    ----------
    estimator : TFSoftmaxClassifier
        The estimator being fitted; its `verbose` determines whether to print.
    n_epochs : int
        The number of the last epoch, unless training ends early.
    task : FitTask, default=None
        The fit's task for scikit-learn's callbacks, if it has one.
    """

    def __init__(
        self, estimator: Any, n_epochs: int, task: FitTask | None = None
    ) -> None:
        self._estimator, self._n_epochs, self._task = estimator, n_epochs, task

    def on_epoch_begin(self) -> None:
        """Notify the callbacks that an epoch begins."""
        if self._task:
            self._task.begin_epoch()

    def on_epoch_end(
        self, epoch: int, metrics: EpochMetrics, result: Callable[[], Result]
    ) -> bool:
        """Print the epoch, and notify the callbacks; return whether to stop."""
        if self._estimator.verbose:
            self._print(epoch, metrics)
        if not self._task:
            return False
        return self._task.end_epoch(result)

    def on_fit_end(self, result: Result) -> None:
        """Notify the callbacks that the fit has ended."""
        if self._task:
            self._task.end(result)

    def _print(self, epoch: int, metrics: EpochMetrics) -> None:
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        values = "  ".join(f"{n} {metrics[n]:.4f}" for n in names if n in metrics)
        by_epochs = SOLVERS[self._estimator.optimizer].by_epochs
        of = f"/{self._n_epochs}" if epoch <= self._n_epochs else ""
        unit = "Epoch" if by_epochs else "Iteration"
        print(f"{unit} {epoch:{len(str(self._n_epochs))}}{of}  {values}")
