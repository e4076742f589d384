"""What may be wrong with an argument, and may a call with it still succeed?

A call starts from good arguments, of which one to three are replaced by what the tables
below hold, or by numbers that hypothesis makes up. Each replacement says whether the
call may still succeed, so the oracle knows of each call which arguments are to be
blamed. A call in which nothing is odd is not drawn.
"""

from __future__ import annotations

import copy
import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from tests import problems
from tests.sparse_layouts import unsorted_with_duplicates
from tfsoftmax import TFSoftmaxClassifier

# What an odd argument makes of a call. LENGTH is bad, too, but then any of the
# arguments that should be as long as each other may be named.
GOOD, EITHER, BAD, LENGTH = "good", "either", "bad", "length"
# As good as GOOD, but nothing odd by itself: a default, say.
PLAIN = "plain"


class Odd(NamedTuple):
    """A replacement: its name, its verdict or a judge of its value, and the making."""

    name: str
    verdict: str | Callable[[Any], str]
    make: Callable[[Any], Any]

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Call(NamedTuple):
    """Arguments, and of each that is odd the verdict and the name."""

    arguments: dict[str, Any]
    verdicts: dict[str, str]
    names: dict[str, str]

    def __repr__(self) -> str:
        return f"Call({self.names}, {self.arguments})"


def table(**verdicts: dict[str, Callable[[Any], Any]]) -> list[Odd]:
    return [
        Odd(name, verdict, make)
        for verdict, makers in verdicts.items()
        for name, make in makers.items()
    ]


def judged_as(verdict: str, odds: list[Odd], *names: str) -> list[Odd]:
    """Change the verdict of those odds, for a method that sees them otherwise."""
    return [odd._replace(verdict=verdict) if odd.name in names else odd for odd in odds]


# The good arguments


class Arguments(NamedTuple):
    X: Any
    y: Any
    weights: Any


def _arguments(n_features: int, n_classes: int) -> Arguments:
    """Small whole numbers, which every dtype holds; no two rows are equal."""
    X = (np.arange(12.0)[:, None] * [3, 5, 7][:n_features] % 13) % 8
    X[:, 0] = np.arange(12) % 8
    return Arguments(X, np.arange(12) % n_classes, np.arange(12) % 3 + 1.0)


ARGUMENTS = [_arguments(3, 3), _arguments(1, 2)]
PARAMETERS = {"batch_size": 5, "learning_rate": 0.02, "epochs": 2}


def estimator(**parameters: Any) -> TFSoftmaxClassifier:
    return problems.estimator(**PARAMETERS | parameters)


def fitted(number: int, dtype: str = "f8") -> TFSoftmaxClassifier:
    return copy.deepcopy(_fitted(number, dtype))


@functools.cache
def _fitted(number: int, dtype: str) -> TFSoftmaxClassifier:
    X, y, _ = ARGUMENTS[number]
    return quietly(estimator().fit, X.astype(dtype), y)


