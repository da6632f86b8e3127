"""Print the first or second command of README, exactly as it is printed there."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def command(number: int) -> str:
    """The text of README's ``number``-th ``sh`` block."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", Path("README.md").read_text(), re.M | re.S)
    return str(blocks[number - 1]).strip()


if __name__ == "__main__":
    print(command(int(sys.argv[1])))
