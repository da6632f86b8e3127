"""Fail unless the sdist holds what git holds: nothing forgotten, nothing that was only built here."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import PurePosixPath

#: What setuptools writes into every sdist.
MADE = {"PKG-INFO", "setup.cfg"}


def main(sdist: str) -> int:
    with tarfile.open(sdist) as archive:
        paths = [PurePosixPath(each.name) for each in archive if each.isfile()]
    packed = {
        str(PurePosixPath(*path.parts[1:]))
        for path in paths
        if not any(part.endswith(".egg-info") for part in path.parts)
    } - MADE
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    tracked = set(listed.stdout.splitlines())
    for words, names in (("missing", tracked - packed), ("not in git", packed - tracked)):
        for name in sorted(names):
            print(f"sdist: {words}: {name}")
    print(f"sdist: {len(packed)} files, {len(tracked)} in git")
    return int(packed != tracked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
