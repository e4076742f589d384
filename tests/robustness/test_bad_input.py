"""Is bad data refused, or right all the same, by fit, partial_fit, predict… and score?

Thousands of bad calls: each gives a right result, or an error that names why.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import log_softmax
from sklearn.exceptions import NotFittedError

from tests import reference
from tests.generated import N_CALLS, run
from tests.robustness.odd_values import (
    BAD,
    CLASSES,
    EITHER,
    GOOD,
    KNOWN_LABELS,
    LABELS,
    ODD_ROWS,
    ODD_WEIGHTS,
    OTHER_LABELS,
    PLAIN,
    PROBLEMS,
    ROWS,
    SAME_LABELS,
    UNEXPECTED,
    UNSEEN_LABELS,
    WEIGHTS,
    WIDTHS,
    Call,
    Odd,
    Problem,
    always,
    arrays,
    calls,
    estimator,
    fitted,
    from_tables,
    judge_weights,
    quietly,
    relabelled,
    sprinkled,
    table,
)
from tests.robustness.oracle import (
    assert_same_model,
    assert_sound,
    outcome,
    plain_labels,
    plain_rows,
    plain_weights,
    tolerance,
)
from tfsoftmax import TFSoftmaxClassifier

# Training


RECIPES: list[dict[str, Any]] = [
    {"shuffle": False},
    {"shuffle": False},
    {"class_weight": "balanced"},
    {"rescale": 0.5, "fit_intercept": False},
    {"early_stopping": True},
    {"optimizer": "lbfgs", "alpha": 0.01},
    {"warm_start": True},
]


class Scene(NamedTuple):
    """A call, and what it is made on."""

    call: Call
    number: int
    problem: Problem
    former: bool
    recipe: dict[str, Any]

    @property
    def goes_on(self) -> bool:
        return self.former and "warm_start" in self.recipe


ONE_ROW = [odd for odd in ROWS if odd.verdict == GOOD]
ONE_LABEL = [
    odd
    for odd in LABELS
    if odd.verdict == GOOD and odd.name in SAME_LABELS and "one-hot" not in odd.name
]


@st.composite
def calls_of_one_row(draw: Any, problem: Problem) -> Call:
    """Pass one row and its label, each odd in its way."""
    number = draw(st.integers(0, 11))
    one = slice(number, number + 1)
    good = {"X": problem.X[one], "y": problem.y[one]}
    odd = {"X": st.sampled_from(ONE_ROW), "y": st.sampled_from(ONE_LABEL)}
    call = draw(calls(good, odd))
    weights = draw(st.sampled_from([None, problem.weights[one]]))
    return call._replace(arguments=call.arguments | {"sample_weight": weights})


def rarely(draw: Any) -> bool:
    return bool(draw(st.integers(0, 19)) == 19)


@st.composite
def fits(draw: Any) -> Scene:
    number, former = draw(st.integers(0, 1)), draw(st.booleans())
    recipe, problem = draw(st.sampled_from(RECIPES)), PROBLEMS[number]
    goes_on = former and "warm_start" in recipe
    if rarely(draw):
        call = draw(calls_of_one_row(problem))
        verdicts = call.verdicts | {"y": BAD}  # for there is only one class
        return Scene(call._replace(verdicts=verdicts), number, problem, former, recipe)
    good = {"X": problem.X, "y": problem.y, "sample_weight": problem.weights}
    odd = {
        "X": from_tables(*ODD_ROWS, *[WIDTHS] * goes_on),
        "y": from_tables(LABELS_TO_GO_ON_WITH if goes_on else LABELS),
        "sample_weight": from_tables(*ODD_WEIGHTS),
    }
    if "early_stopping" not in recipe and draw(st.booleans()):
        good |= {f"{name}_val": value.copy() for name, value in good.items()}
        odd |= {
            "X_val": from_tables(*HELD_OUT_ROWS, WIDTHS),
            "y_val": from_tables(KNOWN_LABELS, UNSEEN_LABELS),
            "sample_weight_val": from_tables(*ODD_WEIGHTS),
            "epochs": from_tables(UNEXPECTED),
        }
    call = draw(calls(good, odd))
    verdicts = dict(call.verdicts)
    others = call.names.get("y") not in (None, *SAME_LABELS)
    if others and "X_val" in good and verdicts.get("y_val", GOOD) == GOOD:
        verdicts["y_val"] = EITHER  # whose labels are no longer the same
    if "early_stopping" in recipe:
        verdicts["early_stopping"] = EITHER  # which needs different rows of a class
    if EITHER in (verdicts.get("X"), verdicts.get("X_val")):
        verdicts["learning_rate"] = EITHER
    return Scene(call._replace(verdicts=verdicts), number, problem, former, recipe)


# A model that is trained in float32 measures held-out rows in float32, too.
HELD_OUT_ROWS = [
    relabelled(one, EITHER, "too large for float32") if isinstance(one, list) else one
    for one in ODD_ROWS
]

# A warm start takes the classes that it knows, where truth stands for 0 and 1.
LABELS_TO_GO_ON_WITH = [
    odd._replace(verdict=EITHER if "truth" in odd.name else BAD)
    if odd.name in OTHER_LABELS
    else odd
    for odd in LABELS
]


def model_of(scene: Scene) -> TFSoftmaxClassifier:
    clf = fitted(scene.number) if scene.former else estimator()
    return clf.set_params(**scene.recipe)


def check_fit(scene: Scene) -> None:
    clf, given = model_of(scene), scene.call.arguments
    if outcome(clf.fit, scene.call, owner=clf) is None:
        if scene.former:
            expected = fitted(scene.number).predict(scene.problem.X)
            np.testing.assert_array_equal(clf.predict(scene.problem.X), expected)
        return
    X, (classes, y) = plain_rows(given["X"]), plain_labels(given["y"])
    s = plain_weights(given["sample_weight"])
    assert_sound(clf, classes, X.shape[1])
    plain = model_of(scene) if scene.goes_on else estimator(**scene.recipe)
    quietly(plain.fit, X, y, s)
    assert_same_model(clf, plain, tolerance(given["X"], given["y"], X))
    predicted = quietly(clf.predict, given["X"])
    assert set(predicted.tolist()) <= set(clf.classes_.tolist())
    p = quietly(clf.predict_proba, X)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    if "shuffle" in scene.recipe and abs(X).max() < 20:
        assert_is_gradient_descent(clf, X, y, s)
    if scene.call.verdicts.get("y_val", GOOD) == GOOD and "X_val" in given:
        assert_held_out_loss(clf, given)


def assert_is_gradient_descent(clf: Any, X: Any, y: Any, s: Any) -> None:
    W, b, _ = reference.fit(
        X,
        y,
        len(clf.classes_),
        [np.arange(len(X))] * 2,
        batch_size=5,
        learning_rate=0.02,
        sample_weight=s,
    )
    close = {"rtol": 1e-4, "atol": 1e-5} if X.dtype == "f4" else {"rtol": 1e-9}
    np.testing.assert_allclose(clf.coef_, W, **{"atol": 1e-12} | close)
    np.testing.assert_allclose(clf.intercept_, b, **{"atol": 1e-12} | close)


def assert_held_out_loss(clf: Any, given: dict[str, Any]) -> None:
    X, (_, y) = plain_rows(given["X_val"]), plain_labels(given["y_val"])
    if abs(X).max() > 1e3 or len(np.unique(y)) < len(clf.classes_):
        return
    s = plain_weights(given["sample_weight_val"])
    W, b = clf.coef_.astype("f8"), clf.intercept_.astype("f8")
    log_p = log_softmax(reference.logits(X.astype("f8"), W, b, len(clf.classes_)), 1)
    losses = -log_p[np.arange(len(y)), y]
    rtol = 1e-9 if clf.coef_.dtype == X.dtype == "f8" else 1e-4
    expected = np.average(losses, weights=s)
    np.testing.assert_allclose(clf.history_.val_loss[clf.n_iter_], expected, rtol=rtol)


@N_CALLS
def test_fit(n_calls):
    run(fits(), check_fit, n_calls)


# Labels in columns without names, which stand for classes that are sorted.
NAMELESS_COLUMNS = (
    *("one-hot rows", "one-hot integers", "a list of one-hot rows"),
    "nearly one-hot rows",
)


@st.composite
def partial_fits(draw: Any) -> Scene:
    number, former = draw(st.integers(0, 1)), draw(st.booleans())
    problem = PROBLEMS[number]
    good = {
        "X": problem.X,
        "y": problem.y,
        "classes": np.arange(problem.y.max() + 1),
        "sample_weight": problem.weights,
    }
    odd = {
        "X": from_tables(*ODD_ROWS, *[WIDTHS] * former),
        "y": from_tables(KNOWN_LABELS, UNSEEN_LABELS),
        "classes": from_tables(
            CLASSES, [Odd("None", PLAIN if former else EITHER, always(None))]
        ),
        "sample_weight": from_tables(*ODD_WEIGHTS),
        "epochs": from_tables(UNEXPECTED),
    }
    if rarely(draw):
        call = draw(calls_of_one_row(problem))
        call.arguments["classes"] = good["classes"]
        return Scene(call, number, problem, former, {})
    call = draw(calls(good, odd))
    verdicts = dict(call.verdicts)
    are_unsorted = call.names.get("classes") in ("backward", "repeated")
    if are_unsorted and call.names.get("y") in NAMELESS_COLUMNS:
        verdicts["classes"] = BAD
    if verdicts.get("X") == EITHER:
        verdicts["learning_rate"] = EITHER
    return Scene(call._replace(verdicts=verdicts), number, problem, former, {})


def check_partial_fit(scene: Scene) -> None:
    clf, plain, given = model_of(scene), model_of(scene), scene.call.arguments
    if outcome(clf.partial_fit, scene.call, owner=clf) is None:
        return
    n_classes = int(scene.problem.y.max()) + 1
    X, s = plain_rows(given["X"]), plain_weights(given["sample_weight"])
    if {EITHER} & {scene.call.verdicts.get(name) for name in ("y", "classes")}:
        assert_sound(clf, clf.classes_, X.shape[1])
        return
    assert_sound(clf, np.arange(n_classes), X.shape[1])
    labels, codes = plain_labels(given["y"])
    quietly(plain.partial_fit, X, labels[codes], np.arange(n_classes), s)
    assert_same_model(clf, plain, tolerance(given["X"], given["y"], X))


@N_CALLS
def test_partial_fit(n_calls):
    run(partial_fits(), check_partial_fit, n_calls)


def test_ten_thousand_classes():
    X = np.random.default_rng(0).normal(size=(10_000, 2))
    y = np.arange(10_000) * 7
    clf = quietly(estimator(batch_size=5_000, epochs=1).fit, X, y)
    assert_sound(clf, y, 2)
    streamed = quietly(estimator(batch_size=5_000).partial_fit, X, y, y)
    assert_same_model(streamed, clf)
    call = Call({"X": X, "y": y, "classes": y[:-1]}, {"y": BAD}, {"y": "one unseen"})
    clf = estimator()
    assert outcome(clf.partial_fit, call, owner=clf) is None


# Prediction

PREDICTED_ROWS = [
    *relabelled(ROWS, GOOD, "rows too few", "rows too many"),
    *table(
        good={
            "one row": lambda X: X[:1],
            "a sparse row": lambda X: sparse.csr_array(X[:1]),
        }
    ),
    *WIDTHS,
]
STATES = ["f8", "f8", "f4", None]


@st.composite
def predictions(draw: Any) -> tuple[int, str | None, Call]:
    number, state = draw(st.integers(0, 1)), draw(st.sampled_from(STATES))
    rows = from_tables(PREDICTED_ROWS, *ODD_ROWS[1:])
    odd = {"X": rows} | ({"epochs": from_tables(UNEXPECTED)} if rarely(draw) else {})
    call = draw(calls({"X": PROBLEMS[number].X}, odd))
    if state is None:
        call = call._replace(verdicts=call.verdicts | {"fit": BAD})
    return number, state, call


def assert_predicts(method: str, clf: Any, X: Any, result: Any) -> None:
    """Compare with the logits in long doubles, as far as rounding may take them."""
    X, W, b = (np.asarray(a, np.longdouble) for a in (X, clf.coef_, clf.intercept_))
    assert len(result) == len(X)
    if method == "predict":
        assert set(result.tolist()) <= set(clf.classes_.tolist())
    else:
        assert np.isfinite(result).all()
    logits = X @ W.T + b
    eps = np.finfo(
        np.result_type(result.dtype if method != "predict" else "f4", "f4")
    ).eps
    eps = np.finfo(clf.coef_.dtype).eps if method == "predict" else eps
    room = 50 * eps * (abs(X) @ abs(W).T + abs(b)) + np.finfo("f4").tiny
    if method == "decision_function":
        of_each = logits if logits.shape[1] > 1 else logits[:, 0]
        np.testing.assert_array_less(abs(result - of_each), room.reshape(result.shape))
        return
    if logits.shape[1] == 1:
        logits = np.c_[np.zeros_like(logits), logits]
    room = room.max(axis=1, keepdims=True)
    if method == "predict":
        highest = logits.max(axis=1)
        own = logits[np.arange(len(X)), np.searchsorted(clf.classes_, result)]
        assert (highest - own <= 2 * room[:, 0]).all()
        return
    assert result.shape == logits.shape
    p = result if method == "predict_proba" else np.exp(result)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    error = abs(p - np.exp(log_p))
    assert (error <= 4 * np.minimum(room, 1) + 50 * eps).all()


@N_CALLS
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function"]
)
def test_predicting(method, n_calls):
    def check(drawn: tuple[int, str | None, Call]) -> None:
        number, state, call = drawn
        clf = fitted(number, state) if state else estimator()
        errors = () if state else (NotFittedError,)
        read = getattr(clf, method)
        result = outcome(read, call, owner=clf, reads_only=True, also_allowed=errors)
        if result is not None:
            assert_predicts(method, clf, plain_rows(call.arguments["X"]), result)

    run(predictions(), check, n_calls)


@st.composite
def scorings(draw: Any) -> tuple[int, Call]:
    number = draw(st.integers(0, 1))
    X, y, weights = PROBLEMS[number]
    unknown = ("negative labels", "a label that is not among the classes")
    unseen = relabelled(UNSEEN_LABELS, EITHER, *unknown, "labels beyond int32")
    # An older scikit-learn calls words for numbers wrong, and doesn't refuse them.
    others = ("words", "words as objects", "categories")
    known = relabelled(KNOWN_LABELS, EITHER, *others)
    made_up = sprinkled(judge_weights) | arrays(judge_weights)
    odd = {
        "X": from_tables(*ODD_ROWS, WIDTHS),
        "y": from_tables(known, unseen),
        "sample_weight": from_tables(WEIGHTS, made_up),
    }
    return number, draw(calls({"X": X, "y": y, "sample_weight": weights}, odd))


def check_score(drawn: tuple[int, Call]) -> None:
    number, call = drawn
    clf, given = fitted(number), call.arguments
    result = outcome(clf.score, call, owner=clf, reads_only=True)
    if result is None:
        return
    labels, codes = plain_labels(given["y"])
    predicted = clf.predict(plain_rows(given["X"]))
    hits = [own == label for own, label in zip(predicted, labels[codes], strict=True)]
    s = plain_weights(given["sample_weight"])
    if s is None or (s >= 0).all():
        assert result == pytest.approx(np.average(hits, weights=s), rel=1e-9)


@N_CALLS
def test_score(n_calls):
    run(scorings(), check_score, n_calls)
