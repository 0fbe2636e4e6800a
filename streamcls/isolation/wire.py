"""What parent and child tell each other: MessagePack on a socket pair, clips in shared memory."""

import socket
import struct
from collections.abc import Mapping
from fractions import Fraction

import msgspec

from streamcls.config import CaptureSettings, StreamSettings
from streamcls.frames import RgbImage, Step, Window
from streamcls.transforms import ClipSpec

_LENGTH = struct.Struct("!I")


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """How the child is to cut windows from the frames; as `WindowAssembler` takes it."""

    clip_spec: ClipSpec
    stride_s: float
    min_coverage: float
    watch_still: bool
    lane: int
    epochs_before: int
    seat: int | None = None
    max_stride_s: float | None = None


class Job(msgspec.Struct, frozen=True, tag=True):
    """The first message to the child."""

    stream: StreamSettings
    limits: CaptureSettings
    cut: Cut


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the child counted since its start."""

    decode_errors: int
    packets_skipped: Mapping[str, int]
    frames_converted: int
    windows: int
    windows_dropped: Mapping[str, int]
    frames_dropped: Mapping[str, int]


class ClipPlace(msgspec.Struct, frozen=True):
    """Where a clip lies in the shared memory."""

    slot: int
    offset: int
    """Bytes from the start of the memory."""
    shape: tuple[int, int, int, int]


class WindowSent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A `Window` without its clip, its media times as exact fractions. Its step follows."""

    place: ClipPlace
    stream_epoch: int
    start_s: tuple[int, int]
    end_s: tuple[int, int]
    start_utc_s: float
    end_utc_s: float
    coverage: float
    arrival_monotonic_s: float
    closed_monotonic_s: float
    clock_offset_s: float | None
    lane: int
    stride_s: float

    @classmethod
    def of(cls, window: Window, place: ClipPlace) -> "WindowSent":
        """The window as it is sent, its clip being at a place."""
        return cls(
            place=place,
            stream_epoch=window.stream_epoch,
            start_s=window.start_s.as_integer_ratio(),
            end_s=window.end_s.as_integer_ratio(),
            start_utc_s=window.start_utc_s,
            end_utc_s=window.end_utc_s,
            coverage=window.coverage,
            arrival_monotonic_s=window.arrival_monotonic_s,
            closed_monotonic_s=window.closed_monotonic_s,
            clock_offset_s=window.clock_offset_s,
            lane=window.lane,
            stride_s=window.stride_s,
        )

    def window(self, stream: str, clip: tuple[RgbImage, ...]) -> Window:
        """The window as it was."""
        return Window(
            stream=stream,
            stream_epoch=self.stream_epoch,
            clip=clip,
            start_s=Fraction(*self.start_s),
            end_s=Fraction(*self.end_s),
            start_utc_s=self.start_utc_s,
            end_utc_s=self.end_utc_s,
            coverage=self.coverage,
            arrival_monotonic_s=self.arrival_monotonic_s,
            closed_monotonic_s=self.closed_monotonic_s,
            clock_offset_s=self.clock_offset_s,
            lane=self.lane,
            stride_s=self.stride_s,
        )


class StepSent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A `Step`; its windows were sent before, one by one, as their slots became free."""

    arrival_monotonic_s: float
    arrival_utc_s: float
    stream_epoch: int
    clock_offset_s: float | None
    unchanged_s: float
    is_decoded: bool
    stride_s: float
    counts: Counts

    @classmethod
    def of(cls, step: Step, counts: Counts) -> "StepSent":
        """The step as it is sent."""
        return cls(
            arrival_monotonic_s=step.arrival_monotonic_s,
            arrival_utc_s=step.arrival_utc_s,
            stream_epoch=step.stream_epoch,
            clock_offset_s=step.clock_offset_s,
            unchanged_s=step.unchanged_s,
            is_decoded=step.is_decoded,
            stride_s=step.stride_s,
            counts=counts,
        )

    def step(self, windows: list[Window]) -> Step:
        """The step as it was."""
        return Step(
            arrival_monotonic_s=self.arrival_monotonic_s,
            arrival_utc_s=self.arrival_utc_s,
            stream_epoch=self.stream_epoch,
            windows=windows,
            clock_offset_s=self.clock_offset_s,
            unchanged_s=self.unchanged_s,
            is_decoded=self.is_decoded,
            stride_s=self.stride_s,
        )


class Alive(msgspec.Struct, frozen=True, tag=True):
    """The source has taken in data since the last message, though no frame came of it."""


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The child's last message: how its source ended."""

    counts: Counts
    kind: str = ""
    """The name of the `SourceError` class; empty for a good end."""
    reason: str = ""
    text: str = ""


class Bug(msgspec.Struct, frozen=True, tag=True):
    """The child's last message where it met an error that nobody foresaw."""

    traceback: str


class FreeSlot(msgspec.Struct, frozen=True, tag=True):
    """To the child: this slot was read and may be written again."""

    slot: int


FromChild = WindowSent | StepSent | Alive | Ended | Bug
ToChild = Job | FreeSlot

_encoder = msgspec.msgpack.Encoder()
_from_child: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
_to_child: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)


def send(channel: socket.socket, message: FromChild | ToChild) -> None:
    """Send one message, whole.

    Raises:
        OSError: the other side is gone.
    """
    body = _encoder.encode(message)
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive_from_child(channel: socket.socket) -> FromChild | None:
    """The child's next message; None where it is gone."""
    body = _body(channel)
    return None if body is None else _from_child.decode(body)


def receive_from_parent(channel: socket.socket) -> ToChild | None:
    """The parent's next message; None where it is gone."""
    body = _body(channel)
    return None if body is None else _to_child.decode(body)


def _body(channel: socket.socket) -> bytes | None:
    head = _exactly(channel, _LENGTH.size)
    return None if head is None else _exactly(channel, _LENGTH.unpack(head)[0])


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        try:
            part = channel.recv(count - len(data))
        except ConnectionError:
            return None
        if not part:
            return None
        data += part
    return bytes(data)
