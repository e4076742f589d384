"""Small problems and estimators that the tests share."""

from __future__ import annotations

import numpy as np
import pytest

from tfsoftmax import TFSoftmaxClassifier, fitting
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.spec import ProgramSpec
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.result import Problem


def problem(n_samples=203, n_features=5, n_classes=3, seed=0, dtype=np.float64):
    """X, labels and weights: labels drawn by a softmax of random weights.

    Bytes are the features times 40, around 128.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    scores = X @ rng.normal(size=(n_features, n_classes))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    if dtype == np.uint8:
        X = np.clip(40 * X + 128, 0, 255)
    return X.astype(dtype), y, rng.uniform(0.1, 3.0, n_samples)


# The classic recipe: plain descent without a penalty, on the features as they are.
CLASSIC = {
    "batch_size": 100,
    "learning_rate": 0.01,
    "epochs": 10,
    "optimizer": "sgd",
    "learning_rate_schedule": "constant",
    "alpha": 0.0,
    "rescale": None,
}


def classic(*positional, **parameters):
    """A classifier by the classic recipe, but for what is passed."""
    first = dict(zip(CLASSIC, positional, strict=False))
    return TFSoftmaxClassifier(**CLASSIC | first | parameters)


def estimator(**parameters):
    """A classifier that is trained in no time, several batches an epoch."""
    quick = {"batch_size": 50, "learning_rate": 0.1, "epochs": 3, "random_state": 0}
    return TFSoftmaxClassifier(**CLASSIC | quick | parameters)


def settings_of(clf):
    """The settings of a classifier without "auto"."""
    rescale = clf.rescale or 1.0
    if not isinstance(rescale, str):
        factors = np.asarray(rescale, dtype=np.float64)
        rescale = float(factors) if factors.ndim == 0 else tuple(factors.tolist())
    return fitting.settings_of(clf, rescale, rows=None)


def program_spec(**given):
    """What a program is compiled for: plain descent in float64, hard labels."""
    usual = {
        "accumulates": False,
        "soft_labels": False,
        "is_sparse": False,
        "per_model_weights": False,
        "storage": "float64",
        "precision": "float64",
        "optimizer": "sgd",
        "l1": False,
    }
    return ProgramSpec(**usual | given)


def solver_problem(parameters, X, y, weights=None, *, held_out=None, seed=0):
    """What a solver gets, to train an estimator for each set of parameters.

    Weights have a mean of 1; held-out rows are X and labels.
    """
    dataset = Dataset(X, y.astype(np.int32), weights)
    settings = tuple(settings_of(estimator(**each)) for each in parameters)
    return Problem(
        dataset=dataset,
        held_out=held_out and Dataset(held_out[0], held_out[1].astype(np.int32)),
        classes=np.unique(y),
        settings=settings,
        scaling=Scaling.of(settings[0].rescale, dataset),
        rng=np.random.RandomState(seed),
        previous=None,
        n_epochs=None,
        attributes={},
    )


class StopAfter:
    """A solver's callback that asks to stop after this epoch, or never."""

    def __init__(self, epoch=None):
        self._epoch = epoch

    def on_epoch_begin(self):
        pass

    def on_epoch_end(self, epoch, metrics, result):
        return epoch == self._epoch


def mostly_slow(first, *others):
    """List cases, of which the plain suite runs the first few; each a tuple."""
    return [*first, *(pytest.param(*case, marks=pytest.mark.slow) for case in others)]


# What holds for plain descent and for Adam is seldom wrong for the two in between.
_QUICK = ("sgd", "adam")
EACH_OPTIMIZER = mostly_slow(
    _QUICK,
    *(
        (name,)
        for name, solver in SOLVERS.items()
        if solver.by_epochs and name not in _QUICK
    ),
)
