"""The optimizers: how the gradient of a batch changes the weights.

An update is a pure function

    V, slots = update(V, G, slots, hyper)

of the weights V, the gradient G of the cross-entropy, what the optimizer remembers
between steps (its slots), and the hyper-parameters of the step. The penalty is the
update's to apply: its L2 part λ₂‖W‖²/2 by its gradient, and its L1 part λ₁‖W‖₁ by a
proximal step: where plain descent with step η would give U, the weights become the
minimiser of λ₁|w| + (w − u)² / 2η for each coordinate, the soft threshold of u at ηλ₁.
So weights that the penalty erases are exact zeros.

V, G and a slot like V have shape (n_models, n_rows, n_columns); a count of steps, the
rate η and the momentum μ have shape (n_models, 1, 1), and λ₁ and λ₂, which are 0 for
the intercept, (n_models, 1, n_columns).

TensorFlow is imported within the functions, so that the table can be read without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfsoftmax.engine.spec import Hyperparameters

Tensor = Any
Slots = tuple[Any, ...]


@dataclass(frozen=True)
class Optimizer:
    """An update, and the slots with which it begins.

    Attributes
    ----------
    update : callable
        From (V, G, slots, hyper) to (V, slots), all tensors.
    init : callable
        From the initial V, an array, to the initial slots, a tuple of arrays.
    uses : tuple of str
        The estimator's parameters that only some optimizers use, and this one does.
    l1 : bool
        Whether the update applies the L1 penalty.
    """

    update: Callable[[Tensor, Tensor, Slots, Hyperparameters], tuple[Tensor, Slots]]
    init: Callable[[NDArray[Any]], Slots]
    uses: tuple[str, ...] = ()
    l1: bool = True


def soft_threshold(V: Tensor, threshold: Tensor) -> Tensor:
    """Move V towards 0 by the threshold, and stop there; exact at threshold 0."""
    import tensorflow as tf

    return V - tf.clip_by_value(V, -threshold, threshold)


def sgd(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters
) -> tuple[Tensor, Slots]:
    """Take a step of gradient descent: V ← V − η G."""
    G = G + hyper.l2 * V
    return soft_threshold(V - hyper.rate * G, hyper.rate * hyper.l1), ()


def momentum(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters
) -> tuple[Tensor, Slots]:
    """Add a part of the last step: V ← V + μ (V − V_before) − η G.

    The slot is V_before. This is Polyak's heavy ball; with the L1 part, the
    inertial proximal method of Ochs et al., "iPiano", SIAM J. Imaging Sci., 2014.
    """
    (before,) = slots
    G = G + hyper.l2 * V
    target = V + hyper.momentum * (V - before) - hyper.rate * G
    return soft_threshold(target, hyper.rate * hyper.l1), (V,)


def nesterov(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters
) -> tuple[Tensor, Slots]:
    """Descend, then look ahead: U ← V − η G, V ← U + μ (U − U_before).

    The slot is U_before; V is where the next gradient is taken, as in Keras. With
    the L1 part it is Beck and Teboulle's FISTA with a constant momentum.
    """
    (before,) = slots
    G = G + hyper.l2 * V
    descended = soft_threshold(V - hyper.rate * G, hyper.rate * hyper.l1)
    return descended + hyper.momentum * (descended - before), (descended,)


def adam(
    V: Tensor, G: Tensor, slots: Slots, hyper: Hyperparameters
) -> tuple[Tensor, Slots]:
    """Take a step in units of the gradient's running size.

    m ← β₁ m + (1 − β₁) G,  v ← β₂ v + (1 − β₂) G²,  V ← V − η m̂ / √v̂, where m̂ and
    v̂ are m and v over 1 − β₁ᵗ and 1 − β₂ᵗ. The slots are m, v and t. Each
    coordinate's L1 threshold is λ₁ times its own step. Kingma and Ba, "Adam", ICLR
    2015, in the form that follows its algorithm 1, with β₁ = 0.9, β₂ = 0.999.
    """
    import tensorflow as tf

    m, v, t = slots
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7
    G = G + hyper.l2 * V
    t = t + 1
    m = m + (1 - beta_1) * (G - m)
    v = v + (1 - beta_2) * (G * G - v)
    step = hyper.rate * tf.sqrt(1 - beta_2**t) / (tf.sqrt(v) + epsilon)
    target = V - step * m / (1 - beta_1**t)
    return soft_threshold(target, step * hyper.l1), (m, v, t)


def _no_slots(V: NDArray[Any]) -> Slots:
    return ()


def _weights_before(V: NDArray[Any]) -> Slots:
    return (V.copy(),)  # the step before was none


def _moments_and_count(V: NDArray[Any]) -> Slots:
    return np.zeros_like(V), np.zeros_like(V), np.zeros_like(V[:, :1, :1])


OPTIMIZERS = {
    "sgd": Optimizer(sgd, _no_slots),
    "momentum": Optimizer(momentum, _weights_before, uses=("momentum",)),
    "nesterov": Optimizer(nesterov, _weights_before, uses=("momentum",)),
    "adam": Optimizer(adam, _moments_and_count),
}
