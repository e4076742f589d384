"""The products with the features, V x̃ and e x̃ᵀ, of dense rows and of sparse ones.

Both classes have the same methods, so that a program is written once for both. They
differ in the memory layout of weights: (n_models, n_rows, n_columns) for dense rows,
for one matrix product, and (n_columns, n_models, n_rows) for sparse rows, so that the
weights by which a value is multiplied are contiguous. A sparse row is never made dense:

    V x̃ = Σ_j r_j x_j W_j − W μ + b    e x̃ᵀ = (r ∘ (e xᵀ) − e μᵀ, e)    μ = r ∘ m

M models, K classes, R weight rows, D columns and n rows are those of
:mod:`tfsoftmax.engine.softmax`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfsoftmax.data.padded_csr import BLOCK, RUN
from tfsoftmax.engine.features import augment
from tfsoftmax.engine.spec import ProgramSpec

Tensor = Any


class Dense:
    """Products with rows of one array."""

    # The axes that transpose weights (M, R, D) to this layout, and back.
    to_layout = from_layout = (0, 1, 2)

    def __init__(self, spec: ProgramSpec, scaling: tuple[Tensor, ...]) -> None:
        self._spec, self._scaling = spec, scaling

    def by_model(self, numbers: Tensor) -> Tensor:
        """Return numbers (M,) in the layout of V."""
        return numbers[:, None, None]

    def penalized(self) -> Tensor:
        """Return 1 for feature weights and 0 for intercepts, laid out like V."""
        return _is_feature(self._spec)

    def rows(self, X: Tensor, i: Tensor) -> Tensor:
        """Return the rows x̃ (n, D) of micro-batch i."""
        spec = self._spec
        size = spec.micro_batch_size
        x = tf.slice(X, [i * size, 0], [size, spec.n_features])
        return augment(tf.cast(x, spec.precision), self._scaling, spec.fit_intercept)

    def squares(self, x: Tensor) -> Tensor:
        """Compute ‖x̃‖² of each row, including the 1 for the intercept."""
        return tf.reduce_sum(x * x, axis=1)

    def matmul(self, V: Tensor, x: Tensor) -> Tensor:
        """Compute V x̃ (M, R, n)."""
        n_models, n_rows, n_columns = V.shape
        stacked = tf.reshape(V, (n_models * n_rows, n_columns))
        z = tf.matmul(stacked, x, transpose_b=True)
        return tf.reshape(z, (n_models, n_rows, x.shape[0]))

    def rmatmul(self, errors: Tensor, x: Tensor) -> Tensor:
        """Compute e x̃ᵀ, in the layout of V, from e (M, R, n)."""
        n_models, n_rows, n = errors.shape
        stacked = tf.reshape(errors, (n_models * n_rows, n))
        return tf.reshape(tf.matmul(stacked, x), (n_models, n_rows, x.shape[1]))


def _is_feature(spec: ProgramSpec) -> Tensor:
    return tf.cast(tf.range(spec.n_columns) < spec.n_features, spec.precision)


class SparseRows(NamedTuple):
    """The rows of a micro-batch: slots from `start` to `stop` of a PaddedCSR."""

    X: tuple[Tensor, ...]
    start: Tensor
    stop: Tensor


class Sparse:
    """Products with rows of a PaddedCSR.

    Attributes
    ----------
    spec : ProgramSpec
    centre : tensor of shape (n_features,) or None
        μ; None means zeros.
    """

    to_layout, from_layout = (2, 0, 1), (1, 2, 0)

    centre: Tensor

    def __init__(self, spec: ProgramSpec, scaling: tuple[Tensor, ...]) -> None:
        self.spec = spec
        *mean, self._factor = scaling
        self.centre = mean[0] * self._factor if spec.centred else None

    def by_model(self, numbers: Tensor) -> Tensor:
        """Return numbers (M,) in the layout of V."""
        return numbers[:, None]

    def penalized(self) -> Tensor:
        """Return 1 for feature weights and 0 for intercepts, laid out like V."""
        return _is_feature(self.spec)[:, None, None]

    def rows(self, X: tuple[Tensor, ...], i: Tensor) -> SparseRows:
        """Return the slots of the rows of micro-batch i."""
        starts = X[-1]
        return SparseRows(X, starts[i], starts[i + 1])

    def squares(self, x: SparseRows) -> Tensor:
        """Compute ‖x̃‖² of each row, including the 1 for the intercept."""
        spec = self.spec
        values, *places = x.X
        ones = tf.ones((spec.n_columns, 1, 1), spec.precision)
        squared = SparseRows((values * values, *places), x.start, x.stop)
        factor = self._factor * self._factor
        total = sparse_sums(ones, squared, spec.micro_batch_size, factor)
        if self.centre is not None:
            total += tf.reduce_sum(self.centre**2) - 2 * self.along_centre(x)
        return total[:, 0, 0] + (1 if spec.fit_intercept else 0)

    def matmul(self, V: Tensor, x: SparseRows) -> Tensor:
        """Compute V x̃ (M, R, n)."""
        spec = self.spec
        z = self.sums(V, x)
        if self.centre is not None:
            W = V[: spec.n_features]
            z -= tf.tensordot(self.centre, W, axes=1)
        if spec.fit_intercept:
            z += V[-1]
        return tf.transpose(z, (1, 2, 0))

    def rmatmul(self, errors: Tensor, x: SparseRows) -> Tensor:
        """Compute e x̃ᵀ, in the layout of V, from e (M, R, n)."""
        spec = self.spec
        n_models, n_rows, _ = errors.shape
        e = tf.transpose(errors, (2, 0, 1))
        zeros = tf.zeros((spec.n_columns, n_models, n_rows), spec.precision)
        G, total = self.add(zeros, x, e), tf.reduce_sum(e, axis=0)
        if self.centre is not None:
            G -= self.padded_centre()[:, None, None] * total
        if spec.fit_intercept:
            G = tf.tensor_scatter_nd_add(G, [[spec.n_features]], total[None])
        return G

    def padded_centre(self) -> Tensor:
        """Return μ with a 0 for the intercept (D,)."""
        return tf.pad(self.centre, [[0, self.spec.n_columns - self.spec.n_features]])

    def along_centre(self, x: SparseRows) -> Tensor:
        """Compute μ·(r ∘ x) of each row, as (n, 1, 1)."""
        return self.sums(self.centre[:, None, None], x)

    def sums(self, U: Tensor, x: SparseRows) -> Tensor:
        """Compute Σ_j r_j x_j U_j (n, M, R)."""
        return sparse_sums(U, x, self.spec.micro_batch_size, self._factor)

    def add(self, U: Tensor, x: SparseRows, e: Tensor) -> Tensor:
        """Add r ∘ (e xᵀ) to U, from e (n, M, R); work for the values of x alone."""
        return sparse_add(U, x, e, self._factor)


def sparse_sums(U: Tensor, x: SparseRows, n: int, factor: Tensor = None) -> Tensor:
    """Compute Σ_j r_j x_j U_j (n, …) for n rows, from U (n_features, …)."""

    def add_block(first: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        values, columns, rows = _block(x, first, U.shape.rank, factor)
        terms = values * tf.gather(U, columns)
        # In runs, since adding to rows takes twice as long as everything else.
        runs = tf.reduce_sum(tf.reshape(terms, (-1, RUN, *U.shape[1:])), axis=1)
        return first + BLOCK, tf.tensor_scatter_nd_add(z, rows[:, None], runs)

    zeros = tf.zeros((n, *U.shape[1:]), U.dtype)
    return _over_blocks(add_block, x, zeros)


def sparse_add(U: Tensor, x: SparseRows, e: Tensor, factor: Tensor = None) -> Tensor:
    """Add r ∘ (e xᵀ) to U (n_features, …), from e (n, …)."""

    def add_block(first: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
        values, columns, rows = _block(x, first, U.shape.rank, factor)
        terms = values * tf.repeat(tf.gather(e, rows), RUN, axis=0)
        return first + BLOCK, tf.tensor_scatter_nd_add(U, columns[:, None], terms)

    return _over_blocks(add_block, x, U)


def _over_blocks(add_block: Any, x: SparseRows, initial: Tensor) -> Tensor:
    _, result = tf.while_loop(
        lambda first, _: first < x.stop, add_block, (x.start, initial)
    )
    return result


def _block(
    x: SparseRows, first: Tensor, rank: int, factor: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return r_j x_j (BLOCK, 1, …) and j of a block's values, and the rows of the runs.

    Values beyond the last are 0.
    """
    values, columns = (tf.slice(part, [first], [BLOCK]) for part in x.X[:2])
    rows = tf.slice(x.X[2], [first // RUN], [BLOCK // RUN])
    values = tf.where(first + tf.range(BLOCK) < x.stop, values, 0)
    if factor is not None:
        values *= tf.gather(factor, columns) if factor.shape.rank == 1 else factor
    return tf.reshape(values, (BLOCK, *[1] * (rank - 1))), columns, rows
