"""A pace by itself: what it keeps, what it owes, when it widens; and many of them on one box."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.pipeline.pace import Pace
from streamcls.transforms import WindowPlan
from tests.pipeline.box import X3D_S, Box, Camera, fairness, p99

FRAME_S = 0.04


def pace(stride_s: float = 1.0, *, seat: int = 0, max_stride_s: float | None = None) -> Pace:
    return Pace(WindowPlan.of(X3D_S, stride_s), seat, max_stride_s)


def late(one: Pace, late_s: float, from_s: float, seconds: float) -> int:
    """Tell a pace, frame by frame, how late it is; how often it said to give up."""
    frames = round(seconds / FRAME_S)
    return sum(one.note(late_s, from_s + i * FRAME_S) for i in range(frames))


def overloaded(stride_s: float = 1.0, *, seat: int = 0, max_stride_s: float | None = None) -> Pace:
    one = pace(stride_s, seat=seat, max_stride_s=max_stride_s)
    late(one, 0.5, 0.0, 20.0)
    return one


@given(st.integers(0, 63), st.sampled_from([0.2, 1.0, 3.0, 60.0]))
def test_at_ease_every_window_is_kept(seat: int, stride_s: float) -> None:
    one = pace(stride_s, seat=seat)
    late(one, 0.05, 0.0, 60.0)
    assert one.stride_s == pytest.approx(stride_s)
    assert all(one.keeps(number) for number in range(100))


@given(st.integers(0, 63), st.sampled_from([0.2, 1.0, 3.0]))
def test_a_late_stream_keeps_one_window_in_so_many_and_owes_the_others(
    seat: int, stride_s: float
) -> None:
    one = overloaded(stride_s, seat=seat)
    assert one.multiple > 1
    assert one.stride_s == pytest.approx(one.multiple * stride_s)
    kept = [number for number in range(1000) if one.keeps(number)]
    assert {b - a for a, b in pairwise(kept)} == {one.multiple}
    assert all(one.owes(number) for number in range(1000))


def test_streams_of_one_wide_stride_take_their_turns_in_it() -> None:
    many = [overloaded(seat=seat) for seat in range(28)]
    (multiple,) = {one.multiple for one in many}
    at_once = [sum(one.keeps(number) for one in many) for number in range(multiple)]
    assert max(at_once) <= 28 / multiple + 2


@given(st.integers(0, 63), st.floats(1.0, 40.0))
def test_up_to_the_widest_stride_agreed_on_no_window_is_owed(seat: int, widest_s: float) -> None:
    one = overloaded(seat=seat, max_stride_s=widest_s)
    owed = sum(one.owes(number) for number in range(10_000)) / 10_000
    agreed = min(one.multiple, round(widest_s))
    assert owed == pytest.approx(1 / agreed, abs=1e-3)
    if one.multiple <= agreed:  # then what is owed is what is kept
        assert all(one.keeps(number) == one.owes(number) for number in range(100))


def test_one_delay_costs_what_is_under_way_and_leaves_the_pace_as_it_was() -> None:
    one = pace()
    late(one, 0.0, 0.0, 10.0)
    assert late(one, 0.6, 10.0, 0.6) > 0
    late(one, 0.0, 10.6, 60.0)
    assert late(one, 0.6, 71.0, 0.6) > 0
    assert one.multiple == 1


def test_a_stream_that_begins_late_keeps_its_rate() -> None:
    one = pace()
    late(one, 0.6, 0.0, 4.0)
    late(one, 0.0, 4.0, 1.0)
    late(one, 0.6, 10.0, 0.4)
    assert one.multiple == 1


def test_a_single_late_frame_is_nothing() -> None:
    one = pace()
    for second in range(20):
        assert not one.note(0.9, second)
        assert late(one, 0.0, second + FRAME_S, 0.9) == 0
    assert one.multiple == 1


def test_a_little_late_for_long_widens_the_stride_and_gives_up_nothing_under_way() -> None:
    one = pace()
    assert late(one, 0.2, 0.0, 20.0) == 0
    assert one.multiple > 1


def test_where_giving_up_does_not_help_what_comes_late_is_taken_late() -> None:
    one = pace()
    assert late(one, 5.0, 0.0, 25.0) > 0
    late(one, 5.0, 25.0, 10.0)
    assert late(one, 5.0, 35.0, 60.0) == 0
    assert one.stride_s == 30.0


def test_after_a_long_absence_a_stream_begins_at_its_full_rate() -> None:
    one = overloaded()
    one.note(0.0, 100.0)
    assert one.multiple == 1


@pytest.mark.parametrize("stride_s", [1.0, 60.0])
def test_however_late_a_stream_is_looked_at_every_half_minute_or_stride(stride_s: float) -> None:
    one = pace(stride_s)
    late(one, 5.0, 0.0, 1000.0)
    assert one.stride_s == pytest.approx(max(30.0, stride_s))


HD_S = 0.0037  # of CPU a frame: 14 such cameras, whose windows overlap, are all two cores can do
SMALL_S = 0.0005


def cameras(
    count: int, strides: tuple[float, ...] = (1.0,), *, frame_cost_s: float = HD_S, gop: int = 25
) -> list[Camera]:
    return [Camera(seat, strides[seat % len(strides)], frame_cost_s, gop) for seat in range(count)]


def test_below_capacity_no_window_is_lost() -> None:
    box = Box(cameras(12), window_cost_s=0.03)
    box.run(60)
    assert not any(camera.lost for camera in box.cameras)
    assert set(box.served) <= {57, 58}  # of the first minute but for the first window's length
    assert p99(box.ages_s) < 0.2


@pytest.mark.parametrize(
    ("many", "window_cost_s"),
    [
        (cameras(28), 0.03),
        (cameras(28, gop=50), 0.03),
        (cameras(28, (0.2,)), 0.03),
        (cameras(28, (0.2, 1.0)), 0.03),
        (cameras(56), 0.03),  # four times what the box can do
        (cameras(24, frame_cost_s=SMALL_S), 0.09),  # it is the network that is slow
        (cameras(12, (0.2, 1.0), frame_cost_s=SMALL_S), 0.06),
    ],
)
def test_at_twice_the_capacity_windows_are_fresh_and_losses_shared(
    many: list[Camera], window_cost_s: float
) -> None:
    box = Box(many, window_cost_s=window_cost_s)
    box.run(60)
    box.run(180)
    assert p99(box.ages_s) < 0.4 + 4 * window_cost_s
    assert fairness(box.served) > 0.8
    assert min(box.served) >= 1
    counted = [c.lost + sum(box.backlog.dropped(str(c.seat)).values()) for c in box.cameras]
    for camera, given_up in zip(box.cameras, counted, strict=True):
        made = given_up + camera.closed - sum(box.backlog.dropped(str(camera.seat)).values())
        assert made == pytest.approx(240 / camera.stride_s, abs=32 / camera.stride_s)


def test_a_slow_network_with_a_window_a_batch_is_kept_busy() -> None:
    box = Box(cameras(24, frame_cost_s=SMALL_S), window_cost_s=0.09)
    box.run(60)
    box.run(120)
    assert sum(box.served) > 0.7 * 120 / 0.09


def test_the_full_rate_comes_back_when_the_load_falls() -> None:
    box = Box(cameras(12), window_cost_s=0.03)
    box.power = lambda now_s: 0.4 if 20 < now_s < 80 else 1.0
    box.run(80)
    assert all(camera.pace.multiple > 1 for camera in box.cameras)
    box.run(150)
    assert all(camera.pace.multiple == 1 for camera in box.cameras)
    box.run(20)
    assert fairness(box.served) > 0.99


def test_a_short_stall_of_a_box_with_power_to_spare_costs_a_window_or_four() -> None:
    box = Box(cameras(7), window_cost_s=0.03)
    box.power = lambda now_s: 0.02 if 30 < now_s < 30.4 else 1.0
    box.run(60)
    assert all(camera.lost <= 4 for camera in box.cameras)
    assert all(camera.pace.multiple == 1 for camera in box.cameras)
