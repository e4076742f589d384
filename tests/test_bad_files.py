"""Thousands of bad calls of the data sets' functions: a right answer, or a clear error.

`FILES` are the ways in which a file goes wrong. What should come of one is told by
`answer`, a second reader, written from the format's description.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.generated import N_CALLS, run
from tests.test_idx import header, idx_bytes, packed
from tests.test_mnist import IMAGES, LABELS, NAMES, TEST_IMAGES, TEST_LABELS
from tfsoftmax.datasets import load_mnist, read_idx

# Files that go wrong


def changed(contents, place, byte):
    return contents[:place] + bytes([contents[place] ^ byte]) + contents[place + 1 :]


@st.composite
def cut(draw, whole):
    return whole[: draw(st.integers(0, len(whole) - 1))]


@st.composite
def flipped(draw, whole):
    return changed(
        whole, draw(st.integers(0, len(whole) - 1)), 1 << draw(st.integers(0, 7))
    )


@st.composite
def spliced(draw, whole):
    """Some bytes are gone, or others are in their place."""
    start, stop = sorted(draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    return whole[:start] + draw(st.binary(max_size=9)) + whole[stop:]


@st.composite
def followed(draw, whole):
    """More follows: garbage, zeros, or another member of a gzip file."""
    more = draw(st.binary(min_size=1, max_size=9))
    return whole + draw(st.sampled_from([more, bytes(len(more)), gzip.compress(more)]))


@st.composite
def in_members(draw, whole):
    """A gzip file of several members, all of them whole; what it holds may not be."""
    place = draw(st.integers(0, len(whole)))
    return gzip.compress(whole[:place]) + gzip.compress(whole[place:])


@st.composite
def announcing(draw, whole):
    """Any type, any number of dimensions, sizes of nothing and of everything."""
    sizes = st.sampled_from([0, 1, 2, 3, 255, 2**16, 2**31, 2**32 - 1])
    n_dimensions = draw(st.sampled_from([0, 1, 2, 3, 4, 32, 64, 65, 255]))
    shape = draw(st.lists(sizes, min_size=n_dimensions, max_size=n_dimensions))
    start = bytes([0, 0, draw(st.sampled_from([0, 8, 9, 11, 13, 255])), n_dimensions])
    data = draw(st.binary(max_size=9))
    contents = start + struct.pack(f">{n_dimensions}I", *shape) + data
    return packed(contents, draw(st.booleans()))


@st.composite
def noise(draw, whole):
    start = draw(st.sampled_from([b"", b"\x1f\x8b", b"\x1f\x8b\x08", b"\0\0\x08"]))
    return start + draw(st.binary(max_size=40))


FILES = (
    cut,
    flipped,
    spliced,
    followed,
    in_members,
    announcing,
    noise,
    lambda whole: st.just(gzip.compress(whole)),  # a second time, where it is packed
)


def damaged(whole):
    return st.sampled_from(FILES).flatmap(lambda damage: damage(whole))


def arrays(max_dims=4):
    shapes = hnp.array_shapes(min_dims=1, max_dims=max_dims, min_side=0, max_side=5)
    return hnp.arrays(np.uint8, shapes)


def wholes():
    return st.builds(packed, arrays().map(idx_bytes), st.booleans())


def answer(contents):
    """The array that a file of these contents holds, or None if it holds none."""
    if contents[:2] == b"\x1f\x8b":
        try:
            contents = gzip.decompress(contents)
        except (EOFError, OSError, zlib.error):
            return None
    if contents[:3] != b"\0\0\x08" or not 1 <= (contents[3:4] or b"\0")[0] <= 64:
        return None
    start = 4 + 4 * contents[3]
    shape = [int.from_bytes(contents[i : i + 4], "big") for i in range(4, start, 4)]
    if math.prod(shape) != len(contents) - start:
        return None
    try:
        return np.array(list(contents[start:]), np.uint8).reshape(shape)
    except ValueError:
        return None


@N_CALLS
def test_a_bad_file_is_read_right_or_refused_by_name(n_calls, tmp_path):
    path = tmp_path / "some-idx-ubyte"

    def read(contents):
        path.write_bytes(contents)
        expected = answer(contents)
        if expected is not None:
            np.testing.assert_array_equal(read_idx(path), expected, strict=True)
            return
        with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
            read_idx(path)
        assert type(caught.value) is ValueError

    run(wholes().flatmap(damaged), read, n_calls)


# Bombs

ZEROS = bytes(1 << 24)
MEMBER = gzip.compress(ZEROS)
BOMBS = {
    "in members": lambda start: gzip.compress(start) + 192 * MEMBER,
    "in one stream": lambda start: stream(start),
    "cut": lambda start: stream(start)[:-5],
}
# (what is announced, what is really there: 3 GB or the like)
ANNOUNCED = [(0,), (1,), (2, 3), (28, 28, 28), (0, 2**32 - 1), (2**32 - 1,) * 2]
ANNOUNCED += [(2**32 - 1,) * 3, (2**32 - 1,) * 64]


def stream(start):
    """One gzip member that begins with `start` and goes on with 3 GB of zeros."""
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(ZEROS) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + 192 * block + packer.flush()


def peak_of(call):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="bomb-idx"):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", ANNOUNCED[:5], ids=str)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_that_announces_little_is_not_unpacked(tmp_path, bomb, shape):
    path = tmp_path / "bomb-idx"
    path.write_bytes(BOMBS[bomb](header(*shape)))
    assert peak_of(lambda: read_idx(path)) < 2 << 20


@pytest.mark.parametrize("shape", ANNOUNCED[5:], ids=lambda shape: f"{len(shape)}")
def test_a_bomb_that_announces_what_it_can_not_hold_is_not_unpacked(tmp_path, shape):
    # DEFLATE packs 1032 to 1 at best: the file's size tells that its header lies.
    path = tmp_path / "bomb-idx"
    path.write_bytes(gzip.compress(header(*shape)) + 4 * MEMBER)
    assert peak_of(lambda: read_idx(path)) < 20 << 20


# Paths


class Told:
    """A path-like that tells whatever it was given."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


