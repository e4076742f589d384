"""Solvers map problems to results: arrays and records only, never estimators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfsoftmax.engine.optimizers import OPTIMIZERS
from tfsoftmax.solvers import lbfgs, sgd
from tfsoftmax.solvers.result import Callback, Outcome, Problem


@dataclass(frozen=True)
class Solver:
    """The solver of an `optimizer`, and its capabilities.

    Attributes
    ----------
    solve : callable
        Maps a problem and a callback for each of its models to the outcome of each: a
        result, or the error that ended its training.
    by_epochs : bool
        Whether it trains on mini-batches, epoch by epoch and in random order. It can
        then train for a single epoch, stop early, and train several models on the same
        batches. Otherwise it iterates to the optimum.
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
