"""``brigantine device``: run a device until it is told to stop."""

from __future__ import annotations

import argparse
import logging

from ..devices.base import CAPTURE_KINDS, Device, ForwarderDevice, QueueDevice, StreamerDevice
from ..devices.ends import BIND, CONNECT
from .descriptors import raise_file_limit
from .options import add_config_options, options_from
from .output import log_to_stderr
from .process_options import add_log_level, add_stop_at_eof
from .reasons import ENDED, reason
from .serving import add_control, add_impl, add_side, begin, control_from, finish
from .stopping import StopRequests
from .values import reachable

__all__ = ["HELP", "NAME", "PATTERNS"]

NAME = "device"
HELP = "Run a device, which passes messages on unchanged."
QUEUE = "Shared queue: requests to servers in turn, replies back (ROUTER and DEALER)."
FORWARDER = "Publish-subscribe proxy: messages to subscribers, subscriptions back (XSUB and XPUB)."
STREAMER = "Pipeline proxy: tasks to workers in turn (PULL and PUSH)."

_EPILOG = """\
EP is bound. With > in front the device connects to it instead (quote it in the shell:
'>tcp://HOST:PORT').

Prints one line on standard output once it can be used:
  ready frontend=ENDPOINT[,ENDPOINT...] backend=ENDPOINT[,ENDPOINT...]
followed, with --capture, by capture=ENDPOINT[,ENDPOINT...], and with --control by
control=ENDPOINT[,ENDPOINT...]; with that endpoint brigantine ctl shows
the counters, pauses, resumes and stops the device.

SIGTERM, however often it comes, or Ctrl-C (SIGINT) stops it: messages already passed on are sent, for
a second at most. The last line of the log has the counters. The exit code is 0 after that and after
stop by brigantine ctl; 1 when the device ended by itself; 2 when it could not start; 130 after a
second Ctrl-C, which ends it at once.
"""

_log = logging.getLogger("brigantine.device")


def _add_queue(parser: argparse.ArgumentParser) -> None:
    _add(parser, QueueDevice, "clients", "servers")


def _add_forwarder(parser: argparse.ArgumentParser) -> None:
    _add(parser, ForwarderDevice, "publishers", "subscribers")


def _add_streamer(parser: argparse.ArgumentParser) -> None:
    _add(parser, StreamerDevice, "PUSH sockets", "PULL sockets")


#: Name of the pattern -> what it is, and what adds its options.
PATTERNS = {
    "queue": (QUEUE, _add_queue),
    "forwarder": (FORWARDER, _add_forwarder),
    "streamer": (STREAMER, _add_streamer),
}


def _add(parser: argparse.ArgumentParser, kind: type[Device], front: str, back: str) -> None:
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run, kind=kind)
    add_side(parser, "--frontend", front)
    add_side(parser, "--backend", back)
    _add_capture(parser)
    add_control(parser)
    add_impl(parser)
    add_log_level(parser, "info")
    add_stop_at_eof(parser)
    add_config_options(parser, kind.options(), kind.option_names())


def _add_capture(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--capture",
        action="append",
        metavar="EP",
        help="endpoint where a copy of all that is passed on can be had, for a SUB socket; may be given "
        "several times",
    )
    parser.add_argument(
        "--capture-as",
        choices=tuple(CAPTURE_KINDS),
        default="pub",
        help="the socket of copies: pub for any number of SUB sockets, push for one PULL (default pub)",
    )


def _run(arguments: argparse.Namespace) -> int:
    given = {
        "frontend": arguments.frontend, "backend": arguments.backend, "capture": arguments.capture
    }  # fmt: skip
    for option, values in given.items():
        if values is not None:
            bare = [value.removeprefix(CONNECT).removeprefix(BIND) for value in values]
            reachable(bare, option)
    control = control_from(arguments)
    log_to_stderr(arguments.log_level)
    raise_file_limit()
    with (
        StopRequests(at_eof=arguments.stop_at_eof) as stops,
        _made(arguments, control) as device,
    ):
        begin(device, stops, _log)
        why = stops.wait_first()
        if why != ENDED:
            _log.info("%s: stopping", reason(why))
            stops.watch_for_second(why)
            device.stop()
        finish(device, why, _log, idle="nothing was passed on")
    return 0


def _made(arguments: argparse.Namespace, control: tuple[str, ...] | None) -> Device:
    kind: type[Device] = arguments.kind
    given = options_from(arguments, kind.option_names())
    return kind(
        arguments.frontend,
        arguments.backend,
        impl=arguments.impl,
        control=control,
        capture=arguments.capture,
        capture_as=arguments.capture_as,
        **given,
    )
