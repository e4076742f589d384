"""Scoring the candidates of a search: the logits of many from one matrix product."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.metrics import check_scoring, get_scorer
from sklearn.model_selection._validation import _score
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from tfsoftmax.classifier import TFSoftmaxClassifier
from tfsoftmax.teams import Errors, classifier_of, parts

if TYPE_CHECKING:
    from tfsoftmax.folds import Fold

# What the logits of candidates scored together may take.
MAX_LOGITS_BYTES = 64 << 20

# Scorers that see nothing of an estimator but its predictions for the X they pass:
# scikit-learn's own, which it names or `make_scorer` makes, and the estimator's score.
_BY_PREDICTIONS = (
    type(get_scorer("accuracy")),
    type(check_scoring(TFSoftmaxClassifier())),
)


class _Scored(TFSoftmaxClassifier):
    """A fitted classifier that knows its logits for certain rows."""

    @classmethod
    def of(cls, clf: TFSoftmaxClassifier, X: Any, logits: NDArray[Any]) -> _Scored:
        scored = cls.__new__(cls)
        scored.__dict__ = vars(clf) | {"_known": (X, logits)}
        return scored

    def decision_function(self, X: Any) -> NDArray[Any]:
        rows, logits = self._known
        return logits if X is rows else super().decision_function(X)


class Scoring:
    """Scores the candidates of a fold on its test rows and, if asked, training rows."""

    def __init__(self, fold: Fold, X_train: Any, y_train: Any) -> None:
        self._fold = fold
        X_test, y_test = _safe_split(
            fold.estimator, fold.X, fold.y, fold.test, fold.train
        )
        self._rows = {"test_scores": (X_test, y_test, fold.test)}
        if fold.return_train_score:
            self._rows["train_scores"] = (X_train, y_train, fold.train)
        scorers = getattr(fold.scorer, "_scorers", {"score": fold.scorer}).values()
        self._by_predictions = all(isinstance(s, _BY_PREDICTIONS) for s in scorers)

    def __call__(self, models: Sequence[Any], errors: Errors) -> list[dict[str, Any]]:
        """Score the models that could be fitted, and give the others error scores."""
        scores = error_scores(self._fold, errors)
        fitted = [place for place, error in enumerate(errors) if error is None]
        for name, (X, y, index) in self._rows.items():
            params = _check_method_params(
                self._fold.X, self._fold.score_params, indices=index
            )
            known = self._known([models[place] for place in fitted], X)
            for place, (model, rows) in zip(fitted, known, strict=True):
                scores[place][name] = _score(
                    model, rows, y, self._fold.scorer, params, self._fold.error_score
                )
        return scores

    def _known(self, models: Sequence[Any], X: Any) -> Iterator[tuple[Any, Any]]:
        """Give each model to score, with the rows to pass to it.

        Where predictions are all that counts, it is the classifier alone, with its
        logits, which one matrix product makes for many, and the rows as it gets them.
        """
        given = self._given(models, X) if self._by_predictions and models else None
        if given is None:
            yield from ((model, X) for model in models)
            return
        classifiers = [classifier_of(model) for model in models]
        n_rows, n_each = _num_samples(X), len(classifiers[0].coef_)
        at_once = MAX_LOGITS_BYTES // max(1, 8 * n_rows * n_each)
        for part in parts(len(models), at_once):
            team = classifiers[part]
            logits = _logits_of(team, given)
            if logits is None:
                yield from ((clf, given) for clf in team)
                continue
            for clf, own in zip(team, logits, strict=True):
                yield _Scored.of(clf, given, own), given

    def _given(self, models: Sequence[Any], X: Any) -> Any:
        """Give the rows as the classifiers get them; None if the steps before fail."""
        if not isinstance(models[0], Pipeline):
            return X
        if self._fold.score_params and get_config()["enable_metadata_routing"]:
            return None  # the steps before may want some of them
        try:
            return models[0][:-1].transform(X) if len(models[0]) > 1 else X
        except Exception:  # each model's own scoring then tells
            return None


def _logits_of(
    team: Sequence[TFSoftmaxClassifier], X: Any
) -> list[NDArray[Any]] | None:
    """Compute the logits of each from one product; None where X is refused.

    Equal models have equal ones: rounding may differ between columns of a product.
    """
    keys = [clf.coef_.tobytes() + clf.intercept_.tobytes() for clf in team]
    distinct = list(dict(zip(keys, team, strict=True)).values())
    coef = np.concatenate([clf.coef_ for clf in distinct])
    intercept = np.concatenate([clf.intercept_ for clf in distinct])
    try:
        logits = team[0]._products(X, coef, intercept)
    except (TypeError, ValueError):  # each model's own scoring then tells
        return None
    n_each = len(team[0].coef_)
    by_model = logits.reshape(len(logits), len(distinct), n_each).swapaxes(0, 1)
    by_key = dict(zip(dict.fromkeys(keys), by_model, strict=True))
    return [by_key[key][:, 0] if n_each == 1 else by_key[key] for key in keys]


def error_scores(fold: Fold, errors: Errors) -> list[dict[str, Any]]:
    """Give the error scores of those that failed, or raise the first error."""
    for error in errors:
        if error is not None and fold.error_score == "raise":
            raise error
    names = getattr(fold.scorer, "_scorers", None)
    score = fold.error_score
    failed = score if names is None else dict.fromkeys(names, score)
    kinds = ["test_scores", *["train_scores"] * fold.return_train_score]
    return [
        {} if error is None else {kind: copy.copy(failed) for kind in kinds}
        for error in errors
    ]
