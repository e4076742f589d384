"""The private names of scikit-learn that this package uses.

A new version of scikit-learn may move or change any of them, but breaks only this file.
`pyproject.toml` states the newest version that was tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from sklearn.linear_model._base import SparseCoefMixin
from sklearn.metrics._scorer import _PassthroughScorer, _Scorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import (
    _fit_and_score,
    _insert_error_scores,
    _score,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils import _safe_indexing
from sklearn.utils._optional_dependencies import check_pandas_support
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

try:
    from sklearn.callback._callback_support import callback_management_context
except ImportError:  # before 1.9
    callback_management_context: Any = None  # type: ignore[no-redef]

__all__ = [
    "PAGE",
    "BaseSearchCV",
    "DocumentationLinkMixin",
    "SparseCoefMixin",
    "_PassthroughScorer",
    "_Scorer",
    "_check_method_params",
    "_fit_and_score",
    "_insert_error_scores",
    "_num_samples",
    "_safe_indexing",
    "_safe_split",
    "_score",
    "_warn_or_raise_about_fit_failures",
    "callback_management_context",
    "check_pandas_support",
    "has_callbacks",
    "link_callback_context",
    "with_callback",
]

# The documentation page of an estimator, relative to the site's address.
PAGE = "api/generated/tfsoftmax.{estimator_name}.html"


def _site() -> str:
    """Return the documentation's address from pyproject.toml, or "" if unknown."""
    try:
        urls = metadata.metadata("tfsoftmax").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    named = dict(url.split(", ", 1) for url in urls)
    return str(named.get("Documentation", ""))


class DocumentationLinkMixin:
    """Links the HTML view of an estimator to its documentation page.

    Without a site, there are no links, but parameters and attributes keep their
    tooltips, which scikit-learn shows only for links.
    """

    _doc_link_module = "tfsoftmax"

    @property
    def _doc_link_template(self) -> str:
        site = _site()
        return site and f"{site.rstrip('/')}/{PAGE}"

    def _get_params_html(self: Any, deep: bool = True, doc_link: Any = None) -> Any:
        view = super()._get_params_html  # type: ignore[misc]
        if doc_link == "":
            return _without_links(view(deep, "nowhere"))
        return view(deep) if doc_link is None else view(deep, doc_link)

    def _get_fitted_attr_html(self: Any, doc_link: str = "") -> Any:
        view = super()._get_fitted_attr_html  # type: ignore[misc]
        return view(doc_link) if doc_link else _without_links(view("nowhere"))


def _without_links(table: Any) -> Any:
    """Return a table of an HTML view with its tooltips, but without its links."""
    show = table._html_repr
    table._html_repr = lambda: re.sub(r'rel="noreferrer".*? href=".*?"', "", show())
    return table


def has_callbacks(context: Any) -> bool:
    """Whether there is a callback for a context's task."""
    return bool(context._callbacks)


@contextmanager
def link_callback_context(context: Any, estimator: Any) -> Iterator[None]:
    """Make an estimator's fit part of a task, without passing callbacks on to it."""
    callbacks, context._callbacks = context._callbacks, []
    try:
        with context.propagate_callback_context(estimator):
            context._callbacks = callbacks
            yield
    finally:
        context._callbacks = callbacks


@contextmanager
def with_callback(estimator: Any, callback: Any) -> Iterator[None]:
    """Add a callback to an estimator within the context."""
    before = getattr(estimator, "_skl_callbacks", [])
    estimator.set_callbacks(*before, callback)
    try:
        yield
    finally:
        estimator.set_callbacks(*before)
