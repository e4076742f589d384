"""Print the README's commands, one a line: what a newcomer runs is what CI runs.

They are the fenced blocks of the language `sh` that begin with making a virtual
environment; a backslash at the end of a line continues it.
"""

import re
import sys
from pathlib import Path


def commands(readme: str) -> list[str]:
    """Find the commands in the text of a README."""
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, flags=re.DOTALL | re.MULTILINE)
    joined = [re.sub(r"\\\n\s*", "", block).strip() for block in blocks]
    return [block for block in joined if block.startswith("python3 -m venv")]


if __name__ == "__main__":
    found = commands(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if len(found) != 2 or any("\n" in command for command in found):
        sys.exit(f"expected two commands of one line each; found {found}")
    print("\n".join(found))
