"""Displays of a model, its training and its predictions.

They work like scikit-learn's displays: ``from_estimator`` computes and plots, the data
stay on the display, and ``plot`` draws them again, also on other axes. matplotlib
(``pip install matplotlib``) is only imported for drawing.
"""

from tfsoftmax.displays._history import HistoryDisplay
from tfsoftmax.displays._predictions import PredictionsDisplay
from tfsoftmax.displays._search import SearchDisplay
from tfsoftmax.displays._weights import WeightsDisplay

__all__ = ["HistoryDisplay", "PredictionsDisplay", "SearchDisplay", "WeightsDisplay"]
