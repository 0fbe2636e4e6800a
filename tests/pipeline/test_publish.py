"""The publisher on a real ZeroMQ socket: order, sequence, heartbeat, subscribers, a taken port."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from streamcls.client import Subscriber
from streamcls.clock import SystemClock
from streamcls.errors import BindError
from streamcls.events import Payload, StatusData, Writer, utc
from streamcls.pipeline.publish import Publisher
from tests.serving import free_port

SOON_S = 20.0


def status(detail: str) -> StatusData:
    return StatusData(state="up", detail=detail, since=utc(0))


def quiet(
    endpoint: str, on_end: Callable[[BaseException | None], None] = lambda error: None
) -> Publisher:
    """A publisher that says nothing by itself."""
    return Publisher(
        endpoint=endpoint,
        queue_size=1000,
        writer=Writer("/test", "boot"),
        clock=SystemClock(),
        heartbeat_s=1000,
        on_heartbeat=list,
        on_end=on_end,
    )


@contextmanager
def publishing(heartbeat_s: float = 1000.0) -> Iterator[Publisher]:
    def heartbeat() -> Iterator[tuple[str, Payload]]:
        yield "cam", status("alive")

    publisher = Publisher(
        endpoint="tcp://127.0.0.1:*",
        queue_size=1000,
        writer=Writer("/test", "boot"),
        clock=SystemClock(),
        heartbeat_s=heartbeat_s,
        on_heartbeat=heartbeat,
        on_end=lambda error: None,
    )
    publisher.bind()
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()
        assert publisher.join(SOON_S)


def test_what_is_posted_arrives_in_order_with_contiguous_sequences() -> None:
    with publishing() as publisher, Subscriber(publisher.endpoint) as messages:
        assert publisher.subscribed.wait(SOON_S)
        for i in range(200):
            for stream in ("cam", "cam10"):
                publisher.post(stream, partial(list, [status(str(i))]))
        received = [messages.receive(SOON_S) for _ in range(400)]
    for stream in ("cam", "cam10"):
        mine = [r[0] for r in received if r and r[0].subject == stream]
        assert [m.sequence for m in mine] == list(range(1, 201))
        assert [m.data.detail for m in mine if isinstance(m.data, StatusData)] == [
            str(i) for i in range(200)
        ]
        assert {m.bootid for m in mine} == {"boot"}


def test_a_subscription_to_cam_does_not_get_cam10() -> None:
    with publishing() as publisher, Subscriber(publisher.endpoint, streams=["cam"]) as messages:
        assert publisher.subscribed.wait(SOON_S)
        publisher.post("cam10", lambda: [status("other")])
        publisher.post("cam", lambda: [status("mine")])
        received = messages.receive(SOON_S)
    assert received
    assert received[0].subject == "cam"


def test_silence_is_broken_by_heartbeats() -> None:
    with publishing(heartbeat_s=0.05) as publisher, Subscriber(publisher.endpoint) as messages:
        received = messages.receive(SOON_S)
    assert received
    assert isinstance(received[0].data, StatusData)
    assert received[0].data.detail == "alive"


def test_everything_posted_before_the_stop_is_sent() -> None:
    with publishing() as publisher, Subscriber(publisher.endpoint) as messages:
        assert publisher.subscribed.wait(SOON_S)
        for i in range(50):
            publisher.post("cam", partial(list, [status(str(i))]))
        publisher.stop()
        publisher.stop()
        assert publisher.join(SOON_S)
        assert all(messages.receive(SOON_S) for _ in range(50))
        assert publisher.published == {"status": 50}


def test_a_taken_address_is_a_one_line_error_that_names_it() -> None:
    with publishing() as publisher:
        second = quiet(publisher.endpoint)
        with pytest.raises(BindError, match=f"{publisher.endpoint}: Address already in use"):
            second.bind()


def test_an_error_in_a_post_ends_the_thread_and_is_told() -> None:
    told: list[BaseException | None] = []
    ended = threading.Event()

    def on_end(error: BaseException | None) -> None:
        told.append(error)
        ended.set()

    publisher = quiet("tcp://127.0.0.1:*", on_end=on_end)
    publisher.bind()
    publisher.start()
    publisher.post("cam", lambda: [status(str(1 / 0))])
    assert ended.wait(SOON_S)
    assert isinstance(told[0], ZeroDivisionError)


SENDER = """
import sys, threading
from streamcls.clock import SystemClock
from streamcls.events import StatusData, Writer, utc
from streamcls.pipeline.publish import Publisher
publisher = Publisher(endpoint=sys.argv[1], queue_size=100_000, writer=Writer("/test", "boot"),
    clock=SystemClock(), heartbeat_s=1000, on_heartbeat=list, on_end=lambda error: None)
publisher.bind()
publisher.start()
publisher.wait_for_subscriber(20, lambda: False)
status = StatusData(state="up", detail="x" * 2000, since=utc(0))
publisher.post("cam", lambda: [status] * 5000)
publisher.stop()
assert publisher.join(20)
"""


def test_what_was_sent_reaches_a_subscriber_that_reads_slowly_though_the_process_ends() -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with Subscriber(endpoint, queue_size=10) as messages:
        sender = subprocess.Popen([sys.executable, "-c", SENDER, endpoint])
        received = [messages.receive(SOON_S) for _ in range(5000)]
        assert sender.wait(SOON_S) == 0
    assert [r[0].sequence for r in received if r] == list(range(1, 5001))


def test_a_second_daemon_cannot_take_an_ipc_path(tmp_path: Path) -> None:
    def publisher() -> Publisher:
        return quiet(f"ipc://{tmp_path}/events")

    first, second, third = publisher(), publisher(), publisher()
    first.bind()
    with pytest.raises(BindError, match="Address already in use"):
        second.bind()
    first.close()
    third.bind()
    third.close()


def test_an_ipc_endpoint_never_replaces_a_file(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")
    publisher = quiet(f"ipc://{precious}")
    with pytest.raises(BindError, match="File exists"):
        publisher.bind()
    assert precious.read_text() == "keep me"
