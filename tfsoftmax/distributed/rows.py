"""Rows in parts for the solvers: importing this registers how they are processed."""

from __future__ import annotations

from tfsoftmax.distributed.block_shuffle import BlockShuffle, HeldOutParts
from tfsoftmax.distributed.full_batch import FullBatchOfParts
from tfsoftmax.distributed.parts import Parts
from tfsoftmax.distributed.splitting import split_parts

__all__ = ["BlockShuffle", "FullBatchOfParts", "HeldOutParts", "Parts", "split_parts"]
