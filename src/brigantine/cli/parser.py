"""The grammar of the command line: who parses what, and how it is said when that fails."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from .._version import __version__
from ..validation.calls import did_you_mean
from . import broker, check, ctl, demo, device, load, ls, publish, request, subscribe, worker
from .exit_codes import WRONG_USE
from .output import complain, write_text

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

__all__ = ["build_parser"]


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that tells trouble in one line, and takes no abbreviated options."""

    def __init__(self, *arguments: object, **options: object) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.set_defaults(parser=self)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Name an option that there is not before argparse misses the one that was meant."""
        words = list(sys.argv[1:] if args is None else args)
        for word in words:
            if word == "--" or (self._subparsers and not word.startswith("--")):
                break  # what follows is no option, or one of the command that it names
            self._check_known(word)
        return super().parse_known_args(words, namespace)

    def _check_known(self, word: str) -> None:
        option, _, _ = word.partition("=")
        known = self._option_string_actions
        if option.startswith("--") and " " not in word and option not in known:
            shown = option if option.isprintable() else ascii(option)
            self.error(f"there is no option '{shown}'{did_you_mean(option, known)}")

    def typed(self, name: str) -> str:
        """An option or argument, by its name in Python, as it is typed here."""
        for action in self._actions:
            if action.dest == name:
                return action.option_strings[0] if action.option_strings else str(action.metavar)
        return name

    def error(self, message: str) -> NoReturn:
        """One line, and exit code 2; argparse itself would print the usage, too."""
        complain(f"{message}; see {self.prog} --help")
        raise SystemExit(WRONG_USE)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """``--help`` and ``--version``; argparse itself keeps quiet when they can't be written."""
        if file is sys.stdout:
            write_text(message)
        else:
            super()._print_message(message, file)


def build_parser() -> Parser:
    """The parser of the whole command line.  Parsed arguments have ``run`` and ``parser``."""
    parser = Parser(
        prog="brigantine",
        description="Messaging patterns for ZeroMQ: brokers, workers, clients, devices, publish-subscribe.",
    )
    parser.add_argument("--version", action="version", version=f"brigantine {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in (broker, device, worker, request, load):
        made = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        patterns = made.add_subparsers(dest="pattern", metavar="PATTERN", required=True)
        for name, (what, add_options) in command.PATTERNS.items():
            add_options(patterns.add_parser(name, help=what, description=what))
    for single in (publish, subscribe):
        single.add_to(commands.add_parser(single.NAME, help=single.HELP, description=single.HELP))
    ctl.add_to(commands.add_parser(ctl.NAME, help=ctl.HELP, description=ctl.HELP))
    ls.add_to(commands.add_parser(ls.NAME, help=ls.HELP, description=ls.HELP))
    check.add_to(commands.add_parser(check.NAME, help=check.HELP, description=check.HELP))
    demo.add_to(commands.add_parser(demo.NAME, help=demo.HELP, description=demo.HELP))
    return parser
