"""What the command line says when it is used in the wrong way: one line, and exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands
from forked_cli import ForkedCLI
from harness import PATIENCE, Peers

import brigantine

FRONT = ("--frontend", "tcp://127.0.0.1:*")
BACK = ("--backend", "tcp://127.0.0.1:*")
TO = ("--broker", "tcp://127.0.0.1:9")
BROKER = ("broker", "lru")
WORKER = ("worker", "lru", *TO)
REQUEST = ("request", "lru", *TO)

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no command": ((), "COMMAND"),
    "unknown command": (("brokr",), "'brokr'"),
    "no pattern": (("broker",), "PATTERN"),
    "unknown pattern": (("broker", "fifo"), "'fifo'"),
    "unknown option": ((*BROKER, *FRONT, *BACK, "--queue-limits", "3"), "'--queue-limits'"),
    "abbreviated option": ((*BROKER, *FRONT, *BACK, "--queue-l", "3"), "'--queue-l'"),
    "an argument with a line break": ((*BROKER, *FRONT, *BACK, "one\ntwo"), "one\\ntwo"),
    "missing option": ((*BROKER, *FRONT), "--backend"),
    "missing value": ((*BROKER, *FRONT, *BACK, "--retries"), "--retries"),
    "no number": ((*BROKER, *FRONT, *BACK, "--retries", "many"), "'many' is not a whole number"),
    "no whole number": ((*BROKER, *FRONT, *BACK, "--liveness", "2.5"), "'2.5'"),
    "no time": ((*BROKER, *FRONT, *BACK, "--request-ttl", "soon"), "'soon' is not a number of sec"),
    "not finite": ((*BROKER, *FRONT, *BACK, "--request-ttl", "inf"), "'inf'"),
    "no size": ((*BROKER, *FRONT, *BACK, "--queue-bytes", "1TB"), "'1TB' is not a number of bytes"),
    "out of range": ((*BROKER, *FRONT, *BACK, "--retries", "-1"), "--retries must be from 0"),
    "limits at odds": ((*BROKER, *FRONT, *BACK, "--max-frames", "9"), "--max-depth (16) must be"),
    "unknown implementation": ((*BROKER, *FRONT, *BACK, "--impl", "fast"), "'fast'"),
    "no transport": ((*BROKER, "--frontend", "127.0.0.1:1", *BACK), "--frontend: '127.0.0.1:1'"),
    "unknown transport": ((*BROKER, "--frontend", "udp://127.0.0.1:1", *BACK), "'udp://127.0.0.1"),
    "no port": ((*BROKER, *FRONT, "--backend", "tcp://127.0.0.1"), "HOST:PORT"),
    "high port": ((*BROKER, *FRONT, "--backend", "tcp://127.0.0.1:65536"), "above 65535"),
    "empty endpoint": ((*BROKER, *FRONT, "--backend", ""), "''"),
    "foreign address": ((*BROKER, *FRONT, "--backend", "tcp://192.0.2.1:1"), "no such address"),
    "no such folder": ((*BROKER, *FRONT, "--backend", "ipc:///no/folder/x"), "no such directory"),
    "a file in the way": ((*BROKER, *FRONT, "--backend", "ipc://later.py"), "a file is there"),
    "given twice": (
        (*BROKER, *FRONT, *2 * ("--backend", "tcp://127.0.0.1:9")),
        "--backend: 'tcp://127.0.0.1:9' is given twice",
    ),
    "inproc": ((*BROKER, *FRONT, "--backend", "inproc://x"), "another process"),
    "line break in an endpoint": ((*BROKER, *FRONT, "--backend", "ipc:///tmp/a\nb"), "'ipc:///t"),
    "worker's broker": (
        ("worker", "lru", "--broker", "tcp://*:1", "os:getpid"),
        "--broker: 'tcp://*:1' can be bound",
    ),
    "two brokers of an LRU worker": (
        (*WORKER, "--broker", "tcp://127.0.0.1:8", "brigantine.handlers:echo"),
        "--broker: an LRU worker has one broker, not 2 (tcp://127.0.0.1:9, tcp://127.0.0.1:8)",
    ),
    "no colon": ((*WORKER, "brigantine.handlers"), "MODULE:FUNCTION"),
    "no module": ((*WORKER, "no_such_module:f"), "No module named 'no_such_module'"),
    "broken module": ((*WORKER, "broken:f"), "can't import 'broken': ZeroDivisionError"),
    "module that exits": ((*WORKER, "leaving:f"), "can't import 'leaving': SystemExit"),
    "no function": ((*WORKER, "brigantine.handlers:shout"), "has no function 'shout'"),
    "no callable": ((*WORKER, "os:sep"), "not a function but str"),
    "two arguments": ((*WORKER, "os:rename"), "MODULE:FUNCTION must be a function of one argument"),
    "async generator": ((*WORKER, "later:f"), "only Majordomo has replies in parts"),
    "no function for several": ((*WORKER, "--processes", "3", "os:none"), "no function 'none'"),
    "no processes": ((*WORKER, "--processes", "0", "brigantine.handlers:echo"), "'0'"),
    "no body": (REQUEST, "BODY"),
    "timeout": ((*REQUEST, "--timeout", "-1", "hello"), "--timeout must be from"),
    "retries": ((*REQUEST, "--retries", "-1", "hello"), "--retries must be from"),
    "timeout of a list": (("ls", *TO, "--timeout", "0"), "--timeout must be from"),
    "list's broker": (("ls", "--broker", "tcp://h:*"), "--broker: 'tcp://h:*' can be bound"),
    "request's broker": (
        ("request", "lru", "--broker", "tcp://127.0.0.1:*", "x"),
        "--broker: 'tcp://127.0.0.1:*' can be bound",
    ),
}


@pytest.fixture(scope="module")
def forked() -> Iterator[ForkedCLI]:
    server = ForkedCLI()
    yield server
    server.close()


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_told_in_one_line_with_exit_code_2(
    forked: ForkedCLI, case: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "later.py").write_text("async def f(body): yield body\n")
    arguments, words = WRONG[case]
    code, out, errors = forked.run(arguments, tmp_path)
    assert (code, out) == (2, b""), errors
    [complaint] = errors.splitlines()
    assert complaint.startswith("brigantine: ")
    assert words in complaint


@pytest.mark.parametrize("option", ["--frontend", "--backend"])
def test_a_port_in_use_is_told_in_one_line(run: Commands, peers: Peers, option: str) -> None:
    taken = peers.socket(0)  # a PAIR
    taken.bind("tcp://127.0.0.1:*")
    endpoint = taken.last_endpoint.decode()
    other = BACK if option == "--frontend" else FRONT
    command = run(*BROKER, option, endpoint, *other)
    assert command.finish() == (2, b"")
    assert f"can't bind {endpoint}: the address is in use" in command.complaint()


def test_an_ipc_path_in_use_is_told_in_one_line(
    run: Commands, peers: Peers, tmp_path: Path
) -> None:
    endpoint = f"ipc://{tmp_path}/taken"
    peers.socket(0).bind(endpoint)
    command = run(*BROKER, "--frontend", endpoint, *BACK)
    assert command.finish() == (2, b"")
    assert "another process listens there" in command.complaint()


def test_a_missing_core_is_told_in_one_line_and_never_replaced(run: Commands) -> None:
    program = (
        "import sys; sys.modules['brigantine.core'] = None\n"
        "from brigantine.cli import main; sys.exit(main())"
    )
    command = run(
        *BROKER, *FRONT, *BACK, "--impl", "core", program=program, env={"BRIGANTINE_IMPL": "pure"}
    )
    assert command.finish() == (2, b"")
    assert "the compiled core of brigantine can't be loaded" in command.complaint()


def test_the_version_is_printed_alone(run: Commands) -> None:
    command = run("--version")
    assert command.finish() == (0, f"brigantine {brigantine.__version__}\n".encode())
    assert command.errors() == ""


@pytest.mark.parametrize(
    "words", [(), ("broker",), BROKER, ("worker", "lru"), ("request", "lru"), ("demo",)]
)
def test_help_goes_to_standard_output(run: Commands, words: tuple[str, ...]) -> None:
    command = run(*words, "--help")
    code, out = command.finish()
    assert code == 0
    assert out.startswith(f"usage: {' '.join(('brigantine', *words))} ".encode())
    assert command.errors() == ""


def test_help_that_nobody_reads_ends_without_a_traceback(run: Commands) -> None:
    command = run("broker", "lru", "--help")
    assert command.process.stdout is not None
    command.process.stdout.close()
    command.process.wait(PATIENCE)
    assert command.errors() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [("--version",), ("--help",), (*BROKER, "--help")])
def test_help_that_can_not_be_written_is_told_in_one_line(
    run: Commands, words: tuple[str, ...], unbuffered: str
) -> None:
    with open("/dev/full", "wb") as full:
        command = run(*words, stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
        assert command.process.wait(PATIENCE) == 1
    assert "can't write to standard output: No space left" in command.complaint()
