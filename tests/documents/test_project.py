"""What a newcomer runs first: the README's commands and code, the example, doctests."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tfsoftmax.classifier
import tfsoftmax.datasets._idx
import tfsoftmax.datasets._mnist
import tfsoftmax.displays
import tfsoftmax.export
import tfsoftmax.model_selection.search
from tests.problems import mostly_slow
from tfsoftmax.data.dataset import Dataset
from tfsoftmax.datasets import load_mnist
from tfsoftmax.engine.spec import ProgramSpec
from tfsoftmax.model_selection.candidates import EvaluationJob
from tfsoftmax.solvers.result import Problem, Result
from tfsoftmax.solvers.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = tfsoftmax.__path__, "tfsoftmax."
README = (ROOT / "README.md").read_text(encoding="utf-8")


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def example(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "examples" / "mnist.py", *arguments],
        capture_output=True,
        text=True,
    )


def test_ci_finds_the_two_commands_of_the_readme():
    main_job, tests = load(ROOT / ".ci" / "readme_commands.py").commands(README)
    assert main_job.endswith(".venv/bin/python examples/mnist.py")
    assert tests.endswith(".venv/bin/python -m pytest")


def test_the_readmes_code_runs():
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", README, re.S | re.M))
    assert "GridSearchCV" in code
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    accuracy = scope["clf"].score(*load_mnist("test", return_X_y=True))
    assert accuracy == pytest.approx(0.904, abs=0.003)  # its order of rows is random
    assert f"# {scope['search'].best_params_}" in code
    assert f"# {scope['search'].best_score_:.3f}" in code


@pytest.mark.slow
def test_the_example_ends_with_the_accuracy():
    result = example("--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[1] == "  epoch   1: test accuracy 0.856"
    assert lines[-1] == "Test accuracy: 0.856"


@pytest.mark.parametrize(
    ("arguments", "message"),
    mostly_slow(
        [(["--epochs", "0"], "mnist.py: epochs must be a positive integer; got 0.")],
        (["--data-dir", "nowhere"], "mnist.py: There is neither train-images-idx3"),
    ),
)
def test_the_example_says_what_is_wrong_with_an_option(arguments, message):
    result = example(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(message)


def test_records_are_immutable():
    names = [module.name for module in pkgutil.walk_packages(*PACKAGE)]
    records = {
        value
        for module in map(importlib.import_module, names)
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value)
    }
    assert {Settings, Result, Problem, Dataset, ProgramSpec, EvaluationJob} <= records
    assert all(record.__dataclass_params__.frozen for record in records)


def imports():
    """Yield (file, module, name) for each import of the package, wherever it stands."""
    for path in (ROOT / "tfsoftmax").rglob("*.py"):
        file = path.relative_to(ROOT / "tfsoftmax").as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((file, node.module, alias.name) for alias in node.names)


def test_only_the_engine_imports_tensorflow():
    files = {
        file for file, module, _ in imports() if module.split(".")[0] == "tensorflow"
    }
    assert files
    assert all(file.startswith("engine/") for file in files)


def test_private_names_of_scikit_learn_are_imported_in_one_file_only():
    files = {
        file
        for file, module, name in imports()
        if module.split(".")[0] == "sklearn" and "._" in f"{module}.{name}"
    }
    assert files <= {"utils/sklearn_compat.py"}


def test_no_test_module_imports_another():
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^(from|import) tests\.\S*\btest_", text, re.M), path


@pytest.mark.parametrize(
    "module",
    [
        tfsoftmax.classifier,
        tfsoftmax.datasets._idx,
        tfsoftmax.datasets._mnist,
        tfsoftmax.displays._history,
        tfsoftmax.displays._predictions,
        tfsoftmax.displays._search,
        tfsoftmax.displays._weights,
        tfsoftmax.export,
        tfsoftmax.model_selection.search,
    ],
    ids=lambda module: module.__name__,
)
def test_the_docstrings_examples_run(module):
    assert doctest.testmod(module, raise_on_error=True).attempted > 0
