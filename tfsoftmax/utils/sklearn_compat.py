"""The private names of scikit-learn that this package uses, in one place."""

from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing
from sklearn.utils._optional_dependencies import check_pandas_support

__all__ = ["BaseSearchCV", "_safe_indexing", "check_pandas_support"]
