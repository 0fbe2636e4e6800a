"""Any frames as messages, requests and answers: read, or a ValueError."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from streamcls.client.reading import read_answer
from streamcls.events import (
    EventData,
    Latency,
    Message,
    Payload,
    PredictionData,
    Score,
    StatusData,
    Writer,
    decode,
)
from streamcls.protocol import (
    Answer,
    Position,
    Replay,
    ReplayRequest,
    Request,
    Snapshot,
    SnapshotRequest,
    decode_request,
    encode,
)
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import memory_limit
from tests.fuzz.mutate import mutated

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
PAYLOADS: list[Payload] = [
    PredictionData(
        stream_epoch=1,
        start_s=0.0,
        end_s=2.4,
        start_time=NOW,
        end_time=NOW,
        coverage=1.0,
        top=[Score("pan_left", 1, 0.9)],
        latency=Latency(1.0, 2.0, 3.0, 4.0, 10.0),
        model="small",
        model_hash="0" * 64,
        clock_offset_s=-0.25,
    ),
    EventData(
        event_id="a-cam-1",
        transition="end",
        label="pan_left",
        index=1,
        stream_epoch=1,
        peak_score=0.9,
        mean_score=0.8,
        start_s=1.0,
        end_s=2.0,
        start_time=NOW,
        end_time=NOW,
        reason="label_off",
    ),
    StatusData(state="backoff", reason="timeout", attempt=3, retry_in_s=1.5, since=NOW),
]
REQUESTS: list[Request] = [
    SnapshotRequest(request=1, streams=["cam"]),
    ReplayRequest(request=2, topic="streamcls/v1/cam/event/", after=Position("boot", 7)),
]
ANSWERS: list[Answer] = [
    Snapshot(request=1, bootid="b", heartbeat_s=5.0, sequences={"x": 3}, latest=2),
    Replay(
        request=2,
        topic="streamcls/v1/cam/event/",
        through=Position("b", 3),
        more=False,
        missing=[],
    ),
]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda one: type(one).__name__)
def test_a_message_is_read_or_refused(cases: Cases, payload: Payload) -> None:
    sent = Writer("/streamcls/box", "boot").encode("cam", payload, NOW)
    others = [Writer("/x", "b").encode("cam", one, NOW).body for one in PAYLOADS]
    with memory_limit(100):
        for case in cases(2000):
            topic = mutated(sent.topic.encode(), case.chance) if case.number % 3 == 0 else None
            frames = (topic or sent.topic.encode(), mutated(sent.body, case.chance, others=others))
            # Of nesting it is a RecursionError, which the client takes for the same.
            with case.trying(frames), suppress(ValueError, RecursionError):
                decode(*frames)


def test_a_request_is_read_or_refused_in_one_line(cases: Cases) -> None:
    bodies = [encode(request) for request in REQUESTS]
    with memory_limit(100):
        for case in cases(2000):
            body = mutated(case.chance.choice(bodies), case.chance, others=bodies)
            with case.trying(body):
                assert "\n" not in _refusal(body)


def _refusal(body: bytes) -> str:
    try:
        decode_request(body)
    except ValueError as error:
        return str(error)
    return ""


def test_an_answer_of_any_frames_is_read_or_refused(cases: Cases) -> None:
    bodies = [encode(answer) for answer in ANSWERS]
    with memory_limit(100):
        for case in cases(2000):
            body = mutated(case.chance.choice(bodies), case.chance, others=bodies)
            frames = [body, *[b"x"] * case.chance.randrange(4)]
            with case.trying(frames), suppress(ValueError):
                read_answer(frames)


def test_what_was_not_touched_is_read_as_it_was() -> None:
    for payload in PAYLOADS:
        sent = Writer("/streamcls/box", "boot").encode("cam", payload, NOW)
        message: Message = decode(sent.topic.encode(), sent.body)
        assert message.data == payload
