"""Estimators that keep their state if a fit fails."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def restores_state_on_error(method: Method) -> Method:
    """Decorate a method so that the object's attributes are as before if it raises."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self.__dict__.copy()
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            self.__dict__ = state
            raise

    return guarded  # type: ignore[return-value]
