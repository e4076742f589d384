"""``load_mnist``: MNIST, or a drop-in replacement, as a scikit-learn Bunch."""

from __future__ import annotations

import contextlib
import math
import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from tfsoftmax.datasets._idx import read_idx

if TYPE_CHECKING:
    import pandas as pd

_Subset = Literal["train", "test", "all"]
_Folder = str | os.PathLike[str] | None

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# More pixels mean a damaged header; each pixel needs a feature name.
_MAX_PIXELS = 1 << 20


@overload
def load_mnist(
    subset: _Subset = ...,
    *,
    data_dir: _Folder = ...,
    return_X_y: Literal[False] = ...,
    as_frame: bool = ...,
    one_hot: bool = ...,
) -> Bunch: ...
@overload
def load_mnist(
    subset: _Subset = ...,
    *,
    data_dir: _Folder = ...,
    return_X_y: Literal[True],
    as_frame: Literal[False] = ...,
    one_hot: Literal[False] = ...,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]: ...
@overload
def load_mnist(
    subset: _Subset = ...,
    *,
    data_dir: _Folder = ...,
    return_X_y: Literal[True],
    as_frame: Literal[False] = ...,
    one_hot: Literal[True],
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]: ...
@overload
def load_mnist(
    subset: _Subset = ...,
    *,
    data_dir: _Folder = ...,
    return_X_y: Literal[True],
    as_frame: Literal[True],
    one_hot: Literal[False] = ...,
) -> tuple[pd.DataFrame, pd.Series[int]]: ...
@overload
def load_mnist(
    subset: _Subset = ...,
    *,
    data_dir: _Folder = ...,
    return_X_y: Literal[True],
    as_frame: Literal[True],
    one_hot: Literal[True],
) -> tuple[pd.DataFrame, pd.DataFrame]: ...
@overload
def load_mnist(
    subset: _Subset = ...,
    *,
    data_dir: _Folder = ...,
    return_X_y: bool = ...,
    as_frame: bool = ...,
    one_hot: bool = ...,
) -> Any: ...
def load_mnist(
    subset: _Subset = "train",
    *,
    data_dir: _Folder = None,
    return_X_y: bool = False,
    as_frame: bool = False,
    one_hot: bool = False,
) -> Any:
    """Load the MNIST handwritten digits (classification), without a download.

    The digits that are included in this package:

    ==============   =============================
    Classes                                     10
    Samples          60,000 train and 10,000 test
    Dimensionality              784 (28 by 28)
    Features                integers from 0 to 255
    ==============   =============================

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        Rows to load; ``"all"`` means the training rows followed by the test rows.
    data_dir : str or path-like, default=None
        Folder with the four files ``train-images-idx3-ubyte``,
        ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``, each gzipped (with the suffix ``.gz``) or raw, as
        distributed for Fashion-MNIST, KMNIST and others. None loads the digits that are
        included in this package.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return ``data`` as a pandas DataFrame and ``target`` as a Series named
        ``target`` (with ``one_hot``, a DataFrame with the columns ``target0``,
        ``target1`` and so on).
    one_hot : bool, default=False
        Return ``target`` as one-hot rows of float32, shape
        ``(n_samples, n_classes)``, instead of class numbers.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes below; sizes and classes of other data sets may differ.

        data : {ndarray, DataFrame} of shape (n_samples, 784), dtype uint8
            The flattened images: 0 is background, 255 full ink.
        target : {ndarray, Series} of shape (n_samples,), dtype int64
            The digits; with ``one_hot`` of shape (n_samples, n_classes), dtype float32.
        images : ndarray of shape (n_samples, 28, 28), dtype uint8
            The same bytes as ``data``, in the shape of the images.
        feature_names : list of str
            ``pixel1`` to ``pixel784``, row by row.
        target_names : ndarray of shape (n_classes,), dtype int64
            The classes: 0 to the largest label in the label files of both subsets.
        frame : DataFrame of shape (n_samples, 785), or None
            ``data`` and ``target`` in one DataFrame, with ``one_hot`` of shape
            (n_samples, 794); None without ``as_frame``.
        DESCR : str
            A description of the data set.

    (data, target) : tuple, if ``return_X_y`` is True

    Raises
    ------
    OSError
        If a file can't be read; FileNotFoundError if a file that ``subset`` needs is
        not in ``data_dir``.
    TypeError
        If ``data_dir`` is neither a str nor a path-like object for a str, or if
        ``return_X_y``, ``as_frame`` or ``one_hot`` is not a bool.
    ValueError
        If ``subset`` is not one of the three values, or if a file is truncated or
        damaged or does not match its companion; the message names the file.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning
    applied to document recognition", Proceedings of the IEEE 86(11), 1998.

    Examples
    --------
    >>> from tfsoftmax.datasets import load_mnist
    >>> X, y = load_mnist("test", return_X_y=True)
    >>> X.shape, X.dtype, y[:5]
    ((10000, 784), dtype('uint8'), array([7, 2, 1, 0, 4]))
    """
    if subset not in (*_FILES, "all"):
        raise ValueError(f"subset must be 'train', 'test' or 'all'; got {subset!r}.")
    flags = {"return_X_y": return_X_y, "as_frame": as_frame, "one_hot": one_hot}
    for name, flag in flags.items():
        if not isinstance(flag, (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False; got {flag!r}.")
    folder = _packaged_folder() if data_dir is None else Path(data_dir)
    parts = {p: _read_part(folder, p) for p in _FILES if subset in (p, "all")}
    images, labels = _join(list(parts.values()), folder)

    n_samples, height, width = images.shape
    data: Any = images.reshape(n_samples, height * width)
    target: Any = labels.astype(np.int64)
    feature_names = [f"pixel{i}" for i in range(1, data.shape[1] + 1)]
    needs_classes = one_hot or not return_X_y
    n_classes = _n_classes(folder, parts) if needs_classes else 0
    if one_hot:
        target = np.eye(n_classes, dtype=np.float32)[target]
    if as_frame:
        data, target = _as_frames(data, target, feature_names)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        images=images,
        feature_names=feature_names,
        target_names=np.arange(n_classes),
        frame=_together(data, target) if as_frame else None,
        DESCR=_description(data_dir),
    )


def _packaged_folder() -> Path:
    # The package is always installed as plain files: wheels unpack to a folder.
    return Path(str(resources.files("tfsoftmax.datasets") / "data"))


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(
        f"Found neither {name} nor {name}.gz in {folder}. The folder must contain "
        f"{', '.join(name for names in _FILES.values() for name in names)}, each "
        "gzipped or raw."
    )


def _read_part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images_path, labels_path = (_find(folder, name) for name in _FILES[part])
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3:
        raise ValueError(
            f"{images_path} must contain images, an array of 3 dimensions; its shape "
            f"is {images.shape}."
        )
    if math.prod(images.shape[1:]) > _MAX_PIXELS:
        raise ValueError(
            f"{images_path} must contain images of at most {_MAX_PIXELS} pixels; its "
            f"shape is {images.shape}."
        )
    if labels.ndim != 1:
        raise ValueError(
            f"{labels_path} must contain labels, an array of 1 dimension; its shape "
            f"is {labels.shape}."
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path} and {labels_path} do not match: "
            f"{len(images)} images and {len(labels)} labels."
        )
    return images, labels


