"""Folds over the leaves of a tree: the same bits, whoever combines which nodes."""

from __future__ import annotations

from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfsoftmax.distributed.tree import combine_nodes, root

N_LEAVES = range(1, 21)


def nested(one, other):
    """Show in which order leaves are combined."""
    return f"({one}+{other})"


def leaves(values):
    return [{(0, i): value} for i, value in enumerate(values)]


def folded(values, combine):
    return root(combine_nodes(leaves(values), len(values), combine))


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (2, "(0+1)"),
        (3, "((0+1)+2)"),
        (5, "(((0+1)+(2+3))+4)"),
        (6, "(((0+1)+(2+3))+(4+5))"),
        (7, "(((0+1)+(2+3))+((4+5)+6))"),
    ],
)
def test_siblings_are_combined_level_by_level(n, expected):
    assert folded(range(n), nested) == expected


@pytest.mark.parametrize("n", N_LEAVES)
def test_each_leaf_counts_once_and_in_order(n):
    assert folded([[i] for i in range(n)], add) == list(range(n))


@pytest.mark.parametrize("n", N_LEAVES)
@settings(max_examples=20)
@given(data=st.data())
def test_any_grouping_of_the_nodes_gives_the_same_bits(n, data):
    values = np.random.default_rng(n).normal(size=n) * 10.0 ** np.arange(n)
    expected = folded(values, add)
    waiting = data.draw(st.permutations(leaves(values)))
    while len(waiting) > 1:
        size = data.draw(st.integers(2, len(waiting)))
        both = combine_nodes(waiting[:size], n, add)
        waiting = data.draw(st.permutations([both, *waiting[size:]]))
    assert root(waiting[0] if n > 1 else combine_nodes(waiting, n, add)) == expected


@pytest.mark.parametrize("n", N_LEAVES)
def test_what_remains_of_a_run_of_leaves_is_small(n):
    for first in range(n):
        for end in range(first + 1, n + 1):
            some = leaves(range(n))[first:end]
            remaining = combine_nodes(some, n, nested)
            assert len(remaining) <= 2 * np.log2(n) + 1
            assert len(combine_nodes([remaining], n, nested)) == len(remaining)


def test_nodes_are_not_combined_with_another_than_their_sibling():
    nodes = combine_nodes(leaves(range(6))[1:5], 6, nested)
    assert nodes == {(0, 1): 1, (1, 1): "(2+3)", (0, 4): 4}


def test_nodes_passed_are_not_changed():
    given_ = leaves(range(4))
    combine_nodes(given_, 4, nested)
    assert given_ == leaves(range(4))


def test_there_is_no_result_where_a_leaf_is_missing():
    with pytest.raises(ValueError, match="too many values"):
        root(combine_nodes(leaves(range(4))[:3], 4, nested))
