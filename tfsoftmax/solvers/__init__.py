"""Solvers: from a problem to a result, arrays and records only, never an estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfsoftmax.engine.optimizers import OPTIMIZERS
from tfsoftmax.solvers import lbfgs, sgd
from tfsoftmax.solvers.result import Callback, Outcome, Problem


@dataclass(frozen=True)
class Solver:
    """How the problem is solved for an `optimizer`.

    Attributes
    ----------
    solve : callable
        From a problem and a callback for each of its models to the outcome of each:
        a result, or the error that ended its training.
    by_epochs : bool
        Whether it goes over the rows in mini-batches, epoch by epoch and in random
        order. So it can train for a single epoch, stop early, and train several
        models on the same batches. Otherwise it goes for the optimum, in iterations.
    l1 : bool
        Whether it can minimise an L1 penalty.
    """

    solve: Callable[[Problem, Sequence[Callback]], list[Outcome]]
    by_epochs: bool
    l1: bool


SOLVERS = {
    **{
        name: Solver(sgd.solve, by_epochs=True, l1=optimizer.l1)
        for name, optimizer in OPTIMIZERS.items()
    },
    "lbfgs": Solver(lbfgs.solve, by_epochs=False, l1=False),
}
