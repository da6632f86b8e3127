"""Endpoints: checked before anything is bound or connected, so that the error can name the mistake."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket as posix_socket
import stat
import time
from collections.abc import Iterable, Mapping, Sequence

import zmq

from ..errors import BindError, ConfigError, ConnectError, OptionName, WrongUse
from ..validation.values import shown
from .binding import NOT_HERE, shown_as, ways_to_bind
from .mismatch import inproc_bound, inproc_connected, tell

__all__ = [
    "as_control_endpoints",
    "as_endpoints",
    "as_several",
    "bind",
    "bind_private",
    "connect",
    "disconnect",
    "is_private",
    "wait_until_free",
]

_INPROC = "inproc://"
TRANSPORTS = ("tcp", "ipc", "inproc")
#: What holds an endpoint's text, and is no string.
_BYTES = (bytes, bytearray, memoryview)

#: Permissions of an ipc path that is for this user alone.
_PRIVATE = 0o600

#: Seconds between looks whether an endpoint is free.
_FREE_CHECK = 0.001

_TCP = re.compile(r"(?P<host>\[[0-9a-fA-F:.%\w]*\]|[^:\[\]/]+):(?P<port>\*|\d{1,5})\Z")


def as_endpoints(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """One endpoint or several as a tuple, each of them checked.

    Raises :class:`~brigantine.errors.ConfigError` for none, or one that can't be used.
    """
    endpoints = as_several(value, what)
    if not endpoints:
        raise ConfigError(
            OptionName(what), ": at least one endpoint is needed, such as tcp://127.0.0.1:5555"
        )
    for endpoint in endpoints:
        _check(endpoint, what)
    return endpoints


def as_several(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """One endpoint or several as a tuple, not yet checked.

    Raises :class:`~brigantine.errors.ConfigError` for what is neither a string nor holds any.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (*_BYTES, Mapping)) or not isinstance(value, Iterable):
        raise WrongUse(
            OptionName(what),
            f": an endpoint is a string such as 'tcp://127.0.0.1:5555', or a list of them, "
            f"not {shown(value)}{_decoded(value)}",
        )
    return tuple(value)


def _decoded(value: object) -> str:
    """What to do with an endpoint of bytes."""
    if not isinstance(value, _BYTES):
        return ""
    return f"; pass {shown(bytes(value).decode(errors='replace'))}"


