"""The replay server on a real ROUTER socket: requests, refusals, rate."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from streamcls.clock import SystemClock
from streamcls.pipeline.replay import Allowance, ReplayServer
from streamcls.protocol import (
    MAX_REQUEST_BYTES,
    Answer,
    Refusal,
    Replay,
    ReplayRequest,
    Request,
    Snapshot,
    SnapshotRequest,
    decode_answer,
    encode,
)

SOON_S = 20.0
TOPIC = "streamcls/v1/cam/event/"


def respond(request: Request) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
    if isinstance(request, SnapshotRequest):
        raise RuntimeError("the disk is on fire")
    if request.topic != TOPIC:
        raise ValueError(f"{request.topic!r} is no topic")
    head = Replay(
        request=request.request, topic=TOPIC, through=request.after, more=False, missing=[]
    )
    return head, [(TOPIC, b"{}")] * 2


class Caller:
    """A DEALER or REQ socket with a limit on waiting."""

    def __init__(self, endpoint: str, kind: int = zmq.DEALER) -> None:
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        self.socket.connect(endpoint)

    def ask(self, *frames: bytes) -> list[bytes]:
        self.socket.send_multipart(frames)
        return self.answer()

    def answer(self) -> list[bytes]:
        assert self.socket.poll(round(1000 * SOON_S)), "no answer"
        return self.socket.recv_multipart()


@contextmanager
def serving() -> Iterator[tuple[ReplayServer, str, list[str]]]:
    faults: list[str] = []
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    socket.set(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    server = ReplayServer(
        socket=socket,
        respond=respond,
        messages_per_s=1e6,
        clock=SystemClock(),
        on_fault=lambda what, error: faults.append(f"{what}: {error}"),
        on_end=lambda error: None,
    )
    server.start()
    try:
        yield server, f"tcp://127.0.0.1:{port}", faults
    finally:
        server.stop()
        assert server.join(SOON_S)
        assert server.error is None


@pytest.fixture
def server() -> Iterator[tuple[ReplayServer, Caller, list[str]]]:
    with serving() as (server, endpoint, faults):
        caller = Caller(endpoint)
        yield server, caller, faults
        caller.socket.close(0)


def refusal(frames: list[bytes]) -> Refusal:
    answer = decode_answer(frames[0])
    assert isinstance(answer, Refusal)
    assert len(frames) == 1
    return answer


ASKED = ReplayRequest(request=7, topic=TOPIC)


def test_an_answer_is_a_head_with_the_requests_number_and_then_the_messages(
    server: tuple[ReplayServer, Caller, list[str]],
) -> None:
    head, *messages = server[1].ask(encode(ASKED))
    answer = decode_answer(head)
    assert isinstance(answer, Replay)
    assert answer.request == 7
    assert messages == [TOPIC.encode(), b"{}"] * 2
    assert server[0].requests == {"ok": 1}


def test_a_req_socket_is_answered_too() -> None:
    with serving() as (_, endpoint, _faults):
        caller = Caller(endpoint, zmq.REQ)
        assert isinstance(decode_answer(caller.ask(encode(ASKED))[0]), Replay)
        caller.socket.close(0)


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"{}"],
        [b'{"op": "shutdown"}'],
        [b'{"op": "replay"}'],
        [b"[" * 60_000],
        [encode(ASKED), b"and more"],
        [b"x"] * 50,
        [os.urandom(1000)],
        [b'{"op": "replay", "topic": "t", "after": {"bootid": "b", "sequence": -1}}'],
        [b'{"op": "replay", "topic": "t", "limit": 1000000000}'],
    ],
    ids=lambda frames: repr(frames[0][:20]),
)
def test_what_is_no_request_is_refused_and_counted_and_the_next_is_served(
    server: tuple[ReplayServer, Caller, list[str]], frames: list[bytes]
) -> None:
    assert refusal(server[1].ask(*frames)).reason == "malformed"
    assert isinstance(decode_answer(server[1].ask(encode(ASKED))[0]), Replay)
    assert server[0].requests == {"malformed": 1, "ok": 1}


def test_an_unknown_topic_is_refused_by_name(
    server: tuple[ReplayServer, Caller, list[str]],
) -> None:
    answer = refusal(server[1].ask(encode(ReplayRequest(request=3, topic="weather"))))
    assert (answer.reason, answer.request) == ("unknown_topic", 3)
    assert "weather" in answer.detail


def test_a_fault_behind_the_server_is_logged_refused_and_survived(
    server: tuple[ReplayServer, Caller, list[str]],
) -> None:
    answer = refusal(server[1].ask(encode(SnapshotRequest(request=4))))
    assert (answer.reason, answer.request) == ("unavailable", 4)
    assert "fire" not in answer.detail
    assert server[2] == ["a snapshot failed: the disk is on fire"]
    assert isinstance(decode_answer(server[1].ask(encode(ASKED))[0]), Replay)


def test_an_oversize_request_is_cut_off_and_others_are_served() -> None:
    with serving() as (_, endpoint, _faults):
        greedy, modest = Caller(endpoint), Caller(endpoint)
        greedy.socket.send(b"x" * (MAX_REQUEST_BYTES + 1))
        assert isinstance(decode_answer(modest.ask(encode(ASKED))[0]), Replay)
        assert not greedy.socket.poll(200)
        for caller in (greedy, modest):
            caller.socket.close(0)


@given(
    st.floats(100, 1e6),
    st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 3)), min_size=1, max_size=50),
)
def test_however_requests_come_no_more_goes_out_than_the_rate_and_a_seconds_savings(
    per_s: float, asked: list[tuple[int, float]]
) -> None:
    now_s, sent, last = 0.0, 0, 0
    allowance = Allowance(per_s, now_s)
    for count, idle_s in asked:
        now_s += idle_s
        now_s += allowance.spend(count, now_s)
        sent, last = sent + count, count
        assert sent - last <= per_s * (now_s + 1) + 1e-6


def test_a_snapshot_head_survives_the_wire() -> None:
    head = Snapshot(request=1, bootid="b", heartbeat_s=5, sequences={TOPIC: 3}, latest=1)
    assert decode_answer(encode(head)) == head
