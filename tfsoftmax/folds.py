"""The candidates of a search on one fold: preprocessed once, trained in teams, scored.

candidates → same preprocessing? → fitted once → same batches? → trained together
→ logits of all in one product → each one's scores
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from tfsoftmax.callbacks import candidate_task
from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.scoring import Scoring, error_scores
from tfsoftmax.teams import Errors, classifier_of, teams, train_team

Result = dict[str, Any]


@dataclass(frozen=True)
class Fold:
    """A fold's rows, and candidates with one preprocessing to evaluate on it.

    What there is for all folds comes first.
    """

    estimator: Any
    X: Any
    y: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    scorer: Any
    error_score: Any
    return_train_score: bool
    verbose: int
    caller: Any
    name: str = ""
    train: Any = None
    test: Any = None
    candidates: Sequence[Mapping[str, Any]] = ()
    contexts: Sequence[Any] = ()


def evaluate_fold(fold: Fold) -> list[Result]:
    """Fit the preprocessing once, and train and score the candidates."""
    X_train, y_train = _safe_split(fold.estimator, fold.X, fold.y, fold.train)
    fit_params = _check_method_params(fold.X, fold.fit_params, indices=fold.train)
    models = [
        clone(fold.estimator).set_params(**clone(params, safe=False))
        for params in fold.candidates
    ]
    classifiers = [classifier_of(model) for model in models]
    scoring = Scoring(fold, X_train, y_train)
    results: dict[int, Result] = {}
    with ExitStack() as unfinished:
        tasks = []
        for model, context in zip(models, fold.contexts, strict=True):
            weight = fit_params.get("sample_weight")
            task = candidate_task(context, fold.caller, model, X_train, y_train, weight)
            tasks.append(unfinished.enter_context(ExitStack()))
            tasks[-1].enter_context(task)
        began = time.time()
        try:
            given = _preprocess(models, X_train, y_train, fit_params)
        except Exception as error:
            failed: Errors = [error] * len(models)
            seconds = (time.time() - began) / len(models)
            return _results(fold, failed, seconds, error_scores(fold, failed), 0.0)
        before = (time.time() - began) / len(models)
        for team in teams(classifiers):
            began = time.time()
            errors = train_team([classifiers[place] for place in team], *given)
            trained = time.time()
            scores = scoring([models[place] for place in team], errors)
            seconds = before + (trained - began) / len(team)
            score_seconds = (time.time() - trained) / len(team)
            of_team = _results(fold, errors, seconds, scores, score_seconds)
            results |= zip(team, of_team, strict=True)
            for place in team:
                tasks[place].close()
            if fold.verbose > 1:
                _print(fold, team, time.time() - began)
    return [results[place] for place in range(len(models))]


def _print(fold: Fold, team: list[int], seconds: float) -> None:
    what = f"{dict(fold.candidates[team[0]])}{', ...' if len(team) > 1 else ''}"
    print(f"[{fold.name}] {len(team)} candidates, {seconds:.1f} s: {what}")


class _Catcher(TFSoftmaxClassifier):
    """Stands where a pipeline's classifier does, and keeps what `fit` would get."""

    @classmethod
    def instead_of(cls, clf: TFSoftmaxClassifier) -> _Catcher:
        catcher = cls(**clf.get_params(deep=False))
        if hasattr(clf, "_metadata_request"):
            catcher._metadata_request = clf._metadata_request
        return catcher

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> _Catcher:
        named = {
            "sample_weight": sample_weight,
            "X_val": X_val,
            "y_val": y_val,
            "sample_weight_val": sample_weight_val,
        }
        given = {name: value for name, value in named.items() if value is not None}
        self.caught = X, y, given
        return self


def _preprocess(
    models: list[Any], X: Any, y: Any, params: Mapping[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """Fit what comes before the classifiers: (X, y, parameters) as these get them.

    All models then have the fitted steps.
    """
    if not isinstance(models[0], Pipeline):
        return X, y, dict(params)
    classifiers = [model.steps[-1] for model in models]
    name, clf = classifiers[0]
    catcher = _Catcher.instead_of(clf)
    models[0].steps[-1] = (name, catcher)
    models[0].fit(X, y, **params)
    fitted = models[0].steps[:-1]
    for model, last in zip(models, classifiers, strict=True):
        model.steps = [*fitted, last]
    return catcher.caught


def _results(
    fold: Fold,
    errors: Errors,
    fit_seconds: float,
    scores: list[dict[str, Any]],
    score_seconds: float,
) -> list[Result]:
    """Put together what scikit-learn makes `cv_results_` of."""
    return [
        {
            "fit_error": error and "".join(traceback.format_exception(error)),
            "n_test_samples": _num_samples(fold.test),
            "fit_time": fit_seconds,
            "score_time": score_seconds,
            **own,
        }
        for error, own in zip(errors, scores, strict=True)
    ]
