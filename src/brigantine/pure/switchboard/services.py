"""Services by name: created when needed, forgotten when nobody needs them."""

from __future__ import annotations

from ..wire.messages import Command
from .board import Board
from .records import Service, Worker

__all__ = [
    "find_service",
    "give_places",
    "is_vacant",
    "leave_service",
    "mark_dirty",
    "service_name",
    "take_place",
]


def service_name(board: Board, frames: list[bytes], command: Command) -> bytes:
    """The service that a request or a READY is for."""
    return board.default_service if command.service < 0 else frames[command.service]


def find_service(board: Board, name: bytes, *, by_worker: bool) -> Service | None:
    """The service of that name, made known if need be; ``None`` beyond the bound.

    The bound is for clients, who can name any number of services: a worker has a connection.
    """
    service = board.services.get(name)
    if service is None and (by_worker or len(board.services) < board.config.max_services):
        service = board.services[name] = Service(name, board.services_made)
        board.services_made += 1
    return service


def leave_service(board: Board, service: Service) -> None:
    """A worker or a request needs it no longer."""
    service.users -= 1
    if not service.users:
        del board.services[service.name]


def is_vacant(board: Board, name: bytes) -> bool:
    """Whether nobody offers the service of that name."""
    service = board.services.get(name)
    return service is None or not service.workers


def mark_dirty(board: Board, service: Service) -> None:
    """A request or a worker of this service may go on: see ``dispatch.dispatch_all``."""
    board.dirty_services[service] = None


def take_place(worker: Worker) -> None:
    """A worker holds one more."""
    worker.service.unoccupied -= not worker.occupied
    worker.occupied += 1
    worker.service.in_hand += 1


def give_places(worker: Worker, places: int) -> None:
    """A worker holds this many less."""
    worker.service.unoccupied += worker.occupied == places > 0
    worker.occupied -= places
    worker.service.in_hand -= places
