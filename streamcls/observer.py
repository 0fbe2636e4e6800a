"""What watches a daemon from within: metrics, health and the page, at one HTTP address."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from streamcls import __version__
from streamcls.clock import Clock
from streamcls.config import Settings, journal_path
from streamcls.delivery import Delivery
from streamcls.errors import ConfigError
from streamcls.events import EventData, decode, topic
from streamcls.fleet import Fleet
from streamcls.frames import Prediction
from streamcls.history import newest_events
from streamcls.observe.http import Check, HttpServer
from streamcls.observe.metrics import Metrics, Snapshot
from streamcls.observe.page import Feed, Guard, Live, Readings, Sight, Site
from streamcls.reloader import Reloader

log = logging.getLogger("streamcls")

_MOST_EVENTS = 20_000  # of the past hour, for one viewer


class Observer:
    """Built before the stages, which tell it what they do; serves once they are built.

    Attributes:
        metrics: what is scraped.
        live: what the page shows.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._http: HttpServer | None = None
        self.metrics = Metrics(self._snapshot)
        http = settings.http
        streams = [stream.id for stream in settings.streams]
        self._has_page = http.enabled and http.page
        self.live = Live(streams, pictures=self._has_page and http.thumbnails)

    def bind(
        self,
        *,
        fleet: Fleet,
        delivery: Delivery,
        reloader: Reloader,
        healthy: Check,
        ready: Check,
    ) -> None:
        """Take the address, if one is wanted.

        Raises:
            BindError: as `HttpServer`.
        """
        self._fleet, self._delivery, self._reloader = fleet, delivery, reloader
        http = self._settings.http
        if http.enabled:
            self._http = HttpServer(
                http.host,
                http.port,
                metrics=self.metrics.exposition,
                healthy=healthy,
                ready=ready,
                pending=reloader.pending,
                pages=self._site() if self._has_page else None,
            )

    @property
    def url(self) -> str | None:
        """Where it answers, if it does."""
        return self._http.url if self._http else None

    def start(self) -> None:
        """Start answering."""
        if self._http:
            self._http.start()

    def stop(self) -> None:
        """Stop answering and free the address."""
        if self._http:
            self._http.stop()

    # What follows is called by other threads.

    def sent(self, prediction: Prediction) -> None:
        """A prediction went out."""
        latency = self._clock.monotonic_s() - prediction.window.arrival_monotonic_s
        self.metrics.event_latency_seconds.labels(prediction.window.stream).observe(latency)

    def computed(self, size: int, seconds: float) -> None:
        """A batch went through the network."""
        self.metrics.inference_batch_size.observe(size)
        self.metrics.inference_duration_seconds.observe(seconds)

    def forget(self, stream: str) -> None:
        """A stream is served no more."""
        self.metrics.forget(stream)
        self.live.forget(stream)

    def _snapshot(self) -> Snapshot:
        engine = self._fleet.now.engine
        names = {"model": engine.model.manifest.name, "backend": engine.backend.name}
        build = {"version": __version__, **names}
        return Snapshot(
            self._fleet.counts(), self._delivery.counts(), self._reloader.counts(), build
        )

    def _site(self) -> Site:
        http, journal = self._settings.http, self._settings.journal
        past = _past(journal_path(journal)) if journal.enabled else lambda _since: iter(())
        sight = Sight(self.live, Readings(self._fleet.counts, self._clock), past, self._clock)
        guard = Guard(http.host, http.token or "")
        return Site(lambda own: Feed(sight, own), guard, self._clock)


def _past(journal: Path) -> Callable[[float], Iterator[tuple[str, EventData]]]:
    """What gives the events of a journal since an instant, newest first."""

    def past(since_utc_s: float) -> Iterator[tuple[str, EventData]]:
        try:
            bodies = newest_events(journal, since_utc_s, _MOST_EVENTS)
        except ConfigError as error:  # it tells of its troubles itself; the page goes on without
            log.debug("page: %s", error)
            return
        for body in bodies:
            try:
                message = decode(topic("", "event").encode(), body)
            except ValueError:
                continue
            if isinstance(message.data, EventData):
                yield message.subject, message.data

    return past
