"""TensorFlow comes late and quietly, and predicting works without it."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import tempfile
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from tests.problems import classic
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.engine import device, runtime

FIT = """
    import numpy as np
    from tfsoftmax import TFSoftmaxClassifier
    X, y = np.eye(4), [0, 1, 0, 1]
    TFSoftmaxClassifier(learning_rate=1, epochs=20).fit(X, y)
"""


# What the import system does with a module that is not installed.
def missing(*packages):
    """Make the code of a program in which these are not installed."""
    return f"""
    import sys

    class Missing:
        def find_spec(self, name, path=None, target=None):
            package = name.partition(".")[0]
            if package in {packages!r}:
                raise ModuleNotFoundError(f"No module named {{package!r}}", name=name)

    sys.meta_path.insert(0, Missing())
"""


NO_TENSORFLOW = missing("tensorflow")

PREDICT = """
    import pickle, sys
    import tfsoftmax
    with open(sys.argv[1], "rb") as file:
        clf, X, y, expected = pickle.load(file)
    assert (clf.predict_proba(X) == expected).all()
    assert clf.score(X, y) > 0.9
    assert len(clf.history_) == 10
    assert "TFSoftmaxClassifier" in clf._repr_html_()
    loaded = {"tensorflow", "keras", "matplotlib"} & set(sys.modules)
    assert not loaded, loaded
"""


def run(*code, args=(), **environment):
    program = "".join(textwrap.dedent(part) for part in code)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("TF_CPP")}
    return subprocess.run(
        [sys.executable, "-c", program, *args],
        capture_output=True,
        text=True,
        env=variables | environment,
    )


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, digits):
    X, y = digits
    clf = classic(learning_rate=0.5, random_state=0).fit(X, y)
    path = tmp_path_factory.mktemp("fitted") / "clf.pickle"
    path.write_bytes(pickle.dumps((clf, X, y, clf.predict_proba(X))))
    return str(path)


def test_importing_the_package_and_reading_its_tables_imports_no_heavy_module():
    result = run(
        """
        import sys
        import tfsoftmax, tfsoftmax.datasets
        from tfsoftmax.engine.optimizers import OPTIMIZERS
        from tfsoftmax.solvers import SOLVERS
        from tfsoftmax.solvers.schedules import SCHEDULES
        assert set(OPTIMIZERS) <= set(SOLVERS)
        print({"tensorflow", "keras", "matplotlib"} & set(sys.modules))
        """
    )
    assert result.stdout.strip() == "set()", result.stderr


def test_predicting_does_not_import_tensorflow(fitted):
    result = run(PREDICT, args=[fitted])
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_predicting_works_where_tensorflow_is_not_installed(fitted):
    result = run(NO_TENSORFLOW, PREDICT, args=[fitted])
    assert result.returncode == 0, result.stderr


def test_fitting_without_tensorflow_says_how_to_install_it():
    result = run(NO_TENSORFLOW, FIT)
    last_line = result.stderr.strip().splitlines()[-1]
    assert last_line.startswith("ImportError: TFSoftmaxClassifier needs TensorFlow")
    assert "pip install tensorflow" in last_line


FITTED = """
    import pickle, sys
    with open(sys.argv[1], "rb") as file:
        clf, X, y, expected = pickle.load(file)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "code", "message"),
    [
        (
            "matplotlib",
            "from tfsoftmax.displays import HistoryDisplay as show\n"
            "show.from_estimator(clf)",
            "ImportError: HistoryDisplay needs matplotlib, .* "
            r"No module named 'matplotlib'\. .* pip install matplotlib",
        ),
        (
            "keras",
            "clf.to_keras()",
            "ImportError: to_keras needs Keras, .* No module named 'keras'. Install it",
        ),
        (
            "rich",
            "from sklearn.callback import ProgressBar\n"
            "clf.set_callbacks(ProgressBar()).fit(X, y)",
            "ImportError: Progressbar requires rich",  # scikit-learn's message
        ),
        (
            "skops",
            "import skops.io as sio; sio.dumps(clf)",
            "ModuleNotFoundError: No module named 'skops'",
        ),
    ],
)
def test_what_an_optional_package_is_for_says_that_it_is_missing(
    package, code, message, fitted
):
    if package == "rich":
        pytest.importorskip("sklearn.callback")
    last_line = run(missing(package), FITTED, code, args=[fitted]).stderr.splitlines()
    assert re.match(message, last_line[-1])


