"""Thousands of bad calls: each gives a right result, or an error that names why.

A call starts from good arguments, of which one to three are spoiled by what the tables
below hold, or by numbers that hypothesis makes up. Each spoiler says whether the call
may still succeed, so the oracle knows of each call which arguments are to be blamed.
"""

from __future__ import annotations

import copy
import datetime
import functools
import inspect
import math
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from scipy.special import log_softmax
from sklearn.exceptions import (
    ConvergenceWarning,
    NotFittedError,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import InvalidParameterError

from tests import reference
from tfsoftmax import (
    TFSoftmaxClassifier,
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
    callbacks,
)

# How many calls: some in the plain suite, and enough in the slow one.
N_CALLS = pytest.mark.parametrize(
    "n_calls", [100, pytest.param(2000, marks=pytest.mark.slow)]
)

# What a spoiled argument makes of a call. LENGTH is bad, too, but then any of the
# arguments that should be as long as each other may be named.
GOOD, EITHER, BAD, LENGTH = "good", "either", "bad", "length"


class Odd(NamedTuple):
    """A way to spoil an argument: its name, what is to come of it, and the making."""

    name: str
    verdict: str
    make: Callable[[Any], Any] = lambda value: value

    def __repr__(self) -> str:
        return f"<{self.name}: {self.verdict}>"


class Call(NamedTuple):
    """Arguments, and of each that is odd the verdict."""

    arguments: dict[str, Any]
    verdicts: dict[str, str]
    names: dict[str, str]

    def __repr__(self) -> str:
        return f"Call({self.names}, {self.arguments})"


def table(**verdicts: Mapping[str, Callable[[Any], Any]]) -> list[Odd]:
    return [
        Odd(name, verdict, make)
        for verdict, makers in verdicts.items()
        for name, make in makers.items()
    ]


def relabelled(odds: list[Odd], verdict: str, *names: str) -> list[Odd]:
    """Change the verdict of those odds, for a function that sees them otherwise."""
    return [odd._replace(verdict=verdict) if odd.name in names else odd for odd in odds]


# The good arguments


class Problem(NamedTuple):
    X: Any
    y: Any
    weights: Any


def _problem(n_features: int, n_classes: int) -> Problem:
    """Small whole numbers, which every dtype holds; no two rows are equal."""
    X = (np.arange(12.0)[:, None] * [3, 5, 7][:n_features] % 13) % 8
    X[:, 0] = np.arange(12) % 8
    return Problem(X, np.arange(12) % n_classes, np.arange(12) % 3 + 1.0)


PROBLEMS = [_problem(3, 3), _problem(1, 2)]
PARAMETERS = {"batch_size": 5, "learning_rate": 0.02, "epochs": 2, "random_state": 0}


def estimator(**parameters: Any) -> TFSoftmaxClassifier:
    return TFSoftmaxClassifier(**PARAMETERS | parameters)


@functools.cache
def _fitted(number: int, dtype: str = "f8") -> TFSoftmaxClassifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator().fit(PROBLEMS[number].X.astype(dtype), PROBLEMS[number].y)


def fitted(number: int, dtype: str = "f8") -> TFSoftmaxClassifier:
    return copy.deepcopy(_fitted(number, dtype))


# The tables: rows


def objects(*values: Any) -> Callable[[Any], Any]:
    """Make an array of objects, in turn those values."""

    def make(good: Any) -> Any:
        result = np.empty(len(good), dtype=object)
        result[:] = [values[place % len(values)] for place in range(len(good))]
        return result

    return make


def always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def cast(dtype: Any) -> Callable[[Any], Any]:
    return lambda good: np.asarray(good).astype(dtype)


def read_only(good: Any) -> Any:
    good = good.copy()
    good.setflags(write=False)
    return good


def with_cell(value: Any, dtype: Any = object) -> Callable[[Any], Any]:
    """Put a value into the middle of the array."""

    def make(good: Any) -> Any:
        spoiled = good.astype(dtype)
        spoiled[(5, 0)[: good.ndim]] = value
        return spoiled

    return make


def structured(good: Any) -> Any:
    return np.zeros(len(good), dtype=[("a", "f8"), ("b", "i4")])


def corrupt(**changes: tuple[int, int]) -> Callable[[Any], Any]:
    """Make a sparse matrix whose parts contradict each other.

    Only so far that the damage stays inside the matrix if nobody notices.
    """

    def make(good: Any) -> Any:
        spoiled = sparse.csr_array(good + 1)
        for part, (place, value) in changes.items():
            getattr(spoiled, part)[place] = value
        return spoiled

    return make


def unsorted_with_duplicates(good: Any) -> Any:
    half = sparse.csr_array(good / 2)
    parts = [np.concatenate([a, a[::-1]]) for a in half.tocoo().coords]
    data = np.concatenate([half.tocoo().data, half.tocoo().data[::-1]])
    order = np.argsort(parts[0], kind="stable")
    indptr = np.concatenate([[0], np.bincount(parts[0], minlength=12).cumsum()])
    return sparse.csr_array((data[order], parts[1][order], indptr), shape=good.shape)


SPARSE_FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr")
NUMBER_TYPES = ("f4", "f2", "g", "i1", "u1", "i4", "i8", "u8", ">f8", ">i2", "O", "?")
NOTHING_LIKE_AN_ARRAY = {
    "None": always(None),
    "a number": always(3.0),
    "an array of no dimension": always(np.array(3.0)),
    "text": always("balanced"),
    "bytes": always(b"balanced"),
    "a dict": always({"a": 1}),
    "a set": always({1, 2}),
    "a function": always(len),
    "a class": always(int),
    "an estimator": always(LogisticRegression()),
    "an iterator": lambda _: iter([1, 2]),
    "records": structured,
}
ROWS = table(
    good={
        **{f"rows as {dtype}": cast(dtype) for dtype in NUMBER_TYPES},
        **{
            f"{form} rows": lambda X, form=form: sparse.csr_array(X).asformat(form)
            for form in SPARSE_FORMATS
        },
        "an old sparse matrix": sparse.csr_matrix,
        "unsorted sparse rows with duplicates": unsorted_with_duplicates,
        "sparse float32": lambda X: sparse.csc_array(X.astype("f4")),
        "a list": np.ndarray.tolist,
        "a tuple of arrays": tuple,
        "columns side by side": np.asfortranarray,
        "read-only rows": read_only,
        "a backward view": lambda X: X[::-1].copy()[::-1],
        "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
        "a masked array that masks nothing": np.ma.masked_array,
        "a frame": pd.DataFrame,
        "a frame with names": lambda X: pd.DataFrame(X).rename(columns="x{}".format),
        "a frame of nullable numbers": lambda X: pd.DataFrame(X).convert_dtypes(),
        "a polars frame": pl.DataFrame,
        "subnormal rows": lambda X: X * 5e-324,
        "tiny rows": lambda X: X * 1e-300,
        "too large for float32": lambda X: X * 1e39,
        "huge rows": lambda X: X * 1e100,
        "huge integers": lambda X: (X * 2**60).astype("i8") + 1,
        "nothing but zeros": lambda X: X * 0,
    },
    either={
        "near the largest float": lambda X: X * 1e300,
        "near the largest float32": lambda X: (X * 4e37).astype("f4"),
        "a masked array": lambda X: np.ma.masked_array(X, X > 3),
        "fractions": lambda X: np.vectorize(Fraction, otypes="O")(X.astype(int)),
        "text that looks like numbers": lambda X: X.astype(str).astype(object),
        "a frame with one name for all": lambda X: pd.DataFrame(X).rename(
            columns=always("x")
        ),
        "a frame of such text": lambda X: pd.DataFrame(X).astype("string"),
    },
    bad={
        **NOTHING_LIKE_AN_ARRAY,
        "one row as a vector": lambda X: X[0],
        "one column as a vector": lambda X: X[:, 0],
        "three dimensions": lambda X: X[None],
        "a ragged list": lambda X: [*X.tolist()[:-1], [1.0] * 9],
        "rows of nothing": lambda X: X[:, :0],
        "no rows": lambda X: X[:0],
        "a NumPy matrix": lambda X: quietly(np.asmatrix, X),
        **{f"rows as {dtype}": cast(dtype) for dtype in ("U", "S", "M8[s]", "m8[D]")},
        **{f"rows as {dtype}": cast(dtype) for dtype in ("c16", "V8")},
        "complex sparse rows": lambda X: sparse.csr_array(X + 1j),
        "text somewhere": with_cell("a"),
        "None somewhere": with_cell(None),
        "a list somewhere": with_cell([1]),
        "a date somewhere": with_cell(datetime.date(2020, 1, 1)),
        "an integer that no float holds": with_cell(10**400),
        "a long double that no double holds": with_cell(
            np.longdouble("1e4000"), np.longdouble
        ),
        "NaN somewhere": with_cell(np.nan, "f8"),
        "NaN in float16": with_cell(np.nan, "f2"),
        "infinity in float32": with_cell(-np.inf, "f4"),
        "sparse NaN": lambda X: sparse.csc_array(with_cell(np.nan, "f8")(X)),
        "sparse infinity": lambda X: sparse.coo_array(with_cell(np.inf, "f8")(X)),
        "a sparse index past the last": corrupt(indices=(0, 9)),
        "a negative sparse index": corrupt(indices=(6, -1)),
        "sparse rows that overlap": corrupt(indptr=(3, 5), indices=(0, 0)),
        "missing in a frame": lambda X: pd.DataFrame(X).convert_dtypes().mask(X > 3),
        "missing in a polars frame": lambda X: pl.DataFrame(
            with_cell(None)(X).tolist(), orient="row"
        ),
        "dates in a frame": lambda X: pd.DataFrame(X.astype("M8[s]")),
        "words in a frame": lambda X: pd.DataFrame(X).map("word {}".format),
        "names of mixed kinds": lambda X: pd.DataFrame(np.c_[X, X]).rename(
            columns={0: "a"}
        ),
    },
    length={"rows too few": lambda X: X[:7], "rows too many": lambda X: np.r_[X, X]},
)
WIDTHS = table(
    bad={
        "too wide": lambda X: np.c_[X, X],
        "too wide and sparse": lambda X: sparse.csr_array(np.c_[X, X]),
        "too wide a frame": lambda X: pd.DataFrame(np.c_[X, X]),
    }
)

# The tables: labels


def one_hot(y: Any) -> Any:
    return np.eye(y.max() + 1)[y]


def words(y: Any) -> Any:
    return np.array(["egg", "ham", "spam"])[y]


def soft(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda y: change(one_hot(y))


SAME_LABELS: dict[str, Callable[[Any], Any]] = {
    **{f"labels as {dtype}": cast(dtype) for dtype in ("i1", "u8", ">i4", "f8", "f2")},
    "a list": np.ndarray.tolist,
    "a tuple": tuple,
    "a series": pd.Series,
    "a nullable series": lambda y: pd.Series(y, dtype="Int64"),
    "a polars series": pl.Series,
    "one column": lambda y: y[:, None],
    "a frame of one column": lambda y: pd.DataFrame({"y": y}),
    "every second label": lambda y: np.repeat(y, 2)[::2],
    "read-only labels": read_only,
    "one-hot rows": one_hot,
    "one-hot integers": soft(cast("u1")),
    "a list of one-hot rows": soft(np.ndarray.tolist),
    "a frame of one-hot rows": soft(pd.DataFrame),
    "nearly one-hot rows": soft(lambda rows: rows * 1.00005),
}
OTHER_LABELS: dict[str, Callable[[Any], Any]] = {
    "words": words,
    "a list of words": lambda y: words(y).tolist(),
    "words as objects": lambda y: words(y).astype(object),
    "a series of words": lambda y: pd.Series(words(y)),
    "a series of strings": lambda y: pd.Series(words(y), dtype="string"),
    "categories": lambda y: pd.Series(pd.Categorical(words(y))),
    "a polars series of words": lambda y: pl.Series(words(y).tolist()),
    "polars categories": lambda y: pl.Series(words(y).tolist(), dtype=pl.Categorical),
    "truth values": lambda y: y == 0,
    "nullable truth values": lambda y: pd.Series(y == 0, dtype="boolean"),
    "negative integers": lambda y: -5 * y,
    "integers beyond 2**53": lambda y: y + 2**53,
    "the largest and the least integer": lambda y: (-1) ** y * (2**63 - 1),
    "unsigned integers beyond int64": lambda y: y.astype("u8") + np.uint64(2**63),
    "large whole floats": lambda y: y * 2.0**40,
}
LABELS = table(
    good=SAME_LABELS | OTHER_LABELS,
    either={
        **{f"labels as {dtype}": cast(dtype) for dtype in ("g", "O", "S", "m8[D]")},
        "days": cast("M8[D]"),
        "a masked array": lambda y: np.ma.masked_array(y, y == 1),
        "tuples": lambda y: [(label,) for label in y.tolist()],
        "dates": objects(datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)),
        "decimals": objects(Decimal(1), Decimal(2)),
        "truth and a number": objects(True, 2),
        "integers that no dtype holds": objects(2**70, 2**71),
        "huge whole floats": lambda y: y * 1e300,
        "one-hot rows of text": soft(cast(str)),
        "periods": lambda y: pd.Series(pd.period_range("2020", periods=len(y))),
    },
    bad={
        **NOTHING_LIKE_AN_ARRAY,
        "one class": lambda y: y * 0,
        "one class of words": lambda y: np.array(["egg"] * len(y)),
        "three dimensions": lambda y: one_hot(y)[None],
        "a ragged list": lambda y: [[1], [1, 2]] * 6,
        "halves": lambda y: y + 0.5,
        "subnormal labels": lambda y: y * 5e-324,
        "complex labels": lambda y: y + 1j,
        "void labels": lambda y: np.zeros(len(y), "V8"),
        "NaN among labels": with_cell(np.nan, "f8"),
        "infinity among labels": with_cell(np.inf, "f8"),
        "NaN among words": objects("a", np.nan),
        "None among words": objects("a", None),
        "None among numbers": objects(None, 1),
        "nothing but None": objects(None),
        "words and numbers": objects("a", 1),
        "words and bytes": objects("a", b"a"),
        "words and truth": objects("a", True),
        "arrays as labels": objects(np.array([1, 2]), np.array([1])),
        "a day that is none": lambda y: np.array(["NaT", "2020-01-01"], "M8[D]")[y % 2],
        "missing among categories": lambda y: pd.Series(
            ["a", None, "b"] * 4, dtype="category"
        ),
        "missing among strings": lambda y: pd.Series(
            ["a", None, "b"] * 4, dtype="string"
        ),
        "missing among integers": lambda y: pd.Series([1, None, 2] * 4, dtype="Int64"),
        "missing among truth values": lambda y: pd.Series(
            [True, None, False] * 4, dtype="boolean"
        ),
        "missing in a polars series": lambda y: pl.Series([1, None, 2] * 4),
        "missing among polars words": lambda y: pl.Series(["a", None, "b"] * 4),
        "probabilities with NaN": soft(lambda rows: np.where(rows > 0, np.nan, rows)),
        "probabilities with infinity": soft(lambda rows: np.where(rows, np.inf, 0)),
        "negative probabilities": soft(lambda rows: rows * 3 - 2),
        "probabilities that add up to 2": soft(lambda rows: rows * 2),
        "probabilities that add up to 0": soft(lambda rows: rows * 0),
        "several labels of a row": soft(lambda rows: np.ones_like(rows)),
        "complex probabilities": soft(lambda rows: rows + 1j),
        "words for probabilities": soft(lambda rows: np.full(rows.shape, "a")),
        "None for probabilities": soft(with_cell(None)),
        "dates for probabilities": soft(cast("M8[s]")),
        "sparse probabilities": soft(sparse.csr_array),
        "a sparse column": lambda y: sparse.csr_array(y[:, None]),
        "two columns of one name": lambda y: pd.DataFrame(
            np.eye(2)[y % 2], columns=["a", "a"]
        ),
    },
    length={
        "labels too few": lambda y: y[:5],
        "labels too many": lambda y: np.r_[y, y, y],
        "no labels": lambda y: y[:0],
        "labels in a row": lambda y: one_hot(y)[:3],
        "probabilities too few": soft(lambda rows: rows[:5]),
    },
)
# Where classes are known, other labels are bad, and one class is as good as two.
KNOWN_LABELS = [
    *relabelled(
        [odd for odd in LABELS if odd.name not in OTHER_LABELS],
        EITHER,
        *("one class", "huge whole floats", "large whole floats"),
    ),
    *table(
        bad={
            name: OTHER_LABELS[name]
            for name in ("words", "words as objects", "categories")
        },
        either={"truth values": OTHER_LABELS["truth values"]},
    ),
]
UNSEEN_LABELS = table(
    bad={
        "a label that is not among the classes": with_cell(7, int),
        "negative labels": lambda y: -y - 1,
        "labels beyond int32": lambda y: y + 2**32,
        "more columns than classes": lambda y: np.eye(5)[y],
    }
)

# The tables: weights, and classes of partial_fit

WEIGHTS = table(
    good={
        **{
            f"weights as {dtype}": cast(dtype)
            for dtype in ("f4", "f2", "g", "i8", ">f8")
        },
        "a list": np.ndarray.tolist,
        "a series": pd.Series,
        "a polars series": pl.Series,
        "read-only weights": read_only,
        "every second weight": lambda s: np.repeat(s, 2)[::2],
        "truth values": lambda s: s > 1,
        "huge weights": lambda s: s * 5e307,
        "subnormal weights": lambda s: s * 5e-324,
        "huge and tiny weights": lambda s: np.where(s > 1, s * 1e300, 1e-300),
        "None": always(None),
    },
    either={
        "a number": always(2.0),
        "an array of no dimension": always(np.array(2.0)),
        "True": always(True),
        "a word that is a number": always("1"),
        "weights as objects": cast(object),
        "weights as text": cast(str),
        "a masked array": lambda s: np.ma.masked_array(s, s > 2),
    },
    bad={
        **{
            name: make
            for name, make in NOTHING_LIKE_AN_ARRAY.items()
            if name not in ("None", "a number", "an array of no dimension")
        },
        "negative weights": lambda s: -s,
        "a negative weight": with_cell(-5e-324, "f8"),
        "NaN": always(np.nan),
        "zero": always(0),
        "NaN of no dimension": always(np.array(np.nan)),
        "an imaginary number": always(1j),
        "a time": always(np.timedelta64(1, "s")),
        "a date": always(np.datetime64("2020")),
        "an integer that no float holds": always(10**400),
        "nothing but zeros": lambda s: s * 0,
        "NaN somewhere": with_cell(np.nan, "f8"),
        "infinity somewhere": with_cell(np.inf, "f8"),
        "None somewhere": with_cell(None),
        "text somewhere": with_cell("a"),
        "a list somewhere": with_cell([1]),
        "an integer too large somewhere": with_cell(10**400),
        "a long double too large": with_cell(np.longdouble("1e4000"), np.longdouble),
        "one column": lambda s: s[:, None],
        "a square": lambda s: np.outer(s, s),
        "a ragged list": lambda s: [[1], [1, 2]] * 6,
        "missing in a series": lambda s: pd.Series([1, None, 2] * 4, dtype="Int64"),
        "a sparse column": lambda s: sparse.csr_array(s[:, None]),
        **{f"weights as {dtype}": cast(dtype) for dtype in ("c16", "M8[s]", "m8[s]")},
    },
    length={
        "weights too few": lambda s: s[:6],
        "weights too many": lambda s: np.r_[s, 1.0],
        "no weights": lambda s: s[:0],
    },
)
CLASSES = table(
    good={
        "a list": np.ndarray.tolist,
        "a tuple": tuple,
        "a series": pd.Series,
        "as floats": cast("f8"),
        "backward": lambda classes: classes[::-1],
        "repeated": lambda classes: np.tile(classes, 3),
    },
    either={
        "one more class": lambda classes: np.arange(len(classes) + 1),
        "a column": lambda classes: classes[:, None],
        "as objects": cast(object),
        "days": cast("M8[D]"),
        "times": cast("m8[D]"),
        "as bytes": cast("S"),
        "a masked array": lambda classes: np.ma.masked_array(classes, classes == 1),
    },
    bad={name: make for name, make in NOTHING_LIKE_AN_ARRAY.items() if name != "None"}
    | {
        "no classes": lambda classes: classes[:0],
        "one class": lambda classes: classes[:1],
        "words": words,
        "words and numbers": objects("a", 1),
        "None among them": objects(0, None),
        "NaN among them": lambda classes: np.array([0, 1, np.nan]),
        "infinity among them": lambda classes: np.array([0, 1, np.inf]),
        "halves": lambda classes: classes + 0.5,
        "complex": lambda classes: classes + 1j,
        "a ragged list": always([[0], [1, 2]]),
        "a square": lambda classes: np.eye(len(classes)),
        "a square of NaN": lambda classes: np.eye(len(classes)) * np.nan,
        "three dimensions": lambda classes: classes[None, None],
        "sparse": lambda classes: sparse.csr_array(classes[:, None]),
    },
)
UNEXPECTED = table(bad={"an unexpected argument": lambda _: 1})

# Numbers that hypothesis makes up

SPECIAL = [math.nan, math.inf, -math.inf, 1e300, -1e300, 1e39, 3e38, 2.0**53 + 2]
SPECIAL += [5e-324, -5e-324, 1e-310, -0.0, -1.0, 0.5]


def sprinkled(judge: Callable[[Any], str]) -> st.SearchStrategy[Odd]:
    """Put special numbers at any place."""
    places = st.tuples(st.integers(0, 11), st.integers(0, 2), st.sampled_from(SPECIAL))

    def odd(dtype: str, cells: list[tuple[int, int, float]], good: Any) -> Any:
        spoiled = good.copy()
        for row, column, value in cells:
            spoiled[(row, column % good.shape[-1])[: good.ndim]] = value
        with np.errstate(over="ignore"):
            return spoiled.astype(dtype)

    return st.builds(
        lambda dtype, cells: Made(functools.partial(odd, dtype, cells), judge),
        st.sampled_from(["f8", "f4", "g"]),
        st.lists(places, min_size=1, max_size=3),
    )


def arrays(judge: Callable[[Any], str]) -> st.SearchStrategy[Odd]:
    """Make whole arrays of any real dtype, in the shape of the good one."""
    dtypes = (
        hnp.floating_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes()
    )
    drawn = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, (12, 3)))
    return drawn.map(
        lambda cells: Made(
            lambda good: cells[:, : good.shape[1]] if good.ndim == 2 else cells[:, 0],
            judge,
        )
    )


