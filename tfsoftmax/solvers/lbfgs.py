"""Training to the optimum: preconditioned L-BFGS on the objective of all rows at once.

An iteration goes from the weights U along d = −B⁻¹ ∇F, where B is a model of the
Hessian: that of :mod:`tfsoftmax.solvers.curvature`, corrected by the last steps s and
the changes y of the gradient along them, as L-BFGS does (Nocedal & Wright 2006,
algorithm 7.4, with the model as the initial matrix). The model is built at the start
and rebuilt at later iterates, so that features need no scaling.

Training stops when the Newton decrement (Boyd & Vandenberghe 2004, 9.5.1) satisfies

    λ = √(∇Fᵀ B⁻¹ ∇F) ≤ tol · √F

F is then about λ²/2 above its minimum, tol²/2 of its value. Unlike the length of the
gradient, λ does not depend on the units of the features. But B may be inaccurate.
Unless the curvature of the penalty alone shows that F is close to its minimum, λ is
checked with the Hessian (:mod:`tfsoftmax.solvers.newton`); if it is larger there,
Newton steps follow.

References
----------
J. Nocedal and S. Wright, "Numerical Optimization", Springer, 2006.

S. Boyd and L. Vandenberghe, "Convex Optimization", Cambridge, 2004.
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

from tfsoftmax.engine.full_batch import AllRows
from tfsoftmax.solvers.curvature import Curvature
from tfsoftmax.solvers.engines import Evaluator, make_full_batch
from tfsoftmax.solvers.line_search import line_search
from tfsoftmax.solvers.newton import Hessian, newton_step
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

# Used if `tol` is None: the smallest values that rounding allows.
DEFAULT_TOL = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5}
# The smallest Newton decrement that float32 rounding allows, and the number of
# multiplications per evaluation above which float64 rows should start in float32.
SINGLE_TOL = 1e-5
MUCH_WORK = 5e7
# Steps that correct the model. Digits with alpha = 1/(100 n) took 174, 160 and
# 137 evaluations to 1e-6 with 10, 20 and 30; other data no fewer with 30 than with 20.
N_CORRECTIONS = 20
# Maximum memory for them, apart from this minimum number: with 130,107 features and 20
# classes, 20 steps take 830 MB, and a direction takes longer than an evaluation.
MAX_CORRECTION_BYTES = 256 << 20
MIN_CORRECTIONS = 5
# Evaluations until the model is rebuilt, the first time and later. Without rebuilding,
# MNIST's first 10,000 rows take 143 evaluations to 1e-6 of the optimum, with it 71.
FIRST_RENEWAL, RENEWAL = 10, 25
# The smallest E[τ] to build a model from: below it, as in a warm start that is certain
# of each row's class, the curvature at 0 is the better model.
LEAST_WEIGHT = 1e-20
# Relative difference of F from its minimum that is accepted if `tol` is None.
ROUNDING_GAP = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 5e-7}
# Relative increase of F that rounding the weights to their dtype may cause. It isn't
# measured in float64 if the intercepts change by less than this.
MAX_ROUNDING, LITTLE_ROUNDING = 5e-5, 1e-6
# λ measures the distance to the optimum only if the step changes logits by less than
# this. Outlying rows only have curvature near the decision boundary, beyond which F may
# keep falling: if logits change by more, this many steps must each have gained no more
# than this part of F.
MAX_CHANGE, N_GAINS, LITTLE_GAIN = 0.5, 3, 1e-10
# The model's λ must fall below its goal by this factor before the Hessian checks it:
# meanwhile, the penalty's curvature often proves that the goal is met. To tol=1e-4,
# MNIST's first 5,000 rows take 96 evaluations; if λ were checked at once, 83 and 159
# products with the Hessian, each of which takes as long as two.
BEYOND, LEAST_TOL = 1e-2, 1e-9
# Curvature, relative to that of the columns, below which gradients are rounding errors.
FLAT = 1e-13
# L-BFGS iterations after which Newton steps are worth their time.
MAX_ITERATIONS = 300
# If all labels are predicted and the loss is below this, the loss has no minimum.
SEPARATED = 1e-4
# With a penalty, intercepts alone do this if one class has all the weight.
VANISHED = 1e-30
# Iterations without a smaller F after which only rounding errors are left.
MAX_STALLED = 10


def solve(problem: Problem, callbacks: Sequence[Callback]) -> list[Outcome]:
    """Train one model until the Newton decrement is at most tol · √F.

    Each L-BFGS iteration counts as an epoch. There is no order of rows, so nothing is
    random.
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
        rows: AllRows,
        held_out: Evaluator | None,
        callback: Callback,
    ) -> None:
        (self._settings,) = problem.settings
        self._problem, self._callback = problem, callback
        self._previous = problem.previous
        self._rows, self._held_out = rows, held_out
        self.epochs: list[EpochMetrics] = []
        self._began = time.perf_counter()

    def run(self) -> Ending:
        """Iterate until `tol` is met or something else ends training."""
        previous, rows = self._previous, self._rows
        U = np.zeros(rows.shape)
        if previous is not None:
            U = rows.features.centre_weights(previous.V[0])
        ended = self._iterate(U)
        # The start does not count as an iteration, unless there is no other to record.
        if not self.epochs and self._finish_iteration(self._at):
            return "stopped"
        return ended

    def _iterate(self, U: NDArray[np.float64]) -> Ending:
        settings, model = self._settings, Model(U.size)
        for stage in stages(self._rows, settings.tol):
            objective = Objective(self._rows, settings.alpha, stage.precision)
            self._at = objective(U)
            ended = self._follow(iterates(objective, self._at, model), stage)
            if ended != "stalled":
                break
            U = self._at.U
        else:
            ended = self._follow(newton_iterates(objective, self._at, model), stage)
        if ended == "converged" and self._is_rounded(objective):
            return "rounded"
        return ended

    def _follow(self, iterates: Iterator[Iterate], stage: Stage) -> Ending:
        """Consume iterations; they have stalled if the next kind is needed."""
        for at, decrement, is_exact in iterates:
            is_new, self._at = at is not self._at, at
            if is_new and self._finish_iteration(at):
                return "stopped"
            tol = stage.exact_tol if is_exact else stage.tol
            goal = tol * math.sqrt(at.F)
            if decrement <= goal:
                if is_exact or self._is_certain(at, decrement, stage):
                    return "converged"
                beyond = max(BEYOND * stage.tol, LEAST_TOL) * math.sqrt(at.F)
                if not stage.is_enough or decrement <= beyond:
                    return "stalled"
            if self._is_separated(at):
                return "separated"
            if len(self.epochs) == self._settings.epochs:
                return "epochs"
        return "stalled"

    def _is_certain(self, at: Evaluation, decrement: float, stage: Stage) -> bool:
        """Whether the penalty's curvature alone shows that `tol` has been met.

        F − min F ≤ ‖∇_W F‖² / (2 alpha) for the best intercept, and reaching that
        gains about λ²/2, since the model knows the curvature along the intercept well.
        Their sum must not exceed half of tol² F / 2, which λ alone would be allowed.
        """
        alpha, goal = self._settings.alpha, stage.exact_tol**2 * at.F / 2
        squares = float((at.gradient[:, :-1] ** 2).sum())
        return stage.is_enough and squares < alpha * (goal - decrement**2)

    def _is_rounded(self, objective: Objective) -> bool:
        """Whether rounding the weights to their dtype increases F too much."""
        features, is_double = self._rows.features, self._rows.precision == np.float64
        if is_double and features.intercept_rounding(self._at.U) < LITTLE_ROUNDING:
            return False
        V = self._to_result(self._at)[0]
        rounded = objective(features.centre_weights(V))
        return not rounded.F <= self._at.F * (1 + MAX_ROUNDING)

    def _is_separated(self, at: Evaluation) -> bool:
        """Whether F has no minimum, since larger weights always decrease it."""
        is_separated = at.loss < SEPARATED and at.accuracy > 1 - 1e-9
        return (is_separated and self._settings.alpha == 0) or at.F < VANISHED

    def _finish_iteration(self, at: Evaluation) -> bool:
        """Record an iteration, and return whether the callback asks to stop."""
        self._callback.on_epoch_begin()
        metrics = self._measure(at)
        now = time.perf_counter()
        metrics["seconds"], self._began = now - self._began, now
        self._last_finished = at
        self.epochs.append(metrics)
        return self._callback.on_epoch_end(self._n_epochs, metrics, self.result)

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
        features, precision = self._rows.features, self._rows.precision
        return features.uncentre_weights(at.U, precision)[None]

    @property
    def _n_epochs(self) -> int:
        return len(self.epochs) + (self._previous.n_epochs if self._previous else 0)

    def result(self) -> Result:
        """Return the result of the iterations so far."""
        previous = self._previous
        return Result(
            V=self._to_result(self._last_finished),
            slots=(),
            history=append_epochs(previous.history if previous else {}, self.epochs),
            n_epochs=self._n_epochs,
            kept_epoch=None,
            progress=previous.progress if previous else Progress(),
            settings=self._settings,
            scaling=self._problem.scaling,
            rng=None,
            ended="epochs",
            columns=self._problem.columns,
        )


