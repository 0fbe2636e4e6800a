"""The only file that knows every stage: build, start, wait, stop in order.

    capture (one thread a stream) -> backlog -> inference (one) -> publish (one)

Signal handlers and threads only leave a notice; the main loop acts on it.
"""

import logging
import queue
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from streamcls import __version__
from streamcls.clock import Clock, SystemClock
from streamcls.config import Settings, check_files
from streamcls.delivery import Delivery
from streamcls.errors import StreamclsError
from streamcls.events import EndReason, Payload, StatusData, utc
from streamcls.frames import Prediction
from streamcls.models.backends import Backend, TorchBackend, resolve_device, use_threads
from streamcls.models.bundle import load_bundle
from streamcls.observe.http import HttpServer
from streamcls.observe.logs import log_fault
from streamcls.observe.metrics import Metrics, Snapshot
from streamcls.observe.systemd import notify
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.inference import InferenceWorker
from streamcls.stream_line import StreamLine

log = logging.getLogger("streamcls")

_TICK_S = 1.0  # how often the main loop looks for stale streams
_WEDGED_S = 30.0  # an inference loop that has not come round for so long is not healthy
# If all hang: captures and worker 4 s + delivery 5 + HTTP 0.5 < 10 as README says < TimeoutStopSec.
_CAPTURE_STOP_S = 2.0  # a capture inside a blocking read may outlast this; its thread is left
_DRAIN_STOP_S = 4.0  # the captures' time included
_DELIVERY_STOP_S = 5.0
_NEVER = StatusData(state="connecting", since=utc(0))  # of a stream that has not spoken yet


@dataclass(frozen=True, slots=True)
class _Stop:
    """A notice that the run is over."""


@dataclass(frozen=True, slots=True)
class _Finished:
    """A notice that a stream has no more frames to come."""

    stream: str


