"""Messages of a server: what comes in from clients, and what its handlers answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import zmq

from ...config.limits import LIGHT
from ...config.servers import HANDED_AHEAD, HUNG_THREADS, ServerConfig
from ...counters import SERVER_COUNTERS
from ...notices.kinds import Notice, cut, level, pack_notice
from ...wire import server as wire
from ...wire.req import ANNOUNCEMENT
from ...wire.server_errors import answers_of
from ..loop.accounts import Accounts, weigh
from ..loop.notice_queue import NoticeQueue
from ..sessions.sessions import LEFT, REQUEST, Sessions
from ..structures.expiry import ExpiryQueue
from ..switchboard.notices import NoticeGate
from ..wire.envelope import TOO_DEEP, find_delimiter
from .desk import FAILURE, NOTHING, PART, PUSH, Answer, Desk, Work, split_key

__all__ = ["Serving"]

#: Bytes of an address frame.
MOST_OF_NAME = 255


class Client:
    """What is known of the client of a session, beside what Sessions knows."""

    __slots__ = ("bare", "connection", "delimiter", "ours", "single")

    def __init__(self, connection: object, *, single: bool) -> None:
        #: By which connection it came.
        self.connection = connection
        #: What it last sent had the empty frame; it has sent something without.
        self.delimiter = self.bare = False
        #: It has said HELLO; it is a REQ socket, connected to the ROUTER directly.
        self.ours, self.single = False, single


class Parts(NamedTuple):
    """The message that is being handled."""

    key: bytes
    delimiter: bool
    body: list[bytes]
    #: Its first frame.
    name: zmq.Frame
    #: How many address frames it has.
    depth: int


class Serving:
    """Base of the server's loop."""

    def __init__(
        self,
        router: zmq.Socket[bytes],
        config: ServerConfig,
        epoch: bytes,
        desk: Desk,
        workers: int,
        tells: int,
        notices: NoticeQueue | None,
    ) -> None:
        if router.type != zmq.ROUTER:
            raise TypeError(f"frontend must be a ROUTER socket, not {router.type!r}")
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router = router
        self._config = config
        self._epoch = epoch
        self._desk = desk
        #: Requests that may be at handlers at once, of those that have not ended.
        self._most = workers + HANDED_AHEAD
        self._sessions = Sessions(config, tells)
        #: Of requests that have not ended, by their number.
        self._works: dict[int, Work] = {}
        #: How many works are at handlers.
        self._at_work = 0
        self._accounts = Accounts(config.peer_bytes)
        #: Descriptor -> how often it was given to a connection.
        self._serials: dict[int, int] = {}
        self._plain = config.hops + 1
        self._answers = {name: answers_of(name, SERVER_COUNTERS[name]) for name in SERVER_COUNTERS}
        self._notices = notices
        self._gate = NoticeGate()
        self._present = 0.0
        #: Connections by which nothing has come, by descriptor.
        self._quiet_fds: ExpiryQueue[int] = ExpiryQueue(config.unheard_timeout)

    # -- what comes in ------------------------------------------------------------------------

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

    def _client(self, serial: int) -> Client | None:
        return self._sessions._clients.get(serial)

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

    def _token(self, serial: int) -> bytes:
        return self._epoch + serial.to_bytes(wire.SERIAL_BYTES, "big")

    def _drop(self, counter: str, name: zmq.Frame, frames: Sequence[bytes]) -> None:
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

    # -- to the handlers and back -------------------------------------------------------------

    def _hand_out(self) -> None:
        """Hand out as much as handlers can soon be at: the rest waits, within the bounds of Sessions."""
        while (
            self._sessions.count["in_flight"] < self._most
            # A request that has ended for its client is at a handler still, for as long as that hangs.
            and self._at_work < self._most + HUNG_THREADS
            and (turn := self._sessions.next()) is not None
        ):
            if turn.request is not None:
                work = self._works[turn.request]
            else:
                work = Work(self._sessions.address(turn.serial) or b"", [])
            work.turn, work.handed = turn, True
            self._at_work += 1
            self._desk._hand_out(work)

    def _take_answers(self, now: float) -> None:
        for answer in self._desk._take_answers():
            if answer.kind == PUSH:
                self._send_push(answer)
            else:
                self._take_answer(answer, now)

    def _take_answer(self, answer: Answer, now: float) -> None:
        work = answer.work
        assert work is not None
        if work.turn.event != REQUEST:
            self._end_work(work, "", now)
            return
        if answer.kind != NOTHING or work.ours:
            self._send_reply(answer, work)
        if answer.kind == PART:
            return
        outcome = work.outcome
        if outcome in ("shed_client_full", "shed_client_bytes"):
            self._tell(work, outcome)  # a reply in parts has no hole: it ends, if only by an error
        elif not outcome:
            outcome = "failed_handler" if answer.kind == FAILURE else "replied"
        self._end_work(work, outcome, now)

    def _send_reply(self, answer: Answer, work: Work) -> None:
        """One reply, or the end of all, to the client of a request; where it is refused the work knows."""
        if work.over or work.outcome:
            self._sessions.count["drop_reply_late"] += bool(answer.body)
            return
        if self._sessions.address(work.turn.serial) is None:
            work.outcome = "failed_client_gone"
            return
        kind = 0
        if work.ours:
            kind = {PART: wire.PART, FAILURE: wire.FAILED}.get(answer.kind, wire.FINAL)
        work.outcome = self._send_to(
            work.key, work.delimiter, kind, work.turn.serial, work.number, answer.body
        )
        if not work.outcome:
            self._sessions.count["replies"] += 1

    def _send_push(self, answer: Answer) -> None:
        key, client = self._sessions.address(answer.serial), self._client(answer.serial)
        if key is None or client is None:
            self._sessions.count["drop_reply_late"] += 1
            return
        kind = wire.PUSH if client.ours else 0
        refused = self._send_to(key, client.delimiter, kind, answer.serial, 0, answer.body)
        self._sessions.count["drop_reply_late" if refused else "replies"] += 1

    def _end_work(self, work: Work, outcome: str, now: float) -> None:
        self._at_work -= 1
        self._sessions.done(work.turn, now, outcome)
        if work.turn.request is not None:
            del self._works[work.turn.request]

    def _end_overdue(self, now: float) -> None:
        """End requests whose time is over."""
        for job in self._sessions.overdue(now):
            work = self._works[job]
            if work.handed:
                self._tell(work, "failed_expired_in_flight")
                work.over = True
            else:
                self._tell(work, "failed_expired_queued")
                del self._works[job]

    # -- what goes out ------------------------------------------------------------------------

    def _tell(self, work: Work, reason: str) -> None:
        """Tell a client that its request has ended without a reply."""
        if self._sessions.address(work.turn.serial) is not None:
            self._tell_to(work, reason)

    def _tell_to(self, work: Work, reason: str) -> None:
        told, untold = self._answers[reason]
        self._send_to(
            work.key, work.delimiter, wire.FAILED if work.ours else 0, work.turn.serial, work.number,
            told if work.ours or work.told else untold,
        )  # fmt: skip

    def _send_to(
        self, key: bytes, delimiter: bool, kind: int, serial: int, number: int, body: list[bytes]
    ) -> str:
        """Send a body; the counter of a request for which it is refused, or ``""``."""
        message = [*split_key(key)]
        if delimiter or kind:
            message.append(b"")
        if kind:
            message.append(wire.pack_head(kind, self._token(serial), number))
        message += body
        weight = weigh(message)
        if weight >= LIGHT and not self._accounts.admits(0, message[0], weight):
            return "shed_client_bytes"
        try:
            self._send(message, weight)
        except zmq.Again:
            return "shed_client_full"
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return "failed_client_gone"
        return ""

    def _send(self, message: list[bytes], weight: int) -> None:
        if weight < LIGHT:
            self._router.send_multipart(message, zmq.DONTWAIT)
            return
        for frame in message[:-1]:
            self._router.send(frame, zmq.DONTWAIT | zmq.SNDMORE)
        tracked = zmq.Frame(message[-1], track=True, copy=False)
        tracker = self._router.send(tracked, zmq.DONTWAIT, copy=False, track=True)
        self._accounts.charge(0, message[0], weight, tracker)


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
