"""What a broker does wrong is in the load generator's counters, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from foreign_brokers import Message, Scripted

from brigantine import LRUBroker
from brigantine.load import Figures, Generator, Plan
from brigantine.wire.req import broker_error, error_reply

ANY = "tcp://127.0.0.1:*"
#: Counters that a test does not speak of are 0.
COUNTED = (
    "sent", "replies", "lost", "late", "duplicates", "wrong", "errors", "partials", "unanswered",
)  # fmt: skip


def driven(answer: Callable[[Message], list[Message]], **options: Any) -> Figures:
    """What comes of a load on a broker that answers like this."""
    with Scripted(answer) as broker:
        plan = Plan(
            **{"pattern": "lru", "clients": 1, "timeout": 30.0, **options},
            frontend=broker.frontend, workers=0,
        )  # fmt: skip
        with Generator(plan) as load:
            return load.run()


def counted(figures: Figures, **expected: int) -> None:
    """These counters and no others; and they add up."""
    found = {name: figures.counts[name] for name in COUNTED}
    assert found == {**dict.fromkeys(COUNTED, 0), **expected}
    assert figures.good == (not {"lost", "duplicates", "wrong", "errors"} & expected.keys())
    ends = ("replies", "lost", "errors", "unanswered")
    assert found["sent"] == sum(found[name] for name in ends)


def test_a_second_reply_is_a_duplicate() -> None:
    before: list[Message] = []

    def answer(request: Message) -> list[Message]:
        # The second of each but the last, so that all come before the end.
        replies = [*before, request]
        before[:] = [request]
        return replies

    counted(driven(answer, requests=20), sent=20, replies=20, duplicates=19)


def test_replies_swapped_between_two_clients_are_wrong_and_answer_nobody() -> None:
    held: list[Message] = []

    def answer(request: Message) -> list[Message]:
        held.append(request)
        if len(held) % 2:
            return []
        one, two = held[-2:]
        swapped = [[one[0], *two[1:]], [two[0], *one[1:]]]
        # The right ones follow but for the last pair.
        return swapped if len(held) == 10 else [*swapped, one, two]

    figures = driven(answer, clients=2, requests=10, timeout=0.7)
    counted(figures, sent=10, replies=8, wrong=10, lost=2)


def test_requests_that_are_dropped_are_lost() -> None:
    seen: list[Message] = []

    def answer(request: Message) -> list[Message]:
        seen.append(request)
        return [] if len(seen) % 3 == 0 else [request]

    figures = driven(answer, window=12, requests=12, timeout=0.7)
    counted(figures, sent=12, replies=8, lost=4)
    # They are in no latency, and nobody waits for them in the throughput.
    assert figures.latencies is not None
    assert figures.latencies.count == 8
    assert figures.seconds < 0.7


def test_a_reply_after_the_timeout_is_late_and_its_request_stays_lost() -> None:
    seen: list[Message] = []

    def answer(request: Message) -> list[Message]:
        seen.append(request)
        # The client asks again once it has given up the first.
        return [] if len(seen) == 1 else [seen[0], seen[0], request]

    figures = driven(answer, requests=2, timeout=0.7)
    counted(figures, sent=2, replies=1, lost=1, late=1, duplicates=1)


@pytest.mark.parametrize("size", [16, 17, 400])
def test_a_body_that_comes_back_changed_is_wrong(size: int) -> None:
    def answer(request: Message) -> list[Message]:
        peer, empty, body = request
        changed = [body[:-1], body + b"x", b"", body[8:] + body[:8]]
        # The client's number, the place in its window, the last byte.
        places = (0, 4, size - 1)
        changed += [body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] for at in places]
        return [*([peer, empty, each] for each in changed), request]

    counted(driven(answer, size=size, requests=10), sent=10, replies=10, wrong=70)


def test_what_is_no_reply_at_all_is_wrong() -> None:
    def answer(request: Message) -> list[Message]:
        peer, empty, body = request
        more = [[], [b""], [body], [empty], [empty, body, body], [b"x", body], [empty, body] * 50]
        return [*([peer, *each] for each in more if each), request]

    counted(driven(answer, requests=10), sent=10, replies=10, wrong=60)


def test_error_reports_of_workers_and_brokers_end_a_request_as_errors() -> None:
    reports = [error_reply(ValueError("no")), broker_error("shed_queue_full")]

    def answer(request: Message) -> list[Message]:
        reports.append(reports.pop(0))
        return [[*request[:2], *reports[0]]]

    counted(driven(answer, requests=10), sent=10, errors=10)


def test_parts_of_a_reply_are_counted_and_do_not_end_a_request() -> None:
    def answer(request: Message) -> list[Message]:
        peer, header, command, service, body = request
        assert (header, command, service) == (b"MDPC02", b"\x01", b"news")
        head = [peer, b"MDPC02"]
        return [
            [*head, b"\x02", service, b"part"],
            [*head, b"\x03", b"other", body],
            [*head, b"\x07", service, body],
            [*head, b"\x03", service, body],
        ]

    figures = driven(answer, pattern="mdp", service="news", requests=10)
    counted(figures, sent=10, replies=10, partials=10, wrong=20)


def test_majordomo_0_1_replies_of_another_service_or_version_are_wrong() -> None:
    def answer(request: Message) -> list[Message]:
        peer, empty, header, service, body = request
        assert (empty, header, service) == (b"", b"MDPC01", b"echo")
        return [
            [peer, b"", header, b"ohce", body],
            [peer, b"", b"MDPC02", service, body],
            [peer, header, service, body],
            request,
        ]

    figures = driven(answer, pattern="mdp", mdp_version="0.1", requests=10)
    counted(figures, sent=10, replies=10, wrong=30)


def test_a_run_that_is_broken_off_tells_what_was_not_answered() -> None:
    seen: list[Message] = []

    def answer(request: Message) -> list[Message]:
        seen.append(request)
        return [request] if len(seen) <= 5 else []

    with Scripted(answer) as broker:
        plan = Plan(
            pattern="lru", clients=3, window=4, frontend=broker.frontend, workers=0, requests=100,
            timeout=60.0,
        )  # fmt: skip
        with Generator(plan) as load:
            load.start()
            while load.look()["sent"] < 17 or len(seen) < 17:
                assert load.running
            figures = load.finish()
    assert figures.interrupted
    counted(figures, sent=17, replies=5, unanswered=12)


def test_announced_clients_have_the_error_answers_of_a_full_broker(impl: str) -> None:
    with LRUBroker(ANY, ANY, impl=impl, queue_limit=3) as broker:
        plan = Plan(
            pattern="lru", clients=10, frontend=broker.frontend, workers=0, requests=10,
            announce=True, timeout=60.0,
        )  # fmt: skip
        with Generator(plan) as load:
            load.start()
            while load.look()["errors"] < 7:
                assert load.running
            figures = load.finish()
        assert broker.stats()["shed_queue_full"] == 7
    counted(figures, sent=10, errors=7, unanswered=3)
