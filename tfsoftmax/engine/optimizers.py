"""The optimizers: how the gradient of a batch changes the weights.

An update is a pure function

    V, slots = update(V, G, slots, hyper, prox)

of the weights V, the gradient G of the cross-entropy, the state of the optimizer (its
slots), the hyper-parameters of the step, and the proximal step of the penalty. An
update calls prox(z, η) once, with the weights z after a step of length η on the data
term, and continues from the weights that it returns. The proximal step is defined in
:mod:`tfsoftmax.engine.penalty`; the state of an L1 penalty is appended to the slots of
the optimizer.

V, G and a slot like V have shape (n_models, n_rows, n_columns); a count of steps, the
rate η and the momentum μ have shape (n_models, 1, 1).

The functions import TensorFlow, so that the table can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.engine.penalty import ProximalStep, nothing_owed
from tfsoftmax.engine.spec import Hyperparameters

Tensor = Any
Slots = tuple[Any, ...]
Prox = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Optimizer:
    """An update rule and its initial slots.

    Attributes
    ----------
    update : callable
        Maps (V, G, slots, hyper, prox) to (V, slots), all tensors.
    init : callable
        Maps the initial V, an array, to the initial slots, a tuple of arrays.
    uses : tuple of str
        The optimizer-specific parameters of the estimator that it uses.
    l1 : bool
        Whether the update can minimise an L1 penalty.
    """

    update: Callable[
        [Tensor, Tensor, Slots, Hyperparameters, Prox], tuple[Tensor, Slots]
    ]
    init: Callable[[NDArray[Any]], Slots]
    uses: tuple[str, ...] = ()
    l1: bool = True


def sgd(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters, prox: Prox
) -> tuple[Tensor, Slots]:
    """Take a step of gradient descent: V ← prox(V − η G)."""
    return prox(V - hyper.rate * G, hyper.rate), ()


def momentum(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters, prox: Prox
) -> tuple[Tensor, Slots]:
    """Add a fraction of the last step: V ← prox(V + μ (V − V_before) − η G).

    The slot is V_before. This is Polyak's heavy ball; with a penalty, the inertial
    proximal method of Ochs et al., "iPiano", SIAM J. Imaging Sci., 2014.
    """
    (before,) = slots
    z = V + hyper.momentum * (V - before) - hyper.rate * G
    return prox(z, hyper.rate), (V,)


def nesterov(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters, prox: Prox
) -> tuple[Tensor, Slots]:
    """Descend, then look ahead: U ← prox(V − η G), V ← U + μ (U − U_before).

    The slot is U_before; V is where the next gradient is taken, as in Keras. With
    a penalty it is Beck and Teboulle's FISTA with a constant momentum.
    """
    (before,) = slots
    descended = prox(V - hyper.rate * G, hyper.rate)
    return descended + hyper.momentum * (descended - before), (descended,)


def adam(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters, prox: Prox
) -> tuple[Tensor, Slots]:
    """Take a step in units of the running magnitude of the gradient.

    m ← β₁ m + (1 − β₁) G,  v ← β₂ v + (1 − β₂) G²,  V ← prox(V − η m̂ / √v̂), where
    m̂ and v̂ are m and v over 1 − β₁ᵗ and 1 − β₂ᵗ. The slots are m, v and t. Each
    weight's step, for the penalty too, is η / √v̂. Kingma and Ba, "Adam", ICLR 2015,
    in the form that follows its algorithm 1, with β₁ = 0.9, β₂ = 0.999.
    """
    import tensorflow as tf

    m, v, t = slots
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7
    t = t + 1
    m = m + (1 - beta_1) * (G - m)
    v = v + (1 - beta_2) * (G * G - v)
    step = hyper.rate * tf.sqrt(1 - beta_2**t) / (tf.sqrt(v) + epsilon)
    return prox(V - step * m / (1 - beta_1**t), step), (m, v, t)


def _no_slots(V: NDArray[Any]) -> Slots:
    return ()


def _weights_before(V: NDArray[Any]) -> Slots:
    return (V.copy(order="K"),)  # as if the previous step had length 0


def _moments_and_count(V: NDArray[Any]) -> Slots:
    return np.zeros_like(V), np.zeros_like(V), np.zeros_like(V[:, :1, :1])


OPTIMIZERS = {
    "sgd": Optimizer(sgd, _no_slots),
    "momentum": Optimizer(momentum, _weights_before, uses=("momentum",)),
    "nesterov": Optimizer(nesterov, _weights_before, uses=("momentum",)),
    "adam": Optimizer(adam, _moments_and_count),
}


def initial_slots(optimizer: str, V: NDArray[Any], *, l1: bool) -> Slots:
    """Return the initial slots at V, including those of an L1 penalty."""
    return fitting_slots(optimizer, V, OPTIMIZERS[optimizer].init(V), l1=l1)


def fitting_slots(optimizer: str, V: NDArray[Any], slots: Slots, *, l1: bool) -> Slots:
    """Return the slots with which to continue from V, if l1 may have changed."""
    n_slots = len(OPTIMIZERS[optimizer].init(V))
    slots, owed = slots[:n_slots], slots[n_slots:]
    return (*slots, *(owed or nothing_owed(V))) if l1 else slots


def take_step(
    optimizer: str,
    V: Tensor,
    G: Tensor,
    slots: Slots,
    hyper: Hyperparameters,
    *,
    l1: bool,
) -> tuple[Tensor, Slots]:
    """Return the weights and the slots of `initial_slots` after a step."""
    n_slots = len(slots) - (len(nothing_owed(np.empty(0))) if l1 else 0)
    prox = ProximalStep(hyper, slots[n_slots:])
    V, slots = OPTIMIZERS[optimizer].update(V, G, slots[:n_slots], hyper, prox)
    return V, (*slots, *prox.owed)
