"""Freed memory, which a worker keeps while it computes."""

from __future__ import annotations

import pytest

from tfsoftmax.distributed import allocation
from tfsoftmax.distributed.allocation import (
    DEFAULT_MMAP_THRESHOLD,
    KEPT,
    LARGEST,
    MMAP_THRESHOLD,
    TRIM_THRESHOLD,
    VARIABLE,
    reuses_freed_memory,
)


@pytest.fixture
def settings(monkeypatch):
    """What C's library would have been told, parameter by parameter."""
    told = {}
    monkeypatch.setattr(allocation, "_set", told.__setitem__)
    return told


def test_memory_is_kept_within_and_given_back_after_the_last_task(
    settings, monkeypatch
):
    monkeypatch.setenv(VARIABLE, "65536")
    within = {TRIM_THRESHOLD: KEPT, MMAP_THRESHOLD: LARGEST}

    @reuses_freed_memory()
    def fail():
        with reuses_freed_memory():
            assert settings == within
        assert settings == within
        raise ValueError("a task's")

    with pytest.raises(ValueError, match="a task's"):
        fail()
    expected = {TRIM_THRESHOLD: 65536, MMAP_THRESHOLD: DEFAULT_MMAP_THRESHOLD}
    assert settings == expected


@pytest.mark.parametrize("threshold", [None, "", "much"])
def test_what_the_environment_leaves_alone_is_left_alone(
    threshold, settings, monkeypatch
):
    monkeypatch.delenv(VARIABLE, raising=False)
    if threshold is not None:
        monkeypatch.setenv(VARIABLE, threshold)
    with reuses_freed_memory():
        assert settings == {}
    assert settings == {}


def test_another_library_of_c_is_no_error(monkeypatch):
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: object())
    allocation._set(TRIM_THRESHOLD, KEPT)
