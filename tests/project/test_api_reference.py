"""Every public name has its place in docs/api, and every page of a protocol says what it must.

That the pages build, and that the text is there, is checked by ci/docs.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import brigantine.core
import brigantine.pure

DOCS = Path(__file__).parents[2] / "docs"
#: A directive that documents what it names: ``.. autoclass:: brigantine.LRUBroker``.
DIRECTIVE = re.compile(r"^\.\. (?P<kind>auto\w+|py:data|module):: (?P<name>[\w.]+)$", re.M)


def documented() -> Iterator[str]:
    """Full names on the pages of docs/api."""
    for page in DOCS.glob("api/*.rst"):
        module = ""
        for found in DIRECTIVE.finditer(page.read_text(encoding="utf-8")):
            kind, name = found["kind"], found["name"]
            if kind == "module":
                module = name
            elif kind == "automodule":
                yield from (f"{name}.{each}" for each in import_module(name).__all__)
            else:
                yield name if "." in name else f"{module}.{name}"


@pytest.mark.parametrize(
    "module", ["brigantine", "brigantine.aio", "brigantine.core", "brigantine.pure"]
)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    names = {f"{module}.{name}" for name in import_module(module).__all__}
    missing = names - set(documented())
    assert names, "the module names nothing"
    assert not missing, f"add them to a page of docs/api, such as '.. autoclass:: ...': {missing}"


@pytest.mark.parametrize("name", brigantine.pure.__all__)
def test_help_tells_of_the_compiled_rooms_what_it_tells_of_the_readable_ones(name: str) -> None:
    compiled, readable = getattr(brigantine.core, name), getattr(brigantine.pure, name)
    taken = [list(inspect.signature(each).parameters) for each in (compiled, readable)]
    assert taken[0] == taken[1]
    assert inspect.getdoc(compiled)
    for member, value in vars(readable).items():
        if not member.startswith("_") and inspect.getdoc(value):
            assert hasattr(compiled, member)
            assert inspect.getdoc(getattr(compiled, member)), member


@pytest.mark.parametrize(
    "page",
    [
        "lru", "ppp", "mdp", "threaded-server", "async-server", "balancing", "pubsub", "pipeline",
        "pair", "devices", "envelopes",
    ],
)  # fmt: skip
def test_the_page_of_a_pattern_has_a_picture_and_says_what_it_cannot_do(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", text, re.M)
    wanted = ["When to use it", "What it guarantees", "What it can't save"]
    assert [section for section in sections if section in wanted] == wanted
    use = text.partition("## When to use it\n")[2].partition("\n## ")[0]
    assert re.search(r"^When not to use (it|them):$", use, re.M)
    assert re.search("───▶|──▶", text), "a picture"


@pytest.mark.parametrize("page", ["lru", "ppp", "mdp"])
def test_the_page_of_a_protocol_has_what_a_reader_looks_for(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", text, re.M)
    wanted = ["Who", "When to use it", "Frames", "What it guarantees", "What it can't save"]
    assert [section for section in sections if section in wanted] == wanted
    frames = text.partition("## Frames\n")[2].partition("\n## ")[0]
    assert "───▶" in frames, "a picture"
