"""Displays: what a model, its training and its predictions look like.

In the manner of scikit-learn's own: ``from_estimator`` computes and plots, the data
stays on the display, and ``plot`` draws it again, on axes of your own too. matplotlib
is imported by ``plot`` (``pip install 'tfsoftmax[plots]'``).
"""

from tfsoftmax.displays._history import HistoryDisplay
from tfsoftmax.displays._predictions import PredictionsDisplay
from tfsoftmax.displays._search import SearchDisplay
from tfsoftmax.displays._weights import WeightsDisplay

__all__ = ["HistoryDisplay", "PredictionsDisplay", "SearchDisplay", "WeightsDisplay"]
