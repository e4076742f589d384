"""Training to the optimum: L-BFGS on the objective of all rows at once.

SciPy's L-BFGS-B drives; the compiled program computes the loss and its gradient,
streamed over chunks in the data's own precision. The objective is that of
:mod:`tfsoftmax.training`, without the L1 part, which has no gradient.
"""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize

from tfsoftmax.chunks import Rows
from tfsoftmax.passes import Pass
from tfsoftmax.schedules import Progress
from tfsoftmax.training import (
    Ending,
    Entry,
    Record,
    Settings,
    Watch,
    check_held_out,
    extended,
    passes,
    warn_of_interruption,
)

# For the optimum; where the data are float32, rounding ends the search before.
DEFAULT_TOL = 1e-9
# Steps from which L-BFGS builds its model. SciPy's 10 took twice the iterations on
# scikit-learn's digits (alpha = 1/(100 n): 1020 against 499).
N_CORRECTIONS = 30


def train(
    rows: Rows,
    n_classes: int,
    settings: Settings,
    random_state: np.random.RandomState,
    *,
    watch: Watch,
    former: Record | None = None,
    held_out: Rows | None = None,
) -> Record:
    """Train until the gradient's largest component is at most `tol`.

    The parameters are those of :func:`tfsoftmax.training.train`; an iteration of
    L-BFGS counts as an epoch, and there is no order of rows, so that nothing is
    random.
    """
    full_batch = replace(settings, batch_size=len(rows))
    training, measuring = passes(rows, held_out, n_classes, full_batch, former)
    run = _Run(training, measuring, settings, former, watch)
    tol = DEFAULT_TOL if settings.tol is None else settings.tol
    with training, measuring or nullcontext():
        try:
            result = minimize(
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
            _check_finite(result)
            if not run.entries:  # it began at the optimum
                with suppress(StopIteration):
                    run.finish_iteration(result)
            ended: Ending = "stopped" if run.stopped else _ending(result)
        except KeyboardInterrupt:
            if not run.entries:
                raise  # nothing to keep
            warn_of_interruption(run.first + len(run.entries))
            ended = "interrupted"
    return replace(run.record(), ended=ended)


class _Run:
    """What SciPy calls back, and what it has led to."""

    def __init__(
        self,
        training: Pass,
        measuring: Pass | None,
        settings: Settings,
        former: Record | None,
        watch: Watch,
    ) -> None:
        self.training, self.measuring, self.settings = training, measuring, settings
        self.watch, self.stopped = watch, False
        self.before = former.history if former else {}
        self.entries: list[Entry] = []
        self.progress = former.progress if former else Progress()
        self.first = former.n_epochs + 1 if former else 1
        start = training.finish(training.start(former.V if former else None))[0]
        self.V = start.astype(np.float64)
        n_features = self.V.shape[-1] - settings.fit_intercept
        self.penalty = settings.alpha * (np.arange(self.V.shape[-1]) < n_features)
        self.began = time.perf_counter()

    def objective(self, v: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Compute F and ∇F; the last place evaluated is kept for the history."""
        V = v.reshape(self.V.shape)
        G, loss, accuracy = self.training.gradient(V.astype(self.training.precision))
        self.evaluated = v.copy(), loss, accuracy
        F = loss + (self.penalty * V * V).sum() / 2
        return F, (G + self.penalty * V).ravel()

    def finish_iteration(self, intermediate_result: OptimizeResult) -> None:
        """Record an iteration, and stop where the watch asks for it."""
        v = intermediate_result.x
        if not np.array_equal(v, self.evaluated[0]):
            self.objective(v)
        _, loss, accuracy = self.evaluated
        V = v.reshape(self.V.shape).copy()
        entry = {"loss": loss, "accuracy": accuracy}
        if self.measuring:
            state = self.measuring.start(V.astype(self.training.precision))
            (val_loss,), (val_accuracy,) = self.measuring.measure(state)
            entry |= {"val_loss": float(val_loss), "val_accuracy": float(val_accuracy)}
            check_held_out(entry)
        now = time.perf_counter()
        entry["seconds"], self.began = now - self.began, now
        self.V = V
        self.entries.append(entry)
        self.watch.before_epoch()
        epoch = self.first + len(self.entries) - 1
        if self.watch.after_epoch(epoch, entry, self.record):
            self.stopped = True
            raise StopIteration

    def record(self) -> Record:
        """Give what the iterations so far leave behind."""
        V = self.V.astype(self.training.precision)
        history = extended(self.before, self.entries)
        return Record(V, (), history, self.progress, self.settings, "epochs")


def _check_finite(result: OptimizeResult) -> None:
    if not (np.isfinite(result.fun) and np.isfinite(result.jac).all()):
        raise ValueError(
            "The loss or its gradient became non-finite. Scale the features of X, "
            "for instance with rescale=1/255."
        )


def _ending(result: OptimizeResult) -> Ending:
    # 0 is converged, 1 is out of iterations; with 2 no line search improves on the
    # weights any more, which is as far as the data's precision goes.
    return "epochs" if result.status == 1 else "converged"