def _n_classes(
    folder: Path, parts: dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]
) -> int:
    """Return the number of classes in all label files, the same for each subset."""
    largest = 0
    for part, (_, name) in _FILES.items():
        with contextlib.suppress(OSError, ValueError):
            labels = parts[part][1] if part in parts else read_idx(_find(folder, name))
            largest = max(largest, int(labels.max(initial=0)))
    return largest + 1


def _join(
    parts: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], folder: Path
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if len(parts) == 1:
        return parts[0]
    (images, labels), (more_images, more_labels) = parts
    if images.shape[1:] != more_images.shape[1:]:
        raise ValueError(
            f"The training and the test images in {folder} differ in size: "
            f"{images.shape[1:]} and {more_images.shape[1:]}."
        )
    return (
        np.concatenate([images, more_images]),
        np.concatenate([labels, more_labels]),
    )


def _as_frames(
    data: NDArray[Any], target: NDArray[Any], feature_names: list[str]
) -> tuple[Any, Any]:
    import pandas as pd

    data_frame = pd.DataFrame(data, columns=feature_names, copy=False)
    if target.ndim == 2:
        columns = [f"target{k}" for k in range(target.shape[1])]
        target_frame = pd.DataFrame(target, columns=columns)
    else:
        target_frame = pd.Series(target, name="target")
    return data_frame, target_frame


def _together(data: Any, target: Any) -> Any:
    import pandas as pd

    return pd.concat([data, target], axis=1)


def _description(data_dir: str | os.PathLike[str] | None) -> str:
    if data_dir is not None:
        return f"A data set in the format of MNIST, read from {os.fspath(data_dir)}."
    path = resources.files("tfsoftmax.datasets") / "data" / "mnist.rst"
    return path.read_text(encoding="utf-8")
