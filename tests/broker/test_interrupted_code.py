"""What the code must not have, for an exception out of the blue may come at the end of any loop's turn."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import brigantine

PACKAGE = Path(brigantine.__file__).parent
#: The examples are programs, which end when such an exception strikes.
SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "examples"
)
LOCK = re.compile(r"lock\b")
#: What waits, or is asked for what it does not know after an exception out of the blue.
UNSAFE = ("Event", "Condition", "Semaphore", "BoundedSemaphore", "Barrier", "Thread", "Timer")
#: Where they are, and why they may be there.
ALLOWED = {
    "system/background.py": "Thread, in a wrapping that asks it nothing",
    "clients/pool.py": "Condition, with a lock that is taken by itself",
    "cli/serving.py": "Thread, which nobody waits for",
    "cli/standard_input.py": "Thread, which nobody waits for",
    "cli/stopping.py": "Thread, which nobody waits for",
    "cli/worker.py": "Thread and Event, which nobody waits for",
    "net/names.py": "Thread, which nobody waits for",
    "net/mismatch.py": "Thread, which nobody waits for",
    "demo/load.py": "Thread, which nobody waits for",
}


def loops_under_locks(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.With) and any(
            LOCK.search(ast.unparse(each)) for each in node.items
        ):
            for inner in (within for statement in node.body for within in ast.walk(statement)):
                if isinstance(inner, ast.While | ast.For | ast.comprehension):
                    yield f"{source.relative_to(PACKAGE)}, line {node.lineno}"


def used_of_threading(source: Path) -> set[str]:
    nodes = [
        each for each in ast.walk(ast.parse(source.read_text())) if isinstance(each, ast.Attribute)
    ]
    return {
        each.attr
        for each in nodes
        if isinstance(each.value, ast.Name) and each.value.id == "threading"
    }


def test_no_loop_is_under_a_lock() -> None:
    """From Python 3.12 on the jump back of some is outside of the ``with``: the lock would stay locked."""
    main_thread = [each for each in SOURCES if "pure" not in each.parts]  # that is the loop's own
    assert [found for source in main_thread for found in loops_under_locks(source)] == []


def test_nothing_of_threading_that_an_exception_leaves_in_disorder_is_used() -> None:
    found = {
        f"{name} in {source.relative_to(PACKAGE)}"
        for source in SOURCES
        for name in used_of_threading(source).intersection(UNSAFE)
        if name not in ALLOWED.get(str(source.relative_to(PACKAGE)), "")
    }
    assert found == set()


def test_no_context_ends_where_a_signal_may_come() -> None:
    """libzmq gives up where one does, and what is left of the context stays as long as the process."""
    found = [
        str(source.relative_to(PACKAGE))
        for source in SOURCES
        if "ontext.term()" in (text := source.read_text())
        and not ("leave_signals_to_main_thread()" in text or "SIG_BLOCK, HELD" in text)
    ]
    assert found == []