class Stage(NamedTuple):
    """Iterations in one precision, until the Newton decrement is at most tol · √F."""

    precision: np.dtype[Any]
    tol: float
    is_enough: bool  # whether training may end when its `tol` is met
    exact_tol: float  # for λ computed with the Hessian itself


def stages(rows: AllRows, tol: float | None) -> list[Stage]:
    """Return the stages that lead to `tol`, with float32 first if worthwhile.

    float32 takes at most half of the time. For float64 rows it is compiled in addition
    to the float64 program of the last stage, which pays off only for many rows.
    """
    is_double, exact_tol = rows.precision == np.float64, tol
    if tol is None:
        tol = DEFAULT_TOL[rows.precision]
        exact_tol = math.sqrt(2 * ROUNDING_GAP[rows.precision])
    assert exact_tol is not None
    double = Stage(np.dtype(np.float64), tol, True, exact_tol)
    if is_double and rows.work < MUCH_WORK:
        return [double]
    is_enough = tol >= SINGLE_TOL and not is_double
    single_tol = max(tol, SINGLE_TOL)
    return [Stage(np.dtype(np.float32), single_tol, is_enough, exact_tol), double]


class Iterate(NamedTuple):
    """F and its gradient after an iteration, and the Newton decrement λ there."""

    at: Evaluation
    decrement: float
    is_exact: bool = False


