"""The page on real HTTP, fed by hand in place of a daemon's stages."""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote

import numpy as np

from streamcls.clock import Clock, SystemClock
from streamcls.events import (
    Encoded,
    EventData,
    Latency,
    Payload,
    PredictionData,
    Score,
    State,
    StatusData,
    Transition,
    Writer,
    utc,
)
from streamcls.frames import Prediction, RgbImage, Window
from streamcls.observe.http import HttpServer
from streamcls.observe.metrics import StreamCounts
from streamcls.observe.page import Feed, Guard, Legend, Live, Readings, Sight, Site

LABELS = ("still", "pan_left", "pan_right", "covered")
LEGEND = Legend(
    labels=LABELS, on=[None, 0.6, 0.6, 0.8], off=[None, 0.4, 0.4, 0.5], crop=24, interval_s=0.2
)


def counts(**changes: Any) -> StreamCounts:
    """A stream's counters, all at rest but for the changes."""
    rest: dict[str, Any] = {
        "up": True,
        "last_frame_utc_s": None,
        "clock_offset_s": None,
        "state": "up",
        "stride_s": 1.0,
        "stride_set_s": 1.0,
        "frames_decoded": 0,
        "frames_converted": 0,
        "decode_errors": 0,
        "windows": 0,
    }
    return StreamCounts(**(rest | changes))


def picture(grey: int, size: tuple[int, int] = (32, 24)) -> RgbImage:
    """One of a single grey, (width, height)."""
    return np.full((size[1], size[0], 3), grey, np.uint8)


class Fed:
    """A live hub, and what tells it what a daemon's publishing thread would."""

    def __init__(
        self,
        streams: Sequence[str],
        *,
        clock: Clock | None = None,
        past: Iterable[tuple[str, EventData]] = (),
        pictures: bool = True,
        legend: Legend = LEGEND,
    ) -> None:
        self.clock = clock or SystemClock()
        self.live = Live(streams, pictures=pictures)
        self.counts = {name: counts() for name in streams}
        readings = Readings(lambda: self.counts, self.clock)
        self.sight = Sight(self.live, readings, lambda _since: list(past), self.clock)
        self._legend = legend
        self._writer = Writer("/test", "boot")

    def status(self, stream: str, state: State, **more: Any) -> None:
        since = utc(self.clock.utc_s())
        self._send(stream, StatusData(**({"state": state, "since": since} | more)))

    def predict(
        self, stream: str, scores: Sequence[float], clip: Sequence[RgbImage] = (picture(90),)
    ) -> None:
        now = self.clock.utc_s()
        window = Window(
            stream=stream,
            stream_epoch=1,
            clip=tuple(clip),
            start_s=Fraction(0),
            end_s=Fraction(1),
            start_utc_s=now - 1,
            end_utc_s=now,
            coverage=1.0,
            arrival_monotonic_s=0.0,
            closed_monotonic_s=0.0,
        )
        array = np.array(scores, np.float32)
        self.live.scored(Prediction(window, array, 0.0, 0.0), array, self._legend)
        best = array.argsort()[::-1]
        data = PredictionData(
            stream_epoch=1,
            start_s=0.0,
            end_s=1.0,
            start_time=utc(now - 1),
            end_time=utc(now),
            coverage=1.0,
            top=[Score(LABELS[i], int(i), round(float(array[i]), 5)) for i in best],
            latency=Latency(1.0, 2.0, 30.0, 1.0, 34.0),
            model="camera-motion",
            model_hash="0",
            backend="torch",
        )
        self._send(stream, data)

    def event(
        self, stream: str, event_id: str, transition: Transition, label: str, **times: float
    ) -> None:
        self._send(stream, event(event_id, transition, label, self.clock.utc_s(), **times))

    def feed(self, own: str | None = None) -> Feed:
        return Feed(self.sight, own)

    def _send(self, stream: str, data: Payload) -> None:
        message: Encoded = self._writer.encode(stream, data, utc(self.clock.utc_s()))
        self.live.note([message])


def event(
    event_id: str,
    transition: Transition,
    label: str,
    now: float,
    *,
    ago_s: float = 1.0,
    lasts_s: float = 1.0,
) -> EventData:
    """One that began `ago_s` before now."""
    return EventData(
        event_id=event_id,
        transition=transition,
        label=label,
        index=LABELS.index(label) if label in LABELS else 0,
        stream_epoch=1,
        peak_score=0.93,
        mean_score=0.8,
        start_s=0.0,
        end_s=lasts_s,
        start_time=utc(now - ago_s),
        end_time=utc(now - ago_s + lasts_s),
        reason="label_off" if transition == "end" else None,
    )


@contextmanager
def served(
    fed: Fed, *, host: str = "127.0.0.1", token: str = "", max_viewers: int = 4
) -> Iterator[int]:
    """Serve the page; gives its port."""
    site = Site(fed.feed, Guard(host, token), fed.clock, max_viewers=max_viewers)
    server = HttpServer(
        "127.0.0.1", 0, metrics=lambda: b"m 1\n", healthy=str, ready=str, pages=site
    )
    server.start()
    try:
        yield int(server.url.rpartition(":")[2])
    finally:
        server.stop()


def get(port: int, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    """The answer to a request; underscores in headers' names stand for dashes."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


class Listener:
    """One viewer, who takes message after message."""

    def __init__(self, port: int, stream: str | None = None, **headers: str) -> None:
        query = f"?stream={quote(stream)}" if stream is not None else ""
        self.connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.request("GET", f"/news{query}", headers=headers)
        self.answer = self.connection.getresponse()

    def next(self) -> dict[str, Any]:
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                found: dict[str, Any] = json.loads(line[6:])
                return found
        raise EOFError

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


class HandClock:
    """Time that moves when a test says so; waiting ends at once and moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def utc_s(self) -> float:
        return 1.7e9 + self.now_s

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.now_s += seconds
        return event.is_set()
