"""The streams being served: started, added, replaced and taken away, one without the others.

    capture (one thread a stream) -> backlog -> inference -> lane.report -> delivery

Where nothing else is said, methods belong to the daemon's main loop.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

from streamcls.clock import Clock
from streamcls.config import StreamSettings
from streamcls.delivery import Delivery
from streamcls.events import EndReason, Payload, StatusData, utc
from streamcls.frames import Prediction, Window
from streamcls.lane import Lane, Watch
from streamcls.models.backends import Backend
from streamcls.observe.logs import logger_for
from streamcls.observe.metrics import StreamCounts
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.opening import OpeningTurns
from streamcls.reload import Plan, Prepared, plan
from streamcls.stream_line import StreamLine

_NEVER = StatusData(state="connecting", since=utc(0))  # of a stream that has not spoken yet


class Fleet:
    """All streams of one daemon, and what each is read by.

    Attributes:
        now: the configuration being served.
        lines: the streams by id; one that leaves stays until its capture has ended.
    """

    def __init__(
        self,
        first: Prepared,
        *,
        backlog: Backlog,
        delivery: Delivery,
        boot_id: str,
        clock: Clock,
        on_end: Callable[[StreamLine], None],
        on_sent: Callable[[Prediction], None],
        on_removed: Callable[[str], None],
        watch: Watch | None = None,
    ) -> None:
        """Build every stream's parts; nothing runs yet.

        Args:
            on_end: told, on its capture thread, that a stream is over; answer it with `ended`.
            on_sent: told, on the publishing thread, of each prediction that went out.
            on_removed: told there that a stream's last message has gone out.
            watch: told there of each window's scores.
        """
        self.now = first
        self._started = first.settings
        self._backlog = backlog
        self._delivery = delivery
        self._boot_id = boot_id
        self._clock = clock
        self._on_end = on_end
        self._on_sent = on_sent
        self._on_removed = on_removed
        self._watch = watch
        self._turns = OpeningTurns(first.settings.capture.max_opening)
        self._stopping = False
        self._numbers = itertools.count()
        self._seats: defaultdict[str, int] = defaultdict(itertools.count().__next__)
        self._events: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._lanes: dict[int, Lane] = {}  # those that windows may still come from
        self._ended: set[StreamLine] = set()
        self._leaving: set[StreamLine] = set()
        self._successors: dict[str, StreamSettings] = {}
        self.lines = {stream.id: self._line(stream, 0) for stream in first.settings.streams}

    @property
    def is_over(self) -> bool:
        """Whether every stream has come to its end."""
        return not self._successors and self._ended.issuperset(self.lines.values())

    def start(self) -> None:
        """Start all captures."""
        for line in self.lines.values():
            line.capture.start()

    def check_stale(self) -> None:
        """Let streams whose frames stay away say so; to be called every second or so."""
        for line in self.lines.values():
            line.capture.check_stale(self._clock.monotonic_s())

    def plan(self, new: Prepared) -> Plan:
        """What another configuration would change. Callable from any thread."""
        over = {line.settings.id for line in list(self._ended) if not line.capture.error}
        return plan(self.now, new, started=self._started, over=over)

    def apply(self, new: Prepared) -> Plan:
        """Serve another configuration. What is the same in both goes on untouched."""
        changes = self.plan(new)
        self.now = new
        self._turns.set_limit(new.settings.capture.max_opening)
        streams = {stream.id: stream for stream in new.settings.streams}
        for name in changes.removed:
            self._successors.pop(name, None)
            self._leave(name)
        for name in (*changes.restarted, *changes.added):
            self._successors[name] = streams[name]
            if name in self.lines:
                self._leave(name)
            else:
                self._begin(name, 0)
        for name in changes.reread:
            if name not in self._successors:  # which will be read the new way anyway
                line = self.lines[name]
                line.offer(self._lane(line.settings, line.epochs))
        return changes

    def ended(self, line: StreamLine) -> None:
        """Take note that a stream is over; if it was to leave, let its successor begin."""
        self._ended.add(line)
        if line in self._leaving:
            self._dismiss(line)

    def stop(self) -> None:
        """Ask all captures to end."""
        self._stopping = True
        self._successors.clear()
        for line in self.lines.values():
            line.capture.stop("shutdown")

    def join(self, deadline_s: float) -> None:
        """Wait for the captures until an instant of the monotonic clock; some may hang."""
        for line in self.lines.values():
            line.capture.join(max(0.0, deadline_s - self._clock.monotonic_s()))

    @property
    def hangs(self) -> bool:
        """Whether a capture has not ended."""
        return not all(line.capture.join(0) for line in self.lines.values())

    def say_goodbye(self) -> None:
        """End what is still open; once captures and inference are over."""
        for name, line in self.lines.items():
            self._delivery.post(name, partial(self._goodbye, name, line.lane))

    def counts(self) -> dict[str, StreamCounts]:
        """What the streams counted so far. Callable from any thread."""
        return {name: line.counts() for name, line in list(self.lines.items())}

    def scorer_of(self, window: Window) -> Backend:
        """What is to classify a window. Called on the inference thread."""
        return self._lanes[window.lane].settings.engine.backend

    def predicted(self, prediction: Prediction) -> None:
        """Publish what follows from a window's scores. Called on the inference thread."""
        self._delivery.post(
            prediction.window.stream,
            partial(self._lanes[prediction.window.lane].report, prediction),
            partial(self._on_sent, prediction),
        )

    def _line(self, stream: StreamSettings, epochs_before: int) -> StreamLine:
        return StreamLine(
            stream,
            self.now.settings.capture,
            self._lane(stream, epochs_before),
            backlog=self._backlog,
            turns=self._turns,
            clock=self._clock,
            on_status=self._status_changed,
            on_lost=self._lost,
            on_lane_over=self._lane_over,
            on_end=self._on_end,
        )

    def _lane(self, stream: StreamSettings, epochs_before: int) -> Lane:
        settings = self.now.lanes[stream.id]
        lane = Lane(
            stream,
            settings,
            number=next(self._numbers),
            epochs_before=epochs_before,
            boot_id=self._boot_id,
            next_event=self._events[stream.id].__next__,
            clock=self._clock,
            seat=self._seats[stream.id],
            watch=self._watch,
        )
        if rounded := settings.rounded_stride():
            logger_for(stream.id).info("%s", rounded)
        self._lanes[lane.number] = lane
        return lane

    def _leave(self, name: str) -> None:
        line = self.lines[name]
        if line not in self._leaving:
            self._leaving.add(line)
            line.capture.stop("reload" if name in self._successors else "removed")
            if line in self._ended:
                self._dismiss(line)

    def _dismiss(self, line: StreamLine) -> None:
        """Let go of a stream that has ended, for its successor or for good."""
        name = line.settings.id
        self._lane_over(line, line.lane)
        self._ended.discard(line)
        self._leaving.discard(line)
        del self.lines[name]
        if name in self._successors:
            self._begin(name, line.epochs)
            return
        now = utc(self._clock.utc_s())
        removed = StatusData(state="stopped", reason="removed", since=now)
        self._backlog.note(name, partial(self._delivery.post_status, name, removed))
        self._backlog.note(name, partial(self._forget, name))

    def _begin(self, name: str, epochs_before: int) -> None:
        self._delivery.expect(name)
        self.lines[name] = line = self._line(self._successors.pop(name), epochs_before)
        # After the last words of the one before it, which wait for the inference thread.
        self._backlog.note(name, line.capture.start)

    # What follows is called on capture threads.

    def _status_changed(self, line: StreamLine, status: StatusData) -> None:
        stream = line.settings.id
        post = partial(self._delivery.post_status, stream, status)
        if status.state not in ("failed", "stopped"):
            post()
        elif line not in self._leaving:  # what is replaced has not come to its end
            # A subscriber takes these as a stream's last word: first what was seen before.
            self._backlog.note(stream, post)

    def _lost(self, line: StreamLine) -> None:
        why: EndReason = "stream_lost"
        if self._stopping or line in self._leaving:
            why = "shutdown" if self._stopping else "reload"
        end = partial(line.lane.end_events, why)
        self._backlog.note(line.settings.id, partial(self._delivery.post, line.settings.id, end))

    def _lane_over(self, line: StreamLine, lane: Lane) -> None:
        self._backlog.note(line.settings.id, partial(self._close, line.settings.id, lane))

    def _close(self, stream: str, lane: Lane) -> None:  # on the inference thread
        self._delivery.post(stream, partial(lane.end_events, "reload"))
        self._lanes.pop(lane.number, None)

    def _forget(self, name: str) -> None:  # on the inference thread
        self._backlog.forget(name)
        self._delivery.forget(name, partial(self._on_removed, name))

    # What follows runs on the publishing thread.

    def _goodbye(self, name: str, lane: Lane) -> Iterator[Payload]:
        yield from lane.end_events("shutdown")
        if self._delivery.status.get(name, _NEVER).state not in ("failed", "stopped"):
            # Its capture sits in a blocked read and cannot say so itself in time.
            now = utc(self._clock.utc_s())
            yield StatusData(state="stopped", reason="shutdown", since=now)