def as_control_endpoints(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """Endpoints as ``as_endpoints`` has them, none of which another machine can reach.

    Raises :class:`~brigantine.errors.ConfigError` for one that is neither loopback TCP nor ipc or
    inproc.
    """
    endpoints = as_endpoints(value, what)
    for endpoint in endpoints:
        if not is_private(endpoint):
            raise ConfigError(
                OptionName(what),
                f": {endpoint!r} can be reached from other machines, and control has no "
                "encryption: whoever reaches it could stop the broker. Use tcp://127.0.0.1:PORT "
                "or ipc://PATH (from another machine: through a tunnel, such as ssh -L)",
            )
    return endpoints


def is_private(endpoint: str) -> bool:
    """Whether nobody but this machine can reach an endpoint."""
    return not endpoint.startswith("tcp://") or _is_loopback(endpoint)


def _is_loopback(endpoint: str) -> bool:
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(endpoint: object, what: str) -> None:
    if not isinstance(endpoint, str):
        raise WrongUse(
            OptionName(what),
            f": an endpoint is a string, not {shown(endpoint)}{_decoded(endpoint)}",
        )
    transport, found, address = endpoint.partition("://")
    if not found or transport not in TRANSPORTS:
        raise ConfigError(
            OptionName(what),
            f": {endpoint!r} must begin with tcp://, ipc:// or inproc://, "
            "such as tcp://127.0.0.1:5555",
        )
    if not address:
        raise ConfigError(OptionName(what), f": {endpoint!r} has no address behind {transport}://")
    if "\0" in endpoint:
        raise ConfigError(OptionName(what), f": {endpoint!r} has a NUL character")
    if transport == "tcp":
        match = _TCP.match(address)
        if match is None:
            raise ConfigError(
                OptionName(what), f": {endpoint!r} must be tcp://HOST:PORT (PORT a number or *)"
            )
        if match["port"] != "*" and int(match["port"]) > 65535:
            raise ConfigError(OptionName(what), f": {endpoint!r} has a port above 65535")
    elif transport == "ipc" and len(os.fsencode(address)) > zmq.IPC_PATH_MAX_LEN > 0:
        raise ConfigError(
            OptionName(what),
            f": {endpoint!r} has a path of over {zmq.IPC_PATH_MAX_LEN} bytes, "
            "the most that this system takes",
        )


def bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind and return the real endpoint (the port that a wildcard got).

    Raises :class:`~brigantine.errors.BindError`, also for an ipc path on which somebody listens, or
    at which there is something else than a socket: libzmq would remove it without a word.
    """
    if endpoint.startswith("ipc://"):
        _check_ipc_path(endpoint)
    *others, last = ways_to_bind(endpoint)
    for way in (*others, last):
        socket.ipv6 = way.ipv6
        try:
            socket.bind(way.endpoint)
            break
        except zmq.ZMQError as error:
            if way is last or error.errno not in NOT_HERE:
                raise BindError(
                    error.errno, f"can't bind {endpoint}: {_reason(error, endpoint)}"
                ) from None
    if endpoint.startswith(_INPROC) and (words := inproc_bound(socket, endpoint)):
        tell(int(socket.type), endpoint, words)
    return shown_as(endpoint, socket.getsockopt_string(zmq.LAST_ENDPOINT))


def bind_private(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind, and let nobody but this user connect to an ipc path; return the real endpoint.

    Raises :class:`~brigantine.errors.BindError`.
    """
    real = bind(socket, endpoint)
    transport, _, path = real.partition("://")
    if transport == "ipc" and not path.startswith("@"):  # an abstract name has no permissions
        try:
            os.chmod(path, _PRIVATE)
        except OSError as error:
            raise BindError(
                error.errno, f"can't make {real} private: {error.strerror or error}"
            ) from None
    return real


def wait_until_free(endpoints: Iterable[str], timeout: float) -> None:
    """Wait until nobody listens at tcp and ipc endpoints of closed sockets, at most ``timeout`` seconds.

    For a context that goes on: the end of a context waits for all its sockets by itself.
    """
    deadline = time.monotonic() + timeout
    for endpoint in endpoints:
        while _taken(endpoint) and time.monotonic() < deadline:
            time.sleep(_FREE_CHECK)


def _taken(endpoint: str) -> bool:
    transport, _, address = endpoint.partition("://")
    if transport == "ipc":
        return _ipc_in_use(address)
    if transport != "tcp":
        return False
    host, _, port = address.rpartition(":")
    family = posix_socket.AF_INET6 if host.startswith("[") else posix_socket.AF_INET
    with posix_socket.socket(family, posix_socket.SOCK_STREAM) as probe:
        probe.setsockopt(posix_socket.SOL_SOCKET, posix_socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Start to connect.

    Raises :class:`~brigantine.errors.ConnectError` when it can't be tried, or what is known to be bound
    there over inproc is of a type that does not fit: libzmq would say nothing, for ever.
    """
    if endpoint.startswith(_INPROC) and (words := inproc_connected(socket, endpoint)):
        raise ConnectError(errno.EPROTOTYPE, words)
    socket.ipv6 = _is_ipv6(endpoint)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise ConnectError(
            error.errno, f"can't connect to {endpoint}: {_reason(error, endpoint)}"
        ) from None


def disconnect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """End a connection at once.  Raises :class:`zmq.ZMQError` where there is none."""
    socket.ipv6 = _is_ipv6(endpoint)  # libzmq reads the endpoint again
    linger = socket.linger
    socket.linger = 0  # or libzmq would go on connecting for as long, to send what is left
    try:
        socket.disconnect(endpoint)
    finally:
        socket.linger = linger


def _is_ipv6(endpoint: str) -> bool:
    """Whether it has numbers of IPv6; in front of them may stand an address to connect from."""
    return endpoint.startswith("tcp://") and "[" in endpoint


#: Why an address can't be had, by transport.
_IN_USE = {
    "tcp": "the address is in use; choose another port, or 0 or * for any free one",
    "ipc": "the address is in use; choose another path",
    "inproc": "another socket of this context is bound there; choose another name",
}
_REASONS = {
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENODEV: "this machine has no such network interface or address",
    errno.EACCES: "permission denied",
    errno.ENOENT: "no such directory",
    errno.EINVAL: "not a valid endpoint",
    errno.EMFILE: "too many open files (see ulimit -n)",
}


def _reason(error: zmq.ZMQError, endpoint: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return _IN_USE[endpoint.partition("://")[0]]
    return _REASONS.get(error.errno or 0, str(error.strerror or error))


#: What may be at an ipc path, beside a socket.
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
}


def _check_ipc_path(endpoint: str) -> None:
    """Raise :class:`~brigantine.errors.BindError` for a path that is somebody else's."""
    path = endpoint.removeprefix("ipc://")
    if path == "*":  # libzmq makes one
        return
    if _ipc_in_use(path):
        raise BindError(errno.EADDRINUSE, f"can't bind {endpoint}: another process listens there")
    # Also for an abstract name, which is no file: libzmq removes a file called "@name" all the same.
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return  # nothing is there, or libzmq will say what is wrong
    if not stat.S_ISSOCK(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something")
        raise BindError(
            errno.EEXIST,
            f"can't bind {endpoint}: {kind} is there, which is no socket; choose another path, or "
            "remove it yourself if nobody needs it",
        )


def _ipc_in_use(path: str) -> bool:
    """Whether the path or abstract name of an ipc endpoint is a socket that some process has open."""
    address = "\0" + path[1:] if path.startswith("@") else path
    with posix_socket.socket(posix_socket.AF_UNIX, posix_socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # EPROTOTYPE: it takes datagrams.
        return probe.connect_ex(address) in (0, errno.EAGAIN, errno.EPROTOTYPE)
