"""Numbers and bytes that the core has by itself, as C needs them, are those of the Python side."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import brigantine.core
from brigantine.config.limits import ANNOUNCED_INTERVAL_MS
from brigantine.core.wire import codec
from brigantine.counters import COUNTERS, DEVICE_COUNTERS, SERVER_COUNTERS, check_places
from brigantine.events import KINDS as EVENTS
from brigantine.notices.kinds import KINDS as NOTICES
from brigantine.pure.switchboard import outbox
from brigantine.pure.wire import messages
from brigantine.wire import mdp, ppp, ready, req

CORE = Path(brigantine.core.__file__).parent
#: Module -> the table that it numbers, the name of the count, what its names begin with.
TABLES = {
    "switchboard.counters": (COUNTERS, "COUNTER_COUNT", ""),
    "switchboard.events": (EVENTS, "EVENT_COUNT", "EVENT_"),
    "switchboard.notices": (NOTICES, "NOTICE_COUNT", "NOTICE_"),
    "loop.relay": (DEVICE_COUNTERS, "COUNTER_COUNT", ""),
}


def enumerators(room: str) -> dict[str, int]:
    """All numbers of the enums of a .pxd, by name."""
    text = (CORE / f"{room}.pxd").read_text(encoding="utf-8")
    found: dict[str, int] = {}
    for body in re.findall(r"^cp?def enum:\n((?:    .*\n|\n)+)", text, re.M):
        following = 0
        for name, value in re.findall(r"^    (\w+)(?: = ([^#\n]+))?", body, re.M):
            found[name] = eval(value, {}, dict(found)) if value else following
            following = found[name] + 1
    return found


@pytest.mark.parametrize("room", TABLES)
def test_an_enum_of_the_core_numbers_its_table_by_name_and_order(room: str) -> None:
    table, count, prefix = TABLES[room]
    numbered = vars(importlib.import_module(f"brigantine.core.{room}"))
    check_places(room, numbered, table, count, prefix)
    names = list(table)
    for wrong in (
        [names[1], names[0], *names[2:]],  # two have changed places
        [*names[:-2], names[-1], names[-2]],
        names[:-1],  # one is missing at the end
        [*names, "one_more"],
        ["one_more", *names[1:]],  # as many, but one has another name
    ):
        with pytest.raises(ImportError, match=room):
            check_places(room, numbered, wrong, count, prefix)


def test_the_counters_of_a_server_are_numbered_by_name_and_order() -> None:
    numbered = enumerators("sessions/counters")
    names = list(SERVER_COUNTERS)[: numbered["SERVER_COUNT"]]
    check_places("sessions/counters.pxd", numbered, names, "SERVER_COUNT", "S_")


@pytest.mark.parametrize(
    ("name", "here", "wire"),
    [("mdp", codec.MDP_BYTES, mdp), ("ppp", codec.PPP_BYTES, ppp), ("req", codec.REQ_BYTES, req)],
)
def test_a_codec_with_a_wrong_byte_cannot_be_imported(name: str, here: dict, wire: object) -> None:
    codec.check_bytes(name, here, wire, here)
    for changed, value in here.items():
        other = value + 1 if isinstance(value, int) else value + b"?"
        with pytest.raises(ImportError, match=f"{changed} of core/wire/{name}.pxd"):
            codec.check_bytes(name, {**here, changed: other}, wire, here)
        less = {each: kept for each, kept in here.items() if each != changed}
        with pytest.raises(ImportError, match=changed):
            codec.check_bytes(name, less, wire, here)


def test_all_bytes_of_a_protocol_that_are_named_are_compared() -> None:
    assert set(codec.MDP_BYTES) == set(mdp.__all__)
    assert set(codec.PPP_BYTES) == set(ppp.__all__)


def test_protocols_and_dialects_have_the_same_numbers_in_both_implementations() -> None:
    numbered = enumerators("wire/messages")
    for name in (
        "REQ",
        "PPP",
        "MDP01",
        "MDP02",
        "MDP",
        "DIALECTS",
        "STRICT",
        "WORDS",
        "LED",
        "SHIFTED",
    ):
        assert numbered[name] == getattr(messages, name), name
    assert numbered["NONE"] == messages.NONE


def test_what_an_outbox_answers_has_the_same_numbers_in_both_implementations() -> None:
    numbered = enumerators("switchboard/outbox")
    for each in (*outbox.Side, *outbox.Sent):
        assert numbered[each.name] == each, each


def test_bounds_of_a_ready_are_those_of_the_wire() -> None:
    numbered = enumerators("wire/ready")
    assert numbered["MAX_CAPACITY"] == ready.MAX_CAPACITY
    assert (numbered["MIN_INTERVAL_MS"], numbered["MAX_INTERVAL_MS"]) == ANNOUNCED_INTERVAL_MS


def test_bytes_of_a_protocol_stand_in_its_codec_and_nowhere_else() -> None:
    literal = re.compile(r"""b?["'](MDP[CW]0|READY|HEARTBEAT|mmi\.|\\x0[1-6]["']|brigantine[/-])""")
    for path in [*CORE.rglob("*.pyx"), *CORE.rglob("*.pxd")]:
        if path.parent.name == "wire" and path.parent.parent == CORE:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            code = line.split("#")[0]
            if '"""' not in code:
                assert not literal.search(code), (path.name, line)
