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
        """Train and score all candidates, and refit the best.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask array} of shape (n_samples, n_features)
            The training rows. The blocks of a Dask array are computed once, and stay on
            the workers.
        y : {array-like, Dask array or Series} of shape (n_samples,) or \
                (n_samples, n_classes)
            The classes of the rows, or soft labels.
        **params : dict of str -> object
            Parameters passed to the estimator's `fit`, the scorers and the splitter,
            such as `sample_weight` and `groups`, as in scikit-learn's
            `GridSearchCV.fit`.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        TypeError
            If X is a Dask DataFrame, which can't be split into folds.
        ValueError
            If a parameter or an argument is invalid, or all fits fail. A fitted search
            then keeps its previous state.
        """
        run(self, X, y, params)
        return self

    def onnx_parser(self) -> Parser:
        """Return the parser with which skl2onnx converts the best estimator.

        skl2onnx calls this method itself: ``skl2onnx.to_onnx`` converts a fitted search
        like a `GridSearchCV`.

        Returns
        -------
        parser : callable
        """
        return search_parser(self)


class TFSoftmaxGridSearchCV(_FusedSearchMixin, GridSearchCV):  # type: ignore[misc]
    """Search over a parameter grid, with candidates trained together.

    A drop-in replacement for scikit-learn's
    :class:`~sklearn.model_selection.GridSearchCV`, with the same parameters,
    attributes, methods and results. Candidates that differ only in `learning_rate`,
    `learning_rate_schedule`, `power_t`, `momentum`, `alpha`, `l1_ratio`, `epochs`,
    `class_weight`, `scoring`, `tol` or `n_iter_no_change` are trained on the same
    batches: X is read once for all of them, and one wide matrix product computes their
    steps. Up to rounding, the models are the same as those of separate fits.

    Parameters
    ----------
    estimator : estimator object
        The estimator to clone for each candidate. Candidates are trained together if it
        is a `TFSoftmaxClassifier` or a `Pipeline` that ends in one. Other estimators,
        and subclasses that override `fit`, are fitted one at a time.

    param_grid : dict or list of dicts
        The values to try for each parameter, which may belong to a step of a pipeline.
        Each distinct preprocessing is fitted once per fold.

    scoring : str, callable, list, tuple or dict, default=None
        One or several scorers; None means accuracy.

    n_jobs : int, default=None
        Number of folds (and preprocessings) that joblib evaluates in parallel.
        TensorFlow already uses all cores, so this is useful mainly on clusters.

    refit : bool, str, or callable, default=True
        Whether to refit the best candidate on all of X; with several scorers, the name
        of the score that determines it; or a callable that returns its index.

    cv : int, cross-validation generator or an iterable, default=None
        The cross-validation splits; None means 5 folds.

    verbose : int, default=0
        1 prints the number of fits; 2 adds one line per candidate and fold, 3 their
        scores, and 10 a line at the start of each fit.

    pre_dispatch : int or str, default="2*n_jobs"
        Number of jobs dispatched in advance when `n_jobs` > 1.

    error_score : "raise" or numeric, default=np.nan
        Score of a candidate whose fit fails; the search continues. ``"raise"`` raises
        the error instead.

    return_train_score : bool, default=False
        Whether to compute scores on the training rows as well.

    Attributes
    ----------
    cv_results_ : dict of numpy (masked) ndarrays
        Same as scikit-learn's. For candidates trained together, `mean_fit_time` and the
        other times are the time of the group divided by its number of candidates.

    best_estimator_ : estimator
        The best candidate, fitted on all of X: bit-identical to a `fit` with
        `best_params_`.

    best_score_ : float
        Mean cross-validated score of the best candidate.

    best_params_ : dict
        Parameters of the best candidate.

    best_index_ : int
        Index of the best candidate in `cv_results_`.

    scorer_ : function or dict
        The scorers used.

    n_splits_ : int
        Number of folds.

    refit_time_ : float
        Duration of the refit, in seconds.

    multimetric_ : bool
        Whether several scores were computed.

    classes_ : ndarray of shape (n_classes,)
        The classes.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during `fit`. Defined only if X has feature names
        that are all strings.

    See Also
    --------
    TFSoftmaxRandomizedSearchCV : Search over randomly drawn candidates.
    sklearn.model_selection.GridSearchCV : Grid search, one candidate at a time.

    Notes
    -----
    Candidates with ``optimizer="lbfgs"`` or ``verbose`` are fitted one at a time. With
    ``random_state=None``, candidates that are trained together share the same random
    order of rows. Candidates that must result in the same model are trained once, so
    that they tie.

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
    """Search over randomly drawn parameters, with candidates trained together.

    A drop-in replacement for scikit-learn's
    :class:`~sklearn.model_selection.RandomizedSearchCV`. Candidates are trained
    together as in :class:`TFSoftmaxGridSearchCV`.

    Parameters
    ----------
    estimator : estimator object
        The estimator to clone for each candidate. Candidates are trained together if it
        is a `TFSoftmaxClassifier` or a `Pipeline` that ends in one. Other estimators,
        and subclasses that override `fit`, are fitted one at a time.

    param_distributions : dict or list of dicts
        For each parameter, a distribution with an `rvs` method or a list of values.

    n_iter : int, default=10
        Number of candidates to draw.

    scoring : str, callable, list, tuple or dict, default=None
        One or several scorers; None means accuracy.

    n_jobs : int, default=None
        Number of folds (and preprocessings) that joblib evaluates in parallel.
        TensorFlow already uses all cores, so this is useful mainly on clusters.

    refit : bool, str, or callable, default=True
        Whether to refit the best candidate on all of X; with several scorers, the name
        of the score that determines it; or a callable that returns its index.

    cv : int, cross-validation generator or an iterable, default=None
        The cross-validation splits; None means 5 folds.

    verbose : int, default=0
        1 prints the number of fits; 2 adds one line per candidate and fold, 3 their
        scores, and 10 a line at the start of each fit.

    pre_dispatch : int or str, default="2*n_jobs"
        Number of jobs dispatched in advance when `n_jobs` > 1.

    random_state : int, RandomState instance or None, default=None
        Controls which candidates are drawn; independent of the estimator's
        `random_state`.

    error_score : "raise" or numeric, default=np.nan
        Score of a candidate whose fit fails; the search continues. ``"raise"`` raises
        the error instead.

    return_train_score : bool, default=False
        Whether to compute scores on the training rows as well.

    Attributes
    ----------
    cv_results_ : dict of numpy (masked) ndarrays
        Same as scikit-learn's. For candidates trained together, `mean_fit_time` and the
        other times are the time of the group divided by its number of candidates.

    best_estimator_ : estimator
        The best candidate, fitted on all of X: bit-identical to a `fit` with
        `best_params_`.

    best_score_ : float
        Mean cross-validated score of the best candidate.

    best_params_ : dict
        Parameters of the best candidate.

    best_index_ : int
        Index of the best candidate in `cv_results_`.

    scorer_ : function or dict
        The scorers used.

    n_splits_ : int
        Number of folds.

    refit_time_ : float
        Duration of the refit, in seconds.

    multimetric_ : bool
        Whether several scores were computed.

    classes_ : ndarray of shape (n_classes,)
        The classes.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during `fit`. Defined only if X has feature names
        that are all strings.

    See Also
    --------
    TFSoftmaxGridSearchCV : Search over all candidates of a grid.
    sklearn.model_selection.RandomizedSearchCV : Random search, one candidate at a time.

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
