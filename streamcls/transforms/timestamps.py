"""When a decoded frame shows, as its container tells it, or as far as it does."""

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

    from streamcls.frames import Undecoded

# Containers that number packets in decoding order and know no other time. With B-frames FFmpeg
# hands that number on as a presentation time, which then runs back and forth; the decoding time
# of the packet that released a frame never does.
_DECODE_ORDER_ONLY = {"avi"}
_UNDECLARED_RATE = Fraction(25)


def media_time_s(frame: "av.VideoFrame | Undecoded") -> Fraction | None:
    """The frame's presentation time in exact seconds, None where there is none."""
    return _seconds(frame.pts, frame)


class RecordedTimes:
    """Media times of a recording's frames, in the order in which they are decoded.

    Where a frame carries no time (raw streams; an AVI's last frames) it follows the one before
    by one frame of the declared rate.

    Attributes:
        by_decoding: whether the container knows no presentation times.
    """

    def __init__(self, container: "InputContainer", stream: "av.VideoStream") -> None:
        self.by_decoding = container.format.name in _DECODE_ORDER_ONLY
        self._interval_s = 1 / Fraction(stream.average_rate or _UNDECLARED_RATE)
        self._last_s: Fraction | None = None

    def of(self, frame: "av.VideoFrame | Undecoded") -> Fraction:
        """The next frame's media time, exact seconds."""
        time_s = _seconds(frame.dts if self.by_decoding else frame.pts, frame)
        if time_s is None:
            time_s = Fraction(0) if self._last_s is None else self._last_s + self._interval_s
        self._last_s = time_s
        return time_s


def _seconds(ticks: int | None, frame: "av.VideoFrame | Undecoded") -> Fraction | None:
    if ticks is None or not frame.time_base:
        return None
    return ticks * Fraction(frame.time_base)
