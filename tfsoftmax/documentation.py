"""Where the documentation is, for the links in scikit-learn's HTML view."""

from __future__ import annotations

SITE = "https://tfsoftmax.readthedocs.io/en/stable"


class DocumentationLinkMixin:
    """Links an estimator's HTML view, its parameters and attributes to its page."""

    _doc_link_module = "tfsoftmax"
    _doc_link_template = SITE + "/api/generated/tfsoftmax.{estimator_name}.html"
