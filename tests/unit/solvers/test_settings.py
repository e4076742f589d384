"""Settings that must stay the same where training resumes."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from tests.problems import estimator, settings_of
from tfsoftmax.solvers.settings import Settings

BEFORE = settings_of(estimator())
NOW = settings_of(
    estimator(
        batch_size=7,
        learning_rate=0.3,
        epochs=9,
        optimizer="adam",
        momentum=0.1,
        learning_rate_schedule="cosine",
        power_t=0.2,
        alpha=0.1,
        l1_ratio=0.1,
        fit_intercept=False,
        rescale=0.5,
        shuffle=False,
        early_stopping=True,
        scoring="accuracy",
        tol=0.1,
        n_iter_no_change=3,
    )
)
KEPT = ("optimizer", "fit_intercept", "rescale")


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_weights_resume_unless_what_they_depend_on_changes(name):
    value = getattr(NOW, name)
    assert value != getattr(BEFORE, name)
    changed = replace(BEFORE, **{name: value})
    if name not in KEPT:
        changed.check_resumes(BEFORE)
        return
    changes = f"it was {getattr(BEFORE, name)!r} and is now {value!r}"
    with pytest.raises(ValueError, match=f"{name} can't change .* {changes}"):
        changed.check_resumes(BEFORE)
