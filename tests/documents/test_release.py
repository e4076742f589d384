"""A version has one number and one date, wherever a reader finds them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import tfsoftmax

ROOT = Path(__file__).parents[2]


def found(pattern, name):
    return re.search(pattern, (ROOT / name).read_text("utf-8"), re.M).groups()


def test_the_documents_name_this_version_and_its_date():
    version, date = found(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", "CHANGELOG.md")
    assert version == tfsoftmax.__version__
    assert found(r"^version: (.+)$", "CITATION.cff") == (version,)
    assert found(r"^date-released: (.+)$", "CITATION.cff") == (date,)
    assert found(r"^This is version ([\d.]+\d)", "docs/features.md") == (version,)


def test_the_licence_is_that_of_the_code_and_of_the_digits():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license"] == "BSD-3-Clause AND CC-BY-SA-3.0"
    first, second = [(ROOT / f).read_text("utf-8") for f in project["license-files"]]
    assert first.startswith("BSD 3-Clause License")
    assert re.search(r"Attribution-Share ?Alike 3\.0", second)


def test_without_an_address_no_text_sends_a_reader_to_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if "urls" in project:
        pytest.skip("The project has an address.")
    texts = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*")]
    texts += [*ROOT.glob("tfsoftmax/**/*.py"), ROOT / "CITATION.cff"]
    address = r"pip install '?tfsoftmax|//\S*tfsoftmax\b"
    found = {path.name: re.search(address, path.read_text("utf-8")) for path in texts}
    assert {name: match[0] for name, match in found.items() if match} == {}
