"""Softmax regression, trained by TensorFlow, as a scikit-learn classifier."""

from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.search import TFSoftmaxGridSearchCV, TFSoftmaxRandomizedSearchCV

__version__ = "0.1.0.dev0"

__all__ = [
    "TFSoftmaxClassifier",
    "TFSoftmaxGridSearchCV",
    "TFSoftmaxRandomizedSearchCV",
    "__version__",
]
