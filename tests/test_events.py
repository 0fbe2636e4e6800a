"""The wire: topics, CloudEvents, the published schema."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.events import (
    EventData,
    Latency,
    Payload,
    PredictionData,
    Score,
    StatusData,
    Writer,
    decode,
    parse_topic,
    topic,
    utc,
)
from streamcls.wire_schema import json_schema
from tests.conformance import check_message

PAYLOADS: list[Payload] = [
    StatusData(state="backoff", reason="timeout", attempt=3, retry_in_s=1.5, since=utc(1e9)),
    PredictionData(
        stream_epoch=2,
        start_s=1.0,
        end_s=2.05,
        start_time=utc(1e9),
        end_time=utc(1e9 + 1.05),
        coverage=0.96,
        top=[Score("pan_left", 1, 0.9), Score("still", 0, 0.1)],
        latency=Latency(1, 2, 3, 4, 10),
        model="camera-motion",
        model_hash="ab" * 32,
    ),
    EventData(
        event_id="b-cam-1",
        transition="end",
        label="pan_left",
        index=1,
        stream_epoch=2,
        peak_score=0.9,
        mean_score=0.8,
        start_s=1.0,
        end_s=4.0,
        start_time=utc(1e9),
        end_time=utc(1e9 + 3),
        reason="label_off",
    ),
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_encoded_comes_back_the_same(payload: Payload) -> None:
    frames = Writer("/streamcls/box", "boot").encode("cam1", payload, utc(1e9)).frames
    message = decode(*frames)
    assert message.data == payload
    assert (message.subject, message.bootid, message.sequence) == ("cam1", "boot", 1)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_every_message_fits_the_published_schema_and_cloudevents(payload: Payload) -> None:
    check_message(Writer("/streamcls/box", "boot").encode("cam1", payload, utc(1e9)).body)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_schema_as_a_whole_takes_a_message_as_exactly_one_kind(payload: Payload) -> None:
    body = Writer("/streamcls/box", "boot").encode("cam1", payload, utc(1e9)).body
    schema = json_schema()
    kinds = [{**part, "$defs": schema["$defs"]} for part in schema["oneOf"]]
    document = json.loads(body)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert sum(jsonschema.Draft202012Validator(kind).is_valid(document) for kind in kinds) == 1


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["data", "state"], "resting"),
        (["data", "attempt"], "three"),
        (["data", "since"], None),
        (["id"], ""),
        (["specversion"], "0.3"),
        (["time"], "yesterday"),
        (["time"], "2026-02-30T00:00:00Z"),
        (["source"], "a box"),
        (["sequence"], 1.5),
        (["type"], "streamcls.event.v1"),
        (["subject"], ""),
    ],
    ids=str,
)
def test_a_message_that_was_altered_does_not_conform(where: list[str], value: object) -> None:
    body = Writer("/streamcls/box", "boot").encode("cam1", PAYLOADS[0], utc(1e9)).body
    document = json.loads(body)
    part = document
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check_message(json.dumps(document).encode())


def test_an_attribute_that_cloudevents_could_not_carry_does_not_conform() -> None:
    body = Writer("/streamcls/box", "boot").encode("cam1", PAYLOADS[0], utc(1e9)).body
    with pytest.raises(AssertionError, match="bootId"):
        check_message(json.dumps({**json.loads(body), "bootId": "b"}).encode())


def test_the_shipped_schema_is_the_one_the_types_give() -> None:
    shipped = files("streamcls").joinpath("schema.json").read_text()
    printed = json.dumps(json_schema(), indent=1) + "\n"
    assert shipped == printed, "run: streamcls schema > streamcls/schema.json"


def test_sequences_count_per_topic() -> None:
    writer = Writer("/streamcls/box", "boot")
    seen: dict[str, list[int]] = {}
    for stream, payload in [("a", PAYLOADS[0]), ("b", PAYLOADS[0]), ("a", PAYLOADS[1])] * 3:
        encoded = writer.encode(stream, payload, utc(0))
        seen.setdefault(encoded.topic, []).append(encoded.sequence)
    assert seen == {
        name: [1, 2, 3]
        for name in (topic("a", "status"), topic("b", "status"), topic("a", "prediction"))
    }


@given(st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True), st.sampled_from(["event", "status"]))
def test_topics_round_trip_and_no_stream_is_a_prefix_of_another(stream: str, kind: str) -> None:
    assert parse_topic(topic(stream, kind)) == (stream, kind)
    assert not topic(stream + "0", kind).startswith(topic(stream, kind))


@pytest.mark.parametrize(
    "text", ["", "streamcls/v1/cam/event", "streamcls/v2/cam/event/", "a/b/c/d/"]
)
def test_other_topics_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a topic"):
        parse_topic(text)


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error_and_nothing_else(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"schema|topic"):
        decode(topic("cam", "event").encode(), body)


def test_a_newer_writers_extra_field_is_ignored() -> None:
    name, body = Writer("/s", "b").encode("cam", PAYLOADS[0], utc(0)).frames
    document: dict[str, Any] = json.loads(body)
    document["data"]["mood"] = "calm"
    assert decode(name, json.dumps(document).encode()).data == PAYLOADS[0]
