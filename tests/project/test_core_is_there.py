"""The compiled core is really compiled, really used, and shares the one libzmq of pyzmq."""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import zmq
from harness import Peers

import brigantine.core
from brigantine import ConfigError, LRUBroker
from brigantine.core.libzmq import zmqapi

ROOMS = sorted(
    found.name
    for found in pkgutil.walk_packages(brigantine.core.__path__, "brigantine.core.")
    if not found.ispkg
)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=50
    )


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_of_the_core_is_a_compiled_module(room: str) -> None:
    module = importlib.import_module(room)
    assert Path(module.__file__).suffix in importlib.machinery.EXTENSION_SUFFIXES[-1]


def test_one_libzmq_is_loaded_however_many_brokers_run() -> None:
    with LRUBroker("inproc://f", "inproc://b"):
        maps = Path("/proc/self/maps").read_text()
    found = {line.split()[-1] for line in maps.splitlines() if "/libzmq-" in line}
    assert len(found) == 1
    assert zmqapi.libzmq_version() == zmq.zmq_version_info()


def test_the_callers_context_and_inproc_endpoints_are_shared(peers: Peers, impl: str) -> None:
    with LRUBroker("inproc://front", "inproc://back", impl=impl, context=peers.context):
        worker = peers.worker("inproc://back")
        client = peers.req("inproc://front")
        client.send(b"over inproc")
        address, empty, body = worker.recv_multipart()
        worker.send_multipart([address, empty, body[::-1]])
        assert client.recv() == b"corpni revo"
    assert not peers.context.closed


def test_a_missing_core_is_an_error_that_says_what_to_do() -> None:
    hide = "import sys; sys.modules['brigantine.core'] = None\n"
    ended = run(hide + "import brigantine", BRIGANTINE_IMPL="")
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("brigantine.errors.CoreMissing: the compiled core")
    assert "pip install" in last
    assert "BRIGANTINE_IMPL=pure" in last


def test_the_baseline_runs_without_the_core_only_when_asked_for_by_name() -> None:
    hide = "import sys; sys.modules['brigantine.core'] = None\n"
    use = (
        "import brigantine\n"
        "with brigantine.LRUBroker('inproc://f', 'inproc://b') as broker: print(broker.impl)"
    )
    ended = run(hide + use, BRIGANTINE_IMPL="pure")
    assert (ended.returncode, ended.stdout.strip()) == (0, "pure"), ended.stderr


def test_an_unknown_implementation_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigError, match="'core' or 'pure', not 'fast'"):
        LRUBroker("inproc://f", "inproc://b", impl="fast")
    ended = run("import brigantine", BRIGANTINE_IMPL="fats")
    assert "BRIGANTINE_IMPL must be 'core' or 'pure', not 'fats'" in ended.stderr


def test_import_prints_no_warning() -> None:
    ended = run("import warnings; warnings.simplefilter('error'); import brigantine")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_help_has_words_for_every_public_name() -> None:
    for name in brigantine.__all__:
        if name not in ("COUNTERS", "__version__"):
            assert (getattr(brigantine, name).__doc__ or "").strip(), name


def test_the_face_of_both_implementations_is_the_same() -> None:
    from brigantine import core, pure

    assert sorted(core.__all__) == sorted(pure.__all__)
    for name in pure.__all__:
        public = {each for each in dir(getattr(pure, name)) if not each.startswith("_")}
        missing = public - set(dir(getattr(core, name)))
        assert not missing, f"core.{name} lacks {missing}"
        for each in public:
            if callable(getattr(getattr(pure, name), each)):
                assert getattr(getattr(core, name), each).__doc__, f"core.{name}.{each}"


def test_a_program_without_asyncio_does_not_load_it() -> None:
    """It would take a fifth of the time that a broker or worker needs to start."""
    assert run("import sys, brigantine.cli; sys.exit('asyncio' in sys.modules)").returncode == 0


def test_a_program_with_a_broker_does_not_load_cryptography() -> None:
    """OpenSSL would take 4 MB, for one number that nobody else can guess."""
    code = "import sys, brigantine.cli.broker; sys.exit('_hashlib' in sys.modules)"
    assert run(code).returncode == 0
