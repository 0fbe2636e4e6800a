"""One direction of a bad line: which packets come out at its far end, and when. Pure."""

import heapq
import itertools
from dataclasses import dataclass
from random import Random

QUEUE_PACKETS = 100  # as many as a cheap router holds; more are dropped at its entrance


@dataclass(frozen=True, slots=True)
class Conditions:
    """How bad a line is, the same in each direction.

    Attributes:
        loss: the share of packets that vanish, each by its own chance.
        delay_ms, jitter_ms: each packet takes `delay_ms` +- up to `jitter_ms`, so they overtake.
        rate_kbit: what passes in a second at most; None: everything.
    """

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    rate_kbit: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_ms <= self.delay_ms:
            raise ValueError(f"`jitter_ms` is {self.jitter_ms:g}; use 0 to `delay_ms`")


CUT = Conditions(loss=1.0)


class Line:
    """Packets on their way. What they meet is that of the moment when they enter.

    Attributes:
        conditions: may be changed at any time.
        entered, lost: packets since the start.
    """

    def __init__(self, conditions: Conditions, random: Random) -> None:
        self.conditions = conditions
        self.entered = self.lost = 0
        self._random = random
        self._numbers = itertools.count()  # of two that are due at once, the first goes first
        self._flying: list[tuple[float, int, bytes]] = []
        self._sent_by_s = 0.0  # when the last packet's last bit leaves the entrance

    def put(self, packet: bytes, now_s: float) -> None:
        """Let a packet enter."""
        self.entered += 1
        how = self.conditions
        if self._random.random() < how.loss or len(self._flying) >= QUEUE_PACKETS:
            self.lost += 1
            return
        at_s = now_s
        if how.rate_kbit:
            self._sent_by_s = max(self._sent_by_s, now_s) + 8 * len(packet) / how.rate_kbit / 1000
            at_s = self._sent_by_s
        at_s += (how.delay_ms + self._random.uniform(-1, 1) * how.jitter_ms) / 1000
        heapq.heappush(self._flying, (at_s, next(self._numbers), packet))

    def take(self, now_s: float) -> list[bytes]:
        """The packets that have arrived, in their order."""
        arrived = []
        while self._flying and self._flying[0][0] <= now_s:
            arrived.append(heapq.heappop(self._flying)[2])
        return arrived

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until the next arrival; None while nothing is on its way."""
        return max(0.0, self._flying[0][0] - now_s) if self._flying else None
