"""The whole: build, start, wait, reload, stop in order.

    fleet: capture (one thread a stream) -> backlog -> inference (one) -> delivery (one)

Signal handlers and threads only leave a notice; the main loop acts on it.
"""

import logging
import queue
import uuid
from enum import Enum, auto
from pathlib import Path

from streamcls.clock import Clock, SystemClock
from streamcls.config import Settings, check_files
from streamcls.delivery import Delivery
from streamcls.engine import Engine
from streamcls.errors import StreamclsError
from streamcls.fleet import Fleet
from streamcls.frames import Window
from streamcls.models.backends import use_threads
from streamcls.observe.logs import log_fault
from streamcls.observe.systemd import notify
from streamcls.observer import Observer
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.inference import InferenceWorker
from streamcls.reload import Prepared
from streamcls.reloader import Outcome, Reloader
from streamcls.stream_line import StreamLine
from streamcls.transforms.pixels import convert_on_one_thread

log = logging.getLogger("streamcls")

_TICK_S = 1.0  # how often the main loop looks for stale streams
_WEDGED_S = 30.0  # an inference loop that has not come round for so long is not healthy
# If all hang: captures and worker 4 s + delivery 5 + HTTP 0.5 < 10 as docs/ says < TimeoutStopSec.
_CAPTURE_STOP_S = 2.0  # a capture inside a blocking read may outlast this; its thread is left
_DRAIN_STOP_S = 4.0  # the captures' time included
_DELIVERY_STOP_S = 5.0


class _Asked(Enum):
    """Notices of what somebody outside wants."""

    STOP = auto()
    RELOAD = auto()


_Notice = _Asked | Outcome | StreamLine
"""The last two: what came of a reload, and that a stream is over."""


