"""The replay server on a real ROUTER socket: requests, refusals, rate."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from streamcls.clock import Clock, SystemClock
from streamcls.errors import StreamclsError
from streamcls.pipeline.replay import Allowance, ReplayServer
from streamcls.protocol import (
    MAX_REQUEST_BYTES,
    Answer,
    Position,
    Refusal,
    Replay,
    ReplayRequest,
    Request,
    Snapshot,
    SnapshotRequest,
    decode_answer,
    encode,
)
from tests.pipeline.stubs import ManualClock

SOON_S = 20.0
TOPIC = "streamcls/v1/cam/event/"
BODY = bytes(100_000)


def respond(request: Request) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
    if isinstance(request, SnapshotRequest):
        if request.streams == ["told"]:
            raise StreamclsError("the log has it already")
        raise RuntimeError("the disk is on fire")
    if request.topic != TOPIC:
        raise ValueError(f"{request.topic!r} is no topic")
    head = Replay(
        request=request.request, topic=TOPIC, through=request.after, more=False, missing=[]
    )
    return head, [(TOPIC, BODY if request.after else b"{}")] * min(request.limit, 2)


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


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
def serving(
    *, clock: Clock | None = None, max_request_bytes: int = MAX_REQUEST_BYTES
) -> Iterator[tuple[ReplayServer, str, list[str]]]:
    faults: list[str] = []
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    for option, value in (ReplayServer.OPTIONS | {zmq.MAXMSGSIZE: max_request_bytes}).items():
        socket.set(option, value)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    server = ReplayServer(
        socket=socket,
        respond=respond,
        messages_per_s=1e6,
        clock=clock or SystemClock(),
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
    eventually(lambda: server[0].requests == {"ok": 1})
    assert server[0].messages == 2


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
        [random.Random(1).randbytes(1000)],
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
    eventually(lambda: server[0].requests == {"malformed": 1, "ok": 1})


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


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b'{"op": "replay", "request": 9}', 9),
        (b'{"op": "shutdown", "request": 9, "deep": [[[1]]]}', 9),
        (b'{"op": "snapshot", "request": 9, "streams": 1}', 9),
        (b'{"op": "snapshot", "request": "nine"}', 0),
        (b'{"request": 9', 0),
        (b'{"op": "snapshot", "request": 9, "x": "' + bytes([120]) * MAX_REQUEST_BYTES + b'"}', 9),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_refusal_has_the_requests_number_wherever_it_can_be_read(
    body: bytes, number: int
) -> None:
    with serving(max_request_bytes=2 * MAX_REQUEST_BYTES) as (_, endpoint, _faults):
        caller = Caller(endpoint)
        assert refusal(caller.ask(body)).request == number
        caller.socket.close(0)


def test_trouble_that_is_in_the_log_already_is_refused_and_no_fault(
    server: tuple[ReplayServer, Caller, list[str]],
) -> None:
    answer = refusal(server[1].ask(encode(SnapshotRequest(request=4, streams=["told"]))))
    assert (answer.reason, answer.request) == ("unavailable", 4)
    assert server[2] == []


def test_one_and_the_same_fault_is_told_once_a_minute() -> None:
    clock = ManualClock()
    with serving(clock=clock) as (_, endpoint, faults):
        caller = Caller(endpoint)
        for now_s, told in ((1000, 1), (1059, 1), (1061, 2), (1120, 2), (1122, 3)):
            clock.now_s = now_s
            for _ in range(3):
                refusal(caller.ask(encode(SnapshotRequest())))
            assert len(faults) == told
        caller.socket.close(0)


def test_answers_that_a_peer_does_not_read_are_counted_as_unread_and_not_as_ok() -> None:
    with serving() as (server, endpoint, _faults), zmq.Context() as context:
        deaf: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        deaf.set(zmq.RCVHWM, 1)
        deaf.set(zmq.RCVBUF, 10_000)
        deaf.set(zmq.LINGER, 0)
        deaf.connect(endpoint)
        asked = encode(ReplayRequest(topic=TOPIC, after=Position("boot", 0)))
        for _ in range(200):
            deaf.send(asked)
        eventually(lambda: server.requests.total() == 200)
        assert server.requests["unread"] > 0
        assert server.requests.keys() <= {"ok", "unread"}
        assert server.messages == 2 * server.requests["ok"]
        deaf.close(0)


def test_an_answer_to_a_peer_that_has_left_is_counted_as_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = threading.Event()
    taken = threading.Event()

    def slow(request: Request) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
        taken.set()
        assert left.wait(SOON_S)
        return respond(request)

    with serving() as (server, endpoint, _faults), zmq.Context() as context:
        monkeypatch.setattr(server, "_respond", slow)
        monitor = server._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        leaver: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        leaver.connect(endpoint)
        leaver.send(encode(ASKED))
        assert taken.wait(SOON_S)
        leaver.close(0)
        assert monitor.poll(round(1000 * SOON_S))
        time.sleep(0.3)  # ZeroMQ tells of the end before it strikes the peer off its list
        left.set()
        eventually(lambda: server.requests == {"gone": 1})
        assert server.messages == 0


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


@given(st.floats(100, 1e6), st.integers(1, 300), st.integers(1, 10))
def test_however_many_peers_ask_for_all_there_is_a_turn_among_them_is_short(
    per_s: float, peers: int, turns: int
) -> None:
    now_s = 0.0
    allowance = Allowance(per_s, now_s)
    for _ in range(turns):
        began_s = now_s
        for _ in range(peers):
            count = min(1000, allowance.room(now_s))
            assert count >= 20
            now_s += allowance.spend(count + 5, now_s)
        assert now_s - began_s <= peers * 25 / per_s + 1e-6


def test_while_little_is_asked_for_answers_are_as_large_as_can_be() -> None:
    allowance = Allowance(20_000, 0)
    for now_s in range(10):
        assert allowance.room(now_s) >= 1000
        allowance.spend(1000, now_s)


def test_a_snapshot_head_survives_the_wire() -> None:
    head = Snapshot(request=1, bootid="b", heartbeat_s=5, sequences={TOPIC: 3}, latest=1)
    assert decode_answer(encode(head)) == head
