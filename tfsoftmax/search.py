"""Hyper-parameter search that trains a whole grid at once.

Candidates that share the preprocessing and the batches are trained side by side, as
one wide matrix product, and scored from another. For each fold:

    candidates → same preprocessing? → fitted once → same batches? → trained together
               → logits of all in one product → each one's scores

All else, from naming the candidates to `cv_results_`, is scikit-learn's.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.metrics import check_scoring, get_scorer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, check_cv
from sklearn.model_selection._validation import (
    _insert_error_scores,
    _score,
    _warn_or_raise_about_fit_failures,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples

from tfsoftmax.callbacks import SearchTask, with_callbacks
from tfsoftmax.chunks import Rows
from tfsoftmax.classifier import TFSoftmaxClassifier, own_generator
from tfsoftmax.inputs import row_weights
from tfsoftmax.parameters import RULES, check_parameters
from tfsoftmax.side_by_side import train_side_by_side
from tfsoftmax.training import Record

# What weights, gradients and slots of models trained together may take, and what
# their logits for a fold may: wider groups go in parts.
MAX_TEAM_BYTES = 256 << 20
MAX_LOGITS_BYTES = 64 << 20

Result = dict[str, Any]
Errors = list[Exception | None]


class _TrainsTogether:
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
            If a parameter or an argument is not allowed, or all fits fail.
        """
        return _fit(self, X, y, params)


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

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had any.

    See Also
    --------
    TFSoftmaxRandomizedSearchCV : The same for candidates drawn at random.
    sklearn.model_selection.GridSearchCV : For all other estimators.

    Notes
    -----
    A candidate with ``optimizer="lbfgs"``, ``verbose`` or callbacks of its own is
    fitted by itself. With ``random_state=None`` candidates of a group share one
    random order of rows.

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

    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in :class:`TFSoftmaxGridSearchCV`.

    random_state : int, RandomState instance or None, default=None
        The seed of the drawing of candidates; that of the estimator is its own.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, \
    n_splits_, refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_
        As in :class:`TFSoftmaxGridSearchCV`.

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
    >>> search = TFSoftmaxRandomizedSearchCV(clf, rates, n_iter=20, random_state=0)
    >>> round(search.fit(X, y).best_score_, 2)
    0.93
    """


@with_callbacks  # type: ignore[untyped-decorator]
def _fit(search: Any, X: Any, y: Any, params: dict[str, Any]) -> Any:
    search._validate_params()
    _final_of(search.estimator)
    scorers, refit_metric = search._get_scorers()
    X, y = indexable(X, y)
    params = _check_method_params(X, params=params)
    routed = search._get_routed_params_for_fit(params)
    task = SearchTask(search, X, y, params.get("sample_weight"))
    splits = _splits(search, X, y, routed.splitter.split)
    search.n_splits_ = len(splits)
    fold = _Fold(
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

    def evaluate(params: Iterable[dict[str, Any]], callback_ctx: Any = None) -> None:
        candidates.extend(params)
        n_fits = len(candidates) * len(splits)
        if search.verbose > 0:
            print(
                f"Fitting {len(splits)} folds for each of {len(candidates)} "
                f"candidates, totalling {n_fits} fits"
            )
        contexts = task.contexts(callback_ctx, n_fits)
        jobs = list(_jobs(fold, candidates, splits, contexts))
        parallel = Parallel(n_jobs=search.n_jobs, pre_dispatch=search.pre_dispatch)
        done = parallel(delayed(_evaluate)(job) for job, _ in jobs)
        by_place = {
            place: result
            for (_, places), results in zip(jobs, done, strict=True)
            for place, result in zip(places, results, strict=True)
        }
        out.extend(by_place[place] for place in range(n_fits))

    task.run(evaluate)
    if not out:
        raise ValueError(
            "No fits were performed: there were no candidates, or no folds."
        )
    _warn_or_raise_about_fit_failures(out, search.error_score)
    if callable(search.scoring):
        _insert_error_scores(out, search.error_score)
    results = search._format_results(candidates, len(splits), out)
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


def _splits(search: Any, X: Any, y: Any, params: Mapping[str, Any]) -> list[Any]:
    cv = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
    n_splits = cv.get_n_splits(X, y, **params)
    splits = list(cv.split(X, y, **params))
    if len(splits) != n_splits:
        raise ValueError(
            f"The splitter's get_n_splits promises {n_splits} folds, and its split "
            f"gives {len(splits)}."
        )
    return splits


def _choose(search: Any, results: dict[str, Any], refit_metric: Any) -> None:
    if not search.refit and search.multimetric_:
        return
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


@dataclass(frozen=True)
class _Fold:
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


def _jobs(
    fold: _Fold,
    candidates: Sequence[Mapping[str, Any]],
    splits: Sequence[tuple[Any, Any]],
    contexts: Sequence[Any],
) -> Iterator[tuple[_Fold, list[int]]]:
    """Make a job of each fold and preprocessing, and say where its results belong."""
    together: dict[Hashable, list[int]] = {}
    for number, params in enumerate(candidates):
        together.setdefault(_preprocessing(fold.estimator, params), []).append(number)
    for split, (train, test) in enumerate(splits):
        for numbers in together.values():
            places = [number * len(splits) + split for number in numbers]
            job = replace(
                fold,
                name=f"fold {split + 1}/{len(splits)}",
                train=train,
                test=test,
                candidates=[candidates[number] for number in numbers],
                contexts=[contexts[place] for place in places],
            )
            yield job, places


def _preprocessing(estimator: Any, params: Mapping[str, Any]) -> Hashable:
    """Tell candidates apart by what comes before the classifier."""
    if not isinstance(estimator, Pipeline):
        return ()
    last = estimator.steps[-1][0]
    others = {name: value for name, value in params.items() if name != last}
    return _key({n: v for n, v in others.items() if not n.startswith(f"{last}__")})


def _key(params: Mapping[str, Any]) -> Hashable:
    return tuple((name, _identity(params[name])) for name in sorted(params))


def _identity(value: Any) -> Hashable:
    """Make a key of a value: equal for equal ones, where that can be told."""
    if isinstance(value, np.random.RandomState):
        return value.get_state()[1].tobytes(), value.get_state()[2]  # type: ignore[index]
    try:
        hash(value)
    except TypeError:
        return type(value), id(value)
    return type(value), value


def _final_of(model: Any) -> TFSoftmaxClassifier:
    """Give the classifier that a pipeline ends in, or that the model is."""
    final = model.steps[-1][1] if isinstance(model, Pipeline) else model
    if not isinstance(final, TFSoftmaxClassifier):
        raise TypeError(
            "This search trains TFSoftmaxClassifiers, and pipelines that end in one; "
            f"got {model!r}. Use sklearn.model_selection.GridSearchCV or "
            "RandomizedSearchCV for it."
        )
    return final


def _evaluate(fold: _Fold) -> list[Result]:
    """Fit the preprocessing once, and train and score the candidates."""
    X_train, y_train = _safe_split(fold.estimator, fold.X, fold.y, fold.train)
    fit_params = _check_method_params(fold.X, fold.fit_params, indices=fold.train)
    models = [
        clone(fold.estimator).set_params(**clone(params, safe=False))
        for params in fold.candidates
    ]
    classifiers = [_final_of(model) for model in models]
    began = time.time()
    try:
        X_given, y_given, params = _preprocess(models, X_train, y_train, fit_params)
    except Exception as error:
        failed: Errors = [error] * len(models)
        return _results(
            fold, failed, time.time() - began, _no_scores(fold, failed), 0.0
        )
    before = (time.time() - began) / len(models)
    results: list[Result | None] = [None] * len(models)
    scoring = _Scoring(fold, X_train, y_train)
    for team in _teams(classifiers):
        for place in team:
            _tell(fold, "begin", place, X_train, y_train, params)
        began = time.time()
        members = [classifiers[place] for place in team]
        errors = _train(members, X_given, y_given, params)
        trained = time.time()
        scores = scoring([models[place] for place in team], errors)
        seconds = (trained - began) / len(team) + before
        score_seconds = (time.time() - trained) / len(team)
        of_team = _results(fold, errors, seconds, scores, score_seconds)
        for place, result in zip(team, of_team, strict=True):
            results[place] = result
            _tell(fold, "end", place, X_train, y_train, params)
        if fold.verbose > 1:
            print(
                f"[{fold.name}] {len(team)} candidates, {time.time() - began:.1f} s: "
                f"{dict(fold.candidates[team[0]])}{', …' if len(team) > 1 else ''}"
            )
    return [result for result in results if result is not None]


def _tell(
    fold: _Fold, what: str, place: int, X: Any, y: Any, params: Mapping[str, Any]
) -> None:
    """Tell the callbacks that the work on a candidate begins or ends."""
    context = fold.contexts[place]
    if context is not None:
        weight = params.get("sample_weight")
        metadata = None if weight is None else {"sample_weight": weight}
        hook = getattr(context, f"call_on_fit_task_{what}")
        hook(estimator=fold.caller, X=X, y=y, metadata=metadata)


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


def _teams(classifiers: Sequence[TFSoftmaxClassifier]) -> list[list[int]]:
    """Group classifiers that can be trained on the same batches."""
    together: dict[Hashable, list[int]] = {}
    for place, clf in enumerate(classifiers):
        params = clf.get_params()
        shared = {name: v for name, v in params.items() if not RULES[name].per_model}
        trains_alone = (
            clf.optimizer == "lbfgs"
            or clf.verbose
            or getattr(clf, "_skl_callbacks", ())
        )
        key = place if trains_alone else _key(shared)
        together.setdefault(key, []).append(place)
    return list(together.values())


def _train(
    team: Sequence[TFSoftmaxClassifier], X: Any, y: Any, params: dict[str, Any]
) -> Errors:
    """Fit the classifiers of a team; those that fail are told by their errors."""
    if len(team) == 1:
        return [_error_of(lambda: team[0].fit(X, y, **params))]
    errors = [
        _error_of(lambda clf=clf: check_parameters(clf.get_params()))  # type: ignore[misc]
        for clf in team
    ]
    sound = [place for place, error in enumerate(errors) if error is None]
    if sound:
        members = [team[place] for place in sound]
        try:
            outcomes = _fit_together(members, X, y, **params)
        except Exception as error:  # of what they share
            outcomes = [error] * len(sound)
        for place, outcome in zip(sound, outcomes, strict=True):
            errors[place] = outcome
    return errors


def _error_of(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:
        return error
    return None


def _fit_together(
    team: Sequence[TFSoftmaxClassifier],
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
) -> Errors:
    """Do what `fit` does for each of the classifiers, the shared parts once."""
    leader = clone(team[0]).set_params(class_weight=None)
    rows = leader._validate_rows(X, y, sample_weight, former=None)
    held_out = leader._validate_held_out(X_val, y_val, sample_weight_val)
    weights: dict[int, NDArray[np.float64] | None] = {}
    errors: Errors = [None] * len(team)
    for place, clf in enumerate(team):
        try:
            weights[place] = row_weights(
                sample_weight,
                len(rows),
                class_weight=clf.class_weight,
                y=rows.y,
                classes=leader.classes_,
            )
        except (TypeError, ValueError) as error:
            errors[place] = error
    if any(team[place].class_weight is not None for place in weights):
        ones = np.ones(len(rows))
        own = [ones if weight is None else weight for weight in weights.values()]
        rows = replace(rows, weights=np.stack(own))
    leader._random_state = own_generator(leader.random_state)
    if leader.early_stopping and held_out is None:
        rows, held_out = leader._hold_out(rows, sample_weight, None)
    members = [team[place] for place in weights]
    outcomes = _train_in_parts(leader, members, rows, held_out)
    learned = {name: v for name, v in vars(leader).items() if name not in RULES}
    for place, clf, outcome in zip(weights, members, outcomes, strict=True):
        if isinstance(outcome, ValueError):
            errors[place] = outcome
        else:
            clf.__dict__ |= learned
            clf._store(outcome)
            clf._warn_of_poor_ends(outcome, len(rows))
    return errors


def _train_in_parts(
    leader: TFSoftmaxClassifier,
    team: Sequence[TFSoftmaxClassifier],
    rows: Rows,
    held_out: Rows | None,
) -> list[Record | ValueError]:
    """Train as many at once as there is memory for, all of them in the same order."""
    n_classes = len(leader.classes_)
    # Weights, gradient, and two slots at most, with a copy of what is kept.
    model_bytes = 6 * 8 * n_classes * (rows.n_features + 1)
    if rows.n_weightings > 1:
        model_bytes += 8 * len(rows)
    outcomes: list[Record | ValueError] = []
    for part in _parts(len(team), MAX_TEAM_BYTES // model_bytes):
        own = rows
        if rows.weights is not None and rows.weights.ndim == 2:
            own = replace(rows, weights=rows.weights[part])
        outcomes += train_side_by_side(
            own,
            n_classes,
            [clf._settings() for clf in team[part]],
            copy.deepcopy(leader._random_state),
            held_out=held_out,
        )
    return outcomes


def _parts(n: int, at_once: int) -> Iterator[slice]:
    """Cut n into slices of nearly the same length, each at most so long."""
    n_parts = math.ceil(n / max(1, at_once))
    bounds = np.linspace(0, n, n_parts + 1).astype(int).tolist()
    return (slice(start, stop) for start, stop in itertools.pairwise(bounds))


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


class _Scoring:
    """Scores the candidates of a fold on its test rows and, if asked, training rows."""

    def __init__(self, fold: _Fold, X_train: Any, y_train: Any) -> None:
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
        scores = _no_scores(self._fold, errors)
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
        classifiers = [_final_of(model) for model in models]
        n_rows, n_each = _num_samples(X), len(classifiers[0].coef_)
        at_once = MAX_LOGITS_BYTES // (8 * n_rows * n_each)
        for part in _parts(len(models), at_once):
            team = classifiers[part]
            logits = _logits_of(team, given)
            if logits is None:
                yield from ((clf, given) for clf in team)
                continue
            for m, clf in enumerate(team):
                own = logits[:, m * n_each : (m + 1) * n_each]
                own = own[:, 0] if n_each == 1 else own
                yield _Scored.of(clf, given, own), given

    def _given(self, models: Sequence[Any], X: Any) -> Any:
        """Give the rows as the classifiers get them; None if the steps before fail."""
        if not isinstance(models[0], Pipeline):
            return X
        try:
            return models[0][:-1].transform(X) if len(models[0]) > 1 else X
        except Exception:  # each model's own scoring then tells
            return None


def _logits_of(team: Sequence[TFSoftmaxClassifier], X: Any) -> NDArray[Any] | None:
    """Compute the logits of all, side by side; None where X is refused."""
    coef = np.concatenate([clf.coef_ for clf in team])
    intercept = np.concatenate([clf.intercept_ for clf in team])
    try:
        return team[0]._products(X, coef, intercept)
    except (TypeError, ValueError):  # each model's own scoring then tells
        return None


def _no_scores(fold: _Fold, errors: Errors) -> list[dict[str, Any]]:
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


def _results(
    fold: _Fold,
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
