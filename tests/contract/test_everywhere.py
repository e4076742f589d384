"""The classifier inside whatever of scikit-learn takes a classifier.

`EVERYWHERE` names each and has a function that puts the classifier inside it. What
comes out is compared with the same composition done by hand, or with what comes out
with LogisticRegression inside, at the same optimum.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable
from tempfile import TemporaryDirectory

import joblib
import numpy as np
import pytest
import sklearn
from scipy import sparse
from scipy.special import softmax
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SequentialFeatureSelector,
)
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    permutation_importance,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    ConfusionMatrixDisplay,
    RocCurveDisplay,
    get_scorer,
    log_loss,
    make_scorer,
    precision_score,
)
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    ParameterSampler,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import (
    OneVsOneClassifier,
    OneVsRestClassifier,
    OutputCodeClassifier,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.fixes import parse_version

from tests import problems
from tests.problems import classic

IRIS = load_iris(as_frame=True)
CODES = IRIS.target.to_numpy()
SPECIES = IRIS.target_names[CODES]
FRAME = IRIS.data.rename(columns=lambda name: name.removesuffix(" (cm)"))
X = StandardScaler().fit_transform(FRAME.to_numpy())
# Two classes that overlap, in an order that has both in any half.
TWO = np.arange(50, 150).reshape(2, 50).T.ravel()
X2, SPECIES2 = X[TWO], SPECIES[TWO]
WEIGHTS = np.random.default_rng(0).uniform(0.1, 3, len(X))
FOLDS = StratifiedKFold(3)
IN_FOLD = 100  # rows to train on in each of them, of all 150

same = np.testing.assert_array_equal


def close(actual, expected, atol=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def brief(**parameters):
    """A few epochs of descent, the same to the bit whenever they are repeated."""
    return problems.estimator(**{"batch_size": 32, "epochs": 5} | parameters)


def optimal(n_samples, C=1.0):
    """The classifier that is at the optimum of logistic(C) on so many rows."""
    return classic(optimizer="lbfgs", epochs=1000, tol=1e-8, alpha=1 / (C * n_samples))


def logistic(C=1.0):
    return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10)


# Pipelines


def in_a_pipeline():
    """It is fitted to, and predicts, the transformed rows."""
    pipe = make_pipeline(StandardScaler(), PCA(2), brief()).fit(FRAME, SPECIES)
    rows = PCA(2).fit_transform(X)
    alone = brief().fit(rows, SPECIES)
    same(pipe.classes_, IRIS.target_names)
    close(pipe[-1].coef_, alone.coef_, 1e-10)
    close(pipe.predict_log_proba(FRAME), alone.predict_log_proba(rows), 1e-10)
    close(pipe.decision_function(FRAME), alone.decision_function(rows), 1e-10)
    assert pipe.score(FRAME, SPECIES) == alone.score(rows, SPECIES)


def behind_a_column_transformer():
    """Scaled and one-hot columns, sparse, lead to LogisticRegression's coefficients."""
    width = np.where(FRAME["sepal width"] > 3, "wide", "narrow")
    table = FRAME.assign(width=width)
    columns = make_column_transformer(
        (StandardScaler(), ["petal length"]),
        (OneHotEncoder(), ["width"]),
        sparse_threshold=1,
    )
    pipe = make_pipeline(columns, optimal(len(X))).fit(table, SPECIES)
    rows = np.column_stack([X[:, 2], width == "narrow", width == "wide"])
    theirs = logistic().fit(rows, SPECIES)
    close(pipe[-1].coef_, theirs.coef_)
    shuffled = table[table.columns[::-1]]
    close(pipe.predict_proba(shuffled), theirs.predict_proba(rows))


def behind_a_feature_union():
    """It is fitted to the columns of both transformers, stacked."""
    union = make_union(StandardScaler(), PCA(2))
    pipe = make_pipeline(union, brief()).fit(FRAME, SPECIES)
    rows = np.hstack([X, PCA(2).fit_transform(FRAME)])
    alone = brief().fit(rows, SPECIES)
    close(pipe[-1].coef_, alone.coef_, 1e-10)
    close(pipe.predict_proba(FRAME), alone.predict_proba(rows), 1e-10)


# Searches


