"""Data beyond one machine: fits on Dask collections.

    blocks of X, y → reading.read → Parts → sums over parts → the solvers

The rows stay where they are. A worker holds parts, which are lists of neighbouring
blocks; what the solvers ask of all rows is asked of each part, and the answers are
combined in an order that depends on the parts' numbers alone (:mod:`.tree`). So the
weights don't depend on how many workers there are, which of them holds which part, or
which of them is lost.
"""
