"""Links to the pages of other projects' classes and functions, made from their names.

intersphinx would fetch each project's inventory, and a build should need no network.
"""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

PAGES = {
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{name}.html",
    "pandas": "https://pandas.pydata.org/docs/reference/api/{name}.html",
    "scipy": "https://docs.scipy.org/doc/scipy/reference/generated/{name}.html",
    "numpy": "https://numpy.org/doc/stable/reference/generated/{name}.html",
}
GLOSSARY = "https://scikit-learn.org/stable/glossary.html#term-{name}"


def link(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element
) -> nodes.reference | None:
    """Link a name that is not ours to the page its project has for it."""
    name = node.get("reftarget", "")
    if node.get("reftype") == "term":  # in what scikit-learn's classes lend to ours
        page = GLOSSARY
    elif re.fullmatch(r"\w+(\.\w+)+", name):
        page = PAGES.get(name.partition(".")[0])
    else:
        page = None
    if page is None:
        return None
    url = page.format(name=name)
    return nodes.reference("", "", content, refuri=url, internal=False)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the resolver."""
    app.connect("missing-reference", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
