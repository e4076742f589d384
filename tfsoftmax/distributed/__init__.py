"""Data beyond one machine: fits on Dask collections.

    blocks of X, y → reading.read → Parts → sums over parts → the solvers

The rows stay where they are. A worker holds parts, which are lists of neighbouring
blocks. Whatever the solvers compute over all rows is computed for each part, and the
results are combined in an order that depends only on the numbers of the parts
(:mod:`.tree`). The weights therefore don't depend on how many workers there are, which
of them holds which part, or which of them is lost.
"""
