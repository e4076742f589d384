from __future__ import annotations

import threading
import time

import pytest

from tests.robustness.common import LIMITS, TILE_ROWS
from tfsoftmax.data import batches, loader, tiles


@pytest.fixture
def several_chunks(monkeypatch):
    """Make the rows fill several chunks and tiles, so that threads take part."""
    for name, limit in LIMITS.items():
        monkeypatch.setattr(batches, name, limit)
    for name in ("MIN_ROWS", "MAX_ROWS"):
        monkeypatch.setattr(tiles, name, TILE_ROWS)


@pytest.fixture
def loader_threads(monkeypatch, several_chunks):
    """The threads that have filled chunks, slowly, beside the main one."""
    threads, fill = set(), loader.ChunkLoader._fill

    def slow_fill(self, *arguments):
        if threading.current_thread() is not threading.main_thread():
            threads.add(threading.current_thread())
            time.sleep(0.005)
        return fill(self, *arguments)

    monkeypatch.setattr(loader.ChunkLoader, "_fill", slow_fill)
    return threads
