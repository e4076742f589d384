"""What follows from a program's spec."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tfsoftmax.engine.spec import ProgramSpec

SPEC = ProgramSpec(
    n_models=4,
    n_classes=3,
    n_features=5,
    fit_intercept=True,
    micro_batch_size=10,
    n_micro_batches=2,
    accumulates=False,
    soft_labels=False,
    is_sparse=False,
    centred=False,
    per_model_weights=False,
    storage="uint8",
    precision="float32",
    optimizer="sgd",
    l1=False,
)


@pytest.mark.parametrize(
    ("n_classes", "fit_intercept", "shape"),
    [(2, True, (4, 1, 6)), (3, True, (4, 3, 6)), (3, False, (4, 3, 5))],
)
def test_two_classes_share_a_row_of_weights_and_the_intercept_is_a_column(
    n_classes, fit_intercept, shape
):
    spec = replace(SPEC, n_classes=n_classes, fit_intercept=fit_intercept)
    assert spec.weights == (spec.n_models, spec.n_rows, spec.n_columns) == shape


def test_a_row_of_x_has_one_weight_or_one_for_each_model():
    assert SPEC.n_weight_rows == 1
    assert replace(SPEC, per_model_weights=True).n_weight_rows == 4


def test_steps_are_lazy_where_they_change_no_more_than_the_values_columns():
    lazy = replace(SPEC, is_sparse=True)
    assert lazy.lazy
    for name, value in {
        "is_sparse": False,
        "optimizer": "momentum",
        "l1": True,
        "accumulates": True,
    }.items():
        assert not replace(lazy, **{name: value}).lazy
    assert not replace(lazy, optimizer=None).lazy
