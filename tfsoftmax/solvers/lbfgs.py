"""Training to the optimum: L-BFGS on the objective of all rows at once.

SciPy's L-BFGS-B drives; the compiled program computes the loss and its gradient,
streamed over chunks in the data's own precision. The objective is that of
:mod:`tfsoftmax.solvers.objective`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from tfsoftmax.engine.engine import Engine
from tfsoftmax.solvers.engines import make_engines
from tfsoftmax.solvers.objective import Evaluation, Objective
from tfsoftmax.solvers.result import (
    Callback,
    Ending,
    EpochMetrics,
    Outcome,
    Problem,
    Result,
    append_epochs,
    check_held_out,
)
from tfsoftmax.solvers.schedules import Progress

# For the optimum; where the data are float32, rounding ends the search before.
DEFAULT_TOL = 1e-9
# Steps from which L-BFGS builds its model. SciPy's 10 took twice the iterations on
# scikit-learn's digits (alpha = 1/(100 n): 1020 against 499).
N_CORRECTIONS = 30


def solve(problem: Problem, callbacks: Sequence[Callback]) -> list[Outcome]:
    """Train one model until the gradient's largest component is at most `tol`.

    An iteration of L-BFGS counts as an epoch. There is no order of rows, so nothing
    is random.
    """
    (settings,), (callback,) = problem.settings, callbacks
    previous = problem.previous
    training, held_out = make_engines(
        problem,
        [0],
        batch_size=len(problem.dataset),
        optimizer=None,
        precision=None if previous is None else previous.V.dtype,
    )
    run = _Run(problem, training, held_out, callback)
    tol = DEFAULT_TOL if settings.tol is None else settings.tol
    with training, held_out or nullcontext():
        try:
            optimum = minimize(
                run.objective,
                run.V.ravel(),
                jac=True,
                method="L-BFGS-B",
                callback=run.finish_iteration,
                options={
                    "maxiter": settings.epochs,
                    "maxfun": 50 * settings.epochs,
                    "maxcor": N_CORRECTIONS,
                    "gtol": tol,
                    "ftol": 0,  # unless rounding lets nothing improve any more
                },
            )
            _check_finite(optimum)
            if not run.epochs:  # it began at the optimum
                with suppress(StopIteration):
                    run.finish_iteration(optimum)
            ended: Ending = "stopped" if run.stopped else _ending(optimum)
        except KeyboardInterrupt:
            if not run.epochs:
                raise  # nothing to keep
            ended = "interrupted"
    return [replace(run.result(), ended=ended)]


class _Run:
    """The functions that SciPy calls, and the iterations so far."""

    def __init__(
        self,
        problem: Problem,
        training: Engine,
        held_out: Engine | None,
        callback: Callback,
    ) -> None:
        (self._settings,) = problem.settings
        self._previous, self._callback = problem.previous, callback
        self._training, self._held_out = training, held_out
        self._objective = Objective(
            training, problem.dataset.n_features, self._settings.alpha
        )
        start = None if self._previous is None else self._previous.V
        V, _ = training.to_numpy(training.to_device(start))
        self.V = V.astype(np.float64)
        self.epochs: list[EpochMetrics] = []
        self.stopped = False
        self._began = time.perf_counter()

    def objective(self, v: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Compute F and ∇F; the last evaluation is kept for the history."""
        self._last = self._objective(v.reshape(self.V.shape).copy())
        return self._last.F, self._last.gradient.ravel()

    def finish_iteration(self, intermediate_result: OptimizeResult) -> None:
        """Record an iteration, and stop where the callback asks for it."""
        v = intermediate_result.x
        if not np.array_equal(v, self._last.V.ravel()):
            self.objective(v)
        metrics = self._measure(self._last)
        now = time.perf_counter()
        metrics["seconds"], self._began = now - self._began, now
        self.V = self._last.V
        self.epochs.append(metrics)
        self._callback.on_epoch_begin()
        epoch = len(self.epochs) + (self._previous.n_epochs if self._previous else 0)
        if self._callback.on_epoch_end(epoch, metrics, self.result):
            self.stopped = True
            raise StopIteration

    def _measure(self, at: Evaluation) -> EpochMetrics:
        metrics = {"loss": at.loss, "accuracy": at.accuracy}
        if self._held_out:
            states = self._held_out.to_device(at.V.astype(self._training.precision))
            (val_loss,), (val_accuracy,) = self._held_out.evaluate(states)
            metrics |= {
                "val_loss": float(val_loss),
                "val_accuracy": float(val_accuracy),
            }
            check_held_out(metrics)
        return metrics

    def result(self) -> Result:
        """Return what the iterations so far leave behind."""
        previous = self._previous
        return Result(
            self.V.astype(self._training.precision),
            (),
            append_epochs(previous.history if previous else {}, self.epochs),
            previous.progress if previous else Progress(),
            self._settings,
            None,
            "epochs",
        )


def _check_finite(optimum: OptimizeResult) -> None:
    if not (np.isfinite(optimum.fun) and np.isfinite(optimum.jac).all()):
        raise ValueError(
            "The loss or its gradient became non-finite. Scale the features of X, "
            "for instance with rescale=1/255."
        )


def _ending(optimum: OptimizeResult) -> Ending:
    # 0 is converged, 1 is out of iterations; with 2 no line search improves on the
    # weights any more, which is as far as the data's precision goes.
    return "epochs" if optimum.status == 1 else "converged"
