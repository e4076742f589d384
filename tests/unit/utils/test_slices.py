"""Slices that cut n items into parts of nearly the same length."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tfsoftmax.utils.slices import split_at_most, split_evenly


def sizes_of(slices, n):
    """The sizes of slices that cover n items in order."""
    assert [i for part in slices for i in range(part.start, part.stop)] == [*range(n)]
    return [part.stop - part.start for part in slices]


@given(n=st.integers(0, 500), n_parts=st.integers(1, 60))
def test_parts_cover_all_items_and_differ_by_one_at_most(n, n_parts):
    sizes = sizes_of(split_evenly(n, n_parts), n)
    assert len(sizes) == n_parts
    assert max(sizes) - min(sizes) <= 1


@given(n=st.integers(1, 500), length=st.integers(-3, 600))
@example(7, 0)  # an item may be larger than the memory that it is to fit
@example(12, 4)
def test_parts_are_the_fewest_that_are_short_enough(n, length):
    sizes = sizes_of(split_at_most(n, length), n)
    assert max(sizes) <= max(1, length)
    assert max(sizes) - min(sizes) <= 1
    assert (len(sizes) - 1) * max(1, length) < n
