"""A 64-bit hash of each row that depends only on its values.

The hash of a row x uses the high and low 32 bits of the float64 x_j in each column j:

    h(x) = mix( c + Σ_j (a_j · high(x_j) + b_j · low(x_j))  mod 2⁶⁴ )

a multilinear hash (Carter & Wegman 1979; Lemire & Kaser 2014). The multipliers a_j and
b_j of 64 bits are made of the key and of j. Zeros add nothing: a sparse row has the
hash of the same row made dense.

If the multipliers are random, two different rows have the same hash with a probability
of at most 2⁻³³: where half a value differs, by an odd number times 2ᵗ, t ≤ 31, one
multiplier in 2⁶⁴⁻ᵗ makes up for all other differences. It is 2⁻⁶⁴ where the last bit
differs, 2⁻⁴⁴ between 0 and 1. Among a million rows that is less than one pair, or some
60 in the worst case, where values differ in sign alone.

References
----------
J. L. Carter and M. N. Wegman, "Universal classes of hash functions", Journal of
Computer and System Sciences 18(2), 1979.

D. Lemire and O. Kaser, "Strongly universal string hashing is fast", The Computer
Journal 57(11), 2014.

G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014: splitmix64, the generator of the multipliers, and `mix`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.utils.sparse import canonical

# Values hashed at once, which fit in the cache as float64 and high words.
_BLOCK_VALUES = 1 << 15
_HALF = np.uint64(32)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hash_rows(dataset: Dataset, rng: np.random.RandomState) -> NDArray[np.uint64]:
    """Hash each row of X with a key drawn from the generator.

    Rows are equal if their values are, as float64; −0 equals 0.
    """
    X, n_features = dataset.X, dataset.n_features
    keys = np.frombuffer(rng.bytes(24), dtype="<u8").astype(np.uint64)
    a, b = (_multipliers(key, n_features) for key in keys[:2])
    values_per_row = X.nnz // X.shape[0] if sparse.issparse(X) else n_features
    n_rows = max(1, _BLOCK_VALUES // max(1, values_per_row))
    hashes = np.empty(len(dataset), np.uint64)
    for rows, block in dataset.blocks(n_rows):
        bits = _bits(block)
        if X.dtype.itemsize <= 2:  # the low 32 bits are 0
            hashes[rows] = _high(bits) @ a
        else:  # a·high + b·low, where low = bits − 2³²·high
            hashes[rows] = bits @ b + _high(bits) @ (a - (b << _HALF))
    return _mix(hashes + keys[2])


def _multipliers(key: np.uint64, n: int) -> NDArray[np.uint64]:
    """Return the first n numbers of splitmix64, starting from the key."""
    return _mix(key + _GOLDEN * np.arange(1, n + 1, dtype=np.uint64))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Map 64 bits to 64 bits, one to one, so that each bit depends on all."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _bits(X: Any) -> Any:
    """Return the bits of each value as float64, sparse where X is."""
    if not sparse.issparse(X):
        return np.add(X, 0.0, dtype=np.float64, order="C").view(np.uint64)  # −0 + 0 = 0
    X = canonical(X)
    return sparse.csr_array((_bits(X.data), X.indices, X.indptr), X.shape)


def _high(bits: Any) -> Any:
    """Return the high 32 bits of each value."""
    if not sparse.issparse(bits):
        return bits >> _HALF
    return sparse.csr_array((bits.data >> _HALF, bits.indices, bits.indptr), bits.shape)
