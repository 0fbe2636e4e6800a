"""What the stages counted, read for viewers: once a second, however many look."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamcls.clock import Clock
from streamcls.observe.metrics import StreamCounts

_PACE_S = 1.0
_SPAN_S = 6.0  # over which frames are counted to a rate


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of one moment.

    Attributes:
        number: another one for each reading.
        frames_per_s: of streams that were seen for long enough.
    """

    number: int
    counts: Mapping[str, StreamCounts]
    frames_per_s: Mapping[str, float]


class Readings:
    """Reads when asked and the last reading is a second old."""

    def __init__(self, read: Callable[[], Mapping[str, StreamCounts]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()  # of all below
        self._taken: deque[tuple[float, Mapping[str, int]]] = deque()
        self._newest = Reading(0, {}, {})

    def now(self) -> Reading:
        """The newest reading."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if not self._taken or now_s - self._taken[-1][0] >= _PACE_S:
                self._take(now_s)
            return self._newest

    def _take(self, now_s: float) -> None:
        counts = self._read()
        frames = {name: _frames(one) for name, one in counts.items()}
        while self._taken and now_s - self._taken[0][0] > _SPAN_S:
            self._taken.popleft()
        rates: dict[str, float] = {}
        if self._taken:
            then_s, before = self._taken[0]
            # A stream that begins anew may count from 0 again.
            rates = {
                name: max(0, count - before[name]) / (now_s - then_s)
                for name, count in frames.items()
                if name in before
            }
        self._taken.append((now_s, frames))
        self._newest = Reading(self._newest.number + 1, counts, rates)


def _frames(counts: StreamCounts) -> int:
    """Pictures that arrived, whether or not a window needed them."""
    return counts.frames_decoded + sum(counts.packets_skipped.values())
