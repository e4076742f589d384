"""The documentation: ``python -m sphinx -W docs docs/_build/html``.

The notebooks of ``examples/`` are run by the build. With ``-D nb_execution_mode=off``
it shows their stored outputs, and takes seconds.

Nothing is fetched: formulas are set as MathML, and links to other projects' pages are
made from their names.
"""

import base64
import json
import shutil
import sys
from pathlib import Path

import tfsoftmax
from tfsoftmax import datasets, displays

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))


def methods_by_origin() -> dict[str, dict[str, list[str]]]:
    """Find each public class's methods: its own and those that scikit-learn gives it.

    Only what is documented here belongs on our pages.
    """
    found = {}
    for module in (tfsoftmax, displays, datasets):
        for name in module.__all__:
            public = getattr(module, name)
            if isinstance(public, type):
                found[f"{module.__name__}.{name}"] = {
                    "own": _methods(public, "tfsoftmax"),
                    "inherited": _methods(public, "sklearn"),
                }
    return found


def _methods(public: type, package: str) -> list[str]:
    """Find a class's public methods and properties that a package defines."""
    return sorted(
        name
        for name in dir(public)
        if not name.startswith("_") and _origin(public, name) == package
    )


def _origin(public: type, name: str) -> str:
    """Find the package that a method comes from."""
    if name.startswith("set_") and name.endswith("_request"):
        return "sklearn"  # which makes them for every class
    definer = next(kind for kind in public.__mro__ if name in vars(kind))
    return definer.__module__.partition(".")[0]


def last_picture(notebook: Path) -> bytes:
    """Return the last picture among a notebook's stored outputs, as PNG."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    return base64.b64decode([d["image/png"] for d in data if "image/png" in d][-1])


# The picture at the head of a display's page, and what it shows.
PICTURES = {
    "WeightsDisplay": ("wine.png", "The strongest weights of each class of a table."),
    "HistoryDisplay": ("history.png", "Two trainings by epoch."),
    "PredictionsDisplay": ("predictions.png", "The test digits that are read worst."),
    "SearchDisplay": ("search.png", "Thirty candidates of a random search."),
}

project = "tfsoftmax"
author = "The tfsoftmax developers"
copyright = "The tfsoftmax developers, BSD 3-Clause License"
version = release = tfsoftmax.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "mathml",
    "other_projects",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]

# Sphinx reads what lies below it, so the notebooks are brought here, with a thumbnail.
for notebook in sorted((HERE.parent / "examples").glob("*.ipynb")):
    copy = shutil.copy(notebook, HERE / "examples")
    Path(copy).with_suffix(".png").write_bytes(last_picture(notebook))

default_role = "literal"
smartquotes = False
toc_object_entries_show_parents = "hide"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120  # seconds a cell
nb_merge_streams = True
# TensorFlow's log lines. TF_CPP_MIN_LOG_LEVEL is no alternative: it leaves some of
# them, and the package shows all start-up lines if it is set.
nb_output_stderr = "remove"

autosummary_generate = True
autosummary_context = {"methods_of": methods_by_origin(), "pictures": PICTURES}
autodoc_typehints = "none"  # the docstrings say more
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

copybutton_exclude = ".linenos, .gp, .go"  # prompts and what is printed

html_theme = "pydata_sphinx_theme"
html_title = "tfsoftmax"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
}
# Pages that stand alone: a sidebar of their section would be empty.
ALONE = ["features", "benchmarks", "contributing", "changelog", "genindex", "search"]
html_sidebars = {page: [] for page in [*ALONE, "_modules/**"]}
