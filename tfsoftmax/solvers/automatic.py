"""The values of "auto" parameters, chosen from the training rows.

    rescale         bytes: 1 over their largest value; dense rows with values outside
                    [−1, 1]: "standard" or, without an intercept, which would have to
                    compensate for the means, 1 over each feature's root mean square;
                    all other rows, and "lbfgs", which needs no scaling: None
    alpha           1/Σs, which corresponds to C = 1
    epochs          10, or more if 1,000 steps take more; "lbfgs": until `tol` is met
    learning_rate   "adam": 0.15/r, at most 0.05, where r² is the mean of ‖x̃‖²
                    all others: (1 − μ)/𝓛(b)
    schedule        cosine for the automatic rate of "adam"; else constant

𝓛(b) is the expected smoothness of the loss of a batch of b of n rows: L is the
smoothness of all rows, L_max that of the least smooth row.

    𝓛(b) = n (b − 1) / (b (n − 1)) · L + (n − b) / (b (n − 1)) · L_max

With all rows in one batch it is L, and a step of 1/L never increases F. `partial_fit`
(a stream) knows neither all rows nor the number of epochs that will follow. There each
call is one epoch, Adam's rate is a constant 0.01, and nothing is penalised.

The numbers for Adam were chosen by cross-validation on eighteen data sets (guide, "What
the defaults mean"): a rate of 0.05 costs MNIST 1.5 points of accuracy if it is
standardised, and with 0.02 the log-loss of text is 0.91 instead of 0.79.

References
----------
R. M. Gower et al., "SGD: general analysis and improved rates", ICML 2019, for 𝓛(b).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.moments import mean_square, moments
from tfsoftmax.data.rows import Rows
from tfsoftmax.engine.features import Rescale, Scaling
from tfsoftmax.solvers.smoothness import Smoothness, smoothness

AUTO = "auto"
MIN_EPOCHS = 10
MIN_STEPS = 1000
# L-BFGS takes tens or hundreds, so this is practically no limit.
MAX_ITERATIONS = 10_000
ADAM_RATE, MAX_ADAM_RATE, STREAM_ADAM_RATE = 0.15, 0.05, 0.01


def is_auto(value: Any) -> bool:
    """Whether a parameter is chosen automatically."""
    return isinstance(value, str) and value == AUTO


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The data from which automatic values are chosen.

    Attributes
    ----------
    dataset : Rows
        The training rows, with the weights of each model.
    by_sample : Rows
        The same rows, with their sample weights alone.
    total_weights : ndarray of shape (n_models,)
        Σs of each model.
    scaling : Scaling
        The map from x to x̃.
    fit_intercept : bool
    is_stream : bool
        Whether other rows will follow.
    """

    dataset: Rows
    by_sample: Rows
    total_weights: NDArray[np.float64]
    scaling: Scaling
    fit_intercept: bool
    is_stream: bool

    @cached_property
    def smoothness(self) -> Smoothness:
        """The smoothness of the loss of each model."""
        return smoothness(
            self.dataset, scaling=self.scaling, fit_intercept=self.fit_intercept
        )

    @cached_property
    def mean_square(self) -> float:
        """The mean of ‖x̃‖²."""
        m, r = self.scaling.rounded(np.dtype(np.float64))
        return mean_square(self.by_sample, m, r)


def choose(parameters: Mapping[str, Any], rows: TrainingRows, model: int) -> Any:
    """Return the values of a model's "auto" parameters, by name."""
    return {
        name: chosen(parameters, rows, model)
        for name, chosen in AUTOMATIC.items()
        if is_auto(parameters[name])
    }


def automatic_rescale(dataset: Rows, optimizer: str, *, fit_intercept: bool) -> Rescale:
    """Return the automatic `rescale` for rows with these sample weights."""
    X = dataset.X
    if optimizer == "lbfgs":
        return 1.0
    is_bytes = X.dtype.kind == "b" or X.dtype == np.uint8
    if sparse.issparse(X) and not is_bytes:
        return 1.0
    largest = dataset.fold(_largest, combine=max)
    if is_bytes:
        return 1 / largest if largest else 1.0
    if largest <= 1:
        return 1.0
    return "standard" if fit_intercept else _by_root_mean_square(dataset)


def _by_root_mean_square(dataset: Rows) -> Rescale:
    found = moments(dataset)
    with np.errstate(over="ignore"):
        root = np.sqrt(found.variance + found.mean**2)
    root[(root == 0) | ~np.isfinite(root)] = 1
    return tuple((1 / root).tolist())


def _largest(dataset: Dataset) -> float:
    """Return the largest absolute value in the rows with nonzero weight."""
    largest = 0.0
    for rows, X in dataset.blocks():
        values = X
        if dataset.weights is not None:
            values = X[dataset.row_weights(rows) > 0]
        values = values.data if sparse.issparse(values) else values
        most = values.max(initial=0), -float(values.min(initial=0))
        largest = max(largest, *map(float, most))
    return largest


def _epochs(parameters: Mapping[str, Any], rows: TrainingRows, model: int) -> int:
    if parameters["optimizer"] == "lbfgs":
        return MAX_ITERATIONS
    if rows.is_stream:
        return 1
    steps = math.ceil(len(rows.dataset) / int(parameters["batch_size"]))
    return max(MIN_EPOCHS, math.ceil(MIN_STEPS / steps))


def _alpha(parameters: Mapping[str, Any], rows: TrainingRows, model: int) -> float:
    return 0.0 if rows.is_stream else 1 / float(rows.total_weights[model])


def _schedule(parameters: Mapping[str, Any], rows: TrainingRows, model: int) -> str:
    falls = parameters["optimizer"] == "adam" and is_auto(parameters["learning_rate"])
    return "cosine" if falls and not rows.is_stream else "constant"


def _learning_rate(
    parameters: Mapping[str, Any], rows: TrainingRows, model: int
) -> float:
    optimizer = parameters["optimizer"]
    if optimizer == "lbfgs":
        return 1.0  # it has none
    if optimizer == "adam":
        if rows.is_stream:
            return STREAM_ADAM_RATE
        length = math.sqrt(rows.mean_square)
        return min(MAX_ADAM_RATE, ADAM_RATE / length) if length else MAX_ADAM_RATE
    batch_size = min(int(parameters["batch_size"]), len(rows.dataset))
    L = rows.smoothness.expected(batch_size, model)
    momentum = 0.0 if optimizer == "sgd" else float(parameters["momentum"])
    return (1 - momentum) / L


AUTOMATIC: dict[str, Callable[[Mapping[str, Any], TrainingRows, int], Any]] = {
    "learning_rate": _learning_rate,
    "epochs": _epochs,
    "learning_rate_schedule": _schedule,
    "alpha": _alpha,
}
