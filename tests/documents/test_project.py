"""What a newcomer runs and reads first: commands, examples, who imports what."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfsoftmax.data.dataset import Dataset
from tfsoftmax.engine.spec import ProgramSpec
from tfsoftmax.model_selection.jobs import EvaluationJob
from tfsoftmax.solvers.result import Problem, Result
from tfsoftmax.solvers.settings import Settings

ROOT = Path(__file__).parents[2]


def read(path):
    return path.read_text(encoding="utf-8")


README = read(ROOT / "README.md")


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


def test_the_chart_of_the_benchmarks_shows_rows_of_their_page():
    figures = load(ROOT / "docs" / "make_figures.py")
    page = read(ROOT / "docs" / "benchmarks.md")
    for title, rows in figures.COMPARED.items():
        assert rows.keys() <= figures.seconds_of(page, title).keys()


EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.S | re.M)


@pytest.mark.parametrize("code", EXAMPLES, ids=["digits", "table", "text", "Dask"])
def test_an_example_of_the_readme_prints_what_its_comments_say(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed == re.findall(r"^# (.*)", code, re.M)


@pytest.mark.slow
def test_the_example_ends_with_the_accuracy():
    result = example("--epochs", "1")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert any(
        re.fullmatch(r"  epoch   1: cross-entropy [01]\.\d{3}", line) for line in lines
    )
    assert re.fullmatch(r"Test accuracy of .* default: 0\.92\d", lines[-2])
    assert lines[-1] == "Test accuracy: 0.856"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--epochs", "0"],
            "mnist.py: epochs must be a positive integer or 'auto'; got 0.",
        ),
        (["--data-dir", "nowhere"], "mnist.py: Found neither train-images-idx3"),
    ],
)
def test_the_example_says_what_is_wrong_with_an_option(arguments, message):
    result = example(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(message)


def module_of(path):
    """The dotted name of a module of this project, by its file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def modules_of_the_package():
    return {
        module_of(path).removesuffix(".__init__"): path
        for path in sorted((ROOT / "tfsoftmax").rglob("*.py"))
    }


WITH_EXAMPLES = [
    name for name, path in modules_of_the_package().items() if ">>> " in read(path)
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_docstrings_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, raise_on_error=True).attempted > 0


def test_what_is_public_has_examples():
    public = {"classifier", "model_selection.search", "datasets._mnist", "export"}
    assert {f"tfsoftmax.{name}" for name in public} <= set(WITH_EXAMPLES)


def test_records_are_immutable():
    records = {
        value
        for module in map(importlib.import_module, modules_of_the_package())
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value)
    }
    assert {Settings, Result, Problem, Dataset, ProgramSpec, EvaluationJob} <= records
    assert all(record.__dataclass_params__.frozen for record in records)


# Who imports what


class Imports(ast.NodeVisitor):
    """Collects the full names that a module imports, at run time and anywhere in it."""

    def __init__(self, path):
        self._package = module_of(path).split(".")[:-1]
        self.names = set()
        self.visit(ast.parse(read(path)))

    def visit_If(self, node):
        if getattr(node.test, "id", "") != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node):
        self.names |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node):
        above = self._package[: len(self._package) + 1 - node.level]
        origin = [*(above if node.level else []), *filter(None, [node.module])]
        self.names |= {".".join([*origin, alias.name]) for alias in node.names}

    def visit_Call(self, node):
        function = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if function in ("import_module", "__import__") and node.args:
            self.names.add(ast.unparse(node.args[0]).strip("'"))
        self.generic_visit(node)


def importers(matches, folder="tfsoftmax"):
    """The files of a folder that import a name for which `matches` is true."""
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob("*.py")
        if any(map(matches, Imports(path).names))
    }


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("def f():\n    from a import b as c", {"a.b"}),
        ("importlib.import_module('a.b')", {"a.b"}),
        ("__import__('a')", {"a"}),
        ("from . import a", {"tests.unit.a"}),
        ("from ..x import a", {"tests.x.a"}),
        ("if TYPE_CHECKING:\n    import a", set()),
        ("if SUPPORTED:\n    import a", {"a"}),
    ],
)
def test_imports_are_found_however_they_are_written(code, names, monkeypatch):
    monkeypatch.setitem(globals(), "read", lambda path: code)
    assert Imports(ROOT / "tests" / "unit" / "module.py").names == names


def test_tensorflow_is_imported_in_the_engine_only():
    files = importers(lambda name: name.split(".")[0] == "tensorflow")
    assert files
    assert {file.split("/")[0] for file in files} == {"engine"}


def test_keras_is_imported_in_one_file_only():
    files = importers(lambda name: name.split(".")[0] == "keras")
    assert files == {"engine/runtime.py"}


def test_private_names_of_scikit_learn_are_imported_in_one_file_only():
    files = importers(lambda name: name.startswith("sklearn.") and "._" in name)
    assert files == {"utils/sklearn_compat.py"}


def test_skl2onnx_is_imported_in_one_file_only():
    files = importers(lambda name: name.split(".")[0] == "skl2onnx")
    assert files == {"utils/skl2onnx_compat.py"}


def test_no_test_module_imports_another():
    names = set().union(
        *(Imports(path).names for path in (ROOT / "tests").rglob("*.py"))
    )
    of_tests = {name for name in names if name.startswith("tests.")}
    assert of_tests
    assert [name for name in of_tests if ".test_" in name] == []
