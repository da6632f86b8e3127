"""Tickets: a live one leads to its slot, any other never does."""

from __future__ import annotations

import string
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from models import ANSWERED, LATE, QUICK, UNKNOWN, run_machine

SIZE = 16
PRINTABLE = frozenset(string.printable.strip().encode())
GENERATIONS = 1 << 32
LAST_GENERATION = GENERATIONS - 1
SEEDS = st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, LAST_GENERATION - 1, LAST_GENERATION])


def near_misses(token: bytes) -> list[bytes]:
    """What is nearly a ticket."""
    slot, generation = token[:8], int(token[8:], 16)
    return [
        token.upper() if token.upper() != token else b"G" + token[1:],
        token[:-1],
        token + b"0",
        b" " + token[1:],
        b"+" + token[1:],
        b"0x" + token[2:],
        token[:-1] + b"\n",
        token[:8] + b"_" + token[9:],
        token[:-1] + b"\0",
        slot + b"%08x" % ((generation + 1) % GENERATIONS),
        b"ffffffff" + token[8:],
        b"80000000" + token[8:],
        b"7fffffff" + token[8:],
    ]


class TicketMachine(RuleBasedStateMachine):
    """A TicketTable beside the record of every ticket that it ever gave out."""

    def __init__(self, rooms: ModuleType) -> None:
        super().__init__()
        self.rooms = rooms

    @initialize(seed=SEEDS)
    def make(self, seed: int) -> None:
        self.table = self.rooms.TicketTable(seed)
        self.live: dict[int, bytes] = {}
        #: How each ticket ended; of one slot, the last of them ended last.
        self.past: dict[int, list[tuple[bytes, int]]] = {}

    def give(self, slot: int) -> None:
        token = self.table.token(slot)
        assert len(token) == SIZE
        assert set(token) <= PRINTABLE
        assert token not in self.live.values()
        assert token not in (old for ended in self.past.values() for old, _ in ended)
        self.live[slot] = token

    @rule()
    def open(self) -> None:
        slot = self.table.open()
        assert slot >= 0
        assert slot not in self.live
        self.give(slot)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), end=st.sampled_from([LATE, ANSWERED]))
    def close(self, data: st.DataObject, end: int) -> None:
        slot = data.draw(st.sampled_from(sorted(self.live)))
        self.table.close(slot, end)
        self.past.setdefault(slot, []).append((self.live.pop(slot), end))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.live)))
        self.table.renew(slot)
        self.past.setdefault(slot, []).append((self.live[slot], LATE))
        self.give(slot)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def forge_from_a_live_one(self, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from(sorted(self.live.values())))
        for forged in near_misses(token):
            if forged not in self.live.values():
                assert self.table.resolve(forged) < 0, forged

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def forge_from_an_old_one(self, data: st.DataObject) -> None:
        ended = data.draw(st.sampled_from([self.past[slot] for slot in sorted(self.past)]))
        for forged in near_misses(data.draw(st.sampled_from(ended))[0]):
            if forged not in self.live.values():
                assert self.table.resolve(forged) < 0, forged

    @rule(token=st.one_of(st.binary(max_size=20), st.binary(min_size=SIZE, max_size=SIZE)))
    def forge_at_random(self, token: bytes) -> None:
        if token not in self.live.values():
            assert self.table.resolve(token) < 0

    @invariant()
    def every_ticket_ever_given_out_is_judged_right(self) -> None:
        assert len(self.table) == len(self.live)
        for slot, token in self.live.items():
            assert self.table.token(slot) == token
            assert self.table.resolve(token) == slot
        for ended in self.past.values():
            *older, (last, end) = ended
            assert self.table.resolve(last) == end
            assert all(self.table.resolve(token) == LATE for token, _ in older)


def test_only_live_tickets_lead_to_a_slot(rooms: ModuleType) -> None:
    run_machine(TicketMachine, rooms)


def test_a_ticket_is_sixteen_printable_bytes(rooms: ModuleType) -> None:
    table = rooms.TicketTable(LAST_GENERATION)
    for _ in range(300):
        token = table.token(table.open())
        assert len(token) == SIZE
        assert set(token) <= PRINTABLE


def test_an_answered_ticket_is_told_from_a_late_one(rooms: ModuleType) -> None:
    table = rooms.TicketTable(7)
    answered, late = table.open(), table.open()
    tokens = table.token(answered), table.token(late)
    table.close(answered, ANSWERED)
    table.close(late, LATE)
    assert [table.resolve(token) for token in tokens] == [ANSWERED, LATE]


def test_a_renewed_ticket_is_late_and_the_new_one_leads_to_the_slot(rooms: ModuleType) -> None:
    table = rooms.TicketTable(7)
    slot = table.open()
    old = table.token(slot)
    table.renew(slot)
    assert table.resolve(old) == LATE
    assert table.resolve(table.token(slot)) == slot


def test_the_ticket_that_a_free_slot_will_give_out_next_is_unknown(rooms: ModuleType) -> None:
    table = rooms.TicketTable(7)
    table.close(table.open(), ANSWERED)
    slot = table.open()
    coming = table.token(slot)
    other = rooms.TicketTable(7)
    other.close(other.open(), ANSWERED)
    assert other.resolve(coming) == UNKNOWN


def test_a_table_knows_no_ticket_of_a_table_with_another_seed(rooms: ModuleType) -> None:
    before, after = rooms.TicketTable(0x1234), rooms.TicketTable(0x99990000)
    for _ in range(10):
        token = before.token(before.open())
        after.open()
        assert after.resolve(token) == UNKNOWN


@pytest.mark.parametrize("seed", [LAST_GENERATION, LAST_GENERATION - 1])
def test_generations_go_on_behind_the_greatest(rooms: ModuleType, seed: int) -> None:
    table = rooms.TicketTable(seed)
    seen = []
    for _ in range(5):
        slot = table.open()
        seen.append(table.token(slot))
        assert table.resolve(seen[-1]) == slot
        table.close(slot, ANSWERED)
    assert len(set(seen)) == 5
    assert [table.resolve(token) for token in seen] == [LATE] * 4 + [ANSWERED]


def test_a_seed_beyond_32_bits_counts_modulo(rooms: ModuleType) -> None:
    short, long = rooms.TicketTable(5), rooms.TicketTable(GENERATIONS + 5)
    assert short.token(short.open()) == long.token(long.open())


@QUICK
@given(token=st.binary(max_size=40))
def test_an_empty_table_knows_no_ticket(rooms: ModuleType, token: bytes) -> None:
    assert rooms.TicketTable(0).resolve(token) == UNKNOWN
