"""A soak's verdicts find a leak, a lost window and a drift, and nothing where there is nothing."""

import random

import pytest

from tests.soak.verdicts import (
    Seen,
    flat,
    lossless,
    lost_windows,
    no_drift,
    no_leak,
    p99_by_quarter,
    slope,
)

MINUTES = [60.0 * i for i in range(61)]


def noisy(per_hour: float, noise: float = 1.0) -> list[float]:
    chance = random.Random(3)
    return [300 + per_hour * t / 3600 + chance.gauss(0, noise) for t in MINUTES]


def windows(count: int, *, latency_ms: float = 10, stride_s: float = 1.0) -> list[Seen]:
    return [Seen(i * stride_s, 1, i * stride_s, latency_ms) for i in range(count)]


def test_a_slope_is_exact_on_a_line() -> None:
    found = slope(MINUTES, noisy(7.5, noise=0))
    assert found.per_hour == pytest.approx(7.5)
    assert found.error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("per_hour", "holds"), [(0.0, True), (1.0, True), (25.0, False)])
def test_a_leak_is_found_and_noise_is_none(per_hour: float, holds: bool) -> None:
    assert no_leak(MINUTES, noisy(per_hour), 2).holds is holds


def test_what_grows_while_it_warms_up_is_no_leak() -> None:
    values = [min(300.0, 100 + 20 * i) for i in range(61)]
    assert no_leak(MINUTES, values, 2).holds


@pytest.mark.parametrize(("leak", "holds"), [(0, True), (1, False)])
def test_threads_may_come_and_go_but_not_stay(leak: int, holds: bool) -> None:
    values = [40 + i % 3 + leak * (i // 10) for i in range(61)]
    assert flat("threads", MINUTES, values).holds is holds


def test_a_window_that_is_missing_is_counted_and_a_new_epoch_is_not() -> None:
    seen = windows(100)
    assert lost_windows(seen, 1.0) == 0
    assert lost_windows(seen[:40] + seen[43:], 1.0) == 3
    after = [Seen(200 + i, 2, 5000.0 + i, 10) for i in range(10)]
    assert lost_windows(seen + after, 1.0) == 0
    assert not lossless("cam", seen + after, 1.0, epochs=1).holds
    assert lossless("cam", seen + after, 1.0, epochs=2).holds
    assert not lossless("cam", [], 1.0, epochs=1).holds


def test_a_latency_that_grows_is_a_drift_and_a_single_spike_is_not() -> None:
    steady = windows(4000)
    spike = [*steady[:3500], Seen(3500.0, 1, 3500.0, 5000), *steady[3501:]]
    growing = [Seen(one.at_s, 1, one.start_s, 10 + one.at_s / 10) for one in steady]
    assert p99_by_quarter(steady) == [10, 10, 10, 10]
    assert no_drift(steady).holds
    assert no_drift(spike).holds
    assert not no_drift(growing).holds
