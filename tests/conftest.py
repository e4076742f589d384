from __future__ import annotations

import os
from functools import lru_cache

import pytest
from hypothesis import settings

# scikit-learn's checks look at array API support only with this set.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

from sklearn.datasets import load_digits

from tfsoftmax.datasets import load_mnist

# Other programs on the machine may delay a test: how long it takes says nothing.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

# So that its assertions, too, show what they compare.
pytest.register_assert_rewrite(
    "tests.assertions",
    "tests.generated",
    "tests.robustness.oracle",
    "tests.searches",
)


@pytest.fixture(scope="session", autouse=True)
def _programs_are_compiled_once():
    """Keep the programs of all tests: 128 suffice a process, but not the suite."""
    from tfsoftmax.engine import compilation

    compilation._compile = lru_cache(maxsize=1000)(compilation._compile.__wrapped__)


@pytest.fixture
def no_programs(monkeypatch):
    """Have a test compile its programs anew, and leave those of other tests alone."""
    from tfsoftmax.engine import compilation

    empty = lru_cache(maxsize=128)(compilation._compile.__wrapped__)
    monkeypatch.setattr(compilation, "_compile", empty)


@pytest.fixture
def without_a_scheduler_afterwards():
    """Forget the scheduler of Dask clients that have ended out of order."""
    import dask
    import distributed

    yield
    if distributed.client._get_global_client() is None:
        dask.config.config.pop("scheduler", None)


@pytest.fixture(scope="session")
def mnist():
    """All training digits, (60000, 784) bytes; not to be written to."""
    X, y = load_mnist(return_X_y=True)
    X.setflags(write=False)
    y.setflags(write=False)
    return X, y


@pytest.fixture(scope="session")
def mnist_test():
    X, y = load_mnist("test", return_X_y=True)
    X.setflags(write=False)
    y.setflags(write=False)
    return X, y


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's 1797 digits of 8 by 8 pixels, in [0, 1]."""
    X, y = load_digits(return_X_y=True)
    return X / 16, y
