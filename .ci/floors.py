"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

python3 .ci/floors.py pyproject.toml test > floors.txt
pip install --constraint floors.txt '.[test]'
"""

import re
import sys
import tomllib
from pathlib import Path


def floors(pyproject: str, extra: str) -> list[str]:
    """Find the floor of each requirement, and of those of an extra."""
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"]
    found, to_read = [], [*project["dependencies"], *extras[extra]]
    while to_read:
        requirement = to_read.pop(0)
        if nested := re.fullmatch(r"tfsoftmax\[(.+)\]", requirement):
            to_read += [line for name in nested[1].split(",") for line in extras[name]]
        elif floor := re.fullmatch(
            r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)(,<[\d.]+)?", requirement
        ):
            found.append(f"{floor[1]}=={floor[2]}")
        else:
            raise ValueError(f"{requirement!r} names no floor.")
    return found


if __name__ == "__main__":
    path, extra = sys.argv[1:]
    print("\n".join(floors(Path(path).read_text(encoding="utf-8"), extra)))
