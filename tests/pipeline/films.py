"""Films coded in every way, and the windows cut from them with and without sparse decoding."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.frames import Window
from streamcls.pipeline.sources import Source, open_source
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import ClipSpec, WindowPlan, to_small_rgb
from tests.pipeline.stubs import ManualClock

TICKS = 90_000
_INTERLACED = 0x20040000  # FFmpeg's flags for interlaced DCT and motion estimation


@dataclass
class Coding:
    """How a film is coded; the rest is the codec's own."""

    codec: str = "libx264"
    gop: int = 25
    b_frames: int = 0
    pyramid: bool = False
    open_gop: bool = False
    scenecut: int = 0
    slices: int = 1
    interlaced: bool = False

    def options(self) -> dict[str, str]:
        """What FFmpeg is to be told."""
        common = (
            f"bframes={self.b_frames}:b-adapt=0:keyint={self.gop}:min-keyint=1"
            f":scenecut={self.scenecut}:open-gop={self.open_gop:d}"
        )
        if self.codec == "libx265":
            private = f"{common}:b-pyramid={self.pyramid:d}:pools=1:frame-threads=1:log-level=none"
            return {"preset": "ultrafast", "x265-params": private}
        private = f"{common}:b-pyramid={'normal' if self.pyramid else 'none'}"
        private += f":slices={self.slices}" + (":tff=1" if self.interlaced else "")
        return {"preset": "veryfast", "threads": "1", "x264-params": private}


@dataclass(frozen=True)
class Reel:
    """A part of a film, from one encoder; where it differs from the film's coding, how."""

    times_s: Sequence[Fraction]
    size: tuple[int, int] = (96, 64)
    gop: int | None = None


def steady(frames: int, fps: Fraction | int = 25, first_s: Fraction | int = 0) -> list[Fraction]:
    """Times at a constant rate."""
    return [first_s + Fraction(n) / fps for n in range(frames)]


def film(
    path: Path,
    coding: Coding,
    *reels: Reel,
    seed: int = 0,
    lost: Callable[[int, "Packet[Any]"], bool] = lambda _number, _packet: False,
) -> Path:
    """Film moving noise with cuts, so that no two pictures are alike.

    Args:
        path: its suffix chooses the container; only an mpegts takes more reels than one.
        lost: says of each packet, in decoding order, whether it is left out.
    """
    number = 0
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(coding.codec, rate=25, options=coding.options())
        stream.time_base = Fraction(1, TICKS)
        for reel in reels:
            first = reel is reels[0]
            encoder = stream.codec_context if first else av.CodecContext.create(coding.codec, "w")
            encoder.options = replace(coding, gop=reel.gop or coding.gop).options()
            for packet in _coded(encoder, coding, reel, seed):
                packet.stream, packet.time_base = stream, Fraction(1, TICKS)
                if not lost(number, packet):
                    container.mux(packet)
                number += 1
    return path


def _coded(encoder: Any, coding: Coding, reel: Reel, seed: int) -> Iterator["Packet[Any]"]:
    chance = np.random.default_rng(seed)
    width, height = encoder.width, encoder.height = reel.size
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, TICKS)
    encoder.framerate = 25
    if coding.interlaced:
        encoder.flags |= _INTERLACED
    for index, time_s in enumerate(reel.times_s):
        if index % 37 == 0:
            noise = chance.integers(0, 255, (height, width, 3), np.uint8)
        frame = av.VideoFrame.from_ndarray(np.roll(noise, index, 1), format="rgb24")
        frame.pts, frame.time_base = round(time_s * TICKS), Fraction(1, TICKS)
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


@dataclass
class Played:
    """All that came of a source, by way of its windows."""

    assembler: WindowAssembler
    source: Source
    windows: list[Window] = field(default_factory=list)
    places: list[tuple[Fraction | None, int, int]] = field(default_factory=list)
    """Media time, width and stream epoch of each frame."""
    closed_at: list[int] = field(default_factory=list)
    """Packets read when each window closed."""
    decoded: int = 0

    @property
    def skipped(self) -> Counter[str]:
        return self.source.packets_skipped

    def exactly(self) -> tuple[object, ...]:
        """What may not depend on whether pictures were left out."""
        stats = self.assembler.stats
        return (
            [(exact(window), pixels(window)) for window in self.windows],
            self.places,
            stats.windows_dropped,
            stats.frames_dropped,
            stats.frames_converted,
            self.source.decode_errors,
        )


def pixels(window: Window) -> list[bytes]:
    return [picture.tobytes() for picture in window.clip]


def exact(window: Window) -> tuple[object, ...]:
    return window.stream_epoch, window.start_s, window.end_s, window.coverage


def play(
    url: Path | str,
    spec: ClipSpec,
    stride_s: float,
    *,
    sparse: bool,
    count: int | None = None,
    clock: Clock | None = None,
) -> Played:
    """Cut windows from a file, or the first so many frames of a camera."""
    settings = StreamSettings("cam", str(url), pace=Pace.FASTEST)
    clock = clock or ManualClock()
    assembler = WindowAssembler(
        "cam",
        WindowPlan.of(spec, stride_s),
        convert=lambda image: to_small_rgb(image, spec),
        min_coverage=0,
        live=settings.is_live,
        clock=clock,
    )
    needs = assembler.needs if sparse else None
    played = Played(assembler, open_source(settings, CaptureSettings(), clock, needs))
    for frame in islice(played.source.frames(threading.Event()), count):
        windows = assembler.push(frame)
        played.windows += windows
        played.decoded += frame.is_decoded
        played.closed_at += [played.source.packets] * len(windows)
        played.places.append((frame.media_s, frame.image.width, assembler.timeline.epoch))
    return played
