from __future__ import annotations

import numpy as np

from tfsoftmax.updates import UPDATES


def test_sgd_goes_against_the_gradient():
    rng = np.random.default_rng(0)
    V, G = rng.normal(size=(2, 2, 3, 4))
    rate = np.array([0.1, 2.0])[:, None, None]
    stepped, slots = UPDATES["sgd"].update(V, G, (), rate)
    np.testing.assert_allclose(stepped[0], V[0] - 0.1 * G[0])
    np.testing.assert_allclose(stepped[1], V[1] - 2.0 * G[1])
    assert slots == ()
