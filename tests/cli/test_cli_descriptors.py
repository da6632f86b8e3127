"""How many files the commands may have open."""

from __future__ import annotations

import resource

import pytest
from commands import Commands
from harness import wait_until

ANY = "tcp://127.0.0.1:*"
PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 400))
from brigantine.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "words",
    [
        ("broker", "lru", "--frontend", ANY, "--backend", ANY),
        ("device", "queue", "--frontend", ANY, "--backend", ANY),
        ("worker", "lru", "--broker", "tcp://127.0.0.1:9", "builtins:bytes"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_serves_raises_the_soft_limit_of_open_files(
    run: Commands, words: tuple[str, ...]
) -> None:
    command = run(*words, program=PROGRAM)
    pid = command.process.pid
    wait_until(
        lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE) == (400, 400), "the raised limit"
    )
