"""Brings TensorFlow in: late, quietly, and with a clear error where it is missing.

TensorFlow takes seconds and hundreds of megabytes to import, so it is imported by
the first fit. It then talks: about CUDA it does not find, instructions it was not
built for, and XLA starting up. Some of these lines come from static initializers and
heed no log level, so what arrives on the process's standard error meanwhile is held
back, and all of it but those lines passed on.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from types import ModuleType

_ASKED_FOR_LOGS = ("TF_CPP_MIN_LOG_LEVEL", "TF_CPP_MAX_VLOG_LEVEL", "TF_CPP_VMODULE")

_START_UP_CHATTER = re.compile(
    rb"[IWE]\d{4} [\d.: ]+\S+:\d+\] "  # TensorFlow 2.20's lines
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] \S+:\d+\] "  # those of earlier versions
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: "
)


# Two threads must not both redirect standard error: the second would restore the first
# one's file. Imports that load nothing take the lock in no time.
_loading = threading.Lock()

# The process in which TensorFlow was started: its forks have its memory, but not its
# threads, for which they would wait for ever.
_trained_in: int | None = None


def load_program() -> ModuleType:
    """Import :mod:`tfsoftmax.program`, and with it TensorFlow.

    Raises
    ------
    ImportError
        If TensorFlow is not installed or does not import; it says what to do.
    RuntimeError
        In a fork of a process that has trained, where TensorFlow would hang.
    """
    if _trained_in not in (None, os.getpid()):
        raise RuntimeError(
            "TensorFlow can't train in a fork of a process that has trained: its "
            "threads are not in the fork. Start processes by multiprocessing's 'spawn' "
            "or 'forkserver', or by joblib's 'loky'. Predicting works."
        )
    with _loading:
        try:
            with _first_import():
                return _start()
        except Exception as error:  # a broken TensorFlow may raise anything
            raise ImportError(
                "TFSoftmaxClassifier needs TensorFlow to fit, and it could not be "
                f"imported: {error}. Install it with 'pip install tensorflow', and "
                "start Python anew. A fitted classifier predicts without it."
            ) from error


def load_keras() -> ModuleType:
    """Import Keras, and with it the backend it is set to.

    Raises
    ------
    ImportError
        If Keras is not installed or does not import; it says what to do.
    """
    with _loading:
        try:
            with _first_import():
                return importlib.import_module("keras")
        except Exception as error:
            raise ImportError(
                f"to_keras needs Keras, and it could not be imported: {error}. Install "
                "it with 'pip install tensorflow', and start Python anew."
            ) from error


def _start() -> ModuleType:
    global _trained_in
    is_first = "tensorflow" not in sys.modules
    from tfsoftmax import program

    if is_first and (share := _share_of_worker()) is not None:
        program.limit_threads(share)
    program.xla_works()  # so that XLA's start-up falls in the quiet time, too
    _trained_in = os.getpid()
    return program


def _share_of_worker() -> int | None:
    """Tell how many cores are a joblib worker's share; None outside of one.

    joblib's loky gives it to its workers as OMP_NUM_THREADS, which TensorFlow
    doesn't heed: each worker would take all cores.
    """
    if not multiprocessing.current_process().name.startswith("LokyProcess"):
        return None
    share = os.environ.get("OMP_NUM_THREADS", "")
    return int(share) if share.isdigit() and int(share) > 0 else None


def _first_import() -> contextlib.AbstractContextManager[None]:
    """Hold back TensorFlow's chatter where it is about to be imported."""
    if "tfsoftmax.program" in sys.modules or _user_sees_logs():
        return contextlib.nullcontext()
    return _stderr_without_chatter()


def _user_sees_logs() -> bool:
    return "tensorflow" in sys.modules or any(v in os.environ for v in _ASKED_FOR_LOGS)


@contextlib.contextmanager
def _stderr_without_chatter() -> Iterator[None]:
    try:
        stderr = os.dup(2)
    except OSError:  # a program without a standard error
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        sys.stderr and sys.stderr.flush()
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr and sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held_back.seek(0)
            for line in held_back:
                if not _START_UP_CHATTER.match(line):
                    os.write(2, line)
