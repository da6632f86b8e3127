"""The compiled modules of brigantine.core, and how they are built; everything else is in pyproject.toml.

Environment: BRIGANTINE_CFLAGS adds compiler and linker flags (ci/sanitize uses it; with -g among them there
are debug symbols), BRIGANTINE_TRACE=1 turns on Cython's bounds checks and line annotations for debugging.
"""

import json
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path

import Cython
import zmq
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

CORE = Path("src/brigantine/core")
INCLUDE = CORE / "libzmq/include"
EXTRA = shlex.split(os.environ.get("BRIGANTINE_CFLAGS", ""))
DEBUG = bool(os.environ.get("BRIGANTINE_TRACE"))
#: -g0 for a Python that was built with -g hands that on, and nine tenths of a module are debug symbols.
FLAGS = ["-O2", "-g0", "-std=c++17", *EXTRA]
#: Processors that this process may use.
PROCESSORS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)
#: What the C++ sources depend on beside the files of CORE, and where it is kept with which they were made.
SETTINGS = {"cython": Cython.__version__, "pyzmq": zmq.__version__, "flags": FLAGS, "trace": DEBUG}
KEPT = Path("build/brigantine.json")

#: The least that needs what all of it needs.
PROBE = "#include <Python.h>\n#include <atomic>\nint main() { return std::atomic<int>{0}; }\n"
NO_COMPILER = """\
brigantine's core is C++17, and {compiler} can't compile it here: {why}.
What is needed is a C++ compiler and Python's own headers:
    Debian, Ubuntu   apt-get install g++ python3-dev
    Fedora, RHEL     dnf install gcc-c++ python3-devel
    Alpine           apk add g++ python3-dev
    macOS            xcode-select --install
Another compiler is named by CXX, such as CXX=clang++. Nothing else is needed: no libzmq and no zmq.h."""


NO_POSIX = (
    "brigantine runs on POSIX systems (it is tested on Linux); this is {system}, whose processes have no "
    "poll() and no fork(). On Windows it runs in WSL"
)


def long_description():
    """README as it can be read anywhere: links to files of the tree become their names."""
    text = Path("README.md").read_text(encoding="utf-8")
    text = re.sub(r"\[([^\]]*)\]\(#[^)]*\)", r"\1", text)
    return re.sub(
        r"\[([^\]]*)\]\((?!\w+:)([^)#]*)[^)]*\)",
        lambda link: link[1] if link[2].endswith(link[1]) else f"{link[1]} ({link[2]})",
        text,
    )


class BuildCore(build_ext):
    """Looks for a compiler first, which takes a moment, then has Cython make the C++ sources."""

    def build_extensions(self):
        if os.name != "posix":
            raise PlatformError(NO_POSIX.format(system=sys.platform))
        self._check_compiler()
        changed = not KEPT.exists() or json.loads(KEPT.read_text()) != SETTINGS
        if changed or not up_to_date():
            self._translate(changed)
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(SETTINGS))
        for extension in self.extensions:
            extension.sources = [str(Path(each).with_suffix(".cpp")) for each in extension.sources]
        self.force = self.force or changed
        super().build_extensions()

    def _check_compiler(self):
        compiler = getattr(self.compiler, "compiler_so_cxx", self.compiler.compiler_so)[0]
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder, "probe.cpp")
            probe.write_text(PROBE)
            try:
                self.compiler.compile(
                    [str(probe)], folder, include_dirs=self.include_dirs, extra_postargs=FLAGS
                )
            except CompileError as error:
                raise PlatformError(NO_COMPILER.format(compiler=compiler, why=error)) from None

    def _translate(self, force):
        cythonize(
            self.extensions,
            include_path=["src"],
            nthreads=PROCESSORS if can_share_work() else 0,
            force=force or None,
            compiler_directives={
                "language_level": 3,
                "boundscheck": DEBUG,
                "wraparound": False,
                "initializedcheck": DEBUG,
                "cdivision": True,
                "auto_pickle": False,
                # For methods.  A class with __cinit__ begins its docstring with the signature and a
                # line of two dashes, as CPython's own do: help() and inspect.signature() read it there.
                "embedsignature": True,
                "embedsignature.format": "python",
            },
            annotate=DEBUG,
        )


def up_to_date():
    """Whether all C++ sources are younger than what they are made of.

    Cython asks pyzmq's files, too, and in the environment that pip makes for a build those are always new:
    every `pip install` of a tree would make and compile all of it again.
    """
    made = [each.with_suffix(".cpp") for each in CORE.rglob("*.pyx")]
    sources = [each for kind in ("*.pyx", "*.pxd", "*.h") for each in CORE.rglob(kind)]
    return all(each.exists() for each in made) and (
        min(each.stat().st_mtime for each in made) > max(each.stat().st_mtime for each in sources)
    )


def can_share_work():
    """Whether processes can wait for each other; in some containers there is no memory to share."""
    try:
        import multiprocessing

        multiprocessing.Lock()
    except (ImportError, OSError):
        return False
    return True


if __name__ == "__main__":
    setup(
        long_description=long_description(),
        long_description_content_type="text/markdown",
        cmdclass={"build_ext": BuildCore},
        ext_modules=[
            Extension(
                ".".join(source.relative_to("src").with_suffix("").parts),
                [str(source)],
                # Our own zmq.h must come before any that the system may have.
                include_dirs=[str(INCLUDE), *zmq.get_includes()],
                depends=[str(each) for each in sorted(INCLUDE.glob("*.h"))],
                language="c++",
                extra_compile_args=FLAGS,
                extra_link_args=EXTRA,
            )
            for source in sorted(CORE.rglob("*.pyx"))
        ],
        options={"build_ext": {"parallel": PROCESSORS}},
    )
