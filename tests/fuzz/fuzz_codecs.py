"""The codecs and the state machine under Atheris (libFuzzer): see ``ci/fuzz``.

    python tests/fuzz/fuzz_codecs.py core|pure|both [libFuzzer's options] [corpus...]

``pure`` is instrumented here, as it is imported; ``core`` when it was built with
``-fsanitize=fuzzer-no-link``.  ``both`` compares the two.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
if sys.argv[1:2] == ["pure"]:
    # An instrumented core can't be loaded without the sanitizer, and is not needed.
    os.environ["BRIGANTINE_IMPL"] = "pure"

with atheris.instrument_imports(include=["brigantine"]):
    from brigantine import pure

from fuzz_target import one_input, same_input


def target(name: str) -> object:
    """What libFuzzer calls with bytes.  An exception that it raises is a finding."""
    if name == "pure":
        return partial(one_input, pure)
    from brigantine import core

    if name == "core":
        return partial(one_input, core)
    if name == "both":
        return partial(same_input, core, pure)
    raise SystemExit(f"what to fuzz must be core, pure or both, not {name!r}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, target(name))
    atheris.Fuzz()
