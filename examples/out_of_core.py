"""Train on more rows than the process has memory for: digits in a file, as a memmap.

Writes a file of training digits, each shifted by up to 2 pixels, limits its memory to
less than a copy of the file would take, trains, and deletes the file:

    python examples/out_of_core.py
    python examples/out_of_core.py --rows 8000000 --folder /mnt/large-disk
    python examples/out_of_core.py --shuffle --epochs 2

The rows are written in random order, so an epoch need not shuffle them. It then reads
the file from start to end, which suits a file larger than the machine's memory.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.utils import Bunch

from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.datasets import load_mnist

MIN_ROWS = 400_000  # a quarter of the bytes of fewer would be too little to train with
BLOCK = 20_000  # rows written at once
SHIFT = 2  # pixels, at most, in each direction


def main() -> None:
    """Write the file, train on it, and delete it."""
    options = parse_options()
    if options.rows < MIN_ROWS:
        raise ValueError(f"rows must be at least {MIN_ROWS:,}; got {options.rows:,}.")
    digits = load_mnist("train", data_dir=options.data_dir)
    test_set = load_mnist("test", data_dir=options.data_dir, return_X_y=True)
    check_room(options.folder, options.rows * digits.data.shape[1])
    clf = TFSoftmaxClassifier(
        learning_rate=0.01,  # "auto", here and for rescale, would read the file for it
        epochs=options.epochs,
        optimizer="sgd",
        alpha=0,
        rescale=1 / 255,
        shuffle=options.shuffle,
        random_state=0,
    )
    # Imports TensorFlow and starts all threads: what these take depends on the machine.
    clf.fit(digits.data[:BLOCK], digits.target[:BLOCK]).score(*test_set)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        X, y = write_digits(Path(folder) / "digits", digits, options.rows)
        limit_memory(X)
        train(clf, X, y)
    print(f"Test accuracy, on digits that are not shifted: {clf.score(*test_set):.3f}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=4_000_000, help="digits to write")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the data")
    parser.add_argument("--shuffle", action="store_true", help="a new order each epoch")
    parser.add_argument(
        "--folder", default=tempfile.gettempdir(), help="where the file is put"
    )
    parser.add_argument(
        "--data-dir",
        help="a folder with the four files of a drop-in data set, such as "
        "Fashion-MNIST; MNIST comes with the package",
    )
    return parser.parse_args()


def check_room(folder: str, size: int) -> None:
    """Raise ValueError unless the disk has room for a file of this size."""
    free = shutil.disk_usage(folder).free
    if free < 1.1 * size:
        raise ValueError(
            f"The file takes {size / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB "
            "left. Choose another --folder, or fewer --rows."
        )


def write_digits(path: Path, digits: Bunch, n: int) -> tuple[np.memmap, np.ndarray]:
    """Write n random digits, shifted at random, as rows of bytes, and their labels."""
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    padded = np.pad(digits.images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    shifted = sliding_window_view(padded, digits.images.shape[1:], axis=(1, 2))
    X = np.memmap(path, np.uint8, mode="w+", shape=(n, digits.data.shape[1]))
    y = np.empty(n, digits.target.dtype)
    for begin in range(0, n, BLOCK):
        block = slice(begin, min(begin + BLOCK, n))
        drawn = rng.integers(len(shifted), size=block.stop - begin)
        down, right = rng.integers(2 * SHIFT + 1, size=(2, len(drawn)))
        X[block] = shifted[drawn, down, right].reshape(len(drawn), -1)
        y[block] = digits.target[drawn]
    X.flush()
    seconds = time.perf_counter() - start
    print(f"Wrote {n:,} digits, {X.nbytes / 1e9:.2f} GB, in {seconds:.1f} s.")
    return np.memmap(path, np.uint8, mode="r", shape=X.shape), y


def limit_memory(X: np.memmap) -> None:
    """Limit the process to its current memory plus a quarter of X: no copy fits."""
    held = own_memory("VmData")
    if not held:
        print("Only Linux can limit memory in this way: going on without a limit.")
        return
    from resource import RLIMIT_DATA, getrlimit, setrlimit

    # This counts the memory that a process has to itself, not the files that it maps.
    limit = held + X.nbytes // 4
    setrlimit(RLIMIT_DATA, (limit, getrlimit(RLIMIT_DATA)[1]))
    print(f"Memory allocated so far, with TensorFlow: {held / 1e9:.2f} GB.")
    print(f"Memory allowed from now on: {limit / 1e9:.2f} GB in all.")
    try:
        np.array(X)
        print("A copy of X can be made all the same: this system ignores the limit.")
    except MemoryError as error:
        print(f"A copy of X can't be made: {error}.")


def train(clf: TFSoftmaxClassifier, X: np.memmap, y: np.ndarray) -> None:
    """Fit, and print the speed and the memory that it took."""
    before = peak = own_memory("RssAnon")
    start = time.perf_counter()
    with ThreadPoolExecutor() as pool:
        fit = pool.submit(clf.fit, X, y)
        while wait([fit], timeout=0.01).not_done:
            peak = max(peak, own_memory("RssAnon"))
        fit.result()
    seconds = time.perf_counter() - start
    rate = clf.n_iter_ * len(X) / seconds
    print(f"Trained in {seconds:.1f} s, {rate / 1e6:.2f} million rows a second.")
    if before:
        print(f"Memory that training took: {(peak - before) / 1e6:.0f} MB.")


def own_memory(name: str) -> int:
    """Return an entry of Linux's memory statistics, in bytes; 0 on other systems."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    figures = dict(line.partition(":")[::2] for line in lines)
    return int(figures.get(name, "0").split()[0]) * 1024


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, MemoryError) as error:
        sys.exit(f"out_of_core.py: {error}")
