"""What tests of faults share: rows, searches, children, and threads to look for."""

from __future__ import annotations

import faulthandler
import json
import subprocess
import sys
import threading
from pathlib import Path

from tests.problems import estimator, problem
from tfsoftmax import TFSoftmaxGridSearchCV

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds after which what should end has hung

X, Y, _ = problem(403)
HELD_OUT = dict(zip(("X_val", "y_val"), problem(203, seed=1), strict=False))
GRID = {"learning_rate": [0.02, 0.05, 0.1, 0.2], "alpha": [0.0, 0.01, 0.1]}
# With which the rows of X fill so many chunks, so that threads take part.
LIMITS = {"MAX_CHUNK_ROWS": 64, "MAX_MICRO_BATCH": 64}
N_CHUNKS = 9
TILE_ROWS = 128


def search(model=None, **options):
    options = {"cv": 2, "error_score": "raise"} | options
    return TFSoftmaxGridSearchCV(model or estimator(epochs=2), GRID, **options)


def tfsoftmax_threads():
    return {t for t in threading.enumerate() if t.name.startswith("tfsoftmax")}


def in_child(function, *arguments, limits=LIMITS):
    """Call a function of a test module in another interpreter; return its result."""
    program = (
        "import faulthandler, json; from tfsoftmax.data import batches; "
        f"import {function.__module__} as module; vars(batches).update({limits}); "
        f"print(json.dumps(module.{function.__name__}(*{arguments!r}))); "
        f"faulthandler.dump_traceback_later({PATIENCE}, exit=True)"
    )
    child = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


class DiesOfHanging:
    """A context that ends the process, with a traceback, when it takes too long."""

    def __enter__(self):
        faulthandler.dump_traceback_later(PATIENCE, exit=True)

    def __exit__(self, *_):
        faulthandler.cancel_dump_traceback_later()
