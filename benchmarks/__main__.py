"""The command line: measures the sections asked for, each in a process of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import report, sections
from benchmarks.measure import in_child, machine
from benchmarks.records import Options


def main() -> None:
    """Measure, print each section as it is done, and write the files asked for."""
    arguments = parse_arguments()
    options = Options(arguments.repeats, arguments.quick, arguments.memmap_rows)
    if arguments.quick:
        options = Options(repeats=1, quick=True, memmap_rows=200_000)
    about = in_child(machine)
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    done = []
    for name in arguments.sections or sections.NAMES:
        done.append(in_child(sections.run, name, options))
        print(report.as_text(done[-1]), flush=True)
        # Written as it grows, so that an interruption keeps what is done.
        if arguments.json:
            arguments.json.write_text(report.as_json(done, about))
        if arguments.markdown:
            arguments.markdown.write_text(report.as_markdown(done, about))
    print("\n" + report.summary(done))


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"of {', '.join(sections.NAMES)}"
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds; default 5")
    parser.add_argument(
        "--quick", action="store_true", help="does it run? Small sizes, one round"
    )
    parser.add_argument(
        "--memmap-rows", type=int, default=8_100_000, help="rows of 784 bytes on disk"
    )
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--markdown", type=Path, help="file to write")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(sections.NAMES):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
