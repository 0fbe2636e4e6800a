"""The wire: message types, topics, encoding. CloudEvents 1.0 JSON over ZeroMQ PUB.

A message is two frames, `[topic, body]`. The topic is `streamcls/v1/<stream>/<kind>/`; its closing
slash keeps a subscription to `cam1` from matching `cam10`. The body's `sequence` grows by one per
topic and daemon start (`bootid`), so a subscriber can tell what it missed.

`schema.json` beside this file is generated from these types, see `wire_schema`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

Kind = Literal["prediction", "event", "status"]
Transition = Literal["start", "update", "end"]
EndReason = Literal["label_off", "stream_lost", "reload", "shutdown", "crash_recovered"]
State = Literal["connecting", "warming_up", "up", "stale", "backoff", "failed", "stopped"]

Time = Annotated[datetime, Meta(tz=True)]
"""With its offset from UTC, RFC 3339; we write UTC."""

TOPIC_ROOT = "streamcls/v1"
KINDS: tuple[Kind, ...] = ("prediction", "event", "status")


class Wire(msgspec.Struct, frozen=True):
    """Base of the payloads. Unknown fields are ignored, so older readers accept newer writers."""


class Score(Wire, frozen=True):
    """One label of a prediction's top-k."""

    label: str
    index: int
    score: float


class Latency(Wire, frozen=True):
    """Where a window's time went, milliseconds, from its last frame's arrival to publication."""

    window_ms: float
    """From the frame's arrival until its window was converted and closed."""
    queue_ms: float
    """Waiting for the inference worker."""
    inference_ms: float
    publish_ms: float
    total_ms: float


class PredictionData(Wire, frozen=True):
    """One classified window."""

    stream_epoch: int
    start_s: float
    end_s: float
    start_time: Time
    end_time: Time
    coverage: float
    top: list[Score]
    latency: Latency
    model: str
    model_hash: str
    backend: str = ""
    """What ran the model: `torch`, `openvino-f32`; empty from a daemon that did not tell."""
    clock_offset_s: float | None = None
    """The camera's wall clock minus the daemon's, where the camera tells its time: what to add to
    the times here to have the camera's."""
    stride_s: float | None = None
    """Seconds from this window to the next, as things stand: wider than set while overloaded."""


class EventData(Wire, frozen=True, kw_only=True):
    """A decided label change. All transitions of one event share `event_id`.

    Times are centres of windows: `start` that of the first window in which the label held, `end`
    that of the last. An event is published when it is decided, which is later.
    """

    event_id: str
    transition: Transition
    label: str
    index: int
    stream_epoch: int
    peak_score: float
    mean_score: float
    start_s: float
    end_s: float | None = None
    """Media seconds; on `start` and `update` the latest instant at which the label held."""
    start_time: Time
    end_time: Time | None = None
    clock_offset_s: float | None = None
    """As in a prediction: that of the newest window."""
    reason: EndReason | None = None
    """Why it ended; set on `end` and only there."""


class StatusData(Wire, frozen=True, kw_only=True):
    """A stream's state: published when it changes and repeated as a heartbeat."""

    state: State
    reason: str = ""
    """A short word for counting, e.g. `timeout`, `refused`, `end_of_file`."""
    detail: str = ""
    """The same for a person, in one line, credentials removed."""
    attempt: int = 0
    retry_in_s: float | None = None
    since: Time
    heartbeat: bool = False
    sequences: dict[str, int] = {}
    """On a heartbeat: the newest `sequence` of the stream's other topics, by kind. A subscriber
    that has a smaller one has missed messages, though no later one came to show it."""
    problems: list[str] = []
    """What is wrong with the daemon as a whole, for a person: the journal's disk is full."""


Data = TypeVar("Data")


class CloudEvent(msgspec.Struct, Generic[Data], frozen=True, kw_only=True):
    """The CloudEvents 1.0 envelope; `bootid` and `sequence` are extension attributes."""

    id: str
    source: str
    type: str
    subject: str
    """The stream's id."""
    time: Time
    bootid: str
    sequence: int
    data: Data
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"


PredictionMessage = CloudEvent[PredictionData]
EventMessage = CloudEvent[EventData]
StatusMessage = CloudEvent[StatusData]
Message = PredictionMessage | EventMessage | StatusMessage
Payload = PredictionData | EventData | StatusData

_KIND_OF: dict[type, Kind] = {
    PredictionData: "prediction",
    EventData: "event",
    StatusData: "status",
}
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "prediction": msgspec.json.Decoder(PredictionMessage),
    "event": msgspec.json.Decoder(EventMessage),
    "status": msgspec.json.Decoder(StatusMessage),
}
_encoder = msgspec.json.Encoder()


def kind_of(data: Payload) -> Kind:
    """The kind of message that a payload makes."""
    return _KIND_OF[type(data)]


def topic(stream: str, kind: str) -> str:
    """The topic of one stream's messages of one kind."""
    return f"{TOPIC_ROOT}/{stream}/{kind}/"


def parse_topic(text: str) -> tuple[str, str]:
    """The stream and kind a topic names.

    Raises:
        ValueError: it is not a topic of this protocol.
    """
    parts = text.split("/")
    if len(parts) != 5 or f"{parts[0]}/{parts[1]}" != TOPIC_ROOT or parts[3] not in KINDS:
        raise ValueError(f"{text!r} is not a topic like {topic('cam1', 'event')}")
    return parts[2], parts[3]


def utc(posix_s: float) -> datetime:
    """POSIX seconds as a UTC datetime, as the wire carries it (RFC 3339)."""
    return datetime.fromtimestamp(posix_s, UTC)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A numbered message, ready to send and to keep."""

    topic: str
    sequence: int
    time: Time
    payload: Payload
    body: bytes

    @property
    def frames(self) -> tuple[bytes, bytes]:
        """As they go over the wire."""
        return self.topic.encode(), self.body


class Writer:
    """Numbers and encodes one daemon run's messages. Used by one thread."""

    def __init__(self, source: str, boot_id: str) -> None:
        self.boot_id = boot_id
        self._source = source
        self._sequences: dict[str, int] = {}

    def sequence(self, name: str) -> int:
        """The newest sequence on a topic; 0 before the first message."""
        return self._sequences.get(name, 0)

    def encode(self, stream: str, data: Payload, time: datetime) -> Encoded:
        """Wrap a payload. Sequences start at 1."""
        kind = kind_of(data)
        name = topic(stream, kind)
        sequence = self._sequences.get(name, 0) + 1
        message = CloudEvent(
            id=f"{self.boot_id}/{stream}/{kind}/{sequence}",
            source=self._source,
            type=f"streamcls.{kind}.v1",
            subject=stream,
            time=time,
            bootid=self.boot_id,
            sequence=sequence,
            data=data,
        )
        body = _encoder.encode(message)
        self._sequences[name] = sequence  # a payload that cannot be encoded leaves no hole
        return Encoded(name, sequence, time, data, body)


def encode(message: Message) -> bytes:
    """A decoded message as JSON again."""
    return _encoder.encode(message)


def decode(topic_frame: bytes, body: bytes) -> Message:
    """Decode and validate one message.

    Raises:
        ValueError: the topic or the body is not of this protocol.
    """
    _, kind = parse_topic(topic_frame.decode("utf-8", "replace"))
    try:
        message: Message = _DECODERS[kind].decode(body)
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())  # it may quote the message
        raise ValueError(f"a {kind} message does not fit the schema: {why}") from None
    return message
