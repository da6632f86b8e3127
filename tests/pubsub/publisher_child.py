"""A publisher alone in a process, told what to do in lines: publisher_child.py ENDPOINT NAME INTERVAL."""

from __future__ import annotations

import sys
import weakref

# As other libraries make them, before pyzmq's own end is registered.
weakref.finalize(sys.modules[__name__], print, end="")

from brigantine import Publisher  # noqa: E402


def main() -> None:
    endpoint, name, interval = sys.argv[1:]
    publisher = Publisher(endpoint, name=name, heartbeat_interval=float(interval), linger=5)
    print("ready", publisher.endpoint, flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "publish":  # TOPIC COUNT
            for number in range(int(rest[1])):
                publisher.publish(rest[0], b"%d" % number)
        elif word == "wait":
            publisher.wait_ready(30, subscribers=int(rest[0]))
        elif word == "return":
            return  # at once after the last message, with no close()
        print("done", word, flush=True)


if __name__ == "__main__":
    main()
