"""``brigantine publish``: messages from the command line or standard input, under one topic."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from ..config.pubsub import PublisherConfig
from ..config.table import rows
from ..devices.ends import BIND, CONNECT
from ..errors import ConfigError, NotReady, OptionName
from ..pubsub.publisher import Publisher
from .ended import Ended
from .exit_codes import DONE, FAILED
from .options import add_config_options, options_from
from .output import complain, log_to_stderr
from .process_options import add_log_level
from .pubsub_options import add_endpoints, add_waiting
from .stopping import StopRequests
from .values import reachable

__all__ = ["HELP", "NAME", "add_to"]

NAME = "publish"
HELP = "Publish one message, or a message for each line of standard input."

#: Bytes of standard input that are read at once.
_READ_SIZE = 65536
#: Seconds after which it is told who is waited for.
_TOLD_AFTER = 2.0

_EPILOG = """\
EP is bound. With > in front it is connected to, for instance at a forwarder (quote it in the shell:
'>tcp://HOST:PORT').

The command waits until subscribers are there, so that the first message reaches them. Subscribers of
other programs never announce themselves: use --subscribers 0 for them; messages sent before they have
subscribed are lost. The exit code is 1 when no subscriber came, or when messages had not left within
--linger seconds of the end.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine publish`` understands."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run)
    add_endpoints(
        parser,
        "endpoint for subscribers, or '>EP' of a forwarder's frontend; may be given several times",
    )
    add_waiting(parser, "--subscribers", "subscribers", 10.0, "for them (default 10)")
    parser.add_argument("--name", help="the name that subscribers see (default: made up)")
    add_log_level(parser, "warning")
    add_config_options(parser, PublisherConfig())
    parser.add_argument("topic", metavar="TOPIC", help="the topic")
    parser.add_argument(
        "body",
        metavar="BODY",
        nargs="?",
        default="-",
        help="the message; - publishes each line of standard input as it arrives (the default)",
    )


def _run(arguments: argparse.Namespace) -> int:
    bare = [each.removeprefix(CONNECT).removeprefix(BIND) for each in arguments.endpoints]
    reachable(bare, "endpoints")
    if arguments.body == "-" and sys.stdin is None:
        raise ConfigError("BODY is -, but standard input is closed")
    log_to_stderr(arguments.log_level)
    with StopRequests() as stops, _made(arguments) as publisher:
        work = Ended(lambda: _publish(publisher, arguments), stops)
        stops.wait_first()
        unsent = publisher.close()
        work.check()
        published = publisher.stats()["published"]
    if arguments.body != "-" and not published:
        complain("the message was not published: stopped before there were subscribers")
        return FAILED
    if unsent:
        complain(f"{unsent} messages had not left for all subscribers; see --linger")
        return FAILED
    return DONE


def _made(arguments: argparse.Namespace) -> Publisher:
    return Publisher(
        arguments.endpoints, name=arguments.name, **options_from(arguments, rows(PublisherConfig))
    )


def _publish(publisher: Publisher, arguments: argparse.Namespace) -> None:
    if arguments.subscribers:
        _wait_ready(publisher, arguments.subscribers, arguments.timeout)
    topic = os.fsencode(arguments.topic)
    for body in _bodies(arguments.body, publisher.config.max_message_bytes):
        publisher.publish(topic, body)


def _wait_ready(publisher: Publisher, subscribers: int, timeout: float | None) -> None:
    """Wait for subscribers, and say so where they are long in coming.  Raises what wait_ready() does."""
    if timeout is None or timeout > _TOLD_AFTER:
        try:
            publisher.wait_ready(_TOLD_AFTER, subscribers)
        except NotReady as error:
            timeout = None if timeout is None else timeout - _TOLD_AFTER
            complain(
                f"waiting for subscribers of brigantine: wanted are {subscribers}, there are "
                f"{error.confirmed}. Others never announce themselves: --subscribers 0 waits for none"
            )
        else:
            return
    publisher.wait_ready(timeout, subscribers)


def _bodies(word: str, most: int) -> Iterator[bytes]:
    """The message as it was typed, or the lines of standard input without their ends."""
    if word == "-":
        # Past Python's own buffer: a thread that waits in that would end the process in disorder.
        yield from _lines(sys.stdin.fileno(), most)
    else:
        yield os.fsencode(word)


def _lines(descriptor: int, most: int) -> Iterator[bytes]:
    """What is read there, line by line.

    Raises :class:`~brigantine.errors.ConfigError` for a line of more than ``most`` bytes, as soon as these
    are there: one without an end would fill the memory.
    """
    number, last = 1, bytearray()
    while data := os.read(descriptor, _READ_SIZE):
        first, *others = data.split(b"\n")
        last += first
        for each in others:
            yield _checked(last.removesuffix(b"\r"), most, number)
            number, last = number + 1, bytearray(each)
        if len(last) > most + len(b"\r"):
            _checked(last, most, number)
    if last:
        yield _checked(last, most, number)


def _checked(line: bytearray, most: int, number: int) -> bytes:
    if len(line) > most:
        raise ConfigError(
            f"line {number} of standard input has more than {most} bytes, the most that a message may "
            "have; end it sooner, or raise ",
            OptionName("max_message_bytes"),
        )
    return bytes(line)
