"""The grid of instants: which frames show, and that this is uniform temporal subsampling."""

from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamcls.transforms import ClipSpec, GridSampler, WindowPlan, phase_of

rates = st.sampled_from(
    [Fraction(5), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(60)]
)
times = st.fractions(min_value=Fraction(1, 1000), max_value=2, max_denominator=90_000)


def spec(frames: int, sampling_rate: int, fps: float = 30) -> ClipSpec:
    return ClipSpec(
        num_frames=frames, sampling_rate=sampling_rate, trained_fps=fps, short_side=8, crop=8
    )


def showing(frame_times: list[Fraction], sampler: GridSampler) -> dict[int, int]:
    """Instant -> index of the frame the sampler says shows at it."""
    shown: dict[int, int] = {}
    for index, time in enumerate(frame_times):
        before, now = sampler.push(time)
        for instant in before:
            assert instant not in shown
            shown[instant] = index - 1
        for instant in now:
            assert instant not in shown
            shown[instant] = index
    return shown


@given(st.lists(times, min_size=1, max_size=80), times)
def test_each_instant_gets_the_last_frame_at_or_before_it_once(
    gaps: list[Fraction], step: Fraction
) -> None:
    frame_times = list(accumulate(gaps))
    sampler = GridSampler(step)
    shown = showing(frame_times, sampler)
    origin, last = frame_times[0], frame_times[-1]
    assert sorted(shown) == list(range((last - origin) // step + 1))
    for instant, index in shown.items():
        at = sampler.time_of(instant)
        assert frame_times[index] <= at
        assert index == len(frame_times) - 1 or frame_times[index + 1] > at


@given(st.integers(2, 32), st.integers(1, 12), st.integers(1, 4), st.integers(0, 40))
def test_on_constant_rate_video_a_window_is_pytorchvideos_subsample(
    frames: int, sampling_rate: int, frames_per_tick: int, start: int
) -> None:
    # A whole number of camera frames per grid interval: fps = trained fps * frames_per_tick.
    per_interval = sampling_rate * frames_per_tick
    fps = 30 * frames_per_tick
    count = (start + frames - 1) * per_interval + 1
    sampler = GridSampler(spec(frames, sampling_rate).frame_interval_s)
    shown = showing([Fraction(i, fps) for i in range(count)], sampler)
    ours = [shown[j] for j in range(start, start + frames)]

    span = (frames - 1) * per_interval + 1  # the window's n frames
    # pytorchvideo.transforms.functional.uniform_temporal_subsample, in float64.
    theirs = torch.linspace(0, span - 1, frames, dtype=torch.float64).clamp(0, span - 1)
    exact = [Fraction(i * (span - 1), frames - 1) for i in range(frames)]
    assert [e.numerator // e.denominator for e in exact] == [int(x) for x in (theirs + 1e-9).long()]
    assert ours == [start * per_interval + e.numerator // e.denominator for e in exact]


@given(rates, st.integers(2, 16), st.integers(1, 12), st.integers(0, 30))
def test_at_any_constant_rate_a_window_is_within_one_frame_of_pytorchvideo(
    fps: Fraction, frames: int, sampling_rate: int, start: int
) -> None:
    clip = spec(frames, sampling_rate)
    interval = clip.frame_interval_s
    count = int((start + frames) * interval * fps) + 3
    sampler = GridSampler(interval)
    shown = showing([i / fps for i in range(count)], sampler)
    first = shown[start]
    exact_span = (frames - 1) * interval * fps
    for i in range(frames):
        theirs = first + int(i * exact_span / (frames - 1))
        assert abs(shown[start + i] - theirs) <= 1


@given(rates, st.data())
def test_jitter_moves_a_window_by_no_more_than_the_jitter(
    fps: Fraction, data: st.DataObject
) -> None:
    jitter = st.fractions(min_value=0, max_value=Fraction(2, 5), max_denominator=1000)
    noise = data.draw(st.lists(jitter, min_size=60, max_size=60))
    frame_times = [(i + shift) / fps for i, shift in enumerate(noise)]
    sampler = GridSampler(Fraction(1, 5))
    for instant, index in showing(frame_times, sampler).items():
        age = sampler.time_of(instant) - frame_times[index]
        assert 0 <= age < Fraction(7, 5) / fps


def test_hours_of_2997_fps_do_not_drift() -> None:
    sampler = GridSampler(Fraction(1, 5), Fraction(0))
    hours = 5 * 3600
    frame = 30000 * hours // 1001  # the last frame at or before five hours
    sampler.push(Fraction(frame * 1001, 30000))
    before, now = sampler.push(Fraction((frame + 1) * 1001, 30000))
    assert [*before, *now] == [hours * 5]


def test_a_given_origin_starts_the_grid_there_and_not_at_the_first_frame() -> None:
    sampler = GridSampler(Fraction(1, 5), Fraction(1))
    frame_times = [Fraction(i, 10) for i in range(15)]
    assert showing(frame_times, sampler) == {0: 10, 1: 12, 2: 14}


def test_before_the_first_frame_the_grid_has_no_instants() -> None:
    with pytest.raises(ValueError, match="no frame has been pushed"):
        GridSampler(Fraction(1)).first_from(Fraction(0))


def test_before_the_first_frame_the_grid_has_no_times() -> None:
    with pytest.raises(ValueError, match="no origin"):
        GridSampler(Fraction(1)).time_of(0)


strides = st.floats(min_value=0.01, max_value=20)


@given(strides, st.integers(2, 16), st.integers(1, 12))
def test_a_stride_becomes_whole_grid_steps_or_divides_the_interval(
    stride_s: float, frames: int, sampling_rate: int
) -> None:
    clip = spec(frames, sampling_rate)
    plan = WindowPlan.of(clip, stride_s)
    assert plan.frame_steps * plan.step_s == clip.frame_interval_s
    assert plan.span_s == clip.span_s
    assert plan.stride_steps >= 1
    assert plan.frame_steps == 1 or plan.stride_steps == 1
    off = abs(float(plan.stride_s) - stride_s)
    assert off <= max(float(clip.frame_interval_s) / 2 + 1e-9, 1e-3)


@given(strides, st.integers(2, 16), st.integers(1, 12), st.integers(0, 400))
def test_an_instant_is_needed_exactly_if_some_window_holds_it(
    stride_s: float, frames: int, sampling_rate: int, instant: int
) -> None:
    plan = WindowPlan.of(spec(frames, sampling_rate), stride_s)
    starts = range(0, instant + 1, plan.stride_steps)
    held = any(instant in plan.instants(start) for start in starts)
    # A finer stride's first instants are held by windows that would start before the epoch;
    # keeping them costs nothing and keeps the rule simple.
    assert plan.needs(instant) or not held
    if plan.frame_steps == 1:
        assert plan.needs(instant) == held


@given(strides, st.integers(2, 16), st.integers(1, 12), st.integers(-5, 400), st.integers(0, 99))
def test_any_of_several_instants_is_needed_if_one_is(
    stride_s: float, frames: int, sampling_rate: int, first: int, count: int
) -> None:
    plan = WindowPlan.of(spec(frames, sampling_rate), stride_s)
    instants = range(max(first, 0), first + count)
    assert plan.needs_any(first, first + count) == any(plan.needs(j) for j in instants)


@given(times, st.fractions(-9, 9), st.fractions(-99, 99))
def test_the_first_instant_from_a_time_on_is_at_or_after_it_and_the_one_before_is_not(
    step_s: Fraction, origin_s: Fraction, media_s: Fraction
) -> None:
    sampler = GridSampler(step_s, origin_s)
    first = sampler.first_from(media_s)
    assert sampler.time_of(first - 1) < media_s <= sampler.time_of(first)


@given(strides, st.integers(2, 16), st.integers(1, 12))
def test_windows_close_one_stride_apart(stride_s: float, frames: int, rate: int) -> None:
    plan = WindowPlan.of(spec(frames, rate), stride_s)
    last = plan.span_steps + 5 * plan.stride_steps
    closing = [j for j in range(last + 1) if plan.closes(j) is not None]
    assert closing[0] == plan.span_steps
    assert {b - a for a, b in pairwise(closing)} == {plan.stride_steps}
    for j in closing:
        start = plan.closes(j)
        assert start is not None
        assert plan.instants(start)[-1] == j
        assert len(plan.instants(start)) == frames


@pytest.mark.parametrize("stride_s", [0, -1])
def test_a_stride_that_is_not_above_zero_is_refused(stride_s: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        WindowPlan.of(spec(4, 6), stride_s)


arrivals = st.floats(min_value=0, max_value=1e7)
phases = st.floats(min_value=0, max_value=1, exclude_max=True)


@given(strides, st.integers(2, 16), st.integers(1, 12), arrivals, phases)
def test_windows_of_a_phase_end_in_its_place_of_each_stride_after_less_than_one_of_waiting(
    stride_s: float, frames: int, rate: int, arrival_s: float, phase: float
) -> None:
    plan = WindowPlan.of(spec(frames, rate), stride_s)
    number, delay_s = plan.first_window(arrival_s, phase)
    assert 0 <= delay_s < plan.stride_s
    first_end_s = Fraction(arrival_s) + delay_s + plan.span_s
    assert first_end_s == (number + Fraction(phase)) * plan.stride_s


@given(strides, st.integers(2, 16), st.integers(1, 12), st.integers(0, 200), st.integers(1, 40))
def test_the_starts_of_a_stretch_are_those_of_windows_that_reach_into_it(
    stride_s: float, frames: int, rate: int, first: int, length: int
) -> None:
    plan = WindowPlan.of(spec(frames, rate), stride_s)
    stretch = range(first, first + length)
    every = range(0, first + length, plan.stride_steps)
    reaching = [s for s in every if s + plan.span_steps >= first and s < stretch.stop]
    assert list(plan.starts(first, stretch.stop)) == reaching


@pytest.mark.parametrize("count", range(1, 65))
def test_phases_of_any_number_of_streams_lie_well_apart(count: int) -> None:
    for first in (0, 1, 7):  # also once streams have come and gone
        ordered = sorted(phase_of(index) for index in range(first, first + count))
        gaps = [b - a for a, b in pairwise([*ordered, ordered[0] + 1])]
        assert all(0 <= phase < 1 for phase in ordered)
        assert 0.38 / count < min(gaps) <= max(gaps) < 1.9 / count
