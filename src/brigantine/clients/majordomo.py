"""The client of Majordomo for threads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, ClassVar, Literal

import zmq

from ..config import CLIENT_BACKOFF, CLIENT_BACKOFF_MAX, CLIENT_TIMEOUT, BrokerConfig
from ..net.arguments import service_name
from ..validation.calls import called_rightly
from ..wire.body import request_frames
from ..wire.msgpack_body import packed, unpacked
from .base import ClientBase
from .codec import mdp_codec
from .counters import MDP_STATS
from .limits import Limits

__all__ = ["MajordomoClient"]


class MajordomoClient(ClientBase):
    """A client that asks services by name, and asks again when a broker is silent.

    Workers register with a Majordomo broker for a service, such as ``"echo"``.  A client names the
    service, and the broker finds a free worker of it and hands back its reply.  What the three say
    to each other is the Majordomo Protocol, MDP; in its version 0.2 a worker may reply in parts:
    any number of PARTIALs, then one FINAL.

    ``brokers`` is the clients' endpoint of a Majordomo broker, or several in order of preference:
    requests go to the first that is not silent, on silence to the next in turn, and to the first
    again when it is back, which is found out at no request's expense while it is dead or stopped
    (docs/clients.md).  ``timeout`` is seconds for one try, and should outlast the work with its wait for
    a worker: after it the request is sent again, and may be carried out twice (docs/timeouts.md).
    ``retries`` is how many tries may follow the first that met silence: by default 1, with several
    brokers as many as ask each of them once.  With several brokers the timeout should be no more than their
    ``heartbeat_interval * liveness``.  Before a retry to a broker that this request has tried already
    there is a pause, drawn evenly from 0 to a bound that begins at ``backoff`` seconds and doubles up
    to ``backoff_max``.  A request of more than ``max_request_bytes`` is refused before it is sent: let
    them be the broker's ``max_message_bytes``, whose default they have.  ``version`` is the protocol to
    speak: ``"0.2"`` has replies in parts,
    ``"0.1"`` is for brokers that know no other.  With ``context`` the sockets live in that
    ``zmq.Context``, which inproc endpoints need::

        with MajordomoClient("tcp://127.0.0.1:5555") as client:
            reply = client.request("echo", b"hello")
            for part in client.stream("search", b"words"):
                print(part)
            total = client.call("sum", [1, 2, 3])

    One client serves any number of threads at once, and goes on working in a forked child.
    A service is ``bytes``, or ``str``, which is sent as UTF-8.  Services whose names begin with
    ``mmi.`` are answered by the broker: ``mmi.service`` with a name as body answers ``b"200"`` or
    ``b"404"``.  A try that got no reply may still have been carried out: make requests that can
    safely run twice.

    A reply of MDP names its service and not its request.  So that a late reply never answers another
    request, each request that waits has a DEALER socket to itself (idle ones are kept), and a
    try that is given up closes it.  This works with any broker and both versions, which request
    numbers in an address stack would not: 0.2 has no delimiter to end the stack, and well-known
    brokers of 0.1 drop messages that have one.  (A broker that answers one request twice can still be
    misread, where the second answer comes behind the next request; brigantine's never do.)  Its price
    is a connection for each request that waits, so ``ulimit -n`` bounds how many can wait at once.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint, number or version that can't
    work.  Source: ZeroMQ RFC 7/MDP, 18/MDP and 8/MMI.
    """

    _kind: ClassVar[int] = zmq.DEALER
    _stats: ClassVar[dict[str, str]] = MDP_STATS

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        *,
        timeout: float = CLIENT_TIMEOUT,
        retries: int | None = None,
        backoff: float = CLIENT_BACKOFF,
        backoff_max: float = CLIENT_BACKOFF_MAX,
        max_request_bytes: int = BrokerConfig.max_message_bytes,
        version: Literal["0.1", "0.2"] = "0.2",
        context: zmq.Context[Any] | None = None,
    ) -> None:
        self._codec = self._service_codec = mdp_codec(version)
        limits = Limits(timeout, retries, backoff, backoff_max, max_request_bytes)
        super().__init__(brokers, limits, context)

    def request(
        self,
        service: bytes | str,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """Ask ``service`` and return the reply: ``bytes`` if it is one frame, else a list of them.

        A reply in parts is returned as one, the frames of all parts in order.  ``timeout`` (seconds
        for one try, to the end of the reply) and ``retries`` replace the client's own.

        Raises :class:`~brigantine.errors.NoReply` when all tries met silence, and of its kinds
        :class:`~brigantine.errors.NoService` when no worker offers the service,
        :class:`~brigantine.errors.Busy` when the brokers turned the request away and
        :class:`~brigantine.errors.Expired` when the last try ran out of time at the broker,
        :class:`~brigantine.errors.WorkerFailed` when the worker's function raised,
        :class:`~brigantine.errors.ClientClosed` when the client is, or gets, closed,
        :class:`~brigantine.errors.ConnectError` when no socket can be opened,
        :class:`~brigantine.errors.ConfigError` for a service or a body that can't be sent.
        """
        codec = self._codec(service_name(service))
        return self._ask(self._pending(codec, request_frames(body), timeout, retries))

    def stream(
        self,
        service: bytes | str,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> Generator[bytes | list[bytes], None, None]:
        """Ask ``service`` and give the parts of the reply as they come: PARTIALs, then the FINAL.

        A FINAL of one empty frame only ends the PARTIALs before it, and is not given; with none
        before it, it is a reply.

        The request is sent when the first part is asked for.  ``timeout`` is how many seconds a
        part may take; time that the caller spends on a part does not count.  A caller that is slow
        for long should take the parts first: beyond some thousands that wait, the broker cuts the
        reply off, and NoReply comes after the parts that got through.  Once a part was given there
        are no more tries, since parts would come twice.  With ``version="0.1"`` the whole reply is
        the one part.  To leave a stream early, let go of the iterator or ``close()`` it.

        Raises what :meth:`request` raises: ConfigError at once, the others from the
        iterator.  The error of a worker that has sent parts comes after these.
        """
        codec = self._codec(service_name(service))
        frames = request_frames(body)
        return self._parts(self._pending(codec, frames, timeout, retries, stream=True))

    def call(
        self,
        service: bytes | str,
        obj: object,
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> Any:
        """Send ``obj`` as msgpack and return what the reply stands for.

        Raises what :meth:`request` raises; :class:`~brigantine.errors.WorkerFailed` also for a
        reply that is not one frame of msgpack.
        """
        codec = self._codec(service_name(service))
        reply = self._ask(self._pending(codec, [packed(obj)], timeout, retries))
        return unpacked(reply, codec.service)
