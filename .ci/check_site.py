"""Check a built site: no link into it is broken, and the estimators' own links arrive.

usage: check_site.py SITE_FOLDER
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import tfsoftmax
from tfsoftmax.utils.sklearn_compat import PAGE


class Links(HTMLParser):
    """Collects what a page links to, and the anchors it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag's id, and its link."""
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.anchors.add(value)
            elif value and name in ("href", "src"):
                self.targets.append(value)


def broken(root: Path) -> list[str]:
    """List the links, of pages below a folder, that lead nowhere."""
    files = [path for path in root.rglob("*.html") if "_static" not in path.parts]
    pages = {path: Links(path.read_text("utf-8")) for path in files}
    found = []
    for path, page in pages.items():
        for target in page.targets:
            url = urlparse(target)
            if url.scheme or url.netloc or target == "#":
                continue
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            anchor = unquote(url.fragment)
            missing_anchor = (
                anchor and file in pages and anchor not in pages[file].anchors
            )
            if not file.exists() or missing_anchor:
                found.append(f"{path.relative_to(root)}: {target}")
    return sorted(set(found))


def unlinked(root: Path) -> list[str]:
    """List the estimators whose HTML view links to a page that isn't there."""
    found = []
    for name in tfsoftmax.__all__:
        estimator = getattr(tfsoftmax, name)
        if isinstance(estimator, type):
            page = PAGE.format(estimator_name=name)
            if not (root / page).is_file():
                found.append(f"{name}: {page}")
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    problems = broken(folder) + unlinked(folder)
    n_pages = len(list(folder.rglob("*.html")))
    if problems or not n_pages:
        sys.exit("\n".join([f"{n_pages} pages, these links lead nowhere:", *problems]))
    print(f"{n_pages} pages, no broken link.")
