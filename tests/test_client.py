"""The client on a real socket, against what is and what is not our protocol."""

import threading
from collections.abc import Iterator

import pytest
import zmq

from streamcls.client import Subscriber
from streamcls.errors import StreamclsError
from streamcls.events import Writer, topic, utc
from tests.test_events import PAYLOADS


@pytest.fixture
def publisher() -> Iterator[tuple[zmq.Socket[bytes], str]]:
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XPUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    yield socket, f"tcp://127.0.0.1:{port}"
    socket.close(0)


def await_subscription(socket: zmq.Socket[bytes], count: int = 1) -> None:
    for _ in range(count):
        assert socket.poll(20_000), "nobody subscribed"
        socket.recv()


def test_kinds_and_streams_are_filtered(publisher: tuple[zmq.Socket[bytes], str]) -> None:
    socket, endpoint = publisher
    writer = Writer("/test", "boot")
    with Subscriber(endpoint, streams=["a"], kinds=["event", "status"]) as messages:
        await_subscription(socket, 2)
        for stream in ("b", "a"):
            for payload in PAYLOADS:
                socket.send_multipart(writer.encode(stream, payload, utc(0)))
        received = [messages.receive(20) for _ in range(2)]
        assert messages.receive(0.05) is None
    assert [r[0].type for r in received if r] == ["streamcls.status.v1", "streamcls.event.v1"]
    assert {r[0].subject for r in received if r} == {"a"}


def test_a_kind_alone_is_filtered_over_all_streams(
    publisher: tuple[zmq.Socket[bytes], str],
) -> None:
    socket, endpoint = publisher
    writer = Writer("/test", "boot")
    with Subscriber(endpoint, kinds=["event"]) as messages:
        await_subscription(socket)
        for payload in PAYLOADS:
            socket.send_multipart(writer.encode("a", payload, utc(0)))
        received = messages.receive(20)
    assert received
    assert received[0].data == PAYLOADS[2]


def test_iteration_gives_messages_as_they_come(publisher: tuple[zmq.Socket[bytes], str]) -> None:
    socket, endpoint = publisher
    writer = Writer("/test", "boot")
    with Subscriber(endpoint) as messages:
        await_subscription(socket)
        for payload in PAYLOADS:
            socket.send_multipart(writer.encode("a", payload, utc(0)))
        assert [next(iter(messages)).data for _ in PAYLOADS] == PAYLOADS


def test_a_body_out_of_protocol_is_a_value_error(publisher: tuple[zmq.Socket[bytes], str]) -> None:
    socket, endpoint = publisher
    with Subscriber(endpoint) as messages:
        await_subscription(socket)
        socket.send_multipart([topic("a", "event").encode(), b"{}"])
        with pytest.raises(ValueError, match="event message does not fit"):
            messages.receive(20)


def test_an_endpoint_that_is_no_address_is_refused() -> None:
    with pytest.raises(StreamclsError, match=r"tcp://127\.0\.0\.1:5599"):
        Subscriber("nonsense")


def test_a_timeout_holds_however_much_is_filtered_away(
    publisher: tuple[zmq.Socket[bytes], str],
) -> None:
    socket, endpoint = publisher
    writer, stop = Writer("/test", "boot"), threading.Event()

    def chatter() -> None:
        while not stop.wait(0.01):
            socket.send_multipart(writer.encode("a", PAYLOADS[1], utc(0)))

    with Subscriber(endpoint, kinds=["event"]) as messages:
        await_subscription(socket)
        sender = threading.Thread(target=chatter)
        sender.start()
        try:
            assert messages.receive(0.3) is None
        finally:
            stop.set()
            sender.join()
