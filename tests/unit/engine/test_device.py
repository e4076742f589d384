"""What TensorFlow can do on this machine, and how many threads it may use."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
import tensorflow as tf
from joblib import cpu_count

from tests.assertions import assert_same_model
from tests.problems import estimator, problem
from tfsoftmax.data.gather import ALIGNMENT
from tfsoftmax.engine import device

VARIABLES = ["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"]


@pytest.fixture
def threads(monkeypatch):
    """TensorFlow's numbers of threads, unset; they can't be set once it has run."""
    numbers = {"intra": 0, "inter": 0}
    for kind in numbers:
        name = f"{kind}_op_parallelism_threads"
        monkeypatch.setattr(
            tf.config.threading, f"get_{name}", lambda kind=kind: numbers[kind]
        )
        monkeypatch.setattr(
            tf.config.threading,
            f"set_{name}",
            lambda n, kind=kind: numbers.update({kind: n}),
        )
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return numbers


def test_threads_are_limited_where_nobody_has_set_their_number(threads):
    device.limit_threads(3)
    assert threads == {"intra": 3, "inter": 3}
    device.limit_threads(5)
    assert threads == {"intra": 3, "inter": 3}


@pytest.mark.parametrize("kind", ["intra", "inter"])
def test_a_number_of_threads_that_is_set_stays(threads, kind):
    threads[kind] = 2
    before = threads.copy()
    device.limit_threads(3)
    assert threads == before


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_number_of_threads_set_by_the_environment_stays(
    threads, variable, monkeypatch
):
    monkeypatch.setenv(variable, "2")
    device.limit_threads(3)
    assert threads == {"intra": 0, "inter": 0}


def test_there_are_as_many_threads_as_set_or_as_cores(threads):
    assert device.n_threads() == cpu_count()
    threads["intra"] = 3
    assert device.n_threads() == 3


def test_operations_run_at_once_unless_in_a_graph():
    assert device.is_eager()
    with tf.Graph().as_default():
        assert not device.is_eager()


@pytest.mark.parametrize(
    "error",
    [NotImplementedError(), ValueError(), tf.errors.InternalError(None, None, "")],
    ids=lambda error: type(error).__name__,
)
def test_a_platform_without_xla_is_known_by_its_error(error, monkeypatch):
    def refuse(function, jit_compile=False):
        if jit_compile:
            raise error
        return function

    monkeypatch.setattr(tf, "function", refuse)
    assert device._xla_compiles.__wrapped__() is False


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms may lack XLA")
def test_xla_works_on_linux():
    assert device.xla_works() is True


@pytest.fixture
def check_numerics():
    """TensorFlow looks for NaN and infinity in each operation's results."""
    tf.debugging.enable_check_numerics()
    yield
    tf.debugging.disable_check_numerics()


def test_under_a_debugger_xla_is_not_used(check_numerics):
    assert device.is_debugged()
    assert not device.xla_works()
    tf.debugging.disable_check_numerics()
    assert not device.is_debugged()


@pytest.mark.filterwarnings("ignore:Training has not converged")
@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_fits_work_under_a_debugger(optimizer, request):
    X, y, s = problem()
    clf, expected = (estimator(optimizer=optimizer, alpha=0.1) for _ in range(2))
    expected.fit(X, y, s, X_val=X[:50], y_val=y[:50])
    request.getfixturevalue("check_numerics")
    clf.fit(X, y, s, X_val=X[:50], y_val=y[:50])
    assert_same_model(clf, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("works", "threads", "expected"),
    [(True, 2, 16), (True, 1, ALIGNMENT), (False, 2, ALIGNMENT)],
)
def test_eigens_kernels_and_a_single_thread_want_a_cache_line(
    works, threads, expected, monkeypatch
):
    monkeypatch.setattr(device, "xla_works", lambda: works)
    monkeypatch.setattr(device, "n_threads", lambda: threads)
    assert device.alignment() == expected


FITS_IN_ONE_THREAD = """
import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from tfsoftmax import TFSoftmaxClassifier

n = 40_000
memory = np.zeros(n * 8 * 8 + 128, np.uint8)
start = -memory.ctypes.data % 64 + 16
for d in (5, 8):
    X = memory[start : start + n * d * 8].view(np.float64).reshape(n, d)
    X[...] = np.random.default_rng(0).normal(size=(n, d))
    clf = TFSoftmaxClassifier(optimizer="lbfgs", tol=0.1).fit(X, X[:, 0] > 0)
print(clf.score(X, X[:, 0] > 0) > 0.9)
"""


@pytest.mark.slow
def test_rows_at_any_address_are_trained_on_in_one_thread():
    # Where they are not copied, being few.
    code = "from tfsoftmax.data import tiles; tiles.MAX_SHARED_BYTES = 0\n"
    command = [sys.executable, "-W", "ignore", "-c", code + FITS_IN_ONE_THREAD]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "True\n"), found.stderr


def test_memory_is_trimmed_by_the_librarys_function_if_it_has_one(monkeypatch):
    trimmed = []

    class Library:
        malloc_trim = trimmed.append

    def no_library(name):
        raise OSError(name)

    for library in (lambda name: Library, lambda name: object(), no_library):
        monkeypatch.setattr(ctypes, "CDLL", library)
        device.trim_memory()
    assert trimmed == [0]
