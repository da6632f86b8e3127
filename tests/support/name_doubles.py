"""Stand-ins for the system's resolver."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

Answer = Callable[[], "list[tuple[int, str]]"]


class Names:
    """Stands in for the system's resolver: name -> what gives its families and addresses."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.go = threading.Event()

    def never(self) -> list[tuple[int, str]]:
        """No answer before the end of the test."""
        self.go.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def unknown(self) -> list[tuple[int, str]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        found = self.answers[host]()
        return [(family, socket.SOCK_STREAM, 6, "", (address, 0)) for family, address in found]


def v4(*addresses: str) -> Answer:
    return lambda: [(socket.AF_INET, each) for each in addresses]


def named(endpoint: str, name: str = "broker.test") -> str:
    return f"tcp://{name}:{endpoint.rpartition(':')[2]}"
