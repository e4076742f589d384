"""The evaluation of a job: preprocess once, train in groups, score.

candidates → same preprocessing? → fit it once → same batches? → train together
→ logits of all in one product → scores of each
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.base import clone

from tfsoftmax.callbacks import SUPPORTED, CallbackSupportMixin
from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.model_selection.candidates import (
    candidate_model,
    classifier_of,
    pipelines_of,
)
from tfsoftmax.model_selection.dask_backend import received
from tfsoftmax.model_selection.fusion import Errors, fit_group
from tfsoftmax.model_selection.jobs import EvaluationJob, SearchRows
from tfsoftmax.model_selection.printing import print_ends, print_starts
from tfsoftmax.model_selection.scoring import Scoring
from tfsoftmax.model_selection.tasks import JobTasks
from tfsoftmax.utils.sklearn_compat import (
    _check_method_params,
    _fit_and_score,
    _num_samples,
    _safe_split,
)

# The values from which scikit-learn builds a column of `cv_results_`.
Evaluation = dict[str, Any]


def evaluate(job: EvaluationJob, *arguments: Any) -> list[Evaluation]:
    """Train and score the candidates of a job on its fold of the rows sent to it."""
    rows = received(*arguments)
    return _evaluate_fused(job, rows) if job.groups else [_evaluate_alone(job, rows)]


def _evaluate_alone(job: EvaluationJob, rows: SearchRows) -> Evaluation:
    """Fit and score a job's only candidate with scikit-learn."""
    callbacks = {"caller": job.caller, "callback_ctx": job.contexts[0]}
    evaluation: Evaluation = _fit_and_score(
        clone(job.estimator),
        rows.X,
        rows.y,
        scorer=job.scorer,
        train=job.train,
        test=job.test,
        verbose=job.verbose,
        parameters=job.candidates[0],
        fit_params=rows.fit_params,
        score_params=rows.score_params,
        return_train_score=job.return_train_score,
        return_n_test_samples=True,
        return_times=True,
        split_progress=(job.split, job.n_splits),
        candidate_progress=(job.numbers[0], job.n_candidates),
        error_score=job.error_score,
        **callbacks if SUPPORTED else {},
    )
    return evaluation


def _evaluate_fused(job: EvaluationJob, rows: SearchRows) -> list[Evaluation]:
    """Fit the preprocessing once, and train and score the candidates in groups."""
    print_starts(job)
    models = [candidate_model(job.estimator, params) for params in job.candidates]
    classifiers = [classifier_of(model) for model in models]
    X_train, y_train = _safe_split(models[0], rows.X, rows.y, job.train)
    fit_params = _check_method_params(rows.X, rows.fit_params, indices=job.train)
    weights = fit_params.get("sample_weight")
    scoring = Scoring(job, rows, models[0], X_train, y_train)
    evaluations: dict[int, Evaluation] = {}
    with JobTasks(job, classifiers, X_train, y_train, weights) as tasks:
        began = time.time()
        arguments: Any
        try:
            arguments = _preprocess(models, X_train, y_train, fit_params)
        except Exception as error:
            arguments = error
        preprocessing = (time.time() - began) / len(models)
        for number, group in enumerate(job.groups):
            with tasks.group(number):
                began = time.time()
                errors: Errors = [arguments] * len(group)
                if not isinstance(arguments, Exception):
                    errors = fit_group([classifiers[i] for i in group], *arguments)
                trained = time.time()
                scores = scoring([models[i] for i in group], errors)
            fit_time = preprocessing + (trained - began) / len(group)
            score_time = (time.time() - trained) / len(group)
            done = _evaluations(job, errors, fit_time, scores, score_time)
            evaluations |= zip(group, done, strict=True)
            print_ends(job, zip(group, done, strict=True))
    return [evaluations[i] for i in range(len(models))]


class _FitArgsRecorder(CallbackSupportMixin):  # type: ignore[misc]
    """The last step of a pipeline, which records the arguments of its `fit`.

    ``pipeline[:-1]`` would fit the previous steps, but not route fit parameters.
    """

    def __init__(self, clf: TFSoftmaxClassifier) -> None:
        self._clf = clf

    def get_metadata_routing(self) -> Any:
        """Return the metadata requests of the classifier."""
        return self._clf.get_metadata_routing()

    def fit(self, X: Any, y: Any, **params: Any) -> _FitArgsRecorder:
        """Record the arguments."""
        self.arguments = X, y, params
        return self


def _preprocess(
    models: list[Any], X: Any, y: Any, params: Mapping[str, Any]
) -> tuple[Any, Any, Mapping[str, Any]]:
    """Fit the steps before the classifiers, and share them between all models.

    Returns
    -------
    X, y, params
        The arguments for the `fit` of the classifiers.
    """
    pipelines = pipelines_of(models[0])
    if not pipelines:
        return X, y, params
    *before, (name, clf) = pipelines[-1].steps
    recorder = _FitArgsRecorder(clf)
    pipelines[-1].steps = [*before, (name, recorder)]
    models[0].fit(X, y, **params)
    pipelines[-1].steps[-1] = (name, clf)
    for model in models[1:]:
        for pipeline, fitted in zip(pipelines_of(model), pipelines, strict=True):
            pipeline.steps = [*fitted.steps[:-1], pipeline.steps[-1]]
    return recorder.arguments


def _evaluations(
    job: EvaluationJob,
    errors: Errors,
    fit_time: float,
    scores: Sequence[Mapping[str, Any]],
    score_time: float,
) -> list[Evaluation]:
    """Return the values from which scikit-learn builds `cv_results_`."""
    return [
        {
            "fit_error": error and "".join(traceback.format_exception(error)),
            "n_test_samples": _num_samples(job.test),
            "fit_time": fit_time,
            "score_time": score_time,
            **its_scores,
        }
        for error, its_scores in zip(errors, scores, strict=True)
    ]
