"""The demo: every file sent, every result checked, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Commands
from demo_tree import CHUNK
from harness import wait_until

#: A worker and a broker need to start Python; a busy machine takes its time.
PATIENCE = 50.0

#: Root may read anything: give up that power, then run the demo.
POWERLESS = """
import ctypes, sys
VERSION_3 = 0x20080522  # linux/capability.h
header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
    raise OSError(ctypes.get_errno(), "capset")
from brigantine.cli import main
sys.exit(main())
"""


@pytest.fixture
def much(tmp_path: Path) -> Path:
    """Enough to be at work for a while."""
    root = tmp_path / "much"
    root.mkdir()
    for number in range(8):
        (root / str(number)).write_bytes(os.urandom(25_000))
    return root


def chunks_of(root: Path, size: int) -> list[bytes]:
    """What the demo is to send of ``root``, computed in another way than it does."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    return found


def figures(command: Command) -> tuple[int, dict[str, Any]]:
    """Exit code, and the JSON object that is all of standard output."""
    code, out = command.finish(timeout=PATIENCE)
    assert out, command.errors()
    return code, json.loads(out)


# -- the whole --------------------------------------------------------------------------------


def test_every_chunk_of_every_file_is_computed_and_checked(
    run: Commands, impl: str, tree: Path
) -> None:
    command = run(
        "demo", str(tree), "--impl", impl, "--json", "--chunk-size", str(CHUNK),
        "--workers", "2", "--clients", "3",
    )  # fmt: skip
    code, report = figures(command)
    assert code == 0, command.errors()
    assert command.errors() == ""
    assert command.descendants() == {}
    chunks = chunks_of(tree, CHUNK)
    total = sum(map(len, chunks))
    assert (report["path"], report["files"], report["bytes"]) == (str(tree), 4, total)
    assert (report["files_skipped"], report["truncated"], report["ok"]) == (0, False, True)
    assert (report["workers"], report["clients"], report["chunk_size"]) == (2, 3, CHUNK)
    assert list(report["runs"]) == [impl]
    assert report["pure_to_core"] == {}
    done = report["runs"][impl]
    assert done["requests"] == len(chunks)
    assert done["bytes"] == total
    assert done["words"] == sum(len(chunk.split()) for chunk in chunks)
    assert (done["lost"], done["wrong"], done["workers_killed"], done["files_skipped"]) == (0,) * 4
    assert done["requests_per_second"] == pytest.approx(len(chunks) / done["seconds"])
    assert done["megabytes_per_second"] == pytest.approx(total / 1e6 / done["seconds"])
    assert 0 < done["latency_p50_ms"] <= done["latency_p99_ms"] <= done["seconds"] * 1e3
    parts = done["broker_loop_cpu_us"] + done["broker_io_cpu_us"]
    assert done["broker_cpu_us"] == pytest.approx(parts)
    assert 0 <= done["broker_io_cpu_us"] <= parts


def test_nothing_is_lost_when_workers_are_killed(run: Commands, impl: str, much: Path) -> None:
    command = run(
        "demo", str(much), "--impl", impl, "--json", "--chunk-size", "500", "--kill-workers",
        "--workers", "2",
    )  # fmt: skip
    code, report = figures(command)
    assert code == 0, command.errors()
    done = report["runs"][impl]
    assert done["workers_killed"] >= 1
    assert done["requests"] == 8 * 50
    assert (done["lost"], done["wrong"]) == (0, 0)
    assert done["retries"] >= 0
    assert command.descendants() == {}


def test_both_implementations_stand_side_by_side(
    run: Commands, tree: Path, request: pytest.FixtureRequest
) -> None:
    if request.config.getoption("--impl") == "pure":
        pytest.skip("needs the compiled core as well")
    command = run("demo", str(tree), "--workers", "2", env={"COLUMNS": "100"})
    code, out = command.finish(timeout=PATIENCE)
    assert code == 0, command.errors()
    lines = out.decode().splitlines()
    costs = {}
    for name in ("core", "pure", "pure / core"):
        line = next(line for line in lines if line.replace("│", " ").strip().startswith(f"{name} "))
        costs[name] = float(
            line.replace("│", " ").removeprefix(f" {name}").split(name)[-1].split()[0]
        )
    assert costs["pure / core"] == pytest.approx(costs["pure"] / costs["core"], rel=0.1)
    assert costs["pure / core"] > 1
    assert lines.index(next(line for line in lines if "Broker CPU a request" in line)) == min(
        number for number, line in enumerate(lines) if line.strip()
    )
    (head,) = (line for line in lines if "core" in line and "pure" in line and "/" not in line)
    assert head.index("core") < head.index("pure")
    assert "requests/s" not in out.decode()  # which of both is faster here is luck
    assert f"4 files under {tree}" in out.decode()
    assert "every result is what the demo computed itself" in out.decode()


