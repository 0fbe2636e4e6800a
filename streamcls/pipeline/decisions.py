"""Scores in, label transitions out: smoothing, hysteresis, durations. Pure; all in seconds.

For each label, by its own policy:

    score  ..../~~~~~~~~~~\\......        smoothed with time constant smoothing_s
    on     ---/------------\\-----        reached: the label is pending
    off    --/--------------\\----        fallen below: pending is forgotten, open ends
              |<-min->|
    event             start   end

Labels do not know of each other, so several may be open at once: by design where their scores are
independent (sigmoid), for a moment where they compete (softmax) and an off threshold is low.

Nothing is counted in windows, so a changed stride changes no meaning. For a signal that is
constant between coarse windows, n times finer ones never make more transitions:
 (a) with any smoothing_s, if min_duration_s is 0 and cooldown_s a whole number of coarse strides.
     n exponential steps make one, so within a coarse stride the smoothed score moves monotonically
     from one coarse value to the next, and crosses what they cross. Fine events end no earlier than
     coarse ones, so the next may begin no earlier. Without a cooldown the transitions are the same.
 (b) with smoothing_s 0, if min_duration_s is a whole number of coarse strides: the same ones. A
     fine event last held one fine stride before its end was seen, so cooldowns end within the same
     coarse stride; what begins in one, at any phase, starts at that phase of the m-th after it.
For any signal and windows a label starts at most 1 + span / (min_duration_s + cooldown_s) events,
for each holds for the one and rests for the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one label's scores become events.

    Attributes:
        smoothing_s: time constant of the exponential smoothing; 0 for none.
        on_threshold, off_threshold: smoothed scores at which an event may begin, above 0, and
            below which it ends.
        min_duration_s: how long the label must hold before its event starts.
        cooldown_s: how long after an event's end the label may not begin again, within one
            stream epoch.
        update_s: how often an open event is reported again.

    Raises:
        ValueError: a threshold or a duration that means nothing, or the off threshold above the on
            threshold.
    """

    smoothing_s: float
    on_threshold: float
    off_threshold: float
    min_duration_s: float
    cooldown_s: float
    update_s: float = 5.0

    def __post_init__(self) -> None:
        # Written so that a NaN, which compares false with everything, is refused too.
        for name in ("smoothing_s", "min_duration_s", "cooldown_s", "update_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; use seconds, 0 or more")
        if not 0 < self.on_threshold <= 1:
            raise ValueError(
                f"on_threshold is {self.on_threshold}; use above 0, which every score reaches,"
                " and at most 1"
            )
        if not 0 <= self.off_threshold <= self.on_threshold:
            raise ValueError(
                f"off_threshold {self.off_threshold} is below 0 or above on_threshold"
                f" {self.on_threshold}; an event would end as it begins"
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

    def __init__(self, policies: Sequence[Policy | None]) -> None:
        """Start with nothing open.

        Args:
            policies: each label's, in label-index order; None for one that opens no event.
        """
        self._policies = {index: policy for index, policy in enumerate(policies) if policy}
        self._on = np.array([policy.on_threshold if policy else math.inf for policy in policies])
        smoothing = [policy.smoothing_s if policy else 0.0 for policy in policies]
        self._rates = np.array([1 / seconds if seconds else math.inf for seconds in smoothing])
        self._smoothed: npt.NDArray[np.float64] | None = None
        self._time_s = 0.0
        self._stream_epoch: int | None = None
        self._spans: dict[int, Span] = {}
        self._ended_s: dict[int, float] = {}

    @property
    def smoothed(self) -> npt.NDArray[np.float64] | None:
        """What thresholds were last held against, by label; None before the first scores."""
        return self._smoothed

    def push(
        self, scores: npt.NDArray[np.floating], *, stream_epoch: int, time_s: float, utc_s: float
    ) -> list[Change]:
        """Take one window's scores.

        Args:
            scores: probabilities, shape (labels,); one that is no number counts as 0.
            time_s: media time of the window's centre, later than the last one's in this epoch.
            utc_s: the same instant in POSIX seconds.

        Returns:
            The transitions this window caused; first the ends of an epoch that is over.
        """
        changes: list[Change] = []
        if stream_epoch != self._stream_epoch:
            changes = self.end_all()
            self._stream_epoch = stream_epoch
            self._ended_s.clear()
            self._smoothed = None
        smoothed = self._smooth(scores, time_s)
        above = np.flatnonzero(smoothed >= self._on).tolist()
        for index in sorted({*above, *self._spans}):
            change = self._step(index, float(smoothed[index]), stream_epoch, time_s, utc_s)
            if change:
                changes.append(change)
        return changes

    def end_all(self) -> list[Change]:
        """End every open event and forget what is pending: the stream's continuity is over."""
        ended = [Change("end", span) for span in self._spans.values() if span.started]
        # A window still under way may come after this; the cooldown holds against it too.
        self._ended_s.update({change.span.index: change.span.held_s for change in ended})
        self._spans.clear()
        return ended

    def _smooth(self, scores: npt.NDArray[np.floating], time_s: float) -> npt.NDArray[np.float64]:
        fresh = np.where(np.isnan(scores), 0.0, scores.astype(np.float64))
        if self._smoothed is not None:
            # Exact for any spacing of windows: a first-order low pass sampled at these times. In
            # this form a score that stays is met exactly, so one at its threshold reaches it.
            kept = np.exp(-self._rates * (time_s - self._time_s))
            fresh += kept * (self._smoothed - fresh)
        self._smoothed, self._time_s = fresh, time_s
        return fresh

    def _step(
        self, index: int, score: float, stream_epoch: int, time_s: float, utc_s: float
    ) -> Change | None:
        policy, span = self._policies[index], self._spans.get(index)
        if span is None:
            ended_s = self._ended_s.get(index)
            if ended_s is not None and _elapsed_s(ended_s, time_s) < policy.cooldown_s:
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
        return _report(span, policy, time_s)


def _report(span: Span, policy: Policy, time_s: float) -> Change | None:
    if not span.started:
        if _elapsed_s(span.start_s, time_s) < policy.min_duration_s:
            return None
        span.started, span.reported_s = True, time_s
        return Change("start", span)
    if _elapsed_s(span.reported_s, time_s) < policy.update_s:
        return None
    span.reported_s = time_s
    return Change("update", span)


def _elapsed_s(since_s: float, time_s: float) -> float:
    """To the microsecond of the wire: 0.3 - 0.1 < 0.2 must not put a start off by a window."""
    return round(time_s - since_s, 6)