class Made(NamedTuple):
    """Like an Odd, but it takes a look at the value for the verdict."""

    make: Callable[[Any], Any]
    judge: Callable[[Any], str]
    name: str = "made up"


def judge_rows(X: Any) -> str:
    with np.errstate(over="ignore"):
        as_float = X.astype(np.float64)
    limit = 1e15 if np.can_cast(X.dtype, np.float32) else 1e100
    if not np.isfinite(as_float).all():
        return BAD
    return GOOD if abs(as_float).max() <= limit else EITHER


def judge_weights(s: Any) -> str:
    with np.errstate(over="ignore"):
        as_float = s.astype(np.float64)
    good = np.isfinite(as_float).all() and (as_float >= 0).all() and as_float.any()
    return GOOD if good else BAD


ODD_ROWS = (ROWS, sprinkled(judge_rows) | arrays(judge_rows))
ODD_WEIGHTS = (WEIGHTS, sprinkled(judge_weights) | arrays(judge_weights))


def from_tables(*tables: Any) -> st.SearchStrategy[Any]:
    entries = [odd for one in tables if isinstance(one, list) for odd in one]
    made_up = [one for one in tables if not isinstance(one, list)]
    return st.one_of(*[st.sampled_from(entries)] * (1 + 2 * len(made_up)), *made_up)