def in_a_grid_search():
    """Scores and choice are those of LogisticRegression over C."""
    strengths = np.array([0.1, 1, 10, 100])
    search, theirs = (
        GridSearchCV(estimator, grid, cv=FOLDS, scoring="neg_log_loss").fit(X, SPECIES)
        for estimator, grid in (
            (optimal(IN_FOLD), {"alpha": 1 / (strengths * IN_FOLD)}),
            (logistic(), {"C": strengths}),
        )
    )
    for fold in range(3):
        key = f"split{fold}_test_score"
        close(search.cv_results_[key], theirs.cv_results_[key])
    assert search.best_index_ == theirs.best_index_
    # The refit has more rows, so that the same alpha is another C.
    refit = logistic(1 / (search.best_params_["alpha"] * len(X))).fit(X, SPECIES)
    close(search.best_estimator_.coef_, refit.coef_, 1e-4)
    close(search.predict_proba(X), refit.predict_proba(X))


def in_a_randomized_search():
    """Scores are those of cross-validating each drawn candidate."""
    drawn_from = {"learning_rate": loguniform(1e-3, 1), "batch_size": [10, 32, 150]}
    search = RandomizedSearchCV(
        brief(), drawn_from, n_iter=5, cv=FOLDS, scoring="neg_log_loss", random_state=0
    ).fit(X, SPECIES)
    candidates = list(ParameterSampler(drawn_from, 5, random_state=0))
    scores = [mean_score(brief(**candidate)) for candidate in candidates]
    assert search.cv_results_["params"] == candidates
    close(search.cv_results_["mean_test_score"], scores, 1e-12)
    best = brief(**candidates[np.argmax(scores)]).fit(X, SPECIES)
    same(search.best_estimator_.coef_, best.coef_)


