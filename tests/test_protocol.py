"""The second socket's requests and answers: what comes back, what is refused, what is published."""

import json
from collections.abc import Callable
from typing import get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.protocol import (
    MAX_REPLAY_MESSAGES,
    Answer,
    Missing,
    Position,
    Reason,
    Refusal,
    Replay,
    ReplayRequest,
    Request,
    Snapshot,
    SnapshotRequest,
    decode_answer,
    decode_request,
    encode,
)
from tests.conformance import check_answer, check_request

counts = st.integers(0, 2**53)
positions = st.builds(Position, st.text(), counts)
requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(SnapshotRequest, counts, st.lists(st.text())),
    st.builds(
        ReplayRequest,
        request=counts,
        topic=st.text(),
        after=st.none() | positions,
        to=st.none() | positions,
        limit=st.integers(1, MAX_REPLAY_MESSAGES),
    ),
)
answers: st.SearchStrategy[Answer] = st.one_of(
    st.builds(
        Snapshot,
        request=counts,
        bootid=st.text(),
        heartbeat_s=st.floats(0.1, 3600),
        sequences=st.dictionaries(st.text(), counts),
        latest=counts,
    ),
    st.builds(
        Replay,
        request=counts,
        topic=st.text(),
        through=st.none() | positions,
        more=st.booleans(),
        missing=st.lists(st.builds(Missing, st.text(), counts, st.none() | counts, counts)),
    ),
    st.builds(Refusal, request=counts, reason=st.sampled_from(get_args(Reason)), detail=st.text()),
)


@given(requests)
def test_every_request_comes_back_the_same_and_fits_the_published_schema(request: Request) -> None:
    body = encode(request)
    check_request(body)
    assert decode_request(body) == request


@given(answers)
def test_every_answer_comes_back_the_same_and_fits_the_published_schema(answer: Answer) -> None:
    head = encode(answer)
    check_answer(head)
    assert decode_answer(head) == answer


BAD_REQUESTS = {
    "no object": [],
    "no op": {},
    "an unknown op": {"op": "shutdown"},
    "an answer": {"op": "refusal", "reason": "malformed", "detail": ""},
    "streams that are no list": {"op": "snapshot", "streams": "cam1"},
    "a replay of nothing": {"op": "replay"},
    "half a position": {"op": "replay", "topic": "t", "after": {"bootid": "b"}},
    "a place before the first": {
        "op": "replay",
        "topic": "t",
        "after": {"bootid": "b", "sequence": -1},
    },
    "a limit of none": {"op": "replay", "topic": "t", "limit": 0},
    "a limit over the limit": {"op": "replay", "topic": "t", "limit": MAX_REPLAY_MESSAGES + 1},
}
BAD_ANSWERS = {
    "a request": {"op": "snapshot"},
    "no reason": {"op": "refusal", "detail": ""},
    "no sequences": {"op": "snapshot", "request": 1, "bootid": "b", "heartbeat_s": 1, "latest": 0},
    "a half told gap": {
        "op": "replay",
        "request": 1,
        "topic": "t",
        "through": None,
        "more": False,
        "missing": [{"bootid": "b", "first": 1, "before": 0}],
    },
}
Check = Callable[[bytes], object]


@pytest.mark.parametrize(
    ("document", "check", "decode"),
    [(bad, check_request, decode_request) for bad in BAD_REQUESTS.values()]
    + [(bad, check_answer, decode_answer) for bad in BAD_ANSWERS.values()],
    ids=[*BAD_REQUESTS, *BAD_ANSWERS],
)
def test_the_published_schema_and_the_decoder_refuse_the_same(
    document: object, check: Check, decode: Check
) -> None:
    body = json.dumps(document).encode()
    with pytest.raises(jsonschema.ValidationError):
        check(body)
    with pytest.raises(ValueError, match=r"not (a request|an answer)"):
        decode(body)


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error_and_nothing_else(body: bytes) -> None:
    for decode in (decode_request, decode_answer):
        with pytest.raises(ValueError, match="not a"):
            decode(body)


def test_a_newer_peers_extra_field_is_ignored() -> None:
    asked = json.loads(encode(SnapshotRequest(request=3)))
    body = json.dumps({**asked, "mood": "calm"}).encode()
    check_request(body)
    assert decode_request(body) == SnapshotRequest(request=3)
