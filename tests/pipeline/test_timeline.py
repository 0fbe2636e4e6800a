"""Stream epochs: where continuity ends, and nowhere else."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.pipeline.timeline import MAX_JUMP_S, Timeline
from tests.pipeline.stubs import frame

steps = st.fractions(min_value=Fraction(1, 1000), max_value=MAX_JUMP_S, max_denominator=90_000)


@given(st.lists(steps, max_size=60), st.fractions(-100, 1_000_000, max_denominator=90_000))
def test_growing_time_without_great_jumps_is_one_epoch(gaps: list[Fraction], t: Fraction) -> None:
    timeline = Timeline()
    assert timeline.place(frame(t))
    for gap in gaps:
        t += gap
        assert not timeline.place(frame(t))
        assert timeline.media_s == t
    assert timeline.epoch == 1


@pytest.mark.parametrize("step", [-0.04, -1000, 2.001, 46_722])
def test_time_that_falls_or_leaps_begins_an_epoch(step: float) -> None:
    timeline = Timeline()
    timeline.place(frame(10))
    assert timeline.place(frame(10 + step))
    assert timeline.epoch == 2


def test_a_reconnect_begins_an_epoch_even_where_time_goes_on() -> None:
    timeline = Timeline()
    timeline.place(frame(1))
    timeline.reconnected()
    assert timeline.place(frame(1.04))


def test_a_change_of_size_begins_an_epoch() -> None:
    timeline = Timeline()
    timeline.place(frame(1))
    assert timeline.place(frame(1.04, width=6))


def test_frames_without_timestamps_are_placed_by_the_receive_clock() -> None:
    timeline = Timeline()
    timeline.place(frame(None, arrival_s=500.0))
    assert not timeline.place(frame(None, arrival_s=500.25))
    assert timeline.media_s == Fraction(50025, 100)
    assert timeline.place(frame(500.5, arrival_s=500.5)), "timestamps begin: another timeline"


def test_the_rate_is_the_median_of_what_came_not_what_was_declared() -> None:
    timeline = Timeline()
    assert timeline.frame_interval_s is None
    for media_s in (0, 0.25, 0.5, 0.75, 2.0, 2.25):  # one gap among steady frames
        timeline.place(frame(media_s))
    assert timeline.frame_interval_s == 0.25
