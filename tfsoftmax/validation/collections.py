"""Dask collections: which are supported, and how their rows are divided into blocks.

Dask is imported only if such a collection is passed.
"""

from __future__ import annotations

import math
import reprlib
import sys
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tfsoftmax.utils.sklearn_compat import _safe_indexing
from tfsoftmax.validation.labels import check_length

if TYPE_CHECKING:
    from dask.delayed import Delayed

_NAMES = ("X", "y", "sample_weight")


def is_dask(values: Any) -> bool:
    """Whether values are a Dask array, DataFrame or Series."""
    return is_dask_array(values) or is_dask_frame(values)


def is_dask_array(values: Any) -> bool:
    """Whether values are a Dask array."""
    dask_array = sys.modules.get("dask.array")  # if not imported, they are not
    return dask_array is not None and isinstance(values, dask_array.Array)


def is_dask_frame(values: Any) -> bool:
    """Whether values are a Dask DataFrame or Series."""
    dask_frame = sys.modules.get("dask.dataframe")
    return dask_frame is not None and isinstance(
        values, (dask_frame.DataFrame, dask_frame.Series)
    )


def refuse_other_collections(values: Any, name: str) -> None:
    """Refuse lazy Dask objects that are neither an array nor a DataFrame."""
    kind = type(values)
    is_other = kind.__module__.partition(".")[0] == "dask" and not is_dask(values)
    if is_other and hasattr(kind, "__dask_graph__"):
        raise TypeError(
            f"{name} must be in memory, or a Dask array, DataFrame or Series; got a "
            f"{kind.__module__}.{kind.__qualname__}. Convert it to an array, for "
            "instance with dask.array.from_delayed, or pass the result of compute()."
        )


def check_blocks(X: Any, name: str = "X") -> None:
    """Check that X has two dimensions, and all columns in each block."""
    if X.ndim != 2:
        hint = f" Pass {name}[:, None] if it is a single feature." * (X.ndim == 1)
        raise ValueError(f"{name} must have two dimensions; it has {X.ndim}.{hint}")
    _check_whole_rows(X, name)


def n_rows_known(X: Any) -> int | None:
    """Return the number of rows of a Dask collection, or None if unknown."""
    sizes = _block_sizes(X)
    return None if sizes is None else sum(sizes)


def rows_in_blocks(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    names: tuple[str, str, str] = _NAMES,
) -> list[tuple[Delayed, Delayed | None, Delayed | None]]:
    """Return the rows of a Dask collection, their labels and weights, block by block.

    If a block of X and a block of y are computed from the same tasks, these run only
    once within a ``dask.compute``. The sizes of the blocks are compared here if Dask
    knows them; otherwise the reader of a block must compare them.

    Parameters
    ----------
    X : Dask array or DataFrame of shape (n_samples, n_features)
        The rows. The blocks of an array may be sparse.
    y : array-like or Dask collection, default=None
        The labels, with the same blocks as X, or in memory.
    sample_weight : array-like or Dask collection of shape (n_samples,), default=None
        The weights, likewise, or a number for all rows.
    names : tuple of str
        The names of the three arguments in errors.

    Returns
    -------
    blocks : list of tuple
        For each block, a Delayed for each of the three arguments, or None.
    """
    refuse_other_collections(X, names[0])
    if not is_dask(X):
        raise TypeError(
            f"{names[0]} must be a Dask collection if {names[1]} or {names[2]} is one, "
            f"but {names[0]} is in memory. Call compute() on the Dask collection or, "
            "in a pipeline, use steps that return Dask collections."
        )
    check_blocks(X, names[0])
    columns: list[list[Any]] = [[None] * n_blocks(X) for _ in names]
    lazy = {0: X}
    for i, values in ((1, y), (2, sample_weight)):
        refuse_other_collections(values, names[i])
        if is_dask(values):
            _check_same_blocks(values, names[i], X, names[0])
            lazy[i] = values
        elif values is not None:
            columns[i] = _cut(values, X, names[i], names[0])
    for has_kind in (is_dask_array, is_dask_frame):
        group = [i for i, values in lazy.items() if has_kind(values)]
        for i, blocks in zip(group, _to_delayed([lazy[i] for i in group]), strict=True):
            columns[i] = blocks
    return list(zip(*columns, strict=True))


def n_blocks(X: Any) -> int:
    """Return the number of blocks of rows of a Dask collection."""
    return len(X.chunks[0]) if is_dask_array(X) else int(X.npartitions)


def _block_sizes(X: Any) -> tuple[int, ...] | None:
    """Return the number of rows of each block, or None if any is unknown."""
    if not is_dask_array(X) or any(math.isnan(size) for size in X.chunks[0]):
        return None
    return tuple(map(int, X.chunks[0]))


def _check_whole_rows(values: Any, name: str) -> None:
    """Check that each block of a Dask array contains all columns."""
    if is_dask_array(values) and any(len(sizes) > 1 for sizes in values.chunks[1:]):
        raise ValueError(
            f"{name} must have all columns in each chunk; its columns are split into "
            f"chunks of {', '.join(map(str, values.chunks[1]))}. Call "
            f'{name} = {name}.rechunk({{0: "auto", 1: -1}}).'
        )


