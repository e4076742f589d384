"""The compiled program: the loss, its gradient and the update, over a chunk of rows.

With x̃ = (r·x, 1) and V = (W, b), the intercept is the weight of a constant
feature, and for one row x with the target probabilities t (one-hot, mostly)

    z = V x̃        CE = logsumexp(z) − t·z        ∂CE/∂V = (softmax(z) − t) x̃ᵀ

A chunk is a number of *tiles*, the rows of one matrix product. A batch is one
tile, or several in a row where it is too large for one. M models are trained
side by side on the same batches, as one product of (M·R, D) with (D, tile).

Shapes: M models, K classes, R weight rows (K, or 1 with two classes, where the
first is the reference and its logit is 0), D columns (the features and, with an
intercept, the constant one), `tile` rows in a tile.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from joblib import cpu_count
from numpy.typing import NDArray

from tfsoftmax.chunks import CLOSES_BATCH, Chunk
from tfsoftmax.updates import UPDATES, Slots, Step, Tensor


@dataclass(frozen=True)
class Shape:
    """All that a program is compiled for; whatever else varies is an argument."""

    n_models: int
    n_classes: int
    n_features: int
    fit_intercept: bool
    tile: int
    n_tiles: int
    batch_spans_tiles: bool
    soft_labels: bool
    own_weights: bool  # each model has row weights of its own
    storage: str  # dtype in which the rows of X come
    precision: str  # dtype in which is computed
    optimizer: str | None  # the update rule; None where no steps are taken

    @property
    def n_rows(self) -> int:
        """Weight rows R of one model."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def n_columns(self) -> int:
        """Weight columns D of one model."""
        return self.n_features + self.fit_intercept

    @property
    def n_weightings(self) -> int:
        """Weights of one row."""
        return self.n_models if self.own_weights else 1

    @property
    def weights(self) -> tuple[int, int, int]:
        """Shape of V."""
        return self.n_models, self.n_rows, self.n_columns


# What models that are trained side by side may differ in, in this order: the learning
# rate, the momentum, and the penalties' strengths, alpha·(1 − l1_ratio) and
# alpha·l1_ratio.
HYPERPARAMETERS = ("rate", "momentum", "l2", "l1")


@dataclass(frozen=True)
class State:
    """What an update changes: the weights V and the rule's slots, as tensors.

    `gradient` is what the tiles seen so far of an unfinished batch add up to; there
    is none where each batch is one tile.
    """

    V: Tensor
    slots: Slots
    gradient: Slots


class Data(NamedTuple):
    """A chunk, as tensors that share its memory."""

    X: Tensor
    y: Tensor
    weights: Tensor
    tiles: Tensor


