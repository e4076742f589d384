"""Line search along a descent direction of a convex function.

References
----------
W. Hager and H. Zhang, "A new conjugate gradient method with guaranteed descent and an
efficient line search", SIAM J. Optimization 16, 2005: why slopes should be compared
near the optimum, and not values of F.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.solvers.objective import Evaluation, Objective

# A step is long enough if it reduces the slope to this fraction.
SLOPE_LEFT = 0.9
MAX_TRIALS = 30


def line_search(
    objective: Objective, at: Evaluation, direction: NDArray[np.float64]
) -> Evaluation | None:
    """Step along a descent direction until the slope has decreased by a tenth.

    F is convex: where it still falls, it has fallen all the way, even if rounding hides
    that. Between a length that is too short and one that is too long, the next length
    is the zero of the straight line through both slopes.

    Returns
    -------
    reached : Evaluation or None
        None if only rounding determines which lengths are too long. After the last
        trial, the longest of the lengths that are too short.
    """
    first = float(np.vdot(at.gradient, direction))
    short, short_slope = 0.0, first
    long, long_slope = math.inf, math.nan
    length, best = 1.0, None
    for _ in range(MAX_TRIALS):
        with np.errstate(over="ignore"):
            trial = objective(at.U + length * direction)
        with np.errstate(over="ignore", invalid="ignore"):
            slope = float(np.vdot(trial.gradient, direction))
        falls = at.F + objective.resolution * abs(at.F) >= trial.F
        if falls and abs(slope) <= SLOPE_LEFT * abs(first):
            return trial
        if falls and slope < 0:
            short, short_slope, best = length, slope, trial
        else:
            long, long_slope = length, slope
        length = _next_length(short, short_slope, long, long_slope, first)
    return best if best is not None and best.F < at.F else None


def _next_length(
    short: float, short_slope: float, long: float, long_slope: float, first: float
) -> float:
    """Return a length between a short and a long one, or beyond if none is long."""
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
