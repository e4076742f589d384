"""Warnings that point to the user's line."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

_LIBRARIES = {"tfsoftmax", "sklearn", "joblib"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the user's line that called this package, directly or via scikit-learn.

    The number of stack frames in between varies: pipelines, searches and scikit-learn's
    callbacks each add some.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _package_of(frame) in _LIBRARIES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _package_of(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
