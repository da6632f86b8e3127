"""A program that has ended what it began exits without a word on standard error."""

from __future__ import annotations

import subprocess
import sys

import pytest
from harness import PATIENCE

#: What a program has imported decides the order in which the interpreter lets go of everything.
IMPORTS = [
    "import sys, json\nfrom brigantine import *",
    "import sys, time, zmq\nfrom brigantine import *",
    "import sys\nimport brigantine\nfrom brigantine import MajordomoBroker, QueueDevice",
]
PROGRAMS = [
    "one = MajordomoBroker(ANY, ANY, impl=sys.argv[1])\none.stop()",
    "one = QueueDevice(ANY, ANY, impl=sys.argv[1])\none.stop()",
    "one = MajordomoBroker(ANY, ANY, impl=sys.argv[1])",
]


@pytest.mark.pairwise
@pytest.mark.parametrize("program", PROGRAMS, ids=["broker", "device", "left"])
@pytest.mark.parametrize("imports", IMPORTS, ids=["json", "zmq", "module"])
def test_a_program_that_is_done_exits_without_a_word(impl: str, imports: str, program: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"{imports}\nANY = 'tcp://127.0.0.1:*'\n{program}", impl],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