def _check_same_blocks(values: Any, name: str, X: Any, X_name: str) -> None:
    """Check that labels or weights have the same blocks as X, as far as is known."""
    if values.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have one or two dimensions; it has {values.ndim}."
        )
    _check_whole_rows(values, name)
    theirs, of_X = n_rows_known(values), n_rows_known(X)
    if theirs is not None and of_X is not None and theirs != of_X:
        raise ValueError(
            f"{name} must have an entry for each of the {of_X} rows of {X_name}; it "
            f"has {theirs}."
        )
    for look, words in (
        (n_blocks, "{} blocks"),
        (_block_sizes, "blocks of {} rows"),
        (_divisions, "divisions {}"),
    ):
        got, expected = look(values), look(X)
        if got is not None and expected is not None and got != expected:
            raise ValueError(
                f"{name} must have the same blocks of rows as {X_name}; it has "
                f"{words.format(reprlib.repr(got))}, and {X_name} has "
                f"{words.format(reprlib.repr(expected))}. "
                f"{_remedy(values, name, X, X_name)}"
            )


def _divisions(values: Any) -> tuple[Any, ...] | None:
    """Return the divisions of a Dask DataFrame's index, or None if unknown."""
    known = is_dask_frame(values) and values.known_divisions
    return tuple(values.divisions) if known else None


def _remedy(values: Any, name: str, X: Any, X_name: str) -> str:
    """Explain how to divide labels or weights like X."""
    if is_dask_frame(values) and is_dask_frame(X):
        if _divisions(values) and _divisions(X):
            return f"Call {name} = {name}.repartition(divisions={X_name}.divisions)."
        return f"Take {X_name} and {name} from the same DataFrame."
    steps = [
        *_steps_to_sizes(X, X_name),
        *_steps_to_sizes(values, name),
        f"{name} = {name}.rechunk({{0: {X_name}.chunks[0]}})",
    ]
    return f"Call {'; '.join(steps)}."


def _steps_to_sizes(X: Any, name: str) -> list[str]:
    """List the call that makes the sizes of blocks known, if they are not."""
    if is_dask_frame(X):
        return [f"{name} = {name}.to_dask_array(lengths=True)"]
    return [] if _block_sizes(X) else [f"{name}.compute_chunk_sizes()"]


def _cut(values: Any, X: Any, name: str, X_name: str) -> list[Delayed]:
    """Split labels or weights in memory like the blocks of X."""
    import dask

    if np.isscalar(values):
        return [dask.delayed(values)] * n_blocks(X)
    sizes = _block_sizes(X)
    if sizes is None:
        raise ValueError(
            f"{name} is in memory and can't be split like {X_name}, because the sizes "
            f"of {X_name}'s blocks are unknown. Pass {name} as a Dask collection with "
            f"the same blocks, or first call {_steps_to_sizes(X, X_name)[0]}."
        )
    check_length(values, sum(sizes), name, X_name)
    return [
        dask.delayed(_safe_indexing(values, slice(end - size, end)), traverse=False)
        for size, end in zip(sizes, accumulate(sizes), strict=True)
    ]


def _to_delayed(collections: list[Any]) -> list[list[Delayed]]:
    """Return the blocks of Dask arrays, or of DataFrames and Series.

    Dask, and `dask.optimize` too, optimises each collection separately, so that each
    would read their common source. They are therefore joined into one, of tuples.
    """
    if not collections:
        return []
    if len(collections) == 1:
        (values,) = collections
        return [list(np.ravel(values.to_delayed()))]
    together = _tuples_of_arrays if is_dask_array(collections[0]) else _tuples_of_frames
    tuples = list(together(collections).to_delayed())
    return [[blocks[i] for blocks in tuples] for i in range(len(collections))]


def _tuples_of_arrays(arrays: list[Any]) -> Any:
    """Return a Dask array whose blocks are tuples of the arrays' blocks."""
    import dask.array as da

    # An index for the rows, and one for each other axis of each array.
    indices = [
        (0, *range(10 * i + 1, 10 * i + array.ndim)) for i, array in enumerate(arrays)
    ]
    return da.blockwise(
        _blocks_of_arrays,
        (0,),
        *chain.from_iterable(zip(arrays, indices, strict=True)),
        align_arrays=False,  # they are aligned; Dask can't align unknown sizes
        meta=np.empty(0, dtype=object),
    )


def _tuples_of_frames(frames: list[Any]) -> Any:
    """Return a Dask Series whose partitions are tuples of the frames' partitions."""
    first, *others = frames
    return first.map_partitions(
        _blocks_of_frames,
        *others,
        meta=(None, object),
        enforce_metadata=False,
        align_dataframes=False,
    )


def _blocks_of_arrays(*blocks: Any) -> tuple[Any, ...]:
    """Return the blocks; if they have more axes, Dask passes each in a list."""
    return tuple(block[0] if isinstance(block, list) else block for block in blocks)


def _blocks_of_frames(*blocks: Any) -> tuple[Any, ...]:
    return blocks
