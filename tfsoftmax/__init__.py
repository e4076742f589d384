"""Softmax regression, trained by TensorFlow, as a scikit-learn classifier."""

from typing import TYPE_CHECKING, Any

from tfsoftmax.classifier import TFSoftmaxClassifier

if TYPE_CHECKING:
    from tfsoftmax.search import TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV

__version__ = "0.1.0.dev0"

__all__ = [
    "TFSoftmaxClassifier",
    "TFSoftmaxGridSearchCV",
    "TFSoftmaxRandomizedSearchCV",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import the searches when they are asked for, with all that they import."""
    if name in __all__:
        from tfsoftmax import search

        return getattr(search, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
