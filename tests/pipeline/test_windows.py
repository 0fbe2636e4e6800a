"""Windows: whole, from one epoch, with honest coverage, each frame converted at most once."""

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcls.frames import Frame, Undecoded, Window
from streamcls.pipeline.pace import Pace
from streamcls.pipeline.windows import WindowAssembler
from streamcls.transforms import ClipSpec, WindowPlan
from tests.pipeline.stubs import CountingConvert, ManualClock, frame, picture, undecoded

SPEC = ClipSpec(num_frames=4, sampling_rate=6, trained_fps=30, short_side=4, crop=4)
RATES = [Fraction(5), Fraction(25), Fraction(30000, 1001), Fraction(60)]


def assembler(
    convert: CountingConvert,
    *,
    stride_s: float = 0.4,
    min_coverage: float = 0.0,
    live: bool = True,
    spec: ClipSpec = SPEC,
    pace: Pace | None = None,
) -> WindowAssembler:
    return WindowAssembler(
        "cam",
        WindowPlan.of(spec, stride_s),
        convert=convert,
        min_coverage=min_coverage,
        live=live,
        clock=ManualClock(),
        pace=pace,
    )


def steady(count: int, fps: Fraction | int = 25, *, first: int = 0) -> list[Frame]:
    """Frames at a constant rate, each showing its own number."""
    return [
        frame(Fraction(i) / fps, i, arrival_s=float(i / fps)) for i in range(first, first + count)
    ]


def push_all(line: WindowAssembler, frames: list[Frame]) -> list[Window]:
    return [window for f in frames for window in line.push(f)]


def shown(window: Window) -> list[int]:
    """The numbers that a window's pictures show."""
    return [int(picture[0, 0, 0]) for picture in window.clip]


def test_a_window_holds_every_fifth_frame_of_25_fps() -> None:
    windows = push_all(assembler(CountingConvert()), steady(41))
    assert [shown(window) for window in windows] == [
        [0, 5, 10, 15],
        [10, 15, 20, 25],
        [20, 25, 30, 35],
    ]
    assert [(w.start_s, w.end_s) for w in windows][1] == (Fraction(2, 5), Fraction(1))
    assert all(w.coverage == 1 for w in windows)


def test_a_window_that_ends_on_a_frame_closes_with_that_frame_and_waits_for_no_other() -> None:
    line = assembler(CountingConvert())
    assert push_all(line, steady(15)) == []
    assert len(line.push(steady(1, first=15)[0])) == 1


@given(
    st.sampled_from(RATES),
    st.floats(0.02, 3),
    st.lists(st.booleans(), min_size=30, max_size=150),
)
@settings(max_examples=60)
def test_whatever_is_lost_needed_frames_are_converted_once_and_others_never(
    fps: Fraction, stride_s: float, kept: list[bool]
) -> None:
    convert = CountingConvert()
    line = assembler(convert, stride_s=stride_s)
    frames = [f for f, keep in zip(steady(len(kept), fps), kept, strict=True) if keep]
    windows = push_all(line, frames)
    assert len(convert.values) == len(set(convert.values)) == line.stats.frames_converted
    in_windows = {value for window in windows for value in shown(window)}
    assert in_windows <= set(convert.values)
    if windows and line.timeline.epoch == 1:
        plan = WindowPlan.of(SPEC, stride_s)
        last = int(windows[-1].end_s / plan.step_s)
        # All that was converted up to the last window was in a window, or fills a first one.
        needed = sum(plan.needs(j) for j in range(last + 1))
        assert len([v for v in convert.values if v / fps <= windows[-1].end_s]) <= needed


@given(st.sampled_from(RATES), st.lists(st.booleans(), min_size=40, max_size=150))
@settings(max_examples=60)
def test_each_picture_is_the_last_one_at_or_before_its_instant(
    fps: Fraction, kept: list[bool]
) -> None:
    frames = [f for f, keep in zip(steady(len(kept), fps), kept, strict=True) if keep]
    line = assembler(CountingConvert())
    for window in push_all(line, frames):
        for i, value in enumerate(shown(window)):
            instant = window.start_s + i * SPEC.frame_interval_s
            earlier = [f.media_s for f in frames if f.media_s is not None and f.media_s <= instant]
            assert Fraction(value) / fps == max(earlier)