def test_a_wrong_result_is_found_and_fails_the_demo(run: Commands, tree: Path) -> None:
    program = """
import sys
from brigantine.cli import main
from brigantine.demo import load, work
load.local_digest = lambda chunk: work.local_digest(chunk + b"?")
sys.exit(main())
"""
    command = run("demo", str(tree), "--impl", "pure", "--json", program=program)
    code, report = figures(command)
    assert code == 1
    assert report["ok"] is False
    assert report["runs"]["pure"]["wrong"] == report["runs"]["pure"]["requests"] > 0


def test_what_can_not_be_read_is_left_out_and_counted(run: Commands, tree: Path) -> None:
    (tree / "secret").write_bytes(b"x")
    (tree / "secret").chmod(0)
    (tree / "closed").mkdir()
    (tree / "closed" / "inside").write_bytes(b"x")
    (tree / "closed").chmod(0)
    try:
        command = run("demo", str(tree), "--impl", "pure", "--json", program=POWERLESS)
        code, report = figures(command)
    finally:
        (tree / "closed").chmod(0o700)
    assert code == 0, command.errors()
    assert (report["files"], report["files_skipped"], report["ok"]) == (4, 2, True)


def test_the_table_is_drawn_with_what_the_locale_has(run: Commands, tree: Path) -> None:
    command = run("demo", str(tree), "--impl", "pure", env={"PYTHONIOENCODING": "ascii"})
    code, out = command.finish(timeout=PATIENCE)
    assert (code, command.errors()) == (0, "")
    assert "broker CPU a request, ?s" in out.decode("ascii")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_table_that_can_not_be_written_is_told_in_one_line(
    run: Commands, tree: Path, unbuffered: str
) -> None:
    with open("/dev/full", "wb") as full:
        command = run(
            "demo", str(tree), "--impl", "pure", stdout=full, env={"PYTHONUNBUFFERED": unbuffered}
        )
        assert command.process.wait(PATIENCE) == 1
    assert "can't write to standard output: No space left" in command.complaint()


# -- how it ends ------------------------------------------------------------------------------


def at_work(run: Commands, much: Path) -> Command:
    """A demo that is busy for longer than any test."""
    words = ("--impl", "pure", "--chunk-size", "1", "--workers", "2")
    command = run("demo", str(much), *words)

    def all_children() -> bool:
        names = " ".join(command.descendants().values())
        return names.count("worker lru") == 2 and names.count("broker lru") == 1

    wait_until(all_children, "the start of all processes", PATIENCE)
    return command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_and_all_its_processes(
    run: Commands, much: Path, number: signal.Signals
) -> None:
    command = at_work(run, much)
    command.process.send_signal(number)
    assert command.finish(timeout=PATIENCE) == (128 + number, b"")
    assert command.errors() == ""
    assert command.descendants() == {}


def test_no_process_survives_a_demo_that_is_killed(run: Commands, much: Path) -> None:
    command = at_work(run, much)
    command.process.kill()
    command.nothing_left()


@pytest.mark.parametrize("name", ["broker lru", "worker lru"])
def test_a_process_that_dies_by_itself_is_told_in_one_line(
    run: Commands, much: Path, name: str
) -> None:
    command = at_work(run, much)
    pid = next(pid for pid, words in command.descendants().items() if name in words)
    os.kill(pid, signal.SIGKILL)
    assert command.finish(timeout=PATIENCE) == (1, b"")
    assert f"'brigantine {name}' ended by itself with -9" in command.complaint()
    assert command.descendants() == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "no such file or folder: 'nowhere'"),
        (("empty",), "no regular file to send in 'empty'"),
        (("empty", "--chunk-size", "0"), "--chunk-size must be from 1"),
        (("empty", "--workers", "0"), "'0' is not 1 or more"),
    ],
)
def test_a_demo_that_can_not_start_says_so_in_one_line(
    run: Commands, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    command = run("demo", *words, cwd=tmp_path)
    assert command.finish() == (2, b"")
    assert (
        command.complaint().startswith(f"brigantine: {message}") or message in command.complaint()
    )


def test_a_missing_rich_is_told_in_one_line(run: Commands) -> None:
    program = "import sys; sys.modules['rich'] = None\n"
    program += "from brigantine.cli import main; sys.exit(main())"
    command = run("demo", program=program)
    assert command.finish() == (2, b"")
    assert command.complaint() == 'brigantine demo needs rich: pip install "brigantine[demo]"'
