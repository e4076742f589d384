"""Training in instalments: warm_start and partial_fit are one long fit, to the bit."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.assertions import assert_same_bits, assert_same_model
from tests.interruptions import interrupt_in_epoch
from tests.problems import (
    EACH_OPTIMIZER,
    estimator,
    mostly_slow,
    problem,
    settings_of,
)
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.solvers.schedules import SCHEDULES, Progress

BY_EPOCHS = [name for name, solver in SOLVERS.items() if solver.by_epochs]
RATES = dict.fromkeys(BY_EPOCHS, 0.1) | {"adam": 0.02}


def has_a_length(schedule):
    """Whether the rates depend on `epochs`, so that a warm start begins anew."""
    rates = [
        schedule.rate(settings_of(estimator(epochs=n)), Progress(epochs=3))
        for n in (5, 50)
    ]
    return rates[0] != rates[1]


RESUMED = [name for name, kind in SCHEDULES.items() if not has_a_length(kind)]
X, Y, S = problem()


def classifier(optimizer="sgd", **parameters):
    """A classifier of ten epochs, with a learning rate that suits the optimizer."""
    defaults = {"learning_rate": RATES.get(optimizer, 0.1), "epochs": 10}
    return estimator(**defaults | parameters | {"optimizer": optimizer})


@pytest.mark.filterwarnings("ignore:Training has not converged")
@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ten_partial_fits_are_one_fit_of_ten_epochs(optimizer, schedule):
    parameters = {"learning_rate_schedule": schedule}
    if schedule == "adaptive":  # so that it cuts its rate on the way
        parameters |= {"tol": 0.05, "n_iter_no_change": 1}
    once = classifier(optimizer, **parameters).fit(X, Y)
    streamed = classifier(optimizer, **parameters)
    for _ in range(10):
        streamed.partial_fit(X, Y, classes=[0, 1, 2])
    assert_same_bits(streamed, once)
    assert (once.n_iter_, streamed.n_iter_) == (10, 1)
    n_rates = once.history_.learning_rate.nunique()
    if schedule == "adaptive":
        assert 1 < n_rates < 10
    else:
        assert n_rates == (1 if schedule == "constant" else 10)


@pytest.mark.parametrize(
    ("n_features", "dtype"),
    mostly_slow([(1, np.uint8)], (1, np.float64), (7, np.uint8), (7, np.float64)),
)
def test_partial_fits_are_one_fit_for_all_kinds_of_rows(n_features, dtype):
    X, y, s = problem(333, n_features, dtype=dtype)
    once = classifier(rescale=0.01).fit(X, y, s)
    streamed = classifier(rescale=0.01)
    for _ in range(10):
        streamed.partial_fit(X, y, classes=[2, 0, 1], sample_weight=s)
    assert_same_bits(streamed, once)


VARIATIONS = {
    "alpha": {"alpha": 0.1},
    "l1_ratio": {"alpha": 0.01, "l1_ratio": 1.0},
    "elastic net": {"alpha": 0.01, "l1_ratio": 0.5},
    "class_weight": {"class_weight": {0: 0.3, 2: 4.0}},
    "sample_weight": {},
    "rows as they stand": {"shuffle": False},
    "generator": {"random_state": None},
}


@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
@pytest.mark.parametrize("variation", VARIATIONS)
def test_penalties_and_weights_resume_too(optimizer, variation):
    def vary():
        clf = classifier(optimizer, **VARIATIONS[variation])
        if variation == "generator":
            clf.set_params(random_state=np.random.RandomState(3))
        return clf

    s = S if variation == "sample_weight" else None
    once = vary().fit(X, Y, s)
    streamed = vary()
    for _ in range(10):
        streamed.partial_fit(X, Y, classes=[0, 1, 2], sample_weight=s)
    assert_same_bits(streamed, once)
    resumed = vary().set_params(epochs=4, warm_start=True).fit(X, Y, s)
    assert_same_bits(resumed.set_params(epochs=6).fit(X, Y, s), once)


@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
def test_soft_labels_and_sparse_rows_resume_too(optimizer):
    from scipy import sparse

    soft, packed = np.eye(3)[Y] * 0.9 + 0.1 / 3, sparse.csr_array(X)
    once = classifier(optimizer).fit(packed, soft)
    streamed = classifier(optimizer)
    for _ in range(10):
        streamed.partial_fit(packed, soft)
    assert_same_bits(streamed, once)


RESUME = """
import pickle, sys
X, Y, S, begun = pickle.load(open(sys.argv[1], "rb"))
for clf in begun.values():
    if clf.learning_rate_schedule == "cosine":
        for _ in range(6):
            clf.partial_fit(X, Y, sample_weight=S)
    else:
        clf.set_params(epochs=6).fit(X, Y, S)