@st.composite
def calls(draw: Any, good: dict[str, Any], odd: dict[str, Any]) -> Call:
    """Spoil one to three of the arguments."""
    names = draw(
        st.lists(st.sampled_from(sorted(odd)), min_size=1, max_size=3, unique=True)
    )
    arguments, verdicts, described = dict(good), {}, {}
    for name in sorted(names):
        spoiler = draw(odd[name])
        arguments[name] = spoiler.make(good.get(name))
        judge = getattr(spoiler, "judge", None)
        verdicts[name] = judge(arguments[name]) if judge else spoiler.verdict
        described[name] = spoiler.name
    return Call(arguments, verdicts, described)


# The oracle

# scikit-learn's ConvergenceWarning and DataConversionWarning are UserWarnings, too.
TOLERATED = UserWarning
FOREIGN = re.compile(r"tensorflow(?!\.org)|XLA|dlpack|Traceback", re.IGNORECASE)


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
    except Exception:
        return repr(value)


def state(clf: Any) -> Any:
    """Sum up what an estimator is: its parameters, by identity, and all else."""
    parameters = clf.get_params(deep=False)
    values = {
        name: pickle.dumps(value)
        for name, value in sorted(clf.__getstate__().items())
        if name not in parameters
    }
    return {
        name: (id(value), repr(value)) for name, value in parameters.items()
    }, values


