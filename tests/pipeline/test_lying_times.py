"""Whatever a stream says of its times, windows stay true: whole, ordered, of one stream epoch."""

from fractions import Fraction
from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamcls.frames import Frame, Window
from tests.pipeline.stubs import CountingConvert, picture
from tests.pipeline.test_windows import SPEC, assembler, steady

_TICKS = 90_000

steps = st.one_of(
    st.sampled_from([0, 1500, 3000, 3600, 18000, -3600]),  # 60, 30, 25 and 5 fps; B-frame order
    st.sampled_from([180_000, 180_001, 9_000_000, -90_000_000, 2**32, -(2**32)]),  # jumps, wraps
    st.integers(-(10**6), 10**6),
    st.none(),  # no timestamp
)
lies = st.lists(
    st.tuples(
        steps,
        st.floats(0, 3),  # seconds between arrivals
        st.sampled_from([0.0, 0.0, 0.0, 3600.0, -3600.0]),  # the host's clock is set
        st.sampled_from([4, 4, 4, 6]),  # the picture's width
    ),
    max_size=120,
)


def told(stream: list[tuple[int | None, float, float, int]]) -> list[Frame]:
    """Frames that say what the list says of them."""
    frames: list[Frame] = []
    ticks, arrival_s, utc_s = 0, 1000.0, 1.7e9
    for step, gap_s, set_s, width in stream:
        ticks, arrival_s = ticks + (step or 0), arrival_s + gap_s
        utc_s += gap_s + set_s
        media_s = None if step is None else Fraction(ticks, _TICKS)
        frames.append(Frame(picture(len(frames), width), media_s, arrival_s, utc_s))
    return frames


@given(lies, st.sampled_from([0.05, 0.2, 0.4, 1.0, 3.0]))
def test_windows_are_whole_ordered_and_of_one_epoch(
    stream: list[tuple[int | None, float, float, int]], stride_s: float
) -> None:
    line, windows, epochs = assembler(CountingConvert(), stride_s=stride_s), list[Window](), [0]
    for frame in told(stream):
        before = line.timeline.epoch
        closed = line.push(frame)
        epochs.append(line.timeline.epoch)
        assert not closed or line.timeline.epoch == before  # its first frame closes no window
        windows += closed
    assert all(0 <= b - a <= 1 for a, b in pairwise(epochs))
    for window in windows:
        assert len(window.clip) == SPEC.num_frames
        assert window.end_s - window.start_s == SPEC.span_s
        assert 0 <= window.coverage <= 1
    assert [w.stream_epoch for w in windows] == sorted(w.stream_epoch for w in windows)
    for _, of_epoch in groupby(windows, key=lambda window: window.stream_epoch):
        assert all(a.start_s < b.start_s for a, b in pairwise(of_epoch))


@given(lies)
def test_every_frame_is_accounted_for(stream: list[tuple[int | None, float, float, int]]) -> None:
    convert = CountingConvert()
    line, frames = assembler(convert), told(stream)
    windows = [window for frame in frames for window in line.push(frame)]
    stats = line.stats
    assert stats.windows == len(windows)
    assert stats.frames_converted == len(convert.values)
    assert len(convert.values) + stats.frames_dropped["same_timestamp"] <= len(frames)
    assert stats.windows_dropped["broken"] <= max(0, line.timeline.epoch - 1)


def test_a_window_that_a_break_cuts_off_is_counted_once() -> None:
    line = assembler(CountingConvert())
    for frame in steady(12) + steady(12, first=500) + steady(12, first=1000):
        line.push(frame)
    assert line.timeline.epoch == 3
    assert line.stats.windows_dropped["broken"] == 2


def test_a_break_between_windows_far_apart_cuts_off_none() -> None:
    line = assembler(CountingConvert(), stride_s=3.0)
    # The first window ends at 0.6 s, the next begins at 3 s: at 2 s there is none under way.
    for frame in steady(50) + steady(1, first=900):
        line.push(frame)
    assert line.stats.windows == 1
    assert line.stats.windows_dropped["broken"] == 0


def test_a_rate_that_changes_changes_no_spacing_and_loses_no_coverage() -> None:
    line = assembler(CountingConvert(), min_coverage=0.8)
    slow = [Fraction(i, 5) for i in range(100)]
    fast = [20 + Fraction(i, 60) for i in range(1200)]
    frames = [Frame(picture(i), t, float(t), float(t)) for i, t in enumerate(slow + fast)]
    windows = [window for frame in frames for window in line.push(frame)]
    assert {b.start_s - a.start_s for a, b in pairwise(windows)} == {Fraction(2, 5)}
    assert line.timeline.epoch == 1
    assert line.stats.windows_dropped["coverage"] == 0
