"""What a type checker tells a user: nothing of good code, and each mistake."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

import tfsoftmax
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.validation.parameters import RULES

ROOT = Path(__file__).parents[2]
# Each line that is wrong says which of mypy's errors it must have.
SCRIPT = """
import numpy as np
from numpy.typing import NDArray

import tfsoftmax
from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV, dual_gap
from tfsoftmax.datasets import load_mnist
from tfsoftmax.displays import PredictionsDisplay

X, y = load_mnist("train", return_X_y=True)
pixels: NDArray[np.uint8] = X
digits: NDArray[np.int64] = y
one_hot: NDArray[np.float32] = load_mnist(return_X_y=True, one_hot=True)[1]
frame, series = load_mnist(return_X_y=True, as_frame=True)
means = frame.groupby(series).mean()
bunch = load_mnist("all")
pictures = bunch.images[:10]


def load(*, as_frame: bool) -> NDArray[np.uint8]:
    rows: NDArray[np.uint8] = load_mnist(return_X_y=True, as_frame=as_frame)[0]
    return rows


clf: TFSoftmaxClassifier = TFSoftmaxClassifier().fit(X, y, X_val=X, y_val=y)
TFSoftmaxClassifier(100, 0.01, 10, optimizer="sgd", alpha=0, rescale=1 / 255)
TFSoftmaxClassifier(learning_rate="auto", rescale=[0.5, 2], tol=1e-4, random_state=0)
TFSoftmaxClassifier(rescale=np.ones(784), class_weight="balanced", scoring="accuracy")
TFSoftmaxClassifier(rescale=None, class_weight={0: 2.0, "1": 1}, alpha="auto")
TFSoftmaxClassifier(rescale="standard", learning_rate_schedule="cosine")
clf = clf.partial_fit(X, y, classes=np.arange(10)).sparsify()
accuracy: float = clf.score(X, y)
labels: NDArray[np.int64] = clf.predict(X)
last: float = clf.history_["loss"].iloc[-1] + clf.loss_curve_[-1]
gap: float = dual_gap(clf, X, y)
search: TFSoftmaxGridSearchCV = TFSoftmaxGridSearchCV(clf, {"alpha": [0, 1]}).fit(X, y)
best: float = search.best_score_
display: PredictionsDisplay = PredictionsDisplay.from_estimator(clf, X, y, kind="best")
also = tfsoftmax.datasets.load_mnist


class Mine(TFSoftmaxClassifier):
    def report(self) -> None:
        print(self.n_iter_)


Mine().fit(X, y).report()
Mine().partial_fit(X, y).report()

TFSoftmaxClassifier(optimizer="adma")  # arg-type
TFSoftmaxClassifier(learning_rate="fast")  # arg-type
TFSoftmaxClassifier(learning_rate_schedule="cosin")  # arg-type
TFSoftmaxClassifier(epochs=1.5)  # arg-type
TFSoftmaxClassifier(alpha="none")  # arg-type
TFSoftmaxClassifier(rescale="standardised")  # arg-type
TFSoftmaxClassifier(class_weight="balance")  # arg-type
TFSoftmaxClassifier(scoring="auc")  # arg-type
TFSoftmaxClassifier(optimiser="adam")  # call-arg
clf.fit(X)  # call-arg
clf.fit(X, y, X_vall=X)  # call-arg
clf.partial_fit(X)  # call-arg
load_mnist("valid")  # call-overload
words: str = load_mnist(return_X_y=True)  # assignment
count: str = clf.n_iter_  # assignment
PredictionsDisplay.from_estimator(clf, X, y, kind="worse")  # arg-type
dual_gap(clf, X)  # call-arg
tfsoftmax.TFSoftmaxClasifier()  # attr-defined
"""


@pytest.mark.slow
def test_mypy_finds_the_mistakes_of_a_strict_user_and_nothing_else(tmp_path):
    api = pytest.importorskip("mypy.api")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "tfsoftmax").symlink_to(ROOT / "tfsoftmax")
    config = tmp_path / "mypy.ini"
    # As for an installed package: of its own modules nothing is said.
    config.write_text("[mypy]\n[mypy-tfsoftmax.*]\nfollow_imports = silent\n")
    report, problems, _ = api.run(
        ["--strict", f"--config-file={config}", f"--cache-dir={tmp_path}", str(script)]
    )
    assert problems == ""
    found = re.findall(r"^.*script\.py:(\d+): error: .*\[([\w-]+)\]$", report, re.M)
    wrong = [
        (str(number), line.partition("  # ")[2])
        for number, line in enumerate(SCRIPT.splitlines(), 1)
        if "  # " in line
    ]
    assert len(wrong) == 18
    assert found == wrong, report


def names_in(hint):
    """The strings that a type allows by name."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return set().union(*map(names_in, get_args(hint)))


def test_the_names_that_types_allow_are_those_that_a_fit_allows():
    hints = get_type_hints(TFSoftmaxClassifier.__init__)
    by_type = {name: names_in(hints[name]) for name in RULES}
    by_rule = {
        name: set(re.findall(r"'(\w+)'", rule.words)) for name, rule in RULES.items()
    }
    assert by_type == by_rule
    assert by_type["optimizer"]


def test_dir_shows_the_public_names_and_no_others():
    assert dir(tfsoftmax) == sorted([*tfsoftmax.__all__, "datasets", "displays"])
    assert all(hasattr(tfsoftmax, name) for name in dir(tfsoftmax))
