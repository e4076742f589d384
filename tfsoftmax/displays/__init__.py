"""Displays: what a model, its training and its predictions look like.

They work as scikit-learn's displays do: ``from_estimator`` computes and plots, the data
stay on the display, and ``plot`` draws them again, also on given axes. Only drawing
imports matplotlib (``pip install matplotlib``).
"""

from tfsoftmax.displays._history import HistoryDisplay
from tfsoftmax.displays._predictions import PredictionsDisplay
from tfsoftmax.displays._search import SearchDisplay
from tfsoftmax.displays._weights import WeightsDisplay

__all__ = ["HistoryDisplay", "PredictionsDisplay", "SearchDisplay", "WeightsDisplay"]
