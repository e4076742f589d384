"""Hyper-parameter search that trains a whole grid at once: what a user calls.

Naming the candidates, splitting, `cv_results_`, the choice of the best: all that is
scikit-learn's. What replaces it is the evaluation of the candidates, in `folds.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.model_selection._validation import (
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from sklearn.utils.parallel import Parallel, delayed

from tfsoftmax.callbacks import SearchTask, with_callbacks
from tfsoftmax.documentation import DocumentationLinkMixin
from tfsoftmax.folds import Fold, Result, evaluate_fold
from tfsoftmax.inputs import naming
from tfsoftmax.planning import (
    check_data,
    check_dispatch,
    check_fit_params,
    check_space,
    jobs_of,
    named_candidates,
    space_of,
    splits_of,
)
from tfsoftmax.teams import classifier_of


class _TrainsTogether(DocumentationLinkMixin):
    """Replaces the fitting of one candidate after the other."""

    def fit(self: Any, X: Any, y: Any = None, **params: Any) -> Any:
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
        TypeError
            If a candidate is not a `TFSoftmaxClassifier`, or a `Pipeline` that ends in
            one.
        ValueError
            If a parameter or an argument is not allowed, or all fits fail. A fitted
            search then keeps its former state.
        """
        former = self.__dict__.copy()
        try:
            return _fit(self, X, y, params)
        except BaseException:
            self.__dict__ = former
            raise


class TFSoftmaxGridSearchCV(_TrainsTogether, GridSearchCV):  # type: ignore[misc]
    """Search a grid of parameters, its candidates trained side by side.

    A drop-in replacement for scikit-learn's
    :class:`~sklearn.model_selection.GridSearchCV`, with the same parameters,
    attributes, methods and results. Candidates that differ only in `learning_rate`,
    `learning_rate_schedule`, `power_t`, `momentum`, `alpha`, `l1_ratio`, `epochs`,
    `class_weight`, `tol` or `n_iter_no_change` see the same batches: X is read once for
    all of them, and one wide matrix product takes their steps. Each is the model that
    a fit of its own gives, up to rounding.

    Parameters
    ----------
    estimator : TFSoftmaxClassifier, or Pipeline that ends in one
        What is cloned for each candidate.

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
        With 1, print how many fits there will be; with 2 or more, a line for each
        group of candidates trained together.

    pre_dispatch : int or str, default="2*n_jobs"
        Jobs dispatched ahead.

    error_score : "raise" or numeric, default=np.nan
        The score of a candidate whose fit fails. The others go on.

    return_train_score : bool, default=False
        Whether to score the training rows, too.

    Attributes
    ----------
    cv_results_ : dict of numpy (masked) ndarrays
        As scikit-learn's. `mean_fit_time` and its like are the time that a group took,
        divided by its candidates.

    best_estimator_ : estimator
        The best candidate, fitted on all of X: to the bit what a `fit` with
        `best_params_` gives.

    best_score_ : float
        Its mean cross-validated score.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its place in `cv_results_`.

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
    sklearn.model_selection.GridSearchCV : For all other estimators.

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
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16, random_state=0)
    >>> grid = {"learning_rate": [0.01, 0.1, 1.0], "alpha": [0.0, 0.001]}
    >>> TFSoftmaxGridSearchCV(clf, grid).fit(X, y).best_params_
    {'alpha': 0.0, 'learning_rate': 1.0}
    """


class TFSoftmaxRandomizedSearchCV(_TrainsTogether, RandomizedSearchCV):  # type: ignore[misc]
    """Search parameters drawn at random, the candidates trained side by side.

    A drop-in replacement for scikit-learn's
    :class:`~sklearn.model_selection.RandomizedSearchCV`; which candidates are trained
    together, and what they share, is as in :class:`TFSoftmaxGridSearchCV`.

    Parameters
    ----------
    estimator : TFSoftmaxClassifier, or Pipeline that ends in one
        What is cloned for each candidate.

    param_distributions : dict or list of dicts
        Of each parameter a distribution with an `rvs` method, or a list of values.

    n_iter : int, default=10
        Candidates drawn.

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
        With 1, print how many fits there will be; with 2 or more, a line for each
        group of candidates trained together.

    pre_dispatch : int or str, default="2*n_jobs"
        Jobs dispatched ahead.

    random_state : int, RandomState instance or None, default=None
        The seed of the drawing of candidates; that of the estimator is its own.

    error_score : "raise" or numeric, default=np.nan
        The score of a candidate whose fit fails. The others go on.

    return_train_score : bool, default=False
        Whether to score the training rows, too.

    Attributes
    ----------
    cv_results_ : dict of numpy (masked) ndarrays
        As scikit-learn's. `mean_fit_time` and its like are the time that a group took,
        divided by its candidates.

    best_estimator_ : estimator
        The best candidate, fitted on all of X: to the bit what a `fit` with
        `best_params_` gives.

    best_score_ : float
        Its mean cross-validated score.

    best_params_ : dict
        Its parameters.

    best_index_ : int
        Its place in `cv_results_`.

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
    sklearn.model_selection.RandomizedSearchCV : For all other estimators.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxRandomizedSearchCV
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16, random_state=0)
    >>> rates = {"learning_rate": loguniform(1e-3, 10)}
    >>> search = TFSoftmaxRandomizedSearchCV(clf, rates, random_state=0).fit(X, y)
    >>> round(float(search.best_score_), 2)
    0.91
    """


