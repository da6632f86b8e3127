from .line import Line

WORKER_COUNTS: tuple[str, ...]

class Workers:
    def __init__(
        self,
        line: Line,
        protocol: int,
        service: bytes,
        capacity: int,
        interval: float,
        liveness: int,
    ) -> None: ...
    def start(self) -> None: ...
    def goodbye(self) -> None: ...
    def counts(self) -> dict[str, int]: ...
    def shares(self) -> list[int]: ...
