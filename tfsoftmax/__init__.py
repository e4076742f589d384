"""Softmax regression, trained by TensorFlow, as a scikit-learn classifier."""

from tfsoftmax.classifier import TFSoftmaxClassifier

__version__ = "0.1.0.dev0"

__all__ = ["TFSoftmaxClassifier", "__version__"]