class Daemon:
    """One run of the whole line.

    The constructor loads the model and binds every address, so what is wrong with the settings
    shows before a thread starts.

    Raises:
        ConfigError: a setting, a stream's file or the model file cannot be used.
        BindError: an address is taken.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        check_files(settings)
        self._settings = settings
        self._clock = clock or SystemClock()
        self._boot_id = uuid.uuid4().hex[:12]
        self._notices: queue.SimpleQueue[_Stop | _Finished] = queue.SimpleQueue()
        self._error: BaseException | None = None  # the first that ended a stage, also at the end
        self._stopping = False
        self._ready = False
        if settings.model.threads:
            use_threads(settings.model.threads)
        self._model = load_bundle(settings.model.path, resolve_device(settings.model.device))
        self._backend: Backend = TorchBackend(self._model)
        self._backlog = Backlog()
        self._lines = {
            stream.id: StreamLine(
                stream,
                settings,
                model=self._model,
                backlog=self._backlog,
                boot_id=self._boot_id,
                clock=self._clock,
                on_status=self._status_changed,
                on_lost=self._lost,
                on_end=self._capture_ended,
            )
            for stream in settings.streams
        }
        self.metrics = Metrics(self._snapshot)
        self._worker = InferenceWorker(
            scorer=self._backend,
            backlog=self._backlog,
            max_batch=settings.model.max_batch,
            clock=self._clock,
            on_prediction=self._predicted,
            on_batch=self._count_batch,
            on_end=self._thread_ended,
        )
        self._delivery = Delivery(
            settings.publish,
            settings.journal,
            settings.keys,
            streams=list(self._lines),
            boot_id=self._boot_id,
            clock=self._clock,
            on_end=self._thread_ended,
        )
        try:
            self._http = self._http_server() if settings.http.enabled else None
        except BaseException:
            self._delivery.join(_DELIVERY_STOP_S)
            raise

    @property
    def endpoint(self) -> str:
        """Where subscribers connect."""
        return self._delivery.endpoint

    @property
    def replay_endpoint(self) -> str:
        """Where they ask for what they missed."""
        return self._delivery.replay_endpoint

    @property
    def http_url(self) -> str | None:
        """Where metrics and health answer, if they do."""
        return self._http.url if self._http else None

    def stop(self) -> None:
        """Ask the run to end in good order. Callable from any thread or signal handler."""
        self._notices.put(_Stop())

    def run(self) -> int:
        """Run until stopped, or until every stream has come to its end.

        Returns:
            The exit code: 0, or 1 where no stream could be played at all.

        Raises:
            StreamclsError: a stage failed in a way that a restart may mend.
        """
        self._announce()
        try:
            self._start()
            self._main_loop()
        finally:
            notify("STOPPING=1")
            self._shut_down()
        if self._error:
            log_fault("stopped", self._error)
            raise StreamclsError(f"stopped by {type(self._error).__name__}; the log has its trace")
        return self._verdict()

    def _start(self) -> None:
        self._delivery.start()
        if self._http:
            self._http.start()
        # Never a larger batch than there are streams to fill it.
        self._backend.warm_up(sorted({1, min(self._settings.model.max_batch, len(self._lines))}))
        self._worker.start()
        self._ready = True
        notify("READY=1")
        self._delivery.wait_for_subscriber(lambda: not self._notices.empty())
        for line in self._lines.values():
            line.capture.start()

    def _main_loop(self) -> None:
        running = set(self._lines)
        while running:
            try:
                notice = self._notices.get(timeout=_TICK_S)
            except queue.Empty:
                for line in self._lines.values():
                    line.capture.check_stale(self._clock.monotonic_s())
                continue
            if isinstance(notice, _Stop):
                return
            running.discard(notice.stream)

    def _shut_down(self) -> None:
        """Ask everyone to stop, then wait for all, from the sources to the socket."""
        self._stopping = True
        for line in self._lines.values():
            line.capture.stop()
        asked_s = self._clock.monotonic_s()
        for line in self._lines.values():
            line.capture.join(self._left_s(asked_s + _CAPTURE_STOP_S))
        self._backlog.close()
        if not self._worker.join(self._left_s(asked_s + _DRAIN_STOP_S)):
            log.warning("the inference worker did not finish in time")
        for name in self._lines:
            self._delivery.post(name, partial(self._goodbye, name))
        self._delivery.stop()
        if not self._delivery.join(_DELIVERY_STOP_S):
            log.warning("publishing or replaying did not finish in time")
        if self._http:
            self._http.stop()
        log.info("stopped; messages published: %s", self._delivery.counts().published)

    def _left_s(self, deadline_s: float) -> float:
        return max(0.0, deadline_s - self._clock.monotonic_s())

    def _announce(self) -> None:
        manifest = self._model.manifest
        log.info(
            "model %s on %s; publishing on %s; replays on %s; metrics on %s",
            *(manifest.name, self._backend.name, self.endpoint, self.replay_endpoint),
            self.http_url or "no address",
        )
        for line in self._lines.values():
            if line.rounded_stride:
                log.info("%s", line.rounded_stride)

    def _http_server(self) -> HttpServer:
        return HttpServer(
            self._settings.http.host,
            self._settings.http.port,
            metrics=self.metrics.exposition,
            healthy=self._unhealthy,
            ready=lambda: "" if self._ready else "starting",
        )

    def _verdict(self) -> int:
        status = self._delivery.status
        failed = [name for name in status if status[name].state == "failed"]
        if len(failed) == len(self._lines):
            log.error("no stream could be played: %s", status[failed[0]].detail)
            return 1
        return 0

    # What follows is called on capture threads.

    def _status_changed(self, stream: str, status: StatusData) -> None:
        post = partial(self._delivery.post_status, stream, status)
        if status.state in ("failed", "stopped"):
            # A subscriber takes these as a stream's last word: first what was seen before.
            self._backlog.note(stream, post)
        else:
            post()

    def _capture_ended(self, stream: str, _error: BaseException | None) -> None:
        self._notices.put(_Finished(stream))

    def _lost(self, stream: str) -> None:
        why: EndReason = "shutdown" if self._stopping else "stream_lost"
        end = partial(self._lines[stream].end_events, why)
        self._backlog.note(stream, partial(self._delivery.post, stream, end))

    def _predicted(self, prediction: Prediction) -> None:  # on the inference thread
        stream = prediction.window.stream
        self._delivery.post(
            stream,
            partial(self._lines[stream].report, prediction),
            partial(self._measure_latency, prediction),
        )

    # What follows runs on the publishing thread.

    def _measure_latency(self, prediction: Prediction) -> None:
        latency = self._clock.monotonic_s() - prediction.window.arrival_monotonic_s
        self.metrics.event_latency_seconds.labels(prediction.window.stream).observe(latency)

    def _goodbye(self, stream: str) -> Iterator[Payload]:
        yield from self._lines[stream].end_events("shutdown")
        if self._delivery.status.get(stream, _NEVER).state not in ("failed", "stopped"):
            # Its capture sits in a blocked read and cannot say so itself in time.
            now = utc(self._clock.utc_s())
            yield StatusData(state="stopped", reason="shutdown", since=now)

    # What follows reads; it runs on any thread.

    def _count_batch(self, size: int, seconds: float) -> None:
        self.metrics.inference_batch_size.observe(size)
        self.metrics.inference_duration_seconds.observe(seconds)

    def _thread_ended(self, error: BaseException | None) -> None:
        if error:
            self._error = self._error or error
            self._notices.put(_Stop())

    def _unhealthy(self) -> str:
        if not self._ready:
            return ""
        idle = self._clock.monotonic_s() - self._worker.beat_monotonic_s
        return f"inference has not come round for {idle:.0f} s" if idle > _WEDGED_S else ""

    def _snapshot(self) -> Snapshot:
        build = {
            "version": __version__,
            "model": self._model.manifest.name,
            "backend": self._backend.name,
        }
        streams = {name: line.counts() for name, line in self._lines.items()}
        return Snapshot(streams, self._delivery.counts(), build)
