"""The publisher on a real ZeroMQ socket: order, sequence, groups, heartbeat, subscribers."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NoReturn

import pytest
import zmq

from streamcls.clock import SystemClock
from streamcls.events import Encoded, Message, Payload, StatusData, Writer, decode, topic, utc
from streamcls.pipeline.publish import Publisher

SOON_S = 20.0


def status(detail: str) -> StatusData:
    return StatusData(state="up", detail=detail, since=utc(0))


def nothing(group: Sequence[Encoded]) -> None:
    pass


class Ear:
    """A bare SUB socket, so that these tests depend on no client of ours."""

    def __init__(self, endpoint: str, prefix: str = "") -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.connect(endpoint)
        self._socket.subscribe(prefix)

    def __enter__(self) -> "Ear":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(0)

    def receive(self) -> Message:
        assert self._socket.poll(round(1000 * SOON_S)), "nothing came"
        topic_frame, body = self._socket.recv_multipart()
        return decode(topic_frame, body)


@contextmanager
def publishing(
    *,
    heartbeat_s: float = 1000.0,
    record: Callable[[Sequence[Encoded]], None] = nothing,
    on_end: Callable[[BaseException | None], None] = lambda error: None,
    on_round: Callable[[], Iterable[tuple[str, Payload]]] = tuple,
) -> Iterator[tuple[Publisher, str]]:
    def heartbeat() -> Iterator[tuple[str, Payload]]:
        yield "cam", status("alive")

    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    publisher = Publisher(
        socket=socket,
        writer=Writer("/test", "boot"),
        record=record,
        clock=SystemClock(),
        heartbeat_s=heartbeat_s,
        on_round=on_round,
        on_heartbeat=heartbeat,
        on_end=on_end,
    )
    try:
        yield publisher, f"tcp://127.0.0.1:{port}"
    finally:
        publisher.stop()
        assert publisher.join(SOON_S)
        socket.close(0)


def test_what_is_posted_arrives_in_order_with_contiguous_sequences() -> None:
    with publishing() as (publisher, endpoint), Ear(endpoint) as ear:
        publisher.start()
        assert publisher.subscribed.wait(SOON_S)
        for i in range(200):
            for stream in ("cam", "cam10"):
                publisher.post(stream, partial(list, [status(str(i))]))
        received = [ear.receive() for _ in range(400)]
    for stream in ("cam", "cam10"):
        mine = [message for message in received if message.subject == stream]
        assert [m.sequence for m in mine] == list(range(1, 201))
        assert [m.data.detail for m in mine if isinstance(m.data, StatusData)] == [
            str(i) for i in range(200)
        ]
        assert {m.bootid for m in mine} == {"boot"}


def test_a_subscription_to_cam_does_not_get_cam10() -> None:
    with publishing() as (publisher, endpoint), Ear(endpoint, topic("cam", "status")) as ear:
        publisher.start()
        assert publisher.subscribed.wait(SOON_S)
        publisher.post("cam10", lambda: [status("other")])
        publisher.post("cam", lambda: [status("mine")])
        assert ear.receive().subject == "cam"


def test_silence_is_broken_by_heartbeats() -> None:
    with publishing(heartbeat_s=0.05) as (publisher, endpoint), Ear(endpoint) as ear:
        publisher.start()
        data = ear.receive().data
    assert isinstance(data, StatusData)
    assert data.detail == "alive"


def test_everything_posted_before_the_stop_is_sent() -> None:
    with publishing() as (publisher, endpoint), Ear(endpoint) as ear:
        publisher.start()
        assert publisher.subscribed.wait(SOON_S)
        for i in range(50):
            publisher.post("cam", partial(list, [status(str(i))]))
        publisher.stop()
        publisher.stop()
        assert publisher.join(SOON_S)
        assert [ear.receive().sequence for _ in range(50)] == list(range(1, 51))
        assert publisher.published == {"status": 50}


def test_what_waits_is_recorded_as_one_group_before_any_of_it_is_sent() -> None:
    groups: list[list[int]] = []
    sent: list[int] = []

    def record(group: Sequence[Encoded]) -> None:
        assert sent == [message for earlier in groups for message in earlier]
        groups.append([message.sequence for message in group])

    with publishing(record=record) as (publisher, _):
        for i in range(1, 701):
            publisher.post("cam", partial(list, [status(str(i))]), partial(sent.append, i))
        publisher.start()
        publisher.stop()
        assert publisher.join(SOON_S)
    assert sent == list(range(1, 701))
    assert [len(group) for group in groups] == [256, 256, 188]


def breaks_after(count: int) -> Iterator[Payload]:
    for i in range(count):
        yield status(str(i))
    raise ZeroDivisionError


def test_a_post_that_raises_loses_nothing_numbered_before_it_nor_any_other_post() -> None:
    told: list[BaseException | None] = []
    kept: list[Encoded] = []
    sent: list[str] = []
    with publishing(on_end=told.append, record=kept.extend) as (publisher, endpoint):
        with Ear(endpoint) as ear:
            publisher.post("cam", lambda: [status("sound")], partial(sent.append, "before"))
            publisher.post("cam", partial(breaks_after, 3), partial(sent.append, "broken"))
            publisher.post("cam", lambda: [status("sound")], partial(sent.append, "behind"))
            publisher.start()
            assert publisher.subscribed.wait(SOON_S)
            publisher.post("cam", lambda: [status("later")], partial(sent.append, "later"))
            while ear.receive().sequence != 6:
                pass
        publisher.stop()
        assert publisher.join(SOON_S)
    assert [message.sequence for message in kept] == [1, 2, 3, 4, 5, 6]
    assert publisher.published == {"status": 6}
    assert sent == ["before", "behind", "later"]
    assert [type(error) for error in told] == [ZeroDivisionError]


@pytest.mark.parametrize("part", ["a post", "the record", "the round", "what follows a post"])
def test_the_first_error_is_told_at_once_and_the_thread_serves_on_until_its_stop(part: str) -> None:
    told: list[BaseException | None] = []
    heard = threading.Event()

    def broken(*_: object) -> NoReturn:
        raise ValueError(len(told))

    def on_end(error: BaseException | None) -> None:
        told.append(error)
        heard.set()

    record: Callable[[Sequence[Encoded]], None] = nothing
    if part == "the record":
        record = broken
    with publishing(
        on_end=on_end,
        record=record,
        on_round=broken if part == "the round" else tuple,
    ) as (publisher, endpoint):
        publisher.start()
        with Ear(endpoint) as ear:
            assert publisher.subscribed.wait(SOON_S)
            if part == "a post":
                publisher.post("cam", partial(breaks_after, 0))
            on_sent = broken if part == "what follows a post" else None
            publisher.post("cam", lambda: [status("sound")], on_sent)
            assert heard.wait(SOON_S)
            publisher.post("cam", lambda: [status("last words")])
            assert [ear.receive().sequence for _ in range(2)] == [1, 2]
        publisher.stop()
        assert publisher.join(SOON_S)
    assert told == [publisher.error]
    assert publisher.error is not None


def test_what_a_round_gives_leaves_with_its_group_even_after_the_stop() -> None:
    rounds = iter([[("cam", status("told"))]])
    kept: list[Encoded] = []
    with publishing(record=kept.extend, on_round=lambda: next(rounds, [])) as (publisher, _):
        publisher.post("cam", lambda: [status("posted")])
        publisher.stop()
        publisher.start()
        assert publisher.join(SOON_S)
    details = [m.payload.detail for m in kept if isinstance(m.payload, StatusData)]
    assert details == ["posted", "told"]


def test_messages_that_a_subscriber_may_not_send_do_no_harm() -> None:
    with publishing() as (publisher, endpoint), Ear(endpoint) as ear:
        publisher.start()
        assert publisher.subscribed.wait(SOON_S)
        rude: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XSUB)
        rude.connect(endpoint)
        for _ in range(3000):
            rude.send(b"gossip")
        publisher.post("cam", lambda: [status("mine")])
        data = ear.receive().data
        rude.close(0)
    assert isinstance(data, StatusData)
    assert data.detail == "mine"


@pytest.mark.parametrize("stop_first", [True, False])
def test_stopping_is_sound_before_and_after_the_start(stop_first: bool) -> None:
    with publishing() as (publisher, _):
        if stop_first:
            publisher.stop()
        publisher.start()
        publisher.stop()
        assert publisher.join(SOON_S)
        assert publisher.error is None
