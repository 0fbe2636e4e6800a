"""What one stream is read by: a model, windows and decisions. A reload may put another in place.

`cut` runs on the stream's capture thread, `report` and `end_events` on the publishing thread; the
two halves share nothing but the backlog between them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from streamcls.clock import Clock
from streamcls.config import Settings, StreamSettings, decisions_in_force
from streamcls.engine import Engine
from streamcls.events import (
    EndReason,
    EventData,
    Latency,
    Payload,
    PredictionData,
    Score,
    utc,
)
from streamcls.frames import Prediction, Window
from streamcls.models.bundle import LoadedModel
from streamcls.observe.page import Legend
from streamcls.pipeline.decisions import Change, Decider
from streamcls.pipeline.decisions import Policy as DecisionPolicy
from streamcls.pipeline.pace import Pace
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import WindowPlan, to_small_rgb

Watch = Callable[[Prediction, npt.NDArray[np.floating], Legend], None]
"""Told, on the publishing thread, of each window's scores, as they came and smoothed."""


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """All that a lane depends on: two that are equal read a stream alike."""

    stride_s: float
    max_stride_s: float | None
    min_coverage: float
    top_k: int
    watch_still: bool
    policies: list[DecisionPolicy | None]
    engine: Engine

    @classmethod
    def of(cls, stream: StreamSettings, settings: Settings, engine: Engine) -> "LaneSettings":
        """What the configuration says for one stream.

        Raises:
            ConfigError: as `decision_policies`.
        """
        return cls(
            stride_s=stream.stride_s or settings.windows.stride_s,
            max_stride_s=stream.max_stride_s or settings.windows.max_stride_s,
            min_coverage=settings.windows.min_coverage,
            top_k=settings.publish.top_k,
            watch_still=settings.capture.frozen_after_s > 0,
            policies=decision_policies(settings, stream, engine.model),
            engine=engine,
        )

    @property
    def plan(self) -> WindowPlan:
        """The windows in force."""
        return WindowPlan.of(self.engine.model.clip_spec, self.stride_s)

    def rounded_stride(self) -> str:
        """A line that says so where the stride in force is not the one asked for, else nothing."""
        plan = self.plan
        if abs(float(plan.stride_s) - self.stride_s) < 1e-9:
            return ""
        return (
            f"stride {self.stride_s:g} s becomes {float(plan.stride_s):g} s, whole steps of the"
            f" model's {float(plan.step_s):g} s grid"
        )


class Lane:
    """One reading of one stream: windows on one side, decisions on the other.

    Attributes:
        number: carried by each of its windows, so that their scores come back here.
        seat: as given, None where the stream is not live.
    """

    def __init__(
        self,
        stream: StreamSettings,
        settings: LaneSettings,
        *,
        number: int,
        epochs_before: int,
        boot_id: str,
        next_event: Callable[[], int],
        clock: Clock,
        seat: int | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Start with nothing seen and nothing open.

        Args:
            epochs_before: the stream's epochs so far.
            next_event: numbers the events of this stream within the run.
            seat: the stream's number among all, which gives a live one a pace of its own.
        """
        self.number = number
        self.settings = settings
        self.epochs_before = epochs_before
        self._stream = stream.id
        self._boot_id = boot_id
        self._next_event = next_event
        self._clock = clock
        self._labels = settings.engine.model.manifest.labels
        self._decider = Decider(settings.policies)
        self._watch = watch
        self._legend = _legend(settings)
        self._event_ids: dict[int, str] = {}
        self._clock_offset_s: float | None = None
        self._live = stream.is_live
        self.seat = seat if stream.is_live else None

    def assembler(self) -> WindowAssembler:
        """A new one, that cuts this lane's windows from decoded frames."""
        spec, plan = self.settings.engine.model.clip_spec, self.settings.plan
        pace = None if self.seat is None else Pace(plan, self.seat, self.settings.max_stride_s)
        return WindowAssembler(
            self._stream,
            plan,
            convert=lambda image: to_small_rgb(image, spec),
            min_coverage=self.settings.min_coverage,
            live=self._live,
            clock=self._clock,
            lane=self.number,
            epochs_before=self.epochs_before,
            watch_still=self.settings.watch_still,
            pace=pace,
        )

    def report(self, prediction: Prediction) -> Iterator[Payload]:
        """The messages one prediction gives: itself, then the label changes it decides."""
        yield self._prediction_data(prediction)
        window = prediction.window
        self._clock_offset_s = window.clock_offset_s
        changes = self._decider.push(
            prediction.scores,
            stream_epoch=window.stream_epoch,
            time_s=float(window.start_s + window.end_s) / 2,
            utc_s=(window.start_utc_s + window.end_utc_s) / 2,
        )
        if self._watch and self._decider.smoothed is not None:
            self._watch(prediction, self._decider.smoothed, self._legend)
        for change in changes:
            # An end carried over from an earlier epoch means that its continuity was lost.
            lost = change.span.stream_epoch != window.stream_epoch
            yield self._event_data(change, "stream_lost" if lost else "label_off")

    def end_events(self, reason: EndReason) -> Iterable[Payload]:
        """Close every open event, because the stream, the lane or the daemon ends."""
        return [self._event_data(change, reason) for change in self._decider.end_all()]

    def _prediction_data(self, prediction: Prediction) -> PredictionData:
        window, scores = prediction.window, prediction.scores
        model = self.settings.engine.model
        best = scores.argsort()[::-1][: self.settings.top_k]
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
            model=model.manifest.name,
            model_hash=model.file_hash,
            backend=self.settings.engine.backend.name,
            clock_offset_s=window.clock_offset_s,
            stride_s=round(window.stride_s, 6),
        )

    def _event_data(self, change: Change, reason: EndReason) -> EventData:
        span, over = change.span, change.transition == "end"
        if change.transition == "start":
            event_id = f"{self._boot_id}-{self._stream}-{self._next_event()}"
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
            clock_offset_s=self._clock_offset_s,
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
        label_defaults=defaults.for_single_labels(),
        background_label=defaults.background_label,
    )
    return [DecisionPolicy(**in_force[label]) if label in in_force else None for label in labels]


def _legend(settings: LaneSettings) -> Legend:
    model, policies = settings.engine.model, settings.policies
    return Legend(
        labels=model.manifest.labels,
        on=[policy.on_threshold if policy else None for policy in policies],
        off=[policy.off_threshold if policy else None for policy in policies],
        crop=model.clip_spec.crop,
        interval_s=float(model.clip_spec.frame_interval_s),
    )


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
