"""The evaluation of a job: preprocess once, train in groups, score.

candidates → same preprocessing? → fitted once → same batches? → trained together
→ logits of all in one product → the scores of each
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from tfsoftmax.callbacks import CallbackSupportMixin, candidate_task
from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.model_selection.candidates import EvaluationJob, classifier_of
from tfsoftmax.model_selection.fusion import Errors, fit_group, fusion_groups
from tfsoftmax.model_selection.scoring import Scoring, error_scores
from tfsoftmax.utils.sklearn_compat import (
    _check_method_params,
    _num_samples,
    _safe_split,
)

# What scikit-learn makes a column of `cv_results_` of.
Evaluation = dict[str, Any]


def evaluate(job: EvaluationJob) -> list[Evaluation]:
    """Fit the preprocessing once, and train and score the candidates."""
    X_train, y_train = _safe_split(job.estimator, job.X, job.y, job.train)
    fit_params = _check_method_params(job.X, job.fit_params, indices=job.train)
    models = [
        clone(job.estimator).set_params(**clone(params, safe=False))
        for params in job.candidates
    ]
    classifiers = [classifier_of(model) for model in models]
    scoring = Scoring(job, X_train, y_train)
    evaluations: dict[int, Evaluation] = {}
    with ExitStack() as unfinished:
        tasks = []
        for model, context in zip(models, job.contexts, strict=True):
            weight = fit_params.get("sample_weight")
            task = candidate_task(context, job.caller, model, X_train, y_train, weight)
            tasks.append(unfinished.enter_context(ExitStack()))
            tasks[-1].enter_context(task)
        began = time.time()
        try:
            X, y, params = _preprocess(models, X_train, y_train, fit_params)
        except Exception as error:
            failed: Errors = [error] * len(models)
            seconds = (time.time() - began) / len(models)
            return _evaluations(job, failed, seconds, error_scores(job, failed), 0.0)
        preprocessing = (time.time() - began) / len(models)
        for group in fusion_groups(classifiers):
            began = time.time()
            errors = fit_group([classifiers[i] for i in group], X, y, params)
            trained = time.time()
            scores = scoring([models[i] for i in group], errors)
            fit_time = preprocessing + (trained - began) / len(group)
            score_time = (time.time() - trained) / len(group)
            done = _evaluations(job, errors, fit_time, scores, score_time)
            evaluations |= zip(group, done, strict=True)
            for i in group:
                tasks[i].close()
            if job.verbose > 1:
                _print(job, group, time.time() - began)
    return [evaluations[i] for i in range(len(models))]


def _print(job: EvaluationJob, group: list[int], seconds: float) -> None:
    params = f"{dict(job.candidates[group[0]])}{', ...' if len(group) > 1 else ''}"
    print(f"[{job.name}] {len(group)} candidates, {seconds:.1f} s: {params}")


class _FitArgsRecorder(CallbackSupportMixin):  # type: ignore[misc]
    """A pipeline's last step that records the arguments that its `fit` gets.

    ``pipeline[:-1]`` would fit the steps before, but route no fit parameters.
    """

    def __init__(self, clf: TFSoftmaxClassifier) -> None:
        self._clf = clf

    def get_metadata_routing(self) -> Any:
        """Request what the classifier requests."""
        return self._clf.get_metadata_routing()

    def fit(self, X: Any, y: Any, **params: Any) -> _FitArgsRecorder:
        """Record the arguments."""
        self.arguments = X, y, params
        return self


def _preprocess(
    models: list[Any], X: Any, y: Any, params: Mapping[str, Any]
) -> tuple[Any, Any, Mapping[str, Any]]:
    """Fit the steps before the classifiers, and set them in all models.

    Returns
    -------
    X, y, params
        The arguments that the classifiers' `fit` gets.
    """
    if not isinstance(models[0], Pipeline):
        return X, y, params
    last_steps = [model.steps[-1] for model in models]
    name, clf = last_steps[0]
    recorder = _FitArgsRecorder(clf)
    models[0].steps[-1] = (name, recorder)
    models[0].fit(X, y, **params)
    fitted = models[0].steps[:-1]
    for model, last_step in zip(models, last_steps, strict=True):
        model.steps = [*fitted, last_step]
    return recorder.arguments


def _evaluations(
    job: EvaluationJob,
    errors: Errors,
    fit_time: float,
    scores: Sequence[Mapping[str, Any]],
    score_time: float,
) -> list[Evaluation]:
    """Return what scikit-learn makes `cv_results_` of."""
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