@given(
    st.sampled_from(RATES),
    st.sampled_from([0.02, 0.05, 0.13, 0.2, 0.6, 0.7, 1, 2.5]),
    st.lists(st.sampled_from([1, 1, 1, 2, 7, 31, 200]), min_size=30, max_size=150),
    st.fractions(0, 9, max_denominator=90_000),
)
@settings(max_examples=60)
def test_what_is_needed_of_a_stretch_of_time_is_what_will_be_converted(
    fps: Fraction, stride_s: float, steps: list[int], first_s: Fraction
) -> None:
    whole, sparse = (assembler(CountingConvert(), stride_s=stride_s) for _ in range(2))
    times_s = [first_s + n / fps for n in accumulate(steps)]
    assert whole.needs(times_s[0], times_s[1]), "nothing is known yet"
    for number, (time_s, next_s) in enumerate(pairwise(times_s)):
        shown_frame = frame(time_s, number)
        windows = whole.push(shown_frame)
        is_needed = number == 0 or sparse.needs(time_s, next_s)
        if next_s - time_s > 2 or (number and time_s - times_s[number - 1] > 2):
            is_needed = True  # another epoch begins, and has another grid
        others = sparse.push(shown_frame if is_needed else undecoded(time_s))
        assert [shown(w) for w in others] == [shown(w) for w in windows]
    assert sparse.stats == whole.stats


def test_a_window_of_a_picture_that_nobody_decoded_is_counted_and_not_given() -> None:
    line = assembler(CountingConvert())
    frames = steady(60)
    frames[20] = undecoded(Fraction(20, 25))  # shown by the windows that start at 10 and at 20
    windows = push_all(line, frames)
    assert 20 not in [value for window in windows for value in shown(window)]
    assert line.stats.windows_dropped == {"undecoded": 2}


def test_what_is_not_decoded_before_the_first_picture_is_passed_over() -> None:
    line = assembler(CountingConvert())
    assert push_all(line, [undecoded(Fraction(i, 25)) for i in range(7)]) == []
    windows = push_all(line, steady(30, first=7))
    assert shown(windows[0]) == [7, 12, 17, 22]


@given(st.lists(st.sampled_from(["steady", "leap", "back", "size", "reconnect"]), max_size=12))
@settings(max_examples=60)
def test_no_window_spans_two_epochs(script: list[str]) -> None:
    line, time, epoch_of, width = assembler(CountingConvert()), Fraction(0), {}, 4
    number = 0
    for act in ["steady", *script, "steady"]:
        if act == "leap":
            time += 5
        elif act == "back":
            time -= 3
        elif act == "size":
            width = 10 - width
        elif act == "reconnect":
            line.timeline.reconnected()
        for _ in range(20):
            number = (number + 1) % 256
            windows = line.push(frame(time, number, arrival_s=float(time), width=width))
            epoch_of[number] = line.timeline.epoch
            for window in windows:
                assert {epoch_of[value] for value in shown(window)} == {window.stream_epoch}
            time += Fraction(1, 10)


def test_a_picture_sent_twice_under_one_timestamp_counts_once_and_breaks_nothing() -> None:
    twice = [copy for f in steady(41) for copy in (f, f)]
    line = assembler(CountingConvert())
    assert [shown(window) for window in push_all(line, twice)] == [
        shown(window) for window in push_all(assembler(CountingConvert()), steady(41))
    ]
    assert line.timeline.epoch == 1
    assert line.stats.frames_dropped["same_timestamp"] == 41


def test_windows_start_one_stride_apart() -> None:
    windows = push_all(assembler(CountingConvert(), stride_s=1.0), steady(200))
    assert {b.start_s - a.start_s for a, b in pairwise(windows)} == {Fraction(1)}


def test_a_fine_stride_shares_frames_between_windows() -> None:
    convert = CountingConvert()
    windows = push_all(assembler(convert, stride_s=0.04), steady(60))
    assert shown(windows[0]) == [0, 5, 10, 15]
    assert shown(windows[1]) == [1, 6, 11, 16]
    assert convert.values == list(range(60))


def test_between_windows_that_do_not_touch_nothing_is_converted() -> None:
    convert = CountingConvert()
    push_all(assembler(convert, stride_s=2.0), steady(101))
    assert convert.values == [0, 5, 10, 15, 50, 55, 60, 65, 100]


def test_a_window_with_too_few_frames_is_counted_and_not_given() -> None:
    line = assembler(CountingConvert(), min_coverage=0.8, stride_s=0.6)
    frames = steady(200)
    gap = [f for f in frames if not 60 <= f.media_s * 25 < 75]  # type: ignore[operator]
    windows = push_all(line, gap)
    assert line.stats.windows_dropped["coverage"] in (1, 2)
    assert line.stats.windows == len(windows)
    assert all(window.coverage >= 0.8 for window in windows)


@pytest.mark.parametrize("fps", RATES)
def test_a_healthy_camera_has_full_coverage_at_any_rate(fps: Fraction) -> None:
    line = assembler(CountingConvert(), min_coverage=0.99)
    assert push_all(line, steady(int(20 * fps), fps))
    assert not line.stats.windows_dropped


