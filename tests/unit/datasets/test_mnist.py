"""load_mnist: the digits of the package, and folders of files like theirs."""

from __future__ import annotations

import gzip
import hashlib
import re

import numpy as np
import pytest

from tests.idx_files import header, idx_bytes
from tfsoftmax.datasets import _mnist, load_mnist, read_idx

# Of each raw file, as published.
SHA256 = {
    ("train", "images"): (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    ("train", "target"): (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    ("test", "images"): (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    ("test", "target"): (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}
COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = NAMES


def drop_in(n_train=7, n_test=5, size=(4, 3), n_classes=4):
    """The four arrays of a small data set in MNIST's format."""
    rng = np.random.default_rng(0)
    arrays = []
    for n_samples in (n_train, n_test):
        arrays.append(rng.integers(0, 256, (n_samples, *size), dtype=np.uint8))
        arrays.append(np.arange(n_samples, dtype=np.uint8) % n_classes)
    return dict(zip(NAMES, arrays, strict=True))


def write(folder, arrays, gzipped=()):
    for name, array in arrays.items():
        contents = idx_bytes(array)
        if name in gzipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(contents))
        else:
            (folder / name).write_bytes(contents)
    return folder


@pytest.fixture(scope="module")
def bunches():
    return {subset: load_mnist(subset) for subset in ("train", "test", "all")}


@pytest.mark.parametrize(("subset", "what"), SHA256)
def test_the_digits_are_the_published_ones(bunches, subset, what):
    raw_file = idx_bytes(bunches[subset][what].astype(np.uint8))
    assert hashlib.sha256(raw_file).hexdigest() == SHA256[subset, what]


@pytest.mark.parametrize(("subset", "n_samples"), [("train", 60_000), ("test", 10_000)])
def test_a_subset_has_its_published_shape_and_counts(bunches, subset, n_samples):
    digits = bunches[subset]
    assert digits.data.shape == (n_samples, 784)
    assert digits.images.shape == (n_samples, 28, 28)
    assert digits.target.shape == (n_samples,)
    assert digits.data.dtype == digits.images.dtype == np.uint8
    assert digits.target.dtype == np.int64
    assert np.bincount(digits.target).tolist() == COUNTS[subset]


@pytest.mark.slow
def test_all_is_the_training_rows_then_the_test_rows(bunches):
    for what in ("data", "images", "target"):
        parts = [bunches["train"][what], bunches["test"][what]]
        np.testing.assert_array_equal(
            bunches["all"][what], np.concatenate(parts), strict=True
        )


def test_train_is_the_default(bunches):
    np.testing.assert_array_equal(load_mnist().target, bunches["train"].target)


@pytest.mark.parametrize("subset", ["train", "test", "all"])
def test_images_share_memory_with_data(bunches, subset):
    digits = bunches[subset]
    assert np.shares_memory(digits.images, digits.data)
    assert digits.data.flags.c_contiguous
    assert digits.data.flags.writeable
    np.testing.assert_array_equal(digits.data[3].reshape(28, 28), digits.images[3])


def test_the_bunch_describes_itself(bunches):
    digits = bunches["test"]
    assert digits.feature_names == [f"pixel{i}" for i in range(1, 785)]
    assert digits.target_names.tolist() == list(range(10))
    assert digits.frame is None
    assert "MNIST" in digits.DESCR
    assert "Yann LeCun and Corinna Cortes" in digits.DESCR
    assert "CC BY-SA 3.0" in digits.DESCR


def test_return_X_y_gives_data_and_target(bunches):  # noqa: N802
    X, y = load_mnist("test", return_X_y=True)
    np.testing.assert_array_equal(X, bunches["test"].data, strict=True)
    np.testing.assert_array_equal(y, bunches["test"].target, strict=True)


def test_as_frame_keeps_bytes_and_names_columns(bunches):
    pd = pytest.importorskip("pandas")
    plain, digits = bunches["test"], load_mnist("test", as_frame=True)
    assert isinstance(digits.data, pd.DataFrame)
    assert isinstance(digits.target, pd.Series)
    assert list(digits.data.columns) == plain.feature_names
    assert digits.target.name == "target"
    assert list(digits.frame.columns) == [*plain.feature_names, "target"]
    assert set(digits.data.dtypes) == {np.dtype(np.uint8)}
    assert set(digits.frame.dtypes[:-1]) == {np.dtype(np.uint8)}
    assert digits.target.dtype == digits.frame["target"].dtype == np.int64
    np.testing.assert_array_equal(digits.data.to_numpy(), plain.data)
    np.testing.assert_array_equal(digits.target.to_numpy(), plain.target)
    np.testing.assert_array_equal(digits.frame.iloc[:, :-1].to_numpy(), plain.data)


def test_as_frame_and_return_X_y_go_together(tmp_path):  # noqa: N802
    pd = pytest.importorskip("pandas")
    folder = write(tmp_path, drop_in())
    bunch = load_mnist(data_dir=folder, as_frame=True)
    X, y = load_mnist(data_dir=folder, as_frame=True, return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    pd.testing.assert_series_equal(y, bunch.target)


def test_no_frame_is_made_that_is_not_returned(tmp_path, monkeypatch):
    pd = pytest.importorskip("pandas")
    folder = write(tmp_path, drop_in())
    monkeypatch.delattr(pd, "concat")
    X, _ = load_mnist(data_dir=folder, as_frame=True, return_X_y=True)
    assert X.shape == (7, 12)


@pytest.mark.parametrize(
    ("subset", "options", "expected"),
    [
        ("train", {}, [IMAGES, LABELS, TEST_LABELS]),
        ("test", {}, [TEST_IMAGES, TEST_LABELS, LABELS]),
        ("all", {}, NAMES),
        ("train", {"return_X_y": True}, [IMAGES, LABELS]),
        ("test", {"return_X_y": True}, [TEST_IMAGES, TEST_LABELS]),
        ("test", {"return_X_y": True, "one_hot": True}, [*NAMES[1:]]),
        ("all", {"return_X_y": True, "one_hot": True}, NAMES),
    ],
)
def test_no_file_is_read_in_vain(tmp_path, monkeypatch, subset, options, expected):
    read = []

    def note(path):
        read.append(path.name)
        return read_idx(path)

    monkeypatch.setattr(_mnist, "read_idx", note)
    load_mnist(subset, data_dir=write(tmp_path, drop_in()), **options)
    assert sorted(read) == sorted(expected)


def test_one_hot_has_a_one_at_the_class(bunches):
    X, Y = load_mnist("test", one_hot=True, return_X_y=True)
    assert Y.shape == (10_000, 10)
    assert Y.dtype == np.float32
    rows, classes = np.nonzero(Y)
    assert rows.tolist() == list(range(10_000))
    np.testing.assert_array_equal(classes, bunches["test"].target)
    assert (Y[rows, classes] == 1).all()
    np.testing.assert_array_equal(X, bunches["test"].data, strict=True)


def test_one_hot_as_frame_has_a_column_for_each_class(tmp_path):
    pytest.importorskip("pandas")
    arrays = drop_in()
    digits = load_mnist(data_dir=write(tmp_path, arrays), as_frame=True, one_hot=True)
    assert list(digits.target.columns) == ["target0", "target1", "target2", "target3"]
    assert set(digits.target.dtypes) == {np.dtype(np.float32)}
    classes = digits.target.to_numpy().argmax(axis=1)
    np.testing.assert_array_equal(classes, arrays[LABELS])
    assert digits.frame.shape == (7, 12 + 4)


@pytest.mark.parametrize("subset", ["validation", "", "Train", None, 0, ["train"]])
def test_an_unknown_subset_is_refused(subset):
    words = f"subset must be 'train', 'test' or 'all'; got {subset!r}."
    with pytest.raises(ValueError, match=re.escape(words)):
        load_mnist(subset)


@pytest.mark.parametrize("flag", ["return_X_y", "as_frame", "one_hot"])
def test_a_flag_that_is_no_bool_is_refused(flag):
    # fetch_openml has as_frame="auto"; any string would count as True.
    with pytest.raises(TypeError, match=f"{flag} must be True or False; got 'auto'."):
        load_mnist(**{flag: "auto"})


@pytest.mark.parametrize("as_path", [str, lambda folder: folder])
@pytest.mark.parametrize(
    "gzipped", [(), NAMES, (IMAGES, TEST_LABELS)], ids=["raw", "gzipped", "mixed"]
)
def test_a_folder_may_be_gzipped_raw_or_mixed(tmp_path, gzipped, as_path):
    arrays = drop_in()
    folder = as_path(write(tmp_path, arrays, gzipped))
    for subset, images, labels in [
        ("train", arrays[IMAGES], arrays[LABELS]),
        ("test", arrays[TEST_IMAGES], arrays[TEST_LABELS]),
    ]:
        X, y = load_mnist(subset, data_dir=folder, return_X_y=True)
        np.testing.assert_array_equal(X, images.reshape(len(images), 12), strict=True)
        np.testing.assert_array_equal(y, labels)
    digits = load_mnist("all", data_dir=folder)
    assert digits.images.shape == (12, 4, 3)
    assert digits.feature_names == [f"pixel{i}" for i in range(1, 13)]
    assert digits.target_names.tolist() == [0, 1, 2, 3]


def test_a_drop_in_describes_where_it_is_from(tmp_path):
    # Fashion-MNIST's shapes and classes.
    arrays = drop_in(n_train=30, n_test=10, size=(28, 28), n_classes=10)
    fashion = load_mnist("test", data_dir=write(tmp_path, arrays, gzipped=NAMES))
    np.testing.assert_array_equal(fashion.images, arrays[TEST_IMAGES], strict=True)
    assert fashion.data.shape == (10, 784)
    assert fashion.target_names.tolist() == list(range(10))
    assert str(tmp_path) in fashion.DESCR
    assert "LeCun" not in fashion.DESCR


def test_a_subset_needs_only_its_own_files(tmp_path):
    arrays = drop_in()
    write(tmp_path, {name: arrays[name] for name in (TEST_IMAGES, TEST_LABELS)})
    assert len(load_mnist("test", data_dir=tmp_path).target) == 5
    with pytest.raises(FileNotFoundError, match=IMAGES):
        load_mnist("all", data_dir=tmp_path)


@pytest.mark.parametrize("missing", NAMES)
def test_a_missing_file_is_named(tmp_path, missing):
    write(tmp_path, drop_in(), gzipped=(IMAGES,))
    for path in tmp_path.glob(f"{missing}*"):
        path.unlink()
    words = f"Found neither {missing} nor {missing}.gz in {tmp_path}."
    with pytest.raises(FileNotFoundError, match=re.escape(words)) as caught:
        load_mnist("all", data_dir=tmp_path)
    assert all(name in str(caught.value) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda contents: contents[:6], "truncated|damaged gzip"),
        (lambda contents: contents[:-1], "truncated|damaged gzip"),
        (lambda contents: contents + b"more", "too long|damaged gzip"),
        (lambda contents: b"<!DOCTYPE html>", "not an IDX file"),
    ],
    ids=["header", "data", "surplus", "a web page"],
)
def test_a_damaged_file_is_named(tmp_path, name, suffix, damage, words):
    write(tmp_path, drop_in(), gzipped=NAMES if suffix else ())
    path = tmp_path / f"{name}{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=words) as caught:
        load_mnist("all", data_dir=tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("subset", "images", "labels"),
    [("train", IMAGES, LABELS), ("test", TEST_IMAGES, TEST_LABELS)],
)
def test_images_and_labels_that_differ_in_number_are_refused(
    tmp_path, subset, images, labels
):
    arrays = drop_in(n_train=6, n_test=6)
    write(tmp_path, arrays | {labels: arrays[labels][:-1]})
    with pytest.raises(ValueError, match="6 images and 5 labels") as caught:
        load_mnist(subset, data_dir=tmp_path)
    assert str(tmp_path / images) in str(caught.value)
    assert str(tmp_path / labels) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        (IMAGES, (7, 12), r"images, an array of 3 dimensions; .* \(7, 12\)"),
        (IMAGES, (7, 2, 2, 3), r"images, an array of 3 dimensions; .* \(7, 2, 2, 3\)"),
        (IMAGES, (7,), r"images, an array of 3 dimensions; .* \(7,\)"),
        (LABELS, (7, 1), r"labels, an array of 1 dimension; .* \(7, 1\)"),
        (LABELS, (7, 4, 3), r"labels, an array of 1 dimension; .* \(7, 4, 3\)"),
    ],
)
def test_a_wrong_number_of_dimensions_is_refused(tmp_path, name, shape, words):
    write(tmp_path, drop_in() | {name: np.zeros(shape, np.uint8)})
    with pytest.raises(ValueError, match=words) as caught:
        load_mnist(data_dir=tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_all_refuses_images_of_two_sizes(tmp_path):
    write(tmp_path, drop_in() | {TEST_IMAGES: np.zeros((5, 3, 4), np.uint8)})
    words = f"images in {tmp_path} differ in size: (4, 3) and (3, 4)"
    with pytest.raises(ValueError, match=re.escape(words)):
        load_mnist("all", data_dir=tmp_path)
    assert load_mnist("test", data_dir=tmp_path).images.shape == (5, 3, 4)


def test_subsets_agree_on_the_classes(tmp_path):
    arrays = drop_in(n_train=8, n_test=2)
    folder = write(tmp_path, arrays)
    for subset, n_samples in (("train", 8), ("test", 2)):
        digits = load_mnist(subset, data_dir=folder, one_hot=True)
        assert digits.target.shape == (n_samples, 4)
        assert digits.target_names.tolist() == [0, 1, 2, 3]


def test_a_set_without_images_is_an_empty_set(tmp_path):
    folder = write(tmp_path, drop_in(n_train=0))
    digits = load_mnist(data_dir=folder)
    assert digits.data.shape == (0, 12)
    assert digits.target.shape == (0,)


def test_a_tiny_file_can_not_announce_pictures_that_fill_memory(tmp_path):
    # Each pixel takes a feature's name, also where there are no pictures.
    write(tmp_path, drop_in(n_train=0))
    (tmp_path / IMAGES).write_bytes(header(0, 1025, 1024))
    with pytest.raises(ValueError, match="at most 1048576 pixels") as caught:
        load_mnist(data_dir=tmp_path)
    assert str(tmp_path / IMAGES) in str(caught.value)
