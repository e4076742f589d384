"""Slices that split n items into parts of nearly equal length."""

from __future__ import annotations

import itertools
import math

import numpy as np


def split_evenly(n: int, n_parts: int) -> list[slice]:
    """Return `n_parts` slices that cover n items."""
    bounds = np.linspace(0, n, n_parts + 1).astype(int).tolist()
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


def split_at_most(n: int, length: int) -> list[slice]:
    """Return slices that cover n items, each of at most `length` (at least 1) items."""
    return split_evenly(n, math.ceil(n / max(1, length)))
