"""Events as a subscriber hears them against known segments: F1, and how far each start is off."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamcls.events import EventData
from streamcls.offline.recordings import LabelEvent
from streamcls.offline.scoring import Matching, match
from streamcls.offline.tracks import Segment

Truth = tuple[str, float, float]


@dataclass(frozen=True)
class Score:
    """What came of matching events with segments one to one."""

    matching: Matching

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 0 where there is nothing to match."""
        return self.matching.f1 or 0.0

    def latest_start_s(self) -> float:
        """The largest distance of a matched event's start from its segment's."""
        return max(abs(event.start_s - hit.start_s) for event, hit in self.matching.matched)

    def describe(self) -> str:
        """The whole comparison, for a failing test or a benchmark to print."""
        hits = [
            (event, f"truth {hit.start_s:.2f} .. {hit.end_s:.2f}")
            for event, hit in self.matching.matched
        ]
        lines = [f"F1 {self.f1:.3f}"]
        for event, beside in hits + [(event, "false") for event in self.matching.false]:
            times = f"{event.start_s:6.2f} .. {event.end_s:6.2f}"
            lines.append(f"  {event.label:<10} {times}  {beside}")
        return "\n".join([*lines, *(f"  missed {segment}" for segment in self.matching.missed)])


def score(
    events: Sequence[EventData], truth: Sequence[Truth], *, origin_s: float, background: str
) -> Score:
    """Match ended events with segments: same label, and they overlap in time.

    Args:
        origin_s: the stream's media time at which the truth's zero was.
        background: the label whose segments open no event.
    """
    told = [
        LabelEvent(
            label=event.label,
            start_s=event.start_s - origin_s,
            end_s=(event.end_s or event.start_s) - origin_s,
            decided_s=0.0,
            peak_score=event.peak_score,
            mean_score=event.mean_score,
        )
        for event in events
    ]
    track = [Segment(start_s, end_s, label) for label, start_s, end_s in truth]
    return Score(match(told, track, background=background))
