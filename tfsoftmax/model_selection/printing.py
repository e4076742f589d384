"""The progress lines of a search, in the format of scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from joblib.logger import short_format_time

from tfsoftmax.model_selection.jobs import EvaluationJob

WIDTH = 80


def print_starts(job: EvaluationJob) -> None:
    """Print the start of the candidates' fits, for ``verbose=10`` or more."""
    if job.verbose > 9:
        for i in range(len(job.candidates)):
            line = f"{_head(job, i)} START {_parameters(job.candidates[i])}"
            print(line.ljust(WIDTH, "."))


def print_ends(
    job: EvaluationJob, evaluations: Iterable[tuple[int, Mapping[str, Any]]]
) -> None:
    """Print times and, for ``verbose=3`` or more, scores of some candidates."""
    if job.verbose <= 1:
        return
    for i, evaluation in evaluations:
        parameters = _parameters(job.candidates[i])
        scores = _scores(evaluation) if job.verbose > 2 else ""
        seconds = evaluation["fit_time"] + evaluation["score_time"]
        result = f"{parameters}{';' * bool(parameters)}{scores}"
        result += f" total time={short_format_time(seconds)}"
        head = f"{_head(job, i)} END "
        print(head + result.rjust(WIDTH - len(head), "."))


def _head(job: EvaluationJob, i: int) -> str:
    fold = f" {job.split + 1}/{job.n_splits}" if job.verbose > 2 else ""
    number = f"; {job.numbers[i] + 1}/{job.n_candidates}" if job.verbose > 9 else ""
    return f"[CV{fold}{number}]"


def _parameters(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={params[name]}" for name in sorted(params))


def _scores(evaluation: Mapping[str, Any]) -> str:
    test, train = evaluation["test_scores"], evaluation.get("train_scores")
    if isinstance(test, dict):
        values = {name: _pair(test[name], train and train[name]) for name in test}
        return "".join(f" {name}: ({values[name]})" for name in sorted(test))
    if train is None:
        return f", score={test:.3f}"
    return f", score=({_pair(test, train)})"


def _pair(test: float, train: float | None) -> str:
    return ("" if train is None else f"train={train:.3f}, ") + f"test={test:.3f}"
