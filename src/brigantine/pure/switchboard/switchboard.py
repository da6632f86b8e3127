"""The state machine of the broker: frames and ``now`` in, frames out.  No socket, no clock.

What it knows is a ``Board``; what happens is in the rooms that are imported here.
"""

from __future__ import annotations

from collections.abc import Callable

from ...config import BrokerConfig
from ...config.limits import REPLY_BYTES, REPLY_FRAMES
from ...notices.kinds import Notice
from ..structures.tickets import Verdict
from ..wire import codec
from ..wire.messages import MDP, REQ
from .board import Board, Events
from .clients import client_connected, client_left, clients_caught_up, clients_read
from .dispatch import dispatch_all
from .endings import finish
from .from_client import at_frontend, dropped_from_client, from_client, is_served_there
from .from_worker import from_worker
from .noticing import notice, notice_message
from .outbox import Outbox, Sent, Side
from .records import AT_FRONTEND, NO_CONNECTION
from .report import pack_services, pack_workers
from .telling import tell_no_more
from .tick import next_due, run_timers
from .workers import ANY_SIDE, leave, lose_leaving

__all__ = ["NO_CONNECTION", "Sent", "Side", "Switchboard"]


class Switchboard:
    """Decides for every message what is sent to whom.

    ``outbox(side, frames)`` must send or refuse at once, and return a
    :class:`~brigantine.pure.switchboard.outbox.Sent`.  ``protocols`` are those that workers may speak, as
    :class:`~brigantine.config.protocols.Protocol` flags.  Clients without a header go to
    ``default_service``, and so do workers that name no service; with ``None`` such clients are
    refused.  Not thread-safe: one loop calls it.
    """

    def __init__(
        self,
        config: BrokerConfig,
        outbox: Outbox,
        seed: int = 0,
        protocols: int = REQ,
        default_service: bytes | None = b"",
    ) -> None:
        self._board = Board(config, outbox, seed, protocols, default_service)

    # -- what comes in ------------------------------------------------------------------------

    def receive(
        self, side: int, frames: list[bytes], now: float, connection: int = NO_CONNECTION
    ) -> None:
        """Handle one message as the ROUTER on ``side`` received it (routing id first).

        There is no other yet to handle, nor a connection that has opened or closed.
        """
        self.take(side, frames, now, connection, synced=True)
        self.hand_out(now)
        while self.has_leaving():
            self.caught_up(now)
            self.hand_out(now)

    def take(
        self,
        side: int,
        frames: list[bytes],
        now: float,
        connection: int = NO_CONNECTION,
        synced: bool = False,
    ) -> bool:
        """As :meth:`receive`, but others may follow, and requests are handed to workers in :meth:`tick`.

        ``False``: nothing was done, as it depends on which connections have opened and closed up to
        now.  Then tell all of them, and hand the message in again with ``synced``.
        """
        board = self._board
        board.begin(now)
        board.side = side
        if side == Side.BOTH:
            board.client_side = Side.BOTH
        client = side == Side.BOTH and not codec.is_worker(frames)
        if side == Side.FRONTEND:
            client = not is_served_there(board, frames)
        reason = self._beyond(frames, client)
        if reason is None and (client or side == Side.FRONTEND):
            return from_client(board, frames, now, connection, synced=synced)
        if side == Side.FRONTEND:
            connection = at_frontend(connection)
        if not client and not from_worker(
            board, frames, now, connection, dropped=reason is not None, synced=synced
        ):
            return False
        if reason is not None:
            board.count[reason] += 1
            notice_message(board, "not_a_request" if client else "not_a_command", reason, frames)
            if client:
                dropped_from_client(board, frames, reason)
        return True

    def _beyond(self, frames: list[bytes], client: bool) -> str | None:
        """The counter of a message beyond the bounds; of one with too many frames the last are missing."""
        config = self._board.config
        if len(frames) > config.max_frames + (0 if client else REPLY_FRAMES):
            return "drop_too_many_frames"
        if sum(map(len, frames)) > config.max_message_bytes + (0 if client else REPLY_BYTES):
            return "drop_too_large"
        return None

    def count_pause(self) -> None:
        """Count a gap that the loop has credited to every deadline."""
        self._board.count["pauses"] += 1

    def count_event_missed(self) -> None:
        """Count an event for which a slow reader left no room."""
        self._board.count["events_missed"] += 1

    def note_unsent(self, size: int) -> None:
        """Say how many bytes peers have yet to take."""
        self._board.count["unsent_bytes"] = size

    def connection_opened(self, connection: int, now: float | None = None) -> None:
        """A peer connected where workers do; ``connection`` (a descriptor) names it until it closes.

        With ``now``, where only workers do: a person is told of one that says nothing.
        """
        self._board.connections[connection] = None
        self._board.opened += 1
        self._board.serials[connection] = self._board.opened
        if now is not None:
            self._board.silent.refresh(connection, now)
            self._board.handshakes_at[connection] = self._board.handshakes

    def handshake_done(self) -> None:
        """One of the peers that have connected where workers do has finished ZMTP's handshake."""
        self._board.handshakes += 1

    def mismatched(self, side: bytes, now: float) -> None:
        """A peer has come to that side, one of ``SIDES``, whose type of socket can't be connected there."""
        self._board.begin(now)
        notice(self._board, Notice("mismatched", peer=side))
        self._board.handshakes += 1  # what has ended is known: nothing else is told of it

    def connection_closed(self, connection: int, now: float) -> None:
        """A connection is gone.  The worker that spoke on it gets nothing more.

        What it said before may still be unread: it is lost at :meth:`caught_up`, at latest when nothing
        was heard of it for ``heartbeat_interval * liveness``.
        """
        self._board.begin(now)
        handshakes = self._board.handshakes_at.pop(connection, None)
        # None was done since it opened: its own neither.
        if self._board.silent.remove(connection) and handshakes == self._board.handshakes:
            notice(self._board, Notice("no_handshake"))
        self._close_connection(connection)

    def _close_connection(self, connection: int) -> None:
        key = self._board.connections.pop(connection, None)
        if key is not None:
            leave(self._board, self._board.workers[key])

    def client_connected(self, connection: int) -> None:
        """A peer connected where clients do, a worker maybe: see ``workers_at_frontend``."""
        if self._board.workers_at_frontend:
            self.connection_opened(connection + AT_FRONTEND)
        client_connected(self._board, connection)

    def client_left(self, connection: int, now: float) -> None:
        """A client's connection is gone.  Waiting requests of one of our clients on it are to be forgotten.

        At once what came two ticks ago or earlier, and the rest at :meth:`clients_caught_up`.
        """
        self._board.begin(now)
        if self._board.workers_at_frontend:
            self._close_connection(connection + AT_FRONTEND)
        client_left(self._board, connection)

    def has_departures(self) -> bool:
        """Whether :meth:`clients_read` and :meth:`clients_caught_up` are waited for."""
        return bool(self._board.departures)

    def clients_read(self) -> None:
        """All that clients had sent was handed in."""
        clients_read(self._board)

    def clients_caught_up(self) -> None:
        """After :meth:`clients_read` all was told of clients' connections that was known then."""
        clients_caught_up(self._board)

    def has_leaving(self) -> bool:
        """Whether :meth:`caught_up` is waited for."""
        return len(self._board.leaving) > 0

    def has_fronted(self) -> bool:
        """Whether a worker is registered where clients are, which have a socket of their own."""
        return self._board.fronted > 0

    def caught_up(self, now: float, side: int = ANY_SIDE) -> None:
        """All that workers had sent was handed in: those whose connection has closed are lost.

        With ``side``, a side, it was all that had come there.  Their requests are sent to others in
        :meth:`tick`.
        """
        self._board.begin(now)
        lose_leaving(self._board, side)

    def hand_out(self, now: float) -> None:
        """Send waiting requests as long as workers are free, as :meth:`tick` does at its end."""
        dispatch_all(self._board, now)

    # -- what time brings ---------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: fail requests, give up workers, send heartbeats, try full pipes again."""
        self._board.begin(now)
        run_timers(self._board, now)

    def next_deadline(self) -> float | None:
        """When :meth:`tick` has something to do, in the time of ``now``; ``None`` for never."""
        return next_due(self._board)

    def has_blocked(self) -> bool:
        """Whether :meth:`tick` has workers to try again whose pipe was full."""
        return len(self._board.blocked) > 0

    # -- how it ends --------------------------------------------------------------------------

    def drain(self) -> None:
        """From now on shed new requests; go on with those accepted."""
        self._board.draining = True

    def drained(self) -> bool:
        """Whether nothing waits, and nothing is in flight at a worker that is still there."""
        count = self._board.count
        return not count["queued"] and count["in_flight"] == self._board.orphans

    def abort(self, goodbyes: bool = True) -> None:
        """Fail everything that is left, as the broker stops now.

        With ``goodbyes`` clients that understand it and workers of MDP are told; without, nothing
        is sent any more.
        """
        board = self._board
        board.sending_off = not goodbyes
        board.arrivals.clear()
        for request in list(board.requests.values()):
            finish(board, request, "failed", "failed_stopped", Verdict.LATE)
        tell_no_more(board)
        if board.sending_off:
            return
        for worker in list(board.workers.values()):
            if worker.protocol & MDP and not worker.lost:
                goodbye = codec.disconnect_head(worker.identity, worker.protocol, worker.dialect)
                board.outbox(worker.side, goodbye)

    # -- what can be seen ---------------------------------------------------------------------

    def watch_with(self, events: Events | None) -> None:
        """Have ``events(kind, reason, worker, service)`` called for what happens; ``None`` ends it.

        ``kind`` is one of :data:`brigantine.events.KINDS`, ``reason`` a counter, ``worker`` an
        identity or ``None``, ``service`` a name, cut off at ``EVENT_NAME_BYTES``.
        """
        self._board.events = events

    def notice_with(
        self,
        notices: Callable[[Notice], object] | None,
        left_out: Callable[[int], object] = lambda _: None,
        address: Callable[[], str | None] = lambda: None,
        address_on: Callable[[int], str | None] = lambda _: None,
    ) -> None:
        """Have ``notices(notice)`` called with what a person should know; ``None`` ends it.

        A ``notice`` is a ``Notice``.  ``left_out(level)`` is called for each that
        is beyond the bounds; ``address()`` tells where the peer speaks from whose message is being handled,
        ``address_on(connection)`` where that of a connection does.
        """
        self._board.notices = notices
        self._board.leave_out = left_out
        self._board.address = address
        self._board.address_on = address_on

    def packed_services(self) -> bytes:
        """All services, as the answer to SERVICES of ``brigantine.wire.loop``."""
        return pack_services(self._board.services.values())

    def packed_workers(self) -> bytes:
        """All workers, as the answer to WORKERS of ``brigantine.wire.loop``."""
        return pack_workers(self._board.workers.values())

    def counters(self) -> dict[str, int]:
        """All counters by name (see :data:`brigantine.COUNTERS`)."""
        return self._board.counters()

    def idle_workers(self, service: bytes = b"") -> list[bytes]:
        """Identities of the free workers of a service, least recently used first."""
        known = self._board.services.get(service)
        return [] if known is None else [identity for _, identity in known.free]
