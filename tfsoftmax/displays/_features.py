"""A classifier's features: pixels or not, their names and standard deviations."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from tfsoftmax.displays._parts import is_elementwise, is_linear, map_back

# From scikit-learn's digits (8 by 8 pixels) to its faces (64 by 64). Typical limits on
# the columns of vectorisers, such as 10,000, are larger.
_FEWEST_PIXELS, _MOST_PIXELS = 8**2, 64**2

# pixel_0_0 (load_digits), pixel1 (MNIST at OpenML), 12x7. Plain numbers may be years.
_PIXEL = re.compile(r"(pixel|px)[ _-]?\d+([ _x-]\d+)?|\d+x\d+", re.IGNORECASE)


def are_pixels(steps: list[Any], classifier: Any) -> bool:
    """Whether a pipeline's input looks like square pictures, linearly transformed."""
    first, *_ = [*steps, classifier]
    n_features = getattr(first, "n_features_in_", 0)  # a vectoriser has none
    names = getattr(first, "feature_names_in_", None)
    return (
        _FEWEST_PIXELS <= n_features <= _MOST_PIXELS
        and math.isqrt(n_features) ** 2 == n_features
        and (names is None or all(_PIXEL.fullmatch(name) for name in names))
        and all(map(is_linear, steps))
    )


def names_of_features(steps: list[Any], classifier: Any, n_features: int) -> list[str]:
    """Return the names of a classifier's features, as set by the previous steps.

    The prefixes that a column transformer adds are dropped where that keeps the names
    different.
    """
    names, prefixes = None, set()
    for step in steps:
        names = _names_out(step, names)
        prefixes |= _prefixes(step)
    if names is None:
        names = getattr(classifier, "feature_names_in_", None)
    if names is None:
        return default_names(n_features)
    return _without_prefixes([str(name) for name in names], prefixes)


def _prefixes(step: Any) -> set[str]:
    """Return what a ColumnTransformer or a FeatureUnion puts before its names."""
    if getattr(step, "verbose_feature_names_out", False) is not True:
        return set()
    kinds = ("transformers_", "transformer_list")
    named = (each for kind in kinds for each in getattr(step, kind, ()))
    return {f"{name}__" for name, *_ in named}


def _without_prefixes(names: list[str], prefixes: set[str]) -> list[str]:
    """Drop prefixes from names, except where two names would become equal."""
    rests = []
    for name in names:
        first = max((p for p in prefixes if name.startswith(p)), key=len, default="")
        rest = name.removeprefix(first)
        # A product of features, such as "a__x b__y", has several prefixes.
        rests.append(name if any(p in rest for p in prefixes) else rest)
    counts = Counter(rests)
    pairs = zip(names, rests, strict=True)
    return [rest if counts[rest] == 1 else name for name, rest in pairs]


def default_names(n_features: int) -> list[str]:
    """Return scikit-learn's names for unnamed features."""
    return [f"x{i}" for i in range(n_features)]


def _names_out(step: Any, names: Any) -> Any:
    """Return the names of a step's output features, or None."""
    try:
        return step.get_feature_names_out(names)
    except AttributeError:  # of the step, or of a column transformer's part
        return None


def check_feature_names(names: Any, n_features: int) -> list[str]:
    """Validate the names passed by the user, and return them as a list of str."""
    if isinstance(names, str) or not np.iterable(names):
        raise TypeError(f"feature_names must be a list of names; got {names!r}.")
    checked = [str(name) for name in names]
    if len(checked) != n_features:
        raise ValueError(
            f"feature_names must have one name for each of the {n_features} features; "
            f"got {len(checked)} names."
        )
    return checked


def deviations(steps: list[Any], classifier: Any) -> NDArray[Any] | float | None:
    """Return the standard deviations of a classifier's features, or None if unknown."""
    if getattr(classifier, "mean_", None) is not None:
        return classifier.scale_  # type: ignore[no-any-return]
    return 1.0 if steps and _scale_of(steps[-1]) is not None else None


def deviations_of_input(steps: list[Any], classifier: Any) -> NDArray[Any] | None:
    """Return the standard deviations of a pipeline's input features, or None.

    Features that a selector drops have 0.
    """
    for i, step in enumerate(steps):
        if _scale_of(step) is not None:
            return _map_back_scale(step.scale_, steps[:i])
        if not is_elementwise(step):
            return None
    known = deviations([], classifier)
    return None if known is None else _map_back_scale(np.asarray(known), steps)


def _map_back_scale(scale: NDArray[Any], steps: list[Any]) -> NDArray[Any]:
    """Return the scale of the input features of some elementwise steps."""
    (inverse,) = map_back(1 / np.atleast_2d(scale), steps)
    known = inverse != 0
    return np.where(known, 1 / np.where(known, inverse, 1), 0.0)


def _scale_of(step: Any) -> NDArray[Any] | None:
    """Return the standard deviations that a StandardScaler divides by, or None."""
    return step.scale_ if isinstance(step, StandardScaler) else None