class Program:
    """The compiled functions for one shape; it has no state of its own."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def start(
        self, V: NDArray[Any] | None = None, slots: tuple[NDArray[Any], ...] = ()
    ) -> State:
        """Bring weights and slots to TensorFlow; without any, all start at zero."""
        gradient = tuple(map(_zeros, _open_gradient(self.shape)))
        if V is None:
            slots = tuple(map(_zeros, _slots(self.shape)))
            return State(_zeros(_weights(self.shape)), slots, gradient)
        return State(tf.constant(V), tuple(map(tf.constant, slots)), gradient)

    def numbers(self, values: Any) -> Tensor:
        """Bring numbers to TensorFlow, in the precision of computing.

        Each takes 12 µs, and as much again in every call that gets it: so once for
        many chunks, and few.
        """
        return tf.constant(np.asarray(values), self.shape.precision)

    def train(
        self, state: State, chunk: Chunk, hyper: Tensor, rescale: Tensor
    ) -> tuple[State, NDArray[Any]]:
        """Take the steps of one chunk.

        Parameters
        ----------
        state : State
        chunk : Chunk
        hyper : tensor of shape (4, n_models)
            The `HYPERPARAMETERS`, as `numbers`.
        rescale : tensor of shape ()
            The factor r on every feature.

        Returns
        -------
        state : State
        sums : ndarray of shape (n_tiles of the chunk, 2, n_models)
            Σ w·CE and Σ w·[predicted = y] of each tile, before its update.
        """
        V, slots, gradient, sums = compiled(_train, self.shape)(
            state.V, state.slots, state.gradient, hyper, rescale, _hand_over(chunk)
        )
        # Fetching the sums waits for the program, so the buffers are free again.
        return State(V, slots, gradient), sums.numpy()[: chunk.n_tiles]

    def accumulate(
        self, V: Tensor, gradient: Tensor, chunk: Chunk, rescale: Tensor
    ) -> tuple[Tensor, NDArray[Any]]:
        """Add the gradient at V of one chunk, and take no step."""
        gradient, sums = compiled(_accumulate, self.shape)(
            V, gradient, rescale, _hand_over(chunk)
        )
        return gradient, sums.numpy()[: chunk.n_tiles]

    def evaluate(self, V: Tensor, chunk: Chunk, rescale: Tensor) -> NDArray[Any]:
        """Compute the same sums as `train` over one chunk, and change nothing."""
        sums = compiled(_evaluate, self.shape)(V, rescale, _hand_over(chunk))
        return sums.numpy()[: chunk.n_tiles]  # type: ignore[no-any-return]


def _hand_over(chunk: Chunk) -> Data:
    # DLPack shares the buffers; tf.constant would copy and page-fault, which takes
    # longer than the training itself.
    arrays = (chunk.X, chunk.y, chunk.weights, chunk.tiles)
    return Data(*(tf.experimental.dlpack.from_dlpack(a.__dlpack__()) for a in arrays))


def compiled(function: Callable[..., Any], shape: Shape) -> Callable[..., Any]:
    """Give the function compiled for this shape, from the cache after the first time.

    Each call of :func:`_compile` is one compilation: the signature leaves no
    dimension and no dtype open.
    """
    with _compiling:
        return _compile(function, shape)


_compiling = threading.Lock()


@lru_cache(maxsize=128)
def _compile(function: Callable[..., Any], shape: Shape) -> Callable[..., Any]:
    def program(*arguments: Any) -> Any:
        return function(shape, *arguments)

    graph = tf.function(
        program,
        input_signature=_SIGNATURES[function](shape),
        jit_compile=xla_works(),
        autograph=False,
    )
    # A concrete function takes 0.15 ms a call, tf.function's dispatch 0.35 ms.
    return graph.get_concrete_function()  # type: ignore[no-any-return]


def limit_threads(n: int) -> None:
    """Have TensorFlow use n threads, if nobody has said how many it may use."""
    of_tf = tf.config.threading
    own = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    if (
        of_tf.get_intra_op_parallelism_threads() == 0
        and of_tf.get_inter_op_parallelism_threads() == 0
        and not any(os.environ.get(name) for name in own)
    ):
        of_tf.set_intra_op_parallelism_threads(n)
        of_tf.set_inter_op_parallelism_threads(n)


def n_threads() -> int:
    """Tell how many threads TensorFlow may use for one operation."""
    return int(tf.config.threading.get_intra_op_parallelism_threads() or cpu_count())


def is_eager() -> bool:
    """Tell whether operations run at once, rather than become parts of a graph."""
    return bool(tf.executing_eagerly())


@cache
def xla_works() -> bool:
    """Tell whether XLA can compile on this machine; some platforms lack it."""
    try:
        # An exponential, since that is what starts up all of XLA's CPU compiler.
        tf.function(tf.exp, jit_compile=True)(tf.constant(0.0))
    except (tf.errors.OpError, NotImplementedError, ValueError):
        return False
    return True


def _train(
    shape: Shape,
    V: Tensor,
    slots: Slots,
    gradient: Slots,
    hyper: Tensor,
    rescale: Tensor,
    rows: Data,
) -> tuple[Tensor, Slots, Slots, Tensor]:
    rate, momentum, l2, l1 = tf.unstack(hyper[:, :, None, None])
    penalized = tf.cast(tf.range(shape.n_columns) < shape.n_features, shape.precision)
    numbers = Step(rate, momentum, l1 * penalized)

    assert shape.optimizer is not None
    rule = UPDATES[shape.optimizer]

    def update(V: Tensor, G: Tensor, slots: Slots) -> tuple[Tensor, Slots]:
        return rule.update(V, G + l2 * penalized * V, slots, numbers)

    def step(
        i: Tensor, V: Tensor, slots: Slots, gradient: Slots
    ) -> tuple[tuple[Any, ...], Tensor]:
        G, row_sums = _gradient(shape, V, rescale, rows, i)
        if not shape.batch_spans_tiles:
            return (*update(V, G, slots), ()), row_sums
        G += gradient[0]
        closes = tf.equal(rows.tiles[i], CLOSES_BATCH)
        V, slots = tf.nest.map_structure(
            lambda new, old: tf.where(closes, new, old),
            update(V, G, slots),
            (V, slots),
        )
        return (V, slots, (tf.where(closes, tf.zeros_like(G), G),)), row_sums

    (V, slots, gradient), sums = _over_tiles(
        shape, rows.tiles, step, (V, slots, gradient)
    )
    return V, slots, gradient, sums


def _accumulate(
    shape: Shape, V: Tensor, gradient: Tensor, rescale: Tensor, rows: Data
) -> tuple[Tensor, Tensor]:
    def step(i: Tensor, gradient: Tensor) -> tuple[tuple[Any, ...], Tensor]:
        G, row_sums = _gradient(shape, V, rescale, rows, i)
        return (gradient + G,), row_sums

    (gradient,), sums = _over_tiles(shape, rows.tiles, step, (gradient,))
    return gradient, sums


def _evaluate(shape: Shape, V: Tensor, rescale: Tensor, rows: Data) -> Tensor:
    def step(i: Tensor) -> tuple[tuple[Any, ...], Tensor]:
        x, target, labels, w = _tile(shape, rescale, rows, i)
        z = _logits(shape, V, x)
        return (), _row_sums(z, _logsumexp(z), target, labels, w)

    return _over_tiles(shape, rows.tiles, step, ())[1]


def _over_tiles(
    shape: Shape,
    tiles: Tensor,
    step: Callable[..., tuple[tuple[Any, ...], Tensor]],
    carried: tuple[Any, ...],
) -> tuple[tuple[Any, ...], Tensor]:
    """Loop over the tiles in use: what is carried at the end, and each tile's sums.

    A step takes the tile's number and what is carried, and gives what to carry on
    and the row sums (2, M, tile).
    """

    def body(i: Tensor, *state: Any) -> tuple[Any, ...]:
        # The counter starts at −1 and goes up first, so that all else depends on
        # it: XLA's CPU runtime runs a loop body that is one chain of operations
        # in order, and hands any other, at 20 µs a step, to its thread pool.
        i += 1
        *carried, sums = state
        carried_on, row_sums = step(i, *carried)
        return i, *carried_on, sums.write(i, row_sums)

    n_tiles = tf.math.count_nonzero(tiles, dtype=tf.int32)
    _, *carried_on, sums = tf.while_loop(
        lambda i, *_: i < n_tiles - 1,
        body,
        (tf.constant(-1), *carried, _empty_sums(shape)),
    )
    return tuple(carried_on), tf.reduce_sum(sums.stack(), axis=-1)


def _gradient(
    shape: Shape, V: Tensor, rescale: Tensor, rows: Data, i: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute Σ w ∂CE/∂V over tile i, of shape (M, R, D), and its row sums."""
    x, target, labels, w = _tile(shape, rescale, rows, i)
    z = _logits(shape, V, x)
    log_normalizer = _logsumexp(z)
    errors = (tf.exp(z - log_normalizer) - target) * w[:, None]
    return _product(shape, errors, x), _row_sums(z, log_normalizer, target, labels, w)