_CHOSEN = (
    *("best_index_", "best_score_", "best_params_"),
    *("best_estimator_", "refit_time_", "feature_names_in_"),
)


@with_callbacks  # type: ignore[untyped-decorator]
def _fit(search: Any, X: Any, y: Any, params: dict[str, Any]) -> Any:
    for name in _CHOSEN:  # which another search has chosen, and this one may not
        search.__dict__.pop(name, None)
    search._validate_params()
    classifier_of(search.estimator)
    with naming("scoring"):
        scorers, refit_metric = search._get_scorers()
    check_space(search)
    check_dispatch(search)
    X, y = check_data(X, y)
    params = check_fit_params(X, params)
    routed = search._get_routed_params_for_fit(params)
    task = SearchTask(search, X, y, params.get("sample_weight"))
    splits = splits_of(search, X, y, routed.splitter.split)
    search.n_splits_ = len(splits)
    fold = Fold(
        estimator=clone(search.estimator),
        X=X,
        y=y,
        fit_params=routed.estimator.fit,
        score_params=routed.scorer.score,
        scorer=scorers,
        error_score=search.error_score,
        return_train_score=search.return_train_score,
        verbose=search.verbose,
        caller=search,
    )
    candidates: list[dict[str, Any]] = []
    out: list[Result] = []
    results: dict[str, Any] = {}

    def evaluate(params: Iterable[dict[str, Any]], callback_ctx: Any = None) -> Any:
        named = named_candidates(search, params)
        if search.verbose > 0:
            print(
                f"Fitting {len(splits)} folds for each of {len(named)} candidates, "
                f"totalling {len(named) * len(splits)} fits"
            )
        contexts = task.contexts(callback_ctx, len(named) * len(splits))
        done = _evaluate(search, fold, named, splits, contexts)
        if not done:
            raise ValueError(
                f"No fits were performed: {space_of(search)} has no candidates, or cv "
                "no folds."
            )
        _warn_or_raise_about_fit_failures(done, search.error_score)
        if callable(search.scoring):
            _insert_error_scores(done, search.error_score)
        candidates.extend(named)
        out.extend(done)
        with naming("scoring", KeyError):
            results.update(search._format_results(candidates, len(splits), out))
        return results

    task.run(evaluate)
    search.multimetric_ = isinstance(out[0]["test_scores"], dict)
    if callable(search.scoring) and search.multimetric_:
        search._check_refit_for_multimetric(out[0]["test_scores"])
        refit_metric = search.refit
    _choose(search, results, refit_metric)
    if search.refit:
        _refit(search, X, y, routed.estimator.fit, task)
    search.scorer_ = getattr(scorers, "_scorers", scorers)
    search.cv_results_ = results
    task.end()
    return search


def _evaluate(
    search: Any,
    fold: Fold,
    candidates: Sequence[Mapping[str, Any]],
    splits: Sequence[tuple[Any, Any]],
    contexts: Sequence[Any],
) -> list[Result]:
    """Evaluate candidates on all folds: results by candidate, then by fold."""
    jobs = list(jobs_of(fold, candidates, splits, contexts))
    parallel = Parallel(n_jobs=search.n_jobs, pre_dispatch=search.pre_dispatch)
    done = parallel(delayed(evaluate_fold)(job) for job, _ in jobs)
    by_place = {
        place: result
        for (_, places), results in zip(jobs, done, strict=True)
        for place, result in zip(places, results, strict=True)
    }
    return [by_place[place] for place in sorted(by_place)]


def _choose(search: Any, results: dict[str, Any], refit_metric: Any) -> None:
    if not search.refit and search.multimetric_:
        return
    with naming("refit", IndexError):
        best = search._select_best_index(search.refit, refit_metric, results)
    search.best_index_ = best
    if not callable(search.refit):
        search.best_score_ = results[f"mean_test_{refit_metric}"][best]
    search.best_params_ = results["params"][best]


def _refit(search: Any, X: Any, y: Any, params: Any, task: SearchTask) -> None:
    # The parameters are cloned, too: they may be estimators.
    best = clone(search.estimator).set_params(**clone(search.best_params_, safe=False))
    with task.refit(best):
        began = time.time()
        best.fit(X, y, **params)
        search.refit_time_ = time.time() - began
    search.best_estimator_ = best
    if hasattr(best, "feature_names_in_"):
        search.feature_names_in_ = best.feature_names_in_
