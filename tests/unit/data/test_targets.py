"""Sums and values by class, for class indices and for soft labels."""

from __future__ import annotations

import numpy as np
import pytest

from tfsoftmax.data.targets import by_label, class_totals

CODES = np.array([2, 0, 2])
SOFT = np.array([[0.5, 0.25, 0.25], [1, 0, 0], [0, 0, 1]])
WEIGHTS = np.array([4.0, 1.0, 3.0])


@pytest.mark.parametrize(("y", "expected"), [(CODES, [1, 0, 7]), (SOFT, [3, 1, 4])])
def test_a_class_has_the_weight_of_its_rows(y, expected):
    np.testing.assert_array_equal(class_totals(y, WEIGHTS, 3), expected)


@pytest.mark.parametrize(("y", "expected"), [(CODES, [8, 2, 8]), (SOFT, [4, 2, 8])])
def test_a_row_has_the_value_of_its_class(y, expected):
    np.testing.assert_array_equal(by_label(y, np.array([2.0, 4.0, 8.0])), expected)
