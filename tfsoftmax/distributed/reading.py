"""Conversion of Dask collections to parts, which the workers validate and encode.

    blocks → check → Checked → (classes and weights of all parts) → encode → Part

Both steps are tasks, so that Dask can repeat them for a part that was lost. A part is a
list of neighbouring blocks, which depend only on how the rows are divided into blocks.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import validate_data

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.targets import by_label
from tfsoftmax.distributed.checking import (
    NAMES,
    About,
    Checked,
    Names,
    about_of,
    check,
    refuse_mixture,
    this_version,
)
from tfsoftmax.distributed.cluster import Cluster
from tfsoftmax.distributed.dask_cluster import current_cluster
from tfsoftmax.distributed.part import Part
from tfsoftmax.distributed.rows import Parts
from tfsoftmax.validation.arrays import check_rows, refuse_zeros
from tfsoftmax.validation.collections import is_dask_frame, rows_in_blocks
from tfsoftmax.validation.errors import errors_name
from tfsoftmax.validation.labels import (
    check_labels,
    encode,
)
from tfsoftmax.validation.weights import class_weights, row_weights

# A task costs the scheduler 2 ms.
MAX_PARTS = 256


class Read(NamedTuple):
    """The validated rows, before they are encoded."""

    cluster: Cluster
    items: list[Any]
    abouts: list[About]
    n_features: int
    closing: ExitStack

    @property
    def labels(self) -> Any:
        """Labels in which each class occurs, or a soft label."""
        if self.abouts[0].soft is not None:
            return self.abouts[0].soft
        found = [about.classes for about in self.abouts]
        # Repeated: older scikit-learns mistake many distinct values for a regression.
        return np.repeat(np.concatenate(found), 2)


def read(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    names: Names = NAMES,
    *,
    reset: bool,
) -> Read:
    """Let the workers read and validate the blocks of Dask collections.

    Parameters
    ----------
    estimator : TFSoftmaxClassifier
    X, y, sample_weight
        As passed to `fit`.
    names : tuple of str
        The names of these arguments in errors.
    reset : bool
        Whether to store the number of features and their names on the estimator.
    """
    import dask

    if y is None:
        check_labels(y, 0, names[1])  # refuses it
    blocks = rows_in_blocks(X, y, sample_weight, names=names)
    without_rows = X._meta if is_dask_frame(X) else np.zeros((0, X.shape[1]))
    with errors_name(names[0]):
        validate_data(estimator, without_rows, skip_check_array=True, reset=reset)
    task = dask.delayed(check, pure=False)
    checker = dask.delayed(_reader(estimator), pure=False)
    with ExitStack() as closing:
        cluster = closing.enter_context(current_cluster())
        token = uuid.uuid4().hex
        tasks = [
            task(
                blocks[some],
                some.start,
                checker,
                names,
                this_version(),
                dask_key_name=f"tfsoftmax-check-{token}-{some.start}",
            )
            for some in neighbours(X, len(blocks))
        ]
        items = cluster.start(tasks)
        closing.callback(cluster.release, items)
        abouts = cluster.collect(about_of, items)
        filled = [i for i, about in enumerate(abouts) if about is not None]
        if not filled:
            check_rows(estimator, without_rows, names[0], reset=False)  # refuses it
        items, abouts = [items[i] for i in filled], [abouts[i] for i in filled]
        refuse_mixture([(a.is_sparse, a.soft is not None) for a in abouts], names)
        return Read(
            cluster,
            items,
            abouts,
            estimator.n_features_in_,
            closing.pop_all(),
        )


def _reader(estimator: Any) -> Any:
    """Return an estimator with only the attributes that describe the features."""
    reader = object.__new__(type(estimator))
    names = ("n_features_in_", "feature_names_in_")
    vars(reader).update({n: v for n, v in vars(estimator).items() if n in names})
    return reader


def neighbours(X: Any, n_blocks: int) -> Iterator[slice]:
    """Yield the blocks of each of at most `MAX_PARTS` parts of about equal size."""
    sizes = np.ones(n_blocks)
    chunks = getattr(X, "chunks", None)
    if chunks is not None and not np.isnan(chunks[0]).any():
        sizes = np.array(chunks[0], dtype=np.float64)
    start, rows, goal = 0, 0.0, sizes.sum() / MAX_PARTS
    for i, size in enumerate(sizes):
        rows += size
        if rows >= goal or i + 1 == n_blocks:
            yield slice(start, i + 1)
            start, rows = i + 1, 0.0


class Encoding(NamedTuple):
    """How to encode labels, and to scale weights to a mean of 1 over all rows.

    A row's sample weight is divided by `largest`, then multiplied by `scale` and by the
    weight of its class.
    """

    classes: NDArray[Any]
    name: str
    largest: float
    scale: float
    by_class: NDArray[np.float64] | None


def encode_parts(
    found: Read, classes: NDArray[Any], class_weight: Any = None, names: Names = NAMES
) -> tuple[Parts, float]:
    """Let the workers encode the parts; return the parts and Σs."""
    largest = max(about.largest for about in found.abouts)
    refuse_zeros(largest, names[2])
    n_rows = sum(about.n_rows for about in found.abouts)
    # The weights of the classes in each part, in units of the largest weight.
    totals = np.array([_spread(about, classes, names[1]) for about in found.abouts])
    totals *= np.array([[about.largest / largest] for about in found.abouts])
    counts = totals.sum(axis=0)
    total, by_class = counts.sum(), None
    if class_weight is not None:
        by_class = _weights_by_class(class_weight, classes, counts)
        if not isinstance(class_weight, str):  # "balanced" doesn't change the sum
            with np.errstate(over="ignore"):
                total = counts @ by_class
        by_class = np.where(counts > 0, by_class, 0)
        by_class /= by_class.max()  # so that huge weights don't overflow in the sum
        by_class *= counts.sum() / (counts @ by_class)
    encoding = Encoding(classes, names[1], largest, n_rows / counts.sum(), by_class)
    items = found.cluster.derive(encode_part, found.items, encoding)
    found.closing.callback(found.cluster.release, items)
    found.cluster.release(found.items)  # Dask can compute them again if necessary
    X, y = _without_rows(found, len(classes))
    parts = Parts(
        cluster=found.cluster,
        items=items,
        X=X,
        y=y,
        n_rows=n_rows,
        n_values=sum(about.n_values for about in found.abouts),
        largest_integer=max(about.largest_integer for about in found.abouts),
        class_totals=totals,
        closing=found.closing.pop_all(),
    )
    with np.errstate(over="ignore"):
        return parts, float(total * largest)


def encode_part(checked: Checked, encoding: Encoding) -> Part:
    """Return a part with encoded labels, on a worker."""
    blocks, by_sample = [], []
    for X, y, w in checked.blocks:
        codes = encode(y, encoding.classes, encoding.name)
        weights = None
        if w is not None:
            weights = w / encoding.largest * encoding.scale
        block = Dataset(X, codes, weights)
        by_sample.append(block)
        if (by_class := encoding.by_class) is not None:
            factors = by_label(codes, by_class)
            weights = factors if weights is None else weights * factors
            block = replace(block, weights=weights)
        blocks.append(block)
    return Part(blocks, None if encoding.by_class is None else by_sample)


def _spread(about: About, classes: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return the weight of each class in a part, 0 for classes that don't occur."""
    totals = np.zeros(len(classes))
    totals[encode(about.classes, classes, name)] = about.totals
    return totals


def _weights_by_class(
    class_weight: Any, classes: NDArray[Any], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the class weights; `counts` are the sums of sample weights by class."""
    each = np.arange(len(classes))
    # Refuses class weights that leave nothing, or overflow.
    row_weights(counts, len(each), class_weight=class_weight, y=each, classes=classes)
    return class_weights(class_weight, classes, each, counts)


def _without_rows(found: Read, n_classes: int) -> tuple[Any, NDArray[Any]]:
    """Return X and y without rows, but otherwise like those of all parts."""
    first = found.abouts[0]
    dtypes = (dtype for about in found.abouts for dtype in about.dtypes)
    X: Any = np.zeros((0, found.n_features), np.result_type(*dtypes))
    if first.is_sparse:
        X = sparse.csr_array(X)
    return X, np.zeros(0, np.int32) if first.soft is None else np.zeros((0, n_classes))
