from typing import Any

import zmq

class Line:
    count: int
    def __init__(self, socket: zmq.Socket[Any], count: int) -> None: ...

def peer_name(number: int) -> bytes: ...
