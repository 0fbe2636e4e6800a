"""The second socket: what a subscriber asks the daemon's ROUTER, and what it answers.

A request is one frame of JSON. A DEALER socket sends it as it is; a REQ socket's empty frame before
it is kept in the answer. Each request has one answer, a head of JSON followed by messages as they
were published:

    [head, topic, body, topic, body, ...]

A subscriber that misses nothing does this:

1. Subscribe, then ask for a `snapshot`. It says where every topic stands, and what is open.
2. A message whose `sequence` is one more than the last of its topic and `bootid` is next. One that
   is not greater is a repetition. Else something is missing: ask for a `replay` after the last one
   seen, again from `through` as long as `more`, then go on. A heartbeat's `sequences` tell of a
   missing last message. `missing` names what is gone for good.
3. Another `bootid` is another run of the daemon: ask for a snapshot, then for a replay of every
   topic; it leads from the old run into the new one.

A status is state, not a record: the newest one is in every snapshot and heartbeats repeat it, so
statuses are never replayed. A replay of a status topic says where the topic stands and no more.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_REQUEST_BYTES = 65_536
MAX_REPLAY_MESSAGES = 1000
MAX_REPLAY_BYTES = 262_144  # of bodies in one answer; always room for one message


MAX_SEQUENCE = 2**53
"""No further than every reader of JSON can count."""

Sequence = Annotated[int, Meta(ge=0, le=MAX_SEQUENCE)]


class Position(msgspec.Struct, frozen=True):
    """A place on one topic: the last message seen. Sequence 0 is before the first."""

    bootid: str
    sequence: Sequence


class SnapshotRequest(msgspec.Struct, frozen=True, tag_field="op", tag="snapshot"):
    """Asks for the newest message of each topic, and for what is open."""

    request: int = 0
    """Comes back in the answer."""
    streams: list[str] = []
    """Only these; none for all."""


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="replay"):
    """Asks for the messages of one topic after a position, in order, across daemon runs."""

    request: int = 0
    topic: str
    after: Position | None = None
    """Unset: from the oldest that is still kept."""
    to: Position | None = None
    """The last one wanted; unset: the newest there is."""
    limit: Annotated[int, Meta(ge=1, le=MAX_REPLAY_MESSAGES)] = MAX_REPLAY_MESSAGES


Request = SnapshotRequest | ReplayRequest


class Missing(msgspec.Struct, frozen=True):
    """Messages of one run that can no longer be had, `first` to `last`."""

    bootid: str
    first: Sequence
    last: Sequence | None
    """None: nobody knows how many there were."""
    before: int
    """They belong before this message of the answer, counted from 0."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="snapshot"):
    """Heads the answer to a snapshot.

    The newest message of each topic follows, then for each open event its newest message.
    """

    request: int
    bootid: str
    heartbeat_s: float
    sequences: dict[str, Sequence]
    """The newest sequence of every topic in this run; 0 where nothing was sent yet. Topics of
    earlier runs that are still kept are there too."""
    latest: int
    """How many of the messages that follow are newest ones; the rest are of open events."""


class Replay(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="replay"):
    """Heads the answer to a replay; its messages follow in order."""

    request: int
    topic: str
    through: Position | None
    """Everything up to here is in this answer, or in `missing`; of a status topic, which is never
    replayed, neither. None: nothing was ever kept."""
    more: bool
    """Ask again, after `through`."""
    missing: list[Missing]


Reason = Literal["malformed", "oversize", "unknown_topic", "unavailable"]


class Refusal(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="refusal"):
    """The answer to what is not a request."""

    request: int = 0
    """The number of what was refused; 0 where it could not be read."""
    reason: Reason
    """`unavailable` may pass; ask again later. The others will not."""
    detail: str


Answer = Snapshot | Replay | Refusal

_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_answer_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()


def encode(message: Request | Answer) -> bytes:
    """A request or the head of an answer as JSON."""
    return _encoder.encode(message)


def decode_request(body: bytes) -> Request:
    """Decode and validate a request.

    Raises:
        ValueError: it is not one; the text says where.
    """
    try:
        return _request_decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a request: {_one_line(error)}") from None


def decode_answer(head: bytes) -> Answer:
    """Decode and validate the head of an answer.

    Raises:
        ValueError: it is not one.
    """
    try:
        return _answer_decoder.decode(head)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not an answer: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())  # it may quote what was sent
