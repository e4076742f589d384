from __future__ import annotations

import os

import pytest

# scikit-learn's checks look at array API support only with this set.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

from sklearn.datasets import load_digits

from tfsoftmax.datasets import load_mnist

# So that its assertions, too, show what they compare.
pytest.register_assert_rewrite(
    "tests.assertions",
    "tests.generated",
    "tests.robustness.oracle",
    "tests.searches",
)


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
