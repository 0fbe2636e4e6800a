"""The benchmarks' own arithmetic: a wrong figure is worse than none."""

import math
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.events import Latency, PredictionData, StatusData
from streamcls.transforms import ClipSpec, WindowPlan
from tests.benchmarks.cameras import Level, Ramp
from tests.benchmarks.capacity import agreement
from tests.benchmarks.films import Film
from tests.benchmarks.line import windows_in
from tests.benchmarks.memory import slope
from tests.benchmarks.report import Bar, interleaved, percentile, ratio, table
from tests.benchmarks.watching import Camera, fairness

SPEC = ClipSpec(num_frames=13, sampling_rate=6, trained_fps=30, short_side=182, crop=182)


def prediction(end_s: float, *, epoch: int = 1, end_utc_s: float = 0.0) -> PredictionData:
    at = datetime.fromtimestamp(end_utc_s, UTC)
    return PredictionData(
        stream_epoch=epoch,
        start_s=end_s - 2.4,
        end_s=end_s,
        start_time=at,
        end_time=at,
        coverage=1.0,
        top=[],
        latency=Latency(0, 0, 0, 0, 0),
        model="m",
        model_hash="h",
    )


@given(st.lists(st.integers(0, 20), min_size=1), st.fractions(Fraction(1, 100), 1))
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(
    values: list[int], share: Fraction
) -> None:
    found = percentile(values, float(share))
    enough = [value for value in values if sum(v <= value for v in values) >= share * len(values)]
    assert found == min(enough)


@given(st.integers(1, 900), st.sampled_from([0.2, 0.4, 1.0, 3.0]))
def test_a_film_has_as_many_windows_as_its_grid_closes(frames: int, stride_s: float) -> None:
    plan = WindowPlan.of(SPEC, stride_s)
    instants = int(Fraction(frames - 1, 30) / plan.step_s) + 1
    closed = sum(plan.closes(instant) is not None for instant in range(instants))
    assert windows_in(frames / 30, SPEC, stride_s) == closed


def test_a_table_leaves_open_what_a_row_has_not() -> None:
    lines = table([{"way": "ours", "rate": 12.345}, {"way": "theirs", "more": 1234.5}]).splitlines()
    assert [line.split() for line in lines] == [
        ["way", "rate", "more"],
        ["ours", "12.3"],
        ["theirs", "1234"],
    ]
    assert lines[2].index("1234") == lines[0].index("more")


def test_ways_take_turns_and_every_second_round_is_backwards() -> None:
    order: list[str] = []
    found = interleaved({name: partial(order.append, name) for name in "abc"}, 3)
    assert order == list("abccbaabc")
    assert {name: len(runs) for name, runs in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_are_of_rounds_and_not_of_medians() -> None:
    # The machine was five times slower in the second round, for both.
    assert ratio([10, 2, 30], [5, 1, 5]) == 2


def test_a_bar_is_held_at_its_limit_on_either_side() -> None:
    assert Bar("more", 6, 6).held
    assert not Bar("more", 5.99, 6).held
    assert Bar("less", 5, 5, at_least=False).held
    assert not Bar("less", math.inf, 5, at_least=False).held
    assert not Bar("less", math.nan, 5, at_least=False).held


def test_age_counts_from_when_a_file_s_picture_was_due_however_late_the_daemon_took_it() -> None:
    camera = Camera(live=False)
    camera.take(StatusData(state="warming_up", since=datetime.fromtimestamp(100, UTC)), 100.1)
    camera.take(prediction(2.4, end_utc_s=102.4), 102.5)
    # Decoding lags: the daemon says that the picture came at 108 and that all is well.
    camera.take(prediction(4.4, epoch=2, end_utc_s=108.0), 108.1)
    assert camera.ages_ms(100, 200) == pytest.approx([100, 3700])
    assert camera.ages_ms(105, 200) == pytest.approx([3700])
    assert [camera.due(102, 103), camera.due(104, 105), camera.due(108, 109)] == [1, 1, 0]


def test_an_rtsp_camera_s_clock_is_set_by_the_picture_that_was_least_late() -> None:
    camera = Camera(live=True)
    camera.take(prediction(12.4, end_utc_s=102.9), 103.0)
    camera.take(prediction(13.4, end_utc_s=103.5), 103.6)
    assert camera.ages_ms(0, 200) == pytest.approx([500, 100])
    assert camera.due(102.4, 102.6) == 1
    # A new connection has a timeline of its own.
    camera.take(prediction(2.4, epoch=2, end_utc_s=110.0), 110.2)
    assert camera.ages_ms(105, 200) == pytest.approx([200])
    assert camera.missing(1.0) == 0


def test_windows_that_never_came_are_missing_but_not_those_after_the_last() -> None:
    camera = Camera(live=False)
    camera.take(StatusData(state="warming_up", since=datetime.fromtimestamp(100, UTC)), 100.1)
    for end_s in (2.4, 3.4, 6.4):
        camera.take(prediction(end_s), 0)
    assert camera.missing(1.0) == 2
    assert Camera(live=False).missing(1.0) == 0


def test_fairness_is_1_where_all_are_served_alike_and_a_share_where_one_takes_all() -> None:
    assert fairness([5, 5, 5]) == (1, 1)
    assert fairness([6, 0, 0]) == pytest.approx((0, 1 / 3))
    assert fairness([0, 0]) == (1, 1)


def test_agreement_is_the_share_of_equal_best_labels_and_refuses_other_windows() -> None:
    ours = {(0, 2.4): {0: 0.7, 1: 0.3}, (0, 3.4): {1: 0.6, 0: 0.4}}
    theirs = {(0, 2.4): {0: 0.6, 1: 0.3, 2: 0.1}, (0, 3.4): {0: 0.5, 1: 0.4, 2: 0.1}}
    assert agreement(ours, theirs) == pytest.approx((0.5, 0.2))
    with pytest.raises(RuntimeError, match="not the same"):
        agreement(ours, {(0, 2.4): theirs[0, 2.4]})


def test_the_slope_is_what_one_more_stream_takes() -> None:
    assert slope([1, 4, 8], [330, 420, 540]) == pytest.approx(30)


class _Pretended(Ramp):
    """Holds so many cameras, without a daemon."""

    def __init__(self, held: int) -> None:
        self._held = held
        self.asked: list[int] = []

    def level(self, cameras: int) -> Level:
        self.asked.append(cameras)
        return Level(cameras, cameras <= self._held, *(0.0,) * 5, 0, "", 1.0, 1.0, 0.0)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
def test_the_ramp_finds_the_largest_number_that_is_held(held: int, start: int, limit: int) -> None:
    ramp = _Pretended(held)
    assert ramp.largest(min(start, limit), limit) == min(held, limit)
    assert len(set(ramp.asked)) == len(ramp.asked) <= 2 * math.ceil(math.log2(limit + 1)) + 1
    assert all(1 <= asked <= limit for asked in ramp.asked)


def test_a_film_knows_what_it_takes_on_the_wire(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes(500_000))
    assert Film(path, "1080p", "camera", 2.0).mbit_per_s == 2
