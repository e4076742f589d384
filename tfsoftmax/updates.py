"""The update rules: how one gradient changes the weights.

A rule is a pure function

    V, slots = rule(V, G, slots, step)

of the weights V, the gradient G of the smooth part of the objective, whatever the
rule remembers between steps (its slots), and the hyper-parameters of the step. The
L1 part λ‖W‖₁ enters by a proximal step: where plain descent with step η would give
U, the weights become the minimiser of λ|w| + (w − u)² / 2η for each coordinate, the
soft threshold of u at ηλ. So weights that the penalty erases are exact zeros.

V, G and a slot like V have shape (n_models, n_rows, n_columns); a count and each
hyper-parameter have shape (n_models, 1, 1), but λ, which is 0 for the intercept,
(n_models, 1, n_columns).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

Tensor = Any
Slots = tuple[Tensor, ...]


class Step(NamedTuple):
    """The hyper-parameters of a step: rate η, momentum μ and L1 penalty λ."""

    rate: Tensor
    momentum: Tensor
    l1: Tensor


class Rule(NamedTuple):
    """An update rule, and what it remembers: slots like V, and counts of steps."""

    update: Callable[[Tensor, Tensor, Slots, Step], tuple[Tensor, Slots]]
    n_like_weights: int = 0
    n_counts: int = 0


def soft_threshold(V: Tensor, threshold: Tensor) -> Tensor:
    """Move V towards 0 by the threshold, and stop there; exact at threshold 0."""
    return V - tf.clip_by_value(V, -threshold, threshold)


def sgd(V: Tensor, G: Tensor, slots: Slots, step: Step) -> tuple[Tensor, Slots]:
    """Take a step of gradient descent: V ← V − η G."""
    return soft_threshold(V - step.rate * G, step.rate * step.l1), ()


def momentum(V: Tensor, G: Tensor, slots: Slots, step: Step) -> tuple[Tensor, Slots]:
    """Go on in the direction of the last step: V ← V + μ (V − V_before) − η G.

    The slot is V_before. This is Polyak's heavy ball; with the L1 part, the
    inertial proximal method of Ochs et al., "iPiano", SIAM J. Imaging Sci., 2014.
    """
    (before,) = slots
    target = V + step.momentum * (V - before) - step.rate * G
    return soft_threshold(target, step.rate * step.l1), (V,)


def nesterov(V: Tensor, G: Tensor, slots: Slots, step: Step) -> tuple[Tensor, Slots]:
    """Descend, then look ahead: U ← V − η G, V ← U + μ (U − U_before).

    The slot is U_before; V is where the next gradient is taken, as in Keras. With
    the L1 part it is Beck and Teboulle's FISTA with a constant momentum.
    """
    (before,) = slots
    descended = soft_threshold(V - step.rate * G, step.rate * step.l1)
    return descended + step.momentum * (descended - before), (descended,)


def adam(V: Tensor, G: Tensor, slots: Slots, step: Step) -> tuple[Tensor, Slots]:
    """Take a step in units of the gradient's running size.

    m ← β₁ m + (1 − β₁) G,  v ← β₂ v + (1 − β₂) G²,  V ← V − η m̂ / √v̂, where m̂ and
    v̂ are m and v over 1 − β₁ᵗ and 1 − β₂ᵗ. The slots are m, v and t. Each
    coordinate's L1 threshold is λ times its own step. Kingma and Ba, "Adam", ICLR
    2015, in the form that follows its algorithm 1, with β₁ = 0.9, β₂ = 0.999.
    """
    m, v, t = slots
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7
    t = t + 1
    m = m + (1 - beta_1) * (G - m)
    v = v + (1 - beta_2) * (G * G - v)
    own_rate = step.rate * tf.sqrt(1 - beta_2**t) / (tf.sqrt(v) + epsilon)
    target = V - own_rate * m / (1 - beta_1**t)
    return soft_threshold(target, own_rate * step.l1), (m, v, t)


UPDATES = {
    "sgd": Rule(sgd),
    "momentum": Rule(momentum, n_like_weights=1),
    "nesterov": Rule(nesterov, n_like_weights=1),
    "adam": Rule(adam, n_like_weights=2, n_counts=1),
}
