"""The jobs of a search: on each fold, the candidates with the same preprocessing.

The rows are not part of a job: they are the same for all jobs of a search.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from tfsoftmax.model_selection.candidates import (
    can_be_fused,
    candidate_model,
    classifier_of,
    preprocessing_key,
)
from tfsoftmax.model_selection.fusion import fusion_groups
from tfsoftmax.utils.grouping import group_by_key


class SearchRows(NamedTuple):
    """The rows of a search, and the parameters of `fit` and the scorers for them."""

    X: Any
    y: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]


@dataclass(frozen=True)
class EvaluationJob:
    """The indices of a fold's rows, and the candidates to evaluate on them.

    All fields up to `n_candidates` are the same in all jobs of a search.

    Attributes
    ----------
    numbers : sequence of int
        The candidates' numbers in the search.
    groups : sequence of sequence of int
        Indices of the `candidates` that are trained together. Empty for a candidate
        that scikit-learn fits.
    contexts, group_contexts : sequence
        The callback context of each evaluation, and of each group.
    """

    estimator: Any
    scorer: Any
    error_score: Any
    return_train_score: bool
    verbose: int
    caller: Any
    n_splits: int
    n_candidates: int = 0
    split: int = 0
    train: Any = None
    test: Any = None
    numbers: Sequence[int] = ()
    candidates: Sequence[Mapping[str, Any]] = ()
    groups: Sequence[Sequence[int]] = ()
    contexts: Sequence[Any] = ()
    group_contexts: Sequence[Any] = ()

    @property
    def positions(self) -> list[int]:
        """Positions of the results, sorted by candidate, then by fold."""
        return [number * self.n_splits + self.split for number in self.numbers]


def make_jobs(
    template: EvaluationJob,
    candidates: Sequence[Mapping[str, Any]],
    splits: Sequence[tuple[Any, Any]],
    *,
    full_batches: bool = False,
) -> list[EvaluationJob]:
    """Make a job for each fold and preprocessing, and for each fit by scikit-learn.

    Parameters
    ----------
    template : EvaluationJob
        The values shared by all jobs.
    candidates : sequence of dict
        The parameters of each candidate.
    splits : sequence of (train, test)
        The rows of each fold.
    full_batches : bool, default=False
        As in :func:`~tfsoftmax.model_selection.fusion.fusion_groups`.

    Returns
    -------
    jobs : list of EvaluationJob
        In the order of their first candidates, and of the folds.
    """
    jobs = [
        replace(
            template,
            n_candidates=len(candidates),
            split=split,
            train=train,
            test=test,
            numbers=numbers,
            candidates=[candidates[number] for number in numbers],
            groups=groups,
        )
        for numbers, groups in _shared_preprocessings(
            template.estimator, candidates, full_batches
        )
        for split, (train, test) in enumerate(splits)
    ]
    return sorted(jobs, key=lambda job: job.positions[0])


def _shared_preprocessings(
    estimator: Any, candidates: Sequence[Mapping[str, Any]], full_batches: bool
) -> list[tuple[list[int], list[list[int]]]]:
    """Group the candidates' numbers by preprocessing, and each group's by training."""
    classifiers: dict[int, Any] = {}
    keys: list[Hashable] = []
    for number, params in enumerate(candidates):
        model = candidate_model(estimator, params)
        if can_be_fused(model):
            keys.append(preprocessing_key(model, params))
            classifiers[number] = classifier_of(model)
        else:
            keys.append(number)
    groups = partial(fusion_groups, full_batches=full_batches)
    return [
        (same, groups([classifiers[n] for n in same if n in classifiers]))
        for same in group_by_key(keys)
    ]
