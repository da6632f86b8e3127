"""Sphinx: the pages beside this file, and the API reference from the docstrings of what is installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from brigantine import __version__

project = "brigantine"
author = "The brigantine developers"
version = release = __version__

extensions = ["sphinx.ext.autodoc", "myst_parser", "tables"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Messaging patterns for ZeroMQ",
    "fixed_sidebar": True,
    # Code and pictures have lines of up to 100 characters.
    "page_width": "1200px",
    "code_font_size": "0.8em",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_show_sourcelink = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
_HANDLERS = ("Reply", "Handler", "StreamHandler", "AsyncHandler", "AsyncStreamHandler")
autodoc_type_aliases = {name: f"brigantine.handlers.{name}" for name in _HANDLERS}
autoclass_content = "both"
# An object whose reference resolves only in another project's inventory, which is not fetched: the
# reference is built without a network.
nitpick_ignore_regex = [
    ("py:.*", r"(zmq|collections|concurrent|typing|typing_extensions)\..*"),
    ("py:class", r"brigantine\.notices\.kinds\..*"),  # what the loop hands to who logs it
    (
        "py:class",
        r"brigantine\.net\.descriptors\..*",
    ),  # of arguments that none but a broker or device gives
    ("py:class", r"brigantine\.pure\.structures\.(expiry|lru)\.Key"),  # type variables
    ("py:class", r"(brigantine\.workers\.base\.)?HandlerT"),
    # What one class takes of a table that is documented whole; what errors about options are.
    ("py:class", r"LRUWorkerOptions|HeartbeatWorkerOptions|LazyPirateOptions"),
    ("py:class", r"brigantine\.errors\._Spelled"),
    (
        "py:class",
        r"brigantine\.pipeline\.(received|sink_io|ventilator_io)\..*",
    ),  # likewise, a batch's
    (
        "py:class",
        r"brigantine\.runtime\.reentrancy\..*",
    ),  # of arguments that none but a broker gives
]
