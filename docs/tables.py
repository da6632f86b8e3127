"""Four directives that print what the code says, so that no page can say otherwise.

``.. config-table::`` is the fields of :class:`brigantine.BrokerConfig` with default, range and
meaning, ``.. fields-table:: module:Class`` the same of another table of options.  ``.. clock-table::``
is the times of clients, brokers and workers with their defaults, side by side.
``.. meanings:: module:NAME`` is a mapping of name to meaning, such as the counters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from brigantine import AnyBroker, LRUBroker, MajordomoBroker, ParanoidPirateBroker
from brigantine.config import BrokerConfig, ClientConfig, WorkerConfig
from brigantine.config.table import rows

BROKERS = (LRUBroker, ParanoidPirateBroker, MajordomoBroker, AnyBroker)


def default(name: str) -> str:
    """What a broker has where nobody says otherwise: of each broker, where they differ."""
    row = rows(BrokerConfig)[name]
    own = {kind.__name__: getattr(kind.options(), name) for kind in BROKERS}
    if len(set(own.values())) == 1:
        return row.shown(next(iter(own.values())))
    return ", ".join(
        f"{kind} {'as the protocol' if value is None else row.shown(value)}"
        for kind, value in own.items()
    )


def config_rows() -> list[tuple[str, str, str, str]]:
    """Name, default, range and meaning of each option of a broker."""
    return field_rows(BrokerConfig, default)


def field_rows(
    kind: Any, default: Callable[[str], str] | None = None
) -> list[tuple[str, str, str, str]]:
    """Name, default, range and meaning of each option of a table, in its order."""
    return [
        (f"``{name}``", default(name) if default else row.shown(row.default), row.range, row.says)
        for name, row in rows(kind).items()
    ]


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


class FieldsTable(Table):
    """``.. fields-table:: module:Class``"""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].partition(":")
        return self.table(
            ("Option", "Default", "Range", "Meaning"),
            field_rows(getattr(import_module(module), name)),
        )


#: Options of a broker that are clocks of a request.
_OF_BROKERS = (
    "request_ttl", "service_grace", "handshake_timeout", "retries", "heartbeat_interval", "liveness",
    "drain_timeout",
)  # fmt: skip


#: Options of a client that are clocks of a request, and of a worker.
_OF_CLIENTS = ("timeout", "retries", "backoff", "backoff_max")
_OF_WORKERS = ("heartbeat_interval", "liveness")


def clock_rows() -> list[tuple[str, str, str, str]]:
    """Who, option, default, meaning."""
    return [
        *_clocks("client", field_rows(ClientConfig), _OF_CLIENTS),
        *_clocks("broker", config_rows(), _OF_BROKERS),
        *_clocks("worker", field_rows(WorkerConfig), _OF_WORKERS),
    ]


def _clocks(
    who: str, table: Sequence[tuple[str, str, str, str]], options: Sequence[str]
) -> Iterable[tuple[str, str, str, str]]:
    by_name = {name.strip("`"): (name, default, meaning) for name, default, _, meaning in table}
    return ((who, *by_name[option]) for option in options)


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
