"""The jobs of a search: which candidates share a preprocessing, and which nothing."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.problems import estimator
from tests.searches import pipeline
from tfsoftmax.model_selection.jobs import EvaluationJob, make_jobs

FOLDS = [([0, 1], [2]), ([1, 2], [0]), ([0, 2], [1])]


def jobs(model, candidates):
    """Make the jobs of a search in which only its estimator matters."""
    n = len(FOLDS)
    template = EvaluationJob(model, None, np.nan, False, 0, None, n)
    return make_jobs(template, candidates, FOLDS)


def test_without_a_pipeline_all_candidates_of_a_fold_are_one_job():
    candidates = [{"alpha": 0}, {"batch_size": 20}]
    made = jobs(estimator(), candidates)
    assert [job.positions for job in made] == [[0, 3], [1, 4], [2, 5]]
    for fold, job in enumerate(made):
        assert (job.train, job.test) == FOLDS[fold]
        assert (job.split, job.n_splits) == (fold, 3)
        assert (job.numbers, job.n_candidates) == ([0, 1], 2)
        assert job.candidates == candidates
        assert job.groups == [[0], [1]]


def test_each_preprocessing_is_a_job_of_each_fold():
    scaler = StandardScaler()
    candidates = [
        {"step0__with_mean": True, "clf__alpha": 0},
        {"clf__alpha": 0.1, "step0__with_mean": False},
        {"step0__with_mean": True, "clf__alpha": 0.1, "clf": estimator()},
        {"step0": scaler},
        {"step0": scaler, "clf__alpha": 0.1},
    ]
    made = jobs(pipeline(StandardScaler()), candidates)
    first_fold = [job.positions for job in made if job.split == 0]
    assert first_fold == [[0, 6], [3], [9, 12]]
    for job in made:
        assert job.candidates == [candidates[number] for number in job.numbers]
    positions = [position for job in made for position in job.positions]
    assert sorted(positions) == list(range(3 * 5))


def test_a_candidate_that_scikit_learn_fits_is_a_job_of_its_own():
    classifiers = [estimator(), LogisticRegression(), estimator(alpha=0.1)]
    made = jobs(pipeline(StandardScaler()), [{"clf": clf} for clf in classifiers])
    of_first_fold = [(job.numbers, job.groups) for job in made if job.split == 0]
    assert of_first_fold == [([0, 2], [[0, 1]]), ([1], [])]
    assert [job.positions[0] for job in made] == list(range(6))


def test_a_last_step_that_is_a_pipeline_is_part_of_the_preprocessing():
    nested = pipeline(PCA(2))
    model = make_pipeline(StandardScaler(), nested)
    candidates = [
        {"pipeline__clf__alpha": 0},
        {"pipeline__clf": estimator(alpha=0.1)},
        {"pipeline__step0__n_components": 3},
        {"pipeline": pipeline(PCA(2))},
        {"pipeline": estimator()},
        {"pipeline": estimator(alpha=0.1)},
    ]
    made = jobs(model, candidates)
    of_first_fold = [job.numbers for job in made if job.split == 0]
    assert of_first_fold == [[0, 1], [2], [3], [4, 5]]
    assert all(job.groups for job in made)
