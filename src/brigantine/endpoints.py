"""Endpoints: checked before anything is bound or connected, so that the error can name the mistake."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket as posix_socket
from collections.abc import Sequence

import zmq

from .errors import BindError, ConfigError, ConnectError

__all__ = ["as_control_endpoints", "as_endpoints", "bind", "bind_private", "connect"]

TRANSPORTS = ("tcp", "ipc", "inproc")

#: Permissions of an ipc path that is for this user alone.
_PRIVATE = 0o600

_TCP = re.compile(r"(?P<host>\[[0-9a-fA-F:.%\w]*\]|[^:\[\]/]+):(?P<port>\*|\d{1,5})\Z")


def as_endpoints(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """One endpoint or several as a tuple, each of them checked.

    Raises :class:`~brigantine.errors.ConfigError` for none, or one that can't be used.
    """
    endpoints = (value,) if isinstance(value, str) else tuple(value)
    if not endpoints:
        raise ConfigError(f"{what}: at least one endpoint is needed, such as tcp://127.0.0.1:5555")
    for endpoint in endpoints:
        _check(endpoint, what)
    return endpoints


def as_control_endpoints(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """Endpoints as ``as_endpoints`` has them, none of which another machine can reach.

    Raises :class:`~brigantine.errors.ConfigError` for one that is neither loopback TCP nor ipc or
    inproc.
    """
    endpoints = as_endpoints(value, what)
    for endpoint in endpoints:
        if endpoint.startswith("tcp://") and not _is_loopback(endpoint):
            raise ConfigError(
                f"{what}: {endpoint!r} can be reached from other machines, and control has no "
                "encryption: whoever reaches it could stop the broker. Use tcp://127.0.0.1:PORT "
                "or ipc://PATH (from another machine: through a tunnel, such as ssh -L)"
            )
    return endpoints


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
        raise ConfigError(f"{what}: an endpoint is a string, not {endpoint!r}")
    transport, found, address = endpoint.partition("://")
    if not found or transport not in TRANSPORTS:
        raise ConfigError(
            f"{what}: {endpoint!r} must begin with tcp://, ipc:// or inproc://, "
            "such as tcp://127.0.0.1:5555"
        )
    if not address:
        raise ConfigError(f"{what}: {endpoint!r} has no address behind {transport}://")
    if "\0" in endpoint:
        raise ConfigError(f"{what}: {endpoint!r} has a NUL character")
    if transport == "tcp":
        match = _TCP.match(address)
        if match is None:
            raise ConfigError(f"{what}: {endpoint!r} must be tcp://HOST:PORT (PORT a number or *)")
        if match["port"] != "*" and int(match["port"]) > 65535:
            raise ConfigError(f"{what}: {endpoint!r} has a port above 65535")
    elif transport == "ipc" and len(os.fsencode(address)) > zmq.IPC_PATH_MAX_LEN > 0:
        raise ConfigError(
            f"{what}: {endpoint!r} has a path of over {zmq.IPC_PATH_MAX_LEN} bytes, "
            "the most that this system takes"
        )


def bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind and return the real endpoint (the port that a wildcard got).

    Raises :class:`~brigantine.errors.BindError`, also for an ipc path on which somebody listens:
    libzmq would take it from them without a word.
    """
    if endpoint.startswith("ipc://") and _ipc_in_use(endpoint.removeprefix("ipc://")):
        raise BindError(errno.EADDRINUSE, f"can't bind {endpoint}: another process listens there")
    socket.ipv6 = endpoint.startswith("tcp://[")
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise BindError(error.errno, f"can't bind {endpoint}: {_reason(error)}") from None
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


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


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Start to connect.  Raises :class:`~brigantine.errors.ConnectError` when it can't be tried."""
    socket.ipv6 = endpoint.startswith("tcp://[")
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise ConnectError(error.errno, f"can't connect to {endpoint}: {_reason(error)}") from None


_REASONS = {
    errno.EADDRINUSE: "the address is in use; choose another port, or 0 or * for any free one",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENODEV: "this machine has no such network interface or address",
    errno.EACCES: "permission denied",
    errno.ENOENT: "no such directory",
    errno.EINVAL: "not a valid endpoint",
    errno.EMFILE: "too many open files (see ulimit -n)",
}


def _reason(error: zmq.ZMQError) -> str:
    return _REASONS.get(error.errno or 0, str(error.strerror or error))


def _ipc_in_use(path: str) -> bool:
    """Whether a process accepts connections on the path of an ipc endpoint."""
    if path in ("*", ""):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    with posix_socket.socket(posix_socket.AF_UNIX, posix_socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(address) in (0, errno.EAGAIN)
