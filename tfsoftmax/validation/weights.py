"""Row weights: sample weights times class weights."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfsoftmax.data.targets import by_label, class_totals
from tfsoftmax.validation.arrays import check_weights
from tfsoftmax.validation.errors import errors_name


def row_weights(
    sample_weight: ArrayLike | None,
    n_samples: int,
    *,
    class_weight: Mapping[Any, float] | str | None = None,
    y: NDArray[Any] | None = None,
    classes: NDArray[Any] | None = None,
    name: str = "sample_weight",
) -> NDArray[np.float64] | None:
    """Multiply sample weights and class weights, and scale them to a mean of 1.

    The class weight of a soft label is the mean over its probabilities.

    Returns
    -------
    weights : ndarray of shape (n_samples,), or None if none are passed
    """
    weights = None
    if sample_weight is not None:
        weights = check_weights(sample_weight, n_samples, name)
        weights = weights / weights.max()  # so that huge weights don't overflow below
    if class_weight is not None and y is not None and classes is not None:
        by_row = np.ones(n_samples) if weights is None else weights
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            with errors_name("class_weight"):
                by_class = class_weights(class_weight, classes, y, by_row)
            weights = by_row * by_label(y, by_class)
        if not np.isfinite(weights).all():
            raise ValueError(
                f"class_weight={class_weight!r} overflows: sample_weight is too small "
                "for all rows of a class."
            )
        if not weights.any():
            raise ValueError(
                "class_weight and sample_weight must not give all rows a weight of 0."
            )
    if weights is None:
        return None
    weights = weights / weights.max()  # so that huge weights don't overflow in the sum
    return weights * (n_samples / weights.sum())  # type: ignore[no-any-return]


def total_weight(
    sample_weight: ArrayLike | None,
    n_samples: int,
    *,
    class_weight: Mapping[Any, float] | str | None,
    y: NDArray[Any],
    classes: NDArray[Any],
) -> float:
    """Return the sum of sample weights times class weights, already validated."""
    weights = np.ones(n_samples)
    if sample_weight is not None:
        weights = check_weights(sample_weight, n_samples, "sample_weight")
    with np.errstate(over="ignore"):
        if class_weight is None or isinstance(class_weight, str):
            return float(weights.sum())  # "balanced" weights don't change it
        by_class = class_weights(class_weight, classes, y, weights)
        return float(weights @ by_label(y, by_class))


def class_weights(
    class_weight: Mapping[Any, float] | str,
    classes: NDArray[Any],
    y: NDArray[Any],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weight of each class; `weights` are the sample weights."""
    if isinstance(class_weight, str):  # "balanced"
        # n / (n_classes · n_k), as in scikit-learn; n_k may count soft labels.
        counts = class_totals(y, weights, len(classes))
        inverse = np.divide(1, counts, out=np.zeros(len(classes)), where=counts > 0)
        return counts.sum() * inverse / len(classes)  # type: ignore[no-any-return]
    weight_of = dict(class_weight)
    if not all(
        isinstance(weight, Real) and not isinstance(weight, np.timedelta64)
        for weight in weight_of.values()
    ):
        raise TypeError(
            f"class_weight must contain numbers; got {reprlib.repr(weight_of)}."
        )
    labels = classes.tolist()
    unknown = [label for label in weight_of if label not in labels]
    if unknown and not weight_of.keys() >= set(labels):  # as in scikit-learn
        raise ValueError(
            "class_weight has labels that are not among the classes "
            f"{reprlib.repr(labels)}: {reprlib.repr(unknown)}."
        )
    by_class = np.array([float(weight_of.get(label, 1)) for label in labels])
    if not np.isfinite(by_class).all() or (by_class < 0).any():
        raise ValueError(
            "class_weight must contain finite, non-negative weights; got "
            f"{reprlib.repr(weight_of)}."
        )
    return by_class
