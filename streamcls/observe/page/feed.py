"""What differs from what a viewer was last told."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from streamcls.clock import Clock
from streamcls.events import EventData
from streamcls.observe.metrics import StreamCounts
from streamcls.observe.page import told
from streamcls.observe.page.live import HOUR_S, KEEP_MARKS, Curves, Live, Mark, Shown
from streamcls.observe.page.readings import Reading, Readings
from streamcls.observe.page.told import News, Own, Tile

_SIGN_OF_LIFE_S = 5.0

Past = Callable[[float], Iterable[tuple[str, EventData]]]
"""Events journaled since an instant (POSIX seconds), newest first, with their streams."""

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Sight:
    """What all viewers look at.

    Attributes:
        past: what the journal holds; called once for each viewer, on its thread.
    """

    live: Live
    readings: Readings
    past: Past
    clock: Clock


@dataclass(slots=True)
class _Sent:
    """What a viewer knows of one stream."""

    shown: Shown
    tile: Tile | None = None
    changes: int = -1
    marks: dict[str, Mark] = field(default_factory=dict)
    picture: bytes = b""


class Feed:
    """One viewer's. Used by the viewer's thread alone.

    Args:
        own: the only stream to tell of, with all there is to it; None for all, in short.
    """

    def __init__(self, sight: Sight, own: str | None = None) -> None:
        self._sight = sight
        self._own = own
        self._own_view = _OwnView()
        self._sent: dict[str, _Sent] = {}
        self._streams: list[str] | None = None
        self._problems: list[str] | None = None
        self._told_s = 0.0

    def next(self) -> bytes:
        """The next message, JSON in one line; empty if there is nothing to say."""
        now_s = self._sight.clock.monotonic_s()
        news = self._news(now_s)
        if news.is_empty and now_s - self._told_s < _SIGN_OF_LIFE_S:
            return b""
        self._told_s = now_s
        return _encoder.encode(news)

    def _news(self, now_s: float) -> News:
        sight, own = self._sight, self._own
        reading = sight.readings.now()
        streams = dict(sight.live.streams)
        news = News(now=round(sight.clock.utc_s(), 3))
        past: dict[str, dict[str, Mark]] = {}
        if self._streams is None:
            past = _marks(sight.past(sight.clock.utc_s() - HOUR_S))
        if self._streams != list(streams):
            self._streams = news.streams = list(streams)
        if self._problems != sight.live.problems:
            self._problems = news.problems = sight.live.problems
        for name in self._sent.keys() - streams.keys():
            del self._sent[name]
        for name, shown in streams.items():
            if own in (None, name):
                self._tell(news, name, shown, reading, past.get(name, {}))
                if own is None and shown.window:
                    self._show(news, name, shown.album.newest(shown.window, now_s))
        if own in streams:
            news.own = self._own_view.news(streams[own], reading, reading.counts.get(own), now_s)
        return news

    def _tell(
        self, news: News, name: str, shown: Shown, reading: Reading, past: dict[str, Mark]
    ) -> None:
        """Add what is new of one stream, but for pictures."""
        sent = self._sent.get(name)
        if sent is None or sent.shown is not shown:  # or another one of the same name
            sent = self._sent[name] = _Sent(shown)
        tile = told.tile(name, shown, reading.counts.get(name), reading.frames_per_s.get(name))
        if tile != sent.tile:
            sent.tile = tile
            news.tiles.append(tile)
        if shown.changes != sent.changes:
            sent.changes, before, sent.marks = shown.changes, sent.marks, dict(shown.marks)
            marks = (past | sent.marks).items()
            if new := [mark for key, mark in marks if before.get(key) != mark]:
                news.marks[name] = new[-KEEP_MARKS:]

    def _show(self, news: News, name: str, picture: bytes) -> None:
        sent = self._sent[name]
        if picture is not sent.picture:
            sent.picture = picture
            news.pictures[name] = b64encode(picture).decode()


class _OwnView:
    """What a viewer of a stream's own view knows of it."""

    def __init__(self) -> None:
        self._curves: Curves | None = None
        self._row = 0
        self._clip: list[bytes] = []
        self._reading = 0

    def news(
        self, shown: Shown, reading: Reading, counts: StreamCounts | None, now_s: float
    ) -> Own | None:
        """What is new, if anything is."""
        own = Own()
        if curves := shown.curves:
            if curves is not self._curves:
                self._curves, self._row = curves, 0
                own.curve = told.curve_of(curves.legend)
            rows = [row for row in list(curves.rows) if row.number > self._row]
            self._row = rows[-1].number if rows else self._row
            own.rows = [told.row(row) for row in rows]
            if shown.window:
                clip = shown.album.clip(shown.window, curves.legend.crop, now_s)
                if clip is not self._clip:
                    self._clip = clip
                    own.clip = [b64encode(picture).decode() for picture in clip]
        if reading.number != self._reading:
            self._reading = reading.number
            own.figures = told.figures(shown, counts)
        return None if own == Own() else own


def _marks(events: Iterable[tuple[str, EventData]]) -> dict[str, dict[str, Mark]]:
    """By stream and event, those that began first first; of events given newest first."""
    found: dict[str, dict[str, Mark]] = {}
    for stream, event in events:
        found.setdefault(stream, {}).setdefault(event.event_id, Mark.of(event))
    return {
        stream: dict(sorted(marks.items(), key=lambda item: item[1].start))
        for stream, marks in found.items()
    }
