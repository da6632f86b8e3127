from collections.abc import Iterable, Mapping
from types import ModuleType

MDP_BYTES: dict[str, bytes | int]
PPP_BYTES: dict[str, bytes | int]
REQ_BYTES: dict[str, bytes | int]

def check_bytes(
    codec: str, here: Mapping[str, bytes | int], wire: ModuleType, names: Iterable[str]
) -> None: ...
