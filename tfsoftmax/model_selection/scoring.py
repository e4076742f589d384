"""Scores of candidates, whose logits are computed in one matrix product."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.model_selection.candidates import classifier_of, pipelines_of
from tfsoftmax.model_selection.fusion import Errors
from tfsoftmax.model_selection.jobs import EvaluationJob, SearchRows
from tfsoftmax.prediction import SoftmaxPredictor, linear_scores
from tfsoftmax.utils.sklearn_compat import (
    _check_method_params,
    _num_samples,
    _PassthroughScorer,
    _safe_split,
    _score,
    _Scorer,
)
from tfsoftmax.utils.slices import split_at_most
from tfsoftmax.utils.sparse import to_dense
from tfsoftmax.validation.collections import is_dask

# Maximum memory for the logits of candidates that are scored together.
MAX_LOGITS_BYTES = 64 << 20


class _CachedLogits(SoftmaxPredictor, BaseEstimator):  # type: ignore[misc]
    """A classifier with known logits for certain rows."""

    def __init__(self, clf: TFSoftmaxClassifier, X: Any, logits: NDArray[Any]) -> None:
        self.classes_, self.n_features_in_ = clf.classes_, clf.n_features_in_
        self.coef_, self.intercept_ = clf.coef_, clf.intercept_
        self._X, self._logits = X, logits

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the known logits; compute those of other rows."""
        return self._logits if X is self._X else super().decision_function(X)


class Scoring:
    """Scores the candidates of a job on test rows and, optionally, training rows."""

    def __init__(
        self,
        job: EvaluationJob,
        rows: SearchRows,
        model: Any,
        X_train: Any,
        y_train: Any,
    ) -> None:
        self._job, self._all_rows = job, rows
        X_test, y_test = _safe_split(model, rows.X, rows.y, job.test, job.train)
        self._rows = {"test_scores": (X_test, y_test, job.test)}
        if job.return_train_score:
            self._rows["train_scores"] = (X_train, y_train, job.train)
        scorers = getattr(job.scorer, "_scorers", {"score": job.scorer}).values()
        # scikit-learn's scorers, and the estimator's `score`, use only predictions of
        # an estimator for the X that they pass.
        self._by_predictions = all(
            type(scorer) in (_Scorer, _PassthroughScorer) for scorer in scorers
        )

    def __call__(self, models: Sequence[Any], errors: Errors) -> list[dict[str, Any]]:
        """Return the scores of the models, or error scores for models with an error."""
        scores = error_scores(self._job, errors)
        fitted = [i for i, error in enumerate(errors) if error is None]
        for name, (X, y, index) in self._rows.items():
            params = _check_method_params(
                self._all_rows.X, self._all_rows.score_params, indices=index
            )
            predictors = self._predictors([models[i] for i in fitted], X)
            for i, (predictor, rows) in zip(fitted, predictors, strict=True):
                scores[i][name] = _score(
                    predictor, rows, y, self._job.scorer, params, self._job.error_score
                )
        return scores

    def _predictors(self, models: Sequence[Any], X: Any) -> Iterator[tuple[Any, Any]]:
        """Yield, for each model, the predictor to score and the rows to pass to it.

        If only predictions matter, these are a classifier with logits, which one matrix
        product computes for many models, and the transformed rows.
        """
        by_predictions = self._by_predictions and models and _predicts_by_logits(models)
        by_predictions = by_predictions and not is_dask(X)  # whose rows are not loaded
        rows = self._transform(models[0], X) if by_predictions else None
        if rows is None:
            yield from ((model, X) for model in models)
            return
        classifiers = [classifier_of(model) for model in models]
        row_bytes = 8 * max(1, _num_samples(X)) * classifiers[0].coef_.shape[0]
        for part in split_at_most(len(models), MAX_LOGITS_BYTES // row_bytes):
            group = classifiers[part]
            logits = _stacked_logits(group, rows)
            if logits is None:
                yield from ((clf, rows) for clf in group)
                continue
            for clf, its_logits in zip(group, logits, strict=True):
                yield _CachedLogits(clf, rows, its_logits), rows

    def _transform(self, model: Any, X: Any) -> Any:
        """Return the input of the classifiers, or None if the previous steps fail."""
        pipelines = pipelines_of(model)
        if not pipelines:
            return X
        if self._all_rows.score_params and get_config()["enable_metadata_routing"]:
            return None  # the previous steps may need some of them
        try:
            for pipeline in pipelines:
                X = pipeline[:-1].transform(X) if len(pipeline) > 1 else X
        except Exception:  # `_score` raises the proper error for each model
            return None
        return X


def _predicts_by_logits(models: Sequence[Any]) -> bool:
    """Whether no model or pipeline is of a subclass, which may predict otherwise."""
    pipelines = pipelines_of(models[0])
    return type(classifier_of(models[0])) is TFSoftmaxClassifier and all(
        type(pipeline) is Pipeline for pipeline in pipelines
    )


def _stacked_logits(
    classifiers: Sequence[TFSoftmaxClassifier], X: Any
) -> list[NDArray[Any]] | None:
    """Compute the logits of each classifier in one product, or None if X is invalid.

    Equal models share their logits, since rounding may differ between columns of a
    product.
    """
    if sparse.issparse(X):
        return _separate_logits(classifiers, X)
    weights = [(to_dense(clf.coef_), clf.intercept_) for clf in classifiers]
    keys = [coef.tobytes() + intercept.tobytes() for coef, intercept in weights]
    distinct = list(dict(zip(keys, weights, strict=True)).values())
    coef, intercept = map(np.concatenate, zip(*distinct, strict=True))
    try:
        logits = linear_scores(classifiers[0], X, coef, intercept)
    except (TypeError, ValueError):  # `_score` raises the proper error for each model
        return None
    n_rows = len(distinct[0][0])
    by_model = logits.reshape(len(logits), len(distinct), n_rows).swapaxes(0, 1)
    by_key = dict(zip(dict.fromkeys(keys), by_model, strict=True))
    return [by_key[key][:, 0] if n_rows == 1 else by_key[key] for key in keys]


def _separate_logits(
    classifiers: Sequence[TFSoftmaxClassifier], X: Any
) -> list[NDArray[Any]] | None:
    """Compute the logits of each on sparse rows, where one product is not faster."""
    try:
        return [clf.decision_function(X) for clf in classifiers]
    except (TypeError, ValueError):  # `_score` raises the proper error for each model
        return None


def error_scores(job: EvaluationJob, errors: Errors) -> list[dict[str, Any]]:
    """Return error scores for the candidates that failed, or raise the first error."""
    for error in errors:
        if error is not None and job.error_score == "raise":
            raise error
    names = getattr(job.scorer, "_scorers", None)
    score = job.error_score
    failed = score if names is None else dict.fromkeys(names, score)
    kinds = ["test_scores", *["train_scores"] * job.return_train_score]
    return [
        {} if error is None else {kind: copy.copy(failed) for kind in kinds}
        for error in errors
    ]
