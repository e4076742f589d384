"""How is measured: interleaved rounds, medians, memory, processes of their own."""

from __future__ import annotations

import gc
import multiprocessing
import os
import platform
import statistics
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil

Result = TypeVar("Result")
MB = 1e6


@dataclass
class Timings:
    """The seconds of every contender in every round, and what each one returned."""

    seconds: dict[str, list[float]]
    results: dict[str, Any] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Give the median over the rounds, in seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, to: str) -> float:
        """Give the median of the rounds' ratios: what slows one slows the other."""
        pairs = zip(self.seconds[name], self.seconds[to], strict=False)
        return statistics.median(one / other for one, other in pairs)


def interleaved(
    contenders: Mapping[str, Callable[[], Any]],
    repeats: int,
    *,
    rounds: Mapping[str, int] | None = None,
    calls: int = 1,
    warm_up: bool = True,
) -> Timings:
    """Time the contenders round by round, each once in a round.

    Parameters
    ----------
    contenders : dict of callable
    repeats : int
        The number of rounds. Every other one goes through the contenders backwards.
    rounds : dict of int, default=None
        For slow contenders the rounds in which they take part, the first ones.
    calls : int, default=1
        How often to call a contender within one measurement, for what is short.
    warm_up : bool, default=True
        Whether to call each once before, with no clock running.
    """
    timings = Timings({name: [] for name in contenders})
    if warm_up:
        timings.results = {name: run() for name, run in contenders.items()}
    for i in range(repeats):
        names = list(contenders)[:: -1 if i % 2 else 1]
        for name in names:
            if i < (rounds or {}).get(name, repeats):
                seconds, timings.results[name] = timed(contenders[name], calls)
                timings.seconds[name].append(seconds)
    return timings


def timed(run: Callable[[], Result], calls: int = 1) -> tuple[float, Result]:
    """Time a call, or the mean of several: (seconds, what it returned)."""
    gc.collect()
    began = time.perf_counter()
    for _ in range(calls):
        result = run()
    return (time.perf_counter() - began) / calls, result


def in_child(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in a new process, which has nothing imported yet."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_quietly, function, arguments).result()


def _quietly(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    # Few epochs are what is measured: nothing here is meant to converge.
    warnings.simplefilter("ignore")
    return function(*arguments)


class PeakMemory:
    """Watches the memory of this process while in its context, every 2 ms.

    Attributes
    ----------
    resident : float
        The most resident memory meanwhile over that before, in MB.
    anonymous : float
        The same without the pages of files: what a memmap does not account for.
    """

    def __enter__(self) -> PeakMemory:
        gc.collect()
        self._process = psutil.Process()
        self._before = self._most = self._now()
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._sampler.join()
        self.resident, self.anonymous = map(float, (self._most - self._before) / MB)

    def _sample(self) -> None:
        while not self._ended.wait(0.002):
            self._most = np.maximum(self._most, self._now())

    def _now(self) -> np.ndarray:
        memory = self._process.memory_info()
        # "shared" counts the resident pages of files, on Linux.
        return np.array([memory.rss, memory.rss - getattr(memory, "shared", 0)])


def resident_memory() -> float:
    """Give the resident memory of this process, in MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / MB


class MatrixProduct:
    """A product of two square matrices in float32: what BLAS can do at best."""

    def __init__(self, size: int = 4096) -> None:
        rng = np.random.default_rng(0)
        self.A, self.B, self.C = rng.random((3, size, size), dtype=np.float32)
        self.flops = 2 * size**3

    def __call__(self) -> None:
        """Multiply."""
        np.matmul(self.A, self.B, out=self.C)


def machine() -> dict[str, str]:
    """Describe where the figures come from."""
    product = MatrixProduct()
    seconds = interleaved({"sgemm": product}, 5).median("sgemm")
    return {
        "CPU": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "sgemm": f"{product.flops / seconds / 1e9:.0f} GFLOP/s",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        **{p: _version(p) for p in ("numpy", "scikit-learn", "tensorflow", "keras")},
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return models[0].strip() if models else platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
