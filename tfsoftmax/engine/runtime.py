"""Import TensorFlow late, quietly, and with a clear error if it is missing.

Importing TensorFlow takes seconds and hundreds of megabytes, so the first fit does it.
TensorFlow then logs to standard error that CUDA is missing, which instructions it was
not built for, and that XLA starts up. Some of these lines come from static initializers
and ignore the log level. So standard error is held back during the import, and all
other lines are passed on afterwards.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from types import ModuleType

from tfsoftmax.utils.workers import threads_of_worker

_ASKED_FOR_LOGS = ("TF_CPP_MIN_LOG_LEVEL", "TF_CPP_MAX_VLOG_LEVEL", "TF_CPP_VMODULE")

_START_UP_CHATTER = re.compile(
    rb"[IWE]\d{4} [\d.: ]+\S+:\d+\] "  # TensorFlow 2.20's lines
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] \S+:\d+\] "  # those of earlier versions
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: "
)


# Two threads must not both redirect standard error: the second would restore the first
# thread's file. Imports of loaded modules hold the lock only briefly.
_loading = threading.Lock()

# The process in which TensorFlow was started, or is being started: its forks have its
# memory but not its threads, and would wait forever for locks held by them.
_trained_in: int | None = None


def import_tensorflow() -> None:
    """Import TensorFlow and :mod:`tfsoftmax.engine.program`, if necessary.

    Raises
    ------
    ImportError
        If TensorFlow can't be imported; the message says what to do.
    RuntimeError
        In a fork of a process that has trained, where TensorFlow would hang; or while
        TensorFlow builds a graph.
    """
    if _trained_in not in (None, os.getpid()):
        raise RuntimeError(
            "TensorFlow can't train in a fork of a process that has trained: the fork "
            "lacks its threads. Start processes with multiprocessing's 'spawn' or "
            "'forkserver', or with joblib's 'loky'. Predictions work in forks, too."
        )
    with _loading:
        try:
            with _first_import():
                is_eager = _start()
        except Exception as error:  # a broken TensorFlow may raise anything
            raise ImportError(
                "TFSoftmaxClassifier needs TensorFlow to fit, but it could not be "
                f"imported: {error}. Install it with 'pip install tensorflow', and "
                "restart Python. A fitted classifier predicts without it."
            ) from error
    if not is_eager:
        raise RuntimeError(
            "TFSoftmaxClassifier needs TensorFlow's eager execution, which is off "
            "here. Call fit outside tf.function, tf.Graph and TensorFlow 1 mode."
        )


def load_keras() -> ModuleType:
    """Import Keras, together with its configured backend.

    Raises
    ------
    ImportError
        If Keras can't be imported; the message says what to do.
    """
    with _loading:
        try:
            with _first_import():
                return importlib.import_module("keras")
        except Exception as error:
            backend = os.environ.get("KERAS_BACKEND", "tensorflow")
            cure = "Install it with 'pip install tensorflow'"
            if backend != "tensorflow":
                cure = f"Install what KERAS_BACKEND={backend!r} needs, or unset it"
            raise ImportError(
                f"to_keras needs Keras, but it could not be imported: {error}. {cure}, "
                "and restart Python."
            ) from error


def _start() -> bool:
    """Import TensorFlow and start XLA; return whether execution is eager."""
    global _trained_in
    previous, _trained_in = _trained_in, os.getpid()
    try:
        return _import()
    except BaseException:
        _trained_in = previous
        raise


def _import() -> bool:
    is_first = "tensorflow" not in sys.modules
    from tfsoftmax.engine import device, program  # noqa: F401

    if is_first and (share := threads_of_worker()) is not None:
        device.limit_threads(share)
    if device.is_eager():
        device.xla_works()  # here, so that XLA's log lines are filtered too
    return device.is_eager()


def _first_import() -> contextlib.AbstractContextManager[None]:
    """Return a context that filters TensorFlow's start-up lines, if it is to start."""
    if "tfsoftmax.engine.program" in sys.modules or _user_sees_logs():
        return contextlib.nullcontext()
    return _stderr_without_chatter()


def _user_sees_logs() -> bool:
    return "tensorflow" in sys.modules or any(v in os.environ for v in _ASKED_FOR_LOGS)


@contextlib.contextmanager
def _stderr_without_chatter() -> Iterator[None]:
    with contextlib.ExitStack() as closing:
        try:
            stderr = os.dup(2)
            closing.callback(os.close, stderr)
            held_back = closing.enter_context(tempfile.TemporaryFile())
        except OSError:  # no standard error to filter, or no temporary file
            held_back = None
        if held_back is None:
            yield
            return
        _flush_stderr()
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        finally:
            _flush_stderr()
            os.dup2(stderr, 2)
            held_back.seek(0)
            for line in held_back:
                if not _START_UP_CHATTER.match(line):
                    os.write(2, line)


def _flush_stderr() -> None:
    with contextlib.suppress(AttributeError, OSError, ValueError):  # none, or closed
        sys.stderr.flush()