NO_PATHS = [
    *(None, True, 0, 1, -1, 5, 2**40, 1.5, np.nan, 1j, np.int64(0), np.ones(2)),
    *((), [], ["a"], {}, {"a"}, object(), print, io.BytesIO(b"\0\0\x08"), Told, Path),
    *(Told(None), Told(3), Told(["a"]), bytearray(b"a"), memoryview(b"a"), pd.NA),
]
NO_FILES = [
    "",
    ".",
    "..",
    "/",
    "\0",
    "a\0b",
    "\ud800",
    "a" * 300,
    "/dev/null",
    "a/" * 9,
]


def bad_paths():
    texts = st.sampled_from(NO_FILES) | st.text(max_size=9)
    return st.one_of(
        st.sampled_from(NO_PATHS),
        st.integers() | st.floats() | st.binary(max_size=5) | st.booleans(),
        texts | texts.map(Told) | texts.map(lambda text: f"file/{text}"),
    )


def assert_clear(error, argument, value):
    """Of ValueErrors and TypeErrors the message names the argument or the file."""
    value = getattr(value, "path", value)
    if isinstance(error, OSError):
        # Paths are shown as pathlib has them: "a" for "a/".
        assert error.filename is not None or str(Path(value)) in str(error)
        return
    assert isinstance(error, ValueError | TypeError), repr(error)
    text = str(value) if isinstance(value, str | bytes) and value else ""
    named = re.search(rf"\b{argument}\b", str(error)) or (text and text in str(error))
    assert named, f"{error!r} does not name {argument}"


@N_CALLS
@pytest.mark.parametrize(
    ("argument", "call"),
    [("path", read_idx), ("data_dir", lambda path: load_mnist(data_dir=path))],
)
def test_a_bad_path_is_refused_by_name(argument, call, n_calls, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"not an IDX file")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def refuse(path):
        assume(not (path is None and argument == "data_dir"))  # which is the default
        with pytest.raises(Exception) as caught:  # noqa: PT011
            call(path)
        assert_clear(caught.value, argument, path)

    run(bad_paths(), refuse, n_calls)


# load_mnist

PARTS = {"train": (IMAGES, LABELS), "test": (TEST_IMAGES, TEST_LABELS)}
N_DIMENSIONS = dict(zip(NAMES, (3, 1, 3, 1), strict=True))
SIZES = [(2, 3), (3, 2), (0, 3)]


@st.composite
def folders(draw):
    """What the four files hold; one is damaged, exchanged, reshaped, or None."""
    n_rows, size = draw(st.sampled_from([0, 2, 3])), draw(st.sampled_from(SIZES))
    files = {}
    for name, n_dimensions in N_DIMENSIONS.items():
        shape = (n_rows, *size)[:n_dimensions]
        array = 99 * np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
        files[name] = packed(idx_bytes(array), draw(st.booleans()))
    name, other = draw(st.permutations(NAMES))[:2]
    another = [st.just(None), damaged(files[name]), damaged(files[name])]
    another += [arrays().map(idx_bytes), st.sampled_from(list(files.values()))]
    exchanged = {name: files[other], other: files[name]}
    return files | draw(
        st.just(exchanged) | st.one_of(*another).map(lambda changed: {name: changed})
    )