def test_times_of_a_live_window_count_from_its_last_instant() -> None:
    # 10 fps off the grid by 0.05 s: what shows at an instant is known 0.05 s after it.
    frames = [frame(0), *(frame(Fraction(i, 10) + Fraction(1, 20)) for i in range(9))]
    frames = [frame(f.media_s, arrival_s=100 + float(f.media_s or 0)) for f in frames]
    window = push_all(assembler(CountingConvert()), frames)[0]
    assert window.end_s == Fraction(3, 5)
    assert window.arrival_monotonic_s == pytest.approx(100.6)
    assert window.end_utc_s - window.start_utc_s == pytest.approx(0.6)
    assert window.end_utc_s == pytest.approx(1_700_000_100.6)


def test_a_window_is_as_old_as_its_frames_though_they_are_handled_late() -> None:
    line = assembler(CountingConvert())
    frames = [replace(f, arrival_monotonic_s=f.arrival_monotonic_s + 2) for f in live(16)]
    on_time, late = (
        push_all(assembler(CountingConvert()), live(16)),
        push_all(
            line, [replace(f, arrival_utc_s=f.arrival_utc_s + 2, behind_s=2.0) for f in frames]
        ),
    )
    assert late[0].arrival_monotonic_s == pytest.approx(on_time[0].arrival_monotonic_s)
    assert late[0].end_utc_s == pytest.approx(on_time[0].end_utc_s)


def test_a_file_played_fast_has_the_wall_time_of_its_content() -> None:
    frames = [frame(f.media_s, arrival_s=50.0) for f in steady(41)]
    windows = push_all(assembler(CountingConvert(), live=False), frames)
    assert [w.end_utc_s - 1_700_000_050 for w in windows] == pytest.approx([0.6, 1.0, 1.4])


def test_later_frames_do_not_change_a_clip_and_nobody_can() -> None:
    line = assembler(CountingConvert())
    first = push_all(line, steady(16))[0]
    before = np.array(first.clip)
    push_all(line, steady(100, first=16))
    assert np.array_equal(first.clip, before)
    with pytest.raises(ValueError, match="read-only"):
        first.clip[0][:] = 0


def test_windows_and_instants_that_show_one_frame_share_its_picture() -> None:
    # At 2.5 fps two of the five instants a second show each frame; windows overlap by two.
    first, second = push_all(assembler(CountingConvert()), steady(5, Fraction(5, 2)))[:2]
    assert shown(first) == [0, 0, 1, 1]
    assert first.clip[0] is first.clip[1]
    assert [a is b for a, b in zip(first.clip[2:], second.clip[:2], strict=True)] == [True, True]
    assert len({id(picture) for picture in (*first.clip, *second.clip)}) == 3


@given(
    st.sampled_from(RATES),
    st.sampled_from([0.05, 0.2, 0.4, 1.0, 2.0]),
    st.integers(0, 63),
    st.floats(0, 50),
)
@settings(max_examples=60)
def test_windows_of_a_phase_end_with_the_frame_that_comes_in_its_place_of_the_stride(
    fps: Fraction, stride_s: float, seat: int, since_s: float
) -> None:
    plan = WindowPlan.of(SPEC, stride_s)
    pace = Pace(plan, seat)
    line = assembler(CountingConvert(), stride_s=stride_s, pace=pace)
    frames = [frame(f.media_s, arrival_s=since_s + float(f.media_s or 0)) for f in steady(240, fps)]
    windows = push_all(line, frames)
    assert windows
    assert windows[0].start_s < plan.stride_s + 1 / fps
    assert windows[0].start_s * fps % 1 == 0, "the grid begins on a frame, so windows end on one"
    assert {b.start_s - a.start_s for a, b in pairwise(windows)} <= {plan.stride_s}
    for one in windows:
        late = (since_s + float(one.end_s) - pace.phase * float(plan.stride_s)) % float(
            plan.stride_s
        )
        late = min(late, float(plan.stride_s) - late) if late > float(1 / fps) else late
        assert late <= float(1 / fps) + 1e-6


def test_each_epoch_finds_its_phase_again() -> None:
    pace = Pace(WindowPlan.of(SPEC, 1.0), 3)
    line = assembler(CountingConvert(), stride_s=1.0, pace=pace)
    for since_s in (0.0, 10.1):
        line.timeline.reconnected()
        ends = [
            since_s + float(window.end_s)
            for f in steady(100)
            for window in line.push(frame(f.media_s, arrival_s=since_s + float(f.media_s or 0)))
        ]
        assert len(ends) >= 3
        assert all(end_s % 1 == pytest.approx(pace.phase, abs=0.04) for end_s in ends)


