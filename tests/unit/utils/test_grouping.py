"""Groups of equal keys."""

from __future__ import annotations

from tfsoftmax.utils.grouping import group_by_key


def test_groups_are_in_the_order_of_their_first():
    assert group_by_key("abacb") == [[0, 2], [1, 4], [3]]
    assert group_by_key([]) == []
