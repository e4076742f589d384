"""Prediction: one matrix product, in NumPy, without TensorFlow.

For Dask collections, `lazy_prediction` computes it block by block.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted, validate_data

from tfsoftmax.lazy_prediction import predict_blocks, score_blocks
from tfsoftmax.utils.sklearn_compat import SparseCoefMixin
from tfsoftmax.utils.sparse import to_dense
from tfsoftmax.validation.arrays import check_rows, check_weights
from tfsoftmax.validation.collections import (
    check_blocks,
    is_dask,
    is_dask_frame,
    refuse_other_collections,
    rows_in_blocks,
)
from tfsoftmax.validation.errors import errors_name, silent_checks
from tfsoftmax.validation.labels import check_length, hard_labels

# Number of rows cast at a time, if X must be cast.
_ROWS_PER_BLOCK = 4096


def _lazily_on_dask(method: Callable[..., Any]) -> Callable[..., Any]:
    """Extend a method that predicts for rows in memory to Dask collections."""

    @wraps(method)
    def predict(self: Any, X: Any) -> Any:
        refuse_other_collections(X, "X")
        if not is_dask(X):
            return method(self, X)
        check_is_fitted(self)
        return predict_blocks(_Predictor(self, X), X, method.__name__)

    return predict


class SoftmaxPredictor(SparseCoefMixin, ClassifierMixin):  # type: ignore[misc]
    """Predictions from the fitted `classes_`, `coef_` and `intercept_`."""

    classes_: NDArray[Any]
    coef_: Any  # an ndarray, or sparse
    intercept_: NDArray[Any]

    @_lazily_on_dask
    def decision_function(self, X: Any) -> NDArray[Any]:
        """Compute the logits ``X @ coef_.T + intercept_``.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask collection} of shape \
                (n_samples, n_features)
            The rows. A Dask array or DataFrame is read only when the result is
            computed.

        Returns
        -------
        logits : {ndarray, Dask collection} of shape (n_samples, n_classes) or \
                (n_samples,)
            With two classes, the logit of ``classes_[1]``; the logit of ``classes_[0]``
            is 0. The dtype is that of `coef_`, or that of X if it is a wider float. A
            Dask array yields a Dask array with the same blocks; a Dask DataFrame yields
            a DataFrame (with two classes, a Series) with the index of X.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        TypeError, ValueError
            If X does not consist of such rows of finite real numbers, or is so large
            that a logit overflows. The columns of a Dask collection are checked
            immediately, its values when the result is computed.
        """
        check_is_fitted(self)
        return _decisions(self, X)

    @_lazily_on_dask
    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask collection} of shape \
                (n_samples, n_features)
            The rows. A Dask array or DataFrame is read only when the result is
            computed.

        Returns
        -------
        y : {ndarray, Dask collection} of shape (n_samples,)
            The predicted classes, with the dtype of `classes_`. A Dask array yields a
            Dask array with the same blocks, a Dask DataFrame a Series with the index of
            X.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        TypeError, ValueError
            If X does not consist of such rows of finite real numbers, or is so large
            that a logit overflows. The columns of a Dask collection are checked
            immediately, its values when the result is computed.
        """
        highest = self._all_logits(X).argmax(axis=1)
        return self.classes_[highest]  # type: ignore[no-any-return]

    @_lazily_on_dask
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Compute the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask collection} of shape \
                (n_samples, n_features)
            The rows. A Dask array or DataFrame is read only when the result is
            computed.

        Returns
        -------
        probabilities : {ndarray, Dask collection} of shape (n_samples, n_classes)
            The softmax of the logits, with columns in the order of `classes_` and the
            dtype of the logits. A Dask array yields a Dask array with the same blocks;
            a Dask DataFrame yields a DataFrame with the classes as columns and the
            index of X.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        TypeError, ValueError
            If X does not consist of such rows of finite real numbers, or is so large
            that a logit overflows. The columns of a Dask collection are checked
            immediately, its values when the result is computed.
        """
        return softmax(self._all_logits(X), axis=1)  # type: ignore[no-any-return]

    @_lazily_on_dask
    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Compute the logarithm of the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask collection} of shape \
                (n_samples, n_features)
            The rows. A Dask array or DataFrame is read only when the result is
            computed.

        Returns
        -------
        log_probabilities : {ndarray, Dask collection} of shape \
                (n_samples, n_classes)
            The log-probabilities, with the dtype of the logits; finite even where the
            probability underflows to 0, if the logits are. A Dask array yields a Dask
            array with the same blocks; a Dask DataFrame yields a DataFrame with the
            classes as columns and the index of X.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        TypeError, ValueError
            If X does not consist of such rows of finite real numbers, or is so large
            that a logit overflows. The columns of a Dask collection are checked
            immediately, its values when the result is computed.
        """
        return log_softmax(self._all_logits(X), axis=1)  # type: ignore[no-any-return]

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Compute the accuracy: the fraction of rows that are classified correctly.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask collection} of shape \
                (n_samples, n_features)
            The rows. For a Dask array or DataFrame, Dask predicts each block and
            returns only counts.
        y : {array-like, Dask collection} of shape (n_samples,) or \
                (n_samples, n_classes)
            The true classes; for soft labels, the most probable class counts. If X is a
            Dask collection, y is in memory or a Dask collection with the same blocks.
        sample_weight : {array-like, Dask collection} of shape (n_samples,), \
                default=None
            Non-negative weights of the rows, in memory or with the same blocks as X.
            None means equal weights.

        Returns
        -------
        accuracy : float

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        TypeError, ValueError
            If an argument is invalid.
        """
        if any(map(is_dask, (X, y, sample_weight))):
            check_is_fitted(self)
            blocks = rows_in_blocks(X, y, sample_weight)
            return score_blocks(_Predictor(self, X), blocks)
        predicted = self.predict(X)
        check_length(y, len(predicted))
        if sample_weight is not None:
            weights = check_weights(sample_weight, len(predicted))
            # Scaled by a power of two, so that the sum of huge ones doesn't overflow.
            sample_weight = np.ldexp(weights, -np.frexp(weights.max())[1])
        with errors_name("y"), silent_checks():
            y = hard_labels(y, self.classes_)
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def sparsify(self) -> Self:
        """Convert `coef_` to a sparse matrix in CSR format.

        If most weights are exactly zero, as with an L1 penalty, this saves memory and
        speeds up predictions for many features. The predictions stay the same, up to
        rounding.

        Returns
        -------
        self : TFSoftmaxClassifier
            The fitted estimator.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.

        See Also
        --------
        densify : Convert `coef_` back to an ndarray.

        Notes
        -----
        The sparse matrix is smaller only if less than half of `coef_` is nonzero. `fit`
        and `partial_fit` work as if `coef_` were dense, and make it dense again. To do
        so, the classifier also keeps its weights as an ndarray; the model returned by
        :meth:`to_sklearn` contains only the sparse weights.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from tfsoftmax import TFSoftmaxClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = TFSoftmaxClassifier(rescale=1 / 16, alpha=0.01, l1_ratio=1).fit(X, y)
        >>> clf.sparsify().coef_.format
        'csr'
        """
        return super().sparsify()  # type: ignore[no-any-return]

    def densify(self) -> Self:
        """Convert `coef_` back to an ndarray, as `fit` leaves it.

        Returns
        -------
        self : TFSoftmaxClassifier
            The fitted estimator.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.

        See Also
        --------
        sparsify : Convert `coef_` to a sparse matrix.
        """
        return super().densify()  # type: ignore[no-any-return]

    def _all_logits(self, X: Any) -> NDArray[Any]:
        """Compute the logits, of shape (n_samples, n_classes) even for two classes."""
        logits: NDArray[Any] = self.decision_function(X)
        if logits.ndim == 1:
            logits = np.column_stack([np.zeros_like(logits), logits])
        return logits


class _Predictor(SoftmaxPredictor, BaseEstimator):  # type: ignore[misc]
    """The attributes of a fitted classifier that predictions need."""

    def __init__(self, clf: SoftmaxPredictor, X: Any) -> None:
        """Check the columns of a Dask collection, and expect them in each block."""
        check_blocks(X)
        n_features = X.shape[1]
        if math.isnan(n_features):  # unknown before a block is read
            n_features = clf.n_features_in_
        table = X._meta if is_dask_frame(X) else np.empty((0, n_features))
        with errors_name("X"):
            validate_data(clf, table, reset=False, skip_check_array=True)
        # With the names in X, so that blocks don't repeat a warning about other names.
        validate_data(self, table, reset=True, skip_check_array=True)
        self.classes_ = clf.classes_
        self.coef_, self.intercept_ = clf.coef_, clf.intercept_

    __repr__ = object.__repr__  # it has no parameters to show

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Compute the logits of rows in memory."""
        return _decisions(self, X)


