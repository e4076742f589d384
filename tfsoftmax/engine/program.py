"""The compiled program: the loss, its gradient and the update, over a chunk of rows.

A chunk consists of micro-batches, each with the rows of one matrix product. A batch is
one micro-batch, or several consecutive ones whose gradients are accumulated. M models
are trained on the same batches, as one product of (M·R, D) with (D, micro_batch_size).
The shapes are those of :mod:`tfsoftmax.engine.softmax`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfsoftmax.data.batches import APPLY
from tfsoftmax.data.loader import Chunk
from tfsoftmax.engine import lazy, softmax
from tfsoftmax.engine.compilation import Function, compiled, share_all
from tfsoftmax.engine.optimizers import Slots, Tensor, initial_slots, take_step
from tfsoftmax.engine.products import Dense, Sparse
from tfsoftmax.engine.softmax import MicroBatch
from tfsoftmax.engine.spec import Hyperparameters, ProgramSpec

Scaled = tuple[Tensor, ...]


@dataclass(frozen=True)
class State:
    """The state that updates change: weights V and optimizer slots, as tensors.

    `gradient` is the sum over the micro-batches of an unfinished batch; it is empty if
    each batch is one micro-batch. `factor`, of shape (n_models, 1), is the pending
    factor of the weights in :mod:`lazy steps <tfsoftmax.engine.lazy>`.
    """

    V: Tensor
    slots: Slots
    gradient: Slots
    factor: Tensor = None


class Data(NamedTuple):
    """A chunk, as tensors that share its memory."""

    X: Any  # a tensor, or those of a PaddedCSR
    y: Tensor
    weights: Tensor
    actions: Tensor


class Program:
    """The compiled functions for one spec, without any state."""

    def __init__(self, spec: ProgramSpec) -> None:
        self.spec = spec
        self._layout = Sparse if spec.is_sparse else Dense
        self._functions: dict[Callable[..., Any], Function] = {}
        self._shared: dict[int, tuple[Chunk, Data]] = {}

    def to_device(
        self, V: NDArray[Any] | None = None, slots: tuple[NDArray[Any], ...] = ()
    ) -> State:
        """Return weights and slots as tensors; by default, the initial ones."""
        zeros = self._zeros()
        if V is None:
            V = zeros
            if self.spec.optimizer is not None:
                slots = initial_slots(self.spec.optimizer, V, l1=self.spec.l1)
        gradient = (zeros,) if self.spec.accumulates else ()

        def as_tensor(array: NDArray[Any]) -> Tensor:
            return tf.constant(array.transpose(self._layout.to_layout))

        return State(*tf.nest.map_structure(as_tensor, (V, slots, gradient)))

    def to_numpy(self, state: State) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
        """Return views of weights and slots as arrays of shape (n_models, …)."""
        state = self.whole(state)

        def as_array(tensor: Tensor) -> NDArray[Any]:
            return np.asarray(tensor).transpose(self._layout.from_layout)

        return as_array(state.V), tuple(map(as_array, state.slots))

    def model_weights(
        self, state: State, models: slice
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
        """Return the weights and slots of some models, as new arrays.

        Their memory layout is that of the tensors: transposing many features takes
        long.
        """
        V = np.asarray(state.V).transpose(self._layout.from_layout)[models]
        if state.factor is None:
            weights = V.copy(order="K")
        else:
            weights = V * state.factor.numpy()[models, :, None]
            intercepts = slice(self.spec.n_features, None)
            weights[..., intercepts] = V[..., intercepts]
        slots = self.to_numpy(State(state.V, state.slots, ()))[1]
        return weights, tuple(slot[models].copy(order="K") for slot in slots)

    def largest_weight(self, state: State, models: slice) -> float:
        """Return the largest absolute value of some models' weights; NaN if one is."""
        V = np.asarray(state.V).transpose(self._layout.from_layout)[models]
        W, b = V[..., : self.spec.n_features], V[..., self.spec.n_features :]
        largest = max(W.max(), -W.min())  # abs would need the same memory again
        if state.factor is not None:
            largest = largest * float(state.factor[models][0, 0])
        return float(np.maximum(largest, abs(b).max(initial=0)))

    def _zeros(self) -> NDArray[Any]:
        """Return zeros like V, in the memory layout of its tensor."""
        shape = tuple(np.array(self.spec.weights)[list(self._layout.to_layout)])
        zeros = np.zeros(shape, self.spec.precision)
        return zeros.transpose(self._layout.from_layout)

    def to_tensor(self, values: Any) -> Tensor:
        """Return numbers as a tensor, in the precision of computing.

        Each takes 12 µs, and the same again in every call to which it is passed: so use
        few, and create them once for many chunks.
        """
        with np.errstate(over="ignore"):  # `check_epoch` catches inf
            return tf.constant(np.asarray(values), self.spec.precision)

    def to_tensors(self, arrays: Iterable[NDArray[Any]]) -> tuple[Tensor, ...]:
        """Return arrays as tensors, in the precision of computing."""
        return tuple(map(self.to_tensor, arrays))

    def train(
        self,
        state: State,
        chunk: Chunk,
        hyper: Tensor,
        scaling: Scaled,
        *,
        lazy: bool = False,
    ) -> tuple[State, NDArray[Any]]:
        """Train on one chunk.

        Parameters
        ----------
        state : State
        chunk : Chunk
        hyper : tensor of shape (4, n_models)
            The `Hyperparameters`, by `to_tensor`.
        scaling : tuple of tensor
            The arrays of a `Scaling`, by `to_tensors`.
        lazy : bool, default=False
            Whether to take steps whose time depends only on the number of values in X,
            if the spec allows it. The state must then be made `whole` before any other
            use.

        Returns
        -------
        state : State
        sums : ndarray of shape (n_micro_batches of the chunk, 2, n_models)
            Σ w·CE and Σ w·[predicted = y] of each micro-batch, before its update.
        """
        V, slots, gradient, factor = state.V, state.slots, state.gradient, state.factor
        data = self._share(chunk)
        if lazy:
            if factor is None:
                factor = self.to_tensor(np.ones((self.spec.n_models, 1)))
            V, factor, sums = self._call(_train_lazily, V, factor, hyper, scaling, data)
        else:
            V, *rest, sums = self._call(
                _train, V, slots, gradient, hyper, scaling, data
            )
            slots, gradient = tuple(rest[: len(slots)]), tuple(rest[len(slots) :])
        # Fetching the sums waits for the program, so the buffers are free again.
        sums = sums.numpy()[: chunk.n_micro_batches]
        return State(V, slots, gradient, factor), sums

    def whole(self, state: State) -> State:
        """Return the state with its weights multiplied by their factor."""
        if state.factor is None:
            return state
        V, factor = state.V, state.factor.numpy()
        if (factor != 1).any():
            is_feature = np.arange(self.spec.n_columns) < self.spec.n_features
            V = V * np.where(is_feature[:, None, None], factor, 1).astype(factor.dtype)
        return State(V, state.slots, state.gradient)

    def evaluate(self, V: Tensor, chunk: Chunk, scaling: Scaled) -> NDArray[Any]:
        """Compute the same sums as `train` over one chunk, without an update."""
        (sums,) = self._call(_evaluate, V, scaling, self._share(chunk))
        return sums.numpy()[: chunk.n_micro_batches]  # type: ignore[no-any-return]

    def gram(
        self, V: Tensor, chunk: Chunk, scaling: Scaled
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute Σ w (V x̃) x̃ᵀ over one chunk, laid out like V, and the max w ‖x̃‖²."""
        G, largest = self._call(_gram, V, scaling, self._share(chunk))
        return G.numpy().transpose(self._layout.from_layout), largest.numpy()

    def _call(self, function: Callable[..., Any], *arguments: Any) -> list[Tensor]:
        """Call a function with structures of tensors; return all of its results."""
        if function not in self._functions:
            self._functions[function] = compiled(function, self.spec, arguments)
        return self._functions[function](*arguments)

    def _share(self, chunk: Chunk) -> Data:
        """Return the chunk as tensors, which are kept for chunks of the loader.

        Creating them takes 30 µs, and the loader refills the same memory.
        """
        kept = self._shared.get(id(chunk))
        if kept is not None:
            return kept[1]
        data = share_all(Data(chunk.X, chunk.y, chunk.weights, chunk.actions))
        if chunk.is_reused:
            self._shared[id(chunk)] = chunk, data
        return data  # type: ignore[no-any-return]


def products_of(spec: ProgramSpec, scaling: Scaled) -> Dense | Sparse:
    """Return the products with the features of a program."""
    return (Sparse if spec.is_sparse else Dense)(spec, scaling)


def _train(
    spec: ProgramSpec,
    V: Tensor,
    slots: Slots,
    gradient: Slots,
    hyper: Tensor,
    scaling: Scaled,
    rows: Data,
) -> tuple[Tensor, Slots, Slots, Tensor]:
    features = products_of(spec, scaling)
    numbers = Hyperparameters(*map(features.by_model, tf.unstack(hyper)))
    penalized = features.penalized()
    # A penalty beyond this may have overflowed; it leaves no weight either way.
    largest = np.sqrt(np.finfo(spec.precision).max)
    l2, l1 = (tf.minimum(x, largest) * penalized for x in (numbers.l2, numbers.l1))
    numbers = numbers._replace(l2=l2, l1=l1)

    assert spec.optimizer is not None
    update = partial(take_step, spec.optimizer, hyper=numbers, l1=spec.l1)

    def step(
        i: Tensor, V: Tensor, slots: Slots, gradient: Slots
    ) -> tuple[tuple[Any, ...], Tensor]:
        x = features.rows(rows.X, i)
        errors, row_sums = _errors_and_sums(spec, features.matmul(V, x), rows, i)
        G = features.rmatmul(errors, x)
        if not spec.accumulates:
            return (*update(V, G, slots), ()), row_sums
        G += gradient[0]
        applies = tf.equal(rows.actions[i], APPLY)
        V, slots = tf.nest.map_structure(
            lambda new, old: tf.where(applies, new, old),
            update(V, G, slots),
            (V, slots),
        )
        return (V, slots, (tf.where(applies, tf.zeros_like(G), G),)), row_sums

    (V, slots, gradient), sums = _over_micro_batches(
        spec, rows.actions, step, (V, slots, gradient)
    )
    return V, slots, gradient, sums


def _train_lazily(
    spec: ProgramSpec,
    V: Tensor,
    factor: Tensor,
    hyper: Tensor,
    scaling: Scaled,
    rows: Data,
) -> tuple[Tensor, Tensor, Tensor]:
    features = Sparse(spec, scaling)
    numbers = Hyperparameters(*map(features.by_model, tf.unstack(hyper)))

    def step(i: Tensor, *carried: Any) -> tuple[tuple[Any, ...], Tensor]:
        weights = lazy.Factored(*carried)
        x = features.rows(rows.X, i)
        products = lazy.matmul(features, weights, x)
        errors, row_sums = _errors_and_sums(spec, products, rows, i)
        return lazy.descend(features, weights, errors, x, numbers), row_sums

    initial = lazy.factor(features, V, factor)
    carried, sums = _over_micro_batches(spec, rows.actions, step, tuple(initial))
    return *lazy.join(features, lazy.Factored(*carried)), sums


def _evaluate(spec: ProgramSpec, V: Tensor, scaling: Scaled, rows: Data) -> Tensor:
    features = products_of(spec, scaling)

    def step(i: Tensor) -> tuple[tuple[Any, ...], Tensor]:
        products = features.matmul(V, features.rows(rows.X, i))
        z = softmax.logits(products, spec.n_classes)
        return (), softmax.sums(z, _micro_batch(spec, rows, i))

    return _over_micro_batches(spec, rows.actions, step, ())[1]


def _gram(
    spec: ProgramSpec, V: Tensor, scaling: Scaled, rows: Data
) -> tuple[Tensor, Tensor]:
    features = products_of(spec, scaling)
    size = spec.micro_batch_size

    def body(i: Tensor, G: Tensor, largest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = features.rows(rows.X, i)
        w = tf.slice(rows.weights, [0, i * size], [spec.n_weight_rows, size])
        G += features.rmatmul(features.matmul(V, x) * w[:, None], x)
        squares = tf.reduce_max(w * features.squares(x), axis=1)
        return i + 1, G, tf.maximum(largest, squares)

    n_used = tf.math.count_nonzero(rows.actions, dtype=tf.int32)
    zeros = tf.zeros((spec.n_weight_rows,), spec.precision)
    _, G, largest = tf.while_loop(
        lambda i, *_: i < n_used, body, (tf.constant(0), tf.zeros_like(V), zeros)
    )
    return G, largest


def _over_micro_batches(
    spec: ProgramSpec,
    actions: Tensor,
    step: Callable[..., tuple[tuple[Any, ...], Tensor]],
    carried: tuple[Any, ...],
) -> tuple[tuple[Any, ...], Tensor]:
    """Loop over the micro-batches in use.

    A step maps the number of the micro-batch and the carried values to the next carried
    values and the row sums (2, M, micro_batch_size).

    Returns
    -------
    carried : tuple
        The carried values after the last step.
    sums : tensor of shape (n_micro_batches, 2, M)
        The row sums, summed over the rows.
    """

    def body(i: Tensor, *state: Any) -> tuple[Any, ...]:
        # The counter starts at −1 and goes up first, so that all else depends on
        # it: XLA's CPU runtime runs a loop body that is one chain of operations
        # in order, and hands any other, at 20 µs a step, to its thread pool.
        i += 1
        *carried, sums = state
        carried_on, row_sums = step(i, *carried)
        return i, *carried_on, sums.write(i, row_sums)

    n_used = tf.math.count_nonzero(actions, dtype=tf.int32)
    empty_sums = tf.TensorArray(
        spec.precision,
        size=spec.n_micro_batches,
        element_shape=(2, spec.n_models, spec.micro_batch_size),
    )
    _, *carried_on, sums = tf.while_loop(
        lambda i, *_: i < n_used - 1, body, (tf.constant(-1), *carried, empty_sums)
    )
    return tuple(carried_on), tf.reduce_sum(sums.stack(), axis=-1)


def _errors_and_sums(
    spec: ProgramSpec, products: Tensor, rows: Data, i: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the errors (M, R, n) of micro-batch i and its sums, from V x̃."""
    z = softmax.logits(products, spec.n_classes)
    errors, row_sums = softmax.errors_and_sums(z, _micro_batch(spec, rows, i))
    return errors[:, -spec.n_rows :], row_sums


def _micro_batch(spec: ProgramSpec, rows: Data, i: Tensor) -> MicroBatch:
    """Cut the labels and weights of micro-batch i out of the chunk."""
    size = spec.micro_batch_size
    start = i * size
    if spec.soft_labels:
        y = tf.slice(rows.y, [start, 0], [size, spec.n_classes])
    else:
        y = tf.slice(rows.y, [start], [size])
    target, labels = softmax.targets(spec, y)
    weights = tf.slice(rows.weights, [0, start], [spec.n_weight_rows, size])
    return MicroBatch(target, labels, weights)
