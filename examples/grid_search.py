"""Search the learning rate and the penalty of softmax regression on MNIST.

A pipeline drops the pixels that are always blank, and `TFSoftmaxGridSearchCV` trains
all 24 candidates of a fold together, on batches that they share:

    python examples/grid_search.py
    python examples/grid_search.py --rows 60000 --folds 5 --epochs 10
    python examples/grid_search.py --compare  # with scikit-learn's GridSearchCV
    python examples/grid_search.py --data-dir ~/fashion-mnist
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from typing import Any

import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import VarianceThreshold
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import Pipeline

from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
from tfsoftmax.datasets import load_mnist

GRID = {
    "softmax__learning_rate": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
    "softmax__alpha": [0, 0.0001, 0.001, 0.01],
}
FORMATS = {"learning rate": "{:g}".format, "alpha": "{:g}".format}
N_CANDIDATES = len(ParameterGrid(GRID))


def main() -> None:
    """Search, and print the best candidates and the test accuracy of the best."""
    options = parse_options()
    X, y = load_mnist("train", data_dir=options.data_dir, return_X_y=True)
    X_test, y_test = load_mnist("test", data_dir=options.data_dir, return_X_y=True)
    if not 1 <= options.rows <= len(X):
        raise ValueError(f"rows must be from 1 to {len(X):,}; got {options.rows:,}.")
    if options.epochs < 1:
        raise ValueError(f"epochs must be a positive integer; got {options.epochs}.")
    X, y = X[: options.rows], y[: options.rows]
    clf = TFSoftmaxClassifier(
        epochs=options.epochs, optimizer="sgd", rescale=1 / 255, random_state=0
    )
    # VarianceThreshold leaves bytes as bytes: the classifier trains fastest on them.
    pipe = Pipeline([("not_blank", VarianceThreshold()), ("softmax", clf)])
    arguments = {"cv": options.folds, "n_jobs": options.n_jobs}
    search = TFSoftmaxGridSearchCV(pipe, GRID, **arguments)
    print(
        f"Searching {N_CANDIDATES} candidates on {options.folds} folds of {len(X):,} "
        f"pictures: {N_CANDIDATES * options.folds} fits of {clf.epochs} epochs"
    )

    seconds = time_of_fit(with_progress(search), X, y)

    print(best_candidates(search).to_string(index=False, formatters=FORMATS))
    print(f"Searched in {seconds:.1f} s, with the import of TensorFlow and the refit.")
    if options.compare:
        compare(TFSoftmaxGridSearchCV(pipe, GRID, **arguments), X, y)
    print(f"Test accuracy of the best, refitted: {search.score(X_test, y_test):.3f}")


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=20_000, help="digits to search on")
    parser.add_argument("--folds", type=int, default=3, help="cross-validation folds")
    parser.add_argument("--epochs", type=int, default=5, help="passes over the data")
    parser.add_argument("--n-jobs", type=int, help="folds to evaluate at once")
    parser.add_argument(
        "--compare", action="store_true", help="time scikit-learn's GridSearchCV, too"
    )
    parser.add_argument(
        "--data-dir",
        help="a folder with the four files of a drop-in data set, such as "
        "Fashion-MNIST; MNIST comes with the package",
    )
    return parser.parse_args()


def with_progress(search: Any) -> Any:
    """Show scikit-learn's progress bar, if it is 1.9 or later and rich is installed."""
    try:
        from sklearn.callback import ProgressBar

        return search.set_callbacks(ProgressBar())
    except ImportError:
        return search


def time_of_fit(search: Any, X: Any, y: Any) -> float:
    """Fit, and return the seconds that it took."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        # The lowest rates are too low for so few epochs, as the search finds out.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, y)
    return time.perf_counter() - start


def best_candidates(search: Any, n: int = 5) -> pd.DataFrame:
    """Return a table of the n best candidates."""
    names = {
        "param_softmax__learning_rate": "learning rate",
        "param_softmax__alpha": "alpha",
        "mean_test_score": "accuracy",
        "std_test_score": "std of folds",
    }
    results = pd.DataFrame(search.cv_results_).nsmallest(n, "rank_test_score")
    return results[list(names)].rename(columns=names).round(4)


def compare(ours: Any, X: Any, y: Any) -> None:
    """Time both searches, now that TensorFlow is imported and programs are compiled."""
    theirs = GridSearchCV(**ours.get_params(deep=False))
    seconds, their_seconds = (time_of_fit(search, X, y) for search in (ours, theirs))
    print(
        f"Once more, TensorFlow imported: {seconds:.1f} s. GridSearchCV takes "
        f"{their_seconds:.1f} s, {their_seconds / seconds:.1f} times as long. Its best "
        f"accuracy is {theirs.best_score_:.4f}, and this one's {ours.best_score_:.4f}."
    )


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"grid_search.py: {error}")
