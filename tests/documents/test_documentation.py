"""What is written for readers: the HTML view, the README, the stored notebooks."""

import inspect
import json
import os
import re
import subprocess
import sys
from email.message import Message
from html import unescape
from importlib import metadata
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.utils import estimator_html_repr

from tests.problems import classic
from tfsoftmax import (
    TFSoftmaxGridSearchCV,
    TFSoftmaxRandomizedSearchCV,
)

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
CLF = classic(rescale=1 / 16, epochs=2)
ESTIMATORS = [
    CLF,
    TFSoftmaxGridSearchCV(CLF, {"alpha": [0.0, 0.1]}, cv=2),
    TFSoftmaxRandomizedSearchCV(CLF, {"alpha": [0.0, 0.1]}, n_iter=2, cv=2),
]


views = pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_fitted_attr_html"),
    reason="the HTML view has tooltips and fitted attributes since scikit-learn 1.9",
)


def html_view(estimator):
    return estimator_html_repr(estimator.fit(*load_digits(return_X_y=True)))


def tooltips(html):
    found = re.findall(r'class="param-doc-description"[^>]*>(.*?)</span>', html, re.S)
    texts = [unescape(re.sub(r"<br>|\s+", " ", text)).strip() for text in found]
    return {text.partition(":")[0]: text for text in texts}


def say_where_the_site_is(monkeypatch, *urls):
    message = Message()
    for url in urls:
        message["Project-URL"] = url
    monkeypatch.setattr(metadata, "metadata", lambda name: message)


@pytest.mark.parametrize("address", ["https://a.b/stable", "https://a.b/stable/"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_the_html_view_links_to_the_estimators_page(estimator, address, monkeypatch):
    say_where_the_site_is(
        monkeypatch, "Source, https://c.d", f"Documentation, {address}"
    )
    name = type(estimator).__name__
    link = f"https://a.b/stable/api/generated/tfsoftmax.{name}.html"
    assert f'href="{link}"' in estimator_html_repr(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_without_a_site_the_html_view_has_no_links(estimator, monkeypatch):
    say_where_the_site_is(monkeypatch)
    unfitted, fitted = estimator_html_repr(clone(estimator)), html_view(estimator)
    assert "alpha" in unfitted
    assert "href=" not in unfitted + fitted


def test_a_package_that_is_not_installed_has_no_links(monkeypatch):
    def no_metadata(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "metadata", no_metadata)
    assert CLF._get_doc_link() == ""


@views
@pytest.mark.parametrize("urls", [[], ["Documentation, https://a.b"]])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_each_parameter_and_fitted_attribute_has_a_tooltip_that_reads_well(
    estimator, urls, monkeypatch
):
    say_where_the_site_is(monkeypatch, *urls)
    texts = tooltips(html_view(estimator))
    attributes = {name for name in dir(estimator) if re.fullmatch(r"[a-z]\w*_", name)}
    expected = set(inspect.signature(type(estimator)).parameters) | attributes
    assert expected <= set(texts)
    for text in texts.values():
        assert not re.search(r"\\|:\w+:`|\.\. ", text), text


@views
def test_the_fitted_attributes_table_shows_the_history_as_an_array():
    assert "DataFrame[float64](2, 4)" in html_view(CLF)


def test_the_links_of_the_readme_lead_to_files():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = dict(re.findall(r"^\[(\w+)\]: (\S+)$", readme, re.M))
    used = re.findall(r"\]\[(\w+)\]", readme)
    assert "docs/images/speed.png" in targets.values()
    assert set(used) == set(targets)
    assert [file for file in targets.values() if not (ROOT / file).exists()] == []


def test_the_readme_reads_on_a_package_index():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not re.search(r"\]\(|\{\w+\}`|^:::", readme, re.M)  # links inline, MyST


def test_the_notebooks_are_numbered():
    numbers = [path.name[:2] for path in NOTEBOOKS]
    assert numbers == ["01", "02", "03", "04", "05", "06", "07"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_the_outputs_of_one_run(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in code]
    assert counts == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs
    assert {output["output_type"] for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_names_no_path_of_the_machine_it_was_run_on(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|usr|work|Users)/|site-packages", text)


@pytest.mark.parametrize("folder", ["docs", "examples"])
def test_no_page_or_notebook_watches_the_test_rows_while_training(folder):
    pages = {*(ROOT / folder).rglob("*.md"), *(ROOT / folder).rglob("*.ipynb")}
    assert len(pages) > 5
    watching = re.compile(r"X_val\W{1,4}X_test")
    found = [page.name for page in pages if watching.search(page.read_text("utf-8"))]
    assert found == []


def page_code(path):
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.S | re.M)
    return "\n".join(blocks)


PAGES = [path for path in sorted((ROOT / "docs").rglob("*.md")) if page_code(path)]


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_code_of_a_page_prints_what_its_comments_say(path, tmp_path):
    script = tmp_path / "page.py"
    script.write_text(page_code(path), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    said = set(re.findall(r"^# (.*)", script.read_text("utf-8"), re.M))
    bars = re.compile(r"\s*\w+ - \w+")  # a progress bar's lines
    printed = [line for line in result.stdout.splitlines() if not bars.match(line)]
    assert [line for line in printed if line not in said] == []
