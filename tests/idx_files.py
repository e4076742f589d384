"""Contents of IDX files, written from the format's description."""

from __future__ import annotations

import gzip
import struct


def header(*shape):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx_bytes(array):
    return header(*array.shape) + array.tobytes()


def packed(contents, gzipped):
    return gzip.compress(contents, mtime=0) if gzipped else contents
