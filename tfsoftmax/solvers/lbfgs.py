"""Training to the optimum: preconditioned L-BFGS on the objective of all rows at once.

An iteration goes from the weights U along d = −B⁻¹ ∇F, where B is a model of the
Hessian: that of :mod:`tfsoftmax.solvers.curvature`, corrected by the last steps s and
the changes y of the gradient along them, as L-BFGS does (Nocedal & Wright 2006,
algorithm 7.4, its first matrix being the model). The model is made at the start and
made anew where the iterations have come to: features need no scaling.

Training stops where the Newton decrement (Boyd & Vandenberghe 2004, 9.5.1)

    λ = √(∇Fᵀ B⁻¹ ∇F) ≤ tol · √F

F is then about λ²/2 above its minimum, tol²/2 of its value. Unlike the length of the
gradient, λ does not depend on the units of the features.

References
----------
J. Nocedal and S. Wright, "Numerical Optimization", Springer, 2006.

S. Boyd and L. Vandenberghe, "Convex Optimization", Cambridge, 2004.

W. Hager and H. Zhang, "A new conjugate gradient method with guaranteed descent and an
efficient line search", SIAM J. Optimization 16, 2005: why slopes, and not values of F,
are to be compared near the optimum.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.engine.engine import Engine
from tfsoftmax.engine.full_batch import FullBatch
from tfsoftmax.solvers.curvature import Curvature
from tfsoftmax.solvers.engines import make_full_batch
from tfsoftmax.solvers.objective import Evaluation, Objective, check_finite
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
from tfsoftmax.utils.blas import single_threaded_blas

# Where `tol` is None: as far as rounding lets it come.
DEFAULT_TOL = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5}
# What float32's rounding lets the Newton decrement fall to, and the multiplications in
# an evaluation from which on it pays to begin in float32 where the rows are float64.
SINGLE_TOL = 1e-5
MUCH_WORK = 5e7
# Steps by which the model is corrected. Digits with alpha = 1/(100 n) took 174, 160 and
# 137 evaluations to 1e-6 with 10, 20 and 30; other data no fewer with 30 than with 20.
N_CORRECTIONS = 20
# Evaluations until the model is made anew, the first time and later. Without it,
# MNIST's first 10,000 rows take 143 evaluations to 1e-6 of the optimum, with it 71.
FIRST_RENEWAL, RENEWAL = 10, 25
# The least E[τ] to make a model of: with less, as where a warm start is certain of each
# row's class, rounding leaves nothing.
LEAST_WEIGHT = 1e-20
# F above its minimum, relative, that rounding is allowed to leave where `tol` is None.
ROUNDING_GAP = 1e-12
# Where all labels are predicted, and the loss is less than this, it has no minimum.
SEPARATED = 1e-4
# Iterations without a smaller F after which rounding is all there is.
MAX_STALLED = 10
# A step is long enough where the slope has fallen to this share.
SLOPE_LEFT = 0.9
MAX_TRIALS = 30


def solve(problem: Problem, callbacks: Sequence[Callback]) -> list[Outcome]:
    """Train one model until the Newton decrement is at most tol · √F.

    An iteration of L-BFGS counts as an epoch. There is no order of rows, so nothing
    is random.
    """
    (callback,) = callbacks
    rows, held_out = make_full_batch(problem)
    run = _Run(problem, rows, held_out, callback)
    with rows, held_out or nullcontext(), single_threaded_blas():
        try:
            ended = run.run()
        except KeyboardInterrupt:
            if not run.epochs:
                raise  # nothing to keep
            ended = "interrupted"
    return [replace(run.result(), ended=ended)]


class _Run:
    """The training of one model: its iterations so far."""

    def __init__(
        self,
        problem: Problem,
        rows: FullBatch,
        held_out: Engine | None,
        callback: Callback,
    ) -> None:
        (self._settings,) = problem.settings
        self._previous, self._callback = problem.previous, callback
        self._rows, self._held_out = rows, held_out
        self.epochs: list[EpochMetrics] = []
        self._began = time.perf_counter()

    def run(self) -> Ending:
        """Iterate until `tol` is met, or something else ends the training."""
        previous, rows = self._previous, self._rows
        U = np.zeros(rows.shape)
        if previous is not None:
            U = rows.features.centre(previous.V[0])
        ended = self._iterate(U)
        # The start is no iteration, unless there is nothing else to record.
        if not self.epochs and self._finish_iteration(self._at):
            return "stopped"
        return ended

    def _iterate(self, U: NDArray[np.float64]) -> Ending:
        settings, model = self._settings, Model()
        for stage in stages(self._rows, settings.tol):
            objective = Objective(self._rows, settings.alpha, stage.precision)
            start = objective(U)
            for self._at, decrement in iterates(objective, start, model):
                at = self._at
                if at is not start and self._finish_iteration(at):
                    return "stopped"
                if decrement <= stage.tol * math.sqrt(at.F):
                    if stage.is_enough:
                        return "converged"
                    break
                if self._is_separated(at):
                    return "separated"
                if len(self.epochs) == settings.epochs:
                    return "epochs"
            U = at.U
        is_close = decrement**2 / 2 <= ROUNDING_GAP * at.F
        return "converged" if settings.tol is None and is_close else "stalled"

    def _is_separated(self, at: Evaluation) -> bool:
        """Whether F has no minimum: larger weights always make it smaller."""
        return self._settings.alpha == 0 and at.loss < SEPARATED and at.accuracy == 1

    def _finish_iteration(self, at: Evaluation) -> bool:
        """Record an iteration, and return whether the callback asks to stop."""
        metrics = self._measure(at)
        now = time.perf_counter()
        metrics["seconds"], self._began = now - self._began, now
        self._V = self._to_result(at)
        self.epochs.append(metrics)
        self._callback.on_epoch_begin()
        epoch = len(self.epochs) + (self._previous.n_epochs if self._previous else 0)
        return self._callback.on_epoch_end(epoch, metrics, self.result)

    def _measure(self, at: Evaluation) -> EpochMetrics:
        metrics = {"loss": at.loss, "accuracy": at.accuracy}
        if self._held_out:
            states = self._held_out.to_device(self._to_result(at))
            (val_loss,), (val_accuracy,) = self._held_out.evaluate(states)
            metrics |= {
                "val_loss": float(val_loss),
                "val_accuracy": float(val_accuracy),
            }
            check_held_out(metrics)
        return metrics

    def _to_result(self, at: Evaluation) -> NDArray[Any]:
        V = self._rows.features.uncentre(at.U)
        return V[None].astype(self._rows.precision)

    def result(self) -> Result:
        """Return what the iterations so far leave behind."""
        previous = self._previous
        return Result(
            self._V,
            (),
            append_epochs(previous.history if previous else {}, self.epochs),
            previous.progress if previous else Progress(),
            self._settings,
            None,
            "epochs",
        )


class Stage(NamedTuple):
    """Iterations in one precision, until the Newton decrement is at most tol · √F."""

    precision: np.dtype[Any]
    tol: float
    is_enough: bool  # that its `tol` has been met, for the training to end


def stages(rows: FullBatch, tol: float | None) -> list[Stage]:
    """Return how to come from far off to `tol`: in float32 as far as that goes.

    float32 takes half of the time and less. Where the rows are float64 it is compiled
    beside the float64 that has the last word, so only for many of them.
    """
    is_double = rows.precision == np.float64
    if tol is None:
        tol = DEFAULT_TOL[rows.precision]
    double = Stage(np.dtype(np.float64), tol, is_enough=True)
    if is_double and rows.work < MUCH_WORK:
        return [double]
    is_enough = tol >= SINGLE_TOL and not is_double
    single = Stage(np.dtype(np.float32), max(tol, SINGLE_TOL), is_enough)
    return [single, double]


class Iterate(NamedTuple):
    """F and its gradient after an iteration, and the Newton decrement λ there."""

    at: Evaluation
    decrement: float


def iterates(
    objective: Objective, start: Evaluation, model: Model
) -> Iterator[Iterate]:
    """Yield the start and the evaluation after each iteration, with its decrement.

    It ends where rounding lets F fall no further.
    """
    check_finite(start.F, start.gradient)
    at, lowest, n_stalled = start, math.inf, 0
    model.renew(objective, at.U)
    renewal = objective.n_evaluations + FIRST_RENEWAL
    while n_stalled < MAX_STALLED:
        if objective.n_evaluations >= renewal:
            model.renew(objective, at.U)
            # Of many columns a model may cost more evaluations than it saves.
            n_rows, n_columns = at.U.shape
            interval = max(RENEWAL, n_columns // (16 * n_rows))
            renewal = objective.n_evaluations + interval
        direction = -model.solve(at.gradient)
        slope = float(np.vdot(at.gradient, direction))
        yield Iterate(at, math.sqrt(max(0.0, -slope)))
        reached = line_search(objective, at, direction) if slope < 0 else None
        if reached is None:
            return
        model.add(reached.U - at.U, reached.gradient - at.gradient)
        n_stalled = 0 if lowest > reached.F else n_stalled + 1
        lowest = min(lowest, reached.F)
        at = reached


class Model:
    """B: a curvature, corrected by the last steps and the changes of the gradient."""

    def __init__(self) -> None:
        self._curvature: Curvature | None = None
        self._typical: NDArray[np.float64] | None = None
        self._pairs: deque[tuple[NDArray[Any], NDArray[Any], float]]
        self._pairs = deque(maxlen=N_CORRECTIONS)

    def renew(self, objective: Objective, U: NDArray[np.float64]) -> None:
        """Take the curvature at Û, if the rows have some; at first, else that at 0."""
        sums = objective.curvature(U, self._typical)
        if sums.weight <= LEAST_WEIGHT and self._curvature is None:
            sums = objective.curvature(np.zeros_like(U))
        if sums.weight > LEAST_WEIGHT:
            self._curvature = objective.model(sums)
        if self._typical is None:
            self._typical = sums.mean_features

    def add(self, s: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Learn that the gradient changes by y along the step s."""
        product = float(np.vdot(s, y))
        if product > 0:  # F is convex: it isn't by rounding alone
            self._pairs.append((s, y, product))

    def solve(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute B⁻¹ times the gradient, by L-BFGS's two loops."""
        assert self._curvature is not None
        q, weights = gradient.copy(), []
        for s, y, product in reversed(self._pairs):
            weight = float(np.vdot(s, q)) / product
            weights.append(weight)
            q -= weight * y
        if not self._pairs:
            return self._curvature.solve(q)
        _, y, product = self._pairs[-1]
        r, solved = self._curvature.solve(np.stack([q, y]))
        r = r * (product / float(np.vdot(y, solved)))
        for (s, y, product), weight in zip(self._pairs, reversed(weights), strict=True):
            r += (weight - float(np.vdot(y, r)) / product) * s
        return r  # type: ignore[no-any-return]


def line_search(
    objective: Objective, at: Evaluation, direction: NDArray[np.float64]
) -> Evaluation | None:
    """Go along a direction of descent until the slope has fallen by a tenth.

    F is convex, so where it still falls it has fallen all the way, however little of
    that rounding lets be seen. Between a length that is too short and one that is too
    long the next is where the straight line through both slopes is zero.

    Returns
    -------
    reached : Evaluation or None
        None where rounding decides which lengths are too long.
    """
    first = float(np.vdot(at.gradient, direction))
    short, short_slope = 0.0, first
    long, long_slope = math.inf, math.nan
    length = 1.0
    for _ in range(MAX_TRIALS):
        with np.errstate(over="ignore"):
            trial = objective(at.U + length * direction)
        with np.errstate(over="ignore", invalid="ignore"):
            slope = float(np.vdot(trial.gradient, direction))
        falls = at.F + objective.resolution * abs(at.F) >= trial.F
        if falls and abs(slope) <= SLOPE_LEFT * abs(first):
            return trial
        if falls and slope < 0:
            short, short_slope = length, slope
        else:
            long, long_slope = length, slope
        length = _next_length(short, short_slope, long, long_slope, first)
    return None


def _next_length(
    short: float, short_slope: float, long: float, long_slope: float, first: float
) -> float:
    """Return a length between a short and a long one; beyond, where none is long."""
    if long == math.inf:
        # The straight line through the slopes at 0 and at `short`, within limits.
        fallen = short_slope - first
        zero = short * -first / fallen if fallen > 0 else math.inf
        return min(max(zero, 2 * short), 10 * short)
    if not long_slope > 0:  # not finite, or F has risen by rounding
        return (short + long) / 2
    zero = short - short_slope * (long - short) / (long_slope - short_slope)
    margin = (long - short) / 10
    return min(max(zero, short + margin), long - margin)
