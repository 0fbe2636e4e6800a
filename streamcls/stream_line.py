"""One stream's way through the stages: what the daemon builds per `[[streams]]` table.

`feed` runs on the stream's capture thread, `report` and `end_events` on the publishing thread;
the two halves share nothing but the backlog between them.
"""

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from streamcls.clock import Clock
from streamcls.config import Settings, StreamSettings, decisions_in_force
from streamcls.events import (
    EndReason,
    EventData,
    Latency,
    Payload,
    PredictionData,
    Score,
    StatusData,
    utc,
)
from streamcls.frames import Frame, Prediction, Window
from streamcls.models.bundle import LoadedModel
from streamcls.observe.logs import log_fault
from streamcls.observe.metrics import StreamCounts
from streamcls.pipeline.backlog import Backlog
from streamcls.pipeline.capture import Capture
from streamcls.pipeline.decisions import Change, Decider
from streamcls.pipeline.decisions import Policy as DecisionPolicy
from streamcls.pipeline.sources import open_source
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import WindowPlan, to_small_rgb

log = logging.getLogger("streamcls")


class StreamLine:
    """One stream: its capture and windows on one side, its decisions on the other."""

    def __init__(
        self,
        stream: StreamSettings,
        settings: Settings,
        *,
        model: LoadedModel,
        backlog: Backlog,
        boot_id: str,
        clock: Clock,
        on_status: Callable[[str, StatusData], None],
        on_lost: Callable[[str], None],
        on_end: Callable[[str, BaseException | None], None],
    ) -> None:
        """Store the parts; `capture.start()` sets the stream going.

        Args:
            on_status: told each change of the stream's state, on the capture thread.
            on_lost: told that a connection's frames are over, or that a stream epoch is.
            on_end: told that the capture thread is over, and of the error that ended it.
        """
        spec = model.manifest.clip_spec
        self.settings = stream
        self._asked_stride_s = stream.stride_s or settings.windows.stride_s
        self.plan = WindowPlan.of(spec, self._asked_stride_s)
        self.capture = Capture(
            stream,
            settings.capture,
            open_source=lambda: open_source(stream, settings.capture, clock),
            on_frame=self.feed,
            on_status=self._note_status,
            on_lost=self._disconnected,
            on_fault=log_fault,
            on_end=on_end,
            clock=clock,
            random=random.Random(),
        )
        self._assembler = WindowAssembler(
            stream.id,
            self.plan,
            convert=lambda image: to_small_rgb(image, spec),
            min_coverage=settings.windows.min_coverage,
            live=stream.is_live,
            clock=clock,
        )
        self._model = model
        self._labels = model.manifest.labels
        self._backlog = backlog
        self._top_k = settings.publish.top_k
        self._boot_id = boot_id
        self._clock = clock
        self._on_status = on_status
        self._on_lost = on_lost
        self._warm = False
        self._decider = Decider(decision_policies(settings, stream, model))
        self._event_ids: dict[int, str] = {}
        self._events_started = 0

    @property
    def rounded_stride(self) -> str:
        """A line that says so where the stride in force is not the one asked for, else nothing."""
        if abs(float(self.plan.stride_s) - self._asked_stride_s) < 1e-9:
            return ""
        return (
            f"{self.settings.id}: stride {self._asked_stride_s:g} s becomes"
            f" {float(self.plan.stride_s):g} s, whole steps of the model's"
            f" {float(self.plan.step_s):g} s grid"
        )

    def counts(self) -> StreamCounts:
        """What the stages counted so far."""
        captured, made = self.capture.stats, self._assembler.stats
        dropped = dict(made.windows_dropped)
        if superseded := self._backlog.superseded(self.settings.id):
            dropped["superseded"] = superseded
        return StreamCounts(
            up=captured.state in ("warming_up", "up"),
            last_frame_utc_s=captured.last_frame_utc_s,
            frames_decoded=captured.frames_decoded,
            frames_converted=made.frames_converted,
            decode_errors=captured.decode_errors,
            windows=made.windows,
            windows_dropped=dropped,
            frames_dropped=dict(made.frames_dropped),
            reconnects=dict(captured.reconnects),
        )

    def feed(self, frame: Frame) -> bool:
        """Take a decoded frame; True once this connection has had a whole window."""
        epoch = self._assembler.timeline.epoch
        windows = self._assembler.push(frame)
        if self._warm and self._assembler.timeline.epoch != epoch:
            # What was open has lost its continuity; its end must not wait for a next window.
            self._on_lost(self.settings.id)
        for window in windows:
            self._warm = True
            lossless = not self.settings.is_live
            self._backlog.put(window, lossless=lossless, cancelled=self.capture.stopping)
        return self._warm

    def _note_status(self, stream: str, status: StatusData) -> None:
        log.log(_level(status), "%s: %s %s", stream, status.state, status.detail or status.reason)
        self._on_status(stream, status)

    def _disconnected(self, stream: str, _reason: str) -> None:
        self._warm = False
        self._assembler.timeline.reconnected()
        self._on_lost(stream)

    def report(self, prediction: Prediction) -> Iterator[Payload]:
        """The messages one prediction gives: itself, then the label changes it decides."""
        yield self._prediction_data(prediction)
        window = prediction.window
        changes = self._decider.push(
            prediction.scores,
            stream_epoch=window.stream_epoch,
            time_s=float(window.start_s + window.end_s) / 2,
            utc_s=(window.start_utc_s + window.end_utc_s) / 2,
        )
        for change in changes:
            # An end carried over from an earlier epoch means that its continuity was lost.
            lost = change.span.stream_epoch != window.stream_epoch
            yield self._event_data(change, "stream_lost" if lost else "label_off")

    def end_events(self, reason: EndReason) -> Iterable[Payload]:
        """Close every open event, because the stream or the daemon ends."""
        return [self._event_data(change, reason) for change in self._decider.end_all()]

    def _prediction_data(self, prediction: Prediction) -> PredictionData:
        window, scores = prediction.window, prediction.scores
        best = scores.argsort()[::-1][: self._top_k]
        return PredictionData(
            stream_epoch=window.stream_epoch,
            start_s=_seconds(window.start_s),
            end_s=_seconds(window.end_s),
            start_time=utc(window.start_utc_s),
            end_time=utc(window.end_utc_s),
            coverage=round(window.coverage, 4),
            top=[
                Score(self._labels[index], int(index), round(float(scores[index]), 5))
                for index in best
            ],
            latency=_latency(window, prediction, self._clock.monotonic_s()),
            model=self._model.manifest.name,
            model_hash=self._model.file_hash,
        )

    def _event_data(self, change: Change, reason: EndReason) -> EventData:
        span, over = change.span, change.transition == "end"
        if change.transition == "start":
            self._events_started += 1
            event_id = f"{self._boot_id}-{self.settings.id}-{self._events_started}"
            self._event_ids[span.index] = event_id
        event_id = self._event_ids[span.index]
        return EventData(
            event_id=event_id,
            transition=change.transition,
            label=self._labels[span.index],
            index=span.index,
            stream_epoch=span.stream_epoch,
            peak_score=round(span.peak, 5),
            mean_score=round(span.mean, 5),
            start_s=round(span.start_s, 6),
            end_s=round(span.held_s, 6),
            start_time=utc(span.start_utc_s),
            end_time=utc(span.held_utc_s),
            reason=reason if over else None,
        )