@pytest.mark.slow
def test_all_else_works_without_the_optional_packages(fitted):
    result = run(
        missing("matplotlib", "rich", "skops", "polars"),
        FITTED,
        """
        from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
        from tfsoftmax.datasets import load_mnist
        assert (clf.predict_proba(X) == expected).all()
        assert (pickle.loads(pickle.dumps(clf.fit(X, y))).predict(X) == y).mean() > 0.9
        search = TFSoftmaxGridSearchCV(clf, {"alpha": [0.0, 0.1]}, cv=2).fit(X, y)
        assert search.best_params_ == {"alpha": 0.0}
        assert (clf.to_sklearn().predict(X) == clf.predict(X)).all()
        assert "TFSoftmaxClassifier" in clf._repr_html_()
        assert load_mnist("test").data.shape == (10_000, 784)
        """,
        args=[fitted],
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_fit_that_lacks_tensorflow_leaves_the_estimator_as_it_was(fitted):
    result = run(
        NO_TENSORFLOW,
        """
        import pickle, sys
        with open(sys.argv[1], "rb") as file:
            clf, X, y, expected = pickle.load(file)
        try:
            clf.fit(X[:, :5], y)
        except ImportError:
            pass
        assert (clf.predict_proba(X) == expected).all()
        """,
        args=[fitted],
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_search_that_lacks_tensorflow_says_so_at_once():
    result = run(
        NO_TENSORFLOW,
        """
        import numpy as np
        from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
        for grid in ({"alpha": [0.0, 0.1]}, {"batch_size": [1, 2]}):
            try:
                TFSoftmaxGridSearchCV(TFSoftmaxClassifier(), grid, cv=2).fit(
                    np.eye(4), [0, 1, 0, 1]
                )
            except ImportError as error:
                print(error)
        """,
    )
    messages = result.stdout.strip().splitlines()
    assert [message[:37] for message in messages] == [
        "TFSoftmaxClassifier needs TensorFlow "
    ] * 2


@pytest.mark.slow
def test_without_pandas_only_its_tables_are_missing(fitted):
    result = run(
        missing("pandas"),
        FITTED,
        """
        from tfsoftmax.datasets import load_mnist
        from tfsoftmax.displays import HistoryDisplay
        assert (clf.predict_proba(X) == expected).all()
        assert "TFSoftmaxClassifier" in clf._repr_html_()
        assert not hasattr(clf, "history_")
        for call, message in (
            (lambda: clf.history_, "requires pandas"),
            (lambda: load_mnist("test", as_frame=True), "No module named 'pandas'"),
            (lambda: HistoryDisplay.from_estimator(clf), "requires pandas"),
        ):
            try:
                call()
            except (AttributeError, ImportError) as error:
                assert message in str(error), error
            else:
                raise AssertionError
        """,
        args=[fitted],
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "trouble",
    [
        "import sys; sys.stderr.close()",
        "import tempfile; tempfile.TemporaryFile = lambda: open('/proc/none/file')",
    ],
    ids=["standard error is closed", "no temporary file"],
)
@pytest.mark.slow
def test_a_fit_works_where_nothing_can_be_held_back(trouble):
    result = run(f"{trouble}\n", FIT, 'print("fitted")')
    assert result.stdout == "fitted\n"


@pytest.mark.slow
def test_a_fork_during_another_threads_first_fit_is_refused_and_does_not_hang():
    result = run(
        """
        import os, signal, sys, threading, time
        import numpy as np
        from tfsoftmax import TFSoftmaxClassifier

        def fit():
            TFSoftmaxClassifier(learning_rate=1).fit(np.eye(4), [0, 1, 0, 1])

        first = threading.Thread(target=fit)
        first.start()
        while "tensorflow" not in sys.modules:
            time.sleep(0.01)
        assert "tfsoftmax.engine.program" not in sys.modules or first.is_alive()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            try:
                fit()
            except RuntimeError as error:
                os._exit(7 if "in a fork" in str(error) else 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        first.join()
        """
    )
    assert result.returncode == 0, result.stderr


def test_a_fork_of_a_process_that_has_trained_is_refused(monkeypatch):
    runtime.import_tensorflow()
    assert runtime._trained_in == os.getpid()
    monkeypatch.setattr(runtime, "_trained_in", os.getpid() + 1)
    with pytest.raises(RuntimeError, match=r"can't train in a fork .*'spawn'"):
        runtime.import_tensorflow()


def test_an_import_that_fails_may_be_tried_again_and_in_a_fork(monkeypatch):
    monkeypatch.setattr(runtime, "_trained_in", None)
    with monkeypatch.context() as patch:
        patch.setattr(device, "is_eager", lambda: 1 // 0)
        with pytest.raises(ImportError, match="could not be imported: integer div"):
            runtime.import_tensorflow()
    assert runtime._trained_in is None
    runtime.import_tensorflow()
    assert runtime._trained_in == os.getpid()


def test_in_a_graph_tensorflow_is_not_used():
    with (
        tf.Graph().as_default(),
        pytest.raises(RuntimeError, match="eager execution, which is off here"),
    ):
        runtime.import_tensorflow()
    runtime.import_tensorflow()


@pytest.mark.parametrize(
    ("backend", "cure"),
    [
        ("tensorflow", "Install it with 'pip install tensorflow'"),
        ("jax", "Install what KERAS_BACKEND='jax' needs, or unset it"),
    ],
)
def test_where_keras_does_not_import_the_error_says_what_to_do(
    backend, cure, monkeypatch
):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match=f"^to_keras needs Keras, .*{cure}, and"):
        runtime.load_keras()


@pytest.mark.slow
def test_in_a_graph_a_fit_is_refused_and_after_it_works():
    result = run(
        "import tensorflow as tf\n",
        FIT,
        """
        clf = TFSoftmaxClassifier(learning_rate=1)

        @tf.function(autograph=False)
        def traced(z):
            clf.fit(X, y)
            return z

        def within():
            with tf.Graph().as_default():
                clf.fit(X, y)

        for call in (lambda: traced(tf.constant(1.0)), within):
            try:
                call()
            except RuntimeError as error:
                assert "eager execution" in str(error), error
            else:
                raise AssertionError
        clf.fit(X, y)
        """,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_fitting_writes_nothing_to_the_terminal():
    result = run(FIT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.slow
def test_whoever_asks_tensorflow_for_its_logs_gets_them():
    result = run(FIT, TF_CPP_MIN_LOG_LEVEL="0")
    assert "XLA service" in result.stderr


@pytest.mark.slow
def test_fitting_changes_no_environment_variable():
    result = run(
        "import os; before = dict(os.environ)\n",
        FIT,
        "assert dict(os.environ) == before",
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_what_others_write_meanwhile_is_passed_on():
    result = run(
        """
        import os, sys
        from tfsoftmax.engine import runtime
        sys.modules.pop("tensorflow", None)
        with runtime._stderr_without_chatter():
            os.write(2, b"I0000 00:00:1795355534.789351    3982 a.cc:269] chatter\\n")
            print("a warning of something else", file=sys.stderr)
            os.write(2, b"F0000 00:00:1795355534.789351    3982 a.cc:269] fatal\\n")
        """
    )
    assert result.stderr.splitlines() == [
        "a warning of something else",
        "F0000 00:00:1795355534.789351    3982 a.cc:269] fatal",
    ]


@pytest.mark.parametrize("failing", [(os, "dup"), (tempfile, "TemporaryFile")])
def test_where_nothing_can_be_held_back_all_is_passed_on(failing, monkeypatch, capfd):
    def fail(*_):
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(*failing, fail)
        with runtime._stderr_without_chatter():
            os.write(2, b"I0000 00:00:1795355534.789351    3982 a.cc:269] chatter\n")
    assert capfd.readouterr().err.endswith("chatter\n")


@pytest.mark.parametrize(
    ("line", "is_chatter"),
    [
        (b"I0000 00:00:1795355534.789351    3982 port.cc:153] oneDNN", True),
        (
            b"2026-01-30 22:44:42.456316: I tensorflow/core/util/port.cc:153] oneDNN",
            True,
        ),
        (b"E0000 00:00:1758131045.203198 3722035 cuda_dnn.cc:8579] Unable", True),
        (b"WARNING: All log messages before absl::InitializeLog() is called", True),
        (b"Traceback (most recent call last):", False),
        (b"WARNING: disk almost full", False),
        (b"2026-01-30 22:44:42 service: I am here", False),
    ],
)
def test_only_tensorflows_own_lines_are_chatter(line, is_chatter):
    assert bool(runtime._START_UP_CHATTER.match(line)) is is_chatter


@pytest.mark.slow
def test_a_tensorflow_that_breaks_otherwise_is_reported_alike():
    """A mismatch of protobuf's versions, for instance, is a TypeError."""
    broken = NO_TENSORFLOW.replace(
        'ModuleNotFoundError(f"No module named {package!r}", name=name)',
        "TypeError('Descriptors cannot be created directly.')",
    )
    last_line = run(broken, FIT).stderr.strip().splitlines()[-1]
    assert last_line.startswith("ImportError: TFSoftmaxClassifier needs TensorFlow")
    assert "Descriptors cannot be created directly." in last_line


@pytest.mark.slow
def test_threads_that_fit_first_leave_standard_error_as_it_was():
    result = run(
        """
        import os, threading
        from tfsoftmax.engine import runtime
        before = os.fstat(2).st_ino
        barrier = threading.Barrier(4)

        def load():
            barrier.wait()
            runtime.import_tensorflow()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert os.fstat(2).st_ino == before
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
def test_a_program_without_standard_error_can_fit():
    result = run("import os; os.close(2)\n", FIT, "print('fitted')")
    assert result.stdout == "fitted\n"


def test_fitted_state_is_numpy_and_plain_python(digits):
    X, y = digits
    clf = TFSoftmaxClassifier(epochs=1, random_state=0).fit(X, y)
    seen = []

    def walk(value):
        seen.append(type(value).__module__.partition(".")[0])
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, (list, tuple)):
            for item in value:
                walk(item)
        elif hasattr(value, "__dataclass_fields__"):
            walk(vars(value))

    walk(vars(clf))
    assert set(seen) <= {"builtins", "numpy", "tfsoftmax"}
    assert isinstance(clf.coef_, np.ndarray)


SHARE = """
    import os
    from joblib import Parallel, delayed, parallel_config

    def fit(before, fits):
        import sys
        exec(before)
        import numpy as np
        from tfsoftmax import TFSoftmaxClassifier
        if fits:
            X, y = np.eye(4), [0, 1, 0, 1]
            TFSoftmaxClassifier(learning_rate=1).fit(X, y)
        import tensorflow as tf
        threading = tf.config.threading
        return (
            threading.get_intra_op_parallelism_threads(),
            threading.get_inter_op_parallelism_threads(),
        )

    def in_worker(share, before="", fits=True):
        with parallel_config("loky", inner_max_num_threads=share):
            return Parallel(2)(delayed(fit)(before, fits) for _ in range(1))[0]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("in_worker(1)", (1, 1)),
        ("in_worker(3)", (3, 3)),
        ("in_worker(1, fits=False)", (0, 0)),
        ("in_worker(1, 'import tensorflow')", (0, 0)),
        (
            'in_worker(1, \'import os; os.environ["TF_NUM_INTRAOP_THREADS"] = "2"\')',
            (0, 0),
        ),
        ('fit(\'os.environ["OMP_NUM_THREADS"] = "1"\', True)', (0, 0)),
    ],
    ids=["one", "three", "no fit", "imported before", "set before", "no worker"],
)
def test_a_joblib_worker_takes_its_share_of_the_cores(call, expected):
    done = run(SHARE, f"\n    print({call})\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(expected)
