"""Errors that name the invalid argument."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import numpy as np
from sklearn.exceptions import NotFittedError

# Packages whose errors may lack the name of the argument.
_LIBRARIES = (
    *("builtins", "numpy", "scipy", "sklearn"),
    *("pandas", "narwhals", "polars", "pyarrow"),
)


@contextlib.contextmanager
def errors_name(name: str, *others: type[Exception]) -> Iterator[None]:
    """Add the argument's name to an error that lacks it, as NumPy's often do.

    Wrap only the validation of an argument, never a user's code. An OverflowError, as
    from an integer that is too large, and the `others` become a ValueError. Exception
    classes of other packages are left unchanged.
    """
    kinds: tuple[type[Exception], ...]
    kinds = (TypeError, ValueError, OverflowError, *others)
    try:
        yield
    except NotFittedError:
        raise
    except kinds as error:
        is_named = re.search(rf"\b{re.escape(name)}\b", str(error))
        is_foreign = type(error).__module__.partition(".")[0] not in _LIBRARIES
        if is_foreign or (is_named and isinstance(error, (TypeError, ValueError))):
            raise
        message = f"{name} can't be used: {error}"
        if type(error) in (TypeError, ValueError):
            error.args = (message,)  # the same error, which a caller may look for
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(message) from error


@contextlib.contextmanager
def errors_note(first: int, last: int, name: str = "X") -> Iterator[None]:
    """Add a note to an error with the numbers of the blocks in which it occurred."""
    try:
        yield
    except (TypeError, ValueError) as error:
        blocks = f"block {first}" if first == last else f"blocks {first} to {last}"
        error.add_note(f"In {blocks} of {name}, counted from 0.")
        raise


def silent_checks() -> np.errstate:
    """Silence NumPy while scikit-learn looks for non-finite values."""
    return np.errstate(over="ignore", invalid="ignore")
