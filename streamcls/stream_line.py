"""One stream's way through the stages: what the daemon builds per `[[streams]]` table.

`feed` and `take` run on the stream's capture thread. What becomes of the windows is the lane's
matter, on the publishing thread.
"""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.events import StatusData
from streamcls.frames import Frame, Step
from streamcls.isolation import Cut, IsolatedSource
from streamcls.lane import Lane
from streamcls.observe.logs import log_fault, logger_for
from streamcls.observe.metrics import StreamCounts
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.capture import Capture
from streamcls.pipeline.opening import OpeningTurns
from streamcls.pipeline.source import Item, Source
from streamcls.pipeline.sources import open_source
from streamcls.pipeline.windows import WindowAssembler, WindowStats


@dataclass(frozen=True, slots=True)
class _Reading:
    """A lane, and what cuts its windows on this side of the backlog."""

    lane: Lane
    assembler: WindowAssembler


class StreamLine:
    """One stream: its capture, and the lane that reads it.

    A new lane can be offered at any time. It sees every frame from then on, and takes over with
    the first window it closes; until then the old one goes on, so no stretch of time is without.
    """

    def __init__(
        self,
        stream: StreamSettings,
        limits: CaptureSettings,
        lane: Lane,
        *,
        backlog: Backlog,
        turns: OpeningTurns,
        clock: Clock,
        on_status: Callable[["StreamLine", StatusData], None],
        on_lost: Callable[["StreamLine"], None],
        on_lane_over: Callable[["StreamLine", Lane], None],
        on_end: Callable[["StreamLine"], None],
    ) -> None:
        """Store the parts; `capture.start()` sets the stream going.

        Args:
            on_status: told each change of the stream's state, on the capture thread.
            on_lost: told that a connection's frames are over, or that a stream epoch is.
            on_lane_over: told of a lane that a new one has taken the place of.
            on_end: told that the capture thread is over.
        """
        self.settings = stream
        self._limits = limits
        self._backlog = backlog
        self._clock = clock
        self._log = logger_for(stream.id)
        self._on_status = on_status
        self._on_lost = on_lost
        self._on_lane_over = on_lane_over
        self._lock = threading.Lock()  # guards the lanes, offered from another thread
        self._reading = _Reading(lane, lane.assembler())
        self._offered: _Reading | None = None
        self._flows = False
        self._warm = False
        self._last: Step | None = None
        self._past = WindowStats()
        self._isolated: IsolatedSource | None = None
        self.capture: Capture[Frame] | Capture[Step] = (
            self._capture(turns, on_end, self._open_isolated, self.take)
            if stream.isolation == "process"
            else self._capture(turns, on_end, self._open, self.feed)
        )

    @property
    def lane(self) -> Lane:
        """What reads the stream now."""
        return self._reading.lane

    @property
    def epochs(self) -> int:
        """Stream epochs so far, numbered from 1."""
        return self._last.stream_epoch if self._last else self.lane.epochs_before

    def offer(self, lane: Lane) -> None:
        """Let a lane take over; at once where no frames flow. Callable from any thread."""
        reading = _Reading(lane, lane.assembler())
        with self._lock:
            if self._flows:
                passed_over, self._offered = self._offered, reading
                if passed_over:
                    self._past.add(passed_over.assembler.stats)
                    self._on_lane_over(self, passed_over.lane)
            else:
                self._take_over(reading)

    def counts(self) -> StreamCounts:
        """What the stages counted so far."""
        captured, made = self.capture.stats, self._window_stats()
        dropped = {**made.windows_dropped, **self._backlog.dropped(self.settings.id)}
        up = captured.state in ("warming_up", "up")
        stride_set_s = float(self.lane.settings.plan.stride_s)
        return StreamCounts(
            state=captured.state,
            up=up,
            last_frame_utc_s=captured.last_frame_utc_s,
            clock_offset_s=self._last.clock_offset_s if up and self._last else None,
            stride_s=self._last.stride_s if self._last else stride_set_s,
            stride_set_s=stride_set_s,
            frames_decoded=captured.frames_decoded,
            frames_converted=made.frames_converted,
            decode_errors=captured.decode_errors,
            windows=made.windows,
            windows_dropped=dropped,
            frames_dropped=dict(made.frames_dropped),
            reconnects=dict(captured.reconnects),
            packets_skipped=dict(captured.packets_skipped),
        )

    def feed(self, frame: Frame) -> bool:
        """Take a frame; True once this connection has had a whole window."""
        with self._lock:
            self._flows = True
            reading, offered = self._reading, self._offered
        waited_s = self._backlog.late_s(self.settings.id)
        step = reading.assembler.step(frame, waited_s)
        if step.withdraws:
            self._backlog.withdraw(self.settings.id)
        self.take(step)
        if offered:
            step = offered.assembler.step(frame, waited_s)
            if step.windows:
                with self._lock:
                    if self._offered is offered:  # and not yet another one
                        self._take_over(offered)
                self._last = step
                self.take(step)
        return self._warm

    def take(self, step: Step) -> bool:
        """Take what a frame brought; True once this connection has had a whole window."""
        if self._warm and self._last and self._last.stream_epoch != step.stream_epoch:
            # What was open has lost its continuity; its end must not wait for a next window.
            self._on_lost(self)
        self._last = step
        for window in step.windows:
            self._warm = True
            lossless = not self.settings.is_live
            if not self._backlog.put(window, lossless=lossless, cancelled=self.capture.stopping):
                with self._lock:
                    self._past.windows_dropped["stopped"] += 1
        return self._warm

    def _capture(
        self,
        turns: OpeningTurns,
        on_end: Callable[["StreamLine"], None],
        open_source: Callable[[], Source[Item]],
        on_frame: Callable[[Item], bool],
    ) -> Capture[Item]:
        return Capture(
            self.settings,
            self._limits,
            open_source=open_source,
            turns=turns,
            on_frame=on_frame,
            on_status=self._note_status,
            on_lost=self._disconnected,
            on_fault=log_fault,
            on_end=lambda _stream, _error: on_end(self),
            clock=self._clock,
            random=random.Random(),
            unchanged_s=self._unchanged_s,
        )

    def _open(self) -> Source[Frame]:
        return open_source(self.settings, self._limits, self._clock, self._needs)

    def _needs(self, from_s: Fraction, before_s: Fraction) -> bool:
        """Whether either lane needs what shows in a stretch of media time."""
        with self._lock:
            readings = self._reading, self._offered
        return any(
            reading.assembler.needs(from_s, before_s) for reading in readings if reading is not None
        )

    def _open_isolated(self) -> IsolatedSource:
        lane = self.lane
        cut = Cut(
            clip_spec=lane.settings.engine.model.clip_spec,
            stride_s=lane.settings.stride_s,
            max_stride_s=lane.settings.max_stride_s,
            min_coverage=lane.settings.min_coverage,
            watch_still=lane.settings.watch_still,
            lane=lane.number,
            epochs_before=self.epochs,
            seat=lane.seat,
        )
        run = IsolatedSource(self.settings, self._limits, cut, self._clock)
        with self._lock:  # no count may be seen twice
            if self._isolated:
                self._past.add(self._isolated.stats)
            self._isolated = run
        return run

    def _take_over(self, reading: _Reading) -> None:
        """Put a lane in the place of the one there is; the caller holds the lock."""
        over, self._reading, self._offered = self._reading, reading, None
        self._past.add(over.assembler.stats)
        self._on_lane_over(self, over.lane)

    def _window_stats(self) -> WindowStats:
        stats = WindowStats()
        with self._lock:
            stats.add(self._past)
            stats.add(self._isolated.stats if self._isolated else self._reading.assembler.stats)
        return stats

    def _unchanged_s(self) -> float:
        return self._last.unchanged_s if self._last else 0.0

    def _note_status(self, _stream: str, status: StatusData) -> None:
        # The state is part of the template: of one template a line a second is told.
        why = status.detail or status.reason
        template = f"{status.state}: %s" if why else status.state
        if status.retry_in_s:
            why += f" (again in {status.retry_in_s:.1f} s)"
        self._log.log(_level(status), template, *filter(None, [why]))
        self._on_status(self, status)

    def _disconnected(self, _stream: str, _reason: str) -> None:
        self._warm = False
        with self._lock:
            self._flows = False
            for reading in filter(None, (self._reading, self._offered)):
                reading.assembler.timeline.reconnected()
        self._on_lost(self)
        with self._lock:
            if self._offered:
                self._take_over(self._offered)


def _level(status: StatusData) -> int:
    if status.state in ("backoff", "failed", "stale"):
        return logging.WARNING
    # Every further attempt ends in a line of its own; its beginning is no news.
    return logging.DEBUG if status.state == "connecting" and status.attempt else logging.INFO
