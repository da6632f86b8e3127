"""Fail unless the built HTML has every public name, the first words of its docstring, and no dead link."""

from __future__ import annotations

import html
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

#: What users import from.
PUBLIC = ("brigantine", "brigantine.aio", "brigantine.core", "brigantine.pure")
#: What stands in the reference under another of its names, as Sphinx indexes it once.
SAME = ("brigantine.core.Envelope", "brigantine.Envelope")
#: Words of a docstring that must stand behind the name.
WORDS = 6


def public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Each name of ``__all__``, and each method of the classes among them, with what it names."""
    for name in module.__all__:
        thing = getattr(module, name)
        yield f"{module.__name__}.{name}", thing
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for member, value in vars(thing).items():
                if not member.startswith("_") and speaks(value):
                    yield f"{module.__name__}.{name}.{member}", getattr(thing, member)


def speaks(value: object) -> bool:
    """Whether a class's attribute is a method or property, which has a docstring of its own."""
    if isinstance(value, (classmethod, staticmethod)) or inspect.isroutine(value):
        return True
    text = inspect.getdoc(value) or ""
    # A named tuple's fields have a docstring that is not ours; Sphinx finds the comment above them.
    return inspect.isdatadescriptor(value) and bool(text) and not text.startswith("Alias for field")


def words(text: str) -> str:
    """Letters and digits only: quotes, roles and mark-up are typeset differently."""
    return " ".join(re.findall(r"\w+", text))


def documented(thing: object) -> str:
    """The first words of a docstring of our own; a signature in its first line is not prose."""
    text = inspect.getdoc(thing) or ""
    if not (inspect.isclass(thing) or inspect.isroutine(thing) or inspect.isdatadescriptor(thing)):
        return ""  # data: the docstring would be that of its type
    first, _, rest = text.partition("\n")
    if re.fullmatch(r"\w+\(.*\)( -> .*)?", first):
        text = rest
    # With a tilde a role prints the last part of its path.
    text = re.sub(r":\w+:`(?:~[\w.]*\.)?([\w.]*)`", r"\1", text)
    return " ".join(words(text).split()[:WORDS])


def dead_links(folder: Path) -> Iterator[str]:
    """Every link to a page or a place in one that is not there, and every page named without a link."""
    texts = {page.resolve(): page.read_text(encoding="utf-8") for page in folder.rglob("*.html")}
    places = {page: set(re.findall(r'\bid="([^"]*)"', text)) for page, text in texts.items()}
    for page, text in texts.items():
        for link in map(html.unescape, re.findall(r'<a [^>]*href="([^"]*)"', text)):
            if re.match(r"\w+:", link):
                continue
            path, _, place = link.partition("#")
            target = (page.parent / unquote(path)).resolve() if path else page
            if not target.exists() or (place and place not in places.get(target, {place})):
                yield f"{page.name}: {link} leads nowhere"
        if page.parent.name == "api":
            for name in re.findall(r"docs/\w+\.md", text):
                yield f"{page.name}: {name} is no link"


def main(folder: str) -> int:
    dead = list(dead_links(Path(folder)))
    for line in dead:
        print(f"docs: {line}")
    pages = [page.read_text(encoding="utf-8") for page in Path(folder, "api").glob("*.html")]
    plain = {page: words(html.unescape(re.sub(r"<[^>]*>", "", page))) for page in pages}
    wrong, seen = 0, 0
    for module in map(import_module, PUBLIC):
        for name, thing in public(module):
            seen += 1
            place = name.replace(*SAME)
            page = next((each for each in pages if f'id="{place}"' in each), None)
            if page is None:
                print(f"docs: {name} is missing: put it on a page of docs/api")
            elif documented(thing) not in plain[page]:
                print(f"docs: {name} stands without its docstring: {documented(thing)!r}")
            else:
                continue
            wrong += 1
    print(f"docs: {seen} public names, {wrong} of them missing or without text")
    return int(wrong > 0 or seen == 0 or bool(dead))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