def blamed(verdicts: Mapping[str, str]) -> set[str]:
    """Tell which arguments an error may name."""
    names = {name for name, verdict in verdicts.items() if verdict != GOOD}
    for name, verdict in verdicts.items():
        if verdict == LENGTH:
            suffix = "_val" if name.endswith("_val") else ""
            names |= {f"{one}{suffix}" for one in ("X", "y", "sample_weight")}
    return names


def outcome(
    method: Callable[..., Any],
    call: Call,
    *,
    owner: Any,
    also_allowed: tuple[type[Exception], ...] = (InvalidParameterError,),
) -> Any:
    """Call, and give the result; or None where a refusal was right."""
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
    strangers = [w for w in caught if not issubclass(w.category, TOLERATED)]
    assert not strangers, [f"{w.category.__name__}: {w.message}" for w in strangers]
    must_refuse = {BAD, LENGTH} & set(call.verdicts.values())
    if refusal is None:
        assert not must_refuse, f"accepted: {call.names}"
        return result
    assert type(refusal) in (TypeError, ValueError, *also_allowed), repr(refusal)
    names = blamed(call.verdicts)
    assert names, f"refused, though nothing is wrong: {refusal!r}"
    words_of = "|".join(map(re.escape, sorted(names)))
    assert re.search(rf"\b({words_of})\b", str(refusal)), f"no {words_of}: {refusal!r}"
    assert not FOREIGN.search(str(refusal)), str(refusal)
    assert after == before, "a refused call has changed the estimator"
    return None


