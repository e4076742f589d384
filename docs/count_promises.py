"""Count what the tests have checked: the table of the page on what we promise.

    python -m pytest --cov --junitxml=tests.xml && python -m coverage json
    python -m pytest -m slow --junitxml=slow.xml
    python docs/count_promises.py tests.xml slow.xml floors.xml coverage.json

`floors.xml` is the report of the same tests with the oldest versions allowed. With
`--check`, nothing is written: it fails where the page promises more than was counted,
or so much less that it is out of date.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

PAGE = Path(__file__).parent / "promises.md"
BEGIN, END = "<!-- counts, by count_promises.py -->", "<!-- end of counts -->"


class Promise(NamedTuple):
    """What is promised, the modules that test it, and what they count.

    Each test that passes counts once; other units are counted by the tests.
    """

    words: str
    modules: tuple[str, ...]
    unit: str = "tests"


PROMISES = [
    Promise("It is a scikit-learn estimator.", ("sklearn",), "checks"),
    Promise("It fits everywhere in scikit-learn.", ("everywhere",), "compositions"),
    Promise(
        "It minimises the objective that it says, by the steps that it says.",
        (
            *("classifier", "training", "program", "updates", "schedules", "passes"),
            *("chunks", "sparse", "lbfgs", "going_on", "splitting", "workers"),
        ),
    ),
    Promise("What should not matter does not.", ("properties",), "properties checked"),
    Promise(
        "A search finds what scikit-learn's finds.",
        ("search", "planning", "teams", "scoring", "side_by_side"),
    ),
    Promise("Callbacks hear of every epoch.", ("callbacks",)),
    Promise(
        "Any call of an estimator, a search or a data set gives a right result or an "
        "error that names the argument.",
        ("bad_input", "bad_parameters", "bad_searches", "bad_files"),
        "bad calls",
    ),
    Promise(
        "Inputs, parameters and warnings are what the documentation says.",
        ("inputs", "parameters", "warn", "idx", "mnist"),
    ),
    Promise("Whatever breaks, nothing is lost.", ("faults",), "faults"),
    Promise("Models travel.", ("travel",)),
    Promise("TensorFlow comes late and quietly.", ("backend",)),
    Promise("Displays show what is there.", ("displays",)),
    Promise(
        "Documentation, examples and README run as they stand.",
        ("documentation", "examples", "project"),
    ),
]


def counts(report: Path) -> Iterator[tuple[str, str, int]]:
    """Give module, unit and number for each test of a report that has passed."""
    for case in ElementTree.parse(report).iter("testcase"):
        if any(case.find(tag) is not None for tag in ("failure", "error", "skipped")):
            continue
        module = case.get("classname", "").rpartition("test_")[2]
        yield module, "tests", 1
        for noted in case.iter("property"):
            yield module, noted.get("name", ""), int(noted.get("value", 0))


def count(*reports: Path) -> Counter[tuple[str, str]]:
    """Add up what several reports have counted."""
    total: Counter[tuple[str, str]] = Counter()
    for report in reports:
        for module, unit, number in counts(report):
            total[module, unit] += number
    return total


def rows(tests: Path, slow: Path, floors: Path, coverage: Path) -> list[list[str]]:
    """Make the table: a promise, what tests it, and how much of what was checked."""
    counted = count(tests, slow)
    untold = {module for module, _ in counted} - {
        module for promise in PROMISES for module in promise.modules
    }
    if untold:
        raise SystemExit(f"No promise names these tests: {sorted(untold)}.")
    table = []
    for words, modules, unit in PROMISES:
        number = sum(counted[module, unit] for module in modules)
        if number == 0:
            raise SystemExit(f"No {unit} were counted in {_listed(modules)}.")
        table.append([words, _listed(modules), f"{number:,} {unit}"])
    n_floors = sum(n for (_, unit), n in count(floors).items() if unit == "tests")
    table.append(
        ["It works with the oldest versions allowed.", "all", f"{n_floors:,} tests"]
    )
    percent = json.loads(coverage.read_text())["totals"]["percent_covered"]
    table.append(
        # In whole percents: what threads and signals get to may vary.
        [
            "Lines and branches are run by tests.",
            "all",
            f"{math.floor(percent)} percent",
        ]
    )
    return table


def _listed(modules: tuple[str, ...]) -> str:
    return ", ".join(f"`test_{module}.py`" for module in modules)


def markdown(table: list[list[str]]) -> str:
    """Lay the table out."""
    lines = [["we promise", "tested by", "counted"], ["---"] * 3, *table]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def promised(page: str) -> dict[str, float]:
    """Read the numbers of a page's table back."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    row = re.compile(r"^\| (.+?) \| .+? \| ([\d,.]+) [\w ]+ \|$", re.MULTILINE)
    found = row.findall(table)
    return {words: float(number.replace(",", "")) for words, number in found}


def main(arguments: list[str]) -> None:
    """Write the table into the page, or check the page's."""
    check = "--check" in arguments
    table = markdown(rows(*(Path(a) for a in arguments if a != "--check")))
    print(table)
    page = PAGE.read_text(encoding="utf-8")
    before, _, after = page.partition(BEGIN)
    new = f"{before}{BEGIN}\n\n{table}\n\n{END}{after.partition(END)[2]}"
    if not check:
        PAGE.write_text(new, encoding="utf-8")
        return
    was, now = promised(page), promised(new)
    if was.keys() != now.keys():
        raise SystemExit(f"The page promises {list(was)}, not {list(now)}.")
    broken = [
        f"{words} {was[words]:,g}, and now {now[words]:,g}"
        for words in now
        if not 0.95 * now[words] <= was[words] <= now[words]
    ]
    if broken:
        raise SystemExit(f"The page does not promise what was counted: {broken}.")


if __name__ == "__main__":
    main(sys.argv[1:])
