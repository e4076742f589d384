"""Save a model by the version at hand, for later versions to load.

Run it when a version is released, and keep the three files:

    python tests/data/save_model.py
"""

import pickle
from pathlib import Path

import numpy as np
import skops.io
from sklearn.datasets import load_digits

import tfsoftmax

X, y = load_digits(return_X_y=True)
NAMES = np.array(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
)


def main() -> None:
    """Save a fitted model and what it predicts."""
    clf = tfsoftmax.TFSoftmaxClassifier(
        rescale=1 / 16, optimizer="adam", epochs=5, random_state=0
    )
    clf.fit(X[:1000], NAMES[y[:1000]], X_val=X[1000:], y_val=NAMES[y[1000:]])
    stem = Path(__file__).parent / f"tfsoftmax-{tfsoftmax.__version__}"
    Path(f"{stem}.pickle").write_bytes(pickle.dumps(clf, protocol=4))
    skops.io.dump(clf, f"{stem}.skops")
    expected = clf.predict_proba(X)
    gone_on = clf.partial_fit(X, NAMES[y]).coef_
    np.savez(f"{stem}.npz", predict_proba=expected, gone_on=gone_on)


if __name__ == "__main__":
    main()
