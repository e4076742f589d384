"""Tests of many generated cases: how many there are, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# How many bad calls: some in the plain suite, and enough in the slow one.
N_CALLS = pytest.mark.parametrize(
    "n_calls", [12, pytest.param(200, marks=pytest.mark.slow)]
)


def run(
    cases: st.SearchStrategy[Any], check: Callable[[Any], None], n_cases: int
) -> None:
    """Check at least `n_cases` cases; those rejected with `assume` don't count."""
    tried = 0

    @settings(
        max_examples=n_cases,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def try_one(case: Any) -> None:
        nonlocal tried
        check(case)
        tried += 1

    try_one()
    assert tried >= n_cases
