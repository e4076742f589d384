"""A search: split, evaluate all candidates, choose the best and refit it.

scikit-learn generates the candidates and splits, builds `cv_results_` and chooses the
best. The candidates are evaluated by :mod:`.evaluation`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from joblib import parallel_config
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from tfsoftmax.callbacks import with_callbacks
from tfsoftmax.model_selection.candidates import candidate_model
from tfsoftmax.model_selection.dask_backend import call_with_rows
from tfsoftmax.model_selection.evaluation import Evaluation, evaluate
from tfsoftmax.model_selection.jobs import EvaluationJob, SearchRows, make_jobs
from tfsoftmax.model_selection.tasks import SearchTask
from tfsoftmax.utils.sklearn_compat import (
    _check_method_params,
    _insert_error_scores,
    _warn_or_raise_about_fit_failures,
)
from tfsoftmax.validation.arrays import check_structure
from tfsoftmax.validation.collections import is_dask, is_dask_array, n_rows_known

# Attributes that only some fits set: a new fit must not keep old ones.
_CHOICE = (
    *("best_index_", "best_score_", "best_params_"),
    *("best_estimator_", "refit_time_", "feature_names_in_"),
)


@with_callbacks
def run(search: Any, X: Any, y: Any, params: dict[str, Any]) -> None:
    """Fit a search to X and y; `params` are the other arguments of its `fit`."""
    for name in _CHOICE:
        search.__dict__.pop(name, None)
    search._validate_params()
    scorers, refit_metric = search._get_scorers()
    X = check_structure(X)
    if is_dask(X):
        X, y = _kept(X, y)
    X, y = indexable(X, y)
    params = _check_method_params(X, params=_for_folds(params))
    routed = search._get_routed_params_for_fit(params)
    task = SearchTask(search, X, y, params.get("sample_weight"))
    splits = _splits(search, X, y, routed.splitter.split)
    search.n_splits_ = len(splits)
    template = EvaluationJob(
        estimator=clone(search.estimator),
        scorer=scorers,
        error_score=search.error_score,
        return_train_score=search.return_train_score,
        verbose=search.verbose,
        caller=search,
        n_splits=len(splits),
    )
    rows = SearchRows(X, y, routed.estimator.fit, routed.scorer.score)
    evaluator = _Evaluator(search, template, rows, splits, task)
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


def _kept(X: Any, y: Any) -> tuple[Any, Any]:
    """Return X, computed once and kept by the workers, and y in memory.

    Splitting needs all labels and the sizes of the blocks, and works only for arrays.
    """
    import dask

    if not is_dask_array(X):
        raise TypeError(
            "A search can't split a Dask DataFrame into folds. Convert X with "
            "X.to_dask_array()."
        )
    if is_dask_array(y):  # at once, so that what both come from is computed once
        X, y = dask.persist(X, y)
    else:  # Dask warns of an array together with a DataFrame's column
        X = X.persist()
    if n_rows_known(X) is None:
        X.compute_chunk_sizes()
    return X, np.asarray(y) if is_dask(y) else y


def _for_folds(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters, with Dask collections as arrays, except held-out rows."""
    return {
        name: value
        if name.endswith("_val") or not is_dask(value)
        else np.asarray(value)
        for name, value in params.items()
    }


def _splits(
    search: Any, X: Any, y: Any, params: Mapping[str, Any]
) -> list[tuple[Any, Any]]:
    """Return the training and test rows of each fold."""
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
    """Evaluates candidates on all folds; a search may call it several times.

    Attributes
    ----------
    candidates : list of dict
        The parameters of all candidates so far.
    evaluations : list of dict
        Their evaluations, by candidate, then by fold.
    results : dict
        Their `cv_results_`.
    """

    def __init__(
        self,
        search: Any,
        template: EvaluationJob,
        rows: SearchRows,
        splits: Sequence[tuple[Any, Any]],
        task: SearchTask,
    ) -> None:
        self._search, self._template = search, template
        self._rows = rows
        self._splits, self._task = splits, task
        self.candidates: list[Mapping[str, Any]] = []
        self.evaluations: list[Evaluation] = []
        self.results: dict[str, Any] = {}

    def __call__(
        self, params: Iterable[Mapping[str, Any]], callback_ctx: Any = None
    ) -> dict[str, Any]:
        """Evaluate more candidates; return the results of all candidates so far."""
        search, candidates = self._search, list(params)
        n_splits = len(self._splits)
        n_fits = len(candidates) * n_splits
        if search.verbose > 0:
            print(
                f"Fitting {n_splits} folds for each of {len(candidates)} candidates, "
                f"totalling {n_fits} fits"
            )
        # Reading the rows is expensive on Dask, so candidates on full batches share it.
        jobs = make_jobs(
            self._template, candidates, self._splits, full_batches=is_dask(self._rows.X)
        )
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
        search, backend = self._search, nullcontext()
        if is_dask(self._rows.X):  # whose fits take all workers, one after the other
            backend = parallel_config("sequential")

        def evaluate_all(*rows: Any) -> Any:
            parallel = Parallel(n_jobs=search.n_jobs, pre_dispatch=search.pre_dispatch)
            return parallel(delayed(evaluate)(job, *rows) for job in jobs)

        with backend:
            done = call_with_rows(evaluate_all, self._rows)
        by_position = {
            position: evaluation
            # joblib runs nothing with pre_dispatch=0
            for job, evaluations in zip(jobs, done, strict=bool(done))
            for position, evaluation in zip(job.positions, evaluations, strict=True)
        }
        return [by_position[position] for position in sorted(by_position)]


def _choose(search: Any, results: Mapping[str, Any], refit_metric: Any) -> None:
    """Set the attributes of the best candidate."""
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
