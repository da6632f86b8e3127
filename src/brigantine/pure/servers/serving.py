"""What comes to a server from its clients: framing, sessions, requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import zmq

from ...config.servers import ServerConfig
from ...notices.kinds import Notice, cut, level, pack_notice
from ...wire import server as wire
from ...wire.req import ANNOUNCEMENT
from ..loop.notice_queue import NoticeQueue
from ..sessions.keeping import LEFT
from ..structures.expiry import ExpiryQueue
from ..switchboard.notices import NoticeGate
from ..wire.envelope import TOO_DEEP, find_delimiter
from .handing import Handing
from .handoff import Handoff, Work, split_key
from .sending import Client

__all__ = ["Serving"]

#: Bytes of an address frame.
MOST_OF_NAME = 255


class Parts(NamedTuple):
    """The message that is being handled."""

    key: bytes
    delimiter: bool
    body: list[bytes]
    #: Its first frame.
    name: zmq.Frame
    #: How many address frames it has.
    depth: int


class Serving(Handing):
    """Base of the server's loop."""

    def __init__(
        self,
        router: zmq.Socket[bytes],
        config: ServerConfig,
        epoch: bytes,
        handoff: Handoff,
        workers: int,
        tells: int,
        notices: NoticeQueue | None,
    ) -> None:
        super().__init__(router, config, epoch, handoff, workers, tells)
        self._config = config
        #: Descriptor -> how often it was given to a connection.
        self._serials: dict[int, int] = {}
        self._plain = config.hops + 1
        self._notices = notices
        self._gate = NoticeGate()
        self._present = 0.0
        #: Connections by which nothing has come, by descriptor.
        self._quiet_fds: ExpiryQueue[int] = ExpiryQueue(config.unheard_timeout)

    def _take_message(self, parts: Sequence[zmq.Frame], now: float) -> None:
        frames = [each.bytes for each in parts]
        if len(frames) > self._config.max_frames:
            self._drop("drop_too_many_frames", parts[0], frames)
            return
        message = self._split(parts[0], frames)
        if message is None:
            return
        if sum(map(len, message.body)) > self._config.max_message_bytes:
            self._drop("drop_too_large", parts[0], frames)
            return
        head = wire.unpack_head(message.body[0]) if message.delimiter else None
        if head is not None:
            self._take_head(message, head, now)
            return
        self._take_request(message, self._hear(message, now), 0, ours=False, now=now)

    def _split(self, name: zmq.Frame, frames: list[bytes]) -> Parts | None:
        """Where address and body are; ``None`` where the message was dropped.

        Clients that send no empty frame have ``plain`` address frames.  An empty frame after more than
        these ends the address stack of a client connected through devices, unless that client is known
        to send none.
        """
        at = find_delimiter(frames, self._config.max_depth)
        delimiter = at > 0
        if at > self._plain:
            known = self._client(self._sessions.find(_key(frames[: self._plain]) or b""))
            delimiter = known is None or not known.bare
        elif at == TOO_DEEP and find_delimiter(frames, self._config.max_frames) > 0:
            self._drop("drop_too_deep", name, frames)
            return None
        depth = at if delimiter else self._plain
        key, body = _key(frames[:depth]), frames[depth + delimiter :]
        if key is None or not body:
            self._drop("drop_malformed_request", name, frames)
            return None
        return Parts(key, delimiter, body, name, depth)

    def _hear(self, message: Parts, now: float) -> int:
        """The session of a message, opened if need be; 0 when it is refused."""
        before = self._sessions.find(message.key)
        connection, descriptor = self._connection(message.name)
        client = self._client(before)
        other = client is not None and client.connection != connection
        serial = self._sessions.hear(message.key, now, connection, descriptor)
        if other:
            self._notice("taken_over", None, message.name, [*split_key(message.key), *message.body])
        if serial and self._sessions.opened:
            single = message.depth == 1 and _property(message.name, "Socket-Type") == "REQ"
            self._sessions._clients[serial] = Client(connection, single=single)
        if (client := self._client(serial)) is not None:
            client.delimiter = message.delimiter
            client.bare = client.bare or not message.delimiter
        return serial

    def _connection(self, name: zmq.Frame) -> tuple[object, int]:
        """What tells a connection from every other, and its descriptor; the same over inproc for all."""
        self._look_at_connections()
        try:
            descriptor = int(name.get(zmq.SRCFD))
        except zmq.ZMQError:
            return None, -1
        if descriptor < 0:
            return None, -1
        self._quiet_fds.remove(descriptor)
        return (descriptor, self._serials.get(descriptor, 0)), descriptor

    def _take_request(
        self, message: Parts, serial: int, number: int, *, ours: bool, now: float
    ) -> None:
        told = message.key[1:].startswith(ANNOUNCEMENT)
        work = Work(message.key, message.body[1:] if ours else message.body)
        work.number, work.ours, work.told = number, ours, told
        work.delimiter = message.delimiter
        work.turn = work.turn._replace(serial=serial)
        job = self._sessions.ask(message.key, sum(map(len, message.body)), now)
        if isinstance(job, str):
            self._tell_to(work, job)
            return
        client = self._client(serial)
        work.single = client is not None and client.single
        self._works[job] = work

    def _take_head(self, message: Parts, head: wire.Head, now: float) -> None:
        """A message of one of our clients."""
        kind, token, number = head
        if kind == wire.HELLO:
            serial = self._hear(message, now)
            if not serial:
                self._send_to(message.key, True, wire.REFUSED, 0, 0, [])
                return
            self._sessions._clients[serial].ours = True
            timeout = round(self._config.session_timeout * 1000)
            self._send_to(message.key, True, wire.WELCOME, serial, timeout, [])
            return
        if kind not in (wire.BEAT, wire.ASK, wire.BYE):
            self._drop("drop_malformed_request", message.name, message.body)
            return
        serial = self._sessions.find(message.key)
        if (
            not serial
            or token != self._token(serial)
            or self._sessions._clients[serial].connection != self._connection(message.name)[0]
        ):
            if kind != wire.BYE:
                self._sessions.count["lost_session"] += 1
                self._send_to(message.key, True, wire.GONE, 0, number, [])
            return
        if kind == wire.BYE:
            self._sessions.close(message.key, LEFT, now)
            return
        self._hear(message, now)
        if kind == wire.BEAT:
            self._sessions.count["heartbeats"] += 1
            self._send_to(message.key, True, wire.HEARD, serial, number, [])
        elif len(message.body) == 1:
            self._drop("drop_malformed_request", message.name, message.body)
        else:
            self._take_request(message, serial, number, ours=True, now=now)

    def _look_at_connections(self) -> None:
        """What is new of connections has to be known, before a session is bound to one."""

    def _drop(self, counter: str, name: zmq.Frame, frames: Sequence[bytes]) -> None:
        self._connection(name)  # it has spoken, whatever it said
        self._sessions.count[counter] += 1
        self._notice("unserved", counter, name, frames)

    def _notice(
        self, kind: str, reason: str | None, name: zmq.Frame, frames: Sequence[bytes]
    ) -> None:
        if self._notices is None:
            return
        address, said = _property(name, "Peer-Address"), frames[1:]
        told = Notice(kind, reason, name.bytes, None, address, (), cut(said), len(said))
        self._put_notice(told)

    def _put_notice(self, told: Notice) -> None:
        if self._notices is None or self._gate.known(told):
            return
        if self._gate.admits(told, self._present):
            self._notices.put(pack_notice(told), level(told))
        else:
            self._notices.leave_out(level(told))


def _key(frames: Sequence[bytes]) -> bytes | None:
    """An address as one string; ``None`` where it can't be one."""
    if any(not 0 < len(frame) <= MOST_OF_NAME for frame in frames):
        return None
    return b"".join(bytes((len(frame),)) + frame for frame in frames)


def _property(frame: zmq.Frame, name: str) -> str | None:
    try:
        return str(frame.get(name))
    except zmq.ZMQError:  # over inproc
        return None
