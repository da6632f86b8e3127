"""The compiled modules of brigantine.core; everything else is in pyproject.toml.

Environment: BRIGANTINE_CFLAGS adds compiler and linker flags (ci/sanitize uses it),
BRIGANTINE_TRACE=1 turns on Cython's bounds checks and line annotations for debugging.
"""

import os
import shlex
from pathlib import Path

import zmq
from Cython.Build import cythonize
from setuptools import Extension, setup

CORE = Path("src/brigantine/core")
EXTRA = shlex.split(os.environ.get("BRIGANTINE_CFLAGS", ""))
DEBUG = bool(os.environ.get("BRIGANTINE_TRACE"))

extensions = [
    Extension(
        f"brigantine.core.{source.stem}",
        [str(source)],
        # Our own zmq.h must come before any that the system may have.
        include_dirs=[str(CORE / "include"), *zmq.get_includes()],
        language="c++",
        extra_compile_args=["-O2", "-std=c++17", *EXTRA],
        extra_link_args=EXTRA,
    )
    for source in sorted(CORE.glob("*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "auto_pickle": False,
            # For methods.  A class with __cinit__ begins its docstring with the signature and a line
            # of two dashes, as CPython's own do: help() and inspect.signature() read it there.
            "embedsignature": True,
            "embedsignature.format": "python",
        },
        annotate=DEBUG,
    ),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
