"""``brigantine subscribe``: prints what is published under some topics, a line a message."""

from __future__ import annotations

import argparse
import os
import sys

from ..config.pubsub import SubscriberConfig
from ..config.table import rows
from ..errors import NoPublisher
from ..pubsub.message import Message
from ..pubsub.subscriber import Subscriber
from .ended import Ended
from .exit_codes import DONE, FAILED
from .options import add_config_options, options_from
from .output import complain, log_to_stderr, write
from .process_options import add_log_level
from .pubsub_options import add_endpoints
from .reasons import ENDED
from .stopping import StopRequests
from .values import at_least_one, reachable, seconds

__all__ = ["HELP", "NAME", "add_to"]

NAME = "subscribe"
HELP = "Print what is published under some topics."

_EPILOG = """\
Prints a line for each message: topic, a space, and the body; bytes that are no printable text are
escaped. With --long, publisher and number come first. Standard error says what was missed, and when
nothing is heard from any publisher. Ctrl-C or SIGTERM ends it. The exit code is 1 when --timeout has
passed without a message.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine subscribe`` understands."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run)
    add_endpoints(
        parser,
        "endpoint of a publisher, or of a forwarder's backend; if given several times, the others are "
        "its spares",
    )
    parser.add_argument(
        "--count", type=at_least_one, metavar="N", help="end after this many messages"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="end when no message arrived for this long (default: never)",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--raw", action="store_true", help="print only bodies, unchanged, one a line"
    )
    shape.add_argument(
        "--long", action="store_true", help="print publisher and number before each message"
    )
    add_log_level(parser, "warning")
    add_config_options(parser, SubscriberConfig())
    parser.add_argument(
        "topics", metavar="TOPIC", nargs="+", help="the beginning of topics; '' means all"
    )


def _run(arguments: argparse.Namespace) -> int:
    endpoints = reachable(arguments.endpoints, "endpoints")
    log_to_stderr(arguments.log_level)
    with StopRequests() as stops, _made(arguments, endpoints) as subscriber:
        printing = _Printing(subscriber, arguments)
        work = Ended(printing.run, stops)
        why = stops.wait_first()
        subscriber.close()
        work.check()
    return FAILED if why == ENDED and printing.timed_out else DONE


def _made(arguments: argparse.Namespace, endpoints: tuple[str, ...]) -> Subscriber:
    topics = [os.fsencode(topic) for topic in arguments.topics]
    return Subscriber(endpoints, topics, **options_from(arguments, rows(SubscriberConfig)))


class _Printing:
    def __init__(self, subscriber: Subscriber, arguments: argparse.Namespace) -> None:
        self._subscriber, self._arguments = subscriber, arguments
        self.timed_out = False

    def run(self) -> None:
        """Print until there is a reason to end."""
        left = self._arguments.count
        while left is None or left > 0:
            try:
                message = self._subscriber.recv(self._arguments.timeout)
            except NoPublisher as error:
                complain(str(error))
                continue
            if message is None:
                self.timed_out = True
                complain(f"no message came for {self._arguments.timeout:g} s")
                return
            self._print(message)
            left = None if left is None else left - 1

    def _print(self, message: Message) -> None:
        if message.missed:
            complain(f"missed {message.missed} of {message.publisher} under {_text(message.topic)}")
        if self._arguments.raw:
            write(message.body + b"\n")
            return
        words = [_text(message.topic), _text(message.body)]
        if self._arguments.long:
            number = "-" if message.number is None else str(message.number)
            words = [message.publisher or "-", number, *words]
        write((" ".join(words) + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def _text(data: bytes) -> str:
    """Bytes as a person reads them: text as it is, all else escaped."""
    text = data.decode(errors="backslashreplace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
