"""TFSoftmaxGridSearchCV and TFSoftmaxRandomizedSearchCV.

Naming the candidates, splitting, `cv_results_` and the choice of the best are
scikit-learn's. The evaluation of the candidates is in :mod:`.evaluation`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sklearn.base import clone, is_classifier
from sklearn.model_selection import (
    GridSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
    check_cv,
)
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from tfsoftmax.callbacks import with_callbacks
from tfsoftmax.model_selection.candidates import candidate_model
from tfsoftmax.model_selection.evaluation import Evaluation, evaluate
from tfsoftmax.model_selection.jobs import EvaluationJob, make_jobs
from tfsoftmax.model_selection.tasks import SearchTask
from tfsoftmax.utils.rollback import restores_state_on_error
from tfsoftmax.utils.sklearn_compat import (
    DocumentationLinkMixin,
    _check_method_params,
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from tfsoftmax.validation.arrays import check_structure


class _FusedSearchMixin(DocumentationLinkMixin):
    """Fits candidates together, instead of one after the other."""

    @restores_state_on_error
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
        ValueError
            If a parameter or an argument is not allowed, or all fits fail. A fitted
            search then keeps its previous state.
        """
        return _fit(self, X, y, params)


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
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16, random_state=0)
    >>> grid = {"learning_rate": [0.01, 0.1, 1.0], "alpha": [0.0, 0.001]}
    >>> TFSoftmaxGridSearchCV(clf, grid).fit(X, y).best_params_
    {'alpha': 0.0, 'learning_rate': 1.0}
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
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16, random_state=0)
    >>> rates = {"learning_rate": loguniform(1e-3, 10)}
    >>> search = TFSoftmaxRandomizedSearchCV(clf, rates, random_state=0).fit(X, y)
    >>> round(float(search.best_score_), 2)
    0.91
    """

    def _run_search(self, evaluate: Any, *, callback_ctx: Any = None) -> None:
        sampler = ParameterSampler(
            self.param_distributions, self.n_iter, random_state=self.random_state
        )
        evaluate(sampler, callback_ctx=callback_ctx)


# Attributes that only some searches set: a new fit must not keep those of another.
_CHOICE = (
    *("best_index_", "best_score_", "best_params_"),
    *("best_estimator_", "refit_time_", "feature_names_in_"),
)


@with_callbacks  # type: ignore[untyped-decorator]
def _fit(search: Any, X: Any, y: Any, params: dict[str, Any]) -> Any:
    for name in _CHOICE:
        search.__dict__.pop(name, None)
    search._validate_params()
    scorers, refit_metric = search._get_scorers()
    X, y = indexable(check_structure(X), y)
    params = _check_method_params(X, params=params)
    routed = search._get_routed_params_for_fit(params)
    task = SearchTask(search, X, y, params.get("sample_weight"))
    splits = _splits(search, X, y, routed.splitter.split)
    search.n_splits_ = len(splits)
    template = EvaluationJob(
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
        n_splits=len(splits),
    )
    evaluator = _Evaluator(search, template, splits, task)
    task.run(evaluator)
    first_score = evaluator.evaluations[0]["test_scores"]
    search.multimetric_ = isinstance(first_score, dict)
    if callable(search.scoring) and search.multimetric_:
        search._check_refit_for_multimetric(first_score)
        refit_metric = search.refit
    _choose(search, evaluator.results, refit_metric)
    if search.refit:
        _refit(search, X, y, routed.estimator.fit, task)
    search.scorer_ = getattr(scorers, "_scorers", scorers)
    search.cv_results_ = evaluator.results
    task.end()
    return search


def _splits(
    search: Any, X: Any, y: Any, params: Mapping[str, Any]
) -> list[tuple[Any, Any]]:
    """Return the rows to train on and to test on, of each fold."""
    cv = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
    n_splits = cv.get_n_splits(X, y, **params)
    splits = list(cv.split(X, y, **params))
    if len(splits) != n_splits:
        raise ValueError(
            "cv.split and cv.get_n_splits return inconsistent results. Expected "
            f"{n_splits} splits, got {len(splits)}"
        )
    return splits


class _Evaluator:
    """Evaluates candidates on all folds, as often as a search asks for it.

    Attributes
    ----------
    candidates : list of dict
        The parameters of all candidates so far.
    evaluations : list of dict
        Their evaluations, by candidate, then by fold.
    results : dict
        The `cv_results_` of them.
    """

    def __init__(
        self,
        search: Any,
        template: EvaluationJob,
        splits: Sequence[tuple[Any, Any]],
        task: SearchTask,
    ) -> None:
        self._search, self._template = search, template
        self._splits, self._task = splits, task
        self.candidates: list[Mapping[str, Any]] = []
        self.evaluations: list[Evaluation] = []
        self.results: dict[str, Any] = {}

    def __call__(
        self, params: Iterable[Mapping[str, Any]], callback_ctx: Any = None
    ) -> dict[str, Any]:
        """Evaluate more candidates; return the results of all."""
        search, candidates = self._search, list(params)
        n_splits = len(self._splits)
        n_fits = len(candidates) * n_splits
        if search.verbose > 0:
            print(
                f"Fitting {n_splits} folds for each of {len(candidates)} candidates, "
                f"totalling {n_fits} fits"
            )
        jobs = make_jobs(self._template, candidates, self._splits)
        with self._task.evaluations(callback_ctx, jobs) as jobs:
            evaluations = self._evaluate(jobs)
        if not evaluations:
            raise ValueError(
                "No fits were performed. Was the CV iterator empty? Were there no "
                "candidates?"
            )
        _warn_or_raise_about_fit_failures(evaluations, search.error_score)
        if callable(search.scoring):
            _insert_error_scores(evaluations, search.error_score)
        self.candidates += candidates
        self.evaluations += evaluations
        self.results = search._format_results(
            self.candidates, n_splits, self.evaluations
        )
        return self.results

    def _evaluate(self, jobs: Sequence[EvaluationJob]) -> list[Evaluation]:
        search = self._search
        parallel = Parallel(n_jobs=search.n_jobs, pre_dispatch=search.pre_dispatch)
        done = parallel(delayed(evaluate)(job) for job in jobs)
        by_position = {
            position: evaluation
            # joblib runs nothing with pre_dispatch=0
            for job, evaluations in zip(jobs, done, strict=bool(done))
            for position, evaluation in zip(job.positions, evaluations, strict=True)
        }
        return [by_position[position] for position in sorted(by_position)]


def _choose(search: Any, results: Mapping[str, Any], refit_metric: Any) -> None:
    """Set what the search found to be best."""
    if not search.refit and search.multimetric_:
        return
    best = search._select_best_index(search.refit, refit_metric, results)
    search.best_index_ = best
    if not callable(search.refit):
        search.best_score_ = results[f"mean_test_{refit_metric}"][best]
    search.best_params_ = results["params"][best]


def _refit(search: Any, X: Any, y: Any, params: Any, task: SearchTask) -> None:
    """Fit the best candidate on all rows."""
    best = candidate_model(search.estimator, search.best_params_)
    labels = () if y is None else (y,)
    with task.refit(best):
        began = time.time()
        best.fit(X, *labels, **params)
        search.refit_time_ = time.time() - began
    search.best_estimator_ = best
    if hasattr(best, "feature_names_in_"):
        search.feature_names_in_ = best.feature_names_in_
