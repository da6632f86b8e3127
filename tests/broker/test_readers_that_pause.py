"""Whoever reads may pause with its queue full, for longer than any heartbeat: nobody is cut off for it.

In processes of their own, as libzmq ends a process in which it finds an assertion of its own broken.
"""

from __future__ import annotations

import json
import textwrap

import pytest
import zmq
from doubles import EMPTY, RawBroker, outcome, program
from harness import Peers
from mdp_doubles import FINAL, PARTIAL, asked, say

SERVICE = b"numbers"
#: What fills every queue on the way: libzmq's hold 1,000 messages of a peer on each side.
PARTS = 8_000
FILL = b"." * 1_000

#: Any heartbeats of ZMTP would come soon, and their timeout would be over within the pause.
HURRY = """
    from brigantine.clients import channel
    channel.HEARTBEAT_MS, channel.HEARTBEAT_TIMEOUT_MS = 100, 200
    PAUSE = 1.5
"""
READERS = {
    "threads": """
        from brigantine import MajordomoClient
        def read(client):
            for part in client.stream("numbers", b"q"):
                got.append(int(part[0]))
                if len(got) == 1:
                    time.sleep(PAUSE)
        with MajordomoClient(sys.argv[1], timeout=20.0, retries=0) as client:
            read(client)
    """,
    "asyncio": """
        from brigantine.aio import MajordomoClient
        async def main():
            async with MajordomoClient(sys.argv[1], timeout=20.0, retries=0) as client:
                async for part in client.stream("numbers", b"q"):
                    got.append(int(part[0]))
                    if len(got) == 1:
                        await pause(PAUSE)
        asyncio.run(main())
    """,
    "request, its loop blocked": """
        from brigantine.aio import MajordomoClient
        async def main():
            async with MajordomoClient(sys.argv[1], timeout=20.0, retries=0) as client:
                asking = asyncio.ensure_future(client.request("numbers", b"q"))
                while not asking.done() and client.stats()["parts"] == 0:
                    await asyncio.sleep(0)
                time.sleep(PAUSE)
                got.extend(map(int, (await asking)[::2]))
        asyncio.run(main())
    """,
}


def dedented(*sources: str) -> str:
    return "\n".join(textwrap.dedent(each) for each in sources)


def reader(name: str, pause: str) -> str:
    head = f"""
        import asyncio, json, sys, time
        got = []
        async def pause(seconds):
            {pause}(seconds)
    """
    if pause != "time.sleep":
        head = head.replace(f"{pause}(", f"await {pause}(")
    return dedented(head, HURRY, READERS[name], "print(json.dumps(got))")


@pytest.fixture
def raw(peers: Peers) -> RawBroker:
    """A broker that never drops anything."""
    made = RawBroker(peers)
    made.socket.unbind(made.endpoint)
    made.socket.sndhwm = 0
    made.socket.bind("tcp://127.0.0.1:*")
    made.endpoint = made.socket.getsockopt_string(zmq.LAST_ENDPOINT)
    return made


CASES = [
    ("threads", "time.sleep"),
    ("asyncio", "asyncio.sleep"),
    ("asyncio", "time.sleep"),
    ("request, its loop blocked", "time.sleep"),
]


def check_whole(raw: RawBroker, name: str, pause: str, parts: int) -> None:
    with program(reader(name, pause), [raw.endpoint]) as process:
        peer = asked(raw, SERVICE, b"q")
        for number in range(parts):
            say(raw, peer, PARTIAL, SERVICE, b"%d" % number, FILL)
        say(raw, peer, FINAL, SERVICE, b"%d" % parts, FILL)
        code, output, errors = outcome(process)
    assert code == 0, (code, errors)
    assert json.loads(output) == list(range(parts + 1))


@pytest.mark.parametrize(("name", "pause"), CASES)
def test_a_caller_that_pauses_gets_the_whole_reply(raw: RawBroker, name: str, pause: str) -> None:
    check_whole(raw, name, pause, PARTS)


@pytest.mark.long
@pytest.mark.parametrize(("name", "pause"), CASES)
def test_a_caller_that_pauses_gets_the_whole_of_a_long_reply(
    raw: RawBroker, name: str, pause: str
) -> None:
    check_whole(raw, name, pause, 50_000)


WORKER = """
    import ctypes, json, signal, sys, time
    from brigantine import LRUWorker
    def waits(seconds):
        time.sleep(seconds)
    def keeps_the_gil(seconds):
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    def handler(body):
        if body[0] == b"0":
            print("begun", flush=True)
            {pause}(1.5)
        return body
    worker = LRUWorker(sys.argv[1], handler, heartbeat_interval=0.1, liveness=2).start()
    sys.stdin.readline()
    worker.stop()
    print(json.dumps(worker.stats()))
"""


@pytest.mark.parametrize("pause", ["waits", "keeps_the_gil"])
def test_a_worker_at_work_stands_a_broker_that_sends_far_too_much(
    raw: RawBroker, pause: str
) -> None:
    sent, kept = 6_000, 1_001
    with program(WORKER.format(pause=pause), [raw.endpoint]) as process:
        peer = raw.ready_worker()
        for number in range(sent):
            raw.send(peer, EMPTY, b"%d" % number, EMPTY, b"%d" % number, FILL)
        answers = [raw.receive()[1] for _ in range(kept)]
        assert [frames[1] for frames in answers[:2]] == [b"0", b"1"]
        assert process.stdin is not None
        process.stdin.write("\n")
        code, output, errors = outcome(process)
    assert code == 0, (code, errors)
    stats: dict[str, int] = json.loads(output.splitlines()[-1])
    assert (stats["connects"], stats["disconnects"]) == (1, 0)
    # More are kept where some are answered before all have come, and none of these is begun after stop.
    assert stats["replies"] + stats["drop_excess"] + stats["discarded_requests"] == sent
