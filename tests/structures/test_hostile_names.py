"""Names that a peer has chosen to do harm: routing ids and services, on a bare switchboard."""

from __future__ import annotations

import itertools
import random
import struct
import time
from collections.abc import Iterable, Iterator
from types import ModuleType

from dialects import MDP02, asks
from models import BACKEND, FRONTEND, MEGABYTE, NO_CONNECTION, Rig, memory, needs_plain_memory

from brigantine.config.protocols import Protocol

ONE, TWO = b"svc0", b"svc1"
V, W = b"worker of one", b"worker of two"
WORD = (1 << 64) - 1
#: std::hash of the GNU library for strings: 64-bit MurmurHash, its seed and its multiplier.
SEED, FACTOR = 0xC70F6907, 0xC6A4A7935BD1E995
BACK = pow(FACTOR, -1, 1 << 64)


def mixed(value: int) -> int:
    return value ^ value >> 47


def routing_id(hash_: int) -> bytes:
    """The eight bytes whose hash is this."""
    value = mixed(mixed(hash_) * BACK & WORD) * BACK & WORD
    value ^= SEED ^ 8 * FACTOR & WORD
    value = mixed(value * BACK & WORD) * BACK & WORD
    return struct.pack("<Q", value)


def names_of_one_hash(count: int) -> Iterator[bytes]:
    """Names of 16 bytes that std::hash does not tell apart."""
    for number in range(count):
        first = (
            SEED ^ 16 * FACTOR & WORD ^ mixed(number * FACTOR & WORD) * FACTOR & WORD
        ) * FACTOR & WORD
        yield struct.pack("<QQ", number, mixed(first * BACK & WORD) * BACK & WORD)


def majordomo(rooms: ModuleType, **options: object) -> Rig:
    rig = Rig(
        rooms, protocols=Protocol.MDP02, default_service=None, services=(ONE, TWO),
        heartbeat_interval=999.0, **options,
    )  # fmt: skip
    for worker, service in ((V, ONE), (W, TWO)):
        rig.receive(BACKEND, MDP02.registers(worker, service, b"\xcd\x10\x00"))
    return rig


def test_clients_whose_routing_ids_have_one_hash_get_in_each_others_way_nowhere(
    rooms: ModuleType,
) -> None:
    """Requests of one client stand side by side, and who is one client is not for a hash to say."""
    for target in range(1, 1 << 20, 9973):
        # Hashes that are the same, and that differ by as much as the numbers of two services.
        for other in (target, target - 1, target + 1):
            rig = majordomo(rooms)
            clients = [(routing_id(target), ONE), (routing_id(other), TWO)]
            count = itertools.count()
            sent: list[tuple[bytes, bytes]] = []
            messages = []
            for _ in range(6):
                for client, service in clients:
                    body = b"%d" % next(count)
                    sent.append((service, body))
                    messages.append((FRONTEND, asks("0.2", client, service, body), NO_CONNECTION))
            calls = rig.burst(messages)
            for service, worker in ((ONE, V), (TWO, W)):
                got = [call.frames[-1] for call in calls if call.to == worker]
                assert got == [body for wanted, body in sent if wanted == service]
            assert rig["in_flight"] == len(sent)


@needs_plain_memory
def test_the_memory_of_long_names_is_given_back(rooms: ModuleType) -> None:
    """Also where a short name takes the place of a long one that was turned away."""
    rig = Rig(
        rooms, protocols=Protocol.MDP02, default_service=None, max_message_bytes=4 * MEGABYTE,
        queue_bytes=2 * MEGABYTE,
    )  # fmt: skip
    grown = []
    for number in range(120):
        if number in (20, 119):
            grown.append(memory())
        rig.receive(FRONTEND, asks("0.2", b"client", b"%d" % number + bytes(3 * MEGABYTE), b""))
        rig.receive(FRONTEND, asks("0.2", b"client", b"short %d" % number, b""))
    assert rig["shed_queue_bytes"] == rig["queued"] == 120
    assert grown[1] - grown[0] < 30 * MEGABYTE


def test_names_of_one_hash_take_no_longer_than_others(rooms: ModuleType) -> None:
    """The hash of the table for names has a secret key: nobody can fill one of its buckets."""
    count = 5000

    def seconds(names: Iterable[bytes]) -> float:
        queue = rooms.LRUQueue()
        began = time.process_time()
        for name in names:
            assert queue.ready(name)
        return time.process_time() - began

    chosen = list(names_of_one_hash(count))
    others = [random.randbytes(16) for _ in range(count)]
    assert min(seconds(chosen) for _ in range(3)) < 5 * min(seconds(others) for _ in range(3))
