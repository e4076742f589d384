"""The IDX file format: how MNIST and its drop-in replacements are stored.

An IDX file is a header and an array in C order, numbers big-endian:

    0 0 <type> <number of dimensions> | one uint32 per dimension | the data

Type 8 is unsigned bytes, the only one read here.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

_UNSIGNED_BYTE = 8
_GZIP_MAGIC = b"\x1f\x8b"
# Bytes that gzip can pack into one byte at most: DEFLATE's limit.
_MAX_COMPRESSION = 1032


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or raw.

    Parameters
    ----------
    path : str or path-like
        The file. Compression is detected from its first two bytes, not from its name.

    Returns
    -------
    array : ndarray of dtype uint8
        The array, in the shape that is stored in the header.

    Raises
    ------
    OSError
        If the file can't be read; FileNotFoundError if it does not exist.
    TypeError
        If ``path`` is neither a str nor a path-like object for a str.
    ValueError
        If the file is not a complete, well-formed IDX file of unsigned bytes. The
        message names the file and the problem. No more bytes are decompressed than the
        header announces, so a small file can't expand without bound.

    References
    ----------
    The format is described on the page of the MNIST database: Y. LeCun, C. Cortes and
    C. J. C. Burges, "The MNIST database of handwritten digits", 1998.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "two-by-two-idx2-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4]))
    >>> read_idx(path).tolist()
    [[1, 2], [3, 4]]
    """
    path = Path(path)
    try:
        with _open(path) as file:
            shape = _read_header(file, path)
            return _read_data(file, path, shape)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file: {error}.") from error


def _open(path: Path) -> BinaryIO:
    with open(path, "rb") as file:
        gzipped = file.read(2) == _GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if gzipped else open(path, "rb")


def _read_header(file: BinaryIO, path: Path) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(
            f"{path} is not an IDX file: it should begin with two zero bytes, a type "
            f"and a number of dimensions; got {magic.hex(' ') or 'an empty file'}."
        )
    if magic[2] != _UNSIGNED_BYTE:
        raise ValueError(
            f"{path} holds elements of IDX type {magic[2]:#04x}; only unsigned bytes "
            f"({_UNSIGNED_BYTE:#04x}) can be read."
        )
    n_dimensions = magic[3]
    sizes = file.read(4 * n_dimensions)
    if len(sizes) < 4 * n_dimensions:
        raise ValueError(
            f"{path} is truncated: it ends inside the header, which should hold "
            f"{n_dimensions} sizes."
        )
    return struct.unpack(f">{n_dimensions}I", sizes)


def _read_data(file: BinaryIO, path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    expected = math.prod(shape)
    announced = f"its header announces {expected} bytes of data, shape {shape}"
    # Checked first, so that a small file is not decompressed to gigabytes in vain.
    if expected > (most := _MAX_COMPRESSION * path.stat().st_size):
        raise ValueError(
            f"{path} is truncated: {announced}; it can hold no more than {most}."
        )
    # One byte more than announced shows whether the file goes on.
    data = bytearray()
    while len(data) <= expected:
        block = file.read(min(expected + 1 - len(data), 1 << 24))
        if not block:
            break
        data += block
    if len(data) < expected:
        raise ValueError(f"{path} is truncated: {announced}; found {len(data)}.")
    if len(data) > expected:
        raise ValueError(f"{path} is too long: {announced}; there are more.")
    try:
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)
    except ValueError as error:  # more dimensions, or larger ones, than NumPy allows
        raise ValueError(
            f"{path} has a header with an invalid shape, {shape}: {error}."
        ) from error
