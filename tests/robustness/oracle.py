"""Was what came of a call right: its result, or the error that names why?

A result is compared with that of the same call with plain arrays. A refusal names an
argument that is to be blamed, and changes nothing.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from scipy import sparse

from tests.robustness.odd_values import BAD, GOOD, LENGTH, Call
from tfsoftmax import TFSoftmaxClassifier

FOREIGN = re.compile(r"tensorflow(?!\.org)|XLA|dlpack|Traceback", re.IGNORECASE)


def outcome(
    method: Callable[..., Any],
    call: Call,
    *,
    owner: Any,
    reads_only: bool = False,
    also_allowed: tuple[type[Exception], ...] = (),
) -> Any:
    """Call, and return the result; or None where a refusal was right.

    The `owner` is the estimator that is called, which a refusal leaves as it was, and
    so does a success where the method `reads_only`.
    """
    inputs = {name: fingerprint(value) for name, value in call.arguments.items()}
    before = state(owner)
    refusal, result = None, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = method(**call.arguments)
        except (TypeError, ValueError) as error:
            refusal = error
    after = state(owner)
    assert after[0] == before[0], "a constructor parameter has changed"
    for name, value in call.arguments.items():
        assert fingerprint(value) == inputs[name], f"{name} has changed"
    # scikit-learn's are UserWarnings, too; NumPy's are not.
    strangers = [w for w in caught if not issubclass(w.category, UserWarning)]
    assert not strangers, [f"{w.category.__name__}: {w.message}" for w in strangers]
    if refusal is None:
        must_refuse = {BAD, LENGTH} & set(call.verdicts.values())
        assert not must_refuse, f"accepted: {call.names}"
        assert after == before or not reads_only, "a reader has changed the estimator"
        return result
    assert type(refusal) in (TypeError, ValueError, *also_allowed), repr(refusal)
    names = blamed(call)
    assert names, f"refused, though nothing is wrong: {refusal!r}"
    words = "|".join(map(re.escape, sorted(names)))
    assert re.search(rf"\b({words})\b", str(refusal)), f"no {words}: {refusal!r}"
    assert not FOREIGN.search(str(refusal)), str(refusal)
    assert after == before, "a refused call has changed the estimator"
    return None


def blamed(call: Call) -> set[str]:
    """Return the arguments that an error may name."""
    names = {name for name, verdict in call.verdicts.items() if verdict != GOOD}
    for name, verdict in call.verdicts.items():
        if verdict == LENGTH:
            suffix = "_val" if name.endswith("_val") else ""
            names |= {f"{one}{suffix}" for one in ("X", "y", "sample_weight")}
    return names


def fingerprint(value: Any) -> Any:
    """Sum up a value, so that any change shows."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        layout = value.dtype, value.shape, value.strides, value.flags.writeable
        return type(value), layout, value.tobytes()
    if sparse.issparse(value):
        parts = ("data", "indices", "indptr", "coords", "rows", "shape", "format")
        return [fingerprint(getattr(value, part, None)) for part in parts]
    if isinstance(value, pl.DataFrame | pl.Series):
        return repr(value), value.shape
    if isinstance(value, pd.DataFrame | pd.Series):
        return repr((value.axes, value.attrs, value.to_numpy(object).tolist()))
    try:
        return pickle.dumps(value)
    except TypeError:  # an iterator
        return repr(value)


def state(estimator: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Sum up what an estimator is: its parameters, by identity, and all else."""
    parameters = estimator.get_params(deep=False)
    return {name: (id(value), repr(value)) for name, value in parameters.items()}, {
        name: pickle.dumps(value)
        for name, value in sorted(estimator.__getstate__().items())
        if name not in parameters
    }


# The same arguments as plain arrays


def plain_rows(X: Any, optimizer: str = "sgd") -> Any:
    """Return the rows in the dtype that is documented to be trained in."""
    if sparse.issparse(X):
        X = X.toarray()
    elif isinstance(X, pd.DataFrame):
        X = X.to_numpy(dtype=np.float64)
    X = np.asarray(X)
    single = np.can_cast(X.dtype, np.float32)
    if (
        X.dtype.kind in "iu" and optimizer != "lbfgs"
    ):  # as integers that float32 holds are, whatever their dtype
        single = max(abs(int(X.max())), abs(int(X.min()))) <= 2**24
    return np.ascontiguousarray(X.astype(np.float32 if single else np.float64))


def plain_labels(y: Any) -> tuple[Any, Any]:
    """Return the classes, and the number of each row's class."""
    if isinstance(y, pd.DataFrame | pd.Series):
        y = np.array(y.to_numpy().tolist())
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return np.arange(y.shape[1]), y.astype(float).argmax(axis=1)
    return np.unique(y.ravel(), return_inverse=True)


def plain_weights(s: Any) -> Any:
    """Return weights of at most 1; None, where all are the same."""
    if np.ndim(s) == 0:
        return None
    s = np.asarray(s, dtype=np.float64)
    return s / abs(s).max()


# What a right result is


def assert_sound(clf: TFSoftmaxClassifier, classes: Any, n_features: int) -> None:
    n_rows = 1 if len(classes) == 2 else len(classes)
    np.testing.assert_array_equal(clf.classes_, classes)
    assert clf.n_features_in_ == n_features
    assert clf.coef_.shape == (n_rows, n_features)
    assert clf.intercept_.shape == (n_rows,)
    assert clf.coef_.dtype == clf.intercept_.dtype
    assert clf.coef_.dtype in (np.float32, np.float64)
    # A warm start may be the first fit that measures held-out rows.
    history = clf.history_.astype(float)  # of `kept`, 0 and 1
    for values in (clf.coef_, clf.intercept_, clf.loss_curve_, history.iloc[-1]):
        assert np.isfinite(np.asarray(values)).all(), f"not finite: {values}"
    assert np.isfinite(history.filter(regex="^(?!val_)").to_numpy()).all()


def tolerance(X: Any, y: Any, plain: Any) -> float:
    """Return how far rounding may go: nowhere, where the same numbers are added up.

    Those that are cast from bytes are added up by another program.
    """
    same = not sparse.issparse(X) and np.ndim(y) == 1
    if plain.dtype == np.float32:
        return 1e-6 if same else 1e-4
    return 0 if same else 1e-9
