"""Part: neighbouring blocks of rows, in the memory of one worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from scipy import sparse

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.distributed.allocation import reuses_freed_memory
from tfsoftmax.utils.blas import single_threaded_blas


@dataclass(frozen=True)
class Call:
    """A function to call with each block of rows, or with an object made from it.

    Attributes
    ----------
    function : callable
        Called with a block, which is a `Dataset`, or with the object that `make` has
        made from it, and with `arguments`.
    arguments : tuple
    combine : callable
        Combines two results into one.
    by_sample : bool
        Whether to use only the sample weights of the rows, without class weights.
    make : callable, default=None
        Called with a block and `made_of`. The object that it returns is kept with the
        block.
    made_of : tuple
    name : str
        A unique name of these objects.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    combine: Callable[[Any, Any], Any]
    by_sample: bool = False
    make: Callable[..., Any] | None = None
    made_of: tuple[Any, ...] = ()
    name: str = ""


class Part:
    """Some blocks of rows, and the objects made from them.

    Parameters
    ----------
    blocks : sequence of Dataset
        Not empty. Their weights have a mean of 1 over the rows of all parts.
    by_sample : sequence of Dataset, default=None
        The same with sample weights only, if there are class weights.
    """

    def __init__(
        self, blocks: Sequence[Dataset], by_sample: Sequence[Dataset] | None = None
    ) -> None:
        self.blocks, self.by_sample = blocks, by_sample or blocks
        self._made: dict[Callable[..., Any], tuple[str, list[Any]]] = {}

    def run(self, call: Call) -> Any:
        """Call for each block, and combine the results in order."""
        each: Sequence[Any] = self.by_sample if call.by_sample else self.blocks
        with single_threaded_blas(), reuses_freed_memory():
            if call.make is not None:
                each = self._make(call, each)
            return reduce(
                call.combine, (call.function(one, *call.arguments) for one in each)
            )

    def _make(self, call: Call, blocks: Sequence[Dataset]) -> list[Any]:
        """Return the object made from each block, making it at the first call."""
        assert call.make is not None
        name, made = self._made.get(call.make, ("", []))
        if name != call.name:
            self._made.pop(call.make, None)  # frees the previous objects first
            made = [call.make(block, *call.made_of) for block in blocks]
            self._made[call.make] = call.name, made
        return made

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_made": {}}  # they hold tensors, and are made again

    def __sizeof__(self) -> int:
        """Return the size of the rows, by which Dask decides what to spill."""
        return sum(
            _n_bytes(block.X) + _n_bytes(block.y) + _n_bytes(block.weights)
            for block in self.blocks
        )


def _n_bytes(array: Any) -> int:
    if array is None:
        return 0
    if sparse.issparse(array):
        return sum(_n_bytes(each) for each in (array.data, array.indices, array.indptr))
    return int(array.nbytes)
