"""The client of Majordomo for threads."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

from ..wire.body import request_frames
from ..wire.msgpack_body import packed, unpacked
from .base import ClientBase
from .common import ServiceClient

__all__ = ["MajordomoClient"]


class MajordomoClient(ServiceClient, ClientBase):
    """A client that asks services by name, and asks again when a broker is silent::

        with MajordomoClient("tcp://127.0.0.1:5555") as client:
            reply = client.request("echo", b"hello")
            for part in client.stream("search", b"words"):
                print(part)
            total = client.call("sum", [1, 2, 3])

    Workers register with a Majordomo broker for a service, such as ``"echo"``.  A client names the service,
    and the broker finds a free worker for it and passes back its reply.  They speak the Majordomo Protocol,
    MDP.  In version 0.2 a worker may reply in parts: any number of PARTIALs, then one FINAL.

    - ``brokers``: the clients' endpoint of a broker, or several in order of preference.  Requests go to the
      first that is not silent.  They return to the first broker once it is back; probing it never delays
      a request (docs/clients.md).
    - ``context``: the ``zmq.Context`` of the sockets, which inproc endpoints need; by default the client
      has its own.
    - ``options``: the fields of :class:`~brigantine.ClientConfig`, listed below.

    ``timeout`` should outlast the work and its wait for a worker: after it the request is sent again,
    and may be carried out twice (docs/timeouts.md).  The pauses before a broker is asked again are of
    random length.  Version ``"0.2"`` of the protocol has replies in parts; ``"0.1"`` is for brokers that
    know no other.

    Any number of threads may use one client at once, and it keeps working in a forked child.  A service is
    ``bytes``, or ``str``, which is sent as UTF-8.  The broker itself answers services whose names begin
    with ``mmi.``:  ``mmi.service`` with a name as body answers ``b"200"`` or ``b"404"``.  A try without
    a reply may still have been carried out: make requests that can safely run twice.

    A reply of MDP names its service but not its request.  So that a late reply never answers another
    request, each waiting request has its own DEALER socket (idle ones are kept), and a try that is given up
    closes it.  This works with any broker and both versions.  Request numbers in an address stack would
    not: 0.2 has no delimiter to end the stack, and well-known brokers of 0.1 drop messages that have
    one.  (If a broker answers one request twice, the second answer can still be misread when it arrives
    after the next request; brigantine's brokers never do this.)  The price is a connection for each
    waiting request, so ``ulimit -n`` limits how many can wait at once.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint, number or version that can't work.
    Source: ZeroMQ RFC 7/MDP, 18/MDP and 8/MMI.
    """

    def request(
        self,
        service: bytes | str,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """Ask ``service`` and return the reply: ``bytes`` if it is one frame, else a list of them.

        A reply in parts is returned as one, the frames of all parts in order.  ``timeout`` (seconds for
        one try, to the end of the reply) and ``retries`` replace the client's own.

        Raises:

        - :class:`~brigantine.errors.NoReply` when all tries met silence, or one of its subclasses:
          :class:`~brigantine.errors.NoService` when no worker offers the service,
          :class:`~brigantine.errors.Busy` when the brokers turned the request away,
          :class:`~brigantine.errors.Expired` when the last try ran out of time at the broker;
        - :class:`~brigantine.errors.WorkerFailed` when the worker's function raised;
        - :class:`~brigantine.errors.ClientClosed` when the client is closed, before or meanwhile;
        - :class:`~brigantine.errors.ConnectError` when no socket can be opened;
        - :class:`~brigantine.errors.ConfigError` for a service or a body that can't be sent.
        """
        frames = partial(request_frames, body)
        return self._ask(self._of_service(service, frames, timeout, retries))

    def stream(
        self,
        service: bytes | str,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> Generator[bytes | list[bytes], None, None]:
        """Ask ``service`` and yield the parts of the reply as they arrive: PARTIALs, then the FINAL.

        A FINAL of one empty frame only ends the PARTIALs before it and is not yielded; without PARTIALs
        it is the reply.

        The request is sent when the first part is asked for.  ``timeout`` is how many seconds a part
        may take; time that the caller spends on a part does not count.  A caller that is slow for long
        should collect the parts first: beyond some thousands of waiting messages the broker cuts the
        reply off, and NoReply is raised after the parts that got through.  Once a part was yielded
        there are no more tries, since parts would come twice.  With ``version="0.1"`` the whole reply
        is the one part.  To leave a stream early, discard the iterator or ``close()`` it.

        Raises what :meth:`request` raises:  ConfigError at once, the others from the iterator.  The
        error of a worker that has sent parts is raised after these.
        """
        frames = partial(request_frames, body)
        return self._parts(self._of_service(service, frames, timeout, retries, stream=True))

    def call(
        self,
        service: bytes | str,
        obj: object,
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> Any:
        """Send ``obj`` as msgpack and return the decoded reply.

        Raises what :meth:`request` raises; :class:`~brigantine.errors.WorkerFailed` also for a reply
        that is not one frame of msgpack.
        """
        pending = self._of_service(service, lambda: [packed(obj)], timeout, retries)
        return unpacked(self._ask(pending), pending.service)