def at_fault(held, names):
    """What a refusal has to name one of; nothing where there is nothing to refuse."""
    bad = {n for n in names if held[n] is None or held[n].ndim != N_DIMENSIONS[n]}
    if bad:
        return bad
    parts = [part for part in PARTS.values() if set(part) <= set(names)]
    unlike = {n for i, k in parts if len(held[i]) != len(held[k]) for n in (i, k)}
    several = len({held[images].shape[1:] for images, _ in parts}) > 1
    return unlike or ({"differ in size"} if several else set())


def written(folder, files):
    for name, contents in files.items():
        (folder / name).unlink(missing_ok=True)
        if contents is not None:
            (folder / name).write_bytes(contents)


@N_CALLS
def test_a_bad_folder_is_read_right_or_refused_by_name(n_calls, tmp_path):

    def load(call):
        files, subset, as_frame, one_hot = call
        held = {name: None if f is None else answer(f) for name, f in files.items()}
        # Pictures of millions of pixels have a test of their own, below.
        assume(not any(a is not None and max(a.shape) > 300 for a in held.values()))
        written(tmp_path, files)
        kinds = {"as_frame": as_frame, "one_hot": one_hot}
        names = [n for part in PARTS if subset in (part, "all") for n in PARTS[part]]
        wrong = at_fault(held, names)
        if wrong:
            with pytest.raises((ValueError, FileNotFoundError)) as caught:
                load_mnist(subset, data_dir=tmp_path, **kinds)
            assert type(caught.value) in (ValueError, FileNotFoundError)
            assert str(tmp_path) in str(caught.value)
            assert any(name in str(caught.value) for name in wrong)
            return
        digits = load_mnist(subset, data_dir=tmp_path, **kinds)
        images, labels = (
            np.concatenate([held[n] for n in names[i::2]]) for i in (0, 1)
        )
        np.testing.assert_array_equal(digits.images, images, strict=True)
        target = np.asarray(digits.target)
        expected = np.eye(len(digits.target_names))[labels] if one_hot else labels
        np.testing.assert_array_equal(target, expected)
        flat = images.reshape(len(images), math.prod(images.shape[1:]))
        # A frame without columns has no dtype.
        strict = flat.shape[1] > 0
        np.testing.assert_array_equal(np.asarray(digits.data), flat, strict=strict)

    subsets, flags = st.sampled_from(["train", "test", "all"]), st.booleans()
    calls = st.tuples(folders(), subsets, flags, flags)
    run(calls, load, n_calls)


def test_a_tiny_file_of_no_pictures_does_not_fill_memory(tmp_path):
    # Of 65535 x 65535 pixels each: 4e9 names of features.
    written(tmp_path, {IMAGES: header(0, 65535, 65535), LABELS: header(0)})
    code = f"""if True:
        import resource
        from tfsoftmax.datasets import load_mnist
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30,) * 2)
        try:
            load_mnist(data_dir={str(tmp_path)!r})
        except Exception as error:
            print(type(error).__name__, error)
        """
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.startswith("ValueError")
    assert IMAGES in said


NEITHER = [
    *(None, "", "Train", "training", b"train", 0, 1, True, np.nan, ["train"], pd.NA),
    *(np.array(["train", "test"]), np.array([]), pd.Series(["all", "all"]), object()),
    *(("all",), {"train"}, {}, print, "\0", "\ud800", 1j, np.zeros((2, 2))),
]
ARGUMENTS = ["subset", "return_X_y", "as_frame", "one_hot"]


@N_CALLS
def test_a_bad_argument_is_refused_by_name(n_calls, tmp_path):
    pictures, labels = np.ones((2, 2, 2), np.uint8), np.zeros(2, np.uint8)
    for name, array in zip(NAMES, (pictures, labels) * 2, strict=True):
        (tmp_path / name).write_bytes(idx_bytes(array))

    def refuse(call):
        argument, value = call
        try:
            load_mnist(**{"data_dir": tmp_path, argument: value})
        except Exception as error:
            assert_clear(error, argument, value)
        else:
            if argument == "subset":
                assert value in PARTS or value == "all"
            else:
                assert isinstance(value, bool)

    others = st.text(), st.integers(), st.floats(), st.binary(), st.booleans()
    values = st.sampled_from(NEITHER) | st.one_of(*others)
    calls = st.tuples(st.sampled_from(ARGUMENTS), values)
    run(calls, refuse, n_calls)
