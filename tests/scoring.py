"""Events against known segments: precision, recall and F1, and how far each start is off."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamcls.events import EventData

Truth = tuple[str, float, float]


@dataclass(frozen=True)
class Score:
    """What came of matching events with segments one to one."""

    matched: list[tuple[EventData, Truth]]
    missed: list[Truth]
    false: list[EventData]

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        hits = 2 * len(self.matched)
        return hits / (hits + len(self.missed) + len(self.false)) if hits else 0.0

    def latest_start_s(self, origin_s: float) -> float:
        """The largest distance of a matched event's start from its segment's."""
        return max(abs(e.start_s - origin_s - start) for e, (_, start, _) in self.matched)

    def describe(self, origin_s: float) -> str:
        """The whole comparison, for a failing test or a benchmark to print."""
        hits = [
            (event, f"truth {start:.2f} .. {end:.2f}") for event, (_, start, end) in self.matched
        ]
        lines = [f"F1 {self.f1:.3f}"]
        for event, beside in hits + [(event, "false") for event in self.false]:
            start, end = event.start_s - origin_s, (event.end_s or event.start_s) - origin_s
            lines.append(f"  {event.label:<10} {start:6.2f} .. {end:6.2f}  {beside}")
        return "\n".join([*lines, *(f"  missed {segment}" for segment in self.missed)])


def score(
    events: Sequence[EventData], truth: Sequence[Truth], *, origin_s: float, background: str
) -> Score:
    """Match ended events with segments: same label, and they overlap in time.

    Args:
        origin_s: the stream's media time at which the truth's zero was.
        background: the label whose segments open no event.
    """
    left = [segment for segment in truth if segment[0] != background]
    matched: list[tuple[EventData, Truth]] = []
    false: list[EventData] = []
    for event in events:
        start, end = event.start_s - origin_s, (event.end_s or event.start_s) - origin_s
        hit = next((s for s in left if s[0] == event.label and start <= s[2] and end >= s[1]), None)
        if hit:
            left.remove(hit)
            matched.append((event, hit))
        else:
            false.append(event)
    return Score(matched, left, false)
