"""Hashes of rows: by their values alone, and as good as random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.data.row_hash import hash_rows

MASK = 2**64 - 1


def hashes(X, seed=0):
    return hash_rows(Dataset(X, np.zeros(X.shape[0])), np.random.RandomState(seed))


def splitmix64(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def hash_by_hand(row, seed=0):
    """The formula of the module, in Python's integers, a value after another."""
    drawn = np.random.RandomState(seed).bytes(24)
    a, b, c = (int.from_bytes(drawn[i : i + 8], "little") for i in (0, 8, 16))
    total = c
    for j, value in enumerate(row, start=1):
        bits = int(np.float64(value + 0.0).view(np.uint64))
        multipliers = [splitmix64(k + j * 0x9E3779B97F4A7C15 & MASK) for k in (a, b)]
        total += multipliers[0] * (bits >> 32) + multipliers[1] * (bits & 0xFFFFFFFF)
    return splitmix64(total & MASK)


def test_the_generator_is_splitmix64():
    # The first numbers from the seed 1234567, as published with the reference code.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    start = 1234567
    actual = [splitmix64(start + i * 0x9E3779B97F4A7C15 & MASK) for i in (1, 2, 3)]
    assert actual == expected


@given(
    X=arrays(np.float64, (3, 4), elements=st.floats(allow_nan=False)),
    seed=st.integers(0, 99),
)
def test_a_hash_is_what_the_formula_says(X, seed):
    expected = [hash_by_hand(row, seed) for row in X.tolist()]
    assert hashes(X, seed).tolist() == expected
    assert hashes(sparse.csr_array(X), seed).tolist() == expected


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "f2", "i4", "i8", "f4"])
def test_a_hash_is_of_the_values_and_not_of_their_dtype(dtype):
    X = np.random.default_rng(0).integers(0, 100, (50, 30)).astype(dtype)
    expected = hashes(X.astype(np.float64))
    np.testing.assert_array_equal(hashes(X), expected)
    if dtype != "f2":  # which SciPy has no sparse arrays of
        np.testing.assert_array_equal(hashes(sparse.csr_array(X)), expected)
    np.testing.assert_array_equal(hashes(np.asfortranarray(X)), expected)


def test_minus_zero_and_stored_zeros_count_for_nothing():
    X = np.array([[0.0, -0.0, 1.0]])
    stored = sparse.csr_array((np.array([-0.0, 1.0]), [1, 2], [0, 2]), (1, 3))
    assert stored.nnz == 2
    assert hashes(X) == hashes(abs(X)) == hashes(stored)


@pytest.mark.parametrize("n_features", [3, 40_000])
def test_where_a_row_stands_and_in_which_block_changes_nothing(n_features):
    X = np.random.default_rng(0).normal(size=(25, n_features))
    order = np.random.default_rng(1).permutation(25)
    np.testing.assert_array_equal(hashes(X)[order], hashes(X[order]))
    part = Dataset(X, np.zeros(25)).take(order[:7])
    actual = hash_rows(part, np.random.RandomState(0))
    np.testing.assert_array_equal(actual, hashes(X)[order[:7]])


KINDS = {
    "bits": lambda rng: (np.arange(2**16)[:, None] >> np.arange(16)) & 1,
    "signs": lambda rng: 1.0 - 2 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1),
    "bytes": lambda rng: rng.integers(0, 256, (2**16, 5)).astype(np.uint8),
    "last bits": lambda rng: 1 + np.arange(2.0**16)[:, None] * 2**-52,
    "powers": lambda rng: 2.0 ** np.stack(np.divmod(np.arange(2**16), 256), 1),
    "one column": lambda rng: np.arange(2**16)[:, None] * [0.0, 1.0, 0.0],
    "sums": lambda rng: np.stack([np.arange(2.0**16), -np.arange(2.0**16)], 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_different_rows_have_hashes_like_random_ones(kind):
    X = np.unique(KINDS[kind](np.random.default_rng(0)), axis=0)
    for seed in range(3):
        found = hashes(X, seed)
        assert len(np.unique(found)) == len(X)
        # Each of 256 values of the highest and of the lowest byte is as frequent.
        for byte in (found >> np.uint64(56), found & np.uint64(255)):
            counts = np.bincount(byte.astype(int), minlength=256)
            chi_squared = ((counts - len(X) / 256) ** 2).sum() / (len(X) / 256)
            assert 140 < chi_squared < 400  # 255 on average, give or take 23


def test_another_key_gives_other_hashes():
    X = np.random.default_rng(0).normal(size=(500, 3))
    assert not set(hashes(X, 0)) & set(hashes(X, 1))
    assert abs(np.corrcoef(hashes(X, 0) / 2**64, hashes(X, 1) / 2**64)[0, 1]) < 0.2
