"""The table of socket pairs: as libzmq has it, with a reason and a cure for each pair that can't work."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from pathlib import Path

import pytest
import zmq
from forked_cli import ForkedCLI
from harness import PATIENCE, Peers
from zmq.utils.monitor import recv_monitor_message

import brigantine
from brigantine.pairs import EITHER, TYPES, partners

ALL = list(product(TYPES, TYPES))
LEGAL = [(one, other) for one, other in ALL if brigantine.check(one, other)]
WRONG = [(one, other) for one, other in ALL if not brigantine.check(one, other)]
DOCS = Path(__file__).parents[2] / "docs"
#: Events that end the question whether two sockets are connected.
ENDS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


@pytest.fixture(scope="module")
def forked() -> Iterator[ForkedCLI]:
    cli = ForkedCLI()
    yield cli
    cli.close()


def connects(peers: Peers, bound: str, connecting: str) -> bool:
    """Whether libzmq lets the two shake hands."""
    server = peers.socket(getattr(zmq, bound))
    monitor = server.get_monitor_socket(ENDS)
    monitor.rcvtimeo = int(PATIENCE * 1000)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    client = peers.socket(getattr(zmq, connecting), f"tcp://127.0.0.1:{port}")
    event = recv_monitor_message(monitor)["event"]
    for socket in (server, client):
        socket.disable_monitor()
    monitor.close(0)
    return bool(event == zmq.EVENT_HANDSHAKE_SUCCEEDED)


@pytest.mark.parametrize(("one", "other"), list(combinations_with_replacement(TYPES, 2)))
def test_the_table_says_what_libzmq_does(peers: Peers, one: str, other: str) -> None:
    assert brigantine.check(one, other).legal == connects(peers, one, other)


@pytest.mark.parametrize(("one", "other"), ALL)
def test_both_orders_agree(one: str, other: str) -> None:
    there, back = brigantine.check(one, other), brigantine.check(other, one)
    assert (there.socket_type, there.peer_type) == (one, other)
    assert (there.legal, there.reason if there else "", there.binds) == (
        back.legal,
        back.reason if back else "",
        back.binds,
    )
    assert sorted(map(sorted, there.instead)) == sorted(map(sorted, back.instead))


@pytest.mark.parametrize(("one", "other"), WRONG)
def test_a_pair_that_cannot_work_has_a_reason_and_legal_pairs_to_use_instead(
    one: str, other: str
) -> None:
    verdict = brigantine.check(one, other)
    assert not verdict
    assert verdict.reason
    assert verdict.instead
    assert verdict.binds == verdict.who_binds == ""
    for pair in verdict.instead:
        assert brigantine.check(*pair), pair
        assert {one, other} & set(pair)
        assert f"{pair[0]} to {pair[1]} (" in str(verdict)
    assert "binds" in verdict.cure
    assert str(verdict).startswith(f"{one} to {other} can't work")
    assert len(str(verdict).splitlines()) == 1


@pytest.mark.parametrize(("one", "other"), LEGAL)
def test_a_legal_pair_says_what_it_is_for_and_who_binds(one: str, other: str) -> None:
    verdict = brigantine.check(one, other)
    assert verdict
    assert verdict.binds in (one, other, EITHER)
    assert "binds" in verdict.who_binds
    assert verdict.instead == ()
    assert verdict.cure == ""
    verdict.require()


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("REQ", "REQ", "both sides want to start"),
        ("REQ", "DEALER", "no way of sending a reply to the peer that asked"),
        ("REP", "REP", "both sides wait for the other to send the first message"),
        ("REP", "ROUTER", "adds nothing over DEALER to ROUTER"),
        ("PUB", "PULL", "different patterns"),
    ],
)
def test_the_known_mistakes_have_the_guides_reasons(one: str, other: str, words: str) -> None:
    assert words in brigantine.check(one, other).reason
    assert words in brigantine.check(other, one).reason


@pytest.mark.parametrize(
    ("binds", "connects"),
    [("REP", "REQ"), ("ROUTER", "REQ"), ("ROUTER", "DEALER"), ("PUB", "SUB"), ("XSUB", "PUB"),
     ("XPUB", "SUB"), ("XPUB", "XSUB")],
)  # fmt: skip
def test_who_is_there_binds_and_who_comes_and_goes_connects(binds: str, connects: str) -> None:
    verdict = brigantine.check(connects, binds)
    assert verdict.binds == binds
    assert verdict.who_binds == f"{binds} binds, {connects} connects"


@pytest.mark.parametrize(
    "given", ["req", "REQ", " Req ", "ZMQ_REQ", "zmq.REQ", zmq.REQ, int(zmq.REQ)]
)
def test_a_type_is_a_name_or_a_constant(given: str | int) -> None:
    assert brigantine.check(given, zmq.REP) == brigantine.check("REQ", "REP")


def test_old_names_are_understood() -> None:
    assert brigantine.check("XREQ", "XREP") == brigantine.check("DEALER", "ROUTER")


@pytest.mark.parametrize(
    ("given", "words"),
    [("REQQ", "did you mean REQ?"), ("", "there are REQ"), ("STREAM", "speaks plain TCP"),
     (zmq.STREAM, "speaks plain TCP"), ("SERVER", "draft"), (99, "99"), (-1, "-1")],
)  # fmt: skip
def test_what_is_no_type_is_said_with_its_value(given: str | int, words: str) -> None:
    with pytest.raises(brigantine.ConfigError, match=words.replace("?", r"\?")):
        brigantine.check(given, "REQ")
    with pytest.raises(brigantine.ConfigError):
        brigantine.check("REQ", given)


@pytest.mark.parametrize("given", [None, True, 3.0, b"REQ", ["REQ"]])
def test_what_can_be_no_type_is_wrong_use(given: object) -> None:
    with pytest.raises(brigantine.WrongUse, match="a name such as 'REQ'"):
        brigantine.check(given, "REQ")  # type: ignore[arg-type]


def test_a_pair_that_is_required_raises_with_both_types() -> None:
    with pytest.raises(brigantine.SocketMismatch, match="REQ to REQ can't work") as raised:
        brigantine.check("REQ", "REQ").require()
    for error in (raised.value, pickle.loads(pickle.dumps(raised.value)), copy.copy(raised.value)):
        assert (error.socket_type, error.peer_type) == ("REQ", "REQ")
        assert str(error) == str(raised.value)


def test_the_command_prints_the_table(forked: ForkedCLI, tmp_path: Path) -> None:
    code, out, errors = forked.run(["check"], tmp_path)
    assert (code, errors) == (0, "")
    lines = out.decode().splitlines()
    assert lines[0].split() == list(TYPES)
    for one, line in zip(TYPES, lines[1:], strict=False):
        name, *cells = line.split()
        assert name == one
        assert [cell != "-" for cell in cells] == [other in partners(one) for other in TYPES]


@pytest.mark.parametrize(
    ("typed", "code", "out", "err"),
    [
        (("REQ", "REP"), 0, "REP binds, REQ connects", ""),
        (("req", "dealer"), 1, "", "REQ to DEALER can't work"),
        (("ROUTER",), 0, "ROUTER to DEALER", ""),
        (("REQ", "REPP"), 2, "", "did you mean REP?"),
        (("REQ", "REP", "REP"), 2, "", "'REP'"),
    ],
)
def test_the_command_says_of_a_pair_whether_it_works(
    forked: ForkedCLI, tmp_path: Path, typed: tuple[str, ...], code: int, out: str, err: str
) -> None:
    done = forked.run(["check", *typed], tmp_path)
    assert done.code == code
    assert out in done.out.decode()
    assert bool(done.out) == (code == 0)
    assert err in done.errors
    assert len(done.errors.splitlines()) == (code != 0)


def test_the_page_has_every_pair() -> None:
    page = (DOCS / "pairs.md").read_text(encoding="utf-8")
    assert table() in page
    for one, other in combinations_with_replacement(TYPES, 2):
        verdict = brigantine.check(one, other)
        if verdict or "different patterns" not in verdict.reason:
            assert row(one, other) in page


def table() -> str:
    """The table of docs/pairs.md."""

    def cell(one: str, other: str) -> str:
        verdict = brigantine.check(one, other)
        if not verdict:
            return " "
        return {one: "binds", EITHER: "either"}.get(verdict.binds, "connects")

    head = ["| | " + " | ".join(TYPES) + " |", "|---" * (len(TYPES) + 1) + "|"]
    rows = [f"| **{a}** | " + " | ".join(cell(a, b) for b in TYPES) + " |" for a in TYPES]
    return "\n".join([*head, *rows, ""])


def row(one: str, other: str) -> str:
    """The line of docs/pairs.md for a pair."""
    verdict = brigantine.check(one, other)
    if verdict:
        binds = "either side" if verdict.binds == EITHER else verdict.binds
        return f"| {one} to {other} | {binds} | {verdict.reason} |\n"
    instead = ", ".join(f"{a} to {b}" for a, b in verdict.instead)
    return f"| {one} to {other} | {verdict.reason} | {instead} |\n"