def _tile(
    shape: Shape, rescale: Tensor, rows: Data, i: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cut tile i out of the chunk.

    It has x̃ (tile, D), the targets t (K, tile), the labels, which are the first of the
    most probable classes, and the weights, (M, tile) or one row for all models.
    """
    start = i * shape.tile
    x = tf.slice(rows.X, [start, 0], [shape.tile, shape.n_features])
    x = tf.cast(x, shape.precision) * rescale
    if shape.fit_intercept:
        x = tf.concat([x, tf.ones((shape.tile, 1), shape.precision)], axis=1)
    if shape.soft_labels:
        target = tf.transpose(
            tf.slice(rows.y, [start, 0], [shape.tile, shape.n_classes])
        )
        labels = _argmax(target[None])[0]
    else:
        labels = tf.slice(rows.y, [start], [shape.tile])
        is_class = tf.equal(tf.range(shape.n_classes)[:, None], labels)
        target = tf.cast(is_class, shape.precision)
    w = tf.slice(rows.weights, [0, start], [shape.n_weightings, shape.tile])
    return x, target, labels, w


def _logits(shape: Shape, V: Tensor, x: Tensor) -> Tensor:
    """Compute z = V x̃, of shape (M, K, tile): rows of x along the contiguous axis."""
    rows = tf.reshape(V, (shape.n_models * shape.n_rows, shape.n_columns))
    z = tf.matmul(rows, x, transpose_b=True)
    z = tf.reshape(z, (shape.n_models, shape.n_rows, shape.tile))
    if shape.n_rows == shape.n_classes:
        return z
    return tf.concat([tf.zeros_like(z), z], axis=1)


def _product(shape: Shape, errors: Tensor, x: Tensor) -> Tensor:
    """Compute the gradient (M, R, D) from ∂L/∂z (M, K, tile)."""
    if shape.n_rows < shape.n_classes:
        errors = errors[:, 1:]
    rows = tf.reshape(errors, (shape.n_models * shape.n_rows, shape.tile))
    return tf.reshape(tf.matmul(rows, x), shape.weights)


def _logsumexp(z: Tensor) -> Tensor:
    """Compute log Σ_k exp(z_k), of shape (M, 1, tile)."""
    largest = tf.reduce_max(z, axis=1, keepdims=True)
    total = tf.reduce_sum(tf.exp(z - largest), axis=1, keepdims=True)
    return largest + tf.math.log(total)


def _row_sums(
    z: Tensor, log_normalizer: Tensor, target: Tensor, labels: Tensor, w: Tensor
) -> Tensor:
    """Compute w·CE and w·[predicted = y] of each row, of shape (2, M, tile)."""
    cross_entropy = log_normalizer[:, 0] - tf.reduce_sum(target * z, axis=1)
    correct = tf.cast(tf.equal(_argmax(z), labels), w.dtype)
    return tf.stack([w * cross_entropy, w * correct])


def _argmax(z: Tensor) -> Tensor:
    """Find the first of the largest along axis 1, in a form that XLA vectorizes."""
    n_classes = z.shape[1]
    is_largest = z >= tf.reduce_max(z, axis=1, keepdims=True)
    classes = tf.range(n_classes)[:, None]
    return tf.reduce_min(tf.where(is_largest, classes, n_classes), axis=1)


def _empty_sums(shape: Shape) -> Tensor:
    return tf.TensorArray(
        shape.precision,
        size=shape.n_tiles,
        element_shape=(2, shape.n_models, shape.tile),
    )


def _signature_of_chunk(shape: Shape) -> Data:
    n_rows = shape.tile * shape.n_tiles
    return Data(
        tf.TensorSpec((n_rows, shape.n_features), shape.storage),
        tf.TensorSpec((n_rows, shape.n_classes), shape.precision)
        if shape.soft_labels
        else tf.TensorSpec((n_rows,), tf.int32),
        tf.TensorSpec((shape.n_weightings, n_rows), shape.precision),
        tf.TensorSpec((shape.n_tiles,), tf.int32),
    )


def _weights(shape: Shape) -> Any:
    return tf.TensorSpec(shape.weights, shape.precision)


def _slots(shape: Shape) -> tuple[Any, ...]:
    """Specify the slots of the update rule."""
    if shape.optimizer is None:
        return ()
    rule = UPDATES[shape.optimizer]
    count = tf.TensorSpec((shape.n_models, 1, 1), shape.precision)
    return (_weights(shape),) * rule.n_like_weights + (count,) * rule.n_counts


def _open_gradient(shape: Shape) -> tuple[Any, ...]:
    return (_weights(shape),) if shape.batch_spans_tiles else ()


def _zeros(spec: Any) -> Tensor:
    return tf.zeros(spec.shape, spec.dtype)


def _signature_of_train(shape: Shape) -> list[Any]:
    return [
        _weights(shape),
        _slots(shape),
        _open_gradient(shape),
        tf.TensorSpec((len(HYPERPARAMETERS), shape.n_models), shape.precision),
        tf.TensorSpec((), shape.precision),
        _signature_of_chunk(shape),
    ]


def _signature_of_accumulate(shape: Shape) -> list[Any]:
    V = _weights(shape)
    return [V, V, tf.TensorSpec((), shape.precision), _signature_of_chunk(shape)]


def _signature_of_evaluate(shape: Shape) -> list[Any]:
    return [
        _weights(shape),
        tf.TensorSpec((), shape.precision),
        _signature_of_chunk(shape),
    ]


_SIGNATURES = {
    _train: _signature_of_train,
    _accumulate: _signature_of_accumulate,
    _evaluate: _signature_of_evaluate,
}