def iterates(
    objective: Objective, start: Evaluation, model: Model
) -> Iterator[Iterate]:
    """Yield the start and the evaluation after each iteration, with its decrement.

    Stop when rounding errors prevent any further decrease of F.
    """
    check_finite(start.F, start.gradient)
    at, lowest, n_stalled = start, math.inf, 0
    model.renew(objective, at.U)
    renewal = objective.n_evaluations + FIRST_RENEWAL
    n_iterations = 0
    while n_stalled < MAX_STALLED and n_iterations < MAX_ITERATIONS:
        n_iterations += 1
        if objective.n_evaluations >= renewal:
            model.renew(objective, at.U)
            # With many columns, a model may cost more evaluations than it saves.
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


def newton_iterates(
    objective: Objective, start: Evaluation, former: Model
) -> Iterator[Iterate]:
    """Yield the start and the evaluation after each Newton step, like `iterates`.

    A step takes many times as long as an L-BFGS step, but the Hessian has none of the
    errors of its model: from old probabilities, rare classes or rounding.
    """
    at, gains = start, [math.inf] * N_GAINS
    while True:
        model = Model(at.U.size, former)
        model.renew(objective, at.U)
        hessian = objective.hessian(at.U)
        step, decrement, is_solved = model.newton_step(hessian, at.gradient)
        is_near = is_solved and hessian.largest_change(step) <= MAX_CHANGE
        is_known = is_near or max(gains) <= LITTLE_GAIN * at.F
        yield Iterate(at, decrement if is_known else math.inf, is_exact=True)
        falls = float(np.vdot(at.gradient, step)) < 0 < max(gains)
        reached = line_search(objective, at, step) if falls else None
        if reached is None:
            yield Iterate(at, decrement, is_exact=True)
            return
        gains = [*gains[1:], at.F - reached.F]
        at = reached


class Model:
    """B: a curvature, corrected by the last steps and the changes of the gradient."""

    def __init__(self, n_weights: int, former: Model | None = None) -> None:
        """Start without steps; `former` is used if no row has any curvature."""
        n_pairs = MAX_CORRECTION_BYTES // (2 * 8 * n_weights)
        n_pairs = max(MIN_CORRECTIONS, min(n_pairs, N_CORRECTIONS))
        self._curvature: Curvature | None = former._curvature if former else None
        self._typical: NDArray[np.float64] | None = None
        self._pairs: deque[tuple[NDArray[Any], NDArray[Any], float]]
        self._pairs = deque(maxlen=n_pairs)

    def renew(self, objective: Objective, U: NDArray[np.float64]) -> None:
        """Use the curvature at Û if the rows have any; at the start, else that at 0."""
        sums = objective.curvature(U, self._typical)
        if sums.weight <= LEAST_WEIGHT and self._curvature is None:
            sums = objective.curvature(np.zeros_like(U))
        if sums.weight > LEAST_WEIGHT:
            self._curvature = objective.model(sums)
        if self._typical is None and sums.weight > 0:
            self._typical = sums.mean_features

    def add(self, s: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Record that the gradient changes by y along the step s."""
        product = float(np.vdot(s, y))
        if product > 0:  # F is convex: only rounding errors violate this
            self._pairs.append((s, y, product))

    def newton_step(
        self, hessian: Hessian, gradient: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, bool]:
        """Return the Newton step, λ, and whether they are accurate."""
        assert self._curvature is not None
        floor = FLAT * self._curvature.diagonal
        return newton_step(lambda V: hessian(V) + floor * V, gradient, self.solve)

    def solve(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute B⁻¹ times the gradient by the two-loop recursion of L-BFGS."""
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
        by_model = float(np.vdot(y, solved))
        if by_model > 0:  # it is 0 along constant columns
            r = r * (product / by_model)
        for (s, y, product), weight in zip(self._pairs, reversed(weights), strict=True):
            r += (weight - float(np.vdot(y, r)) / product) * s
        return r  # type: ignore[no-any-return]
