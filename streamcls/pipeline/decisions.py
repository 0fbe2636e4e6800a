"""Scores in, label transitions out: smoothing, hysteresis, durations. Pure; all in seconds.

For each label but the background one:

    score  ..../~~~~~~~~~~\\......        smoothed with time constant smoothing_s
    on     ---/------------\\-----        reached: the label is pending
    off    --/--------------\\----        fallen below: pending is forgotten, open ends
              |<-min->|
    event             start   end

Nothing is counted in windows, so a changed stride changes no meaning.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How scores become events.

    Attributes:
        smoothing_s: time constant of the exponential smoothing; 0 for none.
        on_threshold, off_threshold: smoothed scores at which an event may begin and must end.
        min_duration_s: how long a label must hold before its event starts.
        cooldown_s: how long after an event's end the same label may not begin again, within one
            stream epoch.
        update_s: how often an open event is reported again.
        background_label: the label that opens no event.

    Raises:
        ValueError: the off threshold is above the on threshold.
    """

    smoothing_s: float
    on_threshold: float
    off_threshold: float
    min_duration_s: float
    cooldown_s: float
    update_s: float = 5.0
    background_label: str | None = None

    def __post_init__(self) -> None:
        if self.off_threshold > self.on_threshold:
            raise ValueError(
                f"off_threshold {self.off_threshold} is above on_threshold {self.on_threshold};"
                " an event would end as it begins"
            )


@dataclass(slots=True)
class Span:
    """One label's hold, pending or open. Times are media seconds of window centres."""

    index: int
    stream_epoch: int
    start_s: float
    start_utc_s: float
    held_s: float
    """The last instant at which the label still held."""
    held_utc_s: float
    peak: float
    total: float
    count: int
    started: bool = False
    reported_s: float = 0.0

    @property
    def mean(self) -> float:
        """Mean smoothed score so far."""
        return self.total / self.count


@dataclass(frozen=True, slots=True)
class Change:
    """A transition of one span, as of the moment it was returned."""

    transition: Literal["start", "update", "end"]
    span: Span


class Decider:
    """The decisions of one stream. Feed it predictions in time order.

    For any input, starts and ends alternate per label, and `end_all` ends whatever is open.
    """

    def __init__(self, labels: Sequence[str], policy: Policy) -> None:
        self._policy = policy
        background = policy.background_label
        self._indices = [i for i, label in enumerate(labels) if label != background]
        self._smoothed: npt.NDArray[np.float64] | None = None
        self._time_s = 0.0
        self._stream_epoch: int | None = None
        self._spans: dict[int, Span] = {}
        self._ended_s: dict[int, float] = {}

    def push(
        self, scores: npt.NDArray[np.floating], *, stream_epoch: int, time_s: float, utc_s: float
    ) -> list[Change]:
        """Take one window's scores.

        Args:
            scores: probabilities, shape (labels,).
            time_s: media time of the window's centre, later than the last one's in this epoch.
            utc_s: the same instant in POSIX seconds.

        Returns:
            The transitions this window caused; first the ends of an epoch that is over.
        """
        changes: list[Change] = []
        if stream_epoch != self._stream_epoch:
            changes = self.end_all()
            self._stream_epoch = stream_epoch
        smoothed = self._smooth(scores, time_s)
        for index in self._indices:
            change = self._step(index, float(smoothed[index]), stream_epoch, time_s, utc_s)
            if change:
                changes.append(change)
        return changes

    def end_all(self) -> list[Change]:
        """End every open event and forget what is pending: the stream's continuity is over."""
        ended = [Change("end", span) for span in self._spans.values() if span.started]
        self._spans.clear()
        self._ended_s.clear()
        self._smoothed = None
        return ended

    def _smooth(self, scores: npt.NDArray[np.floating], time_s: float) -> npt.NDArray[np.float64]:
        if self._smoothed is None or self._policy.smoothing_s == 0:
            self._smoothed = scores.astype(np.float64)
        else:
            # Exact for any spacing of windows: a first-order low pass sampled at these times.
            kept = math.exp(-(time_s - self._time_s) / self._policy.smoothing_s)
            self._smoothed = kept * self._smoothed + (1 - kept) * scores
        self._time_s = time_s
        return self._smoothed

    def _step(
        self, index: int, score: float, stream_epoch: int, time_s: float, utc_s: float
    ) -> Change | None:
        policy, span = self._policy, self._spans.get(index)
        if span is None:
            cool = time_s - self._ended_s.get(index, -math.inf) >= policy.cooldown_s
            if not (score >= policy.on_threshold and cool):  # NaN opens nothing
                return None
            span = Span(index, stream_epoch, time_s, utc_s, time_s, utc_s, score, 0.0, 0)
            self._spans[index] = span
        elif score < policy.off_threshold:
            del self._spans[index]
            if not span.started:
                return None
            self._ended_s[index] = span.held_s
            return Change("end", span)
        span.held_s, span.held_utc_s = time_s, utc_s
        span.peak = max(span.peak, score)
        span.total, span.count = span.total + score, span.count + 1
        return self._report(span, time_s)

    def _report(self, span: Span, time_s: float) -> Change | None:
        if not span.started:
            if time_s - span.start_s < self._policy.min_duration_s:
                return None
            span.started, span.reported_s = True, time_s
            return Change("start", span)
        if time_s - span.reported_s < self._policy.update_s:
            return None
        span.reported_s = time_s
        return Change("update", span)
