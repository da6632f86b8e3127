"""Endpoints that a broker can't bind: told apart, told in words, and nothing of anybody's destroyed."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest
import zmq
from harness import Peers

from brigantine import AnyBroker, BindError, ConfigError, MajordomoBroker

ANY = "tcp://127.0.0.1:*"
#: A broker's endpoints by what they are for.
FREE = {"frontend": ANY, "backend": ANY, "control": ANY}


def regular_file(path: Path) -> None:
    path.write_text("precious")


def directory(path: Path) -> None:
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


IN_THE_WAY = {
    "a file": regular_file,
    "a directory": directory,
    "a symbolic link": link_to_nothing,
    "something": os.mkfifo,
}


@pytest.mark.parametrize("what", FREE)
@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_socket_is_never_replaced_by_one(
    impl: str, tmp_path: Path, what: str, kind: str
) -> None:
    path = tmp_path / "taken"
    IN_THE_WAY[kind](path)
    before = path.lstat()
    with pytest.raises(BindError, match=f"{path}: {kind} is there, which is no socket") as caught:
        AnyBroker(impl=impl, **{**FREE, what: f"ipc://{path}"})
    assert caught.value.errno == errno.EEXIST
    after = path.lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert kind != "a file" or path.read_text() == "precious"


def test_the_socket_of_a_broker_that_has_died_is_replaced(impl: str, tmp_path: Path) -> None:
    path = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    with AnyBroker(f"ipc://{path}", ANY, impl=impl) as broker:
        assert broker.frontend == f"ipc://{path}"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_path_that_a_process_has_open_is_left_to_it(
    impl: str, tmp_path: Path, kind: socket.SocketKind
) -> None:
    path = tmp_path / "live"
    with socket.socket(socket.AF_UNIX, kind) as live:
        live.bind(str(path))
        if kind == socket.SOCK_STREAM:
            live.listen()
        before = path.stat().st_ino
        with pytest.raises(BindError, match="another process listens there"):
            AnyBroker(f"ipc://{path}", ANY, impl=impl)
        assert path.stat().st_ino == before


def test_a_file_that_is_called_like_an_abstract_name_is_left(
    impl: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    endpoint = f"ipc://@brigantine-file-{os.getpid()}"
    path = tmp_path / endpoint.removeprefix("ipc://")
    path.write_text("precious")
    with pytest.raises(BindError, match="a file is there"):
        AnyBroker(endpoint, ANY, impl=impl)
    assert path.read_text() == "precious"
    path.unlink()
    with AnyBroker(endpoint, ANY, impl=impl) as broker:
        assert (broker.frontend, list(tmp_path.iterdir())) == (endpoint, [])


def test_an_ipc_address_in_use_is_not_told_of_ports(impl: str) -> None:
    name = f"brigantine-bound-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"\0{name}")  # nobody listens: libzmq is the one to find out
        with pytest.raises(BindError, match="in use; choose another path"):
            AnyBroker(f"ipc://@{name}", ANY, impl=impl)


def test_an_inproc_name_in_use_is_not_told_of_ports(impl: str, peers: Peers) -> None:
    peers.socket(zmq.PAIR).bind("inproc://taken")
    with pytest.raises(BindError, match="inproc://taken: another socket of this context"):
        AnyBroker("inproc://taken", "inproc://b", impl=impl, context=peers.context)


@pytest.mark.parametrize(
    "endpoint", ["tcp://127.0.0.1:5599", "ipc://somewhere", "ipc://@name", "inproc://x"]
)
def test_an_endpoint_given_twice_is_named(impl: str, endpoint: str) -> None:
    for what in FREE:
        with pytest.raises(ConfigError, match=f"{what}: '{endpoint}' is given twice"):
            AnyBroker(impl=impl, **{**FREE, what: [endpoint, ANY, endpoint]})
    with pytest.raises(ConfigError, match=f"backend: '{endpoint}' is given for frontend as well"):
        MajordomoBroker(endpoint, endpoint, impl=impl)
    with pytest.raises(ConfigError, match=f"control: '{endpoint}' is given for backend as well"):
        AnyBroker(ANY, endpoint, impl=impl, control=endpoint)


def test_any_free_address_may_be_asked_for_again(impl: str) -> None:
    several = [ANY, ANY, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "ipc://*", "ipc://*"]
    with AnyBroker(several, several, impl=impl, control=several) as broker:
        ends = {*broker.frontends, *broker.backends, *broker.controls}
        assert len(ends) == 3 * len(several)