_Predictor.__name__ = "TFSoftmaxClassifier"  # which scikit-learn names in errors


def _decisions(estimator: SoftmaxPredictor, X: Any) -> NDArray[Any]:
    """Compute the logits, of shape (n_samples,) for two classes."""
    logits = linear_scores(estimator, X, estimator.coef_, estimator.intercept_)
    return logits[:, 0] if len(estimator.classes_) == 2 else logits


def linear_scores(
    estimator: Any, X: Any, coef: Any, intercept: NDArray[Any]
) -> NDArray[Any]:
    """Validate X for a fitted estimator, and compute X @ coef.T + intercept."""
    X = check_rows(estimator, X, reset=False)
    with np.errstate(over="ignore", invalid="ignore"):
        logits = _logits(X, coef, intercept)
    # A logit of −inf is a class with probability 0.
    if not (logits < np.inf).all():
        values = coef.data if sparse.issparse(coef) else coef
        if not (np.isfinite(values).all() and (intercept < np.inf).all()):
            raise ValueError(
                "The logits of X can't be computed: coef_ or intercept_ of this "
                "estimator is not finite. Fit it again."
            )
        raise ValueError(
            "X has values too large for this model: a logit overflows. Scale X like "
            "the rows passed to fit."
        )
    return logits


def _logits(X: Any, coef: Any, intercept: NDArray[Any]) -> NDArray[Any]:
    """Compute X @ coef.T + intercept, casting X block by block if necessary."""
    if sparse.issparse(X):
        return to_dense(X @ coef.T) + intercept  # type: ignore[no-any-return]
    is_float = X.dtype.kind == "f"
    dtype = np.result_type(coef.dtype, X.dtype) if is_float else coef.dtype
    logits = np.empty((len(X), coef.shape[0]), dtype)
    rows_at_once = len(X) if X.dtype == dtype else _ROWS_PER_BLOCK
    for start in range(0, len(X), rows_at_once):
        rows = slice(start, start + rows_at_once)
        block = X[rows].astype(dtype, copy=False)
        if sparse.issparse(coef):
            logits[rows] = block @ coef.T
        else:
            np.matmul(block, coef.T, out=logits[rows])
    logits += intercept
    return logits