def live(count: int, fps: int = 25, *, behind_s: float = 0.0, first: int = 0) -> list[Frame]:
    """Frames as `steady`, that come on time and are handled so late."""
    return [replace(f, behind_s=behind_s) for f in steady(count, fps, first=first)]


def test_a_stream_that_is_too_late_gives_up_what_is_under_way_and_says_so() -> None:
    line = assembler(CountingConvert(), stride_s=0.2, pace=Pace(WindowPlan.of(SPEC, 0.2), 0))
    before = [window for f in live(50) for window in line.step(f).windows]
    assert [b.start_s - a.start_s for a, b in pairwise(before)] == [Fraction(1, 5)] * (
        len(before) - 1
    )
    steps = [line.step(f) for f in live(10, behind_s=0.6, first=50)]
    assert line.stats.windows_dropped["behind"] in (3, 4, 5)  # of 0.6 s, 0.2 s apart
    assert not any(step.withdraws for step in steps)
    after = [window for f in live(50, first=60) for window in line.step(f).windows]
    # What had begun by then is gone, all that begins later is there: one delay is no trend.
    assert after[0].start_s > Fraction(51, 25)
    assert {b.start_s - a.start_s for a, b in pairwise(after)} == {Fraction(1, 5)}


def test_a_stream_that_stays_late_widens_its_stride_and_needs_nothing_in_between() -> None:
    plan = WindowPlan.of(SPEC, 0.2)
    line = assembler(CountingConvert(), stride_s=0.2, pace=Pace(plan, 0))
    steps = [line.step(f) for f in live(150)]
    assert {step.stride_s for step in steps} == {0.2}
    late = [line.step(f) for f in live(150, behind_s=0.2, first=150)]
    stride_s = late[-1].stride_s
    assert stride_s > 2
    calm = [line.step(f) for f in live(400, first=300)]
    windows = [window for step in calm for window in step.windows]
    assert {window.stride_s for window in windows} == {stride_s}
    starts_s = [float(window.start_s) for window in windows]
    assert len(starts_s) >= 4
    gaps_s = [b - a for a, b in pairwise(starts_s)]
    assert gaps_s == pytest.approx([stride_s] * len(gaps_s))
    # The decoder is told of the gaps: of a stride only the window's four instants are needed.
    ticks = [Fraction(700 + i, 25) for i in range(round(stride_s * 25))]
    assert sum(line.needs(tick, tick + Fraction(1, 25)) for tick in ticks) == 4
    made = line.stats.windows + line.stats.windows_dropped["behind"]
    assert made == pytest.approx(700 / 5, abs=0.6 * 5 + stride_s * 5)


def test_up_to_the_widest_stride_set_nothing_counts_as_dropped() -> None:
    pace = Pace(WindowPlan.of(SPEC, 0.2), 0, max_stride_s=40.0)
    line = assembler(CountingConvert(), stride_s=0.2, pace=pace)
    for f in live(2000, behind_s=0.2):
        line.step(f)
    assert line.stats.windows < 100
    assert line.stats.windows_dropped["behind"] == 0


def test_a_window_that_waits_too_long_for_the_network_is_to_be_withdrawn() -> None:
    line = assembler(CountingConvert(), stride_s=0.2, pace=Pace(WindowPlan.of(SPEC, 0.2), 0))
    steps = [line.step(f, waited_s=0.6) for f in live(20)]
    assert [step.withdraws for step in steps] == [False] * 8 + [True] * 12
    assert line.stats.windows_dropped["behind"] == 0


@given(
    st.sampled_from([0.05, 0.2, 0.4, 1.0]),
    st.integers(0, 9),
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.6]), st.integers(1, 100)), max_size=12),
    st.integers(1, 50),
)
@settings(max_examples=60)
def test_whatever_is_given_up_windows_hold_only_what_the_source_was_told_to_decode(
    stride_s: float, seat: int, script: list[tuple[float, int]], gop: int
) -> None:
    plan = WindowPlan.of(SPEC, stride_s)
    line = assembler(CountingConvert(), stride_s=stride_s, pace=Pace(plan, seat))
    lateness = [behind_s for behind_s, count in script for _ in range(count)]
    decoding, windows = True, 0
    for number, behind_s in enumerate(lateness):
        at = Fraction(number, 25)
        if number % gop == 0:  # a group of pictures is decoded as a whole or not at all
            decoding = line.needs(at, at + Fraction(gop, 25))
        image = picture(number) if decoding else Undecoded(4, 4, 0, number, Fraction(1, 25))
        step = line.step(Frame(image, at, float(at), float(at), behind_s=behind_s))
        windows += len(step.windows)
    assert line.stats.windows_dropped["undecoded"] == 0
    assert line.stats.windows == windows
