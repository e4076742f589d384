"""Recognise handwritten digits: the classic softmax regression on MNIST.

60,000 pictures of 28 by 28 pixels, batches of 100, learning rate 0.01, 10 epochs,
weights that start at zero, plain gradient descent:

    python examples/mnist.py
    python examples/mnist.py --learning-rate 0.1 --epochs 4
    python examples/mnist.py --data-dir ~/fashion-mnist

The classifier's defaults, which choose for themselves, are trained beside it.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
from sklearn.metrics import confusion_matrix

from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.datasets import load_mnist


def main() -> None:
    """Train on the training digits, and report how the test digits are read."""
    options = parse_options()
    X, y = load_mnist("train", data_dir=options.data_dir, return_X_y=True)
    X_test, y_test = load_mnist("test", data_dir=options.data_dir, return_X_y=True)
    clf = TFSoftmaxClassifier(
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        epochs=options.epochs,
        optimizer="sgd",
        alpha=0,
        rescale=1 / 255,  # pixels from 0…255 to 0…1, inside the compiled program
        random_state=0,
    )
    print(f"Training on {len(X):,} pictures of {X.shape[1]} pixels:\n{clf}")

    start = time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - start

    history = clf.history_
    for epoch in history.index[::2]:
        print(f"  epoch {epoch:3}: cross-entropy {history.loss[epoch]:.3f}")
    print(
        f"Trained for {clf.n_iter_} epochs in {seconds:.1f} s, with the import of "
        f"TensorFlow; a later epoch takes {history.seconds.min() * 1000:.0f} ms."
    )
    true, predicted, count = worst_confusion(y_test, clf.predict(X_test))
    print(f"Most frequent mistake: {true} read as {predicted}, {count} times.")
    default = TFSoftmaxClassifier(random_state=0)
    accuracy = default.fit(X, y).score(X_test, y_test)
    print(f"Test accuracy of {default}, all else by default: {accuracy:.3f}")
    print(f"Test accuracy: {clf.score(X_test, y_test):.3f}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--batch-size", type=int, default=100, help="rows in a step")
    parser.add_argument("--learning-rate", type=float, default=0.01, help="step length")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the data")
    parser.add_argument(
        "--data-dir",
        help="a folder with the four files of a drop-in data set, such as "
        "Fashion-MNIST; MNIST comes with the package",
    )
    return parser.parse_args()


def worst_confusion(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[int, int, int]:
    """Find the pair of classes that is confused most: (true, predicted, count)."""
    mistakes = confusion_matrix(y_true, y_pred)
    np.fill_diagonal(mistakes, 0)
    true, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    return int(true), int(predicted), int(mistakes[true, predicted])


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"mnist.py: {error}")