pickle.dump(begun, open(sys.argv[1], "wb"))
"""


@pytest.mark.slow
def test_a_fit_resumes_to_the_bit_in_another_process(tmp_path):
    begun = {}
    for optimizer in BY_EPOCHS:
        for schedule in RESUMED:
            clf = classifier(optimizer, learning_rate_schedule=schedule)
            clf.set_params(warm_start=True, epochs=4)
            begun[optimizer, schedule] = clf.fit(X, Y, S)
        clf = classifier(optimizer, learning_rate_schedule="cosine", epochs=10)
        for _ in range(4):
            clf.partial_fit(X, Y, classes=[0, 1, 2], sample_weight=S)
        begun[optimizer, "cosine"] = clf
    file = tmp_path / "begun"
    file.write_bytes(pickle.dumps((X, Y, S, begun)))
    subprocess.run([sys.executable, "-c", RESUME, str(file)], check=True)
    ended = pickle.loads(file.read_bytes())
    for (optimizer, schedule), clf in ended.items():
        once = classifier(optimizer, learning_rate_schedule=schedule).fit(X, Y, S)
        assert_same_bits(clf, once)


def test_resuming_an_unpickled_estimator_leaves_the_pickled_one_alone():
    begun = classifier(epochs=4, warm_start=True).fit(X, Y)
    kept = pickle.dumps(begun)
    pickle.loads(kept).fit(X, Y)
    assert pickle.dumps(begun) == kept


def test_a_warm_start_without_a_previous_fit_starts_from_zeros():
    assert_same_bits(classifier(warm_start=True).fit(X, Y), classifier().fit(X, Y))


def test_without_warm_start_a_fit_starts_anew():
    assert_same_bits(classifier().fit(X, Y, S).fit(X, Y), classifier().fit(X, Y))


def test_a_cosine_starts_over_with_each_warm_start():
    clf = classifier(learning_rate_schedule="cosine", epochs=3, warm_start=True)
    rates = clf.fit(X, Y).fit(X, Y).history_.learning_rate.tolist()
    assert rates[:3] == rates[3:]
    assert rates[0] == 0.1
    assert rates[2] < 0.05


def test_a_learning_rate_can_change_when_training_resumes():
    clf = classifier(epochs=2, warm_start=True).fit(X, Y)
    clf.set_params(learning_rate=0.05, batch_size=10, alpha=0.1).fit(X, Y)
    assert clf.history_.learning_rate.tolist() == [0.1, 0.1, 0.05, 0.05]


def test_lbfgs_resumes_from_the_previous_weights():
    clf = classifier("lbfgs", alpha=0.01, epochs=500).fit(X, Y)
    n_iter, coef = clf.n_iter_, clf.coef_
    clf.set_params(warm_start=True).fit(X, Y)
    assert clf.n_iter_ <= 2 < n_iter
    assert len(clf.history_) == n_iter + clf.n_iter_
    np.testing.assert_allclose(clf.coef_, coef, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y % 2), r"they were \[0, 1, 2\] and are now \[0, 1\]"),
        ((X, Y + 1), r"they were \[0, 1, 2\] and are now \[1, 2, 3\]"),
        ((X, np.array(list("abc"))[Y]), r"are now \['a', 'b', 'c'\]"),
        ((X, np.eye(4)[Y]), r"are now \[0, 1, 2, 3\]"),
        ((X[:, :4], Y), "X has 4 features, but .* is expecting 5 features"),
        ((X[:0], Y[:0]), "0 sample"),
        ((X * 1e300, Y), "non-finite in epoch 1"),
    ],
)
def test_a_warm_start_on_other_classes_or_another_width_is_an_error(
    optimizer, arguments, message
):
    clf = classifier(optimizer, warm_start=True, epochs=2).fit(X, Y)
    state = pickle.dumps(clf)
    message = message.replace("epoch 1", "epoch 3")  # the first after two
    with pytest.raises(ValueError, match=message):
        clf.fit(*arguments)
    assert pickle.dumps(clf) == state
    clf.fit(X, Y)
    assert_same_bits(clf, classifier(optimizer, epochs=4).fit(X, Y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adam"}, "optimizer can't change .* it was 'sgd' and is now"),
        ({"optimizer": "momentum"}, "optimizer can't change .* is now 'momentum'"),
        ({"fit_intercept": False}, "fit_intercept can't change .* it was True"),
        ({"rescale": 0.5}, r"rescale can't change .* it was 1\.0 and is now 0\.5"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_the_weights_depend_on_cannot_change_when_training_resumes(
    method, change, message
):
    clf = classifier(warm_start=True, epochs=2).fit(X, Y)
    clf.set_params(**change)
    state = pickle.dumps(clf)
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(X, Y)
    assert pickle.dumps(clf) == state


def test_a_warm_start_cannot_change_over_to_lbfgs():
    clf = classifier(warm_start=True, epochs=2).fit(X, Y)
    with pytest.raises(ValueError, match="it was 'sgd' and is now 'lbfgs'"):
        clf.set_params(optimizer="lbfgs").fit(X, Y)
    assert clf.n_iter_ == 2


@pytest.mark.parametrize("optimizer", EACH_OPTIMIZER)
@pytest.mark.parametrize("schedule", RESUMED)
def test_an_interrupted_fit_resumes_as_if_nothing_had_happened(
    optimizer, schedule, monkeypatch
):
    once = classifier(optimizer, learning_rate_schedule=schedule).fit(X, Y)
    clf = classifier(optimizer, learning_rate_schedule=schedule)
    interrupt_in_epoch(5, monkeypatch)
    with pytest.warns(UserWarning, match=re.escape("interrupted in epoch 5")):
        clf.fit(X, Y)
    assert clf.n_iter_ == 4
    clf.set_params(warm_start=True, epochs=6).fit(X, Y)
    assert_same_bits(clf, once)


def test_a_failed_instalment_does_not_disturb_the_order_of_rows(monkeypatch):
    clf = classifier(epochs=4, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="non-finite"):
        clf.fit(X * 1e300, Y)
    with monkeypatch.context() as patched:
        interrupt_in_epoch(1, patched)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(X, Y)
    assert_same_bits(clf.set_params(epochs=6).fit(X, Y), classifier().fit(X, Y))


def test_partial_fit_refuses_balanced_weights_and_takes_those_of_all_rows():
    labels = np.array(["few", "many", "rare"])[np.minimum(Y, np.arange(len(Y)) % 9)]
    classes = np.unique(labels)
    clf = classifier(class_weight="balanced")
    with pytest.raises(ValueError, match="Pass the weights as a dict") as refusal:
        clf.partial_fit(X, labels, classes=classes)
    assert not hasattr(clf, "coef_")
    names = {"classes": classes, "y": labels}
    exec("from sklearn.utils.class_weight import compute_class_weight", names)
    remedy = re.search(r"dict\(zip\(.*?\)\)\)", str(refusal.value))[0]
    weights = eval(remedy, names)
    streamed = classifier(class_weight=weights)
    for _ in range(10):
        streamed.partial_fit(X, labels, classes=classes)
    assert_same_model(streamed, clf.fit(X, labels), 1e-10)


def test_partial_fit_refuses_early_stopping_and_keeps_the_model():
    clf = classifier(epochs=2, early_stopping=True).fit(X, Y)
    state = pickle.dumps(clf)
    with pytest.raises(ValueError, match="partial_fit trains for only one"):
        clf.partial_fit(X, Y)
    assert pickle.dumps(clf) == state
    clf.set_params(early_stopping=False).partial_fit(X, Y)
    assert len(clf.history_) == 3
