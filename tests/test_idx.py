"""The IDX reader, against files written from the format's description."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfsoftmax.datasets import read_idx

ARRAYS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
)


def header(*shape):
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx_bytes(array):
    return header(*array.shape) + array.tobytes()


def packed(contents, gzipped):
    return gzip.compress(contents, mtime=0) if gzipped else contents


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "some-idx-ubyte"


def assert_refused(path, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path} ")


def peak_of_refusing(path, words):
    tracemalloc.start()
    try:
        assert_refused(path, words)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_written_by_hand_is_read(path):
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 3, 4, 255]))
    array = read_idx(path)
    assert array.tolist() == [[0, 1, 2], [3, 4, 255]]
    assert array.dtype == np.uint8
    assert array.flags.writeable
    assert read_idx(str(path)).tolist() == array.tolist()


def test_a_folder_is_an_os_error_that_names_it(tmp_path):
    with pytest.raises(OSError, match=tmp_path.name):
        read_idx(tmp_path)


@settings(deadline=None)
@given(array=ARRAYS, gzipped=st.booleans())
@example(array=np.zeros(0, np.uint8), gzipped=False)
def test_what_is_written_is_read_back(path, array, gzipped):
    path.write_bytes(packed(idx_bytes(array), gzipped))
    read = read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


@settings(deadline=None)
@given(array=ARRAYS, gzipped=st.booleans(), data=st.data())
def test_any_truncation_is_refused(path, array, gzipped, data):
    contents = packed(idx_bytes(array), gzipped)
    path.write_bytes(contents[: data.draw(st.integers(0, len(contents) - 1))])
    assert_refused(path, "truncated|not an IDX file|damaged gzip")


@settings(deadline=None)
@given(array=ARRAYS, gzipped=st.booleans(), more=st.binary(min_size=1, max_size=9))
def test_any_surplus_is_refused(path, array, gzipped, more):
    path.write_bytes(packed(idx_bytes(array) + more, gzipped))
    assert_refused(path, "is too long: its header announces .* more follow")


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_gzip_is_told_by_the_contents_not_by_the_name(tmp_path, suffix, gzipped):
    path = tmp_path / f"named{suffix}"
    path.write_bytes(packed(header(3) + b"abc", gzipped))
    assert read_idx(path).tobytes() == b"abc"


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "not an IDX file: .* got an empty file"),
        (b"\0\0\x08", "not an IDX file: .* got 00 00 08"),
        (b"\x89PNG\r\n", "not an IDX file: .* two zero bytes.* got 89 50 4e 47"),
        (b"\0\1\x08\1" + bytes(9), "not an IDX file: .* got 00 01 08 01"),
        (b"\0\0\x0d\1\0\0\0\0", "elements of IDX type 0x0d; only unsigned bytes"),
        (b"\0\0\x09\1\0\0\0\0", "elements of IDX type 0x09; only unsigned bytes"),
        (b"\0\0\x08\0", "announces 0 dimensions; expected between 1 and 64"),
        (b"\0\0\x08\xff" + bytes(1020), "announces 255 dimensions; expected"),
        (header(2, 3)[:-1], "truncated: it ends inside the header.* give 2 sizes"),
        (header(2, 3)[:4], "truncated: it ends inside the header.* give 2 sizes"),
        (header(2, 3), r"truncated: .* announces 6 bytes .*\(2, 3\); found 0"),
        (header(2, 3) + b"abcde", r"truncated: .* 6 bytes .*\(2, 3\); found 5"),
        (header(2, 3) + b"abcdefg", r"too long: .* 6 bytes .*\(2, 3\); more follow"),
    ],
)
def test_a_malformed_file_is_refused_by_name(path, contents, words, gzipped):
    path.write_bytes(packed(contents, gzipped))
    assert_refused(path, words)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere-idx"):
        read_idx(tmp_path / "nowhere-idx")


@pytest.mark.parametrize(
    "damage",
    [
        lambda contents: contents[:2],
        lambda contents: contents[:15],
        lambda contents: contents[: len(contents) // 2],
        lambda contents: contents[:-1],
        lambda contents: contents[:-8] + bytes([contents[-8] ^ 1]) + contents[-7:],
        lambda contents: contents[:-1] + bytes([contents[-1] ^ 128]),
        lambda contents: contents + b"garbage",
    ],
    ids=["magic", "header", "half", "last byte", "checksum", "length", "garbage"],
)
def test_a_damaged_gzip_file_is_refused_by_name(path, damage):
    path.write_bytes(damage(packed(header(256) + bytes(range(256)), gzipped=True)))
    assert_refused(path, "is a damaged gzip file: .+")


def test_a_flipped_bit_never_goes_unnoticed(path):
    contents = packed(header(40) + bytes(range(40)), gzipped=True)
    refused = 0
    for bit in range(8 * len(contents)):
        flipped = bytearray(contents)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            # Some bits mean nothing, such as those of the time in gzip's header.
            assert read_idx(path).tobytes() == bytes(range(40))
        except ValueError:
            refused += 1
    assert refused > 8 * 40


def test_a_gzip_bomb_is_refused_unread(path):
    # The stream is cut: who reads on to its end is told of that, not of the length.
    bomb = packed(header(4) + bytes(32 << 20), gzipped=True)
    path.write_bytes(bomb[:-100])
    assert peak_of_refusing(path, "announces 4 bytes .* more follow") < 2 << 20


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("n_dimensions", [2, 3, 64])
def test_a_header_announcing_the_impossible_allocates_little(
    path, n_dimensions, gzipped
):
    shape = (2**32 - 1,) * n_dimensions
    path.write_bytes(packed(header(*shape) + b"abc", gzipped))
    peak = peak_of_refusing(path, f"announces {(2**32 - 1) ** n_dimensions} bytes")
    assert peak < 64 << 20


def test_sizes_that_no_array_can_have_are_refused_by_name(tmp_path):
    path = tmp_path / "huge-idx4-ubyte"
    path.write_bytes(bytes([0, 0, 8, 4]) + struct.pack(">4I", 0, *[2**32 - 1] * 3))
    with pytest.raises(ValueError, match="huge-idx4-ubyte announces the shape"):
        read_idx(path)