def quietly(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(*args, **kwargs)


# How to replace a good argument


def always(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def cast(dtype: Any) -> Callable[[Any], Any]:
    return lambda good: np.asarray(good).astype(dtype)


def casts(what: str, *dtypes: str) -> dict[str, Callable[[Any], Any]]:
    return {f"{what} as {dtype}": cast(dtype) for dtype in dtypes}


def objects(*values: Any) -> Callable[[Any], Any]:
    """Make an array of objects, in turn those values."""

    def make(good: Any) -> Any:
        result = np.empty(len(good), dtype=object)
        result[:] = [values[i % len(values)] for i in range(len(good))]
        return result

    return make


def with_cell(value: Any, dtype: Any = object) -> Callable[[Any], Any]:
    """Put a value into the middle of the array."""

    def make(good: Any) -> Any:
        changed = good.astype(dtype)
        changed[(5, 0)[: good.ndim]] = value
        return changed

    return make


def read_only(good: Any) -> Any:
    good = good.copy()
    good.setflags(write=False)
    return good


def corrupt(**changes: tuple[int, int]) -> Callable[[Any], Any]:
    """Make a sparse matrix whose parts contradict each other.

    Only so far that the damage stays inside the matrix if nobody notices.
    """

    def make(good: Any) -> Any:
        changed = sparse.csr_array(good + 1)
        for part, (i, value) in changes.items():
            getattr(changed, part)[i] = value
        return changed

    return make


def lists_without_a_value(good: Any) -> Any:
    changed = sparse.lil_array(good + 1)
    changed.data[0] = changed.data[0][1:]
    return changed


NOTHING_LIKE_AN_ARRAY = {
    "None": always(None),
    "a number": always(3.0),
    "text": always("balanced"),
    "a dict": always({"a": 1}),
    "an iterator": lambda _: iter([1, 2]),
    "records": lambda good: np.zeros(len(good), dtype=[("a", "f8"), ("b", "i4")]),
}

# The tables: rows

SPARSE_FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr")
ROWS = table(
    good={
        **casts("rows", *("f4", "f2", "g", "i1", "u1", "i8", "u8", ">f8", "O", "?")),
        **{
            f"{form} rows": lambda X, form=form: sparse.csr_array(X).asformat(form)
            for form in SPARSE_FORMATS
        },
        "an old sparse matrix": sparse.csr_matrix,
        "unsorted sparse rows with duplicates": unsorted_with_duplicates,
        "a list": np.ndarray.tolist,
        "columns side by side": np.asfortranarray,
        "read-only rows": read_only,
        "a backward view": lambda X: X[::-1].copy()[::-1],
        "a masked array that masks nothing": np.ma.masked_array,
        "a frame": pd.DataFrame,
        "a frame of nullable numbers": lambda X: pd.DataFrame(X).convert_dtypes(),
        "a polars frame": pl.DataFrame,
        "subnormal rows": lambda X: X * 5e-324,
        "too large for float32": lambda X: X * 1e39,
        "huge rows": lambda X: X * 1e100,
        "huge integers": lambda X: (X * 2**60).astype("i8") + 1,
        "nothing but zeros": lambda X: X * 0,
    },
    either={
        "near the largest float": lambda X: X * 1e300,
        "near the largest float32": lambda X: (X * 4e37).astype("f4"),
        "text that looks like numbers": lambda X: X.astype(str).astype(object),
    },
    bad={
        **NOTHING_LIKE_AN_ARRAY,
        **casts("rows", "U", "S", "M8[s]", "m8[D]", "c16"),
        "one column as a vector": lambda X: X[:, 0],
        "a ragged list": lambda X: [*X.tolist()[:-1], [1.0] * 9],
        "no rows": lambda X: X[:0],
        "a NumPy matrix": lambda X: quietly(np.asmatrix, X),
        "text somewhere": with_cell("a"),
        "None somewhere": with_cell(None),
        "an integer that no float holds": with_cell(10**400),
        "a long double that no double holds": with_cell(np.longdouble("1e4000"), "g"),
        "such an object": with_cell(np.longdouble("1e4000")),
        "NaN somewhere": with_cell(np.nan, "f8"),
        "infinity in float32": with_cell(-np.inf, "f4"),
        "sparse NaN": lambda X: sparse.csc_array(with_cell(np.nan, "f8")(X)),
        "complex sparse rows": lambda X: sparse.csr_array(X + 1j),
        "a masked array": lambda X: np.ma.masked_array(X, X > 3),
        "a row of lists without a value": lists_without_a_value,
        "a sparse index past the last": corrupt(indices=(0, 9)),
        "a negative sparse index": corrupt(indices=(6, -1)),
        "sparse rows that overlap": corrupt(indptr=(3, 5), indices=(0, 0)),
        "missing in a frame": lambda X: pd.DataFrame(X).convert_dtypes().mask(X > 3),
        "missing in a polars frame": lambda X: pl.DataFrame(
            with_cell(None)(X).tolist(), orient="row"
        ),
        "dates in a frame": lambda X: pd.DataFrame(X.astype("M8[s]")),
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


def words(y: Any) -> Any:
    return np.array(["egg", "ham", "spam"])[y]


def soft(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda y: change(np.eye(y.max() + 1)[y])


# Without names, which stand for classes that are sorted.
NAMELESS_COLUMNS: dict[str, Callable[[Any], Any]] = {
    "one-hot rows": soft(np.asarray),
    "one-hot integers": soft(cast("u1")),
    "a list of one-hot rows": soft(np.ndarray.tolist),
    "nearly one-hot rows": soft(lambda rows: rows * 1.00005),
}
SAME_LABELS: dict[str, Callable[[Any], Any]] = {
    **casts("labels", "i1", "u8", ">i4", "f8", "f2"),
    **NAMELESS_COLUMNS,
    "a list": np.ndarray.tolist,
    "a series": pd.Series,
    "a nullable series": lambda y: pd.Series(y, dtype="Int64"),
    "a polars series": pl.Series,
    "one column": lambda y: y[:, None],
    "a frame of one column": lambda y: pd.DataFrame({"y": y}),
    "read-only labels": read_only,
    "a frame of one-hot rows": soft(pd.DataFrame),
}
OTHER_LABELS: dict[str, Callable[[Any], Any]] = {
    "words": words,
    "words as objects": lambda y: words(y).astype(object),
    "a series of strings": lambda y: pd.Series(words(y), dtype="string"),
    "categories": lambda y: pd.Series(pd.Categorical(words(y))),
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
        **casts("labels", "g", "O", "S", "m8[D]", "M8[D]"),
        "huge whole floats": lambda y: y * 1e300,
    },
    bad={
        **NOTHING_LIKE_AN_ARRAY,
        "one class": lambda y: y * 0,
        "a ragged list": lambda y: [[1], [1, 2]] * 6,
        "halves": lambda y: y + 0.5,
        "complex labels": lambda y: y + 1j,
        "NaN among labels": with_cell(np.nan, "f8"),
        "infinity among labels": with_cell(np.inf, "f8"),
        "NaN among words": objects("a", np.nan),
        "None among words": objects("a", None),
        "None among numbers": objects(None, 1),
        "words and numbers": objects("a", 1),
        "words and bytes": objects("a", b"a"),
        "a day that is none": lambda y: np.array(["NaT", "2020-01-01"], "M8[D]")[y % 2],
        "a masked array": lambda y: np.ma.masked_array(y, np.arange(len(y)) == 0),
        "missing among categories": lambda y: pd.Series(
            ["a", None, "b"] * 4, dtype="category"
        ),
        "missing among integers": lambda y: pd.Series([1, None, 2] * 4, dtype="Int64"),
        "missing in a polars series": lambda y: pl.Series([1, None, 2] * 4),
        "probabilities with NaN": soft(lambda rows: np.where(rows > 0, np.nan, rows)),
        "negative probabilities": soft(lambda rows: rows * 3 - 2),
        "probabilities that add up to 2": soft(lambda rows: rows * 2),
        "probabilities that add up to 0": soft(lambda rows: rows * 0),
        "sparse probabilities": soft(sparse.csr_array),
        "a sparse column": lambda y: sparse.csr_array(y[:, None]),
        "columns named by halves": lambda y: pd.DataFrame(
            np.eye(2)[y % 2], columns=[0.5, 1.5]
        ),
        "two columns of one name": lambda y: pd.DataFrame(
            np.eye(2)[y % 2], columns=["a", "a"]
        ),
    },
    length={
        "labels too few": lambda y: y[:5],
        "labels too many": lambda y: np.r_[y, y, y],
        "no labels": lambda y: y[:0],
        "probabilities too few": soft(lambda rows: rows[:5]),
    },
)
# Where classes are known, other labels are bad, and one class is as good as two.
KNOWN_LABELS = [
    *judged_as(
        EITHER,
        [odd for odd in LABELS if odd.name not in OTHER_LABELS],
        *("one class", "huge whole floats"),
    ),
    *table(
        bad={name: OTHER_LABELS[name] for name in ("words", "categories")},
        either={name: OTHER_LABELS[name] for name in ("truth values",)},
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
        **casts("weights", "f4", "f2", "g", "i8", ">f8"),
        "a list": np.ndarray.tolist,
        "a series": pd.Series,
        "a polars series": pl.Series,
        "read-only weights": read_only,
        "truth values": lambda s: s > 1,
        "huge weights": lambda s: s * 5e307,
        "subnormal weights": lambda s: s * 5e-324,
        "huge and tiny weights": lambda s: np.where(s > 1, s * 1e300, 1e-300),
    },
    plain={"None": always(None)},
    either={
        "a number": always(2.0),
        "weights as objects": cast(object),
    },
    bad={
        **{
            name: make
            for name, make in NOTHING_LIKE_AN_ARRAY.items()
            if name not in ("None", "a number")
        },
        **casts("weights", "c16", "M8[s]", "m8[s]"),
        "a masked array": lambda s: np.ma.masked_array(s, s > 2),
        "a negative weight": with_cell(-5e-324, "f8"),
        "NaN": always(np.nan),
        "zero": always(0),
        "nothing but zeros": lambda s: s * 0,
        "NaN somewhere": with_cell(np.nan, "f8"),
        "infinity somewhere": with_cell(np.inf, "f8"),
        "None somewhere": with_cell(None),
        "text somewhere": with_cell("a"),
        "a long double too large": with_cell(np.longdouble("1e4000"), "g"),
        "one column": lambda s: s[:, None],
        "a ragged list": lambda s: [[1], [1, 2]] * 6,
        "missing in a series": lambda s: pd.Series([1, None, 2] * 4, dtype="Int64"),
        "a sparse column": lambda s: sparse.csr_array(s[:, None]),
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
        "a series": pd.Series,
        "as floats": cast("f8"),
        "backward": lambda classes: classes[::-1],
        "repeated": lambda classes: np.tile(classes, 3),
    },
    either={
        "one more class": lambda classes: np.arange(len(classes) + 1),
        "a column": lambda classes: classes[:, None],
        "as objects": cast(object),
    },
    bad={name: make for name, make in NOTHING_LIKE_AN_ARRAY.items() if name != "None"}
    | {
        "a masked array": lambda classes: np.ma.masked_array(classes, classes == 1),
        "no classes": lambda classes: classes[:0],
        "one class": lambda classes: classes[:1],
        "words": words,
        "words and numbers": objects("a", 1),
        "None among them": objects(0, None),
        "NaN among them": lambda classes: np.array([0, 1, np.nan]),
        "too large for integers": lambda classes: classes * 1e300,
        "halves": lambda classes: classes + 0.5,
        "a ragged list": always([[0], [1, 2]]),
        "sparse": lambda classes: sparse.csr_array(classes[:, None]),
    },
)
UNEXPECTED = table(bad={"an unexpected argument": always(1)})

# Numbers that hypothesis makes up

SPECIAL = [math.nan, math.inf, -math.inf, 1e300, -1e300, 1e39, 3e38, 2.0**53 + 2]
SPECIAL += [5e-324, -5e-324, 1e-310, -0.0, -1.0, 0.5]


def sprinkled(judge: Callable[[Any], str]) -> st.SearchStrategy[Odd]:
    """Put special numbers into any cells."""
    cells = st.tuples(st.integers(0, 11), st.integers(0, 2), st.sampled_from(SPECIAL))

    def make(dtype: str, cells: list[tuple[int, int, float]], good: Any) -> Any:
        changed = good.copy()
        for row, column, value in cells:
            changed[(row, column % good.shape[-1])[: good.ndim]] = value
        with np.errstate(over="ignore"):
            return changed.astype(dtype)

    return st.builds(
        lambda dtype, cells: Odd(
            "made up", judge, functools.partial(make, dtype, cells)
        ),
        st.sampled_from(["f8", "f4", "g"]),
        st.lists(cells, min_size=1, max_size=3),
    )


def arrays(judge: Callable[[Any], str]) -> st.SearchStrategy[Odd]:
    """Make whole arrays of any real dtype, in the shape of the good one."""
    dtypes = (
        hnp.floating_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes()
    )

    def make(cells: Any, good: Any) -> Any:
        return cells[:, : good.shape[1]] if good.ndim == 2 else cells[:, 0]

    return dtypes.flatmap(lambda dtype: hnp.arrays(dtype, (12, 3))).map(
        lambda cells: Odd("made up", judge, functools.partial(make, cells))
    )


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


MADE_UP_ROWS = sprinkled(judge_rows) | arrays(judge_rows)
MADE_UP_WEIGHTS = sprinkled(judge_weights) | arrays(judge_weights)


def one_of(*tables: Any) -> st.SearchStrategy[Any]:
    """Draw from tables, and a third as often from each strategy among them."""
    entries = [odd for one in tables if isinstance(one, list) for odd in one]
    made_up = [one for one in tables if not isinstance(one, list)]
    return st.one_of(*[st.sampled_from(entries)] * (1 + 2 * len(made_up)), *made_up)


@st.composite
def calls(draw: Any, good: dict[str, Any], odd: dict[str, Any]) -> Call:
    """Replace one to three of the arguments, at least one of them by an odd value."""
    names = draw(
        st.lists(st.sampled_from(sorted(odd)), min_size=1, max_size=3, unique=True)
    )
    arguments, verdicts, described = dict(good), {}, {}
    for name in sorted(names):
        replacement = draw(odd[name])
        value = arguments[name] = replacement.make(good.get(name))
        verdict = replacement.verdict
        verdicts[name] = verdict(value) if callable(verdict) else verdict
        described[name] = replacement.name
    assume(set(verdicts.values()) != {PLAIN})
    verdicts = {name: GOOD if v == PLAIN else v for name, v in verdicts.items()}
    return Call(arguments, verdicts, described)
