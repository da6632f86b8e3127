"""What the log says of a message that was dropped: never an endpoint or a broker that won't do either."""

from __future__ import annotations

import pytest

from brigantine.config.protocols import Protocol
from brigantine.notices.lookalikes import Here, advice, belongs

REQ, PPP, MDP01, MDP02 = Protocol.REQ, Protocol.PPP, Protocol.MDP01, Protocol.MDP02
MDP = MDP01 | MDP02
EVERY = REQ | PPP | MDP
#: What lost workers say where clients are; the broker takes that of MDP and REQ for a worker's itself.
LOST = [
    (REQ, [b"", b"READY"]),
    (REQ, [b"", b"\x01"]),
    (PPP, [b"\x01"]),
    (PPP, [b"READY"]),
    (PPP, [b"\x02"]),
    (MDP01, [b"", b"MDPW01", b"\x01", b"echo"]),
    (MDP02, [b"MDPW02", b"\x01", b"echo"]),
    (MDP02, [b"", b"MDPW02", b"\x01", b"echo"]),
]


def cut(frames: list[bytes]) -> list[tuple[int, bytes]]:
    return [(len(each), each) for each in frames]


def told(theirs: Protocol, frames: list[bytes], here: Here) -> list[str]:
    """What the log says, whichever way it came to it."""
    said = [advice(cut(frames), here, from_worker=False)]
    return said if theirs == PPP else [*said, belongs(cut(frames), here)]


@pytest.mark.parametrize("spoken", [REQ, PPP, MDP, EVERY])
@pytest.mark.parametrize(("theirs", "frames"), LOST)
def test_a_lost_worker_is_told_an_endpoint_only_where_its_protocol_is_spoken(
    spoken: Protocol, theirs: Protocol, frames: list[bytes]
) -> None:
    here = Here(("tcp://front",), ("tcp://back",), spoken)
    for said in told(theirs, frames, here):
        assert ("Workers connect to tcp://back" in said) == bool(theirs & spoken), said
        assert ("This broker speaks" in said) != bool(theirs & spoken), said
        assert "tcp://front" not in said


@pytest.mark.parametrize("spoken", [MDP, EVERY])
@pytest.mark.parametrize(("theirs", "frames"), [each for each in LOST if not each[0] & MDP])
def test_a_lost_worker_is_not_sent_to_the_endpoint_that_it_has_come_to(
    spoken: Protocol, theirs: Protocol, frames: list[bytes]
) -> None:
    here = Here(("tcp://both",), ("tcp://both",), spoken)
    for said in told(theirs, frames, here):
        assert "tcp://both" not in said
        assert "a backend of its own" in said


@pytest.mark.parametrize("spoken", [REQ, PPP])
@pytest.mark.parametrize(
    "frames", [[b"MDPC02", b"\x01", b"echo", b"x"], [b"", b"MDPC01", b"echo", b"x"]]
)
def test_a_majordomo_client_is_not_sent_to_an_endpoint_that_knows_no_services(
    spoken: Protocol, frames: list[bytes]
) -> None:
    here = Here(("tcp://front",), ("tcp://back",), spoken)
    said = advice(cut(frames), here, from_worker=True)
    assert "tcp://front" not in said
    assert "MajordomoBroker" in said


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([b"", b"MDPW01", b"\x03", b"ticket", b"reply"], "a reply of MDP 0.1. Its address"),
        ([b"MDPW02", b"\x03", b"ticket", b"part"], "a reply of MDP 0.2. Its address"),
        ([b"MDPW02", b"\x04", b"ticket", b""], "a reply of MDP 0.2. Its address"),
        ([b"ticket", b"reply"], "a reply of PPP. Its address"),
        ([b"", b"ticket", b"", b"reply"], "a reply of a REQ worker"),
        ([b"MDPW02", b"\x07", b"ticket", b"", b"reply"], "no command"),
    ],
)
def test_a_reply_that_is_none_is_told_of_with_what_it_lacks(
    frames: list[bytes], words: str
) -> None:
    here = Here(("tcp://front",), ("tcp://back",), EVERY)
    assert words in advice(cut(frames), here, from_worker=True)


def test_a_plain_dealer_at_a_broker_of_services_is_told_both_things_that_it_lacks() -> None:
    said = advice([(5, b"hello")], Here(("tcp://a",), ("tcp://b",), MDP), from_worker=False)
    assert "names no service" in said
    assert "empty frame" in said