def run(
    strategy: st.SearchStrategy[Any], check: Any, n_calls: int, record: Any
) -> None:
    """Try as many calls, and put on record how many there were."""
    tried = 0

    @settings(
        max_examples=n_calls,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def try_one(drawn: Any) -> None:
        nonlocal tried
        tried += 1
        check(drawn)

    try_one()
    assert tried >= n_calls
    record("bad calls", tried)


# What a right result is


def plain_rows(X: Any) -> Any:
    """Give the rows in the dtype that is documented to be trained in."""
    if sparse.issparse(X):
        X = X.toarray()
    elif isinstance(X, pd.DataFrame):
        X = X.to_numpy(dtype=np.float64)
    X = np.asarray(X)
    single = np.can_cast(X.dtype, np.float32)
    if X.dtype.kind in "iu":  # as integers that float32 holds are, whatever their dtype
        single = max(abs(int(X.max())), abs(int(X.min()))) <= 2**24
    return np.ascontiguousarray(X.astype(np.float32 if single else np.float64))


def plain_labels(y: Any) -> tuple[Any, Any]:
    """Give the classes, and the number of each row's class."""
    if isinstance(y, pd.DataFrame | pd.Series):
        y = np.array(y.to_numpy().tolist())
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return np.arange(y.shape[1]), y.astype(float).argmax(axis=1)
    return np.unique(y.ravel(), return_inverse=True)


def plain_weights(s: Any) -> Any:
    if np.ndim(s) == 0:  # one weight for all, or none
        return None
    s = np.asarray(s, dtype=np.float64)
    return s / abs(s).max()


def assert_sound(clf: TFSoftmaxClassifier, classes: Any, n_features: int) -> None:
    n_rows = 1 if len(classes) == 2 else len(classes)
    np.testing.assert_array_equal(clf.classes_, classes)
    assert clf.n_features_in_ == n_features
    assert clf.coef_.shape == (n_rows, n_features)
    assert clf.intercept_.shape == (n_rows,)
    assert clf.coef_.dtype == clf.intercept_.dtype
    assert clf.coef_.dtype in (np.float32, np.float64)
    for name in ("coef_", "intercept_", "loss_curve_", "history_"):
        assert np.isfinite(np.asarray(getattr(clf, name))).all(), f"{name}: not finite"


def assert_same_model(clf: Any, plain: Any, rtol: float = 0) -> None:
    for name in ("coef_", "intercept_", "loss_curve_"):
        expected = np.asarray(getattr(plain, name))
        atol = rtol * abs(expected).max()
        np.testing.assert_allclose(getattr(clf, name), expected, rtol=rtol, atol=atol)


def quietly(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(*args, **kwargs)


# Training


RECIPES: list[dict[str, Any]] = [
    {"shuffle": False},
    {"shuffle": False},
    {"class_weight": "balanced"},
    {"rescale": 0.5, "fit_intercept": False},
    {"early_stopping": True},
    {"optimizer": "lbfgs", "alpha": 0.01},
]


class Scene(NamedTuple):
    """A call, and what it is made on."""

    call: Call
    number: int
    problem: Problem
    former: bool
    recipe: dict[str, Any]


@st.composite
def fits(draw: Any) -> Scene:
    number, former = draw(st.integers(0, 1)), draw(st.booleans())
    recipe, problem = draw(st.sampled_from(RECIPES)), PROBLEMS[number]
    good = {"X": problem.X, "y": problem.y, "sample_weight": problem.weights}
    odd = {
        "X": from_tables(*ODD_ROWS),
        "y": from_tables(LABELS),
        "sample_weight": from_tables(*ODD_WEIGHTS),
    }
    if "early_stopping" not in recipe and draw(st.booleans()):
        good |= {f"{name}_val": value.copy() for name, value in good.items()}
        odd |= {
            "X_val": from_tables(*ODD_ROWS, WIDTHS),
            "y_val": from_tables(KNOWN_LABELS, UNSEEN_LABELS),
            "sample_weight_val": from_tables(*ODD_WEIGHTS),
            "epochs": from_tables(UNEXPECTED),
        }
    call = draw(calls(good, odd))
    verdicts = dict(call.verdicts)
    others = call.names.get("y") not in (None, *SAME_LABELS)
    if others and "X_val" in good and verdicts.get("y_val", GOOD) == GOOD:
        verdicts["y_val"] = EITHER  # whose labels are no longer the same
    if "early_stopping" in recipe:
        verdicts["early_stopping"] = EITHER  # which needs different rows of a class
    if EITHER in (verdicts.get("X"), verdicts.get("X_val")):
        verdicts["learning_rate"] = EITHER
    return Scene(call._replace(verdicts=verdicts), number, problem, former, recipe)


def model_of(scene: Scene) -> TFSoftmaxClassifier:
    clf = fitted(scene.number) if scene.former else estimator()
    return clf.set_params(**scene.recipe)


def tolerance(X: Any, y: Any, plain: Any) -> float:
    """Tell how far rounding may go: nowhere, where the same numbers are added up."""
    same = not sparse.issparse(X) and np.ndim(y) == 1
    return 0 if same else 1e-4 if plain.dtype == np.float32 else 1e-9


def check_fit(scene: Scene) -> None:
    clf, given = model_of(scene), scene.call.arguments
    if outcome(clf.fit, scene.call, owner=clf) is None:
        if scene.former:
            expected = fitted(scene.number).predict(scene.problem.X)
            np.testing.assert_array_equal(clf.predict(scene.problem.X), expected)
        return
    X, (classes, y) = plain_rows(given["X"]), plain_labels(given["y"])
    s = plain_weights(given["sample_weight"])
    assert_sound(clf, classes, X.shape[1])
    plain = estimator(**scene.recipe)
    quietly(plain.fit, X, y, s)
    assert_same_model(clf, plain, tolerance(given["X"], given["y"], X))
    predicted = quietly(clf.predict, given["X"])
    assert set(predicted.tolist()) <= set(clf.classes_.tolist())
    p = quietly(clf.predict_proba, X)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    if "shuffle" in scene.recipe and abs(X).max() < 20:
        assert_is_gradient_descent(clf, X, y, s)
    if scene.call.verdicts.get("y_val", GOOD) == GOOD and "X_val" in given:
        assert_held_out_loss(clf, given)


def assert_is_gradient_descent(clf: Any, X: Any, y: Any, s: Any) -> None:
    W, b, _ = reference.fit(
        X,
        y,
        len(clf.classes_),
        [np.arange(len(X))] * 2,
        batch_size=5,
        learning_rate=0.02,
        sample_weight=s,
    )
    close = {"rtol": 1e-4, "atol": 1e-5} if X.dtype == "f4" else {"rtol": 1e-9}
    np.testing.assert_allclose(clf.coef_, W, **{"atol": 1e-12} | close)
    np.testing.assert_allclose(clf.intercept_, b, **{"atol": 1e-12} | close)


def assert_held_out_loss(clf: Any, given: dict[str, Any]) -> None:
    X, (_, y) = plain_rows(given["X_val"]), plain_labels(given["y_val"])
    if abs(X).max() > 1e3 or len(np.unique(y)) < len(clf.classes_):
        return
    s = plain_weights(given["sample_weight_val"])
    W, b = clf.coef_.astype("f8"), clf.intercept_.astype("f8")
    log_p = log_softmax(reference.logits(X.astype("f8"), W, b, len(clf.classes_)), 1)
    losses = -log_p[np.arange(len(y)), y]
    rtol = 1e-9 if clf.coef_.dtype == X.dtype == "f8" else 1e-4
    expected = np.average(losses, weights=s)
    np.testing.assert_allclose(clf.history_.val_loss[clf.n_iter_], expected, rtol=rtol)


@N_CALLS
def test_fit(n_calls, record_property):
    run(fits(), check_fit, n_calls, record_property)


@st.composite
def partial_fits(draw: Any) -> Scene:
    number, former = draw(st.integers(0, 1)), draw(st.booleans())
    problem = PROBLEMS[number]
    good = {
        "X": problem.X,
        "y": problem.y,
        "classes": np.arange(problem.y.max() + 1),
        "sample_weight": problem.weights,
    }
    odd = {
        "X": from_tables(*ODD_ROWS, *[WIDTHS] * former),
        "y": from_tables(KNOWN_LABELS, UNSEEN_LABELS),
        "classes": from_tables(
            CLASSES, [Odd("None", GOOD if former else EITHER, always(None))]
        ),
        "sample_weight": from_tables(*ODD_WEIGHTS),
        "epochs": from_tables(UNEXPECTED),
    }
    call = draw(calls(good, odd))
    verdicts = dict(call.verdicts)
    if verdicts.get("X") == EITHER:
        verdicts["learning_rate"] = EITHER
    return Scene(call._replace(verdicts=verdicts), number, problem, former, {})


def check_partial_fit(scene: Scene) -> None:
    clf, plain, given = model_of(scene), model_of(scene), scene.call.arguments
    if outcome(clf.partial_fit, scene.call, owner=clf) is None:
        return
    n_classes = int(scene.problem.y.max()) + 1
    X, s = plain_rows(given["X"]), plain_weights(given["sample_weight"])
    if {EITHER} & {scene.call.verdicts.get(name) for name in ("y", "classes")}:
        assert_sound(clf, clf.classes_, X.shape[1])
        return
    assert_sound(clf, np.arange(n_classes), X.shape[1])
    labels, codes = plain_labels(given["y"])
    quietly(plain.partial_fit, X, labels[codes], np.arange(n_classes), s)
    assert_same_model(clf, plain, tolerance(given["X"], given["y"], X))


@N_CALLS
def test_partial_fit(n_calls, record_property):
    run(partial_fits(), check_partial_fit, n_calls, record_property)


def test_ten_thousand_classes():
    X = np.random.default_rng(0).normal(size=(10_000, 2))
    y = np.arange(10_000) * 7
    clf = quietly(estimator(batch_size=5_000, epochs=1).fit, X, y)
    assert_sound(clf, y, 2)
    call = Call({"X": X, "y": y, "classes": y[:-1]}, {"y": BAD}, {"y": "one unseen"})
    assert outcome(estimator().partial_fit, call, owner=clf) is None


# Prediction

PREDICTED_ROWS = [
    *relabelled(ROWS, GOOD, "rows too few", "rows too many"),
    *table(
        good={
            "one row": lambda X: X[:1],
            "a sparse row": lambda X: sparse.csr_array(X[:1]),
        }
    ),
    *WIDTHS,
]
STATES = ["f8", "f8", "f4", None]


@st.composite
def predictions(draw: Any) -> tuple[int, str | None, Call]:
    number, state = draw(st.integers(0, 1)), draw(st.sampled_from(STATES))
    rows = from_tables(PREDICTED_ROWS, *ODD_ROWS[1:])
    odd = {"X": rows, "epochs": from_tables(UNEXPECTED)}
    call = draw(calls({"X": PROBLEMS[number].X}, odd))
    if "epochs" in call.names and draw(st.integers(0, 9)):  # rarely
        del call.arguments["epochs"], call.verdicts["epochs"], call.names["epochs"]
    if state is None:
        call = call._replace(verdicts=call.verdicts | {"fit": BAD})
    return number, state, call


def assert_predicts(method: str, clf: Any, X: Any, result: Any) -> None:
    """Compare with the logits in long doubles, as far as rounding may take them."""
    X, W, b = (np.asarray(a, np.longdouble) for a in (X, clf.coef_, clf.intercept_))
    assert len(result) == len(X)
    if method == "predict":
        assert set(result.tolist()) <= set(clf.classes_.tolist())
    else:
        assert np.isfinite(result).all()
    logits = X @ W.T + b
    eps = np.finfo(
        np.result_type(result.dtype if method != "predict" else "f4", "f4")
    ).eps
    eps = np.finfo(clf.coef_.dtype).eps if method == "predict" else eps
    room = 50 * eps * (abs(X) @ abs(W).T + abs(b)) + np.finfo("f4").tiny
    if method == "decision_function":
        of_each = logits if logits.shape[1] > 1 else logits[:, 0]
        np.testing.assert_array_less(abs(result - of_each), room.reshape(result.shape))
        return
    if logits.shape[1] == 1:
        logits = np.c_[np.zeros_like(logits), logits]
    room = room.max(axis=1, keepdims=True)
    if method == "predict":
        highest = logits.max(axis=1)
        own = logits[np.arange(len(X)), np.searchsorted(clf.classes_, result)]
        assert (highest - own <= 2 * room[:, 0]).all()
        return
    assert result.shape == logits.shape
    p = result if method == "predict_proba" else np.exp(result)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    error = abs(p - np.exp(log_p))
    assert (error <= 4 * np.minimum(room, 1) + 50 * eps).all()


@N_CALLS
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function"]
)
def test_predicting(method, n_calls, record_property):
    def check(drawn: tuple[int, str | None, Call]) -> None:
        number, state, call = drawn
        clf = fitted(number, state) if state else estimator()
        errors = () if state else (NotFittedError,)
        result = outcome(getattr(clf, method), call, owner=clf, also_allowed=errors)
        if result is not None:
            assert_predicts(method, clf, plain_rows(call.arguments["X"]), result)

    run(predictions(), check, n_calls, record_property)


def judge_score_weights(s: Any) -> str:
    """scikit-learn's accuracy takes negative weights."""
    with np.errstate(over="ignore"):
        as_float = s.astype(np.float64)
    return EITHER if (as_float < 0).any() else judge_weights(s)


@st.composite
def scorings(draw: Any) -> tuple[int, Call]:
    number = draw(st.integers(0, 1))
    X, y, weights = PROBLEMS[number]
    unknown = ("negative labels", "a label that is not among the classes")
    unseen = relabelled(UNSEEN_LABELS, EITHER, *unknown, "labels beyond int32")
    made_up = sprinkled(judge_score_weights) | arrays(judge_score_weights)
    negative = relabelled(WEIGHTS, EITHER, "negative weights", "a negative weight")
    odd = {
        "X": from_tables(*ODD_ROWS, WIDTHS),
        "y": from_tables(KNOWN_LABELS, unseen),
        "sample_weight": from_tables(negative, made_up),
    }
    return number, draw(calls({"X": X, "y": y, "sample_weight": weights}, odd))


def check_score(drawn: tuple[int, Call]) -> None:
    number, call = drawn
    clf, given = fitted(number), call.arguments
    result = outcome(clf.score, call, owner=clf)
    if result is None:
        return
    labels, codes = plain_labels(given["y"])
    predicted = clf.predict(plain_rows(given["X"]))
    hits = [own == label for own, label in zip(predicted, labels[codes], strict=True)]
    s = plain_weights(given["sample_weight"])
    if s is None or (s >= 0).all():
        assert result == pytest.approx(np.average(hits, weights=s), rel=1e-9)


@N_CALLS
def test_score(n_calls, record_property):
    run(scorings(), check_score, n_calls, record_property)


# The parameters


def is_integer(value: Any) -> bool:
    no_integer = bool | np.timedelta64  # which NumPy calls a signed integer
    return isinstance(value, int | np.integer) and not isinstance(value, no_integer)


def is_number(value: Any) -> bool:
    return is_integer(value) or isinstance(value, float | np.floating | Fraction)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def numbers_in(
    allows: Callable[[float], bool], or_none: bool = False
) -> Callable[[Any], bool]:
    return lambda value: (
        (is_number(value) and allows(as_float(value))) or (or_none and value is None)
    )


def positive_integers(value: Any) -> bool:
    return is_integer(value) and value >= 1


def is_class_weight(value: Any) -> bool:
    if isinstance(value, dict):
        weights = list(value.values())
        return (
            set(value) <= {0, 1, 2}
            and all(map(numbers_in(lambda x: 0 <= x < math.inf), weights))
            and (len(value) < 3 or any(weights))
        )
    return value is None or (isinstance(value, str) and value == "balanced")


positive = numbers_in(lambda x: 0 < x < math.inf)
non_negative = numbers_in(lambda x: 0 <= x < math.inf)
OPTIMIZERS = ["sgd", "momentum", "nesterov", "adam", "lbfgs"]
SCHEDULES = ["constant", "cosine", "invscaling", "adaptive"]
# What the documentation allows.
ALLOWED: dict[str, Callable[[Any], bool]] = {
    "batch_size": positive_integers,
    "learning_rate": positive,
    "epochs": positive_integers,
    "optimizer": lambda value: isinstance(value, str) and value in OPTIMIZERS,
    "momentum": numbers_in(lambda x: 0 <= x < 1),
    "learning_rate_schedule": lambda v: isinstance(v, str) and v in SCHEDULES,
    "power_t": non_negative,
    "alpha": non_negative,
    "l1_ratio": numbers_in(lambda x: 0 <= x <= 1),
    "fit_intercept": is_flag,
    "rescale": numbers_in(lambda x: 0 < x < math.inf, or_none=True),
    "class_weight": is_class_weight,
    "shuffle": is_flag,
    "random_state": lambda value: (
        value is None
        or isinstance(value, np.random.RandomState)
        or (is_integer(value) and 0 <= value < 2**32)
    ),
    "early_stopping": is_flag,
    "validation_fraction": numbers_in(lambda x: 0 < x < 1),
    "tol": numbers_in(lambda x: 0 <= x < math.inf, or_none=True),
    "n_iter_no_change": positive_integers,
    "warm_start": is_flag,
    "verbose": lambda value: is_flag(value) or (is_integer(value) and value >= 0),
}
ODD_VALUES: list[Any] = [
    *[
        None,
        True,
        False,
        np.True_,
        "",
        "1",
        "balanced",
        "auto",
        "SGD",
        b"sgd",
        *OPTIMIZERS,
    ],
    *[*SCHEDULES, 1j, (), [], [1], (1,), {1}, int, len, object(), Ellipsis],
    *[0, 1, 2, -1, 10**18, 10**30, 10**400, -(10**400), 2**32, 2**31 - 1],
    *[0.0, -0.0, 0.5, 1.0, math.nan, math.inf, -math.inf, 5e-324, 1e-300, 1e300, 1e308],
    *[Fraction(1, 3), Fraction(1, 10**400), Decimal("0.5"), Decimal("NaN")],
    *[np.float16(0.5), np.float16("nan"), np.float32(0.1), np.float32("inf")],
    *[np.longdouble("0.5"), np.longdouble("1e4000"), np.longdouble("1e-4000")],
    *[np.int8(3), np.uint8(0), np.uint64(2**64 - 1), np.int64(-1), np.complex64(1)],
    *[
        np.array(1),
        np.array([1.0]),
        np.array("sgd"),
        np.str_("adam"),
        np.bytes_("adam"),
    ],
    *[np.datetime64("2020"), np.timedelta64(1, "s"), datetime.date(2020, 1, 1)],
    *[pd.NA, pd.NaT, pd.Series([1.0]), LogisticRegression(), np.random.RandomState(1)],
    *[np.random.default_rng(0), SimpleNamespace(value=1)],
]
CLASS_WEIGHTS: list[Any] = [
    *[
        {},
        {0: 2.0},
        {0: 1, 1: 2, 2: 3},
        {0: 0},
        {1: 5e-324},
        {1: 1e308},
        {0: Fraction(1, 2)},
    ],
    *[{0: -1.0}, {0: math.nan}, {1: math.inf}, {0: None}, {0: "1"}, {0: 1j}, {0: [1]}],
    *[{0: 0, 1: 0, 2: 0}, {0: 10**400}, {7: 1.0}, {"a": 1.0}, {None: 1}, {(0,): 1}],
    *[{0: np.array(1.0)}, {0: pd.NA}, {0: np.longdouble("1e4000")}, {0: Decimal(1)}],
]


def parameter_verdict(name: str, value: Any) -> str:
    if not ALLOWED[name](value):
        return BAD
    huge = is_number(value) and abs(as_float(value)) > 100 and not is_integer(value)
    unclear = (
        huge
        or value == "lbfgs"  # which excludes some others
        or (
            name in ("learning_rate", "alpha", "rescale", "power_t")
            and value is not None
            and as_float(value) > 100
        )
        or (name in ("early_stopping", "validation_fraction"))
    )
    return EITHER if unclear else GOOD


@st.composite
def parameters(draw: Any) -> tuple[bool, dict[str, Any], dict[str, str]]:
    names = st.lists(
        st.sampled_from(sorted(ALLOWED)), min_size=1, max_size=4, unique=True
    )
    values = st.one_of(
        st.sampled_from(ODD_VALUES),
        st.sampled_from(ODD_VALUES),
        st.integers(-2, 40),
        st.floats(),
        st.floats(0, 1),
        st.text(max_size=3),
    )
    given = {}
    for name in sorted(draw(names)):
        own = (
            values | st.sampled_from(CLASS_WEIGHTS)
            if name == "class_weight"
            else values
        )
        value = draw(own)
        if name == "epochs" and is_integer(value) and value > 40:
            value = 2
        given[name] = value
    verdicts = {name: parameter_verdict(name, value) for name, value in given.items()}
    if EITHER in verdicts.values():
        verdicts = {"learning_rate": EITHER, "early_stopping": EITHER} | verdicts
    return draw(st.booleans()), given, verdicts


def plain_parameter(value: Any) -> Any:
    if is_integer(value):
        return int(value)
    return (
        bool(value) if is_flag(value) else float(value) if is_number(value) else value
    )


def check_parameters(drawn: tuple[bool, dict[str, Any], dict[str, str]]) -> None:
    former, given, verdicts = drawn
    X, y, _ = PROBLEMS[0]
    clf = fitted(0).set_params(**given) if former else estimator(**given)
    assert all(clf.get_params()[name] is value for name, value in given.items())
    described = {name: repr(value)[:80] for name, value in given.items()}
    fit = functools.partial(clf.fit, X, y)
    if outcome(fit, Call({}, verdicts, described), owner=clf) is None:
        return
    assert_sound(clf, np.arange(3), 3)
    random = isinstance(clf.random_state, np.random.RandomState | None)
    if random or (former and clf.warm_start):
        return
    plain = estimator(**{name: plain_parameter(value) for name, value in given.items()})
    plain.set_params(batch_size=min(12, plain.batch_size), verbose=0)
    assert_same_model(clf, quietly(plain.fit, X, y))


@N_CALLS
def test_parameters(n_calls, record_property):
    assert set(ALLOWED) == set(inspect.signature(TFSoftmaxClassifier).parameters)
    run(parameters(), check_parameters, n_calls, record_property)


# What a fitted classifier becomes, and its callbacks

ODD_ARGUMENTS = st.one_of(
    st.sampled_from(ODD_VALUES), st.integers(), st.floats(), st.text(), st.binary()
)


@N_CALLS
@pytest.mark.parametrize("method", ["to_sklearn", "to_keras"])
def test_converting(method, n_calls, record_property):
    """They take no arguments, and a fitted estimator."""

    def check(drawn: tuple[bool, list[Any], dict[str, Any]]) -> None:
        is_fitted, positional, named = drawn
        clf = fitted(0) if is_fitted else estimator()
        convert = functools.partial(getattr(clf, method), *positional)
        verdicts = dict.fromkeys(named, BAD)
        if positional:
            verdicts[method] = BAD
        elif not named and not is_fitted:
            verdicts["fit"] = BAD
        call = Call(named, verdicts, {})
        if is_fitted and not verdicts and method == "to_keras":
            return  # test_travel.py looks at what it gives
        model = outcome(convert, call, owner=clf, also_allowed=(NotFittedError,))
        if model is not None:
            X = PROBLEMS[0].X
            np.testing.assert_array_equal(model.predict(X), clf.predict(X))

    arguments = st.lists(ODD_ARGUMENTS, max_size=2)
    names = st.sampled_from(["X", "y", "path", "name", "rescale", "dtype"])
    named = st.dictionaries(names, ODD_ARGUMENTS, max_size=2)
    run(st.tuples(st.booleans(), arguments, named), check, n_calls, record_property)


@pytest.mark.skipif(not callbacks.SUPPORTED, reason="scikit-learn has no callbacks")
@N_CALLS
def test_set_callbacks(n_calls, record_property):
    hooks = ("setup", "on_fit_task_begin", "on_fit_task_end", "teardown")

    def check(given: list[Any]) -> None:
        clf = fitted(0)
        verdicts = {"callbacks": BAD} if given else {}
        call = Call({"callbacks": given}, verdicts, {"callbacks": repr(given)})
        outcome(lambda callbacks: clf.set_callbacks(*callbacks), call, owner=clf)
        np.testing.assert_array_equal(
            quietly(clf.fit, *PROBLEMS[0][:2]).coef_, fitted(0).coef_
        )

    partly = st.sets(st.sampled_from(hooks), max_size=3).map(
        lambda names: SimpleNamespace(**dict.fromkeys(names, print))
    )
    run(st.lists(ODD_ARGUMENTS | partly, max_size=3), check, n_calls, record_property)


# The searches


def judge_search_weights(s: Any) -> str:
    """A fold may be left with zeros alone."""
    return EITHER if judge_weights(s) == GOOD else BAD


GRIDS = {
    "good": [{}, {"alpha": [0.0, 0.1]}, [{"epochs": [1]}, {}], {"alpha": (0,)}],
    "bad": [
        *[None, 5, "alpha", b"", 1.5, len, TFSoftmaxClassifier, [], [None], [5]],
        *[{"alpha": 1}, {"alpha": []}, {"alpha": "abc"}, {"alpha": None}, {1: [2]}],
        *[{"alpha": np.ones((2, 2))}, {"alpha": {"a": 1}}, {"alpha": {0.1, 0.2}}],
        *[{"nothing": [1]}, {"alpha__beta": [1]}, {"alpha": [-1.0]}, {"alpha": ["a"]}],
        *[{"alpha": [0.1, math.nan]}, {"epochs": [1, 1.5]}, {"epochs": [0]}],
        *[{"optimizer": ["sgd", "SGD"]}, {"batch_size": [None]}, {"tol": [[1]]}],
        *[{"learning_rate": [10**400]}, {"class_weight": [{7: 1.0}, {8: 2.0}]}],
        *[{"rescale": [np.array([1.0])]}, {"random_state": [object()]}],
    ],
}
SEARCH_ARGUMENTS: dict[str, dict[str, list[Any]]] = {
    "estimator": {
        "good": [estimator(), estimator(verbose=True)],
        "bad": [
            *[None, 5, "clf", TFSoftmaxClassifier, LogisticRegression(), {}, object()],
            *[[estimator()], make_pipeline(LogisticRegression()), len],
        ],
    },
    "cv": {
        "good": [2, 3, KFold(2), [([0, 1, 2, 3], [4, 5]), ([7, 6, 5], [0])]],
        "either": [None, [(range(6), range(6, 12))]],
        "bad": [
            *[0, 1, -3, 1.5, "2", object, [], [0], [([], [])], 100, 10**30, math.nan],
            *[[([0, 1, 2], [99])], [([0, -99, 2], [1])], [(["a"], ["b"])], [(0, 1)]],
            *[[([0.5, 1.5, 2.5], [1])], iter([]), [([0, 1, 2],)], {"a": 1}],
        ],
    },
    "scoring": {
        "good": ["accuracy", "neg_log_loss", None],
        "bad": [5, "accurate", b"accuracy", [], {}, ["accuracy", 5], {"a": 1}, (1,)],
    },
    "refit": {
        "good": [True],
        "either": ["accurate"],  # with one score any name will do
        "bad": [5, 1.5, None, [], b"accuracy"],
    },
    "error_score": {"good": [], "bad": [None, "ignore", [], b"raise", 1j]},
    "n_jobs": {"good": [1, None], "bad": ["two", 1.5, [], 0, math.nan]},
    "verbose": {"good": [0, 1], "bad": [-1, "much", None, 1.5]},
    "return_train_score": {"good": [True], "bad": ["yes", None, 5]},
}
SEARCHES = {
    "grid": (TFSoftmaxGridSearchCV, "param_grid", {}),
    "randomized": (
        TFSoftmaxRandomizedSearchCV,
        "param_distributions",
        {
            "n_iter": {"good": [2, 100], "bad": [0, -1, 1.5, None, "2", 1j]},
            "random_state": {"good": [0], "bad": [-1, "seed", 1.5, 2**32, object()]},
        },
    ),
}


@st.composite
def searches(
    draw: Any, kind: type, grid: str, more: dict[str, Any]
) -> tuple[Any, Call]:
    X, y, weights = PROBLEMS[draw(st.integers(0, 1))]
    made_up = sprinkled(judge_search_weights) | arrays(judge_search_weights)
    odd = {
        "X": from_tables(*ODD_ROWS),
        "y": from_tables(LABELS),
        "sample_weight": from_tables(WEIGHTS, made_up),
        "epochs": from_tables(UNEXPECTED),
    }
    own = {grid: GRIDS} | SEARCH_ARGUMENTS | more
    constructor = {
        name: st.sampled_from(
            [
                Odd(repr(value), verdict, always(value))
                for verdict, values in values.items()
                for value in values
            ]
        )
        for name, values in own.items()
    }
    options = {"estimator": estimator(), grid: {"alpha": [0.0, 0.1]}, "cv": 2}
    options |= {"error_score": "raise"}
    call = draw(
        calls({"X": X, "y": y, "sample_weight": weights} | options, odd | constructor)
    )
    given = call.arguments
    of_fit = {name: given.pop(name) for name in odd if name in given}
    verdicts = dict(call.verdicts)
    if call.names.get("X") == "made up" or verdicts.get("X") == EITHER:
        verdicts["learning_rate"] = EITHER  # a fold may lack the cell that is worse
    if verdicts.get(grid) == BAD:  # the parameters in it may be named, too
        entries = given[grid] if isinstance(given[grid], list) else [given[grid]]
        keys = [
            str(key) for entry in entries if isinstance(entry, dict) for key in entry
        ]
        verdicts |= {grid: EITHER} | dict.fromkeys(keys, BAD) if keys else {}
    return kind(**given), Call(of_fit, verdicts, call.names)


def check_search(drawn: tuple[Any, Call]) -> None:
    search, call = drawn
    if outcome(search.fit, call, owner=search) is None:
        return
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max()
    X, (classes, y) = plain_rows(call.arguments["X"]), plain_labels(call.arguments["y"])
    assert_sound(search.best_estimator_, classes, X.shape[1])
    plain = estimator(**search.best_params_)
    quietly(plain.fit, X, y, plain_weights(call.arguments["sample_weight"]))
    rtol = tolerance(call.arguments["X"], call.arguments["y"], X)
    assert_same_model(search.best_estimator_, plain, rtol)


@N_CALLS
@pytest.mark.parametrize("kind", SEARCHES)
def test_searching(kind, n_calls, record_property):
    run(searches(*SEARCHES[kind]), check_search, n_calls, record_property)
