"""What the streams show now: noted on the publishing thread, read by the threads of viewers.

One thread writes. What readers may meet is replaced and never changed, and collections are copied
in one step of the interpreter: neither side ever waits for the other.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from streamcls.events import Encoded, EventData, PredictionData, StatusData, parse_topic
from streamcls.frames import Prediction, Window
from streamcls.observe.page.pictures import Album

HOUR_S = 3600.0
KEEP_MARKS = 300  # of each stream; more in an hour is a smear on any screen
_KEEP_ROWS = 180


class Mark(msgspec.Struct, frozen=True):
    """An event as a timeline shows it. Times are POSIX seconds; `end` is None while it is open."""

    id: str
    label: str
    start: float
    end: float | None
    peak: float
    reason: str | None

    @classmethod
    def of(cls, event: EventData) -> "Mark":
        """The mark of an event, as of one of its messages."""
        over = event.transition == "end" and event.end_time is not None
        return cls(
            id=event.event_id,
            label=event.label,
            start=round(event.start_time.timestamp(), 3),
            end=round(event.end_time.timestamp(), 3) if over and event.end_time else None,
            peak=event.peak_score,
            reason=event.reason,
        )


@dataclass(frozen=True, slots=True)
class Legend:
    """What a stream's scores mean, and its clips.

    Attributes:
        labels: in the order of the scores.
        on, off: each label's thresholds; None for one that opens no event.
        crop: side of the centred square that the network sees of a picture, pixels.
        interval_s: seconds between a clip's frames.
    """

    labels: Sequence[str]
    on: Sequence[float | None]
    off: Sequence[float | None]
    crop: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One window's smoothed scores, which thresholds are held against; numbered from 1."""

    number: int
    utc_s: float
    scores: npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The newest windows' scores, as one lane gave them."""

    legend: Legend
    rows: deque[Row] = field(default_factory=lambda: deque(maxlen=_KEEP_ROWS))


@dataclass(slots=True, eq=False)
class Shown:
    """One stream.

    Attributes:
        changes: grows with each change of a mark.
        marks: events by id, oldest first.
        window: the newest one; never one where pictures are not to be shown.
    """

    status: StatusData | None = None
    prediction: PredictionData | None = None
    changes: int = 0
    marks: dict[str, Mark] = field(default_factory=dict)
    curves: Curves | None = None
    window: Window | None = None
    album: Album = field(default_factory=Album)


class Live:
    """All streams of a daemon, as they were last heard of.

    Attributes:
        streams: by id, in the order in which they were named or first spoke.
        problems: what is wrong with the daemon as a whole.
    """

    def __init__(self, streams: Iterable[str], *, pictures: bool) -> None:
        self.streams = {stream: Shown() for stream in streams}
        self.problems: list[str] = []
        self._pictures = pictures

    def note(self, group: Sequence[Encoded]) -> None:
        """Take note of messages as they go out. On the publishing thread."""
        for message in group:
            stream, _ = parse_topic(message.topic)
            payload = message.payload
            if isinstance(payload, StatusData):
                self.problems = payload.problems
                self.streams.setdefault(stream, Shown()).status = payload
            elif shown := self.streams.get(stream):  # events may be of one long removed
                if isinstance(payload, EventData):
                    _put(shown, Mark.of(payload))
                else:
                    shown.prediction = payload

    def scored(
        self, prediction: Prediction, smoothed: npt.NDArray[np.floating], legend: Legend
    ) -> None:
        """Take note of a window and its scores. On the publishing thread."""
        window = prediction.window
        if shown := self.streams.get(window.stream):
            curves = shown.curves
            if curves is None or curves.legend is not legend:
                curves = shown.curves = Curves(legend)
            utc_s = (window.start_utc_s + window.end_utc_s) / 2
            number = curves.rows[-1].number + 1 if curves.rows else 1
            curves.rows.append(Row(number, utc_s, smoothed.astype(np.float16)))
            if self._pictures:
                shown.window = window

    def forget(self, stream: str) -> None:
        """Drop a stream that is served no more. On the publishing thread."""
        self.streams.pop(stream, None)


def _put(shown: Shown, mark: Mark) -> None:
    shown.marks[mark.id] = mark
    if len(shown.marks) > KEEP_MARKS:
        del shown.marks[next(iter(shown.marks))]
    shown.changes += 1
