"""Tables of the figures: as text, as Markdown, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.records import Row, Section

HEADER = ("what", "measured", "ratio", "goal", "met", "note")
# `python docs/make_figures.py benchmarks` draws it from the page.
CHART = """\
![Four tasks, and the seconds that this package and others take for \
each](images/benchmarks.png)"""
INTRODUCTION = """\
Each section compares this package with its alternatives in a single run, in which the
contenders take turns, round by round. The figures are medians of the rounds. A ratio is
the median of the ratios of the rounds, because a disturbance slows all contenders of a
round. Missed goals are marked, and [all goals](#goals) are listed at the end. To
measure on your machine, which takes half an hour:

```sh
pip install -e '.[benchmark,dask]' dask-ml
python -m benchmarks  # --help names the sections
```"""
VERDICTS = {None: "", True: "yes", False: "missed"}


def as_text(section: Section) -> str:
    """Lay a section out for a terminal."""
    cells = [HEADER, *map(_cells, section.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    heading = f"\n{section.title} ({section.name}, {section.seconds:.0f} s)\n"
    return "\n".join([heading, section.about, "", *map(str.rstrip, lines)])


def as_markdown(sections: Sequence[Section], machine: dict[str, str]) -> str:
    """Write a page: a chart, the machine, section by section, the goals at a glance."""
    parts = ["# Benchmarks", CHART, INTRODUCTION]
    parts.append(_table(("machine", ""), machine.items()))
    for section in sections:
        parts += [f"## {section.title}", section.about.replace("\n", " ")]
        parts.append(_table(HEADER, map(_cells, section.rows)))
    goals = [row for section in sections for row in section.rows if row.goal]
    at_a_glance = ((row.section, *_cells(row)[:-1]) for row in goals)
    parts += ["## Goals", _table(("section", *HEADER[:-1]), at_a_glance)]
    return "\n\n".join(parts) + "\n"


def as_json(sections: Sequence[Section], machine: dict[str, str]) -> str:
    """Write everything down as one object."""
    return json.dumps(
        {
            "machine": machine,
            "sections": {
                section.name: {
                    "title": section.title,
                    "seconds": section.seconds,
                    "rows": [_object(row) for row in section.rows],
                }
                for section in sections
            },
        },
        indent=2,
        ensure_ascii=False,
    )


def summary(sections: Iterable[Section]) -> str:
    """Say how many goals are met, and name those that are missed."""
    goals = [row for section in sections for row in section.rows if row.goal]
    missed = [row for row in goals if not row.held]
    if not goals:
        return "All ran; nothing here has a goal."
    lines = [f"{len(goals) - len(missed)} of {len(goals)} goals met."]
    lines += [f"missed  {row.section}: {row.what}, {_against(row)}" for row in missed]
    return "\n".join(lines)


def _against(row: Row) -> str:
    number = row.value if row.ratio is None else row.ratio
    got = "not measured" if number is None else f"{number:.3g}"
    return f"{got}, goal {row.goal}"


def _object(row: Row) -> dict[str, Any]:
    return asdict(row) | {"goal": row.goal and str(row.goal), "held": row.held}


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        "" if row.value is None else f"{_number(row.value)} {row.unit}".rstrip(),
        "" if row.ratio is None else f"{_number(row.ratio)}",
        str(row.goal or ""),
        VERDICTS[row.held],
        row.note,
    )


def _number(value: float) -> str:
    """Write three digits, and whole numbers from 1000 on."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
