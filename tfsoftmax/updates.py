"""The update rules: how one gradient changes the weights.

A rule is a pure function

    V, slots = rule(V, G, slots, rate)

of the weights V, the gradient G and whatever the rule remembers between steps
(its slots, each shaped like V). V, G and each slot have shape
(n_models, n_rows, n_columns); rate has shape (n_models, 1, 1), so models trained
side by side each have their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Tensor = Any
Slots = tuple[Tensor, ...]


class Rule(NamedTuple):
    """An update rule and the number of slots it keeps."""

    update: Callable[[Tensor, Tensor, Slots, Tensor], tuple[Tensor, Slots]]
    n_slots: int


def sgd(V: Tensor, G: Tensor, slots: Slots, rate: Tensor) -> tuple[Tensor, Slots]:
    """Take a step of gradient descent: V ← V − rate · G."""
    return V - rate * G, slots


UPDATES = {"sgd": Rule(sgd, n_slots=0)}
