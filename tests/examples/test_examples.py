"""The guide's programs: each runs by itself, and plays its part against a counterpart in raw pyzmq."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import zmq
from commands import Commands, started
from doubles import free_endpoint
from harness import PATIENCE, Peers, wait_until

import brigantine.examples
from brigantine.examples.__main__ import names

FOLDER = Path(brigantine.examples.__file__).parent

#: Example -> what a reader sees in the end.
SEEN = {
    "asyncsrv": r"30 replies, all in flight at once\n(Session closed after 10 requests\n){3}Answered 30",
    "hwclient": r"Received reply 9: b'World'",
    "hwserver": r"(Received Hello\n){10}Answered 10 requests",
    "lbbroker": r"(Worker \d did \d+\n){3}Brought 30 replies",
    "lpclient": r"gave up after 3 tries\n(Server replied OK \(b'\d'\)\n){5}",
    "lpserver": r"Simulating CPU overload\n(.*\n)*Reply: b'4'",
    "mdbroker": r"echo: b'4'\nServices: \[b'echo'\]\nBrought 5 replies",
    "mdclient": r"10 requests/replies processed",
    "mdclient2": r"20 replies received",
    "mdworker": r"Replied to 5 requests",
    "mtserver": r"Answered 40 requests in 4 threads",
    "ppqueue": r"A worker was silent, and is not counted on\n(Reply: b'\d'\n){5}Brought 5 replies",
    "ppworker": r"The queue ends\nConnected 2 times\nReplied to 6 requests",
    "rtdealer": r"Unroutable: C\n(?:[AB] received: [37]\n){2}Sent 10 tasks",
    "rtreq": r"(Completed: \d+ tasks\n){3}3 workers fired after 30 tasks",
    "spqueue": r"A worker crashes\n(Reply: b'\d'\n){5}Brought 5 replies",
    "spworker": r"Worker ready\n(Normal reply: b'\d'\n){5}Replied to 5 requests",
    "tasksink": r"100 results in [\d.]+ s",
    "taskvent": r"batch \w+: 100 of 100 results",
    "taskwork": r"Did batch \w+: 20 of 20 results\nEnded by the kill signal",
    "wuclient": r"Average temperature for zip code 10001 was 21, 0 updates missed",
    "wuproxy": r"b'weather.berlin': b'9 C'\nPassed on \d+ messages",
    "wuserver": r"(b'10001': b'-?\d+ \d+', missed: (0|unknown)\n){20}",
}


@pytest.fixture
def run() -> Iterator[Commands]:
    yield from started()


def test_all_are_listed_with_a_line_each(run: Commands) -> None:
    command = run(module="brigantine.examples")
    code, out = command.finish()
    assert code == 0
    for name in SEEN:
        assert re.search(rf"^  {name} +\w+", out.decode(), re.M), name
    assert set(SEEN) <= set(names())


@pytest.mark.parametrize("name", names())
def test_an_example_is_short(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize("name", SEEN)
def test_an_example_runs_by_itself_and_shows_what_it_does(run: Commands, name: str) -> None:
    command = run(module=f"brigantine.examples.{name}")
    code, out = command.finish(timeout=4 * PATIENCE)
    assert code == 0, command.errors()
    assert re.search(SEEN[name], out.decode()), out.decode()


# -- against counterparts in raw pyzmq ----------------------------------------------------------


class Played:
    """An example that runs in a thread, with these options; it must have ended well afterwards."""

    def __init__(self, name: str, **options: Any) -> None:
        argv = [word for each, value in options.items() for word in (f"--{each}", str(value))]
        self._main = import_module(f"brigantine.examples.{name}").main
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(argv,))

    def _run(self, argv: list[str]) -> None:
        try:
            self._main(argv)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> Played:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(4 * PATIENCE)
        assert not self._thread.is_alive(), "it is bounded in time"
        if self._error is not None:
            raise self._error


@pytest.fixture
def place() -> Callable[[], str]:
    """Endpoints that nobody uses."""
    return free_endpoint


def ask(client: Any, *frames: bytes) -> list[bytes]:
    client.send_multipart(frames)
    answer: list[bytes] = client.recv_multipart()
    return answer


def test_hwserver_serves_a_req(peers: Peers, place: Any, capsys: Any) -> None:
    endpoint = place()
    with Played("hwserver", bind=endpoint, count=5):
        client = peers.req(endpoint)
        assert [ask(client, b"Hello") for _ in range(5)] == [[b"World"]] * 5
    assert "Answered 5 requests" in capsys.readouterr().out


def test_hwclient_asks_a_rep(peers: Peers, place: Any, capsys: Any) -> None:
    server = peers.socket(zmq.REP)
    server.bind(endpoint := place())
    with Played("hwclient", connect=endpoint, count=5):
        for _ in range(5):
            assert server.recv_multipart() == [b"Hello"]
            server.send(b"World")
    assert "Received reply 4: b'World'" in capsys.readouterr().out


def test_mtserver_serves_req_and_dealer_clients_at_once(peers: Peers, place: Any) -> None:
    endpoint = place()
    with Played("mtserver", bind=endpoint, count=24):
        clients = [peers.req(endpoint) for _ in range(5)]
        dealer = peers.dealer(endpoint)
        for _ in range(4):
            for each in clients:
                each.send(b"Hello")
            dealer.send_multipart([b"", b"Hello"])
            assert [each.recv() for each in clients] == [b"World"] * 5
            assert dealer.recv_multipart() == [b"", b"World"]


def test_wuserver_publishes_to_a_sub(peers: Peers, place: Any) -> None:
    endpoint = place()
    with Played("wuserver", bind=endpoint, seconds=2):
        client = peers.socket(zmq.SUB, endpoint)
        client.subscribe(b"10001")
        for _ in range(20):
            topic, body, *_ = client.recv_multipart()
            assert topic == b"10001"
            assert len(body.split()) == 2


def test_wuclient_listens_to_a_pub(peers: Peers, place: Any, capsys: Any) -> None:
    server = peers.socket(zmq.XPUB)
    server.bind(endpoint := place())
    with Played("wuclient", connect=endpoint, count=20):
        wait_until(lambda: server.recv() == b"\x0110001", "it subscribes")
        for number in range(40):
            server.send_multipart([b"10001" if number % 2 else b"10002", b"%d 50" % number])
    assert "Average temperature for zip code 10001 was 20" in capsys.readouterr().out


def test_the_guides_weather_is_one_string(peers: Peers, place: Any, capsys: Any) -> None:
    """Of its wuclient and of its wuserver."""
    with Played("wuserver", plain=(endpoint := place()), seconds=1):
        client = peers.socket(zmq.SUB, endpoint)
        client.subscribe(b"10001")
        [update] = client.recv_multipart()
        assert len(update.split()) == 3
    server = peers.socket(zmq.XPUB)
    server.bind(endpoint := place())
    with Played("wuclient", connect=endpoint, count=2):
        wait_until(lambda: server.recv() == b"\x0110001", "it subscribes")
        for temperature in (10, 20):
            server.send(b"10001 %d 50" % temperature)
    assert "Average temperature for zip code 10001 was 15" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["hwclient", "mdclient"])
def test_a_client_ends_with_a_line_where_nobody_is(place: Any, name: str) -> None:
    with pytest.raises(SystemExit, match=r"offline, abandoning: .*nobody accepts"):
        import_module(f"brigantine.examples.{name}").main(
            ["--connect", place(), "--seconds", "0.1"]
        )


def test_wuproxy_stands_between_pub_and_sub(peers: Peers, place: Any) -> None:
    front, back = place(), place()
    with Played("wuproxy", frontend=front, backend=back, count=5):
        server, client = peers.socket(zmq.XPUB, front), peers.socket(zmq.SUB, back)
        client.subscribe(b"w")
        assert server.recv() == b"\x01w"
        for number in range(5):
            server.send_multipart([b"weather", b"%d" % number])
        assert [client.recv_multipart()[1] for _ in range(5)] == [b"%d" % n for n in range(5)]


def test_taskvent_feeds_the_guides_workers_and_sink(peers: Peers, place: Any) -> None:
    vent, end = place(), place()
    sink = peers.socket(zmq.PULL)
    sink.bind(end)
    with Played("taskvent", workers=vent, sink=end, count=20):
        worker, results = peers.socket(zmq.PULL, vent), peers.socket(zmq.PUSH, end)
        for _ in range(20):
            results.send(worker.recv())
        came = Counter(sink.recv() for _ in range(21))
        assert came == {**{b"%d" % n: 2 for n in range(10)}, b"0": 3}  # the start of the batch, too


def test_taskwork_works_for_the_guides_ventilator_and_sink(peers: Peers, place: Any) -> None:
    vent, sink = peers.socket(zmq.PUSH), peers.socket(zmq.PULL)
    vent.bind(at := place())
    sink.bind(end := place())
    with Played("taskwork", ventilator=at, sink=end, count=20):
        for _ in range(20):
            vent.send(b"1")
        for _ in range(20):
            assert sink.recv() == b""


@pytest.mark.long
def test_tasksink_collects_from_the_guides_workers(peers: Peers, place: Any, capsys: Any) -> None:
    endpoint = place()
    with Played("tasksink", bind=endpoint, count=20):
        worker = peers.socket(zmq.PUSH, endpoint)
        worker.send(b"0")
        for _ in range(20):
            worker.send(b"")
    assert "20 results in" in capsys.readouterr().out


def test_rtreq_answers_the_req_that_has_asked(peers: Peers, place: Any, capsys: Any) -> None:
    endpoint = place()
    with Played("rtreq", bind=endpoint, count=20):
        workers = [peers.req(endpoint) for _ in range(4)]
        done: Counter[int] = Counter()
        at_work = set(range(4))
        while at_work:
            for number in sorted(at_work):
                workers[number].send(b"Hi Boss")
            for number in sorted(at_work):
                if workers[number].recv() == b"Fired!":
                    at_work.discard(number)
                else:
                    done[number] += 1
    assert sum(done.values()) == 20
    assert "4 workers fired after 20 tasks" in capsys.readouterr().out


def test_rtdealer_sends_to_dealers_by_name(peers: Peers, place: Any, capsys: Any) -> None:
    endpoint = place()
    with Played("rtdealer", bind=endpoint, count=12):
        # They say nothing: the ROUTER knows their names.
        workers = {name: peers.dealer(endpoint, identity=name) for name in (b"A", b"B")}
        got = dict.fromkeys(workers, 0)
        for name, each in workers.items():
            while each.recv_multipart() != [b"END"]:
                got[name] += 1
    assert got == {b"A": 8, b"B": 4}
    assert "Unroutable: C" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["lbbroker", "spqueue"])
def test_an_lru_queue_serves_raw_clients_and_workers(peers: Peers, place: Any, name: str) -> None:
    front, back = place(), place()
    with Played(name, frontend=front, backend=back, count=6):
        workers = [peers.worker(back) for _ in range(2)]
        client = peers.req(front)
        for number in range(6):
            client.send(b"%d" % number)
            wait_until(lambda: any(each.poll(0) for each in workers), "a worker is asked")
            worker = next(each for each in workers if each.poll(0))
            address, empty, body = worker.recv_multipart()
            worker.send_multipart([address, empty, b"OK " + body])
            assert client.recv() == b"OK %d" % number


@pytest.mark.parametrize("name", ["hwserver", "lpserver"])
def test_a_server_answers_each_of_several_reqs(peers: Peers, place: Any, name: str) -> None:
    endpoint = place()
    with Played(name, bind=endpoint, count=4):
        clients = [peers.req(endpoint) for _ in range(4)]
        assert all(ask(each, b"Hello")[0] in (b"World", b"Hello") for each in clients)


def test_lpclient_asks_again_on_a_new_connection(peers: Peers, place: Any, capsys: Any) -> None:
    server = peers.socket(zmq.ROUTER)
    server.bind(endpoint := place())
    with Played("lpclient", connect=endpoint, count=2):
        first, *_ = server.recv_multipart()  # which gets no answer
        for _ in range(2):
            again, empty, body = server.recv_multipart()
            assert again != first
            server.send_multipart([again, empty, body])
    assert capsys.readouterr().out.count("Server replied OK") == 2


def test_spworker_serves_a_raw_queue(peers: Peers, place: Any) -> None:
    queue = peers.socket(zmq.ROUTER)
    queue.bind(endpoint := place())
    with Played("spworker", connect=endpoint, count=3):
        worker, empty, word = queue.recv_multipart()
        assert (empty, word) == (b"", b"READY")
        for number in range(3):
            queue.send_multipart([worker, b"", b"client", b"", b"%d" % number])
            assert queue.recv_multipart() == [worker, b"", b"client", b"", b"%d" % number]


def test_asyncsrv_serves_raw_dealers_that_ask_much_at_once(peers: Peers, place: Any) -> None:
    endpoint = place()
    with Played("asyncsrv", bind=endpoint, count=20):
        clients = [peers.dealer(endpoint) for _ in range(2)]
        for number in range(10):
            for each in clients:
                each.send(b"request #%d" % number)
        for each in clients:
            assert sorted(each.recv() for _ in range(10)) == [b"request #%d" % n for n in range(10)]


def test_ppqueue_serves_a_raw_worker_and_client(peers: Peers, place: Any) -> None:
    front, back = place(), place()
    with Played("ppqueue", frontend=front, backend=back, count=3):
        worker, client = peers.dealer(back), peers.req(front)
        worker.send(b"\x01")
        # As the guide's worker, which speaks once a second: not expired meanwhile.
        assert worker.recv_multipart() == worker.recv_multipart() == [b"\x02"]
        for number in range(3):
            client.send(b"%d" % number)
            while (frames := worker.recv_multipart()) == [b"\x02"]:
                worker.send(b"\x02")
            worker.send_multipart(frames)
            assert client.recv() == b"%d" % number


def test_ppworker_serves_a_raw_queue(peers: Peers, place: Any) -> None:
    queue = peers.socket(zmq.ROUTER)
    queue.bind(endpoint := place())
    with Played("ppworker", connect=endpoint, count=3):
        worker, word = queue.recv_multipart()
        assert word == b"\x01"
        for number in range(3):
            queue.send_multipart([worker, b"client", b"", b"%d" % number])
            while (frames := queue.recv_multipart()) == [worker, b"\x02"]:
                queue.send_multipart([worker, b"\x02"])
            assert frames == [worker, b"client", b"", b"%d" % number]


def test_mdbroker_serves_a_raw_worker_and_client(peers: Peers, place: Any) -> None:
    endpoint = place()
    with Played("mdbroker", bind=endpoint, count=3):
        worker, client = peers.dealer(endpoint), peers.req(endpoint)
        worker.send_multipart([b"", b"MDPW01", b"\x01", b"echo"])
        for number in range(3):
            client.send_multipart([b"MDPC01", b"echo", b"%d" % number])
            while (frames := worker.recv_multipart())[2] != b"\x02":
                assert frames == [b"", b"MDPW01", b"\x04"]
            worker.send_multipart([b"", b"MDPW01", b"\x03", *frames[3:]])
            assert client.recv_multipart() == [b"MDPC01", b"echo", b"%d" % number]


def test_mdworker_serves_a_raw_broker(peers: Peers, place: Any) -> None:
    broker = peers.socket(zmq.ROUTER)
    broker.bind(endpoint := place())
    with Played("mdworker", connect=endpoint, count=3):
        worker, *ready = broker.recv_multipart()
        assert ready[:4] == [b"", b"MDPW01", b"\x01", b"echo"]
        for number in range(3):
            request = [worker, b"", b"MDPW01", b"\x02", b"client", b"", b"%d" % number]
            broker.send_multipart(request)
            while (frames := broker.recv_multipart())[3] == b"\x04":
                broker.send_multipart([worker, b"", b"MDPW01", b"\x04"])
            assert frames == [worker, b"", b"MDPW01", b"\x03", b"client", b"", b"%d" % number]


@pytest.mark.parametrize("name", ["mdclient", "mdclient2"])
def test_a_majordomo_client_asks_a_raw_broker(
    peers: Peers, place: Any, capsys: Any, name: str
) -> None:
    broker = peers.socket(zmq.ROUTER)
    broker.bind(endpoint := place())
    with Played(name, connect=endpoint, count=4):
        for _ in range(4):
            frames = broker.recv_multipart()
            assert frames[-3:] == [b"MDPC01", b"echo", b"Hello world"]
            broker.send_multipart(frames)
    assert "4 re" in capsys.readouterr().out