def decision_policies(
    settings: Settings, stream: StreamSettings, model: LoadedModel
) -> list[DecisionPolicy | None]:
    """A stream's policy for each of the model's labels; None for the background one.

    Raises:
        ConfigError: as `decisions_in_force`.
    """
    labels, defaults = model.manifest.labels, model.manifest.decisions
    in_force = decisions_in_force(
        settings,
        stream,
        labels=labels,
        defaults=defaults.for_labels(),
        background_label=defaults.background_label,
    )
    return [DecisionPolicy(**in_force[label]) if label in in_force else None for label in labels]


def _level(status: StatusData) -> int:
    if status.state in ("backoff", "failed", "stale"):
        return logging.WARNING
    # Every further attempt ends in a line of its own; its beginning is no news.
    return logging.DEBUG if status.state == "connecting" and status.attempt else logging.INFO


def _seconds(exact: Fraction) -> float:
    return round(float(exact), 6)


def _latency(window: Window, prediction: Prediction, now: float) -> Latency:
    arrived, closed = window.arrival_monotonic_s, window.closed_monotonic_s
    batched, scored = prediction.batched_monotonic_s, prediction.scored_monotonic_s
    return Latency(
        window_ms=_milliseconds(closed - arrived),
        queue_ms=_milliseconds(batched - closed),
        inference_ms=_milliseconds(scored - batched),
        publish_ms=_milliseconds(now - scored),
        total_ms=_milliseconds(now - arrived),
    )


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)
