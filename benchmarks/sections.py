"""The sections there are, and how one is run."""

from __future__ import annotations

import importlib
import inspect
import time
from dataclasses import replace

from benchmarks.records import Options, Section

NAMES = (
    "defaults",
    "recipe",
    "optimum",
    "tables",
    "columns",
    "text",
    "limit",
    "many_fits",
    "memory",
    "growth",
    "small",
    "grid",
    "search",
    "dask",
)


def run(name: str, options: Options) -> Section:
    """Run the module of that name; its docstring says what it compares with what."""
    module = importlib.import_module(f"benchmarks.{name}")
    title, _, about = (inspect.getdoc(module) or "").partition("\n\n")
    began = time.perf_counter()
    rows = tuple(module.run(options))
    if options.quick:  # too small for the goals to mean anything
        rows = tuple(replace(row, goal=None) for row in rows)
    return Section(name, title.rstrip("."), about, rows, time.perf_counter() - began)
