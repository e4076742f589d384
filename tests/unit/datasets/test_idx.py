"""The IDX reader, against files written from the format's description."""

from __future__ import annotations

import gzip
import math
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.idx_files import header, idx_bytes, packed
from tfsoftmax.datasets import read_idx

ARRAYS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "some-idx-ubyte"


def assert_refused(path, words):
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{words}"):
        read_idx(path)


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


# `open` itself would take 0 for standard input, and bytes for a name.
@pytest.mark.parametrize("wrong", [None, 0, b"some-idx-ubyte"])
def test_what_is_no_path_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=type(wrong).__name__):
        read_idx(wrong)


@given(array=ARRAYS, gzipped=st.booleans())
@example(array=np.zeros(0, np.uint8), gzipped=False)
def test_what_is_written_is_read_back(path, array, gzipped):
    path.write_bytes(packed(idx_bytes(array), gzipped))
    read = read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


@given(array=ARRAYS, gzipped=st.booleans(), data=st.data())
def test_any_truncation_is_refused(path, array, gzipped, data):
    contents = packed(idx_bytes(array), gzipped)
    path.write_bytes(contents[: data.draw(st.integers(0, len(contents) - 1))])
    assert_refused(path, "truncated|not an IDX file|damaged gzip")


@given(array=ARRAYS, gzipped=st.booleans(), more=st.binary(min_size=1, max_size=9))
def test_any_surplus_is_refused(path, array, gzipped, more):
    path.write_bytes(packed(idx_bytes(array) + more, gzipped))
    assert_refused(path, "is too long: its header announces .* there are more")


SIZES = st.sampled_from([0, 1, 2, 3, 255, 2**16, 2**31, 2**32 - 1])


@given(
    shape=st.lists(SIZES, max_size=4) | st.lists(st.just(1), min_size=60, max_size=70),
    data=st.binary(max_size=9),
    gzipped=st.booleans(),
)
@example(shape=[0, 2**32 - 1, 2**32 - 1, 2**32 - 1], data=b"", gzipped=False)
@example(shape=[1] * 65, data=b"a", gzipped=False)
def test_any_shape_is_read_where_the_data_and_numpy_have_it_or_refused(
    path, shape, data, gzipped
):
    path.write_bytes(packed(header(*shape) + data, gzipped))
    try:
        expected = np.array(list(data), np.uint8).reshape(shape)
    except ValueError:
        assert_refused(path, "truncated|too long|invalid shape")
    else:
        np.testing.assert_array_equal(read_idx(path), expected, strict=True)


def test_a_gzip_file_may_have_several_members(path):
    contents = header(2, 3) + b"abcdef"
    path.write_bytes(
        b"".join(gzip.compress(contents[i : i + 5]) for i in (0, 5, 10, 15))
    )
    assert read_idx(path).tobytes() == b"abcdef"


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
        (b"\0\0\x08\xff" + bytes(1020), "invalid shape.* 64"),
        (header(2, 3)[:-1], "truncated: it ends inside the header.* hold 2 sizes"),
        (header(2, 3)[:4], "truncated: it ends inside the header.* hold 2 sizes"),
        (header(2, 3), r"truncated: .* announces 6 bytes .*\(2, 3\); found 0"),
        (header(2, 3) + b"abcde", r"truncated: .* 6 bytes .*\(2, 3\); found 5"),
        (header(2, 3) + b"abcdefg", r"too long: .* 6 bytes .*\(2, 3\); there are more"),
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


ZEROS = bytes(32 << 20)


@pytest.mark.parametrize("shape", [(0,), (4,), (28, 28)])
@pytest.mark.parametrize("n_members", [1, 2])
def test_a_gzip_bomb_is_refused_unread(path, shape, n_members):
    # The last member is cut: reading on to its end would be another error.
    parts = [header(*shape) + ZEROS] if n_members == 1 else [header(*shape), ZEROS]
    path.write_bytes(b"".join(gzip.compress(part) for part in parts)[:-100])
    words = f"announces {math.prod(shape)} bytes .* there are more"
    assert peak_of_refusing(path, words) < 2 << 20


@pytest.mark.parametrize("contents", [b"abc", gzip.compress(ZEROS)], ids=len)
@pytest.mark.parametrize("n_dimensions", [2, 3, 64])
def test_a_header_announcing_the_impossible_allocates_little(
    path, n_dimensions, contents
):
    start = header(*[2**32 - 1] * n_dimensions)
    path.write_bytes((start if contents == b"abc" else gzip.compress(start)) + contents)
    peak = peak_of_refusing(path, f"announces {(2**32 - 1) ** n_dimensions} bytes")
    assert peak < 2 << 20
