"""A stream's own time: media seconds and stream epochs. Pure: frames in, places out."""

from collections import deque
from fractions import Fraction
from statistics import median

from streamcls.frames import Frame

MAX_JUMP_S = 2
"""A larger step between neighbouring frames starts a new stream epoch."""

_RATE_MEMORY = 63  # intervals whose median is the frame rate: outlives a burst, follows a change


class Timeline:
    """Gives each frame its media time, and says where continuity ends.

    A new stream epoch begins at the first frame, after `reconnected()`, when time falls or jumps
    by more than `MAX_JUMP_S`, when the picture's size changes, and when timestamps begin or cease
    to exist.
    """

    def __init__(self, epochs_before: int = 0) -> None:
        self.epoch = epochs_before
        self.media_s = Fraction(0)
        self._last: Frame | None = None
        self._intervals_s: deque[float] = deque(maxlen=_RATE_MEMORY)

    def reconnected(self) -> None:
        """The next frame comes over a new connection."""
        self._last = None

    def repeats(self, frame: Frame) -> bool:
        """Whether the frame has the very timestamp and size of the last one.

        Some servers send a keyframe of several slices as several pictures of one timestamp; were
        each a break, such a camera would begin an epoch at every keyframe.
        """
        last = self._last
        return (
            last is not None
            and frame.media_s == last.media_s
            and (frame.media_s is not None or frame.arrival_monotonic_s == last.arrival_monotonic_s)
            and _shape(frame) == _shape(last)
        )

    def place(self, frame: Frame) -> bool:
        """Set `media_s` and `epoch` to the frame's; True where it begins a new epoch.

        A frame without timestamp is placed by the receive clock.
        """
        media_s = frame.media_s
        if media_s is None:
            media_s = Fraction(round(frame.arrival_monotonic_s * 1_000_000), 1_000_000)
        step_s, self.media_s = media_s - self.media_s, media_s
        broken = self._last is None or self._breaks(self._last, frame, step_s)
        self._last = frame
        if broken:
            self.epoch += 1
            self._intervals_s.clear()
        else:
            self._intervals_s.append(float(step_s))
        return broken

    @property
    def frame_interval_s(self) -> float | None:
        """The median interval of recent frames: the real rate, whatever the stream declares."""
        return median(self._intervals_s) if self._intervals_s else None

    @staticmethod
    def _breaks(last: Frame, frame: Frame, step_s: Fraction) -> bool:
        return (
            not 0 < step_s <= MAX_JUMP_S
            or (last.media_s is None) != (frame.media_s is None)
            or _shape(last) != _shape(frame)
        )


def _shape(frame: Frame) -> tuple[int, int, int]:
    """Width, height and display rotation; a webcam's pictures have none."""
    return frame.image.width, frame.image.height, getattr(frame.image, "rotation", 0)
