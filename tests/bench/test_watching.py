"""How old a camera's labels are, and which never came: a wrong figure is worse than none."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.bench.watching import Camera, fairness
from streamcls.events import Latency, PredictionData, StatusData


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


@given(
    began_s=st.integers(0, 10**9),
    stride_s=st.sampled_from([0.2, 1.0, 2.5]),
    lags_ms=st.lists(st.integers(0, 60_000), min_size=1, max_size=30),
    hidden=st.integers(0, 60_000),
)
def test_no_lag_escapes_wherever_the_daemon_thinks_that_it_arose(
    began_s: int, stride_s: float, lags_ms: list[int], hidden: int
) -> None:
    camera = Camera(live=False)
    camera.take(StatusData(state="warming_up", since=datetime.fromtimestamp(began_s, UTC)), 0)
    for number, lag_ms in enumerate(lags_ms):
        end_s = 2.4 + number * stride_s
        # By what is hidden the daemon says that the picture came later than it was due.
        told = prediction(end_s, end_utc_s=began_s + end_s + min(hidden, lag_ms) / 1000)
        camera.take(told, began_s + end_s + lag_ms / 1000)
    assert camera.ages_ms(0, 1e12) == pytest.approx(lags_ms, abs=0.01)
