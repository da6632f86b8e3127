from .line import Line

CLIENT_COUNTS: tuple[str, ...]

class Clients:
    def __init__(
        self, line: Line, protocol: int, window: int, size: int, service: bytes, timeout: float
    ) -> None: ...
    def counts(self) -> dict[str, int]: ...
