"""Held-out rows in a pipeline: transformed as scikit-learn has it, or a warning."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tests.assertions import assert_same_bits
from tests.problems import estimator
from tfsoftmax import TFSoftmaxGridSearchCV

X, X_VAL, Y, Y_VAL = train_test_split(
    *load_digits(return_X_y=True), train_size=600, test_size=300, random_state=0
)
HELD_OUT = {"X_val": X_VAL, "y_val": Y_VAL}


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def pipeline(**parameters):
    """A pipeline that routes held-out rows, if routing is enabled."""
    clf = estimator(early_stopping=True, epochs=20, n_iter_no_change=2, **parameters)
    requests = {}
    if sklearn.get_config()["enable_metadata_routing"]:
        clf.set_fit_request(X_val=True, y_val=True)
        requests = {"transform_input": ["X_val"]}
    return Pipeline([("scale", StandardScaler()), ("clf", clf)], **requests)


def by_hand():
    """The classifier of the pipeline, on rows that were scaled before."""
    scaler = StandardScaler().fit(X)
    clf = clone(pipeline()[-1])
    held_out = HELD_OUT | {"X_val": scaler.transform(X_VAL)}
    return clf.fit(scaler.transform(X), Y, **held_out)


@pytest.mark.usefixtures("routing")
def test_a_pipeline_with_transform_input_transforms_held_out_rows():
    fitted = pipeline().fit(X, Y, **HELD_OUT)
    expected = by_hand()
    assert_same_bits(fitted[-1], expected)
    kept = expected.history_[expected.history_.kept]
    assert fitted.score(X_VAL, Y_VAL) == pytest.approx(kept.val_accuracy.item())


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("Search", [GridSearchCV, TFSoftmaxGridSearchCV])
def test_a_search_over_such_a_pipeline_does_too(Search):
    search = Search(pipeline(), {"clf__alpha": [0.0, 1.0]}, cv=2).fit(X, Y, **HELD_OUT)
    assert search.best_params_ == {"clf__alpha": 0.0}
    assert_same_bits(search.best_estimator_[-1], by_hand())


def test_rows_passed_to_the_step_are_not_transformed_and_there_is_a_warning():
    message = (
        r"X_val does not seem to be scaled like X: \d\d% .* transform_input=\['X_val'\]"
    )
    with pytest.warns(UserWarning, match=message) as seen:
        fitted = pipeline().fit(X, Y, clf__X_val=X_VAL, clf__y_val=Y_VAL)
    about = [warning for warning in seen if "scaled like" in str(warning.message)]
    assert [warning.filename for warning in about] == [__file__]
    assert fitted[-1].history_.val_loss.min() > 1.2 * by_hand().history_.val_loss.min()


@pytest.mark.parametrize("scale", [1 / 255, 255])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_a_factor_that_one_side_lacks_is_warned_of(make, scale):
    with pytest.warns(UserWarning, match="X_val does not seem to be scaled like X"):
        estimator(rescale=1 / 16, epochs=1).fit(
            make(X), Y, X_val=make(X_VAL * scale), y_val=Y_VAL
        )


def test_held_out_rows_like_the_training_rows_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf = estimator(rescale=1 / 16, epochs=1)
        for rows in (slice(None), slice(1), slice(30)):
            clf.fit(X, Y, X_val=X_VAL[rows], y_val=Y_VAL[rows])
        clf.fit(X.astype(np.uint8), Y, X_val=X_VAL, y_val=Y_VAL)
        clf.fit(sparse.csr_array(X), Y, X_val=X_VAL, y_val=Y_VAL)