def in_a_halving_search():
    """Epochs are the resource: fewer and fewer candidates train longer."""
    rates = [0.001, 0.1, 0.01, 1.0]
    search = HalvingGridSearchCV(
        brief(),
        {"learning_rate": rates},
        resource="epochs",
        min_resources=2,
        max_resources=8,
        factor=2,
        cv=3,
        scoring="neg_log_loss",
    ).fit(X, SPECIES)
    expected = []
    for epochs in (2, 4, 8):
        scores = [mean_score(brief(learning_rate=r, epochs=epochs)) for r in rates]
        expected += scores
        best = np.argsort(scores)[-(len(rates) // 2) :]
        rates = [rates[i] for i in best]
    close(search.cv_results_["mean_test_score"], expected, 1e-12)
    assert search.cv_results_["param_epochs"].tolist() == [2] * 4 + [4] * 2 + [8]
    assert search.best_estimator_.n_iter_ == 8
    alone = brief(learning_rate=rates[0], epochs=8).fit(X, SPECIES)
    same(search.best_estimator_.coef_, alone.coef_)


def mean_score(clf, rows=X):
    return cross_val_score(clf, rows, SPECIES, cv=FOLDS, scoring="neg_log_loss").mean()


# Cross-validation


def by_fold():
    """Fit brief() in each fold; yield it with the fold's rows."""
    for train, test in FOLDS.split(X, SPECIES):
        yield brief().fit(X[train], SPECIES[train]), train, test


def in_cross_validate():
    """Scores and estimators are those of fitting each fold by hand."""
    results = cross_validate(
        brief(),
        X,
        SPECIES,
        cv=FOLDS,
        scoring=["neg_log_loss", "accuracy"],
        return_train_score=True,
        return_estimator=True,
    )
    for fold, (clf, train, test) in enumerate(by_fold()):
        same(results["estimator"][fold].coef_, clf.coef_)
        for name, rows in (("train", train), ("test", test)):
            loss = log_loss(SPECIES[rows], clf.predict_proba(X[rows]))
            accuracy = (clf.predict(X[rows]) == SPECIES[rows]).mean()
            close(results[f"{name}_neg_log_loss"][fold], -loss, 1e-12)
            close(results[f"{name}_accuracy"][fold], accuracy, 1e-12)


def in_cross_val_predict():
    """Each row is predicted by the classifier that has not seen it."""
    methods = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    for method in methods:
        whole = cross_val_predict(brief(), X, SPECIES, cv=FOLDS, method=method)
        for clf, _, test in by_fold():
            same(whole[test], getattr(clf, method)(X[test]))


def in_a_learning_curve():
    """Scores are those of fits to more rows, anew or resumed."""
    sizes = [30, 60, 100]
    options = {
        "train_sizes": sizes,
        "cv": FOLDS,
        "scoring": "neg_log_loss",
        "shuffle": True,
        "random_state": 0,
    }
    _, _, anew = learning_curve(brief(), X, SPECIES, **options)
    _, _, resumed = learning_curve(
        brief(), X, SPECIES, exploit_incremental_learning=True, **options
    )
    order = np.random.RandomState(0)
    for fold, (train, test) in enumerate(FOLDS.split(X, SPECIES)):
        train = order.permutation(train)
        stream = brief()
        for row, (start, stop) in enumerate(itertools.pairwise([0, *sizes])):
            fitted = brief().fit(X[train[:stop]], SPECIES[train[:stop]])
            new = train[start:stop]
            stream.partial_fit(X[new], SPECIES[new], classes=IRIS.target_names)
            for scores, clf in ((anew, fitted), (resumed, stream)):
                loss = log_loss(SPECIES[test], clf.predict_proba(X[test]))
                close(scores[row, fold], -loss, 1e-12)


def in_a_validation_curve():
    """Scores over alpha are LogisticRegression's over C."""
    strengths = np.array([0.1, 1, 10])
    options = {"cv": FOLDS, "scoring": "neg_log_loss"}
    curves, theirs = (
        validation_curve(
            estimator, X, SPECIES, param_name=name, param_range=values, **options
        )
        for estimator, name, values in (
            (optimal(IN_FOLD), "alpha", 1 / (strengths * IN_FOLD)),
            (logistic(), "C", strengths),
        )
    )
    close(curves, theirs)


def in_a_permutation_test():
    """Scores of true and of shuffled labels are LogisticRegression's."""
    (score, shuffled, p), (score2, shuffled2, p2) = (
        permutation_test_score(
            estimator,
            X,
            SPECIES,
            cv=FOLDS,
            n_permutations=4,
            scoring="neg_log_loss",
            random_state=0,
        )
        for estimator in (optimal(IN_FOLD), logistic())
    )
    close(score, score2)
    close(shuffled, shuffled2)
    assert p == p2 == 0.2  # no shuffle is as good: 1 of 4 + 1


# Probabilities and thresholds


def calibrated(method, **options):
    """Calibrate both; compare their probabilities, and that they have changed."""
    ours, theirs = (
        CalibratedClassifierCV(estimator, method=method, cv=FOLDS, **options).fit(
            X, SPECIES
        )
        for estimator in (optimal(IN_FOLD), logistic())
    )
    p = ours.predict_proba(X)
    close(p, theirs.predict_proba(X))
    same(ours.classes_, IRIS.target_names)
    assert abs(p - logistic().fit(X, SPECIES).predict_proba(X)).max() > 0.03


def calibrated_by_sigmoid():
    """Its calibrated probabilities are LogisticRegression's."""
    calibrated("sigmoid")


def calibrated_by_isotonic():
    """Its calibrated probabilities, step functions, are LogisticRegression's."""
    calibrated("isotonic")


def calibrated_by_temperature():
    """Its logits, divided by a temperature, are LogisticRegression's."""
    if parse_version(sklearn.__version__) < parse_version("1.8"):
        pytest.skip("scikit-learn has this from 1.8 on")
    calibrated("temperature")


def with_a_tuned_threshold():
    """The threshold and its score are those of LogisticRegression."""
    precision = make_scorer(precision_score, pos_label="virginica", zero_division=0)
    for method in ("predict_proba", "decision_function"):
        ours, theirs = (
            TunedThresholdClassifierCV(
                estimator, scoring=precision, response_method=method, cv=2
            ).fit(X2, SPECIES2)
            for estimator in (optimal(len(X2)), logistic(C=2))
        )
        close(ours.best_threshold_, theirs.best_threshold_, 1e-4)
        close(ours.best_score_, theirs.best_score_)


def with_a_fixed_threshold():
    """A class is predicted from the chosen probability on."""
    long = brief(epochs=30)
    p = clone(long).fit(X2, SPECIES2).predict_proba(X2)[:, 0]
    for threshold in np.linspace(0.2, 0.8, 13):
        clf = FixedThresholdClassifier(
            long,
            threshold=threshold,
            pos_label="versicolor",
            response_method="predict_proba",
        ).fit(X2, SPECIES2)
        expected = np.where(p >= threshold, "versicolor", "virginica")
        same(clf.predict(X2), expected)


def frozen():
    """Neither fitting nor cloning changes it, and calibration builds on it."""
    half = np.arange(0, len(X), 2)
    probabilities = []
    for estimator in (optimal(len(half)), logistic()):
        estimator.fit(X[half], SPECIES[half])
        before = estimator.coef_.copy()
        ice = clone(FrozenEstimator(estimator)).fit(X[1::2], SPECIES[1::2])
        same(ice.coef_, before)
        around = CalibratedClassifierCV(ice).fit(X[1::2], SPECIES[1::2])
        same(estimator.coef_, before)
        probabilities.append(around.predict_proba(X))
    close(*probabilities)


# Ensembles


def in_bagging():
    """Members, in threads, are fits to the rows and columns drawn."""
    bag = BaggingClassifier(
        optimal(len(X)), 4, max_features=3, n_jobs=2, random_state=0
    )
    with joblib.parallel_config("threading"):
        bag.fit(X, SPECIES)
    members = zip(bag.estimators_samples_, bag.estimators_features_, strict=True)
    p = [
        logistic().fit(X[rows][:, columns], SPECIES[rows]).predict_proba(X[:, columns])
        for rows, columns in members
    ]
    close(bag.predict_proba(X), np.mean(p, axis=0))
    assert abs(p[0] - p[1]).max() > 0.1


def boosted():
    """Weights of members, rows and features are LogisticRegression's."""
    C = 10.0  # of rows whose weights add up to 1, as boosting has them
    ours, theirs = (
        AdaBoostClassifier(estimator, n_estimators=4).fit(X, SPECIES)
        for estimator in (optimal(1, C), logistic(C))
    )
    assert len(ours.estimators_) == 4
    close(ours.estimator_errors_, theirs.estimator_errors_)
    close(ours.estimator_weights_, theirs.estimator_weights_)
    for member, expected in zip(ours.estimators_, theirs.estimators_, strict=True):
        close(member.coef_, expected.coef_, 1e-4)
    close(ours.predict_proba(X), theirs.predict_proba(X))


def voting():
    """Probabilities are the weighted mean of the members'."""
    members = [brief(), logistic(), GaussianNB()]
    named = [(f"member{i}", member) for i, member in enumerate(members)]
    vote = VotingClassifier(named, voting="soft", weights=[2, 1, 1]).fit(X, SPECIES)
    p = [clone(member).fit(X, SPECIES).predict_proba(X) for member in members]
    close(vote.predict_proba(X), (2 * p[0] + p[1] + p[2]) / 4, 1e-12)
    same(vote.predict(X), IRIS.target_names[(2 * p[0] + p[1] + p[2]).argmax(axis=1)])


def stacked():
    """On top, it is fitted to the members' out-of-fold probabilities."""
    members = [brief(), GaussianNB()]
    named = [(f"member{i}", member) for i, member in enumerate(members)]
    stack = StackingClassifier(named, brief(), cv=FOLDS, passthrough=True)
    stack.fit(X, SPECIES)
    unseen = [
        cross_val_predict(member, X, SPECIES, cv=FOLDS, method="predict_proba")
        for member in members
    ]
    fitted = [clone(member).fit(X, SPECIES).predict_proba(X) for member in members]
    top = brief().fit(np.hstack([*unseen, X]), SPECIES)
    close(stack.final_estimator_.coef_, top.coef_, 1e-10)
    close(stack.predict_proba(X), top.predict_proba(np.hstack([*fitted, X])), 1e-10)


# From two classes to many, and to many outputs


def one_vs_rest():
    """It is one fit for each class, by fit or by partial_fit."""
    by_hand = [brief().fit(X, label == SPECIES) for label in IRIS.target_names]
    p = np.transpose([clf.predict_proba(X)[:, 1] for clf in by_hand])
    logits = np.transpose([clf.decision_function(X) for clf in by_hand])
    rest, stream = OneVsRestClassifier(brief()), OneVsRestClassifier(brief())
    rest.fit(X, SPECIES)
    for _ in range(5):
        stream.partial_fit(X, SPECIES, classes=IRIS.target_names)
    for clf in (rest, stream):
        same(clf.decision_function(X), logits)
        close(clf.predict_proba(X), p / p.sum(axis=1, keepdims=True), 1e-12)
        same(clf.predict(X), IRIS.target_names[logits.argmax(axis=1)])


def one_vs_one():
    """Votes and confidences are LogisticRegression's; partial_fit is fit."""
    ours, theirs = (
        OneVsOneClassifier(estimator).fit(X, SPECIES)
        for estimator in (optimal(100), logistic())
    )
    close(ours.decision_function(X), theirs.decision_function(X))
    same(ours.predict(X), theirs.predict(X))
    whole, stream = OneVsOneClassifier(brief()), OneVsOneClassifier(brief())
    whole.fit(X, CODES)
    for _ in range(5):  # of numbers: scikit-learn fails with strings here
        stream.partial_fit(X, CODES, classes=[0, 1, 2])
    same(stream.decision_function(X), whole.decision_function(X))


def output_code():
    """Each bit of the code is a fit; the nearest is predicted."""
    clf = OutputCodeClassifier(brief(), code_size=2, random_state=10).fit(X, SPECIES)
    codes = clf.code_book_
    bits = [brief().fit(X, column[CODES]).decision_function(X) for column in codes.T]
    distances = ((np.transpose(bits)[:, None] - codes) ** 2).sum(axis=2)
    same(clf.predict(X), IRIS.target_names[distances.argmin(axis=1)])
    for member, expected in zip(clf.estimators_, bits, strict=True):
        same(member.decision_function(X), expected)


# Three yes-or-no questions on each flower, of which the first answers others.
ANSWERS = np.column_stack(
    [SPECIES == "virginica", FRAME["petal width"] > 1.5, FRAME["sepal length"] > 6]
).astype(int)


def in_a_chain():
    """Each link is fitted to true, and predicts from predicted, labels before it."""
    chain = ClassifierChain(brief(), order=[2, 0, 1]).fit(X, ANSWERS)
    true, predicted, p = X, X, np.empty(ANSWERS.shape)
    for label in (2, 0, 1):
        clf = brief().fit(true, ANSWERS[:, label])
        p[:, label] = clf.predict_proba(predicted)[:, 1]
        true = np.column_stack([true, ANSWERS[:, label]])
        predicted = np.column_stack([predicted, clf.predict(predicted)])
    close(chain.predict_proba(X), p, 1e-10)
    same(chain.predict(X), p > 0.5)


def with_many_outputs():
    """It is one fit for each output, by fit or by partial_fit."""
    Y = np.column_stack([SPECIES, np.where(ANSWERS[:, 2], "long", "short")])
    whole, stream = MultiOutputClassifier(brief()), MultiOutputClassifier(brief())
    whole.fit(X, Y, sample_weight=WEIGHTS)
    classes = [np.unique(column) for column in Y.T]
    for _ in range(5):
        stream.partial_fit(X, Y, classes=classes, sample_weight=WEIGHTS)
    for output, column in enumerate(Y.T):
        alone = brief().fit(X, column, sample_weight=WEIGHTS)
        for clf in (whole, stream):
            same(clf.predict_proba(X)[output], alone.predict_proba(X))
            same(clf.predict(X)[:, output], alone.predict(X))


def self_training():
    """What it is sure of becomes a label, round by round."""
    labelled = np.where(np.random.default_rng(0).random(len(X)) < 0.2, CODES, -1)
    clf = SelfTrainingClassifier(brief(epochs=20), threshold=0.85).fit(X, labelled)
    labels, rounds = labelled.copy(), 0
    while (labels == -1).any():
        rounds += 1
        known = labels != -1
        alone = brief(epochs=20).fit(X[known], labels[known])
        p = alone.predict_proba(X)
        sure = ~known & (p.max(axis=1) > 0.85)
        labels[sure] = p[sure].argmax(axis=1)
        if not sure.any():
            break
    assert clf.n_iter_ == rounds > 2
    same(clf.transduction_, labels)
    same(clf.estimator_.coef_, alone.coef_)


# Selecting features


def recursively_eliminated():
    """The feature with the smallest weights goes first, sparse rows or not."""
    left, ranking = [0, 1, 2, 3], np.ones(4, int)
    for rank in (4, 3, 2):
        weights = brief().fit(X[:, left], SPECIES).coef_
        weakest = left[(weights**2).sum(axis=0).argmin()]
        left.remove(weakest)
        ranking[weakest] = rank
    for rows in (X, sparse.csr_array(X)):
        rfe = RFE(brief(), n_features_to_select=1).fit(rows, SPECIES)
        same(rfe.ranking_, ranking)
        alone = brief().fit(X[:, left], SPECIES)
        close(rfe.estimator_.coef_, alone.coef_, 1e-10)
        close(rfe.predict_proba(rows), alone.predict_proba(X[:, left]), 1e-10)


def recursively_eliminated_by_folds():
    """Scores and ranks of the features are those of LogisticRegression."""
    rows = np.column_stack([X[:, 1:], np.random.default_rng(0).normal(size=len(X))])
    ours, theirs = (
        RFECV(estimator, cv=FOLDS, scoring="neg_log_loss").fit(rows, SPECIES)
        for estimator in (optimal(IN_FOLD), logistic())
    )
    for fold in range(3):
        key = f"split{fold}_test_score"
        close(ours.cv_results_[key], theirs.cv_results_[key])
    same(ours.ranking_, theirs.ranking_)
    assert 1 < ours.n_features_ < 4


def selected_from():
    """Features whose weights exceed the mean stay, for a fit to them."""
    weights = brief().fit(X, SPECIES).coef_
    importance = abs(weights).sum(axis=0)
    kept = importance >= importance.mean()
    assert 0 < kept.sum() < 4
    pipe = make_pipeline(SelectFromModel(brief()), brief()).fit(X, SPECIES)
    same(pipe[0].get_support(), kept)
    close(pipe[-1].coef_, brief().fit(X[:, kept], SPECIES).coef_, 1e-10)
    stream = SelectFromModel(brief())
    for _ in range(5):
        stream.partial_fit(X, SPECIES, classes=IRIS.target_names)
    same(stream.estimator_.coef_, weights)
    same(stream.get_support(), kept)


def sequentially_selected():
    """Columns come and go one by one, as they score by hand."""

    def score(columns):
        return mean_score(brief(), X[:, sorted(columns)])

    everything = frozenset(range(4))
    some, most = frozenset(), everything
    for _ in range(2):
        some = max((some | {column} for column in everything - some), key=score)
        most = max((most - {column} for column in most), key=score)
    for direction, chosen in (("forward", some), ("backward", most)):
        options = {"cv": FOLDS, "scoring": "neg_log_loss", "direction": direction}
        selector = SequentialFeatureSelector(brief(), n_features_to_select=2, **options)
        same(selector.fit(X, SPECIES).get_support(indices=True), sorted(chosen))


# Inspection


def with_permuted_features():
    """The features' importances are those for LogisticRegression."""
    ours, theirs = (
        permutation_importance(
            estimator.fit(X, SPECIES),
            X,
            SPECIES,
            scoring="neg_log_loss",
            n_repeats=3,
            random_state=0,
        )
        for estimator in (optimal(len(X)), logistic())
    )
    close(ours.importances, theirs.importances)
    assert ours.importances_mean.max() > 0.1


@contextlib.contextmanager
def drawn():
    """Skip where there is nothing to draw with; draw the figure, and close it."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    try:
        figure, ax = plt.subplots()
        yield ax
        figure.draw_without_rendering()
    finally:
        plt.close("all")


def partial_dependence():
    """The curve is the mean probability with the feature held fixed."""
    clf = brief().fit(FRAME, SPECIES)
    with drawn() as ax:
        display = PartialDependenceDisplay.from_estimator(
            clf,
            FRAME,
            ["petal length"],
            target="virginica",
            grid_resolution=5,
            ax=ax,
        )
        (curve,) = display.lines_.ravel()
        for x, y in zip(*curve.get_data(), strict=True):
            table = FRAME.assign(**{"petal length": x}).to_numpy()
            p = softmax(table @ clf.coef_.T + clf.intercept_, axis=1)
            close(y, p[:, 2].mean(), 1e-10)
        assert np.ptp(curve.get_ydata()) > 0.1


def decision_boundary():
    """The surface is the probability, the regions the class, at each point."""
    rows = X[:, 2:]
    clf = brief().fit(rows, SPECIES)
    with drawn() as ax:
        options = {"grid_resolution": 8, "ax": ax}
        surface, regions = (
            DecisionBoundaryDisplay.from_estimator(
                clf, rows, response_method=method, class_of_interest=label, **options
            )
            for method, label in (("predict_proba", "virginica"), ("predict", None))
        )
    points = np.column_stack([surface.xx0.ravel(), surface.xx1.ravel()])
    p = clf.predict_proba(points)
    close(surface.response.ravel(), p[:, 2], 1e-12)
    same(regions.response.ravel(), p.argmax(axis=1))
    assert len(np.unique(regions.response)) == 3


def confusion_matrix():
    """Flowers of one species that are taken for another are counted."""
    clf = brief().fit(FRAME, SPECIES)
    with drawn() as ax:
        display = ConfusionMatrixDisplay.from_estimator(clf, FRAME, SPECIES, ax=ax)
        assert [text.get_text() for text in ax.get_xticklabels()] == [
            *IRIS.target_names
        ]
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (CODES, clf.predict_proba(FRAME).argmax(axis=1)), 1)
    same(display.confusion_matrix, counts)
    assert 0 < np.trace(counts) < len(X)


def roc_curve():
    """The area is the share of pairs in the right order."""
    clf = brief().fit(X2, SPECIES2)
    with drawn() as ax:
        display = RocCurveDisplay.from_estimator(clf, X2, SPECIES2, ax=ax)
    p = clf.predict_proba(X2)[:, 1]
    positive = SPECIES2 == "virginica"
    right = p[positive][:, None] > p[~positive]
    assert right.mean() < 1
    close(display.roc_auc, right.mean(), 1e-12)
    close(np.trapezoid(display.tpr, display.fpr), right.mean(), 1e-12)


# scikit-learn's machinery


def with_weights_routed():
    """Through search and pipeline, weights reach scaler, classifier and scorer."""
    rates = [0.01, 0.1]
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        pipe = make_pipeline(scaler, brief().set_fit_request(sample_weight=True))
        scorer = get_scorer("neg_log_loss").set_score_request(sample_weight=True)
        grid = {"tfsoftmaxclassifier__learning_rate": rates}
        search = GridSearchCV(pipe, grid, cv=FOLDS, scoring=scorer)
        search.fit(FRAME, SPECIES, sample_weight=WEIGHTS)
    for fold, (train, test) in enumerate(FOLDS.split(X, SPECIES)):
        s = WEIGHTS[train]
        scaler = StandardScaler().fit(FRAME.iloc[train], sample_weight=s)
        rows = scaler.transform(FRAME)
        for candidate, rate in enumerate(rates):
            alone = brief(learning_rate=rate)
            alone.fit(rows[train], SPECIES[train], sample_weight=s)
            log_p = alone.predict_log_proba(rows[test])
            of_class = log_p[np.arange(len(test)), CODES[test]]
            expected = np.average(of_class, weights=WEIGHTS[test])
            actual = search.cv_results_[f"split{fold}_test_score"][candidate]
            close(actual, expected, 1e-10)


def with_held_out_rows_routed():
    """Through search and pipeline, held-out rows arrive, transformed."""
    train, held_out = np.arange(0, 150, 2), np.arange(1, 150, 6)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = brief(early_stopping=True, epochs=8)
        steps = [("scale", StandardScaler()), ("clf", clf)]
        clf.set_fit_request(X_val=True, y_val=True)
        search = GridSearchCV(
            Pipeline(steps, transform_input=["X_val"]), {"clf__alpha": [0.01]}, cv=3
        ).fit(
            FRAME.iloc[train],
            SPECIES[train],
            X_val=FRAME.iloc[held_out],
            y_val=SPECIES[held_out],
        )
    scaler = StandardScaler().fit(FRAME.iloc[train])
    rows, rows_val = map(scaler.transform, (FRAME.iloc[train], FRAME.iloc[held_out]))
    alone = brief(early_stopping=True, epochs=8, alpha=0.01)
    alone.fit(rows, SPECIES[train], X_val=rows_val, y_val=SPECIES[held_out])
    best = search.best_estimator_[-1]
    same(best.coef_, alone.coef_)
    same(best.history_["val_loss"], alone.history_["val_loss"])
    loss = log_loss(
        SPECIES[held_out],
        brief(epochs=1, alpha=0.01).fit(rows, SPECIES[train]).predict_proba(rows_val),
    )
    close(best.history_["val_loss"].iloc[0], loss, 1e-10)


def with_frames_between_steps():
    """Frames change no weights, and their columns' names reach it."""
    steps = [StandardScaler(), SelectFromModel(brief()), brief()]
    arrays = make_pipeline(*steps).fit(FRAME, SPECIES)
    for frames in ("pandas", "polars"):
        pytest.importorskip(frames)
        pipe = clone(arrays).set_output(transform=frames).fit(FRAME, SPECIES)
        close(pipe[-1].coef_, arrays[-1].coef_, 1e-12)
        close(pipe.predict_proba(FRAME), arrays.predict_proba(FRAME), 1e-12)
        # Which frames have names for an estimator depends on scikit-learn's version.
        theirs = logistic().fit(pipe[:-1].transform(FRAME), SPECIES)
        if frames == "pandas" or hasattr(theirs, "feature_names_in_"):
            same(pipe[-1].feature_names_in_, ["petal length", "petal width"])
            same(theirs.feature_names_in_, pipe[-1].feature_names_in_)


def cloned():
    """A clone has the parameters, no fit, and fits the same."""
    clf = brief(random_state=np.random.RandomState(3), class_weight={"setosa": 2.0})
    # Each clone gets a copy of the generator, in the state that it is in.
    first, second = clone(clf), clone(clf)
    first.fit(X, SPECIES)
    again = clone(second.fit(X, SPECIES))
    same(first.coef_, second.coef_)
    assert not [name for name in vars(again) if name.endswith("_")]
    assert clone(clf).get_params()["class_weight"] == {"setosa": 2.0}
    changed = second.get_params() | {"random_state": None}
    assert again.set_params(random_state=None).get_params() == changed


def with_nested_parameters_set():
    """Parameters set from outside are those it is fitted with."""
    outer = make_pipeline(StandardScaler(), OneVsRestClassifier(brief()))
    name = "onevsrestclassifier__estimator"
    outer.set_params(**{f"{name}__epochs": 3, f"{name}__learning_rate": 0.5})
    outer.fit(FRAME, SPECIES)
    assert [clf.n_iter_ for clf in outer[-1].estimators_] == [3, 3, 3]
    built = OneVsRestClassifier(brief(epochs=3, learning_rate=0.5)).fit(X, SPECIES)
    close(outer.decision_function(FRAME), built.decision_function(X), 1e-10)
    outer.set_params(**{name: brief(alpha=0.1)}).fit(FRAME, SPECIES)
    built = OneVsRestClassifier(brief(alpha=0.1)).fit(X, SPECIES)
    close(outer.decision_function(FRAME), built.decision_function(X), 1e-10)


def with_memory():
    """A cached step is trained once for each setting, and then recalled."""

    def fit_and_count(pipe):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            pipe.fit(X, SPECIES)
        return printed.getvalue().count("Epoch")

    with TemporaryDirectory() as directory:
        memory = joblib.Memory(directory, verbose=0)
        select = SelectFromModel(brief(verbose=1))
        pipe = make_pipeline(select, brief(), memory=memory)
        assert [fit_and_count(clone(pipe)) for _ in range(3)] == [5, 0, 0]
        pipe.set_params(selectfrommodel__estimator__epochs=7)
        assert [fit_and_count(pipe) for _ in range(2)] == [7, 0]
        recalled = pipe[0].estimator_
        alone = brief(epochs=7).fit(X, SPECIES)
        same(recalled.coef_, alone.coef_)
        same(recalled.predict_proba(X), alone.predict_proba(X))


EVERYWHERE: dict[str, Callable[[], None]] = {
    "Pipeline": in_a_pipeline,
    "ColumnTransformer": behind_a_column_transformer,
    "FeatureUnion": behind_a_feature_union,
    "GridSearchCV": in_a_grid_search,
    "RandomizedSearchCV": in_a_randomized_search,
    "HalvingGridSearchCV": in_a_halving_search,
    "cross_validate": in_cross_validate,
    "cross_val_predict": in_cross_val_predict,
    "learning_curve": in_a_learning_curve,
    "validation_curve": in_a_validation_curve,
    "permutation_test_score": in_a_permutation_test,
    "CalibratedClassifierCV (sigmoid)": calibrated_by_sigmoid,
    "CalibratedClassifierCV (isotonic)": calibrated_by_isotonic,
    "CalibratedClassifierCV (temperature)": calibrated_by_temperature,
    "TunedThresholdClassifierCV": with_a_tuned_threshold,
    "FixedThresholdClassifier": with_a_fixed_threshold,
    "FrozenEstimator": frozen,
    "BaggingClassifier": in_bagging,
    "AdaBoostClassifier": boosted,
    "VotingClassifier (soft)": voting,
    "StackingClassifier": stacked,
    "OneVsRestClassifier": one_vs_rest,
    "OneVsOneClassifier": one_vs_one,
    "OutputCodeClassifier": output_code,
    "ClassifierChain": in_a_chain,
    "MultiOutputClassifier": with_many_outputs,
    "SelfTrainingClassifier": self_training,
    "RFE": recursively_eliminated,
    "RFECV": recursively_eliminated_by_folds,
    "SelectFromModel": selected_from,
    "SequentialFeatureSelector": sequentially_selected,
    "permutation_importance": with_permuted_features,
    "PartialDependenceDisplay": partial_dependence,
    "DecisionBoundaryDisplay": decision_boundary,
    "ConfusionMatrixDisplay.from_estimator": confusion_matrix,
    "RocCurveDisplay.from_estimator": roc_curve,
    "metadata routing (sample_weight)": with_weights_routed,
    "metadata routing (X_val, y_val)": with_held_out_rows_routed,
    "set_output": with_frames_between_steps,
    "clone": cloned,
    "set_params": with_nested_parameters_set,
    "joblib.Memory": with_memory,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERYWHERE)
def test_the_classifier_works_inside(name):
    EVERYWHERE[name]()
