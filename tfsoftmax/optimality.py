"""An upper bound on the distance of a fitted classifier from its optimum."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.reading import read_known
from tfsoftmax.solvers.duality import duality_gap
from tfsoftmax.utils.sparse import to_dense


def dual_gap(
    classifier: Any, X: Any, y: Any, sample_weight: ArrayLike | None = None
) -> float:
    r"""Compute an upper bound on the difference of the objective from its minimum.

    For the objective F of the classifier on the data passed, with its penalty and its
    `class_weight`, the gap is a number g with

    .. math:: F(W, b) - g \le \min F \le F(W, b)

    regardless of how the classifier was trained, and for how long. TensorFlow is not
    needed.

    Parameters
    ----------
    classifier : TFSoftmaxClassifier
        A fitted classifier.
    X : {array-like, sparse matrix, Dask collection} of shape (n_samples, n_features)
        The rows, usually the training rows of the classifier.
    y : {array-like, Dask collection} of shape (n_samples,) or (n_samples, n_classes)
        The classes of the rows, or soft labels. If X is a Dask collection, they are in
        memory, or a Dask collection with the same blocks.
    sample_weight : {array-like, Dask collection} of shape (n_samples,), default=None
        Non-negative weights of the rows, in memory or with the same blocks, like y;
        None means equal weights.

    Returns
    -------
    gap : float
        The upper bound, in the units of F. Infinite if the classifier was fitted with
        ``alpha=0``, since there is no such bound without a penalty.

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    TypeError, ValueError
        If X, y or sample_weight is invalid.

    Notes
    -----
    The gap is the Fenchel duality gap between F at the classifier's weights and its
    dual at the classifier's probabilities. For an L2 penalty and an intercept that is
    optimal for the weights, it is

    .. math:: g = \frac{\|\nabla_W F(W, b)\|^2}{2 \alpha}

    It is within a factor of about ten of the true difference if the features are
    standardised and `alpha` is about ``1 / n_samples``. Features on very different
    scales, or a smaller `alpha`, make the bound looser, but never invalid. X is read
    twice.

    References
    ----------
    S. Boyd and L. Vandenberghe, "Convex Optimization", Cambridge University Press,
    2004, section 5.7.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from tfsoftmax import TFSoftmaxClassifier, dual_gap
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(optimizer="lbfgs", alpha=1 / len(X), epochs=100)
    >>> dual_gap(clf.fit(X, y), X, y) < 1e-9
    True
    """
    check_is_fitted(classifier)
    if not hasattr(classifier, "_result"):
        raise TypeError(
            "classifier must be a fitted TFSoftmaxClassifier; got a "
            f"{type(classifier).__name__}. Of a pipeline, pass the last step, and X as "
            "transformed by the others."
        )
    rows = read_known(
        classifier,
        classifier.classes_,
        X,
        y,
        sample_weight,
        class_weight=classifier.class_weight,
    )
    settings = classifier._result.settings
    with closing(rows):
        return duality_gap(
            rows,
            to_dense(classifier.coef_),
            classifier.intercept_,
            n_classes=len(classifier.classes_),
            fit_intercept=settings.fit_intercept,
            scaling=classifier._result.scaling,
            alpha=settings.alpha,
            l1_ratio=settings.l1_ratio,
        )
