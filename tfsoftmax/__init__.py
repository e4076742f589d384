"""Softmax regression, trained by TensorFlow, as a scikit-learn classifier."""

import importlib
from typing import TYPE_CHECKING, Any

from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.optimality import dual_gap

if TYPE_CHECKING:
    from tfsoftmax import datasets as datasets
    from tfsoftmax import displays as displays
    from tfsoftmax.model_selection.search import (
        TFSoftmaxGridSearchCV,
        TFSoftmaxRandomizedSearchCV,
    )

__version__ = "0.1.0"

__all__ = [
    "TFSoftmaxClassifier",
    "TFSoftmaxGridSearchCV",
    "TFSoftmaxRandomizedSearchCV",
    "__version__",
    "dual_gap",
]


if not TYPE_CHECKING:  # to which every name would be one of the package

    def __getattr__(name: str) -> Any:
        """Import the searches, displays and data sets at their first use."""
        if name in ("datasets", "displays"):
            return importlib.import_module(f"tfsoftmax.{name}")
        if name in __all__:
            return getattr(
                importlib.import_module("tfsoftmax.model_selection.search"), name
            )
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "datasets", "displays"])
