"""A live source beyond its pictures: how much of it is corrupt, its own clock, its lag. Pure."""

from collections import deque
from fractions import Fraction

from streamcls.pipeline.sources.pacing import MAX_STEP_S

_SPAN_S = 10.0
_FEW = 20  # packets, of which a share says nothing
_CLOCK_SPAN_S = 5.0
_LATE_SPAN_S = 30.0
_WAIT_SPAN_S = 1.0
_IDLE = 0.2  # of the time spent waiting: whoever cannot keep up waits for nothing


class PacketHealth:
    """The share of packets without a sound picture, over the last ten seconds."""

    def __init__(self) -> None:
        self._packets: deque[tuple[float, bool]] = deque()
        self._bad = 0
        self._since_s: float | None = None

    def note(self, now_s: float, *, bad: bool) -> None:
        """Take note of a packet: `bad` where it gave an error or a patched-up picture.

        What comes before the first sound picture does not count: a stream that is joined between
        two keyframes begins with packets that nothing can be made of.
        """
        if self._since_s is None:
            if bad:
                return
            self._since_s = now_s
        self._packets.append((now_s, bad))
        self._bad += bad
        while self._packets[0][0] < now_s - _SPAN_S:
            self._bad -= self._packets.popleft()[1]

    def share(self, now_s: float) -> float:
        """Bad packets over all, 0..1; 0 until there are ten seconds and enough of them to say."""
        if self._since_s is None or now_s - self._since_s < _SPAN_S or len(self._packets) < _FEW:
            return 0.0
        return self._bad / len(self._packets)


class CameraClock:
    """A camera's wall clock against this machine's, from what it says of single frames.

    A frame can come late but never early, so of the last five seconds the largest difference is
    the truest: it has the least of the network in it. A step of either clock is followed at once
    upwards, and within those seconds downwards.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque()

    def offset_s(self, camera_utc_s: float | None, utc_s: float, now_s: float) -> float | None:
        """The camera's time minus ours, seconds; None while it does not tell its time.

        Args:
            camera_utc_s: when the camera says that the frame was taken, POSIX seconds.
            utc_s, now_s: when it arrived, in POSIX and in monotonic seconds.
        """
        if camera_utc_s is not None:
            self._recent.append((now_s, camera_utc_s - utc_s))
        while self._recent and self._recent[0][0] < now_s - _CLOCK_SPAN_S:
            self._recent.popleft()
        return max((offset for _, offset in self._recent), default=None)


class Lateness:
    """By how much frames come later than they might, from their own times alone.

    The camera's clock is not ours, so what is known is only how much longer a frame was on its way
    than the quickest one of the last thirty seconds; a clock that drifts is forgiven by then.
    Late are only those frames that lay here and were not fetched: of one that was waited for, the
    network is to blame, and giving up windows would help nothing.
    """

    def __init__(self) -> None:
        # Arrivals and delays, both growing: the first is the least of its time.
        self._least: deque[tuple[float, float]] = deque()
        self._last_s: Fraction | None = None
        self._waits: deque[tuple[float, float]] = deque()

    def waited(self, seconds: float, now_s: float) -> None:
        """Take note of how long the next packet had to be waited for."""
        self._waits.append((now_s, seconds))
        while self._waits[0][0] < now_s - _WAIT_SPAN_S:
            self._waits.popleft()

    def behind_s(self, media_s: Fraction | None, now_s: float) -> float:
        """Seconds that a frame which is here now is late by; 0 where it has no time."""
        if media_s is None:
            return 0.0
        if self._last_s is None or not 0 < media_s - self._last_s <= MAX_STEP_S:
            self._least.clear()  # another timeline
        self._last_s = media_s
        delay_s = now_s - float(media_s)
        while self._least and self._least[-1][1] >= delay_s:
            self._least.pop()
        self._least.append((now_s, delay_s))
        while self._least[0][0] < now_s - _LATE_SPAN_S:
            self._least.popleft()
        has_time = sum(seconds for _, seconds in self._waits) > _IDLE * _WAIT_SPAN_S
        return 0.0 if has_time else delay_s - self._least[0][1]
