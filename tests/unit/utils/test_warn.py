import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfsoftmax import TFSoftmaxClassifier, TFSoftmaxGridSearchCV

X = np.random.RandomState(0).normal(size=(60, 3))
Y = np.arange(60) % 3
CLF = TFSoftmaxClassifier(tol=1e-9, epochs=2)
GRID = {"alpha": [0.0]}


@pytest.mark.parametrize(
    "estimator",
    [
        CLF,
        make_pipeline(StandardScaler(), CLF),
        GridSearchCV(CLF, GRID, cv=2),
        TFSoftmaxGridSearchCV(CLF, GRID, cv=2),
    ],
    ids=["alone", "pipeline", "search", "fused search"],
)
def test_a_warning_points_to_the_line_that_called_fit(estimator):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, Y)
    told = [warning for warning in caught if warning.category is ConvergenceWarning]
    assert told
    assert {warning.filename for warning in told} == {__file__}
