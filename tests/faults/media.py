"""What a camera shows: access units one after the other, true or falsified on their way."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import av
import numpy as np

from tests.faults.rtp import CLOCK_HZ, nal_units

if TYPE_CHECKING:
    from tests.faults.camera import Session


@dataclass(frozen=True, slots=True)
class Unit:
    """One picture: its NAL units, its RTP time, and how long until the next is sent."""

    units: list[bytes]
    ticks: int
    lasts_s: float
    hevc: bool = False


Act: TypeAlias = Callable[["Session"], None]
"""Something that a camera does instead of sending a picture."""

Media: TypeAlias = Iterator[Unit | Act]


@dataclass(frozen=True)
class Picture:
    """How a clip is filmed and encoded."""

    width: int = 128
    height: int = 96
    codec: str = "libx264"
    pixels: str = "yuv420p"
    still: bool = False
    b_frames: int = 0
    interlaced: bool = False


_SECONDS = 4  # of film, played again and again
_FILMED_FPS = 10


@cache
def encoded(picture: Picture) -> tuple[tuple[tuple[bytes, ...], int], ...]:
    """The access units of a clip in the order they are sent, each with its time in frames."""
    codec: Any = av.CodecContext.create(picture.codec, "w")
    codec.width, codec.height, codec.pix_fmt = picture.width, picture.height, picture.pixels
    codec.framerate, codec.time_base, codec.gop_size = _FILMED_FPS, Fraction(1, _FILMED_FPS), 10
    codec.max_b_frames, codec.thread_count = picture.b_frames, 1
    options = {"preset": "ultrafast", "bf": str(picture.b_frames)}
    if not picture.b_frames:
        options["tune"] = "zerolatency"
    if picture.codec == "libx264":
        flags = ":tff=1" if picture.interlaced else ""
        options["x264-params"] = (
            f"repeat-headers=1:keyint=10:scenecut=0:bframes={picture.b_frames}{flags}"
        )
    else:
        options["x265-params"] = "repeat-headers=1:keyint=10:pools=1:frame-threads=1:log-level=0"
    codec.options = options
    packets = []
    for number in range(_SECONDS * _FILMED_FPS):
        frame = av.VideoFrame.from_ndarray(_filmed(picture, number), format="rgb24")
        frame = frame.reformat(format=picture.pixels)
        frame.pts = number
        packets += codec.encode(frame)
    packets += codec.encode(None)
    return tuple((tuple(nal_units(bytes(packet))), int(packet.pts)) for packet in packets)


def _filmed(picture: Picture, number: int) -> Any:
    """A square that wanders over a ramp, RGB uint8 (height, width, 3)."""
    rows, columns = np.mgrid[: picture.height, : picture.width]
    shade = (rows * 120 // picture.height + columns * 100 // picture.width).astype(np.uint8)
    side = max(4, picture.height // 3)
    at = 0 if picture.still else number * picture.width // 40 % max(1, picture.width - side)
    shade[:side, at : at + side] = 235
    return np.repeat(shade[:, :, None], 3, axis=2)


def film(picture: Picture = Picture(), *, fps: float = 10, start: int = 0) -> Media:
    """A clip for ever, its times going on from one pass to the next."""
    units = encoded(picture)
    step = round(CLOCK_HZ / fps)
    hevc = picture.codec == "libx265"
    for repetition in count():
        first = start + repetition * len(units) * step
        for nals, at in units:
            yield Unit(list(nals), first + at * step, 1 / fps, hevc)


def until(frames: int, media: Media) -> Media:
    """So many pictures of it."""
    for _ in range(frames):
        yield next(media)


def then(*parts: Iterable[Unit | Act]) -> Media:
    """One after the other, the pictures' times going on where they are pictures."""
    for part in parts:
        yield from part


def onward(before: Media, after: Media) -> Media:
    """The second after the first, its times shifted to follow."""
    last = 0
    for item in before:
        if isinstance(item, Unit):
            last = item.ticks + round(item.lasts_s * CLOCK_HZ)
        yield item
    for item in after:
        yield replace(item, ticks=item.ticks + last) if isinstance(item, Unit) else item


def changed(media: Media, change: Callable[[int, Unit], Unit | None]) -> Media:
    """Each picture, numbered from 0, put through a change that may also drop it."""
    numbers = count()
    for item in media:
        if not isinstance(item, Unit):
            yield item
        elif (new := change(next(numbers), item)) is not None:
            yield new


def corrupted(media: Media, share: float, after: int = 20) -> Media:
    """That share of the pictures with most of their bits wrong, from some picture on."""
    chance = random.Random(7)

    def spoil(number: int, unit: Unit) -> Unit:
        if number < after or chance.random() >= share:
            return unit
        return replace(unit, units=[_spoilt(nal, chance) for nal in unit.units])

    return changed(media, spoil)


def _spoilt(nal: bytes, chance: random.Random) -> bytes:
    if nal[0] & 0x1F in (7, 8):  # parameter sets, without which nothing at all would decode
        return nal
    return nal[:1] + bytes(byte ^ chance.randrange(256) for byte in nal[1:])


def jumped(media: Media, at: int, seconds: float) -> Media:
    """All times from a picture on moved."""
    return changed(
        media,
        lambda number, unit: (
            replace(unit, ticks=unit.ticks + round(seconds * CLOCK_HZ)) if number >= at else unit
        ),
    )
