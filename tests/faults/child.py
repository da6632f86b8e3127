"""What runs in the processes that a fault test kills, stops and floods (see ``programs``).

    python child.py broker IMPL FRONTEND BACKEND OPTIONS   OPTIONS: fields of BrokerConfig as JSON
    python child.py worker ENDPOINT NAME IDENTITY          IDENTITY: "" for an automatic one

Both talk in lines on standard input and output, and end when standard input does.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading

import zmq

#: From linux/prctl.h: the signal that this process gets when its parent dies, even by SIGKILL, and
#: even while this process is stopped.
PR_SET_PDEATHSIG = 1
#: A request whose body starts so keeps the worker busy until it is told ``go``.
HOLD = b"hold"
#: ``big:N`` asks for a reply of N bytes.
BIG = b"big:"
_CHUNK = 65536


_saying = threading.Lock()


def say(*words: str) -> None:
    """A line, whole: print() writes word by word, and two threads may have something to say."""
    with _saying:
        sys.stdout.write(" ".join(words) + "\n")
        sys.stdout.flush()


def run_broker(impl: str, frontend: str, backend: str, options: str) -> None:
    from brigantine import LRUBroker

    with LRUBroker(frontend, backend, impl=impl, **json.loads(options)) as broker:
        say("ready", broker.frontend, broker.backend)
        for line in sys.stdin:
            if line == "stats\n":
                say("stats", json.dumps(broker.stats()))
            elif line == "drain\n":
                say("drained", str(broker.drain()))


def run_worker(endpoint: str, name: str, identity: str) -> None:
    """A bare REQ worker.  Says ``connected``, and ``got BODY`` for a request that it holds."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.REQ)
    if identity:
        socket.setsockopt(zmq.IDENTITY, identity.encode())
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    socket.connect(endpoint)
    socket.send(b"READY")
    poller = zmq.Poller()
    for source in (socket, monitor, sys.stdin.fileno()):
        poller.register(source, zmq.POLLIN)
    held: list[bytes] | None = None
    while True:
        ready = dict(poller.poll())
        if monitor in ready:
            monitor.recv_multipart()
            say("connected")
        if sys.stdin.fileno() in ready:
            if not os.read(sys.stdin.fileno(), _CHUNK):
                os._exit(0)
            if held is not None:
                socket.send_multipart(reply_to(held, name))
                held = None
        if socket in ready:
            frames = socket.recv_multipart()
            if frames[2].startswith(HOLD):
                held = frames
                say("got", frames[2].decode())
            else:
                socket.send_multipart(reply_to(frames, name))


def reply_to(frames: list[bytes], name: str) -> list[bytes]:
    """The ticket and the delimiter back, the worker's name, the body."""
    ticket, delimiter, *body = frames
    if body[0].startswith(BIG):
        return [ticket, delimiter, bytes(int(body[0].removeprefix(BIG)))]
    return [ticket, delimiter, name.encode(), *body]


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.argv[1] == "broker":
        run_broker(*sys.argv[2:])
    else:
        run_worker(*sys.argv[2:])
