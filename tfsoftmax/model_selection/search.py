"""TFSoftmaxGridSearchCV and TFSoftmaxRandomizedSearchCV."""

from __future__ import annotations

from typing import Any, Self

from sklearn.model_selection import (
    GridSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
)

from tfsoftmax.model_selection.run import run
from tfsoftmax.utils.rollback import restores_state_on_error
from tfsoftmax.utils.skl2onnx_compat import Parser, search_parser
from tfsoftmax.utils.sklearn_compat import DocumentationLinkMixin


class _FusedSearchMixin(DocumentationLinkMixin):
    """Fits candidates together, instead of one after the other."""

    cv_results_: dict[str, Any]
    best_estimator_: Any
    best_score_: float
    best_params_: dict[str, Any]
    best_index_: int
    n_splits_: int
    refit_time_: float
    multimetric_: bool

    @restores_state_on_error
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search: train and score all candidates, and refit the best.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their classes, or soft labels.
        **params : dict of str -> object
            What goes to the estimator's `fit`, the scorers and the splitter, as in
            scikit-learn's `GridSearchCV.fit`: `sample_weight` and `groups`, for two.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError
            If a parameter or an argument is not allowed, or all fits fail. A fitted
            search then keeps its previous state.
        """
        run(self, X, y, params)
        return self

    def onnx_parser(self) -> Parser:
        """Return how skl2onnx is to read the best estimator; it asks for it by itself.

        So ``skl2onnx.to_onnx`` converts a fitted search as it does a `GridSearchCV`.

        Returns
        -------
        parser : callable
        """
        return search_parser(self)


class TFSoftmaxGridSearchCV(_FusedSearchMixin, GridSearchCV):  # type: ignore[misc]
    """Search a grid of parameters, its candidates trained together.

    A drop-in replacement for scikit-learn's
    :class:`~sklearn.model_selection.GridSearchCV`, with the same parameters,
    attributes, methods and results. Candidates that differ only in `learning_rate`,
    `learning_rate_schedule`, `power_t`, `momentum`, `alpha`, `l1_ratio`, `epochs`,
    `class_weight`, `tol` or `n_iter_no_change` see the same batches: X is read once for
    all of them, and one wide matrix product takes their steps. Each is the model that
    a fit of its own gives, up to rounding.

    Parameters
    ----------
    estimator : estimator object
        What is cloned for each candidate: a `TFSoftmaxClassifier`, or a `Pipeline` that
        ends in one, for candidates to be trained together. Other estimators, and
        subclasses with a `fit` of their own, are fitted one by one.

    param_grid : dict or list of dicts
        The values to try of each parameter, those of a pipeline's steps included.
        Each distinct preprocessing is fitted once for each fold.

    scoring : str, callable, list, tuple or dict, default=None
        One scorer, or several; None is the accuracy.

    n_jobs : int, default=None
        Folds (and preprocessings) evaluated at once, by joblib. TensorFlow uses all
        cores anyway, so this is for clusters more than for cores.

    refit : bool, str, or callable, default=True
        Whether, and by which score, to refit the best candidate on all of X.

    cv : int, cross-validation generator or an iterable, default=None
        The folds; None is 5.

    verbose : int, default=0
        1 prints the number of fits, 2 a line for each candidate and fold, 3 their
        scores, too, and 10 a line where each begins.

    pre_dispatch : int or str, default="2*n_jobs"
        Number of jobs that are dispatched at once.

    error_score : "raise" or numeric, default=np.nan
        The score of a candidate whose fit fails. The others go on.

    return_train_score : bool, default=False
        Whether to score on the training rows, too.

    Attributes
    ----------
    cv_results_ : dict of numpy (masked) ndarrays
        As scikit-learn's. Of candidates that are trained together, `mean_fit_time` and
        its like are the time that the group took, divided by its candidates.

    best_estimator_ : estimator
        The best candidate, fitted on all of X: to the bit what a `fit` with
        `best_params_` gives.

    best_score_ : float
        Its mean cross-validated score.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : function or dict
        The scorers used.

    n_splits_ : int
        The number of folds.

    refit_time_ : float
        Seconds that the refit took.

    multimetric_ : bool
        Whether there are several scores.

    classes_ : ndarray of shape (n_classes,)
        The classes.

    n_features_in_ : int
        The number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had any.

    See Also
    --------
    TFSoftmaxRandomizedSearchCV : The same for candidates drawn at random.
    sklearn.model_selection.GridSearchCV : The same, its candidates fitted one by one.

    Notes
    -----
    A candidate with ``optimizer="lbfgs"`` or ``verbose`` is fitted by itself. With
    ``random_state=None`` candidates of a group share one random order of rows. Those
    that are bound to be the same model are trained once, so that they tie.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(random_state=0)
    >>> grid = {"learning_rate": ["auto", 0.1], "alpha": ["auto", 0.01]}
    >>> TFSoftmaxGridSearchCV(clf, grid).fit(X, y).best_params_
    {'alpha': 0.01, 'learning_rate': 'auto'}
    """

    def _run_search(self, evaluate: Any, *, callback_ctx: Any = None) -> None:
        evaluate(ParameterGrid(self.param_grid), callback_ctx=callback_ctx)


class TFSoftmaxRandomizedSearchCV(_FusedSearchMixin, RandomizedSearchCV):  # type: ignore[misc]
    """Search parameters drawn at random, the candidates trained together.

    A drop-in replacement for scikit-learn's
    :class:`~sklearn.model_selection.RandomizedSearchCV`; which candidates are trained
    together, and what they share, is as in :class:`TFSoftmaxGridSearchCV`.

    Parameters
    ----------
    estimator : estimator object
        What is cloned for each candidate: a `TFSoftmaxClassifier`, or a `Pipeline` that
        ends in one, for candidates to be trained together. Other estimators, and
        subclasses with a `fit` of their own, are fitted one by one.

    param_distributions : dict or list of dicts
        For each parameter, a distribution with an `rvs` method, or a list of values.

    n_iter : int, default=10
        Number of candidates that are drawn.

    scoring : str, callable, list, tuple or dict, default=None
        One scorer, or several; None is the accuracy.

    n_jobs : int, default=None
        Folds (and preprocessings) evaluated at once, by joblib. TensorFlow uses all
        cores anyway, so this is for clusters more than for cores.

    refit : bool, str, or callable, default=True
        Whether, and by which score, to refit the best candidate on all of X.

    cv : int, cross-validation generator or an iterable, default=None
        The folds; None is 5.

    verbose : int, default=0
        1 prints the number of fits, 2 a line for each candidate and fold, 3 their
        scores, too, and 10 a line where each begins.

    pre_dispatch : int or str, default="2*n_jobs"
        Number of jobs that are dispatched at once.

    random_state : int, RandomState instance or None, default=None
        Determines which candidates are drawn. The estimator has another `random_state`.

    error_score : "raise" or numeric, default=np.nan
        The score of a candidate whose fit fails. The others go on.

    return_train_score : bool, default=False
        Whether to score on the training rows, too.

    Attributes
    ----------
    cv_results_ : dict of numpy (masked) ndarrays
        As scikit-learn's. Of candidates that are trained together, `mean_fit_time` and
        its like are the time that the group took, divided by its candidates.

    best_estimator_ : estimator
        The best candidate, fitted on all of X: to the bit what a `fit` with
        `best_params_` gives.

    best_score_ : float
        Its mean cross-validated score.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its index in `cv_results_`.

    scorer_ : function or dict
        The scorers used.

    n_splits_ : int
        The number of folds.

    refit_time_ : float
        Seconds that the refit took.

    multimetric_ : bool
        Whether there are several scores.

    classes_ : ndarray of shape (n_classes,)
        The classes.

    n_features_in_ : int
        The number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had any.

    See Also
    --------
    TFSoftmaxGridSearchCV : The same for all candidates of a grid.
    sklearn.model_selection.RandomizedSearchCV : The same, its candidates fitted one by
        one.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxRandomizedSearchCV
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(random_state=0)
    >>> alphas = {"alpha": loguniform(1e-5, 1e-1)}
    >>> search = TFSoftmaxRandomizedSearchCV(clf, alphas, random_state=0).fit(X, y)
    >>> round(float(search.best_score_), 2)
    0.92
    """

    def _run_search(self, evaluate: Any, *, callback_ctx: Any = None) -> None:
        sampler = ParameterSampler(
            self.param_distributions, self.n_iter, random_state=self.random_state
        )
        evaluate(sampler, callback_ctx=callback_ctx)