class Daemon:
    """One run of the whole line.

    The constructor loads the model and binds every address, so what is wrong with the settings
    shows before a thread starts.

    Args:
        config: the file that the settings are from, to be read again for `reload`.

    Raises:
        ConfigError: a setting, a stream's file or the model file cannot be used.
        BindError: an address is taken.
    """

    def __init__(
        self, settings: Settings, *, config: Path | None = None, clock: Clock | None = None
    ) -> None:
        check_files(settings.streams)
        self._clock = clock or SystemClock()
        self._notices: queue.SimpleQueue[_Notice] = queue.SimpleQueue()
        self._error: BaseException | None = None  # the first that ended a stage, also at the end
        self._ready = False
        self._stop_asked = False
        boot_id = uuid.uuid4().hex[:12]
        use_threads(settings.model.threads)
        convert_on_one_thread()
        first = Prepared.of(settings, Engine.load(settings.model, settings.least_stride_s))
        self._backlog = Backlog()
        self._observer = Observer(settings, self._clock)
        self._delivery = Delivery(
            settings.publish,
            settings.journal,
            settings.keys,
            streams=[stream.id for stream in settings.streams],
            boot_id=boot_id,
            clock=self._clock,
            on_end=self._thread_ended,
            watch=self._observer.live.note,
        )
        self._fleet = Fleet(
            first,
            backlog=self._backlog,
            delivery=self._delivery,
            boot_id=boot_id,
            clock=self._clock,
            on_end=self._notices.put,
            on_sent=self._observer.sent,
            on_removed=self._observer.forget,
            watch=self._observer.live.scored,
        )
        self._worker = InferenceWorker(
            scorer_of=self._fleet.scorer_of,
            backlog=self._backlog,
            max_batch=settings.model.max_batch,
            max_wait_s=settings.model.max_wait_ms / 1000,
            clock=self._clock,
            on_prediction=self._fleet.predicted,
            on_batch=self._observer.computed,
            on_end=self._thread_ended,
        )
        self._reloader = Reloader(
            config,
            fleet=self._fleet,
            worker=self._worker,
            delivery=self._delivery,
            clock=self._clock,
            on_ready=self._notices.put,
        )
        try:
            self._observer.bind(
                fleet=self._fleet,
                delivery=self._delivery,
                reloader=self._reloader,
                healthy=self._unhealthy,
                ready=lambda: "" if self._ready else "starting",
            )
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
        """Where the page, metrics and health answer, if they do."""
        return self._observer.url

    @property
    def hangs(self) -> bool:
        """Whether a thread outlives the run, for it hangs in a library."""
        return self._fleet.hangs or self._reloader.is_busy or not self._worker.join(0)

    def stop(self) -> None:
        """Ask the run to end in good order. Callable from any thread or signal handler."""
        self._stop_asked = True
        self._notices.put(_Asked.STOP)

    def reload(self) -> None:
        """Ask for the configuration to be read again. Callable as `stop` is."""
        self._notices.put(_Asked.RELOAD)

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
        self._observer.start()
        settings = self._fleet.now.settings
        self._fleet.now.engine.warm_up(settings.model, len(settings.streams))
        self._worker.start()
        self._ready = True
        notify("READY=1")
        self._delivery.wait_for_subscriber(self._is_stopped)
        self._fleet.start()

    def _is_stopped(self) -> bool:
        """Whether the run is to end before it has begun; looks around meanwhile."""
        self._look_around()
        return self._stop_asked

    def _main_loop(self) -> None:
        while not self._fleet.is_over:
            self._look_around()
            try:
                notice = self._notices.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            match notice:
                case _Asked.STOP:
                    return
                case _Asked.RELOAD:
                    self._reloader.ask()
                case Prepared() | Exception():
                    self._reloader.finish(notice)
                case StreamLine():
                    self._fleet.ended(notice)

    def _look_around(self) -> None:
        """What must be seen to every second, whether or not something happens."""
        self._fleet.check_stale()
        if not self._unhealthy():
            notify("WATCHDOG=1")

    def _shut_down(self) -> None:
        """Ask everyone to stop, then wait for all, from the sources to the socket."""
        self._fleet.stop()
        asked_s = self._clock.monotonic_s()
        self._fleet.join(asked_s + _CAPTURE_STOP_S)
        self._backlog.close()
        left_s = asked_s + _DRAIN_STOP_S - self._clock.monotonic_s()
        if not self._worker.join(max(0.0, left_s)):
            log.warning("the inference worker did not finish in time")
        elif self._worker.error:
            self._call_notes()
        self._fleet.say_goodbye()
        self._delivery.stop()
        if not self._delivery.join(_DELIVERY_STOP_S):
            log.warning("publishing or replaying did not finish in time")
        self._observer.stop()
        log.info("stopped; messages published: %s", self._delivery.counts().published)

    def _call_notes(self) -> None:
        """What waited for a worker that died: the ends of events, and last words."""
        while items := self._backlog.take(256, 0):
            for item in items:
                if not isinstance(item, Window):
                    item()

    def _announce(self) -> None:
        engine = self._fleet.now.engine
        log.info(
            "model %s on %s; publishing on %s; replays on %s; page and metrics on %s",
            *(engine.model.manifest.name, engine.backend.name),
            *(self.endpoint, self.replay_endpoint, self.http_url or "no address"),
        )

    def _verdict(self) -> int:
        status = self._delivery.status
        failed = [name for name in status if status[name].state == "failed"]
        if failed and len(failed) == len(self._fleet.lines):
            log.error("no stream could be played: %s", status[failed[0]].detail)
            return 1
        return 0

    # What follows is called by other threads.

    def _thread_ended(self, error: BaseException | None) -> None:
        if error:
            self._error = self._error or error
            self.stop()

    def _unhealthy(self) -> str:
        if not self._ready:
            return ""
        idle = self._clock.monotonic_s() - self._worker.beat_monotonic_s
        return f"inference has not come round for {idle:.0f} s" if idle > _WEDGED_S else ""
