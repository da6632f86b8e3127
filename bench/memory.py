"""What an idle worker and a waiting request cost in memory: ``python -m bench.memory``.

The growth of a process's resident memory, by how many came.  A worker that is connected costs its
share of libzmq (connection, buffers, queues) beside the broker's own record of it: the first is what a
blind proxy grows by, the second is what the state machine alone grows by.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import zmq

from brigantine.core.load.line import peer_name
from brigantine.load.connections import Connections

from .processes import Contender, allow_files
from .report import table
from .scenarios import QUIET

#: READY of a REQ worker, and a request, behind the name of the connection.
READY = (b"", b"\x01")
BODY = 64
#: Workers without a connection cost so little that more of them are needed.
RECORDS = 10
#: Clients that send the requests which wait.
CLIENTS = 100
#: What comes before anything is counted: memory that is set aside for all that follow, once.
WARM = 200
#: Seconds that connecting, or sending, may take.
PATIENCE = 180.0
TICK = 0.05
UNITS = 1024


def resident(pid: int | str) -> int:
    """Bytes of resident memory of a process that are its own."""
    for each in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if each.startswith("Private_Dirty:"):
            return int(each.split()[1]) * UNITS
    raise SystemExit("this system does not tell the memory of a process")


def until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {PATIENCE:g} s")
        time.sleep(TICK)


def of_workers(kind: str, count: int) -> float:
    """Bytes that a contender grows by for a connected worker that waits."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    options = {} if kind == "proxy" else QUIET
    with Contender(kind, options=options) as contender:
        groups = []
        try:
            for number, peers in enumerate((WARM, count)):
                group = Connections(context, contender.backend, peers)
                groups.append(group)
                group.wait(PATIENCE, "workers")
                for peer in range(peers):
                    group.socket.send_multipart((peer_name(peer), *READY))
                if kind != "proxy":
                    there = WARM + count * number
                    until(lambda: contender.stats()["workers"] >= there, "workers")  # noqa: B023
                if not number:
                    before = resident(contender.pid)
            spent = resident(contender.pid) - before
        finally:
            for group in groups:
                group.close()
            context.term()
    return spent / count


def of_requests(kind: str, count: int, body: int) -> float:
    """Bytes that a broker grows by for a request that waits for a worker."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    options = {"request_ttl": 3600.0, "queue_limit": count + WARM, "queue_bytes": 1 << 40}
    with Contender(kind, options=options) as contender:
        clients = Connections(context, contender.frontend, CLIENTS)
        try:
            clients.wait(PATIENCE, "clients")
            for there, requests in ((WARM, WARM), (WARM + count, count)):
                if requests == count:
                    before = resident(contender.pid)
                for number in range(requests):
                    message = (peer_name(number % CLIENTS), b"", b"x" * body)
                    clients.socket.send_multipart(message)
                until(lambda: contender.stats()["queued"] >= there, "requests")  # noqa: B023
            spent = resident(contender.pid) - before
        finally:
            clients.close()
            context.term()
    return spent / count


def of_records(kind: str, count: int) -> float:
    """Bytes that the state machine alone grows by for a worker; run in a process of its own."""
    command = [sys.executable, "-m", "bench.memory", "--records", kind, "--workers", str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout))


def records(kind: str, count: int) -> float:
    """The measurement of :func:`of_records`, in this process."""
    from brigantine.core._bench import SwitchboardRounds as Core
    from brigantine.pure._bench import SwitchboardRounds as Pure

    make = Core if kind == "core" else Pure
    kept = [make(WARM, b"x")]
    gc.collect()
    before = resident("self")
    kept.append(make(count, b"x"))
    return (resident("self") - before) / count


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument(
        "--workers", type=int, default=10_000, metavar="N", help="default %(default)s"
    )
    parser.add_argument(
        "--queued", type=int, default=100_000, metavar="N", help="default %(default)s"
    )
    parser.add_argument(
        "--size", type=int, default=BODY, metavar="BYTES", help="of a request's body"
    )
    parser.add_argument("--records", choices=("core", "pure"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.records:
        print(records(given.records, given.workers))
        return
    allow_files()
    rows = []
    for kind in ("core", "pure", "proxy"):
        row = [kind, f"{of_workers(kind, given.workers):,.0f}"]
        if kind == "proxy":
            row += ["", ""]
        else:
            row.append(f"{of_records(kind, RECORDS * given.workers):,.0f}")
            row.append(f"{of_requests(kind, given.queued, given.size):,.0f}")
        rows.append(row)
    print(
        f"Bytes, of {given.workers:,} workers and {given.queued:,} requests of {given.size} bytes.\n"
    )
    print(table(["", "an idle worker", "of it the broker's record", "a waiting request"], rows))


if __name__ == "__main__":
    main()
