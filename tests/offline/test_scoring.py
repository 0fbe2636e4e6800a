"""Matching events with segments: one to one, never fewer than could be, and what follows of it."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.offline.recordings import LabelEvent
from streamcls.offline.scoring import match, median_and_90th, together
from streamcls.offline.tracks import Segment


def event(label: str, start_s: float, end_s: float, decided_s: float = 0.0) -> LabelEvent:
    return LabelEvent(label, start_s, end_s, decided_s, peak_score=1.0, mean_score=1.0)


def test_an_event_matches_a_segment_of_its_label_that_it_overlaps() -> None:
    track = [Segment(0, 2, "rise"), Segment(4, 6, "rise"), Segment(4, 6, "fall")]
    matching = match([event("rise", 1, 3), event("fall", 1, 3), event("rise", 7, 8)], track)
    assert [hit for _, hit in matching.matched] == [track[0]]
    assert set(matching.missed) == set(track[1:])
    assert [(false.label, false.start_s) for false in matching.false] == [("fall", 1), ("rise", 7)]
    assert matching.precision == pytest.approx(1 / 3)
    assert matching.recall == pytest.approx(1 / 3)
    assert matching.f1 == pytest.approx(1 / 3)


def test_a_second_event_within_one_segment_is_false() -> None:
    matching = match([event("rise", 1, 2), event("rise", 3, 4)], [Segment(0, 5, "rise")])
    assert (len(matching.matched), len(matching.false)) == (1, 1)


def test_segments_of_the_background_label_are_nobodys_to_tell() -> None:
    assert match([], [Segment(0, 5, "rest")], background="rest").f1 is None


def test_delay_is_from_the_segments_start_to_the_decision() -> None:
    track = [Segment(1, 3, "rise"), Segment(5, 9, "rise")]
    matching = match([event("rise", 5, 8, 7.0), event("rise", 1, 3, 1.5)], track)
    assert matching.delays_s == (0.5, 2.0)


def test_several_recordings_count_together_and_labels_apart() -> None:
    one = match([event("rise", 1, 2)], [Segment(0, 5, "rise")])
    two = match([event("fall", 1, 2)], [Segment(0, 5, "rise")])
    both = together([one, two])
    assert (both.precision, both.recall) == (0.5, 0.5)
    assert (both.of("rise").precision, both.of("rise").recall) == (1.0, 0.5)
    assert both.of("fall").recall is None


def disjoint() -> st.SearchStrategy[list[tuple[float, float]]]:
    """Up to four intervals that neither overlap nor touch."""
    cuts = st.lists(st.integers(0, 30), max_size=8, unique=True).map(sorted)
    return cuts.map(lambda c: [(a, b) for a, b in zip(c[::2], c[1::2], strict=False)])


@given(events=disjoint(), segments=disjoint())
def test_no_assignment_matches_more(
    events: list[tuple[float, float]], segments: list[tuple[float, float]]
) -> None:
    found = match([event("x", *span) for span in events], [Segment(*s, "x") for s in segments])
    padded: list[tuple[float, float] | None] = [*segments, *[None] * len(events)]
    most = max(
        sum(
            s is not None and e[0] <= s[1] and e[1] >= s[0]
            for e, s in zip(events, choice, strict=True)
        )
        for choice in permutations(padded, len(events))
    )
    assert len(found.matched) == most


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40).map(sorted))
def test_nine_in_ten_are_no_later_than_the_90th_percentile(values: list[float]) -> None:
    _, late = median_and_90th(values)
    assert late in values
    assert late is not None
    assert sum(value <= late for value in values) >= 0.9 * len(values)
    assert sum(value < late for value in values) < 0.9 * len(values)
