"""What comes from a source when it is opened: for whoever sets up a camera."""

import itertools
import threading
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

import av

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, Pace, StreamSettings
from streamcls.errors import SourceError
from streamcls.frames import Frame
from streamcls.pipeline.sources import open_source


@dataclass(frozen=True, slots=True)
class Probe:
    """What one source gave, or why it gave nothing.

    Attributes:
        error: one line; empty where frames came.
        description: codec, pixel format and declared rate, as the source tells them.
        size: the first picture's, and again wherever it changed.
        fps: measured over the frames' own times, or their arrivals where they have none.
        first_frame_s: from the opening to the first frame, seconds.
        keyframe_s: the longest time between keyframes that was seen, None for fewer than two.
        has_times: whether frames carry timestamps.
        clock_offset_s: as in `Frame`, the newest.
    """

    error: str = ""
    description: str = ""
    size: tuple[str, ...] = ()
    frames: int = 0
    fps: float | None = None
    first_frame_s: float | None = None
    keyframe_s: float | None = None
    has_times: bool = False
    decode_errors: int = 0
    clock_offset_s: float | None = None

    def line(self) -> str:
        """The same for a person, in one line."""
        if not self.frames:
            return self.error
        parts = [
            self.description,
            " then ".join(self.size),
            f"{self.fps:.3g} fps measured" if self.fps else "a single frame",
            f"first frame after {self.first_frame_s:.2f} s",
        ]
        if self.keyframe_s:
            parts.append(f"keyframes up to {self.keyframe_s:.1f} s apart")
        if not self.has_times:
            parts.append("no timestamps")
        if self.decode_errors:
            parts.append(f"{self.decode_errors} decode errors")
        if self.clock_offset_s is not None:
            parts.append(f"its clock is {self.clock_offset_s:+.2f} s from ours")
        return "; ".join([*parts, self.error] if self.error else parts)


def probe(
    stream: StreamSettings, limits: CaptureSettings, clock: Clock, *, for_s: float = 3.0
) -> Probe:
    """Open a source as a capture thread would, and look at it for so many seconds of frames.

    A file is played at full speed. A decoder that crashes takes this process with it. Waits no
    longer than the limits of [capture] allow.
    """
    if stream.is_file:
        stream = _at_full_speed(stream)
    source = open_source(stream, limits, clock)
    seen = _Seen()
    asked_s, error = clock.monotonic_s(), ""
    try:
        with closing(source.frames(threading.Event())) as frames:
            for frame in frames:
                seen.take(frame)
                now_s = clock.monotonic_s()
                if now_s - seen.arrivals_s[0] >= for_s:
                    break
    except SourceError as failure:
        error = str(failure)
    return Probe(
        error=error or ("" if seen.arrivals_s else "it gave no frame"),
        description=source.description,
        size=tuple(seen.sizes),
        frames=len(seen.arrivals_s),
        fps=seen.fps(),
        first_frame_s=seen.arrivals_s[0] - asked_s if seen.arrivals_s else None,
        keyframe_s=seen.keyframe_s(),
        has_times=bool(seen.times_s),
        decode_errors=source.decode_errors,
        clock_offset_s=seen.clock_offset_s,
    )


def _at_full_speed(stream: StreamSettings) -> StreamSettings:
    return StreamSettings(stream.id, stream.url, pace=Pace.FASTEST)


class _Seen:
    """The frames that came, as far as they tell something."""

    def __init__(self) -> None:
        self.arrivals_s: list[float] = []
        self.times_s: list[Fraction] = []
        self.sizes: list[str] = []
        self.clock_offset_s: float | None = None
        self._keyframes_s: list[float] = []

    def take(self, frame: Frame) -> None:
        """Note one frame."""
        image = frame.image
        self.arrivals_s.append(frame.arrival_monotonic_s)
        if frame.media_s is not None:
            self.times_s.append(frame.media_s)
        self.clock_offset_s = frame.clock_offset_s
        size = f"{image.width}x{image.height}"
        if isinstance(image, av.VideoFrame):
            size += f" turned by {image.rotation}" if image.rotation else ""
            size += " interlaced" if image.interlaced_frame else ""
            if image.key_frame:
                self._keyframes_s.append(self._at_s(-1))
        if [size] != self.sizes[-1:]:
            self.sizes.append(size)

    def fps(self) -> float | None:
        """From the median interval, which a pause does not move."""
        count = len(self.arrivals_s)
        steps = [self._at_s(i) - self._at_s(i - 1) for i in range(1, count)]
        usual = median(steps) if steps else 0.0
        return 1 / usual if usual > 0 else None

    def keyframe_s(self) -> float | None:
        """The longest time between neighbouring keyframes, seconds."""
        at = self._keyframes_s
        return max((b - a for a, b in itertools.pairwise(at)), default=None)

    def _at_s(self, index: int) -> float:
        complete = len(self.times_s) == len(self.arrivals_s)
        return float(self.times_s[index]) if complete else self.arrivals_s[index]
