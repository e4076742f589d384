"""The candidates of a search: their parameters, values and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.pipeline import Pipeline

from tfsoftmax.displays._figures import short_names
from tfsoftmax.prediction import SoftmaxPredictor

_ACCURACIES = (ClassifierMixin.score, SoftmaxPredictor.score)
_LONGEST_TEXT = 20


def metric_name(search: Any, metric: str | None) -> str:
    """Return the name of the score to show, as in the names of `cv_results_`."""
    names = _names_after("mean_test_", search.cv_results_)
    if metric is None and len(names) == 1:
        return names[0]
    name = getattr(search, "refit", None) if metric is None else metric
    if name not in names:
        raise ValueError(f"metric must be one of {names}; got {metric!r}.")
    return str(name)


def score_name(search: Any, metric: str) -> str:
    """Return what a metric of `metric_name` measures, for a label."""
    scoring = getattr(search, "scoring", metric)
    if metric != "score" or not (scoring is None or isinstance(scoring, str)):
        return metric
    estimator = getattr(search, "estimator", None)
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    is_accuracy = getattr(type(estimator), "score", None) in _ACCURACIES
    return scoring or ("accuracy" if is_accuracy else metric)


def searched_parameters(results: Mapping[str, Any]) -> list[str]:
    """Return the full names of the parameters searched."""
    return _names_after("param_", results)


def _names_after(prefix: str, results: Mapping[str, Any]) -> list[str]:
    """Return the names of the result columns with a prefix, without the prefix."""
    return [key.removeprefix(prefix) for key in results if key.startswith(prefix)]


def full_name(searched: Sequence[str], name: Any, argument: str) -> str:
    """Return the full name of a searched parameter from it, or from its last part."""
    if name in searched:
        return str(name)
    matches = [full for full in searched if full.endswith(f"__{name}")]
    if len(matches) != 1:
        raise ValueError(
            f"{argument} must be one of the parameters searched, {list(searched)}; got "
            f"{name!r}" + (f", which is ambiguous: {matches}." if matches else ".")
        )
    return matches[0]


def short_name(searched: Collection[str], name: str) -> str:
    """Return the last part of a parameter's name if unambiguous, else the name."""
    last = name.rpartition("__")[2]
    alike = [full for full in searched if full.rpartition("__")[2] == last]
    return last if len(alike) == 1 else name


def last_rounds(
    candidates: Sequence[Mapping[str, Any]], resource: set[Any]
) -> tuple[list[dict[str, Any]], list[int]]:
    """Return the candidates without a resource, and the row of each last score.

    A halving search scores its candidates in rounds, which differ in the resource.
    """
    params = [{n: v for n, v in p.items() if n not in resource} for p in candidates]
    keys = [repr([(name, key(value)) for name, value in p.items()]) for p in params]
    rows = list({k: row for row, k in enumerate(keys)}.values())
    return [params[row] for row in rows], rows


def varied_parameters(candidates: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the parameters in which candidates differ, or all if they don't differ."""
    names = list(dict.fromkeys(name for params in candidates for name in params))
    missing = object()
    varied = [n for n in names if len({key(p.get(n, missing)) for p in candidates}) > 1]
    return varied or names


def levels(
    candidates: Sequence[Mapping[str, Any]], name: str
) -> tuple[list[Any], list[int | None]]:
    """Return the values of a parameter, and the position of each candidate's value.

    Numbers are sorted; other values stay in the order in which they were tried. The
    position is None for candidates without the parameter.
    """
    tried = [params[name] for params in candidates if name in params]
    values = {key(value): value for value in tried}
    if all(map(is_number, tried)):
        values = dict(sorted(values.items()))
    positions = {k: position for position, k in enumerate(values)}
    return list(values.values()), [
        positions[key(params[name])] if name in params else None
        for params in candidates
    ]


def key(value: Any) -> Any:
    """Return a number itself, or a text that differs between other values."""
    if is_number(value):
        return value
    # The repr of a long array leaves out its middle.
    return joblib.hash(value) if _shape(value) else repr(value)


def is_number(value: Any) -> bool:
    """Whether a value is a real number other than a bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _shape(value: Any) -> tuple[int, ...]:
    """Return the shape of an array, or () for what is none."""
    shape = getattr(value, "shape", ())
    return shape if isinstance(shape, tuple) else ()


def texts_of(values: Sequence[Any]) -> list[str]:
    """Return the tick labels of different values, which differ too."""
    texts = [_text_of(value) for value in values]
    short = short_names(texts, _LONGEST_TEXT)
    counts, seen = Counter(texts), Counter[str]()
    labels = []
    for value, text in zip(values, texts, strict=True):
        seen[text] += 1
        if counts[text] == 1:
            labels.append(short[text])
        elif is_number(value):
            labels.append(repr(float(value)))
        else:
            labels.append(f"{short[text]} ({seen[text]})")
    return labels


def _text_of(value: Any) -> str:
    """Return a number with four digits, the size of an array, or a value as text."""
    if is_number(value):
        number = float(value)
        return f"{number:g}" if number.is_integer() else f"{number:.4g}"
    size = " × ".join(map(str, _shape(value)))
    return f"array of {size}" if size else str(value)


def best(scores: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the highest scores, all False if there is no score."""
    highest = np.fmax.reduce(scores, axis=None)
    return np.asarray(scores == highest)
