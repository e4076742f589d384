"""Make the pictures of the README: ``python docs/make_figures.py``."""

from pathlib import Path

import matplotlib as mpl

from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.datasets import load_mnist
from tfsoftmax.displays import HistoryDisplay, WeightsDisplay

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Train the classic recipe and the better one, and draw both."""
    mpl.use("Agg")
    X, y = load_mnist("train", return_X_y=True)
    X_test, y_test = load_mnist("test", return_X_y=True)
    classic = TFSoftmaxClassifier(rescale=1 / 255, random_state=0)
    better = TFSoftmaxClassifier(
        rescale=1 / 255,
        optimizer="adam",
        learning_rate_schedule="cosine",
        alpha=1 / 60_000,
        random_state=0,
    )
    recipes = {"SGD, the classic recipe": classic, "Adam, cosine": better}
    for clf in recipes.values():
        clf.fit(X, y, X_val=X_test, y_val=y_test)

    save(WeightsDisplay.from_estimator(classic), "weights.png")
    save(HistoryDisplay.from_estimator(recipes), "history.png")


def save(display: WeightsDisplay | HistoryDisplay, name: str) -> None:
    """Save a display's figure, sharp enough for a screen of double density."""
    IMAGES.mkdir(exist_ok=True)
    # Without the date and version that matplotlib notes, the same picture is the
    # same file.
    metadata = {"Software": None}
    display.figure_.savefig(IMAGES / name, dpi=150, metadata=metadata)
    print(f"{IMAGES.name}/{name}")


if __name__ == "__main__":
    main()
