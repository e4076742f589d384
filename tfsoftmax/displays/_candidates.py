"""The candidates of a search: their parameters, values and labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.displays._figures import shorten


def metric_name(search: Any, metric: str | None) -> str:
    """Return the name of the score to show."""
    names = _names_after("mean_test_", search.cv_results_)
    if metric is None and len(names) == 1:
        return names[0]
    name = getattr(search, "refit", None) if metric is None else metric
    if name not in names:
        raise ValueError(f"metric must be one of {names}; got {metric!r}.")
    return str(name)


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
    rows = list({repr(list(p.items())): i for i, p in enumerate(params)}.values())
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
    """Return a number itself, or the repr of a value that may not be hashable."""
    return value if is_number(value) else repr(value)


def is_number(value: Any) -> bool:
    """Whether a value is a real number other than a bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def text_of(value: Any) -> str:
    """Return the tick label of a value."""
    if not is_number(value):
        return shorten(value, 20)
    number = float(value)
    return f"{number:g}" if number.is_integer() else f"{number:.4g}"


def best(scores: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the highest scores, all False if there is no score."""
    highest = np.fmax.reduce(scores, axis=None)
    return np.asarray(scores == highest)
