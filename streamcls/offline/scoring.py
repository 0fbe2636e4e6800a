"""Events against label tracks: matching, precision, recall, F1, delay and false alarms. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from streamcls.offline.recordings import LabelEvent
from streamcls.offline.tracks import Segment


@dataclass(frozen=True, slots=True)
class Matching:
    """What came of matching events with segments one to one."""

    matched: tuple[tuple[LabelEvent, Segment], ...] = ()
    missed: tuple[Segment, ...] = ()
    false: tuple[LabelEvent, ...] = ()

    @property
    def precision(self) -> float | None:
        """Share of events that are true; None where there are none."""
        events = len(self.matched) + len(self.false)
        return len(self.matched) / events if events else None

    @property
    def recall(self) -> float | None:
        """Share of segments that an event told of; None where there are none."""
        segments = len(self.matched) + len(self.missed)
        return len(self.matched) / segments if segments else None

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None where there are neither events nor segments."""
        hits = 2 * len(self.matched)
        total = hits + len(self.missed) + len(self.false)
        return hits / total if total else None

    @property
    def delays_s(self) -> tuple[float, ...]:
        """From each told segment's start until its event was decided, ascending."""
        return tuple(sorted(event.decided_s - segment.start_s for event, segment in self.matched))

    def of(self, label: str) -> "Matching":
        """The part about one label."""
        return Matching(
            tuple(pair for pair in self.matched if pair[1].label == label),
            tuple(segment for segment in self.missed if segment.label == label),
            tuple(event for event in self.false if event.label == label),
        )


def match(
    events: Sequence[LabelEvent], track: Iterable[Segment], *, background: str | None = None
) -> Matching:
    """Match events with segments: of one label, overlapping in time, one to one.

    An event takes the earliest segment that is left to it. As neither events nor segments of a
    label overlap among themselves, no other choice matches more.

    Args:
        background: the label whose segments open no event.
    """
    left = sorted(segment for segment in track if segment.label != background)
    matched: list[tuple[LabelEvent, Segment]] = []
    false: list[LabelEvent] = []
    for event in sorted(events, key=lambda event: (event.start_s, event.label)):
        hit = next((segment for segment in left if _overlap(event, segment)), None)
        if hit:
            left.remove(hit)
            matched.append((event, hit))
        else:
            false.append(event)
    return Matching(tuple(matched), tuple(left), tuple(false))


def together(matchings: Sequence[Matching]) -> Matching:
    """Those of several recordings as one."""
    return Matching(
        tuple(pair for matching in matchings for pair in matching.matched),
        tuple(segment for matching in matchings for segment in matching.missed),
        tuple(event for matching in matchings for event in matching.false),
    )


def median_and_90th(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """The median and the 90th percentile by nearest rank of ascending values."""
    if not values:
        return None, None
    return median(values), values[-(-9 * len(values) // 10) - 1]  # rank ceil(0.9 n)


def _overlap(event: LabelEvent, segment: Segment) -> bool:
    same = event.label == segment.label
    return same and event.start_s <= segment.end_s and event.end_s >= segment.start_s
