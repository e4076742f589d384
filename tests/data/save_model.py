"""Save models by the version at hand, for later versions to load.

Run it when a version is released, and keep the files:

    python tests/data/save_model.py
"""

import pickle
from pathlib import Path

import numpy as np
import skops.io
from sklearn.datasets import load_digits

from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV, __version__

X, y = load_digits(return_X_y=True)
NAMES = np.array(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
)


CLASSIC = {
    "learning_rate": 0.01,
    "epochs": 10,
    "optimizer": "sgd",
    "learning_rate_schedule": "constant",
    "alpha": 0.0,
    "rescale": 1 / 16,
    "random_state": 0,
}


def classic(**parameters):
    """A classifier by the classic recipe, but for what is passed."""
    return TFSoftmaxClassifier(**CLASSIC | parameters)


def fitted():
    """Yield a name, a fitted model and the labels to resume with, for each kind."""
    clf = classic(optimizer="adam", epochs=5)
    clf.fit(X[:1000], NAMES[y[:1000]], X_val=X[1000:], y_val=NAMES[y[1000:]])
    yield "", clf, NAMES[y]
    clf = classic(optimizer="nesterov", fit_intercept=False)
    yield "-two-classes", clf.fit(X, y < 5), y < 5
    clf = classic(rescale="standard", epochs=5)
    yield "-standard", clf.fit(X, y), y
    grid = {"learning_rate": [0.01, 0.1], "alpha": [0.0, 0.01]}
    clf = classic(epochs=3)
    yield "-search", TFSoftmaxGridSearchCV(clf, grid, cv=2).fit(X, y), y


def main() -> None:
    """Save fitted models and what they predict."""
    for kind, model, labels in fitted():
        stem = Path(__file__).parent / f"tfsoftmax-{__version__}{kind}"
        Path(f"{stem}.pickle").write_bytes(pickle.dumps(model, protocol=4))
        if isinstance(model, TFSoftmaxClassifier):
            skops.io.dump(model, f"{stem}.skops")
        clf = getattr(model, "best_estimator_", model)
        expected = clf.predict_proba(X)
        resumed = clf.partial_fit(X, labels).coef_
        np.savez_compressed(
            f"{stem}.npz", predict_proba=expected, labels=labels, resumed=resumed
        )


if __name__ == "__main__":
    main()
