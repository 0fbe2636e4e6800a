"""What a camera's subscriber sees: how old news is, and what never came."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from streamcls.errors import StreamclsError
from streamcls.events import Message, PredictionData, StatusData


@dataclass(frozen=True, slots=True)
class Seen:
    """One window as it came: when, the media time of its last picture, and what the daemon says.

    Attributes:
        timeline: windows of one timeline share an origin, and lie a stride apart.
    """

    at_s: float
    timeline: int
    end_s: float
    total_ms: float
    inference_ms: float


@dataclass
class Camera:
    """One stream's windows, and when the media time 0 of each timeline was due, POSIX seconds.

    A file at its own pace is due from its first picture on: what the first status with pictures
    says, whatever breaks the daemon sees in it. Of an RTSP camera nobody knows how long a picture
    was under way, so each stream epoch's clock is set by the picture that was least late.
    """

    live: bool
    origins_s: dict[int, float] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def take(self, data: PredictionData | StatusData, at_s: float) -> None:
        """Note a message of the stream."""
        if isinstance(data, StatusData):
            if data.state == "warming_up" and not self.live:
                self.origins_s.setdefault(0, data.since.timestamp())
            return
        timeline = data.stream_epoch if self.live else 0
        if self.live:
            origin_s = data.end_time.timestamp() - data.end_s
            self.origins_s[timeline] = min(origin_s, self.origins_s.get(timeline, origin_s))
        latency = data.latency
        self.seen.append(Seen(at_s, timeline, data.end_s, latency.total_ms, latency.inference_ms))

    def ages_ms(self, since_s: float, until_s: float) -> list[float]:
        """How old the last picture of each window was that came in that time.

        From when the picture was due, had nothing ever been late: what a decoder that lags, a
        queue and the network each took is in it, and lag adds up where it is not made good.
        """
        return [1000 * (one.at_s - self._due_s(one)) for one in self.came(since_s, until_s)]

    def came(self, since_s: float, until_s: float) -> list[Seen]:
        """The windows that came in that time."""
        return [one for one in self.seen if since_s <= one.at_s < until_s]

    def due(self, since_s: float, until_s: float) -> int:
        """How many windows have come that were due in that time."""
        return sum(since_s <= self._due_s(one) < until_s for one in self.seen)

    def missing(self, stride_s: float) -> int:
        """Windows between a timeline's first that came and its last that did not come."""
        left_out = 0
        for timeline in self.origins_s:
            ends_s = [one.end_s for one in self.seen if one.timeline == timeline]
            if ends_s:
                left_out += round((max(ends_s) - min(ends_s)) / stride_s) + 1 - len(ends_s)
        return left_out

    def _due_s(self, one: Seen) -> float:
        return self.origins_s[one.timeline] + one.end_s


class Watcher:
    """One daemon's subscriber, with a `Camera` for each stream it is told of."""

    def __init__(self, receive: Callable[[float], Message | None], *, live: bool) -> None:
        """Begin with no cameras.

        Args:
            receive: the next message, if one comes within so many seconds.
            live: whether they are cameras and not files; see `Camera`.
        """
        self.cameras: dict[str, Camera] = {}
        self.backend = ""  # what ran the network, as predictions say
        self._receive = receive
        self._live = live

    def expect(self, name: str) -> Camera:
        """A stream that is to come."""
        return self.cameras.setdefault(name, Camera(self._live))

    def listen(self, seconds: float) -> None:
        """Take what comes in that time."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self._take(left_s)

    def until_flowing(self, names: Iterable[str], patience_s: float = 120) -> None:
        """Take what comes until each of these streams has had a picture."""
        until_s = time.monotonic() + patience_s
        waiting = set(names)
        while waiting:
            if time.monotonic() > until_s:
                raise StreamclsError(f"{patience_s:g} s without a picture of {', '.join(waiting)}")
            name, state = self._take(1.0)
            if state == "warming_up":
                waiting.discard(name)

    def _take(self, timeout_s: float) -> tuple[str, str]:
        message = self._receive(timeout_s)
        at_s = time.time()
        if message is None or message.subject not in self.cameras:
            return "", ""
        data = message.data
        if isinstance(data, StatusData) and data.state == "failed":
            raise StreamclsError(f"{message.subject} failed: {data.detail}")
        if isinstance(data, PredictionData | StatusData):
            self.cameras[message.subject].take(data, at_s)
        if isinstance(data, PredictionData):
            self.backend = data.backend
        return message.subject, data.state if isinstance(data, StatusData) else ""


def fairness(counts: Iterable[int]) -> tuple[float, float]:
    """The smallest share over the largest, and Jain's index: 1 where all are served alike."""
    shares = list(counts)
    if not any(shares):
        return 1.0, 1.0
    jain = sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
    return min(shares) / max(shares), jain
