"""Four directives that print what the code says, so that no page can say otherwise.

``.. config-table::`` is the fields of :class:`brigantine.BrokerConfig` with default, range and
meaning, ``.. fields-table:: module:Class`` the same of another table of options.  ``.. clock-table::``
is the times of clients, brokers and workers with their defaults, side by side.
``.. meanings:: module:NAME`` is a mapping of name to meaning, such as the counters.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from brigantine import (
    AnyBroker,
    BrokerConfig,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    config,
)

BROKERS = (LRUBroker, ParanoidPirateBroker, MajordomoBroker, AnyBroker)
#: A field of BrokerConfig with the comment above it.
_FIELD = re.compile(r"((?:^    #: .*\n)+)^    (\w+):", re.M)


def shown(name: str, value: float | None) -> str:
    """The value of an option as people write it: sizes from KiB up with their unit."""
    if value is None:
        return "left to the broker"
    if isinstance(value, bool):
        return str(value)
    units = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
    for unit, size in units if name.endswith("_bytes") else ():
        if value >= size and value % size == 0:
            return f"{int(value) // size:,} {unit}"
    return f"{value:,}" if isinstance(value, int) or value % 1 else f"{value:,.0f}"


def default(name: str) -> str:
    """What a broker has where nobody says otherwise: of each broker, where they differ."""
    own = {kind.__name__: getattr(kind.options(), name) for kind in BROKERS}
    if len(set(own.values())) == 1:
        return shown(name, next(iter(own.values())))
    return ", ".join(
        f"{kind} {'as the protocol' if value is None else shown(name, value)}"
        for kind, value in own.items()
    )


def config_rows() -> list[tuple[str, str, str, str]]:
    """Name, default, range and meaning of each option, in the order of the class."""
    source = Path(config.__file__).read_text(encoding="utf-8")
    comments = {
        name: " ".join(re.findall(r"#: (.*)", text)) for text, name in _FIELD.findall(source)
    }
    ranges = {name: (low, high) for name, low, high in config._RANGES}
    return [
        (
            f"``{field.name}``", default(field.name),
            " to ".join(shown(field.name, each) for each in ranges.get(field.name, (False, True))),
            comments[field.name],
        )
        for field in fields(BrokerConfig)
    ]  # fmt: skip


def linked(text: str) -> str:
    """A docstring names pages as files, for who reads it by ``help()``; here they are links."""
    return re.sub(r"\bdocs/(\w+)\.md\b", r":doc:`\1 </\1>`", text)


def link_pages(*event: Any) -> None:
    """The same of a docstring, of which the lines come last."""
    event[-1][:] = map(linked, event[-1])


class Table(SphinxDirective):
    """A table of cells in reStructuredText."""

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[nodes.Node]:
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in (head, *rows):
            lines += [f"   {'-' if at else '* -'} {cell}" if not at else f"     - {cell}"
                      for at, cell in enumerate(row)]  # fmt: skip
        return self.parse_text_to_nodes("\n".join(lines))


class ConfigTable(Table):
    """``.. config-table::``"""

    def run(self) -> list[nodes.Node]:
        return self.table(("Option", "Default", "Range", "Meaning"), config_rows())


def field_rows(kind: Any) -> list[tuple[str, str, str, str]]:
    """Name, default, range and meaning of each option of another table than a broker's."""
    comments = {
        name: " ".join(re.findall(r"#: (.*)", text))
        for text, name in _FIELD.findall(inspect.getsource(kind))
    }
    ranges = {name: (low, high) for name, low, high in kind._RANGES}
    return [
        (
            f"``{field.name}``", shown(field.name, field.default),
            " to ".join(shown(field.name, each) for each in ranges.get(field.name, (False, True))),
            comments[field.name],
        )
        for field in fields(kind)
    ]  # fmt: skip


class FieldsTable(Table):
    """``.. fields-table:: module:Class``"""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].partition(":")
        rows = field_rows(getattr(import_module(module), name))
        return self.table(("Option", "Default", "Range", "Meaning"), rows)


def given_default(kind: type, option: str) -> Any:
    """What a public class takes an option for that is not given."""
    return inspect.signature(kind).parameters[option].default


#: Option of all clients -> what it is the time or number of.
_OF_CLIENTS = {
    "timeout": "Seconds of one try, from asking to the end of the reply.",
    "retries": "Tries that may follow the first.",
    "backoff": "Seconds of the longest pause before a broker is asked again.",
    "backoff_max": "Seconds to which that pause doubles.",
}
#: Brokers, and the worker of each.
_PAIRS = (
    (LRUBroker, LRUWorker),
    (ParanoidPirateBroker, ParanoidPirateWorker),
    (MajordomoBroker, MajordomoWorker),
)
#: Options of a broker that are clocks of a request.
_OF_BROKERS = (
    "request_ttl", "service_grace", "handshake_timeout", "retries", "heartbeat_interval", "liveness",
    "drain_timeout",
)  # fmt: skip


def clock_rows() -> list[tuple[str, str, str, str]]:
    """Who, option, default, meaning."""
    rows = []
    for option, meaning in _OF_CLIENTS.items():
        value = given_default(LazyPirateClient, option)
        if option == "retries":
            text = f"{config.CLIENT_RETRIES}, or so many that each broker is asked once"
        else:
            text = shown(option, value)
        rows.append(("client", f"``{option}``", text, meaning))
    meanings = {name.strip("`"): meaning for name, _, _, meaning in config_rows()}
    rows += [
        ("broker", f"``{option}``", default(option), meanings[option]) for option in _OF_BROKERS
    ]
    of_workers = {
        "heartbeat_interval": "Seconds between heartbeats: as the broker's.",
        "liveness": "Intervals of silence after which the broker counts as gone.",
    }
    for option, meaning in of_workers.items():
        told = ", ".join(
            f"{kind.__name__.removesuffix('Worker')} {shown(option, given_default(kind, option))}"
            for _, kind in _PAIRS
        )
        rows.append(("worker", f"``{option}``", told, meaning))
    return rows


class ClockTable(Table):
    """``.. clock-table::``"""

    def run(self) -> list[nodes.Node]:
        return self.table(("Where", "Option", "Default", "Meaning"), clock_rows())


class Meanings(Table):
    """``.. meanings:: module:NAME``"""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].partition(":")
        mapping: dict[str, str] = getattr(import_module(module), name)
        rows = [
            (f"``{key}``", linked(re.sub(r"([*_`\\])", r"\\\1", meaning)))
            for key, meaning in mapping.items()
        ]
        return self.table(("Name", "Meaning"), rows)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("config-table", ConfigTable)
    app.add_directive("fields-table", FieldsTable)
    app.add_directive("clock-table", ClockTable)
    app.add_directive("meanings", Meanings)
    app.connect("autodoc-process-docstring", link_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
