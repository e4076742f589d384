"""Comparisons of fitted classifiers that the tests share."""

from __future__ import annotations

import numpy as np


def assert_same_bits(one, other):
    """Two fitted classifiers are the same to the bit, but for the seconds they took."""
    np.testing.assert_array_equal(one.classes_, other.classes_)
    np.testing.assert_array_equal(one.coef_, other.coef_, strict=True)
    np.testing.assert_array_equal(one.intercept_, other.intercept_, strict=True)
    assert one.loss_curve_ == other.loss_curve_
    columns = one.history_.columns.drop("seconds")
    assert list(columns) == list(other.history_.columns.drop("seconds"))
    np.testing.assert_array_equal(one.history_[columns], other.history_[columns])


def assert_same_model(one, other, rtol=1e-12):
    """Two fitted classifiers have the same weights and losses, to rounding.

    Weights are compared relative to the largest one.
    """
    scale = max(np.abs(a).max() for a in (other.coef_, other.intercept_))
    for name in ("coef_", "intercept_"):
        actual, expected = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * scale)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol)
